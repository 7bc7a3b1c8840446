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
# (cdtp-mult-and-prompts)=
# # MulT and its prompts
#
# CDTP sections 3.2, 3.3 and 3.5. Under CDTP lies MulT {cite}`mult`, in which frames of one modality ask those of another,
# and around it stand the prompts of MPLMM {cite}`mplmm`, which say what is missing. **Do the frames hear the right ones, do all prompts learn, and what
# do they cost?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0
drop_rate: float = 0.2  # CDTP 4.3

# %% tags=["hide-input"]
from functools import partial
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display

from robustmer.conditions import corrupt, missing_modes
from robustmer.corpora import load
from robustmer.cost import random_batch, step_cost
from robustmer.display import run_card, table, theme
from robustmer.nn.crossmodal import positions, sequence
from robustmer.noise import stream
from robustmer.papers.cdtp import profile_named
from robustmer.results import RESULTS
from robustmer.systems import CDTP, MPLMM, MPMM, MulT, count_parameters
from robustmer.train import Budget, fit, seeded

palette = theme()
size = profile_named(profile).size
size = size if size == "smoke" else "quick"  # sequences of the full size take an hour
data = load("synthetic", size=size)
train, valid, test = (part.to(device) for part in data.fold(0))
source = run_card(profile, data.name, device, drop_rate=f"{drop_rate:g}", seed=seed,
                  fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from
peers = pd.read_csv(RESULTS / "peers" / "cdtp.csv").set_index("what")["value"]

# %% [markdown]
# ## Positions
#
# Attention does not know the order of frames. So each frame, times the root of its width $d$, gets a vector added that
# depends on its place $pos$ only (eqs. 1 and 2; $i$ counts pairs of columns):
#
# $$ \begin{aligned} PE_{pos,\,2i} &= \sin\left(pos / 10000^{2i/d}\right) \\
#    PE_{pos,\,2i+1} &= \cos\left(pos / 10000^{2i/d}\right) \end{aligned} $$

# %% mystnb={"figure": {"name": "fig-cdtp-positions", "caption": "Left: what is added to each frame (width 32). Right: how alike two frames are by their positions alone, as the cosine of the angle between their vectors: near is alike."}} tags=["hide-input"]
place = positions(50, 32)
unit = place / place.norm(dim=1, keepdim=True)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", width_ratios=[1, 1.1])
sns.heatmap(place.numpy(), cmap="vlag", vmin=-1, vmax=1, ax=left, xticklabels=8, yticklabels=10)
left.set(xlabel="column", ylabel="frame")
sns.heatmap((unit @ unit.T).numpy(), cmap="viridis", vmin=0, vmax=1, ax=right, xticklabels=10, yticklabels=10, square=True)
right.set(xlabel="frame", ylabel="frame")
plt.show()

# %% tags=["hide-input"]
display(Markdown(
    f"The first frame gets {', '.join(f'{x:g}' for x in place[0, :4].tolist())}, ...: the even columns are sines and the odd "
    "ones cosines, as in the equations. (The sentence after them says it the other way round.)"))

# %% [markdown]
# ## Who hears whom
#
# For each ordered pair of modalities a *crossmodal* encoder lets the frames of the first ask those of the second. In the
# synthetic corpus it is known which frames are worth asking: in every modality the emotion is more visible at some times
# than at others, by the *salience* $a_t$, which has mean 1 in an utterance ({ref}`nmer-data`). Nobody tells the network. A
# small MulT is trained, with missing modes; then its attention on test speakers is held against the salience, before
# training and after. The share of attention that a frame gets is given as a multiple of an even share.

# %%
budget = (Budget(epochs=1, max_steps=3, checks=1) if profile == "smoke"
          else Budget(epochs=20, max_steps=160, batch_size=64, checks=4))
with seeded("who hears whom", seed):
    system = MulT(data.dims, data.classes, width=32, layers=1, heads=4, lr=2e-3)
system = system.to(device)


@torch.no_grad()
def attention(batch) -> dict:
    """The first layer's, for each pair (rows, heads, frames, frames)."""
    read = {m: sequence(batch, m) for m in batch.modalities}
    x = {m: system.backbone.project[m](frames) for m, (frames, _) in read.items()}
    here = {m: here for m, (_, here) in read.items()}
    return {pair: shares.cpu() for pair, shares
            in system.eval().backbone.attention(x, here).items()}


before = attention(test)
conditions = missing_modes(data.modalities, drop_rate)
records = list(fit(system, train, valid, conditions, budget, seed=f"hears, seed {seed}"))
after = attention(test)

# %% tags=["hide-input"]
salience = {m: torch.from_numpy(data.factors[f"salience_{m}"][data.folds[0][2]]) for m in data.modalities}


def heard(maps, pair) -> tuple[np.ndarray, np.ndarray]:
    """For each real frame of the second modality its salience, and how much it is heard in multiples of its share."""
    asks, other = pair
    real, there = (test.real[m].cpu() for m in (asks, other))
    mean = (maps[pair].mean(1) * real[..., None]).sum(1) / real.sum(1)[:, None]
    times = mean * there.sum(1)[:, None]
    return salience[other][:, : there.shape[1]][there].numpy(), times[there].numpy()


def slope(maps, pair) -> float:
    """Correlation of attention and salience over the frames of utterances; 0 where all frames are heard alike."""
    worth, got = heard(maps, pair)
    return float(np.corrcoef(worth, got)[0, 1]) if got.std() > 1e-6 else 0.0


def breadth(maps, pair) -> float:
    """How many frames are heard, of those that are there: exp(entropy), mean over frames that ask and heads."""
    asks, other = pair
    nats = -(maps[pair] * maps[pair].clamp(min=1e-9).log()).sum(-1)
    share = nats.exp() / test.real[other].cpu().sum(1)[:, None, None]
    return float(share.mean(1)[test.real[asks].cpu()].mean())


found = pd.DataFrame([
    {"frames": f"{pair[0]} hears {pair[1]}", "before": slope(before, pair), "after": slope(after, pair),
     "breadth, before": breadth(before, pair), "breadth": breadth(after, pair),
     "salient": float(heard(after, pair)[1][heard(after, pair)[0] > 2].mean())}
    for pair in after
])

# %% mystnb={"figure": {"name": "fig-cdtp-attention", "caption": "The longest test utterance after training. Above: attention of the first crossmodal layer, mean over heads, in multiples of an even share; a row is a frame that asks, a column a frame that is asked. Below: the salience of the frames that are asked."}} tags=["hide-input"]
shown = [("text", "audio"), ("text", "visual"), ("audio", "visual")]
longest = int(sum(test.real[m].cpu().sum(1) for m in data.modalities).argmax())
figure, axes = plt.subplots(2, 3, figsize=(9, 3.8), layout="constrained", height_ratios=[3, 1], sharex="col")
for (above, below), (asks, other) in zip(axes.T, shown, strict=True):
    frames, asked = (int(test.real[m][longest].sum()) for m in (asks, other))
    shares = asked * after[asks, other].mean(1)[longest, :frames, :asked]
    image = above.imshow(shares, aspect="auto", cmap="viridis", interpolation="nearest")
    figure.colorbar(image, ax=above, shrink=0.9)
    above.set(title=f"{asks} hears {other}", ylabel=asks)
    above.grid(False)
    below.plot(salience[other][longest, :asked], color=palette[1], lw=1.5)
    below.set(xlabel=f"frame of {other}", ylim=(0, None))
axes[1, 0].set_ylabel("salience")
plt.show()

# %% tags=["hide-input"]
table(found.rename(columns={"before": "r, before", "after": "r, after", "breadth, before": "frames heard, before",
                            "breadth": "frames heard, after", "salient": "heard where salience > 2"}), "tbl-cdtp-attention",
      "Attention and salience of the frame that is asked", f"r: their correlation over all frames of the {len(test)} test "
      f"utterances, before and after {records[-1]['step']} steps. Frames heard: exp(entropy), as a share of those that are "
      "there; 1 is all alike. Last column: in multiples of an even share. Width 32, one layer, four heads.", decimals=2)
learnt = found.loc[found["after"] > found["before"] + 0.1, "frames"]
even, best, chance = found["breadth"].mean(), max(r["valid_ua"] for r in records), 1 / len(data.classes)
display(Markdown(
    f"The loss went from {records[0]['cls']:.2f} to {records[-1]['cls']:.2f}, and the UA on the validation speaker is "
    f"{best:.2f} (chance {chance:.2f}). Attention follows the salience more than "
    f"before, by 0.1 of correlation or more, in **{len(learnt)} of {len(found)}** pairs"
    f"{': ' + ', '.join(learnt) if 0 < len(learnt) < len(found) else ''}. A head hears {even:.0%} of the frames that are "
    f"there, {found['breadth, before'].mean():.0%} before training. "
    + ("It has not learned the task yet, so the maps say nothing." if best < 2 * chance else
       "A network that was only told the classes has found, in these pairs, frames in which the emotion shows."
       if len(learnt) > len(found) / 3 else
       "So this network learns the task with its attention nearly even, as a mean over time would be, and "
       f"{'in the other pairs ' if len(learnt) else ''}does not find the frames that are worth hearing: bright columns in "
       "{numref}`fig-cdtp-attention` are **no evidence of emotion**. It learned "
       f"from {len(train)} utterances only; whether more would teach it is not shown here."
       if even > 0.8 else
       "So its attention is not even, and hardly follows the salience: what it listens to instead is **not decided** here.")))

# %% [markdown]
# ## Three kinds of prompts
#
# A prompt is a piece of input that is learned. CDTP takes three kinds from MPLMM. *Generative* prompts lead from the
# modalities that are there to frames for a missing one. *Missing-signal* prompts are added to a modality's frames and say
# whether they are recorded or made. *Missing-type* prompts tell the whole combination; they are made of the signal prompts,
#
# $$ \mathbf{P}'_{MT} = \mathbf{P}_{MT}\, \mathbf{M}_P , \qquad
#    \mathbf{M}_P = \sum_m \mathbf{P}^m\, \mathbf{M}_m , $$
#
# with $\mathbf{P}^m$ the transposed signal prompt that holds for modality $m$: of three modalities, six signal prompts and three
# matrices make what would else be prompts for each of $2^3 - 1 = 7$ combinations (3.3.3).

# %%
sizes = {"width": 30, "layers": 5, "heads": 5}  # those of the public code
dims = {"audio": 5, "visual": 20, "text": 768}  # CMU-MOSI with BERT
frames, length = 50, 16
with seeded("prompts", seed):
    mplmm = MPLMM(dims, (), **sizes, frames=frames, length=length)
prompted, completion = mplmm.prompted, mplmm.completion
kinds = [
    ("generative, P_G", [layer.prompt for layer in completion.complete.values()],
     "before the pieces made of the present modalities; a linear map over all rows"),
    ("missing signal, P_NMS", list(prompted.not_missing.values()),
     "added to the projected frames of a modality that is there"),
    ("missing signal, P_MS", list(prompted.missing.values()),
     "added to the frames that stand in for a missing one"),
    ("missing type, P_MT", list(prompted.kinds.values()),
     "times M_P: tokens before the frames in the memory of each modality"),
    ("matrices, M", list(prompted.matrix.values()), "make M_P of the signal prompts"),
]

# %% tags=["hide-input"]
table(pd.DataFrame([
    {"what": what, "number": len(some), "shape of each": " × ".join(map(str, some[0].shape)),
     "parameters": f"{sum(t.numel() for t in some):,}", "where it enters": where}
    for what, some, where in kinds
]), "tbl-cdtp-prompts", "The prompts of MPLMM as read here",
    f"At the public code's sizes: width d' = {sizes['width']}, L = {frames} frames a modality, {length} prompts; the memory is "
    f"2 d' wide. All of MPLMM has {count_parameters(mplmm):,} parameters.", source="")
display(Markdown(
    "The paper prints the shapes in several ways, which cannot all hold ({numref}`tbl-cdtp-shapes`)."))
table(pd.DataFrame([
    ("3.3.1, 3.4", "P_G is 3 × d_p × l_p, and its part for audio p × d'", "one is the other's transpose",
     "p = l_p rows of d' = d_p values"),
    ("3.4, 3.5", "P_NMS is added to frames, L × d', and multiplied by M, d_p × l_p, into d_p × d_p",
     "would be L × d' and l_p × d_p at once: L = l_p",
     "M is L × 2d', and the transposed prompt, d' × L, comes before it"),
    ("3.5", "M_P is d_p × d_p, and frames after crossmodal attention are 2d' wide",
     "prompts and frames have other widths", "M_P is d' × 2d'"),
    ("3.5", "P'_MT, 3 × l_p × d_p, is added to Q Kᵀ", "scores are frames × frames",
     "its l_p rows of 2d' stand beside the frames before the memory, as in MPLMM"),
    ("3.4", "MLP maps p + 2L' rows to L", "an MLP maps columns", "a linear map over the rows, then GELU"),
], columns=["place", "as printed", "why it cannot be", "read here"]),
    "tbl-cdtp-shapes", "Shapes of the prompts that do not fit together", "CDTP, by section.", source="")

# %% [markdown]
# ## A prompt that cannot learn
#
# $\mathbf{P}'_{MT}$ is a product of two things that are learned. Its gradient for the one is a multiple of the other. The
# public code of CDTP and of MPLMM begins **both** with zeros. Then both gradients are zero, nothing moves, and they are
# zero in the next step too. Here $\mathbf{P}_{MT}$ is small and $\mathbf{M}$ is not. The same network, three ways to
# begin, and some steps of Adam:

# %%
rows, steps = {"smoke": (4, 2)}.get(profile, (32, 20))
small = {"width": 12, "layers": 2, "heads": 3}
few = random_batch(rows, dims, dict.fromkeys(dims, 10), classes=4)
begins = {"small and not zero (here)": (), "zero and not zero": ("kinds",),
          "zero and zero (public code)": ("kinds", "matrix")}
watched = {"P_MT": "kinds", "M": "matrix", "P_NMS": "not_missing", "P_MS": "missing"}
gradients = []
for words, zeros in begins.items():
    with seeded("gradients", seed):
        system = MPLMM(dims, ("a", "b", "c", "d"), **small, frames=10, length=4)
    groups = {name: getattr(system.prompted, where) for name, where in watched.items()}
    with torch.no_grad():
        for t in (t for where in zeros for t in getattr(system.prompted, where).values()):
            t.zero_()
    start = {name: [t.detach().clone() for t in g.values()] for name, g in groups.items()}
    adam = torch.optim.Adam(system.parameters(), lr=1e-3)
    draw = stream("gradients", seed)
    for step in range(1, steps + 1):
        adam.zero_grad()
        seen = corrupt(few, missing_modes(few.modalities, 0.6), draw)
        with seeded("dropout", seed, step):
            system.loss(few, seen)["cls"].backward()
        for name, group in groups.items():
            norm = torch.stack([t.grad.norm() for t in group.values()]).norm()
            gradients.append({"begin": words, "what": name, "step": step,
                              "gradient": float(norm)})
        adam.step()
    for name, group in groups.items():
        way = [(t - old).norm() for t, old in zip(group.values(), start[name], strict=True)]
        gradients.append({"begin": words, "what": name, "step": "moved",
                          "gradient": float(torch.stack(way).norm())})
gradients = pd.DataFrame(gradients)

# %% tags=["hide-input"]
wide = gradients.pivot(index=["begin", "what"], columns="step", values="gradient")
wide = wide.loc[[(b, w) for b in begins for w in watched], [1, 2, steps, "moved"] if steps > 2 else [1, 2, "moved"]]
dead = [(b, w) for b, w in wide.index if (gradients.query("begin == @b and what == @w")["gradient"] == 0).all()]
wide.columns = [f"gradient, step {c}" if c != "moved" else f"moved in {steps} steps" for c in wide.columns]
table(wide.rename_axis(["P_MT and M begin", "of"]).map(lambda x: "0" if x == 0 else f"{x:.1g}"), "tbl-cdtp-gradients",
      "Norm of the gradient, and distance travelled, of the prompts",
      f"MPLMM of width {small['width']}, {rows} random rows, Adam at 0.001, drop rate 0.6. 0 is exactly zero.")
display(Markdown(
    f"Exactly zero in all {steps} steps and never moved: **{'; '.join(f'{w}, where they begin {b}' for b, w in dead) or 'none'}**. "
    "With one factor at zero it moves in the first step and the other one follows; with both, what reaches the network is so "
    "many tokens of zeros, whatever is missing."))

# %% [markdown]
# ## What it costs
#
# One step of each stage of training and one prediction of a batch at the public code's sizes: 50 frames a modality,
# features 768, 5 and 20 wide, width 30, five layers, five heads. Seconds were measured **on the machine that rendered this
# page**, on one thread. The last column counts the parameters at the sizes that the paper states: width 256, six layers,
# eight heads. CDTP learns to complete first ({ref}`cdtp-conditional-diffusion`) and to classify then.

# %%
rows, repeats = {"smoke": (2, 1)}.get(profile, (32, 3))
batch = random_batch(rows, dims, dict.fromkeys(dims, frames), classes=2).to(device)
rate = peers["MPLMM: drop rate, README"]
conditions = missing_modes(batch.modalities, rate)
costs = []
for kind, more in ((MulT, {}), (MPMM, {"length": length}),
                   (MPLMM, {"frames": frames, "length": length}),
                   (CDTP, {"frames": frames, "length": length})):
    with seeded("cost", seed):
        system = kind(dims, (), **sizes, **more).to(device)
        made = kind(dims, ("negative", "positive"), **sizes, **more).to(device)
    with torch.device("meta"):  # counts without making
        large = kind(dims, (), **more)
    cost = step_cost(made, batch, conditions, repeats)
    costs += [{"system": kind.__name__, "stage": stage.name,
               "parameters": count_parameters(system),
               "step, ms": 1000 * stage.seconds, "GFLOP": stage.flops / 1e9,
               "kept, MiB": stage.kept_bytes / 2**20,
               "predict, ms": 1000 * cost.predict_seconds,
               "parameters, CDTP 4.3": count_parameters(large)}
              for stage in cost.stages]
costs = pd.DataFrame(costs)

# %% tags=["hide-input"]
counts = {c: costs[c].map("{:,}".format) for c in costs if c.startswith("parameters")}
table(costs.assign(**counts), "tbl-cdtp-cost", f"A step of {rows} rows",
      f"Median of {repeats} step{'s' if repeats > 1 else ''}, one thread, {'CPU' if device == 'cpu' else 'wall-clock'} seconds; "
      f"{rate:.0%} of the rows lack something. Predicted are whole rows. Parameters: all of the system's, with one output, as "
      "for sentiment. Kept: what the backward pass needs.", decimals=1)
by = costs.drop_duplicates("system").set_index("system")
public = int(peers["MulT: parameters"])
times = by["parameters, CDTP 4.3"] / by["parameters"]
display(Markdown(
    f"MulT has {by.loc['MulT', 'parameters']:,} parameters, "
    f"{'exactly those' if by.loc['MulT', 'parameters'] == public else '**not** those'} of its public code ({public:,}). The prompts "
    f"of MPLMM cost {100 * (by.loc['MPLMM', 'parameters'] / by.loc['MulT', 'parameters'] - 1):.0f}% more parameters and "
    f"{100 * (by.loc['MPLMM', 'step, ms'] / by.loc['MulT', 'step, ms'] - 1):+.0f}% of time; those of MPMM, which has some for each "
    f"layer and combination, {by.loc['MPMM', 'parameters'] / by.loc['MulT', 'parameters']:.1f} times the parameters of MulT and "
    f"{100 * (by.loc['MPMM', 'step, ms'] / by.loc['MulT', 'step, ms'] - 1):+.0f}% of time. At the paper's sizes they have so many "
    f"times the parameters: {', '.join(f'{name} {x:.0f}' for name, x in times.items())}."))

# %% [markdown]
# The public code was run at the same sizes, on two threads; CDTP's had to be patched before it ran. Ours on two threads
# is what `robustmer bench` wrote to `results/measured/bench.json`.

# %% tags=["hide-input"]
bench = json.loads((RESULTS / "measured" / "bench.json").read_text())
timed = {line["system"]: line for line in bench["cdtp"]}


def ours(name: str, missing: str) -> dict:
    """Milliseconds of a step of each stage where so many rows lack something, nan where that was not measured."""
    steps = timed.get(name, {}).get("steps", {}).get({"nothing": "none"}.get(missing, missing), {})
    return {f"ours, {stage}": 1000 * steps[stage]["seconds"] if stage in steps else np.nan
            for stage in ("classify", "complete")}


beside = pd.DataFrame([
    {"system": name, "missing": missing, "public code": peers[f"{name}: step, {missing} missing"]} | ours(name, missing)
    for name, missing in (("MulT", "nothing"), ("MPLMM", "nothing"), ("MPLMM", "70%"), ("CDTP", "nothing"),
                          ("CDTP", "20%"), ("CDTP", "100%"))
])
table(beside, "tbl-cdtp-cost-public", "Milliseconds of a step of 32 rows, public code and ours",
      f"Public code: results/peers/cdtp.csv. Ours: {bench['processor']}, {bench['threads']} threads, {bench['device']}, torch "
      f"{bench['torch']}, commit {bench['commit']}. A dash: not measured, or no such stage. CDTP's public code has one stage, "
      "without eq. 5.", decimals=0, source="")
one = peers["CDTP: predict one row, text missing"] / 1000
whole = timed.get("CDTP", {}).get("complete", {}).get("20")
display(Markdown(
    f"To predict a single row whose text is missing takes the patched public code of CDTP **{one:.1f} s**: three "
    "U-Nets are called 1000 times each."
    + (f" Ours completes 32 rows, each of which lacks something, in {whole:.2f} s with 20 steps of DDIM." if whole else "")))

# %% [markdown]
# **To try:** `seed=1`: which pairs of {numref}`tbl-cdtp-attention` find the salient frames again? And `drop_rate=0.7`: does a
# network that often misses a modality listen otherwise?
