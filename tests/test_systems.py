"""Every system keeps every law in every setting; sizes are those that the papers imply; known designs agree."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from small import SMALL, UNLABELLED, setting_of
from torch import nn

from robustmer import laws, training
from robustmer.batch import MODALITIES, collate
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt, drop, parts_of
from robustmer.evaluation import Diverged, evaluate
from robustmer.laws import SETTINGS, Setting
from robustmer.metrics import REGRESSION, mse
from robustmer.nn.attention import TransformerEncoder
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import Encoders
from robustmer.nn.gaussians import central_moment_discrepancy, kl_to_standard, sample
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import (
    IFMMIN,
    MEN,
    MMIN,
    NMER,
    SYSTEMS,
    AugmentedSER,
    Generator,
    LogReg,
    Majority,
    System,
    count_parameters,
)
from robustmer.tasks import Classify, Reconstruct, Regress
from robustmer.training import fit, seeded, train

FOUR = Classify("emotion", ("happy", "angry", "sad", "neutral"))
IEMOCAP = Setting({"audio": (130,), "visual": (342,), "text": (1024,)}, task=FOUR)
THREE, SEQUENCES = SETTINGS["three vectors"], SETTINGS["three sequences"]
ONE_STEP = Budget(epochs=0, min_steps=1, checks=1)


class ByModality(NMER):
    """NMER with one token a modality, so that the option keeps the laws too."""

    def __init__(self, shapes, task, teacher, tokens="modality", width=128, dropout=0.5):
        super().__init__(shapes, task, teacher, tokens=tokens, width=width, dropout=dropout)


ALL = {**SMALL, "NMER, a token a modality": ByModality}
NEEDS_FEATURES = (laws.an_absent_modality_gets_no_gradient, laws.one_small_batch_can_be_overfitted)
"""Laws of systems that read features; Majority reads none."""
LEARNS_NO_CLASSES = {name for name, system in ALL.items() if issubclass(system, Generator)}
"""Systems whose own prediction does not learn."""

READ_ONE_MODALITY = ("DSAE",)
"""Systems that learn from no other modality."""


def keeps(name, law):
    if name in READ_ONE_MODALITY:
        return law is not laws.an_absent_modality_gets_no_gradient
    if name in LEARNS_NO_CLASSES:
        return law is not laws.one_small_batch_can_be_overfitted
    return name != "Majority" or law not in NEEDS_FEATURES


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize(
    ("name", "law"),
    [(name, law) for name in ALL for law in laws.LAWS if keeps(name, law)],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_law(name, law, setting):
    law(ALL[name], setting_of(ALL[name], setting))


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", [n for n in ALL if not issubclass(ALL[n], (*UNLABELLED, Generator, AugmentedSER))])
def test_a_number_can_be_the_label(name, setting):
    """One output; the weights with the least absolute error are kept, or the last ones where none are selected."""
    setting = dataclasses.replace(SETTINGS[setting], task=Regress("label"))
    made, batch = laws.make(ALL[name], setting), laws.small_batch(setting)
    history = fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=4, checks=2), seed="law").frame
    output = made.predict(batch)
    assert output.shape == (len(batch), 1)
    error, errors = float((output[:, 0] - batch.labels["label"]).abs().mean()), history["valid_mae"]
    assert error == pytest.approx(errors.min() if made.selects else errors.iloc[-1], abs=1e-5)
    assert {*evaluate(made, batch, [CLEAN])["metric"]} == {*REGRESSION}


class Autoencoder(System):
    """Pictures, frame by frame; its output is one tensor a modality."""

    def __init__(self, shapes, task, width=16):
        super().__init__()
        self.layers = nn.ModuleDict()
        for m, shape in shapes.items():
            size = int(np.prod(shape))
            self.layers[m] = nn.Sequential(nn.Flatten(2), nn.Linear(size, width), nn.Linear(width, size),
                                           nn.Unflatten(2, shape))  # fmt: skip

    def forward(self, observed):
        return {m: layers(observed.frames(m)[0]) for m, layers in self.layers.items()}


def test_a_system_of_pictures_that_returns_a_tensor_a_modality_keeps_the_laws():
    pictures = Setting({"face": (1, 4, 5), "audio": (3,)}, 6, Reconstruct())
    assert laws.check(Autoencoder, {"pictures": pictures}) == {"task"}, "the target is the clean batch"


def broken(change):
    class Broken(LogReg):
        pass

    change(Broken)
    return Broken


def reads_neighbours(cls):
    cls.forward = lambda self, observed: (out := LogReg.forward(self, observed)) - out.mean(0)


def reads_labels(cls):
    cls.forward = lambda self, observed: LogReg.forward(self, observed) + len(observed.labels)


def reads_absent_values(cls):
    cls.forward = lambda self, observed: LogReg.forward(self, observed) + observed.x["audio"].sum((1, 2))[:, None]


def forgets_to_learn(cls):
    cls.own_parameters = lambda self: [self.linear.bias]


def draws_in_evaluation(cls):
    cls.forward = lambda self, observed: LogReg.forward(self, observed) + torch.rand(1)


@pytest.mark.parametrize(("change", "law"), [
    (reads_neighbours, "a sample does not see its neighbours"), (reads_labels, "does not see the label"),
    (reads_absent_values, "an absent modality changes no output"), (draws_in_evaluation, "neighbours|deterministic"),
    (forgets_to_learn, "can be overfitted"),
], ids=lambda part: getattr(part, "__name__", ""))  # fmt: skip
def test_a_broken_law_is_named(change, law):
    settings = {"two": Setting({"audio": (3,), "pulse": (2,)}, 4)}
    with pytest.raises(AssertionError, match=f"breaks the law .*{law}.* on two"):
        laws.check(broken(change), settings)


def test_the_median_is_predicted_for_numbers_without_features():
    setting = Setting({"audio": (2,)}, task=Regress("label"))
    batch = laws.small_batch(setting, samples=9)
    batch = batch.replace(labels={"label": torch.tensor([0.0, 0, 1, 1, 2, 2.0, 9, 9, 9])})
    system = laws.make(Majority, setting)
    fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=800, batch_size=9, checks=1))
    assert float(system.predict(batch)[0]) == pytest.approx(2, abs=0.02)


def test_sizes_are_those_of_the_authors_code():
    """Without the frozen teachers, which their counts leave out too."""
    assert count_parameters(laws.make(MEN, IEMOCAP)) == 2_063_620
    mmin, if_mmin = laws.make(MMIN, IEMOCAP), laws.make(IFMMIN, IEMOCAP)
    assert sum(p.numel() for p in mmin.own_parameters()) == 5_444_228
    assert sum(p.numel() for p in if_mmin.own_parameters()) == 3_782_852
    assert count_parameters(mmin.teacher) == 2_063_620 and count_parameters(if_mmin.teacher) == 2_145_796


def test_nmer_has_the_widths_of_section_3_3():
    system = laws.make(NMER, IEMOCAP)
    assert system.transformer.layers[0]["norm1"].normalized_shape == (768,)
    assert len(system.transformer.layers) == 5 and system.transformer.layers[0]["attention"].heads == 16
    assert [layer.out_features for layer in system.decoder if isinstance(layer, nn.Linear)] == [128, 256, 384]
    assert [layer.out_features for layer in system.classifier if isinstance(layer, nn.Linear)] == [384, 128, 4]
    assert count_parameters(system.transformer) == 12_814_720  # the size of the released code's transformer
    assert count_parameters(system.encoders.shared) == 33_024
    two = laws.make(NMER, Setting({"audio": (130,), "visual": (342,)}, task=FOUR))
    assert count_parameters(two.transformer) < 12_814_720


@pytest.mark.parametrize("tokens", [1, 4])
def test_our_transformer_is_torchs(tokens):
    torch.manual_seed(0)
    ours = TransformerEncoder(24, heads=4, layers=2, hidden=10, dropout=0.0)
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(24, 4, 10, 0.0, batch_first=True), 2)
    for mine, other in zip(ours.layers, theirs.layers, strict=True):
        attention = mine["attention"]
        with torch.no_grad():
            other.self_attn.in_proj_weight.copy_(torch.cat([attention.query_key.weight, attention.value.weight]))
            other.self_attn.in_proj_bias.copy_(torch.cat([attention.query_key.bias, attention.value.bias]))
            other.self_attn.out_proj.load_state_dict(attention.out.state_dict())
            other.linear1.load_state_dict(mine["feedforward"][0].state_dict())
            other.linear2.load_state_dict(mine["feedforward"][3].state_dict())
    x = torch.randn(3, tokens, 24)
    torch.testing.assert_close(ours.train()(x), theirs.train()(x))


def test_kl_agrees_with_torch():
    mu, logvar = torch.randn(5, 7), torch.randn(5, 7)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mu, (0.5 * logvar).exp()), normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard(mu, logvar), theirs)


def test_samples_have_the_posteriors_moments():
    torch.manual_seed(0)
    z = sample(torch.full((200_000, 1), 2.0), torch.full((200_000, 1), np.log(9.0)))
    assert abs(float(z.mean()) - 2) < 0.05 and abs(float(z.std()) - 3) < 0.05


def test_central_moments_are_zero_for_equal_samples_and_see_a_shift():
    torch.manual_seed(0)
    x = torch.randn(500, 3)
    assert float(central_moment_discrepancy(x, x.flip(0))) < 1e-5
    torch.testing.assert_close(
        central_moment_discrepancy(x, x + torch.tensor([3.0, 4.0, 0.0])), torch.tensor(5.0), atol=1e-3, rtol=0
    )


def test_a_sentence_of_one_token_is_enough_for_the_text_encoder():
    encoders = Encoders({"text": 6}).eval()
    assert torch.isfinite(encoders(laws.small_batch(Setting({"text": (6,)}), samples=3))).all()


def test_logistic_regression_is_scikit_learns():
    setting = Setting({"audio": (4,), "visual": (3,)})
    batch = laws.small_batch(setting, samples=60)
    system = laws.make(LogReg, setting, l2=0.05)
    fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=4000, batch_size=60, checks=1))
    x = torch.cat([batch.x["audio"][:, 0], batch.x["visual"][:, 0]], dim=1).numpy()
    theirs = LogisticRegression(C=1 / (60 * 0.05), max_iter=2000, tol=1e-8).fit(x, batch.labels["label"].numpy())
    np.testing.assert_allclose(system.predict(batch).softmax(1).numpy(), theirs.predict_proba(x), atol=2e-3)


def test_nmers_latent_is_its_mean_in_evaluation_and_a_sample_in_training():
    system, batch = laws.make(NMER, SEQUENCES), laws.small_batch(SEQUENCES)
    out = system.eval().joint(batch)
    assert torch.equal(out.z, out.mu)
    out = system.train().joint(batch)
    assert not torch.equal(out.z, out.mu)


TARGETS = {"MCTN": ("translate", "cycle"), "MMIN": ("imagine",), "IFMMIN": ("imagine", "inv"),
           "NMER": ("mse", "inv"), "NMERWithoutVAE": ("inv",), "Completion": ("diffusion",)}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("setting", SETTINGS)
def test_targets_are_clean_and_inputs_are_not(name, setting):
    """In training, other clean samples behind the same observed ones change the terms that have a target, and no
    other."""
    setting = setting_of(SMALL[name], setting)
    autoencoder = name in ("MCWSA", "MDVAE", "JointMVAE")  # it has one a modality
    targets = setting.shapes if autoencoder else TARGETS.get(name, ())
    targets = [*setting.shapes][:1] if name == "DSAE" else targets
    assert laws.terms_that_read_clean(SMALL[name], setting) == set(targets)


def test_the_cascade_adds_up_and_is_guided():
    """Every block reads the sum of the input, of earlier outputs, and the guide."""
    with seeded("cascade"):
        cascade = CascadeAutoencoder(6, blocks=3, sizes=(5, 4, 2))
    x, guide = torch.randn(2, 7, 6, generator=stream("cascade"))
    for given in (0.0, guide):
        total, latents = x, []
        for encode, decode in zip(cascade.encode, cascade.decode, strict=True):
            latents.append(encode(total + given))
            total = total + decode(latents[-1])
        out, latent = cascade(x, given)
        torch.testing.assert_close(out, cascade.out(total))
        torch.testing.assert_close(latent, torch.cat(latents, dim=1))
    assert not torch.allclose(cascade(x)[1], cascade(x, guide)[1])


def test_if_mmin_is_guided_by_its_invariant_features():
    made, batch = laws.make(IFMMIN, THREE).eval(), laws.small_batch(THREE)
    specific, invariant = made.encoders.flat(batch)
    torch.testing.assert_close(made(batch), made.classifier(made.imagine(specific, invariant)[1]))
    assert not torch.allclose(made(batch), made.classifier(made.imagine(specific)[1]))


def test_the_default_loss_reconstructs_the_clean_frames():
    """Also in validation: a system that returns what it observes is wrong by the noise."""

    class Copy(System):
        def __init__(self, shapes, task):
            super().__init__()
            self.gain = torch.nn.Parameter(torch.ones(()))

        def forward(self, observed):
            return {m: self.gain * observed.frames(m)[0] for m in self.shapes}

    setting = dataclasses.replace(SETTINGS["two sequences"], task=Reconstruct())
    made, batch = laws.make(Copy, setting), laws.small_batch(setting)
    noisy = Condition(noise={m: NoiseScheduler(snr_db=0, tolerance_db=None) for m in setting.shapes})
    observed = corrupt(batch, noisy, stream("copy"))
    errors = [mse(batch.x[m], batch.mask[m], observed.x[m]).mean() for m in setting.shapes]
    torch.testing.assert_close(made.loss(batch, observed)["task"], torch.stack(errors).mean())
    assert float(made.loss(batch, batch)["task"]) == 0 < evaluate(made, batch, [noisy])["value"].min()


def test_nmers_targets_come_from_clean_data_and_the_frozen_teacher():
    system, batch = laws.make(NMER, SEQUENCES).train(), laws.small_batch(SEQUENCES)
    observed = corrupt(batch, Condition(noise={"audio": NoiseScheduler(snr_db=-10)}), stream("test"))
    clean = with_targets(system, batch)
    assert system.training and not system.teacher.training  # so its dropout is off in training
    expected = system.teacher.features(batch)
    assert all(torch.allclose(clean.targets[name], expected[name], atol=1e-6) for name in ("specific", "invariant"))
    system.loss(clean, observed)["mse"].backward()
    assert all(p.grad is None for p in system.teacher.parameters())


@pytest.mark.parametrize("name", ["MMIN", "IFMMIN", "NMER", "NMERWithoutVAE"])
def test_a_student_starts_from_its_teachers_encoders(name):
    made = laws.make(SYSTEMS[name], THREE)
    own, taught = made.encoders.state_dict(), made.teacher.encoders.state_dict()
    assert all(torch.equal(own[key], taught[key]) for key in taught)
    small = laws.make(SYSTEMS[name], THREE, width=16).teacher
    with pytest.raises(
        ValueError, match=f"{name} cannot start from .*audio.lstm.* is .64, 3. instead of .*give both the same shapes"
    ):
        SYSTEMS[name](THREE.shapes, THREE.task, small)
    assert laws.make(SYSTEMS[name], THREE, width=16, dropout=0.0).teacher.settings["dropout"] == 0.0


def test_nmers_kl_and_squared_error_are_divided_by_the_same_number():
    """Equations 6 and 7, summed over all samples and elements, both over samples times the width of C; weights 1, 10,
    1."""
    system, batch = laws.make(NMER, THREE).eval(), laws.small_batch(THREE)
    batch = with_targets(system, batch)
    out, losses = system.joint(batch), system.loss(batch, batch)
    c, invariant = batch.targets["specific"], batch.targets["invariant"]
    n = len(batch) * 3 * 128
    torch.testing.assert_close(losses["kl"], kl_to_standard(out.mu, out.logvar).sum() / n)
    torch.testing.assert_close(losses["mse"], (out.c - c).square().sum() / n)
    torch.testing.assert_close(losses["inv"], 10 * (out.invariant - invariant).square().sum() / n)
    torch.testing.assert_close(losses["task"], nn.functional.cross_entropy(out.logits, batch.labels["label"]))


def test_an_unknown_reading_and_a_width_that_heads_do_not_divide_are_named():
    with pytest.raises(ValueError, match='tokens=.*"one".*"modality"'):
        laws.make(NMER, THREE, tokens="two")
    with pytest.raises(ValueError, match="7 heads .* 768"):
        laws.make(NMER, THREE, heads=7)


def test_a_loss_that_is_not_finite_stops_the_training_and_names_the_step():
    setting = Setting({"audio": (3,), "visual": (2,)}, 2)
    batch = laws.small_batch(setting)
    batch = batch.replace(x=batch.x | {"audio": batch.x["audio"] * torch.inf})
    with pytest.raises(Diverged, match="MEN, phase 'classify'.*not finite at step 1"):
        fit(laws.make(MEN, setting), batch, batch, CLEAN, ONE_STEP)


def splits_of(batch):
    """A corpus of one fold, as `train` reads it."""
    fold = SimpleNamespace(train=batch[:20], valid=batch[20:30], test=batch[30:])
    return SimpleNamespace(labels={"label": THREE.task.classes}, fold=lambda i: fold)


def test_the_test_split_leaves_no_trace_in_a_training():
    """Other test samples, the same weights."""
    plain, states = laws.small_batch(THREE, samples=40), []
    changed = plain.replace(
        x={m: x.clone() for m, x in plain.x.items()}, labels={"label": plain.labels["label"].clone()}
    )
    for x in changed.x.values():
        x[30:] *= 7
    changed.labels["label"][30:] = 0
    for batch in (plain, changed):
        states.append(train(NMER, splits_of(batch), budget=Budget(epochs=1, max_steps=2, checks=1))[0].state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_given_upstream_system_is_used_and_does_not_move():
    corpus, budget = splits_of(laws.small_batch(THREE, samples=40)), Budget(epochs=1, max_steps=2, checks=1)
    first, _ = train(NMER, corpus, budget=budget)
    before = {name: tensor.clone() for name, tensor in first.teacher.state_dict().items()}
    again, _ = train(NMER, corpus, budget=budget, upstream={"teacher": first.teacher})
    assert all(torch.equal(again.state_dict()[name], tensor) for name, tensor in first.state_dict().items())
    assert all(torch.equal(again.teacher.state_dict()[name], tensor) for name, tensor in before.items())


def test_a_modality_without_any_frame_leaves_gradients_finite():
    batch, lacks = laws.small_batch(SEQUENCES), torch.arange(12) < 4
    mask = batch.mask | {m: batch.mask[m] & ~lacks[:, None] for m in ("audio", "text")}
    x = batch.x | {m: batch.x[m] * mask[m][..., None] for m in ("audio", "text")}
    batch = batch.replace(x=x, mask=mask, present=batch.present | {m: ~lacks for m in ("audio", "text")})
    for name in ALL:
        system = laws.make(ALL[name], setting_of(ALL[name], "three sequences"))
        clean = with_targets(system, batch)
        for objective in system.objectives().values():
            torch.stack(list(objective.loss(clean, clean).values())).sum().backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in system.parameters()), name


def test_the_token_of_an_absent_modality_is_not_attended_to():
    """With a modality absent, its token's own vector does not matter."""
    system, batch = laws.make(ByModality, SEQUENCES).eval(), laws.small_batch(SEQUENCES)
    observed = corrupt(batch, Condition(seen=("audio", "text")), stream("token"))
    before = system(observed)
    with torch.no_grad():
        system.which[1] += 10.0
    assert torch.equal(before, system(observed)) and not torch.equal(system(batch), before)


