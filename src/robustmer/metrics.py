"""Metrics, one definition each. The literature swaps their names, so here is which is which.

- WA, *weighted accuracy*: the share of all rows that are right, plain accuracy. Classes count by their size.
- UA, *unweighted accuracy* (also UAR): the mean of the classes' recalls, balanced accuracy. Classes count alike.

So the papers' code has it: MMIN, IF-MMIN and NMER report scikit-learn's accuracy as WA and its macro recall as UA. Some
authors call macro recall "weighted" since it weights rows by class, and CDTP's and MCWSA's "ACC" is WA here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
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
