r"""The noise scheduler of NMER section 2.2: kinds of noise, their level, and their addition to features.

Making noise and adding it are two steps. A *kind* makes a noise tensor: `Gaussian()`, `Impulse(p)`, or any callable
`(shape, generator) -> Tensor` of yours. A *schedule* says how the noise grows over T steps. `NoiseScheduler` joins the
two and finds T for a wanted signal-to-noise ratio. The equations are the pure functions below.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MAX_STEPS = 1000  # with the linear schedule and unit variance this is -225 dB: nothing is left to search beyond


def stream(*names: object, device: str | torch.device = "cpu") -> torch.Generator:
    """A random stream named after what it draws: the same names give the same numbers, on every run.

    >>> torch.rand(1, generator=stream("noise", 0)) == torch.rand(1, generator=stream("noise", 0))
    tensor([True])
    """
    digest = hashlib.sha256("/".join(map(str, names)).encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(digest[:7], "big"))


# --- kinds of noise ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gaussian:
    """Standard normal noise, variance 1 (NMER 2.2.2)."""

    power = 1.0

    def __call__(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device)


@dataclass(frozen=True)
class Impulse:
    """A share p of the values is +1 or -1, the others 0 (NMER 2.2.2, p = 0.3 in 3.3).

    Its variance is p, not 1: at the same T its SNR is 10 log10(1/p) dB better than eq. 5 says, 5.23 dB for p = 0.3.
    """

    p: float = 0.3

    def __post_init__(self):
        if not 0 < self.p <= 1:
            raise ValueError(f"Impulse(p={self.p}): p is the share of noisy values, above 0 and at most 1")

    @property
    def power(self) -> float:
        return self.p

    def __call__(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        u = torch.rand(shape, generator=generator, device=generator.device)
        return (u < self.p / 2).float() - ((self.p / 2 <= u) & (u < self.p)).float()


@dataclass(frozen=True)
class Zeros:
    """Zeros in place of noise. The share of the signal that a schedule removes is not replaced: with `ZEROS` a modality
    is zero and still counts as present, as in the work before NMER (3.2). Its power is 0, so the true SNR is inf, or
    -inf where no signal is left."""

    power = 0.0

    def __call__(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        return torch.zeros(shape, device=generator.device)


Kind = Callable[[tuple[int, ...], torch.Generator], Tensor]


def kind_name(kind: Kind) -> str:
    """The name of a kind in tables: `gaussian`, `impulse`, or that of a user's function or class."""
    return (getattr(kind, "__name__", None) or type(kind).__name__).lower()


def kind_power(kind: Kind) -> float:
    """The mean square of a kind's noise: its attribute `power`, else measured on 2^18 values."""
    if hasattr(kind, "power"):
        return float(kind.power)
    return float(draw(kind, (64, 64, 64), stream("power of", kind_name(kind))).double().square().mean())


