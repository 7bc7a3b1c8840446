"""MISA and MMIM: their losses have the values of their papers' formulas, and any system works behind a completion."""

import dataclasses
import math

import pytest
import torch
from small import (
    SmallCompleted,
    SmallMISAWithCompletion,
    SmallMMIMWithCompletion,
    SmallUniMSE,
    SmallUniMSEWithCompletion,
)
from torch.distributions import MultivariateNormal

from robustmer import laws
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt, missing, uniform
from robustmer.laws import SETTINGS, Setting
from robustmer.nn.contrast import cpc
from robustmer.nn.gaussians import central_moment_discrepancy
from robustmer.noise import stream
from robustmer.systems import MISA, MMIM, MMIN
from robustmer.systems.misa import overlap
from robustmer.systems.mmim import log_density, mixture_entropy
from robustmer.tasks import Regress
from robustmer.training import fit

BACKBONE = pytest.mark.parametrize("system", [MISA, MMIM, SmallUniMSE])
SETTING = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
SINGLE = [Setting({"text": (4,)}, 5), Setting({"visual": (3,)})]


@BACKBONE
@pytest.mark.parametrize("setting", SINGLE, ids=["text", "visual"])
def test_a_single_modality_keeps_the_laws_too(system, setting):
    for law in laws.LAWS:
        law(system, setting)


@BACKBONE
@SETTING
@pytest.mark.parametrize("task", [None, Regress("label")], ids=["classes", "numbers"])
def test_a_batch_of_one_sample_gives_finite_losses_and_gradients(system, setting, task):
    setting = dataclasses.replace(setting, task=task or setting.task)
    batch, made = laws.small_batch(setting)[[3]], laws.make(system, setting)
    for observed in (batch, corrupt(batch, Condition(seen=tuple(setting.shapes)[:1]), stream("one"))):
        for objective in made.objectives().values():
            torch.stack(list(objective.loss(batch, observed).values())).sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in made.parameters())


def test_central_moments_up_to_order_five_are_those_worked_out_by_hand():
    """0, 1 and 1/2, 1/2: one mean; the second moment differs by 1/4, the fourth by 1/16, odd ones vanish."""
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[0.5], [0.5]])
    torch.testing.assert_close(central_moment_discrepancy(x, y), torch.tensor(1 / 4 + 1 / 16))
    torch.testing.assert_close(central_moment_discrepancy(x, y + 0.25), torch.tensor(1 / 4 + 1 / 4 + 1 / 16))
    assert central_moment_discrepancy(x, x.flip(0)) == 0


def test_orthogonal_features_do_not_overlap_and_equal_ones_do():
    one, other = torch.tensor([[1.0, -1.0, 1.0, -1.0]]).T, torch.tensor([[1.0, 1.0, -1.0, -1.0]]).T
    assert overlap(one, other) == 0 and overlap(5 * one + 3, other - 8) == 0
    assert overlap(one, 7 * one) == 16  # ||X' X||^2 of four rows of length 1
    torch.testing.assert_close(overlap(torch.cat([one, 0 * one], 1), one), torch.tensor(16.0) / 2)


def exact_sample(covariance, rows):
    """Rows whose mean and covariance are exactly these, so that expectations need no tolerance for chance."""
    raw = torch.randn(rows, len(covariance), generator=stream("exact"), dtype=torch.float64)
    raw = raw - raw.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(raw.T @ raw / rows), raw.T, upper=False)
    return (torch.linalg.cholesky(covariance) @ white).T


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.5])
def test_the_bound_of_barber_and_agakov_is_below_the_information_and_reaches_it(correlation, noise):
    """Jointly Gaussian x and y: I = -1/2 log(1 - r^2) a dimension. With the true q the bound is the information of x
    and y + noise; with any other q it is less."""
    dim, rows = 3, 64
    eye = torch.eye(dim, dtype=torch.float64)
    pair = torch.tensor([[1, correlation], [correlation, 1]], dtype=torch.float64)
    both = exact_sample(torch.kron(pair, eye), rows)
    x, y = both[:, :dim], both[:, dim:]
    entropy = mixture_entropy(y, torch.zeros(rows, dtype=torch.long), 1, torch.ones(rows, dtype=torch.bool), noise)
    logvar = torch.full_like(y, math.log(1 - correlation**2 + noise))
    bound = float(log_density(y, correlation * x, logvar, noise).mean() + entropy)
    information = -0.5 * dim * math.log(1 - correlation**2 / (1 + noise))
    assert bound == pytest.approx(information, abs=1e-9)
    assert bound <= -0.5 * dim * math.log(1 - correlation**2) + 1e-9
    for wrong in (log_density(y, 0.5 * correlation * x + 0.1, logvar, noise), log_density(y, 0 * x, logvar + 1, noise)):
        assert float(wrong.mean() + entropy) < information


