"""The book and the command line: values checked before anything runs, pages that only finished notebooks make."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import jupytext
import nbformat
import pandas as pd
import psutil
import pytest
from jupytext.compare import NotebookDifference, compare_notebooks

import robustmer
from robustmer.book import build, display, pages, parameters, printable
from robustmer.cli import main
from robustmer.evaluation import score
from robustmer.experiments import project, runs

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.py"))

HEADER = """# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

"""
GOOD = (
    HEADER
    + r"""# %% [markdown]
# # A good page
#
# $$ x_T = \sqrt{\bar\alpha_T}\, x_0 $$

# %% tags=["parameters"]
profile: str = "quick"
snr_db: float = -10.0
levels_db: list[float] = [-10.0, -20.0]
seed: int | None = None
weights: dict[str, float] = {"b": 1.0, "a": 2.0}

# %%
import sys
from pathlib import Path
import matplotlib.pyplot as plt
import pandas as pd
from robustmer.book.answers import answer
from robustmer.book.display import table
from robustmer.book.picture import show
print(profile, snr_db, list(weights))
print("not for the page", file=sys.stderr)
print(Path.cwd().name)

# %%
table(pd.DataFrame({"system": ["NMER"], "WA": [0.51239]}), "tbl-good", "Numbers", "A note.")

# %%
answer("NMER reaches {numref}`tbl-good`.")
figure, axis = plt.subplots(figsize=(2, 1))
axis.plot(levels_db)
show(figure, "fig-drawn", "A drawn line.", "A line that falls.")

# %% mystnb={"figure": {"name": "fig-good", "caption": "A line."}}
plt.figure(figsize=(2, 1))
plt.plot(levels_db)
plt.show()
"""
)
BAD = (
    HEADER
    + """# %% [markdown]
# # A bad page

# %% tags=["parameters"]
profile: str = "quick"

# %%
print("before")
1 / 0
"""
)
INDEX = """# Front page

See {numref}`tbl-good`, {numref}`fig-drawn` and {numref}`fig-good`,
$x^2$, {cite}`nmer`.

