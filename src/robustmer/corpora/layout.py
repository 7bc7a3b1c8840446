"""Reading a corpus that is one .npz file of plain arrays, and saying in sentences what is wrong with it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.corpora.corpus import About, CorpusError, CorpusNotFound, data_folder

KINDS = {"number": "fiu", "whole": "iu", "text": "U"}
"""What an array may hold, in numpy's letters for kinds."""

WORDS = {"number": "numbers", "whole": "whole numbers", "text": "text (fixed-width unicode)"}


@dataclass(frozen=True)
class Field:
    """One array of the file: its `kind` (of KINDS), its `width` D for shape (N, D) or None for shape (N,).

    `length` fixes N where it does not count utterances (the names of columns or classes).
    """

    kind: str
    width: int | None = None
    length: int | None = None


Arrays = dict[str, np.ndarray]
Further = Callable[[Arrays], Iterable[str]]
"""Problems that only this corpus can have; asked when the arrays themselves are as they should be."""


def find(path: Path | str | None, about: About, file: str) -> Path:
    """Where the file should be: `path` is the file, its folder, or that of all corpora (default `data_folder()`)."""
    base = data_folder() if path is None else Path(path).expanduser()
    if base.name == file or (base.suffix == ".npz" and base.is_file()):
        return base
    places = [base / about.folder / file, base / file]
    if base.name == about.folder:
        places.reverse()
    return next((place for place in places if os.path.exists(place)), places[0])


def how_to_get(about: About) -> str:
    return (f"set ROBUSTMER_DATA to the folder that holds {about.folder}/, or give the folder itself; "
            f"{about.title} is had from: {about.access}")


def examine(path: Path, about: About, fields: Mapping[str, Field], further: Further) -> tuple[Arrays, list[str]]:
    """The arrays of a file that has them all, and one sentence for everything that is wrong.

    Numbers come back as float32, whole numbers as int64. Nothing is unpickled.
    """
    if not os.path.exists(path):
        return {}, [f"no file {path}; {how_to_get(about)}"]
    arrays, problems = read_arrays(path, fields)
    if not problems:
        problems = list(find_array_problems(path.name, arrays, fields))
    if not problems:
        problems = list(further(arrays))
    return arrays, problems


def require(path: Path, about: About, fields: Mapping[str, Field], further: Further) -> Arrays:
    """The arrays of a file without problems. Raises CorpusNotFound where there is no file, else CorpusError."""
    if not os.path.exists(path):
        raise CorpusNotFound(f"{about.title} is not on this machine: no file {path}; {how_to_get(about)}")
    arrays, problems = examine(path, about, fields, further)
    if problems:
        refuse(about, problems)
    return arrays


def refuse(about: About, problems: list[str]) -> None:
    more = f" (and {len(problems) - 1} more problems; `robustmer data check` lists them)" if problems[1:] else ""
    raise CorpusError(f"{about.title} cannot be used: {problems[0]}{more}")


def read_arrays(path: Path, fields: Mapping[str, Field]) -> tuple[Arrays, list[str]]:
    arrays, problems = {}, []
    try:
        with path.open("rb") as opened:
            archived = zipfile.is_zipfile(opened)
        if not archived:
            return {}, [f"{path} is no .npz file, or it is cut short ({path.stat().st_size} bytes); get it again"]
        with np.load(path, allow_pickle=False) as archive:
            for name in fields:
                if name not in archive.files:
                    there = ", ".join(sorted(archive.files)) or "nothing"
                    problems.append(f"{path.name} has no array {name!r}; it has {there}")
                    continue
                try:
                    array = archive[name]
                    if isinstance(array, np.ndarray):
                        arrays[name] = array
                    else:
                        problems.append(f"{name!r} of {path.name} is {type(array).__name__}, not an array; store one")
                except Exception as error:  # damage shows itself in many ways: zip, zlib, header, memory
                    if "allow_pickle" in str(error):
                        problems.append(f"array {name!r} of {path.name} holds Python objects, which are refused: "
                                        "unpickling them can run code; store it as a plain array")
                    else:
                        problems.append(f"array {name!r} of {path.name} cannot be read ({describe(error)}); get the "
                                        "file again")
    except Exception as error:
        problems.append(f"{path} cannot be read ({describe(error)}); get it again, or mend its permissions")
    return arrays, problems


