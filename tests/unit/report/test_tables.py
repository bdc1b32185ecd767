"""Tables of the report, against figures worked out by hand."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from lab.core.timeframe import Timeframe
from lab.report import ReportInput, tables


def made(
    returns: list[float], benchmark: list[float] | None = None, start: str = "2024-01-30"
) -> pl.DataFrame:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    frame = pl.DataFrame(
        {
            "ts": pl.Series([first + timedelta(days=day) for day in range(len(returns))]).cast(
                pl.Datetime("us", "UTC")
            ),
            "return": returns,
            "benchmark_return": pl.Series(benchmark or [None] * len(returns), dtype=pl.Float64),
        }
    )
    return frame.with_columns(
        wealth=(1 + pl.col("return")).cum_prod(), benchmark=(1 + pl.col("benchmark_return")).cum_prod()
    )


def run_of(**frames: pl.DataFrame) -> ReportInput:
    return ReportInput({"cash": 100.0, "metrics": {}}, frames, None, {}, Timeframe.parse("1d"))


def test_account_starts_from_the_recorded_cash() -> None:
    ts = made([0.0, 0.0])["ts"]
    equity = pl.DataFrame({"ts": ts, "equity": [110.0, 99.0]})
    benchmark = pl.DataFrame({"ts": ts[1:], "equity": [150.0]})
    found = tables.account(run_of(equity=equity, benchmark=benchmark))
    assert found["return"].to_list() == pytest.approx([0.1, -0.1])
    assert found["wealth"].to_list() == pytest.approx([1.1, 0.99])
    assert found["benchmark"].to_list() == [None, 1.5]


def test_account_prefers_recorded_returns() -> None:
    ts = made([0.0, 0.0])["ts"]
    equity = pl.DataFrame({"ts": ts, "equity": [1.0, 1.0]})
    returns = pl.DataFrame({"ts": ts, "return": [0.5, 0.5]})
    assert tables.account(run_of(equity=equity, returns=returns))["wealth"].to_list() == [1.5, 2.25]


def test_months_and_years_compound() -> None:
    frame = made([0.1, 0.1, -0.5, 1.0], [0.0, 0.0, 0.0, 0.0])  # 30, 31 January, 1, 2 February
    months = tables.monthly_returns(frame)
    assert months.select("year", "month", "bars").rows() == [(2024, 1, 2), (2024, 2, 2)]
    assert months["return"].to_list() == pytest.approx([0.21, 0.0])
    years = tables.yearly(made([0.1, -0.2, 0.5], [0.5, -0.5, 0.2], start="2023-12-31"), periods_per_year=365)
    assert years["total_return"].to_list() == pytest.approx([0.1, 0.2])
    assert years["benchmark_return"].to_list() == pytest.approx([0.5, -0.4])
    assert years["max_drawdown"].to_list() == pytest.approx([0.0, -0.2])


def test_drawdowns_have_their_dates() -> None:
    frame = made([-0.5, 1.0, 0.1, -0.1, -0.1, 0.5, -0.25])
    found = tables.drawdown_periods(frame, worst=2)
    day = frame["ts"].to_list()
    assert found["depth"].to_list() == pytest.approx([-0.5, -0.25])
    # A loss from the start has the first bar as its peak; the last one has not recovered.
    assert found["peak"].to_list() == [day[0], day[5]]
    assert found["trough"].to_list() == [day[0], day[6]]
    assert found["recovered"].to_list() == [day[1], None]
    middle = tables.drawdown_periods(frame)[2]
    assert middle["depth"].item() == pytest.approx(-0.19)
    assert (middle["fall_bars"].item(), middle["bars"].item()) == (2, 2)


def test_an_account_that_only_rose_has_no_drawdowns() -> None:
    assert tables.drawdown_periods(made([0.1, 0.0, 0.1])).is_empty()


def test_thin_keeps_ends_and_extremes() -> None:
    values = np.random.default_rng(1).normal(size=10_000).cumsum()
    frame = pl.DataFrame({"row": range(10_000), "y": values})
    found = tables.thin(frame, "y", rows=500)
    assert found.height <= 502
    assert found["row"].is_sorted()
    assert {0, 9_999, int(values.argmax()), int(values.argmin())} <= set(found["row"])
    assert tables.thin(frame, "y", rows=10_000).height == 10_000


def test_regimes_do_not_see_their_own_bar() -> None:
    # +30 % on day 2: known from day 3 on, over a window of two bars until day 4.
    frame = made([0.0] * 7, [0.0, 0.0, 0.3, 0.0, 0.0, 0.0, 0.0])
    found = tables.regime_bars(frame, window=2)
    assert found.to_list() == [None, None, None, "bull", "bull", "sideways", "sideways"]


def test_regime_figures_join_their_bars() -> None:
    frame = made([0.01, 0.02, -0.01, 0.03, -0.02, 0.01], [0.0, 0.3, 0.0, 0.0, -0.3, 0.0])
    found = tables.regimes(frame, window=1, periods_per_year=365)
    assert dict(found.select("regime", "bars").iter_rows()) == {"bull": 1, "sideways": 2, "bear": 1}
    bear = found.filter(pl.col("regime") == "bear")
    assert bear["annualised_return"].item() == pytest.approx(1.01**365 - 1)


def test_rolling_figures_of_a_constant_stretch_are_not_noise() -> None:
    returns = [0.01, -0.02, 0.03] + [0.0] * 6
    found = tables.rolling(made(returns, [0.01] * 9), window=3, periods_per_year=365)
    assert found["sharpe"].to_list()[-3:] == [None] * 3
    assert found["volatility"].to_list()[-3:] == [0.0] * 3
    assert found["sharpe"].to_list()[:2] == [None, None]


def test_histogram_counts_every_bar_and_its_normal_twin_too() -> None:
    returns = pl.Series(np.random.default_rng(2).standard_t(3, size=2_000) * 0.01)
    found = tables.histogram(returns)
    assert found["count"].sum() == 2_000
    assert found["normal"].sum() == pytest.approx(2_000, rel=0.01)
    assert tables.histogram(pl.Series([0.0, 0.0])).is_empty()


def test_normal_quantiles_keep_the_tails() -> None:
    returns = pl.Series(np.random.default_rng(2).standard_t(3, size=5_000) * 0.01)
    found = tables.normal_quantiles(returns)
    ordered = returns.sort()
    assert found["observed"].head(50).to_list() == ordered.head(50).to_list()
    assert found["observed"].tail(50).to_list() == ordered.tail(50).to_list()
    assert found.height < 600


def test_shortfall_is_the_mean_at_or_below_the_quantile() -> None:
    found = dict(tables.distribution(pl.Series([-0.1, -0.05, 0.0, 0.05, 0.1])).iter_rows())
    assert found["value_at_risk_0.05"] == pytest.approx(-0.09)  # linear between the two lowest
    assert found["expected_shortfall_0.05"] == pytest.approx(-0.1)


def test_held_weights_rank_markets_and_sum_up_the_rest() -> None:
    ts = made([0.0, 0.0])["ts"]
    positions = pl.DataFrame(
        {
            "ts": [ts[0], ts[0], ts[0], ts[1]],
            "market": ["a", "b", "c", "b"],
            "weight": [0.1, 0.5, 0.2, 0.4],
        }
    )
    equity = pl.DataFrame({"ts": ts, "equity": [1.0, 1.0]})
    found = tables.held_weights(run_of(equity=equity, positions=positions), markets=1)
    assert found is not None
    assert found.columns == ["ts", "b", "others"]
    assert found["others"].to_list() == pytest.approx([0.3, 0.0])


def test_a_market_called_others_is_not_overwritten() -> None:
    ts = made([0.0])["ts"]
    positions = pl.DataFrame({"ts": [ts[0]] * 3, "market": ["others", "b", "c"], "weight": [0.5, 0.2, 0.1]})
    equity = pl.DataFrame({"ts": ts, "equity": [1.0]})
    found = tables.held_weights(run_of(equity=equity, positions=positions), markets=1)
    assert found is not None
    assert found.columns == ["ts", "others", "others (2)"]


def test_decided_weights_are_carried_where_they_say_keep() -> None:
    ts = made([0.0, 0.0, 0.0])["ts"]
    weights = pl.DataFrame({"ts": ts, "market": "a", "weight": [0.5, math.nan, 0.0]})
    equity = pl.DataFrame({"ts": ts, "equity": [1.0, 1.0, 1.0]})
    found = tables.held_weights(run_of(equity=equity, weights=weights))
    assert found is not None
    assert found["a"].to_list() == [0.5, 0.5, 0.0]


def test_monthly_trading_sums_and_ignores_unknown_bars() -> None:
    returns = made([0.0] * 4).select("ts", turnover=pl.Series([0.5, math.nan, 0.1, 0.2]), cost=pl.lit(0.01))
    found = tables.monthly_trading(returns)
    assert found["turnover"].to_list() == pytest.approx([0.5, 0.3])
    assert found["cumulative_cost"].to_list() == pytest.approx([0.02, 0.04])


def test_trades_by_market() -> None:
    day = made([0.0] * 3)["ts"]
    trades = pl.DataFrame(
        {
            "market": ["a", "a", "b"],
            "entry_ts": [day[0], day[1], day[0]],
            "exit_ts": [day[1], None, day[2]],
            "bars": [1, 1, 2],
            "profit": [10.0, -4.0, 20.0],
            "return": [0.1, -0.2, 0.3],
            "fees": [1.0, 1.0, 1.0],
            "open": [False, True, False],
        }
    )
    found = tables.by_market(trades)
    assert found["market"].to_list() == ["b", "a"]
    assert found.select("trades", "open", "hit_ratio", "profit").row(1) == (1, 1, 1.0, 6.0)
    assert tables.extreme_trades(trades, each=1)["profit"].to_list() == [20.0, -4.0]


def test_entries_and_exits_are_drawn_where_they_filled(report: ReportInput) -> None:
    market = report.markets[0]
    found = tables.fills(report, market)
    trades = report.tables["trades"].filter(pl.col("market") == market)
    assert found.filter(pl.col("kind") == "entry")["ts"].to_list() == sorted(trades["entry_ts"])
    orders = report.tables["orders"].filter(pl.col("market") == market)
    first = found.row(0, named=True)
    filled = orders.filter((pl.col("ts") == first["ts"]) & (pl.col("side") == "buy"))
    assert first["price"] == pytest.approx(filled["price"].item())


def test_plateau_takes_the_median_of_evaluated_trials() -> None:
    trials = pl.DataFrame(
        {
            "fold": 0,
            "state": ["complete", "complete", "complete", "invalid"],
            "parameter_a": [1, 1, 1, 1],
            "parameter_b": [0.1, 0.1, 0.2, 0.1],
            "sharpe": [1.0, 3.0, 5.0, 100.0],
        }
    )
    assert tables.varying_parameters(trials) == ("b",)
    found = tables.plateau(trials, ["a", "b"])
    assert found.rows() == [(1.0, 0.1, 2.0, 2), (1.0, 0.2, 5.0, 1)]


def test_plateau_bins_many_values() -> None:
    trials = pl.DataFrame({"fold": 0, "parameter_a": np.linspace(0, 1, 101), "sharpe": np.arange(101.0)})
    found = tables.plateau(trials, ["a"], bins=10)
    assert found["a"].to_list() == pytest.approx([0.05 + 0.1 * part for part in range(10)])
    assert found["trials"].sum() == 101


def test_luck_is_what_was_recorded_and_an_interval_around_it(report: ReportInput) -> None:
    found = tables.luck(report)
    assert (found.deflated_sharpe, found.n_trials, found.pbo) == (0.31, 140, 0.42)
    assert found.interval is not None
    assert found.interval[0] < found.sharpe < found.interval[1]
    assert sum(found.interval) / 2 == pytest.approx(found.sharpe, rel=1e-9)


def test_logged_figures_equal_those_recomputed_from_the_returns(report: ReportInput) -> None:
    difference = tables.recomputed_difference(report)
    assert difference is not None
    assert difference <= 1e-12


def test_quality_counts_by_market() -> None:
    marks = pl.DataFrame(
        {
            "market": ["a", "a", "a"],
            "quality": ["GOOD", "QUESTIONABLE", "QUESTIONABLE"],
            "reason": ["", "spike", "low_volume"],
            "bars": [90, 2, 8],
        }
    )
    row = tables.quality(marks).row(0, named=True)
    assert (row["bars"], row["good"], row["questionable"], row["bad"]) == (100, 90, 10, 0)
    assert row["reasons"] == "low_volume 8, spike 2"
