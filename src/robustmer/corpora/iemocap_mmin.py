"""iemocap_mmin: IEMOCAP as MMIN's feature folder (IEMOCAP in the tables), the features of NMER.

Layout, labels and padding: `mmin.py`. A speaker is who speaks: `Ses01F_impro01_M003` is the man of session 1, `Ses01M`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from robustmer.corpora import mmin
from robustmer.corpora.corpus import About, Corpus

NAME = "IEMOCAP"
CLASSES = mmin.CLASSES
FOLDS = 10
COUNTS = {"happy": 1636, "angry": 1103, "sad": 1084, "neutral": 1708}
"""NMER Table 1."""

ABOUT = About(
    title="IEMOCAP, MMIN's features",
    access="https://sail.usc.edu/iemocap/ (release form); the features are linked from "
           "https://github.com/AIM3-RUC/MMIN for those who have the corpus",
    licence="that of IEMOCAP (research only, not to be passed on); it covers the features",
    folder="iemocap_mmin",
    modalities={"audio": "ComParE low-level descriptors, 130 a frame, 10 frames a second",
                "visual": "DenseFace, up to 50 frames x 342", "text": "BERT-large, up to 22 tokens x 1024"},
    classes=4,
    people="10 actors in five sessions of two",
    protocol="the folder's ten folds: one speaker tests, the partner in the session validates, eight train",
    test_to_train=1 / 8,
    cite="C. Busso et al., Language Resources and Evaluation 42(4), 2008; features: J. Zhao et al., ACL 2021",
)


def load(folder: Path | str | None = None, audio: str = "comparE", classes: Sequence[str] = CLASSES,
         target: Path | str | None = None, speakers: bool = True, standardise: bool = True) -> Corpus:
    """Read the corpus: audio (N, T, 130), visual (N, 50, 342), text (N, 22, 1024), of which the real frames count.

    `audio` names a file in A/, `classes` the labels in the order of their numbers, `target` the folder of the folds if
    it is not target/. `speakers=False` takes everybody as unknown: folds are then not checked for divided speakers.
    Raises CorpusNotFound where there is no such folder and CorpusError where it cannot be used.
    """
    return mmin.load(NAME, ABOUT, FOLDS, speaker_of, folder=folder, audio=audio, classes=classes, target=target,
                     speakers=speakers, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the folder, or other than in NMER Table 1."""
    content, problems = mmin.examine(mmin.find(path, ABOUT), ABOUT, FOLDS, speaker_of, "comparE", CLASSES, None)
    return problems or mmin.counts(content, COUNTS, CLASSES)


def files(chosen: Mapping[str, object]) -> list[Path]:
    return mmin.files(chosen, ABOUT, FOLDS)


def speaker_of(id: str) -> str | None:
    """Session and the letter of who speaks, the one before the last number.

    >>> speaker_of("Ses01F_script01_1_M012")
    'Ses01M'
    """
    named = re.fullmatch(r"(Ses\d\d)[FM]_\w+_([FM])(?:XX)?\d+", id)
    return named[1] + named[2] if named else None
