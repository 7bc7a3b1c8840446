"""MulT's crossmodal transformers (Tsai et al. 2019), the backbone of CDTP 3.5: frames of one modality ask another's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm, pad, scaled_dot_product_attention

from robustmer.batch import Batch
from robustmer.nn.dropout import dropout

Sequences = Mapping[str, Float[Tensor, "batch _ _"]]
Masks = Mapping[str, Bool[Tensor, "batch _"]]


def positions(frames: int, width: int, device: torch.device | None = None) -> Float[Tensor, "{frames} {width}"]:
    """CDTP eqs. 1-2: sin(pos / 10000^(2i / width)) in column 2i, the cosine of the same in column 2i + 1.

    >>> positions(2, 4)[0].tolist()
    [0.0, 1.0, 0.0, 1.0]
    """
    rate = torch.exp(-math.log(1e4) * torch.arange(0, width, 2, device=device) / width)
    angle = torch.arange(frames, device=device)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :width]


def placed(x: Float[Tensor, "*batch time width"]) -> Float[Tensor, "*batch time width"]:
    """Frames times the root of their width, as in MulT's code, plus their positions (CDTP 3.2.1)."""
    return math.sqrt(x.shape[-1]) * x + positions(*x.shape[-2:], x.device).to(x)


class Weights(NamedTuple):
    """What one layer multiplies with, for each of its encoders; gain and shift of its norms are already in them."""

    query_key_value: Float[Tensor, "encoder width three_widths"]
    query_key_value_bias: Float[Tensor, "encoder 1 three_widths"]
    out: Float[Tensor, "encoder width width"]
    out_bias: Float[Tensor, "encoder 1 width"]
    up: Float[Tensor, "encoder width hidden"]
    up_bias: Float[Tensor, "encoder 1 hidden"]
    down: Float[Tensor, "encoder hidden width"]
    down_bias: Float[Tensor, "encoder 1 width"]


class Layer(nn.Module):
    """The parameters of one layer of several encoders of one shape. Weights are Xavier-uniform for each encoder and
    biases 0, as in MulT's code."""

    def __init__(self, encoders: int, width: int):
        super().__init__()
        self.norms = nn.ParameterDict({
            f"{part}_{what}": nn.Parameter(torch.full((encoders, 1, width), value))
            for part in ("attention", "feedforward") for what, value in (("gain", 1.0), ("shift", 0.0))
        })  # fmt: skip
        shapes = {"query_key_value": (width, 3 * width), "out": (width, width), "up": (width, 4 * width),
                  "down": (4 * width, width)}  # fmt: skip
        self.linear, self.bias = nn.ParameterDict(), nn.ParameterDict()
        for name, (before, after) in shapes.items():
            self.linear[name] = nn.Parameter(torch.stack([
                nn.init.xavier_uniform_(torch.empty(before, after)) for _ in range(encoders)
            ]))  # fmt: skip
            self.bias[name] = nn.Parameter(torch.zeros(encoders, 1, after))

    def weights(self) -> Weights:
        """A norm's gain and shift go into the linear map behind it, which is cheaper than into every frame."""
        found = {}
        for name, weight in self.linear.items():
            found[name], found[f"{name}_bias"] = weight, self.bias[name]
        for part, name in (("attention", "query_key_value"), ("feedforward", "up")):
            weight, gain, shift = self.linear[name], self.norms[f"{part}_gain"], self.norms[f"{part}_shift"]
            found[name] = gain.mT * weight
            found[f"{name}_bias"] = torch.baddbmm(self.bias[name], shift, weight)
        return Weights(**found)


