"""Bars from finer bars, and bars from trades; a bar that is not whole is never made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError, FrameError
from lab.core.frames import BAR_COLUMNS, TS, sort_rows
from lab.core.timeframe import Timeframe

__all__ = ["aggregate_bars", "bars_from_trades"]

_COLUMNS: Final = ["ts", "market", *BAR_COLUMNS]
_TRADE: Final = ("ts", "market", "price", "amount")


def aggregate_bars(bars: pl.DataFrame, source: str | Timeframe, target: str | Timeframe) -> pl.DataFrame:
    """Return coarser bars, each made of all the bars that it spans.

    Parameters
    ----------
    bars : polars.DataFrame
        Long frame ``ts, market, open … volume`` of `source` bars, one row per market and ts; leave out bars
        that should not count (BAD or filled ones).
    source, target : str or Timeframe
        Length of the bars given and wanted; bars of both open together, in UTC (weeks on Monday).

    Returns
    -------
    polars.DataFrame
        ``ts, market, open … volume``, sorted by ts, then market: the first open, highest high, lowest low,
        last close and the sum of volumes, added up in order of time. A bar with a missing part is left out.

    Raises
    ------
    ConfigError
        If the bars of `target` are not made of whole bars of `source`.
    FrameError
        If rows share their market and ts, or do not open on the grid of `source`.

    Examples
    --------
    >>> from datetime import UTC, datetime, timedelta
    >>> ts = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(3)]
    >>> price = {name: [1.0, 2.0, 3.0] for name in BAR_COLUMNS}
    >>> frame = pl.DataFrame({"ts": ts, "market": "a:B/C", **price}, schema_overrides={"ts": TS})
    >>> aggregate_bars(frame, "1h", "2h").rows()[0][2:]
    (1.0, 2.0, 1.0, 2.0, 3.0)
    """
    fine, coarse = Timeframe.parse(source), Timeframe.parse(target)
    parts = _parts(fine, coarse)
    rows = sort_rows(bars.select(_COLUMNS), by="market")
    ts = _instants(rows["ts"])
    if not fine.on_grid(ts).all():
        raise FrameError(f"bars: some do not open on the {fine} grid; leave them out first")
    same_bar = _same(rows["market"], coarse.numbers(ts))
    if (same_bar & (np.diff(fine.numbers(ts), prepend=0)[1:] == 0)).any():
        raise FrameError("bars: some rows share their market and ts; expected one row per market and bar")
    first = np.flatnonzero(np.concatenate([[True], ~same_bar])) if rows.height else np.zeros(0, np.int64)
    length = np.diff(np.append(first, rows.height))
    whole = first[length == parts]
    block = whole[:, None] + np.arange(parts)
    values = {name: rows[name].to_numpy()[block] for name in BAR_COLUMNS}
    volume = np.zeros(len(whole))
    for part in range(parts):  # in order of time: the sum has the same bits whatever history lies around it
        volume = volume + values["volume"][:, part]
    return sort_rows(
        pl.DataFrame(
            {
                "ts": _stamps(coarse, coarse.numbers(ts[whole])),
                "market": rows["market"].gather(whole),
                "open": values["open"][:, 0],
                "high": values["high"].max(axis=1, initial=-np.inf),
                "low": values["low"].min(axis=1, initial=np.inf),
                "close": values["close"][:, -1],
                "volume": volume,
            }
        )
    )


def bars_from_trades(
    trades: pl.DataFrame,
    timeframe: str | Timeframe,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> pl.DataFrame:
    """Return the bars whose whole span is covered by trades.

    Parameters
    ----------
    trades : polars.DataFrame
        ``ts`` (``Datetime("us", "UTC")``), ``market``, ``price``, ``amount``, in order of execution where
        they share a ts.
    timeframe : str or Timeframe
        Length of a bar.
    since, until : datetime, optional
        All trades with ``since <= ts < until`` are there. Without them a market's trades are taken to be
        complete between its first and its last one: the bars that hold these two are left out.

    Returns
    -------
    polars.DataFrame
        ``ts, market, open … volume``, sorted by ts, then market. A span without a trade has no bar.

    Raises
    ------
    FrameError
        On a missing column, a null, or a price or amount that is not above zero.
    """
    grid = Timeframe.parse(timeframe)
    rows = _checked(trades)
    number = grid.numbers(_instants(rows["ts"]))
    by_market = rows.with_columns(bar=pl.Series(number)).group_by("market", "bar", maintain_order=True)
    made = by_market.agg(
        open=pl.col("price").first(),
        high=pl.col("price").max(),
        low=pl.col("price").min(),
        close=pl.col("price").last(),
        # In order of execution: a sum in another order would have other last bits.
        volume=pl.col("amount").cum_sum().last(),
    )
    edge = pl.col("bar")
    first = edge > edge.min().over("market") if since is None else pl.lit(_at_or_after(grid, since)) <= edge
    last = edge < edge.max().over("market") if until is None else edge < grid.number(until)
    whole = made.filter(first & last)
    stamps = _stamps(grid, whole["bar"].to_numpy())
    return sort_rows(whole.with_columns(ts=stamps).select(_COLUMNS))


def _parts(fine: Timeframe, coarse: Timeframe) -> int:
    shift = (coarse.open_time(0) - fine.open_time(0)) % fine.duration
    if coarse.seconds <= fine.seconds or coarse.seconds % fine.seconds or shift:
        raise ConfigError(
            f"{coarse} bars are not made of whole {fine} bars; choose a longer one that {fine} divides, "
            "such as 1h for 15m, 1d for 1h, 1w for 1d"
        )
    return coarse.seconds // fine.seconds


def _checked(trades: pl.DataFrame) -> pl.DataFrame:
    missing = [column for column in _TRADE if column not in trades.columns]
    if missing:
        raise FrameError(f"trades: columns {', '.join(missing)} missing; found {', '.join(trades.columns)}")
    if trades.schema["ts"] != TS:
        raise FrameError(f"trades: ts is {trades.schema['ts']}, expected {TS}")
    rows = trades.select(
        "ts", pl.col("market").cast(pl.String), pl.col("price", "amount").cast(pl.Float64).fill_nan(None)
    )
    wrong = rows.filter(
        pl.any_horizontal(pl.all().is_null()) | (pl.col("price") <= 0) | (pl.col("amount") <= 0)
    )
    if wrong.height:
        raise FrameError(
            f"trades: {wrong.height} rows lack a value, or their price or amount is not above zero "
            f"(first {wrong.row(0)})"
        )
    return sort_rows(rows, by="market")


def _same(market: pl.Series, number: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each row but the first has the market and the coarse bar of the row before."""
    run = market.rle_id().to_numpy()
    return np.asarray((np.diff(run) == 0) & (np.diff(number) == 0))


def _at_or_after(grid: Timeframe, instant: datetime) -> int:
    number = grid.number(instant)
    return number if grid.open_time(number) == instant else number + 1


def _instants(ts: pl.Series) -> NDArray[np.datetime64]:
    values: NDArray[Any] = ts.to_physical().to_numpy()
    return values.view("datetime64[us]")


def _stamps(grid: Timeframe, number: NDArray[np.int64]) -> pl.Series:
    return pl.Series("ts", grid.open_times(number)).dt.replace_time_zone("UTC")
