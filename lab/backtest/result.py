"""What a backtest returns: one frozen value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from lab.backtest import vectorbt_engine
from lab.backtest.compare import agree
from lab.backtest.layout import Array
from lab.backtest.metrics import Bars
from lab.backtest.prices import ExecutionPrices
from lab.backtest.simulate import Trace
from lab.costs import Costs
from lab.risk import RiskState

__all__ = ["BacktestResult"]


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """Everything one backtest did. Amounts are in the quote currency, ``ts`` is a bar's opening time, UTC.

    Attributes
    ----------
    equity : polars.DataFrame
        ``ts, equity``: cash and positions at the close of every bar.
    returns : polars.DataFrame
        ``ts, return, turnover, cost, exposure`` of every bar: simple return of equity, traded notional and
        costs (fee and slippage), each relative to equity at the close before; invested share at the close.
    positions : polars.DataFrame
        ``ts, market, quantity, price, value, weight`` where something is held at the close; the price is
        the last known one.
    orders : polars.DataFrame
        One row per fill, in the order of filling. ``ts`` of the bar it filled in; ``market``; ``side`` (buy,
        sell); ``quantity`` in base units; ``price`` paid or received, slippage included;
        ``reference_price`` of the bar; ``notional`` = quantity x price; ``fee`` and ``slippage`` in quote
        units; ``decision_ts`` and ``decision_weight``: the bar and weight that asked for it;
        ``permitted_weight``: what risk left of it.
    trades : polars.DataFrame
        One row per round trip from flat to flat. ``market``; ``entry_ts``, ``exit_ts`` (null while open);
        ``bars`` between; ``orders``; ``quantity`` bought in all; ``entry_price``, ``exit_price``: averages
        with slippage, without fee (open: valued at the last price); ``fees``; ``profit`` net of all costs;
        ``return`` = profit over money paid in; ``open``.
    costs : polars.DataFrame
        ``ts, orders, notional, fee, slippage`` of every bar that traded.
    risk_events : polars.DataFrame
        ``ts, market, decision_weight, permitted_weight, reasons`` wherever the risk step acted.
    permitted : polars.DataFrame
        ``ts, market, weight``: weights traded to at bar ``ts``; NaN kept the quantity.
    dropped : polars.DataFrame
        ``ts, market, decision_weight, reason``: orders not filled, or not in full.
    metrics : mapping of str to float
        :func:`~lab.backtest.metrics.compute_metrics` and :func:`~lab.backtest.trades.trade_metrics`.
    engine : str
        Whose accounts the frames are: ``fused`` or ``vectorbt``.
    engine_difference : float or None
        Largest difference of equity between the engines, at any bar, relative to max(equity, 1e-9 x
        capital); None if only one ran.
    engine_feed : str or None
        What vectorbt was fed: ``targets`` (decided weights: it checks sizes, sequence and lag too),
        ``permitted`` (weights that risk left) or ``realised`` (sizes and prices as filled: it checks the
        accounting alone). None if it did not run.
    risk_difference : float or None
        Largest difference between permitted weights and what the risk step permits on vectorbt's own equity
        (inf where one keeps and the other trades); None without risk or with one engine.
    warnings : tuple of str
        What a reader should know before trusting the figures.
    risk_state : RiskState or None
        After the last bar's risk step: what :func:`lab.risk.budgets` reads. None without risk.
    cost_model, cash, lag
        As given.
    """

    equity: pl.DataFrame
    returns: pl.DataFrame
    positions: pl.DataFrame
    orders: pl.DataFrame
    trades: pl.DataFrame
    costs: pl.DataFrame
    risk_events: pl.DataFrame
    permitted: pl.DataFrame
    dropped: pl.DataFrame
    metrics: Mapping[str, float]
    bars: Bars
    engine: str
    engine_difference: float | None
    risk_difference: float | None
    warnings: tuple[str, ...]
    cost_model: Costs
    cash: float
    lag: int
    _prices: ExecutionPrices = field(repr=False)
    _targets: Array = field(repr=False)
    _trace: Trace | None = field(default=None, repr=False)
    engine_feed: str | None = None
    risk_state: RiskState | None = None

    @property
    def status(self) -> str:
        """``OK``, or ``FAILED`` where the engines differ by more than 1e-9: do not use the result."""
        return "OK" if agree(self.engine_difference) and agree(self.risk_difference) else "FAILED"

    def to_vectorbt(self) -> Any:
        """Return vectorbt's Portfolio of the same backtest, for its plots and statistics.

        It is fed the permitted weights, in the rows they trade at, or the fills where the costs are more than
        fixed rates. Simulated anew on every call.
        """
        if self._trace is not None and not self.cost_model.simple:
            return vectorbt_engine.portfolio_of_fills(
                self._prices, [self._trace], costs=[self.cost_model], cash=[self.cash]
            )
        return vectorbt_engine.portfolio(self._prices, self._targets, costs=self.cost_model, cash=self.cash)
