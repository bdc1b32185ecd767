from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest

from lab.backtest import Bars, run_backtest
from lab.backtest.breakdowns import against, by_hour, by_market, by_period, by_regime, regimes
from lab.core.errors import ConfigError, FrameError
from lab.costs import Costs
from tests.oracle.portfolios import panel_of, random_case


def hours(count: int) -> pl.Series:
    start = datetime(2023, 12, 30, tzinfo=UTC)
    return pl.datetime_range(start, datetime(2024, 6, 1, tzinfo=UTC), "1h", eager=True).head(count)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return Bars.from_returns(np.random.default_rng(3).normal(0.0002, 0.01, 3_000))


@pytest.mark.parametrize(("every", "count"), [("month", 6), ("quarter", 3), ("year", 2)])
def test_periods_multiply_to_the_whole(bars: Bars, every: str, count: int) -> None:
    table = by_period(hours(3_000), bars, every=every, timeframe="1h")
    assert table.height == count
    assert table["period"][0] == {"month": date(2023, 12, 1), "quarter": date(2023, 10, 1)}.get(
        every, date(2023, 1, 1)
    )
    assert table["bars"].sum() == 3_000
    assert (1 + table["total_return"]).product() == pytest.approx(np.prod(1 + bars.returns))


def test_hours_are_those_the_bars_open_in() -> None:
    returns = np.where(hours(240).dt.hour().to_numpy() == 7, 0.01, -0.001)
    table = by_hour(hours(240), Bars.from_returns(returns), timeframe="1h")
    assert table.height == 24
    assert table.filter(pl.col("total_return") > 0)["hour"].to_list() == [7]
    assert table["total_return"][7] == pytest.approx(1.01**10 - 1)
    with pytest.raises(ConfigError, match="no hour of day"):
        by_hour(hours(3), Bars.from_returns(np.zeros(3)), timeframe="1d")


def test_regimes_know_nothing_of_their_own_bar() -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.05, 400)))
    labels = regimes(close, window=30)
    assert set(labels) == {None, "bull", "bear", "sideways"}
    for t in (100, 250):
        changed = close.copy()
        changed[t:] *= 5.0
        assert regimes(changed, window=30)[: t + 1] == labels[: t + 1]
    rising = regimes(1.01 ** np.arange(200.0), window=90)
    assert rising[:91] == [None] * 91
    assert set(rising[91:]) == {"bull"}
    assert set(regimes(0.99 ** np.arange(200.0), window=90)[91:]) == {"bear"}
    table = by_regime(labels, Bars.from_returns(np.full(400, 0.001)), timeframe="1d")
    known = set(labels) - {None}
    assert dict(table.select("regime", "bars").rows()) == {name: labels.count(name) for name in known}
    hole = 1.01 ** np.arange(200.0)
    hole[120] = np.nan
    assert [t for t, label in enumerate(regimes(hole, window=90)) if label is None] == [*range(91), 121]
    with pytest.raises(FrameError, match="399 labels for 400 bars"):
        by_regime(labels[1:], Bars.from_returns(np.zeros(400)), timeframe="1d")


def test_markets_contribute_the_whole_result() -> None:
    case = random_case(33, 80, 4)
    result = run_backtest(case.panel, case.weights, costs=Costs(20.0, 10.0))
    table = by_market(result)
    assert table["contribution"].sum() == pytest.approx(result.metrics["total_return"])
    assert table["fee"].sum() == pytest.approx(result.costs["fee"].sum())
    assert table["trades"].sum() == result.metrics["trades"]
    assert table["orders"].sum() == result.orders.height


def test_beside_a_benchmark() -> None:
    b = np.random.default_rng(5).normal(0.001, 0.02, 500)
    half = against(Bars.from_returns(0.5 * b + 0.0001), Bars.from_returns(b), timeframe="1d")
    assert half["beta"] == pytest.approx(0.5)
    assert half["correlation"] == pytest.approx(1.0)
    assert half["alpha"] == pytest.approx(0.0365)
    assert half["up_capture"] == pytest.approx(0.5 + 0.0001 / b[b > 0].mean())
    assert half["tracking_error"] == pytest.approx(0.5 * b.std(ddof=1) * np.sqrt(365))
    itself = against(Bars.from_returns(b), Bars.from_returns(b), timeframe="1d")
    assert (itself["excess_return"], itself["drawdown_ratio"]) == (0.0, 1.0)
    assert np.isnan(itself["information_ratio"])
    with pytest.raises(FrameError, match="same bars"):
        against(Bars.from_returns(b), Bars.from_returns(b[1:]), timeframe="1d")


def test_no_bars_have_no_parts() -> None:
    empty = pl.Series([], dtype=pl.Datetime("us", "UTC"))
    assert by_period(empty, Bars.from_returns(np.empty(0)), every="month", timeframe="1d").height == 0
    assert np.isnan(
        against(Bars.from_returns(np.empty(0)), Bars.from_returns(np.empty(0)), timeframe="1d")["beta"]
    )
    prices = np.full((3, 1), 10.0)
    idle = run_backtest(panel_of(prices, prices), np.zeros((3, 1)), costs=Costs())
    assert by_market(idle).height == 0


def test_periods_and_windows_that_are_none_are_refused(bars: Bars) -> None:
    with pytest.raises(ConfigError, match="every='day' not understood: use "):
        by_period(hours(3_000), bars, every="day", timeframe="1h")
    for window, threshold in ((0, 0.2), (5, 0.0), (5, -0.1), (5, float("nan"))):
        with pytest.raises(ConfigError, match="expected 1 or more and above 0"):
            regimes(np.ones(20), window=window, threshold=threshold)
