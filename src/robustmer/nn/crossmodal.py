"""MulT's crossmodal transformers (Tsai et al. 2019), the backbone of CDTP 3.5: one modality attends to another."""

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
from robustmer.nn.attention import check_heads
from robustmer.nn.dropout import dropout

Sequences = Mapping[str, Float[Tensor, "batch _ _"]]
Masks = Mapping[str, Bool[Tensor, "batch _"]]
Frames = Float[Tensor, "encoder batch time width"]
Source = Float[Tensor, "encoder batch source width"]
SourceMask = Bool[Tensor, "encoder batch source"]
Prompts = Sequence[Float[Tensor, "encoder batch prompt width"]]


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
    """The matrices of one layer, for each of its encoders; gain and shift of its norms are already in them."""

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
        constant = lambda value: nn.Parameter(torch.full((encoders, 1, width), value))  # noqa: E731
        self.norms = nn.ParameterDict()
        for part in ("attention", "feedforward"):
            self.norms[f"{part}_gain"], self.norms[f"{part}_shift"] = constant(1.0), constant(0.0)
        shapes = {
            "query_key_value": (width, 3 * width),
            "out": (width, width),
            "up": (width, 4 * width),
            "down": (4 * width, width),
        }
        self.linear, self.bias = nn.ParameterDict(), nn.ParameterDict()
        for name, shape in shapes.items():
            matrices = [nn.init.xavier_uniform_(torch.empty(shape)) for _ in range(encoders)]
            self.linear[name] = nn.Parameter(torch.stack(matrices))
            self.bias[name] = nn.Parameter(torch.zeros(encoders, 1, shape[1]))

    def weights(self) -> Weights:
        """A norm's gain and shift go into the linear map behind it, which is cheaper than into every frame."""
        weights = {}
        for name, weight in self.linear.items():
            weights[name], weights[f"{name}_bias"] = weight, self.bias[name]
        for part, name in (("attention", "query_key_value"), ("feedforward", "up")):
            weight, gain, shift = self.linear[name], self.norms[f"{part}_gain"], self.norms[f"{part}_shift"]
            weights[name] = gain.mT * weight
            weights[f"{name}_bias"] = torch.baddbmm(self.bias[name], shift, weight)
        return Weights(**weights)


