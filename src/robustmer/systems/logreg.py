"""Logistic regression on features averaged over time: the baseline that every deep system has to beat."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task


class LogReg(System):
    """softmax(W mean_t x + b) over the concatenated modalities, with a penalty `l2` on W in units of the mean loss
    (scikit-learn's C is 1 / (samples l2)). The loss is convex, so training has no early stopping. For numbers it is a
    linear regression with the least absolute error. The penalty was chosen on the validation actors of RAVDESS-AV."""

    selects = False

    def __init__(self, shapes: Mapping[str, Shape], task: Task, l2: float = 0.1, lr: float = 0.01):
        super().__init__()
        self.l2, self.optimizer = l2, AdamW(lr, weight_decay=0.0)
        self.linear = nn.Linear(sum(widths(shapes).values()), task.outputs)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, observed: Batch) -> Tensor:
        return self.linear(torch.cat([mean_over_time(*observed.frames(m)) for m in self.shapes], dim=1))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        return super().loss(clean, observed) | {"l2": 0.5 * self.l2 * self.linear.weight.square().sum()}
