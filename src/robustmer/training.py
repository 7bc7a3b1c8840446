"""fit: train a system on the train and validation splits; train: from a corpus to a trained system."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm.auto import tqdm

from robustmer.batch import Batch, Samples
from robustmer.budget import STANDARD, Budget, History
from robustmer.batching import endless_batches, on, with_targets
from robustmer.conditions import CLEAN, Condition, Mixture, corrupt, parts_of, turns
from robustmer.evaluation import Diverged, judged
from robustmer.noise import stream
from robustmer.systems.system import Objective, System, Upstream, check_samples, memory_of, option_defaults
from robustmer.tasks import OwnError, Task, complete

if TYPE_CHECKING:
    from robustmer.corpora.corpus import Corpus, Fold


@contextmanager
def seeded(*names: object) -> Iterator[None]:
    """A block in which torch's global random stream (first weights, dropout) has these names; restored afterwards."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(stream(*names).initial_seed())
        yield


def fit(
    system: System,
    train: Samples,
    valid: Samples,
    mixture: Condition | Mixture = CLEAN,
    budget: Budget = STANDARD,
    seed: object = 0,
    progress: Callable[[dict], None] | None = None,
    bucket: bool = True,
) -> History:
    """Train a system; return its history. It keeps the weights with the best validation score, the later of two equals.

    Every sample draws one condition of the mixture anew in every epoch. Validation scores every sample under every
    condition, always with the same noise, and weighs conditions by their probabilities. `seed` names all random
    streams. `progress` is called with each record (`rm.show_progress()` draws a bar). With `bucket`, samples of similar
    length share a batch. Raises Diverged for a loss that is not finite, MemoryError for a batch that does not fit, and
    ValueError for samples of other modalities or shapes than the system's.
    """
    records = []
    for record in steps_of(system, train, valid, mixture, budget, seed, bucket):
        records.append(record)
        if progress is not None:
            progress(record)
    kept = [record["step"] for record in records if record.pop("best")][-1]
    return History(tuple(records), kept if system.selects else records[-1]["step"])


