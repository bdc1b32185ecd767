"""What decisions were made from, kept beside them: each bar and each value of a series once, and changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from lab.core.errors import DataError
from lab.core.frames import TS
from lab.core.hashing import canonical_json, digest
from lab.core.timeframe import Timeframe
from live_bridge.exchange import Candle
from live_bridge.series import SeriesAnswer

__all__ = ["RecordedSeries", "candles_digest", "read_candles", "record_candles", "record_series"]

_VALUES: Final = """
    SELECT subject, ts, known_at, body FROM (
        SELECT subject, ts, known_at, body, max(number) FROM series
        WHERE name = ? AND number <= ? GROUP BY subject, ts, known_at
    ) ORDER BY subject, ts, known_at
"""
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


def record_series(connection: sqlite3.Connection, answer: SeriesAnswer) -> dict[str, Any]:
    """Keep what was known of a series, inside the caller's transaction; return what finds it again.

    As with bars, only rows that are new, changed or gone since the last answer are written.
    """
    columns = [column for column in answer.rows.columns if column not in ("subject", "ts", "known_at")]
    received = {}
    for subject, ts, known_at, *values in answer.rows.select("subject", "ts", "known_at", *columns).rows():
        # As text: SQLite has neither NaN nor negative zero.
        exact = {
            column: None if value is None else value.hex()
            for column, value in zip(columns, values, strict=True)
        }
        received[subject, _microseconds(ts), _microseconds(known_at)] = canonical_json(exact)
    first = _microseconds(answer.start)
    known = {
        (subject, ts, known_at): body
        for subject, ts, known_at, body in _newest_values(connection, answer.name, None)
        if subject in answer.subjects and ts >= first and body is not None
    }
    rows: list[tuple[Any, ...]] = [
        (answer.name, *key, body) for key, body in received.items() if known.get(key) != body
    ]
    rows += [(answer.name, *key, None) for key in known if key not in received]
    connection.executemany(
        "INSERT INTO series (name, subject, ts, known_at, body) VALUES (?, ?, ?, ?, ?)", rows
    )
    number = connection.execute("SELECT coalesce(max(number), 0) FROM series").fetchone()[0]
    return {"number": int(number), "subjects": list(answer.subjects), "columns": columns}


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """Series as a past tick read them.

    Attributes
    ----------
    connection : sqlite3.Connection
        Of the journal.
    references : mapping of str to mapping
        By series: what :func:`record_series` returned.
    """

    connection: sqlite3.Connection
    references: Mapping[str, Mapping[str, Any]]

    def read(self, name: str, *, start: datetime, known: datetime) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """See :class:`live_bridge.series.SeriesSource`."""
        if name not in self.references:
            raise DataError(f"the journal has no series {name} of that tick")
        reference = self.references[name]
        columns = list(reference["columns"])
        earliest, latest = _microseconds(start), _microseconds(known)
        rows = [
            (
                subject,
                _instant(ts),
                _instant(known_at),
                *(_number(json.loads(body)[name]) for name in columns),
            )
            for subject, ts, known_at, body in _newest_values(self.connection, name, reference["number"])
            if body is not None and ts >= earliest and known_at <= latest and subject in reference["subjects"]
        ]
        schema: dict[str, Any] = {
            "subject": pl.String,
            "ts": TS,
            "known_at": TS,
            **dict.fromkeys(columns, pl.Float64),
        }
        return pl.DataFrame(rows, schema=schema, orient="row"), tuple(reference["subjects"])


def _newest_values(connection: sqlite3.Connection, name: str, number: int | None) -> list[Any]:
    return connection.execute(_VALUES, (name, 2**62 if number is None else number)).fetchall()


def _number(text: str | None) -> float | None:
    return None if text is None else float.fromhex(text)


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
    return tuple(Candle(_instant(row[0]), *row[2:7]) for row in rows if not row[1])


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
