"""Generating Missing Modalities: A Conditional Diffusion and Transformer Approach for Emotion Recognition.

Table 1, the ablations and the second table that the paper announces and does not print. Systems learn with a share of
their samples incomplete and are tested in each of the cases. Published: CDTP 72.5 ACC on CMU-MOSI, 0.2 above MPLMM in
30 of 36 cells, which is implausible. They are printed next to ours; no training aims at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import NamedTuple

import pandas as pd

from robustmer import systems
from robustmer.conditions import CLEAN, drop, missing
from robustmer.corpora import Corpus, Request
from robustmer.experiments.contrasts import Claim, Contrast, difference
from robustmer.experiments.papers.profiles import Grid, Profile, Study, printed, published
from robustmer.experiments.tables import Place, Table
from robustmer.systems.system import option_defaults
from robustmer.training import Budget

DROP_RATE = 0.2  # CDTP 4.3

# The paper's 256 wide, 6 layers and 8 heads are 90 million parameters, for 240 samples of RAVDESS. These are the sizes
# and the learning rate of MulT's and the released code (width 30, 5 heads, 5 layers), a million parameters.
SMALL = {"width": 30, "heads": 5, "layers": 5, "lr": 1e-3}

SEQUENCES = ("iemocap_mmin", "mosei_sentiment", "mosi_multibench_sentiment")
FRAMES = 50
"""The paper's own corpora, which are sequences, and the number of frames that replace a missing modality: the longest
length in MulT's files. All other corpora are vectors of one frame."""

# 50 epochs in batches of 32 (CDTP 4.3), at least 400 steps: 50 epochs of RAVDESS's 240 training samples.
PAPER_BUDGET = Budget(epochs=50, min_steps=400, batch_size=32, checks=20)

PROFILES = {
    "smoke": Profile(
        Budget(epochs=1, max_steps=3, checks=1, batch_size=32),
        {"synthetic": 1, "ravdess_av": 1, "mosi_sentiment": 1}, size="smoke",
    ),
    "quick": Profile(
        Budget(epochs=20, min_steps=60, max_steps=60, batch_size=32, checks=5),
        seeds={"synthetic": 1, "ravdess_av": 1, "mosi_sentiment": 1} | dict.fromkeys(SEQUENCES, 1),
        folds={"synthetic": (0, 3), "ravdess_av": (0, 2), "iemocap_mmin": (0, 3)},
    ),
    "paper": Profile(
        PAPER_BUDGET, seeds={"ravdess_av": 5, "mosi_sentiment": 5, "synthetic": 5} | dict.fromkeys(SEQUENCES, 5),
        folds={"synthetic": (0, 3, 6), "ravdess_av": tuple(range(6)), "iemocap_mmin": tuple(range(10))}, whole=True,
    ),
}  # fmt: skip

SPELLING = {
    "majority class": (systems.Majority, {}), "LogReg": (systems.LogReg, {}), "LB": (systems.MulT, SMALL),
    "MS": (systems.MulT, SMALL), "MD": (systems.MulT, SMALL), "MCTN": (systems.MCTN, {}), "MMIN": (systems.MMIN, {}),
    "MPMM": (systems.MPMM, SMALL), "MPLMM": (systems.MPLMM, SMALL), "CDTP": (systems.CDTP, SMALL),
    "MPLMM w/o generative": (systems.MPLMM, SMALL | {"generative": False}),
    "MPLMM w/o signal": (systems.MPLMM, SMALL | {"signal": False}),
    "MPLMM w/o type": (systems.MPLMM, SMALL | {"type": False}),
    "CDTP w/o prompts": (systems.CDTP, SMALL | {"generative": False, "signal": False, "type": False}),
    "CDTP by DDPM": (systems.CDTP, SMALL | {"sampler": "ddpm"}),
    "CDTP from the middle": (systems.CDTP, SMALL | {"start": "zero"}),
    "CDTP w/o diffusion": (systems.CDTP, SMALL | {"start": "mean"}),
    "MISA": (systems.MISA, {}), "MISA + completion": (systems.MISAWithCompletion, {}),
    "MMIM": (systems.MMIM, {}), "MMIM + completion": (systems.MMIMWithCompletion, {}),
}  # fmt: skip
COUNTERPART = {"CMU-MOSI sentiment": "CMU-MOSI", "CMU-MOSI sentiment (MultiBench)": "CMU-MOSI", "IEMOCAP": "IEMOCAP",
               "CMU-MOSEI sentiment": "CMU-MOSEI", "RAVDESS-AV": "IEMOCAP", "synthetic": "IEMOCAP"}  # fmt: skip
