"""Standardisation with the statistics of the train split, in memory or batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from robustmer.batch import FRAMEWISE, Batch, Samples, Scaling
from robustmer.corpora.common import CorpusError

CHUNK = 256
"""Statistics take CHUNK samples at a time: a large corpus is never copied to float64 as a whole. Chunks add up in
order, so another value changes the last digits."""

Moments = tuple[Tensor, Tensor]


def frames_of(x: Tensor, mask: Tensor) -> Tensor:
    """The recorded frames (N, *feature) in float64; bytes count from 0 to 1."""
    frames = x[mask].double()
    return frames / 255 if x.dtype == torch.uint8 else frames


def mean_and_std(batch: Batch, modality: str) -> Moments | None:
    """Mean and population standard deviation of each feature over the recorded frames, float64; None without frames."""
    mask = batch.mask[modality] & batch.present[modality][:, None]
    chunks = list(zip(batch.x[modality].split(CHUNK), mask.split(CHUNK), strict=True))
    count = int(mask.sum())
    if not count:
        return None
    mean = sum(frames_of(*chunk).sum(0) for chunk in chunks) / count
    square = sum((frames_of(*chunk) - mean).square().sum(0) for chunk in chunks) / count
    return mean, square.sqrt()


def streamed(samples: OnDemand) -> dict[str, Moments | None]:
    """As `mean_and_std` for every modality, in one pass over samples that are read on demand.

    Chan, Golub and LeVeque (1983): means and sums of squares of batches are combined without a second pass.
    """
    state: dict[str, tuple[int, Tensor | float, Tensor | float]] = dict.fromkeys(samples.shapes, (0, 0.0, 0.0))
    for batch in samples.batches():
        for m, (count, mean, square) in state.items():
            frames = frames_of(batch.x[m], batch.mask[m] & batch.present[m][:, None])
            if len(frames):
                total, center = count + len(frames), frames.mean(0)
                step = center - mean
                square = square + (frames - center).square().sum(0) + step.square() * (count * len(frames) / total)
                state[m] = total, mean + step * (len(frames) / total), square
    return {m: (mean, (square / count).sqrt()) if count else None for m, (count, mean, square) in state.items()}


def varies(mean: Tensor, std: Tensor) -> Tensor:
    """A mask of the features that are not constant up to rounding."""
    return std > 1e-6 * mean.abs().clamp(min=1e-6)


def total_variance(mean: Tensor, std: Tensor) -> float:
    """sigma^2 of NMER eq. 4: one number over all recorded frames and features of the train split."""
    return float((std.square() + (mean - mean.mean()).square()).mean())


def scale_(batch: Batch, scaling: Scaling) -> None:
    """x becomes (x - mean) / std in recorded frames, 0 in the padding and in constant features (std 0); in place."""
    for m, (mean, std) in scaling.items():
        x, constant = batch.x[m], std == 0
        x.sub_(mean.to(x)).div_(torch.where(constant, 1.0, std).to(x)).masked_fill_(constant.to(x.device), 0.0)
        x.masked_fill_(~batch.mask[m].reshape(*batch.mask[m].shape, *[1] * (x.ndim - 2)), 0.0)


def standardised(batch: Batch, scaling: Scaling) -> Batch:
    """The batch with every modality of `scaling` standardised: the transformation of `Corpus.fold`, for raw samples.

    A modality that `scaling` does not name keeps its values. Raises ValueError for a batch that is standardised already
    and for features of another shape or type.
    """
    if batch.scaling is not None:
        raise ValueError(f"{batch.name} is standardised already; give its raw samples")
    scaling = {m: moments for m, moments in scaling.items() if m in batch.x}
    for m, (mean, _) in scaling.items():
        if tuple(mean.shape) != batch.shapes[m] or not batch.x[m].is_floating_point():
            raise ValueError(
                f"{batch.name}: a frame of {m} has shape {batch.shapes[m]} and type {batch.x[m].dtype}; the statistics "
                f"are those of floats of shape {tuple(mean.shape)}"
            )
    batch = batch.replace(x={m: x.clone() if m in scaling else x for m, x in batch.x.items()}, scaling=scaling)
    scale_(batch, scaling)
    return batch


def only(batch: Batch, modalities: Sequence[str], absent: Sequence[str] = ()) -> Batch:
    """The batch with these modalities alone, `absent` ones marked absent from every sample."""
    change = {
        key: {m: torch.zeros_like(group[m]) if m in absent else group[m] for m in modalities}
        for key, group in (("x", batch.x), ("mask", batch.mask), ("present", batch.present))
    }
    targets = {name: t for name, t in batch.targets.items() if FRAMEWISE.get(name, modalities[0]) in modalities}
    return batch.replace(**change, targets=targets)


def check_frames(batch: Batch, corpus: str) -> None:
    """Raises CorpusError for features that are no finite numbers or bytes, and for masks with gaps."""
    for m, x in batch.x.items():
        if not x.is_floating_point() and x.dtype != torch.uint8:
            raise CorpusError(f"{corpus}: {m} holds {x.dtype} values; give floats, or bytes (uint8) for pictures")
        broken = [i for i in range(len(x)) if x.is_floating_point() and not torch.isfinite(x[i]).all()]
        if broken:
            sample = str(batch.id[broken[0]])
            raise CorpusError(f"{corpus}: {m} of sample {sample!r} is not finite; repair the sample or leave it out")
        if (batch.mask[m][:, 1:] & ~batch.mask[m][:, :-1]).any():
            raise CorpusError(f"{corpus}: the recorded frames of {m} must be the first ones of every sample")


class OnDemand:
    """Some samples of a corpus that is larger than memory. Each batch is read, checked and standardised when it is
    indexed; what a part of a fold needs otherwise (labels, speakers, ids, statistics) is in memory."""

    def __init__(
        self,
        samples: Samples,
        indices: np.ndarray | None,
        name: str,
        modalities: Sequence[str] | None = None,
        absent: Sequence[str] = (),
        variance: Mapping[str, float] | None = None,
        scaling: Scaling | None = None,
    ):
        self.samples, self.name, self.absent = samples, name, tuple(absent)
        self.indices = np.arange(len(samples)) if indices is None else np.asarray(indices)
        self.shapes = {m: tuple(samples.shapes[m]) for m in modalities or samples.shapes}
        self.variance, self.scaling = dict(variance or {}), scaling
        self.labels = {label: values[torch.as_tensor(self.indices)] for label, values in samples.labels.items()}
        self.speaker, self.id = samples.speaker[self.indices], samples.id[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.shapes)

    def batches(self, size: int = CHUNK) -> Iterator[Batch]:
        return (self[start : start + size] for start in range(0, len(self), size))

    def __getitem__(self, indices: int | slice | Sequence[int] | np.ndarray | Tensor) -> Batch:
        chosen = np.arange(len(self))[indices if isinstance(indices, slice) else np.asarray(indices)].reshape(-1)
        batch = self.samples[self.indices[chosen]]
        if batch.id.tolist() != self.id[chosen].tolist():
            raise CorpusError(f"{self.name}: samples {self.id[chosen][:3].tolist()} were read, but others came")
        batch = only(batch, self.modalities, self.absent).replace(name=self.name, variance=self.variance)
        check_frames(batch, self.name)
        if batch.shapes != self.shapes:
            raise CorpusError(f"{self.name}: frames have the shapes {batch.shapes}; the corpus states {self.shapes}")
        return batch if self.scaling is None else standardised(batch, self.scaling)
