"""What a system is: a module with `forward(seen) -> logits` and `stages()`, the objectives that train it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors import torch as safetensors
from torch import Tensor, nn

from robustmer.batch import MODALITIES, Batch

Work = TypeVar("Work")


@dataclass(frozen=True)
class Objective:
    """`loss(clean, seen)` gives named, weighted terms, whose sum teaches `params`: at the learning rate `lr`, or at
    their own in `lr_of`, such as that of pre-trained weights."""

    loss: Callable[[Batch, Batch], Mapping[str, Tensor]]
    params: Iterable[nn.Parameter]
    lr: float = 2e-4
    weight_decay: float = 0.01  # AdamW's own default; NMER 3.3 names AdamW and no decay
    lr_of: Mapping[nn.Parameter, float] = field(default_factory=dict)

    def groups(self) -> list[dict]:
        """The parameters as an optimiser takes them: those of one learning rate together."""
        together: dict[float, list[nn.Parameter]] = {}
        for p in self.params:
            together.setdefault(self.lr_of.get(p, self.lr), []).append(p)
        return [{"params": params, "lr": lr} for lr, params in together.items()]


@dataclass(frozen=True)
class Stage:
    """One part of a training. Its objectives step in turn on every batch; one objective is the usual case, two a GAN.

    `logits` is what is scored on the validation part (the system itself, if not given). A stage that no prediction can
    tell the worth of, because it learns to complete or to generate, gives `error` in its place: how wrong it is about
    clean validation rows. A `clean` stage trains and is scored on clean data whatever the training condition. `share`
    scales the budget of the recipe for this stage. With `select` off the last weights are kept instead of those that
    did best on the validation part.

    `targets` is what the stage wants to know of clean rows and what does not change while it trains, such as the
    features of a frozen teacher. It is computed once for the train part, in evaluation mode and without gradient, and
    handed to the losses row by row as `clean.targets`.
    """

    name: str
    objectives: Mapping[str, Objective]
    logits: Callable[[Batch], Tensor] | None = None
    error: Callable[[Batch], Tensor] | None = None
    clean: bool = False
    share: float = 1.0
    select: bool = True
    targets: Callable[[Batch], Mapping[str, Tensor]] | None = None


class System(nn.Module):
    """Base of all systems. It remembers the arguments it was made with, in `settings`, so that it can be saved whole.

    A subclass takes `dims` (modality -> width) and `classes` (their names) first, then options with defaults.
    """

    settings: dict

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        make = cls.__init__

        @functools.wraps(make)
        def recording(self, *args, **options):
            bound = inspect.signature(make).bind(self, *args, **options)
            bound.apply_defaults()
            check_shape(cls, **{name: bound.arguments[name] for name in ("dims", "classes") if name in bound.arguments})
            make(self, *args, **options)
            if type(self) is cls:
                self.settings = dict(list(bound.arguments.items())[1:])  # all but the system itself

        cls.__init__ = recording

    def forward(self, seen: Batch) -> Float[Tensor, "batch class"]:
        raise NotImplementedError(f"{type(self).__name__} must define forward(seen) -> logits")

    def stages(self) -> Iterator[Stage]:
        raise NotImplementedError(f"{type(self).__name__} must define stages(), its objectives in order")

    @torch.no_grad()
    def predict(self, seen: Batch, batch_size: int = 512) -> Float[Tensor, "batch class"]:
        """Logits in evaluation mode, a part at a time; the mode is put back afterwards."""
        return in_parts(self, self, seen, batch_size)

    def settings_to_save(self) -> dict:
        """The arguments that a saved copy is made with before it gets its weights; those of this one, if not said."""
        return self.settings

    def save(self, path: str | Path) -> None:
        """Weights and settings as one safetensors file; a save that is cut short leaves the file that was there.

        Its metadata hold `system`, the name of the class, `settings` as JSON and `sha256` over the whole file
        (`digest_of`). Raises TypeError for settings that are no JSON, and OSError where the file cannot be written.
        """
        try:
            settings = json.dumps(self.settings_to_save())
        except TypeError as error:
            raise TypeError(f"{type(self).__name__} cannot be saved: {error}; options must be numbers, text, lists or "
                            "dictionaries") from error
        about = {"system": type(self).__name__, "settings": settings, "sha256": UNKNOWN}
        data = safetensors.save({name: t.contiguous() for name, t in self.state_dict().items()}, about)
        replace_whole(Path(path), data.replace(NAMED % UNKNOWN.encode(), NAMED % digest_of(data).encode(), 1))


def check_shape(system: type, dims: Mapping[str, int] | None = None, classes: Sequence[str] = ()) -> None:
    """Raises ValueError for modalities, widths and classes of which no system can be made."""
    wrong = dims is not None and (not dims or set(dims) - set(MODALITIES) or min(dims.values()) < 1)
    if wrong:
        raise ValueError(f"{system.__name__} was asked for the dims {dict(dims)}; give the width, 1 or more, of one or "
                         f"more of {', '.join(MODALITIES)}")
    if isinstance(classes, str):
        raise ValueError(f"{system.__name__} was asked for the classes {classes!r}; give their names one by one, "
                         "('sad', 'happy'), or none for a regression")


UNKNOWN = 64 * "0"
NAMED = b'"sha256":"%s"'
"""How the digest stands in the header. Settings are text within it, in which a quotation mark has a backslash."""


def digest_of(data: bytes) -> str:
    """The sha256 of a checkpoint's bytes with zeros in place of the digest that its header names."""
    named = NAMED % UNKNOWN.encode()
    return hashlib.sha256(re.sub(NAMED % b"[0-9a-f]{64}", lambda _: named, data, count=1)).hexdigest()


