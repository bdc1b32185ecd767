"""A small portfolio on invented bars, and an exchange that answers from memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from live_bridge.exchange import Candle, Rules
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run
from tests.oracle.portfolios import UNLIMITED

START = datetime(2023, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)

MOMENTUM = """
family: time_series_momentum
strategy_id: trend
version: 1.0.0
mode: paper
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}, {exchange: binance, symbol: ETH/USDT}]
parameters: {lookback_window: 20, vol_window: 10}
"""
PORTFOLIO = f"""
portfolio_id: small
reference_currency: USDT
capital: 10000
instances:
  - {{config: trend.yaml, allocation: 1.0}}
{UNLIMITED}
"""
BRIDGE = """
account: main
exchange: {id: binance}
mode: paper
portfolio: small.yaml
state: data/live/main.sqlite
"""


def candle(day: int, shift: float) -> Candle:
    close = 100.0 + 0.3 * day + 4.0 * math.sin(day * 1.7 + shift)
    return Candle(START + day * DAY, close - 0.5, close + 1.0, close - 1.0, close, 10.0 + day % 7)


def tick(bridge: Path, market: RecordedMarket) -> dict[str, Any]:
    """Run a tick that must end well."""
    document, code = run(bridge, root=bridge.parent, connect=lambda _: market)
    assert code == 0
    return document


@pytest.fixture
def bridge(tmp_path: Path) -> Path:
    """The path of a bridge.yaml with its portfolio and instance beside it."""
    for name, text in (("trend", MOMENTUM), ("small", PORTFOLIO), ("bridge", BRIDGE)):
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path / "bridge.yaml"


@pytest.fixture
def market_at() -> Callable[..., RecordedMarket]:
    """``market_at(day, bars=None)``: one second after the open of a day, with all complete bars."""

    def make(day: int, *, bars: int | None = None) -> RecordedMarket:
        shifts = {"BTC/USDT": 0.0, "ETH/USDT": 1.0}
        rules = {
            symbol: Rules(
                symbol,
                symbol[:3],
                "USDT",
                step=Decimal("0.001"),
                tick=Decimal("0.01"),
                min_quantity=Decimal("0.001"),
                min_notional=Decimal(10),
            )
            for symbol in shifts
        }
        count = day if bars is None else bars
        series = {
            # The running bar of the day is there too, as on an exchange: nobody may use it.
            (symbol, "1d"): [*(candle(i, shift) for i in range(count)), candle(day, shift)]
            for symbol, shift in shifts.items()
        }
        prices = {symbol: Decimal(str(candle(day, shift).open)) for symbol, shift in shifts.items()}
        return RecordedMarket(START + day * DAY + timedelta(seconds=1), rules, series, prices)

    return make
