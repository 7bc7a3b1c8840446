"""The results explorer's data: the numbers of the tables, and pages that load no more than they use."""

import base64
import gzip
import json
import re
from pathlib import Path

import pytest

import robustmer
from robustmer.book import explorer, site
from robustmer.experiments import papers

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def content() -> dict:
    return explorer.data(["cdtp"])


def test_a_view_holds_the_means_of_its_table(content):
    table = papers.PAPERS["cdtp"].tables("paper", "ravdess_av")["1"]
    summary = table.summarise(papers.results("cdtp"))
    (view,) = [view for view in content["views"] if (view["table"], view["corpus"]) == ("cdtp-1", "RAVDESS-AV")]
    assert len(view["cells"]) == len(summary) and view["repetitions"] == list(range(6)) and view["ratio"] == 0.25
    for cell, line in zip(view["cells"], summary.to_dict("records"), strict=True):
        values = [value for value in cell[6:] if value is not None]
        assert sum(values) / len(values) * content["scale"] == pytest.approx(line["mean"], abs=1e-5)
        assert [content["keys"][n] for n in content["groups"][cell[5]]] == list(line["keys"])
        assert view["fields"]["condition"][cell[4]][0] == line["condition"]


def test_every_key_has_the_fold_and_seed_of_its_training(content):
    records = papers.results("cdtp").trainings
    for key, fold, seed in zip(content["keys"], content["folds"], content["seeds"], strict=True):
        assert key not in records or (records[key]["recipe"]["fold"], records[key]["recipe"]["seed"]) == (fold, seed)


def test_conditions_are_named_by_what_a_system_met(content):
    names = {label for view in content["views"] for _, label in view["fields"]["condition"]}
    assert {"all clean", "audio only", "visual only", "audio and text only", "mean over 6 conditions"} <= names


def test_the_page_is_one_small_block_of_html_that_data_cannot_end():
    content = explorer.data()
    content["views"][0]["title"] = "</script><b>"
    text = explorer.page(content)
    assert len(text.encode()) < 400_000
    assert "</script><b>" not in text and "```" not in text and "\n\n" not in text
    packed = re.search(r'<script type="application/gzip">(.*?)</script>', text, re.DOTALL)[1]
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == json.loads(json.dumps(content))


def test_a_page_loads_what_it_uses_once():
    head = ('<meta name="viewport" content="a"/><meta name="viewport" content="b"/>'
            '<script>const THEBE_JS_URL = "https://unpkg.com"</script><script>const THEBE_JS_URL = "x"</script>'
            '<script defer src="_static/scripts/fontawesome.js?digest=5"></script>'
            '<script defer="defer" src="_static/../mathjax/tex-mml-chtml.js?v=c"></script>')  # fmt: skip
    body = '<article class="bd-article"><h1>A &amp; B<a class="headerlink" href="#a">#</a></h1></article>'
    text = site.edited(head + body, "executed/nmer/04_table_2", "abc")
    assert text.count("viewport") == 1 and not re.search("THEBE|fontawesome|mathjax", text)
    assert "@misc{robustmer-nmer-04-table-2," in text and "title = {A &amp; B}" in text and "commit abc" in text
    formula = '<span class="math notranslate">x</span>'
    assert "mathjax" in site.edited(head + formula + body, "a", "abc")


def test_docstrings_become_restructured_text():
    lines = ["A sample (B, T, *feature) of `x_T`,", "    >>> f(a_b)"]
    site.as_rst(lines)
    assert lines == ["A sample (B, T, \\*feature) of ``x_T``,", "    >>> f(a_b)"]


def test_the_reference_lists_every_public_name():
    text = (ROOT / "book/api.md").read_text()
    listed = re.findall(r"^\.\. (?:autoclass|autofunction|autoexception|data):: (\w+)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(robustmer.HOME)
