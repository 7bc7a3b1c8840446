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
# (mcwsa-claims)=
# # Claims of the paper
#
# **Which sentences of MCWSA-CMHA hold in its own tables, and which on people?** Section V.A, and the audit of its tables.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the verdicts", "code_prompt_hide": "Code: imports, the answer and the verdicts"}
import pandas as pd

from robustmer import corpora
from robustmer.book.answers import answer, numbers_folded
from robustmer.book.figures import grid
from robustmer.book.picture import show
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import mcwsa, published

measured, rows = papers.results("mcwsa"), []
names = {"ravdess_av_mel": "RAVDESS", "mosi_words": "MOSI"}
judged = {name: papers.judged("mcwsa", name, measured) for name in names}
for number, claims in enumerate(zip(*map(mcwsa.claims, names), strict=True), 1):
    own = {
        value > 0
        for claim in claims
        for contrast in claim.contrasts
        for value in contrast.printed.values()
    }
    verdicts = {
        "paper": findings.common(
            ["holds" if right else "does not hold" for right in own]
        )
    }
    for name, frame in judged.items():
        verdicts[names[name]] = findings.common(
            frame[frame["number"] == number]["verdict"]
        )
    rows += [
        {
            "row": f"{number}. {claims[0].says}",
            "column": column,
            "verdict": verdict,
            "ours": claims[0].where == "ours",
        }
        for column, verdict in verdicts.items()
    ]
rows = pd.DataFrame(rows)
printed = rows[rows["column"] == "paper"]
held = rows[(rows["column"] == "RAVDESS") & ~rows["ours"]]["verdict"]
three = published("mcwsa", 3)
unused = three[three["modality"] == "a,t"].pivot(
    index="dataset", columns="visual_net", values="value"
)
unused["difference"] = unused["ResNet"] - unused["VGG-Face"]
answer(
    (f"{sum(printed['verdict'] == 'holds')} of the paper's {sum(printed['verdict'] != 'cannot be tested')} claims that its tables can "
     "decide hold in them.", "printed"),
    (f"On RAVDESS {sum(held == 'holds')} of {sum(held != 'cannot be tested')} testable claims of the paper are shown.", "people"),
    (f"The paper prints no interval, and a column of its tables changes by {unused['difference'].max():.1f} points with features that it does not use.", "printed"),
)  # fmt: skip

# %%
show(lambda width: grid(rows, width), "fig-mcwsa-claims", "Each claim in the paper's own tables, on people, and over seeds of one split.",
     "A row for each claim, with a verdict for the paper's own tables, for RAVDESS and for CMU-MOSI.", "RAVDESS-AV mel")  # fmt: skip

# %% [markdown]
# A claim **holds** on people only if the interval of its difference excludes zero after Holm's correction over all comparisons of the paper.
#
# ## What the tables say of themselves
#
# Table III repeats the rows of Table II with ResNet, and adds a second visual network. Voice and text alone do not use the visual features. So
# their column must not change with them, and it does:

# %%
numbers_folded(
    unused.rename_axis("UA of voice and text").reset_index(),
    "A column that does not use the visual network",
    decimals=1,
    folded=False,
)

# %% [markdown]
# Either this is how much a repeated training changes a number, or the video took part in the pre-training. The gaps that the paper reads from
# this table are of the same size ({ref}`mcwsa-table-3`).
#
# MulT is printed twice for IEMOCAP, once from its own paper and once with this paper's features. The second is the fair comparison:

# %%
one, two = published("mcwsa", 1), published("mcwsa", 2)
whole = two[
    (two["modality"] == "a,v,t")
    & (two["pretrained"] == "yes")
    & (two["metric"] == "UA")
    & (two["dataset"] == "IEMOCAP")
]
twice = {"MulT, Table I": one[(one["system"] == "MulT") & (one["dataset"] == "IEMOCAP")]["value"].iloc[0],
         "MulT, Table II": whole.set_index("system")["value"]["MulT"], "CMHA, both": whole.set_index("system")["value"]["MCWSA-CMHA"]}  # fmt: skip
numbers_folded(
    pd.DataFrame({"UA on IEMOCAP": twice}).rename_axis("system").reset_index(),
    "One system, two numbers",
    decimals=1,
    folded=False,
)

# %% [markdown]
# ## What "ten folds" leaves open
#
# The paper draws ten folds and does not say how. If they are drawn over utterances, speakers of the test are in the train split, and every
# score is higher. The folds of this book are of actors.
#
# ## Every comparison

# %% tags=["hide-input"]
for name, frame in judged.items():
    shown = frame[
        [
            "number",
            "says",
            "what",
            "effect",
            "low",
            "high",
            "p_holm",
            "detectable",
            "verdict",
            "why",
        ]
    ]
    numbers_folded(shown, f"Comparisons on {corpora.named(name).dataset}, points of UA", decimals=1, file=f"mcwsa-claims-{name}.csv",
                   note="Number 0: comparisons that were planned beside the claims.")  # fmt: skip

# %% [markdown]
# What mutual information and correlation of codes can and cannot show is on the pages {ref}`mcwsa-mutual-information` and the next one.
