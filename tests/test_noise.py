"""Laws of the noise: section 2.2 of NMER, measured."""

import copy
import dataclasses
import math
import pickle

import pytest
import torch
from scipy import stats

from robustmer import laws
from robustmer.batch import MODALITIES
from robustmer.conditions import CLEAN, Condition, all_noisy, corrupt, drop, incomplete, missing, parts_of
from robustmer.noise import (
    ZEROS, Gaussian, Impulse, Linear, NoiseScheduler, ScaledLinear, Zeros, add_noise, alpha_bar, draw, iterate_noise,
    kind_power, snr_db, steps_for, stream,
)  # fmt: skip
from robustmer.regions import RegionNoise


def power_db(signal, noise):
    return 10 * math.log10(float(signal.double().var()) / float(noise.double().square().mean()))


@pytest.mark.parametrize("variance", [0.03, 1.0, 7.0, 150.8])
@pytest.mark.parametrize("kind", [Gaussian(), Impulse(0.3), Impulse(1.0)], ids=str)
@pytest.mark.parametrize("level", [-10, -25, -40])
def test_measured_snr_is_that_of_equation_5(kind, variance, level):
    x = math.sqrt(variance) * torch.randn(64, 50, 40, generator=stream("x"))
    scheduler = NoiseScheduler(kind, snr_db=level)
    reached = scheduler.at(variance)
    noisy = scheduler(x, torch.ones(64, 50, dtype=torch.bool), variance, stream("noise"))
    signal = math.sqrt(reached.alpha_bar) * x
    assert abs(power_db(signal, noisy - signal) - reached.true_db) < 0.1
    assert abs(reached.nominal_db - level) < 0.6
    assert abs(reached.true_db - reached.nominal_db + 10 * math.log10(kind.power)) < 1e-9


def test_the_papers_steps_for_minus_10_db():
    """NMER 2.2.3: T = 140, 60, 5; the variances that need them are those of audit reading 1, linear over T steps."""
    for steps, variance in ((140, 150.8), (60, 2.204), (5, 0.03002)):
        assert steps_for(-10, variance) == steps
        assert abs(snr_db(alpha_bar(Linear().betas(steps)), variance) + 10) < 0.01
    for steps, variance in ((140, 21.1), (60, 0.903), (5, 0.0233)):
        assert steps_for(-10, variance, ScaledLinear()) == steps


def test_steps_at_unit_variance():
    assert [steps_for(level, 1.0) for level in (-10, -20, -30, -40)] == [46, 88, 132, 176]


def test_impulse_noise_is_5_23_db_better_than_nominal():
    level = NoiseScheduler(Impulse(0.3), snr_db=-10).at(1.0)
    assert round(level.true_db - level.nominal_db, 2) == 5.23
    assert abs(kind_power(Impulse(0.3)) - 0.3) < 1e-12


def test_betas_run_from_0_001_to_0_1_over_exactly_T_steps_and_agree_with_an_independent_product():
    import numpy as np

    for steps in (1, 2, 5, 46, 140):
        betas = Linear().betas(steps)
        assert len(betas) == steps and betas[0] == 0.001 and (steps == 1 or betas[-1] == 0.1)
        theirs = np.exp(np.log1p(-np.linspace(0.001, 0.1, steps)).sum())
        assert abs(alpha_bar(betas) - theirs) < 1e-12
        theirs = np.exp(np.log1p(-(np.linspace(0.001**0.5, 0.1**0.5, steps) ** 2)).sum())
        assert abs(alpha_bar(ScaledLinear().betas(steps)) - theirs) < 1e-12


def test_the_closed_form_has_the_distribution_of_algorithm_1():
    x = torch.full((1, 1, 40_000), 1.7)
    betas = Linear().betas(46)
    kept = alpha_bar(betas)
    iterated = iterate_noise(x, betas, Gaussian(), stream("iterate")).flatten()
    direct = add_noise(x, draw(Gaussian(), (1, 1, 40_000), stream("direct")), kept).flatten()
    assert stats.ks_2samp(iterated.numpy(), direct.numpy()).pvalue > 0.001
    assert stats.kstest(iterated.numpy(), "norm", (math.sqrt(kept) * 1.7, math.sqrt(1 - kept))).pvalue > 0.001


def test_iterated_impulses_have_the_closed_forms_moments_but_not_its_shape():
    x = torch.zeros(1, 1, 40_000)
    betas = Linear().betas(46)
    iterated = iterate_noise(x, betas, Impulse(0.3), stream("iterate")).flatten()
    direct = add_noise(x, draw(Impulse(0.3), (1, 1, 40_000), stream("direct")), alpha_bar(betas)).flatten()
    assert abs(float(iterated.var() / direct.var()) - 1) < 0.03
    assert len(direct.unique()) == 3 and len(iterated.unique()) > 1000


