"""MCWSA: the laws for every fusion and for pictures, shapes of the paper, and what each training moves."""

import dataclasses

import pytest
import torch
from small import SMALL, setting_of
from test_systems import THREE

from robustmer import laws
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.laws import SETTINGS, Setting
from robustmer.nn.fusions import FUSIONS
from robustmer.nn.weightsharing import ConvEncoder, Decoder, TextEncoder
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import MCWSA, MCWSAClassifier, count_parameters
from robustmer.tasks import OwnError
from robustmer.training import fit

AUTOENCODER, CLASSIFIER = SMALL["MCWSA"], SMALL["MCWSAClassifier"]
PICTURE = Setting({"audio": (96,), "visual": (4,)}, 9, options={"bands": {"audio": 32}, "channels": 20, "dropout": 0.0})
QUICK = [law for law in laws.LAWS if law is not laws.one_small_batch_can_be_overfitted]


@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_keeps_the_laws(name):
    """Those that do not train for long; `test_systems` runs all of them with CMHA."""
    for law in QUICK:
        for system, setting in (
            (CLASSIFIER, SETTINGS["two sequences"]),
            (AUTOENCODER, setting_of(AUTOENCODER, "three vectors")),
        ):
            law(system, dataclasses.replace(setting, options={"fusion": name}))


@pytest.mark.parametrize("law", QUICK, ids=lambda law: law.__name__)
def test_pictures_keep_the_laws(law):
    law(AUTOENCODER, dataclasses.replace(PICTURE, task=OwnError()))
    law(CLASSIFIER, dataclasses.replace(PICTURE, options={"bands": {"audio": 32}, "pretrain": False, "channels": 20}))


def test_shapes_are_those_of_the_paper():
    """IV.C: 64 x 128 x 3, 32 x 2048 and 32 x 300 become codes of 32 x 300, and come back."""
    with torch.device("meta"):
        sizes = {"audio": (192, 128, 64), "visual": (2048, 32, 0), "text": (300, 32, 0)}
        for m, (dim, rows, bands) in sizes.items():
            encoder = TextEncoder(dim, 300, 6) if m == "text" else ConvEncoder(dim, rows, 300, 6, bands, 0.5)
            pyramid = torch.empty(2, rows, dim)
            assert encoder(pyramid).shape == (2, 32, 300)
            assert Decoder(dim, rows, 300, bands)(encoder(pyramid)).shape == pyramid.shape


@pytest.mark.parametrize("levels", [1, 4, 16, 64])
def test_a_pyramid_of_any_level_becomes_a_code(levels):
    setting = dataclasses.replace(SETTINGS["two sequences"], options={"levels": {"pulse": levels}, "pretrain": False})
    made = laws.make(CLASSIFIER, setting)
    batch = laws.small_batch(setting)
    pyramids = made.network.pyramids(batch)
    assert pyramids["pulse"].shape[1] == max(32, 2 * levels) and pyramids["text"].shape[1] == 32
    assert made.network(pyramids, batch).shape == (12, 32, 12)


def test_reconstruction_moves_encoders_fusion_and_decoders_and_classification_no_decoder():
    batch = laws.small_batch(THREE)
    budget = Budget(epochs=0, min_steps=2, checks=1)
    autoencoder = laws.make(AUTOENCODER, setting_of(AUTOENCODER, "three vectors"))
    before = {key: p.clone() for key, p in autoencoder.named_parameters()}
    fit(autoencoder, batch, batch, CLEAN, budget)
    moved = {key.split(".")[0] for key, p in autoencoder.named_parameters() if not torch.equal(p, before[key])}
    assert moved == {"network", "decoders"}
    classifier = laws.make(CLASSIFIER, THREE)
    parts = {key.split(".")[0] for key, p in classifier.named_parameters() if p.requires_grad}
    assert parts == {"own", "classifier"}, "decoders stay in the frozen autoencoder"
    start = dict(classifier.autoencoder.network.named_parameters())
    assert all(torch.equal(p, start[key]) for key, p in classifier.own.named_parameters())


def test_without_pre_training_a_classifier_needs_no_autoencoder():
    setting = dataclasses.replace(THREE, options={"pretrain": False})
    assert not CLASSIFIER.starts_from({"pretrain": False}) and CLASSIFIER.starts_from({})
    alone, started = laws.make(CLASSIFIER, setting), laws.make(CLASSIFIER, THREE)
    decoders = count_parameters(started.autoencoder.decoders)
    assert count_parameters(started) == 2 * count_parameters(alone.own) + decoders + count_parameters(alone.classifier)
    with pytest.raises(ValueError, match="give a trained MCWSA, or pretrain=False"):
        MCWSAClassifier({"audio": (3,)}, THREE.task)


def test_with_freeze_the_classifier_alone_learns():
    made = laws.make(CLASSIFIER, dataclasses.replace(THREE, options={"freeze": True}))
    assert {key.split(".")[0] for key, p in made.named_parameters() if p.requires_grad} == {"classifier"}
    laws.a_step_changes_its_own_parameters_and_no_others(
        CLASSIFIER, dataclasses.replace(THREE, options={"freeze": True})
    )


def test_pyramids_are_computed_once_and_anew_where_a_sample_is_not_as_recorded():
    system, batch = laws.make(CLASSIFIER, THREE).train(), laws.small_batch(THREE)
    clean = with_targets(system, batch)
    for name, pyramid in system.network.pyramids(batch).items():
        assert torch.equal(system.read(clean, clean)[name], pyramid)
    again = system.read(clean, corrupt(clean, CLEAN, stream("law")))
    assert again and all(pyramid is clean.targets[name] for name, pyramid in again.items())
    noisy = corrupt(clean, Condition(noise={"audio": NoiseScheduler(snr_db=-10)}), stream("law"))
    gone = corrupt(clean, Condition(seen=("visual", "text")), stream("law"))
    assert not torch.equal(system.read(clean, noisy)["audio"], clean.targets["audio"])
    assert not system.read(clean, gone)["audio"].any()


def test_the_error_is_over_the_samples_that_have_a_modality():
    system = laws.make(AUTOENCODER, setting_of(AUTOENCODER, "three vectors")).eval()
    batch = laws.small_batch(THREE)
    half = torch.arange(12) < 6
    partly = batch.replace(present=batch.present | {"audio": half})
    with torch.no_grad():
        errors = (system(partly)["audio"] - system.targets(batch)["audio"]).square().mean((1, 2))
        torch.testing.assert_close(system.loss(partly, partly)["audio"], errors[half].mean())


@pytest.mark.parametrize(("options", "said"), [
    ({"bands": {"audio": 64}}, "bands=64 needs 192 features.*the modality has 3 features"),
    ({"bands": {"face": 64}}, "bands were given for 'face'; the modalities are audio, visual, text"),
    ({"levels": {"text": 64}}, "a pyramid of 128 rows was given for text"), ({"levels": {"audio": 6}}, "a power of two"),
    ({"levels": {"audio": 128}}, "256 rows was given; 2 blocks make 32 rows of 128 at most"),
    ({"heads": 7}, "7 heads were given for a width of 300"), ({"fusion": "sum"}, "choose from concat"),
])  # fmt: skip
def test_what_cannot_be_built_is_named(options, said):
    with torch.device("meta"), pytest.raises(ValueError, match=said):
        MCWSA(THREE.shapes, OwnError(), **options)
