"""evaluate a system under conditions; cross_validate a list of recipes into the ledger."""

from __future__ import annotations

import fcntl
import functools
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import joblib
import pandas as pd
import torch

from robustmer.batch import LETTERS, Batch
from robustmer.conditions import Condition, corrupt
from robustmer.corpora import CORPORA, load
from robustmer.corpora.corpus import ROOT
from robustmer.metrics import METRICS, REGRESSION, UNITS, scores
from robustmer.noise import stream
from robustmer.recipe import Recipe, describe
from robustmer.results import Row, append, ledger, read
from robustmer.systems import System
from robustmer.train import check_labels, fit, seeded


def evaluate(system: System, test: Batch, conditions: Sequence[Condition]) -> list[Row]:
    """WA, UA and F1 under each condition; of a regression the metrics of `metrics.REGRESSION`. The fold is corrupted
    once and whole, from a stream that is named after the fold and the condition and not after the system: every system
    meets the same noise, at any batch size."""
    check_labels(system, test)
    rows, recorded = [], test.to("cpu")
    for condition in conditions:
        noise = stream(test.name, condition)  # drawn on the CPU, so that the device does not change the noise
        seen = corrupt(recorded, condition, noise).to(test.device)
        seen = seen.replace(label=torch.full_like(seen.label, -1))  # a system that reads the answer is not to have it
        logits = system.predict(seen)
        about = describe_noise(condition, test)
        rows += [
            Row(
                paper="",
                table="",
                dataset=test.name.split("/")[0],
                system=type(system).__name__,
                condition=condition.header(test.modalities),
                metric=metric,
                value=round(value, 6),
                unit=UNITS.get(metric, "fraction"),
                **about,
            )
            for metric, value in scores(logits, test.label).items()
        ]
    return rows


def describe_noise(condition: Condition, batch: Batch) -> dict[str, str]:
    """The columns `noise` and `snr_db`, and in `note` T and the true SNR of each noisy modality."""
    levels = {m: s.level(batch.variance[m]) for m, s in condition.noise.items()}
    note = ", ".join(f"{LETTERS[m]}: T={level.steps}, {level.true_db:.2f} dB" for m, level in levels.items())
    return {"noise": condition.noise_name, "snr_db": condition.level_name, "note": note}


def cross_validate(
    recipes: Sequence[Recipe],
    paper: str,
    profile: str = "paper",
    jobs: int = 1,
    device: str = "cpu",
    progress: bool = True,
    again: bool = False,
    own: bool = False,
) -> pd.DataFrame:
    """Run what the ledger lacks of these recipes and return all their rows.

    Each recipe is a unit: its rows are appended together when it is done, so an interrupted run loses at most the units
    under way and a second run computes only what is missing. `again` computes every recipe and writes nothing.
    `jobs` trainings run side by side; several runs on one ledger divide what is left among them. Rows measured on
    other data than the corpus now holds do not count as done.

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
    start, fresh, count = time.perf_counter(), [], 0
    while todo:
        busy = []
        units = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(joblib.delayed(run)(r) for r in todo)
        for recipe, rows in units:
            if rows is None:
                busy.append(recipe)
                continue
            count, fresh = count + 1, fresh + rows
            if progress and rows:
                left = (time.perf_counter() - start) / count * (len(todo) - count)
                print(
                    f"{count}/{len(todo)}  {rows[0].system} on {rows[0].dataset}, trained {rows[0].train}, "
                    f"fold {rows[0].fold}, seed {rows[0].seed}: {rows[0].seconds:.0f} s  "
                    f"(about {left / 60:.0f} min left)",
                    file=sys.stderr,
                    flush=True,
                )
        if len(busy) == len(todo):
            time.sleep(0.5)  # all that is left is under way in other processes
        todo, count = busy, 0
    if again:
        return pd.DataFrame([row.__dict__ for row in fresh])
    rows = read(path)
    wanted = pd.MultiIndex.from_tuples(list(prints.items()))
    return rows[pd.MultiIndex.from_frame(rows[["key", "fingerprint"]]).isin(wanted)].reset_index(drop=True)


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
    metrics = {r.key: METRICS if CORPORA[r.corpus].ABOUT.classes else REGRESSION for r in recipes}
    expected = {r.key: len(r.test) * len(metrics[r.key]) for r in recipes}
    return {unit for unit, count in counts.items() if count == expected.get(unit[0])}


def check_device(device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"the device {device!r} was asked for and cannot be used here ({str(error).splitlines()[0]}); "
                         "there are cpu" + "".join(f", cuda:{i}" for i in range(torch.cuda.device_count()))) from error


def run_recipe(
    recipe: Recipe, paper: str, profile: str, device: str, commit: str, path: Path | None = None
) -> list[Row]:
    """Train and evaluate one recipe, and append its rows to the ledger at `path`, if one is given.

    On the CPU one thread computes it, so that the number of cores changes no number; trainings run side by side.
    """
    torch.set_num_threads(1)
    start = time.perf_counter()
    corpus = load(recipe.corpus, **recipe.corpus_options)
    train, valid, test = (part.to(device) for part in corpus.fold(recipe.fold))
    seed = f"{recipe.system.__name__}, fold {recipe.fold}, seed {recipe.seed}"
    with seeded(seed, "initial weights"):
        system = recipe.system(corpus.dims, corpus.classes, **recipe.options).to(device)
    for _ in fit(system, train, valid, recipe.train, recipe.budget, seed=seed):
        pass
    rows = evaluate(system, test, recipe.test)
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
    rows = [replace(row, **about) for row in rows]
    if path is not None:
        append(path, rows, describe(recipe))
    return rows


def describe_train(recipe: Recipe, train: Batch) -> str:
    """The training conditions in a few words: `clean`, `gaussian -10 dB`, `all noisy, impulse -40 dB`, `only a, clean`,
    `absent` where modalities are left out in turn, `absent 0.2` where that befalls this share of the rows."""
    about = [describe_noise(c, train) for c in recipe.train]
    seen = {tuple(m for m in train.modalities if c.seen is None or m in c.seen) for c in recipe.train}
    share = sum(c.seen is not None for c in recipe.train) / len(recipe.train)
    quiet = "clean" if len(seen) == 1 else "absent" if share == 1 else f"absent {share:g}"
    level = lambda snr_db: "" if snr_db.startswith("T=") else f" {snr_db} dB"  # noqa: E731 - zeros have no level
    noises = dict.fromkeys(a["noise"] + level(a["snr_db"]) if a["noise"] else quiet for a in about)
    which = ""
    if {c.header(train.modalities) for c in recipe.train} == {"none"}:
        which = "all noisy, "
    if len(seen) == 1 and (only := seen.pop()) != train.modalities:
        which = f"only {','.join(LETTERS[m] for m in only)}, "
    return which + " or ".join(noises)


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
