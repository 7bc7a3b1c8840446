"""A recipe's key is its whole description: what changes a training changes the key, and nothing else does."""

import copy
import dataclasses
import functools
import hashlib
import json
import linecache
import pickle

import numpy as np
import pytest
import torch
from toy import CORPUS, MODALITIES, NOISY, SHORT, Slow, Student, Tiny, corpus

from robustmer import corpora
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, drop, uniform
from robustmer.experiments.provenance import source_of
from robustmer.experiments.recipe import Recipe
from robustmer.noise import Impulse, NoiseScheduler
from robustmer.systems.men import MEN
from robustmer.systems.nmer import NMER
from robustmer.systems.system import System
from robustmer.tasks import Classify, Regress

NAMED = corpora.named("synthetic", size="smoke")


def recipe(**changes) -> Recipe:
    return Recipe(**(dict(system=Tiny, corpus=CORPUS, budget=SHORT) | changes))


def test_a_key_is_the_whole_description():
    same = recipe()
    assert same.key == recipe(options={"lr": 0.05}).key, "a default written out is the same experiment"
    assert same.key == recipe(task=Classify("emotion"), mixture={CLEAN: 1.0}).key == recipe(mixture=CLEAN).key
    changes = [
        {"fold": 1}, {"seed": 1}, {"system": Slow}, {"options": {"lr": 0.1}}, {"mixture": NOISY},
        {"mixture": uniform([CLEAN, NOISY])}, {"budget": Budget(epochs=2)}, {"corpus": corpus(seed=1)},
        {"corpus": dataclasses.replace(CORPUS, standardise=False)}, {"corpus": CORPUS.only(["audio", "text"])},
        {"corpus": NAMED}, {"streams": "Other"}, {"phase": "first"},
    ]  # fmt: skip
    assert len({same.key, *(recipe(**change).key for change in changes)}) == 1 + len(changes)
    assert json.loads(json.dumps(same.describe())) == same.describe()


def test_equal_recipes_are_equal_and_hash_alike():
    assert recipe() == recipe() != recipe(seed=1)
    assert len({recipe(), recipe(), recipe(seed=1)}) == 2


def test_a_named_corpus_is_not_loaded_for_a_key():
    named = corpora.named("iemocap_mmin")  # gated: on few machines
    made = recipe(system=MEN, corpus=named)
    assert made.task == Classify("emotion", named.labels["emotion"]) and made.key
    assert made.key != recipe(system=MEN, corpus=corpora.named("iemocap_mmin", standardise=False)).key


def test_an_edited_mixture_probability_is_another_key():
    keys = {recipe(mixture=drop(MODALITIES, rate)).key for rate in (0, 0.1, 0.2)}
    assert len(keys) == 3


# --- upstream recipes -------------------------------------------------------------------------------------------------


def test_upstream_recipes_follow_from_the_declaration():
    student = recipe(system=Student, seed=2, options={"note": ""}, mixture=NOISY)
    teacher = student.upstream["teacher"]
    assert (teacher.system, teacher.seed, teacher.fold, teacher.mixture) == (Tiny, 2, 0, {CLEAN: 1.0})
    assert teacher.budget == dataclasses.replace(SHORT, share=0.5)
    assert student.describe()["upstream"] == {"teacher": teacher.key}
    other = recipe(system=Student, seed=2, mixture=NOISY, upstream={"teacher": recipe(seed=2)})
    assert other.key != student.key, "a teacher with the whole budget is another training"
    same = recipe(system=Student, seed=2, mixture=NOISY, upstream={"teacher": teacher})
    assert same == student


def test_systems_that_start_from_the_same_training_share_it():
    cells = [recipe(system=NMER, corpus=NAMED, mixture=mixture) for mixture in (CLEAN, NOISY)]
    assert cells[0] != cells[1] and cells[0].upstream["teacher"] == cells[1].upstream["teacher"]


def test_what_a_recipe_cannot_mean_is_refused():
    with pytest.raises(TypeError, match="Tiny has no option depth; it has lr, note"):
        recipe(options={"depth": 3})
    with pytest.raises(TypeError, match="Tiny starts from no system, not from 'teacher'"):
        recipe(upstream={"teacher": recipe()})
    with pytest.raises(TypeError, match="Student starts from teacher, not from 'master'"):
        recipe(system=Student, upstream={"master": recipe()})
    with pytest.raises(TypeError, match="'teacher' of Student: a type was given; give a Recipe"):
        recipe(system=Student, upstream={"teacher": Tiny})
    with pytest.raises(ValueError, match="Student on fold 0 of toy .* fold 1, which may have learnt the test samples"):
        recipe(system=Student, upstream={"teacher": recipe(fold=1)})
    with pytest.raises(TypeError, match="option lr of Tiny is tensor.*which JSON cannot hold"):
        recipe(options={"lr": torch.ones(2)})
    with pytest.raises(ValueError, match="label 'mood' was asked for; the corpus has emotion"):
        recipe(task=Classify("mood"))
    with pytest.raises(ValueError, match="has 2 classes in this corpus; use Classify"):
        recipe(task=Regress("emotion"))
    with pytest.raises(ValueError, match="sum to 0.5; they must sum to 1"):
        recipe(mixture={CLEAN: 0.5})
    with pytest.raises(ValueError, match="fold -1 and seed 0"):
        recipe(fold=-1)


# --- a user's own systems and noise -----------------------------------------------------------------------------------


def defined(text: str, name: str = "Mine"):
    """A class or function as a notebook defines it: its text is where tracebacks look for it, and in no file."""
    place = f"<cell {hashlib.sha256(text.encode()).hexdigest()}>"
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    space = {"__name__": "__main__", "System": System, "MEN": MEN, "torch": torch, "np": np, "functools": functools}
    exec(compile(text, place, "exec"), space)
    return space[name]


