"""The last gate: each rule by itself, on an order that passes all others."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from lab.core.settings import PortfolioRiskSettings
from live_bridge.config import OrderSettings
from live_bridge.exchange import Order, Rules
from live_bridge.gate import GateView, fitted, refusal
from live_bridge.orders import Costing

D = Decimal
RULES = Rules(
    "BTC/USDT", "BTC", "USDT", D("0.01"), D("0.5"), D("0.02"), D(10), max_quantity=D(50), active=True
)
BUY = Order("core-1", "BTC/USDT", "buy", D("1.00"), D(100))
SELL = replace(BUY, side="sell", id="core-2")
VIEW = GateView(
    cash=D(500),
    held={"BTC/USDT": D(2), "ETH/USDT": D(10)},
    prices={"BTC/USDT": D(101), "ETH/USDT": D(10)},
    equity=D(802),
    traded_today=D(0),
    costs=Costing(D("0.001"), D("0.0005")),
)
LIMITS = PortfolioRiskSettings(max_weight_per_asset=1.0, max_exposure_pct=1.0)


def why(order: Order, view: GateView = VIEW, rules: Rules = RULES, **settings: Any) -> str:
    return refusal(order, rules, view, OrderSettings(**settings), LIMITS)


def test_what_breaks_no_rule_passes() -> None:
    assert why(BUY) == why(SELL) == ""
    assert why(replace(BUY, kind="limit", limit=D("99.5"))) == ""


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        (replace(BUY, id="x" * 37), "BAD_ID"),
        (replace(BUY, id="no blanks"), "BAD_ID"),
        (replace(BUY, symbol="ETH/USDT"), "NOT_TRADING"),
        (replace(BUY, quantity=D("1.005")), "OFF_STEP"),
        (replace(BUY, quantity=D(0)), "OFF_STEP"),
        (replace(BUY, quantity=D("0.01")), "BELOW_MIN_QUANTITY"),
        (replace(BUY, quantity=D("0.05")), "BELOW_MIN_NOTIONAL"),
        (replace(BUY, quantity=D(51)), "ABOVE_MAX_QUANTITY"),
        (replace(BUY, limit=D(99)), "BAD_LIMIT"),
        (replace(BUY, kind="limit", limit=D("99.3")), "OFF_TICK"),
        (replace(BUY, kind="limit", limit=D(90)), "PRICE_COLLAR"),
        (replace(BUY, price=D(90)), "PRICE_COLLAR"),
        (replace(BUY, quantity=D(5)), "CASH_SHORT"),
        (replace(SELL, quantity=D("2.01")), "NOT_HELD"),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused(order: Order, reason: str) -> None:
    assert why(order) == reason


def test_caps_act_on_buys_and_let_exits_through() -> None:
    assert why(BUY, max_order_pct=0.1) == "ORDER_CAP"
    assert why(SELL, max_order_pct=0.1) == ""
    busy = replace(VIEW, traded_today=D(1550))
    assert why(BUY, busy, max_daily_turnover=2.0) == "DAILY_CAP"
    assert why(SELL, busy, max_daily_turnover=2.0) == ""


def test_the_weights_after_a_buy_stay_within_the_portfolios_limits() -> None:
    # 3 x 101 = 303 of 802 is 0.378; the collar lets marks drift by 5 %.
    settings = OrderSettings()
    for largest, reason in ((0.35, "WEIGHT_CAP"), (0.37, "")):
        limits = PortfolioRiskSettings(max_weight_per_asset=largest, max_exposure_pct=1.0)
        assert refusal(BUY, RULES, VIEW, settings, limits) == reason
    limits = PortfolioRiskSettings(max_weight_per_asset=1.0, max_exposure_pct=0.4)
    assert refusal(BUY, RULES, VIEW, settings, limits) == "EXPOSURE_CAP"
    assert refusal(SELL, RULES, VIEW, settings, limits) == ""


def test_without_a_price_or_a_market_nothing_is_sent() -> None:
    assert why(BUY, replace(VIEW, prices={})) == "NO_PRICE"
    assert why(SELL, rules=replace(RULES, active=False)) == "NOT_TRADING"


def test_quantities_are_fitted_to_what_the_account_can_pay_or_deliver() -> None:
    # 500 / (101 x 1.0005 x 1.001) = 4.94
    assert fitted(replace(BUY, quantity=D(9)), RULES, VIEW) == D("4.94")
    assert fitted(replace(SELL, quantity=D(9)), RULES, VIEW) == D(2)
    assert fitted(BUY, RULES, replace(VIEW, cash=D(-5))) == 0
    assert fitted(replace(SELL, symbol="LTC/USDT"), RULES, VIEW) == 0
