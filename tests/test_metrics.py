"""The metrics are scikit-learn's, and WA and UA are not confused."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, recall_score
from sklearn.metrics.pairwise import paired_distances

from robustmer.metrics import (
    CLASSIFICATION, REGRESSION, average_distance, calibration, ece, ece_floor, overconfidence, temperature, ua,
    ua_difference, wa,
)  # fmt: skip
from robustmer.noise import NoiseScheduler, stream
from robustmer.tasks import Regress


@pytest.mark.parametrize("seed", range(6))
def test_parity_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 9))
    label = random.integers(0, classes, 200)
    guess = np.where(random.random(200) < 0.6, label, random.integers(0, max(classes - seed % 2, 1), 200))
    a, b = torch.tensor(label), torch.tensor(guess)
    assert CLASSIFICATION["WA"](a, b) == pytest.approx(accuracy_score(label, guess))
    assert CLASSIFICATION["UA"](a, b) == pytest.approx(recall_score(label, guess, average="macro"))
    assert CLASSIFICATION["F1"](a, b) == pytest.approx(f1_score(label, guess, average="macro"))


def test_a_class_that_is_only_guessed_counts_in_f1_and_not_in_ua():
    label, guess = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert CLASSIFICATION["UA"](label, guess) == pytest.approx(0.75)
    assert CLASSIFICATION["F1"](label, guess) == pytest.approx(f1_score(label, guess, average="macro", zero_division=0))


@pytest.mark.parametrize("seed", range(4))
def test_a_difference_of_uas_and_its_error_are_those_of_drawing_speakers_again(seed):
    """Resample whole speakers, with rows that resemble their speaker's, and take the spread of the difference."""
    random = np.random.default_rng(seed)
    speakers, classes = 40, 2 + seed % 2
    speaker = np.repeat(np.arange(speakers), random.integers(15, 35, speakers))
    label = torch.tensor(random.integers(0, classes, len(speaker)) * random.integers(0, 2, len(speaker)))
    habit = random.normal(0, 0.25, speakers)[speaker]
    before, after = (np.where(random.random(len(label)) < 0.6 + shift, label, (label + 1) % classes)
                     for shift in (habit, -0.1 - habit))  # fmt: skip
    before, after = torch.tensor(before), torch.tensor(after)
    difference = (before == label).double() - (after == label).double()
    value, error = ua_difference(label, difference, speaker)
    assert value == pytest.approx(ua(label, before) - ua(label, after))
    rows_of = [np.flatnonzero(speaker == s) for s in range(speakers)]
    again = []
    for _ in range(1000):
        rows = np.concatenate([rows_of[s] for s in random.integers(0, speakers, speakers)])
        again.append(ua(label[rows], before[rows]) - ua(label[rows], after[rows]))
    assert error == pytest.approx(np.std(again), rel=0.15)
    alone = ua_difference(label, difference, np.arange(len(label)))[1]
    assert alone < 0.75 * error, "rows of one speaker are no independent rows"
    with pytest.raises(ValueError, match="one of each"):
        ua_difference(label, difference, speaker[1:])
    with pytest.raises(ValueError, match="one group"):
        ua_difference(label, difference, np.zeros(len(label)))


