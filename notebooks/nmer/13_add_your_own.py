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
# (nmer-add-your-own)=
# # Add your own system
#
# A system is one class. This page writes a new one, holds it against the laws that every system keeps, and puts it into
# the comparison on the same folds and under the same noise. **Can some forty lines that look for noise stand beside NMER?**
# Two short cells at the end add a noise and a corpus.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -40.0  # the level at which the gates and the new noise are looked at
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
import time
from dataclasses import replace
from functools import partial

import joblib
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from torch import nn
from torch.nn.functional import cross_entropy, softplus

from robustmer import laws
from robustmer.batch import collate, mean_over_time
from robustmer.conditions import CLEAN, corrupt, everything, incomplete
from robustmer.corpora import Corpus, find, folds_by_group, load
from robustmer.display import run_card, snr_curves, table, theme
from robustmer.evaluate import evaluate
from robustmer.grid import cross_validate
from robustmer.noise import NoiseScheduler, stream
from robustmer.papers import is_own, nmer
from robustmer.recipe import describe
from robustmer.statistics import holm, paired, plus_minus, summarise
from robustmer.systems import LogReg, Objective, Stage, System
from robustmer.train import Budget, fit, seeded

theme()
kind = nmer.noise_kind(noise)
about = find(corpus)

# %% [markdown]
# ## The idea
#
# Logistic regression on all modalities is a vote: each modality $m$ adds its evidence $\mathbf W_m \mathbf x_m$, and noise
# votes as loudly as speech. The new system turns noisy votes down,
#
# $$
# \begin{aligned}
# \text{logits} &= \sum_m g_m(\mathbf x_m) \left(\mathbf W_m \mathbf x_m + \mathbf b_m\right), \\
# g_m(\mathbf x_m) &= \operatorname{softplus}\left(a_m \log \lVert \mathbf P_m \mathbf x_m + \mathbf c_m \rVert^2 + d_m\right) .
# \end{aligned}
# $$
#
# The gate $g_m$ looks at one number, the energy of its own modality along a few learnt directions. Features of real
# utterances vary along few directions, white noise along all alike, so that number can tell them apart. Nobody tells the
# gate which modality is noisy. With all gates at 1 the system *is* logistic regression, so the comparison of the two shows
# what the gates are worth.
#
# ## The class
#
# `forward` maps a `Batch` (what is seen) to logits; `stages` says what is trained, by which loss. `x[m]` is (B, T, D), the
# masks `real[m]` (B, T) and `present[m]` (B,) say which frames were recorded and which rows have the modality.


# %%
class GatedVote(System):
    """Every modality votes; a gate that sees nothing else says how much its vote counts."""

    def __init__(self, dims, classes, directions=8, l2=0.1, lr=0.01):
        super().__init__()
        self.l2, self.lr = l2, lr
        each = dims.items()
        self.vote = nn.ModuleDict({m: nn.Linear(d, len(classes)) for m, d in each})
        self.look = nn.ModuleDict({m: nn.Linear(d, directions) for m, d in each})
        self.gate = nn.ModuleDict({m: nn.Linear(1, 1) for m in dims})
        for layer in self.vote.values():  # where the book's logistic regression begins too
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def gates(self, seen):
        """(B, 1) for each modality; one that is absent does not count."""
        gates = {}
        for m in self.vote:
            looked = self.look[m](mean_over_time(seen.x[m], seen.real[m]))
            energy = looked.square().mean(1, keepdim=True)
            gate = softplus(self.gate[m]((energy + 1e-3).log()))
            gates[m] = torch.where(seen.present[m][:, None], gate, 0.0)
        return gates

    def forward(self, seen):
        return sum(gate * self.vote[m](mean_over_time(seen.x[m], seen.real[m]))
                   for m, gate in self.gates(seen).items())

    def stages(self):
        everything = Objective(self.loss, self.parameters(), lr=self.lr, weight_decay=0.0)
        yield Stage("classify", {"all": everything}, select=False)

    def loss(self, clean, seen):
        weights = [layer.weight for layer in (*self.vote.values(), *self.look.values())]
        size = sum(weight.square().sum() for weight in weights)
        return {"cls": cross_entropy(self(seen), seen.label), "l2": 0.5 * self.l2 * size}


# %% [markdown]
# Penalty and learning rate are those of this book's logistic regression, not tuned for the new system. That its gates look
# at the energy, and not at the features or the vote itself, was chosen by the validation scores of three folds. (With
# folds every validation speaker is a test speaker elsewhere; a choice made so is never quite free of the test.)
#
# ## The laws
#
# `laws.check` holds a class against what every system of this book keeps, on small batches with two and three modalities.
# It returns the terms of the loss that read the clean rows behind the noisy ones. A reconstruction is meant to; where the
# term of the task does, training sees what the test will not show.

