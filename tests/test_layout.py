"""Importing the library loads no more than it needs; `test_structure.py` checks what may import what."""

import subprocess
import sys

import pytest

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
