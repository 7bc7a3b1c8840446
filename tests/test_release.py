"""Readers of releases, on small trees in the layouts of IEMOCAP and MSP-IMPROV that the tests write."""

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from robustmer import corpora
from robustmer.conditions import CLEAN
from robustmer.corpora import CorpusError, CorpusNotFound
from robustmer.corpora.media import log_mel, with_deltas
from robustmer.evaluation import evaluate
from robustmer.systems import LogReg
from robustmer.training import fit
from robustmer.budget import Budget

CODES = {
    "iemocap_release": ["hap", "ang", "sad", "neu", "exc", "fru"],
    "msp_improv_release": ["H", "A", "S", "N", "H", "X"],
}
LABELS = [0, 1, 2, 3, 0]
"""Of the first five codes; the sixth is no class of this corpus."""


def store(path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def store_sample(folder, id: str, wav, number: int) -> None:
    wav.parent.mkdir(parents=True, exist_ok=True)
    sound = np.random.default_rng(number).normal(size=1600 + 160 * number) * 1000
    wavfile.write(wav, 16000, sound.astype(np.int16))
    (folder / "visual").mkdir(exist_ok=True)
    np.save(folder / f"visual/{id}.npy", np.full((number % 4, 7), number, np.float32))


def write_iemocap(folder) -> list[str]:
    names = []
    for session in (1, 2):
        for person in "FM":
            dialog = f"Ses0{session}{person}_impro01"
            ids = [f"{dialog}_{person}{i:03d}" for i in range(6)]
            lines = [f"[{i}.0000 - {i + 1}.0000]\t{id}\t{code}\t[2.5000, 2.5000, 2.5000]\nC-E1:\tNeutral;\t()"
                     for i, (id, code) in enumerate(zip(ids, CODES["iemocap_release"], strict=True))]  # fmt: skip
            place = folder / f"Session{session}"
            store(place / f"dialog/EmoEvaluation/{dialog}.txt", "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
                  + "\n\n".join(lines))  # fmt: skip
            store(place / f"dialog/EmoEvaluation/._{dialog}.txt", "\0\0\x80".encode().decode())
            store(place / f"dialog/transcriptions/{dialog}.txt",
                  "".join(f"{id} [00{i}.0-00{i + 1}.0]: Hello, film{i} unheard\n" for i, id in enumerate(ids)))  # fmt: skip
            for i, id in enumerate(ids):
                store_sample(folder, id, place / f"sentences/wav/{dialog}/{id}.wav", i)
            names += ids[:5]
    return names


def write_msp_improv(folder) -> list[str]:
    names, lines = [], []
    for session in (1, 2):
        for person in "FM":
            for i, code in enumerate(CODES["msp_improv_release"]):
                id = f"MSP-IMPROV-S0{i + 1}A-{person}0{session}-P-FM01"
                lines.append(
                    f"UTD{id[3:]}.avi; {code}; A:2.500000 ; V:3.000000 ; D:3.000000 ; N:4.000000 ;\nA001; Happy;"
                )
                store(folder / f"All_human_transcriptions/session{session}/{id}.txt", f"Hello, film{i} unheard\n")
                store_sample(folder, id, folder / f"session{session}/S0{i + 1}A/P/{id}.wav", i)
                names += [id] if i < 5 else []
    store(folder / "Evalution.txt", "\n\n".join(lines))
    return names


WRITERS = {"iemocap_release": write_iemocap, "msp_improv_release": write_msp_improv}


@pytest.fixture(params=WRITERS)
def release(request, tmp_path):
    """The name of a corpus, its folder and the names of its samples."""
    folder = tmp_path / request.param
    folder.mkdir()
    store(tmp_path / "vectors/own.txt", "hello 1 2\n" + "".join(f"film{i} {i} 0.5\n" for i in range(6)))
    return request.param, folder, WRITERS[request.param](folder)


def load(name, folder, **options):
    with pytest.warns(UserWarning, match="20 of 60 words have no vector in own.txt"):
        return corpora.load(name, folder=folder, vectors="own.txt", **options)


def test_a_release_is_read_sample_by_sample(release):
    name, folder, names = release
    corpus = load(name, folder)
    assert corpus.samples.id.tolist() == names and corpus.shapes == {"audio": (192,), "visual": (7,), "text": (2,)}
    assert corpus.samples.labels["emotion"].tolist() == LABELS * 4
    batch = corpus.samples[np.array([8, 0])]
    sr, sound = wavfile.read(next(folder.rglob(f"{names[8]}.wav")))
    expected = with_deltas(log_mel(sound / 2.0**15, sr))
    np.testing.assert_allclose(batch.x["audio"][0, : len(expected)], expected, atol=1e-4)
    assert batch.lengths["audio"].tolist() == [len(expected), 11]
    assert batch.lengths["visual"].tolist() == [3, 0] and not batch.present["visual"][1]  # no face was detected
    assert batch.x["text"][0].tolist() == [[1, 2], [3, 0.5], [0, 0]]


def test_one_speaker_tests_and_the_partner_validates(release):
    name, folder, _ = release
    corpus = load(name, folder)
    assert len(corpus.split.folds) == 4
    for _, valid, test in corpus.split.folds:
        pair = {*corpus.samples.speaker[valid], *corpus.samples.speaker[test]}
        assert len(pair) == 2 and len({person.translate(str.maketrans("FM", "__")) for person in pair}) == 1


def test_a_release_trains_without_being_in_memory(release):
    name, folder, _ = release
    corpus = corpora.load(name, folder=folder, modalities=("audio", "visual"))
    train, valid, test = corpus.fold(0)
    system = LogReg(corpus.shapes, corpus.task())
    fit(system, train, valid, CLEAN, Budget(epochs=2))
    assert len(evaluate(system, test, [CLEAN]))


def test_the_check_reports_other_counts_than_the_paper_prints(release):
    name, folder, _ = release
    problems = corpora.check(name, folder, vectors="own.txt")
    total, happy = {"iemocap_release": (5531, 1636), "msp_improv_release": (7798, 2644)}[name]
    assert f"20 samples; {total} were published" in problems
    assert f"8 samples with label 0 (happy); {happy} were published" in problems
    published = corpora.find(name).published
    assert sum(count for what, count in published.items() if "label" in what) == total


def first(folder, pattern):
    return sorted(folder.rglob(pattern))[0]


DAMAGE = {
    "no recording": (lambda folder: first(folder, "*.wav").unlink(), "has no recording (.wav)"),
    "no transcripts": (lambda folder: [path.write_text("") or path.rename(path.with_suffix(".old"))
                                       for path in folder.rglob("*.txt") if "rans" in str(path)], "has no transcript"),
    "no face": (lambda folder: first(folder, "*.npy").unlink(), "has no visual/SAMPLE.npy"),
    "no labels": (lambda folder: [path.write_text("") for path in folder.rglob("*.txt")
                                  if path.name.startswith(("Ses", "Eval"))], "has no line with one of the emotions"),
    "a cut recording": (lambda folder: first(folder, "*.wav").write_bytes(b"RIFF"), "is no complete wav file"),
    "words of no vector": (lambda folder: (folder.parent / "vectors/own.txt").write_text("bonjour 1 2"), "holds no word"),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_to_a_release_is_reported(what, release):
    name, folder, _ = release
    damage, sentence = DAMAGE[what]
    damage(folder)
    problems = corpora.check(name, folder, vectors="own.txt")
    assert any(sentence in problem for problem in problems), problems
    with pytest.raises(CorpusError):
        corpora.load(name, folder=folder, vectors="own.txt")


def test_a_recording_that_is_damaged_is_named_when_it_is_read(release):
    name, folder, names = release
    corpus = load(name, folder)
    path = next(folder.rglob(f"{names[7]}.wav"))
    path.write_bytes(path.read_bytes()[:100])
    assert torch.isfinite(corpus.samples[np.array([6])].x["audio"]).all()
    with pytest.raises(CorpusError, match=f"{names[7]}.wav is no complete wav file"):
        corpus.samples[np.array([6, 7])]


def test_text_needs_a_file_of_vectors_and_a_release_its_label_files(release, tmp_path):
    name, folder, _ = release
    with pytest.raises(CorpusError, match="needs word vectors; give vectors=FILE"):
        corpora.load(name, folder=folder)
    with pytest.raises(CorpusError, match="none.txt is missing|is missing; vectors/ has own.txt"):
        corpora.load(name, folder=folder, vectors="none.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusNotFound):
        corpora.load(name, folder=tmp_path / "empty")
