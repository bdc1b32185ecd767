"""The compiled judge of bars: codes from windows that end at the bar before, whatever came earlier.

Every sum is taken afresh over its window and the median is exact, so a code depends on the window's bars
alone: marks of a short history and of a long one agree.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit

__all__ = ["BAD", "REASONS", "codes"]

# Bit i of a code is reason i; the first four make a bar BAD.
REASONS: Final = (
    "price",
    "ohlc",
    "negative_volume",
    "off_grid",
    "spike",
    "zero_volume",
    "low_volume",
    "no_volume",
    "outage",
    "filled",
)
BAD: Final = 0b1111
_PRICE: Final = 1
_OHLC: Final = 2
_NEGATIVE_VOLUME: Final = 4
_OFF_GRID: Final = 8
_SPIKE: Final = 16
_ZERO_VOLUME: Final = 32
_LOW_VOLUME: Final = 64
_NO_VOLUME: Final = 128


@njit(cache=True, nogil=True)
def _bad(open_: float, high: float, low: float, close: float, volume: float, tolerance: float) -> int:
    lowest = min(open_, high, low, close)
    total = open_ + high + low + close
    if not (lowest > 0.0 and total < np.inf):  # NaN and infinity fail too
        return _PRICE | (_NEGATIVE_VOLUME if volume < 0.0 else 0)
    code = 0
    if high < max(open_, close) * (1.0 - tolerance) or low > min(open_, close) * (1.0 + tolerance):
        code |= _OHLC
    if volume < 0.0 or volume == np.inf:
        code |= _NEGATIVE_VOLUME
    return code


@njit(cache=True, nogil=True)
def _insert(ordered: NDArray[np.float64], count: int, value: float) -> None:
    position = np.searchsorted(ordered[:count], value)
    for i in range(count, position, -1):
        ordered[i] = ordered[i - 1]
    ordered[position] = value


@njit(cache=True, nogil=True)
def _remove(ordered: NDArray[np.float64], count: int, value: float) -> None:
    position = np.searchsorted(ordered[:count], value)
    for i in range(position, count - 1):
        ordered[i] = ordered[i + 1]


@njit(cache=True, nogil=True)
def _volume_mark(volume: float, ordered: NDArray[np.float64], count: int, needed: int, share: float) -> int:
    if np.isnan(volume):
        return _NO_VOLUME
    if volume == 0.0:
        return _ZERO_VOLUME
    if count >= needed:
        median = 0.5 * (ordered[(count - 1) // 2] + ordered[count // 2])
        if volume < share * median:
            return _LOW_VOLUME
    return 0


@njit(cache=True, nogil=True)
def _mean_range(
    number: NDArray[np.int64],
    ranges: NDArray[np.float64],
    kept: int,
    oldest: int,
    needed: int,
) -> float:
    """Return the mean of the kept bars' true ranges from bar number `oldest` on; NaN if they are too few."""
    first = kept
    while first > 0 and number[first - 1] >= oldest:
        first -= 1
    if kept - first < needed:
        return np.nan
    total = 0.0
    for j in range(first, kept):
        total += ranges[j]
    return total / (kept - first)


@njit(cache=True, nogil=True)
def _market(
    number: NDArray[np.int64],
    on_grid: NDArray[np.bool_],
    bars: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    sizes: NDArray[np.int64],
    code: NDArray[np.int64],
) -> None:
    """Judge one market's bars, sorted by time; `bars` is (5, n): open, high, low, close, volume."""
    n = len(number)
    # Bars that are not BAD: their numbers, true ranges and volumes. Statistics know no others.
    known, ranges, volumes = np.empty(n, np.int64), np.empty(n, np.float64), np.empty(n, np.float64)
    ordered = np.empty(sizes[2] + 1, np.float64)  # the volumes of the window, sorted
    kept, counted, oldest, before = 0, 0, 0, np.nan
    for i in range(n):
        high, low, close, volume = bars[1, i], bars[2, i], bars[3, i], bars[4, i]
        fault = _bad(bars[0, i], high, low, close, volume, thresholds[0])
        if fault or not on_grid[i]:
            code[i] = fault if on_grid[i] else fault | _OFF_GRID
            continue
        while oldest < kept and known[oldest] < number[i] - sizes[2]:
            if not np.isnan(volumes[oldest]):
                _remove(ordered, counted, volumes[oldest])
                counted -= 1
            oldest += 1
        mark = _volume_mark(volume, ordered, counted, sizes[3], thresholds[2])
        span = high - low
        # The close before: across one missing bar it is the filled one; farther back it is unknown.
        if kept > 0 and number[i] - known[kept - 1] <= 2:
            span = max(span, abs(high - before), abs(low - before))
            mean = _mean_range(known, ranges, kept, number[i] - sizes[0], sizes[1])
            if abs(close - before) > thresholds[1] * mean:  # false for NaN
                mark |= _SPIKE
        code[i] = mark
        known[kept], ranges[kept], volumes[kept], before = number[i], span, volume, close
        kept += 1
        if not np.isnan(volume):
            _insert(ordered, counted, volume)
            counted += 1


@njit(cache=True, nogil=True)
def codes(
    starts: NDArray[np.int64],
    number: NDArray[np.int64],
    on_grid: NDArray[np.bool_],
    bars: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    sizes: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the reason bits of every bar.

    Parameters
    ----------
    starts : ndarray of int64, shape (markets + 1,)
        Row at which each market begins; the last entry is n.
    number : ndarray of int64, shape (n,)
        Bar numbers, rising within a market.
    on_grid : ndarray of bool, shape (n,)
        Whether the bar opens on the grid.
    bars : ndarray of float64, shape (5, n)
        Open, high, low, close, volume; NaN where null.
    thresholds : ndarray of float64
        ``ohlc_tolerance, spike_atr_multiple, low_volume_share``.
    sizes : ndarray of int64
        ATR bars and how many are needed, volume bars and how many are needed.
    """
    code = np.zeros(len(number), np.int64)
    for m in range(len(starts) - 1):
        a, b = starts[m], starts[m + 1]
        _market(number[a:b], on_grid[a:b], bars[:, a:b], thresholds, sizes, code[a:b])
    return code
