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
# (cdtp-missing-modes)=
# # Missing modes
#
# CDTP section 3.1. A microphone fails, a face leaves the picture: a modality is not noisy, it is not there.
# **How much can be known without it, how much of that does a network find, and does it help to have met the gap in
# training?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
drop_rate: float = 0.2  # CDTP 4.3
seed: int = 0

# %% tags=["hide-input"]
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display

from robustmer.batch import LETTERS, MODALITIES, Batch
from robustmer.conditions import CLEAN, corrupt, missing, missing_modes
from robustmer.corpora import load, synthetic
from robustmer.display import run_card, table, theme
from robustmer.evaluate import evaluate
from robustmer.noise import stream
from robustmer.papers.cdtp import profile_named
from robustmer.results import RESULTS, published
from robustmer.systems import MPLMM, MPMM, LogReg, MulT
from robustmer.train import fit, seeded

palette = theme()
p = profile_named(profile)
options = {"size": p.size, "pooled": p.pooled} if corpus == "synthetic" else {}
data = load(corpus, **options)
train, valid, test = (part.to(device) for part in data.fold(0))
metric = "WA" if data.classes else "acc2_non0"
source = run_card(profile, data.name, device, drop_rate=f"{drop_rate:g}", seed=seed,
                  fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from
peers = pd.read_csv(RESULTS / "peers" / "cdtp.csv").set_index("what")["value"]

# %% [markdown]
# ## Seven modes
#
# The paper numbers what may be missing of three modalities from 0 to 5, and calls the whole utterance 6. Here a mode is a
# *condition* that names what is **seen**. Table 1 of the paper names its columns by what is seen, too; it writes t for
# text, and this book l.

# %%
seven = (*sorted(missing(MODALITIES), key=lambda c: -len(c.seen)), CLEAN)
modes = pd.DataFrame([
    {"missing": ", ".join(m for m in MODALITIES if c.seen and m not in c.seen),
     "column of Table 1": "" if c is CLEAN else "{" + c.header(MODALITIES) + "}",
     "condition": "CLEAN" if c is CLEAN else f"Condition(seen={c.seen})"}
    for c in seven
])
printed = ["text", "audio", "visual", "audio, text", "visual, text", "audio, visual", ""]
modes.insert(0, "m", [printed.index(gone) for gone in modes["missing"]])

# %% tags=["hide-input"]
table(modes.sort_values("m").replace("", "–"), "tbl-cdtp-modes",
      "The seven modes of CDTP 3.1", "m: the paper's number of the mode. All three missing is none of them.", source="")

# %% [markdown]
# ## Absent is a mask
#
# A modality that is missing is written as `present = False`, beside the features and not in them. Zeros could not say it:
# after standardising, zero is the most ordinary value there is. So there is a law that every system of the library must
# obey: **what is missing cannot change the output**. Below, features of missing modalities are replaced by large random
# numbers in all six cases. For comparison, the same is done to one modality that is seen, and the missing one is declared
# present, with zeros.

# %%
small = {"width": 32, "layers": 2, "heads": 4}
kinds = (MulT, MPMM, MPLMM)
few = train[range(min(32, len(train)))]
draw = stream("law", seed)


def loud(batch: Batch, some) -> Batch:
    """The same rows with other values in some modalities; the masks stay."""
    x = {m: 100 * torch.randn(few.x[m].shape, generator=draw).to(device) for m in some}
    return batch.replace(x={**batch.x, **x})


changes = []
for kind in kinds:
    with seeded("law", seed):
        system = kind(data.dims, data.classes, **small).to(device)
    for case in missing(data.modalities):
        seen = corrupt(few, case, draw)
        gone = [m for m in data.modalities if m not in case.seen]
        zeros = {m: torch.zeros_like(few.x[m]) for m in gone}
        others = {"missing, altered": loud(seen, gone),
                  "seen, altered": loud(seen, case.seen[:1]),
                  "present, but zero": few.replace(x={**few.x, **zeros})}
        said = system.predict(seen)
        changes += [{"system": kind.__name__, "change": words,
                     "by": float((system.predict(other) - said).abs().max())}
                    for words, other in others.items()]
law = pd.DataFrame(changes).groupby(["system", "change"])["by"].max().unstack()
law = law.loc[[kind.__name__ for kind in kinds], list(others)]

# %% tags=["hide-input"]
shown = law.map(lambda x: "0" if x == 0 else f"{x:.2g}")
table(shown, "tbl-cdtp-law", "Largest change of a logit when something changes in the features",
      f"Fresh networks, {len(few)} rows, {len(missing(data.modalities))} cases. 0: equal bit by bit.")
holds = (law["missing, altered"] == 0).all()
same = list(law.index[law["present, but zero"] == 0])
told = [name for name in law.index if name not in same]
prompted = [name for name in told if name != "MulT"]
display(Markdown(
    f"The law {'**holds** bit by bit' if holds else '**is broken**'}. "
    + (f"{' and '.join(same)} cannot tell an absent modality from one that was recorded as zeros "
       f"(on {'vectors' if data.rows.x[data.modalities[0]].shape[1] == 1 else 'these sequences'}): absence reads as "
       "the mean there. " if same else "")
    + ("MulT can: an absent modality is one frame, a recorded one has more. " if "MulT" in told else "")
    + (f"{' and '.join(prompted)} can: prompts say what is missing." if prompted else "")))

# %% [markdown]
# ## The drop rate
#
# In training a row is whole with probability $1 - p$ and otherwise in one of the six modes, each as likely. The paper has
# $p = 0.2$. `missing_modes` says it with repetitions: a row draws one of these conditions, anew in every epoch.

# %%
conditions = missing_modes(data.modalities, drop_rate)
seen = corrupt(train, conditions, stream("epoch", seed, device=device))
there = torch.stack([seen.present[m] for m in data.modalities], 1)
counted = []
for case in (CLEAN, *missing(data.modalities)):
    holds = torch.tensor([case.seen is None or m in case.seen for m in data.modalities])
    share = conditions.count(case) / len(conditions)
    counted.append({
        "seen": "{" + ",".join(LETTERS[m] for m in case.seen or data.modalities) + "}",
        "repetitions": conditions.count(case), "exact share": share,
        "share drawn": float((there.cpu() == holds).all(1).float().mean()),
        "two standard errors": 2 * (share * (1 - share) / len(train)) ** 0.5,
    })
counted = pd.DataFrame(counted)

# %% tags=["hide-input"]
table(counted, "tbl-cdtp-drop-rate", f"What a row draws at a drop rate of {drop_rate:g}",
      f"Drawn: one epoch of {len(train)} training rows of {data.name}.")
off = (counted["share drawn"] - counted["exact share"]).abs() > counted["two standard errors"]
display(Markdown(
    f"{int(off.sum())} of {len(counted)} drawn shares lie beyond two standard errors of the exact one "
    f"(by chance one in twenty does). Each case is met by {drop_rate / len(missing(data.modalities)):.1%} of the rows, and "
    f"a given modality is missing in {drop_rate / 2:.0%} of them: a network "
    + ("mostly learns from whole utterances" if drop_rate < 0.5 else
       "mostly learns from incomplete utterances" if drop_rate > 0.5 else "learns from as many whole as incomplete utterances")
    + f". The rates in public code are {peers['CDTP: drop rate']:g} (CDTP's), {peers['MPLMM: drop rate']:g} and "
    f"{peers['MPLMM: drop rate, README']:g} (MPLMM's, by default and in its README)."))

# %% [markdown]
# ## Six tests
#
# Two of the paper's baselines are one network and two trainings. *MS* learns whole utterances, *MD* meets missing modes at
# the drop rate. Both are MulT, the multimodal transformer; a small one here. Logistic regression on the mean over time is
# trained in both ways, too. An absent modality reads as zeros, which are the mean. The synthetic corpus knows the truth:
# there the rule of Bayes on the hidden states is the best that any classifier can do with the modalities of a case.

# %%
systems = {
    "LogReg, MS": (LogReg, {}, CLEAN), "LogReg, MD": (LogReg, {}, conditions),
    "MulT, MS": (MulT, small | {"lr": 1e-3}, CLEAN),
    "MulT, MD": (MulT, small | {"lr": 1e-3}, conditions),
}
tests = (*missing(data.modalities), CLEAN)
folds = [f for f in p.folds.get(corpus, (0,)) if f < len(data.folds)]
measured, trained = [], {}
for fold in folds:
    parts = [part.to(device) for part in data.fold(fold)]
    for name, (kind, sizes, learns) in systems.items():
        with seeded("missing modes", fold, seed):
            system = kind(data.dims, data.classes, **sizes).to(device)
        list(fit(system, *parts[:2], learns, p.budget, seed=f"{name}, {fold}, {seed}"))
        trained[name, fold] = system
        rows = pd.DataFrame(evaluate(system, parts[2], tests))
        rows = rows[rows["metric"] == metric]
        measured.append(rows.assign(system=name, fold=fold, seed=seed))
measured = pd.concat(measured)
cases = [",".join(LETTERS[m] for m in c.seen) if c.seen else "all" for c in tests]
measured["condition"] = measured["condition"].map(
    dict(zip([c.header(data.modalities) for c in tests], cases, strict=True)))

# %% tags=["hide-input"]
best = {}
if corpus == "synthetic":
    best = {name: synthetic.ceiling(data, c.seen or data.modalities)
            for name, c in zip(cases, tests, strict=True)}
scores = measured.pivot_table(index="system", columns="condition", values="value")[cases].loc[list(systems)]
scores.insert(len(cases) - 1, "mean of cases", scores[cases[:-1]].mean(axis=1))
if best:
    scores.loc["best possible"] = {**best, "mean of cases": sum(best[c] for c in cases[:-1]) / len(cases[:-1])}


def largest(label: torch.Tensor) -> float:
    """The largest class's share of a test part; the larger side's, zeros left out as the metric does, of numbers."""
    label = label if data.classes else (label[label != 0] > 0).long()
    return float(label.bincount().max() / len(label))


always = np.mean([largest(data.fold(f)[2].label) for f in folds])

# %% mystnb={"figure": {"name": "fig-cdtp-six-tests", "caption": "Accuracy on test speakers by what is seen. Circles: means over the folds, bars: their range. Black, on the synthetic corpus only: the rule of Bayes on the hidden states. Dotted: the share of the largest class among the same test rows."}} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(9, 3.9), layout="constrained")
sns.pointplot(measured, x="condition", y="value", hue="system", order=cases, errorbar=("pi", 100), dodge=0.45,
              linestyle="none", palette=palette[:4], markersize=5, err_kws={"lw": 1.2}, ax=axis)
if best:
    axis.hlines([best[c] for c in cases], [i - 0.35 for i in range(len(cases))],
                [i + 0.35 for i in range(len(cases))], color="black", lw=2, label="best possible")
axis.axhline(always, color="grey", ls=":", lw=1)
axis.set(xlabel="seen at test", ylabel=f"accuracy ({metric})", ylim=(0, 1))
axis.legend(title=None, ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.16), fontsize="small")
plt.show()

