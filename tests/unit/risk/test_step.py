"""Each rule of the risk step at its edge, one step under it and one step over it."""

from __future__ import annotations

import numpy as np
import pytest

from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.costs import Costs
from lab.risk import (
    HALTED,
    NORMAL,
    REDUCE_ONLY,
    Limits,
    Reason,
    RiskState,
    initial_state,
    observe,
    reason_names,
    step,
    step_into,
)

UP = np.nextafter


def account(*weights: float, equity: float = 1000.0, mode: int = NORMAL) -> RiskState:
    held = np.array(weights)
    return RiskState(equity, held, np.ones(len(held), dtype=np.bool_), 100, 1000.0, mode)


def run(target: list[float], state: RiskState, **limits: float) -> tuple[list[float], list[list[str]], int]:
    permitted, after, reasons = step(np.array(target), state, Limits(**limits))
    return permitted.tolist(), [reason_names(code) for code in reasons], after.mode


def test_without_limits_targets_pass_untouched() -> None:
    assert run([0.5, 0.3, 0.0], account(0.1, 0.0, 0.2)) == ([0.5, 0.3, 0.0], [[], [], []], NORMAL)


@pytest.mark.parametrize(
    ("target", "permitted", "names"),
    [
        (UP(0.3, 0.0), UP(0.3, 0.0), []),
        (0.3, 0.3, []),
        (UP(0.3, 1.0), 0.3, ["MAX_POSITION"]),
        (1.0, 0.3, ["MAX_POSITION"]),
    ],
)
def test_largest_position(target: float, permitted: float, names: list[str]) -> None:
    assert run([target], account(0.0), max_position=0.3) == ([permitted], [names], NORMAL)


def test_exposure_is_scaled_pro_rata() -> None:
    assert run([0.25, 0.25], account(0.0, 0.0), max_exposure=0.5)[1] == [[], []]
    permitted, names, _ = run([0.6, 0.2], account(0.0, 0.0), max_exposure=0.4)
    assert permitted == pytest.approx([0.3, 0.1])
    assert names == [["MAX_EXPOSURE"], ["MAX_EXPOSURE"]]


def test_kept_positions_take_room_from_the_others() -> None:
    permitted, names, _ = run([np.nan, 0.4, 0.0], account(0.3, 0.0, 0.2), max_exposure=0.5)
    assert permitted[1] == pytest.approx(0.2)
    assert np.isnan(permitted[0])
    assert permitted[2] == 0.0
    assert names == [[], ["MAX_EXPOSURE"], []]


def test_a_drifted_position_within_the_band_takes_room_from_buys() -> None:
    permitted, names, _ = run(
        [0.25, 0.12, 0.13], account(0.26, 0.08, 0.08), max_exposure=0.5, rebalance_band=0.02
    )
    assert np.isnan(permitted[0])
    assert permitted[1:] == pytest.approx([0.08 + 0.04 * 8 / 9, 0.08 + 0.05 * 8 / 9])
    assert names == [["BAND"], ["MAX_EXPOSURE"], ["MAX_EXPOSURE"]]


def test_cash_is_asked_for_what_the_room_leaves() -> None:
    state = account(0.6, 0.3)
    permitted, names, _ = run([0.57, 0.41], state, max_exposure=0.98, rebalance_band=0.05)
    assert permitted[1] == pytest.approx(0.38)
    assert names == [["BAND"], ["MAX_EXPOSURE"]]
    permitted, names, _ = run([0.57, 0.41], state, max_exposure=0.98, rebalance_band=0.05, cost_rate=0.6)
    assert permitted[1] == pytest.approx(0.3 + 0.1 / 1.6)
    assert names == [["BAND"], ["MAX_EXPOSURE", "CASH"]]


@pytest.mark.parametrize("held", [0.25, 0.75])
def test_band_keeps_what_changes_less(held: float) -> None:
    state = account(held)
    assert run([0.5], state, rebalance_band=0.25) == ([0.5], [[]], NORMAL)
    inside, names, _ = run([0.5], state, rebalance_band=UP(0.25, 1.0))
    assert np.isnan(inside[0])
    assert names == [["BAND"]]


def test_band_and_dust_never_keep_an_exit() -> None:
    assert run([0.0], account(0.01), rebalance_band=0.5, min_order=0.5)[0] == [0.0]
    assert run([0.0], account(1e-15))[0] == [0.0]


def test_dust_is_not_sent() -> None:
    assert run([0.5], account(0.25), min_order=0.25)[0] == [0.5]
    permitted, names, _ = run([0.5], account(0.25), min_order=UP(0.25, 1.0))
    assert np.isnan(permitted[0])
    assert names == [["DUST"]]
    assert np.isnan(run([0.5 + 1e-10], account(0.5))[0][0])


def test_a_buy_cut_to_dust_is_not_sent() -> None:
    permitted, names, _ = run([0.9, 0.1], account(0.0, 0.0), max_exposure=0.5, min_order=0.06)
    assert permitted[0] == pytest.approx(0.45)
    assert np.isnan(permitted[1])
    assert names == [["MAX_EXPOSURE"], ["MAX_EXPOSURE", "DUST"]]


