"""Laws that every system inherits: the tests run each of them for each system on each shape of corpus.

A reader's own system is checked with the same functions: `laws.check(MySystem)`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from robustmer.batch import Batch, collate
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.evaluate import evaluate
from robustmer.metrics import REGRESSION
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems.system import System, load_system, with_targets
from robustmer.train import Budget, fit, seeded

CLASSES = ("happy", "angry", "sad")
SHAPES: dict[str, tuple[dict[str, int], int]] = {
    "three sequences": ({"audio": 5, "visual": 7, "text": 6}, 9),
    "two sequences": ({"audio": 4, "text": 9}, 6),
    "three vectors": ({"audio": 3, "visual": 8, "text": 5}, 1),
    "two vectors": ({"audio": 6, "visual": 2}, 1),
}


def small_batch(dims: dict[str, int], longest: int, rows: int = 12, seed: int = 0) -> Batch:
    """Ragged rows whose label shows in every modality, louder than the noise."""
    random = np.random.default_rng(seed)
    label = np.arange(rows) % len(CLASSES)
    sequences = {}
    for m, dim in dims.items():
        lengths = random.integers(1, longest + 1, rows)
        centres = np.random.default_rng(1).normal(size=(len(CLASSES), dim))
        sequences[m] = [3 * centres[c] + random.normal(size=(n, dim)) for c, n in zip(label, lengths, strict=True)]
    batch = collate(sequences, label, name="laws")
    return batch.replace(variance=dict.fromkeys(dims, 1.0))


def make(system: type[System], dims: dict[str, int]) -> System:
    with seeded("laws"):
        return system(dims, CLASSES)


def a_row_does_not_see_its_neighbours(system, dims, longest):
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    whole = made(batch)
    for row in (0, 5, 11):
        torch.testing.assert_close(whole[row : row + 1], made(batch[[row]]), atol=1e-5, rtol=1e-5)


def padding_does_not_change_a_prediction(system, dims, longest):
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    pad = torch.nn.functional.pad
    padded = batch.replace(
        x={m: pad(x, (0, 0, 0, 4)) for m, x in batch.x.items()}, real={m: pad(r, (0, 4)) for m, r in batch.real.items()}
    )
    torch.testing.assert_close(made(batch), made(padded), atol=1e-5, rtol=1e-5)


def evaluation_is_deterministic(system, dims, longest):
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    assert torch.equal(made(batch), made(batch))


def a_prediction_does_not_see_the_answer(system, dims, longest):
    """Neither label nor speaker of a row changes its logits."""
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    other = batch.replace(label=(batch.label + 1) % len(CLASSES), speaker=batch.speaker[::-1].copy())
    assert torch.equal(made(batch), made(other)), "the logits depend on the label or the speaker"


def without_one(dims):
    """Each modality that may be absent beside others, and the condition in which it is; none of a single modality."""
    return [(m, Condition(seen=tuple(other for other in dims if other != m))) for m in dims if len(dims) > 1]


def off_its_beginning(system):
    """Weights that begin at zero pass nothing on."""
    with torch.no_grad(), seeded("off its beginning"):
        for p in system.parameters():
            p += 0.05 * torch.randn_like(p)
    return system


def an_absent_modality_changes_nothing(system, dims, longest):
    """Whatever stands where a modality is absent, the logits are the same to the last bit."""
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    for absent, condition in without_one(dims):
        seen = corrupt(batch, condition, stream("law"))
        other = seen.replace(x=seen.x | {absent: torch.randn_like(seen.x[absent]) * seen.real[absent][..., None]})
        assert torch.equal(made(seen), made(other)), f"an absent {absent} is read"


def an_absent_modality_changes_no_loss(system, dims, longest):
    """In training, too: whatever stands where a modality is absent, every term is the same to the last bit, also in
    rows beside whole ones. A gradient would not tell, as what is drawn or looked up passes none."""
    made, batch = off_its_beginning(make(system, dims).train()), small_batch(dims, longest)
    for absent, condition in without_one(dims):
        half = torch.arange(len(batch)) % 2 == 0
        without = corrupt(batch, condition, stream("law"))
        seen = batch.replace(present=batch.present | {absent: without.present[absent] | ~half})
        other = seen.replace(x=seen.x | {absent: torch.where(half[:, None, None], 3 * seen.x[absent], seen.x[absent])})
        for stage in made.stages():
            if stage.clean:
                continue
            clean = with_targets(made, stage, batch)
            for objective in stage.objectives.values():
                terms = []
                for each in (seen, other):
                    with seeded("law"):
                        terms.append(objective.loss(clean, each))
                for term, value in terms[0].items():
                    assert torch.equal(value, terms[1][term]), f"{stage.name}: the term {term} reads an absent {absent}"


def an_absent_modality_teaches_nothing(system, dims, longest):
    """With a modality absent from every row, no gradient reaches its features, and what is left still teaches: not
    every objective (one of two modalities may be the one that an objective needs), but some objective."""
    made, batch = off_its_beginning(make(system, dims).train()), small_batch(dims, longest)
    for absent, condition in without_one(dims):
        seen, others_teach = corrupt(batch, condition, stream("law")), False
        for stage in made.stages():
            for objective in stage.objectives.values():
                x = {m: t.clone().requires_grad_() for m, t in seen.x.items()}
                watched = with_targets(made, stage, seen).replace(x=x)
                torch.stack(list(objective.loss(watched, watched).values())).sum().backward()
                assert x[absent].grad is None or not x[absent].grad.any(), f"{stage.name}: an absent {absent} teaches"
                others_teach |= any(x[m].grad is not None and bool(x[m].grad.any()) for m in dims if m != absent)
                made.zero_grad(set_to_none=True)
        assert others_teach, f"without {absent} nothing teaches"


def each_stage_trains_its_own_parameters_and_no_others(system, dims, longest):
    made, whole = make(system, dims).train(), small_batch(dims, longest)
    condition = Condition(noise={next(iter(dims)): NoiseScheduler(snr_db=-10)})
    for stage in made.stages():
        batch = with_targets(made, stage, whole)
        for objective in stage.objectives.values():
            own = list(objective.params)
            assert own, f"{stage.name} has no parameters"
            before = {name: p.detach().clone() for name, p in made.named_parameters()}
            optimizer = torch.optim.AdamW(own, lr=1e-2, weight_decay=0.0)
            made.zero_grad(set_to_none=True)
            torch.stack(list(objective.loss(batch, corrupt(batch, condition, stream("law"))).values())).sum().backward()
            optimizer.step()
            taught = {id(p) for p in own}
            for name, p in made.named_parameters():
                if id(p) in taught:
                    moved = not torch.equal(p, before[name])
                    assert moved or p.grad is None or not p.grad.any(), (
                        f"{stage.name}: {name} has a gradient and stayed"
                    )
                else:
                    assert torch.equal(p, before[name]), f"{stage.name}: {name} is not its own and moved"
            assert any(not torch.equal(p, before[n]) for n, p in made.named_parameters()), f"{stage.name} moved nothing"


def saved_and_loaded_it_predicts_the_same(system, dims, longest):
    made, batch = make(system, dims).eval(), small_batch(dims, longest)
    with tempfile.TemporaryDirectory() as folder:
        made.save(Path(folder) / "system.safetensors")
        loaded = load_system(Path(folder) / "system.safetensors", {system.__name__: system})
    assert torch.equal(made(batch), loaded(batch))


def one_small_batch_can_be_learnt_by_heart(system, dims, longest):
    """At most 300 steps; a training that knows every row earlier ends there."""
    made, batch = make(system, dims), small_batch(dims, longest)
    for _ in fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=300, checks=30), seed="law"):
        if bool((made.predict(batch).argmax(1) == batch.label).all()):
            return
    raise AssertionError(f"{system.__name__} does not learn {len(batch)} rows by heart in 300 steps a stage")


def training_is_repeatable(system, dims, longest):
    batch, budget = small_batch(dims, longest), Budget(epochs=1, min_steps=3, checks=1)
    condition = (CLEAN, Condition(noise={next(iter(dims)): NoiseScheduler(snr_db=-10)}))
    states = []
    for world in (0, 1):
        torch.manual_seed(world)  # what else the program drew does not matter
        made = make(system, dims)
        list(fit(made, batch, batch, condition, budget, seed="law"))
        states.append(made.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def numbers_are_learnt_like_classes(system, dims, longest):
    """Where labels are floats a system has one output, and the weights with the least absolute error are kept (the
    last ones, where a stage does not select). It is not among LAWS: a system may be made for classes alone."""
    batch = small_batch(dims, longest)
    batch = batch.replace(label=batch.label - 0.5)
    with seeded("laws"):
        made = system(dims, ())
    records = list(fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=4, checks=2), seed="law"))
    assert made(batch).shape == (len(batch), 1), "a regression has one output"
    error = float((made.predict(batch)[:, 0] - batch.label).abs().mean())
    errors = [record["valid_mae"] for record in records if record["stage"] == records[-1]["stage"]]
    assert min(abs(error - min(errors)), abs(error - errors[-1])) < 1e-5, f"the error is {error}, it was {errors}"
    assert {row.metric for row in evaluate(made, batch, [CLEAN])} == {*REGRESSION}


LAWS: list[Callable[[type[System], dict[str, int], int], None]] = [
    a_row_does_not_see_its_neighbours,
    padding_does_not_change_a_prediction,
    evaluation_is_deterministic,
    a_prediction_does_not_see_the_answer,
    an_absent_modality_changes_nothing,
    an_absent_modality_changes_no_loss,
    an_absent_modality_teaches_nothing,
    each_stage_trains_its_own_parameters_and_no_others,
    saved_and_loaded_it_predicts_the_same,
    one_small_batch_can_be_learnt_by_heart,
    training_is_repeatable,
]


def terms_that_read_clean(system: type[System], dims: dict[str, int], longest: int) -> set[str]:
    """The terms of the last stage's losses that change with other clean rows behind the same seen ones: those that
    have a clean target. The term of the task among them is a leak."""
    made, batch = off_its_beginning(make(system, dims)).train(), small_batch(dims, longest)
    conditions = [Condition(noise={m: NoiseScheduler(snr_db=-10) for m in dims}), *(c for _, c in without_one(dims))]
    seen = corrupt(batch, conditions, stream("targets"))
    stage = list(made.stages())[-1]
    terms = []
    for clean in (batch, batch.replace(x={m: 2 * x for m, x in batch.x.items()})):
        terms.append({})
        for objective in stage.objectives.values():
            fresh = seen.replace(x=dict(seen.x))  # as in training: what was drawn for a batch is not drawn again
            with seeded("targets"):
                terms[-1] |= objective.loss(with_targets(made, stage, clean), fresh)
    return {term for term in terms[0] if not torch.equal(terms[0][term], terms[1][term])}


def check(system: type[System]) -> set[str]:
    """All laws on all shapes; an AssertionError names the law that is broken. Returns what no law can judge, the terms
    that read clean rows (`terms_that_read_clean`): look whether all of them are meant to."""
    for law in LAWS:
        for shape, (dims, longest) in SHAPES.items():
            try:
                law(system, dims, longest)
            except AssertionError as error:
                name = law.__name__.replace("_", " ")
                raise AssertionError(f"{system.__name__} breaks the law {name!r} on {shape}: {error}") from error
    return set().union(*(terms_that_read_clean(system, *shape) for shape in SHAPES.values()))
