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


LIBROSA_ROWS = {  # librosa 0.11: filters.mel(sr=16000, n_fft=512, n_mels=64, fmin=20, fmax=8000, htk=True, norm=None)
    0: (1, [0.39982, 0.50877]),
    20: (28, [0.41383, 0.92975, 0.57109, 0.07457]),
    40: (85, [0.15132, 0.39099, 0.63065, 0.87031, 0.89416, 0.66351, 0.43286, 0.20221]),
}
LIBROSA_FRAMES = {  # every seventh band of a sine of 1 kHz: melspectrogram(win_length=400, hop_length=160, window="hamming",
    # pad_mode="constant", power=2), then 10 log10; and the deltas of band 25 with width=5, mode="nearest"
    0: [1.466, 3.367, 7.303, 30.334, 4.869, -3.243, -8.666, -12.572, -15.174, -15.887],
    25: [-15.856, -21.457, -16.237, 34.547, -13.783, -22.662, -27.709, -31.412, -34.207, -34.83],
}


def test_filters_frames_and_deltas_are_those_of_librosa():
    for row, (first, values) in LIBROSA_ROWS.items():
        expected = np.zeros(257)
        expected[first : first + len(values)] = values
        np.testing.assert_allclose(filterbank(SR, 512)[row], expected, atol=1e-5)
    frames = log_mel(sine(1000), SR)
    for number, values in LIBROSA_FRAMES.items():
        np.testing.assert_allclose(frames[number, ::7], values, atol=2e-3)
    np.testing.assert_allclose(deltas(frames)[:3, 25], [-5.593, -6.1577, -4.6698], atol=1e-3)


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
    with pytest.raises(ValueError, match="is narrower than a bin; give fewer bands"):
        log_mel(sine(440), SR, bands=300)
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
