"""Scores of resynthesised pictures and sound: definitions, regions, gains over a still picture, and two phases."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

import robustmer as rm
from robustmer.batch import collate
from robustmer.corpora.sound import griffin_lim, power_and_phase, waveform
from robustmer.metrics.pictures import psnr, scc, scc_map, ssim, ssim_map
from robustmer.metrics.speech import log_spectral_distance, pesq, si_sdr, stoi
from robustmer.systems import VQVAE, System, load, save
from robustmer.systems.controls import clip_mean, frame_pca
from robustmer.tasks import task_from

BOXES = {"mouth": (20, 30, 8, 24), "eyes": (8, 14, 4, 28)}


def smooth(*shape, seed=0):
    x = torch.rand(*shape, generator=torch.Generator().manual_seed(seed))
    return avg_pool2d(x, 3, 1, 1)


def voice(seconds=1.0, sr=16000, pitch=120.0):
    t = np.arange(int(seconds * sr)) / sr
    syllables = 0.6 - 0.4 * np.cos(2 * np.pi * 4 * t)
    return syllables * sum(np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 30))


def sound_batch(*voices):
    pairs = [power_and_phase(samples) for samples in voices]
    batch = collate({"audio": [power for power, _ in pairs]}, name="voices")
    longest = batch.x["audio"].shape[1]
    phase = [np.pad(phase, ((0, longest - len(phase)), (0, 0))) for _, phase in pairs]
    return batch.replace(targets={"audio phase": torch.tensor(np.stack(phase))})


# --- definitions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 1, 64, 64), (3, 3, 32, 40), (2, 1, 16, 24)])
def test_parity_with_torchmetrics(shape):
    image = pytest.importorskip("torchmetrics.functional.image")
    audio = pytest.importorskip("torchmetrics.functional.audio")
    x, y = smooth(*shape), (smooth(*shape) + 0.2 * smooth(*shape, seed=1)).clamp(0, 1)
    expected = image.structural_similarity_index_measure(x, y, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y), expected)
    torch.testing.assert_close(scc(x, y), image.spatial_correlation_coefficient(x, y, reduction="none"))
    torch.testing.assert_close(psnr((x - y).square().mean()), image.peak_signal_noise_ratio(x, y, data_range=1.0))
    a, b = x.flatten().double(), y.flatten().double()
    expected = audio.scale_invariant_signal_distortion_ratio(b, a)
    assert si_sdr(a.numpy(), b.numpy()) == pytest.approx(float(expected), abs=1e-6)


def test_ssim_and_scc_of_a_pixel_are_those_of_its_window():
    x, y = smooth(1, 1, 32, 32).double(), smooth(1, 1, 32, 32, seed=1).double()
    bell = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    weight = np.outer(bell, bell) / bell.sum() ** 2
    a, b = (z[0, 0, 10:21, 12:23].numpy() for z in (x, y))
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    cov = (weight * (a - mean_a) * (b - mean_b)).sum()
    expected = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4)
    expected /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
    assert float(ssim_map(x, y)[0, 0, 15, 17]) == pytest.approx(expected, rel=1e-6)
    kernel = torch.full((1, 1, 3, 3), -1.0, dtype=torch.float64)
    kernel[..., 1, 1] = 8
    high = [torch.nn.functional.conv2d(z, kernel)[0, 0, 10:18, 12:20].flatten().numpy() for z in (x, y)]
    assert float(scc_map(x, y)[0, 0, 15, 17]) == pytest.approx(np.corrcoef(*high)[0, 1], rel=1e-6)


def test_equal_pictures_have_the_best_scores_and_constant_ones_no_correlation():
    x = smooth(3, 3, 16, 16)
    torch.testing.assert_close(ssim(x, x), torch.ones(3))
    torch.testing.assert_close(scc(x, x), torch.ones(3))
    assert (scc(x, torch.full_like(x, 0.5)) == 0).all() and psnr(torch.tensor(0.0)) == torch.inf


@pytest.mark.parametrize("snr_db", [-10, 0, 20])
def test_si_sdr_knows_no_gain_and_is_the_snr_of_noise(snr_db):
    random, x = np.random.default_rng(0), voice(2)
    noise = random.normal(size=x.shape)
    noise -= (noise @ x) / (x @ x) * x  # what a draw has in common with the voice by chance
    noise *= np.sqrt((x @ x) / (noise @ noise)) * 10 ** (-snr_db / 20)
    assert si_sdr(x, x + noise) == pytest.approx(snr_db, abs=0.1)
    assert si_sdr(x, 7 * (x + noise)) == pytest.approx(si_sdr(x, x + noise), abs=1e-9)
    assert si_sdr(x, x) > 100


def test_the_log_spectral_distance_of_a_gain_is_the_gain():
    power = torch.rand(5, 17) + 1
    assert log_spectral_distance(power, 10 * power) == pytest.approx(10, abs=1e-5)
    assert log_spectral_distance(power, torch.zeros_like(power)) < 200


def test_stoi_is_the_packages_and_has_no_value_for_a_tenth_of_a_second():
    pystoi = pytest.importorskip("pystoi")
    x = voice(2)
    noisy = x + np.random.default_rng(0).normal(size=x.shape)
    assert stoi(x, noisy, 16000) == float(pystoi.stoi(x, noisy, 16000)) < stoi(x, x, 16000)
    assert np.isnan(stoi(x[:1600], noisy[:1600], 16000))


def test_pesq_is_the_packages_and_has_no_value_without_speech():
    package = pytest.importorskip("pesq")
    x = voice(2)
    noisy = x + np.random.default_rng(0).normal(size=x.shape)
    assert pesq(x, noisy, 16000) == pytest.approx(package.pesq(16000, x, noisy, "wb"))
    assert np.isnan(pesq(np.zeros(16000), noisy[:16000], 16000))
    with pytest.raises(ValueError, match="16000 Hz"):
        pesq(x, noisy, 8000)


@pytest.mark.parametrize("measure", [stoi, pesq])
def test_a_missing_package_is_named_with_its_extra(measure, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, measure.__name__.replace("stoi", "pystoi"), None)
    with pytest.raises(ImportError, match=r"robustmer\[speech\]"):
        measure(voice(), voice(), 16000)


# --- the task ---------------------------------------------------------------------------------------------------------


def picture_batch(lengths=(3, 5, 2)):
    return collate({"visual": [smooth(n, 1, 32, 32, seed=n).numpy() for n in lengths]}, name="faces")


def test_pictures_are_scored_by_clip_whole_and_in_boxes():
    batch = picture_batch()
    noise = 0.1 * torch.randn(batch.x["visual"].shape, generator=torch.Generator().manual_seed(1))
    output = {"visual": (batch.x["visual"] + noise).clamp(0, 1)}
    task = rm.Resynthesis(names=("MSE", "PSNR", "SSIM", "SCC"), boxes=BOXES)
    answers = task.answers(output, batch)
    x, y = (z[1, :5] for z in (batch.x["visual"], output["visual"]))
    errors = (x - y).square()
    expected = {
        "error": errors.mean(), "MSE": errors.mean(), "PSNR": psnr(errors.flatten(1).mean(1)).mean(),
        "PSNR, mouth": psnr(errors[..., 20:30, 8:24].flatten(1).mean(1)).mean(), "SSIM": ssim(x, y).mean(),
        "SSIM, eyes": ssim_map(x, y)[..., 8:14, 4:28].mean(), "SCC": scc(x, y).mean(),
    }  # fmt: skip
    for name, value in expected.items():
        assert float(answers[name][1]) == pytest.approx(float(value), rel=1e-5), name
    scores = task.scores(answers)
    assert scores["PSNR"] == pytest.approx(float(answers["PSNR"].mean())) and "PSNR std" in scores
    assert scores["PSNR of the mean MSE"] == pytest.approx(float(psnr(answers["MSE"].mean())))
    assert scores["PSNR of the mean MSE"] <= scores["PSNR"], "Jensen"


def test_the_gain_of_the_mean_picture_is_zero_and_of_a_better_one_positive():
    batch = picture_batch()
    task = rm.Resynthesis(names=("PSNR", "SSIM"), boxes=BOXES)
    still = task.scores(task.answers(clip_mean(batch), batch))
    nearly = batch.x["visual"] + 0.01 * torch.randn(batch.x["visual"].shape)
    near = task.scores(task.answers({"visual": nearly}, batch))
    for name in ("PSNR gain", "PSNR gain, mouth", "SSIM gain", "SSIM gain, eyes"):
        assert still[name] == pytest.approx(0, abs=1e-4) and near[name] > 0
    one = collate({"visual": [smooth(1, 1, 32, 32).numpy()]})
    assert np.isnan(task.scores(task.answers({"visual": one.x["visual"] + 0.1}, one))["PSNR gain"])


def test_sound_has_a_score_for_each_phase():
    x = voice(1.2)
    batch = sound_batch(x, 0.5 * x[:12800])
    task = rm.Resynthesis(names=("IS", "LSD", "SI-SDR"), steps=5)
    scores = task.scores(task.answers({"audio": batch.x["audio"]}, batch))
    assert scores["error"] == scores["IS"] == scores["LSD"] == 0
    assert scores["SI-SDR, recorded phase"] > 100 > 20 > scores["SI-SDR, Griffin-Lim"]
    assert "SI-SDR" not in scores
    louder = task.scores(task.answers({"audio": 4 * batch.x["audio"]}, batch))
    assert louder["SI-SDR, recorded phase"] > 100 and 3 < louder["LSD"] <= 10 * np.log10(4) + 1e-6
    power, phase = batch.x["audio"][0].numpy(), batch.targets["audio phase"][0].numpy()
    voice_of = waveform(power.astype(float), phase.astype(float))
    made = griffin_lim(np.sqrt(power.astype(float)), 5)
    alone = task.answers({"audio": batch.x["audio"]}, batch)["SI-SDR, Griffin-Lim"][0]
    assert float(alone) == pytest.approx(si_sdr(voice_of, made), abs=1e-3)


def test_a_clip_without_the_modality_has_no_score():
    batch = collate({"visual": [smooth(3, 1, 16, 16).numpy(), None], "audio": [np.ones((3, 9)), np.ones((3, 9))]})
    task = rm.Resynthesis(names=("PSNR", "IS"))
    output = {"visual": batch.x["visual"] + 0.1, "audio": 2 * batch.x["audio"]}
    answers = task.answers(output, batch)
    assert answers["PSNR"].isnan().tolist() == [False, True] and not answers["error"].isnan().any()
    only = rm.Resynthesis(("visual",)).answers(output, batch)
    assert only["error"].isnan().tolist() == [False, True]
    assert rm.Resynthesis(("visual",)).validation(only)[1] == pytest.approx(0.01, rel=1e-4)
    assert float(rm.Resynthesis(("visual",)).loss(output, batch)) == pytest.approx(0.01, rel=1e-4)


def test_codes_are_counted_over_all_clips_and_only_the_error_selects(tmp_path):
    batch = picture_batch((4, 6, 3))
    task = rm.Resynthesis(names=("PSNR", "perplexity"), boxes=BOXES)
    system = VQVAE(batch.shapes, task, width=8, codes=8, code_width=4)
    history = rm.fit(system, batch, batch, budget=rm.Budget(epochs=0, min_steps=4, checks=2)).frame
    assert "valid_error" in history and history["valid_error"].iloc[-1] == history["valid_loss"].iloc[-1]
    frame = rm.evaluate(system, batch, [rm.CLEAN]).set_index("metric")["value"]
    counts = system.codes(batch)["visual"].sum(0)
    assert counts.sum() == 13 * 16 and frame["codes used visual"] == float((counts > 0).sum())
    assert 1 <= frame["perplexity visual"] <= frame["codes used visual"] + 1e-6
    save(system, tmp_path / "codec.safetensors")
    assert load(tmp_path / "codec.safetensors").task == task
    assert task_from(json.loads(json.dumps(task.describe()))) == task


def test_unusable_requests_are_one_sentence():
    faces, voices = picture_batch(), sound_batch(voice(0.5))
    for wrong, message in (({"names": ("MOSnet",)}, "'MOSnet'"), ({"boxes": {"mouth": (5, 5, 1, 2)}}, "inside")):
        with pytest.raises(ValueError, match=message):
            rm.Resynthesis(**wrong)
    with pytest.raises(ValueError, match="beyond the pictures"):
        rm.Resynthesis(boxes={"mouth": (0, 33, 0, 4)}).check(faces)
    with pytest.raises(ValueError, match="without standardisation"):
        rm.Resynthesis().check(voices.replace(x={"audio": voices.x["audio"] - 1}))
    with pytest.raises(ValueError, match="no recorded phase"):
        rm.Resynthesis(names=("STOI",)).check(voices.replace(targets={}))
    rm.Resynthesis(names=("STOI",)).check(voices)


# --- controls ---------------------------------------------------------------------------------------------------------


def test_the_clip_mean_reads_recorded_frames_of_its_own_clip():
    batch = picture_batch((3, 5))
    output = clip_mean(batch)["visual"]
    assert torch.allclose(output[0, :3], batch.x["visual"][0, :3].mean(0).expand(3, -1, -1, -1))
    assert (output[0, 3:] == 0).all() and output.shape == batch.x["visual"].shape
    spectra = collate({"audio": [np.array([[1.0] * 9, [100.0] * 9])]})
    assert torch.allclose(clip_mean(spectra)["audio"], torch.tensor(10.0)), "a mean level in dB"


def test_principal_components_are_exact_where_they_suffice_and_know_train_alone():
    base = torch.rand(3, 64, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(40, 3, generator=torch.Generator().manual_seed(1))
    frames = (weights @ base / 3).reshape(8, 5, 1, 8, 8)
    train, test = collate({"visual": list(frames[:6].numpy())}), collate({"visual": list(frames[6:].numpy())})
    errors = [float((frame_pca(train, n)(test)["visual"] - test.x["visual"]).square().mean()) for n in (0, 1, 3)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-9
    pca = frame_pca(train, 2)
    mean = train.x["visual"].flatten(0, 1).mean(0)
    assert torch.allclose(frame_pca(train, 0)(test)["visual"], mean.expand(2, 5, 1, 8, 8), atol=1e-6)
    assert torch.allclose(pca(test)["visual"][[1]], pca(test[[1]])["visual"], atol=1e-6)
    power = collate({"audio": list(torch.exp(frames.flatten(3)[:, :, 0]).numpy())})
    output = frame_pca(power, 3)(power)["audio"]
    assert torch.allclose(output, power.x["audio"], rtol=1e-3)
    with pytest.raises(ValueError, match="at most"):
        frame_pca(train, 65)


def test_a_task_with_extra_scores_trains_the_same_weights():
    batch, states = picture_batch(), []
    for names in ((), ("PSNR",)):
        task = rm.Resynthesis(names=names)
        with rm.seeded("same"):
            system: System = VQVAE(batch.shapes, task, width=8, codes=8, code_width=4)
        rm.fit(system, batch, batch, budget=rm.Budget(epochs=0, min_steps=2, checks=1))
        states.append(system.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert dataclasses.replace(task, names=()) == task.selecting()
