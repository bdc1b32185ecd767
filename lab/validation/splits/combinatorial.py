"""Combinatorial purged cross-validation: many out-of-sample paths through the same history."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.validation.splits.intervals import (
    Positions,
    count,
    ends_of,
    fold_edges,
    require_whole,
    training,
)

__all__ = ["CombinatorialPurgedCV"]


@dataclass(frozen=True, slots=True)
class CombinatorialPurgedCV:
    """Every choice of `n_test_folds` out of `n_folds` folds judges once; the pieces join into paths.

    Each fold is judged in several splits, by models that learnt from different samples. Taking the first
    judgement of every fold, the second of every fold and so on gives `n_test_paths` out-of-sample paths
    through the whole history, where walk-forward gives one through its later part.

    Parameters
    ----------
    n_folds : int
        Consecutive parts of the history; the first ones are one longer where it does not divide.
    n_test_folds : int
        Parts that judge together, fewer than `n_folds`.
    purged_size : int
        Bars on either side of a run of test folds that train nothing, beyond what the labels say.
    embargo_size : int
        Further bars after such a run, and after the labels in it, that train nothing.

    Raises
    ------
    ConfigError
        If a figure is not a whole number, or out of its range.

    References
    ----------
    M. López de Prado, *Advances in Financial Machine Learning* (2018), chapter 12.

    Examples
    --------
    >>> def show(splitter, label_ends=None):
    ...     for split, (train, tests) in enumerate(splitter.split(12, label_ends)):
    ...         print(f"Split {split}: train {train} test", *tests)
    >>> show(CombinatorialPurgedCV(4, 2))
    Split 0: train [ 6  7  8  9 10 11] test [0 1 2] [3 4 5]
    Split 1: train [ 3  4  5  9 10 11] test [0 1 2] [6 7 8]
    Split 2: train [3 4 5 6 7 8] test [0 1 2] [ 9 10 11]
    Split 3: train [ 0  1  2  9 10 11] test [3 4 5] [6 7 8]
    Split 4: train [0 1 2 6 7 8] test [3 4 5] [ 9 10 11]
    Split 5: train [0 1 2 3 4 5] test [6 7 8] [ 9 10 11]
    >>> show(CombinatorialPurgedCV(4, 2, purged_size=1, embargo_size=1))
    Split 0: train [ 8  9 10 11] test [0 1 2] [3 4 5]
    Split 1: train [11] test [0 1 2] [6 7 8]
    Split 2: train [5 6 7] test [0 1 2] [ 9 10 11]
    Split 3: train [ 0  1 11] test [3 4 5] [6 7 8]
    Split 4: train [0 1] test [3 4 5] [ 9 10 11]
    Split 5: train [0 1 2 3 4] test [6 7 8] [ 9 10 11]

    With labels that look one bar ahead, and a bar of embargo:

    >>> show(CombinatorialPurgedCV(4, 2, embargo_size=1), label_ends=np.arange(12) + 1)
    Split 0: train [ 8  9 10 11] test [0 1 2] [3 4 5]
    Split 1: train [11] test [0 1 2] [6 7 8]
    Split 2: train [5 6 7] test [0 1 2] [ 9 10 11]
    Split 3: train [ 0  1 11] test [3 4 5] [6 7 8]
    Split 4: train [0 1] test [3 4 5] [ 9 10 11]
    Split 5: train [0 1 2 3 4] test [6 7 8] [ 9 10 11]

    Path 0 takes fold 0 from split 0, fold 1 from split 0, fold 2 from split 1 and fold 3 from split 2:

    >>> splitter = CombinatorialPurgedCV(4, 2)
    >>> splitter.n_splits, splitter.n_test_paths
    (6, 3)
    >>> splitter.path_splits()
    array([[0, 0, 1, 2],
           [1, 3, 3, 4],
           [2, 4, 5, 5]])
    """

    n_folds: int = 10
    n_test_folds: int = 2
    purged_size: int = 0
    embargo_size: int = 0

    def __post_init__(self) -> None:
        require_whole(self, n_folds=2, n_test_folds=1, purged_size=0, embargo_size=0)
        if self.n_test_folds >= self.n_folds:
            raise ConfigError(
                f"CombinatorialPurgedCV: n_test_folds {self.n_test_folds} of n_folds {self.n_folds} leave no "
                "fold to train with; expected fewer"
            )

    @property
    def n_splits(self) -> int:
        """Choices of test folds: ``n_folds over n_test_folds``.

        Examples
        --------
        >>> CombinatorialPurgedCV(10, 8).n_splits
        45
        """
        return math.comb(self.n_folds, self.n_test_folds)

    @property
    def n_test_paths(self) -> int:
        """Out-of-sample paths that the splits make up: how often each fold is judged.

        Examples
        --------
        >>> CombinatorialPurgedCV(10, 8).n_test_paths
        36
        """
        return math.comb(self.n_folds - 1, self.n_test_folds - 1)

    def get_n_splits(self, samples: int | Sized | None = None) -> int:
        """Return the number of splits, whatever the samples."""
        return self.n_splits

    def test_folds(self) -> NDArray[np.int64]:
        """Return the numbers of the folds that judge in each split, shape (n_splits, n_test_folds)."""
        chosen = list(itertools.combinations(range(self.n_folds), self.n_test_folds))
        return np.array(chosen, dtype=np.int64)

    def path_splits(self) -> NDArray[np.int64]:
        """Return which split judges each fold on each path, shape (n_test_paths, n_folds).

        Path p takes every fold from the p-th split that tests it; each (split, test fold) is used once.
        """
        chosen = self.test_folds()
        columns = [np.flatnonzero((chosen == fold).any(axis=1)) for fold in range(self.n_folds)]
        return np.stack(columns, axis=1).astype(np.int64)

    def split(
        self, samples: int | Sized, label_ends: ArrayLike | None = None
    ) -> Iterator[tuple[Positions, tuple[Positions, ...]]]:
        """Yield (train, tests) of every split; the test folds count up as in ``itertools.combinations``.

        Parameters
        ----------
        samples, label_ends
            See :meth:`PurgedKFold.split`.

        Yields
        ------
        train : ndarray of int64
            Ascending positions. No training sample's span, from itself to the end of its label, touches that
            of a test sample, the purged bars beside a run of test folds, or the embargo after it.
        tests : tuple of ndarray of int64
            Positions of each test fold, in time order.

        Raises
        ------
        InsufficientHistoryError
            If there are fewer samples than folds, or nothing is left to train with.
        ConfigError
            If `label_ends` are not as described.
        """
        total = count(samples)
        edges, ends = fold_edges(total, self.n_folds), ends_of(label_ends, total)
        return self._splits(edges, ends)

    def _splits(self, edges: Positions, ends: Positions) -> Iterator[tuple[Positions, tuple[Positions, ...]]]:
        for number, chosen in enumerate(self.test_folds().tolist()):
            parts = [(int(edges[fold]), int(edges[fold + 1])) for fold in chosen]
            train = training(parts, ends, purged_size=self.purged_size, embargo_size=self.embargo_size)
            if not len(train):
                raise InsufficientHistoryError(
                    f"combinatorial purged cross-validation: nothing is left to train split {number} with, "
                    f"of {len(ends)} samples; bring more history, fewer folds, or shorten labels, purge or "
                    "embargo"
                )
            yield train, tuple(np.arange(start, end, dtype=np.int64) for start, end in parts)

    def paths(self, judged: Sequence[Sequence[ArrayLike]]) -> NDArray[np.float64]:
        """Join what every split said about its test folds into out-of-sample paths.

        Parameters
        ----------
        judged : sequence of sequence of array_like
            For each split, in order, one array per test fold: returns or predictions at its positions.

        Returns
        -------
        ndarray of float64, shape (n_test_paths, samples)

        Raises
        ------
        ConfigError
            If there is not one array per split and test fold.

        Examples
        --------
        Four samples in four folds; every split says its own number:

        >>> splitter = CombinatorialPurgedCV(4, 2)
        >>> judged = [[[split], [split]] for split in range(splitter.n_splits)]
        >>> splitter.paths(judged)
        array([[0., 0., 1., 2.],
               [1., 3., 3., 4.],
               [2., 4., 5., 5.]])
        """
        found = [len(one) for one in judged]
        if found != [self.n_test_folds] * self.n_splits:
            raise ConfigError(
                f"paths: {len(found)} splits of {sorted(set(found))} test folds found; expected "
                f"{self.n_splits} of {self.n_test_folds}"
            )
        place = [{fold: at for at, fold in enumerate(chosen)} for chosen in self.test_folds().tolist()]
        return np.stack(
            [
                np.concatenate(
                    [
                        np.asarray(judged[split][place[split][fold]], dtype=np.float64)
                        for fold, split in enumerate(row)
                    ]
                )
                for row in self.path_splits().tolist()
            ]
        )
