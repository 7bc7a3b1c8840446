"""fit: train a system. It is given the train and valid parts and nothing else, so it cannot peek at the test part."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.metrics import mae, ua
from robustmer.nn.task import task_loss
from robustmer.noise import stream
from robustmer.systems.system import Objective, Stage, System, in_parts, unless_out_of_memory, with_targets


class Diverged(ArithmeticError):
    """A loss is no longer finite."""


@dataclass(frozen=True)
class Budget:
    """How long a stage trains: `epochs`, but at least `min_steps` optimiser steps, and at most `max_steps`.

    60 epochs (NMER 3.3) of 4446 rows in batches of 128 are 2,100 steps; of 240 rows they are 120, far too few.
    `checks` is how often a stage is scored on the validation part; the best-scored weights are kept.
    """

    epochs: int = 60
    min_steps: int = 0
    max_steps: int | None = None
    batch_size: int = 128
    checks: int = 20

    def __post_init__(self):
        if self.batch_size < 1 or self.checks < 1 or self.epochs < 0 or self.min_steps < 0:
            raise ValueError(f"{self}: batch_size and checks are at least 1, epochs and min_steps at least 0")
        if self.max_steps is not None and self.max_steps < max(1, self.min_steps):
            raise ValueError(f"{self}: max_steps must be at least 1 and at least min_steps")
        if self.epochs == self.min_steps == 0:
            raise ValueError(f"{self} trains for no step at all: give epochs or min_steps")

    def steps(self, rows: int, share: float = 1.0) -> int:
        steps = max(self.epochs * -(-rows // self.batch_size), self.min_steps)
        return max(1, round(share * (steps if self.max_steps is None else min(steps, self.max_steps))))


@contextmanager
def seeded(*names: object) -> Iterator[None]:
    """Inside, torch's global stream (initial weights, dropout) is the one named so; outside, it is as it was."""
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices):
        torch.manual_seed(stream(*names).initial_seed())
        yield


def fit(
    system: System,
    train: Batch,
    valid: Batch,
    condition: Condition | Sequence[Condition],
    budget: Budget = Budget(),
    seed: object = 0,
    bucket: bool = True,
) -> Iterator[dict]:
    """Train all stages of a system, yielding one record at each validation; the training runs as you consume them.

    Of several conditions every row draws one afresh in every epoch; validation scores every row under every condition,
    with the same noise each time. A record holds stage, step, epoch, seconds, lr, the mean of each loss term since the
    last record, valid_ua (mean over conditions) and valid_loss. Each stage ends with the weights of its best valid_ua
    (the later of equals), unless the stage says otherwise; of a regression it is valid_mae, of which the least is best,
    and of a stage with an `error` that alone is computed, as valid_loss, of which the least is best too.
    `seed` names all random streams. With `bucket` rows of similar length share a batch. Where the device has no memory
    for a batch it is computed in `parts` (a column of the record) and its gradients are added up. Raises Diverged when
    a loss is not finite, ValueError without any condition or for rows that the system was not made for.
    """
    conditions = (condition,) if isinstance(condition, Condition) else tuple(condition)
    if not conditions:
        raise ValueError("no training condition was given; incomplete() is empty for one modality: use everything()")
    check_fit(system, train, valid)
    system.train()
    for stage in system.stages():
        yield from fit_stage(system, stage, train, valid, (CLEAN,) if stage.clean else conditions, budget, seed, bucket)
    system.eval()


