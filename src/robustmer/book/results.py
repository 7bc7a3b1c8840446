"""Results as text, for the commands `robustmer results`, `robustmer rerun` and `robustmer export`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from robustmer.batch import Batch
from robustmer.book import known
from robustmer.conditions import CLEAN, Condition
from robustmer.corpora import CORPORA
from robustmer.evaluation import answers
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.papers import PAPERS, find, keys, ledger_of
from robustmer.experiments.statistics import summarise
from robustmer.experiments.tables import Results
from robustmer.experiments.work import system_from
from robustmer.systems.checkpoint import save
from robustmer.tasks import Answers, Classify, Regress

PLACE = [
    "dataset",
    "modality",
    "visual",
    "system",
    "trained",
    "trained_level",
    "noise",
    "snr_db",
    "condition",
    "metric",
]
CHOSEN = ("modality", "visual")
"""Fields of a column that say which part of a corpus a system was trained on."""


def scores(paper: str, ledger: Ledger, profile: str) -> pd.DataFrame:
    """Every score of the trainings behind a paper's tables: its place, value, fold, seed, key and commit."""
    measured, words, rows = Results.read(ledger), {}, {}
    metrics: dict[tuple[str, str], dict[str, float]] = {}
    for (key, text, metric), score in measured.scores.items():
        metrics.setdefault((key, text), {})[metric] = score.value
    datasets = {record.get("dataset") for record in measured.trainings.values()}
    corpora = [name for name, corpus in CORPORA.items() if corpus.name in datasets]
    tables = [table for name in corpora for table in PAPERS[paper].tables(profile, name).values()]
    places = [(table.dataset, *at, place) for table in tables for at, place in table.cells.items()]
    for dataset, row, column, place in places:
        chosen = {name: value for name, value in column._asdict().items() if name in CHOSEN}
        for recipe, condition, _ in place.cells:
            text = words.get(id(condition)) or words.setdefault(id(condition), str(condition))
            if (recipe.key, text) in rows:
                continue
            rows[recipe.key, text] = [
                {"dataset": dataset, **chosen, **row._asdict(), "noise": condition.noise_name, "snr_db": condition.level_name,
                 "condition": condition.header(recipe.corpus.modalities), "metric": metric, "value": value,
                 **about(measured.trainings[recipe.key])}
                for metric, value in metrics.get((recipe.key, text), {}).items()]  # fmt: skip
    return pd.DataFrame([line for lines in rows.values() for line in lines])


def about(record: Mapping) -> dict[str, object]:
    """The fields that identify a training, and the ratio that its intervals need."""
    return {"fold": record["recipe"]["fold"], "seed": record["recipe"]["seed"], "key": record["key"],
            "commit": record.get("commit", ""), "test_to_train": record["split"]["test_to_train"]}  # fmt: skip


def scores_of_folder(ledger: Ledger) -> pd.DataFrame:
    """Every score of a ledger of your own, for any corpora and systems."""
    frame = ledger.scores()[["key", "condition", "metric", "value"]]
    rows = [{"dataset": record["dataset"], "system": record["recipe"]["system"], **about(record)}
            for record in ledger.trainings().values() if "split" in record]  # fmt: skip
    return pd.DataFrame(rows).merge(frame, on="key") if rows else frame[:0]


def describe(frame: pd.DataFrame, where: Sequence[str] = ()) -> str:
    """Means with intervals, or the single scores in which the columns of `where` (COLUMN=VALUE) have these values."""
    if frame.empty:
        return "no score of this is stored; `robustmer compute` computes those of a paper"
    front = [name for name in PLACE if name in frame]
    frame = frame[[*front, "value", "fold", "seed", "key", "commit", "test_to_train"]]
    for text in where:
        column, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--where {text}: give COLUMN=VALUE, such as system=NMER")
        chosen = frame[[same(value, one) for one in frame[known(column, frame, "column")]]]
        if chosen.empty:
            known(value, dict.fromkeys(map(str, frame[column])), f"score with the {column}")
        frame = chosen
    if where:
        return frame.drop(columns="test_to_train").to_string(index=False, na_rep="-")
    means = summarise(frame, front).drop(columns=["unit", "std", "test_to_train"]).round(3)
    count = f"{len(frame)} scores of {frame['key'].nunique()} trainings; low and high: 95% interval of the mean"
    return f"{means.to_string(index=False, na_rep='-')}\n\n{count}"


def same(text: str, value: object) -> bool:
    """Whether a word of the command line is this value; numbers are compared as numbers.

    >>> same("-40.0", "-40"), same("NMER", "nmer")
    (True, False)
    """
    try:
        return float(text) == float(value)
    except (TypeError, ValueError):
        return text == str(value)


def publish(paper: str) -> str:
    """Fold the paper's own trainings that were made at a clean commit into results/measured; report those left out."""
    ledger = ledger_of(paper, "paper")
    own = {key for corpus in PAPERS[paper].profiles["paper"].seeds for key in keys(paper, "paper", corpus)}
    records = {key: record for key, record in ledger.trainings().items() if key in own}
    chosen = {key for key, record in records.items() if not record["outcome"].startswith("failed")
              and not record.get("commit", "unknown").endswith(("+", "unknown"))}  # fmt: skip
    left = f"; {len(records) - len(chosen)} are left out: they failed, or were not made at a clean commit"
    return f"{len(chosen)} trainings are in {ledger.publish(chosen)}{left if len(records) > len(chosen) else ''}"


