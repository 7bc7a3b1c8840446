"""Probe: a small classifier on the frozen code of a generative system (VQ-MDVAE 3.6)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.encoders import mlp
from robustmer.nn.transport import barycentric_map, transport_plan
from robustmer.systems.mdvae import MDVAE
from robustmer.systems.system import AdamW, Objective, System, Upstream
from robustmer.tasks import AdaptedClassify, OfLabel, OwnError, Task

HEADS = {"MLR": (), "MLP": (128, 128)}
"""Widths of the hidden layers. The paper states two hidden layers and not their widths."""
KNOWN = 4096
"""The most codes of train samples that a probe keeps for domain adaptation."""


class Probe(System):
    """Multinomial logistic regression (`head="MLR"`) or a perceptron with two hidden layers ("MLP") on codes.

    The upstream `model` is frozen. Of the train samples of each class a `share` has a label, at least one in every 512
    train samples; a larger share contains the smaller ones. With a share below 1 the last weights are kept, because
    labels that select weights are labels too. Train codes are computed once. With the task `AdaptedClassify` the probe
    keeps them, and test codes are mapped to them. Raises ValueError for an unknown head, a share outside (0, 1], a task
    that predicts no label and a system without a code.
    """

    phase = "probe"
    upstream = {"model": Upstream(MDVAE, task=OwnError())}

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, model: System, head: str = "MLR", share: float = 1.0,
        lr: float = 1e-2,
    ):  # fmt: skip
        super().__init__()
        if head not in HEADS or not 0 < share <= 1:
            raise ValueError(f"head={head!r}, share={share}: give {' or '.join(HEADS)}, and a share above 0, at most 1")
        if not isinstance(task, OfLabel):
            raise ValueError(f"a probe predicts a label, and {task} has none; give it Classify(...)")
        self.model, self.share, self.optimizer, self.selects = model, share, AdamW(lr), share == 1
        width = model.settings.get("static") if hasattr(model, "code") else None
        if not width:
            raise ValueError(
                f"{type(model).__name__} has no code of a sample; a probe starts from a system with the option static and "
                "a method code(observed), such as MDVAE"
            )
        self.head = mlp(width, *HEADS[head], task.outputs)
        self.rows: dict[str, int] = {}
        if isinstance(task, AdaptedClassify):
            self.register_buffer("known", torch.zeros(KNOWN, width))
            self.register_buffer("count", torch.zeros((), dtype=torch.long))

    def forward(self, observed: Batch) -> Tensor:
        return self.head(self.model.code(observed))

    def adapted(self, observed: Batch) -> Tensor:
        """The output for codes that optimal transport maps to those of the train samples: samples are mapped together,
        so an output depends on the others of the batch. Raises ValueError for a probe that keeps no train codes."""
        known = self.known[: int(self.count)] if "known" in self._buffers else []
        if not len(known):
            raise ValueError("the probe keeps no codes of train samples; train it for the task AdaptedClassify")
        codes = self.model.code(observed)
        return self.head(barycentric_map(transport_plan(codes, known), known))

    def objectives(self) -> dict[str, Objective]:
        self.rows.clear()  # another training has other samples
        return super().objectives()

    def targets(self, clean: Batch) -> dict[str, Tensor]:
        codes = self.model.code(clean)
        if "known" in self._buffers:
            self.keep(codes, clean.id)
        return {"code": codes, "labelled": labelled(self.task.labels(clean), clean.id, self.share)}

    def keep(self, codes: Float[Tensor, "batch code"], id: np.ndarray) -> None:
        """Keep the codes of train samples, one row an id."""
        rows = [self.rows.setdefault(name, len(self.rows)) for name in id.tolist()]
        if len(self.rows) > KNOWN:
            raise ValueError(f"more than {KNOWN} train samples were given; domain adaptation keeps the codes of all")
        self.known[torch.tensor(rows, device=codes.device)] = codes
        self.count.fill_(len(self.rows))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """The task's loss over the labelled samples; 0 for a batch without one."""
        same = all(
            observed.x[m] is x and observed.present[m] is clean.present[m] and not x.requires_grad
            for m, x in clean.x.items()
        )
        codes = clean.targets["code"] if same else self.model.code(observed)
        rows = clean.targets["labelled"]
        output, label = self.head(codes)[rows], self.task.labels(clean)[rows]
        return {"task": self.task.loss_of(output, label) if len(label) else 0 * output.sum()}


def labelled(label: Tensor, id: np.ndarray, share: float) -> Bool[Tensor, "batch"]:
    """The samples that keep their label: of each class this share, rounded up, in an order that their ids decide."""
    order = np.array([int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) for name in id.tolist()])
    kept = np.zeros(len(order), dtype=bool)
    groups = label.cpu().numpy() if not label.is_floating_point() else np.zeros(len(order))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        kept[rows[np.argsort(order[rows])][: math.ceil(share * len(rows) - 1e-9)]] = True
    return torch.from_numpy(kept).to(label.device)
