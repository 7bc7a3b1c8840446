"""mosi_multibench: CMU-MOSI as MultiBench, MulT and MMSA store it; sequences, where `mosi_bclstm` has vectors.

Layout, padding and what is left out: `multibench.py`. File: the only pickle in `mosi_multibench/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from robustmer.corpora import multibench
from robustmer.corpora.corpus import About, Corpus

NAME = "CMU-MOSI (MultiBench)"
"""The plain name belongs to `mosi_bclstm`: other features give other numbers, and a table must not mix them."""

UTTERANCES = {"train": 1284, "valid": 229, "test": 686}

ABOUT = About(
    title="CMU-MOSI, MultiBench's or MMSA's pickle",
    access="https://github.com/pliang279/MultiBench or https://github.com/thuiar/MMSA, which link the files; "
           "store one as mosi_multibench/*.pkl",
    licence="that of CMU-MOSI (CMU MultiComp Lab); the videos keep their own terms",
    folder="mosi_multibench",
    modalities={"audio": "COVAREP, up to 50 words x 74, or a choice of 5 of them",
                "visual": "FACET, up to 50 words x 35 or 47, or a choice of 20 of them",
                "text": "GloVe, up to 50 words x 300; MMSA has BERT, 768"},
    classes=2,
    people="93 videos, each taken as one speaker",
    protocol="the file's split by video: 52 train, 10 validate, 31 test; one fold, never re-split",
    test_to_train=31 / 52,
    cite="A. Zadeh et al., IEEE Intelligent Systems 31(6), 2016; file: P. P. Liang et al., NeurIPS Datasets and "
         "Benchmarks 2021",
)


def load(folder: Path | str | None = None, neutral: str = "positive", repair: bool = False,
         standardise: bool = True) -> Corpus:
    """Read the corpus, as `mosei_multibench.load` does."""
    return multibench.load(NAME, ABOUT, folder=folder, neutral=neutral, repair=repair, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the file, or other than published."""
    return multibench.check(path, ABOUT, UTTERANCES)


def files(chosen: Mapping[str, object]) -> list[Path]:
    return multibench.candidates(chosen["folder"], ABOUT)
