"""The description of a corpus, the folder of the real corpora, and the errors of all readers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from robustmer.text import printable


def listed(names: Iterable[object], most: int = 20) -> str:
    """The names as text, `nothing` if there are none; names beyond `most` are only counted."""
    names = [printable(name) for name in names]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(names[:most] + more) or "nothing"


class CorpusError(ValueError):
    """A corpus cannot be used. The message names the problem and its remedy."""

    def __init__(self, sentence: str):
        super().__init__(printable(sentence))


class CorpusNotFound(CorpusError):
    """A corpus is not on this machine."""


@dataclass(frozen=True)
class About:
    """Title, distributor (`access`) and licence of a corpus, its folder below `data_folder()` (None: no files) and its
    modalities. The page "Corpora" of the book describes features, people and folds."""

    title: str
    access: str
    licence: str
    folder: str | None
    modalities: tuple[str, ...]


def data_folder(root: Path | str | None = None) -> Path:
    """The folder of the real corpora: `root`, else the environment variable ROBUSTMER_DATA, else `data` below the
    current directory. Raises CorpusError for the home of an unknown user."""
    folder = Path(root or os.environ.get("ROBUSTMER_DATA") or "data")
    try:
        return folder.expanduser().resolve()
    except (RuntimeError, OSError, ValueError) as error:
        raise CorpusError(f"{str(folder)!r} cannot be the folder of the corpora ({error}); give another path") from None


def describe(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
