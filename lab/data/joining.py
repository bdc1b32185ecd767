"""Joins series to bars by what was known when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from feature_store import FeatureStore
from lab.core.errors import ConfigError
from lab.core.timeframe import Timeframe
from lab.data.catalog import store_errors

__all__ = ["join_known", "read_series", "series_store"]


def series_store(root: Path) -> FeatureStore:
    """Return the store of series, ``data/series``: one dataset per series, one row per subject and ts."""
    return FeatureStore(Path(root) / "data" / "series")


def read_series(
    root: Path, name: str, *, start: datetime | None = None, known: datetime | None = None
) -> pl.DataFrame:
    """Return a stored series: ``subject, ts, <values>, known_at``, sorted by subject, ts, then known_at.

    A value that was revised is there as often as it was published, each time from when it was known on.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` lies.
    name : str
        Of the series.
    start, known : datetime, optional
        Only stamps from `start` on, and what was known at `known`.

    Raises
    ------
    DataError
        If nothing is stored under that name.
    """
    with store_errors():
        rows = series_store(root).scan(name, start=start, earlier=True)
        if known is not None:
            rows = rows.filter(pl.col("known_at") <= known)
        return rows.collect().sort("subject", "ts", "known_at")


def join_known(
    bars: pl.DataFrame,
    series: pl.DataFrame,
    timeframe: str | Timeframe,
    *,
    subjects: Mapping[str, str],
    max_age: timedelta | None = None,
) -> pl.DataFrame:
    """Give every bar the latest value of a series that was known when the bar closed.

    Parameters
    ----------
    bars : polars.DataFrame
        ``ts`` (open) and ``market``, other columns as they like.
    series : polars.DataFrame
        ``subject, ts, <values>, known_at``; several rows of one ``ts`` are its revisions.
    timeframe : str or Timeframe
        Length of a bar: it closes at ``ts + timeframe``.
    subjects : mapping of market to subject
        Whose values a market gets; a market without one gets nulls.
    max_age : timedelta, optional
        Values whose ``ts`` is longer before the close than this are left out.

    Returns
    -------
    polars.DataFrame
        The bars in their order, with the series' values, and ``series_ts`` and ``known_at`` of the row they
        come from; null where nothing was known. A value that is stamped 17 ms after a bar's close is not
        known at that close. Of what was known, the newest ``ts`` counts, not the newest publication.
    """
    grid = Timeframe.parse(timeframe)
    taken = [name for name in series.columns if name in bars.columns and name not in {"ts", "subject"}]
    if taken:
        raise ConfigError(f"bars have a column {taken[0]} already; rename it")
    order = ["subject", "known_at", "ts"]
    news = series.sort(order).filter(pl.col("ts") >= pl.col("ts").cum_max().over("subject"))
    asked = bars.with_row_index("_row").with_columns(
        (pl.col("ts") + grid.duration).alias("_close"),
        pl.col("market")
        .replace_strict(dict(subjects), default=None, return_dtype=pl.String)
        .alias("subject"),
    )
    joined = (
        asked.sort("_close")
        .join_asof(
            news.rename({"ts": "series_ts"}).sort("known_at", "series_ts"),
            left_on="_close",
            right_on="known_at",
            by="subject",
            strategy="backward",
            coalesce=False,
            check_sortedness=False,
        )
        .sort("_row")
    )
    values = [name for name in news.columns if name not in {"subject", "ts"}]
    if max_age is not None:
        fresh = pl.col("_close") - pl.col("series_ts") <= max_age
        joined = joined.with_columns(pl.when(fresh).then(pl.col(name)) for name in [*values, "series_ts"])
    return joined.select(
        *bars.columns, *[name for name in values if name != "known_at"], "series_ts", "known_at"
    )
