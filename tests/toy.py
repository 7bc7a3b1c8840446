"""A corpus and systems that a grid trains in milliseconds. None of them is registered anywhere."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from robustmer.batch import collate
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition
from robustmer.corpora import Corpus, Split
from robustmer.experiments.grid import Summary, compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe
from robustmer.nn.encoders import mlp
from robustmer.noise import NoiseScheduler
from robustmer.systems.system import AdamW, Objective, System, Upstream

MODALITIES = ("audio", "text", "pulse")
SHORT = Budget(epochs=0, min_steps=3, checks=1, batch_size=8)
NOISY = Condition(noise={"audio": NoiseScheduler(snr_db=0, tolerance_db=None)})


def corpus(name: str = "toy", seed: int = 0, samples: int = 48) -> Corpus:
    """Three modalities of vectors, one of them with a name of its own; two classes; six speakers in three folds."""
    draw = np.random.default_rng(seed)
    label = np.arange(samples) % 2
    sequences = {m: [draw.normal(3 * c, 1, (draw.integers(1, 4), 2)) for c in label] for m in MODALITIES}
    speaker = np.array([f"s{i // 2 % 6}" for i in range(samples)])
    folds = [tuple(np.flatnonzero(np.isin(speaker, part)) for part in parts) for parts in (
        (["s0", "s1", "s2", "s3"], ["s4"], ["s5"]),
        (["s2", "s3", "s4", "s5"], ["s0"], ["s1"]),
        (["s4", "s5", "s0", "s1"], ["s2"], ["s3"]),
    )]  # fmt: skip
    batch = collate(sequences, {"emotion": label}, speaker=speaker, name=name)
    return Corpus(name, batch, {"emotion": ("calm", "cross")}, Split("by speaker", folds))


class Tiny(System):
    """A linear classifier on the mean frame of every modality; `note` leaves a file for each training."""

    def __init__(self, shapes, task, lr: float = 0.05, note: str = ""):
        super().__init__()
        self.task, self.lr, self.note = task, lr, note
        self.linear = mlp(sum(shape[0] for shape in shapes.values()), 4, task.outputs)

    def forward(self, observed):
        means = [x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
                 for x, mask in map(observed.frames, observed.modalities)]  # fmt: skip
        return self.linear(torch.cat(means, dim=1))

    def loss(self, clean, observed):
        return {"task": self.task.loss(self(observed), clean)}

    def objectives(self):
        if self.note:
            Path(self.note, f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return {"all": Objective(self.loss, self.parameters(), AdamW(self.lr))}


class Student(Tiny):
    """It starts from a Tiny that learnt clean data."""

    phase = "student"
    upstream = {"teacher": Upstream(Tiny, {CLEAN: 1.0}, share=0.5, passes=("note",))}

    def __init__(self, shapes, task, teacher, lr: float = 0.05, note: str = "", weight: float = 1.0):
        super().__init__(shapes, task, lr, note)
        self.teacher, self.weight = teacher, weight

    def loss(self, clean, observed):
        return super().loss(clean, observed) | {
            "imitate": self.weight * (self(observed) - clean.targets["logits"]).square().mean()
        }

    def targets(self, clean):
        return {"logits": self.teacher(clean)}

    def objectives(self):
        return super().objectives() | {"all": Objective(self.loss, self.own_parameters(), AdamW(self.lr))}


class Slow(Tiny):
    """A training of `seconds`."""

    def __init__(self, shapes, task, lr: float = 0.05, note: str = "", seconds: float = 1.0):
        super().__init__(shapes, task, lr, note)
        self.seconds = seconds

    def objectives(self):
        objectives = super().objectives()
        time.sleep(self.seconds)
        return objectives


class Raising(Tiny):
    """Its training raises an error."""

    def objectives(self):
        super().objectives()
        raise RuntimeError("this system\ncannot learn")


class Diverging(Tiny):
    """Its loss is not a number."""

    def loss(self, clean, observed):
        return {"task": super().loss(clean, observed)["task"] * float("nan")}


class Imitator(Student):
    """A student of a teacher that diverges."""

    upstream = {"teacher": Upstream(Diverging, passes=("note",))}


class Orphan(Student):
    """A student of a teacher whose training raises an error."""

    upstream = {"teacher": Upstream(Raising, passes=("note",))}


class Killing(Tiny):
    """Its training ends the process that computes it, as a lack of memory does."""

    def objectives(self):
        super().objectives()
        os.kill(os.getpid(), 9)


CORPUS = corpus()


def recipes(count: int, system=Tiny, data=CORPUS, **options) -> list[Recipe]:
    return [Recipe(system, data, seed=seed, budget=SHORT, options=options) for seed in range(count)]


def run(jobs, ledger: Ledger, **options) -> Summary:
    """compute, quietly; recipes without conditions are scored on clean and on noisy data."""
    return compute(
        jobs if isinstance(jobs, dict) else dict.fromkeys(jobs, (CLEAN, NOISY)), ledger, progress=False, **options
    )


def values(ledger: Ledger) -> pd.Series:
    return ledger.scores().set_index(["key", "condition", "metric"])["value"].sort_index()
