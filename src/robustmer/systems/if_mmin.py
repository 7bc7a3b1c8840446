"""IF-MMIN: MMIN guided by features that all modalities share (Zuo et al. 2023), as NMER trains it: with noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from einops import rearrange
from torch import Tensor
from torch.nn.functional import mse_loss

from robustmer.batch import Batch
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import mlp
from robustmer.nn.invariant import SpecificInvariant, Teacher
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Stage, System, taught


class IFMMIN(System):
    """A teacher learns clean data with specific and invariant features. From noisy ones a cascade of autoencoders, each
    guided by the invariant features, imagines the teacher's specific features; a classifier reads its latents.

    Sizes are those of the authors' code: 3,782,852 parameters beside the frozen teacher. Its weights are 1 for
    classification and imagination and 100 for invariance (the script names an option that does not exist; 100 is what
    it meant). The code's two versions add up the cascade in different ways; here it is MMIN's, and the guide is added
    to what a block reads.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 128,
        blocks: int = 5,
        dropout: float = 0.5,
        weight_imagine: float = 1.0,
        weight_inv: float = 100.0,
    ):
        super().__init__()
        self.weight_imagine, self.weight_inv = weight_imagine, weight_inv
        self.teacher = Teacher(dims, outputs(classes), width, dropout, own_encoders=False)
        self.encoders = SpecificInvariant(dims, width, dropout, own_encoders=False)
        self.imagine = CascadeAutoencoder(len(dims) * width, blocks)
        self.classifier = mlp(self.imagine.latent, width, width, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        specific, invariant = self.features(seen)
        return self.classifier(self.imagine(specific, invariant)[1])

    def features(self, seen: Batch) -> tuple[Tensor, Tensor]:
        specific, invariant = self.encoders(seen)
        return rearrange(specific, "b m d -> b (m d)"), rearrange(invariant, "b m d -> b (m d)")

    def stages(self) -> Iterator[Stage]:
        yield from taught(self, "imagine", self.loss)

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        target, target_invariant = self.teacher.targets(clean)
        specific, invariant = self.features(seen)
        imagined, latents = self.imagine(specific, invariant)
        return {
            "imagine": self.weight_imagine * mse_loss(imagined, target),
            "inv": self.weight_inv * mse_loss(invariant, target_invariant),
            "cls": task_loss(self.classifier(latents), seen.label),
        }