def steps_of(
    system: System,
    train: Samples,
    valid: Samples,
    mixture: Condition | Mixture = CLEAN,
    budget: Budget = STANDARD,
    seed: object = 0,
    bucket: bool = True,
) -> Iterator[dict]:
    """The training of `fit` as a generator of its records, for live plots: it trains while it is consumed. The system
    has its best weights when the generator is exhausted."""
    task: Task = system.settings["task"]
    for split in (train, valid):
        check_samples(system, split)
        if isinstance(split, Batch):
            task.check(split)
    parts = parts_of(mixture)
    system.scaling = getattr(train, "scaling", None)
    objectives, steps = system.objectives(), budget.steps(len(train))
    optimizers = {name: objective.optimizer(list(objective.params)) for name, objective in objectives.items()}
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(optimizers[name], lambda step, o=objective: o.schedule(step / steps))
        for name, objective in objectives.items()
    ]
    device = next(system.parameters()).device
    order, noise = stream(seed, system.phase, "order"), stream(seed, system.phase, "noise", device=device)
    batches = endless_batches(with_targets(system, train), budget.batch_size, order, bucket)
    checks = sorted({round((i + 1) * steps / budget.checks) for i in range(budget.checks)} - {0})
    best, best_state, done, start = (-math.inf, 0), None, 0, time.perf_counter()
    system.train()
    for until in checks:
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = {}
        with seeded(seed, system.phase, "dropout", done), memory_of(budget.batch_size, "Budget(batch_size=...)"):
            for step in range(done, until):
                clean = next(batches)
                if clean.device != device:
                    clean = clean.to(device)
                observed = corrupt(clean, mixture, noise)
                for name, objective in objectives.items():
                    if step % objective.every:
                        continue
                    for term, value in learn(objective, optimizers[name], clean, observed).items():
                        key = term if len(objectives) == 1 else f"{name}.{term}"
                        sums[key], counts[key] = sums.get(key, 0.0) + value, counts.get(key, 0) + 1
                for schedule in schedules:
                    schedule.step()
        means = {term: float(total) / counts[term] for term, total in sums.items()}
        done = until
        refuse_infinite(system, done, means)
        score, loss = validate(system, valid, parts)
        refuse_infinite(system, done, {"validation score": score, "validation loss": loss})
        improved = (score, done) >= best
        if improved:
            best = (score, done)
            if system.selects:
                best_state = {name: tensor.detach().clone() for name, tensor in system.state_dict().items()}
        sign = -1 if task.selects_by in task.lower_is_better else 1
        yield {
            "step": done,
            "epoch": done / -(-len(train) // budget.batch_size),
            "seconds": time.perf_counter() - start,
            "lr": schedules[0].get_last_lr()[0],
            **means,
            f"valid_{task.selects_by}": sign * score,
            "valid_loss": loss,
            "best": improved,
        }
    if system.selects:
        system.load_state_dict(best_state)
    system.eval()


def learn(
    objective: Objective, optimizer: torch.optim.Optimizer, clean: Batch, observed: Batch
) -> dict[str, torch.Tensor]:
    """One step of an objective; returns the values of its terms. A loss may pass through parameters of other objectives
    (a GAN's critic): they do not move, and their gradients are cleared before their own step."""
    optimizer.zero_grad(set_to_none=True)
    terms = objective.loss(clean, observed)
    values = list(terms.values())
    (torch.stack(values).sum() if len(values) > 1 else values[0]).backward()
    optimizer.step()
    if objective.after_step is not None:
        objective.after_step()
    return {name: value.detach() for name, value in terms.items()}


def refuse_infinite(system: System, step: int, values: Mapping[str, float]) -> None:
    if not all(math.isfinite(value) for value in values.values()):
        raise Diverged(
            f"{type(system).__name__}, phase {system.phase!r}: not finite at step {step}: {values}; lower the learning "
            "rate or look for extreme features"
        )


def validate(system: System, valid: Samples, parts: Mapping[Condition, int]) -> tuple[float, float]:
    """The score that selects weights and the loss of the task, means over the mixture, every sample under every
    condition. For the task `OwnError` both come from the system's error, always with the same random stream."""
    task: Task = system.settings["task"].selecting()
    if isinstance(task, OwnError):
        system.eval()
        with seeded(valid.name, system.phase, "error"), torch.no_grad():
            error = float(system.error(valid[np.arange(len(valid))]))
        system.train()
        return -error, error
    device, scores, losses = next(system.parameters()).device, [], []
    for condition in parts:
        noise = stream(valid.name, condition, device=device)
        kept = judged(system, valid, condition, task, noise)
        finite = "output" not in kept or bool(torch.isfinite(kept["output"]).all())
        score, loss = task.validation(kept) if finite else (math.nan, math.nan)
        scores.append(score)
        losses.append(loss)
    order = turns(parts)  # the order decides the last bit of the sum, and that which of two equal weights is kept
    return tuple(sum(values[i] for i in order) / len(order) for values in (scores, losses))


# --- from a corpus to a trained system --------------------------------------------------------------------------------


def train(
    system: type[System],
    corpus: Corpus,
    task: Task | None = None,
    mixture: Condition | Mixture = CLEAN,
    fold: int = 0,
    seed: int = 0,
    budget: Budget = STANDARD,
    options: Mapping[str, object] | None = None,
    upstream: Mapping[str, System] | None = None,
    device: str = "cpu",
    progress: Callable[[dict], None] | None = None,
) -> tuple[System, History]:
    """Train a system on one fold of a corpus: first its upstream systems that are not given, then the system itself.

    The default task is to predict the first label of the corpus. The same arguments, also as an `experiments.Recipe`,
    give the same weights. Raises as `fit` does.
    """
    options = {**option_defaults(system), **(options or {})}
    task, splits = complete(task, corpus.labels), corpus.fold(fold)
    declared = Upstream(system, mixture)
    return train_as(declared, splits, task, options, fold, seed, budget, upstream or {}, device, progress)


def train_as(
    declared: Upstream,
    splits: Fold,
    task: Task,
    options: Mapping[str, object],
    fold: int,
    seed: int,
    budget: Budget,
    upstream: Mapping[str, System],
    device: str,
    progress: Callable[[dict], None] | None = None,
) -> tuple[System, History]:
    """A system trained as an `Upstream` declares it, after its own upstream systems that are not given."""
    trained, system = dict(upstream), declared.system
    budget = dataclasses.replace(budget, share=declared.share * budget.share)
    for name, needed in system.starts_from(options).items():
        if name not in trained:
            chosen = upstream_options(needed, options)
            trained[name], _ = train_as(needed, splits, needed.task or task, chosen, fold, seed, budget, {}, device)
    names = names_of(declared.streams or system.__name__, fold, seed)
    made = construct(system, splits.train.shapes, task, options, trained, names).to(device)
    made.phase = declared.phase or made.phase
    return made, fit(
        made, on(splits.train, device), on(splits.valid, device), declared.mixture, budget, names, progress
    )


def upstream_options(needed: Upstream, options: Mapping[str, object]) -> dict[str, object]:
    """The options of an upstream system: its defaults, those that the downstream system passes on, and its own."""
    passed = {name: options[name] for name in needed.passes}
    return option_defaults(needed.system) | passed | dict(needed.options)


def names_of(streams: str, fold: int, seed: int) -> str:
    """The first part of the names of all random streams of a training."""
    return f"{streams}, fold {fold}, seed {seed}"


def construct(
    system: type[System],
    shapes: Mapping[str, tuple[int, ...]],
    task: Task,
    options: Mapping[str, object],
    upstream: Mapping[str, System],
    seed: str,
) -> System:
    """A system with its first weights and copies of its upstream systems. The copies are made in the same random
    stream, in order, before they get their trained weights: first weights do not depend on where those come from."""
    with seeded(seed, "initial weights"):
        copies = {name: untrained(trained) for name, trained in upstream.items()}
        for name, copy in copies.items():
            copy.load_state_dict(upstream[name].state_dict())
            copy.scaling = upstream[name].scaling
        return system(shapes, task, **copies, **options)


def untrained(system: System) -> System:
    settings = {
        name: untrained(value) if isinstance(value, System) else value for name, value in system.settings.items()
    }
    copy = type(system)(**settings)
    copy.phase = system.phase
    return copy


def show_progress(total: int | None = None) -> Callable[[dict], None]:
    """A progress bar for `fit(progress=...)`: it advances with each check and shows the validation score."""
    bar = tqdm(total=total, unit="check")

    def update(record: dict) -> None:
        bar.set_postfix({name: f"{value:.3f}" for name, value in record.items() if name.startswith("valid_")})
        bar.update()

    return update
