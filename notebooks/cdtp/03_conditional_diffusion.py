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
# (cdtp-conditional-diffusion)=
# # Completion by conditional diffusion
#
# CDTP section 3.4. A missing modality is not filled with zeros but drawn from what it may have looked like, given the
# modalities that are there. **Does the noise predictor learn, are its completions nearer to the truth than those of a
# linear regression, and how many sampling steps are worth their time?**
#
# Utterances are single vectors on this page (one frame a modality), so that it ends in about a minute.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"  # any corpus with classes
longer: int = 5  # the training here has so many times the steps of one in the tables
seed: int = 0

# %% tags=["hide-input"]
from dataclasses import replace
from functools import partial
import math
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown, display
from sklearn.linear_model import Ridge

from robustmer.batch import mean_over_time
from robustmer.conditions import CLEAN, corrupt, missing, missing_modes
from robustmer.corpora import load
from robustmer.display import run_card, table, theme
from robustmer.metrics import ua
from robustmer.nn.completion import Completion, completion_errors, mean_imputation
from robustmer.nn.diffusion import Diffusion, noised
from robustmer.noise import stream
from robustmer.papers.cdtp import DROP_RATE, profile_named
from robustmer.systems import LogReg
from robustmer.systems.completed import Completed
from robustmer.train import fit, seeded

palette = theme()
p = profile_named(profile)
options = {"size": p.size, "pooled": p.pooled} if corpus == "synthetic" else {}
data = load(corpus, **options)
train, valid, test = (part.to(device) for part in data.fold(0))
cases = {c.header(data.modalities): c for c in missing(data.modalities)}
source = run_card(profile, data.name, device, fingerprint=data.fingerprint)
table = partial(table, source=source)  # every table says where its numbers come from

# %% [markdown]
# ## Adding noise
#
# Equation 3 adds a little noise in each of $T$ steps. All steps up to $t$ at once are equation 4,
#
# $$ \mathbf{x}_t = \sqrt{\bar\alpha_t}\, \mathbf{x}_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon,
#    \qquad \bar\alpha_t = \prod_{s \le t} \alpha_s, \qquad \alpha_s = 1 - \beta_s . $$
#
# The paper prints $\alpha_t$ in place of $\bar\alpha_t$. To see that this is a misprint, take the largest feature of one
# utterance as $x_0$, add noise to it step by step, and compare. The paper gives neither $T$ nor the $\beta$; the 1000
# steps from 0.0001 to 0.02 are those of its released code.

# %%
diffusion = Diffusion()
alpha_bar = diffusion.alpha_bar
alpha = alpha_bar[1:] / alpha_bar[:-1]  # alpha_1 .. alpha_T
x_0 = float(train.x[data.modalities[0]][0, 0].max())
generator = stream("forward", seed)
x, reached = torch.full((20_000,), x_0, dtype=torch.float64), {}
for t in range(1, diffusion.steps + 1):
    epsilon = torch.randn(x.shape, generator=generator, dtype=x.dtype)
    x = noised(x, epsilon, alpha[t - 1])  # eq. 3, one step
    if t in (100, 250, 500, 1000):
        reached[t] = x

# %% tags=["hide-input"]
forward = pd.DataFrame([
    {("t", ""): t, ("$\\bar\\alpha_t$", ""): f"{alpha_bar[t]:.2g}",
     ("mean", "step by step"): float(found.mean()),
     ("mean", "eq. 4"): x_0 * math.sqrt(alpha_bar[t]),
     ("mean", "as printed"): x_0 * math.sqrt(alpha[t - 1]),
     ("std", "step by step"): float(found.std()),
     ("std", "eq. 4"): math.sqrt(1 - alpha_bar[t]),
     ("std", "as printed"): math.sqrt(1 - alpha[t - 1])}
    for t, found in reached.items()
])
table(forward, "tbl-cdtp-forward", "What noise makes of one feature: step by step, by eq. 4, and by eq. 4 as printed",
      f"{len(x):,} draws; x_0 = {x_0:.2f}.", decimals=2)

