"""All markets at one bar: ranks and z-scores that no order of the markets changes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.core.compiled import njit

__all__ = ["rank_in_row", "zscore_in_row"]


@njit(cache=True, nogil=True, error_model="numpy")
def rank_in_row(x: Any, least: int) -> Any:
    """Return the share of the other valid values of the row that lie below, equal ones counting half.

    NaN where the value is, or where fewer than `least` values of the row are valid.
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(rows):
        count = 0.0
        for j in range(columns):
            count += 0.0 if math.isnan(x[t, j]) else 1.0
        if count < least:
            continue
        for j in range(columns):
            value = x[t, j]
            below, equal = 0.0, 0.0
            for other in range(columns):
                below += 1.0 if x[t, other] < value else 0.0
                equal += 1.0 if x[t, other] == value else 0.0
            if equal > 0.0:
                out[t, j] = (below + 0.5 * (equal - 1.0)) / (count - 1.0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def zscore_in_row(x: Any, least: int) -> Any:
    """Return each value's distance from the mean of its row in sample deviations of the row.

    Values are added in ascending order, measured from the smallest. NaN as for :func:`rank_in_row`, and where
    all values are equal.
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    ordered = np.empty(columns)
    for t in range(rows):
        count = _sorted_row(x, t, ordered)
        if count < least:
            continue
        center = ordered[0]
        mean = 0.0
        for place in range(count):
            mean += ordered[place] - center
        mean /= count
        square = 0.0
        for place in range(count):
            square += ((ordered[place] - center) - mean) ** 2
        deviation = math.sqrt(square / (count - 1.0))
        if deviation > 0.0:
            for j in range(columns):
                out[t, j] = ((x[t, j] - center) - mean) / deviation
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _sorted_row(x: Any, t: int, ordered: Any) -> int:
    """Sort the valid values of row t into `ordered` and return how many there are."""
    count = 0
    for j in range(x.shape[1]):
        value = x[t, j]
        if math.isnan(value):
            continue
        place = count
        while place > 0 and ordered[place - 1] > value:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = value
        count += 1
    return count
