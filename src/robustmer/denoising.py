"""Denoising: what a system makes of pictures with a noisy region (VQ-MDVAE 3.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustmer.batch import Batch
from robustmer.metrics.pictures import psnr
from robustmer.metrics.reconstruction import mean_over_frames
from robustmer.noise import stream
from robustmer.regions import Box, corrupt_box, inside
from robustmer.tasks import TASKS, Answers, OwnError, Task

if TYPE_CHECKING:
    from robustmer.systems.system import System

Pictures = Float[Tensor, "batch time ..."]
CONTROLS = ("interpolation", "clip mean")


@dataclass(frozen=True)
class Denoising(Task):
    """PSNR in noisy boxes of pictures, after a system has reconstructed them.

    Of each sample the `frames` central ones are used; the `corrupted` central ones of these get noise N(0, variance) in
    a box, in units of the pictures' range 1 and without clipping: at variance 10 the box holds almost only noise. The
    other modalities stay as observed. Both scores of CONTROLS read no noisy frame: linear interpolation between the two
    nearest clean frames, and the mean of the clean ones.

    Scores are named `PSNR mouth 10` or `PSNR mouth interpolation`, means in dB over samples, each a mean over its noisy
    frames. A sample with fewer frames is left out. Weights are selected by the system's own error.
    """

    boxes: Mapping[str, Sequence[int]] | Sequence = ()
    variances: Sequence[float] = (0.01, 0.1, 1.0, 10.0)
    modality: str = "visual"
    frames: int = 10
    corrupted: int = 6

    def __post_init__(self):
        boxes = self.boxes.items() if isinstance(self.boxes, Mapping) else self.boxes
        object.__setattr__(self, "boxes", tuple((name, tuple(box)) for name, box in boxes))
        object.__setattr__(self, "variances", tuple(map(float, self.variances)))
        if not self.boxes or not self.variances or min(self.variances) < 0:
            raise ValueError('Denoising needs boxes, such as {"mouth": (43, 59, 18, 46)}, and variances of 0 or more')
        if not 0 < self.corrupted < self.frames - 1:
            raise ValueError(
                f"{self.corrupted} of {self.frames} frames: give one or more, with a clean one at each end"
            )

    selects_by = "error"

    @property
    def metrics(self) -> tuple[str, ...]:
        levels = [f"{variance:g}" for variance in self.variances]
        return tuple(f"PSNR {name} {what}" for name, _ in self.boxes for what in (*levels, *CONTROLS))

    def selecting(self) -> OwnError:
        return OwnError()

    def cases(self, pictures: Pictures, name: str) -> Iterator[tuple[str, Box, Bool[Tensor, "batch time"], Pictures]]:
        """Each score with its box, the frames that are hit and the noisy pictures. Noise has the name of the samples,
        not of a system."""
        before = (self.frames - self.corrupted) // 2
        hit = torch.zeros(pictures.shape[:2], dtype=torch.bool, device=pictures.device)
        hit[:, before : before + self.corrupted] = True
        for what, box in self.boxes:
            size = pictures[inside(box, tuple(pictures.shape[2:]))].shape
            for variance in self.variances:
                drawn = torch.randn(size, generator=stream("denoising", name, what, variance)).to(pictures)
                yield f"PSNR {what} {variance:g}", box, hit, corrupt_box(pictures, hit, box, variance**0.5 * drawn)

    def judge(self, system: System, observed: Batch, clean: Batch) -> Answers:
        """The PSNR of each sample, (B,). Raises ValueError for a system that does not return the pictures."""
        short = central(observed, self.frames)
        original = central(clean, self.frames).frames(self.modality)[0]
        known = short.frames(self.modality)[1].all(1)
        out, cases = {}, {}
        for name, box, hit, noisy in self.cases(short.frames(self.modality)[0], clean.name):
            cases[box] = hit
            output = system(short.replace(x=short.x | {self.modality: noisy}))
            if not isinstance(output, Mapping) or self.modality not in output:
                raise ValueError(
                    f"{type(system).__name__} returns no {self.modality}; Denoising scores a system that reconstructs it"
                )
            out[name] = self.in_box(original, hit, box, output[self.modality])
        for what, box in self.boxes:
            for control, made in zip(CONTROLS, (interpolated, clip_mean), strict=True):
                out[f"PSNR {what} {control}"] = self.in_box(original, cases[box], box, made(original, cases[box]))
        return {name: torch.where(known, values, torch.nan) for name, values in out.items()}

    def in_box(self, original: Pictures, hit: Bool[Tensor, "batch time"], box: Box, made: Pictures) -> Tensor:
        region = inside(box, tuple(original.shape[2:]))
        return by_frame(original[region], hit, made[region])

    def scores(self, answers: Answers) -> dict[str, float]:
        return {name: float(values.double().nanmean()) for name, values in answers.items()}


def by_frame(x: Pictures, mask: Bool[Tensor, "batch time"], made: Pictures) -> Float[Tensor, "batch"]:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1], a mean over frames of each frame's; at most 100."""
    error = (x - made).square().flatten(2).mean(2).clamp(min=1e-10)
    return mean_over_frames(psnr(error)[..., None], mask)


def central(batch: Batch, frames: int) -> Batch:
    """This many central recorded frames of each sample; of shorter samples the first ones, with zeros behind."""
    x, masks = {}, {}
    for m, values in batch.x.items():
        start = ((batch.mask[m].sum(1) - frames) // 2).clamp(min=0)
        index = start[:, None] + torch.arange(frames, device=start.device)
        recorded = index < values.shape[1]
        index = index.clamp(max=values.shape[1] - 1)
        rows = torch.arange(len(batch), device=start.device)[:, None]
        masks[m] = batch.mask[m][rows, index] & recorded
        x[m] = values[rows, index]
    return batch.replace(x=x, mask=masks)


def interpolated(x: Pictures, hit: Bool[Tensor, "batch time"]) -> Pictures:
    """Frames that are hit, one block a sample, as a line from the frame before it to the frame behind it."""
    time = torch.arange(hit.shape[1], device=x.device)
    first = torch.where(hit, time, hit.shape[1]).amin(1) - 1
    last = torch.where(hit, time, -1).amax(1) + 1
    rows = torch.arange(len(x), device=x.device)
    share = ((time - first[:, None]) / (last - first)[:, None]).reshape(*hit.shape, *[1] * (x.ndim - 2))
    line = (1 - share) * x[rows, first][:, None] + share * x[rows, last][:, None]
    return torch.where(hit.reshape(share.shape), line, x)


def clip_mean(x: Pictures, hit: Bool[Tensor, "batch time"]) -> Pictures:
    """Frames that are hit as the mean of the others."""
    clean = (~hit).reshape(*hit.shape, *[1] * (x.ndim - 2))
    return torch.where(clean, x, ((x * clean).sum(1) / clean.sum(1))[:, None])


TASKS[Denoising.__name__] = Denoising
