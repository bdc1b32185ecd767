"""The price at a moment, and the book around it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from live_bridge.loopback.history import Listing
from live_bridge.loopback.model import State, Venue
from live_bridge.loopback.money import ZERO, ceil_to, exact, floor_to

__all__ = ["Level", "Quote", "levels", "quote_at"]

_BPS: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a symbol is worth at a moment.

    `status` is Binance's: ``TRADING`` inside a received bar, ``PRE_TRADING`` before the first,
    ``BREAK`` where a bar is missing or trading is halted. `price` is the open of the bar, else the
    last known close, else zero.
    """

    status: str
    price: Decimal
    opened: int
    volume: float

    @property
    def is_trading(self) -> bool:
        """Whether orders are taken."""
        return self.status == "TRADING"


@dataclass(frozen=True, slots=True)
class Level:
    """One price of the book; a quantity of None is without limit."""

    price: Decimal
    quantity: Decimal | None


def quote_at(listing: Listing, now: int, *, halted: bool = False) -> Quote:
    """Return the quote of a listing at exchange time `now`."""
    series = listing.finest
    row = series.at(now)
    if row < 0:
        return Quote("PRE_TRADING", ZERO, 0, 0.0)
    opened = int(series.opened[row])
    price = float(series.values[row, 0])
    # A price of zero, below zero or NaN was received so; nobody can trade at it.
    if series.contains(row, now) and price > 0:
        status = "BREAK" if halted else "TRADING"
        return Quote(status, exact(price), opened, float(series.values[row, 4]))
    close = float(series.values[row, 3])
    return Quote("BREAK", exact(close) if close > 0 else ZERO, opened, 0.0)


def levels(venue: Venue, state: State, symbol: str, side: str, now: int) -> list[Level]:
    """Return what an order of `side` can take at `now`, best price first.

    A buy meets asks at ``open * (1 + spread / 2 + level)``, rounded up to the tick, a sell bids below
    the open, rounded down. What was taken during this bar is gone until the next one opens.
    """
    quote = quote_at(venue.listings[symbol], now, halted=symbol in state.halted)
    if not quote.is_trading:
        return []
    rules, tick = venue.settings, venue.filters[symbol].tick_size
    sign = 1 if side == "BUY" else -1
    available = _quantity_per_level(venue, symbol, quote)
    taken = state.taken.get((symbol, side))
    gone = taken.quantity if taken is not None and taken.opened == quote.opened else ZERO
    found = []
    for level in range(rules.levels):
        away = (rules.spread_bps / 2 + rules.level_bps * level) / _BPS
        price = quote.price * (1 + sign * away)
        price = ceil_to(price, tick) if side == "BUY" else floor_to(price, tick)
        left = available
        if available is not None:
            used = min(gone, available)
            gone -= used
            left = available - used
        if price > 0 and (left is None or left > 0):
            found.append(Level(price, left))
    return found


def _quantity_per_level(venue: Venue, symbol: str, quote: Quote) -> Decimal | None:
    rules, step = venue.settings, venue.filters[symbol].step_size
    if rules.participation is None:
        return rules.level_quantity
    volume = exact(max(quote.volume, 0.0)) if quote.volume == quote.volume else ZERO
    return floor_to(volume * rules.participation / rules.levels, step)
