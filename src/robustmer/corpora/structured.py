r"""Positive controls: corpora on which one mechanism of a network must win.

A null result means something only where the same protocol shows a difference that exists. Each corpus is made so that
one mechanism decides, and its Bayes classifier is known: `Corpus.factors["bayes"]` holds its answer for every sample
from the true densities, so its accuracy on test samples is the ceiling. There are three modalities of 16 features; u is
a direction of length 1 and e white noise of variance 1, drawn for each frame.

interaction  Two classes. x_audio = 1.6 a u + e and x_visual = 1.6 v u' + e with independent signs a, v; the class is
             the sign of a v. No modality alone, and no weighted sum, says anything about it.
selection    Four classes. One modality, drawn for each sample, shows the class: x = 2.5 u_c + 3 u_5 + e; the other two
             show classes drawn at random, with -3 u_5. A system must read who speaks before it listens.
moment       Two classes, 24 frames. In each modality two neighbouring frames, at a random time, carry +4 y u and
             -4 y u. The mean over time carries nothing.
completion   Two classes. Voice: two signs, b_1 and b_2, along two directions, 2.5 each. Face: v = b_1 b_2, words: t,
             2.5 along one direction. The class is the sign of v t. The face, always there in training, is absent from
             the test: what it would show can be read off the voice.

Each fold has samples of its own in all three parts, so folds are independent repetitions (`test_to_train` is 0). All
sums are of single products on a grid, so the bytes do not depend on the machine. These corpora say nothing about people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int

from robustmer.batch import MODALITIES, Batch
from robustmer.corpora.common import About, CorpusError
from robustmer.corpora.corpus import Corpus, Split
from robustmer.corpora.files import Problems
from robustmer.corpora.layout import Layout
from robustmer.corpora.synthetic import generator

WIDTH, FRAMES, STEPS = 16, 24, 256.0
SIZES = {"smoke": (2, 64, 32, 64), "quick": (5, 1000, 500, 1000)}
"""Folds; train, validation and test samples of each."""

Frames = dict[str, Float[np.ndarray, "sample frame width"]]
Made = tuple[Frames, Int[np.ndarray, "sample"], Int[np.ndarray, "sample"]]
"""The frames of each modality, the class, and the Bayes classifier's answer to what the test shows."""


def directions(draw: np.random.Generator, count: int) -> Float[np.ndarray, "count width"]:
    """So many directions at right angles, on a grid."""
    return np.rint(np.linalg.qr(draw.standard_normal((WIDTH, count)))[0].T * STEPS) / STEPS


def noise(draw: np.random.Generator, *shape: int) -> np.ndarray:
    return draw.standard_normal(shape)


def signs(draw: np.random.Generator, samples: int) -> Int[np.ndarray, "sample"]:
    return draw.integers(0, 2, samples) * 2 - 1


def interaction(draw: np.random.Generator, samples: int) -> Made:
    hidden, x, evidence = {}, {"text": noise(draw, samples, 1, WIDTH)}, 1.0
    for m in ("audio", "visual"):
        hidden[m], (u,) = signs(draw, samples), directions(draw, 1)
        x[m] = 1.6 * hidden[m][:, None, None] * u + noise(draw, samples, 1, WIDTH)
        evidence = evidence * np.tanh(1.6 * x[m][:, 0] @ u)  # E[sign | x]
    return x, (hidden["audio"] * hidden["visual"] > 0).astype(int), (evidence > 0).astype(int)


def selection(draw: np.random.Generator, samples: int) -> Made:
    label, speaks = draw.integers(0, 4, samples), draw.integers(0, 3, samples)
    x, shows, wins = {}, [], []
    for number, m in enumerate(MODALITIES):
        u = directions(draw, 5)
        shown = np.where(speaks == number, label, draw.integers(0, 4, samples))
        mark = np.where(speaks == number, 3.0, -3.0)
        x[m] = (2.5 * u[shown] + mark[:, None] * u[4] + noise(draw, samples, WIDTH))[:, None]
        projected = x[m][:, 0] @ u.T
        shows.append(np.exp(2.5 * projected[:, :4] - 2.5**2 / 2))
        wins.append(6.0 * projected[:, 4])
    like = np.zeros((samples, 4))
    for number in range(3):
        others = np.prod([shows[k].mean(1) for k in range(3) if k != number], axis=0)
        like += np.exp(wins[number] - np.max(wins, axis=0))[:, None] * shows[number] * others[:, None]
    return x, label, like.argmax(1)


