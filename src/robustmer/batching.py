"""Batches of a training: shuffled, of samples of similar length, with the targets of the system."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from robustmer.batch import Batch, Samples
from robustmer.systems.system import System, in_parts


def on(samples: Samples, device: str) -> Samples:
    """The samples on the device. Samples read on demand are returned as they are and move batch by batch."""
    return samples.to(device) if isinstance(samples, Batch) else samples


def with_targets(system: System, clean: Samples) -> Samples:
    """The samples with `System.targets`, if the system has any, beside the targets of the corpus: computed once for a
    Batch, else batch by batch."""
    if type(system).targets is System.targets:
        return clean
    if isinstance(clean, Batch):
        return clean.replace(targets={**clean.targets, **in_parts(system, system.targets, clean)})
    return Targeted(clean, system)


@dataclass(frozen=True)
class Targeted:
    """Samples read on demand, each batch with the targets of a system."""

    samples: Samples
    system: System

    def __getattr__(self, name: str):
        return getattr(self.samples, name)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        batch = self.samples[indices]
        return batch.replace(targets={**batch.targets, **in_parts(self.system, self.system.targets, batch)})


POOL = 16
"""The number of batches that are drawn together and divided by length. Pooling an entire epoch would pad a little less,
but the same samples would share a batch in every epoch."""


def endless_batches(train: Samples, batch_size: int, order: torch.Generator, bucket: bool = True) -> Iterator[Batch]:
    """Batches of one shuffled epoch after the other. The last batch of an epoch may be smaller; no sample is dropped.

    With `bucket`, samples of similar length share a batch, which saves padding: the samples of POOL random batches are
    sorted by length and divided again, and the batches are shuffled. Samples of one length, and samples read on demand,
    are not sorted.
    """
    work = train.work if bucket and isinstance(train, Batch) else None
    while True:
        indices = torch.randperm(len(train), generator=order)
        if work is not None:
            pools = [pool[np.argsort(work[pool], kind="stable")] for pool in indices.split(POOL * batch_size)]
            batches = [batch for pool in pools for batch in cut(pool, batch_size, order)]
            batches = [batches[i] for i in torch.randperm(len(batches), generator=order).tolist()]
            indices = torch.cat(batches)
        else:
            batches = list(indices.split(batch_size))
        if not isinstance(train, Batch):
            yield from (train[batch.numpy()] for batch in batches)
            continue
        moved = indices.to(train.device)  # once an epoch: the device never waits for the host within one
        for host, device in zip(batches, moved.split([len(batch) for batch in batches]), strict=True):
            yield train.take(host.numpy(), device)


def cut(pool: torch.Tensor, batch_size: int, order: torch.Generator) -> list[torch.Tensor]:
    """A sorted pool as batches. The smaller one, whose samples weigh more, may have any length."""
    sizes = [len(part) for part in pool.split(batch_size)]
    return list(pool.split([sizes[i] for i in torch.randperm(len(sizes), generator=order).tolist()]))
