# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# (nmer-claims)=
# # The claims, one by one
#
# NMER section 3.6. Every number that the text gives about a result is a comparison of two places in a table. **Does the
# text agree with the paper's own tables, and does the comparison hold on other data, with intervals?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"

# %% tags=["hide-input"]
import re

import pandas as pd
from IPython.display import Markdown, display

from robustmer.corpora import about
from robustmer.display import download, run_card, table, theme
from robustmer.papers import nmer_claims as claims
from robustmer.papers import nmer_tables as tables

palette = theme()
shown = tables.blocks()
_ = run_card("paper", [block.dataset for block in shown], rows=sum(len(block.rows) for block in shown))

# %% [markdown]
# This page trains nothing: it reads the rows under `results/measured`, whatever profile the book is built in. Effects are in
# points (hundredths) and count in the direction that the paper claims, so a positive number agrees with it.
#
# holds
# : the effect has the claimed sign and is beyond chance (5%) over folds after Holm's correction for the comparisons that the
#   claim makes. This is about its direction. Where the text prints a number, *size fits* says that the interval reaches it
#   (half a point for rounding), *larger* or *smaller* that it does not.
#
# does not hold
# : it is beyond chance in the other direction.
#
# not shown
# : the effect is within what chance does with so few folds. That is no proof of the contrary.
#
# seeds agree, seeds disagree
# : the corpus has one split (CMU-MOSI), and the seeds, which meet the same test speakers under the same noise, agree on the
#   claimed direction, or on the other, beyond what first weights do. Whether other people would, nobody knows: on
#   {ref}`nmer-table-3` intervals over speakers are several times wider. It is no verdict.
#
# no interval
# : fewer than three repetitions are measured, or all are equal.
#
# cannot be tested
# : the corpus lacks the modality or condition, or nobody has run it.

# %% tags=["hide-input"]
found = {block.dataset: claims.measured(block.rows) for block in shown}
if not found:
    display(Markdown("*Nothing is measured yet: `robustmer run nmer --profile paper` computes it.*"))

# %% [markdown]
# ## Verdicts

# %% tags=["hide-input"]
def sized(line):
    """A comparison's verdict, and how its size stands to the number that the text prints."""
    fits = "size fits" if line["verdict"] == "holds" else ""
    size = fits if line["size"] == "as large" else line["size"]
    return ", ".join(filter(None, [line["verdict"], size if line["unit"] == "fold" else ""]))


def tally(part):
    """`holds` where all comparisons agree, else each verdict behind its count; and the effects."""
    counts = part.apply(sized, axis=1).value_counts()
    words = counts.index[0] if len(counts) == 1 else "; ".join(f"{n} {verdict}" for verdict, n in counts.items())
    ends = ends_of(part["effect"])
    return words if ends == "–" else f"{words} ({ends})"


def ends_of(values):
    """The smallest and the largest, in points."""
    values = [v for v in values if pd.notna(v)]
    if not values:
        return "–"
    return " to ".join(dict.fromkeys(f"{v:+.1f}".replace("-", "−") for v in (min(values), max(values))))


def in_tables(claim, dataset):
    """What the paper's own tables give for the claim's comparisons."""
    return ends_of([claims.in_the_paper(c, dataset) for c in claim.contrasts])


lines = []
for number, claim in enumerate(claims.all_claims(), 1):
    lines.append({
        "": str(number), "claim": re.sub(r"-(?=\d)", "−", f"{claim.says} ({claim.where})"),
        "text": ", ".join(dict.fromkeys(f"{p:.1f}" for p in claim.points)) or "–",
        "IEMOCAP": in_tables(claim, "IEMOCAP"), "CMU-MOSEI": in_tables(claim, "CMU-MOSEI"),
        **{dataset: tally(part[part["number"] == number]) for dataset, part in found.items()},
    })
verdicts = pd.DataFrame(lines)
table(verdicts, "tbl-nmer-verdicts", "Each claim: what the text prints, what the paper's tables give, what our runs say",
      "Points, from the smallest to the largest comparison of a claim. Text, IEMOCAP and CMU-MOSEI: as printed in the paper, "
      "differences taken from its tables. The last columns: the verdicts with their numbers and our effects. "
      + " ".join(block.source for block in shown))
rows = claims.result_rows()
for warning in filter(None, (tables.about_wa(block.rows) for block in shown)):
    display(Markdown(warning))
covered = [text for text in rows["claim"] if any(text.startswith(p) for c in claims.all_claims() for p in c.printed)]
display(Markdown(f"These claims cover {len(covered)} of the {len(rows)} numbers that section 3.6 gives in its text "
                 "(`results/published/nmer_claims.csv`)."))

# %% [markdown]
# ## The text against the paper's own tables
#
# The numbers of the text are of IEMOCAP. A claim is in doubt already in the paper where one of its comparisons goes the
# other way in the printed tables, or where no comparison gives the number that the text prints.

# %% tags=["hide-input"]
doubts = []
for number, claim in enumerate(claims.all_claims(), 1):
    for dataset in ("IEMOCAP", "CMU-MOSEI"):
        against = [c.what for c in claim.contrasts if claims.in_the_paper(c, dataset) < 0]
        if against:
            doubts.append(f"- Claim {number}, {dataset}: {len(against)} of {len(claim.contrasts)} comparisons go the "
                          f"other way ({'; '.join(against[:3])}{' …' if len(against) > 3 else ''}).")
    values = [claims.in_the_paper(c, "IEMOCAP") for c in claim.contrasts]
    off = [p for p in claim.points if not min(values) - 1 < p < max(values) + 1]
    if off:
        doubts.append(f"- Claim {number}: the text says {' and '.join(f'{p:g}' for p in off)}, the nearest comparison in its "
                      f"IEMOCAP columns is {min(values, key=lambda v: abs(v - off[0])):.1f}.")
