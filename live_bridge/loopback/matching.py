"""Orders from placing to their end. Pure: a state goes in, the next one comes out, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from live_bridge.loopback.book import Level, levels, quote_at
from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.fills import apply_fill, charges_quote, fee_rate, lock, release, take
from live_bridge.loopback.model import Order, State, Venue
from live_bridge.loopback.money import ZERO, floor_to, truncate
from live_bridge.loopback.rules import check_limit, check_market

__all__ = ["NewOrder", "advance", "cancel", "expire", "fill_resting", "place"]


@dataclass(frozen=True, slots=True)
class NewOrder:
    """What a client asks for: quantity or quote quantity at any price, or quantity at a limit price."""

    symbol: str
    side: str
    kind: str
    client_id: str
    time_in_force: str = "GTC"
    quantity: Decimal = ZERO
    quote_quantity: Decimal = ZERO
    price: Decimal = ZERO

    @property
    def is_market(self) -> bool:
        """Whether the order takes any price."""
        return self.kind == "MARKET"


def place(venue: Venue, state: State, new: NewOrder, now: int) -> tuple[State, Order]:
    """Check, match and record a new order.

    Raises
    ------
    RefusedError
        With Binance's code; the state is unchanged.
    """
    quote = quote_at(venue.listings[new.symbol], now, halted=new.symbol in state.halted)
    if not quote.is_trading:
        raise RefusedError(-1013, "Market is closed.")
    earlier = state.orders.get(state.by_client_id.get((new.symbol, new.client_id), 0))
    if earlier is not None and earlier.is_open:
        raise RefusedError(-2010, "Duplicate order sent.")
    book = levels(venue, state, new.symbol, new.side, now)
    fills = _matches(venue, book, new)
    _check_filters(venue, state, new, quote.price, fills)
    if new.kind == "LIMIT_MAKER" and fills:
        raise RefusedError(-2010, "Order would immediately match and take.")
    if new.time_in_force == "FOK" and sum((part.quantity or ZERO for part in fills), ZERO) < new.quantity:
        fills = []
    order = _opened(state, new, fills, now)
    state, order = _reserve(venue, state, order, new, fills)
    for part in fills:
        state, order = apply_fill(
            venue, state, order, price=part.price, quantity=part.quantity or ZERO, is_maker=False, now=now
        )
    if fills:
        state = take(state, new.symbol, new.side, quote.opened, order.executed)
    return _settle(state, order, rests=not new.is_market and new.time_in_force == "GTC")


def cancel(state: State, order: Order, now: int, *, cancelled_as: str = "") -> tuple[State, Order]:
    """End an open order at its owner's wish; what it held is free again."""
    return _end(state, order, "CANCELED", now, cancelled_as)


def expire(state: State, order: Order, now: int) -> tuple[State, Order]:
    """End an open order at the exchange's wish."""
    return _end(state, order, "EXPIRED", now, "")


def fill_resting(
    venue: Venue, state: State, order: Order, quantity: Decimal, now: int
) -> tuple[State, Order]:
    """Execute `quantity` of a resting order at its own price, as maker."""
    state, order = apply_fill(
        venue, state, order, price=order.price, quantity=quantity, is_maker=True, now=now
    )
    return _settle(state, order, rests=True)


def advance(venue: Venue, state: State, now: int) -> State:
    """Move the exchange on to `now`: resting orders meet the open of every bar on the way.

    A resting order executes at its own price, as maker, at the first open whose book reaches it, and
    only as far as that bar's book goes.
    """
    for symbol in sorted({state.orders[number].symbol for number in state.open_orders}):
        series = venue.listings[symbol].finest
        first, last = series.at(state.time) + 1, series.at(now) + 1
        for row in range(first, last) if last > first else ():
            opens = series.values[row, 0]
            if np.isfinite(opens) and opens > 0:
                state = _meet_open(venue, state, symbol, int(series.opened[row]))
    return replace(state, time=now)


def _meet_open(venue: Venue, state: State, symbol: str, opened: int) -> State:
    for number in state.open_orders:
        order = state.orders[number]
        if order.symbol != symbol:
            continue
        reached = [
            level
            for level in levels(venue, state, symbol, order.side, opened)
            if (level.price <= order.price if order.side == "BUY" else level.price >= order.price)
        ]
        quantity = _available(reached, order.remaining)
        if quantity > 0:
            state, _ = fill_resting(venue, state, order, quantity, opened)
            state = take(state, symbol, order.side, opened, quantity)
    return state


