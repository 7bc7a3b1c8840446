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
# (mcwsa-canonical-correlation)=
# # Correlation and accuracy of a fusion
#
# **Can Fig. 9 show that a fusion is better because its codes correlate more?** MCWSA's Fig. 9 shows more correlation, by DCCA, for CMHA and MulT than for TFN and
# concatenation. The text takes this as support for Table II.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
seed: int = 0
pairs: int = 32  # of the batch on which your own run fits canonical correlations

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the rows of the figure", "code_prompt_hide": "Code: imports, the answer and the rows of the figure"}
import pandas as pd

from robustmer.book import answers, figures, picture, registry
from robustmer.experiments import project
from robustmer.experiments.papers.profiles import published

folder = project() / "results/measured/mcwsa"
bias = pd.read_csv(folder / "derived_cca_bias.csv")
mean = bias.groupby(["measure", "pairs"])[["learnt", "held_out"]].mean()
sums = {measure: mean.loc[(measure, 32)] for measure in ("CCA", "DCCA")}
printed = published("mcwsa", 2).query(
    "dataset == 'IEMOCAP' and modality == 'a,v,t' and pretrained == 'yes' and metric == 'UA'"
)
printed = printed.set_index("system")["value"]
answers.answer(
    (f"On few pairs it could not: on a batch of 32, our choice, DCCA finds a sum of {sums['DCCA']['learnt']:.1f} out of 10 between independent "
     "views.", "synthetic"),
    (f"In Table II MulT, whose correlation Fig. 9 calls similar to CMHA's, is {printed['MulT'] - printed['Concat']:.1f} points above "
     f"concatenation and {printed['MCWSA-CMHA'] - printed['MulT']:.1f} below CMHA.", "printed"),
)  # fmt: skip
shown = bias.melt(["pairs", "seed", "measure"], ["learnt", "held_out"], "reading")
shown["system"] = shown["measure"] + shown["reading"].map(
    {"learnt": ", in sample", "held_out": ", held out"}
)
shown = (
    shown.groupby(["pairs", "system"], sort=False)["value"]
    .agg(value="mean", low="min", high="max")
    .reset_index()
)
shown["row"] = shown["pairs"].map("{:,} pairs".format)
looks = {name: registry.System(name, "", colour, marker) for name, colour, marker in (
    ("DCCA, in sample", registry.RED, "s"), ("CCA, in sample", registry.HERO, "D"), ("DCCA, held out", registry.TEAL, "^"),
    ("CCA, held out", registry.BLUE, "o"))}  # fmt: skip

# %%
picture.show(
    lambda width: figures.dots(shown, looks, "sum of ten correlations (truth: 0)", width, lines=0.0), "fig-mcwsa-cca-bias",
    "In sample, independent views correlate, the more the fewer pairs; on other pairs they do not. Bars: range over seeds.",
    "Rows for 32 to 4,096 pairs. In-sample sums of CCA and DCCA fall with the number of pairs; held-out sums are at zero throughout.",
    "synthetic")  # fmt: skip

