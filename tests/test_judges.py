"""Swap and Denoising agree with slow references, keep what they must not touch, and refuse what they cannot score."""

import dataclasses

import numpy as np
import pytest
import torch
from family import Family
from scipy.stats import pearsonr

from robustmer.batch import collate
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition
from robustmer.denoising import Denoising, by_frame, central, clip_mean, interpolated
from robustmer.evaluation import answers, score
from robustmer.noise import stream
from robustmer.regions import corrupt_box
from robustmer.swaps import Swap, correlation, factor_reader
from robustmer.systems import MDVAE, load, save
from robustmer.systems.system import System
from robustmer.tasks import OwnError, Reconstruct, task_from
from robustmer.training import fit, seeded

MOUTH, EYES = (8, 12, 2, 10), (2, 5, 1, 11)
BOXES = {"mouth": MOUTH, "eyes": EYES}


def clips(count=8, longest=16, shortest=11, seed=0):
    draw = np.random.default_rng(seed)
    lengths = draw.integers(shortest, longest + 1, count)
    faces = [draw.integers(0, 256, (n, 1, 14, 12)).astype(np.uint8) for n in lengths]
    sound = [draw.gamma(1.0, 1.0, (n, 5)) for n in lengths]
    batch = collate({"audio": sound, "visual": faces}, {"emotion": np.arange(count) % 2}, name="clips")
    return batch.replace(variance={"audio": 1.0, "visual": 0.1})


def family(**options):
    with seeded("family"):
        return Family({"audio": (5,), "visual": (1, 14, 12)}, OwnError(), **options).eval()


READERS = {"loudness": lambda frames: frames["audio"].mean(2), "mouth": lambda frames: frames["visual"][..., 8:12, 2:10].mean((2, 3, 4))}  # fmt: skip
SWAP = Swap(readers=READERS)


# --- swaps ------------------------------------------------------------------------------------------------------------


def test_exchanging_every_latent_is_the_reconstruction_of_a_and_none_that_of_b():
    system, batch = family(), clips()
    with torch.no_grad():
        out, frames = SWAP.judge(system, batch, batch), system(batch)
    for name, reader in READERS.items():
        got, aim = reader(frames), reader({m: batch.frames(m)[0] for m in batch.modalities})
        order = torch.randperm(len(batch), generator=stream("swap", "clips"))
        for i in range(len(batch)):
            other = int(order[(int((order == i).nonzero()) - 1) % len(batch)])  # the order is rolled by one
            n = int(min(batch.lengths["audio"][i], batch.lengths["audio"][other]))
            if n == batch.lengths["audio"][i]:
                expected = pearsonr(got[i, :n], aim[i, :n])[0]
                assert float(out[f"PCC {name} all"][i]) == pytest.approx(expected, abs=1e-4)


def test_a_latent_of_one_modality_does_not_move_the_other():
    scores = score(family(), clips(), CLEAN, SWAP)
    for metric in ("PCC", "MAE"):
        assert scores[f"{metric} mouth audio"] == scores[f"{metric} mouth none"] != scores[f"{metric} mouth visual"]
        assert scores[f"{metric} loudness visual"] == scores[f"{metric} loudness none"]
        assert scores[f"{metric} loudness audio"] != scores[f"{metric} loudness none"]


def test_a_static_latent_moves_the_level_and_not_the_course():
    """In the linear toy w shifts an attribute by a constant: MAE changes, PCC does not."""
    scores = score(family(), clips(), CLEAN, SWAP)
    assert scores["PCC mouth static"] == pytest.approx(scores["PCC mouth none"], abs=1e-4)
    assert scores["MAE mouth static"] != scores["MAE mouth none"]
    matrix = SWAP.matrix(scores, "MAE")
    assert matrix.loc["mouth", "static"] == scores["MAE mouth static"] and [*matrix.columns][-2:] == ["none", "all"]


def test_no_clip_is_paired_with_itself_and_partners_differ():
    class Recording(Family):
        def infer(self, observed, sample=False):
            self.seen = [*getattr(self, "seen", []), observed.id.tolist()]
            return super().infer(observed, sample)

    system = Recording({"audio": (5,), "visual": (1, 14, 12)}, OwnError())
    score(system, clips(), CLEAN, dataclasses.replace(SWAP, partners=3))
    a, b = system.seen[0::2], system.seen[1::2]
    pairs = [pair for left, right in zip(a, b, strict=True) for pair in zip(left, right, strict=True)]
    assert len({*pairs}) == 3 * 8 and all(left != right for left, right in pairs)


