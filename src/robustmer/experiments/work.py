"""One training as a worker runs it: everything comes in as an argument, everything goes out as a value."""

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
"""The outcome where stored weights were scored and nothing was trained; a ledger keeps the record of their training."""


@dataclass(frozen=True)
class Work:
    """A training and the conditions to score. `fingerprint` is that of the corpus in the asking process, empty where it
    does not hold the corpus; `code` is the hash of its library."""

    recipe: Recipe
    conditions: tuple[Condition, ...]
    device: str
    code: str
    fingerprint: str


@dataclass(frozen=True)
class Result:
    """What a worker knows of a training, its weights as a safetensors file (None where there are none), its scores."""

    record: dict
    weights: bytes | None
    scores: list[Score]


class Refused(RuntimeError):
    """A worker cannot be used for this work: its library or its data are others."""


def run(work: Work, weights: Mapping[str, bytes]) -> Result:
    """Train one recipe and score it. `weights` holds those of its upstream recipes by their keys; where it holds the
    recipe's own, the recipe is scored and not trained again.

    On the CPU one thread computes, so that the number of cores changes no number. Divergence and any error of a system
    are outcomes of the record; raises Refused where the worker does not fit the asking process.
    """
    recipe, start, scores, own = work.recipe, time.perf_counter(), [], None
    if work.code != CODE:
        raise Refused(f"its library is {CODE}, that of the asking process {work.code}; install the same on both")
    with one_thread():
        record: dict[str, object] = {"key": recipe.key, "dataset": recipe.corpus.dataset, "fingerprint": "", "code": CODE,
                                     "numerics": numerics(work.device), "device": work.device.partition(":")[0]}  # fmt: skip
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
    """The corpus of a recipe, if it is the one that the asking process has."""
    try:
        corpus = work.recipe.corpus.load()
    except CorpusNotFound as error:
        if work.fingerprint:
            raise Refused(f"it lacks a corpus: {error}") from error
        raise
    if work.fingerprint and corpus.fingerprint != work.fingerprint:
        raise Refused(
            f"its data of the name {corpus.name} are others ({corpus.fingerprint}) than those of the asking process "
            f"({work.fingerprint}); copy the corpus to it"
        )
    return corpus


def failure(error: BaseException) -> str:
    """An error as the outcome of a training, in one sentence with the place where it was raised."""
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
    """The trained system of a recipe and its test split; notes the variance of the train split in the record."""
    recipe = work.recipe
    train, valid, test = fold_of(recipe.corpus.load(), recipe.fold, work.device)
    record["variance"] = {m: round(v, 6) for m, v in train.variance.items()}
    if recipe.key in weights:
        return system_from(recipe, weights[recipe.key], work.device), test
    for name, part in recipe.upstream.items():
        if part.key not in weights:
            raise Diverged(f"its upstream system {name!r} ({part.key}) diverged")
    parts = {name: restored(part, train.shapes, weights[part.key]) for name, part in recipe.upstream.items()}
    system = construct(recipe.system, train.shapes, recipe.task, recipe.options, parts, recipe.seed_name)
    system.phase = recipe.phase or system.phase
    system.to(work.device)
    fit(system, train, valid, recipe.mixture, recipe.budget, recipe.seed_name)
    return system, test


def restored(recipe: Recipe, shapes: Mapping, data: bytes) -> System:
    """The system of a recipe with these weights. Raises ValueError where they do not fit it."""
    system = blank(recipe, shapes)
    try:
        restore(system, safetensors.load(data))
    except (RuntimeError, KeyError) as error:
        why = " ".join(str(error).split())[:300]
        raise ValueError(
            f"the weights of {recipe.key} do not fit {recipe.system.__name__} ({why}); delete weights/{recipe.key}.safetensors "
            "from the ledger, and the next run trains it again"
        ) from error
    return system


def blank(recipe: Recipe, shapes: Mapping) -> System:
    """An untrained system with untrained upstream systems, for weights to be loaded into."""
    parts = {name: blank(part, shapes) for name, part in recipe.upstream.items()}
    system = construct(recipe.system, shapes, recipe.task, recipe.options, parts, recipe.seed_name)
    system.phase = recipe.phase or system.phase
    return system


def system_from(recipe: Recipe, data: bytes, device: str = "cpu") -> System:
    """The trained system of a recipe from its weights, in evaluation mode."""
    shapes = recipe.corpus.load().shapes
    return restored(recipe, shapes, data).to(device).eval()


_fold: dict[tuple, Fold] = {}
"""The last fold: trainings that follow each other mostly share theirs."""


def fold_of(corpus: Corpus, fold: int, device: str) -> Fold:
    """The splits of a fold on the device."""
    key = corpus.name, corpus.fingerprint, corpus.standardise, fold, device
    if key not in _fold:
        _fold.clear()
        _fold[key] = Fold(*(on(split, device) for split in corpus.fold(fold)))
    return _fold[key]


def about_process(device: str) -> dict[str, object]:
    """What a worker is, and why it cannot be used, if it cannot."""
    from robustmer.experiments import check_device

    try:
        check_device(device)
    except ValueError as error:
        return {"problem": str(error)}
    return {"code": CODE, "torch": version_of_torch(), "problem": ""}
