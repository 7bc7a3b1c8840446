"""Corpus: samples with labels and speakers, and the split on which systems are evaluated."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from robustmer.batch import Batch, Samples, Shape, check_modalities
from robustmer.corpora.common import CorpusError, listed
from robustmer.corpora.scaling import (
    OnDemand,
    check_frames,
    mean_and_std,
    only,
    scale_,
    streamed,
    total_variance,
    varies,
)

if TYPE_CHECKING:
    from robustmer.tasks import Task

PARTS = ("train", "valid", "test")


class Fold(NamedTuple):
    """One fold, standardised: three batches, or three `OnDemand` where the corpus is larger than memory."""

    train: Batch | OnDemand
    valid: Batch | OnDemand
    test: Batch | OnDemand


@dataclass(frozen=True, eq=False)
class Split:
    """The folds of a corpus: for each fold the indices of its train, validation and test samples.

    `speaker_disjoint` states that no speaker is in two splits of a fold, which the corpus checks (an unknown speaker is
    "?"); False allows person-dependent folds. `test_to_train` widens intervals over folds (Nadeau and Bengio 2003):
    test speakers over train speakers, a mean over folds; samples over samples where speakers are shared or unknown.
    """

    name: str
    folds: Sequence[Sequence[Sequence | np.ndarray]]
    speaker_disjoint: bool = True
    test_to_train: float | None = None

    @property
    def unit(self) -> str:
        """The unit of repetition of an experiment: `fold`, or `seed` where there is one fold."""
        return "fold" if len(self.folds) > 1 else "seed"

    def describe(self) -> dict[str, object]:
        """The split as JSON, for the record of a training."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)} | {
            "folds": len(self.folds)
        }

    def checked(self, corpus: str, samples: Samples) -> Split:
        """The checked split, with its ratio, for these samples of a corpus. Raises CorpusError for folds that would
        mislead."""
        folds, ratios, speaker = [], [], np.asarray(samples.speaker)
        for number, fold in enumerate(self.folds):
            where = f"{corpus}: fold {number} of the split {self.name!r}"
            if len(fold) != len(PARTS):
                raise CorpusError(f"{where} has {len(fold)} parts; give indices of train, valid and test samples")
            fold = [check_indices(i, len(samples), f"{where}, {part}") for part, i in zip(PARTS, fold, strict=True)]
            indices, counts = np.unique(np.concatenate(fold), return_counts=True)
            if counts.max() > 1:
                double = indices[counts > 1][0]
                parts = " and in ".join(part for part, i in zip(PARTS, fold, strict=True) for _ in i[i == double])
                raise CorpusError(f"{where} has sample {str(samples.id[double])!r} ({double}) in {parts}; give it once")
            people = [{*speaker[part].tolist()} for part in fold]
            for a, b in combinations(range(3), 2) if self.speaker_disjoint else ():
                if shared := people[a] & people[b] - {"?"}:
                    raise CorpusError(
                        f"{where} has speaker {min(shared)!r} in {PARTS[a]} and in {PARTS[b]}; give a speaker to one "
                        "part, or state speaker_disjoint=False"
                    )
            train, _, test = people if self.speaker_disjoint and "?" not in speaker else fold
            ratios.append(len(test) / len(train))
            folds.append(tuple(fold))
        if not folds:
            raise CorpusError(f"{corpus}: the split {self.name!r} has no folds; give one or more")
        ratio = float(np.mean(ratios)) if self.test_to_train is None else self.test_to_train
        return dataclasses.replace(self, folds=tuple(folds), test_to_train=ratio)


def check_indices(indices: Sequence | np.ndarray, size: int, where: str) -> np.ndarray:
    """The indices as int64. Raises CorpusError for an index that none of `size` samples has."""
    indices = np.asarray(indices)
    if not indices.size:
        raise CorpusError(f"{where} is empty; every part needs a sample")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        values = f"{indices.dtype} values of shape {indices.shape}"
        raise CorpusError(f"{where} holds {values}; give one list of whole numbers (np.flatnonzero(mask) for a mask)")
    wrong = indices[(indices < 0) | (indices >= size)]
    if len(wrong):
        raise CorpusError(f"{where} has the index {wrong[0]}; the samples are numbered 0 to {size - 1}")
    return indices.astype(np.int64)


Groups = Sequence[Sequence | np.ndarray] | np.ndarray


