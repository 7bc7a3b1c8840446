"""The negative control on CMU-MOSI: what noise on one modality costs, with intervals over the people of the test part.

    .venv/bin/python bench/negative_control.py --jobs 2

Trains those systems of NMER's Table 2 again (the same recipes and keys as in `results/measured/nmer.csv`) and adds what
is missing to `results/measured/nmer_control.csv`, which page 05 reads. Needs CMU-MOSI below ROBUSTMER_DATA and a clean
commit. Three seeds take about half an hour of one core.
"""

import argparse
import math

import joblib

from robustmer.corpora import load
from robustmer.corpora.corpus import CorpusError
from robustmer.evaluate import ua_lost
from robustmer.grid import changed, commit, run_recipe
from robustmer.papers import nmer
from robustmer.recipe import Recipe, describe
from robustmer.results import append, ledger, read

SYSTEMS = ("LogReg", "LogReg" + nmer.NOISY, "MEN", "MEN" + nmer.NOISY, "NMER")
NOISY = ("visual", "text")
"""One at a time, all else clean: what carries nothing on the test part, and what carries most."""


def unit(recipe: Recipe, here: str) -> None:
    alone = tuple(c for c in recipe.test if len(c.noise) == 1 and set(c.noise) <= set(NOISY))
    judge = lambda system, test, _: ua_lost(system, test, alone)  # noqa: E731
    rows = run_recipe(recipe, "nmer", "paper", "cpu", here, judge=judge)
    if math.isnan(rows[0].value):
        raise RuntimeError(f"{recipe.name}, seed {recipe.seed}: {rows[0].note}")
    append(ledger("nmer_control"), rows, describe(recipe))
    print(rows[0].system, rows[0].train, "seed", rows[0].seed, f"{rows[0].seconds:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at once (default: 1)")
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="of each training (default: 3)")
    options = parser.parse_args()
    if min(options.jobs, options.seeds) < 1:
        parser.error(f"--jobs {options.jobs} --seeds {options.seeds}: give 1 or more of each")
    here, rows = commit(), read(ledger("nmer_control"))
    try:
        fingerprint = load("mosi_bclstm").fingerprint
    except CorpusError as error:
        parser.error(str(error))
    done = set(rows["key"][rows["fingerprint"] == fingerprint])
    if changed(here):
        parser.error(f"the library differs from its commit ({here}); commit it first, rows name theirs")
    chosen = [r for r in nmer.recipes("paper", ["mosi_bclstm"], tables=["2"])
              if r.name in SYSTEMS and r.seed < options.seeds and r.key not in done]  # fmt: skip
    chosen.sort(key=lambda recipe: SYSTEMS.index(recipe.name))
    joblib.Parallel(options.jobs, batch_size=1)(joblib.delayed(unit)(recipe, here) for recipe in chosen)


if __name__ == "__main__":
    main()
