"""Metrics, one definition each. The literature swaps their names, so here is which is which.

- WA, *weighted accuracy*: the share of all rows that are right, plain accuracy. Classes count by their size.
- UA, *unweighted accuracy* (also UAR): the mean of the classes' recalls, balanced accuracy. Classes count alike.

So the papers' code has it: MMIN, IF-MMIN and NMER report scikit-learn's accuracy as WA and its macro recall as UA. Some
authors call macro recall "weighted" since it weights rows by class, and CDTP's and MCWSA's "ACC" is WA here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy.optimize import minimize_scalar
from torch import Tensor


def confusion(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> Float[Tensor, "true guessed"]:
    """Counts of (true class, guessed class)."""
    classes = int(torch.maximum(label, guess).max()) + 1
    return torch.bincount(label * classes + guess, minlength=classes**2).reshape(classes, classes).double()


def wa(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> float:
    """Weighted accuracy: right rows over all rows.

    >>> wa(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    0.75
    """
    return float((label == guess).double().mean())


def ua(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> float:
    """Unweighted accuracy: mean recall over the classes that occur among the labels.

    >>> ua(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    0.5
    """
    counts = confusion(label, guess)
    there = counts.sum(1) > 0
    return float((counts.diagonal()[there] / counts.sum(1)[there]).mean())


def f1(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> float:
    """Macro F1: unweighted mean over the classes that occur as label or guess; 0 for a class never right."""
    counts = confusion(label, guess)
    total = counts.sum(0) + counts.sum(1)
    return float((2 * counts.diagonal()[total > 0] / total[total > 0]).mean())


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {"WA": wa, "UA": ua, "F1": f1}


def average_distance(clean: Float[Tensor, "point dim"], noisy: Float[Tensor, "point dim"]) -> float:
    """NMER Algorithm 2: the mean over points of the Euclidean distance between a point and its own noisy version.

    Row i of `noisy` belongs to row i of `clean`. The distance grows with the square root of the number of dimensions.

    >>> average_distance(torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    3.0
    """
    if clean.shape != noisy.shape:
        raise ValueError(f"points of shape {tuple(clean.shape)} and noisy ones of shape {tuple(noisy.shape)} are no "
                         "pairs; give each point its own noisy version, in the same order")
    return float((clean - noisy).double().square().sum(1).sqrt().mean())


# --- calibration ------------------------------------------------------------------------------------------------------


class Calibration(NamedTuple):
    """For each bin that holds rows: their share, their mean confidence and the share of them that are right."""

    share: Float[Tensor, "bin"]
    confidence: Float[Tensor, "bin"]
    accuracy: Float[Tensor, "bin"]


def calibration(
    probability: Float[Tensor, "row class"], label: Int[Tensor, "row"], bins: int = 15, equal_mass: bool = False
) -> Calibration:
    """The reliability curve. The confidence of a row is the probability of its likeliest class.

    Bins are (0, 1/bins], (1/bins, 2/bins], ...; with `equal_mass` they are cut at the quantiles of the confidences, so
    that each holds as many rows (equal confidences stay together).
    """
    confidence, guess = probability.double().max(1)
    where = bin_of(confidence, bins, equal_mass)
    count, hits, sure = (
        torch.zeros(bins, dtype=torch.float64, device=label.device).index_add_(0, where, each)
        for each in (torch.ones_like(confidence), (guess == label).double(), confidence)
    )
    some = count > 0
    return Calibration(count[some] / len(label), sure[some] / count[some], hits[some] / count[some])


def bin_of(confidence: Float[Tensor, "row"], bins: int, equal_mass: bool) -> Int[Tensor, "row"]:
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=confidence.device)
    return torch.bucketize(confidence, (torch.quantile(confidence, edges) if equal_mass else edges)[1:-1].contiguous())


def ece(
    probability: Float[Tensor, "row class"], label: Int[Tensor, "row"], bins: int = 15, equal_mass: bool = False
) -> float:
    """Expected calibration error: |accuracy - confidence|, mean over the rows' bins (Guo et al. 2017).

    Never negative, so of few rows it is above 0 even for a perfect model: hold it against `ece_floor`.

    >>> round(ece(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([0, 1])), 6)
    0.4
    """
    share, confidence, accuracy = calibration(probability, label, bins, equal_mass)
    return float((share * (accuracy - confidence).abs()).sum())


def overconfidence(probability: Float[Tensor, "row class"], label: Int[Tensor, "row"]) -> float:
    """Mean confidence minus accuracy: above 0, the system is surer than it is right.

    >>> round(overconfidence(torch.tensor([[0.9, 0.1], [0.9, 0.1]]), torch.tensor([0, 1])), 6)
    0.4
    """
    return float(probability.double().amax(1).mean()) - wa(label, probability.argmax(1))


def ece_floor(
    probability: Float[Tensor, "row class"],
    generator: torch.Generator,
    group: Int[Tensor, "row"] | None = None,
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


def temperature(logits: Float[Tensor, "row class"], label: Int[Tensor, "row"]) -> float:
    """The T for which softmax(logits / T) has the least cross-entropy, between 0.05 and 20 (Guo et al. 2017).

    Fit it on the validation part. No answer changes, only how sure it sounds.
    """
    logits = logits.double()
    loss = lambda log_t: float(torch.nn.functional.cross_entropy(logits / math.exp(log_t), label))  # noqa: E731
    return math.exp(minimize_scalar(loss, bounds=(math.log(0.05), math.log(20)), method="bounded").x)
