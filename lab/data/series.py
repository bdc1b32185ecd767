"""Series beside the bars (funding rates, on-chain figures): imported, joined by what was known when."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from feature_store import FeatureStore
from feature_store.atomic import exclusive
from lab.core.errors import ConfigError, DataError
from lab.core.frames import TS
from lab.core.timeframe import Timeframe
from lab.data.catalog import store_errors
from lab.data.joining import series_store
from lab.data.raw import ImportRecord, RawStore, file_digest, utc_text
from lab.data.reading import read_table
from lab.data.stamps import read_stamps
from lab.data.symbols import market_names

__all__ = ["KINDS", "SeriesKind", "SeriesVerdict", "import_series"]

_ASSET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,31}")
_SUBJECTS: Final = ("market", "symbol", "asset", "subject")


@dataclass(frozen=True, slots=True)
class SeriesKind:
    """How the stamps of a series are read, and when its values became known.

    Parameters
    ----------
    name : str
        Of the series; also its folder.
    subject : str
        ``market``: values belong to markets of an exchange; ``asset``: to coins.
    grid : Timeframe
        Stamps lie on it. One that is late by at most `tolerance` is moved back to it; others are refused.
    tolerance : timedelta
        See `grid`.
    period : timedelta
        What a value describes: ``ts`` to ``ts + period``. Zero: an instant.
    delay : timedelta
        Time from the end of that to publication.
    """

    name: str
    subject: Literal["market", "asset"]
    grid: Timeframe
    tolerance: timedelta
    period: timedelta
    delay: timedelta


KINDS: Final = {
    "funding": SeriesKind(
        "funding", "market", Timeframe.parse("1h"), timedelta(minutes=1), timedelta(0), timedelta(0)
    ),
    # A day's figures appear within the next day; who knows better says so with --delay.
    "onchain": SeriesKind(
        "onchain", "asset", Timeframe.parse("1d"), timedelta(0), timedelta(days=1), timedelta(days=1)
    ),
}


@dataclass(frozen=True, slots=True)
class SeriesVerdict:
    """What became of one file: ``imported``, ``unchanged`` or ``refused``.

    Parameters
    ----------
    rows, subjects, columns
        Values read, whose they are, and which.
    snapped : int
        Stamps that were late and moved back to the grid.
    revised : int
        Values that replaced others; they are known from the file's arrival on.
    """

    file: str
    status: Literal["imported", "unchanged", "refused"]
    rows: int = 0
    subjects: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    snapped: int = 0
    revised: int = 0
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the file's values are stored."""
        return self.status != "refused"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**asdict(self), "subjects": list(self.subjects), "columns": list(self.columns)}


def import_series(
    paths: Iterable[Path | str],
    *,
    root: Path,
    kind: SeriesKind,
    arrived: datetime,
    exchange: str | None = None,
    mapping: Mapping[str, str] | None = None,
) -> list[SeriesVerdict]:
    """Import files of a series (CSV or Parquet); a bad one is refused and the others go on.

    Parameters
    ----------
    paths : iterable of Path
        With a column of stamps (``ts``), one of markets, symbols or assets, and columns of numbers.
    root : Path
        Folder under which ``data/`` lies.
    kind : SeriesKind
        One of :data:`KINDS`, or another.
    arrived : datetime
        Now, timezone-aware.
    exchange : str, optional
        Of symbols that name none.
    mapping : mapping, optional
        Column names by meaning: ``ts``, ``market``, ``symbol`` or ``asset``.
    """
    known = {"ts", *_SUBJECTS}
    unknown = [name for name in mapping or {} if name not in known]
    if unknown:
        raise ConfigError(f"--map {unknown[0]}=…: unknown column; allowed: {', '.join(sorted(known))}")
    if arrived.tzinfo is None:
        raise ConfigError("arrived has no time zone: times are UTC")
    raw, store = RawStore(root, part="series"), series_store(root)
    verdicts = []
    with store_errors(), exclusive(raw.folder):
        raw.sweep()
        for path in paths:
            try:
                verdicts.append(_import(Path(path), kind, arrived, exchange, dict(mapping or {}), raw, store))
            except DataError as error:
                text = str(error)
                text = text if text.startswith(str(path)) else f"{path}: {text}"
                verdicts.append(SeriesVerdict(str(path), "refused", error=text))
    return verdicts


