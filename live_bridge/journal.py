"""The journal: append-only, hash-chained events in one SQLite file; everything else is derived from it.

Each event's hash covers its number, time, tick, kind, body and the hash before it, so that a changed, removed
or inserted row is found. Updates and deletes are refused by the database itself. The file is written with
WAL and ``synchronous=FULL``: once :meth:`Journal.append` returns, a power cut does not take the event back.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from feature_store.atomic import fault_point
from lab.core.errors import ConfigError, DataError
from lab.core.hashing import canonical_json, digest
from live_bridge.schema import LAYOUT, SCHEMA, SCHEMA_VERSION, VIEWS

__all__ = ["Draft", "Event", "Journal"]

_BUSY_MS: Final = 5_000
_READ_CHAIN: Final = """
    SELECT number, at, tick, kind, body, previous, hash FROM events WHERE number >= ? ORDER BY number
"""
_VIEWS: Final = f"{VIEWS} PRAGMA user_version = {LAYOUT};"
_INSERT: Final = """
    INSERT INTO events (number, at, tick, kind, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


class Draft(NamedTuple):
    """An event to be written: its kind, and a body of JSON values."""

    kind: str
    body: dict[str, Any]


class Event(NamedTuple):
    """An event as written. `at` is exchange time, ISO 8601 UTC; `tick` is empty outside of ticks."""

    number: int
    at: str
    tick: str
    kind: str
    body: dict[str, Any]
    hash: str


class Journal:
    """The journal of one account in one portfolio.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file; created with its folder when missing.
    account, portfolio : str
        Whose journal it is. A file that belongs to another is refused.

    Raises
    ------
    DataError
        If the file is no journal, is damaged, or cannot be written.
    ConfigError
        If it is another account's or portfolio's, or of another version.
    """

    def __init__(self, path: Path, *, account: str, portfolio: str) -> None:
        self.path = path
        self._owner = {"account": account, "portfolio": portfolio, "schema": str(SCHEMA_VERSION)}
        with self._errors("open"):
            fault_point("journal-open", path)
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000)
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def head(self) -> tuple[int, str]:
        """Number and hash of the last event; number 0 and the genesis hash of an empty journal."""
        with self._errors("read"):
            row = self.connection.execute(
                "SELECT number, hash FROM events ORDER BY number DESC LIMIT 1"
            ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, self._genesis)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write all of the block or nothing of it; durable when the block has ended."""
        with self._errors("write"):
            fault_point("journal-begin", self.path)
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                fault_point("journal-commit", self.path)
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            fault_point("journal-committed", self.path)

    def append(self, drafts: Sequence[Draft], *, at: datetime, tick: str = "") -> list[Event]:
        """Write events, all or none.

        Parameters
        ----------
        drafts : sequence of Draft
            In their order.
        at : datetime
            Exchange time, UTC.
        tick : str
            The tick they belong to.
        """
        if self.connection.in_transaction:
            return self._write(drafts, at.isoformat(), tick)
        with self.transaction():
            return self._write(drafts, at.isoformat(), tick)

    def events(self, *, after: int = 0) -> Iterator[Event]:
        """Yield the events with a number above `after`, in order."""
        yield from self._select("number > ?", after)

    def events_of(self, tick: str) -> list[Event]:
        """Return the events of one tick, in order."""
        return list(self._select("tick = ?", tick))

    def last(self, *kinds: str) -> Event | None:
        """Return the last event of one of `kinds`."""
        marks = ",".join("?" * len(kinds))
        query = f"SELECT max(number) FROM events WHERE kind IN ({marks})"  # noqa: S608 # nosec B608 # question marks only
        with self._errors("read"):
            number = self.connection.execute(query, kinds).fetchone()[0]
        return None if number is None else next(self.events(after=number - 1))

    def latest(self, kind: str, count: int) -> list[Event]:
        """Return the last events of a kind, newest first."""
        with self._errors("read"):
            rows = self.connection.execute(
                "SELECT number, at, tick, kind, body, hash FROM events WHERE kind = ? "
                "ORDER BY number DESC LIMIT ?",
                (kind, count),
            ).fetchall()
        return [
            Event(n, at, tick, found, json.loads(body), hash_) for n, at, tick, found, body, hash_ in rows
        ]

    def verify(self, *, after: int = 0) -> int:
        """Check the chain from event `after` on and return the number of events checked.

        Raises
        ------
        DataError
            Naming the first event that does not fit.
        """
        with self._errors("read"):
            rows = self.connection.execute(
                _READ_CHAIN,
                (max(after, 1),),
            ).fetchall()
        previous = self._genesis if after <= 1 or not rows else str(rows[0][5])
        expected = max(after, 1)
        for number, at, tick, kind, body, linked, hash_ in rows:
            if (
                number != expected
                or linked != previous
                or hash_ != _hash(number, at, tick, kind, body, linked)
            ):
                raise DataError(
                    f"{self.path}: event {expected} of the journal does not fit the chain; it was "
                    "changed after it was written. Restore a copy, or keep this file and start a "
                    "new one (state: …)"
                )
            previous, expected = hash_, expected + 1
        return len(rows)

    def _select(self, condition: str, value: int | str) -> Iterator[Event]:
        query = f"SELECT number, at, tick, kind, body, hash FROM events WHERE {condition} ORDER BY number"  # noqa: S608 # nosec B608 # constants
        with self._errors("read"), closing(self.connection.execute(query, (value,))) as rows:
            for number, at, name, kind, body, hash_ in rows:
                yield Event(number, at, name, kind, json.loads(body), hash_)

    @property
    def _genesis(self) -> str:
        return digest(self._owner)

    def _write(self, drafts: Iterable[Draft], at: str, tick: str) -> list[Event]:
        number, previous = self.head
        written = []
        for kind, body in drafts:
            number += 1
            text = canonical_json(body)
            hash_ = _hash(number, at, tick, kind, text, previous)
            fault_point("journal-insert", self.path)
            self.connection.execute(
                _INSERT,
                (number, at, tick, kind, text, previous, hash_),
            )
            written.append(Event(number, at, tick, kind, json.loads(text), hash_))
            previous = hash_
        return written

    def _prepare(self) -> None:
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        tables = {
            row[0] for row in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        if not tables:
            self.connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} {_VIEWS} COMMIT;")
            tables = {"owner"}
        if "owner" not in tables:
            raise DataError(
                f"{self.path}: an SQLite file, but no journal of the bridge; name another file as state"
            )
        if self.connection.execute("PRAGMA user_version").fetchone()[0] < LAYOUT:
            self.connection.executescript(f"BEGIN IMMEDIATE; {_VIEWS} COMMIT;")
        self.connection.executemany("INSERT OR IGNORE INTO owner VALUES (?, ?)", list(self._owner.items()))
        found = dict(self.connection.execute("SELECT key, value FROM owner"))
        for key, value in self._owner.items():
            if found[key] != value:
                raise ConfigError(
                    f"{self.path}: this journal has {key} {found[key]!r}, the configuration {value!r}; "
                    "name another file as state"
                )

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path}: cannot {what} the journal ({error}). Nothing was half-written: check free "
                "space, permissions and that the file is the bridge's own, then run again"
            ) from None
        except OSError as error:
            raise DataError(f"{self.path}: cannot {what} the journal ({error.strerror or error})") from None


def _hash(number: int, at: str, tick: str, kind: str, body: str, previous: str) -> str:
    return digest([number, at, tick, kind, body, previous])
