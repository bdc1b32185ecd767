"""Highest and lowest values over windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lab.core.compiled import njit
from lab.features.kernels.lanes import blank

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
    out = blank(rows, columns, window - 1)
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
    out = blank(rows, columns, window - 1)
    # Best value, its row, count of valid values: slots as in the other kernels, see lanes.
    tail = np.zeros((3, window + 2, columns))
    tail[0] = -np.inf
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            tail[:, head] = tail[:, window]
            for age in range(min(window, t)):
                slot = window - 1 - age
                _keep(x, t - 1 - age, sign, tail, slot + 1, slot)
        _replace(x, t, sign, tail, head)
        if t >= window - 1:
            for j in range(columns):
                newer, older = tail[1, head, j], tail[1, place + 1, j]
                at = newer if tail[0, head, j] >= tail[0, place + 1, j] else older
                out[t, j] = t - at
            for j in range(columns):
                age_, valid = out[t, j], tail[2, place + 1, j] + tail[2, head, j]
                out[t, j] = age_ if valid >= least else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _keep(x: Any, t: int, sign: float, parts: Any, source: int, target: int) -> None:
    """Set `target` to `source` and row t, which is older: an equal value does not replace the best."""
    for j in range(x.shape[1]):
        kept, best = parts[1, source, j], parts[0, source, j]
        parts[1, target, j] = float(t) if sign * x[t, j] > best else kept
    for j in range(x.shape[1]):
        value, best = sign * x[t, j], parts[0, source, j]
        parts[0, target, j] = value if value > best else best
    for j in range(x.shape[1]):
        parts[2, target, j] = parts[2, source, j] + (0.0 if math.isnan(x[t, j]) else 1.0)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _replace(x: Any, t: int, sign: float, parts: Any, head: int) -> None:
    """Add row t, which is newer, to `head`: an equal value replaces the best."""
    for j in range(x.shape[1]):
        kept, best = parts[1, head, j], parts[0, head, j]
        parts[1, head, j] = float(t) if sign * x[t, j] >= best else kept
    for j in range(x.shape[1]):
        value, best = sign * x[t, j], parts[0, head, j]
        parts[0, head, j] = value if value >= best else best
    for j in range(x.shape[1]):
        parts[2, head, j] = parts[2, head, j] + (0.0 if math.isnan(x[t, j]) else 1.0)
