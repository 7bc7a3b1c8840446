"""Statistics agree with their sources; a table is the mean of its cells; claims are differences of places."""

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from frozen_sections import rises
from scipy import stats

from robustmer import corpora
from robustmer.conditions import CLEAN, Condition
from robustmer.experiments.contrasts import Contrast, difference, measure, verdicts
from robustmer.experiments.ledger import Ledger, Score
from robustmer.experiments.papers import (
    PAPERS,
    claims_of,
    find,
    keys,
    ledger_of,
    nmer,
    nmer_beyond,
    nmer_claims,
    published,
)
from robustmer.experiments.papers import results as results_of_paper
from robustmer.experiments.papers.nmer import BAR, Column, Row
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.statistics import (
    DECIDED,
    detectable,
    holm,
    over_speakers,
    paired,
    ranks,
    size,
    summarise,
    text_of,
    verdict,
)
from robustmer.experiments.tables import Cell, Place, Results, Table, wide
from robustmer.systems import LogReg, Majority

SPLIT = {"name": "by speaker", "folds": 6, "speaker_disjoint": True, "test_to_train": 4 / 16}
REQUEST = corpora.named("ravdess_av")
WAYS = [Condition(seen=("audio",)), Condition(seen=("visual",))]


class Name(NamedTuple):
    name: str


class At(NamedTuple):
    metric: str = "UA"


def place(system=LogReg, folds=6, seeds=1, conditions=(CLEAN,), l2=1.0):
    options = {} if system is Majority else {"l2": l2}
    recipes = [Recipe(system, REQUEST, fold=f, seed=s, options=options) for s in range(seeds) for f in range(folds)]
    return Place(tuple(Cell(recipe, condition, "UA") for recipe in recipes for condition in conditions))


def results_of(places, value, split=SPLIT, fingerprint=lambda recipe: "f"):
    """Scores for every cell, as if they were measured: value(name of the place, recipe, condition), or None."""
    scores, trainings = {}, {}
    for name, of in places.items():
        for recipe, condition, metric in of.cells:
            number = value(name, recipe, condition)
            if number is not None:
                scores[recipe.key, str(condition), metric] = Score(str(condition), metric, number)
                trainings[recipe.key] = {"fingerprint": fingerprint(recipe), "split": split}
    return Results(scores, trainings)


def table_of(places, bar=None):
    return Table("mine", "1", "a table", "RAVDESS-AV", "IEMOCAP", {(Name(n), At()): p for n, p in places.items()},
                 {At(): places[bar]} if bar else {})  # fmt: skip


def compared(x, y, seeds=False):
    """`measure` of one contrast whose sides have these values, a fold each (or a seed each)."""
    size = {"folds": 1, "seeds": len(x)} if seeds else {"folds": len(x)}
    places = {"x": place(**size), "y": place(l2=2.0, **size)}
    measured = results_of(places, lambda name, r, _: {"x": x, "y": y}[name][r.seed if seeds else r.fold])
    return Contrast("x − y", (places["x"],), (places["y"],)).measure(measured)


# --- statistics -------------------------------------------------------------------------------------------------------


def test_holm_is_the_step_down_procedure():
    """Each p times the number of hypotheses not yet rejected, never below an earlier one, at most 1."""
    random = np.random.default_rng(0)
    for count in (1, 2, 7):
        p = random.uniform(size=count)
        expected, highest = np.empty(count), 0.0
        for step, i in enumerate(np.argsort(p)):
            highest = max(highest, min(1.0, (count - step) * p[i]))
            expected[i] = highest
        np.testing.assert_allclose(holm(p), expected)
    assert np.isnan(holm([0.01, math.nan])[1]) and holm([0.01, math.nan])[0] == 0.01


