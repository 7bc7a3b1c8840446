"""Ledger: a file for each training and for its scores, and the two tables that are published."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from filelock import FileLock, Timeout

from robustmer.systems.checkpoint import write_whole

COLUMNS = ("key", "condition", "metric", "value", "error", "groups")
"""The columns of scores: the key of the training, str(Condition), the metric and its value (nan for a training that
diverged) and, where it is known, the standard error over `groups` speakers."""

TRAINING = {"key": str, "recipe": dict, "fingerprint": str, "outcome": str}
SCORES = {"key": str, "fingerprint": str, "scores": list}
"""The required fields of the two kinds of records, and their types."""


class Score(NamedTuple):
    condition: str
    metric: str
    value: float
    error: float = math.nan
    groups: int = 0


@dataclass(frozen=True)
class Ledger:
    """Results below `folder` and, read only, in the folder `published`. A result in `folder` replaces a published one.

    `trainings/KEY.json` records how weights were made, `scores/KEY.HASH.json` holds the scores of some conditions,
    `weights/KEY.safetensors` the weights that other trainings start from. Each file is written aside and renamed into
    place, so a kill loses at most the training in progress, and several processes can write. Scores count only if the
    fingerprint of their data is that of the training.
    """

    folder: Path
    published: Path | None = None

    # --- reading ---

    def trainings(self) -> dict[str, dict]:
        """The record of every training by its key. Raises ValueError, naming the file, for a record that is damaged."""
        records = dict(published_trainings(self.published)) if self.published else {}
        for file in sorted((self.folder / "trainings").glob("*.json")):
            records[file.stem] = read_json(file, file.stem, TRAINING)
        return records

    def training(self, key: str) -> dict | None:
        file = self.folder / "trainings" / f"{key}.json"
        if file.exists():
            return read_json(file, key, TRAINING)
        return published_trainings(self.published).get(key) if self.published else None

    def scores(self, key: str = "") -> pd.DataFrame:
        """All scores, or those of one training, with COLUMNS. The last computation of a score replaces earlier ones."""
        records = {key: self.training(key)} if key else self.trainings()
        data = {name: record["fingerprint"] for name, record in records.items() if record}
        rows = []
        for file in sorted((self.folder / "scores").glob(f"{key or '*'}.*.json"), key=lambda f: f.stat().st_mtime_ns):
            record = read_json(file, file.name.partition(".")[0], SCORES)
            if record["fingerprint"] == data.get(record["key"]):
                rows += [(record["key"], *score) for score in scores_in(record, file)]
        own = pd.DataFrame(rows, columns=list(COLUMNS))
        frame = own
        if self.published:
            before = {name: record["fingerprint"] for name, record in published_trainings(self.published).items()}
            same = {name for name, fingerprint in before.items() if data.get(name) == fingerprint}
            published = read_scores(self.published)
            published = published[published["key"].isin(same & {key} if key else same)]
            frame = pd.concat([part for part in (published, own) if len(part)] or [own], ignore_index=True)
        return frame.drop_duplicates(["key", "condition", "metric"], keep="last", ignore_index=True)

    def weights(self, key: str) -> Path | None:
        file = self.folder / "weights" / f"{key}.safetensors"
        return file if file.exists() else None

    # --- writing ---

    def write_training(self, record: Mapping[str, object], weights: bytes | None = None) -> None:
        """Write weights, then the record, so that a record never names weights that do not exist. Without weights,
        those of an earlier training are removed. Raises OSError for a full disk."""
        if weights is not None:
            self.write(f"weights/{record['key']}.safetensors", weights)
        elif (file := self.weights(record["key"])) is not None:
            file.unlink()
        self.write(f"trainings/{record['key']}.json", json.dumps(record, indent=1, sort_keys=True).encode())

    def write_scores(self, key: str, scores: Sequence[Score], about: Mapping[str, object]) -> None:
        """Write the scores of a training. `about` holds the fingerprint of the data, commit, code and numerics."""
        conditions = sorted({(score.condition, score.metric) for score in scores})
        name = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()[:10]
        record = {"key": key, **about, "scores": [list(score) for score in scores]}
        self.write(f"scores/{key}.{name}.json", json.dumps(record).encode())

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)

    def check_writable(self) -> None:
        """Raises OSError, with the folder, where it cannot be written: before hours of work, not after."""
        self.write(".writable", b"robustmer")
        (self.folder / ".writable").unlink(missing_ok=True)

    def claim(self, key: str) -> FileLock | None:
        """A lock on a training, or None while another process computes it. It is released when the process dies."""
        folder = self.folder / "claims"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def free(self, lock: FileLock) -> None:
        """Release a claim. Its file is deleted first, while it is locked: a process that waits opens a new one."""
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()

    def remove_unneeded_weights(self, needed: Iterable[str]) -> list[Path]:
        """Delete the weights of trainings whose keys are not `needed`, and half-written files of killed processes that
        are older than an hour; returns the files."""
        keep, hour_ago = set(needed), time.time() - 3600
        files = [file for file in (self.folder / "weights").glob("*.safetensors") if file.stem not in keep]
        files += [file for file in self.folder.glob("*/.*.part") if file.stat().st_mtime < hour_ago]
        for file in files:
            file.unlink()
        return files

    def publish(self, keys: Iterable[str]) -> Path:
        """Add these trainings and their scores to the two published tables; returns their folder. Failed trainings are
        left out. Raises ValueError for a ledger without published tables."""
        if self.published is None:
            raise ValueError(f"the ledger {self.folder} has no published tables to fold into")
        wanted = set(keys) | published_trainings(self.published).keys()
        records = {key: record for key, record in self.trainings().items()
                   if key in wanted and not record["outcome"].startswith("failed")}  # fmt: skip
        scores = self.scores()
        scores = scores[scores["key"].isin(records)]
        self.published.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(records[key], sort_keys=True) for key in sorted(records)]
        write_whole(self.published / "trainings.jsonl", "".join(f"{line}\n" for line in lines).encode())
        write_whole(self.published / "scores.csv", to_csv(scores))
        return self.published


# --- files ------------------------------------------------------------------------------------------------------------


def to_csv(scores: pd.DataFrame) -> bytes:
    ordered = scores.sort_values(["key", "condition", "metric"], kind="stable")
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerow(COLUMNS)
    for key, condition, metric, value, error, groups in ordered.itertuples(index=False):
        known = not math.isnan(error)
        writer.writerow([key, condition, metric, repr(round(value, 6)), repr(round(error, 6)) if known else "",
                         groups if known else ""])  # fmt: skip
    return text.getvalue().encode()


def read_scores(folder: Path) -> pd.DataFrame:
    """The published scores, empty without a file. Raises ValueError, with the file, for damage."""
    path = folder / "scores.csv"
    if not path.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(COLUMNS, str), keep_default_na=False, encoding_errors="strict")
        if tuple(frame.columns) != COLUMNS or frame.isna().any(axis=None):
            raise ValueError(f"a line does not have the columns {', '.join(COLUMNS)}")
        return frame.assign(
            value=frame["value"].astype(float),
            error=frame["error"].replace("", "nan").astype(float),
            groups=frame["groups"].replace("", "0").astype(int),
        )
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it from version control") from error


_published: dict[Path, tuple[tuple[int, int], dict[str, dict]]] = {}


def published_trainings(folder: Path) -> dict[str, dict]:
    """The published trainings by key, empty without a file. They are read again only when the file has changed. Raises
    ValueError, with file and line, for damage."""
    path = folder / "trainings.jsonl"
    if not path.exists():
        return {}
    stamp = path.stat().st_mtime_ns, path.stat().st_size
    if _published.get(folder, (None,))[0] != stamp:
        records = {}
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            try:
                record = checked(json.loads(line), TRAINING)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"{path}, line {number} is damaged ({error}); restore it from version control"
                ) from error
            records[record["key"]] = record
        _published[folder] = stamp, records
    return _published[folder][1]


def read_json(path: Path, key: str, fields: Mapping[str, type]) -> dict:
    try:
        record = checked(json.loads(path.read_bytes()), fields)
        if record["key"] != key:
            raise ValueError(f"it belongs to the training {record['key']}")
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and the next run computes it again") from error
    return record


def checked(record: object, fields: Mapping[str, type]) -> dict:
    lacking = [
        name for name, kind in fields.items() if not (isinstance(record, dict) and isinstance(record.get(name), kind))
    ]
    if lacking:
        raise ValueError(f"its {', '.join(lacking)} cannot be read")
    return record


def scores_in(record: Mapping, path: Path) -> list[Score]:
    try:
        scores = [Score(str(c), str(m), float(v), float(e), int(n)) for c, m, v, e, n in record["scores"]]
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} is damaged ({error}); delete it, and the next run computes it again") from error
    return scores
