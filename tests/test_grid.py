"""compute: what is trained once is not trained twice, and what fails or diverges stops nothing else."""

from typing import NamedTuple

import pytest
import torch
from toy import CORPUS, MODALITIES, NOISY, SHORT, Diverging, Imitator, Orphan, Raising, Student, Tiny, corpus, recipes
from toy import run, values

from robustmer import corpora
from robustmer.conditions import CLEAN, missing
from robustmer.corpora import CorpusError
from robustmer.evaluation import evaluate
from robustmer.experiments import grid, plan, statistics, work
from robustmer.experiments.grid import trained
from robustmer.experiments.ledger import Ledger, Score
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.tables import Cell, Place, Results, Table
from robustmer.systems.majority import Majority
from robustmer.training import train


# --- once and for all -------------------------------------------------------------------------------------------------


def test_a_key_computed_twice_is_computed_once(ledger, notes):
    todo = recipes(3, note=str(notes))
    assert run(todo[:2], ledger).trained == 2
    assert run(todo, ledger).trained == 1 and run(todo, ledger) == grid.Summary()
    assert len(list(notes.iterdir())) == 3 and len(ledger.scores()) == 3 * 2 * 3
    first = values(ledger)
    assert run(todo, ledger, again=True).trained == 3
    assert values(ledger).equals(first), "the same recipe gives the same scores"


def test_upstream_recipes_are_trained_once_and_shared(ledger, notes):
    todo = [Recipe(Student, CORPUS, mixture, fold=fold, budget=SHORT, options={"note": str(notes), "weight": weight})
            for fold in (0, 1) for weight in (1.0, 2.0) for mixture in (CLEAN, NOISY)]  # fmt: skip
    assert run(todo, ledger).trained == len(list(notes.iterdir())) == 8 + 2
    more = Recipe(Student, CORPUS, {CLEAN: 0.5, NOISY: 0.5}, budget=SHORT, options={"note": str(notes)})
    assert run([more], ledger).trained == 1, "its teacher is in the ledger"
    assert run({recipe: missing(MODALITIES) for recipe in todo}, ledger).trained == 8, "new conditions need no teacher"
    assert len(list(notes.iterdir())) == 10 + 1 + 8


def test_conditions_are_added_to_the_others(ledger):
    todo = recipes(1)
    run(dict.fromkeys(todo, [CLEAN]), ledger)
    before = values(ledger)
    run(dict.fromkeys(todo, [NOISY]), ledger)
    assert len(values(ledger)) == 6 and values(ledger)[before.index].equals(before)


def test_a_system_whose_weights_are_kept_is_scored_without_training(ledger, notes):
    (recipe,) = recipes(1, Student, note=str(notes))
    run({recipe: [CLEAN]}, ledger, keep=[recipe])
    before, record = values(ledger), ledger.training(recipe.key)
    summary = run({recipe: [CLEAN, NOISY]}, ledger)
    assert (summary.trained, summary.scored, str(summary)) == (0, 1, "0 trained, 1 scored")
    assert len(list(notes.iterdir())) == 2 and ledger.training(recipe.key) == record
    assert len(values(ledger)) == 6 and values(ledger)[before.index].equals(before)
    again = Ledger(ledger.folder.with_name("again"))
    run({recipe: [CLEAN, NOISY]}, again)
    assert values(again).equals(values(ledger)), "stored weights score as those that were just trained"


def test_scores_of_another_kind_do_not_count_as_those_of_the_task(ledger):
    (recipe,) = recipes(1)
    run({recipe: [CLEAN]}, ledger)
    ledger.write_scores(recipe.key, [Score(str(NOISY), "UA lost", 0.1, 0.01, 5)], {"fingerprint": CORPUS.fingerprint})
    assert run({recipe: [CLEAN, NOISY]}, ledger).trained == 1
    assert len(values(ledger)) == 7


def test_a_grid_equals_train_and_evaluate_to_the_last_bit(ledger):
    """Also of a system with an upstream one, on each fold: a recipe is the training that `train` does."""
    todo = [Recipe(Student, CORPUS, NOISY, fold=fold, seed=1, budget=SHORT) for fold in (0, 2)]
    run(todo, ledger)
    for recipe in todo:
        system, _ = train(Student, CORPUS, mixture=NOISY, fold=recipe.fold, seed=1, budget=SHORT)
        by_hand = evaluate(system, CORPUS.fold(recipe.fold).test, [CLEAN, NOISY])
        ours = ledger.scores(recipe.key)
        assert ours["value"].tolist() == by_hand["value"].tolist() and len(ours) == 6


