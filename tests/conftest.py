"""Fixtures of the tests that train grids of toys."""

from pathlib import Path

import pytest
from joblib.externals import loky

from robustmer.experiments.ledger import Ledger


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def notes(tmp_path) -> Path:
    """A folder in which every training leaves a file."""
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def forked():
    """Worker processes are forked: they start at once, and import nothing anew."""
    loky.backend.context.set_start_method("fork", force=True)
    yield
    loky.backend.context.set_start_method(None, force=True)
