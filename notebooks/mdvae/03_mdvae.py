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
# (mdvae-model)=
# # The dynamical VAE of voice and face
#
# **Where does each number of the loss come from?** VQ-MDVAE sections 2.2 to 2.4, equations 1 to 12, Fig. 1 to 3, Table A.7.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the weights of Table A.7 and the answer", "code_prompt_hide": "Code: imports, the weights of Table A.7 and the answer"}
import re

import numpy as np
import pandas as pd
import torch
from torch import nn

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.picture import show
from robustmer.book.plots import diagram, lines, stacks
from robustmer.experiments.papers import published

FACES = {"audio": (513,), "visual": (3, 64, 64)}
with torch.device("meta"):
    codecs = {
        f"{m}_codec": rm.VQVAE(FACES, rm.Reconstruct((m,)), modality=m) for m in FACES
    }
    paper = rm.MDVAE(FACES, rm.OwnError(), codecs=("audio", "visual"), **codecs)
    own = {"audio": paper.of_modality["audio"], "visual": paper.of_modality["visual"]}
    chains = {"B4": paper.of_all, "B6": own["audio"], "B8": own["visual"]}
    modules = {
        "B1": [paper.read["visual"]],
        "B2": [],
        "B3": [paper.of_sequence],
        **{name: [chain.gru, chain.prior] for name, chain in chains.items()},
        **{
            f"B{int(name[1]) + 1}": [chain.first, chain.rest]
            for name, chain in chains.items()
        },
        "B10": [paper.decoders["visual"]],
        "B11": [paper.decoders["audio"]],
    }
ours = {block: sum(map(rm.count_parameters, parts)) for block, parts in modules.items()}
SIZES = {"r_v": 512, "r_a": 512, "l_w": 84, "l_av": 16, "l_a": 8, "l_v": 8, "h_av": 128, "h_a": 128, "h_v": 128}  # fmt: skip


def weights(layer: str) -> int:
    """The weights of a layer as Table A.7 prints it, such as Linear(2 · 256, 256)."""
    parts = re.search(r"(GRU|Linear)\((.*)\)", layer)
    if not parts:
        return 0
    into, out, *_ = eval(parts[2].replace("·", "*"), dict(SIZES))
    if parts[1] == "Linear":
        return into * out + out
    return rm.count_parameters(nn.GRU(into, out, bidirectional="True" in parts[2]))


table = published("mdvae", "A7").query("block != 'legend'")
printed = table["layer"].map(weights).groupby(table["block"]).sum()
answer(
    (
        f"The loss has six terms, two errors of reconstruction and four KL, and {sum(ours.values()):,} weights.",
        "printed",
    ),
    (
        f"Table A.7 prints {printed.sum():,}: four of its blocks do not fit the equations.",
        "printed",
    ),
    "The KL of the static latent counts once a sequence; the released code counts it in every frame.",
)

# %% [markdown]
# ## The latents
#
# A clip has one **static** latent $w$ for voice and face together: who speaks, and in which emotion. Each frame has a latent that voice and face
# **share**, $z^{(av)}_t$, and one **own** latent of each modality, $z^{(a)}_t$ and $z^{(v)}_t$. A decoder reads the three latents of its modality.

# %%
boxes = {"voice x (a)": (0.75, 1, "observed"), "face x (v)": (2.25, 1, "observed"), "w": (2, 0, "latent of the clip"),
         "z (a)": (0, 0, "latent of a frame"), "z (av)": (1, 0, "latent of a frame"), "z (v)": (3, 0, "latent of a frame")}  # fmt: skip
arrows = [("z (a)", "voice x (a)", ""), ("z (av)", "voice x (a)", ""), ("w", "voice x (a)", ""),
          ("z (v)", "face x (v)", ""), ("z (av)", "face x (v)", ""), ("w", "face x (v)", "")]  # fmt: skip
show(lambda width: diagram(boxes, arrows, width), "fig-mdvae-generation", "Generation: what each modality is made from.",
     "Voice is made from its own latent, the shared latent and w; the face from its own latent, the shared latent and w.")  # fmt: skip

# %% [markdown]
# The prior of $w$ is standard. The latents of frames form three chains, each with a prior that a GRU predicts from the latents before (equations 4
# to 6):
#
# $$ p(x, z) = p(w) \prod_t p(z^{(av)}_t \mid z^{(av)}_{1:t-1})\, p(z^{(a)}_t \mid z^{(a)}_{1:t-1})\, p(z^{(v)}_t \mid z^{(v)}_{1:t-1})\;
#    p(x^{(a)}_t \mid w, z^{(av)}_t, z^{(a)}_t)\, p(x^{(v)}_t \mid w, z^{(av)}_t, z^{(v)}_t) . $$
#
# Inference goes the other way (equations 7 to 10). First comes $w$, from the whole clip, then the shared latent from both modalities and $w$. An own
# latent comes last, from its modality, the shared latent and $w$. Prior and posterior of a chain read the state of the same GRU, which the posterior's draws
# drive. The equations let a latent see all frames; section 2.3 says that inference is causal, and so it is here.

