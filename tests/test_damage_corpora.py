"""Damage to the files of a corpus is reported in a sentence that names the file, or it has changed nothing that counts.

An .npz has checksums over all bytes: every damage to an array that is read is reported. A pickle, an HDF5 or an .npy
file has none. What makes it unreadable, of another shape, not finite or outside the classes is reported; a bit that
flips within one plausible value is not, and no reader could: the corpus's fingerprint is then another one.
"""

import math
import pickletools
import re
import zipfile

import h5py
import numpy as np
import pytest
from damage import ALWAYS, damaged
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_corpora import MADE, write
from test_readers import FILES, MOSEI_FILES, SENTIMENT, mmsa, multibench, store, write_mmin, write_sdk

from robustmer import corpora
from robustmer.corpora import CorpusError


def content_of(corpus) -> list[bytes]:
    batch = corpus.samples
    groups = (batch.x, batch.mask, batch.present, batch.labels)
    return [*(t.numpy().tobytes() for group in groups for t in group.values()),
            repr((batch.id.tolist(), batch.speaker.tolist())).encode(),
            repr([[part.tolist() for part in parts] for parts in corpus.split.folds]).encode()]  # fmt: skip


class Reader:
    """A corpus as written, one of whose files at a time is damaged and put right again."""

    def __init__(self, name, folder, files, places=lambda path: ()):
        self.layout, self.folder = corpora.find(name), folder
        self.whole = {path: (path.read_bytes(), places(path)) for path in files}
        self.good = self.layout.load(folder=folder)
        self.content = content_of(self.good)

    def damage(self, data) -> None:
        """Either the loader refuses in a sentence that names the file or what is in it, or all is as it was, or the
        fingerprint is another one; and the check never fails itself."""
        path = data.draw(st.sampled_from(sorted(self.whole)))
        path.write_bytes(damaged(data.draw, *self.whole[path]))
        self.judge(path)

    def judge(self, path, same_or_reported=False) -> None:
        named = (path.name, f"{path.parent.name}/", "sample", "video")
        try:
            problems = self.layout.check(self.folder)
            corpus = self.layout.load(folder=self.folder)
        except CorpusError as error:
            assert any(name in str(error) for name in named), str(error)
            assert problems
        else:
            changed = content_of(corpus) != self.content
            assert changed == (corpus.fingerprint != self.good.fingerprint)
            assert not (changed and same_or_reported), "other data were taken in silence"
        finally:
            path.write_bytes(self.whole[path][0])

    def reports(self, path, *names) -> None:
        """The damage that was just done to the file is reported, by these names."""
        try:
            problems = self.layout.check(self.folder)
            with pytest.raises(CorpusError) as error:
                self.layout.load(folder=self.folder)
            for text in (str(error.value), "; ".join(problems)):
                assert all(name in text for name in names), text
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
    path = write(folder, name, MADE[name]())
    return name, Reader(name, folder, [path], lambda path: [s + i for s in headers(path) for i in range(-60, 128)])


def headers(path) -> list[int]:
    """Where the arrays of an .npz begin."""
    return [match.start() for match in re.finditer(b"\x93NUMPY", path.read_bytes())]


