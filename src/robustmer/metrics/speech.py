"""How near resynthesised sound is to the recording. Samples are waveforms of one length, power is (frame, bin)."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from robustmer.extras import MissingExtra
from robustmer.metrics.reconstruction import FLOOR

Samples = Float[np.ndarray, "sample"]


def si_sdr(recorded: Samples, estimate: Samples) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, without removal of the mean).

    The estimate is compared sample by sample, so a wrong phase costs as much as a wrong sound. A gain costs nothing.
    """
    recorded, estimate, tiny = recorded.astype(np.float64), estimate.astype(np.float64), np.finfo(np.float64).eps
    scaled = (estimate @ recorded + tiny) / (recorded @ recorded + tiny) * recorded
    rest = estimate - scaled
    return float(10 * np.log10((scaled @ scaled + tiny) / (rest @ rest + tiny)))


def log_spectral_distance(power: Float[Tensor, "frame bin"], other: Float[Tensor, "frame bin"]) -> float:
    """Root mean square over the bins of the difference in dB, a mean over frames (Gray and Markel 1976)."""
    level = lambda x: 10 * torch.log10(x.double() + FLOOR)  # noqa: E731
    return float((level(power) - level(other)).square().mean(1).sqrt().mean())


def stoi(recorded: Samples, estimate: Samples, sr: int) -> float:
    """Short-time objective intelligibility, 0 to 1 (Taal et al. 2010), as the package `pystoi` computes it. NaN for
    less than 0.4 s of speech. Raises MissingExtra without `pystoi`."""
    try:
        import pystoi
    except ImportError as error:
        raise MissingExtra("STOI needs the extra `speech`: pip install 'robustmer[speech]'") from error
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Not enough STFT frames")
        try:
            return float(pystoi.stoi(recorded, estimate, sr))
        except RuntimeWarning:
            return float("nan")


def pesq(recorded: Samples, estimate: Samples, sr: int) -> float:
    """Perceptual evaluation of speech quality, wide band, 1 to 4.6 (ITU-T P.862.2), as the package `pesq` computes it.
    NaN where it finds no speech or less than 0.25 s. Raises MissingExtra without `pesq`, and ValueError for another
    rate than 16 kHz."""
    try:
        import pesq as package
    except ImportError as error:
        raise MissingExtra("PESQ needs the extra `speech`: pip install 'robustmer[speech]'") from error
    if sr != 16000:
        raise ValueError(f"PESQ in wide band reads samples at 16000 Hz, and {sr} Hz were given; resample both")
    value = package.pesq(sr, recorded, estimate, "wb", on_error=package.PesqError.RETURN_VALUES)
    return float(value) if value > 0 else float("nan")
