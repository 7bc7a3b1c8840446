"""Budget: the length of a training; History: its records."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Budget:
    """The length of a training: `epochs`, at least `min_steps` and at most `max_steps` optimizer steps, times `share`.

    60 epochs (NMER 3.3) of 4446 samples in batches of 128 are 2,100 steps; of 240 samples they are 120, far too few.
    The validation split is scored `checks` times. Raises ValueError for a budget of no step.
    """

    epochs: int = 60
    min_steps: int = 0
    max_steps: int | None = None
    batch_size: int = 128
    checks: int = 20
    share: float = 1.0

    def __post_init__(self):
        if self.batch_size < 1 or self.checks < 1 or self.epochs < 0 or self.min_steps < 0 or self.share <= 0:
            raise ValueError(
                f"{self}: batch_size and checks are at least 1, epochs and min_steps at least 0, share > 0"
            )
        if self.max_steps is not None and self.max_steps < max(1, self.min_steps):
            raise ValueError(f"{self}: max_steps must be at least 1 and at least min_steps")
        if self.epochs == self.min_steps == 0:
            raise ValueError(f"{self} trains for no step at all: give epochs or min_steps")

    def steps(self, samples: int) -> int:
        """The number of optimizer steps for a train split of this size."""
        steps = max(self.epochs * -(-samples // self.batch_size), self.min_steps)
        return max(1, round(self.share * (steps if self.max_steps is None else min(steps, self.max_steps))))


@dataclass(frozen=True)
class History:
    """The records of a training, one a check: step, epoch, seconds, lr, the mean of each loss term since the last
    check, valid_loss and, where the task has a score of its own, valid_<score>."""

    records: tuple[dict, ...] = ()
    kept: int = 0
    """The step whose weights were kept."""

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.records)

    def __len__(self) -> int:
        return len(self.records)


STANDARD = Budget()
"""60 epochs in batches of 128, as NMER 3.3 trains."""