def test_impulses_are_plus_or_minus_one_in_a_share_p():
    noise = draw(Impulse(0.3), (1000, 1000), stream("impulse"))
    assert set(noise.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert abs(float((noise != 0).float().mean()) - 0.3) < 0.003 and abs(float(noise.mean())) < 0.002


@pytest.mark.parametrize("shape", laws.SETTINGS)
def test_clean_modalities_are_untouched_bit_for_bit_and_padding_stays_silent(shape):
    batch = laws.small_batch(laws.SETTINGS[shape])
    gaussian = NoiseScheduler(Gaussian(), snr_db=-20)
    for condition in (
        *incomplete(batch.modalities, gaussian),
        all_noisy(batch.modalities, gaussian),
        *incomplete(batch.modalities, ZEROS),
        all_noisy(batch.modalities, ZEROS),
    ):
        observed = corrupt(batch, condition, stream("seen"))
        for m in batch.modalities:
            assert torch.equal(observed.x[m], batch.x[m]) == (m not in condition.noise)
            assert not observed.x[m][~batch.mask[m]].any()


def test_the_same_stream_gives_the_same_noise_and_another_gives_another():
    batch = laws.small_batch(laws.SETTINGS["three sequences"])
    condition = all_noisy(MODALITIES, NoiseScheduler(Impulse(), snr_db=-10))
    first, again, other = (corrupt(batch, condition, stream("noise", i)) for i in (0, 0, 1))
    assert all(torch.equal(first.x[m], again.x[m]) for m in MODALITIES)
    assert not any(torch.equal(first.x[m], other.x[m]) for m in MODALITIES)


def test_the_conditions_of_the_paper_and_how_they_shrink():
    scheduler = NoiseScheduler(snr_db=-10)
    headers = lambda ms: [c.header(ms) for c in (*incomplete(ms, scheduler), all_noisy(ms, scheduler), CLEAN)]  # noqa: E731
    assert headers(MODALITIES) == ["a", "v", "l", "a,v", "a,l", "v,l", "none", "clean"]
    assert headers(("audio", "visual")) == ["a", "v", "none", "clean"]
    assert headers(("audio",)) == ["none", "clean"]


def test_a_condition_cannot_be_changed_and_can_be_sent_to_another_process():
    condition = Condition(noise={"audio": NoiseScheduler(snr_db=-10)}, seen=("audio", "text"))
    with pytest.raises(TypeError, match="does not support item assignment"):
        condition.noise["text"] = NoiseScheduler(snr_db=0)
    for same in (pickle.loads(pickle.dumps(condition)), copy.deepcopy(condition), dataclasses.replace(condition)):
        assert same == condition and hash(same) == hash(condition) and str(same) == str(condition)


def test_each_row_draws_one_condition():
    batch = laws.small_batch(laws.SETTINGS["three vectors"], samples=600)
    conditions = incomplete(MODALITIES, NoiseScheduler(snr_db=-10))
    observed = corrupt(batch, conditions, stream("draw"))
    clean = torch.stack([(observed.x[m] == batch.x[m]).all(dim=(1, 2)) for m in MODALITIES], dim=1).tolist()
    counts = [clean.count([m not in c.noise for m in MODALITIES]) for c in conditions]
    assert sum(counts) == 600 and min(counts) > 60


def test_absence_is_a_mask():
    batch = laws.small_batch(laws.SETTINGS["three sequences"])
    observed = corrupt(batch, Condition(seen=("visual",)), stream("absent"))
    assert (
        not observed.present["audio"].any() and not observed.present["text"].any() and observed.present["visual"].all()
    )
    assert (
        torch.equal(observed.x["visual"], batch.x["visual"]) and Condition(seen=("visual",)).header(MODALITIES) == "v"
    )


@pytest.mark.parametrize("shape", laws.SETTINGS)
def test_zero_filling_leaves_exactly_nothing_and_the_modality_counts_as_present(shape):
    batch = laws.small_batch(laws.SETTINGS[shape])
    loud = batch.replace(x={m: 1e30 * x for m, x in batch.x.items()})
    for condition in (*incomplete(batch.modalities, ZEROS), all_noisy(batch.modalities, ZEROS)):
        observed = corrupt(loud, condition, stream("zeros"))
        assert all(not observed.x[m].any() for m in condition.noise) and condition.noise_name == "zeros"
        assert all(observed.present[m].all() for m in batch.modalities)


def test_zeros_have_no_power_so_a_level_says_only_whether_any_signal_is_left():
    """True SNR: -inf where nothing is left, inf where something is, since there is no noise; never a nan."""
    gone, faint = ZEROS.at(1.0), NoiseScheduler(Zeros(), steps=20).at(1.0)
    assert gone.alpha_bar == 0 and gone.nominal_db == gone.true_db == -math.inf
    assert math.isfinite(faint.nominal_db) and faint.true_db == math.inf and kind_power(Zeros()) == 0
    x = torch.randn(3, 4, 5, generator=stream("x"))
    kept = NoiseScheduler(Zeros(), steps=20)(x, torch.ones(3, 4, dtype=torch.bool), 1.0, stream("noise"))
    torch.testing.assert_close(kept, math.sqrt(faint.alpha_bar) * x)


def test_zeros_draw_nothing_so_other_modalities_meet_the_same_noise():
    batch, noisy = laws.small_batch(laws.SETTINGS["three sequences"]), NoiseScheduler(snr_db=-10)
    alone = corrupt(batch, Condition(noise={"text": noisy}), stream("noise"))
    both = corrupt(batch, Condition(noise={"audio": ZEROS, "text": noisy}), stream("noise"))
    assert torch.equal(alone.x["text"], both.x["text"])


@pytest.mark.parametrize("modalities", [MODALITIES, ("audio", "text"), ("visual",)])
def test_what_is_noisy_in_an_incomplete_condition_is_absent_in_its_missing_one(modalities):
    pairs = list(zip(incomplete(modalities, ZEROS), missing(modalities), strict=True))
    assert all(a.header(modalities) == b.header(modalities) and not b.noise for a, b in pairs)
    assert all(set(a.noise) == set(modalities) - set(b.seen) for a, b in pairs)


@pytest.mark.parametrize("modalities", [MODALITIES, ("audio", "text"), ("visual", "audio"), ("pulse", "audio")])
@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2, 0.3, 1 / 3, 0.6, 0.7, 0.95, 1.0])
def test_the_missing_modes_have_exactly_their_rates(modalities, rate):
    mixture, cases = drop(modalities, rate), missing(modalities)
    assert mixture.get(CLEAN, 0.0) == pytest.approx(1 - rate)
    assert [mixture.get(case, 0.0) for case in cases] == pytest.approx([rate / len(cases)] * len(cases))
    parts = parts_of(mixture)
    assert math.gcd(*parts.values()) == 1 or len(parts) == 1, "no fewer parts would do"
    assert {c: n / sum(parts.values()) for c, n in parts.items()} == pytest.approx(mixture)


