"""Improving Speech Emotion Recognition with Mutual Information Regularized Generative Model (Ahn et al. 2025).

Tables 2 and 3, with the control group that the paper lacks: every way of making features for the last layer, from none
at all to closed forms, on the same baseline. Published on IEMOCAP: 60.81 UAR without and 63.40 with augmentation, a gain
of 2.59 points over ten speakers (Welch p 0.16).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import NamedTuple

from robustmer import systems
from robustmer.conditions import CLEAN, Condition
from robustmer.corpora import Corpus, Request, named
from robustmer.experiments.contrasts import Claim, Contrast, difference
from robustmer.experiments.papers.profiles import Grid, Profile, Study, chosen, printed
from robustmer.experiments.tables import Place, Table
from robustmer.training import Budget

# The paper states no batch size, rate or epochs. With 60 epochs the baseline's validation UA is highest between a third
# and two thirds of the training on the validation actors of folds 0 to 2 of RAVDESS speech.
PAPER_BUDGET = Budget(epochs=60, min_steps=600, batch_size=64, checks=20)

PROFILES = {
    "smoke": Profile(
        Budget(epochs=1, max_steps=3, checks=1, batch_size=64), {"synthetic": 1, "ravdess_speech": 1, "ravdess_av": 1},
        size="smoke",
    ),
    "quick": Profile(
        Budget(epochs=20, min_steps=200, max_steps=200, batch_size=64, checks=10),
        seeds={"synthetic": 1, "ravdess_speech": 1, "ravdess_speech_loso": 1, "ravdess_av": 1},
        folds={"synthetic": (0, 3, 6), "ravdess_speech": (0, 2, 4), "ravdess_speech_loso": (0, 8, 16),
               "ravdess_av": (0, 2, 4)},
    ),
    "paper": Profile(
        PAPER_BUDGET, seeds={"ravdess_speech": 1, "ravdess_av": 1, "ravdess_speech_loso": 1, "synthetic": 1},
        folds={"synthetic": tuple(range(10)), "ravdess_speech": tuple(range(6)), "ravdess_av": tuple(range(6)),
               "ravdess_speech_loso": tuple(range(24))},
        whole=True,
    ),
}  # fmt: skip
WIDTHS = {"smoke": 24, "quick": 128, "paper": 768}
"""Of the generated feature. The paper's is 768 (4.3)."""

made_by = lambda maker: (systems.AugmentedSER, {"maker": maker})  # noqa: E731
SPELLING = {
    "majority class": (systems.Majority, {}), "LogReg": (systems.LogReg, {}), "baseline": (systems.AlignedSER, {}),
    "longer": made_by("none"), "copy": made_by("copy"), "noise": made_by("noise"), "mixup": made_by("mixup"),
    "class Gaussian": made_by("gaussian"), "linear Gaussian": made_by("linear gaussian"), "cGAN": made_by("cgan"),
    "diffusion": made_by("diffusion"), "InfoGAN": made_by("infogan"), "InfoGAN two-layer": made_by("infogan two-layer"),
    "InfoGAN w/o information": made_by("infogan w/o information"), "InfoGAN w/o partner": made_by("infogan w/o partner"),
}  # fmt: skip
SPEECH = ("RAVDESS speech", "RAVDESS speech LOSO")
COUNTERPART = dict.fromkeys((*SPEECH, "RAVDESS-AV", "synthetic"), "IEMOCAP")
STUDY = Study("infogan", PROFILES, SPELLING, COUNTERPART)

PARTNERS = {"ravdess_av": "visual", "synthetic": "text"}
"""The modality in the place of the paper's text. RAVDESS has two fixed sentences, so its words say nothing of emotion:
its speech has no partner, and only the class part of InfoGAN is used."""
NO_PARTNER = "the corpus has no partner of the voice: its two sentences are spoken in every emotion"


class Row(NamedTuple):
    """A system, and whether its baseline is `aligned` with the partner."""

    system: str
    aligned: bool = True

    def __str__(self) -> str:
        return self.system if self.aligned else f"{self.system}{',' if 'w/o' in self.system else ''} w/o alignment"


class Column(NamedTuple):
    metric: str

    def __str__(self) -> str:
        return self.metric


METRICS = ("UA", "WA", "F1")
"""UA is the paper's unweighted average recall."""
MAJORITY, BAR, BASELINE, LONGER, COPY = map(Row, ("majority class", "LogReg", "baseline", "longer", "copy"))
HERO, CLOSED = Row("InfoGAN"), Row("linear Gaussian")
CONTROLS = (LONGER, COPY, *map(Row, ("noise", "mixup", "class Gaussian")), CLOSED)
DISTINCT = tuple(row for row in CONTROLS if row != COPY)
"""The controls that are compared: copies count every recorded feature twice in one mean, so they equal `longer`."""
MAKERS = (*CONTROLS, Row("cGAN"), Row("diffusion"), HERO, Row("InfoGAN two-layer"))
SYSTEMS = (MAJORITY, BAR, BASELINE, *MAKERS)
FREE, ALONE, KNOWN = (Row(name, False) for name in ("InfoGAN", "InfoGAN w/o partner", "InfoGAN w/o information"))
ABLATION = (BAR, HERO, FREE, ALONE, KNOWN, Row("InfoGAN w/o information"), BASELINE, Row("baseline", False))

