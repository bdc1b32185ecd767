"""Volatility features: ranges of bars, exponential volatility, Bollinger bands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features import kernels
from lab.features.averages import MEMORY_WINDOWS, wilder_mean
from lab.features.definition import (
    Bars,
    bars_of_window,
    checked_share,
    checked_window,
    define,
    frozen,
    is_number,
    least_valid,
    windowed,
)
from lab.features.windows import MEMORY_SPANS, exponential_mean

__all__ = [
    "bollinger_percent",
    "bollinger_width",
    "ewma_volatility",
    "garman_klass",
    "parkinson",
    "rogers_satchell",
    "wilder_atr",
]

Array = NDArray[np.float64]

_SHARE_OF_CLOSE: Final = 2.0 * math.log(2.0) - 1.0
_SQUARED_RANGE: Final = 4.0 * math.log(2.0)


def _annualised(variance: Array, feature: Feature, bars: Bars) -> Array:
    """Return the root of the window's mean variance per bar, per root of a year."""
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    mean = kernels.mean_of_window(frozen(variance), bars.first_bar, window, least)
    return np.sqrt(mean * bars.timeframe.periods_per_year)


@define("parkinson", version="1", inputs=("high", "low"), lookback=bars_of_window)
def _parkinson(feature: Feature, bars: Bars) -> Array:
    spread = kernels.log_ratio(bars.columns[0], bars.columns[1])
    return _annualised(spread * spread / _SQUARED_RANGE, feature, bars)


@define("garman_klass", version="1", inputs=("open", "high", "low", "close"), lookback=bars_of_window)
def _garman_klass(feature: Feature, bars: Bars) -> Array:
    open_, high, low, close = bars.columns
    spread, body = kernels.log_ratio(high, low), kernels.log_ratio(close, open_)
    return _annualised(0.5 * spread * spread - _SHARE_OF_CLOSE * body * body, feature, bars)


@define("rogers_satchell", version="1", inputs=("open", "high", "low", "close"), lookback=bars_of_window)
def _rogers_satchell(feature: Feature, bars: Bars) -> Array:
    open_, high, low, close = bars.columns
    above = kernels.log_ratio(high, close) * kernels.log_ratio(high, open_)
    below = kernels.log_ratio(low, close) * kernels.log_ratio(low, open_)
    return _annualised(above + below, feature, bars)


def _memory_and_one(parameters: Mapping[str, Any]) -> int:
    return MEMORY_SPANS * int(parameters["span"]) + 1


@define("ewma_volatility", version="1", inputs=("close",), lookback=_memory_and_one)
def _ewma_volatility(feature: Feature, bars: Bars) -> Array:
    change = kernels.log_changes(bars.columns[0], 1)
    squares = frozen(change * change)
    mean = exponential_mean(squares, bars.first_bar, feature["span"], feature["min_valid"])
    return np.sqrt(mean * bars.timeframe.periods_per_year)


def _wilder_changes(parameters: Mapping[str, Any]) -> int:
    return MEMORY_WINDOWS * int(parameters["window"]) + 1


@define("wilder_atr", version="1", inputs=("high", "low", "close"), lookback=_wilder_changes)
def _wilder_atr(feature: Feature, bars: Bars) -> Array:
    high, low, close = bars.columns
    ranges = frozen(kernels.true_range(high, low, close))
    return wilder_mean(ranges, bars.first_bar, feature["window"], feature["min_valid"])


def _band(feature: Feature, bars: Bars, what: int) -> Array:
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"], least=2)
    return kernels.moments_of_window(bars.columns[0], bars.first_bar, window, least, what)


@define("bollinger_width", version="1", lookback=bars_of_window)
def _bollinger_width(feature: Feature, bars: Bars) -> Array:
    return 2.0 * feature["deviations"] * _band(feature, bars, kernels.RELATIVE_DEVIATION)


@define("bollinger_percent", version="1", lookback=bars_of_window)
def _bollinger_percent(feature: Feature, bars: Bars) -> Array:
    return 0.5 + _band(feature, bars, kernels.POPULATION_ZSCORE) / (2.0 * feature["deviations"])


def parkinson(window: int, *, min_valid: float = 0.8) -> Feature:
    """Annualised volatility from highs and lows: root of the mean of ``ln(high / low) ** 2 / (4 ln 2)``.

    Parameters
    ----------
    window : int
        Bars, at least 1; also the lookback.
    min_valid : float
        Share of the bars that must be valid, else the result is NaN.

    Returns
    -------
    Feature
        A fraction per square root of a year of 365 days.

    References
    ----------
    M. Parkinson, "The extreme value method for estimating the variance of the rate of return", The Journal of
    Business 53 (1980).

    Examples
    --------
    >>> parkinson(20).lookback
    20
    """
    return windowed(_parkinson, window, min_valid)


