"""Multi-channel Weight-sharing Autoencoder Based on Cascade Multi-head Attention for Multimodal Emotion Recognition.

Tables I to III, the ablations, and the same systems under noise. Published: 86.3 UA on IEMOCAP and 71.8 on MSP-IMPROV,
1.8 and 3.2 to 5.0 points above the other fusions. They are printed next to ours; no training aims at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import combinations, product
from typing import NamedTuple

from robustmer import systems
from robustmer.batch import LETTERS
from robustmer.conditions import CLEAN, incomplete
from robustmer.corpora import Corpus, Request, named
from robustmer.experiments.contrasts import Claim, Contrast, difference
from robustmer.experiments.papers.cdtp import SMALL as SMALL_MULT
from robustmer.experiments.papers.cdtp import THEIRS
from robustmer.experiments.papers.profiles import Grid, Profile, Study, printed
from robustmer.experiments.tables import Place, Table
from robustmer.noise import Gaussian, NoiseScheduler
from robustmer.training import Budget

# The paper's 300 channels are 25 times the products. Six heads divide both; the paper does not state their number.
SMALL = {"channels": 60, "heads": 6}

# The paper trains twice, for at most 200 epochs each. 200 steps in batches of 64 are 50 epochs of RAVDESS's 240 training
# samples, and 10 of CMU-MOSI's 1252. On the validation actors of fold 0 classifiers are best between steps 40 and 100, and
# overfit from then on. The weights with the best validation score are kept.
PAPER_BUDGET = Budget(epochs=1, min_steps=200, max_steps=200, batch_size=64, checks=20)

PROFILES = {
    "smoke": Profile(
        Budget(epochs=1, max_steps=3, checks=1, batch_size=64),
        {"synthetic": 1, "ravdess_av_mel": 1, "mosi_words": 1}, size="smoke", pooled=False, levels_db=(-10.0,),
    ),
    "quick": Profile(
        Budget(epochs=1, min_steps=60, max_steps=60, batch_size=64, checks=6),
        seeds={"synthetic": 1, "ravdess_av_mel": 1, "mosi_words": 1}, pooled=False, levels_db=(-10.0, -40.0),
    ),
    "paper": Profile(
        PAPER_BUDGET, seeds={"ravdess_av_mel": 1, "mosi_words": 3, "synthetic": 1},
        folds={"synthetic": tuple(range(10)), "ravdess_av_mel": tuple(range(6))}, size="paper", pooled=False,
        levels_db=(-10.0, -40.0), whole=True,
    ),
}  # fmt: skip

FUSIONS = {"Concat": "concat", "wide Concat": "wide concat", "TFN": "tfn", "LMF": "lmf", "MulT fusion": "mult",
           "CMHA": "cmha"}  # fmt: skip
"""The fusions by their names in tables. LMF is cited by the paper and not in its tables; wide Concat is ours."""
PRINTED_AS = {"Concat": "Concat", "TFN": "TFN", "MulT fusion": "MulT", "CMHA": "MCWSA-CMHA"}

SPELLING = {
    "majority class": (systems.Majority, {}), "LogReg": (systems.LogReg, {}), "MEN": (systems.MEN, {}),
    "MulT": (systems.MulT, SMALL_MULT),
    **{name: (systems.MCWSAClassifier, SMALL | {"fusion": fusion}) for name, fusion in FUSIONS.items()},
    "CMHA frozen": (systems.MCWSAClassifier, SMALL | {"freeze": True}),
    "CMHA in one order": (systems.MCWSAClassifier, SMALL | {"fusion": "cmha in one order"}),
    "CMHA on pictures": (systems.MCWSAClassifier, SMALL | {"bands": {"audio": 64}}),
    **{f"CMHA, audio to level {n}": (systems.MCWSAClassifier, SMALL | {"levels": {"audio": n}}) for n in (1, 4, 16)},
}  # fmt: skip
COUNTERPART = {"RAVDESS-AV mel": "IEMOCAP", "CMU-MOSI words": "IEMOCAP", "synthetic": "IEMOCAP"}
"""The paper's corpus that is compared with ours."""
STUDY = Study("mcwsa", PROFILES, SPELLING, COUNTERPART)

METRICS = ("UA", "F1", "WA")
ONCE, TWICE = "once", "twice"


class Row(NamedTuple):
    """A system. MCWSA with a fusion is trained twice, to reconstruct and then to classify, or once (NP in the paper)."""

    system: str
    trained: str = TWICE

    def __str__(self) -> str:
        return f"{self.system} without pre-training" if self.system in FUSIONS and self.trained == ONCE else self.system


class Column(NamedTuple):
    """A metric of systems that are trained and tested with some of the modalities, in our letters (the paper's t is l).
    `visual` names the visual features of Table III; `level` is that of the noise in dB, None on clean data."""

    metric: str
    modality: str
    visual: str = ""
    level: float | None = None

    def __str__(self) -> str:
        words = [self.metric, self.modality, self.visual, "" if self.level is None else f"{self.level:g} dB"]
        return " ".join(filter(None, words))


