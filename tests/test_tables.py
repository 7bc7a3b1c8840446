"""Statistics agree with their sources; a table shows each number at its place; claims are the paper's own numbers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustmer import results
from robustmer.papers import nmer, nmer_claims
from robustmer.papers import nmer_tables as tables
from robustmer.results import claims, published
from robustmer.statistics import cells, holm, over_speakers, paired, ranks, summarise, tabulate


def rows_of(values: dict[str, list[float]], **about) -> pd.DataFrame:
    """A row for each system and fold."""
    blank = {c: "" for c in results.COLUMNS} | {"seed": 0, "dataset": "RAVDESS-AV", "metric": "UA"}
    return pd.DataFrame([
        blank | {"system": s, "fold": f, "value": v, "key": f"{s}{f}"} | about
        for s, folds in values.items() for f, v in enumerate(folds)
    ])  # fmt: skip


def test_holm_is_the_step_down_procedure():
    """Each p times the number of hypotheses not yet rejected, never below an earlier one, at most 1."""
    random = np.random.default_rng(0)
    for count in (1, 2, 7):
        p = random.uniform(size=count)
        order = np.argsort(p)
        expected, highest = np.empty(count), 0.0
        for step, i in enumerate(order):
            highest = max(highest, min(1.0, (count - step) * p[i]))
            expected[i] = highest
        np.testing.assert_allclose(holm(p), expected)
    assert np.isnan(holm([0.01, math.nan])[1]) and holm([0.01, math.nan])[0] == 0.01


def test_p_is_nadeau_and_bengios():
    """t = mean / sqrt((1/k + n_test/n_train) s^2) over k folds; RAVDESS-AV tests 4 actors and trains on 16."""
    x, y = np.random.default_rng(1).normal(size=(2, 6))
    found, d = paired(rows_of({"x": list(x), "y": list(y)}), "x", "y"), x - y
    t = d.mean() / math.sqrt((1 / 6 + 4 / 16) * d.var(ddof=1))
    assert found["p"] == pytest.approx(2 * stats.t.sf(abs(t), 5))


def test_over_seeds_of_one_split_p_is_the_paired_t_test():
    x, y = np.random.default_rng(2).normal(size=(2, 5))
    rows = pd.concat([rows_of({"x": [x[i]], "y": [y[i]]}, seed=i, dataset="CMU-MOSI") for i in range(5)])
    assert paired(rows, "x", "y")["p"] == pytest.approx(stats.ttest_rel(x, y).pvalue)


def test_seeds_that_agree_do_not_narrow_an_interval_over_speakers():
    """All of one split's seeds meet the same speakers: their number only removes what differs between seeds."""
    about = {"dataset": "CMU-MOSI", "note": "20 draws of noise, 31 speakers"}
    same = pd.concat([rows_of({"x": [0.02]}, seed=i, std="0.01", **about) for i in range(5)])
    (found,) = over_speakers(same, ["system"]).to_dict("records")
    assert found["high"] - found["mean"] == pytest.approx(stats.t.ppf(0.975, 30) * 0.01)
    assert found["p"] == pytest.approx(2 * stats.t.sf(2, 30)) and found["repetitions"] == 5
    with pytest.raises(ValueError, match="only those of evaluate.ua_lost"):
        over_speakers(same.assign(std=""), ["system"])
    other = same.assign(value=[0.0, 0.01, 0.02, 0.03, 0.04])
    (wider,) = over_speakers(other, ["system"]).to_dict("records")
    assert wider["mean"] == pytest.approx(0.02)
    assert (wider["high"] - 0.02) / stats.t.ppf(0.975, 30) == pytest.approx(math.sqrt(1e-4 + 2.5e-4 / 5))


def test_repetitions_that_are_equal_give_no_interval():
    """Three equal differences are one computation made thrice, and no evidence beyond chance."""
    found = paired(rows_of({"x": [0.6] * 3, "y": [0.5] * 3}), "x", "y")
    assert found["mean"] == pytest.approx(0.1) and math.isnan(found["low"]) and math.isnan(found["p"])


