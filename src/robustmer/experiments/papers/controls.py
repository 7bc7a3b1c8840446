"""Positive controls: corpora on which one mechanism must win, so that a difference that is not shown means something.

Each corpus has a known ceiling, the accuracy of its Bayes classifier (`corpora.structured`). Systems are trained on
clean samples with all modalities. The test is the same but for `completion`, where the face is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from robustmer import systems
from robustmer.conditions import CLEAN, Condition
from robustmer.corpora import Corpus, Request, load, named
from robustmer.corpora.structured import MECHANISMS
from robustmer.experiments.contrasts import Claim, difference
from robustmer.experiments.papers.cdtp import SMALL as SMALL_MULT
from robustmer.experiments.papers.profiles import Profile, Study
from robustmer.experiments.tables import Place, Table
from robustmer.training import Budget

CORPORA = tuple(f"synthetic_{mechanism}" for mechanism in MECHANISMS)

PROFILES = {
    "smoke": Profile(Budget(epochs=1, max_steps=3, checks=1, batch_size=64), dict.fromkeys(CORPORA, 1), size="smoke"),
    "quick": Profile(
        Budget(epochs=0, min_steps=300, max_steps=300, checks=10, batch_size=64), dict.fromkeys(CORPORA, 1)
    ),
    "paper": Profile(
        Budget(epochs=0, min_steps=600, max_steps=600, checks=15, batch_size=64), dict.fromkeys(CORPORA, 1),
        dict.fromkeys(CORPORA, (0, 1, 2)), whole=True,
    ),
}  # fmt: skip

SPELLING = {
    "LogReg": (systems.LogReg, {}), "MEN": (systems.MEN, {}), "MulT": (systems.MulT, SMALL_MULT),
    "CDTP": (systems.CDTP, SMALL_MULT),
    "CDTP w/o diffusion": (systems.CDTP, SMALL_MULT | {"start": "mean"}),
}  # fmt: skip
STUDY = Study("controls", PROFILES, SPELLING, {})


class Row(NamedTuple):
    system: str
    trained: str = "once"

    def __str__(self) -> str:
        return self.system


class Column(NamedTuple):
    metric: str

    def __str__(self) -> str:
        return self.metric


BAR = Row("LogReg")
SYSTEMS = (BAR, *map(Row, ("MEN", "MulT")))
COMPLETED = (*SYSTEMS, Row("CDTP w/o diffusion"), Row("CDTP"))
"""Where the face is absent from the test: CDTP with and without its diffusion joins."""


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = CORPORA[0], first_seed: int = 0, seeds: int | None = None,
    folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The table of one corpus, "1"."""
    name = corpus if isinstance(corpus, str) else corpus.name
    if profile == "smoke" and corpus in CORPORA:
        corpus = named(corpus, size="smoke")
    grid = STUDY.grid(profile, corpus, first_seed, seeds, folds)
    lacks = name in ("synthetic_completion", "synthetic completion")
    test = Condition(seen=tuple(m for m in grid.modalities if m != "visual")) if lacks else CLEAN
    places = {
        (row, Column("UA")): Place(grid.cells(row.system, CLEAN, (test,), "UA"))
        for row in (COMPLETED if lacks else SYSTEMS)
    }
    return {"1": grid.table("1", "systems on a corpus made for one mechanism", places, BAR)}


recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""


def claims(corpus: str | Corpus | Request = CORPORA[0]) -> list[Claim]:
    """What must be shown: a system with the mechanism is ahead of logistic regression, which has none."""
    table = tables("paper", corpus)["1"]
    ahead = Row("CDTP") if Row("CDTP") in table.rows else Row("MEN")
    return [Claim("ours", f"{ahead} is ahead of logistic regression", (difference(table, ahead, BAR),))]


def ceiling(corpus: str, size: str = "quick") -> float:
    """The accuracy of the Bayes classifier on the test samples of the profile's folds."""
    made = load(corpus, size=size)
    rows = np.concatenate([made.split.folds[fold][2] for fold in PROFILES["paper"].folds[corpus]])
    return float((made.factors["bayes"][rows] == made.samples.labels["class"].numpy()[rows]).mean())
