"""Tables as data: a place of a table holds the recipes, conditions and metric of the scores that it averages.

Rows and columns are labels, NamedTuples such as Row(system="MEN", trained="noisy"). Their fields become columns of
every frame.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import pandas as pd

from robustmer.conditions import Condition
from robustmer.experiments import statistics
from robustmer.experiments.ledger import Ledger, Score
from robustmer.experiments.recipe import Recipe
from robustmer.systems import Majority
from robustmer.tasks import Task

Label = tuple
"""The label of a row or a column: a NamedTuple."""


class Cell(NamedTuple):
    """One score: a training, a test condition and a metric."""

    recipe: Recipe
    condition: Condition
    metric: str


@dataclass(frozen=True)
class Place:
    """A place of a table: cells over folds x seeds x conditions. `printed` holds the paper's numbers, as fractions, by
    the paper's corpus; `why` is the reason if our corpus has no cells."""

    cells: tuple[Cell, ...] = field(default=(), repr=False)
    printed: Mapping[str, float] = field(default_factory=dict, compare=False)
    why: str = ""

    @property
    def unit(self) -> str:
        """Its repetitions: `fold`, or `seed` for the seeds of one split."""
        return "fold" if len({cell.recipe.fold for cell in self.cells}) > 1 else "seed"

    @property
    def is_constant(self) -> bool:
        """Whether its predictions are constant (majority class): to be ahead of them is no merit."""
        return bool(self.cells) and all(cell.recipe.system is Majority for cell in self.cells)


@dataclass(frozen=True)
class Results:
    """The content of ledgers: scores by (key, condition in words, metric), and records of trainings by key."""

    scores: Mapping[tuple[str, str, str], Score] = field(repr=False)
    trainings: Mapping[str, Mapping] = field(repr=False)

    @classmethod
    def read(cls, *ledgers: Ledger) -> Results:
        """All scores and trainings of the ledgers. Of equal ones, those of the later ledger count."""
        scores, trainings = {}, {}
        for ledger in ledgers:
            trainings |= ledger.trainings()
            for key, *score in ledger.scores().itertuples(index=False, name=None):
                scores[key, score[0], score[1]] = Score(*score)
        return cls(scores, trainings)


def values(places: Mapping[object, Place], results: Results) -> pd.DataFrame:
    """The repetitions of each place, by its name (`place`): fold, seed, value, error, groups, test_to_train and unit.

    `value` is the mean over the cells of a fold and seed, nan where a training diverged. `error` is its standard error
    over `groups` speakers, if the scores have one. A fold and seed with a missing score is left out. Raises ValueError
    for scores of two versions of a corpus.
    """
    words: dict[int, str] = {}  # a condition's words by its id: they are made once, since cells share conditions
    lines = [(name, *line) for name, place in places.items() for line in repetitions(place, results, words)]
    return pd.DataFrame(lines, columns=["place", "fold", "seed", "value", "error", "groups", "test_to_train", "unit"])


def repetitions(place: Place, results: Results, words: dict[int, str]) -> Iterator[tuple]:
    groups, records = {}, {}
    for recipe, condition, metric in place.cells:
        text = words.get(id(condition)) or words.setdefault(id(condition), str(condition))
        record = results.trainings.get(recipe.key)
        score = results.scores.get((recipe.key, text, metric)) if record else None
        groups.setdefault((recipe.fold, recipe.seed), []).append(score)
        if score is not None:
            records[record["fingerprint"]] = record
    if len(records) > 1:
        raise ValueError(
            f"scores of {place.cells[0].recipe.corpus.dataset} were made from several versions of it (fingerprints "
            f"{', '.join(sorted(records))}); compute those of the older version again"
        )
    for (fold, seed), scores in groups.items():
        if None not in scores:
            value, error = (math.fsum(getattr(s, of) for s in scores) / len(scores) for of in ("value", "error"))
            (record,) = records.values()
            ratio = record["split"]["test_to_train"]
            yield fold, seed, value, error, min(s.groups for s in scores), ratio, place.unit