# %%
read_clean = laws.check(GatedVote)
print(f"{len(laws.LAWS)} laws kept on {len(laws.SHAPES)} shapes:",
      *(law.__name__.replace("_", " ") for law in laws.LAWS), sep="\n  ")
print("terms that read clean rows:", ", ".join(sorted(read_clean)) or "none")


# %% [markdown]
# A law that is broken is named. Here is the commonest slip, a mask forgotten:


# %%
class Forgetful(GatedVote):
    def gates(self, seen):
        everywhere = {m: torch.ones_like(there) for m, there in seen.present.items()}
        return super().gates(seen.replace(present=everywhere))


try:
    laws.check(Forgetful)
except AssertionError as broken:
    print(*str(broken).split(" on "), sep="\non ")

# %% [markdown]
# ## The comparison
#
# A `Recipe` says everything that decides a number. The recipes of Table 2 are there already; replacing the system in those
# of logistic regression gives the same folds, seeds, noise, conditions and budget for the new one.

# %%
p = nmer.profile_named(profile)
others = ["LogReg, noisy training", "MEN, noisy training", "NMER"]
levels = sorted({*p.levels_db, snr_db}, reverse=True)
table_2 = nmer.recipes(profile, [corpus], levels, seed, [noise], tables=["2"])
theirs = [r for r in table_2 if r.name in others]
mine = [replace(r, system=GatedVote, name="Gated vote")
        for r in theirs if r.name == others[0]]
print(len(mine), "trainings of the new system,", len(theirs), "of the others")
print("key of the first:", mine[0].key)
print("hash of the source in it:", describe(mine[0])["source"])

# %% [markdown]
# The key of a system that is not in the library contains a hash of its source, with the functions and values that it
# uses. Edit the class, run the page again, and rows of the old class are not taken for rows of the new one.
# `own=False` keeps the rows apart from `results/measured`, which holds only what everybody can run again. Rows of the
# others that are there already, from this page or another, are not computed again.

# %%
start = time.perf_counter()
jobs = joblib.cpu_count() if device == "cpu" else 1
run = partial(cross_validate, paper="nmer", profile=profile, jobs=jobs, device=device,
              progress=False)
rows = pd.concat([run(mine, own=False),
                  run(theirs, own=is_own("nmer", profile, theirs))], ignore_index=True)
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
folds, seeds = rows["fold"].nunique(), rows["seed"].nunique()
source = run_card(profile, about.NAME, device, seconds, folds=folds, seeds=seeds, noise=noise,
                  fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)  # every table says where its numbers come from
systems = ["Gated vote", *others]
ua = rows[(rows["metric"] == "UA") & (rows["noise"] != "")]
means = nmer.averaged(ua)

# %% mystnb={"figure": {"name": "fig-nmer-own-system", "caption": "UA against the nominal SNR, mean over the incomplete conditions. All systems were trained with the noise and level that they are tested at. Bands: 95% interval over folds (over seeds where the corpus has one fold), where there are three. Dotted: chance."}} tags=["hide-input"]
snr_curves(summarise(means, ["system", "noise", "snr_db"]), systems, 1 / about.ABOUT.classes)

# %% tags=["hide-input"]
average = summarise(means, ["system", "snr_db"])
average["cell"] = [plus_minus(m, h) for m, h in zip(average["mean"], average["high"], strict=True)]
shown = average.pivot(index="system", columns="snr_db", values="cell").loc[systems]
shown = shown[sorted(shown.columns, key=float, reverse=True)].rename(columns=lambda x: f"{x} dB").rename_axis(columns=None)
table(shown, "tbl-nmer-own-system", "UA of the new system and the others, mean over the incomplete conditions",
      f"Folds: {folds}, seeds: {seeds}. ± half the 95% interval, where there are three repetitions.")

found = pd.DataFrame([{"snr_db": f"{x:g}", "other": other} | paired(means[means["snr_db"] == f"{x:g}"], "Gated vote", other)
                      for x in levels for other in others])
found["p_holm"] = holm(found["p"])
cells = found.assign(level=found["snr_db"] + "\u00a0dB", other="minus " + found["other"],
                     difference=[plus_minus(m, h, sign=True) for m, h in zip(found["mean"], found["high"], strict=True)],
                     repetitions=[f"{k} {unit}{'s' * (k > 1)}"
                                  for k, unit in zip(found["repetitions"], found["unit"], strict=True)])
table(cells[["level", "other", "difference", "repetitions", "p_holm"]].rename(columns={"p_holm": "p (Holm)"}),
      "tbl-nmer-own-differences", "UA of the new system minus that of the others, paired",
      "Both met the same rows under the same noise. ± half the 95% interval; p of the paired t-test, corrected for all "
      "comparisons of this table.")