def test_buys_leave_room_for_their_costs() -> None:
    permitted, names, _ = run([0.6, 0.4], account(0.0, 0.0), cost_rate=0.25)
    assert permitted == pytest.approx([0.48, 0.32])
    assert names == [["CASH"], ["CASH"]]
    assert run([0.5, 0.3], account(0.0, 0.0), cost_rate=0.25) == ([0.5, 0.3], [[], []], NORMAL)


def test_sales_pay_for_buys_less_their_costs() -> None:
    permitted, _, _ = run([0.0, 1.0], account(1.0, 0.0), cost_rate=0.25)
    assert permitted == pytest.approx([0.0, 0.75 / 1.25])


def test_a_market_without_a_price_keeps_its_position() -> None:
    state = account(0.5, 0.0)._replace(tradeable=np.array([False, True]))
    permitted, names, _ = run([0.0, 0.7], state)
    assert np.isnan(permitted[0])
    assert permitted[1] == pytest.approx(0.5)
    assert names == [["UNTRADEABLE"], ["MAX_EXPOSURE"]]


@pytest.mark.parametrize(
    ("equity", "mode"), [(UP(950.0, 1e9), NORMAL), (950.0, REDUCE_ONLY), (UP(950.0, 0.0), REDUCE_ONLY)]
)
def test_daily_loss_trips_when_it_is_reached(equity: float, mode: int) -> None:
    permitted, names, after = run([0.9, 0.1], account(0.5, 0.3, equity=equity), max_daily_loss=0.05)
    assert after == mode
    assert permitted[1] == 0.1
    assert (permitted[0] == 0.9) == (mode == NORMAL)
    assert names[0] == ([] if mode == NORMAL else ["DAILY_LOSS"])


@pytest.mark.parametrize("equity", [np.nan, 0.0, -1.0])
def test_an_account_without_a_value_counts_as_tripped(equity: float) -> None:
    permitted, _, mode = run([0.9, 0.0], account(np.nan, np.nan, equity=equity))
    assert mode == REDUCE_ONLY
    assert np.isnan(permitted[0])
    assert permitted[1] == 0.0


def test_reduce_only_lasts_until_the_next_utc_day() -> None:
    limits = Limits(max_daily_loss=0.05)
    one, held = np.array([True]), np.array([0.5])
    state = observe(initial_state(1, 1000.0), 1000.0, held, one, 100)
    _, state, _ = step(np.array([0.9]), observe(state, 940.0, held, one, 100), limits)
    assert state.mode == REDUCE_ONLY
    _, state, _ = step(np.array([0.9]), observe(state, 999.0, held, one, 100), limits)
    assert state.mode == REDUCE_ONLY
    permitted, state, _ = step(np.array([0.9]), observe(state, 940.0, held, one, 101), limits)
    assert (permitted[0], state.mode, state.day_start_equity) == (0.9, NORMAL, 940.0)


def test_halted_outlasts_the_day() -> None:
    state = account(0.5, mode=HALTED)
    state = observe(state, 1000.0, state.weights, state.tradeable, 101)
    permitted, names, mode = run([0.6], state)
    assert (mode, names) == (HALTED, [["HALTED"]])
    assert np.isnan(permitted[0])


def test_targets_outside_the_unit_interval_are_clipped() -> None:
    assert run([np.inf, -0.5], account(0.0, 0.0)) == ([1.0, 0.0], [["MAX_POSITION"], []], NORMAL)


def test_no_buy_is_possible_when_kept_positions_exceed_the_limit() -> None:
    permitted, _, _ = run([np.nan, 0.2], account(0.9, 0.0), max_exposure=0.5)
    assert permitted[1] == 0.0


def test_step_into_writes_what_step_returns() -> None:
    target, state = np.array([0.9, np.nan, 0.3]), account(0.0, 0.1, 0.3)
    limits = Limits(max_position=0.5, rebalance_band=0.01, cost_rate=0.001)
    permitted, reasons = np.zeros(3), np.full(3, 77)
    after = step_into(target, state, limits, permitted, reasons)
    expected, state_after, codes = step(target, state, limits)
    np.testing.assert_array_equal(permitted, expected)
    np.testing.assert_array_equal(reasons, codes)
    assert after.mode == state_after.mode


def test_limits_come_from_both_kinds_of_files() -> None:
    costs = Costs(10.0, 5.0)
    instance = RiskSettings(
        max_position_pct=0.3, rebalance_band_pct=0.02, min_order_pct=0.01, max_daily_loss_pct=0.05
    )
    assert Limits.from_settings(instance, costs) == Limits(0.3, 1.0, 0.02, 0.01, 0.05, costs.rate)
    portfolio = PortfolioRiskSettings(max_weight_per_asset=0.5, max_exposure_pct=0.8)
    assert Limits.from_settings(portfolio)[:6] == (0.5, 0.8, 0.0, 0.0, 0.05, 0.0)


def test_every_reason_has_a_name_and_unknown_bits_are_refused() -> None:
    assert reason_names(sum(Reason)) == [reason.name for reason in Reason]
    for code in (2 * max(Reason), -1):
        with pytest.raises(ValueError, match="bits without a name"):
            reason_names(code)
