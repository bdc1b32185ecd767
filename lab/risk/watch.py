"""What limits with layers look at, bar by bar: moves, traded values, trouble, and who wants what."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.state import MARK, TROUBLE, VOLATILITY, VOLUME, RiskState

__all__ = ["MEASURE_BARS", "NO_WATCH", "Watch", "look", "measures"]

Figures = NDArray[np.float64]

# Bars that volatility and mean traded value are taken over, and how many must be known.
MEASURE_BARS: Final = 20
_LEAST_KNOWN: Final = 10


class Watch(NamedTuple):
    """Rows known at the close of each bar; read-only, and empty where nothing is to be looked at.

    Attributes
    ----------
    markets : ndarray of float64, shape (T, 3, N)
        Volatility, mean traded value and trouble: see :class:`lab.risk.RiskState`.
    parts : ndarray of float64, shape (T, K, N)
        What each instance wants of the target decided at that close; NaN: what it holds.
    """

    markets: Figures
    parts: Figures


def _empty() -> Figures:
    table = np.zeros((0, 0, 0))
    table.flags.writeable = False
    return table


NO_WATCH: Final = Watch(_empty(), _empty())


@njit(cache=True, nogil=True)
def look(t: int, decided: int, mark: Figures, watch: Watch, state: RiskState) -> None:
    """Write into `state` what is to be seen at bar `t`, whose weights were decided at bar `decided`."""
    for i in range(state.markets.shape[1]):
        state.markets[MARK, i] = mark[t, i]
        known = watch.markets.shape[0] > 0
        state.markets[VOLATILITY, i] = watch.markets[decided, 0, i] if known else np.nan
        state.markets[VOLUME, i] = watch.markets[decided, 1, i] if known else np.nan
        state.markets[TROUBLE, i] = watch.markets[decided, 2, i] if known else 0.0
    for k in range(state.parts.shape[0]):
        for i in range(state.parts.shape[1]):
            state.parts[k, i] = watch.parts[decided, k, i] if watch.parts.shape[0] > 0 else np.nan


def measures(close: Figures, volume: Figures, bars_per_day: float) -> tuple[Figures, Figures]:
    """Return how much markets move in a day and trade in a bar, as known at each bar's close.

    Parameters
    ----------
    close, volume : ndarray of float64, shape (T, N)
        As received; NaN where there is no bar.
    bars_per_day : float
        Of the timeframe.

    Returns
    -------
    volatility : ndarray of float64, shape (T, N)
        Standard deviation of the last 20 one-bar log returns, times the root of `bars_per_day`. NaN where
        fewer than 10 are known. Row t depends on the closes of rows t - 20 to t alone, to the last bit.
    volume : ndarray of float64, shape (T, N)
        Mean of close x volume over the last 20 bars. NaN where fewer than 10 are known.

    Examples
    --------
    >>> volatility, traded = measures(np.full((12, 1), 2.0), np.full((12, 1), 3.0), 1.0)
    >>> volatility[[8, 11], 0], traded[[8, 11], 0]
    (array([nan,  0.]), array([nan,  6.]))
    """
    root = float(np.sqrt(bars_per_day))
    return _measures(np.ascontiguousarray(close), np.ascontiguousarray(volume), root)


@njit(cache=True, nogil=True, error_model="numpy")
def _measures(close: Figures, volume: Figures, root: float) -> tuple[Figures, Figures]:
    rows, columns = close.shape
    moved, traded = np.full(close.shape, np.nan), np.full(close.shape, np.nan)
    change, value = np.full(rows, np.nan), np.empty(rows)
    changes, values = np.empty(MEASURE_BARS), np.empty(MEASURE_BARS)
    for i in range(columns):
        for t in range(rows):
            value[t] = close[t, i] * volume[t, i]
            if t > 0:
                change[t] = np.log(close[t, i] / close[t - 1, i])
            known = _recent(change, t, changes)
            if known >= _LEAST_KNOWN:
                moved[t, i] = _deviation(changes, known) * root
            found = _recent(value, t, values)
            if found >= _LEAST_KNOWN:
                total = 0.0
                for k in range(found):
                    total += values[k]
                traded[t, i] = total / found
    return moved, traded


@njit(cache=True, nogil=True, error_model="numpy")
def _recent(series: Figures, t: int, known: Figures) -> int:
    """Copy what is known of the last bars up to `t`, in order; return how many are."""
    count = 0
    for s in range(max(t - MEASURE_BARS + 1, 0), t + 1):
        if np.isfinite(series[s]):
            known[count] = series[s]
            count += 1
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _deviation(values: Figures, count: int) -> float:
    total, squares = 0.0, 0.0
    for k in range(count):
        total += values[k]
    for k in range(count):
        squares += (values[k] - total / count) ** 2
    return float(np.sqrt(squares / (count - 1)))
