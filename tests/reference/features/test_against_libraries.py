"""The kernels against TA-Lib and Polars, on a long random walk with no hole, where definitions agree."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
import talib
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import (
    atr,
    compute,
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

Array = NDArray[np.float64]
HOUR = Timeframe.parse("1h")

# The libraries carry running sums over 20,000 bars: the distance is their drift, not ours.
TOL_RUNNING_SUM = 1e-9
TOL_SPREAD = 1e-8
TOL_EXACT = 1e-13
# What an exponential mean of 11 spans forgets, times the range of prices in this walk.
TOL_MEMORY = 1e-9


@pytest.fixture(scope="module")
def panel() -> Panel:
    generator = np.random.default_rng(3)
    bar = np.arange(420_001, 440_001)
    close = 30_000.0 * np.exp(np.cumsum(generator.normal(0.0, 0.005, (len(bar), 1)), axis=0))
    wick = 1.0 + 0.004 * generator.random(close.shape)
    fields = {
        "close": close,
        "high": close * wick,
        "low": close / wick,
        "volume": generator.lognormal(8, 1, close.shape),
    }
    return Panel(HOUR, bar, HOUR.open_times(bar), ("x:A/USDT",), fields)


def series(panel: Panel, name: str) -> Array:
    return np.array(panel[name][:, 0])


def expression(panel: Panel, made: pl.Expr) -> Array:
    frame = pl.DataFrame({name: series(panel, str(name)) for name in panel.fields})
    return frame.select(made.alias("made"))["made"].to_numpy()


CLOSE = pl.col("close")
LOG_RETURN = (CLOSE / CLOSE.shift(1)).log()
RANGE = pl.max_horizontal(
    pl.col("high") - pl.col("low"),
    (pl.col("high") - CLOSE.shift(1)).abs(),
    (pl.col("low") - CLOSE.shift(1)).abs(),
)

POLARS: list[tuple[Feature, pl.Expr, float]] = [
    (total("volume", 24), pl.col("volume").rolling_sum(24), TOL_RUNNING_SUM),
    (mean("close", 50), CLOSE.rolling_mean(50), TOL_RUNNING_SUM),
    (deviation("close", 20), CLOSE.rolling_std(20), TOL_SPREAD),
    (zscore("close", 48), (CLOSE - CLOSE.rolling_mean(48)) / CLOSE.rolling_std(48), TOL_SPREAD),
    (highest("high", 55), pl.col("high").rolling_max(55), 0.0),
    (lowest("low", 55), pl.col("low").rolling_min(55), 0.0),
    (ema("close", 20), CLOSE.ewm_mean(span=20, adjust=True), TOL_MEMORY),
    (simple_return("close", 90), CLOSE / CLOSE.shift(90) - 1.0, TOL_EXACT),
    (volatility(20), LOG_RETURN.rolling_std(20) * np.sqrt(8_760.0), TOL_SPREAD),
    (atr(14), RANGE.shift(0).rolling_mean(14), TOL_RUNNING_SUM),
]


@pytest.mark.parametrize(("feature", "made", "tolerance"), POLARS, ids=lambda value: str(value)[:20])
def test_polars(panel: Panel, feature: Feature, made: pl.Expr, tolerance: float) -> None:
    ours = compute(panel, [feature])[feature][:, 0]
    warm = slice(feature.lookback - 1, None)
    np.testing.assert_allclose(ours[warm], expression(panel, made)[warm], rtol=tolerance, atol=tolerance)


TALIB: list[tuple[Feature, Callable[[Panel], Array], float]] = [
    (mean("close", 50), lambda p: talib.SMA(series(p, "close"), 50), TOL_RUNNING_SUM),
    (total("volume", 24), lambda p: talib.SUM(series(p, "volume"), 24), TOL_RUNNING_SUM),
    # TA-Lib divides by n and squares raw prices: half of the digits are gone.
    (deviation("close", 20), lambda p: talib.STDDEV(series(p, "close"), 20) * np.sqrt(20 / 19), 1e-4),
    (highest("high", 55), lambda p: talib.MAX(series(p, "high"), 55), 0.0),
    (lowest("low", 55), lambda p: talib.MIN(series(p, "low"), 55), 0.0),
    # TA-Lib's EMA starts from the mean of its first window; 11 spans later that is forgotten.
    (ema("close", 20), lambda p: talib.EMA(series(p, "close"), 20), TOL_MEMORY),
    (simple_return("close", 90), lambda p: talib.ROCP(series(p, "close"), 90), TOL_EXACT),
    (atr(1), lambda p: talib.TRANGE(*(series(p, name) for name in ("high", "low", "close"))), TOL_EXACT),
]


@pytest.mark.parametrize(("feature", "made", "tolerance"), TALIB, ids=lambda value: str(value)[:20])
def test_talib(panel: Panel, feature: Feature, made: Callable[[Panel], Array], tolerance: float) -> None:
    ours = compute(panel, [feature])[feature][:, 0]
    warm = slice(feature.lookback - 1, None)
    np.testing.assert_allclose(ours[warm], made(panel)[warm], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("span", [2, 9, 20, 60])
def test_ema_forgets_less_than_its_docstring_says(panel: Panel, span: int) -> None:
    feature = ema("close", span)
    ours = compute(panel, [feature])[feature][feature.lookback - 1 :, 0]
    endless = expression(panel, CLOSE.cast(pl.Float64).ewm_mean(span=span, adjust=True))[
        feature.lookback - 1 :
    ]
    spread = np.ptp(series(panel, "close"))
    assert np.abs(ours - endless).max() <= 2.8e-10 * spread + 1e-15 * endless.max() * span


def test_extended_precision(panel: Panel) -> None:
    """Against 80-bit sums of every window: mean within 2 ulp, deviation within 1e-14."""
    close = series(panel, "close").astype(np.longdouble)
    windows = np.lib.stride_tricks.sliding_window_view(close, 20)
    exact_mean, exact_deviation = windows.mean(axis=1), windows.std(axis=1, ddof=1)
    got = compute(panel, [mean("close", 20), deviation("close", 20)])
    ours_mean, ours_deviation = (
        got[feature][19:, 0] for feature in (mean("close", 20), deviation("close", 20))
    )
    assert (np.abs(ours_mean - exact_mean) / np.spacing(ours_mean)).max() <= 2.0
    assert (np.abs(ours_deviation - exact_deviation) / exact_deviation).max() <= 1e-14
