"""What happened to symbols: listings, delistings, and tickers that another coin took over."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from feature_store.atomic import exclusive, write_bytes
from lab.core.errors import ConfigError, DataError
from lab.core.frames import TS
from lab.core.market import Market
from lab.data.catalog import store_errors
from lab.data.discovery import visits

__all__ = [
    "LISTING_SCHEMA",
    "SEEN",
    "ListingEvent",
    "Segment",
    "assign_markets",
    "events",
    "listings",
    "record_event",
    "segments",
]

SCHEMA_VERSION: Final = 1
LISTING_SCHEMA: Final[dict[str, Any]] = {
    "market": pl.String,
    "exchange": pl.String,
    "symbol": pl.String,
    "listed": TS,
    "delisted": TS,
    "source": pl.String,
}

# Source of symbols that were there at the first discovery.
SEEN: Final = "seen"

Kind = Literal["listed", "delisted", "relisted"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a symbol's history that belongs to one market: ``start <= open < end``; None: open."""

    market: str
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListingEvent:
    """Something that happened to a symbol on an exchange.

    Parameters
    ----------
    kind : str
        ``listed``: a coin starts trading under the symbol; after a ``delisted`` that is another coin, and
        another market. ``relisted``: the same coin comes back.
    symbol : str
        ``BASE/QUOTE``.
    at : datetime
        When it happened.
    known_at : datetime
        When it became known here.
    source : str
        ``discovery``, or where a person has it from.
    """

    kind: Kind
    symbol: str
    at: datetime
    known_at: datetime
    source: str


def record_event(
    root: Path, exchange: str, kind: Kind, symbol: str, *, at: datetime, known_at: datetime, source: str
) -> None:
    """Add an event that no discovery saw, such as a delisting of years ago; what was recorded stays.

    Raises
    ------
    ConfigError
        If kind, symbol or times make no sense.
    """
    Market.parse(f"{exchange}:{symbol}")
    if kind not in {"listed", "delisted", "relisted"}:
        raise ConfigError(f"event {kind!r} unknown; expected listed, delisted or relisted")
    if at.tzinfo is None or known_at.tzinfo is None:
        raise ConfigError("event without time zone: times are UTC")
    folder = _folder(root)
    with store_errors(), exclusive(folder):
        past = _recorded(root, exchange)
        event = ListingEvent(kind, symbol, at, known_at, source)
        if event not in past:
            rows = [
                {**asdict(each), "at": _text(each.at), "known_at": _text(each.known_at)}
                for each in [*past, event]
            ]
            document = {"schema_version": SCHEMA_VERSION, "exchange": exchange, "events": rows}
            write_bytes(folder / f"{exchange}.json", (json.dumps(document, indent=1) + "\n").encode())


def events(root: Path, exchange: str, *, known_at: datetime | None = None) -> list[ListingEvent]:
    """Return what is known about an exchange's listings, in the order it happened.

    Discoveries give an event where a symbol came or went between two of them; at the first one all symbols
    are ``seen``: they came then, or at any time before. A symbol that a discovery misses and a later one has
    again is taken for another coin, until a person records ``relisted`` at that time.
    """
    found = []
    for visit in visits(root, exchange):
        how = "discovery" if visit.number > 1 else SEEN
        found += [ListingEvent("listed", symbol, visit.time, visit.time, how) for symbol in visit.listed]
        found += [
            ListingEvent("delisted", symbol, visit.time, visit.time, "discovery") for symbol in visit.delisted
        ]
    told = _recorded(root, exchange)
    # A person's word about a symbol and a time replaces the discovery's.
    certain = {(event.symbol, event.at) for event in told}
    found = [event for event in found if (event.symbol, event.at) not in certain] + told
    return sorted(
        (event for event in found if known_at is None or event.known_at <= known_at),
        key=lambda event: (event.at, event.known_at),
    )


def listings(happened: Iterable[ListingEvent], exchange: str) -> pl.DataFrame:
    """Return one row per coin that traded under a symbol.

    Parameters
    ----------
    happened : iterable of ListingEvent
        In order.
    exchange : str
        Whose.

    Returns
    -------
    polars.DataFrame
        ``market, exchange, symbol, listed, delisted, source``; null: not known, or not yet. The first coin
        under ``LUNA/USDT`` is the market ``LUNA/USDT``, the second ``LUNA.2/USDT``.
    """
    by_symbol: dict[str, list[ListingEvent]] = {}
    for event in happened:
        by_symbol.setdefault(event.symbol, []).append(event)
    rows = []
    for symbol, of_symbol in sorted(by_symbol.items()):
        coins: list[dict[str, object]] = []
        for event in of_symbol:
            gone = bool(coins) and coins[-1]["delisted"] is not None
            if event.kind == "delisted" and not (coins and gone):
                if not coins:
                    coins.append({"listed": None, "delisted": None, "source": event.source})
                coins[-1]["delisted"] = event.at
            elif event.kind == "relisted" and coins:
                coins[-1]["delisted"] = None
            elif event.kind != "delisted" and (not coins or gone):
                coins.append({"listed": event.at, "delisted": None, "source": event.source})
        for number, coin in enumerate(coins, start=1):
            rows.append(
                {"market": _name(exchange, symbol, number), "exchange": exchange, "symbol": symbol, **coin}
            )
    return pl.DataFrame(rows, schema=LISTING_SCHEMA)


def segments(root: Path, exchange: str, symbol: str) -> tuple[Segment, ...]:
    """Return the markets that a symbol has meant, in order; most have meant one."""
    coins = listings((e for e in events(root, exchange) if e.symbol == symbol), exchange).sort("listed")
    if coins.height < 2:
        return (Segment(f"{exchange}:{symbol}"),)
    found = []
    for number, row in enumerate(coins.iter_rows(named=True), start=1):
        later = coins.row(number, named=True)["listed"] if number < coins.height else None
        found.append(Segment(row["market"], row["listed"] if number > 1 else None, later))
    return tuple(found)


def assign_markets(bars: pl.DataFrame, root: Path) -> pl.DataFrame:
    """Return bars (``ts, market, …``) with the market that each symbol meant at each time."""
    named = pl.col("market")
    for market in bars["market"].unique().to_list():
        exchange, _, symbol = market.partition(":")
        for part in segments(root, exchange, symbol)[1:]:
            theirs = (pl.col("market") == market) & (pl.col("ts") >= part.start)
            named = pl.when(theirs).then(pl.lit(part.market)).otherwise(named)
    return bars.with_columns(named.alias("market"))


def _name(exchange: str, symbol: str, number: int) -> str:
    if number == 1:
        return f"{exchange}:{symbol}"
    base, _, quote = symbol.partition("/")
    return f"{exchange}:{base}.{number}/{quote}"


def _folder(root: Path) -> Path:
    return Path(root) / "data" / "universe"


def _recorded(root: Path, exchange: str) -> list[ListingEvent]:
    path = _folder(root) / f"{exchange}.json"
    try:
        document = json.loads(path.read_bytes())
        if document["schema_version"] != SCHEMA_VERSION:
            raise DataError(f"{path}: schema version {document['schema_version']}, expected {SCHEMA_VERSION}")
        return [
            ListingEvent(
                row["kind"],
                row["symbol"],
                datetime.fromisoformat(row["at"]),
                datetime.fromisoformat(row["known_at"]),
                row["source"],
            )
            for row in document["events"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as a history of listings: {error}") from None


def _text(instant: datetime) -> str:
    return instant.isoformat()
