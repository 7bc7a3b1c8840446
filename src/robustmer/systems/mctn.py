"""MCTN, cyclic translation between modalities (Pham et al. 2019), as a classifier under noise.

The original regresses sentiment and reads the text alone at test. For classes and noise in any modality, of which
neither paper nor code tells, this reading has one translator for each ordered pair of modalities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import positions
from robustmer.nn.encoders import mlp
from robustmer.systems.system import AdamW, System, widths
from robustmer.tasks import Task

Mask = Bool[Tensor, "batch time"]
Frames = Mapping[str, tuple[Tensor, Tensor]]
"""The frames of each modality and their mask (`Batch.frames`)."""


class Translator(nn.Module):
    """From one modality to another and back, with the same encoder and decoder, so features are padded to `dim`, the
    wider of the two (as in the authors' code).

    The encoder is a bidirectional LSTM whose directions are summed, the decoder attention, an LSTM and a linear layer.
    The query of the attention is the position of a frame (the authors': the decoder's last state), so that all frames
    are decoded at once and lengths may differ.
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

    def encode(self, x: Float[Tensor, "batch time dim"], mask: Mask) -> Float[Tensor, "batch time width"]:
        x, mirror = pad(x, (0, self.dim - x.shape[-1])), backwards(mask)
        turn = repeat(mirror, "b t -> b t w", w=self.width)
        from_end = self.backward(x.gather(1, repeat(mirror, "b t -> b t d", d=self.dim)))[0].gather(1, turn)
        return (self.onward(x)[0] + from_end) * rearrange(mask, "b t -> b t 1")

    def decode(
        self, states: Float[Tensor, "batch time width"], mask: Mask, frames: int
    ) -> Float[Tensor, "batch frame dim"]:
        keys = rearrange(mask | ~mask.any(1, keepdim=True), "b t -> b 1 t")  # attention over nothing would be 0/0
        place = positions(max(frames, states.shape[1]), self.width, states.device).to(states)
        place = rearrange(place, "t (w two) -> t (two w)", two=2)
        queries = repeat(self.ask(place[:frames]), "t w -> b t w", b=len(states))
        context = scaled_dot_product_attention(queries, states + place[: states.shape[1]], states, attn_mask=keys)
        return self.out(self.decoder(context)[0])

    def pool(self, states: Float[Tensor, "batch time width"], mask: Mask) -> Float[Tensor, "batch width"]:
        """Mean over the recorded frames, weighted by their states; 0 for a sample without any."""
        score = self.weigh(states)[..., 0].masked_fill(~mask, -torch.inf)
        weight = torch.where(mask.any(1, keepdim=True), score, 0.0).softmax(1) * mask
        return (rearrange(weight, "b t -> b t 1") * states).sum(1)


class MCTN(System):
    """Each modality is translated into each other one and back; a classifier reads the translators' codes.

    Targets are clean frames, sources observed ones. Weights (translation and cycle 0.1, classification 1) and the
    hidden size of 32 are those of the authors' code. A single modality is translated into itself.
    """

    phase = "translate"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, width: int = 32, dropout: float = 0.5,
        weight_translate: float = 0.1, weight_cycle: float = 0.1, lr: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        self.weight_translate, self.weight_cycle, self.optimizer = weight_translate, weight_cycle, AdamW(lr)
        dims = widths(shapes)
        self.pairs = list(permutations(dims, 2)) or [(m, m) for m in dims]
        translator = lambda pair: Translator(max(dims[m] for m in pair), width)  # noqa: E731
        self.translators = nn.ModuleDict({"_to_".join(pair): translator(pair) for pair in self.pairs})
        self.classifier = mlp(len(self.pairs) * width, 128, 128, task.outputs, dropout=dropout)

    def forward(self, observed: Batch) -> Tensor:
        frames = {m: observed.frames(m) for m in self.shapes}
        return self.classify(frames, self.encode(frames))

    def encode(self, frames: Frames) -> list[Float[Tensor, "batch time width"]]:
        translators = zip(self.translators.values(), self.pairs, strict=True)
        return [translator.encode(*frames[source]) for translator, (source, _) in translators]

    def classify(self, frames: Frames, encoded: Sequence[Tensor]) -> Tensor:
        translators = zip(self.translators.values(), encoded, self.pairs, strict=True)
        joint = [translator.pool(states, frames[source][1]) for translator, states, (source, _) in translators]
        return self.classifier(torch.cat(joint, dim=1))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        frames, goals = ({m: batch.frames(m) for m in self.shapes} for batch in (observed, clean))
        encoded = self.encode(frames)
        translation, cycle = [], []
        for translator, states, (source, target) in zip(self.translators.values(), encoded, self.pairs, strict=True):
            sent, (goal, received) = frames[source][1], goals[target]
            received = received & rearrange(observed.present[source], "b -> b 1")
            translated = translator.decode(states, sent, received.shape[1])
            translation.append(squared_error(translated, goal, received))
            returned = translator.decode(translator.encode(translated, received), received, sent.shape[1])
            origin, recorded = goals[source]
            cycle.append(squared_error(returned, origin, recorded & received.any(1, keepdim=True)))
        return {
            "translate": self.weight_translate * torch.stack(translation).mean(),
            "cycle": self.weight_cycle * torch.stack(cycle).mean(),
            "task": self.task.loss(self.classify(frames, encoded), observed),
        }


def backwards(mask: Mask) -> Int[Tensor, "batch time"]:
    """For each frame the index of its mirror image among the recorded frames; padding keeps its place."""
    time = torch.arange(mask.shape[1], device=mask.device)
    return torch.where(mask, mask.sum(1, keepdim=True) - 1 - time, time)


def squared_error(
    frames: Float[Tensor, "batch time padded"], goal: Float[Tensor, "batch time dim"], mask: Mask
) -> Float[Tensor, ""]:
    """Mean over the recorded frames and the features of the goal; `frames` may be padded to more features."""
    error = (frames[..., : goal.shape[-1]] - goal).square().mean(-1)
    return (error * mask).sum() / mask.sum().clamp(min=1)
