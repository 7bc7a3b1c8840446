"""Sound at the rate of pictures: transforms that can be undone, pitch and resonances of known vowels."""

import numpy as np
import pytest
import scipy.signal

from robustmer.corpora.sound import (
    centres,
    f0,
    formants,
    frame_count,
    griffin_lim,
    istft,
    power_and_phase,
    stft,
    waveform,
)

SR = 16000
NOISE = np.random.default_rng(0).standard_normal(SR)


def db(signal: np.ndarray, other: np.ndarray) -> float:
    return 10 * np.log10(np.square(signal).sum() / np.square(signal - other).sum())


def vowel(pitch_hz: float, first_hz: float, second_hz: float, seconds: float = 0.6) -> np.ndarray:
    """Pulses through five resonances: the model of speech behind linear prediction."""
    sound = np.zeros(int(seconds * SR))
    sound[np.rint(np.arange(0, seconds - 0.01, 1 / pitch_hz) * SR).astype(int)] = 1
    for hz, width in ((first_hz, 70), (second_hz, 100), (2800, 150), (3500, 200), (4500, 250)):
        radius = np.exp(-np.pi * width / SR)
        sound = scipy.signal.lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hz / SR), radius**2], sound)
    return sound


def test_the_transform_is_that_of_scipy_with_frames_in_the_middle_of_pictures():
    ours = stft(NOISE)
    padded = np.pad(NOISE, 512 - 320)  # the first frame is centred on 320 samples
    _, _, theirs = scipy.signal.stft(padded, nperseg=1024, noverlap=1024 - 640, boundary=None, padded=False)
    np.testing.assert_allclose(ours, theirs.T * 512, atol=1e-9)  # scipy divides by the sum of the window
    assert ours.shape == (25, 513)


@pytest.mark.parametrize("fps", [25, 29.97, 30])
def test_the_transform_can_be_undone(fps):
    whole = NOISE[: round(frame_count(SR, fps=fps) * SR / fps)]  # pictures; the rest is in no frame
    assert db(whole, istft(stft(whole, fps=fps), len(whole), fps=fps)) > 100


def test_the_stored_power_and_phase_are_the_sound_to_100_db():
    loudest = NOISE / np.abs(NOISE).max()
    power, phase = power_and_phase(3 * NOISE)  # the loudness of the recording does not matter
    assert power.dtype == phase.dtype == np.float32 and (power >= 0).all()
    assert db(loudest, waveform(power, phase)) > 100


def test_frames_of_an_uneven_rate_do_not_drift():
    place = centres(3000, fps=29.97)
    assert np.abs(place - (np.arange(3000) + 0.5) * SR / 29.97).max() <= 0.5
    assert frame_count(int(place[-1]) + 300, fps=29.97) == 3000
    assert np.abs(3000 * 533 - 3000 * SR / 30) >= 1000  # an integer hop is a picture and a half away


def test_no_step_of_griffin_lim_leads_away_from_the_magnitudes():
    voice = vowel(130, 700, 1100)
    magnitude = np.abs(stft(voice))
    weight = np.full(513, 2.0)
    weight[[0, -1]] = 1  # bins between stand for two of the full transform
    errors = [
        (weight * (np.abs(stft(griffin_lim(magnitude, steps, len(voice)))) - magnitude) ** 2).sum()
        for steps in range(8)
    ]
    assert (np.diff(errors) <= 1e-9 * errors[0]).all() and errors[-1] < 0.2 * errors[0]
    np.testing.assert_array_equal(griffin_lim(magnitude, 2), griffin_lim(magnitude, 2))


@pytest.mark.parametrize("pitch_hz", [95, 140, 205])
@pytest.mark.parametrize("first_hz, second_hz", [(700, 1100), (300, 2300), (300, 870), (500, 1500)])
def test_pitch_and_two_formants_of_vowels_are_within_two_percent(pitch_hz, first_hz, second_hz):
    voice = vowel(pitch_hz, first_hz, second_hz)
    assert np.abs(f0(voice)[1:-1] / pitch_hz - 1).max() < 0.02
    assert np.abs(formants(voice)[1:-1] / [first_hz, second_hz] - 1).max() < 0.02


def test_silence_and_noise_have_no_pitch():
    assert np.isnan(f0(np.zeros(SR))).all() and np.isnan(formants(np.zeros(SR))).all()
    assert np.isnan(f0(NOISE)).mean() > 0.9


def test_sound_without_samples_or_without_anything_to_hear_is_refused():
    with pytest.raises(ValueError, match="100 samples at 16000 Hz are less than one of 25 pictures"):
        stft(NOISE[:100])
    with pytest.raises(ValueError, match="silent"):
        power_and_phase(np.zeros(SR))
    with pytest.raises(ValueError, match="10 pictures a second leave gaps"):
        istft(np.zeros((3, 513), complex), 4800, fps=10)
