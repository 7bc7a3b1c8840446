"""Figures of the method pages: lines, tiles, clouds of points, stacked bars, and diagrams of boxes and arrows.

Each function returns a figure for `picture.show`. `width` is in CSS pixels; a narrow figure stacks its panels.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from robustmer.book.figures import axes_of
from robustmer.book.picture import INK, MUTED, PAPER, RULE, STYLE, TIP, WIDE

COLOURS = ("#2F7FC1", "#D9600A", "#2E9A62", "#9367C8", "#C9589C", "#16909C")
"""Colours of series that are no systems. Their contrast is at least 3:1 on the light and on the dark page."""

NARROW_LEGEND = 500
"""The width in pixels below which a diagram runs downwards."""


def lines(
    frame: pd.DataFrame, xlabel: str, ylabel: str, width: int = WIDE, marks: pd.DataFrame | None = None,
    dashed: Iterable[str] = (), at: Sequence[float] = (), diagonal: bool = False, height: float = 300, xlim=None,
    ylim=None, log: bool = False, sharey: bool = True, steps: bool = False, colours: Sequence[str] = COLOURS,
    columns: int = 0,
) -> Figure:  # fmt: skip
    """Curves from the columns series, x and value, the optional panel, and low and high for a band. `marks` (the same
    columns, and optional note) are points in the colour of their series, `dashed` series have dashed lines. `at` draws
    thin horizontal lines, `diagonal` the line x = value."""
    frame = frame if "panel" in frame else frame.assign(panel="")
    marks = frame[:0] if marks is None else marks if "panel" in marks else marks.assign(panel="")
    series = list(dict.fromkeys([*frame["series"], *marks["series"]]))
    colour = dict(zip(series, [*colours] * len(series), strict=False))
    panels = list(dict.fromkeys([*frame["panel"], *marks["panel"]]))
    with mpl.rc_context(STYLE):
        figure, axes = axes_of(panels, [height] * len(panels), width, columns, sharey=sharey)
        for ax, panel in zip(axes, panels, strict=True):
            for name in series:
                part, points = (t[(t["series"] == name) & (t["panel"] == panel)] for t in (frame, marks))
                dash = (0, (4, 2)) if name in dashed else "-"
                ax.plot(part["x"], part["value"], color=colour[name], linestyle=dash, linewidth=2, label=name,
                        drawstyle="steps-mid" if steps else "default")  # fmt: skip
                if "low" in part:
                    ax.fill_between(part["x"], part["low"], part["high"], color=colour[name], alpha=0.2, linewidth=0)
                for point in points.to_dict("records"):
                    note = f"{point.get('note') or name} {point['value']:.3g}".replace("-", "−")
                    style = {"color": colour[name], "markersize": 6.5, "mec": PAPER, "gid": TIP + note}
                    ax.plot([point["x"]], [point["value"]], "o", **style)
            if diagonal:
                ax.axline((0, 0), slope=1, color=MUTED, linewidth=1, linestyle="--", zorder=0)
            for y in at:
                ax.axhline(y, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
            ax.set(xlabel=xlabel, title=panel, **{k: v for k, v in (("xlim", xlim), ("ylim", ylim)) if v is not None})
            if log:
                ax.set_yscale("log")
            ax.grid(axis="y", color=RULE)
            ax.set_axisbelow(True)
        axes[0].set_ylabel(ylabel)
        if len(series) > 1:
            handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))
            figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns_of(width, handles))
    return figure


def columns_of(width: int, labels: Iterable[str]) -> int:
    """The number of columns of a legend with these labels that fits the width."""
    labels = list(labels)
    fit = int(width // (7.5 * max(map(len, labels)) + 55))
    return max(1, min(len(labels), fit))


def tiles(
    panels: Mapping[str, pd.DataFrame], width: int = WIDE, colours: str | Sequence[str] = "RdBu_r",
    legend: Sequence[str] = (), limits: tuple[float, float] = (-3, 3), ratios: Sequence[float] | None = None,
    row_px: float = 26, stacked: bool = True, xlabel: str = "",
) -> Figure:  # fmt: skip
    """Tables as coloured cells, one panel a table; the index names the rows. `colours` is a colour map for numbers
    within `limits`, or a list of colours for the numbers 0, 1, ..., with their meanings in `legend`. Column names are
    shown if they are text."""
    from matplotlib import pyplot

    frames, one_column = list(panels.values()), stacked or width < 500
    shape = (len(frames), 1) if one_column else (1, len(frames))
    heights = [row_px * len(frame) + 46 for frame in frames]
    size = (width / 72, (sum(heights) if one_column else max(heights)) / 72 + 0.5)
    share = {"height_ratios": heights} if one_column else {"width_ratios": ratios}
    kinds = None if isinstance(colours, str) else ListedColormap(list(colours))
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(*shape, figsize=size, squeeze=False, **share)
        for ax, (title, frame) in zip(axes.flat, panels.items(), strict=True):
            low, high = limits if kinds is None else (-0.5, len(colours) - 0.5)
            image = ax.pcolormesh(frame.to_numpy(float)[::-1], cmap=kinds or colours, vmin=low, vmax=high,
                                  edgecolors=PAPER, linewidth=0.3 if kinds is None else 1)  # fmt: skip
            ax.set_title(title)
            named = len(set(frame.index)) > 1 and isinstance(frame.index[0], str)
            ax.set_yticks(
                [len(frame) - 0.5 - i for i in range(len(frame))] if named else [], frame.index if named else []
            )
            words = [str(column) for column in frame] if isinstance(frame.columns[0], str) else []
            ax.set_xticks([i + 0.5 for i in range(len(words))], words)
            ax.tick_params(length=0)
            ax.spines[:].set_visible(False)
        axes.flat[-1].set_xlabel(xlabel)
        if kinds is None:
            figure.colorbar(image, ax=list(axes.flat), label=legend[0] if legend else "", aspect=40, pad=0.01)
        else:
            handles = [
                mpl.patches.Patch(color=colour, label=word) for colour, word in zip(colours, legend, strict=True)
            ]
            figure.legend(handles=handles, loc="outside lower center", ncols=columns_of(width, legend))
    return figure


def images(
    panels: Mapping[str, np.ndarray], xlabel: str, ylabel: str, width: int = WIDE, height: float = 150
) -> Figure:
    """Arrays (rows, columns) as pictures of one scale of brightness, the first row at the bottom, in two columns."""
    low, high = min(array.min() for array in panels.values()), max(array.max() for array in panels.values())
    with mpl.rc_context(STYLE):
        figure, axes = axes_of(
            [*panels], [height] * len(panels), width, 1 if width < 500 else 2, sharex=True, sharey=True
        )
        for ax, (title, array) in zip(axes, panels.items(), strict=True):
            ax.imshow(
                array, origin="lower", aspect="auto", interpolation="nearest", vmin=low, vmax=high, cmap="viridis"
            )
            ax.set_title(title)
        figure.supxlabel(xlabel, fontsize=12)
        figure.supylabel(ylabel, fontsize=12)
    return figure


def filmstrips(rows: Mapping[str, np.ndarray], width: int = WIDE) -> Figure:
    """Pictures (N, H, W) from 0 to 1 in a row for each name, in shades of grey."""
    from matplotlib import pyplot

    count, height, side = next(iter(rows.values())).shape
    tall = (width / count * height / side + 20) * len(rows)
    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(len(rows), 1, figsize=(width / 72, tall / 72), squeeze=False)
        for ax, (name, pictures) in zip(axes.flat, rows.items(), strict=True):
            ax.imshow(np.concatenate(list(pictures), axis=1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            ax.set_title(name)
            ax.set_axis_off()
    return figure


def clouds(frame: pd.DataFrame, columns: int, width: int = WIDE, side: float = 0) -> Figure:
    """Points without axes, from the columns panel, series, x and y: `columns` panels a row, or two if narrow."""
    columns = columns if width >= 500 else 2
    panels, series = (list(dict.fromkeys(frame[name])) for name in ("panel", "series"))
    with mpl.rc_context(STYLE):
        figure, axes = axes_of(panels, [side or width / columns] * len(panels), width, columns)
        for ax, panel in zip(axes, panels, strict=True):
            for colour, name in zip(COLOURS, series, strict=False):
                part = frame[(frame["panel"] == panel) & (frame["series"] == name)]
                ax.plot(part["x"], part["y"], "o", color=colour, markersize=2.6, mew=0, label=name)
            ax.set_title(panel, fontsize=11)
            ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
            ax.spines[:].set(visible=True, color=RULE)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=2.5)
    return figure


def stacks(
    frame: pd.DataFrame, xlabel: str, width: int = WIDE, bars: Mapping[str, float] | None = None, bar: str = ""
) -> Figure:
    """Stacked horizontal bars from the columns row, part and value. `bars` draws a vertical line in a row, with the
    label `bar`."""
    from matplotlib import pyplot

    rows, parts = (list(dict.fromkeys(frame[name])) for name in ("row", "part"))
    wide = frame.pivot(index="row", columns="part", values="value").loc[rows, parts]
    left = wide.cumsum(axis=1) - wide
    with mpl.rc_context(STYLE):
        figure, ax = pyplot.subplots(figsize=(width / 72, (28 * len(rows) + 90) / 72))
        for colour, part in zip(COLOURS, parts, strict=False):
            ax.barh(range(len(rows)), wide[part], left=left[part], color=colour, height=0.7, label=part)
        for number, row in enumerate(rows):
            if row in (bars or {}):
                ax.plot([bars[row]] * 2, [number - 0.45, number + 0.45], color=INK, linewidth=2, label=bar)
        ax.set_yticks(range(len(rows)), [textwrap.fill(row, 22) for row in rows])
        ax.invert_yaxis()
        ax.set_xlabel(xlabel)
        ax.grid(axis="x", color=RULE)
        ax.set_axisbelow(True)
        handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns_of(width, handles))
    return figure


def diagram(
    boxes: Mapping[str, tuple[float, float, str]], arrows: Iterable[tuple[str, str, str]], width: int = WIDE,
    size: tuple[float, float] = (2.0, 0.9), pitch: tuple[float, float] = (2.7, 1.5),
) -> Figure:  # fmt: skip
    """Boxes (name -> column, row, kind) joined by arrows (from, to, words). The kind of a box decides its colour; one
    of an empty kind has no frame. Columns run to the right, or downwards in a narrow figure."""
    from matplotlib import pyplot

    kinds = [kind for kind in dict.fromkeys(kind for *_, kind in boxes.values()) if kind]
    colour = dict(zip(kinds, COLOURS, strict=False))
    narrow = width < NARROW_LEGEND
    at = {name: (row * pitch[0], -column * pitch[1]) if narrow else (column * pitch[0], -row * pitch[1])
          for name, (column, row, _) in boxes.items()}  # fmt: skip
    (left, right), (low, high) = ((min(values), max(values)) for values in zip(*at.values(), strict=True))
    across, down = right - left + size[0] + 0.2, high - low + size[1] + 0.2
    with mpl.rc_context(STYLE):
        figure, ax = pyplot.subplots(figsize=(width / 72, width / 72 * down / across * (0.95 if narrow else 1) + 0.6))
        for start, end, words in arrows:
            (x, y), (u, v) = at[start], at[end]
            flat = abs(u - x) * size[1] > abs(v - y) * size[0]  # leaves by a side, or by the top or the bottom
            shift = (math.copysign(size[0] / 2, u - x), 0) if flat else (0, math.copysign(size[1] / 2, v - y))
            style = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.2}
            ax.annotate("", (u - shift[0], v - shift[1]), (x + shift[0], y + shift[1]), arrowprops=style)
            middle = (x + u) / 2 + 0.08, (y + v) / 2 + 0.04
            ax.annotate(words, middle, ha="center" if flat else "left", va="bottom", fontsize=10.5)
        for name, (_, _, kind) in boxes.items():
            (x, y), corner = at[name], (at[name][0] - size[0] / 2, at[name][1] - size[1] / 2)
            if kind:
                style = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": PAPER, "linewidth": 2}
                ax.add_patch(mpl.patches.FancyBboxPatch(corner, *size, edgecolor=colour[kind], **style))
            ax.annotate(name, (x, y), ha="center", va="center", fontsize=10.5)
        ax.set(xlim=(left - across + (right - left) + size[0] / 2 + 0.1, left + across - size[0] / 2 - 0.1))
        ax.set(ylim=(low - size[1] / 2 - 0.1, high + size[1] / 2 + 0.1))
        ax.set_axis_off()
        handles = [
            mpl.patches.Patch(facecolor="none", edgecolor=colour[kind], linewidth=2, label=kind) for kind in kinds
        ]
        if len(kinds) > 1:
            figure.legend(handles=handles, loc="outside lower center", ncols=columns_of(width, kinds))
    return figure
