"""The compiled risk step against its plain twin, and against each limit computed on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import composite

from lab.costs import Costs
from lab.risk import HALTED, NORMAL, REDUCE_ONLY, Limits, RiskState, reason_names, step
from tests.oracle import risk as oracle

MODES = {NORMAL: "NORMAL", REDUCE_ONLY: "REDUCE_ONLY", HALTED: "HALTED"}
# Multiples of 1/64 are exact, so that "at the limit" happens; the free floats find rounding.
SHARES = st.one_of(st.integers(0, 64).map(lambda n: n / 64), st.floats(0.0, 1.0))
SMALL = st.one_of(st.just(0.0), st.floats(0.0, 0.1))


@composite
def cases(draw: Any) -> tuple[np.ndarray, RiskState, Limits]:
    n = draw(st.integers(1, 6))
    target = draw(st.lists(st.one_of(SHARES, st.just(0.0), st.just(np.nan)), min_size=n, max_size=n))
    held = np.array(draw(st.lists(SHARES, min_size=n, max_size=n)))
    invested = draw(SHARES)
    if held.sum() > 0:
        held = held / held.sum() * invested
    tradeable = np.array(draw(st.lists(st.sampled_from([True, True, True, False]), min_size=n, max_size=n)))
    mode = draw(st.sampled_from([NORMAL, NORMAL, REDUCE_ONLY, HALTED]))
    state = RiskState(1000.0 * draw(st.floats(0.5, 1.5)), held, tradeable, 19_000, 1000.0, mode)
    limits = Limits(
        max_position=draw(SHARES),
        max_exposure=draw(SHARES),
        rebalance_band=draw(SMALL),
        min_order=draw(SMALL),
        max_daily_loss=draw(st.sampled_from([1.0, 0.03, 0.1])),
        cost_rate=draw(st.one_of(st.just(0.0), st.just(Costs().rate), st.floats(0.0, 0.1))),
    )
    return np.array(target), state, limits


@given(cases())
def test_equals_the_plain_twin(case: tuple[np.ndarray, RiskState, Limits]) -> None:
    target, state, limits = case
    permitted, after, reasons = step(target, state, limits)
    expected, mode, why = oracle.step(
        target.tolist(),
        equity=state.equity,
        weights=state.weights.tolist(),
        tradeable=state.tradeable.tolist(),
        day_start_equity=state.day_start_equity,
        mode=MODES[state.mode],
        limits=limits._asdict(),
    )
    wanted = [np.nan if weight is None else weight for weight in expected]
    np.testing.assert_allclose(permitted, wanted, rtol=0, atol=1e-12)
    assert MODES[after.mode] == mode
    assert [set(reason_names(code)) for code in reasons] == why


@given(cases())
def test_only_reduces(case: tuple[np.ndarray, RiskState, Limits]) -> None:
    target, state, limits = case
    permitted, _, reasons = step(target, state, limits)
    assert not (permitted > target).any()
    assert np.isnan(permitted[np.isnan(target)]).all()
    assert np.isnan(permitted[~state.tradeable]).all()
    changed = ~np.isnan(target) & ~(permitted == target)
    assert (reasons[changed] != 0).all()
    assert (reasons[np.isnan(target)] == 0).all()


@given(cases())
def test_no_trade_leads_beyond_a_limit(case: tuple[np.ndarray, RiskState, Limits]) -> None:
    target, state, limits = case
    permitted, _, _ = step(target, state, limits)
    held = np.where(np.isnan(permitted), state.weights, permitted)
    assert (permitted[~np.isnan(permitted)] <= limits.max_position).all()
    buys = held > state.weights
    if buys.any():
        assert held.sum() <= limits.max_exposure + 1e-9
    changes = np.abs(held - state.weights)
    sent = ~np.isnan(permitted) & (permitted != 0.0)
    assert (changes[sent] >= limits.min_order).all()


@given(cases())
def test_cash_pays_for_everything(case: tuple[np.ndarray, RiskState, Limits]) -> None:
    target, state, limits = case
    permitted, _, _ = step(target, state, limits)
    change = np.where(np.isnan(permitted), 0.0, permitted - state.weights)
    costs = limits.cost_rate * np.abs(change).sum()
    cash = 1.0 - state.weights.sum()
    # Selling may cost more than there is; then at least nothing is bought.
    assert cash - change.sum() - costs >= -1e-9 or not (change > 0.0).any()


@given(cases())
def test_exits_and_reductions_pass(case: tuple[np.ndarray, RiskState, Limits]) -> None:
    target, state, limits = case
    permitted, _, _ = step(target, state, limits)
    exits = (target == 0.0) & state.tradeable
    assert (permitted[exits] == 0.0).all()
    free = limits._replace(rebalance_band=0.0, min_order=0.0)
    permitted, _, _ = step(target, state, free)
    reductions = (target < state.weights - 1e-9) & state.tradeable
    assert (permitted[reductions] <= target[reductions]).all()


@given(cases(), st.sampled_from([REDUCE_ONLY, HALTED]))
def test_nothing_is_bought_unless_normal(case: tuple[np.ndarray, RiskState, Limits], mode: int) -> None:
    target, state, limits = case
    permitted, after, _ = step(target, state._replace(mode=mode), limits)
    assert not (permitted > state.weights).any()
    assert after.mode == mode
