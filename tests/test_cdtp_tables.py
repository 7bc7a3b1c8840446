"""CDTP's recipes, tables and claims, and the paper's own arithmetic."""

import pytest
from test_tables import SPLIT, Anything, MadeUp, cells_of

from robustmer.conditions import CLEAN
from robustmer.experiments.contrasts import Contrast, measure, verdicts
from robustmer.experiments.ledger import Score
from robustmer.experiments.papers import cdtp, published
from robustmer.experiments.papers.cdtp import Column, Row
from robustmer.experiments.statistics import DECIDED
from robustmer.experiments.tables import Results
from robustmer.systems import CDTP, MPLMM, Completion, MulT

CASES = ["a", "v", "l", "a,v", "a,l", "v,l"]


def test_sixteen_of_the_printed_averages_cannot_be_right():
    """audit, section 3.1: 46 complete rows and metrics, 16 beyond rounding, the largest 6.88."""
    sums = cdtp.averages()
    wrong = sums[~sums["possible"]]
    assert (len(sums), len(wrong)) == (46, 16)
    worst = wrong.loc[wrong["difference"].abs().idxmax()]
    assert (worst["dataset"], worst["system"], worst["metric"]) == ("IEMOCAP", "MPMM", "ACC")
    assert worst["difference"] == pytest.approx(6.883, abs=1e-3)


def test_the_printed_gain_over_mplmm_is_the_same_in_thirty_cells():
    """audit, section 3.2."""
    assert cdtp.gains("CDTP", "MPLMM").to_dict() == {0.1: 2, 0.2: 30, 0.3: 4}
    assert len(cdtp.gains("MPLMM", "MPMM")) == 35 and cdtp.gains("MPLMM", "MPMM").max() == 2


def test_printed_numbers_are_fractions_under_our_letters():
    table = cdtp.tables("paper", "mosi_sentiment")["1"]
    assert table.printed[Row("CDTP"), Column("ACC", "a,l")] == pytest.approx(0.8096)
    rows = published("cdtp", 1).dropna(subset="value")
    shown = sorted(v for place in table.cells.values() for v in place.printed.values())
    assert shown == pytest.approx(sorted(rows["value"] / 100)), "every printed number has one place"
    pair = cdtp.tables("paper", "ravdess_av")["1"]
    assert not pair.cells[Row("CDTP"), Column("ACC", "avg")].printed, "a mean over two cases is not one over six"
    assert pair.cells[Row("CDTP"), Column("ACC", "a")].printed["IEMOCAP"] > 0


def test_the_average_of_lb_is_over_its_trainings_and_needs_all_of_them():
    table = cdtp.tables("paper", "mosi_sentiment")["1"].where(metric="ACC")
    place = table.cells[Row("LB"), Column("ACC", "avg")]
    assert len(place.cells) == 6 * 5 and len({cell.recipe for cell in place.cells}) == 6 * 5
    assert (Row("LB"), Column("ACC", "clean")) not in table.cells, "it has a network for each case, and none for all"
    names, scores = list(dict.fromkeys(str(cell.condition) for cell in place.cells)), {}
    for recipe, condition, metric in place.cells:
        number = names.index(str(condition))
        if (recipe.seed, number) != (1, 1):
            scores[recipe.key, str(condition), metric] = Score("", "", 0.1 * number + 0.01 * recipe.seed)
    measured = Results(scores, {key: {"fingerprint": "f", "split": SPLIT} for key, *_ in scores})
    lines = table.where(condition="avg").values(measured)
    assert lines["seed"].tolist() == [0, 2, 3, 4]
    assert lines["value"].tolist() == pytest.approx([0.25, 0.27, 0.28, 0.29])


@pytest.mark.parametrize("profile", cdtp.PROFILES)
def test_lb_learns_one_case_and_ms_complete_samples_only(profile):
    jobs = cdtp.recipes(profile, ["mosi_sentiment"])
    table = cdtp.tables(profile, "mosi_sentiment")["1"]
    of = {
        row.system: {recipe for recipe in table.where(system=row.system).jobs() if not recipe.seed}
        for row in table.rows
    }
    assert len(of["LB"]) == 6 and all(set(recipe.mixture) == set(jobs[recipe]) for recipe in of["LB"])
    (ms,), (md,) = of["MS"], of["MD"]
    assert dict(ms.mixture) == {CLEAN: 1.0} and set(jobs[ms]) == set(jobs[md]) and ms.system is md.system is MulT
    assert md.mixture[CLEAN] == pytest.approx(0.8) and len(md.mixture) == 7