def garman_klass(window: int, *, min_valid: float = 0.8) -> Feature:
    """Annualised volatility from all four prices of a bar, for prices without drift.

    Root of the mean of ``ln(high / low) ** 2 / 2 - (2 ln 2 - 1) ln(close / open) ** 2``. Parameters, unit and
    NaN rule as for :func:`parkinson`.

    References
    ----------
    M. B. Garman, M. J. Klass, "On the estimation of security price volatilities from historical data", The
    Journal of Business 53 (1980).

    Examples
    --------
    >>> garman_klass(20).lookback
    20
    """
    return windowed(_garman_klass, window, min_valid)


def rogers_satchell(window: int, *, min_valid: float = 0.8) -> Feature:
    """Annualised volatility from all four prices of a bar, whatever the drift.

    Root of the mean of ``ln(high / close) ln(high / open) + ln(low / close) ln(low / open)``. Parameters,
    unit and NaN rule as for :func:`parkinson`.

    References
    ----------
    L. C. G. Rogers, S. E. Satchell, "Estimating variance from high, low and closing prices", The Annals of
    Applied Probability 1 (1991).

    Examples
    --------
    >>> rogers_satchell(20).lookback
    20
    """
    return windowed(_rogers_satchell, window, min_valid)


def ewma_volatility(span: int, *, min_valid: float = 0.8) -> Feature:
    """Annualised root of the exponential mean of squared one-bar log returns of the close (RiskMetrics).

    RiskMetrics' decay of 0.94 is a span of 32. The mean ends after 11 spans (see :func:`lab.features.ema`);
    the lookback is ``11 * span + 1``. `min_valid` is the share of the weight that valid returns must have.

    References
    ----------
    J.P. Morgan, RiskMetrics Technical Document (1996).

    Examples
    --------
    >>> ewma_volatility(32).lookback
    353
    """
    share = checked_share(min_valid, name="ewma_volatility")
    return _ewma_volatility.feature(span=checked_window(span, name="ewma_volatility"), min_valid=share)


def wilder_atr(window: int, *, min_valid: float = 0.8) -> Feature:
    """Average true range in Wilder's smoothing, which ends after 22 windows.

    :func:`lab.features.atr` is the plain mean.

    The difference to the endless one is less than 1e-8 of it on recorded daily bars.
    The lookback is ``22 * window + 1``; `min_valid` is the share of the weight that valid bars must have.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    Examples
    --------
    >>> wilder_atr(14).lookback
    309
    """
    return windowed(_wilder_atr, window, min_valid, least=2)


def bollinger_width(column: str, window: int, deviations: float = 2.0, *, min_valid: float = 0.8) -> Feature:
    """Width of Bollinger's bands as a fraction of their middle: ``2 * deviations * deviation / mean``.

    Parameters
    ----------
    column : str
        Panel column.
    window : int
        Bars of mean and population deviation (divisor n), at least 2; also the lookback.
    deviations : float
        Distance of a band from the middle.
    min_valid : float
        Share of the window that must be valid, else the result is NaN.

    References
    ----------
    J. Bollinger, Bollinger on Bollinger Bands (2001).

    Examples
    --------
    >>> bollinger_width("close", 20).lookback
    20
    """
    wide = _checked_deviations(deviations, name="bollinger_width")
    return windowed(_bollinger_width, window, min_valid, least=2, column=str(column), deviations=wide)


def bollinger_percent(
    column: str, window: int, deviations: float = 2.0, *, min_valid: float = 0.8
) -> Feature:
    """Place of `column` between Bollinger's bands (%b): 0 on the lower, 1 on the upper one.

    Parameters as for :func:`bollinger_width`; NaN also where bar t is missing or all values are equal.

    Examples
    --------
    >>> bollinger_percent("close", 20).lookback
    20
    """
    wide = _checked_deviations(deviations, name="bollinger_percent")
    return windowed(_bollinger_percent, window, min_valid, least=2, column=str(column), deviations=wide)


def _checked_deviations(deviations: Any, *, name: str) -> float:
    if not (is_number(deviations) and 0.0 < deviations < math.inf):
        raise ConfigError(f"feature {name}: deviations {deviations!r} found, expected a number above 0")
    return float(deviations)
