"""Engine cases: many weight sets through the fused kernel, and through vectorbt as groups of one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest import simulate_many, sweep
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.pipeline.bench.harness import Case
from lab.strategies import strategy_of

__all__ = ["CASES", "random_walk"]

Array = NDArray[np.float64]
_COSTS = Costs(fee_bps=10.0, slippage_bps=5.0)


class _Sets(NamedTuple):
    panel: Panel
    weights: list[Array]


def random_walk(markets: int, bars: int) -> Panel:
    """Return markets that wander, the same at every call."""
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1d")
    number = np.arange(10_000, 10_000 + bars)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.03, (bars, markets)), axis=0))
    open_ = close * np.exp(draw.normal(0, 0.002, close.shape))
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(markets))
    return Panel(grid, number, grid.open_times(number), names, {"open": open_, "close": close})


def _weight_sets(sets: int, markets: int, bars: int) -> _Sets:
    """Return wandering markets and weights that change on every bar."""
    panel = random_walk(markets, bars)
    draw = np.random.default_rng(1)
    weights = [draw.dirichlet(np.ones(markets), bars) * 0.95 for _ in range(sets)]
    return _Sets(panel, weights)


def _fused(given: _Sets) -> list[float]:
    table = simulate_many(given.panel, given.weights, costs=_COSTS, metrics=["total_return"])
    return table["total_return"].to_list()


def _vectorbt(given: _Sets) -> list[float]:
    import pandas as pd
    import vectorbt as vbt

    markets = len(given.panel.markets)
    sets = len(given.weights)
    names = pd.MultiIndex.from_product([range(sets), range(markets)], names=["set", "market"])
    targets = np.concatenate(given.weights, axis=1)
    shifted = np.vstack([np.full((1, targets.shape[1]), np.nan), targets[:-1]])
    index = pd.DatetimeIndex(given.panel.ts)

    def wide(values: Array) -> Any:
        return pd.DataFrame(np.tile(values, (1, sets)), index=index, columns=names)

    account = vbt.Portfolio.from_orders(
        close=wide(given.panel["close"]),
        size=pd.DataFrame(shifted, index=index, columns=names),
        size_type="targetpercent",
        direction="longonly",
        price=wide(given.panel["open"]),
        val_price=wide(given.panel["open"]),
        fees=_COSTS.fee,
        slippage=_COSTS.slippage,
        min_size=0.0,
        max_size=np.inf,
        init_cash=10_000.0,
        cash_sharing=True,
        group_by="set",
        call_seq="auto",
        freq="1d",
    )
    return [float(value) for value in account.total_return()]


def _agree(ours: list[float], theirs: list[float]) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def _many() -> _Sets:
    return _weight_sets(200, 20, 2_000)


def _long() -> _Sets:
    return _weight_sets(100, 4, 50_000)


def _few() -> _Sets:
    return _weight_sets(2, 4, 50)


class _Grid(NamedTuple):
    panel: Panel
    thresholds: int


def _swept(given: _Grid, thresholds: int) -> Array:
    """Return the Sharpe ratios of sets that share 45 features, whatever their number."""
    grid = {
        "lookback_window": list(range(10, 210, 5)),
        "vol_window": [10, 20, 30, 40, 60],
        "threshold": np.linspace(0.0, 0.2, given.thresholds)[:: given.thresholds // thresholds].tolist(),
    }
    strategy = strategy_of("time_series_momentum")
    table = sweep(strategy, grid, given.panel, costs=_COSTS, metrics=["sharpe"], workers=None)
    return table["sharpe"].to_numpy().reshape(200, thresholds)


def _every_set(given: _Grid) -> Array:
    return _swept(given, given.thresholds)


def _some_sets(given: _Grid) -> Array:
    return _swept(given, given.thresholds // 100)


def _among(ours: Array, theirs: Array) -> None:
    np.testing.assert_array_equal(ours[:, :: ours.shape[1] // theirs.shape[1]], theirs)


def _large_grid() -> _Grid:
    return _Grid(random_walk(20, 4_000), 500)


def _small_grid() -> _Grid:
    return _Grid(random_walk(3, 300), 100)


CASES = (
    Case(
        name="simulate 200 weight sets x 20 markets x 2,000 bars",
        peer="vectorbt",
        prepare=_many,
        ours=_fused,
        theirs=_vectorbt,
        agree=_agree,
        rehearse=_few,
        most_runs=3,
    ),
    Case(
        name="simulate 100 weight sets x 4 markets x 50,000 bars",
        peer="vectorbt",
        prepare=_long,
        ours=_fused,
        theirs=_vectorbt,
        agree=_agree,
        rehearse=_few,
        most_runs=2,
    ),
    Case(
        name="sweep 100,000 parameter sets with 45 features between them (memory)",
        peer="1,000 of them",
        prepare=_large_grid,
        ours=_every_set,
        theirs=_some_sets,
        agree=_among,
        rehearse=_small_grid,
        most_runs=1,
    ),
)
