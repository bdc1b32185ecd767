"""Pure functions on rows: order them, drop repeats, split them by month, merge them into stored ones."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import polars as pl

from feature_store.errors import StoreError

__all__ = ["arrange", "known_by", "merge", "months", "revise"]


def arrange(frame: pl.DataFrame, *, entity: str, time: str, known: str | None = None) -> pl.DataFrame:
    """Return rows sorted by entity, then time, one per (entity, time): of repeated keys the last one.

    With `known` the rows of one key that became known at different times all stay, sorted by it; see
    :func:`revise`.

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
    keys = [entity, time, *([known] if known else [])]
    ordered = frame.sort(keys, maintain_order=True)
    if _strictly_rising(ordered, entity, time):
        return ordered
    return ordered.unique(subset=keys, keep="last", maintain_order=True)


def _strictly_rising(frame: pl.DataFrame, entity: str, time: str) -> bool:
    if frame.height < 2:
        return True
    runs = frame[entity].rle().struct.unnest()
    value = runs["value"]
    if len(value) > 1 and not (value[1:] > value[:-1]).all():
        return False
    since = frame[time].to_physical().to_numpy()
    later = since[1:] > since[:-1]
    later[np.cumsum(runs["len"].to_numpy(), dtype=np.int64)[:-1] - 1] = True
    return bool(later.all())


def months(frame: pl.DataFrame, *, time: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yield ``(YYYY-MM, rows)`` in order of month; the order of rows within a month is kept.

    Each month is cut out of the frame when it is asked for, so that there is never a second copy of all rows.
    """
    if frame.is_empty():
        return
    number = pl.col(time).dt.year().cast(pl.Int32) * 12 + pl.col(time).dt.month().cast(pl.Int32) - 1
    month = frame.select(number.alias("month"))["month"].to_numpy()
    first = int(month.min())
    if first == month.max():
        yield _name(first), frame
        return
    # Small whole numbers are sorted in one pass over them; two bytes hold 2,700 years of months.
    since = (month - first).astype(np.uint16)
    counts = np.bincount(since)
    ends = np.cumsum(counts)
    order = np.argsort(since, kind="stable").astype(np.uint32 if len(since) < 2**32 else np.int64)
    for index in np.flatnonzero(counts):
        part = order[ends[index] - counts[index] : ends[index]]
        yield _name(first + int(index)), frame[pl.Series(part)]


def _name(number: int) -> str:
    return f"{number // 12:04d}-{number % 12 + 1:02d}"


def merge(stored: pl.DataFrame, incoming: pl.DataFrame, *, entity: str, time: str) -> pl.DataFrame | None:
    """Merge arranged `incoming` rows into arranged `stored` ones; None when that changes nothing.

    A row whose values equal the stored ones changes nothing; another one replaces it.
    """
    fresh = _absent(incoming, stored)
    if fresh.is_empty():
        return None
    rows = pl.concat([stored, fresh]).unique(subset=[entity, time], keep="last", maintain_order=True)
    return rows.sort(entity, time)


def _absent(incoming: pl.DataFrame, stored: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `incoming` that are not in `stored`, to the bit: 0.0 is not -0.0."""
    floats = [name for name, dtype in stored.schema.items() if dtype.is_float()]
    negative = [((pl.col(name) == 0.0) & (1.0 / pl.col(name) < 0.0)).alias(f"{name}<0") for name in floats]
    frames = incoming, stored
    # Joins take the two zeros for equal; rows rarely hold a negative one.
    if any(
        frame.select(*negative).select(pl.any_horizontal(pl.all().any())).item() for frame in frames if floats
    ):
        frames = incoming.with_columns(negative), stored.with_columns(negative)
    left, right = frames
    rows = left.join(right, on=right.columns, how="anti", nulls_equal=True, maintain_order="left")
    return rows.select(stored.columns)


def revise(
    stored: pl.DataFrame,
    earlier: pl.DataFrame | None,
    incoming: pl.DataFrame,
    *,
    entity: str,
    time: str,
    known: str,
) -> tuple[pl.DataFrame, pl.DataFrame | None] | None:
    """Add what became known to what is stored; None when that changes nothing.

    Parameters
    ----------
    stored : polars.DataFrame
        One row per (entity, time): the one known last.
    earlier : polars.DataFrame or None
        The rows that they replaced, and so on back.
    incoming : polars.DataFrame
        As :func:`arrange` returns them.

    Returns
    -------
    tuple of DataFrame and (DataFrame or None), or None
        The rows known last, and those before them. A row that says what was known already (the same values,
        known later) is not kept; of two rows known at the same time the one that came last is.
    """
    keys = [entity, time]
    if stored.is_empty() and earlier is None and _strictly_rising(incoming, entity, time):
        return (incoming, None) if incoming.height else None
    said = stored.rename({known: "_known"})
    values = [column for column in stored.columns if column != known]
    matched = incoming.join(said, on=values, how="left", nulls_equal=True, maintain_order="left")
    fresh = matched.filter(pl.col("_known").is_null() | (pl.col(known) < pl.col("_known")))
    if fresh.is_empty():
        return None
    touched = fresh.select(keys).unique()
    old = stored.join(touched, on=keys, how="semi", maintain_order="left")
    new = incoming.join(touched, on=keys, how="semi", maintain_order="left")
    if old.is_empty() and earlier is None and new.height == touched.height:
        return pl.concat([stored, new.select(stored.columns)]).sort(keys), None
    if earlier is not None:
        old = pl.concat([earlier.join(touched, on=keys, how="semi"), old]).sort(*keys, known)
    versions = _versions(pl.concat([old, new.select(stored.columns)]), keys, known)
    if versions.equals(old):
        return None
    last = pl.struct(keys) != pl.struct(keys).shift(-1)
    marked = versions.with_columns(last.fill_null(True).alias("_last"))
    current = marked.filter("_last").drop("_last")
    before = marked.filter(~pl.col("_last")).drop("_last")
    rest = [] if earlier is None else [earlier.join(touched, on=keys, how="anti", maintain_order="left")]
    history = pl.concat([*rest, before]).sort(*keys, known)
    rows = pl.concat([stored.join(touched, on=keys, how="anti", maintain_order="left"), current]).sort(keys)
    return rows, None if history.is_empty() else history


def known_by(rows: pl.DataFrame, instant: datetime, *, entity: str, time: str, known: str) -> pl.DataFrame:
    """Return, per (entity, time), the row known last at `instant`; rows known later do not exist yet."""
    past = rows.filter(pl.col(known) <= instant)
    return past.sort(entity, time, known, maintain_order=True).unique(
        subset=[entity, time], keep="last", maintain_order=True
    )


def _versions(rows: pl.DataFrame, keys: list[str], known: str) -> pl.DataFrame:
    """Sort by key and `known`; drop rows that repeat the values of the row before of their key."""
    ordered = rows.sort(*keys, known, maintain_order=True).unique(
        subset=[*keys, known], keep="last", maintain_order=True
    )
    said = pl.all_horizontal(
        pl.col(column).eq_missing(pl.col(column).shift()) for column in rows.columns if column != known
    )
    return ordered.filter(~said)
