"""Swap: which attributes of picture and sound move with a latent that is exchanged between two clips (VQ-MDVAE 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from robustmer.batch import Batch
from robustmer.noise import stream
from robustmer.tasks import TASKS, Answers, OwnError, Task

if TYPE_CHECKING:
    from robustmer.systems.system import System

Reader = Callable[[Mapping[str, Tensor]], Float[Tensor, "batch time"]]
"""An attribute of every frame, from the frames (B, T, *feature) of all modalities."""

METRICS = ("PCC", "MAE")
REFERENCES = ("none", "all")
"""Nothing is exchanged, the lower bound of a transfer, or every latent is, the upper one."""


@dataclass(frozen=True)
class Swap(Task):
    """How well an attribute follows clip A when clip B gets one latent of A.

    Clip B is generated with `static`, `shared` or the own latent of a modality taken from A, at the frames that both
    have. An attribute of the result is compared with the same attribute of A's recorded frames: PCC is Pearson's
    correlation over frames, which a constant offset does not change, MAE the mean absolute error in the attribute's
    unit, which it does. Every sample is A for `partners` other samples of its part of up to 512.

    Scores are named `PCC mouth shared`, means over clips; PCC is unknown where an attribute does not change over time.
    `readers` are functions of frames by the names of `attributes`. They are no part of a saved task: give them again.
    Weights are selected by the system's own error.
    """

    attributes: tuple[str, ...] = ()
    latents: tuple[str, ...] = ("static", "shared", "audio", "visual")
    partners: int = 1
    readers: Mapping[str, Reader] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "attributes", tuple(self.attributes or self.readers))
        object.__setattr__(self, "latents", tuple(self.latents))
        if not self.attributes or self.partners < 1:
            raise ValueError(
                f"Swap of {len(self.attributes)} attributes with {self.partners} partners: give one reader or more by "
                "name, and one partner or more"
            )

    selects_by = "error"

    @property
    def metrics(self) -> tuple[str, ...]:
        return tuple(f"{metric} {of} {part}" for metric in METRICS for of in self.attributes for part in self.parts)

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.latents, *REFERENCES)

    def selecting(self) -> OwnError:
        return OwnError()

    def describe(self) -> dict[str, object]:
        return {"task": type(self).__name__, "attributes": self.attributes, "latents": self.latents,
                "partners": self.partners}  # fmt: skip

    def check(self, batch: Batch) -> None:
        if len(batch) < 2:
            raise ValueError(f"{batch.name} has {len(batch)} clips; a swap needs two or more")

    def judge(self, system: System, observed: Batch, clean: Batch) -> Answers:
        """PCC and MAE of each sample as clip A, (B,), means over its partners. Raises ValueError for a system that has
        no latents to exchange, and where an attribute has no reader."""
        lacking = [name for name in self.attributes if name not in self.readers]
        if lacking or not hasattr(system, "infer"):
            what = f"no reader for {', '.join(lacking)}" if lacking else f"{type(system).__name__} has no latents"
            raise ValueError(
                f"{what}; Swap needs Swap(readers={{name: function}}) and a system with infer and generate"
            )
        count = min(self.partners, max(1, len(observed) - 1))
        order = torch.randperm(len(observed), generator=stream("swap", clean.name)).to(observed.device)
        rounds = []
        for shift in range(1, count + 1):
            partner = torch.empty_like(order)
            partner[order] = order.roll(shift)
            rounds.append(self.exchanged(system, observed, clean, partner))
        alone = len(observed) < 2
        return {
            name: torch.full_like(values, torch.nan) if alone else values for name, values in mean_of(rounds).items()
        }

    def exchanged(self, system: System, observed: Batch, clean: Batch, partner: Int[Tensor, "batch"]) -> Answers:
        """One round: sample i is clip A, sample partner[i] is clip B."""
        both = shared_frames(observed, partner)
        a, b = cut(observed, both), cut(observed[partner], both)
        recorded = {m: cut(clean, both).frames(m)[0] for m in clean.modalities}
        wanted = {name: self.readers[name](recorded) for name in self.attributes}
        latents_a, latents_b = system.infer(a), system.infer(b)
        out = {}
        for part in self.parts:
            mixed = {"none": latents_b, "all": latents_a}.get(part)
            frames = system.generate(latents_b.exchange(latents_a, part) if mixed is None else mixed)
            for name in self.attributes:
                got, aim = (values[:, : both.shape[1]] for values in (self.readers[name](frames), wanted[name]))
                out[f"PCC {name} {part}"] = correlation(got, aim, both)
                out[f"MAE {name} {part}"] = torch.where(both, (got - aim).abs(), 0.0).sum(1) / both.sum(1)
        return {name: out[name] for name in self.metrics}

    def scores(self, answers: Answers) -> dict[str, float]:
        return {name: float(values.double().nanmean()) for name, values in answers.items()}

    def matrix(self, scores: Mapping[str, float], metric: str = "PCC") -> pd.DataFrame:
        """One metric as attributes by exchanged latents."""
        rows = [[scores[f"{metric} {of} {part}"] for part in self.parts] for of in self.attributes]
        return pd.DataFrame(rows, index=list(self.attributes), columns=list(self.parts))


TASKS[Swap.__name__] = Swap


def mean_of(rounds: list[Answers]) -> Answers:
    return {name: torch.stack([answers[name] for answers in rounds]).nanmean(0) for name in rounds[0]}


def shared_frames(batch: Batch, partner: Int[Tensor, "batch"]) -> Bool[Tensor, "batch time"]:
    """The frames that a sample and its partner have in every modality of theirs."""
    count = torch.stack([batch.mask[m].sum(1) for m in batch.modalities]).amin(0)
    longest = max(mask.shape[1] for mask in batch.mask.values())
    return torch.arange(longest, device=count.device) < torch.minimum(count, count[partner])[:, None]


def cut(batch: Batch, kept: Bool[Tensor, "batch time"]) -> Batch:
    """The batch with these frames alone."""
    return batch.replace(mask={m: mask & kept[:, : mask.shape[1]] for m, mask in batch.mask.items()})


def correlation(
    x: Float[Tensor, "batch time"], y: Float[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch"]:
    """Pearson's correlation over the frames in the mask; nan where either does not change."""
    x, y = (torch.where(mask, v.double(), 0.0) for v in (x, y))
    x, y = ((v - v.sum(1, keepdim=True) / mask.sum(1, keepdim=True)) * mask for v in (x, y))
    both = x.square().sum(1) * y.square().sum(1)
    return torch.where(both > 1e-12, (x * y).sum(1) / both.sqrt(), torch.nan).float()


