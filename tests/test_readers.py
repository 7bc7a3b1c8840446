"""Laws of the readers of gated corpora, on small files written in exactly their layout."""

import json
import os
import pickle
import re
import struct
import subprocess
from collections import OrderedDict

import h5py
import numpy as np
import pytest
import torch
from robustmer import corpora
from robustmer.corpora import CorpusError, CorpusNotFound, iemocap_mmin, msp_improv_mmin, pickles
from robustmer.corpora.sequences import polarity

WIDTHS = {"audio": 130, "visual": 342, "text": 1024}
FILES = {"audio": "A/comparE.h5", "visual": "V/denseface.h5", "text": "L/bert_large.h5"}


def reports(sentences, *parts) -> bool:
    """Whether one of the sentences has all of these parts."""
    return any(all(part in sentence for part in parts) for sentence in sentences)


# MMIN: people, folds


def people(name):
    """Speakers in an order in which neighbours share a session, and three utterances of each with its label."""
    if name == "iemocap_mmin":
        who = [f"Ses{session:02d}{letter}" for session in range(1, 6) for letter in "FM"]
        # The letter behind the session says who wore the markers, not who speaks.
        spoken = {
            p: [f"{p[:5]}F_impro01_{p[5]}00{i}" for i in range(2)] + [f"{p[:5]}M_script01_1b_{p[5]}012"] for p in who
        }
    else:
        who = [f"{letter}{session:02d}" for session in range(1, 7) for letter in "FM"]
        spoken = {p: [f"MSP-IMPROV-S{i:02d}A-{p}-S-FM{i:02d}" for i in range(1, 4)] for p in who}
    return who, spoken


def write_mmin(root, name, longest=(("visual", 50), ("text", 22))):
    """The folder with sequences of random length; every utterance `n` has label n % 4 in the order of the people."""
    who, spoken = people(name)
    draw, ids = np.random.default_rng(0), [id for p in who for id in spoken[p]]
    label = {id: i % 4 for i, id in enumerate(ids)}
    for m, file in FILES.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(root / file, "w") as h5:
            for i, id in enumerate(ids):
                x = draw.normal(size=(dict(longest).get(m, 3 + i % 5), WIDTHS[m]))  # float64, as released
                if m != "audio":
                    x[2 + i % 7 :] = 0
                h5[id] = x
    if name == "msp_improv_mmin":
        with h5py.File(root / "A/comparE_raw.h5", "w") as h5:
            for id in ids:
                h5[id] = np.pad(draw.normal(size=(4, 130)), ((0, 6), (0, 0))).astype(np.float32)
    with h5py.File(root / "A/comparE_mean_std.h5", "w") as h5:
        for fold in range(1, len(who) + 1):
            h5[f"{fold}/mean"], h5[f"{fold}/std"] = np.zeros(130), np.ones(130)
    for fold, tested in enumerate(who, 1):
        partner = who[(fold - 1) ^ 1]
        parts = {
            "trn": [id for p in who if p not in (tested, partner) for id in spoken[p]],
            "val": spoken[partner],
            "tst": spoken[tested],
        }
        place = root / "target" / str(fold)
        place.mkdir(parents=True)
        for part, names in parts.items():
            numbers = np.array([label[id] for id in names])
            if name == "iemocap_mmin":
                np.save(place / f"{part}_label.npy", np.eye(4)[numbers])
                np.save(place / f"{part}_int2name.npy", np.array([[id.encode()] for id in names]))
            else:
                np.save(place / f"{part}_label.npy", numbers)
                np.save(place / f"{part}_int2name.npy", np.array(names))
    return label


@pytest.fixture(params=["iemocap_mmin", "msp_improv_mmin"])
def mmin(request, tmp_path):
    root = tmp_path / request.param
    return request.param, root, write_mmin(root, request.param)


def test_mmin_folders_are_read_as_they_were_written(mmin):
    name, root, label = mmin
    corpus = corpora.load(name, folder=root, standardise=False)
    assert corpus.shapes == {m: (width,) for m, width in WIDTHS.items()}
    assert corpus.labels == {"emotion": ("happy", "angry", "sad", "neutral")}
    assert dict(zip(corpus.samples.id.tolist(), corpus.samples.labels["emotion"].tolist(), strict=True)) == label
    for m, file in FILES.items():
        with h5py.File(root / file) as h5:
            for row, id in enumerate(corpus.samples.id):
                stored = h5[id][()]
                length = int(corpus.samples.mask[m][row].sum())
                assert length == np.flatnonzero(stored.any(1))[-1] + 1  # zeros at the end are no frames
                np.testing.assert_array_equal(corpus.samples.x[m][row, :length], stored[:length].astype(np.float32))
                assert not corpus.samples.x[m][row, length:].any()


def test_mmin_folds_are_those_of_the_folder_one_speaker_and_the_partner_apart(mmin):
    name, root, _ = mmin
    corpus = corpora.load(name, folder=root)
    who, _ = people(name)
    assert len(corpus.split.folds) == len(who)
    for i, parts in enumerate(corpus.split.folds):
        train, valid, test = ({*corpus.samples.speaker[rows]} for rows in parts)
        assert test == {who[i]} and valid == {who[i ^ 1]} and train == {*who} - {who[i], who[i ^ 1]}
    assert corpus.split.test_to_train == pytest.approx(1 / (len(who) - 2))
    train = corpus.fold(0)[0]
    for m in corpus.modalities:
        assert train.x[m][train.mask[m]].double().mean(0).abs().max() < 1e-3


def test_mmin_folders_are_found_above_beside_and_by_the_variable(mmin, monkeypatch):
    name, root, _ = mmin
    wanted = corpora.load(name, folder=root).fingerprint
    assert corpora.load(name, folder=root.parent).fingerprint == wanted
    monkeypatch.setenv("ROBUSTMER_DATA", str(root.parent))
    assert corpora.load(name).fingerprint == wanted
    (root / "target").rename(root.parent / "folds")
    assert reports(corpora.check(name, root), "no folder", "target", "target=...")
    assert corpora.load(name, folder=root, target=str(root.parent / "folds")).fingerprint == wanted


def test_mmin_check_compares_the_classes_of_iemocap_with_the_table_and_finds_msp_improv_fine(mmin):
    name, root, _ = mmin
    problems = corpora.check(name, root)
    if name == "msp_improv_mmin":
        assert problems == []
    else:
        assert len(problems) == 4 and reports(problems, "samples with label 0 (happy); 1636 were published")