# %% mystnb={"figure": {"name": "fig-cdtp-forward", "caption": "Left: the share of the signal's power that is left after t steps, and what the printed equation would leave. Right: one feature after t steps of eq. 3 (bars) and by eq. 4 with alpha-bar (lines); the vertical line is the feature itself."}} tags=["hide-input"]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
left.plot(alpha_bar, label=r"$\bar\alpha_t$")
left.plot(range(1, diffusion.steps + 1), alpha, "--", label=r"$\alpha_t$, as printed")
left.set(xlabel="step t", ylabel="share of the signal's power", ylim=(0, 1.05))
left.legend()
grid = torch.linspace(-4, x_0 + 2, 400, dtype=torch.float64)
for colour, (t, found) in zip(palette, reached.items(), strict=False):
    centre, spread = x_0 * alpha_bar[t].sqrt(), (1 - alpha_bar[t]).sqrt()
    law = torch.distributions.Normal(centre, spread).log_prob(grid).exp()
    right.hist(found, bins=60, density=True, color=colour, alpha=0.25, lw=0)
    right.plot(grid, law, color=colour, label=f"t = {t}")
right.axvline(x_0, color="grey", ls=":", lw=1)
right.set(xlabel=r"$x_t$", ylabel="density", yticks=[], xlim=(-4, x_0 + 2))
right.legend()
plt.show()

# %% tags=["hide-input"]
left_over = 10 * math.log10(alpha[-1] / (1 - alpha[-1]))
scale = {t: math.sqrt(alpha[t - 1] / alpha_bar[t]) for t in (500, diffusion.steps)}
display(Markdown(
    f"Noise added step by step follows $\\bar\\alpha_t$ ({{numref}}`tbl-cdtp-forward`, {{numref}}`fig-cdtp-forward`). As "
    f"printed, the signal would still stand {left_over:.0f} dB above the noise at the last step, so a network would never "
    f"see the pure noise from which sampling begins, and eq. 8, which divides by $\\sqrt{{\\bar\\alpha_t}}$, would return "
    f"$x_0$ times {scale[500]:.1f} at $t = 500$ and times **{scale[diffusion.steps]:.0f}** at "
    f"$t = {diffusion.steps}$."))

# %% [markdown]
# ## Does the noise predictor learn?
#
# It is trained by equation 5 on whole utterances: choose at random what is missing and a step $t$, add noise to the
# missing modality, guess the noise from what came out and from the modalities that are there,
#
# $$ \mathcal{L} = \left\| \epsilon - \epsilon_\theta(\mathbf{x}_t, \mathbf{c}, t) \right\|^2 . $$
#
# The loss means something only beside that of a predictor that **knows nothing** but that features have mean 0 and
# variance 1. Its best guess is $\sqrt{1 - \bar\alpha_t}\, \mathbf{x}_t$, and on features of mean square $v$ its loss is the
# mean of $\bar\alpha_t^2 + \bar\alpha_t (1 - \bar\alpha_t) v$ over all $t$. By its construction the network begins as
# this predictor. Behind the completion stands logistic regression, trained on whole utterances in a second stage; it
# will judge the completions further down.

# %%
steps = longer * p.budget.steps(len(train))
budget = replace(p.budget, epochs=0, min_steps=steps, max_steps=steps, batch_size=128)
with seeded("conditional diffusion", seed):
    completion = Completion(data.dims)
    classifier = LogReg(data.dims, data.classes)
    system = Completed(classifier, completion).to(device)
before = [each.detach().clone() for each in completion.parameters()]
records = pd.DataFrame(fit(system, train, valid, CLEAN, budget, seed=f"diffusion, seed {seed}"))
losses = records[records["stage"] == "complete"]

# %% mystnb={"figure": {"name": "fig-cdtp-loss", "caption": "Eq. 5 during training: on training rows (mean since the last point) and on the validation speaker (same noise each time). Dashed: the predictor that knows nothing."}} tags=["hide-input"]
squares = [mean_over_time(valid.x[m], valid.real[m]).square().mean() for m in data.modalities]
v, kept = float(torch.stack(squares).mean()), alpha_bar[1:]
nothing = float((kept**2 + kept * (1 - kept) * v).mean())
figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
for label, column in (("training", "diffusion"), ("validation", "valid_loss")):
    axis.plot(losses["step"], losses[column], marker="o", label=label)
