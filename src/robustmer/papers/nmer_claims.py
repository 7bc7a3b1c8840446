"""What NMER's text says of its results, asked of its own tables and of ours.

Every number of section 3.6 (`results/published/nmer_claims.csv`) compares two places of a table: two systems or two
levels. Such a comparison is a `Contrast`; it is computed from the paper's tables as printed and, paired over folds and
seeds, from our rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from robustmer.papers.nmer import LEVELS_DB, NOISES, NOISY, UNI_MODAL, averaged, incomplete_headers
from robustmer.papers.nmer_tables import COUNTERPART, all_noisy_rows, incomplete_rows
from robustmer.results import claims, published
from robustmer.statistics import holm, paired


Place = Mapping[str, str]
"""Which columns of a table have which values: one number for each training."""


@dataclass(frozen=True)
class Contrast:
    """The sum of `more` minus the sum of `less`, places of one table, divided by `per`; expected to be above 0."""

    what: str
    table: int
    more: tuple[Place, ...]
    less: tuple[Place, ...]
    metric: str = "WA"
    per: int = 1


@dataclass(frozen=True)
class Claim:
    """A sentence of section 3.6 in our words, the numbers that it prints (points), and the contrasts that it makes.

    `printed` names the rows of `nmer_claims.csv` that it covers: their `claim` begins with one of these.
    """

    where: str
    says: str
    contrasts: tuple[Contrast, ...]
    printed: tuple[str, ...]
    points: tuple[float, ...] = field(default=())


def place_of(system: str, level: str = "-10", noise: str = "gaussian", **more: str) -> Place:
    return {"system": system, "snr_db": level, "noise": noise, "condition": "avg"} | more


def ahead(system: str, other: str, level: str = "-10", noise: str = "gaussian", metric: str = "WA") -> Contrast:
    """One system minus another in Table 2."""
    label = f"{system} − {other}, {noise} {minus(level)} dB" + (f", {metric}" if metric != "WA" else "")
    return Contrast(label, 2, (place_of(system, level, noise),), (place_of(other, level, noise),), metric)


def ahead_everywhere(system: str, other: str) -> Contrast:
    """One system minus another in Table 2, mean over noises and levels."""
    sides = [tuple(place_of(name, f"{level:g}", noise) for noise in NOISES for level in LEVELS_DB)
             for name in (system, other)]
    return Contrast(f"{system} − {other}, mean over noises and levels", 2, *sides, per=len(sides[0]))


def drop(system: str, condition: str, table: int, start: str = "-10", end: str = "-40") -> Contrast:
    """How much a system loses from one level of Gaussian noise to another."""
    where = {"avg": "", "none": ", all noisy"}.get(condition, f" {{{condition}}}")
    label = f"{system}{where}, {minus(start)} − {minus(end)} dB"
    more, less = (place_of(system, level, condition=condition) for level in (start, end))
    return Contrast(label, table, (more,), (less,))


def alone(letter: str, how: str = "") -> Contrast:
    """What a uni-modal classifier loses from clean data to -10 dB, trained on clean data or on the noise."""
    name = f"{UNI_MODAL}, {letter}"
    trained = "trained with the noise" if how else "trained clean"
    return Contrast(f"{letter} alone, clean − (−10 dB), {trained}", 4,
                    ({"system": name, "noise": "", "snr_db": ""},),
                    ({"system": name + how, "noise": "gaussian", "snr_db": "-10"},))


def loses_more(what: str, first: Contrast, second: Contrast) -> Contrast:
    """The one loss minus the other, each of which is a contrast of the same table."""
    return Contrast(what, first.table, first.more + second.less, first.less + second.more, first.metric)


def minus(level: str) -> str:
    return level.replace("-", "−")


def all_claims() -> list[Claim]:
    """The claims in the order of the text, with the numbers as they were transcribed."""
    text = claims("nmer")
    value = text.set_index("claim")["value"]
    wa = {s: value[f"IEMOCAP Gaussian -10 dB WA, {s}"] for s in ("NMER", "MEN", "MCTN", "MMIN", "IF-MMIN")}
    others = ("MEN", "MCTN", "MMIN", "IF-MMIN")
    if_mmin = [value[f"IF-MMIN on IEMOCAP, Gaussian, {level} dB"] for level in (-10, -40)]
    parts = {s: value[f"ablation {s}, IEMOCAP Gaussian -10 dB"] for s in ("w/o VAE", "w/o L_inv")}
    whole = value["NMER, IEMOCAP Gaussian -10 dB"]
    gap = "gap of MEN to the incomplete-modality baselines at -40 dB"
    two = "WA drop with two clean modalities from -10 to -40 dB"
    falls = {c: drop("NMER", c, 3) for c in ("a", "v", "l", "a,v", "a,l", "v,l")}
    fewer = lambda one, other: loses_more(f"NMER's drop {{{one}}} − its drop {{{other}}}", falls[one], falls[other])  # noqa: E731
    return [
        Claim("3.6.1 (1)", "NMER is ahead of the four others at -10 dB",
              tuple(ahead("NMER", other) for other in others), ("IEMOCAP Gaussian -10 dB WA",),
              tuple(100 * (wa["NMER"] - wa[other]) for other in others)),
        Claim("3.6.1 (1)", "NMER outperforms most baselines across noises and levels",
              tuple(ahead_everywhere("NMER", other) for other in others), ()),
        Claim("ours", "and against MEN and logistic regression that learnt the same noise, which the paper has not",
              tuple(ahead_everywhere("NMER", other + NOISY) for other in ("MEN", "LogReg")), ()),
        Claim("3.6.1 (1)", "IF-MMIN does well at -10 and -20 dB (read: ahead of the other baselines)",
              tuple(ahead("IF-MMIN", other, level) for level in ("-10", "-20") for other in others[:3]), ()),
        Claim("3.6.1 (1)", "but it is behind NMER at -30 and -40 dB",
              tuple(ahead("NMER", "IF-MMIN", level, noise, metric) for noise in ("gaussian", "impulse")
                    for level in ("-30", "-40") for metric in ("WA", "UA")), ()),
        Claim("3.6.1 (2)", "at -40 dB MEN is 6 to 10 points below the systems that learn with noise",
              tuple(ahead(s, "MEN", "-40", noise) for noise in ("gaussian", "impulse") for s in others[1:]), (gap,),
              (value[f"{gap}, lower end"], value[f"{gap}, upper end"])),
        Claim("3.6.1 (3)", "with only a, or only v, clean NMER loses about 9 points from -10 to -40 dB",
              (falls["a"], falls["v"]), ("WA drop of {a} and {v}",),
              (value["WA drop of {a} and {v} from -10 to -40 dB"],)),
        Claim("3.6.1 (3)", "with two modalities clean it loses 2 to 5 points",
              (falls["a,v"], falls["a,l"], falls["v,l"]), (two,),
              (value[f"{two}, lower end"], value[f"{two}, upper end"])),
        Claim("3.6.1 (3)", "which is less than with only a, or only v, clean",
              tuple(fewer(*pair) for pair in (("a", "a,v"), ("v", "a,v"), ("a", "a,l"), ("v", "v,l"))), ()),
        Claim("3.6.1 (3)", "with only l clean it loses about 4 points", (falls["l"],), ("WA drop of {l}",),
              (value["WA drop of {l} from -10 to -40 dB"],)),
        Claim("3.6.1 (3)", "so l is what holds it up (read: it loses less with only l clean than with only a, or v)",
              (fewer("a", "l"), fewer("v", "l")), ()),
        Claim("3.6.1 (3)", "with two clean of which l is one it loses about 2 points",
              (falls["a,l"], falls["v,l"]), ("WA drop with two clean modalities that include l",),
              (value["WA drop with two clean modalities that include l"],)),
        Claim("3.6.2 (1)", "all models get worse with more noise; IF-MMIN falls from -10 to -40 dB",
              tuple(drop(s, "avg", 2) for s in ("IF-MMIN", "MEN", "MCTN", "MMIN", "NMER")), ("IF-MMIN on IEMOCAP",),
              (100 * (if_mmin[0] - if_mmin[1]),)),
        Claim("3.6.2 (3)", "v alone loses about 15 points at -10 dB", (alone("v"), alone("v", NOISY)),
              ("unimodal v loses",), (value["unimodal v loses at -10 dB"],)),
        Claim("3.6.2 (3)", "a alone and l alone lose about 10 points at -10 dB",
              (alone("a"), alone("a", NOISY), alone("l"), alone("l", NOISY)), ("unimodal a and l lose",),
              (value["unimodal a and l lose at -10 dB"],)),
        Claim("3.6.2 (3)", "so v loses more than a and than l",
              tuple(loses_more(f"v's loss − {other}'s, {'trained with the noise' if how else 'trained clean'}",
                               alone("v", how), alone(other, how)) for other in ("a", "l") for how in ("", NOISY)), ()),
        Claim("3.6.3 (1)", "with all modalities noisy MMIN falls by about 4 points from -10 to -20 dB",
              (drop("MMIN", "none", 5, "-10", "-20"),), ("MMIN on IEMOCAP, all modalities noisy, -10",),
              (value["MMIN on IEMOCAP, all modalities noisy, -10 to -20 dB"],)),
        Claim("3.6.3 (1)", "and \"further\" by about 13 points at -40 dB",
              (drop("MMIN", "none", 5, "-20", "-40"),),
              ("MMIN on IEMOCAP, all modalities noisy, further",),
              (value["MMIN on IEMOCAP, all modalities noisy, further drop at -40 dB"],)),
        Claim("3.6.4", "the VAE and the invariance loss both help",
              tuple(ahead("NMER", part) for part in parts), ("ablation", "NMER, IEMOCAP"),
              tuple(100 * (whole - parts[part]) for part in parts)),
    ]  # fmt: skip


def result_rows() -> pd.DataFrame:
    """Those rows of `nmer_claims.csv` that speak of a result (section 3.6), not of a setting."""
    text = claims("nmer")
    return text[text["where"].str.startswith("Section 3.6")]


# --- the paper's own tables -------------------------------------------------------------------------------------------


def in_the_paper(contrast: Contrast, dataset: str) -> float:
    """The contrast in points, from the paper's table as printed; nan where it lacks one of the places."""
    table = published("nmer", contrast.table)
    table = table[(table["dataset"] == dataset) & (table["metric"] == contrast.metric)]
    if contrast.table == 4:  # one classifier; "0" is the clean row
        letter = len(f"{UNI_MODAL}, ")
        place = lambda side: {"modality": side["system"][letter], "snr_db": side["snr_db"] or "0"}  # noqa: E731
    else:
        place = lambda side: side  # noqa: E731
    more, less = ([pick(table, place(side))["value"] for side in sides] for sides in (contrast.more, contrast.less))
    if not all(len(value) for value in (*more, *less)):
        return math.nan
    return float(100 * (sum(v.iloc[0] for v in more) - sum(v.iloc[0] for v in less)) / contrast.per)


