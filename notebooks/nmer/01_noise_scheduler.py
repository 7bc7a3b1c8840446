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
# NMER section 2.2. Noise is added to the features of a modality instead of deleting them; one integer $T$ sets how much.
# **Why must $T$ be searched for each modality, and what does a level in decibels promise?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic"
snr_db: float = -10.0
noise: str = "gaussian"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import math
import textwrap

import pandas as pd
import torch
from IPython.display import Markdown

import robustmer as rm
from robustmer.book import answers, display, picture, plots, sound
from robustmer.experiments import project
from robustmer.experiments.papers.nmer import LEVELS_DB, NOISES
from robustmer.experiments.papers.profiles import claims_of
from robustmer.noise import add_noise, alpha_bar, alpha_bars, iterate_noise, snr_db as snr_of, steps_for, variance_for  # fmt: skip

people = pd.read_csv(project() / "results/measured/nmer/derived_features.csv")
raw = {f"{row.corpus}, {row.modality}": row.raw for row in people.itertuples()}
needed = {
    name: steps_for(snr_db, variance, tolerance_db=None)
    for name, variance in raw.items()
}
answers.answer(
    (f"The level depends on the variance of the features, so $T$ differs between modalities: at −{-snr_db:g} dB raw features of "
     f"two corpora of people need from {min(needed.values())} to {max(needed.values())} steps.", "people"),
    (f"The same label is not the same noise: impulse noise is {-10 * math.log10(rm.Impulse().power):.2f} dB weaker than Gaussian "
     "noise.", "printed"))  # fmt: skip
shares = alpha_bars(rm.Linear())[
    :540
].tolist()  # of the signal's power, left after T = 1, 2, ... steps
curves = pd.DataFrame([{"series": name, "x": steps, "value": snr_of(share, variance)}
                       for name, variance in raw.items() for steps, share in enumerate(shares, 1)])  # fmt: skip
found = [
    (name, v, steps_for(level, v, tolerance_db=None))
    for name, v in raw.items()
    for level in LEVELS_DB
]
marks = pd.DataFrame([{"series": name, "x": steps, "value": snr_of(shares[steps - 1], v), "note": f"{name}: T = {steps},"}
                      for name, v, steps in found])  # fmt: skip
