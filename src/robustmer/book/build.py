"""The book: execute each notebook of the table of contents, keep the pages that are still valid, render strictly.

Papermill executes, one kernel a notebook. This module checks parameters and output files before any kernel starts,
writes a page only if its notebook finished, and stores in the page a hash of everything that the page depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import papermill
from filelock import FileLock, Timeout
from nbformat import NotebookNode
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm

from robustmer.book import end_children, known, printable
from robustmer.book.pages import inputs_digest, notebook_file, page_name, pages, read, stamp_in, stamp_of
from robustmer.book.parameters import parameters_of, validate
from robustmer.book.site import finish
from robustmer.experiments import data, path_of, project, runs


class BookFailed(RuntimeError):
    """The pages could not be rendered without a warning; the message quotes the warnings."""


class Job(NamedTuple):
    """One notebook to execute, with checked parameters."""

    name: str
    source: Path
    target: Path
    parameters: dict[str, Any]
    stamp: str = ""
    bar: bool = False  # a progress bar over the cells


def execute_all(jobs: list[Job], workers: int) -> dict[str, str]:
    """Execute notebooks, `workers` at once; return {name: reason} of those that failed. A failure stops no other."""
    failures, asides = {}, {}
    try:
        for job in jobs:
            asides[job.name] = reserve(job.target)
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), prepare, [environment(workers)])
        bar = tqdm(total=len(jobs), unit="page", disable=None if len(jobs) > 1 else True, leave=False)
        with pool, bar:
            futures = {pool.submit(execute, job, asides[job.name]): job.name for job in jobs}
            for future in as_completed(futures):
                name, error = futures[future], future.exception()
                seconds, reason = (0.0, f"{name}: its process ended ({error})") if error else future.result()
                if reason:
                    failures[name] = reason
                say(reason or f"{name}: done after {seconds:.0f} s")
                bar.update()
    finally:
        for aside in asides.values():
            aside.unlink(missing_ok=True)
    return {job.name: failures[job.name] for job in jobs if job.name in failures}


def say(text: str) -> None:
    tqdm.write(printable(text))
    sys.stdout.flush()


def environment(workers: int) -> dict[str, str]:
    """Environment variables of the kernels, which start in the folders of their notebooks."""
    threads = {"OMP_NUM_THREADS": "1"} if workers > 1 else {}
    home = {"ROBUSTMER_HOME": str(project())} if os.environ.get("ROBUSTMER_HOME") else {}
    return {"PYTHONHASHSEED": "0", "TQDM_DISABLE": "1", "JUPYTER_PREFER_ENV_PATH": "1", "ROBUSTMER_DATA": str(data()),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline", **home, **threads}  # fmt: skip


def prepare(variables: Mapping[str, str]) -> None:
    """Set up a worker process: it ends, with its kernel, when the process that started it ends."""
    logging.getLogger("papermill").setLevel(logging.ERROR)
    os.environ.update(variables)

    def watch() -> None:
        multiprocessing.parent_process().join()
        end_children()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def execute(job: Job, aside: Path) -> tuple[float, str]:
    """Run one notebook in its own folder and put the scrubbed result at its target; return seconds and, if it failed,
    the reason. The target then stays as it was."""
    start = time.perf_counter()
    try:
        notebook = papermill.execute_notebook(
            read(job.source), None, job.parameters, kernel_name="python3", cwd=job.source.resolve().parent,
            progress_bar=job.bar, shutdown_kernel="immediate",
            extra_arguments=["--log-level=ERROR"],
        )  # fmt: skip
        notebook = scrub(notebook)
        notebook.metadata["robustmer"] = {"stamp": job.stamp, "parameters": job.parameters, "source": job.source.name}
        nbformat.write(notebook, aside)
        aside.replace(job.target)
    except PapermillExecutionError as error:
        line = next((line for line in error.source.splitlines() if line.strip()), "")
        tail = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).strip().splitlines()[-12:]
        return 0.0, f"{job.name}: failed in the cell that begins `{line.strip()}`\n    " + "\n    ".join(tail)
    except Exception as error:  # no failure of one notebook stops the others
        reason = str(error).strip().splitlines() or [type(error).__name__]
        return 0.0, f"{job.name}: failed outside its cells ({reason[0]})"
    return time.perf_counter() - start, ""


def reserve(target: Path, size: int = 2 << 20) -> Path:
    """A file of `size` bytes beside `target`, to be overwritten and renamed when the notebook is done.

    It is made before the work begins. Raises ValueError if the place cannot be written or the disk is full.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "wb") as file:
            file.write(bytes(size))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{target} cannot be written ({reason}); make room or give another place") from error
    return aside