def test_a_record_states_what_decided_a_training(ledger):
    (recipe,) = recipes(1, Student)
    run([recipe], ledger)
    record = ledger.training(recipe.key)
    assert record["recipe"] == recipe.describe() and record["upstream"] == {"teacher": recipe.upstream["teacher"].key}
    assert (record["outcome"], record["dataset"], record["device"]) == ("trained", "toy", "cpu")
    assert record["fingerprint"] == CORPUS.fingerprint and record["code"] == work.CODE and record["commit"]
    assert record["split"] == {"name": "by speaker", "folds": 3, "speaker_disjoint": True, "test_to_train": 0.25}
    assert set(record["variance"]) == set(MODALITIES) and record["seconds"] >= 0
    assert {"processor", "instructions", "preloaded", "threads", "torch"} == set(record["numerics"])
    assert record["numerics"]["threads"] == 1


def test_training_leaves_the_number_of_threads_as_it_was(ledger):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(recipes(1), ledger)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


# --- what counts ------------------------------------------------------------------------------------------------------


def test_scores_from_other_data_of_the_same_name_do_not_count(ledger, tmp_path, monkeypatch):
    named = corpora.named("synthetic", size="smoke", pooled=True)
    todo = [Recipe(Majority, named, budget=SHORT, seed=seed) for seed in range(2)]
    run(todo, ledger)
    other = corpora.load("synthetic", size="smoke", pooled=True, seed=1)
    monkeypatch.setattr(corpora.Request, "load", lambda self: other)
    assert run(dict.fromkeys(todo[:1], [CLEAN]), ledger).trained == 1
    assert ledger.training(todo[0].key)["fingerprint"] == other.fingerprint
    assert len(ledger.scores(todo[0].key)) == 3, "those of the other condition, from other data, do not count"
    assert len(ledger.scores(todo[1].key)) == 6


def test_corpora_of_ones_own_have_their_data_in_the_key(ledger):
    changed = [Recipe(Tiny, corpus(seed=seed), budget=SHORT) for seed in (0, 1)]
    assert run(changed, ledger).trained == 2 and len(ledger.scores()) == 12
    assert run(recipes(1), ledger).trained == 0, "an equal corpus made anew is the same corpus"


def test_results_of_another_version_of_the_library_count_unless_fresh_ones_are_asked_for(ledger, monkeypatch):
    todo = recipes(1, Student)
    run(todo, ledger)
    for module in (grid, plan, work):
        monkeypatch.setattr(module, "CODE", "another")
    assert run(todo, ledger).trained == 0
    assert run(todo, ledger, fresh=True).trained == 2, "the teacher's weights are of the other version, too"
    assert {record["code"] for record in ledger.trainings().values()} == {"another"}
    assert run(todo, ledger, fresh=True).trained == 0


def test_published_results_count_and_are_not_computed_again(ledger, tmp_path):
    first = Ledger(tmp_path / "first", published=tmp_path / "measured")
    todo = recipes(2)
    run(todo[:1], first)
    first.publish([recipe.key for recipe in todo])
    second = Ledger(ledger.folder, published=tmp_path / "measured")
    assert run(todo, second).trained == 1 and second.scores()["key"].nunique() == 2


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_raises_is_recorded_and_the_others_go_on(ledger, workers, capsys, forked):
    todo = [*recipes(2, Raising), *recipes(1, Orphan), *recipes(2)]
    summary = run(todo, ledger, workers=workers)
    assert summary.trained == 2 and len(summary.failed) == 3 and len(ledger.scores()) == 2 * 6
    outcome = ledger.training(todo[0].key)["outcome"]
    assert outcome.startswith("failed: RuntimeError: this system cannot learn (in objectives, line ")
    assert ledger.training(todo[2].key)["outcome"] == f"failed: it starts from {todo[0].key}, which failed"
    report = capsys.readouterr().err
    assert "3 trainings failed; a later run tries them again:" in report
    assert f"{todo[0].key} Raising on toy, fold 0, seed 0: failed: RuntimeError: this system cannot learn" in report
    assert len(run(todo, ledger).failed) == 3, "a later run tries them again"


def test_a_failure_does_not_hide_an_earlier_result(ledger, monkeypatch):
    todo = recipes(1)
    run(todo, ledger)
    before = values(ledger)
    monkeypatch.setattr(Tiny, "forward", lambda self, observed: 1 / 0)
    summary = run(todo, ledger, again=True)
    assert "ZeroDivisionError: division by zero" in next(iter(summary.failed.values()))
    assert ledger.training(todo[0].key)["outcome"] == "trained" and values(ledger).equals(before)


