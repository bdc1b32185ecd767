"""Tables and views of the journal's SQLite file."""

from __future__ import annotations

from typing import Final

__all__ = ["LAYOUT", "SCHEMA", "SCHEMA_VERSION", "VIEWS"]

SCHEMA_VERSION: Final = 1

# `bars` keeps each received bar once, and again when the exchange changed it; a row with only NULL prices
# says that the bar was missing from a later answer. What a decision saw are the newest rows up to its number.
SCHEMA: Final = """
CREATE TABLE owner (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    at TEXT NOT NULL,
    tick TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
);
CREATE INDEX events_by_kind ON events (kind, number);
CREATE INDEX events_by_tick ON events (tick, number);
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
    BEGIN SELECT raise(ABORT, 'events are never deleted'); END;
CREATE TRIGGER events_are_final BEFORE UPDATE ON events
    BEGIN SELECT raise(ABORT, 'events never change'); END;

CREATE TABLE bars (
    number INTEGER PRIMARY KEY,
    symbol TEXT NOT NULL,
    timeframe TEXT NOT NULL,
    ts INTEGER NOT NULL,
    missing INTEGER NOT NULL,
    open REAL, high REAL, low REAL, close REAL, volume REAL
);
CREATE INDEX bars_by_time ON bars (symbol, timeframe, ts, number);
CREATE TRIGGER bars_are_final BEFORE UPDATE ON bars BEGIN SELECT raise(ABORT, 'bars never change'); END;
"""

# What follows is made anew, or added, when a file is of an earlier version; LAYOUT counts them.
LAYOUT: Final = 3

# `series` keeps received values as `bars` keeps bars; `body` is a JSON object of a row's columns, NULL when
# the row was missing from a later answer.
VIEWS: Final = """
CREATE TABLE IF NOT EXISTS series (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    ts INTEGER NOT NULL,
    known_at INTEGER NOT NULL,
    body TEXT
);
CREATE INDEX IF NOT EXISTS series_by_time ON series (name, subject, ts, number);
CREATE TRIGGER IF NOT EXISTS series_are_final BEFORE UPDATE ON series
    BEGIN SELECT raise(ABORT, 'series never change'); END;

DROP VIEW IF EXISTS decisions;
CREATE VIEW decisions AS
    SELECT number, at, tick, body ->> 'instance' AS instance, body ->> 'bar' AS bar,
           body -> 'weights' AS weights, body -> 'inputs' AS inputs
    FROM events WHERE kind = 'DECIDED';

DROP VIEW IF EXISTS orders;
CREATE VIEW orders AS
    SELECT events.number, at, tick, each.value ->> 'id' AS id, each.value ->> 'symbol' AS symbol,
           each.value ->> 'side' AS side, each.value ->> 'quantity' AS quantity,
           each.value ->> 'price' AS price
    FROM events, json_each(events.body, '$.orders') AS each WHERE kind = 'PLANNED';

DROP VIEW IF EXISTS fills;
CREATE VIEW fills AS
    SELECT number, at, tick, body ->> 'order' AS id, body ->> 'symbol' AS symbol, body ->> 'side' AS side,
           body ->> 'quantity' AS quantity, body ->> 'price' AS price, body ->> 'fee' AS fee,
           body ->> 'fee_asset' AS fee_asset
    FROM events WHERE kind IN ('FILLED', 'TRADED')
    UNION ALL
    SELECT number, at, tick, trade.value ->> 'order', trade.value ->> 'symbol', trade.value ->> 'side',
           trade.value ->> 'quantity', trade.value ->> 'price', trade.value ->> 'fee',
           trade.value ->> 'fee_asset'
    FROM events, json_each(events.body, '$.trades') AS trade WHERE kind = 'RECOVERED_ORPHAN';

DROP VIEW IF EXISTS sent;
CREATE VIEW sent AS
    SELECT number, at, tick, body ->> '$.order.id' AS id, body ->> 'root' AS planned,
           body ->> '$.order.symbol' AS symbol, body ->> '$.order.side' AS side,
           body ->> '$.order.quantity' AS quantity, body ->> 'sent_ms' AS sent_ms
    FROM events WHERE kind = 'SENT';

DROP VIEW IF EXISTS incidents;
CREATE VIEW incidents AS
    SELECT number, at, tick, body ->> 'code' AS code, body ->> 'severity' AS severity,
           body ->> 'symbol' AS symbol, body ->> 'detail' AS detail
    FROM events WHERE kind = 'INCIDENT';

DROP VIEW IF EXISTS balances;
CREATE VIEW balances AS
    SELECT each.key AS currency, each.value AS quantity
    FROM (SELECT body FROM events WHERE kind IN ('OPENED', 'CLOSED', 'MODE_CHANGED')
          ORDER BY number DESC LIMIT 1) AS last,
         json_each(last.body, '$.state.balances') AS each;

DROP VIEW IF EXISTS equity;
CREATE VIEW equity AS
    SELECT at, tick, body ->> 'equity' AS equity, body ->> 'currency' AS currency
    FROM events WHERE kind = 'CLOSED';
"""
