"""One tick, step by step: plan durably first, then act, then close. Whatever dies, the journal says where."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from lab.strategies import Portfolio
from live_bridge.bars import Answer, fetch_bars
from live_bridge.config import LoadedConfig
from live_bridge.decisions import Decision, Decisions, Skipped, Waiting, decide_all, due_instances
from live_bridge.documents import fill_document, order_document, risk_document, rules_document
from live_bridge.exchange import MarketData, Rules
from live_bridge.inputs import record_candles
from live_bridge.journal import Draft, Journal
from live_bridge.measured import measure_markets
from live_bridge.orders import Costing, Plan, Target, plan_orders
from live_bridge.paper import Ledger, PaperExchange
from live_bridge.permission import (
    Account,
    Permission,
    account_at,
    held_symbols,
    permit,
    traded_symbols,
)
from live_bridge.state import BridgeState, OpenTick, apply
from live_bridge.wishes import wishes_of

__all__ = ["Outcome", "Tick", "open_account"]


@dataclass(slots=True)
class Outcome:
    """What a run did: the tick it acted in or found decided, whether it acted, and what to tell."""

    tick: str = ""
    acted: bool = False
    waiting: list[Waiting] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def open_account(journal: Journal, portfolio: Portfolio, *, at: datetime) -> BridgeState:
    """Write the first event of a journal: the paper account with the portfolio's capital."""
    currency = portfolio.reference_currency
    capital = Decimal(str(portfolio.capital))
    state = BridgeState(currency=currency, ledger=Ledger({currency: capital}), at=at.isoformat())
    journal.append([Draft("OPENED", {"mode": "paper", "state": state.document()})], at=at)
    return state


