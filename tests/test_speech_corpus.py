"""RAVDESS speech: who tests whom, and the take that the corpus holds twice."""

import numpy as np
import pytest

from robustmer import corpora
from robustmer.corpora import CorpusError, CorpusNotFound
from robustmer.corpora.catalogue import DOUBLED

NAMES = {"ravdess_speech": (6, 16, 4, 4), "ravdess_speech_loso": (24, 21, 2, 1)}
"""Folds, and the actors of their train, validation and test splits."""


def speech_arrays():
    """The layout of ravdess_speech_mel.npz: three takes an actor, the first two of actor 7 being the doubled ones."""
    draw = np.random.default_rng(0)
    actor = np.tile(np.arange(1, 25, dtype=np.int8), 3)
    name = np.array([f"take-{i:02d}-of-actor-{a:02d}" for i, a in enumerate(actor)], dtype="U20")
    name[[6, 30]] = DOUBLED
    functionals = draw.normal(100, 20, size=(72, 209)).astype(np.float32)
    return {"functionals": functionals, "name": name, "emotion": (np.arange(72) % 8).astype(np.int8), "actor": actor}


def write(folder, **changes):
    (folder / "ravdess_speech").mkdir()
    np.savez(folder / "ravdess_speech/ravdess_speech_mel.npz", **speech_arrays() | changes)


@pytest.fixture(params=["written", "at hand"])
def folder(request, tmp_path):
    if request.param == "written":
        write(tmp_path)
        return tmp_path
    try:
        corpora.load("ravdess_speech")
    except CorpusNotFound:
        pytest.skip("RAVDESS speech is not on this machine")


@pytest.mark.parametrize("name", NAMES)
def test_everybody_tests_once_and_no_speaker_is_in_two_parts(name, folder):
    corpus = corpora.load(name, folder=folder)
    count, *people = NAMES[name]
    assert len(corpus.split.folds) == count and corpus.split.speaker_disjoint
    for parts in corpus.split.folds:
        speakers = [{*corpus.samples.speaker[part]} for part in parts]
        assert [len(group) for group in speakers] == people and len(set().union(*speakers)) == 24
    tests = np.concatenate([test for _, _, test in corpus.split.folds])
    assert sorted(corpus.samples.id[tests]) == sorted({*corpus.samples.id} - {DOUBLED[1]})


@pytest.mark.parametrize("name", NAMES)
def test_the_second_copy_of_the_doubled_take_is_in_no_fold(name, folder):
    corpus = corpora.load(name, folder=folder)
    for fold in corpus.split.folds:
        used = corpus.samples.id[np.concatenate(fold)]
        assert DOUBLED[0] in used and DOUBLED[1] not in used and len(used) == len(corpus) - 1


def test_a_validating_pair_is_a_man_and_a_woman(folder):
    corpus = corpora.load("ravdess_speech_loso", folder=folder)
    for _, valid, test in corpus.split.folds:
        assert {int(name[-2:]) % 2 for name in corpus.samples.speaker[valid]} == {0, 1}
        assert len({*corpus.samples.speaker[test]}) == 1


def test_the_file_at_hand_is_as_published():
    if "no file" in "".join(corpora.check("ravdess_speech")):
        pytest.skip("RAVDESS speech is not on this machine")
    assert corpora.check("ravdess_speech") == corpora.check("ravdess_speech_loso") == []


@pytest.mark.parametrize(("change", "sentence"), [
    ({"functionals": np.zeros((72, 208), np.float32)}, "'functionals'.*must hold numbers"),
    ({"emotion": np.full(72, 8)}, "'emotion'.* has 8 in row 0 .*; it must be 0 to 7"),
    ({"actor": np.tile(np.r_[1, 1, 3:25], 3)}, "no sample of actor 2, who tests one fold"),
    ({"name": np.full(72, "take")}, "sample 'take' is in 72 rows"),
])  # fmt: skip
def test_damage_is_reported(change, sentence, tmp_path):
    write(tmp_path, **change)
    with pytest.raises(CorpusError, match=sentence):
        corpora.load("ravdess_speech", folder=tmp_path)