def draw(kind: Kind, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise of this kind and shape. Raises ValueError where a user's callable returns anything else."""
    noise = kind(shape, generator)
    if not isinstance(noise, Tensor) or noise.shape != torch.Size(shape):
        came = f"a tensor of shape {tuple(noise.shape)}" if isinstance(noise, Tensor) else type(noise).__name__
        raise ValueError(
            f"noise {kind_name(kind)!r} was called for a tensor of shape {tuple(shape)} and returned {came}; "
            "a kind is a callable (shape, generator) -> tensor of that shape"
        )
    return noise


# --- schedules --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Linear:
    """beta grows linearly from `start` to `stop` over exactly T steps (NMER eq. 1 and 2.2.2).

    The paper does not state the shape: beta progresses from start to stop "after T steps".
    """

    start: float = 0.001
    stop: float = 0.1

    def betas(self, steps: int) -> Float[Tensor, "steps"]:
        return torch.linspace(self.start, self.stop, steps, dtype=torch.float64)


@dataclass(frozen=True)
class ScaledLinear:
    """The square root of beta grows linearly: the default of the paper's released code, there from 0.01 to 0.5."""

    start: float = 0.001
    stop: float = 0.1

    def betas(self, steps: int) -> Float[Tensor, "steps"]:
        return torch.linspace(self.start**0.5, self.stop**0.5, steps, dtype=torch.float64).square()


# --- the equations ----------------------------------------------------------------------------------------------------


def alpha_bar(betas: Float[Tensor, "steps"]) -> float:
    r"""NMER eq. 2: \bar\alpha_T = \prod_t (1 - \beta_t), the share of the signal's power after T steps."""
    return float((1 - betas.double()).prod())


def add_noise(
    x: Float[Tensor, "batch time ..."], noise: Float[Tensor, "batch time ..."], alpha_bar: float
) -> Float[Tensor, "batch time ..."]:
    r"""NMER eq. 3: E_T = \sqrt{\bar\alpha_T} E_0 + \sqrt{1 - \bar\alpha_T} \epsilon."""
    return math.sqrt(alpha_bar) * x + math.sqrt(1 - alpha_bar) * noise


def iterate_noise(
    x: Float[Tensor, "batch time dim"], betas: Float[Tensor, "steps"], kind: Kind, generator: torch.Generator
) -> Float[Tensor, "batch time dim"]:
    """NMER Algorithm 1, step by step. For Gaussian noise eq. 3 has the same distribution in one step; for other kinds
    it has the same mean and variance but another shape: a sum of many small impulses is almost Gaussian."""
    for beta in betas.tolist():
        x = math.sqrt(1 - beta) * x + math.sqrt(beta) * draw(kind, tuple(x.shape), generator).to(x)
    return x


def snr_db(alpha_bar: float, variance: float, power: float = 1.0) -> float:
    r"""NMER eqs. 4-5 in dB: 10 log10(\bar\alpha_T \sigma^2 / (1 - \bar\alpha_T)), for noise of the given power.

    With power 1, as in the paper, this is the nominal SNR; with the power of the noise it is the true one. `variance`
    is that of the features (eq. 4), which is their power only if they are centred.

    >>> round(snr_db(0.5, variance=1.0), 2), round(snr_db(0.5, variance=1.0, power=0.3), 2)
    (0.0, 5.23)
    """
    if alpha_bar >= 1:
        return math.inf
    if alpha_bar <= 0 or variance <= 0:
        return -math.inf
    if power <= 0:
        return math.inf
    return 10 * math.log10(alpha_bar * variance / ((1 - alpha_bar) * power))


def variance_for(wanted_db: float, alpha_bar: float) -> float:
    """Eq. 5 solved for sigma^2: the variance of features whose SNR is `wanted_db`.

    >>> round(variance_for(0.0, 0.5), 3), round(variance_for(10.0, 0.5), 3)
    (1.0, 10.0)
    """
    return 10 ** (wanted_db / 10) * (1 - alpha_bar) / alpha_bar


@lru_cache(maxsize=16)
def alpha_bars(schedule) -> Float[Tensor, "steps"]:
    """alpha_bar_T for T = 1 .. MAX_STEPS, each from a schedule of exactly T steps."""
    return torch.tensor([alpha_bar(schedule.betas(steps)) for steps in range(1, MAX_STEPS + 1)], dtype=torch.float64)


def steps_for(wanted_db: float, variance: float, schedule=Linear(), tolerance_db: float | None = 1.0) -> int:
    """The T whose nominal SNR (eq. 5) is nearest to the wanted one, for features of this variance.

    T is an integer, so the SNR differs from the wanted one: by up to 0.5 dB at T near 5 and more below. Raises
    ValueError, with the levels on either side, where it differs by more than `tolerance_db` (None: any nearest level).

    >>> [steps_for(level, variance=1.0) for level in (-10, -20, -30, -40)]
    [46, 88, 132, 176]
    """
    if not (math.isfinite(variance) and variance > 0):
        raise ValueError(
            f"features of variance {variance:g} have no SNR of {wanted_db:g} dB: without a positive variance there is "
            "no signal; give T by `steps`, or other features"
        )
    levels = [snr_db(a, variance) for a in alpha_bars(schedule).tolist()]
    nearest = min(range(MAX_STEPS), key=lambda i: abs(levels[i] - wanted_db))
    if tolerance_db is not None and not abs(levels[nearest] - wanted_db) <= tolerance_db:
        around = [f"T={i + 1}: {levels[i]:.1f} dB" for i in (nearest - 1, nearest, nearest + 1) if 0 <= i < MAX_STEPS]
        raise ValueError(
            f"an SNR of {wanted_db:g} dB is out of reach for features of variance {variance:.3g} under {schedule}; "
            f"the nearest are {', '.join(around)}. Ask for one of these, or take the nearest with tolerance_db=None"
        )
    return nearest + 1


# --- the scheduler ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Level:
    """The level of a scheduler for features of one variance: T, alpha_bar, the SNR by eq. 5 and the true one, in dB."""

    steps: int
    alpha_bar: float
    nominal_db: float
    true_db: float


@dataclass(frozen=True)
class NoiseScheduler:
    """A kind of noise at a level: `snr_db` (T follows from each modality's variance) or T itself (`steps`).

    >>> NoiseScheduler(Gaussian(), snr_db=-10).at(variance=1.0).steps
    46
    """

    kind: Kind = Gaussian()
    snr_db: float | None = None
    steps: int | None = None
    schedule: Linear | ScaledLinear = Linear()
    tolerance_db: float | None = 1.0

    def __post_init__(self):
        if not callable(self.kind):
            raise TypeError(
                f"kind={self.kind!r}: give Gaussian(), Impulse(p) or a callable (shape, generator) -> tensor"
            )
        if (self.snr_db is None) == (self.steps is None):
            raise ValueError(f"NoiseScheduler got snr_db={self.snr_db} and steps={self.steps}: give exactly one")
        if self.steps is not None and (not isinstance(self.steps, int) or self.steps < 1):
            raise ValueError(
                f"steps={self.steps!r}: T is an integer greater than zero (NMER 2.2.2); for no noise leave "
                "the modality out of Condition(noise=...)"
            )
        if self.snr_db is not None and not math.isfinite(self.snr_db):
            raise ValueError(f"snr_db={self.snr_db}: give a finite number of decibels")

    def __str__(self) -> str:
        kind = repr(self.kind) if hasattr(self.kind, "__dataclass_fields__") else kind_name(self.kind)
        return f"{kind} {f'{self.snr_db:g} dB' if self.steps is None else f'T={self.steps}'} {self.schedule}"

    @property
    def name(self) -> str:
        """The kind in tables."""
        return kind_name(self.kind)

    @property
    def level(self) -> str:
        """The level in tables: decibels, or T where `steps` was given."""
        return f"{self.snr_db:g}" if self.steps is None else f"T={self.steps}"

    @lru_cache(maxsize=256)  # noqa: B019 - schedulers are few, small and frozen
    def at(self, variance: float) -> Level:
        """The level for features of this variance. Raises ValueError for noise that ignores its generator."""
        shape = (4, 4, 4)
        if not torch.equal(draw(self.kind, shape, stream("twice")), draw(self.kind, shape, stream("twice"))):
            raise ValueError(
                f"noise {kind_name(self.kind)!r} differs between two draws from the same stream: draw all random "
                "numbers from the generator that it is given, e.g. torch.randn(shape, generator=generator)"
            )
        steps = self.steps or steps_for(self.snr_db, variance, self.schedule, self.tolerance_db)
        kept = alpha_bar(self.schedule.betas(steps))
        return Level(steps, kept, snr_db(kept, variance), snr_db(kept, variance, kind_power(self.kind)))

    def __call__(
        self,
        x: Float[Tensor, "batch time ..."],
        mask: Bool[Tensor, "batch time"],
        variance: float,
        generator: torch.Generator,
    ) -> Float[Tensor, "batch time ..."]:
        """Noisy features by eq. 3; padding stays zero."""
        noise = draw(self.kind, tuple(x.shape), generator).to(x)
        return add_noise(x, noise, self.at(variance).alpha_bar) * mask.reshape(*mask.shape, *[1] * (x.ndim - 2))


ZEROS = NoiseScheduler(Zeros(), steps=1, schedule=Linear(1.0, 1.0))
"""Zero-filling: one step with beta = 1, after which the signal is exactly zero (eq. 2)."""
