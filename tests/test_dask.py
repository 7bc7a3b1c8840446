"""A Dask cluster as the place where trainings run: workers may join late, die, or be of the wrong kind."""

import asyncio
import gc
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress

import pytest
import torch._dynamo  # noqa: F401 - an optimizer imports it, here once and not in every forked worker
from toy import CORPUS, NOISY, SHORT, Killing, Slow, Student, Tiny, corpus, recipes, run

from robustmer import corpora
from robustmer.conditions import CLEAN
from robustmer.corpora import CorpusNotFound
from robustmer.experiments import work
from robustmer.experiments.engines import Dask
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe
from robustmer.systems.majority import Majority

distributed = pytest.importorskip("distributed")
FORK = multiprocessing.get_context("fork")


def serve_scheduler(sender) -> None:
    async def serve():
        async with distributed.Scheduler(host="127.0.0.1", port=0, dashboard_address=None) as scheduler:
            sender.send(scheduler.address)
            await scheduler.finished()

    asyncio.run(serve())


def serve_worker(address: str, threads: int, change, folder) -> None:
    if change is not None:
        change()

    async def serve():
        options = dict(nthreads=threads, dashboard=False, local_directory=str(folder))
        async with distributed.Worker(address, **options) as worker:
            await worker.finished()

    with suppress(OSError, asyncio.CancelledError):
        asyncio.run(serve())


