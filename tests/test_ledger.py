"""The ledger: what is written comes back, scores belong to their data, and the published tables hold the same."""

import json
import math
import multiprocessing
import os
import time

import pandas as pd
import pytest

from robustmer.experiments.ledger import COLUMNS, Ledger, Score

KEYS = ["0123456789", "abcdef0123", "fedcba9876"]
DATA = {"fingerprint": "f0"}


def record(key: str, **changes) -> dict:
    about = {
        "key": key,
        "recipe": {"system": "MEN", "upstream": {}},
        "fingerprint": "f0",
        "outcome": "trained",
        "code": "c0",
    }
    return about | changes


def scores_of(number: int, conditions=("clean", "audio: Gaussian() -10 dB")) -> list[Score]:
    return [Score(c, m, (number + i) / 7) for i, c in enumerate(conditions) for m in ("WA", "UA")]


def fill(ledger: Ledger, count: int = 3) -> Ledger:
    for number, key in enumerate(KEYS[:count]):
        ledger.write_training(record(key), weights=b"weights")
        ledger.write_scores(key, scores_of(number), DATA)
    return ledger


def test_what_is_written_comes_back(tmp_path):
    ledger = fill(Ledger(tmp_path))
    assert ledger.trainings() == {key: record(key) for key in KEYS}
    assert ledger.training(KEYS[1]) == record(KEYS[1]) and ledger.training("none") is None
    frame = ledger.scores()
    assert tuple(frame.columns) == COLUMNS and len(frame) == 12
    rows = [Score(*row) for row in frame[frame["key"] == KEYS[1]].drop(columns="key").itertuples(index=False)]
    assert [row[:3] for row in rows] == [score[:3] for score in scores_of(1)]
    pd.testing.assert_frame_equal(ledger.scores(KEYS[1]), frame[frame["key"] == KEYS[1]].reset_index(drop=True))
    assert ledger.weights(KEYS[0]).read_bytes() == b"weights" and ledger.weights("none") is None


def test_an_empty_ledger_has_no_scores(tmp_path):
    ledger = Ledger(tmp_path / "nothing", published=tmp_path / "published")
    assert ledger.trainings() == {} and ledger.scores().empty and tuple(ledger.scores().columns) == COLUMNS
    assert list(tmp_path.iterdir()) == [], "reading writes nothing"


def test_scores_computed_again_replace_the_earlier(tmp_path):
    ledger = fill(Ledger(tmp_path), 1)
    ledger.write_scores(KEYS[0], scores_of(5), DATA)
    assert len(list((tmp_path / "scores").iterdir())) == 1
    ledger.write_scores(KEYS[0], scores_of(9, ["clean"]), DATA)
    values = ledger.scores().set_index(["condition", "metric"])["value"]
    assert values["clean", "WA"] == 9 / 7 and values["audio: Gaussian() -10 dB", "WA"] == 6 / 7 and len(values) == 4


def test_scores_of_other_data_do_not_count(tmp_path):
    ledger = fill(Ledger(tmp_path), 2)
    ledger.write_training(record(KEYS[0], fingerprint="f1"))
    assert set(ledger.scores()["key"]) == {KEYS[1]}
    ledger.write_scores(KEYS[0], scores_of(3, ["clean"]), {"fingerprint": "f1"})
    assert ledger.scores(KEYS[0])["condition"].tolist() == ["clean", "clean"]
    (tmp_path / "trainings" / f"{KEYS[1]}.json").unlink()
    assert set(ledger.scores()["key"]) == {KEYS[0]}, "scores without their training cannot be explained"


def test_a_training_without_weights_leaves_none_of_an_earlier_one(tmp_path):
    ledger = fill(Ledger(tmp_path), 1)
    ledger.write_training(record(KEYS[0], outcome="diverged: a loss is not finite"))
    assert ledger.weights(KEYS[0]) is None


# --- published tables -------------------------------------------------------------------------------------------------


def published(tmp_path) -> Ledger:
    ledger = fill(Ledger(tmp_path / "runs", published=tmp_path / "measured"))
    ledger.publish(KEYS)
    return ledger


