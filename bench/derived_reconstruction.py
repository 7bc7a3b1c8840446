"""How well the autoencoders of MCWSA's tables rebuild the pyramids of test samples, beside linear references.

Writes results/measured/mcwsa/derived_reconstruction.csv: corpus, fold, seed, absent (the modality that the sample lacks,
or nothing), modality (that is rebuilt), method and error, the mean squared difference of its standardised values.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV

from robustmer.batch import Batch
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.experiments import project
from robustmer.experiments.papers import ledger_of, mcwsa
from robustmer.experiments.plan import Plan
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.work import system_from
from robustmer.noise import stream
from robustmer.systems import MCWSA

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # of the ridge regression; leaving one train sample out chooses


def flat(pyramids: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """A row a sample. Divided by the root of its length, every modality counts alike, as in the loss."""
    return {m: x.flatten(1).double().numpy() / np.sqrt(x[0].numel()) for m, x in pyramids.items()}


def components(train: np.ndarray, count: int) -> np.ndarray:
    """The principal components of centred rows, at most as many as there are rows."""
    return np.linalg.svd(train, full_matrices=False)[2][: min(count, len(train) - 1)]


def errors(system: MCWSA, train: Batch, test: Batch) -> list[dict[str, object]]:
    """The errors of one autoencoder and of the references. Principal components have as many numbers as the code, or as
    many as train samples allow; ridge regression reads the modalities that are not absent."""
    network, lines = system.network, []
    parts = {"train": flat(network.pyramids(train)), "test": flat(network.pyramids(test))}
    means = {m: x.mean(0) for m, x in parts["train"].items()}
    centred = {name: {m: x - means[m] for m, x in part.items()} for name, part in parts.items()}
    code = network(network.pyramids(test[[0]]), test[[0]])
    axes = components(np.hstack([*centred["train"].values()]), code[0].numel())
    joint, borders = np.hstack([*centred["test"].values()]), np.cumsum([len(x) for x in means.values()])[:-1]
    rebuilt = dict(zip(means, np.split((joint @ axes.T) @ axes, borders, axis=1), strict=True))
    for absent in ("", *means):
        seen = tuple(m for m in means if m != absent)
        observed = corrupt(test, Condition(seen=seen) if absent else CLEAN, stream("absent"))
        answers = {
            "autoencoder": flat(system.predict(observed)),
            "mean of the train split": {m: x[None] for m, x in means.items()},
        }
        if absent:
            known = {name: np.hstack([part[m] for m in seen]) for name, part in centred.items()}
            line = RidgeCV(PENALTIES).fit(known["train"], centred["train"][absent])
            answers["ridge regression"] = {absent: line.predict(known["test"]) + means[absent]}
        else:
            answers["principal components"] = {m: x + means[m] for m, x in rebuilt.items()}
        for method, answer in answers.items():
            for m in [absent] if absent else means:
                error = float(np.square(answer[m] - parts["test"][m]).sum(1).mean())
                lines.append({"absent": absent, "modality": m, "method": method, "error": round(error, 5)})
    return lines


def main() -> None:
    ledger, lines = ledger_of("mcwsa", "paper"), []
    for corpus in ("ravdess_av_mel", "mosi_words"):
        table = mcwsa.tables("paper", corpus)["II"].where(metric="UA")
        row = mcwsa.HERO, max(table.columns, key=lambda column: len(column.modality))
        for recipe in {cell.recipe.upstream["autoencoder"]: None for cell in table.cells[row].cells}:
            lines += lines_of(recipe, ledger)
    frame = pd.DataFrame(lines)
    frame.to_csv(project() / "results/measured/mcwsa/derived_reconstruction.csv", index=False)
    print(frame.groupby(["corpus", "absent", "modality", "method"])["error"].mean().to_string())


def lines_of(recipe: Recipe, ledger) -> list[dict[str, object]]:
    data = Plan({}, ledger).stored(recipe)
    if data is None:
        return []  # not trained yet
    corpus = recipe.corpus.load()
    train, _, test = corpus.fold(recipe.fold)
    about = {"corpus": corpus.dataset, "fold": recipe.fold, "seed": recipe.seed}
    with torch.no_grad():
        return [about | line for line in errors(system_from(recipe, data), train, test)]


if __name__ == "__main__":
    main()
