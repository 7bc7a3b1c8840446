"""The ledger loses nothing; published and measured numbers are one form; a stored key is not computed twice."""

import collections
import functools
import hashlib
import json
import linecache
import math
import multiprocessing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from test_corpora import mosi_arrays, write

from robustmer import grid
from robustmer import results
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, Condition, everything, incomplete, missing, missing_modes
from robustmer.corpora import load
from robustmer.evaluate import evaluate, ua_lost
from robustmer.grid import cross_validate
from robustmer.metrics import REGRESSION
from robustmer.noise import Gaussian, Impulse, NoiseScheduler
from robustmer.papers import nmer
from robustmer.recipe import Recipe, describe
from robustmer.results import Row, append, key_of, published, read
from robustmer.source import source_hash
from robustmer.systems import MEN, NMER, SYSTEMS, LogReg, System
from robustmer.train import Budget, fit, seeded

ROW = Row("nmer", "measured", "synthetic", "MEN", "gaussian", "-10", "a,v", "WA", 0.5, key="k0", fingerprint="f")
TINY = Budget(epochs=1, max_steps=1, checks=1)
NOISY = NoiseScheduler(Gaussian(), snr_db=-10)


def recipe(**changes) -> Recipe:
    about = dict(
        system=LogReg, corpus="synthetic", train=(CLEAN,), test=(CLEAN,), budget=TINY, corpus_options={"size": "smoke"}
    )
    return Recipe(**(about | changes))


def test_rows_come_back_as_they_were_written(tmp_path):
    first, second = ({"system": name} for name in ("MEN", "NMER"))
    row = replace(ROW, key=key_of(first))
    rows = [row, replace(row, metric="UA", value=0.25, note='with "quotes", commas')]
    append(tmp_path / "x.csv", rows, first)
    append(tmp_path / "x.csv", rows[:1], first)
    append(tmp_path / "x.csv", [replace(row, key=key_of(second))], second)
    back = read(tmp_path / "x.csv")
    assert [Row(**row) for row in back.to_dict("records")] == [*rows[1:], row, replace(row, key=key_of(second))]
    assert results.read_recipes(tmp_path / "x.recipes.jsonl") == {key_of(r): r for r in (first, second)}


def test_a_torn_header_is_written_anew(tmp_path):
    (tmp_path / "x.csv").write_text("paper,tab")
    append(tmp_path / "x.csv", [ROW])
    assert len(read(tmp_path / "x.csv")) == 1


@pytest.mark.parametrize("cut", [1, 5, 40, 75])
def test_a_torn_last_line_is_neither_read_nor_kept(tmp_path, cut):
    path = tmp_path / "x.csv"
    append(path, [ROW, replace(ROW, metric="UA")])
    path.write_bytes(path.read_bytes()[:-cut])
    assert len(read(path)) == 1
    append(path, [replace(ROW, key="k2")])
    assert list(read(path)["key"]) == ["k0", "k2"]


def test_equal_rows_of_two_runs_count_once(tmp_path):
    append(tmp_path / "x.csv", [ROW])
    append(tmp_path / "x.csv", [ROW])
    assert len(read(tmp_path / "x.csv")) == 1


def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="x.csv does not begin with the columns"):
        read(tmp_path / "x.csv")


def write_some(path, who):
    for i in range(20):
        about = {"who": who, "i": i}
        append(path, [replace(ROW, key=key_of(about), metric=m) for m in ("WA", "UA")], about)


def test_processes_that_append_at_once_lose_and_mix_nothing(tmp_path):
    path = tmp_path / "x.csv"
    writers = [multiprocessing.get_context("fork").Process(target=write_some, args=(path, who)) for who in range(4)]
    for w in writers:
        w.start()
    for w in writers:
        w.join()
    rows = read(path)
    assert len(rows) == 160 and rows.groupby("key").size().eq(2).all()
    assert len(results.read_recipes(tmp_path / "x.recipes.jsonl")) == 80


# --- recipes and keys -------------------------------------------------------------------------------------------------


