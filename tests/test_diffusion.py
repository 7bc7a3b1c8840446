"""Diffusion: the equations agree with their closed forms, and samplers give what the theory says they give."""

import math

import pytest
import torch

from robustmer.nn.diffusion import (
    Diffusion,
    Sampling,
    ddim_step,
    ddpm_step,
    denoised,
    noised,
    posterior_variance,
    sample,
)
from robustmer.noise import Gaussian, Linear, add_noise, alpha_bar, iterate_noise, stream

SMALL = Diffusion(steps=20, schedule=Linear(0.01, 0.3))


def test_the_level_is_the_product_of_the_first_factors_of_one_schedule():
    """NMER's eq. 2 of the first t betas; 4e-5 of the power is left of the default schedule (Ho et al. 2020)."""
    diffusion = Diffusion()
    betas = diffusion.schedule.betas(1000)
    assert float(diffusion.alpha_bar[0]) == 1.0
    for t in (1, 2, 500, 1000):
        assert float(diffusion.alpha_bar[t]) == pytest.approx(alpha_bar(betas[:t]), rel=1e-12)
    assert float(diffusion.alpha_bar[-1]) == pytest.approx(4.04e-5, rel=1e-2)
    assert (diffusion.alpha_bar.diff() < 0).all()


@pytest.mark.parametrize("t", [1, 7, 20])
def test_eq_4_is_eq_3_iterated(t):
    """In distribution: t steps of x -> sqrt(alpha) x + sqrt(beta) e, against mean and variance of the closed form."""
    x_0 = torch.full((200_000, 1, 1), 2.0)
    level = SMALL.alpha_bar[t]
    chained = iterate_noise(x_0, SMALL.schedule.betas(20)[:t], Gaussian(), stream("chain", t))
    at_once = noised(x_0, torch.randn(x_0.shape, generator=stream("at once", t)), level)
    for x_t in (chained, at_once):
        assert float(x_t.mean()) == pytest.approx(2.0 * math.sqrt(level), abs=0.01)
        assert float(x_t.var()) == pytest.approx(1 - float(level), abs=0.01)


def test_eq_4_is_nmers_eq_3_at_one_level():
    x_0, epsilon = torch.randn(2, 4, 3, 5, generator=stream("eq 4"))
    level = Diffusion().alpha_bar[300]
    torch.testing.assert_close(noised(x_0, epsilon, level), add_noise(x_0, epsilon, float(level)))


