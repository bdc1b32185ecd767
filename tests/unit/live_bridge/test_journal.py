"""The journal: appended, chained, never changed, never another's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_store.atomic import on_fault_point
from lab.core.errors import ConfigError, DataError
from live_bridge.journal import Draft, Journal

AT = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "live" / "main.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path, account="main", portfolio="core") as opened:
        opened.append([Draft("A", {"n": 1}), Draft("B", {"n": 2})], at=AT, tick="t1")
        opened.append([Draft("A", {"n": 3})], at=AT, tick="t2")
        yield opened


def test_events_come_back_in_order_and_the_chain_holds(journal: Journal, path: Path) -> None:
    assert [(e.number, e.tick, e.kind, e.body["n"]) for e in journal.events()] == [
        (1, "t1", "A", 1),
        (2, "t1", "B", 2),
        (3, "t2", "A", 3),
    ]
    assert [event.number for event in journal.events_of("t1")] == [1, 2]
    last = journal.last("A", "B")
    assert last is not None
    assert last.number == 3
    assert journal.last("C") is None
    assert journal.verify() == 3
    journal.close()
    with Journal(path, account="main", portfolio="core") as again:
        assert again.head[0] == 3
        assert again.verify() == 3
        assert again.verify(after=3) == 1


def test_it_is_written_to_last(journal: Journal) -> None:
    assert journal.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


@pytest.mark.parametrize("statement", ["UPDATE events SET body = '{}'", "DELETE FROM events"])
def test_the_database_itself_refuses_changes(journal: Journal, statement: str) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        journal.connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "event"),
    [
        ("UPDATE events SET body = '{\"n\":9}' WHERE number = 2", 2),
        ("UPDATE events SET at = '2025' WHERE number = 1", 1),
        ("UPDATE events SET tick = 'x' WHERE number = 3", 3),
        ("UPDATE events SET kind = 'C' WHERE number = 2", 2),
        ("DELETE FROM events WHERE number = 2", 2),
        ("DELETE FROM events WHERE number = 1", 1),
        ("UPDATE events SET previous = 'x' WHERE number = 3", 3),
    ],
)
def test_a_changed_row_is_found(journal: Journal, path: Path, statement: str, event: int) -> None:
    journal.close()
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER events_are_final")
        raw.execute("DROP TRIGGER events_are_kept")
        raw.execute(statement)
    raw.close()
    with (
        Journal(path, account="main", portfolio="core") as again,
        pytest.raises(DataError, match=f"event {event} of the journal does not fit the chain"),
    ):
        again.verify()


def test_a_row_rewritten_with_a_new_hash_breaks_the_next_link(
    journal: Journal, path: Path, tmp_path: Path
) -> None:
    with Journal(tmp_path / "other.sqlite", account="main", portfolio="core") as other:
        other.append([Draft("A", {"n": 1}), Draft("B", {"n": 200})], at=AT, tick="t1")
        forged = other.connection.execute("SELECT body, hash FROM events WHERE number = 2").fetchone()
    journal.close()
    with sqlite3.connect(path) as raw:
        raw.execute("DROP TRIGGER events_are_final")
        raw.execute("UPDATE events SET body = ?, hash = ? WHERE number = 2", forged)
    raw.close()
    with Journal(path, account="main", portfolio="core") as again, pytest.raises(DataError, match="event 3 "):
        again.verify()


def test_all_of_an_append_is_there_or_none(journal: Journal, path: Path) -> None:
    inserts = 0

    def fail(operation: str, _: Path) -> None:
        nonlocal inserts
        inserts += operation == "journal-insert"
        if inserts == 2:
            raise OSError(28, "No space left on device")

    on_fault_point(fail)
    try:
        with pytest.raises(DataError, match="No space left"):
            journal.append([Draft("A", {}), Draft("B", {})], at=AT, tick="t3")
    finally:
        on_fault_point(None)
    assert journal.head[0] == 3
    assert journal.verify() == 3


def test_another_account_or_portfolio_is_refused(journal: Journal, path: Path) -> None:
    journal.close()
    with pytest.raises(ConfigError, match="has account 'main', the configuration 'second'"):
        Journal(path, account="second", portfolio="core")
    with pytest.raises(ConfigError, match="has portfolio 'core'"):
        Journal(path, account="main", portfolio="other")


def test_files_that_are_no_journal_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, not a database, and they are long enough to tell" * 20)
    before = text.read_bytes()
    with pytest.raises(DataError, match=r"notes\.txt: cannot open the journal"):
        Journal(text, account="main", portfolio="core")
    assert text.read_bytes() == before
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as raw:
        raw.execute("CREATE TABLE mine (x)")
    raw.close()
    with pytest.raises(DataError, match="no journal of the bridge"):
        Journal(foreign, account="main", portfolio="core")