axis.axhline(nothing, color="grey", ls="--", lw=1.5)
axis.text(steps, nothing, "knows nothing", color="grey", ha="right", va="bottom")
axis.set(xlabel="optimiser step", ylabel="eq. 5, a value", ylim=(0, 1.2 * nothing))
axis.legend(loc="lower left")
plt.show()

# %% tags=["hide-input"]
end, least = losses.iloc[-1], losses.loc[losses["valid_loss"].idxmin()]
changed = {"rows of a speaker who was never heard": end["valid_loss"] / nothing - 1,
           "the training rows": end["diffusion"] / nothing - 1}
said = " and ".join(f"{share:+.0%} on {rows}" for rows, share in changed.items())
overfitted = ("" if least["step"] == end["step"] else
              f" On validation rows it was least, {least['valid_loss']:.3f}, after {least['step']:.0f} steps: from then on "
              "the network learnt its training rows by heart.")
in_tables = p.budget.steps(len(train)) * p.budget.batch_size
noisier = float(kept[len(kept) // 2:].sum() / kept.sum())
display(Markdown(
    f"The predictor that knows nothing, which the network begins as, has a loss of {nothing:.3f}. **After {steps} "
    f"optimiser steps the loss is {end['valid_loss']:.3f} on validation rows: against that predictor it has changed by "
    f"{said}.**{overfitted} Part of that is what the features of one modality say of each other; the next section asks what the "
    "*other* modalities add.\n\n"
    "That is learnt slowly, and one reason lies in eq. 5 itself. The network gives "
    "$\\sqrt{1 - \\bar\\alpha_t}\\, \\mathbf{x}_t$ and adds $\\sqrt{\\bar\\alpha_t}$ times what it has learnt, so an error in the "
    f"latter counts $\\bar\\alpha_t$. The noisier half of all steps, where little but the other modalities can help, has "
    f"**{noisier:.1%}** of that weight. The network has now seen {steps * budget.batch_size:,} rows; a training of profile "
    f"`{profile}` in the tables shows it {in_tables:,}."))

# %% [markdown]
# ## How near do completions come?
#
# Test utterances are completed in each case and compared with what was recorded. Beside the paper's sampling
# from **noise** (one draw) stands the sampling from **zero**, the middle of all starts, which DDIM leads to something
# like the mean of all draws. Beside both stand the **mean** of the training rows (zeros, as features are standardised) and
# **ridge** regression of the missing modality on those that are there, its penalty chosen on the validation rows.

# %%
def completed(seen, start="noise", steps=20, sampler="ddim"):
    completion.start, completion.steps, completion.sampler = start, steps, sampler
    return completion.complete(seen)


def vectors(batch, modalities):
    """The utterances' mean features of these modalities, side by side."""
    each = [mean_over_time(batch.x[m], batch.real[m]) for m in modalities]
    return torch.cat(each, dim=1).cpu().numpy()


def regressed(seen, given, alpha):
    """For each missing modality its ridge regression on the given ones."""
    found = {}
    for m in (m for m in data.modalities if m not in given):
        line = Ridge(alpha=alpha).fit(vectors(train, given), vectors(train, [m]))
        guess = torch.as_tensor(line.predict(vectors(seen, given)), dtype=torch.float32)
        found[m] = guess[:, None].to(device)
    return found


def squared_error(found, clean, seen):
    return np.mean([e["mse"] for e in completion_errors(found, clean, seen).values()])


seen_in = {name: corrupt(test, c, stream(test.name, c)) for name, c in cases.items()}
found = {}
for name, seen in seen_in.items():
    given = cases[name].seen
    check = corrupt(valid, cases[name], stream(valid.name, cases[name]))
    tried = {a: squared_error(regressed(check, given, a), valid, check)
             for a in (300.0, 1_000.0, 3_000.0, 10_000.0)}
    found[name] = {"mean": mean_imputation(seen),
                   "noise": completed(seen, "noise"), "zero": completed(seen, "zero"),
                   "ridge": regressed(seen, given, min(tried, key=tried.get))}

# %% tags=["hide-input"]
another = test[np.roll(np.arange(len(test)), 1)]
lines, strangers = [], []
for name, seen in seen_in.items():
    errors = {how: completion_errors(each, test, seen) for how, each in found[name].items()}
    strange = completion_errors(found[name]["zero"], another, seen)
    strangers += [e["cosine"] for e in strange.values()]
    for m in errors["ridge"]:
        lines.append({("available", ""): name, ("completed", ""): m}
                     | {("cosine", how): errors[how][m]["cosine"] for how in ("noise", "zero", "ridge")}
                     | {("squared error", how): errors[how][m]["mse"]
                        for how in ("mean", "noise", "zero", "ridge")})
near = pd.DataFrame(lines)
near.columns = pd.MultiIndex.from_tuples(near.columns)
table(near, "tbl-cdtp-near", "Completed features against the recorded ones, by what is available",
      f"{len(test)} utterances of a test speaker, one training, DDIM with 20 steps. Mean imputation has cosine 0.",
      decimals=2)

# %% tags=["hide-input"]
average = near.drop(columns=["available", "completed"], level=0).mean()
count, error, cosine = len(near), near["squared error"], near["cosine"]
wins = int((error["zero"] < error["mean"]).sum())
ridge_wins = int((error["ridge"] < error["mean"]).sum())
beaten = int((error["zero"] < error["ridge"]).sum())
nearer = int((cosine["zero"] > cosine["ridge"]).sum())
verdict = ("**The diffusion does not beat ridge regression**" if beaten <= count / 2 else
           "**The diffusion beats ridge regression**")
display(Markdown(
    f"{verdict}: in squared error it does from zero in {beaten} of the {count} places of {{numref}}`tbl-cdtp-near`, in cosine "
    f"in {nearer}. Mean imputation is beaten by ridge in {ridge_wins} places and by the diffusion from zero in {wins}. "
    f"The mean cosine is {average['cosine', 'zero']:.2f} from zero, {average['cosine', 'noise']:.2f} from noise and "
    f"{average['cosine', 'ridge']:.2f} by ridge; with the recorded features of *another* utterance of the speaker "
    f"completions from zero have {np.mean(strangers):.2f}."))

# %% [markdown]
# That a draw from noise does worst is no fault. A draw of the *true* distribution has twice the squared error of
# that distribution's mean, because draw and truth scatter about the mean alike. Since the modalities say little of each
# other, twice the best squared error is nearly twice the variance:

# %% tags=["hide-input"]
drawn, recorded = [], []
for completions in found.values():
    for m, each in completions["noise"].items():
        drawn.append(float(each.var(0).mean()))
        recorded.append(float(mean_over_time(test.x[m], test.real[m]).var(0).mean()))
ratio = average["squared error", "noise"] / average["squared error", "ridge"]
display(Markdown(
    f"Ours has **{ratio:.2f}** times that of ridge, the best guess of the mean at hand. Draws vary across utterances "
    f"by {math.sqrt(np.mean(drawn)):.2f} (standard deviation) where recorded features vary by "
    f"{math.sqrt(np.mean(recorded)):.2f}" + (
        ", so draws scatter a little too little, and their error stays below twice that of the mean."
        if np.mean(drawn) < np.mean(recorded) and ratio < 2 else ".")
    + " Whoever wants the smallest error should begin at zero, and whoever wants features as spread as recorded ones, at noise."))

# %% [markdown]
# ## How many steps?
#
# Each step is one call of the U-Net. The same completions are now made with 1 to 50 steps of DDIM {cite}`ddim` and with
# 5 to 100 of DDPM {cite}`ddpm`. How good they are is judged three ways: by their squared error, by the
# accuracy (UA) of the logistic regression behind them, which was trained on whole utterances only, and by the time that
# one batch takes. The same logistic regression reads ridge's completions and zeros, and another one was trained, as in
# the tables, with zeros where something is missing.

# %%
def accuracy(judge, seen, completions):
    """UA of a classifier that reads completions like recorded features."""
    frame = torch.ones(len(seen), 1, dtype=torch.bool, device=device)
    whole = seen.replace(x=seen.x | completions,
                         real=seen.real | dict.fromkeys(completions, frame),
                         present=seen.present | dict.fromkeys(completions, frame[:, 0]))
    return ua(test.label, judge.predict(whole).argmax(1))


counts = {"DDIM, noise": (1, 2, 5, 10, 20, 50), "DDIM, zero": (1, 2, 5, 10, 20, 50),
          "DDPM, noise": (5, 20, 100)}
curve = []
for how, numbers in counts.items():
    sampler, begin = how.lower().split(", ")
    for number in numbers:
        for seen in seen_in.values():
            clock = time.perf_counter()
            each = completed(seen, begin, number, sampler)
            error = squared_error(each, test, seen)  # waits for the device
            taken = time.perf_counter() - clock
            curve.append({"sampling": how, "steps": number, "squared error": error,
                          "UA": accuracy(classifier, seen, each), "ms": 1000 * taken})
same = pd.DataFrame(curve).groupby(["sampling", "steps"], sort=False, as_index=False)
curve = same.agg({"squared error": "mean", "UA": "mean", "ms": "median"})

with seeded("conditional diffusion", seed):
    in_cases = LogReg(data.dims, data.classes).to(device)
for _ in fit(in_cases, train, valid, missing_modes(data.modalities, DROP_RATE), budget,
             seed=f"in the cases, seed {seed}"):
    pass
simple = pd.DataFrame([
    {"reads zeros": accuracy(classifier, seen, {}),
     "reads ridge": accuracy(classifier, seen, found[name]["ridge"]),
     "reads zeros, trained in the cases": accuracy(in_cases, seen, {})}
    for name, seen in seen_in.items()
]).mean()

# %% mystnb={"figure": {"name": "fig-cdtp-steps", "caption": "Squared error, accuracy behind the completion and time of one batch against the number of sampling steps, over the cases (means; of the time the median). Dashed: without diffusion."}} tags=["hide-input"]
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.9), layout="constrained")
for axis, column in zip(axes, ("squared error", "UA", "ms"), strict=True):
    for colour, (how, part) in zip(palette, curve.groupby("sampling", sort=False), strict=False):
        axis.plot(part["steps"], part[column], marker="o", ms=5, color=colour, label=how)
    axis.set(xscale="log", xlabel="sampling steps", xticks=(1, 10, 100), xticklabels=(1, 10, 100))