```{bibliography}
```
"""


def make_project(root: Path, **notebooks: str) -> Path:
    """A small book with the real settings."""
    (root / "notebooks/toy").mkdir(parents=True)
    (root / "book").mkdir()
    (root / "results").mkdir()
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
def toy(tmp_path_factory):
    """A book of which the first notebook is executed. Tests leave its notebooks as they are."""
    root = make_project(tmp_path_factory.mktemp("project"), **{"01_good": GOOD})
    assert execute(root, {"profile": "smoke", "device": "cpu"}) == {}
    return root


def execute(root, common, force=()):
    return build.execute_pages(common, 1, force, root, root / "data")


def error_of(capfd, *words):
    """The single line that a refused command prints."""
    assert main([str(word) for word in words]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("robustmer: ") and "Traceback" not in line
    return line


def in_step(source):
    """Whether a .py notebook and the .ipynb beside it have the same cells."""
    pair = source.with_suffix(".ipynb")
    try:
        compare_notebooks(jupytext.read(pair), jupytext.read(source), fmt="py:percent")
    except (NotebookDifference, FileNotFoundError):
        return False
    return True


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_every_page_of_the_book_has_a_notebook():
    assert {page.source for page in pages.pages(ROOT)} <= set(NOTEBOOKS)


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_notebook_and_its_pair_have_the_same_cells(source):
    message = f"{source.with_suffix('.ipynb').name} is out of step: edit the .py, then `make sync`"
    assert in_step(source), message
    pair = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert pair.metadata.kernelspec.name == "python3"
    assert not any(cell.get("outputs") for cell in pair.cells)
    names = parameters.parameters_of(pages.read(source), source.name).model_fields
    assert "profile" in names or source.stem in ("index", "02_results_explorer")  # pages that show results alone


def test_a_pair_out_of_step_is_noticed(tmp_path):
    root = make_project(tmp_path, **{"01_good": GOOD})
    source = root / "notebooks/toy/01_good.py"
    assert in_step(source)
    source.write_text(GOOD.replace("A good page", "Another page"))
    assert not in_step(source)
    source.with_suffix(".ipynb").unlink()
    assert not in_step(source)


# --- parameters -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    return parameters.parameters_of(jupytext.reads(GOOD, fmt="py:percent"), "toy")


def test_parameters_have_the_types_and_defaults_of_their_lines(model):
    assert {name: field.annotation for name, field in model.model_fields.items()} == {
        "profile": str, "snr_db": float, "levels_db": list[float], "seed": int | None, "weights": dict[str, float],
    }  # fmt: skip
    assert model.model_fields["levels_db"].default == [-10.0, -20.0]


def test_values_from_python_arrive_in_the_declared_type(model):
    given = {"snr_db": -40, "levels_db": [1, 2.5], "seed": 3, "profile": "paper", "weights": {"z": 1.0, "y": 2.0}}
    values = parameters.validate(model, given)
    assert values == given and list(values["weights"]) == ["z", "y"]
    assert type(values["snr_db"]) is float and [type(v) for v in values["levels_db"]] == [float, float]


@pytest.mark.parametrize(("name", "text", "value"), [
    ("snr_db", "-40", -40.0), ("snr_db", "1e-3", 0.001), ("levels_db", "[1e-3, 2]", [0.001, 2.0]),
    ("seed", "none", None), ("seed", "7", 7), ("profile", "quick", "quick"),
    ("weights", "{z: 1, a: 2}", {"z": 1.0, "a": 2.0}),
])  # fmt: skip
def test_text_is_read_as_the_declared_type(model, name, text, value):
    read = parameters.validate(model, {name: text}, text=True)[name]
    assert read == value and type(read) is type(value) and json.dumps(read) == json.dumps(value)


@pytest.mark.parametrize(("given", "text", "message"), [
    ({"snr": -10.0}, False, r"^toy: no parameter 'snr' .*snr_db: float = -10.0"),
    ({"snr_dbs": -10.0}, False, r"did you mean 'snr_db'"),
    ({"snr_db": "-10"}, False, r"snr_db must be float, not '-10'"),
    ({"snr_db": True}, False, r"snr_db must be float, not True"),
    ({"seed": True}, False, r"seed must be int \| None, not True"),
    ({"snr_db": "loud"}, True, r"snr_db must be float, not 'loud'"),
    ({"snr_db": "nan"}, True, r"snr_db must be finite, not 'nan'"),
    ({"levels_db": [float("inf")]}, False, r"levels_db must be finite, not inf"),
    ({"levels_db": -10.0}, False, r"levels_db must be list\[float\]"),
    ({"levels_db": "[a]"}, True, r"levels_db must be list\[float\]"),
    ({"seed": 1.0}, False, r"seed must be int \| None, not 1.0"),
    ({"seed": "-1"}, True, r"seed: -1 is negative"),
    ({"profile": 1}, False, r"profile must be str"),
    ({"profile": "quik"}, True, r"profile: there is no profile 'quik' \(did you mean 'quick'\?\); there are smoke"),
])  # fmt: skip
def test_a_wrong_parameter_is_one_clear_sentence(model, given, text, message):
    with pytest.raises(ValueError, match=message) as error:
        parameters.validate(model, given, text)
    assert "\n" not in str(error.value) and "its parameters are: profile: str = 'quick', " in str(error.value)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("device", "meta", "device 'meta' cannot be used"), ("device", "cuda:99", "device 'cuda:99' cannot be used"),
    ("corpus", "ravdes_av", "no corpus 'ravdes_av' \\(did you mean 'ravdess_av'"),
    ("corpora", ["synthetic", "x"], "no corpus 'x'"),
    ("noise", "gausian", "did you mean 'gaussian'"), ("seeds", [0, -1], "-1 is negative"),
])  # fmt: skip
def test_the_name_of_a_parameter_says_which_values_it_takes(name, value, message):
    kind, default = {"corpora": ("list[str]", []), "seeds": ("list[int]", [])}.get(name, ("str", "cpu"))
    default = {"corpus": "synthetic", "noise": "impulse"}.get(name, default)
    page = jupytext.reads(f'{HEADER}# %% tags=["parameters"]\n{name}: {kind} = {default!r}\n', fmt="py:percent")
    with pytest.raises(ValueError, match=message):
        parameters.validate(parameters.parameters_of(page, "toy"), {name: value})


@pytest.mark.parametrize(
    "line", ["x: float = 1 / 2", "x: Tensor = None", "import os", "x, y = 1, 2", "x = 1", "x: int"]
)
def test_the_parameters_cell_holds_only_names_types_and_written_values(line):
    with pytest.raises(ValueError, match="each line must be"):
        parameters.parameters_of(jupytext.reads(f'{HEADER}# %% tags=["parameters"]\n{line}\n', fmt="py:percent"), "toy")


def test_help_of_a_notebook_lists_its_parameters_with_an_example(toy, capsys, monkeypatch):
    monkeypatch.chdir(toy)
    assert main(["run", "toy/01_good", "--help"]) == 0
    text = capsys.readouterr().out
    assert "levels_db: list[float] = [-10.0, -20.0]" in text
    assert "Example: robustmer run toy/01_good -p profile smoke" in text


# --- running ----------------------------------------------------------------------------------------------------------


def test_run_writes_a_file_of_its_own_and_refuses_before_running(toy, capfd, monkeypatch):
    out = toy / "elsewhere/out.ipynb"
    monkeypatch.chdir(toy)
    assert "did you mean 'snr_db'" in error_of(capfd, "run", "toy/01_good", "-p", "snr", 3, "-o", out)
    assert "snr_db must be float" in error_of(capfd, "run", "toy/01_good", "-p", "snr_db", "loud", "-o", out)
    assert "more than once" in error_of(capfd, "run", "toy/01_good", "-p", "seed", 1, "-p", "seed", 2)
    assert not out.exists()

    words = ["-p", "snr_db", "-3", "-p", "levels_db", "[5, 1e-1]", "-p", "weights", "{z: 1, a: 2}"]
    assert main(["run", str(toy / "notebooks/toy/01_good.ipynb"), *words, "-o", str(out)]) == 0
    page = nbformat.read(out, as_version=4)
    assert page.metadata.robustmer.parameters == {
        "snr_db": -3.0, "levels_db": [5.0, 0.1], "weights": {"z": 1.0, "a": 2.0}}  # fmt: skip
    # The notebook ran in its own folder, as under nbmake.
    streams = [o.text for cell in page.cells for o in cell.get("outputs", []) if o.output_type == "stream"]
    assert streams == ["quick -3.0 ['z', 'a']\ntoy\n"]
    assert [path.name for path in out.parent.iterdir()] == ["out.ipynb"]


MALFORMED = {
    "empty.ipynb": "", "list.ipynb": "[]", "number.ipynb": '{"nbformat": 4, "cells": 3}', "deep.ipynb": "[" * 100_000,
    "cell.ipynb": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
    "kernel.ipynb": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": 1}, "cells": []}',
    "header.py": "# ---\n# jupyter: [\n# ---\n", "other.py": GOOD.replace("name: python3", "name: mine"),
    "syntax.py": GOOD.replace("snr_db: float = -10.0", "snr_db: float = ="),
    "twice.py": GOOD + '\n# %% tags=["parameters"]\nx: int = 1\n',
}  # fmt: skip


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_notebook_is_one_sentence(name, tmp_path, capfd):
    (tmp_path / name).write_text(MALFORMED[name])
    assert name.split(".")[0] in error_of(capfd, "run", tmp_path / name)


def test_an_unknown_name_is_one_sentence_with_the_nearest_name(toy, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(toy)
    assert "did you mean 'toy/01_good'" in error_of(capfd, "run", "toy/01_god")
    assert "did you mean 'toy/01_good'" in error_of(capfd, "book", "--force", "toy/01_god")
    assert "no such user" in error_of(capfd, "run", "~nouser/x.py")
    assert "no such user" in error_of(capfd, "run", "toy/01_good", "-o", "~nouser/x.ipynb")
    assert "no such user" in error_of(capfd, "data", "check", "mosi_bclstm", "~nouser")
    assert "did you mean 'nmer'" in error_of(capfd, "compute", "nmr")
    assert "did you mean 'ravdess_av'" in error_of(capfd, "data", "check", "ravdess")
    assert "'cuda:99' cannot be used" in error_of(capfd, "book", "--device", "cuda:99")
    with pytest.raises(SystemExit):
        main(["book", "--profile", "quik"])
    assert "did you mean 'quick'" in capfd.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert "not inside a robustmer project" in error_of(capfd, "run", "toy/01_good")
    assert "not inside a robustmer project" in error_of(capfd, "book")


def test_the_project_is_found_upwards_or_by_its_variable(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(toy / "notebooks/toy")
    assert project() == toy and runs() == toy / "runs"
    monkeypatch.chdir(tmp_path)
    assert runs() == tmp_path / "runs"
    monkeypatch.setenv("ROBUSTMER_HOME", str(toy))
    assert project() == toy and runs() == tmp_path / "runs"
    monkeypatch.setenv("ROBUSTMER_HOME", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="ROBUSTMER_HOME is"):
        project()


def test_corpora_are_read_from_the_project_in_a_subfolder_too(toy, monkeypatch, capsys):
    monkeypatch.delenv("ROBUSTMER_DATA", raising=False)
    monkeypatch.chdir(toy / "notebooks/toy")
    assert main(["data", "list"]) == 0
    assert f"folder of the corpora: {toy / 'data'} " in capsys.readouterr().out and "ROBUSTMER_DATA" not in os.environ
    monkeypatch.setenv("ROBUSTMER_DATA", "elsewhere")
    assert main(["data", "list"]) == 0
    assert f"folder of the corpora: {toy / 'notebooks/toy/elsewhere'} " in capsys.readouterr().out
    assert os.environ["ROBUSTMER_DATA"] == "elsewhere"


def test_an_output_that_cannot_be_written_is_refused_before_the_work(toy, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(build, "ProcessPoolExecutor", None)  # a kernel would need one
    source = toy / "notebooks/toy/01_good.py"
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.ipynb").mkdir()
    for out in ("file/out.ipynb", "folder.ipynb", "/proc/out.ipynb", "/dev/full/out.ipynb"):
        assert "cannot be written" in error_of(capfd, "run", source, "-o", tmp_path / out)
    assert "ends with .ipynb" in error_of(capfd, "run", source, "-o", tmp_path / "out.html")
    assert "cannot be the output" in error_of(
        capfd, "run", source.with_suffix(".ipynb"), "-o", source.with_suffix(".ipynb"))  # fmt: skip
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))  # as on a disk with one MiB left
    try:
        assert "cannot be written (file too large)" in error_of(capfd, "run", source, "-o", tmp_path / "out.ipynb")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.ipynb"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_workers_and_kernels_at_once(number, tmp_path):
    slow = 'import pathlib, time\npathlib.Path("started").touch()\ntime.sleep(600)\n'
    (tmp_path / "slow.py").write_text(f"{HEADER}# %%\n{slow}")
    command = subprocess.Popen(
        [sys.executable, "-m", "robustmer", "run", "slow.py"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "started").exists():
        assert command.poll() is None
        time.sleep(0.1)
    children = psutil.Process(command.pid).children(recursive=True)
    assert len(children) >= 2
    command.send_signal(number)
    assert command.wait(timeout=10) == 130
    assert "finished work is kept" in command.stderr.read()
    assert psutil.wait_procs(children, timeout=2)[1] == []
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_worker_ends_its_kernel_when_the_command_is_killed(tmp_path):
    slow = 'import pathlib, time\npathlib.Path("started").touch()\ntime.sleep(600)\n'
    (tmp_path / "slow.py").write_text(f"{HEADER}# %%\n{slow}")
    command = subprocess.Popen([sys.executable, "-m", "robustmer", "run", "slow.py"], cwd=tmp_path)
    while not (tmp_path / "started").exists():
        time.sleep(0.1)
    children = psutil.Process(command.pid).children(recursive=True)
    command.kill()
    command.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_a_failing_notebook_changes_nothing_names_its_cell_and_stops_no_other(tmp_path, capsys, monkeypatch):
    root = make_project(tmp_path, **{"01_bad": BAD, "02_fine": BAD.replace("1 / 0", "1 / 1")})
    old = root / "book/executed/toy/01_bad.ipynb"
    old.parent.mkdir(parents=True)
    old.write_text("as it was")
    monkeypatch.chdir(root)
    assert main(["book", "--jobs", "1"]) == 1
    text = capsys.readouterr().out
    assert 'toy/01_bad: failed in the cell that begins `print("before")`' in text and "ZeroDivisionError" in text
    assert "the book was not rendered; finished pages are kept: toy/01_bad" in text
    assert not (root / "_build/html").exists()
    assert old.read_text() == "as it was"
    assert [path.name for path in sorted(old.parent.iterdir())] == ["01_bad.ipynb", "02_fine.ipynb"]


def test_two_runs_of_a_notebook_give_the_same_bytes(toy, monkeypatch):
    monkeypatch.setattr(build, "inputs_digest", lambda root, data: "")  # whatever else changes meanwhile
    page = toy / "book/executed/toy/01_good.ipynb"
    pages_in_turn = []
    for _ in range(2):
        assert execute(toy, {"profile": "smoke"}, ["all"]) == {}
        pages_in_turn.append(page.read_bytes())
    assert pages_in_turn[0] == pages_in_turn[1]


def test_a_page_keeps_nothing_that_the_reader_should_not_see(toy):
    text = (toy / "book/executed/toy/01_good.ipynb").read_text()
    page = nbformat.reads(text, as_version=4)
    assert "not for the page" not in text.replace('print(\\"not for the page\\"', "")
    assert str(toy) not in text and "papermill" not in page.metadata
    tagged = {tag: cell for cell in page.cells for tag in cell.metadata.get("tags", [])}
    assert 'profile = "smoke"' in tagged["injected-parameters"].source
    assert all("hide-input" in tagged[tag].metadata.tags for tag in ("parameters", "injected-parameters"))
    assert any("image/png" in output.get("data", {}) for cell in page.cells for output in cell.get("outputs", []))


# --- freshness --------------------------------------------------------------------------------------------------------


def test_only_what_changed_is_executed_again(toy, tmp_path, monkeypatch, capsys):
    executed = []
    monkeypatch.setattr(build, "execute_all", lambda jobs, workers: executed.extend(job.name for job in jobs) or {})
    root = shutil.copytree(toy, tmp_path / "copy")
    common = {"profile": "smoke", "device": "cpu"}
    package = tmp_path / "package"
    shutil.copytree(ROOT / "src/robustmer/book", package)
    monkeypatch.setattr(robustmer, "__file__", str(package / "__init__.py"))

    def again(common=common, force=()):
        executed.clear()
        execute(root, common, force)
        return list(executed)

    executed.clear()
    assert again() == ["toy/01_good"]  # another library made the page
    stamps = []
    monkeypatch.setattr(build, "stamp_in", lambda target: stamps[0])
    monkeypatch.setattr(build, "stamp_of", lambda *of: (stamps.append(pages.stamp_of(*of)), stamps[-1])[1])
    assert again() == []
    assert again({**common, "profile": "quick"}) == ["toy/01_good"]
    assert again({**common, "device": "cuda"}) == []  # a parameter that the notebook does not declare
    for text in ("all", "toy", "toy/01_good", "notebooks/toy/01_good.py", str(root / "notebooks/toy/01_good.ipynb")):
        assert again(force=[text]) == ["toy/01_good"]
    (root / "data").mkdir()
    for file in (package / "deep/er.py", root / "results/measured/a.csv", root / "requirements.txt",
                 root / "constraints.txt", root / "data/corpus/a.npz"):  # fmt: skip
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("1")
        assert again() == ["toy/01_good"], file
        file.unlink()
        assert again() == [], file
    for file in ("results/measured/nmer.lock", "results/measured/nmer.taken/abc", "results/.cache/a",
                 "data/corpus/.DS_Store", "data/corpus/__pycache__/a.pyc"):  # fmt: skip
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("1")
        assert again() == [], file
    (root / "notebooks/toy/01_good.py").write_text(GOOD + "\n# %%\n1\n")
    assert again() == ["toy/01_good"]


# --- pages ------------------------------------------------------------------------------------------------------------


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


def test_the_book_is_strict_and_loads_nothing_from_elsewhere(toy):
    index = build.render(toy)
    html = index.parent
    shown = [path for path in html.rglob("*.html") if "_static" not in path.parts]
    assert {"index.html", "executed/toy/01_good.html"} <= {path.relative_to(html).as_posix() for path in shown}
    for path in shown:
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
    front = " ".join(re.sub(r"<[^>]+>", "", index.read_text()).split())
    assert "See Table 1, Fig. 1 and Fig. 2," in front  # numbers that code made, cited from another page
    assert "0.512" in page
    assert 'alt="A line that falls."' in page and "NMER reaches <a" in page  # MyST is rendered, not the HTML


def test_a_warning_or_an_unexecuted_page_breaks_the_build(toy, tmp_path):
    root = shutil.copytree(toy, tmp_path / "copy")
    (root / "book/index.md").write_text(INDEX + "\n{numref}`no-such-table`\n")
    with pytest.raises(build.BookFailed, match="no-such-table"):
        build.render(root)
    page = root / "book/executed/toy/01_good.ipynb"
    notebook = nbformat.read(page, as_version=4)
    notebook.cells[-1].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    nbformat.write(notebook, page)
    with pytest.raises(build.BookFailed, match="not executed to the end: toy/01_good"):
        build.render(root)
    page.unlink()
    with pytest.raises(build.BookFailed, match="not executed to the end: toy/01_good"):
        build.render(root)


def test_a_table_shows_the_numbers_of_its_frame():
    frame = pd.DataFrame({"system": ["A|B", "C"], "WA": [0.12345, None], "n": [1, 22]}).set_index("system")
    text = display.table_markdown(frame, "tbl-a", "Caption", decimals=2)
    assert "| system | WA | n |\n| :-- | --: | --: |\n| A\\|B | 0.12 | 1 |\n| C | – | 22 |" in text
    with pytest.raises(ValueError, match="Tbl_A"):
        display.table_markdown(frame, "Tbl_A", "Caption")


def test_text_from_data_marks_up_no_page_and_steers_no_terminal(capfd):
    evil = "RAVDESS<script>alert(1)</script>\x1b[31m|x"
    frame = pd.DataFrame({evil: [evil]})
    text = display.table_markdown(frame, "tbl-a", evil.replace("|", ""), note=evil)
    assert "<script" not in text and "\x1b" not in text and "&lt;script>" in text
    assert (
        printable(evil).count("\\x1b") == 1
        and "\x1b" not in printable(evil)
        and printable("tab\tnew\nline é") == "tab\tnew\nline é"
    )
    assert "\x1b" not in error_of(capfd, "run", evil)


def test_version_is_one_number_everywhere(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    module = subprocess.run([sys.executable, "-m", "robustmer", "--version"], capture_output=True, text=True).stdout
    assert capsys.readouterr().out == module == f"robustmer {robustmer.__version__}\n"


@pytest.mark.parametrize("source", [*sorted((ROOT / "book").glob("*.md")), *NOTEBOOKS], ids=lambda p: p.name)
def test_no_formula_needs_a_part_of_mathjax_that_is_not_here(source):
    """Such a macro would be fetched when the page is opened, fail, and take all formulas of the page with it."""
    fetched = re.findall(
        r"\\(?:boldsymbol|cancel|color|textcolor|require|enclose|bbox|braket|ce|href|unicode)\b", source.read_text()
    )
    assert not fetched, f"{source.name} uses {sorted(set(fetched))}, which the shipped MathJax does not hold"


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A folder with the scores of two trainings of NMER's smoke profile."""
    from robustmer.experiments.ledger import Score
    from robustmer.experiments.papers import PAPERS, ledger_of

    monkeypatch.chdir(tmp_path)
    for paper in PAPERS:  # a key is looked for in these recipes only
        monkeypatch.setitem(
            PAPERS, paper, PAPERS[paper]._replace(profiles={"smoke": SimpleNamespace(seeds={"synthetic": 1}, folds={})})
        )
    jobs = PAPERS["nmer"].recipes("smoke", ["synthetic"])
    ledger = ledger_of("nmer", "smoke")
    split = {"name": "by speaker", "folds": 10, "speaker_disjoint": True, "test_to_train": 0.1}
    for recipe, conditions in jobs.items():
        record = {
            "key": recipe.key,
            "recipe": recipe.describe(),
            "dataset": "synthetic",
            "outcome": "trained",
            "fingerprint": "0",
            "split": split,
        }
        ledger.write_training(record)
        scores = [Score(str(c), metric, 0.5) for c in conditions for metric in recipe.task.metrics]
        ledger.write_scores(recipe.key, scores, {"fingerprint": "0"})
    return {recipe.key for recipe in jobs}


