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

from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import lines
from robustmer.book.registry import SYSTEMS, System
from robustmer.experiments import findings, papers
from robustmer.experiments.contrasts import Contrast, difference, measure
from robustmer.experiments.papers import nmer_beyond
from robustmer.experiments.papers.nmer import Column, db
from robustmer.experiments.papers.nmer_beyond import Row
from robustmer.experiments.tables import wide

measured = papers.results("nmer_beyond")
tables = nmer_beyond.tables("paper", "ravdess_av")
transfer = tables["transfer"].where(
    metric="UA", condition=["avg", "clean"], noise=["", "gaussian"]
)
scores = transfer.summarise(measured)
scores["x"] = scores["level"].fillna(
    12.0
)  # clean samples are drawn left of the weakest noise
scores["learnt"] = [
    f"{row.trained} {db(row.trained_level)}".strip() for row in scores["row"]
]
falls = {}
for (system, learnt), part in scores.sort_values("x", ascending=False).groupby(
    ["system", "learnt"], sort=False
):
    worst = np.minimum.accumulate(part["mean"])
    middle = (part["mean"].iloc[0] + part["mean"].iloc[-1]) / 2
    if part["level"].min() == nmer_beyond.CURVE_DB[-1]:
        falls[system, learnt] = np.interp(-middle, -worst, part["x"])
level, noise = (
    difference(tables[number].where(metric="UA", condition="avg", noise="gaussian", level=-40.0), Row(system, "gaussian", -40.0), other)
    for number, system, other in (("transfer", "NMER", Row("NMER", "gaussian", -10.0)), ("old ways", "MMIN", Row("MMIN", "zeros")))
)  # fmt: skip
level, noise = (findings.estimate_of({"row": "", "value": d["effect"], "keys": ()} | d)
                for d in (level.measure(measured, 100), noise.measure(measured, 100)))  # fmt: skip
answer(
    (f"On RAVDESS-AV half of the loss is gone between {findings.signed(max(falls.values()), 0)} and "
     f"{findings.signed(min(falls.values()), 0)} dB.", "people"),
    (findings.compared("At −40 dB NMER trained there", "NMER trained at −10 dB", level), "people"),
    (findings.compared("At −40 dB MMIN trained with noise", "MMIN trained with zeros", noise)[:-1] + ", uncorrected.", "people"),
)  # fmt: skip

# %% [markdown]
# A training is tested under many noises. UA is a mean over the conditions in which voice or face stays clean; the dots on the left are
# clean samples.

# %%
named = scores[
    scores["learnt"].isin(
        ["clean", "gaussian −10\u00a0dB", "gaussian −40\u00a0dB", "all levels"]
    )
]
points = named.assign(panel=named["system"].replace("LogReg", "logistic regression"), series="learnt " + named["learnt"], value=named["mean"])[
    ["panel", "series", "x", "value"]].sort_values("x")  # fmt: skip
