"""One file a paper: its tables as lists of recipes. From a row's key back to the recipe that produced it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import joblib
import pandas as pd

from robustmer.grid import cross_validate
from robustmer.papers import cdtp, nmer
from robustmer.recipe import Recipe

PAPERS = {"nmer": nmer, "cdtp": cdtp}


@lru_cache
def keys(paper: str, profile: str) -> dict[str, Recipe]:
    """key -> recipe, for all corpora of a paper in one profile."""
    return {recipe.key: recipe for recipe in PAPERS[paper].recipes(profile)}


def is_own(paper: str, profile: str, recipes: Iterable[Recipe]) -> bool:
    """Whether all of these are recipes of the paper itself, whose keys `find` knows."""
    return {r.key for r in recipes} <= set(keys(paper, profile))


def compute(paper: str, profile: str, recipes: Sequence[Recipe], device: str) -> pd.DataFrame:
    """Run what a page lacks of these recipes and return their rows. On the CPU as many trainings run at once as there
    are cores. Rows of recipes that are not the paper's own are kept apart from the committed ones."""
    jobs = joblib.cpu_count() if device == "cpu" else 1
    own = is_own(paper, profile, recipes)
    return cross_validate(recipes, paper, profile, jobs, device, progress=False, own=own)


def find(key: str) -> tuple[str, str, Recipe]:
    """The paper, the profile and the recipe of a key. Raises LookupError if no recipe has it."""
    for paper, module in PAPERS.items():
        for profile in module.PROFILES:
            if key in keys(paper, profile):
                return paper, profile, keys(paper, profile)[key]
    raise LookupError(
        f"no recipe has the key {key!r}; keys are the ten hex digits in the column `key` of results/measured"
    )
