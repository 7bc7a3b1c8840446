"""Whether picture and sound are in step: the correlation at every lag, and what was measured on GRID."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from robustmer.metrics.synchrony import darkness, lagged_correlation, loudness_db

RESULTS = Path(__file__).resolve().parents[1] / "results/measured/mdvae/derived_lag.csv"


def test_the_correlation_at_a_lag_is_that_of_numpy_over_recorded_frames():
    first, second = torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(0)).unbind()
    mask = torch.arange(20) < torch.tensor([[20], [9], [2]])
    values = lagged_correlation(first, second, mask, (-2, 0, 3))
    for row, length in enumerate((20, 9)):
        x, y = first[row, :length].numpy(), second[row, :length].numpy()
        expected = [np.corrcoef(x[2:], y[:-2])[0, 1], np.corrcoef(x, y)[0, 1], np.corrcoef(x[:-3], y[3:])[0, 1]]
        np.testing.assert_allclose(values[row], expected, atol=1e-5)
    assert torch.isnan(values[2]).all() and torch.isnan(lagged_correlation(first, 0 * second, mask, (0,))).all()


def test_a_delayed_copy_is_met_at_its_delay():
    first = torch.randn(1, 40, generator=torch.Generator().manual_seed(0))
    values = lagged_correlation(first, first.roll(4, 1), torch.ones(1, 40, dtype=torch.bool), range(-8, 9))
    assert int(values.argmax()) - 8 == 4


def test_darkness_is_that_of_the_box_and_loudness_in_decibels():
    pictures = torch.ones(1, 2, 1, 8, 8)
    pictures[0, 1, 0, 2:4, 4:8] = 0.25
    assert darkness(pictures, (2, 4, 4, 8)).tolist() == [[0.0, 0.75]]
    assert darkness(pictures, (4, 8, 0, 8)).tolist() == [[0.0, 0.0]]
    torch.testing.assert_close(loudness_db(torch.full((1, 1, 100), 0.1)), torch.tensor([[10.0]]))


def test_the_lips_of_grid_are_in_step_and_the_eyes_are_not():
    by_box = {box: part.set_index("lag")["value"] for box, part in pd.read_csv(RESULTS).groupby("box")}
    assert by_box["mouth"].idxmax() == 0 and by_box["mouth"][0] > by_box["mouth"].drop([-1, 0, 1]).max() + 0.1
    assert by_box["eyes"].max() < 0.1
