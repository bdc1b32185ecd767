from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab.backtest import run_backtest
from lab.backtest.attribution import by_family
from lab.core.errors import FrameError
from lab.costs import Costs
from tests.oracle.portfolios import panel_of, random_case

AMOUNTS = ("profit", "contribution", "notional", "fee", "slippage")


def test_a_family_alone_has_everything() -> None:
    case = random_case(12, 90, 3)
    result = run_backtest(case.panel, case.weights, costs=Costs(20.0, 10.0))
    wanted = np.nan_to_num(case.weights)
    (row,) = by_family(result, {"carry": wanted}, timeframe="1d").iter_rows(named=True)
    assert row["contribution"] == pytest.approx(result.metrics["total_return"])
    for name in ("notional", "fee", "slippage"):
        assert row[name] == pytest.approx(result.costs[name].sum())
    for name in ("sharpe", "max_drawdown", "turnover", "exposure", "bars"):
        assert row[name] == pytest.approx(result.metrics[name])


def test_families_share_the_whole_result() -> None:
    case = random_case(5, 120, 4)
    shares = np.random.default_rng(2).dirichlet(np.ones(3), size=(120, 4))
    result = run_backtest(case.panel, case.weights, costs=Costs(20.0, 10.0))
    parts = {name: np.nan_to_num(case.weights) * shares[:, :, k] for k, name in enumerate("abc")}
    table = by_family(result, parts, timeframe="1d")
    assert table["family"].to_list() == ["a", "b", "c"]
    assert table["contribution"].sum() == pytest.approx(result.metrics["total_return"])
    assert table["profit"].sum() == pytest.approx(result.equity["equity"][-1] - result.cash)
    assert table["fee"].sum() == pytest.approx(result.costs["fee"].sum())
    assert table["turnover"].sum() == pytest.approx(result.metrics["turnover"])


def test_profit_follows_who_wanted_the_market_and_costs_who_changed_his_mind() -> None:
    # a holds the first market, which doubles; b holds the second, flat, and leaves it at the last bar.
    opens = np.array([[10.0, 10.0], [10.0, 10.0], [20.0, 10.0], [20.0, 10.0]])
    panel = panel_of(opens, opens)
    a = np.array([[0.5, 0.0], [np.nan, 0.0], [np.nan, 0.0], [np.nan, 0.0]])
    b = np.array([[0.0, 0.4], [0.0, np.nan], [0.0, 0.0], [0.0, 0.0]])
    weights = np.array([[0.5, 0.4], [np.nan, np.nan], [np.nan, 0.0], [np.nan, np.nan]])
    result = run_backtest(panel, weights, costs=Costs(fee_bps=100.0, slippage_bps=0.0), cash=1_000.0)
    kept_a = np.where(np.isnan(a), 0.5, a)
    kept_b = np.where(np.isnan(b), 0.4, b)
    table = by_family(result, {"a": kept_a, "b": kept_b}, timeframe="1d")
    profit = dict(table.select("family", "profit").rows())
    assert profit["a"] == pytest.approx(500.0 - 5.0)
    assert profit["b"] == pytest.approx(-4.0 - 4.0)
    assert dict(table.select("family", "notional").rows()) == pytest.approx({"a": 500.0, "b": 800.0})


def test_another_shape_is_refused() -> None:
    case = random_case(5, 30, 2)
    result = run_backtest(case.panel, case.weights, costs=Costs())
    with pytest.raises(FrameError, match=r"parts of carry have shape \(29, 2\)"):
        by_family(result, {"carry": np.zeros((29, 2))}, timeframe="1d")
    idle = run_backtest(case.panel, np.zeros((30, 2)), costs=Costs())
    (row,) = by_family(idle, {"carry": np.zeros((30, 2))}, timeframe="1d").iter_rows(named=True)
    assert [row[name] for name in AMOUNTS] == [0.0] * 5
    assert pl.DataFrame([row])["bars"][0] == 30
