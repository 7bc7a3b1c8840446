"""What pages show of real corpora without the corpora: counts, variances, distances, calibration, as small tables.

    ROBUSTMER_DATA=... python bench/derived.py [features reference distances map calibration latent own]

Each part writes one or more results/measured/nmer/derived_*.csv. The last three train systems (half an hour on one
core) and keep them in runs/derived.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from robustmer import corpora
from robustmer.batch import LETTERS
from robustmer.conditions import CLEAN, all_noisy, corrupt, incomplete, uniform
from robustmer.corpora.corpus import PARTS, Corpus
from robustmer.corpora.scaling import mean_and_std, varies
from robustmer.evaluation import answers
from robustmer.experiments import project, runs
from robustmer.experiments.grid import compute, trained
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.papers import nmer
from robustmer.experiments.papers.profiles import ledger_of
from robustmer.experiments.provenance import CODE, commit, numerics
from robustmer.experiments.recipe import Recipe
from robustmer.experiments.tables import Place, Results
from robustmer.metrics import average_distance, calibration, ece, ece_floor, temperature, ua, wa
from robustmer.nn.gaussians import sample
from robustmer.noise import Gaussian, NoiseScheduler, snr_db, stream
from robustmer.systems import MEN, NMER, LogReg
from robustmer.training import seeded

NAMES = ("ravdess_av", "mosi_bclstm")
LEVELS_DB = (-10.0, -20.0, -30.0, -40.0)


def write(name: str, rows: list[dict], decimals: int = 6, paper: str = "nmer") -> None:
    path = project() / f"results/measured/{paper}/derived_{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(rows)
    for column in frame.select_dtypes("float"):
        frame[column] = [float(f"{value:.{decimals}g}") for value in frame[column]]
    frame.to_csv(path, index=False, lineterminator="\n")
    print(f"{path.name}: {len(frame)} rows")


def features() -> None:
    """Per corpus and modality: the variance of eq. 4, raw and standardised, and the spread of single features; samples
    by class and part; samples and speakers by fold; and who is where (of RAVDESS-AV, whose actors are numbered)."""
    moments, counts, folds, people = [], [], [], []
    for corpus in map(corpora.load, NAMES):
        raw = dataclasses.replace(corpus, standardise=False).fold(0).train
        variance = corpus.fold(0).train.variance
        for m in corpus.modalities:
            mean, std = mean_and_std(raw, m)
            moments.append({
                "corpus": corpus.name, "modality": m, "features": len(std), "constant": int((~varies(mean, std)).sum()),
                "frames": float(raw.lengths[m].mean()), "raw": raw.variance[m], "standardised": variance[m],
                "median_feature": float(std.square().median()), "largest_feature": float(std.square().max()),
            })  # fmt: skip
        ((label, classes),) = corpus.labels.items()
        values = corpus.samples.labels[label].numpy()
        for number, name in enumerate(classes):
            of_class = values == number
            parts = {part: int(of_class[i].sum()) for part, i in zip(PARTS, corpus.split.folds[0], strict=True)}
            counts.append({"corpus": corpus.name, "class": name, "samples": int(of_class.sum())} | parts)
        for number, fold in enumerate(corpus.split.folds):
            speakers = [set(corpus.samples.speaker[i]) for i in fold]
            a, b, c = speakers
            folds.append({"corpus": corpus.name, "fold": number}
                         | {part: len(i) for part, i in zip(PARTS, fold, strict=True)}
                         | {f"speakers_{part}": len(s) for part, s in zip(PARTS, speakers, strict=True)}
                         | {"shared": len(a & b | a & c | b & c)})  # fmt: skip
            if corpus.name == "RAVDESS-AV":
                people += [{"corpus": corpus.name, "speaker": name, "fold": number, "part": part}
                           for part, names in zip(PARTS, speakers, strict=True) for name in sorted(names)]  # fmt: skip
    for name, rows in (("features", moments), ("classes", counts), ("folds", folds), ("speakers", people)):
        write(name, rows)


def reference() -> None:
    """Logistic regression on each modality and on all together: WA and UA on the test speakers of each fold, and the
    commonest class of the train split. Its C is the best of three on the validation split."""
    rows = []
    for corpus in map(corpora.load, NAMES):
        label = corpus.samples.labels[corpus.task().label].numpy()
        pooled = {m: corpus.samples.x[m][:, 0].numpy() for m in corpus.modalities}
        for number, fold in enumerate(corpus.split.folds):
            common = np.full(len(fold[2]), np.bincount(label[fold[0]]).argmax())
            for chosen in [(m,) for m in corpus.modalities] + [corpus.modalities]:
                x = np.concatenate([pooled[m] for m in chosen], axis=1)
                letters = ",".join(LETTERS[m] for m in chosen)
                rows.append(scored(corpus, number, letters, label[fold[2]], linear(x, label, fold)))
            rows.append(scored(corpus, number, "commonest class", label[fold[2]], common))
    write("reference", rows)


def linear(x: np.ndarray, label: np.ndarray, fold) -> np.ndarray:
    train, valid, test = fold
    models = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=300, tol=1e-3)) for c in (1e-4, 1e-3, 1e-2)
    ]
    models = [model.fit(x[train], label[train]) for model in models]
    return max(models, key=lambda model: model.score(x[valid], label[valid])).predict(x[test])


def scored(corpus: Corpus, fold: int, given: str, label: np.ndarray, guess: np.ndarray) -> dict:
    label, guess = torch.as_tensor(label), torch.as_tensor(guess)
    return {"corpus": corpus.name, "input": given, "fold": fold, "seed": 0, "test_to_train": corpus.split.test_to_train,
            "WA": wa(label, guess), "UA": ua(label, guess)}  # fmt: skip


def distances() -> None:
    """How far Gaussian noise moves the standardised vectors of 128 samples of the train split of fold 0: the root mean
    square per dimension, Algorithm 2, and the distance to another sample's noisy version."""
    rows = []
    for corpus in map(corpora.load, NAMES):
        for m, level, clean, noisy, batch in noisy_points(corpus):
            square = float(clean.square().mean())
            alpha_bar = NoiseScheduler(snr_db=level, tolerance_db=None).at(batch.variance[m]).alpha_bar
            rows.append({
                "corpus": corpus.name, "modality": m, "level": level, "features": clean.shape[1], "mean_square": square,
                "alpha_bar": alpha_bar, "snr_db": snr_db(alpha_bar, square),
                "measured": float((clean - noisy).square().mean().sqrt()),
                "algorithm_2": average_distance(clean, noisy), "other_pairs": average_distance(clean, noisy.roll(1, 0)),
            })  # fmt: skip
    write("distances", rows)