def test_published_tables_hold_what_the_files_hold(tmp_path):
    ledger = published(tmp_path)
    ledger.write_scores(KEYS[0], [Score("clean", "UA lost", 0.25, 0.03, 17), Score("noisy", "WA", math.nan)], DATA)
    ledger.publish([])
    lines = (tmp_path / "measured" / "trainings.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines] == sorted(KEYS)
    table = Ledger(tmp_path / "none", published=tmp_path / "measured")
    assert table.trainings() == ledger.trainings()
    own = Ledger(tmp_path / "runs").scores().round(6)
    ours, theirs = (f.sort_values(list(COLUMNS[:3]), ignore_index=True) for f in (own, table.scores()))
    pd.testing.assert_frame_equal(ours, theirs)
    before = [(tmp_path / "measured" / name).read_bytes() for name in ("trainings.jsonl", "scores.csv")]
    ledger.publish(KEYS)
    assert before == [(tmp_path / "measured" / name).read_bytes() for name in ("trainings.jsonl", "scores.csv")]


def test_only_wanted_trainings_that_did_not_fail_are_published(tmp_path):
    ledger = fill(Ledger(tmp_path / "runs", published=tmp_path / "measured"))
    ledger.write_training(record(KEYS[1], outcome="failed: MemoryError"))
    ledger.publish(KEYS[:2])
    table = Ledger(tmp_path / "none", published=tmp_path / "measured")
    assert set(table.trainings()) == set(table.scores()["key"]) == {KEYS[0]}
    with pytest.raises(ValueError, match="no published tables"):
        Ledger(tmp_path / "runs").publish(KEYS)


def test_own_results_replace_published_ones_and_other_data_all_of_them(tmp_path):
    published(tmp_path)
    own = Ledger(tmp_path / "own", published=tmp_path / "measured")
    assert len(own.scores()) == 12 and own.training(KEYS[2])["fingerprint"] == "f0"
    own.write_training(record(KEYS[0]))
    own.write_scores(KEYS[0], scores_of(70, ["clean"]), DATA)
    assert len(own.scores()) == 12 and own.scores(KEYS[0])["value"].max() == 10
    own.write_training(record(KEYS[1], fingerprint="f1"))
    assert set(own.scores()["key"]) == {KEYS[0], KEYS[2]}


def test_numbers_and_words_survive_the_published_form(tmp_path):
    ledger = Ledger(tmp_path / "runs", published=tmp_path / "measured")
    ledger.write_training(record("0000000000"))
    odd = [
        Score('with "quotes", commas\nand a line', "NA", 1e-7),
        Score("nan", "null", -1.25),
        Score("", "WA", math.inf),
    ]
    ledger.write_scores("0000000000", odd, DATA)
    ledger.publish(["0000000000"])
    back = Ledger(tmp_path / "none", published=tmp_path / "measured").scores()
    assert {(r.condition, r.metric, r.value) for r in back.itertuples()} == {
        (s.condition, s.metric, round(s.value, 6)) for s in odd
    }


# --- claims and weights -----------------------------------------------------------------------------------------------


def hold(folder, key, sender):
    lock = Ledger(folder).claim(key)
    sender.send(lock is not None)
    time.sleep(60)


def test_a_claim_is_one_processs_and_ends_with_it(tmp_path):
    ledger = Ledger(tmp_path)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    other = multiprocessing.get_context("fork").Process(target=hold, args=(tmp_path, KEYS[0], sender))
    other.start()
    assert receiver.recv() and ledger.claim(KEYS[0]) is None
    lock = ledger.claim(KEYS[1])
    assert lock is not None and ledger.claim(KEYS[1]) is None
    other.kill()
    other.join()
    mine = ledger.claim(KEYS[0])
    assert mine is not None
    for claimed in (mine, lock):
        ledger.free(claimed)
    assert not list((tmp_path / "claims").iterdir()), "no lock file stays"


def test_weights_that_nothing_needs_are_removed(tmp_path):
    ledger = fill(Ledger(tmp_path))
    old, new = (tmp_path / "weights" / f".{name}.part" for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (0, 0))
    removed = {file.name for file in ledger.remove_unneeded_weights(KEYS[:1])}
    assert removed == {f"{key}.safetensors" for key in KEYS[1:]} | {".old.part"}
    assert new.exists() and ledger.weights(KEYS[0]) is not None and len(ledger.scores()) == 12


def write_many(folder, worker):
    for i in range(20):
        key = f"{worker}{i:09}"
        Ledger(folder).write_training(record(key))
        Ledger(folder).write_scores(key, scores_of(i), DATA)


def test_processes_that_write_at_once_lose_and_mix_nothing(tmp_path):
    writers = [multiprocessing.get_context("fork").Process(target=write_many, args=(tmp_path, w)) for w in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    frame = Ledger(tmp_path).scores()
    assert len(Ledger(tmp_path).trainings()) == 60 and frame.groupby("key").size().eq(4).all() and len(frame) == 240
