"""Order flow and spread as far as bars tell: features for filters, where no trades or quotes are recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import Bars, define, kernels
from lab.features.definition import checked_share, checked_window, least_valid

__all__ = ["close_location_imbalance", "high_low_spread"]

Array = NDArray[np.float64]

_THREE_ROOTS: Final = 3.0 - 2.0 * math.sqrt(2.0)


@define(
    "close_location_imbalance",
    version="1",
    inputs=("high", "low", "close", "volume"),
    lookback=lambda parameters: int(parameters["window"]),
)
def _imbalance(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    least = least_valid(feature["min_valid"], window)
    signed, volume = (_frozen(array) for array in _signed_volume(*bars.columns))
    part = kernels.total_of_window(signed, bars.first_bar, window, least)
    whole = kernels.total_of_window(volume, bars.first_bar, window, least)
    return _ratio(part, whole)


def _window_and_one(parameters: Mapping[str, Any]) -> int:
    return int(parameters["window"]) + 1


@define("high_low_spread", version="1", inputs=("high", "low"), lookback=_window_and_one)
def _spread(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    least = least_valid(feature["min_valid"], window)
    pairs = _frozen(_corwin_schultz(*bars.columns))
    return kernels.moments_of_window(pairs, bars.first_bar, window, least, kernels.MEAN)


def close_location_imbalance(window: int, *, min_valid: float = 0.8) -> Feature:
    """Share of the volume of the last `window` bars that buyers are taken to have driven, minus the sellers'.

    Each bar's volume counts with the place of its close between low (-1) and high (+1), 0 for a bar without
    a range; the sum is divided by the volume. It stands in for the imbalance of signed trades where only
    bars are recorded.

    Parameters
    ----------
    window : int
        Bars, at least 1; also the lookback.
    min_valid : float
        Share of the window that must be valid (high, low, close and volume known), else NaN.

    Returns
    -------
    Feature
        Values in [-1, 1], up to rounding. NaN where the window has no volume.

    References
    ----------
    M. Chaikin's money flow; D. Easley, M. López de Prado, M. O'Hara, "Flow Toxicity and Liquidity in a
    High-frequency World", Review of Financial Studies 25 (2012), for volume classified from bars.

    Examples
    --------
    >>> close_location_imbalance(20).lookback
    20
    """
    name = "close_location_imbalance"
    share = checked_share(min_valid, name=name)
    return _imbalance.feature(window=checked_window(window, name=name), min_valid=share)


def high_low_spread(window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean over the last `window` bars of the bid-ask spread that highs and lows of two bars imply.

    The range of one bar holds its variance and one spread, that of two bars together twice the variance and
    one spread: the difference tells them apart. Negative estimates count as 0.

    Parameters
    ----------
    window : int
        Bars, at least 1. The lookback is ``window + 1``.
    min_valid : float
        Share of the window that must be valid, else NaN.

    Returns
    -------
    Feature
        Fraction of the price: 0.001 is 10 basis points.

    References
    ----------
    S. A. Corwin, P. Schultz, "A Simple Way to Estimate Bid-Ask Spreads from Daily High and Low Prices",
    Journal of Finance 67 (2012), equations 14 and 18; without their correction for overnight gaps, which a
    market that never closes does not have.

    Examples
    --------
    >>> high_low_spread(20).lookback
    21
    """
    name = "high_low_spread"
    share = checked_share(min_valid, name=name)
    return _spread.feature(window=checked_window(window, name=name), min_valid=share)


def _frozen(array: Array) -> Array:
    # The kernels are compiled for read-only arrays, as panels hold them.
    array.flags.writeable = False
    return array


@njit(cache=True, nogil=True)
def _signed_volume(high: Any, low: Any, close: Any, volume: Any) -> Any:
    rows, columns = close.shape
    signed = np.full((rows, columns), np.nan)
    whole = np.full((rows, columns), np.nan)
    for t in range(rows):
        for j in range(columns):
            width = high[t, j] - low[t, j]
            # Prices of which one is NaN have a NaN width or place; comparisons with it are False.
            place = 0.0
            if width > 0.0:
                place = ((close[t, j] - low[t, j]) - (high[t, j] - close[t, j])) / width
            if not math.isnan(width + close[t, j] + volume[t, j]):
                signed[t, j] = min(max(place, -1.0), 1.0) * volume[t, j]
                whole[t, j] = volume[t, j]
    return signed, whole


@njit(cache=True, nogil=True)
def _ratio(part: Any, whole: Any) -> Any:
    rows, columns = part.shape
    out = np.full((rows, columns), np.nan)
    for t in range(rows):
        for j in range(columns):
            if whole[t, j] > 0.0:
                out[t, j] = part[t, j] / whole[t, j]
    return out


@njit(cache=True, nogil=True)
def _corwin_schultz(high: Any, low: Any) -> Any:
    rows, columns = high.shape
    out = np.full((rows, columns), np.nan)
    for t in range(1, rows):
        for j in range(columns):
            bottom = min(low[t, j], low[t - 1, j])
            total = high[t, j] + high[t - 1, j] + low[t, j] + low[t - 1, j]
            if math.isnan(total) or bottom <= 0.0:
                continue
            now = math.log(high[t, j] / low[t, j])
            before = math.log(high[t - 1, j] / low[t - 1, j])
            both = math.log(max(high[t, j], high[t - 1, j]) / bottom)
            beta = now * now + before * before
            alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / _THREE_ROOTS
            alpha -= math.sqrt(both * both / _THREE_ROOTS)
            out[t, j] = max(2.0 * (math.exp(alpha) - 1.0) / (1.0 + math.exp(alpha)), 0.0)
    return out
