"""CDTP's recipes and tables: the paper's own arithmetic, and rows that find their place."""

import pandas as pd
import pytest

from robustmer.conditions import CLEAN
from robustmer.papers import cdtp
from robustmer.papers import cdtp_tables as tables
from robustmer.papers import protocol
from robustmer.results import COLUMNS
from robustmer.systems import CDTP, MPLMM, MulT

CASES = ["a", "v", "l", "a,v", "a,l", "v,l"]


def test_sixteen_of_the_printed_averages_cannot_be_right():
    """audit, section 3.1: 46 complete rows and metrics, 16 beyond rounding, the largest 6.88."""
    sums = tables.averages()
    wrong = sums[~sums["possible"]]
    assert (len(sums), len(wrong)) == (46, 16)
    worst = wrong.loc[wrong["difference"].abs().idxmax()]
    assert (worst["dataset"], worst["system"], worst["metric"]) == ("IEMOCAP", "MPMM", "ACC")
    assert worst["difference"] == pytest.approx(6.883, abs=1e-3)


def test_the_printed_gain_over_mplmm_is_the_same_in_thirty_cells():
    """audit, section 3.2."""
    assert tables.gains("CDTP", "MPLMM").to_dict() == {0.1: 2, 0.2: 30, 0.3: 4}
    assert len(tables.gains("MPLMM", "MPMM")) == 35 and tables.gains("MPLMM", "MPMM").max() == 2


def test_printed_cells_are_fractions_under_our_letters():
    table = tables.printed_table("ACC")
    assert set(table["condition"]) == {*CASES, "avg"}
    cell = table[(table["dataset"] == "CMU-MOSI") & (table["system"] == "CDTP") & (table["condition"] == "a,l")]
    assert cell["value"].item() == pytest.approx(0.8096)


def row(system, condition, value, seed=0, fold=0, metric="WA", key=None, dataset="synthetic"):
    known = dict.fromkeys(COLUMNS, "") | {"paper": "cdtp", "dataset": dataset, "system": system, "metric": metric}
    return known | {"condition": condition, "value": value, "seed": seed, "fold": fold, "key": key or f"{system}{seed}"}


def ledger(lacking=""):
    rows = [row(s, c, 0.1 * (i + 1) + 0.01 * seed, seed, key=f"LB{c}{seed}" if s == "LB" else None)
            for s in ("LB", "MD", "CDTP", "LogReg") for seed in range(3) for i, c in enumerate(CASES)]
    return pd.DataFrame([r for r in rows if r["key"] != lacking])


def test_the_average_of_lb_is_over_its_six_trainings_and_needs_all_of_them():
    means = tables.of_metric(ledger(), "ACC")
    means = means[means["condition"] == "avg"]
    assert len(means) == 4 * 3
    assert means[means["system"] == "LB"]["value"].tolist() == pytest.approx([0.35, 0.36, 0.37])
    short = tables.of_metric(ledger(lacking="LBv1"), "ACC")
    short = short[(short["condition"] == "avg") & (short["system"] == "LB")]
    assert short["seed"].tolist() == [0, 2]


def test_table_1_stands_beside_the_printed_one():
    table = tables.table_1(ledger(), "ACC")
    assert list(table.index) == [s for s in tables.SYSTEMS if s != "majority class"]
    assert table.loc["CDTP", ("a", "paper")] == "0.5997" and table.loc["CDTP", ("a", "ours")].startswith("0.110")
    assert table.loc["MMIN", ("a", "ours")] == "–", "nothing of ours is measured there"
    assert table.loc["LogReg", ("a", "paper")] == "–", "the paper has no simple baseline"


def test_differences_are_paired_and_corrected():
    rows = ledger()
    rows.loc[rows["system"] == "CDTP", "value"] += 0.05 + 0.001 * rows["seed"]  # ahead by .050, .051, .052
    found = tables.differences(rows, "ACC")
    assert found["other"].tolist() == ["LogReg", "LB", "MD"]
    assert found["mean"].tolist() == pytest.approx([0.051] * 3)
    half = 4.302653 * 0.001 / 3**0.5  # Student's t with two degrees of freedom
    assert (found["high"] - found["mean"]).tolist() == pytest.approx([half] * 3, rel=1e-4)
    assert found["p_holm"].tolist() == pytest.approx((3 * found["p"]).tolist())
    assert tables.differences(ledger().query("system != 'CDTP'"), "ACC").empty