def test_a_key_is_the_whole_description():
    same = recipe()
    assert same.key == recipe(options={"l2": 0.1}).key, "a default written out is the same experiment"
    changes = [
        dict(fold=1),
        dict(seed=1),
        dict(system=MEN),
        dict(options={"l2": 0.3}),
        dict(train=(everything(MODALITIES, NOISY),)),
        dict(budget=Budget(epochs=2)),
        dict(corpus_options={"size": "quick"}),
        dict(test=incomplete(MODALITIES, NOISY)),
    ]
    assert len({same.key, *(recipe(**c).key for c in changes)}) == 1 + len(changes)
    assert json.loads(json.dumps(describe(same))) == describe(same)


def test_an_edited_noise_function_is_another_key():
    def hum(shape, generator):
        return torch.ones(shape)

    first = recipe(test=(everything(MODALITIES, NoiseScheduler(hum, steps=5)),)).key

    def hum(shape, generator):
        return 2 * torch.ones(shape)

    assert recipe(test=(everything(MODALITIES, NoiseScheduler(hum, steps=5)),)).key != first


def test_what_a_noise_function_captured_is_in_the_key():
    def louder(by):
        def hum(shape, generator):
            return by * torch.ones(shape)

        return hum

    keys_of = {recipe(test=(everything(MODALITIES, NoiseScheduler(louder(by), steps=5)),)).key for by in (1, 1, 9)}
    assert len(keys_of) == 2
    with pytest.raises(ValueError, match="source of the noise 'partial' cannot be found"):
        recipe(test=(everything(MODALITIES, NoiseScheduler(functools.partial(louder(1)), steps=5)),)).key  # noqa: B018


@pytest.mark.parametrize("before, after", [
    ("LEVEL = 2", "LEVEL = 3"), ("return LEVEL", "return 2 * LEVEL"), ("scale=1", "scale=4"), ("power = 1", "power = 9")
])  # fmt: skip
@pytest.mark.parametrize("name", ["hum", "whistle"])
def test_what_a_noise_names_is_in_the_key(name, before, after):
    text = "import dataclasses\nLEVEL = 2\ndef level(scale=1):\n    return LEVEL * scale\n"
    text += "def hum(shape, generator):\n    return level() * torch.ones(shape)\nhum.power = 1\n"
    text += "@dataclasses.dataclass(frozen=True)\nclass Whistle:\n    power = 1\n"
    text += "    def __call__(self, shape, generator):\n        return level() * torch.ones(shape)\n"
    text += "whistle = Whistle()\n"
    kinds = [of_reader(t, name) for t in (text, text, text.replace(before, after))]
    keys_of = [recipe(test=(everything(MODALITIES, NoiseScheduler(kind, steps=5)),)).key for kind in kinds]
    assert keys_of[0] == keys_of[1] != keys_of[2]


def of_reader(text: str, name: str = "Mine", **names) -> type:
    """A class as a notebook defines it: its text is where tracebacks look for it, and in no file."""
    place = f"<cell {hashlib.sha256(text.encode()).hexdigest()}>"
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    space = {"__name__": "__main__", "System": System, "LogReg": LogReg, "torch": torch, **names}
    exec(compile(text, place, "exec"), space)
    return space[name]


MINE = """
SCALE = 2
def twice(x):
    return SCALE * x

class Base(LogReg):
    power = 1

class Mine(Base):
    def forward(self, seen):
        return twice(super().forward(seen)) ** self.power
"""


@pytest.mark.parametrize("before, after", [
    ("** self.power", "** self.power + 1"),
    ("power = 1", "power = 2"),
    ("SCALE * x", "x * SCALE"),
    ("SCALE = 2", "SCALE = 3"),
    ("class Base(LogReg)", "class Base(System)"),
], ids=["method", "constant of a base", "function", "value", "base"])  # fmt: skip
def test_an_edited_system_of_a_reader_is_another_key(before, after):
    first, same, edited = (of_reader(text) for text in (MINE, MINE, MINE.replace(before, after)))
    assert recipe(system=first).key == recipe(system=same).key
    assert describe(recipe(system=first))["system"] == "Mine" and before in MINE
    if issubclass(edited, LogReg):
        assert recipe(system=edited).key != recipe(system=first).key
    else:
        assert source_hash(edited) != source_hash(first)


