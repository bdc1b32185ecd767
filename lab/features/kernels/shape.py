"""Shape of the values in windows: mean absolute deviation, skewness, kurtosis."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from lab.core.compiled import njit
from lab.features.kernels.lanes import add_away, add_valid, blank, rim

__all__ = ["ABSOLUTE_DEVIATION", "DEVIATIONS_AWAY", "KURTOSIS", "SKEWNESS", "shape_of_window"]

ABSOLUTE_DEVIATION: Final = 0
SKEWNESS: Final = 1
KURTOSIS: Final = 2
DEVIATIONS_AWAY: Final = 3


@njit(cache=True, nogil=True, error_model="numpy")
def shape_of_window(x: Any, window: int, least: int, what: int) -> Any:
    """Return a central moment of each window, in two passes over the window.

    A bar costs work in proportion to the window: the absolute deviation is from a mean that moves with every
    bar, so that no sums can be kept, and third and fourth powers lose the more digits the farther from the
    mean they are summed.

    Parameters
    ----------
    x : ndarray of float64, shape (T, N)
        Values; NaN is skipped.
    window, least : int
        Bars per window, and how many of them must be valid.
    what : int
        ``ABSOLUTE_DEVIATION`` from the mean, ``DEVIATIONS_AWAY`` (distance of row t from the mean over that;
        NaN where it is 0), ``SKEWNESS`` (m3 / m2 ** 1.5) or ``KURTOSIS`` (m4 / m2 ** 2, 3
        for a normal distribution), moments with divisor n; the last two are NaN where the values are equal.
    """
    rows, columns = x.shape
    out = blank(rows, columns, window - 1)
    sums = np.empty((4, 1, columns))  # count, distances, low powers, high powers
    center = np.empty((1, columns))
    for t in range(window - 1, rows):
        sums[:] = 0.0
        rim(x, t + 1, window, center, 0)
        for age in range(window):
            add_valid(x, t - age, sums, 0, 0)
            add_away(x, t - age, center, 0, 1.0, sums, 1, 0, 0)
        for j in range(columns):
            sums[1, 0, j] = sums[1, 0, j] / sums[0, 0, j]
        for age in range(window):
            _add_powers(x, t - age, center, sums, what)
        for j in range(columns):
            count, low = sums[0, 0, j], sums[2, 0, j]
            low = low / count if count >= least else np.nan
            high = sums[3, 0, j] / count
            scale = low * low if what == KURTOSIS else low * math.sqrt(low)
            ratio = high / scale
            ratio = ratio if low > 0.0 else np.nan
            out[t, j] = low if what == ABSOLUTE_DEVIATION else ratio
        if what == DEVIATIONS_AWAY:
            for j in range(columns):
                away, low = (x[t, j] - center[0, j]) - sums[1, 0, j], sums[2, 0, j] / sums[0, 0, j]
                enough = low > 0.0 and sums[0, 0, j] >= least
                away = away / low
                out[t, j] = away if enough else np.nan
    return out


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _add_powers(x: Any, t: int, center: Any, sums: Any, what: int) -> None:
    """Add absolute or second powers of the distances from the mean to sum 2, third or fourth to sum 3."""
    columns = x.shape[1]
    if what in (ABSOLUTE_DEVIATION, DEVIATIONS_AWAY):
        for j in range(columns):
            away = abs((x[t, j] - center[0, j]) - sums[1, 0, j])
            sums[2, 0, j] += 0.0 if math.isnan(away) else away
        return
    for j in range(columns):
        away = (x[t, j] - center[0, j]) - sums[1, 0, j]
        sums[2, 0, j] += 0.0 if math.isnan(away) else away * away
    if what == SKEWNESS:
        for j in range(columns):
            away = (x[t, j] - center[0, j]) - sums[1, 0, j]
            sums[3, 0, j] += 0.0 if math.isnan(away) else away * away * away
    else:
        for j in range(columns):
            square = ((x[t, j] - center[0, j]) - sums[1, 0, j]) ** 2
            sums[3, 0, j] += 0.0 if math.isnan(square) else square * square
