"""MDVAE: sizes of Table A.7, the objective against an exact evidence, swaps, codecs that stay, and the laws with codecs."""

import dataclasses
import math

import pytest
import torch
from small import SMALL
from torch import nn

from robustmer import laws
from robustmer.batch import collate
from robustmer.batching import with_targets
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.laws import Setting
from robustmer.noise import stream
from robustmer.systems import DSAE, MDVAE, VQVAE, JointMVAE, Upstream, count_parameters
from robustmer.systems.frame_vae import CODECS, cropped
from robustmer.tasks import OwnError, Reconstruct
from robustmer.training import fit, seeded

TINY = {"width": 8, "codes": 6, "code_width": 2}
SMALL_CODECS = {
    name: dataclasses.replace(declared, options={**declared.options, **TINY}) for name, declared in CODECS.items()
}


class WithCodecs(SMALL["MDVAE"]):
    upstream = SMALL_CODECS


class JointWithCodecs(SMALL["JointMVAE"]):
    upstream = SMALL_CODECS


BOTH = Setting({"audio": (17,), "visual": (1, 8, 8)}, 6, OwnError(), {"codecs": ("audio", "visual")})
RAW = dataclasses.replace(BOTH, options={})
QUICK = [law for law in laws.LAWS if law is not laws.one_small_batch_can_be_overfitted]


@pytest.mark.parametrize("law", QUICK, ids=lambda law: law.__name__)
@pytest.mark.parametrize("system", [WithCodecs, JointWithCodecs], ids=lambda system: system.__name__)
def test_systems_with_codecs_keep_the_laws(system, law):
    law(system, BOTH)


@pytest.mark.parametrize("options", [{"static": 0}, {"shared": 0}, {"kl_static": "per_frame"}, {"warm_up": 5},
                                     {"modalities": ("visual",)}], ids=str)  # fmt: skip
@pytest.mark.parametrize("law", [laws.a_sample_does_not_see_its_neighbours, laws.padding_does_not_change_an_output,
                                 laws.training_is_repeatable], ids=lambda law: law.__name__)  # fmt: skip
def test_every_option_keeps_the_laws(law, options):
    law(SMALL["MDVAE"], dataclasses.replace(RAW, options=options))


def full(system, shapes, **options):
    with torch.device("meta"):
        codecs = {f"{m}_codec": VQVAE(shapes, Reconstruct((m,)), m) for m in options.get("codecs", ())}
        return system(shapes, OwnError(), **codecs, **options)


FACES = {"audio": (513,), "visual": (3, 64, 64)}


def test_the_weights_are_those_of_table_a7():
    """As the equations need them. B1 and B2 read 2,048 and 512 numbers of the two codecs."""
    system = full(MDVAE, FACES, codecs=("audio", "visual"))
    assert sum(p.numel() for p in system.own_parameters()) == 8_489_704
    blocks = {"B1": (system.read["visual"], 2_622_976), "B3": (system.of_sequence, 2_143_656),
              "B4 and B5": (system.of_all, 66_400 + 353_696),
              "B6 and B7": (system.of_modality["audio"], 57_648 + 99_504),
              "B8 and B9": (system.of_modality["visual"], 62_288 + 224_656),
              "B10": (system.decoders["visual"], 2_680_320), "B11": (system.decoders["audio"], 178_560)}  # fmt: skip
    assert {name: count_parameters(block) for name, (block, _) in blocks.items()} == {
        name: size for name, (_, size) in blocks.items()
    }
    assert isinstance(system.decoders["visual"][-1], nn.Linear), "the targets are unbounded"


def test_the_other_systems_have_the_same_blocks():
    for m, decoder in (("audio", 178_560), ("visual", 2_680_320)):
        alone = full(DSAE, FACES, modality=m, codecs=(m,))
        assert alone.of_all is None and {*alone.decoders} == {m} == {*alone.of_modality}
        assert count_parameters(alone.decoders[m]) == decoder, "84 + 24 numbers are 84 + 16 + 8"
    joint = full(JointMVAE, FACES, codecs=("audio", "visual"))
    assert [count_parameters(joint.decoders[m]) for m in ("audio", "visual")] == [178_560, 2_680_320]
    raw = full(MDVAE, FACES, power=("audio",))
    assert [layer.in_features for layer in raw.read["visual"].modules() if isinstance(layer, nn.Linear)] == [
        12288,
        1024,
    ]
    assert raw.decoders["visual"][-1].out_features == 12288 and raw.decoders["audio"][-1].out_features == 513


# --- the objective ----------------------------------------------------------------------------------------------------

