"""VQ-MDVAE's recipes are chained, its tables hold every printed number, its claims agree with the audit."""

import numpy as np
import pytest
from family import clips_corpus
from test_tables import Anything, MadeUp

from robustmer.conditions import CLEAN
from robustmer import corpora
from robustmer.experiments.contrasts import measure
from robustmer.experiments.grid import compute
from robustmer.experiments.papers import mdvae, mdvae_claims
from robustmer.experiments.papers.mdvae import HERO, Row
from robustmer.experiments.papers.profiles import claims_of, published
from robustmer.experiments.tables import Results
from robustmer.systems import MDVAE, VQVAE, Probe
from robustmer.tasks import AdaptedClassify, Classify

CORPUS = clips_corpus()
TABLES = mdvae.tables("paper", CORPUS, folds=(0, 1))


def recipes_of(table, row, **fields):
    part = table.where(**fields)
    return [cell.recipe for column in part.columns for cell in part.cells[row, column].cells]


@pytest.mark.parametrize(("number", "scale"), [("2", 1), ("3", 1), ("4", 0.01)])
def test_every_printed_number_has_one_place(number, scale):
    printed = published("mdvae", int(number)).dropna(subset="value")["value"]
    shown = [value for place in TABLES[number].cells.values() for value in place.printed.values()]
    assert sorted(shown) == pytest.approx(sorted(scale * printed))


def test_printed_numbers_are_those_of_the_paper():
    """Table 4: accuracy 83.1 of VQ-MDVAE behind DA + MLR on MEAD's emotions, and two numbers on RAVDESS."""
    row = Row("VQ-MDVAE", "DA + MLR")
    place = TABLES["4"].cells[row, mdvae.Column("WA", label="emotion", setting="PI")]
    assert place.printed == pytest.approx({"MEAD": 0.831, "RAVDESS": 0.793, "RAVDESS, trained on MEAD only": 0.781})
    assert TABLES["3"].printed[HERO, mdvae.Column("PSNR")] == 26.8
    assert "transductive" in str(row) and "transductive" not in str(Row("VQ-MDVAE", "MLP"))


def test_a_probe_starts_from_the_system_and_the_codecs_that_are_scored():
    scored = {*TABLES["2"].jobs(), *TABLES["3"].jobs()}
    row = Row("VQ-MDVAE", "MLR")
    for recipe in recipes_of(TABLES["4"], row, metric="WA", setting="PI"):
        model = recipe.upstream["model"]
        assert recipe.system is Probe and model.system is MDVAE and model in scored and model.fold == recipe.fold
        codecs = model.upstream
        assert {*codecs} == {"audio_codec", "visual_codec"} and {*codecs.values()} <= scored
        assert all(part.system is VQVAE and part.options["modality"] in name for name, part in codecs.items())
    random = recipes_of(TABLES["4"], Row("random VQ-MDVAE", "MLR"), metric="WA", setting="PI")[0].upstream["model"]
    assert random.budget.steps(100) == 1 and random.upstream["audio_codec"] in scored


def test_domain_adaptation_is_the_same_training_with_another_task():
    plain, adapted = (recipes_of(TABLES["4"], Row("VQ-MDVAE", of), metric="UA", setting="PI", label="emotion")
                      for of in ("MLR", "DA + MLR"))  # fmt: skip
    for one, other in zip(plain, adapted, strict=True):
        assert (one.task, other.task) == tuple(
            kind("emotion", CORPUS.labels["emotion"]) for kind in (Classify, AdaptedClassify)
        )
        assert one.options == other.options and one.upstream == other.upstream and one.seed_name == other.seed_name


def test_person_dependent_probes_share_one_system_that_never_read_a_label():
    recipes = recipes_of(TABLES["4"], Row("VQ-MDVAE", "MLR"), metric="UA", setting="PD", label="level")
    assert {recipe.corpus.name for recipe in recipes} == {"synthetic AV PD"} and {r.fold for r in recipes} == {0, 1}
    assert {recipe.upstream["model"] for recipe in recipes} == {recipes[0].upstream["model"]}
    assert not recipes[0].corpus.split.speaker_disjoint
    assert not hasattr(recipes[0].upstream["model"].task, "label")


