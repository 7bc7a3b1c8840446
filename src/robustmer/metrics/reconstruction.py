"""Reconstruction metrics: one number for each sample, over its recorded frames; nan for a sample without any."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Frames = Float[Tensor, "batch time ..."]


def mse(x: Frames, mask: Bool[Tensor, "batch time"], reconstructed: Frames) -> Float[Tensor, "batch"]:
    """Mean squared error over recorded frames and their features."""
    return mean_over_frames((x - reconstructed).square(), mask)


def mean_over_frames(values: Frames, mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch"]:
    per_frame = values.flatten(2).mean(2)
    return (per_frame * mask).sum(1) / mask.sum(1)


FLOOR = 1e-10
"""The power that the Itakura-Saito divergence adds to both spectra, so that it is finite for a silent bin."""


def itakura_saito(power: Float[Tensor, "*shape"], other: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """d = p/q - log(p/q) - 1 of each bin of two power spectra (VQ-MDVAE 2.5; Fevotte et al. 2009), at least 0.

    It depends on the ratio alone: an error of 1 dB counts the same in a loud bin and in a quiet one.

    >>> itakura_saito(torch.tensor([2.0, 2.0]), torch.tensor([2.0, 1.0]))
    tensor([0.0000, 0.3069])
    """
    ratio = (power + FLOOR) / (other + FLOOR)
    return ratio - torch.log(ratio) - 1


def divergence(x: Frames, mask: Bool[Tensor, "batch time"], reconstructed: Frames) -> Float[Tensor, "batch"]:
    """`itakura_saito` of power spectra, a mean over recorded frames and their bins."""
    inside = mask.reshape(*mask.shape, *[1] * (x.ndim - 2))
    return mean_over_frames(itakura_saito(torch.where(inside, x, 1.0), torch.where(inside, reconstructed, 1.0)), mask)


RECONSTRUCTION: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"MSE": mse, "IS": divergence}
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
