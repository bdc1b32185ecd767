from __future__ import annotations

import numpy as np

from lab.backtest import BacktestResult
from lab.core.frames import RECEIVED
from lab.costs import Costs
from lab.pipeline.benchmark import buy_and_hold
from tests.oracle.portfolios import panel_of

FREE = Costs(fee_bps=0.0, slippage_bps=0.0)
NAN = float("nan")


def held(prices: np.ndarray) -> BacktestResult:
    panel = panel_of(prices, prices)
    received = {name: panel[column] for column, name in RECEIVED.items()}
    return buy_and_hold(panel.with_fields(received), FREE)


def test_equal_parts_are_bought_once_and_drift() -> None:
    prices = np.array([[10.0, 10.0], [10.0, 10.0], [20.0, 10.0], [30.0, 5.0]])
    result = held(prices)
    assert result.equity["equity"].to_list() == [10_000.0, 10_000.0, 15_000.0, 17_500.0]
    assert result.orders.height == 2


def test_a_market_that_lists_later_gets_its_equal_part() -> None:
    prices = np.array([[10.0, NAN], [10.0, NAN], [20.0, 7.0], [20.0, 8.0], [20.0, 16.0]])
    result = held(prices)
    # Seen at the close of the third bar, bought at the open of the fourth: half of the 20,000 by then.
    assert result.equity["equity"].to_list() == [10_000.0, 10_000.0, 20_000.0, 20_000.0, 30_000.0]
    assert result.orders.select("side", "notional").rows() == [
        ("buy", 10_000.0),
        ("sell", 10_000.0),
        ("buy", 10_000.0),
    ]


def test_nothing_is_bought_before_anything_is_listed() -> None:
    prices = np.array([[NAN], [10.0], [10.0], [11.0]])
    result = held(prices)
    assert result.equity["equity"].to_list() == [10_000.0, 10_000.0, 10_000.0, 11_000.0]


def test_what_an_outage_prevents_is_done_after_it() -> None:
    prices = np.array([[10.0], [NAN], [NAN], [20.0], [30.0]])
    result = held(prices)
    assert result.equity["equity"][-1] == 15_000.0


def test_a_delisted_market_stays_at_its_last_price() -> None:
    prices = np.array([[10.0, 10.0], [10.0, 10.0], [10.0, 5.0], [10.0, NAN], [20.0, NAN]])
    result = held(prices)
    assert result.equity["equity"][-1] == 12_500.0
    assert any("no bars after" in line for line in result.warnings)
