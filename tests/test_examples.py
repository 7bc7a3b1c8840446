"""Designs that no paper of the book has: the page of examples runs, keeps to thirty lines, and shows what it claims."""

from __future__ import annotations

import dataclasses
import runpy
from pathlib import Path

import jupytext
import pytest
import torch

import robustmer as rm
from robustmer.corpora import CorpusError

PAGE = Path(__file__).resolve().parents[1] / "notebooks/guide/01_thirty_lines.py"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The names that the page defines, trained for a few steps."""
    source = tmp_path_factory.mktemp("page") / "page.py"
    source.write_text(PAGE.read_text().replace('profile: str = "quick"', 'profile: str = "smoke"'))
    return runpy.run_path(str(source))


def test_a_design_takes_at_most_thirty_lines():
    for cell in jupytext.read(PAGE).cells:
        if cell.cell_type == "code":
            code = [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]
            assert len(code) <= 30, code[0]


def test_a_classifier_starts_from_the_autoencoder_or_from_first_weights(page):
    fold, frozen = page["toy"].fold(0), page["Autoencoder"]
    systems = {p: rm.train(page["Finetuned"], page["toy"], budget=page["budget"], options={"pretrained": p})[0]
               for p in (True, False)}  # fmt: skip
    assert isinstance(systems[True].autoencoder, frozen) and systems[False].autoencoder is None
    assert all(not p.requires_grad for p in systems[True].autoencoder.parameters())
    started = systems[True].autoencoder.encode["audio"].weight
    assert not torch.equal(systems[True].encode["audio"].weight, started)  # fine-tuned, and the upstream did not move
    assert not torch.equal(systems[True].predict(fold.test), systems[False].predict(fold.test))


def test_both_parts_of_the_gan_learn_and_the_classifier_leaves_them_alone(page):
    corpus, step = page["voices"], dataclasses.replace(page["budget"], min_steps=1, max_steps=1)
    trained = page["GAN"](corpus.shapes, rm.OwnError())
    first = {name: value.clone() for name, value in trained.state_dict().items()}
    rm.fit(trained, *corpus.fold(0)[:2], budget=step)
    changed = {
        name.partition(".")[0] for name, value in trained.state_dict().items() if not torch.equal(value, first[name])
    }
    assert changed == {"generator", "critic"}
    gan = rm.train(page["Augmented"], corpus, upstream={"gan": trained}, budget=page["budget"])[0].gan
    for name, value in gan.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


def test_two_probes_share_one_sequence_model_and_two_books_of_codes(page):
    assert page["summary"].trained == 5 and not page["summary"].failed
    records = page["ledger"].trainings().values()
    assert sorted(record["recipe"]["system"] for record in records) == ["CodeModel", "Probe", "Probe", "VQVAE", "VQVAE"]
    for label, probe in page["probes"].items():
        assert probe.task.label == label and not page["ledger"].scores(probe.key).empty


def test_region_noise_stays_in_its_region_and_in_some_frames(page):
    test = page["films"].fold(0).test
    observed = rm.corrupt(test, page["hidden"], torch.Generator().manual_seed(0))
    changed = observed.x["visual"] != test.x["visual"]
    assert observed.x["visual"].dtype == torch.uint8 and not changed[..., 6:].any()
    frames = changed.flatten(2).any(2).float().mean()
    assert 0.2 < frames < 0.8


def test_a_split_that_shares_speakers_says_so(page):
    split = page["shared"].split
    assert split.speaker_disjoint is False
    with pytest.raises(CorpusError, match="speaker_disjoint=False"):
        dataclasses.replace(page["shared"], split=dataclasses.replace(split, speaker_disjoint=True, test_to_train=None))


def test_samples_on_disk_train_the_same_system_as_samples_in_memory(page):
    assert page["gap"] < 1e-5
    assert not isinstance(page["on_disk"].fold(0).train, rm.Batch)


def test_a_system_and_a_corpus_of_ones_own_take_forty_lines():
    cells = [cell.source for cell in jupytext.read(PAGE.parents[1] / "nmer/13_add_your_own.py").cells]
    own = [next(c for c in cells if f"\n{start}" in f"\n{c}") for start in ("class GatedVote", "mine = rm.Corpus")]
    assert sum(bool(line.strip()) for source in own for line in source.splitlines()) <= 40
