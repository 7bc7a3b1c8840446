"""MISA and MMIM: their losses have the values that the formulas of their papers give where a hand can work them out."""

import math

import pytest
import torch
from small import SmallUniMSE, SmallUniMSEWithCompletion, small_completion
from torch.distributions import MultivariateNormal

from robustmer import laws
from robustmer.conditions import Condition, corrupt, missing
from robustmer.nn.gaussians import central_moment_discrepancy
from robustmer.noise import stream
from robustmer.systems import MISA, MMIM, MMIN, Completed, MISAWithCompletion, MMIMWithCompletion
from robustmer.systems.misa import overlap
from robustmer.systems.mmim import cpc, log_density, mixture_entropy
from robustmer.systems.system import with_targets
from robustmer.train import Budget, fit

BOTH = pytest.mark.parametrize("system", [MISA, MMIM, SmallUniMSE])
ONE = [({"audio": 7}, 5), ({"text": 4}, 5), ({"visual": 3}, 1)]


@BOTH
@pytest.mark.parametrize(("dims", "longest"), ONE, ids=str)
def test_a_single_modality_keeps_the_laws_too(system, dims, longest):
    for law in laws.LAWS:
        law(system, dims, longest)


@BOTH
@pytest.mark.parametrize("shape", laws.SHAPES)
@pytest.mark.parametrize("labels", ["classes", "numbers"])
def test_a_batch_of_one_row_gives_finite_losses_and_gradients(system, shape, labels):
    dims, longest = laws.SHAPES[shape]
    classes = laws.CLASSES if labels == "classes" else ()
    batch = laws.small_batch(dims, longest)[[3]]
    batch = batch if classes else batch.replace(label=torch.tensor([-0.4]))
    made = system(dims, classes)
    for seen in (batch, corrupt(batch, Condition(seen=tuple(dims)[:1]), stream("one"))):
        for objective in next(iter(made.stages())).objectives.values():
            torch.stack(list(objective.loss(batch, seen).values())).sum().backward()
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


def test_a_code_that_says_nothing_has_no_information():
    """A constant code, known for certain: noise alone keeps both parts of the bound finite, and they cancel."""
    y = torch.full((8, 4), 0.7)
    here = torch.ones(8, dtype=torch.bool)
    bounds = [log_density(y, y, torch.full_like(y, logvar)).mean() + mixture_entropy(y, torch.arange(8) % 2, 2, here)
              for logvar in (math.log(1e-3), -20.0, 3.0)]  # fmt: skip
    assert abs(float(bounds[0])) < 1e-4 and max(bounds[1:]) < 0


def test_the_density_and_the_entropy_are_torchs():
    draw = stream("density")
    y, mu, logvar = (torch.randn(20, 3, generator=draw, dtype=torch.float64) for _ in range(3))
    theirs = MultivariateNormal(mu, torch.diag_embed(logvar.exp())).log_prob(y)
    torch.testing.assert_close(log_density(y, mu, logvar, noise=0.0), theirs)
    group, here = torch.arange(20) % 3, torch.arange(20) < 16
    parts = [y[(group == g) & here] for g in range(3)]
    normals = [MultivariateNormal(part.mean(0), part.T.cov(correction=0)) for part in parts]
    expected = sum(len(part) / 16 * normal.entropy() for part, normal in zip(parts, normals, strict=True))
    torch.testing.assert_close(mixture_entropy(y, group, 3, here, noise=0.0), expected)


@pytest.mark.parametrize("rows", [1, 2, 7, 32])
def test_contrastive_coding_never_claims_more_than_log_n(rows):
    draw = stream("cpc", rows)
    here = torch.ones(rows, dtype=torch.bool)
    for _ in range(20):
        guess, code = torch.randn(2, rows, 5, generator=draw)
        assert math.log(rows) - float(cpc(guess, code, here)) <= math.log(rows)
    one = torch.ones(rows, 5)
    assert float(cpc(one, one, here)) == pytest.approx(math.log(rows), abs=1e-5)  # all alike: no information
    if rows > 1:
        best = torch.eye(rows)
        for temperature in (1.0, 0.5):
            alone = math.log(1 + (rows - 1) * math.exp(-1 / temperature))  # cosine 1 with its own, 0 with the others
            assert float(cpc(3 * best, best, here, temperature)) == pytest.approx(alone, abs=1e-5)


def test_contrastive_coding_is_among_the_rows_that_have_the_modality():
    guess, code = torch.randn(2, 9, 4, generator=stream("some"))
    here = torch.arange(9) % 3 > 0
    expected = cpc(guess[here], code[here], torch.ones(6, dtype=torch.bool))
    torch.testing.assert_close(cpc(guess, code * here[:, None], here), expected)
    assert cpc(guess, code, here & False) == 0


@pytest.mark.parametrize("shape", laws.SHAPES)
def test_misas_parts_are_over_the_rows_that_have_them(shape):
    """Where rows lack a modality, its terms are those of the other rows."""
    dims, longest = laws.SHAPES[shape]
    made, batch = laws.make(MISA, dims).eval(), laws.small_batch(dims, longest)
    first = next(iter(dims))
    lacks = torch.arange(len(batch)) % 3 == 0
    some = batch.replace(present=batch.present | {first: ~lacks})
    parts, losses = made.subspaces(batch), made.loss(some, some)
    u, rebuilt = parts.features, parts.rebuilt
    rows = [~lacks if m == first else lacks | True for m in dims]
    recon = [(u[r, m] - rebuilt[r, m]).square().mean() for m, r in enumerate(rows)]
    torch.testing.assert_close(losses["recon"], torch.stack(recon).mean())
    pairs = [(a, b) for a in range(len(dims)) for b in range(a)]
    sim = [central_moment_discrepancy(*(parts.shared[rows[a] & rows[b], m] for m in (a, b))) for a, b in pairs]
    torch.testing.assert_close(losses["sim"], torch.stack(sim).mean())
    diff = sum(overlap(parts.shared[r, m], parts.private[r, m]) for m, r in enumerate(rows))
    diff += sum(overlap(*(parts.private[rows[a] & rows[b], m] for m in (a, b))) for a, b in pairs)
    torch.testing.assert_close(losses["diff"], 0.3 * diff)


