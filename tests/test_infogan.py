"""InfoGAN: bounds, sizes, what linear layers can see and make, and what a generator may know."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.covariance import oas
from sklearn.linear_model import LinearRegression
from small import (
    SMALL,
    SmallAlignedSER,
    SmallAugmentedSER,
    SmallClassGaussian,
    SmallConditionalGAN,
    SmallFeatureDiffusion,
    SmallInfoGAN,
    SmallLinearGaussian,
)
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from robustmer import laws
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN
from robustmer.laws import SETTINGS, Setting
from robustmer.nn.contrast import cpc, cpc_with_equals, equal_rows
from robustmer.noise import stream
from robustmer.systems import AlignedSER, AugmentedSER, FeatureDiffusion, InfoGAN, count_parameters
from robustmer.systems.augmented import SIMPLE
from robustmer.systems.generators import root, shrunk
from robustmer.tasks import Classify, Regress
from robustmer.training import fit, seeded

EIGHT = Classify("emotion", tuple("abcdefgh"))
PAPER = Setting({"audio": (209,), "text": (768,)}, task=EIGHT)
PAIR = Setting({"audio": (6,), "text": (4,)})
MAKERS = [*SIMPLE, *SmallAugmentedSER.generators]
ONE_EPOCH = Budget(epochs=1, batch_size=5, checks=1)


def everybody(count):
    return torch.ones(count, dtype=torch.bool)


# --- contrast ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("absent", [0, 3])
def test_the_contrast_of_different_partners_is_contrastive_predictive_coding(absent):
    t, h = torch.randn(2, 12, 5, generator=stream("pairs"))
    mask = torch.arange(12) >= absent
    torch.testing.assert_close(cpc_with_equals(t, h, equal_rows(t), mask, 0.07), cpc(t, h, mask, 0.07))


def test_equal_partners_are_positives_together_and_one_pair_has_no_contrast():
    t, h = torch.randn(2, 8, 5, generator=stream("pairs"))
    alone = everybody(1)
    assert float(cpc_with_equals(t[:1], h[:1], equal_rows(t[:1]), alone, 0.07)) == 0
    same = t[:1].expand(8, -1)
    assert float(cpc_with_equals(same, h, equal_rows(same), everybody(8), 0.07)) == pytest.approx(0, abs=1e-6)
    two = torch.cat([t[:1], t[:1], t[1:3]])
    h = h[:4].clone().requires_grad_()
    cpc_with_equals(two, h, equal_rows(two), torch.tensor([True, False, False, False]), 1.0).backward()
    toward = (h.grad[0] * (two[0] / two[0].norm() - nn.functional.normalize(h[0].detach(), dim=0))).sum()
    assert toward <= 1e-6, "the first sample's own key is attracted"


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.9])
def test_the_bound_is_below_the_information_and_below_log_b(correlation):
    """Pairs of one Gaussian value each, on the circle by an angle, so that a cosine can compare them."""
    generator, batch, values = stream("bound"), 256, []
    truth = -0.5 * math.log(1 - correlation**2)
    for _ in range(20):
        x, e = torch.randn(2, batch, generator=generator)
        y = correlation * x + math.sqrt(1 - correlation**2) * e
        on_circle = lambda v: torch.stack([v.cos(), v.sin()], dim=1)  # noqa: E731
        t, h = on_circle(x / 2), on_circle(y / 2)
        values.append(math.log(batch) - float(cpc_with_equals(t, h, equal_rows(t), everybody(batch), 0.2)))
    assert max(values) <= math.log(batch) and np.mean(values) <= truth + 0.05


# --- sizes and errors -------------------------------------------------------------------------------------------------


def test_sizes_are_those_that_the_paper_implies():
    made = laws.make(InfoGAN, PAPER, partner="text")
    assert count_parameters(made.generator) == (100 + 8 + 768) * 768 + 768 == 673_536
    assert count_parameters(made.discriminator) == 769
    assert count_parameters(made.baseline.to_partner) == 590_592 and count_parameters(made.baseline.project) == 0
    assert count_parameters(made.baseline.classifier) == 768 * 8 + 8
    assert count_parameters(laws.make(InfoGAN, PAPER).generator) == 108 * 768 + 768


@pytest.mark.parametrize(("system", "options", "said"), [
    (AlignedSER, {"partner": "visual"}, "partner='visual' of audio, text: give one of two or more modalities"),
    (InfoGAN, {"weight_mi": -1.0}, "weight_mi=-1.0, z=100: give a weight of 0 or more"),
    (AugmentedSER, {"factor": 1}, 'factor=1: give 2 or more .*maker="none"'),
    (AugmentedSER, {"maker": "vae"}, "maker='vae': give one of none, copy, noise, mixup, gaussian"),
])  # fmt: skip
def test_wrong_options_are_refused(system, options, said):
    with pytest.raises(ValueError, match=said):
        laws.make(system, PAIR, width=8, **options)


@pytest.mark.parametrize("system", [SmallInfoGAN, SmallAugmentedSER])
def test_a_number_has_no_class_to_generate_for(system):
    with pytest.raises(ValueError, match="generates features for a class, and Regress.* has fewer than two"):
        laws.make(system, dataclasses.replace(PAIR, task=Regress("label")))


# --- every maker, and a partner, keep the laws ------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["two vectors", "three sequences"])
@pytest.mark.parametrize("maker", MAKERS)
def test_every_maker_keeps_the_laws_of_steps(maker, setting):
    setting = dataclasses.replace(SETTINGS[setting], options={"maker": maker})
    for law in (laws.a_step_changes_its_own_parameters_and_no_others, laws.frozen_parts_do_not_move,
                laws.an_absent_modality_changes_no_loss, laws.a_sample_does_not_see_its_neighbours,
                laws.training_is_repeatable, laws.an_absent_modality_gets_no_gradient):  # fmt: skip
        law(SmallAugmentedSER, setting)


@pytest.mark.parametrize("name", ["AlignedSER", "InfoGAN", "FeatureDiffusion", "LinearGaussian", "AugmentedSER"])
@pytest.mark.parametrize("align", [True, False])
def test_systems_with_a_partner_keep_the_laws(name, align):
    """All but one: without the voice a recogniser of speech learns nothing."""
    setting = Setting({"audio": (5,), "text": (4,)}, 3, options={"partner": "text", "align": align})
    for law in laws.LAWS:
        no_prediction = law is laws.one_small_batch_can_be_overfitted and name not in ("AlignedSER", "AugmentedSER")
        if law is not laws.an_absent_modality_gets_no_gradient and not no_prediction:
            law(SMALL[name], setting)


def test_a_prediction_does_not_read_the_partner():
    made, batch = laws.make(SmallAlignedSER, PAIR, partner="text").eval(), laws.small_batch(PAIR)
    other = batch.replace(x=batch.x | {"text": batch.x["text"].flip(0)})
    assert torch.equal(made(batch), made(other))
    assert not torch.equal(made.partner_features(batch), made.partner_features(other))


# --- what linear layers can see and make ------------------------------------------------------------------------------


def test_a_linear_discriminator_sees_means_and_nothing_else():
    """Equal means, other covariances: its gradient at zero is zero, and a hidden layer tells them apart."""
    draw = stream("critic")
    x = torch.randn(2000, 4, generator=draw)
    real, made = x - x.mean(0), 3 * (x - x.mean(0))
    target = torch.cat([torch.ones(2000, 1), torch.zeros(2000, 1)])
    linear = nn.Linear(4, 1)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    binary_cross_entropy_with_logits(linear(torch.cat([real, made])), target).backward()
    assert linear.weight.grad.abs().max() < 1e-6 and linear.bias.grad.abs().max() < 1e-6
    with seeded("critic"):
        two = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = torch.optim.Adam(two.parameters(), lr=1e-2)
    for _ in range(150):
        loss = binary_cross_entropy_with_logits(two(torch.cat([real, made])), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    higher = (two(real) > two(made).T).float().mean()
    assert higher > 0.85


def test_a_linear_generator_makes_a_gaussian_from_its_matrices():
    made = laws.make(SmallInfoGAN, PAIR, partner="text", width=5, z=3).eval()
    code, t = torch.tensor([[0.0, 1.0, 0.0]]), torch.randn(1, 5, generator=stream("t"))
    z = torch.randn(100_000, 3, generator=stream("z"))
    drawn = made.generate(code.expand(len(z), -1), t.expand(len(z), -1), z).detach()
    weight, bias = made.generator[0].weight.detach(), made.generator[0].bias.detach()
    torch.testing.assert_close(drawn.mean(0), weight[:, 4] + weight[:, 6:] @ t[0] + bias, atol=0.02, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), weight[:, :3] @ weight[:, :3].T, atol=0.02, rtol=0.05)


def test_a_generator_moves_its_mean_to_that_of_the_recorded_features():
    made, batch = laws.make(SmallInfoGAN, PAIR, weight_mi=0.0), laws.small_batch(PAIR, samples=60)
    gap = lambda: float((made.draw(batch).mean(0) - made.baseline.features(batch).mean(0)).norm().detach())  # noqa: E731
    before = gap()
    fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=300, batch_size=60, checks=1), seed="gap")
    assert gap() < 0.7 * before


def test_a_conditional_gan_learns_classes_and_a_gan_that_is_not_told_them_does_not():
    batch = laws.small_batch(PAIR, samples=60)
    gaps = {}
    for system, options in ((SmallConditionalGAN, {}), (SmallInfoGAN, {"weight_mi": 0.0, "hidden": 16})):
        made = laws.make(system, PAIR, **options)
        fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=600, batch_size=60, checks=1), seed="classes")
        h, drawn, code = made.baseline.features(batch).detach(), made.draw(batch).detach(), made.code(batch)
        centres = [code.T @ (x - x.mean(0)) / code.sum(0)[:, None] for x in (h, drawn)]
        gaps[system] = float((centres[0] - centres[1]).norm() / centres[0].norm())
    assert gaps[SmallConditionalGAN] < 0.7 < gaps[SmallInfoGAN]


def test_information_about_the_class_gives_features_of_the_class():
    batch = laws.small_batch(PAIR, samples=60)
    losses = {}
    for weight in (0.0, 1.0):
        made = laws.make(SmallInfoGAN, PAIR, weight_mi=weight)
        fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=200, batch_size=60, checks=1), seed="class")
        losses[weight] = float(made.class_loss(made.draw(batch), batch))
    assert losses[1.0] < 0.3 * losses[0.0]


def test_a_diffusion_draws_the_mean_and_the_spread_of_each_class():
    """With the system's own sizes: two classes far apart, of different spread."""
    setting = Setting({"audio": (2,)}, task=Classify("label", ("low", "high")))
    made = laws.make(FeatureDiffusion, setting, width=3, hidden=64)
    label, draw = torch.arange(400) % 2, stream("classes")
    x = torch.randn(400, 1, 2, generator=draw) * (1 + label)[:, None, None] / 4 + 2 * label[:, None, None]
    batch = laws.small_batch(setting, samples=400).replace(x={"audio": x}, labels={"label": label})
    budget = Budget(epochs=0, min_steps=500, batch_size=100, checks=1)
    fit(made, batch, batch, CLEAN, budget, seed="diffusion")
    with seeded("draw"):
        h, drawn = made.baseline.features(batch).detach(), made.eval().draw(batch)
    for c in (0, 1):
        own, other = h[label == c], drawn[label == c]
        torch.testing.assert_close(other.mean(0), own.mean(0), atol=0.15, rtol=0)
        torch.testing.assert_close(other.std(0), own.std(0), atol=0.12, rtol=0.25)


