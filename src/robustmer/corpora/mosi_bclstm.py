"""mosi_bclstm: CMU-MOSI as one vector an utterance and modality (CMU-MOSI in the tables; Poria et al. 2017).

The text and visual vectors were learned with the labels of the train part. So train accuracy is inflated, and the
corpus has one fold, its own: a new split would judge on utterances whose labels are in the features. The visual vectors
are hardly better than guessing on the test part, which makes them a control: noise on them should hardly cost anything.
File: `mosi_bclstm/mosi_bclstm.npz`, plain arrays; its `video` is our visual.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robustmer.corpora.corpus import About, Corpus
from robustmer.corpora.layout import Field, count_problem, doubled, examine, find, outside, require, vectors

NAME = "CMU-MOSI"
CLASSES = ("negative", "positive")
PARTS = ("train", "valid", "test")
FILE = "mosi_bclstm.npz"
FIELDS = {
    "utt": Field("text"),
    "vid": Field("text"),
    "audio": Field("number", 73),
    "video": Field("number", 100),
    "text": Field("number", 100),
    "label": Field("whole"),
    "split": Field("whole"),
}

ABOUT = About(
    title="CMU-MOSI, utterance vectors",
    access="https://github.com/declare-lab/multimodal-deep-learning (bc-LSTM), converted to plain arrays and stored as "
           "mosi_bclstm/mosi_bclstm.npz",
    licence="features under the MIT License (DeCLaRe Lab 2021); the videos keep their own terms",
    folder="mosi_bclstm",
    modalities={"audio": "73 openSMILE values an utterance", "visual": "100 values of a 3D CNN an utterance",
                "text": "100 values of a CNN over words an utterance"},
    classes=2,
    people="93 videos, each taken as one speaker",
    protocol="the fixed split by video: 53 train, 9 validate, 31 test; one fold, never re-split",
    test_to_train=31 / 53,
    cite="A. Zadeh et al., IEEE Intelligent Systems 31(6), 2016; features: S. Poria et al., ACL 2017",
)


def load(folder: Path | None = None, standardise: bool = True) -> Corpus:
    """Read the corpus: audio (N, 1, 73), visual (N, 1, 100), text (N, 1, 100), label 1 where sentiment is not negative.

    Raises CorpusNotFound where the file is missing and CorpusError where it cannot be used.
    """
    arrays = require(find(folder, ABOUT, FILE), ABOUT, FIELDS, find_problems)
    rows = vectors({"audio": arrays["audio"], "visual": arrays["video"], "text": arrays["text"]}, arrays["label"],
                   arrays["vid"], arrays["utt"], NAME)
    fold = tuple(np.flatnonzero(arrays["split"] == part) for part in range(len(PARTS)))
    return Corpus(NAME, CLASSES, rows, (fold,), standardise=standardise)


def check(path: Path | None = None) -> list[str]:
    """One sentence for everything that is wrong with the file, or other than in the published features."""
    arrays, problems = examine(find(path, ABOUT, FILE), ABOUT, FIELDS, find_problems)
    if not problems:
        problems += count_problem("utterances", len(arrays["utt"]), 2199)
        problems += count_problem("videos", len(np.unique(arrays["vid"])), 93)
        for number, (part, utterances) in enumerate(zip(PARTS, (1252, 195, 752), strict=True)):
            found = int((arrays["split"] == number).sum())
            problems += count_problem(f"utterances in the {part} part", found, utterances)
        for number, utterances in enumerate((1023, 1176)):
            found = int((arrays["label"] == number).sum())
            problems += count_problem(f"utterances with label {number} ({CLASSES[number]})", found, utterances)
    return problems


def find_problems(arrays):
    yield from outside("label", arrays["label"], 0, 1, arrays["utt"], "0 negative, 1 positive")
    yield from outside("split", arrays["split"], 0, 2, arrays["utt"], "0 train, 1 valid, 2 test")
    yield from doubled("utterance", arrays["utt"])
    for number, part in enumerate(PARTS):
        if not (arrays["split"] == number).any():
            yield f"no utterance has split {number}; the {part} part would be empty"
    for video in np.unique(arrays["vid"]):
        splits = np.unique(arrays["split"][arrays["vid"] == video])
        if len(splits) > 1:
            parts = ", ".join(PARTS[s] if 0 <= s < len(PARTS) else str(s) for s in splits)
            yield f"video {str(video)!r} is in several parts ({parts}); a speaker belongs to one"