means = average["squared error"]
for level, name in ((means["mean"], "mean"), (means["ridge"], "ridge")):
    axes[0].axhline(level, color="grey", ls="--", lw=1)
    axes[0].text(100, level, name, color="grey", ha="right", fontsize="small",
                 va="bottom" if name == "mean" else "top")
for colour, (name, level) in zip(palette[3:], simple.items(), strict=False):
    axes[1].axhline(level, color=colour, ls="--", lw=1.5, label=name)
axes[0].set(ylabel="squared error", ylim=(0.6 * means["ridge"], None))
axes[1].set(ylabel="UA")
axes[2].set(ylabel="milliseconds a batch", yscale="log")
handles, labels = axes[1].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize="small")
plt.show()

# %% tags=["hide-input"]
at = curve.set_index(["sampling", "steps"])
each_step = at.loc[("DDPM, noise", 100), "ms"] / 100
from_zero = curve.loc[curve["sampling"] == "DDIM, zero", "squared error"]
chance = 1 / len(data.classes)
doubt = math.sqrt(0.25 / len(test))
ways = {"from noise": at.loc[("DDIM, noise", 20), "UA"], "from zero": at.loc[("DDIM, zero", 20), "UA"],
        "by ridge": simple["reads ridge"], "with zeros": simple["reads zeros"],
        "with zeros and trained in the cases": simple["reads zeros, trained in the cases"]}
