"""What decides a number beside its recipe: the code that runs, its commit, and the numerical environment."""

import subprocess

import pytest

from robustmer.experiments import provenance
from robustmer.experiments.provenance import commit, hash_of_code, numerics

SOURCE = '"""A module."""\n\n\ndef double(x):\n    """Twice x."""\n    return 2 * x  # so it is\n'


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in the place of the library's."""
    folder = tmp_path / "package"
    (folder / "experiments").mkdir(parents=True)
    (folder / "__init__.py").write_text(SOURCE)
    (folder / "cli.py").write_text(SOURCE)
    (folder / "experiments" / "tables.py").write_text(SOURCE)
    (folder / "experiments" / "work.py").write_text(SOURCE)
    monkeypatch.setattr(provenance, "PACKAGE", folder)
    monkeypatch.setattr(provenance, "CODE", hash_of_code())
    commit.cache_clear()
    yield folder
    commit.cache_clear()


def git(folder, *words):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


@pytest.mark.parametrize("file, before, after, counts", [
    ("__init__.py", "2 * x", "3 * x", True), ("__init__.py", "Twice x", "Doubles x", False),
    ("__init__.py", "# so it is", "# doubled", False), ("cli.py", "2 * x", "3 * x", False),
    ("experiments/tables.py", "2 * x", "3 * x", False), ("experiments/work.py", "2 * x", "3 * x", True),
])  # fmt: skip
def test_the_hash_changes_with_the_code_that_trains(package, file, before, after, counts):
    (package / file).write_text(SOURCE.replace(before, after))
    assert (hash_of_code() != provenance.CODE) == counts


def test_a_commit_is_that_of_the_code_that_runs(package):
    assert commit() == "unknown", "outside version control"
    commit.cache_clear()
    git(package.parent, "init")
    assert commit() == "unknown", "a repository around an installed package is not its own"
    commit.cache_clear()
    git(package.parent, "add", "."), git(package.parent, "commit", "-m", "one")
    clean = commit()
    assert len(clean) == 10
    commit.cache_clear()
    (package / "__init__.py").write_text(SOURCE.replace("2 * x", "3 * x"))
    assert commit() == f"{clean}+"
    commit.cache_clear()
    git(package.parent, "commit", "-am", "two")
    assert commit().endswith("+"), "the code that was imported is not that of the new commit"


def test_libraries_loaded_in_front_are_recorded(monkeypatch):
    assert numerics()["preloaded"] == ""
    monkeypatch.setenv("LD_PRELOAD", "/opt/fast/libfast.so:/opt/other.so")
    assert numerics()["preloaded"] == "libfast.so, other.so"