def noisy_points(corpus: Corpus):
    """Clean and noisy vectors of 128 samples, by modality and level."""
    train = corpus.fold(0).train
    batch = train[torch.randperm(len(train), generator=stream("Fig. 3", 0))[:128]]
    for level in LEVELS_DB:
        scheduler = NoiseScheduler(Gaussian(), snr_db=level, tolerance_db=None)
        noisy = corrupt(batch, all_noisy(batch.modalities, scheduler), stream("Fig. 3", 0, level))
        for m in batch.modalities:
            yield m, level, batch.x[m][:, 0], noisy.x[m][:, 0], batch


def map_() -> None:
    """t-SNE maps of the same points, for five random starts and the start from principal components: the distance of
    Algorithm 2 on each map; and, of RAVDESS-AV and the first random start, the points themselves."""
    rows, points = [], []
    for corpus in map(corpora.load, NAMES):
        for m, level, clean, noisy, _ in noisy_points(corpus):
            for start in (*range(5), "pca"):
                init, state = ("pca", 0) if start == "pca" else ("random", start)
                tsne = TSNE(perplexity=30, init=init, random_state=state, max_iter=1000)
                a, b = torch.from_numpy(tsne.fit_transform(torch.cat([clean, noisy]).numpy())).chunk(2)
                place = {"corpus": corpus.name, "modality": m, "level": level, "start": start}
                strangers = average_distance(a, b.roll(1, 0))
                rows.append(place | {"distance": average_distance(a, b), "other_pairs": strangers})
                if start == 0 and corpus.name == "RAVDESS-AV":
                    points += [{"modality": m, "level": level, "state": state, "x": round(x, 1), "y": round(y, 1)}
                               for state, part in (("clean", a), ("noisy", b)) for x, y in part.tolist()]  # fmt: skip
    write("map_distances", rows)
    write("map", points)


