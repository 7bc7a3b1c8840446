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
# (nmer-calibration-and-cost)=
# # Calibration and cost
#
# The paper reports how often a system is right. A user also wants to know when to believe it and what it takes to run.
# **Does a system that meets noise know that it is less sure, does training with noise teach it that, and what do the
# systems cost?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpora: list[str] = ["synthetic", "ravdess_av"]
folds: int = 1  # how many of the profile's folds are trained and pooled
seed: int = 0

# %% tags=["hide-input"]
from functools import partial
import math

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display

from robustmer.conditions import CLEAN, corrupt, incomplete
from robustmer.corpora import CORPORA, CorpusNotFound, load
from robustmer.cost import random_batch, step_cost
from robustmer.display import run_card, table, theme
from robustmer.metrics import calibration, ece, ece_floor, overconfidence, temperature, wa
from robustmer.noise import NoiseScheduler, stream
from robustmer.papers import nmer
from robustmer.results import claims, published
from robustmer.train import fit, seeded

palette = theme()
p = nmer.profile_named(profile)
data = {}
for key in corpora:
    try:
        data[key] = load(key, **({"size": p.size, "pooled": p.pooled} if key == "synthetic" else {}))
    except CorpusNotFound:
        print(f"{CORPORA[key].ABOUT.title}: not on this machine, left out "
              "(`robustmer data list` says who gives it)")
if not data:
    raise LookupError(f"none of the corpora {', '.join(corpora)} is on this machine; add 'synthetic'")
levels = {db: NoiseScheduler(snr_db=db) for db in dict.fromkeys((p.levels_db[0], p.levels_db[-1]))}
used = {key: p.folds.get(key, (0,))[:folds] for key in data}
source = run_card(profile, [c.name for c in data.values()], device, folds=", ".join(
    f"{data[key].name} {'+'.join(map(str, f))}" for key, f in used.items()), seed=seed)
table = partial(table, source=source)  # every table says where its numbers come from

# %% [markdown]
# ## Four systems
#
# Logistic regression and MEN learn clean data. MEN and NMER learn with noise, each row at one of the levels of this
# profile, since a user does not know the level beforehand (the paper trains a system for each level). Of every test
# utterance under every incomplete condition the *logits* are kept, and those of the validation part for later.

# %%
trained = {"LogReg": False, "MEN": False,
           "MEN, noisy training": True, "NMER": True}


def answers(system, part, conditions):
    """Logits, labels and the number of the utterance, under each condition."""
    recorded, times = part.to("cpu"), len(conditions)
    seen = [corrupt(recorded, c, stream(part.name, c)) for c in conditions]
    logits = torch.cat([system.predict(s.to(device)) for s in seen]).cpu()
    return logits, recorded.label.repeat(times), torch.arange(len(part)).repeat(times)


found = {}
for key, corpus in data.items():
    noisy = {db: incomplete(corpus.modalities, s) for db, s in levels.items()}
    all_levels = [c for conditions in noisy.values() for c in conditions]
    for fold in used[key]:
        parts = [part.to(device) for part in corpus.fold(fold)]
        for name, with_noise in trained.items():
            kind, options = nmer.SPELLING[name.split(",")[0]]
            words = f"{kind.__name__}, fold {fold}, seed {seed}"
            with seeded(words, "initial weights"):
                system = kind(corpus.dims, corpus.classes, **options).to(device)
            conditions = all_levels if with_noise else CLEAN
            list(fit(system, *parts[:2], conditions, p.budget, seed=words))
            for part_name, part in zip(("valid", "test"), parts[1:], strict=True):
                for level, tests in {"clean": [CLEAN], **noisy}.items():
                    found.setdefault((key, name, level, part_name), []).append(
                        answers(system, part, tests))

