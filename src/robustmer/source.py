"""A hash of the source of what a reader defined, so that an edit of it is another experiment."""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import json
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType

from robustmer.systems import System


def source_hash(system: type[System]) -> str:
    """First ten hex digits of the sha256 of a system's source: its methods, its constants, its base classes, and the
    functions, classes and values that the methods name. Python, this library and installed packages count by name only.

    Raises ValueError where a source cannot be found.
    """
    try:
        text = json.dumps(list(sources(system, system.__module__, set())))
    except (TypeError, OSError) as error:
        raise ValueError(
            f"the source of the system {system.__name__!r} cannot be found ({error}), so a recipe cannot name it; "
            "define the system, and what it uses, in a file or in cells of a notebook"
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def sources(thing: object, home: str, seen: set[int]) -> Iterator[str]:
    """The texts that decide what a thing does, as far as somebody may edit them between two runs."""
    if isinstance(thing, classmethod | staticmethod | functools.cached_property | property):
        thing = getattr(thing, "fget", None) or getattr(thing, "func", None) or thing.__func__
    if id(thing) in seen or is_generated(thing):
        return
    if isinstance(thing, type | FunctionType | BuiltinFunctionType | ModuleType):
        seen.add(id(thing))
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
                yield repr((thing.__defaults__, thing.__kwdefaults__))
                for name, part in named_in(thing):
                    yield name
                    yield from sources(part, home, seen)
    elif not hasattr(thing, "__wrapped__"):
        yield repr(thing)
    if hasattr(thing, "__wrapped__"):
        yield from sources(thing.__wrapped__, home, seen)


ADDED = {"__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__slots__",
         "__annotate_func__", "__annotations_cache__", "__dataclass_fields__", "__dataclass_params__"}
"""What Python adds to a class by itself, or what decides nothing that it computes."""


def is_generated(thing: object) -> bool:
    """Whether it is a method that `dataclass` or `NamedTuple` wrote: the class' fields say the same."""
    unseen = isinstance(thing, FunctionType) and thing.__code__.co_filename == "<string>"
    return unseen and hasattr(object, thing.__name__)


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