# %% tags=["hide-input"]
lines = []
for other, part in found.groupby("other", sort=False):
    at = part["snr_db"] + " dB (" + part["mean"].map("{:+.3f}".format) + ")"
    ahead, behind = list(at[part["low"] > 0]), list(at[part["high"] < 0])
    beyond = [f"ahead at {', '.join(ahead)}"] * bool(ahead) + [f"behind at {', '.join(behind)}"] * bool(behind)
    said = " and ".join(beyond) + " (beyond the interval)" if beyond else "no difference beyond the interval"
    if part["low"].isna().all():
        said = "too few repetitions for an interval"
    lines.append(f"- Against **{other}**: {said}. The differences are {', '.join(at)}.")
tested = found["p_holm"].notna().sum()
lines.append(f"\nCorrected for {tested} comparisons, {int((found['p_holm'] < 0.05).sum())} stay below p = 0.05."
             if tested else "\nNo difference can be tested here: run profile quick or paper.")
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## Do the gates see the noise?
#
# A system may do well for another reason than its author thinks. So train it once more and look at the gates, on the
# validation part of the first fold: each row clean, and the same row with noise.

# %%
scheduler = NoiseScheduler(kind, snr_db=snr_db)
first = mine[0]
data = load(corpus, **first.corpus_options)
train, valid, _ = (part.to(device) for part in data.fold(first.fold))
with seeded("gates"):
    system = GatedVote(data.dims, data.classes).to(device)
history = list(fit(system, train, valid, incomplete(data.modalities, scheduler), first.budget))
noisy = corrupt(valid, everything(data.modalities, scheduler), stream("gates", device=device))
with torch.no_grad():
    gates = {"clean": system.eval().gates(valid), "noisy": system.gates(noisy)}

# %% tags=["hide-input"]
mean = {state: {m: float(g.mean()) for m, g in values.items()} for state, values in gates.items()}
lower = {m: float((gates["noisy"][m] < gates["clean"][m]).float().mean()) for m in data.modalities}
looked = pd.DataFrame([{"modality": m, "clean": mean["clean"][m], "noisy": mean["noisy"][m],
                        "noisy / clean": mean["noisy"][m] / mean["clean"][m],
                        "rows whose gate closes": lower[m]} for m in data.modalities])
table(looked, "tbl-nmer-gates", f"The gate of each modality on clean rows and with {noise} noise at {snr_db:g} dB",
      f"Mean over {len(valid)} validation rows. Rows whose gate closes: share whose gate is lower with noise; 0.5 is chance.",
      decimals=2)
closing = [m for m in data.modalities if mean["noisy"][m] < mean["clean"][m] and lower[m] > 0.5]
display(Markdown(
    f"The gates close on noise in {len(closing)} of {len(data.modalities)} modalities"
    + (f" ({', '.join(closing)})" if closing else "")
    + (": they do what they were made for." if len(closing) == len(data.modalities)
       else ": whatever the system gains, it does not gain it as intended everywhere." if closing
       else ". **Whatever the system gains, it does not gain it as intended.**")))


# %% [markdown]
# ## A noise of your own
#
# A noise is a callable `(shape, generator) -> tensor`. This one hits one value in fifty, hard. Its power is 1, as that of
# Gaussian noise is, so for these two the same level means the same SNR.


# %%
def spikes(shape, generator):
    """One value in fifty is +-sqrt(50), the others are 0."""
    u = torch.rand(shape, generator=generator, device=generator.device)
    return 50**0.5 * ((u < 0.01).float() - (u > 0.99).float())


spiky = NoiseScheduler(spikes, snr_db=snr_db)
tested = nmer.every_condition(data.modalities, spiky)
learnt = incomplete(data.modalities, spiky)
at_level = [r for r in [*mine, *theirs] if r.name in systems[:2]]
at_level = nmer.trained_with(at_level, scheduler)
elsewhere = [replace(r, test=tested) for r in at_level]
at_home = [replace(r, test=tested, train=learnt) for r in at_level]
spiky_rows = run([*elsewhere, *at_home], own=False)

# %% tags=["hide-input"]
both = pd.concat([means, nmer.averaged(spiky_rows[spiky_rows["metric"] == "UA"])], ignore_index=True)
both = both[both["system"].isin(systems[:2]) & (both["snr_db"] == f"{snr_db:g}")]
out = summarise(both, ["system", "train", "noise"])
out["cell"] = [plus_minus(m, h) for m, h in zip(out["mean"], out["high"], strict=True)]
out["train"] = out["train"].str.replace(" ", "\u00a0")
wide = out.assign(noise="tested under " + out["noise"]).pivot(index=["system", "train"], columns="noise", values="cell")
table(wide.rename_axis(columns=None), "tbl-nmer-spikes", f"UA under a noise of your own and under {noise} noise, {snr_db:g} dB",
      "Mean over the incomplete conditions, by the noise of the training. ± half the 95% interval, where there are three "
      "repetitions. A dash: not trained so.")
