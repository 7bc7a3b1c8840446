"""The named corpora, each an instance of a layout.

`name` is the name in tables, by which results are stored and looked up. Where several corpora read one dataset, the
plain name belongs to the features behind the paper's or this book's table. The others add their layout, because other
features give other scores and a table must not mix them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np

from robustmer.batch import MODALITIES
from robustmer.corpora.common import About
from robustmer.corpora.corpus import PARTS, Split, folds_by_group
from robustmer.corpora.layout import Layout
from robustmer.corpora.mmin import MminFolders
from robustmer.corpora.multibench import MultibenchPickle
from robustmer.corpora.npz import Arrays, Field, NpzVectors
from robustmer.corpora.sdk import SdkFiles
from robustmer.corpora.sequences import POLARITY
from robustmer.corpora.synthetic import synthetic

# fmt: off
# --- RAVDESS: one statement, so the words carry no emotion and there are two modalities -------------------------------

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
CLASSIFIER_COLUMNS = tuple(f"{emotion}_{statistic}" for statistic in ("mean", "std") for emotion in
                           ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"))
"""Outputs of a facial-emotion classifier among the visual features; `classifier_columns=False` leaves them out."""

FOURS = [range(first, first + 4) for first in range(1, 25, 4)]


def actors(arrays: Arrays) -> np.ndarray:
    return np.array([f"actor {number:02d}" for number in arrays["actor"]])


def by_actor(arrays: Arrays) -> Split:
    return Split("by speaker", folds_by_group(arrays["actor"], FOURS, FOURS[1:] + FOURS[:1]))


def ravdess_problems(arrays: Arrays) -> Iterable[str]:
    if tuple(arrays["emotion_names"]) != EMOTIONS:
        yield f"emotion_names are {', '.join(arrays['emotion_names'])}; the labels count {', '.join(EMOTIONS)}"
    missing = [name for name in CLASSIFIER_COLUMNS if name not in arrays["video_names"]]
    if missing:
        yield f"video_names lack {', '.join(missing)}; which columns are those of the emotion classifier is not known"
    for four in FOURS:
        if not np.isin(arrays["actor"], four).any():
            yield f"no sample of actors {four[0]} to {four[-1]}, who test one fold; give at least one"


def ravdess_columns(arrays: Arrays, modality: str, settings) -> np.ndarray | slice:
    keep = settings["classifier_columns"] or modality != "visual"
    return slice(None) if keep else ~np.isin(arrays["video_names"], CLASSIFIER_COLUMNS)


ravdess_av = NpzVectors(
    name="RAVDESS-AV", label="emotion", classes=EMOTIONS, file="ravdess_av360.npz",
    fields={"name": Field("text"), "audio": Field("numbers", 67), "video": Field("numbers", 56),
            "video_names": Field("text", length=56), "emotion_names": Field("text", length=len(EMOTIONS)),
            "emotion": Field("whole numbers", bounds=(0, 7, ", ".join(EMOTIONS))),
            "actor": Field("whole numbers", bounds=(1, 24, "RAVDESS has 24 actors"))},
    x={"audio": "audio", "visual": "video"}, id="name", y="emotion",
    speakers=actors, divide=by_actor, further=ravdess_problems, columns=ravdess_columns,
    options={"classifier_columns": True},
    published={"samples": 360, **{f"samples with label {i} ({name})": 48 if i else 24
                                  for i, name in enumerate(EMOTIONS)},
               **{f"samples of speaker actor {number:02d}": 15 for number in range(1, 25)}},
    about=About(
        title="RAVDESS, 360 audio-visual takes",
        access="https://doi.org/10.5281/zenodo.1188976 (recordings, free); the features, which this project cannot "
               "make from them, are expected as ravdess_av360/ravdess_av360.npz",
        licence="CC BY-NC-SA 4.0", folder="ravdess_av360",
        modalities=("audio", "visual")))

# --- CMU-MOSI as one vector a sample (bc-LSTM) ------------------------------------------------------------------------
# The text and visual vectors were learned with the labels of the train split. So train accuracy is inflated, and the
# corpus has one fold, its own: a new split would judge on samples whose labels are in the features. The visual vectors
# are hardly better than guessing on the test split, which makes them a control: noise on them should cost little.


def mosi_split(arrays: Arrays) -> Split:
    return Split("by speaker", (tuple(np.flatnonzero(arrays["split"] == part) for part in range(3)),))


def mosi_problems(arrays: Arrays) -> Iterable[str]:
    for number, part in enumerate(PARTS):
        if not (arrays["split"] == number).any():
            yield f"no sample has split {number}; the {part} part would be empty"
    for video in np.unique(arrays["vid"]):
        splits = np.unique(arrays["split"][arrays["vid"] == video])
        if len(splits) > 1:
            names = ", ".join(PARTS[part] if 0 <= part < 3 else str(part) for part in splits)
            yield f"video {str(video)!r} is in several parts ({names}); a speaker belongs to one"
    if "sentiment" in arrays:
        value, label, name = (arrays[key] for key in ("sentiment", "label", "utt"))
        for i in np.flatnonzero(~(np.abs(value) <= 3 + 1e-4))[:1]:
            yield f"sentiment of sample {str(name[i])!r} is {value[i]:g}; it must be -3 to 3"
        for i in np.flatnonzero((value >= 0) != (label == 1))[:1]:
            yield (f"sample {str(name[i])!r} has sentiment {value[i]:g} and label {label[i]}; label 1 is sentiment "
                   "from 0 up")


mosi_bclstm = NpzVectors(
    name="CMU-MOSI", label="polarity", classes=POLARITY, file="mosi_bclstm.npz",
    fields={"utt": Field("text"), "vid": Field("text"), "audio": Field("numbers", 73), "video": Field("numbers", 100),
            "text": Field("numbers", 100), "label": Field("whole numbers", bounds=(0, 1, "0 negative, 1 positive")),
            "split": Field("whole numbers", bounds=(0, 2, "0 train, 1 valid, 2 test"))},
    x={"audio": "audio", "visual": "video", "text": "text"}, id="utt", y="label",
    speakers=lambda arrays: arrays["vid"], divide=mosi_split, further=mosi_problems,
    published={"samples": 2199, "speakers": 93, "samples with label 0 (negative)": 1023,
               "samples with label 1 (positive)": 1176, "samples in train of fold 0": 1252,
               "samples in valid of fold 0": 195, "samples in test of fold 0": 752},
    about=About(
        title="CMU-MOSI, utterance vectors",
        access="https://github.com/declare-lab/multimodal-deep-learning (bc-LSTM), converted to plain arrays and "
               "stored as mosi_bclstm/mosi_bclstm.npz",
        licence="features under the MIT License (DeCLaRe Lab 2021); the videos keep their own terms",
        folder="mosi_bclstm",
        modalities=MODALITIES))

mosi_sentiment = dataclasses.replace(
    mosi_bclstm, name="CMU-MOSI sentiment", label="sentiment", classes=(), y="sentiment",
    fields={**mosi_bclstm.fields, "sentiment": Field("numbers")},
    published={key: n for key, n in mosi_bclstm.published.items() if "label" not in key},
    about=dataclasses.replace(mosi_bclstm.about, title="CMU-MOSI, utterance vectors with sentiment"))

# --- IEMOCAP and MSP-IMPROV as MMIN's folders: the features of NMER ---------------------------------------------------

iemocap_mmin = MminFolders(  # Ses01F_impro01_M003 is the man of session 1, Ses01M: the last letter says who speaks
    name="IEMOCAP", folds=10, speaker=r"(Ses\d\d)[FM]_\w+_([FM])(?:XX)?\d+",
    published={f"samples with label {i} ({name})": count  # NMER Table 1; another order of the classes shows here
               for i, (name, count) in enumerate((("happy", 1636), ("angry", 1103), ("sad", 1084), ("neutral", 1708)))},
    about=About(
        title="IEMOCAP, MMIN's features",
        access="https://sail.usc.edu/iemocap/ (release form); the features are linked from "
               "https://github.com/AIM3-RUC/MMIN for those who have the corpus",
        licence="that of IEMOCAP (research only, not to be passed on); it covers the features", folder="iemocap_mmin",
        modalities=MODALITIES))

msp_improv_mmin = MminFolders(  # MSP-IMPROV-S01A-F01-P-FM01; that MMIN cut its folds by the field F01 is not verified
    name="MSP-IMPROV", folds=12, speaker=r"(?:MSP|UTD)-IMPROV-S\d\d[A-Z]-([FM]\d\d)-[A-Z]-[A-Z]+\d+",
    about=About(
        title="MSP-IMPROV, MMIN's features",
        access="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html (signed agreement); the "
               "features are linked from https://github.com/AIM3-RUC/MMIN for those who have the corpus",
        licence="that of MSP-IMPROV (academic agreement); it covers the features", folder="msp_improv_mmin",
        modalities=MODALITIES))

# --- CMU-MOSEI and CMU-MOSI as sequences ------------------------------------------------------------------------------

MOSEI_TERMS = "that of CMU-MOSEI (CMU MultiComp Lab); the videos keep their own terms"
MOSI_TERMS = "that of CMU-MOSI (CMU MultiComp Lab); the videos keep their own terms"
LINKS = "https://github.com/pliang279/MultiBench or https://github.com/thuiar/MMSA, which link the files; store it as"
SDK = "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK; store the .csd files and a splits.json in"
SENTIMENT_OPTIONS = {"repair": False}
POLARITY_OPTIONS = {"neutral": "positive", **SENTIMENT_OPTIONS}

mosei_multibench = MultibenchPickle(
    name="CMU-MOSEI", label="polarity", classes=POLARITY, options=POLARITY_OPTIONS,
    published={f"samples in {part} of the file": n for part, n in zip(PARTS, (16326, 1871, 4659), strict=True)},
    about=About(
        title="CMU-MOSEI, MultiBench's or MMSA's pickle", access=f"{LINKS} mosei_multibench/*.pkl",
        licence=MOSEI_TERMS, folder="mosei_multibench", modalities=MODALITIES))

mosei_sentiment = dataclasses.replace(
    mosei_multibench, name="CMU-MOSEI sentiment", label="sentiment", classes=(), options=SENTIMENT_OPTIONS,
    about=dataclasses.replace(mosei_multibench.about, title="CMU-MOSEI, MultiBench's or MMSA's pickle, with sentiment"))

mosi_multibench = MultibenchPickle(
    name="CMU-MOSI (MultiBench)", label="polarity", classes=POLARITY, options=POLARITY_OPTIONS,
    published={f"samples in {part} of the file": n for part, n in zip(PARTS, (1284, 229, 686), strict=True)},
    about=About(
        title="CMU-MOSI, MultiBench's or MMSA's pickle", access=f"{LINKS} mosi_multibench/*.pkl",
        licence=MOSI_TERMS, folder="mosi_multibench", modalities=MODALITIES))

mosi_multibench_sentiment = dataclasses.replace(
    mosi_multibench, name="CMU-MOSI sentiment (MultiBench)", label="sentiment", classes=(), options=SENTIMENT_OPTIONS,
    about=dataclasses.replace(mosi_multibench.about, title="CMU-MOSI, MultiBench's or MMSA's pickle, with sentiment"))

mosei_sdk = SdkFiles(
    name="CMU-MOSEI (SDK)",
    about=About(
        title="CMU-MOSEI, files of the CMU-MultimodalSDK", access=f"{SDK} mosei_sdk/", licence=MOSEI_TERMS,
        folder="mosei_sdk", modalities=MODALITIES))

mosi_sdk = SdkFiles(
    name="CMU-MOSI (SDK)",
    about=About(
        title="CMU-MOSI, files of the CMU-MultimodalSDK", access=f"{SDK} mosi_sdk/", licence=MOSI_TERMS,
        folder="mosi_sdk", modalities=MODALITIES))

# --- RAVDESS, speech alone: 24 actors, 60 takes each, two sentences ---------------------------------------------------

DOUBLED = ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07")
"""The publisher's files of these two takes are one recording. The second is in no fold."""


