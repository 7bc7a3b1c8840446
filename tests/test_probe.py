"""The linear probe is logistic regression, however wide its features are."""

from pathlib import Path

import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression

from robustmer.experiments.statistics import paired
from robustmer.metrics.probe import linear_probe


def samples(count: int, width: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    label = torch.arange(count) % 3
    x = torch.randn(count, width, generator=draw) * 5 + 2
    x[:, :3] += 12 * torch.nn.functional.one_hot(label, 3)
    return x, label


def test_rotated_features_give_the_predictions_of_all_features():
    train, valid, (test, _) = samples(40, 300, 0), samples(30, 300, 1), samples(60, 300, 2)
    mean, std = train[0].double().mean(0), train[0].double().std(0, correction=0)
    direct = LogisticRegression(C=1e-3, max_iter=1000).fit((train[0] - mean) / std, train[1])
    expected = torch.from_numpy(direct.predict((test - mean) / std))
    assert torch.equal(linear_probe(train, valid, test, penalties=[1e-3]), expected)


def test_the_penalty_is_chosen_on_the_validation_split_and_constant_features_are_no_hindrance():
    train, valid, (test, label) = samples(60, 8, 3), samples(60, 8, 4), samples(90, 8, 5)
    train[0][:, 7] = 1.5
    guess = linear_probe(train, valid, test)
    assert (guess == label).double().mean() > 0.7
    wrong = (valid[0], (valid[1] + 1) % 3)  # on which the surest model is the worst
    assert (linear_probe(train, wrong, test, penalties=[1.0, 1e-9]) != guess).any()


def test_the_measured_pyramids_are_what_the_page_writes_about_them():
    """Order matters at the highest level, no level is beyond the fourth, and one region has no order."""
    frame = pd.read_csv(Path(__file__).parents[1] / "results/measured/mcwsa/derived_pyramid.csv")
    frame = frame.rename(columns={"UA": "value"}).assign(row=frame["input"] + " " + frame["level"].astype(str))
    assert set(frame.groupby("row").size()) == {6, 18}
    assert frame[frame["level"] == 1].query("input != 'one level'").groupby("fold")["value"].nunique().eq(1).all()
    assert paired(frame, "pyramid 64", "shuffled 64", "row")["low"] > 0
    mean = frame.groupby("row")["value"].mean()
    assert mean["pyramid 4"] == mean.max()
    shuffled = [mean[f"shuffled {level}"] for level in (1, 64)]
    assert shuffled[1] < shuffled[0] - 0.05
