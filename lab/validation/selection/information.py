"""The information coefficient: rank correlation of a feature with the returns after it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import FrameError

__all__ = ["FEWEST_MARKETS", "information", "information_series", "spearman"]

Array = NDArray[np.float64]

# Of fewer ranks a correlation says nothing about one bar.
FEWEST_MARKETS: Final = 5
_FEWEST_BARS: Final = 20


def information_series(values: Array, later: Array) -> Array:
    """Return the rank correlation across markets, bar by bar.

    Parameters
    ----------
    values, later : ndarray of float64, shape (T, N)
        A feature, and the returns after it.

    Returns
    -------
    ndarray of float64, shape (T,)
        Spearman's coefficient over the markets where both are known, ties by mean rank; NaN where they are
        fewer than 5 or do not vary.

    Examples
    --------
    >>> value = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, np.nan]])
    >>> information_series(value, value**2).tolist(), information_series(value, -value).tolist()
    ([1.0], [-1.0])
    """
    _same_shape(values, later)
    known = np.isfinite(values) & np.isfinite(later)
    found = np.full(len(values), np.nan)
    for row in np.flatnonzero(known.sum(axis=1) >= FEWEST_MARKETS):
        both = known[row]
        found[row] = spearman(values[row, both], later[row, both])
    return found


def information(
    features: Mapping[str, Array], later: Mapping[int, Array], *, across: bool | None = None
) -> pl.DataFrame:
    """Return how well features order what comes after them.

    Parameters
    ----------
    features : mapping of str to ndarray, shape (T, N)
        By name.
    later : mapping of int to ndarray, shape (T, N)
        Forward returns by horizon in bars.
    across : bool, optional
        True: correlation across markets at each bar, averaged over bars. False: over time in each market,
        averaged over markets. By default across where there are at least 5 markets.

    Returns
    -------
    polars.DataFrame
        ``feature, horizon, ic, deviation, t_statistic, positive, observations``. The t-statistic of the mean
        allows for labels that overlap: across markets by Newey and West's variance with ``horizon - 1``
        lags [1]_; over time by counting one observation per `horizon` bars. ``positive`` is the share of bars
        (or markets) with a coefficient above 0.

    References
    ----------
    .. [1] W. Newey, K. West, "A simple, positive semi-definite, heteroskedasticity and autocorrelation
       consistent covariance matrix", Econometrica 55 (1987).
    .. [2] R. Grinold, R. Kahn, *Active Portfolio Management* (2000), chapter 6.
    """
    rows = []
    for name, values in features.items():
        for horizon, returns in later.items():
            wide = values.shape[1] >= FEWEST_MARKETS if across is None else across
            found = _across(values, returns, horizon) if wide else _over_time(values, returns, horizon)
            rows.append({"feature": name, "horizon": horizon, **found})
    return pl.DataFrame(rows, infer_schema_length=None)


def _across(values: Array, later: Array, horizon: int) -> dict[str, Any]:
    series = information_series(values, later)
    series = series[np.isfinite(series)]
    if len(series) < 2:
        return _unknown(len(series))
    error = math.sqrt(_newey_west(series, horizon - 1) / len(series))
    return {
        "ic": float(series.mean()),
        "deviation": float(series.std(ddof=1)),
        "t_statistic": float(series.mean() / error) if error > 0 else None,
        "positive": float((series > 0).mean()),
        "observations": len(series),
    }


def _over_time(values: Array, later: Array, horizon: int) -> dict[str, Any]:
    _same_shape(values, later)
    found, independent, bars = [], 0.0, 0
    for market in range(values.shape[1]):
        known = np.isfinite(values[:, market]) & np.isfinite(later[:, market])
        if known.sum() >= _FEWEST_BARS:
            coefficient = spearman(values[known, market], later[known, market])
            if math.isfinite(coefficient):
                found.append(coefficient)
                independent += known.sum() / horizon
                bars += int(known.sum())
    if not found:
        return _unknown(0)
    mean = float(np.mean(found))
    freedom = independent - 2 * len(found)
    steep = freedom > 0 and abs(mean) < 1
    return {
        "ic": mean,
        "deviation": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "t_statistic": mean * math.sqrt(freedom / (1 - mean * mean)) if steep else None,
        "positive": float(np.mean(np.array(found) > 0)),
        "observations": bars,
    }


def spearman(left: Array, right: Array) -> float:
    """Return the rank correlation of two series without NaN; NaN where one does not vary."""
    from scipy.stats import rankdata

    first, second = rankdata(left), rankdata(right)
    first -= first.mean()
    second -= second.mean()
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale > 0 else math.nan


def _newey_west(series: Array, lags: int) -> float:
    """Return the long-run variance of a series with Bartlett's weights."""
    centred = series - series.mean()
    variance = float(centred @ centred) / len(series)
    for lag in range(1, min(lags, len(series) - 1) + 1):
        covariance = float(centred[lag:] @ centred[:-lag]) / len(series)
        variance += 2.0 * (1.0 - lag / (lags + 1)) * covariance
    return variance


def _unknown(observations: int) -> dict[str, Any]:
    empty = dict.fromkeys(("ic", "deviation", "t_statistic", "positive"))
    return {**empty, "observations": observations}


def _same_shape(values: Array, later: Array) -> None:
    if values.shape != later.shape:
        raise FrameError(f"feature {values.shape} and returns {later.shape} differ in shape (bars, markets)")
