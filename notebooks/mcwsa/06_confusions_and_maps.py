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
# (mcwsa-maps)=
# # Confusions and maps
#
# **Does a tidier map mean a better classifier?** Figs. 4, 5 and 7 of MCWSA show confusion matrices and maps of codes by t-SNE, without a number.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports and the codes of the test samples", "code_prompt_hide": "Code: imports and the codes of the test samples"}
from itertools import product

import numpy as np
import pandas as pd
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import confusion_matrix, silhouette_score
from sklearn.neighbors import KNeighborsClassifier

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.picture import show
from robustmer.book.plots import clouds, tiles
from robustmer.experiments import papers
from robustmer.experiments.grid import trained
from robustmer.experiments.papers import mcwsa

p = mcwsa.PROFILES[profile]
data = rm.corpora.synthetic(size=p.size, pooled=False)
classes, splits = data.task().classes, data.fold(0)
labels = {
    name: getattr(splits, name).labels["emotion"].numpy() for name in ("train", "test")
}
codes, outputs = {}, {}
for name in ("Concat", "CMHA"):
    options = {**mcwsa.SMALL, "fusion": mcwsa.FUSIONS[name]}
    recipe = rm.Recipe(
        rm.MCWSAClassifier, data, seed=seed, budget=p.budget, options=options
    )
    system = (
        trained(recipe, papers.ledger_of("mcwsa", profile), device=device).cpu().eval()
    )
    outputs[name] = system.predict(splits.test).argmax(1).numpy()
    with torch.no_grad():
        codes[name] = {part: system.network(system.network.pyramids(batch), batch).mean(1).numpy()
                       for part, batch in (("train", splits.train), ("test", splits.test))}  # fmt: skip

perplexities, seeds = (5, 10, 15), (0, 1)
rows, maps = [], {}
for name, perplexity, start in product(codes, perplexities, seeds):
    most = min(perplexity, len(labels["test"]) - 1)
    points = TSNE(2, perplexity=most, random_state=start, init="random").fit_transform(
        codes[name]["test"]
    )
    maps[name, perplexity, start] = points
    rows.append(
        {
            "fusion": name,
            "perplexity": perplexity,
            "seed": start,
            "silhouette": silhouette_score(points, labels["test"]),
        }
    )
rows = pd.DataFrame(rows)
ranges = rows.groupby("fusion")["silhouette"].agg(["min", "max"])
answer(
    (f"The silhouette of one and the same code goes from {ranges['min']['CMHA']:.2f} to {ranges['max']['CMHA']:.2f}, by the perplexity and the "
     "seed of its map alone.", "synthetic"),
    ("A map has no number of its own; the accuracy of the nearest neighbours of a code has one.", "synthetic"),
)  # fmt: skip

# %%
drawn = [{"panel": f"{name}, perplexity {perplexity}", "series": classes[label], "x": x, "y": y}
         for name, perplexity in (("CMHA", perplexities[0]), ("CMHA", perplexities[-1]))
         for (x, y), label in zip(maps[name, perplexity, 0], labels["test"], strict=True)]  # fmt: skip
own_run(profile, data.name, ["fold 0", "one training each"])
show(lambda width: clouds(pd.DataFrame(drawn), 2, width), "fig-mcwsa-map",
     "The same codes of the same test samples, drawn twice.",
     "Two maps of the codes of test samples by t-SNE with two perplexities; the groups differ in shape and distance.", data.name)  # fmt: skip

# %% [markdown]
# The paper reads from Fig. 5 that the codes of CMHA are "more compact". A map by t-SNE keeps who is near, not how far apart groups are, and it
# depends on its perplexity and its seed. The paper states neither.
#
# ## Numbers beside the map
#
# - **Silhouette**: how much nearer a sample is to its own class than to the next one, from −1 to 1. On the map, and on the code itself.
# - **Five nearest neighbours**: accuracy of a vote among train samples, on the code.
# - **UA** of the classifier.

# %%
summary = {}
for name, code in codes.items():
    vote = KNeighborsClassifier(min(5, len(labels["train"]))).fit(
        code["train"], labels["train"]
    )
    recalls = confusion_matrix(
        labels["test"], outputs[name], labels=range(len(classes)), normalize="true"
    ).diagonal()
    summary[name] = {
        "silhouette of maps, least": ranges["min"][name], "most": ranges["max"][name],
        "silhouette of the code": silhouette_score(code["test"], labels["test"]),
        "five neighbours": vote.score(code["test"], labels["test"]), "UA": np.mean(recalls),
    }  # fmt: skip
numbers_folded(
    pd.DataFrame(summary).T.rename_axis("fusion").reset_index(),
    "The same codes, in numbers",
    decimals=2,
    folded=False,
)

# %% [markdown]
# ## Confusions
#
# Each row is a true class and sums to 1. The mean of the diagonal is UA, so a confusion matrix adds which classes are confused, and nothing to the
# comparison of two systems.

# %%
panels = {name: pd.DataFrame(confusion_matrix(labels["test"], output, labels=range(len(classes)), normalize="true"), classes, classes)
          for name, output in outputs.items()}  # fmt: skip
show(lambda width: tiles(panels, width, "Blues", limits=(0, 1), stacked=False), "fig-mcwsa-confusions",
     "True classes by row, predicted classes by column.", "Two confusion matrices, of Concat and of CMHA, on test samples.", data.name)  # fmt: skip

# %% [markdown]
# ## Limits
#
# - These are short trainings on synthetic data. Nothing follows from them about Concat and CMHA; {ref}`mcwsa-table-2` compares them on people.
