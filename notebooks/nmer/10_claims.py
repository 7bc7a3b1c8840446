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
# (nmer-claims)=
# # What the text claims
#
# **Which sentences of section 3.6 do the paper's own tables support, and which hold on people?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"

# %% tags=["remove-input"]
import pandas as pd

from robustmer.book.answers import answer, numbers_folded
from robustmer.book.figures import forest, grid
from robustmer.book.picture import show
from robustmer.experiments import findings, papers

measured = papers.results("nmer")
verdicts = papers.judged("nmer", "ravdess_av", measured)
claims = papers.PAPERS["nmer"].claims("ravdess_av")
better = verdicts[
    verdicts["number"].isin([1, 2, 3, 4, 5, 19])
]  # claims that call a method better; the others are about noise
noisy = verdicts[
    (verdicts["number"] > 0)
    & ~verdicts["number"].isin(better["number"])
    & (verdicts["verdict"] != "cannot be tested")
]
answer(
    (f"On 24 actors none of {len(better)} comparisons that call a method better is shown; "
     f"{(noisy['verdict'] == 'holds').sum()} of {len(noisy)} that say noise hurts hold.", "people"),
    "Every comparison is one of a single family, corrected by Holm's method.",
)  # fmt: skip
assert not (better["verdict"] == "holds").any()

# %% [markdown]
# A claim is a sentence; its comparisons are differences between places of a table. A claim *holds* when all its comparisons are beyond
# chance, and *partly* when some are. On one split nothing generalises to other people, so there the table says only whether seeds agree.

# %%
glance = findings.glance({"nmer": measured, "cdtp": papers.results("cdtp")})
glance = glance[glance["paper"] == "nmer"]
frame = glance.assign(column=glance["dataset"].where(glance["dataset"] != "", "its own tables"),
                      row=[f"{number}. {says}" for number, says in zip(glance["number"], glance["says"], strict=True)])  # fmt: skip
show(lambda width: grid(frame, width), "fig-nmer-verdicts",
     "The paper's tables support most of its sentences; on people few comparisons are beyond chance.",
     "A row for each claim with coloured verdicts: the paper's own tables mostly agree with the text; on RAVDESS-AV most claims are "
     "not shown.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## The effects
#
# Each row is one comparison of a claim on RAVDESS-AV, in points of the metric that the claim names. To the right of zero the claim's
# direction holds.

# %%
tested = verdicts[
    (verdicts["number"] > 0) & verdicts["effect"].notna()
].drop_duplicates("what")
effects = pd.DataFrame({"row": [f"{n}. {what}" for n, what in zip(tested["number"], tested["what"], strict=True)], "kind": "people",
                        "value": tested["effect"], "low": tested["low"], "high": tested["high"]})  # fmt: skip
show(lambda width: forest(effects, "points", width), "fig-nmer-effects",
     "Noise costs accuracy everywhere; no method is ahead of another. Bars: 95%, uncorrected.",
     "A forest of all comparisons. Those about the loss from noise lie right of zero, those between methods on zero.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## All numbers
#
# The scores behind the comparisons, with the keys of their trainings, are in the
# <a href="../guide/02_results_explorer.html#nmer-3">results explorer</a>.

# %% tags=["hide-input"]
columns = ["corpus", "number", "what", "effect", "low", "high", "p_holm", "verdict"]
frame = pd.concat(
    [
        papers.judged("nmer", name, measured).assign(corpus=name)
        for name in findings.PEOPLE["nmer"]
    ]
)
reason = ": " + frame["why"]
frame = frame.assign(verdict=frame["verdict"] + reason.where(frame["why"] != "", ""))
numbers_folded(frame[columns], "Every comparison on both corpora", decimals=2, file="claims.csv",
               note="Points; number 0 is a planned comparison of the book.")  # fmt: skip

# %% [markdown]
# ## Limits
#
# The paper does not say which of its differences are beyond chance, so agreement with its own tables means agreement in sign. The corpora
# are those of {ref}`nmer-table-2`.