def test_rows_that_draw_a_missing_mode_are_incomplete_as_often_as_asked():
    batch = laws.small_batch(laws.Setting(dict.fromkeys(MODALITIES, (2,)), 2), samples=6000)
    observed = corrupt(batch, drop(MODALITIES, 0.2), stream("modes"))
    count = sum(observed.present.values())
    assert int(count.min()) == 1 and abs(float((count < 3).double().mean()) - 0.2) < 0.02
    assert abs(float((count == 1).double().mean()) - 0.1) < 0.015


@pytest.mark.parametrize("modalities, rate, said", [
    (MODALITIES, -0.1, "rate=-0.1: give the probability"), (MODALITIES, 1.2, "rate=1.2"),
    (MODALITIES, math.nan, "rate=nan"), (("audio",), 0.2, "keeps at least one modality"),
])  # fmt: skip
def test_rates_that_cannot_be_are_refused(modalities, rate, said):
    with pytest.raises(ValueError, match=said):
        drop(modalities, rate)
    assert drop(("audio",), 0) == {CLEAN: 1}


ONLY = Condition(seen=("audio",))


@pytest.mark.parametrize("mixture, message", [
    ({CLEAN: 0.5, ONLY: 0.4}, "sum to 0.9"), ({}, "sum to 0"), ({CLEAN: 1.2, ONLY: -0.2}, "numbers from 0 to 1"),
    ({CLEAN: 1 / 9973, ONLY: 1 / 9967, Condition(seen=("text",)): 1 - 1 / 9973 - 1 / 9967}, "multiples of 1/10000"),
    ({"clean": 1.0}, "give conditions|Type-check"),
])  # fmt: skip
def test_a_mixture_is_conditions_whose_probabilities_sum_to_one(mixture, message):
    with pytest.raises(Exception, match=message):
        parts_of(mixture)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_region_noise_changes_its_box_in_its_frames_and_nothing_else(kind):
    pictures = torch.randint(0, 256, (3, 8, 3, 16, 16), dtype=torch.uint8, generator=stream("pictures"))
    x = pictures if kind == torch.uint8 else pictures.float() / 255
    mask = torch.arange(8) < torch.tensor([[8], [5], [1]])
    noisy = RegionNoise((2, 3, 6, 5), std=0.5, share=0.5)(x, mask, None, stream("noise"))
    changed = (noisy != x).any(2)
    assert noisy.dtype == x.dtype and 0 <= float(noisy.min()) <= float(noisy.max()) <= (
        255 if kind == torch.uint8 else 1
    )
    assert not changed[..., :2, :].any() and not changed[..., 8:, :].any() and not changed[..., :3].any()
    hit = changed.flatten(2).any(2)
    assert not hit[~mask].any() and 0 < int(hit.sum()) < int(mask.sum())
    with pytest.raises(ValueError, match="does not fit frames"):
        RegionNoise((12, 3, 6, 5))(x, mask, None, stream("noise"))


