"""Missing modalities imputed by conditional diffusion (CDTP 3.4): the noise predictor and its sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import available, positions
from robustmer.nn.diffusion import Diffusion, Sampling, noised, sample
from robustmer.nn.prompts import mean_over_segments
from robustmer.nn.unet import FrameLinear, TimeEmbedding, UNet, convolution, norm
from robustmer.noise import stream
from robustmer.systems.system import AdamW, System, Upstream, widths
from robustmer.tasks import OwnError, Task

Known = Bool[Tensor, "batch modality"]
Features = dict[str, Tensor]
"""Per modality (samples, dim, frames), of all samples or of those in which the modality is to be imputed."""


@dataclass(frozen=True)
class Wanted:
    """The imputations of a batch: for each modality the samples that need it and, for all of these, one modality below
    another, the condition and the case (which modality is imputed, which ones are given)."""

    samples: dict[str, Int[Tensor, "_"]]
    condition: Float[Tensor, "wanted channels frame"]
    case: Float[Tensor, "wanted twice_modalities"]


class Completion(System):
    r"""The distribution of a missing modality given the others: a noise predictor (eq. 5) and a sampler.

    A modality has `frames` frames: the means over as many equal segments of its recorded frames. x_0 is that sequence
    of the missing modality, known in training and never read at test. The condition c is Conv1D, GELU, Conv1D of each
    available modality, normalised, side by side, zeros for the others. One U-Net serves all cases: its embedding names
    the imputed modality and the given ones, and linear maps lead from each modality's width to its own and back.

    The predicted noise is \sqrt{1 - \bar\alpha_t} x_t + \sqrt{\bar\alpha_t} U([c, x_t], t), where U has a residual
    connection around the U-Net with a gate for each feature: 128 channels cannot carry the noise of 768 values. U
    begins at zero, where the first term is the best prediction for white features of variance 1. x_0 should have about
    unit variance, as in standardised corpora; its estimate is not clipped.

    It learns from clean samples and is the upstream system of all systems that impute with it, which choose how it is
    sampled (`Sampling`).
    """

    phase, selects = "complete", False

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, frames: int = 1, unet: Sequence[int] = (128, 256),
        condition: int = 64, inject: str = "concat", lr_diffusion: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        if frames < 1:
            raise ValueError(f"frames={frames}: a modality is imputed as one frame or more")
        self.dims, self.frames, self.diffusion = widths(shapes), frames, Diffusion()
        self.optimizer = AdamW(lr_diffusion)
        kernel, width = 3 if frames > 1 else 1, unet[0]
        # Normalised, the condition is as large as x_t from the start. Otherwise some trainings ignored it for long.
        self.encoders = nn.ModuleDict()
        for m, dim in self.dims.items():
            first, second = convolution(dim, condition, kernel), convolution(condition, condition, kernel)
            self.encoders[m] = nn.Sequential(first, nn.GELU(), second, norm(condition))
        self.time = TimeEmbedding(width, self.diffusion.steps)
        self.case = nn.Linear(2 * len(shapes), width)
        self.into = nn.ModuleDict({m: FrameLinear(dim, width) for m, dim in self.dims.items()})
        self.unet = UNet(width, len(shapes) * condition, width, unet, kernel, inject)
        self.out = nn.ModuleDict({m: FrameLinear(width, dim) for m, dim in self.dims.items()})
        self.gate = nn.ModuleDict({m: nn.Linear(width, dim) for m, dim in self.dims.items()})
        for layer in [*self.out.values(), *self.gate.values()]:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    # --- training -----------------------------------------------------------------------------------------------------

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Float[Tensor, ""]]:
        """Eq. 5, the mean over all imputations and their elements, so that wide modalities weigh no more than others.

        Every sample draws a proper part of its modalities as given, all parts equally likely, and learns to impute the
        others. A sample of a single modality learns it without any condition.
        """
        known, features = self.known(clean), self.features(clean)
        given = draw_given(known)
        wanted = self.wanted(features, given, known & ~given)
        t = torch.randint(1, self.diffusion.steps + 1, (len(wanted.case),), device=known.device)
        levels = self.diffusion.alpha_bar.to(wanted.case)[t]
        x_0 = {m: features[m][samples] for m, samples in wanted.samples.items()}
        epsilon = {m: torch.randn_like(x) for m, x in x_0.items()}
        by_modality = split_like(rearrange(levels, "n -> n 1 1"), x_0)
        x_t = {m: noised(x, epsilon[m], by_modality[m]) for m, x in x_0.items()}
        guess = self.predict_noise(x_t, t, levels, wanted)
        errors = [(guess[m] - epsilon[m]).square().mean((1, 2)) for m in x_0]
        return {"diffusion": torch.cat(errors).mean()}

    def error(self, clean: Batch) -> Float[Tensor, ""]:
        """Eq. 5 of validation samples, eight draws for each: a single draw varies too much."""
        clean = clean[torch.arange(len(clean)).repeat(8)]
        return self.loss(clean, clean)["diffusion"]

    # --- imputation ---------------------------------------------------------------------------------------------------

    def forward(self, observed: Batch) -> dict[str, Float[Tensor, "batch frame dim"]]:
        """Every modality in `frames` frames: as recorded where it is available, imputed elsewhere."""
        features = {m: rearrange(x, "b d f -> b f d") for m, x in self.features(observed).items()}
        return features | {m: features[m] + x for m, x in self.impute(observed, Sampling(), self.training).items()}

    @torch.no_grad()
    def impute(
        self, observed: Batch, sampling: Sampling, fresh: bool = False
    ) -> dict[str, Float[Tensor, "batch frame dim"]]:
        """For each modality that some samples lack: its imputation in these samples, zeros in the others. Nothing is
        computed for complete samples, and nothing is returned for a batch of them.

        `fresh` noise, for training, comes from torch's global stream. Otherwise each sample has a stream of its own,
        named by its id, so that its imputation does not depend on its neighbours. (With one noise for all, samples
        whose condition says little would all get the same draw.)
        """
        known = self.known(observed)
        lacking = (~known).any(1).nonzero().flatten()
        if not len(lacking):
            return {}
        part = observed[lacking]
        wanted = self.wanted(self.features(part), known[lacking], ~known[lacking])
        draws = {m: self.noise(m, part.id[samples.cpu().numpy()], known.device, fresh)
                 for m, samples in wanted.samples.items()}  # fmt: skip
        draw = lambda: {m: next(noise) for m, noise in draws.items()}  # noqa: E731
        first = draw()
        shapes = {m: x.shape for m, x in first.items()}

        def predict(flat: Tensor, t: int) -> Tensor:
            times = torch.full((len(wanted.case),), t, device=known.device)
            levels = self.diffusion.alpha_bar.to(wanted.case)[times]
            return flatten(self.predict_noise(unflatten(flat, shapes), times, levels, wanted))

        start = flatten(first) if sampling.start == "noise" else torch.zeros_like(flatten(first))
        x_0 = sample(predict, start, self.diffusion, sampling, lambda x: flatten(draw()))
        imputed = {}
        for m, x in unflatten(x_0, shapes).items():
            imputed[m] = x.new_zeros(len(observed), self.frames, self.dims[m])
            imputed[m][lacking[wanted.samples[m]]] = rearrange(x, "n d f -> n f d")
        return imputed

    def noise(self, modality: str, ids: np.ndarray, device: torch.device, fresh: bool) -> Iterator[Tensor]:
        """Endless noise (samples, dim, frames), fresh or from the stream of each sample."""
        shape = (self.dims[modality], self.frames)
        if fresh:
            while True:
                yield torch.randn(len(ids), *shape, device=device)
        own = [stream("completion", modality, id) for id in ids]  # on the CPU: the device does not change the noise
        while True:
            yield torch.stack([torch.randn(shape, generator=generator) for generator in own]).to(device)

    # --- the noise predictor ------------------------------------------------------------------------------------------

    def known(self, batch: Batch) -> Known:
        return torch.stack([available(batch, m) for m in self.dims], dim=1)

    def features(self, batch: Batch) -> Features:
        """Each modality in `frames` frames, zeros where it is absent."""
        means = {m: mean_over_segments(*batch.frames(m), self.frames) for m in self.dims}
        return {m: rearrange(x, "b f d -> b d f") for m, x in means.items()}

    def wanted(self, features: Features, given: Known, imputed: Known) -> Wanted:
        """The condition is read from the given modalities alone."""
        encoded = []
        for i, (m, encoder) in enumerate(self.encoders.items()):
            chosen = rearrange(given[:, i], "b -> b 1 1")
            encoded.append(torch.where(chosen, encoder(torch.where(chosen, features[m], 0.0)), 0.0))
        samples = {m: imputed[:, i].nonzero().flatten() for i, m in enumerate(self.dims)}
        below, eye = torch.cat(list(samples.values())), torch.eye(len(samples), device=given.device)
        which = torch.cat([eye[i].expand(len(rows), -1) for i, rows in enumerate(samples.values())])
        case = torch.cat([which, given[below].to(which)], dim=1)
        return Wanted({m: rows for m, rows in samples.items() if len(rows)}, torch.cat(encoded, dim=1)[below], case)

    def predict_noise(
        self, x_t: Features, t: Int[Tensor, "wanted"], alpha_bar_t: Float[Tensor, "wanted"], wanted: Wanted
    ) -> Features:
        r"""\epsilon_\theta(x_t, c, t) of eq. 5, for each modality that is imputed."""
        embedding = self.time(t) + self.case(wanted.case)
        place = positions(self.frames, self.case.out_features, t.device)
        h = torch.cat([self.into[m](x) for m, x in x_t.items()]) + place.T
        h = split_like(self.unet(h, wanted.condition, embedding), x_t)
        embedding = split_like(embedding, x_t)
        left = split_like(rearrange(alpha_bar_t, "n -> n 1 1"), x_t)
        epsilon = {}
        for m, x in x_t.items():
            u = rearrange(self.gate[m](embedding[m]), "n d -> n d 1") * x + self.out[m](h[m])
            epsilon[m] = (1 - left[m]).sqrt() * x + left[m].sqrt() * u
        return epsilon


class Imputing(System):
    """Base of systems that impute with a completion, trained on clean samples from streams of its own name: all systems
    of a fold and seed share it. With `start="mean"` they need none."""

    upstream = {"completion": Upstream(Completion, passes=("frames",), task=OwnError())}
    completion: Completion | None

    @classmethod
    def starts_from(cls, options: Mapping[str, object]) -> Mapping[str, Upstream]:
        without = options.get("start") == "mean"
        return {name: needed for name, needed in cls.upstream.items() if not (without and name == "completion")}

    def impute_with(self, completion: Completion | None, sampling: Sampling, frames: int) -> None:
        """Keeps the settings. Raises ValueError for a completion that is missing or of other frames or features."""
        self.completion, self.sampling, self.frames = completion, sampling, frames
        if completion is None and sampling.start != "mean":
            raise ValueError(f'{type(self).__name__} needs a trained Completion; give completion=... or start="mean"')
        if completion is not None and (completion.frames, completion.dims) != (frames, widths(self.shapes)):
            raise ValueError(
                f"{type(self).__name__} with frames={frames} of {widths(self.shapes)} was given a Completion of "
                f"frames={completion.frames} of {completion.dims}; give both the same"
            )

    def imputed(self, observed: Batch) -> dict[str, Float[Tensor, "batch frame dim"]]:
        """`Completion.impute` with this system's settings; fresh noise while this system is trained."""
        if self.sampling.start == "mean":
            return mean_imputation(observed, self.frames)
        return self.completion.impute(observed, self.sampling, fresh=self.training)


