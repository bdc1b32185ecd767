"""Walk-forward: train on the past, judge on the bars that follow, move on."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass

import numpy as np

from lab.core.errors import ConfigError, InsufficientHistoryError
from lab.core.settings import SearchSettings
from lab.validation.splits.intervals import Positions, count, require_whole

__all__ = ["WalkForward"]


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Train on a window, test on the bars that follow it, move on by one test window.

    The words are scikit-learn's and skfolio's; with ``embargo_size=0`` the folds are skfolio's, bar for bar.
    Test windows follow each other without a gap, so that joined they are one out-of-sample path. A last
    window shorter than `test_size` is left out.

    Parameters
    ----------
    train_size : int
        Bars in a training window; with `expand_train` in the first one.
    test_size : int
        Bars in each test window.
    purged_size : int
        Bars dropped between the end of training and the start of its test. 1 keeps the order that is decided
        at the last training close, and filled at the next open, out of the test.
    embargo_size : int
        Bars after each earlier test window that never train: they are still tied to that test by open
        positions and serial correlation. A rolling window reaches back further to keep its `train_size`
        bars. Smaller than `test_size`.
    expand_train : bool
        Keep every earlier bar instead of the latest `train_size` (rolling). Expanding and anchored
        walk-forward are two names for this: the training window is anchored at the first bar and grows.

    Raises
    ------
    ConfigError
        If a size is not a whole number, not positive (training, test) or negative (purge, embargo), or the
        embargo is not smaller than the test.

    References
    ----------
    M. López de Prado, *Advances in Financial Machine Learning* (2018), chapter 7.

    Examples
    --------
    >>> def show(splitter):
    ...     for fold, (train, test) in enumerate(splitter.split(12)):
    ...         print(f"Fold {fold}: train {train} test {test}")
    >>> show(WalkForward(train_size=4, test_size=3))
    Fold 0: train [0 1 2 3] test [4 5 6]
    Fold 1: train [3 4 5 6] test [7 8 9]
    >>> show(WalkForward(train_size=4, test_size=2, purged_size=1))
    Fold 0: train [0 1 2 3] test [5 6]
    Fold 1: train [2 3 4 5] test [7 8]
    Fold 2: train [4 5 6 7] test [ 9 10]
    >>> show(WalkForward(train_size=4, test_size=2, purged_size=1, expand_train=True))
    Fold 0: train [0 1 2 3] test [5 6]
    Fold 1: train [0 1 2 3 4 5] test [7 8]
    Fold 2: train [0 1 2 3 4 5 6 7] test [ 9 10]

    Bar 7 comes right after the first test (5, 6), so it never trains, here from fold 2 on:

    >>> show(WalkForward(train_size=4, test_size=2, purged_size=1, embargo_size=1))
    Fold 0: train [0 1 2 3] test [5 6]
    Fold 1: train [2 3 4 5] test [7 8]
    Fold 2: train [3 4 5 6] test [ 9 10]
    """

    train_size: int
    test_size: int
    purged_size: int = 0
    embargo_size: int = 0
    expand_train: bool = False

    def __post_init__(self) -> None:
        require_whole(self, train_size=1, test_size=1, purged_size=0, embargo_size=0)
        if self.embargo_size >= self.test_size:
            raise ConfigError(
                f"WalkForward: embargo_size {self.embargo_size} is not smaller than test_size "
                f"{self.test_size}; no bar after the first fold could ever train. Shorten the embargo"
            )

    @classmethod
    def from_settings(cls, settings: SearchSettings) -> WalkForward:
        """Return the splitter that the ``search`` section of a strategy file asks for.

        Examples
        --------
        >>> WalkForward.from_settings(SearchSettings(train_bars=200, test_bars=50)).train_size
        200
        """
        return cls(
            train_size=settings.train_bars,
            test_size=settings.test_bars,
            purged_size=settings.purged_bars,
            embargo_size=settings.embargo_bars,
            expand_train=settings.splitter in ("expanding", "anchored"),
        )

    def get_n_splits(self, samples: int | Sized) -> int:
        """Return the number of folds in `samples` bars; zero when there are too few for one.

        Examples
        --------
        >>> WalkForward(train_size=365, test_size=90, purged_size=1).get_n_splits(1_000)
        7
        """
        available = count(samples) - self.train_size - self.purged_size
        return max(available, 0) // self.test_size

    def split(self, samples: int | Sized) -> Iterator[tuple[Positions, Positions]]:
        """Yield (train, test) positions of every fold, in time order.

        Parameters
        ----------
        samples : int or sized
            Number of bars, or anything with that length (a panel, an array).

        Yields
        ------
        train, test : ndarray of int64
            Ascending positions. Every test position is later than every train position by more than
            `purged_size` bars.

        Raises
        ------
        InsufficientHistoryError
            If there are too few bars for one fold; raised before the first fold is yielded.
        """
        total = count(samples)
        if self.get_n_splits(total) == 0:
            needed = self.train_size + self.purged_size + self.test_size
            raise InsufficientHistoryError(
                f"walk-forward: {total} bars available, {needed} needed for one fold ({self.train_size} "
                f"training + {self.purged_size} purged + {self.test_size} test); "
                "ingest more history or shorten the windows"
            )
        return self._folds(total)

    def _folds(self, total: int) -> Iterator[tuple[Positions, Positions]]:
        first = self.train_size + self.purged_size
        trainable = np.ones(total, dtype=np.bool_)
        for start in range(first, first + self.get_n_splits(total) * self.test_size, self.test_size):
            train = np.flatnonzero(trainable[: start - self.purged_size])
            if not self.expand_train:
                train = train[-self.train_size :]
            test = np.arange(start, start + self.test_size, dtype=np.int64)
            yield train.astype(np.int64), test
            trainable[test[-1] + 1 : test[-1] + 1 + self.embargo_size] = False
