"""Row and ledger: measured and published numbers in one form, so that comparing them is a join."""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import pandas as pd

from robustmer.corpora.corpus import ROOT

RESULTS = ROOT / "results"


@dataclass(frozen=True)
class Row:
    """One number. The first columns are those of `results/published`; the rest say how it was measured.

    `snr_db` is the level that was asked for; `note` gives T and the true SNR of each noisy modality. `key` is the
    recipe's, `fingerprint` the corpus's, `seconds` those of the whole training and evaluation. `value` is NaN where
    there is none to give; `note` says why.
    """

    paper: str
    table: str
    dataset: str
    system: str
    noise: str
    snr_db: str
    condition: str
    metric: str
    value: float
    std: str = ""
    unit: str = "fraction"
    note: str = ""
    train: str = ""
    fold: int = 0
    seed: int = 0
    profile: str = ""
    key: str = ""
    commit: str = ""
    device: str = ""
    seconds: float = 0.0
    fingerprint: str = ""


COLUMNS = [f.name for f in fields(Row)]
HEADER = ",".join([*COLUMNS, "check"]).encode()
"""The first line of a ledger. `check` is the crc32 of the line's text before it in 8 hex digits; `append` writes it and
`read` verifies it, so that no altered byte passes for a number."""


def ledger(paper: str, profile: str = "paper") -> Path:
    """Where rows of this paper and profile are: `results/measured` for profile paper, else beside the built book.

    Rows of the small profiles are cheap, so they are kept for one state of the library only: an edit begins a new file.
    """
    if profile not in LEDGERS:
        raise ValueError(f"no profile {profile!r}; there are {', '.join(LEDGERS[:-1])}")
    if profile == "paper":
        return RESULTS / "measured" / f"{paper}.csv"
    return ROOT / "book" / "executed" / "ledger" / f"{profile}-{library_hash()}" / f"{paper}.csv"


LEDGERS = ("smoke", "quick", "paper", "unpublished")
"""The profiles, and what is computed in profile paper and may not stand in `results/measured`."""


@lru_cache
def library_hash() -> str:
    """First 8 hex digits of the sha256 of the library's source, papers and commands left out."""
    source = ROOT / "src" / "robustmer"
    files = [f for f in sorted(source.rglob("*.py")) if f.parent.name != "papers" and f.name not in LEFT_OUT]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:8]


LEFT_OUT = ("bench.py", "book.py", "cli.py", "display.py")


@contextmanager
def locked(path: Path):
    """Only one process at a time appends to a ledger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def append(path: Path, rows: Sequence[Row], recipe: Mapping[str, object] | None = None) -> None:
    """Add all rows of one unit, or none: under a lock, after cutting a line torn by a crash.

    `recipe` is written once, to the `.recipes.jsonl` beside the ledger, before its rows. A line break in a text becomes
    a space. Raises ValueError where there are no rows, their key is not the recipe's or `path` holds something else
    than a ledger, and OSError, with the ledger as it was, where it cannot be written (a full disk).
    """
    keys = sorted({row.key for row in rows})
    if not rows or recipe is not None and keys != [key_of(recipe)]:
        raise ValueError(f"{len(rows)} rows of the keys {keys} were given for one unit"
                         + ("" if recipe is None else f", whose recipe has the key {key_of(recipe)}"))
    with locked(path):
        begun = bool(lines_of_ledger(path))
        recipes = path.with_suffix(".recipes.jsonl")
        cut_torn_line(recipes)
        cut_torn_line(path)
        if recipe is not None:
            line = recipe_line(key_of(recipe), recipe)
            if line not in whole_lines(recipes):
                write_whole(recipes, line + b"\n")
        lines = [with_check(line) for line in map(line_of, rows)]
        write_whole(path, b"\n".join(lines if begun else [HEADER, *lines]) + b"\n")


def line_of(row: Row) -> bytes:
    values = [" ".join(v.splitlines()) if isinstance(v, str) else v for v in asdict(row).values()]
    csv.writer(text := io.StringIO(), lineterminator="").writerow(values)
    return text.getvalue().encode()


def with_check(line: bytes) -> bytes:
    return line + b",%08x" % zlib.crc32(line)


def write_whole(path: Path, text: bytes) -> None:
    """Append all of the text or nothing. Raises OSError, saying so, where the disk does not take it."""
    with open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            left = memoryview(text)
            while left:  # a disk that is nearly full takes a part and reports no error before the next
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except BaseException as error:
            file.truncate(size)
            if isinstance(error, OSError):
                raise OSError(error.errno, f"{error.strerror}; nothing was added and nothing lost, make room and run "
                              "again", str(path)) from error
            raise


def cut_torn_line(path: Path) -> None:
    """Remove what follows the last newline: a crash tore it off."""
    if path.exists():
        with open(path, "rb+") as file:
            kept = file.read()
            file.truncate(kept.rfind(b"\n") + 1)


def whole_lines(path: Path) -> list[bytes]:
    """The lines that end in a newline: what a crash tore off the last one is not read."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def lines_of_ledger(path: Path) -> list[bytes]:
    """The header and the rows; nothing where there is no file or only the beginning of a header, which a crash left."""
    text = path.read_bytes() if path.exists() else b""
    lines = text.split(b"\n")[:-1]
    if lines[0] != HEADER if lines else not HEADER.startswith(text):
        raise ValueError(f"{path} does not begin with the columns {HEADER.decode()}, so it is no ledger or its first "
                         "line is damaged; restore it from version control, or move it away and run again")
    return lines