# %% tags=["hide-input"]
table(scores.rename_axis("seen"), "tbl-cdtp-six-tests", f"Accuracy by what is seen at test, {data.name}",
      f"{metric}; mean over fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))}, one training each. MS: "
      f"trained whole; MD: at a drop rate of {drop_rate:g}."
      + (" Best possible: over all rows of the corpus." if best else ""))


def gain(name: str) -> str:
    """How much MD is above MS, mean over six cases and in how many of them, and with everything seen."""
    by_case = scores.loc[f"{name}, MD", cases] - scores.loc[f"{name}, MS", cases]
    six = by_case[cases[:-1]]
    folds_up = measured[measured["condition"] != "all"].groupby(["system", "fold"])["value"].mean()
    wins = sum(folds_up[f"{name}, MD", f] > folds_up[f"{name}, MS", f] for f in folds)
    return (f"{name}: {100 * six.mean():+.1f} points on average over the cases (higher in {int((six > 0).sum())} of {len(six)} "
            f"cases and {wins} of {len(folds)} fold{'s' if len(folds) > 1 else ''}), {100 * by_case['all']:+.1f} with everything seen")


paper = published("cdtp", 1).query("metric in ['ACC', 'F1'] and condition != 'avg'")
paper = paper.pivot_table(index=["dataset", "metric", "condition"], columns="system", values="value")
up = (paper["MD"] > paper["MS"])
lines = [f"Missing modes in training, MD minus MS: {gain('LogReg')}; {gain('MulT')}. In the paper's Table 1 MD is above MS in "
         f"{int(up.sum())} of {len(up)} numbers, by {float((paper['MD'] - paper['MS']).mean()):.1f} points on average."]
