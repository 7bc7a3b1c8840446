"""One registry: every system, metric, corpus and kind of evidence, with its name in print and its look in figures.

A name says in words how a system was trained. Every colour has a contrast of at least 3:1 on the light and on the dark
page; every system has a marker of its own beside its colour.
"""

from __future__ import annotations

from typing import NamedTuple

from robustmer.book import known
from robustmer.corpora.structured import MECHANISMS


class System(NamedTuple):
    """How a row of the tables is named in prose and figures (`label`), explained (`meaning`) and drawn."""

    label: str
    meaning: str
    colour: str
    marker: str
    dash: str = "-"


class Metric(NamedTuple):
    """How a metric is named and explained. `unit` is that of differences; `scale` converts stored numbers to it."""

    label: str
    meaning: str
    unit: str = "points"
    scale: float = 100.0
    higher_is_better: bool = True


class Corpus(NamedTuple):
    label: str
    chip: str  # people, seeds only or synthetic


class Evidence(NamedTuple):
    """A mark: filled and thick is over people, hollow and thin over seeds only, a cross is one training."""

    label: str
    shape: str
    colour: str
    marker: str
    filled: bool
    width: float


HERO, GREY, BLUE, TEAL, GREEN = "#D9600A", "#767676", "#2F7FC1", "#16909C", "#2E9A62"
PURPLE, PINK, BROWN, RED, INDIGO, OLIVE = "#9367C8", "#C9589C", "#A8703A", "#D0506E", "#6678D8", "#8C8A12"

SYSTEMS: dict[str, System] = {
    "majority class": System("majority class", "always answers the commonest class of the train split", GREY, "_", ":"),
    "LogReg clean": System("logistic regression that never met noise", "linear, trained clean", GREY, "<", "--"),
    "LogReg noisy": System("logistic regression that met the noise", "linear, trained under noise", GREY, ">", "--"),
    "LogReg": System("logistic regression that met the gaps", "linear, trained with gaps", GREY, "v", "--"),
    "MEN clean": System("MEN that never met noise", "NMER's encoders and classifier, trained on clean data", BLUE, "o"),
    "MEN noisy": System("MEN that met the noise", "the same network, trained under the test's noise", TEAL, "s"),
    "unimodal classifier clean": System("one modality, never met noise", "a MEN that is shown one modality", BLUE, "<"),
    "unimodal classifier noisy": System("one modality, met the noise", "the same, trained under the noise", TEAL, ">"),
    "MCTN": System("MCTN", "translates between modalities in a cycle (2019)", GREEN, "^"),
    "MMIN": System("MMIN", "imagines the features of a missing modality (2021)", PURPLE, "D"),
    "IF-MMIN": System("IF-MMIN", "MMIN with features that all modalities share (2023)", PINK, "P"),
    "NMER": System("NMER", "a noise scheduler, a VAE and an invariance loss", HERO, "o"),
    "w/o VAE": System("NMER without the VAE", "its joint representation is not generated", BROWN, "X"),
    "w/o L_inv": System("NMER without the invariance loss", "its shared features are not aligned", RED, "d"),
    "LB": System("LB", "MulT, one network for every missing case", TEAL, "p"),
    "MS": System("MS that never met a gap", "MulT, trained on complete samples", BLUE, "h"),
    "MD": System("MD", "MulT, trained with missing modalities", INDIGO, "h"),
    "MPMM": System("MPMM", "MulT with a prompt for each missing case", OLIVE, "*"),
    "MPLMM": System("MPLMM", "MulT with generative, signal and type prompts", RED, "s"),
    "CDTP": System("CDTP", "MPLMM with a diffusion that completes modalities", HERO, "D"),
    "CDTP w/o diffusion": System("CDTP without diffusion", "the mean fills the missing modality", BROWN, "v"),
    "CDTP w/o prompts": System("CDTP without prompts", "only its diffusion", PURPLE, "<"),
    "CDTP by DDPM": System("CDTP by DDPM", "sampled by DDPM instead of DDIM", GREEN, ">"),
    "CDTP from the middle": System("CDTP from zero", "sampling starts at zero, not at noise", INDIGO, "p"),
    "MPLMM w/o generative": System("MPLMM without generative prompts", "two of three prompts", PINK, "v"),
    "MPLMM w/o signal": System("MPLMM without signal prompts", "two of three prompts", TEAL, "d"),
    "MPLMM w/o type": System("MPLMM without type prompts", "two of three prompts", OLIVE, "X"),
    "MISA": System("MISA", "shared and private features of every modality", BLUE, "H"),
    "MISA + completion": System("MISA behind the completion", "CDTP's diffusion in front of MISA", BLUE, "8"),
    "MMIM": System("MMIM", "fusion by mutual information", PURPLE, "*"),
    "MMIM + completion": System("MMIM behind the completion", "CDTP's diffusion in front of MMIM", PURPLE, "P"),
    "LogReg once": System("logistic regression", "linear, on features averaged over time", GREY, "o", "--"),
    "MEN once": System("MEN", "NMER's encoders and classifier", BLUE, "s"),
    "MulT once": System("MulT", "crossmodal transformers on the sequences themselves", INDIGO, "o"),
    "Concat": System("Concat", "MCWSA with one linear map of all codes", TEAL, "o"),
    "Concat once": System("Concat without pre-training", "first weights instead of the autoencoder's", TEAL, "D"),
    "wide Concat": System("wide Concat", "MCWSA with as many fusion weights as CMHA, without attention", GREEN, "o"),
    "TFN": System("TFN", "MCWSA with products of all codes", PURPLE, "o"),
    "TFN once": System("TFN without pre-training", "first weights instead of the autoencoder's", PURPLE, "s"),
    "LMF": System("LMF", "MCWSA with low-rank products of all codes", PINK, "o"),
    "MulT fusion": System("MulT fusion", "MCWSA with MulT's crossmodal layers on codes", INDIGO, "s"),
    "MulT fusion once": System("MulT fusion without pre-training", "first weights instead of the autoencoder's", INDIGO, "d"),
    "CMHA": System("CMHA", "MCWSA with cascade multi-head attention", HERO, "s"),
    "CMHA once": System("CMHA without pre-training", "first weights instead of the autoencoder's", RED, "o"),
    "CMHA frozen": System("CMHA, only the classifier fine-tuned", "encoders and fusion as after reconstruction", BROWN, "o"),
    "CMHA in one order": System("CMHA in one order", "MTI instead of MTI, MIT and TIM", OLIVE, "o"),
    "CMHA on pictures": System("CMHA on pictures of mel bands", "the paper's audio encoder", PINK, "*"),
    "CMHA, audio to level 1": System("CMHA, pyramid to level 1", "mean and maximum of the audio alone", GREEN, "<"),
    "CMHA, audio to level 4": System("CMHA, pyramid to level 4", "four regions of the audio at most", GREEN, "s"),
    "CMHA, audio to level 16": System("CMHA, pyramid to level 16", "sixteen regions of the audio at most", GREEN, "h"),
}  # fmt: skip
"""By the system of a row in the tables of `experiments.papers`, and its training where the row has one."""

