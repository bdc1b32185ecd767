"""What the bridge asks of an exchange, as protocols and frozen values; nothing here knows CCXT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from lab.core.errors import VenueError
from lab.core.timeframe import Timeframe

__all__ = [
    "Candle",
    "Exchange",
    "Fill",
    "Holdings",
    "KeyRights",
    "MarketData",
    "Order",
    "OrderKind",
    "OrderRefusedError",
    "OrderReport",
    "OrderStatus",
    "Rules",
    "Side",
    "Trade",
    "UnclearError",
]

Side = Literal["buy", "sell"]
OrderKind = Literal["market", "limit"]
OrderStatus = Literal["open", "closed", "canceled", "expired", "rejected"]


class Candle(NamedTuple):
    """One bar as received.

    Attributes
    ----------
    ts : datetime
        Opening time, UTC.
    open, high, low, close, volume : float or None
        None where the exchange sent nothing; volume in the base currency.
    """

    ts: datetime
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the exchange demands of an order in one market: the only source of rounding.

    Attributes
    ----------
    symbol, base, quote : str
        The market and its currencies, in CCXT's unified notation.
    step, tick : Decimal
        Quantities and limit prices are whole multiples of these; 0 means any.
    min_quantity, min_notional : Decimal
        Smallest order, in base and in quote currency.
    max_quantity : Decimal or None
        Largest market order in base currency; None without a limit.
    active : bool
        Whether the market trades now.
    """

    symbol: str
    base: str
    quote: str
    step: Decimal = Decimal(0)
    tick: Decimal = Decimal(0)
    min_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    max_quantity: Decimal | None = None
    active: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """An order as planned.

    Attributes
    ----------
    id : str
        Client order id, at most 36 characters; see :func:`live_bridge.orders.order_id`.
    symbol : str
        Market in CCXT's notation.
    side : "buy" or "sell"
    quantity : Decimal
        Base currency, a whole multiple of the market's step.
    price : Decimal
        Price at decision time, which the plan counted with; a market order does not send it.
    kind : "market" or "limit"
    limit : Decimal or None
        Price of a limit order.
    slice, replacement, attempt : int
        Which part of a larger order, the how-manieth limit price, the how-manieth try; parts of the id.
    """

    id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    kind: OrderKind = "market"
    limit: Decimal | None = None
    slice: int = 0
    replacement: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """What came of an order: quantity in base, price and fee in quote currency."""

    order: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution as the exchange books it; `cost` is in quote currency, `at_ms` exchange time."""

    id: int
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cost: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    at_ms: int


@dataclass(frozen=True, slots=True)
class OrderReport:
    """What the exchange says of an order: its own `id`, ours, and how much of it was filled."""

    id: str
    client_id: str
    symbol: str
    side: Side
    status: OrderStatus
    quantity: Decimal
    filled: Decimal
    at_ms: int

    @property
    def terminal(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status != "open"


@dataclass(frozen=True, slots=True)
class Holdings:
    """An account's answer: free and total quantity by currency, and when it last changed (0: not told)."""

    free: Mapping[str, Decimal]
    total: Mapping[str, Decimal]
    updated_ms: int = 0


@dataclass(frozen=True, slots=True)
class KeyRights:
    """What an API key may do, and since when it exists: milliseconds, None where the exchange tells not."""

    withdraw: bool
    trade: bool
    ip_restricted: bool
    created_ms: int | None = None


class OrderRefusedError(VenueError):
    """The exchange answered definitely that it did not take an order.

    `kind` is what to do: ``skip`` this order, ``retry`` it under a new id, ``wait`` for the next run, or
    ``halt`` because the key may not trade; `wait_s` is how long it asks to wait.
    """

    def __init__(
        self, message: str, kind: Literal["skip", "retry", "wait", "halt"], wait_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.kind, self.wait_s = kind, wait_s


class UnclearError(VenueError):
    """Nobody knows whether the exchange took an order: only asking tells."""


@runtime_checkable
class MarketData(Protocol):
    """The public side of an exchange.

    Every call may raise :class:`~lab.core.errors.VenueError` when the exchange cannot be reached, refuses or
    answers nonsense; a method never answers with less than it was asked for in silence.
    """

    def now(self) -> datetime:
        """Return the exchange's server time, UTC."""
        ...

    def rules(self, symbols: Sequence[str]) -> Mapping[str, Rules]:
        """Return the trading rules of each symbol.

        Raises
        ------
        ConfigError
            If the exchange does not list a symbol; the message has the nearest names.
        """
        ...

    def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the bars that open in ``[start, end)``, ascending by opening time, none twice.

        Bars the exchange does not have are missing from the answer. Whether the last one is complete is for
        the caller to say: pass the opening time of the running bar as `end`.
        """
        ...

    def prices(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the last traded price of each symbol; a symbol without one is absent."""
        ...


@runtime_checkable
class Exchange(MarketData, Protocol):
    """An exchange that also holds an account."""

    def balances(self) -> Holdings:
        """Return what the account holds, locked quantities included in `total`."""
        ...

    def submit(self, order: Order, *, sent_ms: int) -> OrderReport:
        """Send an order: one request, ever.

        Its id was never used before; the request is signed with exchange time `sent_ms`, from which on it is
        valid for the receive window.

        Raises
        ------
        OrderRefusedError
            If the exchange definitely did not take it.
        UnclearError
            If it may have.
        """
        ...

    def order(self, symbol: str, client_id: str) -> OrderReport | None:
        """Return the latest order of that client id, None where the exchange knows none."""
        ...

    def order_by_number(self, symbol: str, exchange_id: str) -> OrderReport | None:
        """Return the order of the exchange's own number."""
        ...

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Return the open orders of a symbol, whoever placed them."""
        ...

    def orders(self, symbol: str, *, since_ms: int | None = None) -> tuple[OrderReport, ...]:
        """Return the orders of a symbol placed since then; without a time its last ones."""
        ...

    def trades(
        self,
        symbol: str,
        *,
        order_id: str | None = None,
        after: int | None = None,
        since_ms: int | None = None,
    ) -> tuple[Trade, ...]:
        """Return executions, ascending: of one order, above a number, or since a time."""
        ...

    def cancel(self, symbol: str, client_id: str) -> None:
        """Ask for an order to be cancelled; whether it was, :meth:`order` tells."""
        ...

    def rights(self) -> KeyRights:
        """Return what the key may do."""
        ...
