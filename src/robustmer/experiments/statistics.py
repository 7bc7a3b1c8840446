"""Statistics over repetitions: means with intervals, paired tests, corrections, ranks, power and verdicts.

A frame of repetitions has a line for each place (any columns), fold and seed. Its columns are value (nan for a training
that diverged) and test_to_train, the size of the test split over that of the train split. An optional column unit names
the planned repetitions, fold or seed. Without it they are the folds of a place that has several, else its seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import optimize, stats

SUMMARY = ("mean", "low", "high", "repetitions", "unit", "seeds", "diverged", "std", "test_to_train")


def summarise(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean and 95% interval of each group of `by`, with the columns of SUMMARY: `std` is the standard deviation of the
    repetitions, `seeds` the number of seeds, `diverged` the number of trainings that the mean leaves out.

    Over folds, the seeds of each fold are averaged first, because they share test speakers. Folds share training data,
    so the variance of their mean is s^2 (1/k + n_test/n_train) instead of s^2/k (Nadeau and Bengio 2003), with
    Student's t. Seeds of one split measure the effect of first weights and order, not of other speakers. Raises
    ValueError for a group with two splits.
    """
    frame = frame.reset_index(drop=True)
    group = frame.groupby(list(by), sort=False, dropna=False).ngroup().rename("group")
    groups = frame.groupby(group, sort=False)
    several = (groups["fold"].nunique() > 1).map({True: "fold", False: "seed"})
    unit = groups["unit"].first() if "unit" in frame else several
    repetition = frame["fold"].where(group.map(unit) == "fold", frame["seed"]).rename("repetition")
    means = frame["value"].astype(float).groupby([group, repetition]).mean().dropna().groupby("group")
    ratios = groups["test_to_train"].agg(["min", "max"]).astype(float)
    if (ratios["max"] - ratios["min"] > 1e-9).any():
        raise ValueError("a mean over two splits was asked for; summarise each corpus and split by itself")
    out = frame.loc[~group.duplicated(), list(by)].set_index(group[~group.duplicated()]).assign(
        mean=means.mean(), std=means.std(), repetitions=means.size(), unit=unit, seeds=groups["seed"].nunique(),
        diverged=frame["value"].isna().groupby(group).sum(), test_to_train=ratios["max"].where(unit == "fold", 0.0),
    )  # fmt: skip
    out["repetitions"] = out["repetitions"].fillna(0).astype(int)
    half = [half_interval(*line) for line in zip(out["std"], out["repetitions"], out["test_to_train"], strict=True)]
    return out.assign(low=out["mean"] - half, high=out["mean"] + half)[[*by, *SUMMARY]].reset_index(drop=True)


def standard_error(std: float, repetitions: int, test_to_train: float = 0.0) -> float:
    """Standard error of a mean over folds, or with a ratio of 0 over independent runs. nan for fewer than three
    repetitions, whose interval would be too wide, and for equal ones, which are one computation."""
    if repetitions < 3 or not std >= 1e-9:
        return math.nan
    return std * math.sqrt(1 / repetitions + test_to_train)


def half_interval(std: float, repetitions: int, test_to_train: float = 0.0) -> float:
    """Half the width of the 95% interval of a mean; nan where it has none."""
    error = standard_error(std, repetitions, test_to_train)
    return math.nan if math.isnan(error) else float(stats.t.ppf(0.975, repetitions - 1) * error)


def p_value(mean: float, std: float, repetitions: int, test_to_train: float = 0.0) -> float:
    """p of Student's t-test of a mean of paired differences against 0, with the standard error of its interval: p <
    0.05 exactly where the 95% interval does not contain 0."""
    error = standard_error(std, repetitions, test_to_train)
    return math.nan if math.isnan(error) else float(2 * stats.t.sf(abs(mean) / error, repetitions - 1))


def paired(frame: pd.DataFrame, one: object, other: object, by: str = "system") -> dict[str, object]:
    """`summarise` and p of the value of `one` minus that of `other` (in the column `by`), over the folds and seeds that
    both have. Test samples and noise are the same, so the difference varies less than either value. Raises ValueError
    where they share no fold and seed."""
    about = [name for name in ("fold", "seed", "test_to_train", "unit") if name in frame]
    wide = frame.pivot_table(index=about, columns=by, values="value").reindex(columns=[one, other])
    both = (wide[one] - wide[other]).dropna().rename("value").reset_index()
    if both.empty:
        raise ValueError(f"{one} and {other} share no fold and seed, so they cannot be paired")
    (line,) = summarise(both.assign(**{by: one}), [by])[list(SUMMARY)].to_dict("records")
    return line | {"p": p_value(*(line[name] for name in ("mean", "std", "repetitions", "test_to_train")))}


