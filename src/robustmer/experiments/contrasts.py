"""Contrast: a comparison of places of tables, with one rule for its verdict; Claim: a statement of a paper."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustmer.experiments import statistics
from robustmer.experiments.tables import Label, Place, Results, Table, nearest, values


@dataclass(frozen=True)
class Contrast:
    """The sum of the places `more` minus that of `less`, divided by `per`, which should be above 0. `rows` holds the
    two labels of a comparison of two rows."""

    what: str = field(compare=False)
    more: tuple[Place, ...] = field(repr=False)
    less: tuple[Place, ...] = field(repr=False)
    per: float = 1
    rows: tuple[Label, ...] = field(default=(), compare=False)

    @property
    def places(self) -> tuple[Place, ...]:
        return (*self.more, *self.less)

    @property
    def printed(self) -> dict[str, float]:
        """The same comparison of the paper's numbers, for each of its corpora that has all of them."""
        shared = [c for c in self.places[0].printed if all(c in place.printed for place in self.places)]
        more, less = ({c: sum(p.printed[c] for p in side) for c in shared} for side in (self.more, self.less))
        return {c: (more[c] - less[c]) / self.per for c in shared}

    def measure(self, results: Results, scale: float = 1) -> dict[str, object]:
        """The line of `measure` for this contrast alone, without a family: p_holm is p."""
        return measure([self], results, scale).iloc[0].to_dict()

    def evidence(self, results: Results) -> pd.DataFrame:
        """The scores behind the contrast, one a line. Its effect is computed from them as follows: average each `place`
        for each fold and seed, subtract the sum of `less` from that of `more`, divide by `per`, and average over seeds,
        then over folds."""
        kept = set(lines_of(differences([self], results), "fold", "seed"))
        lines = []
        for number, place in enumerate(self.places):
            side = {"side": "more" if number < len(self.more) else "less", "place": number, "per": self.per}
            for recipe, condition, metric in place.cells:
                if (recipe.fold, recipe.seed) in kept:
                    score = results.scores[recipe.key, str(condition), metric]._asdict()
                    lines.append(side | {"key": recipe.key, "fold": recipe.fold, "seed": recipe.seed} | score)
        return pd.DataFrame(lines)


def difference(table: Table, more: Label, less: Label, what: str = "") -> Contrast:
    """The contrast of two rows of a table, mean over the columns of both. Raises ValueError for rows without a shared
    one.

    `difference(tables["2"].where(metric="UA"), Row("NMER"), Row("MEN", "clean")).measure(results, scale=100)`
    """
    shared = [column for column in table.columns if {(more, column), (less, column)} <= set(table.cells)]
    if not shared:
        raise ValueError(f"table {table.number}: no column has both {more} and {nearest(less, table.rows)}")
    sides = (tuple(table.cells[row, column] for column in shared) for row in (more, less))
    return Contrast(what or f"{more} \u2212 {less}", *sides, per=len(shared), rows=(more, less))


def differences(contrasts: Sequence[Contrast], results: Results) -> pd.DataFrame:
    """The values of contrasts, by their number (`contrast`), for each fold and seed with all of their places: fold,
    seed, value, test_to_train and unit."""
    numbered = {(i, j): place for i, contrast in enumerate(contrasts) for j, place in enumerate(contrast.places)}
    sign = {(i, j): (1 if j < len(contrasts[i].more) else -1) / contrasts[i].per for i, j in numbered}
    frame = values(numbered, results)
    frame = frame.assign(contrast=[i for i, _ in frame["place"]], value=frame["place"].map(sign) * frame["value"])
    groups = frame.groupby(["contrast", "fold", "seed"], sort=False)
    out = groups[["test_to_train", "unit"]].first()
    out["value"] = groups["value"].sum().where(groups["value"].count() == groups.size())
    out = out[groups.size() == [len(contrasts[i].places) for i, *_ in out.index]]
    return out.reset_index()