def test_the_interval_is_over_folds_and_seeds_are_averaged_first():
    frame = pd.DataFrame([{"system": "x", "fold": f, "seed": s, "value": f + 0.1 * s, "test_to_train": 0.25}
                          for f in range(3) for s in (-1, 1)])  # fmt: skip
    line = summarise(frame, ["system"]).iloc[0]
    assert line["mean"] == pytest.approx(1.0) and line["repetitions"] == 3 and line["seeds"] == 2
    # std 1, three folds, a test part a quarter of the train part; t(0.975, 2 degrees) = 4.302653
    assert line["high"] - line["mean"] == pytest.approx(4.302653 * (1 / 3 + 1 / 4) ** 0.5, rel=1e-5)
    one_fold = summarise(frame[frame["fold"] == 0], ["system"]).iloc[0]
    assert (one_fold["unit"], one_fold["repetitions"]) == ("seed", 2) and math.isnan(one_fold["low"])
    with pytest.raises(ValueError, match="two splits"):
        summarise(frame.assign(test_to_train=[0.25] * 5 + [0.1]), ["system"])
    assert summarise(frame[:0], ["system"]).empty


def test_p_is_nadeau_and_bengios_over_folds_and_the_paired_t_test_over_seeds():
    """t = mean / sqrt((1/k + n_test/n_train) s^2) over k folds; RAVDESS-AV tests 4 actors and trains on 16."""
    x, y = np.random.default_rng(1).normal(size=(2, 6))
    d = x - y
    t = d.mean() / math.sqrt((1 / 6 + 4 / 16) * d.var(ddof=1))
    assert compared(x, y)["p"] == pytest.approx(2 * stats.t.sf(abs(t), 5))
    line = compared(x, y, seeds=True)
    assert line["p"] == pytest.approx(stats.ttest_rel(x, y).pvalue) and line["unit"] == "seed"


def test_repetitions_that_are_equal_or_too_few_give_no_interval():
    for values in ([0.6] * 3, [0.6, 0.7]):
        line = compared(np.array(values), np.array(values) - 0.1)
        assert line["effect"] == pytest.approx(0.1) and line["verdict"] == "no interval"
        assert math.isnan(line["low"]) and math.isnan(line["p"]) and math.isnan(line["detectable"])


def test_paired_differences_are_taken_fold_by_fold():
    """Folds differ by far more than systems do, and the interval of the difference does not feel it."""
    values = {"NMER": [0.30, 0.51, 0.72], "MEN": [0.20, 0.40, 0.60]}
    frame = pd.DataFrame([{"system": name, "fold": f, "seed": s, "value": v, "test_to_train": 0.25} for s in range(2)
                          for name, column in values.items() for f, v in enumerate(column)])  # fmt: skip
    line = paired(frame, "NMER", "MEN")
    assert line["mean"] == pytest.approx(0.11) and line["unit"] == "fold" and line["repetitions"] == 3
    assert line["low"] == pytest.approx(0.11 - 4.302653 * 0.01 * (1 / 3 + 1 / 4) ** 0.5, rel=1e-4)
    one = paired(frame[frame["fold"] == 0], "NMER", "MEN")
    assert one["unit"] == "seed" and one["mean"] == pytest.approx(0.10) and one["repetitions"] == 2
    with pytest.raises(ValueError, match="NMER and MMIN share no fold and seed"):
        paired(frame, "NMER", "MMIN")


def test_seeds_that_agree_do_not_narrow_an_interval_over_speakers():
    """All of one split's seeds meet the same speakers: their number only removes what differs between seeds."""
    same = pd.DataFrame([{"system": "x", "seed": s, "value": 0.02, "error": 0.01, "groups": 31} for s in range(5)])
    (line,) = over_speakers(same, ["system"]).to_dict("records")
    assert line["high"] - line["mean"] == pytest.approx(stats.t.ppf(0.975, 30) * 0.01)
    assert line["p"] == pytest.approx(2 * stats.t.sf(2, 30)) and line["repetitions"] == 5
    with pytest.raises(ValueError, match="only those of noise_cost"):
        over_speakers(same.assign(error=math.nan), ["system"])
    (line,) = over_speakers(same.assign(value=[0.0, 0.01, 0.02, 0.03, 0.04]), ["system"]).to_dict("records")
    assert (line["high"] - 0.02) / stats.t.ppf(0.975, 30) == pytest.approx(math.sqrt(1e-4 + 2.5e-4 / 5))


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 17])
def test_a_detectable_difference_is_shown_in_four_of_five_experiments(alpha):
    shift = detectable(1.0, 6, 0.25, alpha)
    draws = np.random.default_rng(2).normal(size=(40_000, 6))
    # Means of folds vary more than those of independent runs; their t has the wider standard error.
    mean = shift + draws.mean(1) * math.sqrt((1 / 6 + 0.25) * 6)
    t = mean / (draws.std(1, ddof=1) * math.sqrt(1 / 6 + 0.25))
    assert (t > stats.t.ppf(1 - alpha / 2, 5)).mean() == pytest.approx(0.8, abs=0.01)
    assert detectable(1.0, 6, 0.25, alpha / 10) > shift > detectable(1.0, 12, 0.25, alpha)


