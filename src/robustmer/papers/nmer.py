"""Learning Noise-Robust Joint Representation for Multimodal Emotion Recognition under Incomplete Data Scenarios.

Tables 2 to 5 and the ablation: MEN trained on clean data, the other systems under the noise and level of the test,
beside the majority class and logistic regression trained clean and noisy. Expected on IEMOCAP (published): NMER 0.76 WA
at -10 dB, 0.71 at -40 dB, Gaussian. What the paper does not have ("transfer", "old ways") ends the list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pandas as pd

from robustmer.batch import LETTERS
from robustmer.conditions import CLEAN, Condition, everything, incomplete, missing
from robustmer.corpora import about
from robustmer.noise import ZEROS, Gaussian, Impulse, Kind, NoiseScheduler, kind_name, kind_power
from robustmer.papers import protocol
from robustmer.papers.protocol import Profile, Spelling, Unit, units
from robustmer.recipe import Recipe
from robustmer.statistics import average_over_conditions, holm, paired
from robustmer.systems import IFMMIN, MCTN, MEN, MMIN, NMER, LogReg, Majority, NMERWithoutVAE
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
        noises=tuple(NOISES),
    ),
    "quick": Profile(
        Budget(epochs=20, min_steps=150, max_steps=150, batch_size=64, checks=10),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_bclstm": 1, "iemocap_mmin": 1, "mosei_multibench": 1},
        folds={"synthetic": (0, 3, 6), "ravdess_av": (0, 2, 4), "iemocap_mmin": (0, 3, 6)},
        levels_db=(-10.0, -40.0),
        noises=("gaussian",),
    ),
    "paper": Profile(
        PAPER_BUDGET,
        seeds={"synthetic": 3, "ravdess_av": 3, "mosi_bclstm": 5, "iemocap_mmin": 3, "mosei_multibench": 3},
        folds={"synthetic": tuple(range(10)), "ravdess_av": tuple(range(6)), "iemocap_mmin": tuple(range(10))},
        size="paper",
        pooled=False,
        levels_db=LEVELS_DB,
        noises=tuple(NOISES),
        whole=True,
    ),
}


def profile_named(name: str) -> Profile:
    """The profile of that name. Raises LookupError with the names there are."""
    return protocol.named(PROFILES, name)


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
    """NMER minus each of the others, averaged over conditions and paired, by noise and level: `other`, what
    `statistics.paired` gives, and `p_holm`, corrected for all of these. Rows are those of one dataset and metric."""
    out = []
    for (noise, level), part in averaged(rows).groupby(["noise", "snr_db"], sort=False):
        here = [other for other in others if {"NMER", other} <= set(part["system"])]
        out += [{"noise": noise, "snr_db": level, "other": other} | paired(part, "NMER", other) for other in here]
    found = pd.DataFrame(out)
    return found.assign(p_holm=holm(found["p"])) if out else found


def incomplete_headers(dataset: str) -> list[str]:
    """The columns of Table 3 for a corpus, by its spelling in tables: `a`, `v`, `l`, ... as its modalities allow."""
    modalities = tuple(about(dataset).modalities)
    return [c.header(modalities) for c in incomplete(modalities, NoiseScheduler(steps=1))]


def recipes(
    profile: str = "paper",
    corpora: Sequence[str] | None = None,
    levels_db: Sequence[float] | None = None,
    first_seed: int = 0,
    noises: Sequence[str] | None = None,
    tables: Sequence[str] | None = None,
) -> list[Recipe]:
    """Every training behind these of TABLES (all, if not given), on these corpora, levels and kinds of noise (those of
    the profile, if not given). Each (system, training condition, fold, seed) is one training."""
    p = profile_named(profile)
    chosen = dict(levels_db=levels_db or p.levels_db, noises=noises or p.noises)
    return [
        recipe
        for unit in units(p, SPELLING, corpora, first_seed)
        for table in tables or TABLES
        if p.whole or table == "2" or unit.first
        for recipe in TABLES[table](unit, **chosen)
    ]


UNI_MODAL = "unimodal classifier"
SPELLING: Spelling = {
    "majority class": (Majority, {}),
    "LogReg": (LogReg, {}),
    "MEN": (MEN, {}),
    UNI_MODAL: (MEN, {}),  # a MEN that is shown one modality and zeros for the rest
    "MCTN": (MCTN, {}),
    "MMIN": (MMIN, {}),
    "IF-MMIN": (IFMMIN, {}),
    "NMER": (NMER, {}),
    "w/o VAE": (NMERWithoutVAE, {}),
    "w/o L_inv": (NMER, {"weight_inv": 0.0}),
}
"""The systems as the published tables spell them, and the simple ones that stand beside them."""

NOISY = ", noisy training"
INCOMPLETE_SYSTEMS = ("MCTN", "MMIN", "IF-MMIN", "NMER")
ABLATIONS = ("w/o VAE", "w/o L_inv")


def schedulers(noises: Sequence[str], levels_db: Sequence[float]) -> list[NoiseScheduler]:
    return [NoiseScheduler(NOISES[noise], snr_db=level) for noise in noises for level in levels_db]


def trained_clean(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """Systems that learn clean data and are tested under every condition, once for all tables."""
    everywhere = (CLEAN, *(c for s in schedulers(noises, levels_db) for c in every_condition(unit.modalities, s)))
    for name in ("LogReg", "MEN"):
        yield unit.recipe(name, CLEAN, everywhere)
    yield unit.recipe("majority class", CLEAN, (CLEAN,))


def trained_incomplete(
    unit: Unit, levels_db: Sequence[float], noises: Sequence[str], names: Sequence[str]
) -> Iterator[Recipe]:
    """Systems that learn under the incomplete conditions of the noise and level that they are tested at."""
    for scheduler in schedulers(noises, levels_db):
        for name in names:
            yield unit.recipe(name, incomplete(unit.modalities, scheduler),
                              (CLEAN, *every_condition(unit.modalities, scheduler)))


def table_2(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """Systems by noise and level. Table 3 is its NMER by condition. Logistic regression and MEN are trained with the
    same noise too, which the paper does not do: else its gain mixes another network with training on noise."""
    yield from trained_clean(unit, levels_db, noises)
    names = ("LogReg" + NOISY, "MEN" + NOISY, *INCOMPLETE_SYSTEMS)
    yield from trained_incomplete(unit, levels_db, noises, names)


def table_4(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """One modality alone under Gaussian noise. The paper does not say whether its classifier learnt the noise: both."""
    if "gaussian" not in noises:
        return
    levels = schedulers(["gaussian"], levels_db)
    for m in unit.modalities:
        clean = Condition(seen=(m,))
        noisy = {s: Condition(noise={m: s}, seen=(m,)) for s in levels}
        for name in ("LogReg", UNI_MODAL):
            yield unit.recipe(f"{name}, {LETTERS[m]}", clean, (clean, *noisy.values()))
            for condition in noisy.values():
                yield unit.recipe(f"{name}, {LETTERS[m]}{NOISY}", condition, (condition,))


def table_5(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """All modalities noisy, a training for each level (NMER 3.1). MEN is the clean one of Table 2."""
    for scheduler in schedulers(noises, levels_db):
        condition = everything(unit.modalities, scheduler)
        for name in ("LogReg" + NOISY, "MEN" + NOISY, *INCOMPLETE_SYSTEMS):
            yield unit.recipe(name, condition, (CLEAN, condition))


def ablation(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """NMER without its VAE and without its invariance loss (NMER 3.6.4)."""
    yield from trained_incomplete(unit, levels_db, noises, ABLATIONS)


CURVE_DB = (5.0, 0.0, -5.0, -10.0, -15.0, -20.0, -30.0, -40.0, -50.0)
"""Test levels of the continuous curves. No T is at +10 dB for unit variance: T=1 is at 30 dB and T=2 at 9.5 dB."""


def at_true_db(level_db: float, kind: Kind) -> NoiseScheduler:
    """Noise whose true SNR is `level_db`; for impulse noise the nominal one is then 5.23 dB lower."""
    return NoiseScheduler(kind, snr_db=round(level_db + 10 * math.log10(kind_power(kind)), 2))


def beyond_the_tables(unit: Unit) -> tuple[bool, bool]:
    """What is not in the paper is computed for the first seed, and with fewer trainings below profile paper. Returns
    whether this unit is computed at all, and whether with all trainings."""
    return unit.seed == 0, unit.profile.whole


def transfer(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """Trained under one noise and level, tested under others: clean, Gaussian at each level and at all levels at once,
    impulse at the first and last. Both kinds whatever `noises`, since they are compared; impulse trainings are at the
    true SNR of the Gaussian ones. Systems are named after their training, so that no other table takes their rows."""
    computed, whole = beyond_the_tables(unit)
    if not computed:
        return
    impulse, ends = NOISES["impulse"], dict.fromkeys((levels_db[0], levels_db[-1]))
    every = schedulers(["gaussian"], levels_db)
    curve = schedulers(["gaussian"], sorted({*CURVE_DB, *levels_db}, reverse=True))
    alike = {level: at_true_db(level, impulse) for level in (ends if whole else levels_db[:1])}
    impulses = incomplete_under(unit, [s for level in alike for s in (NoiseScheduler(impulse, level), alike[level])])
    on_levels = (CLEAN, *incomplete_under(unit, every))
    everywhere = (CLEAN, *(c for s in curve for c in every_condition(unit.modalities, s)), *impulses)
    for name in ("LogReg", "MEN", "NMER"):
        all_trainings = whole or name != "NMER"  # which costs most
        if all_trainings:
            yield unit.recipe(f"{name}, trained clean", CLEAN, everywhere)
            for s in alike.values():
                yield unit.recipe(f"{name}, trained {noise_name(s)}", incomplete_under(unit, [s]),
                                  (*on_levels, *impulses))
        for s in every:
            yield unit.recipe(f"{name}, trained {noise_name(s)}", incomplete_under(unit, [s]),
                              everywhere if s.snr_db in ends else on_levels)
        if all_trainings and len(every) > 1:
            yield unit.recipe(f"{name}, trained at all levels", incomplete_under(unit, every), everywhere)


def incomplete_under(unit: Unit, each: Sequence[NoiseScheduler]) -> tuple[Condition, ...]:
    return tuple(c for scheduler in each for c in incomplete(unit.modalities, scheduler))


def noise_name(scheduler: NoiseScheduler) -> str:
    return f"{kind_name(scheduler.kind)} {scheduler.snr_db:g} dB"


def old_ways(unit: Unit, levels_db: Sequence[float], noises: Sequence[str]) -> Iterator[Recipe]:
    """What is not clean is zeros, absent or noisy: each as training, and each as test (NMER 3.2 and 3.6.2 (2)).
    The noise is Gaussian whatever `noises`."""
    computed, whole = beyond_the_tables(unit)
    if not computed:
        return
    every = schedulers(["gaussian"], levels_db)
    zeros, absent = incomplete(unit.modalities, ZEROS), missing(unit.modalities)
    tests = (CLEAN, *zeros, *absent, *incomplete_under(unit, every))
    for name in ("LogReg", "MEN"):
        yield unit.recipe(f"{name}, trained clean", CLEAN, tests)
    for name in ("LogReg", "MEN", "MMIN"):
        yield unit.recipe(f"{name}, trained zeros", zeros, tests)
        yield unit.recipe(f"{name}, trained absent", absent, tests)
        for s in dict.fromkeys((every[0], every[-1]) if whole or name != "MMIN" else every[-1:]):
            yield unit.recipe(f"{name}, trained {noise_name(s)}", incomplete_under(unit, [s]), tests)


TABLES = {"2": table_2, "4": table_4, "5": table_5, "ablation": ablation,
          "transfer": transfer, "old ways": old_ways}
"""What each table of the paper is computed from; 3 is a part of 2, and 1 counts rows. The last two are not its own."""


def rows_of(table: str, rows: pd.DataFrame, profile: str = "paper") -> pd.DataFrame:
    """Those rows that belong to one of TABLES."""
    return rows[rows["key"].isin({r.key for r in recipes(profile, tables=[table])})]
