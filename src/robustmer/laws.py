"""Laws of systems, for any kind of output. The tests check each law for each system of the library.

`laws.check(MySystem)` checks a system of your own.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from robustmer.batch import Batch, Shape, collate
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt, missing, uniform
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems.checkpoint import load, save
from robustmer.systems.system import System, option_defaults
from robustmer.tasks import Classify, Output, Regress, Task
from robustmer.training import fit, learn, seeded, steps_of, upstream_options


@dataclass(frozen=True)
class Setting:
    """A small problem: shapes of frames, the largest number of frames, a task, and options of the system."""

    shapes: Mapping[str, Shape]
    longest: int = 1
    task: Task = Classify("label", ("happy", "angry", "sad"))
    options: Mapping[str, object] = field(default_factory=dict)


SETTINGS: dict[str, Setting] = {
    "three sequences": Setting({"audio": (5,), "visual": (7,), "text": (6,)}, 9),
    "two sequences": Setting({"text": (9,), "pulse": (4,)}, 6),
    "one sequence": Setting({"audio": (4,)}, 5),
    "three vectors": Setting({"audio": (3,), "visual": (8,), "text": (5,)}),
    "two vectors": Setting({"audio": (6,), "visual": (2,)}),
}


def small_batch(setting: Setting, samples: int = 12, seed: int = 0) -> Batch:
    """Samples of different lengths whose label shows in every modality, louder than the noise."""
    random, task, group = np.random.default_rng(seed), setting.task, np.arange(samples) % 3
    sequences = {}
    for m, shape in setting.shapes.items():
        lengths = random.integers(1, setting.longest + 1, samples)
        centres = np.random.default_rng(1).normal(size=(3, *shape))
        pairs = zip(group, lengths, strict=True)
        sequences[m] = [3 * centres[g] + random.normal(size=(n, *shape)) for g, n in pairs]
    labels = {getattr(task, "label", "label"): group - 0.5 if isinstance(task, Regress) else group}
    return collate(sequences, labels, name="laws").replace(variance=dict.fromkeys(setting.shapes, 1.0))


def make(system: type[System], setting: Setting, **options) -> System:
    """A system with its first weights, and untrained upstream systems."""
    options, upstream = {**setting.options, **options}, {}
    declared = option_defaults(system) | options
    for name, needed in system.starts_from(declared).items():
        part = dataclasses.replace(setting, task=needed.task or setting.task, options={})
        upstream[name] = make(needed.system, part, **upstream_options(needed, declared))
    with seeded("laws"):
        return system(setting.shapes, setting.task, **upstream, **options)


def off_zero(system: System) -> System:
    """The system with perturbed weights: weights that are zero at first would hide a leak."""
    with torch.no_grad(), seeded("off zero"):
        for p in system.parameters():
            p += 0.05 * torch.randn_like(p)
    return system


def visible(output: Output, batch: Batch) -> dict[str, Tensor]:
    """An output by name. Where it has the frames of a modality, padding is set to zero."""
    named = {"output": output} if isinstance(output, Tensor) else dict(output)
    for m, x in named.items():
        if m in batch.mask and x.shape[:2] == batch.mask[m].shape:
            named[m] = torch.where(batch.mask[m].reshape(*x.shape[:2], *[1] * (x.ndim - 2)), x, 0.0)
    return named


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], why: str = "", exact: bool = True) -> None:
    assert one.keys() == other.keys(), f"{list(one)} and {list(other)} {why}"
    for name, x in one.items():
        y = other[name]
        if x.ndim > 2:  # padded to another length
            x, y = x[:, : y.shape[1]], y[:, : x.shape[1]]
        assert torch.equal(x, y) if exact else torch.allclose(x, y, atol=1e-5, rtol=1e-5), f"{name} differs {why}"


def absences(setting: Setting) -> list[tuple[str, Condition]]:
    """Each modality with the condition in which it alone is absent; empty for a single modality."""
    names = tuple(setting.shapes)
    return [(m, Condition(seen=tuple(n for n in names if n != m))) for m in names if len(names) > 1]


def a_sample_does_not_see_its_neighbours(system, setting):
    made, batch = off_zero(make(system, setting)).eval(), small_batch(setting)
    together = visible(made(batch), batch)
    for i in (0, 5, 11):
        alone = visible(made(batch[[i]]), batch[[i]])
        assert_same({name: x[i : i + 1] for name, x in together.items()}, alone, f"for sample {i} alone", exact=False)


def padding_does_not_change_an_output(system, setting):
    made, batch = off_zero(make(system, setting)).eval(), small_batch(setting)
    longer = lambda t: torch.cat([t, t.new_zeros(len(t), 4, *t.shape[2:])], dim=1)  # noqa: E731
    padded = batch.replace(**{key: {m: longer(t) for m, t in getattr(batch, key).items()} for key in ("x", "mask")})
    assert_same(visible(made(batch), batch), visible(made(padded), padded), "with more padding", exact=False)


def evaluation_is_deterministic(system, setting):
    made, batch = off_zero(make(system, setting)).eval(), small_batch(setting)
    assert_same(visible(made(batch), batch), visible(made(batch), batch))


def a_prediction_does_not_see_the_label(system, setting):
    made, batch = off_zero(make(system, setting)).eval(), small_batch(setting)
    other = batch.replace(labels={}, speaker=batch.speaker[::-1].copy())
    assert_same(visible(made(batch), batch), visible(made(other), batch), "without labels and with other speakers")


def an_absent_modality_changes_no_output(system, setting):
    """The values of an absent modality, even nan, do not change a bit of the output."""
    made, batch = off_zero(make(system, setting)).eval(), small_batch(setting)
    for absent, condition in absences(setting):
        observed = corrupt(batch, condition, stream("law"))
        for value in (7.0, torch.nan):
            other = observed.replace(x=observed.x | {absent: torch.full_like(observed.x[absent], value)})
            assert_same(visible(made(observed), observed), visible(made(other), observed), f"with another {absent}")


def an_absent_modality_changes_no_loss(system, setting):
    """The values of an absent modality do not change a bit of any term in training: in samples that lost it, and in
    samples that never had it. Gradients would not show this, because random draws have none."""
    made, batch = off_zero(make(system, setting).train()), small_batch(setting)
    half = torch.arange(len(batch)) % 2 == 0
    for absent, _ in absences(setting):
        observed = batch.replace(present=batch.present | {absent: ~half})
        rows = half.reshape(-1, *[1] * (batch.x[absent].ndim - 1))
        other = observed.replace(x=observed.x | {absent: torch.where(rows, 3 * batch.x[absent], batch.x[absent])})
        for cleans in ((batch, batch), (observed, other)):
            for name, objective in made.objectives().items():
                terms = []
                for clean, part in zip(cleans, (observed, other), strict=True):
                    with seeded("law"):
                        terms.append(objective.loss(with_targets(made, clean), part))
                assert_same(*terms, f"in the loss {name!r} with another absent {absent}")


def an_absent_modality_gets_no_gradient(system, setting):
    """With a modality absent from every sample, its features get no gradient in any objective, and the others get one
    in some objective (an objective may need both of two modalities)."""
    made, batch = off_zero(make(system, setting).train()), small_batch(setting)
    for absent, condition in absences(setting):
        observed, learns = corrupt(batch, condition, stream("law")), False
        for name, objective in made.objectives().items():
            x = {m: t.clone().requires_grad_() for m, t in observed.x.items()}
            watched = with_targets(made, observed).replace(x=x)
            torch.stack(list(objective.loss(watched, watched).values())).sum().backward()
            assert x[absent].grad is None or not x[absent].grad.any(), f"{name}: an absent {absent} gets a gradient"
            learns |= any(t.grad is not None and bool(t.grad.any()) for m, t in x.items() if m != absent)
            made.zero_grad(set_to_none=True)
        assert learns, f"without {absent} nothing is learnt"


def a_step_changes_its_own_parameters_and_no_others(system, setting):
    """It also leaves the buffers of modules unchanged that have no parameter of this objective."""
    made, batch = make(system, setting).train(), small_batch(setting)
    observed = corrupt(batch, Condition(noise={next(iter(batch.x)): NoiseScheduler(snr_db=-10)}), stream("law"))
    clean = with_targets(made, batch)
    for name, objective in made.objectives().items():
        optimizer = objective.optimizer(list(objective.params))
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        before = {key: tensor.clone() for key, tensor in made.state_dict().items()}
        learn(objective, optimizer, clean, observed)
        moved = {key for key, tensor in made.state_dict().items() if not torch.equal(tensor, before[key])}
        assert moved, f"{name} moved nothing"
        for key, p in made.named_parameters():
            stays = p.grad is None or not p.grad.any()
            assert key in moved or id(p) not in own or stays, f"{name}: {key} has a gradient and stayed"
            assert key not in moved or id(p) in own, f"{name}: {key} is not its own and moved"
        for key, module in made.named_modules():
            params = [id(p) for p in module.parameters()]
            if params and not own & {*params}:
                buffers = [f"{key}.{b}" for b, _ in module.named_buffers() if f"{key}.{b}" in moved]
                assert not buffers, f"{name}: the buffer {buffers} is not its own and moved"


def frozen_parts_do_not_move(system, setting):
    """Parameters and buffers of upstream systems stay as they are, in training and in evaluation."""
    made, batch = make(system, setting), small_batch(setting)
    before = {name: {k: t.clone() for k, t in getattr(made, name).state_dict().items()} for name in made.frozen()}
    fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=1, checks=1), seed="law")
    made.train().predict(batch)
    for name, state in before.items():
        assert not getattr(made, name).training, f"{name} is in training mode"
        assert_same(state, getattr(made, name).state_dict(), f"in the upstream system {name}")


def a_loaded_system_predicts_the_same_for_raw_samples(system, setting):
    made, raw = make(system, setting).eval(), small_batch(setting).replace(labels={})
    made.scaling = {m: (torch.ones(shape), 2 * torch.ones(shape)) for m, shape in setting.shapes.items()}
    systems = [part for part in made.modules() if isinstance(part, System)]
    known, tasks = (
        {type(part).__name__: type(part) for part in parts} for parts in (systems, [s.task for s in systems])
    )
    with tempfile.TemporaryDirectory() as folder:
        save(made, Path(folder) / "system.safetensors")
        loaded = load(Path(folder) / "system.safetensors", known, tasks)
    output = visible(made.predict(raw), raw)
    assert_same(output, visible(loaded.predict(raw), raw), "after loading")
    assert_same(output, visible(made(made.standardise(raw)), raw), "without standardisation", exact=False)


def one_small_batch_can_be_overfitted(system, setting):
    """Within 300 steps all classes are right, or the error of any other task falls by a fifth."""
    made, batch, values = make(system, setting), small_batch(setting), []
    for record in steps_of(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=300, checks=30), seed="law"):
        values.append(record[f"valid_{setting.task.selects_by}"])
        if values[-1] == 1 if isinstance(setting.task, Classify) else values[-1] < 0.8 * values[0]:
            return
    raise AssertionError(f"{len(batch)} samples are not overfitted in 300 steps: {values}")


def training_is_repeatable(system, setting):
    batch, budget, states = small_batch(setting), Budget(epochs=0, min_steps=2, checks=1), []
    mixture = uniform([CLEAN, Condition(noise={next(iter(setting.shapes)): NoiseScheduler(snr_db=-10)})])
    for world in (0, 1):
        torch.manual_seed(world)  # the program's other random draws do not matter
        made = make(system, setting)
        fit(made, batch, batch, mixture, budget, seed="law")
        states.append(made.state_dict())
    assert_same(*states)


def a_modality_that_is_absent_from_all_of_train_leaves_all_finite(system, setting):
    """Weights and outputs are finite after a training without it, also in evaluation with it."""
    batch, made = small_batch(setting), make(system, setting)
    budget, mixture = (
        Budget(epochs=0, min_steps=2, checks=1, batch_size=4),
        uniform([CLEAN, *missing(batch.modalities)]),
    )
    for absent, _ in absences(setting):
        groups = {key: dict(getattr(batch, key)) for key in ("x", "mask", "present")}
        for group in groups.values():
            group[absent] = torch.zeros_like(group[absent])
        train = batch.replace(**groups, variance={m: v for m, v in batch.variance.items() if m != absent})
        fit(made, train, train, mixture, budget, seed="law")
        state = made.state_dict() | visible(made.predict(train), train) | visible(made.predict(batch), batch)
        wrong = [name for name, tensor in state.items() if not torch.isfinite(tensor).all()]
        assert not wrong, f"without {absent} in train, {wrong} is not finite"


LAWS: list[Callable[[type[System], Setting], None]] = [
    a_sample_does_not_see_its_neighbours, padding_does_not_change_an_output, evaluation_is_deterministic,
    a_prediction_does_not_see_the_label, an_absent_modality_changes_no_output, an_absent_modality_changes_no_loss,
    an_absent_modality_gets_no_gradient, a_step_changes_its_own_parameters_and_no_others, frozen_parts_do_not_move,
    a_loaded_system_predicts_the_same_for_raw_samples, one_small_batch_can_be_overfitted, training_is_repeatable,
    a_modality_that_is_absent_from_all_of_train_leaves_all_finite,
]  # fmt: skip


def terms_that_read_clean(system: type[System], setting: Setting) -> set[str]:
    """The terms of the losses that change with the clean samples behind the same observed ones: those with a clean
    target. The term of the task among them is a leak."""
    made, batch = off_zero(make(system, setting)).train(), small_batch(setting)
    noisy = Condition(noise={m: NoiseScheduler(snr_db=-10) for m in setting.shapes})
    observed = corrupt(batch, uniform([noisy, *(c for _, c in absences(setting))]), stream("targets"))
    terms = []
    for clean in (batch, batch.replace(x={m: 2 * x for m, x in batch.x.items()})):
        terms.append({})
        fresh = observed.replace()  # as in training, where a batch is drawn once
        for objective in made.objectives().values():
            with seeded("targets"):
                terms[-1] |= objective.loss(with_targets(made, clean), fresh)
    return {term for term in terms[0] if not torch.equal(terms[0][term], terms[1][term])}


def check(system: type[System], settings: Mapping[str, Setting] = SETTINGS) -> set[str]:
    """Check all laws in all settings (SETTINGS, or your own for other shapes and tasks). Raises AssertionError with the
    law that is broken. Returns the terms of the losses that read clean samples: check that all of them should."""
    for law in LAWS:
        for name, setting in settings.items():
            try:
                law(system, setting)
            except AssertionError as error:
                words = law.__name__.replace("_", " ")
                raise AssertionError(f"{system.__name__} breaks the law {words!r} on {name}: {error}") from error
    return set().union(*(terms_that_read_clean(system, setting) for setting in settings.values()))
