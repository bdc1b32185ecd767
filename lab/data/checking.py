"""Counts what is wrong with bars: as received for rows, as marked for quality."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lab.core.errors import FrameError
from lab.core.frames import BAR_COLUMNS, PRICE_COLUMNS, TS, market_columns, sort_rows
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.gridcheck import check_timeframe, detect_timeframe
from lab.data.quality import QualitySettings, mark
from lab.data.raw import RawStore
from lab.data.reading import Format, read_bars

__all__ = ["check_catalog", "check_files", "check_frame", "content_hash", "received_counts"]

See = Callable[[pl.DataFrame, Timeframe], None]

KEYS: Final = (
    "market",
    "timeframe",
    "bars",
    "first",
    "last",
    "gaps",
    "missing_bars",
    "duplicates",
    "ohlc_violations",
    "zero_volume",
    "spikes",
    "good",
    "questionable",
    "bad",
)


def received_counts(bars: pl.DataFrame) -> pl.DataFrame:
    """Count rows as received: ``market, bars, ohlc_violations, zero_volume``, sorted by market.

    A violation is a row with ``high < max(open, close)``, ``low > min(open, close)``, or a price that is
    null, NaN, or not above zero.
    """
    names, column = market_columns(bars["market"])
    price = {name: bars[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in PRICE_COLUMNS}
    sound = np.ones(bars.height, dtype=bool)
    for values in price.values():
        sound &= values > 0  # false for NaN
    sound &= ~(price["high"] < np.maximum(price["open"], price["close"]))
    sound &= ~(price["low"] > np.minimum(price["open"], price["close"]))
    zero = (bars["volume"] == 0).fill_null(False).to_numpy()
    counts = {"bars": column, "ohlc_violations": column[~sound], "zero_volume": column[zero]}
    return pl.DataFrame(
        {"market": names} | {key: np.bincount(each, minlength=len(names)) for key, each in counts.items()},
        schema={"market": pl.String} | dict.fromkeys(counts, pl.Int64),
    )


def check_frame(
    bars: pl.DataFrame,
    timeframe: str | Timeframe,
    settings: QualitySettings | None = None,
    *,
    see: See | None = None,
) -> list[dict[str, Any]]:
    """Judge bars as received; one record per market, with the keys of ``mnemo data check --json``.

    Parameters
    ----------
    bars : polars.DataFrame
        ``ts, market, open … volume`` in the order received, repeated rows included.
    timeframe : str or Timeframe
        Length of a bar.
    settings : QualitySettings, optional
        Default: the shipped ones.
    see : callable, optional
        Called with the marked bars and their timeframe.

    Returns
    -------
    list of dict
        ``market, timeframe, bars`` (rows), ``first, last`` (ISO), ``gaps`` (runs of missing bars between
        them), ``missing_bars, duplicates`` (rows beyond the first per ts), ``ohlc_violations, zero_volume,
        spikes, good, questionable, bad``. The last three count bars (``bars - duplicates`` in all; filled
        ones were not received and are not among them).
    """
    marked, grid = mark(bars, timeframe, settings), Timeframe.parse(timeframe)
    if see is not None:
        see(marked, grid)
    return _report(received_counts(bars), marked, grid)


def check_catalog(
    root: Path,
    *,
    timeframe: str | Timeframe | None = None,
    settings: QualitySettings | None = None,
    see: See | None = None,
) -> list[dict[str, Any]]:
    """Judge all stored bars, counting rows as received over all imports; records as :func:`check_frame`."""
    catalog, records = Catalog(root), []
    received = RawStore(root).received()
    listed = catalog.markets(timeframe)
    for (name,), rows in listed.group_by("timeframe", maintain_order=True):
        markets = rows["market"].to_list()
        marked = catalog.bars(markets, str(name), settings=settings)
        if see is not None:
            see(marked, Timeframe.parse(str(name)))
        stored = received_counts(marked.filter(pl.col("reason") != "filled"))
        counted = received.filter(pl.col("timeframe") == name).drop("timeframe")
        # Bars that no import brought (appended by a program) count as they are stored.
        counts = pl.concat([counted.join(stored, on="market", how="semi"), stored]).unique(
            "market", keep="first", maintain_order=True
        )
        records += _report(counts, marked, Timeframe.parse(str(name)))
    return sorted(records, key=lambda record: (record["market"], record["timeframe"]))


def check_files(
    paths: Iterable[Path],
    *,
    exchange: str | None = None,
    timeframe: str | Timeframe | None = None,
    mapping: Mapping[str, str] | None = None,
    fmt: Format = "auto",
    settings: QualitySettings | None = None,
    see: See | None = None,
) -> list[dict[str, Any]]:
    """Judge files without importing them; symbols that make no market name are shown as they are.

    The timeframe is detected per file when it is not given. Records as :func:`check_frame`, file by file.
    """
    records = []
    for path in paths:
        received = read_bars(Path(path), exchange=exchange, mapping=mapping, fmt=fmt, any_symbol=True)
        grid = detect_timeframe(received.bars) if timeframe is None else Timeframe.parse(timeframe)
        check_timeframe(received.bars, grid, without_zone="without zone" in received.stamps)
        records += check_frame(received.bars, grid, settings, see=see)
    return records


def content_hash(bars: pl.DataFrame) -> str:
    """Return the SHA-256 of bars: of markets, times, prices and volumes, whatever the order or other columns.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> row = {
    ...     "ts": [datetime(2024, 1, 1, tzinfo=UTC)],
    ...     "market": ["a:B/C"],
    ...     **dict.fromkeys(BAR_COLUMNS, [1.0]),
    ... }
    >>> content_hash(pl.DataFrame(row, schema_overrides={"ts": TS}))[:12]
    '921409e9e9e5'
    """
    if bars.schema.get("ts") != TS:
        raise FrameError(f"bars: ts is {bars.schema.get('ts')}, expected {TS}")
    numbers = [pl.col(column).cast(pl.Float64) for column in BAR_COLUMNS]
    rows = sort_rows(bars.select("market", "ts", *numbers), by="market")
    runs = rows["market"].rle().struct.unnest()
    found = hashlib.sha256(json.dumps([runs["value"].to_list(), runs["len"].to_list()]).encode())
    found.update(np.ascontiguousarray(rows["ts"].to_physical().to_numpy()).tobytes())
    for column in BAR_COLUMNS:
        values = rows[column].fill_null(float("nan")).to_numpy()
        found.update(np.where(np.isnan(values), np.nan, values).tobytes())
    return found.hexdigest()


def _report(received: pl.DataFrame, marked: pl.DataFrame, grid: Timeframe) -> list[dict[str, Any]]:
    iso = "%Y-%m-%dT%H:%M:%SZ"
    filled = pl.col("reason") == "filled"
    quality = (
        marked.with_columns(number=pl.Series(grid.numbers(_physical(marked["ts"]))))
        .sort("market", "ts")
        .with_columns(
            on_grid=~pl.col("reason").str.contains("off_grid", literal=True),
            spike=pl.col("reason").str.contains("spike", literal=True),
            filled=filled,
        )
        .group_by("market")
        .agg(
            pl.col("ts").filter(~pl.col("filled")).min().dt.strftime(iso).alias("first"),
            pl.col("ts").filter(~pl.col("filled")).max().dt.strftime(iso).alias("last"),
            pl.len().alias("rows") - pl.col("filled").sum().alias("filled_rows"),
            pl.col("number").filter(pl.col("on_grid") & ~pl.col("filled")).diff().alias("steps"),
            spikes=pl.col("spike").sum(),
            good=(pl.col("quality") == "GOOD").sum(),
            questionable=((pl.col("quality") == "QUESTIONABLE") & ~pl.col("filled")).sum(),
            bad=(pl.col("quality") == "BAD").sum(),
        )
        .with_columns(
            gaps=pl.col("steps").list.eval(pl.element() > 1).list.sum(),
            missing_bars=pl.col("steps").list.eval(pl.element() - 1).list.sum(),
        )
    )
    table = received.join(quality, on="market", how="inner").with_columns(
        timeframe=pl.lit(str(grid)), duplicates=(pl.col("bars") - pl.col("rows")).clip(0)
    )
    return table.sort("market").select(KEYS).to_dicts()


def _physical(ts: pl.Series) -> np.ndarray[Any, np.dtype[np.datetime64]]:
    return ts.to_physical().to_numpy().view("datetime64[us]")
