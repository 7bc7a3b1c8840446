"""Careful reading: anything but a plain file inside the corpus's folder is refused before it is opened."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np

from robustmer.corpora.common import CorpusError, describe, listed, printable

Result = TypeVar("Result")

LARGEST = 2**34
"""Bytes that an array or an archive may unpack to: more is refused before anything is unpacked."""

DEFLATE = 1100
"""Bytes that one compressed byte may become: deflate, the best compression of HDF5, makes at most 1032."""

KINDS = {"numbers": "fiu", "whole numbers": "iu", "text": "U", "names": "SU", "text or numbers": "SUfiu",
         "numbers or truth values": "fiub"}  # fmt: skip
"""What an array may hold, in numpy's letters for kinds."""


class Unfit(Exception):
    """What is wrong with a file or an array: the end of a sentence that begins with its name."""


class Problems:
    """Sentences about the problems of a corpus, each kind once with the number of its cases. `notes` are problems that
    do not prevent its use; `facts` are counts that a check compares with the published ones; `cause` is the last
    unforeseen error."""

    def __init__(self, notes: bool = True):
        self.cases: dict[str, list] = {}
        self.facts: dict[str, int] = {}
        self.cause: Exception | None = None
        self.notes = Problems(notes=False) if notes else self

    def __bool__(self) -> bool:
        return bool(self.cases)

    def add(self, sentence: str, kind: str | None = None) -> None:
        self.cases.setdefault(kind or sentence, [printable(sentence), 0])[1] += 1

    @contextmanager
    def of(self, what: str, kind: str | None = None):
        """Any error within the block is a problem of `what`."""
        try:
            yield
        except CorpusError as error:
            self.add(str(error), kind)
        except Unfit as error:
            self.add(f"{what} {error}", kind)
        except Exception as error:  # damage shows itself in many ways; memory may end
            self.cause = error
            self.add(f"{what} cannot be read ({describe(error)}); it may be cut short or damaged: get it again", kind)

    def sentences(self) -> list[str]:
        return [sentence + (f"; {count} such cases" if count > 1 else "") for sentence, count in self.cases.values()]


def check_file(path: Path, root: Path) -> None:
    """Raises Unfit unless this is a plain file inside `root`: reading a pipe would block, and a device has no end."""
    folder = root if root.is_dir() and path.is_relative_to(root) else path.parent
    if not path.exists():
        raise Unfit(
            f"is missing; {path.parent.name}/ has {listed(sorted(file.name for file in path.parent.glob('*.*')))}"
        )
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kinds = {"folder": stat.S_ISDIR, "pipe": stat.S_ISFIFO, "device": stat.S_ISCHR, "disk": stat.S_ISBLK}
        kind = next((kind for kind, test in kinds.items() if test(mode)), "socket")
        raise Unfit(f"is a {kind}; put a plain file in its place")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Unfit(f"is a link that leaves {folder}; put the file itself in its place")


def expect(array: np.ndarray, kind: str, *shape: int | str, least: int = 1) -> np.ndarray:
    """The array. Raises Unfit where it does not hold this kind of KINDS or has another shape; a name in `shape` stands
    for any length of at least `least`."""
    fits = array.ndim == len(shape) and all(
        n >= least if isinstance(wanted, str) else n == wanted for n, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits or array.dtype.kind not in KINDS[kind]:
        wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
        raise Unfit(f"holds {array.dtype} values of shape {array.shape}; it must hold {kind}, {wanted}")
    if array.dtype.kind == "U" and array.dtype.itemsize:
        codes = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(-1).view(np.uint32)
        wrong = np.flatnonzero((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000)))
        if len(wrong):  # a code point beyond Unicode or half of a pair, of which Python makes no text
            raise Unfit(
                f"has a row {wrong[0] // (len(codes) // len(array))} that is no Unicode text; get the file again"
            )
    return array


def finite(values: np.ndarray, repair: bool | None = None) -> np.ndarray:
    """As float32. Raises Unfit for a value that is not finite, or sets it to 0 with `repair`; None offers no repair."""
    with np.errstate(over="ignore"):  # what is finite only in more bits is not finite in float32
        values = values.astype(np.float32)
    bad = ~np.isfinite(values)
    if bad.any() and not repair:
        place = np.argwhere(bad)[0].tolist()
        advice = "mend it or leave the sample out"
        if repair is not None:
            advice = "COVAREP files are known for -inf: load with repair=True to set such values to 0"
        axes = ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), place, strict=False))
        raise Unfit(f"is not finite ({axes}: {values[tuple(place)]}; {bad.sum()} such values); {advice}")
    values[bad] = 0
    return values


def read_npy(stream) -> np.ndarray:
    """One array in numpy's format, to the last byte of the stream."""
    try:
        array = np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        raise Unfit("holds Python objects, which are refused: unpickling can run code; store a plain array") from None
    if stream.read(1):
        raise Unfit(f"has more bytes than its shape {array.shape} needs; get the file again")
    return array


def read_npz(path: Path, names: Sequence[str], problems: Problems) -> dict[str, np.ndarray]:
    """These arrays of an .npz. Nothing is unpickled, and an archive that unpacks to more than LARGEST stays packed."""
    arrays = {}
    with problems.of(str(path)), zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
        if size > LARGEST:
            raise Unfit(f"unpacks to {size // 2**20} MiB, more than {LARGEST // 2**20}; it is not read")
        for name in names:
            with problems.of(f"array {name!r} of {path.name}"):
                if f"{name}.npy" not in archive.namelist():
                    raise Unfit(f"is missing; the file has {listed(sorted(archive.namelist()))}")
                with archive.open(f"{name}.npy") as stream:
                    arrays[name] = read_npy(stream)
    return arrays


def read_hdf5(path: Path, root: Path, problems: Problems, read: Callable[[object], Result]) -> Result | None:
    """The result of `read` on the open HDF5 file, or None and a problem."""
    import h5py

    with problems.of(str(path)):
        check_file(path, root)
        with h5py.File(path, "r") as file:
            return read(file)
    return None


def member(group, name: str):
    """The member of an HDF5 group with this name, arrays as values. Raises Unfit if there is none, for links, and for
    arrays in other files or larger than this file can hold: no other file is read."""
    import h5py

    link = None if name in ("", ".") or "/" in name else group.get(name, getlink=True)
    if link is None:
        raise Unfit(f"has no {name!r}; it has {listed(group, 5)}")
    if not isinstance(link, h5py.HardLink):
        raise Unfit(f"has a link as {name!r}, which is not followed")
    stored = group[name]
    if isinstance(stored, h5py.Group):
        return stored
    if stored.external or stored.is_virtual:
        raise Unfit(f"has {name!r} in another file, which is not read")
    most = os.path.getsize(stored.file.filename) * (DEFLATE if stored.chunks else 1)
    if stored.nbytes > min(most, LARGEST):
        raise Unfit(f"has {name!r} of shape {stored.shape}, more than the file can hold; get it again")
    return np.asarray(stored[()])