def folds_by_group(groups: Sequence | np.ndarray, tests: Groups, valids: Groups):
    """Folds (train, valid, test) of sample indices by group, such as speakers (N,): `tests` and `valids` hold the
    groups of the test and validation split of each fold; all other groups train."""
    folds = []
    for test, valid in zip(tests, valids, strict=True):
        in_test, in_valid = np.isin(groups, list(test)), np.isin(groups, list(valid))
        folds.append(tuple(np.flatnonzero(part) for part in (~in_test & ~in_valid, in_valid, in_test)))
    return tuple(folds)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Raw samples, their labels and the folds on which systems are evaluated.

    `name` is that of the tables (`RAVDESS-AV`) and of the random streams. `samples` is a Batch, or any `Samples` that
    are read on demand. `labels` maps each label to its classes in the order of their numbers, or to () if it is a
    number; every sample has a value of every label. `standardise` is off where features have a zero and a unit of their
    own, such as power spectra. `factors` holds the true factors of a synthetic corpus, (N, ...) or (N, T, ...); `boxes`
    the regions of its pictures by name, as rows and columns (top, bottom, left, right), the ends excluded; `media(id)`
    returns the recording of a sample, if there is one. Raises CorpusError for samples, labels, folds and boxes that do
    not fit.
    """

    name: str
    samples: Samples
    labels: Mapping[str, tuple[str, ...]]
    split: Split
    standardise: bool = True
    factors: Mapping[str, np.ndarray] = field(default_factory=dict)
    media: Callable[[str], object] | None = None
    boxes: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "labels", {label: tuple(classes) for label, classes in self.labels.items()})
        check_modalities(self.modalities, self.name)
        check_labels(self)
        check_boxes(self)
        if isinstance(self.samples, Batch):
            check_frames(self.samples, self.name)
        object.__setattr__(self, "split", self.split.checked(self.name, self.samples))

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def dataset(self) -> str:
        return self.name

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of one frame of each modality."""
        return dict(self.samples.shapes)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.samples.shapes)

    def load(self) -> Corpus:
        """The corpus itself (a `Request`, which recipes take as well, loads its corpus)."""
        return self

    def task(self, label: str | None = None) -> Task:
        """The task of predicting this label, the first one by default."""
        from robustmer.tasks import Classify, Regress

        label = next(iter(self.labels), None) if label is None else label
        if label not in self.labels:
            raise CorpusError(f"{self.name} has no label {label!r}; it has {listed(self.labels)}")
        return Classify(label, self.labels[label]) if self.labels[label] else Regress(label)

    def only(self, modalities: Sequence[str] | str) -> Corpus:
        """The corpus with these modalities alone."""
        modalities = (modalities,) if isinstance(modalities, str) else tuple(modalities)
        unknown = [m for m in modalities if m not in self.modalities]
        if unknown or not modalities:
            raise CorpusError(f"{self.name}: modalities {list(modalities)}; choose from {', '.join(self.modalities)}")
        chosen, samples = [m for m in self.modalities if m in modalities], self.samples
        if isinstance(samples, Batch):
            return dataclasses.replace(self, samples=only(samples, chosen))
        return dataclasses.replace(self, samples=OnDemand(samples, None, samples.name, chosen))

    @cached_property
    def fingerprint(self) -> str:
        """First 12 hex digits of the sha256 of every value, label, speaker, id and fold."""
        digest, samples = hashlib.sha256(), self.samples
        for batch in [samples] if isinstance(samples, Batch) else OnDemand(samples, None, self.name).batches():
            for m, x in batch.x.items():
                digest.update(m.encode() + (str(batch.shapes[m]).encode() if x.ndim > 3 else b""))
                digest.update(np.ascontiguousarray(x.numpy()))
                digest.update(np.ascontiguousarray(batch.mask[m].numpy()))
                if not batch.present[m].all():
                    digest.update(batch.present[m].numpy().tobytes())
        for label, values in samples.labels.items():
            digest.update((label.encode() if len(self.labels) > 1 else b"") + values.numpy().tobytes())
        classes = [name for label in samples.labels for name in self.labels[label]]
        digest.update("\n".join([*classes, *samples.speaker, *samples.id]).encode())
        for fold in self.split.folds:
            for indices in fold:
                digest.update(indices.tobytes() + b"|")
        return digest.hexdigest()[:12]

    def fold(self, i: int, absent: str = "mark") -> Fold:
        """Train, valid and test of fold i, standardised with the statistics of the train split over recorded frames
        unless `standardise` is off. A constant feature becomes 0; pictures (bytes) stay as they are.

        A modality without any frame in the train split is marked absent from all three splits, with a warning and
        without a variance; `absent="refuse"` raises CorpusError.
        """
        if not 0 <= i < len(self.split.folds):
            raise CorpusError(f"{self.name} has folds 0 to {len(self.split.folds) - 1}; fold {i} was given")
        if absent not in ("mark", "refuse"):
            raise ValueError(f"absent={absent!r}: give 'mark' or 'refuse'")
        names = [f"{self.name}/fold {i}/{part}" for part in PARTS]
        if isinstance(self.samples, Batch):
            parts = [self.samples[indices] for indices in self.split.folds[i]]
            moments = {m: mean_and_std(parts[0], m) for m in self.modalities}
        else:
            parts = [OnDemand(self.samples, *part) for part in zip(self.split.folds[i], names, strict=True)]
            if i not in self.known:
                self.known[i] = streamed(parts[0])
            moments = self.known[i]
        gone = [m for m in moments if moments[m] is None]
        if gone:
            lack = f"{self.name}, fold {i}: no sample of the train split has a frame of {', '.join(gone)}"
            if absent == "refuse" or len(gone) == len(moments):
                raise CorpusError(f"{lack}; leave the modality out with corpus.only(...), or give another split")
            warnings.warn(f"{lack}, so it is marked absent from the valid and test splits too", stacklevel=2)
        variance, scaling, first = {}, {}, parts[0][[0]]
        for m, (mean, std) in ((m, moments[m]) for m in self.modalities if m not in gone):
            changing = varies(mean, std)
            if self.standardise and first.x[m].is_floating_point():
                scaling[m] = mean, torch.where(changing, std, 0.0)
                mean, std = torch.zeros_like(mean), changing.double()
            variance[m] = total_variance(mean, std)
        known = {"variance": variance, "scaling": scaling if self.standardise else None}
        for number, part in enumerate(parts):
            if isinstance(part, Batch):
                scale_(part, scaling)  # a copy of the samples, so in place: a large corpus is held twice, not thrice
                parts[number] = only(part, self.modalities, gone).replace(name=names[number], **known)
            else:
                parts[number] = OnDemand(self.samples, part.indices, part.name, absent=gone, **known)
        return Fold(*parts)

    @cached_property
    def known(self) -> dict[int, dict]:
        """Statistics of the folds of samples that are read on demand."""
        return {}


