"""Damage to the files of a ledger: one sentence that names the file, or nothing that counts has changed.

Files have no checksums. What makes one unreadable or of another form is found; a bit that flips within one plausible
number is not. The published tables are under version control, which finds every change.
"""

import errno
import json
import os
import resource
import signal

import pytest
from damage import ALWAYS, damaged, in_another_process
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ledger import DATA, KEYS, fill, record, scores_of
from toy import CORPUS, SHORT, Student

from robustmer.conditions import CLEAN
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """A ledger of three trainings, published, and the bytes of its files."""
    folder = tmp_path_factory.mktemp("ledger")
    ledger = fill(Ledger(folder / "runs", published=folder / "measured"))
    ledger.publish(KEYS[:2])
    files = [file for file in folder.rglob("*.*") if file.is_file() and file.suffix != ".safetensors"]
    return ledger, {file: file.read_bytes() for file in files}


@settings(max_examples=300, **ALWAYS)
@given(st.data())
def test_damage_is_one_sentence_with_the_file_or_plausible(ledger, data):
    """Numbers may change within a file that stays well formed; no key, training or score of another file does."""
    ledger, whole = ledger
    path = data.draw(st.sampled_from(sorted(whole)))
    path.write_bytes(damaged(data.draw, whole[path]))
    try:
        scores, trainings = ledger.scores(), ledger.trainings()
    except ValueError as error:
        assert str(path) in str(error) and "is damaged" in str(error) and "\n" not in str(error).split("(")[0]
        assert "delete it" in str(error) or "restore it" in str(error)
    else:
        untouched = [key for key in KEYS if key not in path.name and path.parent.name != "measured"]
        assert set(untouched) <= set(trainings) and scores["value"].dtype == float
        for number, key in enumerate(KEYS):
            if key in untouched:
                assert scores[scores["key"] == key]["value"].tolist() == [s.value for s in scores_of(number)]
    finally:
        path.write_bytes(whole[path])


DEEP = "[" * 100_000


@pytest.mark.parametrize("content", [
    b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"key": 3}', DEEP.encode(), b'{"key": "fedcba9876"}',
    json.dumps(record("fedcba9876")).encode(), json.dumps(record(KEYS[0], outcome=None)).encode(),
])  # fmt: skip
def test_a_file_that_is_no_record_of_this_training_is_refused(tmp_path, content):
    ledger = fill(Ledger(tmp_path), 1)
    file = tmp_path / "trainings" / f"{KEYS[0]}.json"
    file.write_bytes(content)
    for read in (ledger.trainings, ledger.scores, lambda: ledger.training(KEYS[0])):
        with pytest.raises(
            ValueError, match=f"{KEYS[0]}.json is damaged .*; delete it, and the next run computes it again"
        ):
            read()


@pytest.mark.parametrize("scores", [
    "x", [["clean"]], [["clean", "WA", "high"]], [["clean", "WA", 1.0, 0.1, None]], [3], [None], {"clean": 1},
    [["clean", "WA", 1.0, 0.1, 1e999]],
])  # fmt: skip
def test_scores_that_are_none_are_refused(tmp_path, scores):
    fill(Ledger(tmp_path), 1)
    (file,) = (tmp_path / "scores").iterdir()
    file.write_text(json.dumps({"key": KEYS[0], "fingerprint": "f0", "scores": scores}))
    with pytest.raises(ValueError, match=rf"{file.name} is damaged"):
        Ledger(tmp_path).scores()


@pytest.mark.parametrize("name, content, why", [
    ("scores.csv", "a,b\n1,2\n", "scores.csv is damaged .*columns key, condition"),
    ("scores.csv", "key,condition,metric,value,error,groups\nk,clean,WA,high,,\n", "scores.csv is damaged .*high"),
    ("scores.csv", "key,condition,metric,value,error,groups\nk,clean,WA\n", "scores.csv is damaged"),
    ("scores.csv", "key,condition,metric,value,error,groups\nk,clean,WA,1,,1e999\n", "scores.csv is damaged"),
    ("scores.csv", "", "scores.csv is damaged"),
    ("trainings.jsonl", '{"key": "k"}\n', "trainings.jsonl, line 1 is damaged"),
    ("trainings.jsonl", json.dumps(record("k")) + "\n" + DEEP, "trainings.jsonl, line 2 is damaged"),
])  # fmt: skip
def test_published_tables_that_are_none_are_refused(tmp_path, name, content, why):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=f"{why}.*; restore it from version control"):
        Ledger(tmp_path / "none", published=tmp_path).trainings()
        Ledger(tmp_path / "none", published=tmp_path).scores()


# --- full disks and folders that cannot be written --------------------------------------------------------------------


def jobs(count: int = 3) -> dict:
    return {Recipe(Student, CORPUS, seed=seed, budget=SHORT): (CLEAN,) for seed in range(count)}


@pytest.mark.parametrize("limit", [0, 300, 1000])
def test_a_full_disk_loses_one_training_and_the_next_run_completes(tmp_path, limit):
    """The kernel takes the bytes of a file up to a limit and refuses the others, as a disk does that fills up."""
    ledger = Ledger(tmp_path)
    compute(dict(list(jobs().items())[:1]), ledger, progress=False)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.*") if file.is_file()}

    def on_a_small_disk():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        compute(jobs(), ledger, progress=False)

    answer = in_another_process(on_a_small_disk)
    assert answer.startswith("OSError: ") and str(tmp_path) in answer and os.strerror(errno.EFBIG) in answer
    assert "nothing was written" in answer and "\n" not in answer
    assert {file: file.read_bytes() for file in before} == before
    assert not list(tmp_path.rglob("*.part")) and not list(tmp_path.rglob("*.lock"))
    assert ledger.scores()["key"].nunique() >= 1 and ledger.trainings()
    compute(jobs(), ledger, progress=False)
    assert len(ledger.scores()) == 3 * 3 and len(ledger.trainings()) == 6


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Student, "objectives", lambda self: pytest.fail("it trained"))
    with pytest.raises(OSError, match="file"):
        compute(jobs(1), Ledger(tmp_path / "file" / "ledger"), progress=False)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_the_earlier_file(tmp_path, moment):
    ledger = fill(Ledger(tmp_path), 1)
    before = ledger.scores()

    def killed():
        setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        ledger.write_scores(KEYS[0], scores_of(5), DATA)

    assert in_another_process(killed) == "SIGKILL"
    assert ledger.scores().equals(before) and len(list(tmp_path.rglob("*.part"))) == 1


# --- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b"\xff" * 8 + b[8:], lambda b: b[8:]])
def test_a_broken_weights_file_is_trained_again(tmp_path, capsys, damage):
    ledger = Ledger(tmp_path)
    compute(jobs(1), ledger, progress=False)
    values = ledger.scores()
    (file,) = (tmp_path / "weights").iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    more = {recipe: (CLEAN,) for recipe in jobs(1)} | {
        Recipe(Student, CORPUS, seed=0, budget=SHORT, options={"lr": 0.1}): (CLEAN,)
    }
    summary = compute(more, ledger, progress=False)
    assert summary.trained == 2, "the teacher and the new student"
    assert "it is trained again" in capsys.readouterr().err and file.name in os.listdir(tmp_path / "weights")
    assert file.read_bytes() == whole, "the same weights, to the last bit"
    assert ledger.scores(values["key"][0]).equals(values)
