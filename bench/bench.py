"""What a training costs on this machine: steps, epochs, memory, many trainings at once, and the floor under them.

`make bench` writes a table and a JSON file. Nothing here is a test: seconds belong to a machine.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import joblib
import pandas as pd
import torch

from robustmer.conditions import CLEAN, corrupt, incomplete, missing, missing_modes
from robustmer.corpora import synthetic
from robustmer.cost import PARTS, limited, random_batch, step_cost
from robustmer.grid import check_device, commit, device_name
from robustmer.nn.completion import Completion
from robustmer.noise import Gaussian, NoiseScheduler, stream
from robustmer.systems import SYSTEMS
from robustmer.train import POOL, Budget, fit, seeded

ROWS, TRAIN_ROWS = 128, 4446  # NMER 3.3 and Table 1: a batch, and the training rows of an IEMOCAP fold
STEPS = 7
SYSTEMS_OF_NMER = ("LogReg", "MEN", "MCTN", "MMIN", "IFMMIN", "NMER", "NMERWithoutVAE")

# CMU-MOSI as MulT's and CDTP's public code reads it, in the batch of CDTP 4.3 and the sizes of that code.
PROMPT_ROWS, PROMPT_DIMS = 32, {"audio": 5, "visual": 20, "text": 768}
PROMPT_LONGEST = dict.fromkeys(PROMPT_DIMS, 50)
PROMPT_SIZES = {"width": 30, "heads": 5, "layers": 5}
SYSTEMS_OF_CDTP = {"MulT": {}, "MPMM": {}, "MPLMM": {"frames": 50}, "CDTP": {"frames": 50}}
AT_ONCE = {"cpu": (1, 2), "cuda": (1, 4, 16, 64)}


def bench(systems: Sequence[str], device: str = "cpu", threads: int = 2, at_once: str = "NMER") -> dict[str, object]:
    """Everything measured, as JSON types. Each system is measured in a process of its own, for its peak memory.

    Shapes of part I are IEMOCAP's: 128 rows of 155 x 130 audio, 50 x 342 visual, 22 x 1024 text, four classes; steps
    at full length, epochs with lengths drawn like real ones, in batches of similar length and not. Those of part II are
    what CDTP's public code reads: 32 rows of 50 frames, 5, 20 and 768 wide, two rows in ten incomplete, or none.
    """
    check_device(device)
    unknown = [name for name in systems if name not in SYSTEMS]
    if unknown:
        raise LookupError(f"no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}")
    known = {"commit": commit(), "device": device_name(device), "processor": processor(), "cores": os.cpu_count(),
             "threads": threads, "torch": torch.__version__, "rows": ROWS, "longest": synthetic.LONGEST,
             "dims": synthetic.DIMS}
    measured, prompted = [], []
    for name in systems:
        print(f"measuring {name}", file=sys.stderr)
        (prompted if name in SYSTEMS_OF_CDTP else measured).append(in_its_own_process(name, device, threads))
    return known | {"rates": rates(device, threads), "systems": measured, "cdtp": prompted,
                    "at_once": [throughput(at_once, n, device) for n in AT_ONCE[device.split(":")[0]]]}


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def in_its_own_process(name: str, device: str, threads: int) -> dict[str, object]:
    command = [sys.executable, "-m", "robustmer.bench", name, device, str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def measure(name: str, device: str, threads: int) -> dict[str, object]:
    """One system: a step of each stage at full length, an epoch with real lengths, peak memory."""
    conditions = incomplete(tuple(synthetic.DIMS), NoiseScheduler(Gaussian(), snr_db=-10))
    batch = random_batch(ROWS).to(device)
    cost = step_cost(new(name, device), batch, conditions, STEPS, threads)
    peak = peak_bytes(device)
    longest = max(cost.stages, key=lambda stage: stage.share)
    epochs = {how: epoch_seconds(name, device, threads, conditions, bucket)
              for how, bucket in (("similar lengths", True), ("any lengths", False))}
    return {
        "system": name, "parameters": cost.parameters, "step_seconds": longest.seconds, "step_flops": longest.flops,
        "step_bytes": 2 * longest.kept_bytes + UPDATE_BYTES * cost.read,
        "parts": {part: longest.parts[part] for part in PARTS}, "rows_per_second": ROWS / longest.seconds,
        "stages": {s.name: {"share": s.share, "seconds": s.seconds, "flops": s.flops} for s in cost.stages},
        "epoch_seconds": epochs, "padded_epoch_seconds": longest.seconds * TRAIN_ROWS / ROWS, "peak_bytes": peak,
    }  # fmt: skip


UPDATE_BYTES = 4 * (2 + 2 + 7)
"""A parameter is read forward and backward, its gradient written and read, and AdamW reads four numbers (parameter,
gradient, two moments) and writes three; what the backward pass needs is written once and read once."""


def new(name: str, device: str):
    with seeded("bench"):
        return SYSTEMS[name](synthetic.DIMS, synthetic.CLASSES).to(device)


def epoch_seconds(name: str, device: str, threads: int, conditions, bucket: bool) -> float:
    """Of TRAIN_ROWS rows with real lengths, all that `fit` does in the last stage: measured on the second epoch of a
    part of it, as many rows as are sorted together."""
    rows = POOL * ROWS
    part = random_batch(rows, ragged=True).to(device)
    few = part[:4]
    budget = Budget(epochs=0, min_steps=2 * POOL, max_steps=2 * POOL, batch_size=ROWS, checks=2)
    with limited(threads):
        records = list(fit(new(name, device), part, few, conditions, budget, seed="bench", bucket=bucket))
    last = [r["seconds"] for r in records if r["stage"] == records[-1]["stage"]]
    return (last[1] - last[0]) * TRAIN_ROWS / rows


def measure_prompted(name: str, device: str, threads: int) -> dict[str, object]:
    """One system of part II: a step with 20% of the rows incomplete and with none, and what completes a whole batch."""
    options = PROMPT_SIZES | SYSTEMS_OF_CDTP[name]
    batch = random_batch(PROMPT_ROWS, PROMPT_DIMS, PROMPT_LONGEST, classes=2).to(device)
    steps = {}
    for how, conditions in (("none", CLEAN), ("20%", missing_modes(batch.modalities, 0.2))):
        with seeded("bench"):
            made = SYSTEMS[name](PROMPT_DIMS, ("negative", "positive"), **options).to(device)
        cost = step_cost(made, batch, conditions, STEPS, threads)
        steps[how] = {s.name: {"seconds": s.seconds, "flops": s.flops} for s in cost.stages}
    found = {"system": name, "parameters": cost.parameters, "steps": steps}
    if isinstance(getattr(made, "completion", None), Completion):
        cases = missing(batch.modalities)
        seen = corrupt(batch, cases, stream("bench"))  # every row lacks something
        found["complete"] = {}
        with limited(threads):
            for count in (5, 20, 50):
                made.completion.steps = count
                found["complete"][count] = best(lambda: made.eval().completion.complete(seen), device, 3)
    return found | {"peak_bytes": peak_bytes(device)}


def peak_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rates(device: str, threads: int) -> dict[str, float]:
    """The floor's two numbers: products a second of a large matrix, and bytes a second of a large copy, both ways."""
    size, length = (8192, 2**28) if device.startswith("cuda") else (2048, 2**26)
    a, big = torch.randn(size, size, device=device), torch.empty(length, device=device)
    target = torch.empty_like(big)
    with limited(threads):
        return {"flops_per_second": 2 * size**3 / best(lambda: a @ a, device),
                "bytes_per_second": 2 * 4 * length / best(lambda: target.copy_(big), device)}


