"""What limits look at beside the account: how markets move and trade, and whether their data is sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from lab.core.frames import RECEIVED
from lab.risk import measures
from lab.strategies import Portfolio
from live_bridge.bars import Answer, marked_bars, panel_of
from live_bridge.config import LoadedConfig

__all__ = ["Measured", "measure_markets"]

_DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One symbol at the last close of the portfolio's finest timeframe; see :class:`lab.risk.RiskState`."""

    volatility: float
    volume: float
    trouble: float


def measure_markets(
    portfolio: Portfolio, answers: Mapping[tuple[str, str], Answer], loaded: LoadedConfig, now: datetime
) -> dict[str, Measured]:
    """Return the measures that the portfolio's backtest has at the same close, by symbol.

    Parameters
    ----------
    portfolio : Portfolio
    answers : mapping
        As :func:`live_bridge.bars.fetch_bars` returns it.
    loaded : LoadedConfig
    now : datetime
        Exchange time.
    """
    grid = portfolio.timeframe
    symbols = {market: loaded.settings.symbol(market) for market in portfolio.markets}
    panel = panel_of(
        marked_bars(answers, symbols, grid, loaded.quality), grid, portfolio.markets, loaded.quality
    )
    missing = max(grid.last_complete(now) - int(panel.bar[-1]), 0) if len(panel) else 0
    rows = np.full((missing, len(panel.markets)), np.nan)
    names = [
        RECEIVED[column] if RECEIVED[column] in panel.fields else column for column in ("close", "volume")
    ]
    close, volume = (np.concatenate([panel[name], rows]) for name in names)
    usable = ~np.isnan(np.concatenate([panel["close"], rows]))
    moved, traded = measures(close, volume, _DAY_SECONDS / grid.seconds)
    return {
        symbols[market]: Measured(
            float(moved[-1, i]), float(traded[-1, i]), float(not usable[-1, i] and usable[:, i].any())
        )
        for i, market in enumerate(panel.markets)
        if len(close)
    }