def test_a_replaced_file_is_read_again(mmin):
    name, root, _ = mmin
    first = corpora.load(name, folder=root)
    assert corpora.load(name, folder=root) is first
    with h5py.File(root / FILES["visual"], "a") as h5:
        h5[first.samples.id[0]][0, 0] += 1
    assert corpora.load(name, folder=root).fingerprint != first.fingerprint
    second = corpora.load(name, folder=root)
    place = root / "target" / "1" / "val_label.npy"
    label = np.load(place)
    np.save(place, label[:-1])
    with pytest.raises(CorpusError, match="val_label.npy"):
        corpora.load(name, folder=root)
    np.save(place, label)
    assert corpora.load(name, folder=root).fingerprint == second.fingerprint


def test_the_order_of_the_classes_can_be_changed(mmin):
    name, root, _ = mmin
    order = ("angry", "happy", "sad", "neutral")
    corpus = corpora.load(name, folder=root, classes=list(order))
    assert corpus.labels["emotion"] == order == corpora.named(name, classes=list(order)).labels["emotion"]
    assert torch.equal(corpus.samples.labels["emotion"], corpora.load(name, folder=root).samples.labels["emotion"])


def test_the_rectangular_audio_of_msp_improv_loses_its_zeros(tmp_path):
    write_mmin(tmp_path, "msp_improv_mmin")
    corpus = corpora.load("msp_improv_mmin", folder=tmp_path, audio="comparE_raw")
    assert corpus.samples.mask["audio"].sum(1).tolist() == [4] * 36 and corpus.samples.x["audio"].shape[1] == 4
    (tmp_path / "A/comparE.h5").unlink()
    assert corpora.check("msp_improv_mmin", tmp_path, audio="comparE_raw") == []
    note = "A/comparE.h5 is missing; A/comparE_raw.h5 is read in its place"
    assert corpora.check("msp_improv_mmin", tmp_path) == [note]
    with pytest.warns(UserWarning, match=f"MSP-IMPROV: {note}"):
        assert corpora.load("msp_improv_mmin", folder=tmp_path).fingerprint == corpus.fingerprint
    (tmp_path / "A/comparE_raw.h5").unlink()
    with pytest.raises(CorpusError, match="comparE.h5 is missing; A/ has comparE_mean_std.h5"):
        corpora.load("msp_improv_mmin", folder=tmp_path)


def test_a_face_that_was_never_found_is_absent(mmin):
    name, root, label = mmin
    with h5py.File(root / FILES["visual"], "a") as h5:
        h5[list(label)[5]][:] = 0
    corpus = corpora.load(name, folder=root)
    row = corpus.samples.id.tolist().index(list(label)[5])
    assert torch.equal(corpus.samples.present["visual"], torch.arange(len(label)) != row)
    assert corpus.samples.present["audio"].all() and not corpus.samples.mask["visual"][row].any()
    for m in ("audio", "text"):
        with h5py.File(root / FILES[m], "a") as h5:
            h5[list(label)[5]][:] = 0
    with pytest.raises(CorpusError, match="all zeros in every modality"):
        corpora.load(name, folder=root)


def change(root, file, make):
    np.save(root / "target" / file, make(np.load(root / "target" / file)))


def edit(root, modality, make):
    with h5py.File(root / FILES[modality], "a") as h5:
        make(h5, sorted(h5)[0])


def put(h5, id, value):
    del h5[id]
    h5[id] = value


def not_finite(h5, id):
    h5[id][1, 5] = np.nan


MMIN_DAMAGE = {
    "no file": (lambda root: (root / "L/bert_large.h5").unlink(), ("L/bert_large.h5 is missing", "L/ has nothing")),
    "no utterance": (
        lambda root: edit(root, "visual", lambda h5, id: h5.__delitem__(id)),
        ("V/denseface.h5 has no '", "it has"),
    ),
    "width": (
        lambda root: edit(root, "text", lambda h5, id: put(h5, id, np.ones((22, 768)))),
        ("L/bert_large.h5", "shape (22, 768)", "(frames, 1024)"),
    ),
    "a vector": (
        lambda root: edit(root, "audio", lambda h5, id: put(h5, id, np.ones(130))),
        ("A/comparE.h5", "shape (130,)"),
    ),
    "aligned": (
        lambda root: edit(root, "audio", lambda h5, id: (h5.__delitem__(id), h5.create_group(id + "/feat"))),
        ("A/comparE.h5 has a folder for", "(feat)", "aligned layout"),
    ),
    "not finite": (
        lambda root: edit(root, "audio", not_finite),
        ("audio of sample", "is not finite (row 1, column 5: nan;", "leave the sample out"),
    ),
    "words": (
        lambda root: edit(root, "text", lambda h5, id: put(h5, id, np.full((2, 1024), b"a"))),
        ("text of sample", "must hold numbers"),
    ),
    "no fold": (lambda root: (root / "target/3").rename(root / "target/three"), ("no folder", "folds 1 to")),
    "no part": (lambda root: (root / "target/2/val_label.npy").unlink(), ("2/val_label.npy is missing",)),
    "lengths": (
        lambda root: change(root, "2/trn_int2name.npy", lambda a: a[:-1]),
        ("2/trn_label.npy holds", "it must hold"),
    ),
    "part cut": (lambda root: (root / "target/2/tst_label.npy").write_bytes(b"\x93NUMPY"), ("cannot be read",)),
    "objects": (
        lambda root: np.save(root / "target/1/trn_int2name.npy", np.array([{}], dtype=object)),
        ("1/trn_int2name.npy", "Python objects"),
    ),
    "numbers for names": (
        lambda root: np.save(root / "target/1/trn_int2name.npy", np.arange(3)),
        ("int2name.npy holds int64", "must hold names, (samples,)"),
    ),
    "empty": (lambda root: change(root, "4/tst_label.npy", lambda a: a[:0]), ("4/tst_label.npy holds", "of shape (0,")),
    "label": (
        lambda root: np.save(root / "target/1/tst_label.npy", np.array([0, 4, 1])),
        ("has the label 4 for", "0 to 3", "happy"),
    ),
    "no names": (
        lambda root: change(root, "1/trn_int2name.npy", lambda a: a.reshape(len(a), -1)[:, :0]),
        ("1/trn_int2name.npy", ", 0)", "must hold names"),
    ),
    "six classes": (lambda root: np.save(root / "target/1/tst_label.npy", np.eye(6)[:3]), ("shape (3, 6)", "(3, 4)")),
    "no class": (lambda root: np.save(root / "target/1/tst_label.npy", np.zeros((3, 4))), ("not one-hot in row 0",)),
    "half a class": (lambda root: np.save(root / "target/1/tst_label.npy", np.eye(4)[:3] / 2), ("not one-hot in row",)),
    "infinite class": (
        lambda root: np.save(root / "target/1/tst_label.npy", np.full(3, np.inf)),
        ("label inf", "whole number"),
    ),
    "bytes behind": (
        lambda root: (root / "target/1/tst_label.npy").write_bytes(
            (root / "target/1/tst_label.npy").read_bytes() + b"x"
        ),
        ("more bytes than its shape",),
    ),
    "labels differ": (
        lambda root: change(root, "5/tst_label.npy", lambda a: np.roll(a, 1, axis=0)),
        ("has label", "of fold 5, but"),
    ),
    "in two parts": (
        lambda root: change(
            root,
            "1/val_int2name.npy",
            lambda a: np.concatenate([np.load(root / "target/1/tst_int2name.npy")[:1], a[1:]]),
        ),
        ("has label", "in tst of fold 1, but"),
    ),
    "unknown name": (
        lambda root: change(
            root,
            "1/val_int2name.npy",
            lambda a: np.char.replace(a, *((b"Ses", b"Take") if a.dtype.kind == "S" else ("MSP", "PSM"))),
        ),
        ("does not tell who speaks",),
    ),
}


