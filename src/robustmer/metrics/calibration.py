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
    """For each bin that holds rows: their share, their mean confidence and the share of them that are right."""

    share: Float[Tensor, "bin"]
    confidence: Float[Tensor, "bin"]
    accuracy: Float[Tensor, "bin"]


def calibration(
    probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"], bins: int = 15, equal_mass: bool = False
) -> Calibration:
    """The reliability curve. The confidence of a row is the probability of its likeliest class.

    Bins are (0, 1/bins], (1/bins, 2/bins], ...; with `equal_mass` they are cut at the quantiles of the confidences, so
    that each holds as many rows (equal confidences stay together).
    """
    confidence, guess = probability.double().max(1)
    where = bin_of(confidence, bins, equal_mass)
    count, hits, sure = (
        torch.zeros(bins, dtype=torch.float64, device=label.device).index_add_(0, where, values)
        for values in (torch.ones_like(confidence), (guess == label).double(), confidence)
    )
    used = count > 0
    return Calibration(count[used] / len(label), sure[used] / count[used], hits[used] / count[used])


def bin_of(confidence: Float[Tensor, "sample"], bins: int, equal_mass: bool) -> Int[Tensor, "sample"]:
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    return torch.bucketize(confidence, (torch.quantile(confidence, edges) if equal_mass else edges)[1:-1].contiguous())


def ece(
    probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"], bins: int = 15, equal_mass: bool = False
) -> float:
    """Expected calibration error: |accuracy - confidence|, mean over the rows' bins (Guo et al. 2017).

    Never negative, so of few rows it is above 0 even for a perfect model: hold it against `ece_floor`.

    >>> round(ece(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([0, 1])), 6)
    0.4
    """
    share, confidence, accuracy = calibration(probability, label, bins, equal_mass)
    return float((share * (accuracy - confidence).abs()).sum())


def overconfidence(probability: Float[Tensor, "sample class"], label: Int[Tensor, "sample"]) -> float:
    """Mean confidence minus accuracy: above 0, the system is surer than it is right.

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
    """What `ece` would be for a perfectly calibrated model with these confidences, drawn many times: each row is right
    with exactly its confidence. Rows of one `group` (an utterance under several conditions) are right together: a row
    with the higher confidence whenever one with the lower. That is the most that they can depend on each other."""
    confidence = probability.double().amax(1).cpu()
    group = torch.arange(len(confidence)) if group is None else group.cpu().unique(return_inverse=True)[1]
    where = bin_of(confidence, bins, equal_mass)
    u = torch.rand(draws, int(group.max()) + 1, generator=generator, dtype=torch.float64)
    gap = (u[:, group] < confidence).double() - confidence
    sums = torch.zeros(draws, bins, dtype=torch.float64).index_add_(1, where, gap)
    return sums.abs().sum(1) / len(confidence)


def temperature(logits: Float[Tensor, "sample class"], label: Int[Tensor, "sample"]) -> float:
    """The T for which softmax(logits / T) has the least cross-entropy, between 0.05 and 20 (Guo et al. 2017).

    Fit it on the validation part. No answer changes, only how sure it sounds.
    """
    logits = logits.double()
    loss = lambda log_t: float(torch.nn.functional.cross_entropy(logits / math.exp(log_t), label))  # noqa: E731
    return math.exp(minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded").x)
