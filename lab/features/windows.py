"""Features over a window of one column: totals, means, deviations, extremes, exponential means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import (
    Bars,
    bars_of_window,
    checked_share,
    checked_window,
    define,
    least_valid,
    windowed,
)

__all__ = [
    "MEMORY_SPANS",
    "deviation",
    "ema",
    "exponential_mean",
    "highest",
    "latest",
    "lowest",
    "mean",
    "total",
    "zscore",
]

Array = NDArray[np.float64]

# exp(-2 x 11): what an exponential mean forgets weighs less than 2.8e-10 of the whole, whatever its span.
MEMORY_SPANS: Final = 11


def _memory(parameters: Mapping[str, Any]) -> int:
    return MEMORY_SPANS * int(parameters["span"])


def _least(feature: Feature, least: int = 1) -> int:
    return least_valid(feature["min_valid"], feature["window"], least=least)


def exponential_mean(x: Array, first_bar: int, span: int, min_valid: float) -> Array:
    """Return the exponential mean of an array, decay ``1 - 2 / (span + 1)``, over ``11 * span`` bars."""
    return kernels.decayed_mean(x, first_bar, MEMORY_SPANS * span, 1.0 - 2.0 / (span + 1.0), min_valid)


@define("total", version="1", lookback=bars_of_window)
def _total(feature: Feature, bars: Bars) -> Array:
    return kernels.total_of_window(bars.columns[0], bars.first_bar, feature["window"], _least(feature))


@define("mean", version="1", lookback=bars_of_window)
def _mean(feature: Feature, bars: Bars) -> Array:
    return kernels.mean_of_window(bars.columns[0], bars.first_bar, feature["window"], _least(feature))


@define("deviation", version="1", lookback=bars_of_window)
def _deviation(feature: Feature, bars: Bars) -> Array:
    least = _least(feature, 2)
    what = kernels.DEVIATION
    return kernels.moments_of_window(bars.columns[0], bars.first_bar, feature["window"], least, what)


@define("zscore", version="1", lookback=bars_of_window)
def _zscore(feature: Feature, bars: Bars) -> Array:
    least = _least(feature, 2)
    what = kernels.ZSCORE
    return kernels.moments_of_window(bars.columns[0], bars.first_bar, feature["window"], least, what)


@define("highest", version="1", lookback=bars_of_window)
def _highest(feature: Feature, bars: Bars) -> Array:
    return kernels.highest_in_window(bars.columns[0], bars.first_bar, feature["window"], _least(feature))


@define("lowest", version="1", lookback=bars_of_window)
def _lowest(feature: Feature, bars: Bars) -> Array:
    return kernels.lowest_in_window(bars.columns[0], bars.first_bar, feature["window"], _least(feature))


@define("ema", version="1", lookback=_memory)
def _ema(feature: Feature, bars: Bars) -> Array:
    return exponential_mean(bars.columns[0], bars.first_bar, feature["span"], feature["min_valid"])


@define("latest", version="1", lookback=bars_of_window)
def _latest(feature: Feature, bars: Bars) -> Array:
    return kernels.latest_in_window(bars.columns[0], feature["window"])


def total(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Sum of the valid values of `column` over the last `window` bars, bar t included.

    Parameters
    ----------
    column : str
        Panel column, for example ``"volume"``.
    window : int
        Bars, at least 1; also the lookback.
    min_valid : float
        Share of the window that must be valid (not NaN), else the result is NaN.

    Returns
    -------
    Feature
        Unit of the column. A missing bar adds nothing: totals over a hole are smaller.

    Examples
    --------
    >>> total("volume", 24).key
    'total@1(column=volume,min_valid=0.8,window=24)'
    """
    return windowed(_total, window, min_valid, column=str(column))


def mean(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean of the valid values of `column` over the last `window` bars, bar t included (SMA).

    Parameters and NaN rule as for :func:`total`. Equal values have exactly their value as mean.

    Examples
    --------
    >>> mean("close", 20).lookback
    20
    """
    return windowed(_mean, window, min_valid, column=str(column))


def deviation(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Sample standard deviation (divisor n - 1) of `column` over the last `window` bars, bar t included.

    Parameters and NaN rule as for :func:`total`; `window` is at least 2, and so are the valid values. Equal
    values have exactly 0 as deviation.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance", The American
    Statistician 37 (1983).

    Examples
    --------
    >>> deviation("close", 20).lookback
    20
    """
    return windowed(_deviation, window, min_valid, least=2, column=str(column))


def zscore(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Distance of `column` at t from its mean over the last `window` bars, in sample standard deviations.

    Parameters and NaN rule as for :func:`deviation`. NaN also where bar t is NaN or the deviation is 0: there
    the distance has no unit.

    Examples
    --------
    >>> zscore("close", 48).lookback
    48
    """
    return windowed(_zscore, window, min_valid, least=2, column=str(column))


def highest(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Largest valid value of `column` over the last `window` bars, bar t included.

    Parameters and NaN rule as for :func:`total`.

    Examples
    --------
    >>> highest("high", 55).lookback
    55
    """
    return windowed(_highest, window, min_valid, column=str(column))


def lowest(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Smallest valid value of `column` over the last `window` bars, bar t included.

    Parameters and NaN rule as for :func:`total`.

    Examples
    --------
    >>> lowest("low", 20).lookback
    20
    """
    return windowed(_lowest, window, min_valid, column=str(column))


def ema(column: str, span: int, *, min_valid: float = 0.8) -> Feature:
    """Exponentially weighted mean of `column`, decay ``1 - 2 / (span + 1)``, over the last 11 spans.

    The usual EMA never forgets, so its last bits depend on where the history starts. This one gives weight
    ``decay ** age`` to the last ``11 * span`` bars and none to older ones; those had less than 2.8e-10 of the
    weight, so that the two differ by less than 2.8e-10 of the distance between the value and what was
    forgotten. Weights are normalised over valid bars, as in ``ewm(adjust=True, ignore_na=False)``.

    Parameters
    ----------
    column : str
        Panel column.
    span : int
        Span in bars, at least 1. The lookback is ``11 * span``.
    min_valid : float
        Share of the total weight that valid bars must have, else the result is NaN.

    Examples
    --------
    >>> ema("close", 12).lookback
    132
    """
    share = checked_share(min_valid, name="ema")
    return _ema.feature(column=column, span=checked_window(span, name="ema"), min_valid=share)


def latest(column: str, window: int = 1) -> Feature:
    """Most recent valid value of `column` within the last `window` bars: sparse columns brought to every bar.

    For columns that have a value at some bars only, such as funding rates every 8 hours on hourly bars, or
    daily on-chain figures. With a window of 1 it is the column itself.

    Parameters
    ----------
    column : str
        Panel column, for example ``"funding_rate"``.
    window : int
        Age in bars at which a value is too old; also the lookback.

    Returns
    -------
    Feature
        Unit of the column; NaN where the window has no valid value.

    Examples
    --------
    >>> latest("funding_rate", 8).lookback
    8
    """
    return _latest.feature(column=str(column), window=checked_window(window, name="latest"))
