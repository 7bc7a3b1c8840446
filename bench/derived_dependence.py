"""What the pages on mutual information and canonical correlations show (MCWSA, Figs. 8 and 9), as small tables.

    ROBUSTMER_DATA=... python bench/derived_dependence.py [gaussians bias shuffles codes fusions] [--corpus NAME ...]

Each part writes one or more results/measured/mcwsa/derived_*.csv, the last three one for each corpus. The last two
train the small systems of the tables and keep them in runs/derived. Views are the 16 principal components of flattened pyramids or codes, fitted on the train
pairs and scaled to variance 1, which changes no mutual information between them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import combinations, product

import numpy as np
import torch
from derived import record, write
from sklearn.decomposition import PCA

from robustmer import corpora
from robustmer.batch import LETTERS, Batch
from robustmer.budget import Budget
from robustmer.conditions import CLEAN
from robustmer.evaluation import score
from robustmer.experiments import runs
from robustmer.experiments.grid import trained
from robustmer.experiments.ledger import Ledger
from robustmer.experiments.papers.mcwsa import PAPER_BUDGET, SMALL
from robustmer.experiments.recipe import Recipe
from robustmer.metrics import canonical_correlations, canonical_maps, gaussian_information
from robustmer.nn.dependence import Curve, Pairs, dcca, info_nce, mine
from robustmer.nn.pyramid import levels_to, pyramid
from robustmer.noise import stream
from robustmer.systems.mcwsa import LEVELS, MCWSA, MCWSAClassifier, Network
from robustmer.training import construct

COMPONENTS, K, SEEDS, STEPS = 16, 10, range(3), 400
FUSED = ("concat", "tfn", "mult", "cmha")
CORPORA = {"synthetic": {"size": "quick"}, "mosi_words": {}, "ravdess_av_mel": {}}
FOLDS = {"synthetic": range(3), "mosi_words": range(1), "ravdess_av_mel": range(3)}
BUDGETS = {"synthetic": Budget(epochs=1, min_steps=80, max_steps=80, batch_size=64, checks=4)}
"""Short trainings of the corpus that is made from a seed; those of the tables on the others."""

Splits = tuple[Pairs, Pairs, Pairs]


# --- where the truth is known -----------------------------------------------------------------------------------------


def gaussians() -> None:
    """Gaussian views of 16 features, of which three are correlated, as many features as the pages read from codes: the
    estimates at several numbers of train pairs, and MINE's curves at 1,000."""
    rows, curves = [], []
    for truth in (0.0, 1.0):
        rho = torch.zeros(COMPONENTS)
        rho[:3] = math.sqrt(1 - math.exp(-2 * truth / 3))
        for count in (250, 1000, 4000):
            for seed in SEEDS:
                draw = stream("Gaussian views", truth, count, seed)
                splits = tuple(gaussian_pairs(rho, size, draw) for size in (count, max(count // 4, 250), 2000))
                place = {"truth": truth, "pairs": count, "seed": seed}
                curve, values = estimates(splits, "gaussians", truth, count, seed)
                rows += [place | line for line in values]
                if count == 1000:
                    curves += [place | line for line in lines_of(curve)]
    write("mine_gaussians", rows, 4, "mcwsa")
    write("mine_gaussians_curves", curves, 4, "mcwsa")


def gaussian_pairs(rho: torch.Tensor, pairs: int, draw: torch.Generator) -> Pairs:
    x, noise = torch.randn(2, pairs, len(rho), generator=draw)
    return Pairs(x, rho * x + (1 - rho.square()).sqrt() * noise)


def estimates(splits: Splits, *names: object) -> tuple[Curve, list[dict]]:
    """MINE's curve; and by estimator its value on held-out pairs and on the pairs that it learns, in nats."""
    train, _, test = splits
    curve = mine(*splits, stream("MINE", *names), steps=STEPS)
    contrast = info_nce(*splits, stream("InfoNCE", *names), steps=STEPS // 2)
    maps = canonical_maps(train.x, train.y)
    linear = [gaussian_information(maps.correlations(part.x, part.y)) for part in (test, train)]
    pairs = {
        "MINE": (curve.value, float(curve.train[-1])),
        "InfoNCE": (contrast.value, float(contrast.train[-1])),
        "Gaussian": tuple(linear),
    }
    return curve, [{"estimator": name, "held_out": a, "learnt": b} for name, (a, b) in pairs.items()]


def lines_of(curve: Curve) -> list[dict]:
    columns = {"step": curve.step, "train": curve.train, "test": curve.test}
    return [dict(zip(columns, line, strict=True)) for line in zip(*(c.tolist() for c in columns.values()), strict=True)]


# --- what the information is about ------------------------------------------------------------------------------------


def shuffles(name: str) -> None:
    """MINE between pyramids whose pairs are as recorded, or re-paired within speakers, classes or both: what remains is
    information about the speaker or the class. Samples are divided at random, so that speakers are shared."""
    corpus, rows = request_of(name).load(), []
    batch, label = corpus.samples, corpus.samples.labels[corpus.task().label].numpy()
    speaker = np.unique(batch.speaker, return_inverse=True)[1]
    groups = {
        "as recorded": None, "same speaker and class": speaker * (label.max() + 1) + label, "same speaker": speaker,
        "same class": label, "any": np.zeros(len(label), dtype=int),
    }  # fmt: skip
    whole = views_of(pyramids_of, list(chunks(batch)))
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(label))
        parts = np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))])
        views = {m: components([view[part] for part in parts]) for m, (view,) in whole.items()}
        for (a, b), (pairs, group) in ((p, g) for p in combinations(views, 2) for g in groups.items()):
            partner = [np.arange(len(part)) if group is None else repaired(group[part], seed) for part in parts]
            splits = tuple(Pairs(x, y[i]) for x, y, i in zip(views[a], views[b], partner, strict=True))
            curve = mine(*splits, stream("shuffles", a, b, pairs, seed), steps=STEPS)
            rows.append({"corpus": corpus.name, "pair": f"{LETTERS[a]},{LETTERS[b]}", "pairs": pairs, "seed": seed,
                         "train_pairs": len(parts[0]), "held_out": curve.value, "learnt": float(curve.train[-1])})  # fmt: skip
    write(f"mine_shuffles_{name}", rows, 4, "mcwsa")


