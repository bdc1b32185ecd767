"""Highest and lowest values over windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["age_of_extreme", "highest_in_window", "lowest_in_window"]


@njit(cache=True, nogil=True, error_model="numpy")
def highest_in_window(x: Any, first_bar: int, window: int, least: int) -> Any:
    """Return the largest valid value of each window, NaN where fewer than `least` are valid."""
    return _extreme(x, first_bar, window, least, 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def lowest_in_window(x: Any, first_bar: int, window: int, least: int) -> Any:
    """Return the smallest valid value of each window, NaN where fewer than `least` are valid."""
    return _extreme(x, first_bar, window, least, -1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _extreme(x: Any, first_bar: int, window: int, least: int, sign: float) -> Any:
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    tail_best = np.full((window + 1, columns), -np.inf)
    tail_count = np.zeros((window + 1, columns))
    head_best = np.full(columns, -np.inf)
    head_count = np.zeros(columns)
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            head_best[:] = -np.inf
            head_count[:] = 0.0
            for q in range(min(window, t)):
                at = window - 1 - q
                for j in range(columns):
                    value = sign * x[t - 1 - q, j]
                    best = tail_best[at + 1, j]
                    tail_best[at, j] = value if value > best else best
                    tail_count[at, j] = tail_count[at + 1, j] + (1.0 if not math.isnan(value) else 0.0)
        for j in range(columns):
            value = sign * x[t, j]
            head_best[j] = value if value > head_best[j] else head_best[j]
            head_count[j] += 1.0 if not math.isnan(value) else 0.0
        if t >= window - 1:
            for j in range(columns):
                best = tail_best[place + 1, j]
                best = head_best[j] if head_best[j] > best else best
                enough = tail_count[place + 1, j] + head_count[j] >= least
                out[t, j] = sign * best if enough else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def age_of_extreme(x: Any, first_bar: int, window: int, least: int, sign: float) -> Any:
    """Return how many bars ago the largest (`sign` 1) or smallest (-1) value of each window was.

    Of equal values the most recent counts; NaN where fewer than `least` are valid.
    """
    rows, columns = x.shape
    out = np.full((rows, columns), np.nan)
    # Best value, its row, count of valid values: of the end of the previous block, and of the block so far.
    tail = np.zeros((window + 1, 3, columns))
    tail[:, 0] = -np.inf
    head = tail[window].copy()
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            head[:] = tail[window]
            for age in range(min(window, t)):
                slot = window - 1 - age
                for j in range(columns):
                    value = sign * x[t - 1 - age, j]
                    better = value > tail[slot + 1, 0, j]
                    tail[slot, 0, j] = value if better else tail[slot + 1, 0, j]
                    tail[slot, 1, j] = t - 1.0 - age if better else tail[slot + 1, 1, j]
                    tail[slot, 2, j] = tail[slot + 1, 2, j] + (0.0 if math.isnan(value) else 1.0)
        for j in range(columns):
            value = sign * x[t, j]
            better = value >= head[0, j]
            head[0, j] = value if better else head[0, j]
            head[1, j] = float(t) if better else head[1, j]
            head[2, j] += 0.0 if math.isnan(value) else 1.0
        if t >= window - 1:
            for j in range(columns):
                newer = head[0, j] >= tail[place + 1, 0, j]
                at = head[1, j] if newer else tail[place + 1, 1, j]
                enough = tail[place + 1, 2, j] + head[2, j] >= least
                out[t, j] = t - at if enough else np.nan
    return out
