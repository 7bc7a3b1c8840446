"""Folders with a file a clip: the sound of RAVDESS, its videos, and MEAD as OpenFace leaves it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustmer.corpora.catalogue import DOUBLED, EMOTIONS, FOURS, ravdess_speech
from robustmer.corpora.clips import Clips, av_frames, grid_av, random_folds
from robustmer.corpora.common import About
from robustmer.corpora.corpus import Corpus, Split, folds_by_group
from robustmer.corpora.files import Problems, Unfit, check_file
from robustmer.corpora.layout import Layout
from robustmer.corpora.media import read_pictures, read_sound
from robustmer.corpora.synthetic_av import LEVELS, synthetic_av

Names = tuple[str, Mapping[str, int]]
Recording = tuple[np.ndarray, int, np.ndarray | None, float]

CENTRE = 2 / 3
"""Of the height of a RAVDESS video: the side of the middle square that holds the face. OpenFace would follow the face."""

MEAD_EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
MEAD_FPS = 30.0


@dataclass(frozen=True, eq=False, kw_only=True)
class ClipTree(Layout):
    """A file a clip. `pattern` selects the files; `names` returns the speaker and the labels from a path, `recording` the
    samples, their rate, the pictures and their rate; `divide` the folds. A damaged file is left out with a warning.

    Everything is kept in memory; the option `speakers` reads some of the speakers alone.
    """

    pattern: str
    levels: tuple[str, ...]
    names: Callable[[Path], Names]
    recording: Callable[[Path, int], Recording]
    divide: Callable[[Clips], Split]

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return sorted(root.glob(self.pattern))

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return {**super().labels(settings), "level": self.levels}

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        clips, pixels = Clips(), int(settings.get("pixels", 64))
        for path in self.present(root, settings):
            name = path.relative_to(root).with_suffix("").as_posix().removeprefix("flac/")
            with problems.of(str(path), "clip"):
                speaker, labels = self.names(path)
                if settings["speakers"] and speaker not in settings["speakers"]:
                    continue
                read = None
                with problems.notes.of(f"left out: {path}", "damaged"):
                    read = self.recording(path, pixels)
                if read is not None:
                    clips.add(name, speaker, labels, *read, resample=bool(settings["resample"]))
        if not clips.name and not problems:
            problems.add(
                f"no clip of {self.name} could be read: {'; '.join(problems.notes.sentences()) or 'no speaker'}"
            )
        if problems:
            return None
        return self.corpus(clips.batch(self.name), self.divide(clips), settings)


def ravdess_names(path: Path) -> Names:
    """The seven numbers of a RAVDESS file: modality, channel, emotion, intensity, statement, repetition, actor."""
    if not re.fullmatch(r"0[123]-01-0[1-8]-0[12]-0[12]-0[12]-(0[1-9]|1\d|2[0-4])", path.stem):
        raise Unfit("has another name than RAVDESS gives to speech, such as 03-01-06-01-02-01-12")
    _, _, emotion, level, _, _, actor = path.stem.split("-")
    return f"actor {actor}", {"emotion": int(emotion) - 1, "level": int(level) - 1}


def by_four_actors(clips: Clips) -> Split:
    """The folds of `ravdess_speech`: four actors test, the next four validate; a doubled take is in no fold. Of a part
    of the actors: up to five folds of them."""
    actors, names = np.array([int(name[-2:]) for name in clips.speaker]), np.array(clips.name)
    if len({*actors.tolist()}) < 24:
        return random_folds(np.array(clips.speaker), "RAVDESS actors", True)
    double = np.flatnonzero(np.char.endswith(names, DOUBLED[1]))
    folds = folds_by_group(actors, FOURS, FOURS[1:] + FOURS[:1])
    return Split("by speaker", tuple(tuple(np.setdiff1d(part, double) for part in fold) for fold in folds))


def mead_names(path: Path) -> Names:
    speaker, emotion, level = path.parts[-4:-1]
    if emotion not in MEAD_EMOTIONS or level not in ("level_1", "level_2", "level_3"):
        raise Unfit(f"is in {emotion}/{level}; MEAD has level_1 to level_3 of {', '.join(MEAD_EMOTIONS)}")
    return speaker, {"emotion": MEAD_EMOTIONS.index(emotion), "level": int(level[-1]) - 1}


def mead_recording(path: Path, pixels: int) -> Recording:
    folder = path.with_name(f"{path.stem}_aligned")
    pictures = sorted(folder.glob("*.bmp"))
    if not pictures:
        raise Unfit(f"has no pictures in {folder.name}/; store OpenFace's aligned faces in it")
    for picture in pictures:
        check_file(picture, folder)
    faces = np.concatenate([read_pictures(picture, pixels)[0] for picture in pictures])
    return *read_sound(path), faces, MEAD_FPS


# fmt: off
OPTIONS = {"speakers": (), "resample": False, "standardise": False}

ravdess_speech_spectra = ClipTree(
    name="RAVDESS speech spectra", label="emotion", classes=EMOTIONS, levels=("normal", "strong"),
    pattern="flac/*.flac", names=ravdess_names, options=OPTIONS, published=ravdess_speech.published,
    recording=lambda path, pixels: (*read_sound(path), None, 25.0), divide=by_four_actors,
    about=About(
        title="RAVDESS, all 1440 takes of speech as power spectra", licence="CC BY-NC-SA 4.0",
        access="https://doi.org/10.5281/zenodo.1188976 (free), the takes as ravdess_speech/flac/03-01-*.flac, 16 kHz",
        folder="ravdess_speech", modalities=("audio",)))

ravdess_video = ClipTree(
    name="RAVDESS video", label="emotion", classes=EMOTIONS, levels=("normal", "strong"),
    pattern="Actor_*/01-01-*.mp4", names=ravdess_names, options={"pixels": 64, **OPTIONS},
    recording=lambda path, pixels: (*read_sound(path), *read_pictures(path, pixels, CENTRE)), divide=by_four_actors,
    about=About(
        title="RAVDESS, the videos of its speech", licence="CC BY-NC-SA 4.0",
        access="https://doi.org/10.5281/zenodo.1188976 (free), as ravdess_video/Actor_*/01-01-*.mp4",
        folder="ravdess_video", modalities=("audio", "visual")))

mead = ClipTree(
    name="MEAD", label="emotion", classes=MEAD_EMOTIONS, levels=LEVELS, pattern="*/*/level_*/*.wav", names=mead_names,
    options={"pixels": 64, **OPTIONS}, recording=mead_recording,
    divide=lambda clips: random_folds(np.array(clips.speaker), "MEAD speakers", True),
    about=About(
        title="MEAD, frontal view, faces as OpenFace aligns them", licence="that of MEAD (research only)",
        access="https://wywu.github.io/projects/MEAD/MEAD.html (request), as mead/SPEAKER/EMOTION/level_N/NNN.wav and "
               "NNN_aligned/*.bmp",
        folder="mead", modalities=("audio", "visual")))

CORPORA: dict[str, Layout] = {
    "synthetic_av": synthetic_av, "grid_av": grid_av, "av_frames": av_frames,
    "ravdess_speech_spectra": ravdess_speech_spectra, "ravdess_video": ravdess_video, "mead": mead}
# fmt: on
