"""How informative the synthetic corpus is, and how informative it could be at most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustmer.batch import LETTERS, mean_over_time
from robustmer.corpora.corpus import Corpus
from robustmer.corpora.synthetic import PUBLISHED_WA, generator, synthetic


def calibration(
    size: str = "quick", folds: Sequence[int] = (0, 2, 4, 6, 8), seed: int = 0, snr_db: float | None = None
) -> pd.DataFrame:
    """How informative the clean modalities are: one line for a, v, l and their fusion, WA as a fraction.

    `paper` is NMER Table 4's first row (none for the fusion); `mean` and `std` are ours, over the folds' held-out
    speakers: logistic regression on the mean over time of each feature (`held_out_accuracy`). `ceiling` is the best
    that any classifier could do. `snr_db` adds white noise of that level to every frame first (10 log10 of the ratio of
    powers), the same in all parts.
    """
    corpus = synthetic(size=size, seed=seed)
    samples, label = corpus.samples, corpus.samples.labels["emotion"].numpy()
    pooled = {m: mean_over_time(samples.x[m], samples.mask[m]).numpy() for m in corpus.modalities}
    if snr_db is not None:  # the mean of T frames of white noise is white noise of a T-th of its power
        draw = generator(seed, f"calibration {snr_db}")
        for m in pooled:
            power = 10 ** (-snr_db / 10) / samples.mask[m].sum(1).numpy()
            pooled[m] = pooled[m] + draw.standard_normal(pooled[m].shape) * np.sqrt(power)[:, None]
    lines = []
    for chosen in [*((m,) for m in corpus.modalities), corpus.modalities]:
        x = np.concatenate([pooled[m] for m in chosen], axis=1)
        wa = [held_out_accuracy(x, label, corpus.split.folds[fold]) for fold in folds]
        lines.append({"modality": ",".join(LETTERS[m] for m in chosen),
                      "paper": PUBLISHED_WA[chosen[0]] if len(chosen) == 1 else np.nan, "mean": np.mean(wa),
                      "std": np.std(wa, ddof=1) if len(wa) > 1 else np.nan, "folds": len(wa),
                      "ceiling": ceiling(corpus, chosen)})  # fmt: skip
    return pd.DataFrame(lines)


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
