"""Whether lips and loudness of GRID's clips are in step (VQ-MDVAE 3.1), as one small table.

    ROBUSTMER_DATA=... python bench/derived_lag.py

Writes results/measured/mdvae/derived_lag.csv: the mean over clips, with its 95% interval, of the correlation between the
darkness of a box of the picture and the loudness of the sound, by lag in pictures. There is one speaker.
"""

from __future__ import annotations

import torch
from derived import record, write
from scipy.stats import t

from robustmer import corpora
from robustmer.metrics.synchrony import darkness, lagged_correlation, loudness_db

LAGS = range(-10, 11)


def main() -> None:
    corpus, rows = corpora.load("grid_av"), []
    pictures, mask = corpus.samples.frames("visual")
    loud = loudness_db(corpus.samples.frames("audio")[0])
    for name, box in corpus.boxes.items():
        values = lagged_correlation(darkness(pictures, box), loud, mask, LAGS).double()
        half = t.ppf(0.975, len(values) - 1) * values.std(0) / len(values) ** 0.5
        for lag, mean, width in zip(LAGS, values.mean(0).tolist(), half.tolist(), strict=True):
            rows.append({"corpus": corpus.name, "box": name, "lag": lag, "value": mean, "low": mean - width,
                         "high": mean + width, "clips": len(values)})  # fmt: skip
    write("lag", rows, paper="mdvae")
    record("lag", "mdvae")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
