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
# A system is one class, a corpus is a few arrays, a noise is a function. **Can forty lines of your own stand beside NMER,
# without a change in the library?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -40.0
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import tempfile
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import softplus

import robustmer as rm
from robustmer import laws
from robustmer.book.answers import answer, own_run
from robustmer.book.display import table
from robustmer.book.figures import forest
from robustmer.book.picture import show
from robustmer.experiments import project
from robustmer.experiments.findings import Estimate, compared
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.profiles import ledger_of
from robustmer.experiments.statistics import paired, text_of
from robustmer.experiments.tables import Place, Results, wide
from robustmer.noise import stream

people = pd.read_csv(project() / "results/measured/nmer/derived_own.csv")
names = {
    "LogReg": "logistic regression that met the noise",
    "MEN": "MEN that met the noise",
    "NMER": "NMER",
}
ahead = pd.DataFrame([
    {"level": level, "row": words, **paired(part.assign(value=100 * part["value"]), "gated vote", other)}
    for level, part in people.groupby("level") for other, words in names.items()
]).rename(columns={"mean": "value"})  # fmt: skip
strong = ahead[ahead["level"] == -40].set_index("row")
estimates = {
    row: Estimate("", line["value"], line["low"], line["high"])
    for row, line in strong.iterrows()
}

answer(
    "Yes: the class and the corpus below have fewer than forty lines together, and neither is registered anywhere.",
    ("At −40 dB, on 24 actors: " + compared("the new system", "NMER", estimates["NMER"]), "people"),
    (compared("The new system", "logistic regression", estimates[names["LogReg"]]), "people"),
)  # fmt: skip

rows = ahead.assign(
    kind="people", panel=[f"at −{-level:g} dB" for level in ahead["level"]]
)
show(
    lambda width: forest(rows.sort_values("level", ascending=False, kind="stable"), "points of UA", width),
    "fig-nmer-own-system",
    "The new system minus others that met the same noise, on 24 actors: mean over the incomplete conditions, 95% intervals over "
    "six folds, uncorrected.",
    "Two panels, one a level of noise. Three rows each show the difference to another system as a dot with an interval and a "
    "line at zero.",
    corpus="RAVDESS-AV",
)  # fmt: skip

# %% [markdown]
# ## The idea
#
# Logistic regression on all modalities is a vote: each modality $m$ adds its evidence $\mathbf W_m \mathbf x_m$, where
# $\mathbf x_m$ is the mean of its frames. Noise votes as loudly as speech. The new system turns noisy votes down:
#
# $$
# \begin{aligned}
# \text{logits} &= \sum_m g_m(\mathbf x_m) \left(\mathbf W_m \mathbf x_m + \mathbf b_m\right), \\
# g_m(\mathbf x_m) &= \operatorname{softplus}\left(a_m \log \lVert \mathbf P_m \mathbf x_m + \mathbf c_m \rVert^2 + d_m\right) .
# \end{aligned}
# $$
#
# The gate $g_m$ reads one number, the energy of its own modality along a few learnt directions (the rows of $\mathbf P_m$).
# Real features vary along few directions, white noise along all alike, so this number can separate them. Nothing tells the
# gate which modality is noisy. With all gates at 1 the system *is* logistic regression.
#
# ## The class
#
# A subclass of `System` needs a constructor and `forward`, which maps the *observed* batch to logits.
# `observed.frames(m)` gives the frames (B, T, D) and their mask (B, T); `observed.present[m]` (B,) marks the samples that have
# the modality. The default `loss` is that of the task.


# %%
class GatedVote(rm.System):
    """Every modality votes; a gate that reads only its modality weighs the vote."""

    selects = False

    def __init__(self, shapes, task, directions=8, l2=0.1):
        super().__init__()
        self.l2, self.optimizer = l2, rm.AdamW(0.01, weight_decay=0.0)
        self.vote, self.look, self.gate = (nn.ModuleDict() for _ in range(3))
        for m, (n,) in shapes.items():
            self.vote[m] = nn.Linear(n, task.outputs)
            self.look[m], self.gate[m] = nn.Linear(n, directions), nn.Linear(1, 1)

    def gates(self, observed):
        gates = {}
        for m in self.shapes:
            looked = self.look[m](rm.mean_over_time(*observed.frames(m)))
            energy = looked.square().mean(1, keepdim=True) + 1e-3
            gate = softplus(self.gate[m](energy.log()))
            gates[m] = gate * observed.present[m][:, None]
        return gates

    def forward(self, observed):
        means = {m: rm.mean_over_time(*observed.frames(m)) for m in self.shapes}
        gates = self.gates(observed)
        return sum(gates[m] * self.vote[m](x) for m, x in means.items())

    def loss(self, clean, observed):
        layers = [*self.vote.values(), *self.look.values()]
        size = sum(layer.weight.square().sum() for layer in layers)
        return super().loss(clean, observed) | {"l2": 0.5 * self.l2 * size}