def moment(draw: np.random.Generator, samples: int) -> Made:
    sign, x, ratio = signs(draw, samples), {}, 0.0
    for m in MODALITIES:
        (u,), at = directions(draw, 1), draw.integers(0, FRAMES - 1, samples)
        x[m] = noise(draw, samples, FRAMES, WIDTH)
        rows = np.arange(samples)
        x[m][rows, at] += 4.0 * sign[:, None] * u
        x[m][rows, at + 1] -= 4.0 * sign[:, None] * u
        fall = 4.0 * (x[m][:, :-1] - x[m][:, 1:]) @ u
        ratio = ratio + np.logaddexp.reduce(fall, axis=1) - np.logaddexp.reduce(-fall, axis=1)
    return x, (sign > 0).astype(int), (ratio > 0).astype(int)


def completion(draw: np.random.Generator, samples: int) -> Made:
    first, second, words = (signs(draw, samples) for _ in range(3))
    u = {"audio": directions(draw, 2), "visual": directions(draw, 1), "text": directions(draw, 1)}
    shown = {"audio": [first, second], "visual": [first * second], "text": [words]}
    x = {
        m: noise(draw, samples, 1, WIDTH) + sum(2.5 * s[:, None, None] * v for s, v in zip(shown[m], u[m], strict=True))
        for m in MODALITIES
    }
    bits = [*(x["audio"][:, 0] @ u["audio"].T).T, x["text"][:, 0] @ u["text"][0]]
    return x, (first * second * words > 0).astype(int), (np.prod(bits, axis=0) > 0).astype(int)


MECHANISMS: dict[str, Callable[[np.random.Generator, int], Made]] = {
    "interaction": interaction, "selection": selection, "moment": moment, "completion": completion,
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Structured(Layout):
    """Made, not read. Options: `size` is one of SIZES, and `seed`."""

    mechanism: str

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus:
        size, seed = settings["size"], settings["seed"]
        if size not in SIZES:
            raise CorpusError(f"size {size!r} was given; it is one of {', '.join(SIZES)}")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise CorpusError(f"seed {seed!r} was given; give an integer from 0 up")
        folds, *parts = SIZES[size]
        total = folds * sum(parts)
        x, label, bayes = MECHANISMS[self.mechanism](generator(seed, self.name), total)
        frames = {m: torch.from_numpy((np.rint(x[m] * STEPS) / STEPS).astype(np.float32)) for m in MODALITIES}
        id = np.array([f"{i:05d}" for i in range(total)])
        samples = Batch(
            frames, {m: torch.ones(f.shape[:2], dtype=torch.bool) for m, f in frames.items()},
            {m: torch.ones(total, dtype=torch.bool) for m in frames}, {self.label: torch.from_numpy(label)}, id, id,
            name=self.name,
        )  # fmt: skip
        drawn = [np.split(rows, np.cumsum(parts)[:-1]) for rows in np.arange(total).reshape(folds, -1)]
        split = Split("drawn anew for each fold", drawn, test_to_train=0.0)
        return Corpus(self.name, samples, self.labels(settings), split, bool(settings["standardise"]), {"bayes": bayes})


CORPORA: dict[str, Layout] = {
    f"synthetic_{mechanism}": Structured(
        name=f"synthetic {mechanism}", mechanism=mechanism, label="class",
        classes=tuple("ABCD" if mechanism == "selection" else "AB"), options={"size": "quick", "seed": 0},
        about=About(
            title=f"Positive control, {mechanism}", access="made from a seed on this machine, no download",
            licence="that of this project", folder=None, modalities=MODALITIES))
    for mechanism in MECHANISMS}  # fmt: skip
