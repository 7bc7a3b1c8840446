"""Corpora by name: synthetic, and readers for the layouts in which the field stores its features.

    corpus = robustmer.corpora.load("ravdess_av")        # or robustmer.corpora.ravdess_av()
    train, valid, test = corpus.fold(0)

Your own corpus is any `Corpus` object; it needs no registration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robustmer.corpora import catalogue, recordings, release, structured, trees
from robustmer.corpora.common import About, CorpusError, CorpusNotFound, data_folder
from robustmer.corpora.corpus import Corpus, Fold, Split, folds_by_group
from robustmer.corpora.dependent import dependent
from robustmer.corpora.layout import Layout
from robustmer.corpora.scaling import mean_and_std, standardised
from robustmer.corpora.synthetic import synthetic
from robustmer.corpora.synthetic_av import synthetic_av

__all__ = ["CORPORA", "About", "Corpus", "CorpusError", "CorpusNotFound", "Fold", "Layout", "Request", "Split", "check",
           "data_folder", "find", "folds_by_group", "is_available", "load", "mean_and_std", "named", "standardised",
           "synthetic", "synthetic_av"]  # fmt: skip

CORPORA: dict[str, Layout] = (
    catalogue.CORPORA | recordings.CORPORA | trees.CORPORA | release.CORPORA | structured.CORPORA
)
CORPORA |= {f"{name}_pd": dependent(CORPORA[name]) for name in ("synthetic_av",)}


def __getattr__(name: str) -> Layout:
    """`corpora.ravdess_av` is CORPORA["ravdess_av"]."""
    if name in CORPORA:
        return CORPORA[name]
    raise AttributeError(f"robustmer.corpora has no {name!r}; its corpora are {', '.join(CORPORA)}")


def find(name: str) -> Layout:
    """The corpus of that name, unread. Raises CorpusError for an unknown name."""
    if name not in CORPORA:
        known = ", ".join(f"{key} ({corpus.name})" for key, corpus in CORPORA.items())
        raise CorpusError(f"no corpus {name!r} is known; choose from {known}")
    return CORPORA[name]


def load(name: str, **options) -> Corpus:
    """The corpus of that name, kept in memory. All take `folder`, `modalities` and `standardise`; `named(name).options`
    lists the others. Raises as `Layout.__call__`."""
    return find(name)(**options)


def check(name: str, path: Path | str | None = None, **options) -> list[str]:
    """One sentence for each problem of the corpus at `path` (file or folder, default `data_folder()`)."""
    return find(name).check(path, **options)


def is_available(name: str) -> bool:
    """Whether any file of the corpus is on this machine; nothing is read, so it may still be unusable."""
    corpus = find(name)
    settings = corpus.settings({})
    return corpus.about.folder is None or bool(corpus.present(corpus.place(None, settings), settings))


@dataclass(frozen=True)
class Request:
    """A named corpus with options, unread, for a recipe. Equal requests have equal hashes."""

    name: str
    given: tuple[tuple[str, object], ...] = ()

    @property
    def options(self) -> Mapping[str, object]:
        """Every option with its value, defaults included, without the folder."""
        return find(self.name).settings({key: value for key, value in self.given if key != "folder"})

    @property
    def dataset(self) -> str:
        """Its name in tables."""
        return find(self.name).name

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.options["modalities"])

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        return find(self.name).labels(self.options)

    def load(self) -> Corpus:
        return find(self.name)(**dict(self.given))


def named(name: str, **options) -> Request:
    """A request for a corpus by name. Raises CorpusError for an unknown name, TypeError for an unknown option."""
    known = find(name).settings({key: value for key, value in options.items() if key != "folder"})
    values = {key: known.get(key, value) for key, value in options.items()}
    changed = {key: value for key, value in values.items() if value != find(name).settings({}).get(key)}
    return Request(name, tuple(sorted(changed.items())))
