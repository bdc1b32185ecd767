"""Between grids: coarser bars from finer ones, and the latest value of a sparse column."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lab.core.compiled import njit

__all__ = ["FIRST", "HIGHEST", "LAST", "LOWEST", "SUM", "coarser_bars", "latest_in_window"]

FIRST: Final = 0
HIGHEST: Final = 1
LOWEST: Final = 2
LAST: Final = 3
SUM: Final = 4


@njit(cache=True, nogil=True, error_model="numpy")
def coarser_bars(x: Any, start: int, bars: int, ratio: int, least: int, how: int) -> Any:
    """Return `bars` coarser bars, made of `ratio` rows each, the first of which begins at row `start`.

    Each is the ``FIRST``, ``HIGHEST``, ``LOWEST`` or ``LAST`` valid value of its rows, or their ``SUM``; NaN
    where fewer than `least` are valid.
    """
    columns = x.shape[1]
    out = np.full((bars, columns), np.nan)
    for bar in range(bars):
        for j in range(columns):
            count, result = 0, 0.0
            for t in range(start + bar * ratio, start + (bar + 1) * ratio):
                value = x[t, j]
                if math.isnan(value):
                    continue
                if how == SUM:
                    result += value
                elif (
                    count == 0
                    or how == LAST
                    or (how == HIGHEST and value > result)
                    or (how == LOWEST and value < result)
                ):
                    result = value
                count += 1
            out[bar, j] = result if count >= least else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def latest_in_window(x: Any, window: int) -> Any:
    """Return the most recent valid value of each window, NaN where it has none."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    seen = np.full(columns, -1)
    for t in range(rows):
        for j in range(columns):
            if not math.isnan(x[t, j]):
                seen[j] = t
            if t >= window - 1 and seen[j] > t - window and seen[j] >= 0:
                out[t, j] = x[seen[j], j]
    return out
