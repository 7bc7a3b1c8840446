"""The figures of the book: forests of differences, small multiples of curves, and rows of dots.

All take a DataFrame, draw at a width in CSS pixels, stack their panels where that is narrow, and return a figure for
`picture.show`. A value under the pointer comes from the column `note`, or is made from value, low and high.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from robustmer.book.picture import INK, MUTED, PAPER, RULE, STYLE, TIP, WIDE
from robustmer.book.registry import BROWN, EVIDENCE, GREEN, GREY, OLIVE, RED, TEAL, Evidence, System

ROW_PX, STACK_BELOW = 34, 600
"""Height of a row with three marks; panels narrower than this together stand above each other."""


def axes_of(
    panels: Sequence[str], heights: Sequence[float], width: int, columns: int = 0, legend: float = 0, **share
) -> tuple[Figure, list[Axes]]:
    """A figure with one axes a panel, side by side (or in so many columns), stacked where it is narrow, and room for so
    many lines of a legend."""
    from matplotlib import pyplot

    columns = columns or (1 if width < STACK_BELOW else len(panels))
    rows = math.ceil(len(panels) / columns)
    ratios = [max(heights[r * columns : (r + 1) * columns]) for r in range(rows)]
    figure, axes = pyplot.subplots(rows, columns, figsize=(width / 72, (sum(ratios) + 20 * legend) / 72), squeeze=False,
                                   height_ratios=ratios, **share)  # fmt: skip
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    return figure, list(axes.flat[: len(panels)])


def forest(
    frame: pd.DataFrame, xlabel: str | Mapping[str, str], width: int = WIDE, legend: Mapping[str, str] | None = None
) -> Figure:
    """Differences in rows, with a line at 0.

    Columns: row (text), kind (of `registry.EVIDENCE`), value, low, high (nan: no interval), optional panel and note.
    Several printed values of a row are joined by a line. `xlabel` is one text or one a panel; `legend` replaces
    the words of a kind of evidence.
    """
    marks = {kind: EVIDENCE[kind] for kind in EVIDENCE if kind in set(frame["kind"])}
    words = {kind: mark.label for kind, mark in marks.items()} | dict(legend or {})
    return rows_of_marks(frame, "kind", marks, words, xlabel, width, zero=0.0)


def dots(
    frame: pd.DataFrame, systems: Mapping[str, System], xlabel: str | Mapping[str, str], width: int = WIDE,
    lines: Mapping[str, float] | float | None = None,
) -> Figure:  # fmt: skip
    """Scores in rows, one mark a system. Columns: row, system (a key of `systems`), value, low, high, optional panel,
    note. `lines` draws a thin vertical line, such as chance, at one place or one a panel."""
    marks = {name: Evidence(look.label, "", look.colour, look.marker, True, 1.5) for name, look in systems.items()
             if name in set(frame["system"])}  # fmt: skip
    words = {name: mark.label for name, mark in marks.items()}
    return rows_of_marks(frame, "system", marks, words, xlabel, width, lines)


def rows_of_marks(
    frame: pd.DataFrame, by: str, marks: Mapping[str, Evidence], words: Mapping[str, str],
    xlabel: str | Mapping[str, str], width: int, zero: Mapping[str, float] | float | None = None,
) -> Figure:  # fmt: skip
    frame = frame if "panel" in frame else frame.assign(panel="")
    panels = list(dict.fromkeys(frame["panel"]))
    parts = {panel: frame[frame["panel"] == panel] for panel in panels}
    step = max(ROW_PX, 10 * len(marks)) if len(marks) > 1 else 24
    gap = 9.0 if len(marks) > 1 else 0.0
    with mpl.rc_context(STYLE):
        ncols = 1 if width < STACK_BELOW else min(3, len(marks))
        heights = [step * part["row"].nunique() + 56 for part in parts.values()]
        figure, axes = axes_of(panels, heights, width, legend=math.ceil(len(marks) / ncols))
        for ax, (panel, part) in zip(axes, parts.items(), strict=True):
            rows = list(dict.fromkeys(part["row"]))
            for kind, mark in marks.items():
                shift = gap * (list(marks).index(kind) - (len(marks) - 1) / 2)
                for number, row in enumerate(rows):
                    lot = part[(part["row"] == row) & (part[by] == kind)]
                    draw_marks(ax, lot, step * number + shift, mark)
            at = zero[panel] if isinstance(zero, Mapping) else zero
            if at is not None:
                ax.axvline(at, color=INK, linewidth=1.2, zorder=1)
            narrow = width < STACK_BELOW or len(panels) > 1
            ax.set_yticks([])
            for number, row in enumerate(rows):
                label_row(ax, step * number, textwrap.wrap(row, 25 if narrow else 40))
            ax.set_ylim(step * (len(rows) - 0.4), -step * 0.6)
            ax.set_title(panel)
            ax.set_xlabel(xlabel[panel] if isinstance(xlabel, Mapping) else xlabel)
            ax.grid(axis="x")
            ax.set_axisbelow(True)
            ax.spines["left"].set_visible(False)
        handles = [
            Line2D([], [], **look_of(mark), linewidth=mark.width, label=words[kind]) for kind, mark in marks.items()
        ]
        if len(handles) > 1:
            figure.legend(handles=handles, loc="outside lower center", ncols=ncols)
    return figure


def label_row(ax: Axes, y: float, lines: Sequence[str]) -> None:
    """The words of a row, one text per line, because a browser's font is not the one that aligned them."""
    for number, line in enumerate(lines):
        shift = 14 * ((len(lines) - 1) / 2 - number)
        ax.annotate(line, (0, y), (-6, shift), ax.get_yaxis_transform(), "offset points", ha="right", va="center",
                    annotation_clip=False)  # fmt: skip


