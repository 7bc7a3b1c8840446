"""Pickles read as data, in a process of its own: this file, run as `python pickles.py FILE BYTES SECONDS KEY...`.

A pickle is a program: it looks classes and functions up by name and calls them. `find_class`, the hook that the
documentation of `pickle` gives for this, answers with stand-ins for the few names that plain numpy arrays and built-in
containers need, whatever version of numpy or Python wrote them, and refuses all others. numpy receives the finished
bytes, never the pickle's instructions: its own `__setstate__` believes a file that bytes are addresses of objects. What
a hostile file can still do, it does to this process, which has limits of memory and time.

The process writes one line of JSON, then the arrays that it lists. It imports nothing of the package.
"""

from __future__ import annotations

import json
import numbers
import os
import pickle
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

MEMORY, MEMORY_PER_BYTE = 2**30, 8
SECONDS, BYTES_PER_SECOND = 60, 2**23
"""Limits of the process: bytes of memory and seconds of a processor, more for a larger file."""

PLAIN = re.compile(r"(b1|\?|[iu][1248]|f(2|4|8|16)|[SU]\d+|O\d*)")
"""The types that an array may have, in numpy's codes: truth values, whole and real numbers, text, Python objects."""


def read(path: Path, keys: Sequence[str] = ()) -> tuple[dict[str, dict[str, np.ndarray | str] | str], list[list[str]]]:
    """The dictionary of dictionaries in this file: the arrays of `keys` (of all, if none are named), for the rest the
    name of its type; and the pairs of dictionaries that share an array.

    Raises CorpusError for a class that is no plain array or container, and for a file that is no pickle, is cut short
    or ends the process that reads it.
    """
    from robustmer.corpora.common import CorpusError

    size = path.stat().st_size
    memory, seconds = MEMORY + MEMORY_PER_BYTE * size, SECONDS + size // BYTES_PER_SECOND
    command = [sys.executable, "-P", __spec__.origin, str(path), str(memory), str(seconds), *keys]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    header = {}
    with subprocess.Popen(command, **pipes, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}) as process:
        try:
            header = json.loads(process.stdout.readline())
            for part, key in header.get("arrays", ()):
                pipe = SimpleNamespace(read=process.stdout.read)
                header["groups"][part][key] = np.lib.format.read_array(pipe, allow_pickle=False)
        except ValueError:
            header = {}
    if process.returncode or not header:
        code = process.returncode
        ended = f"{signal.Signals(-code).name if code < 0 else code}; it may use {seconds} s and {memory // 2**20} MiB"
        raise CorpusError(f"{path} ended the process that read it ({ended}): it is damaged or hostile; get it again")
    if "error" in header:
        raise CorpusError(f"{path} {header['error']}")
    return header["groups"], header["shared"]


class Refused(Exception):
    """The file contains something that is not read."""


class Kind:
    """Stands in for a dtype: the code at once, the order of bytes later."""

    def __init__(self, code, *_):
        self.code, self.order = code if isinstance(code, str) else bytes(code).decode("latin1"), "="

    def __setstate__(self, state):
        if any(state[2:5]):
            raise Refused("holds arrays of records, which are not read; store plain arrays")
        self.order = {"<": "<", ">": ">", "|": "=", "=": "="}[state[1]]

    def array(self, data) -> np.ndarray:
        if not PLAIN.fullmatch(self.code):
            raise Refused(f"holds an array of type {self.code!r}, which is not read; store numbers or text")
        dtype = np.dtype(self.code).newbyteorder(self.order)
        if dtype.kind == "O":
            return objects(data)
        return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)  # Python 2 wrote text


class Array:
    """Stands in for an array, which is `value`."""

    def __init__(self, *_):
        self.value = None

    def __setstate__(self, state):
        shape, kind, by_columns, data = state[-4:]
        self.value = kind.array(data).reshape(shape, order="F" if by_columns else "C")


def from_buffer(data, kind, shape, order="C"):
    array = Array()
    array.value = kind.array(data).reshape(shape, order=order)
    return array


def scalar(kind, data=b""):
    return kind.array([data] if kind.code[:1] == "O" else data)[0]


def encode(text, encoding="latin1"):
    return text.encode({"latin1": "latin1", "latin-1": "latin1"}[encoding])


