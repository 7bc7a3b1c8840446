"""The metrics are scikit-learn's, and WA and UA are not confused."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, recall_score

from robustmer.metrics import METRICS, ua, wa


@pytest.mark.parametrize("seed", range(6))
def test_parity_with_scikit_learn(seed):
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 9))
    label = random.integers(0, classes, 200)
    guess = np.where(random.random(200) < 0.6, label, random.integers(0, max(classes - seed % 2, 1), 200))
    a, b = torch.tensor(label), torch.tensor(guess)
    assert METRICS["WA"](a, b) == pytest.approx(accuracy_score(label, guess))
    assert METRICS["UA"](a, b) == pytest.approx(recall_score(label, guess, average="macro"))
    assert METRICS["F1"](a, b) == pytest.approx(f1_score(label, guess, average="macro"))


def test_a_class_that_is_only_guessed_counts_in_f1_and_not_in_ua():
    label, guess = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2, 1, 1])
    assert METRICS["UA"](label, guess) == pytest.approx(0.75)
    assert METRICS["F1"](label, guess) == pytest.approx(f1_score(label, guess, average="macro", zero_division=0))


def test_always_guessing_the_larger_class_has_high_wa_and_chance_ua():
    label = torch.tensor([0] * 71 + [1] * 29)  # the share of positive rows in CMU-MOSEI, NMER Table 1
    assert wa(label, torch.zeros_like(label)) == pytest.approx(0.71)
    assert ua(label, torch.zeros_like(label)) == pytest.approx(0.5)
