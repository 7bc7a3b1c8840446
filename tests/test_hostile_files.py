"""Files that would hang, flood or mislead a reader are refused in one sentence that names file and array."""

import json
import os
import shutil
import zipfile

import h5py
import numpy as np
import pytest
from test_corpora import mosi_arrays, write
from test_readers import FILES, MOSEI_FILES, WORDS, multibench, reports, store, write_mmin, write_sdk

from robustmer import corpora
from robustmer.corpora import CorpusError, files, sequences


def refused(name, folder, *parts):
    """The check and the load report one sentence with these parts."""
    problems = corpora.check(name, folder)
    assert reports(problems, *parts), problems
    with pytest.raises(CorpusError) as error:
        corpora.load(name, folder=folder)
    assert "\n" not in str(error.value)
    return problems


def written(name, folder):
    """A corpus as written, and a file of it."""
    if name == "mosi_bclstm":
        return write(folder, name, mosi_arrays())
    if name == "mosei_multibench":
        return store(folder / name, multibench())
    if name == "mosei_sdk":
        write_sdk(folder / name)
        return folder / name / "splits.json"
    write_mmin(folder / name, name)
    return folder / name / ("target/2/val_label.npy" if name == "msp_improv_mmin" else FILES["text"])


READ = ["mosi_bclstm", "mosei_multibench", "mosei_sdk", "iemocap_mmin", "msp_improv_mmin"]


@pytest.mark.parametrize("name", READ)
def test_a_pipe_a_device_a_folder_and_a_link_out_of_the_folder_are_not_opened(name, tmp_path):
    path = written(name, tmp_path)
    kept = shutil.copy(path, tmp_path / "kept")
    places = {"is a pipe": os.mkfifo, "is a device": lambda path: os.symlink("/dev/zero", path),
              "is a folder": os.mkdir, "is a link that leaves": lambda path: os.symlink(kept, path)}  # fmt: skip
    for sentence, make in places.items():
        path.unlink()
        make(path)
        assert len(refused(name, tmp_path, path.name, sentence)) == 1
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copy(kept, path)
    path.rename(path.with_name("other"))
    path.symlink_to("other")  # a link inside the folder is as good as the file
    corpora.load(name, folder=tmp_path)


def test_an_archive_that_unpacks_to_too_much_stays_packed(tmp_path, monkeypatch):
    path = write(tmp_path, "mosi_bclstm", mosi_arrays())
    np.savez_compressed(path, **mosi_arrays(), more=np.zeros(2**23))
    assert path.stat().st_size < 2**18 and corpora.load("mosi_bclstm", folder=tmp_path, standardise=False)
    monkeypatch.setattr(files, "LARGEST", 2**20)
    refused("mosi_bclstm", tmp_path, path.name, "unpacks to 64 MiB, more than 1;")


def test_an_array_whose_header_states_too_much_is_reported_by_name(tmp_path):
    path = write(tmp_path, "mosi_bclstm", mosi_arrays())
    for shape in ("(10**12, 73)", "(1000000000000, 73)", "(" * 400, "(30, 73), 'x': " + "[" * 300):
        with zipfile.ZipFile(path, "w") as archive:
            header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
            content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
            archive.writestr("audio.npy", content)
        refused("mosi_bclstm", tmp_path, "array 'audio' of mosi_bclstm.npz cannot be read")


def swap(path, make):
    with h5py.File(path, "a") as h5:
        make(h5)


def external(group, name, tmp_path, like):
    (tmp_path / "outside").write_bytes(bytes(10**6))
    del group[name]
    group.create_dataset(name, like, dtype="f4", external=[(str(tmp_path / "outside"), 0, 10**6)])


