"""The shipped instances on the bundled bars and on the 33 recorded pairs: bounded memory, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lab.core.errors import InsufficientHistoryError
from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.demo import install
from lab.data.panels import panel_from_bars
from lab.strategies import StrategyInstance, decide, load, signal_of
from lab.validation.causality import certify

RESEARCH = Path(__file__).parents[3] / "research" / "strategies"
DEMO = ["demo_tsm_1d", "demo_dual_momentum_1d", "demo_mean_reversion_1h"]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("root")
    install(root)
    return Catalog(root)


def bundled(catalog: Catalog, name: str) -> tuple[StrategyInstance, Panel]:
    instance = load(RESEARCH / f"{name}.yaml")
    bars = catalog.bars(instance.markets, instance.timeframe)
    return instance, panel_from_bars(bars, timeframe=instance.timeframe, markets=instance.markets)


@pytest.mark.parametrize("name", DEMO)
def test_weights_hold_to_the_last_bit(catalog: Catalog, name: str) -> None:
    instance, panel = bundled(catalog, name)
    part = panel.tail(2_000)

    def wanted(bars: Panel, params: Any) -> np.ndarray:
        return decide(instance.strategy, bars, params)

    certificate = certify(wanted, part, instance.params, lookback=instance.lookback)
    assert certificate.ok, certificate.findings
    assert certificate.bars_checked == len(part) - instance.lookback + 1
    assert certificate.lookback_measured == instance.lookback


@pytest.mark.parametrize("name", DEMO)
def test_signals_alone_hold_too(catalog: Catalog, name: str) -> None:
    instance, panel = bundled(catalog, name)
    signal = signal_of(instance.strategy, markets=len(panel.markets))
    certificate = certify(
        signal,
        panel.tail(400),
        instance.params,
        lookback=instance.lookback,
        per_market=instance.strategy.per_market,
    )
    assert certificate.ok, certificate.findings


@pytest.mark.parametrize("name", DEMO)
def test_every_demo_instance_trades(catalog: Catalog, name: str) -> None:
    instance, panel = bundled(catalog, name)
    instance.require_history(panel)
    weights = instance.decide(panel)
    last = weights[-1]
    assert not np.isnan(last).any()
    assert 0.02 < (np.nan_to_num(weights).sum(axis=1) > 0).mean() < 0.98


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name", ["binance_tsm_33_1d", "binance_dual_momentum_33_1d", "binance_mean_reversion_33_1d"]
)
def test_33_pairs(real_data: Path, name: str) -> None:
    instance = load(RESEARCH / f"{name}.yaml")
    frame = pl.read_parquet(real_data / "binance_spot_1d.parquet").select(
        pl.col("ts").dt.cast_time_unit("us"), ("binance:" + pl.col("symbol")).alias("market"), "close"
    )
    panel = Panel.from_frame(frame, timeframe="1d").select(instance.markets)
    instance.require_history(panel)
    weights = instance.decide(panel)
    ends = np.random.default_rng(0).integers(instance.lookback, len(panel) + 1, 100)
    for end in (instance.lookback, *ends, len(panel)):
        last = instance.decide(panel.rows(end - instance.lookback, end))[-1]
        assert last.tobytes() == weights[end - 1].tobytes()
    with pytest.raises(InsufficientHistoryError, match=r"binance:\w+/USDT 1d needs \d+ bars, \d+ available"):
        instance.require_history(panel.tail(instance.lookback - 1))
