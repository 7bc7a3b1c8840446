"""What a system costs: parameters, floating-point operations, seconds and memory of a training step."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from robustmer.batch import Batch, collate
from robustmer.batching import with_targets
from robustmer.conditions import Condition, Mixture, corrupt
from robustmer.corpora.synthetic import draw_lengths
from robustmer.laws import Setting, make
from robustmer.noise import stream
from robustmer.systems import System, count_parameters
from robustmer.systems.system import Objective, option_defaults
from robustmer.training import upstream_options

Result = TypeVar("Result")
PARTS = ("data", "noise", "forward", "backward", "update")


@dataclass(frozen=True)
class Cost:
    """One training step: take the samples, corrupt them, and let every objective compute its loss, gradient and update.

    `flops` are those of products (a multiplication and an addition are two), `parts` the median seconds of each of
    PARTS, `kept_bytes` what the backward pass needs: activations and the features, without the parameters. `parameters`
    are all of them, those of upstream systems included; `read` are those that a prediction reads. `upstream` holds the
    cost of a step of each upstream system, and its share of the budget.
    """

    system: str
    samples: int
    parameters: int
    read: int
    flops: int
    parts: Mapping[str, float]
    kept_bytes: int
    predict_flops: int
    predict_seconds: float
    upstream: Mapping[str, tuple[float, Cost]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(self.parts.values())

    @property
    def seconds_with_upstream(self) -> float:
        """Of one step of a budget: the system's own, and those of its upstream systems by their share."""
        return self.seconds + sum(share * cost.seconds_with_upstream for share, cost in self.upstream.values())


def cost_of(
    system: type[System],
    setting: Setting,
    batch: Batch,
    mixture: Condition | Mixture,
    steps: int = 5,
    threads: int = 1,
    **options: object,
) -> Cost:
    """The cost of a system and of those that it starts from, with first weights, on one batch."""
    declared, upstream = option_defaults(system) | options, {}
    for name, needed in system.starts_from(declared).items():
        part = dataclasses.replace(setting, task=needed.task or setting.task)
        chosen = upstream_options(needed, declared)
        upstream[name] = needed.share, cost_of(needed.system, part, batch, needed.mixture, steps, threads, **chosen)
    cost = step_cost(make(system, setting, **options).to(batch.device), batch, mixture, steps, threads)
    return dataclasses.replace(cost, upstream=upstream)


def step_cost(
    system: System, batch: Batch, mixture: Condition | Mixture, steps: int = 5, threads: int = 1
) -> Cost:  # fmt: skip
    """Measure a step of a fresh system on one batch; it learns while it is measured.

    One thread on the CPU is measured in CPU seconds, which other programs disturb least, several threads and other
    devices by the clock. Medians are over `steps` steps after one that warms up.
    """
    watch, noise = Watch(batch.device.type, threads), stream("cost", device=batch.device)
    with limited(threads):
        clean, objectives = with_targets(system, batch), system.objectives()
        optimizers = {name: objective.optimizer(list(objective.params)) for name, objective in objectives.items()}
        indices = np.arange(len(batch))
        on_device = torch.as_tensor(indices).to(batch.device)

        def step() -> None:
            taken = watch.lap("data", lambda: clean.take(indices, on_device))
            observed = watch.lap("noise", lambda: corrupt(taken, mixture, noise))
            for name, objective in objectives.items():
                optimizers[name].zero_grad(set_to_none=True)
                loss = watch.lap("forward", lambda o=objective: total(o, taken, observed))
                watch.lap("backward", loss.backward)
                watch.lap("update", optimizers[name].step)

        system.train()
        parts = median_parts(step, steps, watch)
        observed = corrupt(clean, mixture, noise)
        kept = max(kept_bytes(system, objective, clean, observed) for objective in objectives.values())
        with every_product() as counter:
            for objective in objectives.values():
                total(objective, clean, observed).backward()
        predict = lambda: watch.lap("all", lambda: system.predict(batch, len(batch)))  # noqa: E731
        predict_seconds = median_parts(predict, steps, watch)["all"]
        read, predict_flops = read_by_a_prediction(system, batch)
    return Cost(type(system).__name__, len(batch), count_parameters(system), read, counter.get_total_flops(),
                {part: parts[part] for part in PARTS}, kept, predict_flops, predict_seconds)  # fmt: skip


def read_by_a_prediction(system: System, batch: Batch) -> tuple[int, int]:
    """The number of parameters that a prediction depends on (all, for one without a gradient), and the operations of
    its products."""
    frozen = [p for p in system.parameters() if not p.requires_grad]
    for p in frozen:
        p.requires_grad_(True)
    system.zero_grad(set_to_none=True)
    with every_product() as counter:
        output = system.eval()(batch)
    flops = counter.get_total_flops()
    tensors = [output] if isinstance(output, Tensor) else list(output.values())
    summed = torch.stack([tensor.sum() for tensor in tensors]).sum()
    if summed.requires_grad:
        summed.backward()
    read = sum(p.numel() for p in system.parameters() if p.grad is not None or not summed.requires_grad)
    system.zero_grad(set_to_none=True)
    for p in frozen:
        p.requires_grad_(False)
    return read, flops


def total(objective: Objective, clean: Batch, observed: Batch) -> Tensor:
    return torch.stack(list(objective.loss(clean, observed).values())).sum()


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
    laps = []
    for _ in range(1 + times):
        watch.parts = {}
        step()
        laps.append(watch.parts)
    return {part: statistics.median(parts[part] for parts in laps[1:]) for part in laps[0]}


def kept_bytes(system: System, objective: Objective, clean: Batch, observed: Batch) -> int:
    """Bytes that autograd keeps from the forward to the backward pass, each piece of memory once."""
    own = {p.untyped_storage().data_ptr() for p in system.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total(objective, clean, observed)
    return sum(kept.values())


def random_batch(samples: int, setting: Setting, longest: Mapping[str, int], ragged: bool = False) -> Batch:
    """Samples that mean nothing: only shapes decide what a step costs. All have full length; `ragged` samples are as
    long as those of the synthetic corpus, which are drawn like real utterances."""
    draw = np.random.default_rng(0)
    lengths = draw_lengths(samples, 1.0, seed=0) if ragged else {m: np.full(samples, longest[m]) for m in longest}
    sequences = {m: [draw.standard_normal((min(n, longest[m]), *shape), dtype=np.float32) for n in lengths[m]]
                 for m, shape in setting.shapes.items()}  # fmt: skip
    label = np.arange(samples) % len(setting.task.classes)
    batch = collate(sequences, {setting.task.label: label}, name="random")
    return batch.replace(variance=dict.fromkeys(setting.shapes, 1.0))
