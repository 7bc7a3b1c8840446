"""Reconstruction metrics: one number for each sample, over its recorded frames; nan for a sample without any."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "batch time ..."]


def mse(x: Frames, mask: Bool[Tensor, "batch time"], reconstructed: Frames) -> Float[Tensor, "batch"]:
    """Mean squared error over recorded frames and their features."""
    return mean_over_frames((x - reconstructed).square(), mask)


def mean_over_frames(values: Frames, mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch"]:
    per_frame = values.flatten(2).mean(2)
    return (per_frame * mask).sum(1) / mask.sum(1)


RECONSTRUCTION: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"MSE": mse}
"""Called with the clean frames, their mask and the reconstructed frames."""


def average_distance(clean: Float[Tensor, "point feature"], noisy: Float[Tensor, "point feature"]) -> float:
    """NMER Algorithm 2: the mean over points of the Euclidean distance between a point and its own noisy version.

    Row i of `noisy` belongs to row i of `clean`. The distance grows with the square root of the number of dimensions.

    >>> average_distance(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    3.0
    """
    if clean.shape != noisy.shape:
        raise ValueError(
            f"points of shape {tuple(clean.shape)} and noisy ones of shape {tuple(noisy.shape)} are no "
            "pairs; give each point its own noisy version, in the same order"
        )
    return float((clean - noisy).double().square().sum(1).sqrt().mean())
