"""On recorded bars, every feature from its last bars alone equals the full history, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import talib
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import compute
from lab.validation.causality import certify_feature
from tests.oracle.features_catalogue import same_bits, shipped_definitions

pytestmark = pytest.mark.real_data

Array = NDArray[np.float64]
BITCOIN = "binance:BTC/USDT"

# As they are used in practice: the usual windows. One feature of every definition.
DAILY: tuple[Feature, ...] = (
    made.adx(14),
    made.amihud(30),
    made.aroon_down(25),
    made.aroon_oscillator(25),
    made.aroon_up(25),
    made.atr(14),
    made.bars_since_highest("high", 55),
    made.bars_since_lowest("low", 55),
    made.beta("close", "volume", 60),
    made.bollinger_percent("close", 20),
    made.bollinger_width("close", 20),
    made.breakout(20),
    made.chande_momentum("close", 20),
    made.coarser(made.mean("close", 10), "1w", of="1d"),
    made.commodity_channel(20),
    made.correlation("close", "volume", 60),
    made.day_of_week(),
    made.deviation("close", 20),
    made.dollar_volume(30),
    made.double_ema("close", 20),
    made.ema("close", 12),
    made.ewma_volatility(32),
    made.garman_klass(20),
    made.highest("high", 55),
    made.hour_of_day(),
    made.kurtosis("close", 60),
    made.latest("close", 3),
    made.linear_regression("close", 20),
    made.log_return("close", 1),
    made.lowest("low", 20),
    made.macd("close"),
    made.macd_histogram("close"),
    made.macd_signal("close"),
    made.market_beta(BITCOIN, 60),
    made.market_correlation(BITCOIN, 60),
    made.mean("close", 50),
    made.mean_absolute_deviation("close", 20),
    made.median("volume", 100),
    made.minus_di(14),
    made.money_flow(20),
    made.money_flow_index(14),
    made.obv(20),
    made.order_flow_imbalance(24),
    made.parkinson(20),
    made.plus_di(14),
    made.quantile("volume", 100, 0.9),
    made.rank("close", 100),
    made.rogers_satchell(20),
    made.rsi("close", 14),
    made.simple_return("close", 90),
    made.skewness("close", 60),
    made.slope("close", 20),
    made.stochastic_d(14, 3),
    made.stochastic_k(14),
    made.total("volume", 30),
    made.trend_regime(50, 200),
    made.trix("close", 15),
    made.universe_rank(made.simple_return("close", 90)),
    made.universe_zscore(made.volatility(20)),
    made.variance("close", 20),
    made.volatility(20),
    made.volatility_regime(20, 100),
    made.vwap(24),
    made.vwap_distance(24),
    made.weighted_mean("close", 20),
    made.wilder("close", 14),
    made.wilder_atr(14),
    made.williams_r(14),
    made.zscore("close", 48),
)


def panel_of(file: Path, timeframe: str, *symbols: str) -> Panel:
    rows = pl.scan_parquet(file)
    if symbols:
        rows = rows.filter(pl.col("symbol").is_in(symbols))
    frame = rows.collect().with_columns(
        pl.col("ts").dt.cast_time_unit("us").dt.convert_time_zone("UTC"),
        market="binance:" + pl.col("symbol"),
    )
    return Panel.from_frame(frame.drop("symbol"), timeframe=timeframe)


@pytest.fixture(scope="module")
def daily(real_data: Path) -> Panel:
    return panel_of(real_data / "binance_spot_1d.parquet", "1d")


@pytest.fixture(scope="module")
def hourly(real_data: Path) -> Panel:
    return panel_of(real_data / "binance_spot_1h.parquet", "1h", "BTC/USDT")


def test_every_definition_is_examined_here() -> None:
    assert {feature.name for feature in DAILY} == shipped_definitions()


def on_hours(feature: Feature) -> Feature:
    return made.coarser(made.mean("close", 10), "1d", of="1h") if feature.name == "coarser" else feature


def check_tails(panel: Panel, feature: Feature, rows: NDArray[np.int64]) -> None:
    """Compare the last row of the last bars, just as many as declared, with the full history."""
    values = compute(panel, [feature])[feature]
    for row in rows[(rows >= feature.lookback - 1) & (rows < len(panel))]:
        part = panel.rows(int(row) + 1 - feature.lookback, int(row) + 1)
        assert same_bits(compute(part, [feature])[feature][-1], values[row]), row


@pytest.mark.parametrize("feature", DAILY, ids=str)
def test_tails_of_recorded_daily_bars(daily: Panel, feature: Feature) -> None:
    rows = np.random.default_rng(0).integers(feature.lookback - 1, len(daily), 60)
    check_tails(daily, feature, np.r_[feature.lookback - 1, rows, len(daily) - 1])


@pytest.mark.parametrize("feature", DAILY, ids=str)
def test_tails_of_recorded_hourly_bars(hourly: Panel, feature: Feature) -> None:
    """45,000 bars with real outages: at random bars, and at bars soon after an outage."""
    feature = on_hours(feature)
    generator = np.random.default_rng(0)
    rows = generator.integers(feature.lookback - 1, len(hourly), 60)
    holes = np.flatnonzero(np.isnan(hourly["close"][:, 0]))
    near = generator.choice(holes, 60) + generator.integers(0, feature.lookback + 2, 60)
    check_tails(hourly, feature, np.r_[rows, near])


@pytest.mark.slow
@pytest.mark.parametrize("feature", DAILY, ids=str)
def test_certificate_on_recorded_daily_bars(daily: Panel, feature: Feature) -> None:
    assert len(daily.markets) == 33
    check_certificate(daily, feature)


@pytest.mark.slow
@pytest.mark.parametrize("feature", DAILY, ids=str)
def test_certificate_on_recorded_hourly_bars(hourly: Panel, feature: Feature) -> None:
    check_certificate(hourly, on_hours(feature))


def check_certificate(panel: Panel, feature: Feature) -> None:
    certificate = certify_feature(feature, panel)
    alone = len(panel.markets) == 1 and feature.name.startswith("universe")
    assert [finding.kind for finding in certificate.findings] == (["empty"] if alone else [])
    assert certificate.bars_checked == len(panel) - feature.lookback + 1
    assert (certificate.mismatches, certificate.max_ulp) == (0, 0)
    assert certificate.lookback_measured is not None
    assert certificate.lookback_measured <= feature.lookback


# What a finite memory leaves out on these bars, in the unit of the feature: its docstring says so.
ENDLESS: tuple[tuple[Feature, Callable[[Array, Array, Array], Array], float], ...] = (
    (made.rsi("close", 14), lambda high, low, close: talib.RSI(close, 14), 1e-6),
    (made.plus_di(14), lambda high, low, close: talib.PLUS_DI(high, low, close, 14), 1e-6),
    (made.minus_di(14), lambda high, low, close: talib.MINUS_DI(high, low, close, 14), 1e-6),
    (made.adx(14), lambda high, low, close: talib.ADX(high, low, close, 14), 1e-6),
    (made.trix("close", 15), lambda high, low, close: talib.TRIX(close, 15), 1e-6),
)


@pytest.mark.parametrize(("feature", "endless", "most"), ENDLESS, ids=lambda value: str(value)[:20])
def test_finite_memory_on_recorded_bars(
    daily: Panel, feature: Feature, endless: Callable[[Array, Array, Array], Array], most: float
) -> None:
    """Every pair from its listing on: the largest difference to TA-Lib's endless recursion."""
    values = compute(daily, [feature])[feature]
    compared = 0
    for market in range(len(daily.markets)):
        listed = np.flatnonzero(~np.isnan(daily["close"][:, market]))
        rows = slice(int(listed[0]), int(listed[-1]) + 1)
        bars = [np.ascontiguousarray(daily[name][rows, market]) for name in ("high", "low", "close")]
        assert np.isfinite(bars).all()
        theirs = endless(*bars)[feature.lookback :]
        ours = values[rows, market][feature.lookback :]
        compared += len(ours)
        np.testing.assert_allclose(ours, theirs, rtol=0.0, atol=most)
    assert compared > 10_000


def test_relative_memory_of_wilders_range_on_recorded_bars(daily: Panel) -> None:
    feature = made.wilder_atr(14)
    high, low, close = (np.ascontiguousarray(daily[name][:, 0]) for name in ("high", "low", "close"))
    first = int(np.flatnonzero(~np.isnan(close))[0])
    theirs = talib.ATR(high[first:], low[first:], close[first:], 14)[feature.lookback :]
    ours = compute(daily, [feature])[feature][first:, 0][feature.lookback :]
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)