def scrub(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs between two equal runs or has no place on a page: times, paths, random ids, stderr."""
    kept = {key: notebook.metadata[key] for key in ("kernelspec", "language_info") if key in notebook.metadata}
    notebook.metadata = NotebookNode(kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for key in ("execution", "papermill", *(["tags"] if not cell.metadata.get("tags") else [])):
            cell.metadata.pop(key, None)
        for tag, prompt in (("parameters", "Default parameters"), ("injected-parameters", "Parameters of this run")):
            if tag in cell.metadata.get("tags", []):
                cell.metadata["tags"] = list(dict.fromkeys([*cell.metadata["tags"], "hide-input"]))
                cell.metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt}
        outputs = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                continue
            if output.output_type == "stream" and outputs and outputs[-1].output_type == "stream":
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        if cell.cell_type == "code":
            cell.outputs = outputs
    return notebook


def run(notebook: str | Path, texts: Mapping[str, str], output: str | Path | None = None) -> int:
    """`robustmer run NOTEBOOK -p name value`: one run of a notebook, into a file of its own; returns the exit code."""
    source = notebook_file(notebook)
    model = parameters_of(read(source), source.stem)
    parameters = validate(model, texts, text=True)
    values = {name: parameters.get(name, field.default) for name, field in model.model_fields.items()}
    key = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:8]
    target = path_of(output) if output else runs() / f"{source.stem}-{key}.ipynb"
    if target.suffix != ".ipynb" or target.resolve() == source.resolve():
        raise ValueError(f"{target} cannot be the output; give another file that ends with .ipynb")
    if execute_all([Job(source.stem, source, target, parameters, bar=sys.stderr.isatty())], workers=1):
        return 1
    say(str(target))
    return 0


def execute_pages(
    common: Mapping[str, Any], workers: int, force: Iterable[str], root: Path, corpora: Path
) -> dict[str, str]:
    """Execute the pages whose hash changed or that `force` names; return {page: reason} of those that failed.

    `common` parameters reach the notebooks that declare them.
    """
    listed = pages(root)
    forced = {name for text in force for name in named(text, [page.name for page in listed], root)}
    inputs, jobs = inputs_digest(root, corpora), []
    for page in listed:
        model = parameters_of(read(page.source), page.name)
        parameters = validate(model, {name: common[name] for name in model.model_fields if name in common})
        stamp = stamp_of(page.source, parameters, inputs)
        if page.name not in forced and stamp_in(page.target) == stamp:
            say(f"{page.name}: up to date")
        else:
            jobs.append(Job(page.name, page.source, page.target, parameters, stamp))
    return execute_all(jobs, workers)


def named(text: str, names: list[str], root: Path) -> list[str]:
    """The pages that `--force` names: all, a part (`nmer`), or a page (`nmer/01_noise_scheduler` or its file)."""
    wanted = page_name(text, root)
    return [n for n in names if wanted in ("all", n.split("/")[0])] or [known(wanted, names, "page")]


def render(root: Path) -> Path:
    """Build the HTML, where every warning is an error, and return its first page."""
    unfinished = [page.name for page in pages(root) if not stamp_in(page.target)]
    if unfinished:
        raise BookFailed(f"not executed to the end: {', '.join(unfinished)}; `--force` executes a page again")
    shutil.rmtree(root / "_build/html", ignore_errors=True)  # a page that left the book leaves nothing behind
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build", root / "book",
               "--config", root / "_config.yml", "--toc", root / "_toc.yml", "--path-output", root,
               "--all", "-W", "-n", "--keep-going"]  # fmt: skip
    result = subprocess.run([str(word) for word in command], cwd=root, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"})  # fmt: skip
    if result.returncode != 0:
        lines = re.sub(r"\x1b\[[0-9;]*m", "", result.stdout).splitlines()
        warnings = [line for line in lines if re.search(r"WARNING|ERROR", line)]
        raise BookFailed("the book has warnings or errors:\n" + "\n".join(warnings or lines[-30:]))
    finish(root / "_build/html")
    return root / "_build/html/index.html"


def build(profile: str, device: str, workers: int, force: Iterable[str], root: Path, corpora: Path) -> int:
    """`robustmer book`: execute the pages that changed, render the book, print its address. Returns the exit code.

    A second build in the same project waits for the first.
    """
    (root / "_build").mkdir(exist_ok=True)
    lock = FileLock(root / "_build/.lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        say("another build works in this project; waiting for it")
        held = lock.acquire()
    with held:
        failures = execute_pages({"profile": profile, "device": device}, workers, force, root, corpora)
        if failures:
            say(f"failed, so the book was not rendered; finished pages are kept: {', '.join(failures)}")
            return 1
        try:
            say(f"The book is at {render(root).resolve().as_uri()}")
        except BookFailed as error:
            say(str(error))
            return 1
    return 0
