"""UniMSE: it is T5's encoder where its fusions add nothing, and it reads the weights that it is given and no others."""

import shutil
import sys

import pytest
import torch
from small import T5, SmallUniMSE

from robustmer import laws
from robustmer.conditions import CLEAN, Condition, corrupt
from robustmer.extras import MissingExtra
from robustmer.noise import stream
from robustmer.recipe import Recipe
from robustmer.systems import UniMSE, UniMSEWithCompletion, load_system
from robustmer.systems.unimse import Fusion
from robustmer.train import Budget, fit, seeded

DIMS = {"audio": 3, "text": 4}


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
def test_a_fresh_unimse_gives_what_the_t5_of_the_folder_was_trained_to_give(theirs, folder, lengths, fused, capfd):
    made = UniMSE(DIMS, laws.CLASSES, str(folder), fused=fused).eval()
    assert capfd.readouterr() == ("", "")
    x, here = ragged(*lengths)
    expected = theirs.encoder(inputs_embeds=x, attention_mask=here.long()).last_hidden_state
    others = torch.randn(len(lengths), 32, generator=stream("others"))
    found, layers = made.encode(x, here, others)
    torch.testing.assert_close(found, expected)
    assert len(layers) == fused
    with torch.no_grad():
        made.fusions[-1].up.weight.normal_(generator=stream("up"))
    assert not torch.allclose(made.encode(x, here, others)[0], expected, atol=1e-3)


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
    ({}, "neither of folder and config came"),
    ({"folder": "t5", "config": T5}, "both of folder and config came"),
    ({"config": T5 | {"d_modell": 8}}, "config has d_modell; an encoder of T5 has d_model, "),
    ({"config": T5 | {"d_model": "8"}}, "no T5 has the config .*expected int"),
    ({"config": T5, "fused": 4}, "4 layers of T5 were to be fused, it has 3; give fused=1 to fused=3"),
    ({"config": T5, "fused": 0}, "0 layers"),
], ids=str)  # fmt: skip
def test_what_no_t5_can_be_made_of_is_refused(options, text):
    with pytest.raises(ValueError, match=text):
        UniMSE(DIMS, laws.CLASSES, **options)


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
    "cut short": (cut, "holds config.json, .*model.safetensors and cannot be read"),
    "no weights": (without_weights, "holds config.json, generation_config.json and cannot be read .*no file named"),
    "a layer short": (edited('"num_layers": 3', '"num_layers": 4'), r"no tensor 'encoder.block.3.*\(nor 7 more\)"),
    "another width": (edited('"d_ff": 16', '"d_ff": 12'), "no tensor 'encoder.block.0.*DenseReluDense.* of the right"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_folder_without_a_whole_t5_is_refused(folder, what, capfd):
    damage, text = DAMAGE[what]
    damage(folder)
    capfd.readouterr()
    with pytest.raises(ValueError, match=f"asked for in .*t5, which .*{text}.*give a folder that T5's save_pretrained"):
        UniMSE(DIMS, laws.CLASSES, str(folder))
    assert capfd.readouterr() == ("", ""), "an error is told once"


def test_a_folder_that_is_not_there_is_never_looked_for_elsewhere():
    with pytest.raises(FileNotFoundError, match="asked for in t5-base, and there is no such folder; give a folder"):
        UniMSE(DIMS, laws.CLASSES, folder="t5-base")


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtra, match=r"needs the extra `t5`: pip install -e '.\[t5\]'"):
        UniMSE(DIMS, laws.CLASSES, config=T5)


@pytest.mark.parametrize("system", [UniMSE, UniMSEWithCompletion])
def test_a_saved_system_needs_no_folder(system, folder, tmp_path):
    made, batch = system(DIMS, laws.CLASSES, folder=str(folder)).eval(), laws.small_batch(DIMS, 3)
    with torch.no_grad():
        for p in made.parameters():
            p += 0.1 * torch.randn(p.shape, generator=stream("elsewhere", *p.shape))
    made.save(tmp_path / "system.safetensors")
    shutil.rmtree(folder)
    assert torch.equal(load_system(tmp_path / "system.safetensors")(batch), made(batch))