@pytest.mark.parametrize("what", MMIN_DAMAGE)
def test_damage_to_an_mmin_folder_is_reported(what, mmin):
    name, root, _ = mmin
    damage, parts = MMIN_DAMAGE[what]
    damage(root)
    problems = corpora.check(name, root)
    assert reports(problems, *parts), problems
    with pytest.raises(CorpusError) as error:
        corpora.load(name, folder=root)
    assert not isinstance(error.value, CorpusNotFound)


def test_folds_that_divide_a_speaker_are_refused_unless_the_split_is_person_dependent(mmin):
    name, root, _ = mmin
    for what in ("int2name", "label"):  # an utterance changes sides, a speaker stays on both
        files = [root / "target/1" / f"{part}_{what}.npy" for part in ("trn", "val")]
        train, valid = map(np.load, files)
        np.save(files[0], np.concatenate([train, valid[:1]]))
        np.save(files[1], valid[1:])
    assert reports(corpora.check(name, root), "fold 0 of the split 'by speaker' has speaker", "in train and in valid",
                   "speaker_disjoint=False")  # fmt: skip
    corpus = corpora.load(name, folder=root, speaker_disjoint=False)
    assert {*corpus.samples.speaker} == {*people(name)[0]} and not corpus.split.speaker_disjoint


def test_every_problem_of_a_folder_is_reported_at_once(mmin):
    name, root, _ = mmin
    for what in ("no utterance", "no fold", "lengths", "not finite"):
        MMIN_DAMAGE[what][0](root)
    assert len(corpora.check(name, root)) == 4
    with pytest.raises(CorpusError, match="3 more problems"):
        corpora.load(name, folder=root)


def test_a_truncated_or_wrong_hdf5_file_is_reported(mmin):
    name, root, _ = mmin
    path = root / FILES["audio"]
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"utterance,label\n"):
        path.write_bytes(content)
        assert reports(
            corpora.check(name, root), "A/comparE.h5 cannot be read", "it may be cut short or damaged: get it again"
        )


@pytest.mark.parametrize(
    "corpus, id, speaker",
    [
        (iemocap_mmin, "Ses01F_impro01_F000", "Ses01F"),
        (iemocap_mmin, "Ses01F_impro01_M000", "Ses01M"),
        (iemocap_mmin, "Ses05M_script03_2_F031", "Ses05F"),
        (iemocap_mmin, "Ses03M_impro05a_M002", "Ses03M"),
        (iemocap_mmin, "take 7", None),
        (msp_improv_mmin, "MSP-IMPROV-S01A-F01-P-FM01", "F01"),
        (msp_improv_mmin, "MSP-IMPROV-S20H-M06-R-MM01", "M06"),
        (msp_improv_mmin, "Ses01F_impro01_F000", None),
    ],
)
def test_the_name_of_an_utterance_tells_who_speaks(corpus, id, speaker):
    assert corpus.speaker_of(id) == speaker


# Pickles


class Malicious:
    def __reduce__(self):
        return os.system, ("touch owned",)


