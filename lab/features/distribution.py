"""Features of the distribution of a column over a window: spread, shape, order, and when extremes were."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import Bars, bars_of_window, define, is_number, least_valid, windowed

__all__ = [
    "bars_since_highest",
    "bars_since_lowest",
    "kurtosis",
    "mean_absolute_deviation",
    "median",
    "quantile",
    "rank",
    "skewness",
    "variance",
]

Array = NDArray[np.float64]


def _least(feature: Feature, least: int = 1) -> int:
    return least_valid(feature["min_valid"], feature["window"], least=least)


@define("variance", version="1", lookback=bars_of_window)
def _variance(feature: Feature, bars: Bars) -> Array:
    least, what = _least(feature, 2), kernels.VARIANCE
    return kernels.moments_of_window(bars.columns[0], bars.first_bar, feature["window"], least, what)


@define("skewness", version="1", lookback=bars_of_window)
def _skewness(feature: Feature, bars: Bars) -> Array:
    return kernels.shape_of_window(bars.columns[0], feature["window"], _least(feature, 3), kernels.SKEWNESS)


@define("kurtosis", version="1", lookback=bars_of_window)
def _kurtosis(feature: Feature, bars: Bars) -> Array:
    return kernels.shape_of_window(bars.columns[0], feature["window"], _least(feature, 4), kernels.KURTOSIS)


@define("mean_absolute_deviation", version="1", lookback=bars_of_window)
def _mean_absolute_deviation(feature: Feature, bars: Bars) -> Array:
    what = kernels.ABSOLUTE_DEVIATION
    return kernels.shape_of_window(bars.columns[0], feature["window"], _least(feature), what)


@define("quantile", version="1", lookback=bars_of_window)
def _quantile(feature: Feature, bars: Bars) -> Array:
    window, share = feature["window"], feature["share"]
    return kernels.order_of_window(bars.columns[0], window, _least(feature), kernels.QUANTILE, share)


@define("median", version="1", lookback=bars_of_window)
def _median(feature: Feature, bars: Bars) -> Array:
    return kernels.order_of_window(bars.columns[0], feature["window"], _least(feature), kernels.QUANTILE, 0.5)


@define("rank", version="1", lookback=bars_of_window)
def _rank(feature: Feature, bars: Bars) -> Array:
    return kernels.order_of_window(bars.columns[0], feature["window"], _least(feature, 2), kernels.RANK, 0.0)


@define("bars_since_highest", version="1", lookback=bars_of_window)
def _bars_since_highest(feature: Feature, bars: Bars) -> Array:
    return kernels.age_of_extreme(bars.columns[0], bars.first_bar, feature["window"], _least(feature), 1.0)


@define("bars_since_lowest", version="1", lookback=bars_of_window)
def _bars_since_lowest(feature: Feature, bars: Bars) -> Array:
    return kernels.age_of_extreme(bars.columns[0], bars.first_bar, feature["window"], _least(feature), -1.0)


def variance(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Sample variance (divisor n - 1) of `column` over the last `window` bars, bar t included.

    Parameters
    ----------
    column : str
        Panel column.
    window : int
        Bars, at least 2; also the lookback.
    min_valid : float
        Share of the window that must be valid (not NaN), else the result is NaN.

    Returns
    -------
    Feature
        Unit of the column, squared. Exactly 0 for equal values.

    Examples
    --------
    >>> variance("close", 20).lookback
    20
    """
    return windowed(_variance, window, min_valid, least=2, column=str(column))


def skewness(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Skewness ``m3 / m2 ** 1.5`` of `column` over the last `window` bars; central moments, divisor n.

    Parameters and NaN rule as for :func:`variance`, with at least 3 valid values. NaN for equal values. It is
    ``scipy.stats.skew``; pandas and TradingView correct it for the size of the sample.

    Examples
    --------
    >>> skewness("close", 60).lookback
    60
    """
    return windowed(_skewness, window, min_valid, least=3, column=str(column))


def kurtosis(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Raw kurtosis ``m4 / m2 ** 2`` of `column` over the last `window` bars: 3 for a normal distribution.

    Parameters and NaN rule as for :func:`variance`, with at least 4 valid values. NaN for equal values. It is
    ``scipy.stats.kurtosis(fisher=False)``.

    Examples
    --------
    >>> kurtosis("close", 60).lookback
    60
    """
    return windowed(_kurtosis, window, min_valid, least=4, column=str(column))


def mean_absolute_deviation(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean absolute distance of `column` from its own mean over the last `window` bars.

    Parameters and NaN rule as for :func:`lab.features.mean`. Unit of the column.

    Examples
    --------
    >>> mean_absolute_deviation("close", 20).lookback
    20
    """
    return windowed(_mean_absolute_deviation, window, min_valid, column=str(column))


def quantile(column: str, window: int, share: float, *, min_valid: float = 0.8) -> Feature:
    """Quantile of the valid values of `column` over the last `window` bars, linear between neighbours.

    Parameters
    ----------
    column, window, min_valid
        As for :func:`lab.features.mean`.
    share : float
        Which quantile, in [0, 1]: 0 is the smallest value, 0.5 the median, 1 the largest.

    References
    ----------
    R. J. Hyndman, Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996),
    type 7.

    Examples
    --------
    >>> quantile("volume", 100, 0.9).key
    'quantile@1(column=volume,min_valid=0.8,share=0.9,window=100)'
    """
    if not (is_number(share) and 0.0 <= share <= 1.0):
        raise ConfigError(f"feature quantile: share {share!r} found, expected a number in [0, 1]")
    return windowed(_quantile, window, min_valid, column=str(column), share=float(share))


def median(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Median of the valid values of `column` over the last `window` bars.

    Parameters and NaN rule as for :func:`lab.features.mean`.

    Examples
    --------
    >>> median("volume", 100).lookback
    100
    """
    return windowed(_median, window, min_valid, column=str(column))


def rank(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Share of the other values of `column` in the last `window` bars that lie below that of bar t.

    Parameters and NaN rule as for :func:`variance`; NaN also where bar t is.

    Returns
    -------
    Feature
        In [0, 1]: 0 for the lowest value, 1 for the highest; equal values count half.

    Examples
    --------
    >>> rank("close", 100).lookback
    100
    """
    return windowed(_rank, window, min_valid, least=2, column=str(column))


def bars_since_highest(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Bars since `column` was highest within the last `window` bars; of equal values the most recent counts.

    Parameters and NaN rule as for :func:`lab.features.mean`. 0 where bar t itself is the highest.

    Examples
    --------
    >>> bars_since_highest("high", 25).lookback
    25
    """
    return windowed(_bars_since_highest, window, min_valid, column=str(column))


def bars_since_lowest(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Bars since `column` was lowest within the last `window` bars; of equal values the most recent counts.

    Parameters and NaN rule as for :func:`lab.features.mean`. 0 where bar t itself is the lowest.

    Examples
    --------
    >>> bars_since_lowest("low", 25).lookback
    25
    """
    return windowed(_bars_since_lowest, window, min_valid, column=str(column))
