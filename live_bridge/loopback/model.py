"""The state of the exchange as frozen values: balances, orders, trades, permissions, use of limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from live_bridge.loopback.history import Listing
from live_bridge.loopback.money import ZERO
from live_bridge.loopback.settings import Filters, VenueSettings

__all__ = ["OPEN", "Balance", "Order", "Permissions", "State", "Taken", "Trade", "Usage", "Venue"]

OPEN: Final = frozenset({"NEW", "PARTIALLY_FILLED"})


@dataclass(frozen=True, slots=True)
class Balance:
    """One asset of the account."""

    free: Decimal = ZERO
    locked: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        """Free and locked together."""
        return self.free + self.locked


@dataclass(frozen=True, slots=True)
class Order:
    """One order; `locked` is what is still set aside for it, in `locked_asset`."""

    order_id: int
    client_id: str
    symbol: str
    side: str
    kind: str
    time_in_force: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    time: int
    updated: int
    status: str = "NEW"
    executed: Decimal = ZERO
    quote_executed: Decimal = ZERO
    locked: Decimal = ZERO
    locked_asset: str = ""
    cancelled_as: str = ""

    @property
    def remaining(self) -> Decimal:
        """Base quantity not yet executed."""
        return self.quantity - self.executed

    @property
    def is_open(self) -> bool:
        """Whether the order can still execute."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution of an order."""

    trade_id: int
    order_id: int
    symbol: str
    price: Decimal
    quantity: Decimal
    quote_quantity: Decimal
    fee: Decimal
    fee_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


@dataclass(frozen=True, slots=True)
class Permissions:
    """What the API key may do, and when it was made: milliseconds, None for just when it is asked about."""

    enable_reading: bool = True
    enable_spot_trading: bool = True
    enable_withdrawals: bool = False
    ip_restricted: bool = True
    revoked: bool = False
    created_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """What has been taken from one side of a symbol's book during one bar."""

    opened: int
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Usage:
    """Use of the rate limits in the present minute, ten seconds and day of exchange time."""

    minute: int = 0
    weight: int = 0
    ten_seconds: int = 0
    orders_ten_seconds: int = 0
    day: int = 0
    orders_day: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Everything that changes; every change makes a new one."""

    time: int
    balances: Mapping[str, Balance] = field(default_factory=dict)
    orders: Mapping[int, Order] = field(default_factory=dict)
    trades: tuple[Trade, ...] = ()
    taken: Mapping[tuple[str, str], Taken] = field(default_factory=dict)
    by_client_id: Mapping[tuple[str, str], int] = field(default_factory=dict)
    open_orders: tuple[int, ...] = ()
    permissions: Permissions = Permissions()
    usage: Usage = Usage()
    halted: frozenset[str] = frozenset()

    def balance(self, asset: str) -> Balance:
        """Return the balance of `asset`, zero when it was never held."""
        return self.balances.get(asset, Balance())

    def with_balance(self, asset: str, *, free: Decimal = ZERO, locked: Decimal = ZERO) -> State:
        """Return the state after adding to the free and locked amounts of `asset`."""
        old = self.balance(asset)
        new = Balance(old.free + free, old.locked + locked)
        return replace(self, balances=MappingProxyType({**self.balances, asset: new}))

    def with_order(self, order: Order) -> State:
        """Return the state after recording `order` in its present form."""
        ids = tuple(number for number in self.open_orders if number != order.order_id)
        return replace(
            self,
            orders=MappingProxyType({**self.orders, order.order_id: order}),
            by_client_id=MappingProxyType(
                {**self.by_client_id, (order.symbol, order.client_id): order.order_id}
            ),
            open_orders=(*ids, order.order_id) if order.is_open else ids,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Venue:
    """Everything that does not change: listings, rules, settings."""

    listings: Mapping[str, Listing]
    filters: Mapping[str, Filters]
    settings: VenueSettings

    @property
    def assets(self) -> list[str]:
        """All assets of all listings, sorted."""
        return sorted({asset for item in self.listings.values() for asset in (item.base, item.quote)})