def test_results_are_chosen_by_value_and_numbers_compare_as_numbers(measured, capfd):
    texts = []
    for level in ("-10", "-10.0", "-1e1"):
        assert (
            main(["results", "nmer", "--profile", "smoke", "--where", "system=NMER", "--where", f"snr_db={level}"]) == 0
        )
        texts.append(capfd.readouterr().out)
    lines = texts[0].splitlines()
    assert texts[0] == texts[1] == texts[2] and all(" NMER " in line for line in lines[1:]) and len(lines) > 5
    assert set(line.split()[-1] for line in lines[1:]) <= measured | {"-"}
    assert "did you mean 'system'" in error_of(capfd, "results", "nmer", "--profile", "smoke", "--where", "sistem=NMER")
    assert "did you mean 'NMER'" in error_of(capfd, "results", "nmer", "--profile", "smoke", "--where", "system=NMR")
    assert "give COLUMN=VALUE" in error_of(capfd, "results", "nmer", "--profile", "smoke", "--where", "system")
    assert "did you mean 'nmer'" in error_of(capfd, "results", "nmr")
    assert main(["results", "nmer", "--profile", "smoke"]) == 0
    assert "0.5" in capfd.readouterr().out
    assert main(["results", "runs/smoke", "--where", "system=NMERWithoutVAE"]) == 0  # any ledger, by its folder
    assert "audio: " in capfd.readouterr().out
    assert main(["results", "cdtp", "--profile", "smoke"]) == 0
    assert "no score of this is stored" in capfd.readouterr().out
    assert main(["results", "cdtp"]) == 0
    assert "cdtp: 0 trainings" in capfd.readouterr().out


