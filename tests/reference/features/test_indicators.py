"""Indicators against TA-Lib, pandas and SciPy on a long random walk without holes, where definitions agree.

Where memories must differ (exponential and Wilder's smoothing), the tolerance is what a memory of 11 spans or
22 windows has forgotten: 2.8e-10 of the range of what is averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import talib
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute

Array = NDArray[np.float64]
Bars = dict[str, Array]
Peer = Callable[[Bars], Any]
HOUR = Timeframe.parse("1h")

# The same operations in another order.
TOL_EXACT = 1e-12
# The library carries running sums over all bars: the distance is their drift.
TOL_DRIFT = 1e-8
# The library squares raw prices: half of the digits are gone.
TOL_SQUARES = 1e-4
# What a finite memory has forgotten.
TOL_MEMORY = 1e-7


@pytest.fixture(scope="module")
def panel() -> Panel:
    generator = np.random.default_rng(3)
    bar = np.arange(420_001, 424_001)
    open_ = 30_000.0 * np.exp(np.cumsum(generator.normal(0.0, 0.005, (len(bar), 1)), axis=0))
    close = open_ * np.exp(generator.normal(0.0, 0.004, open_.shape))
    wick = 1.0 + 0.004 * generator.random((2, *close.shape))
    fields = {
        "open": open_,
        "close": close,
        "high": np.maximum(open_, close) * wick[0],
        "low": np.minimum(open_, close) / wick[1],
        "volume": generator.lognormal(8, 1, close.shape),
    }
    return Panel(HOUR, bar, HOUR.open_times(bar), ("x:A/USDT",), fields)


def hlc(bars: Bars) -> tuple[Array, Array, Array]:
    return bars["high"], bars["low"], bars["close"]


def rolled(bars: Bars, column: str, window: int) -> Any:
    return pd.Series(bars[column]).rolling(window)


def windows_of(bars: Bars, column: str, window: int) -> Array:
    """Return the windows as rows; the first ones, which are not complete, are left out."""
    return np.lib.stride_tricks.sliding_window_view(bars[column], window)


def padded(values: Array, bars: Bars) -> Array:
    return np.concatenate([np.full(len(bars["close"]) - len(values), np.nan), values])


def summed(values: Array, window: int) -> Array:
    return pd.Series(values).rolling(window).sum().to_numpy()


def typical(bars: Bars) -> Array:
    return sum(hlc(bars)) / 3.0


def log_returns(bars: Bars) -> Array:
    return np.concatenate([[np.nan], np.diff(np.log(bars["close"]))])


def on_balance(bars: Bars, window: int) -> Array:
    whole = talib.OBV(bars["close"], bars["volume"])
    return padded(whole[window:] - whole[:-window], bars)


def accumulated(bars: Bars, window: int) -> Array:
    """Return the change over the window of Chaikin's line, which is summed from the first bar on."""
    whole = np.concatenate([[0.0], talib.AD(*hlc(bars), bars["volume"])])
    return padded(whole[window:] - whole[:-window], bars)


def annual_root(variance: Array, window: int) -> Array:
    return np.sqrt(pd.Series(variance).rolling(window).mean().to_numpy() * 24 * 365)


def donchian(bars: Bars, window: int) -> Array:
    top = pd.Series(bars["high"]).rolling(window).max().shift(1)
    bottom = pd.Series(bars["low"]).rolling(window).min().shift(1)
    close = pd.Series(bars["close"])
    return np.array((close > top).astype(float) - (close < bottom).astype(float))


def states(bars: Bars, fast: int, slow: int) -> Array:
    close, quick, late = bars["close"], talib.SMA(bars["close"], fast), talib.SMA(bars["close"], slow)
    return ((close > late) & (quick > late)) * 1.0 - ((close < late) & (quick < late)) * 1.0


def bands(bars: Bars, window: int) -> tuple[Array, Array]:
    """Return width and place of the close."""
    upper, middle, lower = talib.BBANDS(bars["close"], window, 2.0, 2.0)
    return (upper - lower) / middle, (bars["close"] - lower) / (upper - lower)


def daily(bars: Bars, window: int) -> Array:
    """Return a mean of daily closes, each known from the last hour of its day on."""
    frame = pd.DataFrame(
        {"close": bars["close"]}, index=pd.to_datetime(HOUR.open_times(np.arange(420_001, 424_001)))
    )
    days = frame.resample("1D").agg(["last", "count"])["close"]
    means = days["last"].where(days["count"] == 24).rolling(window).mean()
    means.index += pd.Timedelta(hours=23)
    return np.array(means.reindex(frame.index).ffill())


