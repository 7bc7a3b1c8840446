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
# (nmer-network)=
# # The network and its losses
#
# NMER sections 2.3, 2.4 and 3.3. From noisy modalities the network must form the representation that a teacher forms from
# clean ones. **Which parts does it have, does its latent variable carry anything, and do its losses fall?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -10.0
seed: int = 0
tokens: str = "one"  # "one" (the literal reading) or "modality"

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code: imports, the answer and the figure", "code_prompt_hide": "Code: imports, the answer and the figure"}
import pandas as pd
import torch

import robustmer as rm
from robustmer.book import answers, display, figures, picture, plots, registry
from robustmer.experiments import project, statistics
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.profiles import ledger_of
from robustmer.metrics import ua
from robustmer.nn.gaussians import kl_to_standard

iemocap = {"audio": (130,), "visual": (342,), "text": (1024,)}
four = rm.Classify("emotion", ("happy", "angry", "sad", "neutral"))
shapes = {"a, v, l": iemocap, "a, v": {m: iemocap[m] for m in ("audio", "visual")}}
networks = {
    letters: rm.NMER(s, four, rm.InvariantTeacher(s, four), tokens=tokens)
    for letters, s in shapes.items()
}
network = networks["a, v, l"]
latent = pd.read_csv(project() / "results/measured/nmer/derived_latent.csv").assign(
    system="NMER"
)
latent["value"] *= 100
drop = statistics.paired(latent, "mean", "prior sample", by="latent")
answers.answer(
    (f"{rm.count_parameters(network.transformer) / rm.count_parameters(network):.0%} of the weights sit in a transformer that, read "
     "literally, sees one token: it is a linear map.", "printed"),
    (f"The latent is used: without its own value UA falls by {drop['mean']:.1f} points ({drop['low']:.1f} to {drop['high']:.1f}) on 24 "
     "actors.", "people"),
    ("The losses of classification and reconstruction fall; those of invariance and KL begin small.", "synthetic"))  # fmt: skip
boxes = {
    "noisy\na, v, l": (0, 1, ""), "specific\nencoders, h′": (1, 0.4, "learns"), "invariant\nencoders": (1, 1.6, "learns"),
    "shared layers\nH′": (2, 1.6, "learns"), "transformer": (2, 0.4, "learns"), "μ, σ²\nlatent z": (3, 0.4, "learns"),
    "decoder\nC": (4, 1, "learns"), "classifier": (5, 1, "learns"), "clean\na, v, l": (0, 2.8, ""), "teacher": (2, 2.8, "frozen"),
    "emotion": (6, 1, "")}  # fmt: skip
paths = [
    ("noisy\na, v, l", "specific\nencoders, h′", "transformer", "μ, σ²\nlatent z", "decoder\nC", "classifier", "emotion"),
    ("noisy\na, v, l", "invariant\nencoders", "shared layers\nH′", "transformer"), ("shared layers\nH′", "decoder\nC"),
    ("clean\na, v, l", "teacher")]  # fmt: skip
arrows = [(*pair, "") for path in paths for pair in zip(path, path[1:], strict=False)]
arrows += [
    ("teacher", "shared layers\nH′", "L_inv"),
    ("teacher", "decoder\nC", "L_mse"),
]
picture.show(
    lambda width: plots.diagram(boxes, arrows, width), "fig-nmer-network",
    "NMER, the paper's Fig. 2 redrawn. A frozen teacher's features of the clean samples are the targets of H′ (loss L_inv) and "
    "of the joint representation C (loss L_mse).",
    "A diagram. Noisy features enter specific and invariant encoders; the latter pass shared layers. Both enter a transformer, then a "
    "latent, a decoder and a classifier. A frozen teacher reads clean features and gives targets for the shared features and for the "
    "decoder's output.")  # fmt: skip

# %% [markdown]
# ## The parts and their sizes
#
# Every modality has two encoders, an LSTM (audio, visual) or a TextCNN (text), each with 128 outputs. One branch is
# *specific* ($\mathbf{h}'$). The other goes on through two linear layers that all modalities share and is *invariant*
# ($\mathbf{H}'$). Three modalities times two branches times 128 make the 768 of section 3.3. A transformer encoder and two
# linear maps turn them into the mean $\mu$ and the variance $\sigma^2$ of a latent $z$. A decoder, which also reads
# $\mathbf{H}'$, forms the joint representation $\mathbf{C}$, and a classifier reads $\mathbf{C}$.