def pick(rows: pd.DataFrame, place: Place) -> pd.DataFrame:
    for column, value in place.items():
        rows = rows[rows[column] == value]
    return rows


def rises() -> tuple[int, int]:
    """In how many of the steps from one level to the next louder one a score of the paper's Table 2 rises, and of how
    many steps."""
    table = published("nmer", 2)
    wide = table.pivot(index=["dataset", "noise", "metric", "system"], columns="snr_db", values="value")
    steps = wide[[f"{level:g}" for level in LEVELS_DB]].diff(axis=1).iloc[:, 1:]
    return int((steps > 0).sum().sum()), int(steps.notna().sum().sum())


# --- our rows ---------------------------------------------------------------------------------------------------------


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """All contrasts of all claims on rows of ONE dataset: effect, low and high in points, p, repetitions, unit,
    verdict, `size` against the number that the text prints, and `why` where a contrast cannot be tested. `p_holm` is
    corrected for the contrasts of the same claim, each claim being a question of its own; `p_all` for those of all."""
    (dataset,) = rows["dataset"].unique()
    tables = tables_of(rows)
    out = pd.DataFrame([
        {"number": number} | line
        for number, claim in enumerate(all_claims(), 1) for line in measure(claim, tables, dataset)
    ])  # fmt: skip
    out["p_holm"] = out.groupby("number")["p"].transform(holm)
    once = out.drop_duplicates("contrast")  # claims share contrasts: each is one hypothesis
    out["p_all"] = out["contrast"].map(dict(zip(once["contrast"], holm(once["p"]), strict=True)))
    deciding = ("effect", "p_holm", "why", "unit")
    out["verdict"] = [verdict(*line) for line in zip(*(out[column] for column in deciding), strict=True)]
    return out


