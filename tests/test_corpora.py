"""Laws of the corpora: who may meet whom, what the scaling may know, and what a damaged file says."""

import dataclasses
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from robustmer import corpora
from robustmer.batch import collate
from robustmer.corpora import Corpus, CorpusError, CorpusNotFound, mosi_bclstm, mosi_sentiment, ravdess_av, synthetic
from robustmer.corpora.corpus import ROOT
from robustmer.corpora.layout import vectors

PUBLISHED = ROOT / "results" / "published"


def ravdess_arrays() -> dict[str, np.ndarray]:
    """The layout of ravdess_av360.npz with two takes an actor."""
    draw = np.random.default_rng(0)
    actor = np.repeat(np.arange(1, 25, dtype=np.int8), 2)
    units = [f"unit{i}_mean" for i in range(21)] + [f"unit{i}_std" for i in range(21)]
    video = draw.normal(size=(48, 56)).astype(np.float32)
    video[:, 20] = 0.25  # constant, as some action units are
    return {
        "audio": draw.normal(200, 50, size=(48, 67)).astype(np.float32),
        "video": video,
        "video_names": np.array([*ravdess_av.CLASSIFIER_COLUMNS, *units]),
        "name": np.array([f"take-{i:02d}" for i in range(48)]),
        "emotion": (np.arange(48) % 8).astype(np.int8),
        "emotion_names": np.array(ravdess_av.CLASSES),
        "actor": actor,
    }


def mosi_arrays() -> dict[str, np.ndarray]:
    """The layout of mosi_bclstm.npz with six videos of five utterances."""
    draw = np.random.default_rng(1)
    video = np.repeat(np.arange(6), 5)
    return {
        "audio": draw.normal(100, 20, size=(30, 73)).astype(np.float32),
        "text": draw.normal(size=(30, 100)).astype(np.float32),
        "video": np.abs(draw.normal(size=(30, 100))).astype(np.float32),
        "label": np.arange(30) % 2,
        "sentiment": np.where(np.arange(30) % 2, 1, -1) * draw.integers(1, 16, 30).astype(np.float32) / 5,
        "split": np.array([0, 0, 0, 1, 2, 2], dtype=np.int8)[video],
        "utt": np.array([f"v{v}_{i}" for i, v in enumerate(video)]),
        "vid": np.array([f"v{v}" for v in video]),
    }


MADE = {"ravdess_av": (ravdess_av, ravdess_arrays), "mosi_bclstm": (mosi_bclstm, mosi_arrays),
        "mosi_sentiment": (mosi_sentiment, mosi_arrays)}


def write(folder, name, arrays):
    module = MADE[name][0]
    path = folder / module.ABOUT.folder / module.FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


SOURCES = ["synthetic", *(f"{name} {source}" for source in ("written", "real") for name in MADE)]


@pytest.fixture(params=SOURCES)
def corpus(request, tmp_path) -> Corpus:
    """Every corpus: made, read from a file in its layout, and read from the real file where this machine has it."""
    if request.param == "synthetic":
        return corpora.load("synthetic", size="smoke")
    name, source = request.param.split()
    if source == "written":
        write(tmp_path, name, MADE[name][1]())
        return corpora.load(name, folder=tmp_path)
    try:
        return corpora.load(name)
    except CorpusNotFound:
        pytest.skip(f"{name} is not on this machine; its reader is tested on a written file")


def test_no_speaker_is_in_two_parts_of_a_fold(corpus):
    for i in range(len(corpus.folds)):
        train, valid, test = ({*part.speaker} for part in corpus.fold(i))
        assert train and valid and test
        assert not train & valid and not train & test and not valid & test


def test_no_synthetic_session_trains_and_is_judged():
    corpus = corpora.load("synthetic", size="smoke")
    session = np.array([name[:5] for name in corpus.rows.speaker])
    for train, valid, test in corpus.folds:
        assert set(session[valid]) == set(session[test]) and not set(session[train]) & set(session[test])


def test_the_ravdess_folds_mix_men_and_women_and_test_everybody_once(tmp_path):
    write(tmp_path, "ravdess_av", ravdess_arrays())
    corpus = corpora.load("ravdess_av", folder=tmp_path)
    assert len(corpus.folds) == 6
    for parts in corpus.folds:
        for part, people in zip(parts, (16, 4, 4), strict=True):
            numbers = {int(name[-2:]) for name in corpus.rows.speaker[part]}
            assert len(numbers) == people and sum(n % 2 for n in numbers) == people // 2
    assert sorted(np.concatenate([test for _, _, test in corpus.folds])) == list(range(48))