THEIRS = {
    Row("cGAN"): (2, "Sahu et al. [9]", "with augmentation"),
    HERO: (2, "InfoGAN-SER", "with augmentation"),
    BASELINE: (2, "InfoGAN-SER", "without augmentation"),
    Row("diffusion"): (2, "Malik et al. [11]", "with augmentation"),
    FREE: (3, "InfoGAN-SER", "Without cross-modal alignment"),
    ALONE: (3, "InfoGAN-SER", "Without cross-modal alignment & text embedding"),
    KNOWN: (3, "InfoGAN-SER", "Without cross-modal alignment & mutual information maximization"),
    Row("baseline", False): (3, "InfoGAN-SER", "Baseline without cross-modal alignment"),
}
"""The printed row of each of ours. Sahu et al. generate in the space of features by a conditional GAN,
Malik et al. spectrograms by a diffusion."""


def printed_of(row: Row) -> Mapping[str, float]:
    table, *names = THEIRS.get(row, (0,))
    return printed("infogan", table, ("system", "variant"), scale=0.01).get(tuple(names), {}) if table else {}


def places(grid: Grid, rows: Sequence[Row], width: int) -> dict[tuple[Row, Column], Place]:
    """Systems read the voice: logistic regression is trained and tested without the partner, the others never read it
    to predict. A row that needs a partner has no cells where the corpus has none."""
    partner = PARTNERS.get(grid.corpus.name)
    alone = Condition(seen=tuple(m for m in grid.modalities if m != partner)) if partner else CLEAN
    made = {}
    for row, metric in product(rows, METRICS):
        kind, _ = SPELLING[row.system]
        shown = printed_of(row) if metric == "UA" else {}
        if partner is None and not row.aligned:
            made[row, Column(metric)] = Place((), shown, NO_PARTNER)
            continue
        learns = {"partner": partner, "align": row.aligned, "width": width}
        simple = kind in (systems.Majority, systems.LogReg)
        condition = alone if kind is systems.LogReg else CLEAN
        cells = grid.cells(row.system, condition, (condition,), metric, **({} if simple else learns))
        made[row, Column(metric)] = Place(cells, shown)
    return made


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = "synthetic", first_seed: int = 0, seeds: int | None = None,
    folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The tables on one corpus: "2" (ways to make features) and "3" (InfoGAN without its parts). Of the synthetic
    corpus the voice and the words are used."""
    size = chosen(PROFILES, profile, "profile").size
    if corpus == "synthetic":
        corpus = named("synthetic", size=size, pooled=True, modalities=("audio", "text"))
    grid = STUDY.grid(profile, corpus, first_seed, seeds, folds)
    made = [
        grid.table("2", "ways to make features for the last layer", places(grid, SYSTEMS, WIDTHS[profile]), BAR),
        grid.table("3", "InfoGAN without its parts", places(grid.part(), ABLATION, WIDTHS[profile]), BAR),
    ]
    return {table.number: table for table in made}


recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""


# --- claims -----------------------------------------------------------------------------------------------------------


def in_ua(corpus: str | Corpus | Request) -> dict[str, Table]:
    return {number: table.where(metric="UA") for number, table in tables("paper", corpus).items()}


def claims(corpus: str | Corpus | Request = "ravdess_speech") -> list[Claim]:
    """The text's claims about SER (5.1), in points of UA."""
    t = in_ua(corpus)
    ahead = lambda number, more, *others: tuple(difference(t[number], more, other) for other in others)  # noqa: E731
    gain = "gain of the method over its own baseline, claimed highest and equal to Malik et al. [11]"
    return [
        Claim("5.1", "augmentation by InfoGAN improves the baseline", ahead("2", HERO, BASELINE), (gain,), (2.6,)),
        Claim("5.1", "and is ahead of a conditional GAN and of a diffusion",
              ahead("2", HERO, Row("cGAN"), Row("diffusion"))),
        Claim("5.1.1", "aligning the baseline improves the augmentation", ahead("3", HERO, FREE)),
        Claim("5.1.1", "the partner's features improve it further", ahead("3", FREE, ALONE)),
        Claim("5.1.1", "maximising information improves it further", ahead("3", FREE, KNOWN)),
        Claim("5.1.1", "alignment alone improves the baseline little (tested: improves it)",
              ahead("3", BASELINE, Row("baseline", False))),
        Claim("ours", "maximising information improves it with an aligned baseline", ahead("3", HERO, Row("InfoGAN w/o information"))),
        Claim("ours", "InfoGAN is ahead of its controls", ahead("2", HERO, *DISTINCT)),
    ]  # fmt: skip


def planned(corpus: str | Corpus | Request = "ravdess_speech") -> list[Contrast]:
    """InfoGAN minus each of the others in UA."""
    t = in_ua(corpus)
    return [difference(t["2"], HERO, other) for other in (BASELINE, *MAKERS, BAR) if other not in (HERO, COPY)]
