"""Completion by diffusion: nothing leaks, samples stand alone, noise is fixed in evaluation, and training helps."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from robustmer import laws
from robustmer.batch import Batch, collate
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt, missing, uniform
from robustmer.laws import SETTINGS, Setting
from robustmer.nn.crossmodal import available
from robustmer.nn.diffusion import Sampling
from robustmer.nn.prompts import mean_over_segments
from robustmer.nn.unet import INJECT
from robustmer.noise import stream
from robustmer.systems import Completion
from robustmer.systems.completion import draw_given, mean_imputation
from robustmer.tasks import OwnError
from robustmer.training import fit, seeded

CASES = SETTINGS | {"one token": Setting({"audio": (1,), "text": (3,)}, 2)}
SMALL = {"unet": (8, 12), "condition": 6}
STEPS = Sampling(steps=4)


def made(setting, frames=1, **options):
    """Off zero, where the predicted noise would depend on nothing but x_t."""
    completion = laws.make(Completion, of(setting), frames=frames, **(SMALL | options))
    with seeded("completion"), torch.no_grad():
        for p in completion.parameters():
            p += 0.1 * torch.randn_like(p)
    return completion.eval()


def of(setting):
    return dataclasses.replace(setting, task=OwnError())


def mixed(batch: Batch) -> Batch:
    """Samples that lack a modality beside complete ones."""
    return corrupt(batch, uniform([CLEAN, *missing(batch.modalities)]), stream("mixed"))


def imputation_errors(imputed, clean: Batch, observed: Batch) -> dict[str, dict[str, float]]:
    """For each modality over the samples that lack it in `observed` and have it in `clean`: `cosine`, the mean cosine
    of all values of a sample, and `mse`. A modality without such a sample is left out."""
    errors = {}
    for m, x in imputed.items():
        chosen = available(clean, m) & ~available(observed, m)
        if chosen.any():
            truth = mean_over_segments(*clean.frames(m), x.shape[1])[chosen].flatten(1)
            guess = x[chosen].flatten(1)
            errors[m] = {"cosine": float(cosine_similarity(guess, truth).mean()),
                         "mse": float((guess - truth).square().mean())}  # fmt: skip
    return errors


@pytest.fixture(params=CASES)
def case(request):
    setting = CASES[request.param]
    batch = laws.small_batch(setting)
    return setting, batch, mixed(batch)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_every_absent_modality_is_imputed_and_nothing_else(case, frames):
    setting, _, observed = case
    imputed = made(setting, frames).impute(observed, STEPS)
    assert set(imputed) == {m for m in setting.shapes if not observed.present[m].all()}
    for m, x in imputed.items():
        assert x.shape == (len(observed), frames, *setting.shapes[m]) and torch.isfinite(x).all()
        assert torch.equal(x.flatten(1).any(1), ~observed.present[m])


@pytest.mark.parametrize("frames", [1, 5])
def test_the_output_is_every_modality_as_recorded_or_imputed(case, frames):
    setting, _, observed = case
    completion = made(setting, frames)
    output, imputed = completion(observed), completion.impute(observed, Sampling())
    for m in setting.shapes:
        known = observed.present[m]
        means = mean_over_segments(*observed.frames(m), frames)
        assert torch.equal(output[m][known], means[known])
        assert m not in imputed or torch.equal(output[m][~known], imputed[m][~known])


def test_a_complete_batch_is_passed_by(case):
    setting, batch, _ = case
    assert made(setting).impute(batch, STEPS) == {}


@pytest.mark.parametrize("inject", INJECT)
def test_nothing_leaks(case, inject):
    """Whatever values an absent modality has, even nan: the same to the last bit."""
    setting, _, observed = case
    completion = made(setting, frames=3, inject=inject)
    before = completion.impute(observed, STEPS)
    for value in (7.0, torch.nan, torch.inf):
        x = {m: torch.where(observed.present[m][:, None, None], t, value) for m, t in observed.x.items()}
        after = completion.impute(observed.replace(x=x, labels={}), STEPS)
        assert all(torch.equal(after[m], before[m]) for m in before)


def test_every_available_modality_changes_the_imputation_of_the_others(case):
    setting, batch, _ = case
    completion, names = made(setting), set(setting.shapes)
    for given in names:
        for absent in names - {given}:
            observed = corrupt(batch, Condition(seen=tuple(names - {absent})), stream("law"))
            other = observed.replace(x=observed.x | {given: observed.x[given] + observed.mask[given][..., None]})
            pair = (completion.impute(part, STEPS)[absent] for part in (observed, other))
            apart = (next(pair) - next(pair)).abs().amax((1, 2))
            assert (apart > 1e-6).all(), f"{given} does not matter for {absent}"


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("frames", [1, 4])
def test_a_sample_does_not_see_its_neighbours(case, frames, sampler):
    setting, _, observed = case
    completion, sampling = made(setting, frames), Sampling(4, sampler)
    together = completion.impute(observed, sampling)
    for i in range(len(observed)):
        for m, x in completion.impute(observed[[i]], sampling).items():
            torch.testing.assert_close(x, together[m][[i]], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"sampler": "ddpm"}, {"eta": 0.5}, {"start": "zero"}], ids=str)
def test_evaluation_is_deterministic_and_fresh_noise_comes_from_the_global_stream(options):
    setting, sampling = SETTINGS["three sequences"], Sampling(4, **options)
    observed, completion = mixed(laws.small_batch(setting)), made(setting, 2)
    with seeded("before"):
        first, state = completion.impute(observed, sampling), torch.random.get_rng_state()
    with seeded("before"):
        assert torch.equal(state, torch.random.get_rng_state()), "evaluation draws from the global stream"
    assert all(torch.equal(first[m], x) for m, x in completion.impute(observed, sampling).items())
    for same, names in ((True, ("a", "a")), (False, ("a", "b"))):
        runs = []
        for name in names:
            with seeded(name):
                runs.append(completion.impute(observed, sampling, fresh=True))
        if options != {"start": "zero"}:  # from zero DDIM draws nothing
            assert all(torch.equal(runs[0][m], runs[1][m]) == same for m in first)


def test_every_sample_has_its_own_noise():
    """Where the condition is the same for all, draws differ all the same."""
    setting = Setting({"audio": (3,), "text": (4,)})
    batch = laws.small_batch(setting, samples=400)
    batch = batch.replace(x={m: torch.zeros_like(x) for m, x in batch.x.items()})
    observed = corrupt(batch, Condition(seen=("audio",)), stream("none"))
    drawn = made(setting).impute(observed, STEPS)["text"][:, 0]
    assert len(drawn.unique(dim=0)) == 400
    assert float(drawn.std(0).min()) > 0.3 > float(drawn.mean(0).abs().max())


def test_imputations_need_no_gradient():
    setting = SETTINGS["three vectors"]
    imputed = made(setting).impute(mixed(laws.small_batch(setting)), STEPS, fresh=True)
    assert not any(x.requires_grad for x in imputed.values())


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_the_loss_reads_present_modalities_and_no_label(case):
    setting, _, observed = case
    completion = made(setting, 2).train()
    x = {m: torch.where(observed.present[m][:, None, None], t, torch.nan) for m, t in observed.x.items()}
    losses = []
    for clean in (observed, observed.replace(x=x, labels={})):
        with seeded("loss"):
            losses.append(completion.loss(clean, clean)["diffusion"])
    assert torch.equal(*losses) and torch.isfinite(losses[0])


def test_the_loss_begins_at_that_of_white_noise():
    r"""Of white features of variance 1 the best guess of epsilon is sqrt(1 - \bar\alpha) x_t, and its error is
    \bar\alpha, mean over t."""
    widths, random = {"audio": 40, "text": 60}, np.random.default_rng(0)
    batch = collate({m: list(random.normal(size=(4000, width))) for m, width in widths.items()})
    completion = laws.make(Completion, Setting(batch.shapes, task=OwnError()))
    with seeded("white"):
        loss = completion.loss(batch, batch)["diffusion"]
    assert float(loss.detach()) == pytest.approx(float(completion.diffusion.alpha_bar[1:].mean()), rel=0.03)


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_learns(name):
    """From the second step on: the first moves only the ends, which begin at zero."""
    batch, completion = (
        laws.small_batch(CASES[name], samples=30),
        laws.make(Completion, of(CASES[name]), frames=3, **SMALL),
    )
    optimizer = torch.optim.Adam(completion.parameters(), lr=0.01)
    with seeded("learns"):
        for _ in range(2):
            optimizer.zero_grad()
            completion.loss(batch, batch)["diffusion"].backward()
            optimizer.step()
    for parameter, p in completion.named_parameters():
        assert p.grad.any() or (len(batch.x) == 1 and parameter.startswith("encoders")), parameter


@pytest.mark.parametrize("inject", INJECT)
def test_after_one_step_the_predicted_noise_depends_on_time_condition_and_case(inject):
    setting = SETTINGS["three sequences"]
    batch, completion = laws.small_batch(setting), laws.make(Completion, of(setting), frames=3, inject=inject, **SMALL)
    with seeded("one step"):
        completion.loss(batch, batch)["diffusion"].backward()
        torch.optim.Adam(completion.parameters(), lr=0.01).step()
    known = torch.tensor([[False, True, True]]).expand(len(batch), -1)
    wanted = completion.wanted(completion.features(batch), known, ~known)
    x_t = {"audio": completion.features(batch)["audio"]}
    t, level = torch.full((len(batch),), 500), torch.full((len(batch),), 0.5)
    predict = lambda t, wanted: completion.predict_noise(x_t, t, level, wanted)["audio"]  # noqa: E731
    guess = predict(t, wanted)
    earlier, other = predict(t - 400, wanted), predict(t, dataclasses.replace(wanted, condition=wanted.condition + 1))
    case = predict(t, dataclasses.replace(wanted, case=wanted.case.roll(1, 1)))
    for changed in (earlier, other, case):
        assert ((guess - changed).abs().amax((1, 2)) > 1e-5).all()


def test_the_given_modalities_are_drawn_evenly():
    """Six cases of three modalities, two of two, one of one: nothing is given, and of nothing there is none."""
    known = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [False, False, False]])
    with seeded("given"):
        draws = torch.stack([draw_given(known) for _ in range(6000)])
    assert not (draws & ~known).any()
    for row, cases in enumerate((6, 2, 1, 1)):
        values, counts = draws[:, row].unique(dim=0, return_counts=True)
        assert len(values) == cases
        assert (counts - 6000 / cases).abs().max() < 5 * (6000 / cases) ** 0.5
        if cases > 1:
            assert values.any(1).all() and not (values == known[row]).all(1).any()


# --- what imputations are worth ---------------------------------------------------------------------------------------


def test_errors_of_the_truth_and_of_the_mean():
    batch = laws.small_batch(SETTINGS["three sequences"])
    observed = mixed(batch)
    truth = {m: mean_over_segments(*batch.frames(m), 2) for m in batch.x}
    for m, errors in imputation_errors(truth, batch, observed).items():
        assert errors["cosine"] == pytest.approx(1.0, abs=1e-5) and errors["mse"] == 0
        lacking = imputation_errors(mean_imputation(observed, 2), batch, observed)[m]
        power = truth[m][~observed.present[m]].square().mean()
        assert lacking["cosine"] == 0 and lacking["mse"] == pytest.approx(float(power))
    assert imputation_errors(truth, batch, batch) == {}


def sharing(samples, longest, seed, widths):
    """Sequences that one factor of two values explains up to a tenth of their variance."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(samples, 2))
    mixing = {m: np.random.default_rng([7, i]).normal(size=(2, d)) / 2**0.5 for i, (m, d) in enumerate(widths.items())}
    lengths = random.integers(1, longest + 1, samples)
    x = {m: [0.95 * f @ w + 0.3 * random.normal(size=(n, widths[m])) for f, n in zip(factor, lengths, strict=True)]
         for m, w in mixing.items()}  # fmt: skip
    return collate(x)


