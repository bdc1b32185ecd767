"""Live equals backtest where histories are not the same length: late listings, and holes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.data.quality import default_settings
from lab.strategies import load
from live_bridge.bars import Answer, marked_bars, panel_of
from live_bridge.exchange import Candle
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run
from tests.unit.live_bridge.conftest import DAY, START

MarketAt = Callable[..., RecordedMarket]
Keep = Callable[[Candle], bool]


def without(market: RecordedMarket, symbol: str, keep: Keep) -> RecordedMarket:
    bars = {key: [c for c in rows if key[0] != symbol or keep(c)] for key, rows in market.bars.items()}
    return RecordedMarket(market.time, market.listed, bars, market.last)


def weights_of_the_lab(
    bridge: Path, market: RecordedMarket
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """What the lab decides on the whole history, as the store would hold it."""
    instance = load(bridge.parent / "trend.yaml")
    answers = {
        (symbol, "1d"): Answer(symbol, instance.timeframe, START, market.time, tuple(rows[:-1]))
        for (symbol, _), rows in market.bars.items()
    }
    names = {name: name.split(":")[1] for name in instance.markets}
    marked = marked_bars(answers, names, instance.timeframe, default_settings())
    return instance.decide(panel_of(marked, instance.timeframe, instance.markets, default_settings()))


def decided(bridge: Path, market: RecordedMarket) -> dict[str, str | None]:
    (bridge.parent / "data" / "live" / "main.sqlite").unlink(missing_ok=True)
    document, code = run(bridge, root=bridge.parent, connect=lambda _: market)
    assert code == 0, document
    return {decision["market"]: decision["weight_hex"] for decision in document["decisions"]}


@pytest.mark.parametrize("day", [301, 305, 319, 320, 321, 322, 340, 405])
def test_a_late_listing_decides_as_in_the_backtest(bridge: Path, market_at: MarketAt, day: int) -> None:
    market = without(market_at(day), "ETH/USDT", lambda candle: candle.ts >= START + 300 * DAY)
    expected = weights_of_the_lab(bridge, market)[-1]
    found = decided(bridge, market)
    for weight, name in zip(expected, load(bridge.parent / "trend.yaml").markets, strict=True):
        assert found[name] == (None if np.isnan(weight) else float(weight).hex())
    assert not np.isnan(expected[0])


@pytest.mark.parametrize("day", [331, 332, 350, 351, 352, 400, 460])
def test_a_long_hole_decides_as_in_the_backtest(bridge: Path, market_at: MarketAt, day: int) -> None:
    def outside(candle: Candle) -> bool:
        return not START + 200 * DAY <= candle.ts < START + 330 * DAY

    market = without(market_at(day), "ETH/USDT", outside)
    expected = weights_of_the_lab(bridge, market)[-1]
    found = decided(bridge, market)
    for weight, name in zip(expected, load(bridge.parent / "trend.yaml").markets, strict=True):
        assert found[name] == (None if np.isnan(weight) else float(weight).hex())


def test_a_journal_in_another_currency_is_refused(bridge: Path, market_at: MarketAt) -> None:
    run(bridge, root=bridge.parent, connect=lambda _: market_at(200))
    for name, old, new in (("small", "USDT", "USDC"), ("trend", "/USDT", "/USDC")):
        path = bridge.parent / f"{name}.yaml"
        path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match="counts in USDT, the portfolio in USDC"):
        run(bridge, root=bridge.parent, connect=lambda _: market_at(201))
