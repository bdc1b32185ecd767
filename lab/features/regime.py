"""Calendar features, and features of the state of a market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import (
    Bars,
    checked_share,
    checked_window,
    define,
    frozen,
    least_valid,
    windowed,
)

__all__ = ["day_of_week", "hour_of_day", "trend_regime", "volatility_regime"]

Array = NDArray[np.float64]


def _one(parameters: Mapping[str, Any]) -> int:
    return 1


def _since_epoch(bars: Bars, unit: str) -> NDArray[np.int64]:
    """Return the opening time of each bar in whole units since 1970-01-01."""
    numbers = np.arange(bars.first_bar, bars.first_bar + len(bars.columns[0]), dtype=np.int64)
    return bars.timeframe.open_times(numbers).astype(f"datetime64[{unit}]").astype(np.int64)


def _in_all_markets(values: NDArray[np.int64], bars: Bars) -> Array:
    markets = bars.columns[0].shape[1]
    return np.repeat(values.astype(np.float64)[:, None], markets, axis=1)


@define("hour_of_day", version="1", inputs=("close",), lookback=_one)
def _hour_of_day(feature: Feature, bars: Bars) -> Array:
    return _in_all_markets(_since_epoch(bars, "h") % 24, bars)


@define("day_of_week", version="1", inputs=("close",), lookback=_one)
def _day_of_week(feature: Feature, bars: Bars) -> Array:
    # 1970-01-01 was a Thursday.
    return _in_all_markets((_since_epoch(bars, "D") + 3) % 7, bars)


def _slow(parameters: Mapping[str, Any]) -> int:
    return int(parameters["slow"])


@define("trend_regime", version="1", inputs=("close",), lookback=_slow)
def _trend_regime(feature: Feature, bars: Bars) -> Array:
    close, share = bars.columns[0], feature["min_valid"]
    fast, slow = (
        kernels.mean_of_window(close, bars.first_bar, window, least_valid(share, window))
        for window in (feature["fast"], feature["slow"])
    )
    rising = (close > slow) & (fast > slow)
    falling = (close < slow) & (fast < slow)
    missing = np.isnan(close) | np.isnan(fast) | np.isnan(slow)
    return np.where(missing, np.nan, np.where(rising, 1.0, np.where(falling, -1.0, 0.0)))


def _window_and_history(parameters: Mapping[str, Any]) -> int:
    return int(parameters["window"]) + int(parameters["history"])


@define("volatility_regime", version="1", inputs=("close",), lookback=_window_and_history)
def _volatility_regime(feature: Feature, bars: Bars) -> Array:
    window, history, share = feature["window"], feature["history"], feature["min_valid"]
    changes = frozen(kernels.log_changes(bars.columns[0], 1))
    least = least_valid(share, window, least=2)
    spread = kernels.moments_of_window(changes, bars.first_bar, window, least, kernels.DEVIATION)
    least = least_valid(share, history, least=2)
    return kernels.order_of_window(frozen(spread), history, least, kernels.RANK, 0.0)


def hour_of_day() -> Feature:
    """Hour at which the bar opens, UTC: 0 to 23, the same for all markets, also where a bar is missing.

    Examples
    --------
    >>> hour_of_day().lookback
    1
    """
    return _hour_of_day.feature()


def day_of_week() -> Feature:
    """Day on which the bar opens, UTC: 0 for Monday to 6 for Sunday, also where a bar is missing.

    Examples
    --------
    >>> day_of_week().lookback
    1
    """
    return _day_of_week.feature()


def trend_regime(fast: int, slow: int, *, min_valid: float = 0.8) -> Feature:
    """State of the trend: 1 rising, -1 falling, 0 neither.

    Rising is a close and a `fast` mean above the `slow` mean, falling is both below it; a close on the other
    side is neither.

    Parameters
    ----------
    fast, slow : int
        Bars of the two means of the close, `fast` the smaller one. The lookback is `slow`.
    min_valid : float
        Share of either window that must be valid, else the result is NaN; NaN also where bar t is.

    References
    ----------
    W. Brock, J. Lakonishok, B. LeBaron, "Simple technical trading rules and the stochastic properties of
    stock returns", The Journal of Finance 47 (1992).

    Examples
    --------
    >>> trend_regime(50, 200).lookback
    200
    """
    fast, slow = (checked_window(window, name="trend_regime") for window in (fast, slow))
    if fast >= slow:
        raise ConfigError(f"feature trend_regime: fast {fast} found, expected a window below slow {slow}")
    share = checked_share(min_valid, name="trend_regime")
    return _trend_regime.feature(fast=fast, slow=slow, min_valid=share)


def volatility_regime(window: int, history: int, *, min_valid: float = 0.8) -> Feature:
    """Rank of the present volatility among the last `history` ones, in [0, 1]: 1 is the most volatile.

    The volatility is the deviation of the last `window` one-bar log returns of the close.

    Parameters
    ----------
    window, history : int
        Returns per volatility, and volatilities compared; at least 2 each. The lookback is their sum.
    min_valid : float
        Share of returns, and of volatilities, that must be valid, else the result is NaN.

    Examples
    --------
    >>> volatility_regime(20, 100).lookback
    120
    """
    history = checked_window(history, name="volatility_regime", least=2)
    return windowed(_volatility_regime, window, min_valid, least=2, history=history)
