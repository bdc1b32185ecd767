"""Totals, means and deviations over windows."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit

__all__ = ["DEVIATION", "MEAN", "ZSCORE", "moments_of_window", "total_of_window"]

MEAN: Final = 0
DEVIATION: Final = 1
ZSCORE: Final = 2


@njit(cache=True, nogil=True, error_model="numpy")
def total_of_window(x: Any, first_bar: int, window: int, least: int) -> Any:
    """Return the sum of the valid values in each window, NaN where fewer than `least` are valid."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    tail_sum = np.zeros((window + 1, columns))
    tail_count = np.zeros((window + 1, columns))
    head_sum = np.zeros(columns)
    head_count = np.zeros(columns)
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            head_sum[:] = 0.0
            head_count[:] = 0.0
            for q in range(min(window, t)):
                at = window - 1 - q
                for j in range(columns):
                    value = x[t - 1 - q, j]
                    valid = not math.isnan(value)
                    tail_sum[at, j] = tail_sum[at + 1, j] + (value if valid else 0.0)
                    tail_count[at, j] = tail_count[at + 1, j] + (1.0 if valid else 0.0)
        for j in range(columns):
            value = x[t, j]
            valid = not math.isnan(value)
            head_sum[j] += value if valid else 0.0
            head_count[j] += 1.0 if valid else 0.0
        if t >= window - 1:
            for j in range(columns):
                enough = tail_count[place + 1, j] + head_count[j] >= least
                out[t, j] = tail_sum[place + 1, j] + head_sum[j] if enough else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def moments_of_window(x: Any, first_bar: int, window: int, least: int, what: int) -> Any:
    """Return the mean, the sample deviation or the z-score of each window.

    Both parts of a window measure their values from a centre, the valid value at their rim, and keep (count,
    mean, sum of squared deviations) of the distances; the parts are merged by the pairwise formula of Chan,
    Golub and LeVeque (1983). Nothing large is ever subtracted but prices from each other, and equal values
    have exactly their value as mean and 0 as deviation.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped.
    first_bar : int
        Absolute number of row 0.
    window, least : int
        Bars per window, and how many of them must be valid.
    what : int
        ``MEAN``, ``DEVIATION`` (divisor n - 1) or ``ZSCORE`` (NaN where the deviation is 0).
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    # Slot p holds the end of the previous block from place p on; then an empty end; then the block so far.
    parts = np.zeros((window + 2, 4, columns))
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            parts[head] = 0.0
            for age in range(min(window, t)):
                slot = window - 1 - age
                _grow(x, t - 1 - age, parts, slot + 1, slot)
        _grow(x, t, parts, head, head)
        if t >= window - 1:
            _merge(x, t, parts, place + 1, head, least, what, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _grow(x: Any, t: int, parts: Any, source: int, target: int) -> None:
    """Add row t to each market's count, mean, squared deviations and centre, as Welford (1962) does."""
    for j in range(x.shape[1]):
        value = x[t, j]
        valid = not math.isnan(value)
        count, mean, square = parts[source, 0, j], parts[source, 1, j], parts[source, 2, j]
        center = parts[source, 3, j] if count > 0.0 else value
        away = value - center
        change = away - mean
        moved = mean + change / (count + 1.0)
        parts[target, 0, j] = count + 1.0 if valid else count
        parts[target, 1, j] = moved if valid else mean
        parts[target, 2, j] = square + change * (away - moved) if valid else square
        parts[target, 3, j] = center if valid else parts[source, 3, j]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _merge(x: Any, t: int, parts: Any, tail: int, head: int, least: int, what: int, out: Any) -> None:
    for j in range(x.shape[1]):
        before = parts[tail, 0, j]
        count = before + parts[head, 0, j]
        share = parts[head, 0, j] / count
        # All is measured from the centre of the tail; the z-score never needs the mean itself.
        center = parts[tail, 3, j] if before > 0.0 else parts[head, 3, j]
        apart = (parts[head, 3, j] - center) + (parts[head, 1, j] - parts[tail, 1, j])
        mean = parts[tail, 1, j] + apart * share
        result = center + mean
        if what != MEAN:
            square = parts[tail, 2, j] + parts[head, 2, j] + apart * apart * (before * share)
            deviation = math.sqrt(square / (count - 1.0))
            result = deviation
            if what == ZSCORE:
                away = (x[t, j] - center) - mean
                result = away / deviation if deviation > 0.0 else np.nan
        out[t, j] = result if count >= least else np.nan
