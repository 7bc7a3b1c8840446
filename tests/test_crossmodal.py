"""MulT's parts are what its papers and torch say they are."""

import itertools
import math

import pytest
import torch
from torch import nn

from robustmer import laws
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.nn.crossmodal import Backbone, Transformers, Weights, last_frame, placed, positions, sequence
from robustmer.nn.dropout import dropout
from robustmer.noise import stream
from robustmer.systems import MulT, count_parameters
from robustmer.train import Budget, fit, seeded

SMALL = dict(width=6, layers=2, heads=2)
THREE = {"audio": 5, "visual": 7, "text": 6}


def transformers(encoders=2, width=6, heads=3, layers=2, rate=0.0) -> Transformers:
    """With all parameters off the values at which they would make no difference."""
    with seeded("transformers"):
        made = Transformers(encoders, width, heads, layers, rate)
        with torch.no_grad():
            for p in made.parameters():
                p += 0.3 * torch.randn_like(p)
    return made


def ragged(lengths, longest, rows=3):
    return torch.arange(longest) < torch.tensor(lengths * rows)[:rows, None]


class Plain(nn.Module):
    """One encoder of ours, layer by layer, in torch's own modules."""

    def __init__(self, ours: Transformers, i: int):
        super().__init__()
        self.gain, self.shift, self.layers, width = ours.gain[i, 0, 0], ours.shift[i, 0, 0], nn.ModuleList(), ours.width
        for layer in ours.layers:
            attention = nn.MultiheadAttention(width, ours.heads, batch_first=True)
            norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
            up, down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
            with torch.no_grad():
                for norm, part in zip(norms, ("attention", "feedforward"), strict=True):
                    norm.weight.copy_(layer.norms[f"{part}_gain"][i, 0])
                    norm.bias.copy_(layer.norms[f"{part}_shift"][i, 0])
                attention.in_proj_weight.copy_(layer.linear["query_key_value"][i].T)
                attention.in_proj_bias.copy_(layer.bias["query_key_value"][i, 0])
                for theirs, name in ((attention.out_proj, "out"), (up, "up"), (down, "down")):
                    theirs.weight.copy_(layer.linear[name][i].T)
                    theirs.bias.copy_(layer.bias[name][i, 0])
            self.layers.append(nn.ModuleList([attention, norms, up, down]))

    def forward(self, x, heard, source=None, prompts=()):
        for i, (attention, norms, up, down) in enumerate(self.layers):
            asked = norms[0](x if source is None else source)
            if prompts:  # as wide as what leaves the norm, and without its gain and shift
                told = prompts[i] * norms[0].weight + norms[0].bias
                asked = torch.cat([told, asked], dim=1)
            x = x + attention(norms[0](x), asked, asked, key_padding_mask=~heard, need_weights=False)[0]
            x = x + down(up(norms[1](x)).relu())
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.shift


@pytest.mark.parametrize("lengths", [(4, 4), (4, 3), (9, 2), (1, 1), (1, 5)])
@pytest.mark.parametrize("crossed", [True, False])
@pytest.mark.parametrize("told", [0, 2])
def test_an_encoder_is_torchs_attention_norms_and_linear_layers(lengths, crossed, told):
    """Side by side (equal and nearly equal lengths) and one after the other (4 times as long); with prompts or none."""
    ours, draw = transformers(), stream("x")
    frames = [torch.randn(3, t, 6, generator=draw) for t in lengths]
    source = frames[::-1] if crossed else None
    heard = [ragged([1, 2, 4], each.shape[1]) for each in (source or frames)]
    prompts = torch.randn(2, 2, 3, told, 6, generator=draw)  # layer, encoder, row, prompt, width
    found = ours(frames, heard, source, [*prompts] if told else None)
    for i, each in enumerate(frames):
        mask = nn.functional.pad(heard[i], (told, 0), value=True)
        expected = Plain(ours, i)(each, mask, source[i] if crossed else None, [*prompts[:, i]] if told else ())
        torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