def test_a_key_is_computed_again_and_compared_with_the_stored_scores(measured, capfd):
    from robustmer.experiments.papers import PAPERS

    key = next(r.key for r in PAPERS["nmer"].recipes("smoke", ["synthetic"]) if r.system.__name__ == "LogReg")
    assert main(["rerun", key]) == 0
    text = capfd.readouterr().out
    assert "scores are stored: the largest difference is" in text and "digits may differ: corpus 0 (now " in text
    assert "no training of a paper is stored with the key" in error_of(capfd, "rerun", "0123456789")


def test_the_exported_predictions_have_the_scores_of_the_exported_system(measured, tmp_path, capfd):
    from robustmer.experiments.papers import PAPERS

    jobs = PAPERS["nmer"].recipes("smoke", ["synthetic"])
    recipe, conditions = next((r, c) for r, c in jobs.items() if r.system.__name__ == "LogReg")
    assert main(["export", recipe.key, "-o", "out"]) == 0
    assert f"test samples under {len(conditions)} conditions are in" in capfd.readouterr().out
    frame = pd.read_csv(tmp_path / "out/predictions.csv")
    assert (frame.filter(like="p ").idxmax(axis=1).str.removeprefix("p ") == frame["predicted"]).all()
    assert pd.read_csv(tmp_path / "out/confusions.csv")["samples"].sum() == len(frame)
    test = recipe.corpus.load().fold(recipe.fold).test
    system = robustmer.load(tmp_path / "out/system.safetensors")
    right = (frame["label"] == frame["predicted"]).groupby(frame["condition"]).mean().round(6)
    assert dict(right) == {str(condition): score(system, test, condition)["WA"] for condition in conditions}
    assert "out" in error_of(capfd, "export", recipe.key, "-o", "out")  # an earlier export stays


