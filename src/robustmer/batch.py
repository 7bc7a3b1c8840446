"""Batch: some utterances in every modality, with masks beside the data instead of meanings inside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MODALITIES = ("audio", "visual", "text")
"""The papers' a, v and l (or t), in the order in which every part of the library takes them."""

LETTERS = {"audio": "a", "visual": "v", "text": "l"}
"""How NMER's tables abbreviate the modalities; `results/published` spells conditions with these letters."""


@dataclass(frozen=True)
class Batch:
    """B utterances. Per modality: `x` (B, T, D) with zeros in the padding, `real` (B, T), `present` (B,).

    `real` marks the frames that were recorded, always the first ones of a row; `present` says whether the row has the
    modality at all. Absence and padding live in these masks only: no value of `x` means "missing".
    `variance` is sigma^2 of NMER eq. 4 for each modality, measured on the train part of the fold, so that no
    evaluation ever sets its own noise; `name` says where the rows come from and names their random streams.
    `label` is the number of a class, or a float where a number is asked for (a regression, such as sentiment).
    `targets` holds what a frozen network says about the clean rows, where a stage asked for it (`Stage.targets`).
    """

    x: Mapping[str, Float[Tensor, "batch _ _"]]
    real: Mapping[str, Bool[Tensor, "batch _"]]
    present: Mapping[str, Bool[Tensor, "batch"]]
    label: Int[Tensor, "batch"] | Float[Tensor, "batch"]
    speaker: np.ndarray
    id: np.ndarray
    variance: Mapping[str, float] = field(default_factory=dict)
    name: str = "batch"
    targets: Mapping[str, Float[Tensor, "batch _"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(self.x)

    @property
    def regression(self) -> bool:
        """Whether labels are numbers instead of classes."""
        return self.label.is_floating_point()

    @property
    def dims(self) -> dict[str, int]:
        return {m: x.shape[-1] for m, x in self.x.items()}

    @property
    def device(self) -> torch.device:
        return self.label.device

    @cached_property
    def lengths(self) -> dict[str, np.ndarray]:
        """Real frames of each row and modality, known to the host: choosing rows never waits for the device."""
        return {m: r.sum(1).cpu().numpy() for m, r in self.real.items()}

    @property
    def work(self) -> np.ndarray | None:
        """Features of each row, all modalities together: what it costs to read it. None where all rows are as long."""
        if all(len(n) == 0 or n.min() == n.max() for n in self.lengths.values()):
            return None
        return sum(n * self.dims[m] for m, n in self.lengths.items())

    def replace(self, **changes) -> Batch:
        return dataclasses.replace(self, **changes)

    def to(self, device: str | torch.device) -> Batch:
        move = lambda group: {m: t.to(device) for m, t in group.items()}  # noqa: E731
        groups = {name: move(getattr(self, name)) for name in ("x", "real", "present", "targets")}
        return self.replace(**groups, label=self.label.to(device))

    def __getitem__(self, rows: int | Sequence[int] | np.ndarray | Tensor | slice) -> Batch:
        """The chosen rows, without the padding that none of them needs."""
        if isinstance(rows, slice):
            rows = np.arange(len(self))[rows]
        rows = torch.as_tensor(rows)
        if rows.dtype == torch.bool:
            if len(rows) != len(self):
                raise IndexError(f"a mask of {len(rows)} rows was given for {self.name}, which has {len(self)}")
            rows = rows.nonzero().flatten()
        rows = rows.long().reshape(-1)
        return self.take(rows.cpu().numpy(), rows.to(self.device))

    def take(self, here: np.ndarray, there: Int[Tensor, "row"]) -> Batch:
        """The rows of these numbers, which the host (`here`) and the device (`there`) are both told."""
        lengths = {m: n[here] for m, n in self.lengths.items()}
        longest = {m: max(int(n.max(initial=0)), 1) for m, n in lengths.items()}
        part = self.replace(
            x={m: x[:, : longest[m]][there] for m, x in self.x.items()},
            real={m: r[:, : longest[m]][there] for m, r in self.real.items()},
            present={m: p[there] for m, p in self.present.items()},
            label=self.label[there],
            speaker=self.speaker[here],
            id=self.id[here],
            targets={name: t[there] for name, t in self.targets.items()},
        )
        part.__dict__["lengths"] = lengths
        return part


def collate(
    sequences: Mapping[str, Sequence[np.ndarray | None]],
    label: Sequence[int] | Sequence[float] | np.ndarray,
    speaker: Sequence[str] | np.ndarray | None = None,
    id: Sequence[str] | np.ndarray | None = None,
    name: str = "batch",
) -> Batch:
    """Pad ragged sequences into a Batch: one array (T, D), or one vector (D,), for each utterance and modality, or None
    where the utterance does not have the modality.

    Whole labels are numbers of classes; floats are what a regression predicts. Raises ValueError where an utterance is
    empty, not finite, of another width than the first, has no label, or where the modalities and labels do not count
    the same utterances; the message names the utterance.

    >>> batch = collate({"audio": [np.ones((3, 2)), np.ones((1, 2))]}, label=[0, 1])
    >>> batch.real["audio"].tolist()
    [[True, True, True], [True, False, False]]
    """
    unknown = [m for m in sequences if m not in MODALITIES]
    if unknown or not sequences:
        raise ValueError(f"{name}: modalities {sorted(sequences)}; they must be some of {list(MODALITIES)}")
    rows = len(label)
    if not rows:
        raise ValueError(f"{name}: no utterances were given; a batch has at least one")
    label = np.asarray(label)
    if label.dtype.kind not in "iuf" or label.ndim != 1:
        raise ValueError(
            f"{name}: labels are numbers of classes, an integer for each utterance, or floats for a regression; got "
            f"{label.dtype} values of shape {label.shape}"
        )
    id = np.asarray([f"{name}/{i}" for i in range(rows)] if id is None else id, dtype=str)
    speaker = np.asarray(["?"] * rows if speaker is None else speaker, dtype=str)
    problems = list(find_problems(sequences, id))
    if not np.isfinite(label).all():
        row = int(np.flatnonzero(~np.isfinite(label))[0])
        problems.append(f"the label of utterance {row} is {label[row]}; give a number or leave the utterance out")
    if len(speaker) != rows or len(id) != rows:
        problems.insert(0, f"{rows} labels, {len(id)} ids, {len(speaker)} speakers: give each utterance one of each")
    if problems:
        raise ValueError(f"{name}: {problems[0]}" + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""))
    x, real, present = {}, {}, {}
    for m in MODALITIES:
        if m not in sequences:
            continue
        items = {row: np.atleast_2d(item) for row, item in enumerate(sequences[m]) if item is not None}
        length = torch.tensor([len(items.get(row, ())) for row in range(rows)])
        x[m] = torch.zeros(rows, int(length.max()), next(iter(items.values())).shape[1])
        for row, item in items.items():
            x[m][row, : len(item)] = torch.as_tensor(item, dtype=torch.float32)
        real[m] = torch.arange(x[m].shape[1]) < length[:, None]
        present[m] = length > 0
    label = label.astype(np.float32 if label.dtype.kind == "f" else np.int64)
    return Batch(x, real, present, torch.as_tensor(label), speaker, id, name=name)


def find_problems(sequences: Mapping[str, Sequence[np.ndarray | None]], id: Sequence[str] | np.ndarray):
    """Yield one sentence for everything that makes these features unusable."""
    for m, items in sequences.items():
        if len(items) != len(id):
            yield f"{len(items)} utterances of {m}, but {len(id)} ids: give one array for every utterance"
            continue
        there = [(item, utterance) for item, utterance in zip(items, id, strict=True) if item is not None]
        if not there:
            yield f"{m} is absent from every utterance; leave the modality out"
            continue
        width = np.atleast_2d(there[0][0]).shape[1]
        for item, utterance in there:
            item, utterance = np.atleast_2d(item), str(utterance)
            if item.dtype.kind not in "fiub":
                yield f"{m} of utterance {utterance!r} holds {item.dtype} values; give numbers"
                continue
            with np.errstate(over="ignore"):
                item = item.astype(np.float32)  # what is finite only in more bits is not finite here
            if item.ndim != 2:
                yield f"{m} of utterance {utterance!r} has shape {item.shape}; give (frames, features)"
            elif item.size == 0:
                yield f"{m} of utterance {utterance!r} is empty; give a frame or more, or None if it has none"
            elif item.shape[1] != width:
                yield f"{m} of utterance {utterance!r} is {item.shape[1]} wide, but the first utterance is {width}"
            elif not np.isfinite(item).all():
                frame, column = np.argwhere(~np.isfinite(item))[0]
                yield (
                    f"{m} of utterance {utterance!r} is not finite (frame {frame}, feature {column}: "
                    f"{item[frame, column]}); repair or leave out the utterance"
                )


def mean_over_time(
    x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch dim"]:
    """Mean over the real frames; 0 for a row that has none."""
    return (x * real[..., None]).sum(1) / real.sum(1, keepdim=True).clamp(min=1)