def test_ranks_and_the_critical_difference_are_demsars():
    """Best is 1, ties share a rank; with four systems and six folds q = 2.569 (Demsar 2006, table 5)."""
    frame = pd.DataFrame([{"system": s, "fold": f, "seed": 0, "value": v} for f in range(6)
                          for s, v in {"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.1}.items()])  # fmt: skip
    mean, critical, n = ranks(frame, ["a", "b", "c", "d"])
    assert mean.to_dict() == {"a": 1.0, "b": 2.5, "c": 2.5, "d": 4.0} and n == 6
    assert critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 6)), abs=1e-3)
    with pytest.raises(ValueError, match="no fold has scores of all of a, e"):
        ranks(frame, ["a", "e"])


def test_one_rule_decides_what_a_comparison_is_called():
    assert verdict(2.0, 0.01, "fold") == "holds" and verdict(-2.0, 0.01, "fold") == "does not hold"
    assert verdict(2.0, 0.2, "fold") == verdict(2.0, 0.2, "seed") == "not shown"
    assert verdict(2.0, math.nan, "fold") == "no interval"
    assert verdict(2.0, 0.01, "seed") == "seeds agree" and verdict(-2.0, 0.01, "seed") == "seeds disagree"
    assert verdict(math.nan, math.nan, "fold", "the corpus has no l") == "cannot be tested"


def test_a_size_is_held_against_the_number_of_the_text():
    """An interval reaches the printed number (half a point for rounding), or the printed range, or it does not."""
    assert size(12.3, 28.2, (4.0,)) == "larger" and size(0.6, 1.7, (6.0, 10.0)) == "smaller"
    assert size(2.0, 3.6, (4.0,)) == "as large" == size(7.0, 8.0, (6.0, 10.0))
    assert size(math.nan, math.nan, (4.0,)) == "" == size(1.0, 2.0, ())


# --- tables -----------------------------------------------------------------------------------------------------------


def test_a_table_is_the_mean_of_its_cells():
    """By hand: conditions first, then seeds, then folds; and the same of the ledger that holds the scores."""
    places = {"x": place(folds=3, seeds=2, conditions=WAYS), "y": place(folds=3, conditions=WAYS, l2=2.0)}
    random = np.random.default_rng(3).uniform(size=(2, 3, 2, 2))
    value = lambda name, r, c: random["xy".index(name), r.fold, r.seed, WAYS.index(c)]  # noqa: E731
    lines = table_of(places).summarise(results_of(places, value)).set_index("name")
    assert lines.loc["x", "mean"] == pytest.approx(random[0].mean())
    assert lines.loc["y", "mean"] == pytest.approx(random[1, :, 0].mean())
    assert lines.loc["x", "std"] == pytest.approx(random[0].mean(axis=(1, 2)).std(ddof=1))
    assert lines.loc["y", "keys"] == tuple(dict.fromkeys(cell.recipe.key for cell in places["y"].cells))
    assert lines["expected"].tolist() == [3, 3] and lines["expected_seeds"].tolist() == [2, 1]


def test_an_incomplete_repetition_is_left_out_and_a_diverged_one_is_counted():
    places = {"x": place(folds=4, conditions=WAYS)}
    given = {0: 0.1, 1: 0.2, 2: math.nan, 3: None}
    value = lambda _, r, c: given[r.fold] if c == WAYS[0] else 0.3  # noqa: E731
    (line,) = table_of(places).summarise(results_of(places, value)).to_dict("records")
    assert line["mean"] == pytest.approx(0.225) and (line["repetitions"], line["expected"]) == (2, 4)
    assert line["diverged"] == 1 and text_of(line) == "0.225\u00a0(2/4)\u202f✕1"
    assert table_of(places).summarise(Results({}, {})).empty, "what is not measured has no line"


