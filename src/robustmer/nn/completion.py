"""Missing modalities completed by conditional diffusion (CDTP 3.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from robustmer.batch import Batch
from robustmer.nn.crossmodal import available, positions
from robustmer.nn.diffusion import Diffusion, noised, sample
from robustmer.nn.prompts import filled, mean_over_segments
from robustmer.nn.unet import EachFrame, TimeEmbedding, UNet, convolution, norm
from robustmer.noise import stream

Features = dict[str, Tensor]
"""Per modality (rows, dim, frames), where the rows of a modality are those in which it is asked for."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for: for each modality the rows in which it is to be completed, and for all of these, one modality
    below another, the condition and the case (which modality is asked for, which ones are given)."""

    rows: dict[str, Int[Tensor, "_"]]
    condition: Float[Tensor, "wanted channels frame"]
    case: Float[Tensor, "wanted twice_modalities"]


class Completion(nn.Module):
    r"""What a missing modality may have looked like, given the others: a noise predictor (eq. 5) and a sampler.

    A modality is `frames` frames here: the means over as many equal parts of its real frames. x_0 is that sequence of
    the missing modality, as recorded: known in training, never read at test. The condition c is Conv1D, GELU, Conv1D
    of each available modality, normalised, side by side, zeros in the place of one that is not available. (The paper
    also computes x_tgt "from the condition" and calls the missing one x_cond; eqs. 3-5 want it this way round.) One
    U-Net serves all cases: it is told which modality is asked for and which ones are given, and linear maps lead from
    each modality's width to its own and back. So all completions of a batch are one call a step, and two or three
    modalities of any widths will do.

    The predicted noise is \sqrt{1 - \bar\alpha_t} x_t + \sqrt{\bar\alpha_t} U([c, x_t], t), where U has a residual
    connection around the whole U-Net with a gate for each feature. Without it a text feature of 768 values would have
    to pass 128 channels, and so would the noise in it, which no compression keeps. U begins at zero, where the first
    term is the best guess for white features of variance 1. Eq. 5 is untouched. x_0 should have about unit variance, as
    standardised corpora give it; its estimate is not clipped, because standardised features have no bound.

    Sampling takes `steps` steps of "ddim" or "ddpm"; the paper does not say how many. The page on conditional diffusion
    shows what more of them change.

    `start` is where sampling begins: "noise" is the paper's x_T ~ N(0, I), so that the result is one draw from
    what the missing modality may have been. A draw of the true distribution has twice the squared error of that
    distribution's mean. "zero" begins at x_T = 0, the middle of all starts, from where DDIM goes to the mean itself if
    the distribution is Gaussian. "mean" leaves the diffusion out: the mean itself, zeros, stands in, against which the
    others can be held. In training mode noise comes from torch's global stream; at evaluation each utterance
    has a stream of its own, named by its id, so that its completion does not depend on its neighbours. (One noise for
    all would be simpler, but where the condition says little every utterance would then get the same draw.)
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        frames: int = 1,
        widths: Sequence[int] = (128, 256),
        condition: int = 64,
        inject: str = "concat",
        steps: int = 20,
        sampler: str = "ddim",
        eta: float = 0.0,
        start: str = "noise",
    ):
        super().__init__()
        if frames < 1:
            raise ValueError(f"frames={frames}: a modality is completed as one frame or more")
        if start not in ("noise", "zero", "mean"):
            raise ValueError(f'start={start!r}: give "noise" (the paper\'s), "zero" (the middle of all starts) or '
                             '"mean" (no diffusion)')
        self.dims, self.frames, self.diffusion = dict(dims), frames, Diffusion()
        self.steps, self.sampler, self.eta, self.start = steps, sampler, eta, start
        sample(lambda x, t: x, torch.zeros(1), self.diffusion, steps, sampler, eta)  # refuses now what it would later
        kernel = 3 if frames > 1 else 1
        width = widths[0]
        # Normalised, the condition is as loud as x_t from the start. Otherwise some trainings listened to it very late.
        self.encoders = nn.ModuleDict({
            m: nn.Sequential(convolution(dim, condition, kernel), nn.GELU(),
                             convolution(condition, condition, kernel), norm(condition))
            for m, dim in dims.items()
        })  # fmt: skip
        self.time = TimeEmbedding(width, self.diffusion.steps)
        self.case = nn.Linear(2 * len(dims), width)
        self.into = nn.ModuleDict({m: EachFrame(dim, width) for m, dim in dims.items()})
        self.unet = UNet(width, len(dims) * condition, width, widths, kernel, inject)
        self.out = nn.ModuleDict({m: EachFrame(width, dim) for m, dim in dims.items()})
        self.gate = nn.ModuleDict({m: nn.Linear(width, dim) for m, dim in dims.items()})
        for layer in [*self.out.values(), *self.gate.values()]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    # --- training -----------------------------------------------------------------------------------------------------

    def loss(self, clean: Batch) -> dict[str, Float[Tensor, ""]]:
        """Eq. 5, the mean over all completions and their elements, so that wide modalities weigh no more than others.

        Each row draws what it has to do without from what it has: every choice that leaves something and lacks
        something is equally likely. A row of a single modality teaches what that looks like without any condition.
        """
        here = self.here(clean)
        features = self.features(clean)
        given = draw_given(here)
        wanted = self.wanted(features, given, here & ~given)
        t = torch.randint(1, self.diffusion.steps + 1, (len(wanted.case),), device=here.device)
        levels = self.diffusion.alpha_bar.to(wanted.case)[t]
        x_0 = {m: features[m][rows] for m, rows in wanted.rows.items()}
        epsilon = {m: torch.randn_like(x) for m, x in x_0.items()}
        each = by_modality(rearrange(levels, "n -> n 1 1"), x_0)
        x_t = {m: noised(x, epsilon[m], each[m]) for m, x in x_0.items()}
        guess = self.predict(x_t, t, levels, wanted)
        errors = [(guess[m] - epsilon[m]).square().mean((1, 2)) for m in x_0]
        return {"diffusion": torch.cat(errors).mean()}

    def error(self, clean: Batch) -> Float[Tensor, ""]:
        """Eq. 5 of validation rows, each drawn eight times: of one draw each, little would be known."""
        return self.loss(clean[torch.arange(len(clean)).repeat(8)])["diffusion"]

    # --- completion ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def complete(self, seen: Batch) -> dict[str, Float[Tensor, "batch frame dim"]]:
        """For each modality that some rows lack: its completion in these rows, zeros in the others.

        Nothing is computed for rows that have everything, and nothing is returned for a batch that lacks nothing.
        """
        here = self.here(seen)
        needy = (~here).any(1).nonzero().flatten()
        if not len(needy):
            return {}
        if self.start == "mean":
            return mean_imputation(seen, self.frames)
        some = seen[needy]
        wanted = self.wanted(self.features(some), here[needy], ~here[needy])
        ids = {m: some.id[rows.cpu().numpy()] for m, rows in wanted.rows.items()}
        draws = {m: self.noise_like(m, each, here.device) for m, each in ids.items()}
        draw = lambda: {m: next(d) for m, d in draws.items()}  # noqa: E731
        first = draw()
        shapes = {m: x.shape for m, x in first.items()}

        def predict(flat: Tensor, t: int) -> Tensor:
            times = torch.full((len(wanted.case),), t, device=here.device)
            levels = self.diffusion.alpha_bar.to(wanted.case)[times]
            return flatten(self.predict(unflatten(flat, shapes), times, levels, wanted))

        start = flatten(first) if self.start == "noise" else torch.zeros_like(flatten(first))
        x_0 = sample(predict, start, self.diffusion, self.steps, self.sampler, self.eta, lambda x: flatten(draw()))
        completed = {}
        for m, x in unflatten(x_0, shapes).items():
            completed[m] = x.new_zeros(len(seen), self.frames, self.dims[m])
            completed[m][needy[wanted.rows[m]]] = rearrange(x, "n d f -> n f d")
        return completed

    def fill(self, seen: Batch) -> Batch:
        """The batch with every modality present: as recorded where it was, completed (`frames` real frames) where not.
        It is `seen` itself if nothing is missing."""
        completed = self.complete(seen)
        if not completed:
            return seen
        x, real, present = dict(seen.x), dict(seen.real), dict(seen.present)
        for m, frames in completed.items():
            x[m], real[m] = filled(x[m], real[m], frames, available(seen, m))
            present[m] = torch.ones_like(present[m])
        return seen.replace(x=x, real=real, present=present)

    def noise_like(self, modality: str, ids: np.ndarray, device: torch.device) -> Iterator[Tensor]:
        """Endless noise (rows, dim, frames): fresh in training; at evaluation an utterance always has the same."""
        shape = (self.dims[modality], self.frames)
        if self.training:
            while True:
                yield torch.randn(len(ids), *shape, device=device)
        own = [stream("completion", modality, id) for id in ids]  # on the CPU: the device does not change the noise
        while True:
            yield torch.stack([torch.randn(shape, generator=generator) for generator in own]).to(device)

    # --- the noise predictor ------------------------------------------------------------------------------------------

    def here(self, batch: Batch) -> Bool[Tensor, "batch modality"]:
        return torch.stack([available(batch, m) for m in self.dims], dim=1)

    def features(self, batch: Batch) -> dict[str, Float[Tensor, "batch dim frame"]]:
        """Each modality in `frames` frames; whatever stands where it is absent is replaced by zeros."""
        features = {}
        for m in self.dims:
            there = rearrange(available(batch, m), "b -> b 1 1")
            means = mean_over_segments(torch.where(there, batch.x[m], 0.0), batch.real[m], self.frames)
            features[m] = rearrange(means, "b f d -> b d f")
        return features

    def wanted(
        self,
        features: Mapping[str, Float[Tensor, "batch dim frame"]],
        given: Bool[Tensor, "batch modality"],
        targets: Bool[Tensor, "batch modality"],
    ) -> Wanted:
        """The condition is read from the modalities that are given and from no others."""
        encoded = []
        for i, (m, encoder) in enumerate(self.encoders.items()):
            there = rearrange(given[:, i], "b -> b 1 1")
            encoded.append(torch.where(there, encoder(torch.where(there, features[m], 0.0)), 0.0))
        condition = torch.cat(encoded, dim=1)
        rows = {m: targets[:, i].nonzero().flatten() for i, m in enumerate(self.dims)}
        below = torch.cat(list(rows.values()))
        asked = torch.cat([torch.eye(len(rows), device=given.device)[i].expand(len(r), -1)
                           for i, r in enumerate(rows.values())])  # fmt: skip
        case = torch.cat([asked, given[below].to(asked)], dim=1)
        return Wanted({m: r for m, r in rows.items() if len(r)}, condition[below], case)

    def predict(
        self, x_t: Features, t: Int[Tensor, "wanted"], alpha_bar_t: Float[Tensor, "wanted"], wanted: Wanted
    ) -> Features:
        r"""\epsilon_\theta(x_t, c, t) of eq. 5, for what is wanted of each modality."""
        embedding = self.time(t) + self.case(wanted.case)
        place = positions(self.frames, self.case.out_features, t.device)
        h = torch.cat([self.into[m](x) for m, x in x_t.items()]) + place.T
        h = by_modality(self.unet(h, wanted.condition, embedding), x_t)
        told = by_modality(embedding, x_t)
        left = by_modality(rearrange(alpha_bar_t, "n -> n 1 1"), x_t)
        epsilon = {}
        for m, x in x_t.items():
            u = rearrange(self.gate[m](told[m]), "n d -> n d 1") * x + self.out[m](h[m])
            epsilon[m] = (1 - left[m]).sqrt() * x + left[m].sqrt() * u
        return epsilon


