"""cross_validate: run a grid of recipes into the ledger, on this machine or on a cluster, and lose nothing of it."""

from __future__ import annotations

import fcntl
import functools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import pandas as pd
import torch

from robustmer.batch import Batch
from robustmer.conditions import Condition
from robustmer.corpora import load
from robustmer.corpora.corpus import ROOT
from robustmer.evaluate import describe_train, evaluate, failed, metrics_of
from robustmer.extras import MissingExtra
from robustmer.recipe import Recipe, describe
from robustmer.results import Row, append, ledger, library_hash, read
from robustmer.systems import System
from robustmer.train import Diverged, fit, seeded


def cross_validate(
    recipes: Sequence[Recipe],
    paper: str,
    profile: str = "paper",
    jobs: int = 1,
    device: str = "cpu",
    progress: bool = True,
    again: bool = False,
    own: bool = False,
    engine: str = "local",
) -> pd.DataFrame:
    """Run what the ledger lacks of these recipes and return all their rows.

    Each recipe is a unit: its rows are appended together when it is done, so an interrupted run loses at most the units
    under way and a second run computes only what is missing. `again` computes every recipe and writes nothing.
    `jobs` trainings run side by side; several runs on one ledger divide what is left among them. Rows measured on
    other data than the corpus now holds do not count as done. A training that diverged is a result: its rows are nan,
    and it is not tried again.

    `engine` is "local", processes of this machine, or "dask://HOST:PORT", the workers of a running Dask cluster, which
    must see the ledger's folder and have one thread each (`workers`); `jobs` then does not count.

    The committed ledger takes rows of profile paper from a clean commit only, and of the paper's `own` recipes
    (`papers.is_own`): a key that `papers.find` does not know could not be run again by others. Other rows are kept
    beside the built book.
    """
    check_device(device)
    recipes = list({r.key: r for r in recipes}.values())
    here = commit()
    path = ledger(paper, profile)
    if profile == "paper" and not again and (changed(here) or not own):
        path = ledger(paper, "unpublished")
        why = "the library differs from its commit" if changed(here) else "these recipes are not the paper's own"
        print(f"{why}: rows go to {path.relative_to(ROOT)}, not to results/measured", file=sys.stderr)
    prints = {r.key: load(r.corpus, **r.corpus_options).fingerprint for r in recipes}
    done = set() if again else finished(path, recipes)
    todo = [r for r in recipes if (r.key, prints[r.key]) not in done]
    run = functools.partial(
        run_unit, paper=paper, profile=profile, device=device, commit=here, path=None if again else path
    )
    line, fresh = Progress(len(todo), shown=progress), []
    with workers(engine, jobs if todo else 1, path.parent):
        while todo:
            busy = []
            # One unit at a time, so that each is told as soon as it is done.
            units = joblib.Parallel(return_as="generator_unordered", batch_size=1)(joblib.delayed(run)(r) for r in todo)
            for recipe, rows in units:
                if rows is None:
                    busy.append(recipe)
                    continue
                fresh += rows
                line.done(rows)
            if len(busy) == len(todo):
                time.sleep(0.5)  # all that is left is under way in other processes
            todo = busy
    line.close()
    if again:
        return pd.DataFrame([row.__dict__ for row in fresh])
    rows = read(path)
    wanted = pd.MultiIndex.from_tuples(list(prints.items()))
    return rows[pd.MultiIndex.from_frame(rows[["key", "fingerprint"]]).isin(wanted)].reset_index(drop=True)


