"""One training in a worker process, without shared files: its input is a `Work`, its output a `Result`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from safetensors import torch as safetensors

from robustmer.batching import on
from robustmer.conditions import Condition
from robustmer.corpora import Corpus, CorpusNotFound
from robustmer.corpora.corpus import Fold
from robustmer.evaluation import Diverged, score
from robustmer.experiments.ledger import Score
from robustmer.experiments.provenance import CODE, numerics, version_of_torch
from robustmer.experiments.recipe import Recipe
from robustmer.systems.checkpoint import restore, to_bytes
from robustmer.systems.system import System
from robustmer.training import construct, fit


SCORED = "scored"
"""The outcome of a work that only scored stored weights; the ledger keeps the record of their training."""


@dataclass(frozen=True)
class Work:
    """A recipe to train and the conditions to score. `code` is the hash of the library in the process that runs the
    grid, `fingerprint` that of its corpus, empty where it has no copy of the corpus."""

    recipe: Recipe
    conditions: tuple[Condition, ...]
    device: str
    code: str
    fingerprint: str


@dataclass(frozen=True)
class Result:
    """The outcome of a work: its record, its weights as a safetensors file (None if there are none) and its scores."""

    record: dict
    weights: bytes | None
    scores: list[Score]


class Refused(RuntimeError):
    """A worker has another library, or other data, than the process that runs the grid."""


def run(work: Work, weights: Mapping[str, bytes]) -> Result:
    """Train one recipe and score it. `weights` holds the weights of its upstream recipes by their keys. If it holds
    those of the recipe itself, the recipe is scored and not trained again.

    On the CPU one thread computes, so that scores do not depend on the number of cores. A training that diverges or
    raises an error ends with a record of that outcome. Raises Refused where library or data differ.
    """
    recipe, start, scores, own = work.recipe, time.perf_counter(), [], None
    if work.code != CODE:
        raise Refused(f"its library is {CODE}, that of the run {work.code}; install the same on both")
    with one_thread():
        record: dict[str, object] = {
            "key": recipe.key, "dataset": recipe.corpus.dataset, "fingerprint": "", "code": CODE,
            "numerics": numerics(work.device), "device": work.device.partition(":")[0],
        }  # fmt: skip
        try:
            corpus = load(work)
            record |= {"fingerprint": corpus.fingerprint, "split": corpus.split.describe()}
            system, test = trained_or_loaded(work, weights, record)
            own = to_bytes(system)
            for condition in work.conditions:
                scores += [Score(str(condition), m, v) for m, v in score(system, test, condition).items()]
            record["outcome"] = "trained"
        except Diverged as error:
            record["outcome"], own = f"diverged: {error}", None
            scores = [Score(str(c), m, float("nan")) for c in work.conditions for m in recipe.task.metrics]
        except (Refused, KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:
            record["outcome"], own, scores = failure(error), None, []
    if recipe.key in weights and scores:
        record["outcome"], own = SCORED, None
    return Result(record | {"seconds": round(time.perf_counter() - start, 1)}, own, scores)


def load(work: Work) -> Corpus:
    """The corpus of a recipe. Raises Refused where it differs from that of the process that runs the grid."""
    try:
        corpus = work.recipe.corpus.load()
    except CorpusNotFound as error:
        if work.fingerprint:
            raise Refused(f"it lacks a corpus: {error}") from error
        raise
    if work.fingerprint and corpus.fingerprint != work.fingerprint:
        raise Refused(
            f"its data of the name {corpus.name} ({corpus.fingerprint}) are not those of the run ({work.fingerprint}); "
            "copy the corpus to it"
        )
    return corpus


def failure(error: BaseException) -> str:
    """The outcome of a training that raised an error: one sentence, with the line that raised it."""
    message = " ".join(str(error).split())[:500]
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" (in {frame.name}, line {frame.lineno} of {frame.filename.rpartition('/')[2]})" for frame in last)
    return f"failed: {type(error).__name__}: {message}{place}"


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def trained_or_loaded(work: Work, weights: Mapping[str, bytes], record: dict) -> tuple[System, object]:
    """The trained system of a recipe and its test split. The variance of the train split is added to the record."""
    recipe = work.recipe
    train, valid, test = fold_of(recipe.corpus.load(), recipe.fold, work.device)
    record["variance"] = {m: round(v, 6) for m, v in train.variance.items()}
    if recipe.key in weights:
        return system_from(recipe, weights[recipe.key], work.device), test
    for name, part in recipe.upstream.items():
        if part.key not in weights:
            raise Diverged(f"its upstream system {name!r} ({part.key}) diverged")
    parts = {name: restored(part, train.shapes, weights[part.key]) for name, part in recipe.upstream.items()}
    system = untrained(recipe, train.shapes, parts).to(work.device)
    fit(system, train, valid, recipe.mixture, recipe.budget, recipe.seed_name)
    return system, test


def restored(recipe: Recipe, shapes: Mapping, data: bytes) -> System:
    """The system of a recipe with these weights. Raises ValueError for weights of other shapes."""
    system = untrained(recipe, shapes)
    try:
        restore(system, safetensors.load(data))
    except (RuntimeError, KeyError) as error:
        why = " ".join(str(error).split())[:300]
        raise ValueError(
            f"the weights of {recipe.key} do not fit {recipe.system.__name__} ({why}); delete "
            f"weights/{recipe.key}.safetensors from the ledger, and the next run trains it again"
        ) from error
    return system


def untrained(recipe: Recipe, shapes: Mapping, parts: Mapping[str, System] | None = None) -> System:
    """The system of a recipe with its first weights, and with these upstream systems or untrained ones."""
    if parts is None:
        parts = {name: untrained(part, shapes) for name, part in recipe.upstream.items()}
    system = construct(recipe.system, shapes, recipe.task, recipe.options, parts, recipe.seed_name)
    system.phase = recipe.phase or system.phase
    return system


def system_from(recipe: Recipe, data: bytes, device: str = "cpu") -> System:
    """The trained system of a recipe from its weights, in evaluation mode."""
    shapes = recipe.corpus.load().shapes
    return restored(recipe, shapes, data).to(device).eval()


_fold: dict[tuple, Fold] = {}
"""The last fold that was used: successive trainings often share it."""


def fold_of(corpus: Corpus, fold: int, device: str) -> Fold:
    """The three splits of a fold, on the device."""
    key = corpus.name, corpus.fingerprint, corpus.standardise, fold, device
    if key not in _fold:
        _fold.clear()
        _fold[key] = Fold(*(on(split, device) for split in corpus.fold(fold)))
    return _fold[key]


def about_process(device: str) -> dict[str, object]:
    """The library and torch of a worker process, and the reason if it cannot use the device."""
    from robustmer.experiments import check_device

    try:
        check_device(device)
    except ValueError as error:
        return {"problem": str(error)}
    return {"code": CODE, "torch": version_of_torch(), "problem": ""}
