"""Laws of a corpus of one's own: labels, splits, absent modalities, features of any shape, samples read on demand."""

import dataclasses
import warnings

import numpy as np
import pytest
import torch
from robustmer import corpora
from robustmer.batch import Batch, collate
from robustmer.batching import with_targets
from robustmer.conditions import Condition, corrupt
from robustmer.corpora import Corpus, CorpusError, Split, mean_and_std, standardised
from robustmer.corpora.scaling import OnDemand
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems.system import in_parts
from robustmer.tasks import Classify
from toy import Tiny

FOLDS = ((np.arange(4), np.arange(4, 6), np.arange(6, 8)),)


def own(name="own", absent=(), speaker="aabbccdd", folds=FOLDS, speaker_disjoint=True, **changes) -> Corpus:
    """Eight samples of four people: sequences, pictures as bytes, and a modality that no library knows. Samples in
    `absent` lack the last one."""
    draw = np.random.default_rng(0)
    sequences = {
        "pulse": [None if i in absent else draw.normal(5, 3, size=(2 + i % 3, 4)) for i in range(8)],
        "visual": [draw.integers(0, 256, size=(1 + i % 2, 3, 5, 5), dtype=np.uint8) for i in range(8)],
        "audio": [draw.normal(size=(3, 2, 6)) * [1, 2, 3, 0, 5, 6] for i in range(8)],
    }
    labels = {"emotion": np.arange(8) % 2, "intensity": np.linspace(-1, 1, 8)}
    samples = collate(sequences, labels, list(speaker), list("stuvwxyz"), name)
    given = dict(samples=samples, labels={"emotion": ("no", "yes"), "intensity": ()},
                 split=Split("own", folds, speaker_disjoint))  # fmt: skip
    return Corpus(name, **(given | changes))


class Disk:
    """Samples as a user writes them: each batch is collated when it is read, and reading is counted."""

    def __init__(self, batch: Batch):
        self.batch, self.read = batch, 0
        self.name, self.labels, self.speaker, self.id, self.shapes = (
            getattr(batch, key) for key in ("name", "labels", "speaker", "id", "shapes")
        )

    def __len__(self):
        return len(self.batch)

    def __getitem__(self, indices):
        self.read += len(indices)
        return self.batch[indices]


def on_disk(corpus: Corpus) -> Corpus:
    return dataclasses.replace(corpus, samples=Disk(corpus.samples))


# Features


def test_any_modality_and_any_shape_is_standardised_by_element_and_bytes_stay():
    corpus = own()
    train, valid, test = corpus.fold(0)
    assert corpus.modalities == ("audio", "visual", "pulse")
    assert corpus.shapes == {"audio": (2, 6), "visual": (3, 5, 5), "pulse": (4,)}
    assert [part.name for part in (train, valid, test)] == [f"own/fold 0/{p}" for p in ("train", "valid", "test")]
    frames = train.x["audio"][train.mask["audio"]].double()
    assert frames.shape[1:] == (2, 6) and frames.mean(0).abs().max() < 1e-6
    assert torch.equal(frames.std(0, correction=0) > 0.5, torch.tensor([[1, 1, 1, 0, 1, 1]] * 2).bool())
    assert torch.equal(test.x["visual"], corpus.samples[FOLDS[0][2]].x["visual"]) and "visual" not in train.scaling
    pictures = train.frames("visual")[0][train.mask["visual"]].double()
    assert train.variance["visual"] == pytest.approx(float(pictures.var(correction=0)), rel=1e-6)
    assert train.variance["audio"] == pytest.approx(10 / 12) and train.variance["pulse"] == pytest.approx(1)


