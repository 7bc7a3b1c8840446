"""Laws of the corpora: who may meet whom, what the scaling may know, and what a damaged file says."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from synthetic_calibration import calibration

from robustmer import corpora
from robustmer.batch import mean_over_time
from robustmer.corpora import Corpus, CorpusError, CorpusNotFound, synthetic
from robustmer.corpora.catalogue import CLASSIFIER_COLUMNS, EMOTIONS
from robustmer.corpora.media import deltas
from robustmer.corpora.synthetic import (
    CLASS_COUNTS,
    LATENT_GRID,
    LOADING_GRID,
    LONGEST,
    PUBLISHED_WA,
    SPEAKER_COUNTS,
)

PUBLISHED = Path(__file__).parents[1] / "results" / "published"


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
        "video_names": np.array([*CLASSIFIER_COLUMNS, *units]),
        "name": np.array([f"take-{i:02d}" for i in range(48)]),
        "emotion": (np.arange(48) % 8).astype(np.int8),
        "emotion_names": np.array(EMOTIONS),
        "actor": actor,
        "speech_row": np.arange(48)[::-1],
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


def speech_arrays() -> dict[str, np.ndarray]:
    """The layout of ravdess_speech_mel.npz: the takes of `ravdess_arrays` in reversed order, of 3 to 50 frames."""
    offset = np.concatenate([[0], np.cumsum(np.arange(3, 51))])
    mel = np.random.default_rng(2).integers(0, 256, (offset[-1], 64), dtype=np.uint8)
    return {"mel": mel, "offset": offset, "name": np.array([f"speech-{i:02d}" for i in range(48)])[::-1]}


def write_speech(folder, arrays=None):
    (folder / "ravdess_speech").mkdir(exist_ok=True)
    np.savez(folder / "ravdess_speech/ravdess_speech_mel.npz", **(arrays or speech_arrays()))


def transcripts() -> dict[str, str]:
    """1 to 30 of 80 words for each utterance of `mosi_arrays`; the last two utterances have a word of their own."""
    draw = np.random.default_rng(3)
    texts = {
        name: " ".join(f"W{i}" for i in draw.integers(0, 80, n + 1)) for n, name in enumerate(mosi_arrays()["utt"])
    }
    last = mosi_arrays()["utt"][-1]
    return texts | {last: texts[last] + " NEVER, heard"}


def write_transcripts(folder, texts=None):
    frame = pd.Series(texts or transcripts(), name="transcript").rename_axis("utt")
    frame.to_csv(folder / "mosi_bclstm/mosi_bclstm_meta.csv")


MADE = {
    "ravdess_av": ravdess_arrays,
    "mosi_bclstm": mosi_arrays,
    "mosi_sentiment": mosi_arrays,
    "ravdess_av_mel": ravdess_arrays,
    "mosi_words": mosi_arrays,
}
BESIDE = {"ravdess_av_mel": write_speech, "mosi_words": write_transcripts}
"""Writes the files that a corpus reads beside its .npz."""


def write(folder, name, arrays):
    layout = corpora.find(name)
    path = folder / layout.about.folder / layout.file
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    BESIDE.get(name, lambda folder: None)(folder)
    return path


SOURCES = ["synthetic", *(f"{name} {source}" for source in ("written", "at hand") for name in MADE)]


@pytest.fixture(params=SOURCES)
def corpus(request, tmp_path) -> Corpus:
    """Every corpus: made, read from a file in its layout, and read from the real file where this machine has it."""
    if request.param == "synthetic":
        return corpora.load("synthetic", size="smoke")
    name, source = request.param.split(maxsplit=1)
    if source == "written":
        write(tmp_path, name, MADE[name]())
        return corpora.load(name, folder=tmp_path)
    try:
        return corpora.load(name)
    except CorpusNotFound:
        pytest.skip(f"{name} is not on this machine; its reader is tested on a written file")


def test_no_speaker_is_in_two_parts_of_a_fold(corpus):
    for i in range(len(corpus.split.folds)):
        train, valid, test = ({*part.speaker} for part in corpus.fold(i))
        assert train and valid and test
        assert not train & valid and not train & test and not valid & test


def test_no_synthetic_session_trains_and_is_judged():
    corpus = corpora.load("synthetic", size="smoke")
    session = np.array([name[:5] for name in corpus.samples.speaker])
    for train, valid, test in corpus.split.folds:
        assert set(session[valid]) == set(session[test]) and not set(session[train]) & set(session[test])


def test_the_ravdess_folds_mix_men_and_women_and_test_everybody_once(tmp_path):
    write(tmp_path, "ravdess_av", ravdess_arrays())
    corpus = corpora.load("ravdess_av", folder=tmp_path)
    assert len(corpus.split.folds) == 6
    for parts in corpus.split.folds:
        for part, people in zip(parts, (16, 4, 4), strict=True):
            numbers = {int(name[-2:]) for name in corpus.samples.speaker[part]}
            assert len(numbers) == people and sum(n % 2 for n in numbers) == people // 2
    assert sorted(np.concatenate([test for _, _, test in corpus.split.folds])) == list(range(48))


def test_every_synthetic_speaker_tests_once_and_has_every_class():
    corpus = corpora.load("synthetic", size="smoke")
    assert sorted(np.concatenate([test for _, _, test in corpus.split.folds])) == list(range(len(corpus)))
    for _, _, test in corpus.split.folds:
        assert len(np.unique(corpus.samples.labels["emotion"][test])) == len(corpus.labels["emotion"])


def test_standardised_train_features_have_mean_0_and_std_1_over_recorded_frames(corpus):
    train, _, _ = corpus.fold(0)
    for m in corpus.modalities:
        frames = train.x[m][train.mask[m]].double()
        std = frames.std(0, correction=0)
        constant = frames.eq(0).all(0)
        assert frames.mean(0).abs().max() < 1e-3
        assert (std[~constant] - 1).abs().max() < 1e-3
        assert train.variance[m] == pytest.approx(float(frames.var(correction=0)), rel=1e-3)


def test_padding_is_zero_and_recorded_frames_come_first(corpus):
    for part in corpus.fold(0):
        for m in corpus.modalities:
            assert not part.x[m][~part.mask[m]].any()
            assert part.mask[m][:, 0].all() and not (~part.mask[m][:, :-1] & part.mask[m][:, 1:]).any()
            assert torch.isfinite(part.x[m]).all()


def test_a_constant_feature_becomes_0_even_where_the_test_part_differs(tmp_path):
    arrays = ravdess_arrays()
    arrays["video"][arrays["actor"] == 1, 20] = 7.0  # actor 1 tests fold 0
    write(tmp_path, "ravdess_av", arrays)
    for part in corpora.load("ravdess_av", folder=tmp_path).fold(0):
        assert not part.x["visual"][..., 20].any()


def test_the_scaling_knows_the_train_part_only(corpus):
    _, valid_rows, test_rows = corpus.split.folds[0]
    before = corpus.fold(0)
    changed = {m: x.clone() for m, x in corpus.samples.x.items()}
    for m in changed:
        changed[m][test_rows[1:]] *= 100
        changed[m][valid_rows[1:]] -= 5 * corpus.samples.mask[m][valid_rows[1:], :, None]
    after = dataclasses.replace(corpus, samples=corpus.samples.replace(x=changed)).fold(0)
    for m in corpus.modalities:
        assert torch.equal(before[0].x[m], after[0].x[m])
        assert torch.equal(before[1].x[m][0], after[1].x[m][0]) and torch.equal(before[2].x[m][0], after[2].x[m][0])
    assert before[0].variance == after[0].variance


def test_scaling_a_fold_leaves_the_corpus_as_it_was(corpus):
    before = {m: x.clone() for m, x in corpus.samples.x.items()}
    corpus.fold(0)
    assert all(torch.equal(before[m], corpus.samples.x[m]) for m in before)


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
    with_them = corpora.load("ravdess_av", folder=tmp_path).samples.x["visual"]
    without = corpora.load("ravdess_av", folder=tmp_path, classifier_columns=False).samples.x["visual"]
    assert torch.equal(without, with_them[..., 14:])


# The synthetic corpus


def test_the_same_seed_gives_the_same_corpus_and_another_seed_another():
    first, again, other = (synthetic.load(size="smoke", seed=seed) for seed in (3, 3, 4))
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_modality_is_the_same_when_others_are_left_out():
    every, one = (synthetic.load(size="smoke", modalities=m) for m in (("audio", "visual", "text"), "visual"))
    assert one.modalities == ("visual",)
    assert torch.equal(every.samples.x["visual"], one.samples.x["visual"])
    assert torch.equal(every.samples.labels["emotion"], one.samples.labels["emotion"])


def test_values_lie_on_the_grid_that_makes_sums_exact():
    corpus = corpora.load("synthetic", size="smoke")
    for x in corpus.samples.x.values():
        whole = x * (LATENT_GRID * LOADING_GRID)
        assert torch.equal(whole, whole.round()) and whole.abs().max() < 2**24


def test_paper_size_has_the_counts_of_nmer_table_1():
    table = pd.read_csv(PUBLISHED / "nmer_table01.csv").query("dataset == 'IEMOCAP'")
    corpus = synthetic.load(size="paper", modalities="visual")
    for number, name in enumerate(corpus.labels["emotion"]):
        published = int(table.loc[table.label == name.capitalize(), "value"].item())
        assert int((corpus.samples.labels["emotion"] == number).sum()) == published
    train, valid, test = map(len, corpus.split.folds[0])
    assert train == int(table.query("split == 'train'").value.item())
    assert test == int(table.query("split == 'test_unique'").value.item())
    assert valid == 528
    sessions = pd.Series([name[:5] for name in corpus.samples.speaker]).value_counts(sort=False).tolist()
    assert sessions == [1085, 1023, 1151, 1031, 1241]


@pytest.mark.parametrize("size", ["smoke", "quick"])
def test_small_sizes_keep_the_proportions_and_the_widths(size):
    corpus = corpora.load("synthetic", size=size)
    share = np.bincount(corpus.samples.labels["emotion"]) / len(corpus)
    np.testing.assert_allclose(share, np.array(CLASS_COUNTS) / 5531, atol=1 / len(corpus))
    assert corpus.shapes == {"audio": (130,), "visual": (342,), "text": (1024,)}
    for m, mask in corpus.samples.mask.items():
        lengths = mask.sum(1)
        assert len(lengths.unique()) > 5 and lengths.min() >= 1 and lengths.max() <= LONGEST[m] // 2


def test_the_factors_on_record_are_those_in_the_frames():
    """Solving a frame for its states with the recorded loading gives the recorded states times the salience."""
    corpus = corpora.load("synthetic", size="smoke")
    known = corpus.factors
    for m in corpus.modalities:
        speaker = [list(SPEAKER_COUNTS).index(name) for name in corpus.samples.speaker]
        pooled = mean_over_time(corpus.samples.x[m], corpus.samples.mask[m]).numpy() - known[f"offset_{m}"][speaker]
        solved = np.linalg.lstsq(known[f"loading_{m}"], pooled.T)[0].T
        truth = np.concatenate([known["shared"], known[f"specific_{m}"]], axis=1)
        assert np.corrcoef(solved.ravel(), truth.ravel())[0, 1] > 0.95
        np.testing.assert_allclose(known[f"salience_{m}"].sum(1), corpus.samples.mask[m].sum(1), rtol=1e-4)


def test_the_published_accuracies_are_those_of_nmer_table_4():
    table = pd.read_csv(PUBLISHED / "nmer_table04.csv").query("dataset == 'IEMOCAP' and snr_db == 0 and metric == 'WA'")
    published = dict(zip(table.modality, table.value, strict=True))
    assert published == {"a": PUBLISHED_WA["audio"], "v": PUBLISHED_WA["visual"], "l": PUBLISHED_WA["text"]}


def test_single_modalities_are_as_telling_as_published_and_fusion_tells_more():
    table = calibration("quick", folds=tuple(range(10))).set_index("modality")
    single, measured = table.loc[["a", "v", "l"]], table.dropna(subset="mean")
    assert (single["mean"] - single["paper"]).abs().max() < 0.04
    assert table.loc["a,v,l", "mean"] > single["mean"].max() + 0.04
    noisy = calibration("quick", folds=(0, 4), snr_db=-20.0).set_index("modality")
    assert (noisy["mean"] < table["mean"] - 0.05)[measured.index].all()
    assert (measured["mean"] < measured["ceiling"]).all() and len(table) == 7


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
    for corpus in corpora.CORPORA.values():
        filled = dataclasses.asdict(corpus.about) | {"folder": "may be none"}
        assert all(filled.values()) and corpus.label in corpus.labels(corpus.settings({}))


def test_wrong_questions_are_answered_with_what_can_be_asked():
    with pytest.raises(CorpusError, match="iemocop.*synthetic.*ravdess_av.*mosi_bclstm"):
        corpora.load("iemocop")
    with pytest.raises(TypeError, match="no option 'sise'.*size"):
        corpora.load("synthetic", sise="quick")
    for options, answer in (
        ({"size": "huge"}, "smoke, quick, paper"),
        ({"modalities": ["smell"]}, "audio"),
        ({"seed": -1}, "integer"),
    ):
        with pytest.raises(CorpusError, match=answer):
            corpora.load("synthetic", **options)
    with pytest.raises(CorpusError, match="folds 0 to 9; fold 10"):
        corpora.load("synthetic", size="smoke").fold(10)


@pytest.mark.parametrize("name", MADE)
def test_a_corpus_that_is_absent_names_the_folder_and_who_distributes_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    about = corpora.find(name).about
    with pytest.raises(CorpusNotFound) as error:
        corpora.load(name)
    for part in (str(tmp_path / about.folder), "ROBUSTMER_DATA", about.access):
        assert part in str(error.value)
    assert len(corpora.check(name)) == 1 and about.access in corpora.check(name)[0]


@pytest.mark.parametrize("name", MADE)
def test_the_file_its_folder_and_the_folder_of_all_corpora_are_the_same_corpus(name, tmp_path, monkeypatch):
    path = write(tmp_path, name, MADE[name]())
    read = {corpora.load(name, folder=place).fingerprint for place in (path, path.parent, tmp_path)}
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    assert {corpora.load(name).fingerprint} == read


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
    "missing array": (without("audio"), "array 'audio'.* is missing; the file has"),
    "wrong width": (replace("audio", lambda a: a[:, :-1]), r"'audio'.*of shape \(\d+, \d+\); it must hold numbers, "),
    "wrong shape": (replace("video", lambda a: a[None]), r"'video'.*of shape \(1, "),
    "a number for an array": (replace("audio", lambda a: np.float32(1)), r"'audio'.*shape \(\)"),
    "rows that do not match": (
        replace("video", lambda a: a[:-1]),
        r"'video'.*of shape \((47|29), .*; it must hold numbers, \((48|30),",
    ),
    "not a number": (put("audio", np.nan, (3, 5)), r"'audio'.*not finite \(row 3, column 5: nan;"),
    "infinite": (put("video", np.inf, (2, 1)), r"'video'.*not finite \(row 2, column 1: inf;"),
    "too large for float32": (replace("audio", lambda a: a.astype(float) * 1e300), "'audio'.*not finite"),
    "words for numbers": (replace("audio", lambda a: a.astype(str)), "'audio'.*must hold numbers"),
    "object array": (replace("audio", lambda a: a.astype(object)), "'audio'.*Python objects"),
    "empty": (replace("audio", lambda a: a[:0]), r"'audio'.*of shape \(0, "),
    "no width": (replace("audio", lambda a: a[:, :0]), r"'audio'.*of shape \(\d+, 0\)"),
}
PARTICULAR = {
    "ravdess_av": {
        "label outside": (put("emotion", 8, 4), "'emotion'.* has 8 in row 4 .*; it must be 0 to 7"),
        "label below": (put("emotion", -1, 4), "'emotion'.* has -1 in row 4 .*; it must be 0 to 7"),
        "fractional label": (replace("emotion", lambda a: a + 0.5), "'emotion'.*whole numbers"),
        "unknown actor": (put("actor", 25, 0), "'actor'.* has 25 in row 0"),
        "fold without actors": (replace("actor", lambda a: np.where(a < 5, 5, a)), "no sample of actors 1 to 4"),
        "other classes": (replace("emotion_names", lambda a: a[::-1]), "emotion_names are surprised"),
        "doubled take": (put("name", "take-01", 0), "sample 'take-01' is in 2 rows"),
        "unnamed columns": (replace("video_names", lambda a: a[:-1]), r"'video_names'.*of shape \(55,\)"),
        "no classifier columns": (put("video_names", "x", 0), "video_names lack anger_mean"),
    },
    "mosi_bclstm": {
        "label outside": (put("label", 2, 4), "'label'.* has 2 in row 4 .*; it must be 0 to 1"),
        "unknown part": (put("split", 3), "'split'.* has 3 in row 0"),
        "no test part": (put("split", 0), "the test part would be empty"),
        "video in two parts": (put("split", 2, 0), "video 'v0' is in several parts"),
        "doubled utterance": (put("utt", "v0_1", 0), "sample 'v0_1' is in 2 rows"),
        "empty labels": (replace("label", lambda a: a[:0]), r"'label'.*of shape \(0,\)"),
    },
    "mosi_words": {},
    "mosi_sentiment": {
        "sentiment outside": (put("sentiment", 3.4, 1), "sentiment of sample 'v0_1'.* is 3.4; it must be -3 to 3"),
        "sentiment against the label": (put("sentiment", -0.2, 1), "'v0_1' has sentiment -0.2 and label 1"),
        "no sentiment": (lambda arrays: arrays.pop("sentiment"), "array 'sentiment'.* is missing"),
        "no test part": (put("split", 0), "the test part would be empty"),
    },
}
VECTORS = [name for name in MADE if "audio" in corpora.find(name).fields]
CASES = [(name, what) for name in VECTORS for what in [*DAMAGE, *PARTICULAR[name]]]


@pytest.mark.parametrize(("name", "what"), CASES, ids=[f"{name}: {what}" for name, what in CASES])
def test_damage_is_reported_in_a_sentence_that_names_it(name, what, tmp_path):
    damage, sentence = (DAMAGE | PARTICULAR[name])[what]
    arrays = MADE[name]()
    damage(arrays)
    write(tmp_path, name, arrays)
    problems = corpora.check(name, tmp_path)
    assert any(pd.Series(problems).str.contains(sentence, regex=True)), problems
    with pytest.raises(CorpusError):
        corpora.load(name, folder=tmp_path)


@pytest.mark.parametrize("name", VECTORS)
def test_all_problems_are_reported_at_once(name, tmp_path):
    arrays = MADE[name]()
    put("audio", np.nan, (0, 0))(arrays)
    replace("video", lambda a: a[:, 1:])(arrays)
    write(tmp_path, name, arrays)
    assert len(corpora.check(name, tmp_path)) == 2
    with pytest.raises(CorpusError, match="1 more problem"):
        corpora.load(name, folder=tmp_path)


@pytest.mark.parametrize("name", VECTORS)
def test_a_file_that_is_cut_short_scrambled_or_something_else_is_reported(name, tmp_path):
    path = write(tmp_path, name, MADE[name]())
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
    assert "is a folder" in corpora.check(name, tmp_path)[0]


def test_mel_frames_are_those_of_the_take_that_the_row_names_with_their_deltas(tmp_path):
    write(tmp_path, "ravdess_av_mel", ravdess_arrays())
    corpus, stored = corpora.load("ravdess_av_mel", folder=tmp_path, standardise=False), speech_arrays()
    take = corpus.samples[[3]]
    row = stored["name"].tolist().index("speech-03")
    level = stored["mel"][stored["offset"][row] : stored["offset"][row + 1]] / 255 * 120 - 80
    assert take.x["audio"].shape == (1, len(level), 192) and take.mask["audio"].all()
    np.testing.assert_allclose(take.x["audio"][0, :, :64], level, atol=1e-4)
    np.testing.assert_allclose(take.x["audio"][0, 2, 64:128], deltas(level)[2], atol=1e-4)
    vectors = corpora.load("ravdess_av", folder=tmp_path, standardise=False)
    assert torch.equal(corpus.samples.x["visual"], vectors.samples.x["visual"])
    assert all((a == b).all() for a, b in zip(corpus.split.folds[2], vectors.split.folds[2], strict=True))


SPEECH_DAMAGE = {
    "gone": (None, "ravdess_speech_mel.npz is missing"),
    "other bands": (replace("mel", lambda a: a[:, 1:]), r"whole numbers, \(frames, 64\)"),
    "no bytes": (replace("mel", lambda a: a.astype(np.int64)), "int64.*must hold bytes"),
    "other borders": (replace("offset", lambda a: np.sort(a // 2)), "borders from 0 to"),
    "an empty take": (put("offset", 3, 2), "every take a frame or more"),
    "fewer takes": (lambda arrays: arrays.update(name=arrays["name"][:9], offset=arrays["offset"][[*range(9), 48]]),
                    "has 9 takes; speech_row names take 47"),
    "other takes": (replace("name", lambda a: a[::-1]), "has 'speech-47' in the row that .* gives to 'take-00'"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPEECH_DAMAGE)
def test_damage_to_the_mel_frames_is_reported(what, tmp_path):
    damage, sentence = SPEECH_DAMAGE[what]
    write(tmp_path, "ravdess_av_mel", ravdess_arrays())
    arrays = speech_arrays()
    if damage is None:
        (tmp_path / "ravdess_speech/ravdess_speech_mel.npz").unlink()
    else:
        damage(arrays)
        write_speech(tmp_path, arrays)
    assert any(pd.Series(corpora.check("ravdess_av_mel", tmp_path)).str.contains(sentence, regex=True))
    with pytest.raises(CorpusError):
        corpora.load("ravdess_av_mel", folder=tmp_path)


def test_changed_mel_frames_are_read_again(tmp_path):
    path = write(tmp_path, "ravdess_av_mel", ravdess_arrays())
    first = [corpora.load("ravdess_av_mel", folder=place).fingerprint for place in (tmp_path, path)]
    arrays = speech_arrays()
    arrays["mel"] = arrays["mel"][::-1]
    write_speech(tmp_path, {**arrays, "more": np.zeros(3)})
    assert not {*first} & {corpora.load("ravdess_av_mel", folder=place).fingerprint for place in (tmp_path, path)}


def test_words_are_vectors_made_from_the_train_transcripts_alone(tmp_path):
    write(tmp_path, "mosi_words", mosi_arrays())
    first = corpora.load("mosi_words", folder=tmp_path, standardise=False).samples
    lengths = [len(text.split()) for text in transcripts().values()]
    assert first.x["text"].shape == (30, max(lengths), 50) and first.lengths["text"].tolist() == lengths
    assert not first.x["text"][-1, lengths[-1] - 2 : lengths[-1]].any()  # words that no train transcript has
    mixed = transcripts() | {name: " ".join(text.split()[::-1]) for name, text in [*transcripts().items()][20:]}
    write_transcripts(tmp_path, mixed)
    second = corpora.load("mosi_words", folder=tmp_path, standardise=False).samples
    assert torch.equal(first.x["text"][:20], second.x["text"][:20])
    assert not torch.equal(first.x["text"][20:], second.x["text"][20:])


def test_words_are_read_from_a_file_of_the_readers_choice(tmp_path):
    write(tmp_path, "mosi_words", mosi_arrays())
    (tmp_path / "vectors").mkdir()
    (tmp_path / "vectors/own.txt").write_text("".join(f"w{i} {i} {-i} 0.5\n" for i in range(80)))
    with pytest.warns(UserWarning, match="2 of 467 words have no vector in own.txt and are zeros"):
        corpus = corpora.load("mosi_words", folder=tmp_path, vectors="own.txt", standardise=False)
    numbers = [int(word[1:]) for word in transcripts()["v1_5"].split()]
    assert corpus.samples.x["text"][5, : len(numbers), 0].tolist() == numbers
    (tmp_path / "vectors/own.txt").write_text("other 1 2 3\n")
    for name, sentence in {
        "own.txt": "none of the words",
        "none.txt": "none.txt is missing; vectors/ has own.txt",
    }.items():
        with pytest.raises(CorpusError, match=sentence):
            corpora.load("mosi_words", folder=tmp_path, vectors=name)


TRANSCRIPT_DAMAGE = {
    "gone": (None, "mosi_bclstm_meta.csv is missing"),
    "an utterance short": (lambda texts: texts.pop("v0_2"), "sample 'v0_2' has no transcript in mosi_bclstm_meta.csv"),
    "few words": (lambda texts: texts.update(dict.fromkeys(texts, "the same words")), "has 3 words in the train split"),
}


@pytest.mark.parametrize("what", TRANSCRIPT_DAMAGE)
def test_damage_to_the_transcripts_is_reported(what, tmp_path):
    damage, sentence = TRANSCRIPT_DAMAGE[what]
    write(tmp_path, "mosi_words", mosi_arrays())
    texts = transcripts()
    if damage is None:
        (tmp_path / "mosi_bclstm/mosi_bclstm_meta.csv").unlink()
    else:
        damage(texts)
        write_transcripts(tmp_path, texts)
    assert any(sentence in problem for problem in corpora.check("mosi_words", tmp_path))
    with pytest.raises(CorpusError):
        corpora.load("mosi_words", folder=tmp_path)


def test_other_columns_and_binary_transcripts_are_reported(tmp_path):
    write(tmp_path, "mosi_words", mosi_arrays())
    path = tmp_path / "mosi_bclstm/mosi_bclstm_meta.csv"
    for content, sentence in ((b"utt,text\n", "no column 'transcript'; it has utt, text"), (b"", "it has nothing"),
                              (b"utt,transcript\nv0_0,\xff\n", "cannot be read")):  # fmt: skip
        path.write_bytes(content)
        assert any(sentence in problem for problem in corpora.check("mosi_words", tmp_path))


def test_a_sample_with_an_empty_transcript_lacks_the_text(tmp_path):
    write(tmp_path, "mosi_words", mosi_arrays())
    write_transcripts(tmp_path, transcripts() | {"v1_6": " ... "})
    present = corpora.load("mosi_words", folder=tmp_path).samples.present["text"]
    assert not present[6] and present.sum() == 29


# Pictures of digits, and clips


def digit_arrays(count: int = 60) -> dict[str, np.ndarray]:
    image = np.random.default_rng(4).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return {"image": image, "label": (np.arange(count) % 10).astype(np.uint8)}


def clip_arrays(count: int = 12) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(5)
    return {
        "face": draw.integers(0, 256, (count, 75, 8, 8), dtype=np.uint8),
        "audio": draw.integers(-9, 9, (count, 48000)).astype(np.int16),
        "name": np.array([f"{a}{b}af{c}n" for a, b, c in zip("blps" * 3, "bgrw" * 3, "z12345678912", strict=True)])[
            :count
        ],
        "speaker": np.full(count, "s1"),
        "sr": np.int32(16000),
    }


def write_npz(folder, name, arrays):
    (file,) = corpora.find(name).files(folder / corpora.find(name).about.folder, {})
    file.parent.mkdir(exist_ok=True)
    np.savez(file, **arrays)


def test_a_picture_is_in_one_triple_and_in_the_channel_of_its_digit(tmp_path):
    arrays = digit_arrays()
    write_npz(tmp_path, "mnist", arrays)
    corpus = corpora.load("mnist", folder=tmp_path, standardise=False)
    assert len(corpus) == 18 and sorted(np.concatenate(corpus.split.folds[0])) == [*range(18)]
    used = np.array([[int(i) for i in id.split("-")] for id in corpus.samples.id])
    assert len(np.unique(used)) == used.size
    for c, m in enumerate(corpus.modalities):
        digits = [int(corpus.labels[f"channel_{c + 1}"][i]) for i in corpus.samples.labels[f"channel_{c + 1}"]]
        assert (arrays["label"][used[:, c]] == digits).all() and {*digits} <= {3 * c, 3 * c + 1, 3 * c + 2}
        np.testing.assert_allclose(corpus.samples.x[m], arrays["image"][used[:, c]] / 255, atol=1e-6)


def test_clips_are_labelled_by_their_words_and_faces_by_components_of_train_clips(tmp_path):
    arrays = clip_arrays()
    write_npz(tmp_path, "grid", arrays)
    corpus = corpora.load("grid", folder=tmp_path, standardise=False)
    words = [corpus.labels[label][int(values[4])] for label, values in corpus.samples.labels.items()]
    assert words == ["bin", "blue", "at", "f", "4", "now"]
    assert corpus.shapes == {"audio": (192,), "visual": (50,)} and corpus.samples.mask["audio"].shape == (12, 301)
    assert not corpus.split.speaker_disjoint
    train, _, test = corpus.split.folds[0]
    arrays["face"][test] = 0
    write_npz(tmp_path, "grid", arrays)
    again = corpora.load("grid", folder=tmp_path, standardise=False)
    assert torch.equal(again.samples.x["visual"][train], corpus.samples.x["visual"][train])
    assert not torch.equal(again.samples.x["visual"][test], corpus.samples.x["visual"][test])


PICTURE_DAMAGE = {
    "mnist": {
        "another shape": (
            replace("image", lambda a: a[:, 1:]),
            r"'image'.*must hold whole numbers, \(images, 28, 28\)",
        ),
        "no bytes": (replace("image", lambda a: a.astype(int)), "'image'.*must hold bytes"),
        "labels short": (replace("label", lambda a: a[1:]), "'label'.*of shape"),
        "another label": (put("label", 10, 0), "'label'.* labels from 0 to 10"),
        "few digits": (replace("label", lambda a: np.where(a == 3, a, 9)), "10 pictures or more"),
    },
    "grid": {
        "another sentence": (put("name", "bbxf2n", 0), "'bbxf2n'.*letter of the preposition is one of a, b, i, w"),
        "a long name": (replace("name", lambda a: np.char.add(a, "x")), "six letters"),
        "another kind of sound": (replace("audio", lambda a: a / 2.0), "float64"),
        "few points": (replace("face", lambda a: a[:, :, :6]), "50 principal components"),
        "a clip short": (replace("face", lambda a: a[1:]), r"of shape \(11, 75, 8, 8\)"),
    },
}


@pytest.mark.parametrize(("name", "what"), [(name, what) for name, cases in PICTURE_DAMAGE.items() for what in cases])
def test_damage_to_pictures_and_clips_is_reported(name, what, tmp_path):
    damage, sentence = PICTURE_DAMAGE[name][what]
    arrays = {"mnist": digit_arrays, "grid": clip_arrays}[name]()
    damage(arrays)
    write_npz(tmp_path, name, arrays)
    problems = pd.Series(corpora.check(name, tmp_path))
    assert problems.str.contains(sentence).any() and problems.str.contains("npz").any(), problems
    with pytest.raises(CorpusError):
        corpora.load(name, folder=tmp_path)


def test_an_archive_of_something_else_is_reported(tmp_path):
    path = write(tmp_path, "mosi_bclstm", mosi_arrays())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("audio.npy", "not an array")
    problems = corpora.check("mosi_bclstm", tmp_path)
    assert any("'audio'" in problem and "cannot be read" in problem for problem in problems)
    assert any("array 'text' of mosi_bclstm.npz is missing" in problem for problem in problems)


def test_other_counts_than_published_are_reported_by_the_check_and_no_hindrance(tmp_path):
    write(tmp_path, "ravdess_av", ravdess_arrays())
    problems = corpora.check("ravdess_av", tmp_path)
    assert "48 samples; 360 were published" in problems
    write(tmp_path, "mosi_bclstm", mosi_arrays())
    assert "30 samples; 2199 were published" in corpora.check("mosi_bclstm", tmp_path)


@pytest.mark.parametrize("name", [*MADE, "mnist", "grid"])
def test_the_file_at_hand_is_as_published(name):
    if "no file" in "".join(corpora.check(name)):
        pytest.skip(f"{name} is not on this machine")
    assert corpora.check(name) == []


def test_the_two_readings_of_cmu_mosi_differ_in_the_label_alone(tmp_path):
    write(tmp_path, "mosi_bclstm", mosi_arrays())
    polarity, sentiment = (corpora.load(name, folder=tmp_path) for name in ("mosi_bclstm", "mosi_sentiment"))
    assert sentiment.labels == {"sentiment": ()} and polarity.labels == {"polarity": ("negative", "positive")}
    assert torch.equal((sentiment.samples.labels["sentiment"] >= 0).long(), polarity.samples.labels["polarity"])
    for one, other in zip(polarity.fold(0), sentiment.fold(0), strict=True):
        assert all(torch.equal(one.x[m], other.x[m]) for m in one.x) and (one.id == other.id).all()
