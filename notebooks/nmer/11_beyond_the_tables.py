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
# (nmer-beyond-the-tables)=
# # Beyond the tables
#
# The paper tests each training under the noise that it was trained with, at four levels. Whoever uses such a system
# knows neither the level nor the kind of noise that will come. **How does accuracy fall between and beyond the four
# levels, what does one training do under another noise, and is the noise scheduler a better training than zeros?**

# %% tags=["parameters"] nbmake={"mock": {"profile": "smoke"}}
profile: str = "quick"
device: str = "cpu"
corpus: str = "synthetic"

# %% tags=["hide-input"]
from functools import partial
import math
import time

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from IPython.display import Markdown, display

from robustmer.corpora import CORPORA, find
from robustmer.display import run_card, table, theme
from robustmer.grid import cross_validate
from robustmer.noise import kind_power
from robustmer.papers import is_own, nmer
from robustmer.results import ledger, read
from robustmer.statistics import average_over_conditions, paired, plus_minus, summarise

palette = theme()
p = nmer.profile_named(profile)
name = find(corpus).NAME
classes = {module.NAME: module.ABOUT.classes for module in CORPORA.values()}
impulse_db = 10 * math.log10(kind_power(nmer.NOISES["impulse"]))

# %% [markdown]
# ## One training, many tests
#
# A recipe may be tested under as many conditions as one likes. So each system is trained once for each noise, and all of
# this page, curves, heat maps and transfer, is read off the same trainings. Systems here are named after their training.

# %%
recipes = nmer.recipes(profile, [corpus], tables=["transfer", "old ways"])
start = time.perf_counter()
jobs = joblib.cpu_count() if device == "cpu" else 1
own = is_own("nmer", profile, recipes)
rows = cross_validate(recipes, "nmer", profile, jobs, device, progress=False, own=own)
seconds = time.perf_counter() - start

# %% tags=["hide-input"]
folds = rows["fold"].nunique()
source = run_card(profile, name, device, seconds, trainings=len(recipes), folds=folds, seeds=rows["seed"].nunique(),
                  fingerprint=rows["fingerprint"].iloc[0])
table = partial(table, source=source)  # every table says where its numbers come from
one = " One fold and seed: no intervals, so differences of some points mean little." if folds == 1 else ""
if p.budget.max_steps:
    one += f" Below profile paper trainings are short, {p.budget.max_steps} steps a stage."
display(Markdown(f"{len(recipes)} trainings.{one} Tests a training: "
                 f"{min(len(r.test) for r in recipes)} to {max(len(r.test) for r in recipes)}. A command at the end of the "
                 "page computes them for real corpora, over all folds."))


def scores(found: pd.DataFrame, table_of: str, profile_of: str = profile, metric: str = "UA") -> pd.DataFrame:
    """A row for each training of one of nmer.TABLES and what it was tested on: the clean score, else the mean over the
    incomplete conditions (`all noisy`: the condition without any clean modality). `system` holds the training."""
    found = nmer.rows_of(table_of, found, profile_of)
    found = found[found["metric"] == metric]
    mean = nmer.averaged(found[found["condition"] != "clean"])
    all_noisy = average_over_conditions(found[found["condition"] == "none"], ["none"])
    clean = found[found["condition"] == "clean"]
    out = pd.concat([clean.assign(test="clean"), mean.assign(test=tested(mean)),
                     all_noisy.assign(test=tested(all_noisy), condition="all noisy")], ignore_index=True)
    return out.assign(base=out["system"].str.split(", trained ").str[0],
                      system=out["system"].str.split(", trained ").str[1])


def tested(found: pd.DataFrame) -> pd.Series:
    """What stands in place of the modalities that are not clean, in words."""
    words = found["noise"].replace({"": "absent"})
    return words.where(~found["noise"].isin(list(nmer.NOISES)), words + " " + found["snr_db"] + " dB")


# %% [markdown]
# ## Accuracy as a curve
#
# Four levels do not show where a system gives way. {numref}`fig-nmer-snr-curve` tests the same trainings from +5 to
# -50 dB, so beyond the paper's levels on both sides. With the paper's schedule and features of unit variance +5 dB is
# nearly the end: the next levels up are those of one to four steps.