def repaired(group: np.ndarray, seed: int) -> np.ndarray:
    """For each sample another one of its group, all in one cycle; itself where it is alone."""
    draw, partner = np.random.default_rng([seed, len(group)]), np.arange(len(group))
    for number in np.unique(group):
        members = draw.permutation(np.flatnonzero(group == number))
        partner[members] = np.roll(members, 1)
    return partner


def request_of(name: str) -> corpora.Request:
    return corpora.named(name, **CORPORA[name])


def pyramids_of(batch: Batch) -> dict[str, torch.Tensor]:
    return {m: pyramid(*batch.frames(m), levels_to(LEVELS.get(m, 16))) for m in batch.modalities}


def codes_of(network: Network, batch: Batch, fused: bool = False) -> dict[str, torch.Tensor]:
    codes = network.codes(network.pyramids(batch), batch)
    return codes | ({"fused": network.fusion(codes)} if fused else {})


def views_of(encode: Callable[[Batch], Mapping[str, torch.Tensor]], *splits: list[Batch]) -> dict[str, list]:
    """For each modality the flattened pyramids or codes of the samples of every split."""
    with torch.no_grad():
        coded = [[encode(part) for part in split] for split in splits]
    return {m: [torch.cat([part[m].flatten(1) for part in split]) for split in coded] for m in coded[0][0]}


def chunks(batch: Batch, size: int = 256) -> Iterator[Batch]:
    for start in range(0, len(batch), size):
        yield batch[np.arange(start, min(start + size, len(batch)))]


