"""VQ-MDVAE's claims about results (3.3 and 3.6), as differences between places of its tables."""

from __future__ import annotations

from itertools import product

from robustmer.corpora import Corpus, Request
from robustmer.experiments.contrasts import Claim, Contrast, difference
from robustmer.experiments.papers.mdvae import CODES, HERO, PLAIN, Column, Row, tables
from robustmer.experiments.tables import Place, Table

OTHER_FOLDS = "both settings have folds of their own, so folds are no pairs"
LOWER = ("MSE", "IS", "LSD")
BOTH_PHASES = "Griffin-Lim"
GAINS = {"STOI": 0.03, "PESQ": 0.47, "MOSnet": 1.19, "SI-SDR": 4.64, "PSNR": 6.5, "SCC": 0.1, "SSIM": 0.26}
"""What 3.3 prints of VQ-MDVAE over MDVAE."""


def printed_columns(table: Table) -> list[Column]:
    """The columns of a table in which the paper has numbers."""
    return list(dict.fromkeys(column for _, column in table.printed))


def quality(by_number: dict[str, Table], more: Row, less: Row) -> tuple[Contrast, ...]:
    """A row minus another in every printed metric of Tables 2 and 3; where lower is better, the other way round."""
    contrasts = []
    for table in (by_number["2"], by_number["3"]):
        for column in printed_columns(table):
            rows = (less, more) if column.metric in LOWER else (more, less)
            sides = tuple((table.cells[row, column],) for row in rows)
            contrasts.append(Contrast(f"{more} ahead of {less}: {column}", *sides, rows=rows))
    return tuple(contrasts)


def claims(corpus: str | Corpus | Request = "synthetic_av") -> list[Claim]:
    """The claims on one corpus. Effects are hundredths of the metric's unit: points of accuracy, 0.01 dB."""
    t = dict(tables("paper", corpus))
    over = quality(t, HERO, PLAIN)
    made = [
        Claim("3.3", f"VQ-MDVAE is ahead of MDVAE in {contrast.what.rpartition(': ')[2]}", (contrast,),
              ("VQ-MDVAE over MDVAE",), (100 * GAINS[name],))
        for contrast in over for name in GAINS if contrast.what.rpartition(": ")[2].startswith(name)
    ]  # fmt: skip
    made += [
        Claim("3.3", "more modalities are better: MDVAE than DSAE", quality(t, PLAIN, Row("DSAE"))),
        Claim("3.3", "more modalities are better: VQ-MDVAE than VQ-DSAE", quality(t, HERO, Row("VQ-DSAE"))),
        Claim("3.3", "the dynamics cost quality: VQ-VAE is ahead of VQ-MDVAE", quality(t, Row("VQ-VAE"), HERO)),
    ]
    return made + (of_emotion(t["4"]) if "4" in t else [])


def of_emotion(table: Table) -> list[Claim]:
    """The claims of 3.6, in accuracy."""
    shown = table.where(metric="WA")

    def ahead(setting: str, label: str, more: Row, *others: Row) -> tuple[Contrast, ...]:
        part = shown.where(setting=setting, label=label)
        return tuple(difference(part, more, other) for other in others)

    audio, visual, hero = (Row(name, "MLR") for name in ("VQ-DSAE audio", "VQ-DSAE visual", "VQ-MDVAE"))
    mlp, adapted = Row("VQ-MDVAE", "MLP"), Row("VQ-MDVAE", "DA + MLR")
    rival, wav2vec, mult = Row("AV transformer"), "wav2vec", Row("MulT")
    first = "MEAD PI emotion category"
    falls = tuple(
        Contrast(f"{hero}: PD \u2212 PI, {label}", *((Place(why=OTHER_FOLDS),) for _ in "ab"))
        for label in ("emotion", "level")
    )
    return [
        Claim("3.6", "w of both modalities is ahead of w of one, in emotions",
              ahead("PD", "emotion", hero, audio, visual), ("MEAD PD emotion category, over VQ-DSAE-audio",
                                                            "MEAD PD emotion category, over VQ-DSAE-visual"), (57.8, 47.6)),
        Claim("3.6", "and in their levels", ahead("PD", "level", hero, audio, visual),
              ("MEAD PD intensity level, over VQ-DSAE-audio", "MEAD PD intensity level, over VQ-DSAE-visual"), (35.2, 40.6)),
        Claim("3.6", "w is ahead of wav2vec",
              tuple(c for label in ("emotion", "level") for c in ahead("PD", label, hero, Row(wav2vec, "MLR"))),
              ("MEAD PD emotion category, over wav2vec", "MEAD PD intensity level, over wav2vec"), (22, 28.5)),
        Claim("3.6", "w is ahead of the supervised AV transformer on the same people", ahead("PD", "emotion", hero, rival),
              ("RAVDESS PD emotion category, fine-tuned, over AV transformer",), (0.2,)),
        Claim("3.6", "on other people a linear classifier is worse", falls),
        Claim("3.6", "there a perceptron is better than a linear classifier", ahead("PI", "emotion", mlp, hero),
              (f"{first}, MLP over MLR", "RAVDESS PI emotion category, fine-tuned, MLP over MLR"), (6.8, 7.3)),
        Claim("3.6", "domain adaptation is better than none (it is transductive)", ahead("PI", "emotion", adapted, hero),
              (f"{first}, DA + MLR over MLR", "RAVDESS PI emotion category, fine-tuned, DA + MLR over MLR"), (9.9, 7.9)),
        Claim("3.6", "and better than a perceptron", ahead("PI", "emotion", adapted, mlp)),
        Claim("3.6", "adapted w is ahead of supervised systems on other people", ahead("PI", "emotion", adapted, rival, mult),
              ("RAVDESS PI emotion category, fine-tuned DA + MLR over AV transformer",
               "RAVDESS PI emotion category, fine-tuned DA + MLR over MulT"), (0.1, 2.7)),
        Claim("ours", "w is ahead of the same code with first weights",
              tuple(c for label in ("emotion", "level") for c in ahead("PI", label, hero, Row("random VQ-MDVAE", "MLR")))),
        Claim("ours", "w is ahead of means and deviations of frames",
              tuple(c for label in ("emotion", "level") for c in ahead("PI", label, hero, Row("frame statistics", "MLR")))),
    ]  # fmt: skip


def planned(corpus: str | Corpus | Request = "synthetic_av") -> list[Contrast]:
    """VQ-MDVAE's w under MLR minus every other code, in UA, on other people."""
    made = tables("paper", corpus)
    if "4" not in made:
        return []
    shown = made["4"].where(metric="UA", setting="PI")
    return [difference(shown.where(label=label), Row("VQ-MDVAE", "MLR"), Row(code, "MLR"))
            for label, code in product(("emotion", "level"), CODES) if code != "VQ-MDVAE"]  # fmt: skip
