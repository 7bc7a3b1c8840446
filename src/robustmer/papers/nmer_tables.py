"""NMER's tables in the paper's own form: rows in, published and measured numbers side by side out.

All functions take rows of one dataset, from one ledger. Which rows a table rests on is decided by what stands in them:
the noise and level that a system was trained with (`train`) and tested at.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from robustmer import papers
from robustmer.corpora import about
from robustmer.papers.nmer import (
    NOISES,
    NOISY,
    UNI_MODAL,
    averaged,
    incomplete_headers,
    noise_kind,
    profile_named,
    recipes,
)
from robustmer.papers import protocol
from robustmer.papers.protocol import Block
from robustmer.results import published
from robustmer.statistics import cells, holm, losing, over_speakers, plus_minus, printed, tabulate

COUNTERPART = {"RAVDESS-AV": "IEMOCAP", "synthetic": "IEMOCAP", "CMU-MOSI": "CMU-MOSEI",
               "IEMOCAP": "IEMOCAP", "CMU-MOSEI": "CMU-MOSEI"}
"""Which of the paper's corpora stands beside ours: emotions in four to eight classes, or two sentiments."""

BASELINES = ("majority class", "LogReg", "LogReg" + NOISY)
SYSTEMS = (*BASELINES, "MEN", "MEN" + NOISY, "MCTN", "MMIN", "IF-MMIN", "NMER")
ABLATION = (*BASELINES, "w/o VAE", "w/o L_inv", "NMER")
BAR = "LogReg" + NOISY
"""The simple baseline; what is below it at the same place is marked."""

CLEAN_ONLY = ("majority class", "LogReg", "MEN")


def blocks(own: pd.DataFrame | None = None) -> list[Block]:
    """The page's own rows, if they are not the measured ones, and the committed rows of each dataset: those of the
    paper's own tables, not of what it does not have, whose systems are named after their training."""
    found = []
    for block in protocol.blocks("nmer", COUNTERPART, own):
        rows = block.rows[~block.rows["system"].str.contains(", trained ")]
        if len(rows):
            found.append(replace(block, rows=rows, source=protocol.source_of(rows)))
    return found


def run(
    profile: str, device: str, corpus: str, noise: str, seed: int, wanted: Mapping[str, Collection[str]]
) -> pd.DataFrame:
    """Compute what a page lacks and return its rows: the trainings of these of nmer.TABLES, on one corpus, under the
    profile's noises and `noise`. Of each table the named systems are taken, all where none are named. On the CPU as
    many trainings run at once as there are cores."""
    noise_kind(noise)  # an unknown one ends here
    noises = [n for n in NOISES if n in {*profile_named(profile).noises, noise}]
    chosen = [
        recipe for table, names in wanted.items()
        for recipe in recipes(profile, [corpus], None, seed, noises, [table]) if not names or recipe.name in names
    ]  # fmt: skip
    return papers.compute("nmer", profile, chosen, device)


def level_names(levels: Sequence[str]) -> list[str]:
    return [level_name(level) for level in sorted(set(levels), key=float, reverse=True)]


def level_name(level: str) -> str:
    return f"{float(level):g}\u00a0dB".replace("-", "\u2212")


def incomplete_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Tables 2 and 3: trained on clean data, or under the incomplete conditions of the noise and level of the test."""
    return rows[(rows["noise"] != "") & rows["train"].isin(["clean"]) | (rows["train"] == same_noise(rows))]


def all_noisy_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Table 5: every modality is noisy at test, and in training too, or training was clean."""
    alike = (rows["train"] == "clean") | (rows["train"] == "all noisy, " + same_noise(rows))
    return rows[(rows["condition"] == "none") & alike]


def same_noise(rows: pd.DataFrame) -> pd.Series:
    return rows["noise"] + " " + rows["snr_db"] + " dB"


def table_2(rows: pd.DataFrame, noise: str, metric: str, systems: Sequence[str] = SYSTEMS) -> pd.DataFrame:
    """Systems by level, mean over the incomplete conditions; with ABLATION for `systems` its last two rows."""
    return systems_by_level(rows, averaged(incomplete_rows(rows)), 2, noise, metric, systems)


def table_5(rows: pd.DataFrame, noise: str, metric: str) -> pd.DataFrame:
    """Systems by level, all modalities noisy. The paper prints Gaussian noise only."""
    return systems_by_level(rows, all_noisy_rows(rows), 5, noise, metric, SYSTEMS)