def test_marks_say_what_is_below_the_baseline_and_what_has_fewer_seeds():
    places = {
        "bar": place(),
        "good": place(l2=2.0),
        "bad": place(l2=3.0),
        "new": place(l2=4.0),
        "two": place(seeds=2, l2=5.0),
    }
    bar = [0.2, 0.6, 0.7, 0.6, 0.5, 0.4]
    given = {"bar": lambda f: bar[f], "good": lambda f: bar[f] + 0.1, "bad": lambda f: 0.1,
             "new": lambda f: [0.3, None][f > 0], "two": lambda f: 0.9 + 0.01 * f}  # fmt: skip
    value = lambda name, r, _: given[name](r.fold) if r.seed == 0 else None  # noqa: E731
    frame = table_of(places, "bar").summarise(results_of(places, value))
    text = wide(frame, row=lambda row: row.name, column=lambda column: column.metric)["UA"]
    assert text["bad"].endswith("↓") and "↓" not in text["good"] + text["bar"]
    assert text["new"] == "0.300\u00a0(1/6)", "below the baseline's mean, but above it on the fold that both have"
    assert text["two"].endswith("°") and "°" not in text["good"]
    assert wide(frame, "repetitions").iloc[:, 0].tolist() == [6, 6, 6, 1, 6]


def test_scores_of_two_versions_of_a_corpus_do_not_mix():
    places = {"x": place()}
    measured = results_of(places, lambda *_: 0.5, fingerprint=lambda recipe: "new" if recipe.fold else "old")
    with pytest.raises(ValueError, match=r"RAVDESS-AV were made from several versions .* new, old"):
        table_of(places).summarise(measured)


def test_a_part_of_a_table_is_chosen_by_the_fields_of_its_labels():
    table = nmer.tables("quick", "ravdess_av")["3"]
    part = table.where(metric="UA", noise="gaussian", level=(-10.0, -40.0), condition="avg")
    assert len(part.rows) == 9 and len(part.columns) == 2 and set(part.jobs()) == set(table.jobs())
    with pytest.raises(ValueError, match=r"no metric 'UAR'; choose from"):
        table.where(metric="UAR")
    with pytest.raises(ValueError, match=r"no field 'snr'; choose from"):
        table.where(snr=-10)


def test_a_ledger_on_disk_gives_the_same_table(tmp_path):
    places = {"x": place(folds=3)}
    measured = results_of(places, lambda _, r, c: 0.1 * r.fold)
    ledger = Ledger(tmp_path)
    for key, record in measured.trainings.items():
        ledger.write_training({"key": key, "recipe": {}, "outcome": "trained", **record})
        ledger.write_scores(
            key, [score for (k, *_), score in measured.scores.items() if k == key], {"fingerprint": "f"}
        )
    table = table_of(places)
    pd.testing.assert_frame_equal(table.summarise(Results.read(ledger)), table.summarise(measured))


# --- comparisons ------------------------------------------------------------------------------------------------------


class MadeUp(Mapping):
    """A score for everything, another for each training; the trainings of `ahead` are so much better."""

    def __init__(self, ahead=(), by=0.0):
        self.ahead, self.by = {cell.recipe.key for cell in ahead}, by

    def __getitem__(self, at):
        key, condition, metric = at
        value = 0.4 + int(key, 16) % 97 / 970 + (self.by if key in self.ahead else 0.0)
        return Score(condition, metric, value + len(condition) % 7 / 100)

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


class Anything(MadeUp):
    def __getitem__(self, key):
        return {"fingerprint": "f", "split": SPLIT, "dataset": "made up"}


@pytest.fixture(scope="module")
def nmers():
    tables = nmer.tables("paper", "ravdess_av")
    return tables, Results(MadeUp(cells_of(tables, "NMER"), 0.03), Anything())


def cells_of(tables, system):
    return [c for t in tables.values() for (row, _), p in t.cells.items() if row.system == system for c in p.cells]


