"""The bridge wants what the portfolio's backtest wants, to the bit, holds and shares included."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.data.quality import default_settings
from lab.strategies import load_portfolio
from live_bridge.bars import Answer, marked_bars, panel_of
from live_bridge.exchange import Candle, Rules
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run

START = datetime(2023, 1, 2, tzinfo=UTC)
FIRST, TICKS = 1_500, 90  # bars of 4h before the first tick, and ticks
SYMBOLS = ("BTC/USDT", "ETH/USDT")

INSTANCE = """
family: {family}
strategy_id: {name}
version: 1.0.0
mode: paper
timeframe: {timeframe}
markets: [{markets}]
parameters: {parameters}
priority: {priority}
risk: {{max_position_pct: {largest}}}
"""
BTC, ETH = ("{exchange: binance, symbol: " + symbol + "}" for symbol in SYMBOLS)
INSTANCES = {
    "daily": ("time_series_momentum", "1d", f"{BTC}, {ETH}", "{lookback_window: 20, vol_window: 10}", 1, 0.9),
    "quick": ("ma_breakout", "4h", f"{ETH}, {BTC}", "{}", 2, 1.0),
    "third": ("time_series_momentum", "4h", ETH, "{lookback_window: 30, vol_window: 12}", 2, 0.8),
}
PORTFOLIO = """
portfolio_id: shared
reference_currency: USDT
capital: 10000
hold_bars: 5
instances:
  - {{config: daily.yaml, allocation: 0.4}}
  - {{config: quick.yaml, allocation: 0.4}}
  - {{config: third.yaml, allocation: 0.2}}
allocation: {allocation}
risk: {{max_weight_per_asset: 0.45}}
"""
BRIDGE = "{account: main, exchange: {id: binance}, mode: paper, portfolio: shared.yaml}"


def candles(symbol: str, timeframe: Timeframe, count: int) -> list[Candle]:
    rng = np.random.default_rng([7, SYMBOLS.index(symbol), timeframe.seconds])
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0005, 0.02, count)))
    rows = []
    for i, price in enumerate(close):
        ts = START + i * timeframe.duration
        # Holes of one to four bars in one market of the quick timeframe: keeps, and keeps that lapse.
        if timeframe.name == "4h" and symbol == "ETH/USDT" and i % 37 in range(20, 20 + (i // 37) % 8):
            continue
        spread = float(rng.uniform(0.001, 0.01))
        prices = (price * (1 - spread / 3), price * (1 + spread), price * (1 - spread), price)
        rows.append(Candle(ts, *map(float, prices), 9.0))
    return rows


def write(folder: Path, allocation: str) -> Path:
    for name, (family, timeframe, markets, parameters, priority, largest) in INSTANCES.items():
        text = INSTANCE.format(
            family=family,
            name=name,
            timeframe=timeframe,
            markets=markets,
            parameters=parameters,
            priority=priority,
            largest=largest,
        )
        (folder / f"{name}.yaml").write_text(text)
    (folder / "shared.yaml").write_text(PORTFOLIO.format(allocation=allocation))
    (folder / "bridge.yaml").write_text(BRIDGE)
    return folder / "bridge.yaml"


@pytest.mark.parametrize(
    "allocation",
    ["{method: static}", "{method: adaptive, window_bars: 40, rebalance_bars: 10, strength: 0.5}"],
    ids=["static", "adaptive"],
)
def test_every_tick_wants_the_row_of_the_backtest(tmp_path: Path, allocation: str) -> None:
    config = write(tmp_path, allocation)
    portfolio = load_portfolio(tmp_path / "shared.yaml")
    frames = {name: Timeframe.parse(name) for name in ("1d", "4h")}
    total = FIRST + TICKS
    bars = {
        (symbol, name): candles(symbol, frame, total // (6 if name == "1d" else 1))
        for symbol in SYMBOLS
        for name, frame in frames.items()
    }
    expected = portfolio.decide([panel(one, bars) for one in portfolio.instances])
    row_of = {int(number): row for row, number in enumerate(expected.bar)}
    compared, kept = 0, 0
    for tick in range(TICKS):
        now = START + (FIRST + tick) * frames["4h"].duration + timedelta(seconds=1)
        document, code = run(config, root=tmp_path, connect=lambda _, now=now: market(bars, now))
        # 3: the bars of one instance are more than one behind; the others decide all the same.
        assert code in {0, 3}
        if not document["acted"]:
            # A bar that no market published is waited for.
            continue
        row = expected.weights[row_of[frames["4h"].last_complete(now)]]
        wanted = {target["symbol"]: target["wanted"] for target in document["targets"]}
        for name, weight in zip(expected.markets, row, strict=True):
            found = wanted[name.split(":")[1]]
            assert (found is None) == math.isnan(weight), (tick, name, found, weight)
            assert found is None or found.hex() == float(weight).hex(), (tick, name)
            compared += found is not None
            kept += found is None
    assert compared > 100
    assert kept > 2


def panel(instance: Any, bars: dict[tuple[str, str], list[Candle]]) -> Panel:
    timeframe, settings = instance.timeframe, default_settings()
    names = {name: name.split(":")[1] for name in instance.markets}
    answers = {
        (symbol, timeframe.name): Answer(symbol, timeframe, START, START, tuple(bars[symbol, timeframe.name]))
        for symbol in names.values()
    }
    marked = marked_bars(answers, names, timeframe, settings)
    return panel_of(marked, timeframe, instance.markets, settings)


def market(bars: dict[tuple[str, str], list[Candle]], now: datetime) -> RecordedMarket:
    rules = {symbol: Rules(symbol, symbol[:3], "USDT", step=Decimal("0.00001")) for symbol in SYMBOLS}
    closed = {
        key: [bar for bar in rows if bar.ts + Timeframe.parse(key[1]).duration <= now]
        for key, rows in bars.items()
    }
    last = {symbol: Decimal(repr(closed[symbol, "4h"][-1].close)) for symbol in SYMBOLS}
    return RecordedMarket(now, rules, closed, last)
