"""Copies are whole, foreign files are refused, and an older journal is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_store.atomic import on_fault_point
from feature_store.errors import StoreError
from lab.core.errors import DataError
from live_bridge.backup import backup, read_witness, restore, restored_since, witness_path, write_witness
from live_bridge.journal import Draft, Journal

AT = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "live" / "main.sqlite"


@pytest.fixture
def journal(state: Path) -> Iterator[Journal]:
    with Journal(state, account="main", portfolio="core") as opened:
        yield opened


def grow(journal: Journal, count: int, note: str = "x") -> None:
    for number in range(count):
        journal.append([Draft("NOTE", {"note": f"{note}{number}"})], at=AT)


def test_a_copy_made_while_the_journal_is_open_holds_all_of_it(journal: Journal, tmp_path: Path) -> None:
    grow(journal, 5)
    done = backup(journal.path, tmp_path / "copy.sqlite")
    assert (done["events"], done["hash"]) == journal.head
    with Journal(tmp_path / "copy.sqlite", account="main", portfolio="core") as copy:
        assert [event.body for event in copy.events()] == [event.body for event in journal.events()]


def test_a_copy_is_one_file(journal: Journal, tmp_path: Path) -> None:
    grow(journal, 3)
    folder = tmp_path / "copies"
    backup(journal.path, folder / "copy.sqlite")
    assert [path.name for path in folder.iterdir()] == ["copy.sqlite"]


def test_damage_is_not_copied(state: Path, tmp_path: Path) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 5)
    with sqlite3.connect(state) as connection:
        connection.execute("DROP TRIGGER events_are_final")
        connection.execute("UPDATE events SET body = '{}' WHERE number = 3")
    old = tmp_path / "copy.sqlite"
    old.write_bytes(b"yesterday's good copy")
    with pytest.raises(DataError, match="event 3"):
        backup(state, old)
    assert old.read_bytes() == b"yesterday's good copy"


def test_an_older_journal_is_noticed_and_a_newer_one_is_not(state: Path, tmp_path: Path) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 5)
        write_witness(journal)
        assert restored_since(journal) is None
        grow(journal, 2)
        assert restored_since(journal) is None
        backup(state, tmp_path / "copy.sqlite")
        grow(journal, 4)
        write_witness(journal)
    done = restore(tmp_path / "copy.sqlite", state)
    with Journal(state, account="main", portfolio="core") as journal:
        assert journal.head[0] == done["events"] == 7
        witness = restored_since(journal)
        assert witness is not None
        assert witness.number == 11
        # Caught up in number, but not the same history.
        grow(journal, 6, "another")
        assert restored_since(journal) == witness
    with Journal(Path(done["replaced"]), account="main", portfolio="core") as kept:
        assert kept.head == (11, witness.hash)


@pytest.mark.parametrize(
    "content", [b"", b"no database", b"SQLite format 3\0" + b"\0" * 100], ids=["empty", "text", "header"]
)
def test_what_is_no_journal_is_not_restored(state: Path, tmp_path: Path, content: bytes) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 2)
    before = state.read_bytes()
    (tmp_path / "copy").write_bytes(content)
    with pytest.raises(DataError):
        restore(tmp_path / "copy", state)
    with pytest.raises(DataError, match="not found"):
        restore(tmp_path / "missing", state)
    assert state.read_bytes() == before
    assert list(state.parent.iterdir()) == [state]


def test_a_journal_that_another_user_owns_stays_its_own(state: Path, tmp_path: Path) -> None:
    with Journal(tmp_path / "other.sqlite", account="other", portfolio="core") as other:
        grow(other, 2)
    restore(tmp_path / "other.sqlite", state)
    with pytest.raises(Exception, match="account"):
        Journal(state, account="main", portfolio="core")


def test_whatever_fails_while_restoring_leaves_the_old_or_the_new_journal(
    state: Path, tmp_path: Path
) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 3)
        backup(state, tmp_path / "copy.sqlite")
        grow(journal, 3)
    points: list[str] = []
    on_fault_point(lambda operation, path: points.append(operation))
    try:
        restore(tmp_path / "copy.sqlite", state)
        count = len(points)
        for failing in range(count):
            with Journal(state, account="main", portfolio="core") as journal:
                grow(journal, 6 - journal.head[0])
            heads = _heads_after_failure(failing, tmp_path / "copy.sqlite", state)
            assert heads in {3, 6}
    finally:
        on_fault_point(None)
    assert count > 5


def _heads_after_failure(failing: int, copy: Path, state: Path) -> int:
    seen = iter(range(1_000))

    def fail(operation: str, path: Path) -> None:
        if next(seen) == failing:
            raise OSError(28, f"no space left for {operation} of {path.name}")

    on_fault_point(fail)
    with pytest.raises((StoreError, DataError)):
        restore(copy, state)
    on_fault_point(None)
    with Journal(state, account="main", portfolio="core") as journal:
        journal.verify()
        return journal.head[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": 1}'])
def test_a_damaged_witness_is_no_witness(state: Path, text: str) -> None:
    witness_path(state).parent.mkdir(parents=True)
    witness_path(state).write_text(text)
    assert read_witness(state) is None
