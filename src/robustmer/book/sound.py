"""Sound that code makes, for the ear's own idea of a signal-to-noise ratio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robustmer.book import players
from robustmer.corpora.media import filterbank

RATE = 8000
"""Samples a second, as on a telephone: a second takes 16 kB."""


AH, EE, OO = (
    ((700, 90), (1100, 110), (2500, 150)),
    ((300, 60), (2300, 100), (3000, 150)),
    ((300, 60), (870, 90), (2240, 140)),
)
"""Resonances of a vocal tract and their widths in Hz, for three vowels."""


def vowel(seconds: float = 1.5, pitch: float = 120.0, resonances=AH) -> Float[Tensor, "1 time 1"]:
    """A vowel, "ah" by default, with a falling pitch in Hz: harmonics under the resonances, of variance 1."""
    time = torch.arange(int(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * torch.pi * (pitch * (1 - 0.1 * time / seconds) * time)
    sound = torch.zeros_like(time)
    for harmonic in range(1, int(0.45 * RATE / pitch)):
        frequency = harmonic * pitch
        gain = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in resonances)
        sound += gain * torch.sin(harmonic * phase)
    sound *= torch.sin(torch.pi * time / seconds).clamp(min=0).sqrt()
    return (sound / sound.std()).float()[None, :, None]


def vocoded(frames: Float[Tensor, "frame band"], generator: torch.Generator) -> Float[Tensor, "1 time 1"]:
    """Noise with the power of these mel frames (`media.log_mel` at RATE, to RATE / 2): what can be heard in them."""
    points, hop = 256, RATE // 100
    filters = torch.from_numpy(filterbank(RATE, points, frames.shape[1], high_hz=RATE / 2)).float()
    noise, window = torch.randn(len(frames) * hop - hop, generator=generator), torch.hann_window(points)
    spectrum = torch.stft(noise, points, hop, window=window, return_complex=True)
    power = (10 ** (frames / 10) / filters.sum(1)) @ filters
    return torch.istft(spectrum * power.mT.sqrt(), points, hop, window=window)[None, :, None]


def play(sounds: Mapping[str, Tensor], loudness: float = 0.12) -> None:
    """Display players for sounds (1, T, 1), all with the same loudness (root mean square, where 1 is full scale)."""
    tags = {}
    for name, sound in sounds.items():
        samples = sound.flatten().double().numpy()
        samples = samples * loudness / np.sqrt(np.square(samples).mean())
        tags[name] = players.tag("audio", players.wav(samples, RATE), name, "")
    players.show(tags)
