"""From rows to numbers in print: means with intervals, paired comparisons, corrections, ranks, tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from robustmer.corpora import about
from robustmer.results import COLUMNS


def summarise(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and 95% interval for each group of `by`: the columns mean, low, high, repetitions, unit (fold or seed) and
    diverged, the number of trainings without a value, which the mean leaves out.

    Where a group has several folds, they are its repetitions, and their seeds are averaged first, because two seeds
    share their test speakers. Folds share training data, so the variance of their mean is s^2 (1/k + n_test/n_train)
    and not s^2/k (Nadeau and Bengio 2003), with Student's t. A group with one fold has only its seeds: their interval
    says how much first weights and order matter, and nothing of other speakers. With fewer than three repetitions an
    interval would be too wide to mean anything and is nan. A group must lie within one dataset.
    """
    out = []
    for values, group in rows.groupby(list(by), sort=False):
        unit = "fold" if group["fold"].nunique() > 1 else "seed"
        means = group.groupby(unit)["value"].mean().dropna()
        diverged = group[group["value"].isna()].drop_duplicates(["fold", "seed"])
        k = len(means)
        half = half_interval(means.std(), k, *(group["dataset"].unique() if unit == "fold" else ()))
        mean = means.mean()
        out.append((*values, mean, mean - half, mean + half, k, unit, len(diverged)))
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "repetitions", "unit", "diverged"])


def half_interval(std: float, repetitions: int, folds_of: str = "") -> float:
    """Half the 95% interval of a mean of so many repetitions: of the folds of a dataset, or of independent runs.

    nan for fewer than three, and for repetitions that are equal (the same computation, not another experiment)."""
    if repetitions < 3 or std < 1e-9:
        return math.nan
    shared = about(folds_of).test_to_train if folds_of else 0.0
    return float(stats.t.ppf(0.975, repetitions - 1) * std * math.sqrt(1 / repetitions + shared))


def average_over_conditions(rows: pd.DataFrame, conditions: Iterable[str]) -> pd.DataFrame:
    """One row for each training: the plain mean over these conditions, as the tables' "Avg" (condition = avg); nan for
    a training that diverged."""
    conditions = list(conditions)
    chosen = rows[rows["condition"].isin(conditions)]
    same = [c for c in COLUMNS if c not in ("condition", "value", "note", "seconds", "std")]
    out = chosen.groupby(same, sort=False)["value"].agg(["mean", "size"]).reset_index()
    short = out[out["size"] != len(conditions)]
    if len(short):
        raise ValueError(
            f"an average over {', '.join(conditions)} was asked for; key {short['key'].iloc[0]} has only "
            f"{short['size'].iloc[0]} of them"
        )
    return out.rename(columns={"mean": "value"}).drop(columns="size").assign(condition="avg")


def paired(rows: pd.DataFrame, system: str, other: str) -> dict[str, object]:
    """Mean difference `system` minus `other`, its 95% interval as `summarise` gives it, and `p` of Student's t-test.

    Both met the same test rows under the same noise, so their difference, taken for each fold and seed that both have,
    varies less than either. Rows are those of one dataset, condition and metric. The test uses the interval's corrected
    standard error (Nadeau and Bengio), so p < 0.05 exactly where the interval does not contain 0.
    """
    wide = rows.pivot_table(index=["dataset", "fold", "seed"], columns="system", values="value", aggfunc="mean")
    difference = (wide[system] - wide[other]).dropna().rename("value").reset_index()
    if difference.empty:
        raise ValueError(f"{system} and {other} share no fold and seed, so they cannot be paired")
    out = summarise(difference, ["dataset"]).iloc[0].to_dict()
    half, k = out["high"] - out["mean"], out["repetitions"]
    if math.isnan(half):
        return out | {"p": math.nan}
    error = half / stats.t.ppf(0.975, k - 1)
    return out | {"p": float(2 * stats.t.sf(abs(out["mean"]) / error, k - 1))}


