"""UniMSE is T5's encoder where its fusions add nothing, and reads the weights that it is given and no others."""

import shutil
import sys

import pytest
import torch
from small import T5, SmallUniMSE

from robustmer import laws
from robustmer.budget import Budget
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.extras import MissingExtra
from robustmer.laws import Setting
from robustmer.noise import stream
from robustmer.systems import UniMSE, UniMSEWithCompletion, load, save
from robustmer.systems.unimse import Fusion
from robustmer.training import fit, seeded

TWO = Setting({"audio": (3,), "text": (4,)}, 4)


@pytest.fixture(scope="module")
def theirs():
    """A T5 of transformers, as a download would be: encoder and decoder."""
    from transformers import T5Config, T5ForConditionalGeneration

    with seeded("a T5"):
        return T5ForConditionalGeneration(T5Config(vocab_size=9, **T5)).eval()


@pytest.fixture
def folder(theirs, tmp_path):
    theirs.save_pretrained(tmp_path / "t5")
    return tmp_path / "t5"


def ragged(*lengths, wide=T5["d_model"]):
    x = torch.randn(len(lengths), max(lengths), wide, generator=stream("ragged", *lengths))
    return x, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


@pytest.mark.parametrize("lengths", [(5, 1, 3), (1, 1), (7,), (40, 2)], ids=str)
@pytest.mark.parametrize("fused", [1, 3])
def test_an_untrained_unimse_has_the_output_of_the_folders_t5(theirs, folder, lengths, fused):
    made = laws.make(UniMSE, TWO, folder=str(folder), fused=fused).eval()
    x, mask = ragged(*lengths)
    expected = theirs.encoder(inputs_embeds=x, attention_mask=mask.long()).last_hidden_state
    others = torch.randn(len(lengths), 32, generator=stream("others"))
    out, layers = made.encode(x, mask, others)
    torch.testing.assert_close(out, expected)
    assert len(layers) == fused
    with torch.no_grad():
        made.fusions[-1].up.weight.normal_(generator=stream("up"))
    assert not torch.allclose(made.encode(x, mask, others)[0], expected, atol=1e-3)


def test_a_fusion_has_the_equations_of_section_3_4():
    fusion, draw = Fusion(4, 5, 3), stream("fusion")
    with torch.no_grad():
        for p in fusion.parameters():
            p.normal_(generator=draw)
    frames, others = torch.randn(2, 6, 4, generator=draw), torch.randn(2, 5, generator=draw)
    for row in range(2):
        for frame in range(6):
            f = frames[row, frame]
            down = torch.sigmoid(fusion.down.weight @ torch.cat([f, others[row]]) + fusion.down.bias)
            expected = fusion.out.weight @ (fusion.up.weight @ down + fusion.up.bias + f)
            torch.testing.assert_close(fusion(frames, others)[row, frame], expected)


@pytest.mark.parametrize(("options", "text"), [
    ({}, 'give either folder=.*, with weights, or config='),
    ({"folder": "t5", "config": T5}, "give either folder"),
    ({"config": T5 | {"d_modell": 8}}, "config has d_modell; an encoder of T5 has d_model, "),
    ({"config": T5 | {"d_model": "8"}}, "no T5 can be made of .*expected int"),
    ({"config": T5, "fused": 4}, "fused=4: this T5 has 3 layers; give 1 to 3"),
    ({"config": T5, "fused": 0}, "fused=0"),
], ids=str)  # fmt: skip
def test_settings_that_fit_no_t5_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        laws.make(UniMSE, TWO, **options)


def cut(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def edited(old, new):
    def edit(folder):
        config = folder / "config.json"
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))

    return edit


