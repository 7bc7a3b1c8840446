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
# (mcwsa-cascade-attention)=
# # Cascade attention
#
# **What does attention between codes add to one linear layer?** MCWSA sections III.A and III.B, equations 1 to 7, Fig. 1.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the sizes", "code_prompt_hide": "Code: imports, the answer and the sizes"}
import pandas as pd
import torch

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.picture import show
from robustmer.book.plots import diagram, tiles
from robustmer.experiments import findings, papers
from robustmer.experiments.grid import trained
from robustmer.experiments.papers import mcwsa
from robustmer.nn.fusions import CMHA, fusion_of

names = {fusion: name for name, fusion in mcwsa.FUSIONS.items()}
with torch.device("meta"):
    weights = {
        fusion: [
            rm.count_parameters(fusion_of(fusion, m, 300, 6))
            for m in (rm.MODALITIES, rm.MODALITIES[:2])
        ]
        for fusion in names
    }
more = weights["cmha"][0] / weights["concat"][0]
measured = papers.results("mcwsa")
planned = {contrast.rows[1]: contrast for contrast in mcwsa.planned("ravdess_av_mel")}
lines_of = {
    row: findings.estimate_of(findings.line_of(row, contrast, measured))
    for row, contrast in planned.items()
}
answer(
    (
        f"Of three modalities, CMHA has {weights['cmha'][0]:,} weights where one linear layer has {weights['concat'][0]:,}.",
        "printed",
    ),
    (
        findings.compared(
            "CMHA of voice and face",
            "that linear layer",
            lines_of[mcwsa.Row("Concat")],
        ),
        "people",
    ),
    (
        findings.compared(
            "CMHA of voice and face",
            "a layer of its own size without attention",
            lines_of[mcwsa.WIDE],
        ),
        "people",
    ),
)

# %% [markdown]
# RAVDESS has two modalities, voice and face. There CMHA is one exchange of two attentions, and nothing is cascaded; only CMU-MOSI has the third
# modality ({ref}`mcwsa-table-2`).
#
# ## The cascade
#
# Every encoder gives a code of 32 rows and 300 channels. In the first level two codes attend to each other, and a 1x1 convolution joins the two
# answers. In the second level that joint code and the third one do the same. There are three orders, and another convolution joins them.

# %%
boxes = {"voice M": (0, 0, "code"), "text T": (0, 1, "code"), "M and T": (1, 0.5, "two attentions, one convolution"),
         "face I": (1, 1.5, "code"), "MT and I": (2, 1, "two attentions, one convolution"), "MTI": (3, 1, "joint code")}  # fmt: skip
arrows = [("voice M", "M and T", ""), ("text T", "M and T", ""), ("M and T", "MT and I", "MT"), ("face I", "MT and I", ""),
          ("MT and I", "MTI", "")]  # fmt: skip
show(lambda width: diagram(boxes, arrows, width), "fig-mcwsa-cascade", "One of the three orders of the cascade: MTI.",
     "Voice and text are exchanged, then their joint code and that of the face; the result is the joint code MTI.")  # fmt: skip

# %% [markdown]
# Equation 3 divides the channels among the heads before it projects them; section IV.C has three matrices of 300 x 300 for each attention. These
# are two designs. We follow IV.C, with the output matrix $W^O$ of equation 4, which IV.C does not count:
#
# $$ \mathrm{head}_i = \mathrm{softmax}\!\left( \frac{Q_i K_i^\top}{\sqrt{d_k / h}} \right) V_i,
#    \qquad CI^{T \to M} = \mathrm{Concat}(\mathrm{head}_1, \dots, \mathrm{head}_h)\, W^O . $$
#
# Three modalities then need 12 attentions of four matrices, 6 convolutions of 600 to 300 channels and one of 900 to 300.

# %%
attentions, pairs, last = 12 * 4 * 300**2, 6 * 600 * 300, 900 * 300
print(f"{attentions:,} + {pairs:,} + {last:,} = {attentions + pairs + last:,}")
assert attentions + pairs + last == weights["cmha"][0]

# %%
sizes = pd.DataFrame(weights, index=["a, v, l", "a, v"]).T.rename(index=names)
numbers_folded(sizes.rename_axis("fusion").reset_index(), "Weights of each fusion with 300 channels", folded=False,
               note="Wide Concat is ours: as many weights as CMHA, without attention.")  # fmt: skip

