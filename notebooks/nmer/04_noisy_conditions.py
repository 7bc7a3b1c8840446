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
# (nmer-noisy-conditions)=
# # MEN and NMER under noisy conditions
#
# NMER section 3.6, Tables 2 and 3. MEN learns clean data and then meets noise; NMER learns with noise. **How much does
# each lose as the noise grows, where does learning with noise begin to pay, and does either beat logistic regression?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -10.0
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
from functools import partial
import time

import joblib
import pandas as pd
from IPython.display import Markdown, display

from robustmer.corpora import CORPORA, find
from robustmer.display import plus_minus, run_card, snr_curves, table, theme
from robustmer.evaluate import cross_validate
from robustmer.noise import NoiseScheduler
from robustmer.papers import is_own, nmer
from robustmer.recipe import describe
from robustmer.results import ledger, published, read, summarise

theme()
kind = nmer.noise_kind(noise)
name = find(corpus).NAME
headers = nmer.incomplete_headers(name)
systems = ["MEN", "MEN, noisy training", "NMER", "LogReg", "LogReg, noisy training"]
classes = {module.NAME: module.ABOUT.classes for module in CORPORA.values()}
keys_of = {module.NAME: key for key, module in CORPORA.items()}

# %% [markdown]
# ## One experiment is one sentence
#
# A recipe says everything that decides a number. Its key, a hash of that description with every default written out,
# stands in each row that it produces.

# %% tags=["hide-output"]
p = nmer.profile_named(profile)
levels = sorted({*p.levels_db, snr_db}, reverse=True)
recipes = nmer.recipes(profile, [corpus], levels, first_seed=seed, tables=["2"])
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
source = run_card(profile, name, device, seconds, folds=folds, seeds=seeds, fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)  # every table says where its numbers come from
repeats = "folds" if folds > 1 else "seeds"

# %% [markdown]
# ## Accuracy against the signal-to-noise ratio
#
# The curves average over the incomplete conditions, as the paper's Table 2 does. MEN and the clean logistic regression
# were trained once, on clean data. NMER was trained under the noise and level that it is tested at. The paper compares
# these two, so its gain mixes two things: another network, and training with noise. Therefore MEN and logistic
# regression are trained with the same noise here too.

# %% mystnb={"figure": {"name": "fig-nmer-curves", "caption": "UA against the nominal SNR, mean over the incomplete conditions, for the corpus and profile of this page. Bands: 95% interval over folds (over seeds where the corpus has one fold). Dotted: chance. At equal nominal SNR impulse noise is 5.23 dB weaker than Gaussian noise."}} tags=["hide-input"]
ua = rows[(rows["metric"] == "UA") & (rows["noise"] != "")]
snr_curves(summarise(nmer.averaged(ua), ["system", "noise", "snr_db"]), systems, 1 / classes[name])

# %% tags=["hide-input"]
others = ["MEN", "MEN, noisy training", "LogReg, noisy training"]


def compare(found: pd.DataFrame) -> pd.DataFrame:
    """NMER minus each of the others, a line for each noise and level."""
    cells = found.assign(
        SNR=found["snr_db"] + "\u00a0dB", other="minus " + found["other"],
        repetitions=found["repetitions"].astype(str) + " " + found["unit"] + "s",
        cell=[plus_minus(m, h, sign=True) for m, h in zip(found["mean"], found["high"], strict=True)])
    wide = cells.pivot_table(index=["noise", "SNR", "repetitions"], columns="other", values="cell",
                             aggfunc="first", sort=False)
    return wide.rename_axis(columns=None).reset_index()


def verdict(found: pd.DataFrame) -> str:
    """In words: where NMER is ahead of the others, or behind, by more than the interval."""
    lines = []
    for other, part in found.groupby("other", sort=False):
        where = part["noise"] + " " + part["snr_db"] + " dB"
        ahead, behind = where[part["low"] > 0], where[part["high"] < 0]
        said = f"ahead at {', '.join(ahead)}" if len(ahead) else "ahead nowhere"
        said += f", behind at {', '.join(behind)}" if len(behind) else ""
        lines.append(f"- Against **{other}**, beyond the interval: {said}"
                     f" ({part['low'].notna().sum()} differences have an interval).")
    return "\n".join(lines)


