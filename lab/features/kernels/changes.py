"""Changes from bar to bar: returns, log returns, true ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.core.compiled import njit
from lab.features.kernels.lanes import blank

__all__ = [
    "directional_movement",
    "log_changes",
    "log_ratio",
    "moves",
    "place_between",
    "relative_change",
    "scaled",
    "share_of_sum",
    "signed_volume",
    "true_range",
    "typical_price",
]


@njit(cache=True, nogil=True, error_model="numpy")
def relative_change(x: Any, bars: int) -> Any:
    """Return ``x[t] / x[t - bars] - 1``; NaN in the first `bars` rows and where either end is NaN or 0."""
    rows, columns = x.shape
    out = blank(rows, columns, bars)
    for t in range(bars, rows):
        for j in range(columns):
            before = x[t - bars, j]
            out[t, j] = x[t, j] / before - 1.0 if before != 0.0 else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def log_changes(x: Any, bars: int) -> Any:
    """Return ``log(x[t] / x[t - bars])``; NaN in the first rows and where an end is NaN or not positive."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(bars, rows):
        for j in range(columns):
            ratio = x[t, j] / x[t - bars, j]
            if ratio > 0.0 and x[t, j] > 0.0 and ratio < np.inf:
                out[t, j] = math.log(ratio)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def true_range(high: Any, low: Any, close: Any) -> Any:
    """Return the largest of high - low and the distances of both to the previous close; NaN in row 0."""
    rows, columns = close.shape
    out = blank(rows, columns, 1)
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


@njit(cache=True, nogil=True, error_model="numpy")
def log_ratio(x: Any, y: Any) -> Any:
    """Return ``log(x / y)``; NaN where either is NaN or not positive."""
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    for t in range(rows):
        for j in range(columns):
            ratio = x[t, j] / y[t, j]
            if ratio > 0.0 and x[t, j] > 0.0 and ratio < np.inf:
                out[t, j] = math.log(ratio)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def moves(x: Any, sign: float) -> Any:
    """Return the part of ``sign * (x[t] - x[t - 1])`` above 0, else 0; NaN in row 0 and where an end is."""
    rows, columns = x.shape
    out = blank(rows, columns, 1)
    for t in range(1, rows):
        for j in range(columns):
            move = sign * (x[t, j] - x[t - 1, j])
            out[t, j] = 0.0 if move <= 0.0 else move
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def directional_movement(high: Any, low: Any, sign: float) -> Any:
    """Return Wilder's directional movement, up for `sign` 1 and down for -1; NaN where an end is missing."""
    rows, columns = high.shape
    out = blank(rows, columns, 1)
    for t in range(1, rows):
        for j in range(columns):
            up = high[t, j] - high[t - 1, j]
            down = low[t - 1, j] - low[t, j]
            ours = up if sign > 0.0 else down
            other = down if sign > 0.0 else up
            moved = ours if ours > other and ours > 0.0 else 0.0
            out[t, j] = np.nan if math.isnan(up) or math.isnan(down) else moved
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def signed_volume(price: Any, volume: Any) -> Any:
    """Return the volume with the sign of the price change, 0 without one; NaN where an end is missing."""
    rows, columns = price.shape
    out = blank(rows, columns, 1)
    for t in range(1, rows):
        for j in range(columns):
            change = price[t, j] - price[t - 1, j]
            flow = volume[t, j] if change > 0.0 else -volume[t, j]
            flow = 0.0 if change == 0.0 else flow
            out[t, j] = np.nan if math.isnan(change) or math.isnan(volume[t, j]) else flow
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def typical_price(high: Any, low: Any, close: Any) -> Any:
    """Return the mean of high, low and close."""
    rows, columns = close.shape
    out = np.empty((rows, columns))
    for t in range(rows):
        for j in range(columns):
            out[t, j] = (high[t, j] + low[t, j] + close[t, j]) / 3.0
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def place_between(x: Any, low: Any, high: Any) -> Any:
    """Return where `x` lies between `low` (0) and `high` (1); NaN where the two are equal."""
    rows, columns = x.shape
    out = np.empty((rows, columns))
    for t in range(rows):
        for j in range(columns):
            span = high[t, j] - low[t, j]
            place = (x[t, j] - low[t, j]) / span
            out[t, j] = place if span > 0.0 else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def share_of_sum(x: Any, y: Any, difference: bool) -> Any:
    """Return ``x / (x + y)``, or ``abs(x - y) / (x + y)``; NaN where the sum is 0."""
    rows, columns = x.shape
    out = np.empty((rows, columns))
    for t in range(rows):
        for j in range(columns):
            part = abs(x[t, j] - y[t, j]) if difference else x[t, j]
            out[t, j] = part / (x[t, j] + y[t, j])
    return out
