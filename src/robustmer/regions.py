"""RegionNoise: noise on a box of a picture, in a share of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from robustmer.noise import Gaussian, Kind, draw


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
        if x.ndim < 4 or top + height > x.shape[-2] or left + width > x.shape[-1]:
            raise ValueError(
                f"a box of {self.box} does not fit frames of shape {tuple(x.shape[2:])}; give pictures "
                "(..., height, width) and a box within them"
            )
        scale = 255.0 if x.dtype == torch.uint8 else 1.0
        region = (..., slice(top, top + height), slice(left, left + width))
        clean = x[region].float() / scale
        hit = torch.rand(mask.shape, generator=generator, device=generator.device).to(x.device) < self.share
        hit = (hit & mask).reshape(*mask.shape, *[1] * (x.ndim - 2))
        noisy = (clean + self.std * draw(self.kind, tuple(clean.shape), generator).to(clean)).clamp(0, 1)
        changed = x.clone()
        changed[region] = torch.where(hit, (noisy * scale).round() if scale > 1 else noisy, clean * scale).to(x.dtype)
        return changed
