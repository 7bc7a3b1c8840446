"""The files of the CMU-MultimodalSDK: one .csd (HDF5) a feature, each video as a whole with the time of every frame.

    CMU_MOSEI_COVAREP.csd                  COVAREP/data/<video>/features (frames, 74), intervals (frames, 2)
    CMU_MOSEI_VisualFacet42.csd            the same, (frames, 35)
    CMU_MOSEI_TimestampedWordVectors.csd   the same, (words, 300)
    CMU_MOSEI_Labels.csd                   the same, (segments, 7): sentiment first, then six emotions (CMU-MOSI: 1)
    splits.json                            {"train": [videos], "valid": [videos], "test": [videos]}; you write it

Row i of a video's labels is the utterance `<video>[i]`, from and to the times in its row of intervals. Its frames are
those whose interval overlaps that time. A segment without length was removed by the authors and is left out, as the SDK
does. A video that a feature file lacks (the SDK drops it) does not have that modality; an utterance without a frame of
any modality is left out.

COVAREP has a hundred frames a second, too many for whole segments in memory: where there are more than `longest`, as
many neighbours as needed are averaged, so that `longest` remain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.corpora.corpus import About, Corpus, CorpusError
from robustmer.corpora.layout import describe
from robustmer.corpora.sequences import (
    POLARITY,
    Found,
    locate,
    missing,
    numbers,
    opened,
    pack,
    polarity,
    require,
    sentiment_problems,
    tell,
    told,
)

PARTS = ("train", "valid", "test")
SPLITS = "splits.json"
CHOICE = {"audio": "COVAREP", "visual": "Facet", "text": "WordVectors"}
"""A part of the file's name, without regard to capitals and punctuation."""


def find(folder: Path | str | None, about: About) -> Path:
    return locate(folder, about, list_in)


def list_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.csd"))


def files(chosen: Mapping[str, object], about: About) -> list[Path]:
    """Every file that `load` may read."""
    root = find(chosen["folder"], about)
    return [*list_in(root), root / SPLITS]


def load(name: str, about: About, *, folder, choice, neutral, repair, longest, standardise) -> Corpus:
    polarity(np.zeros(0), neutral)  # a wrong option ends before large files are read
    if longest is not None and longest < 1:
        raise CorpusError(f"{name}: longest={longest} was asked for; give 1 or more, or None for all frames")
    root = find(folder, about)
    rows, parts, problems, _ = examine(root, about, name, choice, neutral, repair, longest)
    require(about, bool(list_in(root)), problems)
    return Corpus(name, POLARITY, rows, (parts,), standardise=standardise)


def check(path: Path | str | None, about: About) -> list[str]:
    """Everything that is wrong, then what is not there for some videos."""
    _, _, problems, lacking = examine(find(path, about), about, "check", CHOICE, "positive", False, 50)
    return problems + lacking


def examine(root: Path, about: About, name: str, choice: Mapping[str, str], neutral: str, repair: bool,
            longest: int | None):
    """Rows and parts, None where there are problems; a sentence for each of these, and for what some videos lack."""
    if not list_in(root):
        return None, None, [missing(about, ".csd files", root)], []
    problems: list[str] = []
    lacking: list[str] = []
    part_of = read_splits(root / SPLITS, problems)
    paths = {m: choose(root, text, m, problems) for m, text in (*choice.items(), ("labels", "Labels"))}
    labels = read_labels(paths["labels"], part_of, problems, lacking)
    if problems:
        return None, None, problems, []
    sentiment = np.array([row[2] for row in labels])
    label, kept = polarity(sentiment, neutral)
    id = np.array([f"{video}[{number}]" for video, number, *_ in labels], dtype=str)
    problems += sentiment_problems(paths["labels"].name, sentiment, id)
    modalities = {}
    for m in choice:
        modalities[m] = read_frames(paths[m], labels, m, repair, longest, problems, lacking)
    if problems:
        return None, None, problems, lacking
    heard = np.stack([present.numpy() for _, _, present in modalities.values()]).any(0)
    if not heard.all():
        lacking.append(f"utterance {str(id[~heard][0])!r} has no frame in any modality and is left out; "
                       f"{int((~heard).sum())} such utterances")
    kept = np.flatnonzero(kept & heard)
    video = np.array([row[0] for row in labels], dtype=str)
    x, real, present = ({m: values[i] for m, values in modalities.items()} for i in range(3))
    rows = Batch(x, real, present, torch.from_numpy(label), video, id, name=name)
    if len(kept) < len(rows):
        rows = rows[kept]
    parts = tuple(np.flatnonzero([part_of[owner] == part for owner in rows.speaker]) for part in PARTS)
    problems += [f"the {part} part has no utterance with frames and a label; {SPLITS} must name videos that "
                 f"{paths['labels'].name} has" for part, there in zip(PARTS, parts, strict=True) if not len(there)]
    return rows, parts, problems, lacking


def read_splits(path: Path, problems: list[str]) -> dict[str, str]:
    """The part of each video."""
    form = '{"train": [...], "valid": [...], "test": [...]} with the names of videos'
    if not path.is_file():
        problems.append(f"no file {path}; write {form}. The SDK has such lists: standard_train_fold, "
                        "standard_valid_fold and standard_test_fold of its datasets")
        return {}
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        problems.append(f"{path} is no JSON ({describe(error)}); write {form}")
        return {}
    part_of: dict[str, str] = {}
    found: Found = {}
    for part in PARTS:
        videos = content.get(part) if isinstance(content, dict) else None
        if not isinstance(videos, list) or not videos or not all(isinstance(video, str) for video in videos):
            problems.append(f"{path} has no list of videos for {part!r}; write {form}")
            continue
        for video in videos:
            if part_of.setdefault(video, part) != part:
                tell(found, "divided", f"video {video!r} is in {part_of[video]} and in {part} of {path.name}; a "
                                       "speaker belongs to one part")
    problems += told(found)
    return part_of


