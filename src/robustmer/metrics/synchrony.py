"""Whether picture and sound are in step: how dark a mouth is, and its correlation with loudness at every lag."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def darkness(
    pictures: Float[Tensor, "batch time channel height width"], box: tuple[int, int, int, int]
) -> Float[Tensor, "batch time"]:
    """One minus the mean brightness in a box (top, bottom, left, right): an open mouth and an open eye are dark."""
    top, bottom, left, right = box
    return 1 - pictures[..., top:bottom, left:right].mean((2, 3, 4))


def loudness_db(power: Float[Tensor, "batch time bin"]) -> Float[Tensor, "batch time"]:
    """Of each frame, 10 log10 of the sum of its power spectrum."""
    return 10 * power.sum(-1).clamp(min=1e-6).log10()


def lagged_correlation(
    first: Float[Tensor, "batch time"],
    second: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    lags: Sequence[int],
) -> Float[Tensor, "batch lag"]:
    """Pearson's correlation of first[t] with second[t + lag] over the recorded frames of each sample; at a positive lag
    the second follows. NaN where fewer than three frames remain, or where one does not change."""
    longest, columns = first.shape[1], []
    for lag in lags:
        early, late = slice(max(-lag, 0), longest - max(lag, 0)), slice(max(lag, 0), longest - max(-lag, 0))
        both = mask[:, early] & mask[:, late]
        count = both.sum(1, keepdim=True)
        pair = [x.double() for x in (first[:, early], second[:, late])]
        pair = [torch.where(both, x - (x * both).sum(1, keepdim=True) / count.clamp(min=1), 0.0) for x in pair]
        spread = pair[0].square().sum(1) * pair[1].square().sum(1)
        value = (pair[0] * pair[1]).sum(1) / spread.sqrt()
        columns.append(torch.where((count[:, 0] > 2) & (spread > 1e-12), value, torch.nan))
    return torch.stack(columns, dim=1).float()
