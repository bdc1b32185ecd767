"""Public endpoints: ping, time, exchangeInfo, klines, depth and the tickers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from live_bridge.loopback.book import Level, Quote, levels, quote_at
from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.history import Listing, Series
from live_bridge.loopback.model import State
from live_bridge.loopback.money import ZERO, exact, plain
from live_bridge.loopback.protocol import Call, Endpoint, listing_of
from live_bridge.loopback.rules import listed

__all__ = ["ENDPOINTS", "ORDER_TYPES"]

ORDER_TYPES: Final = ["LIMIT", "LIMIT_MAKER", "MARKET"]
_DAY: Final = 86_400_000
# Shown where the book has no limit.
_UNLIMITED: Final = Decimal(1_000_000)
_NOTHING: Final = plain(ZERO)

Answer = tuple[State, Any]


def _ping(call: Call) -> Answer:
    return call.state, {}


def _time(call: Call) -> Answer:
    return call.state, {"serverTime": call.now}


def _exchange_info(call: Call) -> Answer:
    names = call.parameters.symbols()
    chosen = [listing_of(call, name) for name in names or call.venue.listings]
    body = {
        "timezone": "UTC",
        "serverTime": call.now,
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, call.venue.settings.weight_limit),
            _rate_limit("ORDERS", "SECOND", 10, 100),
            _rate_limit("ORDERS", "DAY", 1, 200_000),
        ],
        "exchangeFilters": [],
        "symbols": [_symbol_info(call, listing) for listing in chosen],
    }
    return call.state, body


def _rate_limit(kind: str, interval: str, count: int, limit: int) -> dict[str, Any]:
    return {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}


def _symbol_info(call: Call, listing: Listing) -> dict[str, Any]:
    places = max(8, call.venue.settings.decimals)
    return {
        "symbol": listing.symbol,
        "status": _quote(call, listing).status,
        "baseAsset": listing.base,
        "baseAssetPrecision": places,
        "quoteAsset": listing.quote,
        "quotePrecision": places,
        "quoteAssetPrecision": places,
        "baseCommissionPrecision": places,
        "quoteCommissionPrecision": places,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": listed(call.venue.filters[listing.symbol]),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def _klines(call: Call) -> Answer:
    listing, parameters = listing_of(call), call.parameters
    interval = parameters.text("interval")
    series = listing.series.get(interval)
    if series is None:
        raise RefusedError(-1120, "Invalid interval.")
    limit = parameters.limit(default=500, largest=1_000)
    first_open, last_open = parameters.integer("startTime"), parameters.integer("endTime")
    last = series.at(call.now if last_open is None else min(last_open, call.now))
    if first_open is None:
        first = max(0, last - limit + 1)
    else:
        first = series.at(first_open - 1) + 1
        last = min(last, first + limit - 1)
    return call.state, [_kline(series, row, call.now) for row in range(first, last + 1)]


def _kline(series: Series, row: int, now: int) -> list[Any]:
    if not series.contains(row, now):
        return list(_complete_kline(series, row))
    opening = float(series.values[row, 0])
    return _written(series, row, [opening] * 4 + [0.0])


# Ticks ask for nearly the same window again and again, and writing numbers is most of the work.
@lru_cache(maxsize=16_384)
def _complete_kline(series: Series, row: int) -> tuple[Any, ...]:
    return tuple(_written(series, row, series.values[row].tolist()))


def _written(series: Series, row: int, values: list[float]) -> list[Any]:
    opened = int(series.opened[row])
    prices = [_text(value) for value in values]
    # Stored bars know no trades: quote volume is volume at the close, the rest is zero.
    quote_volume = _text(values[4] * values[3])
    return [opened, *prices, opened + series.duration - 1, quote_volume, 0, _NOTHING, _NOTHING, "0"]


def _text(value: float) -> str:
    if value - value != 0:
        return "NaN"
    written = repr(value)
    if "e" in written:
        return plain(exact(value))
    # The same text as plain(exact(value)), ten times as fast: a page has thousands of them.
    whole, _, decimals = written.partition(".")
    return f"{whole}.{decimals:0<8}"


def _depth(call: Call) -> Answer:
    listing = listing_of(call)
    limit = call.parameters.limit(default=100, largest=5_000)
    sides = {
        name: [_price_and_size(level) for level in _levels(call, listing, side)[:limit]]
        for name, side in (("bids", "SELL"), ("asks", "BUY"))
    }
    return call.state, {"lastUpdateId": call.now, **sides}


def _levels(call: Call, listing: Listing, side: str) -> list[Level]:
    return levels(call.venue, call.state, listing.symbol, side, call.now)


def _price_and_size(level: Level | None) -> list[str]:
    if level is None:
        return [plain(ZERO), plain(ZERO)]
    return [plain(level.price), plain(_UNLIMITED if level.quantity is None else level.quantity)]


def _quote(call: Call, listing: Listing) -> Quote:
    return quote_at(listing, call.now, halted=listing.symbol in call.state.halted)


def _each(call: Call, render: Any) -> Answer:
    """Answer for one symbol with an object, for several or all with a list."""
    names = call.parameters.symbols()
    chosen = [listing_of(call, name) for name in names or call.venue.listings]
    body = [render(call, listing) for listing in chosen]
    return call.state, body[0] if call.parameters.optional("symbol") else body


def _price_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    return {"symbol": listing.symbol, "price": plain(_quote(call, listing).price)}


def _book_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    best = {
        name: _price_and_size(next(iter(_levels(call, listing, side)), None))
        for name, side in (("bid", "SELL"), ("ask", "BUY"))
    }
    return {
        "symbol": listing.symbol,
        "bidPrice": best["bid"][0],
        "bidQty": best["bid"][1],
        "askPrice": best["ask"][0],
        "askQty": best["ask"][1],
    }


def _day_ticker(call: Call, listing: Listing) -> dict[str, Any]:
    quote, series = _quote(call, listing), listing.finest
    first = series.at(call.now - _DAY - series.duration) + 1
    last = series.at(call.now)
    complete = series.values[first : last if series.contains(last, call.now) else last + 1]
    price = quote.price
    opening = exact(complete[0, 0]) if len(complete) and complete[0, 0] == complete[0, 0] else price
    change = price - opening
    volume = float(complete[:, 4].sum()) if len(complete) else 0.0
    percent = (change / opening * 100).quantize(Decimal("0.001")) if opening else ZERO
    return {
        **_book_ticker(call, listing),
        "priceChange": plain(change),
        "priceChangePercent": str(percent),
        "weightedAvgPrice": plain(price),
        "prevClosePrice": plain(opening),
        "lastPrice": plain(price),
        "lastQty": plain(ZERO),
        "openPrice": plain(opening),
        "highPrice": plain(max([price, *_column(complete, 1)])),
        "lowPrice": plain(min([price, *_column(complete, 2)])),
        "volume": _text(volume),
        "quoteVolume": _text(volume * float(price)),
        "openTime": call.now - _DAY,
        "closeTime": call.now,
        "firstId": -1,
        "lastId": -1,
        "count": 0,
    }


def _column(rows: Any, position: int) -> list[Decimal]:
    return [exact(value) for value in rows[:, position].tolist() if value - value == 0]


def _average_price(call: Call) -> Answer:
    quote = _quote(call, listing_of(call))
    return call.state, {"mins": 5, "price": plain(quote.price), "closeTime": call.now}


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", "/api/v3/ping"): Endpoint(_ping),
    ("GET", "/api/v3/time"): Endpoint(_time),
    ("GET", "/api/v3/exchangeInfo"): Endpoint(_exchange_info, weight=20),
    ("GET", "/api/v3/klines"): Endpoint(_klines, weight=2),
    ("GET", "/api/v3/uiKlines"): Endpoint(_klines, weight=2),
    ("GET", "/api/v3/depth"): Endpoint(_depth, weight=5),
    ("GET", "/api/v3/avgPrice"): Endpoint(_average_price, weight=2),
    ("GET", "/api/v3/ticker/24hr"): Endpoint(lambda call: _each(call, _day_ticker), weight=2),
    ("GET", "/api/v3/ticker"): Endpoint(lambda call: _each(call, _day_ticker), weight=4),
    ("GET", "/api/v3/ticker/price"): Endpoint(lambda call: _each(call, _price_ticker), weight=2),
    ("GET", "/api/v3/ticker/bookTicker"): Endpoint(lambda call: _each(call, _book_ticker), weight=2),
}
