"""Changes from bar to bar: returns, log returns, true ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["log_changes", "relative_change", "scaled", "true_range"]


@njit(cache=True, nogil=True, error_model="numpy")
def relative_change(x: Any, bars: int) -> Any:
    """Return ``x[t] / x[t - bars] - 1``; NaN in the first `bars` rows and where either end is NaN or 0."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(bars, rows):
        for j in range(columns):
            before = x[t - bars, j]
            out[t, j] = x[t, j] / before - 1.0 if before != 0.0 else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def log_changes(x: Any) -> Any:
    """Return ``log(x[t] / x[t - 1])``; NaN in row 0 and where either end is NaN or not positive."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(1, rows):
        for j in range(columns):
            ratio = x[t, j] / x[t - 1, j]
            if ratio > 0.0 and x[t, j] > 0.0 and ratio < np.inf:
                out[t, j] = math.log(ratio)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def true_range(high: Any, low: Any, close: Any) -> Any:
    """Return the largest of high - low and the distances of both to the previous close; NaN in row 0."""
    rows, columns = close.shape
    out = np.full((rows, columns), np.nan)
    for t in range(1, rows):
        for j in range(columns):
            before = close[t - 1, j]
            up = abs(high[t, j] - before)
            down = abs(low[t, j] - before)
            widest = high[t, j] - low[t, j]
            widest = up if up > widest else widest
            widest = down if down > widest else widest
            valid = not (math.isnan(widest) or math.isnan(up) or math.isnan(down))
            out[t, j] = widest if valid else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def scaled(x: Any, factor: float) -> Any:
    """Return ``x * factor``."""
    rows, columns = x.shape
    out = np.empty((rows, columns))
    for t in range(rows):
        for j in range(columns):
            out[t, j] = x[t, j] * factor
    return out
