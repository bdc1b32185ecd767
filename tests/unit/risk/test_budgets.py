"""What is used of limits, what scenarios would cost, and when an exchange or its data are in trouble."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.core.settings import HealthSettings, PortfolioRiskSettings
from lab.risk import budgets, currency_exposures, exchange_trouble, measures, stress, worst_trouble
from tests.unit.risk.test_breakers import DAY, go, plan, start


def test_budgets_say_how_much_of_each_limit_is_used() -> None:
    one = plan(
        ("portfolio", "monthly_loss", 0.1, "reduce_only", "month"),
        ("instance", "drawdown", 0.15, "reduce_only", "month"),
        max_daily_loss_pct=0.05,
        max_positions=4,
        max_exchange_pct=0.6,
        max_trend_family_pct=0.4,
        min_cash_pct=0.2,
    )
    _, state, _ = go(one, start(one), 964.0, DAY, (0.3, 0.1))
    rows = [str(row) for row in budgets(state, one)]
    assert rows == [
        "72 % of the daily loss limit",
        "36 % of the monthly loss limit",
        "0 % of the drawdown limit of instance one",
        "0 % of the drawdown limit of instance two",
        "50 % of the exposure limit",
        "50 % of the positions limit",
        "67 % of the exchange x limit",
        "75 % of the exposure limit of family time_series_momentum",
    ]
    _, state, _ = go(one, state, 900.0, DAY, (0.3, 0.1))
    tripped = [row.limit for row in budgets(state, one) if row.tripped]
    assert tripped == ["daily loss", "monthly loss"]


def test_unknown_figures_have_an_unknown_share() -> None:
    one = plan(("instance", "drawdown", 0.15, "reduce_only", "month"), max_daily_loss_pct=0.05)
    _, state, _ = go(one, start(one), math.nan, DAY)
    rows = budgets(state, one)
    assert str(rows[0]) == "unknown share of the daily loss limit, tripped"
    assert math.isnan(rows[0].document()["fraction"])


def test_shipped_scenarios_cost_what_they_say() -> None:
    found = stress(
        np.array([0.3, 0.2, 0.1]),
        ["a:BTC/USDT", "b:ETH/USDT", "a:DOGE/USDT"],
        PortfolioRiskSettings().stress,
    )
    losses = {one.name: (round(one.loss, 12), one.worst) for one in found}
    assert losses["march_2020"] == (0.251, "a:BTC/USDT")
    assert losses["may_2021"] == (0.271, "a:BTC/USDT")
    assert stress(np.zeros(1), ["a:BTC/USDT"], {"calm": {}})[0] == ("calm", 0.0, "")


def test_currencies_are_valued_by_the_rates_given() -> None:
    held = currency_exposures({"EUR": 100.0, "USDT": 90.0, "BTC": 0.0}, {"EUR": 1.1}, "USDT")
    assert held == pytest.approx({"EUR": 0.55, "USDT": 0.45, "BTC": 0.0})
    with pytest.raises(ConfigError, match="no rate for EUR in USDT"):
        currency_exposures({"EUR": 1.0}, {}, "USDT")


HEALTH = HealthSettings(calls=4, max_error_rate_pct=0.5, max_latency_ms=100.0)


@pytest.mark.parametrize(
    ("calls", "trouble"),
    [
        ([], 0.0),
        ([(True, 100.0)] * 4, 0.0),
        ([(True, 100.1)] * 4, 2.0),
        ([(True, 500.0)] * 9 + [(True, 90.0)] * 4, 0.0),
        ([(False, 1.0)] * 2 + [(True, 1.0)] * 2, 0.0),
        ([(False, 1.0)] * 3 + [(True, 1.0)], 2.0),
        ([(True, math.nan)], 2.0),
    ],
)
def test_an_exchange_is_unwell_by_its_last_calls(calls: list[tuple[bool, float]], trouble: float) -> None:
    assert exchange_trouble(calls, HEALTH) == trouble
    assert exchange_trouble(calls, HEALTH, banned=True) == 3.0
    assert worst_trouble(trouble, 1.0) == max(trouble, 1.0)


def test_measures_are_those_of_numpy_and_of_their_window_alone() -> None:
    random = np.random.default_rng(3)
    close = np.exp(np.cumsum(random.normal(0, 0.05, (60, 3)), axis=0))
    volume = random.uniform(1, 9, (60, 3))
    close[random.random((60, 3)) < 0.2] = np.nan
    volatility, traded = measures(close, volume, 24.0)
    for t in range(60):
        for i in range(3):
            window = slice(max(t - 19, 0), t + 1)
            before = np.vstack([np.full((1, 3), np.nan), close])[:-1]
            changes = np.log(close / before)[window, i]
            values = (close * volume)[window, i]
            enough = np.isfinite(changes).sum() >= 10
            expected = np.nanstd(changes, ddof=1) * math.sqrt(24.0) if enough else np.nan
            np.testing.assert_allclose(volatility[t, i], expected, rtol=1e-12)
            known = np.isfinite(values).sum() >= 10
            np.testing.assert_allclose(traded[t, i], np.nanmean(values) if known else np.nan, rtol=1e-12)
    tail = measures(close[-21:], volume[-21:], 24.0)
    assert [one[-1].tobytes() for one in tail] == [volatility[-1].tobytes(), traded[-1].tobytes()]
