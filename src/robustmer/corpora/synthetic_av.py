r"""synthetic_av: talking faces and voices made from a seed, in step, with every factor on record.

Twelve people speak with four emotions at three levels. A clip has static factors, one value each, and dynamic factors,
one value a frame. `Corpus.factors` holds them all:

    who              factor (N,) or (N, T)                        what it moves
    identity         face_width, eye_distance, skin, hair         the face
                     base_pitch (Hz), formant_scale               the voice
    emotion, level   brow_angle, brow_height, mouth_corners       the face
                     pitch_shift, tilt, breath                    the voice: level of its pitch, brightness, noise
    shared           opening (0 to 1; syllables, 3 to 5 a second) lips; first formant and loudness
    the face's own   blink, gaze, shift_x, shift_y                eyelids, pupils, place of the head
    the voice's own  pitch (Hz), f2 (Hz)                          harmonics, second formant

The emotion c at level l sets the three factors of a modality to s_l mu_c + d eps, with eps ~ N(0, I_3) drawn for each
clip and modality: the modalities err independently, so both together know more than one.

Faces are signed distances to ellipses and lines, drawn with soft edges. Voices are the harmonics of the pitch under five
resonances, and a little breath. Features are bytes (T, 1, pixels, pixels) and power spectra (T, 513); the phases of the
spectra are the target "audio phase". No matrix product is in their making, so the bytes do not depend on the number of
threads. `Corpus.boxes` holds the mouth and the eyes.

Every table made from this corpus says "synthetic" and supports no conclusion about people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8

from robustmer.batch import Batch
from robustmer.corpora.common import About, CorpusError
from robustmer.corpora.corpus import Corpus, Split, folds_by_group
from robustmer.corpora.files import Problems
from robustmer.corpora.layout import Layout
from robustmer.corpora.sound import FPS, RATE, power_and_phase
from robustmer.corpora.synthetic import CLASSES, autoregressive, generator

LEVELS = ("low", "medium", "high")
STRENGTH = np.array([0.75, 1.0, 1.25])
"""s_l, how far a level moves the factors of its emotion."""

PEOPLE = 12
SIZES = {"smoke": (1, 16), "quick": (3, 40), "paper": (60, 40)}
"""Clips of each person and emotion, with levels in turn, and frames of a clip."""

DIRECTION = {  # mu_c of happy, angry, sad, neutral
    "visual": {
        "brow_angle": (0, -0.3, 0.3, 0),
        "brow_height": (0.5, -0.5, -0.4, 0),
        "mouth_corners": (1.3, -1, -1.2, 0),
    },
    "audio": {"pitch_shift": (0.8, 0.6, -0.8, 0), "tilt": (1, 1.1, -1, 0), "breath": (-0.4, -0.1, 0.6, 0)},
}
DOUBT = {"visual": 0.38, "audio": 0.48}
"""d of each modality. Calibrated at size="paper" so that logistic regression on time-pooled frames (pixels, logarithms
of power) has a UA of about .60 on voices, .65 on faces and .80 on both, of people that it never met."""

SEMITONES, TILT, CONTOUR, BRIGHTNESS = 3.0, 0.4, 1.5, 1.0
"""Semitones of a unit of pitch_shift, and of the contour; exponents of a unit of tilt, and without it."""

HIGHEST_HZ, WIDTHS_HZ, BREATH = 7600, (70, 100, 150, 200, 250), 0.004
CAMERA = 0.01
"""Standard deviation of the noise of a pixel, where 1 is white."""

BOXES = {"eyes": (9, 17, 7, 25), "mouth": (19, 29, 9, 23)}
"""Top, bottom, left and right in 1/32 of a picture."""

Factors = Mapping[str, "np.ndarray | np.floating"]
Length = np.ndarray | np.floating | float


class SyntheticAV(Layout):
    """Made, not read. Options: `size` is one of SIZES, `pixels` is 32 or 64. Size "paper" holds 1 GB."""

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return {"emotion": CLASSES, "level": LEVELS, "identity": tuple(f"person {i + 1:02d}" for i in range(PEOPLE))}

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus:
        size, pixels, seed = settings["size"], settings["pixels"], settings["seed"]
        if size not in SIZES or pixels not in (32, 64):
            raise CorpusError(f"size {size!r} of {pixels!r} pixels was given; sizes are {', '.join(SIZES)} of 32 or 64")
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise CorpusError(f"seed {seed!r} was given; give an integer from 0 up")
        if not settings["modalities"] or not {*settings["modalities"]} <= {*self.modalities}:
            raise CorpusError(f"modalities {list(settings['modalities'])} were given; choose from audio, visual")
        repeats, frames = SIZES[size]
        person, emotion, number = (i.ravel() for i in np.indices((PEOPLE, len(CLASSES), repeats)))
        level = (number + person + emotion) % len(LEVELS)
        factors = draw_factors(person, emotion, level, frames, seed)
        id = np.array([f"p{p + 1:02d}-{CLASSES[e]}-{n:02d}" for p, e, n in zip(person, emotion, number, strict=True)])
        x, targets = {}, {}
        if "audio" in settings["modalities"]:
            pairs = [power_and_phase(voice(clip(factors, i), seed, i)) for i in range(len(id))]
            x["audio"], targets["audio phase"] = (torch.from_numpy(np.stack(kind)) for kind in zip(*pairs, strict=True))
        if "visual" in settings["modalities"]:
            x["visual"] = torch.from_numpy(np.stack([face(clip(factors, i), pixels, seed, i) for i in range(len(id))]))
        everything = torch.ones(len(id), frames, dtype=torch.bool)
        labels, names = {"emotion": emotion, "level": level, "identity": person}, self.labels(settings)
        samples = Batch(
            x,
            {m: everything for m in x},
            {m: everything[:, 0] for m in x},
            {label: torch.from_numpy(values) for label, values in labels.items()},
            np.array(names["identity"])[person],
            id,
            name=self.name,
            targets=targets,
        )
        tests = [(first, first + 1) for first in range(0, PEOPLE, 2)]
        split = Split("by speaker", folds_by_group(person, tests, tests[1:] + tests[:1]))
        boxes = {name: tuple(edge * pixels // 32 for edge in box) for name, box in BOXES.items()}
        standardise = bool(settings["standardise"])
        return Corpus(self.name, samples, names, split, standardise, factors=factors, boxes=boxes)


synthetic_av = SyntheticAV(
    name="synthetic AV",
    label="emotion",
    classes=CLASSES,
    options={"size": "quick", "pixels": 64, "seed": 0, "standardise": False},
    about=About(
        title="Synthetic talking faces and voices",
        access="made from a seed on this machine, no download",
        licence="that of this project",
        folder=None,
        modalities=("audio", "visual"),
    ),
)


def clip(factors: Factors, i: int) -> Factors:
    return {name: values[i] for name, values in factors.items()}


def draw_factors(person: np.ndarray, emotion: np.ndarray, level: np.ndarray, frames: int, seed: int) -> Factors:
    """Every factor of every clip, each from a stream of its own."""
    rows, factors = len(person), {}
    stream = lambda name: generator(seed, f"av {name}")  # noqa: E731
    ranges = {"face_width": (0.85, 1.1), "eye_distance": (0.22, 0.3), "skin": (0.55, 0.85), "hair": (0.05, 0.4),
              "base_pitch": (90, 220), "formant_scale": (0.85, 1.2)}  # fmt: skip
    for name, (low, high) in ranges.items():  # one person in each twelfth of the range, on a scale of ratios
        place = (stream(name).permutation(PEOPLE) + 0.5) / PEOPLE
        factors[name] = (low * (high / low) ** place)[person]
    for m, directions in DIRECTION.items():
        for name, corners in directions.items():
            doubt = DOUBT[m] * stream(name).standard_normal(rows)
            factors[name] = STRENGTH[level] * np.array(corners, dtype=float)[emotion] + doubt
    time = (np.arange(frames) + 0.5) / FPS
    draw = stream("opening")
    turn = draw.uniform(0, 1, (rows, 1)) + draw.uniform(3, 5, (rows, 1)) * time
    loud = draw.uniform(0.4, 1, (rows, int(turn.max()) + 1)) * (draw.random((rows, int(turn.max()) + 1)) > 0.15)
    factors["opening"] = np.take_along_axis(loud, turn.astype(int), 1) * np.sin(np.pi * turn) ** 2
    start = stream("blink").uniform(0, 2, (rows, 1))  # one of 0.2 s in two seconds
    factors["blink"] = np.clip(1 - np.abs(time - start) / 0.1, 0, 1)
    slow = lambda name, memory: autoregressive(stream(name), rows, frames, 1, memory)[..., 0]  # noqa: E731
    factors |= {"gaze": np.tanh(slow("gaze", 0.9)), "shift_x": np.tanh(slow("shift_x", 0.97)),
                "shift_y": np.tanh(slow("shift_y", 0.97))}  # fmt: skip
    semitones = SEMITONES * factors["pitch_shift"][:, None] + CONTOUR * slow("contour", 0.9)
    factors["pitch"] = (factors["base_pitch"][:, None] * 2 ** (semitones / 12)).clip(60, 400)
    factors["f2"] = factors["formant_scale"][:, None] * (1500 + 500 * np.tanh(slow("f2", 0.9)))
    return factors


def first_formant(factors: Factors) -> np.ndarray:
    """Hz of each frame: an open mouth raises it."""
    return factors["formant_scale"] * (320 + 430 * factors["opening"])


def voice(factors: Factors, seed: int, i: int) -> Float[np.ndarray, "sample"]:
    """A clip's sound as whole 16-bit numbers: harmonics under resonances, and breath."""
    pitch, hop = factors["pitch"], RATE // FPS
    part = np.arange(hop, dtype=np.float32) / np.float32(hop)  # of the way from the middle of a frame to the next one
    between = lambda values: values[:-1, None] + part * np.diff(values)[:, None]  # noqa: E731
    turn = 2 * np.pi * np.cumsum(between(np.pad(pitch, 1, "edge"))).reshape(-1, hop) / RATE
    harmonic = np.arange(1, int(HIGHEST_HZ / pitch.min()) + 1)[:, None]
    hz = harmonic * pitch
    scale = factors["formant_scale"]
    resonances = (first_formant(factors), factors["f2"], 2700 * scale, 3500 * scale, 4500 * scale)
    gain = np.where(hz < HIGHEST_HZ, harmonic ** (TILT * factors["tilt"] - BRIGHTNESS), 0).astype(complex)
    for centre, width in zip(resonances, WIDTHS_HZ, strict=True):
        gain *= centre**2 / (centre**2 - hz**2 + 1j * width * hz)
    gain = (gain * (0.02 + factors["opening"])).astype(np.complex64)
    once = np.exp(1j * turn).astype(np.complex64)
    turned, total = once, np.zeros(turn.shape, np.float32)
    for row in np.pad(gain, ((0, 0), (1, 1)), "edge"):
        total += (between(row) * turned).real
        turned = turned * once
    sound = total.ravel()[hop // 2 : -(hop // 2)]
    sound /= np.abs(sound).max()
    sound += (
        BREATH
        * np.exp(factors["breath"]).astype(np.float32)
        * generator(seed, f"av breath {i}").standard_normal(len(sound), dtype=np.float32)
    )
    return np.rint(sound.astype(np.float64) * 30000)


def face(factors: Factors, pixels: int, seed: int, i: int) -> UInt8[np.ndarray, "frame 1 height width"]:
    """A clip's pictures. Lengths are in half widths of the picture, from its middle, to the right and downwards."""
    f = {name: np.float32(values)[..., None, None] for name, values in factors.items()}
    place = (np.arange(pixels, dtype=np.float32) + 0.5) * 2 / pixels - 1
    x, y = place - 0.06 * f["shift_x"], place[:, None] - 0.06 * f["shift_y"]  # (T, 1, P) and (T, P, 1)
    skin = f["skin"]
    picture = np.full((len(factors["opening"]), pixels, pixels), 0.3, np.float32)

    def paint(distance: np.ndarray, shade: Length) -> None:
        """Where the distance to an edge is negative; an edge is one pixel wide."""
        cover = np.clip(0.5 - distance * (pixels / 2), 0, 1)
        picture[:] += cover * (shade - picture)

    def ellipse(across: np.ndarray, down: np.ndarray, width: Length, height: Length) -> np.ndarray:
        return (np.sqrt((across / width) ** 2 + (down / height) ** 2) - 1) * np.minimum(width, height)

    width = 0.62 * f["face_width"]
    paint(ellipse(x, y + 0.08, width + 0.1, 0.9), f["hair"])
    paint(np.maximum(ellipse(x, y - 0.05, width, 0.82), -0.5 - y), skin)
    paint(ellipse(x, y - 0.14, 0.05, 0.13), 0.8 * skin)
    for side in (-1, 1):
        across = x - side * f["eye_distance"]
        eye = ellipse(across, y + 0.12, 0.12, np.maximum(0.075 * (1 - f["blink"]), 0.01))
        paint(eye, 0.95)
        paint(np.maximum(ellipse(across - 0.06 * f["gaze"], y + 0.12, 0.05, 0.05), eye), 0.05)
        brow = y + 0.3 + 0.05 * f["brow_height"] + side * 0.35 * np.tanh(f["brow_angle"] / 2) * -across
        paint(np.maximum(np.abs(brow) - 0.03, np.abs(across) - 0.13), 0.6 * f["hair"])
    middle = y - 0.5 + 0.12 * np.tanh(f["mouth_corners"] / 2) * ((x / 0.25) ** 2 - 0.4)
    arch = lambda width: np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1))  # noqa: E731
    paint(np.maximum(np.abs(middle) - (0.05 + 0.13 * f["opening"]) * arch(0.28), np.abs(x) - 0.28), 0.65 * skin)
    paint(np.maximum(np.abs(middle) - 0.13 * f["opening"] * arch(0.23), np.abs(x) - 0.23), 0.05)
    picture += CAMERA * generator(seed, f"av camera {i}").standard_normal(picture.shape, dtype=np.float32)
    return np.rint(picture * 255).clip(0, 255).astype(np.uint8)[:, None]
