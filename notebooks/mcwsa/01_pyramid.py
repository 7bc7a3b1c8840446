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
# (mcwsa-pyramid)=
# # What a pyramid keeps of a voice
#
# **How many regions must a recording be cut into, before a classifier knows its emotion?** MCWSA pools frames over 1, 2, 4, ... 64
# regions and assumes that "the more regions are segmented, the more time clues are retained" (section IV.B).

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the rows of the figure", "code_prompt_hide": "Code: imports, the answer and the rows of the figure"}
import pandas as pd
import torch

import robustmer as rm
from robustmer.book import answers, picture, plots, sound
from robustmer.corpora.media import log_mel
from robustmer.experiments import project
from robustmer.experiments.statistics import paired, summarise
from robustmer.metrics import ua
from robustmer.metrics.probe import linear_probe
from robustmer.nn.pyramid import levels_to, pyramid, rows

folder = project() / "results/measured"
measured = pd.read_csv(folder / "mcwsa/derived_pyramid.csv").rename(
    columns={"UA": "value"}
)
measured["row"] = measured["input"] + " " + measured["level"].astype(str)
by_fold = measured.groupby(["row", "fold", "test_to_train"], as_index=False)["value"]
by_fold = by_fold.mean().assign(seed=0)  # the mean over shuffles
scores = summarise(measured, ["input", "level"])
mean = scores.set_index(["input", "level"])["mean"]
gain = paired(by_fold, "pyramid 64", "pyramid 1", "row")
order = paired(by_fold, "pyramid 64", "shuffled 64", "row")


def points(line: dict) -> str:
    low, high = 100 * line["low"], 100 * line["high"]
    text = f"{100 * line['mean']:.1f} points ({low:.1f} to {high:.1f})"
    return text.replace("-", "−")


reference = pd.read_csv(folder / "nmer/derived_reference.csv")
functionals = reference.query("corpus == 'RAVDESS-AV' and input == 'a'")["UA"].mean()
lead = 100 * (functionals - mean["pyramid"].max())
doubt = "" if gain["low"] > 0 else "; the interval includes zero"
answers.answer(
    (f"From 1 region to 64, a linear classifier of RAVDESS's voices gains {points(gain)} of UA{doubt}.", "people"),
    (f"The order of the frames is worth {points(order)} against the same pyramid of shuffled frames.", "people"),
    (f"The best maximum is {mean['pyramid'].idxmax()}; acoustic functionals of the takes are {lead:.1f} points above it.", "people"),
)  # fmt: skip
words = {
    "pyramid": "pyramid to this level",
    "one level": "regions of this level alone",
    "shuffled": "pyramid of shuffled frames",
}
curves = scores.assign(
    series=scores["input"].map(words),
    x=scores["level"].astype(str),
    value=100 * scores["mean"],
)

# %%
picture.show(
    lambda width: plots.lines(curves.drop(columns=["low", "high"]), "level: regions of a voice", "UA, %", width,
                              marks=curves, dashed=[words["shuffled"]], at=[100 / 8, 100 * functionals], ylim=(0, 60)),
    "fig-mcwsa-levels",
    "UA of logistic regression on the regions of a voice, means over six folds of actors. Dotted: chance, and 67 functionals.",
    "Three curves of unweighted accuracy against the level of the pyramid, from 1 region to 64. Those of pyramids rise to four regions and "
    "stay; the curve of shuffled frames falls.", "RAVDESS-AV mel")  # fmt: skip

# %% [markdown]
# ## From frames to rows
#
# A recording has $T$ frames and another one has another $T$; an autoencoder wants one size. Level $n$ of the pyramid cuts the recording
# into $n$ regions of equal length and keeps the mean of each:
#
# $$ \mathbf{r}_{n,i} = \frac{1}{|R_{n,i}|} \sum_{t \in R_{n,i}} \mathbf{x}_t, \qquad
#    R_{n,i} = \left\{ \lfloor iT/n \rfloor, \dots, \lfloor (i+1)T/n \rfloor - 1 \right\} . $$
#
# The maximum over all frames is the last row. The paper prints levels "0, 2, 4, ... 64" and 128 rows, and 32 rows for a maximum of 16.
# **Which rows do these numbers count?**

# %%
counts = pd.DataFrame(
    {
        maximum: {
            "2, 4, ... regions": rows(levels_to(maximum)) - 2,
            "and all frames as one region": rows(levels_to(maximum)) - 1,
            "and the maximum": rows(levels_to(maximum)),
            "literally 0, 2, 4, 6, ... regions": sum(range(0, maximum + 1, 2)),
        }
        for maximum in (64, 16)
    }
).rename_axis("rows")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
answers.numbers_folded(counts.rename(columns=lambda maximum: f"maximum {maximum}"), "Rows of a pyramid, by the reading of its levels",
                       folded=False)  # fmt: skip

# %% [markdown]
# Only the third line is the paper's 128 and 32, and it explains why the paper adds the maximum "to ensure the data dimension is even".
# Level 0 is one region. A recording shorter than a level is padded with zeros for that level, as in the paper.
#
# ## Hear a level
#
# A voice made by code says three vowels with a pause. Its mel frames are pooled, each row is held for the length of its region, and noise
# gets the power of the result. **From which level on can you tell the vowels?**

