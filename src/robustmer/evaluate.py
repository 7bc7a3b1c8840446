"""evaluate: judge a trained system under conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from robustmer.batch import LETTERS, Batch
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.corpora import CORPORA
from robustmer.metrics import METRICS, REGRESSION, UNITS, scores, ua_difference
from robustmer.noise import stream
from robustmer.recipe import Recipe
from robustmer.results import Row
from robustmer.systems import System
from robustmer.train import Diverged, check_fit


def evaluate(system: System, test: Batch, conditions: Sequence[Condition]) -> list[Row]:
    """WA, UA and F1 under each condition; of a regression the metrics of `metrics.REGRESSION`. The fold is corrupted
    once and whole, from a stream that is named after the fold and the condition and not after the system: every system
    meets the same noise, at any batch size. Raises Diverged where what the system says is not finite, and ValueError
    for rows that it was not made for."""
    check_fit(system, test)
    rows, recorded = [], test.to("cpu")
    for condition in conditions:
        found = scores(answers(system, recorded, condition, test.device), test.label)
        found = {metric: round(value, 6) for metric, value in found.items()}
        rows += rows_of(type(system).__name__, test, condition, found)
    return rows


def answers(
    system: System, recorded: Batch, condition: Condition, device: str | torch.device, draw: int = 0
) -> Float[Tensor, "row output"]:
    """What a system says of a fold under a condition. Noise is drawn on the CPU, so that the device does not change it;
    draw 0 is that of the tables, the others are independent of it."""
    noise = stream(recorded.name, condition, *([f"draw {draw}"] if draw else []))
    seen = corrupt(recorded, condition, noise).to(device)
    seen = seen.replace(label=torch.full_like(seen.label, -1))  # a system that reads the answer is not to have it
    logits = system.predict(seen)
    if not torch.isfinite(logits).all():
        row = int((~torch.isfinite(logits)).any(1).nonzero()[0])
        raise Diverged(f"{type(system).__name__} says nothing finite of utterance {str(recorded.id[row])!r} of "
                       f"{recorded.name}; look at its features and at the system's weights")
    return logits


def ua_lost(system: System, test: Batch, conditions: Sequence[Condition], draws: int = 20) -> list[Row]:
    """UA on clean data minus UA under each condition: the metric `UA lost`, a mean over so many draws of the noise.

    `std` is its standard error over the speakers of the test part (`metrics.ua_difference`). `evaluate` cannot know it:
    folds and seeds meet the same test rows under the same draw. Raises as `evaluate` does, and ValueError for a
    regression, a single speaker, or no draw."""
    check_fit(system, test)
    if test.regression:
        raise ValueError(f"{test.name} has numbers as labels; UA is of classes")
    if draws < 1:
        raise ValueError(f"draws={draws}: give the number of draws of the noise, 1 or more")
    if len(set(test.speaker)) < 2:
        raise ValueError(f"all rows of {test.name} are of one speaker, so nothing says how much speakers differ; give "
                         "the batch its speakers (collate's `speaker`), or take a fold that tests several")
    recorded = test.to("cpu")
    right = lambda condition, draw=0: (  # noqa: E731
        answers(system, recorded, condition, test.device, draw).argmax(1).cpu() == recorded.label).double()  # fmt: skip
    clean, rows = right(CLEAN), []
    about = f"{draws} draws of noise, {len(set(test.speaker))} speakers"
    for condition in conditions:
        noisy = torch.stack([right(condition, draw) for draw in range(draws)]).mean(0)
        value, std = ua_difference(recorded.label, clean - noisy, test.speaker)
        found = rows_of(type(system).__name__, test, condition, {"UA lost": round(value, 6)}, about)
        rows += [replace(row, std=f"{std:.6f}") for row in found]
    return rows


def failed(recipe: Recipe, test: Batch, why: str) -> list[Row]:
    """The rows of a training that came to nothing: nan for every metric and condition, and the reason as a note."""
    nothing = dict.fromkeys(metrics_of(recipe), math.nan)
    return [row for condition in recipe.test for row in rows_of(recipe.name, test, condition, nothing, why)]


def metrics_of(recipe: Recipe) -> tuple[str, ...]:
    """What a recipe's corpus is judged by: its classes, or numbers where it has none."""
    return tuple(METRICS if CORPORA[recipe.corpus].ABOUT.classes else REGRESSION)


def rows_of(system: str, test: Batch, condition: Condition, found: dict[str, float], note: str = "") -> list[Row]:
    about = describe_noise(condition, test)
    about["note"] = "; ".join(filter(None, [about["note"], note]))
    return [
        Row(
            paper="",
            table="",
            dataset=test.name.split("/")[0],
            system=system,
            condition=condition.header(test.modalities),
            metric=metric,
            value=value,
            unit=UNITS.get(metric, "fraction"),
            **about,
        )
        for metric, value in found.items()
    ]


def describe_noise(condition: Condition, batch: Batch) -> dict[str, str]:
    """The columns `noise` and `snr_db`, and in `note` T and the true SNR of each noisy modality."""
    levels = {m: s.level(batch.variance[m]) for m, s in condition.noise.items()}
    note = ", ".join(f"{LETTERS[m]}: T={level.steps}, {level.true_db:.2f} dB" for m, level in levels.items())
    return {"noise": condition.noise_name, "snr_db": condition.level_name, "note": note}


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
