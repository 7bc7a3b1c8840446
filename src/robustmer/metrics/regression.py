"""Regression metrics of sentiment, a number from -3 to 3."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Bool, Float
from scipy.stats import pearsonr
from sklearn.metrics import f1_score
from torch import Tensor

from robustmer.metrics.classification import wa

Numbers = Float[Tensor, "sample"]


def acc2_has0(label: Numbers, guess: Numbers) -> float:
    """Share of samples on the right side of zero, where zero counts as positive (MMSA's Has0: >= 0 against >= 0)."""
    return wa(label >= 0, guess >= 0)


def acc2_non0(label: Numbers, guess: Numbers) -> float:
    """Share of samples on the right side of zero; labels of 0 are left out (MMSA's Non0: > 0 against > 0)."""
    return wa(*without_zeros(label, guess))


def f1_has0(label: Numbers, guess: Numbers) -> float:
    """Weighted F1 of the two classes of `acc2_has0`."""
    return weighted_f1(label >= 0, guess >= 0)


def f1_non0(label: Numbers, guess: Numbers) -> float:
    """Weighted F1 of the two classes of `acc2_non0`."""
    return weighted_f1(*without_zeros(label, guess))


def acc7(label: Numbers, guess: Numbers) -> float:
    """Seven-class accuracy: label and guess are clipped to -3 .. 3 and rounded, halves to the even number."""
    return wa(label.clamp(-3, 3).round(), guess.clamp(-3, 3).round())


def mae(label: Numbers, guess: Numbers) -> float:
    """Mean absolute error, in the unit of the label. Of these metrics only this one is better when it is lower.

    >>> mae(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 0.0]))
    1.5
    """
    return float((label - guess).double().abs().mean())


def corr(label: Numbers, guess: Numbers) -> float:
    """Pearson's correlation; 0 where all labels or all guesses are equal and it is undefined."""
    if (label == label[0]).all() or (guess == guess[0]).all():
        return 0.0
    return float(pearsonr(label.double().cpu(), guess.double().cpu()).statistic)


def without_zeros(label: Numbers, guess: Numbers) -> tuple[Bool[Tensor, "kept"], Bool[Tensor, "kept"]]:
    kept = label != 0
    if not kept.any():
        raise ValueError(f"all {len(label)} labels are 0, and this metric leaves such samples out")
    return label[kept] > 0, guess[kept] > 0


def weighted_f1(label: Bool[Tensor, "sample"], guess: Bool[Tensor, "sample"]) -> float:
    return float(f1_score(label.cpu(), guess.cpu(), average="weighted", zero_division=0))


REGRESSION: dict[str, Callable[[Tensor, Tensor], float]] = {
    "acc2_has0": acc2_has0,
    "acc2_non0": acc2_non0,
    "f1_has0": f1_has0,
    "f1_non0": f1_non0,
    "acc7": acc7,
    "mae": mae,
    "corr": corr,
}
"""Label and guess are sentiments from -3 to 3."""
