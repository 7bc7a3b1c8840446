"""The papers by name, with their recipes, tables and claims; the recipe of a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from robustmer.corpora import CORPORA
from robustmer.experiments.contrasts import Claim, Contrast, verdicts
from robustmer.experiments.papers import (
    cdtp,
    controls,
    infogan,
    mcwsa,
    mdvae,
    mdvae_claims,
    nmer,
    nmer_beyond,
    nmer_claims,
)
from robustmer.experiments.papers.profiles import Profile, chosen, claims_of, ledger_of, published
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.tables import Results, Table

__all__ = ["PAPERS", "Paper", "claims_of", "computed", "find", "judged", "keys", "ledger_of", "published", "results"]


class Paper(NamedTuple):
    """`recipes(profile, corpora) -> {recipe: conditions}`, `tables(profile, corpus) -> {number: Table}`,
    `claims(corpus) -> [Claim]`, and the comparisons that are `planned(corpus)` beside the claims."""

    profiles: Mapping[str, Profile]
    recipes: Callable[..., dict[Recipe, tuple]]
    tables: Callable[..., Mapping[str, Table]]
    claims: Callable[..., list[Claim]] = lambda corpus: []
    planned: Callable[..., list[Contrast]] = lambda corpus: []


PAPERS = {
    "nmer": Paper(nmer.PROFILES, nmer.recipes, nmer.tables, nmer_claims.claims, nmer_claims.planned),
    "nmer_beyond": Paper(nmer.PROFILES, nmer_beyond.recipes, nmer_beyond.tables),
    "cdtp": Paper(cdtp.PROFILES, cdtp.recipes, cdtp.tables, cdtp.claims, cdtp.planned),
    "mcwsa": Paper(mcwsa.PROFILES, mcwsa.recipes, mcwsa.tables, mcwsa.claims, mcwsa.planned),
    "infogan": Paper(infogan.PROFILES, infogan.recipes, infogan.tables, infogan.claims, infogan.planned),
    "mdvae": Paper(mdvae.PROFILES, mdvae.recipes, mdvae.tables, mdvae_claims.claims),
    "controls": Paper(controls.PROFILES, controls.recipes, controls.tables, controls.claims),
}


def results(paper: str, profile: str = "paper") -> Results:
    """The measured results of a paper. Raises LookupError with the nearest names for one that is not known."""
    chosen(PAPERS, paper, "paper")
    return Results.read(ledger_of(paper, profile))


def computed(table: Table, profile: str, device: str = "cpu") -> Results:
    """The results of a paper whose table this is, after the trainings that the ledger of the profile lacks, two at a
    time. Those of another version of the library are repeated, but for the published ones (profile `paper`). Raises
    what `compute` raises."""
    from robustmer.experiments.grid import compute  # late: reading results starts no workers

    ledger = ledger_of(table.paper, profile)
    compute(table.jobs(), ledger, workers=2, device=device, fresh=profile != "paper", progress=False)
    return Results.read(ledger)


def judged(paper: str, corpus: str, measured: Results | None = None) -> pd.DataFrame:
    """Every claim and every planned comparison of a paper on one corpus, in points: ONE family (`verdicts`)."""
    measured, of = results(paper) if measured is None else measured, PAPERS[paper]
    return verdicts(of.claims(corpus), measured, of.planned(corpus))


@lru_cache
def keys(paper: str, profile: str, corpus: str) -> dict[str, Recipe]:
    """The recipes of a paper on a corpus by their keys, upstream recipes included."""
    known, waiting = {}, list(PAPERS[paper].recipes(profile, [corpus]))
    while waiting:
        recipe = waiting.pop()
        if recipe.key not in known:
            known[recipe.key] = recipe
            waiting += recipe.upstream.values()
    return known


def find(key: str) -> tuple[str, str, Recipe]:
    """The paper, the profile and the recipe of a stored training. Raises LookupError for a key that is not stored, or
    that belongs to no table of a paper."""
    for paper, of in PAPERS.items():
        for profile, p in of.profiles.items():
            record = ledger_of(paper, profile).training(key)
            for corpus in p.seeds if record else ():
                if CORPORA[corpus].name == record["dataset"] and key in keys(paper, profile, corpus):
                    return paper, profile, keys(paper, profile, corpus)[key]
    raise LookupError(f"no training of a paper is stored with the key {key!r}; give ten hex digits from a table")