noisy, quiet = points[points["x"] <= 5], points[points["x"] > 5]
show(lambda width: lines(noisy, "SNR of the test, dB", "UA", width, quiet, xlim=(14, -52), at=[1 / 8], height=230), "fig-nmer-snr-curve",
     "UA falls early, most of it before −20 dB, whatever level a system learnt. Means over six folds of actors. Dotted: chance.",
     "Three panels, one a system, with four curves each that fall from 5 to −20 dB and are nearly flat from there to −50 dB.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# Four levels do not show where a system gives way: −10 dB, the paper's weakest noise, lies behind the fall. What is left on the right is
# the clean modality. With all modalities noisy nothing is left ({ref}`nmer-table-5`).
#
# ## One training instead of another
#
# Every row below is a difference of two trainings under one test, or of two tests of one training. All of them form one family, for
# which p is corrected.

# %%
clean, weak, strong, impulse = (
    ("clean",),
    ("gaussian", -10.0),
    ("gaussian", -40.0),
    ("impulse", -15.23),
)
zeros, absent, every = ("zeros",), ("absent",), ("all levels",)
tests = {name: Column("UA", *at) for name, at in {
    "clean": ("", None, "clean"), "−10 dB": weak, "−40 dB": strong, "impulse": impulse, "zeros": zeros, "absence": absent}.items()}  # fmt: skip
questions = [  # the table, the row, and what is learnt and tested, minus what is learnt and tested
    (
        "transfer",
        "learnt −10 dB, not clean; at −40 dB",
        weak,
        "−40 dB",
        clean,
        "−40 dB",
    ),
    (
        "transfer",
        "learnt −40 dB, not −10 dB; at −40 dB",
        strong,
        "−40 dB",
        weak,
        "−40 dB",
    ),
    (
        "transfer",
        "learnt −40 dB, not −10 dB; at −10 dB",
        strong,
        "−10 dB",
        weak,
        "−10 dB",
    ),
    (
        "transfer",
        "learnt all levels, not −40 dB; at −40 dB",
        every,
        "−40 dB",
        strong,
        "−40 dB",
    ),
    (
        "transfer",
        "learnt −40 dB, not clean; on clean samples",
        strong,
        "clean",
        clean,
        "clean",
    ),
    (
        "transfer",
        "learnt Gaussian; impulse minus Gaussian",
        weak,
        "impulse",
        weak,
        "−10 dB",
    ),
    (
        "transfer",
        "learnt impulse, not Gaussian; at impulse",
        impulse,
        "impulse",
        weak,
        "impulse",
    ),
    (
        "transfer",
        "learnt impulse, not Gaussian; at Gaussian",
        impulse,
        "−10 dB",
        weak,
        "−10 dB",
    ),
    (
        "old ways",
        "learnt −40 dB, not zeros; at −40 dB",
        strong,
        "−40 dB",
        zeros,
        "−40 dB",
    ),
    (
        "old ways",
        "learnt −40 dB, not zeros; at −10 dB",
        strong,
        "−10 dB",
        zeros,
        "−10 dB",
    ),
    ("old ways", "learnt −40 dB, not zeros; at zeros", strong, "zeros", zeros, "zeros"),
    (
        "old ways",
        "learnt −40 dB, not absence; at absence",
        strong,
        "absence",
        absent,
        "absence",
    ),
    ("old ways", "learnt zeros, not clean; at zeros", zeros, "zeros", clean, "zeros"),
]
contrasts = {}
for (number, question, *ends), system in [
    (q, s) for q in questions for s in ("LogReg", "MEN", "MMIN", "NMER")
]:
    cells = tables[number].cells
    more, less = (
        (Row(system, *learnt), tests[test]) for learnt, test in (ends[:2], ends[2:])
    )
    if more in cells and less in cells:
        contrasts[number, question, system] = Contrast(
            question, (cells[more],), (cells[less],)
        )
effects = measure(list(contrasts.values()), measured, scale=100)
effects[["table", "row", "system"]] = list(contrasts)
effects["value"] = effects["effect"]

# %%
looks = {"LogReg": System("logistic regression", "", "#767676", "v")} | {
    name: SYSTEMS[key] for name, key in {"MEN": "MEN noisy", "MMIN": "MMIN", "NMER": "NMER"}.items()}  # fmt: skip
looks["MEN"] = looks["MEN"]._replace(label="MEN")
levels = effects[effects["table"] == "transfer"]
show(lambda width: dots(levels, looks, "points of UA", width, lines=0.0), "fig-nmer-level-transfer",
     "No level or kind of noise in training is told apart from another. Bars: 95% over six folds of actors, uncorrected.",
     "Eight rows of differences for logistic regression, MEN and NMER. All intervals contain zero.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# Impulse noise of the same label is weaker than Gaussian noise ({ref}`nmer-noise-scheduler`). The rows with impulse noise compare at the same *true*
# SNR, −10 dB, so that only the kind differs.
#
# ## Zeros, absence or noise
#
# Before NMER a modality was lost by *zeros* (it still counts as present) or by *absence* (the system knows). The paper says that these
# "lack rationality and precise control over noise intensity" (3.6.2) and compares no training with them. In eq. 3 zeros are one step
# with $\beta = 1$ and noise of no power: the signal is gone and nothing takes its place.

# %%
old = effects[effects["table"] == "old ways"]
show(lambda width: dots(old, looks, "points of UA", width, lines=0.0), "fig-nmer-old-ways",
     "Under loud noise MMIN gains from noise in training; under zeros or absence no training is ahead. Bars: 95%, uncorrected.",
     "Five rows of differences for logistic regression, MEN and MMIN. Under loud noise MMIN gains, and logistic regression a little; all other intervals contain zero.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# A score under zeros says nothing about a score under noise. Which of them a system will meet is a property of the sensor.
#
# ## All numbers
#
# The scores of every training and test are in the <a href="../guide/02_results_explorer.html#nmer_beyond-transfer">results
# explorer</a>, with keys and CSV. CMU-MOSI has one training of each kind, and so no interval.

# %% tags=["hide-input"]
folded = effects[["row", "system", "effect", "low", "high", "p", "p_holm"]]
numbers_folded(
    folded,
    f"All {len(effects)} differences on RAVDESS-AV, points of UA",
    decimals=2,
    file="beyond.csv",
)
half = (
    pd.Series(falls, name="half of the loss, dB")
    .rename_axis(["system", "learnt"])
    .reset_index()
)
numbers_folded(
    half,
    "The level at which half of a training's own loss is gone, RAVDESS-AV",
    decimals=1,
)

# %% [markdown]
# ## Your own run
#
# Two systems on one corpus and profile of your choice. A finished training is loaded, not repeated.

# %% tags=["hide-output"]
own = nmer_beyond.tables(profile, corpus, first_seed=seed)["transfer"].where(
    metric="UA", system=["LogReg", "MEN"]
)
own_results = papers.computed(own, profile, device)
curve = own.where(
    condition=["avg", "clean"], noise=["", "gaussian"], level=[None, -10.0, -40.0]
)
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
numbers_folded(
    wide(curve.summarise(own_results)).rename_axis("training").reset_index(),
    "UA of your own run",
)

# %% [markdown]
# ## Limits
#
# - Each training has one seed a fold. On CMU-MOSI there is one split, so its differences have no interval.
# - RAVDESS-AV has 24 actors; a difference of a few points cannot be shown on it.
# - These trainings were made with other kernels of the linear-algebra library than those of {ref}`nmer-table-2`; compare within this page.
#
# **To try:** run this page on `corpus="ravdess_av"`. Is the noise of your own corpus more like one of these tests, or like none?