@pytest.mark.parametrize("seed", range(6))
def test_metrics_of_sentiment_agree_with_scikit_learn_scipy_and_numpy(seed):
    random = np.random.default_rng(seed)
    label = np.round(random.uniform(-3, 3, 150) * 5).astype(np.float32) / 5  # fifths, zeros among them
    label[:9] = [0, 0, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 3]
    guess = (label + random.normal(size=150)).astype(np.float32)
    guess[:4] = [0, -0.0, 3.5, -9]
    task = Regress("sentiment")
    measured = task.scores({"output": torch.tensor(guess)[:, None], "label": torch.tensor(label)})
    nonzero = label != 0
    sevens = lambda x: np.round(np.clip(x, -3, 3))  # noqa: E731
    expected = {
        "acc2_has0": accuracy_score(label >= 0, guess >= 0),
        "acc2_non0": accuracy_score(label[nonzero] > 0, guess[nonzero] > 0),
        "f1_has0": f1_score(label >= 0, guess >= 0, average="weighted"),
        "f1_non0": f1_score(label[nonzero] > 0, guess[nonzero] > 0, average="weighted"),
        "acc7": accuracy_score(sevens(label), sevens(guess)),
        "mae": mean_absolute_error(label, guess),
        "corr": pearsonr(label, guess).statistic,
    }
    assert list(measured) == list(REGRESSION) == list(expected)
    assert measured == pytest.approx(expected, rel=1e-6)


def test_halves_round_to_even_and_sentiment_beyond_three_is_three():
    label = torch.tensor([0.0, 2.0, 2.0, -2.0, 3.0, -3.0])
    guess = torch.tensor([0.5, 1.5, 2.5, -2.5, 4.4, -7.0])
    assert REGRESSION["acc7"](label, guess) == 1.0


def test_a_guess_that_never_varies_has_no_correlation_and_zeros_alone_are_refused():
    label = torch.tensor([0.1, -0.3, 0.2])
    assert REGRESSION["corr"](label, torch.full((3,), 0.1)) == 0.0
    with pytest.raises(ValueError, match="all 3 labels are 0"):
        REGRESSION["acc2_non0"](torch.zeros(3), label)


def test_a_class_that_is_never_guessed_counts_as_zero_in_weighted_f1():
    label, guess = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.5, 0.5, 0.5])
    expected = f1_score([1, 1, 0], [1, 1, 1], average="weighted")
    assert REGRESSION["f1_has0"](label, guess) == pytest.approx(expected)
    assert REGRESSION["f1_has0"](-label[:2], -guess[:2]) == 1.0


def test_always_guessing_the_larger_class_has_high_wa_and_chance_ua():
    label = torch.tensor([0] * 71 + [1] * 29)  # the share of positive rows in CMU-MOSEI, NMER Table 1
    assert wa(label, torch.zeros_like(label)) == pytest.approx(0.71)
    assert ua(label, torch.zeros_like(label)) == pytest.approx(0.5)


def test_the_average_distance_is_algorithm_2():
    draw = stream("pairs")
    clean, noisy = torch.randn(50, 7, generator=draw), torch.randn(50, 7, generator=draw)
    assert average_distance(clean, noisy) == pytest.approx(paired_distances(clean.numpy(), noisy.numpy()).mean())
    assert average_distance(clean, clean) == 0.0
    for other in (noisy[:49], noisy[:, :1]):  # the second would broadcast
        with pytest.raises(Exception, match=r"no pairs|noisy"):
            average_distance(clean, other)


@pytest.mark.parametrize("level", [-10, -40])
def test_noise_moves_features_as_far_as_its_closed_form_says(level):
    """By (1 - sqrt(alpha_bar))^2 sigma^2 + 1 - alpha_bar a dimension; of many dimensions all pairs are about alike."""
    clean, scheduler = 2 * torch.randn(64, 4000, generator=stream("x")), NoiseScheduler(snr_db=level)
    real = torch.ones(64, 1, dtype=torch.bool)
    noisy = scheduler(clean[:, None], real, 4.0, stream("noise"))[:, 0]
    kept = scheduler.at(4.0).alpha_bar
    expected = math.sqrt(4000 * (4 * (1 - math.sqrt(kept)) ** 2 + 1 - kept))
    assert average_distance(clean, noisy) == pytest.approx(expected, rel=5e-3)


# --- calibration ------------------------------------------------------------------------------------------------------