# %% [markdown]
# ## What is correlated
#
# Canonical correlation analysis (CCA) finds linear maps of two views whose outputs correlate most, then the next, uncorrelated with the
# first, and so on. With covariances $\Sigma$, the correlations are the singular values of
#
# $$ \Sigma_x^{-1/2}\, \Sigma_{xy}\, \Sigma_y^{-1/2} . $$
#
# **DCCA** puts a network in front of each view and trains both for the sum of these values {cite:p}`dcca`. The paper does not state which
# views it compares. On this page they are the codes of two modalities, or the fused code and one of them, as 16 principal components.
# Networks have one hidden layer and ten outputs, learn on the train split, and stop at the best sum on the validation split.
#
# ## A small batch correlates with anything
#
# The paper states no size of the batch. A fit on few pairs finds correlations in noise: in {numref}`fig-mcwsa-cca-bias`, two views of ten
# independent Gaussians have a true sum of 0. A network in front of each view finds more of them. Read on pairs that neither the networks
# nor the linear maps have learned, both sums are 0.
#
# ## Fusions and their controls
#
# The fusion comes behind the encoders. It changes their codes through its gradient alone. The controls are untrained encoders, the pyramids
# themselves, and shuffled pairs. A fused code is computed from the single codes, so its correlation with them is high for any fusion that
# keeps them, and a linear map of their concatenation does. High correlation between two modalities also means that they say the same: a
# fusion gains from what they do *not* share.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
fusions = {"concat": "Concat", "tfn": "TFN", "mult": "MulT", "cmha": "CMHA"}
files = sorted(folder.glob("derived_cca_fusions_*.csv"))
if files:
    rows = pd.concat(map(pd.read_csv, files))
    scores = pd.concat(
        map(pd.read_csv, sorted(folder.glob("derived_cca_scores_*.csv")))
    )
    rows["measure"] = (
        rows["pair"]
        .str.endswith("fused")
        .map({True: "fused and single codes", False: "codes of two modalities"})
    )
    rows["row"] = (
        rows["fusion"]
        .map(fusions)
        .where(rows["stage"] == "classification", rows["stage"])
    )
    rows.loc[rows["stage"] == "untrained", "row"] = "untrained encoders"
    rows.loc[rows["pairs"] == "shuffled", "row"] = "shuffled pairs"
    by_fold = rows.groupby(["corpus", "measure", "row", "fold"], sort=False)[
        "held_out"
    ].mean()
    spread = (
        by_fold.groupby(["measure", "row"], sort=False)
        .agg(value="mean", low="min", high="max")
        .reset_index()
    )
    order = ["pyramids", "untrained encoders", *fusions.values(), "shuffled pairs"]
    spread = spread.sort_values(
        "row", key=lambda row: row.map(order.index), kind="stable"
    ).assign(panel=spread["measure"], kind="synthetic")
    picture.show(
        lambda width: figures.forest(spread, "sum of ten correlations by DCCA, test samples", width), "fig-mcwsa-dcca-fusions",
        "Held-out DCCA by fusion, with controls. Means over pairs of views; bars: range over folds of speakers.",
        "Two panels, codes of two modalities and fused with single codes, with rows for pyramids, untrained encoders, four fusions and "
        "shuffled pairs.", ", ".join(dict.fromkeys(rows["corpus"])))  # fmt: skip
else:
    print(
        "Not measured yet. `python bench/derived_dependence.py fusions` makes the rows."
    )

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
wide = bias.groupby(["measure", "pairs"], sort=False)[["learnt", "held_out"]].mean()
answers.numbers_folded(
    wide,
    "Sums of ten canonical correlations of independent views, means over seeds",
    file="mcwsa_cca_bias.csv",
)
answers.numbers_folded(
    printed.rename("UA printed, IEMOCAP").reset_index(),
    "UA of four fusions (%), three modalities",
    decimals=1,
)
if files:
    table = (
        rows.groupby(["corpus", "row", "pair"], sort=False)[
            ["learnt", "held_out", "linear"]
        ]
        .mean()
        .reset_index()
    )
    answers.numbers_folded(
        table,
        "Sums of ten canonical correlations, means over folds",
        "`linear` is CCA without networks.",
    )
    ours = (
        scores.assign(fusion=scores["fusion"].map(fusions))
        .groupby(["corpus", "fusion"], sort=False)["UA"]
        .mean()
    )
    answers.numbers_folded(
        ours.reset_index(), "UA of the same classifiers on the same test samples"
    )

# %% [markdown]
# ## Your own run
#
# Fit canonical correlations on a batch of independent views, and read them on others. No network is needed.

# %%
import torch

import robustmer as rm
from robustmer.metrics import canonical_correlations, canonical_maps

draw = rm.stream("own run", seed)
x, y = torch.randn(2, pairs, 10, generator=draw)
others = torch.randn(2, 4096, 10, generator=draw)
in_sample = canonical_correlations(x, y)
held_out = canonical_maps(x, y).correlations(*others)
print(
    f"{pairs} pairs: in sample {in_sample.sum():.2f}, held out {held_out.sum():.2f} of 10"
)

# %% tags=["hide-input"]
answers.own_run(profile, "Gaussian views", [f"{pairs} pairs"])

# %% [markdown]
# ## Limits
#
# - The paper states neither the views that it compares nor the network, the batch or the pairs of its DCCA.
# - The correlations of our own fusions are shown only if they were measured. Without them this page tests the method and no fusion.
# - Its Fig. 9 is a drawing of curves without numbers, so only the order of the fusions can be compared.
#
# **To try:** `pairs=64`, then 4096. At how many pairs is the sum in sample below 1?
