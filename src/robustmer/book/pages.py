"""The pages of the book: names, files, and the hash that tells whether a page must be executed again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
import nbformat
import yaml
from nbformat import NotebookNode

import robustmer
from robustmer.book import known
from robustmer.experiments import path_of, project

CACHES = re.compile(r"^\.|^__pycache__$|\.(lock|taken|tmp|part|pyc)$|~$")
"""Names of files and folders that version control ignores: they never make a page stale."""


class Page(NamedTuple):
    """A notebook of the book: its source below notebooks/, and the executed copy that the book renders."""

    name: str  # "nmer/01_noise_scheduler"
    source: Path
    target: Path


def pages(root: Path) -> list[Page]:
    """The front page, where it is a notebook, and the notebooks that _toc.yml names, in its order."""
    toc = yaml.safe_dump(yaml.safe_load((root / "_toc.yml").read_text()), sort_keys=False)
    front = root / "notebooks/index.py"
    listed = [Page("index", front, root / "book/index.ipynb")] if front.exists() else []
    for name in re.findall(r"file: executed/(\S+)", toc):
        listed.append(Page(name, root / f"notebooks/{name}.py", root / f"book/executed/{name}.ipynb"))
    missing = [str(page.source.relative_to(root)) for page in listed if not page.source.exists()]
    if missing:
        raise FileNotFoundError(f"_toc.yml names notebooks that do not exist: {', '.join(missing)}")
    return listed


def page_name(text: str | Path, root: Path) -> str:
    """The one spelling of a page, `nmer/04_table_2`, from that spelling or from a path to its .py or .ipynb."""
    path = path_of(text)
    with contextlib.suppress(ValueError):
        path = path.resolve().relative_to(root.resolve() / "notebooks") if path.exists() else path
    return path.as_posix().removeprefix("notebooks/").removesuffix(".py").removesuffix(".ipynb")


def notebook_file(text: str | Path) -> Path:
    """The file of a notebook that is given as a path or as a page of the project."""
    path = path_of(text)
    if path.suffix in (".py", ".ipynb") and path.exists():
        if not path.is_file():
            raise ValueError(f"{path} is not a regular file; give a notebook")
        return path
    try:
        root = project()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no notebook {path} (.py or .ipynb), and {error}") from error
    sources = {page.name: page.source for page in pages(root)}
    return sources[known(page_name(text, root), sources, "notebook")]


def read(source: Path) -> NotebookNode:
    """A notebook from its .py or .ipynb, with a valid structure and the kernel `python3`; else ValueError."""
    try:
        notebook = jupytext.read(source)
        nbformat.validate(notebook)
        kernel = notebook.metadata.get("kernelspec", {}).get("name")
    except Exception as error:  # jupytext, nbformat, jsonschema and yaml each have their own
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(f"{source} cannot be read as a notebook ({reason[0]}); correct the file") from error
    if kernel != "python3":
        raise ValueError(f"{source}: the kernel is {kernel!r}; name `python3` in the header of the notebook")
    return notebook


def inputs_digest(root: Path, data: Path) -> str:
    """sha256 of what every page depends on: library, pins and results by content, corpora by name and size."""
    package, digest = Path(robustmer.__file__).parent, hashlib.sha256()
    pins = [root / name for name in ("requirements.txt", "constraints.txt") if (root / name).is_file()]
    for base, files in ((package, files_below(package, "*.py")), (root, [*files_below(root / "results"), *pins])):
        for file in files:
            digest.update(f"{file.relative_to(base).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    for corpus in sorted(data.iterdir()) if data.is_dir() else []:  # a corpus may be a link to its folder
        for file in files_below(corpus.resolve()) if corpus.is_dir() else [corpus]:
            digest.update(f"{corpus.name}/{file.name}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()


def files_below(folder: Path, pattern: str = "*") -> list[Path]:
    """The files below a folder, without locks, caches and hidden files."""
    files = (file for file in folder.rglob(pattern) if file.is_file())
    return sorted(file for file in files if not any(map(CACHES.search, file.relative_to(folder).parts)))


def stamp_of(source: Path, parameters: Mapping[str, Any], inputs: str) -> str:
    """The first 16 hex digits of the hash of a page: its notebook, its parameters, and what all pages depend on."""
    return hashlib.sha256(source.read_bytes() + json.dumps(parameters).encode() + inputs.encode()).hexdigest()[:16]


def stamp_in(target: Path) -> str:
    """The stamp of an executed page; empty if it has none, or holds an error."""
    try:
        notebook = nbformat.read(target, as_version=4)
    except (OSError, ValueError):
        return ""
    failed = any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))
    return "" if failed else notebook.metadata.get("robustmer", {}).get("stamp", "")
