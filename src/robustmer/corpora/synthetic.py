r"""synthetic: a corpus made from a seed with the schema of IEMOCAP, so that everything runs without a download.

The class c of an utterance is one of four, its speaker one of ten. Two kinds of hidden state are drawn,
each a point in three dimensions around one of the four corners of a regular simplex:

    s   = d_s mu_c     + eps      the shared state, the same in every modality of the utterance
    e_m = d_m nu_{m,c} + eps      the specific state of modality m                              eps ~ N(0, I_3)

so the modalities partly agree, through s, and partly complement one another, through e_m. Frame t of modality m is

    x_t = g_m a_t W_m [s; e_m] + h_m A_m u_t + b_{m,speaker} + f_m epsilon_t

with fixed matrices W_m (D x 6) and A_m (D x 12) of random directions at right angles, a salience a_t > 0 that changes
slowly over time and has mean 1 within the utterance, a nuisance u_t that is AR(1) in time and has a covariance of rank
12 over features, an offset b of the speaker, and white noise epsilon_t. `SHARE` is the share of each term in a frame's
power.

The seed decides the matrices and all draws; modalities have streams of their own, so that leaving one out does not
change the others. Values lie on a grid and every sum of products is exact in float32, so the bytes do not depend on the
linear algebra library or its number of threads. `Corpus.factors` holds `shared` (N, 3), `specific_<m>` (N, 3),
`corners_shared` and `corners_<m>` (4, 3; already times the separation), `loading_<m>` (D, 6; W_m), `salience_<m>` (N,
T; 0 in the padding), `offset_<m>` (10, D).

Every table made from this corpus says "synthetic" and supports no conclusion about people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import MODALITIES, Batch, mean_over_time
from robustmer.corpora.common import About, CorpusError
from robustmer.corpora.corpus import Corpus, Split, folds_by_group
from robustmer.corpora.files import Problems
from robustmer.corpora.layout import Layout

CLASSES = ("happy", "angry", "sad", "neutral")
DIMS = {"audio": 130, "visual": 342, "text": 1024}
"""Widths of NMER's features: ComParE low-level descriptors, DenseFace, BERT."""

CLASS_COUNTS = (1636, 1103, 1084, 1708)
"""NMER Table 1, IEMOCAP, in the order of CLASSES."""

SPEAKER_COUNTS = {"Ses01M": 557, "Ses01F": 528, "Ses02M": 542, "Ses02F": 481, "Ses03M": 629, "Ses03F": 522,
                  "Ses04M": 503, "Ses04F": 528, "Ses05M": 651, "Ses05F": 590}  # fmt: skip
"""Utterances a speaker. Sessions sum to IEMOCAP's 1085, 1023, 1151, 1031, 1241, and the first two speakers to NMER
Table 1's test split (557) and the 528 left for validation; the division within the other sessions is a choice."""

SIZES = {"smoke": (160, 0.5), "quick": (1000, 0.5), "paper": (5531, 1.0)}
"""Utterances in all, and the length of a sequence as a share of the full one: smoke and quick train on half as many
frames, of the same widths."""

LONGEST = {"audio": 155, "visual": 50, "text": 22}

SEPARATION = {"shared": 0.73, "audio": 0.98, "visual": 0.59, "text": 0.91}
"""d_s and d_m, in standard deviations of a hidden state. Calibrated at size="paper" so that logistic regression on
time-pooled features of ONE clean modality reaches, on held-out speakers, the WA in PUBLISHED_WA
(bench/synthetic_calibration.py measures it). Their shared part decides how much fusion adds. No paper states it; with
0.73 all three modalities together reach about 0.78."""

PUBLISHED_WA = {"audio": 0.6693, "visual": 0.5723, "text": 0.6484}
"""NMER Table 4, IEMOCAP, first row ("0dB"), `results/published/nmer_table04.csv`."""

SHARE = {
    "audio": {"state": 0.15, "nuisance": 0.51, "offset": 0.04, "white": 0.30},
    "visual": {"state": 0.10, "nuisance": 0.56, "offset": 0.04, "white": 0.30},
    "text": {"state": 0.07, "nuisance": 0.59, "offset": 0.04, "white": 0.30},
}
"""Share of each term in the power of a frame. White noise averages out over frames, so added noise matters only because
the share of `state` is small: at -20 dB the WA falls to about .51, .44, .44 (.48, .39, .47 in NMER Table 4)."""

NUISANCE_RANK, NUISANCE_MEMORY = 12, 0.8
SALIENCE_MEMORY, SALIENCE_SPREAD = 0.9, 0.6
CHUNK = 256
"""Rows drawn at a time. It bounds the memory and fixes the order of the draws: another value is another corpus."""

