"""Prompts name the missing modalities to MulT, as CDTP 3.3 to 3.5 can be read."""

import dataclasses
from itertools import product

import pytest
import torch
from small import SmallMPMM, SmallMulT
from torch import nn

from robustmer import laws
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, Condition, corrupt, missing
from robustmer.laws import SETTINGS, Setting
from robustmer.nn.crossmodal import sequence
from robustmer.nn.prompts import Generative, mean_over_segments, share_of
from robustmer.noise import stream
from robustmer.systems import MPLMM

THREE = SETTINGS["three sequences"]
VECTORS = dataclasses.replace(THREE, longest=1)
SWITCHES = [dict(zip(("generative", "signal", "type"), on, strict=True)) for on in product((True, False), repeat=3)]


SIZES = dict(width=6, layers=2, heads=2, frames=3, length=2)


def mplmm(setting=THREE, **options):
    return laws.make(MPLMM, setting, **SIZES | options)


def incomplete_batch(samples=84):
    """Every combination of modalities, as many samples of each."""
    batch = laws.small_batch(THREE, samples)
    conditions = [CLEAN, *missing(MODALITIES)]
    present = {m: torch.tensor([c.seen is None or m in c.seen for c in conditions]).repeat(samples)[:samples]
               for m in MODALITIES}  # fmt: skip
    return batch.replace(present=present, x={m: x * present[m][:, None, None] for m, x in batch.x.items()})


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda on: " ".join(k for k, v in on.items() if v) or "none")
@pytest.mark.parametrize("name", SETTINGS)
def test_with_any_of_the_prompts_the_laws_hold(switches, name):
    for law in (laws.a_sample_does_not_see_its_neighbours, laws.padding_does_not_change_an_output,
                laws.an_absent_modality_changes_no_output, laws.an_absent_modality_gets_no_gradient):  # fmt: skip
        law(MPLMM, dataclasses.replace(SETTINGS[name], options=SIZES | switches))


def test_without_any_prompt_it_is_mult():
    """MPLMM's ablation: without any prompt, modality dropout on a MulT is left."""
    bare, mult = mplmm(generative=False, signal=False, type=False), laws.make(SmallMulT, THREE)
    batch = incomplete_batch()
    assert torch.equal(bare.predict(batch), mult.predict(batch))
    assert len(list(bare.parameters())) == len(list(mult.parameters()))


def test_every_prompt_learns_from_the_first_step():
    """The authors' missing-type prompts and matrices begin at zero and stay there."""
    for system in (mplmm(), laws.make(SmallMPMM, THREE)):
        batch = incomplete_batch()
        sum(system.loss(batch, batch).values()).backward()
        prompts = {name: p for name, p in system.named_parameters() if "backbone" not in name}
        assert len(prompts) >= 2
        for name, p in prompts.items():
            assert p.grad is not None and p.grad.any(), f"{name} learns nothing"
        if isinstance(system, SmallMPMM):  # every combination has its own; that of no modality does not occur
            learns = system.memory_prompts.grad.flatten(2).any(2).any(0)
            assert learns.tolist() == [False, *[True] * 7]


def test_every_combination_has_prompts_of_its_own_in_mpmm():
    system, batch = laws.make(SmallMPMM, THREE).eval(), incomplete_batch()
    before = system(batch)
    with torch.no_grad():
        system.memory_prompts[:, 0b101] += torch.randn(system.memory_prompts.shape[2:], generator=stream("other"))
    changed = (before != system(batch)).any(1)
    only = batch.present["audio"] & batch.present["text"] & ~batch.present["visual"]
    assert torch.equal(changed, only)


def test_imputed_frames_are_read_where_a_modality_is_missing_and_nowhere_else():
    system, batch = mplmm().eval(), incomplete_batch()
    before = system(batch)
    with torch.no_grad():
        for p in system.completion.parameters():
            p += torch.randn(p.shape, generator=stream("other"))
    complete = torch.stack(list(batch.present.values())).all(0)
    changed = (before != system(batch)).any(1)
    assert torch.equal(changed, ~complete)


@pytest.mark.parametrize("seen", [("visual",), ("text",), ("visual", "text")])
def test_a_missing_modality_is_made_from_the_available_ones(seen):
    """MLP([P_G; a piece of each]), mixed over time; one mixture for each set of available modalities (CDTP 3.4)."""
    system, batch = mplmm().eval(), corrupt(laws.small_batch(VECTORS), Condition(seen=seen), stream("seen"))
    with torch.no_grad():
        system.completion.complete["_".join(seen) + "_to_audio"].prompt.normal_(generator=stream("prompt"))
    imputed = system.completion(batch)["audio"]
    parts = system.completion.complete["_".join(seen) + "_to_audio"]
    pieces = [system.completion.translate[f"{m}_to_audio"](batch.x[m]).expand(-1, 3, -1) for m in seen]
    rows = torch.cat([parts.prompt.expand(12, -1, -1), *pieces], dim=1)
    expected = nn.functional.gelu(torch.einsum("ft,btw->bfw", parts.mix.weight, rows) + parts.mix.bias[:, None])
    torch.testing.assert_close(imputed, expected)
    assert parts.mix.in_features == 2 + 3 * len(seen)