HELD = {
    "partial": ("functools.partial(add, 1)", "functools.partial(add, 2)"),
    "function of a partial": ("functools.partial(add, 1)", "functools.partial(sub, 1)"),
    "keyword of a partial": ("functools.partial(add, y=1)", "functools.partial(add, y=2)"),
    "callable": ("Adder(1)", "Adder(2)"),
    "class of a callable": ("Adder(1)", "Doubler(1)"),
    "bound method": ("Adder(1).__call__", "Adder(2).__call__"),
    "bound method in C": ("{1: 2}.get", "{1: 3}.get"),
    "dict of functions": ("{'f': lambda x: x + 1}", "{'f': lambda x: x + 2}"),
    "order": ("[add, sub, add]", "[add, sub, sub]"),
    "nested lists": ("[[1], 2]", "[[1, 2]]"),
    "set": ("{'a', 'b', 'c', 'd', 'e'}", "{'a', 'b', 'c', 'd', 'f'}"),
    "default": ("lambda x, f=lambda y: y + 1: f(x)", "lambda x, f=lambda y: y + 2: f(x)"),
    "tensor": ("torch.arange(5000)", "torch.arange(5000).index_fill(0, torch.tensor(2500), 0)"),
    "shape of a tensor": ("torch.zeros(4, 2)", "torch.zeros(2, 4)"),
    "type of a tensor": ("torch.zeros(4)", "torch.zeros(4, dtype=torch.int32)"),
    "half of a tensor": ("torch.arange(9, dtype=torch.bfloat16)[::2]", "torch.arange(9, dtype=torch.bfloat16)[1::2]"),
    "one number": ("torch.tensor(1.0)", "torch.tensor(2.0)"),
    "array": ("np.arange(5000)", "np.r_[:2500, 0, 2501:5000]"),
    "array of objects": ("np.array([add, 1])", "np.array([sub, 1])"),
    "weights": ("torch.nn.Linear(2, 2).requires_grad_(False).apply(fill)",
                "torch.nn.Linear(2, 2).requires_grad_(False)._apply(lambda x: x.fill_(2))"),
    "option of a module": ("torch.nn.Dropout(0.1)", "torch.nn.Dropout(0.2)"),
    "recurrent": ("torch.nn.GRU(1, 1).apply(fill)", "torch.nn.GRU(1, 1, bidirectional=True).apply(fill)"),
    "module that no pickle takes": ("weight_norm(torch.nn.Linear(2, 2).apply(fill))",
                                    "weight_norm(torch.nn.Linear(2, 2).apply(fill), dim=1)"),
    "its weights": ("weight_norm(torch.nn.Linear(2, 2).apply(fill))",
                    "weight_norm(torch.nn.Linear(2, 2).apply(fill)).apply(fill)"),
    "deque": ("collections.deque([1])", "collections.deque([2])"),
    "counts": ("collections.Counter('a')", "collections.Counter('b')"),
    "itself": ("[HELD_BY] if (HELD_BY := []).append(HELD_BY) else HELD_BY", "[[]]"),
    "text": ("'lost at 0x12'", "'lost at 0x13'"),
}
HOLDER = """
def add(x, y=0): return x + y
def sub(x, y=0): return x - y
def fill(module):
    for p in module.parameters(): p.data.fill_(1)
class Adder:
    def __init__(self, y): self.y = y
    def __call__(self, x): return x + self.y
class Doubler(Adder):
    def __call__(self, x): return 2 * x + self.y
THING = NOTHING
class Mine(LogReg):
    def forward(self, seen):
        return super().forward(seen) * bool(THING)
"""


def of_holder(text):
    return of_reader(HOLDER.replace("NOTHING", text), functools=functools, collections=collections, np=np,
                     weight_norm=torch.nn.utils.parametrizations.weight_norm)


@pytest.mark.parametrize("what", HELD)
def test_a_value_counts_by_what_it_holds(what):
    first, same, edited = (source_hash(of_holder(text)) for text in (HELD[what][0], *HELD[what]))
    assert first == same != edited


