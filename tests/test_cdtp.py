"""CDTP imputes a missing modality, then reads it like a recorded one; nothing of the missing one leaks."""

import dataclasses
from itertools import product

import pytest
import torch
from small import SmallCDTP, SmallCompletion

from robustmer import laws
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt, drop, missing, uniform
from robustmer.laws import SETTINGS, Setting
from robustmer.noise import stream
from robustmer.systems import CDTP, MISAWithCompletion
from robustmer.tasks import Classify
from robustmer.training import fit

OPTIONS = [dict(zip(("generative", "signal", "type"), on, strict=True)) for on in product((True, False), repeat=3)]
OPTIONS += [{"sampler": "ddpm"}, {"start": "zero"}, {"start": "mean"}, {"eta": 1.0}, {"inject": "film"},
            {"inject": "attention"}, {"frames": 1}]  # fmt: skip
SEQUENCES = SETTINGS["three sequences"]


def cdtp(setting, **options):
    """Off zero: an untrained diffusion ignores its condition."""
    return laws.off_zero(laws.make(SmallCDTP, setting, **options)).eval()


@pytest.fixture(params=["three sequences", "two sequences", "three vectors", "two vectors"])
def case(request):
    setting = SETTINGS[request.param]
    batch = laws.small_batch(setting, samples=21)
    return setting, batch, corrupt(batch, uniform([CLEAN, *missing(batch.modalities)]), stream("mixed"))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", SETTINGS)
def test_with_any_option_the_laws_hold(options, name):
    for law in (laws.a_sample_does_not_see_its_neighbours, laws.padding_does_not_change_an_output,
                laws.an_absent_modality_changes_no_output, laws.an_absent_modality_gets_no_gradient,
                laws.a_step_changes_its_own_parameters_and_no_others):  # fmt: skip
        law(SmallCDTP, dataclasses.replace(SETTINGS[name], options=options))


@pytest.mark.parametrize("options", [{}, {"sampler": "ddpm"}], ids=str)
def test_incomplete_samples_stand_alone_and_missing_values_do_not_leak(case, options):
    setting, _, observed = case
    system = cdtp(setting, **options)
    together = system(observed)
    for i in range(0, len(observed), 4):
        torch.testing.assert_close(together[[i]], system(observed[[i]]), atol=1e-5, rtol=1e-4)
    x = {m: torch.where(observed.present[m][:, None, None], t, torch.nan) for m, t in observed.x.items()}
    assert torch.equal(together, system(observed.replace(x=x)))
    assert torch.equal(together, system(observed))


def test_imputed_frames_are_read_where_a_modality_is_missing_and_nowhere_else(case):
    setting, _, observed = case
    system = cdtp(setting)
    before = system(observed)
    with torch.no_grad():
        for p in system.completion.parameters():
            p += 0.5 * torch.randn(p.shape, generator=stream("other"))
    lacking = ~torch.stack(list(observed.present.values())).all(0)
    assert torch.equal((before != system(observed)).any(1), lacking)


def test_without_prompts_it_is_a_mult_on_completed_samples(case):
    setting, batch, observed = case
    system = cdtp(setting, generative=False, signal=False, type=False)
    completed = laws.make(MISAWithCompletion, setting, frames=3, steps=3, start="mean").eval()
    completed.completion, completed.sampling = system.completion, system.sampling
    torch.testing.assert_close(system(observed), system.prompted(completed.fill(observed)))


def test_the_mixture_does_not_touch_the_diffusion_and_the_task_does_not_touch_its_weights():
    batch, budget = laws.small_batch(SEQUENCES), Budget(epochs=0, min_steps=4, checks=1)
    states = []
    for mixture in (CLEAN, drop(batch.modalities, 0.5)):
        system = laws.make(SmallCDTP, SEQUENCES)
        first = {name: p.clone() for name, p in system.state_dict().items()}
        fit(system, batch, batch, mixture, budget)
        states.append(system.state_dict())
        moved = {name.split(".")[0] for name in first if not torch.equal(states[-1][name], first[name])}
        assert moved <= {"prompted", "generative"} and "prompted" in moved
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_map_from_a_draw_to_the_task_is_trained_and_the_draw_is_not():
    batch, system = laws.small_batch(SEQUENCES), cdtp(SEQUENCES).train()
    observed = corrupt(batch, Condition(seen=("audio", "text")), stream("task"))
    system.loss(batch, observed)["task"].backward()
    assert system.generative["visual"].prompt.grad.any() and system.generative["visual"].mix.weight.grad.any()
    assert system.prompted.backbone.project["visual"].weight.grad.any()
    assert all(p.grad is None for p in system.completion.parameters())


def test_noise_is_fresh_while_cdtp_is_trained_although_its_completion_is_in_evaluation_mode():
    system, batch = cdtp(SEQUENCES).train(), laws.small_batch(SEQUENCES)
    observed = corrupt(batch, Condition(seen=("audio", "text")), stream("fresh"))
    assert not system.completion.training
    first, second = system.imputed(observed)["visual"], system.imputed(observed)["visual"]
    assert not torch.equal(first, second)
    system.eval()
    assert torch.equal(system.imputed(observed)["visual"], system.imputed(observed)["visual"])


def test_how_a_diffusion_is_sampled_is_no_part_of_it():
    """DDPM and sampling from zero share the diffusion of the default; the mean needs none; another U-Net is another."""
    completion = lambda **options: CDTP.starts_from(options)["completion"]  # noqa: E731
    assert completion(sampler="ddpm") == completion(start="zero") == completion()
    assert not {"steps", "sampler", "eta", "start"} & {*completion().passes}
    assert "unet" in completion().passes and CDTP.starts_from({"start": "mean"}) == {}
    assert completion().streams == "", "its random streams have its own name"


def test_a_completion_that_does_not_fit_is_refused():
    completion = laws.make(SmallCompletion, SEQUENCES, frames=2)
    with pytest.raises(
        ValueError, match="SmallCDTP with frames=3 of .* Completion of frames=2 of .*give both the same"
    ):
        SmallCDTP(SEQUENCES.shapes, SEQUENCES.task, completion)
    with pytest.raises(ValueError, match='SmallCDTP needs a trained Completion; give completion=... or start="mean"'):
        SmallCDTP(SEQUENCES.shapes, SEQUENCES.task)


def test_the_papers_sizes_are_the_defaults():
    """CDTP 4.3: width 256, 6 layers, 8 heads, dropout 0.1, learning rate 1e-4."""
    two = Classify("sentiment", ("negative", "positive"))
    with torch.device("meta"):
        system = laws.make(CDTP, Setting({"audio": (5,), "visual": (20,), "text": (768,)}, task=two))
    backbone = system.prompted.backbone
    assert backbone.crossmodal.width == 256 and backbone.crossmodal.heads == 8 and backbone.dropout == 0.1
    assert len(backbone.crossmodal.layers) == len(backbone.memory.layers) == 6
    (objective,) = system.objectives().values()
    (group,) = objective.optimizer(objective.params).param_groups
    assert group["lr"] == 1e-4 and group["weight_decay"] == 0.0
    completion = sum(p.numel() for p in system.completion.parameters())
    assert len(group["params"]) == len(system.own_parameters()) and completion > 500_000