def test_every_system_meets_the_same_pairs_and_a_task_without_readers_is_refused(tmp_path):
    one, two = (score(family(static=n), clips(), CLEAN, SWAP)["PCC mouth none"] for n in (4, 4))
    assert one == two
    with pytest.raises(ValueError, match="no reader for mouth"):
        score(family(), clips(), CLEAN, Swap(("mouth",)))
    with pytest.raises(ValueError, match="two or more"):
        score(family(), clips()[[0]], CLEAN, SWAP)

    class Blind(System):
        def __init__(self, shapes, task):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

    with pytest.raises(ValueError, match="Blind has no latents"):
        score(Blind({"audio": (5,), "visual": (1, 14, 12)}, OwnError()), clips(), CLEAN, SWAP)
    with pytest.raises(ValueError, match="0 attributes"):
        Swap()


def test_correlation_is_pearsons_and_unknown_for_constants():
    draw = np.random.default_rng(0)
    x, y = (torch.from_numpy(draw.normal(size=(3, 9))).float() for _ in range(2))
    x[2] = 1.0
    mask = torch.arange(9) < torch.tensor([9, 6, 9])[:, None]
    got = correlation(torch.where(mask, x, torch.nan), y, mask)
    assert got[:2].tolist() == pytest.approx([pearsonr(x[0], y[0])[0], pearsonr(x[1, :6], y[1, :6])[0]], abs=1e-5)
    assert got[2].isnan()


def test_a_factor_reader_finds_a_linear_factor():
    batch, draw = clips(40), np.random.default_rng(1)
    pixels = batch.frames("visual")[0]
    factor = (pixels.flatten(2) @ torch.from_numpy(draw.normal(size=14 * 12)).float()).numpy()
    train, valid = batch[:30], batch[30:]
    reader = factor_reader(train, valid, (factor[:30], factor[30:]), "visual", 1e-6)
    assert reader.r2 > 0.99
    noise = draw.normal(size=factor.shape)
    assert factor_reader(train, valid, (noise[:30], noise[30:]), "audio").r2 < 0.1
    assert factor_reader(train, valid, (factor[:30, 0], factor[30:, 0]), "audio").modality == "audio"


# --- denoising --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variance", [0.01, 0.1, 1.0, 10.0])
def test_the_noise_in_a_box_has_the_variance_and_nothing_else_changes(variance):
    x, hit = torch.rand(40, 10, 1, 14, 12), torch.rand(40, 10) < 0.5
    noise = variance**0.5 * torch.randn(40, 10, 1, 4, 8, generator=stream("noise"))
    noisy = corrupt_box(x, hit, MOUTH, noise)
    inside = torch.zeros_like(x, dtype=torch.bool)
    inside[..., 8:12, 2:10] = True
    inside &= hit[..., None, None, None]
    assert torch.equal(noisy[~inside], x[~inside])
    assert float((noisy - x)[inside].var()) == pytest.approx(variance, rel=0.05)
    with pytest.raises(ValueError, match="does not fit"):
        corrupt_box(x, hit, (8, 15, 2, 10), noise)


class Copy(System):
    """It returns the frames as observed."""

    def __init__(self, shapes, task):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, observed):
        return {m: self.scale * observed.frames(m)[0] for m in observed.modalities}


def test_a_copy_keeps_the_noise():
    task = Denoising(BOXES)
    system = Copy({"audio": (5,), "visual": (1, 14, 12)}, OwnError())
    scores = score(system, clips(60), CLEAN, task)
    assert {*scores} == {*task.metrics}
    for name in BOXES:
        for variance in task.variances:
            assert scores[f"PSNR {name} {variance:g}"] == pytest.approx(-10 * np.log10(variance), abs=0.3)