class Transformers(nn.Module):
    """Several pre-norm transformer encoders of one shape. They are computed together, one product for all of them,
    where their sequences are about equally long, and one after the other where padding would cost more.

    A layer is attention to a source (by default the encoder's own frames) and a feed-forward network of four times the
    width, each behind a layer norm and inside a residual connection; frames and source share the norm. There is no
    causal mask. Dropout is on attention, feed-forward and residual connections (CDTP 4.3). In attention it drops a
    source frame from a head for all queries at once.
    """

    def __init__(self, encoders: int, width: int, heads: int, layers: int, dropout: float):
        super().__init__()
        check_heads(width, heads)
        self.width, self.heads, self.dropout = width, heads, dropout
        self.layers = nn.ModuleList(Layer(encoders, width) for _ in range(layers))
        self.gain = nn.Parameter(torch.ones(encoders, 1, 1, width))
        self.shift = nn.Parameter(torch.zeros(encoders, 1, 1, width))

    def forward(
        self,
        x: Sequence[Float[Tensor, "batch _ width"]],
        mask: Sequence[Bool[Tensor, "batch _"]],
        source: Sequence[Float[Tensor, "batch _ width"]] | None = None,
        prompts: Prompts | None = None,
        last: bool = False,
    ) -> list[Float[Tensor, "batch _ width"]]:
        """The output of each encoder for its frames x. `mask` marks the source frames that count, at least one a
        sample. `prompts` are further tokens of each layer, which all frames attend to beside the source. With `last`
        and no source, the output is each sample's last frame alone, and the last layer computes no other."""
        weights = [layer.weights() for layer in self.layers]
        groups = [x, mask] if source is None else [x, mask, source]
        if all(about_equally_long(group) for group in groups):
            stacked = [torch.stack(padded(group)) for group in groups]
            out = self.encode(weights, self.gain, self.shift, prompts, last, *stacked)
            return [encoded[:, : frames.shape[1]] for encoded, frames in zip(out, x, strict=True)]
        parts = [[Weights(*one) for one in zip(*(w.split(1) for w in layer), strict=True)] for layer in weights]
        out = []
        for i, (*layers, gain, shift) in enumerate(zip(*parts, self.gain.split(1), self.shift.split(1), strict=True)):
            own = None if prompts is None else [p[i : i + 1] for p in prompts]
            out.append(self.encode(layers, gain, shift, own, last, *(group[i][None] for group in groups))[0])
        return out

    def encode(
        self, weights: Sequence[Weights], gain: Tensor, shift: Tensor, prompts: Prompts | None, last: bool, x: Frames,
        mask: SourceMask, source: Source | None = None,
    ) -> Float[Tensor, "encoder batch _ width"]:  # fmt: skip
        wide = x.shape[-1:]
        source = None if source is None else layer_norm(source, wide)
        for i, layer in enumerate(weights):
            normed = layer_norm(x, wide)
            keys, keys_mask = normed if source is None else source, mask
            if prompts is not None:
                keys = torch.cat([prompts[i], keys], dim=2)
                keys_mask = pad(mask, (prompts[i].shape[2], 0), value=True)
            if last and i == len(weights) - 1:
                x, normed = last_frame(x, mask), last_frame(normed, mask)
            x = x + self.drop(self.attend(layer, normed, keys, keys_mask))
            normed = layer_norm(x, wide).flatten(1, 2)
            hidden = self.drop(torch.baddbmm(layer.up_bias, normed, layer.up).relu_())
            x = x + self.drop(torch.baddbmm(layer.down_bias, hidden, layer.down).view(x.shape))
        return torch.addcmul(shift, layer_norm(x, wide), gain)

    def attend(self, layer: Weights, x: Frames, source: Source, mask: SourceMask) -> Frames:
        """Over a single frame the softmax is 1 for any scores, so queries and keys are then not computed."""
        wide, split = x.shape[-1], "e (b t) (h d) -> (e b) h t d"
        queries, answers = x.flatten(1, 2), source.flatten(1, 2)
        weight, bias = layer.query_key_value, layer.query_key_value_bias
        if source.shape[2] == 1:
            value = torch.baddbmm(bias[..., 2 * wide :], answers, weight[..., 2 * wide :])
            mixed = self.drop(rearrange(value, split, b=x.shape[1], h=self.heads), shared=1)
            mixed = mixed.expand(-1, -1, x.shape[2], -1)
        else:
            if source is x:
                parts = torch.baddbmm(bias, queries, weight).split(wide, -1)
            else:
                query = torch.baddbmm(bias[..., :wide], queries, weight[..., :wide])
                parts = (query, *torch.baddbmm(bias[..., wide:], answers, weight[..., wide:]).split(wide, -1))
            query, key, value = (rearrange(part, split, b=x.shape[1], h=self.heads) for part in parts)
            mask = rearrange(mask, "e b s -> (e b) 1 1 s")
            mixed = scaled_dot_product_attention(query, key, self.drop(value, shared=1), attn_mask=mask)
        mixed = rearrange(mixed, "(e b) h t d -> e (b t) (h d)", b=x.shape[1])
        return torch.baddbmm(layer.out_bias, mixed, layer.out).view(x.shape)

    def drop(self, x: Tensor, shared: int = 0) -> Tensor:
        return dropout(x, self.dropout, self.training, shared)


def about_equally_long(group: Sequence[Tensor]) -> bool:
    """Whether padding to the longest adds at most a quarter of the frames: less than what stacking saves."""
    lengths = [x.shape[1] for x in group]
    return 4 * max(lengths) * len(lengths) <= 5 * sum(lengths)


def padded(group: Sequence[Tensor]) -> list[Tensor]:
    """All padded to the longest, with zeros and False."""
    longest = max(x.shape[1] for x in group)
    return [pad(x, (0, 0) * (x.ndim - 2) + (0, longest - x.shape[1])) for x in group]


def available(batch: Batch, modality: str) -> Bool[Tensor, "batch"]:
    """Which samples have any frame of the modality."""
    return batch.present[modality] & batch.mask[modality].any(1)


def sequence(batch: Batch, modality: str) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """A modality's frames as MulT reads them and their mask, at least one frame a sample.

    An absent modality is a single frame of zeros, the mean of a standardised corpus. So one reading serves a MulT that
    was trained on complete samples only and is then given a fixed value (the paper's MS), and one that was trained with
    missing modalities (MD); neither the recorded values nor their number is visible.
    """
    x, mask = batch.frames(modality)
    longest = max(int(mask.sum(1).max()), 1)
    first = torch.arange(longest, device=x.device) == 0
    return x[:, :longest], mask[:, :longest] | (first & ~available(batch, modality)[:, None])


