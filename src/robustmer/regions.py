"""corrupt_box: noise on a box of pictures; RegionNoise: the same as a corruption, in a share of the frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from robustmer.noise import Gaussian, Kind, draw


Box = tuple[int, int, int, int]
"""Top, bottom, left and right of a region: half-open ranges of rows and columns, as in `Corpus.boxes`."""


def inside(box: Box, shape: tuple[int, ...]) -> tuple:
    """The index of a box in pictures of this shape. Raises ValueError where the box leaves the picture."""
    top, bottom, left, right = box
    if len(shape) < 2 or not (0 <= top < bottom <= shape[-2] and 0 <= left < right <= shape[-1]):
        raise ValueError(
            f"a box of rows {top} to {bottom} and columns {left} to {right} does not fit frames of shape {shape}; give "
            "pictures (..., height, width) and a box within them"
        )
    return (..., slice(top, bottom), slice(left, right))


def corrupt_box(
    x: Float[Tensor, "batch time ..."],
    hit: Bool[Tensor, "batch time"],
    box: Box,
    noise: Float[Tensor, "batch time ..."],
) -> Float[Tensor, "batch time ..."]:
    """The pictures with noise, a tensor (B, T, ..., rows, columns) of the size of the box, added in the frames that are
    hit. All other values stay as they are, bit for bit. Raises as `inside`."""
    region, changed = inside(box, tuple(x.shape[2:])), x.clone()
    changed[region] = torch.where(hit.reshape(*hit.shape, *[1] * (x.ndim - 2)), x[region] + noise, x[region])
    return changed


@dataclass(frozen=True)
class RegionNoise:
    """Noise of one standard deviation on a box of a picture, in a share of its frames, clipped to [0, 1].

    Frames have the shape (..., height, width); the box is (top, left, height, width) in pixels. `std` is in units of
    the picture's range. Each frame is hit with the probability `share`, in the entire box.
    """

    box: tuple[int, int, int, int]
    std: float = 0.5
    share: float = 1.0
    kind: Kind = Gaussian()
    name = "region"

    def __post_init__(self):
        if min(self.box) < 0 or min(self.box[2:]) < 1:
            raise ValueError(f"box={self.box}: give top, left, height and width in pixels, the last two at least 1")
        if self.std < 0 or not 0 <= self.share <= 1:
            raise ValueError(f"std={self.std}, share={self.share}: give a std of 0 or more and a share from 0 to 1")

    @property
    def level(self) -> str:
        return f"std {self.std:g}"

    def __str__(self) -> str:
        top, left, height, width = self.box
        return f"{self.kind!r} std {self.std:g} on {height}x{width} at {top},{left} in {self.share:g} of the frames"

    def __call__(
        self,
        x: Shaped[Tensor, "batch time ..."],
        mask: Bool[Tensor, "batch time"],
        variance: float | None,
        generator: torch.Generator,
    ) -> Shaped[Tensor, "batch time ..."]:
        """The pictures in their own type, bytes or floats. Raises ValueError where the box leaves the picture."""
        top, left, height, width = self.box
        box = top, top + height, left, left + width
        region = inside(box, tuple(x.shape[2:]))
        scale = 255.0 if x.dtype == torch.uint8 else 1.0
        clean = x.float() / scale
        hit = torch.rand(mask.shape, generator=generator, device=generator.device).to(x.device) < self.share
        noise = self.std * draw(self.kind, tuple(clean[region].shape), generator).to(clean)
        noisy = corrupt_box(clean, hit & mask, box, noise)[region].clamp(0, 1)
        hit = (hit & mask).reshape(*mask.shape, *[1] * (x.ndim - 2))
        changed = x.clone()
        changed[region] = torch.where(hit, (noisy * scale).round() if scale > 1 else noisy, x[region].float()).to(
            x.dtype
        )
        return changed