class Progress:
    """What a grid has done: on a terminal one live line, elsewhere a line for each training."""

    def __init__(self, units: int, shown: bool = True, to=None):
        self.units, self.finished, self.diverged, self.elsewhere = units, 0, 0, 0
        self.shown, self.to, self.start = shown and units > 0, to or sys.stderr, time.perf_counter()

    def done(self, rows: Sequence[Row]) -> None:
        """One unit is done; without rows another process had done it in the meantime."""
        self.finished += 1
        self.elsewhere += not rows
        self.diverged += bool(rows) and math.isnan(rows[0].value)
        if not self.shown:
            return
        last = ""
        if rows:
            row = rows[0]
            last = (f"{row.system} on {row.dataset}, trained {row.train}, fold {row.fold}, seed {row.seed}: "
                    f"{'diverged' if math.isnan(row.value) else f'{row.seconds:.0f} s'}")
        if self.to.isatty():
            print(f"\r\x1b[K{self}  {last}"[:160], end="", file=self.to, flush=True)
        else:
            print(f"{self}  {last}", file=self.to, flush=True)

    def __str__(self) -> str:
        left, computed = self.units - self.finished, self.finished - self.elsewhere
        rate = computed / (time.perf_counter() - self.start) * 60
        text = f"{self.finished}/{self.units} done, {self.diverged} diverged, {left} left"
        return text + (f", {rate:.1f} a minute, about {duration(left / rate)} to go;" if rate and left else ";")

    def close(self) -> None:
        if self.shown and self.to.isatty():
            print(file=self.to)


def duration(minutes: float) -> str:
    """
    >>> duration(0.4), duration(90)
    ('24 s', '1.5 h')
    """
    if minutes < 1:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 60 else f"{minutes / 60:.1f} h"


# --- where trainings run ----------------------------------------------------------------------------------------------


@contextmanager
def workers(engine: str, jobs: int, folder: Path) -> Iterator[None]:
    """joblib's backend for a grid whose ledger lies in `folder`. Raises ValueError for an engine that does not exist
    or cannot be used, MissingExtra where Dask is not installed."""
    if engine == "local":
        with joblib.parallel_config("loky", n_jobs=jobs):
            yield
        return
    if not engine.startswith("dask://"):
        raise ValueError(f'engine {engine!r}: give "local" or the address of a Dask scheduler, dask://HOST:PORT')
    try:
        from distributed import Client
    except ImportError as error:
        raise MissingExtra(
            f"the engine {engine} needs the extra `cluster`: pip install -e '.[cluster]' here and on every worker"
        ) from error
    try:
        client = Client(engine.replace("dask://", "tcp://"), timeout=10)
    except (OSError, ValueError) as error:
        raise ValueError(f"no Dask scheduler answers at {engine} ({error}); start one with `dask scheduler`") from error
    with client:
        check_workers(client, engine, folder)
        with joblib.parallel_config("dask", client=client, n_jobs=-1):
            yield


def check_workers(client, engine: str, folder: Path) -> None:
    """Every worker has one thread, this library at this commit, and sees the ledger's folder."""
    threads = client.nthreads()
    if not threads:
        raise ValueError(f"{engine} has no workers yet; start them: dask worker HOST:PORT --nthreads 1 --nworkers N")
    if max(threads.values()) > 1:
        raise ValueError(
            f"a worker of {engine} has {max(threads.values())} threads, but trainings of one process would share its "
            "random streams; start workers with --nthreads 1 and as many --nworkers as there are cores"
        )
    folder.mkdir(parents=True, exist_ok=True)
    here = about_process()
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".seen-") as token:
        for worker, (there, sees) in client.run(about_process, token.name).items():
            if there != here[0]:
                raise ValueError(f"worker {worker} runs {there}, this process {here[0]}; check out the same there and "
                                 "start it again")
            if not sees:
                raise ValueError(f"worker {worker} does not see {folder}; the project must lie on a shared file system")


def about_process(token: str = "") -> tuple[str, bool]:
    """The commit and the hash of the library's source, and whether a file is there."""
    return f"commit {commit()}, library {library_hash()}", os.path.exists(token)


def check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device!r} was asked for and cannot be used here ({str(error).splitlines()[0]}); "
                         "there are cpu" + "".join(f", cuda:{i}" for i in range(torch.cuda.device_count()))) from error


# --- one training ---