# %% tags=["hide-input"]
def snr_curve(found: pd.DataFrame, chance: float) -> None:
    """A column a system, a line a training; above, some modalities are clean, below, none."""
    curve = found[(found["noise"] == "gaussian") | (found["test"] == "clean")]
    curve = curve.assign(level=pd.to_numeric(curve["snr_db"], errors="coerce").fillna(15.0))
    long = curve[curve["level"] == nmer.CURVE_DB[-1]]["system"].unique()
    trainings = [t for t in order_of(curve["system"]) if t in long]
    bases = list(dict.fromkeys(curve["base"]))
    figure, axes = plt.subplots(2, len(bases), figsize=(9, 6), sharex=True, sharey=True, layout="constrained",
                                squeeze=False)
    for row, kind in enumerate(("avg", "all noisy")):
        means = summarise(curve[curve["condition"].isin([kind, "clean"])], ["base", "system", "level", "test"])
        for axis, base in zip(axes[row], bases, strict=True):
            for colour, training in zip(palette, trainings, strict=False):
                part = means[(means["base"] == base) & (means["system"] == training)].sort_values("level")
                noisy, clean = part[part["test"] != "clean"], part[part["test"] == "clean"]
                axis.fill_between(noisy["level"], noisy["low"], noisy["high"], color=colour, alpha=0.12, lw=0)
                axis.plot(noisy["level"], noisy["mean"], "o-", color=colour, ms=4, label=training)
                axis.plot(clean["level"], clean["mean"], "D", color=colour, ms=5, mec="white")
            axis.axhline(chance, color="grey", ls=":", lw=1)
            axis.set(title=base if row == 0 else "", xlabel="SNR (dB)" if row else "")
        axes[row, 0].set(ylabel="UA, some clean" if row == 0 else "UA, all noisy")
    axes[0, 0].invert_xaxis()
    axes[0, 0].set_xticks([15, 0, -10, -20, -30, -40, -50], ["clean", *(f"{x}" for x in range(0, -51, -10))], rotation=45)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, title="trained")
    plt.show()


def order_of(trainings) -> list[str]:
    """Clean first, then by noise and falling level, then what was trained on all levels."""
    def place(training: str):
        words = training.split()
        number = float(words[1]) if len(words) == 3 and words[-1] == "dB" else 0.0
        return (["clean", "zeros", "absent", "gaussian", "impulse"] + [words[0]]).index(words[0]), -number

    return sorted(set(trainings), key=place)


def ends(found: pd.DataFrame) -> tuple[str, str]:
    """The weakest and the strongest Gaussian noise that systems were trained with."""
    trainings = [t for t in order_of(found["system"]) if t.startswith("gaussian")]
    return trainings[0], trainings[-1]


# %% mystnb={"figure": {"name": "fig-nmer-snr-curve", "caption": "UA against the SNR under Gaussian noise, for trainings at the weakest and the strongest of the profile's levels, on clean data, and on all levels at once. Above: mean over the incomplete conditions, in which at least one modality is clean; below: all modalities noisy. Diamonds: tested on clean data. Bands: 95% interval over folds, where there are three. Dotted: chance."}} tags=["hide-input"]
found = scores(rows, "transfer")
snr_curve(found, 1 / classes[name])

# %% [markdown]
# How is a curve read in one number? Between its score on clean data and its score at the lowest level a system loses so
# much; *half-way* is the level at which it has lost half of that. The further to the left of the axis half-way is (a high
# SNR), the sooner the system gives way.

# %% tags=["hide-input"]
def half_way(found: pd.DataFrame, condition: str) -> pd.DataFrame:
    """Score on clean data, at the lowest level, and the level at which half of the difference is first lost."""
    out = []
    curve = found[found["condition"].isin([condition, "clean"]) & ((found["noise"] == "gaussian") | (found["test"] == "clean"))]
    for (base, training), part in curve.groupby(["base", "system"], sort=False):
        means = part.assign(level=pd.to_numeric(part["snr_db"], errors="coerce").fillna(30.0))
        means = means.groupby("level")["value"].mean().sort_index(ascending=False)
        if means.index[-1] != nmer.CURVE_DB[-1]:
            continue
        middle, lost = (means.iloc[0] + means.iloc[-1]) / 2, means.iloc[0] - means.iloc[-1]
        levels, below = means.index.to_numpy(), np.flatnonzero((means <= middle).to_numpy())
        at = math.nan
        if lost > 0.02 and below[0] >= 2:  # between two levels, not between clean data and the first of them
            before, after = means.iloc[below[0] - 1], means.iloc[below[0]]
            at = levels[below[0] - 1] + (before - middle) / (before - after) * (levels[below[0]] - levels[below[0] - 1])
        out.append({"system": base, "trained": training, "clean": means.iloc[0],
                    f"{levels[-1]:g} dB": means.iloc[-1], "lost": lost, "half-way (dB)": at})
    return pd.DataFrame(sorted(out, key=lambda line: order_of(found["system"]).index(line["trained"]))).sort_values(
        "system", key=lambda c: c.map(list(dict.fromkeys(found["base"])).index), kind="stable")