METRICS: dict[str, Metric] = {
    "WA": Metric("WA", "weighted accuracy: the share of samples answered correctly"),
    "UA": Metric("UA", "unweighted accuracy: the mean of the classes' recalls; chance is 1 / classes"),
    "F1": Metric("F1", "macro F1: the mean of the classes' F1 scores"),
    "acc2_non0": Metric("ACC-2 non-0", "the share of samples on the right side of 0, samples labelled 0 left out"),
    "acc2_has0": Metric("ACC-2 has-0", "the share of samples on the right side of 0, 0 counted as positive"),
    "f1_non0": Metric("F1 non-0", "weighted F1 of the two sides of 0, samples labelled 0 left out"),
    "f1_has0": Metric("F1 has-0", "weighted F1 of the two sides of 0, 0 counted as positive"),
    "acc7": Metric("ACC-7", "the share of samples whose sentiment, rounded to -3 .. 3, is right"),
    "mae": Metric("MAE", "mean absolute error of the sentiment", "", 1.0, higher_is_better=False),
    "corr": Metric("Corr", "Pearson's correlation with the sentiment", "", 1.0),
    "MSE": Metric("MSE", "mean squared error of the frames", "", 1.0, higher_is_better=False),
    "IS": Metric("IS", "Itakura-Saito divergence of power spectra", "", 1.0, higher_is_better=False),
    "UA lost": Metric("UA lost", "UA on clean samples minus UA under noise", higher_is_better=False),
}
"""By their name in the ledger. One number has one name in the whole book; the papers' ACC is WA or ACC-2 non-0."""

CORPORA: dict[str, Corpus] = {
    "RAVDESS-AV": Corpus("RAVDESS-AV", "people"),
    "CMU-MOSI": Corpus("CMU-MOSI", "seeds only"),
    "CMU-MOSI sentiment": Corpus("CMU-MOSI", "seeds only"),
    "RAVDESS-AV mel": Corpus("RAVDESS-AV with mel frames", "people"),
    "CMU-MOSI words": Corpus("CMU-MOSI with words", "seeds only"),
    "IEMOCAP": Corpus("IEMOCAP", "people"),
    "CMU-MOSEI": Corpus("CMU-MOSEI", "seeds only"),
    "synthetic": Corpus("synthetic", "synthetic"),
    **{f"synthetic {name}": Corpus(f"synthetic {name}", "synthetic") for name in MECHANISMS},
    "synthetic AV": Corpus("synthetic faces and voices", "synthetic"),
    "GRID AV": Corpus("GRID, one speaker", "seeds only"),
    "RAVDESS speech spectra": Corpus("RAVDESS speech as spectra", "people"),
}

EVIDENCE: dict[str, Evidence] = {
    "printed": Evidence("printed by the paper", "hollow diamond, one for each of its corpora", HERO, "D", False, 1.5),
    "people": Evidence("RAVDESS-AV, 95% over actors", "filled dot, thick bar", BLUE, "o", True, 2.5),
    "seeds": Evidence("CMU-MOSI, over seeds only", "hollow square, thin bar", GREY, "s", False, 1.2),
    "one": Evidence("one training, no interval", "cross", GREY, "x", False, 1.2),
    "synthetic": Evidence("synthetic data", "small grey dot", GREY, ".", True, 1.0),
}
"""The kinds of evidence, by the values of the column `kind` of `figures.forest`."""

CHIPS = {"people": "measured on people, 95% interval over folds of speakers",
         "seeds only": "one split: intervals over seeds mean nothing for other speakers",
         "printed": "arithmetic on what the paper prints, or on its equations",
         "synthetic": "measured on data made from a seed: an illustration"}  # fmt: skip


def look(row: tuple | str) -> System:
    """The name and look of a row of a table (a NamedTuple with the field `system`, and `trained` where one system is
    trained in two ways), or of a key of SYSTEMS. ValueError with the nearest name for a system that has no look."""
    name = row if isinstance(row, str) else row.system
    both = f"{name} {getattr(row, 'trained', '')}"
    return SYSTEMS[both if both in SYSTEMS else known(name, SYSTEMS, "system")]


def metric(name: str) -> Metric:
    return METRICS[known(name, METRICS, "metric")]


def corpus(name: str) -> Corpus:
    """A corpus by its spelling in tables. One of a reader's own counts as people."""
    return CORPORA.get(name, Corpus(name, "people"))
