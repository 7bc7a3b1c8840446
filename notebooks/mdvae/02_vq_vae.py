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
# (mdvae-vq-vae)=
# # What codes keep of a frame
#
# **How much of a face, and of a sound, survives in a few codes?** VQ-MDVAE first trains one VQ-VAE for each modality. It writes a picture of
# 64 x 64 pixels as 64 codes out of 512, and a power spectrum of 513 bins as 64 codes out of 128 (section 2.5).

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
pixels: int = 32
seed: int = 0

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, sizes, the two codecs and the answer", "code_prompt_hide": "Code: imports, sizes, the two codecs and the answer"}
import pandas as pd
import torch
from torch import nn

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.picture import show
from robustmer.book.plots import filmstrips, lines
from robustmer.systems.controls import clip_mean, frame_pca

smoke = profile == "smoke"
data = rm.corpora.synthetic_av(size="smoke" if smoke else "quick", pixels=pixels)
pictures, sounds = data.only("visual"), data.only("audio")
budget = rm.Budget(
    epochs=0,
    min_steps=10 if smoke else 400,
    max_steps=10 if smoke else 400,
    batch_size=16,
    checks=4,
)
small = {"width": 16, "lr": 2e-3}
see = rm.Resynthesis(names=("MSE", "PSNR", "SSIM", "perplexity"), boxes=data.boxes)
hear = rm.Resynthesis(names=("IS", "LSD", "SI-SDR", "perplexity"), steps=20)
codecs, scores = {}, {}
for restart in (0.0, 0.5):
    name = "VQ-VAE with restarts" if restart else "VQ-VAE"
    codecs[name], _ = rm.train(rm.VQVAE, pictures, see, budget=budget, seed=seed, device=device,
                               options=small | {"restart": restart})  # fmt: skip
    scores[name] = rm.evaluate(
        codecs[name], pictures.fold(0).test, [rm.CLEAN]
    ).set_index("metric")["value"]
train, valid, test = pictures.fold(0)
places = codecs["VQ-VAE"].latent_width // 32
controls = {
    "mean picture of the clip": clip_mean,
    "mean picture of the train split": frame_pca(train, 0),
    f"PCA, {places} numbers": frame_pca(train, places),
}
for name, control in controls.items():
    scores[name] = pd.Series(see.scores(see.answers(control(test), test)))