def test_a_sample_without_any_modality_gets_zeros_and_a_finite_prediction():
    system, batch = mplmm().eval(), laws.small_batch(THREE)
    nothing = batch.replace(present={m: torch.zeros_like(p) for m, p in batch.present.items()})
    assert not any(frames.any() for frames in system.completion(nothing).values())
    assert torch.isfinite(system(nothing)).all()


def test_the_signal_prompt_is_added_frame_by_frame_where_lengths_are_the_papers():
    """With as many frames as prompts, x + P_NMS where a modality is available and x + P_MS where it is not."""
    system, inputs = mplmm(frames=4, generative=False, type=False).eval().prompted, {}
    system.backbone.forward = lambda x, mask, tokens: (inputs.update(x), torch.zeros(12, 3))[1]
    longer = {m: torch.randn(12, 4, *shape, generator=stream(m)) for m, shape in THREE.shapes.items()}
    batch = laws.small_batch(VECTORS).replace(x=longer, mask={m: torch.ones(12, 4, dtype=torch.bool) for m in longer})
    observed = corrupt(batch, Condition(seen=("audio", "text")), stream("signal"))
    system(observed)
    projected = system.backbone.project["text"](observed.x["text"])
    torch.testing.assert_close(inputs["text"], projected + system.not_missing["text"])
    torch.testing.assert_close(inputs["visual"], system.missing["visual"][:1].expand(12, 1, -1))
    assert torch.equal(sequence(observed, "visual")[0], torch.zeros(12, 1, 7))


def test_the_type_prompts_are_the_formula_of_section_3_5():
    system, known = mplmm().prompted, {"audio": [True, False], "visual": [True, True], "text": [False, False]}
    prompts = system.type_prompts({m: torch.tensor(rows) for m, rows in known.items()})
    for row in (0, 1):
        signals = {m: (system.not_missing if known[m][row] else system.missing)[m] for m in known}
        projection = sum(signals[m].T @ system.matrix[m] for m in known)
        for m in known:
            torch.testing.assert_close(prompts[m][row], system.kinds[m] @ projection)
            assert prompts[m].shape == (2, 2, 12)  # two prompts, as wide as the memory of three modalities


def test_type_prompts_alone_name_the_combination():
    """Frames do not get the signal prompts when these are off, and the type prompts still differ."""
    system = mplmm(signal=False).prompted
    prompts = [system.type_prompts({m: torch.tensor([m in chosen]) for m in MODALITIES})["text"]
               for chosen in [MODALITIES, ("audio",), ("visual",), ("audio", "visual")]]  # fmt: skip
    assert all(not torch.equal(a, b) for i, a in enumerate(prompts) for b in prompts[:i])


def test_a_frame_knows_its_share_of_the_sample():
    full, half = torch.ones(1, 6, dtype=torch.bool), torch.tensor([[True] * 3 + [False] * 3])
    assert share_of(full, 6).tolist() == [[0, 1, 2, 3, 4, 5]] and share_of(full, 3).tolist() == [[0, 0, 1, 1, 2, 2]]
    assert share_of(half, 3)[0, :3].tolist() == [0, 1, 2] and int(share_of(half, 2).max()) == 1
    assert not share_of(full, 1).any()


def test_equal_segments_of_a_sample_are_averaged_and_padding_is_not():
    draw = stream("segments")
    x, mask = torch.randn(4, 6, 3, generator=draw), torch.arange(6) < torch.tensor([6, 3, 1, 0])[:, None]
    means = mean_over_segments(x, mask, 3)
    torch.testing.assert_close(means[0], x[0].view(3, 2, 3).mean(1))
    torch.testing.assert_close(means[1], x[1, :3])
    torch.testing.assert_close(means[2], x[2, :1].expand(3, -1))
    assert not means[3].any()
    torch.testing.assert_close(mean_over_segments(x, mask, 1)[1, 0], x[1, :3].mean(0))
    halves = torch.stack([(2 * x[1, 0] + x[1, 1]) / 3, (x[1, 1] + 2 * x[1, 2]) / 3])
    torch.testing.assert_close(mean_over_segments(x, mask, 2)[1], halves)


def test_impossible_lengths_are_refused():
    with pytest.raises(ValueError, match="frames=0, length=16"):
        laws.make(MPLMM, Setting({"audio": (2,)}), frames=0)
    assert Generative(frames=2, length=3, width=4, pieces=2).mix.in_features == 7