def test_a_difference_of_two_rows_is_the_difference_of_their_means(nmers):
    tables, measured = nmers
    table = tables["2"].where(metric="UA")
    means = table.summarise(measured).groupby("row")["mean"].mean()
    line = difference(table, Row("NMER"), Row("MCTN")).measure(measured, scale=100)
    assert line["effect"] == pytest.approx(100 * (means[Row("NMER")] - means[Row("MCTN")]))
    assert line["low"] < line["effect"] < line["high"] and line["detectable"] > 0 and line["unit"] == "fold"
    with pytest.raises(ValueError, match="no column has both NMER and 'BERT'"):
        difference(table, Row("NMER"), Row("BERT"))


def test_every_claim_is_the_difference_of_its_places_and_its_scores_give_it_again(nmers):
    tables, measured = nmers
    lines = verdicts(nmer_claims.claims("ravdess_av"), measured, nmer_claims.planned("ravdess_av"))
    means = {id(place): line for table in tables.values() for place, line in zip(
        [p for p in table.cells.values() if p.cells], table.summarise(measured)["mean"], strict=True)}  # fmt: skip
    tested = lines[lines["why"] == ""]
    assert len(tested) > 40
    for line in tested.to_dict("records"):
        contrast = line["contrast"]
        more, less = (sum(means[id(place)] for place in side) for side in (contrast.more, contrast.less))
        assert line["effect"] == pytest.approx(100 * (more - less) / contrast.per)
    contrast = tested["contrast"].iloc[-1]
    rest = contrast.evidence(measured)
    sums = (
        rest.groupby(["fold", "seed", "side", "place"])["value"]
        .mean()
        .groupby(["fold", "seed", "side"])
        .sum()
        .unstack()
    )
    again = ((sums["more"] - sums["less"]) / rest["per"].iloc[0]).groupby("fold").mean().mean()
    assert tested["effect"].iloc[-1] == pytest.approx(100 * again)


def test_a_loss_that_is_larger_than_another_is_the_difference_of_their_differences(nmers):
    lines = verdicts(nmer_claims.claims("ravdess_av"), nmers[1]).groupby("what")["effect"].first()
    v, a = (lines[f"{letter} alone, clean − (−10 dB), trained clean"] for letter in "va")
    assert lines["v's loss − a's, trained clean"] == pytest.approx(v - a)


def test_one_family_a_paper_and_corpus_and_the_same_comparison_has_the_same_verdict_everywhere(nmers):
    claims, planned = nmer_claims.claims("ravdess_av"), nmer_claims.planned("ravdess_av")
    lines = verdicts(claims, nmers[1], planned)
    twice = lines.groupby("contrast", sort=False)[["p_holm", "verdict"]].nunique(dropna=False)
    assert (twice == 1).all(axis=None) and len(twice) < len(lines)
    once = lines.drop_duplicates("contrast")
    np.testing.assert_allclose(once["p_holm"], holm(once["p"]))
    assert (lines["number"] == 0).sum() == len(planned) == 8


def test_to_be_ahead_of_a_constant_answer_is_no_win(nmers):
    tables, measured = nmers
    table = tables["clean"].where(metric="UA")
    contrasts = [difference(table, Row("MEN", "clean"), other) for other in (nmer.MAJORITY, Row("LogReg", "clean"))]
    lines = measure(contrasts, measured)
    assert lines["verdict"][0] == "reference" and math.isnan(lines["p_holm"][0])
    assert lines["p_holm"][1] == lines["p"][1], "the family has one member"


def test_seeds_of_one_split_decide_nothing():
    """Whatever the scores are: without folds of speakers no comparison holds, and none does not hold."""
    tables = nmer.tables("paper", "mosi_bclstm")
    for by, words in ((0.5, "seeds agree"), (-0.5, "seeds disagree")):
        measured = Results(MadeUp(cells_of(tables, "NMER"), by), Anything())
        lines = measure(nmer_claims.planned("mosi_bclstm"), measured)
        assert set(lines["verdict"]) == {words} and not set(lines["verdict"]) & set(DECIDED)


