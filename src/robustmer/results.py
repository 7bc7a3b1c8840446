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
        if recipe is not None:
            recipes = path.with_suffix(".recipes.jsonl")
            if rows[0].key not in read_recipes(recipes):
                write_whole(recipes, json.dumps({"key": rows[0].key, **recipe}, sort_keys=True) + "\n")
        text = pd.DataFrame([asdict(row) for row in rows], columns=COLUMNS).to_csv(index=False, header=False)
        if not path.exists() or path.stat().st_size == 0:
            text = ",".join(COLUMNS) + "\n" + text
        write_whole(path, text)


def write_whole(path: Path, text: str) -> None:
    with open(path, "ab+") as file:
        file.seek(0)
        kept = file.read()
        if kept and not kept.endswith(b"\n"):
            file.truncate(kept.rfind(b"\n") + 1)
        try:
            size = file.seek(0, os.SEEK_END)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


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
    # A unit that two runs finished at once leaves equal rows; one of them is enough.
    return frame.drop_duplicates(["key", "noise", "snr_db", "condition", "metric", "fingerprint"], ignore_index=True)


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
    """Mean and 95% interval for each group of `by`, over independent repetitions: `mean, low, high, repetitions`.

    Where there are several folds, the folds are the repetitions and their seeds are averaged first, because two seeds
    share their test speakers; with one fold the seeds are, and the interval then speaks of initial weights only.
    The interval is Student's t; folds share training data, so it is somewhat too narrow (Nadeau and Bengio 2003). With
    fewer than three repetitions it would be too wide to mean anything and is nan.
    """
    by = list(by)
    unit = "fold" if rows["fold"].nunique() > 1 else "seed"
    per_unit = rows.groupby([*by, unit], sort=False)["value"].mean().reset_index()
    out = per_unit.groupby(by, sort=False)["value"].agg(["mean", "std", "count"]).reset_index()
    half = [
        s / math.sqrt(n) * stats.t.ppf(0.975, n - 1) if n > 2 else math.nan
        for s, n in zip(out["std"], out["count"], strict=True)
    ]
    return out.assign(low=out["mean"] - half, high=out["mean"] + half, repetitions=out["count"]).drop(
        columns=["std", "count"]
    )


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
    """Mean difference `system` minus `other` with a 95% interval, paired over folds (over seeds, with one fold).

    Both met the same test rows under the same noise, so their difference varies less than either. Rows are those of
    one condition and metric; keys of the result: mean, low, high, repetitions, unit.
    """
    unit = "fold" if rows["fold"].nunique() > 1 else "seed"
    wide = rows.pivot_table(index=unit, columns="system", values="value", aggfunc="mean")
    difference = (wide[system] - wide[other]).dropna()
    count = range(len(difference))
    out = summarise(pd.DataFrame({"value": difference.to_numpy(), "fold": count, "seed": count, "of": ""}), ["of"])
    return out.iloc[0].drop("of").to_dict() | {"unit": unit}
