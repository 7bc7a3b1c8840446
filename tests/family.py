"""A toy of the MDVAE family: linear, with the interface that probes and judges read."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from robustmer.batch import collate, mean_over_time
from robustmer.corpora import Corpus, Split, folds_by_group
from robustmer.systems import Probe, System, Upstream
from robustmer.tasks import OwnError


@dataclass(frozen=True)
class Latents:
    static: Tensor
    shared: Tensor
    own: dict
    mask: Tensor

    def exchange(self, other, part):
        if part in ("static", "shared"):
            return dataclasses.replace(self, **{part: getattr(other, part)})
        return dataclasses.replace(self, own=self.own | {part: other.own[part]})


class Family(System):
    """w is a linear map of the mean frames, z of the frames of all modalities, z of a modality of its own frames; a
    frame is a linear map of all three."""

    def __init__(self, shapes, task, static=6, shared=3, own=2):
        super().__init__()
        sizes = {m: int(np.prod(shape)) for m, shape in shapes.items()}
        every = sum(sizes.values())
        self.to_static, self.to_shared = nn.Linear(every, static), nn.Linear(every, shared)
        self.to_own = nn.ModuleDict({m: nn.Linear(size, own) for m, size in sizes.items()})
        self.decoders = nn.ModuleDict({m: nn.Linear(static + shared + own, size) for m, size in sizes.items()})

    def code(self, observed):
        frames = {m: observed.frames(m) for m in self.shapes}
        return self.to_static(torch.cat([mean_over_time(x.flatten(2), mask) for x, mask in frames.values()], dim=1))

    def infer(self, observed, sample=False):
        frames = {m: observed.frames(m)[0].flatten(2) for m in self.shapes}
        longest = max(x.shape[1] for x in frames.values())
        frames = {m: nn.functional.pad(x, (0, 0, 0, longest - x.shape[1])) for m, x in frames.items()}
        mask = torch.stack([nn.functional.pad(observed.frames(m)[1], (0, longest - observed.x[m].shape[1]))
                            for m in self.shapes]).any(0)  # fmt: skip
        own = {m: self.to_own[m](x) for m, x in frames.items()}
        return Latents(self.code(observed), self.to_shared(torch.cat([*frames.values()], dim=2)), own, mask)

    def generate(self, latents):
        static = latents.static[:, None].expand(-1, latents.mask.shape[1], -1)
        return {m: decoder(torch.cat([static, latents.shared, latents.own[m]], dim=2)).unflatten(2, self.shapes[m])
                for m, decoder in self.decoders.items()}  # fmt: skip

    def forward(self, observed):
        return self.generate(self.infer(observed))

    def loss(self, clean, observed):
        output, errors = self(observed), []
        for m, x in output.items():
            frames, mask = clean.frames(m)
            error = (frames - x[:, : frames.shape[1]]).square().flatten(2).mean(2)
            errors.append((error * mask).sum() / mask.sum().clamp(min=1))
        return {"reconstruction": torch.stack(errors).mean()}


class SmallProbe(Probe):
    upstream = {"model": Upstream(Family, task=OwnError())}

    def __init__(self, shapes, task, model, head="MLR", share=1.0, lr=5e-2):
        super().__init__(shapes, task, model, head, share, lr)


class SmallMLP(SmallProbe):
    def __init__(self, shapes, task, model, head="MLP", share=1.0, lr=5e-3):
        super().__init__(shapes, task, model, head, share, lr)


def clips_corpus(name="synthetic AV", samples=72, frames=12, seed=0):
    """Noise in the layout of talking faces: six people in five folds, four emotions at three levels."""
    draw, at = np.random.default_rng(seed), np.arange(samples)
    person = at // 12 % 6
    faces = [draw.integers(0, 256, (frames, 1, 16, 16)).astype(np.uint8) for _ in at]
    sound = [draw.gamma(1.0, 1.0, (frames, 513)) for _ in at]
    labels = {"emotion": at % 4, "level": at // 4 % 3}
    batch = collate({"audio": sound, "visual": faces}, labels, speaker=[f"p{i}" for i in person], name=name)
    phase = torch.from_numpy(draw.uniform(-3, 3, (samples, frames, 513))).float()
    folds = folds_by_group(person, [[i] for i in range(5)], [[i + 1] for i in range(5)])
    classes = {"emotion": ("happy", "angry", "sad", "neutral"), "level": ("low", "medium", "high")}
    return Corpus(name, batch.replace(targets={"audio phase": phase}), classes, Split("by speaker", folds),
                  standardise=False, boxes={"mouth": (8, 14, 4, 12)})  # fmt: skip
