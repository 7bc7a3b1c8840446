"""The findings of the front page: fixed sentences, numbers computed from measured and published results.

`findings` raises ValueError where new results refute a sentence, which must then be rewritten. Effects are in points;
intervals are 95% and uncorrected.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import pandas as pd

from robustmer.corpora import named as corpora_named
from robustmer.experiments.contrasts import Contrast
from robustmer.experiments.papers import PAPERS, cdtp, infogan, judged, mcwsa, nmer, results
from robustmer.experiments.papers.profiles import published
from robustmer.experiments.tables import Label, Results
from robustmer.noise import kind_power

PEOPLE = {"nmer": ("ravdess_av", "mosi_bclstm"), "cdtp": ("ravdess_av", "mosi_sentiment")}
"""The corpora of people for each paper: one with folds of speakers, one with a single split."""


class Estimate(NamedTuple):
    """A difference, or a share, with its interval and p (nan where there is none) and the keys of its trainings."""

    name: str
    value: float
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    keys: tuple[str, ...] = ()


class Finding(NamedTuple):
    """A sentence, the paper's counterpart (`beside`), its evidence (`chip`: people, seeds only, printed or synthetic),
    the corpus, the anchor of its page in the book, and its numbers."""

    sentence: str
    beside: str
    chip: str
    corpus: str
    anchor: str
    estimates: tuple[Estimate, ...]


# --- the comparisons --------------------------------------------------------------------------------------------------


def differences(paper: str, measured: Results | None = None) -> pd.DataFrame:
    """The paper's system minus each of the others, in points, mean over noises, levels and incomplete conditions.

    A line for each printed and measured difference, with the columns row (the label of the other system), dataset, kind
    (printed; people, over folds of speakers; seeds, of one split; one, a single training), value, low, high, p,
    repetitions and keys.
    """
    measured = results(paper) if measured is None else measured
    lines = []
    for contrasts in zip(*(PAPERS[paper].planned(corpus) for corpus in PEOPLE[paper]), strict=True):
        row = contrasts[0].rows[1]
        lines += [{"row": row, "dataset": name, "kind": "printed", "value": value}
                  for name, value in printed(paper, contrasts[0]).items()]  # fmt: skip
        lines += [line_of(row, contrast, measured) for contrast in contrasts]
    frame = pd.DataFrame(lines, columns=["row", "dataset", "kind", "value", "low", "high", "p", "repetitions", "keys"])
    return frame.dropna(subset="value").reset_index(drop=True)


def line_of(row: Label, contrast: Contrast, measured: Results) -> dict[str, object]:
    line = contrast.measure(measured, scale=100)
    kind = "one" if line["repetitions"] < 3 else {"fold": "people", "seed": "seeds"}[line["unit"]]
    cells = [cell for place in contrast.places for cell in place.cells]
    return {"row": row, "dataset": cells[0].recipe.corpus.dataset, "kind": kind, "value": line["effect"],
            "keys": tuple(dict.fromkeys(cell.recipe.key for cell in cells)),
            **{name: line[name] for name in ("low", "high", "p", "repetitions")}}  # fmt: skip


def printed(paper: str, contrast: Contrast) -> dict[str, float]:
    """The same difference in the paper, in points, by its corpus. CDTP's is the mean over its cells: 16 of its 46
    printed averages are not those of their cells."""
    if paper != "cdtp":
        return {name: 100 * value for name, value in contrast.printed.items()}
    table = published("cdtp", 1)
    table = table[(table["metric"] == "ACC") & (table["condition"] != "avg")]
    wide = table.pivot(index=["dataset", "condition"], columns="system", values="value")
    more, less = (row.system for row in contrast.rows)
    if not {more, less} <= set(wide):
        return {}
    return (wide[more] - wide[less]).dropna().groupby("dataset", sort=False).mean().to_dict()


def skill_kept(loud: float, mild: float, chance: float) -> float:
    """The share of its skill, the score above chance, that a system keeps from a mild to a loud level. It compares
    corpora with different scores and chances.

    >>> skill_kept(loud=0.40, mild=0.55, chance=0.25)
    0.5
    """
    return round((loud - chance) / (mild - chance), 12)


def skills_kept(corpus: str, measured: Results | None = None, condition: str = "none") -> pd.DataFrame:
    """`skill_kept` of each system from -10 to -40 dB Gaussian, in UA: columns row, dataset, kind (printed, on the
    paper's counterpart, or measured), value (percent). The condition is that of `nmer.Column`: `none` for all
    modalities noisy, `avg` for the mean over the incomplete conditions."""
    measured = results("nmer") if measured is None else measured
    table = nmer.tables("paper", corpus)["5" if condition == "none" else "2"].where(metric="UA", condition=condition)
    ends = {level: table.where(noise="gaussian", level=level) for level in (-10.0, -40.0)}
    means = {level: part.summarise(measured).set_index("row")["mean"] for level, part in ends.items()}
    lines = []
    for row in table.rows[1:]:  # the majority class has no skill
        places = [ends[level].cells[row, nmer.Column("UA", "gaussian", level, condition)] for level in ends]
        pairs = {table.counterpart: ("printed", *(place.printed.get(table.counterpart) for place in places)),
                 table.dataset: ("measured", *(means[level].get(row) for level in ends))}  # fmt: skip
        lines += [(row, dataset, kind, 100 * skill_kept(loud, mild, 1 / CLASSES[dataset]))
                  for dataset, (kind, mild, loud) in pairs.items() if loud is not None]  # fmt: skip
    return pd.DataFrame(lines, columns=["row", "dataset", "kind", "value"])


CLASSES = {"IEMOCAP": 4, "CMU-MOSEI": 2, "RAVDESS-AV": 8, "CMU-MOSI": 2}
"""The number of classes of each corpus, those of the papers included. Chance in UA is 1 / classes."""


def glance(measured: Mapping[str, Results] | None = None) -> pd.DataFrame:
    """One verdict for each claim of both papers: columns paper, number, says, dataset (empty for the paper's own
    tables) and verdict (`partly` where comparisons differ). Our own claims are left out."""
    lines = []
    for paper, corpora in PEOPLE.items():
        claims = {corpus: PAPERS[paper].claims(corpus) for corpus in corpora}
        frames = {corpus: judged(paper, corpus, measured and measured[paper]) for corpus in corpora}
        for number, of in enumerate(zip(*claims.values(), strict=True), 1):
            if of[0].where == "ours":
                continue
            own = {value > 0 for contrast in of[1].contrasts for value in printed(paper, contrast).values()}
            verdicts = {"": common(["holds" if right else "does not hold" for right in own])}
            for corpus, frame in frames.items():
                verdicts[corpora_named(corpus).dataset] = common(frame[frame["number"] == number]["verdict"])
            lines += [{"paper": paper, "number": number, "says": of[0].says, "dataset": dataset, "verdict": verdict}
                      for dataset, verdict in verdicts.items()]  # fmt: skip
    return pd.DataFrame(lines)


def common(verdicts: Iterable[str]) -> str:
    """The verdict of several comparisons: the one of all that can be tested, else `partly` if any holds.

    >>> common(["holds", "cannot be tested"]), common(["holds", "not shown"]), common(["seeds agree", "not shown"])
    ('holds', 'partly', 'not shown')
    """
    tested = {verdict for verdict in verdicts if verdict not in ("cannot be tested", "no interval", "reference")}
    if len(tested) < 2:
        return tested.pop() if tested else "cannot be tested"
    return "partly" if "holds" in tested else "not shown"


# --- sentences --------------------------------------------------------------------------------------------------------


def signed(value: float, decimals: int = 1) -> str:
    """
    >>> signed(-0.53), signed(0.04)
    ('−0.5', '0.0')
    """
    text = f"{value:+.{decimals}f}".replace("-", "\u2212")
    return text if text.strip("+\u22120.") else text[1:]


def interval(estimate: Estimate) -> str:
    return f"{signed(estimate.low).removeprefix('+')} to {signed(estimate.high).removeprefix('+')}"


def compared(first: str, second: str, estimate: Estimate, unit: str = "points") -> str:
    """The three sentences in which the book states a difference.

    >>> compared("NMER", "MEN", Estimate("", 4.31, 0.25, 8.37))
    'NMER is ahead of MEN by 4.3 points (0.2 to 8.4).'
    >>> compared("NMER", "MEN", Estimate("", 0.81, -3.06, 4.68))
    'NMER and MEN cannot be told apart (+0.8 points, −3.1 to 4.7).'
    """
    if math.isnan(estimate.low):
        return f"{first} minus {second}: {signed(estimate.value)} {unit} in one training; no interval."
    if estimate.low <= 0 <= estimate.high:
        return f"{first} and {second} cannot be told apart ({signed(estimate.value)} {unit}, {interval(estimate)})."
    ahead, behind = (first, second) if estimate.value > 0 else (second, first)
    size, ends = abs(estimate.value), sorted((abs(estimate.low), abs(estimate.high)))
    return f"{ahead} is ahead of {behind} by {size:.1f} {unit} ({ends[0]:.1f} to {ends[1]:.1f})."


def findings(measured: Results | None = None) -> list[Finding]:
    """The findings of the front page, at most 20 words each."""
    return list(all_findings(results("nmer") if measured is None else measured))


def all_findings(measured: Results) -> Iterator[Finding]:
    frame = differences("nmer", measured)
    people = {line["row"]: estimate_of(line) for line in frame[frame["kind"] == "people"].to_dict("records")}
    paper = {row: part["value"].tolist() for row, part in frame[frame["kind"] == "printed"].groupby("row", sort=False)}
    rows = nmer.BAR, nmer.Row("MEN", "clean"), *nmer.PARTS
    linear, never, vae, loss = (people[row] for row in rows)
    equals = [estimate for row, estimate in people.items() if row.trained == "noisy"]
    holds(all(e.low <= 0 <= e.high for e in equals), "systems that met the same noise cannot be told apart")
    yield Finding(
        "Systems that met the same noise cannot be told apart: NMER minus logistic regression is "
        f"{signed(linear.value)} points ({interval(linear)}).", "The paper has no linear baseline.",
        "people", "RAVDESS-AV", "nmer-table-2", (linear, *(e for e in equals if e != linear)),
    )  # fmt: skip
    holds(never.low > 0, "NMER is ahead of a MEN that never met noise")
    yield Finding(
        f"NMER is ahead only of a MEN that never met noise: by {never.value:.1f} points ({interval(never)}).",
        f"The paper prints {ends(paper[nmer.Row('MEN', 'clean')])} points.",
        "people", "RAVDESS-AV", "nmer-table-2", (never,),
    )  # fmt: skip
    holds(vae.low <= 0 and loss.low <= 0, "neither part of NMER shows a gain")
    yield Finding(
        f"Neither the VAE ({signed(vae.value)} points, {interval(vae)}) nor the invariance loss ({signed(loss.value)}, "
        f"{interval(loss)}) shows a gain.",
        f"The paper prints {ends(paper[nmer.ABLATION[3]])} and {ends(paper[nmer.ABLATION[4]])} points.",
        "people", "RAVDESS-AV", "nmer-ablation", (vae, loss),
    )  # fmt: skip
    kept = pd.concat([skills_kept(corpus, measured) for corpus in PEOPLE["nmer"]])
    ours, theirs = kept[kept["kind"] == "measured"], kept[(kept["kind"] == "printed") & (kept["dataset"] == "IEMOCAP")]
    holds(bool(ours["value"].max() < 20), "with every modality at -40 dB systems are at chance")
    yield Finding(
        "With every modality at \u221240 dB our systems keep "
        f"{signed(ours['value'].min(), 0)} to {ours['value'].max():.0f}% of their skill: chance.",
        f"Those of the paper keep {theirs['value'].min():.0f} to {theirs['value'].max():.0f}% on IEMOCAP. "
        "Its samples have many frames, ours one; that may explain it.",
        "people", "RAVDESS-AV and CMU-MOSI", "nmer-table-5",
        tuple(Estimate(f"{line['row']}, {line['dataset']}", line["value"]) for line in ours.to_dict("records")),
    )  # fmt: skip
    gains, averages = cdtp.gains(), cdtp.averages()
    wrong = int((~averages["possible"]).sum())
    yield Finding(
        f"CDTP is printed exactly 0.20 points above MPLMM in {gains[0.2]} of {gains.sum()} cells; {wrong} of "
        f"{len(averages)} averages contradict their cells.", "", "printed", "CDTP, Table 1", "cdtp-table-1",
        (Estimate("equal gains", gains[0.2]), Estimate("wrong averages", wrong)),
    )  # fmt: skip
    weaker = 10 * math.log10(kind_power(nmer.NOISES["gaussian"]) / kind_power(nmer.NOISES["impulse"]))
    yield Finding(
        f"Equal labels are not equal noise: impulse is {weaker:.2f} dB weaker than Gaussian noise of the same label.",
        "", "printed", "NMER, eq. 3 and 5", "nmer-noise-scheduler", (Estimate("dB", weaker),),
    )  # fmt: skip
    ((cascade, _),) = against("mcwsa", "ravdess_av_mel", mcwsa.BAR)
    holds(cascade.low <= 0 <= cascade.high, "cascade attention and logistic regression cannot be told apart")
    yield Finding(
        f"On mel frames, cascade attention minus logistic regression is {signed(cascade.value)} points "
        f"({interval(cascade)}).", "The paper has no linear baseline.",
        "people", "RAVDESS-AV mel", "mcwsa-table-2", (cascade,),
    )  # fmt: skip
    (longer, _), (base, theirs) = against("infogan", "ravdess_speech", infogan.LONGER, infogan.BASELINE)
    holds(longer.low <= 0 <= longer.high, "InfoGAN's features add nothing to longer training")
    yield Finding(
        f"Features from InfoGAN gain {signed(longer.value)} points over training the last layer longer "
        f"({interval(longer)}).",
        f"The paper prints {ends(theirs)} points over no augmentation (ours {signed(base.value)}), and no such control.",
        "people", "RAVDESS speech", "infogan-table-2", (longer, base),
    )  # fmt: skip


def against(paper: str, corpus: str, *others: Label) -> list[tuple[Estimate, list[float]]]:
    """The paper's system minus each of these, on a corpus with folds of speakers; and the printed differences."""
    measured, planned = results(paper), {contrast.rows[1]: contrast for contrast in PAPERS[paper].planned(corpus)}
    lines = [(planned[other], line_of(other, planned[other], measured)) for other in others]
    return [
        (estimate_of(line, str(contrast.rows[0])), list(printed(paper, contrast).values())) for contrast, line in lines
    ]


def estimate_of(line: dict, first: str = "NMER") -> Estimate:
    return Estimate(f"{first} minus {line['row']}", *(line[name] for name in ("value", "low", "high", "p", "keys")))


def ends(values: list[float]) -> str:
    return " to ".join(dict.fromkeys(signed(value) for value in (min(values), max(values))))


def holds(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(
            f"the results no longer show that {sentence}; write the finding anew in experiments/findings.py"
        )