def test_systems_that_share_no_fold_cannot_be_paired():
    rows = pd.concat([rows_of({"x": [0.5]}), rows_of({"y": [0.5]}, fold=3)])
    with pytest.raises(ValueError, match="x and y share no fold and seed"):
        paired(rows, "x", "y")


def test_ranks_and_the_critical_difference_are_demsars():
    """Best is 1, ties share a rank; with four systems and six folds q = 2.569 (Demsar 2006, table 5)."""
    rows = rows_of({"a": [0.9] * 6, "b": [0.5] * 6, "c": [0.5] * 6, "d": [0.1] * 6})
    mean, critical, n = ranks(rows, ["a", "b", "c", "d"])
    assert mean.to_dict() == {"a": 1.0, "b": 2.5, "c": 2.5, "d": 4.0} and n == 6
    assert critical == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 6)), abs=1e-3)
    with pytest.raises(ValueError, match="no fold has rows of all of a, e"):
        ranks(rows, ["a", "e"])


def test_a_cell_is_marked_by_the_folds_that_it_shares_with_the_baseline():
    rows = pd.concat([rows_of({"bar": [0.2, 0.6, 0.7], "good": [0.7, 0.7, 0.7], "bad": [0.1, 0.1, 0.1]}),
                      rows_of({"new": [0.3]})])  # fmt: skip
    text = cells(rows, ["system"], below="bar").set_index("system")["cell"]
    assert text["bad"].endswith("↓") and "↓" not in text["good"] + text["bar"]
    assert text["new"].endswith("(1/3)"), "below the baseline's mean, but above it on the fold that both have"


def test_a_cell_of_fewer_seeds_says_so():
    rows = pd.concat([rows_of({"x": [0.5] * 3}, seed=s) for s in range(3)] + [rows_of({"y": [0.5] * 3})])
    text = cells(rows, ["system"]).set_index("system")["cell"]
    assert text["y"].endswith("°") and "°" not in text["x"]


def test_a_table_puts_sources_side_by_side_and_dashes_where_one_has_nothing():
    paper = pd.DataFrame({"system": ["A", "B"], "level": ["-10", "-10"], "cell": ["0.7120", "0.7215"]})
    ours = pd.DataFrame({"system": ["A", "C"], "level": ["-10", "-20"], "cell": ["0.5", "0.6"]})
    out = tabulate({"paper": paper, "ours": ours}, "system", "level", ["C", "A", "B", "D"], ["-10", "-20"])
    assert list(out.columns) == [("-10", "paper"), ("-10", "ours"), ("-20", "ours")]
    assert out.loc["A"].tolist() == ["0.7120", "0.5", "–"] and out.loc["C"].tolist() == ["–", "–", "0.6"]
    assert "D" not in out.index, "a row that no source has is left out"


def test_a_table_takes_only_trainings_under_the_noise_of_the_test():
    same = dict(noise="gaussian", snr_db="-10", condition="none")
    rows = pd.concat([
        rows_of({"NMER": [0.1]}, train="gaussian -10 dB", **same),
        rows_of({"NMER": [0.2]}, train="gaussian -40 dB", **same),
        rows_of({"NMER": [0.3]}, train="impulse -10 dB", **same),
        rows_of({"NMER": [0.4]}, train="all noisy, gaussian -10 dB", **same),
        rows_of({"MEN": [0.5]}, train="clean", **same),
        rows_of({"unimodal classifier, a": [0.6]}, train="only a, gaussian -10 dB", **same),
    ])  # fmt: skip
    assert tables.incomplete_rows(rows)["value"].tolist() == [0.1, 0.5]
    assert tables.all_noisy_rows(rows)["value"].tolist() == [0.4, 0.5]
    assert tables.alone(rows)["value"].tolist() == []  # trained with noise, but so named as if it were not
    named = rows.assign(system=rows["system"] + rows["train"].str.startswith("only").map({True: nmer.NOISY, False: ""}))
    assert tables.alone(named)["value"].tolist() == [0.6]


