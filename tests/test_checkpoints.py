"""A saved system predicts raw samples as it did when it was trained, and a file takes no more than its size allows."""

import json
import resource

import pytest
import torch
from safetensors import torch as safetensors

import robustmer as rm
from robustmer import laws
from robustmer.laws import Setting
from robustmer.systems.checkpoint import KEEPS, describe
from robustmer.tasks import Classify, Regress

TASK = Classify("label", ("no", "yes"))
SETTING = Setting({"audio": (3,), "text": (2,)}, 4, TASK)


def test_a_saved_system_takes_its_standardisation_task_and_shapes_along(tmp_path):
    """Trained on standardised samples, it predicts raw ones, without labels, as it predicts those of the fold."""
    corpus = rm.corpora.synthetic(size="smoke", pooled=True)
    system, _ = rm.train(rm.LogReg, corpus, budget=rm.Budget(epochs=2, checks=1))
    rm.save(system, tmp_path / "system.safetensors")
    loaded = rm.load(tmp_path / "system.safetensors")
    raw = corpus.samples[corpus.split.folds[0][2]].replace(labels={})
    assert torch.equal(loaded.predict(raw), system.predict(raw))
    torch.testing.assert_close(loaded.predict(raw), system.predict(corpus.fold(0).test))
    assert loaded.task == corpus.task() and loaded.shapes == corpus.shapes
    loaded.scaling = None
    assert not torch.allclose(loaded.predict(raw), system.predict(raw), atol=1e-3)


def test_a_modality_that_the_train_split_lacked_is_not_read_from_raw_samples(tmp_path):
    made, batch = laws.make(rm.MEN, SETTING), laws.small_batch(SETTING)
    made.scaling = {"audio": (torch.zeros(3), torch.ones(3))}
    rm.save(made, tmp_path / "system.safetensors")
    without = batch.replace(present=batch.present | {"text": torch.zeros_like(batch.present["text"])})
    loaded = rm.load(tmp_path / "system.safetensors")
    assert torch.equal(loaded.predict(batch), loaded.predict(without))


def test_upstream_systems_are_saved_with_their_own_settings(tmp_path):
    made = laws.off_zero(laws.make(rm.NMER, SETTING, width=16))
    rm.save(made, tmp_path / "nmer.safetensors")
    state = torch.random.get_rng_state()
    loaded, batch = rm.load(tmp_path / "nmer.safetensors"), laws.small_batch(SETTING)
    assert torch.equal(state, torch.random.get_rng_state()), "loading draws from the global stream"
    assert type(loaded.teacher) is rm.InvariantTeacher and loaded.teacher.settings["width"] == 16
    assert torch.equal(loaded.predict(batch), made.predict(batch))
    assert torch.equal(loaded.teacher.predict(batch), made.teacher.predict(batch))
    assert not any(p.requires_grad for p in loaded.teacher.parameters()) and not loaded.teacher.training


def test_probabilities_are_those_of_the_classes(tmp_path):
    corpus = rm.corpora.synthetic(size="smoke", pooled=True)
    system, _ = rm.train(rm.LogReg, corpus, budget=rm.Budget(epochs=2, checks=1))
    rm.save(system, tmp_path / "system.safetensors")
    loaded, test = rm.load(tmp_path / "system.safetensors"), corpus.fold(0).test
    raw = corpus.samples[corpus.split.folds[0][2]].replace(labels={})
    probability = loaded.probabilities(raw)
    assert torch.equal(probability, system.probabilities(raw)) and loaded.task.classes == corpus.labels["emotion"]
    torch.testing.assert_close(probability.sum(1), torch.ones(len(raw)))
    right = (probability.argmax(1) == test.labels["emotion"]).double().mean()
    assert float(right) == pytest.approx(rm.score(system, test, rm.CLEAN)["WA"], abs=1e-6)
    number = laws.make(rm.LogReg, Setting({"audio": (3,)}, task=Regress("label")))
    with pytest.raises(ValueError, match="LogReg learnt Regress.*has no classes; use predict"):
        number.probabilities(raw)


def about_nmer(**options):
    about = describe(laws.make(rm.NMER, SETTING, width=16))
    about["options"] |= options
    return about


def about_teacher(**options):
    about = about_nmer()
    about["upstream"]["teacher"]["options"] |= options
    return about


def of_many_modalities(system, count=24):
    """MPLMM has a network for each set of modalities: 24 of them are two hundred million."""
    about = describe(laws.make(system, SETTING, width=8, heads=1))
    about["shapes"] = {f"m{i}": [1] for i in range(count)}
    return about


LARGE = {
    "a wide layer": lambda: about_nmer(width=10**8),
    "many layers": lambda: about_nmer(layers=10**8),
    "a number beyond any tensor": lambda: about_nmer(latent=2**62),
    "a wide upstream system": lambda: about_teacher(width=10**8),
    "many modalities": lambda: of_many_modalities(rm.MPLMM),
    "prompts for sets of modalities": lambda: of_many_modalities(rm.MPMM),
}


@pytest.mark.parametrize("what", LARGE)
def test_a_small_file_that_asks_for_a_large_system_takes_no_memory(tmp_path, what):
    about, path = LARGE[what](), tmp_path / "x.safetensors"
    path.write_bytes(safetensors.save({}, {KEEPS: json.dumps(about)}))
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with pytest.raises(ValueError, match=r"x\.safetensors.*(cannot be made with the saved settings|does not fit)"):
        rm.load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 < before_mb + 200


def test_settings_of_other_sizes_than_the_tensors_are_refused_before_anything_is_built(tmp_path, monkeypatch):
    made = laws.make(rm.MEN, SETTING, width=16)
    rm.save(made, tmp_path / "men.safetensors")
    content = (tmp_path / "men.safetensors").read_bytes()
    (tmp_path / "men.safetensors").write_bytes(content.replace(b'\\"width\\": 16', b'\\"width\\": 18'))
    monkeypatch.setattr(torch.random, "fork_rng", lambda **_: pytest.fail("the system was built"))
    with pytest.raises(ValueError, match=r"men\.safetensors does not fit MEN: the tensor .* in the file and .* in the"):
        rm.load(tmp_path / "men.safetensors")
