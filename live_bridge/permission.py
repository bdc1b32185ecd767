"""From what the instances want to what the portfolio may hold: allocation, then the lab's risk step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, Final

import numpy as np

from lab.risk import (
    Budget,
    RiskPlan,
    RiskState,
    budgets,
    memory_document,
    observe,
    plan_of,
    read_memory,
    reason_names,
    see,
    step,
    worst_trouble,
)
from lab.strategies import Portfolio
from live_bridge.config import BridgeConfig
from live_bridge.documents import RiskMemory
from live_bridge.exchange import Rules
from live_bridge.measured import Measured
from live_bridge.orders import CONTEXT
from live_bridge.state import BridgeState
from live_bridge.wishes import Wishes

__all__ = [
    "Account",
    "Permission",
    "Permitted",
    "account_at",
    "held_symbols",
    "permit",
    "risk_plan",
    "traded_symbols",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """The account at one instant: cash, quantities and marks by symbol, and their value together."""

    cash: Decimal
    quantities: Mapping[str, Decimal]
    marks: Mapping[str, Decimal]
    equity: Decimal


@dataclass(frozen=True, slots=True)
class Permitted:
    """One symbol's way through risk: weight now, wanted and permitted (NaN keeps), and why."""

    symbol: str
    held: float
    wanted: float
    permitted: float
    reasons: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as exact JSON."""
        hexadecimal = {
            key: None if math.isnan(value) else value.hex()
            for key, value in (("held", self.held), ("wanted", self.wanted), ("permitted", self.permitted))
        }
        return {"symbol": self.symbol, **hexadecimal, "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Permission:
    """The outcome of one risk step, and how much of each limit was used before its trades."""

    targets: tuple[Permitted, ...]
    before: RiskMemory
    after: RiskMemory
    budgets: tuple[Budget, ...] = ()


def traded_symbols(portfolio: Portfolio, config: BridgeConfig) -> tuple[str, ...]:
    """Return the symbols that the portfolio's instances trade, sorted."""
    return tuple(sorted({config.symbol(market) for market in portfolio.markets}))


def held_symbols(state: BridgeState) -> tuple[str, ...]:
    """Return the symbols with a position, sorted."""
    held = (base for base, amount in state.ledger.amounts.items() if base != state.currency and amount > 0)
    return tuple(sorted(f"{base}/{state.currency}" for base in held))


def account_at(state: BridgeState, symbols: Sequence[str]) -> Account:
    """Value the account at the state's marks; a position without any mark counts as nothing.

    Fees that were paid in a third coin are owed to whoever owns that coin, and taken off at its mark.
    """
    with localcontext(CONTEXT):
        quantities = {symbol: state.ledger[symbol.split("/")[0]] for symbol in symbols}
        cash = state.ledger[state.currency]
        owed = {
            symbol: amount
            for currency, amount in state.ledger.amounts.items()
            if (symbol := f"{currency}/{state.currency}") not in quantities and amount < 0
        }
        values = (q * state.marks[s] for s, q in {**quantities, **owed}.items() if s in state.marks)
        return Account(cash, quantities, dict(state.marks), cash + sum(values, Decimal(0)))


