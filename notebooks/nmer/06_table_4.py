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
# (nmer-table-4)=
# # One modality alone
#
# **What is one modality worth alone, and how fast does noise take it away?** Table 4 of the paper, section 3.6.2.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
import pandas as pd

from robustmer import corpora
from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS, look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import nmer
from robustmer.experiments.tables import wide

measured = papers.results("nmer")
alone = pd.concat([nmer.tables("paper", name)["4"].where(metric="UA").summarise(measured).assign(panel=corpora.named(name).dataset)
                   for name in findings.PEOPLE["nmer"]])  # fmt: skip
clean = alone[
    (alone["noise"] == "")
    & (alone["system"] == nmer.UNI_MODAL)
    & (alone["trained"] == "clean")
]
clean = clean.set_index(["panel", "condition"])["mean"]
loud = alone[
    (alone["level"] == -20)
    & (alone["panel"] == "RAVDESS-AV")
    & (alone["system"] == nmer.UNI_MODAL)
]
answer(
    (f"Clean and alone the face leads on RAVDESS-AV (UA {clean['RAVDESS-AV', 'v']:.2f}, voice {clean['RAVDESS-AV', 'a']:.2f}).", "people"),
    (f"At −20 dB one modality alone is near chance there ({loud['mean'].min():.2f} to {loud['mean'].max():.2f}; chance 1/8), whether or "
     "not it met the noise.", "people"),
)  # fmt: skip

# %% [markdown]
# A MEN reads a single modality. The paper does not say whether its classifier learnt the noise of the test, so both are shown.

# %%
frame = alone.assign(value=alone["mean"], system=[" ".join(row) for row in alone["row"]],
                     row=[f"{letter}, {nmer.db(level) if noisy else 'clean'}" for letter, noisy, level in
                          zip(alone["condition"], alone["noise"], alone["level"], strict=True)])  # fmt: skip
frame = frame[frame["level"].isna() | frame["level"].isin([-10.0, -40.0])]
show(lambda width: dots(frame, SYSTEMS, "UA", width, lines={"RAVDESS-AV": 1 / 8, "CMU-MOSI": 1 / 2}), "fig-nmer-alone",
     "One modality alone falls to chance between −10 and −40 dB. Thin line: chance; bars: 95%.",
     "Two panels of UA by modality and level. Clean, the face leads on RAVDESS-AV and the words on CMU-MOSI; at -40 dB all are at chance.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# The paper still prints WA of .39 to .48 for one modality at −20 dB on IEMOCAP. Its samples are sequences, which average noise away
# ({ref}`nmer-table-5`).
#
# ## All numbers
#
# WA, F1 and CMU-MOSI are in the <a href="../guide/02_results_explorer.html#nmer-4">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
part = nmer.tables("paper", "ravdess_av")["4"].where(metric="UA")
shown = wide(
    part.summarise(measured),
    row=lambda row: look(row).label,
    column=lambda c: f"{c.condition} {nmer.db(c.level) or 'clean'}",
)
numbers_folded(
    shown.T.rename_axis("modality and level").reset_index(),
    "UA, RAVDESS-AV",
    file="table4-ravdess_av-UA.csv",
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = nmer.tables(profile, corpus, noises=("gaussian",), first_seed=seed)["4"].where(
    metric="UA"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "UA of your own run")

# %% [markdown]
# ## Limits
#
# The row "0 dB" of the paper is read as clean data. The corpora are those of {ref}`nmer-table-2`.