order = sorted(ways, key=ways.get, reverse=True)
display(Markdown(
    f"A step takes about {each_step:.1f} ms for a batch of {len(test)} utterances, so all {completion.diffusion.steps} steps of "
    f"DDPM would take {each_step * completion.diffusion.steps / 1000:.1f} s. "
    f"**One step from noise is no draw**: the first estimate of $x_0$ is the network's guess of the mean, with a squared "
    f"error of {at.loc[('DDIM, noise', 1), 'squared error']:.2f}. More steps turn it into a draw, with "
    f"{at.loc[('DDIM, noise', 5), 'squared error']:.2f} after 5 and {at.loc[('DDIM, noise', 50), 'squared error']:.2f} after "
    f"50, and the accuracy goes from {at.loc[('DDIM, noise', 1), 'UA']:.3f} to {at.loc[('DDIM, noise', 50), 'UA']:.3f}. "
    "From zero the squared error stays between "
    f"{from_zero.min():.2f} and {from_zero.max():.2f}, and one step is enough for it.\n\n"
    "With 20 steps of DDIM the logistic regression reaches, from best to worst, "
    + ", ".join(f"{ways[name]:.3f} {name}" for name in order)
    + f" (chance {chance:.2f}; standard error of one case about {doubt:.2f}, so small differences say nothing)."))

