"""Dependence of two views estimated by networks: MINE, InfoNCE and deep canonical correlations, read on held-out pairs.

    curve = mine(train, valid, test, stream("MINE", seed))       # three times Pairs(x, y)
    curve.value                                                  # nats, on the test pairs

Networks learn on the train pairs, the validation pairs choose the step, the test pairs give the value. A bound read on
the pairs that its network has learnt is no bound: it keeps rising while the network memorises pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robustmer.metrics.dependence import RIDGE, canonical_correlations, canonical_maps
from robustmer.nn.contrast import cpc
from robustmer.nn.encoders import mlp

Codes, Mask, Scalar = Float[Tensor, "batch dim"], Bool[Tensor, "batch"], Float[Tensor, ""]
CHECKS = 20
"""How often a curve is read during a training."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Two views of the same samples, (pair, dim_x) and (pair, dim_y), kept in float32. Raises ValueError for views of
    different lengths, fewer than two pairs and values that are not finite."""

    x: Float[Tensor, "pair dim_x"]
    y: Float[Tensor, "_ dim_y"]

    def __post_init__(self):
        object.__setattr__(self, "x", self.x.float())
        object.__setattr__(self, "y", self.y.float())
        if self.x.ndim != 2 or self.y.ndim != 2 or len(self.x) != len(self.y) or len(self.x) < 2:
            shapes = f"{tuple(self.x.shape)} and {tuple(self.y.shape)}"
            raise ValueError(f"views of shape {shapes} are no pairs; give each of two or more samples a row in both")
        if not (self.x.isfinite().all() and self.y.isfinite().all()):
            raise ValueError(f"{len(self)} pairs hold a value that is not finite; leave its sample out")

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> Pairs:
        return Pairs(self.x[index], self.y[index])

    def shuffled(self, generator: torch.Generator) -> Pairs:
        """Each x with the y of another pair: a random cyclic derangement."""
        order = torch.randperm(len(self), generator=generator).to(self.x.device)
        return Pairs(self.x[order], self.y[order.roll(1)])


@dataclass(frozen=True, eq=False)
class Curve:
    """A measure by optimizer step. `train` is a mean over the batches since the last check, each read while learnt."""

    step: Int[Tensor, "check"]
    train: Float[Tensor, "check"]
    valid: Float[Tensor, "check"]
    test: Float[Tensor, "check"]

    @property
    def value(self) -> float:
        """The measure on the test pairs at the step that is best on the validation pairs."""
        return float(self.test[self.valid.argmax()])


def mine(
    train: Pairs, valid: Pairs, test: Pairs, generator: torch.Generator, steps: int = 2000, batch: int = 512
) -> Curve:
    """Mutual information in nats, from below, by the Donsker-Varadhan bound E_P T - log E_Q e^T (MCWSA, Fig. 8;
    Belghazi et al. 2018). T has two hidden layers of 100 ELUs and learns by Adam at 1e-3. P are the pairs and Q fresh
    derangements of them. Held-out values use ten derangements and are bounds up to their sampling error."""
    critic = network(generator, train.x.shape[1] + train.y.shape[1], 100, 100, 1).to(train.x.device)
    score = lambda pairs: critic(torch.cat([pairs.x, pairs.y], dim=1))[:, 0]  # noqa: E731
    average = torch.zeros((), device=train.x.device)

    def learn(pairs: Pairs) -> tuple[Scalar, Scalar]:
        nonlocal average
        joint, log_mean = score(pairs).mean(), log_mean_exp(score(Pairs(pairs.x, pairs.y.roll(1, 0))))
        average, weight = moving_average(average, log_mean)
        return weight * log_mean - joint, joint - log_mean

    def read(pairs: Pairs) -> Scalar:
        draws = torch.Generator().manual_seed(0)  # the same at every check
        return score(pairs).mean() - log_mean_exp(torch.cat([score(pairs.shuffled(draws)) for _ in range(10)]))

    return follow([critic], learn, read, (train, valid, test), generator, steps, batch)


def log_mean_exp(score: Float[Tensor, "sample"]) -> Scalar:
    return score.logsumexp(0) - math.log(len(score))


def moving_average(average: Scalar, log_mean: Scalar, rate: float = 0.01) -> tuple[Scalar, Scalar]:
    """The logarithm of the moving average of E_Q e^T with this batch, and exp(log_mean - average), both constants. As a
    weight of the gradient of log E_Q e^T it replaces the batch's mean by the average, which removes the bias."""
    log_mean = log_mean.detach()
    average = torch.logaddexp(average + math.log(1 - rate), log_mean + math.log(rate))
    return average, (log_mean - average).exp()


