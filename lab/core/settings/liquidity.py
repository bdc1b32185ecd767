"""What makes a market liquid enough: one rule for instances and for the universe of an instant."""

from __future__ import annotations

import math
from typing import Final

from pydantic import Field

from lab.core.settings.document import Section
from lab.core.timeframe import Timeframe

__all__ = ["LEAST_KNOWN", "LiquiditySettings"]

_DAY: Final = 86_400
# Share of the window's bars whose close and volume must be known, else the mean is not.
LEAST_KNOWN: Final = 0.8


class LiquiditySettings(Section):
    """A least mean daily quote volume: close times volume, over a window of complete bars.

    The mean is taken per bar over those of the window's bars whose close and volume are known, at least
    ``LEAST_KNOWN`` of them, and scaled to a day. A market whose mean is below the least one, or not known,
    is not liquid.

    Examples
    --------
    >>> rule = LiquiditySettings()
    >>> rule.bars("1h"), rule.per_day("1h"), rule.bars("1w")
    (720, 24.0, 5)
    """

    min_daily_volume: float = Field(
        1_000_000.0, ge=0, description="mean daily quote volume below which a market is not held"
    )
    window_days: int = Field(
        30, ge=1, le=365, description="days of complete bars that the mean is taken over, rounded up to bars"
    )

    def bars(self, timeframe: Timeframe | str) -> int:
        """Return the bars of the window."""
        return -(-self.window_days * _DAY // Timeframe.parse(timeframe).seconds)

    def least_known(self, timeframe: Timeframe | str) -> int:
        """Return how many bars of the window must be known."""
        return max(math.ceil(LEAST_KNOWN * self.bars(timeframe) - 1e-9), 1)

    @staticmethod
    def per_day(timeframe: Timeframe | str) -> float:
        """Return how many bars a day has; less than 1 where a bar is longer."""
        return _DAY / Timeframe.parse(timeframe).seconds
