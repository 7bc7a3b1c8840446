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
# (nmer-calibration-and-cost)=
# # Calibration
#
# The paper reports how often a system is right. A user also wants to know when to believe it. **Does a system that meets noise
# know that it is less sure, and does training with noise teach it that?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import pandas as pd
import torch

import robustmer as rm
from robustmer.book.answers import answer, own_run
from robustmer.book.display import table
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import lines
from robustmer.book.registry import SYSTEMS
from robustmer.evaluation import answers
from robustmer.experiments import project
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.profiles import ledger_of
from robustmer.experiments.statistics import paired, summarise
from robustmer.metrics import ece, ece_floor, overconfidence, temperature
from robustmer.noise import stream

measured = project() / "results/measured/nmer"
curves, sure, errors = (pd.read_csv(measured / f"derived_{name}.csv") for name in ("reliability", "confidence", "ece"))
sure["value"] = 100 * (sure["confidence"] - sure["accuracy"])
levels = {"clean": "clean", "-10": "−10 dB", "-40": "−40 dB"}
loud = sure[sure["level"] == "-40"]
gap = summarise(loud, ["system"]).set_index("system").loc["MEN"]
taught = paired(loud, "MEN", "MEN, noisy training")

answer(
    (f"Not by itself: at −40 dB a MEN that never met noise is surer than it is right by {gap['mean']:.1f} points "
     f"({gap['low']:.1f} to {gap['high']:.1f}).", "people"),
    (f"Training with noise takes {taught['mean']:.1f} points ({taught['low']:.1f} to {taught['high']:.1f}) off.", "people"),
    "A temperature that was fitted on clean samples does not help under noise; one fitted under the same noise does.",
)  # fmt: skip

names = {name: SYSTEMS[name].label for name in dict.fromkeys(curves["system"])}
diagonal = pd.DataFrame(
    [{"series": "as sure as right", "x": x, "value": x, "panel": p} for p in levels.values() for x in (0.1, 1.0)]
)
drawn = curves.assign(series=curves["system"].map(names), x=curves["confidence"], value=curves["accuracy"],
                      panel=curves["level"].map(levels))  # fmt: skip
show(
    lambda width: lines(pd.concat([drawn, diagonal]), "confidence", "share that is right", width, dashed=["as sure as right"],
                        colours=[*(SYSTEMS[name].colour for name in names), "#767676"], xlim=(0, 1), ylim=(0, 1), height=280),
    "fig-nmer-reliability",
    "Below the dashed line a system is surer than it is right. Eight bins of equally many answers, 24 actors of RAVDESS-AV, all "
    "incomplete conditions.",
    "Three panels of reliability curves: clean, minus ten and minus forty decibels. Clean, all curves are near the diagonal. Under "
    "noise the systems trained on clean data fall far below it, and those trained with noise stay close.",
    corpus="RAVDESS-AV",
)  # fmt: skip

# %% [markdown]
# ## As sure as it is right
#
# The *confidence* of an answer is the probability that the softmax gives to it. A system is *calibrated* if, of all answers
# with confidence 0.7, 70% are right. The expected calibration error (ECE) is the mean distance from that. With $B$ bins of
# confidence, $n_b$ of the $n$ answers in bin $b$,
#
# $$ \mathrm{ECE} = \sum_{b=1}^{B} \frac{n_b}{n}\, \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right| . $$
#
# *Over-confidence* is the mean confidence minus the share of correct answers. Two systems learn clean data, two learn with noise,
# every sample at one of two levels, because a user does not know the level beforehand. In code:

