"""What the papers' recipes have in common: profiles, units of a grid, and blocks of rows that a page shows together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustmer.conditions import Condition
from robustmer.corpora import CORPORA, about
from robustmer.recipe import Recipe
from robustmer.results import ledger, read
from robustmer.systems import System
from robustmer.train import Budget

Spelling = Mapping[str, tuple[type[System], Mapping[str, object]]]
"""A system's name in a paper's tables -> its class and options."""


@dataclass(frozen=True)
class Profile:
    """How much of the paper's protocol is run. `folds` and `seeds` are the numbers used, `size` that of `synthetic`."""

    budget: Budget
    seeds: dict[str, int]
    folds: dict[str, tuple[int, ...]] = field(default_factory=dict)
    size: str = "quick"
    pooled: bool = True  # one vector an utterance: training then takes seconds, on sequences up to an hour
    levels_db: tuple[float, ...] = ()
    noises: tuple[str, ...] = ()
    whole: bool = False  # every table on every fold; else only the main one is, the others on the first of them


def named(profiles: Mapping[str, Profile], name: str) -> Profile:
    """The profile of that name. Raises LookupError with the names there are."""
    if name not in profiles:
        raise LookupError(f"no profile {name!r}; there are {', '.join(profiles)}")
    return profiles[name]


@dataclass(frozen=True)
class Unit:
    """One fold and seed of a corpus: what all trainings of a table have in common."""

    profile: Profile
    spelling: Spelling
    corpus: str
    fold: int
    seed: int

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(CORPORA[self.corpus].ABOUT.modalities)

    @property
    def first(self) -> bool:
        """Whether it is the first fold that the profile uses of this corpus."""
        return self.fold == folds_of(self.profile, self.corpus)[0]

    def recipe(
        self, name: str, train: Condition | Sequence[Condition], test: Sequence[Condition], **options: object
    ) -> Recipe:
        """The recipe of a system by its spelling in tables; what follows a comma says how it was trained."""
        system, fixed = self.spelling[name.split(",")[0]]
        corpus_options = {}
        if self.corpus == "synthetic":
            corpus_options = {"size": self.profile.size, "pooled": self.profile.pooled}
        return Recipe(
            system,
            self.corpus,
            (train,) if isinstance(train, Condition) else tuple(train),
            tuple(test),
            self.fold,
            self.seed,
            self.profile.budget,
            options={**fixed, **options},
            corpus_options=corpus_options,
            name=name,
        )


def folds_of(p: Profile, corpus: str) -> tuple[int, ...]:
    return p.folds.get(corpus, (0,))


def units(p: Profile, spelling: Spelling, corpora: Sequence[str] | None, first_seed: int = 0) -> Iterator[Unit]:
    """Seed by seed, and in each fold by fold. Raises LookupError for a corpus that the profile has no recipes for, and
    ValueError for a negative seed."""
    if first_seed < 0:
        raise ValueError(f"seed {first_seed} was asked for; seeds are 0, 1, 2, ...")
    for corpus in corpora or p.seeds:
        if corpus not in p.seeds:
            raise LookupError(f"this profile has no recipes for the corpus {corpus!r}; it has some for "
                              f"{', '.join(p.seeds)}, and another profile may have more")
        for seed in range(first_seed, first_seed + p.seeds[corpus]):
            for fold in folds_of(p, corpus):
                yield Unit(p, spelling, corpus, fold, seed)


# --- what pages show --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Rows of one dataset that a page shows together: the page's own run, or what is measured in profile paper."""

    title: str
    slug: str  # ends the names of its tables
    rows: pd.DataFrame
    source: str  # where the numbers come from, for footers
    counterpart: str  # the paper's corpus that stands beside it

    @property
    def dataset(self) -> str:
        return self.rows["dataset"].iloc[0]

    @property
    def chance(self) -> float:
        """UA of guessing; nan where numbers are asked for and not classes."""
        classes = about(self.dataset).classes
        return 1 / classes if classes else math.nan

    @property
    def unit(self) -> str:
        """What its repetitions are."""
        return "fold" if self.rows["fold"].nunique() > 1 else "seed"

    @property
    def noises(self) -> list[str]:
        return [n for n in dict.fromkeys(self.rows["noise"]) if n]


def blocks(paper: str, counterpart: Mapping[str, str], own: pd.DataFrame | None = None) -> list[Block]:
    """The page's own rows, if they are not the measured ones, and the committed rows of each dataset."""
    found = []
    if own is not None and len(own) and set(own["profile"]) != {"paper"}:
        profile, dataset = own["profile"].iloc[0], own["dataset"].iloc[0]
        title = f"{dataset}, this page's own run (profile {profile})"
        found.append(Block(title, "here", own, source_of(own), counterpart[dataset]))
    measured = read(ledger(paper, "paper"))
    if own is not None and set(own["profile"]) == {"paper"}:  # other recipes than the paper's, or an edited library
        place = ["dataset", "system", "train", "fold", "seed"]  # where they meet a measured one they take its place
        there = measured.merge(own[place].drop_duplicates(), on=place, how="left", indicator=True)["_merge"] == "both"
        measured = pd.concat([measured[~there.to_numpy()], own])
    for dataset, rows in measured.groupby("dataset", sort=False):
        slug = dataset.lower().replace(" ", "-")
        found.append(Block(f"{dataset}, measured (profile paper)", slug, rows, source_of(rows), counterpart[dataset]))
    return found


def source_of(rows: pd.DataFrame) -> str:
    """One sentence for the footer of a table."""
    dataset = "synthetic data" if rows["dataset"].iloc[0] == "synthetic" else rows["dataset"].iloc[0]
    folds, seeds = rows["fold"].nunique(), rows["seed"].nunique()
    unit = f"{folds} folds" if folds > 1 else "one split (intervals over seeds only)"
    run = f"{', '.join(rows['device'].unique())}, commit {', '.join(dict.fromkeys(rows['commit']))}"
    return f"Profile {rows['profile'].iloc[0]}, {dataset}, {unit}, up to {seeds} seeds, {run}."
