"""Batch: samples of several modalities with labels and masks; Samples: the same, read on demand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

MODALITIES = ("audio", "visual", "text")
"""The papers' a, v and l (or t), in the order of the library. Other names may follow."""

LETTERS = {"audio": "a", "visual": "v", "text": "l"}
"""Abbreviations of the modalities in NMER's tables. Any other modality is spelled out."""

FRAMEWISE = {"audio phase": "audio"}
"""Targets of a corpus with a value for every frame (B, T, ...), and the modality whose frames they follow."""

Shape = tuple[int, ...]
Scaling = Mapping[str, tuple[Tensor, Tensor]]
"""Mean and standard deviation of each modality, each of a frame's shape, with which features are standardised."""


@runtime_checkable
class Samples(Protocol):
    """Protocol of samples that are read when they are indexed: a `Batch`, or a corpus that is larger than memory."""

    name: str
    labels: Mapping[str, Tensor]
    speaker: np.ndarray
    id: np.ndarray

    @property
    def shapes(self) -> dict[str, Shape]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, indices: np.ndarray) -> Batch: ...


@dataclass(frozen=True)
class Batch:
    """B samples. Per modality: `x` (B, T, *feature) with zeros in the padding, `mask` (B, T), `present` (B,).

    `mask` marks the recorded frames, always the first ones of a sample; `present` marks the samples that have the
    modality. Only these masks encode absence and padding: no value of `x` means "missing". Pictures may be stored as
    bytes (uint8); `frames` returns them as numbers in [0, 1].
    `labels` holds any number of labels: a class number (int64) or a number (float32) for every sample.
    `variance` is sigma^2 of NMER eq. 4 for each modality, measured on the train split of the fold: it sets the noise
    level on every split. `name` is that of the corpus, fold and split, and names the random streams.
    `targets` holds what a corpus records beside its features, such as the "audio phase" of power spectra in radians, and
    the features that frozen parts of a system compute from the clean samples (`System.targets`).
    `scaling` holds the statistics with which the features were standardised, or None.
    """

    x: Mapping[str, Shaped[Tensor, "batch _ ..."]]
    mask: Mapping[str, Bool[Tensor, "batch _"]]
    present: Mapping[str, Bool[Tensor, "batch"]]
    labels: Mapping[str, Shaped[Tensor, "batch"]]
    speaker: np.ndarray
    id: np.ndarray
    variance: Mapping[str, float] = field(default_factory=dict)
    name: str = "batch"
    targets: Mapping[str, Shaped[Tensor, "batch ..."]] = field(default_factory=dict)
    scaling: Scaling | None = None

    def __len__(self) -> int:
        return len(self.id)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.x)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The shape of a frame of each modality, such as {"audio": (74,), "visual": (3, 64, 64)}."""
        return {m: tuple(x.shape[2:]) for m, x in self.x.items()}

    @property
    def device(self) -> torch.device:
        return next(iter(self.mask.values())).device

    @cached_property
    def lengths(self) -> dict[str, np.ndarray]:
        """Recorded frames of each sample by modality, on the host: choosing samples never waits for the GPU."""
        return {m: mask.sum(1).cpu().numpy() for m, mask in self.mask.items()}

    @property
    def work(self) -> np.ndarray | None:
        """The number of values of each sample, over all modalities; None where all samples are equally long."""
        if all(len(n) == 0 or n.min() == n.max() for n in self.lengths.values()):
            return None
        return sum(n * int(np.prod(self.shapes[m])) for m, n in self.lengths.items())

    def frames(self, modality: str) -> tuple[Float[Tensor, "batch time ..."], Bool[Tensor, "batch time"]]:
        """The frames (B, T, *feature) of a modality as floats, zeros where absent or padded, and their mask (B, T)."""
        x, mask = self.x[modality], self.mask[modality] & self.present[modality][:, None]
        x = as_numbers(x)
        return torch.where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, 0.0), mask

    def replace(self, **changes) -> Batch:
        return dataclasses.replace(self, **changes)

    def to(self, device: str | torch.device) -> Batch:
        groups = {
            name: {key: tensor.to(device) for key, tensor in getattr(self, name).items()}
            for name in ("x", "mask", "present", "labels", "targets")
        }
        return self.replace(**groups)

    def __getitem__(self, indices: int | Sequence[int] | np.ndarray | Tensor | slice) -> Batch:
        """The samples of these indices, a mask or a slice, without padding that none of them needs."""
        if isinstance(indices, slice):
            indices = np.arange(len(self))[indices]
        indices = torch.as_tensor(indices)
        if indices.dtype == torch.bool:
            if len(indices) != len(self):
                raise IndexError(f"a mask of {len(indices)} entries was given for {self.name}, which has {len(self)}")
            indices = indices.nonzero().flatten()
        indices = indices.long().reshape(-1)
        return self.take(indices.cpu().numpy(), indices.to(self.device))

    def take(self, host: np.ndarray, device: Int[Tensor, "sample"]) -> Batch:
        """The samples of these indices, which are given on the host and on the device of the batch."""
        lengths = {m: n[host] for m, n in self.lengths.items()}
        longest = {m: max(int(n.max(initial=0)), 1) for m, n in lengths.items()}
        chosen = self.replace(
            x={m: x[:, : longest[m]][device] for m, x in self.x.items()},
            mask={m: mask[:, : longest[m]][device] for m, mask in self.mask.items()},
            present={m: present[device] for m, present in self.present.items()},
            labels={name: label[device] for name, label in self.labels.items()},
            speaker=self.speaker[host],
            id=self.id[host],
            targets={
                name: target[:, : longest.get(FRAMEWISE.get(name))][device] for name, target in self.targets.items()
            },
        )
        chosen.__dict__["lengths"] = lengths
        return chosen


def as_numbers(x: Shaped[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Bytes as numbers in [0, 1], other values as float32."""
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def ordered(modalities: Iterable[str]) -> tuple[str, ...]:
    """The modalities in the library's order: audio, visual, text, then the others as given.

    >>> ordered(["text", "pulse", "audio"])
    ('audio', 'text', 'pulse')
    """
    modalities = tuple(dict.fromkeys(modalities))
    return (*(m for m in MODALITIES if m in modalities), *(m for m in modalities if m not in MODALITIES))


