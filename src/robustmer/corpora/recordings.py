"""The corpora of MCWSA: mel frames, words and pictures, where those of `catalogue.py` have one vector a sample."""

from __future__ import annotations

import csv
import dataclasses
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustmer.batch import MODALITIES, collate
from robustmer.corpora.catalogue import mosi_bclstm, ravdess_av
from robustmer.corpora.common import About
from robustmer.corpora.corpus import Corpus, Split
from robustmer.corpora.files import Problems, Unfit, expect, read_npz
from robustmer.corpora.layout import Layout
from robustmer.corpora.media import log_mel, with_deltas
from robustmer.corpora.npz import Arrays, Field
from robustmer.corpora.synthetic import generator
from robustmer.corpora.words import Vectors, ppmi_vectors, word_vectors, words_of

# --- RAVDESS-AV with the mel frames of its takes ----------------------------------------------------------------------

BANDS = 64


def mel_of_takes(arrays: Arrays, paths: Sequence[Path], problems: Problems) -> Mapping[str, list[np.ndarray]]:
    """Static, delta and delta-delta of each take, of dB frames that are stored as bytes: v / 255 * 120 - 80."""
    (path,) = paths
    stored = read_npz(path, ["mel", "offset", "name"], problems)
    with problems.of(path.name):
        if problems:
            return {}
        mel = expect(stored["mel"], "whole numbers", "frames", BANDS)
        offset = expect(stored["offset"], "whole numbers", len(expect(stored["name"], "text", "takes")) + 1)
        if mel.dtype != np.uint8 or offset[0] != 0 or offset[-1] != len(mel) or (np.diff(offset) < 1).any():
            raise Unfit(
                f"holds {len(mel)} frames ({mel.dtype}) with borders from {offset[0]} to {offset[-1]}; it must "
                "hold bytes, and every take a frame or more, one take after the other"
            )
        rows = arrays["speech_row"]
        if rows.max() >= len(stored["name"]):
            raise Unfit(f"has {len(stored['name'])} takes; speech_row names take {rows.max()}")
        for name, take in zip(arrays["name"], stored["name"][rows], strict=True):
            if name.split("-")[1:] != take.split("-")[1:]:
                raise Unfit(
                    f"has {str(take)!r} in the row that speech_row gives to {str(name)!r}; they differ in more "
                    "than the first number"
                )
        return {
            "audio": [
                with_deltas(mel[a:b] / np.float32(255) * 120 - 80)
                for a, b in zip(offset[rows], offset[rows + 1], strict=True)
            ]
        }
    return {}


# fmt: off
ravdess_av_mel = dataclasses.replace(
    ravdess_av, name="RAVDESS-AV mel", x={"visual": "video"},
    fields={name: field for name, field in ravdess_av.fields.items() if name != "audio"}
           | {"speech_row": Field("whole numbers", bounds=(0, 1439, "RAVDESS has 1440 takes of speech"))},
    beside=lambda settings: ("../ravdess_speech/ravdess_speech_mel.npz",), sequences=mel_of_takes,
    about=dataclasses.replace(
        ravdess_av.about, title="RAVDESS, 360 audio-visual takes with mel frames",
        access=ravdess_av.about.access + ", the mel frames as ravdess_speech/ravdess_speech_mel.npz"))
# fmt: on

# --- CMU-MOSI with the words of its transcripts -----------------------------------------------------------------------

OWN_VECTORS = "PPMI"
"""Word vectors made from the train transcripts. Any other value of the option `vectors` is a file in vectors/."""