def systems_by_level(
    rows: pd.DataFrame, chosen: pd.DataFrame, table: int, noise: str, metric: str, systems: Sequence[str]
) -> pd.DataFrame:
    chosen = chosen[(chosen["noise"] == noise) & (chosen["metric"] == metric) & chosen["system"].isin(systems)]
    levels = sorted(set(chosen["snr_db"]), key=float, reverse=True)
    # The majority class answers the same under every condition and from every seed, so it is measured on clean data.
    same = pd.DataFrame({"system": "majority class", "snr_db": levels, "cell": majority(rows, metric)})
    ours = pd.concat([same, cells(chosen, ["system", "snr_db"], below=BAR)])
    paper = published("nmer", table)
    paper = paper[(paper["dataset"] == counterpart(rows)) & (paper["noise"] == noise) & (paper["metric"] == metric)]
    return tabulate(
        {"paper": by_level(printed(paper)), "ours": by_level(ours)},
        "system", "snr_db", systems, level_names([*levels, *paper["snr_db"]]),
    )  # fmt: skip


def by_level(part: pd.DataFrame) -> pd.DataFrame:
    return part.assign(snr_db=[level_name(level) for level in part["snr_db"]])


def table_3(rows: pd.DataFrame, noise: str, metric: str) -> pd.DataFrame:
    """NMER by level and condition, with the average, and below it noisy logistic regression and the majority class. The
    paper prints NMER under Gaussian noise."""
    chosen = incomplete_rows(rows)
    chosen = chosen[(chosen["noise"] == noise) & (chosen["metric"] == metric)]
    both = pd.concat([chosen, averaged(chosen)])
    both = both[both["system"].isin(["NMER", BAR])]
    ours = cells(both, ["system", "snr_db", "condition"], below=BAR)
    paper = published("nmer", 3)
    same = (paper["dataset"] == counterpart(rows)) & (paper["noise"] == noise) & (paper["metric"] == metric)
    paper = paper[same & (paper["system"] == "NMER")]
    headers = [*incomplete_headers(rows["dataset"].iloc[0]), "avg"]
    place = lambda part: part.assign(row=part["system"] + ", " + part["snr_db"].map(level_name))  # noqa: E731
    same = pd.DataFrame({"row": "majority class", "condition": headers, "cell": majority(rows, metric)})
    levels = level_names([*ours["snr_db"], *paper["snr_db"]])
    return tabulate(
        {"paper": place(printed(paper)), "ours": pd.concat([place(ours), same])}, "row", "condition",
        [*(f"{system}, {level}" for system in ("NMER", BAR) for level in levels), "majority class"], headers,
    ).rename_axis("")  # fmt: skip


