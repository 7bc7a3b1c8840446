"""Importing the library loads no more than it needs; `test_structure.py` checks what may import what."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import robustmer
from robustmer.experiments.provenance import CODE

HEAVY = {"IPython", "papermill", "nbformat", "matplotlib", "seaborn", "distributed", "transformers", "h5py", "sklearn"}


@pytest.mark.parametrize("modules, allowed", [
    ("robustmer.corpora", set()),
    ("robustmer.evaluation, robustmer.systems, robustmer.experiments", {"sklearn", "h5py"}),
])  # fmt: skip
def test_the_library_needs_no_notebook_tools_and_no_extra(modules, allowed):
    """Systems run where there is no Jupyter, no Dask and no transformers: importing them loads none of these."""
    code = f"import sys, {modules}; print({{*sys.modules}} & {HEAVY - allowed})"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"


def test_an_installed_copy_knows_its_code_and_writes_below_the_current_folder(tmp_path):
    """Not the commit of a repository around the environment, nor a ledger in the interpreter's own folders."""
    site, work = tmp_path / "environment/site-packages", tmp_path / "work"
    shutil.copytree(Path(robustmer.__file__).parent, site / "robustmer", ignore=shutil.ignore_patterns("__pycache__"))
    work.mkdir()
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    code = """if True:
        import json, robustmer
        from robustmer.experiments.papers import ledger_of
        from robustmer.experiments.provenance import CODE, commit
        ledger = ledger_of("nmer", "paper")
        print(json.dumps([robustmer.__file__, CODE, commit(), str(ledger.folder), ledger.published]))"""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("ROBUSTMER_HOME", None)
    run = subprocess.run([sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    file, copied, commit, folder, published = json.loads(run.stdout)
    assert file.startswith(str(site)) and copied == CODE and commit == "unknown"
    assert folder == str(work / "runs/nmer") and published is None
