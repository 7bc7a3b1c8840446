"""MPLMM, multimodal prompt learning with missing modalities (Guo et al. 2024), as CDTP 4.2 compares itself with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch
from robustmer.nn.crossmodal import available
from robustmer.nn.prompts import PromptedMulT, StandIn, mean_over_segments
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System


class MPLMM(System):
    """A MulT with three kinds of prompts. Generative prompts lead from the available modalities to the frames of a
    missing one; missing-signal prompts say of each modality whether it is there; missing-type prompts say which
    combination is (`nn.prompts`). Each kind can be switched off; without the generative ones an absent modality is a
    frame of zeros, as in MulT, so that without any prompt this is the paper's MD.

    A missing modality has `frames` frames: 1 for a corpus of vectors, about its number of frames for one of sequences.
    MPLMM's 16 prompts a modality; MulT's sizes are those of CDTP 4.3. All of it learns together: MPLMM takes a MulT
    from a larger corpus and freezes it, which CDTP does not mention.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 256,
        layers: int = 6,
        heads: int = 8,
        dropout: float = 0.1,
        frames: int = 1,
        length: int = 16,
        generative: bool = True,
        signal: bool = True,
        type: bool = True,
        lr: float = 1e-4,
    ):
        super().__init__()
        self.frames, self.lr = frames, lr
        self.prompted = PromptedMulT(
            dims, outputs(classes), width, layers, heads, dropout, frames, length, signal, type
        )
        self.completion = LinearCompletion(dims, width, frames, length) if generative else None

    def forward(self, seen: Batch) -> Tensor:
        return self.prompted(seen, None if self.completion is None else self.completion(seen))

    def stages(self) -> Iterator[Stage]:
        yield Stage("classify", {"all": Objective(self.loss, self.parameters(), lr=self.lr, weight_decay=0.0)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        return {"cls": task_loss(self(seen), seen.label)}


class LinearCompletion(nn.Module):
    """MPLMM's completion: each available modality, averaged over `frames` equal parts, through a linear layer and GELU
    of its own for each missing one; then `StandIn`, one for each set of available modalities. Rows that have nothing
    get zeros."""

    def __init__(self, dims: Mapping[str, int], width: int, frames: int, length: int):
        super().__init__()
        self.frames, self.width = frames, width
        self.translate = nn.ModuleDict(
            {f"{source}_to_{m}": nn.Sequential(nn.Linear(dims[source], width), nn.GELU())
             for m, source in permutations(dims, 2)}
        )
        self.sets = {m: [s for count in range(1, len(dims)) for s in combinations([o for o in dims if o != m], count)]
                     for m in dims}  # fmt: skip
        self.complete = nn.ModuleDict(
            {f"{'_'.join(some)}_to_{m}": StandIn(frames, length, width, len(some))
             for m, sets in self.sets.items() for some in sets}
        )

    def forward(self, seen: Batch) -> dict[str, Float[Tensor, "batch frame width"]]:
        there = {m: available(seen, m) for m in seen.modalities}
        read = {m: torch.where(rearrange(there[m], "b -> b 1 1"), x, 0.0) for m, x in seen.x.items()}
        read = {m: mean_over_segments(x, seen.real[m], self.frames) for m, x in read.items()}
        generated = {}
        for m, sets in self.sets.items():
            generated[m] = read[m].new_zeros(len(seen), self.frames, self.width)
            pieces = {s: self.translate[f"{s}_to_{m}"](read[s]) for s in there if s != m}
            for some in sets:
                rows = torch.stack([there[s] == (s in some) for s in pieces]).all(0) & ~there[m]
                frames = self.complete[f"{'_'.join(some)}_to_{m}"]([pieces[s] for s in some])
                generated[m] = torch.where(rearrange(rows, "b -> b 1 1"), frames, generated[m])
        return generated
