"""At every bar the bridge decides what the backtest decided there, bit for bit, for every family."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from lab.data.panels import panel_from_bars
from lab.data.quality import default_settings, mark
from lab.data.synthetic import synthetic_market, synthetic_names
from lab.strategies import load_portfolio
from live_bridge.bars import fetch_bars
from live_bridge.config import load_config
from live_bridge.decisions import decide_all
from live_bridge.exchange import Candle
from live_bridge.recorded import RecordedMarket

SEED = 11
BARS = 1_700
MARKETS = synthetic_names(4)
# Those that read funding or on-chain series are refused by the bridge, with a message.
FAMILIES = (
    "cross_sectional_momentum",
    "dual_momentum",
    "ensemble",
    "ma_breakout",
    "mean_reversion",
    "time_series_momentum",
)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Bars with outages, late listings and an early end: the hard cases of every window."""
    return synthetic_market(seed=SEED, markets=4, bars=BARS, outages=3, late=0.25)


@pytest.fixture(scope="module")
def candles(bars: pl.DataFrame) -> dict[str, list[Candle]]:
    rows = bars.select("market", "ts", "open", "high", "low", "close", "volume").rows()
    found: dict[str, list[Candle]] = {name: [] for name in MARKETS}
    for market, *row in rows:
        found[market].append(Candle(*row))
    return found


def configured(folder: Path, family: str) -> Path:
    markets = [{"exchange": "synthetic", "symbol": name.partition(":")[2]} for name in MARKETS]
    instance = {
        "family": family, "strategy_id": "one", "version": "1.0.0", "mode": "paper", "timeframe": "1d",
        "markets": markets, "parameters": {},
    }  # fmt: skip
    portfolio = {
        "portfolio_id": "all", "reference_currency": "USDT", "capital": 10_000,
        "instances": [{"config": "one.yaml", "allocation": 1.0}],
    }  # fmt: skip
    bridge = {"market_map": {name: name.partition(":")[2] for name in MARKETS}, "portfolio": "all.yaml"}
    for name, document in (("one", instance), ("all", portfolio), ("bridge", bridge)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return folder / "bridge.yaml"


@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "long"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_bridge_decides_what_the_backtest_decided(
    family: str,
    count: int,
    bars: pl.DataFrame,
    candles: dict[str, list[Candle]],
    tmp_path: Path,
    tally: Callable[..., None],
) -> None:
    loaded = load_config(configured(tmp_path, family), root=tmp_path)
    portfolio = load_portfolio(loaded.portfolio)
    instance = portfolio.instances[0]
    panel = panel_from_bars(mark(bars, "1d", default_settings()), timeframe="1d", markets=instance.markets)
    expected = instance.decide(panel)
    rows = np.linspace(BARS - 1_000, BARS - 1, count).astype(int)
    mismatches = []
    decided = 0
    for row in rows:
        now = instance.timeframe.open_time(int(panel.bar[row]) + 1) + timedelta(seconds=1)
        known = {
            (name.partition(":")[2], "1d"): [candle for candle in series if candle.ts < now]
            for name, series in candles.items()
        }
        market = RecordedMarket(now, bars=known)
        answers = fetch_bars(market, loaded, portfolio, now)
        found = decide_all(portfolio, [instance], answers, loaded, now)
        for decision in found.decisions:
            decided += 1
            ours = np.array([decision.weights[name] for name in instance.markets])
            if ours.tobytes() != expected[row].tobytes():
                mismatches.append((int(row), ours.tolist(), expected[row].tolist()))
    tally(f"bars of {family}, bridge against backtest", cases=decided, failed=len(mismatches), seed=SEED)
    assert mismatches == []
    # A bar of an outage is not published, so that nothing is decided there.
    assert decided > 0.9 * count
    assert np.nansum(expected[rows]) > 0
