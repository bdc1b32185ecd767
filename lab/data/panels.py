"""From marked bars to what strategies see and what trades are done at; for the store and the bridge alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError, FrameError
from lab.core.feature import Feature
from lab.core.frames import BAR_COLUMNS, PRICE_COLUMNS, RECEIVED, TS, sort_rows
from lab.core.panel import Panel
from lab.core.settings.quality import QualitySettings
from lab.core.timeframe import Timeframe
from lab.data.quality import default_settings

__all__ = ["panel_from_bars", "received_bars"]

Array = NDArray[np.float64]

# What a bar is to features: the larger the code, the less of the bar they see.
_USE: Final = 0
_LAST_GOOD: Final = 1
_PAUSE: Final = 2
_POLICY: Final = {"use": _USE, "last_good": _LAST_GOOD, "pause": _PAUSE}


def panel_from_bars(
    marked: pl.DataFrame,
    *,
    timeframe: str | Timeframe,
    markets: Sequence[str],
    settings: QualitySettings | None = None,
) -> Panel:
    """Return the panel of some markets on the calendar grid from their first bar to their last.

    Nothing is computed here: every number of the panel is a copy of one in `marked`, so that the same bars
    give the same bits from the store and from an exchange.

    Parameters
    ----------
    marked : polars.DataFrame
        As :func:`lab.data.quality.mark` returns it. Markets not asked for are left out.
    timeframe : str or Timeframe
        Length of a bar.
    markets : sequence of str
        Columns of the panel, in this order. A market without bars is a column of NaN.
    settings : QualitySettings, optional
        Policies per reason; default: the shipped ones.

    Returns
    -------
    Panel
        Fields ``open … volume``: the feature view, in which the policy of each bar's reason has acted
        (BAD and ``pause`` are NaN; ``last_good`` is flat at the last used close, at most ``carry_bars``
        back, with the received volume). Fields ``received_open … received_volume``: as received, for marks
        and fills; NaN where no bar was received (missing, filled) or it is BAD.

    Raises
    ------
    DataError
        If none of the markets has a bar on the grid.
    """
    settings = settings or default_settings()
    grid = Timeframe.parse(timeframe)
    rows, cell, bar = _cells(marked, grid, tuple(markets))
    shape = (len(bar), len(markets))

    def scatter(values: Array, where: NDArray[np.bool_] | None = None) -> Array:
        wide = np.full(shape[0] * shape[1], np.nan)
        if where is None:
            wide[cell] = values
        else:
            wide[cell[where]] = values[where]
        return wide.reshape(shape)

    policy = _policies(rows, settings)
    tradeable = (
        rows.select((pl.col("quality") != "BAD") & (pl.col("reason") != "filled")).to_series().to_numpy()
    )
    columns = {column: rows[column].to_numpy() for column in BAR_COLUMNS}
    received = {RECEIVED[column]: scatter(values, tradeable) for column, values in columns.items()}
    used = {column: scatter(values, policy == _USE) for column, values in columns.items()}
    carried = policy == _LAST_GOOD
    if carried.any():
        volume = scatter(columns["volume"], policy != _PAUSE)
        used = _carry(used, volume, cell[carried], settings.carry_bars)
    fields: dict[str | Feature, Array] = {
        key: values for part in (used, received) for key, values in part.items()
    }
    return Panel(grid, bar, grid.open_times(bar), tuple(markets), fields)


def received_bars(marked: pl.DataFrame) -> pl.DataFrame:
    """Return the bars that can be traded on, as received: no filled and no BAD rows.

    Returns
    -------
    polars.DataFrame
        ``ts, market, open, high, low, close, volume``, sorted by ts, then market.
    """
    tradeable = marked.filter(pl.col("quality") != "BAD", pl.col("reason") != "filled")
    return sort_rows(tradeable.select("ts", "market", *BAR_COLUMNS))


def _cells(
    marked: pl.DataFrame, grid: Timeframe, markets: tuple[str, ...]
) -> tuple[pl.DataFrame, NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows on the grid, the flat (T, N) cell of each, and the bar numbers of the panel."""
    if marked.schema.get("ts") != TS or "quality" not in marked.columns or "reason" not in marked.columns:
        raise FrameError(f"panel: expected bars marked by lab.data.quality.mark; found {dict(marked.schema)}")
    if len(set(markets)) != len(markets) or not markets:
        raise FrameError(f"panel: expected each market once, found {', '.join(markets) or 'none'}")
    column = pl.col("market").replace_strict(
        list(markets), range(len(markets)), default=-1, return_dtype=pl.Int64
    )
    rows = marked.with_columns(column.alias("_column")).filter(pl.col("_column") >= 0)
    ts = rows["ts"].to_physical().to_numpy().view("datetime64[us]")
    on_grid = grid.on_grid(ts)
    if not on_grid.all():
        rows, ts = rows.filter(on_grid), ts[on_grid]
    if rows.is_empty():
        raise DataError(f"no {grid} bars of {', '.join(markets)}; import or download them first")
    number = grid.numbers(ts)
    bar = np.arange(number.min(), number.max() + 1, dtype=np.int64)
    cell = (number - bar[0]) * len(markets) + rows["_column"].to_numpy()
    if np.bincount(cell, minlength=1).max() > 1:
        raise FrameError("panel: some rows share their market and ts; expected one row per market and bar")
    return rows, cell, bar


def _policies(rows: pl.DataFrame, settings: QualitySettings) -> NDArray[np.int64]:
    """Return the policy code of every row: the strictest over its reasons; BAD pauses."""
    table = {name: _POLICY[policy] for name, policy in settings.policies.model_dump().items()}
    found = rows["reason"].unique().to_list()
    codes = [
        max((table.get(name, _PAUSE) for name in reason.split(",")), default=_USE) if reason else _USE
        for reason in found
    ]
    return rows["reason"].replace_strict(found, codes, return_dtype=pl.Int64).to_numpy()


def _carry(used: dict[str, Array], volume: Array, cells: NDArray[np.int64], reach: int) -> dict[str, Array]:
    """Fill cells with the last used close of their market, where there is one at most `reach` bars back."""
    close = used["close"]
    row, column = np.divmod(cells, close.shape[1])
    flat = np.full(len(cells), np.nan)
    for back in range(reach, 0, -1):
        there = row >= back
        earlier = np.full(len(cells), np.nan)
        earlier[there] = close[row[there] - back, column[there]]
        flat = np.where(np.isnan(earlier), flat, earlier)
    filled = {name: used[name].copy() for name in PRICE_COLUMNS}
    for name in PRICE_COLUMNS:
        filled[name][row, column] = flat
    out = used["volume"].copy()
    out[row, column] = np.where(np.isnan(flat), np.nan, volume[row, column])
    return {**filled, "volume": out}
