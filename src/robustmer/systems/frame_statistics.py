"""FrameStatistics: mean and standard deviation of frames over time, the code that needs no network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.systems.system import AdamW, System, constant, Objective
from robustmer.tasks import Task


class FrameStatistics(System):
    """A control for codes that are learnt: what a probe reads in the frames themselves.

    Frames are averaged to static / (2 M) values for each of M modalities: pictures over a grid of areas, vectors over
    neighbouring features, those in `power` as log power. The code is their mean and standard deviation over the
    recorded frames, standardised. Mean and scale of the code are a Gaussian's, learnt by maximum likelihood. A modality
    that a sample lacks is at the mean. Raises ValueError where `static` is no multiple of 2 M.
    """

    phase = "statistics"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, static: int = 84, power: Sequence[str] = (), lr: float = 0.05
    ):
        super().__init__()
        self.values, rest = divmod(static, 2 * len(shapes))
        if rest or not self.values:
            raise ValueError(f"static={static}: give a multiple of {2 * len(shapes)}, twice the number of modalities")
        self.power, self.optimizer = tuple(power), AdamW(lr, weight_decay=0.0)
        self.mean, self.log_scale = nn.Parameter(torch.zeros(static)), nn.Parameter(torch.zeros(static))

    def forward(self, observed: Batch) -> Tensor:
        return self.code(observed)

    def code(self, observed: Batch) -> Float[Tensor, "batch code"]:
        values, known = self.statistics(observed)
        return torch.where(known, (values - self.mean) * torch.exp(-self.log_scale), 0.0)

    def statistics(self, observed: Batch) -> tuple[Tensor, Tensor]:
        """The statistics (B, static) before standardisation, and which of them are known."""
        values, known = [], []
        for m in self.shapes:
            x, mask = observed.frames(m)
            x = averaged(torch.log10(x.clamp(min=0) + 1e-10) if m in self.power else x, self.values)
            mean = mean_over_time(x, mask)
            spread = mean_over_time((x - mean[:, None]).square(), mask)
            values += [mean, (spread + 1e-6).sqrt()]
            known += 2 * [mask.any(1, keepdim=True).expand(mean.shape)]
        return torch.cat(values, dim=1), torch.cat(known, dim=1)

    def objectives(self) -> dict[str, Objective]:
        return {"all": Objective(self.loss, self.own_parameters(), self.optimizer, schedule=constant)}

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """Negative log likelihood of the known statistics under a Gaussian, without its constant, a mean over them."""
        values, known = self.statistics(observed)
        surprise = self.log_scale + 0.5 * ((values - self.mean) * torch.exp(-self.log_scale)).square()
        return {"likelihood": torch.where(known, surprise, 0.0).sum() / known.sum().clamp(min=1)}


def averaged(x: Float[Tensor, "batch time ..."], values: int) -> Float[Tensor, "batch time value"]:
    """Frames as so many means: of a grid of areas for pictures, of neighbouring features for vectors."""
    if x.ndim == 3:
        return adaptive_avg_pool1d(x, values)
    rows = max(n for n in range(1, math.isqrt(values) + 1) if values % n == 0)
    grey = x.flatten(2, -3).mean(2) if x.ndim > 4 else x
    return adaptive_avg_pool2d(grey, (rows, values // rows)).flatten(2)