kept = pd.DataFrame(scores).T
used = {name: int(kept.loc[name, "codes used visual"]) for name in codecs}
best = max(codecs, key=lambda name: kept.loc[name, "PSNR"])
answer(
    (f"After {budget.steps(len(train))} steps {places} codes keep {kept.loc[best, 'PSNR']:.1f} dB of unknown people's pictures.", "synthetic"),
    (f"{places} principal components keep {kept.loc[f'PCA, {places} numbers', 'PSNR']:.1f} dB, and the clip's own mean picture "
     f"{kept.loc['mean picture of the clip', 'PSNR']:.1f} dB.", "synthetic"),
    f"As published the training uses {used['VQ-VAE']} of 512 codes, and {used['VQ-VAE with restarts']} if unused codes begin again.",
)  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
clip = test[[0]]
strips = {"recorded": clip.x["visual"][0].float() / 255}
strips |= {name: codec.predict(clip)["visual"][0] for name, codec in codecs.items()}
strips |= {name: control(clip)["visual"][0] for name, control in controls.items()}
every = max(1, len(strips["recorded"]) // 8)
strips = {
    name: x[::every, 0][:8].clamp(0, 1).cpu().numpy() for name, x in strips.items()
}
own_run(
    profile,
    data.name,
    ["fold 0", "one training of each", f"{pixels} x {pixels} pixels"],
)
show(lambda width: filmstrips(strips, width), "fig-mdvae-codes",
     "Frames of one test clip, as recorded, from their codes, and from the controls. The person is not in the train split.",
     "Six rows of eight small faces. The first row is recorded; the others are blurred versions of it, and those of the mean do not move.",
     "synthetic")  # fmt: skip

# %% [markdown]
# ## A codebook
#
# The encoder maps a frame to vectors $\mathbf{h}_1, \dots, \mathbf{h}_{64}$, one for each place of a grid. Each vector is replaced by the
# nearest of $K$ codes, and the decoder reads the codes:
#
# $$ k_i = \arg\min_k \left\| \mathbf{h}_i - \mathbf{e}_k \right\|^2, \qquad
#    \mathcal{L} = d(\mathbf{x}, D(\mathbf{e}_{k_1}, \dots, \mathbf{e}_{k_{64}}))
#    + \beta \frac{1}{64} \sum_i \left\| \mathbf{h}_i - \mathrm{sg}(\mathbf{e}_{k_i}) \right\|^2 . $$
#
# The choice of a code has no gradient. The gradient of the decoder's input goes straight through to the encoder's output. The codes get no
# gradient at all: after each step they move towards the vectors that chose them, as a moving average. $d$ is the squared error of pixels,
# and the Itakura-Saito divergence of power, which reads ratios alone:

# %%
power, decoded = torch.tensor([2e-4, 2.0, 2e4]), torch.tensor([1e-4, 1.0, 1e4])
print(
    "twice the power in a quiet, a middle and a loud bin:",
    rm.metrics.itakura_saito(power, decoded).tolist(),
)

# %% [markdown]
# ## Shapes as printed, and corrected
#
# Table A.6 prints kernel sizes for the decoder of spectra. **Do they lead back to 513 bins?** Take them literally.

# %%
printed = [nn.ConvTranspose1d(32, 32, 3, 2, 1), nn.ConvTranspose1d(32, 16, 4, 2, 1), nn.ConvTranspose1d(16, 1, 4, 2, 0)]  # fmt: skip
swapped = [nn.ConvTranspose1d(32, 32, 4, 2, 1), nn.ConvTranspose1d(32, 16, 4, 2, 1), nn.ConvTranspose1d(16, 1, 3, 2, 0)]  # fmt: skip
bins = {}
for name, layers in {"as printed": printed, "kernels 3 and 4 swapped": swapped}.items():
    x, bins[name] = torch.zeros(1, 32, 64), [64]
    for layer in layers:
        x = layer(x)
        bins[name].append(x.shape[-1])
bins["Table A.6 states"] = [64, 128, 256, 513]
task = rm.Resynthesis()
sizes = {
    "pictures, Table A.5": rm.VQVAE({"visual": (3, 64, 64)}, task),
    "pictures, the released code": rm.VQVAE(
        {"visual": (3, 64, 64)}, task, residual="narrow"
    ),
    "spectra, Table A.6": rm.VQVAE({"audio": (513,)}, task, "audio"),
}
weights = pd.DataFrame(
    {
        name: {
            "encoder": rm.count_parameters(codec.encoder),
            "decoder": rm.count_parameters(codec.decoder),
            "both": rm.count_parameters(codec),
            "codebook": codec.quantiser.codebook.numel(),
            "numbers before quantisation": codec.latent_width,
        }
        for name, codec in sizes.items()
    }
).T.rename_axis("codec")

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of these tables", "code_prompt_hide": "Code of these tables"}
numbers_folded(pd.DataFrame(bins, index=["input", "layer 1", "layer 2", "layer 3"]).T.rename_axis("decoder of spectra"),
               "Bins after each upsampling", folded=False)  # fmt: skip
numbers_folded(
    weights, "Weights of the codecs, RGB pictures of 64 x 64 pixels", folded=False
)

# %% [markdown]
# Swapping the kernels of the first and the last layer gives the stated sizes. Table A.5 prints 128 channels after its first upsampling,
# which has 64. The last layer of Table A.6 has no activation, but power is positive: an exponential follows, as in the released code.
#
# Before quantisation a picture of 12,288 numbers is 2,048 numbers, and a spectrum of 513 is 512. **The sound is compressed by its codes
# alone**: 64 codes of 7 bits.
#
# ## How many codes are in use?
#
# Codes begin at vectors of the first batch. Then the encoder's outputs spread, and a few codes at the border of the cloud may take them
# all. Count how often the frames of the test split use each code.

# %%
uses = []
for name, codec in codecs.items():
    counts = (
        codec.codes(test.to(device))["visual"].sum(0).sort(descending=True).values.cpu()
    )
    share = (counts.cumsum(0) / counts.sum()).tolist()
    uses += [
        {"series": name, "x": rank + 1, "value": 100 * value}
        for rank, value in enumerate(share)
    ]

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
show(lambda width: lines(pd.DataFrame(uses), "codes, the most frequent first", "share of all places, %", width, ylim=(0, 101), height=240),
     "fig-mdvae-use", "How many codes cover the places of all test frames. A curve that reaches 100% early leaves the other codes unused.",
     "Two rising curves. As published a few codes cover everything; with restarts it takes hundreds.", "synthetic")  # fmt: skip

# %% [markdown]
# The perplexity in the table below is the effective number of codes, the exponential of their entropy. With `restart`, a code that too few
# vectors choose begins again at a random vector of the batch. The paper has no restart and trains far longer, so its own use of codes is
# unknown.
#
# ## Against a still picture
#
# PSNR alone says little about talking faces. **The mean picture of the clip**, one still picture for all frames, knows the person, the light
# and the background, and nothing that moves. A codec must be nearer than that, most of all at the mouth. Principal components are fitted
# on the frames of the train split. They keep as many numbers as there are codes, but a number has more bits than a code. **Read the gains
# before the PSNR.**

# %%
chosen = ["PSNR", "PSNR, mouth", "PSNR, eyes", "PSNR gain, mouth", "SSIM", "PSNR of the mean MSE", "perplexity visual"]  # fmt: skip
table = kept[chosen].rename_axis("pictures").sort_values("PSNR", ascending=False)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
numbers_folded(table, "Resynthesis of the pictures of two unknown people, synthetic", decimals=2, folded=False,
               note="PSNR in dB, peak 1, a mean over frames and then clips. Gains are over the mean picture of the clip.")  # fmt: skip

# %% [markdown]
# The PSNR of the mean squared error is never above the mean PSNR, by Jensen's inequality. In the paper's Table 3 it is, for all systems
# but one, so its PSNR and its MSE cannot come from the same pixels of peak 1.
#
# ## The same for sound
#
# The encoder may read power or its logarithm. The paper says power; a voice spans many orders of magnitude. The validation split chooses.

# %%
listening = {}
fewer = rm.Budget(
    epochs=0,
    min_steps=10 if smoke else 100,
    max_steps=10 if smoke else 100,
    batch_size=16,
    checks=2,
)
for name, log_input in {"VQ-VAE, power": False, "VQ-VAE, log power": True}.items():
    options = small | {
        "modality": "audio",
        "frames": 256,
        "restart": 0.5,
        "log_input": log_input,
    }
    codec, history = rm.train(
        rm.VQVAE, sounds, hear, budget=fewer, seed=seed, device=device, options=options
    )
    tested = rm.evaluate(codec, sounds.fold(0).test, [rm.CLEAN]).set_index("metric")[
        "value"
    ]
    listening[name] = {
        "validation IS": history.frame["valid_error"].min()
    } | tested.to_dict()
spectra = sounds.fold(0)
for name, control in {
    "mean spectrum of the clip": clip_mean,
    "PCA of log power, 64 numbers": frame_pca(spectra.train, 64),
}.items():
    listening[name] = hear.scores(hear.answers(control(spectra.test), spectra.test))
sound = pd.DataFrame(listening).T.rename_axis("spectra")
columns = ["validation IS", "IS", "LSD", "SI-SDR, recorded phase", "SI-SDR, Griffin-Lim", "codes used audio", "perplexity audio"]  # fmt: skip

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
numbers_folded(sound[columns], "Resynthesis of the sound of two unknown people, synthetic", decimals=2, folded=False,
               note="LSD and SI-SDR in dB. IS is the loss; lower IS and LSD are better.")  # fmt: skip
print("the validation split chooses:", sound["validation IS"].idxmin())

# %% [markdown]
# **SI-SDR compares samples, so it needs a phase.** With the recorded one it measures the spectra. Griffin-Lim makes a phase of its own,
# and the same spectra fall far below 0 dB. The paper does not say which phase its Table 2 has; both columns stand for themselves.
#
# ## Limits
#
# - Faces and voices are synthetic. The codecs are narrow, and a published training would have 20,000 steps.
# - The grid has one place for 8 x 8 pixels, so pictures of 32 x 32 pixels have 16 codes.
# - Frames are coded one by one. What moves between them is the subject of the dynamical model.
#
# **Exercise.** How many bits do the codes of one second take at 25 frames a second, and how many does a telephone call of 64 kbit/s?
#
# :::{dropdown} Answer
# Pictures take 64 codes of 9 bits, sound 64 codes of 7 bits: 25 x 64 x 16 = 25,600 bits, less than half of the call. Entropy coding of codes
# with a perplexity below 512 would save more.
# :::
