"""Every system keeps every law on every shape; sizes are those that the papers imply; known designs agree."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from small import SMALL
from torch import nn

from robustmer import grid, laws
from robustmer import train as training
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, Condition, corrupt, incomplete, missing_modes
from robustmer.corpora import load
from robustmer.evaluate import evaluate
from robustmer.nn.attention import TransformerEncoder
from robustmer.nn.autoencoder import CascadeAutoencoder
from robustmer.nn.encoders import Encoders
from robustmer.nn.gaussians import central_moment_discrepancy, kl_to_standard, sample
from robustmer.nn.task import task_loss
from robustmer.noise import NoiseScheduler, stream
from robustmer.recipe import Recipe
from robustmer.systems import IFMMIN, MEN, MMIN, NMER, SYSTEMS, LogReg, count_parameters, load_system
from robustmer.systems.system import with_targets
from robustmer.train import Budget, Diverged, fit, seeded

IEMOCAP = {"audio": 130, "visual": 342, "text": 1024}
FOUR = ("happy", "angry", "sad", "neutral")


class ByModality(NMER):
    """NMER with one token a modality, so that the option keeps the laws too."""

    def __init__(self, dims, classes, tokens="modality"):
        super().__init__(dims, classes, tokens=tokens)


ALL = {**SMALL, "NMER, a token a modality": ByModality}


NEEDS_FEATURES = (laws.an_absent_modality_teaches_nothing, laws.one_small_batch_can_be_learnt_by_heart)
"""Laws of systems that read something; Majority reads nothing."""


@pytest.mark.parametrize("shape", laws.SHAPES)
@pytest.mark.parametrize(
    ("name", "law"),
    [(n, law) for n in ALL for law in laws.LAWS if n != "Majority" or law not in NEEDS_FEATURES],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_law(name, law, shape):
    law(ALL[name], *laws.SHAPES[shape])


@pytest.mark.parametrize("shape", laws.SHAPES)
@pytest.mark.parametrize("name", ALL)
def test_a_number_can_be_the_label(name, shape):
    laws.numbers_are_learnt_like_classes(ALL[name], *laws.SHAPES[shape])


def test_the_loss_of_the_task_is_decided_by_the_label():
    logits, draw = torch.randn(5, 3, generator=stream("task")), stream("label")
    label, number = torch.randint(3, (5,), generator=draw), torch.randn(5, generator=draw)
    assert torch.equal(task_loss(logits, label), nn.functional.cross_entropy(logits, label))
    torch.testing.assert_close(task_loss(logits[:, :1], number), (logits[:, 0] - number).abs().mean())
    with pytest.raises(ValueError, match="3 outputs; make it with classes="):
        task_loss(logits, number)


def test_a_system_for_classes_is_not_given_numbers_nor_the_other_way_round():
    batch = laws.small_batch({"audio": 2}, 1)
    numbers = batch.replace(label=batch.label.float())
    with pytest.raises(ValueError, match="float32 labels, but MEN was made for 3 classes"):
        next(fit(MEN({"audio": 2}, laws.CLASSES), numbers, numbers, CLEAN))
    with pytest.raises(ValueError, match="int64 labels, but MEN was made for a regression"):
        next(fit(MEN({"audio": 2}, ()), batch, batch, CLEAN))


def test_a_constant_answer_to_numbers_is_their_median():
    batch = laws.small_batch({"audio": 2}, 1, rows=9).replace(label=torch.tensor([0.0, 0, 1, 1, 2, 2.0, 9, 9, 9]))
    system = SYSTEMS["Majority"]({"audio": 2}, ())
    list(fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=800, batch_size=9, checks=1)))
    assert float(system.predict(batch)[0]) == pytest.approx(2, abs=0.02)


def test_men_has_the_size_of_mmins_code():
    assert count_parameters(MEN(IEMOCAP, FOUR)) == 2_063_620


def test_mmin_and_if_mmin_have_the_sizes_of_their_authors_code():
    """Without the frozen teacher, which their counts leave out too."""
    own = lambda system: count_parameters(system) - count_parameters(system.teacher)  # noqa: E731
    assert own(MMIN(IEMOCAP, FOUR)) == 5_444_228
    assert own(IFMMIN(IEMOCAP, FOUR)) == 3_782_852
    assert count_parameters(IFMMIN(IEMOCAP, FOUR).teacher) == 2_145_796


def test_nmer_has_the_widths_of_section_3_3():
    system = NMER(IEMOCAP, FOUR)
    assert system.transformer.layers[0]["norm1"].normalized_shape == (768,)
    assert len(system.transformer.layers) == 5 and system.transformer.layers[0]["attention"].heads == 16
    assert [layer.out_features for layer in system.decoder if isinstance(layer, nn.Linear)] == [128, 256, 384]
    assert [layer.out_features for layer in system.classifier if isinstance(layer, nn.Linear)] == [384, 128, 4]
    assert count_parameters(system.transformer) == 12_814_720  # the size of the released code's transformer
    assert count_parameters(system.encoders.shared) == 33_024
    assert count_parameters(NMER({"audio": 130, "visual": 342}, FOUR).transformer) < 12_814_720


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
    batch = laws.small_batch({"text": 6}, longest=1, rows=3)
    assert torch.isfinite(encoders(batch)).all()


def test_logistic_regression_is_scikit_learns():
    batch = laws.small_batch({"audio": 4, "visual": 3}, longest=1, rows=60)
    system = LogReg(batch.dims, laws.CLASSES, l2=0.05)
    list(fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=4000, batch_size=60, checks=1)))
    x = torch.cat([batch.x["audio"][:, 0], batch.x["visual"][:, 0]], dim=1).numpy()
    theirs = LogisticRegression(C=1 / (60 * 0.05), max_iter=2000, tol=1e-8).fit(x, batch.label.numpy())
    ours = system.predict(batch).softmax(1).numpy()
    np.testing.assert_allclose(ours, theirs.predict_proba(x), atol=2e-3)


def test_nmers_latent_is_its_mean_at_test_and_a_sample_in_training():
    dims, longest = laws.SHAPES["three sequences"]
    system, batch = laws.make(NMER, dims), laws.small_batch(dims, longest)
    out = system.eval().joint(batch)
    assert torch.equal(out.z, out.mu)
    out = system.train().joint(batch)
    assert not torch.equal(out.z, out.mu)


TARGETS = {"MCTN": ("translate", "cycle"), "MMIN": ("imagine",), "IFMMIN": ("imagine", "inv"),
           "NMER": ("mse", "inv"), "NMERWithoutVAE": ("inv",)}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("shape", laws.SHAPES)
def test_what_a_system_should_reach_is_clean_and_what_it_reads_is_not(name, shape):
    """In training, other clean rows behind the same seen ones change the terms that have a target, and no other."""
    assert laws.terms_that_read_clean(SMALL[name], *laws.SHAPES[shape]) == set(TARGETS.get(name, ()))


def test_the_cascade_adds_up_and_is_guided():
    """Each block reads the sum of the input and of what earlier blocks put out, and the guide."""
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
    dims, longest = laws.SHAPES["three vectors"]
    made, batch = laws.make(IFMMIN, dims).eval(), laws.small_batch(dims, longest)
    specific, invariant = made.features(batch)
    torch.testing.assert_close(made(batch), made.classifier(made.imagine(specific, invariant)[1]))
    assert not torch.allclose(made(batch), made.classifier(made.imagine(specific)[1]))


def test_nmers_targets_come_from_clean_data_and_the_frozen_teacher():
    dims, longest = laws.SHAPES["three sequences"]
    system, batch = laws.make(NMER, dims), laws.small_batch(dims, longest)
    seen = corrupt(batch, Condition(noise={"audio": NoiseScheduler(snr_db=-10)}), stream("test"))
    stage = list(system.stages())[-1]
    asked = with_targets(system.train(), stage, batch)  # without dropout
    assert system.teacher.training
    expected = system.eval().teacher.targets(batch)
    assert all(torch.allclose(asked.targets[name], expected[name], atol=1e-6) for name in ("specific", "invariant"))
    system.train().joint_loss(asked, seen)["mse"].backward()
    assert all(p.grad is None for p in system.teacher.parameters())


def test_nmers_kl_and_squared_error_are_divided_by_the_same_number():
    """Equations 6 and 7, summed over all rows and elements, both over rows times the width of C; weights 1, 10, 1."""
    dims, longest = laws.SHAPES["three vectors"]
    system, batch = laws.make(NMER, dims).eval(), laws.small_batch(dims, longest)
    batch = with_targets(system, list(system.stages())[-1], batch)
    out, losses = system.joint(batch), system.joint_loss(batch, batch)
    c, invariant = batch.targets["specific"], batch.targets["invariant"]
    n = len(batch) * 3 * 128
    torch.testing.assert_close(losses["kl"], kl_to_standard(out.mu, out.logvar).sum() / n)
    torch.testing.assert_close(losses["mse"], (out.c - c).square().sum() / n)
    torch.testing.assert_close(losses["inv"], 10 * (out.invariant - invariant).square().sum() / n)
    torch.testing.assert_close(losses["cls"], nn.functional.cross_entropy(out.logits, batch.label))


def test_an_unknown_reading_and_a_width_that_heads_do_not_divide_are_named():
    with pytest.raises(ValueError, match='tokens=.*"one".*"modality"'):
        NMER(IEMOCAP, FOUR, tokens="two")
    with pytest.raises(ValueError, match="7 heads .* 768"):
        NMER(IEMOCAP, FOUR, heads=7)


def test_a_damaged_or_foreign_file_is_not_loaded(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(ValueError, match="not a saved system"):
        load_system(tmp_path / "x.safetensors")
    MEN({"audio": 2}, FOUR).save(tmp_path / "men.safetensors")
    with pytest.raises(ValueError, match="holds a MEN; the known systems are NMER"):
        load_system(tmp_path / "men.safetensors", {"NMER": NMER})
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "men.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a saved system"):
        load_system(tmp_path / "half.safetensors")


def test_a_loss_that_is_not_finite_stops_the_training_and_says_where():
    batch = laws.small_batch({"audio": 3, "visual": 2}, longest=2)
    batch = batch.replace(x=batch.x | {"audio": batch.x["audio"] * torch.inf})
    with pytest.raises(Diverged, match="MEN, stage 'classify'.*not finite at step 1"):
        list(fit(MEN(batch.dims, laws.CLASSES), batch, batch, CLEAN, Budget(epochs=0, min_steps=1, checks=1)))


def test_the_test_part_leaves_no_trace_in_a_training(monkeypatch):
    """Other test rows, the same weights: of any two corpora that differ in their test parts only."""
    states = []
    keep = lambda system, test, conditions: states.append(system.state_dict()) or []  # noqa: E731
    plain = load("synthetic", size="smoke", pooled=True)
    changed = plain.rows.replace(x={m: x.clone() for m, x in plain.rows.x.items()}, label=plain.rows.label.clone())
    for x in changed.x.values():
        x[plain.folds[0][2]] *= 7
    changed.label[plain.folds[0][2]] = 0
    recipe = Recipe(NMER, "synthetic", (CLEAN,), (CLEAN,), budget=Budget(epochs=1, max_steps=2, checks=1))
    for corpus in (plain, replace(plain, rows=changed)):
        monkeypatch.setattr(grid, "load", lambda *_, corpus=corpus, **__: corpus)
        grid.run_recipe(recipe, "nmer", "smoke", "cpu", "none", judge=keep)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_absent_modality_without_any_frame_leaves_gradients_finite():
    batch = laws.small_batch(*laws.SHAPES["three sequences"])
    gone = torch.arange(len(batch)) < 4
    real = batch.real | {m: batch.real[m] & ~gone[:, None] for m in ("audio", "text")}
    x = batch.x | {m: batch.x[m] * real[m][..., None] for m in ("audio", "text")}
    batch = batch.replace(x=x, real=real, present=batch.present | {m: ~gone for m in ("audio", "text")})
    for name in ALL:
        system = laws.make(ALL[name], batch.dims)
        for stage in system.stages():
            told = with_targets(system, stage, batch)
            for objective in stage.objectives.values():
                torch.stack(list(objective.loss(told, told).values())).sum().backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in system.parameters()), name


def test_an_absent_modalitys_token_is_attended_by_none():
    """With a modality absent, its token's own vector does not matter."""
    dims, longest = laws.SHAPES["three sequences"]
    system, batch = laws.make(ByModality, dims).eval(), laws.small_batch(dims, longest)
    seen = corrupt(batch, Condition(seen=("audio", "text")), stream("token"))
    before = system(seen)
    with torch.no_grad():
        system.which[1] += 10.0
    assert torch.equal(before, system(seen)) and not torch.equal(system(batch), before)


