"""Person-dependent splits: random ones, in which test people are among the train people (VQ-MDVAE 3.6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustmer.corpora.common import CorpusError
from robustmer.corpora.corpus import Corpus, Split
from robustmer.corpora.files import Problems
from robustmer.corpora.layout import Layout

DRAWS, TEST, VALID = 5, 0.3, 0.1
"""VQ-MDVAE 3.6 draws 30% of the clips for test. It states neither repetitions nor a validation split: five draws, and a
tenth of the clips, taken from the 70% for training."""


def person_dependent(corpus: Corpus) -> Corpus:
    """The corpus with five random splits of its samples, 60, 10 and 30 in a hundred, as "NAME PD". Its tables say that
    people are shared. Raises CorpusError where a class of the first label is in the test split of a draw and not in its
    train split, or the other way round."""
    folds, count = [], len(corpus)
    test, valid = round(TEST * count), max(1, round(VALID * count))
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(count)
        parts = order[test + valid :], order[test : test + valid], order[:test]
        folds.append(tuple(np.sort(part) for part in parts))
    split = Split("random, people shared", folds, speaker_disjoint=False)
    made = dataclasses.replace(corpus, name=f"{corpus.name} PD", split=split)
    check_classes(made)
    return made


def check_classes(corpus: Corpus) -> None:
    """Raises CorpusError for a class of the first label that only one of the train and test splits of a fold has."""
    label, classes = next(iter(corpus.labels.items()))
    values = corpus.samples.labels[label].numpy()
    for number, (train, _, test) in enumerate(corpus.split.folds if classes else ()):
        known = {"train": {*values[train].tolist()}, "test": {*values[test].tolist()}}
        for part, other in (("train", "test"), ("test", "train")):
            for alone in sorted(known[part] - known[other]):
                raise CorpusError(
                    f"{corpus.name}, fold {number}: the {label} {classes[alone]!r} is in the {part} split and not in "
                    f"the {other} split; give more samples of the class, or leave the class out"
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonDependent(Layout):
    """A named corpus under `person_dependent` splits; its files and options are those of `base`."""

    base: Layout

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return self.base.files(root, settings)

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return self.base.labels(settings)

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        corpus = self.base.read(root, settings, problems)
        return None if corpus is None else person_dependent(corpus)


def dependent(base: Layout) -> PersonDependent:
    """The layout of a corpus with person-dependent splits, for the list of named corpora."""
    about = {field: getattr(base, field) for field in ("about", "label", "classes", "options")}
    return PersonDependent(name=f"{base.name} PD", base=base, **about)