def test_what_cannot_be_tested_says_why(nmers):
    tables, measured = nmers
    lines = verdicts(nmer_claims.claims("ravdess_av"), measured).drop_duplicates("what").set_index("what")
    assert lines.loc["NMER {l}, −10 − −40 dB", "why"] == "the corpus has no l"
    assert lines.loc["NMER {a,v}, −10 − −40 dB", "why"] == "{a,v} is all that the corpus has"
    untested = difference(tables["2"].where(metric="UA"), Row("NMER"), Row("MCTN")).measure(Results({}, {}))
    assert (untested["why"], untested["verdict"]) == ("not measured yet", "cannot be tested")


# --- the paper's numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", ["ravdess_av", "mosi_bclstm"])
def test_every_published_number_of_tables_2_to_5_has_a_place(corpus):
    """Nothing that the paper prints for the corpus beside ours is left out, whatever is measured."""
    tables = nmer.tables("paper", corpus)
    for number, of in ((2, "2"), (3, "3"), (4, "4"), (5, "5")):
        table = published("nmer", number)
        table = table[(table["dataset"] == tables[of].counterpart) & table["value"].notna()]
        parts = table["system"].isin([row.system for row in nmer.PARTS])
        for part, numbers in ((of, table[~parts]), ("ablation", table[parts])):
            shown = {v for (row, column), place in tables[part].cells.items() for v in place.printed.values()}
            assert set(numbers["value"]) <= shown
    three = tables["3"].printed
    assert (
        three[Row("NMER"), Column("WA", "gaussian", -10.0, "avg")]
        == tables["2"].printed[Row("NMER"), Column("WA", "gaussian", -10.0)]
    )
    assert (Row("MEN"), Column("WA", "gaussian", -10.0)) not in tables["2"].printed, "the paper's MEN is trained clean"


def test_the_mean_over_conditions_is_the_papers_average_within_rounding():
    three = nmer.tables("paper", "mosi_bclstm")["3"].cells
    for level in nmer.LEVELS_DB:
        of = {c: three[Row("NMER"), Column("WA", "gaussian", level, c)].printed["IEMOCAP"]
              for c in ("a", "v", "l", "a,v", "a,l", "v,l", "avg")}  # fmt: skip
        average = of.pop("avg")
        assert sum(of.values()) / 6 == pytest.approx(average, abs=1e-4)


def test_every_number_of_section_3_6_is_covered_by_a_claim():
    claims, text = nmer_claims.claims(), claims_of("nmer")
    results = text[text["where"].isin({f"Section {claim.where}" for claim in claims})]
    assert len(results) == 21 and set(results["claim"]) == {number for claim in claims for number in claim.numbers}


def test_the_papers_tables_give_what_its_text_says_of_iemocap():
    """Audit of section 3.6: effects in points, from the printed tables."""
    every = {c.what: c for claim in nmer_claims.claims() for c in claim.contrasts}
    expected = {
        "NMER − MEN trained clean, gaussian −10 dB": 4.78, "NMER {a}, −10 − −40 dB": 9.28,
        "NMER {v}, −10 − −40 dB": 9.11, "NMER {a,v}, −10 − −40 dB": 4.54, "NMER {l}, −10 − −40 dB": 4.02,
        "IF-MMIN, −10 − −40 dB": 4.95,
        "v alone, clean − (−10 dB), trained clean": 14.71, "MMIN, all noisy, −10 − −20 dB": 4.47,
        "MMIN, all noisy, −20 − −40 dB": 8.69, "NMER − w/o VAE, gaussian −10 dB": 2.16,
    }  # fmt: skip
    assert {what: round(100 * every[what].printed["IEMOCAP"], 2) for what in expected} == expected
    ours = {c.what for claim in nmer_claims.claims() for c in claim.contrasts if claim.where == "ours"}
    assert {what for what, contrast in every.items() if not contrast.printed} == ours


def test_in_the_papers_table_2_more_noise_is_not_always_worse():
    """Counted by hand: NMER under impulse noise on IEMOCAP rises from .7304 to .7391 WA, and eight more."""
    assert rises() == (9, 168)


def test_a_table_that_is_not_transcribed_is_refused_by_name():
    with pytest.raises(LookupError, match="no published table 'nmer_table06'; choose from nmer_table0"):
        published("nmer", 6)
    with pytest.raises(LookupError, match="no paper 'nmr'; choose from nmer"):
        results_of_paper("nmr")


