"""Encoders and decoders of MCWSA (III.A, IV.C): from pyramids of any width to codes of one shape, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.nn.attention import SelfAttention, check_heads
from robustmer.nn.dropout import dropout

ROWS = 32
"""Rows of every code (IV.C)."""

BLOCKS = 5
"""Blocks of the audio encoder, and attention layers of the text encoder (IV.C)."""

Pyramid = Float[Tensor, "batch row dim"]
Code = Float[Tensor, "batch 32 channel"]
Picture = Float[Tensor, "batch _ _ _"]
"""(B, channels, frequencies, time). A sequence of vectors is a picture with one row of frequencies, whose channels are the features."""

Steps = Sequence[tuple[int, int]]
"""The stride of each block in frequency and in time."""


class Pointwise(nn.Module):
    """A 1x1 convolution without bias, as a product: on a CPU faster than torch's for the few channels of a picture."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(after, before)))

    def forward(self, x: Picture) -> Picture:
        return torch.bmm(self.weight.expand(len(x), -1, -1), x.flatten(2)).unflatten(2, x.shape[2:])


class TimeAttention(nn.Module):
    """Multi-head self-attention over time with a residual connection. All rows of frequencies share the maps of query, key
    and value, and one map of attention."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.query_key_value, self.out = Pointwise(channels, 3 * channels), Pointwise(channels, channels)

    def forward(self, x: Picture) -> Picture:
        parts = self.query_key_value(x).chunk(3, dim=1)
        query, key, value = (rearrange(part, "b (h d) f t -> b h (d f) t", h=self.heads) for part in parts)
        # Shares of the times (rows) in the output of a time (column): so laid out, no picture is transposed.
        shares = (key.mT @ (query / math.sqrt(query.shape[2]))).softmax(2)
        return x + self.out((value @ shares).reshape(x.shape))


def normalised(convolution: nn.Module) -> nn.Sequential:
    """The convolution and batch normalisation with eps 1e-5. The paper's momentum of 0.9 is the share that the old statistics
    keep, torch's momentum that of the new ones: 0.1. Read as torch's, they would be those of the last batch."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=1e-5, momentum=0.1))