def sure(confidence, right):
    """Probabilities of two classes and labels: each row answers class 0 with this confidence, and is right or not."""
    confidence = torch.as_tensor(confidence, dtype=torch.float64)
    return torch.stack([confidence, 1 - confidence], dim=1), 1 - torch.as_tensor(right).long()


def calibrated(rows, classes=4, sharpness=2.0, seed=0):
    """Logits, and labels drawn from exactly their softmax."""
    logits = sharpness * torch.randn(rows, classes, generator=stream("logits", seed), dtype=torch.float64)
    return logits, torch.multinomial(logits.softmax(1), 1, generator=stream("labels", seed))[:, 0]


def test_ece_of_a_case_computed_by_hand():
    """Ten bins. 0.55 and 0.6 share (0.5, 0.6]: confidence 0.575, accuracy 0.5. 0.95 twice: 0.95 and 1. Weights 1/2."""
    probability, label = sure([0.55, 0.6, 0.95, 0.95], [1, 0, 1, 1])
    share, confidence, accuracy = calibration(probability, label, bins=10)
    assert share.tolist() == [0.5, 0.5] and accuracy.tolist() == [0.5, 1.0]
    assert confidence.tolist() == pytest.approx([0.575, 0.95])
    assert ece(probability, label, bins=10) == pytest.approx(0.5 * 0.075 + 0.5 * 0.05)
    assert overconfidence(probability, label) == pytest.approx(0.7625 - 0.75)


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_reliability_curve_is_scikit_learns(equal_mass):
    logits, label = calibrated(3000)
    probability = (2 * logits).softmax(1)
    confidence, guess = probability.max(1)
    ours = calibration(probability, label, 15, equal_mass)
    accuracy, mean = calibration_curve(
        (guess == label).numpy(), confidence.numpy(), n_bins=15, strategy="quantile" if equal_mass else "uniform"
    )
    assert ours.accuracy.numpy() == pytest.approx(accuracy) and ours.confidence.numpy() == pytest.approx(mean)
    assert float(ours.share.sum()) == pytest.approx(1)


def test_a_perfectly_calibrated_model_has_no_error_in_expectation_and_an_oversure_one_has():
    logits, label = calibrated(400_000)
    assert ece(logits.softmax(1), label) < 0.004 and abs(overconfidence(logits.softmax(1), label)) < 0.003
    assert ece((3 * logits).softmax(1), label) > 0.1 and overconfidence((3 * logits).softmax(1), label) > 0.1
    assert overconfidence((logits / 3).softmax(1), label) < -0.1


@pytest.mark.parametrize("equal_mass", [False, True])
def test_few_rows_raise_the_ece_of_a_perfect_model_and_the_floor_says_by_how_much(equal_mass):
    found, expected = [], []
    for seed in range(200):
        logits, label = calibrated(100, seed=seed)
        found.append(ece(logits.softmax(1), label, equal_mass=equal_mass))
        floor = ece_floor(logits.softmax(1), stream("floor", seed), equal_mass=equal_mass, draws=50)
        expected.append(float(floor.mean()))
    assert np.mean(found) > 0.05  # far above 0, with nothing wrong
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.05)


def test_a_row_repeated_under_six_conditions_is_no_more_than_one_row():
    logits, _ = calibrated(100)
    once = ece_floor(logits.softmax(1), stream("floor"))
    six_times, group = logits.repeat(6, 1).softmax(1), torch.arange(100).repeat(6)
    torch.testing.assert_close(ece_floor(six_times, stream("floor"), group), once)
    assert ece_floor(six_times, stream("floor")).mean() < 0.6 * once.mean()  # as if they were independent


def test_temperature_undoes_what_sharpened_the_logits_and_changes_no_answer():
    logits, label = calibrated(50_000)
    for sharper in (0.5, 1.0, 3.0):
        assert temperature(sharper * logits, label) == pytest.approx(sharper, rel=0.02)
    assert 0.05 <= temperature(logits, logits.argmax(1)) < 0.06  # all right: as sure as it may be
