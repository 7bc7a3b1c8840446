"""A grid on a real Dask scheduler: one worker, two workers, and two of which one is killed on the way.

    .venv/bin/python bench/two_workers.py --units 16

Prints the seconds of each run, and whether every key is in the ledger exactly once. Needs two idle cores.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from robustmer import grid
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, incomplete
from robustmer.noise import NoiseScheduler
from robustmer.recipe import Recipe
from robustmer.systems import MEN
from robustmer.train import Budget

DASK = Path(sys.executable).with_name("dask")


def recipes(units: int, steps: int) -> list[Recipe]:
    noisy = incomplete(MODALITIES, NoiseScheduler(snr_db=-10))
    budget = Budget(epochs=0, min_steps=steps, checks=2, batch_size=64)
    return [Recipe(MEN, "synthetic", noisy, (CLEAN, *noisy), seed=seed, budget=budget,
                   corpus_options={"size": "quick", "pooled": True}) for seed in range(units)]  # fmt: skip


@contextmanager
def cluster(workers: int):
    """A scheduler and its workers as a user starts them; yields the engine and the workers' processes."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "scheduler.json"
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=scratch)
        scheduler = [DASK, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", file]
        worker = [DASK, "worker", "--scheduler-file", file, "--nthreads", "1", "--no-dashboard", "--no-nanny"]
        started = [subprocess.Popen(scheduler, **quiet)]
        try:
            while not file.exists():
                time.sleep(0.1)
            started += [subprocess.Popen(worker, **quiet) for _ in range(workers)]
            address = re.search(r"tcp://[^\"]+", file.read_text()).group()
            wait_for(address, workers)
            yield address.replace("tcp://", "dask://"), started[1:]
        finally:
            for process in started:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)  # a worker whose scheduler is gone waits for it
                process.wait()


def wait_for(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address) as client:
        client.wait_for_workers(workers, timeout=60)
        client.run(warm)  # imports and the corpus are not what is timed


def warm() -> int:
    from robustmer.corpora import load

    return len(load("synthetic", size="quick", pooled=True).rows)


def timed(todo: list[Recipe], workers: int, kill: bool = False) -> tuple[float, str]:
    with tempfile.TemporaryDirectory() as folder, cluster(workers) as (engine, processes):
        path = Path(folder) / "ledger.csv"
        grid.ledger = lambda paper, profile: path
        if kill:
            threading.Thread(target=kill_in_the_middle, args=(path, len(todo), processes[0]), daemon=True).start()
        start = time.perf_counter()
        rows = grid.cross_validate(todo, "bench", "quick", progress=False, engine=engine)
        seconds = time.perf_counter() - start
        written = path.read_bytes().count(b"\n") - 1
        once = len(rows) == len(rows.drop_duplicates(["key", "condition", "metric"])) == len(todo) * 7 * 3
        who = f"{workers} workers, one killed ({processes[0].poll()})" if kill else f"{workers} worker(s)"
        return seconds, (f"{who}: {seconds:.1f} s, {rows['key'].nunique()} keys, {len(rows)} rows read, {written} "
                         f"written, every row {'exactly once' if once else 'NOT once'}")


def kill_in_the_middle(path: Path, units: int, process: subprocess.Popen) -> None:
    while not path.exists() or path.read_bytes().count(b"\n") < units * 21 // 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--units", type=int, default=16)
    options.add_argument("--steps", type=int, default=150)
    chosen = options.parse_args()
    todo = recipes(chosen.units, chosen.steps)
    one, text = timed(todo, 1)
    print(text, flush=True)
    two, text = timed(todo, 2)
    print(text, f"\ntwo workers take {two / one:.2f} of the time of one", flush=True)
    print(timed(todo, 2, kill=True)[1])
