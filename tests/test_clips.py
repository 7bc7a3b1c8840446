"""Clips of faces and voices: the synthetic corpus, arrays, and trees of files, and what their readers refuse."""

import wave

import numpy as np
import pytest
import torch
from robustmer import corpora
from robustmer.corpora import CorpusError
from robustmer.corpora.sound import f0, formants, waveform
from robustmer.corpora.synthetic_av import BOXES, clip, draw_factors, face, first_formant, voice
from threadpoolctl import threadpool_limits

SR = 16000
av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def corpus():
    return corpora.synthetic_av(size="smoke")


# Synthetic faces and voices


def test_the_corpus_has_people_emotions_and_levels_and_folds_without_shared_people(corpus):
    samples = corpus.samples
    assert len(corpus) == 48 and corpus.shapes == {"audio": (513,), "visual": (1, 64, 64)}
    assert samples.x["visual"].dtype == torch.uint8 and samples.x["audio"].min() > 0
    assert {k: len(v) for k, v in corpus.labels.items()} == {"emotion": 4, "level": 3, "identity": 12}
    assert (np.unique(samples.labels["level"].numpy(), return_counts=True)[1] == 16).all()
    for fold in corpus.split.folds:
        people = [{*samples.labels["identity"][i].tolist()} for i in fold]
        assert [len(group) for group in people] == [8, 2, 2] and not people[0] & people[1] | people[1] & people[2]


def test_neither_modality_is_standardised_unless_it_is_wanted(corpus):
    train = corpus.fold(0).train
    assert train.scaling is None and train.x["audio"].min() > 0
    rows = torch.as_tensor(corpus.split.folds[0][0])
    assert torch.equal(train.x["audio"], corpus.samples.x["audio"][rows])
    assert torch.equal(train.targets["audio phase"], corpus.samples.targets["audio phase"][rows])
    assert corpora.synthetic_av(size="smoke", standardise=True).fold(0).train.x["audio"].min() < 0


def test_the_same_seed_makes_the_same_bytes_on_one_and_two_threads(corpus):
    prints = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            prints.append(corpora.synthetic_av.load(size="smoke").fingerprint)
    assert prints == [corpus.fingerprint] * 2
    assert corpora.synthetic_av(size="smoke", seed=1).fingerprint != corpus.fingerprint


def test_a_modality_alone_has_the_bytes_it_has_beside_the_other(corpus):
    for m in ("audio", "visual"):
        alone = corpora.synthetic_av.load(size="smoke", modalities=m)
        assert torch.equal(alone.samples.x[m], corpus.samples.x[m]) and alone.modalities == (m,)


def test_each_factor_moves_its_own_modality():
    person = np.zeros(1, dtype=int)
    factors = clip(draw_factors(person, person, person, 16, 0), 0)
    picture, sound = face(factors, 32, 0, 0), voice(factors, 0, 0)
    seen = {"face_width", "eye_distance", "skin", "hair", "brow_angle", "brow_height", "mouth_corners", "blink", "gaze",
            "shift_x", "shift_y", "opening"}  # fmt: skip
    heard = {"formant_scale", "tilt", "breath", "pitch", "f2", "opening"}
    assert {*factors} == seen | heard | {"base_pitch", "pitch_shift"}  # these two act through the pitch
    for name in seen | heard:
        scale = 1.3 if name not in ("blink", "mouth_corners", "gaze") else 0.0
        changed = factors | {name: factors[name] * scale + 0.05}
        assert np.array_equal(face(changed, 32, 0, 0), picture) == (name not in seen), name
        assert np.array_equal(voice(changed, 0, 0), sound) == (name not in heard), name


def test_lips_loudness_pitch_and_first_formant_are_those_of_the_factors(corpus):
    top, bottom, left, right = corpus.boxes["mouth"]
    assert corpus.boxes["eyes"] == tuple(2 * edge for edge in BOXES["eyes"])
    lips, loud, pitch, first = [], [], [], []
    for i in range(0, 48, 2):
        values, batch = clip(corpus.factors, i), corpus.samples[[i]]
        if values["opening"].max() < 0.4:
            continue  # a pause
        power, phase = batch.x["audio"][0].numpy(), batch.targets["audio phase"][0].numpy()
        sound = waveform(power, phase)
        dark = (batch.x["visual"][0, :, 0, top:bottom, left:right] < 64).float().sum((1, 2)).numpy()
        lips.append(np.corrcoef(dark, values["opening"])[0, 1])
        loud.append(np.corrcoef(power.sum(1), values["opening"])[0, 1])
        voiced = values["opening"] > 0.3
        voiced[[0, -1]] = False
        pitch.append(np.abs(f0(sound)[voiced] / values["pitch"][voiced] - 1))
        first.append(np.abs(formants(sound)[voiced, 0] / first_formant(values)[voiced] - 1))
    assert np.median(lips) > 0.9 and np.median(loud) > 0.8
    assert np.nanmedian(np.concatenate(pitch)) < 0.02 and np.nanmedian(np.concatenate(first)) < 0.1


