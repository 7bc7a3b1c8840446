"""From a sequence to one vector a sample; padding and absent modalities have no effect."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import Batch

Frames = Float[Tensor, "batch time dim"]
Mask = Bool[Tensor, "batch time"]


def max_over_time(x: Frames, mask: Mask) -> Float[Tensor, "batch dim"]:
    """Maximum over the recorded frames; 0, with a finite gradient, for a sample that has none."""
    if x.shape[1] == 1:
        return torch.where(mask, x[:, 0], 0.0)
    highest = x.masked_fill(~mask[..., None], -torch.inf).amax(1)
    return torch.where(mask.any(1, keepdim=True), highest, 0.0)


class LSTMEncoder(nn.Module):
    """One-directional LSTM, maximum over the recorded frames (NMER 3.3: hidden size 128; the pooling is MMIN's)."""

    def __init__(self, dim: int, width: int = 128):
        super().__init__()
        self.lstm = nn.LSTM(dim, width, batch_first=True)

    def forward(self, x: Frames, mask: Mask) -> Float[Tensor, "batch width"]:
        return max_over_time(self.lstm(x)[0], mask)


class TextCNN(nn.Module):
    """Convolutions of 3, 4 and 5 tokens, maximum over time, one linear layer (NMER 3.3; Kim 2014).

    Every recorded token begins one window of each size. Windows extend into zeros past the end, so one token is enough.
    """

    def __init__(self, dim: int, width: int = 128, kernels: tuple[int, ...] = (3, 4, 5), dropout: float = 0.5):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, width, kernel) for kernel in kernels)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(len(kernels) * width, width), nn.ReLU())

    def forward(self, x: Frames, mask: Mask) -> Float[Tensor, "batch width"]:
        pooled = []
        for convolution in self.convolutions:
            windows = convolution(nn.functional.pad(x.mT, (0, convolution.kernel_size[0] - 1))).relu()
            pooled.append(max_over_time(windows.mT, mask))
        return torch.where(mask.any(1, keepdim=True), self.out(torch.cat(pooled, dim=1)), 0.0)


class Encoders(nn.Module):
    """One encoder a modality: TextCNN for text, LSTM for all others. An absent modality is encoded as zero.

    `dims` is the number of features of each modality.
    """

    def __init__(self, dims: Mapping[str, int], width: int = 128, dropout: float = 0.5):
        super().__init__()
        encoder = lambda m, dim: TextCNN(dim, width, dropout=dropout) if m == "text" else LSTMEncoder(dim, width)  # noqa: E731
        self.by_modality = nn.ModuleDict({m: encoder(m, dim) for m, dim in dims.items()})

    def forward(self, batch: Batch) -> Float[Tensor, "batch modality width"]:
        return torch.stack([encoder(*batch.frames(m)) for m, encoder in self.by_modality.items()], dim=1)

    def present(self, batch: Batch) -> Bool[Tensor, "batch modality"]:
        return torch.stack([batch.present[m] for m in self.by_modality], dim=1)


def mlp(
    *sizes: int, dropout: float = 0.0, activation: type[nn.Module] = nn.ReLU, kaiming: bool = True
) -> nn.Sequential:
    """Linear layers of these sizes with activation and dropout between them, none after the last.

    First weights are Kaiming-normal and biases 0, as in NMER's released code: torch's default shrinks the signal at
    every layer, and six layers in a row then learn nothing for hundreds of steps. Without `kaiming` they are torch's.
    """
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        if i:
            layers += [activation(), nn.Dropout(dropout)]
        layers.append(nn.Linear(before, after))
        if kaiming:
            nn.init.kaiming_normal_(layers[-1].weight)
            nn.init.zeros_(layers[-1].bias)
    return nn.Sequential(*layers)