"""The paper's corpus that is compared with ours."""
STUDY = Study("cdtp", PROFILES, SPELLING, COUNTERPART)


class Row(NamedTuple):
    """A system; all but LB (its own case) and MS (complete samples) learn with a share of incomplete samples."""

    system: str

    def __str__(self) -> str:
        return {"LogReg": "LogReg trained with gaps"}.get(self.system, self.system)


class Column(NamedTuple):
    """A metric under a condition: the letters of the available modalities, `clean`, or `avg`, the mean over the
    cases."""

    metric: str
    condition: str

    def __str__(self) -> str:
        return f"{self.metric} {self.condition}"


THEIRS = {"audio": "a", "visual": "v", "text": "t"}
"""The paper's letters."""
MAJORITY, BAR = Row("majority class"), Row("LogReg")
NETWORKS = tuple(map(Row, ("LB", "MS", "MD", "MCTN", "MMIN", "MPMM", "MPLMM", "CDTP")))
SYSTEMS = (MAJORITY, BAR, *NETWORKS)
PROMPTS = tuple(map(Row, ("MPLMM w/o generative", "MPLMM w/o signal", "MPLMM w/o type")))
DIFFUSION = tuple(map(Row, ("CDTP w/o prompts", "CDTP by DDPM", "CDTP from the middle", "CDTP w/o diffusion")))
ABLATIONS = (BAR, Row("MD"), Row("MPLMM"), *PROMPTS, Row("CDTP"), *DIFFUSION)
BACKBONES = (BAR, *map(Row, ("MISA", "MISA + completion", "MMIM", "MMIM + completion")))

OF_CLASSES = {"ACC": "WA", "F1": "F1"}
OF_NUMBERS = {"ACC": "acc2_non0", "F1": "f1_non0", "ACC has-0": "acc2_has0", "F1 has-0": "f1_has0", "ACC-7": "acc7",
              "MAE": "mae", "Corr": "corr"}  # fmt: skip
"""The names in print -> ours, of classes and of sentiment. The paper does not say which of the two conventions its
binary accuracy follows; ACC and F1 are as in MulT's code, which leaves out samples of sentiment 0. Section 4.1 names
ACC-7, MAE and Corr, and the paper prints none of them."""