def _available(reached: list[Level], wanted: Decimal) -> Decimal:
    if any(level.quantity is None for level in reached):
        return wanted
    return min(wanted, sum((level.quantity or ZERO for level in reached), ZERO))


def _matches(venue: Venue, book: list[Level], new: NewOrder) -> list[Level]:
    """Return the parts that the order takes from the book at once, each with its quantity."""
    left, left_quote, found = new.quantity, new.quote_quantity, []
    step = venue.filters[new.symbol].step_size
    for level in book:
        beyond = level.price > new.price if new.side == "BUY" else level.price < new.price
        if not new.is_market and beyond:
            break
        wanted = left
        if new.quote_quantity:
            wanted = truncate(floor_to(left_quote / level.price, step), venue.settings.decimals)
        quantity = wanted if level.quantity is None else min(wanted, level.quantity)
        if quantity > 0:
            found.append(Level(level.price, quantity))
            left, left_quote = left - quantity, left_quote - quantity * level.price
    return found


def _check_filters(venue: Venue, state: State, new: NewOrder, price: Decimal, fills: list[Level]) -> None:
    rules = venue.filters[new.symbol]
    if not new.is_market:
        check_limit(rules, new.price, new.quantity, price)
    elif new.quote_quantity:
        quantity = sum((part.quantity or ZERO for part in fills), ZERO)
        # An empty book leaves nothing to check against the lot: the order expires unfilled.
        check_market(rules, quantity if fills else rules.min_quantity or Decimal(1), new.quote_quantity)
    else:
        check_market(rules, new.quantity, new.quantity * price)
    resting = sum(1 for number in state.open_orders if state.orders[number].symbol == new.symbol)
    if resting >= rules.max_open_orders:
        raise RefusedError.filter_failure("MAX_NUM_ORDERS")


def _opened(state: State, new: NewOrder, fills: list[Level], now: int) -> Order:
    quantity = new.quantity
    if new.quote_quantity:
        quantity = sum((part.quantity or ZERO for part in fills), ZERO)
    return Order(
        order_id=len(state.orders) + 1,
        client_id=new.client_id,
        symbol=new.symbol,
        side=new.side,
        kind=new.kind,
        time_in_force=new.time_in_force,
        price=new.price,
        quantity=quantity,
        quote_quantity=new.quote_quantity,
        time=now,
        updated=now,
    )


def _reserve(
    venue: Venue, state: State, order: Order, new: NewOrder, fills: list[Level]
) -> tuple[State, Order]:
    listing, places = venue.listings[new.symbol], venue.settings.decimals
    if new.side == "SELL":
        asset, amount = listing.base, order.quantity
    else:
        asset = listing.quote
        amount = sum((part.price * (part.quantity or ZERO) for part in fills), ZERO)
        if not new.is_market:
            amount = max(amount, new.price * new.quantity)
        if charges_quote(venue, listing):
            rate = max(fee_rate(venue, is_maker=False), fee_rate(venue, is_maker=True))
            amount *= 1 + rate
        # Each part is truncated on its own: together they never need more than the truncated whole.
        amount = max(truncate(amount, places), new.quote_quantity)
    if amount > state.balance(asset).free:
        raise RefusedError(-2010, "Account has insufficient balance for requested action.")
    return lock(state, order, asset, amount)


def _settle(state: State, order: Order, *, rests: bool) -> tuple[State, Order]:
    if order.remaining == 0 and order.executed > 0:
        status = "FILLED"
    elif not rests:
        status = "EXPIRED"
    else:
        status = "PARTIALLY_FILLED" if order.executed else "NEW"
    order = replace(order, status=status)
    if not order.is_open:
        state, order = release(state, order)
    return state.with_order(order), order


def _end(state: State, order: Order, status: str, now: int, cancelled_as: str) -> tuple[State, Order]:
    state, order = release(state, order)
    order = replace(order, status=status, updated=now, cancelled_as=cancelled_as)
    return state.with_order(order), order
