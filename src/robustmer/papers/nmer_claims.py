"""What NMER's text says of its results, asked of its own tables and of ours.

Every number of section 3.6 (`results/published/nmer_claims.csv`) compares two places of a table: two systems or two
levels. Such a comparison is a `Contrast`; it is computed from the paper's tables as printed and, paired over folds and
seeds, from our rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from robustmer.papers.nmer import NOISY, averaged, incomplete_headers
from robustmer.papers.nmer_tables import COUNTERPART, all_noisy_rows, incomplete_rows
from robustmer.results import claims, published
from robustmer.statistics import holm, paired


@dataclass(frozen=True)
class Contrast:
    """`more` minus `less` in a table, expected to be above 0. Both say which columns have which values."""

    what: str
    table: int
    more: Mapping[str, str]
    less: Mapping[str, str]
    metric: str = "WA"


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


def place_of(system: str, level: str = "-10", noise: str = "gaussian", **more: str) -> dict[str, str]:
    return {"system": system, "snr_db": level, "noise": noise, "condition": "avg"} | more


def ahead(system: str, other: str, level: str = "-10", noise: str = "gaussian", metric: str = "WA") -> Contrast:
    """One system minus another in Table 2."""
    label = f"{system} − {other}, {noise} {minus(level)} dB" + (f", {metric}" if metric != "WA" else "")
    return Contrast(label, 2, place_of(system, level, noise), place_of(other, level, noise), metric)


def drop(system: str, condition: str, table: int, start: str = "-10", end: str = "-40") -> Contrast:
    """How much a system loses from one level of Gaussian noise to another."""
    where = {"avg": "", "none": ", all noisy"}.get(condition, f" {{{condition}}}")
    label = f"{system}{where}, {minus(start)} − {minus(end)} dB"
    more, less = (place_of(system, level, condition=condition) for level in (start, end))
    return Contrast(label, table, more, less)


def alone(letter: str, how: str = "") -> Contrast:
    """What a uni-modal classifier loses from clean data to -10 dB, trained on clean data or on the noise."""
    name = f"unimodal classifier, {letter}"
    trained = "trained with the noise" if how else "trained clean"
    return Contrast(f"{letter} alone, clean − (−10 dB), {trained}", 4,
                    {"system": name, "noise": "", "snr_db": ""},
                    {"system": name + how, "noise": "gaussian", "snr_db": "-10"})


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
    return [
        Claim("3.6.1 (1)", "NMER is ahead of the four others at -10 dB",
              tuple(ahead("NMER", other) for other in others), ("IEMOCAP Gaussian -10 dB WA",),
              tuple(100 * (wa["NMER"] - wa[other]) for other in others)),
        Claim("3.6.1 (1)", "IF-MMIN does well at -10 and -20 dB (read: ahead of the other baselines)",
              tuple(ahead("IF-MMIN", other, level) for level in ("-10", "-20") for other in others[:3]), ()),
        Claim("3.6.1 (1)", "but it is behind NMER at -30 and -40 dB",
              tuple(ahead("NMER", "IF-MMIN", level, noise, metric) for noise in ("gaussian", "impulse")
                    for level in ("-30", "-40") for metric in ("WA", "UA")), ()),
        Claim("3.6.1 (2)", "at -40 dB MEN is 6 to 10 points below the systems that learn with noise",
              tuple(ahead(s, "MEN", "-40", noise) for noise in ("gaussian", "impulse") for s in others[1:]), (gap,),
              (value[f"{gap}, lower end"], value[f"{gap}, upper end"])),
        Claim("3.6.1 (3)", "with only a, or only v, clean NMER loses about 9 points from -10 to -40 dB",
              (drop("NMER", "a", 3), drop("NMER", "v", 3)), ("WA drop of {a} and {v}",),
              (value["WA drop of {a} and {v} from -10 to -40 dB"],)),
        Claim("3.6.1 (3)", "with two modalities clean it loses 2 to 5 points",
              tuple(drop("NMER", c, 3) for c in ("a,v", "a,l", "v,l")), (two,),
              (value[f"{two}, lower end"], value[f"{two}, upper end"])),
        Claim("3.6.1 (3)", "with only l clean it loses about 4 points", (drop("NMER", "l", 3),), ("WA drop of {l}",),
              (value["WA drop of {l} from -10 to -40 dB"],)),
        Claim("3.6.1 (3)", "with two clean of which l is one it loses about 2 points",
              (drop("NMER", "a,l", 3), drop("NMER", "v,l", 3)), ("WA drop with two clean modalities that include l",),
              (value["WA drop with two clean modalities that include l"],)),
        Claim("3.6.2 (1)", "all models get worse with more noise; IF-MMIN falls from -10 to -40 dB",
              tuple(drop(s, "avg", 2) for s in ("IF-MMIN", "MEN", "MCTN", "MMIN", "NMER")), ("IF-MMIN on IEMOCAP",),
              (100 * (if_mmin[0] - if_mmin[1]),)),
        Claim("3.6.2 (3)", "v alone loses about 15 points at -10 dB", (alone("v"), alone("v", NOISY)),
              ("unimodal v loses",), (value["unimodal v loses at -10 dB"],)),
        Claim("3.6.2 (3)", "a alone and l alone lose about 10 points at -10 dB",
              (alone("a"), alone("a", NOISY), alone("l"), alone("l", NOISY)), ("unimodal a and l lose",),
              (value["unimodal a and l lose at -10 dB"],)),
        Claim("3.6.3 (1)", "with all modalities noisy MMIN falls by about 4 points from -10 to -20 dB",
              (drop("MMIN", "none", 5, "-10", "-20"),), ("MMIN on IEMOCAP, all modalities noisy, -10",),
              (value["MMIN on IEMOCAP, all modalities noisy, -10 to -20 dB"],)),
        Claim("3.6.3 (1)", "and \"further\" by about 13 points at -40 dB",
              (drop("MMIN", "none", 5, "-20", "-40"), drop("MMIN", "none", 5, "-10", "-40")),
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
    """The contrast in points, from the paper's table as printed; nan where it has no such place."""
    table = published("nmer", contrast.table)
    table = table[(table["dataset"] == dataset) & (table["metric"] == contrast.metric)]
    if contrast.table == 4:  # one classifier; "0" is the clean row
        letter = len("unimodal classifier, ")
        place = lambda side: {"modality": side["system"][letter], "snr_db": side["snr_db"] or "0"}  # noqa: E731
    else:
        place = lambda side: side  # noqa: E731
    values = [pick(table, place(side))["value"] for side in (contrast.more, contrast.less)]
    return float(100 * (values[0].iloc[0] - values[1].iloc[0])) if all(len(v) for v in values) else float("nan")


