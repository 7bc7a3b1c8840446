"""Batches, targets and what is not finite: what is cut, sorted or computed once changes no result, or says so."""

import numpy as np
import pytest
import torch

from robustmer import laws
from robustmer.batch import MODALITIES, collate
from robustmer.batching import endless_batches, with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, incomplete
from robustmer.evaluation import Diverged, evaluate
from robustmer.laws import SETTINGS
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import IFMMIN, MEN, MMIN, NMER, NMERWithoutVAE
from robustmer.tasks import Regress
from robustmer.training import fit, learn

SHORT = Budget(epochs=1, min_steps=4, checks=2, batch_size=8)
NOISY = incomplete(MODALITIES, NoiseScheduler(snr_db=-10))
SEQUENCES = SETTINGS["three sequences"]


def ragged(samples: int = 40):
    return laws.small_batch(SEQUENCES, samples)


@pytest.mark.parametrize("system", [NMER, NMERWithoutVAE, MMIN, IFMMIN])
@pytest.mark.parametrize("setting", SETTINGS)
def test_targets_of_all_samples_are_those_of_every_batch(system, setting):
    made, samples = laws.make(system, SETTINGS[setting]), laws.small_batch(SETTINGS[setting], samples=23)
    at_once = with_targets(made, samples)
    assert at_once.targets
    for chosen in ([0, 5, 22], [7], range(23)):
        for name, target in with_targets(made, samples[chosen]).targets.items():
            torch.testing.assert_close(at_once[chosen].targets[name], target, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("samples, size", [(40, 8), (41, 8), (700, 16), (5, 8), (1, 4)])
def test_batches_of_similar_length_hold_every_sample_once_an_epoch(samples, size):
    train = ragged(samples)
    batches = endless_batches(train, size, stream("order"))
    for _ in range(3):
        epoch = [next(batches) for _ in range(-(-samples // size))]
        assert sorted(id for batch in epoch for id in batch.id) == sorted(train.id)
        assert sum(len(batch) < size for batch in epoch) == (samples % size > 0)


def test_batches_of_similar_length_hold_less_padding_and_other_samples_every_time():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 60, 700)  # as long in every modality, like utterances
    train = collate({m: [np.ones((n, 2)) for n in lengths] for m in MODALITIES}, name="lengths")
    frames = {}
    for bucket in (True, False):
        batches = endless_batches(train, 16, stream("order"), bucket)
        frames[bucket] = sum(b.mask[m].numel() for b in (next(batches) for _ in range(44)) for m in b.modalities)
    assert train.lengths["audio"].sum() * 3 < frames[True] < 0.65 * frames[False]
    batches = endless_batches(train, 16, stream("order"))
    first, second = ([frozenset(next(batches).id) for _ in range(44)] for _ in range(2))
    assert len(set(first) & set(second)) <= 2
    lengths = [batch.x["audio"].shape[1] for batch in (next(batches) for _ in range(44))]
    assert lengths != sorted(lengths), "an epoch does not go from short samples to long ones"


def test_samples_of_one_length_are_batched_the_same_with_bucketing_and_without():
    train = laws.small_batch(SETTINGS["three vectors"], samples=30)
    on, off = (endless_batches(train, 8, stream("order"), bucket) for bucket in (True, False))
    for _ in range(9):
        assert next(on).id.tolist() == next(off).id.tolist()


def test_a_chosen_batch_has_no_padding_that_none_of_its_samples_needs():
    samples = ragged(30)
    for chosen in ([3, 1, 4], [0], list(range(30))):
        taken = samples[chosen]
        for m in samples.modalities:
            longest = int(samples.mask[m][chosen].sum(1).max())
            assert torch.equal(taken.x[m], samples.x[m][chosen][:, :longest])
            assert torch.equal(taken.mask[m], samples.mask[m][chosen][:, :longest])
            assert taken.lengths[m].tolist() == samples.mask[m][chosen].sum(1).tolist()


@pytest.mark.parametrize("size", [1, 7, 512])
def test_evaluation_by_length_gives_every_sample_its_own_output(size):
    made, samples = laws.make(MEN, SEQUENCES).eval(), ragged(25)
    one_by_one = torch.cat([made(samples[[i]]) for i in range(25)])
    torch.testing.assert_close(made.predict(samples, size), one_by_one, atol=1e-5, rtol=1e-5)


class Hungry(MEN):
    """A device that has memory for five samples."""

    def forward(self, observed):
        if len(observed) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return super().forward(observed)


def test_a_batch_that_does_not_fit_is_an_error_that_names_the_batch_size():
    made = laws.make(Hungry, SEQUENCES)
    with pytest.raises(
        MemoryError, match=r"no memory for 8 samples at once .* give a smaller Budget\(batch_size=...\)"
    ):
        fit(made, ragged(), ragged(), NOISY, SHORT)
    with pytest.raises(MemoryError, match="give a smaller batch_size"):
        made.predict(ragged())
    assert len(made.predict(ragged(), batch_size=5)) == 40


class Speechless(MEN):
    """It learns well, and in evaluation nothing that it returns is finite."""

    def forward(self, observed):
        logits = super().forward(observed)
        return logits if self.training else logits * float("nan")


@pytest.mark.parametrize("task", [SEQUENCES.task, Regress("label")], ids=["classes", "numbers"])
def test_an_output_that_is_not_finite_is_no_score(task):
    setting = laws.Setting(SEQUENCES.shapes, SEQUENCES.longest, task)
    made, samples = laws.make(Speechless, setting), laws.small_batch(setting, 16)
    with pytest.raises(Diverged, match="not finite at step 2: {'validation .*lower the learning rate"):
        fit(made, samples, samples, CLEAN, SHORT)
    with pytest.raises(Diverged, match="no finite output for sample 'laws/0' of laws"):
        evaluate(made, samples, [CLEAN])


class Diverging(MEN):
    """Its loss is not a number."""

    def loss(self, clean, observed):
        return {"task": super().loss(clean, observed)["task"] * float("nan")}


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(Diverged, match="Diverging, phase 'classify': not finite at step"):
        fit(laws.make(Diverging, SEQUENCES), ragged(), ragged(), CLEAN, SHORT)


def test_fit_trains_when_it_is_called_and_scores_name_no_fold():
    """`evaluate` knows no fold and no seed, so it states none; recipes and ledgers do."""
    made, batch = laws.make(MEN, SEQUENCES), ragged()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    history = fit(made, batch, batch, budget=SHORT)
    assert len(history) == SHORT.checks and history.records[-1]["step"] == 5
    assert any(not torch.equal(tensor, before[name]) for name, tensor in made.state_dict().items())
    assert list(evaluate(made, batch, [CLEAN])) == ["condition", "noise", "level", "metric", "value"]


def test_a_step_changes_nothing_but_the_parameters_of_its_objective():
    made, samples = laws.make(NMER, SEQUENCES).train(), ragged(12)
    clean = with_targets(made, samples)
    ((_, objective),) = made.objectives().items()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    learn(objective, objective.optimizer(list(objective.params)), clean, clean)
    moved = {name for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved and not any(name.startswith("teacher.") for name in moved)
