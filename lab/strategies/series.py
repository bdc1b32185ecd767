"""Stored series as columns of a panel, as they were known when each bar closed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.market import Market
from lab.core.panel import Panel
from lab.data.joining import join_known
from lab.strategies.columns import SeriesConfig

__all__ = ["require_stored", "series_fields", "series_subjects"]

_OWN: Final = ("subject", "ts", "known_at")


def require_stored(config: SeriesConfig, columns: Sequence[str]) -> None:
    """Refuse a stored series that lacks a column which an instance's file names.

    Raises
    ------
    DataError
        Naming series and column, and the columns there are.
    """
    values = [column for column in columns if column not in _OWN]
    for column in config.columns.values():
        if column not in values:
            raise DataError(
                f"series {config.name} has no column {column!r}; it has {', '.join(values)}: "
                "correct 'columns' under 'series' in the instance's file"
            )


def series_subjects(config: SeriesConfig, markets: Sequence[str], stored: Collection[str]) -> dict[str, str]:
    """Return whose values each market gets: as named, its own, its perpetual's, or its base coin's.

    Parameters
    ----------
    config : SeriesConfig
    markets : sequence of str
    stored : collection of str
        The subjects that the series has values of.

    Raises
    ------
    DataError
        If it has values for none of the markets.

    Examples
    --------
    >>> config = SeriesConfig(name="onchain", columns={"mvrv": "CapMVRVCur"})
    >>> series_subjects(config, ["binance:BTC/USDT"], {"BTC", "ETH"})
    {'binance:BTC/USDT': 'BTC'}
    """
    subjects = {market: _subject(market, config.subjects, stored) for market in markets}
    if not set(stored).intersection(subjects.values()):
        raise DataError(
            f"series {config.name} has values of {', '.join(sorted(stored)[:5])}, none of them for "
            f"{', '.join(markets[:5])}: name them under 'subjects' in the instance's file"
        )
    return subjects


def series_fields(
    panel: Panel, config: SeriesConfig, series: pl.DataFrame, subjects: Mapping[str, str]
) -> dict[str | Feature, NDArray[np.float64]]:
    """Return the columns that `config` names, for every bar and market of `panel`.

    Parameters
    ----------
    panel : Panel
        Bars.
    config : SeriesConfig
        From the instance's file.
    series : polars.DataFrame
        ``subject, ts, <values>, known_at``; see :func:`require_stored`.
    subjects : mapping of str to str
        See :func:`series_subjects`.

    Returns
    -------
    dict of str to ndarray of float64, shape (T, N)
        A value appears at the first bar that closes at or after it was known, `delay_hours` later if that is
        set, and disappears when it is older than `max_age_days` at a bar's close. NaN where nothing is known,
        and for a market whose values nobody stored.
    """
    delay = pl.duration(microseconds=round(config.delay_hours * 3_600e6))
    series = series.with_columns(known_at=pl.col("known_at") + delay)
    rows, columns = panel.shape
    bars = pl.DataFrame(
        {
            "ts": pl.Series(np.repeat(panel.ts, columns)).dt.replace_time_zone("UTC"),
            "market": list(panel.markets) * rows,
        }
    )
    fields: dict[str | Feature, NDArray[np.float64]] = {}
    for name, column in config.columns.items():
        # Alone, without nulls: a day on which one figure is missing still has the others.
        known = series.select(*_OWN, column).drop_nulls(column)
        joined = join_known(
            bars, known, panel.timeframe, subjects=subjects, max_age=timedelta(days=config.max_age_days)
        )
        values = joined[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
        fields[name] = np.ascontiguousarray(values.reshape(rows, columns))
    return fields


def _subject(market: str, named: Mapping[str, str], stored: Collection[str]) -> str:
    if market in named:
        return named[market]
    parsed = Market.parse(market)
    for candidate in (market, f"{market}:{parsed.quote}", parsed.base):
        if candidate in stored:
            return candidate
    return market
