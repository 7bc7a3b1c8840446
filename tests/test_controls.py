"""Positive controls: the Bayes classifier is one, averaging shows nothing, and a mechanism wins where it must."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import robustmer as rm
from robustmer.corpora.structured import MECHANISMS, SIZES
from robustmer.experiments.papers import controls, results


@pytest.fixture(params=MECHANISMS)
def corpus(request):
    return rm.corpora.load(f"synthetic_{request.param}")


def test_no_linear_map_of_averages_shows_the_class(corpus):
    label = corpus.samples.labels["class"].numpy()
    x = np.concatenate([corpus.samples.x[m].mean(1) for m in corpus.modalities], axis=1)
    half = len(x) // 2
    right = LogisticRegression(max_iter=1000).fit(x[:half], label[:half]).score(x[half:], label[half:])
    chance = 0.5 if corpus.name != "synthetic selection" else 0.48  # of four classes; the marks are no class
    assert abs(right - chance) < 0.04


@pytest.mark.parametrize(("mechanism", "low", "high"),
                         [("interaction", 0.88, 0.91), ("selection", 0.89, 0.93), ("moment", 0.999, 1), ("completion", 0.97, 0.99)])  # fmt: skip
def test_the_ceiling_is_that_of_the_densities(mechanism, low, high):
    """interaction: with p the chance that one sign is read, 1.6 standard deviations from the border, p^2 + (1-p)^2 is
    .896. completion: three signs at 2.5 make (1 + (2p - 1)^3) / 2 = .982."""
    assert low <= controls.ceiling(f"synthetic_{mechanism}") <= high


def test_folds_share_no_sample_and_sizes_are_as_stated(corpus):
    folds, *parts = SIZES["quick"]
    assert [[len(part) for part in fold] for fold in corpus.split.folds] == [parts] * folds
    rows = np.concatenate([np.concatenate(fold) for fold in corpus.split.folds])
    assert len(np.unique(rows)) == len(rows) == len(corpus) and corpus.split.test_to_train == 0


def test_the_same_seed_makes_the_same_bytes_and_another_seed_another_corpus(corpus):
    make = rm.corpora.find(f"synthetic_{corpus.name.split()[1]}").load
    assert make(size="smoke").fingerprint == make(size="smoke").fingerprint != make(size="smoke", seed=1).fingerprint
    with pytest.raises(rm.corpora.CorpusError, match="smoke, quick"):
        make(size="huge")


@pytest.mark.parametrize("name", controls.CORPORA[:3])
def test_where_a_mechanism_must_win_it_wins(name):
    """Measured: a network with the mechanism is at least 20 points above logistic regression, and near the ceiling."""
    table, measured = controls.tables("paper", name)["1"], results("controls")
    (claim,) = controls.claims(name)
    line = claim.contrasts[0].measure(measured, scale=100)
    assert line["low"] > 0 and line["effect"] > 20 and line["repetitions"] == 3
    best = table.summarise(measured)["mean"].max()
    assert controls.ceiling(name) - 0.12 < best < controls.ceiling(name) + 0.02


def test_no_system_completes_the_face():
    """The page says so: the control that no system passes. Rewrite the page when one does."""
    table, measured = controls.tables("paper", "synthetic_completion")["1"], results("controls")
    scores = table.summarise(measured).set_index("row")["mean"]
    assert scores.max() < controls.ceiling("synthetic_completion") - 0.2
    assert scores[controls.Row("CDTP")] < scores.max()
    folds = table.where(system="CDTP").values(measured)["value"]
    assert folds.min() < 0.4 and folds.max() > 0.6, "one fold is far below chance"
