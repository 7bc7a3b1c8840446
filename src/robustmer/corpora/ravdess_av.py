"""ravdess_av: 360 audio-visual takes of RAVDESS as one vector a modality (RAVDESS-AV in the tables).

The first repetition of the first statement of each actor, emotion and intensity. The statement is fixed, so the words
carry no emotion: there are two modalities. File: `ravdess_av360/ravdess_av360.npz`, plain arrays.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from robustmer.corpora.corpus import About, Corpus, folds_by_group
from robustmer.corpora.layout import Field, count_problem, doubled, examine, find, outside, require, vectors

NAME = "RAVDESS-AV"
CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
FILE = "ravdess_av360.npz"
FIELDS = {
    "name": Field("text"),
    "audio": Field("number", 67),
    "video": Field("number", 56),
    "video_names": Field("text", length=56),
    "emotion": Field("whole"),
    "emotion_names": Field("text", length=len(CLASSES)),
    "actor": Field("whole"),
}
CLASSIFIER_COLUMNS = tuple(f"{emotion}_{statistic}" for statistic in ("mean", "std") for emotion in
                           ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"))
"""Outputs of a facial-emotion classifier among the visual features; a purer visual stream leaves them out."""

ABOUT = About(
    title="RAVDESS, 360 audio-visual takes",
    access="https://doi.org/10.5281/zenodo.1188976 (recordings, free); the features, which this project cannot make "
           "from them, are expected as ravdess_av360/ravdess_av360.npz",
    licence="CC BY-NC-SA 4.0",
    folder="ravdess_av360",
    modalities={"audio": "67 acoustic functionals a take",
                "visual": "56 statistics of the face a take (action units, mouth opening, 14 outputs of an emotion "
                          "classifier)"},
    classes=8,
    people="24 actors (odd numbers male, even female), 15 takes each",
    protocol="six folds of four actors: actors 1-4, 5-8, ... test in turn, the next four validate, sixteen train",
    test_to_train=4 / 16,
    cite="S. R. Livingstone and F. A. Russo, PLoS ONE 13(5), 2018",
)


def load(folder: Path | None = None, classifier_columns: bool = True, standardise: bool = True) -> Corpus:
    """Read the corpus: audio (N, 1, 67) and visual (N, 1, 56), or (N, 1, 42) without `classifier_columns`.

    Raises CorpusNotFound where the file is missing and CorpusError where it cannot be used.
    """
    arrays = require(find(folder, ABOUT, FILE), ABOUT, FIELDS, find_problems)
    keep = classifier_columns | ~np.isin(arrays["video_names"], CLASSIFIER_COLUMNS)
    actor = np.array([f"actor {number:02d}" for number in arrays["actor"]])
    rows = vectors({"audio": arrays["audio"], "visual": arrays["video"][:, keep]}, arrays["emotion"], actor,
                   arrays["name"], NAME)
    fours = [tuple(f"actor {number:02d}" for number in range(first, first + 4)) for first in range(1, 25, 4)]
    return Corpus(NAME, CLASSES, rows, folds_by_group(actor, fours, fours[1:] + fours[:1]), standardise=standardise)


def check(path: Path | None = None) -> list[str]:
    """One sentence for everything that is wrong with the file, or other than in the 360 takes."""
    arrays, problems = examine(find(path, ABOUT, FILE), ABOUT, FIELDS, find_problems)
    if not problems:
        problems += count_problem("takes", len(arrays["name"]), 360)
        for number, emotion in enumerate(CLASSES):
            found = int((arrays["emotion"] == number).sum())
            problems += count_problem(f"takes with label {number} ({emotion})", found, 24 if number == 0 else 48)
        for actor in range(1, 25):
            problems += count_problem(f"takes of actor {actor}", int((arrays["actor"] == actor).sum()), 15)
    return problems


def find_problems(arrays):
    yield from outside("label (emotion)", arrays["emotion"], 0, len(CLASSES) - 1, arrays["name"], ", ".join(CLASSES))
    yield from outside("actor", arrays["actor"], 1, 24, arrays["name"], "RAVDESS has 24 actors")
    yield from doubled("take", arrays["name"])
    if tuple(arrays["emotion_names"]) != CLASSES:
        yield f"emotion_names are {', '.join(arrays['emotion_names'])}; the labels count {', '.join(CLASSES)}"
    missing = [name for name in CLASSIFIER_COLUMNS if name not in arrays["video_names"]]
    if missing:
        yield f"video_names lack {', '.join(missing)}; the columns of the emotion classifier cannot be told apart"
    for first in range(1, 25, 4):
        if not ((arrays["actor"] >= first) & (arrays["actor"] < first + 4)).any():
            yield f"no take of actors {first} to {first + 3}, who test one fold; give at least one"
