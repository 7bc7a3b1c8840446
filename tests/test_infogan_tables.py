"""InfoGAN's tables: what is printed, who starts from whom, and which rows a voice without a partner can have."""

import dataclasses
import math

import pandas as pd
import pytest

from robustmer.conditions import CLEAN, Condition
from robustmer.experiments import project
from robustmer.experiments.papers import infogan, results
from robustmer.experiments.papers.profiles import claims_of, published
from robustmer.experiments.recipe import Recipe
from robustmer.systems import AlignedSER, AugmentedSER, LogReg

CORPORA = ("ravdess_speech", "ravdess_speech_loso", "ravdess_av", "synthetic")


def recipes_of(table, row):
    return [cell.recipe for cell in table.cells[row, infogan.Column("UA")].cells]


def test_the_printed_numbers_are_those_of_the_transcribed_tables():
    tables = infogan.tables("paper", "ravdess_av")
    shown = {row: value for number in "23" for (row, _), value in tables[number].printed.items()}
    two, three = (published("infogan", number).set_index(["system", "variant"])["value"] for number in (2, 3))
    assert shown[infogan.HERO] == pytest.approx(two["InfoGAN-SER", "with augmentation"] / 100)
    assert shown[infogan.BASELINE] == pytest.approx(two["InfoGAN-SER", "without augmentation"] / 100)
    assert sorted(100 * shown[row] for row in infogan.ABLATION if row in shown and not row.aligned) == pytest.approx(
        sorted(three["InfoGAN-SER"][1:])
    )


def test_the_printed_gain_is_the_one_in_the_text():
    (claim,) = (claim for claim in infogan.claims("ravdess_speech") if claim.points)
    gain = claim.contrasts[0].printed["IEMOCAP"]
    assert 100 * gain == pytest.approx(2.59) and round(100 * gain, 1) == claim.points[0]
    assert {name for c in infogan.claims("ravdess_av") for name in c.numbers} <= set(claims_of("infogan")["claim"])


@pytest.mark.parametrize("corpus", CORPORA)
def test_all_makers_of_a_fold_and_seed_start_from_one_baseline(corpus):
    table = infogan.tables("paper", corpus)["2"]
    baselines = recipes_of(table, infogan.BASELINE)
    for row in infogan.MAKERS:
        for recipe, baseline in zip(recipes_of(table, row), baselines, strict=True):
            assert recipe.system is AugmentedSER and recipe.upstream["baseline"] == baseline
            assert all(part.upstream["baseline"] == baseline for part in [*recipe.upstream.values()][1:])
            assert recipe.budget == baseline.budget and recipe.seed_name == f"AugmentedSER, {baseline.seed_name[12:]}"


@pytest.mark.parametrize("corpus", ["ravdess_av", "synthetic"])
def test_logistic_regression_does_not_read_the_partner_either(corpus):
    table = infogan.tables("paper", corpus)["2"]
    for recipe in recipes_of(table, infogan.BAR):
        assert recipe.system is LogReg and list(recipe.mixture) == [Condition(seen=("audio",))]
    for recipe in recipes_of(table, infogan.BASELINE):
        assert recipe.system is AlignedSER and recipe.options["partner"] == infogan.PARTNERS[corpus]


def test_table_3_takes_away_what_its_rows_say():
    table = infogan.tables("paper", "ravdess_av")["3"]
    for row in infogan.ABLATION[1:]:
        recipe = recipes_of(table, row)[0]
        baseline = recipe if row.system == "baseline" else recipe.upstream["baseline"]
        assert baseline.options["align"] == row.aligned
        if row.system != "baseline":
            options = recipe.upstream["generator"].options
            assert (options["weight_mi"] == 0) == ("information" in row.system)
            assert options["reads_partner"] == ("partner" not in row.system)
    names = [str(row) for row in infogan.ABLATION]
    assert len({*names}) == len(names)


def test_a_voice_without_a_partner_has_no_alignment_to_take_away():
    table = infogan.tables("paper", "ravdess_speech")["3"]
    for row in infogan.ABLATION:
        place = table.cells[row, infogan.Column("UA")]
        assert bool(place.cells) == row.aligned and place.why == ("" if row.aligned else infogan.NO_PARTNER)
    assert all(recipe.options.get("partner") is None for recipe in table.jobs())
    assert {condition for conditions in table.jobs().values() for condition in conditions} == {CLEAN}


def test_the_corpus_of_another_profile_is_another_recipe_but_not_another_protocol():
    paper, quick = (infogan.tables(profile, "ravdess_speech")["2"] for profile in ("paper", "quick"))
    assert paper.rows == quick.rows and len(recipes_of(paper, infogan.HERO)) == 6
    one = recipes_of(paper, infogan.HERO)[0]
    assert dataclasses.replace(one, upstream=None) == one, "upstream recipes follow from the system's own declaration"
    assert isinstance(one, Recipe) and one.options["width"] == 768


def test_the_captions_of_the_page_about_quality_hold():
    """InfoGAN's features are far from recorded ones and nearly at the ceiling of information; no generator copies."""
    quality = pd.read_csv(project() / "results/measured/infogan/derived_quality.csv")
    mean = quality.groupby("generator").mean()
    assert (quality.groupby("generator")["fold"].nunique() == 6).all()
    assert mean["Frechet"]["InfoGAN"] > 2 * mean["Frechet"]["recorded"]
    assert mean["information"]["InfoGAN"] > 0.85 * math.log(8) > mean["information"]["recorded"]
    assert mean["memory"].min() > 0.5


def test_the_published_baseline_is_not_behind_logistic_regression():
    table = infogan.tables("paper", "ravdess_speech")["2"].where(metric="UA")
    mean = table.summarise(results("infogan")).set_index("row")["mean"]
    assert mean[infogan.BASELINE] > mean[infogan.BAR] > mean[infogan.MAJORITY]
