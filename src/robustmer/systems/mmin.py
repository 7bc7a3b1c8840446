"""MMIN, the missing modality imagination network (Zhao, Li and Jin 2021), as NMER trains it: with noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from robustmer.batch import Batch
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import Encoders, mlp
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.men import MEN
from robustmer.systems.system import Stage, System, taught


class MMIN(System):
    """A MEN learns clean data. MMIN's encoders start from it; a cascade of autoencoders imagines MEN's clean features
    from noisy ones, a second one maps them back to the noisy ones (the cycle), and a classifier reads the latents.

    Sizes and weights (classification 1, imagination 4, cycle 2) are those of the authors' code for IEMOCAP: 5,444,228
    parameters beside the frozen MEN. There the target holds the missing modalities and zeros elsewhere. Under noise,
    where all modalities may be affected, it is what MEN makes of the whole clean row.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 128,
        blocks: int = 5,
        dropout: float = 0.5,
        weight_imagine: float = 4.0,
        weight_cycle: float = 2.0,
    ):
        super().__init__()
        self.weight_imagine, self.weight_cycle = weight_imagine, weight_cycle
        wide = len(dims) * width
        self.teacher = MEN(dims, classes, width, dropout)
        self.encoders = Encoders(dims, width, dropout)
        self.imagine = CascadeAutoencoder(wide, blocks)
        self.back = CascadeAutoencoder(wide, blocks)
        self.classifier = mlp(self.imagine.latent, width, width, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        return self.classifier(self.imagine(self.fused(seen))[1])

    def fused(self, seen: Batch) -> Float[Tensor, "batch wide"]:
        return rearrange(self.encoders(seen), "b m d -> b (m d)")

    def stages(self) -> Iterator[Stage]:
        yield from taught(self, "imagine", self.loss)

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        fused = self.fused(seen)
        imagined, latents = self.imagine(fused)
        return {
            "imagine": self.weight_imagine * mse_loss(imagined, self.target(clean)),
            "cycle": self.weight_cycle * mse_loss(self.back(imagined)[0], fused.detach()),
            "cls": task_loss(self.classifier(latents), seen.label),
        }

    @torch.no_grad()
    def target(self, clean: Batch) -> Float[Tensor, "batch wide"]:
        """What the frozen MEN makes of clean rows, without dropout."""
        training = self.teacher.training
        self.teacher.eval()
        encoded = rearrange(self.teacher.encoders(clean), "b m d -> b (m d)")
        self.teacher.train(training)
        return encoded
