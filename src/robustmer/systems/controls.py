"""Controls of a resynthesis: the mean frame of the clip itself, and principal components of the train split's frames.

Both take a batch and return frames as systems do, {modality: (B, T, *feature)}. Pictures are averaged as they are,
power spectra as logarithms. A system that knows a clip must be nearer to it than its still picture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from robustmer.batch import Batch
from robustmer.metrics.reconstruction import FLOOR

Reconstruction = dict[str, Tensor]


def to_linear(x: Tensor) -> Tensor:
    """Frames (..., *feature) in which means make sense: pixels, or log power."""
    return x if x.ndim > 3 else torch.log(x + FLOOR)


def from_linear(x: Tensor, mask: Tensor) -> Tensor:
    """Frames (B, T, *feature) from those of `to_linear`, zeros outside the mask."""
    x = x if x.ndim > 3 else x.exp()
    return torch.where(mask.reshape(*mask.shape, *[1] * (x.ndim - 2)), x, 0.0)


def clip_mean(observed: Batch) -> Reconstruction:
    """The mean of the clip's own recorded frames in place of every one: a still picture, a steady sound."""
    output = {}
    for m in observed.modalities:
        x, mask = observed.frames(m)
        weight = mask.reshape(*mask.shape, *[1] * (x.ndim - 2)).to(x)
        mean = (to_linear(x) * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
        output[m] = from_linear(mean.expand_as(x), mask)
    return output


def frame_pca(train: Batch, numbers: int) -> Callable[[Batch], Reconstruction]:
    """A function that keeps so many principal components of each frame, fitted on the frames of the train split. With
    0 it returns the mean frame of the train split. Raises ValueError for more components than values or frames."""
    fitted = {m: components(train, m, numbers) for m in train.modalities}

    def reconstruct(observed: Batch) -> Reconstruction:
        output = {}
        for m, (mean, basis) in fitted.items():
            x, mask = observed.frames(m)
            centred = to_linear(x).flatten(2) - mean
            output[m] = from_linear((centred @ basis.T @ basis + mean).view_as(x), mask)
        return output

    return reconstruct


def components(train: Batch, modality: str, numbers: int) -> tuple[Tensor, Tensor]:
    """Mean (D,) and basis (numbers, D) of the recorded frames of a modality."""
    from sklearn.decomposition import PCA

    x, mask = train.frames(modality)
    frames = to_linear(x)[mask].flatten(1).cpu().numpy()
    if not 0 <= numbers <= min(frames.shape):
        raise ValueError(f"{numbers} components of {len(frames)} frames of {modality} with {frames.shape[1]} values were "
                         f"asked for; give at most {min(frames.shape)}")  # fmt: skip
    if not numbers:
        basis = np.zeros((0, frames.shape[1]), np.float32)
        return torch.from_numpy(frames.mean(0)), torch.from_numpy(basis)
    fitted = PCA(numbers, random_state=0).fit(frames)
    return torch.from_numpy(fitted.mean_).float(), torch.from_numpy(fitted.components_).float()
