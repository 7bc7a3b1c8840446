"""Recipe: all that decides a training, and its key."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

from robustmer.budget import STANDARD, Budget
from robustmer.conditions import CLEAN, Condition, Mixture, parts_of
from robustmer.corpora import Corpus, Request
from robustmer.experiments.provenance import is_library, source_of
from robustmer.systems.system import System, option_defaults
from robustmer.tasks import Task, complete
from robustmer.training import names_of, upstream_options


@dataclass(frozen=True, eq=False)
class Recipe:
    """Train `system` for `task` on one fold of `corpus`, under `mixture`, starting from `upstream` recipes.

    `corpus` is a `Corpus`, or `corpora.named(...)`, which is loaded when it is needed. The default task is the first
    label of the corpus; the default `upstream` recipes follow from the system's declaration. `streams` and `phase` name
    the random streams of an upstream training. Recipes with equal keys are equal.

    Raises TypeError for an unknown option or upstream system and for options that JSON cannot hold, ValueError for a
    mixture, task, fold or seed that cannot be used and for an upstream recipe of another fold.
    """

    system: type[System]
    corpus: Corpus | Request
    mixture: Condition | Mixture = field(default_factory=lambda: {CLEAN: 1.0})
    task: Task | None = None
    fold: int = 0
    seed: int = 0
    budget: Budget = STANDARD
    options: Mapping[str, object] = field(default_factory=dict)
    upstream: Mapping[str, Recipe] | None = None
    streams: str = ""
    phase: str = ""

    def __post_init__(self):
        parts_of(self.mixture)
        if isinstance(self.mixture, Condition):
            object.__setattr__(self, "mixture", {self.mixture: 1.0})
        if self.fold < 0 or self.seed < 0:
            raise ValueError(f"fold {self.fold} and seed {self.seed} were asked for; both count from 0")
        object.__setattr__(self, "task", complete(self.task, self.corpus.labels))
        known = option_defaults(self.system)
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise TypeError(
                f"system {self.system.__name__} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
            )
        object.__setattr__(self, "options", as_json(self.system, {**known, **self.options}))
        given, needed = self.upstream or {}, self.system.starts_from(self.options)
        unknown = sorted(set(given) - set(needed))
        if unknown:
            raise TypeError(
                f"{self.system.__name__} starts from {', '.join(needed) or 'no system'}, not from {unknown[0]!r}"
            )
        for name, part in given.items():
            self.check_upstream(name, part)
        object.__setattr__(self, "upstream", {name: given.get(name) or self.default(name) for name in needed})

    def check_upstream(self, name: str, part: Recipe) -> None:
        if not isinstance(part, Recipe):
            raise TypeError(
                f"upstream system {name!r} of {self.system.__name__}: a {type(part).__name__} was given; give a Recipe"
            )
        if part.corpus.dataset == self.corpus.dataset and part.fold != self.fold:
            raise ValueError(
                f"{self.system.__name__} on fold {self.fold} of {self.corpus.dataset} cannot start from {name!r} of "
                f"fold {part.fold}, which may have learnt the test samples; give the upstream recipe fold={self.fold}"
            )

    def default(self, name: str) -> Recipe:
        """The recipe of an upstream system that the system declares."""
        needed = self.system.starts_from(self.options)[name]
        return Recipe(
            needed.system, self.corpus, needed.mixture, needed.task or self.task, self.fold, self.seed,
            dataclasses.replace(self.budget, share=needed.share * self.budget.share),
            upstream_options(needed, self.options), streams=needed.streams, phase=needed.phase,
        )  # fmt: skip

    @property
    def seed_name(self) -> str:
        """The first part of the names of its random streams."""
        return names_of(self.streams or self.system.__name__, self.fold, self.seed)

    @cached_property
    def key(self) -> str:
        """The first ten hex digits of the sha256 of `describe()`: a changed default changes the key."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()[:10]

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.key == other.key

    def __getstate__(self) -> dict:
        """The state with the key: another process cannot read the source of a notebook's cell."""
        self.key  # noqa: B018
        return self.__dict__

    def describe(self) -> dict[str, object]:
        """The recipe as JSON, with every default written out. A system or task that is not the library's has a hash of
        its source, so that an edit changes the key."""
        own = {} if is_library(self.system) else {"source": source_of(self.system)}
        task = self.task.describe() | ({} if is_library(self.task) else {"source": source_of(self.task)})
        streams = {"streams": self.streams} if self.streams else {}
        phase = {"phase": self.phase} if self.phase else {}
        about = {
            "system": self.system.__name__, **own, **streams, **phase,
            "options": self.options,
            "corpus": describe_corpus(self.corpus),
            "task": task,
            "mixture": [[describe_condition(c), parts] for c, parts in parts_of(self.mixture).items()],
            "fold": self.fold,
            "seed": self.seed,
            "budget": dataclasses.asdict(self.budget),
            "upstream": {name: recipe.key for name, recipe in self.upstream.items()},
        }  # fmt: skip
        return json.loads(json.dumps(about))


def as_json(system: type[System], options: Mapping[str, object]) -> dict[str, object]:
    """The options after a round trip through JSON. Raises TypeError for one that JSON cannot hold."""
    for name, value in options.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"option {name} of {system.__name__} is {value!r}, which JSON cannot hold; give numbers, text, lists "
                "or dictionaries"
            ) from error
    return json.loads(json.dumps(options))


def describe_corpus(corpus: Corpus | Request) -> dict[str, object]:
    """A corpus in a recipe: a named one by its options, one of your own by the fingerprint of its data."""
    if isinstance(corpus, Request):
        return {"corpus": corpus.name, **json.loads(json.dumps(dict(corpus.options)))}
    return {"corpus": corpus.name, "fingerprint": corpus.fingerprint, "standardise": corpus.standardise}


@lru_cache(maxsize=256)
def describe_condition(condition: Condition) -> str:
    """A condition in a recipe: its words, and a hash of the source of every noise that is not the library's."""
    things = [thing for c in condition.noise.values() for thing in (c, getattr(c, "kind", None)) if thing is not None]
    sources = sorted({source_of(thing) for thing in things if not is_library(thing)})
    return str(condition) + (f" source {' '.join(sources)}" if sources else "")
