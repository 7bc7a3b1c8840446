"""Kill a small grid of trainings at random moments, again and again; count the scores that the ledger loses or doubles.

    OMP_NUM_THREADS=1 python bench/kill_points.py --points 200 --seed 0

A child process runs `compute` on a grid of tiny recipes, some of which share an upstream training, into a ledger in a
temporary folder. At a random moment SIGKILL ends it and all its workers; the ledger is read; the same grid is started
again, until it is complete, and then compared with a grid that was not disturbed. As many grids are run as `--points`
kills take. Half of the moments are any, half are those at which a file is being written.

Half of the children are two runs on one ledger, the others one run with two workers. Half of them write to a slow disk,
which takes 40 bytes at a time, so that kills hit the middle of files, too. Every other kill hits the first process
alone: its workers have to end by themselves. `--interrupts` then stops grids by Ctrl-C and SIGTERM and looks for
processes that stay.

The library is imported once and the children are forked; `--start loky` lets workers begin as they do outside of this
script, by importing everything anew, which takes seconds each.
"""

from __future__ import annotations

import argparse
import collections
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

from robustmer.budget import Budget
from robustmer.conditions import CLEAN, all_noisy
from robustmer.corpora import named
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe
from robustmer.noise import NoiseScheduler
from robustmer.systems import MMIN, LogReg, Majority, checkpoint

Process = multiprocessing.get_context("fork").Process
ROW = ["key", "condition", "metric"]


def grid(seeds: int) -> dict:
    """Three recipes a seed: two that start from nothing and one whose upstream recipe two share."""
    corpus = named("synthetic", size="smoke", pooled=True)
    noisy = all_noisy(corpus.modalities, NoiseScheduler(snr_db=-10))
    short = Budget(epochs=1, max_steps=1, checks=1)
    made = [Recipe(system, corpus, mixture, seed=seed, budget=short)
            for seed in range(seeds) for system, mixture in ((Majority, CLEAN), (LogReg, CLEAN))]  # fmt: skip
    made += [Recipe(MMIN, corpus, mixture, seed=seed, budget=short, options={"width": 8})
             for seed in range(seeds) for mixture in (CLEAN, noisy)]  # fmt: skip
    return dict.fromkeys(made, (CLEAN, noisy))


class SlowDisk(io.FileIO):
    """Takes 40 bytes at a time."""

    def write(self, data) -> int:
        view = memoryview(data)
        for start in range(0, len(view), 40):
            if start < 4000:
                time.sleep(0.0005)
            super().write(view[start : start + 40])
        return len(view)


def begin(jobs: dict, folder: Path, runs: int, slow: bool, start: str, log: Path) -> Process:
    """A forked child that runs the grid into the ledger in `folder`; its process group has its number."""
    child = Process(target=run, args=(jobs, folder, runs, slow, start, log))
    child.start()
    return child


def run(jobs: dict, folder: Path, runs: int, slow: bool, start: str, log: Path) -> None:
    os.setpgid(0, 0)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    warnings.simplefilter("ignore")
    if slow:
        checkpoint.open = SlowDisk
    if start == "fork":
        loky.backend.context.set_start_method("fork", force=True)
    if runs == 1:
        compute(jobs, Ledger(folder), workers=2, progress=False)
    else:
        other = Process(target=compute, args=(jobs, Ledger(folder)), kwargs={"progress": False})
        other.start()
        compute(jobs, Ledger(folder), progress=False)
        other.join()
        sys.exit(other.exitcode)