picture.show(
    lambda width: plots.lines(curves, "number of steps T", "SNR (dB)", width, marks, at=LEVELS_DB, xlim=(0, 540), ylim=(-50, 75)),
    "fig-nmer-snr",
    "The same number of steps is another level for every modality. Lines: eq. 5 for the raw features of two corpora; circles: "
    "the T that is searched for each of the paper's four levels.",
    "Five falling curves of signal-to-noise ratio against the number of steps, one a modality. They are shifted: the audio features "
    "of RAVDESS-AV need many times as many steps as the words of CMU-MOSI for the same level.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## From a schedule to a level
#
# Let $\mathbf{E}_0$ be the features of one modality and $\sigma^2$ their variance. A *schedule* is a list
# $\beta_1, \dots, \beta_T$ (eq. 1): step $t$ replaces a share $\beta_t$ of the signal's power by fresh noise. After $T$ steps
#
# $$ \begin{aligned} \bar\alpha_T &= \prod_{t=1}^{T} (1 - \beta_t) \\
#    \mathbf{E}_T &= \sqrt{\bar\alpha_T}\,\mathbf{E}_0 + \sqrt{1 - \bar\alpha_T}\,\epsilon \\
#    \mathrm{SNR_{dB}} &= 10 \log_{10} \frac{\bar\alpha_T\, \sigma^2}{1 - \bar\alpha_T} \end{aligned} $$
#
# (eqs. 2 to 5). Here $\bar\alpha_T$ is the share of the signal's power that is left, $\epsilon$ is the noise, and SNR is the
# signal-to-noise ratio. Because $\sigma^2$ is in the last line, $T$ must be searched for every modality. In code:

# %%
# The T whose level is nearest, and eq. 1: from 0.001 to 0.1 over exactly T steps.
steps = steps_for(snr_db, variance=1.0, tolerance_db=None)
betas = rm.Linear().betas(steps)
share = alpha_bar(betas)  # eq. 2

# Eq. 3, on samples x frames x features.
clean = torch.randn(100, 50, 130, generator=rm.stream("example", seed))
noise_itself = torch.randn(clean.shape, generator=rm.stream("noise", seed))
noisy = add_noise(clean, noise_itself, share)

level = snr_of(share, variance=1.0)  # eq. 5
print(f"T = {steps}: {share:.1%} of the power is left, {level:.1f} dB")

# %% [markdown]
# The paper lets $\beta$ grow from 0.001 to 0.1 "after $T$ steps" and does not state the shape. Here $\beta$ grows linearly
# and is *stretched* over exactly $T$ steps. Diffusion models *cut* instead: they take the first $T$ of 1000 steps. The paper
# prints three values of $T$ for CMU-MOSEI at one level, and eq. 5 can be solved for the variance that each reading implies:

# %%
stated = claims_of("nmer").query("quantity == 'T'")["value"].astype(int)
whole = rm.Linear().betas(1000)
stretched = [alpha_bar(rm.Linear().betas(t)) for t in stated]
cut = [alpha_bar(whole[:t]) for t in stated]
implied = pd.DataFrame({
    "modality": ["audio", "visual", "text"],
    "T, printed": stated.to_list(),
    "variance, stretched": [f"{variance_for(-10, a):.3g}" for a in stretched],
    "variance, cut": [f"{variance_for(-10, a):.3g}" for a in cut],
})  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(implied, "tbl-nmer-implied", "The variances that NMER's T for CMU-MOSEI imply at −10 dB",
              "T: section 2.2.3. The features were not at hand, so this shows which reading is plausible.")  # fmt: skip

# %% [markdown]
# Under the cut schedule no variance would come near one. The raw acoustic features of both corpora above have variances of
# hundreds and more, so this book stretches. After standardisation every variance is one, and one $T$ serves all modalities.
#
# ## One step or T steps
#
# Algorithm 1 of the paper adds noise $T$ times; eq. 3 adds it once. For Gaussian noise both have the same distribution.
# **Is that so for impulse noise**, in which a share $p = 0.3$ of the values is $\pm 1$ and the others are 0? With
# $\mathbf{E}_0 = 0$ only the noise is left:

# %%
count = {"smoke": 4_000, "quick": 400_000}.get(profile, 2_000_000)
silence, drawn = torch.zeros(1, count, 1), {}
for name, kind in NOISES.items():
    fresh = rm.stream("algorithm 1", name, seed)
    drawn[name, "eq. 3"] = math.sqrt(1 - share) * kind(silence.shape, fresh)
    drawn[name, "Algorithm 1"] = iterate_noise(silence, betas, kind, fresh)

edges, curves = torch.linspace(-3, 3, 49), []
for (name, how), values in drawn.items():
    heights = pd.DataFrame({"x": (edges[1:] + edges[:-1]) / 2})
    heights["value"] = (torch.histc(values, 48, -3, 3) / count).tolist()
    curves.append(heights.assign(panel=name, series=how))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: plots.lines(pd.concat(curves), "value of the noise", "share of the values", width, dashed=["Algorithm 1"],
                              steps=True, sharey=False),
    "fig-nmer-algorithm1",
    "For Gaussian noise one step equals T steps. Impulses of T steps add up to nearly a Gaussian.",
    "Two histograms. Left, Gaussian noise: the curves of eq. 3 and Algorithm 1 coincide. Right, impulse noise: eq. 3 has three "
    "peaks at minus one, zero and one; Algorithm 1 is a bell curve.", "synthetic")  # fmt: skip
kurtosis = {
    how: float((v - v.mean()).pow(4).mean() / v.var().square())
    for (name, how), v in drawn.items()
    if name == "impulse"
}
Markdown(f"The variances agree; the kurtosis of impulse noise is {kurtosis['eq. 3']:.2f} by eq. 3 and "
         f"{kurtosis['Algorithm 1']:.2f} by Algorithm 1, where a Gaussian has 3. Under Algorithm 1 the paper's two kinds of noise "
         "would be nearly one experiment. The paper uses eq. 3, and so does this book.")  # fmt: skip

# %% [markdown]
# ## What the label promises
#
# Three numbers may differ: the level *asked for*, the *nominal* level of eq. 5 at the integer $T$, and the *true* level. Eq. 5
# takes the noise to have variance 1; impulse noise has variance $p$. The paper's Gaussian and impulse columns share labels,
# not levels.

# %%
for name, kind in NOISES.items():
    scheduler = rm.NoiseScheduler(kind, snr_db=snr_db, tolerance_db=None)
    at = scheduler.at(variance=1.0)
    print(f"{name:9} nominal {at.nominal_db:.2f} dB, true {at.true_db:.2f} dB")
try:
    steps_for(20.0, variance=1.0)
except ValueError as error:
    print(textwrap.fill(str(error), 80))

# %% [markdown]
# Some levels cannot be reached, because no integer $T$ comes within 1 dB. The scheduler refuses them;
# `tolerance_db=None` takes the nearest.
#
# **Listen.** A vowel under the same noise, made by code at 8 kHz and played equally loud. At −10 dB the noise has ten times
# the power of the voice.

# %%
voice = sound.vowel()
recorded = torch.ones(voice.shape[:2], dtype=torch.bool)
sounds = {"clean": voice}
for level in (10, 0, -10, -40):
    scheduler = rm.NoiseScheduler(rm.Gaussian(), snr_db=level)
    observed = scheduler(voice, recorded, 1.0, rm.stream("vowel", seed))
    sounds[f"{level} dB".replace("-", "−")] = observed
