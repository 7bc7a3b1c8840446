"""MCWSA-CMHA: a multi-channel autoencoder whose channels share a fusion, and a classifier that starts from it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape
from robustmer.nn.crossmodal import available
from robustmer.nn.encoders import mlp
from robustmer.nn.fusions import fusion_of
from robustmer.nn.pyramid import levels_to, pyramid, rows
from robustmer.nn.weightsharing import ROWS, Decoder, encoder_of
from robustmer.systems.system import Parameters, System, Upstream, start_from, widths
from robustmer.tasks import OwnError, Task

LEVELS = {"audio": 64}
"""The largest number of regions of a modality's pyramid (IV.C); 16 of one that is not named."""

Pyramids = dict[str, Float[Tensor, "batch row dim"]]


def Adam(lr: float, l2: float) -> Callable[[Parameters], torch.optim.Optimizer]:
    """A factory of Adam optimizers with the gradient of the penalty l2/2 |w|^2 (IV.C), which AdamW's decay is not."""
    return functools.partial(torch.optim.Adam, lr=lr, weight_decay=l2, fused=True)


class Network(nn.Module):
    """What both trainings share: pyramids, an encoder of each modality, and a fusion of their codes (Fig. 1). `bands` and
    `levels` are those of `MCWSA`."""

    def __init__(
        self, dims: Mapping[str, int], fusion: str, channels: int, heads: int, bands: Mapping[str, int] | None,
        levels: Mapping[str, int] | None, dropout: float,
    ):  # fmt: skip
        super().__init__()
        for name, given in (("bands", bands), ("levels", levels)):
            unknown = set(given or ()) - set(dims)
            if unknown:
                raise ValueError(f"{name} were given for {min(unknown)!r}; the modalities are {', '.join(dims)}")
        self.levels = {m: levels_to({**LEVELS, **(levels or {})}.get(m, 16)) for m in dims}
        self.rows = {m: max(rows(levels), ROWS) for m, levels in self.levels.items()}
        self.encoders = nn.ModuleDict()
        for m, dim in dims.items():
            self.encoders[m] = encoder_of(m, dim, self.rows[m], channels, heads, (bands or {}).get(m, 0), dropout)
        self.fusion = fusion_of(fusion, tuple(dims), channels, heads)

    def pyramids(self, batch: Batch) -> Pyramids:
        """The pyramid of each modality, (B, R, D), zeros where it is absent. One of fewer than ROWS rows repeats them."""
        made = {m: pyramid(*batch.frames(m), levels) for m, levels in self.levels.items()}
        return {m: x.repeat_interleave(self.rows[m] // x.shape[1], dim=1) for m, x in made.items()}

    def codes(self, pyramids: Pyramids, batch: Batch) -> dict[str, Float[Tensor, "batch 32 channel"]]:
        """Of each modality. An absent one is zeros: before its encoder, because batch normalisation would carry its values
        to other samples, and behind it, because encoders have biases."""
        codes = {m: encoder(pyramids[m]) for m, encoder in self.encoders.items()}
        return {m: torch.where(rearrange(available(batch, m), "b -> b 1 1"), code, 0.0) for m, code in codes.items()}

    def forward(self, pyramids: Pyramids, batch: Batch) -> Float[Tensor, "batch 32 channel"]:
        """The fused code of all modalities, F_L of eq. 9. `batch` says which of them a sample has."""
        return self.fusion(self.codes(pyramids, batch))


class OfPyramids(System):
    """Base of the two systems. They compute the pyramids of the train split once, not in every step."""

    network: Network

    def targets(self, clean: Batch) -> Pyramids:
        return self.network.pyramids(clean)

    def known(self, clean: Batch) -> Pyramids:
        """The pyramids among the targets of a batch."""
        return {m: clean.targets[m] for m in self.network.rows if m in clean.targets}

    def read(self, clean: Batch, observed: Batch) -> Pyramids:
        """The pyramids of an observed batch: those of the clean one where both are the same."""
        same = all(
            x is clean.x[m] and observed.present[m] is clean.present[m] and not x.requires_grad
            for m, x in observed.x.items()
        )
        return self.known(clean) if same and self.known(clean) else self.network.pyramids(observed)


class MCWSA(OfPyramids):
    """The autoencoder (MCWSA III.C, eqs. 8-10): a decoder for each modality rebuilds its pyramid from the fused code of all.

    Eq. 9 gives F_L one input; here it gets all codes, as Fig. 1 draws it. The error of a modality is the mean of its
    squared differences, since the sizes of pyramids differ, and eq. 8 has no weights. Every sample counts for the
    modalities that it has.

    `fusion` is a name of `nn.fusions.FUSIONS`. `bands={"audio": 64}` reads a modality as a picture of log-mel frequencies
    with static, delta and delta-delta channels; without it, features have no order. `levels` are the largest numbers of
    regions of the pyramids, 64 for audio and 16 for others if not given. The paper does not state `heads`, which must
    divide the channels of every block.
    """

    phase = "reconstruct"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, fusion: str = "cmha", bands: Mapping[str, int] | None = None,
        levels: Mapping[str, int] | None = None, channels: int = 300, heads: int = 6, dropout: float = 0.5,
        lr: float = 1e-3, l2: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        self.optimizer, dims = Adam(lr, l2), widths(shapes)
        self.network = Network(dims, fusion, channels, heads, bands, levels, dropout)
        self.decoders = nn.ModuleDict()
        for m, dim in dims.items():
            self.decoders[m] = Decoder(dim, self.network.rows[m], channels, (bands or {}).get(m, 0))

    def forward(self, observed: Batch) -> Pyramids:
        """The rebuilt pyramid of every modality, also of those that a sample lacks."""
        return self.rebuilt(self.network.pyramids(observed), observed)

    def rebuilt(self, pyramids: Pyramids, observed: Batch) -> Pyramids:
        code = self.network(pyramids, observed)
        return {m: decoder(code) for m, decoder in self.decoders.items()}

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Float[Tensor, ""]]:
        rebuilt, terms = self.rebuilt(self.read(clean, observed), observed), {}
        for m, target in (self.known(clean) or self.targets(clean)).items():
            known = available(clean, m)
            errors = (rebuilt[m] - target).square().mean((1, 2))
            terms[m] = torch.where(known, errors, 0.0).sum() / known.sum().clamp(min=1)
        return terms


class MCWSAClassifier(OfPyramids):
    """The prediction part (MCWSA III.C, IV.C): encoders and fusion start from the autoencoder's, or with `pretrain=False`
    from first weights (NP in Table II). A classifier reads the mean row of the fused code, and everything is fine-tuned;
    with `freeze` the classifier alone learns. The paper states neither the classifier nor what is fine-tuned.
    The other options are those of `MCWSA`.
    """

    upstream = {
        "autoencoder": Upstream(
            MCWSA, passes=("fusion", "bands", "levels", "channels", "heads", "dropout", "lr", "l2"), task=OwnError()
        )
    }

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, autoencoder: MCWSA | None = None, fusion: str = "cmha",
        pretrain: bool = True, freeze: bool = False, bands: Mapping[str, int] | None = None,
        levels: Mapping[str, int] | None = None, channels: int = 300, heads: int = 6, dropout: float = 0.5,
        lr: float = 1e-3, l2: float = 1e-4,
    ):  # fmt: skip
        super().__init__()
        if (autoencoder is not None) != pretrain or (freeze and not pretrain):
            raise ValueError(
                f"pretrain={pretrain} and freeze={freeze} with {'an' if autoencoder else 'no'} autoencoder: give a trained "
                "MCWSA, or pretrain=False, freeze=False"
            )
        self.optimizer, self.autoencoder, self.own = Adam(lr, l2), autoencoder, None
        if not freeze:
            self.own = Network(widths(shapes), fusion, channels, heads, bands, levels, dropout)
            if autoencoder is not None:
                start_from(self.own, autoencoder.network, self)
        self.classifier = mlp(channels, 128, task.outputs, dropout=dropout)

    @classmethod
    def starts_from(cls, options: Mapping[str, object]) -> Mapping[str, Upstream]:
        return cls.upstream if options.get("pretrain", True) else {}

    @property
    def network(self) -> Network:
        return self.autoencoder.network if self.own is None else self.own

    def forward(self, observed: Batch) -> Tensor:
        return self.classify(self.network.pyramids(observed), observed)

    def classify(self, pyramids: Pyramids, observed: Batch) -> Tensor:
        return self.classifier(self.network(pyramids, observed).mean(1))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        return {"task": self.task.loss(self.classify(self.read(clean, observed), observed), clean)}
