"""Pure functions on rows: order them, drop repeats, split them by month, merge them into stored ones."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from feature_store.errors import StoreError

__all__ = ["arrange", "merge", "months"]


def arrange(frame: pl.DataFrame, *, entity: str, time: str, known: str | None = None) -> pl.DataFrame:
    """Return rows sorted by entity, then time, one per (entity, time).

    Of repeated keys the row with the latest `known` wins, without that column or between equals the last one
    in the frame.

    Raises
    ------
    StoreError
        If a key column is missing or null, or `time` is not ``Datetime("us", "UTC")``.
    """
    for column in (entity, time, *([known] if known else [])):
        if column not in frame.columns:
            raise StoreError(f"key column {column} missing; found {', '.join(frame.columns)}")
        if frame[column].null_count():
            raise StoreError(f"{frame[column].null_count()} rows have no {column}; every row needs it")
    if frame.schema[time] != pl.Datetime("us", "UTC"):
        raise StoreError(f"column {time} is {frame.schema[time]}, expected Datetime('us', 'UTC')")
    if _strictly_rising(frame, entity, time):
        return frame
    ordered = frame.sort(entity, time, *([known] if known else []), maintain_order=True)
    if _strictly_rising(ordered, entity, time):
        return ordered
    return ordered.unique(subset=[entity, time], keep="last", maintain_order=True)


def _strictly_rising(frame: pl.DataFrame, entity: str, time: str) -> bool:
    same = pl.col(entity) == pl.col(entity).shift()
    later = pl.when(same).then(pl.col(time) > pl.col(time).shift())
    rising = later.otherwise(pl.col(entity) > pl.col(entity).shift())
    return bool(frame.select(rising.slice(1).all()).item())


def months(frame: pl.DataFrame, *, time: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield ``(YYYY-MM, rows)`` in order of month; the order of rows within a month is kept."""
    if frame.is_empty():
        return
    number = pl.col(time).dt.year().cast(pl.Int32) * 12 + pl.col(time).dt.month().cast(pl.Int32) - 1
    keyed = frame.with_columns(number.alias("_month"))
    if keyed["_month"].n_unique() > 1:
        keyed = keyed.sort("_month", maintain_order=True)
    runs = keyed["_month"].rle().struct.unnest()
    rows = keyed.drop("_month")
    start = 0
    for length, month in runs.iter_rows():
        yield _name(month), rows.slice(start, length)
        start += length


def _name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def merge(
    stored: pl.DataFrame, incoming: pl.DataFrame, *, entity: str, time: str, known: str | None = None
) -> pl.DataFrame | None:
    """Merge arranged `incoming` rows into arranged `stored` ones; None when that changes nothing.

    A row whose values equal the stored ones (whatever its `known`) changes nothing; another one replaces it,
    unless it was known before the stored one.
    """
    values = [column for column in stored.columns if column != known]
    fresh = incoming.join(stored, on=values, how="anti", nulls_equal=True, maintain_order="left")
    if known is not None and fresh.height:
        keys = [entity, time]
        before = stored.select(*keys, pl.col(known).alias("_stored"))
        fresh = (
            fresh.join(before, on=keys, how="left", maintain_order="left")
            .filter(pl.col("_stored").is_null() | (pl.col(known) >= pl.col("_stored")))
            .drop("_stored")
        )
    if fresh.is_empty():
        return None
    rows = pl.concat([stored, fresh]).unique(subset=[entity, time], keep="last", maintain_order=True)
    return rows.sort(entity, time)
