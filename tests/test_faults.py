"""Grids that run side by side, are interrupted, or lose a process: nothing is lost or doubled, and everything ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from toy import CORPUS, SHORT, Killing, Slow, Student, recipes, run, values

from robustmer.experiments import grid
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe

NOTEBOOK = """
import sys
from pathlib import Path
import toy
from robustmer.conditions import CLEAN
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.recipe import Recipe

class Mine(toy.Tiny):
    def forward(self, observed):
        return 2 * super().forward(observed)

for workers in (1, 2):
    jobs = {Recipe(Mine, toy.CORPUS, seed=seed, budget=toy.SHORT): [CLEAN] for seed in range(3)}
    compute(jobs, Ledger(Path(sys.argv[1], str(workers))), workers, progress=False)
"""


def test_two_workers_with_a_system_of_a_notebook_equal_one(tmp_path):
    """The class exists in __main__ alone, so its definition travels to the workers."""
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, tmp_path / "notebook.py", tmp_path]
    subprocess.run(command, check=True, timeout=300, env=os.environ | {"PYTHONPATH": paths})
    one, two = (values(Ledger(tmp_path / workers)) for workers in "12")
    assert one.equals(two) and len(one) == 9


def fork(todo, folder, **options):
    """A child process that runs a grid."""
    child = multiprocessing.get_context("fork").Process(target=run, args=(todo, Ledger(folder)), kwargs=options)
    child.start()
    return child


def test_two_processes_on_one_ledger_divide_the_work(ledger, notes):
    todo = [Recipe(Student, CORPUS, fold=fold, budget=SHORT, options={"note": str(notes), "weight": weight})
            for fold in (0, 1) for weight in (1.0, 2.0, 3.0)]  # fmt: skip
    others = [fork(todo, ledger.folder) for _ in "ab"]
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    assert len(list(notes.iterdir())) == 8, "six students and two teachers"
    assert len({note.name.partition("-")[0] for note in notes.iterdir()}) == 2, "both had a part"
    assert len(ledger.scores()) == 6 * 6 and not list(ledger.folder.rglob("*.lock"))


def test_an_interrupted_run_keeps_what_was_finished_and_frees_its_claims(ledger, monkeypatch):
    todo, real, left = recipes(3), grid.write, [2]

    def interrupted(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(grid, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(todo, ledger)
    assert ledger.scores()["key"].nunique() == 2
    left[0] = 1  # one more training is all that is needed
    assert run(todo, ledger).trained == 1 and ledger.scores()["key"].nunique() == 3


def test_a_worker_that_dies_takes_no_other_training_along(ledger, notes, forked):
    todo = [*recipes(1, Killing, note=str(notes)), *recipes(3)]
    summary = run(todo, ledger, workers=2)
    assert summary.trained == 3 and "failed: its worker died 3 times (out of memory?)" in summary.failed[todo[0].key]
    assert len(list(notes.iterdir())) == 3 and len(ledger.scores()) == 3 * 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_a_signal_ends_a_grid_and_its_workers_within_seconds(ledger, notes, forked, number):
    todo = recipes(4, Slow, seconds=100.0, note=str(notes))
    child = fork(todo, ledger.folder, workers=2)
    until = time.monotonic() + 30
    while len(list(notes.iterdir())) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    workers = [
        w for w in psutil.Process(child.pid).children(recursive=True) if "resource_tracker" not in " ".join(w.cmdline())
    ]
    assert len(workers) == 2
    start = time.monotonic()
    os.kill(child.pid, number)
    child.join(10)
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive and child.exitcode is not None and time.monotonic() - start < 10
