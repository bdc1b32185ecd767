"""Timeframes and the bar grid: the only place that turns instants into bar numbers and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError

__all__ = ["Timeframe"]

_UNIT_SECONDS: Final = {"m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN: Final = re.compile(r"([1-9]\d{0,3})([mhdw])")
# 1970-01-01 was a Thursday: the first Monday, on which weeks open, is four days later.
_FIRST_MONDAY_US: Final = 4 * 86_400 * 1_000_000
_YEAR_SECONDS: Final = 365 * 86_400


@dataclass(frozen=True, slots=True, order=True)
class Timeframe:
    """A bar length and its grid of opening times.

    Bars are numbered from the epoch: bar 0 opens at 1970-01-01 00:00 UTC, for weeks on Monday
    1970-01-05. The number of a bar therefore never depends on where a history starts, which is what
    window-local kernels align themselves to.

    Parameters
    ----------
    seconds : int
        Length of one bar. Use :meth:`parse` to make one from CCXT's notation.
    name : str
        CCXT's notation: ``1m``, ``15m``, ``1h``, ``4h``, ``1d``, ``1w``. Months are refused, for their
        length is not constant. One length has one name: ``60m`` is read as ``1h``, ``24h`` as ``1d``.

    Examples
    --------
    >>> day = Timeframe.parse("1d")
    >>> day.seconds, day.periods_per_year
    (86400, 365.0)
    >>> day.number(datetime(1970, 1, 3, tzinfo=UTC))
    2
    >>> Timeframe.parse("1w").open_time(0).strftime("%A %Y-%m-%d")
    'Monday 1970-01-05'
    """

    seconds: int
    name: str

    @classmethod
    def parse(cls, text: Timeframe | str) -> Timeframe:
        """Read CCXT's notation.

        Raises
        ------
        ConfigError
            If `text` is not a positive count of minutes, hours, days or weeks.
        """
        if isinstance(text, Timeframe):
            return text
        match = _PATTERN.fullmatch(str(text))
        if match is None:
            hint = " (a month has no constant length; use 1w)" if str(text).endswith("M") else ""
            raise ConfigError(f"timeframe {text!r} not understood{hint}: use 1m, 5m, 15m, 1h, 4h, 1d or 1w")
        seconds = int(match[1]) * _UNIT_SECONDS[match[2]]
        return cls(seconds=seconds, name=match[0] if match[2] == "w" else _name(seconds))

    @classmethod
    def from_seconds(cls, seconds: float) -> Timeframe:
        """Return the timeframe whose bars open `seconds` apart; whole weeks are weeks, from Monday on.

        Raises
        ------
        ConfigError
            If `seconds` is not a positive number of whole minutes.

        Examples
        --------
        >>> str(Timeframe.from_seconds(14_400)), str(Timeframe.from_seconds(604_800))
        ('4h', '1w')
        """
        if not seconds >= 60 or seconds % 60:
            raise ConfigError(f"bars {seconds:g} s apart make no timeframe: expected whole minutes")
        weeks, rest = divmod(int(seconds), _UNIT_SECONDS["w"])
        return cls(seconds=int(seconds), name=_name(int(seconds)) if rest else f"{weeks}w")

    @property
    def microseconds(self) -> int:
        """Length of one bar in microseconds."""
        return self.seconds * 1_000_000

    @property
    def duration(self) -> timedelta:
        """Length of one bar."""
        return timedelta(seconds=self.seconds)

    @property
    def periods_per_year(self) -> float:
        """Bars in a year of 365 days of 24 hours: the one annualisation there is."""
        return _YEAR_SECONDS / self.seconds

    @property
    def _origin_us(self) -> int:
        return _FIRST_MONDAY_US if self.name.endswith("w") else 0

    def number(self, instant: datetime) -> int:
        """Return the number of the bar that contains `instant` (timezone-aware)."""
        return (_microseconds(instant) - self._origin_us) // self.microseconds

    def numbers(self, ts: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """Return the bar number of each instant; shape as given, UTC."""
        since = ts.astype("datetime64[us]").astype(np.int64) - self._origin_us
        return np.floor_divide(since, self.microseconds)

    def open_time(self, number: int) -> datetime:
        """Return the opening time of bar `number`, UTC."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=number * self.microseconds + self._origin_us
        )

    def open_times(self, numbers: NDArray[np.int64]) -> NDArray[np.datetime64]:
        """Return the opening times of bars, as ``datetime64[us]`` in UTC."""
        return (numbers * self.microseconds + self._origin_us).astype("datetime64[us]")

    def on_grid(self, ts: NDArray[np.datetime64]) -> NDArray[np.bool_]:
        """Return which instants are exactly the opening time of a bar."""
        since = ts.astype("datetime64[us]").astype(np.int64) - self._origin_us
        return np.asarray(since % self.microseconds == 0)

    def last_complete(self, now: datetime) -> int:
        """Return the number of the latest bar that is complete at `now` (``ts + timeframe <= now``)."""
        return self.number(now) - 1

    def __str__(self) -> str:
        return self.name


def _name(seconds: int) -> str:
    # Not weeks: seven days from 1970-01-01 on are another grid than weeks from Monday on.
    unit = next(unit for unit in ("d", "h", "m") if seconds % _UNIT_SECONDS[unit] == 0)
    return f"{seconds // _UNIT_SECONDS[unit]}{unit}"


def _microseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ConfigError(
            f"time {instant.isoformat()} has no timezone: times are UTC, write e.g. {instant.isoformat()}Z"
        )
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
