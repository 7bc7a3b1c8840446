"""A system behind a completion of its missing modalities (CDTP 4.5), and the three backbones that the paper names.

The paper announces a Table 2 of MISA, MMIM and UniMSE with and without "our generative prompts and module" and does
not print it. Here the backbone reads an imputed modality like a recorded one, without prompts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import available
from robustmer.nn.diffusion import Sampling
from robustmer.nn.prompts import filled
from robustmer.systems.completion import Completion, Imputing
from robustmer.systems.misa import MISA
from robustmer.systems.mmim import MMIM
from robustmer.systems.system import Objective, System
from robustmer.systems.unimse import UniMSE
from robustmer.tasks import Task


class Completed(Imputing):
    """`backbone` learns its own objectives on batches whose missing modalities are imputed; complete samples reach it
    unchanged. A system of your own comes behind a completion by a class of a few lines:

        class MineCompleted(Completed):
            def __init__(self, shapes, task, completion=None, frames=1):
                super().__init__(Mine(shapes, task), completion, frames)
    """

    def __init__(
        self, backbone: System, completion: Completion | None, frames: int = 1, steps: int = 20, start: str = "noise"
    ):
        super().__init__()
        self.impute_with(completion, Sampling(steps, start=start), frames)
        self.backbone, self.phase, self.selects = backbone, backbone.phase, backbone.selects
        self.last: tuple[Batch, Batch] | None = None

    def forward(self, observed: Batch) -> Tensor:
        return self.backbone(self.fill(observed))

    def targets(self, clean: Batch) -> Mapping[str, Tensor]:
        return self.backbone.targets(clean)

    def objectives(self) -> dict[str, Objective]:
        behind = lambda loss: lambda clean, observed: loss(clean, self.fill(observed))  # noqa: E731
        return {
            name: dataclasses.replace(objective, loss=behind(objective.loss))
            for name, objective in self.backbone.objectives().items()
        }

    def fill(self, observed: Batch) -> Batch:
        """The batch with every modality present: as recorded where it was, imputed (`frames` frames) elsewhere. A
        complete batch is returned unchanged. All objectives of a step get the same draw."""
        if self.training and self.last is not None and self.last[0] is observed:
            return self.last[1]
        x, mask, present = dict(observed.x), dict(observed.mask), dict(observed.present)
        imputed = self.imputed(observed)
        for m, frames in imputed.items():
            x[m], mask[m] = filled(x[m], mask[m], frames, available(observed, m))
            present[m] = torch.ones_like(present[m])
        complete = observed.replace(x=x, mask=mask, present=present) if imputed else observed
        self.last = (observed, complete) if self.training else None
        return complete


class MISAWithCompletion(Completed):
    """MISA with its defaults; `frames`, sampling `steps` and `start` are those of the completion."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, completion: Completion | None = None, frames: int = 1,
        steps: int = 20, start: str = "noise",
    ):  # fmt: skip
        super().__init__(MISA(shapes, task), completion, frames, steps, start)


class MMIMWithCompletion(Completed):
    """MMIM with its defaults, otherwise as `MISAWithCompletion`."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, completion: Completion | None = None, frames: int = 1,
        steps: int = 20, start: str = "noise",
    ):  # fmt: skip
        super().__init__(MMIM(shapes, task), completion, frames, steps, start)


class UniMSEWithCompletion(Completed):
    """UniMSE with its defaults and a T5 from a `folder` or of a `config`, otherwise as `MISAWithCompletion`."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, completion: Completion | None = None, frames: int = 1,
        steps: int = 20, start: str = "noise", folder: str | None = None, config: Mapping[str, object] | None = None,
    ):  # fmt: skip
        super().__init__(UniMSE(shapes, task, folder, config), completion, frames, steps, start)
        self.settings |= {"folder": None, "config": self.backbone.config}