def test_wrong_sizes_and_seeds_are_refused():
    for options, answer in (({"size": "huge"}, "smoke, quick, paper"), ({"pixels": 48}, "32 or 64"),
                            ({"seed": -1}, "integer"), ({"modalities": "text"}, "audio, visual")):  # fmt: skip
        with pytest.raises(CorpusError, match=answer):
            corpora.load("synthetic_av", **options)


# Arrays


def arrays(**changes) -> dict[str, np.ndarray]:
    """Six clips of three people, ten pictures each, as `av_frames` stores them."""
    draw = np.random.default_rng(0)
    stored = {"face": draw.integers(1, 256, (6, 10, 16, 8), dtype=np.uint8),
              "audio": draw.integers(-9000, 9000, (6, 6400), dtype=np.int16), "name": np.array(list("abcdef")),
              "speaker": np.array(list("xxyyzz")), "n_frames": np.full(6, 10), "fps": np.array(25),
              "sr": np.array(SR)}  # fmt: skip
    return stored | changes


def stored(tmp_path, content, name="av_frames", **options):
    path = tmp_path / f"{name}.npz"
    np.savez(path, **content)
    return corpora.load(name, folder=path, **options)


def test_clips_of_ones_own_are_read_with_and_without_labels_and_colour(tmp_path):
    plain = stored(tmp_path, arrays())
    assert plain.labels == {} and plain.split.speaker_disjoint and len(plain.split.folds) == 3
    assert plain.samples.x["audio"].shape == (6, 10, 513) and plain.shapes["visual"] == (1, 16, 8)
    assert corpora.check("av_frames", tmp_path / "av_frames.npz") == []
    colour = np.random.default_rng(0).integers(1, 256, (6, 10, 16, 8, 3), dtype=np.uint8)
    names = np.array(["calm", "cross"])
    given = arrays(face=colour, emotion=np.arange(6) % 2, emotion_names=names, level=np.arange(6) % 3)
    with pytest.raises(CorpusError, match="emotion_names calm, cross; load with classes"):
        stored(tmp_path, given)
    full = stored(tmp_path, given, classes=("calm", "cross"))
    assert full.shapes["visual"] == (3, 16, 8) and full.labels["emotion"] == ("calm", "cross")
    assert torch.equal(full.samples.x["visual"][2, :, 1], torch.from_numpy(colour[2, ..., 1]))
    power, phase = full.samples.x["audio"][1].numpy(), full.samples.targets["audio phase"][1].numpy()
    sound = given["audio"][1] / np.abs(given["audio"][1]).max()
    np.testing.assert_allclose(waveform(power, phase), sound, atol=1e-4)


def test_clips_of_two_people_are_split_by_clip_and_say_so(tmp_path):
    split = stored(tmp_path, arrays(speaker=np.array(list("xxxyyy")))).split
    assert split.name == "by clip" and not split.speaker_disjoint and len(split.folds) == 5
    assert sorted(np.concatenate([fold[2] for fold in split.folds])) == list(range(6))


def test_sound_and_pictures_are_cut_to_their_common_frames_within_one(tmp_path):
    batch = stored(tmp_path, arrays(audio=arrays()["audio"][:, : 9 * 640])).samples
    assert batch.lengths["audio"].tolist() == batch.lengths["visual"].tolist() == [9] * 6
    batch = stored(tmp_path, arrays(n_frames=np.array([10, 9, 10, 8, 10, 10]))).samples
    assert batch.lengths["visual"].tolist() == batch.lengths["audio"].tolist() == [10, 9, 10, 8, 10, 10]
    assert batch[[3]].targets["audio phase"].shape == (1, 8, 513)


