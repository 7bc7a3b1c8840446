"""Pictures: a matplotlib figure as SVG, with a numbered caption and a text alternative.

`show` displays a figure in Jupyter and in the book. In the book it becomes the directive `picture`, which `setup` (an
extension of Sphinx, named in `_config.yml`) turns into a figure that {numref}`NAME` can cite. The picture has no
background; on a dark page the book's style sheet swaps its light and dark colours.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable

import matplotlib as mpl
from matplotlib.figure import Figure

WIDE, NARROW = 760, 350
"""Widths in CSS pixels of the text column: on a desktop screen, and on a phone of 390 px."""

INK, MUTED, RULE, PAPER = "#222832", "#48566b", "#d8dbdf", "#ffffff"
"""Text, lesser text, thin lines, background."""

STYLE = {
    "font.size": 12, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.labelsize": 12, "xtick.labelsize": 11, "ytick.labelsize": 12, "legend.fontsize": 12,
    "legend.frameon": False, "font.family": "sans-serif", "figure.dpi": 72, "savefig.dpi": 72,
    "figure.constrained_layout.use": True, "axes.spines.top": False, "axes.spines.right": False,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": RULE, "grid.linewidth": 0.8,
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"], "svg.fonttype": "none",
    "figure.facecolor": "none", "axes.facecolor": "none", "axes.unicode_minus": True,
}  # fmt: skip
"""One point is one CSS pixel, so no text is smaller than 9 px at any width."""

TIP = "tip:"
"""The prefix of a mark's gid; the rest of the gid is shown under the pointer."""

TIDY = {
    r"<metadata>.*?</metadata>|<style type[^>]*>.*?</style>| transform=\"rotate\(-0 [^)]*\)\"": "",
    r"<svg [^>]*viewBox=": '<svg xmlns="http://www.w3.org/2000/svg" stroke-linejoin="round" viewBox=',
    r'<g id="[a-z]\w*">': "<g>",
    "xlink:href": "href",
}
"""What is replaced in matplotlib's SVG: its own styles and ids."""


def svg(figure: Figure, salt: str = "") -> str:
    """The figure as one line of SVG, with lengths cut to a hundredth of a pixel. `salt` makes its ids."""
    file = io.StringIO()
    with mpl.rc_context(STYLE | {"svg.hashsalt": salt or "picture"}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = re.sub(r"\s+", " ", text[text.index("<svg") :]).replace("> <", "><")
    for pattern, replacement in TIDY.items():
        text = re.sub(pattern, replacement, text)
    text = re.sub(r'="[^"]*"', lambda value: re.sub(r"(\d\.\d\d)\d+", r"\1", value[0]), text)
    rules = {rule: f"c{number}" for number, rule in enumerate(dict.fromkeys(re.findall(r' style="([^"]*)"', text)))}
    text = re.sub(r' style="([^"]*)"', lambda style: f' class="{rules[style[1]]}"', text)
    return text.replace("><", f"><style>{''.join(f'.{name}{{{rule}}}' for rule, name in rules.items())}</style><", 1)


def image_of(figures: dict[str, Figure], name: str, alt: str, corpus: str) -> str:
    """One line of HTML: the image, in two versions where there is a narrow one, and the words of its marks."""
    images = {kind: svg(figure, name + kind) for kind, figure in figures.items()}
    urls = {
        kind: base64.b64encode(re.sub(r'<g id="[^"]*">', "<g>", text).encode()).decode()
        for kind, text in images.items()
    }
    source = '<source media="(max-width: 600px)" srcset="data:image/svg+xml;base64,{}">'
    phone = source.format(urls["narrow"]) if "narrow" in urls else ""
    image = f'<img class="dark-light" src="data:image/svg+xml;base64,{urls["wide"]}" alt="{html.escape(alt)}">'
    tips = "".join(tips_of(kind, figure, images[kind]) for kind, figure in figures.items())
    return f'<div class="picture" data-corpus="{html.escape(corpus)}"><picture>{phone}{image}</picture>{tips}</div>'


def tips_of(kind: str, figure: Figure, text: str) -> str:
    """An empty picture to lie over an image: a circle over each mark, which shows its words under the pointer."""
    marks = re.findall(rf'<g id="{TIP}([^"]*)">(?:(?!<g id=).)*?<use [^>]*?x="([^"]*)" y="([^"]*)"', text)
    if not marks:
        return ""
    circles = "".join(f'<circle cx="{x}" cy="{y}" r="8"><title>{tip}</title></circle>' for tip, x, y in marks)
    width, height = figure.get_size_inches() * 72
    return f'<svg class="tips {kind}" viewBox="0 0 {width:g} {height:g}" aria-hidden="true">{circles}</svg>'


def show(draw: Figure | Callable[[int], Figure], name: str, caption: str, alt: str, corpus: str = "") -> None:
    """Display a figure that any page can cite by {numref}`NAME`.

    `draw` is a figure, or a function of the width in pixels, drawn for desktops and phones. `alt` says in
    words what the figure shows. `corpus` names the data behind it. Raises ValueError for a name with more than lower
    case, digits and hyphens, and for a caption or an alternative that is empty or of several lines.
    """
    from IPython.display import display
    from matplotlib import pyplot

    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"figure name {name!r}: use lower-case letters, digits and hyphens, as in 'fig-nmer-curves'")
    for part, text in (("caption", caption), ("text alternative", alt)):
        if not text.strip() or "\n" in text:
            raise ValueError(f"figure {name!r} has the {part} {text!r}; write one line that is not empty")
    with mpl.rc_context(STYLE):
        figures = {"wide": draw} if isinstance(draw, Figure) else {"wide": draw(WIDE), "narrow": draw(NARROW)}
        image = image_of(figures, name, alt, corpus)
    for figure in figures.values():
        pyplot.close(figure)
    page = f'<figure style="background: {PAPER}">{image}<figcaption>{html.escape(caption)}</figcaption></figure>'
    style = "<style>.tips { display: none }</style>"  # in Jupyter; the book has a style sheet
    directive = f"::::{{picture}} {name}\n{image}\n\n{caption}\n::::"
    display({"text/html": style + page, "text/markdown": directive, "text/plain": f"{caption} ({alt})"}, raw=True)


def setup(app) -> dict[str, bool]:
    """Teach Sphinx the directive `picture NAME`: one line of HTML, an empty line, and the caption in MyST."""
    from docutils import nodes
    from docutils.parsers.rst import Directive

    class Picture(Directive):
        has_content, required_arguments = True, 1

        def run(self) -> list[nodes.Node]:
            figure = nodes.figure("", nodes.raw("", self.content[0], format="html"))
            text = nodes.Element()
            self.state.nested_parse(self.content[2:], self.content_offset + 2, text)
            figure += nodes.caption("", "", *text.children[0].children)
            figure.line = self.lineno
            self.options["name"] = self.arguments[0]
            self.add_name(figure)
            return [figure]

    app.add_directive("picture", Picture)
    return {"parallel_read_safe": True}
