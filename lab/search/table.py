"""What stays of the trials of finished folds: their table, out of memory, and a fair sample of their sets."""

from __future__ import annotations

import io
import tempfile
import weakref
from typing import IO, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.search.packed import COMPLETE, FoldTrials

__all__ = ["DistinctSets", "TrialTable"]

# Sets that the probability of overfitting is estimated from.
_SETS: Final = 1_000


class TrialTable:
    """The trials of all folds, in a file without a name: it needs no memory and ends with the process.

    Fold by fold and column by column, so that reading takes little more than what is read.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the table
        weakref.finalize(self, self._file.close)
        # Offset and length of every column of every fold.
        self._folds: list[dict[str, tuple[int, int]]] = []
        self._height = 0

    def __len__(self) -> int:
        return self._height

    @property
    def folds(self) -> int:
        """Folds added so far."""
        return len(self._folds)

    def add(self, frame: pl.DataFrame) -> None:
        """Append the trials of the next fold, with the columns of the others."""
        places = {}
        for column in frame.iter_columns():
            start = self._file.seek(0, io.SEEK_END)
            column.to_frame().write_ipc(self._file, compression="uncompressed")
            places[column.name] = (start, self._file.seek(0, io.SEEK_END) - start)
        self._folds.append(places)
        self._height += frame.height

    def fold(self, number: int) -> pl.DataFrame:
        """Return the trials of one fold."""
        return pl.DataFrame([self._column(number, name) for name in self._folds[number]])

    def best(self, count: int) -> pl.DataFrame:
        """Return the `count` complete trials with the highest scores, of equal ones the earliest.

        Memory grows with `count`, and a little with the trials of one fold.
        """
        scores, folds, rows = np.empty(0), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        for number in range(self.folds):
            complete = np.flatnonzero((self._column(number, "state") == COMPLETE).to_numpy())
            scores = np.append(scores, self._column(number, "score").to_numpy()[complete])
            folds, rows = np.append(folds, np.full(len(complete), number)), np.append(rows, complete)
            order = np.argsort(-scores, kind="stable")[:count]
            scores, folds, rows = scores[order], folds[order], rows[order]
        held = np.unique(folds).tolist() or [0]
        chosen = pl.concat([self.fold(number)[rows[folds == number]] for number in held])
        return chosen[np.argsort(np.argsort(folds, kind="stable"))]

    def frame(self) -> pl.DataFrame:
        """Return all trials."""
        folds = range(self.folds)
        return pl.DataFrame(
            [
                pl.concat([self._column(number, name) for number in folds], rechunk=True)
                for name in self._folds[0]
            ]
        )

    def _column(self, fold: int, name: str) -> pl.Series:
        start, length = self._folds[fold][name]
        self._file.seek(start)
        return pl.read_ipc(self._file.read(length)).to_series()


class DistinctSets:
    """Where distinct parameter sets were first tried; where there are too many, those with the least hashes.

    Hashes have nothing to do with results, so that this is a fair sample, and it needs no memory of the rest.

    Parameters
    ----------
    size : int
        Most sets to keep.
    """

    def __init__(self, size: int = _SETS) -> None:
        self._size = size
        self._hashes: NDArray[np.void] = np.empty(0, dtype="S16")
        self.folds: list[int] = []
        self.numbers: list[int] = []
        self.proposals: list[dict[str, int | float]] = []

    def __len__(self) -> int:
        return len(self.numbers)

    def add(self, fold: int, found: FoldTrials) -> None:
        """Take the trials of the next fold into account."""
        known, numbers = len(self), found.complete
        hashes = np.concatenate([self._hashes, found.hashes[numbers]])
        _, first = np.unique(hashes, return_index=True)
        kept = np.sort(first[: self._size])
        self._hashes = hashes[kept]
        old = kept[kept < known].tolist()
        new = numbers[kept[kept >= known] - known].tolist()
        self.folds = [self.folds[place] for place in old] + [fold] * len(new)
        self.numbers = [self.numbers[place] for place in old] + new
        self.proposals = [self.proposals[place] for place in old] + [found.proposal(one) for one in new]