def show_half_way(half: pd.DataFrame, label: str, caption: str, source: str = source) -> None:
    dashed = [f"{at:.0f}\u00a0dB" if at == at else "–" for at in half["half-way (dB)"]]
    table(half.assign(half_way=dashed).drop(columns="half-way (dB)").rename(columns={"half_way": "half-way"}), label, caption,
          "Means over folds, incomplete conditions, Gaussian noise. Half-way is half of the training's own loss: a training that "
          "loses little may be half-way early. A dash: less than two points are lost, or half of them before the first level.", source=source)


show_half_way(half_way(found, "avg"), "tbl-nmer-half-way",
              "Where the curves fall: UA on clean data and at the lowest level, and the level half-way")

# %% [markdown]
# ## Trained at one level, tested at another
#
# The paper trains a system for each level. **Does training at the weakest level help at the strongest, and does training
# at all levels at once, a level drawn for each row, cost anything?**

# %% tags=["hide-input"]
def heat_maps(found: pd.DataFrame, tests: list[str]) -> None:
    """Mean UA, a panel a system: trained (down) x tested (across). Frames mark where the two are the same."""
    part = found[found["test"].isin(tests) & (found["condition"] != "all noisy")]
    bases = list(dict.fromkeys(part["base"]))
    wide = {b: part[part["base"] == b].pivot_table(index="system", columns="test", values="value") for b in bases}
    trainings = order_of(t for grid in wide.values() for t in grid.dropna(how="any").index)
    low, high = part["value"].groupby([part["base"], part["system"], part["test"]]).mean().agg(["min", "max"])
    short = lambda words: words.removeprefix("gaussian ")  # noqa: E731
    figure, axes = plt.subplots(1, len(bases), figsize=(9, 1.6 + 0.42 * len(trainings)), layout="constrained",
                                sharey=True, squeeze=False)
    for axis, base in zip(axes[0], bases, strict=True):
        grid = wide[base].reindex(index=trainings, columns=tests)
        sns.heatmap(grid.rename(index=short, columns=short), annot=True, fmt=".2f", cmap="cividis", vmin=low, vmax=high,
                    cbar=False, ax=axis, annot_kws={"size": "small"})
        for y, training in enumerate(trainings):
            if training in tests and not grid.loc[training].isna().all():
                corner = (tests.index(training) + 0.06, y + 0.08)
                axis.add_patch(plt.Rectangle(corner, 0.88, 0.84, fill=False, ec="white", lw=1.5))
        axis.grid(False)
        axis.set(title=base, xlabel="tested", ylabel="trained" if base == bases[0] else "")
        axis.tick_params(axis="x", rotation=45)
        axis.tick_params(axis="y", rotation=0)
    plt.show()


def gaussian_tests(found: pd.DataFrame) -> list[str]:
    """Clean, and the levels that every training was tested at."""
    shared = found[found["condition"] == "avg"].groupby("test")["system"].nunique()
    levels = order_of(t for t, n in shared.items() if t.startswith("gaussian") and n == shared.max())
    return ["clean", *levels]


# %% mystnb={"figure": {"name": "fig-nmer-heat", "caption": "UA, mean over the incomplete conditions, by what a system was trained under (down) and tested under (across). Framed: trained and tested alike, all that the paper reports of NMER. Numbers without a kind are levels of Gaussian noise in dB; impulse trainings are named by their nominal level. Empty: not trained in this profile."}} tags=["hide-input"]
heat_maps(found, gaussian_tests(found))

# %% tags=["hide-input"]
def gains(found: pd.DataFrame, questions: list[tuple[str, str, str]]) -> pd.DataFrame:
    """Paired difference in UA for (trained, instead of, tested), for each system that has both trainings."""
    out = []
    for base in dict.fromkeys(found["base"]):
        for training, other, test in questions:
            part = found[(found["base"] == base) & (found["test"] == test) & (found["condition"] != "all noisy")]
            if {training, other} <= set(part["system"]):
                out.append({"system": base, "trained": training, "instead of": other, "tested": test}
                           | paired(part, training, other))
    return pd.DataFrame(out, columns=["system", "trained", "instead of", "tested", "mean", "low", "high", "repetitions", "unit"])


