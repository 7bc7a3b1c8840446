"""Layout: the pickles of MultiBench, MulT and MMSA: CMU-MOSEI or CMU-MOSI as rectangular arrays in three parts.

    train, valid, test:
        audio (N, T, .)  vision (N, T, .)  text (N, T, .)
        labels (N, 1, 1), (N, 1) or (N,)   sentiment from -3 to 3; MMSA calls it regression_labels
        id (N,) or (N, 3)                  "video$_$2", "video[2]", "video_2" or (video, start, end); it may be missing
        text_bert (N, 3, T)                MMSA only; its second row marks the words of `text`

Other keys are not used. Any widths are read. The recorded frames are those from the first to the last that is not all
zeros (MultiBench and MulT pad in front, MMSA behind); in an aligned file, with one T for all modalities, these bounds
are common to the three. A modality of zeros only is absent. Samples without words are left out, as in MultiBench.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustmer.corpora import pickles
from robustmer.corpora.common import listed
from robustmer.corpora.corpus import PARTS, Corpus, Split
from robustmer.corpora.files import Problems, Unfit, expect, finite
from robustmer.corpora.layout import Layout
from robustmer.corpora.sequences import batch_of, check_sentiment, extent, pack, polarity

KEYS = {"audio": "audio", "visual": "vision", "text": "text"}
LABELS = ("regression_labels", "labels")


@dataclass(frozen=True, eq=False, kw_only=True)
class MultibenchPickle(Layout):
    """The only pickle in the folder. Options: `neutral` is what sentiment 0 counts as ("positive", "negative", or
    "drop" it; a corpus of sentiment has no such option), `repair` sets values that are not finite to 0."""

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return sorted(file for kind in ("*.pkl", "*.pickle") for file in root.glob(kind))

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        neutral = settings.get("neutral")
        polarity(np.zeros(0), neutral)  # a wrong option ends before a large file is read
        paths = self.present(root, settings)
        if len(paths) > 1:
            names = listed(path.name for path in paths)
            raise Unfit(f"has several pickles, {names}; keep one there, or give the file itself (folder=...)")
        file, (content, shared) = paths[0].name, pickles.read(paths[0], (*KEYS.values(), *LABELS, "id", "text_bert"))
        for sentence in find_missing(file, content, shared):
            problems.add(sentence)
        parts = [] if problems else [Part(file, part, content[part], problems) for part in PARTS]
        for m, key in KEYS.items():
            widths = [part.x[m].shape[2] for part in parts if m in part.x]
            if len({*widths}) > 1:
                wide = ", ".join(f"{width} wide in {part}" for width, part in zip(widths, PARTS, strict=False))
                problems.add(f"{key} of {file} is {wide}")
        if problems:
            return None
        sizes = [len(part.id) for part in parts]
        problems.facts |= {f"samples in {name} of the file": size for name, size in zip(PARTS, sizes, strict=True)}
        names, video, sentiment = (
            np.concatenate([getattr(part, key) for part in parts]) for key in ("id", "video", "sentiment")
        )
        for name, count in zip(*np.unique(names, return_counts=True), strict=True):
            if count > 1:
                problems.add(f"sample {str(name)!r} of {file} is in {count} rows; every sample needs one", "twice")
        label, kept = polarity(sentiment, neutral)
        bounds = [bound for part in parts for bound in part.bounds()]
        kept &= np.array([bound["text"][0] < bound["text"][1] for bound in bounds])
        rows, packed = [(part, i) for part in parts for i in range(len(part.id))], {}
        for m, key in KEYS.items():

            def frames(m=m, key=key):
                for number in np.flatnonzero(kept):
                    (part, i), (first, last) = rows[number], bounds[number][m]
                    values = np.zeros((0, 1), np.float32)
                    with problems.of(f"{key} of sample {str(names[number])!r} in {file}", f"frames {key}"):
                        values = finite(part.x[m][i, first:last], bool(settings["repair"]))
                        if m == "text" and part.words is not None:  # BERT gives padding a vector too
                            values = values * part.words[i, first:last, None]
                    yield values

            longest = max((bounds[i][m][1] - bounds[i][m][0] for i in np.flatnonzero(kept)), default=1)
            packed[m] = pack(frames(), int(kept.sum()), longest, parts[0].x[m].shape[2])
            for part in parts:
                del part.x[m]  # arrays leave memory when they are packed
        part_of = np.repeat(np.arange(len(PARTS)), sizes)[kept]
        fold = [np.flatnonzero(part_of == number) for number in range(len(PARTS))]
        for name in (name for name, indices in zip(PARTS, fold, strict=True) if not len(indices)):
            problems.add(f"the {name} part of {file} has no sample with words and a label; it must have one")
        if problems:
            return None
        samples = batch_of(packed, self.label, label[kept], video[kept], names[kept], self.name)
        return self.corpus(samples, Split("by speaker", [fold]), settings)


class Part:
    """One part of the file: features as stored, sentiment, ids and videos, and which words are recorded, if stated."""

    def __init__(self, file: str, name: str, group: Mapping, problems: Problems):
        where = f"of {name} in {file}"
        self.x: dict[str, np.ndarray] = {}
        self.id = self.video = self.sentiment = np.zeros(0)
        self.words = None
        for m, key in KEYS.items():
            with problems.of(f"{key} {where}"):
                self.x[m] = expect(group.pop(key), "numbers", "samples", "frames", "features")
        key = next(key for key in LABELS if isinstance(group.get(key), np.ndarray))
        with problems.of(f"{key} {where}"):
            values = group[key]
            values = values.reshape(len(values)) if values.ndim > 1 and values.size == len(values) else values
            self.sentiment = expect(values, "numbers", "samples").astype(float)  # (N,), (N, 1) or (N, 1, 1)
        ids = group.get("id")
        counts = {"labels": len(self.sentiment)} | {KEYS[m]: len(x) for m, x in self.x.items()}
        counts |= {"id": len(ids)} if isinstance(ids, np.ndarray) and ids.ndim else {}
        if len({*counts.values()}) > 1:
            stated = ", ".join(f"{key} {number}" for key, number in counts.items())
            problems.add(f"{name} of {file} counts different samples: {stated}")
        if problems:
            return
        with problems.of(f"id {where}"):
            self.id, self.video = read_names(name, ids, len(self.sentiment))
        check_sentiment(file, self.sentiment, self.id, problems)
        if "text_bert" in group:
            with problems.of(f"text_bert {where}"):
                self.words = expect(
                    group["text_bert"], "numbers or truth values", *self.x["text"].shape[:1], 3, self.x["text"].shape[1]
                )
                self.words = self.words[:, 1] > 0

    def bounds(self) -> Iterable[dict[str, tuple[int, int]]]:
        """For each sample the first recorded frame of every modality and the one after the last."""
        for i in range(len(self.id)):
            bounds = {m: extent(values[i]) for m, values in self.x.items()}
            if self.words is not None and bounds["text"][1]:
                bounds["text"] = extent(self.words[i][:, None])
            recorded = [pair for pair in bounds.values() if pair[1]]
            if recorded and len({values.shape[1] for values in self.x.values()}) == 1:
                common = min(first for first, _ in recorded), max(last for _, last in recorded)
                bounds = {m: common if pair[1] else pair for m, pair in bounds.items()}
            yield bounds


def find_missing(file: str, content: Mapping, shared: list[list[str]]) -> Iterable[str]:
    """Yield one sentence for each missing array, and for parts that are the same data."""
    for part in PARTS:
        group = content.get(part)
        if not isinstance(group, dict):
            yield (f"{file} has no part {part!r}; it has {listed(content)}" if group is None
                   else f"part {part!r} of {file} is a {group}; it must be a dictionary of arrays")  # fmt: skip
            continue
        for names in (*((key,) for key in KEYS.values()), LABELS):
            if not any(isinstance(group.get(name), np.ndarray) for name in names):
                have = listed(f"{key} ({value})" if isinstance(value, str) else key for key, value in group.items())
                yield f"part {part!r} of {file} has no array {' or '.join(names)}; it has {have}"
    groups = {part: content[part] for part in PARTS if isinstance(content.get(part), dict)}
    for key in ("id", "text_bert"):
        having = [part for part, group in groups.items() if key in group]
        lacking = [part for part in PARTS if not isinstance(groups.get(part, {}).get(key), np.ndarray)]
        if having and lacking:
            stored = groups.get(lacking[0], {}).get(key, "nothing")
            yield (f"{key} is in {', '.join(having)} of {file}, but part {lacking[0]!r} has no array of it ({stored}); "
                   "every part has it, or none")  # fmt: skip
    for a, b in shared:
        yield f"parts {a!r} and {b!r} of {file} are the same data; a sample belongs to one part"


def read_names(part: str, stored: np.ndarray | None, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Sample and video of each row; where the file has no ids, the row is its name and the video unknown.

    >>> read_names("test", np.array(["a_1$_$2", "a_1[3]", "a_1_4"]), 3)[1].tolist()
    ['a_1', 'a_1', 'a_1']
    """
    if stored is None:
        return np.array([f"{part}/{row}" for row in range(rows)], dtype=str), np.full(rows, "?")
    expect(stored, "text or numbers", rows, *(["columns"] if stored.ndim > 1 else []))
    flat = stored.reshape(rows, -1).tolist()
    names = [[v.decode("latin1") if isinstance(v, bytes) else str(v) for v in row] for row in flat]
    first = [row[0] for row in names]
    if "" in first:
        raise Unfit(f"has no name in row {first.index('')}")
    if len(names[0]) > 1:  # video, start, end
        return np.array([f"{row[0]}[{' to '.join(row[1:])}]" for row in names], dtype=str), np.array(first, dtype=str)
    number = r"\$_\$\d+|\[\d+\]" + (r"|_\d+" if len({*first}) == rows else "")  # else "_1" ends a video's name
    video = [re.fullmatch(rf"(.*?)({number})?", name, re.DOTALL)[1] for name in first]
    counter: dict[str, itertools.count] = {}
    numbered = [f"{owner}[{next(counter.setdefault(owner, itertools.count()))}]" if name == owner else name
                for name, owner in zip(first, video, strict=True)]  # fmt: skip
    return np.array(numbered, dtype=str), np.array(video, dtype=str)