MAJORITY, BAR, MEN, MULT = (Row(name, ONCE) for name in ("majority class", "LogReg", "MEN", "MulT"))
HERO, NP = Row("CMHA"), Row("CMHA", ONCE)
OTHERS = tuple(map(Row, ("Concat", "TFN", "MulT fusion")))
"""The fusions that the paper compares CMHA with."""
WIDE = Row("wide Concat")
SYSTEMS = (MAJORITY, BAR, MEN, MULT, *OTHERS, WIDE, Row("LMF"), HERO)
WITHOUT = tuple(Row(row.system, ONCE) for row in (*OTHERS, HERO))
ABLATION = (BAR, HERO, NP, *map(Row, ("CMHA frozen", "CMHA in one order", "CMHA on pictures", "CMHA, audio to level 1",
                                     "CMHA, audio to level 4", "CMHA, audio to level 16")))  # fmt: skip
RELATED = tuple(Row(name, ONCE) for name in ("ProgNet", "Semi-supervised AAE", "MulT", "GCA-LSTM", "MTEM"))
VISUAL = {"action units": False, "with the emotion network": True}
"""Of RAVDESS's face statistics 14 are outputs of a facial-emotion network: our pair of visual networks."""

MEL = ("ravdess_av_mel",)
"""Corpora whose audio is mel bands with deltas, and whose visual features are of two kinds."""

Places = dict[tuple[Row, Column], Place]