# %%
boxes = {"voice and face": (0, 0.5, "observed"), "voice, frame t": (0, 2, "observed"), "face, frame t": (0, -1, "observed"),
         "q(w)": (1, 0.5, "latent of the clip"), "q(z (av))": (2, 0.5, "latent of a frame"), "q(z (a))": (3, 2, "latent of a frame"),
         "q(z (v))": (3, -1, "latent of a frame")}  # fmt: skip
arrows = [("voice and face", "q(w)", "B3"), ("q(w)", "q(z (av))", "B5"), ("q(z (av))", "q(z (a))", "B7"), ("q(z (av))", "q(z (v))", "B9"),
          ("voice, frame t", "q(z (a))", ""), ("face, frame t", "q(z (v))", "")]  # fmt: skip
show(lambda width: diagram(boxes, arrows, width), "fig-mdvae-inference", "Inference: the order in which latents are inferred, with the blocks of Table A.7.",
     "From both modalities to w, to the shared latent, to the own latent of each modality, which also reads the frame of that modality.")  # fmt: skip

# %% [markdown]
# ## Blocks and weights
#
# The table compares the blocks as printed with the blocks as the equations need them. A chain's GRU reads the chain's own latents, so its input has 16 and 8
# numbers (B4, B6). Equations 9 and 10 condition on the shared latent, which the printed inputs of B7 and B9 lack. The last layers of B10 and B11 are
# linear: the values they predict are unbounded, and the printed ReLU and tanh could not reach them.

# %%
roles = ["face to 512 features", "voice as it is", "q(w)", "prior of z (av)", "q(z (av))", "prior of z (a)", "q(z (a))", "prior of z (v)", "q(z (v))",
         "decoder of the face", "decoder of the voice"]  # fmt: skip
blocks = sorted(ours, key=lambda block: int(block[1:]))
sizes = pd.DataFrame({"block": blocks, "role": roles, "as printed": [printed[b] for b in blocks], "here": [ours[b] for b in blocks]})  # fmt: skip
sizes.loc[len(sizes)] = ["all", "", sizes["as printed"].sum(), sizes["here"].sum()]
numbers_folded(sizes, "Weights of the blocks of Table A.7", folded=False, note="The frozen codecs are not counted.")  # fmt: skip

# %% [markdown]
# ## The loss
#
# Equation 12 is a sum over the frames of a clip. The loss is that sum with the opposite sign, divided by the number of frames $T$:
#
# $$ \frac{1}{T} \Big[ \sum_t \tfrac12 \lVert x^{(a)}_t - \hat x^{(a)}_t \rVert^2 + \tfrac12 \lVert x^{(v)}_t - \hat x^{(v)}_t \rVert^2
#    + \mathrm{KL}^{(av)}_t + \mathrm{KL}^{(a)}_t + \mathrm{KL}^{(v)}_t \Big] + \frac{1}{T} \mathrm{KL}(w) . $$
#
# All weights follow from the model: a Gaussian of variance one gives the factor 1/2, and $w$ is drawn once a clip. The released code has no
# factor 1/2 and does not divide the KL of $w$ by $T$. Here that is the option `kl_static="per_frame"`.
#
# ## A clip whose factors are known
#
# The page trains small systems on sequences of numbers, not on faces: three numbers that stay, two that voice and face share, and one of each
# modality, mixed by fixed matrices, with noise.

# %%
draw, frames, people = np.random.default_rng(seed), 20, 24
clips = {"smoke": 48, "quick": 240, "paper": 960}[profile]


def walk(width: int) -> np.ndarray:
    """Smooth sequences (clips, frames, width) of variance one."""
    steps = draw.normal(size=(clips, frames + 4, width))
    return np.stack([steps[:, t : t + frames] for t in range(5)]).sum(0) / np.sqrt(5)


person = np.arange(clips) % people
still = draw.normal(size=(people, 3))[person] + 0.5 * draw.normal(size=(clips, 3))
shared, moves = walk(2), {"audio": walk(1), "visual": walk(1)}
x = {}
for m, width in {"audio": 24, "visual": 40}.items():
    held = np.broadcast_to(still[:, None], (clips, frames, 3))
    factors = np.concatenate([held, shared, moves[m]], axis=2)
    x[m] = factors @ draw.normal(size=(6, width)) + draw.normal(size=(clips, frames, width))  # fmt: skip
batch = rm.collate(x, speaker=[f"p{i:02d}" for i in person], name="mixed factors")
parts = [
    np.flatnonzero(np.isin(person, who))
    for who in np.split(np.arange(people), [16, 20])
]
data = rm.Corpus("mixed factors", batch, {}, rm.Split("by person", [parts]))

# %% [markdown]
# One sentence trains a system; its history holds every term of the loss.

