"""VQ-MDVAE's second stage: a dynamical VAE of several modalities, its one-modality form, and a VAE without dynamics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.dynamics import Chain, StaticEncoder, gaussian, unroll
from robustmer.nn.encoders import mlp
from robustmer.nn.gaussians import kl_to_standard, sample as drawn
from robustmer.systems.frame_vae import FrameVAE, Inputs, Latents, mask_of
from robustmer.systems.system import System
from robustmer.tasks import Task


class MDVAE(FrameVAE):
    """A static latent w of all modalities, a chain of shared latents, and a chain of own latents for each modality (2.2,
    2.3, Table A.7). With `codecs=("audio", "visual")` it is VQ-MDVAE.

    w sees the whole sequence; the latents of a frame see that frame and, through the state of their chain, those before.
    A latent without an observation has its prior as posterior, so an absent modality is generated from the shared
    latents and the prior of its own. `modalities` chooses those that are modelled (by default all). Without `shared`
    latents modalities share only w; without `static` there is no w.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, visual_codec: System | None = None,
        audio_codec: System | None = None, codecs: Sequence[str] = (), power: Sequence[str] = (),
        modalities: Sequence[str] = (), static: int = 84, shared: int = 16, own: int = 8, width: int = 512,
        window: int = 30, beta: float = 1.0, warm_up: int = 0, kl_static: str = "once", lr: float = 1e-4,
    ):  # fmt: skip
        if min(static, shared, own) < 0 or own < 1:
            raise ValueError(f"static={static}, shared={shared}, own={own}: give 0 or more, of own latents 1 or more")
        super().__init__(shapes, task, visual_codec, audio_codec, codecs, power, modalities, static + shared + own,
                         width, window, beta, warm_up, kl_static, lr)  # fmt: skip
        self.static = static
        together, state = sum(self.widths.values()), width // 4
        self.of_sequence = StaticEncoder(together, static, width // 2) if static else None
        self.of_all = Chain(shared, together, static, width // 8, (width // 2, width // 4), state) if shared else None
        self.of_modality = nn.ModuleDict()
        for m, size in self.widths.items():
            if m in self.read:
                layers = width // 8, (width // 2, width // 4), state, nn.ReLU
            else:
                layers = width // 16, (width // 4, width // 16), state, nn.Tanh
            self.of_modality[m] = Chain(own, size + shared, static, *layers)

    def static_posterior(
        self, together: Float[Tensor, "batch time _"], mask: Bool[Tensor, "batch time"]
    ) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of w, (B, static), from the features of all modalities side by side."""
        if self.of_sequence is None:
            return (together.new_zeros(len(mask), 0),) * 2
        known = mask.any(1, keepdim=True)
        mean, logvar = self.of_sequence(together, mask)
        return torch.where(known, mean, 0.0), torch.where(known, logvar, 0.0)

    def posterior(self, inputs: Inputs, sample: bool) -> tuple[Latents, dict[str, Tensor]]:
        features, mask = self.features(inputs), mask_of(inputs)
        together = torch.cat([*features.values()], dim=-1)
        mean, logvar = self.static_posterior(together, mask)
        kls = {"static": kl_to_standard(mean, logvar)} if self.static else {}
        static = drawn(mean, logvar) if sample else mean
        shared = static.new_zeros(*mask.shape, 0)
        if self.of_all is not None:
            (path,) = unroll([self.of_all], [together], static, [mask], sample)
            shared, kls["shared"] = path.z, torch.where(mask[..., None], path.kl, 0.0)
        contexts = [torch.cat([features[m], shared], dim=-1) for m in self.modalities]
        observed = [inputs[m][1] for m in self.modalities]
        paths = unroll([*self.of_modality.values()], contexts, static, observed, sample)
        for m, path, recorded in zip(self.modalities, paths, observed, strict=True):
            kls[m] = torch.where(recorded[..., None], path.kl, 0.0)
        return Latents(static, shared, dict(zip(self.modalities, (p.z for p in paths), strict=True)), mask), kls

    def code(self, observed: Batch) -> Float[Tensor, "batch static"]:
        """The posterior mean of w, over all frames of a sample. Raises ValueError for a system without w."""
        if not self.static:
            raise ValueError(f"{type(self).__name__}(static=0) has no static latent to read; give static=84")
        inputs = self.values(observed)
        return self.static_posterior(torch.cat([*self.features(inputs).values()], dim=-1), mask_of(inputs))[0]


class DSAE(MDVAE):
    """The disentangled sequential autoencoder of one modality (Li and Mandt 2018) with the blocks of MDVAE: w and one
    chain of `own` latents, as many as a modality has in MDVAE (the paper does not state their number)."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, visual_codec: System | None = None,
        audio_codec: System | None = None, modality: str | None = None, codecs: Sequence[str] = (),
        power: Sequence[str] = (), static: int = 84, own: int = 24, width: int = 512, window: int = 30,
        beta: float = 1.0, warm_up: int = 0, kl_static: str = "once", lr: float = 1e-4,
    ):  # fmt: skip
        if modality is None and len(shapes) > 1:
            raise ValueError(
                f"DSAE models one modality of {', '.join(shapes)}; name it: modality={next(iter(shapes))!r}"
            )
        chosen = (modality,) if modality else ()
        super().__init__(shapes, task, visual_codec, audio_codec, codecs, power, chosen, static, 0, own, width, window,
                         beta, warm_up, kl_static, lr)  # fmt: skip


class JointMVAE(FrameVAE):
    """A VAE of all modalities frame by frame (Suzuki et al. 2016): q(z | all modalities), a standard prior, no dynamics.
    z has as many numbers as a decoder of MDVAE reads; the encoder's layers, which the paper does not state, are B5's."""

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, visual_codec: System | None = None,
        audio_codec: System | None = None, codecs: Sequence[str] = (), power: Sequence[str] = (), shared: int = 108,
        width: int = 512, window: int = 30, beta: float = 1.0, warm_up: int = 0, lr: float = 1e-4,
    ):  # fmt: skip
        super().__init__(shapes, task, visual_codec, audio_codec, codecs, power, (), shared, width, window, beta, warm_up,
                         "once", lr)  # fmt: skip
        self.of_frame = mlp(sum(self.widths.values()), width // 2, width // 4, 2 * shared, kaiming=False)

    def posterior(self, inputs: Inputs, sample: bool) -> tuple[Latents, dict[str, Tensor]]:
        features, mask = self.features(inputs), mask_of(inputs)
        heads = torch.where(mask[..., None], self.of_frame(torch.cat([*features.values()], dim=-1)), 0.0)
        mean, logvar = gaussian(heads)
        z = drawn(mean, logvar) if sample else mean
        return Latents(z.new_zeros(len(z), 0), z, {}, mask), {"shared": kl_to_standard(mean, logvar)}