def test_a_training_that_diverges_is_a_result_and_so_are_those_that_start_from_it(ledger, notes):
    todo = [*recipes(1, Diverging, note=str(notes)), *recipes(1, Imitator, note=str(notes)), *recipes(1)]
    summary = run(todo, ledger)
    assert (summary.trained, summary.diverged, summary.failed) == (3, 2, {})
    for recipe, words in zip(todo, ("diverged: Diverging", "diverged: its upstream system 'teacher'"), strict=False):
        assert ledger.training(recipe.key)["outcome"].startswith(words)
        assert ledger.scores(recipe.key)["value"].isna().tolist() == [True] * 6
    assert ledger.scores(todo[2].key)["value"].notna().all()
    count = len(list(notes.iterdir()))
    assert run(todo, ledger) == grid.Summary() and len(list(notes.iterdir())) == count, "it is not tried again"


def test_upstream_weights_of_another_shape_are_one_sentence(ledger, tmp_path):
    (student,), (other,) = recipes(1, Student), recipes(1, data=CORPUS.only(["audio", "text"]))
    run([student.upstream["teacher"]], ledger, keep=[student.upstream["teacher"]])
    run([other], ledger, keep=[other])
    file = ledger.weights(student.upstream["teacher"].key)
    file.write_bytes(ledger.weights(other.key).read_bytes())
    (why,) = run([student], ledger).failed.values()
    assert f"ValueError: the weights of {student.upstream['teacher'].key} do not fit Tiny" in why
    assert "delete weights/" in why and "\n" not in why


def test_a_corpus_that_cannot_be_loaded_is_named_before_anything_is_trained(ledger, notes, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBUSTMER_DATA", str(tmp_path))
    todo = [*recipes(1, note=str(notes)), Recipe(Majority, corpora.named("iemocap_mmin"), budget=SHORT)]
    with pytest.raises(CorpusError, match="IEMOCAP"):
        run(todo, ledger)
    assert not list(notes.iterdir())


@pytest.mark.parametrize("options, words", [
    ({"device": "warp"}, "device 'warp' cannot be used"), ({"engine": "slurm"}, "engine 'slurm': give \"local\" or"),
    ({"workers": 0}, "workers=0: give the number of processes"), ({"device": "meta"}, "device 'meta' cannot be used"),
])  # fmt: skip
def test_what_cannot_be_used_is_named_before_anything_is_trained(ledger, options, words):
    with pytest.raises(ValueError, match=words):
        run(recipes(1), ledger, **options)


# --- an own corpus and own systems, without registration --------------------------------------------------------------


def test_trained_gives_the_system_and_trains_it_once(ledger, notes):
    (recipe,) = recipes(1, Student, note=str(notes))
    first, second = trained(recipe, ledger), trained(recipe, ledger)
    assert len(list(notes.iterdir())) == 2 and not first.training
    batch = CORPUS.fold(0).test
    assert torch.equal(first.predict(batch), second.predict(batch))
    by_hand, _ = train(Student, CORPUS, budget=SHORT)
    assert torch.equal(first.predict(batch), by_hand.predict(batch))
    raw = CORPUS.samples[CORPUS.split.folds[0][2]]
    torch.testing.assert_close(first.predict(raw), first.predict(batch))
    with pytest.raises(RuntimeError, match="there is no trained system .* diverged: Diverging"):
        trained(recipes(1, Diverging)[0], ledger)
    with pytest.raises(
        RuntimeError, match="there is no trained system .* failed: RuntimeError: this system cannot learn"
    ):
        trained(recipes(1, Raising)[0], ledger)


class System(NamedTuple):
    system: str


class Condition(NamedTuple):
    condition: str


def test_a_corpus_of_ones_own_goes_through_tables_and_statistics(ledger):
    """Three modalities, one of them with a name of its own, three folds of speakers, two seeds, two systems."""
    cells = {}
    for system in (Tiny, Student):
        grid_of = [Recipe(system, CORPUS, fold=f, seed=s, budget=SHORT) for f in range(3) for s in range(2)]
        for condition in (CLEAN, NOISY):
            place = Place(tuple(Cell(recipe, condition, "UA") for recipe in grid_of))
            cells[System(system.__name__), Condition(str(condition))] = place
    table = Table("mine", "1", "toys", "toy", "", cells)
    assert run(table.jobs(), ledger).trained == 6 + 6 + 6
    results = Results.read(ledger)
    lines = table.summarise(results)
    assert len(lines) == 4 and set(lines["unit"]) == {"fold"} and set(lines["repetitions"]) == {3}
    frame = table.where(system="Tiny", condition="clean").values(results)
    by_fold = frame.groupby("fold")["value"].mean()
    error = statistics.standard_error(by_fold.std(), 3, test_to_train=0.25)
    line = lines.query("system == 'Tiny' and condition == 'clean'").iloc[0]
    assert line["mean"] == pytest.approx(by_fold.mean())
    if by_fold.std() > 0:
        assert line["high"] - line["mean"] == pytest.approx(4.302653 * error, rel=1e-5)