class Transformers(nn.Module):
    """Several pre-norm transformer encoders of one shape. They are computed side by side, a product for all of them at
    once, where their sequences are about equally long, and one after the other where padding would cost more.

    A layer is attention to a source (to the encoder's own frames if there is none) and a feed-forward network of four
    times the width, each behind a layer norm and inside a residual connection; frames and source share the norm. There
    is no causal mask, so every frame hears the whole source: MulT's code hides later frames by default, the papers do
    not. Dropout is on attention, feed-forward and residual connections (CDTP 4.3). In attention it drops a frame of the
    source from a head for all frames that ask, instead of drawing for each anew: fewer draws, and attention is fused.
    """

    def __init__(self, encoders: int, width: int, heads: int, layers: int, dropout: float):
        super().__init__()
        if width % heads:
            raise ValueError(
                f"{heads} heads were asked for a width of {width}: the width must be a multiple of the heads"
            )
        self.width, self.heads, self.dropout = width, heads, dropout
        self.layers = nn.ModuleList(Layer(encoders, width) for _ in range(layers))
        self.gain = nn.Parameter(torch.ones(encoders, 1, 1, width))
        self.shift = nn.Parameter(torch.zeros(encoders, 1, 1, width))

    def forward(
        self,
        x: Sequence[Float[Tensor, "batch _ width"]],
        heard: Sequence[Bool[Tensor, "batch _"]],
        source: Sequence[Float[Tensor, "batch _ width"]] | None = None,
        prompts: Sequence[Float[Tensor, "encoder batch prompt width"]] | None = None,
        last: bool = False,
    ) -> list[Float[Tensor, "batch _ width"]]:
        """What each encoder makes of its frames x. `heard` says which frames of its source may be heard, of every row
        at least one. `prompts` are further tokens, given for each layer, that all frames hear beside the source.
        With `last` and no source, only each row's last frame that counts is put out, and the last layer computes no
        other."""
        weights = [layer.weights() for layer in self.layers]
        groups = [x, heard] if source is None else [x, heard, source]
        if all(side_by_side(group) for group in groups):
            stacked = [torch.stack(padded(group)) for group in groups]
            out = self.encode(weights, self.gain, self.shift, prompts, last, *stacked)
            return [encoded[:, : frames.shape[1]] for encoded, frames in zip(out, x, strict=True)]
        each = zip(*([Weights(*one) for one in zip(*(w.split(1) for w in layer), strict=True)] for layer in weights),
                   self.gain.split(1), self.shift.split(1), strict=True)  # fmt: skip
        out = []
        for i, (*layers, gain, shift) in enumerate(each):
            own = None if prompts is None else [p[i : i + 1] for p in prompts]
            out.append(self.encode(layers, gain, shift, own, last, *(group[i][None] for group in groups))[0])
        return out

    def encode(
        self,
        weights: Sequence[Weights],
        gain: Tensor,
        shift: Tensor,
        prompts: Sequence[Float[Tensor, "encoder batch prompt width"]] | None,
        last: bool,
        x: Float[Tensor, "encoder batch time width"],
        heard: Bool[Tensor, "encoder batch source"],
        source: Float[Tensor, "encoder batch source width"] | None = None,
    ) -> Float[Tensor, "encoder batch _ width"]:
        wide = x.shape[-1:]
        source = None if source is None else layer_norm(source, wide)
        for i, layer in enumerate(weights):
            normed = layer_norm(x, wide)
            asked, mask = normed if source is None else source, heard
            if prompts is not None:
                asked = torch.cat([prompts[i], asked], dim=2)
                mask = pad(heard, (prompts[i].shape[2], 0), value=True)
            if last and i == len(weights) - 1:
                x, normed = last_frame(x, heard), last_frame(normed, heard)
            x = x + self.drop(self.attend(layer, normed, asked, mask))
            normed = layer_norm(x, wide).flatten(1, 2)
            hidden = self.drop(torch.baddbmm(layer.up_bias, normed, layer.up).relu_())
            x = x + self.drop(torch.baddbmm(layer.down_bias, hidden, layer.down).view(x.shape))
        return torch.addcmul(shift, layer_norm(x, wide), gain)

    def attend(
        self,
        layer: Weights,
        x: Float[Tensor, "encoder batch time width"],
        source: Float[Tensor, "encoder batch source width"],
        heard: Bool[Tensor, "encoder batch source"],
    ) -> Float[Tensor, "encoder batch time width"]:
        """Over a single frame the softmax is 1 whatever the scores, so queries and keys are then not computed."""
        wide, split = x.shape[-1], "e (b t) (h d) -> (e b) h t d"
        ask, answer = x.flatten(1, 2), source.flatten(1, 2)
        weight, bias = layer.query_key_value, layer.query_key_value_bias
        if source.shape[2] == 1:
            value = torch.baddbmm(bias[..., 2 * wide :], answer, weight[..., 2 * wide :])
            mixed = self.drop(rearrange(value, split, b=x.shape[1], h=self.heads), together=1)
            mixed = mixed.expand(-1, -1, x.shape[2], -1)
        else:
            if source is x:
                parts = torch.baddbmm(bias, ask, weight).split(wide, -1)
            else:
                query = torch.baddbmm(bias[..., :wide], ask, weight[..., :wide])
                parts = (query, *torch.baddbmm(bias[..., wide:], answer, weight[..., wide:]).split(wide, -1))
            query, key, value = (rearrange(part, split, b=x.shape[1], h=self.heads) for part in parts)
            mask = rearrange(heard, "e b s -> (e b) 1 1 s")
            mixed = scaled_dot_product_attention(query, key, self.drop(value, together=1), attn_mask=mask)
        mixed = rearrange(mixed, "(e b) h t d -> e (b t) (h d)", b=x.shape[1])
        return torch.baddbmm(layer.out_bias, mixed, layer.out).view(x.shape)

    def drop(self, x: Tensor, together: int = 0) -> Tensor:
        return dropout(x, self.dropout, self.training, together)