def choose(root: Path, text: str, modality: str, problems: list[str]) -> Path | None:
    """The one file whose name has this text."""
    plain = lambda name: re.sub(r"[^a-z0-9]", "", name.lower())  # noqa: E731
    fitting = [path for path in list_in(root) if plain(text) in plain(path.stem)]
    if len(fitting) == 1:
        return fitting[0]
    there = ", ".join(path.name for path in fitting or list_in(root))
    way = f"give another part of its name: {modality}=..." if modality != "labels" else "keep one there"
    problems.append(f"{root} has {len(fitting)} files for {modality} with {text!r} in the name ({there}); "
                    f"it must be one, or {way}")
    return None


def read_group(file, name: str, problems: list[str]):
    """The group of videos: `data` below the only root."""
    roots = [group for group in map(file.get, file) if hasattr(group, "keys") and group.get("data") is not None]
    if len(roots) == 1 and hasattr(roots[0]["data"], "keys"):
        return roots[0]["data"]
    problems.append(f"{name} has {len(roots)} groups with 'data' ({', '.join(file) or 'it is empty'}); a .csd has "
                    "one: <name>/data/<video>/features and intervals")
    return None


def read_video(group, video: str, name: str, found: Found):
    """features (frames, .) and intervals (frames, 2) of a video, or None and a sentence."""
    try:
        features, intervals = (np.asarray(group[video][key][()]) for key in ("features", "intervals"))
    except Exception as error:  # damage shows itself in many ways
        tell(found, f"read {name}", f"{name}: video {video!r} cannot be read ({describe(error)}); each has features "
                                    "and intervals")
        return None
    good = features.ndim == 2 and features.dtype.kind in "fiu" and intervals.dtype.kind in "fiu" \
        and intervals.shape == (len(features), 2)
    if not good:
        tell(found, f"shape {name}", f"{name}: video {video!r} has features {features.shape} ({features.dtype}) and "
                                     f"intervals {intervals.shape}; they must be numbers, (frames, .) and (frames, 2)")
        return None
    intervals = intervals.astype(float)
    if not np.isfinite(intervals).all():
        row = int(np.argmin(np.isfinite(intervals).all(1)))
        tell(found, f"time {name}", f"{name}: video {video!r} has the interval {intervals[row].tolist()} in row {row}; "
                                    "it must be from and to, in seconds")
        return None
    return features, intervals


def read_labels(path: Path | None, part_of: Mapping[str, str], problems: list[str], lacking: list[str]):
    """(video, number, sentiment, start, end) of every segment of the videos in the split."""
    if path is None:
        return []
    segments, found = [], {}
    with opened(path, problems) as file:
        if file is None:
            return []
        group = read_group(file, path.name, problems)
        if group is None:
            return []
        gone = [video for video in part_of if video not in group]
        if gone:
            lacking.append(f"video {gone[0]!r} of {SPLITS} has no labels and is left out; {len(gone)} such videos")
        for video in part_of:
            read = None if video in gone else read_video(group, video, path.name, found)
            if read is None:
                continue
            if not read[0].shape[1]:
                tell(found, "empty", f"{path.name}: video {video!r} has labels of no column; sentiment is the first")
                continue
            if (read[1][:, 1] < read[1][:, 0]).any():
                row = int(np.argmax(read[1][:, 1] < read[1][:, 0]))
                tell(found, "reversed", f"{path.name}: utterance '{video}[{row}]' ends before it begins, "
                                        f"{read[1][row].tolist()}; mend its times")
            segments += [(video, number, float(value), start, end)
                         for number, (value, (start, end)) in enumerate(zip(read[0][:, 0], read[1], strict=True))
                         if end - start > 1e-5]
    problems += told(found)
    if not segments and not problems:
        problems.append(f"{path.name} has no segment of a video that {SPLITS} names; the names must be the same")
    return segments


def read_frames(path: Path, labels: list[tuple], modality: str, repair: bool, longest: int | None,
                problems: list[str], lacking: list[str]):
    """x, real, present of one modality over all segments."""
    found: Found = {}
    width, empty, pieces = None, np.zeros((0, 0), np.float32), []
    with opened(path, problems) as file:
        if file is None:
            return None
        group = read_group(file, path.name, problems)
        if group is None:
            return None
        here, read = None, None
        for video, number, _, start, end in labels:
            if video != here:
                here, read = video, read_video(group, video, path.name, found) if video in group else None
                if video not in group:
                    tell(found, "gone", video)
                if read is not None and width is None:
                    width = read[0].shape[1]
                if read is not None and read[0].shape[1] != width:
                    tell(found, "width", f"{path.name}: video {video!r} is {read[0].shape[1]} wide, but the first is "
                                         f"{width}")
                    read = None
            piece = empty
            if read is not None:
                first, last = read[1].T
                inside = (first < end) & ((last > start) | (first >= start))
                piece = numbers(read[0][inside], f"{modality} of utterance '{video}[{number}]'", found, repair)
            pieces.append(piece if longest is None else shorten(piece, longest))
    gone = found.pop("gone", [])
    if gone:
        lacking.append(f"{path.name} lacks video {gone[0]!r}, which has no {modality} then; {len(gone)} such videos")
    if not found and not any(len(piece) for piece in pieces):
        problems.append(f"{path.name} has no frame within any segment; videos and times must be those of the labels")
    problems += told(found)
    return pack(pieces, len(pieces), max(map(len, pieces), default=1), width or 1)


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