@pytest.mark.parametrize("dataset", ["RAVDESS-AV", "CMU-MOSI"])
def test_every_published_cell_of_tables_2_to_5_has_a_place(dataset):
    """Nothing that the paper prints for the corpus beside ours is left out, whatever is measured."""
    measured = results.read(results.ledger("nmer"))
    rows = measured[measured["dataset"] == dataset]
    theirs = tables.COUNTERPART[dataset]
    shown = []
    for metric in ("WA", "UA"):
        for noise in nmer.NOISES:
            shown += [tables.table_2(rows, noise, metric), tables.table_2(rows, noise, metric, tables.ABLATION[3:5])]
        shown += [tables.table_5(rows, "gaussian", metric), tables.table_4(rows, metric)]
        three = tables.table_3(rows, "gaussian", metric)
        headers = [*nmer.incomplete_headers(dataset), "avg"]
        assert [c for c, source in three.columns if source == "paper"] == headers
        shown.append(three)
    found = [v for t in shown for (_, source), column in t.items() if source == "paper" for v in column if v != "–"]
    expected = []
    for number in (2, 3, 4, 5):
        part = published("nmer", number)
        part = part[part["dataset"] == theirs]
        key = {3: "condition", 4: "modality"}.get(number)
        if key:
            part = part[part[key].isin([*nmer.incomplete_headers(dataset), "avg"])]
        expected += [f"{v:.4f}" for v in part["value"]]
    assert sorted(found) == sorted(expected)


def test_what_the_paper_does_not_have_is_in_none_of_its_tables():
    """Zero-filling and absence are no noise of the paper, and trainings that are tested elsewhere no systems of its."""
    measured = results.read(results.ledger("nmer"))
    assert measured["system"].str.contains(", trained ").any()
    for block in tables.blocks():
        assert set(block.noises) == set(nmer.NOISES)
        assert not block.rows["system"].str.contains(", trained ").any()


# --- claims -----------------------------------------------------------------------------------------------------------


def test_every_number_of_section_3_6_is_covered_by_a_claim():
    covers = [beginning for claim in nmer_claims.all_claims() for beginning in claim.printed]
    rows = nmer_claims.result_rows()
    assert len(rows) == 21
    assert [text for text in rows["claim"] if not any(text.startswith(c) for c in covers)] == []
    assert [c for c in covers if not any(text.startswith(c) for text in claims("nmer")["claim"])] == []


def test_the_papers_tables_give_what_its_text_says_of_iemocap():
    """Audit of section 3.6: effects in points, from the printed tables."""
    effects = {c.what: nmer_claims.in_the_paper(c, "IEMOCAP") for k in nmer_claims.all_claims() for c in k.contrasts}
    expected = {
        "NMER − MEN, gaussian −10 dB": 4.78, "NMER {a}, −10 − −40 dB": 9.28, "NMER {v}, −10 − −40 dB": 9.11,
        "NMER {a,v}, −10 − −40 dB": 4.54, "NMER {l}, −10 − −40 dB": 4.02, "IF-MMIN, −10 − −40 dB": 4.95,
        "v alone, clean − (−10 dB), trained clean": 14.71, "MMIN, all noisy, −10 − −20 dB": 4.47,
        "MMIN, all noisy, −20 − −40 dB": 8.69, "NMER − w/o VAE, gaussian −10 dB": 2.16,
    }  # fmt: skip
    assert {what: round(effects[what], 2) for what in expected} == expected
    ours = {c.what for k in nmer_claims.all_claims() for c in k.contrasts if k.where == "ours"}
    assert {what for what, value in effects.items() if not math.isfinite(value)} == ours


def test_a_verdict_follows_from_sign_and_corrected_p():
    verdict = nmer_claims.verdict
    assert verdict(2.0, 0.01, "") == "holds" and verdict(-2.0, 0.01, "") == "does not hold"
    assert verdict(2.0, 0.2, "") == "not shown" and verdict(2.0, math.nan, "") == "no interval"
    assert verdict(math.nan, math.nan, "the corpus has no l") == "cannot be tested"
    assert verdict(2.0, 0.01, "", "seed") == "seeds agree" and verdict(-2.0, 0.01, "", "seed") == "seeds disagree"
    assert verdict(2.0, 0.2, "", "seed") == "not shown"


