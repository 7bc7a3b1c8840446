"""Damage on disk is told in a sentence that names the file, or it has changed nothing that counts.

Ledgers have a check in every row, recipes a hash, saved systems checksums over all bytes: there, every damage is found.
Of a ledger, a line that is gone as a whole shows as work that is missing, which the next run does. Files of corpora:
`test_damage_corpora.py`.
"""

import errno
import json
import math
import multiprocessing
import os
import resource
import signal
from dataclasses import replace

import pytest
import torch
from damage import ALWAYS, damaged
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors

from robustmer import results
from robustmer.results import Row, append, key_of, read, read_recipes
from robustmer.systems import LogReg, load_system, system

ROW = Row("nmer", "measured", "synthetic", "MEN", "gaussian", "-10", "a,v", "WA", 0.5, key="k0", fingerprint="f")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


def elsewhere(function, *args) -> str:
    """What a forked process said that ran this, or the signal that ended it: limits and kills stay there."""
    def tell(ours):
        try:
            ours.send(repr(function(*args)))
        except Exception as error:
            ours.send(f"{type(error).__name__}: {error}")

    theirs, ours = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=tell, args=(ours,))
    process.start()
    ours.close()
    try:
        return theirs.recv()
    except EOFError:
        process.join()
        return signal.Signals(-process.exitcode).name
    finally:
        process.join()


# --- ledgers ----------------------------------------------------------------------------------------------------------


def unit(i: int) -> tuple[list[Row], dict]:
    about = {"options": {"seed": i}, "system": "MEN"}
    row = replace(ROW, key=key_of(about), value=i / 7, note="v: T=46, -4.81 dB")
    return [row, replace(row, metric="UA")], about