class Sneaky:
    """Calls what a plain array needs, with something else."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def test_a_pickle_runs_nothing_and_the_refused_class_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value, name in (
        (Malicious(), "system"),
        ({"train": [np.zeros(2), Malicious()]}, "system"),
        (Sneaky(eval, "open('owned', 'w')"), ".eval"),
        (Sneaky(subprocess.call, ["touch", "owned"]), ".call"),
        (Sneaky(np.load, "owned"), "numpy.load"),
        (Sneaky(getattr, "os", "system"), ".getattr"),
        (Sneaky(np.frombuffer, b"1"), "frombuffer"),
        (torch.zeros(2), "torch"),
        (np.ma.zeros(2), "numpy.ma"),
    ):
        for protocol in (0, 2, 4, 5):
            path = tmp_path / "mosei.pkl"
            path.write_bytes(pickle.dumps(value, protocol))
            with pytest.raises(CorpusError) as error:
                pickles.read(path)
            assert name in str(error.value) and "refused" in str(error.value)
            assert reports(corpora.check("mosei_multibench", path), name, "refused")
    assert not (tmp_path / "owned").exists()


def test_a_dotted_name_does_not_reach_behind_a_module(tmp_path):
    path = tmp_path / "x.pkl"
    name = b"ndarray.__init__.__globals__"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c" + bytes([len(name)]) + name + b"\x93.")  # STACK_GLOBAL
    with pytest.raises(CorpusError, match="refused"):
        pickles.read(path)


class Py2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its str."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_str(self, obj):
        raw = obj.encode("latin1") if isinstance(obj, str) else obj
        self.write(b"T" + struct.pack("<i", len(raw)) + raw)
        self.memoize(obj)

    dispatch[str] = dispatch[bytes] = save_str


def dump(value, path, how):
    """Write a pickle as some version of Python and numpy did."""
    if how == "python 2":
        with path.open("wb") as file:
            Py2Pickler(file, 2).dump(value)
        path.write_bytes(path.read_bytes().replace(b"numpy._core", b"numpy.core"))
    elif how == "old numpy":
        path.write_bytes(pickle.dumps(value, 2).replace(b"numpy._core", b"numpy.core"))
    else:
        path.write_bytes(pickle.dumps(value, how))


@pytest.mark.parametrize("how", [0, 1, 2, 3, 4, 5, "old numpy", "python 2"])
def test_arrays_come_back_from_every_version_of_the_format(how, tmp_path):
    arrays = {
        "float64": np.arange(6.0).reshape(2, 3),
        "float32": np.array([[1.5, -np.inf, 200.25]], np.float32),
        "int": np.arange(4, dtype=np.int64),
        "big": np.array([1, 258], dtype=">i4"),
        "truth": np.array([True, False]),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array(["ab", "c"]),
        "bytes": np.array([b"ab", b"\xe9"]),
        "half": np.ones(2, np.float16),
        "none": np.zeros((0, 4)),
        "cube": np.arange(24.0).reshape(2, 3, 4)[:, ::2],
    }
    others = {"ordered": OrderedDict(x=1), "set": {1, 2}, "pair": (np.float32(0.5), 2), "list": [b"raw", "text", True],
              "ids": np.array([["v1", 0.5], ["v2", None]], dtype=object), "whole": [[1, 2], [3, 4]],
              "boxed": np.array([np.ones(1), 2.5], dtype=object), "deep": [[[1]]], "number": 7}  # fmt: skip
    dump({"a": arrays, "b": others, "c": [1]}, tmp_path / "x.pkl", how)
    content, shared = pickles.read(tmp_path / "x.pkl")
    for name, array in arrays.items():
        np.testing.assert_array_equal(content["a"][name], array)
        assert content["a"][name].dtype == array.dtype
    assert {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in content["b"].items()} == {
        "ordered": "dict", "set": "set", "pair": [0.5, 2.0], "list": ["raw", "text", "True"], "whole": [[1, 2], [3, 4]],
        "ids": [["v1", "0.5"], ["v2", "None"]], "boxed": [1.0, 2.5], "deep": "list", "number": "int",
    }  # fmt: skip
    assert content["c"] == "list" and shared == []


def test_a_file_that_is_no_pickle_or_is_cut_short_is_reported(tmp_path):
    path = tmp_path / "mosi.pkl"
    whole = pickle.dumps({"train": {"audio": np.ones((4, 4))}})
    for content in (b"", whole[:-20], b"video,label\n1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(64), whole[30:]):
        path.write_bytes(content)
        problems = corpora.check("mosi_multibench", path)
        assert len(problems) == 1 and "mosi.pkl is no pickle" in problems[0]
    path.write_bytes(pickle.dumps(np.zeros(2, dtype=[("a", "f4")])))
    assert reports(corpora.check("mosi_multibench", path), "mosi.pkl holds arrays of records")
    path.write_bytes(pickle.dumps(np.zeros(2, dtype="M8[s]")))
    assert reports(corpora.check("mosi_multibench", path), "type 'M8'")


DEEP = b")" + b"\x85" * 200_000  # a tuple in a tuple in a tuple ...
RAW = b"cnumpy.core.multiarray\n_reconstruct\n)Rp0\n"
OBJECTS = (
    b"cnumpy\ndtype\n(X\x02\x00\x00\x00O8K\x00K\x01tR(K\x03X\x01\x00\x00\x00|NNN"
    + b"J\xff\xff\xff\xff" * 2
    + b"K\x00tb"
)
AUDIO = b"\x80\x02}X\x05\x00\x00\x00train}X\x05\x00\x00\x00audio" + RAW
ENDED = "ended the process that read it .SIG(SEGV|BUS|KILL); it may use 60 s and 1025 MiB"
HOSTILE = {
    "deep key": (b"\x80\x04}" + DEEP + b"K\x01s.", ENDED),
    "deep key of a dict": (b"\x80\x04(" + DEEP + b"K\x01d.", ENDED),
    "deep set": (b"\x80\x04\x8f(" + DEEP + b"\x90.", ENDED),
    "dict by name": (b"\x80\x02c__builtin__\ndict\n]" + DEEP + b"K\x01\x86a\x85R.", ENDED),
    "far memo": (b"\x80\x02}r\xff\xff\xff\x7f.", "needs more than 1024 MiB of memory"),
    "memory": (b"\x80\x04cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "needs more than 1024 MiB of memory"),
    "a list": (b"\x80\x02].", "holds a list; it must be a dictionary"),
    "no state": (AUDIO + b"ss.", "an array without content"),
    "addresses for objects": (AUDIO + b"(K\x01K\x01\x85" + OBJECTS + b"\x89U\x08AAAAAAAAtbss.", "is no pickle"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_pickle_ends_in_one_sentence_within_its_limits(what, tmp_path):
    content, sentence = HOSTILE[what]
    path = tmp_path / "mosi.pkl"
    path.write_bytes(content)
    problems = corpora.check("mosi_multibench", path)
    assert re.search(sentence, problems[0]) and "mosi.pkl" in problems[0], problems
    with pytest.raises(CorpusError, match=sentence):
        corpora.load("mosi_multibench", folder=path)


def test_a_pickle_that_takes_too_long_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(pickles, "SECONDS", 1)
    (tmp_path / "mosi.pkl").write_bytes(b"\x80\x04})" + b"2\x86" * 60 + b"K\x01s.")  # a key of 2^60 parts to hash
    with pytest.raises(CorpusError, match="mosi.pkl ended the process that read it .SIG(KILL|XCPU); it may use 1 s"):
        pickles.read(tmp_path / "mosi.pkl")


# MultiBench, MMSA


def multibench(sizes=(8, 4, 5), steps=6):
    """MultiBench: padded in front, labels (N, 1, 1), ids (video, start, end). Row r of a part has 2 + r % 4 words."""
    draw = np.random.default_rng(3)
    content, sentiment = {}, np.array([-2.5, 0.0, 1.0, 3.0, -0.2])
    for part, rows in zip(("train", "valid", "test"), sizes, strict=True):
        group = {
            "vision": draw.normal(size=(rows, steps, 35)),
            "audio": draw.normal(size=(rows, steps, 74)),
            "text": draw.normal(size=(rows, steps, 300)).astype(np.float32),
        }
        for row in range(rows):
            for key in group:
                group[key][row, : steps - 2 - row % 4] = 0
        group["vision"][0, steps - 2] = 0  # the first word of the first row has no face
        group["labels"] = sentiment[np.arange(rows) % 5].reshape(rows, 1, 1)
        group["id"] = np.array([[f"{part}_{row // 2}", f"{row}.5", f"{row + 1}.25"] for row in range(rows)])
        content[part] = group
    return content


def mmsa(sizes=(8, 4, 5), aligned=False):
    """MMSA: padded behind, texts as lists, BERT with vectors in the padding, ids "video$_$clip", object arrays."""
    content = multibench(sizes)
    for part, group in content.items():
        rows = len(group["labels"])
        group = content[part] = {
            key: value[:, ::-1].copy() if key in ("vision", "audio", "text") else value for key, value in group.items()
        }
        words = np.array([(group["text"][row] != 0).any(1) for row in range(rows)])
        group["text"][~words] = 0.25
        group["text_bert"] = np.stack([np.ones_like(words), words, np.zeros_like(words)], 1).astype(np.float32)
        if not aligned:
            for key, more in (("audio", 9), ("vision", 3)):
                group[key] = np.pad(group[key], ((0, 0), (0, more), (0, 0)))
            group["audio_lengths"], group["vision_lengths"] = [1] * rows, [1] * rows
        group["regression_labels"] = group.pop("labels").reshape(rows).astype(np.float32)
        group["classification_labels"] = np.ones(rows)
        group["annotations"] = ["Positive"] * rows
        group["raw_text"] = np.array(["GOOD MOVIE"] * rows, dtype=object)
        group["id"] = [f"{part}_v{row // 2}$_${row}" for row in range(rows)]
    return content


def store(folder, content, name="mosei_senti_data.pkl", how=4):
    folder.mkdir(parents=True, exist_ok=True)
    dump(content, folder / name, how)
    return folder / name


def usable(problems):
    return all("were published" in problem for problem in problems)


@pytest.mark.parametrize("how", [2, 4, "old numpy", "python 2"])
@pytest.mark.parametrize("name", ["mosei_multibench", "mosi_multibench"])
def test_a_multibench_pickle_is_read_without_its_padding(name, how, tmp_path):
    content = multibench()
    path = store(tmp_path / name, content, how=how)
    problems = corpora.check(name, tmp_path)
    assert len(problems) == 3 and usable(problems)
    corpus = corpora.load(name, folder=tmp_path, standardise=False)
    assert corpus.shapes == {"audio": (74,), "visual": (35,), "text": (300,)}
    assert corpus.labels == {"polarity": ("negative", "positive")}
    assert [len(part) for part in corpus.split.folds[0]] == [8, 4, 5]
    row = 0
    for part, group in content.items():
        for i in range(len(group["labels"])):
            for m, key in (("audio", "audio"), ("visual", "vision"), ("text", "text")):
                wanted = group[key][i, 4 - i % 4 :]
                assert int(corpus.samples.mask[m][row].sum()) == 2 + i % 4  # the word without a face is a frame, too
                np.testing.assert_array_equal(corpus.samples.x[m][row, : 2 + i % 4], wanted.astype(np.float32))
            assert corpus.samples.labels["polarity"][row] == (group["labels"][i, 0, 0] >= 0)
            assert corpus.samples.speaker[row] == f"{part}_{i // 2}"
            assert corpus.samples.id[row] == f"{part}_{i // 2}[{i}.5 to {i + 1}.25]"
            row += 1
    assert corpora.load(name, folder=path, standardise=False).fingerprint == corpus.fingerprint


@pytest.mark.parametrize("aligned", [True, False])
def test_an_mmsa_pickle_is_the_same_corpus(aligned, tmp_path):
    store(tmp_path / "a", mmsa(aligned=aligned), "aligned_50.pkl")
    content = multibench()
    for group in content.values():
        for key in ("vision", "audio", "text"):
            group[key] = group[key][:, ::-1]
    store(tmp_path / "b", content)
    assert usable(corpora.check("mosei_multibench", tmp_path / "a"))
    first, second = (corpora.load("mosei_multibench", folder=tmp_path / f, standardise=False) for f in "ab")
    assert torch.equal(first.samples.labels["polarity"], second.samples.labels["polarity"])
    for m in ("audio", "text"):
        assert torch.equal(first.samples.x[m], second.samples.x[m]) and torch.equal(
            first.samples.mask[m], second.samples.mask[m]
        )
    assert first.samples.speaker[0] == "train_v0" and first.samples.id[0] == "train_v0$_$0"


def test_sentiment_0_is_positive_negative_or_left_out(tmp_path):
    store(tmp_path, multibench())
    sentiment = np.concatenate([group["labels"].ravel() for group in multibench().values()])

    def load(**options):
        return corpora.load("mosei_multibench", folder=tmp_path, **options).samples.labels["polarity"].tolist()

    assert load() == (sentiment >= 0).astype(int).tolist() == load(neutral="positive")
    assert load(neutral="negative") == (sentiment > 0).astype(int).tolist()
    assert load(neutral="drop") == (sentiment[sentiment != 0] > 0).astype(int).tolist()
    with pytest.raises(CorpusError, match="neutral='both'.*positive, negative, drop"):
        load(neutral="both")
    assert polarity(np.array([-0.0]), "positive")[0].tolist() == [1]


@pytest.mark.parametrize(
    ("name", "of"), [("mosei_sentiment", "mosei_multibench"), ("mosi_multibench_sentiment", "mosi_multibench")]
)
def test_sentiment_itself_may_be_the_label(name, of, tmp_path):
    store(tmp_path, multibench())
    sentiment = np.concatenate([group["labels"].ravel() for group in multibench().values()])
    numbers, polar = (corpora.load(key, folder=tmp_path) for key in (name, of))
    assert numbers.labels == {"sentiment": ()} and numbers.samples.labels["sentiment"].dtype == torch.float32
    assert numbers.samples.labels["sentiment"].tolist() == sentiment.astype(np.float32).tolist()
    for m in polar.modalities:
        assert torch.equal(numbers.samples.x[m], polar.samples.x[m])
    assert corpora.check(name, tmp_path) == corpora.check(of, tmp_path)


def test_an_utterance_without_words_is_left_out_and_one_without_a_face_is_kept(tmp_path):
    content = multibench()
    content["train"]["text"][3] = 0
    content["test"]["vision"][2] = 0
    store(tmp_path, content)
    corpus = corpora.load("mosei_multibench", folder=tmp_path)
    assert [len(part) for part in corpus.split.folds[0]] == [7, 4, 5]
    assert corpus.samples.present["visual"].tolist() == [row != 7 + 4 + 2 for row in range(16)]
    assert corpus.samples.present["text"].all() and corpus.samples.present["audio"].all()


def test_infinite_values_are_refused_by_name_or_repaired(tmp_path):
    content = multibench()
    content["valid"]["audio"][1, 4, 7] = -np.inf
    content["valid"]["audio"][2, 5, 8] = np.nan
    store(tmp_path, content)
    problems = corpora.check("mosei_multibench", tmp_path)
    assert reports(
        problems,
        "audio of sample 'valid_0[1.5 to 2.25]' in mosei_senti_data.pkl is not finite",
        "column 7: -inf",
        "repair=True",
        "2 such cases",
    )
    with pytest.raises(CorpusError, match="repair=True"):
        corpora.load("mosei_multibench", folder=tmp_path)
    repaired = corpora.load("mosei_multibench", folder=tmp_path, repair=True, standardise=False)
    content["valid"]["audio"][1, 4, 7] = content["valid"]["audio"][2, 5, 8] = 0
    store(tmp_path, content)
    assert repaired.fingerprint == corpora.load("mosei_multibench", folder=tmp_path, standardise=False).fingerprint


def videos_only(content):
    for part, group in content.items():
        group["id"] = np.array([f"{part}-a", f"{part}-b"] * 9)[: len(group["labels"])]


IDS = {
    "objects": lambda c: [g.update(id=g["id"].astype(object)) for g in c.values()],
    "bytes": lambda c: [g.update(id=g["id"].astype("S")) for g in c.values()],
    "a list": lambda c: [g.update(id=g["id"].tolist()) for g in c.values()],
    "one column": lambda c: [g.update(id=g["id"][:, :1]) for g in c.values()],
    "videos only": videos_only,
    "none": lambda c: [g.pop("id") for g in c.values()],
}


@pytest.mark.parametrize("what", IDS)
def test_ids_are_read_however_numpy_stored_them(what, tmp_path):
    content = multibench()
    IDS[what](content)
    store(tmp_path, content)
    corpus = corpora.load("mosei_multibench", folder=tmp_path)
    assert len({*corpus.samples.id}) == 17
    assert {*corpus.samples.speaker} == {"?"} if what == "none" else len({*corpus.samples.speaker}) in (6, 9)


def assign(part, key, make):
    return lambda content: content[part].__setitem__(key, make(content[part].get(key)))


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def in_every_part(key, make):
    return lambda content: [group.__setitem__(key, make(len(group["labels"]))) for group in content.values()]


MULTIBENCH_DAMAGE = {
    "no part": (lambda c: c.pop("valid"), ("has no part 'valid'", "train, test")),
    "a list for a part": (lambda c: c.__setitem__("test", [1]), ("part 'test'", "is a list")),
    "no key": (lambda c: c["train"].pop("vision"), ("part 'train'", "no array vision", "audio, text, labels, id")),
    "no labels": (lambda c: c["test"].pop("labels"), ("no array regression_labels or labels",)),
    "rows": (assign("test", "text", lambda a: a[:-1]), ("test", "counts different samples", "text 4", "audio 5")),
    "ids": (assign("test", "id", lambda a: a[:-1]), ("counts different samples", "id 4")),
    "flat": (assign("train", "audio", lambda a: a[:, 0]), ("audio of train", "shape (8, 74)")),
    "words": (assign("train", "audio", lambda a: a.astype("U3")), ("audio of train", "must hold numbers")),
    "empty": (assign("train", "audio", lambda a: a[:, :0]), ("audio of train", "shape (8, 0, 74)")),
    "widths": (assign("valid", "vision", lambda a: a[..., :-1]), ("vision", "35 wide in train", "34 wide in valid")),
    "iemocap": (
        assign("train", "labels", lambda a: np.zeros((8, 4, 2))),
        ("shape (8, 4, 2)", "must hold numbers, (samples,)"),
    ),
    "nan": (
        assign("train", "labels", lambda a: np.where(np.arange(8).reshape(8, 1, 1) == 2, np.nan, a)),
        ("sentiment of sample 'train_1[2.5 to 3.25]'", "is nan", "-3 to 3"),
    ),
    "outside": (assign("train", "labels", lambda a: a * 2), ("is -5", "must be -3 to 3")),
    "twice": (assign("train", "id", lambda a: a[[0, 0, *range(2, 8)]]), ("is in 2 rows", "every sample needs one")),
    "divided": (
        assign("test", "id", lambda a: np.where(a == "test_0", "train_2", a)),
        ("has speaker 'train_2' in train and in test", "give a speaker to one part"),
    ),
    "silent": (assign("valid", "text", lambda a: a * 0), ("the valid part", "no sample with words")),
    "one part": (lambda c: c.update(test=c["valid"]), ("parts 'valid' and 'test'", "are the same data")),
    "one array": (lambda c: c["test"].update(audio=c["train"]["audio"]), ("parts 'train' and 'test'", "the same data")),
    "label of no row": (assign("train", "labels", lambda a: np.array(1.0)), ("labels of train", "shape ()")),
    "endless label": (
        assign("train", "labels", lambda a: [10**400] * 8),
        ("labels of train", "must hold numbers, (samples,)"),
    ),
    "id of no row": (assign("test", "id", lambda a: np.array("a")), ("id of test", "of shape ()", "(5,)")),
    "id of no column": (assign("test", "id", lambda a: a[:, :0]), ("id of test", "of shape (5, 0)")),
    "deep id": (assign("test", "id", lambda a: [deep(200)] * 5), ("'test' has no array of it (list)",)),
    "endless id": (
        assign("test", "id", lambda a: [10**5000 + i for i in range(5)]),
        ("'test' has no array of it (unreadable: Exceeds",),
    ),
    "bert of text": (in_every_part("text_bert", lambda rows: np.full((rows, 3, 6), "a")), ("of train", "<U1")),
    "bert of None": (
        in_every_part("text_bert", lambda rows: np.full((rows, 3, 6), None)),
        ("text_bert", "must hold numbers"),
    ),
    "bert of other words": (in_every_part("text_bert", lambda rows: np.ones((rows, 3, 9))), ("of train", "9)")),
    "bert of one part": (assign("test", "text_bert", lambda a: np.ones((5, 3, 6))), ("bert is in test", "'train'")),
    "ids of two parts": (lambda c: c["valid"].pop("id"), ("id is in train, test", "'valid'")),
    "id of nothing": (assign("valid", "id", lambda a: 7), ("id is in", "'valid' has no array")),
    "no name": (
        assign("train", "id", lambda a: np.where(a == "train_0", "", a)),
        ("id of train", "has no name in row 0"),
    ),
}


@pytest.mark.parametrize("what", MULTIBENCH_DAMAGE)
def test_damage_to_a_multibench_pickle_is_reported(what, tmp_path):
    damage, parts = MULTIBENCH_DAMAGE[what]
    content = multibench()
    damage(content)
    store(tmp_path, content)
    problems = corpora.check("mosei_multibench", tmp_path)
    assert reports(problems, *parts), problems
    with pytest.raises(CorpusError):
        corpora.load("mosei_multibench", folder=tmp_path)


def test_two_pickles_are_a_question(tmp_path):
    store(tmp_path, multibench(), "aligned_50.pkl")
    other = store(tmp_path, multibench(), "unaligned_50.pkl")
    with pytest.raises(CorpusError, match="several pickles, aligned_50.pkl, unaligned_50.pkl; keep one"):
        corpora.load("mosei_multibench", folder=tmp_path)
    assert usable(corpora.check("mosei_multibench", other))


def test_a_replaced_pickle_is_read_again(tmp_path):
    store(tmp_path, multibench())
    first = corpora.load("mosei_multibench", folder=tmp_path)
    assert corpora.load("mosei_multibench", folder=tmp_path) is first
    content = multibench(sizes=(9, 4, 5))
    store(tmp_path, content)
    assert len(corpora.load("mosei_multibench", folder=tmp_path)) == 18


# The CMU-MultimodalSDK


MOSEI_FILES = {
    "audio": ("CMU_MOSEI_COVAREP.csd", "COVAREP", 74, 0.01),
    "visual": ("CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", 35, 1 / 30),
    "text": ("CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", 300, 0.4),
}
MOSI_FILES = {
    "audio": ("CMU_MOSI_COVAREP.csd", "COVAREP", 74, 0.01),
    "visual": ("CMU_MOSI_Visual_Facet_41.csd", "FACET_4.1", 47, 1 / 30),
    "text": ("CMU_MOSI_TimestampedWordVectors.csd", "glove_vectors", 300, 0.4),
}
SEGMENTS = np.array([[-0.25, 1.1], [1.1, 2.0], [2.0, 2.0], [1.9, 3.9]])  # the third has been removed
SENTIMENT = {"MOSEI": "CMU_MOSEI_Labels.csd", "MOSI": "CMU_MOSI_Opinion_Labels.csd"}


def write_csd(path, root, videos):
    with h5py.File(path, "w") as h5:
        for video, (features, intervals) in videos.items():
            h5[f"{root}/data/{video}/features"] = features
            h5[f"{root}/data/{video}/intervals"] = intervals
        for key, value in (("root name", root), ("version", "1.0"), ("uuid", "0")):
            h5[f"{root}/metadata/{key}"] = np.array([json.dumps(value).encode()])


def write_sdk(folder, corpus="MOSEI"):
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(7)
    videos = [f"-video_{i}" for i in range(6)]
    for file, root, width, step in (MOSEI_FILES if corpus == "MOSEI" else MOSI_FILES).values():
        start = np.arange(0, 4, step)
        write_csd(
            folder / file,
            root,
            {video: (draw.normal(size=(len(start), width)), np.stack([start, start + step], 1)) for video in videos},
        )
    columns = 7 if corpus == "MOSEI" else 1
    labels = {v: (np.tile(np.array([[-1.0], [0.0], [0.0], [2.0]]), (1, columns)), SEGMENTS) for v in videos}
    write_csd(folder / SENTIMENT[corpus], "All Labels" if corpus == "MOSEI" else "Opinion Segment Labels", labels)
    (folder / "splits.json").write_text(json.dumps({"train": videos[:3], "valid": videos[3:4], "test": videos[4:]}))


@pytest.mark.parametrize("name, written", [("mosei_sdk", "MOSEI"), ("mosi_sdk", "MOSI")])
def test_an_utterance_has_the_frames_that_overlap_its_segment(name, written, tmp_path):
    write_sdk(tmp_path / name, written)
    assert corpora.check(name, tmp_path) == []
    corpus = corpora.load(name, folder=tmp_path, longest=None, standardise=False)
    assert [len(part) for part in corpus.split.folds[0]] == [9, 3, 6]
    assert corpus.samples.id[:3].tolist() == ["-video_0[0]", "-video_0[1]", "-video_0[3]"]
    assert corpus.samples.labels["polarity"][:3].tolist() == [0, 1, 1]
    assert {*corpus.samples.speaker} == {f"-video_{i}" for i in range(6)}
    for m, (file, root, width, _) in (MOSEI_FILES if written == "MOSEI" else MOSI_FILES).items():
        assert corpus.shapes[m] == (width,)
        with h5py.File(tmp_path / name / file) as h5:
            frames = h5[f"{root}/data/-video_4/features"][()]
            times = h5[f"{root}/data/-video_4/intervals"][()]
        for number, row in ((0, 12), (1, 13), (3, 14)):
            start, end = SEGMENTS[number]
            wanted = [f for f, (a, b) in zip(frames, times, strict=True) if a < end and b > start]
            length = int(corpus.samples.mask[m][row].sum())
            np.testing.assert_array_equal(corpus.samples.x[m][row, :length], np.float32(wanted))


def test_long_segments_are_averaged_and_their_mean_stays(tmp_path):
    write_sdk(tmp_path)
    whole = corpora.load("mosei_sdk", folder=tmp_path, longest=None, standardise=False)
    short = corpora.load("mosei_sdk", folder=tmp_path, longest=10, standardise=False)
    assert short.samples.x["audio"].shape[1] == 10 and whole.samples.x["audio"].shape[1] >= 200
    even = whole.samples.mask["audio"].sum(1) % 10 == 0
    sums = [(c.samples.x["audio"].sum(1) / c.samples.mask["audio"].sum(1, keepdim=True))[even] for c in (whole, short)]
    assert even.any()
    torch.testing.assert_close(*sums, rtol=1e-4, atol=1e-5)
    with pytest.raises(CorpusError, match="longest=0"):
        corpora.load("mosei_sdk", folder=tmp_path, longest=0)


def test_a_video_that_a_file_lacks_is_reported_and_does_not_have_that_modality(tmp_path):
    write_sdk(tmp_path)
    with h5py.File(tmp_path / "CMU_MOSEI_VisualFacet42.csd", "a") as h5:
        del h5["FACET 4.2/data/-video_1"]
    assert corpora.check("mosei_sdk", tmp_path) == [
        "CMU_MOSEI_VisualFacet42.csd lacks video '-video_1', which has no visual then"
    ]
    corpus = corpora.load("mosei_sdk", folder=tmp_path)
    assert torch.equal(corpus.samples.present["visual"], torch.tensor(corpus.samples.speaker != "-video_1"))
    for name in ("CMU_MOSEI_COVAREP.csd", "CMU_MOSEI_TimestampedWordVectors.csd"):
        with h5py.File(tmp_path / name, "a") as h5:
            del h5[f"{list(h5)[0]}/data/-video_1"]
    assert reports(
        corpora.check("mosei_sdk", tmp_path), "'-video_1[0]' has no frame in any modality and is left out", "3"
    )
    assert len(corpora.load("mosei_sdk", folder=tmp_path)) == 15
    (tmp_path / "splits.json").write_text(
        json.dumps({"train": ["-video_0", "x"], "valid": ["-video_3"], "test": ["-video_4"]})
    )
    assert reports(corpora.check("mosei_sdk", tmp_path), "video 'x' of splits.json has no labels")
    assert len(corpora.load("mosei_sdk", folder=tmp_path)) == 9


def test_neutral_and_infinite_values_are_as_in_the_pickles(tmp_path):
    write_sdk(tmp_path)
    with h5py.File(tmp_path / "CMU_MOSEI_COVAREP.csd", "a") as h5:
        h5["COVAREP/data/-video_0/features"][30, 4] = -np.inf
    assert reports(corpora.check("mosei_sdk", tmp_path), "audio of sample '-video_0[0]' is not finite", "repair=True")
    corpus = corpora.load("mosei_sdk", folder=tmp_path, repair=True, neutral="drop")
    assert len(corpus) == 12 and torch.isfinite(corpus.samples.x["audio"]).all()
    with pytest.raises(CorpusError, match="neutral='both'"):
        corpora.load("mosei_sdk", folder=tmp_path, neutral="both")


def in_csd(name, make):
    def damage(folder):
        with h5py.File(folder / name, "a") as h5:
            make(h5)

    return damage


def swap(path, value):
    def make(h5):
        del h5[path]
        if value is not None:
            h5[path] = value

    return make


WORDS = "CMU_MOSEI_TimestampedWordVectors.csd"
SDK_DAMAGE = {
    "no splits": (lambda f: (f / "splits.json").unlink(), ("splits.json is missing", '"train"', "standard_train_fold")),
    "no json": (lambda f: (f / "splits.json").write_text("train: a"), ("splits.json is no JSON",)),
    "no test": (lambda f: (f / "splits.json").write_text('{"train": ["a"], "valid": ["b"]}'), ("no list", "'test'")),
    "divided": (
        lambda f: (f / "splits.json").write_text(
            '{"train": ["-video_0"], "valid": ["-video_0"], "test": ["-video_1"]}'
        ),
        ("'-video_0' is in train and in",),
    ),
    "other videos": (
        lambda f: (f / "splits.json").write_text('{"train": ["a"], "valid": ["b"], "test": ["c"]}'),
        ("no segment of a video that splits.json names",),
    ),
    "part without labels": (
        lambda f: (f / "splits.json").write_text('{"train": ["-video_0"], "valid": ["x"], "test": ["-video_1"]}'),
        ("the valid part", "splits.json must name"),
    ),
    "no file": (lambda f: (f / WORDS).unlink(), ("0 files for text with 'WordVectors'", "text=...")),
    "two files": (lambda f: (f / "CMU_MOSEI_Facet_41.csd").write_bytes(b""), ("2 files for visual", "visual=...")),
    "cut": (lambda f: (f / WORDS).write_bytes((f / WORDS).read_bytes()[:9000]), (WORDS, "cannot be read", "cut short")),
    "no group": (in_csd(WORDS, swap("glove_vectors/data", None)), (WORDS, "0 groups with 'data'")),
    "dangling": (in_csd(WORDS, swap("glove_vectors", h5py.SoftLink("/nowhere"))), (WORDS, "0 groups with 'data'")),
    "dangling data": (in_csd(WORDS, swap("glove_vectors/data", h5py.SoftLink("/nowhere"))), (WORDS, "0 groups with")),
    "no intervals": (
        in_csd(WORDS, swap("glove_vectors/data/-video_2/intervals", None)),
        ("intervals of video '-video_2'", WORDS, "has no 'intervals'"),
    ),
    "intervals": (
        in_csd(WORDS, swap("glove_vectors/data/-video_2/intervals", np.ones((3, 2)))),
        ("intervals of video '-video_2'", WORDS, "shape (3, 2); it must hold numbers, (10, 2)"),
    ),
    "width": (
        in_csd(WORDS, swap("glove_vectors/data/-video_2/features", np.ones((10, 200)))),
        ("features of video '-video_2'", "shape (10, 200); it must hold numbers, (frames, 300)"),
    ),
    "milliseconds": (
        in_csd(
            WORDS,
            lambda h5: [
                h5[f"glove_vectors/data/{v}/intervals"].write_direct(
                    h5[f"glove_vectors/data/{v}/intervals"][()] * 1000 + 5000
                )
                for v in h5["glove_vectors/data"]
            ],
        ),
        (WORDS, "no frame within any segment"),
    ),
    "outside": (
        in_csd(SENTIMENT["MOSEI"], swap("All Labels/data/-video_0/features", np.full((4, 7), 9.0))),
        ("sentiment of sample '-video_0[0]'", "is 9"),
    ),
    "not a time": (
        in_csd(WORDS, swap("glove_vectors/data/-video_2/intervals", np.full((10, 2), np.nan))),
        ("intervals of video '-video_2'", "hold [nan, nan] in row 0"),
    ),
    "backwards": (
        in_csd(SENTIMENT["MOSEI"], swap("All Labels/data/-video_0/intervals", SEGMENTS[:, ::-1])),
        ("sample '-video_0[0]' that ends before it begins",),
    ),
    "labels": (in_csd(SENTIMENT["MOSEI"], swap("All Labels/data/-video_0/features", np.ones((4, 0)))), ("no column",)),
}


@pytest.mark.parametrize("what", SDK_DAMAGE)
def test_damage_to_a_folder_of_csd_files_is_reported(what, tmp_path):
    write_sdk(tmp_path)
    damage, parts = SDK_DAMAGE[what]
    damage(tmp_path)
    problems = corpora.check("mosei_sdk", tmp_path)
    assert reports(problems, *parts), problems
    with pytest.raises(CorpusError):
        corpora.load("mosei_sdk", folder=tmp_path)


def test_another_file_is_chosen_by_its_name_and_read_again_when_it_changes(tmp_path):
    write_sdk(tmp_path)
    first = corpora.load("mosei_sdk", folder=tmp_path)
    write_csd(
        tmp_path / "CMU_MOSEI_VisualOpenFace2.csd",
        "OpenFace_2",
        {
            f"-video_{i}": (
                np.random.default_rng(i).normal(size=(40, 713)),
                np.stack([np.arange(40) / 10, np.arange(1, 41) / 10], 1),
            )
            for i in range(6)
        },
    )
    assert corpora.load("mosei_sdk", folder=tmp_path, visual="openface").shapes["visual"] == (713,)
    with h5py.File(tmp_path / WORDS, "a") as h5:
        h5["glove_vectors/data/-video_0/features"][0] += 1
    assert corpora.load("mosei_sdk", folder=tmp_path).fingerprint != first.fingerprint


# All of them

GATED = [
    "iemocap_mmin",
    "msp_improv_mmin",
    "iemocap_release",
    "msp_improv_release",
    "mosei_multibench",
    "mosei_sentiment",
    "mosi_multibench",
    "mosi_multibench_sentiment",
    "mosei_sdk",
    "mosi_sdk",
]


@pytest.mark.parametrize("name", GATED)
def test_what_is_not_here_says_where_it_was_looked_for_and_who_gives_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    about = corpora.find(name).about
    for folder in (None, tmp_path / "elsewhere"):
        with pytest.raises(CorpusNotFound) as error:
            corpora.load(name, folder=folder)
        for part in (about.folder, "ROBUSTMER_DATA", about.access):
            assert part in str(error.value)
        problems = corpora.check(name, folder)
        assert len(problems) == 1 and about.access in problems[0]


def test_a_loose_file_in_the_folder_of_all_corpora_belongs_to_none(tmp_path, monkeypatch):
    store(tmp_path, multibench())
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    with pytest.raises(CorpusNotFound):
        corpora.load("mosi_multibench")


def test_every_name_of_the_tables_is_that_of_one_corpus():
    names = [corpus.name for corpus in corpora.CORPORA.values()]
    assert len({*names}) == len(names)