def alive(group: int) -> list[psutil.Process]:
    """The processes of this group that run, without those that only wait to be reaped."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (OSError, psutil.Error):
            continue
    return members


def is_empty(group: int, seconds: float) -> bool:
    """Whether the group has no process left within so many seconds."""
    until = time.monotonic() + seconds
    while alive(group):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def send(group: int, number: int, everyone: bool = True) -> None:
    try:
        (os.killpg if everyone else os.kill)(group, number)
    except ProcessLookupError:
        pass


def wait_for_writing(child: Process, folder: Path, times: int) -> None:
    """Until so many files were seen half written or new, or the child has ended."""
    before = None
    while times and child.exitcode is None:
        files = {
            name: os.listdir(folder / name) for name in ("trainings", "scores", "weights") if (folder / name).is_dir()
        }
        times -= before not in (None, files)
        before = files
        time.sleep(0.0002)


class Watch:
    """What was found in the ledgers, and the scores that the present one has held."""

    def __init__(self, reference: pd.DataFrame):
        self.reference, self.kept = reference, reference[:0]
        self.counts = collections.Counter()

    def look(self, folder: Path) -> pd.DataFrame:
        """Read the ledger as a kill left it; scores that it held before must still be in it."""
        ledger = Ledger(folder)
        self.counts["half written"] += bool(list(folder.glob("*/.*.part")))
        try:
            scores, trainings = ledger.scores(), ledger.trainings()
            for file in folder.glob("weights/*.safetensors"):
                checkpoint.header(file)
        except ValueError as error:
            print(error, file=sys.stderr)
            self.counts["unreadable"] += 1
            return self.kept
        self.counts["lost"] += missing(self.kept, scores) + len(set(scores["key"]) - set(trainings))
        self.counts["doubled"] += int(scores.duplicated(ROW).sum())
        self.kept = scores
        return scores

    def complete(self, folder: Path) -> None:
        scores = self.look(folder)
        self.counts["grids"] += 1
        self.counts["lost"] += missing(self.reference, scores)
        self.counts["too many"] += missing(scores, self.reference)
        self.kept = self.kept[:0]


def missing(scores: pd.DataFrame, others: pd.DataFrame) -> int:
    """How many of these scores the others do not have with the same value."""
    one, other = (
        frame[[*ROW, "value"]].astype(str).agg("|".join, axis=1) if len(frame) else pd.Series(dtype=str)
        for frame in (scores, others)
    )
    return int((~one.isin(other)).sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200, help="how many kills (default: 200)")
    parser.add_argument("--interrupts", type=int, default=10, help="how many Ctrl-C and SIGTERM (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--seeds", type=int, default=3, help="size of the grid: five trainings a seed (default: 3)")
    parser.add_argument("--start", choices=("fork", "loky"), default="fork", help="how workers begin (default: fork)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    jobs, draw, begun = grid(args.seeds), random.Random(args.seed), time.monotonic()
    top = Path(tempfile.mkdtemp(prefix="kill_points_"))
    log, number = top / "log", 0
    compute(grid(1), Ledger(top / "first"), progress=False)  # what is imported late is imported now
    started = time.monotonic()
    child = begin(jobs, top / "undisturbed", 1, False, args.start, log)
    child.join()
    if child.exitcode != 0:
        sys.exit(f"the undisturbed grid failed:\n{log.read_text()}")
    length = time.monotonic() - started
    watch = Watch(Ledger(top / "undisturbed").scores())
    print(f"undisturbed: {len(jobs)} recipes, {len(watch.reference)} scores in {length:.1f} s", flush=True)

    def run_to_end(folder: Path, how: str, wanted: int) -> None:
        """Start the grid until it is complete, disturbing it while kills or interrupts are left."""
        while True:
            runs, slow = draw.choice((1, 2)), draw.random() < 0.5
            child = begin(jobs, folder, runs, slow, args.start, log)
            if watch.counts[how] >= wanted:
                child.join()
            elif draw.random() < 0.5:
                child.join(draw.uniform(0, length))
                watch.counts["any moment"] += child.exitcode is None
            else:
                wait_for_writing(child, folder, round(10 ** draw.uniform(0, 1.7)))
                watch.counts["writing"] += child.exitcode is None
            if child.exitcode is None:
                watch.counts[how] += 1
                alone = how == "kill" and runs == 1 and watch.counts[how] % 2 == 0
                signals = (signal.SIGINT, signal.SIGTERM) if how == "interrupt" else (signal.SIGKILL,)
                send(child.pid, signals[watch.counts[how] % len(signals)], everyone=not alone)
                child.join(60)
                if not is_empty(child.pid, 10):
                    watch.counts["stayed"] += 1
                    print(f"{alive(child.pid)} stayed", file=sys.stderr)
                    send(child.pid, signal.SIGKILL)
                for semaphore in Path("/dev/shm").glob(f"sem.loky-{child.pid}-*"):
                    semaphore.unlink(missing_ok=True)  # its owner had no time to
                watch.look(folder)
            elif child.exitcode != 0:
                sys.exit(f"a run failed by itself:\n{log.read_text()[-4000:]}")
            else:
                watch.complete(folder)
                return

    for how, wanted in (("kill", args.points), ("interrupt", args.interrupts)):
        while watch.counts[how] < wanted:
            number += 1
            folder = top / f"grid_{number}"
            run_to_end(folder, how, wanted)
            shutil.rmtree(folder)
    c = watch.counts
    print(f"{c['kill']} kills and {c['interrupt']} interrupts ({c['any moment']} at any moment, {c['writing']} at "
          f"moments of writing) in {c['grids']} grids, {time.monotonic() - begun:.0f} s\n"
          f"scores lost {c['lost']}, doubled {c['doubled']}, others than undisturbed {c['too many']}; unreadable "
          f"ledgers {c['unreadable']}; processes that stayed: {c['stayed']}\n"
          f"(ledgers with a half-written file beside the others, which is not read: {c['half written']})")  # fmt: skip
    shutil.rmtree(top)
    return int(any(c[what] for what in ("lost", "doubled", "too many", "unreadable", "stayed")))


if __name__ == "__main__":
    sys.exit(main())