def _import(
    path: Path,
    kind: SeriesKind,
    arrived: datetime,
    exchange: str | None,
    mapping: Mapping[str, str],
    raw: RawStore,
    store: FeatureStore,
) -> SeriesVerdict:
    sha256 = file_digest(path) if path.is_file() else ""
    table, fmt = read_table(path)
    rows, snapped = _rows(table, kind, exchange, mapping)
    record = ImportRecord(sha256, path.name, utc_text(arrived), exchange, kind.name, fmt, mapping, {})
    known = raw.find(record.key)
    arrival = known.arrival if known else raw.free_arrival(arrived)
    before = store.manifest(kind.name)
    values = [column for column in rows.columns if column not in {"subject", "ts", "known_at"}]
    revised = 0
    if before is not None:
        stored = (
            store.scan(kind.name).collect().select("subject", "ts", *_same_columns(values, before.schema))
        )
        changed = rows.join(stored, on=["subject", "ts"], how="semi").join(
            stored, on=["subject", "ts", *values], how="anti", nulls_equal=True
        )
        revised = changed.height if known is None else 0
        # What was published anew was not known before it came.
        late = pl.max_horizontal("known_at", pl.lit(arrival).cast(TS)).alias("known_at")
        rows = pl.concat([rows.join(changed, on=["subject", "ts"], how="anti"), changed.with_columns(late)])
    raw.keep(path, known or replace(record, arrived=utc_text(arrival)))
    after = store.write(kind.name, rows, entity="subject", time="ts", known="known_at", inputs=[sha256])
    return SeriesVerdict(
        file=str(path),
        status="unchanged" if known is not None and before == after else "imported",
        rows=rows.height,
        subjects=tuple(sorted(rows["subject"].unique())),
        columns=tuple(values),
        snapped=snapped,
        revised=revised,
    )


def _same_columns(values: list[str], schema: Mapping[str, str]) -> list[str]:
    stored = [column for column in schema if column not in {"subject", "ts", "known_at"}]
    if sorted(stored) != sorted(values):
        raise DataError(
            f"columns {', '.join(values)} found, {', '.join(stored)} stored; expected the same ones"
        )
    return values


def _rows(
    table: pl.DataFrame, kind: SeriesKind, exchange: str | None, mapping: Mapping[str, str]
) -> tuple[pl.DataFrame, int]:
    time = mapping.get("ts", "ts")
    subject = next((mapping.get(n, n) for n in _SUBJECTS if mapping.get(n, n) in table.columns), None)
    if time not in table.columns or subject is None:
        raise DataError(
            f"columns {', '.join(table.columns[:12])} found; expected ts and one of {', '.join(_SUBJECTS)}: "
            "name them with --map ts=COLUMN,symbol=COLUMN"
        )
    stamps, _ = read_stamps(table[time])
    snapped, moved = _snapped(stamps, kind)
    names = _subjects(table[subject].cast(pl.String), kind, exchange)
    numbers = [
        column.cast(pl.Float64).fill_nan(None)
        for column in table.iter_columns()
        if column.name not in {time, subject} and column.dtype.is_numeric()
    ]
    if not numbers:
        raise DataError(f"no column of numbers beside {time} and {subject}")
    # An instant is known when it was stamped; a period, when it is over and published.
    since = stamps if not kind.period else snapped + kind.period
    known = (since + kind.delay).cast(TS).alias("known_at")
    frame = pl.DataFrame([names.alias("subject"), snapped.alias("ts"), *numbers, known])
    twice = frame.filter(frame.select("subject", "ts").is_duplicated())
    if twice.drop("known_at").n_unique() != twice.select("subject", "ts").n_unique():
        first = twice.row(0, named=True)
        raise DataError(
            f"{first['subject']} has several values at {first['ts']:%Y-%m-%d %H:%M}Z; expected one"
        )
    return frame.unique(["subject", "ts"], keep="first", maintain_order=True), moved


def _snapped(stamps: pl.Series, kind: SeriesKind) -> tuple[pl.Series, int]:
    origin = pl.Series([kind.grid.open_time(0)], dtype=TS)[0]
    since = (stamps - origin).dt.total_microseconds()
    late = since % kind.grid.microseconds
    over = stamps.filter(late > kind.tolerance // timedelta(microseconds=1))
    if len(over):
        raise DataError(
            f"{len(over)} stamps are off the {kind.grid} grid by more than {kind.tolerance} "
            f"(first {over[0]:%Y-%m-%d %H:%M:%S.%f}Z); expected {kind.name} at full {kind.grid}"
        )
    moved = (since - late).cast(pl.Duration("us")) + origin
    return moved.cast(TS), int((late > 0).sum())


def _subjects(column: pl.Series, kind: SeriesKind, exchange: str | None) -> pl.Series:
    if column.null_count():
        raise DataError(f"{column.null_count()} rows have no {column.name}")
    known = column.unique().sort().to_list()
    if kind.subject == "market":
        names = market_names(known, exchange=exchange)
        return column.replace_strict(names, return_dtype=pl.String)
    strange = [name for name in known if not _ASSET.fullmatch(name)]
    if strange:
        raise DataError(f"{strange[0][:40]!r} is no name of a coin; expected one such as BTC")
    return column
