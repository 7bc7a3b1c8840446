"""CDTP completes what is missing, then reads it as if it had been recorded; nothing of what is missing gets through."""

from itertools import product

import pytest
import torch

from robustmer import laws
from robustmer.conditions import CLEAN, Condition, corrupt, missing, missing_modes
from robustmer.noise import stream
from robustmer.systems import CDTP
from robustmer.train import Budget, fit, seeded

SIZES = dict(width=6, layers=2, heads=2, frames=3, length=2, unet=(8,), condition=6, steps=3)
OPTIONS = [dict(zip(("generative", "signal", "type"), on, strict=True)) for on in product((True, False), repeat=3)]
OPTIONS += [{"sampler": "ddpm"}, {"start": "zero"}, {"eta": 1.0}, {"inject": "film"}, {"inject": "attention"},
            {"frames": 1}]  # fmt: skip


def cdtp(dims, **options):
    """Off its beginning: a diffusion that has learnt nothing listens to nothing."""
    with seeded("laws"), torch.no_grad():
        system = CDTP(dims, laws.CLASSES, **SIZES | options)
        for p in system.completion.parameters():
            p += 0.1 * torch.randn_like(p)
    return system.eval()


@pytest.fixture(params=laws.SHAPES)
def shape(request):
    dims, longest = laws.SHAPES[request.param]
    batch = laws.small_batch(dims, longest, rows=21)
    return dims, batch, corrupt(batch, (CLEAN, *missing(tuple(dims))), stream("mixed"))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", laws.SHAPES)
def test_with_any_option_the_laws_hold(options, name):
    class Chosen(CDTP):
        def __init__(self, dims, classes):
            super().__init__(dims, classes, **SIZES | options)

    for law in (laws.a_row_does_not_see_its_neighbours, laws.padding_does_not_change_a_prediction,
                laws.an_absent_modality_changes_nothing, laws.an_absent_modality_teaches_nothing,
                laws.each_stage_trains_its_own_parameters_and_no_others):  # fmt: skip
        law(Chosen, *laws.SHAPES[name])


@pytest.mark.parametrize("options", [{}, {"sampler": "ddpm"}], ids=str)
def test_rows_that_lack_something_stand_alone_and_what_they_lack_does_not_get_through(shape, options):
    dims, batch, seen = shape
    system = cdtp(dims, **options)
    whole = system(seen)
    for row in range(0, len(seen), 4):
        torch.testing.assert_close(whole[[row]], system(seen[[row]]), atol=1e-5, rtol=1e-4)
    x = {m: torch.where(seen.present[m][:, None, None], t, torch.nan) for m, t in seen.x.items()}
    assert torch.equal(whole, system(seen.replace(x=x)))
    assert torch.equal(whole, system(seen))


def test_what_is_drawn_is_read_where_a_modality_is_missing_and_nowhere_else(shape):
    dims, batch, seen = shape
    system = cdtp(dims)
    before = system(seen)
    with torch.no_grad():
        for p in system.completion.parameters():
            p += 0.5 * torch.randn(p.shape, generator=stream("other"))
    lacking = ~torch.stack(list(seen.present.values())).all(0)
    assert torch.equal((before != system(seen)).any(1), lacking)


def test_without_prompts_it_is_a_mult_on_completed_rows(shape):
    dims, batch, seen = shape
    system = cdtp(dims, generative=False, signal=False, type=False)
    torch.testing.assert_close(system(seen), system.prompted(system.completion.fill(seen)))


def test_the_diffusion_learns_first_from_clean_rows_and_then_stays():
    """The training condition does not touch its stage, and the task does not touch its weights."""
    dims, longest = laws.SHAPES["three sequences"]
    batch, budget = laws.small_batch(dims, longest), Budget(epochs=0, min_steps=4, checks=1)
    states = []
    for condition in (CLEAN, missing_modes(tuple(dims), 0.5)):
        with seeded("stages"):
            system = CDTP(dims, laws.CLASSES, **SIZES)
        begun = {name: p.clone() for name, p in system.state_dict().items()}
        names = [record["stage"] for record in fit(system, batch, batch, condition, budget)]
        assert names == ["complete", "classify"]
        states.append(system.state_dict())
        assert any(not torch.equal(states[-1][name], begun[name]) for name in begun if name.startswith("completion."))
    for name in states[0]:
        if name.startswith("completion."):
            assert torch.equal(states[0][name], states[1][name])
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_way_from_a_draw_to_the_task_is_taught_and_the_draw_is_not():
    dims, longest = laws.SHAPES["three sequences"]
    batch = laws.small_batch(dims, longest)
    system = cdtp(dims).train()
    seen = corrupt(batch, Condition(seen=("audio", "text")), stream("task"))
    system.loss(batch, seen)["cls"].backward()
    assert system.stand_in["visual"].prompt.grad.any() and system.stand_in["visual"].mix.weight.grad.any()
    assert system.prompted.backbone.project["visual"].weight.grad.any()
    assert all(p.grad is None for p in system.completion.parameters())


def test_the_paper_s_sizes_are_the_defaults():
    """CDTP 4.3: width 256, 6 layers, 8 heads, dropout 0.1, learning rate 1e-4."""
    with torch.device("meta"):
        system = CDTP({"audio": 5, "visual": 20, "text": 768}, ("negative", "positive"))
    backbone = system.prompted.backbone
    assert backbone.crossmodal.width == 256 and backbone.crossmodal.heads == 8 and backbone.dropout == 0.1
    assert len(backbone.crossmodal.layers) == len(backbone.memory.layers) == 6
    assert list(system.stages())[1].objectives["all"].lr == 1e-4
