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
# A table of this part is hundreds of trainings that do not depend on each other. **What did each table take, where does
# the time of a step go, and how does that compare with the papers' own code?** The paper says nothing about time.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"  # of the loss curves; the costs are those of profile paper
seeds: int = 3  # of the loss curves

# %% tags=["hide-input"]
import json

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import Markdown, display

from robustmer.bench import ROWS, TRAIN_ROWS
from robustmer.bench import table as bench_table
from robustmer.conditions import CLEAN, incomplete
from robustmer.corpora import CORPORA, is_here, load
from robustmer.cost import step_cost
from robustmer.display import table, theme
from robustmer.noise import NoiseScheduler
from robustmer.papers import nmer
from robustmer.results import RESULTS, ledger, read
from robustmer.systems import MEN
from robustmer.train import Budget, fit, seeded

palette = theme()
p = nmer.profile_named(profile)
budget = nmer.PROFILES["paper"].budget
rows = read(ledger("nmer"))
trainings = rows.drop_duplicates(["key", "fingerprint"])

# %% [markdown]
# ## Table by table
#
# Each row of the ledger knows how long its training and evaluation took, and on what. Products (a multiplication and an
# addition are two operations) are counted on one batch of the corpus and multiplied by the steps of the budget; memory is
# what one training needs at once: weights, gradients, AdamW's two moments, and what the backward pass reads.

# %%
def cost_of(corpus: str, system: type, **options) -> dict[str, float]:
    """Products and bytes of one training on a corpus, counted on its first batch."""
    data = load(corpus)
    train, _, _ = data.fold(0)
    batch = train[range(min(budget.batch_size, len(train)))]
    with seeded("cost"):
        made = system(data.dims, data.classes, **options)
    cost = step_cost(made, batch, incomplete(data.modalities, NoiseScheduler(snr_db=-10)), 1)
    steps = budget.steps(len(train))
    return {"flops": cost.flops_per_row * cost.rows * steps,
            "bytes": 16 * cost.parameters + cost.kept_bytes}


measured = {name: module.NAME for name, module in CORPORA.items()
            if module.NAME in set(rows["dataset"])}
costs = {
    (dataset, name): cost_of(corpus, *nmer.SPELLING[name][:1], **nmer.SPELLING[name][1])
    for corpus, dataset in measured.items() if is_here(corpus)
    for name in sorted({s.split(",")[0] for s in trainings["system"]} & set(nmer.SPELLING))
}

# %% tags=["hide-input"]
titles = {"2": "Tables 2 and 3", "4": "Table 4", "5": "Table 5", "ablation": "ablation (3.6.4)",
          "transfer": "noise transfer", "old ways": "zeros and absence"}
spelling_of = {dataset: corpus for corpus, dataset in measured.items()}
lines, left = [], dict.fromkeys(spelling_of, 0)
for dataset, part in trainings.groupby("dataset", sort=False):
    for name, title in titles.items():
        planned = {r.key for r in nmer.recipes("paper", [spelling_of[dataset]], tables=[name])}
        here = part[part["key"].isin(planned)]
        left[dataset] += len(planned) - len(here)
        if here.empty:
            continue
        systems = [(dataset, s.split(",")[0]) for s in here["system"]]
        known = [costs[s] for s in systems if s in costs]
        whole = len(known) == len(systems)
        lines.append({
            "corpus": dataset, "table": title, "trainings": f"{len(here)} of {len(planned)}",
            "diverged": int(here["value"].isna().sum()),
            "core hours": f"{here['seconds'].sum() / 3600:.1f}",
            "median, s": f"{here['seconds'].median():.0f}",
            "products, PFLOP": f"{sum(c['flops'] for c in known) / 1e15:.2f}" if whole else "–",
            "memory, MB": f"{max(c['bytes'] for c in known) / 2**20:.0f}" if whole else "–",
            "device": ", ".join(sorted(set(here["device"]))),
        })
table(pd.DataFrame(lines), "tbl-nmer-cost-tables", "What each table took",
      f"From the {len(trainings)} trainings under results/measured, one core each; a training that two tables share "
      "counts in both. Other programs ran on the same cores, so hours are an upper bound. A dash: the corpus is not on "
      "the machine that rendered this page.")
total = trainings["seconds"].sum() / 3600
lacking = [f"{CORPORA[c].NAME} (" + (f"{left[CORPORA[c].NAME]} trainings" if CORPORA[c].NAME in left else "all of it") + ")"
           for c in nmer.PROFILES["paper"].seeds if left.get(CORPORA[c].NAME, 1)]
