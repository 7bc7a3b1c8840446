"""CDTP's Table 1 in the paper's own form, printed and measured side by side, and its arithmetic done again.

All functions take rows of one dataset, from one ledger. Numbers are fractions; the paper prints percent.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from robustmer import papers
from robustmer.conditions import CLEAN, missing
from robustmer.corpora import about
from robustmer.papers import protocol
from robustmer.papers.cdtp import recipes
from robustmer.papers.protocol import Block
from robustmer.results import published
from robustmer.statistics import cells, holm, paired, plus_minus, printed, summarise, tabulate

COUNTERPART = {"CMU-MOSI sentiment": "CMU-MOSI", "CMU-MOSI sentiment (MultiBench)": "CMU-MOSI",
               "CMU-MOSEI sentiment": "CMU-MOSEI", "IEMOCAP": "IEMOCAP", "RAVDESS-AV": "IEMOCAP",
               "synthetic": "IEMOCAP"}
"""Which of the paper's corpora stands beside ours."""

BASELINES = ("majority class", "LogReg")
NETWORKS = ("LB", "MS", "MD", "MCTN", "MMIN", "MPMM", "MPLMM", "CDTP")
SYSTEMS = (*BASELINES, *NETWORKS)
BAR = "LogReg"
"""The simple baseline, trained like the others; what is below it at the same place is marked."""

METRICS = {"ACC": ("WA", "acc2_non0"), "F1": ("F1", "f1_non0"), "ACC has-0": ("acc2_has0",),
           "F1 has-0": ("f1_has0",), "ACC-7": ("acc7",), "MAE": ("mae",), "Corr": ("corr",)}
"""The names in print -> ours, of classes and of sentiment. The paper does not say which of the two conventions its
binary accuracy follows; ACC and F1 are as in MulT's code, which leaves out utterances of sentiment 0. Those behind them
are of sentiment only; section 4.1 names ACC-7, MAE and Corr and the paper prints none of them."""

LESS_IS_BETTER = ("MAE",)
AVERAGE = "avg"


def metrics(dataset: str) -> list[str]:
    """Those of METRICS that a corpus has."""
    return [name for name in METRICS if name in ("ACC", "F1") or not about(dataset).classes]


def blocks(own: pd.DataFrame | None = None) -> list[Block]:
    """The page's own rows, if they are not the measured ones, and the committed rows of each dataset."""
    return protocol.blocks("cdtp", COUNTERPART, own)


def run(profile: str, device: str, corpus: str, seed: int, tables: Sequence[str]) -> pd.DataFrame:
    """Compute what a page lacks and return its rows: the trainings of these of cdtp.TABLES on one corpus."""
    return papers.compute("cdtp", profile, recipes(profile, [corpus], seed, tables), device)


def cases(dataset: str) -> list[str]:
    """The columns of Table 1 for a corpus: what is available, in the letters of our tables."""
    modalities = tuple(about(dataset).modalities)
    return [c.header(modalities) for c in missing(modalities)]


