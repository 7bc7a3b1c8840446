"""The U-Net takes any number of frames, and every block depends on the time step and the condition."""

import pytest
import torch
from torch import nn

from robustmer.nn.unet import INJECT, ResidualBlock, TimeEmbedding, UNet
from robustmer.noise import stream
from robustmer.training import seeded


def made(inject="concat", kernel=3, widths=(8, 12), channels=5):
    with seeded("unet"):
        return UNet(channels, condition=4, embedding=16, widths=widths, kernel=kernel, inject=inject)


def inputs(frames, rows=3, channels=5):
    draw = stream("inputs", frames)
    normal = lambda *shape: torch.randn(shape, generator=draw)  # noqa: E731
    return normal(rows, channels, frames), normal(rows, 4, frames), normal(rows, 16)


@pytest.mark.parametrize("inject", INJECT)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7, 50])
@pytest.mark.parametrize("widths", [(8,), (8, 12), (6, 9, 7)])
def test_any_number_of_frames_is_kept(frames, widths, inject):
    x, condition, embedding = inputs(frames)
    out = made(inject, widths=widths)(x, condition, embedding)
    assert out.shape == x.shape and torch.isfinite(out).all()


@pytest.mark.parametrize("inject", INJECT)
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_time_and_condition_change_the_output_from_the_start(frames, inject):
    x, condition, embedding = inputs(frames)
    unet = made(inject, kernel=1 if frames == 1 else 3)
    out = unet(x, condition, embedding)
    assert (out - unet(x, condition, embedding + 1)).abs().amax((1, 2)).min() > 1e-3
    assert (out - unet(x, condition + 1, embedding)).abs().amax((1, 2)).min() > 1e-3


@pytest.mark.parametrize("inject", INJECT)
def test_every_block_depends_on_the_time(inject):
    """A gradient reaches the time layer of every block, and every time layer alone changes the output."""
    x, condition, embedding = inputs(5)
    unet = made(inject)
    out = unet(x, condition, embedding)
    blocks = [module for module in unet.modules() if isinstance(module, ResidualBlock)]
    assert len(blocks) == 4  # two going down, the bottleneck, one going up
    out.square().sum().backward()
    for block in blocks:
        assert block.time.weight.grad.any()
        with torch.no_grad():
            block.time.bias += 0.1
        assert not torch.allclose(unet(x, condition, embedding), out)
        with torch.no_grad():
            block.time.bias -= 0.1


@pytest.mark.parametrize("inject", INJECT)
@pytest.mark.parametrize("frames", [1, 3, 8])
def test_a_sample_does_not_see_its_neighbours(frames, inject):
    parts = inputs(frames)
    unet = made(inject)
    together = unet(*parts)
    for row in range(3):
        torch.testing.assert_close(together[[row]], unet(*(part[[row]] for part in parts)))


def test_a_frame_sees_far_through_the_lower_level():
    """Another resolution more than doubles the reach of the convolutions: that is the purpose of the U."""
    x, condition, embedding = inputs(40, rows=1)
    shallow, deep = made(widths=(8,)), made(widths=(8, 8, 8))
    reach = []
    for unet in (shallow, deep):
        for module in unet.modules():  # normalisation over all frames would hide how far convolutions reach
            for name, child in module.named_children():
                if isinstance(child, nn.GroupNorm):
                    setattr(module, name, nn.Identity())
        watched = x.clone().requires_grad_()
        unet(watched, condition, embedding)[0, 0, 20].backward()
        reach.append(int(watched.grad.any(1).sum()))
    assert 2 * reach[0] < reach[1]


def test_no_two_time_steps_have_the_same_embedding():
    with seeded("time"):
        embedded = TimeEmbedding(32, 1000)(torch.arange(1, 1001))
    apart = torch.cdist(embedded, embedded) + torch.eye(1000)
    assert apart.min() > 1e-4


def test_an_unknown_way_in_is_named():
    with pytest.raises(ValueError, match="inject='flim'.*concat, film, attention"):
        made("flim")
    with pytest.raises(ValueError, match="kernel=2.*odd kernel"):
        made(kernel=2)
