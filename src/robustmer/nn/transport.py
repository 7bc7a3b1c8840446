"""Exact optimal transport between two sets of points, and the map that it defines (VQ-MDVAE 3.6)."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Points = Float[Tensor, "point dim"]


def transport_plan(source: Points, target: Float[Tensor, "other dim"]) -> Float[Tensor, "point other"]:
    """The plan P >= 0 with the least sum of P_ij |x_i - y_j|^2, whose rows sum to 1/n and whose columns sum to 1/m.

    The linear program is solved by HiGHS on the CPU, in float64. Its marginals are scaled to whole numbers, so that
    every vertex is whole too and the plan is exact. Raises ValueError for sets that are empty, not finite or of
    different widths, and ArithmeticError where HiGHS does not find the optimum.

    >>> transport_plan(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.1], [0.1]])).tolist()
    [[0.0, 0.5], [0.5, 0.0]]
    """
    from scipy.optimize import linprog
    from scipy.sparse import eye_array, kron, vstack

    x, y = (points.detach().double().cpu() for points in (source, target))
    n, m = len(x), len(y)
    if not (n and m and x.shape[1] == y.shape[1] and x.isfinite().all() and y.isfinite().all()):
        raise ValueError(
            f"transport from points of shape {tuple(x.shape)} to {tuple(y.shape)}: give two sets of finite points of "
            "one width, each with a point or more"
        )
    cost = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()
    common = math.gcd(n, m)
    rows = kron(eye_array(n), np.ones((1, m)))
    columns = kron(np.ones((1, n)), eye_array(m))
    sums = np.concatenate([np.full(n, m // common), np.full(m, n // common)])
    solved = linprog(
        cost.ravel() / (cost.mean() or 1.0), A_eq=vstack([rows, columns], "csr"), b_eq=sums, method="highs"
    )
    plan = np.round(solved.x).reshape(n, m) if solved.status == 0 else np.zeros((n, m))
    if not (plan.sum(1) == m // common).all() or not (plan.sum(0) == n // common).all():
        raise ArithmeticError(f"HiGHS found no optimal transport of {n} to {m} points: {solved.message}")
    return torch.from_numpy(plan * common / (n * m)).to(source)


def barycentric_map(plan: Float[Tensor, "point other"], target: Float[Tensor, "other dim"]) -> Points:
    """Each source point as the mean of the target points that its mass goes to.

    >>> barycentric_map(torch.tensor([[0.25, 0.25]]), torch.tensor([[0.0], [1.0]]))
    tensor([[0.5000]])
    """
    return (plan / plan.sum(1, keepdim=True)) @ target
