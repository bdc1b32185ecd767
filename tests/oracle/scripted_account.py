"""The paper account with a script: what it answers next, and how its time passes, is for a test to say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab.core.settings import PortfolioRiskSettings
from live_bridge.book import Book
from live_bridge.clock import ExchangeClock
from live_bridge.config import OrderSettings
from live_bridge.documents import RiskMemory, order_document, risk_document
from live_bridge.exchange import Holdings, Order, OrderReport, OrderStatus, Rules, Trade
from live_bridge.history import load_state
from live_bridge.journal import Draft, Journal
from live_bridge.orders import Costing
from live_bridge.paper import Ledger, PaperExchange
from live_bridge.reconciling import Reconciler, differences
from live_bridge.recorded import RecordedMarket
from live_bridge.sending import Sender
from live_bridge.state import BridgeState

START: Final = datetime(2023, 5, 1, 12, tzinfo=UTC)
START_MS: Final = 1_682_942_400_000
PREFIX: Final = "core-"
OWN: Final = object()
COSTS: Final = Costing(Decimal("0.001"), Decimal(0))
RULES: Final = Rules(
    "BTC/USDT", "BTC", "USDT", Decimal("0.001"), Decimal("0.01"), Decimal("0.001"), Decimal(10)
)
LIMITS: Final = PortfolioRiskSettings(max_weight_per_asset=1.0, max_exposure_pct=1.0)


class Then(NamedTuple):
    """A step of a script: do as always, then fail on the way back."""

    error: Exception


class Time:
    """The exchange's clock and this machine's; only waiting moves them."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed

    def pause(self, seconds: float) -> None:
        self.passed += seconds


class ScriptedAccount(PaperExchange):
    """A paper account whose answers come from `script`, by method, until it is read to its end.

    A step is `OWN` (as always), an exception, a :class:`Then`, a function of the arguments, or the answer.
    """

    def __init__(self, time: Time, balances: Mapping[str, str], prices: Mapping[str, Decimal]) -> None:
        ledger = Ledger({name: Decimal(amount) for name, amount in balances.items()})
        market = RecordedMarket(START, {RULES.symbol: RULES}, {}, prices)
        super().__init__(market, ledger, COSTS)
        self.time = time
        self.script: dict[str, Iterator[Any]] = {}
        self.calls: list[tuple[Any, ...]] = []

    def answers(self, **steps: Iterable[Any]) -> None:
        self.script |= {name: iter(found) for name, found in steps.items()}

    def called(self, name: str) -> list[tuple[Any, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]

    def now(self) -> datetime:
        return self._next("now", self.time.now)

    def rules(self, symbols: Sequence[str]) -> Any:
        return self._next("rules", super().rules, symbols)

    def prices(self, symbols: Sequence[str]) -> Any:
        return self._next("prices", super().prices, symbols)

    def balances(self) -> Holdings:
        return self._next("balances", super().balances)

    def submit(self, order: Order, *, sent_ms: int) -> OrderReport:
        return self._next("submit", super().submit, order, sent_ms=sent_ms)

    def order(self, symbol: str, client_id: str) -> OrderReport | None:
        return self._next("order", super().order, symbol, client_id)

    def order_by_number(self, symbol: str, exchange_id: str) -> OrderReport | None:
        return self._next("order_by_number", super().order_by_number, symbol, exchange_id)

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        return self._next("open_orders", super().open_orders, symbol)

    def orders(self, symbol: str, *, since_ms: int | None = None) -> tuple[OrderReport, ...]:
        return self._next("orders", super().orders, symbol, since_ms=since_ms)

    def trades(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        after: int | None = None,
        since_ms: int | None = None,
    ) -> tuple[Trade, ...]:
        wanted = {"order_id": order_id, "after": after, "since_ms": since_ms}
        return self._next("trades", super().trades, symbol, **wanted)

    def cancel(self, symbol: str, client_id: str) -> None:
        self._next("cancel", super().cancel, symbol, client_id)

    def _next(self, name: str, own: Any, *arguments: Any, **named: Any) -> Any:
        self.calls.append((name, *arguments))
        step = next(self.script.get(name, iter(())), OWN)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Then):
            own(*arguments, **named)
            raise step.error
        if callable(step):
            return step(*arguments)
        return own(*arguments, **named) if step is OWN else step