def test_weights_that_no_recipe_names_are_counted_and_removed(measured, tmp_path, capfd):
    assert main(["weights"]) == 0
    assert "no weights are stored" in capfd.readouterr().out
    for name in ("0123456789", min(measured)):
        file = tmp_path / f"runs/smoke/weights/{name}.safetensors"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(1 << 20))
    assert main(["weights", "--unneeded"]) == 0
    assert "1 of 2 weight files (1 MB) are unneeded and were removed" in capfd.readouterr().out
    assert [file.stem for file in file.parent.iterdir()] == [min(measured)]


def test_compute_fills_the_ledger_below_the_current_folder(tmp_path, monkeypatch, capfd):
    from robustmer.experiments.papers import PAPERS, nmer

    few = {r: c for r, c in nmer.recipes("smoke", ["synthetic"]).items() if r.system.__name__ == "LogReg"}
    monkeypatch.setitem(PAPERS, "nmer", PAPERS["nmer"]._replace(recipes=lambda *_: few))
    monkeypatch.chdir(tmp_path)
    words = ["compute", "nmer", "--profile", "smoke", "--corpus", "synthetic", "--engine", "local", "--jobs", "1"]
    assert main(words) == 0
    assert f"{len(few)} trainings wanted, {len(few)} trained" in capfd.readouterr().out
    assert len(list((tmp_path / "runs/smoke/trainings").glob("*.json"))) == len(few)
    assert main(words) == 0
    assert "0 trained" in capfd.readouterr().out
    assert "did you mean 'synthetic'" in error_of(capfd, "compute", "nmer", "--corpus", "syntetic")
    assert "cannot be used" in error_of(capfd, *words, "--device", "cuda:99")
