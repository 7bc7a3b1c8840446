"""Resynthesis: compare the frames that a system returns with the recorded ones, clip by clip (VQ-MDVAE 3.3)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from robustmer.batch import Batch
from robustmer.corpora.sound import FPS, RATE, griffin_lim, waveform
from robustmer.metrics.pictures import psnr, scc_map, ssim_map
from robustmer.metrics.reconstruction import RECONSTRUCTION, itakura_saito
from robustmer.metrics.speech import log_spectral_distance, pesq, si_sdr, stoi
from robustmer.nn.quantiser import perplexity
from robustmer.tasks import TASKS, Answers, Task

if TYPE_CHECKING:
    from robustmer.systems.system import System

PICTURES = ("MSE", "PSNR", "SSIM", "SCC")
SPECTRA = ("IS", "LSD")
VOICES = {"SI-SDR": lambda recorded, estimate, sr: si_sdr(recorded, estimate), "STOI": stoi, "PESQ": pesq}
CODES = ("codes used", "perplexity")
KNOWN = (*PICTURES, *SPECTRA, *VOICES, *CODES)
PHASES = ("recorded phase", "Griffin-Lim")
Boxes = Mapping[str, Sequence[int]] | Sequence[Sequence[str | int]]


@dataclass(frozen=True)
class Resynthesis(Task):
    """Resynthesise pictures (B, T, C, H, W) in [0, 1] and power spectra (B, T, bins) of these modalities (all that the
    system returns, if none are named).

    The score "error" selects weights: the squared error of pictures and the Itakura-Saito divergence of spectra, a sum
    over the modalities. `names` adds scores, means over clips, with their standard deviation
    over clips as "NAME std":

    - pictures: MSE, PSNR (peak 1, the mean of the frames' PSNR), SSIM, SCC; the same in each of `boxes` as "NAME, BOX",
      pairs of a name and half-open rows and columns (top, bottom, left, right), or a mapping such as `Corpus.boxes`;
      and "NAME gain", how much better each but MSE is than the mean picture of the clip. "PSNR of the mean MSE" is
      larger than no PSNR, by Jensen's inequality;
    - spectra: IS and LSD (log-spectral distance, dB);
    - sound: SI-SDR, STOI and PESQ, "NAME, recorded phase" and "NAME, Griffin-Lim" (`steps` of it). The recorded phase
      is `targets["audio phase"]`. PESQ and STOI need the extra `speech`; "NAME missing" counts clips without a value;
    - codes: "codes used" and "perplexity" of a system with a codebook, over all clips, for each modality.
    """

    modalities: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    boxes: Boxes = ()
    steps: int = 60
    sr: int = RATE
    fps: float = FPS

    def __post_init__(self):
        boxes = (
            [(name, *sides) for name, sides in self.boxes.items()] if isinstance(self.boxes, Mapping) else self.boxes
        )
        object.__setattr__(self, "modalities", tuple(self.modalities))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "boxes", tuple(tuple(box) for box in boxes))
        unknown = [name for name in self.names if name not in KNOWN]
        if unknown:
            raise ValueError(f"Resynthesis was given the score {unknown[0]!r}; it knows {', '.join(KNOWN)}")
        for name, top, bottom, left, right in self.boxes:
            if not (0 <= top < bottom and 0 <= left < right):
                raise ValueError(f"the box {name!r} is rows {top}:{bottom}, columns {left}:{right}; give it an inside")

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("error", *self.names)

    def selecting(self) -> Resynthesis:
        """The error alone: listening to every validation clip would take longer than the training."""
        return dataclasses.replace(self, names=())

    def check(self, batch: Batch) -> None:
        """Raises ValueError for spectra with negative values, for boxes outside the picture, and without the recorded
        phase where a score needs it."""
        for m in self.modalities or batch.modalities:
            shape = batch.shapes[m]
            if len(shape) == 1 and (batch.x[m] < 0).any():
                raise ValueError(f"{batch.name}: {m} has negative values, but a power spectrum has none; load the "
                                 "corpus without standardisation")  # fmt: skip
            if len(shape) == 1 and {*self.names} & {*VOICES} and f"{m} phase" not in batch.targets:
                raise ValueError(f"{batch.name} has no recorded phase (targets['{m} phase']), which "
                                 f"{', '.join({*self.names} & {*VOICES})} needs; leave these scores out")  # fmt: skip
            for name, _, bottom, _, right in self.boxes if len(shape) == 3 else ():
                if bottom > shape[1] or right > shape[2]:
                    raise ValueError(f"the box {name!r} ends at row {bottom} and column {right}, beyond the pictures "
                                     f"of {m}, {shape[1]} x {shape[2]} pixels")  # fmt: skip

    def chosen(self, output: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {m: output[m] for m in self.modalities or output}

    def loss(self, output: Mapping[str, Tensor], batch: Batch) -> Tensor:
        """The error, a mean over samples with frames."""
        return torch.stack([errors[~errors.isnan()].mean() for errors in self.errors(output, batch)]).sum()

    def errors(self, output: Mapping[str, Tensor], batch: Batch) -> Iterator[Tensor]:
        """The error of each sample (B,) by modality; nan without frames."""
        for m, x in self.chosen(output).items():
            yield RECONSTRUCTION["MSE" if x.ndim == 5 else "IS"](*batch.frames(m), x)

    def judge(self, system: System, observed: Batch, clean: Batch) -> Answers:
        answers = self.answers(system(observed), clean)
        if {*CODES} & {*self.names} and hasattr(system, "codes"):
            answers |= {f"codes {m}": counts for m, counts in system.codes(observed).items()}
        return answers

    def answers(self, output: Mapping[str, Tensor], clean: Batch) -> Answers:
        """Every score of every clip by its name (B,), nan where a clip lacks the modality."""
        errors = torch.stack([*self.errors(output, clean)])
        answers = {"error": errors.nansum(0).where(~errors.isnan().all(0), torch.nan)}
        for m, x in self.chosen(output).items():
            frames, mask = clean.frames(m)
            phase = clean.targets.get(f"{m} phase")
            clips: list[dict[str, float]] = []
            for i, length in enumerate(mask.sum(1).tolist()):
                pair = frames[i, :length], x[i, :length]
                scores = {} if not length else self.of_pictures(*pair) if x.ndim == 5 else self.of_spectra(*pair)
                if length and x.ndim == 3 and phase is not None:
                    scores |= self.of_voices(*(part.double().cpu().numpy() for part in (*pair, phase[i, :length])))
                clips.append(scores)
            names = dict.fromkeys(name for clip in clips for name in clip)
            answers |= {n: torch.tensor([clip.get(n, torch.nan) for clip in clips]) for n in names}
        return answers

    def of_pictures(self, recorded: Tensor, output: Tensor) -> dict[str, float]:
        """The scores of a clip (T, C, H, W), of its boxes, and against the mean picture of the clip."""
        names = [name for name in PICTURES if name in self.names]
        if not names:
            return {}
        own = self.in_boxes(names, recorded, output)
        still = self.in_boxes(names, recorded, recorded.mean(0, keepdim=True).expand_as(recorded))
        gains = {name.replace(kind, f"{kind} gain"): own[name] - still[name]
                 for kind in names if kind != "MSE" for name in own if name.startswith(kind)}  # fmt: skip
        return own | {name: gain if abs(gain) < torch.inf else torch.nan for name, gain in gains.items()}

    def in_boxes(self, names: list[str], recorded: Tensor, output: Tensor) -> dict[str, float]:
        maps = {"SSIM": ssim_map, "SCC": scc_map, "MSE": lambda x, y: (x - y).square()}
        scores = {}
        for name in names:
            values = maps.get(name, maps["MSE"])(recorded, output)
            for suffix, top, bottom, left, right in (("", 0, None, 0, None), *self.boxes):
                by_frame = values[..., top:bottom, left:right].flatten(1).mean(1)
                key = f"{name}, {suffix}" if suffix else name
                scores[key] = float((psnr(by_frame) if name == "PSNR" else by_frame).mean())
        return scores

    def of_spectra(self, recorded: Tensor, output: Tensor) -> dict[str, float]:
        known = {"IS": lambda: float(itakura_saito(recorded, output).mean()),
                 "LSD": lambda: log_spectral_distance(recorded, output)}  # fmt: skip
        return {name: known[name]() for name in SPECTRA if name in self.names}

    def of_voices(self, recorded, output, phase) -> dict[str, float]:
        """The scores of a clip as sound: with the recorded phase, and with one that Griffin-Lim makes."""
        names = [name for name in VOICES if name in self.names]
        if not names:
            return {}
        sound = partial(waveform, phase=phase, sr=self.sr, fps=self.fps)
        voice, made = sound(recorded), griffin_lim(output**0.5, self.steps, sr=self.sr, fps=self.fps)
        return {f"{name}, {how}": VOICES[name](voice, estimate, self.sr)
                for how, estimate in zip(PHASES, (sound(output), made), strict=True) for name in names}  # fmt: skip

    def scores(self, answers: Answers) -> dict[str, float]:
        """Means and standard deviations over clips; counts of codes over all clips."""
        scores = {}
        for name, values in answers.items():
            values = values.double()
            if values.ndim == 2:
                used = values.sum(0)
                m = name.removeprefix("codes ")
                scores |= {f"codes used {m}": float((used > 0).sum()), f"perplexity {m}": float(perplexity(used))}
                continue
            known = values[~values.isnan()]
            scores[name] = float(known.mean()) if len(known) else torch.nan
            if name != "error":
                scores[f"{name} std"] = float(known.std()) if len(known) > 1 else torch.nan
            if name.startswith(("STOI", "PESQ")):
                scores[f"{name} missing"] = float(values.isnan().sum())
            if name.startswith("MSE") and "PSNR" in self.names:
                scores[name.replace("MSE", "PSNR of the mean MSE")] = float(psnr(known.mean()))
        return scores

    def validation(self, answers: Answers) -> tuple[float, float]:
        error = float(answers["error"].double().nanmean())
        return -error, error


TASKS[Resynthesis.__name__] = Resynthesis  # so that saved systems that learnt it can be loaded
