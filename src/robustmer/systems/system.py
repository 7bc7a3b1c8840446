"""System: a module with `forward(observed)` and `objectives()`, and the upstream systems that it starts from."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sized
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Samples, Scaling, Shape, check_modalities, ordered
from robustmer.conditions import CLEAN, Condition, Mixture
from robustmer.tasks import Classify, Output, Task

Loss = Callable[[Batch, Batch], Mapping[str, Tensor]]
Parameters = Iterable[nn.Parameter] | Iterable[dict]


def AdamW(
    lr: float = 2e-4, weight_decay: float = 0.01, betas: tuple[float, float] = (0.9, 0.999)
) -> Callable[[Parameters], torch.optim.Optimizer]:
    """A factory of AdamW optimizers. The decay is AdamW's own default; NMER 3.3 names AdamW and no decay."""
    return functools.partial(torch.optim.AdamW, lr=lr, weight_decay=weight_decay, betas=betas, fused=True)


def half_then_linear(progress: float) -> float:
    """The learning rate's factor: 1 for the first half of a training, then linearly to 0. NMER 3.3 says "Lambda LR"
    and not which; this is the shape of the released code's (40 epochs constant, 40 decaying)."""
    return min(1.0, 2 * (1 - progress))


def constant(progress: float) -> float:
    return 1.0


@dataclass(frozen=True)
class Objective:
    """`loss(clean, observed)` returns named, weighted terms, whose sum trains `params`.

    The objectives of a system step in turn on every batch: one is the usual case, two are a GAN. `every` makes one
    step on every k-th batch only; `schedule` scales its learning rate with the progress, 0 to 1, of the training;
    `after_step` runs after each of its steps (a moving average, a clipping of weights). `params` may be parameter
    groups, as torch's optimizers take them.
    """

    loss: Loss
    params: Parameters
    optimizer: Callable[[Parameters], torch.optim.Optimizer] = field(default_factory=AdamW)
    every: int = 1
    schedule: Callable[[float], float] = half_then_linear
    after_step: Callable[[], None] | None = None


@dataclass(frozen=True)
class Upstream:
    """A trained system that another one starts from, by default.

    It learns the `mixture` with `share` of the budget, for the same task unless another is given. Those options of the
    downstream system that `passes` names are handed on, beside the `options` fixed here. `phase` and `streams` name
    its random streams; upstream systems with equal recipes are trained once and shared.
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

    The constructor takes `shapes` (modality -> shape of a frame) and `task` first, then the upstream systems by name,
    then options with defaults. These arguments are kept in `settings`, so that the system can be saved; `shapes` and
    `task` are attributes before the constructor runs. Upstream systems are kept under their names and are frozen.

    `phase` names the random streams of its training; with `selects` the weights with the best validation score are
    kept, else the last ones. `optimizer` belongs to the default `objectives`. `scaling` holds the statistics that its
    features are standardised with.
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
        """The upstream systems that a system with these options needs."""
        return cls.upstream

    def forward(self, observed: Batch) -> Output:
        raise NotImplementedError(f"{type(self).__name__} must define forward(observed)")

    def objectives(self) -> dict[str, Objective]:
        """By default one: `loss` trains all parameters but those of the upstream systems."""
        return {"all": Objective(self.loss, self.own_parameters(), self.optimizer)}

    def loss(self, clean: Batch, observed: Batch) -> Mapping[str, Tensor]:
        """By default the loss of the task: labels, and frames to reconstruct, are those of the clean batch."""
        return {"task": self.task.loss(self(observed), clean)}

    def error(self, clean: Batch) -> Tensor:
        """What the task `OwnError` scores: by default the sum of the loss's terms on clean samples."""
        return torch.stack(list(self.loss(clean, clean).values())).sum()

    def targets(self, clean: Batch) -> Mapping[str, Tensor]:
        """What frozen parts compute from clean samples, (B, ...). Computed once a training, in evaluation mode and
        without gradient, and handed to the losses as `clean.targets`."""
        return {}

    def frozen(self) -> list[str]:
        """The names of the upstream systems that this one was given."""
        return [name for name in type(self).upstream if self.settings.get(name) is not None]

    def own_parameters(self) -> list[nn.Parameter]:
        """All parameters but those of the upstream systems."""
        inherited = {id(p) for name in self.frozen() for p in getattr(self, name).parameters()}
        return [p for p in self.parameters() if id(p) not in inherited]

    def train(self, mode: bool = True) -> System:
        """Upstream systems stay in evaluation mode: their parameters and buffers do not move."""
        super().train(mode)
        for name in self.frozen():
            getattr(self, name).eval()
        return self

    def predict(self, samples: Samples, batch_size: int = 512) -> Output:
        """The output for samples, raw or of a fold, in evaluation mode. Raw samples are standardised as in training;
        they need no labels. Raises ValueError for other modalities or shapes than the system's."""
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
        """Raw samples as in training. A modality that the train split lacked is marked as absent."""
        if self.scaling is None or batch.scaling is not None:
            return batch
        from robustmer.corpora.scaling import standardised

        scaled = standardised(batch, self.scaling)
        unknown = {m for m, x in batch.x.items() if m not in self.scaling and x.dtype != torch.uint8}
        return scaled.replace(present={m: p & (m not in unknown) for m, p in scaled.present.items()})


