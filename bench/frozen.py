"""Compare the measured results as the project computes them now with those of the first edition, to 9 digits.

    python bench/frozen.py [--quick]

tests/frozen.json holds what the first edition said of its results: means, intervals, differences, ranks and verdicts of
every table. Here the published scores are summarised again. Holm's correction is over the families of the first
edition; pages now count all comparisons of a paper as one family. Numbers that rest on a training that was measured
again since (its record has the hash of the code) are left out. With --quick the 30 trainings of the quick profile on
fold 0 of the synthetic corpus are computed, too (five minutes of one core). Exits with 1 where a number differs.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from frozen_sections import Sections, all_sections

from robustmer.conditions import parts_of
from robustmer.experiments import project
from robustmer.experiments.grid import compute
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.papers import cdtp, nmer, results


def frozen(part: Mapping) -> pd.DataFrame:
    """A section of frozen.json, whose texts are numbers of `words`."""
    columns = [*part["keys"], *part["values"]]
    words = [part["words"].get(column) for column in columns]
    text = lambda value, texts: value if texts is None or value is None else texts[value]  # noqa: E731
    lines = [[text(*pair) for pair in zip(line, words, strict=True)] for line in part["rows"]]
    return pd.DataFrame(lines, columns=columns, dtype=object)


def plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    return None if value is None or isinstance(value, float) and math.isnan(value) else value


def same(a: object, b: object) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=6e-9, abs_tol=1e-12)  # 9 digits are off by 5e-9 at most
    return a == b


def compare(name: str, part: Mapping, frame: pd.DataFrame) -> tuple[int, int, list[str]]:
    """How many values were compared, how many were left out because they are of new trainings (`again`), and a line for
    each that differs or is not computed any more."""
    keys, wrong, count, left = part["keys"], [], 0, 0
    ours = {tuple(plain(line[k]) for k in keys): line for line in frame.to_dict("records")}
    for line in frozen(part).to_dict("records"):
        at = tuple(plain(line[k]) for k in keys)
        for column in part["values"]:
            if at in ours and (ours[at].get("again") or column == "p_holm" and ours[at].get("family again")):
                left += 1
                continue
            count += 1
            found = plain(ours[at][column]) if at in ours else "nothing"
            if not same(plain(line[column]), found):
                wrong.append(f"{name}, {', '.join(map(str, at))}: {column} was {plain(line[column])} and is {found}")
    return count, left, wrong


def quick() -> Sections:
    """The quick profile's trainings of NMER's Table 2 and CDTP's Table 1 on fold 0 of the synthetic corpus."""
    lines = []
    for paper, of, number in (("nmer", nmer, "2"), ("cdtp", cdtp, "1")):
        table = of.tables("quick", "synthetic", folds=(0,))[number]
        wanted = of.recipes("quick", ["synthetic"], folds=(0,))  # under the conditions of the other tables, too
        names = {cell.recipe: row.system for (row, _), place in table.cells.items() for cell in place.cells}
        with tempfile.TemporaryDirectory() as folder:
            compute({recipe: wanted[recipe] for recipe in names}, ledger := Ledger(Path(folder)))
            scores = ledger.scores()
        mixtures = {
            recipe.key: "; ".join(f"{n} x {{{c}}}" for c, n in parts_of(recipe.mixture).items()) for recipe in names
        }
        renamed = {recipe.key for recipe in names if "completion" in recipe.upstream}  # its random streams are others
        names = {recipe.key: system for recipe, system in names.items()}
        scores = scores.assign(system=scores["key"].map(names), again=scores["key"].isin(renamed))
        lines.append(scores.assign(paper=paper, trained=scores["key"].map(mixtures)))
    yield "quick", pd.concat(lines)


def main(with_quick: bool = False) -> int:
    measured = {paper: results(paper) for paper in ("nmer", "nmer_beyond", "cdtp")}
    known = json.loads((project() / "tests" / "frozen.json").read_text())
    sections = dict(all_sections(measured, frozen(known["nmer beyond differences"])))
    sections |= quick() if with_quick else {}
    wrong = [f"{name} is not computed" for name in known if name not in sections and name != "quick"]
    total, left = 0, 0
    for name, frame in sections.items():
        count, out, differs = compare(name, known[name], frame)
        print(f"{name:30} {count:6} values, {len(differs)} differ, {out} left out", flush=True)
        total, left, wrong = total + count, left + out, wrong + differs
    summary = f"{total} values of {len(sections)} sections, {len(wrong)} differ, {left} left out (measured again)"
    print(*wrong[:40], summary, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv))
