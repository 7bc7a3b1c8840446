"""Layout: the feature folders of MMIN, which IF-MMIN, CIF-MMIN and NMER read too.

    A/comparE.h5        one dataset a sample, its name the key: (T, 130), ten frames a second
    V/denseface.h5      (50, 342)
    L/bert_large.h5     (22, 1024)
    target/1/trn_label.npy, trn_int2name.npy, and val_, tst_; then target/2 and so on

Row i of a label file is the sample in row i of the name file. Labels are one-hot (N, classes) or numbers (N,), names
are text (N,) or bytes in the first column of (N, 1). Zeros at the end of a sequence are not frames; a sample of zeros
only does not have the modality.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from robustmer.corpora.common import listed
from robustmer.corpora.corpus import Corpus, Split
from robustmer.corpora.files import Problems, Unfit, check_file, expect, finite, member, read_hdf5, read_npy
from robustmer.corpora.layout import Layout
from robustmer.corpora.sequences import batch_of, extent, pack

CLASSES = ("happy", "angry", "sad", "neutral")
"""The order of NMER Table 1. No file states it; `check` compares the class counts with that table."""

WIDTHS = {"audio": 130, "visual": 342, "text": 1024}
PARTS = {"train": "trn", "valid": "val", "test": "tst"}


@dataclass(frozen=True, eq=False, kw_only=True)
class MminFolders(Layout):
    """MMIN's folder with this number of folds. `speaker` is a pattern whose groups, joined, are the speaker in the name
    of a sample.

    Options: `audio` names a file in A/ (where it is missing, that with `_raw` is read), `classes` the labels in the
    order of their numbers, `target` the folder of the folds if it is not target/. `speaker_disjoint=False` reads folds
    that share speakers, and samples whose names do not tell who speaks.
    """

    folds: int
    speaker: str
    label: str = "emotion"
    classes: tuple[str, ...] = CLASSES
    options: Mapping[str, object] = field(
        default_factory=lambda: {"audio": "comparE", "classes": CLASSES, "target": None, "speaker_disjoint": True}
    )

    def features(self, root: Path, settings: Mapping[str, object]) -> dict[str, Path]:
        audio, raw = (root / f"A/{settings['audio']}{end}.h5" for end in ("", "_raw"))
        audio = raw if raw.exists() and not audio.exists() else audio
        return {"audio": audio, "visual": root / "V/denseface.h5", "text": root / "L/bert_large.h5"}

    def target(self, root: Path, settings: Mapping[str, object]) -> Path:
        return Path(str(settings["target"])).expanduser() if settings["target"] else root / "target"

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        target = self.target(root, settings)
        names = [f"{fold}/{part}_{what}.npy" for fold in range(1, self.folds + 1) for part in PARTS.values()
                 for what in ("label", "int2name")]  # fmt: skip
        return [*self.features(root, settings).values(), *(target / name for name in names)]

    def present(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        """The folds alone are no corpus."""
        paths = super().present(root, settings)
        return paths if any((root / place).is_dir() for place in "AVL") else []

    def speaker_of(self, id: str) -> str | None:
        """The speaker, or None where the name does not contain one."""
        named = re.fullmatch(self.speaker, id)
        return "".join(named.groups()) if named else None

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        target, classes = self.target(root, settings), tuple(settings["classes"])
        if not target.is_dir():
            raise Unfit(f"has no folder {target} with the folds 1 to {self.folds} (or give its place: target=...)")
        label_of: dict[str, int] = {}
        folds: list[list[list[str]]] = []
        for fold in range(1, self.folds + 1):
            folds.append([])
            if not (target / str(fold)).is_dir():
                problems.add(f"no folder {target / str(fold)}; this corpus has folds 1 to {self.folds}")
                continue
            for part in PARTS.values():
                names, labels = read_part(target, f"{fold}/{part}", classes, problems)
                folds[-1].append(names)
                for name, number in zip(names, labels, strict=True):
                    if label_of.setdefault(name, number) != number:
                        wrong = f"sample {name!r} has label {number} in {part} of fold {fold}"
                        problems.add(f"{wrong}, but {label_of[name]} before", "label")
        speaker = [self.speaker_of(name) or "?" for name in label_of]
        for name, person in zip(label_of, speaker, strict=True):
            if person == "?" and settings["speaker_disjoint"]:
                wrong = f"sample name {name!r} does not tell who speaks"
                problems.add(f"{wrong}; load with speaker_disjoint=False if the names are your own", "speaker")
        packed = {}
        for m, path in self.features(root, settings).items():
            file = f"{path.parent.name}/{path.name}"
            if m == "audio" and path.stem != settings["audio"]:
                problems.notes.add(f"A/{settings['audio']}.h5 is missing; {file} is read in its place")
            read = partial(read_features, name=file, id=list(label_of), modality=m, problems=problems)
            packed[m] = read_hdf5(path, root, problems, read)
        if problems:
            return None
        recorded = np.stack([present.numpy() for _, _, present in packed.values()]).any(0)
        for name in np.array(list(label_of))[~recorded].tolist():
            problems.add(f"sample {name!r} is all zeros in every modality; leave it out of the folds", "zeros")
        label = np.array(list(label_of.values()), dtype=np.int64)
        index = {name: i for i, name in enumerate(label_of)}
        split = [[np.array([index[name] for name in names]) for names in fold] for fold in folds]
        samples = batch_of(packed, self.label, label, speaker, list(label_of), self.name)
        return self.corpus(samples, Split("by speaker", split, bool(settings["speaker_disjoint"])), settings)


def read_part(target: Path, part: str, classes: tuple[str, ...], problems: Problems) -> tuple[list[str], list[int]]:
    """Names and labels of one part of a fold; empty lists where the files disagree."""
    arrays = {}
    for what in ("int2name", "label"):
        path = target / f"{part}_{what}.npy"
        with problems.of(str(path)):
            check_file(path, target)
            with path.open("rb") as stream:
                arrays[what] = read_npy(stream)
    names, label = arrays.get("int2name"), arrays.get("label")
    if names is None or label is None:
        return [], []
    with problems.of(f"{part}_int2name.npy"):
        names = expect(names[:, 0] if names.ndim == 2 and names.shape[1] else names, "names", "samples").tolist()
        names = [name.decode("latin1") if isinstance(name, bytes) else name for name in names]
        with problems.of(f"{part}_label.npy"):
            one_hot = label.ndim == 2
            expect(label, "numbers or truth values", len(names), *([len(classes)] if one_hot else []))
            hot = ((label == 0) | (label == 1)).all(1) & (label.sum(1) == 1) if one_hot else np.ones(len(label), bool)
            if not hot.all():
                raise Unfit(f"is not one-hot in row {int(np.argmin(hot))}; a 1 for the class, 0 for the others")
            label = label.argmax(1) if one_hot else label
            known = np.isin(label, np.arange(len(classes)))
            if not known.all():
                row, meaning = int(np.argmin(known)), f"0 to {len(classes) - 1} ({', '.join(classes)})"
                wrong = f"has the label {label[row]} for {names[row]!r} (row {row})"
                raise Unfit(f"{wrong}; it must be a whole number, {meaning}")
            return names, label.astype(np.int64).tolist()
    return [], []


def read_features(file, name: str, id: list[str], modality: str, problems: Problems):
    """x, mask and present of one modality; problems leave zeros."""
    pieces, width = [], WIDTHS[modality]
    for sample in id:
        pieces.append(np.zeros((0, width), np.float32))
        with problems.of(name, name):
            stored = member(file, sample)
            if hasattr(stored, "keys"):
                raise Unfit(f"has a folder for {sample!r} ({listed(stored)}): the aligned layout is not read")
            with problems.of(f"{modality} of sample {sample!r} in {name}", f"values {name}"):
                values = finite(expect(stored, "numbers", "frames", width))
                pieces[-1] = values[: extent(values)[1]]
    return pack(pieces, len(pieces), max(map(len, pieces), default=1), width)
