"""One simulation without frames: what search, sweep and every engine comparison are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lab.backtest import friction, kernel, layout
from lab.backtest.layout import Array
from lab.backtest.metrics import Bars, compute_metrics
from lab.backtest.prices import ExecutionPrices, PriceName, frozen
from lab.backtest.watching import watch_of
from lab.core.errors import ConfigError, FrameError
from lab.core.panel import Panel
from lab.costs import Costs
from lab.risk import NO_WATCH, Limits, Watch

__all__ = ["Simulation", "Trace", "check_account", "simulate_trace", "simulate_weights", "terms_of"]

_NOTHING = np.empty((0, 4))
_NO_CODES = np.empty((0, 4), dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """Per-bar figures of one simulated portfolio and the metrics made of them.

    Attributes
    ----------
    equity : ndarray, shape (T,)
        At every close, in the quote currency.
    bars : Bars
        Returns, turnover, cost and exposure of every bar; bars of several simulations can be joined.
    metrics : mapping of str to float
        See :func:`~lab.backtest.metrics.compute_metrics`.
    """

    equity: Array
    bars: Bars
    metrics: Mapping[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Everything one simulation did, as arrays; ``log`` and ``figures`` have a row per order.

    Attributes
    ----------
    path : ndarray, shape (PATH_ROWS, T)
        Equity, return, turnover, cost and exposure of every bar.
    positions, permitted : ndarray, shape (T, N)
        Quantities at the close; weights that were traded to, NaN where the quantity was kept.
    reasons : ndarray of int64, shape (T, N)
        Codes of the risk step.
    log : ndarray of int64, shape (M, 4)
        Bar, market, side, status.
    figures : ndarray, shape (M, 4)
        Quantity, fill price, reference price, fee.
    targets : ndarray, shape (T, N)
        Weights in the row they trade at, before risk: decided ones, and what earlier bars left to do.
    """

    path: Array
    positions: Array
    permitted: Array
    reasons: NDArray[np.int64]
    log: NDArray[np.int64]
    figures: Array
    targets: Array


def simulate_weights(
    panel: Panel | ExecutionPrices,
    weights: Array,
    *,
    costs: Costs,
    limits: Limits | None = None,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
) -> Simulation:
    """Simulate target weights and keep only per-bar figures: no frames, nothing of size bars x markets.

    Parameters
    ----------
    panel : Panel or ExecutionPrices
        Bars; pass prepared prices where the same bars are simulated many times.
    weights : ndarray, shape (T, N)
        Weights decided at each bar's close; NaN keeps the quantity. They must have passed the checks of
        :func:`lab.strategies.decide` or :func:`~lab.backtest.run_backtest`; none are made here.
    costs : Costs
        Fee and slippage.
    limits : Limits, optional
        Figures of the risk step; without them it does not act.
    cash : float
        Starting capital.
    price, lag
        See :func:`~lab.backtest.run_backtest`.

    Returns
    -------
    Simulation
        The same bits as :func:`~lab.backtest.run_backtest` on the same panel. The work is done without the
        interpreter's lock, so that threads run side by side.
    """
    prices = panel if isinstance(panel, ExecutionPrices) else ExecutionPrices.from_panel(panel, price)
    check_account(cash, lag, prices.at)
    path = np.empty((layout.PATH_ROWS, len(prices)))
    out = layout.Outputs(path, _NOTHING, _NOTHING, _NO_CODES, _NO_CODES, _NOTHING)
    terms = terms_of(costs, limits, cash, lag, watch_of(prices, limits))
    _run(prices, weights, costs, terms, out, _NOTHING)
    bars = Bars.from_path(path, cash)
    return Simulation(
        path[layout.EQUITY], bars, compute_metrics(bars, periods_per_year=prices.timeframe.periods_per_year)
    )


def simulate_trace(
    prices: ExecutionPrices,
    weights: Array,
    *,
    costs: Costs,
    limits: Limits | None,
    cash: float,
    lag: int,
    parts: Array | None = None,
) -> Trace:
    """Simulate as :func:`simulate_weights` does and keep everything; `parts`: see :func:`watch_of`."""
    shape = prices.shape
    path = np.empty((layout.PATH_ROWS, shape[0]))
    positions, permitted = np.empty(shape), np.empty(shape)
    reasons = np.empty(shape, dtype=np.int64)
    # A row per finite weight is enough: one weight makes at most one order. One more, so that it is on.
    rows = int(np.count_nonzero(~np.isnan(weights))) + 1 if costs.simple else weights.size + 1
    log, figures = np.empty((rows, 4), dtype=np.int64), np.empty((rows, 4))
    out = layout.Outputs(path, positions, permitted, reasons, log, figures)
    targets = np.full(shape, np.nan)
    if costs.simple:
        targets[lag:] = weights[: max(len(weights) - lag, 0)]
    terms = terms_of(costs, limits, cash, lag, watch_of(prices, limits, parts))
    count = _run(prices, weights, costs, terms, out, targets)
    return Trace(path, positions, permitted, reasons, log[:count], figures[:count], targets)


def check_account(cash: float, lag: int, at: PriceName) -> None:
    """Refuse capital, lag and price that make no sense together."""
    if not (math.isfinite(cash) and cash > 0):
        raise ConfigError(f"cash is {cash}, expected a positive amount")
    if lag != int(lag) or lag < 0:
        raise ConfigError(f"lag is {lag!r}, expected a whole number of bars, 0 or more")
    if lag == 0 and at == "open":
        raise ConfigError(
            "lag=0 at price='open' trades at a price from before the weights were known; use lag=1, or "
            "price='close' to trade at the close the weights were decided on"
        )


def terms_of(
    costs: Costs, limits: Limits | None, cash: float, lag: int, watch: Watch = NO_WATCH
) -> layout.Terms:
    """Return the terms of trading as the kernels take them."""
    limited = limits is not None
    figures = Limits() if limits is None else limits
    return layout.Terms(lag, costs.fee, costs.slippage, float(cash), limited, figures, watch)


def _run(
    prices: ExecutionPrices,
    weights: Array,
    costs: Costs,
    terms: layout.Terms,
    out: layout.Outputs,
    targets: Array,
) -> int:
    if weights.shape != prices.shape:
        raise FrameError(f"weights have shape {weights.shape}, expected {prices.shape}: bars x markets")
    if costs.simple:
        return int(kernel.run(prices.tape, frozen(weights), terms, out))
    market = friction.frictions_of(prices, costs)
    return int(friction.run_with_frictions(prices.tape, frozen(weights), terms, market, out, targets))
