"""Purged k-fold: every sample judges once, and nothing that overlaps it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lab.core.errors import InsufficientHistoryError
from lab.validation.splits.intervals import (
    Positions,
    count,
    ends_of,
    fold_edges,
    require_whole,
    training,
)

__all__ = ["PurgedKFold"]


@dataclass(frozen=True, slots=True)
class PurgedKFold:
    """Consecutive folds, each judged once by what was learnt from the others, purged and embargoed.

    Later samples train too, so that this judges a model, not a track record; for that, see
    :class:`WalkForward`. Without purge, embargo and labels the folds are scikit-learn's `KFold`.

    Parameters
    ----------
    n_splits : int
        Folds, at least 2; where the samples do not divide, the first folds are one longer.
    purged_size : int
        Bars on either side of a test fold that train nothing, beyond what the labels say.
    embargo_size : int
        Further bars after a test fold, and after the labels in it, that train nothing: serial correlation
        carries the test into them.

    Raises
    ------
    ConfigError
        If a figure is not a whole number, or is too small.

    References
    ----------
    M. López de Prado, *Advances in Financial Machine Learning* (2018), section 7.4.

    Examples
    --------
    >>> def show(splitter, label_ends=None):
    ...     for fold, (train, test) in enumerate(splitter.split(12, label_ends)):
    ...         print(f"Fold {fold}: train {train} test {test}")
    >>> show(PurgedKFold(3))
    Fold 0: train [ 4  5  6  7  8  9 10 11] test [0 1 2 3]
    Fold 1: train [ 0  1  2  3  8  9 10 11] test [4 5 6 7]
    Fold 2: train [0 1 2 3 4 5 6 7] test [ 8  9 10 11]
    >>> show(PurgedKFold(3, purged_size=1, embargo_size=1))
    Fold 0: train [ 6  7  8  9 10 11] test [0 1 2 3]
    Fold 1: train [ 0  1  2 10 11] test [4 5 6 7]
    Fold 2: train [0 1 2 3 4 5 6] test [ 8  9 10 11]

    Each label looks two bars ahead, so that the label of 2 is known at 4. In fold 1 the samples 2 and 3 go,
    because their labels reach the test, and 8 and 9, because the labels of the test reach them:

    >>> show(PurgedKFold(3), label_ends=np.arange(12) + 2)
    Fold 0: train [ 6  7  8  9 10 11] test [0 1 2 3]
    Fold 1: train [ 0  1 10 11] test [4 5 6 7]
    Fold 2: train [0 1 2 3 4 5] test [ 8  9 10 11]
    >>> show(PurgedKFold(3, embargo_size=1), label_ends=np.arange(12) + 2)
    Fold 0: train [ 7  8  9 10 11] test [0 1 2 3]
    Fold 1: train [ 0  1 11] test [4 5 6 7]
    Fold 2: train [0 1 2 3 4 5] test [ 8  9 10 11]
    """

    n_splits: int
    purged_size: int = 0
    embargo_size: int = 0

    def __post_init__(self) -> None:
        require_whole(self, n_splits=2, purged_size=0, embargo_size=0)

    def get_n_splits(self, samples: int | Sized | None = None) -> int:
        """Return the number of folds, whatever the samples.

        Examples
        --------
        >>> PurgedKFold(5).get_n_splits()
        5
        """
        return self.n_splits

    def split(
        self, samples: int | Sized, label_ends: ArrayLike | None = None
    ) -> Iterator[tuple[Positions, Positions]]:
        """Yield (train, test) positions of every fold, in time order.

        Parameters
        ----------
        samples : int or sized
            Number of samples in time order, one per bar, or anything with that length.
        label_ends : array_like of int, shape (samples,), optional
            Position of the last bar that each sample's label uses: its own, or later. May lie beyond the
            last sample. Without it a sample uses its own bar alone.

        Yields
        ------
        train, test : ndarray of int64
            Ascending positions. No training sample's span, from itself to the end of its label, touches that
            of a test sample, the purged bars beside the test, or the embargo after it.

        Raises
        ------
        InsufficientHistoryError
            If there are fewer samples than folds, or nothing is left to train with.
        ConfigError
            If `label_ends` are not as described.
        """
        total = count(samples)
        edges, ends = fold_edges(total, self.n_splits), ends_of(label_ends, total)
        return self._folds(edges, ends)

    def _folds(self, edges: Positions, ends: Positions) -> Iterator[tuple[Positions, Positions]]:
        for fold in range(self.n_splits):
            start, end = int(edges[fold]), int(edges[fold + 1])
            train = training(
                [(start, end)], ends, purged_size=self.purged_size, embargo_size=self.embargo_size
            )
            if not len(train):
                raise InsufficientHistoryError(
                    f"purged k-fold: nothing is left to train fold {fold} with, of {len(ends)} samples; "
                    "bring more history, or shorten labels, purge or embargo"
                )
            yield train, np.arange(start, end, dtype=np.int64)
