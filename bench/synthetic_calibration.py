"""How informative the synthetic corpus is, and how informative it could be at most.

python bench/synthetic_calibration.py     # writes results/measured/nmer/derived_synthetic.csv, in about a minute
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustmer.batch import LETTERS, mean_over_time
from robustmer.corpora.corpus import Corpus
from robustmer.corpora.synthetic import PUBLISHED_WA, generator, synthetic
from robustmer.experiments import project


def calibration(
    size: str = "quick", folds: Sequence[int] = (0, 2, 4, 6, 8), seed: int = 0, snr_db: float | None = None
) -> pd.DataFrame:
    """Scores of the clean modalities: a line for each set of them, WA as a fraction.

    `ceiling` is the best that any classifier could do. For single modalities and for all together, `mean` and `std` are
    those of logistic regression on the mean over time of each feature, over the folds' held-out speakers
    (`held_out_accuracy`), and `paper` is the first row of NMER Table 4. `snr_db` adds white noise of that level (10
    log10 of the ratio of powers) to every frame first, the same in all splits.
    """
    corpus = synthetic(size=size, seed=seed)
    samples, label, modalities = corpus.samples, corpus.samples.labels["emotion"].numpy(), corpus.modalities
    pooled = {m: mean_over_time(samples.x[m], samples.mask[m]).numpy() for m in modalities}
    if snr_db is not None:  # the mean of T frames of white noise is white noise of a T-th of its power
        draw = generator(seed, f"calibration {snr_db}")
        for m in pooled:
            power = 10 ** (-snr_db / 10) / samples.mask[m].sum(1).numpy()
            pooled[m] = pooled[m] + draw.standard_normal(pooled[m].shape) * np.sqrt(power)[:, None]
    lines = []
    for chosen in (chosen for count in range(1, len(modalities) + 1) for chosen in combinations(modalities, count)):
        line = {"modality": ",".join(LETTERS[m] for m in chosen), "ceiling": ceiling(corpus, chosen)}
        if len(chosen) in (1, len(modalities)):
            x = np.concatenate([pooled[m] for m in chosen], axis=1)
            wa = [held_out_accuracy(x, label, corpus.split.folds[fold]) for fold in folds]
            line |= {"mean": np.mean(wa), "std": np.std(wa, ddof=1) if len(wa) > 1 else np.nan, "folds": len(wa)}
        lines.append(line | ({"paper": PUBLISHED_WA[chosen[0]]} if len(chosen) == 1 else {}))
    return pd.DataFrame(lines)[["modality", "paper", "mean", "std", "folds", "ceiling"]]


def held_out_accuracy(x: np.ndarray, label: np.ndarray, fold: tuple[np.ndarray, np.ndarray, np.ndarray]) -> float:
    """Test accuracy of the logistic regression whose C, of a coarse list, is best on the validation samples."""
    train, valid, test = fold
    models = [LogisticRegression(C=c, max_iter=300, tol=1e-3) for c in (1e-4, 1e-3, 1e-2)]
    models = [make_pipeline(StandardScaler(), model).fit(x[train], label[train]) for model in models]
    best = max(models, key=lambda model: model.score(x[valid], label[valid]))
    return float(best.score(x[test], label[test]))


def ceiling(corpus: Corpus, modalities: tuple[str, ...]) -> float:
    """Accuracy of the rule of Bayes on the hidden states: the class of the largest log prior - |state - corner|^2/2."""
    factors, label = corpus.factors, corpus.samples.labels["emotion"].numpy()
    states = np.concatenate([factors["shared"], *(factors[f"specific_{m}"] for m in modalities)], axis=1)
    corners = np.concatenate([factors["corners_shared"], *(factors[f"corners_{m}"] for m in modalities)], axis=1)
    prior = np.log(np.bincount(label, minlength=len(corners)) / len(label))
    score = prior + states @ corners.T - 0.5 * np.square(corners).sum(1)
    return float((score.argmax(1) == label).mean())


if __name__ == "__main__":
    calibration().round(6).to_csv(project() / "results/measured/nmer/derived_synthetic.csv", index=False)