ahead = scores["mean of cases"].drop("best possible", errors="ignore").sort_values()
lines.append(f"Ahead over the cases is **{ahead.index[-1]}** ({ahead.iloc[-1]:.3f}), then {ahead.index[-2]} "
             f"({ahead.iloc[-2]:.3f}): one training a fold, {len(folds)} fold{'s' if len(folds) > 1 else ''} and a small network, so no "
             "more than a hint.")
if best:
    lost = {c: 100 * (best["all"] - best[c]) for c in cases[:-1]}
    cheap, dear = min(lost, key=lost.get), max(lost, key=lost.get)
    lost_mean = sum(lost.values()) / len(lost)
    tops = measured.groupby(["fold", "condition"])["value"].max().unstack()[cases]  # the best of the four
    way = 100 * (pd.Series(best) - tops)
    on_the_way = way[cases[:-1]].mean(axis=1)
    said = ("What is lost is first of all information" if len(folds) > 2 and (on_the_way < lost_mean).all() else
            "Less is lost with the information than on the way from it to an answer"
            if len(folds) > 2 and (on_the_way > lost_mean).all() else
            "Whether more is lost with the information or on the way from it to an answer is not decided on "
            f"{'this fold' if len(folds) == 1 else 'these folds'}")
    lines.insert(0, f"{said}. With {{{dear}}} alone **nobody** could be right more often than {best[dear]:.0%}, "
                 f"{lost[dear]:.0f} points less than with everything; {{{cheap}}} costs {lost[cheap]:.0f}, and the average "
                 f"case {lost_mean:.0f}. On the way from the hidden states to an answer the best of these four in each "
                 f"case and fold loses {on_the_way.mean():.0f} more on average over the cases ("
                 f"{', '.join(f'{x:.0f}' for x in on_the_way)} by fold), and {way['all'].mean():.0f} with everything.")
