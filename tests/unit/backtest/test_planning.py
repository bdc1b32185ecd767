from __future__ import annotations

import itertools

import numpy as np
import pytest

from lab.backtest import Sweep, plan_sweep
from lab.core.panel import Panel
from lab.costs import Costs
from lab.strategies import strategy_of
from tests.oracle.portfolios import panel_of

GRID = {"lookback_window": [5, 10, 20], "vol_window": [5, 8], "threshold": [k / 100 for k in range(50)]}


@pytest.fixture(scope="module")
def panel() -> Panel:
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(1).normal(0.001, 0.03, (300, 3)), axis=0)
    return panel_of(closes, closes)


def prepared(panel: Panel, grid, **options) -> Sweep:
    return Sweep(
        strategy_of("time_series_momentum"), grid, panel, costs=Costs(), metrics=["sharpe"], **options
    )


def test_time_is_scaled_from_the_sets_tried(panel: Panel) -> None:
    # A clock that says a second has passed at each look: both runs of 32 sets take one.
    ticks = itertools.count()
    plan = plan_sweep(prepared(panel, GRID), clock=lambda: float(next(ticks)))
    assert plan.sets == 300
    assert plan.features == 5
    assert plan.seconds == pytest.approx(300 / 32)


def test_memory_grows_with_features_and_not_with_sets(panel: Panel) -> None:
    few = plan_sweep(prepared(panel, {"lookback_window": [5, 10]}), rows_kept=100)
    more = plan_sweep(prepared(panel, {"lookback_window": [5, 10, 15, 20]}), rows_kept=100)
    many = {"lookback_window": [5, 10], "threshold": [k / 1_000 for k in range(1_000)]}
    assert plan_sweep(prepared(panel, many), rows_kept=2).memory_mb == pytest.approx(few.memory_mb, rel=0.05)
    assert more.memory_mb - few.memory_mb == pytest.approx(2 * 8 * 900 / 2**20, rel=0.05)


def test_a_listed_grid_and_no_grid_are_planned_too(panel: Panel) -> None:
    listed = [{"lookback_window": window} for window in (5, 5, 9)]
    assert plan_sweep(prepared(panel, listed)).features == 3
    assert plan_sweep(prepared(panel, [])).seconds == 0.0