def permit(
    portfolio: Portfolio,
    config: BridgeConfig,
    state: BridgeState,
    wishes: Wishes,
    account: Account,
    tradeable: Mapping[str, Rules],
    now: datetime,
    measured: Mapping[str, Measured] | None = None,
    trouble: Mapping[str, float] | None = None,
) -> Permission:
    """Put what the portfolio wants through :func:`lab.risk.step` at the prices of now.

    Markets that trade as one symbol are added up: as soon as one of them was decided on, the others count
    with what is held virtually. Symbols in which nothing was decided keep their quantity.

    Parameters
    ----------
    portfolio, config, state
        What is traded, as what, and what happened before.
    wishes : Wishes
        Of all instances together.
    account : Account
        Valued at the prices that trades would be done at.
    tradeable : mapping of str to Rules
        Rules of the symbols that have a price now.
    now : datetime
        Exchange time.
    measured : mapping of str to Measured, optional
        How symbols move and trade; left out, limits that look at it take the most cautious figure.
    trouble : mapping of str to float, optional
        Codes of :func:`lab.risk.exchange_trouble` by symbol.
    """
    symbols = tuple(account.quantities)
    wanted, limited = _wanted(config, wishes, symbols)
    held = np.array([_weight(symbol, account) for symbol in symbols])
    alive = np.array([symbol in tradeable and tradeable[symbol].active for symbol in symbols], dtype=np.bool_)
    plan = risk_plan(portfolio, config, symbols)
    parts = _parts(config, wishes, symbols)
    remembered = _seen(state, plan, account, measured or {}, trouble or {}, parts)
    observed = observe(remembered, float(account.equity), held, alive, (now - _EPOCH).days)
    permitted, after, codes = step(wanted, observed, plan.limits)
    targets = tuple(
        Permitted(
            symbol,
            float(held[i]),
            float(wanted[i]),
            float(permitted[i]),
            (*(("INSTANCE_LIMIT",) if symbol in limited else ()), *reason_names(int(codes[i]))),
        )
        for i, symbol in enumerate(symbols)
    )
    before, later = (RiskMemory.from_document(memory_document(one, plan)) for one in (observed, after))
    return Permission(targets, before, later, tuple(budgets(after, plan)))


def _seen(
    state: BridgeState,
    plan: RiskPlan,
    account: Account,
    measured: Mapping[str, Measured],
    trouble: Mapping[str, float],
    parts: np.ndarray[Any, np.dtype[np.float64]],
) -> RiskState:
    """Return the breakers' memory with what the step looks at beside the account."""
    symbols = tuple(account.quantities)
    unknown = Measured(math.nan, math.nan, 0.0)
    rows = [measured.get(symbol, unknown) for symbol in symbols]
    return see(
        read_memory(state.risk.document(), plan, capital=float(account.equity)),
        marks=np.array([float(account.marks.get(symbol, math.nan)) for symbol in symbols]),
        volatility=np.array([row.volatility for row in rows]),
        volume=np.array([row.volume for row in rows]),
        trouble=np.array(
            [
                worst_trouble(row.trouble, trouble.get(symbol, 0.0))
                for symbol, row in zip(symbols, rows, strict=True)
            ]
        ),
        parts=parts,
    )


def risk_plan(portfolio: Portfolio, config: BridgeConfig, symbols: Sequence[str]) -> RiskPlan:
    """Return what the portfolio's ``risk`` section enforces on an account that trades `symbols`."""
    return plan_of(
        portfolio.risk,
        costs=portfolio.costs,
        markets=[f"{config.exchange.id}:{symbol}" for symbol in symbols],
        sleeves=portfolio.sleeves,
    )


def _parts(
    config: BridgeConfig, wishes: Wishes, symbols: Sequence[str]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    parts = np.zeros((wishes.parts.shape[0], len(symbols)))
    for column, market in enumerate(wishes.markets):
        parts[:, symbols.index(config.symbol(market))] += np.nan_to_num(wishes.parts[:, column])
    return parts


def _wanted(
    config: BridgeConfig, wishes: Wishes, symbols: Sequence[str]
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], set[str]]:
    total: dict[str, float] = {}
    decided: set[str] = set()
    for market, weight, virtual in zip(wishes.markets, wishes.weights, wishes.virtual, strict=True):
        symbol = config.symbol(market)
        counted = virtual if math.isnan(weight) else weight
        total[symbol] = total.get(symbol, 0.0) + (0.0 if math.isnan(counted) else float(counted))
        if not math.isnan(weight):
            decided.add(symbol)
    wanted = np.array([total[symbol] if symbol in decided else math.nan for symbol in symbols])
    return wanted, {config.symbol(market) for market in wishes.limited}


def _weight(symbol: str, account: Account) -> float:
    mark = account.marks.get(symbol)
    if mark is None or account.equity <= 0:
        return 0.0
    with localcontext(CONTEXT):
        return float(account.quantities[symbol] * mark / account.equity)
