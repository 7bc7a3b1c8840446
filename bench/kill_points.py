"""Kill a small grid of trainings at random moments, over and over, and see whether the ledger loses or doubles a row.

    OMP_NUM_THREADS=1 python bench/kill_points.py --points 200 --seed 0

A child process runs a grid of tiny recipes with `cross_validate` into a ledger in a temporary folder. At a random
moment SIGKILL ends it and all its workers; the ledger is read; the same grid is started again, until it is complete,
and then compared with a grid that nobody disturbed. So many grids are run as it takes for `--points` kills. Half of the
moments are any, half are those at which the ledger has just grown.

Half of the children are two runs on one ledger, the others one run with two jobs. Half of them write to a slow disk,
which takes 20 bytes at a time, so that kills hit the middle of lines, too. `--interrupts` then stops grids by Ctrl-C
(SIGINT to the whole group as a terminal sends it, or to the first process alone) and looks for processes that stay.

The library is imported once and the children are forked; `--start loky` lets workers begin as they do outside of this
script, by importing everything anew, which takes seconds each.
"""

from __future__ import annotations

import argparse
import collections
import functools
import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import pandas as pd
import psutil
import torch
from joblib.externals import loky

from robustmer import results
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, everything
from robustmer.grid import cross_validate
from robustmer.noise import Gaussian, NoiseScheduler
from robustmer.recipe import Recipe
from robustmer.systems import MEN, LogReg, Majority
from robustmer.train import Budget

Process = multiprocessing.get_context("fork").Process
ROW = ["key", "noise", "snr_db", "condition", "metric", "fingerprint"]
SAME = [*ROW, "system", "dataset", "value", "unit", "note", "train", "fold", "seed", "profile"]
NOISY = NoiseScheduler(Gaussian(), snr_db=-10)


def grid(seeds: int) -> list[Recipe]:
    about = dict(corpus="synthetic", corpus_options={"size": "smoke"}, budget=Budget(epochs=1, max_steps=1, checks=1))
    noisy = everything(MODALITIES, NOISY)
    cells = {Majority: ((CLEAN,), {}), LogReg: ((CLEAN, noisy), {}), MEN: ((CLEAN, noisy), {"width": 8})}
    return [Recipe(system, train=(CLEAN,), test=test, seed=seed, options=options, **about)
            for seed in range(seeds) for system, (test, options) in cells.items()]


class SlowDisk(io.FileIO):
    """Takes 20 bytes at a time."""

    def write(self, data) -> int:
        time.sleep(0.001)
        return super().write(memoryview(data)[:20])


def begin(recipes: list[Recipe], folder: Path, runs: int, slow: bool, start: str, log: Path) -> Process:
    """A forked child that runs the grid into the ledger below `folder`; its process group has its number."""
    child = Process(target=run, args=(recipes, folder, runs, slow, start, log))
    child.start()
    return child


