"""How far generated features are from recorded ones: moments, judges, use and memory. Rows are samples.

Compare with recorded features that no generator has met, and read every distance against that of two halves of them.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from robustmer.metrics.classification import ua

Rows = Float[Tensor, "sample width"]
Other = Float[Tensor, "_ width"]
Labels = Int[Tensor, "sample"]


def mean_distance(recorded: Rows, generated: Other) -> float:
    """The Euclidean distance of the means."""
    return float((recorded.double().mean(0) - generated.double().mean(0)).norm())


def covariance_distance(recorded: Rows, generated: Other) -> float:
    """The Frobenius norm of the difference of the covariances, over that of the recorded rows' covariance."""
    own = covariance(recorded)
    return float((own - covariance(generated)).norm() / own.norm())


def frechet_distance(recorded: Rows, generated: Other) -> float:
    """The squared Frechet distance of Gaussians with the rows' means and covariances:
    |m - n|^2 + tr(S + T - 2 (S T)^1/2).

    >>> x = torch.tensor([[0.0], [2.0]])
    >>> round(frechet_distance(x, x + 3), 6)
    9.0
    """
    s, t = covariance(recorded), covariance(generated)
    root = symmetric_root(s)
    across = torch.linalg.eigvalsh(root @ t @ root).clamp(min=0).sqrt().sum()
    return mean_distance(recorded, generated) ** 2 + float(s.trace() + t.trace() - 2 * across)


def covariance(x: Rows) -> Float[Tensor, "width width"]:
    return torch.atleast_2d(x.double().T.cov(correction=0))


def symmetric_root(x: Float[Tensor, "width width"]) -> Float[Tensor, "width width"]:
    values, vectors = torch.linalg.eigh(x)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def spread_ratio(recorded: Rows, labels: Labels, generated: Other, generated_labels: Int[Tensor, "_"]) -> float:
    """The variance within a class of generated rows over that of recorded rows, a mean over the classes that both have:
    below 1, generated classes are tighter than recorded ones."""
    ratios = []
    for label in np.intersect1d(labels, generated_labels):
        parts = recorded[labels == label], generated[generated_labels == label]
        if min(map(len, parts)) > 1:
            own, other = (part.double().var(0).sum() for part in parts)
            ratios.append(float(other / own))
    return float(np.mean(ratios)) if ratios else float("nan")


def judge_auc(recorded: Rows, generated: Rows, speaker: np.ndarray, hidden: int = 0, seed: int = 0) -> float:
    """The area under the curve of a judge that tells recorded from generated rows, on speakers it has not met: 0.5 if it
    cannot. Row i of both belongs to the same sample. The judge is logistic regression, or has one `hidden` layer. Where
    the means agree over all speakers, those of the speakers left out differ the other way round, so it may fall below.

    Raises ValueError for fewer than two speakers.
    """
    if len({*speaker}) < 2:
        raise ValueError(f"{len({*speaker})} speaker was given; a judge learns from others than it is tested on")
    x, is_recorded = torch.cat([recorded, generated]).double().numpy(), np.arange(2 * len(recorded)) < len(recorded)
    score, speakers = np.zeros(len(x)), np.concatenate([speaker, speaker])
    for train, test in GroupKFold(min(4, len({*speaker}))).split(x, is_recorded, speakers):
        judge = MLPClassifier((hidden,), max_iter=300, random_state=seed) if hidden else LogisticRegression(C=0.01)
        fitted = make_pipeline(StandardScaler(), judge).fit(x[train], is_recorded[train])
        score[test] = fitted.predict_proba(x[test])[:, 1]
    return float(roc_auc_score(is_recorded, score))


def transfer(rows: Rows, labels: Labels, others: Other, other_labels: Int[Tensor, "_"]) -> float:
    """UA on the others of logistic regression that learns from the rows: train on generated and test on recorded
    features, or the other way round."""
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(
        rows.numpy(), labels.numpy()
    )
    return ua(other_labels, torch.tensor(linear.predict(others.numpy())))


def memorisation(train: Rows, held_out: Other, generated: Float[Tensor, "_ width"]) -> float:
    """The median distance of generated rows to their nearest train row, over that of held-out recorded rows: 0 for
    copies, about 1 for rows as new as people that were not met."""
    nearest = lambda x: float(torch.cdist(x.double(), train.double()).amin(1).median())  # noqa: E731
    return nearest(generated) / nearest(held_out)


def label_entropy(labels: Labels) -> float:
    """H(c) in nats: the ceiling of the information of a feature about the class.

    >>> round(label_entropy(torch.tensor([0, 0, 1, 1])), 4)
    0.6931
    """
    share = torch.bincount(labels).double() / len(labels)
    return float(-(share * share.clamp(min=1e-300).log()).sum())