def reading(line) -> str:
    """What a difference and its interval say."""
    if math.isnan(line["low"]):
        return ("higher" if line["mean"] > 0 else "lower" if line["mean"] < 0 else "equal") + ", no interval"
    return "helps" if line["low"] > 0 else "harms" if line["high"] < 0 else "not told apart"


def show_gains(found: pd.DataFrame, label: str, caption: str, footer: str = "", source: str = source) -> None:
    if found.empty:
        display(Markdown("*No two trainings of this profile can be compared here.*"))
        return
    shown = found.drop_duplicates(["system", "trained", "instead of", "tested"])
    shown = shown[["system", "trained", "instead of", "tested"]].assign(
        difference=[plus_minus(m, h, sign=True) for m, h in zip(shown["mean"], shown["high"], strict=True)],
        reading=shown.apply(reading, axis=1))
    table(shown, label, caption, "Paired: the same rows under the same noise. ± half the 95% interval, not corrected for "
          f"the number of lines. {footer}", source=source)


def answer(found: pd.DataFrame, question: str, yes: str, no: str) -> str:
    """One line: for which systems the answer is yes, for which no, and for which the data do not say."""
    if found.empty:
        return f"- {question} This profile has no two trainings to tell."
    say = found.apply(reading, axis=1)

    def named(words: list[str]) -> str:
        some = found[say.isin(words)][["system", "mean"]].to_numpy()
        return ", ".join(f"{system} ({mean:+.3f})" for system, mean in some)

    parts = [f"{what} {named(words)}" for what, words in (
        (f"{yes}:", ["helps"]), (f"{no}:", ["harms"]), ("not told apart:", ["not told apart"]),
        ("without an interval:", ["higher, no interval", "lower, no interval", "equal, no interval"])) if named(words)]
    return f"- **{question}** " + "; ".join(parts) + "."


