"""Linear dependence of two views of the same samples: canonical correlations, in sample and held out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.linalg import cholesky_ex, solve_triangular

X, Y = Float[Tensor, "pair dim_x"], Float[Tensor, "pair dim_y"]
Correlations = Float[Tensor, "component"]
RIDGE = 1e-4


def canonical_correlations(x: X, y: Y, ridge: float = 0.0) -> Correlations:
    """Canonical correlations of these pairs, largest first, in float64 (Hotelling 1936; the loss of MCWSA's DCCA).

    They are the singular values of the whitened cross-covariance. Cholesky factors whiten, so gradients are finite for
    equal correlations too. `ridge` times the mean variance of a view is added to each of its variances. In-sample
    values are biased upwards: read `canonical_maps(...).correlations` on held-out pairs. Raises ValueError for too few
    pairs and for dependent features.
    """
    return torch.linalg.svdvals(whitened(x, y, ridge)[0])


class CanonicalMaps(NamedTuple):
    """Linear maps of two views to their canonical variates, fitted by `canonical_maps`."""

    x_mean: Float[Tensor, "dim_x"]
    x_map: Float[Tensor, "dim_x component"]
    y_mean: Float[Tensor, "dim_y"]
    y_map: Float[Tensor, "dim_y component"]

    def correlations(self, x: X, y: Y) -> Correlations:
        """Pearson's correlation of each pair of variates on these pairs; 0 where a variate is constant."""
        u, v = (x.double() - self.x_mean) @ self.x_map, (y.double() - self.y_mean) @ self.y_map
        return torch.cosine_similarity(u - u.mean(0), v - v.mean(0), dim=0, eps=1e-12)


def canonical_maps(x: X, y: Y, ridge: float = RIDGE) -> CanonicalMaps:
    """The maps fitted on these pairs; ridge and errors as in `canonical_correlations`."""
    cross, x_factor, y_factor = whitened(x, y, ridge)
    left, _, right = torch.linalg.svd(cross, full_matrices=False)
    x_map, y_map = solve_triangular(x_factor.mT, left, upper=True), solve_triangular(y_factor.mT, right.mT, upper=True)
    return CanonicalMaps(x.double().mean(0), x_map, y.double().mean(0), y_map)


def whitened(x: X, y: Y, ridge: float) -> tuple[Tensor, Tensor, Tensor]:
    """The whitened cross-covariance (dim_x, dim_y), and the Cholesky factors of both covariances."""
    pairs, features = len(x), x.shape[1] + y.shape[1]
    if ridge == 0 and pairs <= features:
        raise ValueError(
            f"canonical correlations of {features} features need more than {features} pairs, and {pairs} were given: "
            "one would be 1 whatever the data; give more pairs, fewer features or a ridge"
        )
    x, y = (view.double() - view.double().mean(0) for view in (x, y))
    x_factor, y_factor = (factor_of(view.mT @ view / (pairs - 1), ridge) for view in (x, y))
    half = solve_triangular(x_factor, x.mT @ y / (pairs - 1), upper=False)
    return solve_triangular(y_factor, half.mT, upper=False).mT, x_factor, y_factor


def factor_of(covariance: Float[Tensor, "dim dim"], ridge: float) -> Float[Tensor, "dim dim"]:
    size = ridge * covariance.diagonal().mean()
    factor, failed = cholesky_ex(covariance + size * torch.eye(len(covariance)).to(covariance))
    if failed or not (factor.diagonal().square() > 1e-12 * covariance.diagonal()).all():
        raise ValueError(
            f"one of {len(covariance)} features is constant or a sum of others, so with ridge={ridge:g} canonical "
            "correlations are not defined; leave it out or give a larger ridge"
        )
    return factor


def gaussian_information(correlation: Correlations) -> float:
    """Mutual information in nats of Gaussian views with these canonical correlations: -1/2 sum log(1 - rho^2).

    A held-out correlation below 0 counts as 0: its sign does not carry over, so it shows no dependence.

    >>> round(gaussian_information(torch.tensor([0.8, -0.1])), 4)
    0.5108
    """
    return float(-0.5 * torch.log1p(-correlation.double().clamp(min=0).square()).sum())
