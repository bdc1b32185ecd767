"""Stored series as columns of a panel, as they were known when each bar closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.data.joining import join_known, read_series
from lab.strategies import SeriesConfig

__all__ = ["with_series"]

_OWN: Final = ("subject", "ts", "known_at")


def with_series(panel: Panel, configs: tuple[SeriesConfig, ...], *, root: Path) -> tuple[Panel, list[str]]:
    """Return `panel` with the columns that `configs` name, and a hash of what was read for each.

    Parameters
    ----------
    panel : Panel
        Bars.
    configs : tuple of SeriesConfig
        From the instance's file.
    root : pathlib.Path
        Folder with the stored series.

    Returns
    -------
    Panel
        A value appears at the first bar that closes at or after it was known, `delay_hours` later if that is
        set, and disappears when it is older than `max_age_days` at a bar's close. NaN where nothing is known,
        and for a market whose values nobody stored.
    list of str
        SHA-256 of the joined columns, in the order of `configs`.

    Raises
    ------
    DataError
        If a series is not stored, lacks a column, or has values for none of the markets.
    """
    hashes = []
    for config in configs:
        fields = _columns(panel, config, _stored(config, root))
        panel = panel.with_fields(fields)
        hashes.append(digest({str(name): digest(values.tobytes()) for name, values in fields.items()}))
    return panel, hashes


def _stored(config: SeriesConfig, root: Path) -> pl.DataFrame:
    frame = read_series(root, config.name)
    values = [column for column in frame.columns if column not in _OWN]
    for column in config.columns.values():
        if column not in values:
            raise DataError(
                f"series {config.name} has no column {column!r}; it has {', '.join(values)}: "
                "correct 'columns' under 'series' in the instance's file"
            )
    delay = pl.duration(microseconds=round(config.delay_hours * 3_600e6))
    frame = frame.select(*_OWN, *dict.fromkeys(config.columns.values()))
    return frame.with_columns(known_at=pl.col("known_at") + delay)


def _columns(
    panel: Panel, config: SeriesConfig, series: pl.DataFrame
) -> dict[str | Feature, NDArray[np.float64]]:
    stored = set(series["subject"].unique().to_list())
    subjects = {market: _subject(market, config.subjects, stored) for market in panel.markets}
    if not stored.intersection(subjects.values()):
        raise DataError(
            f"series {config.name} has values of {', '.join(sorted(stored)[:5])}, none of them for "
            f"{', '.join(panel.markets[:5])}: name them under 'subjects' in the instance's file"
        )
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


def _subject(market: str, named: Mapping[str, str], stored: set[str]) -> str:
    """Return whose values a market gets: as named, its own, its perpetual's, or its base coin's."""
    if market in named:
        return named[market]
    parsed = Market.parse(market)
    for candidate in (market, f"{market}:{parsed.quote}", parsed.base):
        if candidate in stored:
            return candidate
    return market
