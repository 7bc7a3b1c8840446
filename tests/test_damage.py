"""Damage on disk is told in a sentence that names the file, or it has changed nothing that counts.

Ledgers have a check in every row, recipes a hash, saved systems and .npz files checksums over all bytes: there, every
damage is found. A pickle, an HDF5 or an .npy file has no checksum. What makes it unreadable, of another shape, not
finite or outside the classes is found; a bit that flips within one plausible value is not, and nobody could: the
corpus's fingerprint, which every row carries, is then another one. Of a ledger, a line that is gone as a whole shows as
work that is missing, which the next run does.
"""

import errno
import json
import math
import multiprocessing
import os
import pickletools
import re
import resource
import signal
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors
from test_corpora import MADE, write
from test_readers import FILES, MOSEI_FILES, SENTIMENT, mmsa, multibench, store, write_mmin, write_sdk

from robustmer import corpora, results
from robustmer.corpora import CorpusError
from robustmer.results import Row, append, key_of, read, read_recipes
from robustmer.systems import LogReg, load_system, system

ROW = Row("nmer", "measured", "synthetic", "MEN", "gaussian", "-10", "a,v", "WA", 0.5, key="k0", fingerprint="f")
ALWAYS = dict(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)


def damaged(draw, whole: bytes, places=()):
    """The bytes after one mishap, more often at one of these `places` than elsewhere."""
    anywhere = st.integers(0, len(whole) - 1)
    at = places[draw(st.integers(0, len(places) - 1))] if places and draw(st.booleans()) else draw(anywhere)
    other, size, content = draw(anywhere), draw(st.integers(1, 9)), bytearray(whole)
    match draw(st.sampled_from(["flip", "flip", "overwrite", "insert", "delete", "cut", "swap", "double"])):
        case "flip":
            content[at] ^= 1 << draw(st.integers(0, 7))
        case "overwrite":
            content[at : at + size] = draw(st.binary(min_size=1, max_size=9))
        case "insert":
            content[at:at] = draw(st.binary(min_size=1, max_size=9))
        case "delete":
            del content[at : at + size]
        case "cut":
            del content[at:]
        case "swap":
            first, second = sorted((at, other))
            assume(first + size <= second)
            a, b = content[first : first + size], content[second : second + size]
            content[second : second + len(b)], content[first : first + size] = a, b
        case "double":
            content[at:at] = content[at : at + size]
    assume(content != whole)
    return bytes(content)


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


# --- corpora ----------------------------------------------------------------------------------------------------------


def content_of(corpus) -> list[bytes]:
    rows = corpus.rows
    groups = [t.numpy().tobytes() for group in (rows.x, rows.real, rows.present) for t in group.values()]
    return [*groups, rows.label.numpy().tobytes(), repr((rows.id.tolist(), rows.speaker.tolist())).encode(),
            repr([[part.tolist() for part in parts] for parts in corpus.folds]).encode()]


class Reader:
    """A corpus as written, one of whose files at a time is damaged and put right again."""

    def __init__(self, name, folder, files, places=lambda path: ()):
        self.module, self.folder = corpora.find(name), folder
        self.whole = {path: (path.read_bytes(), places(path)) for path in files}
        self.good = self.module.load(folder=folder)
        self.content = content_of(self.good)

    def damage(self, data) -> None:
        """Either the loader refuses in a sentence that names the file or what is in it, or all is as it was, or the
        fingerprint is another one; and the check never fails itself."""
        path = data.draw(st.sampled_from(sorted(self.whole)))
        path.write_bytes(damaged(data.draw, *self.whole[path]))
        self.judge(path)

    def judge(self, path, same_or_told=False) -> None:
        named = (path.name, f"{path.parent.name}/", "utterance", "video")
        try:
            problems = self.module.check(self.folder)
            corpus = self.module.load(folder=self.folder)
        except CorpusError as error:
            assert any(name in str(error) for name in named), str(error)
            assert problems
        else:
            changed = content_of(corpus) != self.content
            assert changed == (corpus.fingerprint != self.good.fingerprint)
            assert not (changed and same_or_told), "other data were taken in silence"
        finally:
            path.write_bytes(self.whole[path][0])

    def told(self, path, *names) -> None:
        """The damage that was just done to the file is told, by these names."""
        try:
            problems = self.module.check(self.folder)
            with pytest.raises(CorpusError) as error:
                self.module.load(folder=self.folder)
            for said in (str(error.value), "; ".join(problems)):
                assert all(name in said for name in names), said
        finally:
            path.write_bytes(self.whole[path][0])


