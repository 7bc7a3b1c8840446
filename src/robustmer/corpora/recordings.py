"""The corpora of MCWSA: mel frames, words and pictures, where the corpora of `catalogue.py` have one vector a sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from robustmer.corpora.catalogue import ravdess_av
from robustmer.corpora.files import Problems, Unfit, expect, read_npz
from robustmer.corpora.layout import Layout
from robustmer.corpora.media import with_deltas
from robustmer.corpora.npz import Arrays, Field

# fmt: off
# --- RAVDESS-AV with the mel frames of its takes ----------------------------------------------------------------------

BANDS = 64


def mel_of_takes(arrays: Arrays, paths: Sequence[Path], problems: Problems) -> Mapping[str, list[np.ndarray]]:
    """Static, delta and delta-delta of each take, of dB frames that are stored as bytes: v / 255 * 120 - 80."""
    (path,) = paths
    stored = read_npz(path, ["mel", "offset", "name"], problems)
    with problems.of(path.name):
        if problems:
            return {}
        mel = expect(stored["mel"], "whole numbers", "frames", BANDS)
        offset = expect(stored["offset"], "whole numbers", len(expect(stored["name"], "text", "takes")) + 1)
        if mel.dtype != np.uint8 or offset[0] != 0 or offset[-1] != len(mel) or (np.diff(offset) < 1).any():
            raise Unfit(f"holds {len(mel)} frames ({mel.dtype}) with borders from {offset[0]} to {offset[-1]}; it must "
                        "hold bytes, and every take a frame or more, one take after the other")
        rows = arrays["speech_row"]
        if rows.max() >= len(stored["name"]):
            raise Unfit(f"has {len(stored['name'])} takes; speech_row names take {rows.max()}")
        for name, take in zip(arrays["name"], stored["name"][rows], strict=True):
            if name.split("-")[1:] != take.split("-")[1:]:
                raise Unfit(f"has {str(take)!r} in the row that speech_row gives to {str(name)!r}; they differ in more "
                            "than the first number")
        return {"audio": [with_deltas(mel[a:b] / np.float32(255) * 120 - 80)
                          for a, b in zip(offset[rows], offset[rows + 1], strict=True)]}
    return {}


ravdess_av_mel = dataclasses.replace(
    ravdess_av, name="RAVDESS-AV mel", x={"visual": "video"},
    fields={name: field for name, field in ravdess_av.fields.items() if name != "audio"}
           | {"speech_row": Field("whole numbers", bounds=(0, 1439, "RAVDESS has 1440 takes of speech"))},
    beside=lambda settings: ("../ravdess_speech/ravdess_speech_mel.npz",), sequences=mel_of_takes,
    about=dataclasses.replace(
        ravdess_av.about, title="RAVDESS, 360 audio-visual takes with mel frames",
        access=ravdess_av.about.access + ", the mel frames as ravdess_speech/ravdess_speech_mel.npz",
        modalities={"audio": "about 200 frames x 192, 100 a second: 64 mel bands in dB, their deltas and delta-deltas",
                    "visual": ravdess_av.about.modalities["visual"]}))

CORPORA: dict[str, Layout] = {"ravdess_av_mel": ravdess_av_mel}
# fmt: on
