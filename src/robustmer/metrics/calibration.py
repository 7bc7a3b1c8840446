"""Calibration: whether a system is right as often as it is confident."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor

from robustmer.metrics.classification import wa


class Calibration(NamedTuple):
    """For each bin that is not empty: its share of the samples, their mean confidence and their accuracy."""

    share: Float[Tensor, "bin"]
    confidence: Float[Tensor, "bin"]
    accuracy: Float[Tensor, "bin"]


def calibration(
    probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"], bins: int = 15, equal_mass: bool = False
) -> Calibration:
    """The reliability curve. The confidence of a sample is the probability of its predicted class.

    Bins are (0, 1/bins], (1/bins, 2/bins], .... With `equal_mass` the quantiles of the confidences are their borders,
    so bins hold equally many samples. Samples of equal confidence share a bin.
    """
    confidence, guess = probability.double().max(1)
    number = bin_of(confidence, bins, equal_mass)
    count, correct, total = (
        torch.zeros(bins, dtype=torch.float64, device=label.device).index_add_(0, number, values)
        for values in (torch.ones_like(confidence), (guess == label).double(), confidence)
    )
    used = count > 0
    return Calibration(count[used] / len(label), total[used] / count[used], correct[used] / count[used])


def bin_of(confidence: Float[Tensor, "sample"], bins: int, equal_mass: bool) -> Int[Tensor, "sample"]:
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    return torch.bucketize(confidence, (torch.quantile(confidence, edges) if equal_mass else edges)[1:-1].contiguous())


def ece(
    probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"], bins: int = 15, equal_mass: bool = False
) -> float:
    """Expected calibration error: |accuracy - confidence| of each bin, averaged over samples (Guo et al. 2017).

    It is positive even for a perfectly calibrated model, most of all on few samples. Compare it with `ece_floor`.

    >>> round(ece(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([0, 1])), 6)
    0.4
    """
    share, confidence, accuracy = calibration(probability, label, bins, equal_mass)
    return float((share * (accuracy - confidence).abs()).sum())


def overconfidence(probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"]) -> float:
    """Mean confidence minus accuracy, which is positive for an overconfident system.

    >>> round(overconfidence(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([0, 1])), 6)
    0.4
    """
    return float(probability.double().amax(1).mean()) - wa(label, probability.argmax(1))


def ece_floor(
    probability: Float[Tensor, "sample class"],
    generator: torch.Generator,
    group: Int[Tensor, "sample"] | None = None,
    bins: int = 15,
    equal_mass: bool = False,
    draws: int = 500,
) -> Float[Tensor, "draw"]:
    """Draws of `ece` for a perfectly calibrated model with these confidences.

    In each draw a sample is correct with a probability equal to its confidence. Samples of one `group` (an utterance
    under several conditions) share a uniform random number: if one of them is correct, so are those with a higher
    confidence. No dependence within a group is stronger.
    """
    confidence = probability.double().amax(1).cpu()
    group = torch.arange(len(confidence)) if group is None else group.cpu().unique(return_inverse=True)[1]
    number = bin_of(confidence, bins, equal_mass)
    u = torch.rand(draws, int(group.max()) + 1, generator=generator, dtype=torch.float64)
    gap = (u[:, group] < confidence).double() - confidence
    sums = torch.zeros(draws, bins, dtype=torch.float64).index_add_(1, number, gap)
    return sums.abs().sum(1) / len(confidence)


def temperature(logits: Float[Tensor, "sample class"], label: Int[Tensor, "sample"]) -> float:
    """The temperature T, from 0.05 to 20, that minimises the cross-entropy of softmax(logits / T) (Guo et al. 2017).

    Fit it on the validation split. It changes the confidences and no predicted class.
    """
    logits = logits.double()
    loss = lambda log_t: float(torch.nn.functional.cross_entropy(logits / math.exp(log_t), label))  # noqa: E731
    return math.exp(minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded").x)
