"""VQ-VAE: every frame of one modality as 64 codes (van den Oord et al. 2017; VQ-MDVAE 2.5, Tables A.5 and A.6)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from robustmer.batch import Batch, Shape, as_numbers
from robustmer.metrics.reconstruction import FLOOR, itakura_saito
from robustmer.nn.quantiser import Quantised, Quantiser
from robustmer.systems.system import Objective, System, constant
from robustmer.tasks import Task

Frames = Float[Tensor, "frame ..."]
Latent = Float[Tensor, "frame width"]
RESIDUALS = ("plain", "narrow")
CHUNK = 512
"""Frames that an evaluation encodes at a time."""


class Kind(NamedTuple):
    """The sizes of a codec: Table A.5 for pictures, Table A.6 for power spectra."""

    height: int  # of a kernel of three places: 3, or 1 for a spectrum
    width: int
    blocks: int
    codes: int
    code_width: int
    kernels: tuple[int, int]  # of the last downsampling and of the last upsampling
    activation: type[nn.Module]
    frames: int  # of a training step


PICTURE = Kind(3, 128, 2, 512, 32, (4, 4), nn.ReLU, 64)
SPECTRUM = Kind(1, 32, 1, 128, 8, (3, 3), nn.Tanh, 1024)


class Residual(nn.Module):
    """x + F(x), where F is activation and convolution, twice. "plain" are two convolutions of three places (Tables A.5
    and A.6). "narrow" is the released code: three places to a width, one place back, and no biases."""

    def __init__(self, kind: Kind, width: int, narrow: int = 0):
        super().__init__()
        inside, bias = narrow or width, not narrow
        self.layers = nn.Sequential(
            kind.activation(), convolution(kind, width, inside, 3, bias=bias),
            kind.activation(), convolution(kind, inside, width, 1 if narrow else 3, bias=bias),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def convolution(kind: Kind, inside: int, outside: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """With a padding of 1, or 0 for a kernel of one place. A spectrum is a picture of one row, which oneDNN computes
    more than twice as fast as a sequence."""
    sizes = (kernel, stride, min(1, kernel - 1))
    flat = ((1, kernel), (1, stride), (0, sizes[2]))
    return nn.Conv2d(inside, outside, *(flat if kind.height == 1 else sizes), bias=bias)


def upsampling(kind: Kind, inside: int, outside: int, kernel: int = 4) -> nn.ConvTranspose2d:
    """Twice as many places with a kernel of 4 and a padding of 1; 2 n + 1 with a kernel of 3 and none."""
    padding = kernel - 3
    sizes = (kernel, 2, padding) if kind.height > 1 else ((1, kernel), (1, 2), (0, padding))
    return nn.ConvTranspose2d(inside, outside, *sizes)


class VQVAE(System):
    r"""One modality, frame by frame: encoder, `Quantiser`, decoder.

    Frames of shape (C, H, W) are pictures in [0, 1]: squared error and 512 codes of width 32 on a grid of H/8 x W/8.
    Frames of shape (bins,) are power spectra: the Itakura-Saito divergence, an exponential as the last layer, and 128
    codes of width 8 on (bins - 1)/8 places. The loss adds the commitment of the codes. A step takes `frames` recorded
    frames of the batch at random: 64 pictures or 1,024 spectra.

    Table A.6 prints kernel sizes that lead to 127, 254 and 510 bins. Those of its first and its last upsampling are
    swapped, which leads to 128, 256 and 513. A residual block activates first and adds its plain input. With
    `residual="narrow"` the blocks and the extra convolution beside them are those of the released code. `log_input`
    feeds the logarithm of the power to the encoder. `width`, `codes` and `code_width` replace the published sizes;
    `restart` is that of the `Quantiser`.
    The paper states neither learning rate nor batch; 1e-3, 64 and 1,024 are those of the released code.

    Raises ValueError for a modality that the corpus lacks, for pictures whose sides are no multiples of 8, for a number
    of bins that is not 8 k + 1, and for an unknown residual.
    """

    phase = "codec"

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, modality: str = "visual", residual: str = "plain",
        log_input: bool = False, width: int | None = None, codes: int | None = None, code_width: int | None = None,
        frames: int | None = None, restart: float = 0.0, lr: float = 1e-3,
    ):  # fmt: skip
        super().__init__()
        shape = check_frame(shapes, modality)
        if residual not in RESIDUALS:
            raise ValueError(f"residual={residual!r}: the blocks are one of {', '.join(RESIDUALS)}")
        kind = PICTURE if len(shape) == 3 else SPECTRUM
        if log_input and kind is PICTURE:
            raise ValueError(f"log_input=True: {modality} has pictures of shape {shape}; only power has a logarithm")
        self.modality, self.log_input, self.kind = modality, log_input, kind
        self.frames = frames or kind.frames
        channels, code_width = (shape[0] if kind is PICTURE else 1), code_width or kind.code_width
        self.grid = (shape[1] // 8, shape[2] // 8) if kind is PICTURE else (1, shape[0] // 8)
        self.encoder, self.decoder = layers(kind, channels, width or kind.width, code_width, residual == "narrow")
        self.quantiser = Quantiser(codes or kind.codes, code_width, restart=restart)
        self.latent_width = code_width * self.grid[0] * self.grid[1]
        self.optimizer = functools.partial(torch.optim.Adam, lr=lr, fused=True)
        self.to(memory_format=torch.channels_last)

    def encode(self, frames: Frames) -> Latent:
        """The output of the encoder before quantisation, channels first: 2,048 numbers of a picture of 64 x 64 pixels,
        512 of a spectrum of 513 bins."""
        return self.encoded(frames).flatten(1)

    def decode(self, latent: Latent) -> Frames:
        """Quantise and decode: pixels in [0, 1], or power."""
        return self.decoded(self.quantised(latent.unflatten(1, (-1, *self.grid)))[0])

    def index(self, latent: Latent) -> Int[Tensor, "frame place"]:
        """The number of the code at each place of the grid."""
        return rearrange(self.quantised(latent.unflatten(1, (-1, *self.grid)))[1].index, "(b p) -> b p", b=len(latent))

    def forward(self, observed: Batch) -> dict[str, Tensor]:
        return {self.modality: self.by_frame(observed, lambda frames: self.decode(self.encode(frames)))}

    def codes(self, observed: Batch) -> dict[str, Float[Tensor, "batch code"]]:
        """How often the frames of each sample use each code."""

        def count(frames: Frames) -> Float[Tensor, "frame code"]:
            index = self.index(self.encode(frames))
            used = frames.new_zeros(len(frames), len(self.quantiser.count))
            return used.scatter_add_(1, index, used.new_ones(index.shape))

        return {self.modality: self.by_frame(observed, count).sum(1)}

    def by_frame(self, observed: Batch, function: Callable[[Frames], Tensor]) -> Tensor:
        """A function of the recorded frames, (B, T, ...); zeros where a frame is padded or absent."""
        x, mask = observed.frames(self.modality)
        recorded = x[mask]
        parts = [function(part) for part in recorded.split(CHUNK)] if len(recorded) else [function(x[:1, 0])[:0]]
        output = parts[0].new_zeros(*mask.shape, *parts[0].shape[1:])
        return output.masked_scatter(mask.reshape(*mask.shape, *[1] * (output.ndim - 2)), torch.cat(parts))

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        """Of random frames that are recorded in both batches: the error of the reconstruction, a mean over pixels or
        bins, and the commitment."""
        masks = [batch.mask[self.modality] & batch.present[self.modality][:, None] for batch in (clean, observed)]
        rows = (masks[0] & masks[1]).flatten().nonzero()[:, 0]
        rows = rows[torch.randperm(len(rows), device=rows.device)[: self.frames]]
        target, frames = (as_numbers(batch.x[self.modality].flatten(0, 1)[rows]) for batch in (clean, observed))
        code, quantised = self.quantised(self.encoded(frames))
        errors = self.divergence(target, self.decoded(code))
        return {"reconstruct": errors.sum() / max(1, errors.numel()), "commit": quantised.commitment}

    def divergence(self, target: Frames, output: Frames) -> Tensor:
        return (target - output).square() if self.kind is PICTURE else itakura_saito(target, output)

    def objectives(self) -> dict[str, Objective]:
        return {"all": Objective(self.loss, self.own_parameters(), self.optimizer, 1, constant, self.quantiser.update)}

    def encoded(self, frames: Frames) -> Float[Tensor, "frame code row column"]:
        if self.log_input:
            frames = torch.log(frames.clamp(min=0) + FLOOR)
        x = frames if self.kind is PICTURE else frames[:, None, None]
        return self.encoder(x.contiguous(memory_format=torch.channels_last))

    def quantised(self, latent: Float[Tensor, "frame code row column"]) -> tuple[Tensor, Quantised]:
        """The codes at their places, and what the quantiser returns for the places, frame by frame."""
        places = latent.movedim(1, -1)
        quantised = self.quantiser(places.flatten(0, -2))
        return quantised.code.view(places.shape).movedim(-1, 1), quantised

    def decoded(self, code: Float[Tensor, "frame code row column"]) -> Frames:
        if self.kind is SPECTRUM:
            return self.decoder(code)[:, 0, 0].exp()
        output = self.decoder(code)
        return output if self.training else output.clamp(0, 1)


def layers(kind: Kind, channels: int, width: int, code_width: int, narrow: bool) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder and decoder. A transposed convolution of stride 1 is a convolution, and is written as one."""
    act, picture, half, (down, up) = kind.activation, kind is PICTURE, width // 2, kind.kernels
    conv, more = functools.partial(convolution, kind), functools.partial(upsampling, kind)
    inside = width // (4 if picture else 2) if narrow else 0
    blocks = lambda: [Residual(kind, width, inside) for _ in range(kind.blocks)]  # noqa: E731
    extra = [act(), conv(width, width, 3)] if narrow and picture else []
    encoder = nn.Sequential(
        conv(channels, half, 4, 2), act(), conv(half, width, 4, 2), act(), conv(width, width, down, 2), *extra,
        *blocks(), act(), conv(width, code_width, 1),
    )  # fmt: skip
    middle = half if picture else width
    decoder = nn.Sequential(
        conv(code_width, width, 3 if narrow else 1), *blocks(), act(),
        more(width, middle), act(), more(middle, half), act(), more(half, channels, up),
    )  # fmt: skip
    return encoder, decoder


def check_frame(shapes: Mapping[str, Shape], modality: str) -> Shape:
    """The shape of a frame of the modality. Raises ValueError as `VQVAE` does."""
    if modality not in shapes:
        raise ValueError(f"VQVAE was given the modality {modality!r}; there are {', '.join(shapes)}")
    shape = tuple(shapes[modality])
    if len(shape) == 3 and (shape[1] % 8 or shape[2] % 8):
        raise ValueError(f"{modality} has pictures of {shape[1]} x {shape[2]} pixels; give sides that 8 divides")
    if len(shape) == 1 and (shape[0] < 9 or shape[0] % 8 != 1):
        raise ValueError(f"{modality} has {shape[0]} bins; three halvings and back need 8 k + 1 of them, such as 513")
    if len(shape) not in (1, 3):
        raise ValueError(f"{modality} has frames of shape {shape}; give pictures (C, H, W) or power spectra (bins,)")
    return shape
