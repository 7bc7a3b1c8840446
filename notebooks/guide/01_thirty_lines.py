# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: -jupytext.text_representation.jupytext_version
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# (guide-thirty-lines)=
# # Six designs of your own
#
# **Can a design that no paper of this book has be written beside the library, in thirty lines and without a change in it?**
# Each cell below is such a design, on toy data of 120 samples. Copy the one that is nearest to yours.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
seed: int = 0

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot, softplus

import robustmer as rm
from robustmer.book.answers import answer

answer(
    "Yes. Each of the six designs below takes at most thirty lines, which a test counts, and none changes the library.",
    ("They are pre-training, a GAN, two VQ-VAEs under a sequence model, noise on a region of pictures, a split that shares "
     "speakers, and a corpus on disk.", "synthetic"),
)  # fmt: skip

# %% [markdown]
# ## Toy data
#
# A sample has six frames. The voice shows the emotion, beside the habits of its speaker, who has a favourite emotion. The
# face shows the intensity by its movement: a weak expression keeps still, a strong one changes in every frame.

# %%
draw = np.random.default_rng(seed)
person = np.repeat(np.arange(12), 10)
speaker = np.array([f"speaker {i}" for i in person])
classes = {"emotion": ("calm", "glad", "cross"), "intensity": ("weak", "strong")}
labels = {name: draw.integers(len(names), size=120) for name, names in classes.items()}
labels["emotion"] = np.where(draw.random(120) < 0.4, person % 3, labels["emotion"])
emotions, habits, face = draw.normal(size=(3, 12)), draw.normal(size=(12, 12)), draw.normal(size=8)
movement = np.where(labels["intensity"][:, None], (-1.0) ** np.arange(6), 1.0) * draw.choice([-1, 1], size=(120, 1))
features = {
    "audio": list((emotions[labels["emotion"]] + habits[person])[:, None] + draw.normal(size=(120, 6, 12))),
    "visual": list(movement[:, :, None] * face + draw.normal(size=(120, 6, 8)) / 2),
}
groups = [names.tolist() for names in np.array_split(np.unique(speaker), 4)]
by_speaker = rm.Split("by speaker", rm.folds_by_group(speaker, groups, groups[1:] + groups[:1]))
toy = rm.Corpus("toy", rm.collate(features, labels, speaker), classes, by_speaker)
budget = rm.Budget(epochs=0, min_steps=4 if profile == "smoke" else 200, batch_size=32, checks=4)
ledger = rm.Ledger(Path(tempfile.mkdtemp()))  # where `compute` keeps trainings and scores

# %% [markdown]
# ## Pre-training
#
# An autoencoder learns to reconstruct frames. A classifier starts from its encoder, or from first weights. `upstream`
# names what a system starts from; `starts_from` makes it depend on an option. The autoencoder is trained once, by its own
# recipe, and shared.


# %%
class Autoencoder(rm.System):
    def __init__(self, shapes, task, width=8):
        super().__init__()
        self.optimizer = rm.AdamW(1e-2)
        self.encode = nn.ModuleDict({m: nn.Linear(n, width) for m, (n,) in shapes.items()})
        self.decode = nn.ModuleDict({m: nn.Linear(width, n) for m, (n,) in shapes.items()})

    def forward(self, observed):
        return {m: self.decode[m](self.encode[m](observed.frames(m)[0]).relu()) for m in self.shapes}


class Finetuned(rm.System):
    upstream = {"autoencoder": rm.Upstream(Autoencoder, task=rm.Reconstruct())}

    def __init__(self, shapes, task, autoencoder=None, pretrained=True, width=8):
        super().__init__()
        self.optimizer, self.autoencoder = rm.AdamW(1e-3), autoencoder
        self.encode = Autoencoder(shapes, task, width).encode
        self.classify = nn.Linear(width * len(shapes), task.outputs)
        if autoencoder is not None:
            self.encode.load_state_dict(autoencoder.encode.state_dict())

    @classmethod
    def starts_from(cls, options):
        return cls.upstream if options.get("pretrained", True) else {}

    def forward(self, observed):
        frames = {m: observed.frames(m) for m in self.shapes}
        return self.classify(
            torch.cat([rm.mean_over_time(self.encode[m](x).relu(), k) for m, (x, k) in frames.items()], 1)
        )


pretraining = {}
for pretrained in (True, False):
    system, history = rm.train(Finetuned, toy, seed=seed, budget=budget, options={"pretrained": pretrained})
    pretraining[pretrained] = rm.evaluate(system, toy.fold(0).test, [rm.CLEAN])

# %%
frame = pd.concat(pretraining, names=["pretrained"])
print(frame.pivot_table(index="pretrained", columns="metric", values="value").round(3))