# %% [markdown]
# Penalty and learning rate are those of the book's logistic regression, not tuned for the new system. The energy as the gate's
# input was chosen by the validation scores of three folds.
#
# ## The laws
#
# `laws.check` tests a class against what every system of this book keeps, on small batches of several shapes. It returns the
# terms of the loss that read clean samples. A reconstruction is meant to; a term of the task must not.

# %%
terms = laws.check(GatedVote)
print(f"{len(laws.LAWS)} laws kept in {len(laws.SETTINGS)} settings")
print(f"terms that read clean samples: {terms or 'none'}")


class Forgetful(GatedVote):
    def gates(self, observed):  # the commonest slip: a mask forgotten
        everywhere = {m: torch.ones_like(p) for m, p in observed.present.items()}
        return super().gates(observed.replace(present=everywhere))


try:
    laws.check(Forgetful)
except AssertionError as broken:
    print(textwrap.fill(str(broken), 80))

# %% [markdown]
# ## Beside NMER
#
# A `Recipe` holds everything that decides a training; a grid makes one for every fold and seed, with the budget of the book's
# own tables. `compute` trains what the ledger lacks, here only what no other page has trained. The key of a recipe contains
# a hash of the class's source: edit the class, and the old scores no longer count.

# %%
spelling = {**nmer.STUDY.spelling, "gated vote": (GatedVote, {})}
study = replace(nmer.STUDY, spelling=spelling)
grid = study.grid(profile, corpus, first_seed=seed)
scheduler = rm.NoiseScheduler(nmer.NOISES[noise], snr_db=snr_db)
noisy = rm.incomplete(grid.modalities, scheduler)
column = nmer.Column("UA", noise, snr_db)  # the mean over the incomplete conditions
places = {
    (nmer.Row(name), column): Place(grid.cells(name, noisy, noisy, "UA"))
    for name in ("gated vote", "LogReg", "NMER")
}
own = grid.table("own", "a system of one's own", places)
ledger = ledger_of("nmer", profile)
summary = rm.compute(own.jobs(), ledger, device=device, progress=False)
means = own.summarise(Results.read(ledger))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
own_run(
    profile, own.dataset, [f"{len(grid.folds)} folds", f"{summary.trained} trainings"]
)
table(wide(means, lambda line: text_of(line, 100, 1)).rename_axis("system"), "tbl-nmer-own-system",
      "UA (%) of the new system and of others that met the same noise, mean over the incomplete conditions",
      f"{len(grid.folds)} folds, one seed; the interval is over folds.")  # fmt: skip

# %% [markdown]
# ## Do the gates respond to the noise?
#
# A system may do well for another reason than its author thinks. So look at the gates of the first fold, on the validation
# split: each sample clean, and the same sample with noise in every modality. *Lower* is the share of samples whose gate closes.

# %%
recipe = own.cells[nmer.Row("gated vote"), column].cells[0].recipe
system = rm.trained(recipe, ledger, device)
valid = recipe.corpus.load().fold(recipe.fold).valid
everywhere = rm.all_noisy(valid.modalities, scheduler)
hidden = rm.corrupt(valid, everywhere, stream("gates", seed))
with torch.no_grad():
    clean, noisy_gates = system.gates(valid), system.gates(hidden)
rows = {
    m: {
        "clean": float(clean[m].mean()),
        "noisy": float(noisy_gates[m].mean()),
        "lower": float((noisy_gates[m] < clean[m]).float().mean()),
    }
    for m in valid.modalities
}
pd.DataFrame(rows).T.round(2)

# %% [markdown]
# ## Save, load, predict
#
# A saved system is one file: weights, options, task, and the statistics of its standardisation. `predict` takes raw samples,
# which need no labels. Nothing in the file is executed; a class of your own is handed to `load` by its name.

# %%
file = Path(tempfile.mkdtemp()) / "gated_vote.safetensors"
rm.save(system, file)
again = rm.load(file, systems={"GatedVote": GatedVote})
raw = recipe.corpus.load().samples[:3].replace(labels={})  # not standardised
pd.DataFrame(again.predict(raw).softmax(1).numpy(), raw.id, again.task.classes).round(2)

