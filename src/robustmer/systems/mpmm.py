"""MPMM, missing-aware prompts (Lee et al. 2023) on a MulT, as CDTP 4.2 compares itself with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.crossmodal import Backbone, available, sequence
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System


class MPMM(System):
    """For each combination of available modalities every layer of the MulT has prompts of its own, `length` tokens that
    stand before the frames which the layer attends to. So the layers are told what is missing, each in its own words.

    Lee et al. lead prompts through a pre-trained transformer that stays frozen; their attention-level form adds them to
    what is attended, as here, so that sequences keep their lengths. No code of CDTP's or MPLMM's comparison is public
    and CDTP mentions no pre-training, so MulT and prompts learn together. An absent modality is a frame of zeros.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 256,
        layers: int = 6,
        heads: int = 8,
        dropout: float = 0.1,
        length: int = 16,
        lr: float = 1e-4,
    ):
        super().__init__()
        self.lr = lr
        self.backbone = Backbone(dims, outputs(classes), width, layers, heads, dropout)
        small = lambda encoders, width: nn.Parameter(  # noqa: E731
            0.02 * torch.randn(layers, 2 ** len(dims), encoders, length, width)
        )
        self.crossmodal_prompts = small(len(self.backbone.pairs), width) if self.backbone.pairs else None
        self.memory_prompts = small(len(dims), self.backbone.wide)

    def forward(self, seen: Batch) -> Tensor:
        read = {m: sequence(seen, m) for m in seen.modalities}
        projected = {m: self.backbone.project[m](x) for m, (x, _) in read.items()}
        here = {m: here for m, (_, here) in read.items()}
        return self.backbone(projected, here, prompts=(self.of_row(seen, self.crossmodal_prompts),
                                                       self.of_row(seen, self.memory_prompts)))  # fmt: skip

    def of_row(self, seen: Batch, prompts: Tensor | None) -> list[Float[Tensor, "encoder batch prompt width"]] | None:
        """The prompts of what each row has, for each layer: combinations are numbered in binary, a digit a modality."""
        if prompts is None:
            return None
        case = sum(available(seen, m).long() << digit for digit, m in enumerate(seen.modalities))
        return [layer[case].transpose(0, 1) for layer in prompts]

    def stages(self) -> Iterator[Stage]:
        yield Stage("classify", {"all": Objective(self.loss, self.parameters(), lr=self.lr, weight_decay=0.0)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}