def test_the_order_of_a_set_does_not_count():
    assert list({0, 8}) != list({8, 0}), "as strings have in two processes"
    assert source_hash(of_holder("set([0, 8])")) == source_hash(of_holder("set([8, 0])"))


@pytest.mark.parametrize("text", ["(x for x in [])", "{'a': __import__('threading').Lock()}"])
def test_a_value_that_does_not_show_what_it_holds_is_refused(text):
    with pytest.raises(ValueError, match="source of the system 'Mine' cannot be found .*does not show what it holds"):
        source_hash(of_holder(text))


def test_a_system_of_the_library_is_named_without_its_source():
    """Or every key would change with every edit of the library; the commit in a row tells its states apart."""
    for system in SYSTEMS.values():
        assert "source" not in describe(recipe(system=system))


def test_a_system_without_a_source_is_refused():
    space = {"LogReg": LogReg}
    exec("class Mine(LogReg):\n    def forward(self, seen): return 1", space)
    with pytest.raises(ValueError, match="source of the system 'Mine' cannot be found"):
        recipe(system=space["Mine"]).key  # noqa: B018


def test_what_dataclass_writes_needs_no_source():
    text = "import dataclasses\n@dataclasses.dataclass(frozen=True)\n"
    text += "class Out:\n    logits: object\n    scale: float = 1.0\n\n"
    text += "class Mine(LogReg):\n    def forward(self, seen):\n        return Out(super().forward(seen)).logits\n"
    keys_of = [recipe(system=of_reader(t)).key for t in (text, text, text.replace("1.0", "2.0"))]
    assert keys_of[0] == keys_of[1] != keys_of[2]


def test_a_recipe_keeps_its_key_where_a_notebooks_cells_are_not():
    """Another process gets the class by value and its source not at all, so the description travels along."""
    here = recipe(system=of_reader(MINE))
    state, key = here.__getstate__(), here.key
    linecache.clearcache()
    there = object.__new__(Recipe)
    there.__dict__.update(state)
    assert there.key == key
    with pytest.raises(ValueError, match="cannot be found"):
        describe(replace(there, seed=1))


def test_test_conditions_that_a_table_could_not_tell_apart_are_refused():
    louder = NoiseScheduler(nmer.NOISES["impulse"], snr_db=-10), NoiseScheduler(Impulse(0.9), snr_db=-10)
    with pytest.raises(ValueError, match="read alike in a table"):
        recipe(test=tuple(everything(MODALITIES, s) for s in louder))
    with pytest.raises(ValueError, match="training and test conditions"):
        recipe(test=())
    with pytest.raises(ValueError, match="no corpus 'iemocap'"):
        recipe(corpus="iemocap")


def test_unknown_options_are_named():
    with pytest.raises(TypeError, match="LogReg has no option depth; it has l2, lr"):
        recipe(options={"depth": 3})
    with pytest.raises(TypeError, match="corpus synthetic has no option colour"):
        recipe(corpus_options={"colour": "red"})


# --- cross-validation -------------------------------------------------------------------------------------------------


@pytest.fixture
def ledgers(tmp_path, monkeypatch):
    monkeypatch.setattr(grid, "ledger", lambda paper, profile: tmp_path / f"{paper}-{profile}.csv")
    return tmp_path


def test_a_finished_key_is_not_computed_twice_and_a_stored_key_gives_the_same_rows_again(ledgers, monkeypatch):
    recipes = [recipe(seed=s, system=system) for s in (0, 1) for system in (LogReg, MEN)]
    first = cross_validate(recipes[:3], "nmer", "quick", progress=False)
    assert len(first) == 9 and first["key"].nunique() == 3
    runs = []
    real = grid.run_recipe
    monkeypatch.setattr(grid, "run_recipe", lambda r, **k: (runs.append(r.key), real(r, **k))[1])
    whole = cross_validate(recipes, "nmer", "quick", progress=False)
    assert runs == [recipes[3].key] and len(whole) == 12
    again = cross_validate(recipes[:1], "nmer", "quick", progress=False, again=True)
    assert list(again["value"]) == list(whole[whole["key"] == recipes[0].key]["value"])
    assert len(read(ledgers / "nmer-quick.csv")) == 12, "running a key again writes nothing"


