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
# (mcwsa-table-3)=
# # Visual features, and the noise of a column
#
# **How much of a column is the visual network, and how much is chance?** Table III of the paper, section V.A.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the rows of the figure", "code_prompt_hide": "Code: imports, the answer and the rows of the figure"}
import pandas as pd

from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS
from robustmer.experiments import findings, papers
from robustmer.experiments.contrasts import Contrast
from robustmer.experiments.papers import mcwsa, published

measured = papers.results("mcwsa")
table = mcwsa.tables("paper", "ravdess_av_mel")["III"].where(metric="UA")
action, emotion = table.columns


def gain_of(row: mcwsa.Row) -> findings.Estimate:
    contrast = Contrast(
        str(row),
        (table.cells[row, emotion],),
        (table.cells[row, action],),
        rows=(row, row),
    )
    return findings.estimate_of(findings.line_of(row, contrast, measured))


three = published("mcwsa", 3)
wide_three = three.pivot(
    index=["dataset", "modality", "pretrained"], columns="visual_net", values="value"
)
gaps = wide_three["ResNet"] - wide_three["VGG-Face"]
unused, used = gaps.xs("a,t", level="modality"), gaps.drop("a,t", level="modality")
answer(
    (
        findings.compared(
            "Logistic regression with the emotion network",
            "without it",
            gain_of(mcwsa.BAR),
        ),
        "people",
    ),
    (
        f"The paper prints {used.min():.1f} to {used.max():.1f} points for its better visual network.",
        "printed",
    ),
    (
        f"A column that does not use the network changes as well, by up to {unused.max():.1f} points.",
        "printed",
    ),
)

# %% [markdown]
# The paper compares ResNet, trained on objects, with VGG-Face, trained on faces. Neither can be had here. Of the 56 face features of RAVDESS 14
# are outputs of a network that recognises emotions, and 42 are action units and mouth opening. That is our pair.

# %%
summary = table.summarise(measured)
drawn = summary.assign(row=summary["visual"], value=100 * summary["mean"], low=100 * summary["low"], high=100 * summary["high"],
                       system=[" ".join(row) if " ".join(row) in SYSTEMS else row.system for row in summary["row"]])  # fmt: skip
show(lambda width: dots(drawn, SYSTEMS, "UA, percent", width), "fig-mcwsa-visual",
     "UA by the visual features. Bars: 95% over folds of actors.",
     "Rows for the features with and without the emotion network, with a dot and an interval for each system.", "RAVDESS-AV mel")  # fmt: skip

# %% [markdown]
# ## A column that does not change
#
# Voice and text alone do not read the visual features. Their column in Table III must therefore repeat itself.

# %%
shown = (
    gaps.rename("ResNet minus VGG-Face")
    .reset_index()
    .sort_values(["dataset", "modality"])
)
numbers_folded(
    shown,
    "Table III: differences between the two networks, points of UA",
    decimals=1,
    folded=False,
)

# %% [markdown]
# Two explanations remain. A repeated training with another seed gives another number, or the video took part in the pre-training of a column
# that is called voice and text.
#
# ## What a seed changes
#
# The table lists the systems that were trained with more than one seed on CMU-MOSI. Their spread of UA is what a repeated training alone can do.

# %%
two = mcwsa.tables("paper", "mosi_words")["II"].where(metric="UA")
two = two.where(modality=max((column.modality for column in two.columns), key=len))
values = two.values(measured).groupby(["system", "trained"])["value"]
values = values.agg(["min", "max", "count"]).query("count > 1")
values.index = [str(mcwsa.Row(*names)) for names in values.index]
values = values.drop(index=str(mcwsa.MAJORITY), errors="ignore")
spread = (100 * (values["max"] - values["min"])).rename(
    "largest minus smallest UA, points"
)
numbers_folded(pd.concat([spread, values["count"].rename("seeds")], axis=1).rename_axis("system").reset_index(),
               "The same system, trained again", decimals=1, folded=False)  # fmt: skip

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
scores_folded(
    mcwsa.tables("paper", "ravdess_av_mel")["III"].summarise(measured),
    "Table III on RAVDESS-AV with mel frames",
    file="mcwsa3.csv",
)

# %% [markdown]
# ## Your own run
#
# Logistic regression on each choice of modalities of the synthetic corpus.

# %%
own = mcwsa.tables(profile, "synthetic", first_seed=seed)["II"].where(
    metric="UA", system=["LogReg", "majority class"]
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(
    scores, "UA of your own run", lambda column: column.modality, folded=False
)

# %% [markdown]
# ## Limits
#
# - Our pair of visual features is one vector a take, and its better half knows emotions. The paper's pair are two networks that saw none.
# - Where a system has no row yet, it was not trained with that choice of features.