def fit_stage(
    system: System,
    stage: Stage,
    train: Batch,
    valid: Batch,
    conditions: Sequence[Condition],
    budget: Budget,
    seed: object,
    bucket: bool,
) -> Iterator[dict]:
    steps, parts = budget.steps(len(train), stage.share), 1
    optimizers = {
        name: torch.optim.AdamW(o.groups(), lr=o.lr, weight_decay=o.weight_decay, fused=True)
        for name, o in stage.objectives.items()
    }
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: decay(step, steps)) for o in optimizers.values()]
    order, noise = stream(seed, stage.name, "order"), stream(seed, stage.name, "noise", device=train.device)
    batches = endless_batches(with_targets(system, stage, train), budget.batch_size, order, bucket)
    check_steps = sorted({round((i + 1) * steps / budget.checks) for i in range(budget.checks)} - {0})
    best, best_state, done, start = (-math.inf, 0), None, 0, time.perf_counter()
    for until in check_steps:
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = {}
        with seeded(seed, stage.name, "dropout", done):
            for _ in range(until - done):
                clean = next(batches)
                seen = corrupt(clean, conditions, noise)
                for name, objective in stage.objectives.items():
                    # A loss may pass through another objective's parameters (a GAN's critic): only its own step.
                    terms, parts = learn(objective, optimizers[name], clean, seen, parts)
                    optimizers[name].step()
                    for term, value in terms.items():
                        key = term if len(stage.objectives) == 1 else f"{name}.{term}"
                        sums[key], counts[key] = sums.get(key, 0.0) + value, counts.get(key, 0) + 1
                for schedule in schedules:
                    schedule.step()
        means = {term: float(total) / counts[term] for term, total in sums.items()}
        done = until
        if not all(torch.isfinite(torch.tensor(list(means.values())))):
            raise Diverged(
                f"{type(system).__name__}, stage {stage.name!r}: a loss is not finite at step {done}: {means}; "
                "lower the learning rate or look for extreme features"
            )
        score, loss = validate(system, stage, valid, conditions)
        if not (math.isfinite(score) and math.isfinite(loss)):
            raise Diverged(
                f"{type(system).__name__}, stage {stage.name!r}: what it says about the validation part is not finite "
                f"at step {done} (loss {loss}); lower the learning rate or look for extreme features"
            )
        if (score, done) >= best:
            best, best_state = (score, done), {name: t.detach().clone() for name, t in system.state_dict().items()}
        yield {
            "stage": stage.name,
            "step": done,
            "epoch": done / -(-len(train) // budget.batch_size),
            "seconds": time.perf_counter() - start,
            "lr": schedules[0].get_last_lr()[0],
            "parts": parts,
            **means,
            **({} if stage.error else {"valid_mae": -score} if valid.regression else {"valid_ua": score}),
            "valid_loss": loss,
        }
    if stage.select:
        system.load_state_dict(best_state)


def learn(
    objective: Objective, optimizer: torch.optim.Optimizer, clean: Batch, seen: Batch, parts: int
) -> tuple[dict[str, torch.Tensor], int]:
    """The gradient of the objective on this batch, and its terms. Where the device has no memory for the batch it is
    halved, and again, down to single rows; `parts` says into how many parts it is cut from now on."""
    while True:
        optimizer.zero_grad(set_to_none=True)
        terms = unless_out_of_memory(
            lambda: accumulate(objective, clean, seen, parts), again=parts < len(clean)  # noqa: B023
        )
        if terms is not None:
            return terms, parts
        parts = min(2 * parts, len(clean))
        print(
            f"robustmer: out of memory with {-(-2 * len(clean) // parts)} rows; every batch is now computed in {parts} "
            "parts, whose gradients are added up",
            file=sys.stderr,
        )


def accumulate(objective: Objective, clean: Batch, seen: Batch, parts: int) -> dict[str, torch.Tensor]:
    """The loss of a batch is taken for the mean over its rows, so parts count by their rows. What compares rows of a
    batch with each other (a moment discrepancy, a contrast) then compares those of a part."""
    sums: dict[str, torch.Tensor] = {}
    for rows in torch.arange(len(clean)).split(-(-len(clean) // parts)):
        share = len(rows) / len(clean)
        terms = objective.loss(clean, seen) if share == 1 else objective.loss(clean[rows], seen[rows])
        (share * torch.stack(list(terms.values())).sum()).backward()
        for name, value in terms.items():
            sums[name] = sums.get(name, 0.0) + share * value.detach()
    return sums


def check_fit(system: System, *parts: Batch) -> None:
    """Whether the system was made for such rows. Raises ValueError for other modalities, widths or labels."""
    dims, classes = system.settings.get("dims"), system.settings.get("classes")
    for part in parts:
        if dims is not None and dict(dims) != part.dims:
            raise ValueError(f"{part.name} has the modalities and widths {part.dims}, but {type(system).__name__} was "
                             f"made for {dict(dims)}; make it with the corpus's own dims (what is missing stays in a "
                             "batch and is marked as not present)")
        if classes is not None and part.regression != (not classes):
            made, held = (f"{len(classes)} classes" if classes else "a regression"), part.label.dtype
            raise ValueError(f"{part.name} has {str(held).removeprefix('torch.')} labels, but {type(system).__name__} "
                             f"was made for {made}; make it with the corpus's own classes")
        if classes and not 0 <= int(part.label.min()) <= int(part.label.max()) < len(classes):
            raise ValueError(f"{part.name} has labels {int(part.label.min())} to {int(part.label.max())}, but "
                             f"{type(system).__name__} was made for {len(classes)} classes ({', '.join(classes)})")


def decay(step: int, steps: int) -> float:
    """The learning rate's factor: 1 for the first half, then linearly to 0. NMER 3.3 says "Lambda LR" and not which;
    this is the shape of the released code's (40 epochs constant, 40 decaying)."""
    return min(1.0, 2 * (1 - step / steps))


POOL = 16
"""So many batches are drawn together and cut by length. A whole epoch at once would pad a little less still, but then
the same rows would meet in every epoch."""


def endless_batches(train: Batch, batch_size: int, order: torch.Generator, bucket: bool = True) -> Iterator[Batch]:
    """Shuffled epochs one after the other; an epoch's last batch may be smaller, no row is dropped.

    With `bucket` rows of similar length share a batch, so that little padding is computed: of POOL batches that were
    drawn at random the rows are sorted by length and cut anew, and the batches shuffled. Where all rows are as long
    nothing is sorted.
    """
    work = train.work if bucket else None
    while True:
        rows = torch.randperm(len(train), generator=order)
        if work is not None:
            pools = [pool[np.argsort(work[pool], kind="stable")] for pool in rows.split(POOL * batch_size)]
            batches = [batch for pool in pools for batch in in_batches(pool, batch_size, order)]
            batches = [batches[i] for i in torch.randperm(len(batches), generator=order).tolist()]
            rows = torch.cat(batches)
        else:
            batches = rows.split(batch_size)
        there = rows.to(train.device)  # once an epoch: the device never waits for the host within one
        for here, there_too in zip(batches, there.split([len(b) for b in batches]), strict=True):
            yield train.take(here.numpy(), there_too)


def in_batches(pool: torch.Tensor, batch_size: int, order: torch.Generator) -> list[torch.Tensor]:
    """Cut a sorted pool. A smaller batch, whose rows count more, may fall at any length."""
    sizes = [len(part) for part in pool.split(batch_size)]
    return list(pool.split([sizes[i] for i in torch.randperm(len(sizes), generator=order).tolist()]))


@torch.no_grad()
def validate(system: System, stage: Stage, valid: Batch, conditions: Sequence[Condition]) -> tuple[float, float]:
    """Mean UA (of a regression minus the mean absolute error) and mean loss of the task over the conditions, every row
    under every condition. A condition that is given several times is computed once and counts as often as given.
    Of a stage with an `error`: minus the error, and the error, from the same random stream each time."""
    if stage.error is not None:
        system.eval()
        with seeded(valid.name, stage.name, "error"):
            error = float(stage.error(valid))
        system.train()
        return -error, error
    scores, losses = [], []
    for i, condition in enumerate(conditions):
        if (before := conditions.index(condition)) < i:
            scores.append(scores[before])
            losses.append(losses[before])
            continue
        seen = corrupt(valid, condition, stream(valid.name, condition, device=valid.device))
        logits = in_parts(system, stage.logits or system, seen)
        scores.append(-mae(seen.label, logits[:, 0]) if seen.regression else ua(seen.label, logits.argmax(1)))
        losses.append(float(task_loss(logits, seen.label)))
    return sum(scores) / len(scores), sum(losses) / len(losses)
