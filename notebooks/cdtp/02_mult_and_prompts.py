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
# **Does attention follow the frames in which the emotion shows, do all prompts learn, and what do they cost?** CDTP sections 3.2, 3.3 and
# 3.5: MulT {cite}`mult`, and around it the prompts of MPLMM {cite}`mplmm`, which name the missing modalities.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0
drop_rate: float = 0.2  # CDTP 4.3

# %% tags=["remove-input"]
import json

import numpy as np
import pandas as pd
import torch

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import diagram, lines
from robustmer.book.registry import BLUE, GREY, System
from robustmer.experiments import papers, project
from robustmer.experiments.grid import trained
from robustmer.nn.crossmodal import positions

size = "smoke" if profile == "smoke" else "quick"
data = rm.corpora.synthetic(size=size)
steps = 3 if size == "smoke" else 160
budget = rm.Budget(
    epochs=0, min_steps=steps, max_steps=steps, batch_size=64, checks=min(steps, 4)
)
options = {"width": 32, "layers": 1, "heads": 4, "lr": 2e-3}
recipe = rm.Recipe(
    rm.MulT,
    data,
    rm.drop(data.modalities, drop_rate),
    seed=seed,
    budget=budget,
    options=options,
)
system = trained(recipe, papers.ledger_of("cdtp", profile)).eval()
with rm.seeded("before", seed):
    untrained = rm.MulT(data.shapes, data.task(), **options).eval()

test, (*_, rows) = data.fold(0).test, data.split.folds[0]
follows = []
for name, network in {"before training": untrained, "after training": system}.items():
    for (asks, source), shares in network.backbone.attention(
        *network.backbone.read(test)
    ).items():
        asking, heard = (
            test.mask[m][:, : shares.shape[i]] for m, i in ((asks, 2), (source, 3))
        )
        received = (
            (shares.mean(1) * asking[..., None]).sum(1)
            / asking.sum(1)[:, None]
            * heard.sum(1)[:, None]
        )
        salience = data.factors[f"salience_{source}"][rows][:, : shares.shape[3]][
            heard.numpy()
        ]
        r = (
            np.corrcoef(salience, received[heard])[0, 1]
            if received[heard].std() > 1e-6
            else 0.0
        )
        nats = -(shares * shares.clamp(min=1e-9).log()).sum(-1).mean(1)
        even = (nats.exp() / heard.sum(1)[:, None])[asking].mean()
        pair = {
            "row": f"{asks} attends to {source}",
            "system": name,
            "low": float("nan"),
            "high": float("nan"),
        }
        follows += [pair | {"panel": "correlation with the salience", "value": float(r)},
                    pair | {"panel": "share of the frames attended to", "value": float(even)}]  # fmt: skip
follows = pd.DataFrame(follows)
r = follows[follows["panel"].str.startswith("corr")].pivot(
    index="row", columns="system", values="value"
)
learnt = int((r["after training"] > r["before training"] + 0.1).sum())

bench = {
    line["system"]: line
    for line in json.loads((project() / "results/measured/bench.json").read_text())[
        "cdtp"
    ]
}
peers = pd.read_csv(project() / "results/peers/cdtp.csv").set_index("what")["value"]
weights = bench["MPLMM"]["parameters"] / bench["MulT"]["parameters"] - 1
time = {
    name: bench[name]["steps"]["none"]["classify"]["seconds"]
    for name in ("MulT", "MPLMM", "CDTP")
}
answer(
    (
        f"Attention follows the salient frames in {learnt} of {len(r)} pairs of modalities.",
        "synthetic",
    ),
    (
        "The missing-type prompts and their matrices begin at zero in the public code, so neither ever moves.",
        "printed",
    ),
    f"The prompts of MPLMM cost {100 * weights:.0f}% more weights and {100 * (time['MPLMM'] / time['MulT'] - 1):.0f}% more time.",
)

# %%
boxes = {
    "frames of\na, v, l": (0, 0, ""), "projected\nframes": (1, 0, "MulT"), "crossmodal\nencoders": (2, 0, "MulT"),
    "memory": (3, 0, "MulT"), "residual\nblock": (4, 0, "MulT"), "emotion": (5, 0, ""),
    "completion\nwith P_G": (0, 1.3, "prompts"), "signal\nP_NMS, P_MS": (1, 1.3, "prompts"), "type\nP_MT M_P": (3, 1.3, "prompts"),
}  # fmt: skip
arrows = [
    ("frames of\na, v, l", "projected\nframes", ""), ("projected\nframes", "crossmodal\nencoders", ""),
    ("crossmodal\nencoders", "memory", ""), ("memory", "residual\nblock", ""), ("residual\nblock", "emotion", ""),
    ("frames of\na, v, l", "completion\nwith P_G", ""), ("completion\nwith P_G", "projected\nframes", ""),
    ("signal\nP_NMS, P_MS", "projected\nframes", ""), ("signal\nP_NMS, P_MS", "type\nP_MT M_P", "M"), ("type\nP_MT M_P", "memory", ""),
]  # fmt: skip
show(lambda width: diagram(boxes, arrows, width), "fig-cdtp-mult",
     "MulT, and where the three kinds of prompts of MPLMM and CDTP enter it.",
     "A diagram. Frames are projected, pass crossmodal encoders, a memory and a residual block. Generative and signal prompts act on the "
     "frames, type prompts on the memory.")  # fmt: skip