KNOWN = {("numpy", "ndarray"): Array, ("numpy", "dtype"): Kind, ("_codecs", "encode"): encode}
KNOWN["collections", "OrderedDict"] = dict
for core in ("numpy.core", "numpy._core"):
    KNOWN[f"{core}.multiarray", "_reconstruct"] = Array
    KNOWN[f"{core}.multiarray", "scalar"] = scalar
    KNOWN[f"{core}.numeric", "_frombuffer"] = from_buffer
for plain in (bytes, bytearray, list, tuple, dict, set, frozenset):
    KNOWN["builtins", plain.__name__] = KNOWN["__builtin__", plain.__name__] = plain


class Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in KNOWN:
            why = "only numpy arrays and built-in containers are read, because anything else can run code"
            raise Refused(f"asks for {module}.{name}, which is refused: {why}; store plain arrays")
        return KNOWN[module, name]


def objects(items) -> np.ndarray:
    """An array of any objects, one per position."""
    values = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        values[place] = item
    return values


def array_of(value) -> np.ndarray | None:
    """Numbers or text from what is stored: an array, a list, or a list of lists of one length. None for the rest."""
    if isinstance(value, Array) and value.value is None:
        raise ValueError("an array without content")
    if isinstance(value, list | tuple):
        lengths = {len(item) if isinstance(item, list | tuple) else None for item in value}
        table = len(lengths) == 1 and None not in lengths
        values = np.stack([objects(item) for item in value]) if table else objects(value)
    elif not isinstance(value, Array) or value.value.dtype.kind != "O":
        return getattr(value, "value", None)
    else:
        values = value.value
    items = [item.value.item() if isinstance(item, Array) and item.value.size == 1 else item for item in values.flat]
    if all(isinstance(item, numbers.Real) and not isinstance(item, bool) for item in items):
        kind = np.int64 if all(isinstance(item, numbers.Integral) for item in items) else np.float64
        try:
            return np.array(items, kind).reshape(values.shape)
        except OverflowError:
            pass
    if not all(item is None or np.isscalar(item) for item in items):
        return None
    texts = [item.decode("latin1") if isinstance(item, bytes) else str(item) for item in items]
    return np.array(texts, dtype=str).reshape(values.shape)


def tree(path: str, keys: Sequence[str]) -> tuple[dict, list[np.ndarray]]:
    """What the file holds, two dictionaries deep, and the arrays of these keys in the order of `arrays`."""
    with open(path, "rb") as file:
        content = Reader(file, encoding="latin1").load()
    if not isinstance(content, dict):
        raise Refused(f"holds a {type(content).__name__}; it must be a dictionary of parts")
    groups, places, arrays, owner, shared = {}, [], [], {}, []
    for part, group in content.items():
        part, entries = str(part), group if isinstance(group, dict) else {}
        groups[part] = {str(key): type(value).__name__.lower() for key, value in entries.items()}
        if not isinstance(group, dict):
            groups[part] = type(group).__name__
        for key, value in entries.items():
            if keys and key not in keys:
                continue
            try:
                array = array_of(value)
            except ValueError as error:
                groups[part][str(key)] = f"unreadable: {error}"
                continue
            if array is not None:
                places.append((part, str(key)))
                arrays.append(array)
                if owner.setdefault(id(value), part) != part:
                    shared.append((owner[id(value)], part))
    return {"groups": groups, "shared": shared, "arrays": places}, arrays


def limit(memory: int, seconds: int) -> None:
    """No more than this memory beside the present one, these seconds of a processor, no file, no dump of memory."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    pages = Path("/proc/self/statm")
    memory += int(pages.read_text().split()[0]) * resource.getpagesize() if pages.exists() else 2**32
    for what, most in (("AS", memory), ("CPU", seconds), ("FSIZE", 0), ("CORE", 0)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{what}"), (most, most))


def main(path: str, memory: str, seconds: str, *keys: str) -> None:
    limit(int(memory), int(seconds))
    header, arrays = {}, []
    try:
        header, arrays = tree(path, keys)
    except Refused as error:
        header["error"] = str(error)
    except MemoryError:
        header["error"] = f"needs more than {int(memory) // 2**20} MiB of memory; get it again"
    except Exception as error:  # damage shows itself in many ways
        why = f"{type(error).__name__}: {str(error)[:300]}"
        header["error"] = f"is no pickle of plain arrays, or it is cut short ({why}); get it again"
    out = sys.stdout.buffer
    out.write(json.dumps(header).encode() + b"\n")
    while arrays:
        np.lib.format.write_array(SimpleNamespace(write=out.write), arrays.pop(0), allow_pickle=False)
    out.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
