"""Tables of a page. Text from data (names of corpora, systems, speakers) is escaped: it cannot mark up a page."""

from __future__ import annotations

import re

import pandas as pd

from robustmer.book import printable


def table(frame: pd.DataFrame, name: str, caption: str, note: str = "", decimals: int = 3) -> None:
    """Display a DataFrame as a numbered table, which any page can cite by {numref}`NAME`.

    Levels of the columns are joined by a slash; an index with a name, or of several levels, becomes the first columns.
    Floats are rounded to `decimals`; a missing value is a dash.
    """
    from IPython.display import Markdown, display

    display(Markdown(table_markdown(frame, name, caption, note, decimals)))


def table_markdown(frame: pd.DataFrame, name: str, caption: str, note: str = "", decimals: int = 3) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"table name {name!r}: use lower-case letters, digits and hyphens, as in 'nmer-table-2'")
    if "\n" in caption:
        raise ValueError(f"the caption of table {name!r} has a line break; write it as one line")
    if frame.index.nlevels > 1 or frame.index.name is not None:
        frame = frame.reset_index(allow_duplicates=True)
    heads = [" / ".join(str(part) for part in (c if isinstance(c, tuple) else (c,)) if part != "") for c in frame]
    numeric = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in frame.dtypes]
    rows = [[cell(value, decimals) for value in row] for row in frame.itertuples(index=False, name=None)]
    lines = [heads, ["--:" if right else ":--" for right in numeric], *rows]
    text = "\n".join("| " + " | ".join(escape(part).replace("|", "\\|") for part in line) + " |" for line in lines)
    below = f"\n:::{{div}} table-note\n{escape(note)}\n:::\n" if note else ""
    return f":::{{table}} {escape(caption)}\n:name: {name}\n\n{text}\n\n:::\n{below}"


def cell(value: object, decimals: int) -> str:
    """
    >>> cell(-0.0001, 3), cell(None, 3), cell(7, 3)
    ('0.000', '–', '7')
    """
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return "–"
    text = f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
    return text.removeprefix("-") if not text.strip("-0.") else text


def escape(text: object) -> str:
    """One line of Markdown in which no HTML tag begins; a lone `<`, as in formulas, stays.

    >>> escape("p < .05 <script>")
    'p < .05 &lt;script>'
    """
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", printable(text).replace("\n", " "))
