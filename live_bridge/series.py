"""Stored series (funding rates, on-chain figures) as a tick reads them: what is known at its time, no more.

Another job keeps them up to date (``mnemo data series``). A tick reads what it may need, keeps it in the
journal, and gives every bar the value that the lab's own join gives it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from lab.core.errors import DataError
from lab.core.frames import TS
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.data.catalog import store_errors
from lab.data.joining import read_series, series_store
from lab.strategies import Portfolio, SeriesConfig, StrategyInstance
from lab.strategies.series import require_stored, series_fields, series_subjects

__all__ = [
    "Overdue",
    "SeriesAnswer",
    "SeriesError",
    "SeriesSource",
    "StoredSeries",
    "fetch_series",
    "overdue",
    "series_inputs",
    "with_series",
]

# So many of a subject's last values say how often one comes, and how long after its stamp.
_LATEST: Final = 20
# Fewer say nothing.
_FEWEST: Final = 3
_KEYS: Final = ("subject", "ts", "known_at")
_NOTHING: Final = pl.DataFrame(schema={"subject": pl.String, "ts": TS, "known_at": TS})


class SeriesError(DataError):
    """A series that an instance reads is not stored, or not with what it needs."""


@dataclass(frozen=True, slots=True, eq=False)
class SeriesAnswer:
    """What is known of one series.

    Attributes
    ----------
    name : str
    start : datetime
        Rows with an older stamp were not asked for.
    rows : polars.DataFrame
        ``subject, ts, known_at`` and columns of float64, sorted by these three; a value that was revised is
        there each time that it was published.
    subjects : tuple of str
        Those of the portfolio's markets that are stored.
    problems : mapping of str to str
        By instance that cannot use it: why.
    """

    name: str
    start: datetime
    rows: pl.DataFrame
    subjects: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Overdue:
    """A value that should be stored: what it is, and when it became due."""

    detail: str
    due: datetime


class SeriesSource(Protocol):
    """Where series come from: the store, or a journal."""

    def read(self, name: str, *, start: datetime, known: datetime) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """Return the rows with ``ts >= start`` and ``known_at <= known``, and all subjects there are.

        Raises
        ------
        DataError
            If there is no such series, or it cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """The store under a root folder, which another job keeps up to date."""

    root: Path

    def read(self, name: str, *, start: datetime, known: datetime) -> tuple[pl.DataFrame, tuple[str, ...]]:
        """See :class:`SeriesSource`."""
        with store_errors():
            subjects = tuple(series_store(self.root).entities(name))
        return read_series(self.root, name, start=start, known=known), subjects


def fetch_series(
    source: SeriesSource, portfolio: Portfolio, now: datetime, *, context: int
) -> dict[str, SeriesAnswer]:
    """Read the series that a portfolio's instances need to decide at their last complete bars.

    Parameters
    ----------
    source : SeriesSource
    portfolio : Portfolio
    now : datetime
        Exchange time: what became known later is left out, though it may be stored.
    context : int
        Bars before those an instance needs that may be among its bars.

    Returns
    -------
    dict of str to SeriesAnswer
        By name; a series that cannot be read has no rows, and says why to every instance that reads it.
    """
    asked: dict[str, list[tuple[StrategyInstance, SeriesConfig]]] = {}
    for instance in portfolio.instances:
        for config in instance.config.series:
            asked.setdefault(config.name, []).append((instance, config))
    answers = {}
    for name, uses in asked.items():
        start = min(_start(portfolio, instance, config, now, context) for instance, config in uses)
        try:
            rows, stored = source.read(name, start=start, known=now)
        except DataError as error:
            problems = {instance.strategy_id: str(error) for instance, _ in uses}
            answers[name] = SeriesAnswer(name, start, _NOTHING, (), problems)
            continue
        answers[name] = _answer(name, start, uses, rows, stored)
    return answers


def with_series(instance: StrategyInstance, panel: Panel, answers: Mapping[str, SeriesAnswer]) -> Panel:
    """Return `panel` with the columns that the instance's file names, exactly as the lab makes them.

    Raises
    ------
    SeriesError
        If one of them cannot be had.
    """
    for config in instance.config.series:
        answer = answers[config.name]
        if instance.strategy_id in answer.problems:
            raise SeriesError(answer.problems[instance.strategy_id])
        subjects = series_subjects(config, panel.markets, answer.subjects)
        panel = panel.with_fields(series_fields(panel, config, answer.rows, subjects))
    return panel


