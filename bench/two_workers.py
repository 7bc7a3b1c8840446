"""A grid on a real Dask scheduler: one worker, two workers, two of which one is killed, and a scheduler that is killed.

    .venv/bin/python bench/two_workers.py --trainings 16

Prints the seconds of each run, and whether the ledger has every score exactly once. Needs two idle cores.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robustmer.budget import Budget
from robustmer.conditions import CLEAN, incomplete
from robustmer.corpora import named
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe
from robustmer.noise import NoiseScheduler
from robustmer.systems import MEN

DASK = Path(sys.executable).with_name("dask")


def grid(trainings: int, steps: int) -> dict:
    corpus = named("synthetic", size="quick", pooled=True)
    noisy = incomplete(corpus.modalities, NoiseScheduler(snr_db=-10))
    budget = Budget(epochs=0, min_steps=steps, checks=2, batch_size=64)
    return {Recipe(MEN, corpus, noisy, seed=seed, budget=budget): (CLEAN, *noisy) for seed in range(trainings)}


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen]]]:
    """A scheduler and its workers as a user starts them: the engine, and all processes, the scheduler first."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "scheduler.json"
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=scratch)
        scheduler = [
            DASK,
            "scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            file,
        ]
        worker = [DASK, "worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        processes = [subprocess.Popen(scheduler, **quiet)]
        try:
            while not file.exists():
                time.sleep(0.1)
            processes += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
            address = re.search(r"tcp://[^\"]+", file.read_text()).group()
            wait_for(address, workers)
            yield address.replace("tcp://", "dask://"), processes
        finally:
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # a worker whose scheduler is gone waits for it
                process.wait()


def wait_for(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(workers, timeout=120)
        client.run(warm)  # imports and the corpus are not what is timed


def warm() -> int:
    import torch._dynamo  # noqa: F401 - the first optimizer imports it

    return len(named("synthetic", size="quick", pooled=True).load())


def timed(jobs: dict, workers: int, kill: str = "") -> tuple[float, str]:
    """Seconds, and a sentence on the ledger. `kill` names the process to kill halfway: a worker or the scheduler."""
    with tempfile.TemporaryDirectory() as folder, cluster(workers) as (engine, processes):
        ledger, ending = Ledger(Path(folder)), ""
        if kill:
            process = processes[1 if kill == "worker" else 0]
            threading.Thread(target=kill_halfway, args=(ledger, len(jobs), process), daemon=True).start()
        start = time.perf_counter()
        try:
            compute(jobs, ledger, progress=False, engine=engine)
        except ConnectionError as error:
            ending = f"\n  it ended with: {error}\n  on this machine the rest was computed: "
            ending += str(compute(jobs, ledger, progress=False))
        seconds = time.perf_counter() - start
        scores = ledger.scores()
        once = len(scores) == len(scores.drop_duplicates(["key", "condition", "metric"])) == len(jobs) * 7 * 3
        what = f"{workers} worker{'s' * (workers > 1)}" + f", {kill} killed" * bool(kill)
        return seconds, (f"{what}: {seconds:.1f} s, {scores['key'].nunique()} trainings, every score "
                         f"{'exactly once' if once else 'NOT once'}{ending}")  # fmt: skip


def kill_halfway(ledger: Ledger, trainings: int, process: subprocess.Popen) -> None:
    while len(list(ledger.folder.glob("trainings/*.json"))) < trainings // 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--trainings", type=int, default=16)
    options.add_argument("--steps", type=int, default=150)
    chosen = options.parse_args()
    jobs = grid(chosen.trainings, chosen.steps)
    one, text = timed(jobs, 1)
    print(text, flush=True)
    two, text = timed(jobs, 2)
    print(text, f"\ntwo workers take {two / one:.2f} of the time of one", flush=True)
    for kill in ("worker", "scheduler"):
        print(timed(jobs, 2, kill)[1], flush=True)
