"""A training step of the two codecs of VQ-MDVAE, in the published sizes: 64 RGB pictures, 1,024 power spectra.

Prints and writes results/measured/mdvae/codecs.json: seconds of a step (sample, forward, backward, Adam, codebook), its
floating-point operations, and the seconds that its products alone would take at the rate of a large matrix product,
measured beside it. One thread is measured in CPU seconds, which other programs disturb least, several by the clock.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch
from cost import Watch, every_product, limited, median_parts, total

from robustmer.batch import Batch, collate
from robustmer.experiments import project
from robustmer.experiments.provenance import commit, processor
from robustmer.laws import Setting, make
from robustmer.systems import VQVAE, System
from robustmer.tasks import Reconstruct
from robustmer.training import learn

STEPS = 7
PICTURES, SPECTRA = Setting({"visual": (3, 64, 64)}, 16), Setting({"audio": (513,)}, 128)
CODECS = {
    "64 RGB pictures": (PICTURES, {}),
    "64 RGB pictures, narrow residual": (PICTURES, {"residual": "narrow"}),
    "1,024 power spectra": (SPECTRA, {"modality": "audio"}),
}


def frames_of(setting: Setting) -> Batch:
    """Twice as many frames as a step reads, of 16 samples: bytes for pictures, power for spectra."""
    ((modality, shape),) = setting.shapes.items()
    draw, size = np.random.default_rng(0), (16, setting.longest, *shape)
    x = draw.integers(0, 256, size, dtype=np.uint8) if len(shape) == 3 else draw.exponential(size=size)
    return collate({modality: list(x)})


def step_seconds(system: System, batch: Batch, threads: int) -> tuple[float, int]:
    """Median seconds of a step, and the operations of its products."""
    (objective,) = system.train().objectives().values()
    optimizer, watch = objective.optimizer(list(objective.params)), Watch(batch.device.type, threads)
    with limited(threads):
        step = lambda: watch.lap("step", lambda: learn(objective, optimizer, batch, batch))  # noqa: E731
        seconds = median_parts(step, STEPS, watch)["step"]
        with every_product() as counter:
            total(objective, batch, batch).backward()
    return seconds, counter.get_total_flops()


def rate(device: str, threads: int) -> float:
    """Operations a second of a large matrix product, the best of five."""
    size = 8192 if device.startswith("cuda") else 1536
    a, watch = torch.randn(size, size, device=device), Watch(torch.device(device).type, threads)
    best = []
    with limited(threads):
        for _ in range(6):
            watch.parts = {}
            watch.lap("product", lambda: a @ a)
            best.append(watch.parts["product"])
    return 2 * size**3 / min(best[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU (default: 1)")
    chosen = parser.parse_args()
    product = rate(chosen.device, chosen.threads)
    measured: dict[str, object] = {"commit": commit(), "processor": processor(), "device": chosen.device,
                                   "threads": chosen.threads, "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"),
                                   "products": round(product / 1e9, 1)}  # fmt: skip
    for name, (setting, options) in CODECS.items():
        (modality,) = setting.shapes
        task = Reconstruct((modality,))
        system = make(VQVAE, Setting(setting.shapes, task=task), **options).to(chosen.device)
        seconds, flops = step_seconds(system, frames_of(setting).to(chosen.device), chosen.threads)
        measured[name] = {
            "seconds": round(seconds, 4),
            "gflop": round(flops / 1e9, 1),
            "floor": round(flops / product, 4),
        }
        print(f"{name}: {seconds:.3f} s a step, {flops / 1e9:.1f} GFLOP, which take {flops / product:.3f} s at "
              f"{product / 1e9:.0f} GFLOP/s")  # fmt: skip
    file = project() / "results/measured/mdvae/codecs.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(measured, indent=1) + "\n")


if __name__ == "__main__":
    main()
