"""The laws of vector quantisation: nearest codes, straight-through gradients, and a codebook that only steps move."""

import pytest
import torch

from robustmer.nn.quantiser import Quantiser, perplexity


def made(codes=16, width=3, seed=0, **options):
    torch.manual_seed(seed)
    quantiser = Quantiser(codes, width, **options)
    quantiser.begun.fill_(True)
    return quantiser


def vectors(count=200, width=3, seed=1):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
def test_every_vector_gets_the_nearest_code(seed):
    quantiser, x = made(seed=seed).eval(), vectors(seed=seed + 1)
    out = quantiser(x)
    for vector, index, code in zip(x, out.index, out.code, strict=True):
        distances = [float((vector - other).square().sum()) for other in quantiser.codebook]
        assert distances[index] == pytest.approx(min(distances), rel=1e-5)
        assert torch.equal(code, quantiser.codebook[index])
    assert out.commitment == pytest.approx(0.25 * float((x - out.code).square().mean()))


def test_quantising_again_changes_nothing():
    quantiser = made().eval()
    once = quantiser(vectors())
    again = quantiser(once.code)
    assert torch.equal(again.code, once.code) and torch.equal(again.index, once.index) and again.commitment == 0


def test_the_gradient_goes_straight_through_to_the_vectors_and_not_to_the_codebook():
    quantiser, x, weight = made(), vectors().requires_grad_(), vectors(seed=5)
    (quantiser(x).code * weight).sum().backward()
    assert torch.equal(x.grad, weight)
    x.grad = None
    out = quantiser(x)
    out.commitment.backward()
    torch.testing.assert_close(x.grad, 2 * 0.25 * (x - out.code).detach() / x.numel())
    assert not [*quantiser.parameters()] and not quantiser.codebook.requires_grad


def test_an_update_is_the_moving_average_of_its_formula():
    quantiser, decay, smoothing = made(decay=0.9, smoothing=1e-2), 0.9, 1e-2
    count, total, codes = quantiser.count.clone(), quantiser.total.clone(), len(quantiser.count)
    for seed in range(3):
        x = vectors(seed=seed)
        index = quantiser(x).index
        quantiser.update()
        for k in range(codes):
            count[k] = decay * count[k] + (1 - decay) * (index == k).sum()
            total[k] = decay * total[k] + (1 - decay) * x[index == k].sum(0)
        whole = count.sum()
        expected = total / ((count + smoothing) / (whole + codes * smoothing) * whole)[:, None]
        torch.testing.assert_close(quantiser.codebook, expected)


def test_a_step_in_parts_is_one_step():
    whole, parts, x = made(), made(), vectors()
    whole(x)
    for part in x.split(30):
        parts(part)
    whole.update()
    parts.update()
    torch.testing.assert_close(whole.codebook, parts.codebook)
    before = parts.codebook.clone()
    parts.update()
    assert torch.equal(parts.codebook, before), "a second update has nothing to add"


def test_evaluation_moves_nothing():
    quantiser = made().eval()
    before = {name: t.clone() for name, t in quantiser.state_dict().items()}
    quantiser(vectors())
    quantiser.update()
    quantiser.train().update()
    assert all(torch.equal(t, before[name]) for name, t in quantiser.state_dict().items())


def test_codes_begin_at_vectors_of_the_first_batch_and_only_once():
    quantiser, x = Quantiser(16, 3), vectors()
    quantiser(x)
    assert quantiser.begun and all((x == code).all(1).any() for code in quantiser.codebook)
    assert len(quantiser.codebook.unique(dim=0)) == 16
    before = quantiser.codebook.clone()
    quantiser(vectors(seed=9))
    assert torch.equal(quantiser.codebook, before)
    few = Quantiser(16, 3)
    few(x[:5])
    assert all((x[:5] == code).all(1).any() for code in few.codebook)


def test_a_code_that_nothing_uses_begins_again_only_where_asked():
    x = vectors()
    for restart in (0.0, 0.5):
        quantiser = made(restart=restart, decay=0.5)
        quantiser.codebook[3], quantiser.total[3] = 1e3, 1e3
        for _ in range(3):
            quantiser(x)
            quantiser.update()
        near = bool((x == quantiser.codebook[3]).all(1).any()) or 3 in quantiser.eval()(x).index
        assert near == bool(restart) and torch.isfinite(quantiser.codebook).all()


def test_perplexity_lies_between_one_and_the_codes_in_use():
    for seed in range(5):
        out = made(seed=seed).eval()(vectors(seed=seed))
        assert 1 <= float(out.perplexity) <= len(out.index.unique()) + 1e-4
    assert float(perplexity(torch.tensor([0.0, 7.0]))) == 1
    assert float(perplexity(torch.full((8,), 3.0))) == pytest.approx(8)


def test_no_vector_at_all_is_no_error():
    quantiser = Quantiser(4, 3)
    out = quantiser(torch.zeros(0, 3))
    quantiser.update()
    assert out.commitment == 0 and not quantiser.begun and torch.isfinite(quantiser.codebook).all()
    with pytest.raises(ValueError, match="one code or more"):
        Quantiser(0, 3)
