"""The pickles of MultiBench, MulT and MMSA: CMU-MOSEI or CMU-MOSI as rectangular arrays, split into three parts.

    train, valid, test:
        audio (N, T, .)  vision (N, T, .)  text (N, T, .)
        labels (N, 1, 1), (N, 1) or (N,)   sentiment from -3 to 3; MMSA calls it regression_labels
        id (N,) or (N, 3)                  "video$_$2", "video[2]", "video_2" or (video, start, end); it may be missing
        text_bert (N, 3, T)                MMSA only; its second row marks the words of `text`

Other keys (raw_text, annotations, classification_labels, the lengths, ...) are not used. Any widths are read.

*Padding.* MultiBench and MulT pad in front, MMSA behind, all with zeros. So the frames that count are those from the
first to the last that is not all zeros; in an aligned file (one T for all modalities) these bounds are common to the
three, so that step t stays one word. The `audio_lengths` of MMSA are not used: they stop at the first frame of zeros,
which in a file padded in front is the first frame. A modality of nothing but zeros is absent from the utterance.

*Utterances without words* (text of zeros) are left out, as in MultiBench: the likely reason why NMER Table 1 has 16265
train and 4643 test utterances of CMU-MOSEI, where the file has 16326 and 4659.

The file is read by `pickles.py`, which runs nothing of it.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.corpora import pickles
from robustmer.corpora.corpus import About, Corpus, CorpusError
from robustmer.corpora.layout import describe
from robustmer.corpora.sequences import (
    POLARITY,
    Found,
    extent,
    locate,
    missing,
    numbers,
    pack,
    polarity,
    require,
    sentiment_problems,
    tell,
    told,
)

PARTS = ("train", "valid", "test")
KEYS = {"audio": "audio", "visual": "vision", "text": "text"}
LABELS = ("regression_labels", "labels")


def candidates(folder: Path | str | None, about: About) -> list[Path]:
    """The pickles there are: `folder` itself if it is a file, else those in the corpus' folder."""
    if folder is not None and Path(folder).expanduser().is_file():
        return [Path(folder).expanduser()]
    return list_in(locate(folder, about, list_in))


def list_in(folder: Path) -> list[Path]:
    return sorted(file for kind in ("*.pkl", "*.pickle") for file in folder.glob(kind))


def load(name: str, about: About, *, folder, neutral, repair, standardise) -> Corpus:
    """`neutral` of None asks for sentiment itself, a regression."""
    polarity(np.zeros(0), neutral)  # a wrong option ends before a large file is read
    rows, parts, problems = examine(folder, about, name, neutral, repair)
    require(about, bool(candidates(folder, about)), problems)
    return Corpus(name, () if neutral is None else POLARITY, rows, (parts,), standardise=standardise)


def check(path: Path | str | None, about: About, utterances: Mapping[str, int]) -> list[str]:
    """Everything that is wrong, or the parts that have other `utterances` than published."""
    sizes: dict[str, int] = {}
    problems = examine(path, about, "check", "positive", False, sizes)[2]
    return problems or [f"{sizes[part]} utterances in the {part} part; {published} were published"
                        for part, published in utterances.items() if sizes[part] != published]