class Backbone(nn.Module):
    """MulT from projected sequences to outputs (CDTP 3.2.2, 3.5; MulT's code for what the paper leaves open).

    For each ordered pair of modalities the frames of the first attend to those of the second. The results of all pairs
    are concatenated and pass a self-attention encoder (the memory). Its last frames, one a modality, pass a residual
    block and a linear layer. A single modality has only its memory. With width 30, 5 heads, 5 layers, one output and
    MOSI's 768, 5 and 20 features it has the 1,085,251 parameters of MulT's code.
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

    def read(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The projected sequences of a batch and their masks."""
        frames = {m: sequence(batch, m) for m in self.project}
        return {m: self.project[m](x) for m, (x, _) in frames.items()}, {m: mask for m, (_, mask) in frames.items()}

    def forward(
        self,
        x: Sequences,
        mask: Masks,
        tokens: Sequences | None = None,
        prompts: tuple[Sequence[Tensor] | None, Sequence[Tensor] | None] = (None, None),
    ) -> Float[Tensor, "batch output"]:
        """`x` are projected sequences (B, T, width) with their masks. `tokens` (B, p, wide) of each modality join its
        frames before the memory; they have no position. `prompts` go to the layers of the crossmodal encoders and of
        the memory (`Transformers.forward`)."""
        h, sources = x, {m: placed(frames) for m, frames in x.items()}
        if self.crossmodal is not None:
            frames, keys = ([sources[m] for m in side] for side in zip(*self.pairs, strict=True))
            learned = self.crossmodal(frames, [mask[m] for _, m in self.pairs], keys, prompts[0])
            h = {m: torch.cat([y for y, (asking, _) in zip(learned, self.pairs, strict=True) if asking == m], dim=-1)
                 for m in x}  # fmt: skip
        frames, masks = [placed(h[m]) for m in x], [mask[m] for m in x]
        if tokens is not None:
            frames = [torch.cat([tokens[m], y], dim=1) for m, y in zip(x, frames, strict=True)]
            masks = [pad(y, (tokens[m].shape[1], 0), value=True) for m, y in zip(x, masks, strict=True)]
        joint = torch.cat([y[:, 0] for y in self.memory(frames, masks, prompts=prompts[1], last=True)], dim=-1)
        first, second = self.residual
        return self.out(joint + second(dropout(first(joint).relu(), self.dropout, self.training)))

    @torch.no_grad()
    def attention(self, x: Sequences, mask: Masks) -> dict[tuple[str, str], Float[Tensor, "batch head time source"]]:
        """The attention weights of the first crossmodal layer, for plots: for each ordered pair of modalities the share
        of each frame of the second in the output of a frame of the first, 0 outside the mask. `x` and `mask` are those
        of `forward`; a single modality has no pair."""
        if self.crossmodal is None:
            return {}
        wide, split = self.crossmodal.width, "b t (h d) -> b h t d"
        normed = {m: layer_norm(placed(frames), (wide,)) for m, frames in x.items()}
        layer, shares = self.crossmodal.layers[0].weights(), {}
        pieces = zip(self.pairs, layer.query_key_value, layer.query_key_value_bias, strict=True)
        for (asking, source), weight, bias in pieces:
            query = normed[asking] @ weight[:, :wide] + bias[:, :wide]
            key = normed[source] @ weight[:, wide : 2 * wide] + bias[:, wide : 2 * wide]
            query, key = (rearrange(part, split, h=self.crossmodal.heads) for part in (query, key))
            scores = query @ key.mT / math.sqrt(query.shape[-1])
            shares[asking, source] = scores.masked_fill(rearrange(~mask[source], "b s -> b 1 1 s"), -math.inf).softmax(
                -1
            )
        return shares


def last_frame(
    x: Float[Tensor, "*batch time width"], mask: Bool[Tensor, "*batch time"]
) -> Float[Tensor, "*batch 1 width"]:
    """The last frame of each sample that counts. Frames that count are the first ones of a sample, at least one."""
    last = (mask.sum(-1) - 1)[..., None, None].expand(*x.shape[:-2], 1, x.shape[-1])
    return x.gather(-2, last)