def choices_of(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """The choices of modalities that Table II compares: pairs and all three; of two modalities both, and each alone."""
    counts = (2, 3) if len(modalities) > 2 else range(1, len(modalities) + 1)
    return [choice for count in counts for choice in combinations(modalities, count)]


def with_only(grid: Grid, modalities: Sequence[str], **options: object) -> Grid:
    """The grid on a corpus that has these modalities alone: the others are not absent, they do not exist."""
    corpus = grid.corpus
    if set(modalities) == set(corpus.modalities) and not options:
        return grid
    if isinstance(corpus, Corpus):
        return replace(grid, corpus=corpus.only(modalities), made={})
    return replace(
        grid, corpus=named(corpus.name, **dict(corpus.given) | {"modalities": modalities} | options), made={}
    )


def letters(modalities: Sequence[str], names: Mapping[str, str] = LETTERS) -> str:
    return ",".join(names.get(m, m) for m in modalities)


def place(grid: Grid, row: Row, metric: str, shown: Mapping[str, float] | None = None, under=(CLEAN,)) -> Place:
    once = {"pretrain": False} if row.system in FUSIONS and row.trained == ONCE else {}
    return Place(grid.cells(row.system, CLEAN, under, metric, **once), shown or {})


def places_by_modality(grid: Grid) -> Places:
    """Table II. With a single modality there is nothing to fuse: logistic regression, MEN and MCWSA stand alone."""
    known, places = printed("mcwsa", 2, ("system", "modality", "pretrained", "metric")), {}
    for choice in choices_of(grid.modalities):
        part, is_all = with_only(grid, choice), len(choice) == len(grid.modalities)
        rows = (
            (*SYSTEMS, *WITHOUT)
            if is_all
            else (MAJORITY, BAR, *OTHERS, HERO)
            if len(choice) > 1
            else (MAJORITY, BAR, HERO)
        )
        for row, metric in product(rows, METRICS):
            at = PRINTED_AS.get(row.system), letters(choice, THEIRS), "no" if row.trained == ONCE else "yes", metric
            unit = 0.01 if metric == "UA" else 1.0  # the paper prints UA in percent, F1 as a fraction
            shown = {dataset: unit * value for dataset, value in known.get(at, {}).items()}
            places[row, Column(metric, letters(choice))] = place(part, row, metric, shown)
    return places


def places_of_related_work(grid: Grid) -> Places:
    """Table I. Of the earlier systems MulT is in this book; the others are printed only."""
    known, column = printed("mcwsa", 1, ("system",), scale=0.01), Column("UA", letters(grid.modalities))
    places = {
        (row, column): Place((), known[row.system,], "not in this book") for row in RELATED if (row.system,) in known
    }
    ours = {
        row: place(grid, row, "UA", known.get((name,)))
        for row, name in ((MULT, "MulT"), (HERO, "MCWSA-CMHA"), (BAR, ""))
    }
    return places | {(row, column): made for row, made in ours.items()}


def places_by_network(grid: Grid) -> Places:
    """Table III: the same system behind two kinds of visual features, trained twice and once."""
    known, places = printed("mcwsa", 3, ("visual_net", "modality", "pretrained"), scale=0.01), {}
    theirs = dict(zip(VISUAL, ("VGG-Face", "ResNet"), strict=True))
    for (visual, keeps), row, metric in product(VISUAL.items(), (BAR, HERO, NP), METRICS):
        part = grid if keeps else with_only(grid, grid.modalities, classifier_columns=False)
        at = theirs[visual], letters(grid.modalities, THEIRS), "no" if row == NP else "yes"
        shown = known.get(at, {}) if metric == "UA" and row != BAR else {}
        places[row, Column(metric, letters(grid.modalities), visual)] = place(part, row, metric, shown)
    return places


def places_under_noise(grid: Grid) -> Places:
    """Trained on clean data, tested under Gaussian noise on all but one or two modalities (NMER 2.2.3): the paper calls its
    autoencoder one "with noise removal ability" (V.A)."""
    places = {}
    for level, row, metric in product((None, *grid.profile.levels_db), (BAR, MEN, NP, HERO), METRICS):
        noise = NoiseScheduler(Gaussian(), snr_db=level) if level is not None else None
        under = (CLEAN,) if noise is None else tuple(incomplete(grid.modalities, noise))
        places[row, Column(metric, letters(grid.modalities), level=level)] = place(grid, row, metric, under=under)
    return places


def places_of_ablation(grid: Grid) -> Places:
    """CMHA with a part changed. Pictures need a corpus with mel bands, orders three modalities."""
    lacks = set() if grid.corpus.name in MEL else {Row("CMHA on pictures")}
    lacks |= set() if len(grid.modalities) > 2 else {Row("CMHA in one order")}
    return {(row, Column(metric, letters(grid.modalities))): place(grid, row, metric)
            for row, metric in product(ABLATION, METRICS) if row not in lacks}  # fmt: skip


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = "synthetic", first_seed: int = 0, seeds: int | None = None,
    folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The tables on one corpus: "I" (related work), "II" (fusions by modalities), "III" (two kinds of visual features, for
    RAVDESS), "noise" (trained clean, tested under noise) and "ablations"."""
    grid = STUDY.grid(profile, corpus, first_seed, seeds, folds)
    part = grid.part()
    made = [
        grid.table("I", "beside earlier systems", places_of_related_work(grid), BAR),
        grid.table("II", "fusions by modalities", places_by_modality(grid), BAR),
        grid.table(
            "III",
            "visual features with and without an emotion network",
            places_by_network(part) if grid.corpus.name in MEL else {},
            BAR,
        ),
        grid.table("noise", "trained clean, tested under noise", places_under_noise(grid), BAR),
        grid.table("ablations", "CMHA with a part changed", places_of_ablation(part), BAR),
    ]
    return {table.number: table for table in made if table.cells}


recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""


# --- claims -----------------------------------------------------------------------------------------------------------


def claims(corpus: str | Corpus | Request = "ravdess_av_mel") -> list[Claim]:
    """The text's claims about results (audit 4.1), as differences in UA. What needs text cannot be tested without it."""
    all_tables = tables("paper", corpus)
    t = all_tables["II"].where(metric="UA")
    choices = {column.modality: column for column in t.columns}
    most = max(choices, key=len)
    whole = t.where(modality=most)

    def ahead(more: Row, *others: Row, of: Table = t) -> tuple[Contrast, ...]:
        return tuple(difference(of, more, other) for other in others)

    def modalities(row: Row, more: str, less: str) -> Contrast:
        sides = (t.cells.get((row, choices.get(name)), Place(why=f"the corpus has no {name}")) for name in (more, less))
        return Contrast(f"{row}: {more} \u2212 {less}", *((side,) for side in sides))

    fusions = (*OTHERS, HERO)
    fewer = [name for name in choices if name != most]
    networks = all_tables["III"].where(metric="UA") if "III" in all_tables else None
    visual = (
        [networks.cells[HERO, column] for column in networks.columns] if networks else [Place(why="one kind only")] * 2
    )
    return [
        Claim("V.A, Table II", "CMHA is ahead of the other fusions", ahead(HERO, *OTHERS, of=whole)),
        Claim("V.A", "whatever the fusion, more modalities are better",
              tuple(modalities(row, most, name) for row in fusions for name in fewer if (row, choices[name]) in t.cells)),
        Claim("V.A", "two modalities with video are better than voice and words",
              tuple(modalities(row, pair, "a,l") for row in fusions for pair in ("a,v", "v,l"))),
        Claim("V.A", "whatever the fusion, pre-training helps",
              tuple(ahead(row, Row(row.system, ONCE), of=whole)[0] for row in fusions)),
        Claim("V.A, Table III", "the better visual network is better behind CMHA (ours: with the emotion network)",
              (Contrast("with the emotion network \u2212 without", (visual[1],), (visual[0],)),)),
        Claim("V.A, Table I", "MCWSA-CMHA is ahead of MulT",
              ahead(HERO, MULT, of=all_tables["I"].where(metric="UA"))),
        Claim("ours", "CMHA is ahead of Concat with as many weights", ahead(HERO, WIDE, of=whole)),
        Claim("ours", "CMHA is ahead of logistic regression", ahead(HERO, BAR, of=whole)),
    ]  # fmt: skip


def planned(corpus: str | Corpus | Request = "ravdess_av_mel") -> list[Contrast]:
    """CMHA on all modalities minus each of the others, in UA."""
    t = tables("paper", corpus)["II"].where(metric="UA")
    whole = t.where(modality=max((column.modality for column in t.columns), key=len))
    return [difference(whole, HERO, other) for other in (BAR, MEN, NP, *OTHERS, WIDE)]
