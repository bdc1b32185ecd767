"""What the bridge asks of an exchange, as protocols and frozen values; nothing here knows CCXT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from lab.core.timeframe import Timeframe

__all__ = ["Candle", "Exchange", "Fill", "MarketData", "Order", "Rules", "Side"]

Side = Literal["buy", "sell"]


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
    """A market order as planned.

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
    """

    id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal


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

    def balances(self) -> Mapping[str, Decimal]:
        """Return the quantity of every currency held, zero ones left out."""
        ...

    def submit(self, order: Order) -> Fill:
        """Send a market order and return its fill."""
        ...