def test_claims_hold_in_the_printed_tables_where_the_audit_says_so():
    """audit, section 6.1: SI-SDR and SCC of VQ-MDVAE are ahead of VQ-VAE; adapted w is 1.1 points behind where it was
    trained on MEAD only."""
    wrong = set()
    for claim in mdvae_claims.claims(CORPUS):
        for contrast in claim.contrasts:
            wrong |= {(contrast.what, c) for c, value in contrast.printed.items() if "only" not in c and value <= 0}
    assert {what.rpartition(": ")[2] for what, _ in wrong} == {"SI-SDR, Griffin-Lim", "SCC"}


def test_printed_gains_are_those_in_the_text():
    """audit, section 6.1: all but 28.5, which is the difference in F1; in accuracy it is 28.9."""
    for claim in mdvae_claims.claims(CORPUS):
        effects = [100 * value for contrast in claim.contrasts for value in contrast.printed.values()]
        for points in claim.points:
            expected = 28.9 if points == 28.5 else points
            assert any(effect == pytest.approx(expected, abs=0.06) for effect in effects), (claim.says, points, effects)
    names = {name for claim in mdvae_claims.claims(CORPUS) for name in claim.numbers}
    assert names <= {*claims_of("mdvae")["claim"]}


def test_what_cannot_be_tested_says_why():
    contrasts = [c for claim in mdvae_claims.claims(CORPUS) for c in claim.contrasts]
    lines = measure(contrasts, Results(MadeUp(), Anything()))
    untested = {*lines[lines["verdict"] == "cannot be tested"]["why"]}
    assert untested == {mdvae.NO_WEIGHTS, mdvae.NO_WAV2VEC, mdvae.NO_MULT, mdvae_claims.OTHER_FOLDS}
    assert mdvae_claims.planned(CORPUS)


def test_a_corpus_without_emotions_has_no_table_4():
    from dataclasses import replace

    labels = {"identity": CORPUS.samples.labels["level"]}
    plain = replace(
        CORPUS, name="faces", samples=CORPUS.samples.replace(labels=labels), labels={"identity": ("a", "b", "c")}
    )
    assert [*mdvae.tables("smoke", plain)] == ["2", "3"]
    with pytest.raises(LookupError, match="no profile 'papr'"):
        mdvae.tables("papr", CORPUS)
    with pytest.raises(ValueError, match="seeds count from 0"):
        mdvae.tables("smoke", CORPUS, first_seed=-1)


def test_a_probe_is_trained_through_its_whole_chain(ledger, forked):
    part = mdvae.tables("smoke", CORPUS)["4"].where(metric="UA", setting="PI", label="emotion")
    adapted = Row("VQ-MDVAE", "DA + MLR")
    jobs = {recipe: (CLEAN,) for recipe in recipes_of(part, adapted, metric="UA")}
    summary = compute(jobs, ledger, progress=False)
    assert (summary.trained, summary.failed) == (4, {}), "two codecs, the dynamics, the probe"
    (value,) = [v for v in part.summarise(Results.read(ledger)).set_index("row")["mean"] if np.isfinite(v)]
    assert 0 <= value <= 1


def test_scored_recipes_are_not_scored_again(ledger, forked):
    recipe = recipes_of(mdvae.tables("smoke", CORPUS)["2"], Row("VQ-VAE"), metric="IS")[0]
    assert compute({recipe: (CLEAN,)}, ledger, progress=False).trained == 1
    summary = compute({recipe: (CLEAN,)}, ledger, progress=False)
    assert (summary.trained, summary.scored) == (0, 0)


def test_few_labels_are_fewer_labels_and_nothing_else():
    part = TABLES["12"].where(metric="UA", system="VQ-MDVAE")
    full = recipes_of(TABLES["4"], Row("VQ-MDVAE", "MLR"), metric="UA", setting="PD", label="emotion")
    for column in part.columns:
        for cell, other in zip(part.cells[Row("VQ-MDVAE", "MLR"), column].cells, full, strict=True):
            assert cell.recipe.options == other.options | {"share": column.share}
            assert cell.recipe.upstream == other.upstream and (cell.recipe == other) == (column.share == 1)
    assert str(part.columns[0]) == "UA, emotion, PD, 0.01 of the labels"


@pytest.mark.parametrize("pixels", [32, 64])
def test_the_boxes_of_the_tables_are_those_of_the_corpus(pixels):
    corpus = corpora.synthetic_av(size="smoke", pixels=pixels)
    boxes = {name: tuple(edge * pixels // 64 for edge in box) for name, box in mdvae.BOXES[64]["synthetic_av"].items()}
    assert (
        boxes == corpus.boxes and corpora.load("synthetic_av_pd", size="smoke", pixels=pixels).labels == corpus.labels
    )
