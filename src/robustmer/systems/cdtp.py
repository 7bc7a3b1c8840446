"""CDTP, missing modalities completed by conditional diffusion, and prompts in a MulT (Yu and Zhang)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.completion import Completion
from robustmer.nn.prompts import PromptedMulT, StandIn
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.completed import completing
from robustmer.systems.system import Objective, Stage, System


class CDTP(System):
    """MPLMM with its linear completion replaced by a diffusion (CDTP 3.4): a missing modality is drawn from what it may
    have been, projected like a recorded one, and led with its generative prompt to the `frames` frames that stand in
    for it, MLP([P_G; CondDiff]). The paper draws it once for each available modality; here once from all of them.

    First the diffusion learns from complete rows to tell noise from features (eq. 5), with its own learning rate; then
    the rest learns the task on drawn features, and the diffusion stays as it is. The paper says "first stage" and not
    what is frozen; its released code has no eq. 5 at all. Without `generative`, what is drawn stands in as it is;
    without any of the prompts this is a MulT on completed rows. `start="mean"` is the same network without the
    diffusion: every missing modality is its mean. MPLMM has no diffusion either, but also another way from the
    available modalities to what stands in for the missing one.

    `frames` is 1 for a corpus of vectors, about its number of frames for one of sequences. `unet`, `condition`,
    `inject`, `steps`, `sampler`, `eta` and `start` are those of `Completion`.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 256,
        layers: int = 6,
        heads: int = 8,
        dropout: float = 0.1,
        frames: int = 1,
        length: int = 16,
        generative: bool = True,
        signal: bool = True,
        type: bool = True,
        unet: Sequence[int] = (128, 256),
        condition: int = 64,
        inject: str = "concat",
        steps: int = 20,
        sampler: str = "ddim",
        eta: float = 0.0,
        start: str = "noise",
        lr: float = 1e-4,
        lr_diffusion: float = 1e-3,
    ):
        super().__init__()
        self.lr, self.lr_diffusion = lr, lr_diffusion
        self.prompted = PromptedMulT(
            dims, outputs(classes), width, layers, heads, dropout, frames, length, signal, type
        )
        self.stand_in = nn.ModuleDict({m: StandIn(frames, length, width, 1) for m in dims}) if generative else None
        self.completion = Completion(dims, frames, unet, condition, inject, steps, sampler, eta, start)

    def forward(self, seen: Batch) -> Tensor:
        return self.prompted(seen, self.generated(seen))

    def generated(self, seen: Batch) -> dict[str, Float[Tensor, "batch frame width"]] | None:
        """For each modality the frames that stand in for it in the rows that lack it, and zeros where no row does;
        nothing for a batch that lacks nothing."""
        drawn, generated = self.completion.complete(seen), {}
        for m, project in self.prompted.backbone.project.items():
            if m in drawn:
                projected = project(drawn[m])
                generated[m] = projected if self.stand_in is None else self.stand_in[m]([projected])
            else:
                generated[m] = project.weight.new_zeros(len(seen), self.completion.frames, project.out_features)
        return generated if drawn else None

    def stages(self) -> Iterator[Stage]:
        yield from completing(self.completion, self.lr_diffusion)
        own = [p for part, p in self.named_parameters() if not part.startswith("completion.")]
        yield Stage("classify", {"all": Objective(self.loss, own, lr=self.lr, weight_decay=0.0)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}