def best(work, device: str, times: int = 5) -> float:
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    seconds = []
    for _ in range(1 + times):
        wait()
        start = time.perf_counter()
        work()
        wait()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def throughput(name: str, trainings: int, device: str) -> dict[str, object]:
    """So many short trainings at once, a process each with one thread of the CPU, from the first start to the last end;
    a first round, not counted, starts the processes."""
    with joblib.Parallel(n_jobs=trainings, batch_size=1) as pool:
        for steps in (1, TOGETHER):
            start = time.perf_counter()
            done = sum(pool(joblib.delayed(train)(name, device, steps) for _ in range(trainings)))
            seconds = time.perf_counter() - start
    return {"system": name, "trainings": trainings, "steps_per_second": done / seconds}


TOGETHER = 24


def train(name: str, device: str, steps: int) -> int:
    """Steps that were made, of all stages, on batches with real lengths."""
    torch.set_num_threads(1)
    part = random_batch(4 * ROWS, ragged=True).to(device)
    conditions = incomplete(part.modalities, NoiseScheduler(Gaussian(), snr_db=-10))
    budget = Budget(epochs=0, min_steps=steps, max_steps=steps, batch_size=ROWS, checks=1)
    return sum(record["step"] for record in fit(new(name, device), part, part[:4], conditions, budget, seed="bench"))


