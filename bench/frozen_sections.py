"""The numbers of tests/frozen.json, as the project computes them now from published scores."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pandas as pd

from robustmer.experiments import statistics
from robustmer.experiments.contrasts import Contrast, difference, measure
from robustmer.experiments.papers import cdtp, nmer, nmer_beyond, nmer_claims
from robustmer.experiments.papers.nmer import BAR, LEVELS_DB, METRICS, NOISES, UNI_MODAL, Column, Row
from robustmer.experiments.papers.profiles import claims_of, published
from robustmer.experiments.tables import Place, Results, Table

Sections = Iterator[tuple[str, pd.DataFrame]]
NMER_ON, CDTP_ON = ("ravdess_av", "mosi_bclstm"), ("ravdess_av", "mosi_sentiment", "synthetic")
FIRST = {"systems": ("2", [Row("MEN", "clean"), Row("MEN"), BAR, Row("MCTN"), Row("MMIN"), Row("IF-MMIN")]),
         "parts": ("ablation", list(nmer.ABLATION[3:5]))}  # fmt: skip
"""What NMER was compared with, by family and table."""


def summaries(tables: Sequence[Table], measured: Results) -> pd.DataFrame:
    """Tables of several corpora; a place that two tables have counts once."""
    frame = pd.concat([table.summarise(measured).assign(dataset=table.dataset) for table in tables], ignore_index=True)
    again = [is_new(keys, measured) for keys in frame["keys"]]
    return frame.assign(again=again).drop_duplicates(["dataset", "row", "column"])


def is_new(keys: Iterable[str], measured: Results) -> bool:
    """Whether one of these trainings was measured since the first edition, which took no hash of its code."""
    return any(measured.trainings[key]["code"] for key in keys if key in measured.trainings)


def effects(contrasts: Sequence[tuple[Contrast, dict]], measured: Results) -> pd.DataFrame:
    """Contrasts of one family, each with the columns that name it. Those that are not measured are left out."""
    frame = measure([contrast for contrast, _ in contrasts], measured).assign(diverged=0)
    about = pd.DataFrame([about for _, about in contrasts])
    frame = pd.concat([about, frame.rename(columns={"effect": "mean"})], axis=1)
    frame["again"] = [any(is_new([cell.recipe.key for cell in place.cells], measured) for place in contrast.places)
                      for contrast, _ in contrasts]  # fmt: skip
    frame = frame[frame["why"] == ""]
    return frame.assign(p_holm=statistics.holm(frame["p"]), **{"family again": frame["again"].any()})


def tables_of_nmer(measured: Results) -> Sections:
    on = [nmer.tables("paper", corpus) for corpus in NMER_ON]
    all_of = lambda *numbers: summaries([tables[n] for tables in on for n in numbers], measured)  # noqa: E731
    incomplete, five, clean = all_of("3", "ablation"), all_of("5"), all_of("clean")
    yield "nmer table 2", incomplete[incomplete["condition"] == "avg"]
    yield "nmer table 3", incomplete[~incomplete["condition"].isin(["avg", "clean"])]
    yield "nmer table 4", all_of("4")
    yield "nmer table 5", five
    yield "nmer clean", clean
    yield "nmer majority", clean[clean["system"] == "majority class"]
    gap = [(difference(t["clean"].where(metric=m), Row("MEN", "clean"), Row("LogReg", "clean")),
            {"dataset": t["clean"].dataset, "metric": m}) for t in on for m in METRICS]  # fmt: skip
    yield "nmer clean MEN minus LogReg", effects(gap, measured)
    frames = []
    for tables, metric, name in product(on, METRICS, FIRST):
        number, others = FIRST[name]
        place = {"metric": metric, "condition": "avg"}
        frames.append(effects([
            (difference(tables[number].where(noise=noise, level=level, **place), Row("NMER"), other),
             {"dataset": tables[number].dataset, "family": name, "noise": noise, "level": level, "other": other.system,
              "trained": other.trained, **place})
            for noise, level, other in product(NOISES, LEVELS_DB, others)
        ], measured))  # fmt: skip
    yield "nmer differences", pd.concat(frames)
    lines = []
    for table, metric, letter, trained in product([t["4"] for t in on], METRICS, "avl", ("clean", "noisy")):
        level = LEVELS_DB[0]
        clean = table.cells.get((Row(UNI_MODAL, "clean"), Column(metric, "", None, letter)), Place())
        noisy = table.cells.get((Row(UNI_MODAL, trained), Column(metric, "gaussian", level, letter)), Place())
        if clean.cells and noisy.cells:
            about = {
                "dataset": table.dataset,
                "metric": metric,
                "condition": letter,
                "trained": trained,
                "level": level,
            }
            lines.append((Contrast("", (clean,), (noisy,)), about))
    yield "nmer lost alone", effects(lines, measured)
    yield from counts_of_nmer(incomplete, five)


def counts_of_nmer(incomplete: pd.DataFrame, five: pd.DataFrame) -> Sections:
    """What pages count over the places of Tables 2, 3 and 5."""
    average = incomplete["condition"] == "avg"
    parts = {"04": (incomplete[average], nmer.SYSTEMS[3:]), "05": (incomplete[~average], (Row("NMER"),)),
             "07": (five, nmer.SYSTEMS[3:]), "08": (incomplete[average], nmer.ABLATION[3:])}  # fmt: skip
    lines = []
    for page, (frame, rows) in parts.items():
        frame = frame[(frame["metric"] == "UA") & frame["row"].isin(rows)]
        frame = frame[~frame["condition"].isin(["clean"] + ["none"] * (page != "07"))]
        for (dataset, row), part in frame.groupby(["dataset", "row"]):
            lines.append({"dataset": dataset, "page": page, "system": row[0], "trained": row[1],
                          "behind": int(part["below"].sum()), "places": len(part)})  # fmt: skip
    yield "nmer below LogReg", pd.DataFrame(lines)
    by = ["dataset", "system", "trained", "level", "metric"]
    networks = lambda frame: frame[(frame["noise"] == "gaussian") & frame["row"].isin(nmer.SYSTEMS[1:])]  # noqa: E731
    both = networks(incomplete[average]).merge(networks(five), on=by).query("metric != 'F1'")
    lost = (both["mean_x"] - both["mean_y"]).groupby(both["dataset"])
    cost = pd.DataFrame({
        "cells": lost.size(), "mean loss": 100 * lost.mean(), "largest gain": -100 * lost.min().clip(upper=0),
        "cells that gain": lost.agg(lambda loss: int((loss < 0).sum())),
    })  # fmt: skip
    yield "nmer all noisy costs", cost.reset_index()
    rows = ["dataset", "system", "trained", "metric"]
    wide = networks(five).query("metric != 'F1'").pivot(index=rows, columns="level", values="mean")
    steps = -wide[list(LEVELS_DB)].diff(axis=1).iloc[:, 1:]
    larger = (steps.diff(axis=1).iloc[:, 1:] > 0).all(axis=1)
    last = steps.iloc[:, -1] > steps.iloc[:, 0]
    found = pd.DataFrame({"rows": 1, "every step larger": larger, "last larger than first": last})
    yield "nmer steps", found.groupby("dataset").sum().reset_index()


def claims_of_nmer(measured: Results) -> Sections:
    lines, printed, of = [], [], {corpus: nmer_claims.claims(corpus) for corpus in NMER_ON}
    for corpus, claims in of.items():
        table = nmer.tables("paper", corpus)["2"]
        parts = []
        for number, claim in enumerate(claims, 1):
            part = measure(claim.contrasts, measured, scale=100).assign(number=number, where=claim.where)
            ends = zip(part["low"], part["high"], strict=True)
            parts.append(part.assign(size=[statistics.size(low, high, claim.points) for low, high in ends]))
        frame = pd.concat(parts, ignore_index=True)
        contrasts = frame["contrast"]
        once = contrasts.drop_duplicates()
        corrected = dict(zip(once, statistics.holm(frame["p"][once.index]), strict=True))
        lines.append(frame.assign(
            dataset=table.dataset, line=range(len(frame)),
            p_all=[corrected[c] for c in contrasts], unit=frame["unit"].where(frame["repetitions"] > 0, ""),
            paper=[100 * c.printed.get(table.counterpart, math.nan) for c in contrasts]))  # fmt: skip
    contrasts = [contrast for claim in claims for contrast in claim.contrasts]
    for corpus, (line, contrast) in product(("IEMOCAP", "CMU-MOSEI"), enumerate(contrasts)):
        printed.append({"corpus": corpus, "line": line, "value": 100 * contrast.printed.get(corpus, math.nan)})
    yield "nmer claims", pd.concat(lines)
    yield "nmer claims in the paper", pd.DataFrame(printed)
    text = claims_of("nmer")
    numbers = set(text["claim"][[place.startswith("Section 3.6") for place in text["where"]]])
    covered = {number for claim in claims for number in claim.numbers} & numbers
    risen, steps = rises()
    counts = {"rises": risen, "steps": steps, "covered": len(covered), "numbers": len(numbers)}
    yield "nmer claims counts", pd.DataFrame({"what": counts.keys(), "n": counts.values()})


def rises() -> tuple[int, int]:
    """In how many of the steps from one level to the next louder one a score of the paper's Table 2 rises, and of how
    many steps."""
    wide = published("nmer", 2).pivot(index=["dataset", "noise", "metric", "system"], columns="snr_db", values="value")
    steps = wide[[f"{level:g}" for level in LEVELS_DB]].diff(axis=1).iloc[:, 1:]
    return int((steps > 0).sum().sum()), int(steps.notna().sum().sum())


def ranks_and_control(measured: Results) -> Sections:
    table = nmer.tables("paper", "ravdess_av")["2"].where(metric="UA")
    frame = table.values(measured).merge(pd.DataFrame(nmer.SYSTEMS[1:]))
    frame["row"] = [Row(*names) for names in zip(frame["system"], frame["trained"], strict=True)]
    rows = list(frame["row"].unique())
    shared = frame.groupby(["noise", "level", "fold", "seed"])["row"].transform("nunique") == len(rows)
    order, critical, n = statistics.ranks(frame[shared], rows, by="row")
    yield "nmer ranks", pd.DataFrame([{"dataset": table.dataset, **row._asdict(), "rank": rank, "critical": critical,
                                       "repetitions": n} for row, rank in order.items()])  # fmt: skip
    table = nmer.control()
    frame = table.values(measured)
    found = statistics.over_speakers(frame, ["system", "trained", "condition", "noise", "level"])
    found["p_holm"] = found.groupby(["condition", found["noise"] == "both"])["p"].transform(statistics.holm)
    yield "nmer control", found
    yield "nmer control over seeds", table.summarise(measured)
    yield "nmer control rows", frame


def beyond(measured: Results, wanted: pd.DataFrame) -> Sections:
    """`wanted` names the differences."""
    on = [tables | {"kinds": tables["transfer"]} for tables in (dict(nmer_beyond.tables("paper", c)) for c in NMER_ON)]
    frames = [tables[n].summarise(measured).assign(dataset=tables[n].dataset, table=n) for tables in on
              for n in ("transfer", "old ways")]  # fmt: skip
    frame = pd.concat(frames, ignore_index=True)
    yield "nmer beyond", frame
    yield "nmer beyond by condition", frame
    sides, lines = ("trained", "trained level", "noise", "level"), []
    for line in wanted.to_dict("records"):
        table = next(t[line["table"]] for t in on if t["transfer"].dataset == line["dataset"])
        places = []
        for side in ("more", "less"):
            trained, trained_level, noise, level = (line[f"{side} {name}"] for name in sides)
            condition = "avg" if noise else "clean"
            at = nmer_beyond.Row(line["system"], trained, trained_level), Column("UA", noise, level, condition)
            places.append((table.cells[at],))
        about = {
            name: line[name]
            for name in line
            if name in ("dataset", "table", "system") or name[:5] in ("more ", "less ")
        }
        lines.append((Contrast("", *places), about))
    yield "nmer beyond differences", effects(lines, measured)
    yield "nmer beyond curves", curves(frame[(frame["table"] == "transfer") & (frame["metric"] == "UA")])


def curves(frame: pd.DataFrame) -> pd.DataFrame:
    """UA on clean data and at the lowest level, and the level at which half of the difference is first lost."""
    frame, lines = frame[frame["condition"].isin(["avg", "clean"]) & frame["noise"].isin(["gaussian", ""])], []
    for (dataset, row), part in frame.groupby(["dataset", "row"]):
        means = part.assign(level=part["level"].fillna(30.0)).sort_values("level", ascending=False)
        level, mean = means["level"].to_numpy(), means["mean"].to_numpy()
        if level[-1] == nmer_beyond.CURVE_DB[-1]:
            middle, lost, at = (mean[0] + mean[-1]) / 2, mean[0] - mean[-1], math.nan
            first = int(np.flatnonzero(mean <= middle)[0]) if lost > 0 else 0
            if lost > 0.02 and first >= 2:
                share = (mean[first - 1] - middle) / (mean[first - 1] - mean[first])
                at = level[first - 1] + share * (level[first] - level[first - 1])
            about = {"dataset": dataset, **row._asdict()}
            lines.append(about | {"clean": mean[0], "lowest": mean[-1], "lost": lost, "half-way": at})
    return pd.DataFrame(lines)


def tables_of_cdtp(measured: Results) -> Sections:
    on = [cdtp.tables("paper", corpus) for corpus in CDTP_ON]
    yield "cdtp table 1", summaries([table for tables in on for table in tables.values()], measured)
    others = {
        ("table 1", "1", "CDTP"): [*cdtp.SYSTEMS[:-1]], ("below", "1", "LogReg"): cdtp.NETWORKS,
        ("prompts", "ablations", "MPLMM"): cdtp.PROMPTS,
        ("diffusion", "ablations", "CDTP"): (cdtp.Row("MD"), cdtp.Row("MPLMM"), *cdtp.DIFFUSION),
        ("misa", "backbones", "MISA + completion"): (cdtp.Row("MISA"),),
        ("mmim", "backbones", "MMIM + completion"): (cdtp.Row("MMIM"),),
    }  # fmt: skip
    frames, costs = [], []
    for tables in on:
        dataset = tables["1"].dataset
        for metric in dict.fromkeys(column.metric for column in tables["1"].columns):
            for (name, number, system), against in others.items():
                table = tables[number].where(metric=metric, condition="avg")
                about = {"dataset": dataset, "metric": metric, "family": name, "system": system}
                frames.append(effects([(difference(table, cdtp.Row(system), other), about | {"other": other.system})
                                       for other in against], measured))  # fmt: skip
            rows = [row for row in cdtp.SYSTEMS if (row, cdtp.Column(metric, "clean")) in tables["1"].cells]
            place = lambda row, condition, of=tables["1"], m=metric: (of.cells[row, cdtp.Column(m, condition)],)  # noqa: E731
            lost = [
                (Contrast("", place(row, "clean"), place(row, "avg")), about | {"system": row.system}) for row in rows
            ]
            means = tables["1"].where(metric=metric, condition="clean").summarise(measured).set_index("system")["mean"]
            found = effects(lost, measured)
            found["whole"] = found["system"].map(means)
            costs.append(found.assign(lost=found["mean"], avg=found["whole"] - found["mean"],
                                      half=found["high"] - found["mean"]))  # fmt: skip
    yield "cdtp differences", pd.concat(frames)
    yield "cdtp costs", pd.concat(costs)
    yield "cdtp averages", cdtp.averages()
    gains = [{"system": a, "other": b, "difference": d, "cells": n}
             for a, b in (("CDTP", "MPLMM"), ("MPLMM", "MPMM")) for d, n in cdtp.gains(a, b).items()]  # fmt: skip
    yield "cdtp gains", pd.DataFrame(gains)
    most = [{"system": a, "other": b, "most": int(cdtp.gains(a, b).max())}
            for a, b in combinations([row.system for row in cdtp.NETWORKS], 2)]  # fmt: skip
    yield "cdtp gains, most", pd.DataFrame(most)


def all_sections(measured: Mapping[str, Results], beyond_differences: pd.DataFrame) -> Sections:
    """Every section of frozen.json but the quick profile's, by its name."""
    yield from tables_of_nmer(measured["nmer"])
    yield from claims_of_nmer(measured["nmer"])
    yield from ranks_and_control(measured["nmer"])
    yield from beyond(measured["nmer_beyond"], beyond_differences)
    yield from tables_of_cdtp(measured["cdtp"])