def of_metric(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of the metric that is printed so, clean and in each case, with their mean over the cases (and not over
    clean) as further rows (`avg`). LB is another
    training in each case, so its mean is over trainings; where one of them is missing there is none, and where one
    diverged it is nan, which `cells` counts."""
    (dataset,) = rows["dataset"].unique()
    chosen = rows[rows["metric"].isin(METRICS[metric]) & rows["condition"].isin([*cases(dataset), str(CLEAN)])]
    same = ["dataset", "system", "fold", "seed", "metric"]
    lacking = chosen[chosen["condition"] != str(CLEAN)]
    sizes = lacking.groupby(same, sort=False)["value"].agg(value="mean", size="size", diverged=lambda v: v.isna().any())
    whole = sizes[sizes["size"] == len(cases(dataset))].reset_index()
    whole.loc[whole["diverged"], "value"] = float("nan")
    return pd.concat([chosen, whole[[*same, "value"]].assign(condition=AVERAGE)], ignore_index=True)


def table_1(rows: pd.DataFrame, metric: str, systems: Sequence[str] = SYSTEMS) -> pd.DataFrame:
    """Systems by what is available, printed and ours, the average first: of six cases a page shows the last ones only
    when they are scrolled to. The paper's average is over six cases, so it stands beside ours
    of six only; what it prints as a dash is one here."""
    (dataset,) = rows["dataset"].unique()
    ours = of_metric(rows[rows["system"].isin(systems)], metric)
    ours = cells(ours, ["system", "condition"], below="" if metric in LESS_IS_BETTER else BAR)
    paper = printed_table(metric)
    paper = printed(paper[(paper["dataset"] == COUNTERPART[dataset]) & paper["value"].notna()])
    columns = [AVERAGE, *cases(dataset)]
    if set(cases(dataset)) != set(paper["condition"]) - {AVERAGE}:
        paper = paper[paper["condition"] != AVERAGE]
    sources = {"paper": paper, "ours": ours} if set(systems) & set(paper["system"]) else {"ours": ours}
    return tabulate(sources, "system", "condition", systems, columns)


def summary(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean and interval of each system in each case and on average (`statistics.summarise`)."""
    return summarise(of_metric(rows, metric), ["system", "condition"])


def printed_table(metric: str | None = None) -> pd.DataFrame:
    """Table 1 as printed, in fractions, its text modality spelt like ours."""
    table = published("cdtp", 1)
    table = table.assign(value=table["value"] / 100, condition=table["condition"].str.replace("t", "l"))
    return table if metric is None else table[table["metric"] == metric]


def differences(rows: pd.DataFrame, metric: str, system: str = "CDTP", others: Sequence[str] = ()) -> pd.DataFrame:
    """`system` minus each of the others in the mean over the cases, paired over folds and seeds: what
    `statistics.paired` gives, and `p_holm`, corrected for all of these."""
    means = of_metric(rows, metric)
    means = means[means["condition"] == AVERAGE]
    there = set(means["system"])
    found = [{"other": other} | paired(means, system, other) for other in others or SYSTEMS
             if other in there and other != system] if system in there else []
    table = pd.DataFrame(found)
    return table.assign(p_holm=holm(table["p"])) if found else table


def differences_table(found: pd.DataFrame) -> pd.DataFrame:
    """A line for each of the others: mean ± half the 95% interval, and a star where it is beyond chance (Holm, 5%)."""
    cell = [plus_minus(m, h, sign=True) + ("\u00a0*" if p < 0.05 else "")
            for m, h, p in zip(found["mean"], found["high"], found["p_holm"], strict=True)]  # fmt: skip
    return pd.DataFrame({"minus": found["other"], "difference": cell, "repetitions": found["repetitions"]})


def losers(rows: pd.DataFrame, metric: str, systems: Sequence[str] = NETWORKS) -> str:
    """Which systems are below logistic regression that was trained with the same missing modalities, and which of them
    by more than chance (Holm, 5%)."""
    found = differences(rows, metric, BAR, systems)
    if found.empty:
        return f"There is nothing to hold against logistic regression ({metric})."
    behind = found[found["mean"] > 0]
    if behind.empty:
        return f"No system is below logistic regression in the average ({metric})."
    sure = behind[behind["p_holm"] < 0.05]["other"].tolist()
    beyond = (f"beyond chance (Holm, 5%): {', '.join(sure)}" if sure else "none of them beyond chance (Holm, 5%)"
              if found["p"].notna().any() else "with too few repetitions to say more")
    return f"Below logistic regression in the average ({metric}): {', '.join(behind['other'])}; {beyond}."


def costs(rows: pd.DataFrame, metric: str = "ACC") -> pd.DataFrame:
    """What the cases cost each system that was tested whole, too: `whole`, `avg` over the cases, and their paired
    difference `lost` with `half` its interval. LB has a network for each case and none for whole rows."""
    means = of_metric(rows, metric)
    lines = []
    for system, part in means.groupby("system", sort=False):
        if {str(CLEAN), AVERAGE} <= set(part["condition"]):
            lost = paired(part.assign(system=part["condition"]), str(CLEAN), AVERAGE)
            whole = summarise(part[part["condition"] == str(CLEAN)], ["system"])["mean"].iloc[0]
            lines.append({"system": system, "whole": whole, "avg": whole - lost["mean"], "lost": lost["mean"],
                          "half": lost["high"] - lost["mean"]})
    order = [s for s in SYSTEMS if s in {line["system"] for line in lines}]
    return pd.DataFrame(lines).set_index("system").loc[order].reset_index() if lines else pd.DataFrame()


def prior(rows: pd.DataFrame) -> str:
    """Of sentiment: what can be had by always saying the same, and why ACC alone says little. Empty for classes."""
    (dataset,) = rows["dataset"].unique()
    constant = rows[rows["system"] == "majority class"]
    if about(dataset).classes or constant.empty:
        return ""
    means = summarise(of_metric(constant, "ACC"), ["system", "condition"]).set_index("condition")["mean"]
    same = float(means[str(CLEAN)])
    better = max(same, 1 - same)
    shifted = (" (the median of the train part has the other sign: the parts differ in how much of them is positive)"
               if same < 0.5 else "")
    return (f"Whoever always says the same sign can have an ACC of {better:.3f} here{shifted}. So an ACC up to that "
            "may come from how often a system says *positive*; Corr, in a tab of its own, cannot.")


# --- the paper's arithmetic -------------------------------------------------------------------------------------------


def averages() -> pd.DataFrame:
    """Each row of Table 1 whose six cells are printed: the printed average, the mean of the cells, and whether any six
    numbers that round to these cells have an average that rounds to the printed one."""
    table = published("cdtp", 1)
    lines = []
    for (dataset, system, metric), part in table.groupby(["dataset", "system", "metric"], sort=False):
        six, stated = part[part["condition"] != AVERAGE]["value"], part[part["condition"] == AVERAGE]["value"]
        if six.notna().sum() == 6 and stated.notna().all():
            off = float(stated.iloc[0] - six.mean())
            lines.append({"dataset": dataset, "system": system, "metric": metric, "printed": float(stated.iloc[0]),
                          "mean of six": six.mean(), "difference": off, "possible": abs(off) <= 0.01 + 1e-9})
    return pd.DataFrame(lines)


def gains(system: str = "CDTP", other: str = "MPLMM") -> pd.Series:
    """How often each difference between two systems of Table 1 is printed, over cells (not averages), in percentage
    points: for most pairs every cell has its own."""
    table = published("cdtp", 1)
    table = table[table["condition"] != AVERAGE]
    wide = table.pivot(index=["dataset", "condition", "metric"], columns="system", values="value")
    return (wide[system] - wide[other]).dropna().round(2).value_counts().sort_index()