display(Markdown(
    f"All together **{total:.1f} core hours**. Of the paper's protocol these are not measured: {', '.join(lacking) or 'none'}. "
    "IEMOCAP and CMU-MOSEI need their files; synthetic data at IEMOCAP's size need a GPU or weeks of a core "
    "({ref}`nmer-all-of-table-2`). The systems differ more than the tables:"))

# %% tags=["hide-input"]
per_system = trainings.assign(system=trainings["system"].str.split(",").str[0]).groupby(["dataset", "system"])["seconds"]
spread = per_system.agg(["size", "median", "max", "sum"]).reset_index()
spread["hours"] = spread.pop("sum") / 3600
table(spread.rename(columns={"size": "trainings", "median": "median, s", "max": "longest, s", "dataset": "corpus"}),
      "tbl-nmer-cost-systems", "Seconds of one training, by system", "From the same rows.", decimals=1)

# %% [markdown]
# ## A step, and the papers' own code
#
# Both corpora above have one vector an utterance. The paper's own features are sequences, so a step is measured at
# IEMOCAP's shapes: 128 rows of 155 frames of audio (130 wide), 50 of video (342) and 22 tokens of text (1024), all at
# full length. The papers' released code was run at the same shapes, on two cores of the same kind of machine. The *floor*
# is what the step's products take at the rate of one large matrix product, or its bytes at the rate of one large copy,
# whichever is more.

# %%
bench = json.loads((RESULTS / "measured" / "bench.json").read_text())
ours = bench_table(bench)
peers = pd.read_csv(RESULTS / "peers" / "nmer_step.csv").set_index("system")["seconds"]
spelt = {system.__name__: name for name, (system, fixed) in nmer.SPELLING.items()
         if not fixed and name != nmer.UNI_MODAL}
ours["system"] = ours["system"].replace(spelt)
ours.insert(2, "papers' code, s", ours["system"].map(peers))
ours.insert(3, "faster", (ours["papers' code, s"] / ours["step, s"]))

# %% tags=["hide-input"]
machine = (f"Ours: {bench['processor']}, {bench['threads']} threads, torch {bench['torch']}, commit {bench['commit']}; "
           f"{bench['rates']['flops_per_second'] / 1e9:.0f} GFLOP/s in products, "
           f"{bench['rates']['bytes_per_second'] / 1e9:.1f} GB/s in copies.")
steps = ours[["system", "step, s", "papers' code, s", "faster", "floor, s", "rows/s", "peak, MB"]]
table(steps.assign(faster=[f"{x:.1f} ×" if x == x else "–" for x in steps["faster"]],
                   **{"papers' code, s": [f"{x:.3f}" if x == x else "–" for x in steps["papers' code, s"]]}),
      "tbl-nmer-step", "One training step at full length", f"{machine} Peak memory is that of the whole process. Of two "
      "stages it is the longer one's step. The papers' code: torch 2.13.0, two threads; results/peers.", decimals=3)

# %% mystnb={"figure": {"name": "fig-nmer-step-parts", "caption": "Where the time of a step goes, in seconds, and its floor (a bar across). Taking the rows from the corpus is too little to see."}} tags=["hide-input"]
parts = ["data", "noise", "forward", "backward", "update"]
figure, axis = plt.subplots(figsize=(8, 0.5 + 0.45 * len(bench["systems"])), layout="constrained")
for y, system in enumerate(bench["systems"]):
    left = 0.0
    for colour, part in zip(palette, parts, strict=False):
        seconds = system["parts"][part]
        axis.barh(y, seconds, left=left, color=colour, label=part if not y else None)
        left += seconds
    axis.plot([ours["floor, s"][y]] * 2, [y - 0.42, y + 0.42], color="black", lw=1.5, label="floor" if not y else None)
axis.set(yticks=range(len(ours)), yticklabels=ours["system"], xlabel="seconds a step")
axis.invert_yaxis()
axis.legend(ncols=6, loc="upper center", bbox_to_anchor=(0.5, 1.2), frameon=False)
plt.show()

# %% [markdown]
# Why it is faster: the papers' code asks the frozen teacher about the clean rows in every step, here it is asked once for
# each fold; attention over a single token is a linear map and is computed as one; the
# two directions and gates of an LSTM, and AdamW, are fused.
#
# ## Real lengths
#
# Utterances differ in length. If rows are drawn at random, one long row makes a whole batch long. Here rows
# of similar length share a batch, in `robustmer.train.POOL` batches at a time, so that the same rows do not
# meet in every epoch; results stay those of any other order of the rows, within what seeds differ.

