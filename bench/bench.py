"""What a training costs on this machine: steps, epochs, memory, many trainings at once, and the floor under them.

`make bench` prints a table and writes a JSON file. Nothing is a test: seconds belong to a machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import joblib
import pandas as pd
import torch
from cost import PARTS, cost_of, limited, random_batch

from robustmer.batching import POOL
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, corrupt, drop, incomplete, missing
from robustmer.corpora.synthetic import CLASSES, DIMS, LONGEST
from robustmer.experiments import check_device, path_of, runs
from robustmer.experiments.provenance import commit, processor
from robustmer.laws import Setting, make
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import SYSTEMS
from robustmer.tasks import Classify
from robustmer.training import fit

SAMPLES, TRAIN_SAMPLES = 128, 4446  # NMER 3.3 and Table 1: a batch, and the train split of an IEMOCAP fold
STEPS = 7
IEMOCAP = Setting({m: (dim,) for m, dim in DIMS.items()}, 1, Classify("emotion", CLASSES))
SYSTEMS_OF_NMER = ("LogReg", "MEN", "MCTN", "MMIN", "IFMMIN", "NMER", "NMERWithoutVAE")

# CMU-MOSI as MulT's and CDTP's public code reads it, in the batch of CDTP 4.3 and the sizes of that code.
MOSI = Setting({"audio": (5,), "visual": (20,), "text": (768,)}, 50, Classify("sentiment", ("negative", "positive")))
MOSI_SAMPLES, MOSI_SIZES = 32, {"width": 30, "heads": 5, "layers": 5}
SYSTEMS_OF_CDTP = {"MulT": {}, "MPMM": {}, "MPLMM": {"frames": 50}, "CDTP": {"frames": 50}}
AT_ONCE = {"cpu": (1, 2), "cuda": (1, 4, 16, 64)}
TOGETHER = 24
"""Steps of each of the trainings that run at once."""

UPDATE_BYTES = 4 * (2 + 2 + 7)
"""A parameter is read forward and backward, its gradient written and read, and AdamW reads four numbers (parameter,
gradient, two moments) and writes three; what the backward pass needs is written once and read once."""


def bench(systems: Sequence[str], device: str = "cpu", threads: int = 2, at_once: str = "NMER") -> dict[str, object]:
    """Everything measured, as JSON types. Each system is measured in a process of its own, for its peak memory.

    Shapes of part I are IEMOCAP's: 128 samples of 155 x 130 audio, 50 x 342 visual, 22 x 1024 text, four classes; steps
    at full length, epochs with lengths drawn like real ones, in batches of similar length and not. Those of part II are
    what CDTP's public code reads: 32 samples of 50 frames, 5, 20 and 768 wide, two in ten incomplete, or none.
    """
    known = {"commit": commit(), "device": device_name(device), "processor": processor(), "cores": os.cpu_count(),
             "threads": threads, "torch": torch.__version__, "rows": SAMPLES,
              "longest": LONGEST, "dims": DIMS}  # fmt: skip
    measured, prompted = [], []
    for name in systems:
        print(f"measuring {name}", file=sys.stderr)
        (prompted if name in SYSTEMS_OF_CDTP else measured).append(in_its_own_process(name, device, threads))
    return known | {"rates": rates(device, threads), "systems": measured, "cdtp": prompted,
                    "at_once": [throughput(at_once, n, device) for n in AT_ONCE[device.partition(":")[0]]]}  # fmt: skip


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu"


def in_its_own_process(name: str, device: str, threads: int) -> dict[str, object]:
    command = [sys.executable, __file__, "--only", name, "--device", device, "--threads", str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def noisy():
    return incomplete(tuple(DIMS), NoiseScheduler(snr_db=-10))


def measure(name: str, device: str, threads: int) -> dict[str, object]:
    """One system of part I: a step at full length, an epoch with real lengths, peak memory. Steps of its upstream
    systems, which are shorter, stand beside."""
    batch = random_batch(SAMPLES, IEMOCAP, LONGEST).to(device)
    cost = cost_of(SYSTEMS[name], IEMOCAP, batch, noisy(), STEPS, threads)
    peak = peak_bytes(device)
    epochs = {how: epoch_seconds(name, device, threads, bucket)
              for how, bucket in (("similar lengths", True), ("any lengths", False))}  # fmt: skip
    return {
        "system": name, "parameters": cost.parameters, "step_seconds": cost.seconds, "step_flops": cost.flops,
        "step_bytes": 2 * cost.kept_bytes + UPDATE_BYTES * cost.read,
        "parts": {part: cost.parts[part] for part in PARTS}, "samples_per_second": SAMPLES / cost.seconds,
        "upstream": {key: {"system": part.system, "share": share, "seconds": part.seconds, "flops": part.flops}
                     for key, (share, part) in cost.upstream.items()},
        "step_seconds_with_upstream": cost.seconds_with_upstream,
        "epoch_seconds": epochs, "padded_epoch_seconds": cost.seconds * TRAIN_SAMPLES / SAMPLES, "peak_bytes": peak,
    }  # fmt: skip


def epoch_seconds(name: str, device: str, threads: int, bucket: bool) -> float:
    """Of TRAIN_SAMPLES samples with real lengths, all that `fit` does: measured on the second epoch of as many samples
    as are sorted together."""
    samples = POOL * SAMPLES
    train = random_batch(samples, IEMOCAP, LONGEST, ragged=True).to(device)
    budget = Budget(epochs=0, min_steps=2 * POOL, max_steps=2 * POOL, batch_size=SAMPLES, checks=2)
    with limited(threads):
        system = make(SYSTEMS[name], IEMOCAP).to(device)
        first, second = fit(system, train, train[:4], noisy(), budget, seed="bench", bucket=bucket).records
    return (second["seconds"] - first["seconds"]) * TRAIN_SAMPLES / samples


def measure_prompted(name: str, device: str, threads: int) -> dict[str, object]:
    """One system of part II: a step with 20% of the samples incomplete and with none, and the imputation of a batch."""
    options = MOSI_SIZES | SYSTEMS_OF_CDTP[name]
    batch = random_batch(MOSI_SAMPLES, MOSI, dict.fromkeys(MOSI.shapes, MOSI.longest)).to(device)
    steps = {}
    for how, mixture in (("none", CLEAN), ("20%", drop(batch.modalities, 0.2))):
        cost = cost_of(SYSTEMS[name], MOSI, batch, mixture, STEPS, threads, **options)
        steps[how] = {SYSTEMS[name].phase: {"seconds": cost.seconds, "flops": cost.flops}}
        steps[how] |= {key: {"seconds": part.seconds, "flops": part.flops} for key, (_, part) in cost.upstream.items()}
    measured = {"system": name, "parameters": cost.parameters, "steps": steps}
    if hasattr(SYSTEMS[name], "imputed"):
        observed = corrupt(batch, missing(batch.modalities), stream("bench"))  # every sample lacks something
        measured["complete"] = {}
        with limited(threads):
            for count in (5, 20, 50):
                system = make(SYSTEMS[name], MOSI, **options, steps=count).to(device).eval()
                with torch.no_grad():
                    measured["complete"][count] = best(lambda s=system: s.imputed(observed), device, 3)
    return measured | {"peak_bytes": peak_bytes(device)}


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
                "bytes_per_second": 2 * 4 * length / best(lambda: target.copy_(big), device)}  # fmt: skip


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
            made = sum(pool(joblib.delayed(train)(name, device, steps) for _ in range(trainings)))
            seconds = time.perf_counter() - start
    return {"system": name, "trainings": trainings, "steps_per_second": made / seconds}


def train(name: str, device: str, steps: int) -> int:
    """Steps that were made, on batches with real lengths."""
    torch.set_num_threads(1)
    samples = random_batch(4 * SAMPLES, IEMOCAP, LONGEST, ragged=True).to(device)
    budget = Budget(epochs=0, min_steps=steps, max_steps=steps, batch_size=SAMPLES, checks=1)
    system = make(SYSTEMS[name], IEMOCAP).to(device)
    return fit(system, samples, samples[:4], noisy(), budget, seed="bench").records[-1]["step"]


def table(measured: dict) -> pd.DataFrame:
    """The systems as a table: a step and its parts, an epoch, memory, and the step's floor."""
    rate = measured["rates"]
    rows = []
    for system in measured["systems"]:
        floor = {"by products": system["step_flops"] / rate["flops_per_second"],
                 "by bytes": system["step_bytes"] / rate["bytes_per_second"]}  # fmt: skip
        shares = {part: f"{seconds / system['step_seconds']:.0%}" for part, seconds in system["parts"].items()}
        rows.append({
            "system": system["system"], "step, s": round(system["step_seconds"], 3),
            "floor, s": round(max(floor.values()), 3), "samples/s": round(system["samples_per_second"]), **shares,
            "with upstream, s": round(system["step_seconds_with_upstream"], 3),
            "epoch, s": round(system["epoch_seconds"]["similar lengths"], 1),
            "any lengths": round(system["epoch_seconds"]["any lengths"], 1),
            "full length": round(system["padded_epoch_seconds"], 1), "peak, MB": round(system["peak_bytes"] / 2**20),
        })  # fmt: skip
    return pd.DataFrame(rows)


