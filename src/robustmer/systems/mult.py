"""MulT, the multimodal transformer (Tsai et al. 2019), with the sizes of CDTP 4.3: the backbone of CDTP's Table 1."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import Backbone
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task


class MulT(System):
    """CDTP's baselines LB, MS and MD are this system, trained in one missing case, on complete samples, and with
    `conditions.drop`. An absent modality is one frame of zeros (`nn.crossmodal.sequence`).

    The sizes, the learning rate and Adam without decay are those of CDTP 4.3: 90 million parameters for three
    modalities. The sizes of MulT's code (30, 5, 5) make 1.1 million.
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
