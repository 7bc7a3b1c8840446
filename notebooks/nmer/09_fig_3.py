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
# (nmer-fig-3)=
# # How far noise moves the data
#
# NMER sections 3.5 and 3.6.5, Algorithm 2, Fig. 3. The paper draws 128 utterances and their noisy versions with t-SNE, prints
# the average distance of the pairs, and says that it grows with the noise. **Does it, by how much, and is a t-SNE map the
# place to measure it?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic"
noise: str = "gaussian"
points: str = "frame"  # what is drawn of an utterance: its middle "frame" or its "mean" over time
seed: int = 0

# %% tags=["hide-input"]
from functools import partial
import math

import matplotlib.pyplot as plt
import pandas as pd
import torch
from IPython.display import Markdown, display
from sklearn.manifold import TSNE

from robustmer.batch import Batch, mean_over_time
from robustmer.conditions import corrupt, everything
from robustmer.corpora import load
from robustmer.display import run_card, table, theme
from robustmer.metrics import average_distance
from robustmer.noise import NoiseScheduler, kind_power, snr_db as snr_of, stream
from robustmer.papers.nmer import LEVELS_DB, noise_kind, profile_named

palette = theme()
kind, power = noise_kind(noise), kind_power(noise_kind(noise))
profile_named(profile)  # an unknown name ends here
size = "smoke" if profile == "smoke" else "quick"  # 128 points need no more
data = load(corpus, **({"size": size, "seed": seed} if corpus == "synthetic" else {}))
train, _, _ = data.fold(0)
rows = train[torch.randperm(len(train), generator=stream("Fig. 3", seed))[:128]]
source = run_card(profile, data.name, noise=noise, points=len(rows), fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from

# %% [markdown]
# ## Points and pairs
#
# A point is one vector. An utterance of $F$ frames has $F$ of them, and the paper does not say which one it draws. Two
# readings: the frame in the middle of the utterance, or the mean over its frames. (Where a corpus has one vector an
# utterance, they are the same.)

# %%
MIDDLE, MEAN = "frame", "mean"


def points_of(batch: Batch, m: str, reading: str) -> torch.Tensor:
    """One vector for each utterance, (N, D)."""
    if reading == MEAN:
        return mean_over_time(batch.x[m], batch.real[m])
    middle = (batch.real[m].sum(1) - 1) // 2
    return batch.x[m][torch.arange(len(batch)), middle]


def noisy_version(level_db: float) -> Batch:
    scheduler = NoiseScheduler(kind, snr_db=level_db, tolerance_db=None)
    draw = stream("Fig. 3", seed, level_db)
    return corrupt(rows, everything(rows.modalities, scheduler), draw)


if points not in (MIDDLE, MEAN):
    raise ValueError(f"points={points!r}: give 'frame' or 'mean'")
seen = {level: noisy_version(level) for level in LEVELS_DB}

# %% [markdown]
# ## The distance has a closed form
#
# Algorithm 2 is `average_distance(clean, noisy)`: the mean over pairs of $\lVert \mathbf e_i - \mathbf e_i^n \rVert$. By
# eq. 3 a noisy point is $\sqrt{\bar\alpha_T}\,\mathbf e + \sqrt{1-\bar\alpha_T}\,\epsilon$, so the
# mean square of a pair's difference, per dimension, is
#
# $$
# d^2 = \sigma^2 \left(1 - \sqrt{\bar\alpha_T}\right)^2 + \left(1 - \bar\alpha_T\right) P ,
# $$
#
# with the mean square $\sigma^2$ of the features (their variance where they are centred) and the noise's power $P$: 1 for
# Gaussian noise, $p$ for impulses. The Euclidean distance is about $\sqrt D$ times $d$. Two things follow without any
# plot. $d$ always grows as $\bar\alpha_T$ falls. And it cannot grow beyond $\sqrt{\sigma^2 + P}$, the distance between
# a point and noise that knows nothing of it.


# %%
def closed_form(mean_square: float, alpha_bar: float, noise_power: float) -> float:
    lost = (1 - math.sqrt(alpha_bar)) ** 2
    return math.sqrt(mean_square * lost + (1 - alpha_bar) * noise_power)


found = []
for reading in (MIDDLE, MEAN):
    for m in rows.modalities:
        clean = points_of(rows, m, reading)
        # The mean of F frames of independent noise has 1/F of its power.
        left = float((1 / rows.real[m].sum(1)).mean()) if reading == MEAN else 1.0
        square = float(clean.square().mean())
        for level, batch in seen.items():
            noisy = points_of(batch, m, reading)
            scheduler = NoiseScheduler(kind, snr_db=level, tolerance_db=None)
            at = scheduler.level(rows.variance[m])
            found.append({
                "points": reading, "modality": m, "level": level,
                "D": clean.shape[1], "T": at.steps, "mean square": square,
                "measured": float((clean - noisy).square().mean().sqrt()),
                "closed form": closed_form(square, at.alpha_bar, power * left),
                "limit": math.sqrt(square + power * left),
                "Algorithm 2": average_distance(clean, noisy),
                "other pairs": average_distance(clean, noisy.roll(1, 0)),
                "own SNR": snr_of(at.alpha_bar, square, power * left),
            })
found = pd.DataFrame(found)

# %% tags=["hide-input"]
frames = found[found["points"] == MIDDLE]
columns = ["modality", "level", "T", "mean square", "measured", "closed form", "limit", "Algorithm 2"]
table(frames[columns].assign(level=[f"{x:g}\u00a0dB" for x in frames["level"]]), "tbl-nmer-distance",
      "How far noise moves a frame, in feature space",
      "Measured, closed form and limit: root mean square per dimension. Algorithm 2: mean Euclidean distance of the pairs. "
      "No t-SNE.")
off = (frames["measured"] / frames["closed form"] - 1).abs().max()
ends = frames.pivot(index="modality", columns="level", values="measured")[list(LEVELS_DB)]
limit = frames.groupby("modality")["limit"].first()
grows = (ends.diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
first, last = LEVELS_DB[0], LEVELS_DB[-1]
ratio = 10 ** ((first - last) / 10)
share = (ends[first] / limit).loc[list(rows.modalities)]
display(Markdown(
    f"The closed form is met within {off:.1%}. In feature space the distance grows at every step "
    + ("in every modality, as the paper says" if grows.all() else f"in {grows.sum()} of {len(grows)} modalities")
    + f". But it hardly can: at {first:g} dB a frame has already gone "
    f"{', '.join(f'{s:.0%} ({m})' for m, s in share.items())} of the way to the limit. From {first:g} to "
    f"{last:g} dB noise gains on signal by a factor of {ratio:,.0f}, and the distance by a factor of "
    f"{(ends[last] / ends[first]).min():.2f} to {(ends[last] / ends[first]).max():.2f}."))

# %% [markdown]
# The four levels of the paper lie on the plateau of the curve. Most of the way is gone between +20 and -10 dB, which
# the paper does not draw.

# %% mystnb={"figure": {"name": "fig-nmer-saturation", "caption": "Distance per dimension over its limit, against the nominal SNR: closed form for features of unit variance (line) and measured frames (points). The levels of the paper's Fig. 3 are the shaded part."}} tags=["hide-input"]
curve = {x: 10 ** (x / 10) / (1 + 10 ** (x / 10)) for x in range(-45, 21)}  # alpha_bar at each level, by eq. 5
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
axis.axvspan(last - 2, first + 2, color="grey", alpha=0.12, lw=0)
axis.plot(curve.keys(), [closed_form(1.0, a, power) / math.sqrt(1 + power) for a in curve.values()], color="grey",
          label="closed form, unit variance")
for i, (m, part) in enumerate(frames.groupby("modality", sort=False)):
    axis.plot(part["level"], part["measured"] / part["limit"], "o", ms=13 - 4 * i, mfc="none", mew=1.8, color=palette[i],
              label=f"{m}, measured")
axis.axhline(1, color="grey", ls=":", lw=1)
axis.set(xlabel="nominal SNR (dB)", ylabel="share of the largest distance", ylim=(0, 1.05))
axis.invert_xaxis()
axis.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## A frame or a mean over frames
#
# Noise is drawn afresh for every frame, so averaging $F$ frames divides its power by $F$, while what the frames have in
# common stays. A picture of utterance means at "-10 dB" therefore shows less noise than the label says.

# %% tags=["hide-input"]
wide = found.pivot(index=["modality", "points"], columns="level", values="measured")[list(LEVELS_DB)]
counts = {m: float(rows.real[m].sum(1).double().mean()) for m in rows.modalities}
own = found[found["level"] == first].set_index(["modality", "points"])["own SNR"]
wide = wide.rename(columns=lambda x: f"{x:g} dB").rename_axis(columns=None)
wide.insert(0, "frames", [f"{counts[m]:.1f}" if how == MEAN else "1" for m, how in wide.index])
wide[f"true SNR at {first:g} dB"] = [own[key] for key in wide.index]
wide = wide.reindex([(m, how) for m in rows.modalities for how in (MIDDLE, MEAN)])
table(wide, "tbl-nmer-frame-or-mean", "Distance per dimension of a frame and of the mean over an utterance",
      "Frames: average number of those that are averaged. True SNR: power of the clean points over power of the noise in the "
      "points that are drawn.", decimals=2)
gain = {m: own[m, MEAN] - own[m, MIDDLE] for m in rows.modalities}
longest = max(counts.values())
display(Markdown(
    f"In {data.name} an utterance is one vector, so both readings are the same points."
    if longest == 1 else
    "Between the two readings of the same data at the same label the SNR differs by "
    + ", ".join(f"{g:+.1f} dB ({m})" for m, g in gain.items())
    + ". **Which one was drawn decides what Fig. 3 shows**, and a system that pools over time meets the second."))

# %% [markdown]
# ## Fig. 3
#
# t-SNE places points in the plane so that neighbours stay neighbours. The clean and noisy points of one panel are fitted
# together, each panel apart from the others. The distance in each panel is Algorithm 2 on the map.

# %%
fits = {"smoke": 1, "quick": 3, "paper": 5}[profile]
iterations = {"smoke": 250, "quick": 1000, "paper": 1000}[profile]


def embed(clean: torch.Tensor, noisy: torch.Tensor, start: int | str):
    """Both sets on one map: (N, 2) and (N, 2). `start` is a random state, or "pca"."""
    both = torch.cat([clean, noisy]).numpy()
    init, state = ("pca", 0) if start == "pca" else ("random", start)
    tsne = TSNE(perplexity=min(30, len(clean) / 3), init=init, random_state=state,
                max_iter=iterations)
    return torch.from_numpy(tsne.fit_transform(both)).chunk(2)


pairs = {(m, level): (points_of(rows, m, points), points_of(batch, m, points))
         for m in rows.modalities for level, batch in seen.items()}
maps = {(m, level, start): embed(*pair, start)
        for (m, level), pair in pairs.items() for start in [*range(fits), "pca"]}

# %% mystnb={"figure": {"name": "fig-nmer-3", "caption": "t-SNE of clean points and their noisy versions, a map for each modality and level, with the average distance of the pairs on that map (Algorithm 2). Maps are fitted apart: lengths have no unit and cannot be compared between panels. Random state 0, perplexity 30 (less where there are few points)."}} tags=["hide-input"]
figure, axes = plt.subplots(len(rows.modalities), len(LEVELS_DB), figsize=(9, 2.3 * len(rows.modalities) + 0.4),
                            layout="constrained", squeeze=False)
for line, m in zip(axes, rows.modalities, strict=True):
    for axis, level in zip(line, LEVELS_DB, strict=True):
        a, b = maps[m, level, 0]
        axis.scatter(*a.T, s=9, color=palette[0], lw=0, label="clean")
        axis.scatter(*b.T, s=9, color=palette[1], lw=0, label="noisy")
        axis.set(xticks=[], yticks=[], aspect="equal", title=f"{m}, {level:g} dB", adjustable="datalim")
        axis.set_xlabel(f"$D_{{avg}}$ = {average_distance(a, b):.1f}")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, markerscale=2)
plt.show()

# %% [markdown]
# ## Can the distance on the map be trusted?
#
# A random state decides where the points start. It says nothing about the noise, so a claim about the noise should hold
# for each of them. Beside the random starts stands the start from the principal components, scikit-learn's default today.
# The last column compares pairs with strangers: the distance on the map from a point to its own noisy version, over that
# to another's. It has no unit to lose; 1 means that the pair has nothing left in common on the map.

# %%
measured = pd.DataFrame([
    {"modality": m, "start": str(start), "level": level, "distance": average_distance(a, b),
     "pair": average_distance(a, b) / average_distance(a, b.roll(1, 0))}
    for (m, level, start), (a, b) in maps.items()])
on_map = measured.pivot(index=["modality", "start"], columns="level", values="distance")
on_map = on_map[list(LEVELS_DB)]
rising = (on_map.diff(axis=1).iloc[:, 1:] > 0).all(axis=1)

# %% tags=["hide-input"]
shown = on_map.rename(columns=lambda x: f"{x:g} dB").rename_axis(columns=None)
shown["grows at every step"] = rising.map({True: "yes", False: "no"})
for level in (first, last):
    pair = measured[measured["level"] == level].set_index(["modality", "start"])["pair"]
    shown[f"own / other, {level:g} dB"] = pair.map("{:.2f}".format)
shown = shown.reindex([(m, str(s)) for m in rows.modalities for s in [*range(fits), "pca"]])
table(shown, "tbl-nmer-map-distance", "Average distance of the pairs on the map (Algorithm 2), by random state",
      f"Points: {'the middle frame' if points == MIDDLE else 'the mean over time'} of each utterance. "
      f"{iterations} iterations of t-SNE, perplexity {min(30, len(rows) / 3):.0f}.", decimals=1)
random_starts = measured[measured["start"] != "pca"].groupby(["modality", "level"])["distance"]
spread = (random_starts.max() / random_starts.min()).max()
space = found[found["points"] == points].pivot(index="modality", columns="level", values="Algorithm 2")
space_rising = (space[list(LEVELS_DB)].diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
farther = on_map[last] > on_map[first]
pair = measured.groupby("level")["pair"].mean()
n = len(on_map)
text = (f"In feature space the average distance grows from level to level in {space_rising.sum()} of {len(space)} modalities. "
        f"On the map, of {n} series (modality and start), {farther.sum()} have the noisiest data farther out than the least noisy, "
        f"and {rising.sum()} grow at every step. ")
if fits > 1:
    text += f"Another random state alone changes the distance of a panel by a factor of up to {spread:.1f}. "
if rising.all():
    text += "**On this data the paper's claim can be read off every map**, though not its size. "
elif farther.all():
    text += ("**The maps agree with the features on the two ends only**; the steps between depend on where the points "
             "started, which is no property of the noise. ")
else:
    text += "**The maps do not show what the features do**: whether they agree depends on where the points started. "
text += (f"Own over other is {pair[first]:.2f} on average at {first:g} dB and {pair[last]:.2f} at {last:g} dB"
         + (": there a point is no nearer to its own noisy version than to a stranger's, which is as far as noise can go."
            if pair[last] > 0.9 else "."))
display(Markdown(text))

# %% [markdown]
# **Why the map cannot measure it.** t-SNE chooses a width for each point's neighbourhood so that it holds about 30
# neighbours, whatever their distance. Features that are eight times as large give the same kind of map:

# %%
m, level = rows.modalities[0], last
larger = embed(*(8 * part for part in pairs[m, level]), 0)
print(f"{m}, {level:g} dB, distance of the pairs")
print(f"features      {average_distance(*pairs[m, level]):8.1f}"
      f"   eight times as large {average_distance(*(8 * p for p in pairs[m, level])):8.1f}")
print(f"on the map    {average_distance(*maps[m, level, 0]):8.1f}"
      f"   eight times as large {average_distance(*larger):8.1f}")

# %% [markdown]
# The features' distance carries their scale; the map's does not. What the map does show is whether clean and noisy
# points still mix and pairs still lie together.
#
# **To try:** `points="mean"` draws utterances instead of frames; `noise="impulse"` has less power at the same label
# ({ref}`nmer-noise-scheduler`), so its limit is nearer.
