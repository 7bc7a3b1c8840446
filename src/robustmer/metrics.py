"""Metrics, one definition each. The literature swaps their names, so here is which is which.

- WA, *weighted accuracy*: the share of all rows that are right, plain accuracy. Classes count by their size.
- UA, *unweighted accuracy* (also UAR): the mean of the classes' recalls, balanced accuracy. Classes count alike.

So the papers' code has it: MMIN, IF-MMIN and NMER report scikit-learn's accuracy as WA and its macro recall as UA. Some
authors call macro recall "weighted" since it weights rows by class, and CDTP's and MCWSA's "ACC" is WA here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import minimize_scalar
from torch import Tensor


def confusion(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> Float[Tensor, "true guessed"]:
    """Counts of (true class, guessed class)."""
    classes = int(torch.maximum(label, guess).max()) + 1
    return torch.bincount(label * classes + guess, minlength=classes**2).reshape(classes, classes).double()


def wa(label: Shaped[Tensor, "row"], guess: Shaped[Tensor, "row"]) -> float:
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


def ua_difference(
    label: Int[Tensor, "row"], difference: Float[Tensor, "row"], group: Sequence[str] | np.ndarray
) -> tuple[float, float]:
    """A difference of two UAs on the same rows, and its standard error over other groups (speakers, videos) as these.

    `difference` says of each row how much more often the one is right than the other, -1 to 1. UA is a mean of ratios,
    so each row counts with what it adds to them (linearisation), and rows of one group stand and fall together.
    Raises ValueError for a single group, and where there is not one label, difference and group for each row.

    >>> label = torch.tensor([0, 0, 1, 1])
    >>> ua_difference(label, torch.tensor([1.0, 0.0, 1.0, 0.0]), ["anna", "ben", "anna", "ben"])
    (0.5, 0.5)
    """
    if not len(label) == len(difference) == len(group) or difference.ndim != 1 or not len(label):
        raise ValueError(f"{len(label)} labels, differences of shape {tuple(difference.shape)} and {len(group)} "
                         "groups: give each row one of each")
    _, number = np.unique(group, return_inverse=True)
    groups = int(number.max()) + 1
    if groups < 2:
        raise ValueError(f"all {len(label)} rows are of one group, so nothing says how much groups differ")
    label, difference = label.cpu(), difference.cpu().double()
    there, label = label.unique(return_inverse=True)
    count = torch.bincount(label).double()
    mean = torch.zeros(len(there), dtype=torch.float64).index_add_(0, label, difference) / count
    adds = (difference - mean[label]) / (count[label] * len(there))
    sums = torch.zeros(groups, dtype=torch.float64).index_add_(0, torch.as_tensor(number), adds)
    return float(mean.mean()), float(sums.square().sum().mul(groups / (groups - 1)).sqrt())


METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {"WA": wa, "UA": ua, "F1": f1}
"""Of classes: label and guess are numbers of classes."""


# --- regression of sentiment, -3 to 3 ---------------------------------------------------------------------------------


Numbers = Float[Tensor, "row"]


def acc2_has0(label: Numbers, guess: Numbers) -> float:
    """Share of rows on the right side of zero, where zero counts as positive (MMSA's Has0: >= 0 against >= 0)."""
    return wa(label >= 0, guess >= 0)


def acc2_non0(label: Numbers, guess: Numbers) -> float:
    """Share of rows on the right side of zero; rows whose label is 0 are left out (MMSA's Non0: > 0 against > 0)."""
    return wa(*away_from_zero(label, guess))


def f1_has0(label: Numbers, guess: Numbers) -> float:
    """Weighted F1 of the two classes of `acc2_has0`."""
    return weighted_f1((label >= 0).long(), (guess >= 0).long())


def f1_non0(label: Numbers, guess: Numbers) -> float:
    """Weighted F1 of the two classes of `acc2_non0`."""
    return weighted_f1(*(side.long() for side in away_from_zero(label, guess)))


def acc7(label: Numbers, guess: Numbers) -> float:
    """Seven-class accuracy: label and guess are clipped to -3 .. 3 and rounded, halves to the even number."""
    return wa(label.clamp(-3, 3).round(), guess.clamp(-3, 3).round())


def mae(label: Numbers, guess: Numbers) -> float:
    """Mean absolute error, in the unit of the label; the only one of these of which less is better.

    >>> mae(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.0]))
    1.5
    """
    return float((label - guess).double().abs().mean())


def corr(label: Numbers, guess: Numbers) -> float:
    """Pearson's correlation; 0 where all guesses are alike, or all labels: they then tell nothing of each other."""
    x, y = (each.double() - each.double().mean() for each in (label, guess))
    if (label == label[0]).all() or (guess == guess[0]).all():  # asked before centring, which may leave rounding
        return 0.0
    return float(x @ y / (x.norm() * y.norm()))


def away_from_zero(label: Numbers, guess: Numbers) -> tuple[Bool[Tensor, "some"], Bool[Tensor, "some"]]:
    some = label != 0
    if not some.any():
        raise ValueError(f"all of the {len(label)} labels are 0, so none is left for a metric that leaves zeros out")
    return label[some] > 0, guess[some] > 0


def weighted_f1(label: Int[Tensor, "row"], guess: Int[Tensor, "row"]) -> float:
    """F1 of each class, mean weighted by the number of rows that have it as label (scikit-learn's `weighted`)."""
    counts = confusion(label, guess)
    total = (counts.sum(0) + counts.sum(1)).clamp(min=1)
    return float((2 * counts.diagonal() / total * counts.sum(1)).sum() / counts.sum())


REGRESSION: dict[str, Callable[[Tensor, Tensor], float]] = {
    "acc2_has0": acc2_has0,
    "acc2_non0": acc2_non0,
    "f1_has0": f1_has0,
    "f1_non0": f1_non0,
    "acc7": acc7,
    "mae": mae,
    "corr": corr,
}
"""Of numbers: label and guess are sentiments from -3 to 3."""

UNITS = {"mae": "label", "corr": ""}
"""The units of metrics that are no fraction of rows."""


def scores(
    logits: Float[Tensor, "row output"], label: Int[Tensor, "row"] | Float[Tensor, "row"]
) -> dict[str, float]:
    """Every metric of what a system says: METRICS of its likeliest classes, or REGRESSION where labels are floats."""
    if label.is_floating_point():
        return {name: metric(label, logits[:, 0]) for name, metric in REGRESSION.items()}
    return {name: metric(label, logits.argmax(1)) for name, metric in METRICS.items()}


# --- distance of features ---------------------------------------------------------------------------------------------


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
