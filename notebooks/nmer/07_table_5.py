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
# (nmer-table-5)=
# # All modalities noisy
#
# **What is left when no modality stays clean, and does degradation accelerate?** Table 5 of the paper, section 3.6.3.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
import pandas as pd

from robustmer.book.answers import answer, own_run, scores_folded
from robustmer.book.figures import forest, small_multiples
from robustmer.book.picture import show
from robustmer.book.registry import SYSTEMS, look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import nmer

measured = papers.results("nmer")
kept = pd.concat(
    [findings.skills_kept(name, measured) for name in findings.PEOPLE["nmer"]]
)
ours = (
    kept[kept["kind"] == "measured"]
    .groupby("dataset", sort=False)["value"]
    .agg(["min", "max"])
    .round()
)
paper = (
    kept[kept["kind"] == "printed"]
    .groupby("dataset", sort=False)["value"]
    .agg(["min", "max"])
    .round()
)
answer(
    (
        f"On RAVDESS-AV systems keep {findings.signed(ours.loc['RAVDESS-AV', 'min'], 0)} to {ours.loc['RAVDESS-AV', 'max']:.0f}% of their "
        "skill from −10 to −40 dB: they end at chance.",
        "people",
    ),
    (
        f"On IEMOCAP the paper's systems keep {paper.loc['IEMOCAP', 'min']:.0f} to {paper.loc['IEMOCAP', 'max']:.0f}%.",
        "printed",
    ),
    "Its samples are sequences of many frames, ours are single vectors.",
)

# %% [markdown]
# {term}`Skill kept` is the share of the score above {term}`chance` that is left:
# $(\text{UA}_{-40} - c) / (\text{UA}_{-10} - c)$ with $c = 1 /$ classes. On this scale corpora with different classes compare.

# %%
frame = kept.drop_duplicates(["row", "dataset", "kind"]).assign(
    row=lambda lines: [look(row).label for row in lines["row"]], low=float("nan"), high=float("nan"), panel=lambda lines: lines["dataset"],
    kind=lambda lines: lines["kind"].where(lines["kind"] == "printed", lines["dataset"].map({"RAVDESS-AV": "people", "CMU-MOSI": "seeds"})),
)  # fmt: skip
frame["panel"] = frame["dataset"].map(
    {
        "IEMOCAP": "emotions",
        "RAVDESS-AV": "emotions",
        "CMU-MOSEI": "sentiment",
        "CMU-MOSI": "sentiment",
    }
)
show(lambda width: forest(frame, "skill kept from −10 to −40 dB, %", width), "fig-nmer-skill",
     "With every modality at −40 dB our systems are at chance, the paper's are not. Gaussian noise, UA.",
     "Two panels, emotions and sentiment. The paper's systems keep a third to two thirds of their skill, ours about none.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Why the paper's systems keep more
#
# Noise is drawn independently for every frame. An encoder that averages 155 frames reduces its power by 22 dB; a single vector has
# nothing to average ({ref}`nmer-noise-scheduler`, {ref}`nmer-fig-3`). This explanation is not tested here: it needs sequences of people.
#
# ## UA against the level of the noise

# %%
table = nmer.tables("paper", "ravdess_av")["5"].where(metric="UA", noise=noise)
curves = table.summarise(measured).rename(columns={"mean": "value", "level": "x"})
curves = curves.assign(
    system=[
        " ".join(row) if row.system in nmer.BOTH else row.system
        for row in curves["row"]
    ]
)
show(lambda width: small_multiples(curves, SYSTEMS, "nominal SNR, dB", "UA", width, reference="LogReg noisy", chance=1 / 8),
     "fig-nmer-all-noisy", "Most of the loss happens before −20 dB; then nothing is left to lose. Bands: 95% over six folds.",
     "One panel for each system, UA against the nominal SNR. All curves fall to chance between -10 and -30 dB.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## All numbers
#
# WA, F1, impulse noise and CMU-MOSI are in the <a href="../guide/02_results_explorer.html#nmer-5">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
part = nmer.tables("paper", "ravdess_av")["5"].where(metric="UA", noise=noise)
scores_folded(
    part.summarise(measured),
    f"UA under {noise} noise, RAVDESS-AV",
    lambda column: nmer.db(column.level),
    file="table5-ravdess_av-UA.csv",
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = nmer.tables(profile, corpus, noises=(noise,), first_seed=seed)["5"].where(
    metric="UA"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "UA of your own run")

# %% [markdown]
# ## Limits
#
# The corpora are those of {ref}`nmer-table-2`. A training of its own for each system and level learns the all-noisy condition; MEN trained
# clean is that of Table 2.
