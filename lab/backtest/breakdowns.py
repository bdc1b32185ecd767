"""The metrics of parts of a result: periods, hours, markets, regimes; and what a benchmark adds to them.

Every figure is :func:`~lab.backtest.metrics.compute_metrics` of the bars of its part, joined end to end. The
families of a portfolio are in :mod:`lab.backtest.attribution`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS, Bars, compute_metrics
from lab.backtest.result import BacktestResult
from lab.core.errors import ConfigError, FrameError
from lab.core.timeframe import Timeframe

__all__ = ["REGIMES", "Period", "against", "by_hour", "by_market", "by_period", "by_regime", "regimes"]

Period = Literal["month", "quarter", "year"]
REGIMES: Final = ("bull", "bear", "sideways")
_EVERY: Final = {"month": "1mo", "quarter": "1q", "year": "1y"}
_HOURS: Final = 24


def by_period(ts: pl.Series, bars: Bars, *, every: Period, timeframe: str | Timeframe) -> pl.DataFrame:
    """Return the metrics of every calendar month, quarter or year (UTC).

    Parameters
    ----------
    ts : polars.Series
        Opening time of each bar, UTC. A bar belongs to the period in which it opens.
    bars : Bars
        Figures of those bars.
    every : {"month", "quarter", "year"}
        Length of a period; the first and the last may be cut short by the data.
    timeframe : str or Timeframe
        For annualising.

    Returns
    -------
    polars.DataFrame
        ``period`` (its first day), then :data:`~lab.backtest.metrics.METRICS`. The periods' ``1 +
        total_return`` multiply to that of the whole.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> ts = pl.Series([datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)])
    >>> bars = Bars.from_returns(np.array([0.10, -0.05]))
    >>> by_period(ts, bars, every="month", timeframe="1d").select("period", "total_return").rows()
    [(datetime.date(2024, 1, 1), 0.10000000000000009), (datetime.date(2024, 2, 1), -0.050000000000000044)]
    """
    if every not in _EVERY:
        raise ConfigError(f"every={every!r} not understood: use {', '.join(_EVERY)}")
    label = ts.dt.truncate(_EVERY[every]).dt.date()
    return _parts("period", label, bars, timeframe)


def by_hour(ts: pl.Series, bars: Bars, *, timeframe: str | Timeframe) -> pl.DataFrame:
    """Return the metrics of every hour of the day (UTC), by the bars' opening time.

    Raises
    ------
    ConfigError
        If bars are a day or longer: they have no hour.
    """
    seconds = Timeframe.parse(timeframe).seconds
    if seconds >= _HOURS * 3600:
        raise ConfigError(f"bars of {timeframe} have no hour of day; use intraday bars")
    return _parts("hour", ts.dt.hour().cast(pl.Int64), bars, timeframe)


def regimes(close: Array, *, window: int = 90, threshold: float = 0.2) -> list[str | None]:
    """Return the regime of every bar from the closes known before it opens.

    A bar is ``bull`` where the market rose by more than `threshold` over the `window` bars before it,
    ``bear`` where it fell by more than ``threshold / (1 + threshold)`` (the fall that undoes such a rise),
    else ``sideways``; None where that is not known, for want of bars before it. Nothing of the bar itself is
    used, so that the regimes can be told live.

    Parameters
    ----------
    close : ndarray, shape (T,)
        Closes of the market that stands for the universe, or an index of it; NaN where unknown.
    window : int
        Bars, at least 1.
    threshold : float
        Simple return, above 0.

    Examples
    --------
    >>> regimes(np.array([1.0, 1.5, 1.5, 1.5, 1.0]), window=1)
    [None, None, 'bull', 'sideways', 'sideways']
    """
    if window < 1 or not threshold > 0:
        raise ConfigError(f"regimes: window {window}, threshold {threshold}; expected 1 or more and above 0")
    found: list[str | None] = [None] * len(close)
    for t in range(window + 1, len(close)):
        change = close[t - 1] / close[t - 1 - window] - 1.0
        if change > threshold:
            found[t] = "bull"
        elif change < 1.0 / (1.0 + threshold) - 1.0:
            found[t] = "bear"
        elif not math.isnan(change):
            found[t] = "sideways"
    return found


def by_regime(labels: Sequence[str | None], bars: Bars, *, timeframe: str | Timeframe) -> pl.DataFrame:
    """Return the metrics of all bars of each regime, joined end to end; `labels` as of :func:`regimes`.

    Drawdowns run across the seams: they are those of somebody who was in the market in that regime alone.
    Bars whose regime is not known (None) are in no row.
    """
    return _parts("regime", pl.Series(labels, dtype=pl.String), bars, timeframe)


def by_market(result: BacktestResult) -> pl.DataFrame:
    """Return what every market contributed.

    Returns
    -------
    polars.DataFrame
        One row per market with a trade. ``market``; ``profit`` net of costs, in the quote currency (open
        positions at the last price); ``contribution``: profit over starting capital, which sums to the
        total return; ``notional`` traded; ``fee`` and ``slippage`` paid; ``orders``; closed ``trades`` and
        their ``hit_ratio`` (share with a profit; NaN without one).
    """
    orders = result.orders.group_by("market").agg(
        pl.col("notional").sum(), pl.col("fee").sum(), pl.col("slippage").sum(), pl.len().alias("orders")
    )
    closed = ~pl.col("open")
    trades = result.trades.group_by("market").agg(
        pl.col("profit").sum(),
        (pl.col("profit").sum() / result.cash).alias("contribution"),
        closed.sum().alias("trades"),
        ((pl.col("profit") > 0) & closed).sum().alias("_won"),
    )
    ratio = pl.when(pl.col("trades") > 0).then(pl.col("_won") / pl.col("trades")).otherwise(math.nan)
    columns = [
        "market",
        "profit",
        "contribution",
        "notional",
        "fee",
        "slippage",
        "orders",
        "trades",
        "hit_ratio",
    ]
    return trades.join(orders, on="market").with_columns(hit_ratio=ratio).select(columns).sort("market")


def against(bars: Bars, benchmark: Bars, *, timeframe: str | Timeframe) -> dict[str, float]:
    """Return how an account did beside a benchmark over the same bars, normally buy-and-hold.

    Returns
    -------
    dict of str to float
        With r and b the returns per bar, P bars per year:

        - ``excess_return``: total return minus the benchmark's.
        - ``beta``: ``cov(r, b) / var(b)``; ``correlation`` of r and b.
        - ``alpha``: ``(mean(r) - beta * mean(b)) * P``, Jensen's, risk-free rate 0 (Jensen 1968, J. Finance
          23(2)).
        - ``tracking_error``: deviation (ddof 1) of r - b, times ``sqrt(P)``; ``information_ratio``:
          ``mean(r - b) * P`` over it (Goodwin 1998, Financial Analysts Journal 54(4)).
        - ``up_capture``, ``down_capture``: mean r over mean b on the bars with b above, below 0.
        - ``drawdown_ratio``: maximum drawdown over the benchmark's.

        NaN where the divisor is 0 or there are fewer than two bars.

    Raises
    ------
    FrameError
        If the two have different lengths.
    """
    if len(bars) != len(benchmark):
        raise FrameError(f"{len(bars)} bars, but {len(benchmark)} of the benchmark; compare the same bars")
    year = Timeframe.parse(timeframe).periods_per_year
    ours = compute_metrics(bars, periods_per_year=year)
    theirs = compute_metrics(benchmark, periods_per_year=year)
    r, b = bars.returns, benchmark.returns
    enough = len(r) > 1
    covariance = np.cov(r, b, ddof=1) if enough else np.full((2, 2), math.nan)
    beta = _ratio(covariance[0, 1], covariance[1, 1])
    error = math.sqrt(float(np.var(r - b, ddof=1)) * year) if enough else math.nan
    mean_r, mean_b = (float(np.mean(x)) if enough else math.nan for x in (r, b))
    return {
        "excess_return": ours["total_return"] - theirs["total_return"],
        "beta": beta,
        "correlation": _ratio(covariance[0, 1], math.sqrt(covariance[0, 0] * covariance[1, 1])),
        "alpha": (mean_r - beta * mean_b) * year,
        "tracking_error": error,
        "information_ratio": _ratio((mean_r - mean_b) * year, error),
        "up_capture": _capture(r, b, b > 0.0),
        "down_capture": _capture(r, b, b < 0.0),
        "drawdown_ratio": _ratio(ours["max_drawdown"], theirs["max_drawdown"]),
    }


def _capture(r: Array, b: Array, where: NDArray[np.bool_]) -> float:
    return _ratio(float(r[where].mean()), float(b[where].mean())) if where.any() else math.nan


def _ratio(over: float, under: float) -> float:
    return float(over / under) if under != 0.0 else math.nan


def _parts(name: str, label: pl.Series, bars: Bars, timeframe: str | Timeframe) -> pl.DataFrame:
    if len(label) != len(bars):
        raise FrameError(f"{len(label)} labels for {len(bars)} bars; give one per bar")
    year = Timeframe.parse(timeframe).periods_per_year
    rows = []
    for value in label.drop_nulls().unique().sort():
        here = (label == value).fill_null(False).to_numpy()
        part = Bars(bars.returns[here], bars.turnover[here], bars.cost[here], bars.exposure[here])
        rows.append({name: value, **compute_metrics(part, periods_per_year=year)})
    schema: dict[str, Any] = {name: label.dtype, **dict.fromkeys(METRICS, pl.Float64)}
    return pl.DataFrame(rows, schema=schema)