def test_a_constant_code_has_no_information():
    """A constant code, known for certain: noise alone keeps both parts of the bound finite, and they cancel."""
    y = torch.full((8, 4), 0.7)
    mask = torch.ones(8, dtype=torch.bool)
    bounds = [log_density(y, y, torch.full_like(y, logvar)).mean() + mixture_entropy(y, torch.arange(8) % 2, 2, mask)
              for logvar in (math.log(1e-3), -20.0, 3.0)]  # fmt: skip
    assert abs(float(bounds[0])) < 1e-4 and max(bounds[1:]) < 0


def test_the_density_and_the_entropy_are_torchs():
    draw = stream("density")
    y, mu, logvar = (torch.randn(20, 3, generator=draw, dtype=torch.float64) for _ in range(3))
    theirs = MultivariateNormal(mu, torch.diag_embed(logvar.exp())).log_prob(y)
    torch.testing.assert_close(log_density(y, mu, logvar, noise=0.0), theirs)
    group, mask = torch.arange(20) % 3, torch.arange(20) < 16
    parts = [y[(group == g) & mask] for g in range(3)]
    normals = [MultivariateNormal(part.mean(0), part.T.cov(correction=0)) for part in parts]
    expected = sum(len(part) / 16 * normal.entropy() for part, normal in zip(parts, normals, strict=True))
    torch.testing.assert_close(mixture_entropy(y, group, 3, mask, noise=0.0), expected)


@pytest.mark.parametrize("rows", [1, 2, 7, 32])
def test_contrastive_coding_never_claims_more_than_log_n(rows):
    draw = stream("cpc", rows)
    mask = torch.ones(rows, dtype=torch.bool)
    for _ in range(20):
        guess, code = torch.randn(2, rows, 5, generator=draw)
        assert math.log(rows) - float(cpc(guess, code, mask)) <= math.log(rows)
    one = torch.ones(rows, 5)
    assert float(cpc(one, one, mask)) == pytest.approx(math.log(rows), abs=1e-5)  # all alike: no information
    if rows > 1:
        best = torch.eye(rows)
        for temperature in (1.0, 0.5):
            alone = math.log(1 + (rows - 1) * math.exp(-1 / temperature))  # cosine 1 with its own, 0 with the others
            assert float(cpc(3 * best, best, mask, temperature)) == pytest.approx(alone, abs=1e-5)


def test_contrastive_coding_is_among_the_samples_that_have_the_modality():
    guess, code = torch.randn(2, 9, 4, generator=stream("masked"))
    mask = torch.arange(9) % 3 > 0
    expected = cpc(guess[mask], code[mask], torch.ones(6, dtype=torch.bool))
    torch.testing.assert_close(cpc(guess, code * mask[:, None], mask), expected)
    assert cpc(guess, code, mask & False) == 0


@SETTING
def test_misas_terms_are_over_the_samples_that_have_the_modality(setting):
    made, batch = laws.make(MISA, setting).eval(), laws.small_batch(setting)
    shapes = setting.shapes
    first = next(iter(shapes))
    lacks = torch.arange(len(batch)) % 3 == 0
    part = batch.replace(present=batch.present | {first: ~lacks})
    parts, losses = made.subspaces(batch), made.loss(part, part)
    u, rebuilt = parts.features, parts.rebuilt
    rows = [~lacks if m == first else lacks | True for m in shapes]
    recon = [(u[r, m] - rebuilt[r, m]).square().mean() for m, r in enumerate(rows)]
    torch.testing.assert_close(losses["recon"], torch.stack(recon).mean())
    pairs = [(a, b) for a in range(len(shapes)) for b in range(a)]
    sim = [central_moment_discrepancy(*(parts.shared[rows[a] & rows[b], m] for m in (a, b))) for a, b in pairs]
    diff = sum(overlap(parts.shared[r, m], parts.private[r, m]) for m, r in enumerate(rows))
    if pairs:
        torch.testing.assert_close(losses["sim"], torch.stack(sim).mean())
        diff = diff + sum(overlap(*(parts.private[rows[a] & rows[b], m] for m in (a, b))) for a, b in pairs)
    assert ("sim" in losses) == bool(pairs)
    torch.testing.assert_close(losses["diff"], 0.3 * diff)


def test_mmims_pairs_are_those_of_the_paper():
    made = lambda *names: laws.make(MMIM, Setting(dict.fromkeys(names, (3,))))  # noqa: E731
    assert made("audio", "visual", "text").source == "text" and set(made("text", "audio").guess) == {"audio"}
    assert made("audio", "visual").source == "visual" and made("audio", "pulse").source == "audio"
    assert not made("audio").guess


def test_mmims_two_objectives_share_no_parameter_and_leave_none_out():
    made = laws.make(MMIM, SETTINGS["three vectors"])
    guess, rest = (list(map(id, objective.params)) for objective in made.objectives().values())
    assert not set(guess) & set(rest) and set(guess) | set(rest) == set(map(id, made.parameters()))
    assert set(guess) == set(map(id, made.guess.parameters()))


