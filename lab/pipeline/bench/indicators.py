"""Twenty standard indicators, each written three times: ours, TA-Lib's and an expression of Polars."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature

__all__ = ["INDICATORS", "Indicator"]

Array = NDArray[np.float64]


class Indicator(NamedTuple):
    """One column three times: ours, TA-Lib's of one market's bars, and Polars' of a prefix of columns."""

    ours: Feature
    talib: Callable[[Any, dict[str, Array]], Array]
    polars: Callable[[str], pl.Expr]
    tolerance: float = 1e-6


def _close(market: str) -> pl.Expr:
    return pl.col(f"{market}.close")


def _bar(market: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    return pl.col(f"{market}.high"), pl.col(f"{market}.low"), _close(market)


def _typical(market: str) -> pl.Expr:
    high, low, close = _bar(market)
    return (high + low + close) / 3.0


def _ema(values: pl.Expr, span: int) -> pl.Expr:
    return values.ewm_mean(span=span, adjust=False)


def _wilder(values: pl.Expr, window: int) -> pl.Expr:
    return values.ewm_mean(alpha=1.0 / window, adjust=False, ignore_nulls=True)


def _true_range(market: str) -> pl.Expr:
    high, low, close = _bar(market)
    before = close.shift(1)
    return pl.max_horizontal(high - low, (high - before).abs(), (low - before).abs())


def _rsi(market: str) -> pl.Expr:
    change = _close(market).diff()
    gain, loss = (_wilder(side.clip(lower_bound=0.0), 14) for side in (change, -change))
    return 100.0 * gain / (gain + loss)


def _movements(market: str) -> tuple[pl.Expr, pl.Expr]:
    high, low, _ = _bar(market)
    up, down = high.diff(), -low.diff()
    plus = pl.when((up > down) & (up > 0.0)).then(up).otherwise(0.0)
    minus = pl.when((down > up) & (down > 0.0)).then(down).otherwise(0.0)
    return _wilder(plus, 14), _wilder(minus, 14)


def _adx(market: str) -> pl.Expr:
    plus, minus = _movements(market)
    return _wilder((100.0 * (plus - minus).abs() / (plus + minus)).fill_nan(None), 14)


def _stochastic(market: str) -> pl.Expr:
    high, low, close = _bar(market)
    bottom = low.rolling_min(14)
    return 100.0 * (close - bottom) / (high.rolling_max(14) - bottom)


def _slope(market: str) -> pl.Expr:
    weights = [(place - 9.5) / 665.0 for place in range(20)]
    return _close(market).rolling_sum(20, weights=weights)


def _channel(market: str) -> pl.Expr:
    # Lagged columns: the deviation is from a mean that moves with every bar.
    typical = _typical(market)
    mean = typical.rolling_mean(20)
    spread = pl.sum_horizontal((typical.shift(age) - mean).abs() for age in range(20)) / 20.0
    return (typical - mean) / (0.015 * spread)


def _aroon(market: str) -> pl.Expr:
    high, low, _ = _bar(market)

    def age(values: pl.Expr) -> pl.Expr:
        top = values.rolling_max(26)
        ages = [pl.when(values.shift(back) == top).then(back) for back in range(26)]
        return pl.coalesce(ages)

    return 100.0 * (age(-low) - age(high)) / 25.0


def _money(market: str) -> pl.Expr:
    flow = _typical(market) * pl.col(f"{market}.volume")
    change = _typical(market).diff()
    up = pl.when(change > 0.0).then(flow).otherwise(0.0).rolling_sum(14)
    moved = pl.when(change != 0.0).then(flow).otherwise(0.0).rolling_sum(14)
    return 100.0 * up / moved


def _double(market: str) -> pl.Expr:
    once = _ema(_close(market), 20)
    return 2.0 * once - _ema(once, 20)


def _trix(market: str) -> pl.Expr:
    return 100.0 * _ema(_ema(_ema(_close(market), 15), 15), 15).pct_change()


def _hlc(bars: dict[str, Array]) -> tuple[Array, Array, Array]:
    return bars["high"], bars["low"], bars["close"]


def _bollinger(ta: Any, bars: dict[str, Array]) -> Array:
    upper, middle, lower = ta.BBANDS(bars["close"], 20, 2.0, 2.0)
    return (upper - lower) / middle


def _signed(market: str) -> pl.Expr:
    return (_close(market).diff().sign() * pl.col(f"{market}.volume")).rolling_sum(20)


def _obv(ta: Any, bars: dict[str, Array]) -> Array:
    whole = ta.OBV(bars["close"], bars["volume"])
    changed = np.full(len(whole), np.nan)
    changed[20:] = whole[20:] - whole[:-20]
    return changed


INDICATORS: Final = (
    Indicator(
        made.mean("close", 20), lambda t, b: t.SMA(b["close"], 20), lambda m: _close(m).rolling_mean(20)
    ),
    Indicator(made.ema("close", 20), lambda t, b: t.EMA(b["close"], 20), lambda m: _ema(_close(m), 20)),
    Indicator(
        made.weighted_mean("close", 20),
        lambda t, b: t.WMA(b["close"], 20),
        lambda m: _close(m).rolling_mean(20, weights=[float(place) for place in range(1, 21)]),
    ),
    Indicator(made.double_ema("close", 20), lambda t, b: t.DEMA(b["close"], 20), _double),
    Indicator(
        made.simple_return("close", 10),
        lambda t, b: t.ROCP(b["close"], 10),
        lambda m: _close(m).pct_change(10),
    ),
    Indicator(made.rsi("close", 14), lambda t, b: t.RSI(b["close"], 14), _rsi),
    Indicator(
        made.macd("close"),
        lambda t, b: t.MACD(b["close"])[0],
        lambda m: _ema(_close(m), 12) - _ema(_close(m), 26),
        1e-4,
    ),
    Indicator(made.trix("close", 15), lambda t, b: t.TRIX(b["close"], 15), _trix),
    Indicator(made.stochastic_k(14), lambda t, b: t.STOCHF(*_hlc(b), 14, 1)[0], _stochastic),
    Indicator(made.williams_r(14), lambda t, b: t.WILLR(*_hlc(b), 14), lambda m: _stochastic(m) - 100.0),
    Indicator(made.commodity_channel(20), lambda t, b: t.CCI(*_hlc(b), 20), _channel),
    Indicator(made.adx(14), lambda t, b: t.ADX(*_hlc(b), 14), _adx),
    Indicator(made.aroon_oscillator(25), lambda t, b: t.AROONOSC(b["high"], b["low"], 25), _aroon),
    Indicator(made.slope("close", 20), lambda t, b: t.LINEARREG_SLOPE(b["close"], 20), _slope),
    Indicator(
        made.variance("close", 20),
        lambda t, b: t.VAR(b["close"], 20) * (20.0 / 19.0),
        lambda m: _close(m).rolling_var(20),
        1e-3,  # TA-Lib squares raw prices
    ),
    Indicator(
        made.bollinger_width("close", 20),
        _bollinger,
        lambda m: 4.0 * _close(m).rolling_std(20, ddof=0) / _close(m).rolling_mean(20),
        1e-3,
    ),
    Indicator(made.wilder_atr(14), lambda t, b: t.ATR(*_hlc(b), 14), lambda m: _wilder(_true_range(m), 14)),
    Indicator(
        made.correlation("close", "volume", 30),
        lambda t, b: t.CORREL(b["close"], b["volume"], 30),
        lambda m: pl.rolling_corr(_close(m), pl.col(f"{m}.volume"), window_size=30),
        1e-3,
    ),
    Indicator(made.money_flow_index(14), lambda t, b: t.MFI(*_hlc(b), b["volume"], 14), _money),
    Indicator(made.obv(20), _obv, _signed, 1e-3),
)
