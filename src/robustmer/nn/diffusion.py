r"""Gaussian diffusion (CDTP 3.4, eqs. 3-9): the forward process, and the reverse process in steps of DDPM or DDIM.

Step t of the forward process mixes a clean x_0 with noise, less of the one and more of the other as t grows:
alpha_bar_t is the share of the signal's power that is left, 1 at t = 0 and almost 0 at t = T. The reverse process
begins with pure noise; each of its steps goes from t to an earlier s, with a network's prediction `epsilon` of the
noise in x_t. In the paper s = t - 1; on a sub-sequence of steps the same equations hold with alpha_t = alpha_bar_t /
alpha_bar_s.

The levels `alpha_bar_t`, `alpha_bar_s` are tensors that broadcast against x: a scalar in sampling, (batch, 1, 1) in
training, where each sample has its own t. Unlike NMER's scheduler, which has a schedule of T steps for each level, one
schedule is fixed, and alpha_bar_t is the product of its first t factors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from robustmer.noise import Linear

Values = Float[Tensor, "*shape"]
Level = Float[Tensor, "..."]


@dataclass(frozen=True)
class Diffusion:
    """T = `steps` of the forward process, and their betas.

    The defaults are those of DDPM (Ho et al. 2020, section 4) and of CDTP's released code; the paper states none. x_0
    should have about unit variance.
    """

    steps: int = 1000
    schedule: Linear = Linear(1e-4, 0.02)

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"Diffusion(steps={self.steps}): T is an integer greater than zero")

    @cached_property
    def alpha_bar(self) -> Float[Tensor, "levels"]:
        r"""\bar\alpha_t for t = 0 .. T, so T + 1 numbers in float64; the first is 1."""
        kept = 1 - self.schedule.betas(self.steps)
        return torch.cat([torch.ones(1, dtype=kept.dtype), kept.cumprod(0)])

    def path(self, count: int) -> list[tuple[int, int]]:
        """The reverse process in `count` steps of about equal length, as pairs (t, s) from T to 0.

        Raises ValueError for a count outside 1 .. T.

        >>> Diffusion(steps=1000).path(4)
        [(1000, 750), (750, 500), (500, 250), (250, 0)]
        """
        if not 1 <= count <= self.steps:
            raise ValueError(f"{count} sampling steps were given; with T={self.steps} give 1 to {self.steps}")
        times = [round(i * self.steps / count) for i in range(count, -1, -1)]
        return list(zip(times[:-1], times[1:], strict=True))


def noised(x_0: Values, epsilon: Values, alpha_bar_t: Level) -> Values:
    r"""Eq. 4: x_t = \sqrt{\bar\alpha_t} x_0 + \sqrt{1 - \bar\alpha_t} \epsilon.

    The paper prints sqrt(alpha_t); the product of eq. 3 over t, and eq. 8, need alpha_bar_t.
    """
    return alpha_bar_t.sqrt() * x_0 + (1 - alpha_bar_t).sqrt() * epsilon


def denoised(x_t: Values, epsilon: Values, alpha_bar_t: Level) -> Values:
    r"""Eq. 8: \hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t} \epsilon) / \sqrt{\bar\alpha_t}, eq. 4 solved for x_0."""
    return (x_t - (1 - alpha_bar_t).sqrt() * epsilon) / alpha_bar_t.sqrt()


def posterior_variance(alpha_bar_t: Level, alpha_bar_s: Level) -> Level:
    r"""Before eq. 6: \tilde\beta_t = (1 - \bar\alpha_s) / (1 - \bar\alpha_t) \beta_t with \beta_t = 1 - \alpha_t."""
    return (1 - alpha_bar_s) / (1 - alpha_bar_t) * (1 - alpha_bar_t / alpha_bar_s)


def ddpm_step(x_t: Values, epsilon: Values, xi: Values | float, alpha_bar_t: Level, alpha_bar_s: Level) -> Values:
    r"""Eqs. 6-7: x_s = (x_t - (1 - \alpha_t) / \sqrt{1 - \bar\alpha_t} \epsilon) / \sqrt{\alpha_t}
    + \sqrt{\tilde\beta_t} \xi, with fresh noise \xi."""
    alpha_t = alpha_bar_t / alpha_bar_s
    mean = (x_t - (1 - alpha_t) / (1 - alpha_bar_t).sqrt() * epsilon) / alpha_t.sqrt()
    return mean + posterior_variance(alpha_bar_t, alpha_bar_s).sqrt() * xi


def ddim_step(
    x_t: Values, epsilon: Values, xi: Values | float, alpha_bar_t: Level, alpha_bar_s: Level, eta: float = 0.0
) -> Values:
    r"""Eq. 9: x_s = \sqrt{\bar\alpha_s} \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma_t^2} \epsilon + \sigma_t \xi.

    The paper's fraction in the second term is epsilon itself. Its upper end of sigma_t is negative for every t; we take
    DDIM's own (Song et al. 2021, eq. 16), sigma_t = eta sqrt(posterior variance): eta = 0 is deterministic, as in the
    paper, and eta = 1 is DDPM.
    """
    sigma = eta * posterior_variance(alpha_bar_t, alpha_bar_s).sqrt()
    along = (1 - alpha_bar_s - sigma**2).clamp(min=0).sqrt()
    return alpha_bar_s.sqrt() * denoised(x_t, epsilon, alpha_bar_t) + along * epsilon + sigma * xi


START = ("noise", "zero", "mean")


@dataclass(frozen=True)
class Sampling:
    """How a trained diffusion is sampled: in `steps` steps of "ddpm" (eqs. 6-7; the paper's are all T) or "ddim"
    (eqs. 8-9, with `eta`). The paper states no number of steps.

    `start="noise"` is the paper's x_T ~ N(0, I), so that the result is one draw from the distribution of the missing
    modality. A draw of the true distribution has twice the squared error of that distribution's mean. "zero" begins at
    x_T = 0, the centre of all starts, from which DDIM reaches the mean if the distribution is Gaussian. "mean" needs
    no diffusion: the mean over the train split, zeros, is imputed.
    """

    steps: int = 20
    sampler: str = "ddim"
    eta: float = 0.0
    start: str = "noise"

    def __post_init__(self):
        if self.start not in START:
            raise ValueError(f'start={self.start!r}: give "noise" (the paper\'s), "zero" or "mean" (no diffusion)')
        if self.sampler not in ("ddpm", "ddim"):
            raise ValueError(f'sampler={self.sampler!r}: give "ddpm" or "ddim"')
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta={self.eta}: give a number from 0 (deterministic) to 1 (the variance of DDPM)")
        Diffusion().path(self.steps)


def sample(
    predict: Callable[[Values, int], Values],
    start: Values,
    diffusion: Diffusion = Diffusion(),
    sampling: Sampling = Sampling(steps=50),
    draw: Callable[[Values], Values] = torch.randn_like,
) -> Values:
    """From x_T = `start` to x_0; `predict(x_t, t)` predicts the noise in x_t.

    `draw` makes the fresh noise, like the tensor that it is given; it is not called where the variance is 0, in all of
    DDIM with eta = 0 and in the last step. Raises ValueError for more steps than T.
    """
    x = start
    for t, s in diffusion.path(sampling.steps):
        alpha_bar_t, alpha_bar_s = diffusion.alpha_bar[t], diffusion.alpha_bar[s]
        epsilon = predict(x, t)
        xi = draw(x) if s > 0 and (sampling.sampler == "ddpm" or sampling.eta > 0) else 0.0
        if sampling.sampler == "ddpm":
            x = ddpm_step(x, epsilon, xi, alpha_bar_t, alpha_bar_s)
        else:
            x = ddim_step(x, epsilon, xi, alpha_bar_t, alpha_bar_s, sampling.eta)
    return x