def test_every_synthetic_speaker_tests_once_and_has_every_class():
    corpus = corpora.load("synthetic", size="smoke")
    assert sorted(np.concatenate([test for _, _, test in corpus.folds])) == list(range(len(corpus.rows)))
    for _, _, test in corpus.folds:
        assert len(np.unique(corpus.rows.label[test])) == len(corpus.classes)


def test_standardised_train_features_have_mean_0_and_std_1_over_real_frames(corpus):
    train, _, _ = corpus.fold(0)
    for m in corpus.modalities:
        frames = train.x[m][train.real[m]].double()
        std = frames.std(0, correction=0)
        constant = frames.eq(0).all(0)
        assert frames.mean(0).abs().max() < 1e-3
        assert (std[~constant] - 1).abs().max() < 1e-3
        assert train.variance[m] == pytest.approx(float(frames.var(correction=0)), rel=1e-3)


def test_padding_is_zero_and_real_frames_come_first(corpus):
    for part in corpus.fold(0):
        for m in corpus.modalities:
            assert not part.x[m][~part.real[m]].any()
            assert part.real[m][:, 0].all() and not (~part.real[m][:, :-1] & part.real[m][:, 1:]).any()
            assert torch.isfinite(part.x[m]).all()


def test_a_constant_feature_becomes_0_even_where_the_test_part_differs(tmp_path):
    arrays = ravdess_arrays()
    arrays["video"][arrays["actor"] == 1, 20] = 7.0  # actor 1 tests fold 0
    write(tmp_path, "ravdess_av", arrays)
    for part in corpora.load("ravdess_av", folder=tmp_path).fold(0):
        assert not part.x["visual"][..., 20].any()


def test_the_scaling_knows_the_train_part_only(corpus):
    _, valid_rows, test_rows = corpus.folds[0]
    before = corpus.fold(0)
    changed = {m: x.clone() for m, x in corpus.rows.x.items()}
    for m in changed:
        changed[m][test_rows[1:]] *= 100
        changed[m][valid_rows[1:]] -= 5 * corpus.rows.real[m][valid_rows[1:], :, None]
    after = dataclasses.replace(corpus, rows=corpus.rows.replace(x=changed)).fold(0)
    for m in corpus.modalities:
        assert torch.equal(before[0].x[m], after[0].x[m])
        assert torch.equal(before[1].x[m][0], after[1].x[m][0]) and torch.equal(before[2].x[m][0], after[2].x[m][0])
    assert before[0].variance == after[0].variance


def test_scaling_a_fold_leaves_the_corpus_as_it_was(corpus):
    before = {m: x.clone() for m, x in corpus.rows.x.items()}
    corpus.fold(0)
    assert all(torch.equal(before[m], corpus.rows.x[m]) for m in before)


def test_without_standardising_the_values_are_those_of_the_file(tmp_path):
    arrays = mosi_arrays()
    write(tmp_path, "mosi_bclstm", arrays)
    train, _, test = corpora.load("mosi_bclstm", folder=tmp_path, standardise=False).fold(0)
    np.testing.assert_array_equal(train.x["audio"][:, 0], arrays["audio"][arrays["split"] == 0])
    np.testing.assert_array_equal(test.x["visual"][:, 0], arrays["video"][arrays["split"] == 2])
    assert train.variance["audio"] == pytest.approx(arrays["audio"][arrays["split"] == 0].var(), rel=1e-4)


def test_the_classifier_columns_can_be_left_out(tmp_path):
    arrays = ravdess_arrays()
    write(tmp_path, "ravdess_av", arrays)
    with_them = corpora.load("ravdess_av", folder=tmp_path).rows.x["visual"]
    without = corpora.load("ravdess_av", folder=tmp_path, classifier_columns=False).rows.x["visual"]
    assert torch.equal(without, with_them[..., 14:])


