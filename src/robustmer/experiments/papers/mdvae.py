"""A multimodal dynamical variational autoencoder for audiovisual speech representation learning (Sadok et al. 2024).

Tables 2 and 3 (resynthesis) and 4 (emotion from the static latent w), with controls that need no training. A training of
a system with codecs starts from the same codecs that Tables 2 and 3 score, a probe from the same system. The paper's
corpora are MEAD and RAVDESS's video. Ours are made or have no emotion, so no number aims at a printed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import product
from typing import NamedTuple

from robustmer import systems
from robustmer.conditions import CLEAN
from robustmer.corpora import Corpus, Request, find, named
from robustmer.corpora.synthetic_av import BOXES as MADE
from robustmer.corpora.dependent import person_dependent
from robustmer.experiments.papers.profiles import Grid, Profile, Study, chosen, printed
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.tables import Cell, Place, Table
from robustmer.resynthesis import Resynthesis
from robustmer.systems.system import System
from robustmer.tasks import AdaptedClassify, Classify, OwnError, Task
from robustmer.training import Budget


@dataclass(frozen=True)
class Stages:
    """The budget of each kind of training, and the sizes of codecs and of latents: {} are the paper's."""

    codec: Budget
    dynamics: Budget
    probe: Budget
    supervised: Budget
    codec_size: Mapping[str, object] = field(default_factory=dict)
    size: Mapping[str, object] = field(default_factory=dict)
    sound: tuple[str, ...] = ("SI-SDR", "STOI", "PESQ", "IS", "LSD")


def steps(count: int, batch_size: int = 32, checks: int = 10) -> Budget:
    return Budget(epochs=0, min_steps=count, batch_size=batch_size, checks=checks)


# The paper states no budget. A codec's step reads 64 pictures or 1,024 spectra of eight clips, whatever the batch.
STAGES = {
    "smoke": Stages(*[steps(2, 8, 1)] * 4, {"width": 16}, {"width": 32, "static": 8}, ("SI-SDR", "IS", "LSD")),
    "quick": Stages(
        steps(400, 8, 4), steps(300, 32, 5), steps(300, 64, 5), steps(200, 32, 5), {"width": 16},
        {"width": 128, "static": 16}, ("SI-SDR", "IS", "LSD"),
    ),
    "paper": Stages(steps(20_000, 8, 20), steps(10_000, 64, 20), steps(1_000, 64, 10), steps(2_000, 64, 20)),
}  # fmt: skip

PROFILES = {
    "smoke": Profile(STAGES["smoke"].dynamics, {"synthetic_av": 1}, size="smoke"),
    "quick": Profile(STAGES["quick"].dynamics, {"synthetic_av": 1}),
    "paper": Profile(
        STAGES["paper"].dynamics, {"synthetic_av": 3, "grid_av": 3},
        folds={"synthetic_av": tuple(range(5)), "grid_av": tuple(range(5))}, size="paper", whole=True,
    ),
}  # fmt: skip
PIXELS = {"smoke": 32, "quick": 32, "paper": 64}
COUNTERPART = {"synthetic AV": "MEAD", "GRID AV": "MEAD"}
BOXES = {64: {"synthetic_av": {name: tuple(2 * edge for edge in MADE[name]) for name in ("mouth", "eyes")},
              "grid_av": find("grid_av").boxes}}  # fmt: skip
"""Rows and columns (top, bottom, left, right) in pictures of 64 x 64, those of the corpora."""

MODALITY = {"audio": "a", "visual": "v"}
CODECS = ("audio", "visual")
POWER = {"power": ["audio"]}
SPELLING: dict[str, tuple[type[System], Mapping[str, object]]] = {
    **{f"VQ-VAE {m}": (systems.VQVAE, {"modality": m}) for m in CODECS},
    "DSAE audio": (systems.DSAE, {"modality": "audio", **POWER}),
    "DSAE visual": (systems.DSAE, {"modality": "visual"}),
    **{f"VQ-DSAE {m}": (systems.DSAE, {"modality": m, "codecs": [m]}) for m in CODECS},
    "MDVAE": (systems.MDVAE, POWER),
    "VQ-MDVAE": (systems.MDVAE, {"codecs": list(CODECS)}),
    "random VQ-MDVAE": (systems.MDVAE, {"codecs": list(CODECS)}),
    "VQ-JointMVAE": (systems.JointMVAE, {"codecs": list(CODECS)}),
    "frame statistics": (systems.FrameStatistics, POWER),
    "AV transformer": (systems.AVTransformer, POWER),
    "majority class": (systems.Majority, {}),
}
"""The systems by their names in tables. The random one is trained for a single step, behind trained codecs."""
STUDY = Study("mdvae", PROFILES, SPELLING, COUNTERPART)

QUALITY = {"audio": ("SI-SDR", "STOI", "PESQ", "MOSnet", "IS", "LSD"), "visual": ("MSE", "PSNR", "SCC", "SSIM")}
PHASES = ("recorded phase", "Griffin-Lim")
NO_WEIGHTS = "the weights of MOSnet cannot be had"
NO_WAV2VEC = "the weights of wav2vec are not at hand"
NO_MULT = "MulT reads vectors, not pictures"


