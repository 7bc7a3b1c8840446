"""Recipe: everything that decides a training and its evaluation, and the short key that names it."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from robustmer.conditions import Condition
from robustmer.corpora import CORPORA, find
from robustmer.noise import NoiseScheduler, kind_name
from robustmer.results import key_of
from robustmer.source import digest, source_hash
from robustmer.systems import SYSTEMS, System
from robustmer.train import Budget


@dataclass(frozen=True)
class Recipe:
    """Train `system` on one fold of `corpus` under the `train` conditions, then evaluate it under each of `test`.

    `options` go to the system, `corpus_options` to the corpus's loader. `name` is the system's spelling in tables and
    not part of the key.
    """

    system: type[System]
    corpus: str
    train: tuple[Condition, ...]
    test: tuple[Condition, ...]
    fold: int = 0
    seed: int = 0
    budget: Budget = Budget()
    options: Mapping[str, object] = field(default_factory=dict)
    corpus_options: Mapping[str, object] = field(default_factory=dict)
    name: str = ""

    def __post_init__(self):
        find(self.corpus)  # an unknown corpus ends here
        if not self.train or not self.test:
            raise ValueError(f"a recipe needs training and test conditions; got {len(self.train)} and {len(self.test)}")
        modalities = tuple(CORPORA[self.corpus].ABOUT.modalities)
        columns = [(c.noise_name, c.level_name, c.header(modalities)) for c in self.test]
        double = next((c for i, c in enumerate(columns) if c in columns[:i]), None)
        if double:
            raise ValueError(f"two test conditions read alike in a table, {double}; put them into two recipes")
        known_options(self.system.__init__, self.options, f"system {self.system.__name__}", NO_OPTIONS)
        known_options(CORPORA[self.corpus].load, self.corpus_options, f"corpus {self.corpus}", ("folder",))
        if not self.name:
            object.__setattr__(self, "name", self.system.__name__)

    def __getstate__(self) -> dict:
        """A recipe takes its description along to another process, where a notebook's cells have no source."""
        return self.__dict__ | {"described": describe(self)}

    @property
    def key(self) -> str:
        """First ten hex digits of the sha256 of the whole description: a changed default is another key."""
        return key_of(describe(self))


@functools.lru_cache
def parameters_of(function) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


NO_OPTIONS = ("self", "dims", "classes")
"""What a system is given beside its options."""


def known_options(function, options: Mapping[str, object], what: str, skip: tuple[str, ...]) -> None:
    known = [name for name in parameters_of(function) if name not in skip]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"{what} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")


def describe(recipe: Recipe) -> dict:
    """The recipe as JSON types, with every default written out. The system's name is that of its class; one that is not
    of SYSTEMS has a hash of its source too (`source_hash`), so that an edit is another key."""
    if "described" in recipe.__dict__:
        return recipe.__dict__["described"]
    own = {} if recipe.system in SYSTEMS.values() else {"source": source_hash(recipe.system)}
    return own | {
        "system": recipe.system.__name__,
        "options": with_defaults(recipe.system.__init__, recipe.options, skip=NO_OPTIONS),
        "corpus": recipe.corpus,
        "corpus_options": with_defaults(CORPORA[recipe.corpus].load, recipe.corpus_options, skip=("folder",)),
        "train": describe_conditions(recipe.train),
        "test": describe_conditions(recipe.test),
        "fold": recipe.fold,
        "seed": recipe.seed,
        "budget": dataclasses.asdict(recipe.budget),
    }


def with_defaults(function, options: Mapping[str, object], skip: tuple[str, ...]) -> dict:
    defaults = {
        name: parameter.default
        for name, parameter in parameters_of(function).items()
        if name not in skip and parameter.default is not parameter.empty
    }
    return json.loads(json.dumps(defaults | dict(options)))


def describe_conditions(conditions: tuple[Condition, ...]) -> dict:
    """Schedulers once, then each condition as its modalities with the scheduler's number, to keep recipes readable."""
    schedulers = list(dict.fromkeys(s for c in conditions for s in c.noise.values()))
    number = {s: i for i, s in enumerate(schedulers)}
    rows = []
    for c in conditions:
        parts = [f"{m}:{number[s]}" for m, s in c.noise.items()]
        if c.seen is not None:
            parts.append(f"seen={'+'.join(c.seen)}")
        rows.append(" ".join(parts) or "clean")
    return {"schedulers": [describe_scheduler(s) for s in schedulers], "conditions": rows}


def describe_scheduler(scheduler: NoiseScheduler) -> str:
    """The scheduler in words. A user's kind is named with a hash of its source and of what that names (`digest`), so
    that an edit is another key; raises ValueError for a kind whose source cannot be found."""
    text, kind = str(scheduler), scheduler.kind
    if type(kind).__module__ != NoiseScheduler.__module__:  # not one of the library's, whose repr says it all
        try:
            if not inspect.isfunction(kind) and not dataclasses.is_dataclass(kind):
                raise ValueError(f"a {type(kind).__name__} has no source of its own")
            source = digest(kind)
        except ValueError as error:
            raise ValueError(
                f"the source of the noise {kind_name(kind)!r} cannot be found, so a recipe cannot name it; give a "
                "function or a frozen dataclass that is defined in a file or notebook cell"
            ) from error
        text += f" source {source}"
    return text + (f" tolerance {scheduler.tolerance_db}" if scheduler.tolerance_db != 1.0 else "")
