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
# (nmer-table-5)=
# # Table 5: every modality noisy
#
# NMER sections 3.2 and 3.6.3. The new condition of the paper: nothing is clean, and for each level a system is trained
# under exactly that. **How far do the systems fall, and is there anything left that a linear model does not get?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
import time

import pandas as pd
from IPython.display import Markdown, display

from robustmer.corpora import find
from robustmer.display import paper_beside_ours, run_card, table, theme
from robustmer.papers import nmer
from robustmer.papers import nmer_tables as tables
from robustmer.results import published
from robustmer.statistics import summarise

palette = theme()
name = find(corpus).NAME
start = time.perf_counter()
rows = tables.run(profile, device, corpus, noise, seed, {"5": [], "2": tables.CLEAN_ONLY})
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
_ = run_card(profile, name, device, seconds, folds=rows["fold"].nunique(),
             seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
shown = tables.blocks(rows)
sources = " ".join(block.source for block in shown)

# %% [markdown]
# ## Table 5, paper and ours
#
# MEN and the first line of logistic regression learnt clean data, everything else learnt the noise. The paper prints
# Gaussian noise and says of impulse noise that it "has a similar trend"; where ours has it, it stands without a number beside it.

# %% tags=["hide-input"]
paper_beside_ours(shown, tables.table_5, "5", "Table 5, all modalities noisy")
for block in shown:
    said = tables.losers(tables.all_noisy_rows(block.rows))
    display(Markdown(f"{block.title}. {said} {tables.about_wa(block.rows)}"))

# %% [markdown]
# ## What all-noisy input costs
#
# Table 2's average against Table 5, for the same systems and levels: how much is lost when the last clean modality goes.
# In the paper's own tables CMU-MOSEI sometimes *gains*, although the input is strictly worse.

# %% tags=["hide-input"]
def cost(incomplete, none):
    return incomplete.set_index(["system", "snr_db"])["value"] - none.set_index(["system", "snr_db"])["value"]


lines = []
for dataset in ("IEMOCAP", "CMU-MOSEI"):
    two, five = (t[(t["dataset"] == dataset) & (t["noise"] == "gaussian")] for t in (published("nmer", 2), published("nmer", 5)))
    both = pd.concat([cost(two[two["metric"] == m], five[five["metric"] == m]).dropna() for m in ("WA", "UA")])
    lines.append({"corpus": f"{dataset} (paper)", "cells": len(both), "mean loss": 100 * both.mean(),
                  "largest gain": max(0.0, -100 * both.min()), "cells that gain": int((both < 0).sum())})
for block in shown:
    by = ["system", "snr_db", "metric"]
    gaussian = block.rows[block.rows["noise"].isin(["gaussian"]) & block.rows["system"].isin(tables.SYSTEMS)]
    same = [*by, "fold", "seed"]  # only folds and seeds that both have
    both = nmer.averaged(tables.incomplete_rows(gaussian)).merge(tables.all_noisy_rows(gaussian), on=same)
    two, five = (both.rename(columns={f"value_{side}": "value"})[[*same, "value"]] for side in "xy")
    two, five = (part.groupby([*by, "fold"])["value"].mean().groupby(by).mean().reset_index() for part in (two, five))
    both = pd.concat([cost(two[two["metric"] == m], five[five["metric"] == m]).dropna() for m in ("WA", "UA")])
    lines.append({"corpus": block.title, "cells": len(both), "mean loss": 100 * both.mean(),
                  "largest gain": max(0.0, -100 * both.min()), "cells that gain": int((both < 0).sum())})
table(pd.DataFrame(lines), "tbl-nmer-5-cost", "Points lost when the last clean modality becomes noisy too (Gaussian)",
      "Table 2's average minus Table 5, over systems, levels, WA and UA; the largest gain is the opposite of a loss.",
      decimals=1, source=sources)

# %% [markdown]
# ## Does it get worse faster and faster?
#
# Section 3.6.3 (2) sees "a noticeable acceleration in performance degradation". That would mean that each step of 10 dB costs
# more than the one before.

# %% tags=["hide-input"]
def accelerating(means):
    """Of the systems with all four levels: in how many each step costs more than the one before, and the last more
    than the first."""
    wide = means.pivot_table(index=["system", "metric"], columns="snr_db", values="value", aggfunc="mean")
    wide = wide.reindex(columns=[f"{level:g}" for level in nmer.LEVELS_DB]).dropna()
    steps = -wide.diff(axis=1).iloc[:, 1:]
    strictly = (steps.diff(axis=1).iloc[:, 1:] > 0).all(axis=1).sum()
    return len(steps), int(strictly), int((steps.iloc[:, -1] > steps.iloc[:, 0]).sum()) if len(steps) else 0


lines = []
for dataset in ("IEMOCAP", "CMU-MOSEI"):
    five = published("nmer", 5)
    lines.append((f"{dataset} (paper)", *accelerating(five[five["dataset"] == dataset])))
for block in shown:
    part = tables.all_noisy_rows(block.rows)
    part = part[(part["noise"] == "gaussian") & part["metric"].isin(["WA", "UA"]) & part["system"].isin(tables.SYSTEMS)]
    means = summarise(part, ["system", "metric", "snr_db"]).rename(columns={"mean": "value"})
    lines.append((block.title, *accelerating(means)))
faster = pd.DataFrame(lines, columns=["corpus", "rows with four levels", "every step larger", "last larger than first"])
table(faster, "tbl-nmer-5-steps", "Does degradation accelerate? Rows of Table 5 (system and metric), Gaussian noise",
      "Counts of rows in which each step of 10 dB costs more than the one before.", source=sources)
there = faster[faster["rows with four levels"] > 0]
supported = there[there["every step larger"] > there["rows with four levels"] / 2]["corpus"].tolist()
display(Markdown("Every step costs more than the one before in more than half of the rows in: "
                 + (", ".join(supported) or "none of these")
                 + ". (WA and UA of one system are two rows here, but hardly two observations.)"))