def test_a_header_that_hides_a_part_of_its_array_is_reported(npz):
    """numpy reads as many bytes as an array's header says, and zip's checksum is over the bytes that are read."""
    _, reader = npz
    (path,) = reader.whole
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    read = [start for start, name in zip(headers(path), names, strict=True) if name in reader.layout.fields]
    for start in read:
        for bit in range(16):
            content = bytearray(reader.whole[path][0])
            content[start + 8 + bit // 8] ^= 1 << bit % 8
            path.write_bytes(content)
            reader.reports(path, path.name)


@settings(max_examples=50, **ALWAYS)
@given(st.data())
def test_damage_to_an_npz_is_reported_or_changes_nothing(npz, data):
    _, reader = npz
    (path,) = reader.whole
    path.write_bytes(damaged(data.draw, *reader.whole[path]))
    reader.judge(path, same_or_reported=True)


@pytest.fixture(scope="module", params=["MultiBench", "MMSA"])
def pickled(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pickle")
    content = multibench((3, 2, 2), 3) if request.param == "MultiBench" else mmsa((3, 2, 2))
    path = store(folder / "mosei_multibench", content, how=2 if request.param == "MultiBench" else 4)
    return Reader("mosei_multibench", folder, [path], beside_values)


@settings(max_examples=30, **ALWAYS)
@given(st.data())
def test_damage_to_a_pickle_is_reported_or_shows_in_the_fingerprint(pickled, data):
    pickled.damage(data)


@pytest.fixture(scope="module", params=["iemocap_mmin", "msp_improv_mmin"])
def folder_of_mmin(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("mmin") / request.param
    write_mmin(root, request.param, longest=(("visual", 3), ("text", 3)))
    files = [root / file for file in FILES.values()] + sorted(root.glob("target/1/*.npy"))
    return Reader(request.param, root, files, beside_values)


@settings(max_examples=25, **ALWAYS)
@given(st.data())
def test_damage_to_a_folder_of_mmin_is_reported_or_shows_in_the_fingerprint(folder_of_mmin, data):
    folder_of_mmin.damage(data)


@pytest.fixture(scope="module")
def folder_of_csd(tmp_path_factory):
    root = tmp_path_factory.mktemp("sdk") / "mosei_sdk"
    write_sdk(root)
    return Reader("mosei_sdk", root, sorted(root.iterdir()), beside_values)


@settings(max_examples=40, **ALWAYS)
@given(st.data())
def test_damage_to_a_folder_of_csd_files_is_reported_or_shows_in_the_fingerprint(folder_of_csd, data):
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
def test_wrong_values_shapes_and_types_in_an_npz_are_reported_by_the_arrays_name(npz, data):
    name, reader = npz
    (path,) = reader.whole
    arrays, fields = MADE[name](), corpora.find(name).fields
    numbers = [k for k, field in fields.items() if field.kind == "numbers"]
    whole = [k for k, field in fields.items() if field.kind == "whole numbers"]
    match data.draw(st.sampled_from(["value", "class", "shape", "gone", "objects"])):
        case "value":
            which = data.draw(st.sampled_from(numbers))
            arrays[which] = put(data.draw, arrays[which], data.draw(NOT_FINITE))
        case "class":
            which = data.draw(st.sampled_from(whole))
            arrays[which] = put(
                data.draw, arrays[which].astype(np.int64), data.draw(st.sampled_from([-1, 1500, 2**40]))
            )
        case "shape":
            which = data.draw(st.sampled_from([*numbers, *whole]))
            arrays[which] = reshaped(data.draw, arrays[which])
        case "gone":
            which = data.draw(st.sampled_from([*numbers, *whole]))
            del arrays[which]
        case "objects":
            which = data.draw(st.sampled_from(sorted(fields)))
            arrays[which] = arrays[which].astype(object)
    np.savez(path, **arrays)
    reader.reports(path, which)


@settings(max_examples=20, **ALWAYS)
@given(st.data())
def test_wrong_values_shapes_and_types_in_a_pickle_are_reported_by_the_keys_name(pickled, data):
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
            which = "sentiment of sample"
        case "shape":
            which = data.draw(st.sampled_from(["audio", "vision", "text"]))
            group[which] = reshaped(data.draw, group[which], RESHAPED[:-1])
        case "gone":
            which = data.draw(st.sampled_from(["audio", "vision", "text", label, "id"]))
            del group[which]
    store(path.parent, content)
    pickled.reports(path, which)


@settings(max_examples=16, **ALWAYS)
@given(st.data())
def test_wrong_values_shapes_and_types_in_hdf5_are_reported_by_utterance_or_video(folder_of_mmin, folder_of_csd, data):
    if data.draw(st.booleans()):
        reader, root = folder_of_mmin, folder_of_mmin.folder
        modality = data.draw(st.sampled_from(sorted(FILES)))
        path, place, share = root / FILES[modality], str(reader.good.samples.id[data.draw(st.integers(0, 29))]), 1.0
        name = place
    else:
        reader, root = folder_of_csd, folder_of_csd.folder
        modality = data.draw(st.sampled_from(sorted(MOSEI_FILES)))
        file, group, _, _ = MOSEI_FILES[modality]
        name = f"-video_{data.draw(st.integers(0, 5))}"
        path, place, share = root / file, f"{group}/data/{name}/features", 0.9  # the last tenth is in no segment
    with h5py.File(path, "a") as h5:
        values = h5[place][()]
        if data.draw(st.booleans()):
            inside = values[: int(len(values) * share)]
            values = np.concatenate([put(data.draw, inside, data.draw(NOT_FINITE)), values[len(inside) :]])
        else:
            rows = len(values)
            values = reshaped(data.draw, values)
            assume(values.shape[:1] != (rows - 1,))  # one frame less is an utterance like any other
        del h5[place]
        h5[place] = values.astype("S5") if values.dtype.kind == "U" else values
    reader.reports(path, name)


@settings(max_examples=20, **ALWAYS)
@given(st.data())
def test_labels_and_times_outside_their_bounds_are_reported(folder_of_csd, data):
    reader, path = folder_of_csd, folder_of_csd.folder / SENTIMENT["MOSEI"]
    video = data.draw(st.integers(0, 5))
    with h5py.File(path, "a") as h5:
        stored = h5[f"All Labels/data/-video_{video}"]
        if data.draw(st.booleans()):
            stored["features"][data.draw(st.sampled_from([0, 1, 3])), 0] = data.draw(NOT_FINITE | st.just(-3.2))
        else:
            stored["intervals"][data.draw(st.integers(0, 3)), data.draw(st.integers(0, 1))] = data.draw(
                st.sampled_from([math.nan, math.inf, -math.inf])
            )
    reader.reports(path, f"-video_{video}")