# %%
attributes = {
    "specific encoders": "encoders.specific",
    "invariant encoders": "encoders.before_shared",
    "shared layers": "encoders.shared",
    "transformer": "transformer",
    "to mean": "to_mu",
    "to log-variance": "to_logvar",
    "decoder": "decoder",
    "classifier": "classifier",
    "teacher (frozen)": "teacher",
}
sizes = pd.DataFrame(index=list(attributes))
for letters, system in networks.items():
    parts = [system.get_submodule(path) for path in attributes.values()]
    sizes[letters] = [rm.count_parameters(part) for part in parts]
sizes.loc["all of NMER"] = sizes.sum()

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this table", "code_prompt_hide": "Code of this table"}
display.table(sizes.rename_axis("part"), "tbl-nmer-sizes", "Parameters of NMER for the features of IEMOCAP",
              "Counted from the modules, for three and for two modalities. Transformer and shared layers have the sizes of the paper's "
              "released code.")  # fmt: skip

# %% [markdown]
# The paper does not state what the transformer's sequence is. Read literally, a sample is **one token** of width 768.
# Attention over one token is no attention: the softmax over a single score is 1, and the weights of queries and keys never
# learn. The rest is a linear map, which the next cell checks. (The released code hands over the batch as if it were a
# sequence, so a prediction depends on the other samples of its batch. A law of this book forbids that.)

# %%
one_token = rm.NMER(iemocap, four, rm.InvariantTeacher(iemocap, four))
attention = one_token.transformer.layers[0]["attention"].eval()
x = torch.randn(5, 1, 768, generator=rm.stream("tokens", seed))  # samples of one token
with torch.no_grad():
    linear = attention.out(attention.value(x))
    print(f"largest difference to W_o W_v x: {(attention(x) - linear).abs().max():.0e}")
idle = len(one_token.transformer.layers) * rm.count_parameters(attention.query_key)
print(f"weights of queries and keys, which never learn: {idle:,}")

# %% [markdown]
# ## The losses
#
# $$ \mathcal{L} = \lambda_1 \left( \mathcal{L}_{kl} + \mathcal{L}_{mse} \right)
#    + \lambda_2 \mathcal{L}_{inv} + \lambda_3 \mathcal{L}_{cls} $$
#
# with $\lambda_1 = 1$, $\lambda_2 = 10$ and $\lambda_3 = 1$ (section 3.3). $\mathcal{L}_{kl}$ is the KL divergence of the
# latent from $\mathcal{N}(0, 1)$, $\mathcal{L}_{mse}$ the squared error of $\mathbf{C}$, $\mathcal{L}_{inv}$ that of
# $\mathbf{H}'$, and $\mathcal{L}_{cls}$ the cross-entropy. The targets are the frozen teacher's features of the clean sample.
# Equation 6 has no reduction, and equation 7 divides by the number $N$ of values. Here both are summed over a sample and divided
# by the same $N$, the width of $\mathbf{C}$. Their sum is then a negative evidence bound, up to a factor.

# %%
grid = nmer.STUDY.grid(profile, corpus, first_seed=seed)
mixture = rm.incomplete(
    grid.modalities, rm.NoiseScheduler(nmer.NOISES[noise], snr_db=snr_db)
)
recipe = grid.cells("NMER", mixture, [rm.CLEAN], "UA", tokens=tokens)[
    0
].recipe  # fold, seed and budget of the book's tables
teacher = rm.trained(
    recipe.upstream["teacher"], ledger_of("nmer", profile), device
)  # shared between pages
data = recipe.corpus.load()
system, history = rm.train(
    rm.NMER,
    data,
    recipe.task,
    mixture,
    recipe.fold,
    seed,
    recipe.budget,
    recipe.options,
    {"teacher": teacher},
    device,
)