def weights(remove: bool) -> Iterator[str]:
    """The stored weights by ledger, and those that no recipe of the papers names, which `remove` deletes."""
    needed: dict[Ledger, set[str]] = {}
    for paper, of in PAPERS.items():
        for profile in of.profiles:
            if any((ledger_of(paper, profile).folder / "weights").glob("*.safetensors")):
                named = needed.setdefault(ledger_of(paper, profile), set())
                named.update(*(keys(paper, profile, corpus) for corpus in of.profiles[profile].seeds))
    for ledger, named in needed.items():
        sizes = {file: file.stat().st_size for file in (ledger.folder / "weights").glob("*.safetensors")}
        unneeded = [size for file, size in sizes.items() if file.stem not in named]
        if remove:
            ledger.remove_unneeded_weights(named)
        text = f"{len(unneeded)} of {len(sizes)} weight files ({sum(unneeded) >> 20} MB) are unneeded"
        yield f"{ledger.folder}: {text}{' and were removed' if remove and unneeded else ''}"
    if not needed:
        yield "no weights are stored in this folder"


def rerun(key: str, device: str) -> Iterator[str]:
    """Train one recipe of a paper again, upstream included, and compare its scores with the stored ones."""
    paper, profile, recipe = find(key)
    conditions = PAPERS[paper].recipes(profile, [recipe.corpus.name]).get(recipe, ())
    with tempfile.TemporaryDirectory(prefix="robustmer-") as folder:
        compute({recipe: conditions}, fresh := Ledger(Path(folder)), device=device, again=True)
        new, computed = fresh.training(key) or {"outcome": "failed"}, scores_of(fresh, key)
    stored = ledger_of(paper, profile)
    both = pd.concat({"value": computed, "stored": scores_of(stored, key)}, axis=1).loc[computed.index].reset_index()
    old = stored.training(key)
    yield both.to_string(index=False, na_rep="-") if len(both) else f"{key}: {new['outcome']}; it has no scores"
    if old is None or both["stored"].isna().all():
        yield f"no score of {key} is stored in {stored.published or stored.folder}"
        return
    off = (both["value"].round(6) - both["stored"].round(6)).abs().max()
    equal = "all equal" if not off > 0 else f"the largest difference is {off:g}"
    yield f"{both['stored'].notna().sum()} of {len(both)} scores are stored: {equal}"
    settings = [{"corpus": r["fingerprint"], "library": r.get("code"), **(r.get("numerics") or {})} for r in (old, new)]
    unlike = [f"{name} {settings[0].get(name) or 'unknown'} (now {value})" for name, value in settings[1].items()
              if settings[0].get(name) != value]  # fmt: skip
    if unlike:
        yield f"The stored scores come from another environment, so their digits may differ: {', '.join(unlike)}"


def export(key: str, folder: Path, device: str) -> Iterator[str]:
    """Train one recipe of a paper again and write to a new folder: the system (`rm.load` reads it), its predictions for
    every test sample under every condition of the tables, and the confusions of its classes.

    Raises OSError for a folder that exists or cannot be written, LookupError for an unknown key, and ValueError for a
    training that has no weights, or whose scores are no predictions of samples.
    """
    paper, profile, recipe = find(key)
    if not isinstance(recipe.task, Classify | Regress):
        raise ValueError(f"{key} is a {recipe.system.__name__} that predicts no label; there is nothing to export")
    folder.mkdir(parents=True)
    conditions = PAPERS[paper].recipes(profile, [recipe.corpus.name]).get(recipe, (CLEAN,))
    with tempfile.TemporaryDirectory(prefix="robustmer-") as fresh:
        ledger = Ledger(Path(fresh))
        compute({recipe: ()}, ledger, device=device, again=True, keep=[recipe])
        if (weights := ledger.weights(key)) is None:
            raise ValueError(f"{key} has no weights: it {(ledger.training(key) or {}).get('outcome', 'failed')}")
        system = system_from(recipe, weights.read_bytes(), device)
    save(system, folder / "system.safetensors")
    test = recipe.corpus.load().fold(recipe.fold).test
    frames = [predictions(answers(system, test, condition), recipe.task, condition, test) for condition in conditions]
    pd.concat(frames).to_csv(folder / "predictions.csv", index=False)
    yield (
        f"{recipe.system.__name__} on {recipe.corpus.dataset}, fold {recipe.fold}: the system and {len(test)} test "
        f"samples under {len(conditions)} conditions are in {folder}"
    )
    if isinstance(recipe.task, Classify):
        counts = pd.concat(frames).groupby(["condition", "label", "predicted"], sort=False).size().rename("samples")
        counts.reset_index().to_csv(folder / "confusions.csv", index=False)


def predictions(kept: Answers, task: Classify | Regress, condition: Condition, test: Batch) -> pd.DataFrame:
    """A line for each sample: condition, sample, speaker, label, prediction and, of classes, their probabilities."""
    frame = pd.DataFrame({"condition": str(condition), "sample": test.id, "speaker": test.speaker})
    if isinstance(task, Regress):
        return frame.assign(label=kept["label"], predicted=kept["output"][:, 0])
    names = np.array(task.classes)
    frame = frame.assign(label=names[kept["label"]], predicted=names[kept["output"].argmax(1)])
    p = pd.DataFrame(kept["output"].softmax(1).numpy().round(6), columns=[f"p {name}" for name in names])
    return pd.concat([frame, p], axis=1)


def scores_of(ledger: Ledger, key: str) -> pd.Series:
    frame = ledger.scores()
    return frame[frame["key"] == key].set_index(["condition", "metric"])["value"]