def info_nce(
    train: Pairs, valid: Pairs, test: Pairs, generator: torch.Generator, steps: int = 2000, batch: int = 512
) -> Curve:
    """Mutual information in nats, from below, by contrast: log B - `cpc`, at most log B for B pairs (van den Oord et al.
    2018). Each view has a network as in `mine`, with 32 outputs; the temperature 0.1 lets cosines express 20 nats.
    Held-out pairs are read in parts of B or fewer. The variance is lower than MINE's, the bias larger."""
    of_x, of_y = (network(generator, view.shape[1], 100, 100, 32).to(view.device) for view in (train.x, train.y))

    def bound(pairs: Pairs) -> Scalar:
        mask = torch.ones(len(pairs), dtype=torch.bool, device=pairs.x.device)
        return math.log(len(pairs)) - cpc(of_x(pairs.x), of_y(pairs.y), mask, temperature=0.1)

    def learn(pairs: Pairs) -> tuple[Scalar, Scalar]:
        value = bound(pairs)
        return -value, value

    def read(pairs: Pairs) -> Scalar:
        order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).to(pairs.x.device)
        return torch.stack([bound(pairs[part]) for part in order.tensor_split(-(-len(pairs) // batch))]).mean()

    return follow([of_x, of_y], learn, read, (train, valid, test), generator, steps, batch)


def dcca(
    train: Pairs, valid: Pairs, test: Pairs, generator: torch.Generator, k: int = 10, hidden: Sequence[int] = (100,),
    steps: int = 300,
) -> Curve:  # fmt: skip
    """The sum of k canonical correlations of two networks' outputs, at most k (MCWSA, Fig. 9; Andrew et al. 2013).

    Networks with `hidden` ELUs (none: linear) learn on all train pairs at once. Held-out values project the outputs by
    the linear maps of the train pairs. Raises ValueError for no more train pairs than outputs."""
    if len(train) <= 2 * k:
        needed = f"DCCA with two times {k} outputs needs more than {2 * k} train pairs"
        raise ValueError(f"{needed}, and {len(train)} were given; give more pairs or a smaller k")
    of_x, of_y = (network(generator, view.shape[1], *hidden, k).to(view.device) for view in (train.x, train.y))

    def learn(pairs: Pairs) -> tuple[Scalar, Scalar]:
        total = canonical_correlations(of_x(pairs.x), of_y(pairs.y), RIDGE).sum()
        return -total, total

    def read(pairs: Pairs) -> Scalar:
        return canonical_maps(of_x(train.x), of_y(train.y)).correlations(of_x(pairs.x), of_y(pairs.y)).sum()

    return follow([of_x, of_y], learn, read, (train, valid, test), generator, steps, len(train), lr=1e-2)


def network(generator: torch.Generator, *sizes: int) -> nn.Sequential:
    """Linear layers of these sizes with ELUs between them; the generator draws the first weights."""
    with torch.random.fork_rng([]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        return mlp(*sizes, activation=nn.ELU, kaiming=False)


def follow(
    networks: Sequence[nn.Module], learn: Callable[[Pairs], tuple[Scalar, Scalar]], read: Callable[[Pairs], Scalar],
    splits: tuple[Pairs, Pairs, Pairs], generator: torch.Generator, steps: int, batch: int, lr: float = 1e-3,
) -> Curve:  # fmt: skip
    """Train by Adam on random batches of the train pairs, and read the curve at equal distances. `learn` returns the loss
    and the measure of a batch, `read` the measure of a split."""
    train, *held_out = splits
    optimizer = torch.optim.Adam([p for part in networks for p in part.parameters()], lr=lr)
    checks, rows = sorted({round((i + 1) * steps / CHECKS) for i in range(CHECKS)} - {0}), []
    for done, until in pairwise([0, *checks]):
        values = []
        for _ in range(done, until):
            index = torch.randperm(len(train), generator=generator)[:batch].to(train.x.device)
            loss, value = learn(train[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            values.append(value.detach())
        with torch.no_grad():
            rows.append(torch.stack([torch.stack(values).mean(), *map(read, held_out)]).double().cpu())
    return Curve(torch.tensor(checks), *torch.stack(rows, dim=1))
