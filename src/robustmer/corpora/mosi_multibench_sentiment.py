"""mosi_multibench_sentiment: CMU-MOSI as MultiBench, MulT and MMSA store it, labelled with sentiment.

File, layout and cautions are those of `mosi_multibench`, whose two classes are this sentiment cut at zero.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from robustmer.corpora import multibench
from robustmer.corpora.corpus import Corpus
from robustmer.corpora.mosi_multibench import ABOUT as WITH_CLASSES
from robustmer.corpora.mosi_multibench import check, files

__all__ = ["ABOUT", "NAME", "check", "files", "load"]

NAME = "CMU-MOSI sentiment (MultiBench)"
ABOUT = dataclasses.replace(WITH_CLASSES, title=f"{WITH_CLASSES.title}, with sentiment", classes=0)


def load(folder: Path | str | None = None, repair: bool = False, standardise: bool = True) -> Corpus:
    """Read the corpus, as `mosei_sentiment.load` does."""
    return multibench.load(NAME, ABOUT, folder=folder, neutral=None, repair=repair, standardise=standardise)
