"""Complete bars from the exchange, judged and aligned exactly as stored ones are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from lab.core.errors import VenueError
from lab.core.frames import BAR_COLUMNS, TS
from lab.core.panel import Panel
from lab.core.settings.quality import QualitySettings
from lab.core.timeframe import Timeframe
from lab.data.panels import panel_from_bars
from lab.data.quality import mark
from lab.risk import MEASURE_BARS
from lab.strategies import Portfolio
from live_bridge.config import LoadedConfig
from live_bridge.exchange import Candle, MarketData

__all__ = ["Answer", "fetch_bars", "marked_bars", "panel_of"]


@dataclass(frozen=True, slots=True)
class Answer:
    """Bars of one symbol as received: those that open in ``[start, end)``, all complete."""

    symbol: str
    timeframe: Timeframe
    start: datetime
    end: datetime
    candles: tuple[Candle, ...]


def fetch_bars(
    market: MarketData, loaded: LoadedConfig, portfolio: Portfolio, now: datetime
) -> dict[tuple[str, str], Answer]:
    """Ask for the bars that a portfolio's instances need to decide at their last complete bars.

    Parameters
    ----------
    market : MarketData
        The exchange.
    loaded : LoadedConfig
        Says which symbol a market trades as, and how bars are judged.
    portfolio : Portfolio
        Its instances, and how far back their record and their holds are looked at.
    now : datetime
        Exchange time; a bar counts when ``ts + timeframe <= now``.

    Returns
    -------
    dict of (symbol, timeframe) to Answer
        Each reaches back by what the timeframe's instances need (``Portfolio.bars_needed``), on the finest
        one by what limits look at, and by the bars before it that quality marks depend on.
    """
    depth: dict[tuple[str, str], int] = {}
    context = loaded.quality.context_bars
    for instance in portfolio.instances:
        for name in instance.markets:
            key = (loaded.settings.symbol(name), instance.timeframe.name)
            depth[key] = max(depth.get(key, 0), portfolio.bars_needed(instance) + context)
    for name in portfolio.markets:
        key = (loaded.settings.symbol(name), portfolio.timeframe.name)
        depth[key] = max(depth.get(key, 0), MEASURE_BARS + 1 + context)
    answers = {}
    for (symbol, name), bars in depth.items():
        timeframe = Timeframe.parse(name)
        last = timeframe.last_complete(now)
        start, end = timeframe.open_time(last - bars + 1), timeframe.open_time(last + 1)
        candles = _with_head(market, symbol, timeframe, start, end)
        answers[symbol, name] = Answer(symbol, timeframe, start, end, candles)
    return answers


def _with_head(
    market: MarketData, symbol: str, timeframe: Timeframe, start: datetime, end: datetime
) -> tuple[Candle, ...]:
    """Return the bars in ``[start, end)``; a head is missing only if the exchange, asked again, says so."""
    candles = tuple(market.candles(symbol, timeframe, start=start, end=end))
    first = candles[0].ts if candles else end
    while first > start:
        # A truncated answer looks like a new listing, and a new listing can mean a sale.
        head = tuple(market.candles(symbol, timeframe, start=start, end=first))
        if not head:
            break
        if head[0].ts < start or head[-1].ts >= first:
            raise VenueError(
                f"{symbol} {timeframe}: asked for the bars from {start} to {first}, the exchange answered "
                f"{head[0].ts} to {head[-1].ts}; try again, nothing was decided"
            )
        candles, first = head + candles, head[0].ts
    return candles


def marked_bars(
    answers: Mapping[tuple[str, str], Answer],
    markets: Mapping[str, str],
    timeframe: Timeframe,
    quality: QualitySettings,
) -> pl.DataFrame:
    """Return the received bars of `timeframe` with quality marks, as a long frame.

    Parameters
    ----------
    answers : mapping
        As :func:`fetch_bars` returns it.
    markets : mapping of str to str
        Market name to the symbol it trades as.
    timeframe : Timeframe
        Whose bars.
    quality : QualitySettings
        How they are judged.
    """
    rows = [
        (candle.ts, name, *candle[1:])
        for name, symbol in markets.items()
        for candle in (answers[symbol, timeframe.name].candles if (symbol, timeframe.name) in answers else ())
    ]
    schema: dict[str, Any] = {"ts": TS, "market": pl.String, **dict.fromkeys(BAR_COLUMNS, pl.Float64)}
    return mark(pl.DataFrame(rows, schema=schema, orient="row"), timeframe, quality)


def panel_of(
    marked: pl.DataFrame, timeframe: Timeframe, markets: Sequence[str], quality: QualitySettings
) -> Panel:
    """Return the panel of an instance's markets, in its order."""
    return panel_from_bars(marked, timeframe=timeframe, markets=markets, settings=quality)
