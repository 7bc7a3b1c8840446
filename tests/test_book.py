"""The book: pairs in step, parameters checked before anything runs, pages that only finished notebooks make."""

from __future__ import annotations

import base64
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import jupytext
import nbformat
import pandas as pd
import pytest

from robustmer import book, display
from robustmer.cli import main
from robustmer.corpora.corpus import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*/*.py"))

HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
GOOD = HEADER + r"""# %% [markdown]
# # A good page
#
# $$ x_T = \sqrt{\bar\alpha_T}\, x_0 $$

# %% tags=["parameters"]
profile: str = "quick"
snr_db: float = -10.0
levels_db: list[float] = [-10.0, -20.0]
seed: int | None = None

# %%
import sys
from pathlib import Path
import matplotlib.pyplot as plt
import pandas as pd
from robustmer.display import download, record, table, theme
theme()
print(profile, snr_db)
print("not for the page", file=sys.stderr)
print(Path.cwd().name)

# %%
table(pd.DataFrame({"system": ["NMER"], "WA": [0.51239]}), "tbl-good", "Numbers", "A note.")
record("wa", 0.51239)

# %%
download(pd.DataFrame({"system": ["NMER"], "value": [0.51239]}), "good.csv", "The rows")

# %% mystnb={"figure": {"name": "fig-good", "caption": "A line."}}
plt.figure(figsize=(2, 1))
plt.plot(levels_db)
plt.show()
"""
BAD = HEADER + """# %% [markdown]
# # A bad page

# %% tags=["parameters"]
profile: str = "quick"

# %%
print("before")
1 / 0
"""
INDEX = """# Front page

See {numref}`tbl-good` and {numref}`fig-good`, {glue:text}`executed/toy/01_good.ipynb::wa:.2f`, $x^2$, {cite}`nmer`.

```{bibliography}
```
"""


def make_project(root: Path, **notebooks: str) -> Path:
    """A small book with the real settings."""
    (root / "notebooks/toy").mkdir(parents=True)
    (root / "book").mkdir()
    for name, text in notebooks.items():
        source = root / f"notebooks/toy/{name}.py"
        source.write_text(text)
        jupytext.write(jupytext.read(source), source.with_suffix(".ipynb"))
    chapters = "".join(f"  - file: executed/toy/{name}\n" for name in notebooks)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{chapters}")
    (root / "book/index.md").write_text(INDEX)
    for name in ("_config.yml", "book/references.bib"):
        shutil.copy(ROOT / name, root / name)
    for name in ("book/_extra", "book/_static"):
        shutil.copytree(ROOT / name, root / name)
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A book of which the first notebook is executed. Tests leave its notebooks as they are."""
    root = make_project(tmp_path_factory.mktemp("project"), **{"01_good": GOOD})
    assert book.execute_pages({"profile": "smoke", "device": "cpu"}, root=root, data=root / "data") == []
    return root


@pytest.fixture
def executed(monkeypatch):
    """Instead of executing, note which pages would have been."""
    names = []
    monkeypatch.setattr(book, "execute", lambda source, target, parameters, name, *rest: names.append(name))
    return names


# ---------------------------------------------------------------------------------------------------- the pairs


def test_every_notebook_of_the_book_is_there():
    assert {page.source for page in book.pages()} <= set(NOTEBOOKS)


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_and_its_pair_say_the_same(source):
    assert book.in_step(source), f"{source.with_suffix('.ipynb').name} is out of step: edit the .py, then `make sync`"
    pair = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert pair.metadata.kernelspec.name == "python3"
    assert not any(cell.get("outputs") for cell in pair.cells)
    assert "profile" in book.declared(book.read(source), source.name)


def test_a_pair_out_of_step_is_noticed(tmp_path):
    root = make_project(tmp_path, **{"01_good": GOOD})
    source = root / "notebooks/toy/01_good.py"
    assert book.in_step(source)
    source.write_text(GOOD.replace("A good page", "Another page"))
    assert not book.in_step(source)
    source.with_suffix(".ipynb").unlink()
    assert not book.in_step(source)


def test_a_notebook_without_the_kernel_is_refused(tmp_path):
    source = tmp_path / "a.py"
    source.write_text(GOOD.replace("name: python3", "name: mine"))
    with pytest.raises(ValueError, match="python3"):
        book.read(source)


# ---------------------------------------------------------------------------------------------------- parameters


@pytest.fixture(scope="module")
def known():
    return book.declared(jupytext.reads(GOOD, fmt="py:percent"), "toy")


def test_parameters_are_read_with_types_and_defaults(known):
    assert {name: parameter.kind for name, parameter in known.items()} == {
        "profile": str, "snr_db": float, "levels_db": list[float], "seed": int | None}
    assert known["levels_db"].default == [-10.0, -20.0]


def test_good_values_arrive_in_the_declared_type(known):
    given = {"snr_db": -40, "levels_db": [1, 2.5], "seed": 3, "profile": "paper"}
    values = book.checked(given, known, "toy")
    assert values == given
    assert type(values["snr_db"]) is float and [type(v) for v in values["levels_db"]] == [float, float]


@pytest.mark.parametrize(("name", "text", "value"), [
    ("snr_db", "-40", -40.0), ("snr_db", "1e-3", 0.001), ("levels_db", "[1e-3, 2]", [0.001, 2.0]),
    ("seed", "none", None), ("seed", "7", 7), ("profile", "007", "007"),
])
def test_text_is_read_as_the_declared_type(known, name, text, value):
    found = book.checked({name: text}, known, "toy", text=True)[name]
    assert found == value and type(found) is type(value)


def test_true_is_no_number_and_text_says_true_or_false():
    assert book.convert("False", bool, text=True) is False
    for value, kind in ((True, int), (1, bool), (True, float)):
        with pytest.raises(TypeError):
            book.convert(value, kind)
    for text in ("1", "yes", ""):
        with pytest.raises(TypeError):
            book.convert(text, bool, text=True)


@pytest.mark.parametrize(("given", "text", "message"), [
    ({"snr": -10.0}, False, r"^toy: no parameter 'snr' .*snr_db: float = -10.0"),
    ({"snr_dbs": -10.0}, False, r"did you mean 'snr_db'"),
    ({"snr_db": "loud"}, False, r"snr_db must be float, not 'loud' \(str\)"),
    ({"snr_db": "loud"}, True, r"snr_db must be float, not 'loud'"),
    ({"levels_db": -10.0}, False, r"levels_db must be list\[float\]"),
    ({"levels_db": "[a]"}, True, r"levels_db must be list\[float\]"),
    ({"seed": 1.0}, False, r"seed must be int \| None, not 1.0"),
    ({"profile": 1}, False, r"profile must be str"),
])
def test_a_wrong_parameter_is_one_clear_error(known, given, text, message):
    with pytest.raises(ValueError, match=message) as error:
        book.checked(given, known, "toy", text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", ["x: float = 1 / 2", "x: Tensor = None", "import os", "x, y = 1, 2"])
def test_the_parameters_cell_holds_only_names_types_and_written_values(line):
    with pytest.raises(ValueError, match="each line must be"):
        book.declared(jupytext.reads(HEADER + f'# %% tags=["parameters"]\n{line}\n', fmt="py:percent"), "toy")


# ---------------------------------------------------------------------------------------------------- running


def test_run_writes_a_file_of_its_own_and_refuses_before_running(project, capfd):
    notebook = str(project / "notebooks/toy/01_good.ipynb")
    out = project / "elsewhere/out.ipynb"
    assert main(["run", notebook, "-p", "snr", "3", "-o", str(out)]) == 2
    assert main(["run", notebook, "-p", "snr_db", "loud", "-o", str(out)]) == 2
    assert main(["run", notebook, "--profile", "smoke"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("robustmer: ") for line in lines)
    assert not out.exists()

    assert main(["run", notebook, "-p", "snr_db", "-3", "-p", "levels_db", "[5, 1e-1]", "-o", str(out)]) == 0
    page = nbformat.read(out, as_version=4)
    assert page.metadata.robustmer.parameters == {"snr_db": -3.0, "levels_db": [5.0, 0.1]}
    # The notebook ran in its own folder, as under nbmake.
    streams = [o.text for cell in page.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert streams == ["quick -3.0\ntoy\n"]


@pytest.mark.parametrize("words", [["run", "nothing-of-this-name"], ["run", "no/such.ipynb"], ["run", "0123456789"]])
def test_what_cannot_be_run_is_told_in_one_line(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("robustmer: ") and said.count("\n") == 1


def test_a_failing_notebook_changes_nothing_names_its_cell_and_stops_no_other(tmp_path, capsys):
    root = make_project(tmp_path, **{"01_bad": BAD, "02_fine": BAD.replace("1 / 0", "1 / 1")})
    old = root / "book/executed/toy/01_bad.ipynb"
    old.parent.mkdir(parents=True)
    old.write_text("as it was")
    assert book.build(root=root) == 1
    said = capsys.readouterr().out
    assert "toy/01_bad: stopped in cell 3 (`print(\"before\")`)" in said and "ZeroDivisionError" in said
    assert not (root / "_build/html").exists()
    assert old.read_text() == "as it was"
    assert [path.name for path in sorted(old.parent.iterdir())] == ["01_bad.ipynb", "02_fine.ipynb"]


def test_two_runs_of_a_notebook_give_the_same_bytes(project):
    page = project / "book/executed/toy/01_good.ipynb"
    before = page.read_bytes()
    page.unlink()
    assert book.execute_pages({"profile": "smoke"}, root=project, data=project / "data") == []
    assert page.read_bytes() == before


def test_a_page_keeps_nothing_that_the_reader_should_not_see(project):
    text = (project / "book/executed/toy/01_good.ipynb").read_text()
    page = nbformat.reads(text, as_version=4)
    assert "not for the page" not in text.replace('print(\\"not for the page\\"', "")
    assert str(project) not in text and "papermill" not in page.metadata
    parameters = {tag: cell for cell in page.cells for tag in cell.metadata.get("tags", [])}
    assert 'profile = "smoke"' in parameters["injected-parameters"].source
    assert all("hide-input" in parameters[tag].metadata.tags for tag in ("parameters", "injected-parameters"))
    assert any("image/png" in output.get("data", {}) for cell in page.cells for output in cell.get("outputs", []))


# ---------------------------------------------------------------------------------------------------- freshness


def test_only_what_changed_is_executed_again(project, tmp_path, executed):
    root = shutil.copytree(project, tmp_path / "copy")
    common, data = {"profile": "smoke", "device": "cpu"}, root / "data"

    def again(**changes):
        executed.clear()
        book.execute_pages(**{"common": common, "root": root, "data": data, **changes})
        return list(executed)

    assert again() == []
    assert again(common={**common, "profile": "quick"}) == ["toy/01_good"]
    assert again(common={**common, "device": "cuda"}) == []      # a parameter that the notebook does not declare
    for wanted in ("all", "toy", "toy/01_good", "01_good", "notebooks/toy/01_good.py"):
        assert again(force=[wanted]) == ["toy/01_good"]
    with pytest.raises(LookupError, match="no page '02_none'.*toy/01_good"):
        again(force=["02_none"])
    for name in ("src/robustmer/new.py", "src/robustmer/deep/er.py", "results/measured/a.csv", "requirements.txt",
                 "constraints.txt", "data/corpus/a.npz"):
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
        assert again() == ["toy/01_good"], name
        file.unlink()
        assert again() == []
    source = root / "notebooks/toy/01_good.py"
    source.write_text(GOOD + "\n# %%\n1\n")
    assert again() == ["toy/01_good"]


# ---------------------------------------------------------------------------------------------------- the pages


class Loaded(HTMLParser):
    """What a page makes a browser load: scripts, style sheets, fonts, images, frames and media; no links."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag in ("script", "img", "iframe", "audio", "video", "source", "embed"):
            self.found += [attrs["src"]] if attrs.get("src") else []
        if tag == "link" and attrs.get("rel") not in ("canonical", "next", "prev", "index", "search", "author"):
            self.found.append(attrs.get("href", ""))


REMOTE = re.compile(r"^\s*(https?:)?//")


def test_the_book_is_strict_and_loads_nothing_from_elsewhere(project):
    index = book.render(project)
    html = index.parent
    pages = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    assert {"index.html", "executed/toy/01_good.html"} <= {path.relative_to(html).as_posix() for path in pages}
    for path in pages:
        loaded = Loaded()
        loaded.feed(path.read_text())
        assert loaded.found
        for address in loaded.found:
            assert not REMOTE.match(address), f"{path.name} loads {address}"
            if not address.startswith("data:"):
                assert (path.parent / address.split("?")[0].split("#")[0]).resolve().exists(), f"{path.name}: {address}"
        assert not re.search(r"\bimport\s*\(?['\"]https?:|@import\s+(url\()?['\"]?https?:", path.read_text())
    for sheet in html.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//|@import\s+['\"](https?:)?//", sheet.read_text()), sheet.name

    page = (html / "executed/toy/01_good.html").read_text()
    assert "mathjax/tex-mml-chtml.js" in page
    assert (html / "mathjax/output/chtml/fonts/woff-v2/MathJax_Main-Regular.woff").exists()
    front = re.sub(r"<[^>]+>", "", index.read_text())
    assert "See Table 1 and Fig. 1, 0.51," in front      # numbers that code made, cited from another page
    assert "0.512" in page
    (rows,) = re.findall(r'href="data:text/csv;base64,([^"]+)" download="good.csv"', page)
    assert base64.b64decode(rows).decode() == "system,value\nNMER,0.51239\n"     # whole, whatever the table rounds


def test_a_warning_or_an_unexecuted_page_breaks_the_build(project, tmp_path):
    root = shutil.copytree(project, tmp_path / "copy")
    (root / "book/index.md").write_text(INDEX + "\n{numref}`no-such-table`\n")
    with pytest.raises(book.BookFailed, match="no-such-table"):
        book.render(root)
    page = root / "book/executed/toy/01_good.ipynb"
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    nbformat.write(notebook, page)
    with pytest.raises(book.BookFailed, match="toy/01_good.*error"):
        book.render(root)
    page.unlink()
    with pytest.raises(book.BookFailed, match="toy/01_good.*never executed"):
        book.render(root)


def test_a_table_shows_the_numbers_of_its_frame():
    frame = pd.DataFrame({"system": ["A|B", "C"], "WA": [0.12345, None], "n": [1, 22]}).set_index("system")
    text = display.table_markdown(frame, "tbl-a", "Caption", decimals=2)
    assert "| system | WA | n |\n| :-- | --: | --: |\n| A\\|B | 0.12 | 1 |\n| C | – | 22 |" in text
    with pytest.raises(ValueError, match="Tbl_A"):
        display.table_markdown(frame, "Tbl_A", "Caption")


@pytest.mark.parametrize("source", [*sorted((ROOT / "book").glob("*.md")), *NOTEBOOKS], ids=lambda p: p.name)
def test_no_formula_needs_a_part_of_mathjax_that_is_not_here(source):
    """Such a macro would be fetched when the page is opened, fail, and take all formulas of the page with it."""
    fetched = re.findall(r"\\(?:boldsymbol|cancel|color|textcolor|require|enclose|bbox|braket|ce|href|unicode)\b",
                         source.read_text())
    assert not fetched, f"{source.name} uses {sorted(set(fetched))}, which the shipped MathJax does not hold"
