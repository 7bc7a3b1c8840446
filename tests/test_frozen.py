"""The published scores give the numbers that the first edition printed."""

import importlib
import subprocess
import sys

import pandas as pd

from robustmer.experiments import project


def test_every_table_difference_rank_and_verdict_is_as_it_was():
    run = subprocess.run([sys.executable, "bench/frozen.py"], cwd=project(), capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_changed_or_missing_number_is_noticed(monkeypatch):
    monkeypatch.syspath_prepend(project() / "bench")
    compare = importlib.import_module("frozen").compare
    part = {"keys": ["system"], "values": ["mean"], "words": {"system": ["MEN", "NMER"]}, "rows": [[0, 0.5], [1, 0.25]]}
    frame = pd.DataFrame({"system": ["MEN", "NMER"], "mean": [0.5, 0.25]})
    assert compare("table", part, frame) == (2, 0, [])
    assert compare("table", part, frame.assign(mean=[0.5, 0.25000001]))[2] == [
        "table, NMER: mean was 0.25 and is 0.25000001"
    ]
    assert len(compare("table", part, frame[:1])[2]) == 1
    assert compare("table", part, frame.assign(mean=[0.5, 0.3], again=[False, True])) == (1, 1, [])