def test_rows_of_other_modalities_or_widths_than_the_systems_are_named():
    batch, system = laws.small_batch({"audio": 2, "text": 3}, 2), laws.make(MEN, {"audio": 2, "text": 4})
    with pytest.raises(ValueError, match="'text': 3}, but MEN was made for {'audio': 2, 'text': 4}"):
        next(fit(system, batch, batch, CLEAN))
    with pytest.raises(ValueError, match="'text': 3}, but MEN"):
        evaluate(laws.make(MEN, {"text": 3}), batch, [CLEAN])


@pytest.mark.parametrize("dims", [{}, {"eeg": 5}, {"audio": 0}])
def test_a_system_is_made_for_modalities_that_there_are(dims):
    for system in (MEN, LogReg, SMALL["CDTP"]):
        with pytest.raises(ValueError, match="was asked for the dims .*one or more of audio, visual, text"):
            system(dims, laws.CLASSES)
    with pytest.raises(ValueError, match="the classes 'abc'; give their names one by one"):
        MEN({"audio": 2}, "abc")


def test_what_is_not_finite_is_not_scored():
    batch = laws.small_batch({"audio": 2}, 1)
    x = batch.x["audio"].clone()
    x[3] = torch.nan
    with pytest.raises(Diverged, match="nothing finite of utterance 'laws/3' of laws"):
        evaluate(laws.make(MEN, {"audio": 2}), batch.replace(x={"audio": x}), [CLEAN])