def beside_values(path) -> list[int]:
    """Where an HDF5 file says how its values are to be read, or a pickle; in other files, anywhere."""
    size = path.stat().st_size
    if path.suffix == ".pkl":
        starts = [at for _, _, at in pickletools.genops(path.read_bytes())]
        return sorted({min(at + i, size - 1) for at in starts for i in range(8)})
    if path.suffix not in (".h5", ".csd"):
        return []
    beside = np.ones(size, dtype=bool)

    def leave_out(_, stored):
        if isinstance(stored, h5py.Dataset) and stored.id.get_offset() is not None:
            beside[stored.id.get_offset() :][: stored.nbytes] = False

    with h5py.File(path) as h5:
        h5.visititems(leave_out)
    return np.flatnonzero(beside).tolist()


@pytest.fixture(scope="module", params=MADE)
def npz(request, tmp_path_factory):
    folder, name = tmp_path_factory.mktemp("npz"), request.param
    path = write(folder, name, MADE[name][1]())
    return name, Reader(name, folder, [path], lambda path: [s + i for s in headers(path) for i in range(-60, 128)])


def headers(path) -> list[int]:
    """Where the arrays of an .npz begin."""
    return [found.start() for found in re.finditer(b"\x93NUMPY", path.read_bytes())]


def test_a_header_that_hides_a_part_of_its_array_is_told(npz):
    """numpy reads as many bytes as an array's header says, and zip's checksum is over the bytes that are read."""
    _, reader = npz
    (path,) = reader.whole
    for start in headers(path):
        for bit in range(16):
            content = bytearray(reader.whole[path][0])
            content[start + 8 + bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            reader.told(path, path.name)


@settings(max_examples=50, **ALWAYS)
@given(st.data())
def test_damage_to_an_npz_is_told_or_changes_nothing(npz, data):
    _, reader = npz
    (path,) = reader.whole
    path.write_bytes(damaged(data.draw, *reader.whole[path]))
    reader.judge(path, same_or_told=True)


@pytest.fixture(scope="module", params=["MultiBench", "MMSA"])
def pickled(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pickle")
    content = multibench((3, 2, 2), 3) if request.param == "MultiBench" else mmsa((3, 2, 2))
    path = store(folder / "mosei_multibench", content, how=2 if request.param == "MultiBench" else 4)
    return Reader("mosei_multibench", folder, [path], beside_values)


@settings(max_examples=50, **ALWAYS)
@given(st.data())
def test_damage_to_a_pickle_is_told_or_shows_in_the_fingerprint(pickled, data):
    pickled.damage(data)


@pytest.fixture(scope="module", params=["iemocap_mmin", "msp_improv_mmin"])
def folder_of_mmin(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("mmin") / request.param
    write_mmin(root, request.param, longest=(("visual", 3), ("text", 3)))
    files = [root / file for file in FILES.values()] + sorted(root.glob("target/1/*.npy"))
    return Reader(request.param, root, files, beside_values)


@settings(max_examples=25, **ALWAYS)
@given(st.data())
def test_damage_to_a_folder_of_mmin_is_told_or_shows_in_the_fingerprint(folder_of_mmin, data):
    folder_of_mmin.damage(data)


@pytest.fixture(scope="module")
def folder_of_csd(tmp_path_factory):
    root = tmp_path_factory.mktemp("sdk") / "mosei_sdk"
    write_sdk(root)
    return Reader("mosei_sdk", root, sorted(root.iterdir()), beside_values)


@settings(max_examples=40, **ALWAYS)
@given(st.data())
def test_damage_to_a_folder_of_csd_files_is_told_or_shows_in_the_fingerprint(folder_of_csd, data):
    folder_of_csd.damage(data)


NOT_FINITE = st.sampled_from([math.nan, math.inf, -math.inf, 1e39])


def put(draw, array: np.ndarray, value) -> np.ndarray:
    """The array with this value at a drawn place."""
    array = np.array(array, dtype=array.dtype if array.dtype.kind in "iu" else np.float64)
    array[tuple(draw(st.integers(0, n - 1)) for n in array.shape)] = value
    return array


RESHAPED = [
    lambda a: a[None], lambda a: a[..., None], lambda a: a[:-1], lambda a: a[:0], lambda a: a.T[:1].T[None],
    lambda a: a.astype(bool).astype("S5"), lambda a: a.astype(bool), lambda a: a.astype("S5").astype("U5"),
    lambda a: np.float64(0), lambda a: a.astype(complex),
]  # fmt: skip
"""An array in another shape or of another type; the last one is a type that no pickle is read with."""


def reshaped(draw, array: np.ndarray, ways=tuple(RESHAPED)) -> np.ndarray:
    return ways[draw(st.integers(0, len(ways) - 1))](array)


@settings(max_examples=40, **ALWAYS)
@given(st.data())
def test_wrong_values_shapes_and_types_in_an_npz_are_told_by_the_arrays_name(npz, data):
    name, reader = npz
    (path,) = reader.whole
    arrays, module = MADE[name][1](), MADE[name][0]
    numbers = [k for k, field in module.FIELDS.items() if field.kind == "number"]
    whole = [k for k, field in module.FIELDS.items() if field.kind == "whole"]
    match data.draw(st.sampled_from(["value", "class", "shape", "gone", "objects"])):
        case "value":
            which = data.draw(st.sampled_from(numbers))
            arrays[which] = put(data.draw, arrays[which], data.draw(NOT_FINITE))
        case "class":
            which = data.draw(st.sampled_from(whole))
            arrays[which] = put(data.draw, arrays[which].astype(np.int64), data.draw(st.sampled_from([-1, 25, 2**40])))
        case "shape":
            which = data.draw(st.sampled_from([*numbers, *whole]))
            arrays[which] = reshaped(data.draw, arrays[which])
        case "gone":
            which = data.draw(st.sampled_from([*numbers, *whole]))
            del arrays[which]
        case "objects":
            which = data.draw(st.sampled_from(sorted(module.FIELDS)))
            arrays[which] = arrays[which].astype(object)
    np.savez(path, **arrays)
    reader.told(path, which)


@settings(max_examples=40, **ALWAYS)
@given(st.data())
def test_wrong_values_shapes_and_types_in_a_pickle_are_told_by_the_keys_name(pickled, data):
    (path,) = pickled.whole
    made = "text_bert" if b"text_bert" in pickled.whole[path][0] else ""
    content = mmsa((3, 2, 2)) if made else multibench((3, 2, 2), 3)
    label = "regression_labels" if made else "labels"
    group = content[data.draw(st.sampled_from(sorted(content)))]
    match data.draw(st.sampled_from(["value", "class", "shape", "gone"])):
        case "value":
            which = data.draw(st.sampled_from(["audio", "vision"] + ["text"] * (not made)))
            group[which] = put(data.draw, group[which], data.draw(NOT_FINITE))
        case "class":
            group[label] = put(data.draw, group[label], data.draw(NOT_FINITE | st.sampled_from([3.5, -4.0])))
            which = "sentiment of utterance"
        case "shape":
            which = data.draw(st.sampled_from(["audio", "vision", "text"]))
            group[which] = reshaped(data.draw, group[which], RESHAPED[:-1])
        case "gone":
            which = data.draw(st.sampled_from(["audio", "vision", "text", label, "id"]))
            del group[which]
    store(path.parent, content)
    pickled.told(path, which)


@settings(max_examples=16, **ALWAYS)
@given(st.data())
def test_wrong_values_shapes_and_types_in_hdf5_are_told_by_utterance_or_video(folder_of_mmin, folder_of_csd, data):
    if data.draw(st.booleans()):
        reader, root = folder_of_mmin, folder_of_mmin.folder
        modality = data.draw(st.sampled_from(sorted(FILES)))
        path, place, real = root / FILES[modality], str(reader.good.rows.id[data.draw(st.integers(0, 29))]), 1.0
        said = place
    else:
        reader, root = folder_of_csd, folder_of_csd.folder
        modality = data.draw(st.sampled_from(sorted(MOSEI_FILES)))
        file, group, _, _ = MOSEI_FILES[modality]
        said = f"-video_{data.draw(st.integers(0, 5))}"
        path, place, real = root / file, f"{group}/data/{said}/features", 0.9  # the last tenth is in no segment
    with h5py.File(path, "a") as h5:
        values = h5[place][()]
        if data.draw(st.booleans()):
            inside = values[: int(len(values) * real)]
            values = np.concatenate([put(data.draw, inside, data.draw(NOT_FINITE)), values[len(inside) :]])
        else:
            rows = len(values)
            values = reshaped(data.draw, values)
            assume(values.shape[:1] != (rows - 1,))  # one frame less is an utterance like any other
        del h5[place]
        h5[place] = values.astype("S5") if values.dtype.kind == "U" else values
    reader.told(path, said)


@settings(max_examples=20, **ALWAYS)
@given(st.data())
def test_labels_and_times_outside_their_bounds_are_told(folder_of_csd, data):
    reader, path = folder_of_csd, folder_of_csd.folder / SENTIMENT["MOSEI"]
    video = data.draw(st.integers(0, 5))
    with h5py.File(path, "a") as h5:
        stored = h5[f"All Labels/data/-video_{video}"]
        if data.draw(st.booleans()):
            stored["features"][data.draw(st.sampled_from([0, 1, 3])), 0] = data.draw(NOT_FINITE | st.just(-3.2))
        else:
            stored["intervals"][data.draw(st.integers(0, 3)), data.draw(st.integers(0, 1))] = data.draw(
                st.sampled_from([math.nan, math.inf, -math.inf]))
    reader.told(path, f"-video_{video}")
