"""Checkpoints: a system as one safetensors file, with its settings, task and standardisation."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors import torch as safetensors
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from robustmer.batch import Scaling
from robustmer.systems.system import System
from robustmer.tasks import TASKS, Task, task_from

KEEPS = "robustmer"
"""The key of the file's metadata that holds the system's description."""

FIELDS = {"system": str, "shapes": dict, "task": dict | None, "options": dict, "upstream": dict}
"""What `describe` writes, and the type of each field."""


def save(system: System, path: str | Path) -> None:
    """Save a system as one safetensors file: weights, settings, task and standardisation.

    Raises TypeError for options that JSON cannot hold and OSError for a file that cannot be written; an earlier file is
    then unchanged.
    """
    write_whole(Path(path), to_bytes(system))


def to_bytes(system: System) -> bytes:
    """The content of the file that `save` writes."""
    try:
        about = json.dumps(describe(system))
    except TypeError as error:
        raise TypeError(
            f"{type(system).__name__} cannot be saved: {error}; options must be numbers, text, lists or dictionaries"
        ) from error
    tensors = {f"weights.{name}": tensor.detach().cpu().contiguous() for name, tensor in system.state_dict().items()}
    for m, pair in (system.scaling or {}).items():
        tensors |= {f"scaling.{m}.{name}": t.contiguous() for name, t in zip(("mean", "std"), pair, strict=True)}
    return safetensors.save(tensors, {KEEPS: about})


def describe(system: System) -> dict[str, object]:
    """A system without its weights: class, shapes, task, options and upstream systems, for JSON."""
    settings = dict(system.settings)
    task = settings.pop("task", None)
    upstream = {name: describe(settings.pop(name)) for name in system.frozen()}
    shapes = {m: list(shape) for m, shape in settings.pop("shapes", {}).items()}
    return {
        "system": type(system).__name__,
        "shapes": shapes,
        "task": task.describe() if isinstance(task, Task) else None,
        "options": settings,
        "upstream": upstream,
    }


def load(
    path: str | Path,
    systems: Mapping[str, type[System]] | None = None,
    tasks: Mapping[str, type[Task]] = TASKS,
) -> System:
    """A saved system, in evaluation mode. Nothing in the file is executed.

    `systems` and `tasks` map names to classes, by default those of the library; give your own classes by name. Raises
    FileNotFoundError without a file, and ValueError for a file that is no saved system, of an unknown class, or whose
    settings and tensors do not fit together. Sizes are compared before memory is taken.
    """
    if systems is None:
        from robustmer.systems import SYSTEMS as systems
    path = Path(path)
    about, shapes = header(path)
    check_known(about, systems, path)
    try:
        with torch.device("meta"), at_most(2 * len(shapes) + 100):  # sizes are compared before memory is taken
            sketch = construct(about, systems, tasks)
    except Exception as error:  # a class may refuse foreign settings in any way
        raise ValueError(
            f"{path}: {about['system']} cannot be made with the saved settings ({type(error).__name__}: {error}); the "
            "class has changed since: load the file with the version that saved it, or train again"
        ) from error
    compare(tensors_of(sketch, shapes), shapes, about, path)
    with torch.random.fork_rng(devices=()):
        system = construct(about, systems, tasks)
    restore(system, safetensors.load_file(path))
    return system.eval()


def check_known(about: Mapping, systems: Mapping[str, type[System]], path: Path) -> None:
    """Raises ValueError for a description, or one of an upstream system in it, whose class is not known."""
    if about["system"] not in systems:
        raise ValueError(
            f"{path} holds a {about['system']}; the known systems are {', '.join(systems)}. Pass "
            f"systems={{{about['system']!r}: ...}}"
        )
    for part in about["upstream"].values():
        check_known(part, systems, path)


@contextmanager
def at_most(most: int) -> Iterator[None]:
    """Within the block this thread makes no more than `most` parameters; ValueError for one more. A small file that
    asks for a million layers ends here, before it takes memory or time."""
    thread, count = threading.get_ident(), itertools.count(1)

    def refuse(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() == thread and next(count) > most:
            raise ValueError(f"they ask for more than {most} parameters, and the file has far fewer tensors")

    handle = register_module_parameter_registration_hook(refuse)
    try:
        yield
    finally:
        handle.remove()


def tensors_of(system: System, stored: Mapping[str, tuple]) -> dict[str, tuple[int, ...]]:
    """The shapes of a system's tensors in a file by name: weights, and the statistics of modalities that have any."""
    tensors = {f"weights.{name}": tuple(tensor.shape) for name, tensor in system.state_dict().items()}
    for m, shape in system.shapes.items():
        names = [f"scaling.{m}.{statistic}" for statistic in ("mean", "std")]
        tensors |= dict.fromkeys(names, tuple(shape)) if any(name in stored for name in names) else {}
    return tensors


