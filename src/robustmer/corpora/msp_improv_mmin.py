"""msp_improv_mmin: MSP-IMPROV as MMIN's feature folder (MSP-IMPROV in the tables).

Layout, labels and padding: `mmin.py`. Names read `MSP-IMPROV-S01A-F01-P-FM01`: sentence 01 meant angry, the woman of
session 1, kind of recording P, turn FM01. The speaker is the field `F01`, as other readers of this corpus have it; that
MMIN's folds were cut by it is not verified, so `speakers=False` is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from robustmer.corpora import mmin
from robustmer.corpora.corpus import About, Corpus

NAME = "MSP-IMPROV"
CLASSES = mmin.CLASSES
FOLDS = 12

ABOUT = About(
    title="MSP-IMPROV, MMIN's features",
    access="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html (signed agreement); the features "
           "are linked from https://github.com/AIM3-RUC/MMIN for those who have the corpus",
    licence="that of MSP-IMPROV (academic agreement); it covers the features",
    folder="msp_improv_mmin",
    modalities={"audio": "ComParE low-level descriptors, 130 a frame", "visual": "DenseFace, up to 50 frames x 342",
                "text": "BERT-large, up to 22 tokens x 1024"},
    classes=4,
    people="12 actors in six sessions of two",
    protocol="the folder's twelve folds: one speaker tests, one validates, ten train",
    test_to_train=1 / 10,
    cite="C. Busso et al., IEEE Transactions on Affective Computing 8(1), 2017; features: J. Zhao et al., ACL 2021",
)


def load(folder: Path | str | None = None, audio: str = "comparE", classes: Sequence[str] = CLASSES,
         target: Path | str | None = None, speakers: bool = True, standardise: bool = True) -> Corpus:
    """Read the corpus, as `iemocap_mmin.load` does. `audio="comparE_raw"` takes the rectangular A/comparE_raw.h5."""
    return mmin.load(NAME, ABOUT, FOLDS, speaker_of, folder=folder, audio=audio, classes=classes, target=target,
                     speakers=speakers, standardise=standardise)


def check(path: Path | str | None = None) -> list[str]:
    """One sentence for everything that is wrong with the folder; of two audio files it reads comparE.h5."""
    root = mmin.find(path, ABOUT)
    only_raw = (root / "A/comparE_raw.h5").exists() and not (root / "A/comparE.h5").exists()
    audio = "comparE_raw" if only_raw else "comparE"
    return mmin.examine(root, ABOUT, FOLDS, speaker_of, audio, CLASSES, None)[1]


def files(chosen: Mapping[str, object]) -> list[Path]:
    return mmin.files(chosen, ABOUT, FOLDS)


def speaker_of(id: str) -> str | None:
    """The field of gender and session.

    >>> speaker_of("MSP-IMPROV-S01A-F01-P-FM01")
    'F01'
    """
    named = re.fullmatch(r"(?:MSP|UTD)-IMPROV-S\d\d[A-Z]-([FM]\d\d)-[A-Z]-[A-Z]+\d+", id)
    return named[1] if named else None
