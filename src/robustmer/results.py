"""Row and ledger: measured and published numbers in one form, so that comparing them is a join."""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import pandas as pd
from scipy import stats

from robustmer.corpora import about
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
    if profile == "paper":
        return RESULTS / "measured" / f"{paper}.csv"
    return ROOT / "book" / "executed" / "ledger" / f"{profile}-{library_hash()}" / f"{paper}.csv"


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


def summarise(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and 95% interval for each group of `by`: the columns mean, low, high, repetitions and unit (fold or seed).

    Where a group has several folds, they are its repetitions, and their seeds are averaged first, because two seeds
    share their test speakers. Folds share training data, so the variance of their mean is s^2 (1/k + n_test/n_train)
    and not s^2/k (Nadeau and Bengio 2003), with Student's t. A group with one fold has only its seeds: their interval
    says how much first weights and order matter, and nothing of other speakers. With fewer than three repetitions an
    interval would be too wide to mean anything and is nan. A group must lie within one dataset.
    """
    out = []
    for values, group in rows.groupby(list(by), sort=False):
        unit = "fold" if group["fold"].nunique() > 1 else "seed"
        means = group.groupby(unit)["value"].mean()
        k = len(means)
        half = half_interval(means.std(), k, *(group["dataset"].unique() if unit == "fold" else ()))
        mean = means.mean()
        out.append((*values, mean, mean - half, mean + half, k, unit))
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "repetitions", "unit"])


def half_interval(std: float, repetitions: int, folds_of: str = "") -> float:
    """Half the 95% interval of a mean of so many repetitions: of the folds of a dataset, or of independent runs."""
    if repetitions < 3:
        return math.nan
    shared = about(folds_of).test_to_train if folds_of else 0.0
    return float(stats.t.ppf(0.975, repetitions - 1) * std * math.sqrt(1 / repetitions + shared))


def average_over_conditions(rows: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """One row for each training: the plain mean over these conditions, as the tables' "Avg" (condition = avg)."""
    conditions = list(conditions)
    chosen = rows[rows["condition"].isin(conditions)]
    same = [c for c in COLUMNS if c not in ("condition", "value", "note", "seconds", "std")]
    out = chosen.groupby(same, sort=False)["value"].agg(["mean", "count"]).reset_index()
    short = out[out["count"] != len(conditions)]
    if len(short):
        raise ValueError(
            f"an average over {', '.join(conditions)} was asked for; key {short['key'].iloc[0]} has only "
            f"{short['count'].iloc[0]} of them"
        )
    return out.rename(columns={"mean": "value"}).drop(columns="count").assign(condition="avg")


def paired(rows: pd.DataFrame, system: str, other: str) -> dict[str, object]:
    """Mean difference `system` minus `other` with its 95% interval, as `summarise` gives it.

    Both met the same test rows under the same noise, so their difference, taken for each fold and seed that both have,
    varies less than either. Rows are those of one dataset, condition and metric.
    """
    wide = rows.pivot_table(index=["dataset", "fold", "seed"], columns="system", values="value", aggfunc="mean")
    difference = (wide[system] - wide[other]).dropna().rename("value").reset_index()
    return summarise(difference, ["dataset"]).iloc[0].to_dict()