def side_by_side(group: Sequence[Tensor]) -> bool:
    """Whether padding to the longest adds no more than a quarter of the frames: less than what stacking saves."""
    lengths = [each.shape[1] for each in group]
    return 4 * max(lengths) * len(lengths) <= 5 * sum(lengths)


def padded(group: Sequence[Tensor]) -> list[Tensor]:
    """All as long as the longest, with zeros behind: no frame of a source that is heard."""
    longest = max(each.shape[1] for each in group)
    return [pad(each, (0, 0) * (each.ndim - 2) + (0, longest - each.shape[1])) for each in group]


def available(seen: Batch, modality: str) -> Bool[Tensor, "batch"]:
    """Which rows have any frame of the modality."""
    return seen.present[modality] & seen.real[modality].any(1)


def sequence(seen: Batch, modality: str) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """A modality's frames as MulT reads them, and which of them count: of each row at least one.

    An absent modality is a single frame of zeros, the mean of a standardised corpus. So one reading serves a MulT that
    was trained on whole rows only and is then given a fixed value (the paper's MS), and one that was trained with
    missing modalities (MD); neither what was recorded nor how long it was can be seen.
    """
    there = available(seen, modality)
    here = seen.real[modality] & there[:, None]
    longest = max(int(here.sum(1).max()), 1)
    x = torch.where(rearrange(there, "b -> b 1 1"), seen.x[modality][:, :longest], 0.0)
    first = torch.arange(longest, device=there.device) == 0
    return x, here[:, :longest] | (first & ~there[:, None])