# %% [markdown]
# ## What the released code does
#
# The paper's code is public. Read and run, it does not do what section 3.4 describes; the numbers of the first
# column below were measured on it, those of the second are computed on this page.

# %%
available, case = list(cases.items())[-1]
seen, lacking = seen_in[available], [m for m in data.modalities if m not in case.seen]
first = completed(seen, "noise")


def alike(one, other):
    """Mean correlation over rows between two sets of completions."""
    pairs = [pair for m in lacking
             for pair in zip(one[m].flatten(1), other[m].flatten(1), strict=True)]
    return np.mean([float(torch.stack(pair).corrcoef()[0, 1]) for pair in pairs])


# The noise of an utterance is named by its id: one id for all rows is one noise for all rows.
same = completed(seen.replace(id=np.full(len(seen), "one")), "noise")
next_row = {m: each.roll(1, 0) for m, each in same.items()}
others = np.array([f"{name}, again" for name in seen.id])
renamed = completed(seen.replace(id=others), "noise")
noise_alike, condition_alike = alike(same, next_row), alike(first, renamed)
altered = completed(seen.replace(x=seen.x | {m: test.x[m] for m in lacking}), "noise")
leak = max(float((altered[m] - first[m]).abs().max()) for m in lacking)
learns = list(completion.parameters())
moved = sum(not torch.equal(now, old) for now, old in zip(learns, before, strict=True))
stage = next(stage for stage in system.stages() if stage.name == "complete")
told = {id(each) for each in stage.objectives["all"].params}
known = sum(id(each) in told for each in learns)

# %% tags=["hide-input"]
facts = pd.DataFrame([
    ("Does the forward pass run?", "no, in no configuration: shapes of prompts do not fit, and the loop over the batch "
     "runs off its end", "yes"),
    ("Is eq. 5 there?", "no: the predicted noise itself is handed on as the generated feature, and only the task's loss "
     "is followed", f"yes: {nothing:.3f} before and {end['valid_loss']:.3f} after training"),
    ("Is the noise predictor trained?", "no: it is made anew in the forward pass, after the optimiser; of 3,930 tensors 524 "
     "are in the optimiser, 3,393 have gradients, and none is both",
     f"yes: of {len(learns)} tensors {known} are in the optimiser and {moved} have moved"),
    ("Is it DDIM?", "no: steps of DDPM in reversed order, t = 0 to 999, which end in noise. Same noise and another condition: "
     "correlation 0.9998; same condition and another noise: 0.0006",
     f"yes: {noise_alike:.2f} and {condition_alike:.2f}"),
    ("Is the missing modality unknown?", "not in training: the recorded features of the missing modality are noised and "
     "fed to the classifier", f"yes: altering them moves no completion (difference {leak:g}), and only eq. 5 knows them"),
], columns=["question", "released code", "here"])
table(facts, "tbl-cdtp-released", "What the completion of the released code does, and what this one does",
      f"Released code at commit b077dbb. Here: available {available}, {len(test)} test utterances.")
display(Markdown(
    f"So no diffusion that was trained by eq. 5 can have come from this code. The fourth line has no ideal of 0 and 1: the "
    f"less the available modalities say, the more a draw is decided by its noise, here {noise_alike:.2f} against "
    f"{condition_alike:.2f}."))

# %% [markdown]
# **To try:** run this page with `longer=1`, the training of the tables in this profile, or with `longer=12`. Which of
# the lines of {numref}`fig-cdtp-steps` does a better predictor move?
