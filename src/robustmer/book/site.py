"""The last touch on rendered pages, and docstrings for the API reference.

`finish` leaves out what the theme loads in vain and says how to cite a page. `setup` is an extension of Sphinx, named
in `_config.yml`.
"""

from __future__ import annotations

import html
import re
from pathlib import Path

EDITS = {
    r"<script[^>]*>[^<]*\bTHEBE_JS_URL\b[^<]*</script>": "",  # live code, which is off; it is declared twice, an error
    r'<script[^>]*src="[^"]*sphinx-thebe\.js[^"]*"></script>': "",
    r'<link[^>]*href="[^"]*sphinx-thebe\.css[^"]*"[^>]*>': "",
    r'<script type="text/x-thebe-config">.*?</script>': "",
    r"<script>kernelName = [^<]*</script>": "",
    r'<script[^>]*src="[^"]*fontawesome\.js[^"]*"></script>': "",  # 1.5 MB; the style sheet has the same icons as a font
    r'<summary aria-label="Toggle hidden content">': "<summary>",  # the text of these two is their name
    r'(<button[^>]*search-button-field[^>]*) aria-label="Search"': r"\1",
    r'(<div) role="list"( class="citation-list")| role="doc-biblioentry"': r"\1\2",  # roles that axe refuses
}
"""Pattern -> replacement, for every page."""

FORMULAS = r"<script[^>]*>window\.MathJax = [^<]*</script>|<script[^>]*mathjax/[^>]*></script>"
VIEWPORT = r'<meta name="viewport"[^>]*>'
BOOK = "robustmer: a reproducible companion of papers on robust multimodal emotion recognition"


def finish(folder: Path) -> None:
    """Edit every page below a folder of HTML."""
    from robustmer.experiments.provenance import commit  # it loads torch, which Sphinx does not need

    for page in folder.rglob("*.html"):
        name = page.relative_to(folder).with_suffix("").as_posix()
        page.write_text(edited(page.read_text(encoding="utf-8"), name, commit()), encoding="utf-8")


def edited(text: str, name: str, version: str) -> str:
    """A page without what it does not use, and with its citation. Only formulas need MathJax."""
    for pattern, replacement in EDITS.items():
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    if 'class="math' not in text:
        text = re.sub(FORMULAS, "", text)
    first, *others = re.split(f"({VIEWPORT})", text)
    text = first + "".join(others[:1]) + re.sub(VIEWPORT, "", "".join(others[1:]))
    title = re.search(r"<article.*?<h1>(.*?)<a class=\"headerlink\"", text, flags=re.DOTALL)
    box = citation(re.sub(r"<[^>]+>", "", title[1]), name, version) if title else ""
    return text.replace("</article>", f"{box}</article>", 1)


def citation(title: str, name: str, version: str) -> str:
    """A folded BibTeX entry of a page. `title` is HTML text, `version` the commit that the page was rendered at."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.removeprefix("executed/").lower())
    entry = (f"@misc{{robustmer-{slug},\n  title = {{{title}}},\n  author = {{{{robustmer authors}}}},\n  year = {{2026}},\n"
             f"  howpublished = {{{html.escape(BOOK)}}},\n  note = {{Page {name}, commit {version}}},\n}}")  # fmt: skip
    return f'<details class="cite"><summary>Cite this page</summary><pre tabindex="0">{entry}</pre></details>'


def setup(app) -> dict[str, bool]:
    """Teach Sphinx to read the library's docstrings, which are plain text with code between backticks."""
    app.connect("autodoc-process-docstring", lambda app, what, name, thing, options, lines: as_rst(lines))
    return {"parallel_read_safe": True}


def as_rst(lines: list[str]) -> None:
    """Turn the lines of a docstring into reStructuredText, in place: code becomes literal, other marks are escaped.
    Examples stay as they are."""
    parts = re.split(r"(`[^`]*`|^ *>>> .*(?:\n.+)*)", "\n".join(lines), flags=re.MULTILINE)
    for n, part in enumerate(parts):
        example = part.lstrip().startswith(">>>")
        parts[n] = f"`{part}`" if part.startswith("`") else part if example else re.sub(r"([*_|\\])", r"\\\1", part)
    lines[:] = "".join(parts).split("\n")
