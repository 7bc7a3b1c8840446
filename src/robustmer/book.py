"""The book: execute each notebook of the table of contents, keep what is still valid, render the pages strictly.

Papermill does the executing, one process and one kernel for each notebook. What this module adds is that parameters are
checked before anything runs, that a page exists only if its notebook finished, that the same inputs give the same
bytes, and that a hash of everything a page depends on, stored in the page, decides whether it has to run again.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import yaml
from jupytext.compare import NotebookDifference, compare_notebooks
from nbformat import NotebookNode

from robustmer.corpora.corpus import ROOT, data_folder

PAPERMILL_CELLS = ("injected-parameters", "papermill-error-cell-tag")
TYPES = {"int": int, "float": float, "bool": bool, "str": str, "list": list, "dict": dict, "Any": Any}


class NotebookFailed(RuntimeError):
    """A notebook stopped; the message names the notebook and the cell and ends with the end of the traceback."""


class BookFailed(RuntimeError):
    """The pages could not be rendered without a warning; the message says what was warned of."""


# ---------------------------------------------------------------------------------------------------- parameters


@dataclass(frozen=True)
class Parameter:
    """One line `name: kind = default` of a notebook's parameters cell."""

    name: str
    kind: Any
    default: Any

    def __str__(self) -> str:
        return f"{self.name}: {spell(self.kind)} = {self.default!r}"


def declared(notebook: NotebookNode, name: str) -> dict[str, Parameter]:
    """The parameters of a notebook, read from the cell tagged `parameters`; none if it has no such cell.

    The cell is parsed, not matched line by line as `papermill.inspect_notebook` does, which overlooks `float | None`.
    """
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) > 1:
        raise ValueError(f"{name}: {len(cells)} cells are tagged 'parameters'; one notebook has one such cell")
    found = {}
    for line in ast.parse(cells[0].source).body if cells else []:
        try:
            target, kind = line.target if isinstance(line, ast.AnnAssign) else line.targets[0], None
            default = ast.literal_eval(line.value)
            kind = evaluate_kind(line.annotation) if isinstance(line, ast.AnnAssign) else type(default)
            found[target.id] = Parameter(target.id, kind, default)
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: the parameters cell has the line `{ast.unparse(line)}`; each line must be "
                             "`name: type = value`, the type made of int, float, bool, str, list, dict and None, "
                             "and the value written out") from error
    return found


def evaluate_kind(node: ast.expr) -> Any:
    """The type that an annotation spells, e.g. `list[float] | None`; nothing but TYPES and None is known."""
    match node:
        case ast.Name(id=name) if name in TYPES:
            return TYPES[name]
        case ast.Constant(value=None):
            return types.NoneType
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return evaluate_kind(left) | evaluate_kind(right)
        case ast.Subscript(value=ast.Name(id="list"), slice=item):
            return list[evaluate_kind(item)]
        case ast.Subscript(value=ast.Name(id="dict"), slice=ast.Tuple(elts=[key, item])):
            return dict[evaluate_kind(key), evaluate_kind(item)]
    raise ValueError(f"unknown type {ast.unparse(node)}")


def spell(kind: Any) -> str:
    if kind is types.NoneType:
        return "None"
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind).replace("typing.", "")


