"""What a notebook shows: numbered tables, the line that says where numbers come from, the style of every figure."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from robustmer.papers.nmer_tables import Block

PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442"]
"""Okabe and Ito's eight colours, told apart with any colour vision; the two that are faint on white come last."""


def theme() -> list[str]:
    """Set the style of every figure of the notebook and return its palette."""
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(context="notebook", style="whitegrid", palette=PALETTE, rc={
        "figure.figsize": (7.0, 3.8), "figure.dpi": 100, "axes.titlesize": "medium", "axes.titleweight": "bold",
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "lines.linewidth": 2.0,
        "svg.hashsalt": "robustmer",
    })
    if mpl.get_backend().lower().endswith("inline"):
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")   # PNG at twice the size it is shown in; the same bytes on every run
    return list(PALETTE)


def table(df: pd.DataFrame, name: str, caption: str, footer: str = "", decimals: int = 3, source: str = "") -> None:
    """Display a DataFrame as a table with a number, which any page can name by {numref}`NAME`.

    Levels of the columns are joined by a slash; an index with a name, or of several levels, becomes the first columns.
    Floats are rounded to `decimals`, a missing value is a dash; no number passes through anybody's hands. `source` says
    where measured numbers come from, as `run_card` returns it; a page sets it once for all its tables.
    """
    from IPython.display import Markdown, display

    display(Markdown(table_markdown(df, name, caption, f"{footer} {source}".strip(), decimals)))


def table_markdown(df: pd.DataFrame, name: str, caption: str, footer: str = "", decimals: int = 3) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"table name {name!r}: use lower-case letters, digits and hyphens, as in 'nmer-table-2'")
    if "\n" in caption:
        raise ValueError(f"the caption of table {name!r} must be one line")
    if df.index.nlevels > 1 or df.index.name is not None:
        df = df.reset_index(allow_duplicates=True)
    heads = [" / ".join(str(part) for part in (c if isinstance(c, tuple) else (c,)) if part != "") for c in df.columns]
    right = [pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind) for kind in df.dtypes]
    rows = [[cell(value, decimals) for value in row] for row in df.itertuples(index=False, name=None)]
    lines = [heads, ["--:" if r else ":--" for r in right], *rows]
    text = "\n".join("| " + " | ".join(escape(part) for part in line) + " |" for line in lines)
    note = f"\n:::{{div}} table-note\n{footer}\n:::\n" if footer else ""
    return f":::{{table}} {caption}\n:name: {name}\n\n{text}\n\n:::\n{note}"


def cell(value: object, decimals: int) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "–"
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def run_card(profile: str, corpus: str | Iterable[str], device: str = "cpu", seconds: float | None = None,
             **more: object) -> str:
    """Display one line that says what the page's numbers come from: profile, corpora, device, commit and what else.

    Returns the first four as a sentence for the footers of tables.
    """
    from IPython.display import display

    from robustmer.grid import commit, device_name

    corpora = [corpus] if isinstance(corpus, str) else list(corpus)
    items = [("profile", profile, "run"),
             *(("corpus", name, "synthetic" if name == "synthetic" else "real") for name in corpora),
             ("device", device_name(device), "run"), ("commit", commit(), "run")]
    items += [(key.replace("_", " "), value, "run") for key, value in more.items()]
    if seconds is not None:
        items.append(("time", f"{seconds:.0f} s", "run"))
    spans = "".join(f'<span class="{kind}"><b>{html.escape(str(key))}</b>{html.escape(str(value))}</span>'
                    for key, value, kind in items)
    plain = " · ".join(f"{key} {value}" for key, value, _ in items)
    display({"text/html": f'<div class="run-card">{spans}</div>', "text/plain": plain}, raw=True)
    names = " and ".join("synthetic data" if name == "synthetic" else name for name in corpora)
    return f"Profile {profile}, {names}, {device_name(device)}, commit {commit()}."


def snr_curves(means: pd.DataFrame, systems: Sequence[str], chance: float, metric: str = "UA") -> None:
    """Draw accuracy against nominal SNR, a panel for each kind of noise, with the intervals as bands.

    `means` is what `results.summarise` gives by system, noise and snr_db; `chance` is drawn as a dotted line. Systems
    that are baselines (LogReg) are dashed.
    """
    import matplotlib.pyplot as plt
    import seaborn as sns

    means = means.assign(snr_db=means["snr_db"].astype(float)).sort_values("snr_db")
    kinds = list(dict.fromkeys(means["noise"]))
    figure, axes = plt.subplots(1, len(kinds), figsize=(9, 3.9), sharey=True, layout="constrained", squeeze=False)
    for axis, kind in zip(axes[0], kinds, strict=True):
        for colour, system in zip(PALETTE, systems, strict=False):
            part = means[(means["noise"] == kind) & (means["system"] == system)]
            axis.fill_between(part["snr_db"], part["low"], part["high"], color=colour, alpha=0.12, lw=0)
            dashes = "--" if system.startswith("LogReg") else "-"
            sns.lineplot(part, x="snr_db", y="mean", ax=axis, color=colour, marker="o", ls=dashes, label=system)
        axis.axhline(chance, color="grey", ls=":", lw=1)
        top = min(1.0, means[["mean", "high"]].max().max() + 0.03)
        axis.set(title=f"{kind} noise", xlabel="nominal SNR (dB)", ylabel=metric, ylim=(0.8 * chance, top),
                 xticks=sorted(means["snr_db"].unique()))
        axis.invert_xaxis()
        axis.get_legend().remove()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    plt.show()


