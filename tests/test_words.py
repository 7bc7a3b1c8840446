"""Word vectors: the three files that the field uses read alike, and vectors made from transcripts mean something."""

import numpy as np
import pytest

from robustmer.corpora.files import Unfit
from robustmer.corpora.words import ppmi_vectors, word_vectors

WORDS = {"the": [0.5, -1.0, 2.0], "film": [1.5, 0.25, -3.0], "naïve": [0.0, 4.0, 1e-3]}


def lines(end: str = "\n") -> str:
    return "".join(f"{word} {' '.join(map(str, values))}{end}" for word, values in WORDS.items())


def binary(end: bytes = b"") -> bytes:
    return b"".join(word.encode() + b" " + np.array(values, "<f4").tobytes() + end for word, values in WORDS.items())


FILES = {
    "GloVe": lines().encode(),
    "GloVe, Windows": lines("\r\n").encode(),
    "word2vec text": b"3 3\n" + lines(" \n").encode(),
    "word2vec binary": b"3 3\n" + binary(),
    "word2vec binary with line ends": b"3 3\n" + binary(b"\n"),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_holds_the_same_vectors(kind, tmp_path):
    (tmp_path / "file").write_bytes(FILES[kind])
    vectors = word_vectors(tmp_path / "file", {*WORDS, "unknown"})
    assert vectors.keys() == WORDS.keys()
    for word, values in WORDS.items():
        np.testing.assert_array_equal(vectors[word], np.array(values, np.float32))
    assert word_vectors(tmp_path / "file", {"film"}).keys() == {"film"}


def test_a_word_with_spaces_is_no_hindrance(tmp_path):
    (tmp_path / "glove.txt").write_text(lines() + ". . . 1 2 3\nlast 4 5 6\n")
    assert word_vectors(tmp_path / "glove.txt", {"last"})["last"].tolist() == [4, 5, 6]


@pytest.mark.parametrize(("content", "sentence"), [
    (b"", "is empty"),
    (b"word\n", "begins with b'word"),
    (lines().encode() + b"short 1 2\n", "has 2 values in line 4 and 3 before"),
    (b"the 1 2 nan\n", "not finite"),
    (b"the 1 2 x\n", "value of the word 'the' that is no number"),
    (b"3 3\n" + binary()[:-5], "ends within word 3 of 3"),
    (b"9 3\n" + binary(), "ends within word 4 of 9"),
])  # fmt: skip
def test_a_damaged_file_is_reported(content, sentence, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(Unfit, match=sentence):
        word_vectors(tmp_path / "file", {*WORDS, "short"})


def test_words_of_the_same_neighbours_have_near_vectors():
    draw = np.random.default_rng(0)
    topics = [[f"{topic}{i}" for i in range(20)] for topic in ("a", "b")]
    sentences = [draw.choice(topics[i % 2], 8).tolist() for i in range(400)]
    vectors = ppmi_vectors(sentences, width=5)
    a, b = (np.mean([vectors[word] / np.linalg.norm(vectors[word]) for word in topic[:10]], axis=0) for topic in topics)
    rest = np.mean([vectors[word] / np.linalg.norm(vectors[word]) for word in topics[0][10:]], axis=0)
    assert a @ rest > 5 * abs(b @ rest)
    again = ppmi_vectors(sentences, width=5)
    assert all(np.array_equal(vectors[word], again[word]) for word in vectors)


def test_words_that_only_meet_themselves_have_the_information_of_their_rarity():
    """The matrix is diagonal with log(N / n) for a word with n of N meetings; the commonest word falls off at width 4."""
    meetings = {"a": 2, "b": 6, "c": 20, "d": 42, "e": 90}  # of 2, 3, 5, 7 and 10 words that are all alike
    sentences = [[word] * length for word, length in zip("abcde", (2, 3, 5, 7, 10), strict=True)]
    vectors = ppmi_vectors(sentences, width=4, window=10)
    for word, number in meetings.items():
        length = vectors[word] @ vectors[word]
        assert length == pytest.approx(np.log(sum(meetings.values()) / number) if word != "e" else 0, abs=1e-3)


def test_too_few_words_are_refused():
    with pytest.raises(Unfit, match="has 2 words in the train split; vectors of 50 values need more words"):
        ppmi_vectors([["a", "b"]])
