"""Sound as spectra at the rate of pictures, and back (VQ-MDVAE 3.1); pitch and formants of the same frames.

Frame t of all functions is centred on the middle of picture t, at (t + 1/2) sr / fps samples. Its time is computed, not
added up, so a rate that does not divide sr (29.97 pictures a second) does not drift. Zeros lie beyond both ends.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Complex, Float, Int

WINDOW = 1024
"""Samples of a Hann window: 64 ms at 16 kHz (VQ-MDVAE 3.1)."""

RATE, FPS = 16000, 25
"""Samples and pictures a second. Their hop is 640 samples."""

ORDER, CEILING_HZ = 10, 5000
"""Of linear prediction: two poles for each of five resonances below 5 kHz."""

ROUNDS = 8
"""Weighted fits, of which each takes its weights from the errors of the one before."""


def hann() -> Float[np.ndarray, "sample"]:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)


def centres(frames: int, sr: float = RATE, fps: float = FPS) -> Int[np.ndarray, "frame"]:
    """The sample in the middle of each picture: (t + 1/2) sr / fps, rounded.

    >>> centres(3).tolist(), centres(3, fps=30).tolist()
    ([320, 960, 1600], [267, 800, 1333])
    """
    return np.rint((np.arange(frames) + 0.5) * sr / fps).astype(np.int64)


def frame_count(samples: int, sr: float = RATE, fps: float = FPS) -> int:
    """The number of whole pictures that last as long as these samples; half a sample less is a rounding error."""
    return int((samples + 0.5) * fps / sr)


def windows(
    samples: Float[np.ndarray, "sample"], sr: float, fps: float, width: int = WINDOW
) -> Float[np.ndarray, "frame width"]:
    """`width` samples around the middle of every picture. Raises ValueError for less than one picture."""
    frames = frame_count(len(samples), sr, fps)
    if not frames:
        raise ValueError(f"{len(samples)} samples at {sr:g} Hz are less than one of {fps:g} pictures a second")
    padded = np.pad(np.asarray(samples, np.float64), width)
    return padded[centres(frames, sr, fps)[:, None] + np.arange(width) + width - width // 2]


def stft(samples: Float[np.ndarray, "sample"], sr: float = RATE, fps: float = FPS) -> Complex[np.ndarray, "frame bin"]:
    """The short-time Fourier transform with one frame a picture, 513 bins. Raises ValueError as `windows`."""
    return np.fft.rfft(windows(samples, sr, fps) * hann())


def istft(
    spectrum: Complex[np.ndarray, "frame bin"], length: int, sr: float = RATE, fps: float = FPS
) -> Float[np.ndarray, "sample"]:
    """The `length` samples whose transform is nearest to this one: overlapping windows, divided by the sum of their
    squares (Griffin and Lim 1984, eq. 6). Raises ValueError where pictures are further apart than a window."""
    if sr / fps >= WINDOW:
        raise ValueError(f"{fps:g} pictures a second leave gaps between windows of {WINDOW} samples; give more")
    place = centres(len(spectrum), sr, fps)[:, None] + np.arange(WINDOW) - WINDOW // 2
    inside = (place >= 0) & (place < length)
    windowed = np.fft.irfft(spectrum, WINDOW) * hann()
    total = np.bincount(place[inside], windowed[inside], minlength=length)
    weight = np.bincount(place[inside], np.broadcast_to(hann() ** 2, place.shape)[inside], minlength=length)
    return total / np.maximum(weight, 1e-8)


def griffin_lim(
    magnitude: Float[np.ndarray, "frame bin"],
    steps: int = 60,
    length: int | None = None,
    sr: float = RATE,
    fps: float = FPS,
    seed: int = 0,
) -> Float[np.ndarray, "sample"]:
    """Samples with nearly these magnitudes, from random phases (Griffin and Lim 1984). No step moves the magnitudes of
    the result away from the given ones. The default length is that of the pictures."""
    length = round(len(magnitude) * sr / fps) if length is None else length
    phase = np.random.default_rng(seed).uniform(-np.pi, np.pi, magnitude.shape)
    for _ in range(steps):
        phase = np.angle(stft(istft(magnitude * np.exp(1j * phase), length, sr, fps), sr, fps))
    return istft(magnitude * np.exp(1j * phase), length, sr, fps)


def power_and_phase(
    samples: Float[np.ndarray, "sample"], sr: float = RATE, fps: float = FPS
) -> tuple[Float[np.ndarray, "frame bin"], Float[np.ndarray, "frame bin"]]:
    """|X|^2 and the angle of X in radians, float32, of samples divided by their maximum (VQ-MDVAE 3.1). Raises ValueError
    for silence, and as `windows`."""
    loudest = np.abs(samples).max(initial=0)
    if not loudest > 0:
        raise ValueError("is silent; leave the recording out")
    spectrum = stft(samples / loudest, sr, fps)
    return np.square(np.abs(spectrum)).astype(np.float32), np.angle(spectrum).astype(np.float32)


def waveform(
    power: Float[np.ndarray, "frame bin"],
    phase: Float[np.ndarray, "frame bin"],
    sr: float = RATE,
    fps: float = FPS,
) -> Float[np.ndarray, "sample"]:
    """The samples of a power spectrum with these phases in radians, as long as its pictures."""
    spectrum = np.sqrt(np.maximum(power.astype(np.float64), 0)) * np.exp(1j * phase.astype(np.float64))
    return istft(spectrum, round(len(power) * sr / fps), sr, fps)


def f0(
    samples: Float[np.ndarray, "sample"],
    sr: float = RATE,
    fps: float = FPS,
    low_hz: float = 60,
    high_hz: float = 400,
    least: float = 0.45,
) -> Float[np.ndarray, "frame"]:
    """Pitch of each frame in Hz: the best lag of the autocorrelation, divided by that of the window (Boersma 1993). NaN
    where its value is below `least`, as in silence and in unvoiced sounds."""
    frames = windows(samples, sr, fps)
    frames = (frames - frames.mean(1, keepdims=True)) * hann()
    autocorrelation = lambda x: np.fft.irfft(np.abs(np.fft.rfft(x, 2 * WINDOW)) ** 2)[..., :WINDOW]  # noqa: E731
    shared, own = autocorrelation(frames), autocorrelation(hann())
    longest = min(int(sr / low_hz) + 2, WINDOW // 2)
    value = shared[:, :longest] / np.maximum(shared[:, :1], 1e-12) / (own[:longest] / own[0])
    lag = np.arange(max(int(sr / high_hz), 1), longest - 1)
    left, peak, right = (value[:, lag + step] for step in (-1, 0, 1))
    bend = left - 2 * peak + right
    top = (bend < 0) & (peak >= left) & (peak >= right)  # of the parabola through three lags
    shift = np.where(top, 0.5 * (left - right) / np.where(top, bend, 1), 0)
    height = np.where(top, peak - 0.25 * (left - right) * shift, -np.inf)
    # A multiple of the period is as good as the period, so a longer lag costs a little (Boersma 1993, eq. 26).
    best = (height - 0.03 * np.log2(lag * low_hz / sr)).argmax(1)[:, None]
    height, shift = (np.take_along_axis(x, best, 1)[:, 0] for x in (height, shift))
    return np.where(height >= least, sr / (lag[best[:, 0]] + shift), np.nan)


def formants(
    samples: Float[np.ndarray, "sample"], sr: float = RATE, fps: float = FPS, count: int = 2
) -> Float[np.ndarray, "frame formant"]:
    """The lowest resonances of each frame in Hz, by linear prediction; NaN where fewer are in the sound.

    Samples are resampled to 10 kHz. The fit minimises absolute errors, by weighted squares: the pulses of the voice,
    which no past predicts, would pull squared errors towards harmonics of the pitch.
    """
    from scipy.signal import resample_poly

    rate = 2 * CEILING_HZ
    low = resample_poly(np.asarray(samples, np.float64), rate, int(sr)) if rate != sr else samples
    track = np.full((frame_count(len(samples), sr, fps), count), np.nan)
    low = np.pad(low, (0, max(0, round(len(track) * rate / fps) - len(low))))
    for t, frame in enumerate(windows(low, rate, fps, WINDOW // 2)[: len(track)]):
        past = np.lib.stride_tricks.sliding_window_view(frame[:-1], ORDER)[:, ::-1]
        present, weight = frame[ORDER:], np.ones(len(past))
        if not np.square(present).mean() > 1e-10:
            continue
        for _ in range(ROUNDS):
            predictor = np.linalg.lstsq(past * weight[:, None], present * weight, rcond=None)[0]
            error = np.abs(present - past @ predictor)
            weight = 1 / np.sqrt(np.maximum(error, 1e-3 * error.max()))
        roots = np.roots(np.append(1, -predictor))
        roots = roots[(roots.imag > 0) & (np.abs(roots) > 0)]
        frequency, width = np.angle(roots) * rate / (2 * np.pi), -np.log(np.abs(roots)) * rate / np.pi
        resonances = np.sort(frequency[(frequency > 90) & (frequency < CEILING_HZ - 50) & (np.abs(width) < 500)])
        track[t, : len(resonances[:count])] = resonances[:count]
    return track
