"""Generating Missing Modalities: A Conditional Diffusion and Transformer Approach for Emotion Recognition.

Table 1, the ablations and the second table that the paper announces and does not print. Systems learn with a share of
their rows incomplete and are tested in each of the cases. Published: CDTP 72.5 ACC on CMU-MOSI, 0.2 above MPLMM in 30
of 36 cells, which the audit finds implausible: printed beside ours, and nobody's target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature

from robustmer.conditions import CLEAN, missing, missing_modes
from robustmer.papers import protocol
from robustmer.papers.protocol import Profile, Spelling, Unit, units
from robustmer.recipe import Recipe
from robustmer.systems import (
    CDTP,
    MCTN,
    MISA,
    MMIM,
    MMIN,
    MPLMM,
    MPMM,
    LogReg,
    Majority,
    MISAWithCompletion,
    MMIMWithCompletion,
    MulT,
)
from robustmer.train import Budget

DROP_RATE = 0.2  # CDTP 4.3

# The paper's 256 wide, 6 layers and 8 heads are 90 million parameters, for 240 rows of RAVDESS. These are the sizes and
# the learning rate of MulT's and the released code (peers' notes: width 30, 5 heads, 5 layers), a million parameters.
SMALL = {"width": 30, "heads": 5, "layers": 5, "lr": 1e-3}

SEQUENCES = ("iemocap_mmin", "mosei_sentiment", "mosi_multibench_sentiment")
FRAMES = 50
"""The corpora of sequences, the paper's own, and how many frames stand in for a modality that one of them lacks: as
many as MulT's files have at most. All others are vectors, of one frame."""

# 50 epochs in batches of 32 (CDTP 4.3), at least 400 steps: 50 epochs of RAVDESS's 240 training rows.
PAPER_BUDGET = Budget(epochs=50, min_steps=400, batch_size=32, checks=20)

PROFILES = {
    "smoke": Profile(
        Budget(epochs=1, max_steps=3, checks=1, batch_size=32),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_sentiment": 1},
        folds={"synthetic": (0,), "ravdess_av": (0,)},
        size="smoke",
    ),
    "quick": Profile(
        Budget(epochs=20, min_steps=120, max_steps=120, batch_size=32, checks=10),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_sentiment": 1} | dict.fromkeys(SEQUENCES, 1),
        folds={"synthetic": (0, 3, 6), "ravdess_av": (0, 2, 4), "iemocap_mmin": (0, 3, 6)},
    ),
    "paper": Profile(
        PAPER_BUDGET,
        seeds={"ravdess_av": 5, "mosi_sentiment": 5, "synthetic": 5} | dict.fromkeys(SEQUENCES, 5),
        folds={"synthetic": (0, 3, 6), "ravdess_av": tuple(range(6)), "iemocap_mmin": tuple(range(10))},
        whole=True,
    ),
}


def profile_named(name: str) -> Profile:
    """The profile of that name. Raises LookupError with the names there are."""
    return protocol.named(PROFILES, name)


SPELLING: Spelling = {
    "majority class": (Majority, {}),
    "LogReg": (LogReg, {}),
    "LB": (MulT, SMALL),
    "MS": (MulT, SMALL),
    "MD": (MulT, SMALL),
    "MCTN": (MCTN, {}),
    "MMIN": (MMIN, {}),
    "MPMM": (MPMM, SMALL),
    "MPLMM": (MPLMM, SMALL),
    "CDTP": (CDTP, SMALL),
    "MPLMM w/o generative": (MPLMM, SMALL | {"generative": False}),
    "MPLMM w/o signal": (MPLMM, SMALL | {"signal": False}),
    "MPLMM w/o type": (MPLMM, SMALL | {"type": False}),
    "CDTP w/o prompts": (CDTP, SMALL | {"generative": False, "signal": False, "type": False}),
    "CDTP by DDPM": (CDTP, SMALL | {"sampler": "ddpm"}),
    "CDTP from the middle": (CDTP, SMALL | {"start": "zero"}),
    "CDTP w/o diffusion": (CDTP, SMALL | {"start": "mean"}),
    "MISA": (MISA, {}),
    "MISA + completion": (MISAWithCompletion, {}),
    "MMIM": (MMIM, {}),
    "MMIM + completion": (MMIMWithCompletion, {}),
}
"""The systems as the published table spells them, the simple ones beside them, the ablations and the backbones."""

TRAINED_WITH_CASES = ("MCTN", "MMIN", "MPMM", "MPLMM", "CDTP")
ABLATIONS = ("MPLMM w/o generative", "MPLMM w/o signal", "MPLMM w/o type", "CDTP w/o prompts", "CDTP by DDPM",
             "CDTP from the middle", "CDTP w/o diffusion")
BACKBONES = ("MISA", "MISA + completion", "MMIM", "MMIM + completion")


def recipes(
    profile: str = "paper",
    corpora: Sequence[str] | None = None,
    first_seed: int = 0,
    tables: Sequence[str] | None = None,
) -> list[Recipe]:
    """Every training behind these of TABLES (all, if not given), on these corpora."""
    p = profile_named(profile)
    return [
        recipe
        for unit in units(p, SPELLING, corpora, first_seed)
        for table in tables or TABLES
        if p.whole or table == "1" or unit.first
        for recipe in TABLES[table](unit)
    ]


def table_1(unit: Unit) -> Iterator[Recipe]:
    """Eight systems by what is available at test. LB is a system for each case; MS has seen whole rows only. All rows
    of the test part lack the same modalities, as the paper's columns say."""
    cases, incompletely = missing(unit.modalities), missing_modes(unit.modalities, DROP_RATE)
    everywhere = (CLEAN, *cases)
    yield unit.recipe("majority class", CLEAN, everywhere)
    yield unit.recipe("LogReg", incompletely, everywhere)
    for case in cases:
        yield unit.recipe("LB", case, (case,))
    yield unit.recipe("MS", CLEAN, everywhere)
    yield from incompletely_trained(unit, ("MD", *TRAINED_WITH_CASES))


def ablations(unit: Unit) -> Iterator[Recipe]:
    """What the paper announces (abstract, 5) and does not print: prompts off one at a time, diffusion without prompts,
    DDPM instead of DDIM (as many steps), sampling from the middle of all starts instead of noise, and the mean in the
    place of what the diffusion draws. Without any prompt MPLMM is MD."""
    yield from incompletely_trained(unit, ABLATIONS)


def backbones(unit: Unit) -> Iterator[Recipe]:
    """The second table that CDTP 4.5 announces: MISA and MMIM with the completion in front of them and without."""
    yield from incompletely_trained(unit, BACKBONES)


def incompletely_trained(unit: Unit, names: Sequence[str]) -> Iterator[Recipe]:
    train, test = missing_modes(unit.modalities, DROP_RATE), (CLEAN, *missing(unit.modalities))
    for name in names:
        completes = "frames" in signature(SPELLING[name][0]).parameters
        frames = {"frames": FRAMES} if completes and unit.corpus in SEQUENCES else {}
        yield unit.recipe(name, train, test, **frames)


TABLES = {"1": table_1, "ablations": ablations, "backbones": backbones}
"""What each table is computed from. Only the first is printed in the paper."""
