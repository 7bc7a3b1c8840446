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
# # Table 4: one modality alone
#
# NMER section 3.6.2 (3). A classifier hears, sees or reads one modality only, clean and then under Gaussian noise.
# **What does each modality carry, and which of them does noise hurt most?**

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
from robustmer.display import run_card, table, table_markdown, tabs, theme
from robustmer.papers import nmer
from robustmer.papers import nmer_tables as tables
from robustmer.statistics import paired, summarise

palette = theme()
name = find(corpus).NAME
start = time.perf_counter()
rows = tables.run(profile, device, corpus, noise, seed, {"4": [], "2": ["majority class"]})
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
_ = run_card(profile, name, device, seconds, folds=rows["fold"].nunique(),
             seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
shown = [block for block in tables.blocks(rows) if len(tables.alone(block.rows))]

# %% [markdown]
# ## Table 4, paper and ours
#
# The paper says that noisy data are sent "directly to the classifier", and not whether the classifier learnt the noise.
# Both are here: trained on clean data, and trained with the noise and level of the test. Its row "0dB" is read as clean
# data: by equation 5 it would be as much noise as signal, but the text takes it for what each modality carries.

# %% tags=["hide-input"]
for block in shown:
    display(Markdown(f"**{block.title}**, beside {tables.COUNTERPART[block.dataset]} as published"))
    tabs({
        metric: table_markdown(
            tables.table_4(block.rows, metric), f"tbl-nmer-4-{block.slug}-{metric.lower()}",
            f"Table 4, {block.dataset}, one modality alone, Gaussian noise, {metric}",
            "Paper (IEMOCAP only): as printed. Ours: mean ± half the 95% interval, a MEN that is shown one modality; ↓ below "
            "logistic regression that learnt what is tested. "
            f"Always answering the train part's commonest class gives {tables.majority(block.rows, metric)}. {block.source}")
        for metric in ("WA", "UA")
    })
for block in shown:
    said = tables.losers(tables.uni_modal(block.rows), (nmer.UNI_MODAL, nmer.UNI_MODAL + nmer.NOISY),
                         ("noise", "snr_db", "letter"))
    display(Markdown(f"{block.title}. {said} {tables.about_wa(block.rows)}"))

# %% mystnb={"figure": {"name": "fig-nmer-alone", "caption": "UA of one modality alone against the nominal SNR of Gaussian noise. Solid: trained with the noise of the test; dashed: trained on clean data. Bands: 95% intervals. Dotted: chance."}} tags=["hide-input"]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, len(shown), figsize=(9, 3.6), layout="constrained", squeeze=False)
for axis, block in zip(axes[0], shown, strict=True):
    part = tables.alone(block.rows[block.rows["metric"] == "UA"])
    means = summarise(part[(part["name"] == nmer.UNI_MODAL) & (part["noise"] != "")],
                      ["letter", "how", "snr_db"])
    for colour, letter in zip(palette, "avl", strict=False):
        if letter not in set(means["letter"]):
            continue
        for how, style in (("", "--"), (nmer.NOISY, "-")):
            one = means[(means["letter"] == letter) & (means["how"] == how)]
            one = one.assign(snr_db=one["snr_db"].astype(float)).sort_values("snr_db")
            label = letter if how else None
            axis.plot(one["snr_db"], one["mean"], style, marker="o", color=colour, label=label)
            axis.fill_between(one["snr_db"], one["low"], one["high"], color=colour, alpha=0.12, lw=0)
    axis.axhline(block.chance, color="grey", ls=":", lw=1)
    axis.set(title=f"{block.dataset}" + (f" (own run, {profile})" if block.slug == "here" else ""),
             xlabel="nominal SNR (dB)", ylabel="UA", xticks=sorted(means["snr_db"].astype(float).unique()))
    axis.invert_xaxis()
    axis.legend()
plt.show()

# %% [markdown]
# ## How much each modality loses
#
# From clean data to the mildest level, in points of WA, as section 3.6.2 (3) counts it.

# %% tags=["hide-input"]
def clean_and_noisy(part, letter, level, how):
    """The rows of one modality on clean data, and at this level after that training."""
    part = part[part["letter"] == letter]
    return (part[(part["noise"] == "") & (part["how"] == "")].assign(system="clean"),
            part[(part["snr_db"] == level) & (part["how"] == how)].assign(system="noisy"))


lines, losses = [], {}
for block in shown:
    part = tables.alone(block.rows)
    part = part[part["name"] == nmer.UNI_MODAL]
    part, ua = part[part["metric"] == "WA"], part[part["metric"] == "UA"]
    first = max((s for s in part["snr_db"] if s), key=float)
    for letter in sorted(set(part["letter"])):
        for how, trained in (("", "clean"), (nmer.NOISY, "with the noise")):
            wa_lost, ua_lost = (paired(pd.concat(clean_and_noisy(metric, letter, first, how)), "clean", "noisy")
                                for metric in (part, ua))
            clean, noisy = clean_and_noisy(part, letter, first, how)
            both = clean.merge(noisy, on=["dataset", "fold", "seed"])
            losses[block.title, trained, letter] = both.assign(value=both["value_x"] - both["value_y"])
            lines.append({"corpus": block.title, "modality": letter, "to": tables.level_name(first), "trained": trained,
                          "UA lost": 100 * ua_lost["mean"], "WA lost": 100 * wa_lost["mean"],
                          "low": 100 * wa_lost["low"], "high": 100 * wa_lost["high"]})
printed = tables.published("nmer", 4).query("metric == 'WA'").pivot(index="snr_db", columns="modality", values="value")
theirs = (100 * (printed.loc["0"] - printed.loc["-10"])).to_dict()
lost = pd.DataFrame(lines)
table(lost, "tbl-nmer-4-lost", "Points lost from clean data to the mildest noise, one modality alone",
      "low, high: 95% interval of WA, where there are three repetitions. The paper's table gives "
      + ", ".join(f"{m} {v:.1f}" for m, v in theirs.items()) + " (IEMOCAP).", decimals=1, source=" ".join(block.source for block in shown))
most = []
for (title, trained), part in lost.groupby(["corpus", "trained"], sort=False):
    part = part.sort_values("WA lost", ascending=False)
    if part["WA lost"].iloc[0] <= 0 or len(part) < 2:
        most.append(f"- {title}, trained {trained}: " + ("none loses" if len(part) > 1 else "it has one modality"))
        continue
    first, second = part["modality"].iloc[:2]
    both = pd.concat(losses[title, trained, letter].assign(system=letter) for letter in (first, second))
    apart = paired(both, first, second)  # the losses of the same trainings' folds and seeds
    mark = "**" if apart["low"] > 0 else ""
    most.append(f"- {title}, trained {trained}: {mark}{first}{mark} ({part['WA lost'].iloc[0]:.1f}), more than {second} by "
                f"{100 * apart['mean']:.1f}"
                + ("" if pd.isna(apart["low"]) else f" ({100 * apart['low']:.1f} to {100 * apart['high']:.1f})"))
display(Markdown(f"Which modality loses most WA? The paper's table: {max(theirs, key=theirs.get)}. Here, with "
                 "95% intervals of the difference (over folds, or over seeds of one split), bold where it is beyond:\n\n"
                 + "\n".join(most)))
