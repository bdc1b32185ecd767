"""Metrics against other people's programs, where the definitions agree, and against numbers by hand."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import stats

from lab.backtest import compute_metrics

YEAR = 365.0
# Other programs sum in another order and compound in another form.
ROUNDING = 1e-10


def samples() -> list[np.ndarray]:
    random = np.random.default_rng(11)
    quiet = random.normal(0.001, 0.02, 500)
    fat = random.standard_t(4, 800) * 0.01
    sparse = np.where(random.random(300) < 0.6, 0.0, random.normal(0.0, 0.03, 300))
    return [quiet, fat, sparse]


@pytest.mark.parametrize("returns", samples(), ids=["normal", "fat tails", "often flat"])
def test_quantstats_agrees(returns: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        import quantstats as qs

        series = pd.Series(returns, index=pd.date_range("2024-01-01", periods=len(returns), freq="D"))
        theirs = {
            "total_return": qs.stats.comp(series),
            "annualised_return": qs.stats.cagr(series, periods=365),
            "annualised_volatility": qs.stats.volatility(series, periods=365),
            "sharpe": qs.stats.sharpe(series, periods=365),
            "sortino": qs.stats.sortino(series, periods=365),
            "calmar": qs.stats.calmar(series, periods=365),
            "max_drawdown": qs.stats.max_drawdown(series),
            "hit_ratio": qs.stats.win_rate(series),
            "payoff": qs.stats.payoff_ratio(series),
            "profit_factor": qs.stats.profit_factor(series),
        }
    ours = compute_metrics(returns, periods_per_year=YEAR)
    for name, figure in theirs.items():
        assert ours[name] == pytest.approx(float(figure), rel=ROUNDING), name


@pytest.mark.parametrize("returns", samples(), ids=["normal", "fat tails", "often flat"])
def test_vectorbt_agrees(returns: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd

        series = pd.Series(returns, index=pd.date_range("2024-01-01", periods=len(returns), freq="D"))
        accessor = series.vbt.returns(freq="D", year_freq="365D")
        theirs = {
            "total_return": accessor.total(),
            "annualised_return": accessor.annualized(),
            "annualised_volatility": accessor.annualized_volatility(),
            "sharpe": accessor.sharpe_ratio(),
            "sortino": accessor.sortino_ratio(),
        }
        # Its drawdowns know no starting maximum of 1.0, and so are left out.
    ours = compute_metrics(returns, periods_per_year=YEAR)
    for name, figure in theirs.items():
        assert ours[name] == pytest.approx(float(figure), rel=ROUNDING), name


@pytest.mark.parametrize("returns", samples(), ids=["normal", "fat tails", "often flat"])
def test_longest_drawdown_by_a_row_loop(returns: np.ndarray) -> None:
    equity = [1.0, *np.cumprod(1.0 + returns).tolist()]
    longest = run = 0
    for position, value in enumerate(equity):
        run = 0 if value >= max(equity[: position + 1]) else run + 1
        longest = max(longest, run)
    assert compute_metrics(returns, periods_per_year=YEAR)["max_drawdown_duration"] == longest > 20


@pytest.mark.parametrize("returns", samples(), ids=["normal", "fat tails", "often flat"])
def test_scipy_agrees_on_the_moments(returns: np.ndarray) -> None:
    ours = compute_metrics(returns, periods_per_year=YEAR)
    assert ours["skewness"] == pytest.approx(stats.skew(returns), rel=ROUNDING)
    assert ours["kurtosis"] == pytest.approx(stats.kurtosis(returns, fisher=False), rel=ROUNDING)


def test_four_bars_by_hand() -> None:
    # Equity 1, 1.2, 0.9, 0.99, 0.99: peak 1.2, trough 0.9, three bars below the peak.
    returns = np.array([0.2, -0.25, 0.1, 0.0])
    ours = compute_metrics(returns, periods_per_year=4.0)
    assert ours["total_return"] == pytest.approx(-0.01)
    assert ours["annualised_return"] == pytest.approx(-0.01)
    assert ours["max_drawdown"] == pytest.approx(-0.25)
    assert ours["max_drawdown_duration"] == 3.0
    assert ours["calmar"] == pytest.approx(-0.04)
    assert ours["sharpe"] == pytest.approx(0.0125 / math.sqrt((0.1125 - 4 * 0.0125**2) / 3) * 2)
    assert ours["sortino"] == pytest.approx(0.0125 / 0.125 * 2)
    assert ours["hit_ratio"] == pytest.approx(2 / 3)
    assert ours["payoff"] == pytest.approx(0.15 / 0.25)
    assert ours["profit_factor"] == pytest.approx(0.3 / 0.25)