@pytest.mark.parametrize("profile", cdtp.PROFILES)
def test_lb_meets_one_case_and_ms_has_seen_whole_rows_only(profile):
    recipes = cdtp.recipes(profile, ["mosi_sentiment"])
    first = [r for r in recipes if r.seed == 0]
    lb = [r for r in first if r.name == "LB"]
    assert len(lb) == 6 and all(r.train == r.test and len(r.train) == 1 for r in lb)
    (ms,), (md,) = ([r for r in first if r.name == name] for name in ("MS", "MD"))
    assert ms.train == (CLEAN,) and ms.test == md.test and ms.system is md.system is MulT
    whole = sum(c == CLEAN for c in md.train) / len(md.train)
    assert whole == pytest.approx(0.8)


def test_what_stands_in_for_a_missing_sequence_is_a_sequence():
    """What is trained on vectors completes one frame, what is trained on sequences as many as they may have."""
    for corpus, frames in (("mosi_sentiment", None), ("mosei_sentiment", 50), ("iemocap_mmin", 50)):
        found = {r.name: r.options.get("frames") for r in cdtp.recipes("quick", [corpus])}
        assert {found[name] for name in ("MPLMM", "CDTP", *cdtp.ABLATIONS, "MISA + completion")} == {frames}
        assert {found[name] for name in ("LB", "MD", "MPMM", "MMIN", "MISA")} == {None}


def test_each_name_is_one_system_and_the_ablations_differ_in_one_thing():
    spelt = cdtp.SPELLING
    differ = {"MPLMM w/o generative": {"generative": False}, "MPLMM w/o signal": {"signal": False},
              "MPLMM w/o type": {"type": False}, "CDTP by DDPM": {"sampler": "ddpm"},
              "CDTP w/o prompts": {"generative": False, "signal": False, "type": False},
              "CDTP from the middle": {"start": "zero"}, "CDTP w/o diffusion": {"start": "mean"}}  # fmt: skip
    assert set(cdtp.ABLATIONS) == set(differ)
    for name in cdtp.ABLATIONS:
        system, options = spelt[name]
        base = spelt[name.split()[0]]
        assert system is base[0] and system in (MPLMM, CDTP)
        assert {k: v for k, v in options.items() if base[1].get(k) != v} == differ[name]
    assert len({r.key for r in cdtp.recipes("paper")}) == len(cdtp.recipes("paper"))


def test_what_the_cases_cost_is_paired_with_the_same_trainings_whole():
    rows = ledger()
    whole = rows[rows["condition"] == "a"].assign(condition="clean", key=lambda r: r["key"] + "w")
    whole["value"] += 0.3
    found = tables.costs(pd.concat([rows, whole]), "ACC").set_index("system")
    means = tables.of_metric(rows, "ACC")
    for system in found.index:
        part = means[means["system"] == system]
        average = part[part["condition"] == tables.AVERAGE]["value"].mean()
        assert found.loc[system, "avg"] == pytest.approx(average)
        clean = part[part["condition"] == "a"]["value"].mean() + 0.3
        assert found.loc[system, "lost"] == pytest.approx(clean - average)
    assert tables.costs(rows).empty  # nothing was tested whole


def test_a_metric_of_which_less_is_better_marks_nobody():
    assert {"MAE", "Corr", "ACC-7"} <= set(tables.metrics("CMU-MOSI sentiment")) > set(tables.metrics("RAVDESS-AV"))
    rows = pd.DataFrame([
        row(s, c, value, metric=metric, dataset="CMU-MOSI sentiment")
        for metric in ("mae", "corr") for s, value in (("LogReg", 0.5), ("MD", 0.4)) for c in CASES
    ])
    marked = {m: tables.table_1(rows, m).map(lambda cell: "↓" in str(cell)).any().any() for m in ("MAE", "Corr")}
    assert marked == {"MAE": False, "Corr": True}


def test_a_pages_own_rows_take_the_place_of_measured_ones(monkeypatch):
    """A training whose recipe was changed is no further repetition of the one that was measured."""
    measured = ledger().assign(profile="paper", train="", commit="a", device="cpu")
    own = measured[measured["system"] == "CDTP"].assign(key="other", value=0.9)
    monkeypatch.setattr(protocol, "read", lambda path: measured)
    (block,) = protocol.blocks("cdtp", tables.COUNTERPART, own)
    assert len(block.rows) == len(measured)
    assert set(block.rows[block.rows["system"] == "CDTP"]["key"]) == {"other"}
    assert (tables.of_metric(block.rows, "ACC")["condition"] == tables.AVERAGE).sum() == 4 * 3


def test_there_is_no_negative_seed():
    with pytest.raises(ValueError, match="seed -1 was asked for"):
        cdtp.recipes("smoke", ["ravdess_av"], first_seed=-1)
