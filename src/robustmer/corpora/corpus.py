"""Corpus: utterances with labels and speakers, and the folds in which they are judged."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch

ROOT = Path(__file__).resolve().parents[3]


class CorpusError(ValueError):
    """A corpus cannot be used: the message says what was asked, what was found and what to do."""


class CorpusNotFound(CorpusError):
    """A corpus is not on this machine; everything that needs it is left out, in one line."""


@dataclass(frozen=True)
class About:
    """What a reader of the book needs to know of a corpus before using it.

    `access` says who gives it, `folder` is the folder below `data_folder()` (None: nothing to read), `modalities` says
    what each is made of, `classes` counts the labels (0 for a regression), `protocol` how the folds are cut,
    `test_to_train` how many people are tested for each that is trained on (it widens intervals over folds), `cite` what
    to cite.
    """

    title: str
    access: str
    licence: str
    folder: str | None
    modalities: Mapping[str, str]
    classes: int
    people: str
    protocol: str
    test_to_train: float
    cite: str


def data_folder() -> Path:
    """Where real corpora are looked for: the environment variable ROBUSTMER_DATA, or `data/` in the project."""
    return Path(os.environ.get("ROBUSTMER_DATA") or ROOT / "data").expanduser().resolve()


@dataclass(frozen=True)
class Corpus:
    """All rows of a corpus, raw, and its folds as row numbers (train, valid, test).

    `name` is the spelling of the tables (`RAVDESS-AV`), `classes` the labels in the order of their numbers; a corpus
    without classes, (), has floats as labels (a regression).
    `factors` holds what a synthetic corpus was made from, so that claims can be checked against the truth.
    """

    name: str
    classes: tuple[str, ...]
    rows: Batch
    folds: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]
    standardise: bool = True
    factors: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        label = self.rows.label
        if self.rows.regression != (not self.classes):
            raise CorpusError(
                f"{self.name}: labels are {str(label.dtype).removeprefix('torch.')} and the classes are "
                f"({', '.join(self.classes)}); give whole numbers and the classes that they count, or floats and "
                "classes=() for a regression"
            )
        known = torch.isfinite(label) if self.rows.regression else (label >= 0) & (label < len(self.classes))
        if not known.all():
            row = int((~known).nonzero()[0])
            wrong = f"{self.name}: utterance {str(self.rows.id[row])!r} has label {label[row].item()}"
            if self.rows.regression:
                raise CorpusError(f"{wrong}; mend the label or leave the utterance out")
            raise CorpusError(
                f"{wrong}, but the classes are numbered 0 to {len(self.classes) - 1} ({', '.join(self.classes)}); mend "
                "the label or name the class"
            )
        for m in self.modalities:
            x, real = self.rows.x[m], self.rows.real[m]
            broken = next((row for row in range(len(x)) if not torch.isfinite(x[row]).all()), None)
            if broken is not None:
                raise CorpusError(f"{self.name}: {m} of utterance {str(self.rows.id[broken])!r} is not finite; "
                                  "repair it or leave the utterance out")
            if (real[:, 1:] & ~real[:, :-1]).any():
                raise CorpusError(f"{self.name}: the real frames of {m} are not the first ones of every row")
        for i, parts in enumerate(self.folds):
            people = [set(self.rows.speaker[rows]) - {"?"} for rows in parts]
            shared = people[0] & people[1] | people[0] & people[2] | people[1] & people[2]
            if shared:
                raise CorpusError(f"{self.name}: fold {i} has speaker {str(min(shared))!r} in two parts; a fold "
                                  'divides nobody (where speakers are unknown, give every one as "?")')
            for part, rows in zip(("train", "valid", "test"), parts, strict=True):
                if len(rows) == 0:
                    raise CorpusError(f"{self.name}: the {part} part of fold {i} is empty")
            if len(np.unique(np.concatenate(parts))) != sum(map(len, parts)):
                raise CorpusError(f"{self.name}: fold {i} has an utterance in two parts")

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.rows.modalities

    @property
    def dims(self) -> dict[str, int]:
        return self.rows.dims

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hex digits of the sha256 of every value, label, speaker, id and fold."""
        digest = hashlib.sha256()
        for m in self.modalities:
            digest.update(m.encode())
            digest.update(np.ascontiguousarray(self.rows.x[m].numpy()))
            digest.update(np.ascontiguousarray(self.rows.real[m].numpy()))
            if not self.rows.present[m].all():
                digest.update(self.rows.present[m].numpy().tobytes())
        digest.update(self.rows.label.numpy().tobytes())
        digest.update("\n".join([*self.classes, *self.rows.speaker, *self.rows.id]).encode())
        for parts in self.folds:
            for rows in parts:
                digest.update(np.asarray(rows, dtype=np.int64).tobytes() + b"|")
        return digest.hexdigest()[:12]

    def fold(self, i: int) -> tuple[Batch, Batch, Batch]:
        """Train, valid and test of fold i, standardised with the train part's statistics unless `standardise` is off.

        A feature that is constant in the train part becomes 0. Statistics are over real frames only.
        """
        if not 0 <= i < len(self.folds):
            raise CorpusError(f"{self.name} has folds 0 to {len(self.folds) - 1}; fold {i} was asked for")
        parts = [self.rows[rows].replace(name=f"{self.name}/fold {i}/{part}")
                 for part, rows in zip(("train", "valid", "test"), self.folds[i], strict=True)]
        variance = {}
        for m in self.modalities:
            mean, std = mean_and_std(parts[0], m)
            if self.standardise:
                for part in parts:  # copies of the rows, so in place: a large corpus is held twice, not thrice
                    scale_(part, m, mean, std)
                mean, std = torch.zeros_like(mean), varies(mean, std).double()
            variance[m] = total_variance(mean, std)
        return tuple(part.replace(variance=variance) for part in parts)


