"""System: a network with its losses; Objective: a loss with its optimizer; Upstream: a trained system to start from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from robustmer.batch import Batch, Samples, Scaling, Shape, check_modalities, ordered
from robustmer.conditions import CLEAN, Condition, Mixture
from robustmer.tasks import Classify, Output, Task

Loss = Callable[[Batch, Batch], Mapping[str, Tensor]]
Parameters = Iterable[nn.Parameter] | Iterable[dict]


def AdamW(
    lr: float = 2e-4, weight_decay: float = 0.01, betas: tuple[float, float] = (0.9, 0.999)
) -> Callable[[Parameters], torch.optim.Optimizer]:
    """A factory of AdamW optimizers. The decay is torch's default; NMER 3.3 names AdamW without a decay."""
    return functools.partial(torch.optim.AdamW, lr=lr, weight_decay=weight_decay, betas=betas, fused=True)


def half_then_linear(progress: float) -> float:
    """A factor of the learning rate: 1 for the first half of a training, then linearly to 0. NMER 3.3 states "Lambda
    LR" without its shape; this is that of the released code (40 epochs constant, 40 decaying)."""
    return min(1.0, 2 * (1 - progress))


def constant(progress: float) -> float:
    """A factor of the learning rate that stays 1."""
    return 1.0


@dataclass(frozen=True)
class Objective:
    """A loss and the parameters that it trains: `loss(clean, observed)` returns named, weighted terms; their sum trains
    `params`, which may be parameter groups of torch.

    The objectives of a system step in turn on every batch: most systems have one, a GAN has two. With `every=k` the
    objective steps on every k-th batch. `schedule` maps the progress of the training, 0 to 1, to a factor of the
    learning rate. `after_step` runs after each step (a moving average, a clipping of weights).
    """

    loss: Loss
    params: Parameters
    optimizer: Callable[[Parameters], torch.optim.Optimizer] = field(default_factory=AdamW)
    every: int = 1
    schedule: Callable[[float], float] = half_then_linear
    after_step: Callable[[], None] | None = None


@dataclass(frozen=True)
class Upstream:
    """The default recipe of a trained system that another one starts from.

    It learns the `mixture` with `share` of the budget, for the task of the downstream system unless another is given.
    It gets the options of the downstream system that `passes` names, and the `options` given here. `phase` and
    `streams` name its random streams. Upstream systems with equal recipes are trained once and shared.
    """

    system: type[System]
    mixture: Condition | Mixture = field(default_factory=lambda: {CLEAN: 1.0})
    share: float = 1.0
    passes: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    task: Task | None = None
    phase: str = ""
    streams: str = ""


