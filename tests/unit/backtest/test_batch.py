"""Many simulations at once have the bits of the backtests they stand for."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.backtest import METRICS, run_backtest, simulate_many, sweep
from lab.backtest.threads import in_threads
from lab.core.errors import ConfigError, FrameError, WeightError
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.strategies import decide, strategy_of
from tests.oracle.portfolios import panel_of, random_case

COSTS = Costs(fee_bps=20.0, slippage_bps=30.0)
RISK = RiskSettings(max_position_pct=0.5, rebalance_band_pct=0.02)


@pytest.mark.parametrize("risk", [None, RISK])
def test_every_row_has_the_bits_of_its_backtest(risk: RiskSettings | None) -> None:
    held = 0
    for seed in range(25):
        case = random_case(500 + seed, 60, 1 + seed % 7)
        table = simulate_many(case.panel, [case.weights], costs=COSTS, risk=risk, cash=case.cash)
        result = run_backtest(case.panel, case.weights, costs=COSTS, risk=risk, cash=case.cash)
        np.testing.assert_array_equal(table.row(0), [result.metrics[name] for name in METRICS])
        held += result.orders.height
    assert held > 500


def test_a_metric_does_not_depend_on_which_others_are_asked_for() -> None:
    case = random_case(7, 80, 5)
    every = simulate_many(case.panel, [case.weights], costs=COSTS)
    for name in METRICS:
        alone = simulate_many(case.panel, [case.weights], costs=COSTS, metrics=[name])
        np.testing.assert_array_equal(alone[name].to_numpy(), every[name].to_numpy())


def test_sets_come_back_in_order_from_any_number_of_threads() -> None:
    case = random_case(8, 40, 3)
    sets = [np.nan_to_num(case.weights) * share for share in np.linspace(0.0, 1.0, 70)]
    tables = [simulate_many(case.panel, sets, costs=COSTS, workers=workers) for workers in (1, 2, 5)]
    assert tables[0].equals(tables[1], null_equal=True)
    assert tables[0].equals(tables[2], null_equal=True)
    assert tables[0]["exposure"].is_sorted()
    assert simulate_many(case.panel, [], costs=COSTS).height == 0


@pytest.mark.parametrize("sets", [7, 16, 45])
def test_sets_that_run_together_have_the_bits_of_one_alone(sets: int) -> None:
    case = random_case(11, 150, 6)
    random = np.random.default_rng(sets)
    weights = [case.weights * share for share in random.uniform(0.0, 1.0, sets)]
    weights[1] = np.where(random.random(case.weights.shape) < 0.9, np.nan, weights[1])  # hardly ever trades
    for metrics in (["total_return"], ["sharpe", "max_drawdown"], METRICS):
        together = simulate_many(case.panel, weights, costs=COSTS, metrics=metrics, workers=1)
        alone = [simulate_many(case.panel, [one], costs=COSTS, metrics=metrics) for one in weights]
        assert together.equals(pl.concat(alone), null_equal=True)
    np.testing.assert_array_equal(
        [row[METRICS.index("sharpe")] for row in together.rows()],
        [run_backtest(case.panel, one, costs=COSTS).metrics["sharpe"] for one in weights],
    )


def test_few_chunks_wait_at_any_time() -> None:
    made, done = [], []

    def jobs():
        for number in range(400):
            made.append(number)
            yield number

    for part in in_threads(lambda chunk: chunk, jobs(), workers=2, chunk=10):
        done += part
        assert len(made) - len(done) <= 60
    assert done == list(range(400))


def test_weights_that_cannot_be_held_are_refused() -> None:
    case = random_case(9, 20, 2)
    for wrong, error in ((-0.1, WeightError), (1.1, WeightError), (np.inf, WeightError)):
        weights = np.zeros((20, 2))
        weights[3, 1] = wrong
        with pytest.raises(error, match="M00001"):
            simulate_many(case.panel, [weights], costs=COSTS)
    with pytest.raises(WeightError, match="sum to"):
        simulate_many(case.panel, [np.full((20, 2), 0.6)], costs=COSTS)
    with pytest.raises(FrameError, match="shape"):
        simulate_many(case.panel, [np.zeros((3, 2))], costs=COSTS)


@pytest.mark.parametrize("risk", [None, RISK])
def test_accounts_alone_are_backtests_of_one_market(risk: RiskSettings | None) -> None:
    strategy = strategy_of("time_series_momentum")
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(1).normal(0.001, 0.03, (120, 3)), axis=0)
    closes[40:43, 1] = np.nan
    closes[:30, 2] = np.nan
    panel = panel_of(closes, closes)
    grid = {"lookback_window": [5, 20]}
    table = sweep(strategy, grid, panel, costs=COSTS, risk=risk, accounts="alone")
    assert table["market"].to_list() == list(panel.markets) * 2
    for row in table.iter_rows(named=True):
        part = panel.select([row["market"]])
        weights = decide(strategy, part, strategy.params(lookback_window=row["lookback_window"]))
        result = run_backtest(part, weights, costs=COSTS, risk=risk)
        np.testing.assert_array_equal(
            [row[name] for name in METRICS], [result.metrics[name] for name in METRICS]
        )
    with pytest.raises(ConfigError, match="compares markets"):
        sweep(strategy_of("dual_momentum"), {}, panel, costs=COSTS, accounts="alone")
    with pytest.raises(ConfigError, match="accounts='each'"):
        sweep(strategy, {}, panel, costs=COSTS, accounts="each")  # type: ignore[arg-type]


def test_a_small_memory_computes_features_again_and_changes_nothing() -> None:
    strategy = strategy_of("time_series_momentum")
    closes = 100.0 * np.cumprod(1.0 + np.random.default_rng(2).normal(0, 0.03, (3000, 20)), axis=0)
    panel = panel_of(closes, closes)
    grid = [{"lookback_window": far, "vol_window": near} for far in (10, 20, 30, 10, 20) for near in (10, 20)]
    plenty = sweep(strategy, grid, panel, costs=COSTS)
    steps: list[tuple[int, int]] = []
    tight = sweep(
        strategy,
        grid,
        panel,
        costs=COSTS,
        memory_mb=2.5,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert tight.equals(plenty, null_equal=True)
    assert steps[-1] == (10, 10)
    with pytest.raises(ConfigError, match="a single set need"):
        sweep(strategy, grid, panel, costs=COSTS, memory_mb=1.0)
