"""What a feature is asked to foretell: the return that a decision at this bar could have earned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.panel import Panel

__all__ = ["forward_returns"]

Array = NDArray[np.float64]


def forward_returns(panel: Panel, horizon: int, *, lag: int = 1, price: str = "open") -> Array:
    """Return, for each bar and market, the simple return of the `horizon` bars after a decision at its close.

    Parameters
    ----------
    panel : Panel
        With the column `price`.
    horizon : int
        Bars for which the position is held, at least 1.
    lag : int
        Bars from the decision to the trade, as in the backtest.
    price : str
        Column that is traded at.

    Returns
    -------
    ndarray of float64, shape (T, N)
        ``price[t + lag + horizon] / price[t + lag] - 1``; NaN where either price is missing, and at the last
        ``lag + horizon`` bars. The label of bar t is known at the opening of bar ``t + lag + horizon``.

    Raises
    ------
    ConfigError
        If `horizon` or `lag` is below 1.

    Examples
    --------
    >>> from lab.data.synthetic import synthetic_market
    >>> panel = Panel.from_frame(synthetic_market(seed=1, markets=1, bars=5, timeframe="1d"))
    >>> later = forward_returns(panel, 2)
    >>> bool(later[0, 0] == panel["open"][3, 0] / panel["open"][1, 0] - 1.0), np.isnan(later[:, 0]).tolist()
    (True, [False, False, True, True, True])
    """
    if horizon < 1 or lag < 1:
        raise ConfigError(f"horizon {horizon} and lag {lag}: expected at least 1 bar each")
    prices = panel[price]
    later = np.full(prices.shape, np.nan)
    known = len(prices) - lag - horizon
    if known > 0:
        later[:known] = prices[lag + horizon :] / prices[lag : lag + known] - 1.0
    return later
