"""The results explorer: every measured score of the papers' tables, in one page that needs no network.

This module writes the repetitions of every place of a table as JSON, with the keys of their trainings. `explorer.js`
offers the choices and makes the forest, the table and the CSV of what is chosen.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files

from scipy import stats

from robustmer.book.registry import EVIDENCE, METRICS, corpus, look
from robustmer.corpora import CORPORA
from robustmer.experiments import papers, tables
from robustmer.experiments.papers.nmer import db
from robustmer.experiments.tables import Label, Place, Results, Table

STUDIES = ("nmer", "cdtp", "nmer_beyond")
LEFT_OUT = {("nmer", "2")}
"""Table 2 is the mean column of Table 3."""

DECIMALS = 5
"""Scores are stored as whole numbers of 1e-5."""

KINDS = {"people": "people", "seeds only": "seeds", "synthetic": "synthetic"}
"""The kind of evidence of a corpus, by its chip; fewer than three repetitions are of the kind `one`."""

FIELDS = ("metric", "noise", "level", "condition")


def data(studies: Iterable[str] = STUDIES, profile: str = "paper") -> dict[str, object]:
    """Everything that the script needs, ready for JSON: `views` (a table on a corpus), the `trainings` behind them, and
    the quantiles of Student's t. A table of which fewer than two rows are measured is left out. Raises ValueError where
    nothing is measured."""
    trainings: dict[str, tuple[int, int]] = {}
    groups: dict[tuple[str, ...], int] = {}
    views = [
        view
        for study in studies
        for table, measured in measured_tables(study, profile)
        if (view := view_of(study, table, measured, trainings, groups))["rows"][1:]
    ]
    if not views:
        raise ValueError(f"no score of {', '.join(studies)} is stored; `robustmer compute` computes those of a paper")
    at = {key: number for number, key in enumerate(trainings)}
    most = max(len(view["repetitions"]) for view in views)
    return {
        "scale": 10**-DECIMALS,
        "quantiles": {k: round(float(stats.t.ppf(0.975, k - 1)), 6) for k in range(3, most + 1)},
        "metrics": {name: [m.label, m.meaning, m.unit, m.scale, m.higher_is_better] for name, m in METRICS.items()},
        "kinds": {kind: [e.label, e.colour, e.filled, e.width] for kind, e in EVIDENCE.items()},
        "keys": list(trainings),
        "folds": [fold for fold, _ in trainings.values()],
        "seeds": [seed for _, seed in trainings.values()],
        "groups": [[at[key] for key in keys] for keys in groups],
        "views": sorted(views, key=lambda view: list(KINDS).index(view["chip"])),
    }


def measured_tables(study: str, profile: str) -> Iterator[tuple[Table, Results]]:
    """The tables of a study on every corpus that has measured trainings."""
    measured = papers.results(study, profile)
    datasets = {record.get("dataset") for record in measured.trainings.values()}
    for name, about in CORPORA.items():
        if about.name in datasets:
            for number, table in papers.PAPERS[study].tables(profile, name).items():
                if (study, number) not in LEFT_OUT:
                    yield table, measured


def view_of(
    study: str, table: Table, measured: Results, trainings: dict[str, tuple[int, int]], groups: dict
) -> dict[str, object]:
    """A table on a corpus. A cell is [row, metric, noise, level, condition, group of trainings, repetitions ...]; the
    first five are numbers of `rows` and of the lists in `fields`. New trainings and groups are added to theirs."""
    at, places = list(table.cells), list(table.cells.values())
    frame = tables.values(dict(enumerate(places)), measured)
    unit = frame["unit"].mode().get(0, "fold")
    means = frame.assign(repetition=frame[unit]).groupby(["place", "repetition"])["value"].mean().unstack()
    names = conditions_of(table)
    fields: dict[str, dict] = {name: {} for name in FIELDS}
    rows: dict[str, int] = {}
    cells = []
    for number, values in means.iterrows():
        (row, column), place = at[number], places[number]
        labels = {
            "metric": (place.cells[0].metric,) * 2,
            "noise": (getattr(column, "noise", ""),) * 2,
            "level": (f"{getattr(column, 'level', None) or 0:g}", db(getattr(column, "level", None))),
            "condition": (column.condition, names.get(column.condition, column.condition)),
        }
        keys = tuple(dict.fromkeys(cell.recipe.key for cell in place.cells))
        trainings |= {cell.recipe.key: (cell.recipe.fold, cell.recipe.seed) for cell in place.cells}
        chosen = [position(fields[name], *labels[name]) for name in FIELDS]
        scores = [None if math.isnan(value) else round(value * 10**DECIMALS) for value in values]
        cells.append(
            [rows.setdefault(label_of(row), len(rows)), *chosen, groups.setdefault(keys, len(groups)), *scores]
        )
    about, printed = corpus(table.dataset), f" (Table {table.number})" if table.number.isdigit() else ""
    return {
        "table": f"{study}-{table.number}".replace(" ", "-"),
        "title": f"{study.replace('_', ' ').replace('nmer', 'NMER').replace('cdtp', 'CDTP')}: {table.title}{printed}",
        "corpus": table.dataset, "chip": about.chip, "kind": KINDS[about.chip], "unit": unit,
        "ratio": round(float(frame["test_to_train"].max()), 6) if unit == "fold" and len(frame) else 0.0,
        "repetitions": [int(name) for name in means.columns],
        "rows": list(rows), "fields": {name: list(map(list, of.items())) for name, of in fields.items()},
        "cells": cells,
    }  # fmt: skip


def position(known: dict[str, str], name: str, label: str) -> int:
    """The number of a name in the order of `known`, to which a new one is added."""
    known.setdefault(name, label)
    return list(known).index(name)


def label_of(row: Label) -> str:
    """A row in print. Trainings of one system under many noises are named by their training."""
    return str(row) if "trained_level" in row._fields else look(row).label


def conditions_of(table: Table) -> dict[str, str]:
    """The conditions of a table in words, by their name in its columns."""
    out: dict[str, str] = {}
    for (_, column), place in table.cells.items():
        if place.cells and not place.is_constant:
            out.setdefault(column.condition, words_of(place))
    return out


def words_of(place: Place) -> str:
    """What a system met, modality by modality; a mean over several conditions says so."""
    conditions = list(dict.fromkeys(cell.condition for cell in place.cells))
    if len(conditions) > 1:
        return f"mean over {len(conditions)} conditions"
    (condition,), modalities = conditions, place.cells[0].recipe.corpus.modalities
    available = condition.seen or modalities
    noisy = {m: "zeros" if corruption.name == "zeros" else "noisy" for m, corruption in condition.noise.items()}
    states = {m: noisy.get(m, "clean") if m in available else "absent" for m in modalities}
    if len(set(states.values())) == 1:
        return f"all {states[modalities[0]]}"
    if set(states.values()) == {"clean", "absent"}:
        return " and ".join(m for m, state in states.items() if state == "clean") + " only"
    return ", ".join(f"{m} {state}" for m, state in states.items())


# --- the page ---------------------------------------------------------------------------------------------------------

CHOICES = {"table": "Table", "corpus": "Corpus", "metric": "Metric", "noise": "Noise", "level": "Level",
           "condition": "Condition", "minus": "Minus"}  # fmt: skip


def page(content: Mapping[str, object]) -> str:
    """The explorer as HTML without an empty line: choices, forest, table, data and script."""
    choices = "".join(f'<label>{label} <select name="{name}"></select></label>' for name, label in CHOICES.items())
    packed = base64.b64encode(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)).decode()
    script = "\n".join(
        line for line in (files("robustmer.book") / "explorer.js").read_text().splitlines() if line.strip()
    )
    anchors = "".join(
        f'<span id="{name}"></span>' for name in dict.fromkeys(view["table"] for view in content["views"])
    )
    return f"""<div class="explorer">{anchors}
<noscript><p>This page needs JavaScript. The same scores are in results/measured and in the folded tables.</p></noscript>
<form class="choices" aria-label="What to show">{choices}
<fieldset><legend>Systems</legend><span class="systems"></span>
<button type="button" name="every">all</button> <button type="button" name="none">none</button></fieldset></form>
<p class="status" role="status" aria-live="polite"></p>
<div class="forest"></div>
<div class="numbers-box" role="region" aria-label="Numbers" tabindex="0"><table class="table numbers"></table></div>
<p><a class="csv" download="robustmer.csv" href="#">CSV of these rows</a></p>
<section class="keys" aria-live="polite"></section>
<script type="application/gzip">{packed}</script>
<script>
{script}
</script>
</div>"""


def show(content: Mapping[str, object] | None = None) -> None:
    """Display the explorer in the book and in Jupyter."""
    from IPython.display import display

    text = page(data() if content is None else content)
    note = "The results explorer is a page of HTML."
    display({"text/markdown": f"```{{raw}} html\n{text}\n```", "text/html": text, "text/plain": note}, raw=True)
