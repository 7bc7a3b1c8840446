"""The teacher of NMER and IF-MMIN: specific and invariant features of clean data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.encoders import mlp
from robustmer.nn.gaussians import central_moment_discrepancy
from robustmer.nn.invariant import SpecificInvariant
from robustmer.systems.system import System, Upstream, widths
from robustmer.tasks import Task


class InvariantTeacher(System):
    """Encoders with a specific and an invariant branch, and a classifier on both, for clean data (IF-MMIN 2.1, and the
    first stage of NMER). With width 128 and shared encoders it has the 2,145,796 parameters of IF-MMIN's code."""

    phase = "teacher"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 128, dropout: float = 0.5, own_encoders: bool = True
    ):
        super().__init__()
        self.encoders = SpecificInvariant(widths(shapes), width, dropout, own_encoders)
        self.classifier = mlp(2 * len(shapes) * width, width, width, task.outputs, dropout=dropout)

    def forward(self, observed: Batch) -> Tensor:
        return self.classify(*self.encoders(observed))

    def classify(self, specific: Tensor, invariant: Tensor) -> Tensor:
        return self.classifier(rearrange(torch.cat([specific, invariant], dim=-1), "b m d -> b (m d)"))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """The loss of the task, and the central moment discrepancy of the invariant features, a mean over the pairs of
        modalities that a sample of the batch has."""
        specific, invariant = self.encoders(observed)
        present, apart = self.encoders.specific.present(observed), []
        for a, b in torch.combinations(torch.arange(invariant.shape[1])).tolist():
            both = present[:, a] & present[:, b]
            if both.any():
                apart.append(central_moment_discrepancy(invariant[both, a], invariant[both, b]))
        terms = {"task": self.task.loss(self.classify(specific, invariant), observed)}
        return terms | ({"cmd": torch.stack(apart).mean()} if apart else {})

    def features(self, clean: Batch) -> dict[str, Tensor]:
        """Specific and invariant features, (B, M D): what a student learns to imagine."""
        specific, invariant = self.encoders.flat(clean)
        return {"specific": specific, "invariant": invariant}


def teacher_of(system: str, **options: object) -> Upstream:
    """The teacher that learns clean data with half of a system's budget, and its random streams."""
    return Upstream(InvariantTeacher, share=0.5, passes=("width", "dropout"), options=options, streams=system)