def components(parts: list[torch.Tensor], count: int = COMPONENTS) -> list[torch.Tensor]:
    """The principal components of each part, fitted on the first and scaled to variance 1 on it."""
    count = min(count, *parts[0].shape)
    fitted = PCA(count, whiten=True, svd_solver="randomized", iterated_power=2, random_state=0).fit(parts[0].numpy())
    return [torch.from_numpy(fitted.transform(part.numpy())) for part in parts]


# --- canonical correlations in sample ---------------------------------------------------------------------------------


def bias() -> None:
    """The sum of ten canonical correlations of independent Gaussian views, in the pairs that it is fitted on and held
    out: linear, and by DCCA on as many pairs."""
    rows = []
    for count in (32, 128, 512, 4096):
        for seed in range(10):
            draw = stream("bias", count, seed)
            train, valid, test = (gaussian_pairs(torch.zeros(K), size, draw) for size in (count, count, 4096))
            place = {"pairs": count, "seed": seed}
            maps = canonical_maps(train.x, train.y)
            rows.append(place | {"measure": "CCA", "learnt": float(canonical_correlations(train.x, train.y).sum()),
                                 "held_out": float(maps.correlations(test.x, test.y).sum())})  # fmt: skip
            if seed < 3:
                curve = dcca(train, valid, test, stream("bias DCCA", count, seed), K, steps=150)
                rows.append(place | {"measure": "DCCA", "learnt": float(curve.train[-1]), "held_out": curve.value})
    write("cca_bias", rows, 4, "mcwsa")


# --- codes of trained systems -----------------------------------------------------------------------------------------


def codes(name: str) -> None:
    """MINE between modalities: of their pyramids, and of their codes by untrained encoders, after the reconstruction and
    after the classification; on test samples, and on train samples that the encoders learnt and MINE did not. And what
    each view knows of the state that all modalities share, where the corpus has it on record: the Gaussian value."""
    corpus, rows, curves, states = request_of(name).load(), [], [], []
    for fold in FOLDS[name]:
        splits = [list(chunks(part)) for part in corpus.fold(fold)]
        stages = {"pyramids": pyramids_of}
        stages |= {stage: partial(codes_of, net) for stage, net in networks(corpus, fold).items()}
        for stage, encode in stages.items():
            views, about = {}, {"corpus": corpus.name, "stage": stage} | place_of(corpus, fold)
            own = stage in ("pyramids", "classification")
            for m, parts in views_of(encode, *splits).items():
                views[m] = {"test": components(parts)}
                if own:
                    inner = np.random.default_rng(fold).permutation(len(parts[0]))
                    inner = np.split(inner, [int(0.6 * len(inner)), int(0.8 * len(inner))])
                    views[m]["train"] = components([parts[0][i] for i in inner])
                if "shared" in corpus.factors:
                    x, state = views[m]["test"], torch.from_numpy(corpus.factors["shared"])
                    train, _, test = corpus.split.folds[fold]
                    correlation = canonical_maps(x[0], state[train]).correlations(x[2], state[test])
                    states.append(about | {"modality": m, "information": gaussian_information(correlation)})
            for (a, b), samples in product(combinations(views, 2), ("test", "train") if own else ("test",)):
                pairs = tuple(map(Pairs, views[a][samples], views[b][samples]))
                place = about | {"pair": f"{LETTERS[a]},{LETTERS[b]}", "samples": samples}
                curve, values = estimates(pairs, *place.values())
                rows += [place | {"train_pairs": len(pairs[0])} | line for line in values]
                curves += [place | line for line in lines_of(curve)] if samples == "test" else []
    write(f"mine_codes_{name}", rows, 4, "mcwsa")
    write(f"mine_curves_{name}", curves, 4, "mcwsa")
    if states:
        write(f"mine_states_{name}", states, 4, "mcwsa")


def place_of(corpus: corpora.Corpus, fold: int) -> dict[str, float]:
    return {"fold": fold, "seed": 0, "test_to_train": corpus.split.test_to_train}


def recipe_of(corpus: corpora.Corpus, fold: int, **options: object) -> Recipe:
    budget = BUDGETS.get(corpus.name, PAPER_BUDGET)
    return Recipe(MCWSAClassifier, corpus, options=SMALL | options, fold=fold, budget=budget)


