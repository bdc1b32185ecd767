"""A tick of an instance that reads coarser bars decides as the lab does on the whole history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.strategies import load
from live_bridge.recorded import RecordedMarket
from live_bridge.replay import replay
from tests.unit.live_bridge.conftest import tick
from tests.unit.live_bridge.test_parity import weights_of_the_lab

MarketAt = Callable[..., RecordedMarket]
PARAMETERS = """\
parameters:
  quorum: 1.0
  members:
    - {family: time_series_momentum, parameters: {lookback_window: 5, vol_window: 10}, weight: 0.5}
    - {family: time_series_momentum, timeframe: 1w, parameters: {lookback_window: 4}, weight: 0.5}
auxiliary_timeframes: [1w]
"""


def test_weeks_made_of_days_decide_as_in_the_backtest(bridge: Path, market_at: MarketAt) -> None:
    path = bridge.parent / "trend.yaml"
    head = path.read_text().replace("time_series_momentum", "ensemble").partition("parameters:")[0]
    path.write_text(head + PARAMETERS)
    expected = weights_of_the_lab(bridge, market_at(330))
    assert len(np.unique(expected[300:330])) > 10
    markets = load(path).markets
    for day in (300, 303, 306, 307, 330):
        document = tick(bridge, market_at(day))
        found = {entry["market"]: entry["weight_hex"] for entry in document["decisions"]}
        assert found == {
            name: float(weight).hex() for name, weight in zip(markets, expected[day - 1], strict=True)
        }
        again, code = replay(bridge, document["tick"], root=bridge.parent)
        assert (code, again["identical"]) == (0, True)
