"""Performance figures of a series of bars: definitions, units, and what short or flat samples give.

All figures are made from per-bar fractions, so that they need no capital, and bars of several simulations
can be joined end to end. The same function serves backtests, walk-forward folds and live accounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lab.backtest import layout
from lab.backtest.figures import ALL, figures_of, product_of_changes
from lab.backtest.layout import Array
from lab.backtest.prices import frozen
from lab.core.errors import DataError

__all__ = ["METRICS", "Bars", "compute_metrics", "sharpe_per_period"]

METRICS: Final = (
    "total_return",
    "annualised_return",
    "annualised_volatility",
    "sharpe",
    "sortino",
    "calmar",
    "max_drawdown",
    "max_drawdown_duration",
    "hit_ratio",
    "payoff",
    "profit_factor",
    "turnover",
    "exposure",
    "cost_share",
    "time_in_market",
    "skewness",
    "kurtosis",
    "bars",
)


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """What every bar of an account brought and cost; arrays of shape (T,), read-only.

    Attributes
    ----------
    returns : ndarray
        Equity at the close over equity at the close before, minus 1; costs included.
    turnover : ndarray
        Traded notional, buys and sells, over equity at the close before. NaN where unknown.
    cost : ndarray
        Fees and slippage over equity at the close before; ``returns + cost`` is the return before costs.
    exposure : ndarray
        Share of equity that is invested at the close.
    growth : float, optional
        Equity at the last close over that before the first bar, where it is known; None: the product of one
        plus every return.
    """

    returns: Array
    turnover: Array
    cost: Array
    exposure: Array
    growth: float | None = None

    def __post_init__(self) -> None:
        for name in ("returns", "turnover", "cost", "exposure"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @classmethod
    def from_path(cls, path: Array, cash: float) -> Bars:
        """Take the rows of the fused engine's path of an account that began with `cash`."""
        growth = float(path[layout.EQUITY, -1]) / cash if path.shape[1] else None
        return cls(
            path[layout.RETURN], path[layout.TURNOVER], path[layout.COST], path[layout.EXPOSURE], growth
        )

    @classmethod
    def from_returns(cls, returns: Array) -> Bars:
        """Take returns alone; turnover, cost and exposure are unknown (NaN)."""
        unknown = np.full(len(returns), np.nan)
        return cls(returns, unknown, unknown, unknown)

    @classmethod
    def join(cls, parts: Sequence[Bars]) -> Bars:
        """Put several stretches end to end, for example the test windows of a walk-forward.

        Their growth is then that of their returns, since no account went through all of them.
        """
        return cls(
            np.concatenate([part.returns for part in parts]),
            np.concatenate([part.turnover for part in parts]),
            np.concatenate([part.cost for part in parts]),
            np.concatenate([part.exposure for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.returns)

    def rows(self, start: int, stop: int) -> Bars:
        """Return bars ``start … stop - 1`` by position."""
        part = slice(start, stop)
        return Bars(self.returns[part], self.turnover[part], self.cost[part], self.exposure[part])


def compute_metrics(bars: Bars | Array, *, periods_per_year: float) -> dict[str, float]:
    """Return the overall performance figures of `bars`.

    Parameters
    ----------
    bars : Bars or ndarray of shape (T,)
        Per-bar figures, or simple per-bar returns alone. No NaN among the returns.
    periods_per_year : float
        Bars in a year of 365 days: ``Timeframe.periods_per_year``.

    Returns
    -------
    dict of str to float
        With r the returns, T their number, E the equity curve that starts at 1.0, P `periods_per_year`:

        - ``total_return``: last E - 1; for an account last equity over capital, minus 1, the same but
          for rounding.
        - ``annualised_return``: ``(1 + total_return) ** (P / T) - 1``, the compound annual growth rate.
        - ``annualised_volatility``: sample deviation (ddof 1) of r, times ``sqrt(P)``.
        - ``sharpe``: mean r / deviation r * ``sqrt(P)``, risk-free rate 0 (Sharpe 1994, J. Portfolio
          Management 21(1)).
        - ``sortino``: mean r / ``sqrt(mean(min(r, 0) ** 2))`` * ``sqrt(P)``: all T bars count in the downside
          deviation, target 0 (Sortino & Price 1994, J. Investing 3(3)).
        - ``calmar``: annualised return / abs(maximum drawdown) over the whole sample (Young 1991, Futures).
        - ``max_drawdown``: smallest E / running maximum of E - 1; <= 0; the start, 1.0, is a maximum too.
        - ``max_drawdown_duration``: most bars in a row with E below its running maximum, recovered or not.
        - ``hit_ratio``: bars with r > 0 over bars with r != 0.
        - ``payoff``: mean positive r over abs(mean negative r).
        - ``profit_factor``: sum of positive r over abs(sum of negative r).
        - ``turnover``: traded notional, both sides, in multiples of equity per year.
        - ``exposure``: mean invested share of equity at the close.
        - ``cost_share``: sum of costs over sum of returns before costs.
        - ``time_in_market``: share of bars that close with a position.
        - ``skewness``, ``kurtosis``: ``m3 / m2 ** 1.5`` and ``m4 / m2 ** 2`` with population moments of r;
          the kurtosis is raw (normal: 3).
        - ``bars``: T.

        A figure that has no value is NaN: everything but ``bars`` without a bar; what divides by a
        deviation of fewer than two bars or below 1e-14 (rounding of the equity; ``sortino``: downside);
        ``sortino``, ``payoff`` and ``profit_factor`` without a loss (``payoff`` also without a gain);
        ``calmar`` without a drawdown; ``hit_ratio`` without a bar that moved; ``cost_share`` without a gain
        before costs; ``turnover``, ``exposure``, ``cost_share``, ``time_in_market`` from returns alone.

    Raises
    ------
    DataError
        If a return is NaN or infinite.

    Examples
    --------
    >>> figures = compute_metrics(np.array([0.10, -0.05, 0.02]), periods_per_year=365.0)
    >>> round(figures["total_return"], 6), round(figures["max_drawdown"], 6), figures["bars"]
    (0.0659, -0.05, 3.0)
    >>> compute_metrics(np.zeros(3), periods_per_year=365.0)["sharpe"]
    nan
    """
    series = bars if isinstance(bars, Bars) else Bars.from_returns(bars)
    if not np.isfinite(series.returns).all():
        where = int(np.flatnonzero(~np.isfinite(series.returns))[0])
        raise DataError(f"return of bar {where} is {series.returns[where]}, expected a finite number")
    others = np.stack((series.turnover, series.cost, series.exposure))
    growth = product_of_changes(series.returns) if series.growth is None else series.growth
    values = figures_of(series.returns, frozen(others), growth, float(periods_per_year), ALL)
    return dict(zip(METRICS, (float(value) for value in values), strict=True))


def sharpe_per_period(returns: Array) -> float:
    """Return the Sharpe ratio per bar, not annualised: mean over sample deviation (ddof 1).

    NaN with fewer than two bars or without volatility, as in :func:`compute_metrics`.

    Examples
    --------
    >>> sharpe_per_period(np.array([0.01, 0.03]))
    1.4142135623730951
    """
    annual = compute_metrics(np.asarray(returns, dtype=np.float64), periods_per_year=1.0)["sharpe"]
    return annual
