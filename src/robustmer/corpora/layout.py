"""Layout: a named corpus in files of one kind. A layout is a class; a corpus is an instance in `catalogue.py` or
`recordings.py`."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from robustmer.batch import Samples, ordered
from robustmer.corpora.common import About, CorpusError, CorpusNotFound, data_folder
from robustmer.corpora.corpus import PARTS, Corpus, Split
from robustmer.corpora.files import Problems, check_file


@dataclass(frozen=True, eq=False, kw_only=True)
class Layout:
    """A named corpus. `name` is its name in tables, `label` its label, `classes` the classes of the label in the order
    of their numbers, () for a number. `options` are those of `load` with their defaults, besides `folder`, `modalities`
    and `standardise`, which is on unless `options` turns it off; `published` are counts that `check` compares.

    A new layout defines `files` and `read`.
    """

    name: str
    about: About
    label: str
    classes: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        """Every file in this folder that a load with these settings may read."""
        return []

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        """The corpus with all modalities, or None and problems."""
        raise NotImplementedError

    def corpus(self, samples: Samples, split: Split, settings: Mapping[str, object]) -> Corpus:
        return Corpus(self.name, samples, self.labels(settings), split, bool(settings["standardise"]))

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.about.modalities

    def settings(self, options: Mapping[str, object]) -> dict[str, object]:
        """Every option with its value, in hashable types. Raises TypeError for an unknown option."""
        on = self.options.get("standardise", True)
        known = {**self.options, "modalities": self.modalities, "standardise": on}
        unknown = [option for option in options if option not in known]
        if unknown:
            raise TypeError(f"{self.name} has no option {unknown[0]!r}; it has folder, {', '.join(known)}")
        values = {option: tuple(value) if isinstance(value, list) else value for option, value in options.items()}
        chosen = values.get("modalities", self.modalities)
        return known | values | {"modalities": ordered((chosen,) if isinstance(chosen, str) else chosen)}

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return {self.label: tuple(settings.get("classes", self.classes))}

    def place(self, folder: Path | str | None, settings: Mapping[str, object]) -> Path:
        """The folder of the corpus: `about.folder` below `folder` (default `data_folder()`), or `folder` itself if it
        has the files; or the file that is given."""
        base = data_folder(folder)
        below = base / (self.about.folder or "")
        if below.exists() or base == data_folder():
            return below
        return base if base.exists() and (not base.is_dir() or self.present(base, settings)) else below

    def present(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        """The files that exist. A root that is a file is the only one."""
        paths = self.files(root, settings) if root.is_dir() or not os.path.lexists(root) else [root]
        return [path for path in paths if os.path.lexists(path)]

    def __call__(self, folder: Path | str | None = None, **options) -> Corpus:
        """The corpus, read again if a file has changed. Corpora are kept, so treat them as constants.

        Raises TypeError for an unknown option, CorpusNotFound where the corpus is not on this machine, CorpusError
        where it cannot be used.
        """
        settings = self.settings(options)
        paths = self.present(self.place(folder, settings), settings) if self.about.folder else []
        stamps = tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.exists())
        return kept(self, data_folder(folder), tuple(settings.items()), stamps)

    def load(self, folder: Path | str | None = None, **options) -> Corpus:
        """Like a call, but the files are always read again."""
        settings, problems = self.settings(options), Problems()
        corpus = self.attempt(folder, settings, problems)
        if problems:
            first, *others = problems.sentences()
            more = f" (and {len(others)} more problems; `robustmer data check` lists them)" if others else ""
            raise CorpusError(f"{self.about.title} cannot be used: {first}{more}") from problems.cause
        if problems.notes:
            warnings.warn(f"{self.name}: {'; '.join(problems.notes.sentences())}", stacklevel=2)
        return corpus

    def check(self, folder: Path | str | None = None, **options) -> list[str]:
        """One sentence for each problem of the files, each gap, and each count that differs from the published one."""
        problems = Problems()
        try:
            corpus = self.attempt(folder, self.settings(options), problems)
        except CorpusNotFound as error:
            return [str(error)]
        if problems:
            return problems.sentences() + problems.notes.sentences()
        facts = count(corpus, self.label) | problems.facts
        wrong = {what: number for what, number in self.published.items() if facts.get(what, 0) != number}
        return problems.notes.sentences() + [
            f"{facts.get(what, 0)} {what}; {number} were published" for what, number in wrong.items()
        ]

    def attempt(self, folder: Path | str | None, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        root = self.place(folder, settings)
        paths = self.present(root, settings)
        if self.about.folder and not paths:
            folder = f"the folder that holds {self.about.folder}/ (without it, data/ below the current folder)"
            where = f"no files in {root}; set ROBUSTMER_DATA to {folder}, or give the folder itself"
            title = self.about.title
            raise CorpusNotFound(f"{title} is not on this machine: {where}; get {title} from: {self.about.access}")
        for path in paths:
            with problems.of(str(path)):
                check_file(path, root)
        with problems.of(str(root)):
            corpus = None if problems else self.read(root, settings, problems)
            return None if problems else corpus.only(settings["modalities"])
        return None


@functools.lru_cache(maxsize=4)
def kept(layout: Layout, folder: Path, settings: tuple[tuple[str, object], ...], stamps: tuple[object, ...]) -> Corpus:
    return layout.load(folder, **dict(settings))


def count(corpus: Corpus, label: str) -> dict[str, int]:
    """Samples in all, in each part of fold 0, of each class and of each speaker; and speakers."""
    people, of_each = np.unique(corpus.samples.speaker, return_counts=True)
    facts = {"samples": len(corpus), "speakers": len(people)}
    facts |= {f"samples in {part} of fold 0": len(i) for part, i in zip(PARTS, corpus.split.folds[0], strict=True)}
    for number, name in enumerate(corpus.labels.get(label, ())):  # clips of one's own may have none
        facts[f"samples with label {number} ({name})"] = int((corpus.samples.labels[label] == number).sum())
    return facts | {f"samples of speaker {name}": int(n) for name, n in zip(people, of_each, strict=True)}
