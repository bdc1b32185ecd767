"""Order of the values in windows: quantiles and ranks."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lab.core.compiled import njit

__all__ = ["QUANTILE", "RANK", "order_of_window"]

QUANTILE: Final = 0
RANK: Final = 1


@njit(cache=True, nogil=True, error_model="numpy")
def order_of_window(x: Any, window: int, least: int, what: int, share: float) -> Any:
    """Return a quantile of each window, or the rank of its last value.

    The valid values of the window are kept sorted: a bar costs two searches, and moves of at most the window
    in memory. A sorted list has no memory of how it came to be, so nothing depends on older bars.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped.
    window, least : int
        Bars per window, and how many of them must be valid.
    what : int
        ``QUANTILE`` (linear between the two nearest values) or ``RANK`` (share of the other values below the
        last one, equal ones counting half; NaN where the last one is).
    share : float
        Of the quantile, in [0, 1].
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    ordered = np.empty(window)
    for j in range(columns):
        count = 0
        for t in range(rows):
            # Of the two zeros only the positive one, else their order would show.
            if t >= window:
                count = _remove(ordered, count, x[t - window, j] + 0.0)
            value = x[t, j] + 0.0
            count = _insert(ordered, count, value)
            if t < window - 1 or count < least:
                continue
            if what == QUANTILE:
                out[t, j] = _quantile(ordered, count, share)
            elif not math.isnan(value):
                out[t, j] = _rank(ordered, count, value)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _remove(ordered: Any, count: int, value: float) -> int:
    """Take `value`, if it is valid, out of the first `count` values, and return how many are left."""
    if math.isnan(value):
        return count
    for place in range(_below(ordered, count, value), count - 1):
        ordered[place] = ordered[place + 1]
    return count - 1


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(ordered: Any, count: int, value: float) -> int:
    """Put `value`, if it is valid, in its place among the first `count` values, and return the new count."""
    if math.isnan(value):
        return count
    place = _below(ordered, count, value)
    for other in range(count, place, -1):
        ordered[other] = ordered[other - 1]
    ordered[place] = value
    return count + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _rank(ordered: Any, count: int, value: float) -> float:
    place = _below(ordered, count, value)
    equal = 0
    while place + equal + 1 < count and ordered[place + equal + 1] == value:
        equal += 1
    return (place + 0.5 * equal) / (count - 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _below(ordered: Any, count: int, value: float) -> int:
    """Return how many of the first `count` values lie below `value`."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if ordered[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def _quantile(ordered: Any, count: int, share: float) -> float:
    at = share * (count - 1)
    place = min(int(at), count - 1)
    above = min(place + 1, count - 1)
    return ordered[place] + (at - place) * (ordered[above] - ordered[place])
