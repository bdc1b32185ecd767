"""Random bars and weights with everything that real ones have: holes, listings, delistings, ties, no cash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe

Array = NDArray[np.float64]

# Keys of a portfolio's risk section that take the shipped layers off.
NO_LAYERS = (
    "max_exchange_pct: 1.0, max_trade_risk_pct: null, max_order_volume_pct: null, max_trend_family_pct: 1.0, "
    "max_mean_reversion_family_pct: 1.0, max_other_family_pct: 1.0, breakers: []"
)
UNLIMITED = f"risk: {{max_weight_per_asset: 1.0, max_daily_loss_pct: 1.0, {NO_LAYERS}}}"


@dataclass(frozen=True, eq=False)
class Case:
    opens: Array
    closes: Array
    weights: Array
    fee_bps: float
    slippage_bps: float
    cash: float = 10_000.0

    @property
    def panel(self) -> Panel:
        return panel_of(self.opens, self.closes)


def panel_of(opens: Array, closes: Array, timeframe: str = "1d") -> Panel:
    grid = Timeframe.parse(timeframe)
    first = grid.number(datetime(2024, 1, 1, tzinfo=UTC))
    bar = np.arange(first, first + len(opens), dtype=np.int64)
    markets = tuple(f"synthetic:M{i:05d}/USDT" for i in range(opens.shape[1]))
    fields = {
        "open": opens,
        "high": np.fmax(opens, closes),
        "low": np.fmin(opens, closes),
        "close": closes,
        "volume": np.where(np.isnan(closes), np.nan, 1.0),
    }
    return Panel(grid, bar, grid.open_times(bar), markets, fields)


def day(number: int) -> datetime:
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number)


def random_case(seed: int, bars: int, markets: int) -> Case:
    random = np.random.default_rng([seed, bars, markets])
    opens, closes = _prices(random, bars, markets)
    return Case(
        opens,
        closes,
        _weights(random, bars, markets),
        fee_bps=float(random.choice([0.0, 1.0, 10.0, 500.0])),
        slippage_bps=float(random.choice([0.0, 5.0, 200.0])),
        cash=float(random.choice([1.0, 1_000.0, 10_000.0, 1e8])),
    )


def _prices(random: np.random.Generator, bars: int, markets: int) -> tuple[Array, Array]:
    scale = 10.0 ** random.integers(-6, 5, markets)
    deviation = random.choice([0.0, 0.01, 0.1, 0.4])
    steps = random.normal(0, deviation, (bars, 2, markets))
    if random.random() < 0.3:
        steps[:, :, 1:] = steps[:, :, :1]
        scale[:] = scale[0]
    walk = scale * np.exp(np.cumsum(steps.reshape(2 * bars, markets), axis=0)).reshape(bars, 2, markets)
    if random.random() < 0.2:
        walk = np.maximum(np.round(walk), 1.0)
    opens, closes = walk[:, 0].copy(), walk[:, 1].copy()
    for i in range(markets):
        if random.random() < 0.3:
            hidden = slice(None, random.integers(0, bars + 1))
            opens[hidden, i] = closes[hidden, i] = np.nan
        if random.random() < 0.3:
            hidden = slice(random.integers(0, bars), None)
            opens[hidden, i] = closes[hidden, i] = np.nan
    holes = random.random((bars, markets)) < random.choice([0.0, 0.1, 0.3])
    opens[holes] = np.nan
    closes[holes & (random.random((bars, markets)) < 0.8)] = np.nan
    return opens, closes


def _weights(random: np.random.Generator, bars: int, markets: int) -> Array:
    kind = random.integers(0, 5)
    if kind == 0:
        weights = random.dirichlet(np.full(markets, 0.5), bars)
    elif kind == 1:
        weights = random.dirichlet(np.ones(markets), bars) * random.random((bars, 1))
    elif kind == 2:
        weights = np.full((bars, markets), 1.0 / markets)
    elif kind == 3:
        weights = np.eye(markets)[random.integers(0, markets, bars)]
    else:
        weights = np.round(random.random((bars, markets)) * 4) / 4 / markets
    weights = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    weights[random.random((bars, markets)) < random.choice([0.0, 0.2, 0.8])] = np.nan
    weights[random.random(bars) < random.choice([0.0, 0.3])] = np.nan
    return weights


def ties(cases: int = 6, markets: int = 16) -> list[Case]:
    """Return accounts whose first orders are of two sizes, to the bit, at prices that round differently."""
    random = np.random.default_rng(7)
    made = []
    for _ in range(cases):
        walk = random.uniform(1.0, 9.0, (4, markets))
        weights = np.tile(random.choice([0.03, 0.06], markets), (4, 1))
        made.append(Case(walk, walk, weights, fee_bps=7.0, slippage_bps=3.0))
    return made


def flat_panel(bars: int = 4, markets: int = 2) -> Panel:
    prices = np.full((bars, markets), 10.0)
    return panel_of(prices, prices)


def bar_frame(panel: Panel) -> pl.DataFrame:
    frame = panel.to_frame(panel["open"], "open")
    for column in ("high", "low", "close", "volume"):
        frame = frame.with_columns(panel.to_frame(panel[column], column)[column])
    return frame.filter(pl.col("close").is_not_nan())


def weight_frame(panel: Panel, weights: np.ndarray) -> pl.DataFrame:
    return panel.to_frame(weights, "weight")