def test_a_regression_has_its_own_metrics_and_is_finished_when_they_are_there(ledgers, monkeypatch, tmp_path):
    write(tmp_path, "mosi_sentiment", mosi_arrays())
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    recipes = [recipe(corpus="mosi_sentiment", corpus_options={}, system=MEN)]
    rows = cross_validate(recipes, "nmer", "quick", progress=False)
    assert set(rows["metric"]) == set(REGRESSION) and set(rows["dataset"]) == {"CMU-MOSI sentiment"}
    assert set(rows.loc[rows["metric"] == "mae", "unit"]) == {"label"}
    monkeypatch.setattr(grid, "run_recipe", lambda *_, **__: pytest.fail("computed twice"))
    assert len(cross_validate(recipes, "nmer", "quick", progress=False)) == len(rows)


@pytest.mark.parametrize("train, words", [
    ((CLEAN,), "clean"), (missing(MODALITIES), "absent"), (missing_modes(MODALITIES, 0.2), "absent 0.2"),
    ((Condition(seen=("audio", "text")),), "only a,l, clean"),
])  # fmt: skip
def test_training_conditions_are_told_apart_in_a_few_words(train, words):
    made = recipe(train=train)
    assert grid.describe_train(made, load("synthetic", size="smoke").fold(0)[0]) == words


def test_two_states_of_one_corpus_do_not_mix(ledgers):
    recipes = [recipe(corpus_options={"size": "smoke", "seed": s}) for s in (0, 1)]
    rows = cross_validate(recipes, "nmer", "quick", progress=False)
    assert set(rows["key"]) == {r.key for r in recipes} and rows["fingerprint"].nunique() == 2
    assert len(cross_validate(recipes, "nmer", "quick", progress=False)) == len(rows) == 6


def test_a_unit_of_which_rows_were_lost_is_computed_again(ledgers):
    recipes = [recipe()]
    whole = cross_validate(recipes, "nmer", "quick", progress=False)
    path = ledgers / "nmer-quick.csv"
    path.write_bytes(path.read_bytes()[:-20])
    assert len(read(path)) == 2
    again = cross_validate(recipes, "nmer", "quick", progress=False)
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), whole.drop(columns="seconds"), check_like=True)


@pytest.mark.parametrize("commit, own", [("0123456789+", True), ("unknown", True), ("0123456789", False)])
def test_the_committed_ledger_takes_only_the_papers_recipes_from_a_commit(tmp_path, monkeypatch, commit, own):
    monkeypatch.setattr(grid, "ROOT", tmp_path)
    monkeypatch.setattr(grid, "ledger", lambda paper, profile: tmp_path / f"{paper}-{profile}.csv")
    monkeypatch.setattr(grid, "commit", lambda: commit)
    assert len(cross_validate([recipe()], "nmer", "paper", progress=False, own=own)) == 3
    assert not (tmp_path / "nmer-paper.csv").exists() and (tmp_path / "nmer-unpublished.csv").exists()


def test_a_device_that_is_not_there_is_named_before_anything_runs():
    with pytest.raises(ValueError, match="the device 'warp' was asked for"):
        cross_validate([recipe()], "nmer", "smoke", device="warp")


