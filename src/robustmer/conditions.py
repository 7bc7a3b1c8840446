"""Condition: which modalities are clean, corrupted or absent; Mixture: conditions with probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from itertools import combinations, groupby
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Shaped
from torch import Tensor

from robustmer.batch import LETTERS, Batch, check_modalities, ordered


@runtime_checkable
class Corruption(Protocol):
    """Protocol of a corruption: a function of the features (B, T, *feature) of one modality. `name` and `level` are its
    words in tables (`gaussian`, `-10`). str() names it in full: in its random stream and in a recipe's key. Corruptions
    are immutable and hashable."""

    @property
    def name(self) -> str: ...

    @property
    def level(self) -> str: ...

    def __call__(
        self,
        x: Shaped[Tensor, "batch time ..."],
        mask: Bool[Tensor, "batch time"],
        variance: float | None,
        generator: torch.Generator,
    ) -> Shaped[Tensor, "batch time ..."]: ...


@dataclass(frozen=True)
class Condition:
    """A condition of training or test. Modalities in `noise` are corrupted. With `seen`, all others are absent.
    Everything else is clean. Raises ValueError where no modality is seen, or an absent one is to be corrupted.

    >>> from robustmer.noise import NoiseScheduler
    >>> Condition(noise={"visual": NoiseScheduler(snr_db=-10)}).header(("audio", "visual"))
    'a'
    """

    noise: Mapping[str, Corruption] = field(default_factory=dict)
    seen: tuple[str, ...] | None = None

    def __post_init__(self):
        check_modalities([*self.noise, *(self.seen or ())], "Condition")
        object.__setattr__(self, "noise", MappingProxyType({m: self.noise[m] for m in ordered(self.noise)}))
        if self.seen is not None:
            object.__setattr__(self, "seen", ordered(self.seen))
        if self.seen is not None and (not self.seen or set(self.noise) - set(self.seen)):
            raise ValueError(
                f"Condition(seen={self.seen}) with noise on {sorted(self.noise)}: at least one modality must be seen, "
                "and an absent one cannot be noisy"
            )

    def __hash__(self) -> int:
        return hash((tuple(self.noise.items()), self.seen))

    def __reduce__(self) -> tuple:
        return type(self), (dict(self.noise), self.seen)  # a read-only mapping cannot be pickled

    def __str__(self) -> str:
        """The condition in words, which name the random stream of an evaluation."""
        parts = [f"{m}: {corruption}" for m, corruption in self.noise.items()]
        if self.seen is not None:
            parts.append(f"seen: {', '.join(self.seen)}")
        return "; ".join(parts) or "clean"

    @property
    def noise_name(self) -> str:
        """The kind of noise for tables: `gaussian`, `impulse`, ..., or empty."""
        return "+".join(sorted({corruption.name for corruption in self.noise.values()}))

    @property
    def level_name(self) -> str:
        """The level for tables; empty where levels differ."""
        levels = {corruption.level for corruption in self.noise.values()}
        return levels.pop() if len(levels) == 1 else ""

    def header(self, modalities: Sequence[str], letters: Mapping[str, str] = LETTERS) -> str:
        """The modalities that are present and clean, for tables: letters (`a,v`), `none`, or `clean` for all."""
        clean = [m for m in modalities if m not in self.noise and (self.seen is None or m in self.seen)]
        if len(clean) == len(modalities):
            return "clean"
        return ",".join(letters.get(m, m) for m in ordered(clean)) or "none"


CLEAN = Condition()

Mixture = Mapping[Condition, float]
"""Conditions with their probabilities. In training every sample draws one of them, anew in every epoch."""


def uniform(conditions: Sequence[Condition]) -> Mixture:
    """A mixture of these conditions with equal probabilities."""
    return dict.fromkeys(conditions, 1 / len(conditions)) if conditions else {}


FINEST = 10_000
"""The largest number of equal parts into which a probability of 1 is divided, so that a mixture is drawn exactly."""


def parts_of(mixture: Condition | Mixture) -> dict[Condition, int]:
    """The conditions of a mixture with their integer shares. Raises ValueError for a mixture that does not sum to 1, is
    empty, or needs more than FINEST parts.

    >>> list(parts_of({CLEAN: 0.8, Condition(seen=("audio",)): 0.2}).values())
    [4, 1]
    """
    if isinstance(mixture, Condition):
        return {mixture: 1}
    wrong = {c: p for c, p in mixture.items() if not (isinstance(c, Condition) and 0 <= p <= 1)}
    if wrong:
        condition, p = next(iter(wrong.items()))
        raise ValueError(
            f"the mixture gives {condition} the probability {p!r}; give conditions and numbers from 0 to 1"
        )
    if not math.isclose(sum(mixture.values()), 1, abs_tol=1e-6):
        raise ValueError(
            f"the probabilities of the mixture's {len(mixture)} conditions sum to {sum(mixture.values()):g}; they must "
            "sum to 1, as those of uniform(conditions) do (a single modality has no incomplete condition)"
        )
    used = {c: p for c, p in mixture.items() if p}
    return dict(zip(used, whole_parts(tuple(used.values())), strict=True))


@lru_cache(maxsize=64)  # every batch of a training asks
def whole_parts(probabilities: tuple[float, ...]) -> tuple[int, ...]:
    shares = [Fraction(p).limit_denominator(FINEST) for p in probabilities]
    total = math.lcm(*(share.denominator for share in shares))
    if total > FINEST or sum(shares) != 1:
        raise ValueError(
            f"the mixture's probabilities {sorted(set(probabilities))} are no multiples of 1/{FINEST} or of a "
            "coarser part; round them"
        )
    return tuple(int(share * total) for share in shares)


def turns(parts: Mapping[Condition, int]) -> tuple[int, ...]:
    """The index of the condition for every part. Neighbours with equal shares take turns.

    >>> turns({CLEAN: 2, Condition(seen=("audio",)): 3, Condition(seen=("text",)): 3})
    (0, 0, 1, 2, 1, 2, 1, 2)
    """
    groups = groupby(range(len(parts)), key=list(parts.values()).__getitem__)
    return tuple(number for count, group in groups for number in [*group] * count)


def choices(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of one or more, but not all, of the modalities, in the order of the papers' tables."""
    names = ordered(modalities)
    return [chosen for count in range(1, len(names)) for chosen in combinations(names, count)]


