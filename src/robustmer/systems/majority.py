"""The majority class: what accuracy is worth before anything was understood."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from einops import repeat
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System


class Majority(System):
    """The same logits for every row. Their best cross-entropy is at the log frequencies of the classes, so the class
    that is commonest in training is always answered: UA is 1 / classes, WA its share of the test part. Of numbers the
    median is answered."""

    def __init__(self, dims: Mapping[str, int], classes: Sequence[str], lr: float = 0.01):
        super().__init__()
        self.lr = lr
        self.bias = nn.Parameter(torch.zeros(outputs(classes)))

    def forward(self, seen: Batch) -> Tensor:
        return repeat(self.bias, "c -> b c", b=len(seen))

    def stages(self) -> Iterator[Stage]:
        yield Stage("count", {"all": Objective(self.loss, [self.bias], lr=self.lr, weight_decay=0.0)}, select=False)

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}