def test_mmim_learns_that_one_code_predicts_another():
    """Text is visual, turned: after training the bound on their information is high; of unrelated features it is
    not."""
    draw, setting = stream("predicted"), Setting({"visual": (6,), "text": (6,)})
    batch = laws.small_batch(setting, samples=96)
    x = torch.randn(96, 1, 6, generator=draw)
    bounds = []
    for text in (x.flip(2), torch.randn(96, 1, 6, generator=draw)):
        samples, made = batch.replace(x={"visual": x, "text": text}), laws.make(MMIM, setting)
        fit(made, samples, samples, CLEAN, Budget(epochs=0, min_steps=200, checks=1), seed="predicted")
        with torch.no_grad():
            bounds.append(-float(made.eval().loss(samples, samples)["mi"]) / made.weight_mi)
    assert bounds[0] > bounds[1] + 1


class MMINCompleted(SmallCompleted):
    """A system with an upstream system of its own, as a reader would write it."""

    upstream = SmallCompleted.upstream | MMIN.upstream
    teacher = property(lambda self: self.backbone.teacher)

    def __init__(self, shapes, task, teacher, completion=None, width=128, dropout=0.5):
        super().__init__(MMIN(shapes, task, teacher, width, dropout=dropout), completion, 3, 3)


WITH_COMPLETION = [SmallMISAWithCompletion, SmallMMIMWithCompletion, SmallUniMSEWithCompletion, MMINCompleted]
COMPLETED = pytest.mark.parametrize("system", WITH_COMPLETION)
PAIRED = pytest.mark.parametrize("setting", [s for s in SETTINGS.values() if len(s.shapes) > 1], ids=str)


@SETTING
@pytest.mark.parametrize("law", [law for law in laws.LAWS if law is not laws.one_small_batch_can_be_overfitted])
def test_a_system_of_ones_own_keeps_the_laws_behind_a_completion(law, setting):
    law(MMINCompleted, setting)


@COMPLETED
@PAIRED
def test_complete_samples_reach_the_backbone_unchanged(system, setting):
    made, batch = laws.off_zero(laws.make(system, setting)).eval(), laws.small_batch(setting)
    assert torch.equal(made(batch), made.backbone(batch))
    first = tuple(setting.shapes)[0]
    part = batch.replace(present=batch.present | {first: torch.arange(len(batch)) % 2 == 0})
    torch.testing.assert_close(made(part)[::2], made.backbone(batch)[::2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made(part)[1::2], made.backbone(batch)[1::2])


@COMPLETED
@PAIRED
def test_the_backbone_never_sees_that_a_modality_is_missing_nor_its_values(system, setting, monkeypatch):
    made, batch = laws.make(system, setting).eval(), laws.small_batch(setting)
    shapes, batches = setting.shapes, []
    monkeypatch.setattr(made.backbone, "forward", lambda filled: batches.append(filled) or torch.zeros(len(filled), 3))
    for condition in missing(tuple(shapes)):
        observed = corrupt(batch, condition, stream("missing"))
        gone = [m for m in shapes if m not in condition.seen]
        made(observed)
        made(observed.replace(x=observed.x | {m: torch.randn_like(observed.x[m]) for m in gone}))
        one, other = batches[-2:]
        assert all(one.present[m].all() and torch.equal(one.x[m], other.x[m]) for m in shapes)
        assert all(torch.equal(one.x[m], batch.x[m]) for m in condition.seen)


@COMPLETED
@PAIRED
def test_a_backbone_learns_its_own_objectives_and_the_completion_is_frozen(system, setting):
    made, batch = laws.make(system, setting).train(), laws.small_batch(setting)
    observed = corrupt(batch, uniform(list(missing(tuple(setting.shapes)))), stream("missing"))
    clean = with_targets(made, batch)
    assert made.phase == made.backbone.phase and list(made.objectives()) == list(made.backbone.objectives())
    for objective in made.objectives().values():
        torch.stack(list(objective.loss(clean, observed).values())).sum().backward()
    assert all(p.grad is None for p in made.completion.parameters())
    assert any(p.grad is not None for p in made.backbone.parameters())
    first = made.fill(observed)
    assert made.fill(observed) is first  # all objectives of a step get one draw
    assert made.fill(observed.replace()) is not first


def test_with_the_mean_no_completion_is_needed():
    from robustmer.systems import MISAWithCompletion

    setting = SETTINGS["three vectors"]
    made, batch = laws.make(MISAWithCompletion, setting, start="mean").eval(), laws.small_batch(setting)
    assert made.completion is None and not list(MISAWithCompletion.starts_from({"start": "mean"}))
    part = corrupt(batch, Condition(seen=("audio", "text")), stream("mean"))
    zero = batch.replace(x=batch.x | {"visual": torch.zeros_like(batch.x["visual"])})
    torch.testing.assert_close(made(part), made.backbone(zero))
    with pytest.raises(ValueError, match='MISAWithCompletion needs a trained Completion; give .* or start="mean"'):
        MISAWithCompletion(setting.shapes, setting.task)
