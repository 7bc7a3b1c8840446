"""Optimal transport agrees with known solutions and keeps its marginals."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from robustmer.nn.transport import barycentric_map, transport_plan


def points(count, width=3, seed=0, shift=0.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(shift, 1, (count, width))).float()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (7, 4), (12, 18), (20, 20), (23, 29)])
def test_marginals_are_uniform(n, m):
    plan = transport_plan(points(n), points(m, seed=1)).double()
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(1), torch.full((n,), 1 / n).double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(plan.sum(0), torch.full((m,), 1 / m).double(), atol=1e-6, rtol=0)


def test_sets_of_equal_size_are_assigned():
    x, y = points(25), points(25, seed=1)
    rows, columns = linear_sum_assignment(cdist(x, y) ** 2)
    expected = torch.zeros(25, 25)
    expected[rows, columns] = 1 / 25
    torch.testing.assert_close(transport_plan(x, y), expected)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_shifted_copy_is_mapped_back_exactly(scale):
    target = scale * points(30)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(barycentric_map(transport_plan(target[order] + 5 * scale, target), target), target[order])


def test_no_plan_of_the_same_marginals_is_cheaper():
    """The independent plan, and the optimal one after a transfer of mass between any two rows and columns."""
    x, y = points(6), points(9, seed=1)
    cost, plan = torch.cdist(x, y).square(), transport_plan(x, y)
    best = (cost * plan).sum()
    assert best < cost.mean()
    for i, k in np.ndindex(6, 6):
        for j, other in np.argwhere(plan[i].numpy()[:, None] * plan[k].numpy()[None] > 0):
            gain = cost[i, j] + cost[k, other] - cost[i, other] - cost[k, j]
            assert gain < 1e-5


def test_a_map_onto_fewer_points_keeps_the_mean():
    x, y = points(12, shift=3.0), points(5, seed=1)
    mapped = barycentric_map(transport_plan(x, y), y)
    torch.testing.assert_close(mapped.mean(0), y.mean(0))


@pytest.mark.parametrize(("x", "y"), [
    (points(0), points(3)), (points(3) * torch.nan, points(3)),
])  # fmt: skip
def test_points_that_cannot_be_transported_are_refused(x, y):
    with pytest.raises(ValueError, match="finite points of one width"):
        transport_plan(x, y)
