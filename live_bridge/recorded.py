"""An exchange that answers from what was recorded: for tests, and for deriving a past tick again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from lab.core.errors import ConfigError
from lab.core.timeframe import Timeframe
from live_bridge.exchange import Candle, Rules

__all__ = ["RecordedMarket"]


@dataclass(frozen=True, slots=True)
class RecordedMarket:
    """Market data held in memory.

    Parameters
    ----------
    time : datetime
        What :meth:`now` answers.
    listed : mapping of str to Rules
        The markets, by symbol.
    bars : mapping of (symbol, timeframe) to sequence of Candle
        Ascending by opening time.
    last : mapping of str to Decimal
        Last traded prices, by symbol.
    """

    time: datetime
    listed: Mapping[str, Rules] = field(default_factory=dict)
    bars: Mapping[tuple[str, str], Sequence[Candle]] = field(default_factory=dict)
    last: Mapping[str, Decimal] = field(default_factory=dict)

    def now(self) -> datetime:
        """Return the recorded time."""
        return self.time

    def rules(self, symbols: Sequence[str]) -> Mapping[str, Rules]:
        """Return the recorded rules of each symbol."""
        for symbol in symbols:
            if symbol not in self.listed:
                raise ConfigError(f"the recording does not list {symbol}; it has {', '.join(self.listed)}")
        return {symbol: self.listed[symbol] for symbol in symbols}

    def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        """Return the recorded bars that open in ``[start, end)``."""
        known = self.bars.get((symbol, timeframe.name), ())
        return tuple(candle for candle in known if start <= candle.ts < end)

    def prices(self, symbols: Sequence[str]) -> Mapping[str, Decimal]:
        """Return the recorded last prices."""
        return {symbol: self.last[symbol] for symbol in symbols if symbol in self.last}
