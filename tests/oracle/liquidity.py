"""The least volume in plain Python, one bar and one market at a time; nothing is shared with the package."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

Rows = Sequence[Sequence[float]]


def daily_volume(
    close: Rows, volume: Rows, row: int, market: int, *, window: int, per_day: Fraction
) -> float:
    """Return the mean daily quote volume at one bar; NaN with less than 80 % of the window."""
    if row + 1 < window:
        return math.nan
    found = []
    for t in range(row + 1 - window, row + 1):
        price, quantity = close[t][market], volume[t][market]
        if not math.isnan(price) and not math.isnan(quantity):
            found.append(Fraction(price * quantity))
    if 5 * len(found) < 4 * window:
        return math.nan
    return float(sum(found) / len(found) * per_day)


def screened(
    weights: Rows, close: Rows, volume: Rows, *, window: int, per_day: Fraction, minimum: float
) -> list[list[float]]:
    """Return the weights with 0 where the daily volume is below the minimum or unknown."""
    result = []
    for t, row in enumerate(weights):
        kept = []
        for i, weight in enumerate(row):
            daily = daily_volume(close, volume, t, i, window=window, per_day=per_day)
            kept.append(weight if not math.isnan(daily) and daily >= minimum else 0.0)
        result.append(kept)
    return result
