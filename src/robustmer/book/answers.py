"""Answers: the box on top of every page, numbers behind a fold, and the badge of a reader's own run."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Sequence

import pandas as pd

from robustmer.book import known
from robustmer.book.display import cell, escape
from robustmer.book.registry import CHIPS, look
from robustmer.experiments.tables import Label, wide

WORDS, SENTENCES, NUMBERS = 60, 3, 3

RESULT = re.compile(r"(?<![\w.])[+−-]?\d+\.\d+|\d+%")
"""A number that is a result: with decimals, or in percent. Its interval, in brackets, belongs to it."""


def answer(*sentences: str | tuple[str, str]) -> None:
    """Display the answer of a page: at most three sentences in MyST, 60 words, three numbers. A pair is a sentence and
    its chip: `people`, `seeds only`, `printed` or `synthetic`. Raises ValueError for a box that is too full."""
    pairs = [(part, "") if isinstance(part, str) else part for part in sentences]
    check(" ".join(text for text, _ in pairs), len(pairs))
    lines = [f"{escaped(text)} {chip(label)}".strip() for text, label in pairs]
    emit(f"::::{{div}} answer\n{' '.join(lines)}\n::::", f'<div class="answer">{" ".join(map(bare, lines))}</div>')


def escaped(text: str) -> str:
    """`escape` for all but the roles of MyST, whose targets stand in angle brackets."""
    return "".join(part if n % 2 else escape(part) for n, part in enumerate(re.split(r"(\{[\w:]+\}`[^`]*`)", text)))


def check(text: str, sentences: int) -> None:
    """Raise ValueError for an answer that is longer than a reader takes in at a glance."""
    plain = bare(text)
    counts = {"sentences": (sentences, SENTENCES), "words": (len(plain.split()), WORDS),
              "numbers": (len(RESULT.findall(re.sub(r"\([^()]*\)", "", plain))), NUMBERS)}  # fmt: skip
    for what, (count, most) in counts.items():
        if not 0 <= count <= most or not plain:
            raise ValueError(f"the answer {plain[:60]!r} has {count} {what}; a box holds 1 to {most}: shorten it")


def chip(label: str) -> str:
    """The chip of a number's evidence as HTML; nothing for an empty label."""
    if not label:
        return ""
    known(label, CHIPS, "chip")
    return f'<span class="chip {label.replace(" ", "-")}" title="{html.escape(CHIPS[label])}">{label}</span>'


def bare(text: str) -> str:
    """The text of MyST without its roles and links, for a reader of the notebook itself.

    >>> bare("see {ref}`the table <tbl-x>` and {term}`UA`")
    'see the table and UA'
    """
    text = re.sub(r"\{[\w:]+\}`([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def numbers_folded(
    frame: pd.DataFrame, caption: str, note: str = "", decimals: int = 3, file: str = "", folded: bool = True
) -> None:
    """Display a table behind the fold "All numbers": row headers, a first column that stays, a box that scrolls by
    keyboard, and a link to the rows as CSV. The first column, or a named index, heads the rows."""
    if "\n" in caption or not caption.strip():
        raise ValueError(f"the caption {caption!r} is empty or of several lines; write one line")
    frame = frame.reset_index() if frame.index.name is not None or frame.index.nlevels > 1 else frame
    text = lambda value: html.escape(cell(value, decimals))  # noqa: E731
    head = "".join(f'<th scope="col" role="columnheader">{html.escape(str(name))}</th>' for name in frame)
    labels = [html.escape(str(name)) for name in frame][1:]  # a phone shows a cell behind its label, as a line
    rows = "".join(
        f'<tr role="row"><th scope="row" role="rowheader">{text(first)}</th>'
        + "".join(
            f'<td role="cell" data-label="{of}">{text(value)}</td>' for of, value in zip(labels, rest, strict=True)
        )
        + "</tr>"
        for first, *rest in frame.itertuples(index=False, name=None)
    )
    csv = base64.b64encode(frame.to_csv(index=False).encode()).decode()
    link = f'<a href="data:text/csv;base64,{csv}" download="{html.escape(file)}">CSV</a>' if file else ""
    title = html.escape(caption)
    page = (f'<div class="numbers-box" role="region" aria-label="{title}" tabindex="0"><table class="table numbers" role="table">'
            f'<caption>{title}</caption><thead><tr role="row">{head}</tr></thead><tbody>{rows}</tbody></table></div>'
            f'<p class="table-note">{html.escape(note)} {link}</p>')  # fmt: skip
    page = f'<details class="numbers"><summary>All numbers: {title}</summary>{page}</details>' if folded else page
    emit(f"```{{raw}} html\n{page}\n```", page)


def scores_folded(
    scores: pd.DataFrame, caption: str, column: Callable[[Label], str] = str, **options: str | int | bool
) -> None:
    """`numbers_folded` of `Table.summarise`: a row for each system, with its label in the book."""
    frame = wide(scores, row=lambda row: look(row).label, column=column)
    numbers_folded(frame.rename_axis("system"), caption, **options)


def own_run(profile: str, dataset: str, facts: Sequence[str] = ()) -> None:
    """Display the badge of a reader's own run, which demonstrates and does not conclude."""
    text = ", ".join([f"Your own run: profile {profile}", dataset, *facts])
    emit(*(f'<p class="own-run">{html.escape(text)}. It shows how; it concludes nothing.</p>',) * 2)


def emit(myst: str, page: str) -> None:
    """Display MyST in the book, where cross-references resolve, and HTML in Jupyter."""
    from IPython.display import display

    plain = re.sub(r"<[^>]+>", " ", page)
    display({"text/markdown": myst, "text/html": page, "text/plain": html.unescape(plain)}, raw=True)
