"""MCWSA's recipes, tables and claims, and what the printed tables say of each other."""

import pytest
from test_tables import Anything, MadeUp

from robustmer.book.registry import corpus, look
from robustmer.experiments.contrasts import measure
from robustmer.experiments.papers import mcwsa, published
from robustmer.experiments.papers.mcwsa import BAR, HERO, NP, Column, Row, choices_of
from robustmer.experiments.tables import Results
from robustmer.systems import MCWSA


RAVDESS, MOSI = "ravdess_av_mel", "mosi_words"


def test_printed_numbers_are_fractions_under_our_letters():
    table = mcwsa.tables("paper", MOSI)["II"]
    assert table.printed[HERO, Column("UA", "a,v,l")] == pytest.approx(0.863)
    assert table.printed[NP, Column("F1", "a,v,l")] == pytest.approx(0.854)
    rows = published("mcwsa", 2).dropna(subset="value")
    percent = rows["unit"] == "percent"
    expected = sorted(rows["value"].where(~percent, rows["value"] / 100))
    shown = sorted(v for place in table.cells.values() for v in place.printed.values())
    assert shown == pytest.approx(expected), "every printed number has one place"


def test_table_three_repeats_table_two_and_its_unused_column_changes():
    """audit, section 4.1."""
    two, three = published("mcwsa", 2), published("mcwsa", 3)
    ours = two[(two["system"] == "MCWSA-CMHA") & (two["metric"] == "UA")]
    on = ["dataset", "modality", "pretrained"]
    both = ours.merge(three[three["visual_net"] == "ResNet"], on=on, suffixes=("", "_three"))
    assert len(both) == 10 and (both["value"] == both["value_three"]).all()
    wide = three.pivot(index=on, columns="visual_net", values="value")
    unused = (wide["ResNet"] - wide["VGG-Face"]).xs("a,t", level="modality")
    assert unused.droplevel("pretrained").round(1).to_dict() == {"IEMOCAP": 0.8, "MSP-IMPROV": 2.2}


def test_modalities_are_chosen_not_absent():
    table = mcwsa.tables("paper", MOSI)["II"].where(metric="UA")
    for column in table.columns:
        place = table.cells[HERO, column]
        assert {len(cell.recipe.corpus.modalities) for cell in place.cells} == {len(column.modality.split(","))}
        assert {str(cell.condition) for cell in place.cells} == {"clean"}
    assert choices_of(("a", "v", "l")) == [("a", "v"), ("a", "l"), ("v", "l"), ("a", "v", "l")]
    assert choices_of(("a", "v")) == [("a",), ("v",), ("a", "v")]


def test_fusions_differ_in_their_fusion_alone_and_pre_training_is_an_upstream_recipe():
    table = mcwsa.tables("paper", RAVDESS)["II"].where(metric="UA", modality="a,v")
    column = table.columns[0]
    of = {row: table.cells[row, column].cells[0].recipe for row in table.rows}
    for row in (*mcwsa.OTHERS, mcwsa.WIDE, HERO):
        assert {**of[row].options, "fusion": "cmha"} == of[HERO].options
        (autoencoder,) = of[row].upstream.values()
        assert autoencoder.system is MCWSA and autoencoder.options["fusion"] == of[row].options["fusion"]
        assert autoencoder.budget == of[row].budget and dict(autoencoder.mixture) == dict(of[row].mixture)
    assert not of[NP].upstream and {**of[NP].options, "pretrain": True} == of[HERO].options


def test_a_frozen_classifier_shares_the_autoencoder():
    frozen = mcwsa.tables("paper", RAVDESS)["ablations"].where(system=["CMHA", "CMHA frozen"], metric="UA")
    uses = {cell.recipe.upstream["autoencoder"] for place in frozen.cells.values() for cell in place.cells
            if cell.recipe.upstream}  # fmt: skip
    assert len(uses) == 6, "one a fold"


def test_noise_is_a_matter_of_the_test_alone():
    jobs = mcwsa.tables("paper", RAVDESS)["noise"].jobs()
    assert all(dict(recipe.mixture) == {condition: 1.0 for condition in recipe.mixture} for recipe in jobs)
    assert set(jobs) <= set(mcwsa.tables("paper", RAVDESS)["II"].jobs()), "no training is made for it"
    assert {len(conditions) for conditions in jobs.values()} == {1 + 2 * 2}


@pytest.mark.parametrize("name", [RAVDESS, MOSI, "synthetic"])
def test_the_claims_hold_in_the_printed_tables_where_they_print_them(name):
    """audit, section 4.1: true in UA, in every comparison that the tables allow."""
    for claim in mcwsa.claims(name):
        effects = [value for contrast in claim.contrasts for value in contrast.printed.values()]
        assert all(value > 0 for value in effects)
        assert claim.where != "ours" or not effects


def test_what_a_corpus_lacks_is_said():
    lines = measure([c for claim in mcwsa.claims(RAVDESS) for c in claim.contrasts], Results(MadeUp(), Anything()))
    assert {*lines["why"]} == {"", "the corpus has no a,l", "the corpus has no v,l"}
    assert {*lines[lines["why"] != ""]["verdict"]} == {"cannot be tested"}


def test_every_row_and_corpus_has_a_name_in_print():
    for name in (RAVDESS, MOSI, "synthetic"):
        for number, table in mcwsa.tables("smoke", name).items():
            rows = table.rows if number != "I" else [HERO, BAR]
            assert {look(row).label for row in rows} and corpus(table.dataset).label
    assert str(NP) == "CMHA without pre-training" and str(Row("LogReg", "once")) == "LogReg"
