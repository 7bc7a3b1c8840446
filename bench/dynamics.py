"""The step of MDVAE, its inference and its memory: 64 sequences of 30 frames on two threads.

    python bench/dynamics.py [--device cuda] [--sequences 64]

The frozen encoders have read the frames before, as they have in a training; inputs are numbers of 512 and 2,048 values a
frame from a stub codec. The rate of large matrix products, measured in turns with the steps, gives the floor.
Memory is the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time

import torch

from robustmer.batch import Batch, collate
from robustmer.systems import MDVAE, System, count_parameters
from robustmer.tasks import OwnError
from robustmer.training import learn

FRAMES, VALUES = 30, {"audio": 512, "visual": 2048}
SHAPES = {"audio": (1,), "visual": (1, 1, 1)}


class Ready(System):
    """A codec of so many values that is never asked to read frames."""

    def __init__(self, shapes, task, modality: str):
        super().__init__()
        self.latent_width = VALUES[modality]
        self.weight = torch.nn.Parameter(torch.zeros(()))


def samples(sequences: int, device: str) -> Batch:
    draw = torch.Generator().manual_seed(0)
    frames = {m: torch.randn(sequences, FRAMES, *shape, generator=draw).numpy() for m, shape in SHAPES.items()}
    latents = {f"{m} latent": torch.randn(sequences, FRAMES, width, generator=draw) for m, width in VALUES.items()}
    return collate(frames).replace(targets=latents).to(device)


def seconds(work, device: str, times: int) -> list[float]:
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    taken = []
    for _ in range(times):
        wait()
        start = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - start)
    return taken


def measure(sequences: int, device: str, threads: int, rounds: int) -> dict[str, object]:
    torch.set_num_threads(threads)
    codecs = {f"{m}_codec": Ready(SHAPES, OwnError(), m) for m in VALUES}
    system = MDVAE(SHAPES, OwnError(), **codecs, codecs=("audio", "visual")).to(device)
    (objective,), batch = system.objectives().values(), samples(sequences, device)
    optimizer = objective.optimizer(list(objective.params))
    inputs = system.values(batch, known=True)

    @torch.no_grad()
    def infer():
        system.decode(system.posterior(inputs, sample=False)[0])

    works = {"step": lambda: learn(objective, optimizer, batch, batch), "inference": infer}
    for work in works.values():
        seconds(work, device, 3)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.startswith("cuda"):
        memory = torch.cuda.max_memory_allocated() / 2**20
    size = 8192 if device.startswith("cuda") else 2048
    matrix = torch.randn(size, size, device=device)
    works["product"] = lambda: matrix @ matrix
    taken = {name: [t for _ in range(rounds) for t in seconds(work, device, 3)] for name, work in works.items()}
    rate = 2 * size**3 / min(taken["product"])
    flops = 2 * sequences * FRAMES * sum(p.numel() for p in system.own_parameters() if p.ndim == 2)
    return {
        "weights": count_parameters(system) - len(VALUES), "sequences": sequences, "frames": FRAMES,
        "device": device, "threads": threads,
        **{f"{name}_ms": {"median": 1e3 * statistics.median(taken[name]), "least": 1e3 * min(taken[name])}
           for name in ("step", "inference")},
        "gflop_per_second": rate / 1e9, "floor_step_ms": 3e3 * flops / rate, "peak_mb": memory,
    }  # fmt: skip


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sequences", type=int, default=64)
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--rounds", type=int, default=6)
    chosen = options.parse_args()
    print(json.dumps(measure(chosen.sequences, chosen.device, chosen.threads, chosen.rounds), indent=1))
