"""From what the instances want to what the portfolio may hold: allocation, then the lab's risk step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from typing import Any, Final

import numpy as np

from lab.risk import Limits, RiskState, observe, reason_names, step
from lab.strategies import Portfolio, StrategyInstance
from lab.strategies.sizing import capped
from live_bridge.config import BridgeConfig
from live_bridge.decisions import Decision
from live_bridge.documents import RiskMemory
from live_bridge.exchange import Rules
from live_bridge.orders import CONTEXT
from live_bridge.state import BridgeState

__all__ = ["Account", "Permission", "Permitted", "account_at", "held_symbols", "permit", "traded_symbols"]

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
    """The outcome of one risk step."""

    targets: tuple[Permitted, ...]
    before: RiskMemory
    after: RiskMemory


def traded_symbols(portfolio: Portfolio, config: BridgeConfig) -> tuple[str, ...]:
    """Return the symbols that the portfolio's instances trade, sorted."""
    return tuple(sorted({config.symbol(market) for market in portfolio.markets}))


def held_symbols(state: BridgeState) -> tuple[str, ...]:
    """Return the symbols with a position, sorted."""
    held = (base for base, amount in state.ledger.amounts.items() if base != state.currency and amount > 0)
    return tuple(sorted(f"{base}/{state.currency}" for base in held))


def account_at(state: BridgeState, symbols: Sequence[str]) -> Account:
    """Value the account at the state's marks; a position without any mark counts as nothing."""
    with localcontext(CONTEXT):
        quantities = {symbol: state.ledger[symbol.split("/")[0]] for symbol in symbols}
        cash = state.ledger[state.currency]
        values = (q * state.marks[symbol] for symbol, q in quantities.items() if symbol in state.marks)
        return Account(cash, quantities, dict(state.marks), cash + sum(values, Decimal(0)))


def permit(
    portfolio: Portfolio,
    config: BridgeConfig,
    state: BridgeState,
    decisions: Sequence[Decision],
    account: Account,
    tradeable: Mapping[str, Rules],
    now: datetime,
) -> Permission:
    """Combine the instances' weights by allocation and put them through :func:`lab.risk.step`.

    Instances that did not decide now keep their last weights where they share a market with one that did;
    markets in which none decided keep their quantity.

    Parameters
    ----------
    portfolio, config, state
        What is traded, as what, and what happened before.
    decisions : sequence of Decision
        Those of this tick.
    account : Account
        Valued at the prices that trades would be done at.
    tradeable : mapping of str to Rules
        Rules of the symbols that have a price now.
    now : datetime
        Exchange time.
    """
    symbols = tuple(account.quantities)
    wanted, limited = _wanted(portfolio, config, state, decisions, symbols)
    held = np.array([_weight(symbol, account) for symbol in symbols])
    alive = np.array([symbol in tradeable and tradeable[symbol].active for symbol in symbols], dtype=np.bool_)
    day = (now - _EPOCH).days
    memory = state.risk
    remembered = RiskState(
        float(account.equity), held, alive, memory.day, memory.day_start_equity, memory.mode
    )
    observed = observe(remembered, float(account.equity), held, alive, day)
    limits = Limits.from_settings(portfolio.risk, portfolio.costs)
    permitted, after, codes = step(wanted, observed, limits)
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
    return Permission(targets, _memory(observed), _memory(after))


def _wanted(
    portfolio: Portfolio,
    config: BridgeConfig,
    state: BridgeState,
    decisions: Sequence[Decision],
    symbols: Sequence[str],
) -> tuple[np.ndarray[Any, np.dtype[np.float64]], set[str]]:
    decided = {decision.instance.strategy_id: decision.weights for decision in decisions}
    rows = [_row(instance, decided, state) for instance in portfolio.instances]
    combined = dict(zip(portfolio.markets, portfolio.combine(rows), strict=True))
    moved = {config.symbol(market) for weights in decided.values() for market in weights}
    total = dict.fromkeys(symbols, 0.0)
    for market, weight in combined.items():
        total[config.symbol(market)] += float(weight)
    traded = {config.symbol(market) for market in combined}
    wanted = np.array([total[s] if s in traded and s in moved else math.nan for s in symbols])
    limited = {
        config.symbol(market)
        for instance, row in zip(portfolio.instances, rows, strict=True)
        if instance.strategy_id in decided
        for market in _limited(instance, row)
    }
    return wanted, limited


def _row(
    instance: StrategyInstance, decided: Mapping[str, Mapping[str, float]], state: BridgeState
) -> np.ndarray[Any, np.dtype[np.float64]]:
    last = state.decided.get(instance.strategy_id)
    weights = decided.get(instance.strategy_id) or (last.weights if last else {})
    return np.array([weights.get(market, math.nan) for market in instance.markets])


def _limited(instance: StrategyInstance, row: np.ndarray[Any, np.dtype[np.float64]]) -> list[str]:
    cut = capped(row.reshape(1, -1), instance.risk.max_position_pct, instance.risk.max_exposure_pct)[0]
    return [market for market, a, b in zip(instance.markets, row, cut, strict=True) if b < a]


def _weight(symbol: str, account: Account) -> float:
    mark = account.marks.get(symbol)
    if mark is None or account.equity <= 0:
        return 0.0
    with localcontext(CONTEXT):
        return float(account.quantities[symbol] * mark / account.equity)


def _memory(state: RiskState) -> RiskMemory:
    return RiskMemory(int(state.day), float(state.day_start_equity), int(state.mode))
