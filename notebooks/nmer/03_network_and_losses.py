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
# NMER sections 2.3, 2.4 and 3.3. The network must give, from noisy modalities, the representation that a teacher has of
# the clean ones. **Which parts does it consist of, does its latent variable carry anything, and do its losses fall?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"
noise: str = "gaussian"
snr_db: float = -10.0
seed: int = 0
tokens: str = "one"  # "one" (the literal reading) or "modality"

# %% tags=["hide-input"]
from functools import partial

import pandas as pd
import seaborn as sns
import torch
from IPython.display import Markdown, display

from robustmer.conditions import corrupt, incomplete
from robustmer.corpora import load
from robustmer.display import run_card, table, theme
from robustmer.metrics import ua
from robustmer.nn.gaussians import kl_to_standard, sample
from robustmer.noise import NoiseScheduler, stream
from robustmer.papers.nmer import noise_kind, profile_named
from robustmer.systems import MEN, NMER, LogReg, count_parameters
from robustmer.train import fit, seeded

palette = theme()
p = profile_named(profile)
scheduler = NoiseScheduler(noise_kind(noise), snr_db=snr_db)
options = {"size": p.size, "pooled": p.pooled} if corpus == "synthetic" else {}
data = load(corpus, **options)
train, valid, test = (part.to(device) for part in data.fold(0))
source = run_card(profile, data.name, device, fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from

# %% [markdown]
# ## The parts and their sizes
#
# Every modality has two encoders, an LSTM (audio, visual) or a TextCNN (text), each giving 128 numbers. One branch is
# *specific* ($\mathbf{h}'$); the other goes on through two linear layers that all modalities share and is *invariant*
# ($\mathbf{H}'$). Three modalities times two branches times 128 make the 768 of section 3.3, two make 512. A
# Transformer encoder and two linear maps turn them into the mean and log-variance of a latent $z$; a decoder,
# which also sees $\mathbf{H}'$, makes the joint representation $\mathbf{C}$ from it; a classifier reads $\mathbf{C}$.

# %%
iemocap = {"audio": 130, "visual": 342, "text": 1024}
four = ("happy", "angry", "sad", "neutral")
shapes = {"a, v, l": iemocap, "a, v": {m: iemocap[m] for m in ("audio", "visual")}}
counts = {}
for name, dims in shapes.items():
    system = NMER(dims, four, tokens=tokens)
    parts = {
        "specific encoders": system.encoders.specific,
        "invariant encoders": system.encoders.before_shared,
        "shared linear layers": system.encoders.shared,
        "transformer": system.transformer,
        "to mean": system.to_mu,
        "to log-variance": system.to_logvar,
        "decoder": system.decoder,
        "classifier": system.classifier,
        "teacher (frozen)": system.teacher,
    }
    if tokens == "one":
        idle = torch.nn.ModuleList(layer["attention"].query_key for layer in system.transformer.layers)
        parts["transformer's queries and keys (unused)"] = idle
    parts |= {"all of NMER": system, "MEN, for comparison": MEN(dims, four)}
    counts[name] = {part: count_parameters(module) for part, module in parts.items()}

# %% tags=["hide-input"]
sizes = pd.DataFrame(counts).rename_axis("part").map("{:,}".format)
table(sizes, "tbl-nmer-sizes", "Parameters of NMER for the features of IEMOCAP, with three modalities and with two",
      "Counted from the modules. The transformer's 12,814,720 and the shared layers' 33,024 are those of the paper's "
      "released code, MEN's 2,063,620 that of MMIN's.", source="")

# %% [markdown]
# In {numref}`tbl-nmer-sizes` most weights sit in the transformer. The paper does not say what its sequence is. Read literally, an utterance is **one token** of width 768, and attention over one token is no attention: the
# softmax over a single score is 1, and the weights of queries and keys never learn. What is left of it is a linear map, which the next cell checks. (The released code
# hands the batch to the transformer as if it were a sequence, so a prediction there depends on its batch mates. Here a
# row never sees its neighbours; that is one of the laws that every system is tested for.)

# %%
attention = NMER(iemocap, four).transformer.layers[0]["attention"].eval()
x, y = torch.randn(2, 5, 1, 768, generator=stream("tokens", seed))
with torch.no_grad():
    linear = attention.out(attention.value(x))
    bend = attention((x + y) / 2) - (attention(x) + attention(y)) / 2
    print(f"attention - W_o W_v x:        {(attention(x) - linear).abs().max():.0e}")
    print(f"f((x+y)/2) - (f(x) + f(y))/2: {bend.abs().max():.0e}")

# %% [markdown]
# ## The losses
#
# $$ \mathcal{L} = \lambda_1 \left( \mathcal{L}_{kl} + \mathcal{L}_{mse} \right)
#    + \lambda_2 \mathcal{L}_{inv} + \lambda_3 \mathcal{L}_{cls} $$
#
# with weights 1, 10 and 1 (section 3.3). The targets of $\mathcal{L}_{mse}$ and $\mathcal{L}_{inv}$ are the specific and
# invariant features that a frozen
# teacher has of the clean rows. Equation 6 has no reduction and equation 7 divides by the number $N$ of values. Here both
# are summed over a row and divided by the same $N$, the width of $\mathbf{C}$; their sum is then a negative evidence bound
# up to a factor. The released code sums the one over the batch and averages the other:

# %%
with seeded("network and losses", seed):
    system = NMER(data.dims, data.classes, tokens=tokens).to(device)
conditions = incomplete(data.modalities, scheduler)
batch = train[range(min(128, len(train)))]
with torch.no_grad(), seeded("first step", seed):
    seen = corrupt(batch, conditions, stream("first step", seed, device=device))
    out = system.train().joint(seen)
    target = system.teacher.eval().targets(batch)["specific"]
    kl = kl_to_standard(out.mu, out.logvar)
    squares = (out.c - target).square()
reductions = pd.DataFrame({"KL": {
    "here: both divided by rows times N": float(kl.sum() / squares.numel()),
    "released code: KL summed, error averaged": float(kl.sum()),
    "each averaged over its own elements": float(kl.mean()),
}}).rename_axis("reduction").assign(**{"squared error": float(squares.mean())})
reductions["KL / error"] = reductions["KL"] / reductions["squared error"]

# %% tags=["hide-input"]
table(reductions, "tbl-nmer-reductions", "The two parts of the generation loss before training, by reduction",
      f"One batch of {len(batch)} rows, {scheduler.kind} at {snr_db:g} dB.")

# %% [markdown]
# Under the released code's reduction the KL outweighs the reconstruction by orders of magnitude
# ({numref}`tbl-nmer-reductions`): the cheapest thing to do is to let the latent be noise. Now both stages train, the
# teacher on clean rows and then NMER on rows that draw one of the incomplete conditions in every epoch.

# %%
training = fit(system, train, valid, conditions, p.budget, seed=f"network, seed {seed}")
records = pd.DataFrame(list(training))

# %% mystnb={"figure": {"name": "fig-nmer-losses", "caption": "Left: the terms of the loss in NMER's second stage, weighted as they are added (mean since the last validation). Right: UA on the validation speakers, of the teacher on clean rows and of NMER on noisy ones, each row under every incomplete condition. The weights of the best validation are kept."}} tags=["hide-input"]
import matplotlib.pyplot as plt

terms = {"cls": "classification", "inv": "invariance", "mse": "reconstruction", "kl": "KL"}
joint = records[records["stage"] == "joint"].rename(columns=terms)
falling = joint.melt("step", list(terms.values()), "term", "loss")
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
sns.lineplot(falling, x="step", y="loss", hue="term", style="term", markers=True, dashes=False, ax=left)
left.set(yscale="log", ylim=(1e-3, 30), xlabel="optimiser step", ylabel="weighted loss")
left.legend(title=None, loc="upper right", ncols=2, fontsize="small")
for colour, (stage, label) in zip(palette[4:], {"teacher": "teacher, clean", "joint": "NMER, noisy"}.items(),
                                  strict=False):
    part = records[records["stage"] == stage]
    sns.lineplot(part, x="step", y="valid_ua", marker="o", ax=right, label=label, color=colour)
right.axhline(1 / len(data.classes), color="grey", ls=":", lw=1)
right.text(0.98, 1 / len(data.classes) + 0.02, "chance", color="grey", ha="right",
           transform=right.get_yaxis_transform())
right.set(xlabel="optimiser step", ylabel="UA on validation", ylim=(0, 1))
plt.show()

# %% tags=["hide-input"]
first, last, best = joint.iloc[0], joint.iloc[-1], joint["valid_ua"].max()
fell = [name for name in terms.values() if last[name] < first[name]]
display(Markdown(
    f"From step {first['step']} to {last['step']} these terms fell: **{', '.join(fell) or 'none'}**, and these did not: "
    f"**{', '.join(name for name in terms.values() if name not in fell) or 'none'}**. The classification "
    f"loss went from {first['classification']:.2f} to {last['classification']:.2f}. The best validation UA is {best:.3f}, "
    f"at step {joint.loc[joint['valid_ua'] == best, 'step'].iloc[-1]} ({'the end of' if best == last['valid_ua'] else 'within'} "
    f"the training, {last['seconds']:.0f} s). The invariance loss begins small because the encoders begin as the "
    f"teacher's."))

# %% [markdown]
# ## Is the latent used?
#
# A latent that carries nothing can be replaced without anyone noticing. So the trained network classifies the validation
# rows four times: with the latent's mean (as it does at test), with a sample of the posterior, with a sample of the prior
# $\mathcal{N}(0, 1)$ that knows nothing of the row, and with the mean of a row of another class. If the accuracy does
# not move, the latent is not used and all information flows through $\mathbf{H}'$.

# %%
@torch.no_grad()
def with_latent(choose, condition, draw) -> dict[str, float]:
    """UA and squared error of C on the validation rows when `choose(joint)` is the latent."""
    seen = corrupt(valid, condition, stream(valid.name, condition, device=device))
    with seeded("latent", seed, draw):
        out = system.eval().joint(seen)
        c = system.decode(choose(out), out.invariant)
        target = system.teacher.targets(valid)["specific"]
    guess = system.classifier(c).argmax(1)
    return {"UA": ua(seen.label, guess), "squared error of C": float((c - target).square().mean())}


def of_another_class(mu):
    """The mean of a random row with another label, for each row."""
    others = (valid.label[:, None] != valid.label).float()
    return mu[torch.multinomial(others, 1)[:, 0]]


latents = {
    "mean": lambda out: out.mu,
    "posterior sample": lambda out: sample(out.mu, out.logvar),
    "prior sample": lambda out: torch.randn_like(out.mu),
    "mean of another class's row": lambda out: of_another_class(out.mu),
}
used = pd.DataFrame([
    {"latent": name, **pd.DataFrame(
        [with_latent(choose, c, draw) for c in conditions for draw in range(5)]).mean()}
    for name, choose in latents.items()
])

# %% tags=["hide-input"]
with torch.no_grad():
    out = system.eval().joint(corrupt(valid, conditions, stream("active", seed, device=device)))
nats = kl_to_standard(out.mu, out.logvar).mean(0)
active = int((nats > 0.01).sum())
table(used, "tbl-nmer-latent", "What the classifier makes of other latents, validation rows",
      f"Mean over the {len(conditions)} incomplete conditions and 5 draws; {len(valid)} rows, one training.")
drop = used.set_index("latent")["UA"]
verdict = ("The latent is used: without its row's own value the accuracy falls"
           if drop["mean"] - drop["prior sample"] > 0.05
           else "The latent is hardly used: what the classifier needs comes through the invariant features")
display(Markdown(
    f"{active} of {len(nats)} latent dimensions carry more than 0.01 nats, all together {float(nats.sum()):.1f} nats a "
    f"row. **{verdict}** ({drop['mean']:.3f} with the mean, {drop['prior sample']:.3f} with the prior)."))

# %% [markdown]
# ## Against something simple
#
# A deep network is worth its cost only if it beats logistic regression on the same rows. Both are trained here under
# the same incomplete conditions and scored on the **validation** speakers; the test speakers wait for the next page.

# %%
scores = {}
for name, other in {"LogReg, noisy training": LogReg, "MEN, noisy training": MEN}.items():
    with seeded("network and losses", seed):
        rival = other(data.dims, data.classes).to(device)
    records = fit(rival, train, valid, conditions, p.budget, seed=f"rival, seed {seed}")
    found = [record["valid_ua"] for record in records]
    scores[name] = found[-1] if other is LogReg else max(found)  # LogReg keeps its last weights
scores[f"NMER, tokens={tokens!r}"] = best
simple = pd.DataFrame({"UA on validation": scores}).rename_axis("system")
table(simple, "tbl-nmer-simple", f"Best validation UA under {noise} noise at {snr_db:g} dB",
      f"Fold 0, seed {seed}. One fold and one seed: a check, not a comparison.")
behind = [name for name, score in scores.items() if score > best and not name.startswith("NMER")]
display(Markdown(f"NMER is behind **{' and '.join(behind)}** here." if behind else
                 "NMER is behind neither here."))

# %% [markdown]
# **To try:** run this page with `tokens="modality"`, which gives each modality a token of its own so that attention has
# something to attend to, or at `snr_db=-40`. What of {numref}`tbl-nmer-latent` changes?
