"""Every number of the front page, computed again from the files below results/ with pandas and scipy alone."""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from robustmer.experiments import findings
from robustmer.experiments.papers import PAPERS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch):
    monkeypatch.setenv("ROBUSTMER_HOME", str(ROOT))


@pytest.fixture(scope="module")
def own():
    """The library's answers, computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROBUSTMER_HOME", str(ROOT))
        return {
            "findings": findings.findings(),
            "nmer": findings.differences("nmer"),
            "cdtp": findings.differences("cdtp"),
            "kept": pd.concat([findings.skills_kept(corpus) for corpus in ("ravdess_av", "mosi_bclstm")]),
        }


# --- the same numbers, without the library ----------------------------------------------------------------------------


def scores_of(paper, metric):
    """One line a training and condition: system, mixture, dataset, fold, seed, condition, value."""
    lines = []
    for text in (RESULTS / f"measured/{paper}/trainings.jsonl").read_text().splitlines():
        record = json.loads(text)
        recipe = record["recipe"]
        system = recipe["system"] + (" w/o L_inv" if recipe["options"].get("weight_inv") == 0 else "")
        system += " from the mean" if recipe["options"].get("start") == "mean" else ""
        whole = all(recipe["options"].get(name, True) for name in ("generative", "signal", "type"))
        plain = recipe["options"].get("sampler", "ddim") == "ddim" and recipe["options"].get("start") != "zero"
        if whole and plain:
            about = {name: recipe[name] for name in ("fold", "seed")} | {"dataset": record["dataset"], "system": system}
            lines.append(about | {"key": record["key"], "mixture": frozenset(name for name, _ in recipe["mixture"])})
    scores = pd.read_csv(RESULTS / f"measured/{paper}/scores.csv")
    return scores[scores["metric"] == metric].merge(pd.DataFrame(lines), on="key")


def paired(one, other, dataset):
    """Mean, low, high and p in points, of two series by fold and seed: Nadeau and Bengio over six folds of 4 test and
    16 train actors, plain Student over the seeds of one split."""
    difference = (one - other).dropna()
    shared = 0.0
    if dataset == "RAVDESS-AV":
        difference, shared = difference.groupby("fold").mean(), 4 / 16
    k = len(difference)
    error = difference.std() * math.sqrt(1 / k + shared)
    half = stats.t.ppf(0.975, k - 1) * error
    mean = difference.mean()
    p = 2 * stats.t.sf(abs(mean) / error, k - 1)
    return [100 * mean, 100 * (mean - half), 100 * (mean + half), p]


NOISE = re.compile(r"(?:Gaussian|Impulse)\([^)]*\) -?\d+ dB")


def nmer_means(dataset):
    """UA by (system, trained) and (fold, seed): mean over the incomplete conditions of each noise, then over noises."""
    scores = scores_of("nmer", "UA")
    scores = scores[(scores["dataset"] == dataset) & ~scores["condition"].str.contains("seen")]
    incomplete = set(scores[scores["system"] == "NMER"]["mixture"].explode()) - {"clean"}
    modalities = 2 if dataset == "RAVDESS-AV" else 3
    incomplete = {c for c in incomplete if len(NOISE.findall(c)) < modalities}
    scores = scores[scores["condition"].isin(incomplete)]
    scores = scores.assign(noise=[NOISE.search(c)[0] for c in scores["condition"]])
    clean = scores["mixture"].map(lambda mixture: mixture == {"clean"})
    alike = [condition in mixture for condition, mixture in zip(scores["condition"], scores["mixture"], strict=True)]
    parts = {("clean",): scores[clean], ("noisy",): scores[alike]}
    out = {}
    for (trained,), part in parts.items():
        for system, lot in part.groupby("system"):
            means = lot.groupby(["fold", "seed", "noise"])["value"].mean().unstack()
            assert means.shape[1] == 8 and not means.isna().any().any(), (system, trained)
            out[system, trained] = means.mean(axis=1)
    return out


NMER_ROWS = {
    ("MEN", "clean"): ("MEN", "clean"),
    ("MCTN", "noisy"): ("MCTN", "noisy"),
    ("MMIN", "noisy"): ("MMIN", "noisy"),
    ("IF-MMIN", "noisy"): ("IFMMIN", "noisy"),
    ("w/o VAE", "noisy"): ("NMERWithoutVAE", "noisy"),
    ("w/o L_inv", "noisy"): ("NMER w/o L_inv", "noisy"),
    ("MEN", "noisy"): ("MEN", "noisy"),
    ("LogReg", "noisy"): ("LogReg", "noisy"),
}
"""The rows of the tables, and what the records of their trainings say."""


def measured_lines(frame, dataset):
    part = frame[(frame["dataset"] == dataset) & (frame["kind"] != "printed")]
    return {
        tuple(line["row"]): [line[name] for name in ("value", "low", "high", "p")] for line in part.to_dict("records")
    }


@pytest.mark.parametrize("dataset", ["RAVDESS-AV", "CMU-MOSI"])
def test_nmer_minus_the_others(own, dataset):
    means, lines = nmer_means(dataset), measured_lines(own["nmer"], dataset)
    assert set(lines) == set(NMER_ROWS)
    for row, name in NMER_ROWS.items():
        assert lines[row] == pytest.approx(paired(means["NMER", "noisy"], means[name], dataset), abs=1e-6), row


@pytest.mark.parametrize(("dataset", "metric"), [("RAVDESS-AV", "WA"), ("CMU-MOSI sentiment", "acc2_non0")])
def test_cdtp_minus_the_others(own, dataset, metric):
    scores = scores_of("cdtp", metric)
    scores = scores[(scores["dataset"] == dataset) & scores["condition"].str.startswith("seen")]
    single = scores["mixture"].map(len) == 1
    clean = scores["mixture"].map(lambda mixture: mixture == {"clean"})
    names = scores["system"].mask(scores["system"] == "MulT", "MD")
    names = names.mask((scores["system"] == "MulT") & single, "LB").mask((scores["system"] == "MulT") & clean, "MS")
    names = names.replace({"CDTP from the mean": "CDTP w/o diffusion"})
    means = scores.groupby([names, "fold", "seed"])["value"].agg(["mean", "size"])
    means = means[means["size"] == (2 if dataset == "RAVDESS-AV" else 6)]["mean"]
    lines = measured_lines(own["cdtp"], dataset)
    assert [row for (row,) in lines] == [
        "MS",
        "MD",
        "MCTN",
        "MMIN",
        "MPMM",
        "MPLMM",
        "LB",
        "CDTP w/o diffusion",
        "LogReg",
    ]
    for (system,), line in lines.items():
        assert line == pytest.approx(paired(means["CDTP"], means[system], dataset), abs=1e-6), system


def test_printed_differences(own):
    table = pd.read_csv(RESULTS / "published/nmer_table02.csv").query("metric == 'UA'")
    wide = table.pivot(index=["dataset", "noise", "snr_db"], columns="system", values="value")
    lines = own["nmer"][own["nmer"]["kind"] == "printed"]
    assert len(lines) == 12  # six systems of Table 2 and the ablation, two corpora
    for line in lines.to_dict("records"):
        expected = 100 * (wide["NMER"] - wide[line["row"].system]).xs(line["dataset"]).mean()
        assert line["value"] == pytest.approx(expected), line
    table = pd.read_csv(RESULTS / "published/cdtp_table01.csv").query("metric == 'ACC' and condition != 'avg'")
    wide = table.pivot(index=["dataset", "condition"], columns="system", values="value")
    lines = own["cdtp"][own["cdtp"]["kind"] == "printed"]
    assert len(lines) == 21
    for line in lines.to_dict("records"):
        assert line["value"] == pytest.approx((wide["CDTP"] - wide[line["row"].system]).xs(line["dataset"]).mean()), (
            line
        )


def test_skill_kept(own):
    """Table 5: every modality noisy, Gaussian."""
    printed = pd.read_csv(RESULTS / "published/nmer_table05.csv").query("metric == 'UA'")
    kept = own["kept"]
    for dataset, chance in (("IEMOCAP", 1 / 4), ("CMU-MOSEI", 1 / 2)):
        wide = printed[printed["dataset"] == dataset].pivot(index="system", columns="snr_db", values="value") - chance
        expected = 100 * wide[-40] / wide[-10]
        lines = kept[kept["dataset"] == dataset]
        assert sorted(lines["value"]) == pytest.approx(sorted(expected))
    for dataset, modalities, chance in (("RAVDESS-AV", 2, 1 / 8), ("CMU-MOSI", 3, 1 / 2)):
        scores = scores_of("nmer", "UA")
        scores = scores[(scores["dataset"] == dataset) & ~scores["condition"].str.contains("seen")]
        scores = scores[[c.count("Gaussian") == modalities for c in scores["condition"]]]
        alike = [m == {"clean"} or m == {c} for c, m in zip(scores["condition"], scores["mixture"], strict=True)]
        scores = scores[alike].assign(clean=lambda frame: [m == {"clean"} for m in frame["mixture"]])
        scores = scores.assign(level=[NOISE.search(c)[0].split()[1] for c in scores["condition"]])
        means = scores.groupby(["system", "clean", "level", "fold"])["value"].mean()  # seeds first, then folds
        wide = means.groupby(["system", "clean", "level"]).mean().unstack() - chance
        expected = (100 * wide["-40"] / wide["-10"]).drop("Majority", errors="ignore")
        assert sorted(kept[kept["dataset"] == dataset]["value"]) == pytest.approx(sorted(expected.dropna())), dataset


def test_the_arithmetic_of_cdtps_table(own):
    table = pd.read_csv(RESULTS / "published/cdtp_table01.csv")
    cells = table[table["condition"] != "avg"].set_index(["dataset", "condition", "metric", "system"])["value"]
    gain = (cells.xs("CDTP", level="system") - cells.xs("MPLMM", level="system")).round(2)
    off = []
    for _, part in table.groupby(["dataset", "system", "metric"]):
        six, stated = part[part["condition"] != "avg"]["value"], part[part["condition"] == "avg"]["value"]
        if six.notna().all() and stated.notna().all():
            off.append(abs(float(stated.iloc[0]) - six.mean()) > 0.01 + 1e-9)
    sentence = own["findings"][4].sentence
    assert f"exactly 0.20 points above MPLMM in {(gain == 0.2).sum()} of {len(gain)} cells" in sentence
    assert f"{sum(off)} of {len(off)} averages" in sentence


def test_impulse_noise_is_weaker(own):
    assert f"{-10 * math.log10(0.3):.2f} dB" in own["findings"][5].sentence


@pytest.mark.parametrize(
    ("number", "paper", "dataset", "more", "less"),
    [
        (6, "mcwsa", "RAVDESS-AV mel", {"fusion": "cmha", "pretrain": True}, "LogReg"),
        (7, "infogan", "RAVDESS speech", {"maker": "infogan"}, {"maker": "none"}),
    ],
)
def test_mcwsa_and_infogan_minus_their_baselines(own, number, paper, dataset, more, less):
    records = [json.loads(line) for line in (RESULTS / f"measured/{paper}/trainings.jsonl").read_text().splitlines()]
    scores = pd.read_csv(RESULTS / f"measured/{paper}/scores.csv").query("metric == 'UA' and condition == 'clean'")
    values, modalities = scores.set_index("key")["value"], 2 if paper == "mcwsa" else 1

    def by_fold(which):
        """The clean UA of a system trained on clean samples with all features, by fold."""
        system = which if isinstance(which, str) else {"mcwsa": "MCWSAClassifier", "infogan": "AugmentedSER"}[paper]
        wanted = {} if isinstance(which, str) else which | ({"levels": None} if paper == "mcwsa" else {})
        lot = {}
        for record in records:
            recipe = record["recipe"]
            about = record["dataset"], recipe["system"], recipe["seed"], len(record["variance"])
            whole = recipe["corpus"].get("classifier_columns", True) and recipe["mixture"] == [["clean", 1]]
            right = all(recipe["options"].get(name) == value for name, value in wanted.items())
            if about == (dataset, system, 0, modalities) and whole and right:
                assert recipe["fold"] not in lot, record["key"]
                lot[recipe["fold"]] = values[record["key"]]
        return pd.Series(lot).rename_axis("fold")

    one, other = by_fold(more), by_fold(less)
    assert len(one) == len(other) == 6
    mean, low, high, _ = paired(one, other, "RAVDESS-AV")  # the same six folds of actors
    assert numbers(own["findings"][number].sentence) == [round(n, 1) for n in (mean, low, high)]


# --- sentences --------------------------------------------------------------------------------------------------------


def numbers(text):
    return [float(n.replace("\u2212", "-")) for n in re.findall(r"[+\u2212]?\d+\.\d+", text)]


def test_sentences_hold_the_numbers_of_their_estimates(own):
    linear, never, parts, *_ = own["findings"]
    assert numbers(linear.sentence) == [round(n, 1) for n in linear.estimates[0][1:4]]
    assert numbers(never.sentence) == [round(n, 1) for n in never.estimates[0][1:4]]
    assert numbers(parts.sentence) == [round(n, 1) for estimate in parts.estimates for n in estimate[1:4]]
    assert all(estimate.low <= 0 <= estimate.high for estimate in linear.estimates) and never.estimates[0].low > 0


def test_findings_are_short_sourced_and_lead_to_a_page(own):
    assert len(own["findings"]) == 8
    pages = "".join(file.read_text() for file in (ROOT / "notebooks").rglob("*.py"))
    for finding in own["findings"]:
        assert len(finding.sentence.split()) <= 20, finding.sentence
        assert f"({finding.anchor})=" in pages, finding.anchor
        assert finding.estimates and finding.chip in ("people", "printed")
        assert all(estimate.keys for estimate in finding.estimates if not math.isnan(estimate.p))


def test_a_finding_that_no_longer_holds_is_not_printed():
    with pytest.raises(ValueError, match="no longer show that a is b; write the finding anew"):
        findings.holds(False, "a is b")


@pytest.mark.parametrize(
    ("value", "low", "high", "sentence"),
    [
        (4.31, 0.25, 8.37, "NMER is ahead of MEN by 4.3 points (0.2 to 8.4)."),
        (-4.31, -8.37, -0.25, "MEN is ahead of NMER by 4.3 points (0.2 to 8.4)."),
        (0.81, -3.06, 4.68, "NMER and MEN cannot be told apart (+0.8 points, \u22123.1 to 4.7)."),
        (0.81, math.nan, math.nan, "NMER minus MEN: +0.8 points in one training; no interval."),
    ],
)
def test_the_sentences_of_a_difference(value, low, high, sentence):
    assert findings.compared("NMER", "MEN", findings.Estimate("", value, low, high)) == sentence


def test_no_verdict_over_seeds_of_one_split():
    """The cells of the front page: a single split neither holds nor refutes a claim."""
    frame = findings.glance()
    assert not set(frame[frame["dataset"].str.startswith("CMU-MOSI")]["verdict"]) & {"holds", "does not hold", "partly"}
    claims = {paper: [c for c in PAPERS[paper].claims("ravdess_av") if c.where != "ours"] for paper in ("nmer", "cdtp")}
    assert frame.groupby("paper")["number"].nunique().to_dict() == {paper: len(lot) for paper, lot in claims.items()}