def test_the_scaling_of_a_fold_makes_its_parts_from_raw_samples():
    corpus = own()
    for indices, part in zip(FOLDS[0], corpus.fold(0), strict=True):
        raw = corpus.samples[indices]
        again = standardised(raw, part.scaling)
        assert all(torch.equal(again.x[m], part.x[m]) for m in part.x)
        assert torch.equal(raw.x["pulse"], corpus.samples[indices].x["pulse"])  # its argument stays as it was
        with pytest.raises(ValueError, match="own/fold 0/.* is standardised already"):
            standardised(part, part.scaling)
    mean, std = corpus.fold(0).train.scaling["audio"]
    assert mean.dtype == std.dtype == torch.float64 and std[0, 3] == 0  # 0 marks a constant feature
    one = standardised(corpus.samples.replace(x={"pulse": corpus.samples.x["pulse"]}), corpus.fold(0).train.scaling)
    assert list(one.scaling) == ["pulse"]
    with pytest.raises(ValueError, match=r"a frame of audio has shape \(3,\).* shape \(2, 6\)"):
        standardised(collate({"audio": [np.ones((1, 3))]}), corpus.fold(0).train.scaling)
    assert own(standardise=False).fold(0).train.scaling is None


def test_a_corpus_of_some_modalities_is_the_corpus_without_the_others():
    corpus = own()
    one = corpus.only("pulse")
    assert one.modalities == ("pulse",) and torch.equal(one.fold(0).test.x["pulse"], corpus.fold(0).test.x["pulse"])
    assert corpus.only(("pulse", "audio")).modalities == ("audio", "pulse")
    with pytest.raises(CorpusError, match=r"own: modalities \['smell'\]; choose from audio, visual, pulse"):
        corpus.only("smell")
    assert corpora.load("synthetic", size="smoke", modalities="text").modalities == ("text",)


def test_a_corpus_that_would_mislead_is_refused():
    samples = own().samples
    bad = torch.where(torch.arange(8)[:, None, None] == 3, torch.nan, samples.x["pulse"])
    with pytest.raises(CorpusError, match="own: pulse of sample 'v' is not finite"):
        own(samples=samples.replace(x=samples.x | {"pulse": bad}))
    with pytest.raises(CorpusError, match="own: pulse holds torch.int64 values; give floats, or bytes"):
        own(samples=samples.replace(x=samples.x | {"pulse": samples.x["pulse"].long()}))
    gap = samples.mask["pulse"].clone()
    gap[0, 0] = False
    with pytest.raises(CorpusError, match="recorded frames of pulse must be the first"):
        own(samples=samples.replace(mask=samples.mask | {"pulse": gap}))
    with pytest.raises(ValueError, match="own: the modality 'heart rate' was given"):
        own(samples=samples.replace(x={"heart rate": samples.x["pulse"]}, mask={}, present={}))
    gone = samples.replace(present=samples.present | {"pulse": torch.arange(8) > 0})
    assert own(samples=gone).fingerprint != own().fingerprint


# Labels


def test_labels_are_classes_or_numbers_as_declared_and_none_is_missing():
    labels = own().samples.labels
    given = {"emotion": ("no", "yes"), "intensity": ()}

    def refused(said, declared=given, **values):
        with pytest.raises(CorpusError, match=said):
            own(samples=own().samples.replace(labels=labels | values), labels=declared)

    refused("the label 'emotion' holds int64 values, and its classes are ()", given | {"emotion": ()})
    refused("'intensity' holds float32 values, and its classes are .low, high", given | {"intensity": ("low", "high")})
    refused(
        "sample 't' has the emotion 1, but the classes are numbered 0 to 0 .no.; mend", given | {"emotion": ("no",)}
    )
    refused("sample 's' has the emotion -1, but", emotion=labels["emotion"] - 1)
    refused(
        "sample 't' has the intensity nan, but a missing value is not allowed",
        intensity=labels["intensity"].where(labels["emotion"] == 0, torch.nan),
    )
    refused("'intensity' holds bool values", given | {"intensity": ("no", "yes")}, intensity=labels["intensity"] > 0)
    refused("have the labels emotion, intensity, and emotion is declared", {"emotion": ("no", "yes")})
    refused("8 samples, but 7 values of 'intensity'", intensity=labels["intensity"][1:])
    assert own(samples=own().samples.replace(labels={}), labels={}).labels == {}


def test_the_task_of_a_corpus_is_that_of_its_label():
    tasks = pytest.importorskip("robustmer.tasks")
    assert own().task() == tasks.Classify("emotion", ("no", "yes")) and own().task("intensity") == tasks.Regress(
        "intensity"
    )
    with pytest.raises(CorpusError, match="own has no label 'mood'; it has emotion, intensity"):
        own().task("mood")