def networks(corpus: corpora.Corpus, fold: int) -> dict[str, Network]:
    """MCWSA's encoders and fusion: untrained, after the reconstruction, after the classification."""
    recipe, ledger = recipe_of(corpus, fold), Ledger(runs() / "derived")
    first = recipe.upstream["autoencoder"]
    blank = construct(MCWSA, corpus.shapes, first.task, first.options, {}, first.seed_name)
    made = {"untrained": blank, "reconstruction": trained(first, ledger), "classification": trained(recipe, ledger)}
    return {name: system.eval().network for name, system in made.items()}


def fusions(name: str) -> None:
    """DCCA by fusion: between the codes of modalities, and between the fused code and each of them, beside the UA of the
    same classifier, trained without a reconstruction, on the same test samples. Controls: pyramids, untrained encoders,
    and shuffled pairs."""
    corpus, rows, scores, ledger = request_of(name).load(), [], [], Ledger(runs() / "derived")
    for fold in FOLDS[name]:
        test, at = corpus.fold(fold).test, {"corpus": corpus.name} | place_of(corpus, fold)
        splits = [list(chunks(part)) for part in corpus.fold(fold)]
        views = {("", "pyramids"): views_of(pyramids_of, *splits)}
        for fusion in FUSED:
            recipe = recipe_of(corpus, fold, fusion=fusion, pretrain=False)
            system = trained(recipe, ledger).eval()
            blank = construct(MCWSAClassifier, corpus.shapes, recipe.task, recipe.options, {}, recipe.seed_name).eval()
            for stage, made in {"untrained": blank, "classification": system}.items():
                views[fusion, stage] = views_of(partial(codes_of, made.network, fused=True), *splits)
            scores.append(at | {"fusion": fusion} | score(system, test, CLEAN, corpus.task()))
        for (fusion, stage), parts in views.items():
            place = at | {"fusion": fusion, "stage": stage}
            rows += [place | line for line in correlations(parts, *place.values())]
        write(f"cca_fusions_{name}", rows, 4, "mcwsa")
        write(f"cca_scores_{name}", scores, 4, "mcwsa")


def correlations(views: Mapping[str, list], *names: object) -> Iterator[dict]:
    """The sum of ten canonical correlations of every two views, by DCCA and linear, and of shuffled pairs of pyramids."""
    views = {m: components(parts) for m, parts in views.items()}
    for a, b in combinations(views, 2):
        splits = tuple(map(Pairs, views[a], views[b]))
        pair = f"{LETTERS.get(a, a)},{LETTERS.get(b, b)}"
        draw = stream("DCCA", pair, *names)
        kinds = {"as recorded": splits}
        if "pyramids" in names:
            kinds["shuffled"] = tuple(part.shuffled(draw) for part in splits)
        for pairs, data in kinds.items():
            curve, linear = dcca(*data, draw, K, steps=100), canonical_maps(data[0].x, data[0].y)
            yield {"pair": pair, "pairs": pairs, "train_pairs": len(data[0]), "learnt": float(curve.train[-1]),
                   "held_out": curve.value, "linear": float(linear.correlations(data[2].x, data[2].y)[:K].sum())}  # fmt: skip


ALONE = {"gaussians": gaussians, "bias": bias}
BY_CORPUS = {"shuffles": shuffles, "codes": codes, "fusions": fusions}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*ALONE, *BY_CORPUS, []], help="all, if none is named")
    parser.add_argument("--corpus", nargs="*", choices=CORPORA, default=[*CORPORA])
    given = parser.parse_args()
    torch.set_num_threads(1)
    for part in given.parts or [*ALONE, *BY_CORPUS]:
        if part in ALONE:
            ALONE[part]()
            record(f"dependence {part}", "mcwsa")
        else:
            for name in given.corpus:
                BY_CORPUS[part](name)
                record(f"dependence {part} {name}", "mcwsa")
