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
# (mcwsa-reconstruction)=
# # Reconstruction
#
# **Can one fused code rebuild every modality, and one that is absent?** MCWSA section III.C, equations 8 to 10.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the rows of the figure", "code_prompt_hide": "Code: imports, the answer and the rows of the figure"}
import pandas as pd

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots
from robustmer.book.picture import show
from robustmer.book.plots import lines, tiles
from robustmer.book.registry import GREEN, GREY, HERO, PURPLE, System
from robustmer.experiments import project
from robustmer.experiments.papers import mcwsa

derived = pd.read_csv(
    project() / "results/measured/mcwsa/derived_reconstruction.csv",
    keep_default_na=False,
)
means = (
    derived.groupby(["corpus", "absent", "modality", "method"], sort=False)["error"]
    .agg(["mean", "min", "max", "size"])
    .reset_index()
)
mel = means[means["corpus"] == "RAVDESS-AV mel"].set_index(
    ["absent", "modality", "method"]
)["mean"]
whole, gone = mel[""]["audio"], mel["audio"]["audio"]
trainings = int(
    means.query("corpus == 'RAVDESS-AV mel' and absent == ''")["size"].max()
)
counted = "one training" if trainings == 1 else f"{trainings} trainings"
answer(
    (f"In {counted}, the autoencoder rebuilds the voice with a squared error of {whole['autoencoder']:.2f}; principal components of train samples leave "
     f"{whole['principal components']:.2f}.", "people"),
    ("Without the voice, it rebuilds the voice "
     f"{'worse' if gone['autoencoder'] > gone['mean of the train split'] else 'better'} than the mean of the train split does.", "people"),
)  # fmt: skip

# %%
looks = {"autoencoder": System("autoencoder", "", HERO, "o"), "principal components": System("principal components", "", GREEN, "s"),
         "ridge regression": System("ridge regression", "", PURPLE, "D"),
         "mean of the train split": System("mean of the train split", "", GREY, "v")}  # fmt: skip
drawn = means.assign(
    panel=means["corpus"],
    system=means["method"],
    value=means["mean"],
    low=means["min"],
    high=means["max"],
)
drawn["row"] = drawn["modality"] + drawn["absent"].map(
    lambda absent: ", absent" if absent else ""
)
show(lambda width: dots(drawn, looks, "mean squared error of test samples", width), "fig-mcwsa-rebuilt",
     "Squared error of the autoencoder and of linear references. Bars, where there are several trainings: least and most.",
     "Dots of the squared error by corpus and modality, with all modalities given and with the rebuilt one absent.", "RAVDESS-AV mel")  # fmt: skip

# %% [markdown]
# ## What is rebuilt
#
# A decoder for each modality reads the fused code of all. Equation 9 gives the fusion one input, although it needs all codes; Fig. 1 draws it
# with all. We read
#
# $$ \mathcal{L} = \sum_m \frac{1}{n_m} \bigl\| P_m - D_m(F_L(E_M(M), E_T(T), E_I(I))) \bigr\|^2 , $$
#
# where $P_m$ is the pyramid of a modality and $n_m$ the number of its values. Without the division the voice, with 12 times the values, would
# drown the text.
#
# - **Mean of the train split** predicts the same pyramid for every sample. Its error is near 1 for features that are recorded in every row,
#   and smaller where rows are zeros because a sample has few frames.
# - **Principal components** of all pyramids together have as many numbers as the code, or as many as there are train samples.
# - **Ridge regression** predicts an absent modality from the others. Leaving one train sample out chooses its penalty.
#
# The autoencoder learned complete samples only. The paper rebuilds an absent modality from the others on pictures of digits, and does not say
# whether it trained on incomplete samples.
#
# ## Your own run

# %%
p = mcwsa.PROFILES[profile]
data = rm.corpora.load(
    corpus, **({"size": p.size, "pooled": False} if corpus == "synthetic" else {})
)
train, valid, test = data.fold(0)
options = {**mcwsa.SMALL, "fusion": "cmha"}
system, history = rm.train(
    rm.MCWSA,
    data,
    rm.OwnError(),
    budget=p.budget,
    seed=seed,
    options=options,
    device=device,
)
system = system.cpu()
curves = history.frame.melt("step", data.modalities, "series").rename(
    columns={"step": "x"}
)
own_run(profile, data.name, ["fold 0", "one training", f"{history.kept} steps"])
show(lambda width: lines(curves, "optimizer step", "mean squared error", width, height=240), "fig-mcwsa-rebuilding",
     "The error of each modality on train samples, with dropout.",
     "Curves of the reconstruction error of each modality over the steps of one training.", data.name)  # fmt: skip

# %% [markdown]
# A pyramid and its reconstruction, with all modalities and without the first one:

# %%
first, part = data.modalities[0], test[[0]]
others = rm.corrupt(part, rm.Condition(seen=data.modalities[1:]), rm.stream("absent"))
panels = {
    "recorded": system.network.pyramids(part)[first],
    "rebuilt": system.predict(part)[first],
}
if len(data.modalities) > 1:
    panels[f"rebuilt without {first}"] = system.predict(others)[first]
pictures = {name: pd.DataFrame(x[0, :, :64].T.numpy()) for name, x in panels.items()}
show(lambda width: tiles(pictures, width, row_px=2.5, legend=["standard deviations"], xlabel="row of the pyramid"), "fig-mcwsa-pyramids",
     f"The pyramid of {first} of one test sample: its first 64 features by row.",
     "Tiles of a pyramid, of its reconstruction, and of the reconstruction without this modality.", data.name)  # fmt: skip

# %%
errors = {}
for name, batch in {
    "all modalities": test,
    f"without {first}": rm.corrupt(
        test, rm.Condition(seen=data.modalities[1:]), rm.stream("a")
    ),
}.items():
    rebuilt, targets = system.predict(batch), system.network.pyramids(test)
    errors[name] = {
        m: float((rebuilt[m] - x).square().mean()) for m, x in targets.items()
    }
average = system.network.pyramids(train)
errors["mean of the train split"] = {
    m: float((x - average[m].mean(0)).square().mean()) for m, x in targets.items()
}
numbers_folded(
    pd.DataFrame(errors).rename_axis("modality").reset_index(),
    "Squared error of rebuilt pyramids, test samples",
    folded=False,
)

# %% [markdown]
# ## All numbers

# %% tags=["hide-input"]
numbers_folded(means.rename(columns={"mean": "error", "size": "trainings"}), "Errors of rebuilt pyramids, by corpus", file="mcwsa-rebuilt.csv",
               note="Absent: the modality that the sample lacks. Least and most over folds or seeds.")  # fmt: skip

# %% [markdown]
# ## Limits
#
# - Few autoencoders are measured; the table above counts them. One training has no bar and supports no conclusion about people.
# - Faces of RAVDESS and voices and faces of CMU-MOSI are one vector. Their pyramids repeat it, and the rest is zeros.
# - The pictures of digits of Fig. 6 are not rebuilt here.
#
# Whether a network that rebuilds well also recognises emotions better is the question of {ref}`mcwsa-table-2`.