# %% tags=["hide-input"]
def pooled(parts) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The folds one after the other; utterances of two folds are two utterances."""
    offset, numbers = 0, []
    for _, _, utterance in parts:
        numbers.append(utterance + offset)
        offset += int(utterance.max()) + 1
    return torch.cat([a for a, _, _ in parts]), torch.cat([b for _, b, _ in parts]), torch.cat(numbers)


pool = {key: pooled(parts) for key, parts in found.items()}
level_name = lambda level: level if level == "clean" else f"{level:g}\u00a0dB"  # noqa: E731
loudest = list(levels)[-1]

# %% [markdown]
# ## As sure as it is right
#
# The *confidence* of an answer is the probability that the softmax gives to it. A system is *calibrated* if, of all
# answers given with confidence 0.7, 70% are right. The reliability curve shows that bin by bin, and the expected
# calibration error, over $B$ bins with $n_b$ of the $n$ answers each, is the mean distance from the diagonal:
#
# $$ \mathrm{ECE} = \sum_{b=1}^{B} \frac{n_b}{n}\, \left| \mathrm{accuracy}_b - \mathrm{confidence}_b \right| . $$

# %% mystnb={"figure": {"name": "fig-nmer-reliability", "caption": "Reliability: share of right answers against confidence, in eight bins with equally many answers, a row for each corpus, a column for each level of Gaussian noise in the test (all incomplete conditions together). Below the dotted diagonal a system is surer than it is right."}} tags=["hide-input"]
figure, axes = plt.subplots(len(data), 1 + len(levels), figsize=(3 * (1 + len(levels)), 0.6 + 2.9 * len(data)),
                            sharex=True, sharey=True, layout="constrained", squeeze=False)
for row, key in zip(axes, data, strict=True):
    for axis, level in zip(row, ["clean", *levels], strict=True):
        axis.plot([0, 1], [0, 1], ":", color="grey", lw=1)
        for colour, name in zip(palette, trained, strict=False):
            logits, label, _ = pool[key, name, level, "test"]
            _, confidence, accuracy = calibration(logits.softmax(1), label, bins=8, equal_mass=True)
            axis.plot(confidence, accuracy, "o-", color=colour, lw=1.2, ms=5, alpha=0.8, label=name)
        axis.set(title=f"{data[key].name}, {level_name(level)}", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    row[0].set_ylabel("right")
for axis in axes[-1]:
    axis.set_xlabel("confidence")
handles = [plt.Line2D([], [], color=c, marker="o", label=n) for c, n in zip(palette, trained, strict=False)]
figure.legend(handles=handles, loc="outside lower center", ncols=4)
plt.show()

# %% [markdown]
# ## What a perfect system would get
#
# A distance is never negative, so with few answers in a bin the ECE is above 0 even where nothing is wrong. How far? Give
# each answer its own confidence as the chance of being right, draw who is right, and compute the ECE again, many times:
# that is the **floor**. An utterance appears under several conditions; in the draws its answers are right together, the
# cautious choice. Only an ECE above 95% of the draws says something. Bins of equal mass are a second opinion: there no bin
# is nearly empty.

# %%
def judge(logits, label, utterance, name: str) -> dict[str, object]:
    probability = logits.softmax(1)
    draws = ece_floor(probability, stream("floor", name), utterance)
    error, highest = ece(probability, label), float(draws.quantile(0.95))
    too_sure = overconfidence(probability, label)
    reading = "too sure" if too_sure > 0 else "not sure enough"
    return {
        "right": wa(label, probability.argmax(1)), "too sure by": too_sure,
        "ECE": error, "equal mass": ece(probability, label, equal_mass=True),
        "floor": float(draws.mean()), "floor, 95%": highest,
        "reading": reading if error > highest else "within the floor",
    }


errors = pd.DataFrame([
    {"corpus": data[key].name, "test": level_name(level), "system": name,
     **judge(*pool[key, name, level, "test"], f"{key} {level}")}
    for key in data for level in ["clean", *levels] for name in trained
])

# %% tags=["hide-input"]
tested = ", ".join(f"{data[key].name} {len(pool[key, 'MEN', 'clean', 'test'][1])}" for key in data)
table(errors.drop(columns="floor"), "tbl-nmer-ece", "Calibration on the test part",
      f"Gaussian noise, all incomplete conditions together. 15 bins. Test utterances: {tested}. “Too sure by” is mean "
      "confidence minus the share of right answers (WA).", decimals=3)
counts = errors.groupby("reading").size()
said = ", ".join(f"{n} {'are' if n > 1 else 'is'} **{reading}**" for reading, n in counts.items())
display(Markdown(
    f"Of {len(errors)} lines {said}. The floor is {errors['floor'].min():.3f} to {errors['floor'].max():.3f}, mean over its "
    "draws: an ECE of that size means nothing."))

# %% [markdown]
# ## Does over-confidence grow with noise, and does training with noise mend it?
#
# Over-confidence (confidence minus right or wrong) is a mean over utterances, so two levels, or two systems, can be
# compared utterance by utterance. The interval is over test utterances, as if
# each were independent: it speaks of these speakers and this training, and is too narrow for others.

# %%
def too_sure(key: str, name: str, level) -> torch.Tensor:
    """Over-confidence of each test utterance, mean over its conditions."""
    logits, label, utterance = pool[key, name, level, "test"]
    confidence, guess = logits.double().softmax(1).max(1)
    gap = confidence - (guess == label).double()
    utterances = int(utterance.max()) + 1
    sums = torch.zeros(utterances, dtype=gap.dtype).index_add_(0, utterance, gap)
    return sums / (len(utterance) / utterances)


def mean_and_half(values: torch.Tensor) -> tuple[float, float]:
    return float(values.mean()), 1.96 * float(values.std()) / math.sqrt(len(values))


changes = []
for key in data:
    for name in trained:
        mean, half = mean_and_half(
            too_sure(key, name, loudest) - too_sure(key, name, "clean"))
        question = f"{level_name(loudest)} minus clean"
        changes.append((data[key].name, question, name, mean, half))
    for level in ["clean", *levels]:
        mean, half = mean_and_half(
            too_sure(key, "MEN, noisy training", level) - too_sure(key, "MEN", level))
        question = "MEN, noisy training minus MEN"
        changes.append((data[key].name, question, level_name(level), mean, half))
changes = pd.DataFrame(changes, columns=["corpus", "question", "system", "mean", "half"])

# %% tags=["hide-input"]
shown = changes.assign(change=[f"{m:+.3f}\u00a0±\u00a0{h:.3f}" for m, h in zip(changes["mean"], changes["half"], strict=True)])
table(shown[["corpus", "question", "system", "change"]].rename(columns={"system": "system, or test"}),
      "tbl-nmer-overconfidence", "Change in over-confidence",
      "Paired by utterance; ± half the 95% interval over test utterances.")


def sort_out(part: pd.DataFrame, up: str, down: str) -> str:
    """Which of these changes are beyond their interval, and in which direction."""
    named = lambda some: ", ".join(f"{s} ({m:+.2f})" for s, m in some[["system", "mean"]].to_numpy())  # noqa: E731
    groups = {up: part[part["mean"] > part["half"]], down: part[part["mean"] < -part["half"]],
              "not told apart": part[part["mean"].abs() <= part["half"]]}
    return "; ".join(f"{words}: {named(some)}" for words, some in groups.items() if len(some))


for corpus_name, part in changes.groupby("corpus", sort=False):
    first, second = (part[part["question"].str.startswith("MEN") == flag] for flag in (False, True))
    display(Markdown(
        f"- **{corpus_name}**, from clean to {level_name(loudest)}: over-confidence {sort_out(first, 'grows', 'shrinks')}.\n"
        f"- **{corpus_name}**, a MEN that learnt noise instead of clean data, by test: its over-confidence is "
        f"{sort_out(second, 'higher', 'lower')}."))

# %% [markdown]
# ## One number as a remedy
#
# Temperature scaling divides all logits by one number $T$ that is fitted on the **validation** part, and changes no
# answer. But on which validation rows? Clean ones are at hand. Rows under the noise of the test need somebody who knows
# the noise. Both:

# %%
remedies = []
for key in data:
    for name in trained:
        for level in ["clean", *levels]:
            logits, label, utterance = pool[key, name, level, "test"]
            line = {"corpus": data[key].name, "test": level_name(level),
                    "system": name, "as it is": ece(logits.softmax(1), label)}
            for words, rows in {"clean": "clean", "same noise": level}.items():
                t = temperature(*pool[key, name, rows, "valid"][:2])
                scaled = judge(logits / t, label, utterance, f"{key} {level}")
                mended = scaled["reading"] == "within the floor"
                line |= {f"T, {words}": t, f"ECE, {words}": scaled["ECE"],
                         f"mended, {words}": mended}
            remedies.append(line)
remedies = pd.DataFrame(remedies)

# %% tags=["hide-input"]
flags = [c for c in remedies if c.startswith("mended")]
table(remedies.drop(columns=flags), "tbl-nmer-temperature", "ECE on the test part before and after temperature scaling",
      "T fitted on validation rows: clean, or under the conditions and level of the test. T above 1 makes a system less sure. "
      "15 bins.", decimals=3)
lines = []
for test, part in remedies.groupby("test", sort=False):
    better = {w: int((part[f"ECE, {w}"] < part["as it is"]).sum()) for w in ("clean", "same noise")}
    mended = {w: int(part[f"mended, {w}"].sum()) for w in ("clean", "same noise")}
    if test == "clean":
        lines.append(f"- Tested clean: the temperature lowers {better['clean']} of {len(part)} ECEs and brings "
                     f"{mended['clean']} within the floor.")
    else:
        lines.append(f"- Tested at {test}: a temperature from clean rows lowers {better['clean']} of {len(part)} ECEs and "
                     f"brings {mended['clean']} within the floor; one from rows under the same noise {better['same noise']} and "
                     f"{mended['same noise']}.")
hard = remedies[remedies["test"] != "clean"]
gap = float((hard["ECE, clean"] - hard["ECE, same noise"]).mean())
lines.append(f"- Under noise, the clean temperature leaves an ECE that is {abs(gap):.3f} {'higher' if gap > 0 else 'lower'} on "
             "average than that of the temperature that knows the noise.")
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## What a system costs
#
# Every system of this part makes training steps on one random batch of IEMOCAP's shapes (155 audio frames, 50 visual, 22
# tokens). Operations are counted product by product, with fused LSTMs switched off, since their products would not be
# seen. One thread computes; seconds are those of the processor, median over several steps. Where a teacher comes first,
# its step counts half: it has half of the budget.

# %%
rows_a_step = {"smoke": 2, "quick": 8}.get(profile, 128)
steps = {"smoke": 1, "quick": 3}.get(profile, 9)
batch = random_batch(rows_a_step).to(device)
conditions = incomplete(batch.modalities, NoiseScheduler(snr_db=-10))
costs = {}
for kind in dict.fromkeys(kind for kind, _ in nmer.SPELLING.values()):
    with seeded("cost", seed):
        system = kind(batch.dims, ("happy", "angry", "sad", "neutral")).to(device)
    costs[kind.__name__] = step_cost(system, batch, conditions, steps)

# %% tags=["hide-input"]
one = published("nmer", 1).query("dataset == 'IEMOCAP' and split == 'train'")["value"]
rows_to_train = int(one.iloc[0])
epochs = int(claims("nmer").query("quantity == 'epochs'")["value"].iloc[0])
spelled = {kind.__name__: words for words, (kind, options) in reversed(nmer.SPELLING.items()) if not options}
cost_table = pd.DataFrame([
    {"system": spelled.get(c.system, c.system), "parameters": f"{c.parameters:,}", "read at test": f"{c.read:,}",
     "GFLOP a row": c.flops_per_row / 1e9, "ms a row": 1000 * c.seconds / c.rows,
     "s an epoch": c.epoch_seconds(rows_to_train), "MiB a row": c.kept_bytes / c.rows / 2**20,
     "test, GFLOP a row": c.predict_flops / c.rows / 1e9, "test, ms a row": 1000 * c.predict_seconds / c.rows}
    for c in costs.values()
])
table(cost_table, "tbl-nmer-cost", "Cost of a training step and of a prediction, for each utterance",
      f"Batch of {rows_a_step}, median of {steps} steps, one thread, {'CPU' if device == 'cpu' else 'wall-clock'} seconds on "
      f"the machine that made this page. An epoch is of {rows_to_train} utterances, IEMOCAP's training rows. MiB: what the backward "
      "pass keeps. “Read at test”: parameters that a prediction reads; the others are a teacher's, a way back's, or never read.",
      decimals=2)

# %% mystnb={"figure": {"name": "fig-nmer-cost", "caption": "Parameters, operations and seconds of a training step and memory for its backward pass, as multiples of MEN's. Systems without a deep network are left out."}} tags=["hide-input"]
base = costs["MEN"]
measures = {"parameters": lambda c: c.parameters, "operations": lambda c: c.flops_per_row, "seconds": lambda c: c.seconds,
            "memory": lambda c: c.kept_bytes}
deep = {n: c for n, c in costs.items() if c.flops_per_row > 0.1 * base.flops_per_row}
times = pd.DataFrame([{"system": spelled.get(c.system, c.system), "measure": m, "times MEN": f(c) / f(base)}
                      for c in deep.values() for m, f in measures.items()])
figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
sns.stripplot(times, x="system", y="times MEN", hue="measure", palette=palette[:4], dodge=True, jitter=False, size=9, ax=axis)
axis.set(yscale="log", xlabel="")
axis.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"], minor=False)
axis.set_yticks([], minor=True)
axis.axhline(1, color="grey", lw=1, zorder=0)
axis.legend(title=None, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
plt.show()

# %% tags=["hide-input"]
wide = times.pivot(index="system", columns="measure", values="times MEN")
agree = float(wide["parameters"].corr(wide["seconds"], method="spearman"))
counted = float(wide["operations"].corr(wide["seconds"], method="spearman"))
nmer_cost = costs["NMER"]
dearest = wide["seconds"].idxmax()
most = wide["parameters"].idxmax()
hours = nmer_cost.epoch_seconds(rows_to_train) * epochs / 3600
display(Markdown(
    f"Among the deep systems parameters order the seconds with a rank correlation of {agree:.2f}, operations with {counted:.2f}. "
    f"The most parameters are those of {most}, the most seconds those of {dearest}"
    + (", the same system. " if most == dearest else ". ")
    + f"NMER costs {wide.loc['NMER', 'seconds']:.1f} times the seconds of MEN, and {1 - nmer_cost.read / nmer_cost.parameters:.0%} of "
    f"its parameters are read by no prediction: its teacher, and the queries and keys of an attention over one token. The paper's "
    f"{epochs} epochs of one fold would take about {hours:.1f} hours here on one thread."))

# %% [markdown]
# **To try:** `corpora='[mosi_bclstm]'`, or three folds (`folds=3`): is the floor lower, and which readings of
# {numref}`tbl-nmer-ece` change?
