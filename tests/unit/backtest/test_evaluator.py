"""Sets that come one batch at a time have the bits of simulations on the same window."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from lab.backtest import METRICS, Bars, Evaluator, ExecutionPrices, compute_metrics, simulate_weights, sweep
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.risk import Limits
from lab.strategies import decide, strategy_of
from tests.oracle.portfolios import panel_of

STRATEGY = strategy_of("time_series_momentum")
COSTS = Costs(fee_bps=10.0, slippage_bps=20.0)
RISK = RiskSettings(max_position_pct=0.4, rebalance_band_pct=0.01, max_drawdown_pct=0.2)
SETS = [STRATEGY.params(lookback_window=window, vol_window=8) for window in range(3, 25)]
START = 30


@pytest.fixture(scope="module")
def panel() -> Panel:
    random = np.random.default_rng(5)
    closes = 100.0 * np.cumprod(1.0 + random.normal(0.001, 0.03, (150, 3)), axis=0)
    closes[60:63, 1] = np.nan
    closes[:40, 2] = np.nan
    return panel_of(np.vstack([closes[:1], closes[:-1]]), closes)


def one_by_one(panel: Panel, risk: RiskSettings | None) -> tuple[list[Bars], float]:
    window = panel.rows(START, len(panel))
    prices = ExecutionPrices.from_panel(window)
    limits = None if risk is None else Limits.from_settings(risk, COSTS, panel.markets)
    found = []
    for params in SETS:
        weights = decide(STRATEGY, panel, params)[START:]
        found.append(simulate_weights(prices, weights, costs=COSTS, limits=limits).bars)
    return found, window.timeframe.periods_per_year


@pytest.mark.parametrize("risk", [None, RISK])
def test_figures_and_returns_are_those_of_one_simulation_each(
    panel: Panel, risk: RiskSettings | None
) -> None:
    evaluator = Evaluator(STRATEGY, panel, start=START, costs=COSTS, risk=risk)
    halves = [evaluator.evaluate(SETS[:17]), evaluator.evaluate(SETS[17:])]
    alone, year = one_by_one(panel, risk)
    wanted = [compute_metrics(bars, periods_per_year=year) for bars in alone]
    np.testing.assert_array_equal(
        np.vstack([one.returns for one in halves]), [bars.returns for bars in alone]
    )
    np.testing.assert_array_equal(
        np.vstack([one.figures for one in halves]), [[row[name] for name in METRICS] for row in wanted]
    )
    assert len({row["sharpe"] for row in wanted}) == len(SETS)


@pytest.mark.parametrize("risk", [None, RISK])
def test_only_the_counted_bars_are_in_the_figures(panel: Panel, risk: RiskSettings | None) -> None:
    counted = np.array([3, 4, 5, 40, 41, 90, 119])
    names = ("total_return", "turnover", "max_drawdown")
    evaluator = Evaluator(
        STRATEGY, panel, start=START, costs=COSTS, risk=risk, counted=counted, metrics=names
    )
    found = evaluator.evaluate(SETS)
    alone, year = one_by_one(panel, risk)
    for row, returns, bars in zip(found.figures, found.returns, alone, strict=True):
        part = Bars(bars.returns[counted], bars.turnover[counted], bars.cost[counted], bars.exposure[counted])
        expected = compute_metrics(part, periods_per_year=year)
        assert row.tolist() == [expected[name] for name in names]
        assert returns.tolist() == part.returns.tolist()


def test_threads_and_a_small_memory_change_nothing(panel: Panel) -> None:
    evaluator = Evaluator(STRATEGY, panel, start=START, costs=COSTS, memory_mb=0.02)
    expected = evaluator.evaluate(SETS).returns
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: evaluator.evaluate(SETS[i : i + 5]).returns, range(0, len(SETS), 5)))
    np.testing.assert_array_equal(np.vstack(parts), expected)


def test_a_start_that_is_no_row_is_refused(panel: Panel) -> None:
    with pytest.raises(ConfigError, match="start is 150"):
        Evaluator(STRATEGY, panel, start=150, costs=COSTS)


def test_limits_with_layers_look_at_the_bars_in_a_sweep_too(panel: Panel) -> None:
    risk = RiskSettings(max_trade_risk_pct=0.005)
    table = sweep(STRATEGY, {"lookback_window": [10]}, panel, costs=COSTS, risk=risk)
    limits = Limits.from_settings(risk, COSTS, panel.markets)
    weights = decide(STRATEGY, panel, STRATEGY.params(lookback_window=10))
    alone = simulate_weights(panel, weights, costs=COSTS, limits=limits)
    assert table["total_return"][0] == alone.metrics["total_return"] != 0.0