def draw_given(here: Bool[Tensor, "batch modality"]) -> Bool[Tensor, "batch modality"]:
    """A random choice of what each row has, neither all of it nor nothing, all such choices alike; of a single
    modality nothing. Drawn from torch's global stream."""
    count = here.shape[1]
    choices = (torch.arange(2**count, device=here.device)[:, None] >> torch.arange(count, device=here.device)) % 2 == 1
    some, has = choices.any(1), here.sum(1, keepdim=True)
    within = (choices & ~here[:, None]).any(2).logical_not() & (choices.sum(1) < has)
    possible = torch.where(has > 1, within & some, ~some)
    return choices[torch.multinomial(possible.float(), 1).flatten()]


def by_modality(below: Tensor, like: Features) -> Features:
    """What stands one modality below another, apart."""
    return dict(zip(like, below.split([len(x) for x in like.values()]), strict=True))


def flatten(features: Features) -> Float[Tensor, "values"]:
    """All values in one row: a sampler's step is the same for all."""
    return torch.cat([x.reshape(-1) for x in features.values()])


def unflatten(flat: Float[Tensor, "values"], shapes: Mapping[str, torch.Size]) -> Features:
    parts = flat.split([shape.numel() for shape in shapes.values()])
    return {m: part.view(shape) for (m, shape), part in zip(shapes.items(), parts, strict=True)}


def mean_imputation(seen: Batch, frames: int = 1) -> dict[str, Float[Tensor, "batch frame dim"]]:
    """The reference: each modality that some rows lack completed by its mean over the train part, which is 0 in a
    standardised corpus."""
    return {m: x.new_zeros(len(seen), frames, x.shape[2]) for m, x in seen.x.items() if not available(seen, m).all()}


def completion_errors(
    completed: Mapping[str, Float[Tensor, "batch frame dim"]], clean: Batch, seen: Batch
) -> dict[str, dict[str, float]]:
    """How near completions are to what was recorded, for each modality over the rows that lack it in `seen` and have it
    in `clean`: `cosine`, mean over rows of the cosine of all their values (0 where one is zero), and `mse`, the mean
    squared error. A modality that no such row has is left out."""
    errors = {}
    for m, x in completed.items():
        rows = available(clean, m) & ~available(seen, m)
        if rows.any():
            truth = mean_over_segments(clean.x[m], clean.real[m], x.shape[1])[rows].flatten(1)
            guess = x[rows].flatten(1)
            errors[m] = {"cosine": float(cosine_similarity(guess, truth).mean()),
                         "mse": float((guess - truth).square().mean())}  # fmt: skip
    return errors
