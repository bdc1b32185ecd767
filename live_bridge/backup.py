"""Copies of the journal, and how an older one that came back is noticed.

The witness is a small file beside the journal with the number and hash of its last event, written after every
run. A journal that ends before its witness, or whose event of that number is another one, was put back from a
copy: what happened since then happened on the exchange, and nothing may be ordered before that is known.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import replacing, write_bytes
from lab.core.errors import ConfigError, DataError
from live_bridge.journal import Journal

__all__ = ["Witness", "backup", "read_witness", "restore", "restored_since", "witness_path", "write_witness"]

_BUSY_SECONDS: Final = 5.0
_SIDE_FILES: Final = ("-wal", "-shm")
_OWN_SUFFIXES: Final = ("", *_SIDE_FILES, ".head", ".lock")
_SQLITE_HEADER: Final = b"SQLite format 3\0"


@dataclass(frozen=True, slots=True)
class Witness:
    """Number and hash of the last event that a journal is known to have had."""

    number: int
    hash: str


def witness_path(state: Path) -> Path:
    """Return the witness file of a journal."""
    return state.with_name(state.name + ".head")


def write_witness(journal: Journal) -> None:
    """Remember the journal's last event outside of it."""
    number, hash_ = journal.head
    text = json.dumps({"number": number, "hash": hash_})
    write_bytes(witness_path(journal.path), text.encode())


def read_witness(state: Path) -> Witness | None:
    """Return what :func:`write_witness` wrote; None where there is nothing that can be read."""
    try:
        entry = json.loads(witness_path(state).read_text(encoding="utf-8"))
        return Witness(int(entry["number"]), str(entry["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def restored_since(journal: Journal) -> Witness | None:
    """Return the witness that the journal falls short of; None where it continues it.

    A journal that is ahead of its witness is ordinary: the run that wrote it died before the witness.
    """
    witness = read_witness(journal.path)
    if witness is None or witness.number == 0:
        return None
    events = journal.events(after=witness.number - 1)
    found = next(events, None)
    if found is not None and found.number == witness.number and found.hash == witness.hash:
        return None
    return witness


def backup(state: Path, to: Path) -> dict[str, Any]:
    """Copy a journal consistently while it may be in use.

    Parameters
    ----------
    state : pathlib.Path
        The journal's file.
    to : pathlib.Path
        The copy; an existing file is replaced, all or nothing.

    Returns
    -------
    dict
        ``path``, ``events`` and ``hash`` of the copy's last event.

    Raises
    ------
    DataError
        If the journal cannot be read, or its chain is broken: a copy of damage is no backup.
    ConfigError
        If `to` is the journal itself or a file that belongs to it, or something there is no database.
    StoreError
        If the copy cannot be written.
    """
    if not state.is_file():
        raise DataError(f"{state}: no journal to copy; 'live-bridge run' starts one")
    _refuse_target(state, to)
    with replacing(to) as temporary:
        try:
            uri = f"{state.resolve().as_uri()}?mode=ro"
            with (
                closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as source,
                closing(sqlite3.connect(temporary)) as target,
            ):
                source.backup(target)
                # A copy is one file: without the write-ahead log of its source.
                target.execute("PRAGMA journal_mode = DELETE")
            number, hash_ = _checked(temporary)
        except sqlite3.DatabaseError as error:
            raise DataError(f"{state}: cannot be copied ({error})") from None
    return {"path": str(to), "events": number, "hash": hash_}


def restore(copy: Path, state: Path) -> dict[str, Any]:
    """Put a copy back as the journal; what stood there is kept beside it.

    The next run finds by the witness that the journal is older than what it replaced.

    Parameters
    ----------
    copy : pathlib.Path
        As :func:`backup` wrote it.
    state : pathlib.Path
        The journal's file. Call this under the bridge's lock.

    Returns
    -------
    dict
        ``path``, ``events``, ``hash`` and ``replaced`` (where the file before is kept, or None).

    Raises
    ------
    DataError
        If the copy is missing, is no journal, or its chain is broken; nothing is changed then.
    """
    if not copy.is_file():
        raise DataError(f"{copy}: not found; expected a file that 'live-bridge backup' wrote")
    if state.exists() and not state.is_file():
        raise DataError(f"{state}: found a folder or device where the journal belongs; move it away first")
    with replacing(state) as temporary:
        temporary.write_bytes(copy.read_bytes())
        try:
            number, hash_ = _checked(temporary)
        except sqlite3.DatabaseError as error:
            raise DataError(f"{copy}: no journal of the bridge ({error}); nothing was changed") from None
        kept = _keep(state) if state.exists() else None
    return {
        "path": str(state),
        "events": number,
        "hash": hash_,
        "replaced": str(kept) if kept else None,
    }


def _checked(path: Path) -> tuple[int, str]:
    with closing(sqlite3.connect(path)) as connection:
        # The chain vouches for the events alone; a damaged index or table makes the journal unreadable too.
        found = str(connection.execute("PRAGMA integrity_check(1)").fetchone()[0])
        if found != "ok":
            raise sqlite3.DatabaseError(f"damaged: {found}")
        owner = dict(connection.execute("SELECT key, value FROM owner"))
    if not {"account", "portfolio"} <= owner.keys():
        raise sqlite3.DatabaseError("it names no account and portfolio")
    with Journal(path, account=owner["account"], portfolio=owner["portfolio"]) as journal:
        journal.verify()
        number, hash_ = journal.head
    _fold(path)
    return number, hash_


def _fold(path: Path) -> None:
    # Opening a journal turns its write-ahead log on; the copy shall stay one file.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _keep(state: Path) -> Path:
    kept = _free_name(state)
    # Read before the database is opened: that may delete the log of a damaged one.
    raw = {suffix: _bytes(state.with_name(state.name + suffix)) for suffix in ("", "-wal")}
    try:
        with (
            closing(sqlite3.connect(state, timeout=_BUSY_SECONDS)) as old,
            replacing(kept) as temporary,
            closing(sqlite3.connect(temporary)) as target,
        ):
            old.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise DataError(f"{state}: cannot be kept ({error}); nothing was changed") from None
    except sqlite3.DatabaseError:
        # What is damaged is the reason to restore: its bytes are kept as they are.
        for suffix, content in raw.items():
            if content:
                write_bytes(kept.with_name(kept.name + suffix), content)
    # The old write-ahead log would be replayed into the restored file.
    for suffix in _SIDE_FILES:
        state.with_name(state.name + suffix).unlink(missing_ok=True)
    return kept


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _refuse_target(state: Path, to: Path) -> None:
    own = {state.resolve().with_name(state.name + suffix) for suffix in _OWN_SUFFIXES}
    if to.resolve() in own:
        raise ConfigError(f"--to {to}: belongs to the journal that is copied; name another file")
    if not to.exists():
        return
    if not to.is_file():
        raise ConfigError(f"--to {to}: found a folder or device; expected the name of a file")
    with to.open("rb") as existing:
        header = existing.read(len(_SQLITE_HEADER))
    if header not in (b"", _SQLITE_HEADER):
        raise ConfigError(f"--to {to}: found a file that is no copy of a journal; name another file")


def _free_name(state: Path) -> Path:
    number = 1
    while (candidate := state.with_name(f"{state.name}.replaced-{number}")).exists():
        number += 1
    return candidate
