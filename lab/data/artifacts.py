"""The artifact index: what lies under a root, with checksum, times and tags, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import exclusive
from lab.core.errors import DataError
from lab.data.raw import file_digest

__all__ = ["INDEX_FILE", "SCHEMA_VERSION", "index_artifacts"]

INDEX_FILE: Final = Path("data", "index.sqlite")
SCHEMA_VERSION: Final = 1
_FOLDERS: Final = ("data", "mlruns", "reports")
_SKIPPED: Final = frozenset({".lock", "README.md"})
_TABLE: Final = """CREATE TABLE IF NOT EXISTS artifacts (path TEXT PRIMARY KEY, sha256 TEXT NOT NULL,
bytes INTEGER NOT NULL, modified TEXT NOT NULL, modified_ns INTEGER NOT NULL, first_seen TEXT NOT NULL,
tags TEXT NOT NULL)"""


def index_artifacts(root: Path, *, now: datetime) -> list[dict[str, Any]]:
    """Bring the index up to date and return it.

    A file whose size and time are those of the index is not read again; one that is gone leaves the index.
    Databases are listed without checksum: they change while they are read.

    Returns
    -------
    list of dict
        ``path`` (relative to the root), ``sha256, bytes, modified, first_seen`` (ISO 8601 UTC), ``tags``.

    Raises
    ------
    DataError
        If the index is of another schema version.
    """
    path = Path(root) / INDEX_FILE
    with exclusive(path.parent / "index"), closing(sqlite3.connect(path)) as database, database:
        _check_version(database, path)
        known = {
            row[0]: row[1:] for row in database.execute("SELECT path, bytes, modified_ns FROM artifacts")
        }
        present = set()
        for file in _files(Path(root)):
            name, status = file.relative_to(root).as_posix(), file.stat()
            present.add(name)
            if known.get(name) == (status.st_size, status.st_mtime_ns):
                continue
            database.execute(
                "INSERT INTO artifacts VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
                "sha256 = excluded.sha256, bytes = excluded.bytes, modified = excluded.modified, "
                "modified_ns = excluded.modified_ns, tags = excluded.tags",
                (
                    name,
                    "" if _is_database(file) else file_digest(file),
                    status.st_size,
                    datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds"),
                    status.st_mtime_ns,
                    now.astimezone(UTC).isoformat(timespec="seconds"),
                    json.dumps(_tags(name)),
                ),
            )
        database.executemany(
            "DELETE FROM artifacts WHERE path = ?", [(name,) for name in known.keys() - present]
        )
        columns = ("path", "sha256", "bytes", "modified", "first_seen", "tags")
        rows = database.execute(
            "SELECT path, sha256, bytes, modified, first_seen, tags FROM artifacts ORDER BY path"
        ).fetchall()
    return [{**dict(zip(columns, row, strict=True)), "tags": json.loads(row[5])} for row in rows]


def _check_version(database: sqlite3.Connection, path: Path) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: schema version {version} found, this program reads version {SCHEMA_VERSION}. It "
            "holds nothing original: delete the file and run 'mnemo data index'"
        )
    database.execute(_TABLE)
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _files(root: Path) -> list[Path]:
    found = (path for folder in _FOLDERS for path in (root / folder).rglob("*"))
    index = INDEX_FILE.name
    return sorted(
        path
        for path in found
        if path.is_file() and path.name not in _SKIPPED and not path.name.startswith((index, "."))
    )


def _is_database(path: Path) -> bool:
    return path.suffix in {".sqlite", ".db"} or path.name.endswith(("-wal", "-shm"))


def _tags(name: str) -> list[str]:
    """Return what a path says: the part of the root it is in, and for bars and features their dataset."""
    parts = name.split("/")
    tags = parts[1:2] if parts[0] == "data" and len(parts) > 2 else parts[:1]
    return [*tags, *parts[2:-1]] if tags and tags[0] in {"bars", "features"} else tags
