from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import numpy as np
import polars as pl
import pytest

from lab.backtest import ExecutionPrices, run_backtest, simulate_weights
from lab.backtest.compare import complaints, equity_difference, weight_difference
from lab.core.errors import FrameError
from lab.core.settings import RiskSettings
from lab.costs import Costs
from lab.risk import Limits
from tests.oracle.portfolios import bar_frame, day, flat_panel, panel_of, random_case, weight_frame

NAN = np.nan
FREE = Costs(fee_bps=0.0, slippage_bps=0.0)
A, B = "synthetic:M00000/USDT", "synthetic:M00001/USDT"


def test_frames_and_arrays_give_the_same_result() -> None:
    random = np.random.default_rng(5)
    closes = 10.0 * np.cumprod(1.0 + random.normal(0, 0.02, (40, 3)), axis=0)
    closes[7:12, 1] = closes[:20, 2] = NAN
    panel, weights = panel_of(closes, closes), random.dirichlet(np.ones(4), 40)[:, :3]
    arrays = run_backtest(panel, weights, costs=Costs())
    frames = run_backtest(bar_frame(panel), weight_frame(panel, weights), costs=Costs())
    for name in ("equity", "orders", "trades", "dropped", "permitted"):
        assert getattr(frames, name).equals(getattr(arrays, name), null_equal=True), name
    assert arrays.dropped.height > 0


def test_the_result_is_frozen_and_repeats_to_the_bit() -> None:
    case = random_case(9, 60, 5)
    first = run_backtest(case.panel, case.weights, costs=Costs(), risk=RiskSettings(max_position_pct=0.4))
    second = run_backtest(case.panel, case.weights, costs=Costs(), risk=RiskSettings(max_position_pct=0.4))
    for name in ("equity", "returns", "positions", "orders", "trades", "costs", "risk_events", "permitted"):
        assert getattr(first, name).equals(getattr(second, name), null_equal=True), name
    with pytest.raises(FrozenInstanceError):
        first.cash = 1.0  # type: ignore[misc]


def test_both_engines_leave_their_difference() -> None:
    case = random_case(12, 60, 5)
    result = run_backtest(
        case.panel,
        case.weights,
        costs=Costs(),
        risk=Limits(max_position=0.3, cost_rate=0.0015),
        engine="both",
    )
    assert result.status == "OK"
    assert result.engine_difference is not None
    assert 0.0 <= result.engine_difference <= 1e-9
    assert result.risk_difference is not None
    assert 0.0 <= result.risk_difference <= 1e-9
    assert run_backtest(case.panel, case.weights, costs=Costs()).engine_difference is None


@pytest.mark.parametrize("difference", [2e-9, float("nan"), float("inf")])
def test_a_larger_difference_fails_the_result(difference: float) -> None:
    result = run_backtest(flat_panel(), np.zeros((4, 2)), costs=FREE)
    assert result.status == "OK"
    assert replace(result, engine_difference=difference).status == "FAILED"
    assert replace(result, risk_difference=difference).status == "FAILED"


def test_differences_between_engines_are_named() -> None:
    equal, other = np.array([100.0, 1e-12]), np.array([100.0, 2e-12])
    # An account worn down to nothing is compared against 1e-9 of its capital.
    assert equity_difference(equal, other, 100.0) == pytest.approx(1e-5)
    assert equity_difference(equal, other, 1e9) == pytest.approx(1e-12)
    assert np.isnan(equity_difference(np.array([NAN]), np.array([1.0]), 1.0))
    assert complaints(1e-9, None) == ()
    assert len(complaints(NAN, float("inf"))) == 2
    assert weight_difference(np.array([[0.5]]), np.array([[NAN]])) == float("inf")


def test_no_bars_are_a_result_too() -> None:
    result = run_backtest(flat_panel().rows(0, 0), np.zeros((0, 2)), costs=FREE)
    assert result.equity.is_empty()
    assert result.metrics["bars"] == 0.0
    with pytest.raises(FrameError, match="shape"):
        simulate_weights(flat_panel(), np.zeros((3, 2)), costs=FREE)


