"""What an exchange lists: markets, their rules, status, order types and timeframes; every answer is kept."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import exclusive, write_bytes
from lab.core.errors import ConfigError, DataError, UnknownMarketError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.data.catalog import store_errors
from lab.data.download_client import Feed

__all__ = ["Discovery", "Visit", "check_listed", "discover", "known_discovery", "require_fresh", "visits"]

SCHEMA_VERSION: Final = 1
MAX_AGE: Final = timedelta(hours=24)
_TICK_SIZE: Final = 4
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at what an exchange lists.

    Parameters
    ----------
    exchange : str
        CCXT's id.
    number : int
        Of the visit, from 1.
    version : int
        Of what was found; raised when it differs from the visit before.
    time : datetime
        The exchange's.
    sha256 : str
        Of what was found.
    listed, delisted : tuple of str
        Symbols that came and went since the visit before; at the first, all came.
    """

    exchange: str
    number: int
    version: int
    time: datetime
    sha256: str
    listed: tuple[str, ...]
    delisted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discovery:
    """What an exchange listed at a visit.

    Parameters
    ----------
    visit : Visit
        When, and which version.
    timeframes : tuple of str
        CCXT's strings.
    markets : mapping of symbol to mapping
        ``symbol, native, base, quote, settle, kind, active, status, step, tick, min_quantity, max_quantity,
        max_market_quantity, min_notional, order_types``; numbers as decimal text, None where none was told.
    """

    visit: Visit
    timeframes: tuple[str, ...]
    markets: Mapping[str, Mapping[str, Any]]


