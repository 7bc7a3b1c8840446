"""Plan: the recipes of a grid that remain to be computed, and the weights that they start from."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import pandas as pd
from filelock import FileLock

from robustmer.conditions import Condition
from robustmer.corpora import CorpusError
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.provenance import CODE
from robustmer.experiments.recipe import Recipe, describe_corpus
from robustmer.experiments.work import Work
from robustmer.systems.checkpoint import header

Jobs = Mapping[Recipe, Iterable[Condition]]


class Plan:
    """The recipes that wait, with the conditions to score. A recipe waits for those that it starts from, unless the
    ledger has their weights, current and undamaged."""

    def __init__(
        self, jobs: Jobs, ledger: Ledger, again: bool = False, fresh: bool = False, keep: Iterable[Recipe] = ()
    ):
        self.ledger, self.again, self.fresh, self.kept = ledger, again, fresh, set(keep)
        self.fingerprints: dict[str, str] = {}
        self.claims: dict[Recipe, FileLock] = {}
        self.weights: dict[Recipe, bytes] = {}
        self.failed: set[Recipe] = set()
        self.wanted: dict[Recipe, tuple[Condition, ...]] = {}
        self.waiting: dict[Recipe, None] = {}
        records, scored = (ledger.trainings(), scored_in(ledger.scores())) if jobs or self.kept else ({}, {})
        for recipe in dict.fromkeys([*jobs, *self.kept]):
            conditions = tuple(dict.fromkeys(jobs.get(recipe, ())))
            record = records.get(recipe.key)
            if not again and self.is_current(recipe, record):
                conditions = self.lacking(recipe, conditions, scored)
                if not conditions and (recipe not in self.kept or self.is_settled(recipe, record)):
                    continue
            self.wanted[recipe] = conditions
        for recipe in list(self.wanted):
            self.add(recipe)

    def add(self, recipe: Recipe) -> None:
        """Let a recipe wait, after those of its upstream recipes that have no weights yet."""
        self.wanted.setdefault(recipe, ())
        for part in recipe.upstream.values() if self.must_train(recipe) else ():
            if part not in self.waiting and (part in self.wanted or not self.is_settled(part)):
                self.add(part)
            self.kept.add(part)
        self.waiting.setdefault(recipe)

    def must_train(self, recipe: Recipe) -> bool:
        """Whether a recipe must be trained. One with stored weights is only scored."""
        return self.again and recipe in self.wanted or self.stored(recipe) is None

    def lacking(self, recipe: Recipe, conditions: tuple[Condition, ...], scored: Mapping) -> tuple[Condition, ...]:
        metrics = set(recipe.task.metrics)
        return tuple(c for c in conditions if not metrics <= scored.get((recipe.key, str(c)), set()))

    # --- what the ledger has ---

    def is_current(self, recipe: Recipe, record: Mapping | None) -> bool:
        """Whether a record counts: its training did not fail and used the present version of the corpus (and, if
        `fresh`, of the library). A corpus that is not on this machine counts as unchanged."""
        if record is None or record["outcome"].startswith("failed") or self.fresh and record.get("code") != CODE:
            return False
        return record["fingerprint"] == self.fingerprint(recipe, record["fingerprint"])

    def is_settled(self, recipe: Recipe, record: Mapping | None = None) -> bool:
        """Whether its weights are stored, or it has none because it diverged."""
        if self.stored(recipe) is not None:
            return True
        record = record or self.ledger.training(recipe.key)
        return self.is_current(recipe, record) and record["outcome"].startswith("diverged")

    def stored(self, recipe: Recipe) -> bytes | None:
        """The weights of a recipe as a file's bytes; None if the ledger has none that are current and undamaged."""
        if recipe not in self.weights:
            file = self.ledger.weights(recipe.key)
            if file is None or not self.is_current(recipe, self.ledger.training(recipe.key)):
                return None
            try:
                header(file)
                self.weights[recipe] = file.read_bytes()
            except (ValueError, OSError) as error:
                print(f"{error}; it is trained again", file=sys.stderr)
                file.unlink(missing_ok=True)
                return None
        return self.weights[recipe]

    def fingerprint(self, recipe: Recipe, otherwise: str = "") -> str:
        """The fingerprint of a recipe's corpus, or `otherwise` if the corpus is not on this machine."""
        name = str(describe_corpus(recipe.corpus))
        if name not in self.fingerprints:
            try:
                self.fingerprints[name] = recipe.corpus.load().fingerprint
            except CorpusError:
                return otherwise
        return self.fingerprints[name]

    def fits(self, recipe: Recipe, record: Mapping) -> bool:
        """Whether a result has the fingerprint of this plan's data: that of the first result, if the corpus is not on
        this machine."""
        name, given = str(describe_corpus(recipe.corpus)), record["fingerprint"]
        return not given or given == self.fingerprints.setdefault(name, given)

    # --- what comes next ---

    def ready(self, running: Iterable[Recipe]) -> list[Recipe]:
        """Recipes whose upstream recipes neither wait nor run."""
        busy = {*self.waiting, *running}
        return [recipe for recipe in self.waiting if not any(part in busy for part in recipe.upstream.values())]

    def can_start(self, recipe: Recipe) -> bool:
        """Whether its upstream recipes are settled or have failed. One whose weights were deleted waits again."""
        for part in recipe.upstream.values() if self.must_train(recipe) else ():
            if part not in self.failed and not self.is_settled(part):
                self.kept.add(part)
                self.add(part)
        return not any(part in self.waiting for part in recipe.upstream.values())

    def claim(self, recipe: Recipe) -> bool:
        """Claim a recipe for this process; False while another process computes it."""
        lock = self.ledger.claim(recipe.key)
        if lock is not None:
            self.claims[recipe] = lock
        return lock is not None

    def is_finished_elsewhere(self, recipe: Recipe) -> bool:
        """Whether another process has finished it since this plan was made."""
        record = self.ledger.training(recipe.key)
        if self.again or not self.is_current(recipe, record):
            return False
        if recipe in self.kept and not self.is_settled(recipe, record):
            return False
        wanted = self.wanted[recipe]
        return not (wanted and self.lacking(recipe, wanted, scored_in(self.ledger.scores(recipe.key))))

    def begin(self, recipe: Recipe, device: str) -> tuple[Work, dict[str, bytes]]:
        """The work for a worker and the weights that it needs, by key. The recipe no longer waits."""
        parts = recipe.upstream.values() if self.must_train(recipe) else [recipe]
        weights = {part.key: data for part in parts if (data := self.stored(part)) is not None}
        del self.waiting[recipe]
        return Work(recipe, self.wanted[recipe], device, CODE, self.fingerprint(recipe)), weights

    def done(self, recipe: Recipe, weights: bytes | None = None) -> None:
        """Release the claim, and hold the weights while recipes that start from them wait."""
        self.waiting.pop(recipe, None)
        self.free(recipe)
        needed = {part for other in self.waiting for part in other.upstream.values()}
        if weights is not None:
            self.weights[recipe] = weights
        self.weights = {part: data for part, data in self.weights.items() if part in needed or part in self.waiting}

    def retry(self, recipe: Recipe) -> None:
        self.free(recipe)
        self.waiting.setdefault(recipe)

    def free(self, recipe: Recipe) -> None:
        if recipe in self.claims:
            self.ledger.free(self.claims.pop(recipe))

    def release(self) -> None:
        """Release every claim at the end of a run."""
        for recipe in list(self.claims):
            self.free(recipe)


def scored_in(scores: pd.DataFrame) -> dict[tuple[str, str], set[str]]:
    """The metrics that are stored for each training and condition."""
    scored: dict[tuple[str, str], set[str]] = {}
    for key, condition, metric in scores[["key", "condition", "metric"]].itertuples(index=False):
        scored.setdefault((key, condition), set()).add(metric)
    return scored
