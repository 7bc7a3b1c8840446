"""The registry has one name and look for everything; figures are readable, and answers short."""

import base64
import math
import re
import warnings
from itertools import combinations

import matplotlib
import matplotlib.pyplot
import pandas as pd
import pytest

matplotlib.use("Agg")

from robustmer import metrics
from robustmer.book import answers, figures, picture, registry
from robustmer.experiments.papers import cdtp, nmer
from robustmer.experiments.statistics import DECIDED

WHITE, DARK = "#ffffff", "#121212"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def turned(colour):
    """What `invert(1) hue-rotate(180deg)` of the dark page makes of a colour, by the matrix of the filter."""
    red, green, blue = (1 - int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    rows = ((-0.574, 1.430, 0.144), (0.426, 0.430, 0.144), (0.426, 1.430, -0.856))
    mixed = (a * red + b * green + c * blue for a, b, c in rows)
    return "#" + "".join(f"{round(255 * min(1, max(0, part))):02x}" for part in mixed)


# --- the registry -----------------------------------------------------------------------------------------------------


def test_every_colour_can_be_seen_on_the_light_and_on_the_dark_page():
    looks = [*registry.SYSTEMS.values(), *registry.EVIDENCE.values()]
    for colour in {look.colour for look in looks}:
        assert contrast(colour, WHITE) >= 3 and contrast(colour, DARK) >= 3, colour
        assert contrast(turned(colour), DARK) >= 3, colour


def test_every_system_has_one_name_and_one_look():
    looks = list(registry.SYSTEMS.values())
    assert len({look.label for look in looks}) == len(looks)
    assert len({(look.colour, look.marker) for look in looks}) == len(looks)
    assert all(len(look.meaning.split()) <= 12 for look in looks)
    assert not any(look.label == "LogReg" for look in looks)  # it never stands without its training


def test_every_row_and_metric_of_the_papers_is_registered():
    tables = [*nmer.tables("smoke").values(), nmer.control(profile="smoke")]
    tables += [table for corpus in ("ravdess_av", "mosi_sentiment") for table in cdtp.tables("smoke", corpus).values()]
    for table in tables:
        assert {registry.look(row).label for row in table.rows}
        assert {registry.corpus(table.dataset).label}
        assert {registry.metric(cell.metric).label for place in table.cells.values() for cell in place.cells}
    known = {*metrics.CLASSIFICATION, *metrics.REGRESSION, *metrics.RECONSTRUCTION}
    assert known <= set(registry.METRICS) and not registry.metric("mae").higher_is_better
    assert len({metric.label for metric in registry.METRICS.values()}) == len(registry.METRICS)


def test_one_system_trained_in_two_ways_has_two_names():
    clean, noisy, gaps = nmer.Row("LogReg", "clean"), nmer.Row("LogReg", "noisy"), cdtp.Row("LogReg")
    assert [registry.look(row).label for row in (clean, noisy, gaps)] == [
        f"logistic regression that {met}" for met in ("never met noise", "met the noise", "met the gaps")
    ]


def test_an_unknown_system_is_refused():
    with pytest.raises(ValueError, match="did you mean 'NMER'"):
        registry.look("NMRE")
    with pytest.raises(ValueError, match="no metric 'ACC'"):
        registry.metric("ACC")


# --- figures ----------------------------------------------------------------------------------------------------------

MARKS = [("printed", 4.3, math.nan, math.nan), ("printed", 7.5, math.nan, math.nan), ("people", 4.3, 0.2, 8.4),
         ("seeds", 1.4, 0.9, 1.8), ("one", 2.0, math.nan, math.nan)]  # fmt: skip
FOREST = pd.DataFrame(
    [("left", "MEN that never met noise", *mark) for mark in MARKS] + [("right", "LB", "people", -1.9, -5.7, 1.8)],
    columns=["panel", "row", "kind", "value", "low", "high"],
)
CURVES = pd.DataFrame(
    [(name, x, 50 + x, 45 + x, 55 + x, group) for name in ("NMER", "MCTN", "LogReg noisy")
     for x in (-10.0, -40.0) for group in ("one clean", "all noisy")],
    columns=["system", "x", "value", "low", "high", "group"],
)  # fmt: skip
VERDICTS = pd.DataFrame(
    [("a claim of many words that goes on and on and needs more than a single line on a phone", column, verdict)
     for column, verdict in (("RAVDESS-AV", "holds"), ("CMU-MOSI", "seeds agree"))],
    columns=["row", "column", "verdict"],
)  # fmt: skip
LOOKS = {name: registry.SYSTEMS[name] for name in ("NMER", "MCTN", "LogReg noisy")}
DRAWN = {
    "forest": lambda width: figures.forest(FOREST, {"left": "points of UA", "right": "points of WA"}, width),
    "dots": lambda width: figures.dots(CURVES.assign(row=CURVES["group"]), LOOKS, "UA (%)", width, lines=12.5),
    "multiples": lambda width: figures.small_multiples(
        CURVES, LOOKS, "dB", "UA (%)", width, "LogReg noisy", 12.5, {"one clean": "one clean"}
    ),
    "grid": lambda width: figures.grid(VERDICTS, width),
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("width", [picture.WIDE, picture.NARROW])
@pytest.mark.parametrize("name", DRAWN)
def test_text_of_figures_is_readable_and_within_the_picture(name, width):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as a layout that does not fit
        figure = DRAWN[name](width)
        figure.canvas.draw()
    assert figure.get_size_inches()[0] * 72 == pytest.approx(width)
    sizes = {text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()}
    assert min(sizes) >= 9
    drawn = figure.get_tightbbox(figure.canvas.get_renderer())  # inches
    assert drawn.x0 >= -0.02 and drawn.x1 <= width / 72 + 0.02
    assert drawn.y0 >= -0.02 and drawn.y1 <= figure.get_size_inches()[1] + 0.02


def test_panels_stack_on_a_phone():
    def lefts(width):
        figure = DRAWN["forest"](width)
        figure.canvas.draw()
        return {round(ax.get_subplotspec().colspan.start) for ax in figure.axes}

    assert lefts(picture.WIDE) == {0, 1} and lefts(picture.NARROW) == {0}


def test_every_verdict_has_a_colour_and_a_sign_of_its_own():
    assert {*DECIDED, "not shown", "partly", "seeds agree", "seeds disagree", "cannot be tested"} <= set(
        figures.VERDICTS
    )
    signs = [(colour, sign) for colour, sign in figures.VERDICTS.values()]
    assert len(set(signs)) == len(signs)


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What is displayed, a bundle of MIME types at a time."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: bundles.append(bundle))
    return bundles


def test_a_figure_has_a_caption_an_alternative_and_a_version_for_phones(shown):
    picture.show(DRAWN["forest"], "fig-ahead", "Dots lie on *the line*.", 'Dots "on" the line', "RAVDESS-AV")
    (bundle,) = shown
    name, image, _, caption, _ = bundle["text/markdown"].splitlines()
    assert name == "::::{picture} fig-ahead" and caption == "Dots lie on *the line*."
    assert 'alt="Dots &quot;on&quot; the line"' in image and 'data-corpus="RAVDESS-AV"' in image
    assert image.count("<img ") == image.count("<source ") == 1
    sources = [re.search(f'{of}="data:image/svg\\+xml;base64,([^"]*)"', image)[1] for of in ("src", "srcset")]
    wide, narrow = (base64.b64decode(source).decode() for source in sources)
    assert 'viewBox="0 0 760 ' in wide and 'viewBox="0 0 350 ' in narrow
    assert "<title>MEN that never met noise: 4.3 (0.2 to 8.4)</title>" in image  # under the pointer
    assert len(image) < 60_000


def test_equal_figures_are_equal_files(shown):
    for _ in range(2):
        picture.show(DRAWN["grid"], "fig-claims", "Claims.", "Cells.")
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    ("name", "caption", "alt", "wrong"),
    [
        ("Fig 1", "A caption.", "words", "use lower-case letters"),
        ("fig-1", "", "words", "has the caption ''"),
        ("fig-1", "A caption.", " ", "has the text alternative ' '"),
        ("fig-1", "A\ncaption.", "words", "write one line"),
    ],
)
def test_a_figure_without_words_is_refused(name, caption, alt, wrong):
    with pytest.raises(ValueError, match=wrong):
        picture.show(lambda width: pytest.fail("it was drawn"), name, caption, alt)


# --- answers ----------------------------------------------------------------------------------------------------------


def test_an_answer_has_chips_and_cross_references(shown):
    answers.answer(
        ("NMER and MEN cannot be told apart (+0.8, \u22123.1 to 4.7), see {ref}`here <x>`.", "people"), "So."
    )
    (bundle,) = shown
    assert bundle["text/markdown"].startswith("::::{div} answer\nNMER and MEN")
    assert '<span class="chip people" title="measured on people' in bundle["text/markdown"]
    assert "see here." in bundle["text/html"] and "{ref}" not in bundle["text/html"]


@pytest.mark.parametrize(
    ("sentences", "wrong"),
    [
        (["One.", "Two.", "Three.", "Four."], "has 4 sentences"),
        (["word " * 61], "has 61 words"),
        (["+1.0, 2.0 and 3.0 of 40%"], "has 4 numbers"),
        ([""], "shorten it"),
        ([("A sentence.", "people, seeds")], "no chip 'people, seeds'"),
    ],
)
def test_an_answer_that_is_too_full_is_refused(sentences, wrong):
    with pytest.raises(ValueError, match=wrong):
        answers.answer(*sentences)


def test_an_interval_belongs_to_its_number(shown):
    answers.answer("+0.8 points (\u22123.1 to 4.7), +4.3 (0.2 to 8.4), and 9% at \u221240 dB for 24 actors.")
    assert len(shown) == 1


def test_folded_numbers_have_row_headers_and_scroll_by_keyboard(shown):
    frame = pd.DataFrame({"system": ["NMER", "<b>"], "UA": [0.51239, math.nan]})
    answers.numbers_folded(frame, "UA of two systems", "A note.", file="ua.csv")
    page = shown[0]["text/html"]
    assert page.count('<th scope="row"') == 2 and page.count('<th scope="col"') == 2
    assert 'data-label="UA">0.512</td>' in page and 'data-label="UA">–</td>' in page and "&lt;b&gt;" in page
    assert 'tabindex="0"' in page and 'role="region"' in page and page.startswith("<details")
    rows = base64.b64decode(re.search(r"base64,([^\"]*)", page)[1]).decode()
    assert "NMER,0.51239" in rows and 'download="ua.csv"' in page
    with pytest.raises(ValueError, match="caption"):
        answers.numbers_folded(frame, "")


def test_ones_own_run_concludes_nothing(shown):
    answers.own_run("quick", "synthetic", ["3 folds"])
    assert (
        "Your own run: profile quick, synthetic, 3 folds. It shows how; it concludes nothing." in shown[0]["text/html"]
    )


def test_chips_are_told_apart_by_more_than_colour():
    pages = [answers.chip(label) for label in registry.CHIPS]
    assert all(re.sub(r"<[^>]+>", "", a) != re.sub(r"<[^>]+>", "", b) for a, b in combinations(pages, 2))
    assert answers.chip("") == ""