def test_runs_on_one_ledger_divide_the_work(ledgers):
    """Two processes are given the same recipes: every row is there once, and no key was computed twice."""
    recipes = [recipe(seed=s) for s in range(6)]
    run = functools.partial(cross_validate, recipes, "nmer", "quick", progress=False)
    others = [multiprocessing.get_context("fork").Process(target=run) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    lines = (ledgers / "nmer-quick.csv").read_text().splitlines()
    assert [o.exitcode for o in others] == [0, 0] and len(lines) == 1 + 6 * 3
    assert not list((ledgers / "nmer-quick.taken").iterdir())


def test_an_interrupted_run_keeps_what_was_finished(ledgers, monkeypatch):
    recipes = [recipe(seed=s) for s in range(3)]
    real, left = grid.run_recipe, [2]

    def stopped(r, **options):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(r, **options)

    monkeypatch.setattr(grid, "run_recipe", stopped)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(recipes, "nmer", "quick", progress=False)
    assert len(read(ledgers / "nmer-quick.csv")) == 6
    left[0] = 1  # one more training is all that is allowed, and all that is needed
    assert len(cross_validate(recipes, "nmer", "quick", progress=False)) == 9


def test_every_system_meets_the_same_noise_at_any_batch_size(monkeypatch):
    corpus = load("synthetic", size="smoke")
    _, _, test = corpus.fold(0)
    met = {}
    for system_type, size in ((LogReg, 512), (MEN, 512), (MEN, 3)):
        with seeded("any"):
            system = system_type(corpus.dims, corpus.classes)
        seen_x = []
        monkeypatch.setattr(
            system_type,
            "predict",
            lambda self, seen, s=size, kept=seen_x: (kept.append(seen.x["audio"].clone()), torch.zeros(len(seen), 4))[
                1
            ],
        )
        evaluate(system, test, [everything(MODALITIES, NOISY)])
        met[system_type, size] = seen_x[0]
    first, *others = met.values()
    assert all(torch.equal(first, other) for other in others)


def test_what_noise_costs_is_the_tables_difference_and_nothing_where_the_modality_is_not_read():
    """One draw is that of the tables, more are others; a system deaf to a modality loses nothing by noise on it."""
    corpus = load("synthetic", size="quick", pooled=True)
    train, valid, test = corpus.fold(0)
    test = replace(test, speaker=np.arange(len(test)) % 20)  # the session has one speaker
    on_text, on_audio = (Condition(noise={m: NoiseScheduler(snr_db=-20)}) for m in ("text", "audio"))
    with seeded("any"):
        system = LogReg(corpus.dims, corpus.classes)
    list(fit(system, train, valid, Condition(seen=("text",)), Budget(epochs=1)))
    table = {r.condition: r.value for r in evaluate(system, test, [CLEAN, on_text]) if r.metric == "UA"}
    (row,) = ua_lost(system, test, [on_text], draws=1)
    assert row.value == pytest.approx(table["clean"] - table["a,v"], abs=2e-6) and float(row.std) > 0
    assert (row.metric, row.condition, row.noise, row.snr_db) == ("UA lost", "a,v", "gaussian", "-20")
    assert row.note.endswith("1 draws of noise, 20 speakers")
    assert ua_lost(system, test, [on_text], draws=8)[0].value != row.value
    with torch.no_grad():
        system.linear.weight[:, : corpus.dims["audio"]] = 0.0
    (deaf,) = ua_lost(system, test, [on_audio], draws=3)
    assert deaf.value == 0 and float(deaf.std) == 0
    with pytest.raises(ValueError, match="give the number of draws"):
        ua_lost(system, test, [on_text], draws=0)
    with pytest.raises(ValueError, match="all rows of .* are of one speaker"):
        ua_lost(system, replace(test, speaker=np.zeros(len(test))), [on_text])
    with pytest.raises(ValueError, match="UA is of classes"):
        ua_lost(LogReg(corpus.dims, ()), replace(test, label=test.label.float()), [on_text])


def test_a_row_says_which_t_and_which_true_snr():
    corpus = load("synthetic", size="smoke")
    _, _, test = corpus.fold(0)
    with seeded("any"):
        system = NMER(corpus.dims, corpus.classes)
    rows = evaluate(
        system, test, [CLEAN, incomplete(MODALITIES, NoiseScheduler(nmer.NOISES["impulse"], snr_db=-10))[0]]
    )
    assert [(r.condition, r.metric) for r in rows] == [(c, m) for c in ("clean", "a") for m in ("WA", "UA", "F1")]
    assert rows[0].note == "" and rows[3].noise == "impulse" and rows[3].snr_db == "-10"
    assert rows[3].note == "v: T=46, -4.81 dB, l: T=46, -4.81 dB"
