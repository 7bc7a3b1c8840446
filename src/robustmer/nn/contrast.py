"""Contrastive losses between two sets of vectors: which key belongs to a query is told from all keys of the batch."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

Codes, Mask, Scalar = Float[Tensor, "batch dim"], Bool[Tensor, "batch"], Float[Tensor, ""]
Pairs, Scores = Bool[Tensor, "batch batch"], Float[Tensor, "batch batch"]


def cpc(guess: Codes, code: Codes, mask: Mask, temperature: float = 1.0) -> Scalar:
    """Contrastive predictive coding: minus log softmax of a sample's own score among all samples in the mask, mean over
    them. The score is the cosine of a prediction and a sample's code, divided by the temperature. log N minus this is
    a lower bound of the mutual information of prediction and code, and at most log N."""
    scores = cosines(guess, code, mask, temperature)
    return masked_mean(cross_entropy(scores, torch.arange(len(code), device=code.device), reduction="none"), mask)


def cpc_with_equals(query: Codes, key: Codes, same: Pairs, mask: Mask, temperature: float) -> Scalar:
    """`cpc` in nats where some samples, which `same` marks, have equal queries (InfoGAN eqs. 5, 7 and 18).

    Their keys are positives together, because a sentence that occurs twice in a batch must not repel its own
    recordings. Where none are the same this is `cpc`, and log B minus it is a lower bound of the mutual information.
    Where n of them are, log(B / n) takes the place of log B.
    """
    scores = cosines(query, key, mask, temperature)
    positive = scores.masked_fill(~(same | diagonal(scores)), -torch.inf)
    return masked_mean(scores.logsumexp(1) - positive.logsumexp(1), mask)


def cosines(query: Codes, key: Codes, mask: Mask, temperature: float) -> Scores:
    """The cosine of each query and each key, divided by the temperature; minus infinity for other samples' keys outside
    the mask. A sample's own key stays, which keeps samples outside the mask finite."""
    scores = normalize(query, dim=1) @ normalize(key, dim=1).T / temperature
    return scores.masked_fill(~mask[None, :] & ~diagonal(scores), -torch.inf)


def diagonal(scores: Scores) -> Pairs:
    return torch.eye(len(scores), dtype=torch.bool, device=scores.device)


def masked_mean(value: Float[Tensor, "batch"], mask: Mask) -> Scalar:
    """Mean over the samples in the mask; 0 where there are none."""
    return (value * mask).sum() / mask.sum().clamp(min=1)


def equal_rows(x: Codes) -> Pairs:
    """Which pairs of rows have the same values."""
    return (x[:, None] == x[None]).all(2)
