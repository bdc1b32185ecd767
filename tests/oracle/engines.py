"""The three engines side by side: many accounts as groups of one vectorbt call, which costs 40 ms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lab.backtest import ExecutionPrices, vectorbt_engine
from lab.backtest.layout import EQUITY
from lab.backtest.simulate import Trace, simulate_trace
from lab.backtest.vectorbt_engine import Rebuilt
from lab.costs import Costs
from lab.risk import Limits
from tests.oracle.backtest import Path, daily_risk, simulate
from tests.oracle.portfolios import Array, Case, panel_of

FLOOR = 1e-9


def costs_of(case: Case) -> Costs:
    return Costs(fee_bps=case.fee_bps, slippage_bps=case.slippage_bps)


def prices_of(case: Case, price: str = "open") -> ExecutionPrices:
    return ExecutionPrices.from_panel(case.panel, price)


def oracle_account(case: Case, *, lag: int = 1, price: str = "open", limits: Limits | None = None) -> Path:
    days = prices_of(case, price).day.tolist()
    return simulate(
        case.opens.tolist(),
        case.closes.tolist(),
        case.weights.tolist(),
        fee=case.fee_bps / 10_000,
        slippage=case.slippage_bps / 10_000,
        cash=case.cash,
        lag=lag,
        price=price,
        risk=None if limits is None else daily_risk(limits._asdict(), days, case.cash),
    )


def fused_account(case: Case, *, lag: int = 1, price: str = "open", limits: Limits | None = None) -> Trace:
    return simulate_trace(
        prices_of(case, price), case.weights, costs=costs_of(case), limits=limits, cash=case.cash, lag=lag
    )


def vectorbt_accounts(cases: Sequence[Case], feeds: Sequence[Array], price: str = "open") -> list[Rebuilt]:
    """Run cases of equal length as groups of one Portfolio; `feeds` are in the row they trade at."""
    opens, closes = np.hstack([case.opens for case in cases]), np.hstack([case.closes for case in cases])
    widths = [case.opens.shape[1] for case in cases]
    together = vectorbt_engine.portfolio(
        ExecutionPrices.from_panel(panel_of(opens, closes), price),
        np.hstack(feeds),
        costs=[costs_of(case) for case in cases],
        cash=[case.cash for case in cases],
        groups=np.repeat(np.arange(len(cases)), widths).tolist(),
    )
    records = together.orders.values
    accounts = []
    for case, last in zip(cases, np.cumsum(widths), strict=True):
        first = last - case.opens.shape[1]
        own = records[(records["col"] >= first) & (records["col"] < last)].copy()
        own["col"] -= first
        own = own[np.argsort(own["id"], kind="stable")]
        accounts.append(
            vectorbt_engine.rebuild(own, prices_of(case, price), case.cash, costs_of(case).slippage)
        )
    return accounts


def difference(ours: Sequence[float] | Array, theirs: Sequence[float] | Array, capital: float) -> float:
    """Largest difference of two equity paths, relative to max(equity, 1e-9 x capital)."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    return float(np.max(np.abs(ours - theirs) / np.maximum(np.abs(theirs), FLOOR * capital), initial=0.0))


def equity_of(account: Trace | Rebuilt) -> Array:
    return account.path[EQUITY]
