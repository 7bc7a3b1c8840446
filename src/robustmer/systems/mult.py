"""MulT, the multimodal transformer (Tsai et al. 2019), with the sizes of CDTP 4.3: the backbone of CDTP's Table 1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from robustmer.batch import Batch
from robustmer.nn.crossmodal import Backbone, sequence
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System


class MulT(System):
    """CDTP's baselines LB, MS and MD are this system: trained and tested with one combination of modalities, trained on
    whole rows and tested on others, and trained with `conditions.missing_modes`.

    An absent modality reads as one frame of zeros (`nn.crossmodal.sequence`). There is no causal mask. Width 256, 6
    layers, 8 heads, dropout 0.1 and the learning rate are the paper's (CDTP 4.3), its optimiser is Adam: no decay.
    These sizes make 90 million parameters of three modalities; those of MulT's code (30, 5, 5) make 1.1 million.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 256,
        layers: int = 6,
        heads: int = 8,
        dropout: float = 0.1,
        lr: float = 1e-4,
    ):
        super().__init__()
        self.lr = lr
        self.backbone = Backbone(dims, outputs(classes), width, layers, heads, dropout)

    def forward(self, seen: Batch) -> Tensor:
        read = {m: sequence(seen, m) for m in seen.modalities}
        projected = {m: self.backbone.project[m](x) for m, (x, _) in read.items()}
        return self.backbone(projected, {m: here for m, (_, here) in read.items()})

    def stages(self) -> Iterator[Stage]:
        yield Stage("classify", {"all": Objective(self.loss, self.parameters(), lr=self.lr, weight_decay=0.0)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}
