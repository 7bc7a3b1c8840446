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
# # Robust multimodal emotion recognition
#
# We ran the methods of four papers on people, with intervals, beside logistic regression. Here is what held.

# %% tags=["remove-input"]
import pandas as pd
from IPython.display import Markdown, display

from robustmer.book import answers, figures
from robustmer.book.picture import show
from robustmer.book.registry import CHIPS, EVIDENCE, corpus, look
from robustmer.experiments import findings
from robustmer.experiments.statistics import MARKS, holm

headlines = findings.findings()
answers.answer(*((finding.sentence, finding.chip) for finding in headlines[:2]))

# %% [markdown]
# **How far ahead is the paper's own system?**

# %% tags=["remove-input"]
papers = {"nmer": "NMER minus …", "cdtp": "CDTP minus …"}
frame = pd.concat(
    [findings.differences(paper).assign(panel=title) for paper, title in papers.items()]
)
frame = frame.assign(row=[look(row).label for row in frame["row"]],
                     note=[corpus(name).label for name in frame["dataset"]])  # fmt: skip
unit = {papers["nmer"]: "points of UA", papers["cdtp"]: "points of accuracy"}
people = frame[frame["kind"] == "people"]
kept = int((holm(people["p"]) < 0.05).sum())
show(
    lambda width: figures.forest(frame, unit, width),
    "fig-ahead",
    "Printed differences lie right of the line; measured ones lie on it, but for the first row of each panel. Uncorrected: "
    f"after Holm's correction for these {len(people)} rows {kept or 'no'} blue bar excludes 0.",
    "Two panels of differences. The printed differences lie right of zero. The differences measured on RAVDESS-AV lie on "
    "zero, except in the first row of each panel: a network that never met noise, and one that never met a gap.",
    "RAVDESS-AV",
)

# %% [markdown]
# ## Eight findings

# %% tags=["remove-input"]
lines = [
    f"{number}. {{ref}}`{finding.sentence} <{finding.anchor}>` {answers.chip(finding.chip)} {finding.beside}"
    for number, finding in enumerate(headlines, 1)
]
display(Markdown("\n".join(lines)))

# %% [markdown]
# ## What this is not

# %% tags=["remove-input"]
halves = (people["high"] - people["low"]) / 2
display(
    Markdown(f"""
- None of the papers' own corpora was at hand: RAVDESS-AV is 360 takes of 24 actors with voice and face, CMU-MOSI is 93 videos.
- Parts I, II and IV are measured on single vectors, no sequences. On one frame an LSTM, a convolution and attention are fully connected layers.
- "Not shown" is no proof of equality: with six folds, half an interval is {halves.min():.0f} to {halves.max():.0f} points.
- The protocol is not blind: where one mechanism decides, it {{ref}}`sees differences of more than 30 points <guide-controls>`, on synthetic data.
""")
)

# %% [markdown]
# ## Three doors
#
# ::::{grid} 1 1 3 3
# :::{grid-item-card} I want the result
# :img-top: _static/door_result.svg
# :img-alt: Dots with intervals around a line.
# :class-img-top: dark-light
# {ref}`Every claim of NMER <nmer-claims>`, {ref}`NMER's Table 2 <nmer-table-2>`, {ref}`CDTP's Table 1 <cdtp-table-1>`, {ref}`MCWSA's fusions <mcwsa-table-2>`, {ref}`InfoGAN and its controls <infogan-table-2>`, {ref}`every number <results-explorer>`.
# :::
# :::{grid-item-card} I want to understand
# :img-top: _static/door_idea.svg
# :img-alt: A wave that drowns in noise.
# :class-img-top: dark-light
# {ref}`The noise scheduler <nmer-noise-scheduler>`, {ref}`the network <nmer-network>`, {ref}`the diffusion <cdtp-conditional-diffusion>`, {ref}`faces and voices in step <mdvae-frames-and-sound>`, [words and symbols](glossary.md).
# :::
# :::{grid-item-card} I have a system
# :img-top: _static/door_system.svg
# :img-alt: Three modalities, a network and its answer.
# :class-img-top: dark-light
# {ref}`Add it in one notebook <nmer-add-your-own>`, [run any cell again](rerun.md), [bring a corpus](data.md), [the library](api.md).
# :::
# ::::
#
# ## The claims at a glance