def virtual(group, name, tmp_path, like):
    with h5py.File(tmp_path / "source.h5", "w") as source:
        source["x"] = np.ones(like)
    layout = h5py.VirtualLayout(like, "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "source.h5"), "x", like)
    del group[name]
    group.create_virtual_dataset(name, layout)


def replaced(link):
    def make(group, name, tmp_path, like):
        del group[name]
        group[name] = link(tmp_path)

    return make


def flood(group, name, tmp_path, like):
    del group[name]
    group.create_dataset(name, (2**36, like[1]), chunks=(64, like[1]), dtype="f4", compression="gzip")


OUTSIDE = {
    "external storage": (external, "in another file, which is not read"),
    "virtual": (virtual, "in another file, which is not read"),
    "external link": (replaced(lambda folder: h5py.ExternalLink(str(folder / "x.h5"), "/x")), "has a link as"),
    "soft link": (replaced(lambda folder: h5py.SoftLink("/elsewhere")), "has a link as"),
    "flood": (flood, "more than the file can hold"),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTSIDE)
def test_hdf5_reads_nothing_but_its_own_file_and_no_more_than_that_can_hold(what, tmp_path):
    make, sentence = OUTSIDE[what]
    write_mmin(tmp_path / "iemocap_mmin", "iemocap_mmin")
    swap(tmp_path / "iemocap_mmin" / FILES["text"], lambda h5: make(h5, sorted(h5)[3], tmp_path, (22, 1024)))
    refused("iemocap_mmin", tmp_path, "L/bert_large.h5", "Ses", sentence)
    write_sdk(tmp_path / "mosei_sdk")
    swap(tmp_path / "mosei_sdk" / WORDS,
         lambda h5: make(h5["glove_vectors/data/-video_2"], "features", tmp_path, (10, 300)))  # fmt: skip
    refused("mosei_sdk", tmp_path, WORDS, "'-video_2'", sentence)


@pytest.mark.parametrize("code", [0x110000, 0xFFFFFFFF, 0xD800])
def test_text_that_is_no_unicode_is_reported_with_its_array(code, tmp_path):
    arrays = mosi_arrays()
    arrays["utt"].view(np.uint32)[arrays["utt"].itemsize // 4 * 3] = code
    write(tmp_path, "mosi_bclstm", arrays)
    refused("mosi_bclstm", tmp_path, "array 'utt' of mosi_bclstm.npz has a row 3 that is no Unicode text")
    write_mmin(tmp_path / "msp_improv_mmin", "msp_improv_mmin")
    place = tmp_path / "msp_improv_mmin/target/1/val_int2name.npy"
    names = np.load(place)
    names.view(np.uint32)[0] = code
    np.save(place, names)
    refused("msp_improv_mmin", tmp_path, "1/val_int2name.npy has a row 0 that is no Unicode text")
    content = multibench()
    ids = content["valid"]["id"][:, 0].copy()
    ids.view(np.uint32)[0] = code
    content["valid"]["id"] = ids
    path = store(tmp_path / "mosei_multibench", content)
    refused(
        "mosei_multibench",
        tmp_path,
        path.name,
        "id of valid in mosei_senti_data.pkl has a row 0 that is no Unicode text",
    )


@pytest.mark.parametrize("value", [1e300, -1e300, 2.0**62, 2.0**64, 0.5, np.nan, -0.0001])
def test_a_flipped_bit_in_a_float_label_is_reported_with_its_file(value, tmp_path):
    write_mmin(tmp_path / "msp_improv_mmin", "msp_improv_mmin")
    place = tmp_path / "msp_improv_mmin/target/1/val_label.npy"
    np.save(place, np.array([1.0, value, 2.0]))
    refused("msp_improv_mmin", tmp_path, "1/val_label.npy has the label", "(row 1)", "0 to 3")


def test_json_that_is_nested_deeply_is_reported(tmp_path):
    write_sdk(tmp_path)
    (tmp_path / "splits.json").write_text("[" * 10**6)
    refused("mosei_sdk", tmp_path, "splits.json is no JSON (RecursionError")


@pytest.mark.parametrize("name", READ[1:])
def test_memory_that_ends_is_reported_with_the_file(name, tmp_path, monkeypatch):
    def pack(*arguments):
        raise MemoryError("32 GiB")

    written(name, tmp_path)
    for module in (files, sequences, *(__import__(f"robustmer.corpora.{m}", fromlist="x") for m in
                                       ("mmin", "multibench", "sdk"))):  # fmt: skip
        monkeypatch.setattr(module, "pack", pack, raising=False)
    refused(name, tmp_path, name, "MemoryError: 32 GiB")


def test_names_from_files_do_not_reach_the_terminal_unescaped(tmp_path):
    arrays = mosi_arrays()
    arrays["vid"] = np.char.add("\x1b[2J", arrays["vid"])
    arrays["split"][0] = 2
    write(tmp_path, "mosi_bclstm", arrays)
    assert "\x1b" not in "".join(refused("mosi_bclstm", tmp_path, r"video '\x1b[2Jv0' is in several parts"))
    store(tmp_path / "mosei_multibench", {"\x1b[2Jtrain": {}})
    assert "\x1b" not in "".join(refused("mosei_multibench", tmp_path, r"it has \x1b[2Jtrain"))


# Videos of the CMU-MultimodalSDK


def splits(folder, train, valid=("-video_3",), test=("-video_4", "-video_5")):
    (folder / "splits.json").write_text(json.dumps({"train": train, "valid": list(valid), "test": list(test)}))


SPELLINGS = ["./-video_0", "-video_0/", " -video_0", "-video_0//", "x/../-video_0"]


@pytest.mark.parametrize("other", SPELLINGS)
def test_two_spellings_of_a_video_are_one_video(other, tmp_path):
    write_sdk(tmp_path)
    splits(tmp_path, ["-video_0", "-video_1", "-video_2"])
    known = corpora.load("mosei_sdk", folder=tmp_path)
    splits(tmp_path, ["-video_0", other, "-video_1", "-video_2"])
    assert corpora.load("mosei_sdk", folder=tmp_path).fingerprint == known.fingerprint
    splits(tmp_path, ["-video_0", "-video_1"], test=["-video_4", other])
    refused("mosei_sdk", tmp_path, "video '-video_0' is in train and in test of splits.json")


def test_a_file_that_has_a_video_in_two_spellings_is_refused(tmp_path):
    write_sdk(tmp_path)
    swap(tmp_path / WORDS, lambda h5: h5.copy("glove_vectors/data/-video_0", "glove_vectors/data/-video_0 "))
    refused("mosei_sdk", tmp_path, WORDS, "video '-video_0' in two spellings")


def test_intervals_that_fit_no_segment_are_counted_and_the_modality_is_absent(tmp_path):
    write_sdk(tmp_path)
    file, root, _, _ = MOSEI_FILES["text"]

    def milliseconds(h5):
        for video in ("-video_0", "-video_1", "-video_2"):
            times = h5[f"{root}/data/{video}/intervals"]
            times[...] = times[()] * 1000 + 5000

    swap(tmp_path / file, milliseconds)
    sentence = f"{file}: none of the 10 intervals of video '-video_0' overlaps 3 of its 3 segments"
    assert reports(corpora.check("mosei_sdk", tmp_path), sentence, "which have no text then", "3 such cases")
    with pytest.warns(UserWarning, match="CMU-MOSEI .SDK.: .*none of the 10 intervals"):
        corpus = corpora.load("mosei_sdk", folder=tmp_path)
    assert corpus.samples.present["text"].tolist() == [False] * 9 + [True] * 9
    with pytest.warns(UserWarning, match="CMU-MOSEI .SDK., fold 0: .*no sample of the train split has a frame of text"):
        assert not corpus.fold(0).test.present["text"].any()
