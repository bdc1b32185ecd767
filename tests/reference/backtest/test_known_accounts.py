"""Accounts worked out by hand or published elsewhere."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
import pytest

from lab.backtest import BacktestResult, run_backtest
from lab.costs import Costs
from lab.risk import Limits
from tests.oracle.portfolios import day, panel_of

NAN = np.nan


@pytest.mark.parametrize("engine", ["fused", "vectorbt", "both"])
def test_the_sell_that_funds_a_buy_listed_before_it_comes_first(engine: str) -> None:
    closes = np.array([[100.0, 50.0], [110.0, 45.0], [120.0, 40.0], [130.0, 35.0]])
    first = np.array([0.5, 0.0, 0.5, 0.5])
    result = run_backtest(
        panel_of(closes, closes),
        np.column_stack([first, 1.0 - first]),
        costs=Costs(fee_bps=10.0, slippage_bps=0.0),
        cash=1_000.0,
        price="close",
        lag=0,
        engine=engine,
    )
    # 830.7821 is what an engine returns that drops the buy.
    assert result.equity["equity"][-1] == pytest.approx(867.5799335918, abs=5e-11)
    assert result.status == "OK"


@pytest.fixture(scope="module")
def by_hand() -> BacktestResult:
    opens = np.array([[10.0, 20.0], [10.0, 20.0], [12.0, 16.0], [10.0, 16.0]])
    closes = np.array([[10.0, 20.0], [11.0, 18.0], [12.0, 16.0], [10.0, 17.0]])
    weights = np.array([[0.5, 0.25], [0.25, 0.5], [NAN, 1.0], [0.0, 0.0]])
    return run_backtest(
        panel_of(opens, closes), weights, costs=Costs(fee_bps=100.0, slippage_bps=100.0), cash=1_000.0
    )


def test_orders_line_by_line(by_hand: BacktestResult) -> None:
    a, b = "synthetic:M00000/USDT", "synthetic:M00001/USDT"
    # Bar 1, value 1000: B for 250 before A for 500. Bar 2, value 1034.925: sell A, then buy B.
    # Bar 3, value 978.630880625: B is to get all, but only 245.559005625 of cash is left.
    affordable = 245.559005625 / 1.01
    expected = [
        (day(1), b, "buy", 12.5, 20.2, 20.0, 252.5, 2.525, 2.5, 0.25),
        (day(1), a, "buy", 50.0, 10.1, 10.0, 505.0, 5.05, 5.0, 0.5),
        (day(2), a, "sell", 28.4390625, 11.88, 12.0, 337.8560625, 3.378560625, 3.4126875, 0.25),
        (day(2), b, "buy", 19.84140625, 16.16, 16.0, 320.637125, 3.20637125, 3.174625, 0.5),
        (
            day(3),
            b,
            "buy",
            affordable / 16.16,
            16.16,
            16.0,
            affordable,
            245.559005625 - affordable,
            affordable / 1.01 * 0.01,
            1.0,
        ),
    ]
    found = by_hand.orders.select(
        "ts",
        "market",
        "side",
        "quantity",
        "price",
        "reference_price",
        "notional",
        "fee",
        "slippage",
        "decision_weight",
    ).rows()
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert row[:3] == wanted[:3]
        assert row[3:] == pytest.approx(wanted[3:], rel=1e-12)


def test_equity_and_positions_line_by_line(by_hand: BacktestResult) -> None:
    last = 21.5609375 * 10.0 + (32.34140625 + 245.559005625 / 1.01 / 16.16) * 17.0
    expected = [1_000.0, 1_009.925, 1_021.752755625, last]
    assert by_hand.equity["equity"].to_list() == pytest.approx(expected, rel=1e-12)
    assert by_hand.positions.filter(pl.col("ts") == day(2)).select("quantity", "price", "value").rows() == [
        pytest.approx((21.5609375, 12.0, 258.73125)),
        pytest.approx((32.34140625, 16.0, 517.4625)),
    ]
    assert by_hand.dropped.select("ts", "market", "reason").rows() == [
        (day(3), "synthetic:M00001/USDT", "cash short: cut to what the cash affords")
    ]


def test_costs_and_returns_line_by_line(by_hand: BacktestResult) -> None:
    assert by_hand.costs["fee"].to_list()[:2] == pytest.approx([7.575, 6.584931875], rel=1e-12)
    assert by_hand.costs["slippage"].to_list()[:2] == pytest.approx([7.5, 6.5873125], rel=1e-12)
    second = by_hand.returns.row(2, named=True)
    assert second["return"] == pytest.approx(1_021.752755625 / 1_009.925 - 1)
    assert second["turnover"] == pytest.approx((337.8560625 + 320.637125) / 1_009.925)
    assert second["cost"] == pytest.approx((6.584931875 + 6.5873125) / 1_009.925)
    assert second["exposure"] == pytest.approx((258.73125 + 517.4625) / 1_021.752755625)


def synthetic_bars() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return prices made by multiplication alone, so that every processor makes the same bits."""
    random = np.random.default_rng(7)
    steps = 1.0 + random.integers(-30, 31, (2 * 300, 6)) / 1_000.0
    walk = 100.0 * np.cumprod(steps, axis=0)
    opens, closes = walk[0::2].copy(), walk[1::2].copy()
    opens[:40, 4] = closes[:40, 4] = NAN
    opens[250:, 5] = closes[250:, 5] = NAN
    hole = random.random(opens.shape) < 0.02
    opens[hole] = closes[hole] = NAN
    weights = random.integers(0, 4, opens.shape) / 20.0
    weights[random.random(opens.shape) < 0.3] = NAN
    return opens, closes, weights


def digest(result: BacktestResult) -> str:
    hashed = hashlib.sha256(result.equity["equity"].to_numpy().tobytes())
    for column in ("quantity", "price", "fee"):
        hashed.update(result.orders[column].to_numpy().tobytes())
    for text in result.orders.select(pl.concat_str("ts", "market", "side", separator="|")).to_series():
        hashed.update(text.encode())
    hashed.update(result.permitted["weight"].fill_nan(-1.0).to_numpy().tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize(
    ("risk", "expected"),
    [
        (None, "b7f30e12421b60cda4e97222f851c1f7697c145399b480dc335560a12782ee7f"),
        (
            Limits(0.2, 0.9, 0.01, 0.001, 0.03, 0.0015),
            "8d0964c48fd984ee85c212a7e625bf8f6bc591d8d831baf3ac5637c643372cae",
        ),
    ],
)
def test_reference_backtest_has_its_stored_digest(risk: Limits | None, expected: str) -> None:
    opens, closes, weights = synthetic_bars()
    result = run_backtest(panel_of(opens, closes, "1h"), weights, costs=Costs(10.0, 5.0), risk=risk)
    again = run_backtest(panel_of(opens, closes, "1h"), weights, costs=Costs(10.0, 5.0), risk=risk)
    assert digest(result) == digest(again) == expected