def convert(value: Any, kind: Any, text: bool = False) -> Any:
    """`value` as `kind`, or TypeError. An int may stand for a float, nothing else for anything else.

    With `text` the value comes from a command line: strings are read as the kind says, lists and dicts as YAML.

    >>> convert("1e-3", float, text=True), convert("true", bool, text=True), convert("[1, 2]", list[float], text=True)
    (0.001, True, [1.0, 2.0])
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return yaml.safe_load(value) if text and isinstance(value, str) else value
    if origin in (types.UnionType, typing.Union):
        for choice in sorted(arguments, key=lambda choice: choice is str):   # a text is a str only if nothing else fits
            with contextlib.suppress(TypeError):
                return convert(value, choice, text)
        raise TypeError
    bare = origin or kind
    if text and isinstance(value, str) and bare is not str:
        value = read_text(value, bare)
    if bare is float and type(value) is int:
        return float(value)
    if type(value) is not bare:
        raise TypeError
    if bare is list and arguments:
        return [convert(item, arguments[0], text) for item in value]
    if bare is dict and arguments:
        return {convert(key, arguments[0], text): convert(item, arguments[1], text) for key, item in value.items()}
    return value


def read_text(text: str, kind: type) -> Any:
    if kind is types.NoneType and text.lower() in ("none", "null"):
        return None
    if kind is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if kind in (int, float):
            return kind(text)
        if kind in (list, dict):
            return yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise TypeError from error
    raise TypeError


def checked(given: Mapping[str, Any], known: Mapping[str, Parameter], name: str,
            text: bool = False) -> dict[str, Any]:
    """The given parameters in their declared types; ValueError, in one sentence, for unknown names and wrong types."""
    values, problems = {}, []
    for key, value in given.items():
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            problems.append(f"no parameter {key!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
            continue
        try:
            values[key] = convert(value, known[key].kind, text)
        except TypeError:
            what = "" if text else f" ({type(value).__name__})"
            problems.append(f"{key} must be {spell(known[key].kind)}, not {value!r}{what}")
    if problems:
        listing = ", ".join(map(str, known.values())) or "none"
        raise ValueError(f"{name}: {'; '.join(problems)}; its parameters are: {listing}")
    return values


# ---------------------------------------------------------------------------------------------------- notebooks


@dataclass(frozen=True)
class Page:
    """A notebook of the book: its source under notebooks/, and the executed copy that the book renders."""

    name: str      # "nmer/01_noise_scheduler"
    source: Path
    target: Path


def pages(root: Path = ROOT) -> list[Page]:
    """The notebooks that _toc.yml names, in its order."""
    def files(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [node["file"]] if "file" in node else []
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            yield from files(child)

    names = [file.removeprefix("executed/") for file in files(yaml.safe_load((root / "_toc.yml").read_text()))
             if file.startswith("executed/")]
    found = [Page(name, root / f"notebooks/{name}.py", root / f"book/executed/{name}.ipynb") for name in names]
    missing = [str(page.source.relative_to(root)) for page in found if not page.source.exists()]
    if missing:
        raise FileNotFoundError(f"_toc.yml names notebooks that are not there: {', '.join(missing)}")
    return found


def read(source: Path) -> NotebookNode:
    notebook = jupytext.read(source)
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        raise ValueError(f"{source.name}: the notebook must name the kernel `python3` in its header, as the others do")
    return notebook


def in_step(source: Path) -> bool:
    """Whether a .py notebook says the same as the .ipynb beside it."""
    pair = source.with_suffix(".ipynb")
    if not pair.exists():
        return False
    try:
        compare_notebooks(jupytext.read(pair), jupytext.read(source), fmt="py:percent")
    except NotebookDifference:
        return False
    return True


def inputs_digest(root: Path = ROOT, data: Path | None = None) -> str:
    """sha256 of what every page depends on: library, pins and results by content, data by names and sizes."""
    digest = hashlib.sha256()
    files = [*(root / "src/robustmer").rglob("*.py"), *(root / "results").rglob("*"),
             *(root / name for name in ("requirements.txt", "constraints.txt"))]
    for file in sorted(file for file in files if file.is_file()):
        digest.update(f"{file.relative_to(root).as_posix()}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    data = data_folder() if data is None else data
    for file in sorted(file for file in data.rglob("*") if file.is_file()) if data.is_dir() else []:
        digest.update(f"data/{file.relative_to(data).as_posix()}\0{file.stat().st_size}\0".encode())
    return digest.hexdigest()


def stamp_of(source: Path, parameters: Mapping[str, Any], inputs: str) -> str:
    """The first 16 hex digits of the hash of a page: its notebook, its parameters, and what all pages depend on."""
    digest = hashlib.sha256(source.read_bytes())
    digest.update(json.dumps(parameters, sort_keys=True).encode() + inputs.encode())
    return digest.hexdigest()[:16]


def is_fresh(page: Page, stamp: str) -> bool:
    try:
        notebook = nbformat.read(page.target, as_version=4)
    except (OSError, ValueError):
        return False
    return notebook.metadata.get("robustmer", {}).get("stamp") == stamp and not has_error(notebook)


def has_error(notebook: NotebookNode) -> bool:
    return any(output.output_type == "error" for cell in notebook.cells for output in cell.get("outputs", []))


def execute(source: Path, target: Path, parameters: Mapping[str, Any], name: str, stamp: str = "",
            threads: int | None = None, running: set[subprocess.Popen] | None = None) -> None:
    """Run one notebook in its own folder and put the scrubbed result at `target`.

    Raises NotebookFailed where it stops; `target` is then as it was.
    """
    running = set() if running is None else running
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TQDM_DISABLE": "1", "JUPYTER_PREFER_ENV_PATH": "1",
                   "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    if environment.get("ROBUSTMER_DATA"):
        environment["ROBUSTMER_DATA"] = str(data_folder())   # the kernel starts in another folder
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory(prefix="robustmer-") as scratch:
        given, done, values = (Path(scratch) / file for file in ("given.ipynb", "done.ipynb", "parameters.yaml"))
        nbformat.write(read(source), given)
        values.write_text(yaml.safe_dump(dict(parameters)))
        command = [sys.executable, "-m", "papermill", given, done, "-k", "python3", "--cwd", source.resolve().parent,
                   "--no-progress-bar", "--log-level", "WARNING", *(["-f", values] if parameters else [])]
        process = subprocess.Popen([str(word) for word in command], env=environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        running.add(process)
        try:
            said, _ = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
            running.discard(process)
        if process.returncode != 0:
            raise NotebookFailed(explain(name, done, said))
        notebook = scrub(nbformat.read(done, as_version=4))
        notebook.metadata["robustmer"] = {"stamp": stamp, "parameters": dict(parameters), "source": source.name}
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.{os.getpid()}")
        nbformat.write(notebook, unfinished)
        unfinished.replace(target)


def scrub(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs between two equal runs or has no place on a page: times, paths, random ids, stderr."""
    notebook.metadata = NotebookNode({key: notebook.metadata[key] for key in ("kernelspec", "language_info")
                                      if key in notebook.metadata})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        cell.metadata = NotebookNode({key: value for key, value in cell.metadata.items()
                                      if key not in ("execution", "papermill") and value != []})
        for tag, prompt in (("parameters", "Default parameters"), ("injected-parameters", "Parameters of this run")):
            if tag in cell.metadata.get("tags", []):
                cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata["tags"], "hide-input"]))
                cell.metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
        if cell.cell_type != "code":
            continue
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                continue
            if output.output_type == "stream" and kept and kept[-1].output_type == "stream":
                kept[-1].text += output.text
            else:
                kept.append(output)
        cell.outputs = kept
    return notebook


