"""The stretch of time that a report is about: the last whole day, week or month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lab.core.errors import ConfigError

__all__ = ["PERIODS", "Period", "period_before"]

PERIODS = ("daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True)
class Period:
    """``start <= time < end``, UTC, both midnights."""

    name: str
    start: datetime
    end: datetime

    @property
    def text(self) -> str:
        """Its first and last day."""
        last = self.end - timedelta(days=1)
        first = self.start.date().isoformat()
        return first if self.start.date() == last.date() else f"{first} to {last.date().isoformat()}"


def period_before(name: str, now: datetime) -> Period:
    """Return the last whole day, week (from Monday) or calendar month before `now`, UTC.

    Examples
    --------
    >>> now = datetime(2024, 3, 6, 0, 5, tzinfo=UTC)  # a Wednesday
    >>> [period_before(name, now).text for name in PERIODS]
    ['2024-03-05', '2024-02-26 to 2024-03-03', '2024-02-01 to 2024-02-29']

    Raises
    ------
    ConfigError
        If `name` is none of them, or `now` has no timezone.
    """
    if now.tzinfo is None:
        raise ConfigError(f"{now} has no timezone; expected one, for example {now.isoformat()}+00:00")
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if name == "daily":
        return Period(name, today - timedelta(days=1), today)
    if name == "weekly":
        monday = today - timedelta(days=today.weekday())
        return Period(name, monday - timedelta(days=7), monday)
    if name == "monthly":
        first = today.replace(day=1)
        return Period(name, (first - timedelta(days=1)).replace(day=1), first)
    raise ConfigError(f"period {name!r}: expected one of {', '.join(PERIODS)}")