def changed(name: str, place, value) -> dict:
    array = arrays()[name].astype(float if name == "audio" and not np.isfinite(value) else arrays()[name].dtype)
    array[place] = value
    return {name: array}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"audio": arrays()["audio"][:, : 7 * 640]},
            "clip 'a' has 10 pictures, and sound for 7; cut both.*6 such cases",
        ),
        (changed("n_frames", 2, 11), "clip 'c' has n_frames 11, and the array has 10 frames"),
        (changed("n_frames", 2, 1), "clip 'c' has 1 pictures; a clip needs two"),
        ({"sr": np.array(8000), "fps": np.array(12.5)}, "has 8000 samples a second; .* load with resample=True"),
        ({"fps": np.array(0)}, "has 0.0 pictures and 16000 samples a second; both must be above 0"),
        ({"fps": np.array(15)}, "clip 'a' has 10 pictures, and sound for 6"),
        (changed("audio", 4, 0), "clip 'e' is silent; leave"),
        (changed("audio", (3, 7), np.nan), "clip 'd' has a sample of sound that is nan"),
        (changed("face", (1, 5), 0), r"clip 'b' has a black picture \(frame 5, 1 such frames\)"),
        ({"face": arrays()["face"][:, :, :15]}, "pictures of 15 x 8; height and width must be multiples of 8"),
        ({"face": arrays()["face"].astype(np.int32)}, "int32 pictures and int16 sound; give bytes"),
        ({"face": arrays()["face"][:5]}, "must hold whole numbers, .6, frames"),
    ],
)
def test_clips_that_cannot_be_used_are_refused_with_their_name(tmp_path, change, message):
    with pytest.raises(CorpusError, match=message):
        stored(tmp_path, arrays(**change))


def test_other_rates_are_resampled_when_that_is_wanted(tmp_path):
    sound = np.random.default_rng(0).integers(-9000, 9000, (6, 9600), dtype=np.int16)
    corpus = stored(tmp_path, arrays(audio=sound, sr=np.array(24000)), resample=True)
    assert corpus.samples.lengths["audio"].tolist() == [10] * 6


def test_clipped_sound_is_read_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="the sound of clip 'b' is clipped"):
        stored(tmp_path, arrays(**changed("audio", (1, slice(50, 53)), 32767)))


def test_grid_clips_have_the_words_of_their_names_and_boxes(tmp_path):
    names = np.array(["bbaf2n", "lgbm4a", "pris7s", "swwz9p", "bgat1n", "lbib3s"])
    content = arrays(name=names, face=np.full((6, 10, 64, 64), 9, np.uint8), speaker=np.array(["s1"] * 6))
    corpus = stored(tmp_path, content, name="grid_av")
    assert corpus.labels["colour"][corpus.samples.labels["colour"][1]] == "green" and len(corpus.labels) == 6
    assert corpus.boxes["mouth"] == (43, 59, 18, 46) and not corpus.split.speaker_disjoint
    with pytest.raises(CorpusError, match="a clip 'abc'; a name is six letters"):
        stored(tmp_path, content | {"name": np.array(["abc", *names[1:]])}, name="grid_av")


# Trees of files


def save_sound(path, seconds=0.4, sr=SR):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (8000 * np.random.default_rng(0).uniform(-1, 1, int(seconds * sr))).astype(np.int16)
    if path.suffix == ".wav":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, sr, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        return
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flac", rate=sr, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.rate = sr
        for packet in [*stream.encode(frame), *stream.encode()]:
            file.mux(packet)


def flac_names(actors=range(1, 25)) -> list[str]:
    return [f"03-01-0{1 + n % 8}-01-01-01-{n:02d}" for n in actors]


def test_the_takes_of_ravdess_become_spectra_with_the_folds_of_its_vectors(tmp_path):
    for name in [*flac_names(), "03-01-03-01-02-02-07"]:
        save_sound(tmp_path / f"ravdess_speech/flac/{name}.flac")
    corpus = corpora.load("ravdess_speech_spectra", folder=tmp_path)
    assert len(corpus) == 25 and corpus.samples.x["audio"].shape == (25, 10, 513) and len(corpus.split.folds) == 6
    assert "03-01-02-01-01-01-01" in corpus.samples.id and corpus.labels["level"] == ("normal", "strong")
    double = corpus.samples.id.tolist().index("03-01-03-01-02-02-07")
    assert all(double not in part for fold in corpus.split.folds for part in fold)
    assert {*corpus.samples.speaker[corpus.split.folds[0][2]]} == {f"actor 0{i}" for i in range(1, 5)}
    some = corpora.load("ravdess_speech_spectra", folder=tmp_path, speakers=("actor 01", "actor 02", "actor 03"))
    assert len(some) == 3