def discover(feed: Feed, *, root: Path) -> Discovery:
    """Ask an exchange what it lists, and keep the answer with its time; older answers stay.

    Raises
    ------
    VenueError
        If it does not answer; nothing is written then.
    """
    listed = feed.markets()
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "exchange": feed.name,
        "timeframes": list(feed.timeframes),
        "markets": [
            _rules(feed, listed[symbol]) for symbol in sorted(listed) if _nameable(feed.name, symbol)
        ],
    }
    time = _EPOCH + timedelta(milliseconds=feed.now())
    folder = _folder(root, feed.name)
    text = (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
    with store_errors(), exclusive(folder):
        sha256 = digest(text)
        if not (folder / "contents" / f"{sha256}.json").exists():
            write_bytes(folder / "contents" / f"{sha256}.json", text)
        past = visits(root, feed.name)
        before = _load(root, past[-1]).markets.keys() if past else set[str]()
        symbols = {market["symbol"] for market in document["markets"]}
        visit = Visit(
            exchange=feed.name,
            number=len(past) + 1,
            version=past[-1].version + int(past[-1].sha256 != sha256) if past else 1,
            time=time,
            sha256=sha256,
            listed=tuple(sorted(symbols - before)),
            delisted=tuple(sorted(before - symbols)),
        )
        write_bytes(folder / "visits" / f"{visit.number:06d}.json", _visit_bytes(visit))
    return _load(root, visit)


def visits(root: Path, exchange: str) -> list[Visit]:
    """Return all visits to an exchange, oldest first."""
    return [_read_visit(path) for path in sorted((_folder(root, exchange) / "visits").glob("[0-9]*.json"))]


def known_discovery(root: Path, exchange: str, at: datetime | None = None) -> Discovery | None:
    """Return what was known of an exchange's markets at an instant (None: now); None where nothing was."""
    past = [visit for visit in visits(root, exchange) if at is None or visit.time <= at]
    return _load(root, past[-1]) if past else None


def require_fresh(root: Path, exchange: str, now: datetime, *, max_age: timedelta = MAX_AGE) -> Discovery:
    """Return the latest discovery; DataError if there is none or it is older than `max_age`."""
    found = known_discovery(root, exchange, now)
    if found is None or now - found.visit.time > max_age:
        what = "none" if found is None else f"one of {found.visit.time:%Y-%m-%d %H:%M}Z"
        raise DataError(
            f"{exchange}: {what} found, expected a discovery of the last {max_age}; "
            f"run 'mnemo data discover {exchange}'"
        )
    return found


def check_listed(
    root: Path, exchange: str, *, symbols: Iterable[str] = (), timeframes: Iterable[str] = ()
) -> None:
    """Check markets and timeframes of a configuration against the latest discovery, where there is one.

    Raises
    ------
    UnknownMarketError
        If a symbol is not listed; the message has the nearest names.
    ConfigError
        If a timeframe is not offered.
    """
    found = known_discovery(root, exchange)
    if found is None:
        return
    seen = f"listed by {exchange} at {found.visit.time:%Y-%m-%d %H:%M}Z"
    for symbol in symbols:
        if symbol not in found.markets:
            near = difflib.get_close_matches(symbol, list(found.markets), n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise UnknownMarketError(f"{symbol} is not {seen}{hint}")
    for timeframe in timeframes:
        if timeframe not in found.timeframes:
            offered = ", ".join(found.timeframes)
            raise ConfigError(f"timeframe {timeframe} is not {seen}; it offers {offered}")


def _nameable(exchange: str, symbol: str) -> bool:
    # Options and the like have symbols of other forms; nothing here can store or trade them.
    try:
        Market.parse(f"{exchange}:{symbol}")
    except ConfigError:
        return False
    return True


def _rules(feed: Feed, market: Mapping[str, Any]) -> dict[str, Any]:
    limits, info = market.get("limits") or {}, market.get("info")
    told: Mapping[str, Any] = info if isinstance(info, dict) else {}
    types = told.get("orderTypes")
    active = market.get("active")
    return {
        "symbol": market["symbol"],
        "native": str(market["id"]),
        "base": market["base"],
        "quote": market["quote"],
        "settle": market.get("settle"),
        "kind": market.get("type"),
        "active": active if isinstance(active, bool) else None,
        "status": None if told.get("status") is None else str(told["status"]),
        "step": _increment(feed, market, "amount"),
        "tick": _increment(feed, market, "price"),
        "min_quantity": _limit(limits, "amount", "min"),
        "max_quantity": _limit(limits, "amount", "max"),
        "max_market_quantity": _limit(limits, "market", "max"),
        "min_notional": _limit(limits, "cost", "min"),
        "order_types": sorted(map(str, types)) if isinstance(types, list) else None,
    }


def _increment(feed: Feed, market: Mapping[str, Any], kind: str) -> str | None:
    value = (market.get("precision") or {}).get(kind)
    if value is None or feed.client.precisionMode == _TICK_SIZE:
        return _decimal(value)
    return f"{Decimal(1).scaleb(-int(value)):f}"


def _limit(limits: Mapping[str, Any], kind: str, bound: str) -> str | None:
    return _decimal((limits.get(kind) or {}).get(bound))


def _decimal(value: Any) -> str | None:
    # CCXT's numbers are the nearest floats of short decimal texts, so repr gives the text back.
    return None if value is None else f"{Decimal(str(value)):f}"


def _folder(root: Path, exchange: str) -> Path:
    Market.parse(f"{exchange}:BASE/QUOTE")
    return Path(root) / "data" / "discovery" / exchange


def _visit_bytes(visit: Visit) -> bytes:
    document = {
        "schema_version": SCHEMA_VERSION,
        **{name: getattr(visit, name) for name in Visit.__slots__},
        "time": visit.time.isoformat(),
    }
    return (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()


def _read_visit(path: Path) -> Visit:
    document = _document(path)
    try:
        return Visit(
            exchange=document["exchange"],
            number=document["number"],
            version=document["version"],
            time=datetime.fromisoformat(document["time"]),
            sha256=document["sha256"],
            listed=tuple(document["listed"]),
            delisted=tuple(document["delisted"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no record of a discovery: {error}") from None


def _load(root: Path, visit: Visit) -> Discovery:
    path = _folder(root, visit.exchange) / "contents" / f"{visit.sha256}.json"
    document = _document(path)
    try:
        markets = {market["symbol"]: market for market in document["markets"]}
        return Discovery(visit, tuple(document["timeframes"]), markets)
    except (KeyError, TypeError) as error:
        raise DataError(
            f"{path} is no discovery: {error}; run 'mnemo data discover {visit.exchange}'"
        ) from None


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
        version = document["schema_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if version != SCHEMA_VERSION:
        raise DataError(f"{path}: schema version {version} found, this program reads {SCHEMA_VERSION}")
    return dict(document)
