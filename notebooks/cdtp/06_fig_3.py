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
# (cdtp-fig-3)=
# # Figure 3: systems at a glance
#
# Of Figure 3 we have the caption, "The model performance on MOSI, IEMOCAP, and MOSEI datasets"; presumably it draws the
# averages of Table 1. **Do the printed averages order the systems as the printed cells do, and what does the picture of
# ours look like?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["hide-input"]
from functools import partial
import time

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from robustmer.corpora import find
from robustmer.display import run_card, table, theme
from robustmer.papers import cdtp
from robustmer.papers import cdtp_tables as tables

palette = theme()
cdtp.profile_named(profile)
name = find(corpus).NAME
start = time.perf_counter()
rows = tables.run(profile, device, corpus, seed, ["1"])
source = run_card(profile, name, device, time.perf_counter() - start, folds=rows["fold"].nunique(),
                  seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)
shown = tables.blocks(rows)
drawn = tables.NETWORKS

# %% [markdown]
# ## The printed numbers
#
# Dots are means of the six printed cells, crosses the averages that the paper prints. Where a cross is not on its dot the
# printed average is not that of its cells.

# %% mystnb={"figure": {"name": "fig-cdtp-3-paper", "caption": "Averages over the six cases, as printed: dots are means of the cells, crosses the printed averages."}} tags=["hide-input"]
paper = tables.printed_table("ACC")
datasets = list(dict.fromkeys(paper["dataset"]))
figure, axes = plt.subplots(1, len(datasets), figsize=(10, 3.2), layout="constrained")
for axis, dataset in zip(axes, datasets, strict=True):
    part = paper[paper["dataset"] == dataset]
    cells = part[part["condition"] != tables.AVERAGE].groupby("system")["value"].mean().reindex(list(drawn))
    stated = part[part["condition"] == tables.AVERAGE].set_index("system")["value"].reindex(list(drawn))
    axis.plot(cells, range(len(drawn)), "o", color=palette[0], label="mean of the cells")
    axis.plot(stated, range(len(drawn)), "x", color="black", label="printed average")
    axis.set(title=dataset, yticks=range(len(drawn)), yticklabels=drawn if axis is axes[0] else [], xlabel="ACC")
    axis.invert_yaxis()
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"]
moved = []
for dataset, part in paper.groupby("dataset", sort=False):
    cells = part[part["condition"] != tables.AVERAGE].groupby("system")["value"].mean().rank(ascending=False)
    stated = part[part["condition"] == tables.AVERAGE].set_index("system")["value"].rank(ascending=False)
    moved += [f"{s} on {dataset} ({cells[s]:.0f} by its cells, {stated[s]:.0f} by its average)"
              for s in drawn if s in cells and s in stated and cells[s] != stated[s]]
display(Markdown(
    "The printed averages order the systems as the printed cells do." if not moved else
    f"**Printed averages and printed cells disagree about the rank of {len(moved)} systems**: {', '.join(moved)}."))

# %% [markdown]
# ## Ours
#
# The same picture of our runs, with 95% intervals where there are three repetitions, and logistic regression as a line.

# %% mystnb={"figure": {"name": "fig-cdtp-3-ours", "caption": "Averages over the cases, ours, with 95% intervals. Dashed: logistic regression trained in the same cases; dotted: the majority class."}} tags=["hide-input"]
figure, axes = plt.subplots(-(-len(shown) // 2), 2, figsize=(9, 0.5 + 3.2 * -(-len(shown) // 2)),
                            layout="constrained", squeeze=False)
for axis in axes.flat[len(shown):]:
    axis.set_axis_off()
spans = []
for i, (axis, block) in enumerate(zip(axes.flat, shown, strict=False)):
    means = tables.summary(block.rows, "ACC")
    means = means[means["condition"] == tables.AVERAGE].set_index("system")
    part = means.reindex(list(drawn))
    axis.errorbar(part["mean"], range(len(drawn)), xerr=(part["high"] - part["mean"]).fillna(0), fmt="o",
                  color=palette[0], lw=1.2)
    for baseline, style in (("LogReg", "--"), ("majority class", ":")):
        if baseline in means.index:
            axis.axvline(means.loc[baseline, "mean"], ls=style, color="black", lw=1, label=baseline)
    axis.set(title=block.title.replace(", ", ",\n"), yticks=range(len(drawn)), xlabel="ACC",
             yticklabels=[] if i % 2 else drawn)
    axis.invert_yaxis()
    best = part["mean"].idxmax() if part["mean"].notna().any() else "–"
    spans.append({"corpus": block.title, "best": best, "its ACC": part["mean"].max(),
                  "CDTP": part["mean"].get("CDTP"), "LogReg": means["mean"].get("LogReg"),
                  "spread of the eight": part["mean"].max() - part["mean"].min()})
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"]
table(pd.DataFrame(spans), "tbl-cdtp-fig-3", "Figure 3 in numbers",
      "Mean over the cases. The best of eight means is not a finding; differences with intervals are on the "
      "page of Table 1.")
