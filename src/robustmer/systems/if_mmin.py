"""IF-MMIN: MMIN guided by features that all modalities share (Zuo et al. 2023), as NMER trains it: with noise."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn.functional import mse_loss

from robustmer.batch import Batch, Shape
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import mlp
from robustmer.nn.invariant import SpecificInvariant
from robustmer.systems.system import System, start_from, widths
from robustmer.systems.teacher import InvariantTeacher, teacher_of
from robustmer.tasks import Task


class IFMMIN(System):
    """A teacher learns clean data with specific and invariant features. From noisy ones a cascade of autoencoders,
    guided by the invariant features, imagines the teacher's specific features; a classifier reads its latents.

    Sizes and weights are those of the authors' code: 3,782,852 parameters beside the frozen teacher. The cascade is
    MMIN's, with the guide added to the input of every block.
    """

    phase = "imagine"
    upstream = {"teacher": teacher_of("IFMMIN", own_encoders=False)}

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, teacher: InvariantTeacher, width: int = 128, blocks: int = 5,
        dropout: float = 0.5, weight_imagine: float = 1.0, weight_inv: float = 100.0,
    ):  # fmt: skip
        super().__init__()
        self.weight_imagine, self.weight_inv = weight_imagine, weight_inv
        self.teacher = teacher
        self.encoders = SpecificInvariant(widths(shapes), width, dropout, own_encoders=False)
        self.imagine = CascadeAutoencoder(len(shapes) * width, blocks)
        self.classifier = mlp(self.imagine.latent, width, width, task.outputs, dropout=dropout)
        start_from(self.encoders, teacher.encoders, self)

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.imagine(*self.encoders.flat(observed))[1])

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        return self.teacher.features(clean)

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        specific, invariant = self.encoders.flat(observed)
        imagined, latents = self.imagine(specific, invariant)
        return {
            "imagine": self.weight_imagine * mse_loss(imagined, clean.targets["specific"]),
            "inv": self.weight_inv * mse_loss(invariant, clean.targets["invariant"]),
            "task": self.task.loss(self.classifier(latents), observed),
        }