lines.append("**What the missing modality alone would have said is gone**: a completion can win back only what is lost on the "
             "way to an answer, and a network that imagines a modality can do no better, but for luck, than "
             + ("the black lines of {numref}`fig-cdtp-six-tests`." if best else
                "the best possible answer to what is there. How good that is, only the synthetic corpus knows."))
display(Markdown("\n\n".join(lines)))

# %% [markdown]
# ## What public code does
#
# The code that the paper links and that of MPLMM, from which it starts, differ from the protocol above:
#
# - the mode is drawn when an item is read, by one function for training, validation and test, from a stream without a seed
#   of its own. So every pass over the validation part scores another task, and the test score changes from pass to pass;
# - neither holds a loop over the six cases, so the code behind the columns of Table 1 is not public;
# - the last score is that of the validation split.
#
# Here each row of a test part meets every case, and validation scores every row in each distinct training condition. How
# much does a test score move if modes are drawn instead? The same network, the same rows, a thousand draws:

# %%
fold = folds[0]
judged = data.fold(fold)[2].to(device)
if not data.classes:
    judged = judged[judged.label != 0]  # the metric leaves them out
right = []
for case in tests:
    guess = trained["MulT, MD", fold].predict(corrupt(judged, case, draw))
    hit = guess.argmax(1) == judged.label if data.classes else (
        (guess[:, 0] > 0) == (judged.label > 0))
    right.append(hit.cpu())
right = torch.stack(right).double()  # (case, row)
passes, spread = 1000, []
for rate in sorted({drop_rate, peers["CDTP: drop rate"], peers["MPLMM: drop rate, README"]}):
    drawn = torch.tensor([tests.index(c) for c in missing_modes(data.modalities, rate)])
    choice = torch.randint(len(drawn), (passes, len(judged)),
                           generator=stream("passes", rate, seed))
    score = right[drawn[choice], torch.arange(len(judged))].mean(1)
    spread.append({"drop rate": rate, "expected": float(right[drawn].mean()),
                   "mean of passes": float(score.mean()),
                   "standard deviation": float(score.std()),
                   "lowest": float(score.min()), "highest": float(score.max())})
spread = pd.DataFrame(spread)

# %% tags=["hide-input"]
spread["drop rate"] = spread["drop rate"].map("{:g}".format)
table(spread, "tbl-cdtp-passes", f"Accuracy of one MulT on one test part, {passes} draws of the modes",
      f"MulT, MD, fold {fold}, {len(judged)} rows. Expected: the mean over the conditions, as often as they are drawn.")
ours = paper["CDTP"] - paper["MPLMM"]
usual = ours.round(2).mode().iloc[0]
highest = spread.loc[spread["standard deviation"].idxmax()]
display(Markdown(
    f"At a rate of {highest['drop rate']} the draw alone moves the score with a standard deviation of "
    f"**{100 * highest['standard deviation']:.1f} points** on {len(judged)} rows (it falls with the root of their number). "
    f"The paper's own system is above MPLMM by {usual:.2f} points in {int((ours.round(2) == usual).sum())} of {len(ours)} numbers."))

# %% [markdown]
# **To try:** `drop_rate=0.7`, which is MPLMM's. Does MulT gain in the six cases, and what does it pay with everything seen?
# Or a real corpus, `corpus=mosi_sentiment`: what is left there without the text?
