"""Momentum features: oscillators of gains and losses, and of the place in a range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import kernels
from lab.features.averages import MEMORY_WINDOWS, wilder_mean
from lab.features.definition import (
    Bars,
    bars_of_changes,
    bars_of_window,
    checked_window,
    define,
    frozen,
    least_valid,
    windowed,
)

__all__ = [
    "chande_momentum",
    "commodity_channel",
    "rsi",
    "stochastic_d",
    "stochastic_k",
    "williams_r",
]

Array = NDArray[np.float64]


def _wilder_changes(parameters: Mapping[str, Any]) -> int:
    return MEMORY_WINDOWS * int(parameters["window"]) + 1


@define("rsi", version="1", lookback=_wilder_changes)
def _rsi(feature: Feature, bars: Bars) -> Array:
    window, share = feature["window"], feature["min_valid"]
    up, down = (frozen(kernels.moves(bars.columns[0], sign)) for sign in (1.0, -1.0))
    gain, loss = (wilder_mean(side, bars.first_bar, window, share) for side in (up, down))
    return 100.0 * kernels.share_of_sum(gain, loss, False)


@define("chande_momentum", version="1", lookback=bars_of_changes)
def _chande_momentum(feature: Feature, bars: Bars) -> Array:
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    up, down = (frozen(kernels.moves(bars.columns[0], sign)) for sign in (1.0, -1.0))
    gain, loss = (kernels.total_of_window(side, bars.first_bar, window, least) for side in (up, down))
    return 100.0 * (gain - loss) / (gain + loss)


def _place(feature: Feature, bars: Bars) -> Array:
    """Return where the close lies between the lowest low (0) and the highest high (1) of the window."""
    high, low, close = bars.columns
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    top = kernels.highest_in_window(high, bars.first_bar, window, least)
    bottom = kernels.lowest_in_window(low, bars.first_bar, window, least)
    return kernels.place_between(close, bottom, top)


_BARS = ("high", "low", "close")


@define("stochastic_k", version="1", inputs=_BARS, lookback=bars_of_window)
def _stochastic_k(feature: Feature, bars: Bars) -> Array:
    return 100.0 * _place(feature, bars)


def _smoothed_window(parameters: Mapping[str, Any]) -> int:
    return int(parameters["window"]) + int(parameters["smoothing"]) - 1


@define("stochastic_d", version="1", inputs=_BARS, lookback=_smoothed_window)
def _stochastic_d(feature: Feature, bars: Bars) -> Array:
    smoothing = feature["smoothing"]
    fast = frozen(100.0 * _place(feature, bars))
    least = least_valid(feature["min_valid"], smoothing)
    return kernels.mean_of_window(fast, bars.first_bar, smoothing, least)


@define("williams_r", version="1", inputs=_BARS, lookback=bars_of_window)
def _williams_r(feature: Feature, bars: Bars) -> Array:
    return 100.0 * _place(feature, bars) - 100.0


@define("commodity_channel", version="1", inputs=_BARS, lookback=bars_of_window)
def _commodity_channel(feature: Feature, bars: Bars) -> Array:
    high, low, close = bars.columns
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    typical = frozen(kernels.typical_price(high, low, close))
    away = kernels.shape_of_window(typical, window, least, kernels.DEVIATIONS_AWAY)
    return away / 0.015


def rsi(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Relative strength index: ``100 * gain / (gain + loss)``, changes of one bar in Wilder's smoothing.

    Wilder's smoothing never forgets; this one ends after 22 windows, where 2.8e-10 of the weight is left.
    The two differ by less than 1e-6 on recorded daily bars of 33 pairs, of 100.

    Parameters
    ----------
    column : str
        Panel column, mostly ``"close"``.
    window : int
        Bars of Wilder's smoothing, at least 2. The lookback is ``22 * window + 1``.
    min_valid : float
        Share of the total weight that valid changes must have, else the result is NaN.

    Returns
    -------
    Feature
        In [0, 100]; NaN where nothing moved.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    Examples
    --------
    >>> rsi("close", 14).lookback
    309
    """
    return windowed(_rsi, window, min_valid, least=2, column=str(column))


def chande_momentum(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Chande's momentum oscillator: ``100 * (gains - losses) / (gains + losses)`` over `window` changes.

    Plain sums as in the source; TA-Lib's CMO smooths them as the RSI does. In [-100, 100]; NaN where nothing
    moved. The lookback is ``window + 1``; `min_valid` is the share of changes that must be valid.

    References
    ----------
    T. S. Chande, S. Kroll, The New Technical Trader (1994).

    Examples
    --------
    >>> chande_momentum("close", 20).lookback
    21
    """
    return windowed(_chande_momentum, window, min_valid, column=str(column))


def stochastic_k(window: int, *, min_valid: float = 0.8) -> Feature:
    """Stochastic %K: where the close lies between lowest low (0) and highest high (100) of `window` bars.

    NaN where the window has no range, where bar t is missing, or fewer than `min_valid` of the bars are
    valid.

    References
    ----------
    G. C. Lane, "Lane's stochastics", Technical Analysis of Stocks & Commodities 2 (1984).

    Examples
    --------
    >>> stochastic_k(14).lookback
    14
    """
    return windowed(_stochastic_k, window, min_valid)


def stochastic_d(window: int, smoothing: int = 3, *, min_valid: float = 0.8) -> Feature:
    """Stochastic %D: mean of the last `smoothing` values of %K.

    Parameters and NaN rule as for :func:`stochastic_k`; of the values of %K `min_valid` must be valid too.

    Examples
    --------
    >>> stochastic_d(14, 3).lookback
    16
    """
    smoothing = checked_window(smoothing, name="stochastic_d")
    return windowed(_stochastic_d, window, min_valid, smoothing=smoothing)


def williams_r(window: int, *, min_valid: float = 0.8) -> Feature:
    """Williams' %R: %K less 100, in [-100, 0]. NaN rule as for :func:`stochastic_k`.

    References
    ----------
    L. R. Williams, How I Made One Million Dollars Last Year Trading Commodities (1973).

    Examples
    --------
    >>> williams_r(14).lookback
    14
    """
    return windowed(_williams_r, window, min_valid)


def commodity_channel(window: int, *, min_valid: float = 0.8) -> Feature:
    """Commodity channel index (CCI): distance of the typical price from its mean, in 0.015 mean deviations.

    The typical price is ``(high + low + close) / 3``, the mean deviation its mean absolute distance from its
    mean over the same `window` bars. NaN where that is 0, where bar t is missing, or fewer than `min_valid`
    of the bars are valid.

    References
    ----------
    D. R. Lambert, "Commodity channel index", Commodities (October 1980).

    Examples
    --------
    >>> commodity_channel(20).lookback
    20
    """
    return windowed(_commodity_channel, window, min_valid, least=2)
