"""Feature cases: twenty standard indicators, against TA-Lib on two threads and expressions of Polars.

All sides get the same bars in the form that they take (panels, one array per market, wide frames), compute
the same twenty columns for every market and hold them all at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute
from lab.pipeline.bench.harness import Case

__all__ = ["CASES"]

Array = NDArray[np.float64]
_THREADS: Final = 2
_ROWS: Final = [-1, -100, -1_000]  # what is compared
_FEW: Final = 2_000  # bars of the run that imports and compiles
_FIELDS: Final = ("open", "high", "low", "close", "volume")


class _Indicator(NamedTuple):
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


_INDICATORS: Final = (
    _Indicator(
        made.mean("close", 20), lambda t, b: t.SMA(b["close"], 20), lambda m: _close(m).rolling_mean(20)
    ),
    _Indicator(made.ema("close", 20), lambda t, b: t.EMA(b["close"], 20), lambda m: _ema(_close(m), 20)),
    _Indicator(
        made.weighted_mean("close", 20),
        lambda t, b: t.WMA(b["close"], 20),
        lambda m: _close(m).rolling_mean(20, weights=[float(place) for place in range(1, 21)]),
    ),
    _Indicator(made.double_ema("close", 20), lambda t, b: t.DEMA(b["close"], 20), _double),
    _Indicator(
        made.simple_return("close", 10),
        lambda t, b: t.ROCP(b["close"], 10),
        lambda m: _close(m).pct_change(10),
    ),
    _Indicator(made.rsi("close", 14), lambda t, b: t.RSI(b["close"], 14), _rsi),
    _Indicator(
        made.macd("close"),
        lambda t, b: t.MACD(b["close"])[0],
        lambda m: _ema(_close(m), 12) - _ema(_close(m), 26),
        1e-4,
    ),
    _Indicator(made.trix("close", 15), lambda t, b: t.TRIX(b["close"], 15), _trix),
    _Indicator(made.stochastic_k(14), lambda t, b: t.STOCHF(*_hlc(b), 14, 1)[0], _stochastic),
    _Indicator(made.williams_r(14), lambda t, b: t.WILLR(*_hlc(b), 14), lambda m: _stochastic(m) - 100.0),
    _Indicator(made.commodity_channel(20), lambda t, b: t.CCI(*_hlc(b), 20), _channel),
    _Indicator(made.adx(14), lambda t, b: t.ADX(*_hlc(b), 14), _adx),
    _Indicator(made.aroon_oscillator(25), lambda t, b: t.AROONOSC(b["high"], b["low"], 25), _aroon),
    _Indicator(made.slope("close", 20), lambda t, b: t.LINEARREG_SLOPE(b["close"], 20), _slope),
    _Indicator(
        made.variance("close", 20),
        lambda t, b: t.VAR(b["close"], 20) * (20.0 / 19.0),
        lambda m: _close(m).rolling_var(20),
        1e-3,  # TA-Lib squares raw prices
    ),
    _Indicator(
        made.bollinger_width("close", 20),
        _bollinger,
        lambda m: 4.0 * _close(m).rolling_std(20, ddof=0) / _close(m).rolling_mean(20),
        1e-3,
    ),
    _Indicator(made.wilder_atr(14), lambda t, b: t.ATR(*_hlc(b), 14), lambda m: _wilder(_true_range(m), 14)),
    _Indicator(
        made.correlation("close", "volume", 30),
        lambda t, b: t.CORREL(b["close"], b["volume"], 30),
        lambda m: pl.rolling_corr(_close(m), pl.col(f"{m}.volume"), window_size=30),
        1e-3,
    ),
    _Indicator(made.money_flow_index(14), lambda t, b: t.MFI(*_hlc(b), b["volume"], 14), _money),
    _Indicator(made.obv(20), _obv, _signed, 1e-3),
)


def _history(markets: int = 50, bars: int = 100_000) -> Panel:
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1h")
    number = np.arange(300_000, 300_000 + bars)
    open_ = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.005, (bars, markets)), axis=0))
    close = open_ * np.exp(draw.normal(0, 0.004, open_.shape))
    high, low = np.maximum(open_, close) * 1.002, np.minimum(open_, close) * 0.998
    volume = draw.lognormal(8.0, 1.0, open_.shape)
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(markets))
    fields: dict[str | Feature, Array] = dict(zip(_FIELDS, (open_, high, low, close, volume), strict=True))
    return Panel(grid, number, grid.open_times(number), names, fields)


def _for_talib(bars: int = 100_000) -> tuple[Panel, list[dict[str, Array]]]:
    panel = _history(bars=bars)
    markets = range(len(panel.markets))
    return panel, [{name: np.ascontiguousarray(panel[name][:, j]) for name in _FIELDS} for j in markets]


def _for_polars(bars: int = 100_000) -> tuple[Panel, pl.DataFrame]:
    panel, arrays = _for_talib(bars)
    columns = {
        f"{market}.{name}": values
        for market, each in zip(panel.markets, arrays, strict=True)
        for name, values in each.items()
    }
    return panel, pl.DataFrame(columns)


def _few_for_talib() -> tuple[Panel, list[dict[str, Array]]]:
    return _for_talib(_FEW)


def _few_for_polars() -> tuple[Panel, pl.DataFrame]:
    return _for_polars(_FEW)


def _ours(given: tuple[Panel, Any]) -> Array:
    features = [indicator.ours for indicator in _INDICATORS]
    done = compute(given[0], features, workers=_THREADS)
    return np.array([done[feature][_ROWS] for feature in features])


def _talib(given: tuple[Panel, list[dict[str, Array]]]) -> Array:
    import talib

    def of_market(bars: dict[str, Array]) -> list[Array]:
        return [indicator.talib(talib, bars) for indicator in _INDICATORS]

    with ThreadPoolExecutor(_THREADS) as pool:
        done = list(pool.map(of_market, given[1]))
    return np.array([[[column[row] for column in market] for market in done] for row in _ROWS]).transpose(
        2, 0, 1
    )


def _polars(given: tuple[Panel, pl.DataFrame]) -> Array:
    panel, frame = given
    wanted = [
        indicator.polars(market).alias(f"{number}.{market}")
        for number, indicator in enumerate(_INDICATORS)
        for market in panel.markets
    ]
    done = frame.select(wanted)
    values = np.array([done.row(row) for row in _ROWS], dtype=np.float64)
    return values.reshape(len(_ROWS), len(_INDICATORS), len(panel.markets)).transpose(1, 0, 2)


def _agree(ours: Array, theirs: Array) -> None:
    # The peers carry running sums and endless memories; tolerances are those of the indicators' tests.
    for indicator, left, right in zip(_INDICATORS, ours, theirs, strict=True):
        np.testing.assert_allclose(
            left, right, rtol=indicator.tolerance, atol=indicator.tolerance, err_msg=str(indicator.ours)
        )


CASES = (
    Case(
        name="20 indicators, 50 markets x 100,000 bars, 2 threads",
        peer="ta-lib",
        prepare=_for_talib,
        rehearse=_few_for_talib,
        ours=_ours,
        theirs=_talib,
        agree=_agree,
    ),
    Case(
        name="20 indicators, 50 markets x 100,000 bars, expressions",
        peer="polars",
        prepare=_for_polars,
        rehearse=_few_for_polars,
        ours=_ours,
        theirs=_polars,
        agree=_agree,
    ),
)
