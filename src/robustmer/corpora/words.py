"""Words as vectors: read from word2vec's and GloVe's files, or made from the transcripts of a train split."""

from __future__ import annotations

import itertools
import mmap
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from robustmer.corpora.files import Unfit, finite

Vectors = Mapping[str, Float[np.ndarray, "dim"]]

WIDTH, WINDOW = 50, 5
"""Of vectors made from transcripts: their length, and how far apart two words count as neighbours."""


def words_of(transcript: str) -> list[str]:
    """The words in small letters, without punctuation.

    >>> words_of("It's NOT the same film.")
    ["it's", 'not', 'the', 'same', 'film']
    """
    return re.findall(r"[a-z0-9']+", transcript.lower())


def word_vectors(path: Path, words: Collection[str]) -> Vectors:
    """Vectors of these words; words that the file lacks are left out.

    Reads word2vec's text and binary files, whose first line is the number of words and of values, and GloVe's text.
    Raises Unfit for lines of unequal length, for values that are no finite numbers, and for a file that is cut short.
    """
    with path.open("rb") as file:
        head, first = file.readline(), file.readline()
    if not head.strip():
        raise Unfit("is empty; give a file of word2vec or GloVe")
    sizes = head.split() if re.fullmatch(rb"\d+ \d+\s*", head) else ()
    width = int(sizes[1]) if sizes else len(head.split()) - 1
    if width < 1:
        raise Unfit(f"begins with {head[:40]!r}; a line is a word and its values, or the number of words and of values")
    binary = bool(sizes) and not re.fullmatch(rb"\S+( [-+.\deE]+)+\s*", first)
    lines = binary_lines(path, int(sizes[0]), width) if binary else text_lines(path, width, skip=bool(sizes))
    vectors = {}
    for word, values in lines:
        if word in words and word not in vectors:
            try:
                vectors[word] = finite(np.array(values, dtype=np.float32))
            except ValueError:
                raise Unfit(f"holds a value of the word {word!r} that is no number; get the file again") from None
    return vectors


def text_lines(path: Path, width: int, skip: bool) -> Iterable[tuple[str, Sequence]]:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and skip:
                continue
            word, *values = line.rstrip().rsplit(" ", width)  # some words of GloVe hold spaces
            if len(values) != width:
                raise Unfit(f"has {len(values)} values in line {number} and {width} before; get the file again")
            yield word, values


def binary_lines(path: Path, count: int, width: int) -> Iterable[tuple[str, Sequence]]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(b"\n") + 1
        for number in range(count):
            space = content.find(b" ", place)
            end = space + 1 + 4 * width
            if space < 0 or end > len(content):
                raise Unfit(f"ends within word {number + 1} of {count}; get the file again")
            word = content[place:space].lstrip(b"\n").decode("utf-8", "replace")
            yield word, np.frombuffer(content[space + 1 : end], "<f4")
            place = end


def ppmi_vectors(sentences: Sequence[Sequence[str]], width: int = WIDTH, window: int = WINDOW) -> Vectors:
    """Vectors from the positive pointwise mutual information of words up to `window` apart, cut to `width` by SVD:
    U sqrt(S) (Levy and Goldberg 2014; Levy, Goldberg and Dagan 2015). Raises Unfit for as few words as values."""
    from scipy.sparse import coo_array
    from sklearn.utils.extmath import randomized_svd

    vocabulary = sorted({*itertools.chain.from_iterable(sentences)})
    if len(vocabulary) <= width:
        raise Unfit(f"has {len(vocabulary)} words in the train split; vectors of {width} values need more words")
    index = {word: i for i, word in enumerate(vocabulary)}
    pairs = Counter()
    for sentence in sentences:
        for place, word in enumerate(sentence):
            for other in sentence[place + 1 : place + 1 + window]:
                pairs[index[word], index[other]] += 1
                pairs[index[other], index[word]] += 1
    (row, column), count = np.array(list(pairs)).T, np.array(list(pairs.values()), dtype=np.float64)
    of_word = np.bincount(row, count, minlength=len(vocabulary))
    information = np.log(count * count.sum() / (of_word[row] * of_word[column]))
    positive = coo_array((np.maximum(information, 0), (row, column)), shape=(len(index), len(index)))
    left, strength, _ = randomized_svd(positive.tocsr(), width, n_iter=10, random_state=0)
    vectors = (left * np.sqrt(strength)).round(4).astype(np.float32)  # the last digits differ between machines
    return dict(zip(vocabulary, vectors, strict=True))