def test_t5_learns_at_a_rate_of_its_own():
    made = UniMSE(DIMS, laws.CLASSES, config=T5, lr=1e-2, lr_t5=0.0)
    (stage,) = made.stages()
    groups = {group["lr"]: set(map(id, group["params"])) for group in stage.objectives["all"].groups()}
    assert groups[0.0] == set(map(id, made.t5.parameters()))
    assert groups[1e-2] == set(map(id, made.parameters())) - groups[0.0]
    before, batch = {n: p.detach().clone() for n, p in made.named_parameters()}, laws.small_batch(DIMS, 3)
    list(fit(made, batch, batch, CLEAN, Budget(epochs=0, min_steps=3, checks=1), seed="rates"))
    moved = {n.split(".")[0] for n, p in made.named_parameters() if not torch.equal(p, before[n])}
    assert moved == {"project", "summaries", "fusions", "to_shared", "out"}


def test_the_contrast_is_between_rows_that_have_both_modalities():
    made, batch = laws.make(SmallUniMSE, DIMS).eval(), laws.small_batch(DIMS, 4)
    some = batch.replace(present={"audio": torch.arange(12) % 3 > 0, "text": torch.arange(12) % 4 > 0})
    both = (some.present["audio"] & some.present["text"]).nonzero().flatten()
    torch.testing.assert_close(made.loss(some, some)["contrast"], made.loss(batch[both], batch[both])["contrast"])
    assert made.loss(batch[[0]], batch[[0]])["contrast"] == 0  # nobody to be told from
    lacking = corrupt(batch, Condition(seen=("audio",)), stream("lacking"))
    assert made.loss(lacking, lacking)["contrast"] == 0
    assert "contrast" not in laws.make(SmallUniMSE, {"audio": 3}).loss(*2 * [laws.small_batch({"audio": 3}, 4)])


def test_text_is_read_and_where_there_is_none_the_video():
    read = lambda *modalities: SmallUniMSE(dict.fromkeys(modalities, 3), ()).source  # noqa: E731
    assert read("audio", "visual", "text") == read("audio", "text") == "text"
    assert (read("audio", "visual"), read("audio")) == ("visual", "audio")


def test_what_only_the_voice_tells_comes_through_the_fusions():
    """Text is noise; on rows that it has not seen, the system knows what the voice says."""
    def rows(name, count):
        batch, draw = laws.small_batch(DIMS, 3, rows=count), stream(name)
        voice = torch.randn(count, 3, 3, generator=draw) + 3 * torch.eye(3)[batch.label][:, None]
        x = {"audio": voice, "text": torch.randn(count, 3, 4, generator=draw)}
        return batch.replace(x={m: x[m][:, : r.shape[1]] * r[..., None] for m, r in batch.real.items()})

    with seeded("voice"):
        made = SmallUniMSE(DIMS, laws.CLASSES, lr=1e-2, lr_t5=1e-3)
    train, test = rows("train", 96), rows("test", 96)
    list(fit(made, train, train, CLEAN, Budget(epochs=0, min_steps=200, batch_size=32, checks=3), seed="voice"))
    assert (made.predict(test).argmax(1) == test.label).float().mean() > 0.85


def test_the_folder_is_part_of_a_recipe_that_uses_it():
    recipe = lambda **options: Recipe(UniMSE, "synthetic", (CLEAN,), (CLEAN,), options=options)  # noqa: E731
    keys = {recipe(folder=folder).key for folder in ("data/t5-base", "data/t5-small")} | {recipe(config=T5).key}
    assert len(keys) == 3
    with pytest.raises(TypeError, match="UniMSE has no option t5; it has folder, config, fused"):
        recipe(t5="base")
