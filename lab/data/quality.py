"""Marks every bar GOOD, QUESTIONABLE or BAD with its reasons, and fills single missing bars."""

from __future__ import annotations

import functools
import math
from importlib import resources
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import FrameError
from lab.core.frames import BAR_COLUMNS, PRICE_COLUMNS, TS, sort_rows
from lab.core.settings import parse_document
from lab.core.settings.quality import QualitySettings
from lab.core.timeframe import Timeframe
from lab.data.quality_kernel import BAD, REASONS, codes

__all__ = ["QualitySettings", "default_settings", "mark"]

QUALITIES: Final = ("GOOD", "QUESTIONABLE", "BAD")
_OUTAGE: Final = 1 << REASONS.index("outage")
_OFF_GRID: Final = 1 << REASONS.index("off_grid")
_FILLED: Final = 1 << REASONS.index("filled")
_LABELS: Final = pl.Series(
    "reason",
    [",".join(r for bit, r in enumerate(REASONS) if code >> bit & 1) for code in range(1 << len(REASONS))],
)


@functools.cache
def default_settings() -> QualitySettings:
    """Return the shipped thresholds and policies (``lab/core/settings/quality.yaml``)."""
    text = resources.files("lab.core.settings").joinpath("quality.yaml").read_text(encoding="utf-8")
    return parse_document(text, QualitySettings, source="quality.yaml")


def mark(
    bars: pl.DataFrame, timeframe: str | Timeframe, settings: QualitySettings | None = None
) -> pl.DataFrame:
    """Return bars with ``quality`` and ``reason``, single missing bars added as filled rows.

    Parameters
    ----------
    bars : polars.DataFrame
        Long frame ``ts`` (open, UTC), ``market``, ``open … volume``, in the order received: of rows that
        share market and ts the last wins. Other columns are left out.
    timeframe : str or Timeframe
        The grid the bars must lie on.
    settings : QualitySettings, optional
        Default: :func:`default_settings`.

    Returns
    -------
    polars.DataFrame
        ``ts, market, open, high, low, close, volume, quality, reason``, sorted by ts, then market.
        ``quality`` is ``GOOD``, ``QUESTIONABLE`` or ``BAD``; ``reason`` is empty for GOOD, else names joined
        by commas: BAD for ``price`` (null, not finite, not above zero), ``ohlc`` (high or low inside the
        body), ``negative_volume``, ``off_grid``; QUESTIONABLE for ``spike``, ``zero_volume``, ``low_volume``,
        ``no_volume``, ``outage`` and ``filled`` (exactly one bar was missing after a bar that is not BAD:
        flat at its close, volume 0; the only rows that were not received).

    Notes
    -----
    Windows are calendar windows of the bars before; BAD and filled bars do not enter them, and they need
    ``min_valid`` of their bars. A mark depends on at most ``settings.context_bars`` bars before.
    """
    settings = settings or default_settings()
    grid = Timeframe.parse(timeframe)
    rows = _received(bars)
    if rows.is_empty():
        return rows.with_columns(quality=pl.lit("GOOD"), reason=pl.lit("")).select(_COLUMNS)
    ts = rows["ts"].to_physical().to_numpy().view("datetime64[us]")
    number, on_grid = grid.numbers(ts), grid.on_grid(ts)
    starts = _starts(rows["market"])
    values = np.stack([rows[column].to_numpy() for column in BAR_COLUMNS])
    code = codes(starts, number, on_grid, values, *_parameters(settings))
    if settings.outages:
        code[_in_outage(rows, settings) & (code & BAD == 0)] |= _OUTAGE
    filled = _filled(rows, grid, number, code, settings)
    judged = [rows.with_columns(_label(code))]
    if filled.height:
        judged.append(filled.with_columns(_label(np.full(filled.height, _FILLED))))
    return sort_rows(pl.concat(judged)).select(_COLUMNS)


_COLUMNS: Final = ["ts", "market", *BAR_COLUMNS, "quality", "reason"]


def _received(bars: pl.DataFrame) -> pl.DataFrame:
    """Sort by market and ts, keep the last of repeated rows, null as NaN."""
    missing = [column for column in ("ts", "market", *BAR_COLUMNS) if column not in bars.columns]
    if missing:
        raise FrameError(f"bars: columns {', '.join(missing)} missing; found {', '.join(bars.columns)}")
    if bars.schema["ts"] != TS:
        raise FrameError(f"bars: ts is {bars.schema['ts']}, expected {TS}")
    if bars["ts"].null_count() or bars["market"].null_count():
        raise FrameError("bars: ts or market is null in some rows; every row needs both")
    numbers = [pl.col(column).cast(pl.Float64).fill_null(math.nan) for column in BAR_COLUMNS]
    rows = bars.select("ts", pl.col("market").cast(pl.String), *numbers)
    rows = sort_rows(rows, by="market")
    repeated = (pl.col("ts") == pl.col("ts").shift(-1)) & (pl.col("market") == pl.col("market").shift(-1))
    return rows.filter(~repeated.fill_null(False))


def _starts(market: pl.Series) -> NDArray[np.int64]:
    lengths = market.rle().struct.field("len").to_numpy()
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _parameters(settings: QualitySettings) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    thresholds = np.array([settings.ohlc_tolerance, settings.spike_atr_multiple, settings.low_volume_share])
    needed = [math.ceil(settings.min_valid * bars) for bars in (settings.atr_bars, settings.volume_bars)]
    sizes = np.array([settings.atr_bars, needed[0], settings.volume_bars, needed[1]], dtype=np.int64)
    return thresholds, sizes


def _in_outage(rows: pl.DataFrame, settings: QualitySettings) -> NDArray[np.bool_]:
    down = pl.lit(False)
    for outage in settings.outages:
        there = pl.col("market").str.starts_with(f"{outage.exchange}:")
        down |= there & (pl.col("ts") >= outage.start) & (pl.col("ts") < outage.end)
    return rows.with_columns(down.alias("_down"))["_down"].to_numpy()


def _filled(
    rows: pl.DataFrame,
    grid: Timeframe,
    number: NDArray[np.int64],
    code: NDArray[np.int64],
    settings: QualitySettings,
) -> pl.DataFrame:
    """Return the rows that stand in for single missing bars: copies of the close before, volume 0."""
    on_grid = np.flatnonzero(code & _OFF_GRID == 0)
    market = rows["market"].rle_id().to_numpy()
    before, after = on_grid[:-1], on_grid[1:]
    single = (number[after] - number[before] == 2) & (market[after] == market[before])
    at = before[single & (code[before] & BAD == 0)]
    ts = pl.Series("ts", grid.open_times(number[at] + 1)).dt.replace_time_zone("UTC")
    flat = [pl.col("close").alias(column) for column in PRICE_COLUMNS]
    added = rows[at].select(ts, "market", *flat, pl.lit(0.0).alias("volume"))
    return added.filter(~pl.Series(_in_outage(added, settings)))


def _label(code: NDArray[np.int64]) -> list[pl.Series]:
    quality = np.where(code & BAD != 0, 2, (code != 0).astype(np.int64))
    return [pl.Series("quality", QUALITIES).gather(quality), _LABELS.gather(code)]
