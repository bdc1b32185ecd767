"""What limits with layers look at in a backtest: measures of the bars, missing bars, and parts of targets."""

from __future__ import annotations

from typing import Final

import numpy as np

from lab.backtest.layout import Array
from lab.backtest.prices import ExecutionPrices, frozen
from lab.core.errors import FrameError
from lab.risk import NO_WATCH, Limits, Watch, measures

__all__ = ["watch_of"]

_DAY_SECONDS: Final = 86_400.0


def watch_of(prices: ExecutionPrices, limits: Limits | None, parts: Array | None = None) -> Watch:
    """Return the rows that `limits` want, as known at each bar's close; empty where they are neutral.

    A market whose bar is missing or BAD, and that had bars before, is in trouble: only reductions pass.

    Parameters
    ----------
    prices : ExecutionPrices
        Whose bars.
    limits : Limits or None
        What will be enforced.
    parts : ndarray, shape (T, K, N), optional
        What each instance wants of the targets.

    Raises
    ------
    FrameError
        If limits and parts are not about the same instances and markets.
    DataError
        If the limits need a column that the bars do not have.
    """
    if limits is None or limits.neutral:
        return NO_WATCH
    rows, columns = prices.shape
    expected = (rows, limits.sleeves.shape[0], columns)
    if parts is not None and parts.shape != expected:
        raise FrameError(f"parts have shape {parts.shape}, expected {expected}: bars x instances x markets")
    if limits.groups.size and limits.groups.shape[1] != columns:
        raise FrameError(f"limits are about {limits.groups.shape[1]} markets, the bars about {columns}")
    close = prices.bar_column("close", needed=limits.trade_risk < np.inf)
    volume = prices.bar_column("volume", needed=limits.volume_share < np.inf)
    table = np.zeros((rows, 3, columns))
    table[:, 0], table[:, 1] = measures(close, volume, _DAY_SECONDS / prices.timeframe.seconds)
    table[:, 2] = ~prices.usable & ~np.isnan(prices.last)
    return Watch(frozen(table), NO_WATCH.parts if parts is None else frozen(parts))
