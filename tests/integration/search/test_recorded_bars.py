"""The search on recorded bars of 33 pairs: listings at different times, gaps, one dead market."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from lab.core.panel import Panel
from lab.search import Ledger, walk_forward
from lab.strategies import load
from lab.validation.splits import WalkForward

pytestmark = [pytest.mark.real_data, pytest.mark.integration]

INSTANCE = """
family: dual_momentum
strategy_id: recorded
version: 1.0.0
timeframe: 1d
markets:
MARKETS
parameters: {lookback_window: 60, top_k: 3, rebalance_bars: 7}
risk: {max_position_pct: 0.4, rebalance_band_pct: 0.02}
costs: {preset: base}
search: {sampler: tpe}
"""


@pytest.fixture
def recorded(real_data, tmp_path):
    """Panel of the last 1,000 days, and an instance on all its markets."""
    bars = pl.read_parquet(real_data / "binance_spot_1d.parquet")
    symbol = pl.col("symbol").str.replace(r"^([^/]+?)/?USDT$", "$1/USDT")
    frame = bars.select(
        pl.col("ts").cast(pl.Datetime("us", "UTC")),
        pl.format("binance:{}", symbol).alias("market"),
        "open",
        "high",
        "low",
        "close",
        "volume",
    )
    panel = Panel.from_frame(frame, timeframe="1d").tail(1_000)
    assert len(panel.markets) == 33
    rows = "".join(f"  - {{exchange: binance, symbol: {m.split(':')[1]}}}\n" for m in panel.markets)
    path = tmp_path / "recorded.yaml"
    path.write_text(INSTANCE.replace("MARKETS\n", rows))
    return panel, load(path)


def test_vectorbt_searches_too_and_picks_the_same_winners(recorded):
    panel, instance = recorded
    fused, slow = (
        walk_forward(instance, panel, splitter=WalkForward(365, 150, 1, 5), trials=16, seed=7, engine=engine)
        for engine in ("fused", "vectorbt")
    )
    names = [name for name in fused.trials.columns if name.startswith("parameter_")]
    assert slow.folds.select(names).equals(fused.folds.select(names))
    assert slow.trials.select(names).equals(fused.trials.select(names))
    np.testing.assert_allclose(slow.trials["sharpe"], fused.trials["sharpe"], rtol=1e-9, atol=1e-12)


def test_engines_agree_on_33_pairs_and_a_second_search_is_the_same(recorded, tmp_path):
    panel, instance = recorded
    found = [
        walk_forward(
            instance,
            panel,
            splitter=WalkForward(365, 90, 1, 5),
            trials=16,
            seed=7,
            workers=2,
            ledger=Ledger(tmp_path),
        )
        for _ in range(2)
    ]
    assert found[0].engine_difference <= 1e-9
    assert found[0].status == "OK"
    assert found[0].oos.orders.height > 50
    assert_frame_equal(found[0].trials, found[1].trials, check_exact=True)
    assert_frame_equal(found[0].oos.equity, found[1].oos.equity, check_exact=True)
    assert found[0].deflated_sharpe == found[1].deflated_sharpe
    assert found[0].n_trials == found[1].n_trials
