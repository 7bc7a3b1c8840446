"""NMER's ablation without the VAE (NMER 3.4): the classifier reads the features themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from einops import rearrange
from torch import Tensor
from torch.nn.functional import mse_loss

from robustmer.batch import Batch
from robustmer.nn.encoders import mlp
from robustmer.nn.invariant import SpecificInvariant, Teacher
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Stage, System, taught


class NMERWithoutVAE(System):
    """h' and H' side by side, "directly" into the classifier. Teacher, first weights and invariance loss are NMER's;
    the generation loss goes with what it trains."""

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 128,
        dropout: float = 0.5,
        weight_inv: float = 10.0,
    ):
        super().__init__()
        self.weight_inv = weight_inv
        wide = len(dims) * width
        self.teacher = Teacher(dims, outputs(classes), width, dropout)
        self.encoders = SpecificInvariant(dims, width, dropout)
        self.classifier = mlp(2 * wide, wide, width, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        return self.logits_and_invariant(seen)[0]

    def logits_and_invariant(self, seen: Batch) -> tuple[Tensor, Tensor]:
        specific, invariant = (rearrange(part, "b m d -> b (m d)") for part in self.encoders(seen))
        both = rearrange([specific, invariant], "branch b wide -> b (branch wide)")
        return self.classifier(both), invariant

    def stages(self) -> Iterator[Stage]:
        yield from taught(self, "classify", self.loss)

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        logits, invariant = self.logits_and_invariant(seen)
        _, target_invariant = self.teacher.targets(clean)
        return {
            "inv": self.weight_inv * mse_loss(invariant, target_invariant),
            "cls": task_loss(logits, seen.label),
        }
