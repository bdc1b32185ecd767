"""Features of two series: correlation and regression between columns, and on a reference market."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import UnknownMarketError
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

__all__ = ["beta", "correlation", "market_beta", "market_correlation"]

Array = NDArray[np.float64]


def _related(x: Array, y: Array, feature: Feature, bars: Bars, what: int) -> Array:
    """Return a relation of the bars at which both are valid."""
    missing = np.isnan(x) | np.isnan(y)
    x, y = (frozen(np.where(missing, np.nan, values)) for values in (x, y))
    window = feature["window"]
    least = least_valid(feature["min_valid"], window, least=3)
    return kernels.pairs_of_window(x, y, bars.first_bar, window, least, what)


def _to_market(feature: Feature, bars: Bars, what: int) -> Array:
    reference = feature["reference"]
    if reference not in bars.markets:
        raise UnknownMarketError(
            f"feature {feature}: reference market {reference} is not in the panel; it has "
            f"{', '.join(bars.markets)}"
        )
    returns = kernels.log_changes(bars.columns[0], 1)
    at = bars.markets.index(reference)
    common = np.ascontiguousarray(np.broadcast_to(returns[:, at : at + 1], returns.shape))
    return _related(returns, common, feature, bars, what)


def _columns(feature: Feature) -> tuple[str, ...]:
    return feature["column"], feature["other"]


@define("correlation", version="1", inputs=_columns, lookback=bars_of_window)
def _correlation(feature: Feature, bars: Bars) -> Array:
    return _related(bars.columns[0], bars.columns[1], feature, bars, kernels.CORRELATION)


@define("beta", version="1", inputs=_columns, lookback=bars_of_window)
def _beta(feature: Feature, bars: Bars) -> Array:
    return _related(bars.columns[0], bars.columns[1], feature, bars, kernels.BETA)


@define("market_correlation", version="1", inputs=("close",), lookback=bars_of_changes, per_market=False)
def _market_correlation(feature: Feature, bars: Bars) -> Array:
    return _to_market(feature, bars, kernels.CORRELATION)


@define("market_beta", version="1", inputs=("close",), lookback=bars_of_changes, per_market=False)
def _market_beta(feature: Feature, bars: Bars) -> Array:
    return _to_market(feature, bars, kernels.BETA)


def correlation(column: str, other: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Pearson's correlation of two columns of a market over the last `window` bars.

    Parameters
    ----------
    column, other : str
        Panel columns.
    window : int
        Bars, at least 3; also the lookback.
    min_valid : float
        Share of the bars at which both must be valid, else the result is NaN.

    Returns
    -------
    Feature
        In [-1, 1]; NaN where a column is constant.

    Examples
    --------
    >>> correlation("close", "volume", 30).lookback
    30
    """
    return windowed(_correlation, window, min_valid, least=3, column=str(column), other=str(other))


def beta(column: str, other: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Slope of the least-squares line of `column` on `other` over the last `window` bars.

    Parameters and NaN rule as for :func:`correlation`; NaN where `other` is constant.

    Examples
    --------
    >>> beta("close", "volume", 30).lookback
    30
    """
    return windowed(_beta, window, min_valid, least=3, column=str(column), other=str(other))


def market_correlation(reference: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Correlation of a market's one-bar log returns with those of a reference market of the panel.

    Parameters
    ----------
    reference : str
        Market, for example ``"binance:BTC/USDT"``; it must be in the panel.
    window : int
        Returns, at least 3. The lookback is ``window + 1``.
    min_valid : float
        Share of the bars at which both returns must be valid, else the result is NaN.

    Examples
    --------
    >>> market_correlation("binance:BTC/USDT", 60).lookback
    61
    """
    return windowed(_market_correlation, window, min_valid, least=3, reference=str(reference))


def market_beta(reference: str, window: int, *, min_valid: float = 0.8) -> Feature:
    """Slope of a market's one-bar log returns on those of a reference market of the panel.

    Parameters and NaN rule as for :func:`market_correlation`; NaN where the reference did not move. It is 1
    for the reference itself.

    References
    ----------
    W. F. Sharpe, "A simplified model for portfolio analysis", Management Science 9 (1963).

    Examples
    --------
    >>> market_beta("binance:BTC/USDT", 60).lookback
    61
    """
    return windowed(_market_beta, window, min_valid, least=3, reference=str(reference))
