"""Sound as mel frames: what the bands, the decibels and the deltas promise."""

import numpy as np
import pytest
from scipy.io import wavfile

from robustmer.corpora.files import Unfit
from robustmer.corpora.media import deltas, filterbank, log_mel, read_wav, with_deltas

SR = 16000


def sine(frequency_hz: float, seconds: float = 0.5, sr: int = SR) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(int(seconds * sr)) / sr)


def test_the_filters_are_a_partition_between_the_first_and_the_last_centre():
    filters = filterbank(SR, 4096)
    peak = filters.argmax(1)
    assert filters.shape == (64, 2049) and filters.min() == 0 and filters.max() <= 1
    assert (np.diff(peak) > 0).all()
    np.testing.assert_allclose(filters[:, peak[0] + 1 : peak[-1]].sum(0), 1, atol=1e-9)


@pytest.mark.parametrize("sr", [SR, 44100])
def test_a_sine_peaks_in_its_band(sr):
    filters = filterbank(sr, 1024 if sr > SR else 512)
    for frequency in (300.0, 1000.0, 4000.0):
        frames = log_mel(sine(frequency, sr=sr), sr)
        nearest = filters[:, round(frequency * (1024 if sr > SR else 512) / sr)].argmax()
        assert abs(np.bincount(frames[5:-5].argmax(1)).argmax() - nearest) <= 1


def test_a_hundred_frames_a_second_and_the_hop_is_an_option():
    assert log_mel(sine(440, seconds=1), SR).shape == (101, 64)
    assert log_mel(sine(440, seconds=1), SR, hop_s=0.015, bands=40).shape == (67, 40)
    assert log_mel(np.ones(10), SR).shape == (1, 64)


def test_louder_sound_shifts_every_band_by_the_same_decibels():
    sound = np.random.default_rng(0).normal(size=SR) * 0.01
    np.testing.assert_allclose(log_mel(10 * sound, SR) - log_mel(sound, SR), 20, atol=1e-3)


def test_silence_is_finite():
    assert (log_mel(np.zeros(SR), SR) == -100).all()


def test_bands_beyond_the_sampling_rate_and_no_samples_are_refused():
    with pytest.raises(ValueError, match="0 to 4000"):
        log_mel(sine(440, sr=8000), 8000)
    with pytest.raises(ValueError, match="without samples"):
        log_mel(np.zeros(0), SR)


def test_deltas_of_a_ramp_are_1_and_of_a_constant_0():
    ramp = np.arange(20.0)[:, None] * [1, -3]
    np.testing.assert_allclose(deltas(ramp)[2:-2], np.tile([1, -3], (16, 1)))
    assert not deltas(np.ones((5, 2))).any()
    for frames in (1, 2, 3):
        assert np.isfinite(deltas(np.ones((frames, 2)))).all()


def test_the_three_channels_are_the_frames_their_slope_and_the_slope_of_that():
    square = np.square(np.arange(30.0))[:, None]
    static, slope, bend = with_deltas(square).T
    np.testing.assert_array_equal(static, square[:, 0])
    np.testing.assert_allclose(slope[2:-2], 2 * np.arange(2, 28))
    np.testing.assert_allclose(bend[4:-4], 2)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float32"])
def test_a_wav_file_is_samples_from_minus_1_to_1(dtype, tmp_path):
    wave = sine(440)
    stored = {"int16": wave * 2**15, "int32": wave * 2**31, "uint8": wave * 128 + 128, "float32": wave}[dtype]
    wavfile.write(tmp_path / "a.wav", SR, np.stack([stored, stored], axis=1).astype(dtype))
    samples, sr = read_wav(tmp_path / "a.wav")
    assert sr == SR
    np.testing.assert_allclose(samples, wave, atol=1 / 100)


def test_a_wav_file_that_is_cut_empty_or_something_else_is_reported(tmp_path):
    path = tmp_path / "a.wav"
    wavfile.write(path, SR, (sine(440) * 2**15).astype(np.int16))
    whole = path.read_bytes()
    for content in (whole[:1000], whole[:30], b"", b"RIFX", whole[10:]):
        path.write_bytes(content)
        with pytest.raises(Unfit, match="no complete wav file"):
            read_wav(path)
    wavfile.write(path, SR, np.zeros(0, np.int16))
    with pytest.raises(Unfit, match="no samples|no complete"):
        read_wav(path)
