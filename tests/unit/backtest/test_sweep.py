from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.backtest import METRICS, run_backtest, simulate_weights, sweep
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.pipeline.bench.crossing import core
from lab.strategies import decide, strategy_of
from tests.oracle.portfolios import panel_of

GRID = {"lookback_window": [5, 10, 20], "vol_window": [5, 8]}
RISK = RiskSettings(max_position_pct=0.5, rebalance_band_pct=0.02)


@pytest.fixture(scope="module")
def panel() -> Panel:
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(1).normal(0.001, 0.03, (200, 3)), axis=0)
    return panel_of(np.vstack([closes[:1], closes[:-1]]), closes)


def test_every_row_is_the_backtest_of_its_set_to_the_bit(panel: Panel) -> None:
    strategy = strategy_of("time_series_momentum")
    table = sweep(strategy, GRID, panel, costs=Costs(), risk=RISK)
    assert table.select(*GRID).rows() == [(5, 5), (5, 8), (10, 5), (10, 8), (20, 5), (20, 8)]
    for row in table.iter_rows(named=True):
        params = strategy.params(**{name: row[name] for name in GRID})
        weights = decide(strategy, panel, params)
        result = run_backtest(panel, weights, costs=Costs(), risk=RISK)
        np.testing.assert_array_equal(
            [row[name] for name in METRICS], [result.metrics[name] for name in METRICS]
        )
    assert table["sharpe"].n_unique() == table.height


def test_threads_and_form_of_the_grid_do_not_matter(panel: Panel) -> None:
    strategy = strategy_of("time_series_momentum")
    grid = {"lookback_window": list(range(5, 45))}
    alone = sweep(strategy, grid, panel, costs=Costs())
    assert sweep(strategy, grid, panel, costs=Costs(), workers=3).equals(alone, null_equal=True)
    listed = [{"lookback_window": window} for window in grid["lookback_window"]]
    assert sweep(strategy, listed, panel, costs=Costs()).equals(alone, null_equal=True)


def test_only_the_metrics_asked_for(panel: Panel) -> None:
    strategy = strategy_of("time_series_momentum")
    table = sweep(strategy, GRID, panel, costs=Costs(), metrics=("sharpe", "turnover"))
    assert table.columns == ["lookback_window", "vol_window", "sharpe", "turnover"]
    assert table.schema["sharpe"] == pl.Float64


def test_an_empty_grid_is_the_family_at_its_defaults(panel: Panel) -> None:
    assert sweep(strategy_of("time_series_momentum"), {}, panel, costs=Costs()).height == 1


@pytest.mark.parametrize(
    ("grid", "metrics", "text"),
    [
        (GRID, ("sharp",), "did you mean sharpe"),
        ({"lookback_windows": [5]}, ("sharpe",), "lookback_windows"),
        ({"lookback_window": [-5]}, ("sharpe",), "parameter set 0"),
        ({"lookback_window": [5, 10, 5]}, ("sharpe",), "lookback_window has the value 5 twice"),
    ],
)
def test_what_is_not_understood_is_refused(panel: Panel, grid: dict, metrics: tuple, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        sweep(strategy_of("time_series_momentum"), grid, panel, costs=Costs(), metrics=metrics)


def test_values_that_hold_mappings_are_told_apart(panel: Panel) -> None:
    half, whole = (
        ({"family": "time_series_momentum", "weight": weight, "parameters": {"lookback_window": 5}},)
        for weight in (0.5, 1.0)
    )
    ensemble = strategy_of("ensemble")
    found = sweep(ensemble, {"members": [half, whole]}, panel, costs=Costs(), metrics=["exposure"])
    assert found["exposure"][0] < found["exposure"][1]
    with pytest.raises(ConfigError, match=r"members has the value .* twice"):
        sweep(ensemble, {"members": [half, whole, half]}, panel, costs=Costs())


@pytest.mark.parametrize("memory", [0.0, -1.0, np.nan])
def test_memory_that_is_no_amount_is_refused(panel: Panel, memory: float) -> None:
    with pytest.raises(ConfigError, match="expected megabytes above 0"):
        sweep(strategy_of("time_series_momentum"), GRID, panel, costs=Costs(), memory_mb=memory)


def test_crossings_that_are_measured_remember_sides_through_gaps_and_ties() -> None:
    fast = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, np.nan], [1.0, 3.0], [np.nan, 3.0], [3.0, 1.0]])
    slow = np.full_like(fast, 2.0)
    changes = [[np.nan] * 2, [0.5, np.nan], [np.nan] * 2, [0.0, 0.5], [np.nan] * 2, [0.5, 0.0]]
    np.testing.assert_array_equal(core(fast, slow, False, 0.5), changes)
    held = [[np.nan] * 2, [0.5, np.nan], [0.5, np.nan], [0.0, 0.5], [0.0, 0.5], [0.5, 0.0]]
    np.testing.assert_array_equal(core(fast, slow, True, 0.5), held)
    sides = np.array([[1.0], [3.0], [3.0], [1.0]])
    np.testing.assert_array_equal(
        core(sides, np.full((4, 1), 2.0), False, 1.0)[:, 0], [np.nan, 1.0, np.nan, 0.0]
    )


def test_the_fast_path_has_the_bits_of_the_backtest(panel: Panel) -> None:
    weights = np.random.default_rng(2).dirichlet(np.ones(4), len(panel))[:, :3]
    quick = simulate_weights(panel, weights, costs=Costs(), cash=500.0)
    full = run_backtest(panel, weights, costs=Costs(), cash=500.0)
    assert quick.equity.tolist() == full.equity["equity"].to_list()
    assert quick.bars.returns.tolist() == full.returns["return"].to_list()
    np.testing.assert_array_equal(list(quick.metrics.values()), [full.metrics[name] for name in METRICS])
