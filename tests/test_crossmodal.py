"""MulT's parts are what its papers and torch say they are."""

import itertools
import math

import pytest
import torch
from torch import nn

from robustmer import laws
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.laws import Setting
from robustmer.nn.crossmodal import Backbone, Transformers, Weights, last_frame, placed, positions, sequence
from robustmer.nn.dropout import dropout
from robustmer.noise import stream
from robustmer.systems import MulT, count_parameters
from robustmer.tasks import Classify, Regress
from robustmer.training import fit, seeded

SMALL = dict(width=6, layers=2, heads=2)
THREE = {"audio": 5, "visual": 7, "text": 6}
SHAPES = {m: (width,) for m, width in THREE.items()}
TWO = Classify("mood", ("no", "yes"))


def transformers(encoders=2, width=6, heads=3, layers=2, rate=0.0) -> Transformers:
    """With all parameters off the values at which they would make no difference."""
    with seeded("transformers"):
        made = Transformers(encoders, width, heads, layers, rate)
        with torch.no_grad():
            for p in made.parameters():
                p += 0.3 * torch.randn_like(p)
    return made


def ragged(lengths, longest, samples=3):
    return torch.arange(longest) < torch.tensor(lengths * samples)[:samples, None]


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

    def forward(self, x, mask, source=None, prompts=()):
        for i, (attention, norms, up, down) in enumerate(self.layers):
            keys = norms[0](x if source is None else source)
            if prompts:  # as wide as the output of the norm, and without its gain and shift
                keys = torch.cat([prompts[i] * norms[0].weight + norms[0].bias, keys], dim=1)
            x = x + attention(norms[0](x), keys, keys, key_padding_mask=~mask, need_weights=False)[0]
            x = x + down(up(norms[1](x)).relu())
        return nn.functional.layer_norm(x, x.shape[-1:]) * self.gain + self.shift


@pytest.mark.parametrize("lengths", [(4, 4), (4, 3), (9, 2), (1, 1), (1, 5)])
@pytest.mark.parametrize("crossed", [True, False])
@pytest.mark.parametrize("prompted", [0, 2])
def test_an_encoder_is_torchs_attention_norms_and_linear_layers(lengths, crossed, prompted):
    """Together (equal and nearly equal lengths) and one after the other (4 times as long); with prompts or none."""
    ours, draw = transformers(), stream("x")
    frames = [torch.randn(3, t, 6, generator=draw) for t in lengths]
    source = frames[::-1] if crossed else None
    masks = [ragged([1, 2, 4], x.shape[1]) for x in (source or frames)]
    prompts = torch.randn(2, 2, 3, prompted, 6, generator=draw)  # layer, encoder, sample, prompt, width
    out = ours(frames, masks, source, [*prompts] if prompted else None)
    for i, x in enumerate(frames):
        mask = nn.functional.pad(masks[i], (prompted, 0), value=True)
        expected = Plain(ours, i)(x, mask, source[i] if crossed else None, [*prompts[:, i]] if prompted else ())
        torch.testing.assert_close(out[i], expected, atol=1e-5, rtol=1e-5)


