"""The feature folders of MMIN, which IF-MMIN, CIF-MMIN and NMER read too: sequences in HDF5, folds as lists of names.

    A/comparE.h5        one dataset an utterance, its name the key: (T, 130), ten frames a second
    V/denseface.h5      (50, 342)
    L/bert_large.h5     (22, 1024)
    target/1/trn_label.npy, trn_int2name.npy, and val_, tst_; then target/2 and so on

Row i of a label file is the utterance in row i of the name file. Labels are one-hot (N, classes) or numbers (N,), names
are text (N,) or bytes of which the first column counts; both spellings are read. `A/comparE_mean_std.h5` is not needed:
`Corpus.fold` takes the statistics of the train part itself.

Sequences are stored rectangular, with zeros behind the last frame (a face that was not found is a frame of zeros too).
Zeros at the end are not real frames; an utterance with nothing but zeros does not have the modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch
from robustmer.corpora.corpus import About, Corpus
from robustmer.corpora.layout import describe, outside
from robustmer.corpora.sequences import Found, extent, locate, missing, numbers, opened, pack, require, tell, told

CLASSES = ("happy", "angry", "sad", "neutral")
"""The order of NMER Table 1. No file states it; the counts that `check` compares do."""

WIDTHS = {"audio": 130, "visual": 342, "text": 1024}
PARTS = {"train": "trn", "valid": "val", "test": "tst"}
PLACES = ("A", "V", "L")


@dataclass
class Content:
    """What was found: names, labels and people of all utterances, rows of each fold and part, modalities."""

    id: np.ndarray
    label: np.ndarray
    speaker: np.ndarray
    folds: list[dict[str, np.ndarray]]
    modalities: dict[str, tuple] = field(default_factory=dict)


def features(audio: str) -> dict[str, str]:
    return {"audio": f"A/{audio}.h5", "visual": "V/denseface.h5", "text": "L/bert_large.h5"}


def find(folder: Path | str | None, about: About) -> Path:
    return locate(folder, about, lambda base: any((base / place).is_dir() for place in PLACES))


def files(chosen: Mapping[str, object], about: About, folds: int) -> list[Path]:
    """Every file that `load` reads with these options."""
    root = find(chosen["folder"], about)
    target = Path(chosen["target"] or root / "target")
    lists = [target / str(fold) / f"{part}_{what}.npy" for fold in range(1, folds + 1) for part in PARTS.values()
             for what in ("label", "int2name")]
    return [root / file for file in features(chosen["audio"]).values()] + lists


def load(name: str, about: About, folds: int, speaker_of, *, folder, audio, classes, target, speakers, standardise
         ) -> Corpus:
    root = find(folder, about)
    content, problems = examine(root, about, folds, speaker_of if speakers else None, audio, tuple(classes), target)
    require(about, content is not None, problems)
    parts = {m: content.modalities[m] for m in WIDTHS}
    x, real, present = ({m: part[i] for m, part in parts.items()} for i in range(3))
    rows = Batch(x, real, present, torch.from_numpy(content.label), content.speaker, content.id, name=name)
    numbered = tuple(tuple(fold[part] for part in PARTS) for fold in content.folds)
    return Corpus(name, tuple(classes), rows, numbered, standardise=standardise)


def examine(root: Path, about: About, folds: int, speaker_of, audio: str, classes: tuple[str, ...],
            target: Path | str | None) -> tuple[Content | None, list[str]]:
    """The content, None where there is no such folder, and one sentence for everything that is wrong."""
    if not any((root / place).is_dir() for place in PLACES):
        return None, [missing(about, f"folders {', '.join(PLACES)}", root)]
    target = Path(target).expanduser() if target else root / "target"
    if not target.is_dir():
        return Content(*[np.array([])] * 3, []), [f"no folder {target}; it holds the folds, 1 to {folds} (or give its "
                                                  "place: target=...)"]
    content, problems = read_folds(target, folds, speaker_of, classes)
    for m, file in features(audio).items():
        content.modalities[m] = read_features(root / file, content.id, m, problems)
    if not problems:
        heard = np.stack([content.modalities[m][2].numpy() for m in WIDTHS]).any(0)
        problems += [f"utterance {str(content.id[row])!r} is all zeros in every modality; leave it out of the folds"
                     for row in np.flatnonzero(~heard)]
    return content, problems


def read_folds(target: Path, folds: int, speaker_of, classes: tuple[str, ...]) -> tuple[Content, list[str]]:
    """Utterances in the order in which the folds first name them."""
    problems: list[str] = []
    found: Found = {}
    row_of: dict[str, int] = {}
    label: list[int] = []
    rows: list[dict[str, np.ndarray]] = []
    for fold in range(1, folds + 1):
        rows.append({})
        where: dict[str, str] = {}
        if not (target / str(fold)).is_dir():
            problems.append(f"no folder {target / str(fold)}; this corpus has folds 1 to {folds}")
            continue
        for part, short in PARTS.items():
            names, labels = read_part(target / str(fold), short, classes, problems)
            for name, number in zip(names, labels, strict=True):
                if name in where:
                    tell(found, f"twice {fold}", f"utterance {name!r} is in {where[name]} and in {short} of fold "
                                                 f"{fold}; a part shares none with another")
                where[name] = short
                if name not in row_of:
                    row_of[name] = len(row_of)
                    label.append(number)
                elif label[row_of[name]] != number:
                    tell(found, "label", f"utterance {name!r} has label {number} in {short} of fold {fold}, but "
                                         f"{label[row_of[name]]} before")
            rows[-1][part] = np.array([row_of[name] for name in names], dtype=np.int64)
    speaker = []
    for name in row_of:
        person = speaker_of(name) if speaker_of else "?"
        if person is None:
            tell(found, "speaker", f"utterance name {name!r} does not tell who speaks; load with speakers=False if the "
                                   "names are your own")
        speaker.append(person or "?")
    content = Content(np.array(list(row_of), dtype=str), np.array(label, dtype=np.int64),
                      np.array(speaker, dtype=str), rows)
    for fold, parts in enumerate(rows, 1):
        people = {part: set(content.speaker[there]) - {"?"} for part, there in parts.items()}
        for a, b in (("train", "valid"), ("train", "test"), ("valid", "test")):
            for person in sorted(people.get(a, set()) & people.get(b, set())):
                tell(found, f"divided {fold}", f"speaker {person!r} is in {PARTS[a]} and in {PARTS[b]} of fold {fold}; "
                                               "a fold divides nobody (speakers=False reads such folds as they are)")
    return content, problems + told(found)


def read_part(folder: Path, part: str, classes: tuple[str, ...], problems: list[str]) -> tuple[list[str], list[int]]:
    """Names and labels of one part; nothing where the files do not agree."""
    arrays = [read_array(folder / f"{part}_{what}.npy", problems) for what in ("int2name", "label")]
    if any(array is None for array in arrays):
        return [], []
    file = f"{folder.name}/{part}_label.npy"
    names, label = read_names(arrays[0], f"{folder.name}/{part}_int2name.npy", problems), arrays[1]
    if names is None:
        return [], []
    if label.ndim == 2 and label.shape[1] == len(classes) and label.dtype.kind in "biuf":
        hot = ((label == 0) | (label == 1)).all(1) & (label.sum(1) == 1)
        if not hot.all():
            problems.append(f"{file} is not one-hot in row {int(np.argmin(hot))}; a 1 for the class, 0 for the others")
            return [], []
        label = label.argmax(1)
    elif label.ndim != 1 or label.dtype.kind not in "iuf" or not np.isfinite(label).all() \
            or (label != np.round(label)).any():
        problems.append(f"{file} holds {label.dtype} values of shape {label.shape}; it must be (N,) whole numbers, or "
                        f"(N, {len(classes)}) with a 1 for the class ({', '.join(classes)})")
        return [], []
    if len(label) != len(names):
        problems.append(f"{file} has {len(label)} rows, but {part}_int2name.npy has {len(names)}; row i of both is one "
                        "utterance")
        return [], []
    problems += outside(f"{file}: label", label, 0, len(classes) - 1, np.array(names), ", ".join(classes))
    return names, [int(number) for number in label]


def read_array(path: Path, problems: list[str]) -> np.ndarray | None:
    if not path.is_file():
        problems.append(f"no file {path}; each fold has trn, val and tst with _label.npy and _int2name.npy")
        return None
    try:
        with path.open("rb") as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            more = file.read(1)
        if array.ndim == 0 or len(array) == 0:
            problems.append(f"{path} holds no rows; it must have one for every utterance")
            return None
        if more:
            problems.append(f"{path} has more bytes than the shape {array.shape} in its beginning; get it again")
            return None
        return array
    except Exception as error:  # damage shows itself in many ways
        how = "holds Python objects, which are refused: unpickling them can run code; store a plain array" \
            if "allow_pickle" in str(error) else f"cannot be read ({describe(error)}); get it again"
        problems.append(f"{path} {how}")
        return None


def read_names(array: np.ndarray, file: str, problems: list[str]) -> list[str] | None:
    column = array[:, 0] if array.ndim == 2 and array.shape[1] else array
    if column.ndim != 1 or column.dtype.kind not in "SU":
        problems.append(f"{file} holds {array.dtype} values of shape {array.shape}; it must hold names of utterances, "
                        "(N,) or in the first column of (N, 1)")
        return None
    return [name.decode("latin1") if isinstance(name, bytes) else str(name) for name in column]


def read_features(path: Path, id: np.ndarray, modality: str, problems: list[str]):
    """x, real, present of one modality; what is wrong is told, with zeros in its place."""
    found: Found = {}
    width, name, packed = WIDTHS[modality], f"{path.parent.name}/{path.name}", None
    with opened(path, problems) as file:
        if file is None:
            return None
        lengths = [measure(file.get(utterance), utterance, width, name, file.id.get_filesize(), found)
                   for utterance in id]

        def frames():
            for utterance, length in zip(id, lengths, strict=True):
                values = np.zeros((0, width), np.float32)
                if length:
                    try:
                        values = numbers(file[utterance][()], f"{modality} of utterance {str(utterance)!r}", found)
                    except Exception as error:
                        tell(found, "read", f"{name}: {str(utterance)!r} cannot be read ({describe(error)}); get the "
                                            "file again")
                yield values[: extent(values)[1]]

        packed = pack(frames(), len(id), max(lengths, default=1), width)
    problems += told(found)
    return packed


def measure(stored, utterance: str, width: int, name: str, size: int, found: Found) -> int:
    """How many frames an utterance has; 0 where it cannot be read."""
    shape = getattr(stored, "shape", None)
    if stored is None:
        tell(found, "gone", f"{name} lacks utterance {str(utterance)!r}, which the folds name")
    elif hasattr(stored, "keys"):
        tell(found, "group", f"{name}: {str(utterance)!r} is a folder ({', '.join(stored)}), not (frames, {width}); "
                             "this is the aligned layout, which is not read")
    elif shape is None or len(shape) != 2 or shape[1] != width or not shape[0]:
        tell(found, "shape", f"{name}: {str(utterance)!r} has shape {shape}; it must be (frames, {width})")
    elif stored.chunks is None and stored.nbytes > size:
        tell(found, "shape", f"{name}: {str(utterance)!r} has shape {shape}, more than the file holds; get it again")
    else:
        return shape[0]
    return 0


def counts(content: Content, published: Mapping[str, int], classes: tuple[str, ...]) -> list[str]:
    """Where the utterances of a class are others than published: the order of classes may be another one."""
    said = []
    for number, name in enumerate(classes):
        here = int((content.label == number).sum())
        if here != published[name]:
            said.append(f"{here} utterances with label {number} ({name}); {published[name]} were published (is the "
                        "order of the classes another one? classes=... changes it)")
    return said
