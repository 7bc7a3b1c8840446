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
# (cdtp-ablations)=
# # CDTP without its parts, and behind other networks
#
# **Is it the diffusion or the prompts that help, and does the completion help other networks?** The paper announces both tables (abstract
# and section 4.5) and prints neither.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0  # the first of the profile's seeds

# %% tags=["remove-input"]
import pandas as pd

from robustmer.book.answers import answer, numbers_folded, own_run, scores_folded
from robustmer.book.figures import forest
from robustmer.book.picture import show
from robustmer.book.registry import look
from robustmer.experiments import findings, papers
from robustmer.experiments.contrasts import difference, measure
from robustmer.experiments.papers import cdtp

measured = papers.results("cdtp")
whole = {"ablations": "a part", "backbones": "the completion"}
pairs = [("ablations", cdtp.Row("CDTP"), row) for row in cdtp.DIFFUSION]
pairs += [("ablations", cdtp.Row("MPLMM"), row) for row in cdtp.PROMPTS]
_, *others = cdtp.BACKBONES  # a backbone, then the same behind the completion
pairs += [
    ("backbones", completed, alone)
    for alone, completed in zip(others[::2], others[1::2], strict=True)
]
contrasts, named = [], []
for table, *rows in pairs:
    part = cdtp.tables("paper", "ravdess_av")[table].where(
        metric="ACC", condition="avg"
    )
    contrasts.append(difference(part, *rows))
    named.append({"panel": whole[table], "less": rows[1].system, "kind": "people",
                  "row": f"{look(rows[0]).label} − {look(rows[1]).label}"})  # fmt: skip
effects = pd.concat(
    [pd.DataFrame(named), measure(contrasts, measured, scale=100)], axis=1
)
effects = effects[effects["repetitions"] > 0].assign(
    value=lambda frame: frame["effect"]
)
by_part = {
    line["less"]: findings.estimate_of(line | {"keys": ()})
    for line in effects.to_dict("records")
}
kept = int((effects["p_holm"] < 0.05).sum())
answer(
    (findings.compared("CDTP", "CDTP without its diffusion", by_part["CDTP w/o diffusion"]), "people"),
    (findings.compared("CDTP", "CDTP without its prompts", by_part["CDTP w/o prompts"]), "people"),
    f"After correction {kept or 'none'} of the {len(effects)} comparisons of this page {'exclude' if kept > 1 else 'excludes'} zero. "
    "The paper prints no ablation.",
)  # fmt: skip

# %% [markdown]
# A row is a system minus the same system without a part, or a system with the completion minus without it. Units are points of accuracy,
# averaged over the cases.

# %%
show(lambda width: forest(effects, "points of accuracy", width), "fig-cdtp-parts",
     "What each part of CDTP and MPLMM adds, and what the completion adds to MISA and MMIM. Bars: 95%, uncorrected.",
     "Rows of differences with wide intervals: parts of CDTP and MPLMM, and the completion before MISA and MMIM.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# One part is switched off and the rest stays. `start="mean"` replaces a missing modality by its mean instead of a draw of the diffusion.
# Without prompts CDTP is a MulT on completed samples. Trainings of a fold and seed that differ only in sampling or prompts share one
# diffusion.
#
# ## All numbers
#
# The scores are in the results explorer, with keys and CSV: <a href="../guide/02_results_explorer.html#cdtp-ablations">without
# a part</a>, and <a href="../guide/02_results_explorer.html#cdtp-backbones">behind a completion</a>.

# %% tags=["hide-input"]
columns = [
    "row",
    "value",
    "low",
    "high",
    "p_holm",
    "detectable",
    "repetitions",
    "verdict",
]
numbers_folded(
    effects[columns], "Differences on RAVDESS-AV, points of accuracy", decimals=1
)

# %% [markdown]
# ## Your own run

# %% tags=["hide-output"]
own = cdtp.tables(profile, corpus, first_seed=seed)["ablations"].where(
    metric="ACC", condition="avg"
)
scores = own.summarise(papers.computed(own, profile, device))
own_run(profile, own.dataset, [f"{len(own.jobs())} trainings"])
scores_folded(scores, "Accuracy of your own run")

# %% [markdown]
# ## Limits
#
# The ablations are measured with one seed on RAVDESS-AV, those with the mean with five. UniMSE needs pre-trained weights of T5, so no row
# has it. The corpora are those of {ref}`cdtp-table-1`.
