"""What a backtest takes for bars, weights and options, and what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.backtest import run_backtest
from lab.core.errors import ConfigError, DataError, FrameError, UnknownMarketError, WeightError
from lab.costs import Costs
from tests.oracle.portfolios import bar_frame, day, flat_panel, panel_of, weight_frame

FREE = Costs(fee_bps=0.0, slippage_bps=0.0)
A, B = "synthetic:M00000/USDT", "synthetic:M00001/USDT"


@pytest.mark.parametrize(
    ("weight", "text"),
    [(np.inf, "is inf"), (-0.1, "is -0.1"), (1.1, "sum to 1.6"), (0.9, "sum to 1.4")],
)
def test_weights_that_cannot_be_held_are_refused(weight: float, text: str) -> None:
    weights = np.array([[0.5, 0.2], [0.5, weight], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(WeightError, match=text) as caught:
        run_backtest(flat_panel(), weights, costs=FREE)
    assert B in str(caught.value)
    assert "2024-01-02" in str(caught.value)


def test_a_sum_may_exceed_one_by_rounding_only() -> None:
    weights = np.zeros((4, 2))
    weights[0] = (0.5, 0.5 + 5e-10)
    assert run_backtest(flat_panel(), weights, costs=FREE).orders.height > 0
    weights[0] = (0.5, 0.5 + 2e-9)
    with pytest.raises(WeightError):
        run_backtest(flat_panel(), weights, costs=FREE)


def test_a_missing_weight_row_must_be_given_a_meaning() -> None:
    panel = flat_panel()
    rows = weight_frame(panel, np.full((4, 2), 0.4)).filter(
        ~((pl.col("ts") == day(1)) & (pl.col("market") == B))
    )
    bars = bar_frame(panel)
    with pytest.raises(
        FrameError, match=r"1 bars have no row \(first synthetic:M00001/USDT at 2024-01-02 00:00Z"
    ):
        run_backtest(bars, rows, costs=FREE)
    held = run_backtest(bars, rows, costs=FREE, missing="hold")
    closed = run_backtest(bars, rows, costs=FREE, missing="zero")
    assert held.orders.height == 2
    assert closed.orders.select("ts", "market", "side").rows()[2:] == [
        (day(2), B, "sell"),
        (day(3), B, "buy"),
    ]


def test_a_market_without_weights_is_not_traded() -> None:
    panel = flat_panel()
    rows = weight_frame(panel, np.full((4, 2), 0.4)).filter(pl.col("market") == A)
    assert run_backtest(bar_frame(panel), rows, costs=FREE).permitted["market"].unique().to_list() == [A]


def test_frames_that_do_not_fit_are_refused() -> None:
    panel = flat_panel()
    bars, rows = bar_frame(panel), weight_frame(panel, np.zeros((4, 2)))
    with pytest.raises(UnknownMarketError, match="no bars for binance:XYZ/USDT"):
        run_backtest(bars, rows.with_columns(market=pl.lit("binance:XYZ/USDT")).unique(), costs=FREE)
    with pytest.raises(FrameError, match="2 rows are at times that are no bar"):
        run_backtest(bars.filter(pl.col("ts") < day(3)), rows, costs=FREE)
    with pytest.raises(FrameError, match=r"shape \(3, 2\), expected \(4, 2\)"):
        run_backtest(panel, np.zeros((3, 2)), costs=FREE)


@pytest.mark.parametrize("price", [0.0, -1.0, np.inf])
def test_a_price_that_is_none_is_refused(price: float) -> None:
    opens = np.array([[10.0], [price]])
    with pytest.raises(DataError, match=r"at 2024-01-02 00:00Z: open is"):
        run_backtest(panel_of(opens, np.full((2, 1), 10.0)), np.zeros((2, 1)), costs=FREE)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lag": 0}, "lag=0 at price='open'"),
        ({"lag": -1}, "lag is -1"),
        ({"cash": 0.0}, "cash is 0"),
        ({"cash": float("nan")}, "cash is nan"),
        ({"price": "vwap"}, "price 'vwap'"),
        ({"engine": "rust"}, "engine 'rust'"),
        ({"missing": "guess"}, "missing='guess'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        run_backtest(flat_panel(), np.zeros((4, 2)), costs=FREE, **options)
