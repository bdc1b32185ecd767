"""What an instance holds virtually while it keeps: its last weight, remembered for a bounded time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit

__all__ = ["standing"]

Array = NDArray[np.float64]


def standing(weights: Array, hold_bars: int) -> Array:
    """Return each market's last weight among the last `hold_bars` rows, shape (T, N).

    Parameters
    ----------
    weights : ndarray of float64, shape (T, N)
        NaN keeps.
    hold_bars : int
        Rows, the present one included, that are looked at; at least 1.

    Returns
    -------
    ndarray of float64, shape (T, N)
        NaN where no number was given for so long: an opinion that old has lapsed. Row t depends on rows
        ``t - hold_bars + 1 … t`` alone.

    Examples
    --------
    >>> standing(np.array([[0.5], [np.nan], [np.nan]]), 2)[:, 0]
    array([0.5, 0.5, nan])
    """
    return _standing(np.ascontiguousarray(weights, dtype=np.float64), hold_bars)


@njit(cache=True, nogil=True)
def _standing(weights: Array, hold_bars: int) -> Array:
    rows, columns = weights.shape
    result = np.full((rows, columns), np.nan)
    for i in range(columns):
        given = -1
        for t in range(rows):
            if not np.isnan(weights[t, i]):
                given = t
            if given >= 0 and t - given < hold_bars:
                result[t, i] = weights[given, i]
    return result
