"""One tick, step by step: plan durably first, then act, then close. Whatever dies, the journal says where."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from lab.core.errors import ConfigError
from lab.strategies import Portfolio
from live_bridge.bars import Answer, fetch_bars
from live_bridge.book import Book
from live_bridge.config import LoadedConfig
from live_bridge.decisions import Decisions, decide_all, due_instances
from live_bridge.desk import Desk
from live_bridge.exchange import MarketData, Rules
from live_bridge.exchange_health import WELL, exchange_health
from live_bridge.history import HALTED
from live_bridge.inputs import record_candles, record_series
from live_bridge.journal import Draft
from live_bridge.permission import account_at, held_symbols, traded_symbols
from live_bridge.planning import Planned, plan_tick
from live_bridge.series import SeriesAnswer, StoredSeries, fetch_series
from live_bridge.state import BridgeState, OpenTick
from live_bridge.undecided import SeriesWaiting, Skipped, Waiting

__all__ = ["Outcome", "Tick", "close_tick"]


@dataclass(slots=True)
class Outcome:
    """What a run did: the tick it acted in or found decided, whether it acted, and what to tell."""

    tick: str = ""
    acted: bool = False
    planned: bool = False
    halted: bool = False
    waiting: list[Waiting | SeriesWaiting] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class Tick:
    """One run of the bridge over an open journal.

    Parameters
    ----------
    loaded : LoadedConfig
    portfolio : Portfolio
    book : Book
        The journal, held under the lock, and what it adds up to.
    market : MarketData
        The exchange.
    desk : Desk
        Who brings orders to an end.
    now : datetime
        Exchange time.
    banned : bool
        Whether the exchange banned a run before this one, and none has planned since.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        portfolio: Portfolio,
        book: Book,
        market: MarketData,
        desk: Desk,
        now: datetime,
        banned: bool = False,
    ) -> None:
        self.loaded, self.portfolio, self.book = loaded, portfolio, book
        self.market, self.desk, self.now, self.banned = market, desk, now, banned
        self.outcome = Outcome(tick=book.state.tick)

    @property
    def state(self) -> BridgeState:
        """What the journal adds up to."""
        return self.book.state

    def run(self) -> Outcome:
        """Finish what a dead run left, then decide and act where a bar has closed."""
        with self._timed("recover"):
            self._prepare()
            if self.state.open_tick is not None:
                self._recover(self.state.open_tick)
        if self.state.risk.mode == HALTED:
            self.outcome.halted = True
            self.outcome.reasons.append(
                "HALTED: nothing is decided or ordered until a person says 'live-bridge resume'"
            )
            return self.outcome
        due = due_instances(self.portfolio, self.state, self.now)
        if not due:
            self.outcome.reasons.append(
                "ALREADY_DECIDED: no bar has closed since the last decision of any instance"
            )
            return self.outcome
        with self._timed("discover"):
            rules = self._rules()
        with self._timed("bars"):
            answers = fetch_bars(self.market, self.loaded, self.portfolio, self.now)
            series = fetch_series(
                StoredSeries(self.loaded.root),
                self.portfolio,
                self.now,
                context=self.loaded.quality.context_bars,
            )
        with self._timed("decide"):
            found = decide_all(self.portfolio, due, answers, self.loaded, self.now, series)
        self._tell(found)
        if found.decisions:
            self._plan(found, answers, rules, series)
            with self._timed("act"):
                self.desk.act()
                close_tick(self.book, self._symbols())
        return self.outcome

    def _symbols(self) -> list[str]:
        traded = traded_symbols(self.portfolio, self.loaded.settings)
        return sorted({*traded, *held_symbols(self.state)})

    def _rules(self) -> dict[str, Rules]:
        """Return the rules of every symbol that is listed; one that is merely held may be gone."""
        traded = traded_symbols(self.portfolio, self.loaded.settings)
        rules = dict(self.market.rules(traded))
        gone = []
        for symbol in held_symbols(self.state):
            try:
                rules |= self.market.rules([symbol]) if symbol not in rules else {}
            except ConfigError:
                gone.append(symbol)
        stopped = [
            symbol for symbol in held_symbols(self.state) if symbol in rules and not rules[symbol].active
        ]
        drafts = [
            self.book.incident("MARKET_NOT_TRADING", f"{symbol} is held and does not trade now", symbol)
            for symbol in (*gone, *stopped)
        ]
        self.book.append(drafts, tick="")
        return rules

    def _prepare(self) -> None:
        told = self.desk.prepare(self._symbols())
        for kind, what in told.items():
            if what:
                self.outcome.reasons.append(f"RECONCILED {kind}: {what}")

    def _tell(self, found: Decisions) -> None:
        self.outcome.waiting, self.outcome.skipped = list(found.waiting), list(found.skipped)
        self.outcome.reasons += [str(waiting) for waiting in found.waiting]
        self.outcome.reasons += [str(skipped) for skipped in found.skipped]
        drafts = []
        for skipped in found.skipped:
            if self.state.skipped.get(skipped.instance) == str(skipped):
                # Said once: cron may ask every minute.
                continue
            drafts.append(Draft("SKIPPED", skipped.document()))
            drafts.append(self.book.incident(skipped.code, f"{skipped.instance}: {skipped.detail}"))
        self.outcome.reasons += [str(notice) for notice in found.notices]
        drafts += [
            self.book.incident(notice.code, f"{notice.instance}: {notice.detail}") for notice in found.notices
        ]
        self.book.append(drafts)

    def _plan(
        self,
        found: Decisions,
        answers: Mapping[tuple[str, str], Answer],
        rules: Mapping[str, Rules],
        series: Mapping[str, SeriesAnswer],
    ) -> None:
        with self._timed("prices"):
            prices = self.market.prices(sorted(rules))
        # A simulation goes on as a backtest does, whatever the exchange it looks at suffers from.
        health = WELL
        if self.loaded.settings.mode == "live":
            health = exchange_health(self.market, self.portfolio.risk.health, banned=self.banned)
            self.outcome.reasons += [health.reason] if health.reason else []
        with self._timed("plan"):
            planned = plan_tick(
                self.loaded,
                self.portfolio,
                self.state,
                found,
                answers,
                rules,
                prices,
                symbols=self._symbols(),
                now=self.now,
                head=self.book.journal.head[1],
                trouble=health.code,
            )
            self._record(found, answers, series, planned)
        self.outcome.tick, self.outcome.acted, self.outcome.planned = planned.tick, True, True

    def _record(
        self,
        found: Decisions,
        answers: Mapping[tuple[str, str], Answer],
        series: Mapping[str, SeriesAnswer],
        planned: Planned,
    ) -> None:
        drafts = [Draft("DECIDED", decision.document()) for decision in found.decisions]
        with self.book.journal.transaction() as connection:
            received = {
                f"{symbol} {timeframe}": record_candles(
                    connection, symbol, answer.timeframe, answer.candles, start=answer.start, end=answer.end
                )
                for (symbol, timeframe), answer in answers.items()
            }
            body = {**planned.body, "received": received}
            if series:
                body["series"] = {name: record_series(connection, answer) for name, answer in series.items()}
            self.book.append([*drafts, Draft("PLANNED", body)], tick=planned.tick)

    def _recover(self, tick: OpenTick) -> None:
        self.outcome.tick, self.outcome.acted = tick.tick, True
        text = f"{tick.tick}: a run before this one died with its orders planned"
        self.outcome.reasons.append(f"RECOVERED {text}")
        self.book.append([self.book.incident("RECOVERED", text)])
        if self.state.risk.mode == HALTED:
            self.desk.drop("HALTED")
        elif self.now < datetime.fromisoformat(tick.valid_until):
            self.desk.act()
        else:
            dropped = self.desk.drop("OUTLIVED")
            text = f"{dropped} orders of {tick.tick}: its bar is over"
            self.outcome.reasons.append(f"ABANDONED {text}")
            if dropped:
                self.book.append([self.book.incident("ABANDONED", text)])
        close_tick(self.book, self._symbols())

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.outcome.seconds[phase] = time.perf_counter() - started


def close_tick(book: Book, symbols: list[str]) -> None:
    """Write the end of the open tick, with the whole state: a later start begins from here."""
    state = book.state
    equity = account_at(state, symbols).equity
    body = {"equity": str(equity), "currency": state.currency, "state": state.document()}
    book.append([Draft("CLOSED", body)])