def test_a_diffusion_of_more_values_than_its_layers_stays_in_the_range_of_the_features():
    setting = Setting({"audio": (12,)}, task=Classify("label", ("low", "high")))
    made, batch = laws.make(FeatureDiffusion, setting, width=64, hidden=8), laws.small_batch(setting, samples=100)
    batch = batch.replace(labels={"label": torch.arange(100) % 2})
    fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=50, batch_size=50, checks=1), seed="range")
    with seeded("draw"):
        h, drawn = made.baseline.features(batch).detach(), made.eval().draw(batch)
    assert 0.3 < float(drawn.var(0).sum() / h.var(0).sum()) < 3


# --- closed forms -----------------------------------------------------------------------------------------------------


def counted(system, **options):
    """A closed form of 62 samples in batches of five, the last one smaller, and the features it was made from."""
    made, batch = laws.make(system, PAIR, width=7, **options), laws.small_batch(PAIR, samples=62)
    fit(made, batch, batch, CLEAN, ONE_EPOCH, seed="count")
    return made, made.baseline.features(batch).detach(), batch


def test_a_class_gaussian_has_the_moments_of_its_class():
    made, h, batch = counted(SmallClassGaussian)
    for label in range(3):
        mean, covariance = made.moments(label)
        chosen = h[batch.labels["label"] == label]
        torch.testing.assert_close(mean, chosen.mean(0), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(covariance, chosen.T.cov(correction=0), atol=1e-3, rtol=1e-3)


def test_a_linear_gaussian_is_ordinary_least_squares_with_its_residual_covariance():
    made, h, batch = counted(SmallLinearGaussian, partner="text")
    made.ridge = 1e-6
    a, covariance = made.solution()
    u = made.conditions(batch).detach()
    theirs = LinearRegression(fit_intercept=False).fit(u.numpy(), h.numpy())
    np.testing.assert_allclose(u @ a.detach(), theirs.predict(u.numpy()), atol=2e-3)
    residual = h - torch.tensor(theirs.predict(u.numpy()))
    torch.testing.assert_close(covariance.detach(), residual.T @ residual / len(h), atol=1e-3, rtol=1e-3)


def test_the_number_of_epochs_does_not_matter_to_a_closed_form():
    one, several = laws.make(SmallClassGaussian, PAIR), laws.make(SmallClassGaussian, PAIR)
    batch = laws.small_batch(PAIR, samples=62)
    fit(one, batch, batch, CLEAN, ONE_EPOCH, seed="count")
    fit(several, batch, batch, CLEAN, dataclasses.replace(ONE_EPOCH, epochs=6), seed="count")
    torch.testing.assert_close(one.moments(1), several.moments(1), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("count", [4, 30, 5000])
def test_shrinkage_is_scikit_learns(count):
    x = torch.randn(count, 6, generator=stream("oas")) * torch.arange(1, 7)
    x = x - x.mean(0)
    theirs, _ = oas(x.numpy(), assume_centered=True)
    torch.testing.assert_close(shrunk(x.T @ x / count, count), torch.tensor(theirs).float(), atol=1e-4, rtol=1e-4)


def test_a_root_squared_is_the_covariance():
    x = torch.randn(30, 5, generator=stream("root"))
    torch.testing.assert_close(root(x.T @ x) @ root(x.T @ x), x.T @ x, atol=1e-4, rtol=1e-4)


# --- augmentation -----------------------------------------------------------------------------------------------------


def augmented(maker, steps=20, batch=None, valid=None, **options):
    batch = laws.small_batch(PAIR, samples=24) if batch is None else batch
    made = laws.make(SmallAugmentedSER, PAIR, maker=maker, **options)
    fit(made, batch, batch if valid is None else valid, CLEAN, Budget(epochs=0, min_steps=steps, checks=1), seed="fit")
    return made


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("maker", MAKERS[1:])
def test_as_many_features_are_generated_as_promised_with_the_labels_of_their_samples(maker, factor):
    made, batch = laws.make(SmallAugmentedSER, PAIR, maker=maker, factor=factor), laws.small_batch(PAIR)
    targets = with_targets(made, batch).targets
    assert targets["generated"].shape == (12, factor - 1, 32) and targets["generated"].isfinite().all()
    torch.testing.assert_close(targets["code"].sum(2), torch.ones(12, factor - 1))
    if maker != "mixup":
        assert (targets["code"].argmax(2) == batch.labels["label"][:, None]).all()


@pytest.mark.parametrize("maker", MAKERS[2:])
def test_features_are_drawn_once_by_a_stream_of_their_own_and_fresh_ones_anew(maker):
    made, batch = laws.off_zero(laws.make(SmallAugmentedSER, PAIR, maker=maker)), laws.small_batch(PAIR)
    torch.manual_seed(1)
    first = made.targets(batch)["generated"]
    torch.manual_seed(2)
    assert torch.equal(first, made.targets(batch)["generated"])
    made.draws += 1
    assert not torch.equal(first, made.targets(batch)["generated"]), "another seed draws others"
    fresh = laws.off_zero(laws.make(SmallAugmentedSER, PAIR, maker=maker, fresh=True))
    assert fresh.targets(batch) == {}
    losses = [float(fresh.loss(batch, batch)["generated"].detach()) for _ in range(2)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("maker", MAKERS[1:])
def test_all_makers_share_the_baseline_the_first_weights_and_the_recorded_loss(maker):
    batch = laws.small_batch(PAIR)
    made, none = (laws.make(SmallAugmentedSER, PAIR, maker=m) for m in (maker, "none"))
    for part in ("baseline", "classifier"):
        states = [getattr(system, part).state_dict() for system in (made, none)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
    terms = made.loss(with_targets(made, batch), batch)
    torch.testing.assert_close(2 * terms["task"], none.loss(batch, batch)["task"])


def test_to_copy_every_feature_is_to_train_longer():
    none, copied = augmented("none"), augmented("copy")
    torch.testing.assert_close(copied.classifier.weight, none.classifier.weight, atol=1e-5, rtol=0)
    assert not torch.equal(augmented("infogan").classifier.weight, none.classifier.weight)


# --- leakage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", [SmallInfoGAN, SmallFeatureDiffusion, SmallClassGaussian, SmallLinearGaussian])
def test_validation_samples_change_nothing_in_a_generator(system):
    batch, other = (laws.small_batch(PAIR, samples=24, seed=seed) for seed in (0, 1))
    states = []
    for valid in (batch, other):
        made = laws.make(system, PAIR)
        fit(made, batch, valid, CLEAN, Budget(epochs=0, min_steps=8, checks=4), seed="leak")
        states.append(made.state_dict())
    laws.assert_same(*states)


@pytest.mark.parametrize("maker", MAKERS[1:])
def test_generated_features_come_from_train_samples_alone(maker, monkeypatch):
    """The classifier draws for the samples that it is trained on, and for no others; and prediction draws nothing."""
    train, valid = (laws.small_batch(PAIR, samples=24, seed=seed) for seed in (0, 1))
    valid = valid.replace(id=np.array([f"held out {name}" for name in valid.id]))
    met, draw = [], AugmentedSER.draw
    monkeypatch.setattr(AugmentedSER, "draw", lambda self, clean: (met.extend(clean.id), draw(self, clean))[1])
    made = augmented(maker, 6, train, valid)
    made.predict(valid)
    assert {*met} == {*train.id}
    repeated = augmented(maker, 6, train, train)
    states = [system.targets(train)["generated"] for system in (made, repeated)]
    assert torch.equal(*states), "other validation samples, the same features"
