"""From a sequence to one vector an utterance; padding and absent modalities leave no trace."""

from __future__ import annotations

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import Batch


def max_over_time(x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]) -> Float[Tensor, "batch dim"]:
    """Maximum over the real frames; 0 for a row that has none, so that it stays finite, and its gradient too."""
    highest = x.masked_fill(rearrange(~real, "b t -> b t 1"), -torch.inf).amax(1)
    return torch.where(real.any(1, keepdim=True), highest, 0.0)


class LSTMEncoder(nn.Module):
    """One-directional LSTM, maximum over the real frames (NMER 3.3: hidden size 128; the pooling is MMIN's)."""

    def __init__(self, dim: int, width: int = 128):
        super().__init__()
        self.lstm = nn.LSTM(dim, width, batch_first=True)

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch width"]:
        return max_over_time(self.lstm(x)[0], real)


class TextCNN(nn.Module):
    """Convolutions of 3, 4 and 5 tokens, maximum over time, one linear layer (NMER 3.3; Kim 2014).

    Every real token begins one window of each size; windows reach into zeros past the end, so one token is enough.
    """

    def __init__(self, dim: int, width: int = 128, kernels: tuple[int, ...] = (3, 4, 5), dropout: float = 0.5):
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(dim, width, kernel) for kernel in kernels)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(len(kernels) * width, width), nn.ReLU())

    def forward(
        self, x: Float[Tensor, "batch time dim"], real: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch width"]:
        x = rearrange(x * rearrange(real, "b t -> b t 1"), "b t d -> b d t")
        pooled = []
        for convolution in self.convolutions:
            windows = convolution(nn.functional.pad(x, (0, convolution.kernel_size[0] - 1))).relu()
            pooled.append(max_over_time(rearrange(windows, "b d t -> b t d"), real))
        return self.out(torch.cat(pooled, dim=1))


class Encoders(nn.Module):
    """One encoder a modality: LSTM for audio and visual, TextCNN for text. An absent modality is encoded as zero."""

    def __init__(self, dims: dict[str, int], width: int = 128, dropout: float = 0.5):
        super().__init__()
        self.width = width
        self.each = nn.ModuleDict(
            {
                m: TextCNN(dim, width, dropout=dropout) if m == "text" else LSTMEncoder(dim, width)
                for m, dim in dims.items()
            }
        )

    def forward(self, seen: Batch) -> Float[Tensor, "batch modality width"]:
        features = []
        for m, encoder in self.each.items():
            encoded = encoder(seen.x[m], seen.real[m])
            features.append(torch.where(rearrange(seen.present[m], "b -> b 1"), encoded, 0.0))
        return torch.stack(features, dim=1)


def mlp(
    *sizes: int, dropout: float = 0.0, activation: type[nn.Module] = nn.ReLU, kaiming: bool = True
) -> nn.Sequential:
    """Linear layers of these sizes with activation and dropout between them, none after the last.

    Weights begin Kaiming-normal, biases at 0, as in NMER's released code: torch's default shrinks the signal at every
    layer, and six layers in a row then learn nothing for hundreds of steps. Without `kaiming` they begin as torch's.
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