# %% [markdown]
# ## Attention and salience
#
# For each ordered pair of modalities a *crossmodal* encoder lets the frames of the first attend to those of the second. In the synthetic
# corpus it is known which frames are worth it: in every modality the emotion shows more at some times than at others, by the *salience*
# $a_t$ ({ref}`nmer-data`). The network never sees $a_t$. A small MulT learns with missing modalities; then its attention on test speakers
# is correlated with the salience of the frames attended to.

# %%
looks = {name: System(name, "", *mark) for name, mark in {"before training": (GREY, "o"), "after training": (BLUE, "D")}.items()}  # fmt: skip
own_run(profile, data.name, ["fold 0", "one training", f"{steps} steps"])
show(lambda width: dots(follows, looks, {name: "correlation" if "corr" in name else "share" for name in follows["panel"]}, width),
     "fig-cdtp-attention",
     f"Attention follows the salience in {learnt} of {len(r)} pairs. Correlation over all frames of the test speaker; share of frames: "
     "exp(entropy), 1 is even.",
     "Two panels with six rows, one a pair of modalities, before and after training: correlations with the salience, and how many frames "
     "attention is spread over.", data.name)  # fmt: skip
ua = rm.score(system, test, rm.CLEAN)["UA"]
print(
    f"UA on complete test samples: {ua:.2f}, chance {1 / len(data.task().classes):.2f}"
)

# %% [markdown]
# A network can learn the task with attention that is nearly even, as a mean over time would be. Bright columns in a map of attention are
# then no evidence of emotion. This network learned from a few hundred utterances; whether more would teach it is not tested.
#
# **Positions.** Attention does not know the order of frames. Each frame, times the root of its width $d$, gets a vector added that depends
# on its place $pos$ only (eqs. 1 and 2; $i$ counts pairs of columns):
#
# $$ \begin{aligned} PE_{pos,\,2i} &= \sin\left(pos / 10000^{2i/d}\right) \\
#    PE_{pos,\,2i+1} &= \cos\left(pos / 10000^{2i/d}\right) \end{aligned} $$

# %%
place = positions(50, 32)
unit = place / place.norm(dim=1, keepdim=True)
print(
    "frame 0:",
    *(f"{value:g}" for value in place[0, :4].tolist()),
    "... sines in even columns, cosines in odd ones",
)
print(
    "cosine with frame 0:",
    {frame: round(float(unit[0] @ unit[frame]), 2) for frame in (1, 5, 20, 49)},
)

# %% [markdown]
# The sentence below the paper's equations exchanges sine and cosine.
#
# ## Three kinds of prompts
#
# A prompt is a piece of input that is learned. *Generative* prompts lead from the available modalities to frames for a missing one.
# *Missing-signal* prompts are added to a modality's frames and mark them as recorded or imputed. *Missing-type* prompts name the
# combination; they are made of the signal prompts,
#
# $$ \mathbf{P}'_{MT} = \mathbf{P}_{MT}\, \mathbf{M}_P , \qquad
#    \mathbf{M}_P = \sum_m \mathbf{P}^m\, \mathbf{M}_m , $$
#
# with $\mathbf{P}^m$ the transposed signal prompt that holds for modality $m$. For three modalities, six signal prompts and three matrices
# replace prompts for each of $2^3 - 1 = 7$ combinations (3.3.3).

# %%
mosi = {"audio": (5,), "visual": (20,), "text": (768,)}  # CMU-MOSI with BERT
small, task = (
    {"width": 30, "layers": 5, "heads": 5},
    rm.Regress("sentiment"),
)  # the sizes of the public code
mplmm = rm.MPLMM(mosi, task, **small, frames=50, length=16)
prompted = mplmm.prompted
kinds = {
    "generative, P_G": [layer.prompt for layer in mplmm.completion.complete.values()],
    "signal, P_NMS": [*prompted.not_missing.values()], "signal, P_MS": [*prompted.missing.values()],
    "type, P_MT": [*prompted.kinds.values()], "matrices, M": [*prompted.matrix.values()],
}  # fmt: skip
numbers_folded(pd.DataFrame([(name, len(p), " × ".join(map(str, p[0].shape)), sum(t.numel() for t in p)) for name, p in kinds.items()],
                            columns=["prompt", "number", "shape of each", "parameters"]),
               f"The prompts of MPLMM, which has {rm.count_parameters(mplmm):,} parameters", folded=False)  # fmt: skip

