"""Rendered pages in a real browser: the results explorer by keyboard and pointer, dark pages, phones, and no errors."""

from __future__ import annotations

import csv
import functools
import http.server
import io
import json
import math
import shutil
import threading
from pathlib import Path
from urllib.parse import unquote, urlencode

import pandas as pd
import pytest
from scipy import stats

from robustmer.book import build, explorer

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import Select, WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")

ROOT = Path(__file__).resolve().parents[1]
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--window-size=1280,900")  # fmt: skip
INDEX = """# Front page

See {cite}`nmer`.

```{bibliography}
```
"""
FOLD = """<details class="numbers"><summary>All numbers</summary><div class="numbers-box" tabindex="0">
<table class="table numbers"><tbody><tr><th scope="row">CDTP</th><td>52.3</td></tr></tbody></table></div></details>"""
TABLE, CORPUS = "cdtp-1", "RAVDESS-AV"


class Server(http.server.SimpleHTTPRequestHandler):
    failures: list[str] = []

    def send_error(self, code, *rest):
        self.failures.append(f"{self.path}: {code}")
        super().send_error(code, *rest)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A book of three pages with the real settings, on a local server."""
    root = tmp_path_factory.mktemp("site")
    (root / "book").mkdir()
    for name in ("_config.yml", "book/references.bib"):
        shutil.copy(ROOT / name, root / name)
    for name in ("book/_extra", "book/_static"):
        shutil.copytree(ROOT / name, root / name)
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters:\n  - file: explorer\n  - file: formula\n")
    page = explorer.page(explorer.data(["cdtp"]))
    (root / "book/index.md").write_text(INDEX)
    (root / "book/formula.md").write_text(f"# A formula\n\n$x^2$\n\nCDTP and MPLMM.\n\n```{{raw}} html\n{FOLD}\n```\n")
    (root / "book/explorer.md").write_text(f"# Results explorer\n\n```{{raw}} html\n{page}\n```\n")
    folder = build.render(root).parent
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    """The explorer, opened anew on a table of CDTP."""
    browser.get("about:blank")
    browser.get(f"{address}/explorer.html#{urlencode({'table': TABLE, 'corpus': CORPUS, 'condition': 'avg'})}")
    ready(browser)
    return browser


def ready(page):
    """Wait until the explorer has unpacked its data."""
    WebDriverWait(page, 10).until(lambda page: page.find_elements("css selector", ".explorer.ready"))


def one(page, selector):
    (element,) = page.find_elements("css selector", f".explorer {selector}")
    return element


def rows(page) -> dict[str, list[str]]:
    """The table of the explorer: the texts of each row by its head."""
    lines = page.find_elements("css selector", ".explorer tbody tr")
    return {line.find_element("css selector", "th").text: [td.text for td in line.find_elements("css selector", "td")]
            for line in lines}  # fmt: skip


def choose(page, name, value):
    Select(one(page, f"select[name={name}]")).select_by_value(value)


def is_dark(page) -> bool:
    return page.execute_script("return document.documentElement.dataset.theme") == "dark"


OPTIONS = {"MCTN": {}, "CDTP": {"generative": True, "sampler": "ddim", "start": "noise"}}


@functools.cache
def measured(system: str) -> pd.Series:
    """Accuracy in points by fold, mean over the two cases and the seeds, from the files alone."""
    folder = ROOT / "results/measured/cdtp"
    records = [json.loads(line) for line in (folder / "trainings.jsonl").read_text().splitlines()]
    recipes = {record["key"]: record["recipe"] for record in records if record["dataset"] == CORPUS}
    folds = {key: of["fold"] for key, of in recipes.items()
             if of["system"] == system and of["options"].items() >= OPTIONS[system].items()}  # fmt: skip
    frame = pd.read_csv(folder / "scores.csv")
    frame = frame[frame["condition"].isin(["seen: audio", "seen: visual"]) & (frame["metric"] == "WA")]
    frame = frame[frame["key"].isin(folds)]
    return 100 * frame.groupby(frame["key"].map(folds))["value"].mean()


def numbers(cells: list[str]) -> list[float]:
    """Mean, low, high and repetitions of a row of the table."""
    return [float(word.replace("−", "-")) for cell in cells for word in cell.split(" to ")]


def expected(values: pd.Series):
    """Mean, 95% interval over folds with the variance of Nadeau and Bengio (2003), and the folds; one decimal."""
    k, mean = len(values), values.mean()
    half = stats.t.ppf(0.975, k - 1) * values.std() * math.sqrt(1 / k + 0.25)
    return pytest.approx([mean, mean - half, mean + half, k], abs=0.051)


def test_pages_raise_no_error_and_no_request_fails(browser, address):
    Server.failures.clear()
    for name in ("index", "explorer", "formula", "genindex"):
        browser.get(f"{address}/{name}.html")
        assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert len(browser.find_elements("css selector", "meta[name=viewport]")) == 1
        assert bool(browser.find_elements("css selector", "script[src*=mathjax]")) is (name == "formula")
    assert Server.failures == []


def test_numbers_are_those_of_the_ledger(page):
    for name in ("MCTN", "CDTP"):
        assert numbers(rows(page)[name]) == expected(measured(name))
    choose(page, "minus", "MCTN")
    assert numbers(rows(page)["CDTP"]) == expected(measured("CDTP") - measured("MCTN"))
    assert "MCTN" not in rows(page) and page.find_elements("css selector", ".explorer .zero")


def test_everything_is_within_reach_of_the_keyboard(page):
    page.execute_script("document.querySelector('.explorer select').focus()")
    keys = lambda *all_of: ActionChains(page).send_keys(*all_of).perform()  # noqa: E731
    keys(Keys.TAB, "CMU")
    assert Select(one(page, "select[name=corpus]")).first_selected_option.get_attribute("value") == "CMU-MOSI sentiment"
    assert "CMU-MOSI" in one(page, ".status").text and "seeds" in one(page, ".status").text
    keys("RAV", *[Keys.TAB] * 4)
    assert page.switch_to.active_element.get_attribute("type") == "checkbox"
    first = page.switch_to.active_element.get_attribute("value")
    keys(Keys.SPACE)
    assert first not in rows(page) and len(rows(page)) == 9
    for _ in range(40):
        keys(Keys.TAB)
        if page.switch_to.active_element.get_attribute("aria-expanded") == "false":
            break
    keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("aria-expanded") == "true"
    commands = [code.text for code in page.find_elements("css selector", ".explorer .keys code")]
    known = {json.loads(line)["key"] for line in (ROOT / "results/measured/cdtp/trainings.jsonl").open()}
    assert commands and all(
        c.startswith("robustmer rerun ") and c.removeprefix("robustmer rerun ") in known for c in commands
    )
    outline = "const s = getComputedStyle(document.activeElement); return s.outlineStyle + parseFloat(s.outlineWidth)"
    assert page.execute_script(outline) == "solid2"


def test_the_pointer_chooses_and_the_address_keeps_it(page):
    choose(page, "metric", "F1")
    one(page, "button[name=none]").click()
    assert rows(page) == {}
    one(page, "input[value=MD]").click()
    one(page, "td button").click()
    shown, status = rows(page), one(page, ".status").text
    assert list(shown) == ["MD"] and "F1" in status
    count = len(page.find_elements("css selector", ".explorer .keys li"))
    page.refresh()
    ready(page)
    assert (rows(page), one(page, ".status").text) == (shown, status)
    assert len(page.find_elements("css selector", ".explorer .keys li")) == count == 30


def test_the_csv_holds_the_rows_of_the_table(page):
    choose(page, "minus", "MD")
    text = unquote(one(page, "a.csv").get_attribute("href").split(",", 1)[1])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["system"] for line in lines] == list(rows(page))
    assert {line["minus"] for line in lines} == {"MD"} and {line["corpus"] for line in lines} == {CORPUS}
    for line in lines:
        assert f"{float(line['mean']):.1f}".replace("-", "−").replace("−0.0", "0.0") == rows(page)[line["system"]][0]
        assert all(len(key) == 10 for key in line["keys"].split())


def luminance(colour: str) -> float:
    numbers = colour[colour.index("(") + 1 : -1].split(",")[:3]
    parts = [float(n) / 255 for n in numbers]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_light_and_dark_pages(page, theme):
    button = page.find_element("css selector", ".theme-switch-button")
    for _ in range(3):
        if is_dark(page) == (theme == "dark"):
            break
        button.click()
    assert is_dark(page) == (theme == "dark")
    colour = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    back = luminance(page.execute_script(colour, "body", "backgroundColor"))
    for selector, name in (
        (".explorer svg text", "fill"),
        (".explorer select", "color"),
        (".explorer td button", "color"),
    ):
        high, low = sorted((luminance(page.execute_script(colour, selector, name)), back), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, selector


def test_a_phone_needs_no_sideways_scrolling(page):
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                         {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True})  # fmt: skip
    try:
        page.refresh()
        ready(page)
        assert page.execute_script("return document.documentElement.scrollWidth") <= 390
        box = one(page, ".numbers-box")
        assert page.execute_script("return arguments[0].scrollWidth <= arguments[0].clientWidth", box)
        text = page.execute_script("return document.querySelector('.explorer svg text').getBoundingClientRect().height")
        assert text >= 9
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_folds_are_open_on_paper(browser, address):
    browser.get(f"{address}/formula.html")
    visible = "const td = document.querySelector('table.numbers td'); td.offsetHeight; return td.checkVisibility()"
    assert not browser.execute_script(visible)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert browser.execute_script(visible)
        assert (
            browser.execute_script("return getComputedStyle(document.querySelector('.numbers-box')).overflowX")
            == "visible"
        )
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_search_leads_to_the_page_of_two_names(browser, address):
    browser.get(f"{address}/search.html?q=CDTP+MPLMM")
    find = lambda page: page.find_elements("css selector", "#search-results li a")  # noqa: E731
    WebDriverWait(browser, 10).until(find)
    assert any("formula.html" in link.get_attribute("href") for link in find(browser))