sound.play(sounds)

# %% [markdown]
# ## A sample under noise
#
# One sample of the synthetic corpus, which has IEMOCAP's widths: the middle frame of its voice, clean, under four levels, and
# the noise itself. The noise is the same in every row; only its share grows.

# %%
size = "smoke" if profile == "smoke" else "quick"
options = {"size": size, "seed": seed} if corpus == "synthetic" else {}
train, valid, test = rm.corpora.load(corpus, **options).fold(0)
sample = test[[0]]
middle = sample.lengths["audio"][0] // 2
rows = {"clean": sample}
for level in LEVELS_DB:
    scheduler = rm.NoiseScheduler(NOISES[noise], snr_db=level, tolerance_db=None)
    everywhere = rm.all_noisy(sample.modalities, scheduler)
    rows[f"−{-level:g} dB"] = rm.corrupt(sample, everywhere, rm.stream("one", seed))
frames = {name: batch.x["audio"] for name, batch in rows.items()}
frames["noise"] = NOISES[noise](sample.x["audio"].shape, rm.stream("one", seed))
strip = pd.DataFrame({name: x[0, middle, :64].numpy() for name, x in frames.items()}).T

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
title = f"audio, {strip.shape[1]} of {sample.shapes['audio'][0]} features"
picture.show(
    lambda width: plots.tiles({title: strip}, width, legend=["standard deviations"]), "fig-nmer-strips",
    "At −10 dB little of the sample is left to see, and at −40 dB nothing: the last row is the noise alone.",
    "Six rows of coloured cells. The first row, clean, differs from the others; the rows from minus ten to minus forty decibels look "
    "more and more like the last row, the noise.", corpus)  # fmt: skip

# %% [markdown]
# ## A noise of your own
#
# A kind of noise is any function of a shape and a random generator. White noise is fresh in every frame; a sensor out of
# calibration errs by the same amount in all of them. **Is it as harmful at the same level?** Most systems average over time,
# so compare the frames with their mean over each utterance.


# %%
def calibration_error(shape, generator):
    samples, frames, features = shape
    return torch.randn(samples, 1, features, generator=generator).expand(shape)


x, mask, variance = train.x["audio"], train.mask["audio"], train.variance["audio"]
levels = {}
for name, kind in {**NOISES, "calibration error": calibration_error}.items():
    scheduler = rm.NoiseScheduler(kind, snr_db=snr_db, tolerance_db=None)
    signal = math.sqrt(scheduler.at(variance).alpha_bar) * x
    added = scheduler(x, mask, variance, rm.stream("own", name, seed)) - signal
    levels[name] = {"nominal": scheduler.at(variance).nominal_db}
    for what, pair in {
        "frames": (signal[mask], added[mask]),
        "means": (rm.mean_over_time(signal, mask), rm.mean_over_time(added, mask)),
    }.items():
        powers = [float(part.square().mean()) for part in pair]
        levels[name][what] = 10 * math.log10(powers[0] / powers[1])
shown = pd.DataFrame(levels).T.rename_axis("noise")
gain = shown["means"] - shown["frames"]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(shown, "tbl-nmer-own-noise", f"SNR in dB of the frames and of their mean over an utterance, {corpus}, audio",
              f"{len(train)} utterances of {train.lengths['audio'].mean():.0f} frames on average. Nominal: eq. 5; frames and means: "
              "measured.", decimals=1)  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this text", "code_prompt_hide": "Code of this text"}
text = (f"Averaging wins back {gain['gaussian']:.1f} dB of Gaussian noise and {gain['calibration error']:.1f} dB of the "
        "calibration error. **The level of a frame does not tell the harm over time.** A system that reads sequences meets far "
        "less noise than one that reads a single vector, at the same label.").replace(" -", " −")  # fmt: skip
Markdown(
    text
    if train.lengths["audio"].max() > 1
    else f"A sample of {corpus} is one vector, so nothing averages out."
)

# %% [markdown]
# How far noise moves a sample in feature space, and why four levels look alike there, is the question of {ref}`nmer-fig-3`.
#
# **Exercises**
#
# 1. Which level would the paper's $T$ for the audio features give if its features were standardised?
#
# :::{dropdown} Answer
# With variance 1, eq. 5 depends on $\bar\alpha_T$ alone. Call `snr_of(alpha_bar(rm.Linear().betas(140)), 1.0)`: about 22 dB
# noisier than the label says.
# :::
#
# 2. Draw impulse noise whose true level equals that of Gaussian noise. What must you pass to `NoiseScheduler`?
#
# :::{dropdown} Answer
# Ask for $10 \log_{10} p$ dB on top of the level, with $p = 0.3$ for `Impulse()`: at $-10$ dB pass
# `snr_db=-10 + 10 * math.log10(0.3)`.
# :::