def draw_marks(ax: Axes, lot: pd.DataFrame, y: float, mark: Evidence) -> None:
    """The marks of one row and kind, their intervals, and a line that joins several."""
    if len(lot) > 1:
        ax.plot([lot["value"].min(), lot["value"].max()], [y, y], color=mark.colour, linewidth=mark.width, alpha=0.6)
    for line in lot.to_dict("records"):
        if not math.isnan(line["low"]):
            ax.plot([line["low"], line["high"]], [y, y], color=mark.colour, linewidth=mark.width, solid_capstyle="butt")
        ax.plot([line["value"]], [y], **look_of(mark), linestyle="", gid=TIP + tip(line))


def look_of(mark: Evidence) -> dict[str, object]:
    return {"color": mark.colour, "marker": mark.marker, "markersize": 7 if mark.filled else 6, "markeredgewidth": 1.5,
            "markerfacecolor": mark.colour if mark.filled else PAPER, "markeredgecolor": mark.colour}  # fmt: skip


def tip(line: Mapping[str, object]) -> str:
    """The text under the pointer: the note of the mark, its value and its interval."""
    value = f"{line['value']:.1f}" if math.isnan(line["low"]) else (
        f"{line['value']:.1f} ({line['low']:.1f} to {line['high']:.1f})")  # fmt: skip
    return f"{line.get('note') or line['row']}: {value}".replace(" -", " −").replace("(-", "(−")