# %% [markdown]
# ## A GAN, and a classifier that learns from it
#
# Two objectives step in turn on every batch. The task `OwnError` asks a system for nothing but its own `error`, by default its
# loss. The GAN
# generates voices together with their emotion; a classifier then learns from recorded and generated voices alike.


# %%
class GAN(rm.System):
    def __init__(self, shapes, task, width=32):
        super().__init__()
        size = shapes["audio"][0] + 3
        self.generator = nn.Sequential(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, size))
        self.critic = nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, 1))

    def recorded(self, batch):
        return torch.cat([rm.mean_over_time(*batch.frames("audio")), one_hot(batch.labels["emotion"], 3)], 1)

    def generate(self, count):
        return self.generator(torch.randn(count, 8))

    def critic_loss(self, clean, observed):
        recorded, generated = self.recorded(clean), self.generate(len(clean))
        return {"critic": softplus(torch.cat([-self.critic(recorded), self.critic(generated)])).mean()}

    def generator_loss(self, clean, observed):
        return {"generator": softplus(-self.critic(self.generate(len(clean)))).mean()}

    def error(self, clean):
        return (self.recorded(clean).mean(0) - self.generate(1000).mean(0)).square().mean()

    def objectives(self):
        return {"critic": rm.Objective(self.critic_loss, self.critic.parameters(), rm.AdamW(2e-3)),
                "generator": rm.Objective(self.generator_loss, self.generator.parameters(), rm.AdamW(2e-3))}  # fmt: skip


class Augmented(rm.LogReg):
    upstream = {"gan": rm.Upstream(GAN, task=rm.OwnError())}

    def __init__(self, shapes, task, gan):
        super().__init__(shapes, task)
        self.gan = gan

    def loss(self, clean, observed):
        voice, emotion = self.gan.generate(len(clean)).split([12, 3], 1)
        return super().loss(clean, observed) | {"generated": cross_entropy(self.linear(voice), emotion.argmax(1))}


voices = toy.only("audio")
augmented, _ = rm.train(Augmented, voices, seed=seed, budget=budget)

# %%
print(rm.evaluate(augmented, voices.fold(0).test, [rm.CLEAN]).round(3))

# %% [markdown]
# ## Two VQ-VAEs, a sequence model over their codes, and two probes
#
# A VQ-VAE replaces each frame by the nearest vector of a book; here the book learns from the reconstruction. One class serves both modalities. The sequence model predicts
# the next pair of codes. Each probe is a linear layer on its states and reads another label of the same corpus. `compute`
# trains what the probes start from once: five trainings, not eight.


# %%
class VQVAE(rm.System):
    def __init__(self, shapes, task, modality="audio"):
        super().__init__()
        self.modality, self.book, self.optimizer = modality, nn.Embedding(8, 4), rm.AdamW(1e-2)
        self.encode, self.decode = nn.Linear(*shapes[modality], 4), nn.Linear(4, *shapes[modality])

    def forward(self, observed):
        z = self.encode(observed.frames(self.modality)[0])
        codes = torch.cdist(z, self.book.weight).argmin(-1)
        return {self.modality: self.decode(self.book(codes) + z - z.detach()), "codes": codes}  # straight through


class CodeModel(rm.System):
    upstream = {m: rm.Upstream(VQVAE, options={"modality": m}, task=rm.Reconstruct((m,))) for m in ("audio", "visual")}

    def __init__(self, shapes, task, audio, visual):
        super().__init__()
        self.audio, self.visual, self.optimizer = audio, visual, rm.AdamW(1e-2)
        self.gru = nn.GRU(64, 64, batch_first=True)

    def forward(self, observed):
        codes = 8 * self.audio(observed)["codes"] + self.visual(observed)["codes"]
        return codes, self.gru(one_hot(codes, 64).float())[0]

    def loss(self, clean, observed):
        codes, states = self(clean)
        return {"next": cross_entropy(5 * states[:, :-1].transpose(1, 2), codes[:, 1:])}


class Probe(rm.System):
    upstream = {"model": rm.Upstream(CodeModel, task=rm.OwnError())}

    def __init__(self, shapes, task, model):
        super().__init__()
        self.model, self.linear, self.optimizer = model, nn.Linear(64, task.outputs), rm.AdamW(1e-2)

    def forward(self, observed):
        return self.linear(self.model(observed)[1][:, -1])


probes = {label: rm.Recipe(Probe, toy, task=toy.task(label), seed=seed, budget=budget) for label in toy.labels}
summary = rm.compute({probe: [rm.CLEAN] for probe in probes.values()}, ledger, progress=False)