DAMAGE = {
    "cut short": (cut, "no T5 can be made of"),
    "no weights": (without_weights, "no T5 can be made of .*no file named"),
    "a layer short": (edited('"num_layers": 3', '"num_layers": 4'), "lacks the tensor 'encoder.block.3.* and 7 more"),
    "another width": (
        edited('"d_ff": 16', '"d_ff": 12'),
        "no T5 can be made of",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_folder_without_a_complete_t5_is_refused(folder, what):
    damage, text = DAMAGE[what]
    damage(folder)
    with pytest.raises(ValueError, match=text) as error:
        laws.make(UniMSE, TWO, folder=str(folder))
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_does_not_exist_is_not_downloaded():
    with pytest.raises(FileNotFoundError, match="t5-base is no folder; give one that T5's save_pretrained wrote"):
        laws.make(UniMSE, TWO, folder="t5-base")


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"needs the extra `t5`: pip install 'robustmer\[t5\]'"):
        laws.make(UniMSE, TWO, config=T5)


@pytest.mark.parametrize("system", [UniMSE, UniMSEWithCompletion])
def test_a_saved_system_needs_no_folder(system, folder, tmp_path):
    made, batch = laws.off_zero(laws.make(system, TWO, folder=str(folder))).eval(), laws.small_batch(TWO)
    save(made, tmp_path / "system.safetensors")
    shutil.rmtree(folder)
    assert torch.equal(load(tmp_path / "system.safetensors")(batch), made(batch))


def test_t5_learns_at_a_rate_of_its_own():
    made, batch = laws.make(UniMSE, TWO, config=T5, lr=1e-2, lr_t5=0.0), laws.small_batch(TWO)
    (objective,) = made.objectives().values()
    groups = {group["lr"]: set(map(id, group["params"])) for group in objective.params}
    assert groups[0.0] == set(map(id, made.t5.parameters()))
    assert groups[1e-2] == set(map(id, made.parameters())) - groups[0.0]
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=3, checks=1), seed="rates")
    moved = {n.split(".")[0] for n, p in made.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"project", "lstm", "vector", "fusions", "to_shared", "out"}


def test_the_contrast_is_between_samples_that_have_both_modalities():
    made, batch = laws.make(SmallUniMSE, TWO).eval(), laws.small_batch(TWO)
    part = batch.replace(present={"audio": torch.arange(12) % 3 > 0, "text": torch.arange(12) % 4 > 0})
    both = (part.present["audio"] & part.present["text"]).nonzero().flatten()
    torch.testing.assert_close(made.loss(part, part)["contrast"], made.loss(batch[both], batch[both])["contrast"])
    assert made.loss(batch[[0]], batch[[0]])["contrast"] == 0  # no negative pair
    lacking = corrupt(batch, Condition(seen=("audio",)), stream("lacking"))
    assert made.loss(lacking, lacking)["contrast"] == 0
    voice = Setting({"audio": (3,)}, 4)
    assert "contrast" not in laws.make(SmallUniMSE, voice).loss(*2 * [laws.small_batch(voice)])


def test_text_is_read_and_without_text_the_video():
    read = lambda *names: laws.make(SmallUniMSE, Setting(dict.fromkeys(names, (3,)))).source  # noqa: E731
    assert read("audio", "visual", "text") == read("audio", "text") == "text"
    assert (read("audio", "visual"), read("audio")) == ("visual", "audio")


def test_information_of_the_voice_alone_passes_the_fusions():
    """Text is noise; on new samples, the system predicts from the voice."""

    def samples(name, count):
        batch, draw = laws.small_batch(TWO, count), stream(name)
        voice = torch.randn(count, 4, 3, generator=draw) + 3 * torch.eye(3)[batch.labels["label"]][:, None]
        x = {"audio": voice, "text": torch.randn(count, 4, 4, generator=draw)}
        return batch.replace(x={m: x[m][:, : mask.shape[1]] * mask[..., None] for m, mask in batch.mask.items()})

    made = laws.make(SmallUniMSE, TWO, lr=1e-2, lr_t5=1e-3)
    train, test = samples("train", 96), samples("test", 96)
    fit(made, train, train, CLEAN, Budget(epochs=0, min_steps=200, batch_size=32, checks=3), seed="voice")
    assert (made.predict(test).argmax(1) == test.labels["label"]).float().mean() > 0.85
