"""MPMM, missing-aware prompts (Lee et al. 2023) on a MulT, as CDTP 4.2 compares itself with them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import Backbone, available
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task


class MPMM(System):
    """Every layer of the MulT has its own prompts for each combination of available modalities: `length` tokens before
    the frames that the layer attends to (the attention-level prompts of Lee et al.). Their transformer is pre-trained
    and frozen; here MulT and prompts learn together. An absent modality is a frame of zeros.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 256, layers: int = 6, heads: int = 8,
        dropout: float = 0.1, length: int = 16, lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.optimizer = AdamW(lr, weight_decay=0.0)
        self.backbone = Backbone(widths(shapes), task.outputs, width, layers, heads, dropout)
        small = lambda encoders, width: nn.Parameter(  # noqa: E731
            0.02 * torch.randn(layers, 2 ** len(shapes), encoders, length, width)
        )
        self.crossmodal_prompts = small(len(self.backbone.pairs), width) if self.backbone.pairs else None
        self.memory_prompts = small(len(shapes), self.backbone.wide)

    def forward(self, observed: Batch) -> Tensor:
        prompts = tuple(self.chosen(observed, prompts) for prompts in (self.crossmodal_prompts, self.memory_prompts))
        return self.backbone(*self.backbone.read(observed), prompts=prompts)

    def chosen(
        self, observed: Batch, prompts: Tensor | None
    ) -> list[Float[Tensor, "encoder batch prompt width"]] | None:
        """The prompts of each sample's combination, for each layer. Combinations are numbered in binary, a digit a
        modality."""
        if prompts is None:
            return None
        case = sum(available(observed, m).long() << digit for digit, m in enumerate(self.shapes))
        return [layer[case].transpose(0, 1) for layer in prompts]
