"""MCTN, cyclic translation between modalities (Pham et al. 2019), as a classifier under noise.

The original regresses sentiment from word-aligned text, video and voice, and reads the text alone at test. NMER says
that it "learns joint representations between every two modalities" and not how it made it a classifier that meets
noise in any modality; no code shows it. This is our reading: one translator for each ordered pair of modalities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from robustmer.batch import Batch
from robustmer.nn.encoders import mlp
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.system import Objective, Stage, System

Real = Bool[Tensor, "batch time"]


class Translator(nn.Module):
    """From one modality to another and back, with the same encoder and decoder, so features are padded to `dim`, the
    wider of the two (as in the authors' code).

    The encoder is a bidirectional LSTM whose directions are summed, the decoder attention, an LSTM and a linear layer.
    The authors' attention asks with the decoder's last state, frame after frame; here it asks with the position of the
    frame, so that all frames are decoded at once and lengths may differ.
    """

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.dim, self.width = dim, width
        self.onward = nn.LSTM(dim, width, batch_first=True)
        self.backward = nn.LSTM(dim, width, batch_first=True)
        self.ask = nn.Linear(width, width)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.out = nn.Linear(width, dim)
        self.weigh = nn.Linear(width, 1)

    def encode(self, x: Float[Tensor, "batch time dim"], real: Real) -> Float[Tensor, "batch time width"]:
        x = pad(x, (0, self.dim - x.shape[-1]))
        turn = repeat(backwards(real), "b t -> b t w", w=self.width)
        from_end = self.backward(x.gather(1, repeat(backwards(real), "b t -> b t d", d=self.dim)))[0].gather(1, turn)
        return (self.onward(x)[0] + from_end) * real[..., None]

    def decode(
        self, states: Float[Tensor, "batch time width"], real: Real, frames: int
    ) -> Float[Tensor, "batch frame dim"]:
        heard = real | ~real.any(1, keepdim=True)  # attention over nothing would be 0/0
        where = positions(max(frames, states.shape[1]), self.width).to(states)
        asked = repeat(self.ask(where[:frames]), "t w -> b t w", b=len(states))
        mask = rearrange(heard, "b t -> b 1 t")
        context = scaled_dot_product_attention(asked, states + where[: states.shape[1]], states, attn_mask=mask)
        return self.out(self.decoder(context)[0])

    def pool(self, states: Float[Tensor, "batch time width"], real: Real) -> Float[Tensor, "batch width"]:
        """Mean over the real frames, each weighed by what it says; 0 for a row without any."""
        score = self.weigh(states)[..., 0].masked_fill(~real, -torch.inf)
        weight = torch.where(real.any(1, keepdim=True), score, 0.0).softmax(1) * real
        return (weight[..., None] * states).sum(1)


class MCTN(System):
    """Each modality is translated into each other one and back; a classifier reads what the translators have encoded.

    Targets are clean frames, sources are what is seen. Weights (translation and cycle 0.1, classification 1) and the
    hidden size of 32 are those of the authors' code. A single modality is translated into itself.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        width: int = 32,
        dropout: float = 0.5,
        weight_translate: float = 0.1,
        weight_cycle: float = 0.1,
        lr: float = 1e-3,
    ):
        super().__init__()
        self.weight_translate, self.weight_cycle, self.lr = weight_translate, weight_cycle, lr
        self.pairs = list(permutations(dims, 2)) or [(m, m) for m in dims]
        self.translators = nn.ModuleDict(
            {f"{one}_to_{other}": Translator(max(dims[one], dims[other]), width) for one, other in self.pairs}
        )
        self.classifier = mlp(len(self.pairs) * width, 128, 128, outputs(classes), dropout=dropout)

    def forward(self, seen: Batch) -> Tensor:
        return self.classify(seen, self.encode(seen))

    def encode(self, seen: Batch) -> list[Float[Tensor, "batch time width"]]:
        return [
            translator.encode(seen.x[source], here(seen, source))
            for translator, (source, _) in zip(self.translators.values(), self.pairs, strict=True)
        ]

    def classify(self, seen: Batch, encoded: Sequence[Tensor]) -> Tensor:
        joint = [
            translator.pool(states, here(seen, source))
            for translator, states, (source, _) in zip(self.translators.values(), encoded, self.pairs, strict=True)
        ]
        return self.classifier(torch.cat(joint, dim=1))

    def stages(self) -> Iterator[Stage]:
        yield Stage("translate", {"all": Objective(self.loss, self.parameters(), lr=self.lr)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        encoded = self.encode(seen)
        there, back = [], []
        for translator, states, (source, target) in zip(self.translators.values(), encoded, self.pairs, strict=True):
            sent, wanted = here(seen, source), here(clean, target) & seen.present[source][:, None]
            frames = translator.decode(states, sent, wanted.shape[1])
            there.append(squared_error(frames, clean.x[target], wanted))
            again = translator.encode(frames, wanted)
            returned = translator.decode(again, wanted, sent.shape[1])
            known = here(clean, source) & wanted.any(1, keepdim=True)
            back.append(squared_error(returned, clean.x[source], known))
        return {
            "translate": self.weight_translate * torch.stack(there).mean(),
            "cycle": self.weight_cycle * torch.stack(back).mean(),
            "cls": task_loss(self.classify(seen, encoded), seen.label),
        }


def here(batch: Batch, modality: str) -> Real:
    """The frames of a modality that a system may read."""
    return batch.real[modality] & batch.present[modality][:, None]


def backwards(real: Real) -> Int[Tensor, "batch time"]:
    """For each frame the index of its mirror image among the real frames; padding stays where it is."""
    time = torch.arange(real.shape[1], device=real.device)
    return torch.where(real, real.sum(1, keepdim=True) - 1 - time, time)


def positions(frames: int, width: int) -> Float[Tensor, "frame width"]:
    """Sines and cosines of the frame's number (Vaswani et al. 2017), for an even width."""
    rate = torch.exp(-math.log(1e4) * torch.arange(0, width, 2) / width)
    angle = torch.arange(frames)[:, None] * rate
    return rearrange([angle.sin(), angle.cos()], "two t w -> t (two w)")


def squared_error(
    frames: Float[Tensor, "batch time padded"], wanted: Float[Tensor, "batch time dim"], real: Real
) -> Float[Tensor, ""]:
    """Mean over the real frames and the features of the wanted modality; frames may be padded to more features."""
    error = (frames[..., : wanted.shape[-1]] - wanted).square().mean(-1)
    return (error * real).sum() / real.sum().clamp(min=1)