LEARNT = {"LogReg clean": (LogReg, False), "MEN clean": (MEN, False), "MEN noisy": (MEN, True), "NMER": (NMER, True)}
"""Four systems by their name in the registry, and whether they learn with noise, at a level that differs by sample."""


def calibration_() -> None:
    """Whether systems are less sure under noise, on the actors of RAVDESS-AV: reliability over all folds; accuracy and
    confidence by fold; the calibration error, what it would be by chance, and after temperature scaling."""
    corpus, ledger = corpora.load("ravdess_av"), Ledger(runs() / "derived")
    noisy = {db: incomplete(corpus.modalities, NoiseScheduler(snr_db=db)) for db in (-10.0, -40.0)}
    levels = {"clean": [CLEAN]} | {f"{db:g}": list(mixture) for db, mixture in noisy.items()}
    mixture = uniform([condition for conditions in noisy.values() for condition in conditions])
    bins, rows, errors = [], [], []
    for name, (system, with_noise) in LEARNT.items():
        found = {}
        for fold in range(len(corpus.split.folds)):
            learnt = mixture if with_noise else CLEAN
            made = trained(Recipe(system, corpus, learnt, fold=fold, budget=nmer.PAPER_BUDGET), ledger)
            _, valid, test = corpus.fold(fold)
            for level, conditions in levels.items():
                pairs = [[answers(made, part, c) for c in conditions] for part in (valid, test)]
                logits = [torch.cat([kept["output"] for kept in part]) for part in pairs]
                labels = [torch.cat([kept["label"] for kept in part]) for part in pairs]
                utterance = torch.arange(len(test)).repeat(len(conditions)) + 1000 * fold
                found[fold, level] = *logits, *labels, utterance
                confidence, guess = logits[1].softmax(1).max(1)
                rows.append({
                    "system": name, "level": level, "fold": fold, "seed": 0,
                    "test_to_train": corpus.split.test_to_train, "accuracy": wa(labels[1], guess),
                    "confidence": float(confidence.mean()),
                })  # fmt: skip
        for level in levels:
            folds = [found[fold, level] for fold in range(len(corpus.split.folds))]
            logits, label, utterance = (torch.cat([part[i] for part in folds]) for i in (1, 3, 4))
            curve = calibration(logits.softmax(1), label, bins=8, equal_mass=True)
            bins += [{"system": name, "level": level, "share": a, "confidence": b, "accuracy": c}
                     for a, b, c in zip(*(part.tolist() for part in curve), strict=True)]  # fmt: skip
            line = {"system": name, "level": level, "ece": ece(logits.softmax(1), label)}
            line["floor"] = float(ece_floor(logits.softmax(1), stream("floor", level), utterance).quantile(0.95))
            for words, known in {"clean": "clean", "same": level}.items():
                scales = [temperature(found[fold, known][0], found[fold, known][2]) for fold in range(len(folds))]
                scaled = torch.cat([part[1] / t for part, t in zip(folds, scales, strict=True)]).softmax(1)
                line |= {f"temperature_{words}": sum(scales) / len(scales), f"ece_{words}": ece(scaled, label)}
            errors.append(line)
    for name, lines in (("reliability", bins), ("confidence", rows), ("ece", errors)):
        write(name, lines, decimals=4)


