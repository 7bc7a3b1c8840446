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
# NMER sections 3.5 and 3.6.5, Algorithm 2, Fig. 3. The paper draws 128 samples and their noisy versions with t-SNE. It
# prints the average distance of the pairs and claims that it grows with the noise. **Does it, by how much, and is a t-SNE map the place
# to measure it?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import math

import pandas as pd
import torch
from sklearn.manifold import TSNE

import robustmer as rm
from robustmer.book import answers, display, picture, plots
from robustmer.experiments import project
from robustmer.experiments.papers.nmer import LEVELS_DB, NOISES
from robustmer.metrics import average_distance

folder = project() / "results/measured/nmer"
people, maps, drawn = (
    pd.read_csv(folder / f"derived_{name}.csv")
    for name in ("distances", "map_distances", "map")
)
mildest, strongest = LEVELS_DB[0], LEVELS_DB[-1]
people["share"] = people["measured"] / (people["mean_square"] + 1).pow(0.5)
by_level = people.pivot(
    index=["corpus", "modality"], columns="level", values="measured"
)
on_map = maps.pivot(
    index=["corpus", "modality", "start"], columns="level", values="distance"
)[list(LEVELS_DB)]
growth, map_growth = (
    (wide[strongest] / wide[mildest]).mean() - 1 for wide in (by_level, on_map)
)
rising = (on_map.diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
answers.answer(
    (f"It grows, but it hardly can: from −{-mildest:g} to −{-strongest:g} dB by {growth:.0%}, because "
     f"{people.query('level == @mildest')['share'].mean():.0%} of the largest distance is reached at −{-mildest:g} dB.", "people"),
    (f"t-SNE maps of the same points show a growth of {map_growth:.0%}, and {rising.sum()} of {len(on_map)} of them one at every "
     "step: a map has no unit.", "people"))  # fmt: skip
shares = {
    level: 10 ** (level / 10) / (1 + 10 ** (level / 10)) for level in range(-45, 21)
}  # alpha_bar at unit variance, eq. 5
formula = pd.DataFrame([{"series": "closed form, unit variance", "x": level, "value": math.sqrt(((1 - a**0.5) ** 2 + 1 - a) / 2)}
                        for level, a in shares.items()])  # fmt: skip
aside = people["corpus"].map({"RAVDESS-AV": 0.7, "CMU-MOSI": -0.7})
points = people.assign(
    series=people["corpus"],
    x=people["snr_db"] + aside,
    value=people["share"],
    note=people["modality"],
)
picture.show(
    lambda width: plots.lines(formula, "nominal SNR (dB), noisier to the right", "share of the largest distance", width, points,
                              at=[1.0], xlim=(20, -45), ylim=(0, 1.05)),
    "fig-nmer-saturation",
    "The paper's four levels lie on the plateau: most of the way is gone before −10 dB. Points, drawn side by side: five modalities of "
    "two corpora of people.",
    "A curve that rises from near zero at plus twenty decibels to more than eight tenths at minus ten and is flat from there. The "
    "points of two corpora lie on it, all on its flat part.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## The distance has a closed form
#
# Algorithm 2 is the mean over pairs of $\lVert \mathbf e_i - \mathbf e_i^n \rVert$. Here $\mathbf e_i$ is a point of $D$ features
# and $\mathbf e_i^n$ its noisy version. By eq. 3 ({ref}`nmer-noise-scheduler`) the mean square of the difference, per
# dimension, is
#
# $$
# d^2 = \sigma^2 \left(1 - \sqrt{\bar\alpha_T}\right)^2 + \left(1 - \bar\alpha_T\right) P ,
# $$
#
# with the mean square $\sigma^2$ of the features, the share $\bar\alpha_T$ of their power that is left, and the noise's power
# $P$: 1 for Gaussian noise, $p$ for impulses. Two things follow without any plot. $d$ grows as $\bar\alpha_T$ falls. And it
# cannot exceed $\sqrt{\sigma^2 + P}$, the distance from a point to noise that is independent of it.
#
# In code, on 128 samples: the middle frame of each, clean and noisy, and both sides of the equation.

# %%
options = (
    {"size": "smoke" if profile == "smoke" else "quick", "seed": seed}
    if corpus == "synthetic"
    else {}
)
train = rm.corpora.load(corpus, **options).fold(0).train
samples = train[torch.randperm(len(train), generator=rm.stream("Fig. 3", seed))[:128]]
m = "audio"
middle = torch.arange(len(samples)), (samples.mask[m].sum(1) - 1) // 2
clean, pairs, checks = samples.x[m][middle], {}, []
for level in LEVELS_DB:
    scheduler = rm.NoiseScheduler(NOISES[noise], snr_db=level, tolerance_db=None)
    share = scheduler.at(samples.variance[m]).alpha_bar
    observed = rm.corrupt(
        samples,
        rm.all_noisy(samples.modalities, scheduler),
        rm.stream("Fig. 3", seed, level),
    )
    pairs[level] = clean, observed.x[m][middle]
    form = (
        clean.square().mean() * (1 - share**0.5) ** 2
        + (1 - share) * NOISES[noise].power
    )
    moved = clean - pairs[level][1]
    checks.append({
        "level": f"−{-level:g} dB",
        "d, measured": float(moved.square().mean().sqrt()),
        "d, closed form": float(form.sqrt()),
        "Algorithm 2": average_distance(*pairs[level]),
    })  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(pd.DataFrame(checks), "tbl-nmer-distance", f"How far {noise} noise moves a frame of {train.name.split('/')[0]}, {m}",
              "d per dimension; Algorithm 2 is about the square root of the number of features times as large. No t-SNE.", decimals=2)  # fmt: skip

# %% [markdown]
# ## A frame or a mean over frames
#
# A sample of $F$ frames has $F$ points, and the paper does not state which one it draws. Noise is fresh in every frame, so the
# mean over $F$ frames has noise of $1/F$ of the power. What the frames have in common stays. **Which one was drawn
# decides what Fig. 3 shows**:

# %%
quiet = rm.NoiseScheduler(NOISES[noise], snr_db=mildest, tolerance_db=None)
observed = rm.corrupt(
    samples, rm.all_noisy(samples.modalities, quiet), rm.stream("Fig. 3", seed, mildest)
)
for m, mask in samples.mask.items():
    added = (
        observed.x[m] - quiet.at(samples.variance[m]).alpha_bar ** 0.5 * samples.x[m]
    )
    gain = (
        rm.mean_over_time(samples.x[m], mask).square().mean()
        / rm.mean_over_time(added, mask).square().mean()
    )
    gain = gain / (samples.x[m][mask].square().mean() / added[mask].square().mean())
    frames, gain_db = mask.sum(1).float().mean(), 10 * math.log10(gain)
    print(f"{m:7} mean over {frames:4.1f} frames: {gain_db:+.1f} dB against a frame")

# %% [markdown]
# ## The paper's Fig. 3, on people
#
# t-SNE places points in the plane so that neighbours stay neighbours. The clean and noisy points of one panel are fitted
# together, and every panel apart from the others. A sample of RAVDESS-AV is one vector, so both readings agree.

# %%
first = maps.query("corpus == 'RAVDESS-AV' and start == '0'").set_index(
    ["modality", "level"]
)["distance"]
titles = {
    (m, level): f"{m}, −{-level:g} dB\ndistance {value:.1f}"
    for (m, level), value in first.items()
}
cloud = drawn.sort_values(
    ["modality", "level"], ascending=[True, False], kind="stable"
).rename(columns={"state": "series"})
cloud["panel"] = [
    titles[at] for at in zip(cloud["modality"], cloud["level"], strict=True)
]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: plots.clouds(cloud, len(LEVELS_DB), width), "fig-nmer-3",
    "Clean and noisy points of RAVDESS-AV share one cloud at every level. The distance is Algorithm 2 on the map; it "
    "has no unit and cannot be compared between panels.",
    "Eight scatter plots of clean and noisy points, two modalities by four levels. In all of them the two sets overlap, the clean points "
    "in small groups and the noisy ones spread evenly between them.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Can the distance on the map be trusted?
#
# A claim about the noise should hold on every map of the same points, and agree with the features. Below, both distances are
# divided by their value at the mildest level, so that no unit is left. A random state decides where the points of a map
# start; a sixth start is PCA (the first two principal components), scikit-learn's default.

# %%
relative = on_map.div(on_map[mildest], axis=0).stack().rename("value").reset_index()
bands = (
    relative.groupby(["corpus", "modality", "level"])["value"]
    .agg(value="mean", low="min", high="max")
    .reset_index()
)
features = (
    by_level.div(by_level[mildest], axis=0)
    .groupby("corpus")
    .mean()
    .stack()
    .rename("value")
    .reset_index()
)
curves = pd.concat(
    [
        bands.assign(series="map, " + bands["modality"]),
        features.assign(series="features"),
    ]
)
curves = curves.rename(columns={"corpus": "panel", "level": "x"}).sort_values(
    ["panel", "x"], ascending=False
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: plots.lines(curves, "level (dB)", "distance relative to −10 dB", width, dashed=["features"], xlim=(-9, -41),
                              ylim=(0.9, 2.0)), "fig-nmer-starts",
    "On the maps the distance grows several times as far as in feature space (dashed, mean of the modalities), and then stalls or "
    "falls. Bands: six starts.",
    "Two panels, one a corpus. The dashed line of the features rises a little. The bands of the maps rise several times as far by minus "
    "twenty or minus thirty decibels and then level off.", "RAVDESS-AV")  # fmt: skip

# %%
own = (maps["distance"] / maps["other_pairs"]).groupby(maps["level"]).mean()
print("distance of a pair over that of strangers, by level")
print(own.sort_index(ascending=False).round(2).to_dict())

# %% [markdown]
# The distance to another sample's noisy version is a unit of its own. In this unit pairs do drift apart: at 1 a pair has nothing in
# common. This part of the paper's picture can be trusted.
#
# **Why the map cannot measure it.** t-SNE chooses the width of every point's neighbourhood so that it holds about 30
# neighbours, whatever their distance. Features that are eight times as large give the same kind of map:

# %%
steps = 250 if profile == "smoke" else 1000
for factor in (1, 8):
    points = factor * torch.cat(pairs[strongest])
    tsne = TSNE(
        perplexity=min(30, len(points) / 6),
        init="random",
        random_state=seed,
        max_iter=steps,
    )
    both = torch.from_numpy(tsne.fit_transform(points.numpy())).chunk(2)
    distances = average_distance(*points.chunk(2)), average_distance(*both)
    print(f"features x {factor}: {distances[0]:6.1f}, on the map {distances[1]:5.1f}")

# %% [markdown]
# The distance of features carries their scale; that of the map does not. What the map can show is whether clean and noisy
# points still mix.
#
# **Exercises**
#
# 1. Impulse noise has less power at the same label. Where does its curve in {numref}`fig-nmer-saturation` end, in units of
#    $\sigma$?
#
# :::{dropdown} Answer
# At $\sqrt{1 + p}$, with $p$ the share of noisy values, instead of $\sqrt 2$. Set `noise="impulse"` and run the page.
# :::
#
# 2. Which levels would you draw to see the distance grow?
#
# :::{dropdown} Answer
# Levels between +20 and −10 dB, where the curve is steep.
# :::
