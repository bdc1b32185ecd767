"""Weighted averages of a column and lines through it."""

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
    frozen,
    least_valid,
    windowed,
)
from lab.features.windows import MEMORY_SPANS, exponential_mean

__all__ = [
    "MEMORY_WINDOWS",
    "double_ema",
    "linear_regression",
    "slope",
    "weighted_mean",
    "wilder",
    "wilder_mean",
]

Array = NDArray[np.float64]

# (1 - 1 / n) ** (22 n) < exp(-22): Wilder's mean over n bars is an exponential one over a span of 2 n - 1.
MEMORY_WINDOWS: Final = 22


def wilder_mean(x: Array, first_bar: int, window: int, min_valid: float) -> Array:
    """Return Wilder's smoothing of an array: decay ``1 - 1 / window`` over the last ``22 * window`` bars."""
    return kernels.decayed_mean(x, first_bar, MEMORY_WINDOWS * window, 1.0 - 1.0 / window, min_valid)


def _line(feature: Feature, bars: Bars, what: int, least: int) -> Array:
    window = feature["window"]
    least = least_valid(feature["min_valid"], window, least=least)
    return kernels.line_of_window(bars.columns[0], bars.first_bar, window, least, what)


@define("weighted_mean", version="1", lookback=bars_of_window)
def _weighted_mean(feature: Feature, bars: Bars) -> Array:
    return _line(feature, bars, kernels.WEIGHTED_MEAN, 1)


@define("slope", version="1", lookback=bars_of_window)
def _slope(feature: Feature, bars: Bars) -> Array:
    return _line(feature, bars, kernels.SLOPE, 2)


@define("linear_regression", version="1", lookback=bars_of_window)
def _linear_regression(feature: Feature, bars: Bars) -> Array:
    return _line(feature, bars, kernels.ENDPOINT, 2)


def _wilder_memory(parameters: Mapping[str, Any]) -> int:
    return MEMORY_WINDOWS * int(parameters["window"])


@define("wilder", version="1", lookback=_wilder_memory)
def _wilder(feature: Feature, bars: Bars) -> Array:
    return wilder_mean(bars.columns[0], bars.first_bar, feature["window"], feature["min_valid"])


def _twice(parameters: Mapping[str, Any]) -> int:
    return 2 * MEMORY_SPANS * int(parameters["span"]) - 1


@define("double_ema", version="1", lookback=_twice)
def _double_ema(feature: Feature, bars: Bars) -> Array:
    span, share = feature["span"], feature["min_valid"]
    once = frozen(exponential_mean(bars.columns[0], bars.first_bar, span, share))
    return 2.0 * once - exponential_mean(once, bars.first_bar, span, share)


def weighted_mean(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Mean of `column` over the last `window` bars with weights `window` for bar t down to 1 (WMA).

    Parameters and NaN rule as for :func:`lab.features.mean`; the weights of missing bars go to the others.

    Examples
    --------
    >>> weighted_mean("close", 20).lookback
    20
    """
    return windowed(_weighted_mean, window, min_valid, column=str(column))


def slope(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Slope of the least-squares line through `column` over the last `window` bars, per bar.

    Parameters
    ----------
    column : str
        Panel column.
    window : int
        Bars, at least 2; also the lookback.
    min_valid : float
        Share of the window that must be valid, else the result is NaN. Missing bars keep their place in time.

    Returns
    -------
    Feature
        Unit of the column per bar; exactly 0 for equal values.

    Examples
    --------
    >>> slope("close", 20).lookback
    20
    """
    return windowed(_slope, window, min_valid, least=2, column=str(column))


def linear_regression(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Value at bar t of the least-squares line through `column` over the last `window` bars.

    Parameters and NaN rule as for :func:`slope`; a value also where bar t is missing.

    Examples
    --------
    >>> linear_regression("close", 20).lookback
    20
    """
    return windowed(_linear_regression, window, min_valid, least=2, column=str(column))


def wilder(column: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Wilder's smoothing of `column`: exponential mean with decay ``1 - 1 / window``, over 22 windows.

    Wilder's never forgets; this one gives no weight to what is older than ``22 * window`` bars. That had less
    than 2.8e-10 of the weight, and so the two differ by less than 2.8e-10 of the distance between the value
    and what was forgotten.

    Parameters
    ----------
    column : str
        Panel column.
    window : int
        Bars, at least 2. The lookback is ``22 * window``.
    min_valid : float
        Share of the total weight that valid bars must have, else the result is NaN.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978).

    Examples
    --------
    >>> wilder("close", 14).lookback
    308
    """
    return windowed(_wilder, window, min_valid, least=2, column=str(column))


def double_ema(column: str, span: int, *, min_valid: float = 0.8) -> Feature:
    """Double exponential mean (DEMA): ``2 * ema - ema of ema``, both over 11 spans.

    The difference to the endless one is as for :func:`lab.features.ema`, up to three times as large.

    Parameters
    ----------
    column, span, min_valid
        As for :func:`lab.features.ema`. The lookback is ``22 * span - 1``.

    References
    ----------
    P. G. Mulloy, "Smoothing data with faster moving averages", Technical Analysis of Stocks & Commodities 12
    (1994).

    Examples
    --------
    >>> double_ema("close", 20).lookback
    439
    """
    span, share = checked_window(span, name="double_ema"), checked_share(min_valid, name="double_ema")
    return _double_ema.feature(column=str(column), span=span, min_valid=share)