LATENT_GRID, LOADING_GRID = 32.0, 256.0
"""Steps a unit. A sum of products has 18 terms, each a latent below 2^10 times a loading of about 2^8, and
stays below the 2^24 up to which float32 counts without rounding."""


class Synthetic(Layout):
    """Made, not read. Options: `size` is one of SIZES; `pooled` averages the frames of each sample into one vector, for
    trainings that must end in seconds. Size "paper" holds 1.3 GB."""

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus:
        size, seed, modalities = settings["size"], settings["seed"], settings["modalities"]
        if size not in SIZES:
            raise CorpusError(f"size {size!r} was given; it is one of {', '.join(SIZES)}")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise CorpusError(f"seed {seed!r} was given; give an integer from 0 up")
        if not modalities or not {*modalities} <= {*MODALITIES}:
            raise CorpusError(f"modalities {list(modalities)} were given; choose from {', '.join(MODALITIES)}")
        total, pace = SIZES[size]
        speaker, label = deal(total, seed)
        names = np.array(list(SPEAKER_COUNTS))[speaker]
        id = np.array([f"{name}_{number:04d}" for name, number in zip(names, range(total), strict=True)])
        lengths = draw_lengths(total, pace, seed)
        shared, corners = draw_states(SEPARATION["shared"], label, seed, "shared")
        factors = {"shared": shared, "corners_shared": corners}
        x, mask, present = {}, {}, {}
        for m in (m for m in MODALITIES if m in modalities):
            specific, corners = draw_states(SEPARATION[m], label, seed, m)
            mask[m] = torch.arange(int(lengths[m].max())) < torch.from_numpy(lengths[m])[:, None]
            present[m] = torch.ones(total, dtype=torch.bool)
            states = np.concatenate([shared, specific], axis=1)
            frames, loading, salience, offset = draw_frames(m, states, speaker, lengths[m], seed)
            x[m] = torch.from_numpy(frames)
            if settings["pooled"]:
                x[m] = mean_over_time(x[m], mask[m])[:, None]
                mask[m] = mask[m][:, :1]
            factors |= {f"specific_{m}": specific, f"corners_{m}": corners, f"loading_{m}": loading,
                        f"salience_{m}": salience, f"offset_{m}": offset}  # fmt: skip
        samples = Batch(x, mask, present, {self.label: torch.from_numpy(label)}, names, id, name=self.name)
        people = list(SPEAKER_COUNTS)
        partner = [people[i ^ 1] for i in range(len(people))]
        split = Split("by speaker", folds_by_group(names, [(p,) for p in people], [(p,) for p in partner]))
        return Corpus(self.name, samples, self.labels(settings), split, bool(settings["standardise"]), factors)


synthetic = Synthetic(
    name="synthetic",
    label="emotion",
    classes=CLASSES,
    options={"size": "quick", "seed": 0, "pooled": False},
    about=About(
        title="Synthetic corpus with the schema of IEMOCAP",
        access="made from a seed on this machine, no download",
        licence="that of this project",
        folder=None,
        modalities=MODALITIES,
    ),
)


def generator(seed: int, what: str) -> np.random.Generator:
    """One stream for everything that is drawn separately, so that no draw shifts another."""
    return np.random.default_rng([seed, *what.encode()])


