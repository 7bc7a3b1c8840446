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
# **Does the noise predictor learn, are its completions nearer to the truth than linear regression, and how many sampling steps are worth
# their time?** CDTP section 3.4: a missing modality is drawn from its distribution given the others.

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"  # or another corpus of vectors with classes
longer: int = 5  # times the steps of a training in the tables
seed: int = 0

# %% tags=["remove-input"]
import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import RidgeCV

import robustmer as rm
from robustmer.book.answers import answer, numbers_folded, own_run
from robustmer.book.figures import dots, forest
from robustmer.book.picture import show
from robustmer.book.plots import lines
from robustmer.book.registry import BLUE, System, look
from robustmer.experiments import findings, papers, project
from robustmer.experiments.contrasts import difference
from robustmer.experiments.papers import cdtp
from robustmer.nn.diffusion import Diffusion, Sampling, noised
from robustmer.systems.completion import mean_imputation

p = cdtp.PROFILES[profile]
data = rm.corpora.load(
    corpus, **({"size": p.size, "pooled": True} if corpus == "synthetic" else {})
)
train, valid, test = data.fold(0)
steps = longer * p.budget.steps(len(train))
budget = rm.Budget(
    epochs=0, min_steps=steps, max_steps=steps, batch_size=128, checks=p.budget.checks
)
completion, history = rm.train(
    rm.Completion, data, rm.OwnError(), budget=budget, seed=seed, device=device
)
judge, gaps = (rm.train(rm.LogReg, data, mixture=learns, budget=budget, seed=seed, device=device)[0].to("cpu").eval()
               for learns in (rm.CLEAN, rm.drop(data.modalities, cdtp.DROP_RATE)))  # fmt: skip
completion = completion.to("cpu").eval()

label = test.labels[data.task().label]
vectors = {split: {m: rm.mean_over_time(part.x[m], part.mask[m]) for m in data.modalities}
           for split, part in {"train": train, "test": test}.items()}  # fmt: skip
observed = {
    case: rm.corrupt(test, case, rm.stream(test.name, case))
    for case in rm.missing(data.modalities)
}
completed = {}
for case, batch in observed.items():
    given = {
        split: torch.cat([part[m] for m in case.seen], 1).numpy()
        for split, part in vectors.items()
    }
    lacking, completed["mean", case] = (
        [m for m in data.modalities if m not in case.seen],
        mean_imputation(batch),
    )
    ridge = {
        m: RidgeCV((300.0, 1e3, 3e3, 1e4)).fit(
            given["train"], vectors["train"][m].numpy()
        )
        for m in lacking
    }
    completed["ridge regression", case] = {m: torch.tensor(line.predict(given["test"]))[:, None].float() for m, line in ridge.items()}  # fmt: skip
    completed["diffusion from zero", case] = completion.impute(
        batch, Sampling(start="zero")
    )
    completed["diffusion from noise", case] = completion.impute(
        batch, Sampling(start="noise")
    )
errors = {}
hits = {("no completion, met the gaps", case): gaps.predict(batch).argmax(1) == label for case, batch in observed.items()}  # fmt: skip
for (how, case), filled in completed.items():
    squares = [
        (x[:, 0] - vectors["test"][m]).square().mean(1) for m, x in filled.items()
    ]
    errors[how, case] = torch.stack(squares).mean(0)
    whole = test.replace(x=observed[case].x | filled)
    hits[how, case] = judge.predict(whole).argmax(1) == label
means = {panel: pd.DataFrame({key: value.double().numpy() for key, value in scores.items()}).T.groupby(level=0, sort=False).mean().T
         for panel, scores in {"squared error": errors, "accuracy behind it": hits}.items()}  # fmt: skip
squared = means["squared error"].mean()

measured = papers.results("cdtp")
table = cdtp.tables("paper", "ravdess_av")["ablations"].where(
    metric="ACC", condition="avg"
)
parts = pd.DataFrame([{"row": look(row).label, "kind": "people", "keys": ()}
                      | difference(table, cdtp.Row("CDTP"), row).measure(measured, scale=100) for row in cdtp.DIFFUSION[1:]])  # fmt: skip
parts["value"] = parts["effect"]
without = findings.estimate_of(parts.iloc[-1].to_dict())
peers = pd.read_csv(project() / "results/peers/cdtp.csv").set_index("what")["value"]
answer(
    (f"The squared error of a completion is {squared['ridge regression']:.2f} by ridge regression and {squared['diffusion from zero']:.2f} by "
     "the diffusion, at its best start.", "synthetic"),
    (findings.compared("CDTP", "CDTP without its diffusion", without), "people"),
    (f"The released code has no eq. 5 and trains none of the {peers['CDTP: tensors of the noise predictor']:,.0f} tensors of its noise "
     "predictor.", "printed"),
)  # fmt: skip

# %%
show(lambda width: forest(parts, "CDTP minus the other, points of accuracy", width, {"people": "RAVDESS-AV, 95% over actors"}), "fig-cdtp-sampling",
     "On people it does not show how CDTP samples, nor whether it samples at all. RAVDESS-AV, 95% over actors, uncorrected.",
     "Three differences in accuracy: to CDTP by DDPM, to CDTP from zero, and to CDTP with the mean. All intervals contain zero.",
     "RAVDESS-AV")  # fmt: skip