def replace_whole(path: Path, data: bytes) -> None:
    """Write the file whole or not at all: beside it first, then in its place; a kill may leave the hidden `.part`,
    which nobody reads. Raises OSError (a full disk)."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"{error.strerror}; nothing was written, and what was there is as it was",
                          str(path)) from error
        raise


def taught(system: System, name: str, loss: Callable[[Batch, Batch], Mapping[str, Tensor]]) -> Iterator[Stage]:
    """Two stages: `system.teacher` learns clean data; then `system.encoders` begin at its encoders' weights, and
    everything but the teacher learns by `loss` in a stage of that name, towards the teacher's `targets`. The teacher
    has half the steps, on top."""
    teacher = system.teacher
    yield Stage("teacher", {"all": Objective(teacher.loss, teacher.parameters())}, teacher, clean=True, share=0.5)
    system.encoders.load_state_dict(teacher.encoders.state_dict())
    own = [p for part, p in system.named_parameters() if not part.startswith("teacher.")]
    yield Stage(name, {"all": Objective(loss, own)}, targets=teacher.targets)


@torch.no_grad()
def with_targets(system: System, stage: Stage, clean: Batch) -> Batch:
    """The batch with the stage's targets, if it has any."""
    return clean if stage.targets is None else clean.replace(targets=in_parts(system, stage.targets, clean))


Said = TypeVar("Said", Tensor, Mapping[str, Tensor])


def in_parts(system: System, function: Callable[[Batch], Said], seen: Batch, batch_size: int = 512) -> Said:
    """`function` of all rows, in evaluation mode, a part at a time: rows of similar length together, so that little
    padding is computed, and fewer of them where the device has no memory for so many."""
    work = seen.work
    order = np.arange(len(seen)) if work is None else np.argsort(work, kind="stable")
    training = system.training
    system.eval()
    try:
        done, parts = 0, []
        while done < len(seen):
            part = seen[order[done : done + batch_size]]
            found = unless_out_of_memory(lambda: function(part), again=batch_size > 1)  # noqa: B023
            if found is None:
                batch_size = -(-batch_size // 2)
                continue
            parts.append(found)
            done += batch_size
    finally:
        system.train(training)
    back = None if work is None else torch.as_tensor(np.argsort(order)).to(seen.device)
    whole = lambda pieces: torch.cat(pieces) if back is None else torch.cat(pieces)[back]  # noqa: E731
    if isinstance(parts[0], Mapping):
        return {name: whole([part[name] for part in parts]) for name in parts[0]}
    return whole(parts)


def unless_out_of_memory(work: Callable[[], Work], again: bool) -> Work | None:
    """What `work` returns; None if the device has no memory for it. Without `again` its error is passed on."""
    try:
        return work()
    except (torch.OutOfMemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not (known and again):
            raise
    # Out of the handler, whose error holds on to the tensors of the failed work.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def load_system(path: str | Path, systems: Mapping[str, type[System]] | None = None) -> System:
    """A system saved by `System.save`, in evaluation mode. Nothing in the file is executed.

    `systems` maps names to classes and defaults to those of the library; give your own class here. Raises ValueError
    for a file that is no saved system or is not as it was written, of a class that is not known, or whose settings or
    tensors are not those of the class.
    """
    if systems is None:
        from robustmer.systems import SYSTEMS as systems
    about, state = read_checkpoint(Path(path))
    name = about["system"]
    if name not in systems:
        raise ValueError(
            f"{path} holds a {name}; the known systems are {', '.join(systems)}. Pass systems={{{name!r}: ...}}"
        )
    try:
        system = systems[name](**json.loads(about["settings"]))
    except Exception as error:  # whatever a class says to settings that are not its own
        raise ValueError(f"{path}: {name} cannot be made with the settings that were saved ({error}); the class has "
                         "changed since: load the file with the version that saved it, or train again") from error
    problems = list(find_differences(system.state_dict(), state))
    if problems:
        more = f" (and {len(problems) - 1} more differences)" if problems[1:] else ""
        raise ValueError(f"{path} does not fit {name}: {problems[0]}{more}; the class has changed since: load the file "
                         "with the version that saved it, or train again")
    system.load_state_dict(state)
    return system.eval()


def read_checkpoint(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors, after the digest was verified. Raises ValueError for any file that `System.save` did not
    write so, FileNotFoundError where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); give a file that System.save wrote") from error
    try:
        about = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if about["sha256"] != digest_of(data):
            raise ValueError("its sha256 is not that in its header: bytes were altered, or it is cut short")
        return {name: about[name] for name in ("system", "settings")}, safetensors.load(data)
    except Exception as error:  # damage shows itself in many ways
        raise ValueError(f"{path} ({len(data)} bytes) is not a saved system, or not any more: "
                         f"{type(error).__name__}: {error}; copy it again from where it is whole, or train again"
                         ) from error


def find_differences(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Iterator[str]:
    for name in sorted({*wanted, *found}):
        if name not in found:
            yield f"it lacks the tensor {name!r}"
        elif name not in wanted:
            yield f"it has a tensor {name!r}, which the class has not"
        else:
            shapes = [f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (found[name], wanted[name])]
            if shapes[0] != shapes[1]:
                yield f"its tensor {name!r} is {shapes[0]}, that of the class {shapes[1]}"


def count_parameters(module: nn.Module) -> int:
    """Numbers that can learn, or could: every element of every parameter, frozen or not."""
    return sum(p.numel() for p in module.parameters())
