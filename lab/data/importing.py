"""Brings files of bars into the catalog: file by file, each imported whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from feature_store import Manifest
from feature_store.atomic import exclusive
from lab.core.errors import ConfigError, DataError
from lab.core.frames import sort_rows
from lab.core.market import Market
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors
from lab.data.checking import received_counts
from lab.data.gridcheck import check_timeframe
from lab.data.quality import QualitySettings, mark
from lab.data.raw import ImportRecord, RawStore, file_digest, utc_text
from lab.data.reading import Format, Received, check_mapping, read_bars

__all__ = ["FileVerdict", "import_files"]


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """What became of one file.

    Parameters
    ----------
    file : str
        As it was named.
    status : str
        ``imported``; ``unchanged``, when all its bars were there; ``refused``, when nothing was stored.
    bars, markets : int, tuple of str
        Rows read and the markets they are of.
    first, last : datetime or None
        Earliest and latest bar.
    duplicates, ohlc_violations, zero_volume, incomplete : int
        Rows beyond the first per market and ts; rows outside their own range or without prices; rows with
        volume 0; bars that had not closed on arrival and were left out.
    detected : mapping
        ``format`` and ``stamps``, as found.
    error : str
        Why it was refused.
    """

    file: str
    status: Literal["imported", "unchanged", "refused"]
    bars: int = 0
    markets: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    duplicates: int = 0
    ohlc_violations: int = 0
    zero_volume: int = 0
    incomplete: int = 0
    detected: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the file's bars are stored."""
        return self.status != "refused"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        document = asdict(self)
        for edge in ("first", "last"):
            document[edge] = None if document[edge] is None else f"{document[edge]:%Y-%m-%dT%H:%M:%SZ}"
        return {**document, "markets": list(self.markets), "detected": dict(self.detected)}


def import_files(
    paths: Iterable[Path | str],
    *,
    root: Path,
    exchange: str | None,
    timeframe: str | Timeframe,
    arrived: datetime,
    mapping: Mapping[str, str] | None = None,
    format: Format = "auto",
    strict: bool = False,
    settings: QualitySettings | None = None,
) -> list[FileVerdict]:
    """Import files; a bad one is refused with its reason and the others go on.

    Each file is read and checked first; then its bytes are kept under ``data/raw``, then its bars stored. The
    same file again changes nothing.

    Parameters
    ----------
    paths : iterable of Path
        CSV, Parquet, Binance's klines (CSV, zip), freqtrade's candles (feather, JSON).
    root : Path
        Folder under which ``data/`` lies.
    exchange : str or None
        Exchange of the bars; None when every symbol names its own.
    timeframe : str or Timeframe
        Length of a bar; checked against the bars.
    arrived : datetime
        Now, timezone-aware: kept with the raw copy as the time at which the bars became known; bars that had
        not closed by then are left out.
    mapping, format
        See :func:`lab.data.reading.read_bars`.
    strict : bool
        Refuse a file that has BAD bars.
    settings : QualitySettings, optional
        Thresholds for `strict`.

    Raises
    ------
    ConfigError
        If an option is wrong; no file was looked at then.
    LockedError
        If another import holds the lock.
    """
    grid = Timeframe.parse(timeframe)
    mapping = dict(mapping or {})
    check_mapping(mapping, format)
    if exchange is not None:
        Market.parse(f"{exchange}:BASE/QUOTE")
    if arrived.tzinfo is None:
        raise ConfigError("arrived has no time zone: times are UTC")
    verdicts = []
    raw = RawStore(root)
    with store_errors(), exclusive(raw.folder):
        raw.sweep()
        for path in paths:
            try:
                received = read_bars(Path(path), exchange=exchange, mapping=mapping, fmt=format)
                job = _Job(Path(path), grid, exchange, mapping, arrived, strict, settings)
                verdicts.append(_import(job, received, raw, Catalog(root)))
            except DataError as error:
                verdicts.append(FileVerdict(str(path), "refused", error=str(error)))
    return verdicts


