"""The package keeps its shape: three storeys, downward imports, small files, names that say what things are."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "robustmer"
FILES = sorted(PACKAGE.rglob("*.py"))
STOREYS = {"experiments": 1, "book": 2, "cli": 2, "__main__": 2}
BANNED = {"here", "there", "found", "told", "asked", "each", "some", "said", "whoever", "nobody"}
"""Adverbs and participles that say nothing about what they name."""


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


def storey_of(module: str) -> int:
    return STOREYS.get(module.split(".")[1], 0) if "." in module else 0


def imports_at_load(file: Path) -> set[str]:
    """The library's modules that a file imports when it is loaded: not within functions, not for type checks only."""
    names = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").startswith("robustmer"):
                for alias in child.names:
                    full = f"{child.module}.{alias.name}"
                    names.add(full if full in MODULES else child.module)
            if isinstance(child, ast.Import):
                names.update(alias.name for alias in child.names if alias.name.startswith("robustmer"))
            visit(child)

    visit(ast.parse(file.read_text()))
    return names & set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_no_storey_imports_a_higher_one_not_even_late(module):
    tree = ast.parse(MODULES[module].read_text())
    for node in ast.walk(tree):
        targets = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        targets += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for target in targets:
            if target.startswith("robustmer."):
                assert storey_of(target) <= storey_of(module), f"{module} imports {target}"


def test_no_circle():
    graph = {module: imports_at_load(file) - {module} for module, file in MODULES.items()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a circle: {' -> '.join((*path, module))}"
        if module not in done:
            for target in graph[module]:
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_files_are_short_and_the_package_does_not_grow():
    """The lines of Parts I to V; a part of its own adds its files and raises the number."""
    lines = {file: len(file.read_text().splitlines()) for file in FILES}
    assert not {file.name: n for file, n in lines.items() if n > 300}
    assert sum(lines.values()) < 20_800


def test_the_library_derives_no_path_from_its_own_place():
    for module, file in MODULES.items():
        if storey_of(module) == 0:
            assert "__file__" not in file.read_text(), module


def test_no_module_needs_unix_to_be_imported():
    unix = {"fcntl", "resource", "pwd", "grp", "termios", "posix"}
    for module, file in MODULES.items():
        lines = [line for line in file.read_text().splitlines() if re.match(r"(from|import) ", line)]
        assert not unix & {word for line in lines for word in re.split(r"[ ,.]+", line)}, module


def test_nothing_is_read_back_from_a_name():
    """No table or page takes a system, level or condition out of a text that another part wrote."""
    pattern = re.compile(r"str\.(contains|extract|startswith)|\.split\(\",\"\)")
    for storey in ("experiments", "book"):
        for file in (PACKAGE / storey).rglob("*.py"):
            assert not pattern.search(file.read_text()), file.name


@pytest.mark.parametrize("module", MODULES)
def test_names_are_nouns_and_verbs(module):
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    assert not names & BANNED
