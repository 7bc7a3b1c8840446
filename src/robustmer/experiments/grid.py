"""compute: train and score a graph of recipes, upstream first, on this machine or on a cluster."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor, Future, wait
from dataclasses import dataclass, field

from tqdm.auto import tqdm

from robustmer.experiments import check_device
from robustmer.experiments.engines import Engine, engine_named
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.plan import Jobs, Plan
from robustmer.experiments.provenance import CODE, commit
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.work import SCORED, Refused, Result, failure, system_from
from robustmer.systems.system import System
from robustmer.text import printable

TRIES = 3
"""A training fails when its worker has died this many times."""


def compute(
    jobs: Jobs,
    ledger: Ledger,
    workers: int = 1,
    device: str = "cpu",
    engine: str = "local",
    again: bool = False,
    fresh: bool = False,
    progress: bool = True,
    keep: Iterable[Recipe] = (),
) -> Summary:
    """Train the recipes that the ledger lacks, upstream recipes first, and score each under its conditions.

    Every training is written when it ends: an interrupted run loses at most those in progress, and the next run
    computes only what is missing. Several runs on one ledger divide the work. A training that diverged is a result: its
    scores are nan, and it is not repeated. One that failed is reported and recorded, and the next run repeats it; the
    others go on, except those that start from it.

    `engine` is "local" (`workers` processes) or "dask://HOST:PORT" (the workers of a running cluster). `again` computes
    every recipe; `fresh` also computes those that another version of the library made. The ledger keeps the weights of
    upstream recipes and of those in `keep`; a recipe with stored weights is not trained again for new conditions.
    Raises ValueError for a device or an engine that cannot be used, CorpusError for a corpus that cannot be loaded,
    OSError for a ledger that cannot be written, and ConnectionError for a cluster that is gone.
    """
    if engine == "local":
        check_device(device)
    ledger.check_writable()
    summary, plan = Summary(), Plan(jobs, ledger, again, fresh, keep)
    if not plan.waiting:
        return summary
    for recipe in plan.waiting if engine == "local" else ():
        recipe.corpus.load()
    running: dict[Future, Recipe] = {}
    deaths: Counter[Recipe] = Counter()
    waits = False
    pause_s = 0.1 if sys.stderr.isatty() else 30
    bar = tqdm(total=len(plan.waiting), disable=not progress, unit="training", file=sys.stderr, mininterval=pause_s)
    try:
        with bar, engine_named(engine, workers, device) as place:
            while plan.waiting or running:
                elsewhere = start(plan, place, running, summary, device)
                if plan.waiting and not running:
                    if elsewhere and not waits:
                        print(f"waiting for {elsewhere} trainings of another process", file=sys.stderr)
                    waits = bool(elsewhere)
                    time.sleep(0.2)
                for future in wait(running, timeout=1.0, return_when="FIRST_COMPLETED").done:
                    settle(running.pop(future), future, place, plan, summary, deaths)
                bar.set_postfix_str(str(summary), refresh=False)
                bar.update(max(0, bar.total - len(plan.waiting) - len(running) - bar.n))
    finally:
        plan.release()
    if summary.failed:
        print(summary.report(), file=sys.stderr)
    return summary


def start(plan: Plan, place: Engine, running: dict[Future, Recipe], summary: Summary, device: str) -> int:
    """Start the trainings that can start now; returns the number of those that another process computes."""
    free, elsewhere = place.free(), 0
    for recipe in plan.ready(running.values()):
        if free < 1:
            break
        if not plan.can_start(recipe):
            continue
        if not plan.claim(recipe):
            elsewhere += 1
            continue
        failed = next((part for part in recipe.upstream.values() if part in plan.failed), None)
        if plan.is_finished_elsewhere(recipe):
            plan.done(recipe)
        elif failed is not None:
            give_up(recipe, f"failed: it starts from {failed.key}, which failed", plan, summary)
        else:
            running[place.submit(*plan.begin(recipe, device))] = recipe
            free -= 1
    return elsewhere


def settle(
    recipe: Recipe, future: Future, place: Engine, plan: Plan, summary: Summary, deaths: Counter[Recipe]
) -> None:
    """Write the result of a training, or let it wait again after a failure of its worker."""
    error = future.exception()
    if isinstance(error, ConnectionError):
        raise error
    if error is None and not plan.fits(recipe, future.result().record):
        error = Refused("its data differ from those of the first result; give every worker the same corpus")
    if isinstance(error, Refused):
        place.refuse(future, error)
        plan.retry(recipe)
    elif isinstance(error, BrokenExecutor) and deaths[recipe] + 1 < TRIES:
        deaths[recipe] += 1
        plan.retry(recipe)
    elif isinstance(error, BrokenExecutor):
        give_up(recipe, f"failed: its worker died {TRIES} times (out of memory?)", plan, summary)
    elif error is not None:
        give_up(recipe, failure(error), plan, summary)
    else:
        write(recipe, future.result(), plan, summary)


def write(recipe: Recipe, result: Result, plan: Plan, summary: Summary) -> None:
    """Write a training: weights and record first, then its scores."""
    outcome, ledger = result.record["outcome"], plan.ledger
    if outcome.startswith("failed"):
        give_up(recipe, outcome, plan, summary, result.record)
        return
    if outcome == SCORED:
        summary.scored += 1
    else:
        keep = recipe in plan.kept or ledger.weights(recipe.key) is not None
        ledger.write_training(result.record | about(recipe), result.weights if keep else None)
        summary.trained += 1
        summary.diverged += outcome.startswith("diverged")
    if result.scores:
        known = {name: result.record[name] for name in ("fingerprint", "code", "numerics")}
        ledger.write_scores(recipe.key, result.scores, known | {"commit": commit()})
    plan.done(recipe, result.weights)


def give_up(recipe: Recipe, outcome: str, plan: Plan, summary: Summary, record: Mapping = {}) -> None:
    """Record a training that failed, unless the ledger has an earlier result of it."""
    summary.failed[recipe.key] = f"{in_words(recipe)}: {outcome}"
    plan.failed.add(recipe)
    earlier = plan.ledger.training(recipe.key)
    if earlier is None or earlier["outcome"].startswith("failed"):
        nothing = {"key": recipe.key, "dataset": recipe.corpus.dataset, "fingerprint": "", "code": CODE}
        plan.ledger.write_training(nothing | dict(record) | about(recipe) | {"outcome": outcome})
    plan.done(recipe)


def about(recipe: Recipe) -> dict[str, object]:
    """The fields of a record that do not come from the worker: recipe, upstream keys and commit."""
    return {"recipe": recipe.describe(), "upstream": {name: part.key for name, part in recipe.upstream.items()},
            "commit": commit()}  # fmt: skip


def in_words(recipe: Recipe) -> str:
    return f"{recipe.system.__name__} on {recipe.corpus.dataset}, fold {recipe.fold}, seed {recipe.seed}"


@dataclass
class Summary:
    """The outcome of a run: counts of trainings, and the reason of each failure by key. `scored` counts stored systems
    that were scored under further conditions; `trained` includes the `diverged` ones."""

    trained: int = 0
    diverged: int = 0
    scored: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        counts = {"trained": self.trained, "scored": self.scored, "diverged": self.diverged, "failed": len(self.failed)}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "trained")

    def report(self) -> str:
        lines = [f"  {key} {printable(' '.join(why.split()))[:300]}" for key, why in self.failed.items()]
        return "\n".join([f"{len(lines)} trainings failed; a later run tries them again:", *lines])


def trained(recipe: Recipe, ledger: Ledger, device: str = "cpu") -> System:
    """The trained system of a recipe, from the ledger's weights or trained now, upstream first. The ledger keeps its
    weights, so pages share trained systems. Weights of another version of the library are not used. Raises RuntimeError
    where the training fails or diverges."""
    data = Plan({}, ledger, fresh=True).stored(recipe)
    if data is None:
        summary = compute({recipe: ()}, ledger, device=device, fresh=True, progress=False, keep=[recipe])
        data = Plan({}, ledger, fresh=True).stored(recipe)
        if data is None:
            record = ledger.training(recipe.key) or {}
            why = summary.failed.get(recipe.key) or f"{in_words(recipe)}: {record.get('outcome')}"
            raise RuntimeError(f"there is no trained system {recipe.key}; {why}")
    return system_from(recipe, data, device)
