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
# (nmer-cost-of-the-tables)=
# # What the tables cost
#
# A table of this part is hundreds of trainings that do not depend on each other. **What did each table take, where does the time
# of a step go, and how does that compare with the papers' own code?** The paper reports no time.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"  # changes nothing on this page: it shows what was measured

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import json

import pandas as pd

from robustmer.book import answers, display, figures, picture, plots, registry
from robustmer.experiments import project
from robustmer.experiments.papers import PAPERS, results

trainings = {paper: results(paper).trainings for paper in ("nmer", "nmer_beyond")}
records = pd.DataFrame([{"key": key, "system": record["recipe"]["system"], "dataset": record["dataset"], "seconds": record["seconds"]}
                        for part in trainings.values() for key, record in part.items()])  # fmt: skip
spelling = {"IFMMIN": "IF-MMIN", "NMERWithoutVAE": "NMER w/o VAE"}
bench = json.loads((project() / "results/measured/bench.json").read_text())
steps = pd.DataFrame(bench["systems"]).assign(
    system=lambda t: t["system"].replace(spelling)
)
steps["peer"] = steps["system"].map(
    pd.read_csv(project() / "results/peers/nmer_step.csv").set_index("system")[
        "seconds"
    ]
)
faster = (steps["peer"] / steps["step_seconds"]).dropna()
answers.answer(
    (f"All measured tables of Part I took {records['seconds'].sum() / 3600:.1f} core hours for {len(records)} trainings.", "people"),
    (f"A step at IEMOCAP's size is {faster.min():.1f} to {faster.max():.1f} times as fast as in the papers' released code.",
     "synthetic"),
    "Most of it is spent in the encoders' forward and backward passes.")  # fmt: skip
order = [
    "Majority",
    "LogReg",
    "MEN",
    "MCTN",
    "MMIN",
    "IFMMIN",
    "NMERWithoutVAE",
    "NMER",
]
median = (
    records.groupby(["dataset", "system"])["seconds"]
    .quantile([0.1, 0.5, 0.9])
    .unstack()
    .reset_index()
)
median = median[median["system"].isin(order)].sort_values(
    "system", key=lambda name: name.map(order.index)
)
shown = median.rename(
    columns={"dataset": "panel", 0.5: "value", 0.1: "low", 0.9: "high"}
).sort_values("panel", kind="stable", ascending=False)
shown = shown.assign(row=shown["system"].replace(spelling), system="all")
looks = {"all": registry.System("one training", "", registry.GREY, "o")}
picture.show(
    lambda width: figures.dots(shown, looks, "seconds of one training", width), "fig-nmer-cost-systems",
    "A training of NMER takes several times as long as one of MEN. Median and the range of eight in ten trainings, one core each, other "
    "programs running beside.",
    "Two panels, one a corpus, with one row a system. Seconds grow from logistic regression to MEN, MCTN, the imagination networks and "
    "NMER.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Table by table
#
# Every record of a training holds its seconds. A table knows its recipes, and a training that two tables share counts in both.

# %%
titles = {"2": "Tables 2 and 3", "4": "Table 4", "5": "Table 5", "ablation": "ablation"}
rows = []
for paper, corpus in [(p, c) for p in trainings for c in ("ravdess_av", "mosi_bclstm")]:
    for number, of_paper in PAPERS[paper].tables("paper", corpus).items():
        if paper != "nmer" or number in titles:
            keys = {recipe.key for recipe in of_paper.jobs()} & set(trainings[paper])
            spent = sum(trainings[paper][key]["seconds"] for key in keys) / 3600
            rows.append(
                {
                    "corpus": of_paper.dataset,
                    "table": titles.get(number, of_paper.title),
                    "trainings": len(keys),
                    "core hours": spent,
                }
            )
tables = pd.DataFrame(
    rows, columns=["corpus", "table", "trainings", "core hours"]
).query("trainings > 0")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(tables.sort_values(["corpus", "core hours"], ascending=[False, False]), "tbl-nmer-cost-tables", "What each table took",
              "One core a training. Other programs ran on the same cores, so hours are an upper bound.", decimals=1)  # fmt: skip

# %% [markdown]
# ## A step, and the papers' own code
#
# Both corpora of people have one vector a sample. The paper's own features are sequences, so a step is measured at IEMOCAP's
# shapes. A batch has 128 samples of 155 audio frames (130 wide), 50 video frames (342) and 22 tokens (1024), at full length. The
# papers' released code ran at the same shapes on the same kind of machine. The *floor* is the longer of two times: that
# of the step's products at the rate of one large matrix product, and that of its bytes at the rate of one large copy.

# %%
floor = steps[["step_flops", "step_bytes"]] / [
    bench["rates"]["flops_per_second"],
    bench["rates"]["bytes_per_second"],
]
cost = pd.DataFrame({
    "system": steps["system"],
    "MB": (steps["peak_bytes"] / 2**20).round().astype(int),
    "GFLOP": steps["step_flops"] / 1e9,
    "floor": floor.max(axis=1),
    "step": steps["step_seconds"],
    "papers": steps["peer"],
})  # fmt: skip
machine = f"{bench['processor']}, {bench['threads']} threads, torch {bench['torch']}"

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(cost, "tbl-nmer-step", "Seconds of one training step of 128 samples at full length",
              f"{machine}. Papers: their released code. MB: peak memory. Of a system with a teacher the longer step.", decimals=2)  # fmt: skip

# %%
parts = [
    (line["system"], part, seconds)
    for line in steps.to_dict("records")
    for part, seconds in line["parts"].items()
]
parts = pd.DataFrame(parts, columns=["row", "part", "value"])
floors = dict(zip(steps["system"], floor.max(axis=1), strict=True))

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: plots.stacks(parts, "seconds a step", width, floors, "floor"), "fig-nmer-step-parts",
    "Backward takes half of a step, forward a third. A step takes up to half as long again as its floor. Taking the samples from the "
    "corpus is too short to see.",
    "Stacked bars, one a system: a thin part for the noise, a third for the forward pass, about half for the backward pass. A black line "
    "in every bar marks the floor.", "synthetic")  # fmt: skip