def run(recipes: list[Recipe], folder: Path, runs: int, slow: bool, start: str, log: Path) -> None:
    os.setpgid(0, 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    warnings.simplefilter("ignore")
    os.environ["JOBLIB_TEMP_FOLDER"] = str(folder)
    results.ROOT = folder
    if slow:
        results.open = lambda path, mode, **how: SlowDisk(path, mode) if mode == "ab" else open(path, mode, **how)
    if start == "fork":
        loky.backend.context.set_start_method("fork", force=True)
    grid = functools.partial(cross_validate, recipes, "nmer", "smoke", progress=False)
    if runs == 1:
        try:
            grid(jobs=2)
        finally:
            loky.get_reusable_executor().shutdown(wait=True)  # as at the end of a program
    else:
        other = Process(target=grid)
        other.start()
        grid()
        other.join()
        sys.exit(other.exitcode)


def alive(group: int) -> list[psutil.Process]:
    """The processes of this group that run, without those that only wait to be buried."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def gone(group: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def send(group: int, number: int, whole: bool = True) -> None:
    try:
        (os.killpg if whole else os.kill)(group, number)
    except ProcessLookupError:
        pass


def wait_for_writing(child: Process, path: Path, times: int) -> None:
    """Until the ledger or its recipes have changed in size so many times, or the child has ended."""
    before = None
    while times and child.exitcode is None:
        now = [file.stat().st_size if file.exists() else 0 for file in (path, path.with_suffix(".recipes.jsonl"))]
        times -= before not in (None, now)
        before = now
        time.sleep(0.0002)


class Watch:
    """What was found in the ledgers, and the rows that have been in the present one."""

    def __init__(self, reference: pd.DataFrame):
        self.reference, self.kept = reference, pd.DataFrame(columns=SAME)
        self.counts = collections.Counter()

    def look(self, path: Path) -> pd.DataFrame:
        """Read the ledger as it lies there after a kill; rows that were there before must still be there."""
        files = [file for file in (path, path.with_suffix(".recipes.jsonl")) if file.exists()]
        self.counts["torn"] += any(not file.read_bytes().endswith(b"\n") for file in files)
        try:
            rows = results.read(path)
            recipes = results.read_recipes(path.with_suffix(".recipes.jsonl"))
        except ValueError as error:
            print(error, file=sys.stderr)
            self.counts["unreadable"] += 1
            return self.kept
        self.counts["lost"] += missing(self.kept, rows) + len(set(rows["key"]) - set(recipes))
        self.counts["doubled"] += int(rows.duplicated(ROW).sum())
        self.kept = rows[SAME]
        return rows

    def complete(self, path: Path) -> None:
        rows = self.look(path)
        self.counts["grids"] += 1
        self.counts["lost"] += missing(self.reference, rows)
        self.counts["too many"] += missing(rows, self.reference)
        self.counts["written twice"] += max(len(results.whole_lines(path)) - 1 - len(rows), 0)
        self.kept = self.kept[:0]


def missing(rows: pd.DataFrame, there: pd.DataFrame) -> int:
    """How many of these rows are not there with the same value."""
    as_text = lambda frame: frame[SAME].astype(str).agg("|".join, axis=1) if len(frame) else pd.Series(dtype=str)  # noqa: E731
    return int((~as_text(rows).isin(as_text(there))).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="how many kills (default: 200)")
    parser.add_argument("--interrupts", type=int, default=10, help="how many Ctrl-C (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--seeds", type=int, default=4, help="size of the grid: three recipes a seed (default: 4)")
    parser.add_argument("--start", choices=("fork", "loky"), default="fork", help="how workers begin (default: fork)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipes, draw, begun = grid(args.seeds), random.Random(args.seed), time.monotonic()
    results.library_hash()
    cross_validate(grid(1), "nmer", "smoke", progress=False, again=True)  # what is imported late is imported here
    top = Path(tempfile.mkdtemp(prefix="kill_points_"))
    log, number = top / "log", 0

    def fresh() -> tuple[Path, Path]:
        folder = top / f"grid_{number}"
        folder.mkdir()
        real, results.ROOT = results.ROOT, folder
        path = results.ledger("nmer", "smoke")
        results.ROOT = real
        return folder, path

    folder, path = fresh()
    started = time.monotonic()
    child = begin(recipes, folder, 1, False, args.start, log)
    child.join()
    if child.exitcode != 0:
        sys.exit(f"the undisturbed grid failed:\n{log.read_text()}")
    length = time.monotonic() - started
    watch = Watch(results.read(path))
    print(f"undisturbed: {len(recipes)} recipes, {len(watch.reference)} rows in {length:.1f} s", flush=True)

    def run_to_end(how: str) -> None:
        """Start the grid until it is complete, disturbing it `how` (kill or interrupt) while points are left."""
        while True:
            runs, slow = draw.choice((1, 2)), draw.random() < 0.5
            child = begin(recipes, folder, runs, slow, args.start, log)
            wanted = args.points if how == "kill" else args.interrupts
            if watch.counts[how] >= wanted:
                child.join()
            elif draw.random() < 0.5:
                child.join(draw.uniform(0, length))
            else:
                wait_for_writing(child, path, round(10 ** draw.uniform(0, 2)))
            if child.exitcode is None:
                watch.counts[how] += 1
                if how == "interrupt":
                    send(child.pid, signal.SIGINT, whole=bool(watch.counts[how] % 2))
                    child.join(60)
                    if not gone(child.pid, 10):
                        watch.counts["stayed"] += 1
                        print(f"{alive(child.pid)} stayed after SIGINT", file=sys.stderr)
                send(child.pid, signal.SIGKILL)
                child.join()
                gone(child.pid, 60)
                for semaphore in Path("/dev/shm").glob(f"sem.loky-{child.pid}-*"):
                    semaphore.unlink()  # its owner had no time to
                watch.look(path)
            elif child.exitcode != 0:
                sys.exit(f"a run failed by itself:\n{log.read_text()[-4000:]}")
            else:
                watch.complete(path)
                return

    for how, wanted in (("kill", args.points), ("interrupt", args.interrupts)):
        while watch.counts[how] < wanted:
            number += 1
            folder, path = fresh()
            run_to_end(how)
            shutil.rmtree(folder)
    c = watch.counts
    print(f"{c['kill']} kills and {c['interrupt']} interrupts in {c['grids']} grids, {time.monotonic() - begun:.0f} s\n"
          f"rows lost {c['lost']}, doubled {c['doubled']}, others than undisturbed {c['too many']}; "
          f"unreadable ledgers {c['unreadable']}\n"
          f"processes that stayed after Ctrl-C: {c['stayed']}\n"
          f"(ledgers with a torn last line when read: {c['torn']}; rows of torn units, in a file besides those "
          f"that count: {c['written twice']})")
    shutil.rmtree(top)
    return int(any(c[what] for what in ("lost", "doubled", "too many", "unreadable", "stayed")))


if __name__ == "__main__":
    sys.exit(main())