def small_multiples(
    frame: pd.DataFrame, systems: Mapping[str, System], xlabel: str, ylabel: str, width: int = WIDE,
    reference: str = "", chance: float | None = None, groups: Mapping[str, str] | None = None, columns: int = 0,
) -> Figure:  # fmt: skip
    """One panel a system: its curve in colour with its interval, the others in grey, `reference` dashed.

    Columns: system (a key of `systems`), x, value, low, high, and optional group, for several curves a system, whose
    words `groups` stand beside the last panel's curves. Systems without a panel of their own are the reference only.
    """
    frame = frame if "group" in frame else frame.assign(group="")
    panels = [name for name in systems if name in set(frame["system"]) and name != reference]
    columns = columns or (2 if width < STACK_BELOW else min(len(panels), 6 if len(panels) <= 6 else 4))
    ticks = sorted(set(frame["x"]))
    with mpl.rc_context(STYLE):
        legend = 3 if width < STACK_BELOW else 1
        figure, axes = axes_of(panels, [200.0] * len(panels), width, columns, legend, sharex=True, sharey=True)
        for ax, panel in zip(axes, panels, strict=True):
            for (name, _), line in frame.sort_values("x").groupby(["system", "group"], sort=False):
                look = systems[name]
                style = {"color": GREY, "linewidth": 0.9, "alpha": 0.45, "zorder": 1}
                if name == panel:
                    band = {"color": look.colour, "alpha": 0.2, "linewidth": 0, "zorder": 2}
                    ax.fill_between(line["x"], line["low"], line["high"], **band)
                    style = dict(color=look.colour, linewidth=2.2, marker=look.marker, markersize=5, zorder=4)
                elif name == reference:
                    style = {"color": INK, "linewidth": 1.4, "linestyle": "--", "zorder": 3}
                ax.plot(line["x"], line["value"], **style)
            if chance is not None:
                ax.axhline(chance, color=MUTED, linewidth=1, linestyle=":", zorder=1)
            ax.set_title(textwrap.fill(systems[panel].label, max(12, int(width / columns / 8))), fontsize=12)
            ax.grid(axis="y")
            ax.set_xticks(ticks, [f"{t:g}".replace("-", "−") for t in ticks])
            ax.tick_params(labelsize=10)
        axes[0].invert_xaxis()
        for group, words in (groups or {}).items():
            top = frame[(frame["group"] == group) & (frame["x"] == ticks[0])]["value"].max()
            style = {"textcoords": "offset points", "ha": "right", "fontsize": 10.5}
            axes[-1].annotate(words, (ticks[0], top), (0, 6), **style)
        figure.supxlabel(xlabel, fontsize=12)
        figure.supylabel(ylabel, fontsize=12)
        handles = [Line2D([], [], color=GREY, linewidth=0.9, label="the other systems")]
        if reference:
            handles.insert(0, Line2D([], [], color=INK, linestyle="--", linewidth=1.4, label=systems[reference].label))
        if chance is not None:
            handles.append(Line2D([], [], color=MUTED, linestyle=":", label="chance"))
        figure.legend(handles=handles, loc="outside upper left", ncols=1 if width < STACK_BELOW else 3)
    return figure


def grid(frame: pd.DataFrame, width: int = WIDE) -> Figure:
    """Verdicts at a glance: a row a claim, coloured cells with a sign. Columns: row, column, verdict (of VERDICTS)."""
    from matplotlib import pyplot

    columns, rows = (list(dict.fromkeys(frame[name])) for name in ("column", "row"))
    lines = [textwrap.wrap(row, 90 if width >= STACK_BELOW else 34) for row in rows]
    tops = [sum(14 * len(part) + 2 for part in lines[:number]) for number in range(len(lines) + 1)]
    with mpl.rc_context(STYLE):
        figure, ax = pyplot.subplots(figsize=(width / 72, (tops[-1] + (74 if width >= STACK_BELOW else 190)) / 72))
        for row, column, verdict in frame[["row", "column", "verdict"]].itertuples(index=False, name=None):
            number, x = rows.index(row), columns.index(column)
            top, height = tops[number], tops[number + 1] - tops[number] - 2
            colour, sign = VERDICTS[verdict]
            ax.add_patch(Rectangle((x + 0.03, top), 0.94, height, color=colour, gid=f"{TIP}{column}: {verdict}"))
            ax.text(x + 0.5, top + height / 2, sign, color=PAPER, ha="center", va="center", fontsize=10, weight="bold")
        for number, part in enumerate(lines):
            label_row(ax, (tops[number] + tops[number + 1]) / 2 - 1, part)
        ax.set(xlim=(0, len(columns)), ylim=(tops[-1], 0), yticks=[])
        ax.set_xticks([x + 0.5 for x in range(len(columns))], columns, rotation=0 if width >= STACK_BELOW else 90)
        ax.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
        ax.spines[:].set_visible(False)
        present = [verdict for verdict in VERDICTS if verdict in set(frame["verdict"])]
        handles = [
            Rectangle((0, 0), 1, 1, color=VERDICTS[v][0], label=f"{VERDICTS[v][1]} {v}".strip()) for v in present
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4 if width >= STACK_BELOW else 2)
    return figure


VERDICTS = {"holds": (GREEN, "✓"), "partly": (OLIVE, "±"), "does not hold": (RED, "✗"), "not shown": (GREY, "?"),
            "seeds agree": (TEAL, "s"), "seeds disagree": (BROWN, "s"), "cannot be tested": (RULE, "")}  # fmt: skip
"""The colour of a verdict, and its sign for who does not see the colour."""