class System(nn.Module):
    """Base of all systems. A subclass needs a constructor and `forward`.

    The arguments of the constructor are `shapes` (modality -> shape of a frame), `task`, the upstream systems by name,
    and options with defaults. They are stored in `settings`, so that the system can be saved; `shapes` and `task` are
    attributes before the constructor runs. Upstream systems are stored under their names and frozen.

    `phase` names the random streams of its training. With `selects`, training keeps the weights with the best
    validation score, else the last ones. `optimizer` is that of the default `objectives`. `scaling` holds the
    statistics of the train split with which features are standardised.
    """

    phase = "classify"
    selects = True
    upstream: Mapping[str, Upstream] = {}
    optimizer = staticmethod(AdamW())
    settings: dict
    shapes: dict[str, Shape]
    task: Task
    scaling: Scaling | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        construct = cls.__init__

        @functools.wraps(construct)
        def recording(self, *args, **options):
            bound = inspect.signature(construct).bind(self, *args, **options)
            bound.apply_defaults()
            if "shapes" in bound.arguments:
                bound.arguments["shapes"] = check_shapes(cls, bound.arguments["shapes"])
            if type(self) is cls:
                self.settings = {name: value for name, value in bound.arguments.items() if name != "self"}
                self.shapes, self.task = self.settings.get("shapes", {}), self.settings.get("task")
            construct(*bound.args, **bound.kwargs)
            if type(self) is cls:
                for name in self.frozen():
                    getattr(self, name).requires_grad_(False).eval()

        cls.__init__ = recording

    @classmethod
    def starts_from(cls, options: Mapping[str, object]) -> Mapping[str, Upstream]:
        """The upstream systems that a system with these options starts from, by name."""
        return cls.upstream

    def forward(self, observed: Batch) -> Output:
        raise NotImplementedError(f"{type(self).__name__} must define forward(observed)")

    def objectives(self) -> dict[str, Objective]:
        """The objectives by name. By default one: `loss` trains all parameters except those of upstream systems."""
        return {"all": Objective(self.loss, self.own_parameters(), self.optimizer)}

    def loss(self, clean: Batch, observed: Batch) -> Mapping[str, Tensor]:
        """Named terms of the loss. By default that of the task, with labels and frames of the clean batch as
        targets."""
        return {"task": self.task.loss(self(observed), clean)}

    def error(self, clean: Batch) -> Tensor:
        """The score of the task `OwnError`: by default the sum of the terms of the loss on clean samples."""
        return torch.stack(list(self.loss(clean, clean).values())).sum()

    def targets(self, clean: Batch) -> Mapping[str, Tensor]:
        """Features of clean samples from frozen parts, (B, ...), by name. They are computed once a training, in
        evaluation mode and without gradient, and reach the losses as `clean.targets`."""
        return {}

    def frozen(self) -> list[str]:
        """The names of the upstream systems of this system."""
        return [name for name in type(self).upstream if self.settings.get(name) is not None]

    def own_parameters(self) -> list[nn.Parameter]:
        """All parameters except those of the upstream systems."""
        inherited = {id(p) for name in self.frozen() for p in getattr(self, name).parameters()}
        return [p for p in self.parameters() if id(p) not in inherited]

    def train(self, mode: bool = True) -> System:
        """Set the training mode. Upstream systems stay in evaluation mode: their buffers do not move."""
        super().train(mode)
        for name in self.frozen():
            getattr(self, name).eval()
        return self

    def predict(self, samples: Samples, batch_size: int = 512) -> Output:
        """The output for samples in evaluation mode: (B, outputs), or (B, T, *feature) by modality. Raw samples are
        standardised with the statistics of the train split; labels are not needed. Raises ValueError for samples of
        other modalities or shapes than the system's."""
        check_samples(self, samples)
        device = next(self.parameters()).device
        return in_parts(self, lambda batch: self(self.standardise(batch).to(device)), samples, batch_size)

    def probabilities(self, samples: Samples, batch_size: int = 512) -> Float[Tensor, "sample class"]:
        """The probability of each class, in the order of `task.classes`. Raises as `predict`, and ValueError for a task
        without classes."""
        if not isinstance(self.task, Classify):
            raise ValueError(f"{type(self).__name__} learnt {self.task}, which has no classes; use predict")
        return self.predict(samples, batch_size).softmax(1)

    def standardise(self, batch: Batch) -> Batch:
        """Raw samples standardised as in training. A modality that the train split lacked is marked absent."""
        if self.scaling is None or batch.scaling is not None:
            return batch
        from robustmer.corpora.scaling import standardised

        scaled = standardised(batch, self.scaling)
        unknown = {m for m, x in batch.x.items() if m not in self.scaling and x.dtype != torch.uint8}
        return scaled.replace(present={m: p & (m not in unknown) for m, p in scaled.present.items()})