def overdue(
    instance: StrategyInstance, closed: datetime, answers: Mapping[str, SeriesAnswer]
) -> Overdue | None:
    """Return the value that should have been known at a close and is not stored, the latest due; or None.

    When one is due is told by the last ones: how far apart they are, and how long after their stamp they
    became known, in the median of each. The lab's own join uses the older value then, as for a hole.
    """
    found = []
    for config in instance.config.series:
        answer = answers[config.name]
        delay = timedelta(hours=config.delay_hours)
        subjects = series_subjects(config, instance.markets, answer.subjects)
        for subject in dict.fromkeys(subjects.values()):
            for column in config.columns.values():
                late = _overdue(answer.rows, subject, column, closed - delay)
                if late is not None:
                    text = f"series {config.name}: {late.detail}"
                    found.append(Overdue(text, late.due + delay))
    return max(found, key=lambda late: late.due, default=None)


def series_inputs(
    instance: StrategyInstance, panel: Panel, answers: Mapping[str, SeriesAnswer]
) -> dict[str, dict[str, Any]]:
    """Return, per series, what a decision was made from.

    Rows read and their digest; whose values each market got; the newest stamp known at the close; markets
    whose value was too old then.

    Parameters
    ----------
    instance : StrategyInstance
    panel : Panel
        As :func:`with_series` returned it.
    answers : mapping of str to SeriesAnswer
    """
    found: dict[str, dict[str, Any]] = {}
    closed = panel.timeframe.open_time(int(panel.bar[-1]) + 1)
    for config in instance.config.series:
        answer = answers[config.name]
        subjects = series_subjects(config, panel.markets, answer.subjects)
        own = answer.rows.filter(pl.col("subject").is_in(list(subjects.values())))
        own = own.select(*_KEYS, *sorted(set(config.columns.values())))
        known = own.filter(pl.col("known_at") + timedelta(hours=config.delay_hours) <= closed)
        newest = dict(known.group_by("subject").agg(pl.col("ts").max()).rows())
        found[config.name] = {
            "rows": own.height,
            "digest": series_digest(own),
            "subjects": {market: subject for market, subject in subjects.items() if subject in newest},
            "newest": {subject: newest[subject].isoformat() for subject in sorted(newest)},
            "unknown": sorted(
                {
                    market
                    for name in config.columns
                    for market, value in zip(panel.markets, panel[name][-1], strict=True)
                    if math.isnan(value) and subjects[market] in answer.subjects
                }
            ),
        }
    return found


def series_digest(rows: pl.DataFrame) -> str:
    """Return the SHA-256 of a series' rows: stamps and all numbers, to the bit."""
    return digest([[str(value) if hasattr(value, "year") else value for value in row] for row in rows.rows()])


def _start(
    portfolio: Portfolio, instance: StrategyInstance, config: SeriesConfig, now: datetime, context: int
) -> datetime:
    """Return the oldest stamp that can matter: too old already at the first bar's close is none."""
    grid = instance.timeframe
    first = grid.last_complete(now) - portfolio.bars_needed(instance) - context
    return grid.open_time(first + 1) - timedelta(days=config.max_age_days)


def _answer(
    name: str,
    start: datetime,
    uses: Sequence[tuple[StrategyInstance, SeriesConfig]],
    rows: pl.DataFrame,
    stored: tuple[str, ...],
) -> SeriesAnswer:
    columns: set[str] = set()
    subjects: set[str] = set()
    problems = {}
    for instance, config in uses:
        try:
            require_stored(config, rows.columns)
            found = series_subjects(config, instance.markets, stored)
        except DataError as error:
            problems[instance.strategy_id] = str(error)
            continue
        columns |= set(config.columns.values())
        subjects |= set(found.values()).intersection(stored)
    kept = (
        rows.filter(pl.col("subject").is_in(sorted(subjects)))
        .select(*_KEYS, *(pl.col(column).cast(pl.Float64) for column in sorted(columns)))
        .sort(*_KEYS)
    )
    return SeriesAnswer(name, start, kept, tuple(sorted(subjects)), problems)


def _overdue(rows: pl.DataFrame, subject: str, column: str, closed: datetime) -> Overdue | None:
    # As first published: a revision comes when it likes.
    own = rows.filter(pl.col("subject") == subject).drop_nulls(column)
    own = own.unique("ts", keep="first", maintain_order=True).tail(_LATEST)
    if own.height < _FEWEST:
        return None
    step, lag = own["ts"].diff().median(), (own["known_at"] - own["ts"]).median()
    newest = own["ts"][-1]
    if not isinstance(step, timedelta) or not isinstance(lag, timedelta) or newest + step + lag > closed:
        return None
    return Overdue(
        f"the value of {subject} at {newest + step:%Y-%m-%d %H:%M}Z should be known and is not stored; the "
        f"newest is of {newest:%Y-%m-%d %H:%M}Z",
        newest + step + lag,
    )
