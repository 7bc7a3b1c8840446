"""Task: what a system learns. It decides the width of the output, the loss, the scores and which weights are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss

from robustmer.batch import Batch
from robustmer.metrics import CLASSIFICATION, REGRESSION, RECONSTRUCTION

if TYPE_CHECKING:
    from robustmer.systems.system import System

Output = Tensor | Mapping[str, Tensor]
Answers = dict[str, Tensor]
"""What an evaluation keeps of each sample, tensors (B, ...): enough to compute every score."""


@dataclass(frozen=True)
class Task:
    """Base of all tasks. `metrics` names the scores, `selects_by` the one that selects weights on the validation split,
    and `lower_is_better` the scores that are errors."""

    @property
    def outputs(self) -> int:
        """Width of a system's last layer; 0 where a sample has no vector as output."""
        return 0

    @property
    def metrics(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def selects_by(self) -> str:
        return self.metrics[0]

    lower_is_better = frozenset({"mae", "MSE", "IS", "error"})

    def loss(self, output: Output, batch: Batch) -> Tensor:
        """The loss of a batch, a mean over its samples."""
        raise NotImplementedError

    def answers(self, output: Output, clean: Batch) -> Answers:
        """The outputs and labels that the scores compare, for each sample."""
        raise NotImplementedError

    def judge(self, system: System, observed: Batch, clean: Batch) -> Answers:
        """`answers` from one forward pass. A task that needs several passes overrides it."""
        return self.answers(system(observed), clean)

    def scores(self, answers: Answers) -> dict[str, float]:
        """Every metric by its name, over all samples."""
        raise NotImplementedError

    def validation(self, answers: Answers) -> tuple[float, float]:
        """The score that selects weights, larger is better, and the loss."""
        raise NotImplementedError

    def selecting(self) -> Task:
        """The task whose answers select weights: with few scores, where all would take long."""
        return self

    def check(self, batch: Batch) -> None:
        """Raises ValueError where the batch has no usable labels for the task."""

    def describe(self) -> dict[str, object]:
        """The task as JSON, for files and keys; `task_from` reads it."""
        return {"task": type(self).__name__, **dataclasses.asdict(self)}


@dataclass(frozen=True)
class OfLabel(Task):
    """Base of the tasks that predict one label of the corpus. A subclass defines `known` (its metrics by name),
    `loss_of` a batch's output and label, and `guess`, the predictions (B,) that the metrics compare with the label."""

    label: str

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(self.known)

    def labels(self, batch: Batch) -> Tensor:
        """The label of each sample, (B,). Raises ValueError where the batch does not have it."""
        if self.label not in batch.labels:
            names = ", ".join(batch.labels) or "none (an observed batch of an evaluation carries no labels)"
            raise ValueError(f"{batch.name} has no label {self.label!r}; it has {names}")
        return batch.labels[self.label]

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        return self.loss_of(output, self.labels(batch))

    def answers(self, output: Tensor, clean: Batch) -> Answers:
        return {"output": output, "label": self.labels(clean)}

    def scores(self, answers: Answers, names: Sequence[str] = ()) -> dict[str, float]:
        label, guess = answers["label"], self.guess(answers["output"])
        return {name: self.known[name](label, guess) for name in names or self.metrics}

    def validation(self, answers: Answers) -> tuple[float, float]:
        (score,) = self.scores(answers, [self.selects_by]).values()
        loss = float(self.loss_of(answers["output"], answers["label"]))
        return (-score if self.selects_by in self.lower_is_better else score), loss


@dataclass(frozen=True)
class Classify(OfLabel):
    """Predict a class: cross-entropy, scored by WA, UA and F1. Training keeps the weights with the highest UA."""

    classes: tuple[str, ...] = ()

    known = CLASSIFICATION
    selects_by = "UA"

    def __post_init__(self):
        if isinstance(self.classes, str):
            raise ValueError(f"the classes {self.classes!r} were given; give their names one by one: ('sad', 'happy')")
        object.__setattr__(self, "classes", tuple(self.classes))

    @property
    def outputs(self) -> int:
        if not self.classes:
            raise ValueError(
                f"Classify({self.label!r}) names no classes; take the task from corpus.task({self.label!r})"
            )
        return len(self.classes)

    def loss_of(self, output: Tensor, label: Tensor) -> Tensor:
        return cross_entropy(output, label)

    def guess(self, output: Tensor) -> Tensor:
        return output.argmax(1)

    def check(self, batch: Batch) -> None:
        label = self.labels(batch)
        if label.is_floating_point():
            raise ValueError(
                f"{batch.name}: the label {self.label!r} holds numbers, not classes; use Regress({self.label!r})"
            )
        if len(label) and not 0 <= int(label.min()) <= int(label.max()) < self.outputs:
            raise ValueError(
                f"{batch.name}: the label {self.label!r} runs from {int(label.min())} to {int(label.max())}, but the "
                f"task has {self.outputs} classes ({', '.join(self.classes)})"
            )


@dataclass(frozen=True)
class Regress(OfLabel):
    """Predict a number: absolute error (the L1 loss of MulT, MPLMM and CDTP), in the unit of the label. The metrics are
    those of sentiment from -3 to 3. Training keeps the weights with the lowest MAE."""

    known = REGRESSION
    selects_by = "mae"
    outputs = 1

    def loss_of(self, output: Tensor, label: Tensor) -> Tensor:
        if output.shape[1] != 1:  # (B, C) against (B,) would broadcast to everything against everything
            raise ValueError(f"the label {self.label!r} is a number, but the system has {output.shape[1]} outputs")
        return l1_loss(output[:, 0], label)

    def guess(self, output: Tensor) -> Tensor:
        return output[:, 0]

    def check(self, batch: Batch) -> None:
        if not self.labels(batch).is_floating_point():
            raise ValueError(
                f"{batch.name}: the label {self.label!r} holds classes, not numbers; use Classify({self.label!r})"
            )


@dataclass(frozen=True)
class Reconstruct(Task):
    """Reconstruct the frames of these modalities (all, if none are named). The system returns a tensor (B, T, *feature)
    for each modality. A score is a mean over samples, each over its recorded frames; the first metric selects."""

    modalities: tuple[str, ...] = ()
    names: tuple[str, ...] = ("MSE",)

    def __post_init__(self):
        for field in ("modalities", "names"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        unknown = [name for name in self.names if name not in RECONSTRUCTION]
        if unknown or not self.names:
            raise ValueError(f"Reconstruct(names={self.names}): give one or more of {', '.join(RECONSTRUCTION)}")

    def reconstructed(self, output: Mapping[str, Tensor]) -> Sequence[str]:
        return self.modalities or tuple(output)

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.names

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """Mean squared error over the recorded frames, a mean over the modalities."""
        errors = []
        for m in self.reconstructed(output):
            x, mask = batch.frames(m)
            rows = mask.any(1)  # a sample without frames has no error
            if rows.any():
                errors.append(RECONSTRUCTION["MSE"](x[rows], mask[rows], output[m][rows]).mean())
        return torch.stack(errors).mean()

    def answers(self, output: Mapping[str, Tensor], clean: Batch) -> Answers:
        at = product(self.reconstructed(output), self.names)
        return {f"{name} {m}": RECONSTRUCTION[name](*clean.frames(m), output[m]) for m, name in at}

    def scores(self, answers: Answers) -> dict[str, float]:
        """`MSE audio`, ... and, over the modalities, `MSE`. A modality that no sample has is left out."""
        known = {name: values.double() for name, values in answers.items() if not values.isnan().all()}
        scores = {name: float(values.nanmean()) for name, values in known.items()}
        for metric in self.names:
            values = [value for name, value in scores.items() if name.split(" ")[0] == metric]
            scores[metric] = sum(values) / len(values) if values else float("nan")
        return scores

    def validation(self, answers: Answers) -> tuple[float, float]:
        score = self.scores(answers)[self.selects_by]
        return (-score if self.selects_by in self.lower_is_better else score), score


@dataclass(frozen=True)
class OwnError(Task):
    """Score a system by its own `error(clean)`, in the unit of its loss: for systems that impute or generate and do not
    predict. Training keeps the weights with the lowest error, if the system selects."""

    metrics = ("error",)


TASKS: dict[str, type[Task]] = {task.__name__: task for task in (Classify, Regress, Reconstruct, OwnError)}


def task_from(about: Mapping[str, object], tasks: Mapping[str, type[Task]] = TASKS) -> Task:
    """The task that `describe` wrote. Raises ValueError for an unknown task."""
    about = {name: tuple(value) if isinstance(value, list) else value for name, value in about.items()}  # JSON's lists
    name = about.pop("task", None)
    if name not in tasks:
        raise ValueError(f"the task {name!r} is not known; there are {', '.join(tasks)}")
    return tasks[name](**about)


def complete(task: Task | None, labels: Mapping[str, tuple[str, ...]]) -> Task:
    """The task with the classes of a corpus whose labels these are; without a task, that of the first label.

    Raises ValueError for a label that the corpus lacks, and for classes where it has numbers or the other way round.
    """
    if task is None:
        if not labels:
            raise ValueError("the corpus has no labels; give a task that needs none, such as Reconstruct()")
        label, classes = next(iter(labels.items()))
        return Classify(label, classes) if classes else Regress(label)
    if not isinstance(task, OfLabel):
        return task
    if task.label not in labels:
        raise ValueError(f"the label {task.label!r} was asked for; the corpus has {', '.join(labels) or 'none'}")
    classes = labels[task.label]
    if isinstance(task, Classify) and not classes:
        raise ValueError(f"the label {task.label!r} is a number in this corpus; use Regress({task.label!r})")
    if isinstance(task, Regress) and classes:
        raise ValueError(
            f"the label {task.label!r} has {len(classes)} classes in this corpus; use Classify({task.label!r})"
        )
    if isinstance(task, Classify) and not task.classes:
        return dataclasses.replace(task, classes=classes)
    if isinstance(task, Classify) and task.classes != tuple(classes):
        raise ValueError(
            f"the task has the classes {task.classes}, the corpus {tuple(classes)}; leave them out of the task"
        )
    return task
