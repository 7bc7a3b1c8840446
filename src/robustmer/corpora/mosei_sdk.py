"""mosei_sdk: CMU-MOSEI as the CMU-MultimodalSDK gives it, utterances cut out of whole videos.

Layout and what is left out: `sdk.py`. Folder: `mosei_sdk/` with the .csd files and `splits.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from robustmer.corpora import sdk
from robustmer.corpora.corpus import About, Corpus

NAME = "CMU-MOSEI (SDK)"
"""The plain name belongs to `mosei_multibench`: other features give other numbers, and a table must not mix them."""

ABOUT = About(
    title="CMU-MOSEI, files of the CMU-MultimodalSDK",
    access="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK; store the .csd files and a splits.json in "
           "mosei_sdk/",
    licence="that of CMU-MOSEI (CMU MultiComp Lab); the videos keep their own terms",
    folder="mosei_sdk",
    modalities={"audio": "COVAREP, 74, averaged to 50 frames at most",
                "visual": "FACET 4.2, 35, averaged to 50 frames at most; outputs of an emotion classifier are among "
                          "them",
                "text": "GloVe, 50 words x 300 at most"},
    classes=2,
    people="about 1000 speakers, each video taken as one",
    protocol="the split by video in splits.json; one fold",
    test_to_train=679 / 2249,  # videos of the SDK's standard folds
    cite="A. Zadeh et al., ACL 2018",
)


def load(folder: Path | str | None = None, audio: str = sdk.CHOICE["audio"], visual: str = sdk.CHOICE["visual"],
         text: str = sdk.CHOICE["text"], neutral: str = "positive", repair: bool = False, longest: int | None = 50,
         standardise: bool = True) -> Corpus:
    """Read the corpus: audio, visual and text as sequences of up to `longest` frames (None: all of them).

    `audio`, `visual` and `text` are parts of the file names, `neutral` says what sentiment 0 is ("positive",
    "negative", or "drop" it), `repair` sets values that are not finite to 0. Raises CorpusNotFound where there are no
    .csd files and CorpusError where they cannot be used.
    """
    return sdk.load(NAME, ABOUT, folder=folder, choice={"audio": audio, "visual": visual, "text": text},
                    neutral=neutral, repair=repair, longest=longest, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the files, or lacking for some videos."""
    return sdk.check(path, ABOUT)


def files(chosen: Mapping[str, object]) -> list[Path]:
    return sdk.files(chosen, ABOUT)
