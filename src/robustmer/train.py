"""fit: train a system. It is given the train and valid parts and nothing else, so it cannot peek at the test part."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from robustmer.batch import Batch
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.metrics import mae, ua
from robustmer.nn.task import task_loss
from robustmer.noise import stream
from robustmer.systems.system import Stage, System, in_parts


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
) -> Iterator[dict]:
    """Train all stages of a system, yielding one record at each validation; the training runs as you consume them.

    Of several conditions every row draws one afresh in every epoch; validation scores every row under every condition,
    with the same noise each time. A record holds stage, step, epoch, seconds, lr, the mean of each loss term since the
    last record, valid_ua (mean over conditions) and valid_loss. Each stage ends with the weights of its best valid_ua
    (the later of equals), unless the stage says otherwise. Of a regression it is valid_mae, of which the least is best.
    `seed` names all random streams. Raises Diverged when a loss is not finite, ValueError without any condition or for
    a label that the system has no output for.
    """
    conditions = (condition,) if isinstance(condition, Condition) else tuple(condition)
    if not conditions:
        raise ValueError("no training condition was given; incomplete() is empty for one modality: use everything()")
    check_labels(system, train, valid)
    system.train()
    for stage in system.stages():
        yield from fit_stage(system, stage, train, valid, (CLEAN,) if stage.clean else conditions, budget, seed)
    system.eval()


def fit_stage(
    system: System,
    stage: Stage,
    train: Batch,
    valid: Batch,
    conditions: Sequence[Condition],
    budget: Budget,
    seed: object,
) -> Iterator[dict]:
    steps = budget.steps(len(train), stage.share)
    optimizers = {
        name: torch.optim.AdamW(list(o.params), lr=o.lr, weight_decay=o.weight_decay, fused=True)
        for name, o in stage.objectives.items()
    }
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda step: decay(step, steps)) for o in optimizers.values()]
    order, noise = stream(seed, stage.name, "order"), stream(seed, stage.name, "noise", device=train.device)
    batches = endless_batches(train, budget.batch_size, order)
    check_steps = sorted({round((i + 1) * steps / budget.checks) for i in range(budget.checks)} - {0})
    best, best_state, done, start = (-math.inf, 0), None, 0, time.perf_counter()
    for until in check_steps:
        sums: dict[str, torch.Tensor] = {}
        with seeded(seed, stage.name, "dropout", done):
            for _ in range(until - done):
                clean = next(batches)
                seen = corrupt(clean, conditions, noise)
                for name, objective in stage.objectives.items():
                    optimizers[name].zero_grad(set_to_none=True)
                    terms = objective.loss(clean, seen)
                    torch.stack(list(terms.values())).sum().backward()
                    # A loss may pass through another objective's parameters (a GAN's critic): only its own step.
                    optimizers[name].step()
                    for term, value in terms.items():
                        key = term if len(stage.objectives) == 1 else f"{name}.{term}"
                        sums[key] = sums.get(key, 0.0) + value.detach()
                for schedule in schedules:
                    schedule.step()
        means = {term: float(total) / (until - done) for term, total in sums.items()}
        done = until
        if not all(torch.isfinite(torch.tensor(list(means.values())))):
            raise Diverged(
                f"{type(system).__name__}, stage {stage.name!r}: a loss is not finite at step {done}: {means}; "
                "lower the learning rate or look for extreme features"
            )
        score, loss = validate(system, stage, valid, conditions)
        if (score, done) >= best:
            best, best_state = (score, done), {name: t.detach().clone() for name, t in system.state_dict().items()}
        yield {
            "stage": stage.name,
            "step": done,
            "epoch": done / -(-len(train) // budget.batch_size),
            "seconds": time.perf_counter() - start,
            "lr": schedules[0].get_last_lr()[0],
            **means,
            **({"valid_mae": -score} if valid.regression else {"valid_ua": score}),
            "valid_loss": loss,
        }
    if stage.select:
        system.load_state_dict(best_state)


def check_labels(system: System, *parts: Batch) -> None:
    classes = system.settings.get("classes")
    for part in parts:
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


def endless_batches(train: Batch, batch_size: int, order: torch.Generator) -> Iterator[Batch]:
    """Shuffled epochs one after the other; an epoch's last batch may be smaller, no row is dropped."""
    while True:
        for rows in torch.randperm(len(train), generator=order).split(batch_size):
            yield train[rows]


@torch.no_grad()
def validate(system: System, stage: Stage, valid: Batch, conditions: Sequence[Condition]) -> tuple[float, float]:
    """Mean UA (of a regression minus the mean absolute error) and mean loss of the task over the conditions, every row
    under every condition. A condition that is given several times is computed once and counts as often as given."""
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
