from __future__ import annotations

import itertools

import numpy as np
import pytest

from lab.backtest import Clocks, Sweep, plan_sweep
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
    # Clocks that say a second has passed at each look: both rounds take one.
    ticks, busy = itertools.count(), itertools.count(step=2)
    plan = plan_sweep(
        prepared(panel, GRID), clocks=Clocks(lambda: float(next(ticks)), lambda: 2.0 * next(busy))
    )
    assert plan.sets == 300
    assert plan.features == 5
    # One thread takes 16 sets at a time, and three times as many are tried together: 7 runs of 48.
    assert plan.seconds == pytest.approx(300 / (7 * 48))
    assert plan.processor_seconds == pytest.approx(4 * plan.seconds)
    assert plan.peak_mb > plan.memory_mb


def test_what_is_done_with_the_rows_is_tried_too(panel: Panel) -> None:
    tried: list[tuple[int, int]] = []
    plan = plan_sweep(prepared(panel, GRID), run=lambda start, stop: tried.append((start, stop)))
    assert plan.features == 5
    assert (0, 48) in tried
    assert (252, 300) in tried
    assert all(0 <= start < stop <= 300 for start, stop in tried)


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
