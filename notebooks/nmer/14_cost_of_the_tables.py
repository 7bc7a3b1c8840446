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
from IPython.display import Markdown

from robustmer.book.answers import answer, numbers_folded
from robustmer.book.display import table
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import stacks
from robustmer.book.registry import GREY, System
from robustmer.experiments import project
from robustmer.experiments.papers import PAPERS, results

trainings = {paper: results(paper).trainings for paper in ("nmer", "nmer_beyond")}
records = pd.DataFrame([
    {"paper": paper, "key": key, "system": record["recipe"]["system"], "dataset": record["dataset"], "seconds": record["seconds"]}
    for paper, part in trainings.items() for key, record in part.items()
])  # fmt: skip
hours = records["seconds"].sum() / 3600
bench = json.loads((project() / "results/measured/bench.json").read_text())
peers = pd.read_csv(project() / "results/peers/nmer_step.csv").set_index("system")["seconds"]
spelling = {"IFMMIN": "IF-MMIN"}
steps = pd.DataFrame(bench["systems"]).assign(system=lambda t: t["system"].replace(spelling))
steps["peer"] = steps["system"].map(peers)
faster = (steps["peer"] / steps["step_seconds"]).dropna()

answer(
    (f"All measured tables of Part I took {hours:.1f} core hours for {len(records)} trainings.", "people"),
    (f"A step at IEMOCAP's size is {faster.min():.1f} to {faster.max():.1f} times as fast as in the papers' released code.",
     "synthetic"),
    "Most of it is spent in the encoders' forward and backward passes.",
)  # fmt: skip

order = ["Majority", "LogReg", "MEN", "MCTN", "MMIN", "IFMMIN", "NMERWithoutVAE", "NMER"]
median = records.groupby(["dataset", "system"])["seconds"].quantile([0.1, 0.5, 0.9]).unstack().reset_index()
median = median[median["system"].isin(order)].sort_values("system", key=lambda s: s.map(order.index))
shown = median.assign(panel=median["dataset"], row=median["system"].replace(spelling | {"NMERWithoutVAE": "NMER w/o VAE"}),
                      value=median[0.5], low=median[0.1], high=median[0.9], system="all")  # fmt: skip
show(
    lambda width: dots(shown, {"all": System("one training", "", GREY, "o")}, "seconds of one training", width),
    "fig-nmer-cost-systems",
    "A training of NMER takes several times as long as one of MEN. Median and the range of eight in ten trainings, one core, other "
    "programs running beside.",
    "Two panels, one a corpus, with one row a system. Seconds grow from logistic regression to MEN, MCTN, the imagination networks "
    "and NMER.",
    corpus="RAVDESS-AV",
)  # fmt: skip

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

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
tables = pd.DataFrame(rows).query("trainings > 0").sort_values(["corpus", "core hours"], ascending=[False, False])
table(tables, "tbl-nmer-cost-tables", "What each table took",
      "One core a training. Other programs ran on the same cores, so hours are an upper bound.", decimals=1)  # fmt: skip

# %% [markdown]
# ## A step, and the papers' own code
#
# Both corpora of people have one vector a sample. The paper's own features are sequences, so a step is measured at IEMOCAP's
# shapes: 128 samples of 155 audio frames (130 wide), 50 of video (342) and 22 tokens of text (1024), all at full length. The
# papers' released code ran at the same shapes on the same kind of machine. The *floor* is what the step's products take at the
# rate of one large matrix product, or its bytes at the rate of one large copy, whichever is longer.

# %%
floor = steps[["step_flops", "step_bytes"]] / [bench["rates"]["flops_per_second"], bench["rates"]["bytes_per_second"]]
cost = pd.DataFrame({
    "system": steps["system"],
    "parameters, M": steps["parameters"] / 1e6,
    "GFLOP a sample": steps["step_flops"] / bench["rows"] / 1e9,
    "step, s": steps["step_seconds"],
    "papers' code, s": steps["peer"],
    "floor, s": floor.max(axis=1),
    "peak, MB": (steps["peak_bytes"] / 2**20).round().astype(int),
})  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
machine = (f"{bench['processor']}, {bench['threads']} threads, torch {bench['torch']}, commit {bench['commit']}; "
           f"{bench['rates']['flops_per_second'] / 1e9:.0f} GFLOP/s in products.")  # fmt: skip
table(cost, "tbl-nmer-step", "One training step of 128 samples at full length",
      f"{machine} Operations are counted product by product; peak memory is that of the process. Of a system with a teacher the "
      "longer step.", decimals=2)  # fmt: skip

names = {"data": "data", "noise": "noise", "forward": "forward", "backward": "backward", "update": "update"}
parts = pd.DataFrame([{"row": s["system"], "part": names[part], "value": seconds}
                      for s in steps.to_dict("records") for part, seconds in s["parts"].items()])  # fmt: skip
show(
    lambda width: stacks(parts, "seconds a step", width, dict(zip(steps["system"], floor.max(axis=1), strict=True)), "floor"),
    "fig-nmer-step-parts",
    "Backward takes most of a step, forward a third. A step takes one to two times its floor. Taking the samples from the corpus is "
    "too short to see.",
    "Stacked bars, one a system: a thin part for the noise, a third for the forward pass, more than half for the backward pass. A "
    "black line in every bar marks the floor.",
    corpus="synthetic",
)  # fmt: skip
nmer = steps.set_index("system").loc["NMER"]
Markdown(f"NMER takes {nmer['step_seconds'] / steps.set_index('system').loc['MEN', 'step_seconds']:.1f} times the seconds of a step of "
         f"MEN, with {nmer['parameters'] / steps.set_index('system').loc['MEN', 'parameters']:.0f} times the parameters: parameters do "
         "not tell the time.")  # fmt: skip

# %% [markdown]
# Why it is faster than the papers' code: there the frozen teacher reads the clean samples in every step, here once a training.
# Attention over a single token is computed as the linear map that it is. The directions and gates of an LSTM, and AdamW, are
# fused.
#
# Utterances differ in length, and one long sample makes a whole batch long. Here samples of similar length share a batch, 16
# batches at a time, so that the same samples do not meet in every epoch. An epoch of 4,446 samples:

# %%
epochs = pd.DataFrame({"similar lengths": [s["similar lengths"] for s in steps["epoch_seconds"]],
                       "all at full length": steps["padded_epoch_seconds"]}).set_index(steps["system"])  # fmt: skip
epochs.round(1).rename_axis("seconds of an epoch")

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

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code", "code_prompt_hide": "Code"}
one, many = bench["at_once"][0], bench["at_once"][-1]
Markdown(f"An extrapolation, not a run: {machine} Trainings side by side: {one['trainings']} of {one['system']} makes "
         f"{one['steps_per_second']:.2f} steps a second, {many['trainings']} at once make {many['steps_per_second']:.2f} together."
         + (" This was measured without a GPU." if bench["device"] == "cpu" else ""))  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
per_system = records.groupby(["dataset", "system"])["seconds"].agg(["size", "median", "max", "sum"]).reset_index()
per_system["hours"] = per_system.pop("sum") / 3600
numbers_folded(per_system.rename(columns={"size": "trainings", "median": "median, s", "max": "longest, s", "dataset": "corpus"}),
               "Seconds of one training, by system and corpus", decimals=1, file="nmer_seconds.csv")  # fmt: skip

# %% [markdown]
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