# %% [markdown]
# ## A noise of your own
#
# A noise is a callable `(shape, generator) -> tensor`. This one hits one value in fifty, hard; its power is 1, so a level means
# the same SNR as with Gaussian noise. **Does it help to have met it?** Both trainings are tested under spikes.


# %%
def spikes(shape, generator):
    """One value in fifty is +-sqrt(50), the others are 0."""
    u = torch.rand(shape, generator=generator, device=generator.device)
    return 50**0.5 * ((u < 0.01).float() - (u > 0.99).float())


spiky = rm.incomplete(grid.modalities, rm.NoiseScheduler(spikes, snr_db=snr_db))
met = {
    f"trained with {name}": mixture
    for name, mixture in {"spikes": spiky, noise: noisy}.items()
}
places = {
    (nmer.Row("gated vote", name), column): Place(
        grid.cells("gated vote", mixture, spiky, "UA")
    )
    for name, mixture in met.items()
}
tested = grid.table("spikes", "under spikes", places)
rm.compute(tested.jobs(), ledger, device=device, progress=False)
scores = tested.values(Results.read(ledger))
worth = paired(scores.assign(value=100 * scores["value"]), *met, by="trained")
print(compared(*met, Estimate("", worth["mean"], worth["low"], worth["high"])))

# %% [markdown]
# ## A corpus of your own
#
# `collate` pads and checks arrays and makes a batch of them. `Corpus` adds classes and folds, and refuses folds in which one
# speaker is in two splits. Modalities can have any names. In two of these three folds no speaker of the train split wears the
# sensor of the pulse.

# %%
random = np.random.default_rng(seed)
mood = random.integers(3, size=270)
speaker = np.repeat([f"speaker {i}" for i in range(9)], 30)
sizes = {"voice": (20, 0.4), "face": (12, 0.2), "pulse": (4, 0.8)}
arrays = {}
for m, (features, apart) in sizes.items():  # apart: how much the moods differ
    centres = apart * random.normal(size=(3, features))
    arrays[m] = [centres[k] + random.normal(size=(6, features)) for k in mood]
groups = [[f"speaker {i}" for i in range(k, k + 3)] for k in (0, 3, 6)]
worn = np.isin(speaker, groups[0])
arrays["pulse"] = [x if w else None for x, w in zip(arrays["pulse"], worn, strict=True)]
split = rm.folds_by_group(speaker, groups, groups[1:] + groups[:1])
samples, moods = rm.collate(arrays, {"mood": mood}, speaker), ("calm", "glad", "cross")
mine = rm.Corpus("mine", samples, {"mood": moods}, rm.Split("by speaker", split))

# %% [markdown]
# A modality without a frame in the train split cannot be learnt. The fold says so, and marks it absent everywhere; noise,
# systems and scores go on with the others. The same grid takes the corpus as it is, here for one fold:

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    test = mine.fold(0).test
print(textwrap.fill(str(caught[0].message), 80))
grid, column = study.grid(profile, mine, folds=(0,)), nmer.Column("UA", noise, -10.0)
noisy = rm.incomplete(
    grid.modalities, rm.NoiseScheduler(nmer.NOISES[noise], snr_db=-10)
)
places = {
    (nmer.Row(name), column): Place(grid.cells(name, noisy, noisy, "UA"))
    for name in ("gated vote", "LogReg", "NMER")
}
own = grid.table("mine", "a corpus of one's own", places)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    rm.compute(own.jobs(), ledger, device=device, progress=False)
table(wide(own.summarise(Results.read(ledger)), lambda line: text_of(line, 100, 1)).rename_axis("system"), "tbl-nmer-own-corpus",
      "UA (%) on a corpus of one's own, mean over the incomplete conditions",
      "Invented data, one fold and no interval; profile " + profile + ".")  # fmt: skip

# %% [markdown]
# Six further designs, from pre-training to a corpus on disk, are on {ref}`guide-thirty-lines`.
#
# **Exercises**
#
# 1. Replace the gate by the constant 1 and run the page again. What is left of the difference to logistic regression?
#
# :::{dropdown} Answer
# Nothing but the penalty on `look`: with constant gates the system is logistic regression.
# :::
#
# 2. Give the corpus a fold in which samples of one speaker are in two splits. What must you state?
#
# :::{dropdown} Answer
# `rm.Split(..., speaker_disjoint=False)`; every table footer then prints it.
# :::
