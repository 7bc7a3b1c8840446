"""Shared parts of the readers of sequences: padding, absent modalities, sentiment as two classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.corpora.common import CorpusError
from robustmer.corpora.files import Problems

POLARITY = ("negative", "positive")

NEUTRAL = ("positive", "negative", "drop")
"""The class of sentiment 0. "positive" fits the counts of NMER Table 1 (CMU-MOSEI: 14842 positive, 6066 negative);
"negative" is the rule of MultiBench's own loader; "drop" leaves these samples out."""


def extent(values: np.ndarray) -> tuple[int, int]:
    """The first frame that is not all zeros and the one after the last; (0, 0) if there is none."""
    recorded = np.flatnonzero((values != 0).any(1))
    return (int(recorded[0]), int(recorded[-1]) + 1) if len(recorded) else (0, 0)


def pack(frames: Iterable[np.ndarray], samples: int, longest: int, width: int):
    """x (samples, T, width), mask (samples, T) and present (samples,) of one modality, from an array (frames, width)
    for each sample with at most `longest` frames. A sample without frames does not have the modality."""
    x, length = torch.zeros(samples, max(longest, 1), width), torch.zeros(samples, dtype=torch.long)
    for i, values in enumerate(frames):
        if len(values):
            x[i, : len(values)] = torch.from_numpy(np.ascontiguousarray(values))
            length[i] = len(values)
    needed = max(int(length.max()) if samples else 0, 1)
    if needed < x.shape[1]:
        x = x[:, :needed].clone()
    return x, torch.arange(needed) < length[:, None], length > 0


def batch_of(packed: Mapping[str, tuple], label: str, values: np.ndarray, speaker, id, name: str) -> Batch:
    """A Batch from the packed modalities."""
    x, mask, present = ({m: group[i] for m, group in packed.items()} for i in range(3))
    return Batch(
        x, mask, present, {label: torch.from_numpy(values)}, np.array(speaker, str), np.array(id, str), name=name
    )


def polarity(sentiment: np.ndarray, neutral: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Label (0 negative, 1 positive; without `neutral` the sentiment itself) and which samples are kept.

    >>> polarity(np.array([-1.0, 0.0, 2.0]), "drop")
    (array([0, 0, 1]), array([ True, False,  True]))
    """
    everyone = np.ones(len(sentiment), dtype=bool)
    if neutral is None:
        return sentiment.astype(np.float32), everyone
    if neutral not in NEUTRAL:
        raise CorpusError(f"neutral={neutral!r} was given; sentiment 0 can be one of {', '.join(NEUTRAL)}")
    label = (sentiment >= 0 if neutral == "positive" else sentiment > 0).astype(np.int64)
    return label, sentiment != 0 if neutral == "drop" else everyone


def check_sentiment(file: str, sentiment: np.ndarray, id: np.ndarray, problems: Problems) -> None:
    """A problem where a sentiment is no number from -3 to 3."""
    for i in np.flatnonzero(~(np.abs(sentiment) <= 3 + 1e-4)):
        wrong = f"sentiment of sample {str(id[i])!r} in {file} is {sentiment[i]:g}; it must be -3 to 3"
        problems.add(wrong, "sentiment")
