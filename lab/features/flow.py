"""Volume and microstructure features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import (
    Bars,
    bars_of_changes,
    bars_of_window,
    define,
    frozen,
    least_valid,
    windowed,
)

__all__ = [
    "amihud",
    "dollar_volume",
    "money_flow",
    "money_flow_index",
    "obv",
    "order_flow_imbalance",
    "vwap",
    "vwap_distance",
]

Array = NDArray[np.float64]


def _total(x: Array, feature: Feature, bars: Bars) -> Array:
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    return kernels.total_of_window(frozen(x), bars.first_bar, window, least)


def _share(part: Array, whole: Array, feature: Feature, bars: Bars) -> Array:
    """Return the window's total of `part` over that of `whole`, of bars where both are valid."""
    whole = np.where(np.isnan(part), np.nan, whole)
    part = np.where(np.isnan(whole), np.nan, part)
    below = _total(whole, feature, bars)
    return np.where(below > 0.0, _total(part, feature, bars) / below, np.nan)


@define("obv", version="1", inputs=("close", "volume"), lookback=bars_of_changes)
def _obv(feature: Feature, bars: Bars) -> Array:
    return _total(kernels.signed_volume(*bars.columns), feature, bars)


@define("order_flow_imbalance", version="1", inputs=("close", "volume"), lookback=bars_of_changes)
def _order_flow_imbalance(feature: Feature, bars: Bars) -> Array:
    close, volume = bars.columns
    return _share(kernels.signed_volume(close, volume), volume, feature, bars)


@define("money_flow", version="1", inputs=("high", "low", "close", "volume"), lookback=bars_of_window)
def _money_flow(feature: Feature, bars: Bars) -> Array:
    high, low, close, volume = bars.columns
    place = np.where(high == low, 0.0, ((close - low) - (high - close)) / (high - low))
    return _share(place * volume, volume, feature, bars)


@define("dollar_volume", version="1", inputs=("close", "volume"), lookback=bars_of_window)
def _dollar_volume(feature: Feature, bars: Bars) -> Array:
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    value = frozen(bars.columns[0] * bars.columns[1])
    return kernels.mean_of_window(value, bars.first_bar, window, least)


@define("amihud", version="1", inputs=("close", "volume"), lookback=bars_of_changes)
def _amihud(feature: Feature, bars: Bars) -> Array:
    close, volume = bars.columns
    window, least = feature["window"], least_valid(feature["min_valid"], feature["window"])
    value = np.where(volume > 0.0, close * volume, np.nan)
    ratio = frozen(np.abs(kernels.relative_change(close, 1)) / value)
    return kernels.mean_of_window(ratio, bars.first_bar, window, least)


@define("money_flow_index", version="1", inputs=("high", "low", "close", "volume"), lookback=bars_of_changes)
def _money_flow_index(feature: Feature, bars: Bars) -> Array:
    high, low, close, volume = bars.columns
    typical = frozen(kernels.typical_price(high, low, close))
    flow = kernels.signed_volume(typical, frozen(typical * volume))
    moved = _total(np.abs(flow), feature, bars)
    return np.where(moved > 0.0, 50.0 + 50.0 * (_total(flow, feature, bars) / moved), np.nan)


def _average_price(feature: Feature, bars: Bars) -> Array:
    high, low, close, volume = bars.columns
    typical = kernels.typical_price(high, low, close)
    return _share(typical * volume, volume, feature, bars)


@define("vwap", version="1", inputs=("high", "low", "close", "volume"), lookback=bars_of_window)
def _vwap(feature: Feature, bars: Bars) -> Array:
    return _average_price(feature, bars)


@define("vwap_distance", version="1", inputs=("high", "low", "close", "volume"), lookback=bars_of_window)
def _vwap_distance(feature: Feature, bars: Bars) -> Array:
    return bars.columns[2] / _average_price(feature, bars) - 1.0