def test_what_is_imputed_for_a_missing_sequence_is_a_sequence():
    """What is trained on vectors completes one frame, what is trained on sequences as many as they may have."""
    for corpus, frames in (("mosi_sentiment", 1), ("mosei_sentiment", 50), ("iemocap_mmin", 50)):
        recipes = cdtp.recipes("smoke", [corpus])
        assert {recipe.options["frames"] for recipe in recipes if "frames" in recipe.options} == {frames}
        assert {
            r.options["frames"] for recipe in recipes for r in recipe.upstream.values() if r.system is Completion
        } == {frames}


def test_a_name_is_one_system_and_the_ablations_differ_in_one_thing():
    differ = {"MPLMM w/o generative": {"generative": False}, "MPLMM w/o signal": {"signal": False},
              "MPLMM w/o type": {"type": False}, "CDTP by DDPM": {"sampler": "ddpm"},
              "CDTP w/o prompts": {"generative": False, "signal": False, "type": False},
              "CDTP from the middle": {"start": "zero"}, "CDTP w/o diffusion": {"start": "mean"}}  # fmt: skip
    assert {row.system for row in (*cdtp.PROMPTS, *cdtp.DIFFUSION)} == set(differ)
    for name, changed in differ.items():
        system, options = cdtp.SPELLING[name]
        base = cdtp.SPELLING["MPLMM" if name in {row.system for row in cdtp.PROMPTS} else "CDTP"]
        assert system is base[0] and system in (MPLMM, CDTP)
        assert {k: v for k, v in options.items() if base[1].get(k) != v} == changed


def test_a_fold_and_seed_trains_one_diffusion_for_all_that_impute():
    recipes = cdtp.recipes("paper", ["ravdess_av"])
    assert (
        len({recipe.key for recipe in recipes}) == len({str(recipe.describe()) for recipe in recipes}) == len(recipes)
    )
    diffusions = [r for recipe in recipes for r in recipe.upstream.values() if r.system is Completion]
    assert len(set(diffusions)) == 6 * 5 and len(diffusions) == 6 * len(set(diffusions))


def test_what_the_cases_cost_is_paired_with_the_same_trainings_on_complete_samples():
    table = cdtp.tables("paper", "ravdess_av")["1"].where(metric="ACC", system=["CDTP", "MD"])
    measured = Results(MadeUp(), Anything())
    means = table.summarise(measured).set_index(["system", "condition"])["mean"]
    for row in table.rows:
        clean, average = (table.cells[row, Column("ACC", condition)] for condition in ("clean", "avg"))
        cost = Contrast("cost", (clean,), (average,)).measure(measured)
        assert cost["effect"] == pytest.approx(means[row.system, "clean"] - means[row.system, "avg"])


def test_a_metric_of_which_less_is_better_marks_nothing():
    metrics = {column.metric for column in cdtp.tables("paper", "mosi_sentiment")["1"].columns}
    assert (
        metrics == set(cdtp.OF_NUMBERS) > {column.metric for column in cdtp.tables("paper", "ravdess_av")["1"].columns}
    )
    table = cdtp.tables("paper", "mosi_sentiment")["1"].where(metric=["MAE", "Corr"])
    lines = table.summarise(Results(MadeUp(), Anything())).groupby("metric")["below"].any()
    assert lines.to_dict() == {"MAE": False, "Corr": True}


def test_the_claims_hold_in_the_printed_table_where_it_prints_them():
    """audit, section 3.3: CDTP is ahead of every baseline, MD of MS; ablations and the second table are not printed."""
    for claim in cdtp.claims("mosi_sentiment"):
        effects = [value for contrast in claim.contrasts for value in contrast.printed.values()]
        assert all(value > 0 for value in effects)
        unprinted = "not printed" in claim.says or claim.where == "ours"
        assert bool(effects) != unprinted


def test_over_seeds_of_one_split_no_claim_is_decided_and_none_is_won_against_the_majority_class():
    tables = cdtp.tables("paper", "mosi_sentiment")
    measured = Results(MadeUp(cells_of(tables, "CDTP"), 0.5), Anything())
    lines = verdicts(cdtp.claims("mosi_sentiment"), measured, cdtp.planned("mosi_sentiment"))
    assert not set(lines["verdict"]) & set(DECIDED) and "seeds agree" in set(lines["verdict"])
    best, constant = (tables["1"].cells[row, Column("ACC", "avg")] for row in (Row("CDTP"), cdtp.MAJORITY))
    assert measure([Contrast("x", (best,), (constant,))], measured)["verdict"].tolist() == ["reference"]