def test_the_positions_are_equations_1_and_2():
    for frames, width in ((7, 6), (1, 5), (4, 1)):
        table = positions(frames, width)
        for pos, column in itertools.product(range(frames), range(width)):
            angle = pos / 10000 ** (2 * (column // 2) / width)
            assert float(table[pos, column]) == pytest.approx((math.cos if column % 2 else math.sin)(angle), abs=1e-6)


def test_every_frame_attends_to_later_ones():
    ours, frames = transformers(1), torch.randn(1, 5, 6, generator=stream("x"))
    mask = torch.ones(1, 5, dtype=torch.bool)
    later = frames.clone()
    later[:, -1] = later[:, -1].flip(-1)
    for before, after in ((ours([frames], [mask]), ours([later], [mask])),
                          (ours([frames], [mask], [frames]), ours([frames], [mask], [later]))):  # fmt: skip
        assert (before[0][:, 0] - after[0][:, 0]).abs().max() > 1e-3


def test_mult_has_the_size_of_its_public_code():
    mosi = {"audio": (5,), "visual": (20,), "text": (768,)}
    assert count_parameters(MulT(mosi, Regress("sentiment"), width=30, layers=5, heads=5)) == 1_085_251
    assert count_parameters(Transformers(1, 30, 5, 5, 0.1)) == 56_010
    assert count_parameters(Transformers(1, 60, 5, 5, 0.1)) == 220_020


def test_mult_has_the_sizes_of_section_4_3():
    backbone = MulT({"audio": (3,), "text": (4,)}, TWO).backbone
    assert backbone.crossmodal.width == 256 and backbone.crossmodal.heads == 8 and backbone.dropout == 0.1
    assert len(backbone.crossmodal.layers) == len(backbone.memory.layers) == 6
    assert all(layer.bias is None for layer in backbone.project.values())
    with pytest.raises(ValueError, match="3 heads .* 256"):
        MulT({"audio": (3,)}, TWO, heads=3)


@pytest.mark.parametrize("shapes, longest", [({"audio": (3,)}, 5), ({"text": (4,)}, 1), (SHAPES, 5), (SHAPES, 1)])
def test_mult_learns_from_any_number_of_modalities_and_a_batch_of_one(shapes, longest):
    setting = Setting(shapes, longest, options=SMALL | {"lr": 5e-3})
    batch, system = laws.small_batch(setting), laws.make(MulT, setting)
    fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=100, batch_size=12, checks=5))
    logits = system.predict(batch)
    assert (logits.argmax(1) == batch.labels["label"]).float().mean() > 0.7
    torch.testing.assert_close(system.predict(batch[[4]]), logits[4:5], atol=1e-5, rtol=1e-5)


def test_neither_values_nor_length_of_an_absent_modality_are_visible():
    """It is one frame of zeros, so the mean (0 where features are standardised) replaces it."""
    setting = Setting(SHAPES, 6, options=SMALL)
    batch, system = laws.small_batch(setting), laws.make(MulT, setting).eval()
    observed = corrupt(batch, Condition(seen=("audio", "text")), stream("absent"))
    x, mask = sequence(observed, "visual")
    assert x.shape == (12, 1, 7) and not x.any() and mask.all()
    never = observed.replace(mask=observed.mask | {"visual": torch.zeros_like(observed.mask["visual"])})
    assert torch.equal(system(observed), system(never))
    mean = batch.replace(x=batch.x | {"visual": torch.zeros(12, 1, 7)},
                         mask=batch.mask | {"visual": torch.ones(12, 1, dtype=torch.bool)})  # fmt: skip
    assert torch.equal(system(observed), system(mean))


def test_the_last_recorded_frame_is_read():
    x, mask = torch.arange(12.0).view(2, 3, 2), torch.tensor([[True, False, False], [True, True, True]])
    assert last_frame(x, mask).tolist() == [[[0, 1]], [[10, 11]]]


@pytest.mark.parametrize("lengths", [(4, 4), (9, 2), (1, 1)])
def test_the_last_frame_alone_is_what_it_is_among_all(lengths):
    ours, draw = transformers(), stream("x")
    frames = [torch.randn(3, t, 6, generator=draw) for t in lengths]
    masks = [ragged([1, 2, 4], x.shape[1]) for x in frames]
    entire, last = ours(frames, masks), ours(frames, masks, last=True)
    for x, mask, frame in zip(entire, masks, last, strict=True):
        torch.testing.assert_close(frame, last_frame(x, mask), atol=1e-5, rtol=1e-5)