# %% [markdown]
# The paper prints shapes that cannot all hold; read here are those on the right.
#
# | section | as printed | contradiction | read here |
# | --- | --- | --- | --- |
# | 3.3.1, 3.4 | $P_G$ is $3 × d_p × l_p$, its part for audio $p × d'$ | one is the other's transpose | $p = l_p$ rows of $d' = d_p$ values |
# | 3.4, 3.5 | $P_{NMS}$ is added to frames, $L × d'$, and multiplied by $M$, $d_p × l_p$ | it would be $L × d'$ and $l_p × d_p$ at once | $M$ is $L × 2d'$, behind the transposed prompt |
# | 3.5 | $M_P$ is $d_p × d_p$; frames after crossmodal attention are $2d'$ wide | other widths | $M_P$ is $d' × 2d'$ |
# | 3.5 | $P'_{MT}$, $3 × l_p × d_p$, is added to $Q K^\top$ | scores are frames × frames | its rows stand beside the frames before the memory, as in MPLMM |
# | 3.4 | an MLP maps $p + 2L'$ rows to $L$ | an MLP maps columns | a linear map over rows, then GELU |
#
# ## A prompt that cannot learn
#
# $\mathbf{P}'_{MT}$ is a product of two learned factors, and the gradient of one is a multiple of the other. The public code of CDTP and
# of MPLMM begins **both** at zero. Then both gradients are zero, neither moves, and the next step is the same.

# %%
few = rm.corpora.synthetic(size="smoke", pooled=True).fold(0).train[:32]
begins = {
    "both small (ours)": (),
    "P_MT zero": ("kinds",),
    "both zero (public code)": ("kinds", "matrix"),
}
norms = []
for begin, zeros in begins.items():
    with rm.seeded("gradients", seed):
        network = rm.MPLMM(
            few.shapes, data.task(), width=12, layers=2, heads=3, frames=10, length=4
        )
        adam = torch.optim.Adam(network.parameters(), lr=1e-3)
        for tensor in [
            t for name in zeros for t in getattr(network.prompted, name).values()
        ]:
            torch.nn.init.zeros_(tensor)
        for step in range(1, 21):
            observed = rm.corrupt(
                few, rm.drop(few.modalities, 0.6), rm.stream("gradients", seed, step)
            )
            adam.zero_grad()
            network.loss(few, observed)["task"].backward()
            for label, name in {
                "P_MT": "kinds",
                "M": "matrix",
                "P_MS": "missing",
            }.items():
                norm = torch.stack(
                    [t.grad.norm() for t in getattr(network.prompted, name).values()]
                ).norm()
                norms.append(
                    {"panel": begin, "series": label, "x": step, "value": float(norm)}
                )
            adam.step()
norms = pd.DataFrame(norms)
show(lambda width: lines(norms, "step of Adam", "norm of the gradient", width, height=230), "fig-cdtp-gradients",
     "With P_MT at zero, M gets its first gradient a step later; with both at zero neither ever moves.",
     "Three panels of gradient norms over 20 steps. Right: those of P_MT and M are exactly zero in all steps.", "synthetic")  # fmt: skip
dead = norms.groupby(["panel", "series"])["value"].max()
print(
    "zero in all steps:",
    *(f"{name}, {begin}" for begin, name in dead.index[dead == 0]),
    sep="\n  ",
)

# %% [markdown]
# What then reaches the network are tokens of zeros, whatever is missing.
#
# ## The cost
#
# A step is one of 32 samples of 50 frames, without missing modalities, on two threads. The public code of CDTP had to be patched before it
# ran.

# %%
costs = []
for kind in (rm.MulT, rm.MPMM, rm.MPLMM, rm.CDTP):
    more = {} if kind in (rm.MulT, rm.MPMM) else {"frames": 50}
    with torch.device("meta"):  # counts without memory
        first = (
            (rm.Completion(mosi, rm.OwnError(), frames=50),) if kind is rm.CDTP else ()
        )
        ours, paper = (
            rm.count_parameters(kind(mosi, task, *first, **sizes, **more))
            for sizes in (small, {})
        )
    name = kind.__name__
    costs.append(
        (
            name,
            ours,
            paper,
            peers.get(f"{name}: step, nothing missing"),
            1000 * time.get(name, np.nan),
        )
    )
numbers_folded(pd.DataFrame(costs, columns=["system", "parameters", "at the paper's sizes", "public code, ms", "ours, ms"]),
               "Parameters and time of a step", decimals=0, folded=False, note="Public code: results/peers. Ours: results/measured/bench.json.")  # fmt: skip
print(f"MulT's public code has {peers['MulT: parameters']:,.0f} parameters")
print(f"to predict one sample without text, the public code of CDTP takes {peers['CDTP: predict one row, text missing'] / 1000:.0f} s; "
      f"ours completes 32 samples in {bench['CDTP']['complete']['20']:.1f} s")  # fmt: skip

# %% [markdown]
# CDTP's public code calls three U-Nets 1000 times each for one sample; ours calls one U-Net 20 times for all
# ({ref}`cdtp-conditional-diffusion`).
#
# ## Limits
#
# - Attention is measured in one small training on synthetic data, because only there the salient frames are known.
# - Whether prompts help on people is the question of {ref}`cdtp-ablations`.
#
# **To try:** `seed=1`, another training: does attention follow the salience in any pair? And `drop_rate=0.7`: does a network that often
# lacks a modality attend otherwise?
