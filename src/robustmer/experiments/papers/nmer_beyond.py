"""Experiments beyond NMER's tables: one training tested under many noises ("transfer"), and zeros or absence in place
of noise ("old ways"). Its measured trainings were made with other kernels of the linear-algebra library, so they
are kept apart from those of the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

from robustmer.conditions import CLEAN, Condition, Mixture, incomplete, missing, uniform
from robustmer.corpora import Corpus, Request
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.nmer import METRICS, NOISES, Column, conditions_under
from robustmer.experiments.papers.profiles import Grid
from robustmer.experiments.tables import Place, Table
from robustmer.noise import ZEROS, Kind, NoiseScheduler, kind_name, kind_power

STUDY = replace(nmer.STUDY, name="nmer_beyond")
CURVE_DB = (5.0, 0.0, -5.0, -10.0, -15.0, -20.0, -30.0, -40.0, -50.0)
"""Test levels of the continuous curves. No T is at +10 dB for unit variance: T=1 is at 30 dB and T=2 at 9.5 dB."""


class Row(NamedTuple):
    """A system by its training: `trained` is clean, zeros, absent, all levels, or a kind of noise at a level (dB)."""

    system: str
    trained: str
    trained_level: float | None = None

    def __str__(self) -> str:
        return f"{self.system} trained {self.trained} {nmer.db(self.trained_level)}".strip()


Tests = Mapping[Column, Sequence[Condition]]
Trainings = Iterator[tuple[Row, Condition | Mixture, Tests]]
ON_CLEAN: Tests = {Column("", condition="clean"): (CLEAN,)}


def at_true_db(level_db: float, kind: Kind) -> NoiseScheduler:
    """Noise whose true SNR is `level_db`; for impulse noise the nominal one is then 5.23 dB lower."""
    return NoiseScheduler(kind, snr_db=round(level_db + 10 * math.log10(kind_power(kind)), 2))


def gaussian(*levels_db: float) -> list[NoiseScheduler]:
    return [NoiseScheduler(NOISES["gaussian"], snr_db=level) for level in levels_db]


def under(modalities: Sequence[str], schedulers: Sequence[NoiseScheduler], none: bool = False) -> Tests:
    """The tests under these noises, by their column without a metric; with `none` also all modalities noisy."""
    return {Column("", kind_name(s.kind), s.snr_db, name): tests for s in schedulers
            for name, tests in conditions_under(modalities, s).items() if none or name != "none"}  # fmt: skip


def transfer(grid: Grid, levels_db: Sequence[float]) -> Trainings:
    """Trained under one noise and level, tested under others: clean, Gaussian at each level and at all levels at once,
    impulse at the first and last, at the true SNR of the Gaussian ones and at the same nominal one."""
    modalities, impulse, whole = grid.modalities, NOISES["impulse"], grid.profile.whole
    ends = tuple(dict.fromkeys((levels_db[0], levels_db[-1])))
    alike = {level: at_true_db(level, impulse) for level in (ends if whole else ends[:1])}
    impulses = under(modalities, [s for level in alike for s in (NoiseScheduler(impulse, snr_db=level), alike[level])])
    on_levels = ON_CLEAN | under(modalities, gaussian(*levels_db))
    curve = gaussian(*sorted({*CURVE_DB, *levels_db}, reverse=True))
    everywhere = ON_CLEAN | under(modalities, curve, none=True) | impulses
    for name in ("LogReg", "MEN", "NMER"):
        for s in gaussian(*levels_db):
            tests = everywhere if s.snr_db in ends else on_levels
            yield Row(name, "gaussian", s.snr_db), incomplete(modalities, s), tests
        if not whole and name == "NMER":  # which costs most
            continue
        yield Row(name, "clean"), CLEAN, everywhere
        for s in alike.values():
            yield Row(name, "impulse", s.snr_db), incomplete(modalities, s), on_levels | impulses
        if len(levels_db) > 1:
            every = uniform([c for s in gaussian(*levels_db) for c in incomplete(modalities, s)])
            yield Row(name, "all levels"), every, everywhere


def old_ways(grid: Grid, levels_db: Sequence[float]) -> Trainings:
    """Modalities that are not clean are zeros, absent or noisy (Gaussian), in training and in test (NMER 3.2 and 3.6.2
    (2))."""
    modalities, ends = grid.modalities, dict.fromkeys((levels_db[0], levels_db[-1]))
    mixtures = {"zeros": incomplete(modalities, ZEROS), "absent": missing(modalities)}
    tests = ON_CLEAN | under(modalities, gaussian(*levels_db))
    for name, mixture in mixtures.items():
        tests |= {Column("", name, None, c.header(modalities)): (c,) for c in mixture}
        tests |= {Column("", name): tuple(mixture)}
    for name in ("LogReg", "MEN", "MMIN"):
        if name != "MMIN":
            yield Row(name, "clean"), CLEAN, tests
        for trained, mixture in mixtures.items():
            yield Row(name, trained), mixture, tests
        for s in gaussian(*ends if grid.profile.whole or name != "MMIN" else levels_db[-1:]):
            yield Row(name, "gaussian", s.snr_db), incomplete(modalities, s), tests


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = "synthetic", levels_db: tuple[float, ...] = (),
    first_seed: int = 0, folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The tables "transfer" and "old ways" on one corpus, for one seed. Profiles other than the full protocol have
    fewer trainings."""
    grid, made = STUDY.grid(profile, corpus, first_seed, 1, folds).part(), {}
    for number, trainings in (("transfer", transfer), ("old ways", old_ways)):
        places = {
            (row, column._replace(metric=metric)): Place(grid.cells(row.system, mixture, tests, metric))
            for row, mixture, columns in trainings(grid, levels_db or grid.profile.levels_db)
            for column, tests in columns.items() for metric in METRICS
        }  # fmt: skip
        made[number] = grid.table(number, TITLES[number], places)
    return made


TITLES = {"transfer": "one training under many noises", "old ways": "zeros, absence or noise"}
recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""
