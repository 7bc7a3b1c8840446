"""MulT, the multimodal transformer (Tsai et al. 2019), with the sizes of CDTP 4.3: the backbone of CDTP's Table 1."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import Backbone
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task


class MulT(System):
    """CDTP's baselines LB, MS and MD are this system: trained and tested with one combination of modalities, trained on
    complete samples and tested on others, and trained with `conditions.drop`.

    An absent modality is one frame of zeros (`nn.crossmodal.sequence`). There is no causal mask. Width 256, 6 layers, 8
    heads, dropout 0.1 and the learning rate are the paper's (CDTP 4.3), its optimizer is Adam: no decay. These sizes
    make 90 million parameters of three modalities; those of MulT's code (30, 5, 5) make 1.1 million.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 256, layers: int = 6, heads: int = 8,
        dropout: float = 0.1, lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.optimizer = AdamW(lr, weight_decay=0.0)
        self.backbone = Backbone(widths(shapes), task.outputs, width, layers, heads, dropout)

    def forward(self, observed: Batch) -> Tensor:
        return self.backbone(*self.backbone.read(observed))