def prompted_line(line: dict) -> str:
    phase = SYSTEMS[line["system"]].phase
    seconds = {how: steps[phase]["seconds"] for how, steps in line["steps"].items()}
    text = (f"{line['system']}, {MOSI_SAMPLES} samples of 50 frames: {seconds['none']:.3f} s a step with nothing "
            f"missing, {seconds['20%']:.3f} s with 20% of the samples incomplete, peak "
            f"{line['peak_bytes'] / 2**20:.0f} MB")  # fmt: skip
    return text + "".join(f"; all imputed in {count} steps: {seconds:.2f} s"
                          for count, seconds in line.get("complete", {}).items())  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="*", help="such as NMER (default: those of both papers)")
    parser.add_argument("--device", default="cpu", metavar="NAME", help="cpu, cuda, cuda:1, ... (default: cpu)")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of the CPU (default: 2)")
    parser.add_argument("-o", "--output", metavar="OUT.json", help="where to write (default: bench.json below runs/)")
    parser.add_argument("--only", metavar="NAME", help="measure one system in this process and print its JSON")
    chosen = parser.parse_args()
    unknown = [name for name in [*chosen.systems, *filter(None, [chosen.only])] if name not in SYSTEMS]
    if unknown or chosen.threads < 1:
        parser.error(
            f"no system {unknown[0]!r}; there are {', '.join(SYSTEMS)}" if unknown else "give --threads 1 or more"
        )
    if chosen.only:
        how = measure_prompted if chosen.only in SYSTEMS_OF_CDTP else measure
        print(json.dumps(how(chosen.only, chosen.device, chosen.threads)))
        return
    out = path_of(chosen.output) if chosen.output else runs() / "bench.json"
    try:
        check_device(chosen.device)
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        with open(out, "a"):  # an hour of measurements must not be lost to a path that cannot be written
            pass
    except (ValueError, OSError) as error:
        parser.error(str(error))
    measured = bench(chosen.systems or [*SYSTEMS_OF_NMER, *SYSTEMS_OF_CDTP], chosen.device, chosen.threads)
    Path(out).write_text(json.dumps(measured, indent=1) + "\n")
    rate = measured["rates"]
    print(f"{measured['device']} ({measured['processor']}), {chosen.threads} threads, torch {measured['torch']}, "
          f"commit {measured['commit']}: {rate['flops_per_second'] / 1e9:.0f} GFLOP/s in products, "
          f"{rate['bytes_per_second'] / 1e9:.1f} GB/s in copies")  # fmt: skip
    print(table(measured).to_string(index=False))
    for line in measured["cdtp"]:
        print(prompted_line(line))
    for line in measured["at_once"]:
        together = f"{line['trainings']} training{'s' * (line['trainings'] > 1)} of {line['system']} at once"
        print(f"{together}: {line['steps_per_second']:.2f} steps a second")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
