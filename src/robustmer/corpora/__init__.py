"""The corpora by name. A new one is a module with `NAME`, `ABOUT`, `load` and `check`, and one line in CORPORA.

    corpus = load("synthetic", size="quick")
    train, valid, test = corpus.fold(0)
"""

from __future__ import annotations

import functools
import inspect
import os
from pathlib import Path
from types import ModuleType

from robustmer.corpora import mosi_bclstm, ravdess_av, synthetic
from robustmer.corpora.corpus import About, Corpus, CorpusError, CorpusNotFound, data_folder, folds_by_group
from robustmer.corpora.layout import find as find_file

__all__ = ["CORPORA", "About", "Corpus", "CorpusError", "CorpusNotFound", "about", "check", "data_folder", "find",
           "folds_by_group",
           "load"]

CORPORA: dict[str, ModuleType] = {
    "synthetic": synthetic,
    "ravdess_av": ravdess_av,
    "mosi_bclstm": mosi_bclstm,
}


def load(name: str, **options) -> Corpus:
    """The corpus of that name; `options` are those of its module's `load` (all take `folder` and `standardise`).

    Corpora are kept, so that many recipes share one: treat them as constants. Raises CorpusError for an unknown name or
    a corpus that cannot be used, CorpusNotFound for one that is not on this machine, TypeError for an unknown option.
    """
    module = find(name)
    known = inspect.signature(module.load).parameters
    unknown = [option for option in options if option not in known]
    if unknown:
        raise TypeError(f"corpus {name!r} has no option {unknown[0]!r}; it has {', '.join(known)}")
    chosen = {option: known[option].default for option in known} | options
    if chosen["folder"] is None and module.ABOUT.folder is not None:
        chosen["folder"] = data_folder()
    hashable = {option: tuple(value) if isinstance(value, list) else value for option, value in chosen.items()}
    return keep(name, tuple(hashable.items()), stamp(module, chosen["folder"]))


def check(name: str, path: Path | str | None = None) -> list[str]:
    """Everything that is wrong with the corpus at `path` (file or folder, default `data_folder()`), a sentence each."""
    return find(name).check(None if path is None else Path(path))


def find(name: str) -> ModuleType:
    if name not in CORPORA:
        known = ", ".join(f"{key} ({module.NAME})" for key, module in CORPORA.items())
        raise CorpusError(f"no corpus {name!r} is known; ask for one of {known}")
    return CORPORA[name]


def about(dataset: str) -> About:
    """What is known of the corpus that tables spell so (`RAVDESS-AV`)."""
    return next(module.ABOUT for module in CORPORA.values() if module.NAME == dataset)


def stamp(module: ModuleType, folder: Path | str | None) -> tuple[int, int] | None:
    """Size and time of the file, so that a file that was replaced is read again."""
    if not hasattr(module, "FILE"):
        return None
    try:
        about = os.stat(find_file(folder, module.ABOUT, module.FILE))
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


@functools.lru_cache(maxsize=4)
def keep(name: str, options: tuple[tuple[str, object], ...], stamp: tuple[int, int] | None) -> Corpus:
    return CORPORA[name].load(**dict(options))
