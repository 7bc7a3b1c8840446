"""Damage to saved systems: every load ends in a system or in one sentence that names the file. `test_damage_ledger.py`
and `test_damage_corpora.py` do the same for ledgers and corpora."""

import json
import os
import resource
import signal

import pytest
import torch
from damage import ALWAYS, damaged, in_another_process
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import torch as safetensors

import robustmer as rm
from robustmer import laws
from robustmer.laws import Setting
from robustmer.systems.checkpoint import KEEPS, describe, header, to_bytes
from robustmer.tasks import Classify

TASK = Classify("label", ("no", "yes"))
SETTING = Setting({"audio": (3,), "text": (2,)}, 4, TASK)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "x.safetensors"
    made = laws.make(rm.LogReg, SETTING)
    made.scaling = {m: (torch.zeros(shape), torch.ones(shape)) for m, shape in SETTING.shapes.items()}
    rm.save(made, path)
    return path, path.read_bytes(), made


def load_or_refuse(path):
    """Loads a damaged file: a sentence with its name, or a system. Weights carry no checksum."""
    try:
        return rm.load(path)
    except ValueError as error:
        assert str(path) in str(error) and "\n" not in str(error), error
        return None


def test_every_flipped_bit_and_every_cut_of_a_saved_system_is_refused_or_loads(saved):
    path, content, _ = saved
    size = 8 + int.from_bytes(content[:8], "little")
    for i in range(len(content)):
        flipped = bytearray(content)
        flipped[i] ^= 1 << i % 8
        path.write_bytes(flipped)
        assert load_or_refuse(path) is not None or i < size, "only the header can be refused"
        path.write_bytes(content[:i])
        with pytest.raises(ValueError, match=r"x\.safetensors is no saved system, or it is damaged"):
            rm.load(path)


@settings(max_examples=150, **ALWAYS)
@given(st.data())
def test_damage_to_a_saved_system_is_refused_or_loads(saved, data):
    path, content, _ = saved
    path.write_bytes(damaged(data.draw, content))
    load_or_refuse(path)


def first(tensors):
    return next(iter(tensors))


def edited(change):
    """A change of the description."""
    return lambda about, tensors: change(about)


NOT_MADE = "LogReg cannot be made with the saved settings"
OTHERS = {
    "no tensor": (lambda about, tensors: tensors.pop(first(tensors)), "does not fit LogReg: .*absent in the file"),
    "one tensor more": (lambda about, tensors: tensors.update({"weights.more": torch.ones(1)}), "absent in the class"),
    "foreign tensor": (lambda about, tensors: tensors.update(more=torch.ones(1)), "'more' is .1,. in the file"),
    "shape": (lambda about, tensors: tensors.update({first(tensors): torch.ones(9, 9)}), r"is \(9, 9\) in the file"),
    "half a scaling": (lambda about, tensors: tensors.pop("scaling.audio.std"), "'scaling.audio.std' is absent in the"),
    "wide scaling": (lambda about, tensors: tensors.update({"scaling.audio.std": torch.ones(4)}), r"is \(4,\) in the"),
    "unknown setting": (edited(lambda about: about["options"].update(depth=3)), f"{NOT_MADE}.*'depth'"),
    "no task": (edited(lambda about: about.update(task=None)), f"{NOT_MADE}.*'task'"),
    "unknown task": (edited(lambda about: about["task"].update(task="Sing")), "the task 'Sing' is not known"),
    "options of another type": (edited(lambda about: about.update(options=[1])), "no usable options"),
    "shapes of another type": (edited(lambda about: about.update(shapes=[1])), "no usable shapes"),
    "upstream of another type": (edited(lambda about: about.update(upstream={"x": 1})), "is no saved system"),
    "impossible shape": (edited(lambda about: about["shapes"].update(audio=[-1])), f"{NOT_MADE}.*whole numbers from 1"),
    "unknown class": (edited(lambda about: about.update(system="Oracle")), "holds a Oracle; the known systems are"),
    "no options": (edited(lambda about: about.pop("options")), "no usable options"),
    "another width": (edited(lambda about: about["shapes"].update(audio=[4])), "'scaling.audio.mean' is .3,. in the"),
    "huge width": (edited(lambda about: about["shapes"].update(audio=[10**9])), "'scaling.audio.mean' is .3,. in the"),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHERS)
def test_a_file_of_another_system_is_refused_in_one_sentence(saved, what):
    path, _, made = saved
    change, sentence = OTHERS[what]
    about, tensors = describe(made), safetensors.load(to_bytes(made))
    change(about, tensors)
    path.write_bytes(safetensors.save(tensors, {KEEPS: json.dumps(about)}))
    with pytest.raises(ValueError, match=rf"x\.safetensors.*{sentence}"):
        rm.load(path)


def test_other_files_are_refused(tmp_path):
    for name, content in {"text": b"not weights at all", "empty": b"", "deep": b"[" * 100_000}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is no saved system, or it is damaged"):
            rm.load(tmp_path / name)
    safetensors.save_file({"x": torch.ones(1)}, tmp_path / "plain")
    with pytest.raises(ValueError, match="plain is no saved system"):
        rm.load(tmp_path / "plain")
    for path, why in ((tmp_path, "is no regular file"), (tmp_path / "nothing", "does not exist")):
        with pytest.raises(FileNotFoundError, match=why):
            rm.load(path)
    rm.save(laws.make(rm.MEN, SETTING), tmp_path / "men.safetensors")
    with pytest.raises(ValueError, match="holds a MEN; the known systems are NMER"):
        rm.load(tmp_path / "men.safetensors", {"NMER": rm.NMER})


# --- writing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["fsync", "replace", "full disk"])
def test_a_save_that_is_cut_short_leaves_the_old_file_or_none(saved, tmp_path, moment):
    _, content, _ = saved
    other = laws.make(rm.LogReg, Setting({"audio": (300,)}, task=TASK))

    def cut_short(path):
        if moment == "full disk":
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        else:
            setattr(os, moment, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        rm.save(other, path)

    (tmp_path / "old.safetensors").write_bytes(content)
    for name in ("old", "new"):
        path = tmp_path / f"{name}.safetensors"
        outcome = in_another_process(cut_short, path)
        if moment == "full disk":
            assert outcome.startswith("OSError: ") and str(path) in outcome and "nothing was written" in outcome
            assert not list(tmp_path.glob(".*.part"))
        else:
            assert outcome == "SIGKILL"
    assert (tmp_path / "old.safetensors").read_bytes() == content and not (tmp_path / "new.safetensors").exists()
    rm.save(other, tmp_path / "new.safetensors")
    assert rm.load(tmp_path / "new.safetensors").shapes == {"audio": (300,)}


def test_options_that_are_no_json_are_refused_before_anything_is_written(tmp_path):
    made = laws.make(rm.LogReg, SETTING)
    made.settings["lr"] = torch.ones(1)
    with pytest.raises(TypeError, match="LogReg cannot be saved.*Tensor"):
        rm.save(made, tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_header_is_read_without_the_tensors(tmp_path):
    made = laws.make(rm.MEN, SETTING)
    rm.save(made, tmp_path / "men.safetensors")
    about, shapes = header(tmp_path / "men.safetensors")
    assert about == json.loads(json.dumps(describe(made)))
    assert about["task"] == {"task": "Classify", "label": "label", "classes": ["no", "yes"]}
    assert shapes == {f"weights.{name}": tuple(tensor.shape) for name, tensor in made.state_dict().items()}