def table_4(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One modality alone, clean and at each level: classifiers trained clean, and trained with the noise of the test.

    The paper's row "0dB" is read as clean data (it is what "each modality carries"; audit of section 3.6.2).
    """
    chosen = uni_modal(rows[rows["metric"] == metric])
    chosen["place"] = [level_name(level) if level else "clean" for level in chosen["snr_db"]]
    found = cells(chosen, ["system", "place", "letter"], below=BAR)
    sources = {"clean training": UNI_MODAL, "noisy training": UNI_MODAL + NOISY, "LogReg": "LogReg",
               "LogReg, noisy": BAR}
    paper = published("nmer", 4)
    paper = paper[(paper["dataset"] == counterpart(rows)) & (paper["metric"] == metric)]
    paper = printed(paper.assign(place=["clean" if level == "0" else level_name(level) for level in paper["snr_db"]]))
    levels = level_names([level for level in {*chosen["snr_db"], *paper["snr_db"]} if level not in ("", "0")])
    letters = [h for h in incomplete_headers(rows["dataset"].iloc[0]) if "," not in h]
    ours = {name: found[found["system"] == system] for name, system in sources.items()}
    ours = {name: part for name, part in ours.items() if len(part)}
    return tabulate({"paper": paper.rename(columns={"modality": "letter"}), **ours}, "place", "letter",
                    ["clean", *levels], letters).rename_axis("SNR")


def uni_modal(rows: pd.DataFrame) -> pd.DataFrame:
    """`alone`, its systems named as in the other tables: by how they were trained, without their modality."""
    chosen = alone(rows)
    return chosen.assign(system=chosen["name"] + chosen["how"])


def alone(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one modality alone, with the columns `name`, `letter` and `how` (NOISY, or nothing): trained clean, or
    with the noise of the test. Trained on clean data is what the latter means where the test is clean."""
    chosen = rows[rows["train"].str.startswith("only ")]
    chosen = chosen.assign(**chosen["system"].str.extract(r"^(?P<name>[^,]+), (?P<letter>[avl])(?P<how>.*)$"))
    trained_so = chosen["train"] == "only " + chosen["letter"] + ", " + same_noise(chosen)
    trained_clean = (chosen["how"] == "") & chosen["train"].str.endswith(", clean")
    chosen = chosen[trained_clean | (chosen["how"] == NOISY) & trained_so]
    clean = chosen[(chosen["how"] == "") & (chosen["noise"] == "")]
    return pd.concat([chosen, clean.assign(how=NOISY)])


def majority(rows: pd.DataFrame, metric: str) -> str:
    """What always answering the commonest class of the train part gives, as text."""
    chosen = rows[(rows["system"] == "majority class") & (rows["metric"] == metric)]
    return f"{chosen['value'].mean():.3f}" if len(chosen) else "–"


def about_wa(rows: pd.DataFrame) -> str:
    """A warning where the commonest class of a two-class train part is the rarer one of its test part: WA rises and
    falls with how often a system says that class. Nothing elsewhere."""
    found = rows[(rows["system"] == "majority class") & (rows["metric"] == "WA")]
    share, dataset = found["value"].mean(), rows["dataset"].iloc[0]
    if about(dataset).classes != 2 or not share < 0.5:
        return ""
    return (f"The commonest class of {dataset}'s train part is the rarer one of its test part: the majority class is "
            f"right for {share:.3f} of the rows, and to say always the other for {1 - share:.3f}. **WA there is to be "
            "held against that**, and it falls where a system leans towards its train part's commonest class; UA needs "
            "no such care.")


def counterpart(rows: pd.DataFrame) -> str:
    (dataset,) = rows["dataset"].unique()
    return COUNTERPART.get(dataset, "")


def control(rows: pd.DataFrame) -> pd.DataFrame:
    """What noise on one modality costs: `statistics.over_speakers` of `UA lost` by system, condition, noise and level,
    and with the noise "both" and the level "avg" the mean over all of these, whose errors are taken as one. `p_holm` is
    corrected for the systems (averages), or for their systems, noises and levels (the rest), of the same condition."""
    place = ["system", "condition", "noise", "snr_db"]
    rows = rows.assign(std=rows["std"].astype(float))
    each = rows.groupby(["system", "condition", "seed"], sort=False)
    average = each.agg(value=("value", "mean"), std=("std", "mean"), note=("note", "first")).reset_index()
    average = average[(each.size() == each.size().max()).to_numpy()]  # seeds that lack a level are not averaged
    found = over_speakers(pd.concat([rows, average.assign(noise="both", snr_db="avg")]), place)
    family = [found["condition"], found["snr_db"] == "avg"]
    return found.assign(p_holm=found.groupby(family)["p"].transform(holm))


# --- NMER against the others ------------------------------------------------------------------------------------------


def differences_table(found: pd.DataFrame) -> pd.DataFrame:
    """What `nmer.differences` found, a line for each noise and level: mean ± half the 95% interval, and a star where it
    is beyond chance after Holm's correction. Seeds of one split get no star: they share their test speakers."""
    found = found.assign(
        SNR=[level_name(level) for level in found["snr_db"]],
        other="minus " + found["other"],
        cell=[plus_minus(m, h, sign=True) + ("\u00a0*" if p < 0.05 and unit == "fold" else "")
              for m, h, p, unit in zip(found["mean"], found["high"], found["p_holm"], found["unit"], strict=True)],
    )  # fmt: skip
    wide = found.pivot_table(index=["noise", "SNR"], columns="other", values="cell", aggfunc="first", sort=False)
    return wide.rename_axis(columns=None).reset_index().fillna("–")


def differences_in_words(found: pd.DataFrame) -> str:
    """A line for each of the others: where NMER is ahead, or behind, by more than the interval."""
    if found["p"].isna().all():
        return "No difference has three repetitions, so none has an interval."
    lines, unit = [], found["unit"].iloc[0]
    for other, part in found.groupby("other", sort=False):
        where = part["noise"] + " " + part["snr_db"].map(level_name)
        ahead, behind = where[part["low"] > 0], where[part["high"] < 0]
        said = f"ahead at {', '.join(ahead)}" if len(ahead) else "ahead nowhere"
        said += f", behind at {', '.join(behind)}" if len(behind) else ""
        kept, tested = int((part["p_holm"] < 0.05).sum()), int(part["p"].notna().sum())
        everywhere = int(found["p"].notna().sum())
        lines.append(f"- Against **{other}**, beyond the interval over {unit}s: {said} ({tested} have one, "
                     f"{kept} remain after Holm's correction for all {everywhere} of the table).")
    return "\n".join(lines)


def losers(
    chosen: pd.DataFrame, systems: Sequence[str] = SYSTEMS[3:], place: Sequence[str] = ("noise", "snr_db", "condition"),
    metric: str = "UA",
) -> str:
    """Which systems of a table are below noisy logistic regression, and at how many of the places that both have."""
    chosen = chosen[(chosen["metric"] == metric) & chosen["system"].isin([*systems, BAR])]
    there = set(chosen[chosen["system"] == BAR][list(place)].itertuples(index=False, name=None))
    places = {s: len(there & set(part[list(place)].itertuples(index=False, name=None)))
              for s, part in chosen.groupby("system")}
    behind = [system for system, *_ in losing(chosen, ["system", *place], BAR)]
    said = [f"{s} at {behind.count(s)} of {places[s]}" for s in systems if s in behind]
    return f"Below logistic regression trained with noise ({metric}): {', '.join(said)}." if said else \
        f"No system is below logistic regression trained with noise ({metric})."