def test_samples_of_other_modalities_or_shapes_than_the_systems_are_named():
    batch = laws.small_batch(Setting({"audio": (2,), "text": (3,)}, 2))
    system = laws.make(MEN, Setting({"audio": (2,), "text": (4,)}))
    said = r"'text': \(3,\)}, but MEN was made for {'audio': \(2,\), 'text': \(4,\)}"
    with pytest.raises(ValueError, match=said):
        fit(system, batch, batch, CLEAN)
    for use in (lambda: evaluate(system, batch, [CLEAN]), lambda: system.predict(batch)):
        with pytest.raises(ValueError, match=said):
            use()


@pytest.mark.parametrize(("shapes", "said"), [
    ({}, "was asked for the shapes {}; give the shape of a frame"), ({"audio": (0,)}, "whole numbers from 1 up"),
    ({"face 2": (5,)}, "'face 2' was given"), ({"audio": (3, 8, 8)}, "flatten the frames"),
    ({"type": (5,)}, "'type' .*another name"),
])  # fmt: skip
def test_a_system_is_made_for_possible_shapes(shapes, said):
    for system in (MEN, LogReg, SMALL["MulT"]):
        with pytest.raises(ValueError, match=said):
            system(shapes, FOUR)


def test_an_output_that_is_not_finite_is_not_scored():
    setting = Setting({"audio": (2,)})
    batch = laws.small_batch(setting)
    x = batch.x["audio"].clone()
    x[3] = torch.nan
    with pytest.raises(Diverged, match="no finite output for sample 'laws/3' of laws"):
        evaluate(laws.make(MEN, setting), batch.replace(x={"audio": x}), [CLEAN])


