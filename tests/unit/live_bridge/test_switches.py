"""Feature flags let positions be reduced and none be entered; live wants markets discovered within a day."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import DataError
from lab.data.flags import set_flag
from lab.strategies import load_portfolio
from live_bridge.config import load_config
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run
from live_bridge.switches import require_discovery
from tests.unit.live_bridge.conftest import DAY, START

MarketAt = Callable[..., RecordedMarket]
OFF = START + 150 * DAY


def targets(bridge: Path, market: RecordedMarket) -> dict[str, dict[str, Any]]:
    document, code = run(bridge, root=bridge.parent, connect=lambda _: market)
    assert code == 0
    return {target["symbol"]: target for target in document["targets"]}


@pytest.mark.parametrize(
    ("scope", "blocked"),
    [
        ({"market": "binance:BTC/USDT"}, {"BTC/USDT"}),
        ({"exchange": "binance"}, {"BTC/USDT", "ETH/USDT"}),
        ({"family": "time_series_momentum", "timeframe": "1d"}, {"BTC/USDT", "ETH/USDT"}),
        ({"instance": "trend", "market": "binance:ETH/USDT"}, {"ETH/USDT"}),
        ({"timeframe": "1h"}, set()),
        ({"switch": "peg"}, {"BTC/USDT", "ETH/USDT"}),
        ({"switch": "peg", "market": "binance:ETH/USDT"}, {"ETH/USDT"}),
        ({"switch": "funding"}, set()),
    ],
)
def test_a_flag_allows_no_entry(
    bridge: Path, market_at: MarketAt, scope: dict[str, str], blocked: set[str]
) -> None:
    path = bridge.parent / "trend.yaml"
    path.write_text(path.read_text() + "flags: [peg, weekend]\n")
    set_flag(bridge.parent, scope, enabled=False, at=OFF, by="ada", reason="incident")
    found = targets(bridge, market_at(200))
    assert {symbol for symbol, target in found.items() if "FLAGGED" in target["reasons"]} == blocked
    assert all(found[symbol]["permitted"] is None for symbol in blocked)
    assert all(found[symbol]["permitted"] > 0 for symbol in found.keys() - blocked)


def test_a_flag_lets_a_position_be_reduced_and_acts_from_its_time_on(
    bridge: Path, market_at: MarketAt
) -> None:
    before = targets(bridge, market_at(200))
    assert before["BTC/USDT"]["permitted"] > 0
    at = START + 200 * DAY + timedelta(hours=1)
    set_flag(bridge.parent, {"instance": "trend"}, enabled=False, at=at, by="ada", reason="incident")
    for day in range(201, 260):
        for target in targets(bridge, market_at(day)).values():
            assert target["permitted"] is None or target["permitted"] <= target["held"]


def test_flags_that_cannot_be_read_stop_the_tick(bridge: Path, market_at: MarketAt) -> None:
    folder = bridge.parent / "data" / "flags"
    folder.mkdir(parents=True)
    (folder / "flags.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read as flags"):
        targets(bridge, market_at(200))


def test_live_wants_a_discovery_of_the_last_day_except_on_this_machine(bridge: Path) -> None:
    loaded = load_config(bridge, root=bridge.parent)
    portfolio = load_portfolio(loaded.portfolio)
    with pytest.raises(DataError, match="none found, expected a discovery of the last"):
        require_discovery(bridge.parent, portfolio, loaded.settings, OFF)
    text = bridge.read_text()
    bridge.write_text(text.replace("{id: binance}", json.dumps({"base_url": "http://127.0.0.1:1"})))
    loaded = load_config(bridge, root=bridge.parent)
    require_discovery(bridge.parent, portfolio, loaded.settings, OFF)