# %%
scores = {label: ledger.scores(probe.key).set_index("metric")["value"] for label, probe in probes.items()}
print(f"{summary.trained} trainings for {len(probes)} probes")
print(pd.DataFrame(scores).T.round(3))

# %% [markdown]
# ## Noise on a region of a picture, in some frames
#
# Pictures may stay bytes; `frames` returns them as numbers from 0 to 1. `RegionNoise` is a corruption like any other: it can
# train a system, test it, or both. It hides the left half of a picture in half of the frames.

# %%
corner = draw.integers(4, size=120)
pictures = draw.integers(0, 100, size=(120, 5, 1, 12, 12), dtype=np.uint8)
for picture, where in zip(pictures, corner, strict=True):
    picture[:, 0, 6 * (where // 2) :, 6 * (where % 2) :][:, :6, :6] += 12
corners = {"corner": ("top left", "top right", "bottom left", "bottom right")}
films = rm.Corpus("films", rm.collate({"visual": list(pictures)}, {"corner": corner}, speaker), corners, by_speaker)
hidden = rm.Condition(noise={"visual": rm.RegionNoise(box=(0, 0, 12, 6), std=1.0, share=0.5)})


class Pixels(rm.System):
    def __init__(self, shapes, task):
        super().__init__()
        self.linear, self.optimizer = nn.Linear(int(np.prod(shapes["visual"])), task.outputs), rm.AdamW(1e-2)

    def forward(self, observed):
        pictures, mask = observed.frames("visual")
        return self.linear(rm.mean_over_time(pictures.flatten(2), mask))


pixels, _ = rm.train(Pixels, films, mixture={rm.CLEAN: 0.5, hidden: 0.5}, seed=seed, budget=budget)
regions = rm.evaluate(pixels, films.fold(0).test, [rm.CLEAN, hidden])

# %%
print(regions.query("metric == 'UA'").round(3))

# %% [markdown]
# ## A split that shares speakers
#
# A person-dependent split must say so: without `speaker_disjoint=False` a corpus refuses it. It is easier, because the
# test speakers are known. The records of a training keep the claim.

# %%
order = draw.permutation(120)
shared = replace(toy, split=rm.Split("by sample", [(order[40:], order[20:40], order[:20])], speaker_disjoint=False))
dependent = {}
for corpus in (toy, shared):
    system, _ = rm.train(rm.LogReg, corpus, seed=seed, budget=budget)
    dependent[corpus.split.name] = rm.evaluate(system, corpus.fold(0).test, [rm.CLEAN])

# %%
frame = pd.concat(dependent, names=["split"])
print(frame.pivot_table(index="split", columns="metric", values="value").round(3))

# %% [markdown]
# ## A corpus on disk
#
# Whatever has a length, gives a batch for a list of indices and knows its labels, speakers and ids is a corpus's `samples`.
# Frames are read when a batch needs them; standardisation reads the train split once, batch by batch.

# %%
folder = Path(tempfile.mkdtemp())
for i in range(120):
    np.savez(folder / f"{i:03d}.npz", audio=features["audio"][i], visual=features["visual"][i])
pd.DataFrame({"speaker": speaker, "emotion": labels["emotion"]}).to_csv(folder / "labels.csv", index=False)


class Folder:
    name, shapes = "folder", {"audio": (12,), "visual": (8,)}

    def __init__(self, folder):
        about, self.files = pd.read_csv(folder / "labels.csv"), sorted(folder.glob("*.npz"))
        self.id, self.speaker = np.array([file.stem for file in self.files]), about["speaker"].to_numpy(str)
        self.labels = {"emotion": torch.tensor(about["emotion"].to_numpy())}

    def __len__(self):
        return len(self.files)

    def __getitem__(self, indices):
        samples = [np.load(self.files[i]) for i in indices]
        x = {m: [sample[m] for sample in samples] for m in self.shapes}
        return rm.collate(
            x, {"emotion": self.labels["emotion"][indices].tolist()}, self.speaker[indices], self.id[indices]
        )


on_disk = rm.Corpus("folder", Folder(folder), {"emotion": classes["emotion"]}, by_speaker)
read, _ = rm.train(rm.LogReg, on_disk, seed=seed, budget=budget)
held, _ = rm.train(rm.LogReg, replace(on_disk, samples=on_disk.samples[np.arange(120)]), seed=seed, budget=budget)

# %%
gap = (read.predict(on_disk.fold(0).test) - held.predict(on_disk.fold(0).test)).abs().max()
print(f"largest difference of an output, read on demand against held in memory: {gap:.0e}")

# %% [markdown]
# **What next?** {ref}`nmer-add-your-own` holds a system against the laws, and puts it beside the others of the book with
# intervals. Which of these six would you have written with a change in the library?