def test_labels_that_do_not_fit_the_task_are_named():
    setting = Setting({"audio": (2,)})
    batch = laws.small_batch(setting)
    two = laws.make(MEN, dataclasses.replace(setting, task=Classify("label", ("no", "yes"))))
    with pytest.raises(ValueError, match="'label' runs from 0 to 2, but the task has 2 classes"):
        fit(two, batch, batch, CLEAN)
    numbers = laws.make(MEN, dataclasses.replace(setting, task=Regress("label")))
    with pytest.raises(ValueError, match="holds classes, not numbers; use Classify"):
        fit(numbers, batch, batch, CLEAN)
    with pytest.raises(ValueError, match="has no label 'arousal'; it has label"):
        fit(laws.make(MEN, dataclasses.replace(setting, task=Regress("arousal"))), batch, batch, CLEAN)


@pytest.mark.parametrize("wrong", [{"checks": 0}, {"batch_size": 0}, {"max_steps": 0}, {"epochs": -3}, {"epochs": 0},
                                   {"min_steps": 9, "max_steps": 5}])  # fmt: skip
def test_an_impossible_budget_is_refused(wrong):
    with pytest.raises(ValueError, match="Budget"):
        Budget(**wrong)


def test_validation_computes_a_condition_once_and_weighs_it_by_its_probability(monkeypatch):
    batch, mixture = laws.small_batch(THREE), drop(MODALITIES, 0.4)
    system, computed, judged = laws.make(LogReg, THREE), [], training.judged
    nn.init.normal_(system.linear.weight, generator=stream("weights"))
    monkeypatch.setattr(training, "judged", lambda *args: (computed.append(args), judged(*args))[1])
    together = training.validate(system, batch, parts_of(mixture))
    assert len(mixture) == len(computed) == 7
    apart = [training.validate(system, batch, {condition: 1}) for condition in mixture]
    expected = [sum(p * values[i] for p, values in zip(mixture.values(), apart, strict=True)) for i in (0, 1)]
    assert together == pytest.approx(tuple(expected))


def test_a_mixture_that_is_empty_is_refused():
    setting = Setting({"audio": (2,)})
    batch = laws.small_batch(setting)
    with pytest.raises(ValueError, match="0 conditions sum to 0; they must sum to 1"):
        fit(laws.make(MEN, setting), batch, batch, {})


def test_a_sample_without_any_modality_has_a_finite_output():
    sequences = {"audio": [np.ones((2, 3)), None], "text": [np.ones((1, 4)), None]}
    batch = collate(sequences, {"label": [0, 1]}, name="empty").replace(variance={"audio": 1.0, "text": 1.0})
    setting = Setting({"audio": (3,), "text": (4,)})
    for name, system in ALL.items():
        made = laws.make(system, setting if not issubclass(system, UNLABELLED) else setting_of(system, "two vectors"))
        if not issubclass(system, UNLABELLED):
            assert torch.isfinite(made.predict(batch)).all(), name
