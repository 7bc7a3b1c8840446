"""Re-key the measured results of the first edition: one record a training, one line a score.

    python bench/rekey.py [FOLDER]

FOLDER holds the first edition's files (NAME.csv and NAME.recipes.jsonl for nmer, nmer_control and cdtp); without it
they are taken from version control. Written are trainings.jsonl and scores.csv below results/measured/PAPER, for the
papers nmer, nmer_beyond and cdtp.

In the first edition the list of test conditions was part of a key, so some trainings were repeated. Those of page 11
(transfer, old ways) repeat trainings of Tables 2 to 5 with other kernels of the linear-algebra library, and their
scores differ. A key names one training, so page 11 keeps its trainings in a folder of its own, `nmer_beyond`.
"""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import pandas as pd

from robustmer import corpora, systems
from robustmer.conditions import Condition
from robustmer.corpora import Corpus
from robustmer.experiments import project
from robustmer.experiments.ledger import COLUMNS, to_csv
from robustmer.experiments.papers import PAPERS
from robustmer.experiments.recipe import Recipe
from robustmer.noise import Gaussian, Impulse, Linear, NoiseScheduler, Zeros
from robustmer.systems.checkpoint import write_whole
from robustmer.training import Budget

COMMIT = "4d4e95d"
FULL_WIDTH = ("4dbac54c2e", "e5eb4712c0", "1abbcfacec", "bbcf76be4b")
"""Trainings at these commits ran with bench/mkl_full_width.c loaded in front of the linear-algebra library. Nothing
said so of the first commit; six of its trainings, from its first to its last, were repeated like this and agree."""

MODALITIES = {"audio": "a", "visual": "v", "text": "l"}
OF_CORPUS = {
    "ravdess_av": ("audio", "visual"),
    "mosi_bclstm": ("audio", "visual", "text"),
    "mosi_sentiment": ("audio", "visual", "text"),
    "synthetic": ("audio", "visual", "text"),
}


@dataclass(frozen=True)
class OldCondition:
    """A condition in the words of the first edition: the scheduler of each noisy modality, and what is seen."""

    noise: tuple[tuple[str, str], ...] = ()
    seen: tuple[str, ...] | None = None

    def __str__(self) -> str:
        parts = [f"{m}: {scheduler}" for m, scheduler in self.noise]
        if self.seen is not None:
            parts.append(f"seen: {', '.join(self.seen)}")
        return "; ".join(parts) or "clean"

    def columns(self, modalities: tuple[str, ...]) -> tuple[str, str, str]:
        """The columns noise, snr_db and condition of its rows."""
        noisy = dict(self.noise)
        kinds = {scheduler[: scheduler.index("(")].lower() for scheduler in noisy.values()}
        levels = {re.search(r"\) (\S+ dB|T=\d+) ", scheduler)[1].removesuffix(" dB") for scheduler in noisy.values()}
        clean = [m for m in modalities if m not in noisy and (self.seen is None or m in self.seen)]
        header = ",".join(MODALITIES[m] for m in clean) or "none"
        header = "clean" if len(clean) == len(modalities) else header
        return "+".join(sorted(kinds)), levels.pop() if len(levels) == 1 else "", header


def conditions_of(described: Mapping[str, list[str]]) -> list[OldCondition]:
    """What {"schedulers": ..., "conditions": ["audio:0 seen=audio", ...]} stands for, in order, repeated as given."""
    found = []
    for text in described["conditions"]:
        noise, seen = {}, None
        for word in [] if text == "clean" else text.split():
            if word.startswith("seen="):
                seen = tuple(word.removeprefix("seen=").split("+"))
            else:
                m, number = word.split(":")
                noise[m] = described["schedulers"][int(number)]
        found.append(OldCondition(tuple((m, noise[m]) for m in MODALITIES if m in noise), seen))
    return found


@dataclass
class OldTraining:
    """One training of the first edition: all that decided it, and every score that its keys have.

    `mixture` counts the training conditions; `scores` is {(condition in words, metric): (value, error, groups)}, where
    the last two are empty except for the negative control."""

    system: str
    options: Mapping[str, object]
    corpus: str
    corpus_options: Mapping[str, object]
    mixture: Mapping[OldCondition, int]
    fold: int
    seed: int
    budget: Mapping[str, object]
    folder: str
    dataset: str = ""
    fingerprint: str = ""
    commits: list[str] = field(default_factory=list)
    device: str = ""
    seconds: float = 0.0
    outcome: str = "trained"
    keys: list[str] = field(default_factory=list)
    scores: dict[tuple[str, str], tuple[str, str, str]] = field(default_factory=dict)

    @property
    def preloaded(self) -> str:
        """The library loaded in front, if there was one for any of the trainings that were merged."""
        return "mkl_full_width.so" if set(self.commits) & set(FULL_WIDTH) else ""


