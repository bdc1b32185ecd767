"""What was received, as it was received: immutable copies by checksum, and a record of each import."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import fault_point, replacing, write_bytes
from feature_store.partition import checksum as file_digest
from lab.core.errors import DataError
from lab.core.hashing import digest

__all__ = ["ImportRecord", "RawStore", "file_digest", "utc_text"]

SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """How one payload was read: enough to read it again, and what was counted before anything was dropped.

    Parameters
    ----------
    sha256 : str
        Of the payload's bytes.
    name : str
        Name of the file as it came; for people.
    arrived : str
        First arrival, ISO 8601 UTC: when its bars became known.
    exchange, timeframe, format, mapping
        How it was read.
    received : mapping of market to counts
        ``bars, ohlc_violations, zero_volume``, of rows as received.
    covers : mapping, optional
        Of a page of a download: ``market, start, until`` (milliseconds since 1970): what it leaves unasked.
    """

    sha256: str
    name: str
    arrived: str
    exchange: str | None
    timeframe: str
    format: str
    mapping: Mapping[str, str]
    received: Mapping[str, Mapping[str, int]]
    covers: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """Identity of the import: the same payload read the same way is the same import."""
        how = [self.sha256, self.exchange, self.timeframe, dict(self.mapping)]
        return f"{self.sha256[:16]}-{digest(how)[:16]}"

    @property
    def arrival(self) -> datetime:
        """First arrival."""
        return datetime.fromisoformat(self.arrived)


class RawStore:
    """Payloads under ``data/raw/files``, records of imports under ``data/raw/imports``; nothing is changed.

    Parameters
    ----------
    root : Path
        The folder that ``--root`` names.
    part : str
        Folder under ``data/raw`` of what is not bars.
    """

    def __init__(self, root: Path, part: str = "") -> None:
        self.folder = Path(root) / "data" / "raw" / part

    def find(self, key: str) -> ImportRecord | None:
        """Return the record of an import; None if there was none."""
        path = self._record(key)
        return _read(path) if path.exists() else None

    def keys(self) -> set[str]:
        """Return the keys of all imports."""
        return {path.stem for path in (self.folder / "imports").glob("[!.]*.json")}

    def records(self) -> list[ImportRecord]:
        """Return all imports, oldest arrival first."""
        found = [_read(path) for path in sorted((self.folder / "imports").glob("*.json"))]
        return sorted(found, key=lambda record: (record.arrived, record.key))

    def free_arrival(self, arrived: datetime) -> datetime:
        """Return `arrived`, later by microseconds where it is taken: what came last is then always known."""
        taken = {record.arrived for record in self.records()}
        while utc_text(arrived) in taken:
            arrived += timedelta(microseconds=1)
        return arrived

    def sweep(self) -> None:
        """Remove what killed imports left half-written; the caller holds the lock."""
        for path in self.folder.glob("*/.*.tmp"):
            fault_point("unlink", path)
            path.unlink()

    def payload(self, record: ImportRecord) -> Path:
        """Return where the payload of an import is kept."""
        return self.folder / "files" / f"{record.sha256}.{record.format}"

    def keep(self, path: Path, record: ImportRecord) -> None:
        """Copy a payload and write the record of its import; both stay as they are when already there.

        Raises
        ------
        DataError
            If the file is no longer the one whose checksum was taken.
        """
        target = self.payload(record)
        if not target.exists():
            with replacing(target) as temporary:
                fault_point("write", target)
                shutil.copyfile(path, temporary)
                if file_digest(temporary) != record.sha256:
                    raise DataError(f"{path} changed while it was read; import it again")
                temporary.chmod(0o444)
        self._note(record)

    def keep_bytes(self, data: bytes, record: ImportRecord) -> None:
        """Write a payload that came over the wire, and the record of its import; both stay as they are."""
        target = self.payload(record)
        if not target.exists():
            with replacing(target) as temporary:
                fault_point("write", target)
                temporary.write_bytes(data)
                temporary.chmod(0o444)
        self._note(record)

    def _note(self, record: ImportRecord) -> None:
        if not self._record(record.key).exists():
            document = {"schema_version": SCHEMA_VERSION, **asdict(record)}
            if record.covers is None:
                del document["covers"]
            text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
            write_bytes(self._record(record.key), text.encode())

    def received(self) -> pl.DataFrame:
        """Return counts over all imports: ``market, timeframe, bars, ohlc_violations, zero_volume``."""
        rows = [
            {"market": market, "timeframe": record.timeframe, **counts}
            for record in self.records()
            for market, counts in record.received.items()
        ]
        names = ("bars", "ohlc_violations", "zero_volume")
        schema = {"market": pl.String, "timeframe": pl.String, **dict.fromkeys(names, pl.Int64)}
        frame = pl.DataFrame(rows, schema=schema)
        return frame.group_by("market", "timeframe").agg(pl.col(names).sum()).sort("market", "timeframe")

    def _record(self, key: str) -> Path:
        return self.folder / "imports" / f"{key}.json"


def _read(path: Path) -> ImportRecord:
    try:
        document: dict[str, Any] = json.loads(path.read_bytes())
        version = document.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path}: schema version {version} found, this program reads version {SCHEMA_VERSION}; "
                "use the release that wrote it"
            )
        return ImportRecord(**document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read as the record of an import: {error}") from None


def utc_text(instant: datetime) -> str:
    """Return an instant as ISO 8601 UTC with microseconds."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")
