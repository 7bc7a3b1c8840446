"""What a system costs: parameters, floating-point operations, seconds and memory of a training step."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

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


@dataclass(frozen=True)
class StageCost:
    """One step of one stage on the batch: corrupt it, compute the loss, its gradient and the update.

    `flops` are those of products (a multiplication and an addition are two), `seconds` a median, `kept_bytes` what the
    backward pass needs: activations and the features, without the parameters.
    """

    name: str
    share: float
    flops: int
    seconds: float
    kept_bytes: int


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
    system: System, batch: Batch, conditions: Condition | Sequence[Condition], steps: int = 5
) -> Cost:
    """Measure every stage of a fresh system on one batch; it learns while it is measured.

    On the CPU one thread computes, and `seconds` are CPU seconds, which other programs disturb least. Medians are over
    `steps` steps after one that warms up.
    """
    stages = []
    with one_thread():
        for stage in system.stages():
            system.train()
            stages.append(stage_cost(system, stage, batch, conditions, steps))
        predict_seconds = median_seconds(lambda: system.predict(batch, len(batch)), steps, batch.device.type)
        with every_product() as counter:
            logits = system.eval()(batch)
        logits.sum().backward()
        read = sum(p.numel() for p in system.parameters() if p.grad is not None)
        system.zero_grad(set_to_none=True)
    return Cost(type(system).__name__, len(batch), count_parameters(system), read, tuple(stages),
                counter.get_total_flops(), predict_seconds)


def stage_cost(
    system: System, stage: Stage, batch: Batch, conditions: Condition | Sequence[Condition], steps: int
) -> StageCost:
    noise = stream("cost", stage.name, device=batch.device)
    batch = with_targets(system, stage, batch)
    optimizers = {name: torch.optim.AdamW(list(objective.params), lr=objective.lr, fused=True)
                  for name, objective in stage.objectives.items()}

    def step():
        seen = corrupt(batch, conditions, noise)
        for name, objective in stage.objectives.items():
            optimizers[name].zero_grad(set_to_none=True)
            total(objective, batch, seen).backward()
            optimizers[name].step()

    seconds = median_seconds(step, steps, batch.device.type)
    seen = corrupt(batch, conditions, noise)
    kept = max(kept_bytes(system, objective, batch, seen) for objective in stage.objectives.values())
    with every_product() as counter:
        for objective in stage.objectives.values():
            total(objective, batch, seen).backward()
    system.zero_grad(set_to_none=True)
    return StageCost(stage.name, stage.share, counter.get_total_flops(), seconds, kept)


def total(objective: Objective, clean: Batch, seen: Batch) -> Tensor:
    return torch.stack(list(objective.loss(clean, seen).values())).sum()


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
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


def median_seconds(work, times: int, device: str) -> float:
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    clock = time.perf_counter if device == "cuda" else time.process_time
    seconds = []
    for _ in range(1 + times):
        wait()
        start = clock()
        work()
        wait()
        seconds.append(clock() - start)
    return statistics.median(seconds[1:])


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
) -> Batch:
    """Rows of full length that mean nothing, by default of IEMOCAP's shapes: only shapes decide what a step costs."""
    draw = np.random.default_rng(0)
    sequences = {m: [draw.normal(size=(longest[m], dim)).astype(np.float32) for _ in range(rows)]
                 for m, dim in dims.items()}
    batch = collate(sequences, np.arange(rows) % classes, name="random")
    return batch.replace(variance=dict.fromkeys(dims, 1.0))