def words_of_samples(
    arrays: Arrays, paths: Sequence[Path], problems: Problems
) -> Mapping[str, list[np.ndarray | None]]:
    """The vector of each word of each transcript; zeros for a word without a vector, None for an empty transcript."""
    with problems.of(str(paths[0])), paths[0].open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        lacking = {"utt", "transcript"} - {*(rows.fieldnames or ())}
        if lacking:
            raise Unfit(f"has no column {min(lacking)!r}; it has {', '.join(rows.fieldnames or ()) or 'nothing'}")
        transcripts = {row["utt"]: row["transcript"] or "" for row in rows}
        for name in arrays["utt"]:
            if name not in transcripts:
                problems.add(f"sample {str(name)!r} has no transcript in {paths[0].name}", "transcript")
    if problems:
        return {}
    sentences = [words_of(transcripts[name]) for name in arrays["utt"]]
    train = [sentence for sentence, part in zip(sentences, arrays["split"], strict=True) if part == 0]
    every, known = [word for words in sentences for word in words], {word for words in train for word in words}
    problems.facts |= {
        "words": len(every),
        "different words": len({*every}),
        "words that no train transcript has": sum(word not in known for word in every),
    }
    with problems.of(str(paths[-1])):
        vectors = word_vectors(paths[1], {*every}) if paths[1:] else ppmi_vectors(train)
        without = sum(word not in vectors for word in every)
        if without == len(every):
            raise Unfit("has none of the words of the transcripts; give vectors of English words in small letters")
        if without and paths[1:]:
            problems.notes.add(f"{without} of {len(every)} words have no vector in {paths[1].name} and are zeros")
        return {"text": [frames_of(words, vectors) for words in sentences]}
    return {}


def frames_of(words: Sequence[str], vectors: Vectors) -> np.ndarray | None:
    unknown = np.zeros_like(next(iter(vectors.values())))
    return np.stack([vectors.get(word, unknown) for word in words]) if words else None


# fmt: off
mosi_words = dataclasses.replace(
    mosi_bclstm, name="CMU-MOSI words", x={"audio": "audio", "visual": "video"}, options={"vectors": OWN_VECTORS},
    fields={name: field for name, field in mosi_bclstm.fields.items() if name != "text"},
    beside=lambda settings: ("mosi_bclstm_meta.csv", *(
        () if settings["vectors"] == OWN_VECTORS else (f"../vectors/{settings['vectors']}",))),
    sequences=words_of_samples,
    published={**mosi_bclstm.published, "words": 27540, "different words": 3107,
               "words that no train transcript has": 1115},
    about=dataclasses.replace(
        mosi_bclstm.about, title="CMU-MOSI, utterance vectors and words",
        access=mosi_bclstm.about.access + ", its transcripts as mosi_bclstm/mosi_bclstm_meta.csv"))
# fmt: on

# --- Without people's emotions: digits for Fig. 6, sentences for Figs. 8 and 9 ----------------------------------------