def test_the_positions_are_equations_1_and_2():
    for frames, width in ((7, 6), (1, 5), (4, 1)):
        table = positions(frames, width)
        for pos, column in itertools.product(range(frames), range(width)):
            angle = pos / 10000 ** (2 * (column // 2) / width)
            assert float(table[pos, column]) == pytest.approx((math.cos if column % 2 else math.sin)(angle), abs=1e-6)


def test_every_frame_hears_later_ones():
    ours, frames = transformers(1), torch.randn(1, 5, 6, generator=stream("x"))
    heard = torch.ones(1, 5, dtype=torch.bool)
    later = frames.clone()
    later[:, -1] = later[:, -1].flip(-1)
    for before, after in ((ours([frames], [heard]), ours([later], [heard])),
                          (ours([frames], [heard], [frames]), ours([frames], [heard], [later]))):  # fmt: skip
        assert (before[0][:, 0] - after[0][:, 0]).abs().max() > 1e-3


def test_mult_has_the_size_of_its_public_code():
    mosi = {"audio": 5, "visual": 20, "text": 768}
    assert count_parameters(MulT(mosi, (), width=30, layers=5, heads=5)) == 1_085_251
    assert count_parameters(Transformers(1, 30, 5, 5, 0.1)) == 56_010
    assert count_parameters(Transformers(1, 60, 5, 5, 0.1)) == 220_020


def test_mult_has_the_sizes_of_section_4_3():
    backbone = MulT({"audio": 3, "text": 4}, ("no", "yes")).backbone
    assert backbone.crossmodal.width == 256 and backbone.crossmodal.heads == 8 and backbone.dropout == 0.1
    assert len(backbone.crossmodal.layers) == len(backbone.memory.layers) == 6
    assert all(layer.bias is None for layer in backbone.project.values())
    with pytest.raises(ValueError, match="3 heads .* 256"):
        MulT({"audio": 3}, ("no", "yes"), heads=3)


@pytest.mark.parametrize("dims, longest", [({"audio": 3}, 5), ({"text": 4}, 1), (THREE, 5), (THREE, 1)])
def test_mult_learns_from_any_number_of_modalities_and_a_batch_of_one(dims, longest):
    batch = laws.small_batch(dims, longest)
    with seeded("one"):
        system = MulT(dims, laws.CLASSES, lr=5e-3, **SMALL)
    list(fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=100, batch_size=12, checks=5)))
    logits = system.predict(batch)
    assert (logits.argmax(1) == batch.label).float().mean() > 0.7
    torch.testing.assert_close(system.predict(batch[[4]]), logits[4:5], atol=1e-5, rtol=1e-5)


def test_neither_frames_nor_length_of_an_absent_modality_are_seen():
    """It reads as one frame of zeros, so a trained mean (0 where features are standardised) stands in for it."""
    batch = laws.small_batch(THREE, 6)
    with seeded("length"):
        system = MulT(THREE, laws.CLASSES, **SMALL).eval()
    seen = corrupt(batch, Condition(seen=("audio", "text")), stream("absent"))
    x, here = sequence(seen, "visual")
    assert x.shape == (12, 1, 7) and not x.any() and here.all()
    never = seen.replace(real=seen.real | {"visual": torch.zeros_like(seen.real["visual"])})
    assert torch.equal(system(seen), system(never))
    mean = batch.replace(x=batch.x | {"visual": torch.zeros(12, 1, 7)},
                         real=batch.real | {"visual": torch.ones(12, 1, dtype=torch.bool)})  # fmt: skip
    assert torch.equal(system(seen), system(mean))


def test_the_last_real_frame_is_read():
    x, here = torch.arange(12.0).view(2, 3, 2), torch.tensor([[True, False, False], [True, True, True]])
    assert last_frame(x, here).tolist() == [[[0, 1]], [[10, 11]]]


@pytest.mark.parametrize("lengths", [(4, 4), (9, 2), (1, 1)])
def test_the_last_frame_alone_is_what_it_is_among_all(lengths):
    ours, draw = transformers(), stream("x")
    frames = [torch.randn(3, t, 6, generator=draw) for t in lengths]
    heard = [ragged([1, 2, 4], each.shape[1]) for each in frames]
    whole, last = ours(frames, heard), ours(frames, heard, last=True)
    for each, mask, found in zip(whole, heard, last, strict=True):
        torch.testing.assert_close(found, last_frame(each, mask), atol=1e-5, rtol=1e-5)


