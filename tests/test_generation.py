"""Distances of generated features against known truths and independent implementations."""

import numpy as np
import pytest
import scipy.linalg
import torch

from robustmer import metrics
from robustmer.noise import stream


def rows(count=400, width=4, seed="rows", spread=1.0):
    return spread * torch.randn(count, width, generator=stream("generation", seed))


def test_equal_rows_have_no_distance_and_a_shift_has_its_own():
    x, shift = rows(), torch.tensor([3.0, 4.0, 0.0, 0.0])
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-6)
    assert metrics.mean_distance(x, x + shift) == pytest.approx(5, abs=1e-5)
    assert metrics.covariance_distance(x, x + shift) == pytest.approx(0, abs=1e-5)
    assert metrics.frechet_distance(x, x + shift) == pytest.approx(25, abs=1e-3)


def test_the_frechet_distance_is_that_of_scipys_matrix_root():
    x, y = rows(seed="x") @ rows(4, seed="mix"), rows(300, seed="y")
    s, t = (np.cov(part.double().numpy().T, bias=True) for part in (x, y))
    gap = x.double().numpy().mean(0) - y.double().numpy().mean(0)
    theirs = gap @ gap + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real)
    assert metrics.frechet_distance(x, y) == pytest.approx(theirs, rel=1e-6)


def test_the_frechet_distance_of_fewer_rows_than_features_is_finite():
    assert np.isfinite(metrics.frechet_distance(rows(5, 12), rows(7, 12, "other")))


def test_a_covariance_twice_as_large_is_once_away():
    x = rows()
    assert metrics.covariance_distance(x, 2**0.5 * x) == pytest.approx(1, abs=1e-5)


def test_tighter_classes_have_a_smaller_spread():
    x, label = rows(), torch.arange(400) % 2
    far = x + 100 * label[:, None]  # between classes nothing is counted
    assert metrics.spread_ratio(far, label, 0.5 * x, label) == pytest.approx(0.25, abs=1e-5)
    assert np.isnan(metrics.spread_ratio(x, label, x, label + 2))


def test_a_judge_tells_a_shift_by_a_line_and_a_spread_by_a_hidden_layer():
    x, speaker = rows(600), np.repeat(np.arange(6), 100).astype(str)
    same, wide = rows(600, seed="same"), rows(600, seed="wide", spread=3.0)
    assert metrics.judge_auc(x, same + 2, speaker) > 0.9
    assert abs(metrics.judge_auc(x, same, speaker) - 0.5) < 0.08
    assert abs(metrics.judge_auc(x, wide, speaker) - 0.5) < 0.08
    assert metrics.judge_auc(x, wide, speaker, hidden=32) > 0.9
    with pytest.raises(ValueError, match="1 speaker was given"):
        metrics.judge_auc(x, same, np.repeat("one", 600))


def test_a_judge_is_tested_on_speakers_it_has_not_met():
    """Generated rows that differ from a speaker's own by that speaker's sign cannot be told on others."""
    speaker = np.repeat(np.arange(8), 60).astype(str)
    sign = torch.tensor(np.repeat([1.0, -1.0] * 4, 60))[:, None].float()
    auc = metrics.judge_auc(rows(480), rows(480, seed="signed") + 2 * sign, speaker)
    assert auc < 0.65


def test_classes_that_are_generated_right_can_be_learnt_from():
    label = torch.arange(300) % 3
    centres = 4 * torch.eye(3, 4)
    x, right, wrong = (rows(300, seed=name) + centres[label] for name in ("a", "b", "c"))
    assert metrics.transfer(right, label, x, label) > 0.95
    assert metrics.transfer(wrong, (label + 1) % 3, x, label) < 0.05


def test_copies_are_caught_and_new_people_are_new():
    train, held_out = rows(seed="train"), rows(seed="held out")
    assert metrics.memorisation(train, held_out, train + 1e-3 * rows(seed="jitter")) < 0.2
    assert 0.8 < metrics.memorisation(train, held_out, rows(seed="new")) < 1.25


def test_the_entropy_of_equal_classes_is_the_logarithm_of_their_number():
    assert metrics.label_entropy(torch.arange(80) % 8) == pytest.approx(np.log(8))
    assert metrics.label_entropy(torch.tensor([0, 0, 3])) == pytest.approx(-np.log(2 / 3) * 2 / 3 - np.log(1 / 3) / 3)
