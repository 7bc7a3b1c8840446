"""Measures of dependence hold their laws on Gaussian views, whose mutual information is -d/2 log(1 - rho^2)."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn.cross_decomposition import CCA

from robustmer.metrics import canonical_correlations, canonical_maps, gaussian_information
from robustmer.nn.dependence import Pairs, dcca, info_nce, mine, moving_average, network
from robustmer.noise import stream


def gaussians(dims: int, rho: float, pairs: int, draw: torch.Generator) -> Pairs:
    """Two views of `dims` features; each feature correlates with its counterpart by rho."""
    x, noise = torch.randn(2, pairs, dims, generator=draw)
    return Pairs(x, rho * x + math.sqrt(1 - rho**2) * noise)


def splits(dims: int, rho: float, train: int = 8192, held_out: int = 2048) -> list[Pairs]:
    draw = stream("Gaussian views", dims, rho)
    return [gaussians(dims, rho, pairs, draw) for pairs in (train, held_out, held_out)]


def truth_of(dims: int, rho: float) -> float:
    return -dims / 2 * math.log(1 - rho**2)


# --- linear -----------------------------------------------------------------------------------------------------------


def test_canonical_correlations_are_those_of_scikit_learn():
    x, y = torch.randn(300, 5, generator=stream("x")), torch.randn(300, 4, generator=stream("y"))
    y[:, :3] += x[:, 1:4] * torch.tensor([2.0, 1.0, 0.3])
    arrays = x.double().numpy(), y.double().numpy()
    u, v = CCA(n_components=4, scale=False, max_iter=20_000, tol=1e-14).fit(*arrays).transform(*arrays)
    expected = torch.cosine_similarity(torch.tensor(u), torch.tensor(v), dim=0)
    torch.testing.assert_close(canonical_correlations(x, y), expected, atol=1e-6, rtol=0)


def test_canonical_correlations_do_not_change_under_invertible_maps_and_the_maps_reach_them():
    pairs, draw = gaussians(4, 0.6, 500, stream("maps")), stream("turn")
    correlation = canonical_correlations(pairs.x, pairs.y)
    turned = pairs.x @ torch.randn(4, 4, generator=draw) + 3, pairs.y @ torch.randn(4, 4, generator=draw)
    torch.testing.assert_close(canonical_correlations(*turned), correlation, atol=1e-5, rtol=0)
    reached = canonical_maps(pairs.x, pairs.y, ridge=0.0).correlations(pairs.x, pairs.y)
    torch.testing.assert_close(reached, correlation)


def test_few_pairs_correlate_in_sample_whatever_the_truth_and_not_held_out():
    draw = stream("independent")
    in_sample = [canonical_correlations(*torch.randn(2, 32, 10, generator=draw)).sum() for _ in range(50)]
    assert float(torch.stack(in_sample).mean()) == pytest.approx(5.2, abs=0.3)
    train, _, test = splits(10, 0.0, 4096)
    assert canonical_maps(train.x, train.y).correlations(test.x, test.y).sum() < 0.5


def test_gradients_are_finite_for_equal_correlations():
    for x in (torch.randn(50, 4, generator=stream("same")).double(), torch.eye(8).repeat(4, 1)[:, :4].double()):
        x.requires_grad_()
        canonical_correlations(x, 2 * x.detach() - 1, ridge=1e-3).sum().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("dims, rho", [(1, 0.5), (5, 0.8)])
def test_the_gaussian_value_is_the_truth_of_gaussians(dims, rho):
    train, _, test = splits(dims, rho)
    correlation = canonical_maps(train.x, train.y).correlations(test.x, test.y)
    assert gaussian_information(correlation) == pytest.approx(truth_of(dims, rho), abs=0.1)


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dims", [1, 5])
@pytest.mark.parametrize("rho", [0.0, 0.5, 0.8])
def test_mine_finds_the_information_of_gaussians_on_held_out_pairs(dims, rho):
    truth = truth_of(dims, rho)
    value = mine(*splits(dims, rho), stream("MINE", dims, rho), steps=STEPS[dims, rho]).value
    tolerance = 0.05 if rho == 0 else 0.1 if truth <= 1.5 else 0.2
    assert -tolerance <= value - truth <= min(tolerance, 0.1)


STEPS = {(1, 0.0): 100, (1, 0.5): 150, (1, 0.8): 200, (5, 0.0): 100, (5, 0.5): 400, (5, 0.8): 1000}
"""Enough for each; more information takes longer to find."""


@pytest.mark.parametrize("dims, rho", [(1, 0.0), (1, 0.8), (5, 0.8)])
def test_info_nce_is_below_the_truth_and_the_logarithm_of_its_batch(dims, rho):
    pairs, batch = splits(dims, rho, held_out=1024), 64
    curve = info_nce(*pairs, stream("InfoNCE", dims, rho), steps=100, batch=batch)
    assert (curve.test <= math.log(batch)).all()
    assert -0.05 <= curve.value <= truth_of(dims, rho) + 0.05
    assert curve.value >= 0.5 * truth_of(dims, rho) - 0.05


def test_a_bound_on_learnt_pairs_rises_above_the_truth_and_the_held_out_bound_does_not():
    draw = stream("few pairs")
    train, valid, test = (gaussians(8, 0.0, pairs, draw) for pairs in (64, 512, 512))
    curve = mine(train, valid, test, draw, steps=300)
    assert curve.train[-1] > 1.0
    assert curve.value < 0.05


def test_the_moving_average_holds_no_graph_and_replaces_the_mean_in_the_gradient():
    score = torch.randn(20, generator=stream("score")).requires_grad_()
    average = torch.tensor(0.3)
    for _ in range(200):
        average, weight = moving_average(average, score.logsumexp(0) - math.log(20))
        assert not average.requires_grad and not weight.requires_grad
    (gradient,) = torch.autograd.grad(weight * (score.logsumexp(0) - math.log(20)), score)
    torch.testing.assert_close(gradient, score.detach().exp() / 20 / average.exp())


def test_shuffled_pairs_keep_both_views_and_no_pair():
    x = torch.arange(9.0)[:, None]
    for draw in range(20):
        pairs = Pairs(x, x).shuffled(stream(draw))
        assert (pairs.x != pairs.y).all()
        assert torch.equal(pairs.x.sort(0).values, x) and torch.equal(pairs.y.sort(0).values, x)


def test_the_same_generator_gives_the_same_networks_and_leaves_the_global_stream_alone():
    before = torch.get_rng_state()
    one, same, other = (network(stream(name), 3, 5, 1)[0].weight for name in ("a", "a", "b"))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_linear_dcca_is_linear_cca():
    draw = stream("linear")
    mix = torch.randn(2, 6, 6, generator=draw)
    rho = torch.tensor([0.9, 0.7, 0.2, 0.1, 0.0, 0.0])
    views = []
    for pairs in (2000, 500, 500):
        x, noise = torch.randn(2, pairs, 6, generator=draw)
        views.append(Pairs(x @ mix[0], (rho * x + (1 - rho**2).sqrt() * noise) @ mix[1]))
    train, _, test = views
    curve = dcca(*views, stream("linear DCCA"), k=2, hidden=(), steps=600)
    assert float(curve.train[-1]) == pytest.approx(float(canonical_correlations(train.x, train.y)[:2].sum()), abs=1e-3)
    held_out = canonical_maps(train.x, train.y).correlations(test.x, test.y)[:2].sum()
    assert curve.value == pytest.approx(float(held_out), abs=1e-3)


def test_dcca_finds_a_dependence_that_is_not_linear_and_none_where_there_is_none():
    draw, views = stream("square"), []
    for pairs in (1500, 500, 500):
        x, noise = torch.randn(2, pairs, 2, generator=draw)
        views.append(Pairs(x, x.square() + 0.3 * noise))
    train, _, test = views
    linear = canonical_maps(train.x, train.y).correlations(test.x, test.y).sum()
    curve = dcca(*views, stream("DCCA"), k=2, hidden=(50,), steps=200)
    assert linear < 0.4 and curve.value > 1.2
    independent = dcca(*splits(10, 0.0, 4096), stream("DCCA 0"), k=10, hidden=(20,), steps=40)
    assert (independent.test < 0.5).all()


# --- bad input --------------------------------------------------------------------------------------------------------


def test_what_has_no_answer_is_refused():
    x = torch.randn(20, 10, generator=stream("few"))
    with pytest.raises(ValueError, match="20 features need more than 20 pairs, and 20 were given"):
        canonical_correlations(x, x.flip(0))
    with pytest.raises(ValueError, match="constant or a sum of others"):
        canonical_correlations(torch.cat([x[:, :2], x[:, :1]], dim=1), x[:, 3:5])
    with pytest.raises(ValueError, match="no pairs"):
        Pairs(x, x[:5])
    with pytest.raises(ValueError, match="not finite"):
        Pairs(x, x.log())
    with pytest.raises(ValueError, match="needs more than 20 train pairs, and 20 were given"):
        dcca(Pairs(x, x), Pairs(x, x), Pairs(x, x), stream("few"))


# --- derived results --------------------------------------------------------------------------------------------------


def derived(name: str) -> pd.DataFrame:
    folder = Path(__file__).parents[1] / "results/measured/mcwsa"
    return pd.concat(map(pd.read_csv, sorted(folder.glob(f"derived_{name}.csv"))))


def test_held_out_estimates_of_gaussians_are_never_far_above_the_truth_and_learnt_ones_are():
    frame = derived("mine_gaussians")
    assert (frame["held_out"] - frame["truth"]).max() < 0.1
    few = frame.query("estimator == 'MINE' and pairs == 250 and truth == 0")
    assert few["learnt"].min() > 1.0 and few["held_out"].abs().max() < 0.05


def test_correlations_of_independent_views_are_the_bias_of_their_pairs():
    frame = derived("cca_bias").groupby(["measure", "pairs"])[["learnt", "held_out"]].mean()
    assert (
        frame.loc[("CCA", 32), "learnt"] > 4.5 > frame.loc[("CCA", 128), "learnt"] > frame.loc[("CCA", 512), "learnt"]
    )
    assert frame["held_out"].abs().max() < 0.1
    assert frame.loc[("DCCA", 32), "learnt"] > 9.9