def measure(contrasts: Collection[Contrast], results: Results, scale: float = 1) -> pd.DataFrame:
    """A line for each contrast of ONE family, with the columns of MEASURED. Effect, low, high, std and `detectable`
    (the smallest difference that the test detects with 80% power, corrected) are multiplied by `scale`, 100 for points.
    p_holm is p corrected for the family; `why` is the reason if a contrast cannot be tested.

    Equal contrasts are one hypothesis. Contrasts with a constant prediction are not tested: verdict `reference`.
    """
    family = list(dict.fromkeys(contrasts))
    frame = differences(family, results).dropna(subset="value")
    lines = statistics.summarise(frame, ["contrast"]).set_index("contrast").reindex(range(len(family)))
    lines = lines.astype({name: float for name in ("mean", "low", "high", "std", "test_to_train")})
    lines["repetitions"] = lines["repetitions"].fillna(0).astype(int)
    lines["unit"] = [contrast.places[0].unit for contrast in family]
    lacking = [next((place.why for place in contrast.places if not place.cells), "") for contrast in family]
    measured = lines["repetitions"] > 0
    lines["why"] = [why or ("" if ours else "not measured yet") for why, ours in zip(lacking, measured, strict=True)]
    design = ("std", "repetitions", "test_to_train")
    lines["p"] = [statistics.p_value(*line) for line in lines_of(lines, "mean", *design)]
    member = [not any(place.is_constant for place in contrast.places) for contrast in family]
    lines["p_holm"] = statistics.holm(lines["p"].where(member))
    alpha = 0.05 / max(1, lines["p_holm"].count())
    lines["detectable"] = [statistics.detectable(*line, alpha) for line in lines_of(lines, *design)]
    decided = [statistics.verdict(*line) for line in lines_of(lines, "mean", "p_holm", "unit", "why")]
    lines["verdict"] = [v if m or w else "reference" for v, m, w in zip(decided, member, lines["why"], strict=True)]
    lines = lines.rename(columns={"mean": "effect"}).iloc[[family.index(contrast) for contrast in contrasts]]
    lines[["effect", "low", "high", "std", "detectable"]] *= scale
    lines = lines.assign(contrast=list(contrasts), what=[contrast.what for contrast in contrasts])
    return lines[list(MEASURED)].reset_index(drop=True)


def lines_of(frame: pd.DataFrame, *columns: str):
    return frame[list(columns)].itertuples(index=False, name=None)


MEASURED = ("contrast", "what", "effect", "low", "high", "p", "p_holm", "detectable", "std", "repetitions", "unit",
            "test_to_train", "verdict", "why")  # fmt: skip


@dataclass(frozen=True)
class Claim:
    """A statement of a paper in our words (`says`), its section (`where`), its contrasts, the rows of the paper's
    transcribed claims that it covers (`numbers`) and the differences that it prints, in points."""

    where: str
    says: str
    contrasts: tuple[Contrast, ...]
    numbers: tuple[str, ...] = ()
    points: tuple[float, ...] = ()


def verdicts(claims: Sequence[Claim], results: Results, planned: Sequence[Contrast] = ()) -> pd.DataFrame:
    """`measure`, in points, of every contrast of the claims and the planned ones, as ONE family. Further columns:
    number of the claim (0 if planned), where, says, and the `size` of the effect against the number in the text."""
    lines = [(i, claim, contrast) for i, claim in enumerate(claims, 1) for contrast in claim.contrasts]
    lines += [(0, Claim("planned", "", ()), contrast) for contrast in planned]
    out = measure([contrast for *_, contrast in lines], results, scale=100)
    about = [{"number": i, "where": claim.where, "says": claim.says} for i, claim, _ in lines]
    ends = zip(lines_of(out, "low", "high"), lines, strict=True)
    out["size"] = [statistics.size(low, high, claim.points) for (low, high), (_, claim, _) in ends]
    return pd.concat([pd.DataFrame(about), out], axis=1)