MINE = """
SCALE = 2
def twice(x):
    return SCALE * x

class Base(MEN):
    power = 1
    levels = (1, 2)

class Mine(Base):
    def forward(self, observed):
        return twice(super().forward(observed)) ** self.power
"""


@pytest.mark.parametrize("before, after", [
    ("** self.power", "** self.power + 1"), ("power = 1", "power = 2"), ("(1, 2)", "(1, 3)"),
    ("SCALE * x", "x * SCALE"), ("SCALE = 2", "SCALE = 3"), ("class Base(MEN)", "class Base(System)"),
], ids=["method", "constant of a base", "tuple", "function", "constant", "base"])  # fmt: skip
def test_an_edited_system_of_a_user_is_another_key(before, after):
    first, same, edited = (defined(text) for text in (MINE, MINE, MINE.replace(before, after)))
    keys = [recipe(system=system, options={}).key for system in (first, same, edited)]
    assert keys[0] == keys[1] != keys[2] and before in MINE


@pytest.mark.parametrize("before, after", [
    ("functools.partial(add, 1)", "functools.partial(add, 2)"),
    ("functools.partial(add, 1)", "functools.partial(sub, 1)"),
    ("{'f': lambda x: x + 1}", "{'f': lambda x: x + 2}"), ("[add, sub, add]", "[add, sub, sub]"),
    ("[[1], 2]", "[[1, 2]]"),
    ("torch.arange(5000)", "torch.arange(5000).index_fill(0, torch.tensor(2500), 0)"),
    ("np.ones(3)", "np.ones((3, 1))"),
    ("torch.zeros(4)", "torch.zeros(4, dtype=torch.int32)"), ("{3, 4}", "{3, 5}"), ("Adder(1)", "Adder(2)"),
])  # fmt: skip
def test_a_value_counts_by_what_it_holds(before, after):
    text = """
def add(x, y=0): return x + y
def sub(x, y=0): return x - y
class Adder:
    def __init__(self, y): self.y = y
    def __call__(self, x): return x + self.y
class Mine(MEN):
    thing = THING
"""
    first, same, edited = (source_of(defined(text.replace("THING", value))) for value in (before, before, after))
    assert first == same != edited


def test_a_value_that_does_not_show_what_it_holds_is_refused():
    with pytest.raises(ValueError, match="source of 'Mine' cannot be read .*does not show what it holds"):
        source_of(defined("class Mine(MEN):\n    thing = torch.nn.Linear(2, 2)\n"))


def test_a_system_without_a_source_is_refused():
    space = {"MEN": MEN, "__name__": "__main__"}
    exec("class Mine(MEN):\n    def forward(self, observed): return 1", space)
    with pytest.raises(ValueError, match="source of 'Mine' cannot be read .*in a file or in a notebook cell"):
        recipe(system=space["Mine"]).key  # noqa: B018


def test_what_dataclass_writes_needs_no_source():
    text = "import dataclasses\n@dataclasses.dataclass(frozen=True)\nclass Out:\n    scale: float = 1.0\n\n"
    text += (
        "class Mine(MEN):\n    def forward(self, observed):\n        return Out().scale * super().forward(observed)\n"
    )
    keys = [recipe(system=defined(t)).key for t in (text, text, text.replace("1.0", "2.0"))]
    assert keys[0] == keys[1] != keys[2]


def test_a_system_of_the_library_is_named_without_its_source():
    """Or every key would change with every edit of the library; the hash in a record tells its versions apart."""
    assert "source" not in recipe(system=MEN).describe() and "source" in recipe(system=Tiny).describe()
    mine = defined("class MEN(MEN):\n    pass\n", "MEN")
    assert recipe(system=mine).key != recipe(system=MEN).key


def test_an_edited_noise_of_a_user_is_another_key():
    def keys(*kinds):
        conditions = [Condition(noise={"audio": NoiseScheduler(kind, steps=5)}) for kind in kinds]
        return [recipe(mixture=condition).key for condition in conditions]

    text = "LEVEL = 2\ndef hum(shape, generator):\n    return LEVEL * torch.ones(shape)\n"
    first, same, edited, louder = keys(*(defined(t, "hum") for t in (
        text, text, text.replace("LEVEL *", "3 * LEVEL *"), text.replace("= 2", "= 4"))))  # fmt: skip
    assert first == same and len({first, edited, louder}) == 3

    def captured(level):
        def hum(shape, generator):
            return level * torch.ones(shape)

        return hum

    first, same, other = keys(captured(1), captured(1), captured(9))
    assert first == same != other
    text = "class Hum:\n    def __init__(self, level): self.level = level\n"
    text += "    def __call__(self, shape, generator): return self.level * torch.ones(shape)\n"
    hum = defined(text, "Hum")
    first, other = keys(hum(1), hum(2))
    assert first != other
    assert "source" not in str(
        recipe(system=MEN, mixture=Condition(noise={"audio": NoiseScheduler(Impulse(0.3), snr_db=-10)})).describe()
    )


def test_a_recipe_keeps_its_key_where_a_notebooks_cells_are_not():
    """Another process gets the class by value and its source not at all, so the key travels along."""
    made = recipe(system=defined(MINE))
    state, key = pickle.loads(pickle.dumps({"key": made.key})), made.key
    sent = object.__new__(Recipe)
    sent.__dict__.update(copy.copy(made.__getstate__()))
    linecache.clearcache()
    assert sent.key == key == state["key"]
    with pytest.raises(ValueError, match="cannot be read"):
        sent.describe()
