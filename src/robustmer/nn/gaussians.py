"""Gaussians and distances between distributions."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def kl_to_standard(mu: Float[Tensor, "*batch dim"], logvar: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """NMER eq. 6: KL(N(mu, exp logvar) || N(0, 1)) in nats, for each latent dimension. The caller sums or averages.

    The paper calls sigma "the variance"; with sigma the standard deviation eq. 6 is the exact KL.

    >>> kl_to_standard(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 2))
    tensor([[0.5000, 0.0000]])
    """
    return 0.5 * (logvar.exp() + mu.square() - 1 - logvar)


def kl_between(
    mu: Float[Tensor, "*batch dim"], logvar: Float[Tensor, "*batch dim"], prior_mu: Float[Tensor, "*batch dim"],
    prior_logvar: Float[Tensor, "*batch dim"],
) -> Float[Tensor, "*batch dim"]:  # fmt: skip
    """KL(N(mu, exp logvar) || N(prior_mu, exp prior_logvar)) in nats, for each dimension.

    >>> kl_between(*torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
    tensor([0.5000])
    """
    apart = (mu - prior_mu).square() * (-prior_logvar).exp()
    return 0.5 * ((logvar - prior_logvar).exp() + apart - 1 - logvar + prior_logvar)


def sample(mu: Float[Tensor, "*batch dim"], logvar: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """The reparameterisation trick: mu + sigma epsilon."""
    return mu + (0.5 * logvar).exp() * torch.randn_like(mu)


def central_moment_discrepancy(
    x: Float[Tensor, "batch dim"], y: Float[Tensor, "batch dim"], moments: int = 5
) -> Float[Tensor, ""]:
    """Distance of two samples' distributions: means, then central moments of order 2 .. `moments` (Zellinger et al.
    2017, without the range factor, as IF-MMIN uses it for its invariant features)."""
    centre_x, centre_y = x.mean(0), y.mean(0)
    distance = (centre_x - centre_y).norm()
    for order in range(2, moments + 1):
        distance = distance + ((x - centre_x).pow(order).mean(0) - (y - centre_y).pow(order).mean(0)).norm()
    return distance
