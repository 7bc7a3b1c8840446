"""How far the features of each generator are from recorded ones, on speakers that none has met, as a small table.

    ROBUSTMER_DATA=... python bench/derived_infogan.py

Reads the weights that `robustmer compute infogan --profile paper --corpus ravdess_speech` kept in runs/infogan, and
writes results/measured/infogan/derived_quality.csv: a line for each generator and fold. "split half" compares two halves
of the recorded test samples, "copy" the recorded train samples.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import torch

from robustmer import metrics
from robustmer.corpora.corpus import Fold
from robustmer.experiments import project
from robustmer.experiments.papers import infogan, ledger_of, results
from robustmer.experiments.provenance import CODE, commit, numerics
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.work import system_from
from robustmer.noise import stream
from robustmer.systems.generators import Generator
from robustmer.training import seeded

CORPUS = "ravdess_speech"
ROWS = [row for row in infogan.MAKERS if row.system not in ("longer", "copy", "noise", "mixup")]
ROWS += [infogan.Row("InfoGAN w/o information")]


def quality(made: Generator, splits: Fold, seed: str) -> dict[str, float]:
    """The measures of one generator against the recorded test features of its fold."""
    train, _, test = splits
    label, baseline = test.labels["emotion"], made.baseline
    with torch.no_grad(), seeded("quality", seed):
        recorded, generated, learnt = baseline.features(test), made.draw(test), baseline.features(train)
        drawn = made.draw(train)  # as many as a classifier would learn from
        loss = float(torch.nn.functional.cross_entropy(baseline.classifier(generated), label))
        right = metrics.ua(label, baseline.classifier(generated).argmax(1))
    return distances(recorded, generated) | {
        "spread": metrics.spread_ratio(recorded, label, generated, label),
        "W_y is right": right,
        "information": metrics.label_entropy(label) - loss,
        "train on generated": metrics.transfer(drawn, train.labels["emotion"], recorded, label),
        "memory": metrics.memorisation(learnt, recorded, generated),
        "AUC linear": metrics.judge_auc(recorded, generated, test.speaker),
    }


def distances(recorded: torch.Tensor, generated: torch.Tensor) -> dict[str, float]:
    return {
        "means": metrics.mean_distance(recorded, generated),
        "covariances": metrics.covariance_distance(recorded, generated),
        "Frechet": math.sqrt(max(0.0, metrics.frechet_distance(recorded, generated))),
    }


def recorded_lines(made: Generator, splits: Fold, fold: int) -> list[dict]:
    """The reference: halves of the recorded test samples, and what recorded train samples are worth."""
    train, _, test = splits
    label = test.labels["emotion"]
    with torch.no_grad():
        h, learnt = made.baseline.features(test), made.baseline.features(train)
        logits = made.baseline.classifier(h)
    one, two = torch.randperm(len(h), generator=stream("halves", fold)).chunk(2)
    loss = float(torch.nn.functional.cross_entropy(logits, label))
    known = {"W_y is right": metrics.ua(label, logits.argmax(1)), "information": metrics.label_entropy(label) - loss,
             "train on generated": metrics.transfer(learnt, train.labels["emotion"], h, label)}  # fmt: skip
    about = {"fold": fold, "spread": metrics.spread_ratio(h[one], label[one], h[two], label[two]), "memory": 1.0}
    return [{"generator": "recorded", **about, **distances(h[one], h[two]), **known}]


def generator_of(recipe: Recipe) -> Recipe:
    return recipe.upstream["generator"]


def main() -> None:
    torch.set_num_threads(1)
    ledger, measured, lines = ledger_of("infogan", "paper"), results("infogan"), []
    tables = infogan.tables("paper", CORPUS)
    ua = infogan.Column("UA")
    places = {row: (tables["2"].cells | tables["3"].cells)[row, ua] for row in [*ROWS, infogan.LONGER]}
    longer = {cell.recipe.fold: measured.scores[cell.recipe.key, "clean", "UA"].value
              for cell in places.pop(infogan.LONGER).cells}  # fmt: skip
    splits = {}
    for row, place in places.items():
        for recipe, condition, metric in place.cells:
            part, fold = generator_of(recipe), recipe.fold
            file, score = ledger.weights(part.key), measured.scores.get((recipe.key, str(condition), metric))
            if file is None or score is None:
                print(f"{row}, fold {fold}: not measured yet")
                continue
            made = system_from(part, file.read_bytes())
            if fold not in splits:
                splits[fold] = recipe.corpus.load().fold(fold)
                lines += recorded_lines(made, splits[fold], fold)
            gain = 100 * (score.value - longer[fold])
            lines.append(
                {"generator": str(row), "fold": fold, **quality(made, splits[fold], f"{row} {fold}"), "gain": gain}
            )
    folder = project() / "results/measured/infogan"
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(lines)
    for column in frame.select_dtypes("float"):
        frame[column] = [float(np.format_float_positional(v, 6, fractional=False)) for v in frame[column]]
    frame.to_csv(folder / "derived_quality.csv", index=False, lineterminator="\n")
    about = {"quality": {"commit": commit(), "code": CODE, "numerics": numerics()}}
    (folder / "derived.json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    print(f"derived_quality.csv: {len(frame)} lines")


if __name__ == "__main__":
    main()
