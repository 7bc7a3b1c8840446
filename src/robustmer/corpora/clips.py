"""Clips of faces and voices: pictures as bytes, and a power spectrum for every picture (VQ-MDVAE 3.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float

from robustmer.batch import Batch, collate
from robustmer.corpora.catalogue import EMOTIONS
from robustmer.corpora.common import About
from robustmer.corpora.corpus import Corpus, Split, folds_by_group
from robustmer.corpora.files import Problems, Unfit, expect, read_npz
from robustmer.corpora.layout import Layout
from robustmer.corpora.recordings import GRAMMAR, grid, words_of_clips
from robustmer.corpora.sound import FPS, RATE, frame_count, power_and_phase
from robustmer.corpora.synthetic import generator
from robustmer.corpora.synthetic_av import LEVELS

FOLDS = 5


@dataclass
class Clips:
    """Features of clips, one list a kind, and what belongs to them."""

    audio: list[np.ndarray] = field(default_factory=list)
    phase: list[np.ndarray] = field(default_factory=list)
    visual: list[np.ndarray] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    speaker: list[str] = field(default_factory=list)
    labels: dict[str, list[int]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        speaker: str,
        labels: Mapping[str, int],
        samples: Float[np.ndarray, "sample"],
        sr: int,
        pictures: np.ndarray | None = None,
        fps: float = FPS,
        resample: bool = False,
    ) -> None:
        """Add a clip: samples from -1 to 1, and pictures (T, H, W) or (T, H, W, 3) as bytes. Both are cut to the pictures
        that they share. Raises Unfit for a clip that cannot be used."""
        samples = at_rate(samples, sr, resample)
        if not np.isfinite(samples).all():
            raise Unfit(f"has a sample of sound that is {samples[~np.isfinite(samples)][0]}; leave the clip out")
        frames = frame_count(len(samples), RATE, fps)
        if pictures is not None:
            frames = shared_frames(pictures, frames)
        if frames < 2:
            raise Unfit(f"has {frames} pictures; a clip needs two or more")
        try:
            power, phase = power_and_phase(samples[: round(frames * RATE / fps)], RATE, fps)
        except ValueError as error:
            raise Unfit(str(error)) from None
        if pictures is not None:
            pictures = pictures[:frames, None] if pictures.ndim == 3 else np.moveaxis(pictures[:frames], 3, 1)
            self.visual.append(np.ascontiguousarray(pictures))
        self.audio.append(power)
        self.phase.append(phase)
        self.name.append(name)
        self.speaker.append(speaker)
        for label, value in labels.items():
            self.labels.setdefault(label, []).append(value)

    def batch(self, name: str) -> Batch:
        x = {"audio": self.audio} | ({"visual": self.visual} if self.visual else {})
        samples = collate(x, {k: np.array(v) for k, v in self.labels.items()}, self.speaker, self.name, name)
        return samples.replace(targets={"audio phase": collate({"audio": self.phase}).x["audio"]})


def at_rate(samples: Float[np.ndarray, "sample"], sr: int, resample: bool) -> Float[np.ndarray, "converted"]:
    """The samples at 16 kHz. Raises Unfit for another rate unless it is to be resampled."""
    from scipy.signal import resample_poly

    if sr == RATE:
        return samples
    if not resample:
        raise Unfit(f"has {sr} samples a second; spectra are those of {RATE}: load with resample=True to convert them")
    ratio = Fraction(RATE, int(sr))
    return resample_poly(samples, ratio.numerator, ratio.denominator)


def shared_frames(pictures: np.ndarray, sounds: int) -> int:
    """The number of pictures with sound. Raises Unfit where it differs by more than one, and for pictures that no codec
    can read."""
    height, width = pictures.shape[1:3]
    if abs(len(pictures) - sounds) > 1:
        raise Unfit(f"has {len(pictures)} pictures, and sound for {sounds}; cut both to the same time")
    if height % 8 or width % 8:
        raise Unfit(f"has pictures of {height} x {width}; height and width must be multiples of 8")
    black = np.flatnonzero(pictures.reshape(len(pictures), -1).max(1) == 0)
    if len(black):
        raise Unfit(f"has a black picture (frame {black[0]}, {len(black)} such frames); cut them or leave the clip out")
    return min(len(pictures), sounds)


def is_clipped(samples: np.ndarray, full: float) -> bool:
    """Whether three samples or more in a row are at full scale."""
    hot = np.abs(samples.astype(np.float64)) >= full
    return bool((hot[2:] & hot[1:-1] & hot[:-2]).any())


def random_folds(groups: np.ndarray, name: str, speaker_disjoint: bool) -> Split:
    """Up to five folds of groups in a random order: each tests one part and validates on the next."""
    order = generator(0, name).permutation(np.unique(groups))
    parts = np.array_split(order, min(FOLDS, len(order)))
    return Split("by speaker" if speaker_disjoint else "by clip", folds_by_group(groups, parts, parts[1:] + parts[:1]),
                 speaker_disjoint)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class AvFrames(Layout):
    """One .npz: `face` (N, T, H, W) or (N, T, H, W, 3) bytes, `audio` (N, samples) of 16 bits or floats, `name`,
    `speaker`, `n_frames`, `fps`, `sr`; optionally `emotion` with `emotion_names`, and `level` 0 to 2.

    Folds are by speaker where the file has three or more, else by clip. With a `grammar`, the labels are the words of
    GRID's names.
    """

    file: str
    boxes: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)
    grammar: Mapping[str, str] = field(default_factory=dict)

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return [root / self.file]

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        (path,) = self.present(root, settings)
        with np.load(path, allow_pickle=False) as archive:
            further = [name for name in ("emotion", "emotion_names", "level") if name in archive.files]
        arrays = read_npz(path, ["face", "audio", "name", "speaker", "n_frames", "fps", "sr", *further], problems)
        if problems:
            return None
        with problems.of(path.name):
            labels, names = self.labels_of(arrays, settings), self.labels(settings)
            clips = self.clips_of(arrays, labels, bool(settings["resample"]), problems)
            if problems:
                return None
            people = np.array(clips.speaker)
            disjoint = len({*clips.speaker}) >= 3
            split = random_folds(people if disjoint else np.array(clips.name), f"{self.name} split", disjoint)
            names = {label: names[label] for label in labels}
            standardise = bool(settings["standardise"])
            return Corpus(self.name, clips.batch(self.name), names, split, standardise, boxes=self.boxes)
        return None

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        words = {label: tuple(choice.split()) for label, choice in self.grammar.items()}
        return words or {**super().labels(settings), "level": LEVELS}

    def labels_of(self, arrays: Mapping[str, np.ndarray], settings: Mapping[str, object]) -> dict[str, np.ndarray]:
        if self.grammar:
            return {label: np.array(values) for label, values in words_of_clips(arrays["name"]).items()}
        names, classes = tuple(arrays.get("emotion_names", ())), tuple(settings["classes"])
        if "emotion" in arrays and names != classes:
            raise Unfit(f"has the emotion_names {', '.join(names) or 'of none'}; load with classes=(...) of these names, "
                        f"in place of {', '.join(classes)}")  # fmt: skip
        return {
            label: expect(arrays[label], "whole numbers", len(arrays["name"]))
            for label in ("emotion", "level")
            if label in arrays
        }

    def clips_of(self, arrays: Mapping, labels: Mapping, resample: bool, problems: Problems) -> Clips:
        name, face, clips = expect(arrays["name"], "text", "clips"), arrays["face"], Clips()
        expect(face, "whole numbers", len(name), "frames", "height", "width", *([3] if face.ndim == 5 else []))
        audio, speaker = (expect(arrays["audio"], "numbers", len(name), "samples"),
                          expect(arrays["speaker"], "text", len(name)))  # fmt: skip
        count = expect(arrays["n_frames"], "whole numbers", len(name))
        sr, fps = int(expect(arrays["sr"], "numbers")), float(expect(arrays["fps"], "numbers"))
        if face.dtype != np.uint8 or not (audio.dtype == np.int16 or audio.dtype.kind == "f"):
            raise Unfit(f"holds {face.dtype} pictures and {audio.dtype} sound; give bytes, and 16 bits or floats")
        if not (fps > 0 and sr > 0):
            raise Unfit(f"has {fps} pictures and {sr} samples a second; both must be above 0")
        scale = 2.0**15 if audio.dtype == np.int16 else 1.0
        for i, clip in enumerate(name):
            with problems.of(f"clip {str(clip)!r}", "clip"):
                if not 0 < count[i] <= face.shape[1]:
                    raise Unfit(f"has n_frames {count[i]}, and the array has {face.shape[1]} frames of a clip")
                samples = audio[i, : round((int(count[i]) + 1) * sr / fps)] / scale
                own = {label: int(values[i]) for label, values in labels.items()}
                clips.add(str(clip), str(speaker[i]), own, samples, sr, face[i, : count[i]], fps, resample)
                if is_clipped(audio[i], 32767 / 32768 * scale):
                    problems.notes.add(f"the sound of clip {str(clip)!r} is clipped", "clipped")
        return clips


# fmt: off
av_frames = AvFrames(
    name="AV frames", label="emotion", classes=EMOTIONS, file="av_frames.npz",
    options={"classes": EMOTIONS, "resample": False, "standardise": False},
    about=About(
        title="Your own clips of faces and voices",
        access="your own recordings, stored as av_frames/av_frames.npz, or any file in this layout",
        licence="that of your recordings", folder="av_frames", modalities=("audio", "visual")))

grid_av = AvFrames(
    name="GRID AV", label="digit", file="grid_s1.npz", grammar=GRAMMAR,
    boxes={"mouth": (43, 59, 18, 46), "eyes": (16, 28, 10, 54)},
    options={"resample": False, "standardise": False}, published=grid.published,
    about=dataclasses.replace(grid.about, title="GRID, clips of one speaker, pictures and spectra"))
# fmt: on