def examine(folder: Path | str | None, about: About, name: str, neutral: str | None, repair: bool,
            sizes: dict[str, int] | None = None):
    """Rows and parts, None where there are problems, and one sentence for each of these."""
    paths = candidates(folder, about)
    if len(paths) != 1:
        where = locate(folder, about, list_in)
        return None, None, [missing(about, "pickle (.pkl)", where) if not paths else
                            f"{where} has several pickles, {', '.join(path.name for path in paths)}; keep one there, "
                            "or give the file itself (folder=...)"]
    path = paths[0]
    try:
        content = pickles.read(path)
    except (CorpusError, OSError) as error:
        return None, None, [str(error)]
    problems = list(find_missing(path.name, content))
    if problems:
        return None, None, problems
    found: Found = {}
    content = {part: dict(content[part]) for part in PARTS}  # arrays leave it as they are read
    sentiment = {part: read_sentiment(path.name, part, content[part], problems) for part in PARTS}
    read = {m: {part: read_sequences(path.name, part, content[part].pop(key), m, problems) for part in PARTS}
            for m, key in KEYS.items()}
    if problems:
        return None, None, problems
    id, video = {}, {}
    for part in PARTS:
        counts = {"labels": len(sentiment[part])} | {KEYS[m]: len(read[m][part]) for m in KEYS}
        stored = pickles.array(content[part].get("id"))
        if stored is not None and stored.ndim:
            counts["id"] = len(stored)
        if len(set(counts.values())) > 1:
            problems.append(f"{part} of {path.name} counts different utterances: "
                            + ", ".join(f"{key} {number}" for key, number in counts.items()))
            continue
        try:
            id[part], video[part] = read_names(part, stored, len(sentiment[part]))
        except ValueError as error:
            problems.append(f"id of {part} in {path.name} cannot be read ({describe(error)}); it must be text or "
                            "numbers, (N,) or (N, 3)")
            continue
        problems += sentiment_problems(path.name, sentiment[part], id[part])
        if sizes is not None:
            sizes[part] = len(sentiment[part])
    for m in KEYS:
        widths = {part: read[m][part].shape[2] for part in PARTS}
        if len(set(widths.values())) > 1:
            problems.append(f"{KEYS[m]} of {path.name} is " + ", ".join(f"{w} wide in {p}" for p, w in widths.items()))
    if problems:
        return None, None, problems
    problems += find_divided(path.name, id, video)
    label, bounds, kept = [], {m: [] for m in KEYS}, []
    words = {part: word_mask(path.name, part, content[part], read["text"][part], problems) for part in PARTS}
    for part in PARTS:
        number, keep = polarity(sentiment[part], neutral)
        label.append(number)
        for row in range(len(number)):
            here = find_bounds({m: read[m][part][row] for m in KEYS}, words[part] if words[part] is None
                               else words[part][row])
            for m in KEYS:
                bounds[m].append(here[m])
            kept.append(bool(keep[row]) and here["text"][0] < here["text"][1])
    kept = np.array(kept, dtype=bool)
    part_of = np.repeat(np.arange(len(PARTS)), [len(id[part]) for part in PARTS])
    names, videos = (np.concatenate([group[part] for part in PARTS]) for group in (id, video))
    x, real, present = {}, {}, {}
    for m in KEYS:
        arrays = read.pop(m)

        def frames(m=m, arrays=arrays):
            row = 0
            for part in PARTS:
                for place, values in enumerate(arrays[part]):
                    first, last = bounds[m][row]
                    if kept[row]:
                        values = numbers(values[first:last], f"{KEYS[m]} of utterance {str(names[row])!r}", found,
                                         repair)
                        if m == "text" and words[part] is not None:  # BERT gives padding a vector too
                            values = values * words[part][place, first:last, None]
                        yield values
                    row += 1

        longest = max((last - first for (first, last), keep in zip(bounds[m], kept, strict=True) if keep), default=1)
        x[m], real[m], present[m] = pack(frames(), int(kept.sum()), longest, arrays["train"].shape[2])
    problems += told(found)
    parts = tuple(np.flatnonzero(part_of[kept] == number) for number in range(len(PARTS)))
    problems += [f"the {part} part of {path.name} has no utterance with words and a label; it must have some"
                 for part, there in zip(PARTS, parts, strict=True) if not len(there)]
    rows = Batch(x, real, present, torch.from_numpy(np.concatenate(label)[kept]), videos[kept], names[kept], name=name)
    return rows, parts, problems


def find_missing(file: str, content: object):
    """Yield what the dictionary lacks, and the parts that are one."""
    if not isinstance(content, dict):
        yield f"{file} holds a {type(content).__name__}; it must be a dictionary with {', '.join(PARTS)}"
        return
    for part in PARTS:
        group = content.get(part)
        if not isinstance(group, dict):
            yield (f"{file} has no part {part!r}; it has {', '.join(map(str, content)) or 'nothing'}" if group is None
                   else f"part {part!r} of {file} is a {type(group).__name__}; it must be a dictionary of arrays")
            continue
        for key in (*KEYS.values(), " or ".join(LABELS)):
            if not any(pickles.array(group.get(name)) is not None for name in key.split(" or ")):
                yield f"part {part!r} of {file} has no array {key}; it has {', '.join(map(str, group)) or 'nothing'}"
    groups = {part: content[part] for part in PARTS if isinstance(content.get(part), dict)}
    for key in ("id", "text_bert"):
        there = [part for part in groups if key in groups[part]]
        lacking = [part for part in PARTS if part not in there or pickles.array(groups[part][key]) is None]
        if there and lacking:
            yield (f"{key} is in {', '.join(there)} of {file}, but part {lacking[0]!r} has no array of it; every part "
                   "has it, or none")
    for a, b in itertools.combinations(groups, 2):
        if any(groups[a].get(key, a) is groups[b].get(key, b) for key in KEYS.values()):
            yield f"parts {a!r} and {b!r} of {file} are the same data; an utterance belongs to one part"