def test_controls_read_no_noisy_frame_and_are_exact_for_what_they_assume():
    x = torch.linspace(0, 1, 10)[None, :, None, None].expand(2, 10, 3, 4).clone()
    hit = torch.zeros(2, 10, dtype=torch.bool)
    hit[:, 2:8] = True
    torch.testing.assert_close(interpolated(torch.where(hit[..., None, None], torch.nan, x), hit), x)
    still = torch.rand(2, 1, 3, 4).expand(2, 10, 3, 4)
    torch.testing.assert_close(clip_mean(torch.where(hit[..., None, None], 7.0, still) * 1.0, hit)[~hit], still[~hit])
    torch.testing.assert_close(clip_mean(still.clone(), hit), still.clone())


def test_the_central_frames_are_used_and_short_samples_are_left_out():
    batch = clips(longest=16, shortest=6)
    short = central(batch, 10)
    for i, n in enumerate(batch.lengths["visual"]):
        start = max(0, (n - 10) // 2)
        expected = batch.x["visual"][i, start : start + 10]
        assert torch.equal(short.x["visual"][i, : len(expected)], expected)
        assert int(short.mask["visual"][i].sum()) == min(n, 10)
    out = answers(family(), batch, CLEAN, Denoising(BOXES))
    unknown = torch.from_numpy(batch.lengths["visual"] < 10)
    assert unknown.any() and all(torch.equal(values.isnan(), unknown) for values in out.values())


def test_an_absent_sound_is_absent_from_denoising_too():
    system, batch, task = family(), clips(), Denoising({"mouth": MOUTH}, (1.0,))
    with_sound = score(system, batch, CLEAN, task)
    without = score(system, batch, Condition(seen=("visual",)), task)
    assert with_sound["PSNR mouth 1"] != without["PSNR mouth 1"]
    assert with_sound["PSNR mouth interpolation"] == without["PSNR mouth interpolation"]


def test_psnr_is_a_mean_over_frames():
    x, mask = torch.zeros(1, 3, 1, 2, 2), torch.tensor([[True, True, False]])
    made = torch.tensor([0.1, 0.01, 5.0]).reshape(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2)
    assert float(by_frame(x, mask, made)) == pytest.approx((20 + 40) / 2, abs=1e-4)


@pytest.mark.parametrize(("options", "message"), [
    ({}, "needs boxes"), ({"boxes": BOXES, "variances": (-1,)}, "variances of 0 or more"),
    ({"boxes": BOXES, "corrupted": 9}, "a clean one at each end"),
])  # fmt: skip
def test_impossible_denoisings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Denoising(**options)


# --- both -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", [Denoising(BOXES), SWAP])
def test_a_judge_is_json_selects_by_the_own_error_and_is_loaded(task, tmp_path):
    assert task_from(task.describe()) == task
    batch = clips()
    system = Family({"audio": (5,), "visual": (1, 14, 12)}, task)
    history = fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=2, checks=2)).frame
    assert "valid_error" in history
    save(system, tmp_path / "system.safetensors")
    loaded = load(tmp_path / "system.safetensors", {"Family": Family})
    assert loaded.settings["task"] == task
    assert score(loaded, batch, CLEAN, Denoising(BOXES)) == score(system, batch, CLEAN, Denoising(BOXES))


def test_a_judge_moves_nothing():
    system, batch = family(), clips()
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    for task in (SWAP, Denoising(BOXES), Reconstruct()):
        score(system, batch, CLEAN, task)
    assert all(torch.equal(tensor, before[name]) for name, tensor in system.state_dict().items())


def test_the_judges_score_mdvae():
    """A latent of one modality moves its own attribute alone, also behind chains of latents."""
    with seeded("mdvae"):
        system = MDVAE({"audio": (5,), "visual": (1, 14, 12)}, SWAP, static=6, shared=4, own=3, width=32)
    scores = score(system, clips(), CLEAN)
    for metric in ("PCC", "MAE"):
        assert scores[f"{metric} mouth audio"] == pytest.approx(scores[f"{metric} mouth none"], abs=1e-6)
        assert scores[f"{metric} loudness visual"] == pytest.approx(scores[f"{metric} loudness none"], abs=1e-6)
        assert scores[f"{metric} mouth shared"] != scores[f"{metric} mouth none"]
    scores = score(system, clips(), CLEAN, Denoising(BOXES))
    assert all(np.isfinite(value) for value in scores.values())