def check_shapes(system: type[System], shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shapes in the library's order. Raises ValueError for names and shapes that no system can be made for."""
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
    """The number of features of each modality. Raises ValueError where a frame is no vector."""
    for m, shape in shapes.items():
        if len(shape) != 1:
            raise ValueError(f"{m} has frames of shape {shape}; this system reads vectors, so flatten the frames first")
    return {m: shape[0] for m, shape in shapes.items()}


def check_samples(system: System, samples: Samples) -> None:
    """Raises ValueError where a system was made for other modalities or shapes."""
    shapes = system.settings.get("shapes")
    if shapes is not None and dict(shapes) != dict(samples.shapes):
        raise ValueError(
            f"{samples.name} has the modalities and frame shapes {dict(samples.shapes)}, but {type(system).__name__} "
            f"was made for {dict(shapes)}; make it with the corpus's own shapes (a modality that samples lack stays in "
            "a batch and is marked as not present)"
        )


@torch.no_grad()
def in_parts(system: System, function: Callable[[Batch], Output], samples: Sized, batch_size: int = 512) -> Output:
    """`function` of all samples, in evaluation mode, a part at a time. Of a Batch, samples of similar length form a
    part, so that little padding is computed. Raises MemoryError, naming the batch size, where memory ends."""
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
        both = torch.cat(pieces)
        return both if work is None else both[torch.as_tensor(np.argsort(order)).to(both.device)]

    if isinstance(parts[0], Mapping):
        return {name: joined([part[name] for part in parts]) for name in parts[0]}
    return joined(parts)


class memory_of:
    """Turns torch's errors about memory into a MemoryError that names the batch size."""

    def __init__(self, batch_size: int, name: str):
        self.batch_size, self.name = batch_size, name

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind, error, traceback) -> None:
        known = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if isinstance(error, RuntimeError) and known:
            raise MemoryError(
                f"no memory for {self.batch_size} samples at once ({str(error).splitlines()[0]}); give a smaller "
                f"{self.name}"
            ) from error


@functools.cache
def option_defaults(system: type[System]) -> Mapping[str, object]:
    """The options of a system with their defaults: its arguments but shapes, task and upstream systems."""
    parameters = inspect.signature(system.__init__).parameters.values()
    given = ("self", "shapes", "task", *system.upstream)
    return {p.name: p.default for p in parameters if p.name not in given and p.default is not p.empty}


def count_parameters(module: nn.Module) -> int:
    """Every element of every parameter, trained or frozen."""
    return sum(p.numel() for p in module.parameters())


def start_from(module: nn.Module, trained: nn.Module, owner: System) -> None:
    """Copy the weights of a part of an upstream system. Raises ValueError where they have another shape."""
    weights, own = trained.state_dict(), module.state_dict()
    for name in [*own, *weights]:
        sizes = [f"{tuple(state[name].shape)}" if name in state else "absent" for state in (weights, own)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"{type(owner).__name__} cannot start from this upstream system, whose {name} is {sizes[0]} instead of "
                f"{sizes[1]}; give both the same shapes and sizes"
            )
    module.load_state_dict(weights)
