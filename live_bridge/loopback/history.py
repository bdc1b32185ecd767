"""Stored bars as the exchange sees them: one listing per symbol, one series per timeframe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.timeframe import Timeframe

__all__ = ["Listing", "Series", "to_datetime", "to_milliseconds"]

Floats = NDArray[np.float64]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_milliseconds(instant: datetime) -> int:
    """Return Binance's time: milliseconds since 1970-01-01 UTC."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def to_datetime(milliseconds: int) -> datetime:
    """Return the UTC instant of Binance's time."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """Bars of one market in one timeframe, as received: ascending, missing bars missing.

    Parameters
    ----------
    timeframe : Timeframe
    opened : numpy.ndarray
        (T,) int64, opening times in milliseconds, strictly ascending.
    values : numpy.ndarray
        (T, 5) float64: open, high, low, close, volume.
    """

    timeframe: Timeframe
    opened: NDArray[np.int64]
    values: Floats

    @property
    def duration(self) -> int:
        """Length of one bar in milliseconds."""
        return self.timeframe.seconds * 1_000

    def at(self, now: int) -> int:
        """Return the row of the bar that has opened last at `now`; -1 before the first."""
        return int(np.searchsorted(self.opened, now, side="right")) - 1

    def contains(self, row: int, now: int) -> bool:
        """Return whether `now` lies inside the bar of `row`."""
        return row >= 0 and now < int(self.opened[row]) + self.duration


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """One symbol of the exchange and the stored bars behind it.

    Parameters
    ----------
    symbol : str
        Binance's name: BASEQUOTE.
    base, quote : str
    sources : mapping
        Timeframe name to the stored market's name, for example ``{"1d": "bitstamp:BTC/USD"}``.
    series : mapping
        Timeframe name to bars.
    """

    symbol: str
    base: str
    quote: str
    sources: Mapping[str, str]
    series: Mapping[str, Series]

    @property
    def finest(self) -> Series:
        """The series of the shortest timeframe: it rules the price."""
        return min(self.series.values(), key=lambda series: series.duration)
