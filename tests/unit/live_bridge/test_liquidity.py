"""A tick screens thin markets with the lab's own function, says so in its record, and is derived again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab.strategies import load
from live_bridge.journal import Journal
from live_bridge.recorded import RecordedMarket
from live_bridge.replay import replay
from tests.unit.live_bridge.conftest import tick
from tests.unit.live_bridge.test_parity import weights_of_the_lab

MarketAt = Callable[..., RecordedMarket]
BTC, ETH = "binance:BTC/USDT", "binance:ETH/USDT"


@pytest.fixture
def thin(bridge: Path, market_at: MarketAt) -> Callable[[int], RecordedMarket]:
    """The small portfolio with a least volume, on an exchange where ETH is a tenth of BTC."""
    path = bridge.parent / "trend.yaml"
    path.write_text(path.read_text() + "liquidity: {min_daily_volume: 1000, window_days: 25}\n")

    def make(day: int) -> RecordedMarket:
        market = market_at(day)
        bars = dict(market.bars)
        bars["ETH/USDT", "1d"] = [c._replace(volume=c.volume / 10) for c in bars["ETH/USDT", "1d"]]
        return RecordedMarket(market.time, market.listed, bars, market.last)

    return make


def decided(bridge: Path) -> list[dict]:
    state = bridge.parent / "data/live/main.sqlite"
    with Journal(state, account="main", portfolio="small") as journal:
        return [event.body for event in journal.events() if event.kind == "DECIDED"]


def test_a_thin_market_is_not_entered_and_the_record_says_why(
    bridge: Path, thin: Callable[[int], RecordedMarket]
) -> None:
    expected = weights_of_the_lab(bridge, thin(400))
    days = [int(np.flatnonzero(expected[:300, 0] > 0)[-1]) + 1, 400]
    told = [tick(bridge, thin(day)) for day in days]
    for document, day in zip(told, days, strict=True):
        found = {entry["market"]: entry["weight_hex"] for entry in document["decisions"]}
        assert found == {
            name: float(weight).hex() for name, weight in zip((BTC, ETH), expected[day - 1], strict=True)
        }
        assert found[ETH] == (0.0).hex()
        reasons = {entry["market"]: "ILLIQUID" in entry["reasons"] for entry in document["decisions"]}
        assert reasons == {BTC: False, ETH: True}
    assert {order["symbol"] for order in told[0]["orders"]} == {"BTC/USDT"}
    version = load(bridge.parent / "trend.yaml").strategy.version
    for body in decided(bridge):
        record = body["liquidity"]
        assert (float.fromhex(record["min_daily_volume"]), record["window_days"]) == (1000.0, 25)
        assert record["blocked"] == [ETH]
        assert float.fromhex(record["found"][BTC]) > 1000.0 > float.fromhex(record["found"][ETH]) > 0
        assert body["family_version"] == version
    for document in told:
        again, code = replay(bridge, document["tick"], root=bridge.parent)
        assert (code, again["identical"]) == (0, True)


def test_a_decision_without_the_section_has_no_word_of_it(bridge: Path, market_at: MarketAt) -> None:
    tick(bridge, market_at(200))
    assert all("liquidity" not in body for body in decided(bridge))
