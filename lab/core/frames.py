"""Schemas of the long frames that researchers hold, and the checks every entrance runs."""

from __future__ import annotations

from typing import Final

import polars as pl

from lab.core.errors import FrameError

__all__ = [
    "BAR_COLUMNS",
    "PRICE_COLUMNS",
    "RECEIVED",
    "TS",
    "check_bars",
    "check_weights",
]

TS: Final = pl.Datetime("us", "UTC")
PRICE_COLUMNS: Final = ("open", "high", "low", "close")
BAR_COLUMNS: Final = (*PRICE_COLUMNS, "volume")
# Panel fields with prices as received, for marks and fills, where a quality policy gave features others.
RECEIVED: Final = {column: f"received_{column}" for column in BAR_COLUMNS}


def check_bars(frame: pl.DataFrame, *, name: str = "bars") -> pl.DataFrame:
    """Return bars as ``ts, market, open, high, low, close, volume, …`` sorted by ``ts``, then ``market``.

    Parameters
    ----------
    frame : polars.DataFrame
        Long frame, one row per bar and market. ``ts`` is the bar's open, ``Datetime("us", "UTC")``; numeric
        columns are cast to ``Float64``; further columns are kept.
    name : str
        What the error message calls the frame.

    Raises
    ------
    FrameError
        On a missing column, a wrong type, a null ``ts`` or ``market``, or a repeated (market, ts).
    """
    return _check(frame, BAR_COLUMNS, name)


def check_weights(frame: pl.DataFrame, *, name: str = "weights") -> pl.DataFrame:
    """Return weights as ``ts, market, weight`` sorted by ``ts``, then ``market``."""
    return _check(frame, ("weight",), name)


def _check(frame: pl.DataFrame, numeric: tuple[str, ...], name: str) -> pl.DataFrame:
    missing = [column for column in ("ts", "market", *numeric) if column not in frame.columns]
    if missing:
        raise FrameError(f"{name}: columns {', '.join(missing)} missing; found {', '.join(frame.columns)}")
    if frame.schema["ts"] != TS:
        raise FrameError(
            f"{name}: ts is {frame.schema['ts']}, expected {TS}; "
            "cast with pl.col('ts').dt.cast_time_unit('us').dt.convert_time_zone('UTC')"
        )
    bad = [column for column in numeric if not frame.schema[column].is_numeric()]
    if bad:
        raise FrameError(f"{name}: column {bad[0]} is {frame.schema[bad[0]]}, expected numbers")
    if frame["ts"].null_count() or frame["market"].null_count():
        raise FrameError(f"{name}: ts or market is null in some rows; every row needs both")
    rest = [column for column in frame.columns if column not in ("ts", "market", *numeric)]
    ordered = frame.select(
        "ts",
        pl.col("market").cast(pl.String),
        *(pl.col(c).cast(pl.Float64) for c in numeric),
        *rest,
    ).sort("ts", "market")
    twice = ordered.filter(pl.struct("ts", "market").is_duplicated())
    if twice.height:
        first = twice.row(0, named=True)
        where = f"{first['market']} at {first['ts']:%Y-%m-%d %H:%M}Z"
        raise FrameError(
            f"{name}: {twice.height} rows share their market and ts (first {where}); "
            "expected one row per market and bar"
        )
    return ordered