def places(grid: Grid, rows: Sequence[Row]) -> dict[tuple[Row, Column], Place]:
    """All samples of the test split lack the same modalities, as the paper's columns say. LB is a training for each
    case, and its mean is over trainings; MS learns complete samples only, the others 20% incomplete ones. Without any
    prompt MPLMM is MD. The paper's average is over six cases, so it is printed beside six only."""
    known = printed("cdtp", 1, ("system", "condition", "metric"), scale=0.01)
    modalities, cases, made = grid.modalities, tuple(missing(grid.modalities)), {}
    tests = {"avg": cases} | {c.header(modalities): (c,) for c in cases} | {"clean": (CLEAN,)}
    theirs = {c.header(modalities): c.header(modalities, THEIRS) for c in cases}
    theirs |= {"avg": "avg"} if len(cases) == 6 else {}
    metrics = OF_CLASSES if next(iter(grid.corpus.labels.values())) else OF_NUMBERS
    for row, (condition, under), (metric, own) in product(rows, tests.items(), metrics.items()):
        if row.system == "LB":
            cells = tuple(cell for c in under if c != CLEAN for cell in grid.cells("LB", c, (c,), own))
        else:
            mixture = CLEAN if row.system in ("MS", MAJORITY.system) else drop(modalities, DROP_RATE)
            completes = "frames" in option_defaults(SPELLING[row.system][0]) and grid.corpus.name in SEQUENCES
            cells = grid.cells(row.system, mixture, under, own, **({"frames": FRAMES} if completes else {}))
        if cells:
            shown = known.get((row.system, theirs.get(condition), metric), {})
            made[row, Column(metric, condition)] = Place(cells, shown)
    return made


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = "synthetic", first_seed: int = 0, seeds: int | None = None,
    folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The tables on one corpus: "1" (the paper's), "ablations" (announced in its abstract and section 5: prompts off
    one at a time, diffusion without prompts, DDPM in as many steps, sampling from the middle of all starts, the mean in
    place of what the diffusion draws) and "backbones" (announced in 4.5: MISA and MMIM behind the completion)."""
    grid = STUDY.grid(profile, corpus, first_seed, seeds, folds)
    made = [
        grid.table("1", "systems by what is available", places(grid, SYSTEMS), BAR),
        grid.table("ablations", "prompts and diffusion off", places(grid.part(), ABLATIONS), BAR),
        grid.table("backbones", "a completion before another system", places(grid.part(), BACKBONES), BAR),
    ]
    return {table.number: table for table in made}


recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""


# --- claims -----------------------------------------------------------------------------------------------------------


def by_case(corpus: str | Corpus | Request) -> dict[str, Table]:
    """The tables in ACC by case: 16 of the 46 printed averages are not those of their cells."""
    part = {number: table.where(metric="ACC") for number, table in tables("paper", corpus).items()}
    cases = [column.condition for column in part["1"].columns if column.condition not in ("avg", "clean")]
    return {number: table.where(condition=cases) for number, table in part.items()}


def claims(corpus: str | Corpus | Request = "ravdess_av") -> list[Claim]:
    """The text's claims about results, as differences in ACC, mean over the cases."""
    t = by_case(corpus)

    def ahead(number: str, more: str, *others: Row) -> tuple[Contrast, ...]:
        return tuple(difference(t[number], Row(more), other) for other in others)

    by_completion = [ahead("backbones", f"{name} + completion", Row(name))[0] for name in ("MISA", "MMIM")]
    return [
        Claim("4.4", "CDTP is ahead of all baselines", ahead("1", "CDTP", *NETWORKS[:-1])),
        Claim("abstract", "it enhances accuracy substantially (read: over MPLMM)", ahead("1", "CDTP", Row("MPLMM"))),
        Claim("4.4", "dropping modalities in training helps: MD is ahead of MS", ahead("1", "MD", Row("MS"))),
        Claim("abstract, 5", "each prompt helps (announced, not printed)", ahead("ablations", "MPLMM", *PROMPTS)),
        Claim("abstract, 5", "prompts and diffusion help (announced, not printed)",
              ahead("ablations", "CDTP", Row("CDTP w/o prompts"), Row("CDTP w/o diffusion"))),
        Claim("4.5", "a completion helps MISA and MMIM (announced, not printed)", tuple(by_completion)),
        Claim("ours", "CDTP is ahead of logistic regression trained with the same gaps", ahead("1", "CDTP", BAR)),
    ]  # fmt: skip


def planned(corpus: str | Corpus | Request = "ravdess_av") -> list[Contrast]:
    """CDTP minus each of the others in ACC, mean over the cases."""
    t, others = by_case(corpus), (*NETWORKS[1:-1], NETWORKS[0], Row("CDTP w/o diffusion"), BAR)
    return [difference(t["ablations" if other in DIFFUSION else "1"], Row("CDTP"), other) for other in others]


# --- the paper's arithmetic -------------------------------------------------------------------------------------------


def averages() -> pd.DataFrame:
    """Each row of Table 1 whose six cells are printed, in percent: the printed average, the mean of the cells, and
    whether any six numbers that round to these cells have an average that rounds to the printed one."""
    table = published("cdtp", 1)
    cases = table[table["condition"] != "avg"].groupby(["dataset", "system", "metric"], sort=False)["value"]
    stated = table[table["condition"] == "avg"].set_index(["dataset", "system", "metric"])["value"]
    out = pd.DataFrame({"printed": stated, "mean of six": cases.mean()})[cases.count() == 6].dropna().reset_index()
    off = out["printed"] - out["mean of six"]
    return out.assign(difference=off, possible=off.abs() <= 0.01 + 1e-9)


def gains(system: str = "CDTP", other: str = "MPLMM") -> pd.Series:
    """How often each difference between two systems of Table 1 is printed, over cells (not averages), in percentage
    points: for most pairs every cell has its own."""
    table = published("cdtp", 1)
    table = table[table["condition"] != "avg"]
    wide = table.pivot(index=["dataset", "condition", "metric"], columns="system", values="value")
    return (wide[system] - wide[other]).dropna().round(2).value_counts().sort_index()
