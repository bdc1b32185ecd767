"""The files of a dataset, one a month: written under their checksum, read back, or named as damaged."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.atomic import fault_point, parquet_bytes, write_bytes
from feature_store.errors import CorruptFileError, StoreError
from feature_store.manifest import FILE_NAME, Earlier, Manifest, Partition
from feature_store.tail import superseded, tail_of

__all__ = ["checksum", "conform", "overlapping", "read_file", "read_tail", "store_rows", "sweep"]

_ISO: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"


def store_rows(
    folder: Path,
    month: str,
    rows: pl.DataFrame,
    time: str,
    inputs: tuple[str, ...],
    earlier: pl.DataFrame | None = None,
) -> Partition:
    """Write the rows of one month, and those they replaced; return what its manifest says about them."""
    replaced = None
    if earlier is not None:
        file, sha256, size = _store(folder, month, "earlier.parquet", earlier)
        replaced = Earlier(file, sha256, size, earlier.height)
    file, sha256, size = _store(folder, month, "parquet", rows)
    first, last = rows.select(
        pl.col(time).min().dt.strftime(_ISO), pl.col(time).max().dt.strftime(_ISO).alias("last")
    ).row(0)
    return Partition(month, file, sha256, size, rows.height, first, last, inputs, replaced)


def _store(folder: Path, month: str, ending: str, rows: pl.DataFrame) -> tuple[str, str, int]:
    data = parquet_bytes(rows)
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"{month}.{sha256[:12]}.{ending}"
    write_bytes(folder / file, data)
    return file, sha256, len(data)


def read_file(path: Path) -> pl.DataFrame:
    """Return all rows of a Parquet file; CorruptFileError if it is not readable as one."""
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise CorruptFileError(f"{path} cannot be read as Parquet: {error}") from error


def read_tail(folder: Path, manifest: Manifest) -> pl.DataFrame | None:
    """Return the rows of the tail that continues `manifest`; None without one."""
    tail = tail_of(folder, manifest.generation)
    if tail is None:
        return None
    path = folder / tail.file
    try:
        found = checksum(path)
    except OSError as error:
        raise CorruptFileError(f"{path} cannot be read: {error}") from error
    if not found.startswith(tail.sha256):
        raise CorruptFileError(f"{path} is damaged: its name and its bytes disagree")
    return read_file(path)


def overlapping(manifest: Manifest, start: datetime | None, end: datetime | None) -> Iterator[Partition]:
    """Yield the partitions with rows in ``start <= time < end``."""
    for part in manifest.partitions:
        first, last = (datetime.fromisoformat(text) for text in (part.first, part.last))
        if (start is None or last >= start) and (end is None or first < end):
            yield part


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def conform(rows: pl.DataFrame, stored: Manifest, offered: Manifest) -> pl.DataFrame:
    """Return rows in the stored order of columns; StoreError if columns, types or keys differ."""
    keys = (stored.entity, stored.time, stored.known)
    if keys != (offered.entity, offered.time, offered.known) or dict(stored.schema) != dict(offered.schema):
        same = set(stored.schema.items()) == set(offered.schema.items())
        if same and keys == (offered.entity, offered.time, offered.known):
            return rows.select(list(stored.schema))
        raise StoreError(
            f"dataset {stored.dataset}: columns {dict(offered.schema)} offered, {dict(stored.schema)} stored "
            f"(keys {keys}); write the same columns, or overwrite the dataset"
        )
    return rows


def sweep(folder: Path, manifest: Manifest) -> None:
    """Remove files of writes that never finished, and versions that the manifest no longer names."""
    named = {FILE_NAME, ".lock", *(part.file for part in manifest.partitions)}
    named |= {part.earlier.file for part in manifest.partitions if part.earlier is not None}
    tails = superseded(folder, manifest.generation)
    for path in folder.iterdir():
        if path.name.startswith("tail.") and path not in tails:
            continue
        if path.name not in named and path.is_file() and path.suffix in {".parquet", ".tmp"}:
            fault_point("unlink", path)
            path.unlink()
