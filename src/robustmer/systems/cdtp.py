"""CDTP: missing modalities imputed by conditional diffusion, and prompts in a MulT (Yu and Zhang)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.diffusion import Sampling
from robustmer.nn.prompts import Generative, PromptedMulT
from robustmer.systems.completion import Completion, Imputing
from robustmer.systems.system import AdamW, Upstream, widths
from robustmer.tasks import OwnError, Task


class CDTP(Imputing):
    """MPLMM with a diffusion in place of its linear completion (CDTP 3.4). A missing modality is drawn from its
    distribution given the others and projected like a recorded one; with its generative prompt it gives the `frames`
    frames that replace it, MLP([P_G; CondDiff]).

    The diffusion is an upstream system: it learns from clean samples to predict noise (eq. 5) and is then frozen.
    Without `generative` the drawn frames are used as they are; without any prompt this is a MulT on completed samples.
    With `start="mean"` there is no diffusion, and every missing modality is its mean.

    `frames` and the prompts are those of `MPLMM`; `unet`, `condition`, `inject` and `lr_diffusion` those of
    `Completion`; `steps`, `sampler`, `eta` and `start` those of `Sampling`.
    """

    upstream = {
        "completion": Upstream(
            Completion, passes=("frames", "unet", "condition", "inject", "lr_diffusion"), task=OwnError()
        )
    }

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, completion: Completion | None = None,
        width: int = 256, layers: int = 6, heads: int = 8, dropout: float = 0.1, frames: int = 1, length: int = 16,
        generative: bool = True, signal: bool = True, type: bool = True,
        unet: Sequence[int] = (128, 256), condition: int = 64, inject: str = "concat", lr_diffusion: float = 1e-3,
        steps: int = 20, sampler: str = "ddim", eta: float = 0.0, start: str = "noise", lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.impute_with(completion, Sampling(steps, sampler, eta, start), frames)
        self.optimizer, dims = AdamW(lr, weight_decay=0.0), widths(shapes)
        self.prompted = PromptedMulT(dims, task.outputs, width, layers, heads, dropout, frames, length, signal, type)
        self.generative = nn.ModuleDict({m: Generative(frames, length, width, 1) for m in dims}) if generative else None

    def forward(self, observed: Batch) -> Tensor:
        return self.prompted(observed, self.projected(observed))

    def projected(self, observed: Batch) -> dict[str, Float[Tensor, "batch frame width"]] | None:
        """For each modality the imputed frames in the samples that lack it, and zeros where no sample does; None for a
        batch of complete samples."""
        imputed, projected = self.imputed(observed), {}
        for m, project in self.prompted.backbone.project.items():
            if m in imputed:
                frames = project(imputed[m])
                projected[m] = frames if self.generative is None else self.generative[m]([frames])
            else:
                projected[m] = project.weight.new_zeros(len(observed), self.frames, project.out_features)
        return projected if imputed else None
