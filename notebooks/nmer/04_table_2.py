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
# (nmer-table-2)=
# # Table 2: systems under noise
#
# NMER sections 3.4 and 3.6.1. MEN learns clean data and then meets noise; MCTN {cite}`mctn`, MMIN {cite}`mmin`, IF-MMIN
# {cite}`ifmmin` and NMER learn with the noise that they are tested under. **Who loses least, is it the network or the noisy training that helps, and does any
# of them beat logistic regression?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -10.0  # a level that is computed beside the profile's
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
import time
from functools import partial

import joblib
from IPython.display import Markdown, display

from robustmer.corpora import about, find
from robustmer.display import paper_beside_ours, rank_diagram, run_card, snr_curves, table, theme
from robustmer.grid import cross_validate
from robustmer.noise import NoiseScheduler
from robustmer.papers import is_own, nmer
from robustmer.papers import nmer_tables as tables
from robustmer.recipe import describe
from robustmer.statistics import cells, paired, plus_minus, ranks, summarise

theme()
kind = nmer.noise_kind(noise)
name = find(corpus).NAME

# %% [markdown]
# ## One experiment is one sentence
#
# A recipe says everything that decides a number. Its key, a hash of that description with every default written out,
# stands in each row that it produces.

# %% tags=["hide-output"]
p = nmer.profile_named(profile)
levels = sorted({*p.levels_db, snr_db}, reverse=True)
noises = [n for n in nmer.NOISES if n in {*p.noises, noise}]
recipes = nmer.recipes(profile, [corpus], levels, seed, noises, tables=["2"])
at_level = nmer.trained_with(recipes, NoiseScheduler(kind, snr_db=snr_db))
chosen = next(r for r in at_level if r.name == "NMER")
print(len(recipes), "trainings; one of them, key", chosen.key)
describe(chosen)

# %% [markdown]
# Trainings whose rows are already kept are not computed again, so an interrupted run goes on where it stopped.

# %%
start = time.perf_counter()
own = is_own("nmer", profile, recipes)  # others are kept apart from the committed rows
jobs = joblib.cpu_count() if device == "cpu" else 1
rows = cross_validate(recipes, "nmer", profile, jobs, device, progress=False, own=own)
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
folds, seeds = rows["fold"].nunique(), rows["seed"].nunique()
source = run_card(profile, name, device, seconds, folds=folds, seeds=seeds,
                  fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)
shown = tables.blocks(rows)

# %% [markdown]
# ## Accuracy against the signal-to-noise ratio
#
# The curves average over the incomplete conditions, as Table 2 does. The paper compares systems that never met noise
# (MEN) with systems that learnt it, so its gain mixes two things: another network, and training with noise. Therefore MEN
# and logistic regression are trained with the same noise here too. Dashed lines are logistic regression.

# %% mystnb={"figure": {"name": "fig-nmer-curves", "caption": "UA against the nominal SNR, mean over the incomplete conditions, for the corpus and profile of this page's own run. Bands: 95% interval over folds (over seeds where the corpus has one fold). Dotted: chance. At equal nominal SNR impulse noise is 5.23 dB weaker than Gaussian noise."}} tags=["hide-input"]
drawn = [s for s in tables.SYSTEMS if s != "majority class"]


def curves(rows):
    ua = rows[(rows["metric"] == "UA") & (rows["noise"] != "")]
    means = summarise(nmer.averaged(tables.incomplete_rows(ua)), ["system", "noise", "snr_db"])
    snr_curves(means, drawn, 1 / about(rows["dataset"].iloc[0]).classes)


curves(rows)

# %% [markdown]
# ## Table 2, paper and ours
#
# The paper's numbers are of IEMOCAP and CMU-MOSEI, which are gated; ours are of other people and other classes. So a cell is
# not to be compared with the cell beside it; what can be compared is the order of the systems and how much each loses.
# Averages are plain means over the incomplete conditions: six for three modalities, two for two.

# %% tags=["hide-input"]
paper_beside_ours(shown, tables.table_2, "2", "Table 2 (Avg)")
for block in shown:
    said = tables.losers(nmer.averaged(tables.incomplete_rows(block.rows)))
    display(Markdown(f"{block.title}. {said} {tables.about_wa(block.rows)}"))

# %% [markdown]
# ## NMER against each of the others
#
# Systems met the same rows under the same noise, so their differences vary less than they do. Folds share
# training speakers, which widens the interval {cite}`nadeaubengio`; a star marks what is beyond chance when all
# differences of the table are counted {cite}`holm`, at 5%.