def test_vectorbt_alone_gives_the_same_frames() -> None:
    case = random_case(21, 60, 4)
    ours = run_backtest(case.panel, case.weights, costs=Costs(), cash=1_000.0)
    theirs = run_backtest(case.panel, case.weights, costs=Costs(), cash=1_000.0, engine="vectorbt")
    assert theirs.engine == "vectorbt"
    keys = ["ts", "market", "side", "decision_ts"]
    assert theirs.orders.select(keys).equals(ours.orders.select(keys))
    for name in ("quantity", "price", "fee", "slippage"):
        np.testing.assert_allclose(theirs.orders[name], ours.orders[name], rtol=1e-9)
    assert theirs.dropped.equals(ours.dropped, null_equal=True)
    np.testing.assert_allclose(theirs.positions["quantity"], ours.positions["quantity"], rtol=1e-9)
    for name, figure in ours.metrics.items():
        assert theirs.metrics[name] == pytest.approx(figure, rel=1e-7, abs=1e-12, nan_ok=True), name


def test_round_trips_are_those_of_vectorbt() -> None:
    prices = 100.0 * np.cumprod(1.0 + np.random.default_rng(3).normal(0, 0.02, (120, 3)), axis=0)
    weights = np.random.default_rng(4).choice([0.0, 0.0, 0.2, 0.3], (120, 3))
    result = run_backtest(panel_of(prices, prices), weights, costs=Costs())
    theirs = result.to_vectorbt().positions.records
    ours = result.trades.sort("market", "entry_ts")
    assert len(theirs) == ours.height > 30
    np.testing.assert_allclose(theirs["size"], ours["quantity"], rtol=1e-9)
    np.testing.assert_allclose(theirs["entry_price"], ours["entry_price"], rtol=1e-9)
    np.testing.assert_allclose(theirs["exit_price"], ours["exit_price"], rtol=1e-9)
    np.testing.assert_allclose(theirs["pnl"], ours["profit"], rtol=1e-7, atol=1e-9)
    assert (theirs["status"] == 0).tolist() == ours["open"].to_list()


def test_profits_of_all_trades_add_up_to_the_account() -> None:
    case = random_case(33, 80, 4)
    result = run_backtest(case.panel, case.weights, costs=Costs())
    gained = result.equity["equity"][-1] - result.cash
    assert result.trades["profit"].sum() == pytest.approx(gained, rel=1e-9, abs=1e-6)


def test_weights_decided_at_a_close_trade_at_the_next_open() -> None:
    opens = np.array([[10.0], [20.0], [40.0]])
    result = run_backtest(panel_of(opens, opens), np.array([[0.5], [NAN], [NAN]]), costs=FREE, cash=100.0)
    order = result.orders.row(0, named=True)
    assert (order["ts"], order["decision_ts"], order["price"]) == (day(1), day(0), 20.0)
    assert result.equity["equity"].to_list() == [100.0, 100.0, 150.0]
    later = run_backtest(panel_of(opens, opens), np.array([[0.5], [NAN], [NAN]]), costs=FREE, lag=2)
    assert later.orders["ts"].to_list() == [day(2)]


def test_an_order_without_a_price_is_dropped_with_a_reason() -> None:
    opens = np.array([[10.0], [NAN], [10.0]])
    result = run_backtest(panel_of(opens, opens), np.full((3, 1), 0.5), costs=FREE)
    assert result.dropped.rows() == [(day(1), A, 0.5, "no price at this bar")]
    assert result.orders["ts"].to_list() == [day(2)]
    assert any("no price" in warning and A in warning for warning in result.warnings)


def test_nothing_wanted_and_nothing_held_is_no_dropped_order() -> None:
    opens = np.array([[NAN, 10.0], [NAN, 10.0], [10.0, 10.0]])
    assert run_backtest(panel_of(opens, opens), np.zeros((3, 2)), costs=FREE).dropped.is_empty()


