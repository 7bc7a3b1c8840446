"""A linear probe: how much of the labels a linear map of given features predicts."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from robustmer.metrics.classification import ua

PENALTIES = tuple(10.0**power for power in range(-6, 1))
"""scikit-learn's C, which a probe is free to choose on the validation split."""


def linear_probe(
    train: tuple[Float[Tensor, "train feature"], Int[Tensor, "train"]],
    valid: tuple[Float[Tensor, "valid feature"], Int[Tensor, "valid"]],
    test: Float[Tensor, "test feature"],
    penalties: Sequence[float] = PENALTIES,
) -> Int[Tensor, "test"]:
    """The class of each test sample by logistic regression, with the penalty that has the best UA on `valid`.

    Features are standardised by the train samples. Where features outnumber them, all are rotated onto the span of the
    train samples. Weights under an l2 penalty lie in it, so no prediction changes, and the fit takes seconds.
    """
    from sklearn.linear_model import LogisticRegression

    mean, std = train[0].double().mean(0), train[0].double().std(0, correction=0)
    scaled = [(x.double() - mean) / torch.where(std > 1e-6, std, torch.inf) for x in (train[0], valid[0], test)]
    if len(mean) > len(scaled[0]):
        axes = torch.linalg.svd(scaled[0], full_matrices=False).Vh.mT
        scaled = [x @ axes for x in scaled]
    learnt, judged, tested = (x.cpu().numpy() for x in scaled)
    models = [LogisticRegression(C=c, max_iter=1000).fit(learnt, train[1].cpu()) for c in penalties]
    best = max(models, key=lambda model: ua(valid[1], torch.from_numpy(model.predict(judged))))
    return torch.from_numpy(best.predict(tested))