def explain(name: str, done: Path, said: str, lines: int = 12) -> str:
    """Which cell stopped and why, from the half-executed notebook; else the end of what Papermill said."""
    def tail(text: str) -> str:
        return "\n".join(f"    {line}" for line in re.sub(r"\x1b\[[0-9;]*m", "", text).strip().splitlines()[-lines:])

    number = 0
    for cell in nbformat.read(done, as_version=4).cells if done.exists() else []:
        number += not any(tag in PAPERMILL_CELLS for tag in cell.metadata.get("tags", []))
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                first = next((line for line in cell.source.splitlines() if line.strip()), "")
                return f"{name}: stopped in cell {number} (`{first.strip()}`)\n{tail(chr(10).join(output.traceback))}"
    return f"{name}: stopped outside its cells\n{tail(said)}"


# ---------------------------------------------------------------------------------------------------- commands


class Progress:
    """One line when a notebook starts and one when it ends; on a terminal also a last line that counts the seconds."""

    def __init__(self, stream: typing.TextIO | None = None):
        self.stream = stream or sys.stdout
        self.live = self.stream.isatty()
        self.started: dict[str, float] = {}
        self.lock = threading.Lock()

    def say(self, line: str) -> None:
        with self.lock:
            self.stream.write(("\r\x1b[K" if self.live else "") + line + "\n")
            self.stream.flush()

    def start(self, name: str) -> None:
        self.started[name] = time.monotonic()
        self.say(f"{name}: started")

    def end(self, name: str, how: str) -> None:
        self.say(f"{name}: {how} after {time.monotonic() - self.started.pop(name):.0f} s")

    def tick(self) -> None:
        if self.live:
            now = time.monotonic()
            running = ", ".join(f"{name} {now - since:.0f} s" for name, since in list(self.started.items()))
            with self.lock:
                columns = shutil.get_terminal_size().columns
                self.stream.write(("\r\x1b[K" + f"... {running}"[: columns - 1]) if running else "\r\x1b[K")
                self.stream.flush()


