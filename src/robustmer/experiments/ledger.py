"""Ledger: trainings and their scores as files, one each, and the two small tables that are published."""

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
"""Of a score: the training's key, str(Condition), the metric and its value; where it is known, the standard error over
`groups` speakers. A value of nan belongs to a training that diverged."""

TRAINING = {"key": str, "recipe": dict, "fingerprint": str, "outcome": str}
SCORES = {"key": str, "fingerprint": str, "scores": list}
"""What every record holds at least."""


class Score(NamedTuple):
    condition: str
    metric: str
    value: float
    error: float = math.nan
    groups: int = 0


@dataclass(frozen=True)
class Ledger:
    """Results below `folder`, and, read only, those published in `published` (the newest wins).

    `trainings/KEY.json` records how weights were made, `scores/KEY.HASH.json` holds the scores of some conditions,
    `weights/KEY.safetensors` the weights that other trainings start from. Each file is written aside and renamed into
    place, so a kill loses at most the training under way, and two processes cannot mix their lines. Scores count only
    where their data are those of the training's record.
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
        """All scores, or those of one training, with COLUMNS. A score that was computed again replaces the earlier."""
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
        """Weights first, so that a record never promises weights that do not exist; without weights, those of an earlier
        training are removed. Raises OSError for a full disk."""
        if weights is not None:
            self.write(f"weights/{record['key']}.safetensors", weights)
        elif (file := self.weights(record["key"])) is not None:
            file.unlink()
        self.write(f"trainings/{record['key']}.json", json.dumps(record, indent=1, sort_keys=True).encode())

    def write_scores(self, key: str, scores: Sequence[Score], about: Mapping[str, object]) -> None:
        """`about` holds the fingerprint of the data and whatever else decided the scores (commit, code, numerics)."""
        conditions = sorted({(score.condition, score.metric) for score in scores})
        name = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()[:10]
        record = {"key": key, **about, "scores": [list(score) for score in scores]}
        self.write(f"scores/{key}.{name}.json", json.dumps(record).encode())

    def write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)

    def check_writable(self) -> None:
        """Raises OSError, naming the folder, before hours of work rather than after."""
        self.write(".writable", b"robustmer")
        (self.folder / ".writable").unlink(missing_ok=True)

    def claim(self, key: str) -> FileLock | None:
        """A lock on a training, or None where another process computes it. The system frees it when a process dies."""
        folder = self.folder / "claims"
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return None
        return lock

    def free(self, lock: FileLock) -> None:
        """Give a claim back. The file goes first, while it is locked: whoever waits for it opens a new one."""
        with contextlib.suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()

    def remove_unneeded_weights(self, needed: Iterable[str]) -> list[Path]:
        """Delete the weights of trainings that are not among the needed keys, and what killed processes left half
        written more than an hour ago; returns the files."""
        keep, hour_ago = set(needed), time.time() - 3600
        files = [file for file in (self.folder / "weights").glob("*.safetensors") if file.stem not in keep]
        files += [file for file in self.folder.glob("*/.*.part") if file.stat().st_mtime < hour_ago]
        for file in files:
            file.unlink()
        return files

    def publish(self, keys: Iterable[str]) -> Path:
        """Fold these trainings and their scores into the two published tables; returns their folder. Trainings that
        failed are left out."""
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
    """The published scores; none where there is no file. Raises ValueError, naming the file, for damage."""
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
    """The published trainings by key, none where there is no file; read again only when the file has changed. Raises
    ValueError, naming file and line, for damage."""
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
