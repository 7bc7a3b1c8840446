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
# (cdtp-table-1)=
# # Systems with missing modalities
#
# **Does CDTP lose less than others when modalities are missing, and can its printed table be what it says?** Table 1 of the paper, section 4.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
import pandas as pd

from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import dots, forest
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS, look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import cdtp, published

measured = papers.results("cdtp")
ahead = findings.differences("cdtp", measured)
people = {
    row.system: line
    for row, line in zip(ahead["row"], ahead.to_dict("records"), strict=True)
    if line["kind"] == "people"
}
plain, linear = (findings.estimate_of(people[name]) for name in ("MPLMM", "LogReg"))
gains, averages = cdtp.gains(), cdtp.averages()
answer(
    (findings.compared("CDTP", "MPLMM", plain), "people"),
    (findings.compared("CDTP", "logistic regression", linear), "people"),
    (f"The printed table gives CDTP exactly 0.20 more than MPLMM in {gains[0.2]} of {gains.sum()} cells.", "printed"),
)  # fmt: skip

# %% [markdown]
# A difference is a mean over the cases in which one or more modalities are missing. All systems meet the same test samples.

# %%
frame = ahead.assign(row=[look(row).label for row in ahead["row"]])
show(lambda width: forest(frame, "CDTP minus the other system, points of accuracy", width), "fig-cdtp-ahead",
     "CDTP is ahead only of the network that never met a gap. Bars: 95%, uncorrected.",
     "Differences between CDTP and other systems. The printed ones are positive; the measured ones lie on zero, except the one to a "
     "network that never met a gap.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## The printed table
#
# Two sums can be done again with a pencil. First, for most pairs of systems every cell has its own difference; between CDTP and MPLMM one
# difference returns in most cells. Second, an average must be one that six numbers with the printed digits can have.

# %%
for points, cells in gains.items():
    print(f"CDTP minus MPLMM is {points:+.2f} points in {cells} cells")
wrong = averages[~averages["possible"]]
numbers_folded(
    wrong.drop(columns="possible"),
    f"{len(wrong)} of {len(averages)} printed averages contradict their cells",
    decimals=2,
)

# %% [markdown]
# (cdtp-fig-3)=
# ### Its Figure 3
#
# Figure 3 of the paper presumably draws the averages. Where averages and cells disagree about the rank of a system, the figure shows an
# order that the table does not have.

# %%
accuracy = published("cdtp", 1).query("metric == 'ACC'")
stated = accuracy[accuracy["condition"] == "avg"].set_index(["dataset", "system"])[
    "value"
]
cells = (
    accuracy[accuracy["condition"] != "avg"]
    .groupby(["dataset", "system"])["value"]
    .agg(["mean", "count"])
)
both = cells[cells["count"] == 6].join(stated).dropna()
both["rank by cells"] = (
    both["mean"].groupby("dataset").rank(ascending=False).astype(int)
)
both["rank by average"] = (
    both["value"].groupby("dataset").rank(ascending=False).astype(int)
)
moved = both[both["rank by cells"] != both["rank by average"]].drop(columns="count")
for (corpus_of, system), line in moved.iterrows():
    print(
        f"{system} on {corpus_of}: rank {line['rank by cells']:.0f} by its cells, {line['rank by average']:.0f} by its average"
    )

# %% [markdown]
# ## Accuracy in each case
#
# The letters name the modalities that a system sees: a (voice), v (face), l (words).

# %%
parts = []
for name in findings.PEOPLE["cdtp"]:
    table = cdtp.tables("paper", name)["1"].where(metric="ACC")
    parts.append(table.summarise(measured).assign(panel=table.dataset))
shown = pd.concat(parts)
shown = shown[
    shown["condition"].ne("avg")
    & shown["system"].isin(["LogReg", "MS", "MD", "MPLMM", "CDTP"])
]
shown = shown.assign(row=shown["condition"], value=shown["mean"])
show(lambda width: dots(shown, SYSTEMS, "accuracy", width), "fig-cdtp-cases",
     "Systems that met the gaps lie together in every case. Bars: 95% over folds (RAVDESS-AV) or seeds (CMU-MOSI).",
     "Two panels of accuracy by the modalities that are seen. The five systems overlap in every case, except the one that never met a gap.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## All numbers
#
# F1, CMU-MOSI with all metrics of sentiment, and the synthetic corpus are in the
# <a href="../guide/02_results_explorer.html#cdtp-1">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
table = cdtp.tables("paper", "ravdess_av")["1"].where(metric="ACC")
scores_folded(
    table.summarise(measured),
    "WA, RAVDESS-AV",
    lambda column: column.condition,
    file="cdtp1-ravdess_av-WA.csv",
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = cdtp.tables(profile, corpus, first_seed=seed)["1"].where(metric="ACC")
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "Accuracy of your own run", lambda c: c.condition)

# %% [markdown]
# ## Limits
#
# - On RAVDESS-AV there are two cases (voice or face missing), on CMU-MOSI six. CMU-MOSI has one split; its intervals are over seeds only.
# - All measured corpora are single vectors a modality. Attention then has a choice only where prompts are.
# - CDTP is trained at the sizes of its public code, not at the 90 million parameters of the paper.
