"""How much of a hand-written loop's pace `fit` reaches, on the same system and batches; and what an import takes.

    OMP_NUM_THREADS=1 python bench/pace.py

The system is a MEN of about 60,000 weights. The loop is the shortest that trains it: batches cut beforehand,
cross-entropy, AdamW. `fit` also cuts batches, draws conditions, lowers the learning rate, sums loss
terms and validates once.
Both run in turns, in CPU seconds; the share is that of the medians. The imports are measured in fresh interpreters.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import torch
from torch.nn.functional import cross_entropy

from robustmer.batching import endless_batches
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, incomplete
from robustmer.laws import Setting, make, small_batch
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import MEN, count_parameters
from robustmer.tasks import Classify
from robustmer.training import fit

SHAPES = {"audio": (74,), "visual": (35,), "text": (250,)}
TASK = Classify("label", ("happy", "angry", "sad"))


def by_hand(system: torch.nn.Module, batches: list) -> None:
    optimizer = torch.optim.AdamW(system.parameters(), lr=2e-4, fused=True)
    system.train()
    for batch in batches:
        optimizer.zero_grad()
        loss = cross_entropy(system(batch), batch.labels["label"])
        loss.backward()
        optimizer.step()


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(longest: int, batch_size: int, steps: int, rounds: int) -> str:
    setting = Setting(SHAPES, longest, TASK)
    train, valid = small_batch(setting, 64 * batch_size), small_batch(setting, 8)
    cut = endless_batches(train, batch_size, stream("pace"))
    batches = [next(cut) for _ in range(steps)]
    budget = Budget(epochs=0, min_steps=steps, checks=1, batch_size=batch_size)
    mixtures = {"clean": CLEAN, "noisy": incomplete(tuple(SHAPES), NoiseScheduler(snr_db=-10))}
    taken: dict[str, list[float]] = {"by hand": [], **{name: [] for name in mixtures}}
    for _ in range(1 + rounds):
        taken["by hand"].append(seconds(lambda: by_hand(make(MEN, setting, width=16), batches)))
        for name, mixture in mixtures.items():
            system = make(MEN, setting, width=16)
            taken[name].append(seconds(lambda s=system, m=mixture: fit(s, train, valid, m, budget)))
    pace = {name: steps / statistics.median(times[1:]) for name, times in taken.items()}
    frames = f"up to {longest} frames" if longest > 1 else "vectors"
    share = {name: pace[name] / pace["by hand"] for name in mixtures}
    return (f"{frames}, batches of {batch_size}: by hand {pace['by hand']:.0f} steps/s, fit {pace['clean']:.0f} "
            f"({share['clean']:.2f}), with noise {pace['noisy']:.0f} ({share['noisy']:.2f})")  # fmt: skip


def import_seconds(statement: str, rounds: int = 5) -> float:
    code = f"import time; start = time.perf_counter(); {statement}; print(time.perf_counter() - start)"
    run = lambda: float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)  # noqa: E731
    return min(run() for _ in range(rounds))


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--steps", type=int, default=300)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    print(f"a MEN of {count_parameters(make(MEN, Setting(SHAPES, 1, TASK), width=16))} weights, one thread")
    for longest, batch_size in ((1, 32), (1, 128), (20, 32)):
        print(measure(longest, batch_size, chosen.steps, chosen.rounds), flush=True)
    for statement in ("import torch", "import robustmer", "import robustmer as rm; rm.NMER; rm.fit; rm.evaluate"):
        print(f"{statement}: {import_seconds(statement):.2f} s", flush=True)