# Splits


@pytest.mark.parametrize("folds, said", [
    ([], "the split 'own' has no folds"),
    ([([0, 1], [2])], "fold 0 of the split 'own' has 2 parts"),
    ([([0, 1], [2], [])], "fold 0 of the split 'own', test is empty"),
    ([FOLDS[0], ([0, 1], [2, 3], [-2, -1])], "fold 1 .*test has the index -2; the samples are numbered 0 to 7"),
    ([([0, 1], [2, 3], [8])], "test has the index 8; the samples are numbered 0 to 7"),
    ([([0.0, 1.0], [2], [4])], "train holds float64 values"),
    ([(np.arange(8) < 2, [2], [4])], "train holds bool values .*flatnonzero"),
    ([([[0, 1]], [2], [4])], r"train holds int64 values of shape \(1, 2\)"),
    ([([0, 1, 0], [2], [4])], r"has sample 's' \(0\) in train and in train; give it once"),
    ([([0, 1], [2, 3], [3, 4])], r"has sample 'v' \(3\) in valid and in test; give it once"),
    ([([0, 2], [1], [4])], "fold 0 .* has speaker 'a' in train and in valid; give a speaker to one part, or state"),
])  # fmt: skip
def test_a_split_that_would_leak_or_cannot_be_taken_is_refused(folds, said):
    with pytest.raises(CorpusError, match=said):
        own(folds=folds)


def test_a_person_dependent_split_is_allowed_when_it_says_so():
    shared = own(folds=[([0, 2, 4], [1], [3, 5])] * 2, speaker_disjoint=False).split
    assert shared.test_to_train == pytest.approx(2 / 3) and shared.unit == "fold"  # of samples: people are shared
    assert shared.describe() == {
        "name": "own",
        "folds": 2,
        "speaker_disjoint": False,
        "test_to_train": shared.test_to_train,
    }
    people = own(folds=[([0, 1, 2], [4], [6, 7])]).split
    assert people.test_to_train == 1 / 2 and people.unit == "seed"
    unknown = own(speaker="????????", folds=[([0, 2, 4, 5], [1], [3])]).split
    assert unknown.test_to_train == 1 / 4 and unknown.speaker_disjoint
    assert own(split=Split("own", FOLDS, test_to_train=0.3)).split.test_to_train == 0.3


def test_a_fold_that_does_not_exist_is_refused():
    with pytest.raises(CorpusError, match="own has folds 0 to 0; fold 1 was given"):
        own().fold(1)
    with pytest.raises(CorpusError, match="fold -1 was given"):
        own().fold(-1)


def test_arrays_are_sequences_too():
    """One frame a sample, (N, D), and folds from arrays of groups."""
    frames, speaker = np.random.default_rng(0).normal(size=(8, 3)), np.repeat(np.arange(4), 2)
    batch = collate({"audio": frames, "pulse": frames[:, None]}, {"emotion": np.arange(8) % 2}, speaker.astype(str))
    assert batch.shapes == {"audio": (3,), "pulse": (3,)} and torch.equal(batch.x["audio"], batch.x["pulse"])
    folds = corpora.folds_by_group(speaker, np.array([[0], [1]]), np.array([[1], [2]]))
    assert [part.tolist() for part in folds[0]] == [[4, 5, 6, 7], [2, 3], [0, 1]]
    assert corpora.folds_by_group(speaker.tolist(), [[0]], [[1]])[0][2].tolist() == [0, 1]


# Absence