def check_boxes(corpus: Corpus) -> None:
    """Raises CorpusError for a box that is empty or leaves the pictures."""
    shape = corpus.shapes.get("visual", ())
    for name, (top, bottom, left, right) in corpus.boxes.items() if len(shape) == 3 else ():
        if not (0 <= top < bottom <= shape[1] and 0 <= left < right <= shape[2]):
            raise CorpusError(
                f"{corpus.name}: the box {name!r} has rows {top} to {bottom} and columns {left} to {right}; pictures have "
                f"{shape[1]} rows and {shape[2]} columns"
            )


def check_labels(corpus: Corpus) -> None:
    """Raises CorpusError for labels that differ from the declared ones or lack a value."""
    name, samples, declared = corpus.name, corpus.samples, corpus.labels
    if {*declared} != {*samples.labels}:
        have = f"{name}: the samples have the labels {listed(samples.labels)}, and {listed(declared)} is declared"
        raise CorpusError(f"{have}; declare each label with its classes, or with () if it is a number")
    for what, values in {"speaker": samples.speaker, "id": samples.id, **samples.labels}.items():
        if len(values) != len(samples):
            raise CorpusError(f"{name}: {len(samples)} samples, but {len(values)} values of {what!r}; give each one")
    for label, classes in declared.items():
        values, names = samples.labels[label], ", ".join(classes)
        kind = str(values.dtype).removeprefix("torch.")
        if values.is_floating_point() == bool(classes) or kind == "bool":
            have = f"{name}: the label {label!r} holds {kind} values, and its classes are ({names})"
            raise CorpusError(f"{have}; give class numbers (int64) with the names of the classes, or floats with ()")
        known = (values >= 0) & (values < len(classes)) if classes else torch.isfinite(values)
        if not known.all():
            i = int((~known).nonzero()[0])
            why = "a missing value is not allowed"
            if classes:
                why = f"the classes are numbered 0 to {len(classes) - 1} ({names})"
            wrong = f"{name}: sample {str(samples.id[i])!r} has the {label} {values[i].item()}"
            raise CorpusError(f"{wrong}, but {why}; mend the label or leave the sample out")