# %%
grid = nmer.STUDY.grid(profile, corpus, first_seed=seed)
noisy = rm.incomplete(grid.modalities, rm.NoiseScheduler(snr_db=-40.0))
recipe = grid.cells("MEN", rm.CLEAN, [rm.CLEAN], "UA")[0].recipe  # learns clean data
system = rm.trained(recipe, ledger_of("nmer", profile), device)
train, valid, test = recipe.corpus.load().fold(recipe.fold)
kept = [answers(system, test, condition) for condition in noisy]  # logits and labels under every condition
logits, label = (torch.cat([part[name] for part in kept]) for name in ("output", "label"))
probability = logits.softmax(1)
print(f"ECE {ece(probability, label):.2f}, over-confidence {overconfidence(probability, label):+.2f} at −40 dB")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code", "code_prompt_hide": "Code"}
own_run(profile, grid.corpus.dataset, ["one fold, one training"])

# %% [markdown]
# ## What chance leaves of an ECE
#
# A distance is never negative, so with few answers in a bin the ECE is above 0 even where nothing is wrong. Take every answer's
# confidence as its chance of being right, draw who is right, and compute the ECE again, many times. Only an ECE above 95% of the
# draws shows something. Samples under several conditions are drawn together, the cautious choice.

# %%
sample = torch.arange(len(test)).repeat(len(kept))
draws = ece_floor(probability, stream("floor", seed), sample)
print(f"by chance up to {draws.quantile(0.95):.2f}; measured {ece(probability, label):.2f}")

# %% [markdown]
# ## Over-confidence under noise
#
# The actors of a fold are new to its systems, so intervals are over folds.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
summary = summarise(sure, ["system", "level"])
shown = summary.assign(row=summary["system"].map(names), value=summary["mean"], panel=summary["level"].map(levels))
looks = {name: SYSTEMS[name] for name in names}
show(
    lambda width: dots(shown, looks, "over-confidence (points)", width, lines=0.0),
    "fig-nmer-overconfidence",
    "Systems that never met noise grow too sure under noise. Those that met it stay close to the line. RAVDESS-AV, 95% intervals "
    "over six folds of actors.",
    "Three panels of dots with intervals, one row a system. Clean, all are within ten points of zero. At minus forty decibels the "
    "two systems trained on clean data lie far to the right, the two trained with noise near zero.",
    corpus="RAVDESS-AV",
)  # fmt: skip

# %% [markdown]
# ## One number as a remedy
#
# Temperature scaling divides all logits by one number, the *temperature*, which is fitted on the validation part and changes no
# answer. Which validation samples? Clean ones are at hand; samples under the noise of the test need someone who knows the noise.

# %%
for name, conditions in {"clean": [rm.CLEAN], "under the same noise": noisy}.items():
    held = [answers(system, valid, condition) for condition in conditions]
    t = temperature(torch.cat([part["output"] for part in held]), torch.cat([part["label"] for part in held]))
    print(f"fitted {name}: temperature {t:.2f}, ECE at −40 dB {ece((logits / t).softmax(1), label):.2f}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
remedies = errors.assign(level=errors["level"].map(levels), system=errors["system"].map(names))
remedies = remedies[["system", "level", "ece", "floor", "ece_clean", "ece_same"]]
heads = {
    "level": "test",
    "ece": "ECE",
    "floor": "by chance",
    "ece_clean": "after T, clean",
    "ece_same": "after T, same noise",
}
table(remedies.rename(columns=heads), "tbl-nmer-temperature", "Calibration of four systems on the actors of RAVDESS-AV",
      "15 bins, six folds together. By chance: 95% of draws are below. After T: with a temperature from clean validation samples, or "
      "from samples under the same noise.", decimals=2)  # fmt: skip

# %% [markdown]
# What the systems cost is on {ref}`nmer-cost-of-the-tables`.
#
# **Exercises**
#
# 1. A system answers with equal probabilities for all classes. What is its ECE on a balanced test?
#
# :::{dropdown} Answer
# About 0: its confidence $1/C$ is its accuracy. Calibration is not accuracy.
# :::
#
# 2. Fit the temperature at −10 dB and test at −40 dB. Is it closer to "clean" or to "same noise"?
#
# :::{dropdown} Answer
# Replace `noisy` in the last loop by the conditions at −10 dB. It lies between the two.
# :::