def run_recipe(
    recipe: Recipe, paper: str, profile: str, device: str, commit: str, path: Path | None = None,
    judge: Callable[[System, Batch, Sequence[Condition]], list[Row]] = evaluate,
) -> list[Row]:
    """Train one recipe, let `judge` look at the system under its test conditions, and append the rows to the ledger at
    `path`, if one is given.

    On the CPU one thread computes it, so that the number of cores changes no number; trainings run side by side.
    A training that diverges gives rows of nan; one that had to cut its batches, for lack of memory, says so in `note`.
    """
    torch.set_num_threads(1)
    start = time.perf_counter()
    corpus = load(recipe.corpus, **recipe.corpus_options)
    options = json.dumps(dict(recipe.corpus_options), sort_keys=True)
    train, valid, test = fold_on(recipe.corpus, options, corpus.fingerprint, recipe.fold, device)
    seed, parts = f"{recipe.system.__name__}, fold {recipe.fold}, seed {recipe.seed}", 1
    with seeded(seed, "initial weights"):
        system = recipe.system(corpus.dims, corpus.classes, **recipe.options).to(device)
    try:
        for record in fit(system, train, valid, recipe.train, recipe.budget, seed=seed):
            parts = max(parts, record["parts"])
        rows = judge(system, test, recipe.test)
    except Diverged as error:
        rows = failed(recipe, test, f"diverged: {error}")
    about = dict(
        paper=paper,
        table="measured",
        system=recipe.name,
        train=describe_train(recipe, train),
        fold=recipe.fold,
        seed=recipe.seed,
        profile=profile,
        key=recipe.key,
        commit=commit,
        device=device_name(device),
        seconds=round(time.perf_counter() - start, 1),
        fingerprint=corpus.fingerprint,
    )
    cut = f"; every batch in {parts} parts, for lack of memory" if parts > 1 else ""
    rows = [replace(row, **about, note=row.note + cut) for row in rows]
    if path is not None:
        append(path, rows, describe(recipe))
    return rows


@functools.lru_cache(maxsize=1)
def fold_on(corpus: str, options: str, fingerprint: str, fold: int, device: str) -> tuple[Batch, Batch, Batch]:
    """The parts of a fold on the device; the trainings of a grid that follow each other mostly share theirs."""
    return tuple(part.to(device) for part in load(corpus, **json.loads(options)).fold(fold))


def run_unit(recipe: Recipe, path: Path | None, **about) -> tuple[Recipe, list[Row] | None]:
    """`run_recipe`, unless another process is at this key (None) or has finished it in the meantime (no rows)."""
    if path is None:
        return recipe, run_recipe(recipe, path=None, **about)
    with taken(path, recipe.key) as mine:
        if not mine:
            return recipe, None
        if path.exists() and recipe.key.encode() in path.read_bytes():
            prints = load(recipe.corpus, **recipe.corpus_options).fingerprint
            if (recipe.key, prints) in finished(path, [recipe]):
                return recipe, []
        return recipe, run_recipe(recipe, path=path, **about)


@contextmanager
def taken(path: Path, key: str) -> Iterator[bool]:
    """Whether this process may compute the key; two runs on one ledger share the work instead of doing it twice."""
    folder = path.with_suffix(".taken")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / key, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            (folder / key).unlink(missing_ok=True)


def finished(path: Path, recipes: Sequence[Recipe]) -> set[tuple[str, str]]:
    """(key, fingerprint) of those recipes of which every row is there; a crash may have left some rows of a unit."""
    counts = read(path).groupby(["key", "fingerprint"]).size().to_dict()
    expected = {r.key: len(r.test) * len(metrics_of(r)) for r in recipes}
    return {unit for unit, count in counts.items() if count == expected.get(unit[0])}


def device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if str(device).startswith("cuda") else "cpu"


def changed(commit: str) -> bool:
    return commit == "unknown" or commit.endswith("+")


@functools.lru_cache
def commit() -> str:
    """The commit that is checked out, with a + when the library differs from it; `unknown` outside version control."""
    try:
        git = lambda *words: subprocess.run(  # noqa: E731
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        return git("rev-parse", "--short=10", "HEAD") + ("+" if git("status", "--porcelain", "--", "src") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