def test_labels_that_the_system_has_no_output_for_are_named():
    batch = laws.small_batch({"audio": 2}, 1)
    with pytest.raises(ValueError, match="labels 0 to 2, but MEN was made for 2 classes"):
        next(fit(MEN({"audio": 2}, ("no", "yes")), batch, batch, CLEAN))


@pytest.mark.parametrize("wrong", [{"checks": 0}, {"batch_size": 0}, {"max_steps": 0}, {"epochs": -3}, {"epochs": 0},
                                   {"min_steps": 9, "max_steps": 5}])  # fmt: skip
def test_a_budget_that_cannot_be_kept_is_refused(wrong):
    with pytest.raises(ValueError, match="Budget"):
        Budget(**wrong)


def test_a_repeated_condition_is_validated_once_and_counts_as_often_as_it_stands(monkeypatch):
    batch = laws.small_batch(*laws.SHAPES["three vectors"])
    system, conditions = laws.make(LogReg, batch.dims), missing_modes(MODALITIES, 0.4)
    nn.init.normal_(system.linear.weight, generator=stream("weights"))
    stage, computed = next(system.stages()), []
    real = training.in_parts
    monkeypatch.setattr(training, "in_parts", lambda *args: (computed.append(args), real(*args))[1])
    found = training.validate(system, stage, batch, conditions)
    assert len(conditions) == 15 and len(computed) == 7
    each = [training.validate(system, stage, batch, [condition]) for condition in conditions]
    assert found == pytest.approx(tuple(np.mean(each, axis=0)))


def test_training_needs_a_condition():
    batch = laws.small_batch({"audio": 2}, 1)
    with pytest.raises(ValueError, match="incomplete.. is empty for one modality: use everything"):
        next(fit(MEN({"audio": 2}, laws.CLASSES), batch, batch, incomplete(("audio",), NoiseScheduler(snr_db=-10))))