def execute_pages(common: Mapping[str, Any], jobs: int = 2, force: Iterable[str] = (), root: Path = ROOT,
                  data: Path | None = None, progress: Progress | None = None) -> list[str]:
    """Execute the pages whose hash changed or that are named in `force`; return one message for each that failed.

    `common` parameters reach the notebooks that declare them. A failure stops no other notebook.
    """
    progress = progress or Progress()
    every = pages(root)
    forced = {page.name for wanted in force for page in chosen(wanted, every)}
    inputs, todo = inputs_digest(root, data), []
    for page in every:
        known = declared(read(page.source), page.name)
        parameters = checked({key: value for key, value in common.items() if key in known}, known, page.name)
        stamp = stamp_of(page.source, parameters, inputs)
        if page.name not in forced and is_fresh(page, stamp):
            progress.say(f"{page.name}: up to date")
            continue
        if not in_step(page.source):
            progress.say(f"{page.name}: the .ipynb beside it differs; running the .py (`make sync` renews the .ipynb)")
        todo.append((page, parameters, stamp))

    running: set[subprocess.Popen] = set()
    failures: dict[str, str] = {}
    stop = threading.Event()

    def work(page: Page, parameters: dict[str, Any], stamp: str) -> None:
        if stop.is_set():
            return
        progress.start(page.name)
        try:
            execute(page.source, page.target, parameters, page.name, stamp, 1 if jobs > 1 else None, running)
        except Exception as error:   # whatever went wrong with one notebook, the others go on
            if stop.is_set():
                return
            failures[page.name] = str(error) if isinstance(error, NotebookFailed) else f"{page.name}: {error!r}"
            progress.end(page.name, "FAILED")
            progress.say(failures[page.name])
        else:
            progress.end(page.name, "done")

    with ThreadPoolExecutor(max_workers=max(jobs, 1)) as pool:
        waiting = {pool.submit(work, *item) for item in todo}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                progress.tick()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(running):
                process.terminate()
            raise
    return [failures[page.name] for page in every if page.name in failures]


def chosen(wanted: str, every: list[Page]) -> list[Page]:
    """The pages that `--force` names: all, a part (`nmer`), a page (`nmer/01_noise_scheduler`) or its last word."""
    wanted = wanted.removeprefix("notebooks/").removesuffix(".py").removesuffix(".ipynb")
    found = [page for page in every
             if wanted in ("all", page.name, page.name.split("/")[0], page.name.split("/")[-1])]
    if not found:
        raise LookupError(f"no page {wanted!r} in _toc.yml; there are: all, {', '.join(page.name for page in every)}")
    return found


