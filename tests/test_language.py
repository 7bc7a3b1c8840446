"""The prose of the project: short sentences, no banned phrases, and nothing about how the project is made."""

import re
from collections.abc import Iterator
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("book/*.md"), *ROOT.glob("notebooks/**/*.py")])
LIMIT = 35
"""Words of a sentence; 25 is the aim."""

BANNED = ("is had from", "are had from", "stands beside", "is told", "are told", "says of", "whoever", "nobody",
          "loses nothing of it", "lose nothing of it", "what there is")  # fmt: skip
PRIVATE = (r"\bissues?\b", r"\bhelpers?\b", r"\bworkspaces?\b", r"\bthis session\b", r"\bsub-?agents?\b",
           r"(?<![\w.~/])/(?:work|root|tmp/plan)\b")  # fmt: skip

FENCE = re.compile(r"^:{3,}[^\n]*$|^(`{3,}|\${2}).*?\1[^\n]*$", re.DOTALL | re.MULTILINE)
STRIPPED = (  # pattern -> what a reader counts in its place
    (r"\$[^$]+\$", "X"),
    (r"\{(?:cite|cite:\w|doc)\}`[^`]*`", ""),
    (r"\{\w+\}`(?:[^`<]*<)?([^`>]*)>?`", "X"),
    (r"`[^`]*`", "X"),
    (r"!?\[([^\]]*)\]\([^)]*\)", r"\1"),
    (r"<[^>\n]+>|https?://\S+", ""),
)
END = re.compile(r"(?<=[.!?])[\"”)*_]*\s+(?=[\"“(*_]*[A-Z0-9])")
ABBREVIATION = re.compile(r"\b(?:eqs?|figs?|al|e\.g|i\.e|no|sec|vs)\.$", re.IGNORECASE)


def prose(page: Path) -> str:
    """The Markdown of a page, without blocks of code and formulas."""
    if page.suffix == ".md":
        return FENCE.sub("\n", page.read_text())
    cells = jupytext.read(page).cells
    return "\n\n".join(FENCE.sub("\n", cell.source) for cell in cells if cell.cell_type == "markdown")


def paragraphs(text: str) -> Iterator[str]:
    """Paragraphs, list items and headings; tables and comments are left out."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*+]|\d+\.)\s|#|\||\([\w-]+\)=)", "\n" + text):
        block = block.strip()
        if block and not re.match(r"\||%|\([\w-]+\)=$", block):
            yield re.sub(r"^(?:[-*+]|\d+\.|#+|>)\s+", "", block)


def sentences(text: str) -> Iterator[str]:
    for block in paragraphs(text):
        for pattern, count in STRIPPED:
            block = re.sub(pattern, count, block)
        sentence = ""
        for part in END.split(" ".join(block.split())):
            sentence = f"{sentence} {part}".strip()
            if not ABBREVIATION.search(sentence):
                yield sentence
                sentence = ""
        if sentence:
            yield sentence


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_prose_can_be_read_once(page):
    text = prose(page)
    counts = {sentence: len(re.findall(r"[\w$]+(?:[-'’./][\w]+)*", sentence)) for sentence in sentences(text)}
    wrong = [f"{count} words: {sentence}" for sentence, count in counts.items() if count > LIMIT]
    for line in text.splitlines():
        wrong += [f"{phrase!r}: {line}" for phrase in BANNED if re.search(rf"\b{phrase}\b", line, re.IGNORECASE)]
        wrong += [f"{match[0]!r}: {line}" for pattern in PRIVATE for match in re.finditer(pattern, line)]
    assert not wrong, f"{page.relative_to(ROOT)}:\n" + "\n".join(wrong)