def obv(window: int, *, min_valid: float = 0.8) -> Feature:
    """On-balance volume over the last `window` bars: volume of rising closes less that of falling ones.

    Granville's sums from the first bar on and so depends on where the history starts; this is its change over
    `window` bars, which is what is compared.

    Parameters
    ----------
    window : int
        Bars, at least 1. The lookback is ``window + 1``.
    min_valid : float
        Share of the bars that must be valid, else the result is NaN. Missing bars add nothing.

    Returns
    -------
    Feature
        Base currency; bars without a change of the close add nothing.

    References
    ----------
    J. E. Granville, Granville's New Key to Stock Market Profits (1963).

    Examples
    --------
    >>> obv(20).lookback
    21
    """
    return windowed(_obv, window, min_valid)


def order_flow_imbalance(window: int, *, min_valid: float = 0.8) -> Feature:
    """Signed volume as a share of the volume over the last `window` bars, the sign from the close.

    A proxy by the tick rule on bars, for who was the taker is not in them. In [-1, 1]; NaN where nothing was
    traded. Parameters and NaN rule as for :func:`obv`.

    References
    ----------
    C. M. C. Lee, M. J. Ready, "Inferring trade direction from intraday data", The Journal of Finance 46
    (1991).

    Examples
    --------
    >>> order_flow_imbalance(24).lookback
    25
    """
    return windowed(_order_flow_imbalance, window, min_valid)


def money_flow(window: int, *, min_valid: float = 0.8) -> Feature:
    """Chaikin's money flow: volume weighted by the place of the close in its bar, over the volume.

    A close at the high counts 1, at the low -1, and 0 where the bar has no range. In [-1, 1]; NaN where
    nothing was traded or fewer than `min_valid` of the `window` bars are valid.

    References
    ----------
    M. Chaikin's money flow, in S. B. Achelis, Technical Analysis from A to Z (2000).

    Examples
    --------
    >>> money_flow(20).lookback
    20
    """
    return windowed(_money_flow, window, min_valid)


def dollar_volume(window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean of close times volume over the last `window` bars, in the quote currency per bar.

    NaN where fewer than `min_valid` of the bars are valid.

    Examples
    --------
    >>> dollar_volume(30).lookback
    30
    """
    return windowed(_dollar_volume, window, min_valid)


def amihud(window: int, *, min_valid: float = 0.8) -> Feature:
    """Amihud's illiquidity: mean of ``abs(return) / (close * volume)`` over the last `window` bars.

    Per unit of the quote currency. Bars without volume count as missing; NaN where fewer than `min_valid` are
    valid. The lookback is ``window + 1``.

    References
    ----------
    Y. Amihud, "Illiquidity and stock returns", Journal of Financial Markets 5 (2002).

    Examples
    --------
    >>> amihud(30).lookback
    31
    """
    return windowed(_amihud, window, min_valid)


def money_flow_index(window: int, *, min_valid: float = 0.8) -> Feature:
    """Money flow index: typical price times volume of rising bars as a share of all that moved, in percent.

    In [0, 100]; NaN where no bar moved with volume, or fewer than `min_valid` of the `window` changes of the
    typical price ``(high + low + close) / 3`` are valid. The lookback is ``window + 1``.

    References
    ----------
    G. Quong, A. Soudack, "Volume-weighted RSI: money flow", Technical Analysis of Stocks & Commodities 7
    (1989).

    Examples
    --------
    >>> money_flow_index(14).lookback
    15
    """
    return windowed(_money_flow_index, window, min_valid)


def vwap(window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean of the typical price ``(high + low + close) / 3`` over the last `window` bars, by volume.

    NaN where nothing was traded, or fewer than `min_valid` of the bars are valid.

    References
    ----------
    S. A. Berkowitz, D. E. Logue, E. A. Noser, "The total cost of transactions on the NYSE", The Journal of
    Finance 43 (1988).

    Examples
    --------
    >>> vwap(24).lookback
    24
    """
    return windowed(_vwap, window, min_valid)


def vwap_distance(window: int, *, min_valid: float = 0.8) -> Feature:
    """Close over :func:`vwap`, less 1; NaN also where bar t is missing.

    Examples
    --------
    >>> vwap_distance(24).lookback
    24
    """
    return windowed(_vwap_distance, window, min_valid)
