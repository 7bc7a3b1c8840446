"""What a step costs is counted, and the count is that of the closed form."""

import bench
import pytest
import torch
from cost import cost_of, every_product, random_batch
from small import SMALL

from robustmer.conditions import CLEAN, incomplete
from robustmer.laws import SETTINGS, Setting, small_batch
from robustmer.nn.encoders import LSTMEncoder
from robustmer.noise import NoiseScheduler
from robustmer.systems import MEN, MMIN, NMER, LogReg
from robustmer.tasks import Classify

LONGEST = {"audio": 9, "visual": 6, "text": 5}
SETTING = Setting({"audio": (5,), "visual": (7,), "text": (6,)}, 9, Classify("label", ("happy", "angry", "sad")))


def measure(system, samples: int = 4):
    batch = random_batch(samples, SETTING, LONGEST)
    return cost_of(system, SETTING, batch, incomplete(batch.modalities, NoiseScheduler(snr_db=-10)), steps=1)


@pytest.mark.parametrize("time", [1, 7])
def test_the_products_of_an_lstm_are_all_counted(time):
    """Forward: in every frame four gates read features and state. Backward: as much again for the weights, and for the
    states except the first one, which is no parameter; nothing flows into the features themselves."""
    samples, dim, width = 3, 5, 8
    encoder, x = LSTMEncoder(dim, width), torch.randn(samples, time, dim)
    with every_product() as counter:
        encoder(x, torch.ones(samples, time, dtype=torch.bool)).sum().backward()
    features, state = (2 * samples * 4 * width * size for size in (dim, width))
    assert counter.get_total_flops() == time * 2 * (features + state) + (time - 1) * state


def test_logistic_regression_costs_two_products():
    cost, features = measure(LogReg), 5 + 7 + 6
    one = 2 * 4 * features * 3  # samples x features x classes, a multiplication and an addition
    assert cost.flops == 2 * one and cost.predict_flops == one
    assert cost.parameters == cost.read == (features + 1) * 3


@pytest.mark.parametrize("system", [MEN, MMIN, NMER], ids=lambda system: system.__name__)
def test_products_grow_with_the_samples_and_with_nothing_else(system):
    small, large = measure(system, 2), measure(system, 6)
    assert large.flops == 3 * small.flops and large.predict_flops == 3 * small.predict_flops


@pytest.mark.parametrize("name", SMALL)
def test_every_system_can_be_measured(name):
    setting = SETTINGS["three sequences"]
    cost = cost_of(SMALL[name], setting, small_batch(setting), CLEAN, steps=1)
    assert 0 < cost.read <= cost.parameters
    assert cost.seconds > 0 and cost.predict_seconds > 0 and cost.kept_bytes >= 0


def test_an_upstream_system_counts_by_its_share_of_the_budget():
    cost = measure(MMIN)
    ((share, teacher),) = cost.upstream.values()
    assert share == 0.5 and teacher.flops == measure(MEN).flops
    assert cost.seconds_with_upstream == pytest.approx(0.5 * teacher.seconds + cost.seconds)
    assert cost.read < cost.parameters, "a prediction needs no teacher, nor the way back"


def test_measuring_leaves_the_number_of_threads_as_it_was():
    before = torch.get_num_threads()
    measure(LogReg)
    assert torch.get_num_threads() == before


def test_an_output_of_the_benchmark_that_cannot_be_written_is_refused_before_the_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "bench", lambda *_: pytest.fail("it was measured"))
    (tmp_path / "file").touch()
    for out in (tmp_path / "file/bench.json", tmp_path):
        monkeypatch.setattr("sys.argv", ["bench", "LogReg", "-o", str(out)])
        with pytest.raises(SystemExit, match="2"):
            bench.main()
        assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("name", bench.SYSTEMS_OF_CDTP)
def test_the_benchmark_of_part_two_can_be_run(name, monkeypatch):
    small = Setting({"audio": (5,), "visual": (7,), "text": (6,)}, 4, bench.MOSI.task)
    monkeypatch.setattr(bench, "MOSI", small)
    monkeypatch.setattr(bench, "MOSI_SAMPLES", 6)
    monkeypatch.setattr(bench, "MOSI_SIZES", {"width": 6, "heads": 2, "layers": 1})
    sizes = {"MPLMM": {"frames": 2}, "CDTP": {"frames": 2, "unet": (8,), "condition": 4}}
    monkeypatch.setitem(bench.SYSTEMS_OF_CDTP, name, sizes.get(name, {}))
    monkeypatch.setattr(bench, "STEPS", 1)
    measured = bench.measure_prompted(name, "cpu", 1)
    assert set(measured["steps"]) == {"none", "20%"} and ("complete" in measured) == (name == "CDTP")
    assert name in bench.prompted_line(measured)
