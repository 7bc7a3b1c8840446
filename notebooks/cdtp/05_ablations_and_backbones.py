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
# (cdtp-ablations-and-backbones)=
# # Ablations and other backbones
#
# The abstract and the conclusion speak of ablation studies, and section 4.5 of a Table 2 with MISA, MMIM and UniMSE as
# backbones. Neither is printed. **What does each prompt add, is it the diffusion or the prompts that help, and does a
# completion in front of another system help that system?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["hide-input"]
from functools import partial
import time

from IPython.display import Markdown, display

from robustmer.corpora import find
from robustmer.display import run_card, table, table_markdown, tabs, theme
from robustmer.papers import cdtp
from robustmer.papers import cdtp_tables as tables

theme()
cdtp.profile_named(profile)
name = find(corpus).NAME

# %% tags=["hide-input"]
start = time.perf_counter()
rows = tables.run(profile, device, corpus, seed, ["1", "ablations", "backbones"])
source = run_card(profile, name, device, time.perf_counter() - start, folds=rows["fold"].nunique(),
                  seeds=rows["seed"].nunique(), fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)
shown = tables.blocks(rows)


def side_by_side(systems, slug: str, title: str) -> None:
    """For each block of rows a table of these systems by case, a tab for each metric."""
    note = "↓ below logistic regression in the same case; (k/n) only k of n repetitions are measured so far."
    for block in shown:
        there = set(block.rows["system"])
        if not there & set(systems[1:]):
            continue
        display(Markdown(f"**{block.title}**"))
        tabs({
            metric: table_markdown(
                tables.table_1(block.rows, metric, systems),
                f"tbl-cdtp-{slug}-{block.slug}-{metric.lower().replace(' ', '-')}",
                f"{title}, {block.dataset}, {metric}, by what is available",
                f"Mean ± half the 95% interval. {note} {block.source}")
            for metric in tables.metrics(block.dataset)
        })


answers: dict[str, list[str]] = {}


def against(system: str, others, slug: str) -> None:
    """The paired differences of one system and these others, for each block that has them."""
    for block in shown:
        found = tables.differences(block.rows, "ACC", system, others)
        answers[slug] = answers.get(slug, []) + [
            f"{system} − {line['other']} on {block.dataset}: {line['mean']:+.3f}"
            for line in found.to_dict("records") if line["p_holm"] < 0.05 and block.slug != "here"
        ]
        if len(found):
            table(tables.differences_table(found), f"tbl-cdtp-{slug}-{block.slug}",
                  f"{block.dataset}: ACC of {system} minus that of the others, mean over the cases",
                  "± half the 95% interval, where there are three repetitions; a star: beyond chance after Holm's "
                  "correction within this table.", source=block.source)


# %% [markdown]
# ## Prompts off, one at a time
#
# Without any prompt and completion MPLMM is MD, a MulT that was trained with missing modalities. *CDTP w/o diffusion* is
# CDTP whose missing modalities are their means instead of what the diffusion draws: everything else is the same, so this is
# the line that asks for the diffusion alone. (MPLMM has none either, but its missing frames are made another way, by a
# layer for each pair of modalities.) *CDTP w/o prompts* keeps the diffusion and has none of the three prompts, and with them
# goes the small network that led what was drawn to its frames. *By DDPM* takes as many steps as DDIM does, 20, where the
# paper's equations take all 1000. *From the middle* begins DDIM at zero instead of at noise: then it is not one draw of
# what the missing modality may have been that stands in for it, but something like the mean of all.
#
# All corpora here are of vectors, so only what has prompts attends to more than one thing ({ref}`cdtp-table-1`); the lines
# that take a prompt away take that away, too. `l` is text, which the paper writes t.

# %% tags=["hide-input"]
side_by_side(["LogReg", "MD", "MPLMM", *cdtp.ABLATIONS[:3], "CDTP", *cdtp.ABLATIONS[3:]], "ablation", "Ablation")
against("MPLMM", cdtp.ABLATIONS[:3], "prompts")
against("CDTP", ["MD", "MPLMM", *cdtp.ABLATIONS[3:]], "diffusion")

# %% [markdown]
# ## Behind another system
#
# MISA {cite}`misa` splits each modality into what it shares with the others and what is its own; MMIM {cite}`mmim` keeps as
# much as it can of the mutual information between modalities. Both are trained in the same cases, once with zeros where something is missing
# and once with the completion in front of them: the module of [](cdtp-conditional-diffusion), trained first and then
# frozen. UniMSE {cite}`unimse` reads through a pre-trained T5, whose weights are no part of this project, so the tables leave it out;
# `robustmer.systems.UniMSE(dims, classes, folder=...)` and `UniMSEWithCompletion` take them from a folder of yours.

# %% tags=["hide-input"]
side_by_side(["LogReg", *cdtp.BACKBONES], "backbone", "Backbones")
against("MISA + completion", ["MISA"], "misa")
against("MMIM + completion", ["MMIM"], "mmim")

# %% tags=["hide-input"]
questions = {"prompts": "What does each prompt add?", "diffusion": "Is it the diffusion or the prompts that help?",
             "misa": "Does a completion help MISA?", "mmim": "Does it help MMIM?"}
display(Markdown(
    "Of what is measured in profile `paper`, beyond chance (Holm, 5%, within each table):\n\n" + "\n".join(
        f"- *{question}* " + ("; ".join(answers[slug]) + "." if answers.get(slug) else
                              "No difference that another draw of folds or first weights could not turn round.")
        for slug, question in questions.items())))