def test_every_sample_has_its_own_level():
    x_0, epsilon = torch.randn(2, 3, 4, 5, generator=stream("rows"))
    t = torch.tensor([1, 400, 1000])
    levels = Diffusion().alpha_bar.float()[t][:, None, None]
    x_t = noised(x_0, epsilon, levels)
    for row in range(3):
        alone = noised(x_0[row], epsilon[row], Diffusion().alpha_bar.float()[t[row]])
        torch.testing.assert_close(x_t[row], alone)
    torch.testing.assert_close(denoised(x_t[:2], epsilon[:2], levels[:2]), x_0[:2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_reverse_process_goes_from_the_end_to_0(count):
    path = SMALL.path(count)
    assert len(path) == count and path[0][0] == 20 and path[-1][1] == 0
    assert all(t > s for t, s in path) and all(a[1] == b[0] for a, b in zip(path, path[1:], strict=False))
    assert Diffusion().path(1000) == [(t, t - 1) for t in range(1000, 0, -1)]


def test_impossible_settings_are_named():
    with pytest.raises(ValueError, match="21 sampling steps .* T=20 give 1 to 20"):
        SMALL.path(21)
    with pytest.raises(ValueError, match="50 sampling steps .* T=20"):
        sample(lambda x, t: x, torch.zeros(2), SMALL, Sampling(50))
    with pytest.raises(ValueError, match="steps=0"):
        Diffusion(steps=0)


@pytest.mark.parametrize("count", [1, 3, 50, 1000])
@pytest.mark.parametrize(("sampler", "eta"), [("ddim", 0.0), ("ddim", 1.0), ("ddpm", 0.0)])
def test_a_predictor_that_knows_the_noise_reaches_the_signal(count, sampler, eta):
    """A predictor that knows x_0 is led back to it from any start, in any number of steps."""
    x_0, start = torch.randn(2, 4, 3, generator=stream("oracle"), dtype=torch.float64)
    diffusion = Diffusion()

    def knows(x_t, t):
        level = diffusion.alpha_bar[t]
        return (x_t - level.sqrt() * x_0) / (1 - level).sqrt()

    torch.testing.assert_close(sample(knows, start, diffusion, Sampling(count, sampler, eta)), x_0)


@pytest.mark.parametrize(("t", "s"), [(1, 0), (2, 1), (20, 19), (20, 5), (7, 0)])
def test_ddim_with_ddpms_variance_is_ddpm(t, s):
    """Eq. 9 with eta = 1 is eqs. 6-7, on consecutive steps and on sub-sequences of them."""
    x_t, epsilon, xi = torch.randn(3, 4, 3, generator=stream("same"), dtype=torch.float64)
    now, then = SMALL.alpha_bar[t], SMALL.alpha_bar[s]
    torch.testing.assert_close(ddim_step(x_t, epsilon, xi, now, then, eta=1.0), ddpm_step(x_t, epsilon, xi, now, then))


@pytest.mark.parametrize(("t", "s"), [(2, 1), (20, 19), (20, 5)])
def test_ddpms_step_is_the_posterior_of_the_forward_process(t, s):
    """q(x_s | x_t, x_0) by Bayes from q(x_s | x_0) and q(x_t | x_s), two Gaussians, without the paper's formulas."""
    x_0, epsilon = torch.randn(2, 5, generator=stream("posterior"), dtype=torch.float64)
    now, then = SMALL.alpha_bar[t], SMALL.alpha_bar[s]
    x_t = noised(x_0, epsilon, now)
    alpha = now / then
    precision = alpha / (1 - alpha) + 1 / (1 - then)
    mean = (alpha.sqrt() * x_t / (1 - alpha) + then.sqrt() * x_0 / (1 - then)) / precision
    torch.testing.assert_close(ddpm_step(x_t, epsilon, 0.0, now, then), mean)
    torch.testing.assert_close(posterior_variance(now, then), 1 / precision)


def test_eq_9_keeps_the_marginals_of_eq_4():
    """From x_t of eq. 4 a step with the true noise leads to x_s of eq. 4, at any eta (Song et al. 2021, lemma 1)."""
    draw = stream("marginal")
    epsilon, xi = torch.randn(2, 400_000, generator=draw, dtype=torch.float64)
    x_0 = torch.full_like(epsilon, 3.0)
    for eta in (0.0, 0.5, 1.0):
        now, then = SMALL.alpha_bar[15], SMALL.alpha_bar[6]
        x_s = ddim_step(noised(x_0, epsilon, now), epsilon, xi, now, then, eta)
        assert float(x_s.mean()) == pytest.approx(3 * math.sqrt(then), abs=0.01)
        assert float(x_s.var()) == pytest.approx(1 - float(then), abs=0.01)


def gaussian(mean, variance, diffusion):
    """The best predictor of the noise in x_t, if x_0 is Gaussian: E[epsilon | x_t]."""

    def predict(x_t, t):
        level = diffusion.alpha_bar[t]
        return (1 - level).sqrt() * (x_t - level.sqrt() * mean) / (level * variance + 1 - level)

    return predict


@pytest.mark.parametrize(("sampler", "eta", "steps", "tolerance"),
                         [("ddpm", 0.0, 1000, 0.02), ("ddim", 0.0, 1000, 0.02), ("ddim", 1.0, 1000, 0.02),
                          ("ddim", 0.0, 50, 0.08)])  # fmt: skip
def test_the_best_predictor_of_a_gaussian_samples_that_gaussian(sampler, eta, steps, tolerance):
    """Its mean and its standard deviation, the latter up to what large steps lose."""
    diffusion, draw = Diffusion(), stream("gaussian", sampler)
    start = torch.randn(50_000, generator=draw, dtype=torch.float64)
    fresh = lambda x: torch.randn(x.shape, generator=draw, dtype=x.dtype)  # noqa: E731
    x_0 = sample(gaussian(1.5, 0.25, diffusion), start, diffusion, Sampling(steps, sampler, eta), fresh)
    assert float(x_0.mean()) == pytest.approx(1.5, abs=0.02)
    assert float(x_0.std()) == pytest.approx(0.5, rel=tolerance)


def test_ddim_without_fresh_noise_is_deterministic_and_draws_nothing():
    diffusion, start = Diffusion(), torch.randn(9, generator=stream("start"))

    def never(x):
        raise AssertionError("noise was drawn")

    first, second = (
        sample(gaussian(0.0, 1.0, diffusion), start, diffusion, Sampling(50), draw=never) for _ in range(2)
    )
    assert torch.equal(first, second)


def test_from_zero_ddim_goes_to_the_mean_of_a_gaussian():
    """The path is an affine map of the start, and the start's mean ends at the target's."""
    diffusion = Diffusion()
    x_0 = sample(gaussian(-0.7, 0.3, diffusion), torch.zeros(3, dtype=torch.float64), diffusion, Sampling(1000))
    torch.testing.assert_close(x_0, torch.full_like(x_0, -0.7), atol=0.01, rtol=0)