def download(df: pd.DataFrame, file: str, label: str) -> None:
    """Display a link that hands the reader the DataFrame as a CSV file; it is a part of the page itself."""
    from IPython.display import display

    text = df.to_csv(index=False)
    href = "data:text/csv;base64," + base64.b64encode(text.encode()).decode()
    link = f'<a href="{href}" download="{html.escape(file)}">{html.escape(label)}</a>'
    about = f"CSV, {len(df)} rows"
    display({"text/html": f"<p>{link} ({about})</p>", "text/plain": f"{label}: {file} ({about})"}, raw=True)


def record(name: str, value: object) -> None:
    """Make a number quotable in any page's prose by {glue:text}`PAGE.ipynb::NAME:.3f`; the cell itself shows none."""
    from IPython.display import display

    prefix = "application/papermill.record/"
    number = getattr(value, "item", lambda: value)()
    about = {"scrapbook": {"name": name, "mime_prefix": prefix}}
    display({f"{prefix}text/plain": repr(number)}, metadata=about, raw=True)


def tabs(items: Mapping[str, str]) -> None:
    """Display several pieces of Markdown of which the reader sees one at a time, by their labels."""
    from IPython.display import Markdown, display

    parts = "\n".join(f"::::{{tab-item}} {label}\n{text}\n::::" for label, text in items.items())
    display(Markdown(f":::::{{tab-set}}\n{parts}\n:::::"))


def paper_beside_ours(
    blocks: Iterable[Block], table_of: Callable[[pd.DataFrame, str, str], pd.DataFrame], name: str, title: str
) -> None:
    """For each block of rows `table_of(rows, noise, metric)`, a tab for each noise and metric. The tables are called
    `tbl-nmer-{name}-{block}-{noise}-{metric}`."""
    from IPython.display import Markdown, display

    note = ("Paper: as printed. Ours: mean ± half the 95% interval; ↓ below logistic regression trained with noise at "
            "the same place (means alone, whatever the intervals); ° fewer seeds than others; (k/n) only k of n "
            "repetitions are measured so far; ✕n: n trainings diverged and are not in the mean; – nothing there.")
    for block in blocks:
        display(Markdown(f"**{block.title}**, beside {block.counterpart} as published"))
        tabs({
            f"{noise.capitalize()}, {metric}": table_markdown(
                table_of(block.rows, noise, metric),
                f"tbl-nmer-{name}-{block.slug}-{noise}-{metric.lower()}",
                f"{title}, {block.dataset}, {noise} noise, {metric}",
                f"{note} {block.source}",
            )
            for noise in block.noises
            for metric in ("WA", "UA")
        })  # fmt: skip


def rank_diagram(ranks: pd.Series, critical: float) -> None:
    """Mean ranks on a line, best on the left; a bar joins systems that differ by less than the critical difference."""
    import matplotlib.pyplot as plt

    ranks = ranks.sort_values()
    worst, half = len(ranks), -(-len(ranks) // 2)
    figure, axis = plt.subplots(figsize=(9, 0.9 + 0.34 * half), layout="constrained")
    for place, (name, rank) in enumerate(ranks.items()):
        left = place < half
        height = -1.2 - (place if left else len(ranks) - 1 - place)
        edge = 0.7 if left else worst + 0.3
        axis.plot([rank, rank, edge], [0, height, height], color="grey", lw=1)
        axis.text(edge, height, f"{name}  {rank:.1f} " if left else f" {rank:.1f}  {name}", va="center",
                  ha="right" if left else "left", fontsize="small")
    drawn, height = 0, -0.25
    for first in range(len(ranks)):
        last = max(i for i in range(len(ranks)) if ranks.iloc[i] - ranks.iloc[first] <= critical)
        if last > max(first, drawn):
            axis.plot(ranks.iloc[[first, last]] + [-0.05, 0.05], [height, height], color=PALETTE[0], lw=4, alpha=0.7)
            drawn, height = last, height - 0.3
    axis.plot([1, 1 + critical], [0.8, 0.8], color="black", lw=2)
    axis.text(1 + critical / 2, 0.95, f"critical difference {critical:.1f}", ha="center", va="bottom", fontsize="small")
    axis.plot([1, worst], [0, 0], color="black", lw=1)
    for rank in range(1, worst + 1):
        axis.text(rank, 0.12, str(rank), ha="center", va="bottom", fontsize="small")
    axis.set(xlim=(-1.6, worst + 2.6), ylim=(-1.9 - half, 1.9))
    axis.axis("off")
    plt.show()