def test_a_delisted_position_stays_at_its_last_price_and_is_warned_of() -> None:
    opens = np.array([[10.0, 5.0], [10.0, 5.0], [NAN, 5.0], [NAN, 5.0]])
    closes = np.array([[10.0, 5.0], [8.0, 5.0], [NAN, 5.0], [NAN, 5.0]])
    weights = np.array([[0.5, 0.0], [NAN, 0.0], [NAN, 0.0], [NAN, 0.0]])
    result = run_backtest(panel_of(opens, closes), weights, costs=FREE, cash=100.0)
    assert result.equity["equity"].to_list() == [100.0, 90.0, 90.0, 90.0]
    (warning,) = result.warnings
    assert A in warning
    assert "2024-01-02" in warning
    assert "40.00 at the last price 8" in warning


def test_marks_and_fills_use_prices_as_received() -> None:
    panel = flat_panel(3, 1)
    received = np.full((3, 1), 20.0)
    panel = panel.with_fields({"received_open": received, "received_close": received})
    result = run_backtest(panel, np.array([[0.5], [NAN], [NAN]]), costs=FREE)
    assert result.orders["price"].to_list() == [20.0]


def test_risk_acts_in_the_simulation_and_says_why() -> None:
    result = run_backtest(
        flat_panel(), np.tile([0.9, 0.0], (4, 1)), costs=FREE, risk=RiskSettings(max_position_pct=0.3)
    )
    event = result.risk_events.row(0, named=True)
    assert (event["ts"], event["market"], event["reasons"]) == (day(1), A, "MAX_POSITION")
    assert (event["decision_weight"], event["permitted_weight"]) == (0.9, 0.3)
    assert result.orders["permitted_weight"].to_list() == [0.3]


def test_settings_reserve_the_costs_of_a_full_allocation() -> None:
    full = np.tile([0.5, 0.5], (4, 1))
    assert "cash short" in run_backtest(flat_panel(), full, costs=Costs()).warnings[0]
    assert run_backtest(flat_panel(), full, costs=Costs(), risk=RiskSettings()).warnings == ()


def test_daily_loss_is_counted_from_the_first_trade_time_of_the_utc_day() -> None:
    opens = np.concatenate([np.full(24, 100.0), np.full(6, 90.0), np.full(24, 90.0)])[:, None]
    panel = panel_of(opens, opens, "1h")
    weights = np.full((len(opens), 1), 0.5)
    weights[25:] = 0.9
    # The fall is at the first bar of the second day, and so before that day's start.
    unmoved = run_backtest(panel, weights, costs=FREE, risk=Limits(max_daily_loss=0.03))
    assert "DAILY_LOSS" not in unmoved.risk_events["reasons"].to_list()
    opens[24:27] = 100.0
    fallen = run_backtest(panel_of(opens, opens, "1h"), weights, costs=FREE, risk=Limits(max_daily_loss=0.03))
    blocked = fallen.risk_events.filter(pl.col("reasons") == "DAILY_LOSS")["ts"].to_list()
    assert [stamp.day for stamp in (blocked[0], blocked[-1])] == [2, 2]
    assert len(blocked) == 21  # 03:00, where the loss shows, to 23:00


def test_a_lag_longer_than_the_bars_trades_nothing() -> None:
    result = run_backtest(flat_panel(), np.full((4, 2), 0.5), costs=FREE, lag=9, engine="both")
    assert result.orders.is_empty()
    assert result.status == "OK"


def test_prices_are_carried_in_time_order() -> None:
    opens = np.array([[NAN], [10.0], [NAN], [NAN]])
    closes = np.array([[NAN], [NAN], [12.0], [NAN]])
    prices = ExecutionPrices.from_panel(panel_of(opens, closes))
    np.testing.assert_array_equal(prices.mark[:, 0], [NAN, 10.0, 10.0, 12.0])
    np.testing.assert_array_equal(prices.last[:, 0], [NAN, 10.0, 12.0, 12.0])
    at_close = ExecutionPrices.from_panel(panel_of(opens, closes), "close")
    np.testing.assert_array_equal(at_close.price, closes)
    # The last bar's close is the next day's first moment.
    assert (at_close.day - prices.day).tolist() == [1, 1, 1, 1]


def test_importing_the_engine_does_not_import_vectorbt() -> None:
    code = "import sys, lab.backtest; print('vectorbt' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[0] == "False"