def test_a_size_is_held_against_the_number_of_the_text():
    """An interval reaches the printed number (half a point for rounding), or the printed range, or it does not."""
    assert nmer_claims.size(12.3, 28.2, (4.0,)) == "larger" and nmer_claims.size(0.6, 1.7, (6.0, 10.0)) == "smaller"
    assert nmer_claims.size(2.0, 3.6, (4.0,)) == "as large" == nmer_claims.size(7.0, 8.0, (6.0, 10.0))
    assert nmer_claims.size(math.nan, math.nan, (4.0,)) == "" == nmer_claims.size(1.0, 2.0, ())


def test_a_loss_that_is_larger_than_another_is_the_difference_of_their_differences():
    measured = results.read(results.ledger("nmer"))
    for dataset, part in measured.groupby("dataset"):
        found = nmer_claims.measured(part).set_index("contrast")
        effect, paper = (found[column].groupby(level=0).first() for column in ("effect", "paper"))
        assert effect["v's loss − a's, trained clean"] == pytest.approx(
            effect["v alone, clean − (−10 dB), trained clean"] - effect["a alone, clean − (−10 dB), trained clean"])
        if dataset == "CMU-MOSI":
            one, two = "NMER {v}, −10 − −40 dB", "NMER {v,l}, −10 − −40 dB"
            for values in (effect, paper):
                assert values["NMER's drop {v} − its drop {v,l}"] == pytest.approx(values[one] - values[two])
    table = published("nmer", 2)
    table = table[(table["dataset"] == "IEMOCAP") & (table["metric"] == "WA")].groupby("system")["value"].mean()
    assert found.loc["NMER − MEN, mean over noises and levels", "paper"] == pytest.approx(
        100 * (table["NMER"] - table["MEN"]), abs=1e-6)


def test_in_the_papers_table_2_more_noise_is_not_always_worse():
    """Counted by hand: NMER under impulse noise on IEMOCAP rises from .7304 to .7391 WA, and eight more."""
    assert nmer_claims.rises() == (9, 168)


def test_what_cannot_be_tested_says_why():
    measured = results.read(results.ledger("nmer"))
    found = nmer_claims.measured(measured[measured["dataset"] == "RAVDESS-AV"]).set_index("contrast")
    assert found.loc["NMER {l}, −10 − −40 dB", "why"] == "the corpus has no l"
    assert found.loc["NMER {a,v}, −10 − −40 dB", "why"] == "{a,v} is all that the corpus has"
    tested = found[found["why"] == ""]
    assert set(tested["verdict"]) <= {"holds", "does not hold", "not shown", "no interval"}
    assert len(tested)


@pytest.mark.parametrize("dataset", ["RAVDESS-AV", "CMU-MOSI"])
def test_the_rows_that_a_reader_downloads_give_each_effect_again(dataset):
    """By hand: sums of both sides for each training, their difference over `per`, mean over seeds, then over folds."""
    measured = results.read(results.ledger("nmer"))
    rows = measured[measured["dataset"] == dataset]
    found = nmer_claims.measured(rows).set_index(["number", "contrast"])["effect"].dropna()
    rest = nmer_claims.evidence(rows)
    assert set(rest["key"]) <= set(rows["key"])
    for (number, contrast), effect in found.items():
        part = rest[(rest["claim"] == number) & (rest["comparison"] == contrast)]
        sides = part.pivot_table(index=["fold", "seed"], columns="side", values="value", aggfunc="sum")
        assert not sides.isna().any(axis=None)
        each = 100 * (sides["more"] - sides["less"]) / part["per"].iloc[0]
        assert effect == pytest.approx(each.groupby("fold").mean().mean())


def test_an_effect_is_the_difference_of_the_tables_own_means():
    """The claims page and the tables cannot disagree: both are means of the same rows."""
    measured = results.read(results.ledger("nmer"))
    rows = measured[measured["dataset"] == "RAVDESS-AV"]
    found = nmer_claims.measured(rows).set_index("contrast").loc["NMER − MEN, gaussian −10 dB", "effect"]
    part = nmer.averaged(tables.incomplete_rows(rows))
    part = part[(part["noise"] == "gaussian") & (part["snr_db"] == "-10") & (part["metric"] == "WA")]
    means = summarise(part, ["system"]).set_index("system")["mean"]
    assert found == pytest.approx(100 * (means["NMER"] - means["MEN"]))