# %%
budget = rm.Budget(epochs=0, min_steps={"smoke": 6, "quick": 180, "paper": 2000}[profile], batch_size=64, checks=6)  # fmt: skip
small = {"static": 8, "shared": 6, "own": 3, "width": 64, "window": 20, "lr": 1e-2}
variants = {
    "MDVAE": {},
    "w in every frame": {"kl_static": "per_frame"},
    "no shared latent": {"shared": 0},
    "no static latent": {"static": 0},
}
trained = {
    name: rm.train(rm.MDVAE, data, rm.OwnError(), options=small | options, budget=budget, seed=seed, device=device)
    for name, options in variants.items()
}  # fmt: skip

# %%
words = {"audio": "error of the voice", "visual": "error of the face", "KL static": "KL of w", "KL shared": "KL of z (av)",
         "KL audio": "KL of z (a)", "KL visual": "KL of z (v)"}  # fmt: skip
history = trained["MDVAE"][1].frame
curves = pd.concat([pd.DataFrame({"panel": "errors" if term in x else "KL", "series": name, "x": history["step"], "value": history[term]})
                    for term, name in words.items()])  # fmt: skip
own_run(profile, "synthetic sequences", ["fold 0", "one training"])
show(lambda width: lines(curves, "optimizer step", "nats a frame", width, sharey=False, height=250), "fig-mdvae-terms", "The six terms of the loss in a short training.",
     "The two errors fall while the four KL terms settle.", "synthetic sequences")  # fmt: skip

# %% [markdown]
# ## Which latents are used?
#
# The KL of a dimension is what it tells about the clip, in nats. A dimension below 0.01 nats is unused: its posterior is its prior. In a sequence
# $w$ counts once, so the figure divides its nats by the frames, as the loss does.

# %%
test = data.fold(0).test
nats = {}
for name, (system, _) in trained.items():
    with rm.seeded("nats", seed):
        nats[name] = system.cpu().eval().nats(test)
latents = {"static": "w", "shared": "z (av)", "audio": "z (a)", "visual": "z (v)"}
bars = pd.DataFrame([
    {"row": name, "part": latents[latent], "value": float(of[latent].sum()) / (frames if latent == "static" else 1) if latent in of else 0.0}
    for name, of in nats.items() for latent in latents
])  # fmt: skip
show(lambda width: stacks(bars, "KL, nats a frame", width), "fig-mdvae-nats", "Where four systems keep what they know about a clip.",
     "Stacked bars of the KL of four latents for MDVAE and three variants.", "synthetic sequences")  # fmt: skip

# %%
used = pd.DataFrame({
    name: {word: f"{int((of[latent] >= 0.01).sum())} of {len(of[latent])}" for latent, word in latents.items() if latent in of}
    for name, of in nats.items()
}).T.fillna("none")  # fmt: skip
used.loc["factors of the clips"] = [3, 2, 1, 1]
numbers_folded(used.rename_axis("system").reset_index(), "Dimensions in use: 0.01 nats or more", folded=False,
               note="Synthetic sequences, one short training each.")  # fmt: skip

# %% [markdown]
# A latent that is charged in every frame is cheaper to leave empty: with `kl_static="per_frame"` the shared latent has to carry what stays.
#
# ## What the variants cost
#
# All four are judged by the same bound, with natural weights, on people that none of them has met. The error is the squared error a value, from
# posterior means. Without a shared latent, voice and face share $w$ alone; without $w$, what stays has to be told in every frame.

# %%
rows = []
for name, (system, _) in trained.items():
    system.once = True  # natural weights
    with rm.seeded("bound", seed), torch.no_grad():
        bound = -sum(system.loss(test, test).values())
    errors = rm.score(system, test, rm.CLEAN, rm.Reconstruct())
    rows.append({"system": name, "bound, nats a frame": float(bound), "error of the voice": errors["MSE audio"], "error of the face": errors["MSE visual"]})  # fmt: skip
numbers_folded(pd.DataFrame(rows), "The bound on the likelihood, and the error of the reconstruction", folded=False, decimals=2,
               note="Synthetic sequences, one short training each. The bound leaves out the constant of the Gaussian.")  # fmt: skip

# %% [markdown]
# ## What an exchange moves
#
# The decoder of the face does not read $z^{(a)}$. Exchanging $z^{(a)}$ between two clips therefore leaves the face as it is, bit for bit, and
# exchanging $w$ changes both.

# %%
system = trained["MDVAE"][0]
with torch.no_grad():
    one, other = system.infer(test[:4]), system.infer(test[4:8])
    before = system.generate(one)
    for part in ("audio", "visual", "shared", "static"):
        after = system.generate(one.exchange(other, part))
        change = {m: float((after[m] - before[m]).square().mean()) for m in x}
        print(f"exchange of {part:6}: voice {change['audio']:.3f}, face {change['visual']:.3f}")  # fmt: skip
