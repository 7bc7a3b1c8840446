"""Fusions of MCWSA (Table II): from one code of each modality, (B, F, C), to one code of all. All have one shape, so that
they can replace each other. CMHA is the paper's own; Concat, TFN, LMF and MulT are what it is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from robustmer.nn.attention import check_heads
from robustmer.nn.crossmodal import Transformers, placed

Code = Float[Tensor, "batch row channel"]
Codes = Mapping[str, Code]
Stacked = Float[Tensor, "module batch _ channel"]


def matrices(count: int, before: int, after: int) -> nn.Parameter:
    """So many Xavier-uniform matrices. Attentions and 1x1 convolutions have no bias: a code of zeros, which stands for an
    absent modality, then asks for nothing and says nothing."""
    return nn.Parameter(torch.stack([nn.init.xavier_uniform_(torch.empty(before, after)) for _ in range(count)]))


class Attentions(nn.Module):
    """Several multi-head attentions of one shape, computed as one batched product (MCWSA eqs. 1-4).

    Query, key and value are linear maps of all channels, three C x C matrices as in IV.C, which are then divided among
    the heads; a fourth maps the heads back. Eq. 3 divides the channels first, which would leave 1/h of the weights.
    """

    def __init__(self, count: int, channels: int, heads: int):
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.query = matrices(count, channels, channels)
        self.key = matrices(count, channels, channels)
        self.value = matrices(count, channels, channels)
        self.out = matrices(count, channels, channels)

    def forward(self, query: Stacked, source: Stacked) -> Stacked:
        """For each module, what its queries get from the rows of its source."""
        value = self.divided(source.flatten(1, 2) @ self.value, source)
        mixed = rearrange(self.shares(query, source) @ value, "(n b) h r d -> n (b r) (h d)", n=len(query))
        return (mixed @ self.out).view(query.shape)

    def shares(self, query: Stacked, source: Stacked) -> Float[Tensor, "module_batch head _ _"]:
        """The share of each row of the source in what a row of the query gets, eq. 3. Written out, because torch's fused
        attention takes several times as long for 32 rows of 10 values on a CPU."""
        q = self.divided(query.flatten(1, 2) @ self.query, query)
        k = self.divided(source.flatten(1, 2) @ self.key, source)
        return (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)

    def divided(self, product: Float[Tensor, "module _ channel"], x: Stacked) -> Float[Tensor, "module_batch head _ _"]:
        return rearrange(product, "n (b r) (h d) -> (n b) h r d", b=x.shape[1], h=self.heads)


class Exchange(nn.Module):
    """Several pairs of codes: both attend to each other, and a 1x1 convolution joins the two answers (MCWSA eqs. 4 and 5,
    or 6 and 7)."""

    def __init__(self, pairs: int, channels: int, heads: int):
        super().__init__()
        self.attend = Attentions(2 * pairs, channels, heads)
        self.join = matrices(pairs, 2 * channels, channels)

    def forward(self, one: Stacked, other: Stacked) -> Stacked:
        answers = self.attend(torch.cat([one, other]), torch.cat([other, one]))
        both = torch.cat(answers.chunk(2), dim=-1)
        return (both.flatten(1, 2) @ self.join).view(one.shape)


class CMHA(nn.Module):
    """Cascade multi-head attention (MCWSA III.B).

    Of three modalities two exchange first, and their joint code then exchanges with the third; a 1x1 convolution joins
    the three orders MTI, MIT and TIM. With C = 300 these are 12 attentions and 7 convolutions, 5,670,000 weights. Two
    modalities exchange once (900,000 weights); a single one passes as it is. `orders=1` keeps MTI alone.
    """

    def __init__(self, modalities: Sequence[str], channels: int, heads: int, orders: int = 3):
        super().__init__()
        if len(modalities) > 3 or orders not in (1, 3):
            raise ValueError(f"CMHA of {len(modalities)} modalities and {orders} orders: it takes 1 to 3, and 1 or 3")
        self.modalities = tuple(modalities)
        if len(modalities) == 3:
            m, i, t = modalities
            self.orders = [(m, t, i), (m, i, t), (t, i, m)][:orders]
        else:
            self.orders = [self.modalities] if len(modalities) == 2 else []
        if self.orders:
            self.first = Exchange(len(self.orders), channels, heads)
        if len(modalities) == 3:
            self.second = Exchange(len(self.orders), channels, heads)
        self.join = matrices(1, len(self.orders) * channels, channels) if len(self.orders) > 1 else None

    def forward(self, codes: Codes) -> Code:
        if not self.orders:
            return codes[self.modalities[0]]
        places = [torch.stack([codes[m] for m in place]) for place in zip(*self.orders, strict=True)]
        joint = self.first(*places[:2])
        if len(places) == 3:
            joint = self.second(places[2], joint)
        return joint[0] if self.join is None else torch.cat([*joint], dim=-1) @ self.join[0]


class Concat(nn.Module):
    """A 1x1 convolution of all codes side by side (the paper's reference [8])."""

    def __init__(self, modalities: Sequence[str], channels: int, heads: int):
        super().__init__()
        self.modalities = tuple(modalities)
        self.join = matrices(1, len(self.modalities) * channels, channels)

    def forward(self, codes: Codes) -> Code:
        return torch.cat([codes[m] for m in self.modalities], dim=-1) @ self.join[0]


class WideConcat(nn.Module):
    """The control for size: a hidden layer between codes and output, so wide that there are as many weights as in CMHA,
    21 times those of `Concat` for three modalities. For a single modality, where CMHA has none, it is `Concat`."""

    def __init__(self, modalities: Sequence[str], channels: int, heads: int):
        super().__init__()
        self.modalities = tuple(modalities)
        weights = {2: 10, 3: 63}.get(len(self.modalities), 2) * channels**2
        hidden = round(weights / ((len(self.modalities) + 1) * channels))
        self.up = matrices(1, len(self.modalities) * channels, hidden)
        self.down = matrices(1, hidden, channels)

    def forward(self, codes: Codes) -> Code:
        return (torch.cat([codes[m] for m in self.modalities], dim=-1) @ self.up[0]).relu() @ self.down[0]


class TFN(nn.Module):
    """Tensor fusion (Zadeh et al. 2017; reference [10]): row by row the outer product of [1, z] over the modalities, and a
    linear layer. Codes are first mapped to `width` values: (300 + 1)^3 products would need 8 billion weights."""

    def __init__(self, modalities: Sequence[str], channels: int, heads: int, width: int = 16):
        super().__init__()
        self.reduce = nn.ModuleDict({m: nn.Linear(channels, width, bias=False) for m in modalities})
        self.out = nn.Linear((width + 1) ** len(self.reduce), channels)

    def forward(self, codes: Codes) -> Code:
        return self.out(outer([reduce(codes[m]) for m, reduce in self.reduce.items()]))


def outer(vectors: Sequence[Float[Tensor, "*batch _"]]) -> Float[Tensor, "*batch product"]:
    """All products of one value of each [1, vector].

    >>> outer([torch.tensor([2.0]), torch.tensor([3.0])]).tolist()
    [1.0, 3.0, 2.0, 6.0]
    """
    product = vectors[0].new_ones(*vectors[0].shape[:-1], 1)
    for vector in vectors:
        product = (product[..., :, None] * pad(vector, (1, 0), value=1.0)[..., None, :]).flatten(-2)
    return product


class LMF(nn.Module):
    """Low-rank tensor fusion (Liu et al. 2018; reference [11], not in the paper's tables): TFN with a weight that is a sum of
    `rank` outer products, so that no product of modalities is ever computed."""

    def __init__(self, modalities: Sequence[str], channels: int, heads: int, rank: int = 4):
        super().__init__()
        self.factors = nn.ParameterDict({m: matrices(rank, channels + 1, channels) for m in modalities})
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, codes: Codes) -> Code:
        terms = [torch.einsum("bfc,rcd->rbfd", pad(codes[m], (1, 0), value=1.0), w) for m, w in self.factors.items()]
        return torch.stack(terms).prod(0).sum(0) + self.bias


