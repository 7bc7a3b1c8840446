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
# (nmer-table-2)=
# # Systems under noise
#
# **Which system loses least when one or two modalities are noisy, and is it the network or the noisy training that helps?**
# Table 2 of the paper, sections 3.4 and 3.6.1.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import forest, small_multiples
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS, look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import nmer

measured = papers.results("nmer")
ahead = findings.differences("nmer", measured)
people = ahead[ahead["kind"] == "people"].set_index("row")
linear, clean = (findings.estimate_of({"row": row} | people.loc[[row]].iloc[0].to_dict())
                 for row in (nmer.BAR, nmer.Row("MEN", "clean")))  # fmt: skip
answer(
    (
        findings.compared("NMER", "logistic regression that met the noise", linear),
        "people",
    ),
    (
        f"NMER is ahead only of a MEN that never met noise: by {clean.value:.1f} points ({findings.interval(clean)}), before "
        "correction for many comparisons.",
        "people",
    ),
)

# %% [markdown]
# A difference is a mean over two kinds of noise, four levels and the conditions in which at least one modality stays clean. All systems
# meet the same test samples under the same noise, so differences are paired over the folds of actors.

# %%
frame = ahead.assign(row=[look(row).label for row in ahead["row"]])
show(lambda width: forest(frame, "NMER minus the other system, points of UA", width), "fig-nmer-ahead",
     "NMER is ahead only of the network that never met noise. Bars: 95%, uncorrected.",
     "Differences between NMER and eight other systems. The printed ones are positive. The measured ones lie on zero, except "
     "the one to a MEN that never met noise.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Paper and ours
#
# The paper's corpora are gated, so its accuracies are of other people and other classes than ours. Compare the order of the systems and
# what each loses, not the accuracies themselves. The paper compares MEN, trained on clean data, with systems that learnt the noise of the
# test. That mixes two things: another network, and training with noise. We therefore train MEN and logistic regression with the same
# noise as well.
#
# ## UA against the level of the noise

# %%
table = nmer.tables("paper", "ravdess_av")["2"].where(metric="UA", noise=noise)
curves = table.summarise(measured).rename(columns={"mean": "value", "level": "x"})
curves = curves.assign(
    system=[
        " ".join(row) if row.system in nmer.BOTH else row.system
        for row in curves["row"]
    ]
)
show(lambda width: small_multiples(curves, SYSTEMS, "nominal SNR, dB", "UA", width, reference="LogReg noisy", chance=1 / 8),
     "fig-nmer-levels", "Every system falls with the noise; those that met it fall alike. Bands: 95% over six folds of actors.",
     "One panel for each system, UA against the nominal SNR from -10 to -40 dB. All curves fall. Those of systems that met the "
     "noise lie on that of logistic regression that met it.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## How small a difference could we have seen?
#
# An interval of some points around zero does not prove equality. The last column is the smallest difference that this design would have
# shown with 80% power.

# %%
judged = papers.judged("nmer", "ravdess_av", measured)
planned = judged[judged["number"] == 0][
    ["what", "effect", "low", "high", "p_holm", "detectable", "verdict"]
]
numbers_folded(planned, "NMER minus the other systems on RAVDESS-AV, points of UA", decimals=1, folded=False,
               note="p after Holm's correction over all comparisons of the paper on this corpus.")  # fmt: skip

# %% [markdown]
# ## All numbers
#
# Means over the incomplete conditions with half their 95% interval. An arrow marks a system below logistic regression that met the
# noise. WA, F1, impulse noise and CMU-MOSI are in the
# <a href="../guide/02_results_explorer.html#nmer-3">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
part = nmer.tables("paper", "ravdess_av")["2"].where(metric="UA", noise=noise)
scores_folded(
    part.summarise(measured),
    f"UA under {noise} noise, RAVDESS-AV",
    lambda column: nmer.db(column.level),
    file="table2-ravdess_av-UA.csv",
)

# %% [markdown]
# ## Your own run
#
# The same table on one corpus and profile of your choice. A finished training is loaded, not repeated.

# %% tags=["hide-output"]
own = nmer.tables(profile, corpus, noises=(noise,), first_seed=seed)["2"].where(
    metric="UA"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "UA of your own run")

# %% [markdown]
# ## Limits
#
# - RAVDESS-AV is 360 takes of 24 actors, with voice and face as one vector each. Of the 56 face features, 14 are outputs of an emotion classifier.
# - CMU-MOSI has one split of 93 videos: its intervals are over seeds and say nothing of other people.
# - On one vector a modality, LSTM, convolution and attention are fully connected layers.
#
# Where the order of the systems comes from, condition by condition, is shown in {ref}`nmer-table-3`.
