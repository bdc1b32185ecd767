"""Totals, means and deviations over windows."""

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
    rim,
    shifts,
    spread_of_parts,
    sum_of_parts,
)

__all__ = [
    "DEVIATION",
    "POPULATION_DEVIATION",
    "POPULATION_ZSCORE",
    "RELATIVE_DEVIATION",
    "VARIANCE",
    "ZSCORE",
    "mean_of_window",
    "moments_of_window",
    "total_of_window",
]

DEVIATION: Final = 1
ZSCORE: Final = 2
VARIANCE: Final = 3
POPULATION_DEVIATION: Final = 4
POPULATION_ZSCORE: Final = 5
RELATIVE_DEVIATION: Final = 6

# Up to so many markets a loop over the bars of one is faster than a loop over the markets of a bar.
_FEW: Final = 12


@njit(cache=True, nogil=True, error_model="numpy")
def total_of_window(x: Any, first_bar: int, window: int, least: int) -> Any:
    """Return the sum of the valid values in each window, NaN where fewer than `least` are valid."""
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
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
def mean_of_window(x: Any, first_bar: int, window: int, least: int) -> Any:
    """Return the mean of the valid values in each window, NaN where fewer than `least` are valid.

    Both parts of a window sum the distances from a centre, the valid value at their rim: equal values have
    exactly their value as mean, and large prices that hardly move keep their digits.
    """
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
    if columns <= _FEW and least <= window and _complete(x):
        _mean_of_complete(x, first_bar, window, out)
        return out
    if columns == 1:
        _mean_of_one(x, first_bar, window, least, out)
        return out
    parts = np.zeros((2, window + 2, columns))
    centers, work = np.zeros((2, columns)), np.empty((2, columns))
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            parts[:, head] = 0.0
            rim(x, t, min(window, t), centers, 0)
            for age in range(min(window, t)):
                slot = window - 1 - age
                add_valid(x, t - 1 - age, parts, slot + 1, slot)
                add_away(x, t - 1 - age, centers, 0, 1.0, parts, 1, slot + 1, slot)
        keep_first(x, t, parts, head, centers, 1)
        add_valid(x, t, parts, head, head)
        add_away(x, t, centers, 1, 1.0, parts, 1, head, head)
        if t >= window - 1:
            tail = place + 1
            shifts(parts, tail, centers, 0, 1, work, 0)
            sum_of_parts(parts, 1, 0, tail, head, work, 0, 1)
            for j in range(columns):
                before, away = parts[0, tail, j], work[1, j]
                count = before + parts[0, head, j]
                first, second = centers[0, j], centers[1, j]
                mean = (first if before > 0.0 else second) + away / count
                out[t, j] = mean if count >= least else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _complete(x: Any) -> bool:
    every, missing = x.reshape(-1), 0
    for k in range(every.shape[0]):
        missing += math.isnan(every[k])
    return missing == 0


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_of_complete(x: Any, first_bar: int, window: int, out: Any) -> None:
    """Write the means where no value is missing: the same sums, market by market, without counting."""
    tail = np.zeros(window + 1)
    for j in range(x.shape[1]):
        tail[:] = 0.0
        first, start = 0.0, 0
        while start < x.shape[0]:
            place = (first_bar + start) % window
            end = start + window - place
            if place == 0 and start > 0:
                first, total = x[start - 1, j], 0.0
                for age in range(min(window, start)):
                    total += x[start - 1 - age, j] - first
                    tail[window - 1 - age] = total
            second, total, count = x[start, j], 0.0, 0.0
            for t in range(start, min(end - 1, x.shape[0])):
                total += x[t, j] - second
                count += 1.0
                place += 1
                if t >= window - 1:
                    out[t, j] = first + (tail[place] + (total + count * (second - first))) / window
            # The last place of a block has no tail, and its own rim as centre.
            if window <= end <= x.shape[0]:
                out[end - 1, j] = second + (total + (x[end - 1, j] - second)) / window
            start = end


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_of_one(x: Any, first_bar: int, window: int, least: int, out: Any) -> None:
    """Write the means of a single market: the same sums, in numbers instead of rows."""
    tail_sum, tail_count = np.zeros(window + 1), np.zeros(window + 1)
    first, second, head_sum, head_count = np.nan, np.nan, 0.0, 0.0
    place = first_bar % window
    for t in range(x.shape[0]):
        if place == 0:
            first, head_sum, head_count = np.nan, 0.0, 0.0
            for age in range(min(window, t)):
                value, slot = x[t - 1 - age, 0], window - 1 - age
                valid = not math.isnan(value)
                first = value if math.isnan(first) else first
                tail_sum[slot] = tail_sum[slot + 1] + (value - first if valid else 0.0)
                tail_count[slot] = tail_count[slot + 1] + (1.0 if valid else 0.0)
        value = x[t, 0]
        valid = not math.isnan(value)
        second = value if head_count == 0.0 else second
        head_sum += value - second if valid else 0.0
        head_count += 1.0 if valid else 0.0
        place += 1
        if t >= window - 1:
            before = tail_count[place]
            way = second - first
            shift = way if before > 0.0 and not math.isnan(way) else 0.0
            count = before + head_count
            away = tail_sum[place] + (head_sum + head_count * shift)
            mean = (first if before > 0.0 else second) + away / count
            out[t, 0] = mean if count >= least else np.nan
        place = 0 if place == window else place