# %% tags=["hide-input"]
epochs = ours[["system", "epoch, s", "any lengths", "full length"]].copy()
epochs["papers' code"] = [f"{x * TRAIN_ROWS / ROWS:.0f}" if x == x else "–" for x in ours["papers' code, s"]]
ratio = ours["papers' code, s"] * TRAIN_ROWS / ROWS / ours["epoch, s"]
epochs["faster"] = [f"{x:.1f} ×" if x == x else "–" for x in ratio]
table(epochs.rename(columns={"epoch, s": "similar lengths"}), "tbl-nmer-epoch",
      f"Seconds of an epoch of {TRAIN_ROWS} rows",
      f"{machine} Lengths are drawn as in the synthetic corpus (seconds log-normal, mean 4.5). The papers' code pads every "
      "row to full length; its column is its step times the steps of an epoch.", decimals=1)

# %% [markdown]
# Batches of similar length must not teach anything else. The same MEN, from the same first weights, on clean frame
# sequences of the synthetic corpus, with rows in any order and with similar lengths together:

# %%
frames = load("synthetic", size=p.size, pooled=False)
train, valid, _ = frames.fold(0)
steps = 60 if p.budget.max_steps is None or p.budget.max_steps > 60 else p.budget.max_steps
short = Budget(epochs=0, min_steps=steps, max_steps=steps, batch_size=32, checks=10)
curves = []
for seed in range(seeds):
    for bucket in (True, False):
        with seeded("curves", seed):
            made = MEN(frames.dims, frames.classes)
        for record in fit(made, train, valid, CLEAN, short, f"curves {seed}", bucket):
            curves.append({"seed": seed, "batches": "similar lengths" if bucket else "any lengths",
                           "step": record["step"], "loss": record["valid_loss"]})
curves = pd.DataFrame(curves)

# %% mystnb={"figure": {"name": "fig-nmer-bucket-curves", "caption": "Validation loss of MEN on synthetic frame sequences: a line for each seed, batches of similar lengths and of any lengths."}} tags=["hide-input"]
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for colour, (name, part) in zip(palette, curves.groupby("batches", sort=False), strict=False):
    for i, (_, line) in enumerate(part.groupby("seed")):
        axis.plot(line["step"], line["loss"], color=colour, lw=1.3, label=name if not i else None)
axis.set(xlabel="step", ylabel="validation loss")
axis.legend(frameon=False)
plt.show()

# %% tags=["hide-input"]
wide = curves.pivot_table(index=["step", "seed"], columns="batches", values="loss")
apart = (wide["similar lengths"] - wide["any lengths"]).groupby("step").mean().abs()
spread = curves.groupby(["batches", "step"])["loss"].std().groupby("step").mean()
display(Markdown(
    f"Synthetic data, profile {profile}, {seeds} seeds. The mean curves are {apart.mean():.3f} apart, on average over the "
    f"checks; seeds of one kind differ by {spread.mean():.3f} (standard deviation)."))

# %% [markdown]
# (nmer-all-of-table-2)=
# ## All of Table 2
#
# Seven systems, two noises, four levels, ten folds and three repetitions are 1,680 trainings of 60 epochs. From the
# epochs above, the teacher's half included:

# %% tags=["hide-input"]
each = 2 * 4 * 10 * 3 * 60
shares = {s["system"]: sum(x["share"] * x["seconds"] for x in s["stages"].values()) / s["step_seconds"] for s in bench["systems"]}
hours = {spelt.get(name, name): each * seconds * shares[name] / 3600 for name, seconds in
         ((s["system"], s["epoch_seconds"]["similar lengths"]) for s in bench["systems"])}
needed = ["MEN", "MCTN", "MMIN", "IF-MMIN", "NMER", "w/o VAE"]
known = {name: hours[name] for name in needed if name in hours}
lines = pd.DataFrame({"system": known.keys(), "hours": known.values()})
table(lines, "tbl-nmer-table-2-hours", "Hours of Table 2's trainings at IEMOCAP's size, by system",
      f"An extrapolation from measured epochs, not a run: {machine}", decimals=0)
one, many = bench["at_once"][0], bench["at_once"][-1]
display(Markdown(
    f"Trainings side by side: {one['trainings']} of {one['system']} makes {one['steps_per_second']:.2f} steps a second, "
    f"{many['trainings']} at once make {many['steps_per_second']:.2f} together "
    f"({many['steps_per_second'] / one['steps_per_second']:.1f} times as many; {bench['device']}, a thread each)."
    + (" **This was measured without a GPU**: how many trainings one takes at once is not known yet. "
       "`make bench DEVICE=cuda` measures it." if bench["device"] == "cpu" else "")))