# %% tags=["remove-input"]
verdicts = findings.glance()
headings = {"": "paper's tables"} | {
    name: corpus(name).label for name in verdicts["dataset"] if name
}
verdicts = verdicts.assign(
    row=[
        f"{p.upper()} {n}. {says}".replace(" -", " −")
        for p, n, says in zip(
            verdicts["paper"], verdicts["number"], verdicts["says"], strict=True
        )
    ],
    column=verdicts["dataset"].map(headings),
)
ours = verdicts[verdicts["column"] == "RAVDESS-AV"]["verdict"].value_counts()
show(
    lambda width: figures.grid(verdicts, width),
    "fig-claims",
    f"Of {ours.sum()} claims {ours.get('holds', 0)} hold on the 24 actors of RAVDESS-AV, and {ours.get('not shown', 0)} are not "
    "shown. One family of comparisons a paper and corpus, Holm's correction at 5%; seeds of one split give no verdict.",
    f"A row for each claim and a coloured cell for each source. The papers' tables mostly agree with their text; on "
    f"RAVDESS-AV {ours.get('holds', 0)} of {ours.sum()} claims hold.",
    "RAVDESS-AV",
)

# %% [markdown]
# The comparisons behind each cell stand on {ref}`nmer-claims` and {ref}`cdtp-table-1`.
#
# ## How to read a number
#
# An {term}`interval` is a 95% interval of the mean, in figures a bar, in text a pair in brackets. Three phrases recur: *A is ahead of B by 4.3
# points (0.2 to 8.4)*; *A and B cannot be told apart (+0.8, −3.1 to 4.7)*; *one training; no interval*.

# %% tags=["remove-input"]
marks = [(mark.shape, mark.label) for mark in EVIDENCE.values()]
marks += [(f"chip {chip}", meaning) for chip, meaning in CHIPS.items()]
marks += [(f"{mark.strip()} in a table", meaning) for mark, meaning in MARKS.items()]
answers.numbers_folded(
    pd.DataFrame(marks, columns=["mark", "meaning"]),
    "What each mark means",
    folded=False,
)

# %% [markdown]
# A number printed by a paper is never mixed with one measured here. Where a paper leaves something open, the book takes one reading and
# lists it under [](choices.md). What the numbers cannot show stands under [](limits.md).
#
# ## The papers
#
# - **I, NMER** {cite}`nmer`. Its text names no venue and no year. Released code: [WooyoohL/Noise-robust_MER at 3f8a131](https://github.com/WooyoohL/Noise-robust_MER/tree/3f8a131).
# - **II, CDTP** {cite}`cdtp`. Its text names no venue and no year. Released code: [cwzhang689/DPT at b077dbb](https://github.com/cwzhang689/DPT/tree/b077dbb).
# - **III, planned: MCWSA-CMHA** {cite}`mcwsa`, an autoencoder and attention in a cascade.
# - **IV, planned: InfoGAN-SER** {cite}`infogan`, training data augmented by a generative network.
# - **V, planned: VQ-MDVAE** {cite}`mdvae`. Neural Networks 172, 2024, [10.1016/j.neunet.2024.106120](https://doi.org/10.1016/j.neunet.2024.106120). Released code: [samsad35/code-mdvae at 4c90c78](https://github.com/samsad35/code-mdvae/tree/4c90c78).
#
# To cite a number, cite the paper whose method it is, and the page. "Cite this page" below every page gives its BibTeX entry with the
# commit. What changed between versions stands under [](changes.md).
#
# ## References
#
# ```{bibliography}
# ```
