"""What must hold of every order plan, whatever weights, positions, prices and rules."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from live_bridge.exchange import Rules
from live_bridge.orders import CONTEXT, Costing, Plan, Target, plan_orders
from live_bridge.paper import Ledger, simulate_fill

STEPS = [Decimal(0), Decimal("0.00001"), Decimal("0.01"), Decimal("1"), Decimal("0.25")]
amounts = st.decimals(0, 1_000, places=6)
prices = st.decimals("0.0001", 50_000, places=6)
weights = st.one_of(st.just(math.nan), st.just(0.0), st.floats(0, 1))


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Target], dict[str, Rules], Decimal, Costing]:
    count = draw(st.integers(1, 5))
    drawn = [draw(weights) for _ in range(count)]
    total = sum(weight for weight in drawn if weight > 0)
    targets, rules = [], {}
    for i, weight in enumerate(drawn):
        symbol = f"C{i}/USDT"
        scaled = weight / total if total > 1 and weight > 0 else weight
        price = draw(st.one_of(st.none(), prices)) if i else draw(prices)
        targets.append(Target(symbol, scaled, draw(amounts), price))
        rules[symbol] = Rules(
            symbol,
            f"C{i}",
            "USDT",
            step=draw(st.sampled_from(STEPS)),
            min_quantity=draw(st.sampled_from([Decimal(0), Decimal("0.001"), Decimal(1)])),
            min_notional=draw(st.sampled_from([Decimal(0), Decimal(5), Decimal(100)])),
            max_quantity=draw(st.sampled_from([None, Decimal(10), Decimal(100_000)])),
            active=draw(st.sampled_from([True, True, True, False])),
        )
    costs = Costing(draw(st.decimals(0, "0.05", places=4)), draw(st.decimals(0, "0.05", places=4)))
    return targets, rules, draw(st.decimals(0, 100_000, places=2)), costs


def planned(case: tuple[list[Target], dict[str, Rules], Decimal, Costing]) -> tuple[Plan, Decimal]:
    targets, rules, cash, costs = case
    with localcontext(CONTEXT):
        equity = cash + sum((t.quantity * t.price for t in targets if t.price is not None), Decimal(0))
    plan = plan_orders(targets, rules, equity=equity, cash=cash, costs=costs, scope=("main", "p", "t"))
    return plan, equity


@given(cases())
def test_orders_obey_the_rules_and_the_ledger_never_goes_below_zero(
    case: tuple[list[Target], dict[str, Rules], Decimal, Costing],
) -> None:
    targets, rules, cash, costs = case
    plan, _ = planned(case)
    held = {target.symbol: target for target in targets}
    ledger = Ledger({"USDT": cash, **{t.symbol.split("/")[0]: t.quantity for t in targets}})
    for order in plan.orders:
        rule, target = rules[order.symbol], held[order.symbol]
        assert rule.active
        assert order.quantity > 0
        assert order.quantity >= rule.min_quantity
        assert order.quantity * order.price >= rule.min_notional
        assert rule.max_quantity is None or order.quantity <= rule.max_quantity
        assert not rule.step or order.quantity % rule.step == 0
        assert order.price == target.price
        assert not math.isnan(target.weight)
        ledger = ledger.after(simulate_fill(order, costs))
        # A billionth of a cent: decimals are cut at 34 digits.
        assert all(amount >= Decimal("-1e-11") for amount in ledger.amounts.values())


@given(cases())
def test_no_order_leads_away_from_its_target_or_beyond_it(
    case: tuple[list[Target], dict[str, Rules], Decimal, Costing],
) -> None:
    plan, equity = planned(case)
    held = {target.symbol: target for target in case[0]}
    for order in plan.orders:
        target = held[order.symbol]
        assert target.price is not None
        before = target.quantity * target.price
        after = before + (1 if order.side == "buy" else -1) * order.quantity * order.price
        goal = Decimal(target.weight) * equity
        assert abs(after - goal) <= abs(before - goal)
        overshoot = (after - goal) * (1 if order.side == "buy" else -1)
        assert overshoot <= Decimal("1e-9") * max(equity, Decimal(1))


@given(cases())
def test_sells_come_first_every_market_in_one_piece_and_ids_are_unique(
    case: tuple[list[Target], dict[str, Rules], Decimal, Costing],
) -> None:
    plan, _ = planned(case)
    sides = [order.side for order in plan.orders]
    assert sides == sorted(sides, reverse=True)
    runs = [symbol for symbol, _ in groupby(order.symbol for order in plan.orders)]
    assert len(set(runs)) == len(runs)
    assert len({order.id for order in plan.orders}) == len(plan.orders)
    assert all(len(order.id) <= 36 for order in plan.orders)
    assert planned(case)[0] == plan
