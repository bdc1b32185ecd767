"""A small exchange in memory and a client that signs: what the tests of the loopback exchange share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import polars as pl

from lab.core.timeframe import Timeframe
from live_bridge.loopback.api import sign
from live_bridge.loopback.bars import listings_from_frames
from live_bridge.loopback.clock import Clock
from live_bridge.loopback.faults import FaultPlan
from live_bridge.loopback.history import to_milliseconds
from live_bridge.loopback.model import Balance, State, Venue
from live_bridge.loopback.protocol import Credentials, Request, Response
from live_bridge.loopback.session import Session
from live_bridge.loopback.settings import FilterFile, VenueSettings, filters_of

START = datetime(2024, 1, 1, tzinfo=UTC)
START_MS = to_milliseconds(START)
HOUR_MS = 3_600_000
KEY, SECRET = "key", "secret"


def bars(opens: Sequence[float | None], *, timeframe: str = "1h", start: datetime = START) -> pl.DataFrame:
    """Bars one after another; an open of None leaves the bar out. High is 1 % above, low 1 % below."""
    step = Timeframe.parse(timeframe).duration
    rows = [
        {
            "ts": start + index * step,
            "open": opening,
            "high": opening * 1.01,
            "low": opening * 0.99,
            "close": opening * 1.005,
            "volume": 10.0,
        }
        for index, opening in enumerate(opens)
        if opening is not None
    ]
    return pl.DataFrame(rows).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))


def session(
    markets: Mapping[str, Sequence[float | None]],
    *,
    balances: Mapping[str, str] | None = None,
    timeframe: str = "1h",
    filters: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Session:
    """A session at START whose clock stands still; `settings` are those of the venue."""
    grid = Timeframe.parse(timeframe)
    listings = listings_from_frames(
        [(name, grid, bars(opens, timeframe=timeframe)) for name, opens in markets.items()]
    )
    rules = {"tick_size": "0.01", "step_size": "0.001", "min_notional": 10, **(filters or {})}
    file = FilterFile.model_validate({"default": rules})
    given = {
        name: Decimal(value) if isinstance(value, str) and name != "fee_asset" else value
        for name, value in settings.items()
    }
    return Session(
        venue=Venue(
            listings=listings,
            filters={symbol: filters_of(listing, file) for symbol, listing in listings.items()},
            settings=VenueSettings(**given),
        ),
        state=State(
            time=START_MS,
            balances={asset: Balance(Decimal(amount)) for asset, amount in (balances or {}).items()},
        ),
        clock=Clock(START_MS, monotonic=lambda: 0.0),
        credentials=Credentials(KEY, SECRET),
        plan=FaultPlan(0),
    )


class Client:
    """Sends requests to a session as Binance's clients do, without HTTP."""

    def __init__(self, exchange: Session) -> None:
        self.exchange = exchange

    def ask(self, path: str, **parameters: Any) -> Response:
        """GET without a signature."""
        return self._send(Request("GET", path, urlencode(parameters)))

    def signed(self, method: str, path: str, **parameters: Any) -> Response:
        """A signed request: in the query for GET and DELETE, in the body for POST."""
        payload = urlencode({"timestamp": self.exchange.clock.now(), **parameters})
        payload += f"&signature={sign(SECRET, payload)}"
        in_body = method == "POST"
        return self._send(Request(method, path, "" if in_body else payload, payload if in_body else "", KEY))

    def order(self, side: str, kind: str, symbol: str = "BTCUSDT", **parameters: Any) -> Response:
        """POST an order; a limit order is GTC unless it says otherwise."""
        if kind == "LIMIT":
            parameters.setdefault("timeInForce", "GTC")
        return self.signed("POST", "/api/v3/order", symbol=symbol, side=side, type=kind, **parameters)

    def move(self, hours: float) -> None:
        """Move the clock on."""
        now = self.exchange.clock.now() + int(timedelta(hours=hours) / timedelta(milliseconds=1))
        self.exchange.clock.set(now)
        self.exchange.catch_up(now)

    def settings(self, **changes: Any) -> None:
        """Change settings of the venue."""
        venue = self.exchange.venue
        self.exchange.venue = replace(venue, settings=replace(venue.settings, **changes))

    def free(self, asset: str) -> Decimal:
        """Free balance of an asset."""
        return self.exchange.state.balance(asset).free

    def locked(self, asset: str) -> Decimal:
        """Locked balance of an asset."""
        return self.exchange.state.balance(asset).locked

    def _send(self, request: Request) -> Response:
        entry, _ = self.exchange.arrive(request)
        return self.exchange.process(request, entry)