# --- recipes ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trainings():
    return {(module, corpus): module.recipes("paper", [corpus]) for module in (nmer, nmer_beyond)
            for corpus in ("ravdess_av", "mosi_bclstm")}  # fmt: skip


def test_nmers_grid_on_both_real_corpora_trains_92_teachers_once(trainings):
    """Four systems start from a teacher, in 6 folds x 3 seeds and 5 seeds of one split; 1,514 trainings share them."""
    recipes = {recipe for jobs in trainings.values() for recipe in jobs}
    assert len(recipes) == 3267 and sum(bool(recipe.upstream) for recipe in recipes) == 1514
    assert len({teacher for recipe in recipes for teacher in recipe.upstream.values()}) == 4 * (6 * 3 + 5) == 92


def test_a_key_names_one_training_and_leads_back_to_it(trainings, tmp_path, monkeypatch):
    recipes = {recipe for jobs in trainings.values() for recipe in jobs}
    assert (
        len({str(recipe.describe()) for recipe in recipes}) == len({recipe.key for recipe in recipes}) == len(recipes)
    )
    monkeypatch.chdir(tmp_path)
    ledger = ledger_of("nmer", "smoke")
    for recipe in itertools.islice(nmer.recipes("smoke", ["ravdess_av"]), 0, None, 9):
        for one in (recipe, *recipe.upstream.values()):
            ledger.write_training({"key": one.key, "dataset": "RAVDESS-AV", "recipe": one.describe(), "fingerprint": "",
                                   "outcome": "trained"})  # fmt: skip
            assert find(one.key) == ("nmer", "smoke", one)
    with pytest.raises(LookupError, match="no training of a paper is stored with the key '0123456789'"):
        find("0123456789")


def test_a_system_is_scored_under_the_noise_that_it_learnt(trainings):
    for recipe, conditions in trainings[nmer, "mosi_bclstm"].items():
        learnt = {str(c) for mixture in recipe.mixture for c in mixture.noise.values()}
        met = {str(c) for condition in conditions for c in condition.noise.values()}
        assert not learnt or met == learnt


@pytest.mark.parametrize("paper", PAPERS)
def test_every_published_training_has_a_recipe(paper):
    """Change a default and the published trainings are refused here: compute them again or remove them."""
    published_of = ledger_of(paper, "paper").published
    records = Ledger(published_of / "none", published_of).trainings()
    corpora_of = {record["recipe"]["corpus"]["corpus"] for record in records.values()}
    known = set().union(*(keys(paper, "paper", corpus) for corpus in corpora_of))
    assert (
        len(records) >= {"mcwsa": 70, "infogan": 70, "controls": 40, "mdvae": 0}.get(paper, 200)
        and not set(records) - known
    )
    assert not [key for key, record in records.items() if record["commit"].endswith(("+", "unknown"))]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_profile_has_recipes_on_all_of_its_corpora(paper):
    for corpus in PAPERS[paper].profiles["smoke"].seeds:
        jobs = PAPERS[paper].recipes("smoke", [corpus])
        assert jobs and all(conditions for conditions in jobs.values())
    with pytest.raises(LookupError, match="no profile 'papr'; choose from paper"):
        PAPERS[paper].tables("papr")
    with pytest.raises(ValueError, match="seeds count from 0"):
        PAPERS[paper].tables("quick", "synthetic", first_seed=-1)


def test_a_corpus_of_ones_own_has_tables_without_registration():
    corpus = corpora.synthetic(size="smoke")
    tables = nmer.tables("quick", corpus, levels_db=(-5.0,), folds=(0, 1))
    assert tables["2"].dataset == corpus.name and tables["2"].rows == list(nmer.SYSTEMS)
    assert {recipe.fold for recipe in tables["2"].jobs()} == {0, 1} and {c.level for c in tables["2"].columns} == {-5.0}


def test_the_simple_baseline_is_trained_as_the_systems_beside_it():
    table = nmer.tables("paper", "mosi_bclstm")["2"]
    for column in table.columns:
        places = [table.cells[row, column] for row in (BAR, Row("NMER"))]
        mixtures = {frozenset(cell.recipe.mixture.items()) for place in places for cell in place.cells}
        assert len(mixtures) == 1
