"""Large-scale temporal pyramid pooling (LTPP): sequences of any length become a fixed number of rows (MCWSA IV.C)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def levels_to(maximum: int) -> tuple[int, ...]:
    """The levels 1, 2, 4, ..., maximum. Raises ValueError unless the maximum is a power of two.

    The paper prints l = 0, 2, 4, ... and 128 rows for a maximum of 64, 32 for 16. Both counts need its level 0 to be
    one region, and the global maximum as the last row.

    >>> levels_to(16), rows(levels_to(16)), rows(levels_to(64))
    ((1, 2, 4, 8, 16), 32, 128)
    """
    if maximum < 1 or maximum & (maximum - 1):
        raise ValueError(f"the maximum level {maximum} was given; give a power of two: 1, 2, 4, ..., 64")
    return tuple(1 << i for i in range(maximum.bit_length()))


def rows(levels: Sequence[int]) -> int:
    """Rows of a pyramid: one for each region of each level, and the maximum."""
    return sum(levels) + 1


def pyramid(
    x: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"], levels: Sequence[int]
) -> Float[Tensor, "batch row dim"]:
    """Means over the n equal regions of every level n, coarse to fine, then the maximum over time (MCWSA IV.C).

    Region i of n holds the recorded frames from floor(iT / n) to floor((i + 1)T / n). A sample of T < n frames is
    padded with zeros to n frames, for that level. A sample without frames, an absent modality, is zeros.
    Raises ValueError for a level without regions.
    """
    if not levels or min(levels) < 1:
        raise ValueError(f"the levels {list(levels)} were given; give numbers of regions, such as 1, 2, 4")
    x, time = torch.where(mask[..., None], x, 0.0), mask.sum(1, keepdim=True)
    # Sums up to a border, of which two make a region: no loop over regions, and every frame is read once.
    sums = torch.nn.functional.pad(x.cumsum(1), (0, 0, 1, 0))
    borders = [torch.arange(n + 1, device=x.device) * time.clamp(min=n) // n for n in levels]
    first = torch.arange(len(x), device=x.device)[:, None] * sums.shape[1]
    at = sums.flatten(0, 1)[first + torch.minimum(torch.cat(borders, 1), time)]
    regions = torch.cat([part.diff(dim=1) for part in at.split([n + 1 for n in levels], dim=1)], 1)
    means = regions / torch.cat([border.diff(dim=1) for border in borders], 1)[..., None]
    highest = torch.where(mask[..., None], x, -torch.inf).amax(1, keepdim=True)
    return torch.cat([means, torch.where(time[..., None] > 0, highest, 0.0)], dim=1)