def read_old(name: str, folder: str = "") -> tuple[dict[str, dict], list[dict[str, str]]]:
    """Recipes by key and rows of one file of the first edition, doubled rows once."""
    texts = []
    for file in (f"{name}.recipes.jsonl", f"{name}.csv"):
        if folder:
            texts.append((Path(folder) / file).read_text())
        else:
            command = ["git", "show", f"{COMMIT}:results/measured/{file}"]
            texts.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    recipes = {recipe.pop("key"): recipe for recipe in map(json.loads, texts[0].splitlines())}
    rows = {}
    for row in csv.DictReader(io.StringIO(texts[1])):
        same = tuple(row[c] for c in ("key", "noise", "snr_db", "condition", "metric", "fingerprint"))
        rows.pop(same, None)
        rows[same] = row
    return recipes, list(rows.values())


def old_trainings(folder: str = "") -> tuple[list[OldTraining], Counter]:
    """Every training of the first edition, and counts of what was merged. Raises ValueError for a row that fits no
    test condition of its recipe, and for a key with other rows than its recipe asks for."""
    found: dict[tuple[str, str], OldTraining] = {}
    counts = Counter()
    for name in ("nmer", "nmer_control", "cdtp"):
        recipes, rows = read_old(name, folder)
        of_key: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            of_key.setdefault(row["key"], []).append(row)
        if set(of_key) != set(recipes):
            raise ValueError(f"{name}: the keys of the rows are not those of the recipes; restore both files")
        for key, of_training in of_key.items():
            add(found, counts, name, key, recipes[key], of_training)
    return list(found.values()), counts


def add(found: dict, counts: Counter, name: str, key: str, recipe: dict, rows: list[dict[str, str]]) -> None:
    """One key of the first edition; one whose training is there already gives its scores to that one."""
    beyond = name == "nmer" and ", trained " in rows[0]["system"]
    folder = "nmer_beyond" if beyond else name.removesuffix("_control")
    decides = json.dumps({k: v for k, v in recipe.items() if k != "test"}, sort_keys=True)
    first = rows[0]
    new = OldTraining(
        *(recipe[k] for k in ("system", "options", "corpus", "corpus_options")),
        Counter(conditions_of(recipe["train"])),
        *(recipe[k] for k in ("fold", "seed", "budget")), folder, first["dataset"], first["fingerprint"]
    )  # fmt: skip
    training = found.setdefault((folder, decides), new)
    counts[folder, "keys"] += 1
    counts[folder, "trainings"] += training is new
    modalities = OF_CORPUS[recipe["corpus"]]
    tests = {condition.columns(modalities): str(condition) for condition in conditions_of(recipe["test"])}
    metrics = {row["metric"] for row in rows}
    if name != "nmer_control" and len(rows) != len(tests) * len(metrics):
        raise ValueError(
            f"key {key} has {len(rows)} rows; its recipe asks for {len(tests)} conditions x {len(metrics)}"
        )
    differs = 0
    for row in rows:
        place = tests[row["noise"], row["snr_db"], row["condition"]], row["metric"]
        groups = re.search(r"(\d+) speakers", row["note"])
        score = row["value"], row["std"], groups[1] if groups and row["std"] else ""
        if place in training.scores:
            counts[folder, "scores twice"] += 1
            differs += training.scores[place] != score
        training.scores[place] = score
    counts[folder, "scores twice, different"] += differs
    if name != "nmer_control":  # the control evaluates trainings of the tables once more
        training.keys.append(key)
        training.commits.append(first["commit"])
        training.seconds, training.device = float(first["seconds"]), first["device"]
        if first["value"] == "nan":
            training.outcome = first["note"][first["note"].index("diverged") :]
    counts[folder, "scores"] += len(rows)


# --- the second edition -----------------------------------------------------------------------------------------------

RENAMED = {"sampling": "steps"}
"""Options that are called otherwise now."""

TEST_TO_TRAIN = {"ravdess_av": 4 / 16, "mosi_bclstm": 31 / 53, "mosi_sentiment": 31 / 53, "synthetic": 1 / 8}
"""Test speakers over train speakers, as the first edition stated them."""

SCHEDULER = re.compile(r"(\w+)\((?:p=(\S+))?\) (?:(\S+) dB|T=(\d+)) Linear\(start=(\S+), stop=(\S+)\)")


def scheduler_of(words: str) -> NoiseScheduler:
    kind, p, level, steps, start, stop = SCHEDULER.fullmatch(words).groups()
    made = {"Gaussian": Gaussian, "Impulse": lambda: Impulse(float(p)), "Zeros": Zeros}[kind]()
    at = {"snr_db": float(level)} if steps is None else {"steps": int(steps)}
    return NoiseScheduler(made, schedule=Linear(float(start), float(stop)), **at)