class Block(nn.Module):
    """The base block of the encoders (Fig. 2): two convolutions beside a 1x1 convolution, and attention over time."""

    def __init__(self, before: int, after: int, stride: tuple[int, int], kernel: int, heads: int, rate: float):
        super().__init__()
        size, around, self.rate = (kernel, 3), (kernel // 2, 1), rate
        self.first = normalised(nn.Conv2d(before, after, size, stride, around, bias=False))
        self.second = normalised(nn.Conv2d(after, after, size, 1, around, bias=False))
        self.shortcut, self.stride = Pointwise(before, after), stride
        self.attention = TimeAttention(after, heads)

    def forward(self, x: Picture) -> Picture:
        inner = dropout(self.first(x).relu(), self.rate, self.training)
        beside = self.shortcut(x[..., :: self.stride[0], :: self.stride[1]])
        return self.attention((self.second(inner) + beside).relu())


def halvings(rows: int, steps: int) -> list[int]:
    """The stride in time of each block, so that `rows` become ROWS. Raises ValueError where they cannot."""
    count = round(math.log2(rows / ROWS))
    if rows != ROWS << max(count, 0) or count > steps:
        raise ValueError(
            f"a pyramid of {rows} rows was given; {steps} blocks make {ROWS} rows of {ROWS << steps} at most"
        )
    return [2] * count + [1] * (steps - count)


def plan(dim: int, rows: int, channels: int, bands: int) -> tuple[list[int], Steps]:
    """The channels before and after each block, and their strides.

    A picture of `bands` frequencies with static, delta and delta-delta channels has five blocks of stride 2 in
    frequency, and of stride 2 in time while there are more than ROWS rows: so both "5 blocks of stride 2" and the 32 x
    300 of IV.C hold. Their channels rise evenly to C over the frequencies that remain. Features without an order of
    frequency (`bands` 0) have the two blocks of the visual encoder; stride 2 in time would leave it 8 rows.
    """
    if not bands:
        return [dim, channels, channels], [(1, step) for step in halvings(rows, 2)]
    if dim != 3 * bands or bands % 2**BLOCKS or channels * 2**BLOCKS % (bands * BLOCKS):
        raise ValueError(
            f"bands={bands} needs {3 * bands} features, bands in multiples of {2**BLOCKS} and channels in multiples of "
            f"{BLOCKS * bands // 2**BLOCKS}; the modality has {dim} features, and channels={channels}"
        )
    last = channels * 2**BLOCKS // bands
    return [3, *(last * k // BLOCKS for k in range(1, BLOCKS + 1))], [(2, step) for step in halvings(rows, BLOCKS)]


class ConvEncoder(nn.Module):
    """The encoder of sounds and faces: blocks over the pyramid as a picture of `bands` x rows, or of features."""

    def __init__(self, dim: int, rows: int, channels: int, heads: int, bands: int, rate: float):
        super().__init__()
        self.bands, (sizes, strides) = bands, plan(dim, rows, channels, bands)
        pairs = zip(sizes[:-1], sizes[1:], strides, strict=True)
        self.blocks = nn.Sequential(*(Block(*pair, 3 if bands else 1, heads, rate) for pair in pairs))

    def forward(self, pyramid: Pyramid) -> Code:
        picture = rearrange(pyramid, "b t (c f) -> b c f t", f=self.bands or 1)
        return rearrange(self.blocks(picture), "b c f t -> b t (c f)")


class TextEncoder(nn.Module):
    """The encoder of text: layers of self-attention, each with a residual connection and a layer norm. Another width than
    that of the codes is projected first."""

    def __init__(self, dim: int, channels: int, heads: int):
        super().__init__()
        self.project = nn.Linear(dim, channels) if dim != channels else nn.Identity()
        self.layers = nn.ModuleList(SelfAttention(channels, heads, dropout=0.0) for _ in range(BLOCKS))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(BLOCKS))

    def forward(self, pyramid: Pyramid) -> Code:
        x = self.project(pyramid)
        for attention, norm in zip(self.layers, self.norms, strict=True):
            x = norm(x + attention(x))
        return x


class Decoder(nn.Module):
    """From the code of all modalities to the pyramid of one (IV.C): transposed convolutions, the mirror of an encoder. Where
    the stride is 1 they are convolutions."""

    def __init__(self, dim: int, rows: int, channels: int, bands: int):
        super().__init__()
        (sizes, strides), layers = plan(dim, rows, channels, bands), []
        self.frequencies = bands // 2**BLOCKS or 1
        for before, after, stride in zip(sizes[:0:-1], sizes[-2::-1], strides[::-1], strict=True):
            size = tuple(4 if step == 2 else 3 for step in stride)
            size, around = (size, (1, 1)) if bands else ((1, size[1]), (0, 1))
            last = len(layers) == 2 * (len(strides) - 1)
            convolution = nn.ConvTranspose2d(before, after, size, stride, around, bias=last)
            layers += [convolution] if last else [normalised(convolution), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, code: Code) -> Pyramid:
        picture = rearrange(code, "b t (c f) -> b c f t", f=self.frequencies)
        return rearrange(self.layers(picture), "b c f t -> b t (c f)")


def encoder_of(modality: str, dim: int, rows: int, channels: int, heads: int, bands: int, rate: float) -> nn.Module:
    """The encoder of a modality: attention for text, convolutions for all others."""
    if modality == "text":
        if rows != ROWS:
            raise ValueError(
                f"a pyramid of {rows} rows was given for text; its encoder keeps the {ROWS} rows of a code"
            )
        return TextEncoder(dim, channels, heads)
    return ConvEncoder(dim, rows, channels, heads, bands, rate)
