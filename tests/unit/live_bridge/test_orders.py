"""Order planning on cases small enough to check by hand."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import pytest

from lab.core.errors import ConfigError
from live_bridge.exchange import Rules
from live_bridge.orders import Costing, Plan, Target, order_id, plan_orders, round_down

D = Decimal
FREE = Costing(D(0), D(0))
SCOPE = ("main", "core", "tick-1")


def rules(symbol: str = "BTC/USDT", **changes: Any) -> dict[str, Rules]:
    base, quote = symbol.split("/")
    values = {"step": D("0.01"), "min_quantity": D("0.01"), "min_notional": D(10), **changes}
    return {symbol: Rules(symbol, base, quote, **values)}


def plan(
    weight: float, held: str = "0", *, cash: str = "1000", costs: Costing = FREE, **changes: Any
) -> Plan:
    price = D(100)
    target = Target("BTC/USDT", weight, D(held), price)
    equity = D(cash) + D(held) * price
    return plan_orders([target], rules(**changes), equity=equity, cash=D(cash), costs=costs, scope=SCOPE)


def test_a_buy_is_rounded_down_to_the_step() -> None:
    (order,) = plan(0.12345).orders
    assert (order.side, order.quantity, order.price) == ("buy", D("1.23"), D(100))


def test_a_sell_goes_to_the_weight_and_a_zero_weight_sells_everything_the_step_allows() -> None:
    (half,) = plan(0.5, "10", cash="0").orders
    assert (half.side, half.quantity) == ("sell", D("5.00"))
    (exit_,) = plan(0.0, "1.23456").orders
    assert (exit_.side, exit_.quantity) == ("sell", D("1.23"))


def test_nan_keeps_the_quantity() -> None:
    assert plan(math.nan, "3") == Plan((), ())


@pytest.mark.parametrize(
    ("weight", "held", "changes", "reason"),
    [
        (0.005, "0", {"min_quantity": D("0.1")}, "BELOW_MIN_QUANTITY"),
        (0.005, "0", {}, "BELOW_MIN_NOTIONAL"),
        (0.0005, "0", {}, "ROUNDED_TO_ZERO"),
        (0.5, "0", {"active": False}, "NOT_TRADING"),
        (0.0, "0.005", {}, "ROUNDED_TO_ZERO"),
    ],
)
def test_what_the_rules_forbid_is_dropped_with_its_reason(
    weight: float, held: str, changes: dict[str, Any], reason: str
) -> None:
    made = plan(weight, held, **changes)
    assert made.orders == ()
    assert [skipped.reason for skipped in made.skipped] == [reason]


def test_an_order_above_the_largest_quantity_is_cut_and_the_rest_is_told() -> None:
    made = plan(0.5, max_quantity=D(2))
    assert [order.quantity for order in made.orders] == [D("2.00")]
    assert [(s.reason, s.quantity) for s in made.skipped] == [("MAX_QUANTITY", D(3))]


def test_a_buy_leaves_room_for_its_own_costs() -> None:
    costs = Costing(fee=D("0.01"), slippage=D("0.01"))
    (order,) = plan(1.0, costs=costs, step=D("0.0001")).orders
    # 1000 / (100 * 1.01 * 1.01) = 9.80296...
    assert order.quantity == D("9.8029")


def test_sells_come_first_and_pay_for_buys_the_smallest_buy_first() -> None:
    targets = [
        Target("A/USDT", 0.6, D(0), D(10)),
        Target("B/USDT", 0.0, D(100), D(10)),
        Target("C/USDT", 0.4, D(0), D(10)),
    ]
    every = {**rules("A/USDT"), **rules("B/USDT"), **rules("C/USDT")}
    made = plan_orders(targets, every, equity=D(1000), cash=D(0), costs=FREE, scope=SCOPE)
    assert [(order.side, order.symbol, order.quantity) for order in made.orders] == [
        ("sell", "B/USDT", D(100)),
        ("buy", "C/USDT", D(40)),
        ("buy", "A/USDT", D(60)),
    ]


def test_a_market_without_a_price_is_left_alone() -> None:
    target = Target("BTC/USDT", 0.0, D(5), None)
    made = plan_orders([target], rules(), equity=D(0), cash=D(0), costs=FREE, scope=SCOPE)
    assert made == Plan((), ())


def test_a_step_of_zero_does_not_round() -> None:
    assert round_down(D("1.23456789"), D(0)) == D("1.23456789")
    assert round_down(D("7"), D("2.5")) == D("5.0")


def test_order_ids_are_what_binance_accepts_and_differ_by_every_part() -> None:
    parts = ["main", "core", "tick", "BTC/USDT", "buy", "0", "0", "0"]
    made = order_id(parts, prefix="my portfolio!")
    assert re.fullmatch(r"myportfo-[0-9a-f]{27}", made)
    others = {order_id([*parts[:i], "x", *parts[i + 1 :]], prefix="core") for i in range(len(parts))}
    assert len(others) == len(parts)
    # Parts are not merely glued together.
    assert order_id(["a", "bc"], prefix="core") != order_id(["ab", "c"], prefix="core")
    with pytest.raises(ConfigError, match="no letter or digit"):
        order_id(parts, prefix="!!")
