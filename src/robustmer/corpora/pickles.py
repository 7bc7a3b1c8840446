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


class Reader(pickle.Unpickler):
    def __init__(self, file, encoding: str):
        super().__init__(file, encoding=encoding)
        self.known = stand_ins()

    def find_class(self, module: str, name: str):
        if (module, name) not in self.known:
            raise CorpusError(f"asks for {module}.{name}, which is refused: only numpy arrays and built-in containers "
                              "are read, because anything else can run code; store plain arrays")
        return self.known[module, name]


class Array:
    """An array of a pickle; `value` is it."""

    value: np.ndarray


def stand_ins() -> dict[tuple[str, str], object]:
    """By module and name. Made anew for each file: a pickle can set attributes of what it is given."""

    class Kind:
        """A dtype: the code at once, the order of bytes later."""

        def __init__(self, code, *_):
            self.code, self.order = code if isinstance(code, str) else bytes(code).decode("latin1"), "="

        def __setstate__(self, state):
            if any(state[2:5]):
                raise CorpusError("holds arrays of records, which are not read; store plain arrays")
            self.order = state[1]

        def dtype(self) -> np.dtype:
            if not PLAIN.fullmatch(self.code):
                raise CorpusError(f"holds an array of type {self.code!r}, which is not read; store numbers or text")
            return np.dtype(self.code).newbyteorder(self.order if self.order in "<>" else "=")

    class Stored(Array):
        def __setstate__(self, state):
            shape, kind, by_columns, data = state[-4:]
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
        ("collections", "OrderedDict"): OrderedDict,
    }
    for core in ("numpy.core", "numpy._core"):
        known |= {(f"{core}.multiarray", "_reconstruct"): reconstruct, (f"{core}.multiarray", "scalar"): scalar,
                  (f"{core}.numeric", "_frombuffer"): from_buffer}
    for kind in (bytes, bytearray, dict, frozenset, list, set, tuple):
        known["builtins", kind.__name__] = known["__builtin__", kind.__name__] = kind
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
    """One object a place, whatever the objects are."""
    values = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        values[place] = item.value if isinstance(item, Array) else item
    return values


def texts(values: np.ndarray) -> np.ndarray:
    """Names as text, whatever they were stored as: bytes, text, objects, numbers."""
    flat = [item.decode("latin1") if isinstance(item, bytes) else str(item) for item in values.ravel().tolist()]
    return np.array(flat, dtype=str).reshape(values.shape)
