"""A hash of the source of what a reader defined, so that an edit of it is another experiment."""

from __future__ import annotations

import copyreg
import dis
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

import numpy as np
import torch

from robustmer.systems import System


def source_hash(system: type[System]) -> str:
    """First ten hex digits of the sha256 of a system's source: its methods, its constants, its base classes, and the
    functions, classes and values that the methods name. Python, this library and installed packages count by name only.

    Raises ValueError where a source cannot be found.
    """
    try:
        return digest(system)
    except ValueError as error:
        raise ValueError(
            f"the source of the system {system.__name__!r} cannot be found ({error}), so a recipe cannot name it; "
            "define the system, and what it uses, in a file or in cells of a notebook"
        ) from error


def digest(thing: object) -> str:
    """The hash of a class, a function or an object; raises ValueError where a source cannot be found."""
    home = module_of(thing if isinstance(thing, type | FunctionType) else type(thing))
    try:
        text = json.dumps(list(sources(thing, home, {})))
    except (TypeError, OSError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def sources(thing: object, home: str, seen: dict[int, tuple[int, object]]) -> Iterator[str]:
    """The texts that decide what a thing does, as far as somebody may edit them between two runs.

    `seen` numbers the things by id, and holds them, so that no other one gets the id.
    """
    if isinstance(thing, classmethod | staticmethod | functools.cached_property | property):
        thing = getattr(thing, "fget", None) or getattr(thing, "func", None) or thing.__func__
    if is_generated(thing):
        return
    if type(thing) in ATOMS:
        yield repr(thing)
        return
    if id(thing) in seen:
        yield f"again {seen[id(thing)][0]}"
        return
    if type(thing) not in (tuple, frozenset):  # of equal ones Python may make one
        seen[id(thing)] = len(seen), thing
    if isinstance(thing, type | FunctionType | ModuleType) or is_named(thing):
        where = module_of(thing)
        if where != home and is_installed(where):
            yield getattr(thing, "__qualname__", where)
        elif isinstance(thing, type):  # the source of a notebook's class cannot be found, that of its methods can
            for name, part in [*(("base", base) for base in thing.__bases__), *vars(thing).items()]:
                if name not in ADDED:
                    yield name
                    yield from sources(part, home, seen)
        else:
            yield inspect.getsource(getattr(thing, "__code__", thing))
            if isinstance(thing, FunctionType):
                own = {name: part for name, part in vars(thing).items() if name != "__wrapped__"}
                yield from sources((thing.__defaults__, thing.__kwdefaults__, own), home, seen)
                for name, part in named_in(thing):
                    yield name
                    yield from sources(part, home, seen)
    else:
        if type(thing) in (set, frozenset):  # they come in any order
            parts = sorted(json.dumps(list(sources(part, home, dict(seen)))) for part in thing)
        else:
            parts = parts_of(thing)
        yield f"{type(thing).__qualname__} of {len(parts)}"
        for part in parts:
            yield from sources(part, home, seen)
    if hasattr(thing, "__wrapped__"):
        yield from sources(thing.__wrapped__, home, seen)


def parts_of(thing: object) -> Sequence[object]:
    """What a value consists of: its items, the hash of its numbers, or what `pickle` would store of it.

    Raises TypeError where it shows nothing but its place in memory.
    """
    if type(thing) in (list, tuple):
        return thing
    if type(thing) is dict:
        return [part for item in thing.items() for part in item]
    if isinstance(thing, torch.Tensor):
        flat = thing.detach().cpu().flatten().contiguous().view(torch.uint8)
        return [str(thing.dtype), tuple(thing.shape), hashlib.sha256(flat.numpy()).hexdigest()]
    if isinstance(thing, np.ndarray):
        items = thing.tolist() if thing.dtype.hasobject else hashlib.sha256(thing.tobytes()).hexdigest()
        return [str(thing.dtype), thing.shape, items]
    try:
        reduce = copyreg.dispatch_table.get(type(thing))
        stored = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception as error:  # what cannot be stored says so in many ways
        if not hasattr(thing, "__dict__"):
            if " at 0x" in repr(thing):
                raise TypeError(f"a {type(thing).__name__} does not show what it holds") from error
            return [repr(thing)]
        stored = type(thing), (), vars(thing)
    if isinstance(stored, str):
        return [stored]
    make, values, state, *items = (*stored, None, None, None)[:5]
    if isinstance(thing, torch.nn.Module) and isinstance(state, dict):
        state = {name: part for name, part in state.items() if name not in OF_TORCH}
    return [make, values, state, *(list(some or ()) for some in items)]


ATOMS = (str, bytes, int, float, complex, bool, range, slice, type(None), type(...), type(NotImplemented))
"""Types whose repr says all."""

OF_TORCH = vars(torch.nn.Module()).keys() - {"_parameters", "_buffers", "_modules"}
"""What torch notes in every module, beside its content."""

ADDED = {"__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__slots__",
         "__annotate_func__", "__annotations_cache__", "__dataclass_fields__", "__dataclass_params__", "_abc_impl",
         "__abstractmethods__"}
"""What Python adds to a class by itself, or what decides nothing that it computes."""


def is_generated(thing: object) -> bool:
    """Whether it is a method that `dataclass` or `NamedTuple` wrote: the class' fields say the same."""
    unseen = isinstance(thing, FunctionType) and thing.__code__.co_filename == "<string>"
    return unseen and hasattr(object, thing.__name__)


def is_named(thing: object) -> bool:
    """Whether it is a function written in C, and not the method of a value."""
    return isinstance(thing, BuiltinFunctionType) and isinstance(thing.__self__, ModuleType | type | None)


def module_of(thing: object) -> str:
    """The module whose text it is: a wrapper bears the name of the module of what it wraps."""
    if isinstance(thing, ModuleType):
        return thing.__name__
    return getattr(thing, "__globals__", {}).get("__name__") or thing.__module__ or "builtins"


def named_in(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The global and captured values that a function names, those of its inner functions included."""
    codes, names = [function.__code__], set()
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        names |= {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    yield from ((name, function.__globals__[name]) for name in sorted(names & function.__globals__.keys()))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # named, but not defined yet
            continue


@functools.cache
def is_installed(module: str) -> bool:
    """Whether a module is Python's, this library's or an installed package's."""
    top = module.partition(".")[0]
    if top == "__main__":
        return False
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return top in (*sys.stdlib_module_names, "robustmer") or "site-packages" in file or "dist-packages" in file
