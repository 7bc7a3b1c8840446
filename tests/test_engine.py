"""The engine: what is shared, cut, run side by side or broken on the way changes no result, or says so."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from distributed import Client, LocalCluster

from robustmer import bench, grid, laws
from robustmer.batch import MODALITIES, collate
from robustmer.bench import SYSTEMS_OF_CDTP
from robustmer.conditions import CLEAN, corrupt, incomplete
from robustmer.grid import Progress, cross_validate
from robustmer.noise import Gaussian, NoiseScheduler, stream
from robustmer.recipe import Recipe
from robustmer.results import Row, read
from robustmer.statistics import average_over_conditions, cells, summarise
from robustmer.systems import IFMMIN, MEN, MMIN, NMER, LogReg, NMERWithoutVAE
from robustmer.systems.system import with_targets
from robustmer.train import Budget, Diverged, accumulate, endless_batches, fit

SHORT = Budget(epochs=1, min_steps=4, checks=2, batch_size=8)
NOISY = incomplete(MODALITIES, NoiseScheduler(Gaussian(), snr_db=-10))


def ragged(rows=40, seed=0):
    return laws.small_batch(*laws.SHAPES["three sequences"], rows=rows, seed=seed)


def recipes(count, system=LogReg, **changes):
    train = changes.pop("train", (CLEAN,))
    return [
        Recipe(system, "synthetic", train, (CLEAN, NOISY[0]), seed=seed, budget=SHORT,
               corpus_options={"size": "smoke", "pooled": True}, **changes)
        for seed in range(count)
    ]  # fmt: skip


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "ledger", lambda paper, profile: tmp_path / f"{paper}-{profile}.csv")
    return tmp_path / "nmer-quick.csv"


def values(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index(["key", "condition", "metric"])["value"].sort_index()


# --- do less ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [NMER, NMERWithoutVAE, MMIN, IFMMIN])
@pytest.mark.parametrize("shape", laws.SHAPES)
def test_targets_of_the_whole_part_are_those_of_each_batch(system, shape):
    made, whole = laws.make(system, laws.SHAPES[shape][0]), laws.small_batch(*laws.SHAPES[shape], rows=23)
    stage = list(made.stages())[-1]
    told = with_targets(made, stage, whole)
    for rows in ([0, 5, 22], [7], range(23)):
        here = with_targets(made, stage, whole[rows])
        for name, target in here.targets.items():
            torch.testing.assert_close(told[rows].targets[name], target, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rows, size", [(40, 8), (41, 8), (700, 16), (5, 8), (1, 4)])
def test_batches_of_similar_length_hold_every_row_once_an_epoch(rows, size):
    part = ragged(rows)
    batches = endless_batches(part, size, stream("order"))
    for _ in range(3):
        epoch = [next(batches) for _ in range(-(-rows // size))]
        assert sorted(id for batch in epoch for id in batch.id) == sorted(part.id)
        assert sum(len(b) < size for b in epoch) == (rows % size > 0)


def test_batches_of_similar_length_hold_less_padding_and_other_rows_each_time():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 60, 700)  # as long in every modality, like utterances
    part = collate({m: [np.ones((n, 2)) for n in lengths] for m in MODALITIES}, np.zeros(700, dtype=int))
    frames = {}
    for bucket in (True, False):
        batches = endless_batches(part, 16, stream("order"), bucket)
        frames[bucket] = sum(b.real[m].numel() for b in (next(batches) for _ in range(44)) for m in b.modalities)
    assert part.lengths["audio"].sum() * 3 < frames[True] < 0.65 * frames[False]
    batches = endless_batches(part, 16, stream("order"))
    first, second = ([frozenset(next(batches).id) for _ in range(44)] for _ in range(2))
    assert len(set(first) & set(second)) <= 2
    lengths = [b.x["audio"].shape[1] for b in (next(batches) for _ in range(44))]
    assert lengths != sorted(lengths), "an epoch does not go from short rows to long ones"


def test_rows_that_are_all_as_long_are_batched_the_same_with_bucketing_and_without():
    part = laws.small_batch(*laws.SHAPES["three vectors"], rows=30)
    on, off = (endless_batches(part, 8, stream("order"), bucket) for bucket in (True, False))
    for _ in range(9):
        assert next(on).id.tolist() == next(off).id.tolist()


def test_a_batch_chosen_by_the_host_is_the_one_chosen_by_a_mask():
    part = ragged(30)
    for chosen in ([3, 1, 4], [0], list(range(30))):
        taken = part[chosen]
        for m in part.modalities:
            longest = int(part.real[m][chosen].sum(1).max())
            assert torch.equal(taken.x[m], part.x[m][chosen][:, :longest])
            assert torch.equal(taken.real[m], part.real[m][chosen][:, :longest])
            assert taken.lengths[m].tolist() == part.real[m][chosen].sum(1).tolist()


@pytest.mark.parametrize("size", [1, 7, 512])
def test_evaluation_by_length_gives_each_row_its_own_logits(size):
    made, part = laws.make(MEN, laws.SHAPES["three sequences"][0]).eval(), ragged(25)
    one_by_one = torch.cat([made(part[[row]]) for row in range(25)])
    torch.testing.assert_close(made.predict(part, size), one_by_one, atol=1e-5, rtol=1e-5)


# --- together ---------------------------------------------------------------------------------------------------------


def test_two_at_once_equal_one_at_a_time_to_the_last_bit(ledger):
    todo = recipes(3) + recipes(2, MEN, train=NOISY)
    alone = cross_validate(todo, "nmer", "quick", jobs=1, progress=False, again=True)
    together = cross_validate(todo, "nmer", "quick", jobs=2, progress=False)
    assert values(alone).equals(values(together))
    assert values(cross_validate(todo, "nmer", "quick", jobs=1, progress=False, again=True)).equals(values(alone))


def test_a_cluster_that_loses_a_worker_leaves_every_row_once(ledger, monkeypatch):
    todo = recipes(30, options={"l2": 0.1})
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            pids = list(client.run(os.getpid).values())

        def kill_one():
            while not ledger.exists() or ledger.read_text().count("\n") < 20:
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        engine = cluster.scheduler_address.replace("tcp://", "dask://")
        rows = cross_validate(todo, "nmer", "quick", progress=False, engine=engine)
        killer.join()
    assert len(rows) == 30 * 2 * 3 == len(rows.drop_duplicates(["key", "condition", "metric"]))
    local = cross_validate(todo[:3], "nmer", "quick", progress=False, again=True)
    assert values(local).equals(values(rows[rows["key"].isin(local["key"])]))


def test_a_cluster_that_cannot_be_used_says_why(ledger):
    run = lambda engine: cross_validate(recipes(1), "nmer", "quick", progress=False, engine=engine)  # noqa: E731
    with pytest.raises(ValueError, match='engine \'slurm\': give "local" or .* dask://HOST:PORT'):
        run("slurm")
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        engine = cluster.scheduler_address.replace("inproc://", "dask://")
        with Client(cluster) as client, pytest.raises(ValueError, match="has 2 threads.*--nthreads 1"):
            grid.check_workers(client, engine, ledger.parent)
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        with pytest.raises(ValueError, match="has no workers yet.*dask worker"):
            run(cluster.scheduler_address.replace("tcp://", "dask://"))


# --- nothing lost -----------------------------------------------------------------------------------------------------


class Diverging(MEN):
    """Its loss is not a number on the second seed."""

    def loss(self, clean, seen):
        return {"cls": super().loss(clean, seen)["cls"] * (float("nan") if os.environ["SEED"] == "1" else 1.0)}


def test_a_training_that_diverges_is_a_result_and_does_not_stop_the_grid(ledger, monkeypatch):
    real = grid.run_recipe

    def seeded_run(recipe, **about):
        monkeypatch.setenv("SEED", str(recipe.seed))
        return real(recipe, **about)

    monkeypatch.setattr(grid, "run_recipe", seeded_run)
    rows = cross_validate(recipes(3, Diverging), "nmer", "quick", progress=False)
    assert len(rows) == 3 * 2 * 3 and rows[rows["seed"] == 1]["value"].isna().all()
    assert rows[rows["seed"] != 1]["value"].notna().all()
    assert rows[rows["seed"] == 1]["note"].str.contains("diverged: Diverging, stage 'classify': a loss is not").all()
    monkeypatch.setattr(grid, "run_recipe", None)  # and it is not tried again
    assert len(cross_validate(recipes(3, Diverging), "nmer", "quick", progress=False)) == len(rows)
    assert len(read(ledger)) == len(rows)

    ua = rows[(rows["metric"] == "UA") & (rows["condition"] == "clean")]
    line = summarise(ua, ["system"]).iloc[0]
    assert line["diverged"] == 1 and line["repetitions"] == 2
    assert line["mean"] == pytest.approx(ua["value"].dropna().mean())
    assert "✕1" in cells(ua, ["system"])["cell"].iloc[0]
    assert cells(ua[ua["seed"] == 1], ["system"])["cell"].iloc[0] == "✕1"
    average = average_over_conditions(rows[rows["metric"] == "UA"], [NOISY[0].header(MODALITIES)])
    assert average["value"].isna().tolist() == [False, True, False]


class Greedy(MEN):
    """A device that has memory for five rows."""

    def forward(self, seen):
        if len(seen) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().forward(seen)


def test_a_batch_too_large_for_the_device_is_computed_in_parts(capsys):
    part, budget = ragged(16), Budget(epochs=0, min_steps=3, checks=1, batch_size=16)
    weights, records = [], []
    for system in (MEN, Greedy):
        made = laws.make(system, part.dims)
        for module in made.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        records += fit(made, part, part, NOISY, budget, seed="memory")
        weights.append(made.state_dict())
    assert [r["parts"] for r in records] == [1, 4]
    for name, weight in weights[0].items():
        torch.testing.assert_close(weights[1][name], weight, atol=2e-5, rtol=1e-4)
    said = capsys.readouterr().err
    assert "out of memory with 16 rows" in said and "out of memory with 8 rows" in said and "4 parts" in said


def test_a_row_that_does_not_fit_at_all_stops_the_training():
    class Full(MEN):
        def forward(self, seen):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        list(fit(laws.make(Full, ragged().dims), ragged(), ragged(), CLEAN, SHORT))


def test_the_row_says_that_memory_was_short(ledger):
    rows = cross_validate(recipes(1, Greedy), "nmer", "quick", progress=False)
    assert rows["note"].str.contains("every batch in 2 parts, for lack of memory").all()
    assert "parts" not in "".join(cross_validate(recipes(1, MEN), "nmer", "quick", progress=False)["note"])


@pytest.mark.parametrize("parts", [1, 2, 3, 12])
def test_gradients_of_parts_add_up_to_that_of_the_batch(parts):
    made, part = laws.make(MEN, ragged().dims).eval(), ragged(12)
    objective, gradients = next(made.stages()).objectives["all"], []
    for count in (1, parts):
        made.zero_grad()
        terms = accumulate(objective, part, corrupt(part, CLEAN, stream("none")), count)
        gradients.append([p.grad.clone() for p in made.parameters() if p.grad is not None])
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)
    assert float(terms["cls"]) == pytest.approx(float(objective.loss(part, part)["cls"].detach()), rel=1e-5)


class Speechless(MEN):
    """Learns well and says nothing finite."""

    def forward(self, seen):
        logits = super().forward(seen)
        return logits if self.training else logits * float("nan")


@pytest.mark.parametrize("classes", [laws.CLASSES, ()])
def test_what_is_not_finite_on_the_validation_part_is_no_score(classes):
    part = ragged(16)
    part = part if classes else part.replace(label=part.label.float())
    with pytest.raises(Diverged, match="validation part is not finite"):
        list(fit(Speechless(part.dims, classes), part, part, CLEAN, SHORT))


@pytest.mark.parametrize("name", SYSTEMS_OF_CDTP)
def test_the_benchmark_of_part_two_can_be_run(name, monkeypatch):
    monkeypatch.setattr(bench, "PROMPT_ROWS", 6)
    monkeypatch.setattr(bench, "PROMPT_LONGEST", dict.fromkeys(bench.PROMPT_DIMS, 4))
    monkeypatch.setattr(bench, "PROMPT_DIMS", {"audio": 5, "visual": 7, "text": 6})
    monkeypatch.setattr(bench, "STEPS", 1)
    measured = bench.measure_prompted(name, "cpu", 1)
    assert set(measured["steps"]) == {"none", "20%"} and ("complete" in measured) == (name == "CDTP")
    assert name in bench.prompted_line(measured)


def test_a_diverged_training_is_an_error_outside_a_grid(monkeypatch):
    monkeypatch.setenv("SEED", "1")
    with pytest.raises(Diverged, match="not finite"):
        list(fit(laws.make(Diverging, ragged().dims), ragged(), ragged(), CLEAN, SHORT))


# --- progress ---------------------------------------------------------------------------------------------------------


class Screen:
    def __init__(self, terminal):
        self.terminal, self.text = terminal, ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def row(value=0.5):
    known = dict(paper="nmer", table="", dataset="synthetic", system="NMER", noise="", snr_db="", condition="clean",
                 metric="UA", train="clean", seconds=2.0)  # fmt: skip
    return Row(value=value, **known)


def test_progress_tells_done_diverged_left_rate_and_time():
    screen = Screen(terminal=True)
    line = Progress(4, to=screen)
    line.start -= 60  # a minute ago
    line.done([row()])
    line.done([row(float("nan"))])
    line.done([])  # another process had it
    assert str(line) == "3/4 done, 1 diverged, 1 left, 2.0 a minute, about 30 s to go;"
    line.close()
    assert screen.text.count("\n") == 1 and screen.text.count("\r") == 3, "a terminal shows one line"
    screen = Screen(terminal=False)
    Progress(4, to=screen).done([row()])
    assert screen.text.count("\n") == 1 and "NMER on synthetic, trained clean, fold 0, seed 0: 2 s" in screen.text
    quiet = Screen(terminal=True)
    Progress(4, shown=False, to=quiet).done([row()])
    assert quiet.text == ""
