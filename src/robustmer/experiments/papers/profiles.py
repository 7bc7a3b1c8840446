"""Shared parts of the papers' experiments: profiles, the trainings of a grid, printed numbers and ledgers."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import pandas as pd

from robustmer.conditions import Condition, Mixture
from robustmer.corpora import Corpus, Request, named
from robustmer.experiments import project, runs
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.tables import Cell, Label, Place, Table, jobs_of, nearest
from robustmer.systems.system import System
from robustmer.training import Budget

T = TypeVar("T")


@dataclass(frozen=True)
class Profile:
    """How much of the paper's protocol is run: the number of seeds and the folds of each corpus (one that is not named
    has one seed and its first fold), the size of `synthetic`, the levels and kinds of noise."""

    budget: Budget
    seeds: Mapping[str, int]
    folds: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    size: str = "quick"
    pooled: bool = True  # one vector a sample: training then takes seconds, on sequences up to an hour
    levels_db: tuple[float, ...] = ()
    noises: tuple[str, ...] = ()
    whole: bool = False  # every table on every fold; else only the main one is, the others on the first of them


@dataclass(frozen=True)
class Study:
    """What a paper's tables are made of. `spelling` gives the class and options of a system by its name in tables,
    `counterpart` the paper's corpus that is compared with ours."""

    name: str
    profiles: Mapping[str, Profile]
    spelling: Mapping[str, tuple[type[System], Mapping[str, object]]]
    counterpart: Mapping[str, str]

    def grid(
        self, profile: str, corpus: str | Corpus | Request, first_seed: int = 0, seeds: int | None = None,
        folds: Sequence[int] | None = None,
    ) -> Grid:  # fmt: skip
        """The grid of a profile on a corpus, by its name or a corpus of one's own. Raises LookupError for an unknown
        profile, CorpusError for an unknown name and ValueError for a negative seed."""
        p = chosen(self.profiles, profile, "profile")
        if first_seed < 0 or (seeds is not None and seeds < 1):
            raise ValueError(f"first_seed={first_seed}, seeds={seeds}: seeds count from 0, and one or more are trained")
        name = corpus if isinstance(corpus, str) else corpus.name
        if isinstance(corpus, str):
            corpus = named(corpus, **({"size": p.size, "pooled": p.pooled} if corpus == "synthetic" else {}))
        last = first_seed + (p.seeds.get(name, 1) if seeds is None else seeds)
        folds = p.folds.get(name, (0,)) if folds is None else folds
        return Grid(self, p, corpus, tuple(folds), tuple(range(first_seed, last)))

    def jobs(
        self, tables: Callable[..., Mapping[str, Table]], profile: str = "paper", corpora: Sequence[str] = (),
        **which: object,
    ) -> dict[Recipe, tuple[Condition, ...]]:  # fmt: skip
        """The trainings behind the tables on these corpora (all of the profile, if none are given), and the conditions
        under which each is scored; `which` goes to `tables`."""
        corpora = corpora or chosen(self.profiles, profile, "profile").seeds
        return jobs_of(table for corpus in corpora for table in tables(profile, corpus, **which).values())


@dataclass(frozen=True)
class Grid:
    """The trainings of a paper on one corpus: folds x seeds, with the budget of a profile."""

    study: Study = field(repr=False)
    profile: Profile
    corpus: Corpus | Request
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    made: dict = field(default_factory=dict, repr=False)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.corpus.modalities)

    def part(self) -> Grid:
        """The folds of a table that is not the main one."""
        return self if self.profile.whole else replace(self, folds=self.folds[:1], made={})

    def cells(
        self, system: str, mixture: Condition | Mixture, conditions: Iterable[Condition], metric: str, **options: object
    ) -> tuple[Cell, ...]:
        """The trainings of a system, by its spelling in tables, under each of these conditions."""
        at = system, frozenset(mixture.items()) if isinstance(mixture, Mapping) else mixture, str(options)
        if at not in self.made:
            kind, fixed = chosen(self.study.spelling, system, "system")
            self.made[at] = [
                Recipe(kind, self.corpus, mixture, None, fold, seed, self.profile.budget, {**fixed, **options})
                for seed in self.seeds for fold in self.folds
            ]  # fmt: skip
        conditions = tuple(conditions)
        return tuple(Cell(recipe, condition, metric) for recipe in self.made[at] for condition in conditions)

    def table(self, number: str, title: str, places: Mapping[tuple, Place], bar: Label | None = None) -> Table:
        """A table of these places; `bar` is the row of the simple baseline."""
        bars = {column: place for (row, column), place in places.items() if row == bar}
        dataset = self.corpus.dataset
        return Table(self.study.name, number, title, dataset, self.study.counterpart.get(dataset, ""), places, bars)


def chosen(known: Mapping[str, T], name: str, what: str) -> T:
    """The entry of that name. Raises LookupError with the nearest names."""
    if name not in known:
        raise LookupError(f"no {what} {nearest(name, known)}")
    return known[name]


# --- printed and measured numbers -------------------------------------------------------------------------------------


def published(paper: str, table: int | str) -> pd.DataFrame:
    """A table of a paper as transcribed: `value`, if it has one, as a number, every other column as printed. Raises
    LookupError for a table that is not transcribed, FileNotFoundError outside of a project."""
    number = f"{table:02d}" if isinstance(table, int) else f"_{table}"
    return read_csv(project() / "results" / "published", f"{paper}_table{number}").copy()


def claims_of(paper: str) -> pd.DataFrame:
    """The numbers in a paper's text, settings included, as transcribed; columns as in `published`."""
    return read_csv(project() / "results" / "published", f"{paper}_claims").copy()


@lru_cache
def read_csv(folder: Path, name: str) -> pd.DataFrame:
    files = {file.stem: file for file in sorted(folder.glob("*.csv"))}
    frame = pd.read_csv(chosen(files, name, "published table"), dtype=str, keep_default_na=False)
    if "value" not in frame:  # a table of layers
        return frame
    return frame.assign(value=pd.to_numeric(frame["value"], errors="coerce"))


def printed(paper: str, table: int, fields: Sequence[str], scale: float = 1) -> dict[Hashable, dict[str, float]]:
    """The printed numbers of a table, times `scale`: {values of these columns: {the paper's corpus: value}}. None
    outside of a project."""
    try:
        frame = published(paper, table).dropna(subset="value")
    except FileNotFoundError:
        return {}
    out: dict[Hashable, dict[str, float]] = {}
    for line in frame.to_dict("records"):
        out.setdefault(tuple(line[name] for name in fields), {})[line["dataset"]] = scale * line["value"]
    return out


def ledger_of(paper: str, profile: str) -> Ledger:
    """The results below `runs`; for profile `paper` together with the published ones, which are only read."""
    try:
        published_in = project() / "results" / "measured" / paper if profile == "paper" else None
    except FileNotFoundError:
        published_in = None
    return Ledger(runs() / (paper if profile == "paper" else profile), published_in)