def check_modalities(modalities: Iterable[str], what: str) -> None:
    """Raises ValueError for modality names that are no identifiers, such as 'face 2'."""
    wrong = [m for m in modalities if not (isinstance(m, str) and m.isidentifier())]
    if wrong:
        raise ValueError(
            f"{what}: the modality {wrong[0]!r} was given; a modality's name is made of letters, digits and "
            f"underscores, such as {', '.join(MODALITIES)}"
        )


def collate(
    sequences: Mapping[str, Sequence[np.ndarray | None] | np.ndarray],
    labels: Mapping[str, Sequence[int] | Sequence[float] | np.ndarray] | None = None,
    speaker: Sequence[str] | np.ndarray | None = None,
    id: Sequence[str] | np.ndarray | None = None,
    name: str = "batch",
) -> Batch:
    """Pad ragged sequences into a Batch: per sample and modality an array (T, *feature), or a vector (D,), or None
    where the sample lacks the modality.

    Whole labels are class numbers, floats are numbers. Raises ValueError where a sample is empty, not finite, or of
    another shape than the first, and where modalities, labels, speakers and ids do not count the same samples.

    >>> batch = collate({"audio": [np.ones((3, 2)), np.ones((1, 2))]}, {"emotion": [0, 1]})
    >>> batch.mask["audio"].tolist()
    [[True, True, True], [True, False, False]]
    """
    if not sequences:
        raise ValueError(f"{name}: no modality was given; a batch has at least one")
    check_modalities(sequences, name)
    size = len(next(iter(sequences.values())))
    if not size:
        raise ValueError(f"{name}: no samples were given; a batch has at least one")
    id = np.asarray([f"{name}/{i}" for i in range(size)] if id is None else id, dtype=str)
    speaker = np.asarray(["?"] * size if speaker is None else speaker, dtype=str)
    labels = {key: label_array(values, key, name) for key, values in (labels or {}).items()}
    counts = {"ids": len(id), "speakers": len(speaker), **{f"{key!r} labels": len(v) for key, v in labels.items()}}
    wrong = {what: count for what, count in counts.items() if count != size}
    problems = [f"{size} samples, but {count} {what}: give one for every sample" for what, count in wrong.items()]
    problems += find_problems(sequences, id)
    if problems:
        more = f" (and {len(problems) - 1} more problems)" if problems[1:] else ""
        raise ValueError(f"{name}: {problems[0]}{more}")
    x, mask, present = {}, {}, {}
    for m in ordered(sequences):
        items = {i: as_frames(item) for i, item in enumerate(sequences[m]) if item is not None}
        length = torch.tensor([len(items.get(i, ())) for i in range(size)])
        first = next(iter(items.values()))
        dtype = torch.uint8 if first.dtype == np.uint8 else torch.float32
        x[m] = torch.zeros(size, int(length.max()), *first.shape[1:], dtype=dtype)
        for i, item in items.items():
            x[m][i, : len(item)] = torch.as_tensor(item, dtype=dtype)
        mask[m] = torch.arange(x[m].shape[1]) < length[:, None]
        present[m] = length > 0
    return Batch(x, mask, present, labels, speaker, id, name=name)