class Row(NamedTuple):
    """A system, or with a classifier the code that a system gives it. DA is domain adaptation, which reads all unlabelled
    test samples at once."""

    system: str
    classifier: str = ""

    def __str__(self) -> str:
        by = f", {self.classifier}{' (transductive)' if 'DA' in self.classifier else ''}" if self.classifier else ""
        return self.system + by


class Column(NamedTuple):
    """A metric; of sound with the phase that it was made with, of pictures in a box if one is named; of a label in the
    person-dependent (PD) or person-independent (PI) setting, learnt from a share of the labels."""

    metric: str
    phase: str = ""
    box: str = ""
    label: str = ""
    setting: str = ""
    share: float = 1.0

    def __str__(self) -> str:
        few = f"{self.share:g} of the labels" if self.share < 1 else ""
        return ", ".join(filter(None, (*self[:5], few)))

    @property
    def score(self) -> str:
        return ", ".join(filter(None, (self.metric, self.phase, self.box)))


HERO, PLAIN, BAR = Row("VQ-MDVAE"), Row("MDVAE"), Row("majority class")
FAMILY = ("VQ-VAE", "DSAE", "MDVAE", "VQ-DSAE", "VQ-MDVAE", "VQ-JointMVAE")
HEADS = {"MLR": "MLR", "MLP": "MLP", "DA + MLR": "MLR"}
LABELS = {"emotion": "emotion category", "level": "emotion intensity level"}
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
CODES = ("VQ-DSAE audio", "VQ-DSAE visual", "VQ-MDVAE", "random VQ-MDVAE", "frame statistics")


# --- recipes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trainings:
    """The recipes of one profile on one corpus."""

    grid: Grid
    stages: Stages
    boxes: Mapping[str, tuple[int, int, int, int]]

    def model(self, name: str, fold: int, seed: int) -> Recipe:
        """A system without labels, behind the codecs that it names."""
        kind, options = chosen(SPELLING, name, "system")
        budget, task, upstream = self.stages.dynamics, self.task(name), {}
        if kind is systems.VQVAE:
            budget, options = self.stages.codec, {**options, **self.stages.codec_size}
        elif kind is systems.FrameStatistics:
            budget, task = self.stages.probe, OwnError()
        else:
            kept = {
                key: value
                for key, value in self.stages.size.items()
                if kind is not systems.JointMVAE or key != "static"
            }
            upstream = {f"{m}_codec": self.model(f"VQ-VAE {m}", fold, seed) for m in options.get("codecs", ())}
            budget, options = steps(1, checks=1) if "random" in name else budget, {**options, **kept}
        return Recipe(kind, self.grid.corpus, CLEAN, task, fold, seed, budget, options, upstream)

    def task(self, name: str) -> Resynthesis:
        modalities = tuple(m for m in CODECS if name.endswith(m)) or CODECS
        quality = tuple(of for m in modalities for of in (self.stages.sound if m == "audio" else QUALITY[m]))
        return Resynthesis(modalities, quality, self.boxes if "visual" in modalities else ())

    def probe(self, row: Row, label: str, setting: str, fold: int, seed: int, share: float = 1.0) -> Recipe:
        """A classifier on frozen codes, or a supervised system where the row has no classifier. In the setting PD codes
        come from the system of the first fold: it is not trained on labels, so it may know the unlabelled test clips."""
        corpus = self.grid.corpus if setting == "PI" else dependent(self.grid.corpus)
        if not row.classifier:
            kind, options = SPELLING[row.system]
            return Recipe(kind, corpus, CLEAN, Classify(label), fold, seed, self.stages.supervised, options)
        task: Task = AdaptedClassify(label) if "DA" in row.classifier else Classify(label)
        upstream = {"model": self.model(row.system, fold if setting == "PI" else self.grid.folds[0], seed)}
        options = {"head": HEADS[row.classifier], "share": share}
        return Recipe(systems.Probe, corpus, CLEAN, task, fold, seed, self.stages.probe, options, upstream)

    def place(self, recipe, score: str, shown: Mapping[str, float] | None = None) -> Place:
        """The place of the recipes `recipe(fold, seed)`."""
        at = product(self.grid.folds, self.grid.seeds)
        return Place(tuple(Cell(recipe(fold, seed), CLEAN, score) for fold, seed in at), shown or {})


@lru_cache(maxsize=8)
def dependent(corpus: Corpus | Request) -> Corpus | Request:
    """The corpus with person-dependent splits: by name, or made of a corpus of one's own."""
    return person_dependent(corpus) if isinstance(corpus, Corpus) else named(f"{corpus.name}_pd", **dict(corpus.given))


# --- tables -----------------------------------------------------------------------------------------------------------

Places = dict[tuple[Row, Column], Place]