def recipe_of(old: OldTraining) -> Recipe:
    """The recipe of a training; its conditions keep their words, which name random streams."""
    mixture, total = {}, sum(old.mixture.values())
    for condition, count in old.mixture.items():
        made = Condition(noise={m: scheduler_of(words) for m, words in condition.noise}, seen=condition.seen)
        if str(made) != str(condition):
            raise ValueError(f"the condition {str(condition)!r} was read as {str(made)!r}")
        mixture[made] = count / total
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in old.corpus_options.items()}
    return Recipe(
        getattr(systems, old.system), corpora.named(old.corpus, **given), mixture, fold=old.fold, seed=old.seed,
        budget=Budget(**old.budget), options={RENAMED.get(name, name): value for name, value in old.options.items()},
    )  # fmt: skip


@lru_cache
def corpus_of(request: corpora.Request, fingerprint: str) -> Corpus:
    """The corpus of a recipe. Raises ValueError where it is not the one that was measured."""
    corpus = request.load()
    if corpus.fingerprint != fingerprint:
        raise ValueError(f"{corpus.name} has the fingerprint {corpus.fingerprint}; the scores are of {fingerprint}")
    if abs(corpus.split.test_to_train - TEST_TO_TRAIN[request.name]) > 1e-12:
        raise ValueError(
            f"{corpus.name} tests {corpus.split.test_to_train} speakers for each that it trains on; it was "
            f"{TEST_TO_TRAIN[request.name]}"
        )
    return corpus


@lru_cache
def variance_of(corpus: Corpus, fold: int) -> dict[str, float]:
    return {m: round(v, 6) for m, v in corpus.fold(fold).train.variance.items()}


def record_of(old: OldTraining, recipe: Recipe) -> dict[str, object]:
    """The record of a training, as `experiments.work` and `experiments.grid` write it. Its code has no hash: the first
    edition took none, and the commit says which it was."""
    corpus, parts = corpus_of(recipe.corpus, old.fingerprint), recipe.upstream
    return {
        "key": recipe.key, "recipe": recipe.describe(), "upstream": {name: parts[name].key for name in parts},
        "dataset": old.dataset, "fingerprint": old.fingerprint, "split": corpus.split.describe(),
        "variance": variance_of(corpus, recipe.fold), "commit": old.commits[-1], "code": "", "device": old.device,
        "numerics": {"processor": "AMD EPYC", "instructions": "AVX512", "threads": 1, "torch": "2.13.0",
                     "preloaded": old.preloaded},
        "seconds": old.seconds, "outcome": old.outcome,
    }  # fmt: skip


def publish(trainings: Sequence[OldTraining], folder: Path) -> None:
    """Write the two tables of one paper, and print what is in them."""
    records, scores = {}, []
    for old in trainings:
        recipe = recipe_of(old)
        if recipe.key in records:
            raise ValueError(f"two trainings have the key {recipe.key}, the first edition's {', '.join(old.keys)}")
        records[recipe.key] = record_of(old, recipe)
        scores += [(recipe.key, condition, metric, float(value), float(error or "nan"), int(groups or 0))
                   for (condition, metric), (value, error, groups) in old.scores.items()]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(records[key], sort_keys=True) for key in sorted(records)]
    write_whole(folder / "trainings.jsonl", "".join(f"{line}\n" for line in lines).encode())
    write_whole(folder / "scores.csv", to_csv(pd.DataFrame(scores, columns=list(COLUMNS))))
    asked = {recipe.key: {str(c) for c in conditions} for corpus in {old.corpus for old in trainings}
             for recipe, conditions in PAPERS[folder.name].recipes("paper", [corpus]).items()}  # fmt: skip
    upstream = {key for record in records.values() for key in record["upstream"].values()}
    counts = {
        "trainings": len(records), "scores": len(scores), "upstream trainings that they start from": len(upstream),
        "trainings with preloaded kernels": sum(bool(record["numerics"]["preloaded"]) for record in records.values()),
        "trainings that no table asks for": len(set(records) - set(asked)),
        "scores that no table asks for": sum(score[1] not in asked.get(score[0], ()) for score in scores),
    }  # fmt: skip
    print(f"{folder.name}:", ", ".join(f"{count} {what}" for what, count in counts.items()))


if __name__ == "__main__":
    trainings, counts = old_trainings(*sys.argv[1:2])
    for (folder, what), number in sorted(counts.items()):
        print(f"{folder:12} {what:26} {number}")
    for folder in ("nmer", "nmer_beyond", "cdtp"):
        publish([old for old in trainings if old.folder == folder], project() / "results" / "measured" / folder)