# %% tags=["hide-input"]
others = ["MEN", "MEN, noisy training", "LogReg, noisy training", "MCTN", "MMIN", "IF-MMIN"]
for block in shown:
    ua = block.rows[(block.rows["metric"] == "UA") & (block.rows["noise"] != "")]
    found = nmer.differences(tables.incomplete_rows(ua), others)
    display(Markdown(f"**{block.title}**\n\n" + tables.differences_in_words(found)))
    table(tables.differences_table(found), f"tbl-nmer-differences-{block.slug}",
          f"{block.dataset}: UA of NMER minus that of the others, mean over the incomplete conditions",
          "± half the 95% interval, where there are three repetitions; * beyond chance after Holm's correction, over folds "
          "only: seeds of one split share their test speakers.", source=block.source)

# %% [markdown]
# ## Ranks
#
# Within a fold, UA is averaged over all noises and levels, and the systems are ranked. Two mean ranks that differ by less
# than the critical difference, here joined by a bar, could well be those of equal systems. Levels of one fold are no
# repetitions, since they share its speakers: with few folds the critical difference is wide, and that is the truth.

# %% mystnb={"figure": {"name": "fig-nmer-ranks", "caption": "Mean rank over the folds of RAVDESS-AV that all the systems have (1 is best), UA averaged over noises, levels and incomplete conditions. Bars join systems within the critical difference (Nemenyi, 5%)."}} tags=["hide-input"]
measured = {block.dataset: block for block in shown if block.slug != "here"}
ranked = None
if "RAVDESS-AV" in measured:
    part = measured["RAVDESS-AV"].rows
    part = nmer.averaged(tables.incomplete_rows(part[(part["metric"] == "UA") & (part["noise"] != "")]))
    there = [s for s in drawn if s in set(part["system"])]
    # Every system is averaged over the noises, levels and seeds that all of them have.
    places = ["noise", "snr_db", "fold", "seed"]
    whole = part[part["system"].isin(there)].groupby(places)["system"].transform("nunique") == len(there)
    ranked = ranks(part[part["system"].isin(there)][whole], there)
    rank_diagram(*ranked[:2])

# %% tags=["hide-input"]
if ranked is None:
    display(Markdown("*RAVDESS-AV is not measured yet.*"))
else:
    order, critical, n = ranked[0].sort_values(), ranked[1], ranked[2]
    apart = [name for name, rank in order.items() if rank - order.iloc[0] > critical]
    display(Markdown(
        f"**{order.index[0]}** has the best mean rank ({order.iloc[0]:.1f} over {n} folds; NMER {order['NMER']:.1f}). Beyond "
        f"the critical difference of {critical:.1f} behind it: {', '.join(apart) or 'nobody'}."))

# %% [markdown]
# ## The measured corpora as curves

# %% tags=["hide-input"]
for block in measured.values():
    display(Markdown(f"**{block.title}**. {block.source}"))
    curves(block.rows)

# %% [markdown]
# ### On clean input
#
# Logistic regression on the same clean rows is the reference: a clean-trained MEN has all that it has, and more.

# %% tags=["hide-input"]
for block in measured.values():
    clean = block.rows[(block.rows["condition"] == "clean") & (block.rows["train"] == "clean")]
    clean = clean[clean["system"].isin(tables.CLEAN_ONLY) & (clean["metric"] != "F1")]
    found = cells(clean, ["system", "metric"], below="LogReg")
    wide = found.pivot(index="system", columns="metric", values="cell")
    table(wide.reindex(tables.CLEAN_ONLY)[["WA", "UA"]].dropna(), f"tbl-nmer-clean-{block.slug}",
          f"{block.dataset}: trained and tested on clean data", "± half the 95% interval; ↓ below logistic regression.",
          source=block.source)
    gap = paired(clean[clean["metric"] == "UA"], "MEN", "LogReg")
    display(Markdown(f"{block.dataset}: MEN minus logistic regression, UA {plus_minus(gap['mean'], gap['high'], sign=True)} "
                     f"over {gap['repetitions']} {gap['unit']}s. " + (
        "The deep network is no better than the linear one on clean data: what these vectors tell is nearly all in their "
        "weighted sum." if gap["mean"] <= max(0.0, gap["high"] - gap["mean"]) else "")))

# %% [markdown]
# ## From a cell to the code
#
# Every cell above is a mean of rows, and every row has the key of its recipe.

# %% tags=["hide-input"]
headers = nmer.incomplete_headers(name)
one = rows[(rows["key"] == chosen.key) & (rows["condition"] == headers[0]) & (rows["metric"] == "UA")].iloc[:1]
kept = one[["dataset", "system", "train", "noise", "snr_db", "condition", "metric", "value", "note", "fold",
            "seed", "key"]]
table(kept.T.reset_index().set_axis(["column", "value"], axis=1).astype(str), "tbl-nmer-row",
      "One row of the ledger",
      (f"`robustmer run {one['key'].iloc[0]}` computes it again. " if own else
       "This page has other parameters than the paper's recipes: run it again to compute the row again. ")
      + "`note` has T and the true SNR of each noisy modality.")