rises, steps = claims.rises()
doubts.append(f"- \"All models\" get worse with more noise: between the ends of Table 2 they do; from one level to the next "
              f"{rises} of its {steps} steps go up.")
display(Markdown("\n".join(doubts)))

# %% [markdown]
# ## Every comparison, with its interval

# %% mystnb={"figure": {"name": "fig-nmer-claims", "caption": "Every comparison of the claims, in points, positive as the paper claims; the number is the claim's. Diamonds: the paper's own table of the corpus named beside ours. Dots: ours with 95% intervals, over folds or, on a corpus with one split, over seeds only; filled where a claim holds or does not hold."}} tags=["hide-input"]
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, max(len(shown), 1), figsize=(9, 0.6 + 0.2 * max(map(len, found.values()), default=0)),
                            sharey=True, layout="constrained", squeeze=False)
for axis, block in zip(axes[0], shown, strict=False):
    part = found[block.dataset].reset_index(drop=True)
    decided = part["verdict"].isin(claims.DECIDED)
    axis.errorbar(part["effect"], part.index, xerr=part["effect"] - part["low"], fmt="none", lw=1.2, color=palette[0])
    axis.scatter(part["effect"], part.index, s=22, facecolor=[palette[0] if d else "white" for d in decided],
                 edgecolor=palette[0], zorder=3, label="ours")
    axis.scatter(part["paper"], part.index, s=26, marker="D", facecolor="none", edgecolor=palette[1], zorder=4,
                 label="paper")
    for row in part.index[part["number"].diff() == 1]:
        axis.axhline(row - 0.5, color="lightgrey", lw=0.6)
    axis.axvline(0, color="black", lw=0.8)
    axis.grid(axis="y", visible=False)
    axis.set(title=f"{block.dataset},\nbeside {block.counterpart}", xlabel=f"points, intervals\nover {block.unit}s", ylim=(len(part) - 0.4, -0.6))
    axis.set_yticks(part.index, [f"{c}  ({n})" for n, c in zip(part["number"], part["contrast"], strict=True)],
                    fontsize="x-small")
figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
plt.show()

# %% tags=["hide-input"]
def table_of(contrast, slug):
    """The name of the table that has the cells of a comparison (of the first noise, where it is over both)."""
    name = "ablation" if any("w/o" in side["system"] for side in contrast.less) else str(contrast.table)
    noise = "" if contrast.table == 4 else f"-{contrast.more[0]['noise']}"
    return f"tbl-nmer-{name}-{slug}{noise}-{contrast.metric.lower()}"


def widened(block):
    """How intervals over folds are made, in words."""
    return (f"Intervals: Student's t, s² (1/k + {about(block.dataset).test_to_train:.2g}), since folds share training speakers. "
            if block.unit == "fold" else "")


for block in shown:
    part = found[block.dataset]
    contrasts = [c for claim in claims.all_claims() for c in claim.contrasts]
    most = part["repetitions"].max()
    out = pd.DataFrame({
        "": part["number"].astype(str), "comparison": part["contrast"],
        "paper": [f"{v:+.1f}" if pd.notna(v) else "–" for v in part["paper"]],
        "ours": [f"{e:+.1f}" if pd.notna(e) else "–" for e in part["effect"]],
        "95% interval": [f"{low:+.1f} to {high:+.1f}" if pd.notna(low) else "–"
                         for low, high in zip(part["low"], part["high"], strict=True)],
        "p": ["–" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}" for p in part["p_holm"]],
        "verdict": [sized(line) + (f": {line['why']}" if line["why"] else "")
                    + (f" ({line['repetitions']}/{most})" if 0 < line["repetitions"] < most else "")
                    for _, line in part.iterrows()],
        "table": [f"{{numref}}`%s <{table_of(c, block.slug)}>`" if n else "–"
                 for c, n in zip(contrasts, part["repetitions"], strict=True)],
    })
    for column in ("paper", "ours", "95% interval"):
        out[column] = out[column].str.replace("-", "−")
    kept = int((part.drop_duplicates("contrast")["p_all"] < 0.05).sum())
    table(out, f"tbl-nmer-claims-{block.slug}", f"{block.dataset}: every comparison that the claims make, WA unless said, in points",
          f"Paper: {tables.COUNTERPART[block.dataset]}. Paired over {most} {block.unit}s; (k/n) only k of n are measured. "
          f"{widened(block)}p: Holm within the claim; {kept} comparisons stay below 5% when corrected for all of the page. The last column "
          f"is the table that has its cells; the file below has its rows. {block.source}")

# %% [markdown]
# ## The rows behind a verdict
#
# Each file below has the rows of every comparison of one corpus: its two sides, training by training, with the key of the
# recipe and the commit that computed it. To get an effect again, sum the values of each side for each fold and seed, take
# `more` minus `less`, divide by `per`, and average over seeds, then over folds. `robustmer run KEY` computes such a row again, and
# `robustmer results nmer --where COLUMN=VALUE` prints the rows of any other cell.

# %% tags=["hide-input"]
for block in shown:
    download(claims.evidence(block.rows), f"nmer-claims-{block.slug}.csv", f"{block.dataset}: the rows of every comparison")
