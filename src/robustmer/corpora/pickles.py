"""Pickles read as data. A pickle is a program: whoever wrote it can have anything run. Here nothing of it runs.

`pickle` looks every class and function up by name and calls what it finds. This reader answers with stand-ins of its
own for the few names that plain numpy arrays and built-in containers need, whatever version of numpy or Python wrote
them, and refuses all others. numpy itself is handed the finished bytes, never the pickle's instructions.
"""

from __future__ import annotations

import pickle
import re
from collections import OrderedDict
from pathlib import Path

import numpy as np

from robustmer.corpora.corpus import CorpusError
from robustmer.corpora.layout import describe

PLAIN = re.compile(r"(b1|\?|[iu][1248]|f(2|4|8|16)|[SU]\d+|O\d*)")
"""The types that an array may have, in numpy's codes: truth values, whole and real numbers, text, Python objects."""


def read(path: Path) -> object:
    """What the file holds: built-in containers, text and numbers, with numpy arrays among them (as `Array`).

    Raises CorpusError, naming it, for a class that is none of these, and for a file that is no pickle or is cut short.
    """
    try:
        with path.open("rb") as file:
            return Reader(file, encoding="latin1").load()  # Python 2 wrote bytes where Python 3 expects text
    except CorpusError as error:
        raise CorpusError(f"{path} {error}") from None
    except Exception as error:  # damage shows itself in many ways
        raise CorpusError(f"{path} is no pickle of plain arrays, or it is cut short ({describe(error)}); get it again"
                          ) from None


class Reader(pickle._Unpickler):
    """The reader written in Python: of the two that Python has, the one that can be asked what it is about to do."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, file, encoding: str):
        super().__init__(file, encoding=encoding)
        self.arrays: list[Array] = []
        self.known = stand_ins(self.arrays)

    def load(self) -> object:
        content = super().load()
        if not all(hasattr(stored, "value") for stored in self.arrays):
            raise ValueError("an array without content")
        if self.stack or self.metastack:
            raise ValueError("it ends before everything that it began is put in its place")
        return content

    def find_class(self, module: str, name: str):
        if (module, name) not in self.known:
            raise CorpusError(f"asks for {module}.{name}, which is refused: only numpy arrays and built-in containers "
                              "are read, because anything else can run code; store plain arrays")
        return self.known[module, name]

    def load_setitem(self):
        hashable(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self):
        hashable(self.stack[::2])
        super().load_setitems()

    def load_additems(self):
        hashable(self.stack)
        super().load_additems()

    def load_frozenset(self):
        hashable(self.stack)
        super().load_frozenset()

    dispatch |= {pickle.SETITEM[0]: load_setitem, pickle.SETITEMS[0]: load_setitems,
                 pickle.ADDITEMS[0]: load_additems, pickle.FROZENSET[0]: load_frozenset}


def hashable(keys: list) -> list:
    """The keys, all text or numbers: Python hashes tuples in tuples without a limit, until the interpreter dies."""
    for key in keys:
        if key is not None and not np.isscalar(key):
            raise CorpusError(f"has a {type(key).__name__} as a key; keys must be text or numbers")
    return keys


class Array:
    """An array of a pickle; `value` is it."""

    value: np.ndarray


def stand_ins(arrays: list[Array]) -> dict[tuple[str, str], object]:
    """By module and name. Made anew for each file: a pickle can set attributes of what it is given. Every array that
    they make is added to `arrays`."""

    class Kind:
        """A dtype: the code at once, the order of bytes later."""

        def __init__(self, code, *_):
            self.code, self.order = code if isinstance(code, str) else bytes(code).decode("latin1"), "="

        def __setstate__(self, state):
            if any(state[2:5]):
                raise CorpusError("holds arrays of records, which are not read; store plain arrays")
            self.order = state[1]
            if self.order not in ("<", ">", "|", "="):
                raise ValueError(f"an order of bytes {self.order!r}")

        def dtype(self) -> np.dtype:
            if not PLAIN.fullmatch(self.code):
                raise CorpusError(f"holds an array of type {self.code!r}, which is not read; store numbers or text")
            return np.dtype(self.code).newbyteorder(self.order if self.order in "<>" else "=")

    class Stored(Array):
        def __new__(cls, *_):
            arrays.append(super().__new__(cls))
            return arrays[-1]

        def __setstate__(self, state):
            shape, kind, by_columns, data = state[-4:]
            if len(state) > 5 or not isinstance(by_columns, bool):
                raise ValueError(f"an array of {len(state)} parts, whose order of axes is {by_columns!r}")
            dtype = kind.dtype()
            if dtype.kind == "O":
                self.value = objects(data)
            else:
                self.value = np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)
            self.value = self.value.reshape(shape, order="F" if by_columns else "C")

    def reconstruct(*_):
        return Stored()

    def from_buffer(data, kind, shape, order="C"):
        stored = Stored()
        stored.value = np.frombuffer(data, kind.dtype()).reshape(shape, order=order)
        return stored

    def scalar(kind, data=b""):
        if kind.dtype().kind == "O":
            return data
        return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, kind.dtype())[0]

    def encode(text, encoding="latin1"):
        if encoding not in ("latin1", "latin-1"):
            raise CorpusError(f"encodes text as {encoding!r}; only latin1 is known")
        return text.encode("latin1")

    known: dict[tuple[str, str], object] = {
        ("numpy", "ndarray"): Stored, ("numpy", "dtype"): Kind, ("_codecs", "encode"): encode,
        ("collections", "OrderedDict"): lambda pairs=(): OrderedDict((hashable([key])[0], item) for key, item in pairs),
    }
    for core in ("numpy.core", "numpy._core"):
        known |= {(f"{core}.multiarray", "_reconstruct"): reconstruct, (f"{core}.multiarray", "scalar"): scalar,
                  (f"{core}.numeric", "_frombuffer"): from_buffer}
    plain = {kind.__name__: kind for kind in (bytes, bytearray, list, tuple)} | {
        "dict": lambda pairs=(): {hashable([key])[0]: item for key, item in pairs},
        "set": lambda items=(): set(hashable(items)), "frozenset": lambda items=(): frozenset(hashable(items)),
    }
    for name, kind in plain.items():
        known["builtins", name] = known["__builtin__", name] = kind
    return known


def array(value: object) -> np.ndarray | None:
    """An array from what a pickle holds at one place: an array, or a list of numbers or text; None for others."""
    if isinstance(value, Array):
        return getattr(value, "value", None)
    if isinstance(value, list | tuple):
        lengths = {len(item) if isinstance(item, list | tuple) else None for item in value}
        table = len(lengths) == 1 and None not in lengths
        return np.stack([objects(item) for item in value]) if table else objects(value)
    return None


def objects(items) -> np.ndarray:
    """One object a place, whatever the objects are; arrays within arrays, but no third one within these."""
    values = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        if isinstance(item, Array):
            item = item.value
            if item.dtype.kind == "O" and any(isinstance(inner, np.ndarray) for inner in item.flat):
                raise CorpusError("holds arrays within arrays within arrays, which are not read; store plain arrays")
        values[place] = item
    return values


def texts(values: np.ndarray) -> np.ndarray:
    """Names as text, whatever they were stored as: bytes, text, objects, numbers. Raises ValueError for others."""
    for item in values.flat:
        if item is not None and not np.isscalar(item):
            raise ValueError(f"a {type(item).__name__} is no name")
    flat = [item.decode("latin1") if isinstance(item, bytes) else str(item) for item in values.ravel().tolist()]
    return np.array(flat, dtype=str).reshape(values.shape)
