"""Features of price changes: returns, volatility, average true range."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import (
    Bars,
    bars_of_changes,
    checked_share,
    checked_window,
    define,
    frozen,
    least_valid,
)

__all__ = ["atr", "log_return", "simple_return", "volatility"]

Array = NDArray[np.float64]


@define("simple_return", version="1", lookback=bars_of_changes)
def _simple_return(feature: Feature, bars: Bars) -> Array:
    return kernels.relative_change(bars.columns[0], feature["window"])


@define("log_return", version="1", lookback=bars_of_changes)
def _log_return(feature: Feature, bars: Bars) -> Array:
    return kernels.log_changes(bars.columns[0], feature["window"])


@define("volatility", version="1", inputs=("close",), lookback=bars_of_changes)
def _volatility(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    least = least_valid(feature["min_valid"], window, least=2)
    changes = frozen(kernels.log_changes(bars.columns[0], 1))
    spread = kernels.moments_of_window(changes, bars.first_bar, window, least, kernels.DEVIATION)
    return kernels.scaled(spread, math.sqrt(bars.timeframe.periods_per_year))


@define("atr", version="1", inputs=("high", "low", "close"), lookback=bars_of_changes)
def _atr(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    ranges = frozen(kernels.true_range(*bars.columns))
    least = least_valid(feature["min_valid"], window)
    return kernels.mean_of_window(ranges, bars.first_bar, window, least)


def simple_return(column: str, window: int) -> Feature:
    """Return of `column` over `window` bars, simple and fractional: ``x[t] / x[t - window] - 1``.

    Parameters
    ----------
    column : str
        Panel column, for example ``"close"``.
    window : int
        Bars between the two ends, at least 1. The lookback is ``window + 1``.

    Returns
    -------
    Feature
        NaN where either end is NaN, or the earlier one is 0.

    Examples
    --------
    >>> simple_return("close", 90).lookback
    91
    """
    return _simple_return.feature(column=str(column), window=checked_window(window, name="simple_return"))


def log_return(column: str, window: int) -> Feature:
    """Logarithmic return of `column` over `window` bars: ``log(x[t] / x[t - window])``.

    Parameters as for :func:`simple_return`.

    Returns
    -------
    Feature
        NaN where either end is NaN or not positive.

    Examples
    --------
    >>> log_return("close", 1).lookback
    2
    """
    return _log_return.feature(column=str(column), window=checked_window(window, name="log_return"))


def volatility(window: int, *, min_valid: float = 0.8) -> Feature:
    """Annualised sample standard deviation of the last `window` one-bar log returns of the close.

    Parameters
    ----------
    window : int
        Returns, at least 2. The lookback is ``window + 1``.
    min_valid : float
        Share of the returns that must be valid, else the result is NaN. A missing bar costs two returns.

    Returns
    -------
    Feature
        A fraction per square root of a year; a year is 365 days, so 8,760 hourly bars.

    Examples
    --------
    >>> volatility(20).lookback
    21
    """
    window = checked_window(window, name="volatility", least=2)
    return _volatility.feature(window=window, min_valid=checked_share(min_valid, name="volatility"))


def atr(window: int, *, min_valid: float = 0.8) -> Feature:
    """Average true range: simple mean of the last `window` true ranges, in the unit of the price.

    The true range is the largest of high - low and the distances of high and low to the previous close. It
    is a plain mean, not Wilder's recursive smoothing, whose memory has no end.

    Parameters
    ----------
    window : int
        True ranges, at least 1. The lookback is ``window + 1``.
    min_valid : float
        Share of the true ranges that must be valid, else the result is NaN.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    Examples
    --------
    >>> atr(14).lookback
    15
    """
    window = checked_window(window, name="atr")
    return _atr.feature(window=window, min_valid=checked_share(min_valid, name="atr"))