# %%
one, other = (steps.set_index("system").loc[name] for name in ("NMER", "MEN"))
for measure in ("step_seconds", "step_flops", "parameters"):
    print(f"NMER over MEN, {measure}: {one[measure] / other[measure]:.1f}")

# %% [markdown]
# Parameters do not tell the time: most of NMER's sit in a transformer that reads one token a sample ({ref}`nmer-network`).
#
# Why it is faster than the papers' code: there the frozen teacher reads the clean samples in every step, here once a training.
# Attention over a single token is computed as the linear map that it is. The directions and gates of an LSTM, and AdamW, are
# fused.
#
# Utterances differ in length, and one long sample makes a whole batch long. Here samples of similar length share a batch, 16
# batches at a time, so that the same samples do not meet in every epoch. An epoch of 4,446 samples:

# %%
epochs = pd.DataFrame(steps["epoch_seconds"].to_list(), steps["system"])
epochs = epochs[["similar lengths"]].assign(
    padded=steps["padded_epoch_seconds"].to_list()
)
epochs.round(1).rename_axis("seconds")

# %% [markdown]
# (nmer-all-of-table-2)=
# ## All of Table 2
#
# Seven systems, two noises, four levels, ten folds and three repetitions are 1,680 trainings of 60 epochs. A teacher adds half of
# its epochs, but all trainings of a fold and seed share it: the ledger trains it once.

# %%
each = 2 * 4 * 10 * 3  # trainings of one system
teachers = 10 * 3  # one a fold and seed
needed = {}
for line in steps.to_dict("records"):
    *first, last = line["stages"].values()
    epoch = line["epoch_seconds"]["similar lengths"]
    shared = sum(part["share"] * part["seconds"] for part in first) / last["seconds"]
    needed[line["system"]] = 60 * epoch * (each + teachers * shared) / 3600
pd.Series(needed, name="hours on two cores").round().astype(int).to_frame()

# %%
for line in bench["at_once"]:
    rate = f"{line['steps_per_second']:.2f} steps a second on {bench['device']}"
    print(f"{line['trainings']} of {line['system']} at once: {rate}")
per_system = (
    records.groupby(["dataset", "system"])["seconds"]
    .agg(["size", "median", "max", "sum"])
    .reset_index()
)
answers.numbers_folded(
    per_system,
    "Seconds of one training, by system and corpus",
    decimals=0,
    file="nmer_seconds.csv",
)

# %% [markdown]
# The hours are an extrapolation from measured epochs, not a run. How many trainings a GPU takes at once is not measured.
#
# **Exercises**
#
# 1. How many hours would all of Table 2 take if every training had a teacher of its own?
#
# :::{dropdown} Answer
# Replace `teachers` by `each` in the cell above and run it.
# :::
#
# 2. Measure your own machine.
#
# :::{dropdown} Answer
# `make bench` writes `runs/bench.json` in the form that this page reads; `make bench DEVICE=cuda` uses a GPU.
# :::
