"""Layout: one .npz file of plain arrays with one vector per sample and modality, and files beside it with sequences."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robustmer.batch import collate
from robustmer.corpora.corpus import Corpus, Split
from robustmer.corpora.files import Problems, Unfit, check_file, expect, finite, read_npz
from robustmer.corpora.layout import Layout

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Field:
    """One array of the file: its `kind` ("numbers", "whole numbers", "text"), and its `width` D for shape (N, D) or
    None for shape (N,).

    `length` fixes N where it does not count samples (the names of columns or classes). `bounds` are the lowest and the
    highest value of a whole number, with their meaning.
    """

    kind: str
    width: int | None = None
    length: int | None = None
    bounds: tuple[int, int, str] | None = None

    def checked(self, array: np.ndarray, samples: int | str) -> np.ndarray:
        """The array as float32, int64 or text. Raises Unfit for another type or shape and for values out of bounds."""
        expect(array, self.kind, *(n for n in (self.length or samples, self.width) if n is not None))
        if self.kind == "numbers":
            return finite(array)
        low, high, meaning = self.bounds or (-np.inf, np.inf, "")
        wrong = array == "" if self.kind == "text" else (array < low) | (array > high)
        if wrong.any():
            value = f"has {array[wrong][0].item()!r} in row {int(np.argmax(wrong))}" + f" ({wrong.sum()} such rows)"
            raise Unfit(f"{value}; it must be {f'{low} to {high}: {meaning}' if meaning else 'text'}")
        return array if self.kind == "text" else array.astype(np.int64)


@dataclass(frozen=True, eq=False, kw_only=True)
class NpzVectors(Layout):
    """One .npz. `x` names the array of each modality, `id` and `y` those of the sample names and of the label.

    `speakers` returns the speaker of every sample, `divide` the split, `further` the problems that only this corpus can
    have, and `columns`, if given, which columns of a modality a load with these settings takes.

    `beside`, if given, names further files, relative to the .npz, and `sequences` reads from them the modalities that
    are not the vectors of `x`: for each an array (frames, features) a sample.
    """

    file: str
    fields: Mapping[str, Field]
    x: Mapping[str, str]
    id: str
    y: str
    speakers: Callable[[Arrays], np.ndarray]
    divide: Callable[[Arrays], Split]
    further: Callable[[Arrays], Iterable[str]]
    columns: Callable[[Arrays, str, Mapping[str, object]], np.ndarray] | None = None
    beside: Callable[[Mapping[str, object]], Sequence[str]] = lambda settings: ()
    sequences: Callable[[Arrays, Sequence[Path], Problems], Mapping[str, list[np.ndarray]]] | None = None

    def files(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        return [root / self.file]

    def others(self, path: Path, settings: Mapping[str, object]) -> list[Path]:
        """The files beside the .npz at `path`."""
        return [Path(os.path.normpath(path.parent / name)) for name in self.beside(settings)]

    def present(self, root: Path, settings: Mapping[str, object]) -> list[Path]:
        """The files beside are no corpus without the .npz."""
        main = super().present(root, settings)
        return main + [path for path in self.others(main[0], settings) if os.path.lexists(path)] if main else []

    def read(self, root: Path, settings: Mapping[str, object], problems: Problems) -> Corpus | None:
        path = self.present(root, settings)[0]
        arrays, samples = read_npz(path, list(self.fields), problems), "samples"
        for name, array in arrays.items():
            with problems.of(f"array {name!r} of {path.name}"):
                arrays[name] = self.fields[name].checked(array, samples)
                samples = samples if self.fields[name].length else len(array)
        names, counts = np.unique(arrays.get(self.id, []), return_counts=True)
        if (counts > 1).any():
            problems.add(
                f"sample {str(names[counts > 1][0])!r} is in {counts.max()} rows; every sample needs its own name"
            )
        for sentence in () if problems else self.further(arrays):
            problems.add(sentence)
        others, read = self.others(path, settings), {}
        for other in others:
            with problems.of(str(other)):
                check_file(other, other.parent)
        if self.sequences is not None and not problems:
            read = self.sequences(arrays, others, problems)
        if problems:
            return None
        x = {m: arrays[array] for m, array in self.x.items()}
        if self.columns is not None:
            x = {m: values[:, self.columns(arrays, m, settings)] for m, values in x.items()}
        labels, speaker = {self.label: arrays[self.y]}, self.speakers(arrays)
        x = {m: list(values) for m, values in x.items()} | read
        batch = collate(x, labels, speaker, arrays[self.id], self.name)
        return self.corpus(batch, self.divide(arrays), settings)
