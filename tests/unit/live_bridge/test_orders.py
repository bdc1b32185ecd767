"""Order planning on cases small enough to check by hand."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import pytest

from lab.core.errors import ConfigError
from live_bridge.exchange import Rules
from live_bridge.order_ids import order_id, own_prefix
from live_bridge.orders import Costing, Placing, Plan, Target, plan_orders, round_down

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


def test_an_order_above_the_largest_quantity_is_split_and_what_is_too_small_is_told() -> None:
    made = plan(0.5, max_quantity=D(2))
    assert [order.quantity for order in made.orders] == [D("2.00"), D("2.00"), D("1.00")]
    assert [order.slice for order in made.orders] == [0, 1, 2]
    assert len({order.id for order in made.orders}) == 3
    assert made.skipped == ()
    rest = plan(0.405, max_quantity=D(2))
    assert [order.quantity for order in rest.orders] == [D("2.00"), D("2.00")]
    assert [(s.reason, s.quantity) for s in rest.skipped] == [("BELOW_MIN_NOTIONAL", D("0.05"))]


@pytest.mark.parametrize(
    ("placing", "quantities"),
    [
        (Placing(max_notional=D(150)), ["1.50", "1.50", "1.50", "0.50"]),
        (Placing(max_quantity={"BTC/USDT": D("2.5")}), ["2.50", "2.50"]),
        (Placing(max_quantity={"BTC/USDT": D("0.001")}, max_slices=3), ["0.11", "0.11", "0.11"]),
        (Placing(max_notional=D(200), max_slices=1), ["2.00"]),
    ],
)
def test_large_orders_are_split_as_configured(placing: Placing, quantities: list[str]) -> None:
    target = Target("BTC/USDT", 0.5, D(0), D(100))
    made = plan_orders(
        [target], rules(), equity=D(1000), cash=D(1000), costs=FREE, scope=SCOPE, placing=placing
    )
    assert [order.quantity for order in made.orders] == [D(quantity) for quantity in quantities]
    left = D(5) - sum((order.quantity for order in made.orders), D(0))
    assert [(s.reason, s.quantity) for s in made.skipped] == ([("MAX_SLICES", left)] if left else [])


def test_limit_orders_lie_on_the_cheap_side_and_on_the_tick() -> None:
    placing = Placing(kind="limit", offset_bps=10.0)
    buy, sell = (
        plan_orders(
            [Target("BTC/USDT", weight, D(held), D("100.07"))],
            rules(tick=D("0.05")),
            equity=D(1000),
            cash=D(1000),
            costs=FREE,
            scope=SCOPE,
            placing=placing,
        ).orders[0]
        for weight, held in ((0.5, "0"), (0.0, "3"))
    )
    assert (buy.kind, buy.limit, sell.limit) == ("limit", D("99.95"), D("100.20"))


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
    parts = ["main", "my portfolio!", "tick", "head", "BTC/USDT", "buy", "0", "0", "0"]
    made = order_id(parts)
    assert re.fullmatch(r"myportfo-[0-9a-f]{27}", made)
    assert made.startswith(own_prefix("main", "my portfolio!"))
    others = {order_id([*parts[:i], "x", *parts[i + 1 :]]) for i in range(len(parts))}
    assert len(others) == len(parts)
    # Parts are not merely glued together.
    assert order_id(["p", "p", "a", "bc"]) != order_id(["p", "p", "ab", "c"])
    with pytest.raises(ConfigError, match="no letter or digit"):
        order_id(["main", "!!", "t"])


def test_no_portfolio_has_another_ones_prefix() -> None:
    names = ["binance_a", "binance_b", "binance", "binance_families", "core"]
    prefixes = [own_prefix(account, name) for name in names for account in ("main", "second")]
    assert len(set(prefixes)) == len(prefixes)
