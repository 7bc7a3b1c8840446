"""MMIN, the missing modality imagination network (Zhao, Li and Jin 2021), as NMER trains it: with noise."""

from __future__ import annotations

from collections.abc import Mapping

from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from robustmer.batch import Batch, Shape
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import Encoders, mlp
from robustmer.systems.men import MEN
from robustmer.systems.system import System, Upstream, start_from, widths
from robustmer.tasks import Task


class MMIN(System):
    """MMIN's encoders start from a MEN that learnt clean data. A cascade of autoencoders imagines MEN's clean features
    from noisy ones, a second one maps them back to the noisy ones (the cycle), and a classifier reads the latents.

    Sizes and weights are those of the authors' code for IEMOCAP: 5,444,228 parameters beside the frozen MEN. There the
    target holds the missing modalities and zeros elsewhere; here it is MEN's features of the complete clean sample.
    """

    phase = "imagine"
    upstream = {"teacher": Upstream(MEN, share=0.5, passes=("width", "dropout"), phase="teacher", streams="MMIN")}

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, teacher: MEN, width: int = 128, blocks: int = 5,
        dropout: float = 0.5, weight_imagine: float = 4.0, weight_cycle: float = 2.0,
    ):  # fmt: skip
        super().__init__()
        self.weight_imagine, self.weight_cycle = weight_imagine, weight_cycle
        wide = len(shapes) * width
        self.teacher = teacher
        self.encoders = Encoders(widths(shapes), width, dropout)
        self.imagine = CascadeAutoencoder(wide, blocks)
        self.back = CascadeAutoencoder(wide, blocks)
        self.classifier = mlp(self.imagine.latent, width, width, task.outputs, dropout=dropout)
        start_from(self.encoders, teacher.encoders, self)

    def forward(self, observed: Batch) -> Tensor:
        return self.classifier(self.imagine(self.fused(observed))[1])

    def fused(self, observed: Batch) -> Float[Tensor, "batch wide"]:
        return rearrange(self.encoders(observed), "b m d -> b (m d)")

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        return {"features": self.teacher.features(clean)}

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        fused = self.fused(observed)
        imagined, latents = self.imagine(fused)
        return {
            "imagine": self.weight_imagine * mse_loss(imagined, clean.targets["features"]),
            "cycle": self.weight_cycle * mse_loss(self.back(imagined)[0], fused.detach()),
            "task": self.task.loss(self.classifier(latents), observed),
        }