# --- readers of the true factors of a synthetic corpus ----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FactorReader:
    """A ridge regression from a frame of one modality to a factor. `r2` is its R^2 on validation frames. Spectra are
    read as log power."""

    modality: str
    weight: Float[Tensor, "feature"] = field(repr=False)
    bias: float
    r2: float = float("nan")

    def __call__(self, frames: Mapping[str, Tensor]) -> Float[Tensor, "batch time"]:
        return features(frames[self.modality]) @ self.weight.to(frames[self.modality]) + self.bias


def features(x: Float[Tensor, "batch time ..."]) -> Float[Tensor, "batch time feature"]:
    """Pictures as they are, vectors (power spectra) as their logarithm."""
    return x.flatten(2) if x.ndim > 3 else torch.log10(x.clamp(min=0) + 1e-10)


def factor_reader(
    train: Batch, valid: Batch, factors: tuple[np.ndarray, np.ndarray], modality: str, penalty: float = 1e-3
) -> FactorReader:
    """A reader of one factor, (N,) or (N, T), learnt on the frames of `train`. `factors` holds its values for the
    samples of `train` and of `valid`. The penalty is a share of the mean eigenvalue of the features' covariance."""
    x, y = frames_and_values(train, factors[0], modality)
    mean, level = x.mean(0), y.mean()
    covariance = (x - mean).T @ (x - mean) / len(x)
    ridge = penalty * covariance.diagonal().mean() * torch.eye(len(mean), dtype=x.dtype)
    weight = torch.linalg.solve(covariance + ridge, (x - mean).T @ (y - level) / len(x))
    x, y_valid = frames_and_values(valid, factors[1], modality)
    error = (x @ weight + (level - mean @ weight) - y_valid).square().mean()
    r2 = 1 - error / y_valid.var(correction=0).clamp(min=1e-12)
    return FactorReader(modality, weight.float(), float(level - mean @ weight), float(r2))


def frames_and_values(
    batch: Batch, factor: np.ndarray, modality: str
) -> tuple[Float[Tensor, "frame feature"], Float[Tensor, "frame"]]:
    """All recorded frames and the factor's value at each, in float64."""
    x, mask = batch.frames(modality)
    values = torch.as_tensor(np.asarray(factor, dtype=np.float64))
    values = values[:, None].expand(mask.shape) if values.ndim == 1 else values[:, : mask.shape[1]]
    return features(x)[mask].double(), values[mask]
