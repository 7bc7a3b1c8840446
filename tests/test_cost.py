"""What a step costs is counted, and the count is that of the closed form."""

import pytest
import torch
from small import SMALL

from robustmer import laws
from robustmer.conditions import CLEAN, incomplete
from robustmer.cost import every_product, random_batch, step_cost
from robustmer.nn.encoders import LSTMEncoder
from robustmer.noise import NoiseScheduler
from robustmer.systems import MEN, MMIN, NMER, SYSTEMS, LogReg, count_parameters
from robustmer.train import seeded

LONGEST = {"audio": 9, "visual": 6, "text": 5}
DIMS = {"audio": 5, "visual": 7, "text": 6}


def measure(system, rows=4, **options):
    batch = random_batch(rows, DIMS, LONGEST, classes=3)
    with seeded("cost"):
        made = system(batch.dims, ("happy", "angry", "sad"), **options)
    return step_cost(made, batch, incomplete(batch.modalities, NoiseScheduler(snr_db=-10)), steps=1)


@pytest.mark.parametrize("time", [1, 7])
def test_the_products_of_an_lstm_are_all_counted(time):
    """Forward: in each frame four gates read features and state. Backward: as much again for the weights, and for the
    states except the first one, which is no parameter; nothing flows into the features themselves."""
    rows, dim, width = 3, 5, 8
    encoder, x = LSTMEncoder(dim, width), torch.randn(rows, time, dim)
    with every_product() as counter:
        encoder(x, torch.ones(rows, time, dtype=torch.bool)).sum().backward()
    features, state = (2 * rows * 4 * width * size for size in (dim, width))
    assert counter.get_total_flops() == time * 2 * (features + state) + (time - 1) * state


def test_logistic_regression_costs_two_products():
    cost = measure(LogReg, rows=4)
    one = 2 * 4 * sum(DIMS.values()) * 3  # rows x features x classes, a multiplication and an addition
    assert cost.stages[0].flops == 2 * one and cost.predict_flops == one
    assert cost.parameters == cost.read == (sum(DIMS.values()) + 1) * 3


@pytest.mark.parametrize("system", [MEN, MMIN, NMER], ids=lambda s: s.__name__)
def test_products_grow_with_the_rows_and_with_nothing_else(system):
    small, large = measure(system, 2), measure(system, 6)
    assert large.flops_per_row == pytest.approx(small.flops_per_row)
    assert large.predict_flops == 3 * small.predict_flops


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_can_be_measured_on_every_shape(name):
    for dims, longest in laws.SHAPES.values():
        batch = laws.small_batch(dims, longest)
        with seeded("cost"):
            made = SMALL[name](dims, laws.CLASSES)
        cost = step_cost(made, batch, CLEAN, steps=1)
        assert [s.name for s in cost.stages] == [s.name for s in SMALL[name](dims, laws.CLASSES).stages()]
        assert 0 < cost.read <= cost.parameters == count_parameters(made)
        assert cost.seconds > 0 and cost.predict_seconds > 0 and cost.kept_bytes >= 0
        assert cost.epoch_seconds(10 * len(batch)) == pytest.approx(10 * cost.seconds)


def test_a_teacher_counts_by_its_share_of_the_budget():
    cost = measure(MMIN)
    teacher, own = cost.stages
    men = measure(MEN)
    assert teacher.share == 0.5 and teacher.flops == men.stages[0].flops
    assert cost.seconds == pytest.approx(0.5 * teacher.seconds + own.seconds)
    assert cost.read < cost.parameters  # a prediction needs no teacher, nor the way back
    assert cost.kept_bytes == max(teacher.kept_bytes, own.kept_bytes) > 0


def test_measuring_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    measure(LogReg)
    assert torch.get_num_threads() == before