def over_speakers(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Mean, low, high, p and repetitions of each group of `by`, for scores with an `error` over `groups` test speakers
    (`evaluation.noise_cost`) of a corpus with one split, whose seeds share the speakers.

    The variance is that over speakers plus that of the mean over seeds. Student's t has the degrees of freedom of the
    speakers. Raises ValueError for scores without an error.
    """
    if frame["error"].isna().any() or (frame["groups"] < 2).any():
        raise ValueError("scores without an error over speakers were given; only those of noise_cost have it")
    out = []
    for values, group in frame.groupby(list(by), sort=False, dropna=False):
        value, n = group["value"], len(group)
        error = math.sqrt(group["error"].pow(2).mean() + (value.var() / n if n > 1 else 0.0))
        free = group["groups"].min() - 1
        half = stats.t.ppf(0.975, free) * error
        p = 2 * stats.t.sf(abs(value.mean()) / error, free) if error else math.nan
        out.append((*values, value.mean(), value.mean() - half, value.mean() + half, float(p), n))
    return pd.DataFrame(out, columns=[*by, "mean", "low", "high", "p", "repetitions"])


def holm(p: Sequence[float] | np.ndarray | pd.Series) -> np.ndarray:
    """p-values after Holm's step-down correction, which bounds the probability of any false rejection. A nan was not
    tested and does not count.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, dtype=float)
    out, known = np.full(p.shape, math.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * (len(order) - np.arange(len(order)))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out


def detectable(
    std: float, repetitions: int, test_to_train: float = 0.0, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true difference that the test of `p_value` detects with this power, from the standard deviation of
    the paired differences. For m comparisons give `alpha` = 0.05 / m, Holm's first step. nan where there is no test.

    >>> round(detectable(std=1.0, repetitions=10), 2)  # 0.8 / 0.2 power at n = 10: d = 1.00 in Cohen's tables
    1.0
    """
    error, free = standard_error(std, repetitions, test_to_train), repetitions - 1
    if math.isnan(error):
        return math.nan
    critical = stats.t.ppf(1 - alpha / 2, free)
    missed = lambda shift: power - stats.nct.sf(critical, free, shift)  # noqa: E731
    high = critical
    while missed(high) > 0:
        high *= 2
    return float(error * optimize.brentq(missed, 0, high))


def ranks(frame: pd.DataFrame, names: Sequence[object], by: str = "system") -> tuple[pd.Series, float, int]:
    """Mean ranks of the `names` in the column `by` (1 is best), the critical difference at 5%, and the number of
    repetitions.

    Within a repetition everything else is averaged first. If all systems are equal, two mean ranks differ by more than
    the critical difference in one of twenty experiments (Nemenyi; Demsar 2006). Only repetitions with all systems
    count. Levels and noises of one fold are no repetitions: they share its speakers. Raises ValueError without a
    repetition.
    """
    unit = "fold" if frame["fold"].nunique() > 1 else "seed"
    wide = frame.pivot_table(index=unit, columns=by, values="value").reindex(columns=list(names)).dropna()
    n, k = wide.shape
    if not n:
        raise ValueError(f"no {unit} has scores of all of {', '.join(map(str, names))}, so they cannot be ranked")
    critical = stats.studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))
    return wide.rank(axis=1, ascending=False).mean(), float(critical), n


# --- verdicts and text ------------------------------------------------------------------------------------------------

DECIDED = ("holds", "does not hold")
"""The verdicts that generalise beyond the measured speakers; only these may be starred."""


def verdict(effect: float, p: float, unit: str, why: str = "") -> str:
    """The verdict of a comparison, by one rule for the whole book: `holds` or `does not hold` for a corrected p below
    5% over folds, else `not shown`. Seeds of one split share their test speakers, so their verdict is only `seeds
    agree` or `seeds disagree`. `why` is the reason if a comparison cannot be tested."""
    if why or not p < 0.05:
        return "cannot be tested" if why else "no interval" if math.isnan(p) else "not shown"
    if unit != "fold":
        return "seeds agree" if effect > 0 else "seeds disagree"
    return DECIDED[0] if effect > 0 else DECIDED[1]


def size(low: float, high: float, points: Sequence[float]) -> str:
    """An interval, in points, against the number or range that a text prints, with half a point for rounding: `as
    large`, `larger` or `smaller`; empty without a number or an interval."""
    if not points or math.isnan(low):
        return ""
    if high < min(points) - 0.5:
        return "smaller"
    return "larger" if low > max(points) + 0.5 else "as large"


def plus_minus(mean: float, half: float, scale: float = 1, decimals: int = 3, sign: bool = False) -> str:
    """A mean and half its interval as text without line breaks; the mean alone without an interval.

    >>> plus_minus(0.5766, 0.0731), plus_minus(0.5766, 0.0731, scale=100, decimals=1)
    ('0.577\\u202f±\\u202f.073', '57.7\\u202f±\\u202f7.3')
    """
    value = f"{scale * mean:{'+' if sign else ''}.{decimals}f}".replace("-", "\u2212")
    spread = f"{scale * half:.{decimals}f}"
    return value if math.isnan(half) else f"{value}\u202f±\u202f{spread.removeprefix('0') if scale == 1 else spread}"


def text_of(line: Mapping[str, object], scale: float = 1, decimals: int = 3) -> str:
    """The text of a table's cell, from a line of `Table.summarise`: mean and half its interval, with the MARKS for
    fewer seeds or repetitions than planned, diverged trainings, and a mean below the simple baseline of the column."""
    text = plus_minus(line["mean"], line["high"] - line["mean"], scale, decimals)
    if line["unit"] == "fold" and line["seeds"] < line["expected_seeds"]:
        text += FEWER_SEEDS
    if line["repetitions"] < line["expected"]:
        text += f"\u00a0({line['repetitions']}/{line['expected']})"
    if line["diverged"]:
        crossed = f"{DIVERGED}{line['diverged']}"
        text = f"{text}\u202f{crossed}" if line["repetitions"] else crossed
    return text + (LOSES if line["below"] else "")


LOSES, FEWER_SEEDS, DIVERGED = "\u202f↓", "°", "✕"
MARKS = {"±": "half the 95% interval", LOSES: "below the simple baseline that was trained alike",
         FEWER_SEEDS: "fewer seeds than planned", "(k/n)": "only k of n repetitions are measured",
         DIVERGED: "trainings that diverged, left out"}  # fmt: skip
"""The meaning of each mark, for the note of a table."""
