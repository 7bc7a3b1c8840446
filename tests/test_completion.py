"""Completion by diffusion: nothing leaks, rows stand alone, noise is fixed at evaluation, and training helps."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from robustmer import laws
from robustmer.batch import Batch, collate
from robustmer.conditions import CLEAN, Condition, corrupt, missing
from robustmer.corpora import load
from robustmer.nn.completion import Completion, completion_errors, draw_given, mean_imputation
from robustmer.nn.prompts import mean_over_segments
from robustmer.nn.unet import INJECT
from robustmer.noise import stream
from robustmer.train import seeded

SHAPES = laws.SHAPES | {"one sequence": ({"audio": 3}, 4), "one row's worth": ({"audio": 1, "text": 3}, 2)}
SMALL = {"widths": (8, 12), "condition": 6, "steps": 4}


def made(dims, frames=1, **options):
    """Off its beginning, where the noise it predicts would not depend on anything but x_t."""
    with seeded("completion"), torch.no_grad():
        completion = Completion(dims, frames, **(SMALL | options))
        for p in completion.parameters():
            p += 0.1 * torch.randn_like(p)
    return completion.eval()


def mixed(batch: Batch) -> Batch:
    """Rows that lack something, each its own, beside rows that lack nothing."""
    return corrupt(batch, (CLEAN, *missing(batch.modalities)), stream("mixed"))


@pytest.fixture(params=SHAPES)
def shape(request):
    dims, longest = SHAPES[request.param]
    batch = laws.small_batch(dims, longest)
    return dims, batch, mixed(batch)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_every_absent_modality_is_completed_and_nothing_else(shape, frames):
    dims, batch, seen = shape
    completed = made(dims, frames).complete(seen)
    assert set(completed) == {m for m in dims if not seen.present[m].all()}
    for m, x in completed.items():
        assert x.shape == (len(seen), frames, dims[m]) and torch.isfinite(x).all()
        assert torch.equal(x.flatten(1).any(1), ~seen.present[m])


@pytest.mark.parametrize("frames", [1, 5])
def test_a_filled_batch_has_everything_and_keeps_what_was_there(shape, frames):
    dims, batch, seen = shape
    completion = made(dims, frames)
    filled, completed = completion.fill(seen), completion.complete(seen)
    for m in dims:
        there, length = seen.present[m], seen.x[m].shape[1]
        assert filled.present[m].all()
        assert torch.equal(filled.x[m][there, :length], seen.x[m][there])
        assert torch.equal(filled.real[m][there, :length], seen.real[m][there])
        assert not filled.real[m][there, length:].any() and not filled.x[m][there, length:].any()
        if m in completed:
            assert torch.equal(filled.x[m][~there, :frames], completed[m][~there])
            assert filled.real[m][~there, :frames].all() and not filled.real[m][~there, frames:].any()


def test_a_batch_that_lacks_nothing_is_passed_by(shape):
    dims, batch, _ = shape
    assert made(dims).complete(batch) == {} and made(dims).fill(batch) is batch


@pytest.mark.parametrize("inject", INJECT)
def test_nothing_leaks(shape, inject):
    """Whatever stands where a modality is absent, even what is not a number: the same to the last bit."""
    dims, batch, seen = shape
    completion = made(dims, frames=3, inject=inject)
    before = completion.complete(seen)
    for what in (7.0, torch.nan, torch.inf):
        x = {m: torch.where(seen.present[m][:, None, None], t, what) for m, t in seen.x.items()}
        after = completion.complete(seen.replace(x=x, label=torch.zeros_like(seen.label)))
        assert all(torch.equal(after[m], before[m]) for m in before)


def test_what_is_there_matters(shape):
    """Each available modality changes the completion of the others."""
    dims, batch, _ = shape
    completion = made(dims)
    for given in dims:
        for absent in set(dims) - {given}:
            seen = corrupt(batch, Condition(seen=tuple(m for m in dims if m != absent)), stream("law"))
            other = seen.replace(x=seen.x | {given: seen.x[given] + seen.real[given][..., None]})
            apart = (completion.complete(seen)[absent] - completion.complete(other)[absent]).abs().amax((1, 2))
            assert (apart > 1e-6).all(), f"{given} does not matter for {absent}"


@pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
@pytest.mark.parametrize("frames", [1, 4])
def test_a_row_does_not_see_its_neighbours(shape, frames, sampler):
    dims, batch, seen = shape
    completion = made(dims, frames, sampler=sampler)
    whole = completion.complete(seen)
    for row in range(len(seen)):
        for m, x in completion.complete(seen[[row]]).items():
            torch.testing.assert_close(x, whole[m][[row]], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 3])
def test_padding_does_not_matter(shape, frames):
    dims, batch, seen = shape
    pad = torch.nn.functional.pad
    padded = seen.replace(
        x={m: pad(x, (0, 0, 0, 4)) for m, x in seen.x.items()}, real={m: pad(r, (0, 4)) for m, r in seen.real.items()}
    )
    completion = made(dims, frames)
    before, after = completion.complete(seen), completion.complete(padded)
    assert all(torch.allclose(before[m], after[m], atol=1e-5) for m in before)


@pytest.mark.parametrize("options", [{}, {"sampler": "ddpm"}, {"eta": 0.5}, {"start": "zero"}], ids=str)
def test_evaluation_is_deterministic_and_training_draws_from_the_global_stream(options):
    dims, longest = SHAPES["three sequences"]
    seen = mixed(laws.small_batch(dims, longest))
    completion = made(dims, 2, **options)
    with seeded("before"):
        first, state = completion.complete(seen), torch.random.get_rng_state()
    with seeded("before"):
        assert torch.equal(state, torch.random.get_rng_state()), "evaluation draws from the global stream"
    assert all(torch.equal(first[m], x) for m, x in completion.complete(seen).items())
    completion.train()
    for same, names in ((True, ("a", "a")), (False, ("a", "b"))):
        runs = []
        for name in names:
            with seeded(name):
                runs.append(completion.complete(seen))
        if options != {"start": "zero"}:  # from there DDIM draws nothing at all
            assert all(torch.equal(runs[0][m], runs[1][m]) == same for m in first)


def test_each_utterance_has_its_own_noise():
    """Where nothing is told apart by the condition, draws differ all the same."""
    dims = {"audio": 3, "text": 4}
    batch = laws.small_batch(dims, 1, rows=400)
    batch = batch.replace(x={m: torch.zeros_like(x) for m, x in batch.x.items()})
    drawn = made(dims).complete(corrupt(batch, Condition(seen=("audio",)), stream("none")))["text"][:, 0]
    assert len(drawn.unique(dim=0)) == 400
    assert float(drawn.std(0).min()) > 0.3 > float(drawn.mean(0).abs().max())


def test_completions_need_no_gradient():
    dims, longest = SHAPES["three vectors"]
    seen = mixed(laws.small_batch(dims, longest))
    assert not any(x.requires_grad for x in made(dims).train().complete(seen).values())


# --- the loss ---------------------------------------------------------------------------------------------------------


def test_the_loss_reads_what_is_present_and_no_label(shape):
    """Rows with something absent: what stands there teaches nothing, to the last bit."""
    dims, _, seen = shape
    completion = made(dims, 2).train()
    x = {m: torch.where(seen.present[m][:, None, None], t, torch.nan) for m, t in seen.x.items()}
    with seeded("loss"):
        before = completion.loss(seen)["diffusion"]
    with seeded("loss"):
        after = completion.loss(seen.replace(x=x, label=-torch.ones_like(seen.label)))["diffusion"]
    assert torch.equal(before, after) and torch.isfinite(before)


def test_the_loss_begins_at_that_of_white_noise():
    r"""Of white features of variance 1 the best guess of epsilon is sqrt(1 - \bar\alpha) x_t, and it errs by
    \bar\alpha, mean over t."""
    dims = {"audio": 40, "text": 60}
    random = np.random.default_rng(0)
    batch = collate({m: list(random.normal(size=(4000, d))) for m, d in dims.items()}, np.zeros(4000, dtype=int))
    with seeded("white"):
        completion = Completion(dims)
        loss = completion.loss(batch)["diffusion"]
    assert float(loss.detach()) == pytest.approx(float(completion.diffusion.alpha_bar[1:].mean()), rel=0.03)


def test_every_parameter_is_taught():
    """From the second step on: the first only moves the ends, which begin at zero."""
    for dims, longest in SHAPES.values():
        batch = laws.small_batch(dims, longest, rows=30)
        with seeded("taught"):
            completion = Completion(dims, 3, **SMALL)
            optimizer = torch.optim.Adam(completion.parameters(), lr=0.01)
            for _ in range(2):
                optimizer.zero_grad()
                completion.loss(batch)["diffusion"].backward()
                optimizer.step()
        for name, p in completion.named_parameters():
            assert p.grad.any() or (len(dims) == 1 and name.startswith("encoders")), name


@pytest.mark.parametrize("inject", INJECT)
def test_after_one_step_the_predicted_noise_hears_time_and_condition(inject):
    dims, longest = SHAPES["three sequences"]
    batch = laws.small_batch(dims, longest)
    with seeded("one step"):
        completion = Completion(dims, 3, inject=inject, **SMALL)
        completion.loss(batch)["diffusion"].backward()
        torch.optim.Adam(completion.parameters(), lr=0.01).step()
    here = torch.tensor([[False, True, True]]).expand(len(batch), -1)
    wanted = completion.wanted(completion.features(batch), here, ~here)
    x_t = {"audio": completion.features(batch)["audio"]}
    t, level = torch.full((len(batch),), 500), torch.full((len(batch),), 0.5)
    guess = completion.predict(x_t, t, level, wanted)["audio"]
    earlier = completion.predict(x_t, t - 400, level, wanted)["audio"]
    other = completion.predict(x_t, t, level, replace(wanted, condition=wanted.condition + 1))["audio"]
    case = completion.predict(x_t, t, level, replace(wanted, case=wanted.case.roll(1, 1)))["audio"]
    for changed in (earlier, other, case):
        assert ((guess - changed).abs().amax((1, 2)) > 1e-5).all()


def test_what_a_row_does_without_is_drawn_evenly():
    """Six cases of three modalities, two of two, one of one: nothing is given, and of nothing there is none."""
    here = torch.tensor([[True, True, True], [True, False, True], [False, True, False], [False, False, False]])
    with seeded("given"):
        draws = torch.stack([draw_given(here) for _ in range(6000)])
    assert not (draws & ~here).any()
    for row, cases in enumerate((6, 2, 1, 1)):
        values, counts = draws[:, row].unique(dim=0, return_counts=True)
        assert len(values) == cases
        assert (counts - 6000 / cases).abs().max() < 5 * (6000 / cases) ** 0.5
        if cases > 1:
            assert values.any(1).all() and not (values == here[row]).all(1).any()


# --- what completions are worth ---------------------------------------------------------------------------------------


def test_errors_of_the_truth_and_of_the_mean():
    dims, longest = SHAPES["three sequences"]
    batch = laws.small_batch(dims, longest)
    seen = mixed(batch)
    truth = {m: mean_over_segments(batch.x[m], batch.real[m], 2) for m in dims}
    for m, errors in completion_errors(truth, batch, seen).items():
        assert errors["cosine"] == pytest.approx(1.0, abs=1e-5) and errors["mse"] == 0
        lacking = completion_errors(mean_imputation(seen, 2), batch, seen)[m]
        power = truth[m][~seen.present[m]].square().mean()
        assert lacking["cosine"] == 0 and lacking["mse"] == pytest.approx(float(power))
    assert completion_errors(truth, batch, batch) == {}


def train(completion, batch, steps, lr=3e-3):
    losses = []
    optimizer = torch.optim.Adam(completion.parameters(), lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * min(1.0, 2 * (1 - step / steps))
        optimizer.zero_grad()
        loss = completion.loss(batch)["diffusion"]
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    completion.eval()
    return losses


def sharing(rows, longest, seed, dims):
    """Sequences that one factor of two values explains up to a tenth of their variance."""
    random = np.random.default_rng(seed)
    factor = random.normal(size=(rows, 2))
    mixing = {m: np.random.default_rng([7, i]).normal(size=(2, d)) / 2**0.5 for i, (m, d) in enumerate(dims.items())}
    lengths = random.integers(1, longest + 1, rows)
    x = {m: [0.95 * f @ w + 0.3 * random.normal(size=(n, dims[m])) for f, n in zip(factor, lengths, strict=True)]
         for m, w in mixing.items()}  # fmt: skip
    return collate(x, np.zeros(rows, dtype=int))


@pytest.mark.parametrize(("frames", "longest", "inject"), [(1, 1, "concat"), (2, 5, "concat"), (2, 5, "film"),
                                                           (2, 5, "attention")])  # fmt: skip
def test_completion_learns_what_modalities_share(frames, longest, inject):
    """After a short training a draw is nearer to the truth than the mean is, in every case, and the loss has fallen."""
    dims = {"audio": 5, "visual": 7, "text": 9}
    with seeded("what modalities share"):
        completion = Completion(dims, frames, widths=(32, 32), condition=16, inject=inject)
        losses = train(completion, sharing(128, longest, 0, dims), 200)
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])
    test, ratios = sharing(100, longest, 1, dims), {}
    for condition in missing(tuple(dims)):
        seen = corrupt(test, condition, stream("test"))
        ours = completion_errors(completion.complete(seen), test, seen)
        mean = completion_errors(mean_imputation(seen, frames), test, seen)
        ratios |= {(str(condition), m): ours[m]["mse"] / mean[m]["mse"] for m in ours}
        assert all(errors["cosine"] > 0.3 for errors in ours.values())
    assert len(ratios) == 9 and max(ratios.values()) < 0.9 and np.mean(list(ratios.values())) < 0.6, ratios


def test_on_the_synthetic_corpus_the_middle_of_all_starts_beats_the_mean():
    """Its modalities share a tenth of their variance. A draw is then farther from the truth than the mean is, as any
    draw must be below one half; but it points the right way, and from x_T = 0 the error is the smaller one."""
    corpus = load("synthetic", modalities=("audio", "visual"), pooled=True)
    data, _, test = corpus.fold(0)
    with seeded("synthetic"):
        completion = Completion(data.dims, widths=(64, 64))
        train(completion, data, 150)
    for absent, given in (("audio", "visual"), ("visual", "audio")):
        seen = corrupt(test, Condition(seen=(given,)), stream("test"))
        mean = completion_errors(mean_imputation(seen), test, seen)[absent]["mse"]
        completion.start = "noise"
        drawn = completion_errors(completion.complete(seen), test, seen)[absent]
        completion.start = "zero"
        middle = completion_errors(completion.complete(seen), test, seen)[absent]
        assert middle["mse"] < 0.96 * mean < drawn["mse"] and 0 < drawn["cosine"] < middle["cosine"]


def test_what_cannot_be_made_is_named():
    with pytest.raises(ValueError, match='start=.*"zero"'):
        Completion({"audio": 2}, start="one")
    with pytest.raises(ValueError, match="frames=0"):
        Completion({"audio": 2}, frames=0)
    with pytest.raises(ValueError, match="2000 sampling steps"):
        Completion({"audio": 2}, steps=2000)
    with pytest.raises(ValueError, match='sampler=.*"ddpm" or "ddim"'):
        Completion({"audio": 2}, sampler="euler")