@pytest.mark.parametrize(("frames", "longest", "inject"), [(1, 1, "concat"), (2, 5, "concat"), (2, 5, "film"),
                                                           (2, 5, "attention")])  # fmt: skip
def test_completion_learns_shared_information(frames, longest, inject):
    """After a short training a draw is nearer to the truth than the mean is, in every case, and the loss has fallen."""
    widths = {"audio": 5, "visual": 7, "text": 9}
    train, test = sharing(128, longest, 0, widths), sharing(100, longest, 1, widths)
    options = {"frames": frames, "unet": (32, 32), "condition": 16, "inject": inject, "lr_diffusion": 3e-3}
    completion = laws.make(Completion, Setting(train.shapes, longest, OwnError()), **options)
    budget = Budget(epochs=0, min_steps=200, batch_size=128, checks=10)
    losses = fit(completion, train, train[:4], CLEAN, budget, seed="shared").frame["diffusion"]
    assert losses.iloc[-1] < 0.7 * losses.iloc[0]
    ratios = {}
    for condition in missing(tuple(widths)):
        observed = corrupt(test, condition, stream("test"))
        ours = imputation_errors(completion.impute(observed, Sampling()), test, observed)
        mean = imputation_errors(mean_imputation(observed, frames), test, observed)
        ratios |= {(str(condition), m): ours[m]["mse"] / mean[m]["mse"] for m in ours}
        assert all(errors["cosine"] > 0.3 for errors in ours.values())
    assert len(ratios) == 9 and max(ratios.values()) < 0.9 and np.mean(list(ratios.values())) < 0.6, ratios


