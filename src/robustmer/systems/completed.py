"""Any system behind a completion of its missing modalities (CDTP 4.5), and the three backbones that the paper names.

The paper announces a Table 2 of MISA, MMIM and UniMSE with and without "our generative prompts and module", placed
"after the feature extraction stage", and does not print it. Here the module alone stands in front of the whole system:
features are extracted beforehand, and a system behind it reads a completed modality like a recorded one. Prompts are
part of CDTP's own network and are not added to others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from robustmer.batch import Batch
from robustmer.nn.completion import Completion
from robustmer.systems.misa import MISA
from robustmer.systems.mmim import MMIM
from robustmer.systems.system import Objective, Stage, System
from robustmer.systems.unimse import UniMSE

Loss = Callable[[Batch, Batch], Mapping[str, Tensor]]


class Completed(System):
    """First `completion` learns from clean rows. Then it is frozen, and `system` goes through its own stages with what
    is missing completed; rows that miss nothing reach it as they are.

    A system of your own comes behind a completion by a class of a few lines:

        from robustmer.nn.completion import Completion

        class MineCompleted(Completed):
            def __init__(self, dims, classes, frames=1):
                super().__init__(Mine(dims, classes), Completion(dims, frames))
    """

    def __init__(self, system: System, completion: Completion, lr: float = 1e-3):
        super().__init__()
        self.system, self.completion, self.lr = system, completion, lr

    def forward(self, seen: Batch) -> Tensor:
        return self.system(self.completion.fill(seen))

    def stages(self) -> Iterator[Stage]:
        yield from completing(self.completion, self.lr)
        fill = last_remembered(self.completion.fill)  # all objectives of a step see one and the same batch
        for stage in self.system.stages():
            objectives = {name: replace(o, loss=behind(fill, o.loss)) for name, o in stage.objectives.items()}
            logits = stage.logits or self.system
            yield replace(stage, objectives=objectives, logits=lambda seen, of=logits: of(self.completion.fill(seen)))


def completing(completion: Completion, lr: float) -> Iterator[Stage]:
    """The stage in which a completion learns from clean rows; there is none where the mean stands in."""
    if completion.start != "mean":
        objective = Objective(lambda clean, seen: completion.loss(clean), completion.parameters(), lr=lr)
        yield Stage("complete", {"all": objective}, error=completion.error, clean=True, select=False)


def behind(fill: Callable[[Batch], Batch], loss: Loss) -> Loss:
    """The loss of a batch whose missing modalities are completed; what is wanted is still the clean batch."""
    return lambda clean, seen: loss(clean, fill(seen))


def last_remembered(fill: Callable[[Batch], Batch]) -> Callable[[Batch], Batch]:
    """`fill`, which answers at once when the batch is the very one of the last call."""
    last: list[Batch] = []

    def filled(seen: Batch) -> Batch:
        if not last or last[0] is not seen:
            last[:] = seen, fill(seen)
        return last[1]

    return filled


class WithCompletion(Completed):
    """A `backbone` with its defaults; `frames`, `sampling` steps and `start` are those of the completion."""

    backbone: type[System]

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        frames: int = 1,
        sampling: int = 20,
        start: str = "noise",
    ):
        super().__init__(self.backbone(dims, classes), Completion(dims, frames, steps=sampling, start=start))


class MISAWithCompletion(WithCompletion):
    backbone = MISA


class MMIMWithCompletion(WithCompletion):
    backbone = MMIM


class UniMSEWithCompletion(Completed):
    """UniMSE with its defaults; `frames`, `sampling` steps and `start` are those of the completion, and its T5 comes
    from a `folder` or begins at random with the sizes of `config`."""

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        frames: int = 1,
        sampling: int = 20,
        start: str = "noise",
        folder: str | None = None,
        config: Mapping[str, object] | None = None,
    ):
        system = UniMSE(dims, classes, folder, config)
        super().__init__(system, Completion(dims, frames, steps=sampling, start=start))

    def settings_to_save(self) -> dict:
        return self.settings | {"folder": None, "config": self.system.config}
