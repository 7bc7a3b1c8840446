"""The U-Net of CDTP 3.4: residual blocks over a few frames that are given the time step and a condition."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, interpolate, scaled_dot_product_attention, silu

from robustmer.nn.crossmodal import positions

INJECT = ("concat", "film", "attention")
Inside = Float[Tensor, "batch inside frame"]
Condition = Float[Tensor, "batch condition other"]


class TimeEmbedding(nn.Module):
    """Sinusoids of the time step t = 0 .. `steps` (CDTP eqs. 1-2), then a small MLP."""

    def __init__(self, width: int, steps: int):
        super().__init__()
        self.register_buffer("sinusoids", positions(steps + 1, width), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Int[Tensor, "batch"]) -> Float[Tensor, "batch width"]:
        return self.mlp(self.sinusoids[t])


class FrameLinear(nn.Linear):
    """A linear map of every frame, (batch, channels, frame): a convolution of one frame, and faster than one."""

    def forward(self, x: Inside) -> Float[Tensor, "batch outside frame"]:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def convolution(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Module:
    """Zeros before the first frame and after the last; the output has ceil(frames / stride) frames."""
    if kernel == stride == 1:
        return FrameLinear(inside, outside)
    return nn.Conv1d(inside, outside, kernel, stride, padding=kernel // 2)


def norm(channels: int) -> nn.GroupNorm:
    """Normalisation within a sample, over all its channels and frames: in smaller groups a single frame of few channels
    would be normalised away."""
    return nn.GroupNorm(1, channels)


class ResidualBlock(nn.Module):
    """x + F(x) (CDTP 3.4), where F is normalisation, SiLU and convolution, twice.

    The embedding of the time step scales and shifts F's second normalisation, in every block. With `condition`
    channels, every frame of the condition does so too (FiLM), averaged to as many frames as x has.
    """

    def __init__(self, inside: int, outside: int, embedding: int, kernel: int, condition: int = 0):
        super().__init__()
        self.norm1, self.norm2 = norm(inside), norm(outside)
        self.convolution1 = convolution(inside, outside, kernel)
        self.convolution2 = convolution(outside, outside, kernel)
        self.time = nn.Linear(embedding, 2 * outside)
        self.film = FrameLinear(condition, 2 * outside) if condition else None
        self.past = FrameLinear(inside, outside) if inside != outside else nn.Identity()

    def forward(
        self, x: Inside, embedding: Float[Tensor, "batch embedding"], condition: Condition
    ) -> Float[Tensor, "batch outside frame"]:
        scale_shift = rearrange(self.time(embedding), "b c -> b c 1")
        if self.film is not None:
            scale_shift = scale_shift + self.film(adaptive_avg_pool1d(condition, x.shape[-1]))
        scale, shift = scale_shift.chunk(2, dim=1)
        h = self.convolution1(silu(self.norm1(x)))
        h = self.convolution2(silu(self.norm2(h) * (1 + scale) + shift))
        return self.past(x) + h


class CrossAttention(nn.Module):
    """x + attention of its frames to those of the condition (CDTP 3.4); four heads."""

    def __init__(self, channels: int, condition: int, heads: int = 4):
        super().__init__()
        self.heads = math.gcd(heads, channels)
        self.norm = norm(channels)
        self.query = FrameLinear(channels, channels)
        self.key_value = FrameLinear(condition, 2 * channels)
        self.out = FrameLinear(channels, channels)

    def forward(self, x: Inside, condition: Condition) -> Inside:
        parts = (self.query(self.norm(x)), *self.key_value(condition).chunk(2, dim=1))
        query, key, value = (rearrange(part, "b (h d) f -> b h f d", h=self.heads) for part in parts)
        return x + self.out(rearrange(scaled_dot_product_attention(query, key, value), "b h f d -> b (h d) f"))


class Resolution(nn.Module):
    """A residual block and, where the condition is injected by attention, a cross-attention to it."""

    def __init__(self, inside: int, outside: int, embedding: int, kernel: int, condition: int, inject: str):
        super().__init__()
        self.block = ResidualBlock(inside, outside, embedding, kernel, condition if inject == "film" else 0)
        self.attention = CrossAttention(outside, condition) if inject == "attention" else None

    def forward(self, x: Tensor, embedding: Tensor, condition: Tensor) -> Tensor:
        x = self.block(x, embedding, condition)
        return x if self.attention is None else self.attention(x, condition)


class UNet(nn.Module):
    """h = Dec(Bottleneck(Enc([c, x_t], t))) over F >= 1 frames (CDTP 3.4), as wide at the end as at the start.

    `widths` are the channels of each resolution; every further one has half as many frames, rounded up. A decoder level
    reads the encoder's feature of its resolution beside the one from below. The condition goes in by `inject`:
    "concat", "film" or "attention". `kernel` counts frames; with 1, for a single frame, none is halved.
    """

    def __init__(
        self, channels: int, condition: int, embedding: int, widths: Sequence[int] = (128, 256), kernel: int = 3,
        inject: str = "concat",
    ):  # fmt: skip
        super().__init__()
        if inject not in INJECT:
            raise ValueError(f"inject={inject!r}: the condition goes in by {', '.join(INJECT)}")
        if not widths or kernel % 2 == 0:
            raise ValueError(f"widths={tuple(widths)}, kernel={kernel}: give at least one width and an odd kernel")
        self.concat = inject == "concat"
        shape = (embedding, kernel, condition, inject)
        self.into = convolution(channels + condition * self.concat, widths[0], kernel)
        self.encoder, self.down = nn.ModuleList(), nn.ModuleList()
        self.decoder, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths):
            self.encoder.append(Resolution(width, width, *shape))
            if i + 1 < len(widths):
                self.down.append(convolution(width, widths[i + 1], kernel, stride=2 if kernel > 1 else 1))
                self.up.insert(0, convolution(widths[i + 1], width, kernel))
                self.decoder.insert(0, Resolution(2 * width, width, *shape))
        self.bottleneck = Resolution(widths[-1], widths[-1], *shape)
        self.out = nn.Sequential(norm(widths[0]), nn.SiLU(), convolution(widths[0], channels, kernel))

    def forward(
        self, x: Inside, condition: Float[Tensor, "batch condition frame"], embedding: Float[Tensor, "batch embedding"]
    ) -> Inside:
        """`embedding` is that of the time step (`TimeEmbedding`) plus that of anything else about the sample."""
        embedding = silu(embedding)
        h = self.into(torch.cat([condition, x], dim=1) if self.concat else x)
        kept = []
        for i, level in enumerate(self.encoder):
            h = level(h, embedding, condition)
            if i < len(self.down):
                kept.append(h)
                h = self.down[i](h)
        h = self.bottleneck(h, embedding, condition)
        for up, level in zip(self.up, self.decoder, strict=True):
            skip = kept.pop()
            h = up(interpolate(h, size=skip.shape[-1]))
            h = level(torch.cat([skip, h], dim=1), embedding, condition)
        return self.out(h)