CHUNK = 256
"""Rows that statistics take at a time: a large corpus is never copied to float64 as a whole."""


def mean_and_std(batch: Batch, modality: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and population standard deviation of each feature over the real frames, (D,) and (D,), float64."""
    x, real = batch.x[modality].split(CHUNK), batch.real[modality].split(CHUNK)
    frames = int(batch.real[modality].sum())
    mean = sum(part[there].double().sum(0) for part, there in zip(x, real, strict=True)) / frames
    square = sum((part[there].double() - mean).square().sum(0) for part, there in zip(x, real, strict=True)) / frames
    return mean, square.sqrt()


def varies(mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Which features are not constant up to rounding, (D,)."""
    return std > 1e-6 * mean.abs().clamp(min=1e-6)


def scale_(batch: Batch, modality: str, mean: torch.Tensor, std: torch.Tensor) -> None:
    """x becomes (x - mean) / std in real frames, 0 in the padding and in features that do not vary; in place."""
    x, changing = batch.x[modality], varies(mean, std)
    x.sub_(mean.to(x)).div_(torch.where(changing, std, 1.0).to(x))
    x.masked_fill_(~changing, 0.0).masked_fill_(~batch.real[modality][..., None], 0.0)


def total_variance(mean: torch.Tensor, std: torch.Tensor) -> float:
    """sigma^2 of NMER eq. 4: one number over all real frames and features of the part."""
    return float((std.square() + (mean - mean.mean()).square()).mean())


def folds_by_group(groups: np.ndarray, tests: list[tuple[str, ...]], valids: list[tuple[str, ...]]):
    """Row numbers of folds whose test and valid parts are whole groups (speakers, sessions); the rest trains."""
    folds = []
    for test, valid in zip(tests, valids, strict=True):
        in_test, in_valid = np.isin(groups, test), np.isin(groups, valid)
        folds.append(tuple(np.flatnonzero(part) for part in (~in_test & ~in_valid, in_valid, in_test)))
    return tuple(folds)
