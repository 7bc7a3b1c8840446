"""Provenance of a number beside its recipe: the code, the commit and the numerical environment."""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import inspect
import os
import platform
import subprocess
import sys
from pathlib import Path
from types import BuiltinFunctionType, CodeType, MappingProxyType, ModuleType

import numpy as np
import torch

import robustmer

PACKAGE = Path(robustmer.__file__).parent
DECIDES_NOTHING = ("book/", "cli.py", "__main__.py", "laws.py")
TRAINS = ("experiments/recipe.py", "experiments/work.py")
"""The modules of the experiments on which weights and scores depend."""


def hash_of_code() -> str:
    """The first 8 hex digits of the sha256 of the library's syntax trees, without comments and docstrings."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name in TRAINS or not name.startswith((*DECIDES_NOTHING, "experiments/")):
            digest.update(f"{name}\0{without_docstrings(file.read_text())}\0".encode())
    return digest.hexdigest()[:8]


def without_docstrings(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [n for n in body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))]
    return ast.dump(tree)


CODE = hash_of_code()
"""The hash of the code that runs, taken at import: an edit while a grid runs does not change it."""


@functools.cache
def commit() -> str:
    """The commit of the code that runs, with a + if that code differs from it; `unknown` for an installed package and
    outside version control."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=PACKAGE, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if not git("ls-files", "--", "__init__.py"):  # a repository around a virtual environment is not ours
            return "unknown"
        differs = bool(git("status", "--porcelain", "--", ".")) or hash_of_code() != CODE
        return git("rev-parse", "--short=10", "HEAD") + "+" * differs
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def numerics(device: str = "cpu") -> dict[str, object]:
    """The environment that decides the last digits: processor, instruction set of torch, preloaded libraries,
    threads."""
    about: dict[str, object] = {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "preloaded": ", ".join(Path(p).name for p in os.environ.get("LD_PRELOAD", "").replace(":", " ").split()),
        "threads": torch.get_num_threads(),
        "torch": version_of_torch(),
    }
    return about | ({"gpu": torch.cuda.get_device_name(device)} if str(device).startswith("cuda") else {})


def version_of_torch() -> str:
    return torch.__version__.partition("+")[0]


@functools.cache
def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


# --- the source of a user's own systems and noise ---------------------------------------------------------------------


def module_of(thing: object) -> str:
    kind = thing if inspect.isclass(thing) or inspect.isfunction(thing) else type(thing)
    return getattr(kind, "__module__", None) or ""


def is_library(thing: object) -> bool:
    """Whether a class, function or object is this library's."""
    return module_of(thing).partition(".")[0] == "robustmer"


def is_own(thing: object) -> bool:
    """Whether a class, function or object is a user's own: from neither this library nor an installed package."""
    module = module_of(thing)
    top = module.partition(".")[0]
    if top in ("robustmer", "builtins") or top in sys.stdlib_module_names:
        return False
    return module == "__main__" or "site-packages" not in str(getattr(sys.modules.get(module), "__file__", ""))


def source_of(thing: object) -> str:
    """The first 10 hex digits of the sha256 of a user's class, function or object: its source, its values, and the
    functions, classes and constants of its module that it uses. Raises ValueError where these cannot be read."""
    digest = hashlib.sha256()
    feed(digest, thing, thing, set())
    return digest.hexdigest()[:10]


PLAIN = (int, float, complex, str, bytes, bool, type(None))
CONTAINERS = (tuple, list, set, frozenset, dict)


def feed(digest, value: object, owner: object, visited: set[int]) -> None:
    """Add a value to the digest of `owner`."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    value = inspect.unwrap(getattr(value, "fget", None) or value)
    value = dict(value) if isinstance(value, MappingProxyType) else value
    if isinstance(value, PLAIN):
        digest.update(repr(value).encode())
    elif isinstance(value, CONTAINERS):
        items = value.items() if isinstance(value, dict) else value
        for item in sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items:
            feed(digest, item, owner, visited)
        digest.update(f"{type(value).__name__} {len(value)}".encode())
    elif inspect.isclass(value) or inspect.isfunction(value):
        digest.update((value.__qualname__ if is_own(value) else f"{value.__module__}.{value.__qualname__}").encode())
        if is_own(value) and id(value) not in visited:
            visited.add(id(value))
            (feed_class if inspect.isclass(value) else feed_function)(digest, value, owner, visited)
    elif isinstance(value, (torch.Tensor, np.ndarray)):
        feed(digest, [str(value.dtype), tuple(value.shape), value.tolist()], owner, visited)
    elif isinstance(value, functools.partial):
        feed(digest, [value.func, value.args, value.keywords], owner, visited)
    elif dataclasses.is_dataclass(value) or is_own(value) and hasattr(value, "__dict__"):
        feed(digest, [type(value), vars(value)], owner, visited)
    elif isinstance(value, (ModuleType, BuiltinFunctionType, torch.dtype, torch.device)):
        digest.update(str(getattr(value, "__name__", value)).encode())
    else:
        raise unreadable(owner, f"the value {value!r} does not show what it holds")


def feed_class(digest, kind: type, owner: object, visited: set[int]) -> None:
    for base in kind.__mro__[1:]:
        feed(digest, base, owner, visited)
    for name, value in sorted(vars(kind).items()):
        if dataclasses.is_dataclass(kind) and inspect.isfunction(value) and name.startswith("__"):
            if inspect.unwrap(value).__code__.co_filename == "<string>":  # written by @dataclass
                continue
        if isinstance(value, (staticmethod, classmethod, property)) or inspect.isfunction(value):
            feed(digest, value, owner, visited)
        elif not name.startswith("_") and name != "upstream":  # a recipe states its upstream systems by their keys
            digest.update(name.encode())
            feed(digest, value, owner, visited)


def feed_function(digest, function, owner: object, visited: set[int]) -> None:
    try:
        digest.update(inspect.getsource(function).encode())
    except (OSError, TypeError) as error:
        raise unreadable(owner, str(error)) from error
    for value in (function.__defaults__, function.__kwdefaults__):
        feed(digest, value, owner, visited)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__":
            feed(digest, cell.cell_contents, owner, visited)
    for name in sorted(names_in(function.__code__)):
        value = function.__globals__.get(name)
        same = getattr(value, "__module__", None) == function.__module__
        if isinstance(value, (*PLAIN, *CONTAINERS)) or same and (inspect.isclass(value) or inspect.isfunction(value)):
            feed(digest, value, owner, visited)


def names_in(code: CodeType) -> set[str]:
    inner = [names_in(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def unreadable(owner: object, why: str) -> ValueError:
    name = getattr(owner, "__name__", type(owner).__name__)
    return ValueError(
        f"the source of {name!r} cannot be read ({why}), so a recipe cannot name it; define it in a file or in a "
        "notebook cell, with numbers, text, functions and classes as its values"
    )
