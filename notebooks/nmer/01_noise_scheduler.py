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
# (nmer-noise-scheduler)=
# # The noise scheduler
#
# NMER section 2.2. Instead of deleting a modality, noise is added to its features, and one integer $T$ decides how much.
# **Why must $T$ be searched for each modality, and what does a level in decibels promise?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic"
snr_db: float = -10.0
noise: str = "gaussian"
seed: int = 0

# %% tags=["hide-input"]
from functools import partial
import dataclasses
import math
import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display

from robustmer.conditions import Condition, corrupt
from robustmer.corpora import CorpusNotFound, load
from robustmer.display import run_card, table, theme
from robustmer.noise import (
    Linear,
    NoiseScheduler,
    ScaledLinear,
    alpha_bar,
    alpha_bars,
    iterate_noise,
    snr_db as snr_of,
    steps_for,
    stream,
    variance_for,
)
from robustmer.papers.nmer import LEVELS_DB, NOISES, noise_kind, profile_named
from robustmer.results import claims

palette = theme()
kind = noise_kind(noise)
profile_named(profile)  # an unknown name ends here
size = "smoke" if profile == "smoke" else "quick"  # enough rows to see noise by
data = load(corpus, **({"size": size, "seed": seed} if corpus == "synthetic" else {}))
train, valid, test = data.fold(0)
first = data.modalities[0]
shown = data
if corpus == "synthetic":  # the figure of one utterance shows a real one, where there is one
    try:
        shown = load("ravdess_av")
    except CorpusNotFound:
        pass
