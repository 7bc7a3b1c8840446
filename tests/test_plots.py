"""Figures of the method pages are drawn at both widths and can be read; sounds have the level that they are given."""

from __future__ import annotations

import pandas as pd
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from matplotlib.text import Text

from robustmer.book import picture, plots, sound
from robustmer.corpora.media import log_mel

POINTS = pd.DataFrame({"panel": "pq" * 4, "series": "aabb" * 2, "x": range(8), "value": [1, 2, 3, 4, 5, 6, 7, 8]})
BOXES = {"noisy": (0, 0, ""), "encoder": (1, 0, "learns"), "teacher": (1, 1, "frozen")}
FIGURES = {
    "lines": lambda width: plots.lines(POINTS, "x", "y", width, POINTS, ["a"], [2.0], diagonal=True, log=True),
    "band": lambda width: plots.lines(POINTS.assign(low=0, high=9), "x", "y", width, xlim=(0, 8), ylim=(0, 9)),
    "tiles": lambda width: plots.tiles({"t": POINTS.pivot(index="x", columns="series", values="value")}, width),
    "kinds": lambda width: plots.tiles({"t": pd.DataFrame([[0, 1]])}, width, ["#C9DDF0", "#B4470B"], ["a", "b"]),
    "images": lambda width: plots.images({"a": np.eye(4), "b": np.ones((4, 9))}, "x", "y", width),
    "filmstrips": lambda width: plots.filmstrips({"a": np.zeros((8, 4, 4)), "b": np.ones((8, 4, 4))}, width),
    "clouds": lambda width: plots.clouds(POINTS.rename(columns={"value": "y"}), 2, width),
    "stacks": lambda width: plots.stacks(
        pd.DataFrame({"row": ["MEN", "MEN"], "part": ["forward", "backward"], "value": [1.0, 2.0]}), "s", width,
        {"MEN": 2.5}, "floor"),
    "diagram": lambda width: plots.diagram(BOXES, [("noisy", "encoder", ""), ("teacher", "encoder", "loss")], width),
}  # fmt: skip


@pytest.mark.parametrize("width", [picture.WIDE, picture.NARROW])
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_the_width_of_the_page_and_text_of_nine_pixels(name, width):
    figure = FIGURES[name](width)
    assert figure.get_size_inches()[0] * 72 == width
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]
    assert texts and min(text.get_fontsize() for text in texts) >= 9
    assert picture.svg(figure).startswith("<svg")
    pyplot.close(figure)


def test_a_narrow_legend_has_fewer_columns():
    words = ["logistic regression that met the noise", "NMER", "MEN"]
    assert plots.columns_of(picture.NARROW, words) == 1 < plots.columns_of(picture.WIDE, words)


def test_a_vowel_has_variance_one_and_plays_as_loud_as_its_noise(monkeypatch):
    voice = sound.vowel(0.5)
    assert voice.shape == (1, sound.RATE // 2, 1) and torch.isclose(voice.var(), torch.tensor(1.0), atol=1e-3)
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data["text/html"]))
    sound.play({"clean": voice, "<noisy>": 100 * torch.randn(voice.shape)})
    (page,) = shown
    assert page.count("<audio controls") == page.count("</audio>") == 2 and "&lt;noisy&gt;" in page


def test_vocoded_noise_has_the_mel_frames_that_it_was_made_from():
    voice = torch.cat([sound.vowel(0.4), sound.vowel(0.4, resonances=sound.EE)], dim=1).flatten().numpy()
    frames = log_mel(voice, sound.RATE, bands=24, high_hz=sound.RATE / 2)
    held = torch.from_numpy(np.repeat([frames[:40].mean(0), frames[41:81].mean(0)], 40, axis=0))
    noise = sound.vocoded(held, torch.Generator().manual_seed(0))
    assert noise.shape == (1, 79 * 80, 1)
    heard = log_mel(noise.flatten().numpy(), sound.RATE, bands=24, high_hz=sound.RATE / 2)
    for half in (slice(4, 36), slice(44, 76)):
        shift = heard[half].mean(0) - held[half].mean(0).numpy()
        assert np.abs(shift - np.median(shift)).mean() < 3  # dB; a window blurs steep slopes between bands