CASES: list[tuple[Feature, Peer, float]] = [
    (made.weighted_mean("close", 20), lambda b: talib.WMA(b["close"], 20), TOL_DRIFT),
    (made.double_ema("close", 10), lambda b: talib.DEMA(b["close"], 10), TOL_MEMORY),
    (made.slope("close", 20), lambda b: talib.LINEARREG_SLOPE(b["close"], 20), TOL_DRIFT),
    (made.linear_regression("close", 20), lambda b: talib.LINEARREG(b["close"], 20), TOL_DRIFT),
    (made.wilder("close", 14), lambda b: pd.Series(b["close"]).ewm(alpha=1 / 14).mean(), TOL_MEMORY),
    (
        made.correlation("close", "volume", 30),
        lambda b: talib.CORREL(b["close"], b["volume"], 30),
        TOL_SQUARES,
    ),
    (
        made.beta("close", "volume", 30),
        lambda b: rolled(b, "close", 30).cov(pd.Series(b["volume"])) / rolled(b, "volume", 30).var(),
        TOL_DRIFT,
    ),
    (made.variance("close", 20), lambda b: rolled(b, "close", 20).var(), TOL_DRIFT),
    (
        made.skewness("close", 30),
        lambda b: padded(scipy.stats.skew(windows_of(b, "close", 30), axis=1), b),
        TOL_EXACT * 100,
    ),
    (
        made.kurtosis("close", 30),
        lambda b: padded(scipy.stats.kurtosis(windows_of(b, "close", 30), axis=1, fisher=False), b),
        TOL_EXACT * 100,
    ),
    (
        made.mean_absolute_deviation("close", 20),
        lambda b: padded(absolute_deviation(windows_of(b, "close", 20)), b),
        TOL_EXACT,
    ),
    (made.median("volume", 25), lambda b: rolled(b, "volume", 25).median(), 0.0),
    (made.quantile("volume", 25, 0.3), lambda b: rolled(b, "volume", 25).quantile(0.3), TOL_EXACT),
    (made.rank("close", 25), lambda b: (rolled(b, "close", 25).rank() - 1) / 24, TOL_EXACT),
    (
        made.bars_since_highest("high", 25),
        lambda b: np.arange(4_000) - talib.MAXINDEX(b["high"], 25),
        0.0,
    ),
    (made.bars_since_lowest("low", 25), lambda b: np.arange(4_000) - talib.MININDEX(b["low"], 25), 0.0),
    (made.log_return("close", 5), lambda b: np.log1p(talib.ROCP(b["close"], 5)), TOL_EXACT),
    (made.rsi("close", 14), lambda b: talib.RSI(b["close"], 14), TOL_MEMORY),
    (
        made.chande_momentum("close", 20),
        lambda b: 100 * talib.MOM(b["close"], 20) / summed(np.abs(talib.MOM(b["close"], 1)), 20),
        TOL_DRIFT,
    ),
    (made.stochastic_k(14), lambda b: talib.STOCHF(*hlc(b), 14, 1)[0], TOL_DRIFT),
    (made.stochastic_d(14, 3), lambda b: talib.STOCHF(*hlc(b), 14, 3)[1], TOL_DRIFT),
    (made.williams_r(14), lambda b: talib.WILLR(*hlc(b), 14), TOL_DRIFT),
    (made.commodity_channel(20), lambda b: talib.CCI(*hlc(b), 20), TOL_DRIFT),
    (made.macd("close"), lambda b: talib.MACD(b["close"])[0], TOL_MEMORY * 100),
    (made.macd_signal("close"), lambda b: talib.MACD(b["close"])[1], TOL_MEMORY * 100),
    (made.macd_histogram("close"), lambda b: talib.MACD(b["close"])[2], TOL_MEMORY * 100),
    (made.trix("close", 15), lambda b: talib.TRIX(b["close"], 15), TOL_MEMORY),
    (made.plus_di(14), lambda b: talib.PLUS_DI(*hlc(b), 14), TOL_MEMORY),
    (made.minus_di(14), lambda b: talib.MINUS_DI(*hlc(b), 14), TOL_MEMORY),
    (made.adx(14), lambda b: talib.ADX(*hlc(b), 14), TOL_MEMORY),
    (made.aroon_up(25), lambda b: talib.AROON(b["high"], b["low"], 25)[1], TOL_EXACT),
    (made.aroon_down(25), lambda b: talib.AROON(b["high"], b["low"], 25)[0], TOL_EXACT),
    (made.aroon_oscillator(25), lambda b: talib.AROONOSC(b["high"], b["low"], 25), TOL_EXACT),
    (made.breakout(20), lambda b: donchian(b, 20), 0.0),
    (made.wilder_atr(14), lambda b: talib.ATR(*hlc(b), 14), TOL_MEMORY),
    (
        made.parkinson(20),
        lambda b: annual_root(np.log(b["high"] / b["low"]) ** 2 / (4 * np.log(2)), 20),
        TOL_DRIFT,
    ),
    (
        made.garman_klass(20),
        lambda b: annual_root(
            np.log(b["high"] / b["low"]) ** 2 / 2
            - (2 * np.log(2) - 1) * (np.log(b["close"]) - np.log(b["open"])) ** 2,
            20,
        ),
        TOL_DRIFT,
    ),
    (
        made.rogers_satchell(20),
        lambda b: annual_root(
            np.log(b["high"] / b["close"]) * np.log(b["high"] / b["open"])
            + np.log(b["low"] / b["close"]) * np.log(b["low"] / b["open"]),
            20,
        ),
        TOL_DRIFT,
    ),
    (
        made.ewma_volatility(20),
        lambda b: np.sqrt(pd.Series(log_returns(b) ** 2).ewm(span=20).mean() * 24 * 365),
        TOL_MEMORY,
    ),
    (
        made.bollinger_width("close", 20),
        lambda b: bands(b, 20)[0],
        TOL_SQUARES,
    ),
    (
        made.bollinger_percent("close", 20),
        lambda b: bands(b, 20)[1],
        TOL_SQUARES,
    ),
    (made.obv(20), lambda b: on_balance(b, 20), TOL_DRIFT),
    (made.order_flow_imbalance(20), lambda b: on_balance(b, 20) / talib.SUM(b["volume"], 20), TOL_DRIFT),
    (made.money_flow(20), lambda b: accumulated(b, 20) / talib.SUM(b["volume"], 20), TOL_DRIFT),
    (made.dollar_volume(20), lambda b: talib.SMA(b["close"] * b["volume"], 20), TOL_DRIFT),
    (
        made.amihud(20),
        lambda b: talib.SMA(np.abs(talib.ROCP(b["close"], 1))[1:] / (b["close"] * b["volume"])[1:], 20),
        TOL_DRIFT,
    ),
    (made.money_flow_index(14), lambda b: talib.MFI(*hlc(b), b["volume"], 14), TOL_DRIFT),
    (made.vwap(20), lambda b: summed(typical(b) * b["volume"], 20) / summed(b["volume"], 20), TOL_DRIFT),
    (
        made.vwap_distance(20),
        lambda b: b["close"] * summed(b["volume"], 20) / summed(typical(b) * b["volume"], 20) - 1,
        TOL_DRIFT,
    ),
    (made.trend_regime(10, 40), lambda b: states(b, 10, 40), 0.0),
    (
        made.volatility_regime(20, 60),
        lambda b: (pd.Series(log_returns(b)).rolling(20).std().rolling(60).rank() - 1) / 59,
        TOL_EXACT,
    ),
    (made.coarser(made.mean("close", 5), "1d", of="1h"), lambda b: daily(b, 5), TOL_EXACT),
]


def absolute_deviation(windows: Array) -> Array:
    return np.abs(windows - windows.mean(axis=1, keepdims=True)).mean(axis=1)


@pytest.mark.parametrize(
    ("feature", "peer", "tolerance"), CASES, ids=[feature.key for feature, _, _ in CASES]
)
def test_equals_the_library(panel: Panel, feature: Feature, peer: Peer, tolerance: float) -> None:
    bars = {str(name): np.array(values[:, 0]) for name, values in panel.fields.items()}
    ours = compute(panel, [feature])[feature][:, 0]
    theirs = padded(np.asarray(peer(bars), dtype=np.float64), bars)
    warm = slice(max(feature.lookback - 1, 0), None)
    assert np.isfinite(theirs[warm]).all()
    np.testing.assert_allclose(ours[warm], theirs[warm], rtol=tolerance, atol=tolerance)
