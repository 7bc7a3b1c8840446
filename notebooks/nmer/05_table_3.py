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
# (nmer-table-3)=
# # Which modality holds NMER up
#
# **Which modality carries NMER when the others are noisy, and does it leave a useless one alone?** Table 3 of the paper, section 3.6.1 (3).

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
import pandas as pd

from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots, forest
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS, look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import nmer
from robustmer.experiments.statistics import over_speakers
from robustmer.experiments.tables import wide

measured = papers.results("nmer")
frames = []
for name in findings.PEOPLE["nmer"]:
    part = nmer.tables("paper", name)["3"].where(
        metric="UA",
        noise="gaussian",
        level=-40.0,
        system=["NMER", "LogReg"],
        trained="noisy",
    )
    frames.append(part.summarise(measured).assign(panel=part.dataset))
loud = pd.concat(frames)
loud = loud[~loud["condition"].isin(["avg", "none", "clean"])]
best = loud[(loud["system"] == "NMER") & (loud["condition"].str.len() == 1)].set_index(
    ["panel", "condition"]
)["mean"]
face, voice = (best["RAVDESS-AV", letter] for letter in "va")
control = nmer.control()
cost = over_speakers(
    control.where(noise="both").values(measured), ["system", "trained", "condition"]
)
spared, spent = (
    cost[(cost["system"] == "NMER") & (cost["condition"] == clean)].iloc[0]
    for clean in ("a,l", "a,v")
)
answer(
    (f"At −40 dB NMER has UA {face:.2f} with only the face clean and {voice:.2f} with only the voice.", "people"),
    (f"On CMU-MOSI it does leave the useless face alone: noise there costs {100 * spared['mean']:.1f} points "
     f"({findings.signed(100 * spared['low'])} to {100 * spared['high']:.1f}), on the words {100 * spent['mean']:.0f}.", "people"),
)  # fmt: skip

# %% [markdown]
# The letters name the modalities that stay clean: a (voice), v (face), l (words). All others have Gaussian noise at −40 dB.

# %%
letters = {"a": "only the voice", "v": "only the face", "l": "only the words", "a,v": "voice and face", "a,l": "voice and words",
           "v,l": "face and words"}  # fmt: skip
frame = loud.assign(row=loud["condition"].map(letters), value=loud["mean"],
                    system=[" ".join(row) if row.system in nmer.BOTH else row.system for row in loud["row"]])  # fmt: skip
show(lambda width: dots(frame, SYSTEMS, "UA", width, lines={"RAVDESS-AV": 1 / 8, "CMU-MOSI": 1 / 2}), "fig-nmer-clean-modalities",
     "Face on RAVDESS-AV, words on CMU-MOSI: NMER and logistic regression lean on the same modality. Thin line: chance.",
     "Two panels. On RAVDESS-AV a clean face is worth most, on CMU-MOSI clean words. NMER and logistic regression agree.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## The negative control
#
# On CMU-MOSI the visual vectors carry next to nothing on the test split. Noise on them should therefore cost nothing, and noise on the
# words much. The cost is UA on clean data minus UA under noise, a mean over 20 draws of the noise, two kinds and four levels. Its interval
# is over the videos of the test split.

# %%
rows = [nmer.Row(*names) for names in zip(cost["system"], cost["trained"], strict=True)]
shown = cost.assign(row=[look(row).label for row in rows], kind="people", value=100 * cost["mean"], low=100 * cost["low"],
                     high=100 * cost["high"], panel=cost["condition"].map({"a,l": "noise on the face", "a,v": "noise on the words"}))  # fmt: skip
show(lambda width: forest(shown, "points of UA lost", width, legend={"people": "CMU-MOSI, 95% over videos"}), "fig-nmer-control",
     "Noise on the useless face costs no system much, noise on the words costs all of them. Uncorrected intervals.",
     "Two panels. The cost of noise on the face lies close to zero for five systems; that of noise on the words is an order larger.",
     "CMU-MOSI")  # fmt: skip

# %% [markdown]
# All averages for the face are above zero, so this does not show that the face carries *nothing*. It shows that the protocol sees a real
# effect where there is one.
#
# ## All numbers
#
# The scores by clean modalities, all systems, metrics and levels, are in the
# <a href="../guide/02_results_explorer.html#nmer-3">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
numbers_folded(
    shown[["row", "panel", "value", "low", "high"]],
    "The negative control, points of UA lost",
    decimals=1,
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = nmer.tables(profile, corpus, noises=(noise,), first_seed=seed)["3"].where(
    metric="UA", system="NMER"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
numbers_folded(
    wide(scores, row=lambda row: look(row).label).T.rename_axis("column").reset_index(),
    "UA of your own run",
)

# %% [markdown]
# ## Limits
#
# RAVDESS-AV has no words, since all actors speak the same sentence. On CMU-MOSI the text vectors were learned with labels of the train
# split. What one modality is worth alone is shown in {ref}`nmer-table-4`.
