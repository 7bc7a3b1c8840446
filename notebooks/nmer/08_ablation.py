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
# # The ablation
#
# NMER sections 3.4 and 3.6.4, the last two rows of Table 2. "w/o VAE": the specific and invariant features go
# side by side into the classifier. "w/o L_inv": the invariance loss has weight 0. **Do both parts help?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
seed: int = 0  # the first of the profile's seeds

# %% tags=["hide-input"]
import time
from functools import partial

from IPython.display import Markdown, display

from robustmer.corpora import find
from robustmer.display import paper_beside_ours, run_card, table, theme
from robustmer.papers import nmer
from robustmer.papers import nmer_tables as tables
from robustmer.results import published

palette = theme()
name = find(corpus).NAME
start = time.perf_counter()
rows = tables.run(profile, device, corpus, noise, seed, {"ablation": [], "2": tables.ABLATION})
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
source = run_card(profile, name, device, seconds, folds=rows["fold"].nunique(),
                  seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
shown = tables.blocks(rows)

# %% [markdown]
# ## The last rows of Table 2, paper and ours

# %% tags=["hide-input"]
paper_beside_ours(shown, partial(tables.table_2, systems=tables.ABLATION), "ablation", "Ablation")
for block in shown:
    part = nmer.averaged(tables.incomplete_rows(block.rows))
    display(Markdown(f"{block.title}. " + tables.losers(part, tables.ABLATION[3:])))

# %% [markdown]
# ## What each part adds
#
# NMER and NMER without the invariance loss begin with the same weights and meet the same batches and noise, so their
# difference is the loss alone.

# %% tags=["hide-input"]
for block in shown:
    ua = block.rows[(block.rows["metric"] == "UA") & (block.rows["noise"] != "")]
    found = nmer.differences(tables.incomplete_rows(ua), nmer.ABLATIONS)
    if found.empty:
        display(Markdown(f"**{block.title}**: the ablation is not measured yet."))
        continue
    display(Markdown(f"**{block.title}**\n\n" + tables.differences_in_words(found)))
    table(tables.differences_table(found), f"tbl-nmer-parts-{block.slug}",
          f"{block.dataset}: UA of NMER minus that without a part, mean over the incomplete conditions",
          "± half the 95% interval, where there are three repetitions; * beyond chance after Holm's correction, over "
          "folds only.",
          source=block.source)

# %% [markdown]
# ## How much the paper's VAE adds

# %% tags=["hide-input"]
printed = published("nmer", 2)
printed = printed[printed["metric"] == "WA"].pivot(index=["dataset", "noise", "snr_db"], columns="system", values="value")
gain = 100 * (printed["NMER"] - printed["w/o VAE"])
display(Markdown(
    f"In the paper's Table 2 the VAE adds {gain.min():.1f} to {gain.max():.1f} points of WA. Two things about it are known: "
    "read literally, its Transformer sees one token, so its attention is a linear map, and {ref}`nmer-network` shows how much "
    "of its latent the classifier uses; and in the released code, an earlier version, a prediction depends on the other rows "
    "of its batch. Whether the paper's networks did that too is not known."))