under = both[both["noise"] == "spikes"]
worth = {s.split(",")[0]: paired(under[under["system"] == s].assign(system=under["train"]), f"spikes {snr_db:g} dB",
                                 f"{noise} {snr_db:g} dB") for s in systems[:2]}
needed = [s for s, w in worth.items() if w["low"] > 0]
display(Markdown(
    "Under spikes, having trained with spikes is worth "
    + " and ".join(f"{plus_minus(w['mean'], w['high'], sign=True)} UA to {s}" for s, w in worth.items())
    + f", compared with {noise} noise. "
    + ("There are too few repetitions for an interval." if all(np.isnan(w["low"]) for w in worth.values())
       else f"**Beyond the interval, {' and '.join(needed)} gained from meeting this noise before.**" if needed
       else "**No gain is beyond its interval**: with so few repetitions the two trainings cannot be told apart.")))

# %% [markdown]
# ## A corpus of your own
#
# Arrays become a corpus by `collate`, which pads and checks them, and `Corpus`, which holds the folds and refuses those
# that divide a speaker. An array is (frames, features), or one vector. These are invented: nine speakers, three classes,
# which show in the voice and hardly in the face.

# %%
random = np.random.default_rng(seed)
moods = ("calm", "glad", "cross")
speaker = np.repeat([f"speaker {i}" for i in range(9)], 30)
label = random.integers(len(moods), size=len(speaker))
centres = {"audio": random.normal(size=(3, 20)), "visual": 0.3 * random.normal(size=(3, 12))}
arrays = {m: [random.normal(size=(random.integers(4, 9), c.shape[1])) + c[mood]
              for mood in label] for m, c in centres.items()}
names = [tuple(f"speaker {i}" for i in range(k, k + 3)) for k in (0, 3, 6)]
folds_of_mine = folds_by_group(speaker, names, names[1:] + names[:1])
my_corpus = Corpus("invented", moods, collate(arrays, label, speaker), folds_of_mine)

# %% [markdown]
# `fit` and `evaluate` are all that a comparison needs:

# %%
scheduler = NoiseScheduler(kind, snr_db=-10)
conditions = (CLEAN, *nmer.every_condition(my_corpus.modalities, scheduler))
measured = []
for fold in range(len(my_corpus.folds)):
    train, valid, test = my_corpus.fold(fold)
    for make in (GatedVote, LogReg):
        with seeded(make.__name__, fold):
            system = make(my_corpus.dims, my_corpus.classes)
        steps = Budget(epochs=0, min_steps=3 if profile == "smoke" else 200)
        for _ in fit(system, train, valid, incomplete(my_corpus.modalities, scheduler), steps):
            pass
        measured += evaluate(system, test, conditions)

# %% tags=["hide-input"]
measured = pd.DataFrame([row.__dict__ for row in measured])
part = measured[measured["metric"] == "UA"]
wide = part.pivot_table(index="system", columns="condition", values="value", sort=False).rename_axis(columns=None)
table(wide, "tbl-nmer-own-corpus", f"UA on a corpus of your own, by the modalities that are clean; {noise} noise at -10 dB",
      f"Mean over {len(my_corpus.folds)} folds of speakers, trained under the incomplete conditions. Invented data.",
      source=f"Profile {profile}, cpu, fingerprint {my_corpus.fingerprint}.")
under_noise = wide.drop(columns="clean").mean(axis=1)
display(Markdown(f"Averaged over the conditions with noise, {under_noise.idxmax()} reaches {under_noise.max():.3f} and "
                 f"{under_noise.idxmin()} {under_noise.min():.3f}; always giving one class has {1 / len(moods):.3f}."))

# %% [markdown]
# ## Hand it on
#
# What was defined in cells here becomes part of the book by moving it into a file:
#
# | new | one file | one line |
# | --- | --- | --- |
# | system | `src/robustmer/systems/<name>.py` | in `SYSTEMS` of `systems/__init__.py` |
# | noise | a frozen dataclass in `src/robustmer/noise.py` | in `NOISES` of `papers/nmer.py`, to have it in the tables |
# | corpus | `src/robustmer/corpora/<name>.py` with `NAME`, `ABOUT`, `load`, `check` | in `CORPORA` of `corpora/__init__.py` |
#
# The tests then hold a system of `SYSTEMS` against the laws by themselves, and its recipes are named without the source,
# because the commit in each row tells one state of the library from another. `CONTRIBUTING.md` says the rest.
#
# **To try:** replace the gate by a constant 1 and run the page again: by how much do the differences to logistic regression
# shrink? Or let `look` see frames before they are averaged, and run `robustmer run` with `corpus` set to one of yours.
