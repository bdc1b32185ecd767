"""Highest and lowest values over windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["highest_in_window", "lowest_in_window"]


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