@pytest.mark.parametrize("stored", [lambda corpus: corpus, on_disk], ids=["memory", "disk"])
def test_a_modality_without_training_frames_is_absent_everywhere_with_one_warning(stored):
    corpus = stored(own(absent=range(4)))
    with pytest.warns(UserWarning) as caught:
        fold = corpus.fold(0)
    assert [str(warning.message) for warning in caught] == [
        "own, fold 0: no sample of the train split has a frame of pulse, so it is marked absent from the valid and "
        "test splits too"
    ]
    for part in fold:
        batch = part[np.arange(len(part))]
        assert not batch.present["pulse"].any() and not batch.mask["pulse"].any() and not batch.x["pulse"].any()
        assert {*part.variance} == {"audio", "visual"} and {*part.scaling} == {"audio"}
        assert batch.present["audio"].all() and np.isfinite(list(part.variance.values())).all()
        noisy = corrupt(batch, Condition(noise={"pulse": NoiseScheduler(snr_db=-10)}), stream("noise"))
        assert not noisy.present["pulse"].any() and not noisy.x["pulse"].any(), "noise does not bring it back"
    with pytest.raises(CorpusError, match="own, fold 0: no sample of the train split has a frame of pulse; leave the"):
        corpus.fold(0, absent="refuse")
    with pytest.raises(CorpusError, match="has a frame of pulse"):
        corpus.only("pulse").fold(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stored(own(absent=range(3))).fold(0)


def test_statistics_are_those_of_the_samples_that_have_the_modality():
    corpus = own(absent=(0, 2))
    train = corpus.fold(0).train
    frames = corpus.samples.x["pulse"][[1, 3]][corpus.samples.mask["pulse"][[1, 3]]].double()
    torch.testing.assert_close(train.scaling["pulse"][0], frames.mean(0))
    assert mean_and_std(corpus.samples[[0, 2]], "pulse") is None


# On demand


def test_a_corpus_on_disk_is_the_corpus_in_memory_and_its_train_split_is_read_once():
    memory, disk = own(absent=(1, 5)), on_disk(own(absent=(1, 5)))
    assert not disk.samples.read
    parts = disk.fold(0)
    assert disk.samples.read == 4 + 1  # the train split, and one sample for the types
    disk.fold(0)
    assert disk.samples.read == 4 + 2
    for lazy, part in zip(parts, memory.fold(0), strict=True):
        assert isinstance(lazy, OnDemand) and len(lazy) == len(part) and lazy.modalities == part.modalities
        assert lazy.name == part.name and lazy.shapes == part.shapes and lazy.id.tolist() == part.id.tolist()
        assert torch.equal(lazy.labels["emotion"], part.labels["emotion"])
        assert lazy.variance == pytest.approx(part.variance)
        for indices in ([1, 0], slice(None), np.array([True, False] * (len(part) // 2)), -1, torch.tensor([1])):
            one, other = lazy[indices], part[np.atleast_1d(np.arange(len(part))[indices])]
            assert one.id.tolist() == other.id.tolist() and one.name == other.name
            for m in part.x:
                torch.testing.assert_close(one.x[m], other.x[m])
                assert torch.equal(one.mask[m], other.mask[m]) and torch.equal(one.present[m], other.present[m])
    assert disk.only("pulse").fold(0).test.modalities == ("pulse",)
    assert disk.fingerprint == on_disk(own(absent=(1, 5))).fingerprint != on_disk(own(absent=(1,))).fingerprint


def test_the_streamed_statistics_are_those_of_two_passes(monkeypatch):
    monkeypatch.setattr(OnDemand.batches, "__defaults__", (3,))
    corpus = corpora.load("synthetic", size="smoke")
    for m, (mean, std) in on_disk(corpus).fold(3).train.scaling.items():
        known = corpus.fold(3).train.scaling[m]
        torch.testing.assert_close(mean, known[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(std, known[1], rtol=1e-9, atol=1e-9)


def test_damage_that_shows_when_a_sample_is_read_is_reported_with_its_name():
    corpus = on_disk(own())
    corpus.samples.batch.x["pulse"][6] = torch.inf
    test = corpus.fold(0).test
    with pytest.raises(CorpusError, match="own/fold 0/test: pulse of sample 'y' is not finite"):
        test[[0]]
    corpus.samples.batch = corpus.samples.batch[[1, 2, 3, 4, 5, 6, 7, 0]]
    with pytest.raises(CorpusError, match=r"own/fold 0/test: samples \['z'\] were read, but others came"):
        test[[1]]


# Requests


def test_a_request_knows_the_corpus_before_it_is_read():
    request = corpora.named("synthetic", size="smoke", modalities=["text", "audio"])
    assert request == corpora.named("synthetic", modalities=("text", "audio"), size="smoke", seed=0)
    assert hash(request) == hash(corpora.named("synthetic", size="smoke", modalities=("text", "audio")))
    assert request.options == {"size": "smoke", "seed": 0, "pooled": False, "modalities": ("audio", "text"),
                               "standardise": True}  # fmt: skip
    assert request.dataset == "synthetic" and request.labels == {"emotion": ("happy", "angry", "sad", "neutral")}
    corpus = request.load()
    assert corpus.load() is corpus is request.load() and corpus.labels == request.labels
    assert {*corpus.modalities} == {*request.modalities}
    assert corpora.named("ravdess_av", folder="x").options == corpora.named("ravdess_av").options
    with pytest.raises(TypeError, match="RAVDESS-AV has no option 'size'; it has folder, classifier_columns"):
        corpora.named("ravdess_av", size="quick")
    with pytest.raises(CorpusError, match="no corpus 'ravdess' is known"):
        corpora.named("ravdess")


def test_the_folder_of_the_corpora_is_given_set_or_below_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROBUSTMER_DATA", raising=False)
    assert corpora.data_folder() == tmp_path / "data"
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path / "all"))
    assert corpora.data_folder() == tmp_path / "all" and corpora.data_folder("own") == tmp_path / "own"
    with pytest.raises(CorpusError, match="'~nouser.x' cannot be the folder of the corpora"):
        corpora.data_folder("~nouser/x")


def test_names_from_data_are_escaped():
    with pytest.raises(CorpusError) as error:
        own(speaker=["\x1b[31mred"] * 8)
    assert "\x1b" not in str(error.value) and r"\x1b[31mred" in str(error.value)


# What a corpus records beside its features


def test_targets_of_a_corpus_follow_its_samples_and_stay_beside_those_of_a_system():
    batch = collate({"audio": [np.ones((n, 2)) for n in (3, 1)], "visual": [np.ones((n, 1)) for n in (3, 1)]})
    batch = batch.replace(targets={"audio phase": batch.x["audio"] * torch.tensor([[[1.0]], [[2.0]]])})
    assert torch.equal(batch[[1]].targets["audio phase"], 2 * torch.ones(1, 1, 2))
    corpus = Corpus("own", batch[[0, 1, 0]], {}, Split("own", (([0], [1], [2]),), speaker_disjoint=False))
    assert corpus.fold(0).valid.targets["audio phase"].shape == (1, 1, 2)
    assert not corpus.only("visual").fold(0).train.targets

    class Doubler(Tiny):
        def targets(self, clean):
            return {"twice": 2 * clean.x["audio"]}

    system = Doubler({"audio": (2,), "visual": (1,)}, Classify("emotion", ("no", "yes")))
    targets = with_targets(system, batch).targets
    assert (
        torch.equal(targets["twice"], 2 * batch.x["audio"]) and targets["audio phase"] is batch.targets["audio phase"]
    )


def test_frames_of_parts_of_different_lengths_are_padded():
    batch = collate({"audio": [np.ones((n, 2)) for n in (3, 1, 2)]})
    system = Tiny({"audio": (2,)}, Classify("emotion", ("no", "yes")))
    frames = in_parts(system, lambda part: part.frames("audio")[0], batch, batch_size=1)
    assert torch.equal(frames, batch.frames("audio")[0])


def test_a_box_lies_within_the_pictures():
    samples = collate({"visual": [np.ones((2, 1, 8, 8), np.uint8)] * 3})
    split = Split("own", (([0], [1], [2]),), speaker_disjoint=False)
    assert Corpus("own", samples, {}, split, boxes={"mouth": (4, 8, 0, 8)}).boxes["mouth"] == (4, 8, 0, 8)
    for box in ((4, 9, 0, 8), (4, 4, 0, 8), (-1, 2, 0, 8), (0, 8, 0, 16)):
        with pytest.raises(CorpusError, match="the box 'mouth' has rows .* pictures have 8 rows and 8 columns"):
            Corpus("own", samples, {}, split, boxes={"mouth": box})
