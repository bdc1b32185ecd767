"""What the exchange said, kept beside the decisions made from it: each bar once, changes beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.core.hashing import digest
from lab.core.timeframe import Timeframe
from live_bridge.exchange import Candle

__all__ = ["candles_digest", "read_candles", "record_candles"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def candles_digest(candles: Sequence[Candle]) -> str:
    """Return the SHA-256 of bars as received: opening times and all numbers, to the bit (-0.0 is 0.0).

    Examples
    --------
    >>> one = Candle(datetime(2024, 1, 1, tzinfo=UTC), 1.0, 2.0, 0.5, 1.5, None)
    >>> candles_digest([one]) == candles_digest([one._replace(volume=0.0)])
    False
    """
    # SQLite has no negative zero.
    return digest(
        [
            [_microseconds(candle.ts), *(None if value is None else value + 0.0 for value in candle[1:])]
            for candle in candles
        ]
    )


def record_candles(
    connection: sqlite3.Connection,
    symbol: str,
    timeframe: Timeframe,
    candles: Sequence[Candle],
    *,
    start: datetime,
    end: datetime,
) -> int:
    """Keep an answer to "the bars that open in ``[start, end)``" and return its number.

    Only bars that are new, changed or gone since the last answer are written, inside the caller's
    transaction. :func:`read_candles` with the number gives the answer back, to the bit.
    """
    known = {candle.ts: candle for candle in _newest(connection, symbol, timeframe, start, end, None)}
    received = {candle.ts: candle for candle in candles}
    changed = [candle for ts, candle in received.items() if known.get(ts) != candle]
    gone = [ts for ts in known if ts not in received]
    rows: list[tuple[Any, ...]] = [
        (symbol, timeframe.name, _microseconds(candle.ts), 0, *candle[1:]) for candle in changed
    ]
    rows += [(symbol, timeframe.name, _microseconds(ts), 1, *([None] * 5)) for ts in gone]
    connection.executemany(
        "INSERT INTO bars (symbol, timeframe, ts, missing, open, high, low, close, volume) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM bars").fetchone()[0])


def read_candles(
    connection: sqlite3.Connection,
    symbol: str,
    timeframe: Timeframe,
    *,
    start: datetime,
    end: datetime,
    number: int,
) -> tuple[Candle, ...]:
    """Return the bars as they stood when :func:`record_candles` returned `number`."""
    return _newest(connection, symbol, timeframe, start, end, number)


def _newest(
    connection: sqlite3.Connection,
    symbol: str,
    timeframe: Timeframe,
    start: datetime,
    end: datetime,
    number: int | None,
) -> tuple[Candle, ...]:
    rows = connection.execute(
        "SELECT ts, missing, open, high, low, close, volume, max(number) FROM bars "
        "WHERE symbol = ? AND timeframe = ? AND ts >= ? AND ts < ? AND number <= ? GROUP BY ts ORDER BY ts",
        (
            symbol,
            timeframe.name,
            _microseconds(start),
            _microseconds(end),
            2**62 if number is None else number,
        ),
    )
    return tuple(Candle(_EPOCH + timedelta(microseconds=row[0]), *row[2:7]) for row in rows if not row[1])


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
