"""The fusions of MCWSA: sizes, equalities with known designs, and what none of them may do."""

import pytest
import torch
from torch import nn

from robustmer.nn.fusions import CMHA, FUSIONS, LMF, Attentions, Concat, Exchange, WideConcat, fusion_of, outer
from robustmer.systems import count_parameters

AVT, AV, A = ("audio", "visual", "text"), ("audio", "visual"), ("audio",)


def codes_of(modalities, channels=12, rows=5, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {m: torch.randn(3, rows, channels, generator=draw) for m in modalities}


@pytest.fixture(autouse=True)
def seeded_weights():
    torch.manual_seed(0)


@pytest.mark.parametrize("modalities", [AVT, AV, A])
@pytest.mark.parametrize("name", FUSIONS)
def test_every_fusion_gives_one_code_whatever_the_order_of_the_modalities(name, modalities):
    fusion, codes = fusion_of(name, modalities, 12, 3).eval(), codes_of(modalities)
    fused = fusion(codes)
    assert fused.shape == (3, 5, 12)
    assert torch.equal(fused, fusion({m: codes[m] for m in reversed(modalities)}))


@pytest.mark.parametrize("name", FUSIONS)
def test_a_sample_is_fused_alone(name):
    fusion, codes = fusion_of(name, AVT, 12, 3).eval(), codes_of(AVT)
    alone = fusion({m: code[1:2] for m, code in codes.items()})
    torch.testing.assert_close(fusion(codes)[1:2], alone, atol=1e-5, rtol=1e-5)


def test_sizes_are_those_that_the_paper_implies():
    """12 attentions of four 300 x 300 matrices, 6 convolutions of 600 to 300, one of 900 to 300."""
    with torch.device("meta"):
        sizes = {len(m): count_parameters(CMHA(m, 300, 6)) for m in (AVT, AV, A)}
        concat, one_order = count_parameters(Concat(AVT, 300, 6)), count_parameters(CMHA(AVT, 300, 6, orders=1))
        wide = {len(m): count_parameters(WideConcat(m, 300, 6)) for m in (AVT, AV)}
    assert sizes == {3: 5_670_000, 2: 900_000, 1: 0} and concat == 270_000 == sizes[3] / 21
    assert wide == {3: sizes[3], 2: sizes[2]}, "the control for size"
    assert one_order == 4 * 360_000 + 2 * 180_000


def test_attentions_are_those_of_torch():
    """Each module of a stack equals nn.MultiheadAttention with its weights."""
    attentions, query, source = Attentions(4, 12, 3), torch.randn(4, 2, 5, 12), torch.randn(4, 2, 7, 12)
    answers = attentions(query, source)
    for i in range(4):
        known = nn.MultiheadAttention(12, 3, bias=False, batch_first=True)
        weights = [getattr(attentions, name)[i].T for name in ("query", "key", "value")]
        known.in_proj_weight.data, known.out_proj.weight.data = torch.cat(weights).data, attentions.out[i].T.data
        torch.testing.assert_close(answers[i], known(query[i], source[i], source[i])[0], atol=1e-5, rtol=1e-5)


def test_a_permutation_of_the_rows_of_a_source_changes_no_answer():
    attentions, query, source = Attentions(1, 12, 3), torch.randn(1, 2, 5, 12), torch.randn(1, 2, 7, 12)
    moved = attentions(query, source[:, :, torch.randperm(7)])
    torch.testing.assert_close(attentions(query, source), moved, atol=1e-5, rtol=1e-5)


def test_a_code_of_zeros_says_nothing():
    exchange, codes = Exchange(1, 12, 3), torch.randn(1, 2, 5, 12)
    assert not Attentions(1, 12, 3)(codes, torch.zeros_like(codes)).any()
    assert not exchange(torch.zeros_like(codes), torch.zeros_like(codes)).any()


def test_the_cascade_is_written_out():
    """Eqs. 4 to 7 for the order MTI, module by module."""
    fusion, z = CMHA(AVT, 12, 3, orders=1), codes_of(AVT)
    m, i, t = (z[name][None] for name in AVT)

    def attend(stack, number, query, source):
        one = Attentions(1, 12, 3)
        for name in ("query", "key", "value", "out"):
            getattr(one, name).data = getattr(stack.attend, name)[number : number + 1].data
        return one(query, source)

    t_to_m, m_to_t = attend(fusion.first, 0, m, t), attend(fusion.first, 1, t, m)
    mt = torch.cat([t_to_m, m_to_t], -1) @ fusion.first.join[0]
    mt_to_i, i_to_mt = attend(fusion.second, 0, i, mt), attend(fusion.second, 1, mt, i)
    mti = torch.cat([mt_to_i, i_to_mt], -1) @ fusion.second.join[0]
    torch.testing.assert_close(fusion(z), mti[0], atol=1e-5, rtol=1e-5)


def test_the_order_of_the_cascade_changes_its_value():
    fusion, z = CMHA(AVT, 12, 3, orders=1), codes_of(AVT)
    other = {"audio": z["text"], "visual": z["visual"], "text": z["audio"]}
    assert not torch.allclose(fusion(z), fusion(other), atol=1e-3)


def test_concat_is_one_product():
    fusion, z = Concat(AVT, 12, 3), codes_of(AVT)
    parts = fusion.join[0].split(12)
    torch.testing.assert_close(fusion(z), sum(z[m] @ w for m, w in zip(AVT, parts, strict=True)))


@pytest.mark.parametrize("modalities", [AVT, AV, A])
def test_low_rank_fusion_is_tensor_fusion_whose_weight_is_a_sum_of_outer_products(modalities):
    fusion, z = LMF(modalities, 4, 1, rank=3), codes_of(modalities, channels=4)
    weights = torch.ones(3, 1, 4)  # rank, product, channel
    for m in modalities:
        weights = (weights[:, :, None] * fusion.factors[m][:, None]).flatten(1, 2)
    expected = outer([z[m] for m in modalities]) @ weights.sum(0)
    torch.testing.assert_close(fusion(z), expected, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_built_is_named():
    with pytest.raises(ValueError, match="'sum' was given; choose from concat, wide concat, tfn"):
        fusion_of("sum", AV, 12, 3)
    with pytest.raises(ValueError, match="5 heads were given for a width of 12"):
        CMHA(AV, 12, 5)
    with pytest.raises(ValueError, match="4 modalities"):
        CMHA((*AVT, "pulse"), 12, 3)