def key_of(description: Mapping[str, object]) -> str:
    """The key of a recipe: the first ten hex digits of the sha256 of its description (`recipe.describe`)."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:10]


def recipe_line(key: str, recipe: Mapping[str, object]) -> bytes:
    return json.dumps({"key": key, **recipe}, sort_keys=True).encode()


def read_recipes(path: Path) -> dict[str, dict]:
    """The description of each key; empty if there is no file. Raises ValueError, naming file and line, for a line that
    is not as `append` wrote it: a key is the hash of its description, so every altered byte shows."""
    recipes = {}
    for number, line in enumerate(whole_lines(path), 1):
        try:
            recipe = json.loads(line)
            key = recipe.pop("key")
            good = key == key_of(recipe) and line == recipe_line(key, recipe)
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
            good = False
        if not good:
            raise ValueError(f"{path}, line {number}: the recipe is damaged, its key is not the hash of its text; "
                             "restore the file from version control, or delete this line and the rows of its key in "
                             f"{path.name.removesuffix('.recipes.jsonl')}.csv and run again")
        recipes[key] = recipe
    return recipes


def read(path: Path) -> pd.DataFrame:
    """All rows of a ledger, with the columns of Row; empty if there is none.

    Raises ValueError, naming file and line, where a row is not as it was written. A line that is gone as a whole, which
    no check can tell, is one that the next run over its recipe finds missing.
    """
    lines = lines_of_ledger(path)[1:]
    damaged = [number for number, line in enumerate(lines, 2) if line[-9:] != b",%08x" % zlib.crc32(line[:-9])]
    if damaged:
        more = f" (and {len(damaged) - 1} more lines)" if damaged[1:] else ""
        raise ValueError(f"{path}, line {damaged[0]}{more}: the row is not as it was written, its check differs; "
                         "restore the file from version control, or delete the line and run again: what is missing is "
                         "computed")
    text = b"\n".join([",".join(COLUMNS).encode(), *(line[:-9] for line in lines)]).decode()
    frame = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    frame = frame.astype({"value": float, "seconds": float, "fold": int, "seed": int})
    # A unit that two runs finished at once, or that was torn and computed again, leaves rows twice: the last count.
    # A recipe's test conditions differ in these columns (Recipe checks it), so nothing else is taken for a double.
    same = ["key", "noise", "snr_db", "condition", "metric", "fingerprint"]
    return frame.drop_duplicates(same, keep="last", ignore_index=True)


def published(paper: str, table: int | str) -> pd.DataFrame:
    """A table of a paper as transcribed: `value` as a number, every other column as printed."""
    name = f"{paper}_table{table:02d}.csv" if isinstance(table, int) else f"{paper}_table_{table}.csv"
    frame = pd.read_csv(RESULTS / "published" / name, dtype=str, keep_default_na=False)
    return frame.assign(value=pd.to_numeric(frame["value"], errors="coerce"))


def claims(paper: str) -> pd.DataFrame:
    """The numbers in a paper's text, settings included, as transcribed; columns as in `published`."""
    frame = pd.read_csv(RESULTS / "published" / f"{paper}_claims.csv", dtype=str, keep_default_na=False)
    return frame.assign(value=pd.to_numeric(frame["value"], errors="coerce"))
