"""From recordings to frames: log-mel spectrograms with their deltas (MCWSA IV.B), and files of sound and video."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from robustmer.corpora.files import Unfit
from robustmer.extras import MissingExtra

FLOOR = 1e-10
"""The least power, so that silence is -100 dB and not minus infinity."""


def mel(frequency_hz: float | np.ndarray) -> float | np.ndarray:
    """The mel of a frequency (O'Shaughnessy 1987): 2595 log10(1 + f / 700).

    >>> round(float(mel(1000.0)))
    1000
    """
    return 2595 * np.log10(1 + np.asarray(frequency_hz) / 700)


def filterbank(
    sr: int, points: int, bands: int = 64, low_hz: float = 20, high_hz: float = 8000
) -> Float[np.ndarray, "band bin"]:
    """Triangles of height 1, whose corners are equally spaced in mel, on the bins of a Fourier transform of so many
    points. Between the first and the last centre they add up to 1. Raises ValueError for bounds beyond sr / 2, and for
    bands narrower than a bin."""
    if not 0 <= low_hz < high_hz <= sr / 2:
        raise ValueError(
            f"bands from {low_hz} to {high_hz} Hz at {sr} Hz were given; give bounds within 0 to {sr / 2:g}"
        )
    corners = 700 * (10 ** (np.linspace(mel(low_hz), mel(high_hz), bands + 2) / 2595) - 1)
    bins = np.arange(points // 2 + 1) * (sr / points)
    rise, width = bins - corners[:, None], np.diff(corners)[:, None]
    filters = np.maximum(0, np.minimum(rise[:-2] / width[:-1], -rise[2:] / width[1:]))
    if not filters.any(1).all():
        empty = int(np.argmin(filters.any(1)))
        raise ValueError(f"band {empty} of {bands} is narrower than a bin; give fewer bands or a longer window")
    return filters


def log_mel(
    samples: Float[np.ndarray, "sample"],
    sr: int,
    bands: int = 64,
    low_hz: float = 20,
    high_hz: float = 8000,
    window_s: float = 0.025,
    hop_s: float = 0.010,
) -> Float[np.ndarray, "frame band"]:
    """Power in mel bands, in dB, of samples from -1 to 1. Frame t is centred on t hops; zeros lie beyond both ends.

    MCWSA IV.B: 64 filters from 20 to 8000 Hz, a Hamming window of 25 ms "with 10 ms overlapping". That is read as a hop
    of 10 ms; literally it is one of 15 ms. Raises ValueError for a recording without samples, and as `filterbank`.
    """
    from scipy.signal import get_window

    if not len(samples):
        raise ValueError("a recording without samples was given; leave it out")
    window, hop = round(window_s * sr), round(hop_s * sr)
    points = 1 << (window - 1).bit_length()
    padded = np.pad(np.asarray(samples, np.float64), window // 2)
    padded = np.pad(padded, (0, max(window - len(padded), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * get_window("hamming", window)
    power = np.abs(np.fft.rfft(frames, points)) ** 2 @ filterbank(sr, points, bands, low_hz, high_hz).T
    return 10 * np.log10(np.maximum(power, FLOOR)).astype(np.float32)


def deltas(x: Float[np.ndarray, "frame band"], reach: int = 2) -> Float[np.ndarray, "frame band"]:
    """Slope over time, a frame: sum of k (x_{t+k} - x_{t-k}) over k = 1..reach, divided by 2 sum of k^2.

    The first and the last frame are repeated beyond the ends, so give a recording without padding.
    """
    from scipy.ndimage import correlate1d

    steps = np.arange(-reach, reach + 1)
    return correlate1d(x, steps / np.square(steps).sum(), axis=0, mode="nearest")


def with_deltas(x: Float[np.ndarray, "frame band"]) -> Float[np.ndarray, "frame channel"]:
    """Static, delta and delta-delta side by side: three channels of one picture (MCWSA IV.B)."""
    slope = deltas(x)
    return np.concatenate([x, slope, deltas(slope)], axis=1).astype(np.float32)


def read_wav(path: Path) -> tuple[Float[np.ndarray, "sample"], int]:
    """Samples from -1 to 1, the mean of all channels, and the sampling rate in Hz. Raises Unfit for a damaged file."""
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("error", wavfile.WavFileWarning)
        warnings.filterwarnings("ignore", "Chunk", wavfile.WavFileWarning)  # of remarks, such as names
        try:
            sr, samples = wavfile.read(path)
        except (ValueError, EOFError, struct.error, wavfile.WavFileWarning) as error:
            raise Unfit(f"is no complete wav file ({error}); get it again") from None
    if not samples.size:
        raise Unfit("holds no samples; leave the sample out")
    if samples.dtype == np.uint8:
        samples = samples.astype(np.float64) - 128
        return mono(samples / 128), sr
    scale = np.iinfo(samples.dtype).max + 1 if samples.dtype.kind == "i" else 1
    return mono(samples.astype(np.float64) / scale), sr


def mono(samples: np.ndarray) -> Float[np.ndarray, "sample"]:
    return samples if samples.ndim == 1 else samples.mean(1)


def pyav():
    """The module `av`. Raises MissingExtra without it (the extra `media`)."""
    try:
        import av
    except ImportError as error:
        raise MissingExtra("Sound and video files need the extra `media`: pip install 'robustmer[media]'") from error
    av.logging.set_level(av.logging.PANIC)  # what libraries print about damage is raised as well
    return av


def decoded(path: Path, kind: str) -> tuple[list, float]:
    """The frames of the first stream of this kind, "audio" or "video", and how many a second. Raises Unfit for a damaged or
    shortened file, and for one without such a stream."""
    av = pyav()
    try:
        with av.open(str(path)) as container:
            streams = [stream for stream in container.streams if stream.type == kind]
            if not streams:
                raise Unfit(f"has no {kind}; leave it out")
            streams[0].codec_context.options = {"err_detect": "crccheck+explode"}
            frames, stream = list(container.decode(streams[0])), streams[0]
            rate = float(stream.rate if kind == "audio" else stream.average_rate)
            lasts = float(stream.duration * stream.time_base) if stream.duration else 0.0
    except (av.FFmpegError, ArithmeticError, ValueError) as error:
        raise Unfit(f"cannot be decoded ({error}); get it again") from None
    count = sum(frame.samples for frame in frames) if kind == "audio" else len(frames)
    played = count / rate if rate else 0.0
    if not played or any(frame.is_corrupt for frame in frames) or played < lasts - 0.1:
        raise Unfit(f"holds {played:.2f} s of {kind}{f' of {lasts:.2f} s' if lasts else ''}; get it again")
    return frames, rate


def read_sound(path: Path) -> tuple[Float[np.ndarray, "sample"], int]:
    """Samples from -1 to 1, the mean of all channels, and the sampling rate in Hz, of any file that FFmpeg reads, videos
    included. Raises Unfit for a damaged file, and as `pyav`."""
    frames, sr = decoded(path, "audio")
    channels = frames[0].layout.nb_channels
    arrays = [frame.to_ndarray() for frame in frames]
    planar = frames[0].format.is_planar
    samples = np.concatenate([array if planar else array.reshape(-1, channels).T for array in arrays], axis=1)
    scale = np.iinfo(samples.dtype).max + 1 if samples.dtype.kind == "i" else 1
    return samples.astype(np.float64).mean(0) / scale, int(sr)


def read_pictures(
    path: Path, pixels: int, part: float = 1.0
) -> tuple[UInt8[np.ndarray, "frame pixels pixels 3"], float]:
    """The middle square of every picture of a video or picture file, in colour, `part` of its shorter side wide, scaled
    to `pixels`; and the pictures a second. Raises as `read_sound`."""
    frames, rate = decoded(path, "video")
    side = int(part * min(frames[0].width, frames[0].height))
    top, left = (frames[0].height - side) // 2, (frames[0].width - side) // 2
    pictures = []
    for frame in frames:
        square = np.ascontiguousarray(frame.to_ndarray(format="rgb24")[top : top + side, left : left + side])
        square = pyav().VideoFrame.from_ndarray(square, format="rgb24")
        pictures.append(square.reformat(pixels, pixels, interpolation="AREA").to_ndarray(format="rgb24"))
    return np.stack(pictures), rate