# The synthetic corpus


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another():
    first, again, other = (synthetic.load(size="smoke", seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_modality_is_the_same_when_others_are_left_out():
    every, one = (synthetic.load(size="smoke", modalities=m) for m in (("audio", "visual", "text"), "visual"))
    assert one.modalities == ("visual",)
    assert torch.equal(every.rows.x["visual"], one.rows.x["visual"]) and torch.equal(every.rows.label, one.rows.label)


def test_values_lie_on_the_grid_that_makes_sums_exact():
    corpus = corpora.load("synthetic", size="smoke")
    for x in corpus.rows.x.values():
        whole = x * (synthetic.LATENT_GRID * synthetic.LOADING_GRID)
        assert torch.equal(whole, whole.round()) and whole.abs().max() < 2**24


def test_paper_size_has_the_counts_of_nmer_table_1():
    table = pd.read_csv(PUBLISHED / "nmer_table01.csv").query("dataset == 'IEMOCAP'")
    corpus = synthetic.load(size="paper", modalities="visual")
    for number, name in enumerate(corpus.classes):
        published = int(table.loc[table.label == name.capitalize(), "value"].item())
        assert int((corpus.rows.label == number).sum()) == published
    train, valid, test = map(len, corpus.folds[0])
    assert train == int(table.query("split == 'train'").value.item())
    assert test == int(table.query("split == 'test_unique'").value.item())
    assert valid == 528
    sessions = pd.Series([name[:5] for name in corpus.rows.speaker]).value_counts(sort=False).tolist()
    assert sessions == [1085, 1023, 1151, 1031, 1241]


@pytest.mark.parametrize("size", ["smoke", "quick"])
def test_small_sizes_keep_the_proportions_and_the_widths(size):
    corpus = corpora.load("synthetic", size=size)
    share = np.bincount(corpus.rows.label) / len(corpus.rows)
    np.testing.assert_allclose(share, np.array(synthetic.CLASS_COUNTS) / 5531, atol=1 / len(corpus.rows))
    assert corpus.dims == {"audio": 130, "visual": 342, "text": 1024}
    for m, real in corpus.rows.real.items():
        lengths = real.sum(1)
        assert len(lengths.unique()) > 5 and lengths.min() >= 1 and lengths.max() <= synthetic.LONGEST[m] // 2


def test_the_factors_on_record_are_those_in_the_frames():
    """Solving a frame for its states with the recorded loading gives the recorded states times the salience."""
    corpus = corpora.load("synthetic", size="smoke")
    known = corpus.factors
    for m in corpus.modalities:
        speaker = [list(synthetic.SPEAKER_COUNTS).index(name) for name in corpus.rows.speaker]
        pooled = synthetic.pool(corpus.rows, m) - known[f"offset_{m}"][speaker]
        found = np.linalg.lstsq(known[f"loading_{m}"], pooled.T)[0].T
        truth = np.concatenate([known["shared"], known[f"specific_{m}"]], axis=1)
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.95
        np.testing.assert_allclose(known[f"salience_{m}"].sum(1), corpus.rows.real[m].sum(1), rtol=1e-4)


def test_the_published_accuracies_are_those_of_nmer_table_4():
    table = pd.read_csv(PUBLISHED / "nmer_table04.csv").query("dataset == 'IEMOCAP' and snr_db == 0 and metric == 'WA'")
    published = dict(zip(table.modality, table.value, strict=True))
    assert published == {"a": synthetic.PUBLISHED_WA["audio"], "v": synthetic.PUBLISHED_WA["visual"],
                         "l": synthetic.PUBLISHED_WA["text"]}


def test_single_modalities_are_as_telling_as_published_and_fusion_tells_more():
    table = synthetic.calibration("quick", folds=tuple(range(10))).set_index("modality")
    single = table.loc[["a", "v", "l"]]
    assert (single["mean"] - single["paper"]).abs().max() < 0.04
    assert table.loc["a,v,l", "mean"] > single["mean"].max() + 0.04
    noisy = synthetic.calibration("quick", folds=(0, 4), snr_db=-20.0).set_index("modality")
    assert (noisy["mean"] < table["mean"] - 0.05).all()


# Asking


def test_a_corpus_is_loaded_once_and_again_when_its_file_changes(tmp_path):
    assert corpora.load("synthetic", size="smoke") is corpora.load("synthetic", size="smoke", seed=0)
    arrays = mosi_arrays()
    write(tmp_path, "mosi_bclstm", arrays)
    first = corpora.load("mosi_bclstm", folder=tmp_path)
    assert corpora.load("mosi_bclstm", folder=tmp_path) is first
    arrays["audio"][0, 0] += 1
    write(tmp_path, "mosi_bclstm", {**arrays, "more": np.zeros(9)})
    assert corpora.load("mosi_bclstm", folder=tmp_path).fingerprint != first.fingerprint


def test_every_corpus_says_what_it_is():
    for module in corpora.CORPORA.values():
        assert all(getattr(module.ABOUT, field) for field in ("title", "access", "licence", "modalities", "people",
                                                              "protocol", "cite"))


def test_wrong_questions_are_answered_with_what_can_be_asked():
    with pytest.raises(CorpusError, match="iemocop.*synthetic.*ravdess_av.*mosi_bclstm"):
        corpora.load("iemocop")
    with pytest.raises(TypeError, match="no option 'sise'.*size"):
        corpora.load("synthetic", sise="quick")
    for options, answer in (({"size": "huge"}, "smoke, quick, paper"), ({"modalities": ["smell"]}, "audio"),
                            ({"seed": -1}, "integer")):
        with pytest.raises(CorpusError, match=answer):
            corpora.load("synthetic", **options)
    with pytest.raises(CorpusError, match="folds 0 to 9; fold 10"):
        corpora.load("synthetic", size="smoke").fold(10)


@pytest.mark.parametrize("name", MADE)
def test_a_corpus_that_is_not_here_says_where_it_was_looked_for_and_who_gives_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    about = MADE[name][0].ABOUT
    with pytest.raises(CorpusNotFound) as error:
        corpora.load(name)
    for part in (str(tmp_path / about.folder), "ROBUSTMER_DATA", about.access):
        assert part in str(error.value)
    assert len(corpora.check(name)) == 1 and about.access in corpora.check(name)[0]


@pytest.mark.parametrize("name", MADE)
def test_the_file_its_folder_and_the_folder_of_all_corpora_are_all_found(name, tmp_path, monkeypatch):
    path = write(tmp_path, name, MADE[name][1]())
    found = {corpora.load(name, folder=place).fingerprint for place in (path, path.parent, tmp_path)}
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    assert {corpora.load(name).fingerprint} == found


# Damage


def without(name):
    return lambda arrays: arrays.pop(name)


def put(name, value, where=...):
    def damage(arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][where] = value
    return damage


def replace(name, change):
    return lambda arrays: arrays.update({name: change(arrays[name])})


DAMAGE = {
    "missing array": (without("audio"), "no array 'audio'"),
    "wrong width": (replace("audio", lambda a: a[:, :-1]), r"'audio'.*wide; it must be \d+ wide"),
    "wrong shape": (replace("video", lambda a: a[None]), r"'video'.*shape \(1, "),
    "a number for an array": (replace("audio", lambda a: np.float32(1)), r"'audio'.*shape \(\)"),
    "rows that do not match": (replace("video", lambda a: a[:-1]), "'video'.*rows, but"),
    "not a number": (put("audio", np.nan, (3, 5)), "'audio'.*not finite at row 3, column 5: nan"),
    "infinite": (put("video", np.inf, (2, 1)), "'video'.*not finite at row 2, column 1: inf"),
    "too large for float32": (replace("audio", lambda a: a.astype(float) * 1e300), "'audio'.*not finite"),
    "words for numbers": (replace("audio", lambda a: a.astype(str)), "'audio'.*must hold numbers"),
    "object array": (replace("audio", lambda a: a.astype(object)), "'audio'.*Python objects"),
    "empty": (replace("audio", lambda a: a[:0]), "'audio'.*empty"),
    "no width": (replace("audio", lambda a: a[:, :0]), "'audio'.*0 wide"),
}
PARTICULAR = {
    "ravdess_av": {
        "label outside": (put("emotion", 8, 4), "'take-04'.* is 8; it must be 0 to 7"),
        "label below": (put("emotion", -1, 4), "'take-04'.* is -1; it must be 0 to 7"),
        "fractional label": (replace("emotion", lambda a: a + 0.5), "'emotion'.*whole numbers"),
        "unknown actor": (put("actor", 25, 0), "actor of utterance 'take-00'.* is 25"),
        "fold without actors": (replace("actor", lambda a: np.where(a < 5, 5, a)), "no take of actors 1 to 4"),
        "other classes": (replace("emotion_names", lambda a: a[::-1]), "emotion_names are surprised"),
        "doubled take": (put("name", "take-01", 0), "take 'take-01' is there 2 times"),
        "unnamed columns": (replace("video_names", lambda a: a[:-1]), "'video_names'.*55 entries"),
        "no classifier columns": (put("video_names", "x", 0), "video_names lack anger_mean"),
    },
    "mosi_bclstm": {
        "label outside": (put("label", 2, 4), "'v0_4'.* is 2; it must be 0 to 1"),
        "unknown part": (put("split", 3), "split of utterance 'v0_0'.* is 3"),
        "no test part": (put("split", 0), "the test part would be empty"),
        "video in two parts": (put("split", 2, 0), "video 'v0' is in several parts"),
        "doubled utterance": (put("utt", "v0_1", 0), "utterance 'v0_1' is there 2 times"),
        "empty labels": (replace("label", lambda a: a[:0]), "'label'.*empty"),
    },
    "mosi_sentiment": {
        "sentiment outside": (put("sentiment", 3.4, 1), "sentiment of utterance 'v0_1'.* is 3.4; it must be -3 to 3"),
        "sentiment against the label": (put("sentiment", -0.2, 1), "'v0_1' has sentiment -0.2 and label 1"),
        "no sentiment": (lambda arrays: arrays.pop("sentiment"), "no array 'sentiment'"),
        "no test part": (put("split", 0), "the test part would be empty"),
    },
}
CASES = [(name, what) for name in MADE for what in [*DAMAGE, *PARTICULAR[name]]]


@pytest.mark.parametrize(("name", "what"), CASES, ids=[f"{name}: {what}" for name, what in CASES])
def test_damage_is_told_in_a_sentence_that_names_it(name, what, tmp_path):
    damage, sentence = (DAMAGE | PARTICULAR[name])[what]
    arrays = MADE[name][1]()
    damage(arrays)
    write(tmp_path, name, arrays)
    problems = corpora.check(name, tmp_path)
    assert any(pd.Series(problems).str.contains(sentence, regex=True)), problems
    with pytest.raises(CorpusError):
        corpora.load(name, folder=tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_all_problems_are_told_at_once(name, tmp_path):
    arrays = MADE[name][1]()
    put("audio", np.nan, (0, 0))(arrays)
    replace("video", lambda a: a[:, 1:])(arrays)
    write(tmp_path, name, arrays)
    assert len(corpora.check(name, tmp_path)) == 2
    with pytest.raises(CorpusError, match="1 more problem"):
        corpora.load(name, folder=tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_a_file_that_is_cut_short_scrambled_or_something_else_is_told(name, tmp_path):
    path = write(tmp_path, name, MADE[name][1]())
    whole = path.read_bytes()
    scrambled = bytearray(whole)
    scrambled[200:3000] = bytes(2800)
    header = whole.replace(b"'shape': (", b"'shape': [")
    for content in (b"", whole[: len(whole) // 2], b"utterance,label\n", whole[100:], bytes(scrambled), header):
        path.write_bytes(content)
        problems = corpora.check(name, tmp_path)
        assert problems and all(path.name in problem for problem in problems)
        with pytest.raises(CorpusError):
            corpora.load(name, folder=tmp_path)
    path.unlink()
    path.mkdir()
    assert "cannot be read" in corpora.check(name, tmp_path)[0]


def test_an_archive_of_something_else_is_told(tmp_path):
    path = write(tmp_path, "mosi_bclstm", mosi_arrays())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("audio", "not an array")
    problems = corpora.check("mosi_bclstm", tmp_path)
    assert any("'audio'" in problem and "not an array" in problem for problem in problems)
    assert any("no array 'text'" in problem for problem in problems)


def test_other_counts_than_published_are_told_by_the_check_and_no_hindrance(tmp_path):
    write(tmp_path, "ravdess_av", ravdess_arrays())
    problems = corpora.check("ravdess_av", tmp_path)
    assert "48 takes; 360 were published" in problems
    write(tmp_path, "mosi_bclstm", mosi_arrays())
    assert "30 utterances; 2199 were published" in corpora.check("mosi_bclstm", tmp_path)


@pytest.mark.parametrize("name", MADE)
def test_the_real_file_is_as_published(name):
    if not MADE[name][0].ABOUT.folder or "no file" in "".join(corpora.check(name)):
        pytest.skip(f"{name} is not on this machine")
    assert corpora.check(name) == []


def test_a_label_outside_the_classes_is_refused_by_every_corpus():
    people, names = np.array(["a", "b", "c"]), np.array(["x", "y", "z"])
    rows = vectors({"audio": np.ones((3, 2))}, np.arange(3), people, names, "tiny")
    with pytest.raises(CorpusError, match="'z' has label 2.*numbered 0 to 1"):
        Corpus("tiny", ("no", "yes"), rows, ((np.array([0]), np.array([1]), np.array([2])),))


def tiny(**changes) -> Corpus:
    rows = collate({"audio": list(np.ones((6, 2)))}, np.arange(6) % 2, list("aabbcc"), list("uvwxyz"))
    folds = ((np.arange(2), np.arange(2, 4), np.arange(4, 6)),)
    return Corpus(**(dict(name="tiny", classes=("no", "yes"), rows=rows, folds=folds) | changes))


def test_a_corpus_that_would_mislead_is_refused():
    rows = tiny().rows
    broken = rows.replace(x={"audio": torch.where(torch.arange(6)[:, None, None] == 3, torch.nan, rows.x["audio"])})
    with pytest.raises(CorpusError, match="audio of utterance 'x' is not finite"):
        tiny(rows=broken)
    with pytest.raises(CorpusError, match="fold 0 has speaker 'a' in two parts"):
        tiny(folds=((np.array([0]), np.array([1]), np.array([2])),))
    with pytest.raises(CorpusError, match="label 1, but the classes are numbered 0 to 0"):
        tiny(classes=("no",))
    with pytest.raises(CorpusError, match=r"labels are int64 and the classes are \(\)"):
        tiny(classes=())
    sentiment = rows.replace(label=torch.tensor([0.5, -1, 2, torch.nan, 0, 1]))
    with pytest.raises(CorpusError, match=r"labels are float32 and the classes are \(no, yes\)"):
        tiny(rows=sentiment)
    with pytest.raises(CorpusError, match="utterance 'x' has label nan; mend the label"):
        tiny(rows=sentiment, classes=())
    gone = rows.replace(present={"audio": torch.arange(6) > 0})
    assert tiny(rows=gone).fingerprint != tiny().fingerprint


@pytest.mark.parametrize("label, said", [(["sad", "happy"], "labels are numbers of classes"), ([], "no utterances")])
def test_labels_that_are_no_class_numbers_are_refused(label, said):
    with pytest.raises(ValueError, match=said):
        collate({"audio": [np.ones(2)] * len(label)}, np.array(label))


def test_labels_that_are_floats_make_a_regression():
    batch = collate({"audio": [np.ones(2)] * 2}, [0.7, -1.9])
    assert batch.regression and batch.label.dtype == torch.float32
    assert batch[[1]].label.tolist() == pytest.approx([-1.9])
    assert not collate({"audio": [np.ones(2)] * 2}, [1, 0]).regression
    with pytest.raises(ValueError, match="label of utterance 1 is nan"):
        collate({"audio": [np.ones(2)] * 2}, [0.7, np.nan])


def test_the_two_readings_of_cmu_mosi_differ_in_the_label_alone(tmp_path):
    write(tmp_path, "mosi_bclstm", mosi_arrays())
    polarity, sentiment = (corpora.load(name, folder=tmp_path) for name in ("mosi_bclstm", "mosi_sentiment"))
    assert sentiment.classes == () and sentiment.rows.regression
    assert torch.equal((sentiment.rows.label >= 0).long(), polarity.rows.label)
    for one, other in zip(polarity.fold(0), sentiment.fold(0), strict=True):
        assert all(torch.equal(one.x[m], other.x[m]) for m in one.x) and (one.id == other.id).all()


@pytest.mark.parametrize("value, said", [(1e300, "not finite"), ("loud", "give numbers"), (np.nan, "not finite")])
def test_features_that_no_network_could_read_are_refused(value, said):
    with pytest.raises(ValueError, match=said):
        collate({"audio": [np.ones(2), np.array([1, value])]}, np.array([0, 1]))


def test_a_mask_chooses_rows():
    batch = tiny().rows
    assert batch[batch.label == 1].id.tolist() == ["v", "x", "z"]
    assert batch[2].id.tolist() == ["w"]
    with pytest.raises(IndexError, match="mask of 3 rows"):
        batch[np.array([True, False, True])]


def test_an_utterance_may_lack_a_modality():
    """None is an absent modality: not present, without a real frame, and nothing that a system could read."""
    batch = collate({"audio": [np.ones((3, 2)), None, np.ones((1, 2))], "text": [None, np.ones(4), np.ones(4)]},
                    [0, 1, 0])
    assert batch.present["audio"].tolist() == [True, False, True]
    assert batch.present["text"].tolist() == [False, True, True]
    assert batch.real["audio"].sum(1).tolist() == [3, 0, 1] and not batch.x["audio"][1].any()
    with pytest.raises(ValueError, match="audio is absent from every utterance"):
        collate({"audio": [None, None]}, [0, 1])
    with pytest.raises(ValueError, match="utterance 'batch/2' is 3 wide, but the first utterance is 2"):
        collate({"audio": [None, np.ones(2), np.ones(3)]}, [0, 1, 0])