found = nmer.differences(ua, others)
display(Markdown(verdict(found)))
table(compare(found), "tbl-nmer-differences", "UA of NMER minus that of the others, mean over the incomplete conditions",
      "Paired: both met the same rows under the same noise. ± half the 95% interval, where there are three repetitions.")

# %% [markdown]
# ## By condition
#
# A condition names the modalities that stay clean; `none` means that all are noisy, `clean` that none is.
# NMER was trained under the incomplete conditions, never under `none`; the paper trains a separate model for it
# (its Table 5), so `none` here shows how far this one carries.

# %% tags=["hide-input"]
columns = [*headers, "none", "clean"]


def by_condition(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    level = rows[(rows["noise"] == noise) & (rows["snr_db"] == f"{snr_db:g}") & (rows["metric"] == metric)]
    trained_so = {r.key for r in at_level}
    clean_trained = {r.key for r in recipes if not r.train[0].noise}
    clean = rows[(rows["condition"] == "clean") & (rows["metric"] == metric) & rows["key"].isin(trained_so | clean_trained)]
    out = summarise(pd.concat([level, clean]), ["system", "condition"])
    text = out.assign(cell=[plus_minus(m, h)
                            for m, h in zip(out["mean"], out["high"], strict=True)])
    wide = text.pivot(index="condition", columns="system", values="cell")
    return wide.reindex(index=columns, columns=systems)


table(by_condition(rows, "UA"), "tbl-nmer-by-condition", f"UA by condition, {noise} noise at {snr_db:g} dB",
      f"Folds: {folds}, seeds: {seeds}. ± half the 95% interval over {repeats}, where there are at least three.")

# %% [markdown]
# In the paper's Table 3 the same conditions read as follows. They are of other data and not to be compared cell by cell;
# what can be compared is which conditions are hard.

# %% tags=["hide-input"]
theirs = published("nmer", 3)
theirs = theirs[(theirs["metric"] == "UA") & (theirs["snr_db"].astype(float) == snr_db)]
if theirs.empty:
    printed = ", ".join(sorted(set(published("nmer", 3)["snr_db"]), key=float, reverse=True))
    display(Markdown(f"*The paper has no level {snr_db:g} dB; it prints {printed} dB.*"))
else:
    wide = theirs.pivot(index="dataset", columns="condition", values="value")
    table(wide[["a", "v", "l", "a,v", "a,l", "v,l", "avg"]], "tbl-nmer-published-3",
          f"NMER, UA by condition at {snr_db:g} dB, as published (Table 3, Gaussian)", decimals=4, source="")

# %% [markdown]
# ## Table 2, paper and ours
#
# Published rows are IEMOCAP and CMU-MOSEI, both gated. Ours are RAVDESS-AV (six folds of actors, audio and visual) and
# CMU-MOSI (its own split), measured in profile `paper` and kept in `results/measured`, and the corpus of this page's own
# run. Averages are plain means over the incomplete conditions: six for three modalities, two for two.

# %% tags=["hide-input"]
measured = read(ledger("nmer", "paper"))
ours = pd.concat([measured, rows[~rows["key"].isin(measured["key"])]])
blocks = []
for (dataset, profile_of), part in ours[ours["noise"] != ""].groupby(["dataset", "profile"], sort=False):
    mean = summarise(nmer.averaged(part), ["system", "noise", "snr_db", "metric"])
    blocks.append(mean.assign(source=f"measured, profile {profile_of}", dataset=dataset))
paper = published("nmer", 2).rename(columns={"value": "mean"})
paper = paper[paper["system"].isin(systems)].assign(source="published")
both = pd.concat([paper, *blocks])
both["data"] = both["dataset"] + [
    f" ({s.split()[-1]})" if s != "measured, profile paper" else "" for s in both["source"]]
both = both[both["metric"].isin(["WA", "UA"])]
both["cell"] = [f"{m:.4f}" if s == "published" else plus_minus(m, h)
                for m, s, h in zip(both["mean"], both["source"], both.get("high", both["mean"]), strict=True)]
both["snr_db"] = [f"{float(x):g} dB" for x in both["snr_db"]]
both["order"] = both["system"].map(systems.index)
for noise_name in nmer.NOISES:
    one = both[both["noise"] == noise_name]
    wide = one.pivot_table(index=["source", "data", "order", "system"], columns=["metric", "snr_db"],
                           values="cell", aggfunc="first", sort=False)
    wide = wide.reset_index(["source", "order"], drop=True)
    wide = wide[sorted(wide.columns, key=lambda c: (c[0] != "WA", -float(c[1].split()[0])))]
    shown = ["-10 dB", "-20 dB", "-30 dB", "-40 dB"]
    for metric in ("WA", "UA"):
        sub = wide[metric].reindex(columns=shown)
        table(sub, f"tbl-nmer-2-{noise_name}-{metric.lower()}", f"Table 2, {noise_name} noise, {metric} (Avg)",
              "Published: as printed. Measured here (profile paper unless said): mean ± half the 95% interval, over folds (RAVDESS-AV, synthetic) or seeds (CMU-MOSI: first weights only, not other speakers), "
              f"{', '.join(sorted(set(ours['device'])))}, commits {', '.join(sorted(set(ours['commit'])))}. “synthetic” is synthetic data.", source="")

# %% [markdown]
# ## What the real corpora say

# %% tags=["hide-input"]
if measured.empty:
    display(Markdown("*No real rows are measured yet.*"))
for dataset, part in measured.groupby("dataset", sort=False):
    about = (f"folds: {part['fold'].nunique()}, seeds: {part['seed'].nunique()}, trainings: {part['key'].nunique()}, profile paper, "
             f"of {len(nmer.recipes('paper', [keys_of[dataset]], tables=['2']))} in the protocol, "
             f"{', '.join(part['device'].unique())}, commit {', '.join(part['commit'].unique())}, corpus {part['fingerprint'].iloc[0]}")
    display(Markdown(f"**{dataset}** — {about}"))
    ua = part[(part["metric"] == "UA") & (part["noise"] != "")]
    snr_curves(summarise(nmer.averaged(ua), ["system", "noise", "snr_db"]), systems, 1 / classes[dataset])
    found = nmer.differences(ua, others)
    display(Markdown(verdict(found)))
    slug = dataset.lower()
    table(compare(found), f"tbl-nmer-differences-{slug}", f"{dataset}: UA of NMER minus that of the others",
          "Paired, mean over the incomplete conditions. ± half the 95% interval; over seeds it speaks of first weights "
          "only, not of other speakers.",
          source=f"Profile paper, {', '.join(part['device'].unique())}, commit {', '.join(part['commit'].unique())}.")

# %% [markdown]
# ### On clean input
#
# Logistic regression on the same clean rows is the reference. A clean-trained MEN that did worse would be broken.

# %% tags=["hide-input"]
clean = measured[(measured["condition"] == "clean") & measured["system"].isin(["MEN", "LogReg"])]
if not clean.empty:
    out = summarise(clean[clean["metric"] != "F1"], ["dataset", "system", "metric"])
    out["cell"] = [plus_minus(m, h) for m, h in zip(out["mean"], out["high"], strict=True)]
    table(out.pivot(index=["dataset", "system"], columns="metric", values="cell")[["WA", "UA"]], "tbl-nmer-clean",
          "Trained and tested on clean data", "± half the 95% interval over folds (RAVDESS-AV) or seeds (CMU-MOSI).",
          source=f"Profile paper, {', '.join(clean['device'].unique())}, commit {', '.join(clean['commit'].unique())}.")

# %% [markdown]
# ## From a cell to the code
#
# Every cell above is a mean of rows, and every row has the key of its recipe.

# %% tags=["hide-input"]
one = rows[(rows["key"] == chosen.key) & (rows["condition"] == headers[0]) & (rows["metric"] == "UA")].iloc[:1]
shown = one[["dataset", "system", "train", "noise", "snr_db", "condition", "metric", "value", "note", "fold", "seed", "key"]]
table(shown.T.reset_index().set_axis(["column", "value"], axis=1).astype(str), "tbl-nmer-row", "One row of the ledger",
      (f"`robustmer run {one['key'].iloc[0]}` computes it again. " if own else
       "This page has other parameters than the paper's recipes: run it again to compute the row again. ") + "`note` has T and the true SNR of each noisy modality.")
