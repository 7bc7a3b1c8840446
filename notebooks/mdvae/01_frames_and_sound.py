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
# (mdvae-frames-and-sound)=
# # Are picture and sound in step?
#
# VQ-MDVAE reads a talking face and its voice as two sequences with one frame of sound for each picture (section 3.1). A latent variable
# that both share can only exist if these frames mean the same moment. **Do lips and loudness move together, and what keeps them so?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic_av"
clip: int = 26
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import numpy as np
import pandas as pd

import robustmer as rm
from robustmer.book import answers, picture, players, plots
from robustmer.corpora.sound import FPS, RATE, WINDOW, centres, f0, waveform
from robustmer.experiments import project
from robustmer.metrics.synchrony import darkness, lagged_correlation, loudness_db

grid = pd.read_csv(project() / "results/measured/mdvae/derived_lag.csv")
lips = grid.query("box == 'mouth'").set_index("lag")
best = int(lips["value"].idxmax())
printed = 0.5208 * WINDOW  # "52.08% of the window", at 30 pictures a second
drift = 10 * 30 * (RATE / 30 - int(printed)) / (RATE / 30)
moves = (
    "at the same picture"
    if best == 0
    else f"{abs(best)} pictures {'later' if best > 0 else 'earlier'}"
)
answers.answer(
    (f"Loudness follows the mouth of GRID's speaker best {moves}, with a correlation of {lips['value'][best]:.2f}.", "seeds only"),
    (f"The printed hop is a third of a sample longer than {int(printed)}; with that whole number the sound is {drift:.2f} pictures off "
     "after ten seconds.", "printed"),
    "So frame times are computed from the rates, not added up.",
)  # fmt: skip
names = {"mouth": "mouth, GRID", "eyes": "eyes, GRID"}
curves = grid.assign(series=grid["box"].map(names), x=grid["lag"])

# %%
picture.show(
    lambda width: plots.lines(curves, "lag of loudness behind the picture, in pictures of 40 ms", "correlation", width, at=[0]),
    "fig-mdvae-lag",
    "Correlation of the darkness of a box with loudness, by lag: means and 95% intervals over 112 clips of one speaker.",
    "Two curves against the lag of the sound. That of the mouth has a sharp peak at lag zero. That of the eyes is lower and has no peak "
    "there.", "GRID AV")  # fmt: skip

# %% [markdown]
# An open mouth is dark, so the mean darkness of a box around it follows the lips. The eyes are the control: their
# correlation changes slowly with the lag. The speaker pauses before and after the sentence, which makes slow correlations at all lags. The
# peak is what syllables add.
#
# ## One frame of sound a picture
#
# Let $s$ be the samples a second and $f$ the pictures a second. Frame $t$ of the spectra is centred on the middle of picture $t$:
#
# $$ n_t = \left( t + \tfrac12 \right) \frac{s}{f}, \qquad
#    |X_{t,k}|^2 = \Big| \sum_{m=-512}^{511} w_m\, x_{n_t + m}\, e^{-2 \pi i k m / 1024} \Big|^2 . $$
#
# The window $w$ is a Hann window of 64 ms, 1024 samples at 16 kHz. The waveform $x$ is divided by its maximum. There are 513 bins and no
# logarithm. The paper has 30 pictures a second and prints a hop of "52.08% of the window". **What if the hop must be a whole number?**

# %%
readings = {
    "25 pictures a second, exact": (25, RATE / 25),
    "30 pictures a second, exact": (30, RATE / 30),
    "30 pictures a second, hop 533": (30, 533),
    "overlap of 52.08% instead": (30, WINDOW * (1 - 0.5208)),
}
hops = pd.DataFrame(
    [
        {
            "reading": name,
            "hop, samples": hop,
            "frames a second": RATE / hop,
            "pictures off after 10 s": 10 * fps * (1 - hop * fps / RATE),
        }
        for name, (fps, hop) in readings.items()
    ]
)
computed = centres(10 * 30 + 1, RATE, 30)[-1] - (10 * 30 + 0.5) * RATE / 30
print(f"computed frame times: {computed:+.2f} samples off after 10 s")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
answers.numbers_folded(hops, "The hop, by the reading of section 3.1", decimals=2, folded=False)  # fmt: skip

