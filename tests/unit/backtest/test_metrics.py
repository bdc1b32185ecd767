from __future__ import annotations

import math

import numpy as np
import pytest

from lab.backtest import METRICS, Bars, compute_metrics, sharpe_per_period
from lab.core.errors import DataError

DIVIDED_BY_RISK = ("sharpe", "sortino", "skewness", "kurtosis")


def test_every_metric_is_there_in_the_documented_order() -> None:
    assert tuple(compute_metrics(np.array([0.1, -0.1]), periods_per_year=365.0)) == METRICS


def test_without_bars_everything_is_nan_but_their_number() -> None:
    figures = compute_metrics(np.array([]), periods_per_year=365.0)
    assert figures.pop("bars") == 0.0
    assert all(math.isnan(figure) for figure in figures.values())


@pytest.mark.parametrize("returns", [[0.0], [0.0, 0.0, 0.0], [0.01, 0.01, 0.01], [0.5]])
def test_without_volatility_nothing_is_divided_by_it(returns: list[float]) -> None:
    figures = compute_metrics(np.array(returns), periods_per_year=365.0)
    assert all(math.isnan(figures[name]) for name in DIVIDED_BY_RISK)
    assert math.isnan(figures["calmar"])
    assert figures["max_drawdown"] == 0.0


def test_rounding_of_a_steadily_growing_equity_is_no_volatility() -> None:
    equity = 10_000.0 * 1.001 ** np.arange(400)
    figures = compute_metrics(equity[1:] / equity[:-1] - 1.0, periods_per_year=365.0)
    assert math.isnan(figures["sharpe"])


def test_a_total_loss_is_a_figure() -> None:
    figures = compute_metrics(np.array([0.1, -1.0, 0.0]), periods_per_year=365.0)
    assert figures["total_return"] == -1.0
    assert figures["annualised_return"] == -1.0
    assert figures["max_drawdown"] == -1.0


def test_returns_alone_leave_trading_unknown() -> None:
    figures = compute_metrics(np.array([0.1, -0.05]), periods_per_year=365.0)
    for name in ("turnover", "exposure", "cost_share", "time_in_market"):
        assert math.isnan(figures[name])


def test_trading_figures() -> None:
    bars = Bars(
        returns=np.array([0.04, 0.0, 0.05, 0.0]),
        turnover=np.array([1.0, 0.0, 0.5, 0.5]),
        cost=np.array([0.006, 0.0, 0.002, 0.002]),
        exposure=np.array([1.0, 1.0, 0.5, 0.0]),
    )
    figures = compute_metrics(bars, periods_per_year=8.0)
    assert figures["turnover"] == 4.0
    assert figures["exposure"] == 0.625
    assert figures["time_in_market"] == 0.75
    assert figures["cost_share"] == pytest.approx(0.1)


def test_cost_share_needs_a_gain_before_costs() -> None:
    ones = np.ones(2)
    losing = Bars(returns=-0.1 * ones, turnover=ones, cost=0.01 * ones, exposure=ones)
    assert math.isnan(compute_metrics(losing, periods_per_year=365.0)["cost_share"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_return_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(DataError, match="return of bar 1"):
        compute_metrics(np.array([0.0, bad]), periods_per_year=365.0)


def test_joined_bars_are_bars_end_to_end() -> None:
    whole = Bars.from_returns(np.array([0.1, -0.2, 0.3]))
    joined = Bars.join([whole.rows(0, 1), whole.rows(1, 3)])
    assert joined.returns.tolist() == whole.returns.tolist()
    assert len(joined) == 3
    assert not joined.returns.flags.writeable


def test_per_period_sharpe_is_the_annual_one_without_the_year() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.005])
    annual = compute_metrics(returns, periods_per_year=365.0)["sharpe"]
    assert sharpe_per_period(returns) * math.sqrt(365.0) == pytest.approx(annual)
