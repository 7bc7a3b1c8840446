"""Layout: the files of the CMU-MultimodalSDK, one .csd (HDF5) a feature, each video with the time of every frame.

    CMU_MOSEI_COVAREP.csd                  COVAREP/data/<video>/features (frames, 74), intervals (frames, 2)
    CMU_MOSEI_VisualFacet42.csd            the same, (frames, 35)
    CMU_MOSEI_TimestampedWordVectors.csd   the same, (words, 300)
    CMU_MOSEI_Labels.csd                   the same, (segments, 7): sentiment first, then six emotions (CMU-MOSI: 1)
    splits.json                            {"train": [videos], "valid": [videos], "test": [videos]}; you write it

Row i of a video's labels is the sample `<video>[i]`, from and to the times in its row of intervals. Its frames are
those whose interval overlaps that time, averaged over neighbours to at most `longest`. A segment without length is left
out, as by the SDK. A video that a feature file lacks does not have that modality; a sample without a frame of any
modality is left out. A check reports both.
"""

from __future__ import annotations

import itertools
import json
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from robustmer.corpora.common import CorpusError, describe, listed
from robustmer.corpora.corpus import PARTS, Corpus, Split
from robustmer.corpora.files import Problems, Unfit, check_file, expect, finite, member, read_hdf5
from robustmer.corpora.layout import Layout
from robustmer.corpora.sequences import POLARITY, batch_of, check_sentiment, pack, polarity

SPLITS = "splits.json"
FORM = '{"train": [...], "valid": [...], "test": [...]} with the names of videos'
FILES = {"audio": "COVAREP", "visual": "Facet", "text": "WordVectors"}


