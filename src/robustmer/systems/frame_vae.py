"""What the generative systems of frames share: codecs, windows, likelihoods, latents and the objective."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import mse_loss, pad

from robustmer.batch import Batch, Shape
from robustmer.metrics.reconstruction import FLOOR, itakura_saito
from robustmer.nn.encoders import mlp
from robustmer.systems.system import AdamW, Objective, System, Upstream
from robustmer.systems.vqvae import VQVAE
from robustmer.tasks import Reconstruct, Task

PIECE = 1024
"""Frames that a codec encodes or decodes at once."""

Frames = Float[Tensor, "batch time _"]
Mask = Bool[Tensor, "batch time"]
Inputs = Mapping[str, tuple[Frames, Mask]]
"""The values and the mask of each modality, all of the same number of frames."""

CODECS = {
    f"{m}_codec": Upstream(VQVAE, share=2.0, options={"modality": m}, task=Reconstruct((m,)))
    for m in ("visual", "audio")
}
"""The codecs that a system with `codecs` starts from. They train twice as long as it."""


def mask_of(inputs: Inputs) -> Mask:
    """The frames in which any modality is observed."""
    return torch.stack([mask for _, mask in inputs.values()]).any(0)


@dataclass(frozen=True)
class Latents:
    """Latents of B samples: `static` (B, static), `shared` (B, T, shared), `own` of each modality (B, T, own), and
    `mask` (B, T), the frames of the samples. A latent that a system does not have has width 0 or is not in `own`."""

    static: Float[Tensor, "batch static"]
    shared: Float[Tensor, "batch time shared"]
    own: Mapping[str, Float[Tensor, "batch time own"]]
    mask: Mask

    def cut(self, frames: int) -> Latents:
        """The first frames."""
        own = {m: z[:, :frames] for m, z in self.own.items()}
        return Latents(self.static, self.shared[:, :frames], own, self.mask[:, :frames])

    def exchange(self, other: Latents, part: str) -> Latents:
        """These latents with one part of the other ones: "static", "shared" or a modality. Latents of different lengths
        are cut to their common frames. Raises ValueError for an unknown part."""
        if part == "static":
            return dataclasses.replace(self, static=other.static)
        if part not in ("shared", *self.own):
            raise ValueError(f"exchange of {part!r}; the latents are {', '.join(('static', 'shared', *self.own))}")
        frames = min(self.mask.shape[1], other.mask.shape[1])
        one, other = self.cut(frames), other.cut(frames)
        mask = one.mask & other.mask
        if part == "shared":
            return dataclasses.replace(one, shared=other.shared, mask=mask)
        return dataclasses.replace(one, own={**one.own, part: other.own[part]}, mask=mask)


class FrameVAE(System):
    """Base of MDVAE, DSAE and JointMVAE (VQ-MDVAE 2, eqs. 2, 3, 11, 12).

    A subclass infers latents (`posterior`); a decoder of each modality reads those of a frame. Pictures are read
    through B1 and decoded by B10, any other frames enter as they are and are decoded by B11; `width` scales all layers,
    512 in the paper. Where a modality has a codec, the values are what its frozen encoder gives before quantisation.
    Values have a Gaussian likelihood of unit variance; the modalities in `power` are power spectra, read as log10, with
    the likelihood of Itakura and Saito (the paper's is not stated for raw spectra).

    The loss is minus eq. 12 a frame, a mean over samples, with natural weights times `beta`, which may rise to its value
    within `warm_up` steps. `kl_static="per_frame"` is the released code's: the KL of w counts in every frame, and the
    squared error lacks the factor 1/2. Training draws windows of `window` frames; validation reads whole sequences.
    """

    phase, upstream = "dynamics", CODECS

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, visual_codec: System | None, audio_codec: System | None,
        codecs: Sequence[str], power: Sequence[str], modalities: Sequence[str], latent: int, width: int, window: int,
        beta: float, warm_up: int, kl_static: str, lr: float,
    ):  # fmt: skip
        super().__init__()
        self.visual_codec, self.audio_codec = visual_codec, audio_codec
        self.modalities = tuple(m for m in shapes if m in (modalities or shapes))
        self.codecs, self.power, self.window, self.beta, self.warm_up = (*codecs,), (*power,), window, beta, warm_up
        have = {m for m in ("audio", "visual") if self.codec(m) is not None}
        problems = {
            f"codecs={self.codecs}: those given are of {', '.join(sorted(have)) or 'no modality'}": {*codecs} ^ have,
            f"modalities={tuple(modalities)}: the samples have {', '.join(shapes)}": {*modalities} - {*shapes},
            f"power={self.power}: name modalities without a codec": {*power} - {*self.modalities}
            | {*power} & {*codecs},
            f"codecs={self.codecs}: name modalities of the system": {*codecs} - {*self.modalities},
            f"kl_static={kl_static!r}: give 'once' or 'per_frame'": {kl_static} - {"once", "per_frame"},
            f"width={width}: give a multiple of 16": width % 16 or width < 16,
            f"window={window}: give one frame or more": window < 1,
            f"{type(self).__name__} needs a latent for the frames of a modality": latent < 1,
        }
        for problem, present in problems.items():
            if present:
                raise ValueError(problem)
        self.once, self.optimizer = kl_static == "once", AdamW(lr, 0.0)  # without decay it is Adam
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.read, self.decoders, self.widths = nn.ModuleDict(), nn.ModuleDict(), {}
        for m in self.modalities:
            size = self.codec(m).latent_width if m in codecs else int(np.prod(shapes[m]))
            picture = len(shapes[m]) == 3
            if picture:
                layers = mlp(size, 2 * width, width, kaiming=False)
                self.read[m] = nn.Sequential(layers, nn.ReLU())
            inner = (width, 2 * width) if picture else (width // 4, width // 2)
            activation = nn.ReLU if picture else nn.Tanh
            self.decoders[m] = mlp(latent, *inner, size, activation=activation, kaiming=False)
            self.widths[m] = width if picture else size

    @classmethod
    def starts_from(cls, options: Mapping[str, object]) -> Mapping[str, Upstream]:
        names = [f"{m}_codec" for m in options.get("codecs", ())]
        if not {*names} <= {*cls.upstream}:
            raise ValueError(f"codecs={options['codecs']}: 'audio' and 'visual' can have one")
        return {name: cls.upstream[name] for name in names}

    def posterior(self, inputs: Inputs, sample: bool) -> tuple[Latents, dict[str, Tensor]]:
        """The latents, and KL in nats of posterior and prior for each dimension: (B, T, width), or (B, width) of the
        static latent; 0 where nothing is observed."""
        raise NotImplementedError

    # --- frames and values --------------------------------------------------------------------------------------------

    def codec(self, modality: str) -> System | None:
        return getattr(self, f"{modality}_codec")

    def targets(self, clean: Batch) -> dict[str, Frames]:
        return {f"{m} latent": self.encoded(m, *clean.frames(m)) for m in self.codecs}

    def encoded(self, modality: str, x: Float[Tensor, "batch time ..."], mask: Mask) -> Frames:
        """What the codec's encoder gives before quantisation, zeros where absent or padded."""
        codec = self.codec(modality)
        values = x.new_zeros(*mask.shape, codec.latent_width)
        if mask.any():
            values[mask] = torch.cat([codec.encode(piece) for piece in x[mask].split(PIECE)])
        return values

    def values(self, batch: Batch, known: bool = False) -> Inputs:
        """Of each modality; with `known`, those of `Batch.targets` where they are."""
        made, time = {}, max(batch.x[m].shape[1] for m in self.modalities)
        for m in self.modalities:
            (x, mask), name = batch.frames(m), f"{m} latent"
            if m not in self.codecs:
                x = x.flatten(2)
            else:
                x = (
                    batch.targets[name][:, : x.shape[1]]
                    if known and name in batch.targets
                    else self.encoded(m, x, mask)
                )
            more = time - x.shape[1]
            made[m] = (pad(x, (0, 0, 0, more)), pad(mask, (0, more))) if more else (x, mask)
        return made

    def features(self, inputs: Inputs) -> dict[str, Frames]:
        """Blocks B1 and B2, zeros where a modality is not observed."""
        made = {}
        for m, (x, mask) in inputs.items():
            x = (x + FLOOR).log10() if m in self.power else x
            made[m] = torch.where(mask[..., None], self.read[m](x) if m in self.read else x, 0.0)
        return made

    def decode(self, latents: Latents) -> dict[str, Frames]:
        """The means of eqs. 2 and 3; of power spectra their natural logarithm."""
        static = latents.static[:, None].expand(-1, latents.mask.shape[1], -1)
        own = {m: [latents.own[m]] if m in latents.own else [] for m in self.modalities}
        return {
            m: decoder(torch.cat([static, latents.shared, *own[m]], dim=-1)) for m, decoder in self.decoders.items()
        }

    # --- inference and generation -------------------------------------------------------------------------------------

    def infer(self, observed: Batch, sample: bool = False) -> Latents:
        """The latents of observed samples: posterior means along the chains, or draws from torch's global stream."""
        return self.posterior(self.values(observed), sample)[0]

    def generate(self, latents: Latents) -> dict[str, Float[Tensor, "batch time ..."]]:
        """The frames (B, T, *feature) of each modality, zeros in the padding; through the codec where there is one."""
        made, mask = {}, latents.mask
        for m, values in self.decode(latents).items():
            frames = values.new_zeros(*mask.shape, *self.shapes[m])
            if mask.any():
                pieces = values[mask].split(PIECE)
                frames[mask] = torch.cat([self.rendered(m, piece) for piece in pieces])
            made[m] = frames
        return made

    def rendered(self, modality: str, values: Float[Tensor, "frame _"]) -> Float[Tensor, "frame ..."]:
        if modality in self.codecs:
            return self.codec(modality).decode(values)
        values = values.clamp(-50, 50).exp() if modality in self.power else values
        return values.unflatten(1, self.shapes[modality])

    def forward(self, observed: Batch) -> dict[str, Float[Tensor, "batch time ..."]]:
        """The reconstruction of each modality from posterior means."""
        return {m: x[:, : observed.x[m].shape[1]] for m, x in self.generate(self.infer(observed)).items()}

    @torch.no_grad()
    def nats(self, batch: Batch) -> dict[str, Float[Tensor, "dim"]]:
        """What each dimension of each latent tells about the samples: KL in nats, of `static` a sequence, of the others
        a frame, along latents from torch's global stream. Below 0.01 nats a dimension is unused."""
        inputs = self.values(batch)
        rows = mask_of(inputs)
        kls = self.posterior(inputs, sample=True)[1]
        counted = {name: inputs[name][1] if name in inputs else rows for name in kls}
        return {
            name: kl[rows.any(1)].mean(0) if kl.ndim == 2 else kl[counted[name]].mean(0) for name, kl in kls.items()
        }

    # --- objective ----------------------------------------------------------------------------------------------------

    def objectives(self) -> dict[str, Objective]:
        return {"all": Objective(self.loss, self.own_parameters(), self.optimizer, after_step=self.count_step)}

    def count_step(self) -> None:
        self.steps += 1

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Float[Tensor, ""]]:
        """Minus eq. 12 in parts: the error of each modality, the KL of each latent."""
        known = all(
            observed.x[m] is clean.x[m] and observed.present[m] is clean.present[m] and not clean.x[m].requires_grad
            for m in self.modalities
        )
        if self.training and any(clean.x[m].shape[1] > self.window for m in self.modalities):
            recorded = torch.stack([clean.mask[m].sum(1) * clean.present[m] for m in self.modalities]).amax(0)
            start = torch.rand(len(clean), device=clean.device) * (recorded - self.window + 1).clamp(min=1)
            clean, observed = (cropped(batch, start.long(), self.window) for batch in (clean, observed))
        targets = self.values(clean, known=True)
        latents, kls = self.posterior(targets if known else self.values(observed), sample=True)
        rows = mask_of(targets).sum(1)

        def mean(values: Float[Tensor, "batch"]) -> Float[Tensor, ""]:
            return (values / rows.clamp(min=1)).sum() / (rows > 0).sum().clamp(min=1)

        terms, decoded, beta = {}, self.decode(latents), self.beta
        for m, (x, mask) in targets.items():
            terms[m] = mean(torch.where(mask, self.minus_log_likelihood(m, x, decoded[m]), 0.0).sum(1))
        if self.training and self.warm_up:
            beta = beta * ((self.steps + 1) / self.warm_up).clamp(max=1)
        for name, kl in kls.items():
            heavy = rows if name == "static" and not self.once else 1
            terms[f"KL {name}"] = beta * mean(kl.flatten(1).sum(1) * heavy)
        return terms

    def minus_log_likelihood(self, modality: str, x: Frames, decoded: Frames) -> Float[Tensor, "batch time"]:
        """Of each frame, without the terms that do not depend on the system."""
        if modality in self.power:
            return itakura_saito(x, decoded.clamp(-50, 50).exp()).sum(-1)
        return (0.5 if self.once else 1.0) * mse_loss(decoded, x, reduction="none").sum(-1)


def cropped(batch: Batch, start: Tensor, frames: int) -> Batch:
    """A window of each sample, with the targets that have frames. Past the end of a modality it is padding."""
    rows, at = torch.arange(len(batch), device=start.device)[:, None], start[:, None] + torch.arange(frames).to(start)
    of = lambda x: x[rows, at.clamp(max=x.shape[1] - 1)]  # noqa: E731
    mask = {m: of(mask) & (at < mask.shape[1]) for m, mask in batch.mask.items()}
    targets = {name: of(target) for name, target in batch.targets.items() if name.endswith(" latent")}
    return batch.replace(x={m: of(x) for m, x in batch.x.items()}, mask=mask, targets=targets)
