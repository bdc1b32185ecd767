"""A backtest tells how much of its limits it used, and its breakers act within one bar of it."""

from __future__ import annotations

import numpy as np
import pytest

from lab.backtest import run_backtest
from lab.core.settings import BreakerRule, RiskSettings
from lab.costs import Costs
from lab.pipeline.risk_use import risk_use
from lab.risk import plan_of
from tests.oracle.portfolios import panel_of

FREE = Costs(0.0, 0.0)
RULE = {
    "scope": "portfolio",
    "measure": "drawdown",
    "at_pct": 0.1,
    "action": "reduce_only",
    "reset": "person",
}


@pytest.mark.parametrize("engine", ["fused", "vectorbt", "both"])
def test_a_breaker_acts_at_the_bar_that_trips_it_and_for_good(engine: str) -> None:
    # Half the account is in a market that falls by a fifth: the bar that opens there sees the loss of 10 %.
    prices = np.array([100.0, 100.0, 100.0, 80.0, 80.0, 200.0, 200.0])[:, None]
    weights = np.array([0.5, 0.5, 0.6, 0.6, 0.3, 0.6, 0.6])[:, None]
    settings = RiskSettings(breakers=(BreakerRule.model_validate(RULE),))
    panel = panel_of(prices, prices)
    result = run_backtest(panel, weights, costs=FREE, risk=settings, engine=engine)
    bought = result.orders.filter(result.orders["side"] == "buy")["ts"].dt.day().to_list()
    assert bought == [2]
    assert "DRAWDOWN" in result.risk_events["reasons"].to_list()
    assert result.status == "OK"
    # Until the third bar the step saw no loss: without the rule the fourth bar buys.
    plain = run_backtest(panel, weights, costs=FREE, risk=RiskSettings(), engine=engine)
    assert plain.orders.filter(plain.orders["side"] == "buy")["ts"].dt.day().to_list()[:2] == [2, 4]


def test_the_use_of_budgets_is_that_of_the_last_bar() -> None:
    prices = np.array([100.0, 100.0, 100.0, 94.0])[:, None]
    settings = RiskSettings(max_exposure_pct=0.8, max_daily_loss_pct=0.05, max_drawdown_pct=0.15)
    panel = panel_of(prices, prices, "1h")
    result = run_backtest(panel, np.full((4, 1), 0.6), costs=FREE, risk=settings)
    used = risk_use(result, plan_of(settings, costs=FREE, markets=panel.markets), settings)
    assert [row["text"] for row in used["budgets"]] == [
        "72 % of the daily loss limit",
        "24 % of the drawdown limit",
        "73 % of the exposure limit",
    ]
    assert used["mode"] == "NORMAL"
    assert run_backtest(panel, np.full((4, 1), 0.6), costs=FREE).risk_state is None
