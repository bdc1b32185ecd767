"""Order flow and spread as far as bars tell: features for filters, where no trades or quotes are recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.feature import Feature
from lab.features import Bars, define
from lab.features.definition import checked_share, checked_window, least_valid

__all__ = ["close_location_imbalance", "high_low_spread"]

Array = NDArray[np.float64]

_ROOTS: Final = 3.0 - 2.0 * math.sqrt(2.0)


@define(
    "close_location_imbalance",
    version="1",
    inputs=("high", "low", "close", "volume"),
    lookback=lambda parameters: int(parameters["window"]),
)
def _imbalance(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    return _flow(*bars.columns, window, least_valid(feature["min_valid"], window))


def _window_and_one(parameters: Mapping[str, Any]) -> int:
    return int(parameters["window"]) + 1


@define("high_low_spread", version="1", inputs=("high", "low"), lookback=_window_and_one)
def _spread(feature: Feature, bars: Bars) -> Array:
    window = feature["window"]
    return _corwin_schultz(*bars.columns, window, least_valid(feature["min_valid"], window))


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


@njit(cache=True, nogil=True)
def _flow(high: Any, low: Any, close: Any, volume: Any, window: int, least: int) -> Any:
    rows, columns = close.shape
    out = np.full((rows, columns), np.nan)
    # Every window is summed anew, oldest bar first: nothing is carried from before it.
    for t in range(window - 1, rows):
        for j in range(columns):
            signed = 0.0
            whole = 0.0
            valid = 0
            for q in range(t - window + 1, t + 1):
                width = high[q, j] - low[q, j]
                if math.isnan(width + close[q, j] + volume[q, j]):
                    continue
                place = 0.0
                if width > 0.0:
                    place = ((close[q, j] - low[q, j]) - (high[q, j] - close[q, j])) / width
                signed += min(max(place, -1.0), 1.0) * volume[q, j]
                whole += volume[q, j]
                valid += 1
            if valid >= least and whole > 0.0:
                out[t, j] = signed / whole
    return out


@njit(cache=True, nogil=True)
def _corwin_schultz(high: Any, low: Any, window: int, least: int) -> Any:
    rows, columns = high.shape
    pairs = np.full((rows, columns), np.nan)
    for t in range(1, rows):
        for j in range(columns):
            pairs[t, j] = _pair_spread(high[t - 1, j], low[t - 1, j], high[t, j], low[t, j])
    out = np.full((rows, columns), np.nan)
    for t in range(window, rows):
        for j in range(columns):
            total = 0.0
            valid = 0
            for q in range(t - window + 1, t + 1):
                if not math.isnan(pairs[q, j]):
                    total += pairs[q, j]
                    valid += 1
            if valid >= least:
                out[t, j] = total / valid
    return out


@njit(cache=True, nogil=True)
def _pair_spread(high_before: float, low_before: float, high: float, low: float) -> float:
    bottom = min(low, low_before)
    if math.isnan(high + high_before + low + low_before) or bottom <= 0.0:
        return np.nan
    now = math.log(high / low)
    before = math.log(high_before / low_before)
    both = math.log(max(high, high_before) / bottom)
    beta = now * now + before * before
    alpha = (math.sqrt(2.0 * beta) - math.sqrt(beta)) / _ROOTS - both / math.sqrt(_ROOTS)
    return max(2.0 * (math.exp(alpha) - 1.0) / (1.0 + math.exp(alpha)), 0.0)
