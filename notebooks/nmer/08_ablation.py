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
# (nmer-ablation)=
# # NMER without a part
#
# **Do the variational autoencoder and the invariance loss both help?** Ablation of the paper, section 3.6.4.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import forest
from robustmer.book.picture import show
from robustmer.book.registry import look
from robustmer.experiments import findings, papers
from robustmer.experiments.papers import nmer

measured = papers.results("nmer")
ahead = findings.differences("nmer", measured)
ahead = ahead[ahead["row"].isin(nmer.PARTS)]
vae, loss = (
    findings.estimate_of(line)
    for line in ahead[ahead["kind"] == "people"].to_dict("records")
)
answer((findings.compared("NMER", "NMER without the VAE", vae), "people"),
       (findings.compared("NMER", "NMER without the invariance loss", loss), "people"),
       "The paper prints a gain for both parts.")  # fmt: skip

# %% [markdown]
# Without the VAE the classifier reads the encoders' features directly; teacher and invariance loss stay. Without the invariance loss only
# its weight is 0.

# %%
frame = ahead.assign(row=[look(row).label for row in ahead["row"]])
show(lambda width: forest(frame, "NMER minus NMER without the part, points of UA", width), "fig-nmer-parts",
     "Neither part shows a gain on people. Mean over noises, levels and incomplete conditions; bars: 95%, uncorrected.",
     "Two rows of differences. The printed gains of the VAE and the invariance loss are positive; the measured ones lie on zero.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Why the numbers may differ
#
# The paper measures sequences of IEMOCAP and CMU-MOSEI. Here every sample is one vector a modality, so the networks are shallower than
# the paper's in time. The intervals also leave room: an effect of one or two points would not be seen with six folds.

# %%
planned = papers.judged("nmer", "ravdess_av", measured).query("number == 0")
parts = planned[[contrast.rows[1] in nmer.PARTS for contrast in planned["contrast"]]]
numbers_folded(parts[["what", "effect", "low", "high", "detectable", "verdict"]], "What the design could have shown",
               decimals=1, folded=False, note="Points of UA; detectable: the smallest difference seen with 80% power.")  # fmt: skip

# %% [markdown]
# ## All numbers
#
# WA, F1, impulse noise and CMU-MOSI are in the
# <a href="../guide/02_results_explorer.html#nmer-ablation">results explorer</a>, with keys and CSV.

# %% tags=["hide-input"]
part = nmer.tables("paper", "ravdess_av")["ablation"].where(
    metric="UA", condition="avg", noise=noise
)
scores_folded(
    part.summarise(measured),
    f"UA under {noise} noise, RAVDESS-AV",
    lambda column: nmer.db(column.level),
    file="ablation-ravdess_av-UA.csv",
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = nmer.tables(profile, corpus, noises=(noise,), first_seed=seed)["ablation"].where(
    metric="UA", condition="avg"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "UA of your own run")

# %% [markdown]
# ## Limits
#
# The corpora are those of {ref}`nmer-table-2`, with the same limits.