@dataclass(frozen=True, slots=True)
class Stage:
    """A scripted account, the journal of what is ordered there, and those who bring both together."""

    account: ScriptedAccount
    book: Book
    time: Time
    sender: Sender
    reconciler: Reconciler

    @property
    def state(self) -> BridgeState:
        return self.book.state

    def plan(self, *orders: Order, tick: str = "core-t1", minutes: float = 60.0) -> None:
        body = {
            "orders": [order_document(order) for order in orders],
            "marks": {},
            "risk": {"after": risk_document(self.state.risk)},
            "valid_until": (START + timedelta(minutes=minutes)).isoformat(),
            "scope": ["main", "core", tick, "head"],
        }
        self.book.append([Draft("PLANNED", body)], tick=tick)

    def halt(self) -> None:
        self.book.append([Draft("HALTED", {"by": "a person", "reason": "a test"})])

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        return [event.body for event in self.book.journal.events() if event.kind in kinds]

    def kinds(self) -> list[str]:
        """The kinds of events since the first plan."""
        found = [event.kind for event in self.book.journal.events()]
        return found[found.index("PLANNED") + 1 :]

    def codes(self) -> list[str]:
        return [incident.code for incident in self.book.incidents]

    def agree(self) -> bool:
        """Whether the journal's ledger is the account, and a later start reads what this run knows."""
        currencies = sorted({*self.state.ledger.amounts, *self.account.ledger.amounts})
        apart = differences(self.state, PaperExchange.balances(self.account), currencies)
        again = load_state(self.book.journal)
        return not apart and again is not None and again.document() == self.state.document()


def stage(
    folder: Path,
    balances: Mapping[str, str],
    *,
    price: str = "100",
    foreign: Mapping[str, str] | None = None,
    adopt: bool = False,
    **settings: Any,
) -> Stage:
    """Return an account with `balances`, all of them the portfolio's and known to the journal."""
    time, prices = Time(), {RULES.symbol: Decimal(price)}
    account = ScriptedAccount(time, balances, prices)
    journal = Journal(folder / "main.sqlite", account="main", portfolio="core")
    first = BridgeState(
        currency="USDT",
        ledger=account.ledger,
        marks=prices,
        risk=RiskMemory(),
        mode="live",
        opened_ms=START_MS,
    )
    document = first.document() | {"foreign": dict(foreign or {})}
    book = Book(journal, first, time.now)
    book.append([Draft("OPENED", {"state": document})])
    return _run(account, journal, OrderSettings(**settings), adopt=adopt)


def next_run(at: Stage) -> Stage:
    """Return the same account and journal as another run finds them: with time, and what is on file."""
    return _run(at.account, at.book.journal, at.sender.settings, adopt=at.reconciler.adopt)


def _run(account: ScriptedAccount, journal: Journal, settings: OrderSettings, *, adopt: bool) -> Stage:
    time, state = account.time, load_state(journal)
    assert state is not None
    clock = ExchangeClock(
        account.now, time.now(), seconds=settings.settle_s, monotonic=time.monotonic, pause=time.pause
    )
    book = Book(journal, state, clock.now)
    sender = Sender(account, book, clock, settings, LIMITS, COSTS, 5_000)
    reconciler = Reconciler(account, book, clock, prefix=PREFIX, adopt=adopt)
    return Stage(account, book, time, sender, reconciler)


def report_of(
    order: Order, status: OrderStatus, filled: str = "0", *, number: str = "7", symbol: str = ""
) -> OrderReport:
    """What an exchange would say of an order that was placed at the start."""
    return OrderReport(
        number,
        order.id,
        symbol or order.symbol,
        order.side,
        status,
        order.quantity,
        Decimal(filled),
        START_MS,
    )


def trade_of(order: Order, quantity: str, **changes: Any) -> Trade:
    """An execution of a part of an order at its price, without a fee."""
    amount = Decimal(quantity)
    made = {
        "id": 70,
        "order_id": "7",
        "symbol": order.symbol,
        "side": order.side,
        "quantity": amount,
        "price": order.price,
        "cost": amount * order.price,
        "fee": Decimal(0),
        "fee_asset": "USDT",
        "maker": False,
        "at_ms": START_MS,
    }
    return Trade(**{**made, **changes})