def test_a_users_noise_is_any_function_that_returns_a_tensor():
    def hum(shape, generator):
        return torch.sin(torch.arange(shape[1]) / 3)[None, :, None].expand(shape)

    scheduler = NoiseScheduler(hum, steps=20)
    batch = laws.small_batch(laws.SETTINGS["three sequences"])
    observed = corrupt(batch, Condition(noise={"audio": scheduler}), stream("hum"))
    assert not torch.equal(observed.x["audio"], batch.x["audio"])
    assert abs(kind_power(hum) - 0.5) < 0.01
    with pytest.raises(ValueError, match=r"'short'.*\(4, 3, 2\).*\(4, 3\)"):

        def short(shape, generator):
            return torch.zeros(shape[:2])

        NoiseScheduler(short, steps=5)(torch.zeros(4, 3, 2), torch.ones(4, 3, dtype=torch.bool), 1.0, stream("x"))


def test_noise_that_does_not_come_from_its_generator_is_refused():
    with pytest.raises(ValueError, match="'careless' differs between two draws from the same stream"):

        def careless(shape, generator):
            return torch.randn(shape)

        NoiseScheduler(careless, steps=5).at(1.0)


@pytest.mark.parametrize("make, said", [
    (lambda: NoiseScheduler(steps=0), "greater than zero"),
    (lambda: NoiseScheduler(), "exactly one"),
    (lambda: NoiseScheduler(snr_db=-10, steps=5), "exactly one"),
    (lambda: NoiseScheduler(snr_db=math.nan), "finite"),
    (lambda: NoiseScheduler("gaussian", snr_db=-10), "kind"),
    (lambda: Impulse(0), "share of noisy values"),
    (lambda: NoiseScheduler(snr_db=0).at(0.03), r"0 dB is out of reach.*T=1: 14.8 dB.*T=2: -5.7"),
    (lambda: NoiseScheduler(snr_db=60).at(1.0), "60 dB is out of reach.*T=1: 30.0 dB"),
    (lambda: NoiseScheduler(snr_db=-500).at(1.0), "out of reach"),
    (lambda: NoiseScheduler(snr_db=-10).at(0.0), "no signal"),
    (lambda: Condition(noise={"face 2": NoiseScheduler(snr_db=-10)}), "'face 2'.*audio, visual, text"),
    (lambda: corrupt(laws.small_batch(laws.Setting({"audio": (2,)})).replace(variance={}),
                     Condition(noise={"audio": NoiseScheduler(snr_db=-10)}), stream("x")), "no variance for audio"),
    (lambda: Condition(seen=()), "at least one modality must be seen"),
    (lambda: Condition(seen=("text",), noise={"audio": NoiseScheduler(snr_db=-10)}), "cannot be noisy"),
    (lambda: corrupt(laws.small_batch(laws.Setting({"audio": (2,)})), Condition(seen=("text",)), stream("x")),
     "laws has no text: it has audio"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_in_one_clear_error(make, said):
    with pytest.raises(Exception, match=said) as caught:  # the shape checker of the tests may speak before the library
        make()
    assert isinstance(caught.value, ValueError | TypeError) or "type-check" in str(caught.value)


def test_the_caller_may_take_the_nearest_level():
    level = NoiseScheduler(snr_db=0, tolerance_db=None).at(0.03)
    assert level.steps == 2 and round(level.nominal_db, 1) == -5.7
