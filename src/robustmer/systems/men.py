"""MEN, the modality encoder network of MMIN: NMER's complete-data baseline, trained clean and tested noisy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from einops import rearrange
from torch import Tensor

from robustmer.batch import Batch
from robustmer.nn.encoders import Encoders, mlp
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System


class MEN(System):
    """One encoder a modality, concatenation, three linear layers (NMER 3.4; sizes of MMIN's code: 128 a modality,
    classifier 384-128-128-classes, 2,063,620 parameters for IEMOCAP)."""

    def __init__(self, dims: Mapping[str, int], classes: Sequence[str], width: int = 128, dropout: float = 0.5):
        super().__init__()
        self.encoders = Encoders(dims, width, dropout)
        self.classifier = mlp(len(dims) * width, width, width, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        return self.classifier(rearrange(self.encoders(seen), "b m d -> b (m d)"))

    def stages(self) -> Iterator[Stage]:
        yield Stage("classify", {"all": Objective(self.loss, self.parameters())})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}