def tables_of(rows: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """The rows that each of the paper's tables rests on, those of Table 2 averaged over conditions."""
    return {
        2: averaged(incomplete_rows(rows)),
        3: incomplete_rows(rows),
        4: rows[rows["train"].str.startswith("only ")],
        5: all_noisy_rows(rows),
    }


def sides_of(contrast: Contrast, tables: Mapping[int, pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `more` and of `less`, of those folds and seeds that have every place of both."""
    rows = tables[contrast.table]
    rows = rows[rows["metric"] == contrast.metric]
    more, less = ([pick(rows, place) for place in places] for places in (contrast.more, contrast.less))
    whole = set.intersection(*(set(zip(part["fold"], part["seed"], strict=True)) for part in (*more, *less)))
    sides = [part.set_index(["fold", "seed"], drop=False) for part in (pd.concat(more), pd.concat(less))]
    return tuple(part[part.index.isin(whole)].reset_index(drop=True) for part in sides)


def evidence(rows: pd.DataFrame) -> pd.DataFrame:
    """What every verdict on ONE dataset rests on, a line for each place and training: the columns claim (its number),
    comparison, side (more or less), per (an effect is the sum of `more` minus that of `less`, divided by it, mean over
    trainings: seeds first, then folds) and those of the ledger. Values of Table 2 are means over the conditions."""
    tables, out = tables_of(rows), []
    for number, claim in enumerate(all_claims(), 1):
        for contrast in claim.contrasts:
            for side, part in zip(("more", "less"), sides_of(contrast, tables), strict=True):
                out.append(part.assign(claim=number, comparison=contrast.what, side=side, per=contrast.per))
    found = pd.concat(out)
    return found[["claim", "comparison", "side", "per", *EVIDENCE]].reset_index(drop=True)


EVIDENCE = ("system", "noise", "snr_db", "condition", "metric", "value",
            "train", "fold", "seed", "key", "commit", "device")


def measure(claim: Claim, tables: Mapping[int, pd.DataFrame], dataset: str) -> Iterator[dict[str, object]]:
    for contrast in claim.contrasts:
        line = {"where": claim.where, "says": claim.says, "contrast": contrast.what,
                "paper": in_the_paper(contrast, COUNTERPART.get(dataset, "")),
                **dict.fromkeys(("effect", "low", "high", "p"), math.nan),
                "repetitions": 0, "unit": "", "size": "", "why": ""}
        sides = sides_of(contrast, tables)
        if min(map(len, sides)) == 0:
            yield line | {"why": missing(contrast, dataset)}
            continue
        sums = [part.groupby(["dataset", "fold", "seed"], as_index=False)["value"].sum() for part in sides]
        found = paired(pd.concat([part.assign(system=name) for name, part in zip(("more", "less"), sums, strict=True)]),
                       "more", "less")  # fmt: skip
        effect, low, high = (100 * found[name] / contrast.per for name in ("mean", "low", "high"))
        yield line | {
            "effect": effect, "low": low, "high": high, "p": found["p"], "repetitions": found["repetitions"],
            "unit": found["unit"], "size": size(low, high, claim.points),
        }  # fmt: skip


def missing(contrast: Contrast, dataset: str) -> str:
    """Why a contrast has no rows: the corpus has no such condition, or nobody has measured it yet."""
    headers = [*incomplete_headers(dataset), "avg", "none"]
    for side in (*contrast.more, *contrast.less):
        place = side["system"][len(f"{UNI_MODAL}, ")] if contrast.table == 4 else side["condition"]
        if place not in headers:
            lacking = sorted(set(place.split(",")) - set("".join(headers[:-2])))
            if lacking:
                return f"the corpus has no {' and no '.join(lacking)}"
            return f"{{{place}}} is all that the corpus has"
    return "not measured yet"


def verdict(effect: float, p: float, why: str, unit: str = "fold") -> str:
    """`holds` or `does not hold` where the effect is beyond chance over folds (corrected p below 5%), else `not shown`.
    Over seeds of one split, which share their test speakers, no more than that the seeds agree."""
    if why:
        return "cannot be tested"
    if pd.isna(p):
        return "no interval"
    if p >= 0.05:
        return "not shown"
    if unit == "seed":
        return "seeds agree" if effect > 0 else "seeds disagree"
    return "holds" if effect > 0 else "does not hold"


DECIDED = ("holds", "does not hold")
"""The verdicts that speak of other people than those who were measured."""


def size(low: float, high: float, points: tuple[float, ...]) -> str:
    """Whether an interval, in points, meets what the text prints (a number, or the ends of a range; half a point for
    rounding): `as large`, `larger` or `smaller`. Nothing where there is no number or no interval."""
    if not points or math.isnan(low):
        return ""
    if high < min(points) - 0.5:
        return "smaller"
    return "larger" if low > max(points) + 0.5 else "as large"
