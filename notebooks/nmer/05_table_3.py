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
# # Table 3: NMER by condition
#
# NMER section 3.6.1 (3). A condition names the modalities that stay clean while the others are noisy. **Which modality
# carries NMER when the rest is lost, and does it know which one to leave alone?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
import time

from IPython.display import Markdown, display

from robustmer.corpora import find
from robustmer.display import download, paper_beside_ours, run_card, table, theme
from robustmer.papers import nmer
from robustmer.papers import nmer_tables as tables
from robustmer.statistics import plus_minus, summarise

palette = theme()
name = find(corpus).NAME
start = time.perf_counter()
rows = tables.run(profile, device, corpus, noise, seed, {"2": ["majority class", "MEN", "MEN, noisy training", tables.BAR, "NMER"]})
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
source = run_card(profile, name, device, seconds, folds=rows["fold"].nunique(),
                  seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
shown = tables.blocks(rows)

# %% [markdown]
# ## Table 3, paper and ours
#
# The paper prints Gaussian noise; where ours has impulse noise too, there is nothing to put beside it.

# %% tags=["hide-input"]
paper_beside_ours(shown, tables.table_3, "3", "Table 3, NMER by what stays clean")
for block in shown:
    part = tables.incomplete_rows(block.rows)
    part = part[part["condition"].isin(nmer.incomplete_headers(block.dataset))]
    display(Markdown(f"{block.title}. {tables.losers(part, ['NMER'])} {tables.about_wa(block.rows)}"))

# %% [markdown]
# ## Which modality carries
#
# What is left at the loudest noise, by condition, for NMER, MEN and logistic regression.

# %% mystnb={"figure": {"name": "fig-nmer-by-condition", "caption": "UA at the highest Gaussian noise level of each corpus, by the modalities that stay clean; `none`: all noisy, for a network that learnt the incomplete conditions. Bars: 95% intervals. Dotted: chance."}} tags=["hide-input"]
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(1, len(shown), figsize=(9, 3.8), layout="constrained", squeeze=False, sharey=True)
drawn = ["LogReg, noisy training", "MEN", "MEN, noisy training", "NMER"]
for axis, block in zip(axes[0], shown, strict=True):
    part = tables.incomplete_rows(block.rows)
    part = part[(part["metric"] == "UA") & (part["noise"] == "gaussian")]
    worst = min(part["snr_db"], key=float)
    means = summarise(part[part["snr_db"] == worst], ["system", "condition"])
    order = [*nmer.incomplete_headers(block.dataset), "none"]
    for i, (colour, system) in enumerate(zip(palette, drawn, strict=False)):
        one = means[means["system"] == system].set_index("condition").reindex(order)
        at = np.arange(len(order)) + 0.16 * (i - 1.5)
        half = (one["high"] - one["mean"]).fillna(0)
        axis.errorbar(at, one["mean"], half, fmt="o", ms=5, lw=1.2, color=colour, label=system)
    axis.axhline(block.chance, color="grey", ls=":", lw=1)
    title = f"{block.dataset}, {tables.level_name(worst)}"
    axis.set(title=title + (f"\nown run, {profile}" if block.slug == "here" else "\nmeasured"), ylabel="UA")
    axis.set_xticks(range(len(order)), [h if h == "none" else f"{{{h}}}" for h in order],
                    rotation=45 if len(order) > 3 else 0)
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# ## A negative control
#
# The visual vectors of CMU-MOSI were learned from the labels of its train part and are hardly better than guessing on its
# test part: a modality that is said to carry nothing. **Noise on it should then change nothing beyond the interval**,
# while noise on the text must.
#
# A difference is that of one training with itself: clean input minus input where only that modality is noisy. Seeds of one
# split meet the same test rows, in the tables under one draw of noise, so an interval over seeds knows neither other people
# nor other noise. Here each difference is a mean over twenty draws, and its interval is over the videos of the test part,
# each taken as one speaker, whose rows stand and fall together, and over seeds (`evaluate.ua_lost`,
# `statistics.over_speakers`). Levels, noises and seeds are taken to err together, which makes it rather too wide.

# %% tags=["hide-input"]
from robustmer.papers.protocol import source_of
from robustmer.results import ledger, read

measured = read(ledger("nmer_control"))
found = tables.control(measured)
found["noise on"] = found["condition"].map({"a,l": "v", "a,v": "l"})
found["beyond"] = (found["low"] > 0) | (found["high"] < 0)
found["cell"] = [plus_minus(m, h, sign=True) + ("\u202f*" if b else "")
                 for m, h, b in zip(found["mean"], found["high"], found["beyond"], strict=True)]
average = found["snr_db"] == "avg"
source = source_of(measured).replace(" (intervals over seeds only)", "") + " Computed by `bench/negative_control.py`."
wide = found[average].pivot(index="system", columns="noise on", values="cell").reindex(dict.fromkeys(found["system"]))
table(wide[["v", "l"]].rename(columns={"v": "noise on v", "l": "noise on l"}), "tbl-nmer-control",
      "CMU-MOSI: UA lost by noise on one modality, mean over two noises and four levels",
      "± half the 95% interval over the videos of the test part and over seeds; * beyond it, uncorrected.", source=source)

# %% tags=["hide-input"]
levels = found[~average].assign(level=found["snr_db"][~average].map(tables.level_name))
wide = levels.pivot(index=["noise on", "system", "noise"], columns="level", values="cell")
table(wide[tables.level_names(nmer.LEVELS_DB)].fillna("–").sort_index(ascending=[False, True, True]),
      "tbl-nmer-control-levels", "CMU-MOSI: UA lost by noise on one modality, at each level", "As above.", source=source)

# %% tags=["hide-input"]
quiet, heard = (found["noise on"] == letter for letter in "vl")
over_seeds = summarise(measured[measured["condition"] == "a,l"], ["system", "noise", "snr_db"])
by_seeds = int(((over_seeds["low"] > 0) | (over_seeds["high"] < 0)).sum())
single, means, text = found[quiet & ~average], found[quiet & average], found[heard & average]
caught = means[means["beyond"]]["system"].tolist()
corrected = int((means["p_holm"] < 0.05).sum())
display(Markdown(f"""
- **With intervals over seeds alone the control fails**: there noise on the visual vectors is beyond them at {by_seeds} of
  {len(over_seeds)} places. So on a corpus with one split such an interval tells first weights apart and not effects, and
  the tables of CMU-MOSI are to be read so.
- **With intervals over videos**, and as many comparisons corrected for as there are (Holm), noise on the visual vectors is
  told from nothing for {corrected} of {len(means)} systems on average and at {int((single["p_holm"] < 0.05).sum())} of
  {len(single)} places: the control is {"**not passed**" if corrected else "passed"}. Uncorrected it is beyond for
  {', '.join(caught) or 'none'} on average and at {int(single["beyond"].sum())} places. Noise on the text is beyond for
  {int((text["p_holm"] < 0.05).sum())} of {len(text)}, and costs {text["mean"].mean() / means["mean"].mean():.0f} times as
  much.
- That the visual vectors carry *nothing* on the test part is not shown: {int((means["mean"] > 0).sum())} of the
  {len(means)} averages are above 0, {means["mean"].min():.3f} to {means["mean"].max():.3f}, and their intervals reach
  {means["high"].max():.3f}. A cost is no proof of the contrary either: noise disturbs a sum even where what it covers
  tells nothing.
"""))
download(measured, "nmer-control.csv", "The rows of the negative control")
