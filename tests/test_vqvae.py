"""The codecs: sizes of Tables A.5 and A.6, the Itakura-Saito loss, a codebook that only training moves, and all laws."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from robustmer import laws
from robustmer.batch import collate
from robustmer.budget import Budget
from robustmer.laws import Setting
from robustmer.metrics.reconstruction import itakura_saito
from robustmer.systems import VQVAE, System, count_parameters, load, save
from robustmer.systems.system import Objective, Upstream
from robustmer.tasks import Reconstruct
from robustmer.training import fit, seeded

RGB, GRAY, SOUND = {"visual": (3, 64, 64)}, {"visual": (1, 64, 64)}, {"audio": (513,)}
PICTURES = Setting({"visual": (1, 16, 8)}, 4, Reconstruct(("visual",)), {"width": 8, "codes": 12, "code_width": 4})
SPECTRA = Setting({"audio": (17,)}, 4, Reconstruct(("audio",), ("IS",)),
                  {"modality": "audio", "width": 8, "codes": 12, "code_width": 4})  # fmt: skip


def made(shapes=RGB, seed=0, **options):
    modality = next(iter(shapes))
    with seeded("vqvae", seed):
        return VQVAE(shapes, Reconstruct((modality,)), modality, **options)


def frame_batch(setting, samples=12, seed=0, batch=laws.small_batch):
    """Samples with pixels or power in place of numbers of either sign."""
    made = batch(setting, samples, seed)
    return made.replace(x={m: x.square() if x.ndim == 3 else x.sigmoid() for m, x in made.x.items()})


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("setting", [PICTURES, SPECTRA], ids=["pictures", "spectra"])
def test_law(law, setting, monkeypatch):
    monkeypatch.setattr(laws, "small_batch", frame_batch)
    law(VQVAE, setting)


def test_both_terms_read_clean_frames_but_only_the_target_of_one(monkeypatch):
    monkeypatch.setattr(laws, "small_batch", frame_batch)
    assert laws.terms_that_read_clean(VQVAE, PICTURES) == {"reconstruct"}


def test_sizes_are_those_of_the_tables():
    visual, gray, audio = made(), made(GRAY), made(SOUND)
    assert count_parameters(visual.encoder) == 991_072 and count_parameters(visual.decoder) == 794_371
    assert count_parameters(visual) == 1_785_443
    assert count_parameters(gray) == 1_785_443 - 2 * 64 * 16 - (2 * 64 * 16 + 2), "two colours less"
    assert count_parameters(audio.encoder) == 11_736 and count_parameters(audio) == 24_473
    for codec, codebook, latent in ((visual, (512, 32), 2048), (audio, (128, 8), 512)):
        assert tuple(codec.quantiser.codebook.shape) == codebook and codec.latent_width == latent


@pytest.mark.parametrize(("shapes", "options", "count"), [(RGB, {}, 981_731), (SOUND, {"codes": 64}, 17_689)])
def test_the_released_codecs_have_as_many_weights_with_codebook_and_moving_sums(shapes, options, count):
    codec = made(shapes, residual="narrow", **options)
    codes = codec.quantiser
    assert count_parameters(codec) + codes.codebook.numel() + codes.total.numel() == count


def test_table_a6_as_printed_leads_to_127_254_and_510_bins():
    printed = [nn.ConvTranspose1d(32, 32, 3, 2, 1), nn.ConvTranspose1d(32, 16, 4, 2, 1), nn.ConvTranspose1d(16, 1, 4, 2, 0)]  # fmt: skip
    x, bins = torch.zeros(1, 32, 64), []
    for layer in printed:
        x = layer(x)
        bins.append(x.shape[-1])
    assert bins == [127, 254, 510]
    ours = [layer for layer in made(SOUND).decoder if isinstance(layer, nn.ConvTranspose2d)]
    sizes = [(layer.kernel_size[1], layer.stride[1], layer.padding[1]) for layer in ours]
    assert sizes == [(4, 2, 1), (4, 2, 1), (3, 2, 0)]


@pytest.mark.parametrize("shapes", [RGB, {"visual": (1, 32, 40)}, SOUND, {"audio": (257,)}], ids=str)
def test_frames_come_back_in_their_shape(shapes):
    codec, shape = made(shapes, width=8).eval(), next(iter(shapes.values()))
    frames = torch.rand(3, *shape)
    latent = codec.encode(frames)
    output = codec.decode(latent)
    assert latent.shape == (3, codec.latent_width) and output.shape == frames.shape
    assert (output >= 0).all() and (len(shape) == 1 or (output <= 1).all())
    index = codec.index(latent)
    assert index.shape == (3, codec.latent_width // codec.quantiser.codebook.shape[1])
    places = latent.unflatten(1, (-1, index.shape[1])).transpose(1, 2)
    nearest = torch.cdist(places, codec.quantiser.codebook[None]).argmin(-1)
    assert torch.equal(index, nearest), "latents are flattened with channels first"
    assert torch.allclose(codec.decode(latent[[1]]), output[[1]], atol=1e-5)


def test_codes_are_counted_over_recorded_frames():
    batch, codec = laws.small_batch(PICTURES), laws.make(VQVAE, PICTURES).eval()
    counts = codec.codes(batch)["visual"]
    assert torch.equal(counts.sum(1), 2.0 * batch.mask["visual"].sum(1)), "two places a picture"


def test_a_step_reads_as_many_random_frames_as_it_says(monkeypatch):
    batch, sizes = collate({"visual": [torch.rand(40, 1, 8, 8).numpy()] * 3}), []
    codec = VQVAE(batch.shapes, Reconstruct(("visual",)), width=8)
    encoder = codec.encoder.forward
    monkeypatch.setattr(codec.encoder, "forward", lambda x: sizes.append(len(x)) or encoder(x))
    codec.loss(batch, batch)
    codec.loss(batch[[0]], batch[[0]])
    assert sizes == [64, 40]
    absent = batch.replace(present={"visual": torch.zeros(3, dtype=torch.bool)})
    terms = codec.loss(batch, absent)
    assert all(value.detach() == 0 for value in terms.values())
    sum(terms.values()).backward()


def test_bytes_and_numbers_train_the_same():
    numbers = torch.randint(0, 256, (4, 3, 1, 8, 8), dtype=torch.uint8)
    states = []
    for x in (numbers, numbers.float() / 255):
        batch = collate({"visual": list(x.numpy())})
        codec = laws.make(VQVAE, dataclasses.replace(PICTURES, shapes=batch.shapes))
        fit(codec, batch, batch, budget=Budget(epochs=0, min_steps=2, checks=1), seed="bytes")
        states.append(codec.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_logarithm_of_silence_is_finite_and_pictures_have_none():
    batch = frame_batch(SPECTRA)
    batch = batch.replace(x={"audio": torch.zeros_like(batch.x["audio"])})
    codec = laws.make(VQVAE, SPECTRA, log_input=True)
    terms = codec.loss(batch, batch)
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in codec.parameters())
    with pytest.raises(ValueError, match="only power has a logarithm"):
        made(log_input=True)


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [({"visual": (1, 60, 64)}, {}, "sides that 8 divides"), ({"audio": (512,)}, {}, "such as 513"),
     ({"visual": (4, 4)}, {}, "give pictures"), (RGB, {"modality": "audio"}, "there are visual"),
     (RGB, {"residual": "wide"}, "one of plain, narrow")],
)  # fmt: skip
def test_bad_frames_are_one_sentence(shapes, options, message):
    with pytest.raises(ValueError, match=message):
        VQVAE(shapes, Reconstruct(), **({"modality": next(iter(shapes))} | options))


# --- the divergence ---------------------------------------------------------------------------------------------------


def test_itakura_saito_is_zero_only_for_equal_spectra_and_knows_no_scale():
    power = torch.rand(50, 17, dtype=torch.float64) * 10 + 1e-3
    other = power * torch.exp(torch.randn_like(power))
    assert (itakura_saito(power, power) == 0).all() and (itakura_saito(power, other) > 0).all()
    torch.testing.assert_close(itakura_saito(1e3 * power, 1e3 * other), itakura_saito(power, other), rtol=1e-5, atol=0)
    one = float(itakura_saito(torch.tensor(2.0), torch.tensor(1.0)))
    assert one == pytest.approx(2 - math.log(2) - 1) and one != float(
        itakura_saito(torch.tensor(1.0), torch.tensor(2.0))
    )


def test_itakura_saito_and_its_gradient_are_finite_for_silence_on_either_side():
    power = torch.tensor([0.0, 0.0, 5.0, 1e6])
    other = torch.tensor([0.0, 5.0, 0.0, 1e-3], requires_grad=True)
    value = itakura_saito(power, other)
    value.sum().backward()
    assert value[0] == 0 and value.isfinite().all() and other.grad.isfinite().all()


# --- frozen, saved, trained -------------------------------------------------------------------------------------------


class Reader(System):
    """A system that starts from a codec."""

    upstream = {"codec": Upstream(VQVAE, task=Reconstruct(("visual",)))}

    def __init__(self, shapes, task, codec):
        super().__init__()
        self.codec, self.linear = codec, nn.Linear(codec.latent_width, codec.latent_width)

    def forward(self, observed):
        return {"visual": self.codec.by_frame(observed, lambda x: self.codec.decode(self.linear(self.codec.encode(x))))}

    def objectives(self):
        loss = lambda clean, observed: {"all": self(observed)["visual"].mean() + self.linear.weight.square().sum()}  # noqa: E731
        return {"all": Objective(loss, self.own_parameters())}


def test_a_frozen_codec_moves_neither_parameters_nor_codebook():
    batch, codec = laws.small_batch(PICTURES), laws.make(VQVAE, PICTURES)
    fit(codec, batch, batch, budget=Budget(epochs=0, min_steps=2, checks=1), seed="codec")
    before = {name: t.clone() for name, t in codec.state_dict().items()}
    reader = Reader(PICTURES.shapes, PICTURES.task, codec)
    weight = reader.linear.weight.clone()
    fit(reader, batch, batch, budget=Budget(epochs=0, min_steps=3, checks=1), seed="reader")
    reader.train().predict(batch)
    assert not torch.equal(reader.linear.weight, weight)
    assert all(torch.equal(t, before[name]) for name, t in codec.state_dict().items()) and codec.quantiser.step is None


def test_a_saved_codec_keeps_its_codebook_and_begins_no_second_time(tmp_path):
    batch, codec = frame_batch(SPECTRA), laws.make(VQVAE, SPECTRA)
    history = fit(codec, batch, batch, budget=Budget(epochs=0, min_steps=20, checks=2), seed="codec").frame
    assert {"reconstruct", "commit", "valid_IS"} <= {*history}
    save(codec, tmp_path / "codec.safetensors")
    loaded = load(tmp_path / "codec.safetensors")
    assert loaded.quantiser.begun and torch.equal(loaded.quantiser.codebook, codec.quantiser.codebook)
    loaded.train().loss(batch, batch)
    assert torch.equal(loaded.quantiser.codebook, codec.quantiser.codebook)