class Cluster:
    """A scheduler and workers in forked processes, which need not import anything."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        receiver, sender = multiprocessing.Pipe(duplex=False)
        self.scheduler = self.start(serve_scheduler, sender)
        self.address = receiver.recv()
        self.engine = self.address.replace("tcp://", "dask://")

    def start(self, target, *arguments):
        process = FORK.Process(target=target, args=arguments, daemon=True)
        process.start()
        self.processes.append(process)
        return process

    def worker(self, threads: int = 1, change=None):
        return self.start(serve_worker, self.address, threads, change, self.folder)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


def meanwhile(what) -> threading.Thread:
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread


def wait_until(holds, timeout_s: float = 240) -> None:
    until = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def count(folder) -> int:
    return len(list(folder.glob("*")))


def test_a_cluster_computes_what_one_process_does_and_late_workers_get_work(cluster, ledger, tmp_path, capsys):
    """It begins without any worker; the second one joins when the first has begun."""
    (notes := tmp_path / "notes").mkdir()
    todo = [*recipes(2, Student), *recipes(4, Slow, seconds=0.3, note=str(notes))]

    def join():
        time.sleep(0.5)
        cluster.worker()
        wait_until(lambda: count(notes) >= 1)
        cluster.worker()

    meanwhile(join)
    summary = run(todo, ledger, engine=cluster.engine)
    assert summary.trained == 8 and not summary.failed
    assert (
        "has no workers; trainings start when one joins: dask worker HOST:PORT --nthreads 1" in capsys.readouterr().err
    )
    assert len({note.name.partition("-")[0] for note in notes.iterdir()}) == 2, "both workers trained"
    local = Ledger(tmp_path / "local")
    compute(dict.fromkeys(todo, (CLEAN, NOISY)), local, progress=False)
    columns = ["key", "condition", "metric"]
    assert (
        ledger.scores()
        .sort_values(columns, ignore_index=True)
        .equals(local.scores().sort_values(columns, ignore_index=True))
    )


def test_one_of_two_workers_is_killed_and_nothing_is_lost_or_doubled(cluster, ledger):
    todo = [*recipes(6, Slow, seconds=0.2), *recipes(3, Student)]
    first, _ = cluster.worker(), cluster.worker()

    def kill():
        wait_until(lambda: count(ledger.folder / "trainings") >= 3)
        first.kill()

    meanwhile(kill)
    summary = run(todo, ledger, engine=cluster.engine)
    assert summary.trained == 12 and not summary.failed and not first.is_alive()
    scores = ledger.scores()
    assert len(scores) == len(scores.drop_duplicates(["key", "condition", "metric"])) == 9 * 6


def test_a_training_that_kills_its_workers_is_marked_failed_and_the_rest_goes_on(cluster, ledger, tmp_path):
    """No nanny starts them again, so workers are added as they die."""
    (notes := tmp_path / "notes").mkdir()
    todo = [*recipes(1, Killing, note=str(notes)), *recipes(3)]
    cluster.worker()

    def replace():
        for deaths in (1, 2, 3):
            wait_until(lambda deaths=deaths: count(notes) >= deaths)
            cluster.worker()

    meanwhile(replace)
    summary = run(todo, ledger, engine=cluster.engine)
    assert summary.trained == 3 and count(notes) == 3
    assert "failed: its worker died 3 times (out of memory?)" in summary.failed[todo[0].key]
    assert ledger.training(todo[0].key)["outcome"] == "failed: its worker died 3 times (out of memory?)"


def test_a_scheduler_that_is_killed_is_one_sentence_and_results_are_kept(cluster, ledger):
    cluster.worker()

    def kill():
        wait_until(lambda: count(ledger.folder / "trainings") >= 2)
        os.kill(cluster.scheduler.pid, signal.SIGKILL)

    meanwhile(kill)
    start = time.monotonic()
    with pytest.raises(
        ConnectionError, match="scheduler at dask://.* is gone; what was computed is kept: start it and run again"
    ):
        run(recipes(50, Slow, seconds=0.2), ledger, engine=cluster.engine)
    assert time.monotonic() - start < 300
    assert 2 <= ledger.scores()["key"].nunique() < 50 and not list(ledger.folder.rglob("*.lock"))


def other_library() -> None:
    work.CODE = "0therc0de"


def other_data() -> None:
    corpora.Request.load = lambda self: corpus(name=self.dataset, seed=9)


def no_data() -> None:
    def load(self):
        raise CorpusNotFound(f"{self.dataset} is not on this machine")

    corpora.Request.load = load


def test_workers_that_do_not_fit_are_refused_and_the_others_do_the_work(cluster, ledger, capsys):
    for change, threads in ((other_library, 1), (other_data, 1), (no_data, 1), (None, 2), (None, 1)):
        cluster.worker(threads, change)
    wait_until(lambda: len(workers_of(cluster)) == 5)
    named = corpora.named("synthetic", size="smoke", pooled=True)
    todo = {Recipe(Majority, named, seed=seed, budget=SHORT): [CLEAN] for seed in range(8)}
    summary = run(todo, ledger, engine=cluster.engine)
    assert summary.trained == 8 and not summary.failed
    assert {record["fingerprint"] for record in ledger.trainings().values()} == {named.load().fingerprint}
    lines = [line for line in capsys.readouterr().err.splitlines() if "is not used" in line]
    assert len(lines) == 4
    for words in ("its library is 0therc0de, that of this process", "its data of the name synthetic (",
                  "it lacks a corpus: synthetic is not on this machine", "it has 2 threads"):  # fmt: skip
        assert sum(words in line for line in lines) == 1, words


def workers_of(cluster: Cluster) -> dict:
    with distributed.Client(cluster.address, set_as_default=False) as client:
        return client.nthreads()


def test_a_cluster_of_workers_that_all_do_not_fit_is_one_sentence(cluster, ledger):
    cluster.worker(1, other_library)
    wait_until(lambda: workers_of(cluster))
    with pytest.raises(ConnectionError, match="no worker of dask://.* can be used: its library is 0therc0de"):
        run(recipes(1, Tiny), ledger, engine=cluster.engine)


def test_a_scheduler_that_does_not_answer_is_named(ledger, monkeypatch, capfd):
    monkeypatch.setattr(Dask, "timeout_s", 1)
    recipe = Recipe(Tiny, CORPUS, budget=SHORT)
    with pytest.raises(
        ValueError, match="no Dask scheduler answers at dask://127.0.0.1:1 .*start one with `dask scheduler`"
    ):
        run([recipe], ledger, engine="dask://127.0.0.1:1")
    gc.collect()
    assert not capfd.readouterr().err, "the client that was not made leaves no traceback"