def table(measured: dict) -> pd.DataFrame:
    """The systems as a table: a step and its parts, an epoch, memory, and the step's floor."""
    rate = measured["rates"]
    rows = []
    for system in measured["systems"]:
        floor = {"by products": system["step_flops"] / rate["flops_per_second"],
                 "by bytes": system["step_bytes"] / rate["bytes_per_second"]}
        shares = {part: f"{seconds / system['step_seconds']:.0%}" for part, seconds in system["parts"].items()}
        rows.append({
            "system": system["system"], "step, s": round(system["step_seconds"], 3),
            "floor, s": round(max(floor.values()), 3), "rows/s": round(system["rows_per_second"]), **shares,
            "epoch, s": round(system["epoch_seconds"]["similar lengths"], 1),
            "any lengths": round(system["epoch_seconds"]["any lengths"], 1),
            "full length": round(system["padded_epoch_seconds"], 1), "peak, MB": round(system["peak_bytes"] / 2**20),
        })  # fmt: skip
    return pd.DataFrame(rows)


def prompted_line(line: dict) -> str:
    last = {how: list(stages.values())[-1]["seconds"] for how, stages in line["steps"].items()}
    text = (f"{line['system']}, 32 rows of 50 frames: {last['none']:.3f} s a step with nothing missing, "
            f"{last['20%']:.3f} s with 20% of the rows incomplete, peak {line['peak_bytes'] / 2**20:.0f} MB")
    return text + "".join(f"; all 32 completed in {count} steps: {seconds:.2f} s"
                          for count, seconds in line.get("complete", {}).items())


def main(systems: Sequence[str], device: str, threads: int, out: Path) -> None:
    measured = bench(systems, device, threads)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(measured, indent=1) + "\n")
    rate = measured["rates"]
    print(f"{measured['device']} ({measured['processor']}), {threads} threads, torch {measured['torch']}, commit "
          f"{measured['commit']}: {rate['flops_per_second'] / 1e9:.0f} GFLOP/s in products, "
          f"{rate['bytes_per_second'] / 1e9:.1f} GB/s in copies")
    print(table(measured).to_string(index=False))
    for line in measured["cdtp"]:
        print(prompted_line(line))
    for line in measured["at_once"]:
        together = f"{line['trainings']} training{'s' * (line['trainings'] > 1)} of {line['system']} at once"
        print(f"{together}: {line['steps_per_second']:.2f} steps a second")
    print(f"written to {out}")


if __name__ == "__main__":
    way = measure_prompted if sys.argv[1] in SYSTEMS_OF_CDTP else measure
    print(json.dumps(way(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
