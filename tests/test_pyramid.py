"""Laws of the temporal pyramid: the regions are those of a plain loop, and padding changes nothing."""

import pytest
import torch

from robustmer.batch import mean_over_time
from robustmer.nn.pyramid import levels_to, pyramid, rows

LEVELS = levels_to(64)


def ragged(*lengths: int, dim: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of these lengths, with values in the padding that no pooling may read."""
    frames = torch.randn(len(lengths), max(*lengths, 1), dim, generator=torch.Generator().manual_seed(len(lengths)))
    return frames, torch.arange(frames.shape[1]) < torch.tensor(lengths)[:, None]


def by_loop(frames: torch.Tensor, levels) -> torch.Tensor:
    """One sample, (T, D): the definition, region by region."""
    pooled = []
    for n in levels:
        padded = torch.cat([frames, torch.zeros(max(n - len(frames), 0), frames.shape[1])])
        for i in range(n):
            pooled.append(padded[i * len(padded) // n : (i + 1) * len(padded) // n].mean(0))
    return torch.stack([*pooled, frames.amax(0)])


@pytest.mark.parametrize("levels", [LEVELS, (3, 5), (70,)])
def test_the_pyramid_is_the_plain_loop_at_every_length(levels):
    lengths = range(1, 71)
    x, mask = ragged(*lengths)
    pooled = pyramid(x, mask, levels)
    for i, length in enumerate(lengths):
        torch.testing.assert_close(pooled[i], by_loop(x[i, :length], levels), atol=1e-5, rtol=1e-5)


def test_the_paper_has_128_rows_of_audio_and_32_of_the_others():
    x, mask = ragged(50, 7)
    for maximum, number in ((64, 128), (16, 32), (1, 2)):
        assert pyramid(x, mask, levels_to(maximum)).shape == (2, number, 3)
        assert rows(levels_to(maximum)) == number


def test_level_1_is_the_mean_and_the_last_row_the_maximum_over_time():
    x, mask = ragged(9, 4, 1)
    pooled = pyramid(x, mask, LEVELS)
    torch.testing.assert_close(pooled[:, 0], mean_over_time(x, mask))
    torch.testing.assert_close(pooled[:, -1], torch.stack([x[0].amax(0), x[1, :4].amax(0), x[2, 0]]))


def test_as_many_regions_as_frames_are_the_frames():
    x, mask = ragged(16, 16)
    torch.testing.assert_close(pyramid(x, mask, (16,))[:, :-1], x)


def test_one_frame_fills_the_first_region_of_each_level_and_zeros_the_120_others():
    x, mask = ragged(1)
    pooled = pyramid(x + 1, mask, LEVELS)[0, :-1]
    assert int((pooled == 0).all(1).sum()) == 120
    torch.testing.assert_close(pooled[(pooled != 0).all(1)], (x + 1)[0].expand(7, -1))


def test_padding_neighbours_and_absence_change_nothing():
    x, mask = ragged(33, 5, 0)
    pooled = pyramid(x, mask, LEVELS)
    assert not pooled[2].any()
    longer = torch.nn.functional.pad(x, (0, 0, 0, 40), value=torch.nan)
    torch.testing.assert_close(pyramid(longer, torch.nn.functional.pad(mask, (0, 40)), LEVELS), pooled)
    torch.testing.assert_close(pyramid(x[[1]], mask[[1]], LEVELS)[0], pooled[1])


def test_the_gradient_reaches_every_recorded_frame_and_no_padding():
    x, mask = ragged(40, 3, 0)
    x.requires_grad_(True)
    pyramid(x, mask, LEVELS).square().sum().backward()
    assert torch.isfinite(x.grad).all()
    assert torch.equal(x.grad.abs().sum(2) > 0, mask)


def test_levels_that_are_no_regions_are_refused():
    x, mask = ragged(4)
    for levels in ((), (0, 2), (4, -1)):
        with pytest.raises(ValueError, match="numbers of regions"):
            pyramid(x, mask, levels)
    with pytest.raises(ValueError, match="power of two"):
        levels_to(48)
