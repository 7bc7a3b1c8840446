"""The cascade residual autoencoder of MMIN and IF-MMIN."""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn

from robustmer.nn.encoders import mlp


class CascadeAutoencoder(nn.Module):
    """Autoencoders in a row (MMIN 3.2), with the layer sizes wide-256-128-64-128-256-wide. Each reads the sum of the
    input and of all earlier outputs; the reconstruction is made from the sum of all."""

    def __init__(self, wide: int, blocks: int = 5, sizes: tuple[int, ...] = (256, 128, 64)):
        super().__init__()
        encoder = partial(mlp, wide, *sizes, activation=nn.LeakyReLU, kaiming=False)
        decoder = partial(mlp, *reversed(sizes), wide, kaiming=False)
        self.encode = nn.ModuleList(encoder() for _ in range(blocks))
        self.decode = nn.ModuleList(decoder() for _ in range(blocks))
        self.out = mlp(wide, wide, wide, kaiming=False)
        self.latent = blocks * sizes[-1]

    def forward(
        self, x: Float[Tensor, "batch wide"], guide: Float[Tensor, "batch wide"] | float = 0.0
    ) -> tuple[Float[Tensor, "batch wide"], Float[Tensor, "batch latent"]]:
        """The reconstruction, and the latents of all blocks side by side. `guide` (IF-MMIN's invariant features) is
        added to the input of every block."""
        latents = []
        for encode, decode in zip(self.encode, self.decode, strict=True):
            latents.append(encode(x + guide))
            x = x + decode(latents[-1])
        return self.out(x), torch.cat(latents, dim=1)