@dataclass(frozen=True)
class Table:
    """Places by row and column, on one corpus (`dataset`). `counterpart` is the paper's corpus with which it is
    compared, `bar` the simple baseline of each column: a place below it is marked."""

    paper: str
    number: str
    title: str
    dataset: str
    counterpart: str
    cells: Mapping[tuple[Label, Label], Place] = field(repr=False)
    bar: Mapping[Label, Place] = field(default_factory=dict, repr=False)

    @property
    def rows(self) -> list[Label]:
        return list(dict.fromkeys(row for row, _ in self.cells))

    @property
    def columns(self) -> list[Label]:
        return list(dict.fromkeys(column for _, column in self.cells))

    @property
    def printed(self) -> dict[tuple[Label, Label], float]:
        """The paper's numbers for the counterpart."""
        return {at: place.printed[self.counterpart] for at, place in self.cells.items()
                if self.counterpart in place.printed}  # fmt: skip

    def where(self, **fields: object) -> Table:
        """The part of the table whose labels have these values (one, or a list): where(metric="UA", level=-10). Raises
        ValueError for an unknown field or value, with the known ones."""
        wanted = {name: value if isinstance(value, list | set | tuple) else (value,) for name, value in fields.items()}
        labels = {at: fields_of(*at) for at in self.cells}
        for name, chosen in wanted.items():
            known = {of[name] for of in labels.values() if name in of}
            if not known:
                raise ValueError(f"table {self.number} has no field {nearest(name, set().union(*labels.values()))}")
            for value in set(chosen) - known:
                raise ValueError(f"table {self.number} has no {name} {nearest(value, known)}")
        kept = [at for at, of in labels.items() if all(of[name] in chosen for name, chosen in wanted.items())]
        return replace(self, cells={at: self.cells[at] for at in kept})

    def jobs(self) -> dict[Recipe, tuple[Condition, ...]]:
        """The recipes behind the table with their conditions, for `grid.compute`."""
        return jobs_of([self])

    def values(self, results: Results) -> pd.DataFrame:
        """`values` of every place, with the fields of its labels as columns."""
        frame = values(dict(enumerate(self.cells.values())), results)
        return self.labelled(frame).drop(columns=["row", "column"])

    def summarise(self, results: Results) -> pd.DataFrame:
        """A line for each measured place: row, column and the fields of both; `statistics.SUMMARY`; the planned
        repetitions and seeds (`expected`, `expected_seeds`), whether it is `below` the simple baseline, the `printed`
        value and the `keys` of its recipes."""
        places = list(self.cells.values())
        frame = values(dict(enumerate(places)), results)
        out = statistics.summarise(frame, ["place"])
        at = [places[i] for i in out["place"]]
        planned = [{unit: {getattr(c.recipe, unit) for c in place.cells} for unit in ("fold", "seed")} for place in at]
        out = out.assign(
            expected=[len(units[place.unit]) for units, place in zip(planned, at, strict=True)],
            expected_seeds=[len(units["seed"]) for units in planned],
            below=out["place"].isin(self.below(frame, results)),
            printed=[place.printed.get(self.counterpart, math.nan) for place in at],
            keys=[tuple(dict.fromkeys(cell.recipe.key for cell in place.cells)) for place in at],
        )
        return self.labelled(out)

    def below(self, frame: pd.DataFrame, results: Results) -> list[int]:
        """The places whose mean is below the simple baseline of their column, over the folds and seeds that both have
        (seeds are averaged first); none for metrics where lower is better."""
        columns = [column for _, column in self.cells]
        better = {c: place for c, place in self.bar.items() if {m for *_, m in place.cells} - Task.lower_is_better}
        bar = values(better, results).set_index(["place", "fold", "seed"])["value"].to_dict()
        at = zip((columns[i] for i in frame["place"]), frame["fold"], frame["seed"], strict=True)
        both = frame.assign(bar=[bar.get(where, math.nan) for where in at]).dropna(subset="bar")
        means = both.groupby(["place", "fold"])[["value", "bar"]].mean().groupby("place").mean()
        return means.index[means["value"] < means["bar"] - 1e-12].tolist()

    def labelled(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with row, column and the fields of both instead of the number of the place."""
        at = list(self.cells)
        labels = [{"row": at[i][0], "column": at[i][1]} | fields_of(*at[i]) for i in frame["place"]]
        columns = ["row", "column", *(fields_of(*at[0]) if at else {})]
        front = pd.DataFrame(labels, columns=columns, index=frame.index)
        return pd.concat([front, frame.drop(columns="place")], axis=1)


def fields_of(row: Label, column: Label) -> dict[str, object]:
    return {**row._asdict(), **column._asdict()}


def nearest(name: object, known: Iterable[object]) -> str:
    """The unknown name and the nearest known ones, for an error message."""
    known = sorted(map(str, known))
    return f"{str(name)!r}; choose from {', '.join(difflib.get_close_matches(str(name), known, n=3) or known[:12])}"


def jobs_of(tables: Iterable[Table]) -> dict[Recipe, tuple[Condition, ...]]:
    """The recipes behind these tables, with the conditions under which each is scored."""
    jobs: dict[Recipe, dict[Condition, None]] = {}
    for table in tables:
        for place in table.cells.values():
            for recipe, condition, _ in place.cells:
                jobs.setdefault(recipe, {})[condition] = None
    return {recipe: tuple(conditions) for recipe, conditions in jobs.items()}


def wide(
    frame: pd.DataFrame, cell: str | Callable[[Mapping], object] = statistics.text_of,
    row: Callable[[Label], str] = str, column: Callable[[Label], str] = str,
) -> pd.DataFrame:  # fmt: skip
    """`Table.summarise` as rows by columns: the text of each cell, or another column of the frame; a dash for a place
    that is not measured."""
    content = [line[cell] if isinstance(cell, str) else cell(line) for line in frame.to_dict("records")]
    rows, columns = (list(dict.fromkeys(map(name, frame[of]))) for of, name in (("row", row), ("column", column)))
    out = pd.DataFrame("–", index=rows, columns=columns, dtype=object)
    for at, value in zip(zip(frame["row"].map(row), frame["column"].map(column), strict=True), content, strict=True):
        out.loc[at] = value
    return out
