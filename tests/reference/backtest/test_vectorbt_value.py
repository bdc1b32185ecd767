"""Equity against vectorbt's own ``value()``, which shares no code with either account of ours."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.backtest import run_backtest
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.data.synthetic import synthetic_market


@pytest.mark.parametrize("risk", [None, RiskSettings(max_position_pct=0.4, rebalance_band_pct=0.05)])
def test_equity_is_what_vectorbt_values_the_account_at(risk):
    bars = synthetic_market(markets=3, bars=250, timeframe="1d", seed=11).filter(pl.col("close") > 0)
    bars = bars.unique(["ts", "market"], keep="last").sort("ts", "market")
    draws = np.random.default_rng(11).random(bars.height)
    weights = bars.select("ts", "market", weight=pl.Series(draws / 3.0))
    result = run_backtest(bars, weights, costs=Costs(), risk=risk, engine="both")
    theirs = result.to_vectorbt().value().to_numpy().ravel()
    np.testing.assert_allclose(result.equity["equity"].to_numpy(), theirs, rtol=1e-9)
    assert result.engine_difference is not None
    assert result.engine_difference <= 1e-12
