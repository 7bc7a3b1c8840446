"""MPLMM, multimodal prompt learning with missing modalities (Guo et al. 2024), as CDTP 4.2 compares itself with it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import available
from robustmer.nn.prompts import Generative, PromptedMulT, mean_over_segments
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task


class MPLMM(System):
    """A MulT with three kinds of prompts (`nn.prompts`). Generative prompts map the available modalities to the frames
    of a missing one; missing-signal prompts mark each modality as available or missing; missing-type prompts name the
    combination. Each kind can be switched off. Without generative prompts an absent modality is a frame of zeros;
    without any prompt this is the paper's MD.

    A missing modality has `frames` frames: 1 for a corpus of vectors, about its number of frames for one of sequences.
    `length` is MPLMM's number of prompts a modality; MulT's sizes are those of CDTP 4.3.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 256, layers: int = 6, heads: int = 8,
        dropout: float = 0.1, frames: int = 1, length: int = 16, generative: bool = True, signal: bool = True,
        type: bool = True, lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.optimizer = AdamW(lr, weight_decay=0.0)
        dims = widths(shapes)
        self.prompted = PromptedMulT(dims, task.outputs, width, layers, heads, dropout, frames, length, signal, type)
        self.completion = LinearCompletion(dims, width, frames, length) if generative else None

    def forward(self, observed: Batch) -> Tensor:
        return self.prompted(observed, None if self.completion is None else self.completion(observed))


class LinearCompletion(nn.Module):
    """MPLMM's completion: each available modality, averaged over `frames` equal segments, through a linear layer and
    GELU of its own for each missing one; then `Generative`, one for each set of available modalities. A sample that has
    no modality gets zeros."""

    def __init__(self, dims: Mapping[str, int], width: int, frames: int, length: int):
        super().__init__()
        self.frames, self.width = frames, width
        linear = lambda source: nn.Sequential(nn.Linear(dims[source], width), nn.GELU())  # noqa: E731
        self.translate = nn.ModuleDict({f"{source}_to_{m}": linear(source) for m, source in permutations(dims, 2)})
        others = {m: [other for other in dims if other != m] for m in dims}
        self.sets = {m: [s for n in range(1, len(dims)) for s in combinations(others[m], n)] for m in dims}
        self.complete = nn.ModuleDict()
        for m, sources in ((m, sources) for m, sets in self.sets.items() for sources in sets):
            self.complete[f"{'_'.join(sources)}_to_{m}"] = Generative(frames, length, width, len(sources))

    def forward(self, batch: Batch) -> dict[str, Float[Tensor, "batch frame width"]]:
        known = {m: available(batch, m) for m in self.sets}
        means = {m: mean_over_segments(*batch.frames(m), self.frames) for m in self.sets}
        imputed = {}
        for m, sets in self.sets.items():
            imputed[m] = means[m].new_zeros(len(batch), self.frames, self.width)
            pieces = {s: self.translate[f"{s}_to_{m}"](means[s]) for s in known if s != m}
            for sources in sets:
                chosen = torch.stack([known[s] == (s in sources) for s in pieces]).all(0) & ~known[m]
                frames = self.complete[f"{'_'.join(sources)}_to_{m}"]([pieces[s] for s in sources])
                imputed[m] = torch.where(rearrange(chosen, "b -> b 1 1"), frames, imputed[m])
        return imputed