def test_side_by_side_or_one_after_the_other_gradients_are_the_same():
    ours, draw = transformers(3), stream("x")
    frames = [torch.randn(2, t, 6, generator=draw) for t in (2, 2, 12)]
    heard = [torch.ones(2, each.shape[1], dtype=torch.bool) for each in frames]
    apart = ours(frames, heard)
    gradients = []
    longer = [nn.functional.pad(each, (0, 0, 0, 12 - each.shape[1])) for each in frames]
    masks = [nn.functional.pad(each, (0, 12 - each.shape[1])) for each in heard]
    for out in (apart, [each[:, :t] for each, t in zip(ours(longer, masks), (2, 2, 12), strict=True)]):
        ours.zero_grad()
        sum(each.square().sum() for each in out).backward()
        gradients.append([p.grad.clone() for p in ours.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5])
def test_dropout_drops_at_its_rate_and_keeps_the_expectation(rate):
    with seeded("dropout"):
        x = dropout(torch.ones(999, 1001), rate, training=True)
        assert float((x == 0).double().mean()) == pytest.approx(rate, abs=0.004)
        assert float(x.double().mean()) == pytest.approx(1, abs=0.002)
        assert len(x.unique()) == 2
        heads = dropout(torch.ones(200, 300, 7), rate, training=True, together=1)
    assert torch.equal(heads, heads[..., :1].expand_as(heads)) and 0 < float((heads == 0).double().mean()) < 1
    neighbours = (x[:, 1:] == 0) & (x[:, :-1] == 0)  # one byte has nothing to do with the next
    assert float(neighbours.double().mean()) == pytest.approx(rate**2, abs=0.004)


def test_dropout_is_repeatable_and_off_at_test():
    x, found = torch.randn(5, 7), []
    for _ in range(2):
        with seeded("again"):
            found.append(dropout(x, 0.5, training=True))
    assert torch.equal(*found) and not torch.equal(found[0], x)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0, training=True) is x
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match="at least 0 and less than 1"):
            dropout(x, rate, training=True)


def test_a_backbone_of_long_and_short_modalities_is_one_of_padded_ones():
    with seeded("backbone"):
        backbone = Backbone(THREE, 2, 6, 2, 2, 0.0)
    draw, lengths = stream("x"), {"audio": 40, "visual": 3, "text": 1}
    x = {m: torch.randn(4, t, 6, generator=draw) for m, t in lengths.items()}
    here = {m: torch.ones(4, t, dtype=torch.bool) for m, t in lengths.items()}
    pad = nn.functional.pad
    longer = {m: pad(each, (0, 0, 0, 40 - each.shape[1])) for m, each in x.items()}
    masks = {m: pad(each, (0, 40 - each.shape[1])) for m, each in here.items()}
    torch.testing.assert_close(backbone(x, here), backbone(longer, masks), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [(4, 3, 2), (1, 1, 1)])
def test_attention_that_is_looked_at_is_what_the_first_layer_hears(lengths):
    with seeded("attention"):
        backbone = Backbone(THREE, outputs=2, dropout=0.0, **SMALL)
        x = {m: torch.randn(3, n, SMALL["width"]) for m, n in zip(THREE, lengths, strict=True)}
    here = {m: ragged([n, 1, n], n) for m, n in zip(THREE, lengths, strict=True)}
    looked, layer, wide = backbone.attention(x, here), backbone.crossmodal.layers[0].weights(), SMALL["width"]
    assert list(looked) == backbone.pairs
    for i, (asks, source) in enumerate(backbone.pairs):
        one = Weights(*(w[i : i + 1] for w in layer))
        ask, answer = (nn.functional.layer_norm(placed(x[m]), (wide,)) for m in (asks, source))
        value = answer @ one.query_key_value[0][:, 2 * wide :] + one.query_key_value_bias[0][:, 2 * wide :]
        value = value.unflatten(-1, (SMALL["heads"], -1)).transpose(1, 2)
        heard = (looked[asks, source] @ value).transpose(1, 2).flatten(2) @ one.out[0] + one.out_bias[0]
        wanted = backbone.crossmodal.attend(one, ask[None], answer[None], here[source][None])[0]
        torch.testing.assert_close(heard, wanted)
        assert not looked[asks, source].masked_select(~here[source][:, None, None]).any()


def test_a_single_modality_hears_no_other():
    backbone = Backbone({"text": 6}, outputs=2, dropout=0.0, **SMALL)
    assert backbone.attention({"text": torch.randn(2, 3, 6)}, {"text": ragged([3], 3, 2)}) == {}