def test_a_damaged_take_is_named_and_the_others_are_read(tmp_path):
    paths = [tmp_path / f"ravdess_speech/flac/{name}.flac" for name in flac_names()]
    for path in paths:
        save_sound(path)
    whole = paths[3].read_bytes()
    middle = len(whole) * 3 // 4
    for damage in (whole[:middle], b"", b"RIFF" + whole[9:], whole[:middle] + b"\0" * 50 + whole[middle + 50 :]):
        paths[3].write_bytes(damage)
        with pytest.warns(UserWarning, match=r"left out: .*03-01-05-01-01-01-04.flac (cannot be decoded|holds)"):
            assert len(corpora.find("ravdess_speech_spectra").load(tmp_path)) == 23
    paths[3].rename(paths[3].with_stem("03-01-05-01-01-01-44"))
    with pytest.raises(CorpusError, match="another name than RAVDESS gives"):
        corpora.load("ravdess_speech_spectra", folder=tmp_path)


def save_video(path, seconds=0.4, sr=48000, size=(96, 72), fps=25):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        video, audio = file.add_stream("libx264", rate=fps), file.add_stream("aac", rate=sr, layout="mono")
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        for t in range(round(seconds * fps)):
            picture = np.full((size[1], size[0], 3), 60 + 15 * t, np.uint8)
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        samples = 0.3 * np.sin(np.arange(int(seconds * sr)) * 0.1)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.rate = sr
        for packet in [*video.encode(), *audio.encode(frame), *audio.encode()]:
            file.mux(packet)


def test_videos_of_ravdess_are_read_as_square_faces_and_resampled_sound(tmp_path):
    for n in (1, 2, 3, 4):
        save_video(tmp_path / f"ravdess_video/Actor_0{n}/01-01-0{n + 1}-02-01-01-0{n}.mp4")
    with pytest.raises(CorpusError, match="has 48000 samples a second"):
        corpora.load("ravdess_video", folder=tmp_path)
    corpus = corpora.load("ravdess_video", folder=tmp_path, resample=True, pixels=32)
    assert corpus.shapes == {"audio": (513,), "visual": (3, 32, 32)} and corpus.samples.lengths["visual"][0] == 10
    assert (
        corpus.samples.labels["emotion"].tolist() == [1, 2, 3, 4] and corpus.samples.labels["level"].tolist() == [1] * 4
    )
    brightness = corpus.samples.x["visual"][0].float().mean((1, 2, 3))
    np.testing.assert_allclose(brightness.numpy(), 60 + 15 * np.arange(10), atol=6)
    path = tmp_path / "ravdess_video/Actor_01/01-01-02-02-01-01-01.mp4"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.warns(UserWarning, match="left out: .*01-01-02-02-01-01-01.mp4"):
        assert len(corpora.find("ravdess_video").load(tmp_path, resample=True)) == 3


def test_mead_is_read_as_openface_leaves_it(tmp_path):
    from PIL import Image

    for number, speaker in enumerate(("M003", "M005", "W009", "W011")):
        path = tmp_path / f"mead/{speaker}/happy/level_{number % 3 + 1}/001.wav"
        save_sound(path, seconds=10 / 30)
        folder = path.with_name("001_aligned")
        folder.mkdir()
        for t in range(11):
            Image.new("RGB", (112, 112), (200, 30 + t, 90)).save(folder / f"frame_{t:03d}.bmp")
    corpus = corpora.load("mead", folder=tmp_path)
    assert corpus.samples.id[0] == "M003/happy/level_1/001" and corpus.samples.labels["level"].tolist() == [0, 1, 2, 0]
    assert corpus.samples.lengths["visual"].tolist() == [10] * 4 == corpus.samples.lengths["audio"].tolist()
    assert corpus.samples.x["visual"][0, 3, :, 5, 5].tolist() == [200, 33, 90] and len(corpus.split.folds) == 4
    for picture in folder.iterdir():
        picture.unlink()
    with pytest.warns(UserWarning, match="001.wav has no pictures in 001_aligned/"):
        assert len(corpora.find("mead").load(tmp_path)) == 3
