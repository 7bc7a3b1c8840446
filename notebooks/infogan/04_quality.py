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
# (infogan-quality)=
# # How real generated features are
#
# **Are generated features like recorded ones, and does the information that InfoGAN maximises tell which generator helps?**
# Section 3.2.2 of the paper, which offers that information as a measure of quality {cite}`infogan`.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0

# %% tags=["remove-input"]
import pandas as pd
import torch

import robustmer as rm
from robustmer import metrics
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import forest
from robustmer.book.picture import show
from robustmer.experiments import findings, project
from robustmer.experiments.statistics import summarise
from robustmer.systems.augmented import GENERATORS

RATIO = 4 / 16  # test speakers over train speakers
quality = pd.read_csv(project() / "results/measured/infogan/derived_quality.csv")
made = quality[quality["generator"] != "recorded"]


def over_folds(frame, column):
    """Mean and 95% interval over folds, by generator."""
    lines = frame.assign(value=frame[column], seed=0, test_to_train=RATIO).dropna(
        subset="value"
    )
    return summarise(lines, ["generator"]).set_index("generator")


ranks = {fold: part[["information", "gain"]].corr("spearman").iloc[0, 1] for fold, part in made.groupby("fold")}  # fmt: skip
rank = over_folds(
    pd.DataFrame({"generator": "all", "fold": list(ranks), "rank": ranks.values()}),
    "rank",
).loc["all"]
known, ceiling = (
    over_folds(made, "information").loc["InfoGAN", "mean"],
    metrics.label_entropy(
        torch.tensor([0, *range(1, 8), *range(1, 8)])
    ),  # neutral: half
)
far = over_folds(quality, "Frechet")["mean"]
text = f"{findings.signed(rank['mean'], 2)} ({findings.signed(rank['low'], 2)} to {findings.signed(rank['high'], 2)})"
answer(
    (f"InfoGAN's features are {far['InfoGAN'] / far['recorded']:.1f} times as far from recorded ones as two halves of these are from each other.",
     "people"),
    (f"Their information about the emotion is {100 * known / ceiling:.0f}% of the most possible.", "people"),
    (f"Over generators it has a rank correlation of {text} with the gain, so it is not shown to order them." if rank["low"] < 0 < rank["high"]
     else f"Over generators it has a rank correlation of {text} with the gain.", "people"),
)  # fmt: skip

# %%
PANELS = {"Frechet": "Frechet distance", "information": "information about the emotion, nats", "train on generated": "UA of a classifier of them"}  # fmt: skip
frame = pd.concat(
    over_folds(quality, column).reset_index().assign(panel=panel)
    for column, panel in PANELS.items()
)
frame = frame.rename(columns={"generator": "row", "mean": "value"}).assign(
    kind="people"
)
show(lambda width: forest(frame, {panel: panel for panel in PANELS.values()}, width),
     "fig-infogan-quality", "Features that are far from recorded ones can carry most information. Actors that no generator has met; "
     "bars: 95% over six folds.",
     "Three panels with a row for each generator and one for recorded features: distance, information and usefulness. InfoGAN is far "
     "away and nearly at the ceiling of information.", "RAVDESS speech")  # fmt: skip

# %% [markdown]
# ## What is measured
#
# Each generator draws a feature for every sample of the test split: four actors that neither it nor the baseline has met. The row
# *recorded* gives the reference.
#
# - **Frechet distance**: of Gaussians with the same means and covariances. The reference compares two halves of the recorded samples.
# - **Information**: $H(c) - \mathcal{L}_{I_y}$ (eqs. 14 to 16), with the frozen $W_y$ as judge. Recorded features have less of it: $W_y$ is
#   uncertain of people that it has not met.
# - **UA of a classifier of them**: logistic regression that learns generated features and is tested on recorded ones.
#
# The distance does not come from equation 16: without the information terms InfoGAN's features are as far from recorded ones. A linear
# discriminator sees means alone, and in this training it has not matched even them: a linear judge still tells the features apart.
# Equation 16 adds the class. A bound on information shows nothing about likeness.

# %%
numbers_folded(quality.drop(columns=["fold"]).groupby("generator", sort=False).mean().reset_index(),
               "Generated against recorded features, mean over six folds of actors", decimals=2, folded=False, file="infogan-quality.csv",
               note="spread: variance within a class over the recorded one. AUC: a linear judge on actors it has not met; 0.5 if it cannot "
                    "tell. memory: distance to the nearest train sample, over that of recorded samples; 0 for copies. gain: points of UA over "
                    "longer training.")  # fmt: skip

# %% [markdown]
# ## Your own run
#
# Two generators on the synthetic voice, against the samples of the test split.

# %%
data = rm.corpora.synthetic(
    size="smoke" if profile == "smoke" else "quick", pooled=True
).only("audio")
budget = rm.Budget(
    epochs=0, min_steps=6 if profile == "smoke" else 300, batch_size=64, checks=2
)
settings = {"seed": seed, "budget": budget, "device": device}
baseline, _ = rm.train(rm.AlignedSER, data, options={"width": 64}, **settings)
test = data.fold(0).test
lines = []
for maker in ("linear gaussian", "infogan"):
    declared = GENERATORS[maker]
    generator, _ = rm.train(declared.system, data, upstream={"baseline": baseline}, options={"width": 64, **declared.options}, **settings)  # fmt: skip
    generator = generator.to("cpu").eval()
    with torch.no_grad(), rm.seeded("own run", seed):
        recorded, generated = generator.baseline.features(test), generator.draw(test)
    lines.append(
        {
            "generator": maker,
            "Frechet": metrics.frechet_distance(recorded, generated) ** 0.5,
            "memory": metrics.memorisation(
                generator.baseline.features(data.fold(0).train).detach(),
                recorded,
                generated,
            ),
        }
    )
own_run(profile, data.name, ["fold 0", f"{budget.min_steps} steps"])
numbers_folded(
    pd.DataFrame(lines),
    "Generated against recorded features of your own run",
    decimals=2,
)

# %% [markdown]
# ## Limits
#
# - One seed, six folds of four actors, and a feature from functionals instead of a pre-trained transformer.
# - A Frechet distance of 768 values from 240 samples is biased upwards. The reference, from half as many, is biased more, so the ratio is
#   too small.
# - The GANs train twice as long as the baseline, with one learning rate. Their means still differ, so they may not have converged.
#
# What the features are worth to the classifier is measured in {ref}`infogan-table-2`.