# %% [markdown]
# Where a code of zeros stands for an absent modality, attention without biases gives zeros back. So an absent modality contributes zeros as
# key and value; its own rows are still used as queries.
#
# ## Does the order matter?
#
# The two codes of the first level are exchanged symmetrically, the third one is not. So the same three codes in another order give another
# result. The cosine between the orders shows how much, with untrained weights that all orders share.

# %%
draw = rm.stream("codes", seed)
codes = {m: torch.randn(64, 32, 60, generator=draw) for m in rm.MODALITIES}
with rm.seeded("orders", seed):
    cascade = CMHA(rm.MODALITIES, 60, 6)
places = [
    torch.stack([codes[m] for m in place])
    for place in zip(*cascade.orders, strict=True)
]
with torch.no_grad():
    for exchange in (cascade.first, cascade.second):  # only the order differs
        for weight in exchange.attend.parameters():
            weight.copy_(weight[[0, 0, 0, 3, 3, 3]])
        exchange.join.copy_(exchange.join[[0, 0, 0]])
    joint = cascade.second(places[2], cascade.first(*places[:2]))
flat = torch.nn.functional.normalize(joint.flatten(1), dim=1)
orders = [
    "".join({"audio": "M", "visual": "I", "text": "T"}[m] for m in order)
    for order in cascade.orders
]
numbers_folded(pd.DataFrame((flat @ flat.T).numpy(), orders, orders).rename_axis("order").reset_index(),
               "Cosine between the joint codes of two orders", decimals=2, folded=False)  # fmt: skip

# %% [markdown]
# ## Where do the rows look?
#
# An attention that gives all 32 rows of its source the same share computes a mean, as a linear layer after pooling would. The **share of rows
# attended to** is the exponential of the entropy of the shares, divided by 32: 1 means a plain mean, 1/32 a single row.

# %%
p = mcwsa.PROFILES[profile]
data = rm.corpora.synthetic(size=p.size, pooled=False)
options = {**mcwsa.SMALL, "fusion": "cmha", "pretrain": False}
recipe = rm.Recipe(
    rm.MCWSAClassifier, data, seed=seed, budget=p.budget, options=options
)
system = trained(recipe, papers.ledger_of("mcwsa", profile), device=device).cpu().eval()
with rm.seeded("untrained", seed):
    untrained = rm.MCWSAClassifier(data.shapes, data.task(), **options).eval()
test = data.fold(0).test[:64]


@torch.no_grad()
def looks(system: rm.MCWSAClassifier) -> dict[str, float]:
    """The share of rows attended to in each attention of the first level."""
    network = system.network
    z, fusion = network.codes(network.pyramids(test), test), network.fusion
    one, other = (torch.stack([z[order[i]] for order in fusion.orders]) for i in (0, 1))
    shares = fusion.first.attend.shares(
        torch.cat([one, other]), torch.cat([other, one])
    )
    entropy = (
        -(shares * shares.clamp(min=1e-9).log())
        .sum(-1)
        .unflatten(0, (-1, len(test)))
        .mean((1, 2, 3))
    )
    words = [f"{a} asks {b}" for a, b, _ in fusion.orders] + [
        f"{b} asks {a}" for a, b, _ in fusion.orders
    ]
    return dict(zip(words, (entropy.exp() / 32).tolist(), strict=True))


# %%
shares = pd.DataFrame(
    {"before training": looks(untrained), "after training": looks(system)}
)
own_run(profile, data.name, ["fold 0", "one training"])
show(lambda width: tiles({"share of rows attended to": shares}, width, "viridis", limits=(0, 1)), "fig-mcwsa-attention",
     "The share of rows that each attention of the first level looks at.",
     "Tiles of the share of rows attended to in six attentions, before and after training.", data.name)  # fmt: skip
numbers_folded(
    shares.rename_axis("attention").reset_index(),
    "Share of rows attended to",
    decimals=2,
)

# %% [markdown]
# ## What is missing from the cascade
#
# The equations have no residual connection, no layer norm and no position. A code reaches the output only as a query or as a value, through two
# attentions one after the other. MulT's fusion, on the same codes, has all three. Which of them recognises emotions better is the question of
# {ref}`mcwsa-table-2`.
