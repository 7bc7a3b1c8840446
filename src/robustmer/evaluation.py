"""evaluate: scores of a trained system under conditions; noise_cost: UA lost to noise, with an error over speakers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from robustmer.batch import Batch, Samples
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.metrics import ua_difference
from robustmer.noise import stream
from robustmer.systems.system import System, check_samples, in_parts
from robustmer.tasks import Answers, Classify, Task


class Diverged(ArithmeticError):
    """A loss, a score or an output is no longer finite."""


def evaluate(system: System, test: Samples, conditions: Iterable[Condition], task: Task | None = None) -> pd.DataFrame:
    """A data frame of all scores: columns condition (in the letters of tables), noise, level, metric and value.

    The random stream is named after the split and the condition, not after the system: every system meets the same
    noise, at any batch size. The default `task` is the one that the system learnt. Raises Diverged where an output is
    not finite, and ValueError for samples of other modalities or shapes than the system's.
    """
    rows = []
    for condition in conditions:
        values = score(system, test, condition, task)
        rows += [words_of(condition, test) | {"metric": m, "value": value} for m, value in values.items()]
    return pd.DataFrame(rows)


def words_of(condition: Condition, samples: Samples) -> dict[str, str]:
    """The columns that name a condition in a data frame of scores."""
    header = condition.header(tuple(samples.shapes))
    return {"condition": header, "noise": condition.noise_name, "level": condition.level_name}


def score(
    system: System, test: Samples, condition: Condition, task: Task | None = None, draw: int = 0
) -> dict[str, float]:
    """The scores under one condition by metric, rounded to six decimals. Raises as `evaluate` does."""
    task = task_for(system, task)
    return {name: round(value, 6) for name, value in task.scores(answers(system, test, condition, task, draw)).items()}


def answers(system: System, test: Samples, condition: Condition, task: Task | None = None, draw: int = 0) -> Answers:
    """The task's answers under a condition, tensors (B, ...) on the CPU in the order of the samples. Noise is drawn on
    the CPU, so the device does not change it. Draw 0 is that of the tables; other draws are independent of it."""
    task = task_for(system, task)
    check_samples(system, test)
    if isinstance(test, Batch):
        task.check(test)
        test = test.to("cpu")
    noise = stream(test.name, condition, *([f"draw {draw}"] if draw else []))
    kept = {name: values.cpu() for name, values in judged(system, test, condition, task, noise).items()}
    if "output" in kept and not torch.isfinite(kept["output"]).all():
        sample = int((~torch.isfinite(kept["output"])).flatten(1).any(1).nonzero()[0])
        raise Diverged(
            f"{type(system).__name__} has no finite output for sample {str(test.id[sample])!r} of {test.name}; check "
            "its features and the system's weights"
        )
    return kept


def task_for(system: System, task: Task | None) -> Task:
    """The task that scores a system: its own by default, or where `task` names the same label without classes."""
    own = system.settings["task"]
    same = isinstance(task, Classify) and type(own) is type(task) and not task.classes and task.label == own.label
    return own if task is None or same else task


def judged(system: System, samples: Samples, condition: Condition, task: Task, noise: torch.Generator) -> Answers:
    """The answers of `task.judge` for all samples, computed in parts. A Batch is corrupted as a whole, samples read on
    demand chunk by chunk from the same stream. The observed batch has no labels."""
    count = len(samples)
    parts = np.split(np.arange(count), range(512, count, 512))
    chunks = [samples] if isinstance(samples, Batch) else (samples[part] for part in parts)
    kept: list[Answers] = []
    for clean in chunks:
        observed = corrupt(clean, condition, noise).replace(labels={})
        judge = lambda pair: task.judge(system, pair.observed, pair.clean)  # noqa: E731
        device = next(system.parameters()).device
        kept.append(in_parts(system, judge, Pair(clean, observed, device)))
    return {name: torch.cat([part[name] for part in kept]) for name in kept[0]}


@dataclass(frozen=True)
class Pair:
    """Clean and observed samples, which are indexed and moved to the device together."""

    clean: Batch
    observed: Batch
    device: torch.device

    @property
    def work(self) -> np.ndarray | None:
        return self.clean.work

    def __len__(self) -> int:
        return len(self.clean)

    def __getitem__(self, indices: np.ndarray) -> Pair:
        return Pair(self.clean[indices].to(self.device), self.observed[indices].to(self.device), self.device)


def noise_cost(system: System, test: Batch, conditions: Sequence[Condition], draws: int = 20) -> pd.DataFrame:
    """UA on clean data minus UA under each condition, mean over `draws` of the noise: the columns of `evaluate` (metric
    "UA lost"), `error` and `groups`.

    `error` is the standard error over the `groups` speakers of the test split (`metrics.ua_difference`). `evaluate`
    cannot know it: folds and seeds meet the same test samples under the same draw. Raises as `evaluate` does, and
    ValueError for a task without classes, a single speaker, or no draw.
    """
    task = task_for(system, None)
    if not isinstance(task, Classify):
        raise ValueError(f"{type(system).__name__} learnt {task}; UA needs classes")
    if draws < 1:
        raise ValueError(f"draws={draws}: give the number of draws of the noise, 1 or more")
    speakers = len(set(test.speaker))
    if speakers < 2:
        raise ValueError(
            f"all samples of {test.name} are of one speaker, so differences between speakers cannot be estimated; give "
            "the batch its speakers (collate's `speaker`), or take a fold that tests several"
        )

    def right(condition: Condition, draw: int = 0) -> Tensor:
        kept = answers(system, test, condition, task, draw)
        return (kept["output"].argmax(1) == kept["label"]).double()

    clean, rows = right(CLEAN), []
    for condition in conditions:
        noisy = torch.stack([right(condition, draw) for draw in range(draws)]).mean(0)
        value, error = ua_difference(task.labels(test).cpu(), clean - noisy, test.speaker)
        scores = {"metric": "UA lost", "value": round(value, 6), "error": round(error, 6), "groups": speakers}
        rows.append(words_of(condition, test) | scores)
    return pd.DataFrame(rows)
