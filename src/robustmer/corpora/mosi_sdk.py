"""mosi_sdk: CMU-MOSI as the CMU-MultimodalSDK gives it, utterances cut out of whole videos.

Layout and what is left out: `sdk.py`. Folder: `mosi_sdk/` with the .csd files and `splits.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from robustmer.corpora import sdk
from robustmer.corpora.corpus import About, Corpus

NAME = "CMU-MOSI (SDK)"
"""The plain name belongs to `mosi_bclstm`: other features give other numbers, and a table must not mix them."""

ABOUT = About(
    title="CMU-MOSI, files of the CMU-MultimodalSDK",
    access="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK; store the .csd files and a splits.json in "
           "mosi_sdk/",
    licence="that of CMU-MOSI (CMU MultiComp Lab); the videos keep their own terms",
    folder="mosi_sdk",
    modalities={"audio": "COVAREP, 74, averaged to 50 frames at most",
                "visual": "FACET, averaged to 50 frames at most", "text": "GloVe, 50 words x 300 at most"},
    classes=2,
    people="93 videos, each taken as one speaker",
    protocol="the split by video in splits.json; one fold (the SDK's: 52 train, 10 validate, 31 test)",
    test_to_train=31 / 52,
    cite="A. Zadeh et al., IEEE Intelligent Systems 31(6), 2016",
)


def load(folder: Path | str | None = None, audio: str = sdk.CHOICE["audio"], visual: str = sdk.CHOICE["visual"],
         text: str = sdk.CHOICE["text"], neutral: str = "positive", repair: bool = False, longest: int | None = 50,
         standardise: bool = True) -> Corpus:
    """Read the corpus, as `mosei_sdk.load` does."""
    return sdk.load(NAME, ABOUT, folder=folder, choice={"audio": audio, "visual": visual, "text": text},
                    neutral=neutral, repair=repair, longest=longest, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the files, or lacking for some videos."""
    return sdk.check(path, ABOUT)


def files(chosen: Mapping[str, object]) -> list[Path]:
    return sdk.files(chosen, ABOUT)
