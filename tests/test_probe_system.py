"""Probes read frozen codes; domain adaptation never reads a test label; shares of labels are nested."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from family import Family, SmallMLP, SmallProbe
from toy import corpus as toy

from robustmer import corpora, laws
from robustmer.batch import collate
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.corpora.dependent import dependent, person_dependent
from robustmer.evaluation import evaluate, score
from robustmer.experiments.recipe import Recipe
from robustmer.laws import Setting
from robustmer.noise import NoiseScheduler, stream
from robustmer.systems import MDVAE, AVTransformer, FrameStatistics, LogReg, count_parameters, load, save
from robustmer.systems.probe import Probe, labelled
from robustmer.tasks import AdaptedClassify, Classify, OwnError, task_from
from robustmer.training import fit, train

SHORT = Budget(epochs=0, min_steps=20, checks=2, batch_size=16)
CORPUS = toy()
ADAPTED = AdaptedClassify("emotion", ("calm", "cross"))


def probe(task=None, kind=SmallProbe, **options):
    return train(kind, CORPUS, task, budget=SHORT, options=options)[0]


def test_the_head_has_the_printed_number_of_weights():
    model = Family({"audio": (5,)}, OwnError(), static=84)
    eight = Classify("emotion", tuple("abcdefgh"))
    weights = {head: count_parameters(Probe({"audio": (5,)}, eight, model, head).head) for head in ("MLR", "MLP")}
    assert weights == {"MLR": 680, "MLP": 84 * 128 + 128 + 128 * 128 + 128 + 128 * 8 + 8}


def test_codes_are_computed_once_and_not_from_the_test_split():
    counts = []

    class Counting(Family):
        def code(self, observed):
            if self.training is False and not torch.is_grad_enabled():
                counts.append(len(observed))
            return super().code(observed)

    fold = CORPUS.fold(0)
    system = Probe(CORPUS.shapes, CORPUS.task(), Counting(CORPUS.shapes, OwnError()))
    fit(system, fold.train, fold.valid, CLEAN, Budget(epochs=0, min_steps=30, checks=3, batch_size=8))
    assert sum(counts) == len(fold.train) + 3 * len(fold.valid), "train codes once, validation codes once a check"


def test_a_noisy_mixture_is_learnt_from_noisy_codes():
    fold = CORPUS.fold(0)
    system = probe()
    clean = fold.train.replace(targets=system.targets(fold.train))
    same = system.loss(clean, clean)["task"]
    noisy = Condition(noise={"audio": NoiseScheduler(snr_db=-20)})
    observed = corrupt(clean, noisy, stream("test"))
    assert not torch.equal(system.loss(clean, observed)["task"], same)
    torch.testing.assert_close(system.loss(clean, corrupt(clean, CLEAN, stream("test")))["task"], same)


def test_domain_adaptation_does_not_read_test_labels_and_is_no_other_training():
    test = CORPUS.fold(0).test
    adapted, plain = probe(ADAPTED), probe()
    assert torch.equal(adapted.head[0].weight, plain.head[0].weight)
    wrong = test.replace(labels={"emotion": test.labels["emotion"].flip(0)})
    outputs = [ADAPTED.judge(adapted, batch.replace(labels={}), batch)["output"] for batch in (test, wrong)]
    assert torch.equal(*outputs)
    assert {*score(adapted, test, CLEAN)} == {"WA", "UA", "F1"}
    assert int(adapted.count) == len(CORPUS.fold(0).train)


def test_domain_adaptation_undoes_a_shift():
    """Test codes are the train codes, shifted so far that all fall into one class."""
    system, test = probe(ADAPTED), CORPUS.fold(0).test
    known = system.known[: int(system.count)]
    system.model.code = lambda observed: known.flip(0) + 100.0
    right = system.head(known.flip(0)).argmax(1)
    assert len(system(test).argmax(1).unique()) == 1
    assert torch.equal(system.adapted(test).argmax(1), right)


def test_an_adapted_probe_is_saved_with_its_codes(tmp_path):
    system, test = probe(ADAPTED), CORPUS.fold(0).test
    save(system, tmp_path / "probe.safetensors")
    loaded = load(tmp_path / "probe.safetensors", {"SmallProbe": SmallProbe, "Family": Family})
    assert score(loaded, test, CLEAN) == score(system, test, CLEAN)
    assert task_from(ADAPTED.describe()) == ADAPTED


def test_shares_of_labels_are_nested_and_keep_every_class():
    random = np.random.default_rng(0)
    label, id = torch.from_numpy(random.integers(0, 4, 300)), np.array([f"clip {i}" for i in range(300)])
    kept = [labelled(label, id, share) for share in (0.01, 0.03, 0.1, 0.3, 1.0)]
    for fewer, more in zip(kept, kept[1:], strict=False):
        assert (more | ~fewer).all() and len(label[fewer].unique()) == 4
    assert int(kept[0].sum()) == 4 and kept[-1].all()
    order = torch.from_numpy(random.permutation(300))
    assert torch.equal(labelled(label[order], id[order.numpy()], 0.1), kept[2][order])


def test_unlabelled_samples_do_not_matter():
    fold = CORPUS.fold(0)
    rows = labelled(fold.train.labels["emotion"], fold.train.id, 0.2)
    label = torch.where(rows, fold.train.labels["emotion"], 1 - fold.train.labels["emotion"])
    system = probe(share=0.2)
    targets = system.targets(fold.train)
    terms = [system.loss(batch, batch)["task"] for batch in (
        fold.train.replace(targets=targets), fold.train.replace(targets=targets, labels={"emotion": label}))]  # fmt: skip
    assert torch.equal(*terms)


def test_few_labels_are_not_chosen_by_many():
    """Other validation labels lead to the same weights; with all labels the weights are selected."""
    fold, weights = CORPUS.fold(0), []
    wrong = fold.valid.replace(labels={"emotion": 1 - fold.valid.labels["emotion"]})
    setting = Setting(CORPUS.shapes, task=CORPUS.task())
    for valid in (fold.valid, wrong):
        system = laws.make(SmallProbe, setting, share=0.2)
        fit(system, fold.train, valid, CLEAN, Budget(epochs=0, min_steps=40, checks=10, batch_size=16), seed=1)
        weights.append(system.head[0].weight)
    assert torch.equal(*weights) and not system.selects and laws.make(SmallProbe, setting).selects


def test_a_probe_of_a_recipe_starts_from_a_trained_system():
    model = Recipe(Family, CORPUS, task=OwnError(), budget=SHORT)
    recipe = Recipe(SmallProbe, CORPUS, budget=SHORT, upstream={"model": model})
    assert recipe.upstream == {"model": model}
    with pytest.raises(ValueError, match="LogReg has no code"):
        Probe(CORPUS.shapes, CORPUS.task(), LogReg(CORPUS.shapes, CORPUS.task()))
    assert Recipe(Probe, CORPUS).upstream["model"].system is MDVAE


@pytest.mark.parametrize(("options", "task", "message"), [
    ({"head": "SVM"}, None, "MLR or MLP"), ({"share": 0.0}, None, "share above 0"), ({}, OwnError(), "predicts a label"),
])  # fmt: skip
def test_impossible_probes_are_refused(options, task, message):
    with pytest.raises(ValueError, match=message):
        SmallProbe(CORPUS.shapes, task or CORPUS.task(), Family(CORPUS.shapes, OwnError()), **options)


def test_only_a_probe_can_be_adapted_and_it_needs_train_codes():
    test = CORPUS.fold(0).test
    with pytest.raises(ValueError, match="keeps no codes"):
        evaluate(probe(), test, [CLEAN], ADAPTED)
    with pytest.raises(ValueError, match="scores a Probe"):
        evaluate(Family(CORPUS.shapes, CORPUS.task()), test, [CLEAN], ADAPTED)


# --- splits -----------------------------------------------------------------------------------------------------------


def test_a_person_dependent_split_shares_people_and_says_so():
    made = person_dependent(CORPUS)
    assert made.name == "toy PD" and len(made.split.folds) == 5 and not made.split.speaker_disjoint
    for train_, valid, test in made.split.folds:
        assert len(test) == round(0.3 * 48) and len(valid) == round(0.1 * 48)
        assert len({*train_, *valid, *test}) == 48
        assert {*made.samples.speaker[train_]} & {*made.samples.speaker[test]}
    assert len({fold[2].tobytes() for fold in made.split.folds}) == 5


def test_a_class_in_one_part_only_is_refused():
    label = CORPUS.samples.labels["emotion"].clone() * 0
    label[0] = 1
    rare = CORPUS.samples.replace(labels={"emotion": label})
    with pytest.raises(corpora.CorpusError, match="'cross' is in the (train|test) split and not in the"):
        person_dependent(replace(CORPUS, samples=rare))


def test_a_named_corpus_has_a_person_dependent_layout():
    layout = dependent(corpora.find("synthetic"))
    made = layout(size="smoke", pooled=True)
    assert made.name == "synthetic PD" and len(made.split.folds) == 5
    assert made.labels == corpora.find("synthetic").labels(layout.settings({}))


def test_mlp_learns_what_is_not_linear():
    assert count_parameters(probe(kind=SmallMLP).head) > count_parameters(probe().head)


# --- what probes are compared with ------------------------------------------------------------------------------------


def test_frame_statistics_are_means_and_deviations_of_areas():
    draw = np.random.default_rng(0)
    x = {"visual": [draw.random((7, 1, 8, 8))], "audio": [draw.gamma(1.0, 1.0, (7, 21))]}
    batch = collate(x)
    system = FrameStatistics(batch.shapes, OwnError(), 84, power=("audio",))
    values, known = system.statistics(batch)
    assert values.shape == known.shape == (1, 84) and known.all()
    log = np.log10(x["audio"][0].astype(np.float32) + 1e-10)
    np.testing.assert_allclose(values[0, :21], log.mean(0), rtol=1e-4)
    np.testing.assert_allclose(values[0, 21:42], np.sqrt(log.var(0) + 1e-6), rtol=1e-4)
    pixels = batch.frames("visual")[0].flatten(2).mean()
    assert float(values[0, 42:63].mean()) == pytest.approx(float(pixels), abs=0.02)
    with pytest.raises(ValueError, match="multiple of 4"):
        FrameStatistics(batch.shapes, OwnError(), 30)


def test_frame_statistics_are_standardised_by_their_training():
    fold = CORPUS.fold(0)
    system = FrameStatistics(CORPUS.shapes, OwnError(), 12)
    fit(system, fold.train, fold.valid, CLEAN, Budget(epochs=0, min_steps=300, checks=1))
    code = system.code(fold.train)
    assert float(code.mean(0).abs().max()) < 0.2 and 0.7 < float(code.std(0).mean()) < 1.3


def test_the_av_transformer_attends_to_the_other_branch_alone():
    """Without frames of the other modality a branch adds nothing; with them, their order matters."""
    draw = np.random.default_rng(0)
    batch = collate({"audio": [draw.normal(size=(9, 5))], "visual": [draw.random((9, 1, 8, 8))]})
    system = AVTransformer(batch.shapes, CORPUS.task(), width=8, heads=2).eval()
    x = {m: system.project[m](batch.frames(m)[0].flatten(2)) for m in batch.modalities}
    masks = {m: batch.mask[m] for m in batch.modalities}
    without = masks | {"visual": torch.zeros_like(masks["visual"])}
    assert not system.met("audio", x, without).any()
    changed = x | {"audio": x["audio"] + 1}
    moved = system.met("audio", changed, masks) - system.met("audio", x, masks)
    swapped = system.met("visual", changed, masks) - system.met("visual", x, masks)
    assert swapped.any() and moved.any()
    assert count_parameters(AVTransformer({"audio": (513,), "visual": (1, 64, 64)}, CORPUS.task())) < 500_000
    with pytest.raises(ValueError, match="odd number"):
        AVTransformer(batch.shapes, CORPUS.task(), kernel=4)
