"""The audiovisual transformer that MDVAE is compared with (Chumachenko et al. 2022): attention between two branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.nn.attention import check_heads
from robustmer.systems.system import AdamW, System
from robustmer.tasks import Task

Frames = Float[Tensor, "batch time width"]
Mask = Bool[Tensor, "batch time"]


class AVTransformer(System):
    """A branch of convolutions over time for each modality, which attend to one another in the middle; the mean over
    time of both ends is concatenated and classified. Small and from scratch: the paper's EfficientFace weights cannot
    be had, so a linear layer reads the pictures.

    Each half of a branch has two convolutions of `kernel` frames. Between the halves every frame attends to the frames
    of every other modality, and the result is added. Those in `power` are read as log power. A modality that a sample
    lacks is attended to by none and adds zeros. With one modality there is no attention.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 64, heads: int = 4, kernel: int = 3,
        dropout: float = 0.1, power: Sequence[str] = (), lr: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        check_heads(width, heads)
        self.heads, self.power, self.optimizer = heads, tuple(power), AdamW(lr)
        project = {m: nn.Linear(int(np.prod(shape)), width) for m, shape in shapes.items()}
        self.project = nn.ModuleDict(project)
        self.early = nn.ModuleDict({m: Convolutions(width, kernel, dropout) for m in shapes})
        self.late = nn.ModuleDict({m: Convolutions(width, kernel, dropout) for m in shapes})
        self.query, self.key_value, self.out = (
            nn.ModuleDict({m: nn.Linear(width, size) for m in shapes if len(shapes) > 1})
            for size in (width, 2 * width, width)
        )
        self.classifier = nn.Linear(len(shapes) * width, task.outputs)

    def forward(self, observed: Batch) -> Tensor:
        x, masks = {}, {}
        for m in self.shapes:
            frames, masks[m] = observed.frames(m)
            frames = torch.log10(frames.clamp(min=0) + 1e-10) if m in self.power else frames
            x[m] = self.early[m](self.project[m](frames.flatten(2)), masks[m])
        met = {m: x[m] + self.met(m, x, masks) for m in x}
        ends = [mean_over_time(self.late[m](met[m], masks[m]), masks[m]) for m in x]
        return self.classifier(torch.cat(ends, dim=1))

    def met(self, modality: str, x: Mapping[str, Frames], masks: Mapping[str, Mask]) -> Tensor | float:
        """What the frames of a modality take from those of the others; 0 where a sample has no others."""
        others = [m for m in x if m != modality]
        if not others:
            return 0.0
        keys, values = torch.cat([self.key_value[m](x[m]) for m in others], dim=1).chunk(2, dim=-1)
        mask = torch.cat([masks[m] for m in others], dim=1)
        meets = mask.any(1)[:, None, None]
        query, keys, values = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (self.query[modality](x[modality]), keys, values)
        )
        mixed = scaled_dot_product_attention(query, keys, values, attn_mask=(mask[:, None, None] | ~meets[:, None]))
        return torch.where(meets, self.out[modality](mixed.transpose(1, 2).flatten(2)), 0.0)


class Convolutions(nn.Module):
    """Two convolutions over time, each with normalisation, ReLU and dropout. Frames beyond a sample are zeros."""

    def __init__(self, width: int, kernel: int, dropout: float):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel={kernel}: give an odd number of frames, so that a branch keeps its length")
        self.layers = nn.ModuleList(nn.Conv1d(width, width, kernel, padding=kernel // 2) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Frames, mask: Mask) -> Frames:
        real = mask[..., None]
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = torch.where(real, x, 0.0)
            x = x + self.dropout(norm(layer(x.mT).mT).relu())
        return torch.where(real, x, 0.0)
