"""Makes the stored bars again from what was received, and puts damaged months back, byte for byte."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from feature_store import Manifest
from feature_store.atomic import exclusive
from feature_store.dropping import DROPPED
from feature_store.errors import CorruptFileError
from feature_store.restoring import damaged_files, restore
from lab.core.errors import DataError
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors
from lab.data.raw import ImportRecord, RawStore, file_digest
from lab.data.reading import read_bars

__all__ = ["Rebuilt", "rebuild_bars"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came out for one dataset.

    Parameters
    ----------
    dataset : str
        ``exchange/timeframe``.
    months, identical : int
        Months made from raw payloads; those whose stored bytes are the same.
    damaged : tuple of str
        Files that were missing or damaged; what was damaged lies in ``quarantine`` beside them.
    restored : tuple of str
        Months put back.
    differing : tuple of str
        Months whose stored bytes are sound and others: bars in them came from no payload. They are kept.
    """

    dataset: str
    months: int
    identical: int
    damaged: tuple[str, ...]
    restored: tuple[str, ...]
    differing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}


def rebuild_bars(
    root: Path, *, dry_run: bool = False, progress: Progress = lambda task, done, total: None
) -> list[Rebuilt]:
    """Make all bars again from ``data/raw``, compare, and restore what is damaged or missing.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` lies.
    dry_run : bool
        Compare only.
    progress : callable
        Told ``(task, done, total)`` after each payload.

    Returns
    -------
    list of Rebuilt
        One per dataset that payloads or stored bars make up.

    Raises
    ------
    DataError
        If a payload is missing or not the one that was received.
    """
    raw, catalog = RawStore(root), Catalog(root)
    scratch = Path(root) / "data" / "rebuild"
    with store_errors(), exclusive(raw.folder):
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            again = Catalog(scratch)
            records = raw.records()
            for number, record in enumerate(records):
                bars = _payload_bars(raw, record)
                again.append(
                    bars, timeframe=record.timeframe, known_at=record.arrival, inputs=[record.sha256]
                )
                progress("payloads", number + 1, len(records))
            names = sorted({*catalog.store.datasets(), *again.store.datasets()})
            return [_dataset(catalog, again, name, dry_run) for name in names]
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _payload_bars(raw: RawStore, record: ImportRecord) -> pl.DataFrame:
    path = raw.payload(record)
    try:
        found = file_digest(path)
    except OSError as error:
        raise DataError(
            f"{path}: the payload {record.name} of {record.arrived} cannot be read ({error.strerror}); "
            "restore it from a backup, or remove its record under data/raw/imports to do without it"
        ) from None
    if found != record.sha256:
        raise DataError(f"{path}: the payload {record.name} has changed since it was received; restore it")
    received = read_bars(
        path,
        exchange=record.exchange,
        mapping=record.mapping,
        fmt=record.format,  # type: ignore[arg-type]
    )
    if record.covers is not None:  # a page was cut by the exchange's clock when it was kept
        return received.bars
    return received.bars.filter(pl.col("ts") <= record.arrival - Timeframe.parse(record.timeframe).duration)


def _dataset(catalog: Catalog, again: Catalog, name: str, dry_run: bool) -> Rebuilt:
    there = again.store.manifest(name)
    damaged = damaged_files(catalog.store, name)
    if there is None:
        return Rebuilt(name, 0, 0, tuple(damaged), (), ())
    here = _whole(catalog, name, damaged)
    stored = {} if here is None else {part.month: part for part in here.partitions}
    made = {part.month: part for part in there.partitions}
    lost = {month for month, part in stored.items() if {part.file, _earlier_file(part)} & set(damaged)}
    lost |= {month for month in made if month not in stored}
    lost -= set(here.metadata.get(DROPPED, ())) if here is not None else set()
    if any(file.startswith("tail.") for file in damaged) and here is not None:
        lost |= {month for month, part in made.items() if part.last > str(here.last)}
    same = {
        month for month, part in made.items() if month in stored and _bytes(stored[month]) == _bytes(part)
    }
    back = lost & made.keys()
    if back and not dry_run:
        restore(catalog.store, again.store, name, back)
    dropped = set(here.metadata.get(DROPPED, ())) - stored.keys() if here is not None else set()
    differing = (stored.keys() | made.keys()) - same - back - dropped
    return Rebuilt(
        dataset=name,
        months=len(made),
        identical=len(same - lost),
        damaged=tuple(damaged),
        restored=() if dry_run else tuple(sorted(back)),
        differing=tuple(sorted(differing)),
    )


def _whole(catalog: Catalog, name: str, damaged: list[str]) -> Manifest | None:
    """Return what is stored, the tail moved into partitions where nothing is damaged."""
    try:
        if not damaged and catalog.store.manifest(name) is not None and catalog.store.tail(name) is not None:
            return catalog.store.compact(name)
        return catalog.store.manifest(name)
    except CorruptFileError:
        return None


def _earlier_file(part: Any) -> str:
    return part.earlier.file if part.earlier is not None else ""


def _bytes(part: Any) -> tuple[str, str]:
    return part.sha256, part.earlier.sha256 if part.earlier is not None else ""