@dataclass(frozen=True, eq=False, kw_only=True)
class SdkFiles(Layout):
    """A folder of .csd files. Options: `audio`, `visual` and `text` are parts of the files' names, without regard to
    capitals and punctuation; `neutral` and `repair` are those of the pickles; `longest` frames remain (None: all)."""

    label: str = "polarity"
    classes: tuple[str, ...] = POLARITY
    options: Mapping[str, object] = field(
        default_factory=lambda: {**FILES, "neutral": "positive", "repair": False, "longest": 50}
    )

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return sorted(root.glob("*.csd")) + [root / SPLITS]

    def present(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        """The list of videos alone is no corpus."""
        paths = super().present(root, settings)
        return paths if paths != [root / SPLITS] else []

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        longest, neutral = settings["longest"], settings["neutral"]
        polarity(np.zeros(0), neutral)  # a wrong option ends before large files are read
        if longest is not None and longest < 1:
            raise CorpusError(f"longest={longest} was given; give 1 or more, or None for all frames")
        part_of, paths = {}, {}
        with problems.of(str(root / SPLITS)):
            part_of = read_splits(root / SPLITS, root, problems)
        for m, text in {**{m: settings[m] for m in FILES}, "labels": "Labels"}.items():
            with problems.of(str(root)):
                paths[m] = choose(root, str(text), m)
        if problems:
            return None
        name = paths["labels"].name
        read = partial(read_labels, name=name, part_of=part_of, problems=problems)
        segments = read_hdf5(paths["labels"], root, problems, read)
        if problems:
            return None
        id = np.array([f"{video}[{number}]" for video, number, *_ in segments], dtype=str)
        sentiment = np.array([segment[2] for segment in segments], dtype=float)
        check_sentiment(name, sentiment, id, problems)
        packed = {}
        for m in FILES:
            arguments = {"name": paths[m].name, "segments": segments, "modality": m, "settings": settings}
            packed[m] = read_hdf5(paths[m], root, problems, partial(read_frames, **arguments, problems=problems))
        if problems:
            return None
        recorded = np.stack([present.numpy() for _, _, present in packed.values()]).any(0)
        for lost in id[~recorded]:
            problems.notes.add(f"sample {str(lost)!r} has no frame in any modality and is left out", "no frame")
        label, kept = polarity(sentiment, neutral)
        kept = np.flatnonzero(kept & recorded)
        samples = batch_of(packed, self.label, label, [segment[0] for segment in segments], id, self.name)
        samples = samples[kept] if len(kept) < len(samples) else samples
        parts = np.array([part_of[video] for video in samples.speaker])
        fold = [np.flatnonzero(parts == part) for part in PARTS]
        for part in (part for part, indices in zip(PARTS, fold, strict=True) if not len(indices)):
            lack = f"the {part} part has no sample with frames and a label"
            problems.add(f"{lack}; {SPLITS} must name videos that {name} has")
        return None if problems else self.corpus(samples, Split("by speaker", [fold]), settings)


def spelling(video: str) -> str:
    """One spelling of a video's name: without blanks around it, composed characters, and no detours of a path, which
    HDF5 takes for the same name.

    >>> spelling(" ./-video_1/")
    '-video_1'
    """
    return posixpath.normpath(unicodedata.normalize("NFC", video).strip())


def read_splits(path: Path, root: Path, problems: Problems) -> dict[str, str]:
    """The part of each video."""
    if not path.exists():
        raise Unfit(f"is missing; write {FORM}. The SDK has such lists: standard_train_fold, standard_valid_fold and "
                    "standard_test_fold of its datasets")  # fmt: skip
    check_file(path, root)
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        raise Unfit(f"is no JSON ({describe(error)}); write {FORM}") from None
    part_of: dict[str, str] = {}
    for part in PARTS:
        videos = content.get(part) if isinstance(content, dict) else None
        if not isinstance(videos, list) or not videos or not all(isinstance(video, str) for video in videos):
            raise Unfit(f"has no list of videos for {part!r}; write {FORM}")
        for video in map(spelling, videos):
            if part_of.setdefault(video, part) != part:
                places = f"video {video!r} is in {part_of[video]} and in {part} of {SPLITS}"
                problems.add(f"{places}; a speaker belongs to one part", "divided")
    return part_of


def choose(root: Path, text: str, modality: str) -> Path:
    """The one file whose name has this text."""
    plain = lambda name: re.sub(r"[^a-z0-9]", "", name.lower())  # noqa: E731
    every = sorted(root.glob("*.csd"))
    fitting = [path for path in every if plain(text) in plain(path.stem)]
    if len(fitting) == 1:
        return fitting[0]
    advice = f"give another part of its name: {modality}=..." if modality != "labels" else "keep one there"
    names = listed(path.name for path in fitting or every)
    raise Unfit(f"has {len(fitting)} files for {modality} with {text!r} in the name ({names}); {advice}")


def videos_of(file, name: str, problems: Problems) -> tuple[object, dict[str, str]]:
    """The group `data` below the only root, and the key of each video in it by its one spelling."""
    roots = []
    for root in file:
        try:
            roots += [data] if hasattr(data := member(member(file, root), "data"), "keys") else []
        except (Unfit, AttributeError):  # a link, an array, nothing
            pass
    if len(roots) != 1:
        form = "<name>/data/<video>/features and intervals"
        raise Unfit(f"has {len(roots)} groups with 'data' ({listed(file)}); a .csd has one: {form}")
    videos: dict[str, str] = {}
    for key in roots[0]:
        if videos.setdefault(spelling(key), key) != key:
            problems.add(f"{name} has video {spelling(key)!r} in two spellings; keep one of them", f"spellings {name}")
    return roots[0], videos


def read_video(data, key: str, name: str, problems: Problems) -> tuple[np.ndarray, np.ndarray] | None:
    """features (frames, .) and intervals (frames, 2) of a video; None and a problem where their shapes differ."""
    arrays = []
    for what in ("features", "intervals"):
        with problems.of(f"{what} of video {key!r} in {name}", f"{what} {name}"):
            shape = (len(arrays[0]), 2) if arrays else ("frames", what)
            array = expect(member(member(data, key), what), "numbers", *shape, least=0)
            if arrays and (bad := ~np.isfinite(array.astype(float)).all(1)).any():
                row = int(np.argmax(bad))
                raise Unfit(f"hold {array[row].tolist()} in row {row}; it must be from and to, in seconds")
            arrays.append(array.astype(float) if arrays else array)
    return tuple(arrays) if len(arrays) == 2 else None


def read_labels(file, name: str, part_of: Mapping[str, str], problems: Problems) -> list[tuple]:
    """(video, number, sentiment, start, end) of every segment of the videos in the split."""
    segments: list[tuple] = []
    data, videos = videos_of(file, name, problems)
    for video in part_of:
        if video not in videos:
            problems.notes.add(f"video {video!r} of {SPLITS} has no labels and is left out", "no labels")
            continue
        with problems.of(f"{name}: video {video!r}", "labels"):
            stored = read_video(data, videos[video], name, problems)
            values, times = stored if stored is not None else (np.zeros((0, 1)), np.zeros((0, 2)))
            if not values.shape[1]:
                raise Unfit("has labels of no column; sentiment is the first")
            if (wrong := times[:, 1] < times[:, 0]).any():
                row = int(np.argmax(wrong))
                raise Unfit(f"has sample '{video}[{row}]' that ends before it begins, {times[row].tolist()}")
            rows = enumerate(zip(values[:, 0].tolist(), times.tolist(), strict=True))
            segments += [(video, i, value, start, end) for i, (value, (start, end)) in rows if end - start > 1e-5]
    if not segments and not problems:
        raise Unfit(f"has no segment of a video that {SPLITS} names; the names must be the same")
    return segments


def read_frames(file, name: str, segments: list[tuple], modality: str, settings: Mapping, problems: Problems):
    """x, mask and present of one modality over all segments."""
    (data, videos), width, pieces, longest = videos_of(file, name, problems), 1, [], settings["longest"]
    for video, group in itertools.groupby(segments, key=lambda segment: segment[0]):
        rows, features, empty = list(group), None, 0
        if video not in videos:
            problems.notes.add(f"{name} lacks video {video!r}, which has no {modality} then", f"lacks {name}")
        elif (stored := read_video(data, videos[video], name, problems)) is not None:
            width, intervals = width if any(map(len, pieces)) else stored[0].shape[1], stored[1]
            with problems.of(f"features of video {video!r} in {name}", f"features {name}"):
                features = expect(stored[0], "numbers", "frames", width, least=0)
        for _, number, _, start, end in rows:
            pieces.append(np.zeros((0, width), np.float32))
            if features is not None:
                with problems.of(f"{modality} of sample '{video}[{number}]'", f"frames {name}"):
                    first, last = intervals.T
                    inside = (first < end) & ((last > start) | (first >= start))
                    values = finite(features[inside], bool(settings["repair"]))
                    pieces[-1] = values if longest is None else shorten(values, longest)
                    empty += not len(values)
        if empty:
            wrong = f"{name}: none of the {len(intervals)} intervals of video {video!r} overlaps"
            lack = f"{empty} of its {len(rows)} segments, which have no {modality} then"
            problems.notes.add(f"{wrong} {lack}", f"unfit {name}")
    if not problems and not any(map(len, pieces)):
        raise Unfit("has no frame within any segment; videos and times must be those of the labels")
    return pack(pieces, len(pieces), max(map(len, pieces), default=1), width)


def shorten(frames: np.ndarray, longest: int) -> np.ndarray:
    """At most `longest` frames: means of neighbours, in groups as even as can be.

    >>> shorten(np.array([[1.0], [3.0], [5.0], [7.0]]), 2).ravel()
    array([2., 6.])
    """
    if len(frames) <= longest:
        return frames
    starts = np.arange(longest) * len(frames) // longest
    size = np.diff(np.append(starts, len(frames)))
    return np.add.reduceat(frames, starts, axis=0) / size[:, None].astype(frames.dtype)