def pick(rows: pd.DataFrame, place: Mapping[str, str]) -> pd.DataFrame:
    for column, value in place.items():
        rows = rows[rows[column] == value]
    return rows


# --- our rows ---------------------------------------------------------------------------------------------------------


def measured(rows: pd.DataFrame) -> pd.DataFrame:
    """All contrasts of all claims on rows of ONE dataset: effect, low and high in points, p, repetitions, unit,
    verdict, and `why` where a contrast cannot be tested. `p_holm` is corrected for the contrasts of the same claim,
    each claim being a question of its own; `p_all` for those of all claims."""
    (dataset,) = rows["dataset"].unique()
    tables = tables_of(rows)
    out = pd.DataFrame([
        {"number": number} | line
        for number, claim in enumerate(all_claims(), 1) for line in measure(claim, tables, dataset)
    ])  # fmt: skip
    out["p_holm"] = out.groupby("number")["p"].transform(holm)
    once = out.drop_duplicates("contrast")  # claims share contrasts: each is one hypothesis
    out["p_all"] = out["contrast"].map(dict(zip(once["contrast"], holm(once["p"]), strict=True)))
    out["verdict"] = [verdict(*line) for line in zip(out["effect"], out["p_holm"], out["why"], strict=True)]
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
    """The rows of `more` and of `less`."""
    rows = tables[contrast.table]
    rows = rows[rows["metric"] == contrast.metric]
    return pick(rows, contrast.more), pick(rows, contrast.less)


def evidence(rows: pd.DataFrame) -> pd.DataFrame:
    """What every verdict on ONE dataset rests on, a line for each side and training: the columns claim (its number),
    comparison, side (more or less) and those of the ledger. Values of Table 2 are means over the conditions."""
    tables, out = tables_of(rows), []
    for number, claim in enumerate(all_claims(), 1):
        for contrast in claim.contrasts:
            for side, part in zip(("more", "less"), sides_of(contrast, tables), strict=True):
                out.append(part.assign(claim=number, comparison=contrast.what, side=side))
    found = pd.concat(out)
    return found[["claim", "comparison", "side", *EVIDENCE]].reset_index(drop=True)


EVIDENCE = ("system", "noise", "snr_db", "condition", "metric", "value",
            "train", "fold", "seed", "key", "commit", "device")


def measure(claim: Claim, tables: Mapping[int, pd.DataFrame], dataset: str) -> Iterator[dict[str, object]]:
    for contrast in claim.contrasts:
        more, less = sides_of(contrast, tables)
        sides = [more.assign(system="more"), less.assign(system="less")]
        line = {"where": claim.where, "says": claim.says, "contrast": contrast.what,
                "paper": in_the_paper(contrast, COUNTERPART.get(dataset, "")),
                **dict.fromkeys(("effect", "low", "high", "p"), float("nan")),
                "repetitions": 0, "unit": "", "why": ""}
        both = pd.concat(sides)
        if min(map(len, sides)) == 0:
            yield line | {"why": missing(contrast, dataset)}
            continue
        found = paired(both, "more", "less")
        yield line | {
            "effect": 100 * found["mean"], "low": 100 * found["low"], "high": 100 * found["high"], "p": found["p"],
            "repetitions": found["repetitions"], "unit": found["unit"],
        }  # fmt: skip


def missing(contrast: Contrast, dataset: str) -> str:
    """Why a contrast has no rows: the corpus has no such condition, or nobody has measured it yet."""
    headers = [*incomplete_headers(dataset), "avg", "none"]
    alone = contrast.table == 4
    place = contrast.more["system"][len("unimodal classifier, ")] if alone else contrast.more["condition"]
    if place in headers:
        return "not measured yet"
    lacking = sorted(set(place.split(",")) - set("".join(headers[:-2])))
    return f"the corpus has no {' and no '.join(lacking)}" if lacking else f"{{{place}}} is all that the corpus has"


def verdict(effect: float, p: float, why: str) -> str:
    """`holds` or `does not hold` where the effect is beyond chance (corrected p below 5%), else `not shown`."""
    if why:
        return "cannot be tested"
    if pd.isna(p):
        return "no interval"
    if p >= 0.05:
        return "not shown"
    return "holds" if effect > 0 else "does not hold"
