"""Players of a page: sound as WAV, faces with their sound as H.264 and AAC. They are embedded, so they work offline."""

from __future__ import annotations

import base64
import html
import io
import wave
from collections.abc import Mapping
from fractions import Fraction

import numpy as np
from jaxtyping import Float, UInt8

from robustmer.corpora.media import pyav

SIDE = 256
"""Pixels of a player's picture: faces of 64 become four times as large, without smoothing."""

Pictures = UInt8[np.ndarray, "frame channel height width"]
Sound = Float[np.ndarray, "sample"]


def wav(samples: Sound, sr: int) -> bytes:
    """A file of 16 bits, from samples that are clipped to -1 and 1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, sr, 0, "NONE", ""))
        out.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


def mp4(pictures: Pictures, samples: Sound, sr: int, fps: int) -> bytes:
    """A file with pictures of one channel (gray) or three, scaled to 256 x 256, and their sound. Both begin at 0.

    Raises ValueError where one is longer than the other by more than a picture, and MissingExtra without PyAV.
    """
    if abs(len(pictures) / fps - len(samples) / sr) > 1 / fps:
        raise ValueError(
            f"{len(pictures)} pictures at {fps} a second and {len(samples)} samples at {sr} a second were given; a player "
            "needs both of the same length"
        )
    av, file = pyav(), io.BytesIO()
    rows, columns = (np.arange(SIDE) * size // SIDE for size in pictures.shape[2:])
    large = np.broadcast_to(pictures[:, :, rows][..., columns], (len(pictures), 3, SIDE, SIDE))
    with av.open(file, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=fps, options={"crf": "23", "threads": "1"})
        video.width, video.height, video.pix_fmt = SIDE, SIDE, "yuv420p"
        audio = container.add_stream("aac", rate=sr, layout="mono")
        audio.bit_rate = 64000
        for picture in large:
            picture = np.ascontiguousarray(np.moveaxis(picture, 0, 2))
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        sound = np.clip(samples, -1, 1).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.rate, frame.pts, frame.time_base = sr, 0, Fraction(1, sr)
        for packet in [*video.encode(), *audio.encode(frame), *audio.encode()]:
            container.mux(packet)
    return file.getvalue()


def tag(kind: str, content: bytes, name: str, alt: str) -> str:
    """An element `audio` or `video` with controls, its name below it, and its text alternative."""
    mime = {"audio": "audio/wav", "video": "video/mp4"}[kind]
    source = f"data:{mime};base64,{base64.b64encode(content).decode()}"
    label, text = html.escape(name), html.escape(f"{name}: {alt}" if alt else name)
    player = f'<{kind} controls style="width: 100%" aria-label="{text}" src="{source}">{text}</{kind}>'
    return f'<figure style="margin: 0; width: 14rem">{player}<figcaption>{label}</figcaption></figure>'


def show(tags: Mapping[str, str]) -> None:
    """Display players side by side; where there is no HTML, their names."""
    from IPython.display import display

    page = f'<div style="display: flex; flex-wrap: wrap; gap: 1rem">{"".join(tags.values())}</div>'
    display({"text/html": page, "text/plain": ", ".join(tags)}, raw=True)


def audio(sounds: Mapping[str, Sound], sr: int = 16000, alt: str = "") -> None:
    """Display sounds, each under its name. `alt` describes what they have in common."""
    show({name: tag("audio", wav(samples, sr), name, alt) for name, samples in sounds.items()})


def video(clips: Mapping[str, tuple[Pictures, Sound]], sr: int = 16000, fps: int = 25, alt: str = "") -> None:
    """Display clips of pictures and sound, each under its name. `alt` describes what they have in common. Raises as
    `mp4`."""
    show({name: tag("video", mp4(pictures, sound, sr, fps), name, alt) for name, (pictures, sound) in clips.items()})