def at_random(samples: int, name: str) -> Split:
    """70% train, 10% validate, 20% test, drawn once for all."""
    order = generator(0, name).permutation(samples)
    test, valid = samples // 5, samples // 10
    return Split(
        "at random", ((order[test + valid :], order[test : test + valid], order[:test]),), speaker_disjoint=False
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class DigitTriples(Layout):
    """Pictures of digits 0-2 as the first modality, 3-5 as the second, 6-8 as the third (MCWSA V.B, Fig. 6). A frame is
    a row of a picture. A picture is in one triple, so that none is in two parts."""

    label: str = "channel_1"
    classes: tuple[str, ...] = ("0", "1", "2")

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return [root / "mnist_t10k.npz"]

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return {f"channel_{c + 1}": tuple(str(3 * c + i) for i in range(3)) for c in range(3)}

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        (path,) = self.present(root, settings)
        arrays = read_npz(path, ["image", "label"], problems)
        if problems:
            return None
        with problems.of(f"array 'image' of {path.name}"):
            image = expect(arrays["image"], "whole numbers", "images", 28, 28)
            if image.dtype != np.uint8:
                raise Unfit(f"holds {image.dtype} values; it must hold bytes")
            with problems.of(f"array 'label' of {path.name}"):
                label = expect(arrays["label"], "whole numbers", len(image))
                channels = [np.flatnonzero(label // 3 == c) for c in range(3)]
                triples = min(map(len, channels))
                if not np.isin(label, range(10)).all() or triples < 10:
                    raise Unfit(
                        f"has labels from {label.min()} to {label.max()}; it must be 0 to 9, and 10 pictures or "
                        "more of 0-2, of 3-5 and of 6-8"
                    )
                chosen = [generator(0, f"mnist {c}").permutation(channels[c])[:triples] for c in range(3)]
                x = {
                    m: list(image[rows].astype(np.float32) / 255)
                    for m, rows in zip(self.modalities, chosen, strict=True)
                }
                digits = {
                    name: label[chosen[c]].astype(np.int64) - 3 * c for c, name in enumerate(self.labels(settings))
                }
                id = ["-".join(map(str, rows)) for rows in zip(*chosen, strict=True)]
                return self.corpus(collate(x, digits, None, id, self.name), at_random(triples, "mnist split"), settings)
        return None


# fmt: off
mnist = DigitTriples(
    name="MNIST triples",
    published={"samples": 2884, "samples in train of fold 0": 2020, "samples in valid of fold 0": 288,
               "samples in test of fold 0": 576},
    about=About(
        title="MNIST, its test part, as triples of digits",
        access="http://yann.lecun.com/exdb/mnist/ (the 10,000 test pictures), stored as mnist/mnist_t10k.npz",
        licence="usually given as CC BY-SA 3.0", folder="mnist",
        modalities=MODALITIES))
# fmt: on

# fmt: off
GRAMMAR = {"command": "bin lay place set", "colour": "blue green red white", "preposition": "at by in with",
           "letter": " ".join(string.ascii_lowercase.replace("w", "")),
           "digit": "zero 1 2 3 4 5 6 7 8 9", "adverb": "again now please soon"}
# fmt: on
"""The six words of a GRID sentence. Their first letters are the name of a clip: bbaf2n is "bin blue at f 2 now"."""


def words_of_clips(names: Sequence[str] | np.ndarray) -> dict[str, list[int]]:
    """The number of each word in GRAMMAR, for clips with these names. Raises Unfit for other names."""
    words = {label: [word[0] for word in choice.split()] for label, choice in GRAMMAR.items()}
    digits: dict[str, list[int]] = {label: [] for label in words}
    for clip in names:
        for (label, first), letter in zip(words.items(), clip.ljust(6), strict=False):
            if letter not in first or len(clip) != 6:
                raise Unfit(
                    f"has a clip {str(clip)!r}; a name is six letters, such as bbaf2n, and the letter of the {label} is "
                    f"one of {', '.join(first)}"
                )
            digits[label].append(first.index(letter))
    return digits


COMPONENTS = 50
"""Principal components of a face: they keep most of what changes in 64 x 64 points of one person."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GridClips(Layout):
    """Sentences of one speaker: mel frames of the voice and principal components of the face, fitted on train clips."""

    label: str = "digit"

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return [root / "grid_s1.npz"]

    def labels(self, settings: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
        return {label: tuple(words.split()) for label, words in GRAMMAR.items()}

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        from sklearn.decomposition import PCA

        (path,) = self.present(root, settings)
        arrays = read_npz(path, ["face", "audio", "name", "speaker", "sr"], problems)
        if problems:
            return None
        with problems.of(path.name):
            name, face = expect(arrays["name"], "text", "clips"), arrays["face"]
            audio = expect(arrays["audio"], "whole numbers", len(name), "samples")
            speaker, sr = expect(arrays["speaker"], "text", len(name)), int(expect(arrays["sr"], "whole numbers"))
            expect(face, "whole numbers", len(name), "frames", "height", "width")
            digits = words_of_clips(name)
            split = at_random(len(name), "grid split")
            frames = face.reshape(*face.shape[:2], -1).astype(np.float32) / 255
            train = frames[split.folds[0][0]].reshape(-1, frames.shape[2])
            if min(train.shape) < COMPONENTS:
                raise Unfit(
                    f"has {len(train)} train frames of {train.shape[1]} points; {COMPONENTS} principal components "
                    "need as many or more"
                )
            pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(train)
            x = {
                "audio": [with_deltas(log_mel(samples / 2.0**15, sr)) for samples in audio],
                "visual": [pca.transform(clip).round(4) for clip in frames],
            }  # last digits differ between machines
            return self.corpus(collate(x, digits, speaker, name, self.name), split, settings)
        return None


# fmt: off
grid = GridClips(
    name="GRID",
    published={"samples": 112, "speakers": 1},
    about=About(
        title="GRID, clips of one speaker",
        access="https://spandh.dcs.shef.ac.uk/gridcorpus/ (free), clips of a speaker stored as grid_s1/grid_s1.npz",
        licence="CC BY 4.0", folder="grid_s1",
        modalities=("audio", "visual")))
# fmt: on

# fmt: off
CORPORA: dict[str, Layout] = {"ravdess_av_mel": ravdess_av_mel, "mosi_words": mosi_words, "mnist": mnist, "grid": grid}
# fmt: on
