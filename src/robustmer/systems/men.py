"""MEN, the modality encoder network of MMIN: NMER's complete-data baseline, trained clean and tested noisy."""

from __future__ import annotations

from collections.abc import Mapping

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.encoders import Encoders, mlp
from robustmer.systems.system import System, widths
from robustmer.tasks import Task


class MEN(System):
    """One encoder a modality, concatenation, three linear layers (NMER 3.4; sizes of MMIN's code: 128 a modality,
    classifier 384-128-128-classes, 2,063,620 parameters for IEMOCAP)."""

    def __init__(self, shapes: Mapping[str, Shape], task: Task, width: int = 128, dropout: float = 0.5):
        super().__init__()
        self.encoders = Encoders(widths(shapes), width, dropout)
        self.classifier = mlp(len(shapes) * width, width, width, task.outputs, dropout=dropout)

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.features(observed))

    def features(self, observed: Batch) -> Float[Tensor, "batch wide"]:
        return rearrange(self.encoders(observed), "b m d -> b (m d)")