# %%
vowels = [
    sound.vowel(0.45, 130, sound.AH),
    sound.vowel(0.35, 150, sound.EE),
    sound.vowel(0.5, 110, sound.OO),
]
pause = torch.zeros(1, sound.RATE // 5, 1)
voice = torch.cat([vowels[0], vowels[1], pause, vowels[2]], dim=1)
frames = torch.from_numpy(
    log_mel(voice.flatten().numpy(), sound.RATE, bands=32, high_hz=sound.RATE / 2)
)
everything = torch.ones(1, len(frames), dtype=torch.bool)

held = {"frames": frames}
for level in (64, 4, 1):
    region = torch.arange(level + 1) * len(frames) // level
    kept = pyramid(frames[None], everything, (level,))[0, :-1]
    held[f"level {level}"] = kept.repeat_interleave(region.diff(), dim=0)
players = {
    name: sound.vocoded(x, rm.stream("pyramid", name, seed)) for name, x in held.items()
}
sound.play({"the voice": voice, **players})

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: plots.images({name: x.T.clamp(min=-40).numpy() for name, x in held.items()}, "frame, a hundred a second", "mel band", width),
    "fig-mcwsa-rows",
    "Mel frames of three vowels and what three levels of the pyramid keep of them.",
    "Four pictures of mel bands over time. The frames show three vowels and a pause; 64 regions look nearly the same, four regions mix "
    "neighbouring vowels, and one region is the same spectrum at all times.", "synthetic")  # fmt: skip

# %% [markdown]
# One region is a single colour of noise. Four regions have some of the vowels; 64 regions are close to the frames, because a
# region has little more than two of them.
#
# ## Are more regions more time clues?
#
# More regions are also more features, and their means are nearer to single frames. To separate the three, the figure has two controls.
# *Shuffled* frames, in a random order drawn for each recording, have as many rows and features but no order. *Regions of one level alone*
# have the order without the coarser levels. Differences are paired over folds of actors.

# %%
pairs = [
    ("pyramid 64", "pyramid 1"), ("pyramid 16", "pyramid 1"), ("pyramid 4", "pyramid 1"), ("pyramid 64", "pyramid 4"), ("pyramid 64", "one level 64"),
    *((f"pyramid {level}", f"shuffled {level}") for level in (4, 16, 64)),
]  # fmt: skip
differences = pd.DataFrame(
    [
        {"A": one, "B": other}
        | {
            name: 100 * paired(by_fold, one, other, "row")[name]
            for name in ("mean", "low", "high")
        }
        for one, other in pairs
    ]
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
answers.numbers_folded(differences, "A minus B in points of UA, RAVDESS-AV mel", decimals=1, folded=False,
                       note="Mean and 95% interval over six folds of four test actors, uncorrected.")  # fmt: skip
wide = 100 * scores.pivot(index="level", columns="input", values="mean")[
    list(words)
].rename(columns=words)
answers.numbers_folded(wide, "UA in percent by level, RAVDESS-AV mel", decimals=1, file="mcwsa-levels.csv")  # fmt: skip

# %% [markdown]
# **The order of frames matters. Beyond four regions the mean UA is no higher.** Shuffled frames fall with the number of regions: more
# features and no order. The deltas in each frame reach over nine frames, so even shuffled
# frames know whether a voice rises or falls.
#
# ## Your own run
#
# In the synthetic corpus the emotion is the same in all frames of a sample, so **more regions should add nothing**. The features are
# pooled, and logistic regression takes its penalty from the validation split.

# %%
size = "smoke" if profile == "smoke" else "quick"
options = {"size": size, "seed": seed} if corpus == "synthetic" else {}
data = rm.corpora.load(corpus, **options)
fold = data.fold(0)
label = data.task().label
own = {}
for maximum in levels_to(16):
    flat = [
        pyramid(*part.frames("audio"), levels_to(maximum)).flatten(1) for part in fold
    ]
    known = (part.labels[label] for part in fold)
    train, valid, test = zip(flat, known, strict=True)
    own[maximum] = 100 * ua(test[1], linear_probe(train, valid, test[0]))
own = pd.DataFrame({"maximum level": own.keys(), "UA of audio": own.values()})

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
answers.own_run(profile, data.name, ["fold 0", f"{len(fold.test)} test samples"])
answers.numbers_folded(own, "UA in percent by the maximum level, your own run", decimals=1, folded=False)  # fmt: skip

# %% [markdown]
# ## Limits
#
# - RAVDESS-AV mel has 360 takes of one sentence by 24 actors, and a linear classifier. A network may use the order of rows better.
# - The takes are two seconds long. In longer recordings 64 regions are coarser.
# - The stored mel frames begin at 50 Hz and have a Hann window; the paper's begin at 20 Hz and have a Hamming window.
#
# **Exercise.** Which maximum level would keep every frame of a recording of $T$ frames, and how many rows has its pyramid?
#
# :::{dropdown} Answer
# The first power of two from $T$ up, $n$; it has $2n$ rows, the frames and zeros among them. Try `pyramid(x, mask, levels_to(256))`.
# :::