def test_on_the_synthetic_corpus_sampling_from_zero_beats_the_mean():
    """Its modalities share a tenth of their variance. A draw is then farther from the truth than the mean is, as any
    draw must be below one half; but it points to the right side, and from x_T = 0 the error is the smaller one."""
    from robustmer.corpora import load

    fold = load("synthetic", pooled=True).only(("audio", "visual")).fold(0)
    completion = laws.make(Completion, Setting(fold.train.shapes, 1, OwnError()), unet=(64, 64), lr_diffusion=3e-3)
    budget = Budget(epochs=0, min_steps=150, batch_size=len(fold.train), checks=1)
    fit(completion, fold.train, fold.valid, CLEAN, budget, seed="synthetic")
    for absent, given in (("audio", "visual"), ("visual", "audio")):
        observed = corrupt(fold.test, Condition(seen=(given,)), stream("test"))
        errors = lambda imputed: imputation_errors(imputed, fold.test, observed)[absent]  # noqa: B023, E731
        mean = errors(mean_imputation(observed))["mse"]
        drawn, centre = (errors(completion.impute(observed, Sampling(start=start))) for start in ("noise", "zero"))
        assert centre["mse"] < 0.96 * mean < drawn["mse"] and 0 < drawn["cosine"] < centre["cosine"]


def test_impossible_settings_are_named():
    with pytest.raises(ValueError, match='start=.*"zero"'):
        Sampling(start="one")
    with pytest.raises(ValueError, match="2000 sampling steps"):
        Sampling(2000)
    with pytest.raises(ValueError, match='sampler=.*"ddpm" or "ddim"'):
        Sampling(sampler="euler")
    with pytest.raises(ValueError, match="eta=1.5"):
        Sampling(eta=1.5)
    with pytest.raises(ValueError, match="frames=0"):
        Completion({"audio": (2,)}, OwnError(), frames=0)