def over_speakers(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, 95% interval and p for each group of `by`, of rows that know their error over test speakers (`std`, and
    their number in `note`: those of `evaluate.ua_lost`). For a corpus with one fold, whose seeds share the speakers.

    The variance is that over speakers, as if no seed told anything new of them, plus that of the mean over seeds;
    Student's t has the degrees of freedom of the speakers.
    """
    if not rows["note"].str.contains(r"\d+ speakers").all() or (rows["std"] == "").any():
        raise ValueError("rows without an error over speakers were given; only those of evaluate.ua_lost have it")
    out = []
    for values, group in rows.groupby(list(by), sort=False):
        each, n = group["value"], len(group)
        error = math.sqrt(group["std"].astype(float).pow(2).mean() + (each.var() / n if n > 1 else 0.0))
        free = group["note"].str.extract(r"(\d+) speakers")[0].astype(int).min() - 1
        half = stats.t.ppf(0.975, free) * error
        p = 2 * stats.t.sf(abs(each.mean()) / error, free) if error else math.nan
        out.append((*values, each.mean(), each.mean() - half, each.mean() + half, float(p), n))
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "p", "repetitions"])


def holm(p: Sequence[float] | np.ndarray | pd.Series) -> np.ndarray:
    """Holm's step-down p-values: however many of the null hypotheses are true, one is rejected wrongly with at most the
    level's chance. A nan was not tested and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    out, tested = np.full(p.shape, math.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def ranks(rows: pd.DataFrame, systems: Sequence[str]) -> tuple[pd.Series, float, int]:
    """Mean rank of each system (1 is best) over repetitions, the critical difference at 5%, and the repetitions.

    Within a fold (or seed, where there is one fold) everything else is averaged first. Two mean ranks differ by more
    than the critical difference in one of twenty experiments in which all systems are equal (Nemenyi; Demsar 2006).
    Only repetitions that have all the systems count. Levels and noises of one fold are no repetitions: they share its
    speakers.
    """
    unit = "fold" if rows["fold"].nunique() > 1 else "seed"
    wide = rows.pivot_table(index=unit, columns="system", values="value", aggfunc="mean").reindex(columns=systems)
    wide = wide.dropna()
    n, k = wide.shape
    if not n:
        raise ValueError(f"no {unit} has rows of all of {', '.join(systems)}, so they cannot be ranked")
    critical = stats.studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    return wide.rank(axis=1, ascending=False).mean(), float(critical), n


# --- tables -----------------------------------------------------------------------------------------------------------


def cells(rows: pd.DataFrame, by: Sequence[str], below: str = "") -> pd.DataFrame:
    """`summarise`, and each mean as `cell`, the text of a table: mean and half its interval.

    An arrow marks a system that is below the system `below` at the same place (the other columns of `by`), on the folds
    and seeds that both have. A mean of fewer repetitions than others in the table says so; where the repetitions are
    folds, a ring says that each has fewer seeds than others. Trainings that diverged are counted behind a cross.
    """
    out = summarise(rows, by)
    seeds = rows.groupby(list(by), sort=False)["seed"].nunique().tolist()
    most, most_seeds = out["repetitions"].max(), max(seeds, default=0)
    behind = losing(rows, by, below) if below else set()
    text = []
    for line, count in zip(out.to_dict("records"), seeds, strict=True):
        cell = plus_minus(line["mean"], line["high"])
        cell += FEWER_SEEDS if line["unit"] == "fold" and count < most_seeds else ""
        cell += f"\u00a0({line['repetitions']}/{most})" if line["repetitions"] < most else ""
        if line["diverged"]:
            crossed = f"{DIVERGED}{line['diverged']}"
            cell = f"{cell}\u202f{crossed}" if line["repetitions"] else crossed
        text.append(cell + (LOSES if tuple(line[c] for c in by) in behind else ""))
    return out.assign(cell=text)


def losing(rows: pd.DataFrame, by: Sequence[str], below: str) -> set[tuple]:
    """Those values of `by` (one of which is `system`) whose mean is below that of the system `below` at the same place,
    over the folds and seeds that both have."""
    place = [c for c in by if c != "system"]
    bar = rows[rows["system"] == below].groupby([*place, "fold", "seed"])["value"].mean().rename("bar")
    both = rows.join(bar, on=[*place, "fold", "seed"]).dropna(subset="bar")
    means = both.groupby([*by, "fold"])[["value", "bar"]].mean().groupby(list(by)).mean()  # seeds first, then folds
    found = means.index[means["value"] < means["bar"]]
    return {key if isinstance(key, tuple) else (key,) for key in found}


LOSES, FEWER_SEEDS, DIVERGED = "\u202f↓", "°", "✕"


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """A published table with its numbers as the paper prints them, as `cell`."""
    return table.assign(cell=[f"{value:.4f}" for value in table["value"]])


def tabulate(
    sources: Mapping[str, pd.DataFrame], row: str, column: str, rows: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    """Every comparison of the book: the `cell` of each source at each place, sources side by side within a column.

    Places that a source does not have are dashes; rows that no source has, and a source in a column of which it has
    nothing, are left out.
    """
    wide = {name: part.pivot(index=row, columns=column, values="cell") for name, part in sources.items()}
    out = pd.DataFrame({
        (c, name): table.reindex(index=rows, columns=columns)[c]
        for c in columns for name, table in wide.items() if c in table
    }, index=pd.Index(rows, name=row))  # fmt: skip
    return out.dropna(how="all").fillna("–")


def plus_minus(mean: float, high: float, sign: bool = False) -> str:
    """A mean and half its interval as a cell that does not break; the mean alone where there is no interval."""
    value, half = f"{mean:{'+' if sign else ''}.3f}".replace("-", "−"), f"{high - mean:.3f}".removeprefix("0")
    return value if pd.isna(high) else f"{value}\u202f±\u202f{half}"