def test_mmims_pairs_are_those_of_the_paper():
    made = MMIM({"audio": 3, "visual": 4, "text": 5}, laws.CLASSES)
    assert made.source == "text" and set(made.guess) == {"audio", "visual"}
    assert MMIM({"audio": 3, "visual": 4}, laws.CLASSES).source == "visual"
    assert not MMIM({"audio": 3}, laws.CLASSES).guess


def test_mmims_two_objectives_share_no_parameter_and_leave_none_out():
    dims, longest = laws.SHAPES["three vectors"]
    made = laws.make(MMIM, dims)
    (stage,) = made.stages()
    guess, rest = (list(map(id, stage.objectives[name].params)) for name in ("guess", "main"))
    assert not set(guess) & set(rest) and set(guess) | set(rest) == set(map(id, made.parameters()))
    assert set(guess) == set(map(id, made.guess.parameters()))


def test_mmim_learns_that_one_code_tells_of_another():
    """Text is visual, turned: after training the bound says that much is known; of unrelated features it does not."""
    draw = stream("told")
    batch = laws.small_batch({"visual": 6, "text": 6}, 1, rows=96)
    x = torch.randn(96, 1, 6, generator=draw)
    bounds = []
    for text in (x.flip(2), torch.randn(96, 1, 6, generator=draw)):
        rows = batch.replace(x={"visual": x, "text": text})
        made = laws.make(MMIM, rows.dims)
        list(fit(made, rows, rows, Condition(), Budget(epochs=0, min_steps=200, checks=1), seed="told"))
        with torch.no_grad():
            bounds.append(-float(made.eval().loss(rows, rows)["mi"]) / made.weight_mi)
    assert bounds[0] > bounds[1] + 1


class MMINCompleted(Completed):
    """A system with a stage of its own before the last, as a reader would write it."""

    def __init__(self, dims, classes):
        super().__init__(MMIN(dims, classes), small_completion(dims))


WITH_COMPLETION = [MISAWithCompletion, MMIMWithCompletion, SmallUniMSEWithCompletion, MMINCompleted]
COMPLETED = pytest.mark.parametrize("system", WITH_COMPLETION)
SHAPE = pytest.mark.parametrize("shape", laws.SHAPES)


@SHAPE
@pytest.mark.parametrize("law", [law for law in laws.LAWS if law is not laws.one_small_batch_can_be_learnt_by_heart])
def test_a_system_of_ones_own_keeps_its_laws_behind_a_completion(law, shape):
    law(MMINCompleted, *laws.SHAPES[shape])


@COMPLETED
@SHAPE
def test_rows_that_miss_nothing_reach_the_system_as_they_are(system, shape):
    dims, longest = laws.SHAPES[shape]
    made, batch = laws.make(system, dims).eval(), laws.small_batch(dims, longest)
    with torch.no_grad():  # UniMSE begins as a T5 that hears nobody else
        for p in made.system.parameters():
            p += 0.05 * torch.randn(p.shape, generator=stream("off its beginning", *p.shape))
    assert torch.equal(made(batch), made.system(batch))
    first = tuple(dims)[0]
    some = batch.replace(present=batch.present | {first: torch.arange(len(batch)) % 2 == 0})
    torch.testing.assert_close(made(some)[::2], made.system(batch)[::2], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made(some)[1::2], made.system(batch)[1::2])


@COMPLETED
@SHAPE
def test_a_system_never_sees_that_something_is_missing_nor_what_it_was(system, shape, monkeypatch):
    dims, longest = laws.SHAPES[shape]
    made, batch = laws.make(system, dims).eval(), laws.small_batch(dims, longest)
    met = []
    monkeypatch.setattr(made.system, "forward", lambda seen: met.append(seen) or torch.zeros(len(seen), 3))
    for condition in missing(tuple(dims)):
        seen = corrupt(batch, condition, stream("missing"))
        gone = [m for m in dims if m not in condition.seen]
        made(seen)
        made(seen.replace(x=seen.x | {m: torch.randn_like(seen.x[m]) for m in gone}))
        one, other = met[-2:]
        assert all(one.present[m].all() and torch.equal(one.x[m], other.x[m]) for m in dims)
        assert all(torch.equal(one.x[m], batch.x[m]) for m in condition.seen)


@COMPLETED
@SHAPE
def test_the_completion_learns_first_and_is_then_frozen(system, shape):
    dims, longest = laws.SHAPES[shape]
    made, batch = laws.make(system, dims).train(), laws.small_batch(dims, longest)
    seen = corrupt(batch, missing(tuple(dims)), stream("missing"))
    first, *rest = made.stages()
    assert first.clean and set(map(id, first.objectives["all"].params)) == set(map(id, made.completion.parameters()))
    assert [stage.name for stage in rest] == [stage.name for stage in made.system.stages()]
    for stage in rest:
        clean = with_targets(made, stage, batch)
        for objective in stage.objectives.values():
            torch.stack(list(objective.loss(clean, seen).values())).sum().backward()
            assert {id(p) for p in objective.params} <= set(map(id, made.system.parameters()))
    assert all(p.grad is None for p in made.completion.parameters())
    assert any(p.grad is not None for p in made.system.parameters())
