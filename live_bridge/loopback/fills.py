"""One execution: what leaves, what arrives, what is charged. All of the account's arithmetic is here."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Final

from live_bridge.loopback.book import quote_at
from live_bridge.loopback.history import Listing
from live_bridge.loopback.model import Order, State, Taken, Trade, Venue
from live_bridge.loopback.money import ZERO, truncate

__all__ = ["apply_fill", "charges_quote", "fee_rate", "lock", "release", "take"]

_BPS: Final = Decimal(10_000)


def charges_quote(venue: Venue, listing: Listing) -> bool:
    """Return whether fees of this listing come out of the quote asset for buys too."""
    return venue.settings.fee_asset in {"quote", listing.quote}


def fee_rate(venue: Venue, *, is_maker: bool) -> Decimal:
    """Return the fee as a fraction of notional."""
    rules = venue.settings
    return (rules.maker_bps if is_maker else rules.taker_bps) / _BPS


def lock(state: State, order: Order, asset: str, amount: Decimal) -> tuple[State, Order]:
    """Set `amount` of `asset` aside for `order`."""
    state = state.with_balance(asset, free=-amount, locked=amount)
    return state, replace(order, locked=amount, locked_asset=asset)


def release(state: State, order: Order) -> tuple[State, Order]:
    """Give back what is still set aside for `order`."""
    if order.locked == 0:
        return state, order
    state = state.with_balance(order.locked_asset, free=order.locked, locked=-order.locked)
    return state, replace(order, locked=ZERO)


def apply_fill(
    venue: Venue, state: State, order: Order, *, price: Decimal, quantity: Decimal, is_maker: bool, now: int
) -> tuple[State, Order]:
    """Return state and order after `quantity` executed at `price`; money is conserved exactly."""
    listing = venue.listings[order.symbol]
    notional = truncate(price * quantity, venue.settings.decimals)
    fee, fee_asset = _fee(venue, state, order, quantity, notional, is_maker=is_maker, now=now)
    buying = order.side == "BUY"
    paid = notional if buying else quantity
    if buying and charges_quote(venue, listing):
        paid += fee
    elif fee:
        state = state.with_balance(fee_asset, free=-fee)
    state = state.with_balance(order.locked_asset, locked=-paid)
    received_asset, received = (listing.base, quantity) if buying else (listing.quote, notional)
    state = state.with_balance(received_asset, free=received)
    trade = Trade(
        trade_id=len(state.trades) + 1,
        order_id=order.order_id,
        symbol=order.symbol,
        price=price,
        quantity=quantity,
        quote_quantity=notional,
        fee=fee,
        fee_asset=fee_asset,
        time=now,
        is_buyer=buying,
        is_maker=is_maker,
    )
    order = replace(
        order,
        executed=order.executed + quantity,
        quote_executed=order.quote_executed + notional,
        locked=order.locked - paid,
        updated=now,
    )
    return replace(state, trades=(*state.trades, trade)), order


def take(state: State, symbol: str, side: str, opened: int, quantity: Decimal) -> State:
    """Remember that `quantity` was taken from the book of the bar that opened at `opened`."""
    before = state.taken.get((symbol, side))
    earlier = before.quantity if before is not None and before.opened == opened else ZERO
    return replace(state, taken={**state.taken, (symbol, side): Taken(opened, earlier + quantity)})


def _fee(
    venue: Venue,
    state: State,
    order: Order,
    quantity: Decimal,
    notional: Decimal,
    *,
    is_maker: bool,
    now: int,
) -> tuple[Decimal, str]:
    listing, places = venue.listings[order.symbol], venue.settings.decimals
    rate = fee_rate(venue, is_maker=is_maker)
    if charges_quote(venue, listing):
        return truncate(notional * rate, places), listing.quote
    if venue.settings.fee_asset != "received":
        coin = venue.settings.fee_asset
        price = _coin_price(venue, coin, listing, now)
        fee = truncate(notional * rate / price, places) if price > 0 else None
        if fee is not None and fee <= state.balance(coin).free:
            return fee, coin
    if order.side == "BUY":
        return truncate(quantity * rate, places), listing.base
    return truncate(notional * rate, places), listing.quote


def _coin_price(venue: Venue, coin: str, listing: Listing, now: int) -> Decimal:
    pair = venue.listings.get(coin + listing.quote)
    if pair is not None:
        return quote_at(pair, now).price
    return venue.settings.fee_rates.get(listing.quote, ZERO)
