"""Files are read after their bytes have been compared with a checksum; damaged ones are set aside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.atomic import fault_point
from feature_store.errors import CorruptFileError
from feature_store.manifest import Earlier, Manifest, Partition
from feature_store.partition import checksum, overlapping
from feature_store.tail import TailFile

__all__ = ["QUARANTINE", "Verified", "select"]

QUARANTINE: Final = "quarantine"


class Verified:
    """Remembers which files have been compared, until they change."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, int, int]] = {}

    def forget(self) -> None:
        """Compare every file again when it is next asked for."""
        self._seen.clear()

    def path(self, folder: Path, entry: Partition | Earlier | TailFile) -> Path:
        """Return the path of a file whose bytes are those that were written.

        Raises
        ------
        CorruptFileError
            If it is missing or its bytes are others; such a partition is moved to the folder ``quarantine``
            beside it (its manifest still names it, so that it is never read as empty).
        """
        path = folder / entry.file
        try:
            status = path.stat()
            signature = (status.st_ino, status.st_size, status.st_mtime_ns)
            if self._seen.get(path) == signature:
                return path
            found = checksum(path)
        except OSError as error:
            aside = folder / QUARANTINE / entry.file
            where = f"; it was found damaged and lies in {aside}" if aside.exists() else ""
            raise CorruptFileError(
                f"{path} is named by its manifest and cannot be read: {error}{where}"
            ) from error
        if not found.startswith(entry.sha256):
            # A tail is found by its presence: moved away, its rows would be missing without a word.
            where = "left there" if isinstance(entry, TailFile) else _set_aside(path)
            raise CorruptFileError(
                f"{path} is damaged: SHA-256 {found[:12]} found, {entry.sha256[:12]} was written; {where}. "
                "Restore the file, or write the dataset again"
            )
        self._seen[path] = signature
        return path

    def paths(
        self,
        folder: Path,
        manifest: Manifest,
        tail: TailFile | None,
        start: datetime | None,
        end: datetime | None,
        *,
        earlier: bool,
    ) -> list[Path]:
        """Return the files with rows of a span: partitions, the tail, with `earlier` the replaced rows."""
        parts = list(overlapping(manifest, start, end))
        entries: list[Partition | Earlier | TailFile] = [*parts]
        entries += [] if tail is None else [tail]
        entries += [part.earlier for part in parts if part.earlier is not None] if earlier else []
        return [self.path(folder, entry) for entry in entries]


def select(
    paths: Sequence[Path],
    manifest: Manifest,
    *,
    columns: Sequence[str] | None,
    entities: Sequence[str] | None,
    start: datetime | None,
    end: datetime | None,
) -> pl.LazyFrame:
    """Return some columns of the rows of some entities and a span of time, lazily."""
    frame = pl.scan_parquet(list(paths), glob=False, hive_partitioning=False)
    time = pl.col(manifest.time)
    if entities is not None:
        frame = frame.filter(pl.col(manifest.entity).is_in(list(entities)))
    if start is not None:
        frame = frame.filter(time >= start)
    if end is not None:
        frame = frame.filter(time < end)
    return frame if columns is None else frame.select(list(columns))


def _set_aside(path: Path) -> str:
    target = path.parent / QUARANTINE / path.name
    try:
        fault_point("quarantine", path)
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    except OSError as error:
        return f"it could not be moved aside ({error.strerror or error})"
    return f"moved to {target}"
