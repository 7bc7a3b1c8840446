"""What a system costs: parameters, floating-point operations, seconds and memory of a training step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from robustmer.batch import Batch, collate
from robustmer.conditions import Condition, corrupt
from robustmer.corpora import synthetic
from robustmer.noise import stream
from robustmer.systems import System, count_parameters
from robustmer.systems.system import Objective, Stage, with_targets


Result = TypeVar("Result")


@dataclass(frozen=True)
class StageCost:
    """One step of one stage: take the rows, corrupt them, compute the loss, its gradient and the update.

    `flops` are those of products (a multiplication and an addition are two), `parts` the median seconds of each of
    PARTS, `kept_bytes` what the backward pass needs: activations and the features, without the parameters.
    """

    name: str
    share: float
    flops: int
    parts: Mapping[str, float]
    kept_bytes: int

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())


PARTS = ("data", "noise", "forward", "backward", "update")


@dataclass(frozen=True)
class Cost:
    """`parameters` are all of them, a teacher's included; `read` are those that a prediction reads."""

    system: str
    rows: int
    parameters: int
    read: int
    stages: tuple[StageCost, ...]
    predict_flops: int
    predict_seconds: float

    @property
    def flops_per_row(self) -> float:
        """Of one step of a budget, a row: the stages weighted by their share of it."""
        return sum(s.share * s.flops for s in self.stages) / self.rows

    @property
    def seconds(self) -> float:
        """Of one step of a budget, the stages weighted by their share: half a teacher's step and one of the rest."""
        return sum(s.share * s.seconds for s in self.stages)

    @property
    def kept_bytes(self) -> int:
        """Of the stage that needs most."""
        return max(s.kept_bytes for s in self.stages)

    def epoch_seconds(self, rows: int) -> float:
        """Of so many rows in batches like the measured one."""
        return self.seconds / self.rows * rows


def step_cost(
    system: System, batch: Batch, conditions: Condition | Sequence[Condition], steps: int = 5, threads: int = 1
) -> Cost:
    """Measure every stage of a fresh system on one batch; it learns while it is measured.

    One thread on the CPU is measured in CPU seconds, which other programs disturb least, several threads and other
    devices by the clock. Medians are over `steps` steps after one that warms up.
    """
    stages, watch = [], Watch(batch.device.type, threads)
    with limited(threads):
        for stage in system.stages():
            system.train()
            stages.append(stage_cost(system, stage, batch, conditions, steps, watch))
        predict = lambda: watch.lap("all", lambda: system.predict(batch, len(batch)))  # noqa: E731
        predict_seconds = median_parts(predict, steps, watch)
        with every_product() as counter:
            logits = system.eval()(batch)
        logits.sum().backward()
        read = sum(p.numel() for p in system.parameters() if p.grad is not None)
        system.zero_grad(set_to_none=True)
    return Cost(type(system).__name__, len(batch), count_parameters(system), read, tuple(stages),
                counter.get_total_flops(), predict_seconds["all"])


def stage_cost(
    system: System, stage: Stage, batch: Batch, conditions: Condition | Sequence[Condition], steps: int, watch: Watch
) -> StageCost:
    noise = stream("cost", stage.name, device=batch.device)
    whole = with_targets(system, stage, batch)
    optimizers = {name: torch.optim.AdamW(objective.groups(), lr=objective.lr, fused=True)
                  for name, objective in stage.objectives.items()}
    rows = np.arange(len(batch))
    there = torch.as_tensor(rows).to(batch.device)

    def step():
        clean = watch.lap("data", lambda: whole.take(rows, there))
        seen = watch.lap("noise", lambda: corrupt(clean, conditions, noise))
        for name, objective in stage.objectives.items():
            optimizers[name].zero_grad(set_to_none=True)
            loss = watch.lap("forward", lambda o=objective: total(o, clean, seen))
            watch.lap("backward", loss.backward)
            watch.lap("update", optimizers[name].step)

    parts = median_parts(step, steps, watch)
    seen = corrupt(whole, conditions, noise)
    kept = max(kept_bytes(system, objective, whole, seen) for objective in stage.objectives.values())
    with every_product() as counter:
        for objective in stage.objectives.values():
            total(objective, whole, seen).backward()
    system.zero_grad(set_to_none=True)
    return StageCost(stage.name, stage.share, counter.get_total_flops(), {p: parts[p] for p in PARTS}, kept)


def total(objective: Objective, clean: Batch, seen: Batch) -> Tensor:
    return torch.stack(list(objective.loss(clean, seen).values())).sum()


@contextmanager
def limited(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def every_product() -> Iterator[FlopCounterMode]:
    """Count FLOPs. Fused LSTMs (oneDNN, cuDNN) and fused attention would hide theirs, so they are switched off."""
    fused = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        with torch.backends.cudnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            with FlopCounterMode(display=False) as counter:
                yield counter
    finally:
        torch.backends.mkldnn.enabled = fused


class Watch:
    """Seconds of each part of a step. A device other than the CPU is waited for at both ends of a part."""

    def __init__(self, device: str, threads: int = 1):
        self.wait = torch.cuda.synchronize if device == "cuda" else lambda: None
        self.clock = time.process_time if device == "cpu" and threads == 1 else time.perf_counter
        self.parts: dict[str, float] = {}

    def lap(self, part: str, work: Callable[[], Result]) -> Result:
        self.wait()
        start = self.clock()
        result = work()
        self.wait()
        self.parts[part] = self.parts.get(part, 0.0) + self.clock() - start
        return result


def median_parts(step: Callable[[], object], times: int, watch: Watch) -> dict[str, float]:
    """The median of each part over so many steps after one that warms up."""
    seen = []
    for _ in range(1 + times):
        watch.parts = {}
        step()
        seen.append(watch.parts)
    return {part: statistics.median(parts[part] for parts in seen[1:]) for part in seen[0]}


def kept_bytes(system: System, objective: Objective, clean: Batch, seen: Batch) -> int:
    """Bytes that autograd keeps from the forward to the backward pass, each piece of memory once."""
    own = {p.untyped_storage().data_ptr() for p in system.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total(objective, clean, seen)
    return sum(kept.values())


def random_batch(
    rows: int,
    dims: Mapping[str, int] = synthetic.DIMS,
    longest: Mapping[str, int] = synthetic.LONGEST,
    classes: int = len(synthetic.CLASSES),
    ragged: bool = False,
) -> Batch:
    """Rows that mean nothing, by default of IEMOCAP's shapes and of full length: only shapes decide what a step costs.
    `ragged` rows are as long as those of the synthetic corpus, which are drawn like real utterances."""
    draw = np.random.default_rng(0)
    lengths = synthetic.draw_lengths(rows, 1.0, seed=0) if ragged else {m: np.full(rows, longest[m]) for m in dims}
    sequences = {m: [draw.standard_normal((min(n, longest[m]), dim), dtype=np.float32) for n in lengths[m]]
                 for m, dim in dims.items()}
    batch = collate(sequences, np.arange(rows) % classes, name="random")
    return batch.replace(variance=dict.fromkeys(dims, 1.0))
