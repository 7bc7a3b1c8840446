"""The corpora by name. A new one is a module with `NAME`, `ABOUT`, `load` and `check`, and one line in CORPORA.

`NAME` is the spelling of the tables, each module's own: results are kept and looked up by it. Where two modules read
one corpus, the plain name belongs to the features with which this book's or the paper's table was made; the others add
their layout: CMU-MOSI is `mosi_bclstm`, CMU-MOSI (MultiBench) is `mosi_multibench`.

A module that reads one .npz names it in `FILE`; one that reads others says in `files` which ones.

    corpus = load("synthetic", size="quick")
    train, valid, test = corpus.fold(0)
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from robustmer.corpora import (
    iemocap_mmin,
    mosei_multibench,
    mosei_sdk,
    mosei_sentiment,
    mosi_bclstm,
    mosi_multibench,
    mosi_multibench_sentiment,
    mosi_sdk,
    mosi_sentiment,
    msp_improv_mmin,
    ravdess_av,
    synthetic,
)
from robustmer.corpora.corpus import About, Corpus, CorpusError, CorpusNotFound, data_folder, folds_by_group
from robustmer.corpora.layout import find as find_file

__all__ = ["CORPORA", "About", "Corpus", "CorpusError", "CorpusNotFound", "about", "check", "data_folder", "find",
           "folds_by_group", "is_here", "load"]

CORPORA: dict[str, ModuleType] = {
    "synthetic": synthetic,
    "ravdess_av": ravdess_av,
    "mosi_bclstm": mosi_bclstm,
    "mosi_sentiment": mosi_sentiment,
    "iemocap_mmin": iemocap_mmin,
    "msp_improv_mmin": msp_improv_mmin,
    "mosei_multibench": mosei_multibench,
    "mosei_sentiment": mosei_sentiment,
    "mosi_multibench": mosi_multibench,
    "mosi_multibench_sentiment": mosi_multibench_sentiment,
    "mosei_sdk": mosei_sdk,
    "mosi_sdk": mosi_sdk,
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
    return keep(name, tuple(hashable.items()), stamp(module, chosen))


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


def is_here(name: str) -> bool:
    """Whether any file of the corpus is on this machine; nothing is read, so whether it can be used is not said."""
    module = find(name)
    chosen = {option: known.default for option, known in inspect.signature(module.load).parameters.items()}
    return module.ABOUT.folder is None or any(stamp(module, chosen | {"folder": data_folder()}))


def stamp(module: ModuleType, chosen: Mapping[str, object]) -> tuple[tuple[int, int] | None, ...]:
    """Size and time of each file that these options read, so that files that were replaced are read again."""
    if hasattr(module, "files"):
        files = module.files(chosen)
    else:
        files = [find_file(chosen["folder"], module.ABOUT, module.FILE)] if hasattr(module, "FILE") else []
    return tuple(size_and_time(file) for file in files)


def size_and_time(file: Path) -> tuple[int, int] | None:
    try:
        about = os.stat(file)
    except OSError:
        return None
    return about.st_size, about.st_mtime_ns


@functools.lru_cache(maxsize=4)
def keep(name: str, options: tuple[tuple[str, object], ...], stamp: tuple[object, ...]) -> Corpus:
    return CORPORA[name].load(**dict(options))