def without_double(arrays: Arrays, groups: Iterable[Iterable[int]], valids: Iterable[Iterable[int]]) -> Split:
    folds = folds_by_group(arrays["actor"], list(groups), list(valids))
    double = np.flatnonzero(arrays["name"] == DOUBLED[1])
    return Split("by speaker", tuple(tuple(np.setdiff1d(part, double) for part in fold) for fold in folds))


def by_one_actor(arrays: Arrays) -> Split:
    """Leave one speaker out: each actor tests once, the next two (a man and a woman) validate, 21 train."""
    following = [((first % 24) + 1, ((first + 1) % 24) + 1) for first in range(1, 25)]
    return without_double(arrays, [(number,) for number in range(1, 25)], following)


def speech_problems(arrays: Arrays) -> Iterable[str]:
    for number in np.setdiff1d(np.arange(1, 25), arrays["actor"])[:1]:
        yield f"no sample of actor {number}, who tests one fold; give at least one"


ravdess_speech = NpzVectors(
    name="RAVDESS speech", label="emotion", classes=EMOTIONS, file="ravdess_speech_mel.npz",
    fields={"name": Field("text"), "functionals": Field("numbers", 209),
            "emotion": Field("whole numbers", bounds=(0, 7, ", ".join(EMOTIONS))),
            "actor": Field("whole numbers", bounds=(1, 24, "RAVDESS has 24 actors"))},
    x={"audio": "functionals"}, id="name", y="emotion", speakers=actors,
    divide=lambda arrays: without_double(arrays, FOURS, FOURS[1:] + FOURS[:1]), further=speech_problems,
    published={"samples": 1440, **{f"samples with label {i} ({name})": 192 if i else 96
                                   for i, name in enumerate(EMOTIONS)},
               **{f"samples of speaker actor {number:02d}": 60 for number in range(1, 25)}},
    about=About(
        title="RAVDESS, all 1440 takes of speech",
        access="https://doi.org/10.5281/zenodo.1188976 (recordings, free); the features, which this project cannot "
               "make from them, are expected as ravdess_speech/ravdess_speech_mel.npz",
        licence="CC BY-NC-SA 4.0", folder="ravdess_speech",
        modalities=("audio",)))

ravdess_speech_loso = dataclasses.replace(
    ravdess_speech, name="RAVDESS speech LOSO", divide=by_one_actor,
    about=dataclasses.replace(
        ravdess_speech.about, title="RAVDESS, all 1440 takes of speech, leaving one speaker out"))

CORPORA: dict[str, Layout] = {
    "synthetic": synthetic, "ravdess_av": ravdess_av, "mosi_bclstm": mosi_bclstm, "mosi_sentiment": mosi_sentiment,
    "iemocap_mmin": iemocap_mmin, "msp_improv_mmin": msp_improv_mmin, "mosei_multibench": mosei_multibench,
    "mosei_sentiment": mosei_sentiment, "mosi_multibench": mosi_multibench,
    "mosi_multibench_sentiment": mosi_multibench_sentiment, "mosei_sdk": mosei_sdk, "mosi_sdk": mosi_sdk,
    "ravdess_speech": ravdess_speech, "ravdess_speech_loso": ravdess_speech_loso}
# fmt: on
