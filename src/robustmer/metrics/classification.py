"""Classification metrics. The literature swaps the names of two of them; the book uses them as follows.

- WA, *weighted accuracy*: the share of samples that are classified correctly. Large classes have more weight.
- UA, *unweighted accuracy* (also UAR): the mean of the classes' recalls. All classes have the same weight.

The papers' code agrees: MMIN, IF-MMIN and NMER report scikit-learn's accuracy as WA and its macro recall as UA. Some
authors call macro recall "weighted" because it weights samples by class. CDTP's and MCWSA's "ACC" is WA.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from sklearn.metrics import accuracy_score, f1_score, recall_score
from torch import Tensor

Classes = Int[Tensor, "sample"]


def wa(label: Shaped[Tensor, "sample"], guess: Shaped[Tensor, "sample"]) -> float:
    """Weighted accuracy: the share of samples that are classified correctly.

    >>> wa(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    0.75
    """
    return float(accuracy_score(label.cpu(), guess.cpu()))


def ua(label: Classes, guess: Classes) -> float:
    """Unweighted accuracy: mean recall over the classes that occur among the labels.

    >>> ua(torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 0, 0]))
    0.5
    """
    label = label.cpu().numpy()
    recalls = recall_score(label, guess.cpu(), labels=np.unique(label), average=None, zero_division=0)
    return float(torch.as_tensor(recalls).mean())  # summed as torch does: training compares scores to the last bit


def f1(label: Classes, guess: Classes) -> float:
    """Macro F1: mean over the classes that occur as label or guess; 0 for a class without a correct guess."""
    return float(f1_score(label.cpu(), guess.cpu(), average="macro", zero_division=0))


CLASSIFICATION: dict[str, Callable[[Tensor, Tensor], float]] = {"WA": wa, "UA": ua, "F1": f1}
"""Label and guess are class numbers."""


def ua_difference(
    label: Int[Tensor, "sample"], difference: Float[Tensor, "sample"], group: Sequence[str] | np.ndarray
) -> tuple[float, float]:
    """The difference between two systems' UA on the same samples, and its standard error over groups.

    `difference` is the accuracy of the first system minus that of the second on each sample, -1 to 1. `group` names the
    speaker or video of each sample; the standard error is that of a new draw of groups. UA is a mean of ratios, so it
    is linearised, and the contributions of samples are summed within groups, because they are dependent. Raises
    ValueError for a single group, and for labels, differences and groups of different lengths.

    >>> label = torch.tensor([0, 0, 1, 1])
    >>> ua_difference(label, torch.tensor([1.0, 0.0, 1.0, 0.0]), ["anna", "ben", "anna", "ben"])
    (0.5, 0.5)
    """
    if not len(label) == len(difference) == len(group) or difference.ndim != 1 or not len(label):
        raise ValueError(
            f"{len(label)} labels, differences of shape {tuple(difference.shape)} and {len(group)} "
            "groups: give each sample one of each"
        )
    _, number = np.unique(group, return_inverse=True)
    groups = int(number.max()) + 1
    if groups < 2:
        raise ValueError(f"all {len(label)} samples are of one group; a standard error over groups needs two or more")
    label, difference = label.cpu(), difference.cpu().double()
    classes, label = label.unique(return_inverse=True)
    count = torch.bincount(label).double()
    mean = torch.zeros(len(classes), dtype=torch.float64).index_add_(0, label, difference) / count
    contribution = (difference - mean[label]) / (count[label] * len(classes))
    sums = torch.zeros(groups, dtype=torch.float64).index_add_(0, torch.as_tensor(number), contribution)
    return float(mean.mean()), float(sums.square().sum().mul(groups / (groups - 1)).sqrt())
