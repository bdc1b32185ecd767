"""Two columns over windows: correlation and regression of one on the other."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lab.core.compiled import njit
from lab.features.kernels.lanes import (
    add_away,
    add_product,
    add_valid,
    blank,
    count_of_parts,
    keep_first,
    product_of_parts,
    rim,
    shifts,
    spread_of_parts,
    sum_of_parts,
)

__all__ = ["BETA", "CORRELATION", "pairs_of_window"]

CORRELATION: Final = 0
BETA: Final = 1


@njit(cache=True, nogil=True, error_model="numpy")
def pairs_of_window(x: Any, y: Any, first_bar: int, window: int, least: int, what: int) -> Any:
    """Return the correlation of `x` and `y`, or the slope of `x` on `y`, in each window.

    Both parts of a window sum distances, squares and products measured from the pair at their rim. That pair
    lies inside the window, so that of the digits of a double at most ``log2(2 * window)`` bits are lost.

    Parameters
    ----------
    x, y : ndarray of float64, shape (T, N)
        Values; NaN at the same bars.
    first_bar : int
        Absolute number of row 0.
    window, least : int
        Bars per window, and how many pairs must be valid.
    what : int
        ``CORRELATION`` (in [-1, 1]; NaN where a column is constant) or ``BETA`` (NaN where `y` is).
    """
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
    parts = np.zeros((6, window + 2, columns))
    # Centres of x and y, of the tail (0, 1) and of the head (2, 3).
    centers, work = np.zeros((4, columns)), np.empty((8, columns))
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            parts[:, head] = 0.0
            rim(x, t, min(window, t), centers, 0)
            rim(y, t, min(window, t), centers, 1)
            for age in range(min(window, t)):
                slot = window - 1 - age
                _grow(x, y, t - 1 - age, centers, 0, parts, slot + 1, slot)
        keep_first(x, t, parts, head, centers, 2)
        keep_first(y, t, parts, head, centers, 3)
        _grow(x, y, t, centers, 2, parts, head, head)
        if t >= window - 1:
            _merge(parts, place + 1, head, centers, work)
            _finish(work, least, what, out, t)
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _grow(x: Any, y: Any, t: int, centers: Any, c: int, parts: Any, source: int, target: int) -> None:
    """Add row t to count and the sums of x, y, xx, yy and xy, all measured from the centres."""
    add_valid(x, t, parts, source, target)
    add_away(x, t, centers, c, 1.0, parts, 1, source, target)
    add_away(y, t, centers, c + 1, 1.0, parts, 2, source, target)
    add_product(x, x, t, centers, c, c, parts, 3, source, target)
    add_product(y, y, t, centers, c + 1, c + 1, parts, 4, source, target)
    add_product(x, y, t, centers, c, c + 1, parts, 5, source, target)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _merge(parts: Any, tail: int, head: int, centers: Any, work: Any) -> None:
    """Set `work` to shifts (0, 1), sums (2, 3), spreads (4, 5), sum of products (6) and count (7)."""
    shifts(parts, tail, centers, 0, 2, work, 0)
    shifts(parts, tail, centers, 1, 3, work, 1)
    for to in (4, 5, 7):
        count_of_parts(parts, tail, head, work, to)
    sum_of_parts(parts, 1, 0, tail, head, work, 0, 2)
    sum_of_parts(parts, 2, 0, tail, head, work, 1, 3)
    spread_of_parts(parts, 3, 1, tail, head, work, 0, 2, 4)
    spread_of_parts(parts, 4, 2, tail, head, work, 1, 3, 5)
    product_of_parts(parts, 5, tail, head, work, 6)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _finish(work: Any, least: int, what: int, out: Any, t: int) -> None:
    for j in range(work.shape[1]):
        count = work[7, j]
        joint = work[6, j] - work[2, j] * work[3, j] / count
        out[t, j] = joint if count >= least else np.nan
    if what == CORRELATION:
        for j in range(work.shape[1]):
            both = math.sqrt(work[4, j]) * math.sqrt(work[5, j])
            result = out[t, j] / both
            result = 1.0 if result > 1.0 else result
            result = -1.0 if result < -1.0 else result
            out[t, j] = result if both > 0.0 else np.nan
    else:
        for j in range(work.shape[1]):
            result = out[t, j] / work[5, j]
            out[t, j] = result if work[5, j] > 0.0 else np.nan