@dataclass(frozen=True, slots=True)
class _Job:
    path: Path
    grid: Timeframe
    exchange: str | None
    mapping: Mapping[str, str]
    arrived: datetime
    strict: bool
    settings: QualitySettings | None


def _import(job: _Job, received: Received, raw: RawStore, catalog: Catalog) -> FileVerdict:
    sha256 = file_digest(job.path)
    record = ImportRecord(
        sha256=sha256,
        name=job.path.name,
        arrived=utc_text(job.arrived),
        exchange=job.exchange,
        timeframe=str(job.grid),
        format=received.format,
        mapping=received.mapping,
        received={},
    )
    known = raw.find(record.key)
    arrival = known.arrival if known else raw.free_arrival(job.arrived)
    complete = _judge(job, received, arrival)
    counts = received_counts(complete)
    if known is None:
        by_market = {row.pop("market"): row for row in counts.to_dicts()}
        record = replace(record, arrived=utc_text(arrival), received=by_market)
    before = _manifests(catalog, counts["market"].to_list(), job.grid)
    raw.keep(job.path, known or record)
    after = catalog.append(complete, timeframe=job.grid, known_at=arrival, inputs=[sha256])
    return FileVerdict(
        file=str(job.path),
        status="imported" if known is None or before != after else "unchanged",
        bars=complete.height,
        markets=tuple(counts["market"].to_list()),
        first=complete.select(pl.col("ts").min()).item(),
        last=complete.select(pl.col("ts").max()).item(),
        duplicates=_repeated(complete),
        ohlc_violations=int(counts["ohlc_violations"].sum()),
        zero_volume=int(counts["zero_volume"].sum()),
        incomplete=received.bars.height - complete.height,
        detected={"format": received.format, "stamps": received.stamps},
    )


def _judge(job: _Job, received: Received, arrival: datetime) -> pl.DataFrame:
    """Return the complete bars of a file whose bars are what was stated; DataError naming the file if not."""
    bars = received.bars
    try:
        if received.timeframe not in {None, job.grid}:
            raise DataError(f"bars of {received.timeframe} found, --timeframe says {job.grid}")
        check_timeframe(bars, job.grid, without_zone="without zone" in received.stamps)
        closed = arrival - job.grid.duration
        # A filter copies: for a file of millions of old bars that is half a gigabyte for nothing.
        complete = bars if _closed_by(bars, closed) else bars.filter(pl.col("ts") <= closed)
        if complete.is_empty():
            raise DataError(
                f"none of {bars.height} bars had closed at {utc_text(arrival)}; expected complete bars"
            )
        if job.strict:
            bad = mark(complete, job.grid, job.settings).filter(pl.col("quality") == "BAD")
            if bad.height:
                first = bad.row(0, named=True)
                raise DataError(
                    f"{bad.height} BAD bars (first {first['market']} at {first['ts']:%Y-%m-%d %H:%M}Z: "
                    f"{first['reason']}); correct them, or import without --strict to keep them marked"
                )
    except DataError as error:
        raise DataError(f"{job.path}: {error}") from None
    return complete


def _closed_by(bars: pl.DataFrame, closed: datetime) -> bool:
    return bool(bars.select((pl.col("ts") <= closed).all()).item())


def _repeated(bars: pl.DataFrame) -> int:
    ordered = sort_rows(bars.select("ts", "market"), by="market")
    again = (pl.col("ts") == pl.col("ts").shift()) & (pl.col("market") == pl.col("market").shift())
    return int(ordered.select(again.sum()).item())


def _manifests(catalog: Catalog, markets: list[str], grid: Timeframe) -> list[Manifest | None]:
    venues = sorted({Market.parse(market).exchange for market in markets})
    with store_errors():
        return [catalog.store.manifest(f"{venue}/{grid}") for venue in venues]