def test_together_or_one_after_the_other_gradients_are_the_same():
    ours, draw = transformers(3), stream("x")
    frames = [torch.randn(2, t, 6, generator=draw) for t in (2, 2, 12)]
    masks = [torch.ones(2, x.shape[1], dtype=torch.bool) for x in frames]
    apart = ours(frames, masks)
    gradients = []
    longer = [nn.functional.pad(x, (0, 0, 0, 12 - x.shape[1])) for x in frames]
    masks = [nn.functional.pad(mask, (0, 12 - mask.shape[1])) for mask in masks]
    for out in (apart, [x[:, :t] for x, t in zip(ours(longer, masks), (2, 2, 12), strict=True)]):
        ours.zero_grad()
        sum(x.square().sum() for x in out).backward()
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
        heads = dropout(torch.ones(200, 300, 7), rate, training=True, shared=1)
    assert torch.equal(heads, heads[..., :1].expand_as(heads)) and 0 < float((heads == 0).double().mean()) < 1
    neighbours = (x[:, 1:] == 0) & (x[:, :-1] == 0)  # one byte has nothing to do with the next
    assert float(neighbours.double().mean()) == pytest.approx(rate**2, abs=0.004)


def test_dropout_is_repeatable_and_off_in_evaluation():
    x, draws = torch.randn(5, 7), []
    for _ in range(2):
        with seeded("again"):
            draws.append(dropout(x, 0.5, training=True))
    assert torch.equal(*draws) and not torch.equal(draws[0], x)
    assert dropout(x, 0.5, training=False) is x and dropout(x, 0.0, training=True) is x
    for rate in (1.0, -0.1):
        with pytest.raises(ValueError, match="at least 0 and less than 1"):
            dropout(x, rate, training=True)


def test_a_backbone_of_long_and_short_modalities_is_one_of_padded_ones():
    with seeded("backbone"):
        backbone = Backbone(THREE, 2, 6, 2, 2, 0.0)
    draw, lengths = stream("x"), {"audio": 40, "visual": 3, "text": 1}
    x = {m: torch.randn(4, t, 6, generator=draw) for m, t in lengths.items()}
    mask = {m: torch.ones(4, t, dtype=torch.bool) for m, t in lengths.items()}
    pad = nn.functional.pad
    longer = {m: pad(frames, (0, 0, 0, 40 - frames.shape[1])) for m, frames in x.items()}
    masks = {m: pad(part, (0, 40 - part.shape[1])) for m, part in mask.items()}
    torch.testing.assert_close(backbone(x, mask), backbone(longer, masks), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", [(4, 3, 2), (1, 1, 1)])
def test_attention_for_plots_is_that_of_the_first_layer(lengths):
    with seeded("attention"):
        backbone = Backbone(THREE, outputs=2, dropout=0.0, **SMALL)
        x = {m: torch.randn(3, n, SMALL["width"]) for m, n in zip(THREE, lengths, strict=True)}
    mask = {m: ragged([n, 1, n], n) for m, n in zip(THREE, lengths, strict=True)}
    shares, layer, wide = backbone.attention(x, mask), backbone.crossmodal.layers[0].weights(), SMALL["width"]
    assert list(shares) == backbone.pairs
    for i, (asking, source) in enumerate(backbone.pairs):
        one = Weights(*(w[i : i + 1] for w in layer))
        ask, answer = (nn.functional.layer_norm(placed(x[m]), (wide,)) for m in (asking, source))
        value = answer @ one.query_key_value[0][:, 2 * wide :] + one.query_key_value_bias[0][:, 2 * wide :]
        value = value.unflatten(-1, (SMALL["heads"], -1)).transpose(1, 2)
        mixed = (shares[asking, source] @ value).transpose(1, 2).flatten(2) @ one.out[0] + one.out_bias[0]
        wanted = backbone.crossmodal.attend(one, ask[None], answer[None], mask[source][None])[0]
        torch.testing.assert_close(mixed, wanted)
        assert not shares[asking, source].masked_select(~mask[source][:, None, None]).any()


def test_a_single_modality_attends_to_no_other():
    backbone = Backbone({"text": 6}, outputs=2, dropout=0.0, **SMALL)
    assert backbone.attention({"text": torch.randn(2, 3, 6)}, {"text": ragged([3], 3, 2)}) == {}