@njit(cache=True, nogil=True, error_model="numpy")
def moments_of_window(x: Any, first_bar: int, window: int, least: int, what: int) -> Any:
    """Return a deviation, the variance or the z-score of each window.

    Both parts of a window sum distances and squares of distances from a centre, the valid value at their rim.
    The centre is one of the values, so that at most ``log2(2 * window)`` bits of a double are lost whatever
    the magnitude (Chan, Golub, LeVeque 1983), and equal values have exactly 0 as deviation.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped.
    first_bar : int
        Absolute number of row 0.
    window, least : int
        Bars per window, and how many of them must be valid.
    what : int
        ``DEVIATION``, ``VARIANCE`` or ``ZSCORE`` (divisor n - 1); ``POPULATION_DEVIATION`` and
        ``POPULATION_ZSCORE`` (divisor n); ``RELATIVE_DEVIATION``, the population's over the mean. A z-score
        is NaN where the deviation is 0.
    """
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
    parts = np.zeros((3, window + 2, columns))
    centers, work = np.zeros((2, columns)), np.empty((4, columns))
    head = window + 1
    for t in range(rows):
        place = (first_bar + t) % window
        if place == 0:
            parts[:, head] = 0.0
            rim(x, t, min(window, t), centers, 0)
            for age in range(min(window, t)):
                slot = window - 1 - age
                _grow(x, t - 1 - age, centers, 0, parts, slot + 1, slot)
        keep_first(x, t, parts, head, centers, 1)
        _grow(x, t, centers, 1, parts, head, head)
        if t >= window - 1:
            tail = place + 1
            shifts(parts, tail, centers, 0, 1, work, 0)
            sum_of_parts(parts, 1, 0, tail, head, work, 0, 1)
            count_of_parts(parts, tail, head, work, 2)
            count_of_parts(parts, tail, head, work, 3)
            spread_of_parts(parts, 2, 1, tail, head, work, 0, 1, 2)
            _finish(x, t, centers, parts, tail, work, least, what, out)
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _grow(x: Any, t: int, centers: Any, c: int, parts: Any, source: int, target: int) -> None:
    """Add row t to each market's count, sum of distances and sum of squares."""
    add_valid(x, t, parts, source, target)
    add_away(x, t, centers, c, 1.0, parts, 1, source, target)
    add_product(x, x, t, centers, c, c, parts, 2, source, target)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _finish(
    x: Any, t: int, centers: Any, parts: Any, tail: int, work: Any, least: int, what: int, out: Any
) -> None:
    """Turn sums of distances (work[1]), of squares (work[2]) and counts (work[3]) into the result."""
    columns = x.shape[1]
    less = 0.0 if what >= POPULATION_DEVIATION else 1.0
    for j in range(columns):
        count = work[3, j]
        variance = work[2, j] / (count - less)
        out[t, j] = variance if count >= least else np.nan
    if what != VARIANCE:
        for j in range(columns):
            out[t, j] = math.sqrt(out[t, j])
    if what == RELATIVE_DEVIATION:
        for j in range(columns):
            first, second = centers[0, j], centers[1, j]
            center = first if parts[0, tail, j] > 0.0 else second
            out[t, j] = out[t, j] / (center + work[1, j] / work[3, j])
    if what in (ZSCORE, POPULATION_ZSCORE):
        for j in range(columns):
            first, second, deviation = centers[0, j], centers[1, j], out[t, j]
            center = first if parts[0, tail, j] > 0.0 else second
            score = ((x[t, j] - center) - work[1, j] / work[3, j]) / deviation
            out[t, j] = score if deviation > 0.0 else np.nan