def draw_given(known: Known) -> Known:
    """A random proper part of each sample's known modalities, all parts equally likely; of a single modality none.
    Drawn from torch's global stream."""
    count = known.shape[1]
    parts = (torch.arange(2**count, device=known.device)[:, None] >> torch.arange(count, device=known.device)) % 2 == 1
    nonempty, has = parts.any(1), known.sum(1, keepdim=True)
    within = (parts & ~known[:, None]).any(2).logical_not() & (parts.sum(1) < has)
    possible = torch.where(has > 1, within & nonempty, ~nonempty)
    return parts[torch.multinomial(possible.float(), 1).flatten()]


def split_like(below: Tensor, like: Features) -> Features:
    """A tensor of one modality below another, divided."""
    return dict(zip(like, below.split([len(x) for x in like.values()]), strict=True))


def flatten(features: Features) -> Float[Tensor, "values"]:
    """All values in one vector: a sampler's step is the same for all."""
    return torch.cat([x.reshape(-1) for x in features.values()])


def unflatten(flat: Float[Tensor, "values"], shapes: Mapping[str, torch.Size]) -> Features:
    parts = flat.split([shape.numel() for shape in shapes.values()])
    return {m: part.view(shape) for (m, shape), part in zip(shapes.items(), parts, strict=True)}


def mean_imputation(observed: Batch, frames: int = 1) -> dict[str, Float[Tensor, "batch frame dim"]]:
    """The reference: each modality that some samples lack imputed by its mean over the train split, which is 0 in a
    standardised corpus."""
    lacking = [m for m in observed.modalities if not available(observed, m).all()]
    return {m: observed.frames(m)[0].new_zeros(len(observed), frames, *observed.shapes[m]) for m in lacking}