def as_frames(item: np.ndarray) -> np.ndarray:
    """Frames (T, *feature) of a sample; a vector (D,) is one frame."""
    return np.atleast_2d(item)


def label_array(values: Sequence[int] | Sequence[float] | np.ndarray, label: str, name: str) -> Tensor:
    """Labels as int64 (classes) or float32 (numbers). Raises ValueError for other or infinite values."""
    values = np.asarray(values)
    if values.dtype.kind not in "iuf" or values.ndim != 1:
        raise ValueError(
            f"{name}: the label {label!r} needs one class number (an integer) or one number (a float) for every "
            f"sample; got {values.dtype} values of shape {values.shape}"
        )
    if not np.isfinite(values).all():
        sample = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(
            f"{name}: the label {label!r} of sample {sample} is {values[sample]}; give a number or leave the sample out"
        )
    return torch.as_tensor(values.astype(np.float32 if values.dtype.kind == "f" else np.int64))


def find_problems(sequences: Mapping[str, Sequence[np.ndarray | None] | np.ndarray], id: Sequence[str] | np.ndarray):
    """One sentence for each problem that makes these features unusable."""
    for m, items in sequences.items():
        if len(items) != len(id):
            yield f"{len(items)} samples of {m}, but {len(id)} ids: give one array for every sample"
            continue
        recorded = [(np.asarray(item), sample) for item, sample in zip(items, id, strict=True) if item is not None]
        if not recorded:
            yield f"{m} is absent from every sample; leave the modality out"
            continue
        first = as_frames(recorded[0][0]).shape[1:]
        for item, sample in recorded:
            item, sample = as_frames(item), str(sample)
            if item.dtype.kind not in "fiub":
                yield f"{m} of sample {sample!r} holds {item.dtype} values; give numbers"
                continue
            with np.errstate(over="ignore"):
                item = item.astype(np.float32)  # what is finite only in more bits is not finite here
            if item.size == 0:
                yield f"{m} of sample {sample!r} is empty; give a frame or more, or None if the sample lacks it"
            elif item.shape[1:] != first:
                yield f"{m} of sample {sample!r} has frames of shape {item.shape[1:]}, but the first sample {first}"
            elif not np.isfinite(item).all():
                frame, *feature = np.argwhere(~np.isfinite(item))[0].tolist()
                yield (
                    f"{m} of sample {sample!r} is not finite (frame {frame}, feature {feature}: "
                    f"{item[(frame, *feature)]}); repair the sample or leave it out"
                )


def mean_over_time(x: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """Mean over the recorded frames; 0 for a sample that has none."""
    return (x * rearrange(mask, "b t -> b t 1")).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