def describe(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def find_array_problems(file: str, arrays: Arrays, fields: Mapping[str, Field]) -> Iterable[str]:
    """Yield what is wrong with kinds, shapes and values; convert the arrays that are right, in place of the dict."""
    count = None
    for name, field in fields.items():
        array = arrays[name]
        rows = "N" if field.length is None else field.length
        wanted = f"({rows},)" if field.width is None else f"({rows}, {field.width})"
        if array.dtype.kind not in KINDS[field.kind]:
            yield f"array {name!r} of {file} holds {array.dtype}; it must hold {WORDS[field.kind]}, shape {wanted}"
            continue
        if array.ndim != (1 if field.width is None else 2):
            yield f"array {name!r} of {file} has shape {array.shape}; it must have {wanted}"
            continue
        if field.width is not None and array.shape[1] != field.width:
            yield f"array {name!r} of {file} is {array.shape[1]} wide; it must be {field.width} wide"
            continue
        if len(array) == 0:
            yield f"array {name!r} of {file} is empty; it must have a row for every utterance"
            continue
        if field.length is not None and len(array) != field.length:
            yield f"array {name!r} of {file} has {len(array)} entries; it must have {field.length}"
        elif field.length is None and count is not None and len(array) != count[1]:
            yield (f"array {name!r} of {file} has {len(array)} rows, but {count[0]!r} has {count[1]}; they must count "
                   "the same utterances")
        if field.length is None and count is None:
            count = name, len(array)
        if field.kind == "number":
            with np.errstate(over="ignore"):
                arrays[name] = array = array.astype(np.float32)
            bad = np.argwhere(~np.isfinite(array))
            if len(bad):
                row, *column = bad[0]
                where = f"row {row}" + (f", column {column[0]}" if column else "")
                yield (f"array {name!r} of {file} is not finite at {where}: {array[tuple(bad[0])]} ({len(bad)} such "
                       "values); repair or leave out the utterance")
        elif field.kind == "whole":
            arrays[name] = array.astype(np.int64)


def outside(name: str, values: np.ndarray, lowest: int, highest: int, id: np.ndarray, meaning: str) -> Iterable[str]:
    """Yield a sentence where a whole number is not within its bounds."""
    bad = np.flatnonzero((values < lowest) | (values > highest))
    if len(bad):
        yield (f"{name} of utterance {str(id[bad[0]])!r} (row {bad[0]}) is {values[bad[0]]}; it must be {lowest} to "
               f"{highest} ({meaning}); {len(bad)} such rows")


def doubled(name: str, id: np.ndarray) -> Iterable[str]:
    values, counts = np.unique(id, return_counts=True)
    if (counts > 1).any():
        yield f"{name} {str(values[counts > 1][0])!r} is there {counts.max()} times; every one needs its own name"


def count_problem(what: str, found: int, published: int) -> Iterable[str]:
    if found != published:
        yield f"{found} {what}; {published} were published"


def vectors(x: Mapping[str, np.ndarray], label: np.ndarray, speaker: np.ndarray, id: np.ndarray, name: str) -> Batch:
    """A Batch of sequences of length one from one vector an utterance, (N, D) for each modality. Labels that are floats
    stay floats (a regression)."""
    rows = len(label)
    return Batch(
        x={m: torch.tensor(values, dtype=torch.float32)[:, None] for m, values in x.items()},
        real={m: torch.ones(rows, 1, dtype=torch.bool) for m in x},
        present={m: torch.ones(rows, dtype=torch.bool) for m in x},
        label=torch.tensor(label, dtype=torch.float32 if label.dtype.kind == "f" else torch.long),
        speaker=np.asarray(speaker, dtype=str),
        id=np.asarray(id, dtype=str),
        name=name,
    )