class Backbone(nn.Module):
    """MulT from projected sequences to logits (CDTP 3.2.2, 3.5; MulT's code for what the paper leaves open).

    For each ordered pair of modalities the frames of the first ask those of the second; what they learned of the others
    stands side by side and passes a self-attention encoder (the memory); its last real frames, one a modality, pass a
    residual block and a linear layer. A single modality has its memory only. With width 30, 5 heads, 5 layers, one
    output and MOSI's 768, 5 and 20 features it has the 1,085,251 parameters of MulT's code.
    """

    def __init__(self, dims: Mapping[str, int], outputs: int, width: int, layers: int, heads: int, dropout: float):
        super().__init__()
        self.dropout, self.pairs, self.wide = dropout, list(permutations(dims, 2)), max(len(dims) - 1, 1) * width
        self.project = nn.ModuleDict({m: nn.Linear(dim, width, bias=False) for m, dim in dims.items()})
        self.crossmodal = Transformers(len(self.pairs), width, heads, layers, dropout) if self.pairs else None
        self.memory = Transformers(len(dims), self.wide, heads, layers, dropout)
        joint = len(dims) * self.wide
        self.residual = nn.ModuleList([nn.Linear(joint, joint), nn.Linear(joint, joint)])
        self.out = nn.Linear(joint, outputs)

    def forward(
        self,
        x: Sequences,
        here: Masks,
        tokens: Sequences | None = None,
        prompts: tuple[Sequence[Tensor] | None, Sequence[Tensor] | None] = (None, None),
    ) -> Float[Tensor, "batch output"]:
        """`x` are projected sequences (B, T, width) and `here` their frames that count. `tokens` (B, p, wide) of each
        modality join its frames before the memory; they have no position. `prompts` go to the layers of the crossmodal
        encoders and of the memory (`Transformers.forward`)."""
        placed_x, h = {m: placed(frames) for m, frames in x.items()}, x
        if self.crossmodal is not None:
            learned = self.crossmodal([placed_x[m] for m, _ in self.pairs], [here[source] for _, source in self.pairs],
                                      [placed_x[source] for _, source in self.pairs], prompts[0])  # fmt: skip
            h = {m: torch.cat([each for each, (asks, _) in zip(learned, self.pairs, strict=True) if asks == m], dim=-1)
                 for m in x}  # fmt: skip
        frames, heard = [placed(h[m]) for m in x], [here[m] for m in x]
        if tokens is not None:
            frames = [torch.cat([tokens[m], each], dim=1) for m, each in zip(x, frames, strict=True)]
            heard = [pad(each, (tokens[m].shape[1], 0), value=True) for m, each in zip(x, heard, strict=True)]
        remembered = self.memory(frames, heard, prompts=prompts[1], last=True)
        joint = torch.cat([each[:, 0] for each in remembered], dim=-1)
        first, second = self.residual
        return self.out(joint + second(dropout(first(joint).relu(), self.dropout, self.training)))

    @torch.no_grad()
    def attention(
        self, x: Sequences, here: Masks
    ) -> dict[tuple[str, str], Float[Tensor, "batch head time source"]]:
        """How the first crossmodal layer divides its attention, to be looked at: for each ordered pair of modalities
        the share of each frame of the second in what a frame of the first hears, 0 for frames that do not count. `x`
        and `here` are those of `forward`; a single modality has no pair."""
        if self.crossmodal is None:
            return {}
        wide, split = self.crossmodal.width, "b t (h d) -> b h t d"
        normed = {m: layer_norm(placed(frames), (wide,)) for m, frames in x.items()}
        layer, found = self.crossmodal.layers[0].weights(), {}
        pieces = zip(self.pairs, layer.query_key_value, layer.query_key_value_bias, strict=True)
        for (asks, source), weight, bias in pieces:
            query = normed[asks] @ weight[:, :wide] + bias[:, :wide]
            key = normed[source] @ weight[:, wide : 2 * wide] + bias[:, wide : 2 * wide]
            query, key = (rearrange(part, split, h=self.crossmodal.heads) for part in (query, key))
            scores = query @ key.mT / math.sqrt(query.shape[-1])
            unheard = rearrange(~here[source], "b s -> b 1 1 s")
            found[asks, source] = scores.masked_fill(unheard, -math.inf).softmax(-1)
        return found


def last_frame(
    x: Float[Tensor, "*rows time width"], here: Bool[Tensor, "*rows time"]
) -> Float[Tensor, "*rows 1 width"]:
    """Of each row the last frame that counts; those that count are the first ones of a row, and one at least."""
    last = (here.sum(-1) - 1)[..., None, None].expand(*x.shape[:-2], 1, x.shape[-1])
    return x.gather(-2, last)
