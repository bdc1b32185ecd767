"""One backtest: bars and weights in, a frozen result out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import polars as pl

from lab.backtest import layout, tables, vectorbt_engine
from lab.backtest.compare import complaints, equity_difference, weight_difference
from lab.backtest.inputs import Missing, panel_of, targets_of
from lab.backtest.layout import Array
from lab.backtest.metrics import Bars, compute_metrics
from lab.backtest.prices import ExecutionPrices, PriceName, instant
from lab.backtest.result import BacktestResult
from lab.backtest.simulate import Trace, check_account, simulate_trace, terms_of
from lab.backtest.trades import trade_metrics, trade_table
from lab.backtest.usage import state_at_end
from lab.backtest.watching import watch_of
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.risk import Limits, RiskPlan

__all__ = ["Engine", "Risk", "limits_of", "run_backtest"]

Engine = Literal["fused", "vectorbt", "both"]
Risk = Limits | RiskPlan | RiskSettings | PortfolioRiskSettings


def run_backtest(
    bars: pl.DataFrame | Panel,
    weights: pl.DataFrame | Array,
    *,
    costs: Costs,
    risk: Risk | None = None,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
    engine: Engine = "fused",
    missing: Missing = "error",
    timeframe: str | Timeframe | None = None,
    parts: Array | None = None,
) -> BacktestResult:
    """Simulate target weights on bars, long and flat, with shared cash.

    Weights decided at the close of bar t trade at the open of t + 1. Every bar is valued at the prices it
    trades at, sells go before buys and small buys before large ones, and a buy that does not fit spends
    the cash that is left. The accounting is defined in the package's README, line by line.

    Parameters
    ----------
    bars : polars.DataFrame or Panel
        Long frame ``ts, market, open, high, low, close, volume``; a missing bar is a missing row (or NaN).
        Prices as received are used for marks and fills where the bars carry them (``received_open`` …).
    weights : polars.DataFrame or ndarray of shape (T, N)
        Long frame ``ts, market, weight`` with the time of the bar at whose close they were decided; an array
        is aligned to a panel. Fractions of equity in [0, 1], at most 1 in sum; NaN keeps the quantity.
    costs : Costs
        Fee and slippage.
    risk : Limits, RiskPlan, RiskSettings or PortfolioRiskSettings, optional
        What :func:`lab.risk.step` enforces before every trade. Settings reserve `costs` before buying.
    cash : float
        Starting capital in the quote currency.
    price : {"open", "close"}
        Price of the bar that its orders trade at.
    lag : int
        Bars between decision and trade. 0 needs ``price="close"`` and trades at the close that was decided
        on: for comparisons with engines that do so, not for results.
    engine : {"fused", "vectorbt", "both"}
        ``both`` runs the two and stores their difference; the frames are the fused engine's.
    missing : {"error", "hold", "zero"}
        What a bar without a row in `weights` means. A market without a bar needs no row.
    timeframe : str or Timeframe, optional
        Detected from the bars when not given.
    parts : ndarray of shape (T, K, N), optional
        What each instance wants of `weights`, where `risk` is a plan with instances.

    Returns
    -------
    BacktestResult
        With ``status`` ``FAILED`` where the two engines differ by more than 1e-9.

    Raises
    ------
    FrameError, UnknownMarketError, DataError
        If bars and weights do not fit together or a price is not positive.
    WeightError
        If weights are infinite, negative or sum to more than 1 + 1e-9; names bar and market.
    ConfigError
        If an option is not understood.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> days = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)]
    >>> bars = pl.DataFrame({"ts": days, "market": "synthetic:AAA/USDT", "open": [10.0, 10.0, 12.0]})
    >>> bars = bars.with_columns(
    ...     ts=pl.col("ts").cast(pl.Datetime("us", "UTC")),
    ...     high=12.0,
    ...     low=9.0,
    ...     close=pl.Series([10.0, 11.0, 12.0]),
    ...     volume=1.0,
    ... )
    >>> weights = bars.select("ts", "market", weight=pl.lit(0.5))
    >>> result = run_backtest(bars, weights, costs=Costs(fee_bps=0, slippage_bps=0), cash=1_000.0)
    >>> result.equity["equity"].to_list()
    [1000.0, 1050.0, 1100.0]
    >>> result.orders.select("side", "quantity", "price").rows()
    [('buy', 50.0, 10.0), ('sell', 4.166666666666664, 12.0)]
    """
    if engine not in ("fused", "vectorbt", "both"):
        raise ConfigError(f"engine {engine!r} not understood: use 'fused', 'vectorbt' or 'both'")
    panel = panel_of(bars, weights, timeframe)
    prices = ExecutionPrices.from_panel(panel, price)
    check_account(cash, lag, prices.at)
    targets = targets_of(weights, prices, missing)
    limits = limits_of(risk, costs, prices.markets)
    trace = simulate_trace(prices, targets, costs=costs, limits=limits, cash=cash, lag=lag, parts=parts)
    # Without risk the second engine shifts the decided weights itself, so that it checks the lag as well.
    feed = vectorbt_engine.shifted(targets, lag) if limits is None else trace.permitted
    result = _result(prices, targets, trace, feed, costs, cash, lag)
    if limits is not None:
        terms = terms_of(costs, limits, cash, lag, watch_of(prices, limits, parts))
        result = replace(result, risk_state=state_at_end(prices, trace, terms))
    if engine == "fused":
        return result
    return _second_engine(result, prices, targets, trace, limits, engine, parts)


def limits_of(risk: Risk | None, costs: Costs, markets: Sequence[str]) -> Limits | None:
    """Return the limits that `risk` stands for; settings reserve `costs` before buying."""
    if risk is None or isinstance(risk, Limits):
        return risk
    return risk.limits if isinstance(risk, RiskPlan) else Limits.from_settings(risk, costs, markets)


def _result(
    prices: ExecutionPrices, targets: Array, trace: Trace, feed: Array, costs: Costs, cash: float, lag: int
) -> BacktestResult:
    orders = tables.order_table(prices, trace, targets, lag)
    trades = trade_table(prices, trace)
    dropped = tables.dropped_table(prices, trace, targets, lag)
    bars = Bars.from_path(trace.path, cash)
    metrics = compute_metrics(bars, periods_per_year=prices.timeframe.periods_per_year)
    return BacktestResult(
        equity=tables.equity_table(prices, trace),
        returns=tables.return_table(prices, trace),
        positions=tables.position_table(prices, trace),
        orders=orders,
        trades=trades,
        costs=tables.cost_table(orders),
        risk_events=tables.risk_table(prices, trace, targets, lag),
        permitted=tables.permitted_table(prices, trace, lag),
        dropped=dropped,
        metrics={**metrics, **trade_metrics(trades)},
        bars=bars,
        engine="fused",
        engine_difference=None,
        risk_difference=None,
        warnings=(*_delisted(prices, trace), *_dropped(dropped)),
        cost_model=costs,
        cash=cash,
        lag=lag,
        _prices=prices,
        _targets=feed,
        _trace=None if costs.simple else trace,
    )


def _second_engine(
    result: BacktestResult,
    prices: ExecutionPrices,
    targets: Array,
    trace: Trace,
    limits: Limits | None,
    engine: Engine,
    parts: Array | None,
) -> BacktestResult:
    records = result.to_vectorbt().orders.values
    feed = "permitted" if limits is not None else "targets"
    slippage = result.cost_model.slippage
    if not result.cost_model.simple:
        feed, slippage = "realised", float("nan")
    account = vectorbt_engine.rebuild(records, prices, result.cash, slippage)
    if engine == "vectorbt":
        theirs = vectorbt_engine.trace_of(records, account, prices, trace)
        theirs_result = _result(
            prices, targets, theirs, result._targets, result.cost_model, result.cash, result.lag
        )
        return replace(theirs_result, engine=engine, engine_feed=feed, risk_state=result.risk_state)
    difference = equity_difference(trace.path[layout.EQUITY], account.path[layout.EQUITY], result.cash)
    again = None
    if limits is not None:
        watch = watch_of(prices, limits, parts)
        terms = terms_of(result.cost_model, limits, result.cash, result.lag, watch)
        # What risk was asked on the way: decided weights, and remainders that were carried.
        asked = np.full(targets.shape, np.nan)
        asked[: max(len(targets) - result.lag, 0)] = trace.targets[result.lag :]
        permitted = vectorbt_engine.permitted_again(account, prices, asked, terms)
        again = weight_difference(trace.permitted, permitted)
    notes = (*complaints(difference, again), *result.warnings)
    return replace(
        result,
        engine_difference=difference,
        risk_difference=again,
        engine_feed=feed,
        warnings=notes,
    )


def _delisted(prices: ExecutionPrices, trace: Trace) -> list[str]:
    notes: list[str] = []
    if not len(prices):
        return notes
    for i in np.flatnonzero((trace.positions[-1] != 0.0) & ~prices.received[-1]):
        known = np.flatnonzero(prices.received[:, i] | ~np.isnan(prices.price[:, i]))
        price = prices.last[-1, i]
        held = trace.positions[-1, i]
        end = instant(prices.ts[known[-1]])
        notes.append(
            f"{prices.markets[i]}: no bars after {end} (delisted, or not recorded), yet "
            f"{held:.8g} units are held, valued {held * price:.2f} at the last price {price:.8g}"
        )
    return notes


def _dropped(dropped: pl.DataFrame) -> list[str]:
    counts = dropped.group_by("reason", maintain_order=True).agg(
        pl.len().alias("count"), pl.col("ts").first(), pl.col("market").first()
    )
    return [
        f"orders not filled or not in full, {row['reason']}: {row['count']} (first {row['market']} at "
        f"{row['ts']:%Y-%m-%d %H:%M}Z)"
        for row in counts.iter_rows(named=True)
    ]