DIM, TIME, COPIES = 3, 4, 20_000


class ExactStatic(nn.Module):
    """q(w | x_1:T) of the toy, moved by `shift`."""

    def __init__(self, a, b, covariance, shift=0.0):
        super().__init__()
        self.weights, self.b, self.shift = torch.linalg.solve(covariance, a), b, shift
        self.precision = 1 + TIME * (a * self.weights).sum()

    def forward(self, frames, mask):
        mean = ((frames - self.b) @ self.weights).sum(1, keepdim=True) / self.precision + self.shift
        return mean, torch.full_like(mean, -math.log(self.precision))


def toy(shift: float):
    """A linear-Gaussian MDVAE of one modality with one static and one own latent, x_t = a w + c z_t + b + noise, and
    its exact posterior. Returns minus its ELBO and minus the evidence, in nats a sequence."""
    torch.manual_seed(3)
    a, c, b, x = torch.randn(DIM), torch.randn(DIM), torch.randn(DIM), torch.randn(TIME, DIM)
    batch = collate({"audio": [x.numpy()]})[[0] * COPIES]
    system = MDVAE({"audio": (DIM,)}, OwnError(), static=1, shared=0, own=1, width=16).eval()
    covariance = torch.outer(c, c) + torch.eye(DIM)
    system.of_sequence = ExactStatic(a, b, covariance, shift)
    chain, precision = system.of_modality["audio"], 1 + c @ c
    chain.first, chain.rest = nn.Linear(DIM + 1 + chain.parts[2], 2), nn.Identity()
    decoder = nn.Linear(2, DIM)
    with torch.no_grad():
        for parameter in [*chain.prior.parameters(), *chain.first.parameters()]:
            parameter.zero_()  # the prior of z_t is standard
        chain.first.weight[0, : DIM + 1] = torch.cat([c, -(c @ a)[None]]) / precision
        chain.first.bias.copy_(torch.stack([-(c @ b) / precision, -precision.log()]))
        decoder.weight.copy_(torch.stack([a, c], dim=1))
        decoder.bias.copy_(b)
    system.decoders["audio"] = decoder
    with seeded("toy"), torch.no_grad():
        terms = system.loss(batch, batch)
    whole = torch.kron(torch.ones(TIME, TIME), torch.outer(a, a)) + torch.kron(torch.eye(TIME), covariance)
    evidence = torch.distributions.MultivariateNormal(b.repeat(TIME), whole).log_prob(x.flatten())
    constant = DIM / 2 * math.log(2 * math.pi)
    return TIME * (float(sum(terms.values())) + constant), -float(evidence), {k: float(v) for k, v in terms.items()}


def test_the_elbo_of_the_exact_posterior_is_the_evidence():
    """Where the exact posterior is Gaussian and diagonal, the bound is tight: every weight of the loss is right."""
    bound, evidence, _ = toy(0.0)
    assert bound == pytest.approx(evidence, abs=0.05), "the error of 20,000 draws is about 0.01"


def test_the_elbo_of_another_posterior_is_lower_by_its_kl():
    bound, evidence, terms = toy(1.0)
    _, _, exact = toy(0.0)
    assert bound > evidence + 0.3
    assert terms["KL static"] > exact["KL static"] or terms["audio"] > exact["audio"]


def test_the_released_codes_weights():
    """The KL of w counts once a frame, and the squared error is not halved."""
    once, heavy = (laws.make(SMALL["MDVAE"], dataclasses.replace(RAW, options={"kl_static": kind})).eval()
                   for kind in ("once", "per_frame"))  # fmt: skip
    batch = laws.small_batch(RAW)
    batch = batch.replace(mask={m: torch.ones_like(mask) for m, mask in batch.mask.items()})
    terms = []
    for system in (once, heavy):
        with seeded("draw"):
            terms.append(system.loss(batch, batch))
    assert float(terms[1]["KL static"]) == pytest.approx(6 * float(terms[0]["KL static"]), rel=1e-5)
    assert float(terms[1]["visual"]) == pytest.approx(2 * float(terms[0]["visual"]), rel=1e-5)
    assert torch.equal(terms[0]["KL shared"], terms[1]["KL shared"])


def test_beta_rises_within_the_warm_up_and_is_whole_in_validation():
    system = laws.make(SMALL["MDVAE"], dataclasses.replace(RAW, options={"warm_up": 4}))
    batch, shares = laws.small_batch(RAW), []
    for mode in (True, False):
        system.train(mode)
        with seeded("beta"):
            shares.append(float(system.loss(batch, batch)["KL static"]))
    assert 0 < shares[0] < shares[1] and int(system.steps) == 0
    fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=3, checks=1), seed="law")
    assert int(system.steps) == 3