UNITS = [unit(i) for i in range(5)]
EVERY = [row for rows, _ in UNITS for row in rows]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger of five units of two rows, and its bytes and those of its recipes."""
    path = tmp_path_factory.mktemp("ledger") / "x.csv"
    for rows, about in UNITS:
        append(path, rows, about)
    recipes = path.with_suffix(".recipes.jsonl")
    return path, recipes, path.read_bytes(), recipes.read_bytes()


def rows_of(path) -> list[Row]:
    return [Row(**row) for row in read(path).to_dict("records")]


@settings(max_examples=200, **ALWAYS)
@given(st.data())
def test_damage_to_a_ledger_is_told_or_leaves_rows_out_at_its_end(ledger, data):
    path, _, whole, _ = ledger
    path.write_bytes(damaged(data.draw, whole))
    try:
        there = rows_of(path)
    except ValueError as error:
        assert str(path) in str(error) and "restore" in str(error)
    else:  # cut short, or a line doubled or gone as a whole
        assert [row for row in EVERY if row in there] == there


@settings(max_examples=30, **ALWAYS)
@given(st.data())
def test_swapped_and_altered_fields_are_told_with_their_line(ledger, data):
    path, _, whole, _ = ledger
    lines = whole.decode().splitlines(keepends=True)
    number = data.draw(st.integers(1, len(lines) - 1))
    fields = lines[number].rstrip("\n").split(",")
    a, b = data.draw(st.tuples(*[st.integers(0, len(fields) - 1)] * 2))
    fields[a], fields[b] = fields[b], data.draw(st.sampled_from([fields[a], "0.9", "", "NMER"]))
    line = ",".join(fields) + "\n"
    assume(line != lines[number])
    path.write_text("".join([*lines[:number], line, *lines[number + 1 :]]))
    with pytest.raises(ValueError, match=rf"x\.csv, line {number + 1}: the row is not as it was written"):
        read(path)


@settings(max_examples=30, **ALWAYS)
@given(st.sets(st.integers(0, len(EVERY) - 1)))
def test_what_is_deleted_by_lines_is_what_the_next_run_finds_missing(ledger, gone):
    path, recipes, whole, about = ledger
    header, *lines = whole.splitlines(keepends=True)
    path.write_bytes(header + b"".join(line for i, line in enumerate(lines) if i not in gone))
    assert rows_of(path) == [row for i, row in enumerate(EVERY) if i not in gone]
    recipes.write_bytes(about)
    for i in {i // 2 for i in gone}:
        append(path, *UNITS[i])
    assert sorted(rows_of(path), key=str) == sorted(EVERY, key=str)
    assert recipes.read_bytes() == about


@settings(max_examples=60, **ALWAYS)
@given(st.data())
def test_wherever_a_crash_stops_the_writing_the_next_run_completes_it(ledger, data):
    """The recipe is written before the rows: any beginning of both may be all that is there."""
    path, recipes, whole, about = ledger
    begun = data.draw(st.integers(0, len(UNITS) - 1))  # so many units were there before
    rows_begin = whole.find(b"\n".join(whole.splitlines()[1 + 2 * begun :])) if begun else 0
    recipes_begin = about.find(about.splitlines()[begun])
    if data.draw(st.booleans()):
        path.write_bytes(whole[:rows_begin])
        recipes.write_bytes(about[: data.draw(st.integers(recipes_begin, len(about)))])
    else:
        path.write_bytes(whole[: data.draw(st.integers(rows_begin, len(whole)))])
        recipes.write_bytes(about)
    there = rows_of(path)
    assert there == EVERY[: len(there)] and len(there) >= 2 * begun
    read_recipes(recipes)
    for rows, description in UNITS[begun:]:
        append(path, rows, description)
    assert sorted(rows_of(path), key=str) == sorted(EVERY, key=str)
    assert recipes.read_bytes() == about


@pytest.mark.parametrize("there", [b"", results.HEADER[:9], results.HEADER, results.HEADER + b"\n"])
def test_a_ledger_that_has_only_begun_is_empty(tmp_path, there):
    (tmp_path / "x.csv").write_bytes(there)
    assert read(tmp_path / "x.csv").empty and list(read(tmp_path / "x.csv")) == results.COLUMNS
    append(tmp_path / "x.csv", *UNITS[0])
    assert rows_of(tmp_path / "x.csv") == UNITS[0][0]


WITHOUT_CHECK = results.HEADER.removesuffix(b",check")


@pytest.mark.parametrize("there", [b"a,b\n", b"a,b", WITHOUT_CHECK + b"\nx\n", b"x" + results.HEADER])
def test_nothing_is_appended_to_a_file_that_is_no_ledger(tmp_path, there):
    (tmp_path / "x.csv").write_bytes(there)
    for do in (lambda: append(tmp_path / "x.csv", *UNITS[0]), lambda: read(tmp_path / "x.csv")):
        with pytest.raises(ValueError, match="x.csv does not begin with the columns"):
            do()
    assert (tmp_path / "x.csv").read_bytes() == there


def test_a_unit_without_rows_or_with_anothers_recipe_is_refused(tmp_path):
    for rows, about in (([], None), ([], UNITS[0][1]), (UNITS[0][0], UNITS[1][1]), (EVERY, UNITS[0][1])):
        with pytest.raises(ValueError, match="for one unit"):
            append(tmp_path / "x.csv", rows, about)
    assert not (tmp_path / "x.csv").exists()


@settings(max_examples=80, **ALWAYS)
@given(note=TEXT, system=TEXT, value=st.floats(), seconds=st.floats(0, 1e6), seed=st.integers(-(2**60), 2**60))
def test_a_row_comes_back_whatever_is_in_it(tmp_path_factory, note, system, value, seconds, seed):
    path = tmp_path_factory.mktemp("row") / "x.csv"
    row = replace(ROW, note=note, system=system, value=value, seconds=seconds, seed=seed)
    append(path, [row, replace(row, metric="UA")])
    back = rows_of(path)
    assert len(back) == 2
    assert math.isnan(back[0].value) if math.isnan(value) else back[0].value == value
    assert replace(back[0], value=0.0) == replace(
        row, value=0.0, note=" ".join(note.splitlines()), system=" ".join(system.splitlines()))


@settings(max_examples=150, **ALWAYS)
@given(st.data())
def test_damage_to_the_recipes_is_told_or_leaves_some_out(ledger, data):
    _, path, _, whole = ledger
    path.write_bytes(damaged(data.draw, whole))
    try:
        there = read_recipes(path)
    except ValueError as error:
        assert f"{path}, line " in str(error) and "x.csv" in str(error)
    else:
        assert there.items() <= {key_of(about): about for _, about in UNITS}.items()


@pytest.mark.parametrize("spare", [0, 1, 60, 200])
def test_a_full_disk_leaves_the_ledger_as_it_was_and_the_next_append_works(ledger, spare):
    """The kernel refuses bytes beyond a limit, after it has taken those up to it, as a disk does that fills up."""
    path, recipes, whole, about = ledger
    path.write_bytes(whole)
    recipes.write_bytes(about)

    def on_a_small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + spare, resource.RLIM_INFINITY))
        append(path, *unit(7))

    said = elsewhere(on_a_small_disk)
    assert said.startswith("OSError: ") and str(path) in said
    assert os.strerror(errno.EFBIG) in said and "run again" in said
    assert path.read_bytes() == whole
    append(path, *unit(7))
    assert rows_of(path) == EVERY + unit(7)[0]
    assert list(read_recipes(recipes)) == [key_of(about) for _, about in [*UNITS, unit(7)]]


# --- saved systems ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "x.safetensors"
    made = LogReg({"audio": 3, "text": 2}, ("no", "yes"))
    made.save(path)
    return path, path.read_bytes(), made


def test_every_flipped_byte_and_every_cut_of_a_saved_system_is_told(saved):
    path, whole, _ = saved
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        for content in (flipped, whole[:at]):
            path.write_bytes(content)
            with pytest.raises(ValueError, match=r"x\.safetensors .*is not a saved system"):
                load_system(path)


@settings(max_examples=150, **ALWAYS)
@given(st.data())
def test_damage_to_a_saved_system_is_told(saved, data):
    path, whole, _ = saved
    path.write_bytes(damaged(data.draw, whole))
    with pytest.raises(ValueError, match=r"x\.safetensors .*is not a saved system"):
        load_system(path)


def with_digest(path, about, state):
    """Write what `System.save` would have written, had the system been another."""
    data = safetensors.save(state, about | {"sha256": system.UNKNOWN})
    path.write_bytes(data.replace(system.UNKNOWN.encode(), system.digest_of(data).encode(), 1))


def first(state):
    return next(iter(state))


OTHERS = {
    "no tensor": (lambda about, state: state.pop(first(state)), "does not fit LogReg: it lacks the tensor 'linear"),
    "one tensor more": (lambda about, state: state.update(more=torch.ones(1)), "has a tensor 'more'"),
    "shape": (lambda about, state: state.update({first(state): torch.ones(9, 9)}), r"is \(9, 9\) float32, that of the"),
    "axes": (lambda about, state: state.update({k: t.T.contiguous() for k, t in state.items() if t.ndim == 2}),
             "does not fit LogReg: its tensor 'linear"),
    "type": (lambda about, state: state.update({k: t.double() for k, t in state.items()}), "float64, that of the"),
    "unknown setting": (lambda about, state: about.update(settings=json.dumps(
        json.loads(about["settings"]) | {"depth": 3})), "LogReg cannot be made with the settings.*'depth'"),
    "no setting": (lambda about, state: about.update(settings='{"l2": 0.1}'), "cannot be made with.*'dims'"),
    "settings of another type": (lambda about, state: about.update(settings="[1]"), "cannot be made with the settings"),
    "no JSON": (lambda about, state: about.update(settings="{"), "cannot be made with the settings"),
    "values": (lambda about, state: about.update(settings='{"dims": {"audio": -1}, "classes": ["no"]}'), "cannot be"),
    "unknown class": (lambda about, state: about.update(system="Oracle"), "holds a Oracle; the known systems are"),
    "no settings": (lambda about, state: about.pop("settings"), "is not a saved system.*'settings'"),
    "no class": (lambda about, state: about.pop("system"), "is not a saved system.*'system'"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_a_whole_file_of_another_system_is_told_without_a_traceback_of_torch(saved, what):
    path, whole, made = saved
    change, sentence = OTHERS[what]
    about, state = {"system": "LogReg", "settings": json.dumps(made.settings)}, dict(made.state_dict())
    with_digest(path, about, state)
    assert torch.equal(first(load_system(path).parameters()), first(made.parameters()))
    change(about, state)
    with_digest(path, about, state)
    with pytest.raises(ValueError, match=rf"x\.safetensors.*{sentence}"):
        load_system(path)


@pytest.mark.parametrize("moment", ["fsync", "replace", "full disk"])
def test_a_save_that_is_cut_short_leaves_the_old_file_or_none(saved, tmp_path, moment):
    _, whole, made = saved
    other = LogReg({"audio": 300}, ("no", "yes"))

    def cut_short(path):
        if moment == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        else:
            setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        other.save(path)

    (tmp_path / "old.safetensors").write_bytes(whole)
    for name in ("old", "new"):
        path = tmp_path / f"{name}.safetensors"
        said = elsewhere(cut_short, path)
        if moment == "full disk":
            assert said.startswith("OSError: ") and str(path) in said and "nothing was written" in said
            assert not list(tmp_path.glob(".*.part"))
        else:
            assert said == "SIGKILL"
    assert (tmp_path / "old.safetensors").read_bytes() == whole and not (tmp_path / "new.safetensors").exists()
    other.save(tmp_path / "new.safetensors")
    assert load_system(tmp_path / "new.safetensors").settings["dims"] == {"audio": 300}


def test_settings_that_are_no_json_are_refused_before_anything_is_written(tmp_path):
    made = LogReg({"audio": 3}, ("no", "yes"))
    made.settings["lr"] = torch.ones(1)
    with pytest.raises(TypeError, match="LogReg cannot be saved.*Tensor"):
        made.save(tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())