def read_sentiment(file: str, part: str, group: Mapping, problems: list[str]) -> np.ndarray:
    """One number an utterance."""
    key = next(name for name in LABELS if pickles.array(group.get(name)) is not None)
    values = pickles.array(group[key])
    if values.dtype.kind == "O":
        try:
            values = np.array([float(value) for value in values.ravel().tolist()]).reshape(values.shape)
        except (TypeError, ValueError, OverflowError):
            pass
    if values.dtype.kind not in "fiu" or not values.ndim or values.size != len(values):
        problems.append(f"{key} of {part} in {file} holds {values.dtype} values of shape {values.shape}; it must be "
                        "one sentiment an utterance, (N,) or (N, 1, 1)")
        return np.zeros(0)
    return values.reshape(-1).astype(float)


def read_sequences(file: str, part: str, stored: object, modality: str, problems: list[str]) -> np.ndarray:
    """(N, T, D), as stored."""
    values, key = pickles.array(stored), KEYS[modality]
    if values.dtype.kind not in "fiu" or values.ndim != 3 or 0 in values.shape:
        problems.append(f"{key} of {part} in {file} holds {values.dtype} values of shape {values.shape}; it must be "
                        "numbers, (utterances, frames, features)")
        return np.zeros((0, 1, 1))
    return values


def read_names(part: str, stored: np.ndarray | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Utterance and video of each row; where the file has no ids, the row is its name and the video unknown.

    >>> read_names("test", np.array(["a_1$_$2", "a_1[3]", "a_1_4"]), 3)[1].tolist()
    ['a_1', 'a_1', 'a_1']
    """
    if stored is None:
        return np.array([f"{part}/{row}" for row in range(rows)], dtype=str), np.full(rows, "?")
    if not stored.ndim or 0 in stored.shape:
        raise ValueError(f"its shape is {stored.shape}")
    names = pickles.texts(stored.reshape(rows, -1))
    if (names[:, 0] == "").any():
        raise ValueError(f"row {int(np.argmax(names[:, 0] == ''))} has no name")
    if names.shape[1] > 1:  # video, start, end
        return np.array([f"{row[0]}[{' to '.join(row[1:])}]" for row in names], dtype=str), names[:, 0]
    number = r"\$_\$\d+|\[\d+\]" + (r"|_\d+" if len(set(names[:, 0])) == rows else "")  # else "_1" ends a video's name
    video = np.array([re.fullmatch(rf"(.*?)({number})?", name, re.DOTALL)[1] for name in names[:, 0]], dtype=str)
    seen: dict[str, int] = {}
    numbered = []
    for name, owner in zip(names[:, 0], video, strict=True):
        if name == owner:  # the file names videos only: count their utterances
            seen[owner] = seen.get(owner, -1) + 1
            name = f"{owner}[{seen[owner]}]"
        numbered.append(name)
    return np.array(numbered, dtype=str), video


def find_divided(file: str, id: Mapping[str, np.ndarray], video: Mapping[str, np.ndarray]) -> list[str]:
    """Utterances that are there twice, videos in two parts."""
    found: Found = {}
    place: dict[str, str] = {}
    for part in PARTS:
        for name in id[part]:
            if name in place:
                tell(found, "twice", f"utterance {str(name)!r} of {file} is in {place[name]} and in {part}; each is "
                                     "there once")
            place[name] = part
    owner: dict[str, str] = {}
    for part in PARTS:
        for name in sorted(set(video[part]) - {"?"}):
            if owner.setdefault(name, part) != part:
                tell(found, "divided", f"video {str(name)!r} of {file} is in {owner[name]} and in {part}; a speaker "
                                       "belongs to one part")
    return told(found)


def word_mask(file: str, part: str, group: Mapping, text: np.ndarray, problems: list[str]) -> np.ndarray | None:
    """(N, T), which words of `text` are real, where MMSA's `text_bert` tells."""
    bert = pickles.array(group.get("text_bert"))
    if bert is None:
        return None
    wanted = len(text), 3, text.shape[1]
    if bert.shape != wanted or bert.dtype.kind not in "fiub":
        problems.append(f"text_bert of {part} in {file} holds {bert.dtype} values of shape {bert.shape}; it must hold "
                        f"numbers, {wanted}")
        return None
    return bert[:, 1] > 0


def find_bounds(frames: Mapping[str, np.ndarray], words: np.ndarray | None) -> dict[str, tuple[int, int]]:
    """First and behind the last real frame of each modality."""
    bounds = {m: extent(values) for m, values in frames.items()}
    if words is not None and bounds["text"][1]:
        bounds["text"] = extent(words[:, None])
    some = [pair for pair in bounds.values() if pair[1]]
    if some and len({len(values) for values in frames.values()}) == 1:
        common = min(first for first, _ in some), max(last for _, last in some)
        bounds = {m: common if pair[1] else pair for m, pair in bounds.items()}
    return bounds