def deal(total: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Speaker (N,) and label (N,) of each utterance, ordered by speaker, with exact counts of both.

    Every speaker gets nearly the same mixture of classes, so that small sizes leave no speaker without one of them.
    """
    draw = generator(seed, "labels")
    of_class, of_speaker = shrink(CLASS_COUNTS, total), shrink(tuple(SPEAKER_COUNTS.values()), total)
    label = np.repeat(np.arange(len(CLASSES)), of_class)
    place = np.concatenate([(np.arange(n) + draw.random(n)) / n for n in of_class])
    label = label[np.argsort(place, kind="stable")]
    speaker = np.repeat(np.arange(len(of_speaker)), of_speaker)
    order = np.lexsort((draw.random(total), speaker))
    return speaker[order], label[order]


def shrink(counts: tuple[int, ...], total: int) -> np.ndarray:
    """Integers in the proportions of `counts` that sum to `total` (largest remainders)."""
    exact = np.array(counts) * (total / sum(counts))
    whole = np.floor(exact).astype(int)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole


def draw_lengths(total: int, pace: float, seed: int) -> dict[str, np.ndarray]:
    """Frames an utterance, (N,) for each modality: seconds are log-normal with mean 4.5, at least 0.8.

    Audio has 10 frames a second; the face is seen in 60 to 100% of them, 50 at most; speech has about 2.7 tokens a
    second, 22 at most. `pace` shortens all of them and their limits.
    """
    draw = generator(seed, "lengths")
    seconds = np.maximum(4.5 * np.exp(0.6 * draw.standard_normal(total) - 0.6**2 / 2), 0.8)
    rate = {
        "audio": np.full(total, 10.0),
        "visual": 10 * draw.uniform(0.6, 1.0, total),
        "text": 2.7 * draw.uniform(0.7, 1.3, total),
    }
    frames = {m: np.rint(pace * seconds * rate[m]).astype(np.int64) for m in MODALITIES}
    return {m: frames[m].clip(1, int(pace * LONGEST[m])) for m in MODALITIES}


def draw_states(separation: float, label: np.ndarray, seed: int, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Hidden states d mu_c + eps (N, 3), and the corners (classes, 3) of a simplex that `what` turns its own way."""
    draw = generator(seed, f"states {what}")
    simplex = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    turn = np.linalg.qr(draw.standard_normal((3, 3)))[0]
    corners = separation * simplex @ turn
    return corners[label] + draw.standard_normal((len(label), 3)), corners


def draw_frames(modality: str, states: np.ndarray, speaker: np.ndarray, length: np.ndarray, seed: int):
    """Frames (N, T, D) with zeros in the padding, loading (D, 6), salience (N, T), offset (speakers, D)."""
    draw, dim, share = generator(seed, modality), DIMS[modality], SHARE[modality]
    rows, longest = len(length), int(length.max())
    # A state has variance 1 plus d^2/3 from its corners, a salience of mean 1 adds its own; the gains divide that away.
    power = np.mean(states**2) * (1 + SALIENCE_SPREAD**2)
    # Columns of length sqrt(D), at right angles: how hard it is to see through the nuisance is no accident of the seed.
    columns = np.sqrt(dim) * np.linalg.qr(draw.standard_normal((dim, states.shape[1] + NUISANCE_RANK)))[0]
    loading, nuisance = np.split(columns, [states.shape[1]], axis=1)
    loading = on_grid(loading * np.sqrt(share["state"] / states.shape[1] / power), LOADING_GRID)
    nuisance = on_grid(nuisance * np.sqrt(share["nuisance"] / NUISANCE_RANK), LOADING_GRID)
    fine = LATENT_GRID * LOADING_GRID
    offset = on_grid(draw.standard_normal((len(SPEAKER_COUNTS), dim)) * np.sqrt(share["offset"]), fine)
    mixing = np.ascontiguousarray(np.concatenate([loading, nuisance], axis=1).T)

    frames = np.zeros((rows, longest, dim), dtype=np.float32)
    salience = np.zeros((rows, longest), dtype=np.float32)
    for start in range(0, rows, CHUNK):
        chunk = slice(start, min(start + CHUNK, rows))
        steps = int(length[chunk].max())
        recorded = np.arange(steps) < length[chunk, None]
        weight = autoregressive(draw, len(recorded), steps, 1, SALIENCE_MEMORY)[..., 0]
        weight = np.exp(SALIENCE_SPREAD * weight) * recorded
        weight /= weight.sum(1, keepdims=True) / length[chunk, None]
        slow = autoregressive(draw, len(recorded), steps, NUISANCE_RANK, NUISANCE_MEMORY)
        latent = np.concatenate([weight[..., None] * states[chunk, None], slow], axis=2)
        white = draw.standard_normal((int(recorded.sum()), dim), dtype=np.float32)
        white *= np.float32(np.sqrt(share["white"]) * fine)
        np.rint(white, out=white)
        white += on_grid(latent[recorded], LATENT_GRID) @ mixing
        white += np.repeat(offset[speaker[chunk]], length[chunk], axis=0)
        white /= np.float32(fine)
        frames[chunk, :steps][recorded] = white
        salience[chunk, :steps] = weight
    return frames, loading / np.float32(LOADING_GRID), salience, offset / np.float32(fine)


def on_grid(values: np.ndarray, steps: float) -> np.ndarray:
    """Whole numbers of 1/steps, as float32 integers."""
    return np.rint(values * steps).astype(np.float32)


def autoregressive(draw: np.random.Generator, rows: int, steps: int, rank: int, memory: float) -> np.ndarray:
    """Stationary AR(1) series (rows, steps, rank) of variance 1: u_t = memory u_{t-1} + sqrt(1 - memory^2) eps_t."""
    series = draw.standard_normal((rows, steps, rank))
    fresh = np.sqrt(1 - memory**2)
    for t in range(1, steps):
        series[:, t] = memory * series[:, t - 1] + fresh * series[:, t]
    return series
