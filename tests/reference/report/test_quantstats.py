"""The report's tables against QuantStats and pandas, from the exported returns."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest

from lab.report import ReportInput, tables
from tests.oracle.report_run import write_run

TOL_FLOAT64 = 1e-10
PERIODS = 365


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ReportInput:
    return ReportInput.read(write_run(tmp_path_factory.mktemp("run"), seed=11, bars=800))


@pytest.fixture(scope="module")
def stats() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import quantstats.stats

    return quantstats.stats


@pytest.fixture(scope="module")
def returns(report: ReportInput) -> pd.Series:
    account = tables.account(report)
    index = pd.DatetimeIndex(account["ts"].dt.replace_time_zone(None).to_numpy())
    return pd.Series(account["return"].to_numpy(), index=index)


@pytest.mark.filterwarnings("ignore")
def test_logged_metrics(report: ReportInput, returns: pd.Series, stats: object) -> None:
    expected = {
        "sharpe": stats.sharpe(returns, periods=PERIODS),  # type: ignore[attr-defined]
        "annualised_volatility": stats.volatility(returns, periods=PERIODS),  # type: ignore[attr-defined]
        "max_drawdown": stats.max_drawdown(returns),  # type: ignore[attr-defined]
        "sortino": stats.sortino(returns, periods=PERIODS),  # type: ignore[attr-defined]
        "total_return": stats.comp(returns),  # type: ignore[attr-defined]
        "skewness": returns.skew(),
    }
    # pandas' skewness is the sample's, ours the population's.
    count = len(returns)
    expected["skewness"] *= (count - 2) / np.sqrt(count * (count - 1))
    for name, value in expected.items():
        assert report.metrics[name] == pytest.approx(value, rel=TOL_FLOAT64), name


@pytest.mark.filterwarnings("ignore")
def test_monthly_returns(report: ReportInput, returns: pd.Series, stats: object) -> None:
    theirs = stats.monthly_returns(returns, eoy=False, compounded=True)  # type: ignore[attr-defined]
    for row in tables.monthly_returns(tables.account(report)).iter_rows(named=True):
        name = pd.Timestamp(2000, row["month"], 1).strftime("%b").upper()
        assert row["return"] == pytest.approx(theirs.loc[str(row["year"]), name], rel=TOL_FLOAT64, abs=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_drawdown_details(report: ReportInput, returns: pd.Series, stats: object) -> None:
    drawdowns = stats.to_drawdown_series(returns)  # type: ignore[attr-defined]
    theirs = stats.drawdown_details(drawdowns).sort_values("max drawdown")  # type: ignore[attr-defined]
    ours = tables.drawdown_periods(tables.account(report))
    worst = theirs.head(ours.height)
    assert ours["depth"].to_list() == pytest.approx((worst["max drawdown"] / 100).to_list(), rel=1e-9)
    valleys = [pd.Timestamp(day).date() for day in worst["valley"]]
    assert [day.date() for day in ours["trough"]] == valleys


def test_rolling_figures(report: ReportInput, returns: pd.Series) -> None:
    account = tables.account(report)
    ours = tables.rolling(account, window=90, periods_per_year=PERIODS)
    market = pd.Series(account["benchmark_return"].to_numpy(), index=returns.index)
    window = returns.rolling(90)
    sharpe = window.mean() / window.std() * np.sqrt(PERIODS)
    beta = window.cov(market) / market.rolling(90).var()
    known = ours["sharpe"].is_not_null().to_numpy()
    assert known.sum() > 500
    for name, theirs in (("sharpe", sharpe), ("volatility", window.std() * np.sqrt(PERIODS)), ("beta", beta)):
        np.testing.assert_allclose(
            ours[name].to_numpy()[known], theirs.to_numpy()[known], rtol=1e-7, atol=1e-9, err_msg=name
        )


@pytest.mark.filterwarnings("ignore")
def test_expected_shortfall_and_years(report: ReportInput, returns: pd.Series) -> None:
    found = dict(tables.distribution(pl.Series(returns.to_numpy())).iter_rows())
    quantile = returns.quantile(0.05)
    assert found["value_at_risk_0.05"] == pytest.approx(quantile, rel=TOL_FLOAT64)
    assert found["expected_shortfall_0.05"] == pytest.approx(returns[returns <= quantile].mean(), rel=1e-12)
    theirs = (1 + returns).groupby(returns.index.year).prod() - 1  # type: ignore[attr-defined]
    ours = tables.yearly(tables.account(report), periods_per_year=PERIODS)
    assert ours["total_return"].to_list() == pytest.approx(theirs.to_list(), rel=TOL_FLOAT64)
