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

from robustmer.book import answers, display, figures, picture, plots, registry
from robustmer.experiments import project, statistics

folder = project() / "results/measured/nmer"
curves, sure, errors = (
    pd.read_csv(folder / f"derived_{name}.csv")
    for name in ("reliability", "confidence", "ece")
)
sure["value"] = 100 * (sure["confidence"] - sure["accuracy"])
levels = {"clean": "clean", "-10": "−10 dB", "-40": "−40 dB"}
names = {name: registry.look(name).label for name in dict.fromkeys(curves["system"])}
summary = statistics.summarise(sure, ["system", "level"])
loud = summary.query("level == '-40'").set_index("system")
words = {
    name: f"{line['mean']:.1f} points ({line['low']:.1f} to {line['high']:.1f})".replace(
        "-", "−"
    )
    for name, line in loud.iterrows()
}
hard = errors.query("level == '-40'")
answers.answer(
    (f"No: at −40 dB a MEN that never met noise is too sure by {words['MEN clean']}.", "people"),
    (f"Training with noise helps MEN: {words['MEN noisy']}. It does not help NMER: {words['NMER']}.", "people"),
    (f"A temperature fitted under that noise brings {(hard['ece_same'] < hard['floor']).sum()} of {len(hard)} systems to the error of "
     f"chance, one fitted clean {(hard['ece_clean'] < hard['floor']).sum()}.", "people"))  # fmt: skip
drawn = curves.assign(
    series=curves["system"].map(names), panel=curves["level"].map(levels)
)
drawn = drawn.rename(columns={"confidence": "x", "accuracy": "value"})
colours = [registry.look(name).colour for name in names]
picture.show(
    lambda width: plots.lines(drawn, "confidence", "share that is right", width, colours=colours, xlim=(0, 1), ylim=(0, 1), height=280,
                              diagonal=True),
    "fig-nmer-reliability",
    "Below the dashed line a system is surer than it is right. Eight bins of equally many answers, 24 actors of RAVDESS-AV, all "
    "incomplete conditions.",
    "Three panels of reliability curves: clean, minus ten and minus forty decibels. Under noise NMER and the MEN that never met noise "
    "fall far below the diagonal; logistic regression and the MEN that met the noise stay close to it.", "RAVDESS-AV")  # fmt: skip

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
import torch

import robustmer as rm
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.profiles import ledger_of
from robustmer.metrics import calibration, ece, ece_floor, overconfidence, temperature

grid = nmer.STUDY.grid(profile, corpus, first_seed=seed)
noisy = rm.incomplete(grid.modalities, rm.NoiseScheduler(snr_db=-40.0))
recipe = grid.cells("MEN", rm.CLEAN, [rm.CLEAN], "UA")[0].recipe  # learns clean data
system = rm.trained(recipe, ledger_of("nmer", profile), device)
train, valid, test = recipe.corpus.load().fold(recipe.fold)
kept = [
    rm.answers(system, test, condition) for condition in noisy
]  # logits and labels under every condition
logits, label = (
    torch.cat([part[name] for part in kept]) for name in ("output", "label")
)
probability = logits.softmax(1)
curve = calibration(
    probability, label, bins=5, equal_mass=True
)  # of each bin its share, mean confidence and accuracy
print(
    pd.DataFrame({"confidence": curve.confidence, "accuracy": curve.accuracy})
    .round(2)
    .to_string(index=False)
)
print(f"ECE {ece(probability, label):.2f} at −40 dB")
print(f"over-confidence {overconfidence(probability, label):+.2f}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code", "code_prompt_hide": "Code"}
answers.own_run(profile, grid.corpus.dataset, ["one fold, one training"])

# %% [markdown]
# ## What chance leaves of an ECE
#
# A distance is never negative, so with few answers in a bin the ECE is above 0 even where nothing is wrong. Take every answer's
# confidence as its chance of being right, draw who is right, and compute the ECE again, many times. Only an ECE above 95% of the
# draws shows something. Samples under several conditions are drawn together, the cautious choice.

# %%
sample = torch.arange(len(test)).repeat(len(kept))
draws = ece_floor(probability, rm.stream("floor", seed), sample)
print(f"by chance up to {draws.quantile(0.95):.2f}")

# %% [markdown]
# ## Over-confidence under noise
#
# The actors of a fold are new to its systems, so intervals are over folds. NMER learns to imitate what a teacher, trained on clean
# data, computes of the clean sample. A sure teacher may be why its student stays sure; this is not tested.

# %%
shown = summary.assign(row=summary["level"].map(levels), value=summary["mean"])
shown = shown.sort_values(
    "level", key=lambda level: level.map(list(levels).index), kind="stable"
)
looks = {name: registry.look(name) for name in names}
loud = sure.query("level == '-40'")
for name in ("MEN noisy", "NMER"):
    line = statistics.paired(loud, "MEN clean", name)
    words = f"{line['mean']:+.1f} points ({line['low']:.1f} to {line['high']:.1f})"
    print(f"MEN clean minus {name} at -40 dB: {words}")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: figures.dots(shown, looks, "over-confidence (points)", width, lines=0.0), "fig-nmer-overconfidence",
    "NMER is too sure at −40 dB although it met the noise, as is the MEN that did not. RAVDESS-AV, 95% intervals over six folds of "
    "actors, uncorrected.",
    "Three rows of dots with intervals, one a level. At minus forty decibels NMER and the MEN that never met noise lie far to the "
    "right of zero; logistic regression and the MEN that met the noise are near it.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## One number as a remedy
#
# Temperature scaling divides all logits by one number, the *temperature*, which is fitted on the validation split and changes no
# answer. Which validation samples? Clean ones are at hand; samples under the noise of the test need someone who knows the noise.

# %%
for name, conditions in {"clean": [rm.CLEAN], "under the same noise": noisy}.items():
    held = [rm.answers(system, valid, condition) for condition in conditions]
    t = temperature(
        torch.cat([part["output"] for part in held]),
        torch.cat([part["label"] for part in held]),
    )
    scaled = (logits / t).softmax(1)
    print(f"fitted {name}: {t:.2f}, ECE at −40 dB {ece(scaled, label):.2f}")

# %%
remedies = errors.assign(
    level=errors["level"].map(levels), system=errors["system"].map(names)
)
heads = {
    "level": "test",
    "ece": "ECE",
    "floor": "by chance",
    "ece_clean": "after T, clean",
    "ece_same": "after T, same noise",
}

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(remedies[["system", *heads]].rename(columns=heads), "tbl-nmer-temperature",
              "Calibration of four systems on the actors of RAVDESS-AV",
              "15 bins, six folds together. By chance: 95% of draws are below. After T: with a temperature from clean validation samples, "
              "or from samples under the same noise.", decimals=2)  # fmt: skip

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