# %% [markdown]
# ## Adding noise
#
# Equation 3 adds a little noise in each of $T$ steps. All steps up to $t$ at once are equation 4,
#
# $$ \mathbf{x}_t = \sqrt{\bar\alpha_t}\, \mathbf{x}_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon,
#    \qquad \bar\alpha_t = \prod_{s \le t} \alpha_s, \qquad \alpha_s = 1 - \beta_s . $$
#
# The paper prints $\alpha_t$ in place of $\bar\alpha_t$. To see that this is a misprint, add noise to one value step by step and compare.
# The paper states neither $T$ nor the $\beta$; the 1000 steps from 0.0001 to 0.02 are those of its released code.

# %%
alpha_bar = Diffusion().alpha_bar
alpha = alpha_bar[1:] / alpha_bar[:-1]  # alpha_1 .. alpha_T
x_0, generator = 3.0, rm.stream("forward", seed)
x, forward = torch.full((20_000,), x_0, dtype=torch.float64), []
for t in range(1, len(alpha_bar)):
    x = noised(
        x, torch.randn(x.shape, generator=generator, dtype=x.dtype), alpha[t - 1]
    )  # eq. 3, one step
    if t in (100, 250, 500, 1000):
        forward.append(
            (
                t,
                float(x.mean()),
                x_0 * float(alpha_bar[t].sqrt()),
                x_0 * float(alpha[t - 1].sqrt()),
            )
        )
numbers_folded(pd.DataFrame(forward, columns=["t", "step by step", "eq. 4", "eq. 4 as printed"]), f"Mean of x_t for x_0 = {x_0:g}",
               decimals=2, folded=False)  # fmt: skip
print(
    f"eq. 8 as printed would return x_0 times {float((alpha[-1] / alpha_bar[-1]).sqrt()):.0f} at t = {len(alpha)}"
)

# %% [markdown]
# As printed, the signal would stay far above the noise to the last step. A network would never see the pure noise from which sampling
# begins.
#
# ## Does the noise predictor learn?
#
# Equation 5 trains it on complete samples. Draw the missing modalities and a step $t$, add noise to them, and predict the noise from the
# result and from the given modalities:
#
# $$ \mathcal{L} = \left\| \epsilon - \epsilon_\theta(\mathbf{x}_t, \mathbf{c}, t) \right\|^2 . $$
#
# The reference is a predictor that **knows nothing** but that features have mean 0 and variance 1. It predicts
# $\sqrt{1 - \bar\alpha_t}\, \mathbf{x}_t$. On features of mean square $v$ its loss is the mean of
# $\bar\alpha_t^2 + \bar\alpha_t (1 - \bar\alpha_t) v$ over all $t$. The network begins as this predictor.

# %%
v = float(
    torch.stack(
        [
            rm.mean_over_time(valid.x[m], valid.mask[m]).square().mean()
            for m in data.modalities
        ]
    ).mean()
)
kept = alpha_bar[1:]
nothing = float((kept**2 + kept * (1 - kept) * v).mean())
curves = history.frame.rename(
    columns={"diffusion": "train split", "valid_loss": "validation split", "step": "x"}
)
curves = curves.melt("x", ["train split", "validation split"], "series")
own_run(profile, data.name, ["fold 0", "one training", f"{steps} steps"])
show(lambda width: lines(curves, "optimizer step", "eq. 5, a value", width, at=[nothing], ylim=(0, 1.2 * nothing), height=260), "fig-cdtp-loss",
     "Eq. 5 during training, against a predictor that knows nothing (dotted).",
     "Two curves of the loss over the steps of one training, on the train and the validation split, below a dotted line.", data.name)  # fmt: skip
