"""Engine cases: many weight sets through the fused kernel, and through vectorbt as groups of one call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest import ExecutionPrices, simulate_weights
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.pipeline.bench.harness import Case

__all__ = ["CASES"]

Array = NDArray[np.float64]
_COSTS = Costs(fee_bps=10.0, slippage_bps=5.0)


class _Sets(NamedTuple):
    panel: Panel
    weights: list[Array]


def _weight_sets(sets: int = 200, markets: int = 20, bars: int = 2_000) -> _Sets:
    """Return a random-walk market and weights that change on every bar."""
    draw = np.random.default_rng(0)
    grid = Timeframe.parse("1d")
    number = np.arange(10_000, 10_000 + bars)
    close = 100.0 * np.exp(np.cumsum(draw.normal(0, 0.03, (bars, markets)), axis=0))
    open_ = close * np.exp(draw.normal(0, 0.002, close.shape))
    names = tuple(f"synthetic:A{i:02d}/USDT" for i in range(markets))
    panel = Panel(grid, number, grid.open_times(number), names, {"open": open_, "close": close})
    weights = [draw.dirichlet(np.ones(markets), bars) * 0.95 for _ in range(sets)]
    return _Sets(panel, weights)


def _fused(given: _Sets) -> list[float]:
    prices = ExecutionPrices.from_panel(given.panel)
    return [simulate_weights(prices, w, costs=_COSTS).metrics["total_return"] for w in given.weights]


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


CASES = (
    Case(
        name="simulate 200 weight sets x 20 markets x 2,000 bars",
        peer="vectorbt",
        prepare=_weight_sets,
        ours=_fused,
        theirs=_vectorbt,
        agree=_agree,
    ),
)
