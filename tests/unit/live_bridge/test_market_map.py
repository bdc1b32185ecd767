"""A map of markets that changes under a journal, or names symbols of another currency."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from lab.core.errors import ConfigError
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run, status

MarketAt = Callable[..., RecordedMarket]


def mapped(bridge: Path, name: str, symbol: str) -> None:
    bridge.write_text(bridge.read_text() + f'market_map: {{"{name}": "{symbol}"}}\n')


def tick(bridge: Path, market: RecordedMarket) -> tuple[dict, int]:
    return run(bridge, root=bridge.parent, connect=lambda _: market)


def with_symbol(market: RecordedMarket, symbol: str, like: str) -> RecordedMarket:
    """List another symbol that has the rules, bars and price of one there is."""
    return replace(
        market,
        listed={
            **market.listed,
            symbol: replace(market.listed[like], symbol=symbol, base=symbol.partition("/")[0]),
        },
        bars={**market.bars, (symbol, "1d"): market.bars[like, "1d"]},
        last={**market.last, symbol: Decimal(market.last[like])},
    )


def test_a_symbol_of_another_currency_is_refused_before_anything_is_written(
    bridge: Path, market_at: MarketAt
) -> None:
    mapped(bridge, "binance:BTC/USDT", "BTC/USDC")
    with pytest.raises(ConfigError, match="trades as BTC/USDC, and small counts in USDT"):
        tick(bridge, market_at(200))
    assert not (bridge.parent / "data/live/main.sqlite").exists()


def test_what_is_held_cannot_move_to_another_symbol(bridge: Path, market_at: MarketAt) -> None:
    document, _ = tick(bridge, market_at(200))
    held = {entry["symbol"] for entry in document["state"]["positions"]}
    assert "BTC/USDT" in held
    before = status(bridge, root=bridge.parent)
    text = bridge.read_text()
    mapped(bridge, "binance:BTC/USDT", "WBTC/USDT")
    market = with_symbol(market_at(201), "WBTC/USDT", "BTC/USDT")
    with pytest.raises(ConfigError, match=r"market_map: .* traded as BTC/USDT, which is held"):
        tick(bridge, market)
    bridge.write_text(text)
    assert status(bridge, root=bridge.parent)["journal"] == before["journal"]
    assert tick(bridge, market_at(201))[1] == 0


def test_what_is_not_held_may_move_and_that_is_noted(bridge: Path, market_at: MarketAt) -> None:
    trend = bridge.parent / "trend.yaml"
    trend.write_text(trend.read_text() + "risk: {max_position_pct: 0.0001}\n")
    document, _ = tick(bridge, market_at(200))
    assert document["state"]["positions"] == []
    mapped(bridge, "binance:BTC/USDT", "WBTC/USDT")
    document, code = tick(bridge, with_symbol(market_at(201), "WBTC/USDT", "BTC/USDT"))
    assert code == 0
    assert {entry["symbol"] for entry in document["decisions"]} == {"WBTC/USDT", "ETH/USDT"}
    assert any("symbols.binance:BTC/USDT: 'BTC/USDT' -> 'WBTC/USDT'" in text for text in document["reasons"])