def check_shapes(system: type[System], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes in the library's order. Raises ValueError for impossible names and shapes."""
    what = f"{system.__name__} was asked for the shapes {shapes!r}"
    if not isinstance(shapes, Mapping) or not shapes:
        raise ValueError(f"{what}; give the shape of a frame of one or more modalities, such as {{'audio': (74,)}}")
    check_modalities(shapes, system.__name__)
    tuples = {m: (shape,) if isinstance(shape, int) else tuple(shape) for m, shape in shapes.items()}
    if any(not shape or not all(isinstance(n, int) and n >= 1 for n in shape) for shape in tuples.values()):
        raise ValueError(f"{what}; a shape is made of whole numbers from 1 up, such as (74,) or (3, 64, 64)")
    taken = [m for m in tuples if hasattr(nn.ModuleDict, m)]
    if taken:
        raise ValueError(f"{what}; torch keeps {taken[0]!r} for itself, so give the modality another name")
    return {m: tuples[m] for m in ordered(tuples)}


def widths(shapes: Mapping[str, Shape]) -> dict[str, int]:
    """The number of features of each modality. Raises ValueError for frames that are no vectors."""
    for m, shape in shapes.items():
        if len(shape) != 1:
            raise ValueError(f"{m} has frames of shape {shape}; this system reads vectors, so flatten the frames first")
    return {m: shape[0] for m, shape in shapes.items()}


def check_samples(system: System, samples: Samples) -> None:
    """Raises ValueError for samples of other modalities or shapes than the system's."""
    shapes = system.settings.get("shapes")
    if shapes is not None and dict(shapes) != dict(samples.shapes):
        raise ValueError(
            f"{samples.name} has the modalities and frame shapes {dict(samples.shapes)}, but {type(system).__name__} "
            f"was made for {dict(shapes)}; make it with the corpus's own shapes (a modality that samples lack stays in "
            "a batch and is marked as not present)"
        )


@torch.no_grad()
def in_parts(system: System, function: Callable[[Batch], Output], samples: Sized, batch_size: int = 512) -> Output:
    """`function` of all samples, computed in parts and in evaluation mode. Samples of a Batch are grouped by length,
    which saves padding. Raises MemoryError, with the batch size, for a part that does not fit in memory."""
    work = getattr(samples, "work", None)
    order = np.arange(len(samples)) if work is None else np.argsort(work, kind="stable")
    training = system.training
    system.eval()
    try:
        with memory_of(batch_size, "batch_size"):
            parts = [function(samples[order[i : i + batch_size]]) for i in range(0, len(samples), batch_size)]
    finally:
        system.train(training)

    def joined(pieces: list[Tensor]) -> Tensor:
        if len({piece.shape[1:] for piece in pieces}) > 1:  # frames, of which the longest sample of a part decides
            longest = max(piece.shape[1] for piece in pieces)
            pieces = [pad(p, (0, 0) * (p.ndim - 2) + (0, longest - p.shape[1])) for p in pieces]
        both = torch.cat(pieces)
        return both if work is None else both[torch.as_tensor(np.argsort(order)).to(both.device)]

    if isinstance(parts[0], Mapping):
        return {name: joined([part[name] for part in parts]) for name in parts[0]}
    return joined(parts)


@contextmanager
def memory_of(batch_size: int, name: str) -> Iterator[None]:
    """A block in which torch's errors about memory become a MemoryError that names the batch size."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        why = str(error).splitlines()[0]
        raise MemoryError(f"no memory for {batch_size} samples at once ({why}); give a smaller {name}") from error


@functools.cache
def option_defaults(system: type[System]) -> Mapping[str, object]:
    """The options of a system with their defaults: its arguments except shapes, task and upstream systems."""
    parameters = inspect.signature(system.__init__).parameters.values()
    given = ("self", "shapes", "task", *system.upstream)
    return {p.name: p.default for p in parameters if p.name not in given and p.default is not p.empty}


def count_parameters(module: nn.Module) -> int:
    """The number of values in all parameters, trained and frozen."""
    return sum(p.numel() for p in module.parameters())


def start_from(module: nn.Module, trained: nn.Module, owner: System) -> None:
    """Copy the weights of a part of an upstream system into a module. Raises ValueError for other shapes."""
    weights, own = trained.state_dict(), module.state_dict()
    for name in [*own, *weights]:
        sizes = [f"{tuple(state[name].shape)}" if name in state else "absent" for state in (weights, own)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{type(owner).__name__} cannot start from this upstream system, whose {name} is {sizes[0]} instead of "
                f"{sizes[1]}; give both the same shapes and sizes"
            )
    module.load_state_dict(weights)
