"""What the readers of sequences share: where a corpus lies, padding, absent modalities, sentiment as two classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from robustmer.corpora.corpus import About, CorpusError, CorpusNotFound, data_folder
from robustmer.corpora.layout import describe, how_to_get, refuse

POLARITY = ("negative", "positive")

NEUTRAL = ("positive", "negative", "drop")
"""What becomes of sentiment 0. "positive" fits the counts of NMER Table 1 (CMU-MOSEI: 14842 positive, 6066 negative);
"negative" is the rule of MultiBench's own loader; "drop" leaves these utterances out."""

Found = dict[str, list[str]]
"""Sentences by kind of problem: many utterances with one problem are told once, with their number."""


def locate(path: Path | str | None, about: About, holds: Callable[[Path], bool]) -> Path:
    """The folder of a corpus: below `path` (default `data_folder()`), or `path` itself where it `holds` one."""
    base = data_folder() if path is None else Path(path).expanduser()
    below = base / about.folder
    itself = not below.exists() and base != data_folder() and holds(base)
    return base if itself else below


def missing(about: About, what: str, folder: Path) -> str:
    return f"no {what} in {folder}; {how_to_get(about)}"


def require(about: About, here: bool, problems: list[str]) -> None:
    """Raises CorpusNotFound with the first problem where the corpus is not `here`, CorpusError where there are any."""
    if not here:
        raise CorpusNotFound(f"{about.title} is not on this machine: {problems[0]}")
    if problems:
        refuse(about, problems)


def told(found: Mapping[str, list[str]]) -> list[str]:
    """One sentence a kind, the first one, with the number of its like."""
    return [same[0] + (f"; {len(same)} such cases" if same[1:] else "") for same in found.values()]


def tell(found: Found, kind: str, sentence: str) -> None:
    found.setdefault(kind, []).append(sentence)


def numbers(values: np.ndarray, what: str, found: Found, repair: bool | None = None) -> np.ndarray:
    """As float32; a value that is not finite is told, or set to 0 if `repair`. None: no repair is offered."""
    if values.dtype.kind not in "fiu":
        tell(found, f"kind {what.split()[0]}", f"{what} holds {values.dtype} values; it must hold numbers")
        return np.zeros(values.shape, np.float32)
    with np.errstate(over="ignore"):  # what is finite only in more bits is not finite here
        values = values.astype(np.float32)
    bad = ~np.isfinite(values)
    if not bad.any():
        return values
    if not repair:
        place = np.argwhere(bad)[0]
        way = "mend it or leave the utterance out" if repair is None else \
            "COVAREP files are known for -inf: load with repair=True to set such values to 0"
        tell(found, f"finite {what.split()[0]}",
             f"{what} is not finite (frame {place[0]}, feature {place[-1]}: {values[tuple(place)]}); {way}")
    values[bad] = 0
    return values


def extent(values: np.ndarray) -> tuple[int, int]:
    """From the first to behind the last frame that is not all zeros; (0, 0) if there is none."""
    some = np.flatnonzero((values != 0).any(1))
    return (int(some[0]), int(some[-1]) + 1) if len(some) else (0, 0)


def pack(frames: Iterable[np.ndarray], rows: int, longest: int, width: int):
    """x (rows, T, width), real (rows, T) and present (rows,) of one modality, from an array (frames, width) for each
    row with `longest` frames at most. A row without frames does not have the modality."""
    x, length = torch.zeros(rows, max(longest, 1), width), torch.zeros(rows, dtype=torch.long)
    for row, values in enumerate(frames):
        if len(values):
            x[row, : len(values)] = torch.from_numpy(np.ascontiguousarray(values))
            length[row] = len(values)
    needed = max(int(length.max()) if rows else 0, 1)
    if needed < x.shape[1]:
        x = x[:, :needed].clone()
    return x, torch.arange(needed) < length[:, None], length > 0


def polarity(sentiment: np.ndarray, neutral: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Label (0 negative, 1 positive; without `neutral` the sentiment itself) and which utterances are kept.

    >>> polarity(np.array([-1.0, 0.0, 2.0]), "drop")
    (array([0, 0, 1]), array([ True, False,  True]))
    """
    if neutral is None:
        return sentiment.astype(np.float32), np.ones(len(sentiment), dtype=bool)
    if neutral not in NEUTRAL:
        raise CorpusError(f"neutral={neutral!r} was asked for; sentiment 0 can be one of {', '.join(NEUTRAL)}")
    label = (sentiment >= 0 if neutral == "positive" else sentiment > 0).astype(np.int64)
    return label, sentiment != 0 if neutral == "drop" else np.ones(len(sentiment), dtype=bool)


def sentiment_problems(file: str, sentiment: np.ndarray, id: np.ndarray) -> list[str]:
    """A sentence where a sentiment is no number from -3 to 3."""
    bad = np.flatnonzero(~(np.abs(sentiment) <= 3 + 1e-4))
    return [f"sentiment of utterance {str(id[bad[0]])!r} in {file} is {sentiment[bad[0]]:g}; it must be -3 to 3; "
            f"{len(bad)} such rows"] if len(bad) else []


@contextmanager
def opened(path: Path, problems: list[str]):
    """The HDF5 file, or None and a sentence. What shows itself as damage while it is read ends the block with one."""
    import h5py

    file = None
    try:
        if path.is_file():
            with path.open("rb") as start:
                stated = stated_size(start.read(64))
            if stated is not None and path.stat().st_size > stated:
                problems.append(f"{path} has {path.stat().st_size} bytes, but its beginning says {stated}: some were "
                                "added, and what is behind them is not where it was; get it again")
            else:
                file = h5py.File(path, "r")
        else:
            others = ", ".join(sorted(file.name for file in path.parent.glob("*.*"))) or "nothing"
            problems.append(f"no file {path}; {path.parent.name}/ has {others}")
    except Exception as error:
        problems.append(f"{path} is no HDF5 file, or it is cut short ({describe(error)}); get it again")
    if file is None:
        yield None
        return
    try:
        with file:
            yield file
    except Exception as error:  # damage shows itself in many ways
        problems.append(f"{path} is damaged, it cannot be read to its end ({describe(error)}); get it again")


def stated_size(start: bytes) -> int | None:
    """How many bytes an HDF5 file has by its superblock (versions 0 to 3), where addresses are eight bytes long.

    The library itself finds files that are shorter, and not those that are longer.
    """
    if start[:8] != b"\x89HDF\r\n\x1a\n" or len(start) < 64:
        return None
    place, length = {0: (40, 13), 1: (44, 13), 2: (28, 9), 3: (28, 9)}.get(start[8], (0, 0))
    return int.from_bytes(start[place : place + 8], "little") if place and start[length] == 8 else None
