"""Layout: a corpus as its publisher gives it out, with recordings, transcripts and label files (MCWSA IV.A, IV.B).

IEMOCAP                                             MSP-IMPROV
    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt    Evalution.txt (or Evaluation.txt)
    Session1/dialog/transcriptions/Ses01F_impro01.txt   .../All_human_transcriptions/.../MSP-IMPROV-S01A-F01-P-FM01.txt
    Session1/sentences/wav/Ses01F_impro01/*.wav         .../session1/S01A/P/MSP-IMPROV-S01A-F01-P-FM01.wav

and, of the reader's own making, visual/<sample>.npy with the features of the frames of a sample, such as (N, 2048).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import MODALITIES, Batch
from robustmer.corpora.common import About, CorpusError
from robustmer.corpora.corpus import Corpus, Split, folds_by_group
from robustmer.corpora.files import Problems, Unfit, check_file, expect, finite, read_npy
from robustmer.corpora.layout import Layout
from robustmer.corpora.media import log_mel, read_wav, with_deltas
from robustmer.corpora.sequences import batch_of, pack
from robustmer.corpora.words import word_vectors, words_of

Frames = Callable[[str], np.ndarray]

LABELS = ("happy", "angry", "sad", "neutral")


class Recordings:
    """Samples on disk: padded, the frames of all recordings would fill tens of gigabytes. `frames` returns, by
    modality, the frames of a sample, none where it lacks the modality."""

    def __init__(
        self, name: str, label: str, values: Mapping[str, int], speaker: Mapping[str, str], frames: Mapping[str, Frames]
    ):
        self.name, self.label, self.frames = name, label, frames
        self.id = np.array(list(values))
        self.speaker = np.array([speaker[id] for id in values])
        self.labels = {label: torch.tensor(list(values.values()))}
        self.shapes = {m: read(str(self.id[0])).shape[1:] for m, read in frames.items()}

    def __len__(self) -> int:
        return len(self.id)

    def __getitem__(self, indices: np.ndarray) -> Batch:
        id, packed = self.id[np.asarray(indices).reshape(-1)], {}
        for m, read in self.frames.items():
            read_frames = [read(name) for name in id.tolist()]
            packed[m] = pack(read_frames, len(id), max(map(len, read_frames)), *self.shapes[m])
        label = self.labels[self.label].numpy()[indices]
        return batch_of(packed, self.label, label, self.speaker[indices], id, self.name)


def of_file(paths: Mapping[str, Path], read: Callable[[Path], np.ndarray]) -> Frames:
    """Frames that `read` returns from the file of a sample. They raise CorpusError for a damaged file."""

    def frames(name: str) -> np.ndarray:
        problems = Problems()
        with problems.of(str(paths[name])):
            check_file(paths[name], paths[name].parent)
            return read(paths[name])
        raise CorpusError(problems.sentences()[0]) from problems.cause

    return frames


def mel_of_wav(path: Path) -> np.ndarray:
    return with_deltas(log_mel(*read_wav(path)))


def features_of_faces(path: Path) -> np.ndarray:
    with path.open("rb") as stream:
        return finite(expect(read_npy(stream), "numbers", "frames", "features", least=0))


@dataclass(frozen=True, eq=False, kw_only=True)
class Release(Layout):
    """A release. Patterns name its files; the groups of `line` are a sample and the code of its emotion, those of
    `speaker`, joined, the person in the name of a sample. With `sentence` a transcript file holds many samples.

    Option `vectors` names a file of word2vec or GloVe in vectors/, beside the folder of the corpus; text needs it.
    """

    evaluations: str
    line: str
    emotions: Mapping[str, str]
    wavs: str
    transcripts: str
    speaker: str
    sentence: str = ""
    prefix: str = ""
    label: str = "emotion"
    classes: tuple[str, ...] = LABELS
    options: Mapping[str, object] = field(default_factory=lambda: {"vectors": ""})

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return sorted(root.glob(self.evaluations))

    def present(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        main, vectors = super().present(root, settings), root.parent / f"vectors/{settings['vectors']}"
        return [*main, vectors] if main and settings["vectors"] and os.path.lexists(vectors) else main

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        emotion: dict[str, int] = {}
        for path in self.files(root, settings):
            for name, code in re.findall(self.line, path.read_text(encoding="latin-1"), re.MULTILINE):
                if code in self.emotions:
                    emotion[self.prefix + name] = self.classes.index(self.emotions[code])
        if not emotion:
            raise Unfit(f"has no line with one of the emotions {', '.join(self.emotions)} in its label files")
        speaker = {name: "".join(match.groups()) for name in emotion if (match := re.fullmatch(self.speaker, name))}
        files = {"audio": ("recording (.wav)", self.wavs, mel_of_wav),
                 "visual": ("visual/SAMPLE.npy", "visual/*.npy", features_of_faces)}  # fmt: skip
        paths = {m: {path.stem: path for path in root.glob(files[m][1])} for m in settings["modalities"] if m in files}
        texts = self.texts(root) if "text" in settings["modalities"] else dict.fromkeys(emotion, "")
        parts = {"name that tells who speaks": speaker, "transcript": texts, **{files[m][0]: paths[m] for m in paths}}
        for what, known in parts.items():
            for name in emotion.keys() - known.keys():
                problems.add(f"sample {name!r} has no {what}; get it, or leave the modality out", what)
        if problems:
            return None
        frames = {m: of_file(paths[m], files[m][2]) for m in paths}
        if "text" in settings["modalities"]:
            frames["text"] = self.words(root, settings, {name: words_of(texts[name]) for name in emotion}, problems)
        samples = Recordings(self.name, self.label, emotion, speaker, frames)
        people = sorted({*speaker.values()})
        partner = [(name.translate(str.maketrans("FM", "MF")),) for name in people]
        folds = folds_by_group(samples.speaker, [(name,) for name in people], partner)
        return self.corpus(samples, Split("by speaker", folds), settings)

    def texts(self, root: Path) -> dict[str, str]:
        """The transcript of each sample."""
        texts: dict[str, str] = {}
        for path in sorted(root.glob(self.transcripts)):
            text = path.read_text(encoding="latin-1")
            texts |= dict(re.findall(self.sentence, text, re.MULTILINE)) if self.sentence else {path.stem: text}
        return texts

    def words(
        self, root: Path, settings: Mapping[str, object], sentences: Mapping[str, list[str]], problems: Problems
    ) -> Frames:
        """The vectors of the words of a sample, zeros for a word that the file lacks."""
        if not settings["vectors"]:
            raise Unfit("needs word vectors; give vectors=FILE, the name of a file in vectors/, or load without text")
        path, every = root.parent / f"vectors/{settings['vectors']}", [w for words in sentences.values() for w in words]
        check_file(path, path.parent)
        vectors = word_vectors(path, {*every})
        if not vectors:
            raise Unfit(
                f"has transcripts of which {path.name} holds no word; give vectors of English words in small letters"
            )
        without, unknown = sum(word not in vectors for word in every), 0 * next(iter(vectors.values()))
        if without:
            problems.notes.add(f"{without} of {len(every)} words have no vector in {path.name} and are zeros")
        return lambda name: np.stack([unknown, *(vectors.get(word, unknown) for word in sentences[name])])[1:]


# fmt: off
iemocap_release = Release(
    name="IEMOCAP (release)", emotions={"hap": "happy", "exc": "happy", "ang": "angry", "sad": "sad", "neu": "neutral"},
    evaluations="Session[1-5]/dialog/EmoEvaluation/Ses*.txt", line=r"^\[[^\]]+\]\t(\S+)\t(\w+)\t",
    wavs="Session[1-5]/sentences/wav/*/Ses*.wav", transcripts="Session[1-5]/dialog/transcriptions/Ses*.txt",
    sentence=r"^(\S+) \[[^\]]+\]: *(.*)$", speaker=r"(Ses\d\d)[FM]_\w+_([FM])(?:XX)?\d+",
    published={"samples": 5531, "speakers": 10, **{f"samples with label {i} ({name})": count for i, (name, count) in
               enumerate(zip(LABELS, (1636, 1103, 1084, 1708), strict=True))}},
    about=About(
        title="IEMOCAP, the release", access="https://sail.usc.edu/iemocap/ (release form), as iemocap_release/",
        licence="that of IEMOCAP (research only, not to be passed on)", folder="iemocap_release",
        modalities=MODALITIES))

msp_improv_release = Release(
    name="MSP-IMPROV (release)", emotions={"H": "happy", "A": "angry", "S": "sad", "N": "neutral"}, prefix="MSP-",
    evaluations="Eval*tion.txt", line=r"^UTD-(IMPROV-\S+)\.avi; *([A-Z]);", wavs="**/MSP-IMPROV-*.wav",
    transcripts="**/MSP-IMPROV-*.txt", speaker=r"MSP-IMPROV-S\d\d[A-Z]-([FM]\d\d)-[A-Z]-[A-Z]+\d+",
    published={"samples": 7798, "speakers": 12, **{f"samples with label {i} ({name})": count for i, (name, count) in
               enumerate(zip(LABELS, (2644, 792, 885, 3477), strict=True))}},
    about=About(
        title="MSP-IMPROV, the release",
        access="https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Improv.html (signed agreement), as "
               "msp_improv_release/",
        licence="that of MSP-IMPROV (academic agreement)", folder="msp_improv_release",
        modalities=MODALITIES))

CORPORA: dict[str, Layout] = {"iemocap_release": iemocap_release, "msp_improv_release": msp_improv_release}
# fmt: on