def test_a_window_is_of_consecutive_frames_and_reaches_every_frame():
    batch = collate({"audio": [torch.arange(9.0)[:, None].numpy() + 1, torch.arange(2.0)[:, None].numpy() + 1]})
    for start in range(6):
        made = cropped(batch, torch.tensor([start, 0]), 4)
        assert made.x["audio"][0, :, 0].tolist() == [start + k + 1 for k in range(4)]
        assert made.mask["audio"].tolist() == [[True] * 4, [True, True, False, False]]
    system = laws.make(SMALL["MDVAE"], Setting({"audio": (1,)}, task=OwnError())).train()
    with pytest.MonkeyPatch.context() as patch:
        starts = []
        patch.setattr("robustmer.systems.frame_vae.cropped", lambda b, at, n: starts.append(at) or cropped(b, at, n))
        for _ in range(60):
            system.loss(batch, batch)
    starts = torch.stack(starts)
    assert {*starts[:, 0].tolist()} == {*range(6)} and not starts[:, 1].any()


# --- latents ----------------------------------------------------------------------------------------------------------


def made(system=WithCodecs, setting=BOTH, rows=4):
    batch = laws.small_batch(setting, 2 * rows)
    batch = batch.replace(mask={m: torch.ones_like(mask) for m, mask in batch.mask.items()})
    return laws.off_zero(laws.make(system, setting)).eval(), batch[:rows], batch[rows:]


def test_exchanging_all_latents_exchanges_the_reconstructions():
    system, one, other = made()
    a, b = system.infer(one), system.infer(other)
    for part in ("static", "shared", "audio", "visual"):
        a, b = a.exchange(b, part), b.exchange(a, part)
    laws.assert_same(system.generate(a), system(other))
    laws.assert_same(system.generate(b), system(one))


@pytest.mark.parametrize("setting", [BOTH, RAW], ids=["codecs", "raw"])
@pytest.mark.parametrize(("part", "stays"), [("audio", "visual"), ("visual", "audio")])
def test_an_own_latent_changes_its_modality_and_leaves_the_other_bit_for_bit(part, stays, setting):
    system, one, other = made(setting=setting)
    a, b = system.infer(one), system.infer(other)
    before, after = system.decode(a), system.decode(a.exchange(b, part))
    assert torch.equal(before[stays], after[stays]) and not torch.equal(before[part], after[part])
    assert torch.equal(system.generate(a)[stays], system.generate(a.exchange(b, part))[stays])
    for common in ("static", "shared"):
        changed = system.decode(a.exchange(b, common))
        assert not any(torch.equal(before[m], changed[m]) for m in before)


def test_latents_of_different_lengths_are_exchanged_in_their_common_frames():
    system, one, other = made()
    a, b = system.infer(one), system.infer(other).cut(3)
    joined = a.exchange(b, "shared")
    assert joined.mask.shape == (4, 3) and torch.equal(joined.shared, b.shared)
    assert torch.equal(joined.own["audio"], a.own["audio"][:, :3])
    assert a.exchange(b, "static").mask.shape == (4, 6)
    with pytest.raises(ValueError, match="static, shared, audio, visual"):
        a.exchange(b, "pulse")


def test_latents_of_a_frame_do_not_see_later_frames_given_w_and_w_sees_all():
    """Bit for bit: `code` is held, a later frame is changed."""
    system, batch, _ = made(setting=RAW)
    later = batch.replace(x={m: torch.cat([x[:, :3], 5 + x[:, 3:]], dim=1) for m, x in batch.x.items()})
    assert not torch.allclose(system.code(batch), system.code(later))
    held = (system.code(batch), torch.zeros(4, 6))
    system.static_posterior = lambda features, mask: held
    one, other = system.infer(batch), system.infer(later)
    assert torch.equal(one.shared[:, :3], other.shared[:, :3]) and not torch.equal(one.shared[:, 3], other.shared[:, 3])
    for m in batch.x:
        assert torch.equal(one.own[m][:, :3], other.own[m][:, :3])


def test_a_modality_that_is_absent_is_generated_from_the_prior_of_its_own_latents():
    system, batch, other = made()
    unheard = system.infer(corrupt(batch, Condition(seen=("visual",)), stream("swap")))
    chain = system.of_modality["audio"]
    first = chain.prior(torch.zeros(1, chain.gru.hidden_size))[:, : chain.size]
    torch.testing.assert_close(unheard.own["audio"][:, 0], first.expand(4, -1))
    assert torch.equal(unheard.own["audio"][0], unheard.own["audio"][1])
    assert system.generate(unheard)["audio"].shape == batch.x["audio"].shape