# %% [markdown]
# A hop of 533 drifts slowly; read as an overlap, the percentage would lose step within a second. The data of this book have 25 pictures a
# second, where the hop is 640 samples and the question does not arise.
#
# ## From frames back to sound
#
# A spectrum has no phase. The phases of the recording travel beside it as a target of the batch, `"audio phase"`, so a system's spectra
# can be heard. The inverse adds overlapping windows and divides by the sum of their squares.

# %%
size = "smoke" if profile == "smoke" else "quick"
options = {"size": size, "pixels": 32, "seed": seed} if corpus == "synthetic_av" else {}
data = rm.corpora.load(corpus, **options)
sample = data.samples[[clip]]
frames = int(sample.mask["audio"].sum())
power = sample.x["audio"][0, :frames].numpy()
phase = sample.targets["audio phase"][0, :frames].numpy()

voice = waveform(power, phase)
faces = sample.x["visual"][0, :frames].numpy()
late = np.roll(voice, 8 * RATE // FPS)  # eight pictures, a third of a second
players.video(
    {"in step": (faces, voice), "sound 0.32 s late": (faces, late)},
    alt="a talking face, whose mouth opens with its syllables in the first clip only",
)

# %% [markdown]
# In the second clip the sound follows the lips by a third of a second. A model with one latent variable for both would have to learn this
# lag, or lose the shared part.

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
time = (np.arange(frames) + 0.5) / FPS
dark = darkness(sample.frames("visual")[0], data.boxes["mouth"])[0, :frames].numpy()
loud = loudness_db(sample.frames("audio")[0])[0, :frames].numpy()
pitch = f0(voice)
traces = pd.concat([
    pd.DataFrame({"panel": panel, "series": panel, "x": time[known], "value": values[known]})
    for panel, values in (("darkness of the mouth", dark), ("loudness, dB", loud), ("pitch, Hz", pitch))
    for known in (np.isfinite(values),)
])  # fmt: skip
picture.show(
    lambda width: plots.lines(traces, "seconds", "", width, sharey=False, height=180),
    "fig-mdvae-traces",
    "One clip: the darkness of the mouth, the loudness of the sound and its pitch, where it has one.",
    "Three curves over the time of one clip. The mouth darkens with every syllable, and loudness rises at the same pictures. The pitch "
    "moves on its own.", data.name)  # fmt: skip

# %% [markdown]
# ## Your own run
#
# The same measurement on the corpus of this run. In the synthetic corpus one factor opens the mouth and makes the voice loud, so **the peak
# must be at lag zero**. `-p corpus grid_av` measures GRID, and `av_frames` your own clips, if they have a box for the mouth.

# %%
lags = range(-10, 11)
pictures, mask = data.samples.frames("visual")
loudness = loudness_db(data.samples.frames("audio")[0])
own = pd.DataFrame(
    {
        name: lagged_correlation(darkness(pictures, box), loudness, mask, lags).nanmean(
            0
        )
        for name, box in data.boxes.items()
    },
    index=pd.Index(lags, name="lag"),
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
answers.own_run(profile, data.name, [f"{len(data)} clips"])
answers.numbers_folded(own, "Correlation of darkness with loudness by lag in pictures, your own run", file="mdvae-lag.csv")  # fmt: skip
print(
    f"The mouth's correlation is highest at a lag of {own['mouth'].idxmax()} pictures."
)

# %% [markdown]
# ## Limits
#
# - GRID has one speaker in these clips, so the intervals are over clips and mean nothing for other people.
# - Darkness is a crude measure of lips: teeth are bright, and a beard is dark.
# - The players are compressed. Their sound and pictures are in step to within one picture, which a test checks.
#
# **Exercise.** RAVDESS has 29.97 pictures a second. How many samples is its hop, and how far is a hop of 534 off after ten seconds?
#
# :::{dropdown} Answer
# The hop is 16000 / 29.97 = 533.87 samples. A hop of 534 is about 0.07 pictures off: `10 * 29.97 * (534 * 29.97 / 16000 - 1)`.
# :::