# %%
terms = {
    "task": "classification",
    "inv": "invariance",
    "mse": "reconstruction",
    "kl": "KL",
}
records = history.frame.rename(columns=terms)
curves = records.melt("step", list(terms.values()), "series").rename(
    columns={"step": "x"}
)

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
answers.own_run(profile, data.name, ["one fold, one training"])
picture.show(
    lambda width: plots.lines(curves, "optimizer step", "weighted loss", width, log=True, height=260), "fig-nmer-losses",
    "Classification and reconstruction fall. Invariance begins small, because the encoders start from the teacher's; KL begins small, "
    "because the first posterior is close to the prior.",
    "Four curves over the steps of one training, on a logarithmic axis. Classification is highest and falls, reconstruction falls slowly, "
    "invariance and KL are lower and do not fall from their first value.", data.name)  # fmt: skip

# %% [markdown]
# **Why one divisor?** The released code sums the KL over the batch and averages the squared error. Compare the two parts of
# the generation loss before training, by reduction:

# %%
with rm.seeded("first step", seed), torch.no_grad():
    first = rm.NMER(
        data.shapes,
        data.task(),
        rm.InvariantTeacher(data.shapes, data.task()),
        tokens=tokens,
    ).train()
    batch = data.fold(0).train[:128]
    out = first.joint(rm.corrupt(batch, mixture, rm.stream("first step", seed)))
    kl = kl_to_standard(out.mu, out.logvar)
    error = (out.c - first.targets(batch)["specific"]).square()
ratios = pd.Series({
    "here: both divided by samples times N": kl.sum() / error.sum(),
    "released code: KL summed, error averaged": kl.sum() / error.mean(),
    "each a mean over its own values": kl.mean() / error.mean(),
}, name="KL / squared error").astype(float).round(3)  # fmt: skip
ratios.to_frame()

# %% [markdown]
# Under the released code's reduction the KL outweighs the reconstruction by orders of magnitude. The cheapest solution is then
# a latent that is noise.
#
# ## Is the latent used?
#
# A latent that carries nothing can be replaced without loss. So the trained network classifies test samples with four
# latents. They are the mean, as in every evaluation, a draw of the posterior, a draw of the prior $\mathcal{N}(0, 1)$, and the mean
# of another class's sample. On people:

# %%
replaced = statistics.summarise(latent, ["latent", "system"])
replaced = replaced.assign(row=replaced["latent"], value=replaced["mean"])

# %% tags=["hide-input"] mystnb={"code_prompt_show": "Code of this figure", "code_prompt_hide": "Code of this figure"}
picture.show(
    lambda width: figures.dots(replaced, {"NMER": registry.look("NMER")}, "UA (%)", width, lines=100 / 8), "fig-nmer-latent",
    "The classifier needs the latent of its own sample. NMER on RAVDESS-AV at −10 dB, 95% intervals over six folds of actors. Line: "
    "chance.",
    "Four dots with intervals. The mean and a posterior sample reach nearly the same UA; a prior sample and the mean of another class are "
    "far lower.", "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# The same on the network trained above, in code:

# %%
valid = data.fold(0).valid
condition = next(iter(mixture))
with torch.no_grad(), rm.seeded("latent", seed):
    out = (
        system.to("cpu")
        .eval()
        .joint(rm.corrupt(valid, condition, rm.stream(valid.name, condition)))
    )
    for name, z in {"mean": out.mu, "prior sample": torch.randn_like(out.mu)}.items():
        guess = system.classifier(system.decode(z, out.invariant)).argmax(1)
        print(f"{name:13} UA {ua(valid.labels[data.task().label], guess):.2f}")
nats = kl_to_standard(out.mu, out.logvar).mean(0)
print(f"{int((nats > 0.01).sum())} of {len(nats)} dimensions carry over 0.01 nats")

# %% [markdown]
# Is the network worth its weights? {ref}`nmer-table-2` compares it with logistic regression that met the same noise. Do both
# parts help? {ref}`nmer-ablation` takes them away.
#
# **Exercises**
#
# 1. With `tokens="modality"` each modality is a token of its own. Does attention then have something to attend to?
#
# :::{dropdown} Answer
# Yes: up to three tokens, so queries and keys learn. Run the page with `-p tokens modality`; the weights that never learn are gone.
# :::
#
# 2. Why can the classifier not be accurate with another class's latent if $\mathbf{H}'$ is its own?
#
# :::{dropdown} Answer
# The decoder mixes both, and $\mathbf{C}$ imitates the teacher's *specific* features, which $\mathbf{H}'$ does not hold.
# :::
