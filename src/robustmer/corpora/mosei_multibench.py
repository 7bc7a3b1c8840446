"""mosei_multibench: CMU-MOSEI as MultiBench, MulT and MMSA store it (CMU-MOSEI in the tables), the features of NMER.

Layout, padding and what is left out: `multibench.py`. File: the only pickle in `mosei_multibench/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from robustmer.corpora import multibench
from robustmer.corpora.corpus import About, Corpus

NAME = "CMU-MOSEI"
UTTERANCES = {"train": 16326, "valid": 1871, "test": 4659}

ABOUT = About(
    title="CMU-MOSEI, MultiBench's or MMSA's pickle",
    access="https://github.com/pliang279/MultiBench or https://github.com/thuiar/MMSA, which link the files; "
           "store one as mosei_multibench/*.pkl",
    licence="that of CMU-MOSEI (CMU MultiComp Lab); the videos keep their own terms",
    folder="mosei_multibench",
    modalities={"audio": "COVAREP, up to 50 words x 74 (NMER's; other widths are read)",
                "visual": "FACET, up to 50 words x 35 (NMER's); outputs of an emotion classifier are among them",
                "text": "GloVe, up to 50 words x 300 (NMER's); MMSA has BERT, 768"},
    classes=2,
    people="about 1000 speakers, each video taken as one",
    protocol="the file's split by video; one fold, never re-split",
    test_to_train=4643 / 16265,  # of utterances: the file does not count people
    cite="A. Zadeh et al., ACL 2018; file: P. P. Liang et al., NeurIPS Datasets and Benchmarks 2021",
)


def load(folder: Path | str | None = None, neutral: str = "positive", repair: bool = False,
         standardise: bool = True) -> Corpus:
    """Read the corpus: audio, visual and text as sequences of up to T frames, label 1 where sentiment is not negative.

    `neutral` says what sentiment 0 is ("positive", "negative", or "drop" it), `repair` sets values that are not finite
    to 0. Raises CorpusNotFound where there is no pickle and CorpusError where it cannot be used.
    """
    return multibench.load(NAME, ABOUT, folder=folder, neutral=neutral, repair=repair, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the file, or other than published."""
    return multibench.check(path, ABOUT, UTTERANCES)


def files(chosen: Mapping[str, object]) -> list[Path]:
    return multibench.candidates(chosen["folder"], ABOUT)