def render(root: Path = ROOT) -> Path:
    """Build the HTML, where every warning is an error, and return its first page."""
    for page in pages(root):
        if not page.target.exists():
            raise BookFailed(f"{page.name} is in _toc.yml but was never executed")
        if has_error(nbformat.read(page.target, as_version=4)):
            raise BookFailed(f"{page.name}: the executed notebook holds an error; `--force {page.name}` runs it again")
    shutil.rmtree(root / "_build/html", ignore_errors=True)   # nothing of a page that is no longer there
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", root / "book",
               "--config", root / "_config.yml", "--toc", root / "_toc.yml", "--path-output", root,
               "--all", "-W", "-n", "--keep-going"]
    result = subprocess.run([str(word) for word in command], cwd=root, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"})
    if result.returncode != 0:
        said = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout)
        warned = [line for line in said.splitlines() if re.search(r"WARNING|ERROR", line)]
        raise BookFailed("the book has warnings or errors:\n" + "\n".join(warned or said.splitlines()[-30:]))
    return root / "_build/html/index.html"


@contextlib.contextmanager
def one_at_a_time(root: Path, progress: Progress) -> Iterator[None]:
    """Two builds at once would write the same pages: the second waits for the first."""
    (root / "_build").mkdir(exist_ok=True)
    with open(root / "_build/.lock", "w") as file:
        try:
            import fcntl
        except ImportError:   # no such locks on Windows
            yield
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            progress.say("another build is at work here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(profile: str = "quick", device: str = "cpu", jobs: int = 2, force: Iterable[str] = (),
          root: Path = ROOT) -> int:
    """`robustmer book`: execute what changed, render, say where it is. Returns the exit code."""
    progress = Progress()
    with one_at_a_time(root, progress):
        failures = execute_pages({"profile": profile, "device": device}, jobs, force, root, progress=progress)
        if failures:
            progress.say(f"{len(failures)} of {len(pages(root))} notebooks failed, so the book was not rendered; "
                         "what finished is kept:")
            for failure in failures:
                progress.say("  " + failure.splitlines()[0])
            return 1
        try:
            index = render(root)
        except BookFailed as error:
            progress.say(str(error))
            return 1
    progress.say(f"The book is at {index.resolve().as_uri()}")
    return 0


def run(notebook: str | Path, texts: Mapping[str, str], output: str | Path | None = None, root: Path = ROOT) -> int:
    """`robustmer run NOTEBOOK -p name value`: one run of one notebook with other parameters, into a file of its own."""
    source = Path(notebook)
    if not source.exists():
        raise FileNotFoundError(f"no notebook {source}; the book's are in notebooks/")
    if source.suffix not in (".py", ".ipynb"):
        raise ValueError(f"{source}: a notebook ends with .py or .ipynb")
    known = declared(read(source), source.name)
    parameters = checked(texts, known, source.name, text=True)
    everything = {**{key: parameter.default for key, parameter in known.items()}, **parameters}
    key = hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:8]
    target = Path(output) if output else root / "runs" / f"{source.stem}-{key}.ipynb"
    if target.suffix != ".ipynb":
        raise ValueError(f"{target}: the output must end with .ipynb")
    if target.resolve() == source.resolve():
        raise ValueError(f"{target}: the output would replace the notebook itself")
    progress = Progress()
    progress.start(source.stem)
    stop = threading.Event()

    def count_seconds() -> None:
        while not stop.wait(1.0):
            progress.tick()

    threading.Thread(target=count_seconds, daemon=True).start()
    try:
        execute(source, target, parameters, source.stem)
    except NotebookFailed as error:
        stop.set()
        progress.end(source.stem, "FAILED")
        progress.say(str(error))
        return 1
    finally:
        stop.set()
    progress.end(source.stem, "done")
    progress.say(str(target))
    return 0
