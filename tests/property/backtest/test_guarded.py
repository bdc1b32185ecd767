"""Accounts with plain limits that keep figures alone have the bits of the general engine."""

from __future__ import annotations

import numpy as np
import pytest

from lab.backtest import METRICS, ExecutionPrices, simulate_weights
from lab.backtest.batch import Batch
from lab.backtest.survey import NONE
from lab.risk import Limits
from tests.oracle.engines import costs_of
from tests.oracle.portfolios import Case, panel_of, random_case

ACCOUNTS = 150


def some_limits(random: np.random.Generator, rate: float) -> Limits:
    """Return plain limits of every kind: off, at their edges, and such that they act on most bars."""
    return Limits(
        max_position=float(random.choice([1.0, 0.6, 0.3, 0.05])),
        max_exposure=float(random.choice([1.0, 0.9, 0.4])),
        rebalance_band=float(random.choice([0.0, 0.002, 0.02, 0.2])),
        min_order=float(random.choice([0.0, 0.0, 0.001, 0.05])),
        max_daily_loss=float(random.choice([1.0, 0.2, 0.02, 0.0])),
        cost_rate=rate * float(random.integers(0, 2)),
        min_cash=float(random.choice([0.0, 0.0, 0.1])),
    )


def drawn(seed: int) -> tuple[Case, ExecutionPrices, Limits, int]:
    """Return an account, on bars of a day or on bars of six hours, which share days; and its lag."""
    random = np.random.default_rng([17, seed])
    case = random_case(40_000 + seed, 50, int(random.integers(1, 12)))
    panel = panel_of(case.opens, case.closes, str(random.choice(["1d", "6h"])))
    lag = int(random.integers(0, 3))
    prices = ExecutionPrices.from_panel(panel, "open" if lag else "close")
    return case, prices, some_limits(random, costs_of(case).rate), lag


def batch_of(case: Case, prices: ExecutionPrices, limits: Limits, lag: int, alone: bool = False) -> Batch:
    return Batch.of(
        prices, costs=costs_of(case), limits=limits, cash=case.cash, lag=lag, metrics=METRICS, alone=alone
    )


def decided(batch: Batch, weights: np.ndarray):
    values = np.ascontiguousarray(weights).view()
    values.flags.writeable = False
    found = batch.survey(values, None, 0)
    assert found is not None
    return found


def test_returns_and_figures_are_those_of_the_general_engine() -> None:
    acted, tripped, waited = 0, 0, 0
    for seed in range(ACCOUNTS):
        case, prices, limits, lag = drawn(seed)
        batch = batch_of(case, prices, limits, lag)
        decision = decided(batch, case.weights)
        kept = np.empty((1, len(prices)))
        figures = batch.figures([decision], 1, kept)[0]
        given = {"costs": costs_of(case), "cash": case.cash, "lag": lag}
        expected = simulate_weights(prices, case.weights, limits=limits, **given)
        assert kept[0].tolist() == expected.bars.returns.tolist(), seed
        np.testing.assert_array_equal(figures, [expected.metrics[name] for name in METRICS])
        free = simulate_weights(prices, case.weights, costs=costs_of(case), cash=case.cash, lag=lag)
        daily = simulate_weights(prices, case.weights, limits=limits._replace(max_daily_loss=1.0), **given)
        acted += kept[0].tolist() != free.bars.returns.tolist()
        tripped += kept[0].tolist() != daily.bars.returns.tolist()
        waited += int((decision.rows == NONE).sum())
    # What the accounts are meant to contain is in them.
    assert acted > ACCOUNTS / 2
    assert tripped > ACCOUNTS / 10
    assert waited > 100


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_3_000_accounts(tally) -> None:
    failed = []
    for seed in range(10_000, 13_000):
        case, prices, limits, lag = drawn(seed)
        kept = np.empty((1, len(prices)))
        batch = batch_of(case, prices, limits, lag)
        batch.figures([decided(batch, case.weights)], 1, kept)
        given = {"costs": costs_of(case), "cash": case.cash, "lag": lag}
        expected = simulate_weights(prices, case.weights, limits=limits, **given)
        failed += [] if kept[0].tolist() == expected.bars.returns.tolist() else [seed]
    tally("accounts with plain limits, to the bit", cases=3_000, failed=len(failed), seed=10_000)
    assert not failed


@pytest.mark.parametrize("seed", range(4))
def test_accounts_of_one_market_each_are_such_accounts_too(seed: int) -> None:
    case, prices, limits, lag = drawn(900 + seed)
    batch = batch_of(case, prices, limits, lag, alone=True)
    figures = batch.figures([decided(batch, case.weights)], 1)
    for i, own in enumerate(prices.each()):
        alone = batch_of(case, own, limits, lag)
        expected = alone.figures([decided(alone, case.weights[:, i : i + 1])], 1)
        np.testing.assert_array_equal(figures[i], expected[0])
