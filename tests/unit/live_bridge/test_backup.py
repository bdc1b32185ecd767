"""Copies are whole, foreign files are refused, and an older journal is noticed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_store.atomic import on_fault_point
from feature_store.errors import StoreError
from lab.core.errors import ConfigError, DataError
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
    yesterday = b"SQLite format 3\0yesterday's good copy"
    old.write_bytes(yesterday)
    with pytest.raises(DataError, match="event 3"):
        backup(state, old)
    assert old.read_bytes() == yesterday


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


def _unreadable_table(path: Path) -> None:
    """Damage a page that holds no event: the chain of events stays whole."""
    with sqlite3.connect(path) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'bars'").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)


def test_damage_beside_the_events_is_neither_copied_nor_restored(state: Path, tmp_path: Path) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 3)
    backup(state, tmp_path / "copy.sqlite")
    _unreadable_table(tmp_path / "copy.sqlite")
    before = state.read_bytes()
    with pytest.raises(DataError, match="nothing was changed"):
        restore(tmp_path / "copy.sqlite", state)
    assert state.read_bytes() == before
    _unreadable_table(state)
    with pytest.raises(DataError, match="cannot be copied"):
        backup(state, tmp_path / "another.sqlite")
    assert not (tmp_path / "another.sqlite").exists()


def test_a_database_of_nobody_is_not_restored(state: Path, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "foreign.sqlite") as connection:
        connection.execute("CREATE TABLE owner (key TEXT, value TEXT)")
    with pytest.raises(DataError, match="no account"):
        restore(tmp_path / "foreign.sqlite", state)
    assert not state.exists()


@pytest.mark.parametrize(
    "content", [b"no database", b"SQLite format 3\0" + b"\0" * 100], ids=["text", "header"]
)
def test_a_damaged_journal_is_replaced_and_its_bytes_are_kept(
    state: Path, tmp_path: Path, content: bytes
) -> None:
    with Journal(state, account="main", portfolio="core") as journal:
        grow(journal, 4)
    backup(state, tmp_path / "copy.sqlite")
    state.write_bytes(content)
    state.with_name(state.name + "-wal").write_bytes(b"its log")
    done = restore(tmp_path / "copy.sqlite", state)
    kept = Path(done["replaced"])
    assert kept.read_bytes() == content
    assert kept.with_name(kept.name + "-wal").read_bytes() == b"its log"
    with Journal(state, account="main", portfolio="core") as journal:
        journal.verify()
        assert journal.head[0] == 4


@pytest.mark.parametrize("name", ["", "-wal", "-shm", ".head", ".lock"])
def test_a_copy_does_not_replace_the_journal_or_what_belongs_to_it(journal: Journal, name: str) -> None:
    grow(journal, 2)
    write_witness(journal)
    with pytest.raises(ConfigError, match="belongs to the journal"):
        backup(journal.path, journal.path.with_name(journal.path.name + name))
    assert read_witness(journal.path) is not None


def test_a_copy_does_not_replace_what_is_no_copy(journal: Journal, tmp_path: Path) -> None:
    grow(journal, 2)
    (tmp_path / "bridge.yaml").write_text("account: main\n")
    for target in (tmp_path / "bridge.yaml", tmp_path, Path("/dev/null")):
        with pytest.raises(ConfigError, match="--to"):
            backup(journal.path, target)
    assert (tmp_path / "bridge.yaml").read_text() == "account: main\n"
    with pytest.raises(StoreError):
        backup(journal.path, tmp_path / "bridge.yaml" / "copy.sqlite")


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
