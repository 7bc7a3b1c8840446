# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# (nmer-beyond-the-tables)=
# # Beyond the tables
#
# **How does accuracy fall between and beyond the paper's four levels, does one training serve another noise, and is noise a better
# training than zeros?** The paper tests every training under its own noise only.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["remove-input"]
import numpy as np
import pandas as pd

from robustmer import corpora
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import lines
from robustmer.book.registry import SYSTEMS, System
from robustmer.experiments import findings, papers
from robustmer.experiments.contrasts import Contrast, measure
from robustmer.experiments.grid import compute
from robustmer.experiments.papers import nmer_beyond
from robustmer.experiments.papers.nmer import Column, db
from robustmer.experiments.papers.nmer_beyond import Row
from robustmer.experiments.tables import Results, wide

measured = papers.results("nmer_beyond")
words = {"LogReg": "logistic regression", "MEN": "MEN", "MMIN": "MMIN", "NMER": "NMER"}
looks = {name: System(label, "", SYSTEMS.get(name, SYSTEMS["MEN clean"]).colour, marker)
         for (name, label), marker in zip(words.items(), "vsDo", strict=True)}  # fmt: skip

clean, weak, strong = ("clean",), ("gaussian", -10.0), ("gaussian", -40.0)
zeros, absent, every, impulse = ("zeros",), ("absent",), ("all levels",), ("impulse", -15.23)
at = {"clean": ("", None, "clean"), "−10 dB": weak, "−40 dB": strong, "zeros": zeros, "absence": absent, "impulse": impulse}
questions = {  # panel -> row -> learnt and tested, minus learnt and tested
    "levels": {
        "learnt −10 dB, not clean: −40 dB": (weak, "−40 dB", clean, "−40 dB"),
        "learnt −40 dB, not −10 dB: −40 dB": (strong, "−40 dB", weak, "−40 dB"),
        "learnt −40 dB, not −10 dB: −10 dB": (strong, "−10 dB", weak, "−10 dB"),
        "learnt all levels, not −40 dB: −40 dB": (every, "−40 dB", strong, "−40 dB"),
        "learnt −40 dB, not clean: clean": (strong, "clean", clean, "clean"),
    },
    "kinds": {
        "learnt Gaussian: impulse minus Gaussian": (weak, "impulse", weak, "−10 dB"),
        "learnt impulse, not Gaussian: impulse": (impulse, "impulse", weak, "impulse"),
        "learnt impulse, not Gaussian: Gaussian": (impulse, "−10 dB", weak, "−10 dB"),
    },
    "old ways": {
        "learnt −40 dB, not zeros: −40 dB": (strong, "−40 dB", zeros, "−40 dB"),
        "learnt −40 dB, not zeros: −10 dB": (strong, "−10 dB", zeros, "−10 dB"),
        "learnt −40 dB, not zeros: zeros": (strong, "zeros", zeros, "zeros"),
        "learnt −40 dB, not absence: absence": (strong, "absence", absent, "absence"),
        "learnt zeros, not clean: zeros": (zeros, "zeros", clean, "zeros"),
    },
}