def on_levels(found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    weak, strong = ends(found)
    asked = {
        "Does training at the weakest level help at the strongest, against clean training?": (
            (weak, "clean", strong), "yes", "it harms"),
        "Does training at the strongest level help there, against training at the weakest?": (
            (strong, weak, strong), "yes", "it harms"),
        "Does training at the strongest level cost anything at the weakest?": (
            (strong, weak, weak), "it even helps", "yes"),
        "Does training at all levels cost anything at the strongest, against training there?": (
            ("at all levels", strong, strong), "it even helps", "yes"),
        "Does training at the strongest level cost anything on clean data?": (
            (strong, "clean", "clean"), "it even helps", "yes"),
    }
    return all_answers(found, asked if weak != strong else dict([list(asked.items())[-1]]))


def all_answers(found: pd.DataFrame, asked: dict[str, tuple]) -> tuple[pd.DataFrame, str]:
    each = {question: gains(found, [line]) for question, (line, _, _) in asked.items()}
    return pd.concat(each.values()), "\n".join(answer(g, q, *asked[q][1:]) for q, g in each.items())


found_gains, said = on_levels(found)
display(Markdown(said))
show_gains(found_gains, "tbl-nmer-level-transfer", "UA: one training instead of another, by what both were tested on",
           "Mean over the incomplete conditions.")

# %% [markdown]
# ## Another kind of noise
#
# Impulse noise with $p = 0.3$ has power 0.3, so at equal *nominal* SNR it is 5.23 dB weaker than Gaussian noise: the
# paper's two kinds differ in strength as well as in kind. Here the two are separated. Impulse noise is tested at the
# nominal level, and also 5.23 dB lower, where its *true* SNR is that of the Gaussian noise. On an axis of true SNR
# ({numref}`fig-nmer-types`) impulse noise lies on the Gaussian curve if only its strength matters.

# %% tags=["hide-input"]
def types(found: pd.DataFrame) -> None:
    """Gaussian curve of the training at the weakest level, impulse tests as points, all against the true SNR."""
    part = found[(found["system"] == ends(found)[0]) & (found["condition"] == "avg") & found["noise"].isin(list(nmer.NOISES))]
    part = part.assign(true=part["snr_db"].astype(float) - np.where(part["noise"] == "impulse", impulse_db, 0.0))
    means = summarise(part, ["base", "noise", "true"]).sort_values("true")
    bases = list(dict.fromkeys(found["base"]))
    figure, axes = plt.subplots(1, len(bases), figsize=(9, 3.2), sharey=True, layout="constrained", squeeze=False)
    for axis, base in zip(axes[0], bases, strict=True):
        for colour, noise, style in ((palette[0], "gaussian", "o-"), (palette[1], "impulse", "s")):
            line = means[(means["base"] == base) & (means["noise"] == noise)]
            error = (line["high"] - line["mean"]).fillna(0)
            axis.errorbar(line["true"], line["mean"], error, fmt=style, color=colour, ms=5, label=f"tested {noise}")
        axis.set(title=base, xlabel="true SNR (dB)", ylabel="UA" if base == bases[0] else "")
        axis.invert_xaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    plt.show()


# %% mystnb={"figure": {"name": "fig-nmer-types", "caption": "UA against the true SNR, mean over the incomplete conditions, for systems trained under Gaussian noise at the weakest level: tested under Gaussian noise (line) and under impulse noise (squares). Bars: 95% interval over folds, where there are three."}} tags=["hide-input"]
types(found)

# %% tags=["hide-input"]
def crossed(found: pd.DataFrame) -> pd.DataFrame:
    """Trained Gaussian or impulse at one true SNR, tested under both; impulse also at equal nominal SNR."""
    out = []
    for training in (t for t in order_of(found["system"]) if t.startswith("impulse")):
        level = float(training.split()[1]) - round(impulse_db, 2)
        gaussian = f"gaussian {level:g} dB"
        tests = {"Gaussian": gaussian, "impulse, same nominal": f"impulse {level:g} dB", "impulse, same true": training}
        for base in dict.fromkeys(found["base"]):
            for kind in (gaussian, training):
                part = found[(found["base"] == base) & (found["system"] == kind) & (found["condition"] == "avg")]
                cells = summarise(part[part["test"].isin(tests.values())], ["test"]).set_index("test")
                if len(cells):
                    out.append({"true SNR": f"{level:g}\u00a0dB", "system": base, "trained": kind.split()[0]}
                               | {head: plus_minus(*cells.loc[t, ["mean", "high"]]) for head, t in tests.items()})
    return pd.DataFrame(out)


def on_types(found: pd.DataFrame) -> str:
    """In words: what strength explains, what the kind does, and whether the training carries over."""
    lines, kinds = [], [t for t in order_of(found["system"]) if t.startswith("impulse")]
    for training in kinds:
        level = float(training.split()[1]) - round(impulse_db, 2)
        gaussian, nominal = f"gaussian {level:g} dB", f"impulse {level:g} dB"
        learnt = found[(found["system"] == gaussian) & (found["condition"] == "avg")]
        learnt = learnt.assign(system=learnt["test"], test="any")  # one training under two tests, compared like two
        lines += [
            answer(gains(learnt, [(nominal, training, "any")]), f"At {level:g} dB: is impulse noise easier at the same nominal SNR than at the "
                   "same true one?", "yes", "no, harder"),
            answer(gains(learnt, [(training, gaussian, "any")]), f"At {level:g} dB: is impulse noise easier than Gaussian noise of the same "
                   "true SNR, for a system that learnt Gaussian noise?", "yes", "no, harder"),
            answer(gains(found, [(training, gaussian, training)]), f"At {level:g} dB: does a system under impulse noise gain "
                   "from having learnt impulse noise?", "yes", "it loses"),
            answer(gains(found, [(gaussian, training, gaussian)]), f"At {level:g} dB: does a system under Gaussian noise gain "
                   "from having learnt Gaussian noise?", "yes", "it loses"),
        ]
    return "\n".join(lines)


table(crossed(found), "tbl-nmer-types", "UA by the kind of noise in training and in the test",
      "Mean over the incomplete conditions. Both trainings are at the same true SNR.")
display(Markdown(on_types(found)))

# %% [markdown]
# ## The old ways
#
# Before NMER a modality was lost by *zero-filling* (its features become zeros and it still counts as present) or by
# *dropping* (it is absent, and the system knows). The paper says that these "lack rationality and precise control over
# noise intensity" (3.6.2 (2)), and compares no training with them. In the noise scheduler's own terms zero-filling is one
# step with $\beta = 1$ and noise of no power: by eq. 3 exactly nothing is left of the signal, and nothing takes its place.
# MEN and MMIN, whose authors train with zeros, learn here in each of these ways and are tested in each.

# %% mystnb={"figure": {"name": "fig-nmer-old-ways", "caption": "UA, mean over the incomplete conditions, by what stood in place of the modalities that were not clean, in training (down) and in the test (across). Framed: trained and tested alike. Numbers without a kind are levels of Gaussian noise in dB."}} tags=["hide-input"]
old = scores(rows, "old ways")
old_tests = ["clean", "zeros", "absent", *(t for t in gaussian_tests(old) if t != "clean")]
heat_maps(old, old_tests)

# %% tags=["hide-input"]
def on_old_ways(found: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    weak, strong = ends(found)
    asked = {
        "Noisy test at the strongest level: is training with that noise better than training with zeros?": (
            (strong, "zeros", strong), "yes", "no, worse"),
        "Noisy test at the weakest level: is training with the strongest noise better than training with zeros?": (
            (strong, "zeros", weak), "yes", "no, worse"),
        "Zeros in the test: is training with zeros better than training with noise?": (
            ("zeros", strong, "zeros"), "yes", "no, worse"),
        "Absent in the test: is training with absence better than training with noise?": (
            ("absent", strong, "absent"), "yes", "no, worse"),
        "Zeros in the test: is training with zeros better than clean training?": (
            ("zeros", "clean", "zeros"), "yes", "no, worse"),
    }
    return all_answers(found, asked)


old_gains, said = on_old_ways(old)
display(Markdown(said))
show_gains(old_gains, "tbl-nmer-old-ways", "UA: one way of losing a modality in training instead of another",
           "Mean over the incomplete conditions.")

# %% [markdown]
# A number under zeros says nothing of a number under noise, and the other way round: that is what the columns of
# {numref}`fig-nmer-old-ways` are for. Which of them a system will meet is a property of the sensor, not of the paper.

# %% [markdown]
# ## Real corpora
#
# The same trainings in profile `paper`, over all folds, from `results/measured`.

# %% tags=["hide-input"]
measured = read(ledger("nmer", "paper"))
measured = measured[measured["dataset"] != "synthetic"]
keys = {module.NAME: key for key, module in CORPORA.items()}
shown = 0
for dataset, part in measured.groupby("dataset", sort=False):
    slug = dataset.lower()
    for label in ("transfer", "old ways"):
        these = nmer.rows_of(label, part, "paper")
        if these.empty:
            continue
        shown += 1
        planned = len({r.key for r in nmer.recipes("paper", [keys[dataset]], tables=[label])})
        where = (f"Profile paper, {dataset}, {', '.join(these['device'].unique())}, commit "
                 f"{', '.join(these['commit'].unique())}.")
        display(Markdown(f"**{dataset}, {label}** — trainings: {these['key'].nunique()} of {planned}, folds: "
                         f"{these['fold'].nunique()}, corpus {these['fingerprint'].iloc[0]}. {where}"))
        real = scores(these, label, "paper")
        if label == "transfer":
            snr_curve(real, 1 / classes[dataset])
            show_half_way(half_way(real, "avg"), f"tbl-nmer-half-way-{slug}", f"{dataset}: where the curves fall", source=where)
            heat_maps(real, gaussian_tests(real))
            real_gains, said = on_levels(real)
            display(Markdown(said))
            show_gains(real_gains, f"tbl-nmer-level-transfer-{slug}", f"{dataset}: one training instead of another", source=where)
            types(real)
            table(crossed(real), f"tbl-nmer-types-{slug}", f"{dataset}: UA by the kind of noise", source=where)
            display(Markdown(on_types(real)))
        else:
            heat_maps(real, ["clean", "zeros", "absent", *(t for t in gaussian_tests(real) if t != "clean")])
            real_gains, said = on_old_ways(real)
            display(Markdown(said))
            show_gains(real_gains, f"tbl-nmer-old-ways-{slug}", f"{dataset}: zeros, absence or noise in training", source=where)
if not shown:
    display(Markdown("*None are measured yet.* `robustmer run nmer --profile paper --corpus ravdess_av` (or "
                     "`--corpus mosi_bclstm`) computes them with the tables of the paper."))

# %% [markdown]
# **To try:** run this page on `corpus="ravdess_av"`. And a question for a corpus of your own: is its noise more like one
# of these columns, or like none of them?
