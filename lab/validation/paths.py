"""What choosing the best set on the rest of history would have earned, on many paths through it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import ConfigError
from lab.validation.splits import CombinatorialPurgedCV

__all__ = ["path_sharpes"]


def path_sharpes(returns: ArrayLike, splitter: CombinatorialPurgedCV) -> NDArray[np.float64]:
    """Return the Sharpe ratio of choosing by Sharpe ratio, on every out-of-sample path of `splitter`.

    In each split the set with the highest Sharpe ratio on the training bars, the earliest of equal ones, is
    judged on the test bars. The returns are those of one account per set over all bars: positions carry over
    the edges of folds, which purge and embargo should cover.

    Parameters
    ----------
    returns : array_like, shape (T, sets)
        Simple returns per bar of each set, finite.
    splitter : CombinatorialPurgedCV

    Returns
    -------
    ndarray of float64, shape (n_test_paths,)
        Per period; 0 for a path that does not vary.

    Raises
    ------
    ConfigError
        If there are no two sets to choose between.
    InsufficientHistoryError
        If the bars are too few for the folds.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(0, 0.01, size=(600, 5))
    >>> noise[:, 2] += 0.003
    >>> found = path_sharpes(noise, CombinatorialPurgedCV(6, 2))
    >>> len(found), bool((found > 0.2).all())
    (5, True)
    """
    values = np.asarray(returns, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise ConfigError(f"returns have shape {values.shape}; expected (T, sets), finite, at least two sets")
    judged = []
    for train, tests in splitter.split(len(values)):
        best = int(np.argmax(_sharpes(values[train])))
        judged.append([values[test, best] for test in tests])
    return _sharpes(splitter.paths(judged).T)


def _sharpes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    mean, deviation = values.mean(axis=0), values.std(axis=0, ddof=1)
    moving = deviation > 1e-7 * np.abs(mean)
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=moving)