def places_of_quality(trainings: Trainings, modality: str) -> Places:
    """Table 2 (sound) or 3 (pictures). The printed metrics of sound have no phase: they are shown beside the phase made
    by Griffin-Lim, which the authors' code uses."""
    known, places = printed("mdvae", {"audio": 2, "visual": 3}[modality], ("system", "metric")), {}
    phases = {"SI-SDR": PHASES, "STOI": PHASES, "PESQ": PHASES}
    measured = trainings.stages.sound if modality == "audio" else QUALITY["visual"]
    for metric, name in product(QUALITY[modality], FAMILY):
        spelt = name if name in SPELLING else f"{name} {modality}"
        shown = known.get((name, metric), {})
        if metric == "MOSnet":
            places[Row(name), Column(metric)] = Place((), shown, NO_WEIGHTS)
            continue
        boxes = ("", *trainings.boxes) if modality == "visual" else ("",)
        for phase, box in product(phases.get(metric, ("",)), boxes) if metric in measured else ():
            column = Column(metric, phase, box)
            theirs = shown if not box and phase != PHASES[0] else {}
            places[Row(name), column] = trainings.place(partial(trainings.model, spelt), column.score, theirs)
    return places


def printed_of(row: Row, label: str, setting: str, metric: str) -> dict[str, float]:
    """The printed numbers of Table 4 by corpus. VQ-MDVAE has two on RAVDESS: fine-tuned on its unlabelled clips, and
    trained on MEAD only."""
    system, _, modality = row.system.partition(" ") if "DSAE" in row.system else (row.system, "", "")
    shown: dict[str, float] = {}
    fields = ("system", "modality", "split", "classifier", "variant", "task", "metric")
    for at, values in printed("mdvae", 4, fields, scale=0.01).items():
        name, of, split, classifier, variant, task, score = at
        same = (name, split, task, score) == (system, setting, LABELS[label], metric)
        same &= classifier == (row.classifier or "none") and of == (MODALITY.get(modality) or of)
        for corpus, value in values.items() if same else ():
            second = name == "VQ-MDVAE" and corpus == "RAVDESS" and "MEAD" in variant
            shown[f"{corpus}, trained on MEAD only" if second else corpus] = value
    return shown


def places_of_emotion(trainings: Trainings) -> Places:
    """Table 4. Of systems that are not in this book the printed numbers stand alone, with the reason."""
    places = {}
    lacking = [(Row("wav2vec", classifier), NO_WAV2VEC) for classifier in HEADS] + [(Row("MulT"), NO_MULT)]
    for setting, label, metric in product(("PD", "PI"), LABELS, ("WA", "F1", "UA")):
        classifiers = HEADS if setting == "PI" else ("MLR",)
        rows = [BAR, Row("AV transformer"), *(Row(code, of) for of in classifiers for code in CODES)]
        column = Column(metric, label=label, setting=setting)
        theirs = partial(printed_of, label=label, setting=setting, metric={"WA": "Accuracy"}.get(metric, metric))
        for row in rows:
            recipe = partial(trainings.probe, row, label, setting)
            places[row, column] = trainings.place(recipe, metric, theirs(row))
        for row, why in lacking:
            if shown := theirs(row):
                places[row, column] = Place((), shown, why)
    return places


def places_of_shares(trainings: Trainings) -> Places:
    """Fig. 12: accuracy by the share of the train samples that have a label, in the person-dependent setting."""
    return {
        (Row(code, "MLR"), Column(metric, label="emotion", setting="PD", share=share)): trainings.place(
            partial(trainings.probe, Row(code, "MLR"), "emotion", "PD", share=share), metric
        )
        for code, share, metric in product(CODES, SHARES, ("WA", "UA"))
    }


@lru_cache(maxsize=8)
def tables(
    profile: str = "paper", corpus: str | Corpus | Request = "synthetic_av", first_seed: int = 0,
    seeds: int | None = None, folds: tuple[int, ...] | None = None,
) -> Mapping[str, Table]:  # fmt: skip
    """The tables on one corpus: "2" (resynthesis of sound), "3" (of pictures) and, where clips have emotions, "4" and "12",
    the numbers of Fig. 12."""
    pixels = chosen(PIXELS, profile, "profile")
    boxes = {} if isinstance(corpus, str) else getattr(corpus, "boxes", {})
    if corpus in BOXES[64]:
        boxes = {name: tuple(edge * pixels // 64 for edge in box) for name, box in BOXES[64][corpus].items()}
    if corpus == "synthetic_av":
        corpus = named(corpus, size=PROFILES[profile].size, pixels=pixels)
    grid = STUDY.grid(profile, corpus, first_seed, seeds, folds)
    trainings = Trainings(grid, STAGES[profile], boxes)
    made = [
        grid.table("2", "resynthesis of sound", places_of_quality(trainings, "audio")),
        grid.table("3", "resynthesis of pictures", places_of_quality(trainings, "visual")),
    ]
    if {*LABELS} <= {*grid.corpus.labels}:
        made.append(grid.table("4", "emotion and its level from w", places_of_emotion(trainings), BAR))
        made.append(grid.table("12", "emotion from w with few labels", places_of_shares(trainings)))
    return {table.number: table for table in made}


recipes = partial(STUDY.jobs, tables)
"""Every training behind the tables: `recipes(profile, corpora) -> {recipe: conditions}`."""