class Tick:
    """One run of the bridge over an open journal.

    Parameters
    ----------
    loaded : LoadedConfig
    portfolio : Portfolio
    journal : Journal
        Held under the lock.
    market : MarketData
        The exchange.
    state : BridgeState
        What the journal adds up to.
    now : datetime
        Exchange time.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        portfolio: Portfolio,
        journal: Journal,
        market: MarketData,
        state: BridgeState,
        now: datetime,
    ) -> None:
        self.loaded, self.portfolio, self.journal = loaded, portfolio, journal
        self.market, self.state, self.now = market, state, now
        self.costs = Costing.from_basis_points(portfolio.costs.fee_bps, portfolio.costs.slippage_bps)
        self.outcome = Outcome(tick=state.tick)

    def run(self) -> Outcome:
        """Finish what a dead run left, then decide and act where a bar has closed."""
        if self.state.open_tick is not None:
            with self._timed("recover"):
                self._recover(self.state.open_tick)
        due = due_instances(self.portfolio, self.state, self.now)
        if not due:
            self.outcome.reasons.append(
                "ALREADY_DECIDED: no bar has closed since the last decision of any instance"
            )
            return self.outcome
        symbols = sorted({*traded_symbols(self.portfolio, self.loaded.settings), *held_symbols(self.state)})
        with self._timed("discover"):
            rules = self.market.rules(symbols)
        with self._timed("bars"):
            answers = fetch_bars(self.market, self.loaded, self.portfolio, self.now)
        with self._timed("decide"):
            found = decide_all(self.portfolio, due, answers, self.loaded, self.now)
        self.outcome.waiting, self.outcome.skipped = list(found.waiting), list(found.skipped)
        self.outcome.reasons += [str(waiting) for waiting in self.outcome.waiting]
        self.outcome.reasons += [str(skipped) for skipped in self.outcome.skipped]
        if found.decisions:
            with self._timed("prices"):
                prices = self.market.prices(symbols)
            with self._timed("plan"):
                plan = self._plan(found, answers, rules, prices, symbols)
            with self._timed("act"):
                self._act(plan)
        return self.outcome

    def _plan(
        self,
        found: Decisions,
        answers: Mapping[tuple[str, str], Answer],
        rules: Mapping[str, Rules],
        prices: Mapping[str, Decimal],
        symbols: Sequence[str],
    ) -> OpenTick:
        decisions = found.decisions
        last = max(decisions, key=lambda decision: decision.closed)
        tick = f"{self.portfolio.portfolio_id}-{last.closed:%Y%m%dT%H%M%SZ}-{self.state.ticks + 1}"
        account = account_at(self.state.with_marks(prices), symbols)
        tradeable = {symbol: rules[symbol] for symbol in symbols if symbol in prices}
        wishes = wishes_of(
            self.portfolio,
            {decision.instance.strategy_id: decision.weights for decision in decisions},
            found.opinions,
            {name: decided.weights for name, decided in self.state.decided.items()},
            self.now,
        )
        permission = permit(
            self.portfolio,
            self.loaded.settings,
            self.state,
            wishes,
            account,
            tradeable,
            self.now,
            measure_markets(self.portfolio, answers, self.loaded, self.now),
        )
        targets = [
            Target(t.symbol, t.permitted, account.quantities[t.symbol], prices.get(t.symbol))
            for t in permission.targets
        ]
        scope = (self.loaded.settings.account, self.portfolio.portfolio_id, tick)
        plan = plan_orders(
            targets, rules, equity=account.equity, cash=account.cash, costs=self.costs, scope=scope
        )
        body = self._planned(decisions, account, prices, rules, permission, plan)
        drafts = [Draft("DECIDED", d.document()) for d in decisions] + [Draft("PLANNED", body)]
        with self.journal.transaction() as connection:
            received = {
                f"{symbol} {timeframe}": record_candles(
                    connection, symbol, answer.timeframe, answer.candles, start=answer.start, end=answer.end
                )
                for (symbol, timeframe), answer in answers.items()
            }
            body["received"] = received
            self._append(drafts, tick)
        self.outcome.tick, self.outcome.acted = tick, True
        return OpenTick(tick, body["valid_until"], plan.orders)

    def _planned(
        self,
        decisions: Sequence[Decision],
        account: Account,
        prices: Mapping[str, Decimal],
        rules: Mapping[str, Rules],
        permission: Permission,
        plan: Plan,
    ) -> dict[str, Any]:
        ends = (
            decision.closed + timedelta(seconds=decision.instance.timeframe.seconds) for decision in decisions
        )
        settings = self.loaded.settings
        return {
            "now": self.now.isoformat(),
            "mode": settings.mode,
            "version": version("mnemo-quant"),
            "exchange": {"id": settings.exchange.id, "base_url": settings.exchange.base_url},
            "config_digest": self.loaded.digest,
            "portfolio_hash": self.portfolio.config_hash,
            "equity": str(account.equity),
            "cash": str(account.cash),
            "marks": {symbol: str(price) for symbol, price in prices.items()},
            "rules": {symbol: rules_document(rule) for symbol, rule in rules.items()},
            "costs": {"fee": str(self.costs.fee), "slippage": str(self.costs.slippage)},
            "risk": {"before": risk_document(permission.before), "after": risk_document(permission.after)},
            "targets": [target.document() for target in permission.targets],
            "orders": [order_document(order) for order in plan.orders],
            "skipped": [
                {"symbol": s.symbol, "side": s.side, "quantity": str(s.quantity), "reason": s.reason}
                for s in plan.skipped
            ],
            "valid_until": min(ends).isoformat(),
        }

    def _act(self, tick: OpenTick) -> None:
        broker = PaperExchange(self.market, self.state.ledger, self.costs)
        for order in tick.pending:
            broker.submit(order, sent_ms=round(self.now.timestamp() * 1_000))
            self._append([Draft("FILLED", fill_document(broker.fill(order.id), order))], tick.tick)
        self._close(tick.tick)

    def _recover(self, tick: OpenTick) -> None:
        self.outcome.tick, self.outcome.acted = tick.tick, True
        self.outcome.reasons.append(
            f"RECOVERED {tick.tick}: a run before this one died with its orders planned"
        )
        if self.now < datetime.fromisoformat(tick.valid_until):
            self._act(tick)
            return
        for order in tick.pending:
            body = {"order": order.id, "symbol": order.symbol, "reason": "OUTLIVED"}
            self._append([Draft("ABANDONED", body)], tick.tick)
        self.outcome.reasons.append(f"ABANDONED {len(tick.pending)} orders of {tick.tick}: its bar is over")
        self._close(tick.tick)

    def _close(self, tick: str) -> None:
        symbols = sorted({*traded_symbols(self.portfolio, self.loaded.settings), *held_symbols(self.state)})
        equity = account_at(self.state, symbols).equity
        # A later start begins from this state instead of from the journal's first event.
        body = {"equity": str(equity), "currency": self.state.currency, "state": self.state.document()}
        self._append([Draft("CLOSED", body)], tick)

    def _append(self, drafts: Sequence[Draft], tick: str) -> None:
        for event in self.journal.append(drafts, at=self.now, tick=tick):
            self.state = apply(self.state, event)

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.outcome.seconds[phase] = time.perf_counter() - started
