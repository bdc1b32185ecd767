"""What leaks and their clean twins are made of: a panel, and windows written with plain shifts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute

Array = NDArray[np.float64]
Signal = Callable[[Panel, Any], Any]
BARS, MARKETS = 150, 3


def make_panel(holes: bool = False, bars: int = BARS, markets: int = MARKETS) -> Panel:
    generator = np.random.default_rng(11)
    day = Timeframe.parse("1d")
    bar = np.arange(18_003, 18_003 + bars)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.03, (bars, markets)), axis=0))
    spread = 1.0 + 0.01 * generator.random((bars, markets))
    volume = generator.lognormal(10.0, 1.0, (bars, markets))
    if holes:
        close[generator.random((bars, markets)) < 0.1] = np.nan
    fields = {"close": close, "high": close * spread, "low": close / spread, "volume": volume}
    return Panel(day, bar, day.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def frame(panel: Panel, field: str = "close") -> pd.DataFrame:
    return pd.DataFrame(np.array(panel[field]), index=pd.DatetimeIndex(panel.ts), columns=panel.markets)


def shifted(values: Array, bars: int) -> Array:
    return pd.DataFrame(np.array(values)).shift(bars).to_numpy(dtype=np.float64)


def lagged(values: Array, window: int) -> Array:
    """Return (window, T, N): the values as they were 0, 1, 2 … bars before, NaN where there was none."""
    out = np.full((window, *values.shape), np.nan)
    for bars in range(min(window, len(values))):
        out[bars, bars:] = values[: len(values) - bars]
    return out


def added(parts: Array) -> Array:
    """Add along the first axis, one after another, so that no library chooses an order."""
    return functools.reduce(np.add, parts)


def where_known(parts: Array, values: Any) -> Array:
    return np.where(np.isnan(parts).any(axis=0), np.nan, values)


def of_feature(feature: Any) -> Signal:
    return lambda panel, _: compute(panel, [feature])[feature]
