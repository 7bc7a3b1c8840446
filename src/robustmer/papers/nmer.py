"""Learning Noise-Robust Joint Representation for Multimodal Emotion Recognition under Incomplete Data Scenarios.

Table 2 and Table 3: MEN trained on clean data, NMER trained under the incomplete conditions of one noise and level, all
tested under every condition. Expected on IEMOCAP (published): NMER 0.76 WA at -10 dB, 0.71 at -40 dB, Gaussian.
Logistic regression, clean and noisy, stands beside them as the simple baseline.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustmer.conditions import CLEAN, Condition, everything, incomplete
from robustmer.corpora import CORPORA, about
from robustmer.noise import Gaussian, Impulse, Kind, NoiseScheduler
from robustmer.recipe import Recipe
from robustmer.results import average_over_conditions, paired
from robustmer.systems import MEN, NMER, LogReg
from robustmer.train import Budget

LEVELS_DB = (-10.0, -20.0, -30.0, -40.0)
NOISES: dict[str, Kind] = {"gaussian": Gaussian(), "impulse": Impulse(p=0.3)}


def noise_kind(name: str) -> Kind:
    """The paper's kind of noise of that name. Raises LookupError with the names there are."""
    if name not in NOISES:
        raise LookupError(
            f"no noise {name!r}; the paper has {' and '.join(NOISES)}. For your own, hand a callable to NoiseScheduler"
        )
    return NOISES[name]


@dataclass(frozen=True)
class Profile:
    """How much of the paper's protocol is run. `folds` and `seeds` are the numbers used, `size` that of `synthetic`."""

    budget: Budget
    seeds: dict[str, int]
    folds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    size: str = "quick"
    pooled: bool = True  # one vector an utterance: NMER then converges in seconds, on sequences in an hour
    levels_db: tuple[float, ...] = LEVELS_DB


# 60 epochs as in the paper (3.3), but at least 600 steps: 60 epochs of RAVDESS's 240 training rows are 120. On its
# validation speakers (folds 0 to 2, -10 and -40 dB) NMER is best between steps 200 and 400 of a 400-step training and
# MEN earlier; 600 leaves a margin. Every stage of every system has this budget (NMER's teacher half of it, on top).
PAPER_BUDGET = Budget(epochs=60, min_steps=600, checks=20)

PROFILES = {
    "smoke": Profile(
        Budget(epochs=1, max_steps=3, checks=1),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_bclstm": 1},
        folds={"synthetic": (0,), "ravdess_av": (0,)},
        size="smoke",
        levels_db=(-10.0,),
    ),
    "quick": Profile(
        Budget(epochs=20, min_steps=300, max_steps=300, checks=10),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_bclstm": 1},
        folds={"synthetic": (0, 3, 6), "ravdess_av": (0, 2, 4)},
        levels_db=(-10.0, -40.0),
    ),
    "paper": Profile(
        PAPER_BUDGET,
        seeds={"synthetic": 3, "ravdess_av": 3, "mosi_bclstm": 5},
        folds={"synthetic": tuple(range(10)), "ravdess_av": tuple(range(6))},
        size="paper",
        pooled=False,
    ),
}


def profile_named(name: str) -> Profile:
    """The profile of that name. Raises LookupError with the names there are."""
    if name not in PROFILES:
        raise LookupError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]


def every_condition(modalities: Sequence[str], scheduler: NoiseScheduler) -> tuple[Condition, ...]:
    """The incomplete conditions and the all-noisy one: six and one for three modalities, two and one for two."""
    return (*incomplete(modalities, scheduler), everything(modalities, scheduler))


def trained_with(recipes: Sequence[Recipe], scheduler: NoiseScheduler) -> list[Recipe]:
    """Those recipes whose training conditions use exactly this noise and level."""
    return [r for r in recipes if any(scheduler in c.noise.values() for c in r.train)]


def averaged(rows: pd.DataFrame) -> pd.DataFrame:
    """The tables' "Avg": for each training and metric the plain mean over the incomplete conditions of its corpus."""
    parts = [average_over_conditions(part, incomplete_headers(dataset)) for dataset, part in rows.groupby("dataset")]
    return pd.concat(parts, ignore_index=True)


def differences(rows: pd.DataFrame, others: Sequence[str]) -> pd.DataFrame:
    """NMER minus each of the others, averaged over conditions and paired, by noise and level: `other` and what
    `results.paired` gives. Rows are those of one dataset and metric."""
    out = []
    for (noise, level), part in averaged(rows).groupby(["noise", "snr_db"], sort=False):
        here = [other for other in others if {"NMER", other} <= set(part["system"])]
        out += [{"noise": noise, "snr_db": level, "other": other} | paired(part, "NMER", other) for other in here]
    return pd.DataFrame(out)


def incomplete_headers(dataset: str) -> list[str]:
    """The columns of Table 3 for a corpus, by its spelling in tables: `a`, `v`, `l`, ... as its modalities allow."""
    modalities = tuple(about(dataset).modalities)
    return [c.header(modalities) for c in incomplete(modalities, NoiseScheduler(steps=1))]


def recipes(
    profile: str = "paper",
    corpora: Sequence[str] | None = None,
    levels_db: Sequence[float] | None = None,
    first_seed: int = 0,
) -> list[Recipe]:
    """Every training behind Tables 2 and 3, on these corpora (all three, if not given) and at these levels (those of
    the profile, if not given). Each (system, training condition, fold, seed) is one training."""
    p = profile_named(profile)
    return [r for corpus in corpora or p.seeds for r in table_2(p, corpus, levels_db or p.levels_db, first_seed)]


def table_2(p: Profile, corpus: str, levels_db: Sequence[float], first_seed: int) -> Iterator[Recipe]:
    if corpus not in p.seeds:
        raise LookupError(f"no recipes for the corpus {corpus!r}; there are some for {', '.join(p.seeds)}")
    modalities = tuple(CORPORA[corpus].ABOUT.modalities)
    options = {"size": p.size, "pooled": p.pooled} if corpus == "synthetic" else {}
    levels = [NoiseScheduler(kind, snr_db=level) for kind in NOISES.values() for level in levels_db]
    all_tests = (CLEAN, *(c for s in levels for c in every_condition(modalities, s)))
    for seed in range(first_seed, first_seed + p.seeds[corpus]):
        for fold in p.folds.get(corpus, (0,)):
            same = dict(corpus=corpus, fold=fold, seed=seed, budget=p.budget, corpus_options=options)
            for system in (LogReg, MEN):  # trained on clean data
                yield Recipe(system, train=(CLEAN,), test=all_tests, **same)
            for scheduler in levels:
                tests = (CLEAN, *every_condition(modalities, scheduler))
                for system in (LogReg, MEN, NMER):  # trained with noise, the only way to train NMER
                    name = f"{system.__name__}, noisy training" if system is not NMER else ""
                    yield Recipe(system, train=incomplete(modalities, scheduler), test=tests, **same, name=name)
