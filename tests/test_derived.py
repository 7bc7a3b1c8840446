"""Derived results of corpora of people: the tables fit each other, and what captions write about them holds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from robustmer.experiments.statistics import paired, summarise

FOLDER = Path(__file__).resolve().parents[1] / "results/measured/nmer"


def derived(name: str) -> pd.DataFrame:
    return pd.read_csv(FOLDER / f"derived_{name}.csv")


def test_every_sample_and_speaker_is_in_one_split():
    classes, folds, speakers = derived("classes"), derived("folds"), derived("speakers")
    assert classes.groupby("corpus")["samples"].sum().to_dict() == {"CMU-MOSI": 2199, "RAVDESS-AV": 360}
    assert (classes[["train", "valid", "test"]].sum(axis=1) == classes["samples"]).all()
    assert (folds["shared"] == 0).all()
    tests = speakers[speakers["part"] == "test"]
    assert sorted(tests["speaker"]) == [f"actor {number:02d}" for number in range(1, 25)]


def test_the_face_tells_most_in_ravdess_and_the_words_in_mosi():
    mean = derived("reference").groupby(["corpus", "input"])["UA"].mean()
    assert 0.125 < mean["RAVDESS-AV", "a"] < mean["RAVDESS-AV", "v"] < mean["RAVDESS-AV", "a,v"]
    assert mean["CMU-MOSI", "l"] > 0.7 > 0.6 > mean["CMU-MOSI", "a"] > mean["CMU-MOSI", "v"]


def test_noise_moves_features_at_every_step_and_most_of_the_way_before_10_db():
    distances = derived("distances")
    wide = distances.pivot(index=["corpus", "modality"], columns="level", values="measured")
    assert (wide.diff(axis=1).iloc[:, 1:] < 0).all(axis=None)  # levels grow from -40 to -10
    mild = distances[distances["level"] == -10]
    assert (mild["measured"] / (mild["mean_square"] + 1) ** 0.5).min() > 0.8


def test_nmer_and_a_men_that_never_met_noise_are_too_sure_at_40_db():
    sure = derived("confidence")
    sure["value"] = sure["confidence"] - sure["accuracy"]
    at = summarise(sure[sure["level"] == "-40"], ["system"]).set_index("system")
    assert at.loc["MEN clean", "low"] > 0.1 and at.loc["NMER", "low"] > 0.05
    assert at.loc["MEN noisy", "low"] < 0 < at.loc["MEN noisy", "high"]
    errors = derived("ece").query("level == '-40'")
    assert (errors["ece_same"] < errors["floor"]).all() and not (errors["ece_clean"] < errors["floor"]).any()


def test_the_latent_is_used():
    latent = derived("latent")
    assert paired(latent, "mean", "prior sample", by="latent")["low"] > 0.2
    same = paired(latent, "mean", "posterior sample", by="latent")
    assert abs(same["mean"]) < 0.05


def test_the_own_system_was_measured_on_all_folds_and_seeds_beside_the_others():
    own = derived("own")
    assert set(own.groupby(["system", "level"]).size()) == {18}
    for level, part in own.groupby("level"):
        for other in ("NMER", "LogReg"):
            line = paired(part, "gated vote", other)
            assert line["low"] < 0 < line["high"], (level, other)
