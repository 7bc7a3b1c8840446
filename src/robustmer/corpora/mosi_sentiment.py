"""mosi_sentiment: CMU-MOSI's utterance vectors with sentiment as the label, a number from -3 to 3 (a regression).

File, split and cautions are those of `mosi_bclstm`, whose two classes are this sentiment cut at zero.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from robustmer.corpora import mosi_bclstm
from robustmer.corpora.corpus import Corpus
from robustmer.corpora.layout import Field, examine, find, require, vectors
from robustmer.corpora.sequences import sentiment_problems

NAME = "CMU-MOSI sentiment"
FILE = mosi_bclstm.FILE
FIELDS = mosi_bclstm.FIELDS | {"sentiment": Field("number")}
ABOUT = dataclasses.replace(mosi_bclstm.ABOUT, title="CMU-MOSI, utterance vectors with sentiment", classes=0)


def load(folder: Path | None = None, standardise: bool = True) -> Corpus:
    """Read the corpus: audio (N, 1, 73), visual (N, 1, 100), text (N, 1, 100), label the sentiment, float32 in [-3, 3].

    Raises CorpusNotFound where the file is missing and CorpusError where it cannot be used.
    """
    arrays = require(find(folder, ABOUT, FILE), ABOUT, FIELDS, find_problems)
    x = {"audio": arrays["audio"], "visual": arrays["video"], "text": arrays["text"]}
    rows = vectors(x, arrays["sentiment"], arrays["vid"], arrays["utt"], NAME)
    fold = tuple(np.flatnonzero(arrays["split"] == part) for part in range(len(mosi_bclstm.PARTS)))
    return Corpus(NAME, (), rows, (fold,), standardise=standardise)


def check(path: Path | None = None) -> list[str]:
    """One sentence for everything that is wrong with the file, or other than in the published features."""
    problems = examine(find(path, ABOUT, FILE), ABOUT, FIELDS, find_problems)[1]
    return problems or mosi_bclstm.check(path)


def find_problems(arrays):
    yield from mosi_bclstm.find_problems(arrays)
    yield from sentiment_problems(FILE, arrays["sentiment"], arrays["utt"])
    other = np.flatnonzero((arrays["sentiment"] >= 0) != (arrays["label"] == 1))
    if len(other):
        yield (f"utterance {str(arrays['utt'][other[0]])!r} has sentiment {arrays['sentiment'][other[0]]:g} and label "
               f"{arrays['label'][other[0]]}; label 1 is sentiment from 0 up; {len(other)} such rows")
