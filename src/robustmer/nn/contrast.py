"""InfoNCE between two sets of vectors, in which equal partners are one positive."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

Codes = Float[Tensor, "batch dim"]
Pairs = Bool[Tensor, "batch batch"]


def info_nce(
    query: Codes, key: Codes, same: Pairs, mask: Bool[Tensor, "batch"], temperature: float
) -> Float[Tensor, ""]:
    """Minus the log of the share of a query's own key in the softmax over all keys, a mean over the samples in `mask`
    (InfoGAN eqs. 5, 7 and 18): cosines, divided by the temperature, in nats.

    Samples that `same` marks have equal queries. Their keys are positives together, because a sentence that occurs
    twice in a batch must not repel its own recordings. Where none are the same this is `cpc`, and log B minus it is a
    lower bound of the mutual information. Where n of them are, log(B / n) takes the place of log B.
    """
    own = torch.eye(len(query), dtype=torch.bool, device=query.device)  # keeps a sample outside the mask finite
    scores = normalize(query, dim=1) @ normalize(key, dim=1).T / temperature
    scores = scores.masked_fill(~mask[None, :] & ~own, -torch.inf)
    positive = scores.masked_fill(~(same | own), -torch.inf)
    value = scores.logsumexp(1) - positive.logsumexp(1)
    return (value * mask).sum() / mask.sum().clamp(min=1)


def equal_rows(x: Codes) -> Pairs:
    """Which pairs of rows have the same values."""
    return (x[:, None] == x[None]).all(2)