def incomplete(modalities: Sequence[str], corruption: Corruption) -> Mixture:
    """The incomplete conditions of NMER 2.2.3, equally likely: one to all but one modality stay clean.

    >>> from robustmer.noise import NoiseScheduler
    >>> modalities = ("audio", "visual", "text")
    >>> [c.header(modalities) for c in incomplete(modalities, NoiseScheduler(snr_db=-10))]
    ['a', 'v', 'l', 'a,v', 'a,l', 'v,l']
    """
    names = ordered(modalities)
    return uniform([Condition(noise={m: corruption for m in names if m not in clean}) for clean in choices(modalities)])


def all_noisy(modalities: Sequence[str], corruption: Corruption) -> Condition:
    """The new condition of NMER 3.2: every modality is noisy."""
    return Condition(noise={m: corruption for m in ordered(modalities)})


def missing(modalities: Sequence[str]) -> Mixture:
    """The incomplete conditions of the work before NMER, equally likely: modalities are absent instead of noisy.

    >>> [c.header(("audio", "text")) for c in missing(("audio", "text"))]
    ['a', 'l']
    """
    return uniform([Condition(seen=chosen) for chosen in choices(modalities)])


def drop(modalities: Sequence[str], rate: float) -> Mixture:
    """CDTP 3.1: a sample is complete with probability 1 - `rate`, else one of `missing`, each equally likely.

    Raises ValueError for a rate outside [0, 1], and for a single modality, which cannot be dropped.

    >>> list(drop(("audio", "text"), 0.5).values())
    [0.5, 0.25, 0.25]
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate}: give the probability, 0 to 1, that a sample is incomplete")
    cases = missing(modalities)
    if rate and not cases:
        raise ValueError(
            f"rate={rate} of {', '.join(modalities) or 'no modality'}: a sample keeps at least one modality, so give "
            "two or more, or a rate of 0"
        )
    mixture = {CLEAN: 1 - rate} | {condition: rate / len(cases) for condition in cases}
    return {condition: p for condition, p in mixture.items() if p}


def corrupt(batch: Batch, mixture: Condition | Mixture, generator: torch.Generator) -> Batch:
    """The batch as a system observes it. From a mixture, each sample draws one condition (NMER 3.1, training).

    Clean modalities are unchanged bit for bit. Noise levels follow `batch.variance`, measured on the train split. A
    modality that a sample lacks stays absent. Raises ValueError where a condition names a modality that the batch does
    not have, and where the batch has no variance for a noisy modality.
    """
    parts = parts_of(mixture)
    conditions = list(parts)
    for condition in conditions:
        for m in [*condition.noise, *(condition.seen or ())]:
            if m not in batch.x:
                raise ValueError(
                    f"{batch.name} has no {m}: it has {', '.join(batch.modalities)}; leave {m} out of the Condition"
                )
        bare = [m for m in condition.noise if m not in batch.variance and bool(batch.present[m].any())]
        if bare:
            raise ValueError(
                f"{batch.name} carries no variance for {', '.join(bare)}, so no noise level can be computed; take the "
                "batch from Corpus.fold, or set batch.replace(variance={'audio': 1.0, ...})"
            )
    choice = torch.zeros(len(batch), dtype=torch.long, device=batch.device)
    if len(conditions) > 1:
        drawn = torch.randint(sum(parts.values()), (len(batch),), generator=generator, device=generator.device)
        choice = on_device(turns(parts), batch.device)[drawn.to(batch.device)]
    x, present = dict(batch.x), dict(batch.present)
    for m in batch.modalities:
        for corruption in dict.fromkeys(c.noise[m] for c in conditions if m in c.noise and m in batch.variance):
            hit = chosen(choice, [c.noise.get(m) == corruption for c in conditions])
            noisy = corruption(batch.x[m], batch.mask[m], batch.variance[m], generator)
            x[m] = torch.where(broadcast(hit, x[m]), noisy, x[m])
        if any(c.seen is not None and m not in c.seen for c in conditions):
            kept = present[m] & chosen(choice, [c.seen is None or m in c.seen for c in conditions])
            x[m] = torch.where(broadcast(kept, x[m]), x[m], torch.zeros((), dtype=x[m].dtype, device=x[m].device))
            present[m] = kept
    return batch.replace(x=x, present=present)


def broadcast(mask: Bool[Tensor, "batch"], x: Shaped[Tensor, "batch ..."]) -> Bool[Tensor, "batch ..."]:
    return mask.reshape(-1, *[1] * (x.ndim - 1))


def chosen(choice: Tensor, holds: Sequence[bool]) -> Tensor:
    return on_device(tuple(holds), choice.device, torch.bool)[choice]


@lru_cache(maxsize=256)
def on_device(values: tuple, device: torch.device, dtype: torch.dtype = torch.long) -> Tensor:
    """The values on the device, copied once: a copy in every step would make the device wait for the host."""
    return torch.tensor(values, device=device, dtype=dtype)