loss, loud = (
    history.frame["valid_loss"].iloc[-1],
    float(kept[len(kept) // 2 :].sum() / kept.sum()),
)
print(
    f"validation loss {loss:.3f}, {100 * (loss / nothing - 1):+.0f}% against knowing nothing"
)
print(f"the noisier half of the steps has {loud:.1%} of the weight of what is learnt")

# %% [markdown]
# Part of that is what the features of one modality say about each other. What the *other* modalities add has little weight in eq. 5: it
# matters most where noise is loudest, and those steps hardly count.
#
# ## How near are the completions?
#
# Test samples are completed in every case. The paper starts from **noise**, one draw. From **zero**, the centre of all starts, DDIM leads
# to something like the mean of all draws. The references are the **mean** of the train split and **ridge** regression of the missing
# modality on the given ones. Logistic regression that learned complete samples then classifies the completed ones.

# %%
draw = np.random.default_rng(seed).integers(0, len(test), (2000, len(test)))
near = []
for panel, frame in means.items():
    for how, values in frame.items():
        low, high = np.quantile(values.to_numpy()[draw].mean(1), (0.025, 0.975))
        near.append(
            {
                "panel": panel,
                "row": how,
                "system": "ours",
                "value": values.mean(),
                "low": low,
                "high": high,
            }
        )
near = pd.DataFrame(near)
show(lambda width: dots(near, {"ours": System("completion", "", BLUE, "o")}, {name: name for name in means}, width), "fig-cdtp-near",
     f"Squared error is lowest by {squared.idxmin()}. Means over the cases; 95% by a bootstrap over test samples.",
     "Two panels with a dot and an interval for each way to complete a sample: its squared error, and the accuracy behind it.", data.name)  # fmt: skip
for start in ("zero", "noise"):
    gap = (
        means["squared error"][f"diffusion from {start}"]
        - means["squared error"]["ridge regression"]
    ).to_numpy()
    low, high = np.quantile(gap[draw].mean(1), (0.025, 0.975))
    print(
        f"squared error from {start} minus ridge regression: {gap.mean():+.3f} ({low:+.3f} to {high:+.3f})"
    )

# %% [markdown]
# A draw of the *true* distribution has twice the squared error of that distribution's mean, since draw and truth scatter alike. So a large
# error from noise is no fault by itself; its accuracy is the better measure. The intervals hold for these test samples and this training.
#
# ## How many steps?

# %%
curve = []
for start in ("zero", "noise"):
    for number in (1, 2, 5, 10, 20, 50):
        for batch in observed.values():
            filled = completion.impute(batch, Sampling(steps=number, start=start))
            error = np.mean(
                [
                    float((x[:, 0] - vectors["test"][m]).square().mean())
                    for m, x in filled.items()
                ]
            )
            right = float(
                (judge.predict(test.replace(x=batch.x | filled)).argmax(1) == label)
                .double()
                .mean()
            )
            curve += [(panel, f"from {start}", number, value) for panel, value in zip(means, (error, right), strict=True)]  # fmt: skip
curve = pd.DataFrame(curve, columns=["panel", "series", "x", "value"])
curve = curve.groupby(["panel", "series", "x"], sort=False, as_index=False).mean()
show(lambda width: lines(curve, "sampling steps of DDIM", "", width, curve, sharey=False, height=240), "fig-cdtp-steps",
     "From zero a few steps suffice. From noise more steps make a draw, which has a larger error.",
     "Two panels, squared error and accuracy against 1 to 50 sampling steps. From zero both are flat; from noise the error rises.",
     data.name)  # fmt: skip

# %% [markdown]
# Each step is one call of the U-Net. One step from noise is no draw: it is the network's estimate of the mean.
#
# ## The released code
#
# The paper's code is public. Read and run, it does not do what section 3.4 describes. Two correlations show it: of completions of
# different samples from the same noise, and of completions of the same sample from other noise.

# %%
case, batch = list(observed.items())[-1]
first, shared, other = (completion.impute(batch.replace(id=id), Sampling())[lacking[0]].flatten(1)
                        for id in (batch.id, np.full(len(batch), "one"), np.char.add(batch.id.astype(str), " again")))  # fmt: skip
alike = lambda a, b: float(  # noqa: E731
    np.mean(
        [np.corrcoef(*pair)[0, 1] for pair in zip(a.numpy(), b.numpy(), strict=True)]
    )
)
altered = batch.replace(x=batch.x | {m: torch.randn_like(batch.x[m]) for m in lacking})
leak = float(
    (completion.impute(altered, Sampling())[lacking[0]].flatten(1) - first).abs().max()
)
count = lambda what: f"{peers[f'CDTP: tensors of the noise predictor{what}']:,.0f}"  # noqa: E731
facts = {
    "Does it run?": ("no: shapes of prompts do not fit", "yes"),
    "Is eq. 5 its loss?": ("no: only the task's loss", "yes"),
    "Trained tensors of the noise predictor": (f"{count(' in the optimiser with gradients')} of {count('')}", "all"),
    "Same noise, another sample: correlation": (f"{peers['CDTP: same noise, another condition']:g}", f"{alike(shared, shared.roll(1, 0)):.2f}"),
    "Same sample, another noise: correlation": (f"{peers['CDTP: same condition, another noise']:g}", f"{alike(first, other):.2f}"),
    "Effect of the missing modality's true features": ("in training they are fed to the classifier", f"{leak:g}"),
}  # fmt: skip
numbers_folded(pd.DataFrame([(name, *pair) for name, pair in facts.items()], columns=["question", "released code", "ours"]),
               "The completion of the released code and ours", folded=False)  # fmt: skip

# %% [markdown]
# The released code takes the steps of DDPM in reversed order, from $t = 0$ to 999, so that they end in noise. It makes the noise predictor
# anew in the forward pass, after the optimizer. No diffusion trained by eq. 5 can have come from it. The correlations have no ideal of 0
# and 1: the less the given modalities say, the more the noise decides.
#
# ## Limits
#
# - Samples are single vectors on this page, of one speaker, and the diffusion is one training.
# - Ridge regression and the diffusion are compared on synthetic data only. What the diffusion changes on people is shown at the top.
#
# **To try:** `longer=1`, the training of the tables in this profile, or `longer=12`. Which curve of {numref}`fig-cdtp-steps` does a better
# predictor move?
