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
LARGE = {**GRID, "threshold": [k / 2_000 for k in range(1_000)]}


@pytest.fixture(scope="module")
def panel() -> Panel:
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(1).normal(0.001, 0.03, (300, 3)), axis=0)
    return panel_of(closes, closes)


def prepared(panel: Panel, grid, **options) -> Sweep:
    return Sweep(
        strategy_of("time_series_momentum"), grid, panel, costs=Costs(), metrics=["sharpe"], **options
    )


def counting() -> Clocks:
    """Return clocks that say a second has passed at each look, and four of processors."""
    ticks, busy = itertools.count(), itertools.count(step=4)
    return Clocks(lambda: float(next(ticks)), lambda: float(next(busy)))


def test_time_is_scaled_from_the_sets_tried(panel: Panel) -> None:
    # What is tried takes a second; of 300 sets all are tried, and all features are there by then.
    assert plan_sweep(prepared(panel, GRID), clocks=counting()).seconds == 1.0
    plan = plan_sweep(prepared(panel, LARGE), clocks=counting())
    assert plan.sets == 6_000
    assert plan.features == 5
    # One thread takes 16 sets at a time: 32 runs of 16 are tried first, and a second is long enough.
    assert plan.seconds == pytest.approx(6_000 / 512)
    assert plan.processor_seconds == pytest.approx(4 * plan.seconds)
    assert plan.peak_mb > plan.memory_mb


def test_sets_that_are_tried_are_spread_and_done_once(panel: Panel) -> None:
    tried: list[list[int]] = []
    sweep = prepared(panel, LARGE)
    plan = plan_sweep(sweep, run=lambda places: tried.append(list(places)), clocks=counting())
    assert tried[0] == [0]
    for places in tried[1:]:
        assert len(places) == len(set(places)) == 512
        assert places == sorted(places)
        # Every part of the grid has as many, and all values of the axis in the middle are among them.
        assert np.histogram(places, bins=8, range=(0, 6_000))[0].tolist() == [64] * 8
        assert {sweep.sets.values(place)["vol_window"] for place in places} == {5, 8}
    # Nothing was done with them, so that all features are still to be computed, a quarter of a second each.
    assert plan.seconds == pytest.approx(6_000 / 512 + 5 / 4)


def test_features_that_do_not_fit_are_counted_as_often_as_they_are_computed(panel: Panel) -> None:
    grid = {"threshold": [0.0, 0.01, 0.02], "lookback_window": [5, 10, 20, 40, 60], "vol_window": [5]}
    each = 8 * 900 / 2**20
    sweep = prepared(panel, grid, memory_mb=8 * each)
    assert 4 <= sweep.features_at_a_time < 5
    plan = plan_sweep(sweep, clocks=counting())
    before = sweep.features_computed
    sweep.run(0, len(sweep))
    computed = sweep.features_computed - before
    assert computed > plan.features
    # All 15 sets are tried in a second, of which a quarter goes for every feature that is computed again.
    assert plan.seconds == pytest.approx(computed / 4, abs=0.3)


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
    assert plan_sweep(prepared(panel, {"lookback_window": []})).seconds == 0.0
