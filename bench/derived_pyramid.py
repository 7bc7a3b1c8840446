"""What a pyramid keeps of RAVDESS's voices (MCWSA, Fig. 3 and IV.B), as one small table.

    ROBUSTMER_DATA=... python bench/derived_pyramid.py

Writes results/measured/mcwsa/derived_pyramid.csv: UA and WA of logistic regression on pyramids of the mel frames, by
maximum level and fold of actors; on frames in a shuffled order; and on the regions of one level alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from derived import record, write

from robustmer import corpora
from robustmer.batch import Batch
from robustmer.corpora.corpus import Fold
from robustmer.metrics import ua, wa
from robustmer.metrics.probe import linear_probe
from robustmer.nn.pyramid import levels_to, pyramid
from robustmer.noise import stream

MAXIMA, SEEDS = levels_to(64), range(3)


def shuffled(batch: Batch, generator: torch.Generator) -> Batch:
    """The batch with the recorded audio frames of every sample in a random order."""
    x, mask = batch.x["audio"], batch.mask["audio"]
    order = torch.where(mask, torch.rand(mask.shape, generator=generator), 2.0).argsort(1)
    return batch.replace(x=batch.x | {"audio": x.gather(1, order[..., None].expand_as(x))})


def inputs(fold: Fold, number: int) -> Iterator[tuple[dict, list[torch.Tensor]]]:
    """What a probe reads: train, valid and test features, with their place in the table."""
    flat = lambda parts, levels: [pyramid(*part.frames("audio"), levels).flatten(1) for part in parts]  # noqa: E731
    for level in MAXIMA:
        yield {"input": "pyramid", "level": level, "seed": 0}, flat(fold, levels_to(level))
        alone = [pyramid(*part.frames("audio"), (level,))[:, :-1].flatten(1) for part in fold]
        yield {"input": "one level", "level": level, "seed": 0}, alone
        for seed in SEEDS:
            mixed = [shuffled(part, stream("shuffled frames", number, part.name, seed)) for part in fold]
            yield {"input": "shuffled", "level": level, "seed": seed}, flat(mixed, levels_to(level))


def main() -> None:
    corpus, rows = corpora.load("ravdess_av_mel", modalities="audio"), []
    for number in range(len(corpus.split.folds)):
        fold = corpus.fold(number)
        train, valid, test = (part.labels["emotion"] for part in fold)
        for place, (x, y, z) in inputs(fold, number):
            guess = linear_probe((x, train), (y, valid), z)
            rows.append({"corpus": corpus.name, **place, "fold": number, "test_to_train": corpus.split.test_to_train,
                         "UA": ua(test, guess), "WA": wa(test, guess)})  # fmt: skip
        print(f"fold {number} done")
    write("pyramid", rows, paper="mcwsa")
    record("pyramid", "mcwsa")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
