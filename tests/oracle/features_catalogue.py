"""One feature or more of every definition, with short memories: what all tests of features go through."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab import features as made
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe

Array = NDArray[np.float64]
HOUR = Timeframe.parse("1h")

MARKETS = tuple(f"x:M{j}/USDT" for j in range(5))

OF_ONE_MARKET: tuple[Feature, ...] = (
    made.adx(2),
    made.amihud(10),
    made.aroon_down(8),
    made.aroon_oscillator(9),
    made.aroon_up(7),
    made.atr(14),
    made.bars_since_highest("high", 9),
    made.bars_since_lowest("low", 8),
    made.beta("close", "volume", 12),
    made.bollinger_percent("close", 20),
    made.bollinger_width("close", 11, 1.5),
    made.breakout(6),
    made.chande_momentum("close", 9),
    made.coarser(made.mean("close", 3), "4h", of="1h"),
    made.coarser(made.atr(2), "1d", of="1h"),
    made.commodity_channel(9),
    made.correlation("close", "volume", 15),
    made.day_of_week(),
    made.deviation("close", 7),
    made.dollar_volume(12),
    made.double_ema("close", 3),
    made.ema("close", 1),
    made.ema("close", 5),
    made.ewma_volatility(4),
    made.garman_klass(13),
    made.highest("high", 55),
    made.hour_of_day(),
    made.kurtosis("close", 12),
    made.latest("funding_rate", 8),
    made.linear_regression("close", 10),
    made.log_return("close", 3),
    made.lowest("low", 7),
    made.macd("close", 2, 5),
    made.macd_histogram("close", 2, 4, 2),
    made.macd_signal("close", 2, 4, 3),
    made.mean("close", 1),
    made.mean("close", 20),
    made.mean_absolute_deviation("close", 9),
    made.median("volume", 11),
    made.minus_di(3),
    made.money_flow(10),
    made.money_flow_index(9),
    made.obv(12),
    made.order_flow_imbalance(11),
    made.parkinson(9),
    made.plus_di(3),
    made.quantile("volume", 10, 0.3),
    made.rank("close", 13),
    made.rogers_satchell(8),
    made.rsi("close", 3),
    made.simple_return("close", 30),
    made.skewness("close", 11),
    made.slope("close", 14),
    made.stochastic_d(8, 3),
    made.stochastic_k(9),
    made.total("volume", 24),
    made.trend_regime(5, 20),
    made.trix("close", 2),
    made.variance("close", 8),
    made.volatility(20),
    made.volatility_regime(6, 15),
    made.vwap(10),
    made.vwap_distance(9),
    made.weighted_mean("close", 10),
    made.wilder("close", 3),
    made.wilder_atr(3),
    made.williams_r(10),
    made.zscore("close", 48),
)
OF_THE_UNIVERSE: tuple[Feature, ...] = (
    made.market_beta(MARKETS[0], 12),
    made.market_correlation(MARKETS[1], 11),
    made.universe_rank(made.simple_return("close", 5)),
    made.universe_zscore(made.coarser(made.mean("volume", 2), "4h", of="1h")),
    made.universe_zscore(made.latest("close")),
)
EVERY = OF_ONE_MARKET + OF_THE_UNIVERSE


def shipped_definitions() -> set[str]:
    """Return the names that lab.features registers; strategies and other tests register some of their own."""
    return {
        name
        for name, definition in made.definitions().items()
        if definition.evaluate.__module__.startswith("lab.features.")
    }


def make_panel(seed: int, rows: int = 260, markets: int = 5, holes: float = 0.05) -> Panel:
    """Return random bars of any magnitude, some missing, with equal prices and no volume at times."""
    generator = np.random.default_rng(seed)
    bar = np.arange(400_003 + seed, 400_003 + seed + rows)
    scale = 10.0 ** generator.integers(-8, 6, markets)
    steps = generator.normal(0.0, 0.02, (rows, markets)) * (generator.random((rows, markets)) > 0.1)
    open_ = scale * np.exp(np.cumsum(steps, axis=0))
    close = open_ * np.exp(generator.normal(0.0, 0.01, (rows, markets)))
    wick = 1.0 + 0.01 * generator.random((rows, markets))
    volume = generator.lognormal(25.0, 2.0, (rows, markets))
    volume[generator.random((rows, markets)) < 0.03] = 0.0
    fields = {
        "open": open_,
        "close": close,
        "high": np.maximum(open_, close) * wick,
        "low": np.minimum(open_, close) / wick,
        "volume": volume,
    }
    missing = generator.random((rows, markets)) < holes
    for values in fields.values():
        values[missing] = np.nan
    rates = generator.normal(0.0, 1e-4, (rows, markets))
    fields["funding_rate"] = np.where(bar[:, None] % 8 == 0, rates, np.nan)
    names = tuple(f"x:M{j}/USDT" for j in range(markets))
    return Panel(HOUR, bar, HOUR.open_times(bar), names, fields)


def same_bits(left: Array, right: Array) -> bool:
    both = np.isnan(left) & np.isnan(right)
    bits = np.ascontiguousarray(left).view(np.int64) == np.ascontiguousarray(right).view(np.int64)
    return bool((bits | both).all())