class MulTFusion(nn.Module):
    """MulT's fusion (Tsai et al. 2019; reference [15]) of codes: for each ordered pair a transformer layer in which the rows of
    one attend to those of the other, then a layer of self-attention over all that one modality got, and a linear map."""

    def __init__(self, modalities: Sequence[str], channels: int, heads: int, dropout: float = 0.1):
        super().__init__()
        self.modalities, self.pairs = tuple(modalities), list(permutations(modalities, 2))
        wide = max(len(self.modalities) - 1, 1) * channels
        self.crossmodal = Transformers(len(self.pairs), channels, heads, 1, dropout) if self.pairs else None
        self.memory = Transformers(len(self.modalities), wide, heads, 1, dropout)
        self.out = nn.Linear(len(self.modalities) * wide, channels)

    def forward(self, codes: Codes) -> Code:
        mask = torch.ones(next(iter(codes.values())).shape[:2], dtype=torch.bool, device=self.out.weight.device)
        h = sources = {m: placed(codes[m]) for m in self.modalities}
        if self.crossmodal is not None:
            frames, keys = ([sources[m] for m in side] for side in zip(*self.pairs, strict=True))
            learned = self.crossmodal(frames, [mask] * len(keys), keys)
            by_pair = dict(zip(self.pairs, learned, strict=True))
            h = {m: torch.cat([y for (first, _), y in by_pair.items() if first == m], dim=-1) for m in self.modalities}
        return self.out(torch.cat(self.memory([*h.values()], [mask] * len(h)), dim=-1))


FUSIONS: dict[str, Callable[..., nn.Module]] = {
    "concat": Concat, "wide concat": WideConcat, "tfn": TFN, "lmf": LMF, "mult": MulTFusion, "cmha": CMHA,
    "cmha in one order": partial(CMHA, orders=1),
}  # fmt: skip


def fusion_of(name: str, modalities: Sequence[str], channels: int, heads: int) -> nn.Module:
    """The fusion of that name. Raises ValueError with the names there are."""
    if name not in FUSIONS:
        raise ValueError(f"fusion {name!r} was given; choose from {', '.join(FUSIONS)}")
    return FUSIONS[name](modalities, channels, heads)