def test_draws_vary_and_means_do_not():
    system, batch, _ = made()
    with seeded("draws"):
        one, other = (system.infer(batch, sample=True) for _ in range(2))
    assert not torch.equal(one.static, other.static) and not torch.equal(one.own["audio"], other.own["audio"])
    assert torch.equal(system.infer(batch).static, system.code(batch))


def test_nats_are_what_the_loss_counts():
    system, batch, _ = made(setting=RAW)
    with seeded("nats"):
        nats = system.nats(batch)
    with seeded("nats"):
        terms = system.loss(batch, batch)
    assert {name: len(values) for name, values in nats.items()} == {"static": 6, "shared": 4, "audio": 3, "visual": 3}
    for name, values in nats.items():
        share = float(values.sum()) / (6 if name == "static" else 1)  # w counts once in the six frames
        assert float(terms[f"KL {name}"]) == pytest.approx(system.beta * share, rel=1e-4)


# --- codecs -----------------------------------------------------------------------------------------------------------


def test_codecs_stay_as_they_are_in_training_and_in_every_use():
    """Neither parameters nor buffers: the released code's codebooks move whenever it reconstructs."""
    system, batch, _ = made()
    before = {name: tensor.clone() for name, tensor in system.state_dict().items() if "_codec." in name}
    assert any("quantiser" in name for name in before)
    fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=3, checks=2), seed="law")
    system.train()
    system(batch), system.nats(batch), system.code(batch), system.generate(system.infer(batch, sample=True))
    for name, tensor in before.items():
        assert torch.equal(tensor, system.state_dict()[name]), name


def test_targets_are_the_encoders_outputs_and_are_computed_once():
    system, batch, _ = made()
    ready = with_targets(system, batch)
    for m in ("audio", "visual"):
        codec = system.codec(m)
        expected = codec.encode(batch.frames(m)[0].flatten(0, 1)).unflatten(0, (4, 6))
        torch.testing.assert_close(ready.targets[f"{m} latent"], expected)
    system.encoded = lambda *of: pytest.fail("the codec read the frames again")
    with seeded("law"):
        assert all(torch.isfinite(value) for value in system.train().loss(ready, ready).values())


def test_targets_of_more_samples_than_a_part_are_padded_to_the_longest():
    batch = laws.small_batch(BOTH, 520)
    ready = with_targets(laws.make(WithCodecs, BOTH), batch)
    assert ready.targets["audio latent"].shape[:2] == batch.mask["audio"].shape


def test_power_spectra_have_a_positive_reconstruction_and_a_loss_that_a_silent_bin_leaves_finite():
    setting = dataclasses.replace(RAW, options={"power": ("audio",)})
    system, batch = laws.make(SMALL["MDVAE"], setting), laws.small_batch(RAW)
    batch = batch.replace(x={**batch.x, "audio": batch.x["audio"].square()})
    batch.x["audio"][:, 0] = 0
    assert system(batch)["audio"][batch.mask["audio"]].min() > 0
    history = fit(system, batch, batch, CLEAN, Budget(epochs=0, min_steps=40, checks=4), seed="law").frame
    assert history["audio"].iloc[-1] < history["audio"].iloc[0]


@pytest.mark.parametrize(("options", "message"), [
    ({"modalities": ("text",)}, "modalities=.*the samples have audio, visual"), ({"width": 20}, "multiple of 16"),
    ({"power": ("text",)}, "power=.*without a codec"), ({"own": 0}, "own latents 1 or more"),
    ({"kl_static": "twice"}, "'once' or 'per_frame'"), ({"window": 0}, "one frame or more"),
    ({"codecs": ("audio",)}, "those given are of no modality"),
], ids=str)  # fmt: skip
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MDVAE(RAW.shapes, OwnError(), **options)


def test_what_a_system_lacks_is_named():
    with pytest.raises(ValueError, match="static=84"):
        laws.make(SMALL["MDVAE"], dataclasses.replace(RAW, options={"static": 0})).code(laws.small_batch(RAW))
    with pytest.raises(ValueError, match="modality='audio'"):
        DSAE(RAW.shapes, OwnError())
    with pytest.raises(ValueError, match="'audio' and 'visual' can have one"):
        MDVAE.starts_from({"codecs": ("text",)})
    assert isinstance(MDVAE.starts_from({"codecs": ("audio",)})["audio_codec"], Upstream)