source = run_card(profile, dict.fromkeys([data.name, shown.name]), noise=noise, snr=f"{snr_db:g} dB", fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from

# %% [markdown]
# ## From a schedule to a share
#
# Let $\mathbf{E}_0$ be the features of one modality. A *schedule* is a list $\beta_1, \dots, \beta_T$ (eq. 1): in
# step $t$ a share $\beta_t$ of the signal's power is replaced by fresh noise. After $T$ steps
#
# $$ \begin{aligned} \bar\alpha_T &= \prod_{t=1}^{T} (1 - \beta_t) \\
#    \mathbf{E}_T &= \sqrt{\bar\alpha_T}\,\mathbf{E}_0 + \sqrt{1 - \bar\alpha_T}\,\epsilon \end{aligned} $$
#
# (eqs. 2 and 3): $\bar\alpha_T$ is the share of the signal's power that is left, $\epsilon$ the noise. The
# paper lets $\beta$ grow from 0.001 to 0.1 "after $T$ steps" and does not say in which shape. Here it grows linearly and
# is stretched over exactly $T$ steps, whatever $T$ is. The released code lets the *square root* of $\beta$ grow linearly
# (and from 0.01 to 0.5); `ScaledLinear` is that shape with the paper's ends.

# %% mystnb={"figure": {"name": "fig-nmer-schedule", "caption": "Left: the schedule for three values of T. Right: the share of the signal's power that is left after T steps. Solid: linear, as used in this book; dashed: the square root is linear, the shape of the released code."}} tags=["hide-input"]
longest = 200
shapes = {"Linear": Linear(), "ScaledLinear": ScaledLinear()}
curves = pd.DataFrame([
    {"schedule": name, "T": steps, "t": t + 1, "beta": float(beta)}
    for name, schedule in shapes.items() for steps in (50, 100, longest)
    for t, beta in enumerate(schedule.betas(steps))
])
shares = pd.DataFrame([
    {"schedule": name, "T": steps + 1, "left": float(share)}
    for name, schedule in shapes.items()
    for steps, share in enumerate(alpha_bars(schedule)[:longest])
])
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
sns.lineplot(curves, x="t", y="beta", hue="T", style="schedule", palette=palette[:3],
             legend=False, ax=left)
for colour, steps in zip(palette, (50, 100, longest), strict=False):
    left.annotate(f"T = {steps}", (steps, 0.1), (0, 4), textcoords="offset points",
                  color=colour, ha="center", size="small")
left.set(xlabel="step t", ylabel=r"$\beta_t$", xlim=(0, 220))
sns.lineplot(shares, x="T", y="left", style="schedule", color="black", ax=right)
right.set(xlabel="number of steps T", ylabel=r"$\bar\alpha_T$, power left")
right.legend(title=None)
plt.show()

# %% [markdown]
# A longer schedule is not a shorter one continued ({numref}`fig-nmer-schedule`, left): it is stretched, so each $T$ has
# its own $\bar\alpha_T$, and the more steps, the less is left.
#
# ## One step instead of T
#
# Algorithm 1 of the paper adds noise $T$ times; eq. 3 adds it once. For Gaussian noise the two have the same
# distribution, because sums of Gaussians are Gaussian. **Is that so for impulse noise**, where a share $p = 0.3$ of the
# values is $\pm 1$ and the others are 0? With $\mathbf{E}_0 = 0$ all that is left is the noise:

# %%
steps = steps_for(snr_db, variance=1.0, tolerance_db=None)
betas = Linear().betas(steps)
draws = {"smoke": 4_000, "quick": 400_000}.get(profile, 2_000_000)
silence = torch.zeros(1, draws, 1)
noises = {}
for name, kind_ in NOISES.items():
    fresh = stream("algorithm 1", name, seed)
    at_once = math.sqrt(1 - alpha_bar(betas)) * kind_(silence.shape, fresh)
    step_by_step = iterate_noise(silence, betas, kind_, fresh)
    noises[name, "eq. 3"] = at_once.flatten()
    noises[name, "Algorithm 1"] = step_by_step.flatten()

# %% mystnb={"figure": {"name": "fig-nmer-algorithm1", "caption": "The noise that eq. 3 adds in one step and that Algorithm 1 adds in T steps, for both kinds of noise."}} tags=["hide-input"]
samples = pd.concat([
    pd.DataFrame({"noise": name, "way": way, "value": values.numpy()})
    for (name, way), values in noises.items()
])
grid = sns.displot(samples, x="value", hue="way", col="noise", stat="probability",
                   common_norm=False, bins=torch.linspace(-3, 3, 49).numpy(), element="step",
                   facet_kws={"sharey": False}, height=3.2, aspect=1.3)
grid.set_titles("{col_name}").set_axis_labels("value", "share of values")
sns.move_legend(grid, "lower center", title=None, ncols=2, bbox_to_anchor=(0.45, -0.08))
plt.show()

# %% tags=["hide-input"]
moments = pd.DataFrame([
    {"noise": name, "way": way, "variance": float(v.var()),
     "kurtosis": float((v - v.mean()).pow(4).mean() / v.var().square())}
    for (name, way), v in noises.items()
])
table(moments, "tbl-nmer-algorithm1", "Variance and kurtosis of the added noise",
      f"T = {steps} ({snr_db:g} dB at unit variance), {draws:,} values, seed {seed}. A Gaussian has kurtosis 3.",
      decimals=2)

# %% [markdown]
# For impulse noise the variances agree, the shapes do not ({numref}`fig-nmer-algorithm1`, {numref}`tbl-nmer-algorithm1`):
# many small impulses add up to nearly a Gaussian. Under Algorithm 1 the paper's two kinds of noise would be almost the same
# experiment at two levels. The paper says that eq. 3 is what it uses, so this book uses eq. 3.
#
# ## The level in decibels
#
# With $\sigma^2$ the variance of the features, the paper defines (eqs. 4 and 5)
#
# $$ \mathrm{SNR_{dB}} = 10 \log_{10} \frac{\bar\alpha_T\, \sigma^2}{1 - \bar\alpha_T} . $$
#
# $\sigma^2$ is in it, so the same $T$ is another level for every modality. The paper gives one example: for CMU-MOSEI the
# audio, visual and lexical features (a, v, l) need different $T$ at the same level. It prints no variance, but eq. 5 can be
# solved for it. That tests how the schedule is meant. *Stretched*: 0.001 to 0.1 over exactly $T$ steps. *Cut*: one
# schedule of 1000 steps, of which the first $T$ are taken, as diffusion models do.

# %%
stated = claims("nmer").query("quantity == 'T'")
example_db = stated["claim"].str.extract(r"(-?\d+) dB")[0].astype(float).iloc[0]
check = []
for _, line in stated.iterrows():
    letter, steps = line["claim"][-1], int(line["value"])
    stretched = variance_for(example_db, alpha_bar(Linear().betas(steps)))
    cut = variance_for(example_db, alpha_bar(Linear().betas(1000)[:steps]))
    check.append({
        "modality": letter, "T, printed": steps,
        "variance, stretched": stretched, "std, stretched": math.sqrt(stretched),
        "T, searched again": steps_for(example_db, stretched),
        "variance, cut": cut, "std, cut": math.sqrt(cut),
    })
check = pd.DataFrame(check)

# %% tags=["hide-input"]
table(check, "tbl-nmer-mosei", f"The variances that NMER's T for CMU-MOSEI imply at {example_db:g} dB",
      "T as printed in section 2.2.3; variances by solving eq. 5; std is the square root. The features themselves were "
      "not at hand: this says which reading is believable, not which is true.", decimals=4, source="")
again = (check["T, printed"] == check["T, searched again"]).all()
loud, soft = check["variance, cut"].max(), check["std, cut"].min()
display(Markdown(
    f"Searching $T$ for the stretched variances gives {'exactly the printed T' if again else '**other T**'} again. Under "
    f"the cut schedule no modality may have a variance above {loud:.2f}, and word vectors would need a standard "
    f"deviation of {soft:.3f}, which is hard to believe of GloVe vectors. So this book stretches the schedule."))

# %% mystnb={"figure": {"name": "fig-nmer-snr", "caption": "Signal-to-noise ratio by eq. 5 against T, for unit variance and for the variances that the paper's T imply for CMU-MOSEI. Circles: the T that is searched for each of the paper's four levels (grey lines). Dashed: unit variance under ScaledLinear."}} tags=["hide-input"]
variances = {"unit variance": 1.0} | {
    f"CMU-MOSEI {line['modality']} (implied)": line["variance, stretched"]
    for _, line in check.iterrows()
}
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
every_t = list(range(1, 301))
for colour, (name, variance) in zip(palette, variances.items(), strict=False):
    levels = [snr_of(a, variance) for a in alpha_bars(Linear())[:300].tolist()]
    sns.lineplot(x=every_t, y=levels, color=colour, label=name, ax=axes)
    found = [steps_for(level, variance, tolerance_db=None) for level in LEVELS_DB]
    axes.plot(found, [levels[t - 1] for t in found], "o", color=colour, mec="white", ms=7)
bent = [snr_of(a, 1.0) for a in alpha_bars(ScaledLinear())[:300].tolist()]
axes.plot(every_t, bent, "--", color=palette[0], lw=1.5, label="unit variance, ScaledLinear")
for level in LEVELS_DB:
    axes.axhline(level, color="grey", lw=0.8, zorder=0)
axes.set(xlabel="number of steps T", ylabel="SNR (dB)", ylim=(-50, 35), xlim=(0, 300))
axes.legend()
plt.show()

# %% tags=["hide-input"]
slope = math.log(10) / float(-torch.log1p(-Linear().betas(10_000)).mean())
display(Markdown(
    f"Beyond the first steps the curves of {{numref}}`fig-nmer-snr` are parallel lines: $\\ln\\bar\\alpha_T$ falls in "
    f"proportion to $T$, so 10 dB more noise always cost about **{slope:.0f} steps**, and so does a variance that is ten "
    "times larger. Near $T = 1$ they are steep, and few levels can be met."))

# %% [markdown]
# ## T for a corpus
#
# What are the variances of features that one can hold in one's hands? As in eq. 4, $\sigma^2$ is one number a modality,
# over all real frames and all features of the training rows. It depends on the units: *raw* features are as stored,
# *standardised* ones have mean 0 and variance 1 each.

# %%
raw = dataclasses.replace(data, standardise=False).fold(0)[0].variance
lines = {("unit variance", ""): 1.0}
for m in data.modalities:
    lines[m, "standardised"] = train.variance[m]
    lines[m, "raw"] = raw[m]
steps_table = pd.DataFrame([
    {"features": m, "units": units, "variance": f"{variance:.4g}",
     **{f"{level:g} dB": steps_for(level, variance, tolerance_db=None)
        for level in LEVELS_DB}}
    for (m, units), variance in lines.items()
])

# %% tags=["hide-input"]
table(steps_table, "tbl-nmer-steps", f"T for the paper's four levels, {data.name}",
      f"Linear schedule stretched over T steps. Variances from the {len(train)} training rows of fold 0.")
column = f"{LEVELS_DB[0]:g} dB"
raw_steps = steps_table.loc[steps_table["units"] == "raw", column]
own = (f"The raw features of {data.name} happen to have variances near 1 in every modality, so their units matter "
       "little here; with a real corpus they do (the next page shows it where one is at hand)."
       if raw_steps.max() - raw_steps.min() <= 5 else
       f"The raw features of {data.name} need from {raw_steps.min()} to {raw_steps.max()} steps at {column}: a common "
       "$T$ would be a different level for each modality.")
display(Markdown(own + " After standardising, every modality has variance 1 (less, if some of its features are constant) "
                       "and the same $T$ does for all. **The search is needed for raw features; standardised ones "
                       "make it a formality.**"))

# %% [markdown]
# ## Wanted, reached, true
#
# Three numbers may differ. The level *wanted* is a round number of decibels. The level *reached* is eq. 5 at the integer
# $T$. And eq. 5 takes the noise to have variance 1: impulse noise with $p = 0.3$ has variance 0.3, so its *true* level is
# $10 \log_{10}(1/p)$ better than eq. 5 says. The last column measures it on noise that was really added.

# %%
wanted = sorted({*LEVELS_DB, snr_db}, reverse=True)
x, real, sigma2 = train.x[first], train.real[first], train.variance[first]


def measured(scheduler: NoiseScheduler) -> float:
    """Decibels of what is left of the features against what was added."""
    keep = math.sqrt(scheduler.level(sigma2).alpha_bar)
    seen = scheduler(x, real, sigma2, stream("measured", scheduler, seed))
    signal, added = keep * x[real], (seen - keep * x)[real]
    return 10 * math.log10(float(signal.square().mean() / added.square().mean()))


reached = []
for name, kind_ in NOISES.items():
    for level in wanted:
        scheduler = NoiseScheduler(kind_, snr_db=level, tolerance_db=None)
        at = scheduler.level(sigma2)
        reached.append({"noise": name, "wanted": f"{level:g}", "T": at.steps,
                        "reached": at.nominal_db, "true": at.true_db,
                        "measured": measured(scheduler)})
reached = pd.DataFrame(reached)

# %% tags=["hide-input"]
table(reached, "tbl-nmer-reached", f"Levels wanted, reached, true and measured, in dB: {data.name}, {first}",
      f"Standardised features, variance {sigma2:.2f}, {len(train)} rows, seed {seed}.", decimals=2)
gain = (reached["true"] - reached["reached"]).groupby(reached["noise"]).mean()
display(Markdown(
    f"Impulse noise is **{gain['impulse']:.2f} dB** better than eq. 5 says, Gaussian noise {gain['gaussian']:.2f}. So the "
    "paper's Gaussian and impulse columns are not at the same level: the same label means less noise in the impulse ones. "
    "This book keeps the paper's $T$ and prints the true level beside it."))

# %% [markdown]
# Not every level can be had. Between $T = 1$, with $\beta = 0.001$ alone, and $T = 2$, with 0.001 and 0.1, lies a gap that
# no integer closes. A scheduler that cannot come within 1 dB says so, and `tolerance_db=None` takes what is nearest:

# %%
try:
    steps_for(20.0, variance=1.0)
except ValueError as error:
    print(textwrap.fill(str(error), 86))
nearest = NoiseScheduler(snr_db=20.0, tolerance_db=None).level(variance=1.0)
print(f"\ntolerance_db=None takes T={nearest.steps}, {nearest.nominal_db:.1f} dB")

# %% [markdown]
# ## What it looks like
#
# One utterance, feature by feature, with the same noise at growing levels.

# %%
rows = shown.fold(0)[2]
row = rows[[seed % len(rows)]]
frame = {m: int(row.real[m].sum()) // 2 for m in row.modalities}
strips = {m: {"clean": row.x[m][0, frame[m], :64]} for m in row.modalities}
alike = {}
for level in LEVELS_DB:
    scheduler = NoiseScheduler(kind, snr_db=level, tolerance_db=None)
    condition = Condition(noise=dict.fromkeys(row.modalities, scheduler))
    seen = corrupt(row, condition, stream("one utterance", seed))
    for m in row.modalities:
        strips[m][f"{level:g} dB"] = seen.x[m][0, frame[m], :64]
    seen = corrupt(rows, condition, stream("all test utterances", seed))
    alike[f"{level:g} dB"] = torch.stack([
        torch.stack([b.x[m][rows.real[m]].flatten() for b in (rows, seen)]).corrcoef()
        for m in rows.modalities])[:, 0, 1].mean()

# %% mystnb={"figure": {"name": "fig-nmer-strips", "caption": "One utterance, clean and under the paper's four levels of noise: each column is one standardised feature (of one frame, at most 64 are shown). The same noise in every line, only its share grows."}} tags=["hide-input"]
count = len(strips)
figure, axes = plt.subplots(count, 1, figsize=(9, 1.75 * count), layout="constrained", squeeze=False)
for place, (m, lines) in zip(axes[:, 0], strips.items(), strict=True):
    strip = pd.DataFrame({name: values.numpy() for name, values in lines.items()}).T
    sns.heatmap(strip, cmap="vlag", vmin=-3, vmax=3, ax=place, xticklabels=False,
                cbar_kws={"label": "std"})
    place.set_title(f"{m}, {strip.shape[1]} of {shown.dims[m]} features", loc="left")
    place.tick_params(axis="y", rotation=0, labelsize="small")
plt.show()

# %% tags=["hide-input"]
display(Markdown(
    f"This is one {'synthetic utterance' if shown.name == 'synthetic' else f'utterance of {shown.name}'}. Over all "
    f"{len(rows)} test utterances the noisy features correlate with the clean ones by "
    + ", ".join(f"{value:.2f} at {name}" for name, value in alike.items())
    + f". Already at the mildest level little is left to see: **{LEVELS_DB[0]:g} dB is a strong noise**, by eq. 5 with "
      f"{10 ** (-LEVELS_DB[0] / 10):.0f} times the power of the signal."))

# %% [markdown]
# ## How far from the original?
#
# In section 3.6.5 the paper measures the distance between noisy and original points and finds that it grows from -10 to
# -40 dB. In the features themselves the distance is known: with noise of power $p$ its mean square is
# $(1 - \sqrt{\bar\alpha_T})^2 \sigma^2 + (1 - \bar\alpha_T)\, p$, which stays below $\sigma^2 + p$.

# %%
def distance(share: float, power: float) -> float:
    return math.sqrt((1 - share**0.5) ** 2 * sigma2 + (1 - share) * power)


curves, circles = [], []
for name, kind_ in NOISES.items():
    for share in alpha_bars(Linear())[1:230].tolist():  # from T = 2
        curves.append({"noise": name, "SNR": snr_of(share, sigma2),
                       "distance": distance(share, kind_.power)})
    for level in (10.0, 5.0, 0.0, -5.0, *LEVELS_DB):
        scheduler = NoiseScheduler(kind_, snr_db=level, tolerance_db=None)
        seen = scheduler(x, real, sigma2, stream("distance", scheduler, seed))
        circles.append({"noise": name, "SNR": scheduler.level(sigma2).nominal_db,
                        "distance": float((seen - x)[real].square().mean().sqrt())})

# %% mystnb={"figure": {"name": "fig-nmer-distance", "caption": "Root mean square distance of noisy features to the originals, in standard deviations, against the level by eq. 5. Lines: formula; circles: measured. Shaded: the levels that the paper uses."}} tags=["hide-input"]
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
sns.lineplot(pd.DataFrame(curves), x="SNR", y="distance", hue="noise", ax=axes)
sns.scatterplot(pd.DataFrame(circles), x="SNR", y="distance", hue="noise", legend=False,
                s=50, ax=axes)
axes.axvspan(min(LEVELS_DB), max(LEVELS_DB), color="grey", alpha=0.12, lw=0)
axes.set(xlabel="SNR by eq. 5 (dB), noisier to the right", ylabel="RMS distance (std)",
         xlim=(10, -50), ylim=(0, None))
axes.legend(title=None)
plt.show()

# %% tags=["hide-input"]
ends = [distance(alpha_bar(Linear().betas(steps_for(level, sigma2, tolerance_db=None))), power=1.0)
        for level in (LEVELS_DB[0], LEVELS_DB[-1])]
limit = math.sqrt(sigma2 + 1)
display(Markdown(
    f"From {LEVELS_DB[0]:g} to {LEVELS_DB[-1]:g} dB the distance under Gaussian noise grows from {ends[0]:.2f} to "
    f"{ends[1]:.2f}; its limit is {limit:.2f}. **{ends[0] / limit:.0%} of the way is gone at {LEVELS_DB[0]:g} dB**, and "
    "the four levels differ by how much signal is left, hardly by how far the points have moved."))

# %% [markdown]
# ## Your own noise
#
# A kind of noise is any function of a shape and a random generator. White noise is fresh in every frame; a sensor out of
# calibration is wrong by the same amount in all of them:

# %%
def calibration_error(shape, generator):
    rows, frames, features = shape
    error = torch.randn(rows, 1, features, generator=generator)
    return error.expand(shape)


mine = NoiseScheduler(calibration_error, snr_db=snr_db, tolerance_db=None)
seen = corrupt(test, Condition(noise={first: mine}), stream("mine", seed))

# %% [markdown]
# Scheduler, condition and everything after them take it as they take the paper's two. **Is it as harmful at the same
# level?** Most systems average over time sooner or later, so compare what is left after averaging the frames of each
# utterance: the power of the averaged signal against the power of the averaged noise.

# %%
def after_averaging(scheduler: NoiseScheduler) -> float:
    keep = math.sqrt(scheduler.level(sigma2).alpha_bar)
    seen = scheduler(x, real, sigma2, stream("averaged", scheduler, seed))
    frames = real.sum(1, keepdim=True)
    signal, added = (keep * x).sum(1) / frames, (seen - keep * x).sum(1) / frames
    return 10 * math.log10(float(signal.square().mean() / added.square().mean()))


harm = []
for name, kind_ in {**NOISES, "calibration_error": calibration_error}.items():
    scheduler = NoiseScheduler(kind_, snr_db=snr_db, tolerance_db=None)
    harm.append({"noise": name, "frames, eq. 5": scheduler.level(sigma2).nominal_db,
                 "frames, measured": measured(scheduler),
                 "averaged": after_averaging(scheduler)})
harm = pd.DataFrame(harm).set_index("noise")

# %% tags=["hide-input"]
table(harm, "tbl-nmer-own-noise", f"SNR in dB of the frames and of their mean over time: {data.name}, {first}",
      f"Wanted {snr_db:g} dB; {len(train)} rows of {float(real.sum(1).float().mean()):.1f} frames on average, seed {seed}.",
      decimals=2)
apart = harm.loc["calibration_error", "averaged"] - harm.loc["gaussian", "averaged"]
display(Markdown(
    f"After averaging, the calibration error is at {harm.loc['calibration_error', 'averaged']:.1f} dB and Gaussian noise at "
    f"{harm.loc['gaussian', 'averaged']:.1f} dB. "
    + ("**The level of a frame says little about harm over time**: white noise averages out, a common error does not."
       if apart < -1 else
       "They hardly differ, since an utterance of this corpus is a single vector: nothing averages out.")))

# %% [markdown]
# **To try:** run this page with `noise="impulse"`, with `snr_db=-40`, or with `corpus="ravdess_av"`, whose raw features
# make {numref}`tbl-nmer-steps` worth reading. Which of your own features would need the largest $T$?
