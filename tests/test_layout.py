"""The library's modules import only what stands above them, and no more than they need."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import robustmer

SOURCE = Path(robustmer.__file__).parent
ORDER = ["extras", "batch", "noise", "conditions", "corpora", "nn", "systems", "metrics", "results", "statistics",
         "source", "recipe", "train", "cost", "evaluate", "grid", "bench", "laws", "papers", "display", "book",
         "cli"]  # fmt: skip
# Settings name a Budget, which is what training is: a recipe may import train, train may not import a recipe.
ORDER[ORDER.index("recipe") : ORDER.index("train") + 1] = ["train", "recipe"]
FILES = sorted(SOURCE.rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_a_module_imports_only_what_stands_above_it(file):
    here = file.relative_to(SOURCE).with_suffix("").parts[0]
    if here == "__init__":
        return
    tree = ast.parse(file.read_text())
    late = {name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for name in imported(node)}
    for name in imported(tree) - (late if here in ("display", "cli", "systems") else set()):
        if name.startswith("robustmer."):
            other = name.split(".")[1]
            assert ORDER.index(other) <= ORDER.index(here), f"{file.name} imports {name}"


def test_every_module_has_its_place():
    found = {f.relative_to(SOURCE).with_suffix("").parts[0] for f in FILES} - {"__init__"}
    assert found == set(ORDER)


def test_the_library_needs_no_notebook_tools_and_no_extra():
    """Systems run where there is no Jupyter, no Dask and no transformers: importing them loads none of these."""
    code = (
        "import sys, robustmer.evaluate, robustmer.grid, robustmer.papers, robustmer.systems; print({*sys.modules} & "
        "{'IPython', 'papermill', 'nbformat', 'matplotlib', 'seaborn', 'distributed', 'transformers'})"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
