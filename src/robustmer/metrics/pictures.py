"""How near resynthesised pictures (N, C, H, W) in [0, 1] are to recorded ones: PSNR, SSIM and SCC.

SSIM and SCC are maps of the size of the pictures, so that a region has a score of its own. Their means are those of
torchmetrics, whose definitions they follow.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pad

Pictures = Float[Tensor, "picture channel row column"]

SIZE, SIGMA = 11, 1.5
"""Of SSIM's Gaussian window, in pixels (Wang et al. 2004)."""

C1, C2 = 0.01**2, 0.03**2
WINDOW = 8
"""Side of SCC's windows, in pixels."""


def psnr(error: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Peak signal-to-noise ratio in dB of a mean squared error, for the peak 1; infinite without any error.

    >>> psnr(torch.tensor([0.01, 1.0]))
    tensor([20., 0.])
    """
    return -10 * torch.log10(error)


def ssim_map(x: Pictures, y: Pictures) -> Pictures:
    """Structural similarity (Wang et al. 2004) around each pixel; pictures are reflected beyond their border."""
    at = torch.arange(SIZE, device=x.device) - SIZE // 2
    bell = torch.exp(-0.5 * (at / SIGMA) ** 2).to(x)
    bell, side = bell / bell.sum(), (SIZE // 2,) * 4
    five = torch.cat([x, y, x * x, y * y, x * y]).flatten(0, 1)[:, None]
    five = conv2d(conv2d(pad(five, side, "reflect"), bell.view(1, 1, 1, -1)), bell.view(1, 1, -1, 1))
    mean_x, mean_y, square_x, square_y, product = five.view(5, *x.shape)
    variances = (square_x - mean_x**2).clamp(min=0) + (square_y - mean_y**2).clamp(min=0)
    likeness = (2 * mean_x * mean_y + C1) * (2 * (product - mean_x * mean_y) + C2)
    return likeness / ((mean_x**2 + mean_y**2 + C1) * (variances + C2))


def ssim(x: Pictures, y: Pictures) -> Float[Tensor, "picture"]:
    return ssim_map(x, y).flatten(1).mean(1)


def scc_map(x: Pictures, y: Pictures) -> Pictures:
    """Spatial correlation coefficient (Zhou et al. 1998): the correlation of the Laplacians of both pictures within 8 x
    8 pixels around each pixel, 0 where one of them is constant. Beyond their border the Laplacians are 0."""
    high_x, high_y = laplacian(x), laplacian(y)
    around = lambda values: avg_pool2d(pad(values, (4, 3, 4, 3)), WINDOW, 1)  # noqa: E731
    mean_x, mean_y = around(high_x), around(high_y)
    variance_x, variance_y = around(high_x**2) - mean_x**2, around(high_y**2) - mean_y**2
    spread = variance_x.clamp(min=0).sqrt() * variance_y.clamp(min=0).sqrt()
    covariance = around(high_x * high_y) - mean_x * mean_y
    return torch.where(spread > 0, covariance / spread.where(spread > 0, 1.0), 0.0)


def scc(x: Pictures, y: Pictures) -> Float[Tensor, "picture"]:
    return scc_map(x, y).flatten(1).mean(1)


def laplacian(x: Pictures) -> Pictures:
    """Eight times a pixel minus its eight neighbours, twice; the border is repeated."""
    return 18 * (x - avg_pool2d(pad(x, (1, 1, 1, 1), "replicate"), 3, 1))
