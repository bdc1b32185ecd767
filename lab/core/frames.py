"""Schemas of the long frames that researchers hold, and the checks every entrance runs."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import FrameError

__all__ = [
    "BAR_COLUMNS",
    "PRICE_COLUMNS",
    "RECEIVED",
    "TS",
    "check_bars",
    "check_weights",
    "market_columns",
    "sort_rows",
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


def sort_rows(frame: pl.DataFrame, *, by: Literal["ts", "market"] = "ts") -> pl.DataFrame:
    """Return rows sorted by ``ts``, then ``market``, or the other way round; equal rows keep their order.

    Several times faster than sorting by two columns, one of them text, and free where rows are in order.

    Parameters
    ----------
    frame : polars.DataFrame
        With ``ts`` as ``Datetime("us", "UTC")`` and ``market`` as text, neither null.
    by : str
        Which of the two comes first.
    """
    if frame.height < 2:
        return frame
    column = market_columns(frame["market"])[1]
    since = frame["ts"].to_physical().to_numpy()
    since = since - since.min()
    span, markets = int(since.max()) + 1, int(column.max()) + 1
    if span > 2**62 // markets:
        return frame.sort(*(("ts", "market") if by == "ts" else ("market", "ts")), maintain_order=True)
    key = since * markets + column if by == "ts" else column * span + since
    if (key[1:] >= key[:-1]).all():
        return frame
    return frame[np.argsort(key, kind="stable")]


def market_columns(market: pl.Series) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names in a column, sorted, and the place among them of each row's.

    Examples
    --------
    >>> market_columns(pl.Series(["b", "a", "b"]))
    (('a', 'b'), array([1, 0, 1]))
    """
    names = market.cast(pl.String)
    runs = names.rle().struct.unnest()
    if runs.height * 4 > len(names):  # not in runs: hashing is faster
        known = sorted(names.unique().to_list())
        return tuple(known), names.cast(pl.Enum(known)).to_physical().cast(pl.Int64).to_numpy()
    known = sorted(runs["value"].unique().to_list())
    column = runs["value"].cast(pl.Enum(known)).to_physical().cast(pl.Int64).to_numpy()
    return tuple(known), np.repeat(column, runs["len"].to_numpy())


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
    ordered = sort_rows(
        frame.select(
            "ts",
            pl.col("market").cast(pl.String),
            *(pl.col(c).cast(pl.Float64) for c in numeric),
            *rest,
        )
    )
    again = (pl.col("ts") == pl.col("ts").shift()) & (pl.col("market") == pl.col("market").shift())
    repeated = ordered.filter(again.fill_null(False))
    if repeated.height:
        twice = ordered.join(repeated, on=["ts", "market"], how="semi")
        first = repeated.row(0, named=True)
        where = f"{first['market']} at {first['ts']:%Y-%m-%d %H:%M}Z"
        raise FrameError(
            f"{name}: {twice.height} rows share their market and ts (first {where}); "
            "expected one row per market and bar"
        )
    return ordered
