"""Chains of latents: a slow reference, causality, the prior where nothing is observed, and closed forms of KL."""

import pytest
import torch
from torch import nn

from robustmer.nn.dynamics import Chain, StaticEncoder, gaussian, unroll
from robustmer.nn.gaussians import kl_between, kl_to_standard
from robustmer.systems import count_parameters

BATCH, TIME, SIZE, STATIC = 5, 7, 4, 6


def chains(frame=(10, 3)):
    torch.manual_seed(0)
    first = Chain(SIZE, frame[0], STATIC, 8, (20, 12), 16)
    second = Chain(SIZE, frame[1], STATIC, 5, (9, 7), 16, nn.Tanh)
    return [first, second], [torch.randn(BATCH, TIME, width) for width in frame], torch.randn(BATCH, STATIC)


def slowly(chain, frames, static, noise):
    """One frame and one nn.GRUCell at a time, every layer in the loop."""
    state, paths = torch.zeros(len(frames), chain.gru.hidden_size), []
    for t in range(frames.shape[1]):
        prior = gaussian(chain.prior(state))
        mean, logvar = gaussian(chain.rest(chain.first(torch.cat([frames[:, t], static, state], dim=1))))
        z = mean + (0.5 * logvar).exp() * noise[:, t]
        paths.append((z, mean, logvar, *prior))
        state = chain.gru(z, state)
    return [torch.stack(values, dim=1) for values in zip(*paths, strict=True)]


@pytest.mark.parametrize("sample", [True, False])
def test_the_loop_equals_a_slow_reference(sample):
    made, frames, static = chains()
    everything = [torch.ones(BATCH, TIME, dtype=torch.bool)] * 2
    torch.manual_seed(1)
    paths = unroll(made, frames, static, everything, sample)
    torch.manual_seed(1)
    noise = torch.randn(2, BATCH, TIME, SIZE) if sample else torch.zeros(2, BATCH, TIME, SIZE)
    for k, path in enumerate(paths):
        for ours, theirs in zip(path, slowly(made[k], frames[k], static, noise[k]), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_the_reference():
    made, frames, static = chains()
    everything = [torch.ones(BATCH, TIME, dtype=torch.bool)] * 2
    params = [p for chain in made for p in chain.parameters()]
    sum((path.kl + path.z).sum() for path in unroll(made, frames, static, everything, False)).backward()
    ours = [p.grad.clone() for p in params]
    for chain in made:
        chain.zero_grad()
    for chain, x in zip(made, frames, strict=True):
        z, *both = slowly(chain, x, static, torch.zeros(BATCH, TIME, SIZE))
        (kl_between(*both) + z).sum().backward()
    for one, p in zip(ours, params, strict=True):
        torch.testing.assert_close(one, p.grad, atol=1e-4, rtol=1e-4)


def test_a_later_frame_changes_no_earlier_latent():
    """Bit for bit, given the static values."""
    made, frames, static = chains()
    everything = [torch.ones(BATCH, TIME, dtype=torch.bool)] * 2
    before = unroll(made, frames, static, everything, False)
    after = unroll(made, [torch.cat([x[:, :4], 9 * x[:, 4:]], dim=1) for x in frames], static, everything, False)
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.z[:, :4], other.z[:, :4]) and not torch.equal(one.z[:, 4], other.z[:, 4])


def test_a_frame_that_is_not_observed_has_the_prior_as_its_posterior():
    made, frames, static = chains()
    seen = torch.arange(TIME) < torch.tensor([[7], [3], [0], [7], [1]])
    one, other = unroll(made, frames, static, [seen, torch.ones_like(seen)], False)
    assert one.kl[~seen].abs().max() < 1e-6 and one.kl[seen].sum(-1).min() > 0
    torch.testing.assert_close(one.mean[~seen], one.prior_mean[~seen])
    alone = unroll(made[1:], frames[1:], static, [torch.ones_like(seen)], False)[0]
    torch.testing.assert_close(other.z, alone.z)


def test_log_variances_are_bounded():
    made, frames, static = chains()
    nn.init.constant_(made[0].rest[-1].bias, 1e4)
    path = unroll(made[:1], frames[:1], static, [torch.ones(BATCH, TIME, dtype=torch.bool)], True)[0]
    assert path.logvar.max() == 10 and torch.isfinite(path.z).all()


def test_kl_agrees_with_torch():
    mu, logvar, prior_mu, prior_logvar = torch.randn(4, 50, 3)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(
        normal(mu, (0.5 * logvar).exp()), normal(prior_mu, (0.5 * prior_logvar).exp())
    )
    torch.testing.assert_close(kl_between(mu, logvar, prior_mu, prior_logvar), theirs, atol=1e-4, rtol=1e-4)
    zero = torch.zeros_like(mu)
    torch.testing.assert_close(kl_between(mu, logvar, zero, zero), kl_to_standard(mu, logvar))


def test_the_static_latent_reads_the_whole_sequence_and_no_padding():
    torch.manual_seed(0)
    encoder, frames = StaticEncoder(6, 5, 8), torch.randn(3, 9, 6)
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    mean, _ = encoder(frames, mask)
    other = torch.where(mask[..., None], frames, 7.0)
    torch.testing.assert_close(encoder(other, mask)[0], mean)
    for row, length in ((0, 9), (1, 4), (2, 1)):
        torch.testing.assert_close(encoder(frames[[row], :length], mask[[row], :length])[0], mean[[row]])
        for t in range(length):
            changed = frames.clone()
            changed[row, t] += 1
            assert not torch.allclose(encoder(changed, mask)[0][row], mean[row])


def test_blocks_have_the_weights_of_table_a7():
    """As the equations need them (audit of the table): the GRUs read their own latents, and B7, B9 read z^(av)."""
    blocks = {
        "B4, B5": (Chain(16, 1024, 84), (66_400, 353_696)),
        "B6, B7": (Chain(8, 528, 84, 32, (128, 32), activation=nn.Tanh), (57_648, 99_504)),
        "B8, B9": (Chain(8, 528, 84), (62_288, 224_656)),
    }
    for name, (chain, sizes) in blocks.items():
        prior = count_parameters(chain.gru) + count_parameters(chain.prior)
        assert (prior, count_parameters(chain) - prior) == sizes, name
    assert count_parameters(StaticEncoder(1024, 84)) == 2_143_656
