"""Compares the timeframe that was stated with the one that bars have."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from lab.core.errors import DataError
from lab.core.frames import market_columns
from lab.core.timeframe import Timeframe

__all__ = ["check_timeframe", "detect_timeframe"]

# A few stray stamps are BAD bars of a good file; beyond this share the file is not what it was said to be.
MAX_OFF_GRID: Final = 0.1
# So many equal steps in a row are no coincidence of gaps: another timeframe was mixed in.
MIXED_RUN: Final = 20
_HOUR: Final = 3_600


def check_timeframe(bars: pl.DataFrame, timeframe: Timeframe, *, without_zone: bool = False) -> None:
    """Check that bars (``ts``, ``market``) have the timeframe that was stated.

    Parameters
    ----------
    without_zone : bool
        The stamps carried no time zone: look for the hours that daylight saving skips and repeats, too.

    Raises
    ------
    DataError
        If a market's bars are mostly off the grid, have another distance, or mix several distances.
    """
    if _clean(bars, timeframe):
        return
    offset = pl.lit(timeframe.open_time(0))
    past = ((pl.col("ts") - offset).dt.total_microseconds() % timeframe.microseconds).alias("past")
    off = (
        bars.select("market", "ts", past)
        .group_by("market", maintain_order=True)
        .agg(
            rows=pl.len(),
            off=(pl.col("past") != 0).sum(),
            first=pl.col("ts").filter(pl.col("past") != 0).first(),
        )
    )
    for market, rows, count, first in off.filter(pl.col("off") > pl.col("rows") * MAX_OFF_GRID).iter_rows():
        raise DataError(
            f"{market}: {count} of {rows} bars do not open on the {timeframe} grid (first "
            f"{first:%Y-%m-%d %H:%M:%S}Z); expected opening times in UTC: stamps in local time, "
            "at the close, or of another timeframe look like this"
        )
    if without_zone:
        _check_daylight_saving(bars, timeframe)
    steps = _steps(bars)
    if steps.height:
        _check_steps(steps, timeframe)


def _clean(bars: pl.DataFrame, timeframe: Timeframe) -> bool:
    """Tell quickly whether nothing can be wrong: sorted, on the grid, no row repeated, few gaps."""
    names, column = market_columns(bars["market"])
    since = bars["ts"].to_physical().to_numpy()
    if len(since) < 2 or not timeframe.on_grid(since.view("datetime64[us]")).all():
        return False
    step = np.diff(since)
    same = column[1:] == column[:-1]
    if (step[same] <= 0).any() or (column[1:] < column[:-1]).any():
        return False
    steps = np.bincount(column[1:][same], minlength=len(names))
    gaps = np.bincount(column[1:][same & (step != timeframe.microseconds)], minlength=len(names))
    return bool(((gaps < MIXED_RUN) & (2 * gaps <= steps)).all())


def detect_timeframe(bars: pl.DataFrame) -> Timeframe:
    """Return the commonest distance between bars as a timeframe.

    Raises
    ------
    DataError
        If there are too few bars, or the distance is no timeframe.
    """
    steps = _steps(bars)
    if steps.is_empty():
        raise DataError("one bar per market does not tell the timeframe; give --timeframe")
    seconds = steps["step"].value_counts(sort=True)["step"][0]
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0 and seconds:
            return Timeframe.parse(f"{seconds // size}{unit}")
    raise DataError(f"bars are {seconds} seconds apart; expected at least a minute")


def _steps(bars: pl.DataFrame) -> pl.DataFrame:
    ordered = bars.select("market", "ts").sort("market", "ts")
    step = pl.col("ts").diff().dt.total_seconds().alias("step")
    same = pl.col("market") == pl.col("market").shift()
    return ordered.with_columns(step).filter(same & (pl.col("step") != 0))


def _check_steps(steps: pl.DataFrame, timeframe: Timeframe) -> None:
    seconds = timeframe.seconds
    counts = steps.group_by("market").agg(
        total=pl.len(),
        step=pl.col("step").mode().min(),
        share=pl.col("step").unique_counts().max() / pl.len(),
    )
    other = counts.filter(
        (pl.col("total") >= 3)
        & (pl.col("step") != seconds)
        & ((pl.col("step") % seconds != 0) | (pl.col("share") > 0.5))
    ).sort("market")
    for market, total, step, share in other.iter_rows():
        raise DataError(
            f"{market}: {timeframe} stated, but bars are {_words(step)} apart ({share:.0%} of {total}); "
            "give the timeframe that the file has"
        )
    runs = (
        steps.with_columns(run=pl.struct("market", "step").rle_id())
        .group_by("run", maintain_order=True)
        .agg(pl.col("market").first(), pl.col("ts").first(), pl.col("step").first(), length=pl.len())
        .filter((pl.col("step") != seconds) & (pl.col("length") >= MIXED_RUN))
    )
    for _, market, ts, step, length in runs.iter_rows():
        raise DataError(
            f"{market}: mixed timeframes: {length} bars in a row from {ts:%Y-%m-%d %H:%M}Z are "
            f"{_words(step)} apart, the others {timeframe}; expected one timeframe per file"
        )


def _check_daylight_saving(bars: pl.DataFrame, timeframe: Timeframe) -> None:
    """Refuse stamps that skip one hour on a spring Sunday and repeat one on an autumn Sunday."""
    if timeframe.seconds > _HOUR or _HOUR % timeframe.seconds:
        return
    ordered = bars.select("market", "ts").sort("market", "ts")
    sunday = pl.col("ts").dt.weekday() == 7
    step = pl.col("ts").diff().over("market").dt.total_seconds()
    skipped = ordered.filter(
        sunday & pl.col("ts").dt.month().is_in([3, 4]) & (step == timeframe.seconds + _HOUR)
    )
    repeated = ordered.filter(sunday & pl.col("ts").dt.month().is_in([10, 11]) & (step == 0))
    per_day = repeated.group_by("market", pl.col("ts").dt.date()).len()
    hour = per_day.filter(pl.col("len") == _HOUR // timeframe.seconds).join(
        skipped.select("market").unique(), on="market", how="semi"
    )
    if hour.height:
        market, day, _ = hour.sort("market", "ts").row(0)
        spring = skipped.filter(pl.col("market") == market)["ts"][0]
        raise DataError(
            f"{market}: stamps without time zone skip the hour before {spring:%Y-%m-%d %H:%M} and repeat one "
            f"on {day}: they look like local time with daylight saving; expected UTC"
        )


def _words(seconds: int) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
