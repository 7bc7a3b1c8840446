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
# (guide-controls)=
# # Positive controls
#
# **Would this book see a difference between systems if there were one?** Four corpora, each made so that one mechanism decides.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic_interaction"
seed: int = 0

# %% tags=["remove-input"]
import pandas as pd

from robustmer import corpora
from robustmer.book.answers import answer, own_run, scores_folded
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.registry import OLIVE, SYSTEMS, System
from robustmer.experiments import papers
from robustmer.experiments.papers import controls

measured = papers.results("controls")
tables = {name: controls.tables("paper", name)["1"] for name in controls.CORPORA}
scores = pd.concat(table.summarise(measured).assign(panel=name.removeprefix("synthetic_"))
                   for name, table in tables.items())  # fmt: skip
bar = scores[scores["row"] == controls.BAR].set_index("panel")["mean"]
gains = (100 * (scores.groupby("panel", sort=False)["mean"].max() - bar)).drop("completion")  # fmt: skip
answer(
    (f"Yes, in three of four: a network with the mechanism is {gains.min():.0f} to {gains.max():.0f} points of UA above logistic regression, "
     "which has none of them.", "synthetic"),
    "In the fourth, completion, no system comes near the ceiling, and CDTP is not ahead of the others. Why is open.",
)  # fmt: skip

# %% [markdown]
# A result such as "not shown to be better" is worth something only if the same trainings, budgets and statistics show a difference that
# is known to exist. In each corpus below it exists by construction, and the Bayes classifier gives the ceiling.

# %%
names = [f"{row.system} once" for row in scores["row"]]
frame = scores.assign(system=[name if name in SYSTEMS else name.removesuffix(" once") for name in names],
                      row=scores["panel"], value=100 * scores["mean"], low=100 * scores["low"],
                      high=100 * scores["high"]).drop(columns="panel")  # fmt: skip
bayes = pd.DataFrame({"row": name.removeprefix("synthetic_"), "system": "ceiling", "value": 100 * controls.ceiling(name)}
                     for name in tables)  # fmt: skip
frame = pd.concat([bayes, frame])
looks = {"ceiling": System("ceiling: the Bayes classifier", "", OLIVE, "d")} | SYSTEMS
show(lambda width: dots(frame, looks, "UA, %", width), "fig-controls",
     "Systems on four corpora with one mechanism each, beside the ceiling. Bars: 95% over three folds of samples drawn anew.",
     "Four rows of scores. Logistic regression stays at chance in all. In three a network is near the ceiling; in completion none is.",
     "synthetic controls")  # fmt: skip

# %% [markdown]
# ## The four mechanisms
#
# | corpus | what decides the class | what a system needs |
# | --- | --- | --- |
# | interaction | whether a sign in the voice equals a sign in the face | products of modalities: a hidden layer after fusion |
# | selection | the one modality that speaks, marked as such; the others mislead | to weigh modalities by what they show |
# | moment | two neighbouring frames out of 24; their mean is zero | to look at frames before averaging |
# | completion | the face times the words; the face is absent from the test, but follows from the voice | to complete what is missing |
#
# Every corpus is a short function of a random generator, and keeps the answers of its Bayes classifier. In *selection* logistic regression
# has the skill of the marks alone. In *moment* MulT stays near chance: it reads the last frame of each sequence, and its attention would have
# to find two neighbours by their places. MEN's convolutions see them side by side. In
# *completion* CDTP's folds are far apart, and one is far below chance: its completed faces depend on the voice, and show the wrong sign.

# %%
made = corpora.load("synthetic_selection", size="smoke" if profile == "smoke" else "quick")
label, bayes = made.samples.labels["class"].numpy(), made.factors["bayes"]
print(f"{made.name}: {len(made)} samples, ceiling {(label == bayes).mean():.3f}")

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
for name, table in tables.items():
    scores_folded(table.summarise(measured), f"UA, {table.dataset}", file=f"{name}.csv")

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = controls.tables(profile, corpus, first_seed=seed)["1"]
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "UA of your own run")

# %% [markdown]
# ## Limits
#
# - The corpora say nothing about people. They show what the networks and the protocol can do, not what emotions need.
# - A control for noise is missing: with many features, logistic regression averages noise away as well as the networks do.
# - The systems have the sizes of the book's tables. NMER and the prompts are not among them: their training needs noisy or missing samples.
