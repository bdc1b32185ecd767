"""On recorded bars of 33 pairs, every feature from its last bars alone equals the full history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import (
    atr,
    deviation,
    ema,
    highest,
    lowest,
    mean,
    simple_return,
    total,
    volatility,
    zscore,
)
from lab.validation.causality import certify_feature

FEATURES = (
    total("volume", 30),
    mean("close", 50),
    deviation("close", 20),
    zscore("close", 48),
    highest("high", 55),
    lowest("low", 20),
    ema("close", 12),
    simple_return("close", 90),
    volatility(20),
    atr(14),
)


@pytest.fixture(scope="module")
def daily(real_data: Path) -> Panel:
    frame = pl.read_parquet(real_data / "binance_spot_1d.parquet")
    renamed = frame.with_columns(
        pl.col("ts").dt.cast_time_unit("us").dt.convert_time_zone("UTC"),
        market="binance:" + pl.col("symbol"),
    )
    return Panel.from_frame(renamed.drop("symbol"), timeframe="1d")


@pytest.mark.real_data
@pytest.mark.parametrize("feature", FEATURES, ids=str)
def test_certificate_on_recorded_daily_bars(daily: Panel, feature: Feature) -> None:
    certificate = certify_feature(feature, daily)
    assert certificate.findings == ()
    assert certificate.bars_checked == len(daily) - feature.lookback + 1
    assert certificate.bars_checked > 1_500
    assert (certificate.mismatches, certificate.max_ulp) == (0, 0)
    assert certificate.lookback_measured == feature.lookback
    assert np.isfinite(daily["close"]).any()
