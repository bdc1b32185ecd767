"""From decisions to a plan: permitted weights, orders, and the one record of both; nothing is sent here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from importlib.metadata import version
from typing import Any, Final

from lab.strategies import Portfolio
from live_bridge.bars import Answer
from live_bridge.config import LoadedConfig
from live_bridge.decisions import Decisions
from live_bridge.documents import order_document, risk_document, rules_document
from live_bridge.exchange import Rules
from live_bridge.measured import measure_markets
from live_bridge.orders import CONTEXT, Costing, Placing, Plan, Target, plan_orders
from live_bridge.permission import Account, Permission, account_at, permit
from live_bridge.state import BridgeState
from live_bridge.switches import blocked_symbols, without_entries
from live_bridge.wishes import Wishes, wishes_of

__all__ = ["Planned", "plan_tick"]

_VOLUME_BARS: Final = 20


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan: the tick's name, and the body of its ``PLANNED`` event."""

    tick: str
    body: dict[str, Any]


def plan_tick(
    loaded: LoadedConfig,
    portfolio: Portfolio,
    state: BridgeState,
    found: Decisions,
    answers: Mapping[tuple[str, str], Answer],
    rules: Mapping[str, Rules],
    prices: Mapping[str, Decimal],
    *,
    symbols: Sequence[str],
    now: datetime,
    head: str,
    trouble: float = 0.0,
) -> Planned:
    """Return the plan of a tick.

    Parameters
    ----------
    loaded, portfolio, state
        What is traded, how, and what happened before.
    found : Decisions
        Of this tick.
    answers : mapping
        The bars they were made from.
    rules, prices : mapping by symbol
        What the exchange says now.
    symbols : sequence of str
        Those traded and those held.
    now : datetime
        Exchange time.
    head : str
        Hash of the journal's last event. It is part of the order ids, so that a journal put back from a copy
        does not use an id again.
    trouble : float
        Code of :func:`lab.risk.exchange_trouble`, of all symbols.
    """
    last = max(found.decisions, key=lambda decision: decision.closed)
    tick = f"{portfolio.portfolio_id}-{last.closed:%Y%m%dT%H%M%SZ}-{state.ticks + 1}"
    scope = (loaded.settings.account, portfolio.portfolio_id, tick, head[:16])
    account = account_at(state.with_marks(prices), symbols)
    wishes = _wishes(portfolio, state, found, now)
    tradeable = {symbol: rules[symbol] for symbol in symbols if symbol in prices}
    ailing = dict.fromkeys(symbols, trouble)
    measured = measure_markets(portfolio, answers, loaded, now)
    blocked = blocked_symbols(loaded.root, portfolio, loaded.settings, now)
    permission = permit(portfolio, loaded.settings, state, wishes, account, tradeable, now, measured, ailing)
    permission = without_entries(permission, blocked)
    costs = Costing.from_basis_points(portfolio.costs.fee_bps, portfolio.costs.slippage_bps)
    targets, placing = _targets(permission, account, prices), _placing(loaded, answers)
    plan = _ordered(targets, rules, account, costs, scope, placing)
    body = _circumstances(loaded, portfolio, rules, prices, costs)
    body |= _reckoned(account, wishes, permission, plan)
    body |= {"now": now.isoformat(), "scope": list(scope), "valid_until": _valid_until(found).isoformat()}
    # Left out where all is well, as in the plans of before it was looked at.
    body |= {"trouble": trouble} if trouble else {}
    body["flags"] = {symbol: flag.reason for symbol, flag in blocked.items()}
    return Planned(tick, body)


def _ordered(
    targets: Sequence[Target],
    rules: Mapping[str, Rules],
    account: Account,
    costs: Costing,
    scope: tuple[str, ...],
    placing: Placing,
) -> Plan:
    funds = {"equity": account.equity, "cash": account.cash}
    return plan_orders(targets, rules, **funds, costs=costs, scope=scope, placing=placing)


def _targets(permission: Permission, account: Account, prices: Mapping[str, Decimal]) -> list[Target]:
    return [
        Target(t.symbol, t.permitted, account.quantities[t.symbol], prices.get(t.symbol))
        for t in permission.targets
    ]


def _valid_until(found: Decisions) -> datetime:
    """Return when the first of the bars that were decided on has its next close."""
    return min(
        decision.closed + timedelta(seconds=decision.instance.timeframe.seconds)
        for decision in found.decisions
    )


def _wishes(portfolio: Portfolio, state: BridgeState, found: Decisions, now: datetime) -> Wishes:
    return wishes_of(
        portfolio,
        {decision.instance.strategy_id: decision.weights for decision in found.decisions},
        found.opinions,
        {name: decided.weights for name, decided in state.decided.items()},
        now,
        state.shares if len(state.shares) == len(portfolio.instances) else None,
    )


def _placing(loaded: LoadedConfig, answers: Mapping[tuple[str, str], Answer]) -> Placing:
    settings = loaded.settings.orders
    share = settings.max_slice_volume_pct
    notional = settings.max_slice_notional
    return Placing(
        # A simulated fill is at the price, whatever an order would have been.
        kind=settings.type if loaded.settings.mode == "live" else "market",
        offset_bps=settings.limit_offset_bps,
        max_notional=None if notional is None else Decimal(str(notional)),
        max_quantity={} if share is None else _volume_caps(answers, Decimal(str(share))),
        max_slices=settings.max_slices,
    )


def _volume_caps(answers: Mapping[tuple[str, str], Answer], share: Decimal) -> dict[str, Decimal]:
    """Return a share of the mean volume of the bars before, by symbol; of the finest timeframe there is."""
    caps: dict[str, Decimal] = {}
    finest: dict[str, Answer] = {}
    for (symbol, _), answer in answers.items():
        known = finest.get(symbol)
        if known is None or answer.timeframe.seconds < known.timeframe.seconds:
            finest[symbol] = answer
    for symbol, answer in finest.items():
        volumes = [bar.volume for bar in answer.candles[-_VOLUME_BARS:] if bar.volume is not None]
        if volumes:
            with localcontext(CONTEXT):
                total = sum((Decimal(repr(float(volume))) for volume in volumes), Decimal(0))
                caps[symbol] = total / len(volumes) * share
    return caps


def _circumstances(
    loaded: LoadedConfig,
    portfolio: Portfolio,
    rules: Mapping[str, Rules],
    prices: Mapping[str, Decimal],
    costs: Costing,
) -> dict[str, Any]:
    settings = loaded.settings
    return {
        "mode": settings.mode,
        "version": version("mnemo-quant"),
        "exchange": {"id": settings.exchange.id, "base_url": settings.exchange.base_url},
        "config_digest": loaded.digest,
        "portfolio_hash": portfolio.config_hash,
        "marks": {symbol: str(price) for symbol, price in prices.items()},
        "rules": {symbol: rules_document(rule) for symbol, rule in rules.items()},
        "costs": {"fee": str(costs.fee), "slippage": str(costs.slippage)},
    }


def _reckoned(account: Account, wishes: Wishes, permission: Permission, plan: Plan) -> dict[str, Any]:
    return {
        "equity": str(account.equity),
        "cash": str(account.cash),
        "shares": [share.hex() for share in wishes.shares],
        "risk": {"before": risk_document(permission.before), "after": risk_document(permission.after)},
        "budgets": [budget.document() for budget in permission.budgets],
        "targets": [target.document() for target in permission.targets],
        "orders": [order_document(order) for order in plan.orders],
        "skipped": [
            {"symbol": s.symbol, "side": s.side, "quantity": str(s.quantity), "reason": s.reason}
            for s in plan.skipped
        ],
    }
