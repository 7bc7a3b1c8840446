"""Row and ledger: measured and published numbers in one form, so that comparing them is a join."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Sequence
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
    recipe's, `fingerprint` the corpus's, `seconds` those of the whole training and evaluation.
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


LEFT_OUT = ("book.py", "cli.py", "display.py")


@contextmanager
def locked(path: Path):
    """Only one process at a time appends to a ledger."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def append(path: Path, rows: Sequence[Row], recipe: dict | None = None) -> None:
    """Add all rows of one unit, or none: under a lock, in one write, after cutting a line torn by a crash.

    `recipe` is written once, to the `.recipes.jsonl` beside the ledger, before its rows.
    """
    with locked(path):
        recipes = path.with_suffix(".recipes.jsonl")
        cut_torn_line(recipes)
        cut_torn_line(path)
        if recipe is not None:
            if rows[0].key not in read_recipes(recipes):
                write_whole(recipes, json.dumps({"key": rows[0].key, **recipe}, sort_keys=True) + "\n")
        text = pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS).to_csv(index=False, header=False)
        if not path.exists() or path.stat().st_size == 0:
            text = ",".join(COLUMNS) + "\n" + text
        write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    with open(path, "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            file.write(text.encode())
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(size)
            raise


def cut_torn_line(path: Path) -> None:
    """Remove what follows the last newline: a crash tore it off."""
    if path.exists():
        with open(path, "rb+") as file:
            kept = file.read()
            file.truncate(kept.rfind(b"\n") + 1)


def read_recipes(path: Path) -> dict[str, dict]:
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in whole_lines(path)]
    return {line.pop("key"): line for line in lines}


def whole_lines(path: Path) -> list[str]:
    """The lines that end in a newline: what a crash tore off the last one is not read."""
    text = path.read_text()
    return text[: text.rfind("\n") + 1].splitlines()


def read(path: Path) -> pd.DataFrame:
    """All rows of a ledger; empty if there is none. Raises ValueError, naming the file, if its columns are others."""
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    lines = whole_lines(path)
    if not lines or lines[0].split(",") != COLUMNS:
        raise ValueError(
            f"{path} does not begin with the columns {', '.join(COLUMNS)}; restore it from version control"
        )
    frame = pd.read_csv(io.StringIO("\n".join(lines)), dtype=str, keep_default_na=False)
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