def restore(system: System, tensors: Mapping[str, Tensor]) -> None:
    """Load weights and standardisation of a checkpoint into a system of the same shapes."""
    weights = {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    system.load_state_dict(weights)
    scaling: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("scaling."):
            _, modality, statistic = name.split(".")
            scaling.setdefault(modality, {})[statistic] = tensor
    restored: Scaling = {m: (pair["mean"], pair["std"]) for m, pair in scaling.items()}
    system.scaling = restored or None


def construct(about: Mapping, systems: Mapping[str, type[System]], tasks: Mapping[str, type[Task]]) -> System:
    upstream = {key: construct(part, systems, tasks) for key, part in about["upstream"].items()}
    arguments = dict(about["options"]) | upstream
    if about["shapes"]:
        arguments["shapes"] = {m: tuple(shape) for m, shape in about["shapes"].items()}
    if about["task"] is not None:
        arguments["task"] = task_from(about["task"], tasks)
    return systems[about["system"]](**arguments)


def header(path: Path) -> tuple[dict, dict[str, tuple[int, ...]]]:
    """The description of a saved system and the shapes of its tensors, which are not read. Raises FileNotFoundError
    without a file, ValueError for a file that is no saved system."""
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise FileNotFoundError(f"{path} {what}; give a file that robustmer saved")
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})[KEEPS])
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        check_description(about)
    except Exception as error:  # damage shows itself in many ways
        raise ValueError(
            f"{path} is no saved system, or it is damaged ({type(error).__name__}: {str(error)[:200]}); copy it again, "
            "or train again"
        ) from error
    return about, shapes


def check_description(about: Mapping) -> None:
    """Raises ValueError for a description with a field that is missing or of another type, upstream ones included."""
    wrong = [name for name, kinds in FIELDS.items() if not isinstance(about.get(name, ...), kinds)]
    if wrong:
        raise ValueError(f"its description has no usable {', '.join(wrong)}")
    for part in about["upstream"].values():
        check_description(part)


def compare(wanted: Mapping[str, tuple], stored: Mapping[str, tuple], about: Mapping, path: Path) -> None:
    """Raises ValueError where the tensors of a class and of a file differ in names or shapes."""
    for name in sorted({*wanted, *stored}):
        if wanted.get(name) != stored.get(name):
            sizes = [f"{shapes[name]}" if name in shapes else "absent" for shapes in (stored, wanted)]
            raise ValueError(
                f"{path} does not fit {about['system']}: the tensor {name.removeprefix('weights.')!r} is {sizes[0]} in "
                f"the file and {sizes[1]} in the class, which has changed since: load the file with the version that "
                "saved it, or train again"
            )


def write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all: aside first, then renamed into place. A kill may leave a hidden `.part`
    file, which nothing reads. Raises OSError (a full disk); an earlier file is then unchanged."""
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
            raise OSError(
                error.errno, f"{error.strerror}; nothing was written, an earlier file is unchanged", str(path)
            ) from error
        raise
