"""Condition: which modalities a system sees clean, noisy, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations

import torch
from einops import rearrange

from robustmer.batch import LETTERS, MODALITIES, Batch
from robustmer.noise import NoiseScheduler, kind_name


@dataclass(frozen=True)
class Condition:
    """Modalities in `noise` are corrupted by their scheduler; those outside `seen` are absent; the rest are clean.

    >>> Condition(noise={"visual": NoiseScheduler(snr_db=-10)}).header(("audio", "visual"))
    'a'
    """

    noise: Mapping[str, NoiseScheduler] = field(default_factory=dict)
    seen: tuple[str, ...] | None = None

    def __post_init__(self):
        for m in [*self.noise, *(self.seen or ())]:
            if m not in MODALITIES:
                raise ValueError(f"Condition names the modality {m!r}; the modalities are {', '.join(MODALITIES)}")
        if self.seen is not None and (not self.seen or set(self.noise) - set(self.seen)):
            raise ValueError(
                f"Condition(seen={self.seen}) with noise on {sorted(self.noise)}: something must be seen, "
                "and what is absent cannot be noisy"
            )

    def __str__(self) -> str:
        """The whole condition in words; it names the random stream of an evaluation."""
        parts = [f"{m}: {self.noise[m]}" for m in MODALITIES if m in self.noise]
        if self.seen is not None:
            parts.append(f"seen: {', '.join(self.seen)}")
        return "; ".join(parts) or "clean"

    @property
    def noise_name(self) -> str:
        """The tables' column `noise`: `gaussian`, `impulse`, ..., or nothing."""
        return "+".join(sorted({kind_name(s.kind) for s in self.noise.values()}))

    @property
    def level_name(self) -> str:
        """The tables' column `snr_db`: the level asked for, T where that was given, nothing where they differ."""
        levels = {f"{s.snr_db:g}" if s.steps is None else f"T={s.steps}" for s in self.noise.values()}
        return levels.pop() if len(levels) == 1 else ""

    def header(self, modalities: Sequence[str], letters: Mapping[str, str] = LETTERS) -> str:
        """The tables' spelling: the modalities that are present and clean (`a,v`), `none`, or `clean`."""
        whole = [m for m in modalities if m not in self.noise and (self.seen is None or m in self.seen)]
        if len(whole) == len(modalities):
            return "clean"
        return ",".join(letters[m] for m in MODALITIES if m in whole) or "none"


CLEAN = Condition()


def incomplete(modalities: Sequence[str], scheduler: NoiseScheduler) -> tuple[Condition, ...]:
    """The incomplete conditions of NMER 2.2.3: one to all but one modalities stay clean, six for three modalities.

    >>> [c.header(MODALITIES) for c in incomplete(MODALITIES, NoiseScheduler(snr_db=-10))]
    ['a', 'v', 'l', 'a,v', 'a,l', 'v,l']
    """
    ordered = [m for m in MODALITIES if m in modalities]
    return tuple(
        Condition(noise={m: scheduler for m in ordered if m not in whole})
        for count in range(1, len(ordered))
        for whole in combinations(ordered, count)
    )


def everything(modalities: Sequence[str], scheduler: NoiseScheduler) -> Condition:
    """The new condition of NMER 3.2: every modality is noisy."""
    return Condition(noise={m: scheduler for m in MODALITIES if m in modalities})


def missing(modalities: Sequence[str]) -> tuple[Condition, ...]:
    """The incomplete conditions of the work before NMER: what is not clean is absent instead of noisy.

    >>> [c.header(MODALITIES) for c in missing(MODALITIES)]
    ['a', 'v', 'l', 'a,v', 'a,l', 'v,l']
    """
    ordered = [m for m in MODALITIES if m in modalities]
    return tuple(
        Condition(seen=whole) for count in range(1, len(ordered)) for whole in combinations(ordered, count)
    )


def missing_modes(modalities: Sequence[str], drop_rate: float) -> tuple[Condition, ...]:
    """The training conditions of CDTP 3.1: a row is whole with probability 1 - `drop_rate`, else one of the incomplete
    conditions of `missing`, each as likely. Rows draw one of these conditions each, so the rates are repetitions.

    Raises ValueError for a rate outside [0, 1] or finer than a hundredth, and for a single modality that would be
    dropped, since nothing would be left.

    >>> [c.header(("audio", "text")) for c in missing_modes(("audio", "text"), 0.5)]
    ['clean', 'clean', 'a', 'l']
    """
    if not 0 <= drop_rate <= 1:
        raise ValueError(f"drop_rate={drop_rate}: give the probability, 0 to 1, that a row is incomplete")
    rate = Fraction(drop_rate).limit_denominator(100)
    if abs(rate - Fraction(drop_rate)) > 1e-9:
        raise ValueError(f"drop_rate={drop_rate}: it becomes repetitions of conditions, so give hundredths, as 0.2")
    if not rate:
        return (CLEAN,)
    cases = missing(modalities)
    if not cases:
        raise ValueError(f"drop_rate={drop_rate} of {', '.join(modalities) or 'no modality'}: an utterance keeps at "
                         "least one modality, so give two or more, or a rate of 0")
    whole = (1 - rate) / (rate / len(cases))  # rows that are whole for each row of one incomplete case
    return (CLEAN,) * whole.numerator + cases * whole.denominator


def corrupt(batch: Batch, conditions: Condition | Sequence[Condition], generator: torch.Generator) -> Batch:
    """What a system sees of a batch. Of several conditions each row draws one (NMER 3.1, training).

    Clean modalities come back bit for bit; the levels follow `batch.variance`, that of the train part.
    Raises ValueError where a condition names a modality that the batch does not have.
    """
    conditions = (conditions,) if isinstance(conditions, Condition) else tuple(conditions)
    for condition in conditions:
        for m in [*condition.noise, *(condition.seen or ())]:
            if m not in batch.x:
                raise ValueError(
                    f"no {m} in {batch.name}: it has {', '.join(batch.modalities)}; leave {m} out of the Condition"
                )
        bare = [m for m in condition.noise if m not in batch.variance]
        if bare:
            raise ValueError(
                f"{batch.name} carries no variance for {', '.join(bare)}, so no level of noise can be found; take the "
                "batch from Corpus.fold, or set batch.replace(variance={'audio': 1.0, ...})"
            )
    choice = torch.zeros(len(batch), dtype=torch.long, device=batch.device)
    if len(conditions) > 1:
        choice = torch.randint(len(conditions), (len(batch),), generator=generator, device=generator.device).to(
            batch.device
        )
    x, present = dict(batch.x), dict(batch.present)
    for m in batch.modalities:
        for scheduler in dict.fromkeys(c.noise[m] for c in conditions if m in c.noise):
            hit = rows_of(choice, [c.noise.get(m) == scheduler for c in conditions])
            noisy = scheduler(batch.x[m], batch.real[m], batch.variance[m], generator)
            x[m] = torch.where(rearrange(hit, "b -> b 1 1"), noisy, x[m])
        if any(c.seen is not None and m not in c.seen for c in conditions):
            there = present[m] & rows_of(choice, [c.seen is None or m in c.seen for c in conditions])
            x[m] = torch.where(rearrange(there, "b -> b 1 1"), x[m], 0.0)
            present[m] = there
    return batch.replace(x=x, present=present)


def rows_of(choice: torch.Tensor, holds: Sequence[bool]) -> torch.Tensor:
    return torch.tensor(holds, device=choice.device)[choice]
