"""The negative control on CMU-MOSI: what noise on one modality costs, with intervals over the people of the test split.

    .venv/bin/python bench/negative_control.py --workers 2

Trains those systems of NMER's Table 2 again (the same recipes and keys) and adds the lacking scores "UA lost" to the
ledger of NMER's paper, which page 05 reads; `robustmer results publish nmer` commits them. Needs CMU-MOSI below
ROBUSTMER_DATA. Three seeds take about half an hour of one core.
"""

from __future__ import annotations

import argparse

from robustmer.conditions import Condition
from robustmer.evaluation import noise_cost
from robustmer.experiments.grid import compute, trained
from robustmer.experiments.ledger import Ledger, Score
from robustmer.experiments.papers import ledger_of, nmer
from robustmer.experiments.plan import scored_in
from robustmer.experiments.provenance import CODE, commit, numerics
from robustmer.experiments.recipe import Recipe

METRIC = "UA lost"


def lacking(ledger: Ledger, profile: str) -> dict[Recipe, list[Condition]]:
    """The recipes of the control with the conditions that have no score of this kind."""
    scored, jobs = scored_in(ledger.scores()), {}
    for place in nmer.control(profile=profile).cells.values():
        for cell in place.cells:
            if METRIC not in scored.get((cell.recipe.key, str(cell.condition)), ()):
                jobs.setdefault(cell.recipe, {})[cell.condition] = None
    return {recipe: list(conditions) for recipe, conditions in jobs.items()}


def add_scores(ledger: Ledger, recipe: Recipe, conditions: list[Condition]) -> None:
    test = recipe.corpus.load().fold(recipe.fold).test
    frame = noise_cost(trained(recipe, ledger), test, conditions)
    scores = [Score(str(condition), METRIC, row.value, row.error, row.groups)
              for condition, row in zip(conditions, frame.itertuples(), strict=True)]  # fmt: skip
    about = {"fingerprint": recipe.corpus.load().fingerprint, "commit": commit(), "code": CODE, "numerics": numerics()}
    ledger.write_scores(recipe.key, scores, about)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="trainings at once (default: 1)")
    parser.add_argument("--profile", default="paper", help="size of the grid (default: paper)")
    chosen = parser.parse_args()
    ledger = ledger_of("nmer", chosen.profile)
    jobs = lacking(ledger, chosen.profile)
    print(f"{len(jobs)} trainings lack {METRIC!r}")
    compute(dict.fromkeys(jobs, ()), ledger, chosen.workers, fresh=True, keep=jobs)
    for recipe, conditions in jobs.items():
        add_scores(ledger, recipe, conditions)


if __name__ == "__main__":
    main()
