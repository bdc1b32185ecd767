"""Straight lines through windows: linearly weighted means, slopes and end points of regressions."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lab.core.compiled import njit
from lab.features.kernels.lanes import (
    add_away,
    add_valid,
    blank,
    count_of_parts,
    keep_first,
    rim,
    shifts,
    sum_of_parts,
)

__all__ = ["ENDPOINT", "SLOPE", "WEIGHTED_MEAN", "line_of_window"]

WEIGHTED_MEAN: Final = 0
SLOPE: Final = 1
ENDPOINT: Final = 2


@njit(cache=True, nogil=True, error_model="numpy")
def line_of_window(x: Any, first_bar: int, window: int, least: int, what: int) -> Any:
    """Return a linearly weighted mean, or the least-squares line against time, of each window.

    Time is counted from the border between two blocks, values are distances from the valid value at the rim
    of their part; sums of both parts are added after a shift to one centre. Sums of times are exact.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped and keeps its place in time.
    first_bar : int
        Absolute number of row 0.
    window, least : int
        Bars per window, and how many of them must be valid.
    what : int
        ``WEIGHTED_MEAN`` (weights `window` for bar t down to 1, normalised over valid bars), ``SLOPE`` (per
        bar) or ``ENDPOINT`` (the line at bar t).
    """
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
    parts = np.zeros((5, window + 2, columns))
    centers, work = np.zeros((2, columns)), np.empty((6, columns))
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            parts[:, head] = 0.0
            rim(x, t, min(window, t), centers, 0)
            for age in range(min(window, t)):
                slot = window - 1 - age
                _grow(x, t - 1 - age, centers, 0, -1.0 - age, parts, slot + 1, slot)
        keep_first(x, t, parts, head, centers, 1)
        _grow(x, t, centers, 1, float(place), parts, head, head)
        if t >= window - 1:
            tail = place + 1
            shifts(parts, tail, centers, 0, 1, work, 0)
            sum_of_parts(parts, 3, 0, tail, head, work, 0, 1)
            sum_of_parts(parts, 4, 1, tail, head, work, 0, 2)
            count_of_parts(parts, tail, head, work, 3)
            for j in range(columns):
                work[4, j] = parts[1, tail, j] + parts[1, head, j]
            if what == WEIGHTED_MEAN:
                _weighted_mean(float(window - place), work, out, t)
            else:
                _fit(float(place), parts, tail, head, work, what, out, t)
            for j in range(columns):
                first, second, result = centers[0, j], centers[1, j], out[t, j]
                center = first if parts[0, tail, j] > 0.0 else second
                result += 0.0 if what == SLOPE else center
                out[t, j] = result if work[3, j] >= least else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _grow(x: Any, t: int, centers: Any, c: int, time: float, parts: Any, source: int, target: int) -> None:
    """Add row t to count, sums of time, of time squared, of distance, and of time x distance."""
    add_valid(x, t, parts, source, target)
    for j in range(x.shape[1]):
        parts[1, target, j] = parts[1, source, j] + (0.0 if math.isnan(x[t, j]) else time)
    for j in range(x.shape[1]):
        parts[2, target, j] = parts[2, source, j] + (0.0 if math.isnan(x[t, j]) else time * time)
    add_away(x, t, centers, c, 1.0, parts, 3, source, target)
    add_away(x, t, centers, c, time, parts, 4, source, target)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _weighted_mean(first: float, work: Any, out: Any, t: int) -> None:
    """Set row t to the mean with weight ``first + time``, from the centre of the tail."""
    for j in range(work.shape[1]):
        out[t, j] = (first * work[1, j] + work[2, j]) / (first * work[3, j] + work[4, j])


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _fit(place: float, parts: Any, tail: int, head: int, work: Any, what: int, out: Any, t: int) -> None:
    """Set row t to the slope of the line, or to its distance from the centre of the tail at bar t."""
    for j in range(work.shape[1]):
        times = work[4, j]
        work[5, j] = (parts[2, tail, j] + parts[2, head, j]) - times * times / work[3, j]
    for j in range(work.shape[1]):
        count, times, away = work[3, j], work[4, j], work[1, j]
        slope = (work[2, j] - times * away / count) / work[5, j]
        end = away / count + slope * (place - times / count)
        out[t, j] = slope if what == SLOPE else end
