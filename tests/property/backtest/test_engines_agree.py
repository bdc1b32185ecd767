"""Fused engine, vectorbt and the row loop keep the same accounts, bar by bar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.backtest.layout import CASH_SHORT, NO_PRICE
from lab.backtest.simulate import terms_of
from lab.backtest.vectorbt_engine import permitted_again, shifted
from lab.risk import Limits
from tests.oracle.engines import (
    costs_of,
    difference,
    equity_of,
    fused_account,
    oracle_account,
    prices_of,
    vectorbt_accounts,
)
from tests.oracle.portfolios import Case, random_case

TOLERANCE = 1e-9
LIMITS = Limits(
    max_position=0.6,
    max_exposure=0.9,
    rebalance_band=0.02,
    min_order=0.001,
    max_daily_loss=0.05,
    cost_rate=0.0,
)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bars = draw(st.integers(1, 10))
    markets = draw(st.integers(1, 4))
    known = st.one_of(
        st.sampled_from([1.0, 2.0, 3.0, 100.0]), st.floats(1e-6, 1e6, allow_nan=False, allow_infinity=False)
    )
    price = st.one_of(known, known, known, st.just(np.nan))
    share = st.sampled_from([0.0, 0.25, 1 / 3, 0.5, 1.0, np.nan]) | st.floats(0.0, 1.0)
    table = st.lists(st.lists(price, min_size=markets, max_size=markets), min_size=bars, max_size=bars)
    opens, closes = np.array(draw(table)), np.array(draw(table))
    weights = np.array(
        draw(st.lists(st.lists(share, min_size=markets, max_size=markets), min_size=bars, max_size=bars))
    )
    weights = weights / np.maximum(np.nansum(weights, axis=1, keepdims=True), 1.0)
    fee = draw(st.sampled_from([0.0, 10.0, 500.0]))
    return Case(opens, closes, weights, fee, draw(st.sampled_from([0.0, 5.0, 300.0])))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases(), st.sampled_from([("open", 1), ("open", 2), ("close", 0), ("close", 1)]))
def test_three_engines_keep_the_same_account(case: Case, timing: tuple[str, int]) -> None:
    price, lag = timing
    oracle = oracle_account(case, price=price, lag=lag)
    fused = fused_account(case, price=price, lag=lag)
    (theirs,) = vectorbt_accounts([case], [shifted(case.weights, lag)], price)

    assert difference(equity_of(fused), oracle.equity, case.cash) <= TOLERANCE
    assert difference(equity_of(theirs), oracle.equity, case.cash) <= TOLERANCE


@settings(max_examples=200, deadline=None)
@given(cases(), st.sampled_from([0.0, 0.02]), st.sampled_from([1, 2]))
def test_risk_in_the_loop_permits_what_the_row_loop_permits(case: Case, band: float, lag: int) -> None:
    limits = LIMITS._replace(rebalance_band=band, cost_rate=costs_of(case).rate)
    oracle = oracle_account(case, lag=lag, limits=limits)
    fused = fused_account(case, lag=lag, limits=limits)

    assert difference(equity_of(fused), oracle.equity, case.cash) <= TOLERANCE
    np.testing.assert_allclose(fused.permitted, oracle.permitted, rtol=0, atol=TOLERANCE)


def test_500_accounts_with_holes_listings_delistings_ties_and_no_cash() -> None:
    random = np.random.default_rng(20_240_101)
    batch = [random_case(seed, 40, int(random.integers(1, 9))) for seed in range(500)]
    oracles = [oracle_account(case) for case in batch]
    fused = [fused_account(case) for case in batch]
    theirs = vectorbt_accounts(batch, [shifted(case.weights, 1) for case in batch])

    for case, oracle, ours, other in zip(batch, oracles, fused, theirs, strict=True):
        assert equity_of(ours).tolist() == oracle.equity  # to the bit
        assert difference(equity_of(other), oracle.equity, case.cash) <= TOLERANCE
        assert [tuple(row[:3]) for row in ours.log[ours.log[:, 3] <= CASH_SHORT].tolist()] == [
            fill[:3] for fill in oracle.fills
        ]
    # What the batch is meant to contain is in it.
    statuses = np.concatenate([trace.log[:, 3] for trace in fused])
    assert (statuses == CASH_SHORT).sum() > 1_000
    assert (statuses == NO_PRICE).sum() > 1_000
    assert (
        sum(
            np.isnan(case.closes[-1]).any() and trace.positions[-1].any()
            for case, trace in zip(batch, fused, strict=True)
        )
        > 50
    )


@pytest.mark.parametrize("reserve", [False, True])
def test_300_accounts_with_risk_in_the_loop(reserve: bool) -> None:
    random = np.random.default_rng(20_240_102)
    batch = [random_case(seed + 1_000, 40, int(random.integers(1, 9))) for seed in range(300)]
    limits = [LIMITS._replace(cost_rate=costs_of(case).rate * reserve) for case in batch]
    fused = [fused_account(case, limits=one) for case, one in zip(batch, limits, strict=True)]
    theirs = vectorbt_accounts(batch, [trace.permitted for trace in fused])

    acted = 0
    for case, one, ours, other in zip(batch, limits, fused, theirs, strict=True):
        oracle = oracle_account(case, limits=one)
        assert difference(equity_of(ours), oracle.equity, case.cash) <= TOLERANCE
        assert difference(equity_of(other), oracle.equity, case.cash) <= TOLERANCE
        terms = terms_of(costs_of(case), one, case.cash, 1)
        again = permitted_again(other, prices_of(case), case.weights, terms)
        np.testing.assert_allclose(again, ours.permitted, rtol=0, atol=TOLERANCE)
        acted += int((ours.reasons != 0).sum())
    assert acted > 10_000


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("block", range(20))
def test_10_000_accounts(block: int) -> None:
    first = 10_000 + 500 * block
    random = np.random.default_rng([20_240_103, block])
    batch = [random_case(first + seed, 60, int(random.integers(1, 12))) for seed in range(500)]
    fused = [fused_account(case) for case in batch]
    theirs = vectorbt_accounts(batch, [shifted(case.weights, 1) for case in batch])
    failed, worst, fills = [], 0.0, 0
    for seed, (case, ours, other) in enumerate(zip(batch, fused, theirs, strict=True), first):
        apart = difference(equity_of(other), equity_of(ours), case.cash)
        same = equity_of(ours).tolist() == oracle_account(case).equity
        worst, fills = max(worst, apart), fills + int((ours.log[:, 3] <= CASH_SHORT).sum())
        failed += [] if same and apart <= TOLERANCE else [seed]
    print(
        f"\nto the bit, vectorbt within {worst:.1e}: {len(batch)} accounts, {fills:,} fills, "
        f"{len(failed)} failed {failed}, seeds {first} to {first + len(batch) - 1}"
    )
    assert not failed
