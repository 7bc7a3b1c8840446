"""Players: sound and pictures of a player are in step, offline, and have a text alternative."""

import base64
import io
import re

import numpy as np
import pytest
from robustmer.book import players, sound
from robustmer.corpora import media
from robustmer.extras import MissingExtra
from scipy.io import wavfile

av = pytest.importorskip("av")
SR, FPS, FRAMES = 16000, 25, 50


def flashes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures that are bright when the sound is loud, at random times; and these times."""
    bright = np.random.default_rng(0).random(FRAMES) > 0.7
    pictures = np.where(bright[:, None, None, None], 230, 20).astype(np.uint8) * np.ones((1, 1, 64, 64), np.uint8)
    loud = np.repeat(bright, SR // FPS)
    return pictures, loud * 0.5 * np.sin(0.3 * np.arange(len(loud))), bright


def played(content: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Brightness of each picture and loudness of each hundredth of a second, at the times that a browser plays them."""
    with av.open(io.BytesIO(content)) as file:
        times, brightness = zip(
            *((f.time, f.to_ndarray(format="gray").mean()) for f in file.decode(video=0)), strict=True
        )
    np.testing.assert_allclose(times, np.arange(FRAMES) / FPS, atol=1e-6)
    heard = np.zeros(2 * FRAMES * SR // FPS)
    with av.open(io.BytesIO(content)) as file:
        for frame in file.decode(audio=0):
            start = round(frame.time * SR)
            samples = frame.to_ndarray()[0]
            heard[max(start, 0) : start + len(samples)] = samples[max(-start, 0) :]
    return np.array(brightness), np.square(heard[: FRAMES * SR // FPS].reshape(-1, SR // 100)).mean(1)


def test_sound_and_picture_of_a_player_are_in_step_within_one_frame():
    pictures, samples, bright = flashes()
    brightness, loudness = played(players.mp4(pictures, samples, SR, FPS))
    assert ((brightness > 125) == bright).all()
    steps = np.arange(-20, 21)  # hundredths of a second
    wanted = np.repeat(bright, 4)
    match = [np.corrcoef(np.roll(wanted, step)[20:-20], loudness[20:-20])[0, 1] for step in steps]
    assert abs(steps[np.argmax(match)]) <= 1 and max(match) > 0.9


def test_faces_are_scaled_without_smoothing_and_colour_stays():
    picture = np.zeros((2, 3, 32, 32), np.uint8)
    picture[:, 0, :16], picture[:, 2, 16:] = 200, 200
    content = players.mp4(picture, np.zeros(2 * 640), SR, FPS)
    with av.open(io.BytesIO(content)) as file:
        frame = next(file.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert frame.shape == (256, 256, 3)
    assert frame[60, 128, 0] > 150 > 80 > frame[60, 128, 2] and frame[190, 128, 2] > 150 > 80 > frame[190, 128, 0]


def test_players_are_embedded_and_described(capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    pictures, samples, _ = flashes()
    players.video({"a <b>": (pictures, samples)}, alt="flashes with tones")
    players.audio({"tones": samples, "silence": 0 * samples}, alt="from a test")
    sound.play({"vowel": sound.vowel(0.2)})
    for data, kind, count in zip(shown, ("video", "audio", "audio"), (1, 2, 1), strict=True):
        page = data["text/html"]
        assert len(re.findall(rf"<{kind} controls", page)) == len(re.findall("aria-label=", page)) == count
        assert not re.search(r"https?://", page) and "<b>" not in page
    assert 'aria-label="a &lt;b&gt;: flashes with tones"' in shown[0]["text/html"]
    assert shown[0]["text/plain"] == "a <b>" and len(shown[0]["text/html"]) < 200_000
    content = base64.b64decode(re.search(r"base64,([^\"]*)", shown[1]["text/html"])[1])
    rate, stored = wavfile.read(io.BytesIO(content))
    assert rate == SR
    np.testing.assert_allclose(stored / 32767, samples, atol=1e-4)


def test_pictures_and_sound_of_other_lengths_are_refused():
    pictures, samples, _ = flashes()
    with pytest.raises(ValueError, match="50 pictures at 25 a second and 16000 samples at 16000 a second"):
        players.mp4(pictures, samples[:16000], SR, FPS)


def test_without_pyav_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    for call in (lambda: media.read_sound(tmp_path / "a.flac"), lambda: players.mp4(*flashes()[:2], SR, FPS)):
        with pytest.raises(MissingExtra, match=r"need the extra `media`: pip install 'robustmer\[media\]'"):
            call()