def latent() -> None:
    """UA of NMER on RAVDESS-AV at -10 dB, Gaussian, when its latent is replaced: by fold of actors, a mean over the
    incomplete conditions and five draws."""
    corpus, ledger, rows = corpora.load("ravdess_av"), Ledger(runs() / "derived"), []
    mixture = incomplete(corpus.modalities, NoiseScheduler(snr_db=-10.0))
    latents = {
        "mean": lambda out, test: out.mu,
        "posterior sample": lambda out, test: sample(out.mu, out.logvar),
        "prior sample": lambda out, test: torch.randn_like(out.mu),
        "of another class": lambda out, test: out.mu[torch.multinomial(others_of(test), 1)[:, 0]],
    }
    for fold in range(len(corpus.split.folds)):
        system = trained(Recipe(NMER, corpus, mixture, fold=fold, budget=nmer.PAPER_BUDGET), ledger)
        test = corpus.fold(fold).test
        for name, choose in latents.items():
            scores = []
            for condition in mixture:
                observed = corrupt(test, condition, stream(test.name, condition))
                for draw in range(5):
                    with torch.no_grad(), seeded("latent", draw):
                        out = system.joint(observed)
                        guess = system.classifier(system.decode(choose(out, test), out.invariant)).argmax(1)
                    scores.append(ua(test.labels["emotion"], guess))
            rows.append({"latent": name, "fold": fold, "seed": 0, "test_to_train": corpus.split.test_to_train,
                         "value": sum(scores) / len(scores)})  # fmt: skip
    write("latent", rows)


def others_of(test) -> torch.Tensor:
    """Which samples have another label, (B, B)."""
    label = test.labels["emotion"]
    return (label[:, None] != label).float()


def own() -> None:
    """The system of the page "Add your own system" and others of the book, on RAVDESS-AV, by level, fold and seed."""
    page = (project() / "notebooks/nmer/13_add_your_own.py").read_text()
    cell = page[page.index("class GatedVote") :].split("# %%")[0]
    file = runs() / "derived/gated_vote.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"from torch import nn\nfrom torch.nn.functional import softplus\n\nimport robustmer as rm\n\n\n{cell}"
    )
    spec = importlib.util.spec_from_file_location("gated_vote", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    spelling = {**nmer.STUDY.spelling, "gated vote": (module.GatedVote, {})}
    grid = dataclasses.replace(nmer.STUDY, spelling=spelling).grid("paper", "ravdess_av")
    places = {}
    for level in (-10.0, -40.0):
        mixture = incomplete(grid.modalities, NoiseScheduler(snr_db=level))
        for row in (nmer.Row("gated vote"), nmer.Row("LogReg"), nmer.Row("MEN"), nmer.Row("NMER")):
            places[row, nmer.Column("UA", "gaussian", level)] = Place(grid.cells(row.system, mixture, mixture, "UA"))
    table, ledger = grid.table("own", "a system of one's own", places), Ledger(runs() / "derived")
    compute(table.where(system="gated vote").jobs(), ledger)
    frame = table.values(Results.read(ledger_of("nmer", "paper"), ledger))
    write("own", frame[["system", "level", "fold", "seed", "test_to_train", "value"]].to_dict("records"))


PARTS_OF_WORK = {
    "features": features, "reference": reference, "distances": distances, "map": map_, "calibration": calibration_,
    "latent": latent, "own": own,
}  # fmt: skip


def record(part: str, paper: str = "nmer") -> None:
    """Note the commit, the library and the machine's arithmetic that made a part."""
    about = project() / f"results/measured/{paper}/derived.json"
    made = json.loads(about.read_text()) if about.exists() else {}
    made[part] = {"commit": commit(), "code": CODE, "numerics": numerics()}
    about.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS_OF_WORK, []], help="all, if none is named")
    torch.set_num_threads(1)
    for part in parser.parse_args().parts or PARTS_OF_WORK:
        PARTS_OF_WORK[part]()
        record(part)
