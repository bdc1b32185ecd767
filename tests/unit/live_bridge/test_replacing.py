"""Limit orders that rest: cancelled after their time, replaced by their rest, and stopped by a halt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from live_bridge.bans import BannedError
from live_bridge.exchange import Order, OrderRefusedError
from tests.oracle.scripted_account import OWN, Stage, report_of, stage, trade_of

D = Decimal
SELL = Order("core-sell", "BTC/USDT", "sell", D("1.000"), D(100))
LIMIT = Order("core-limit", "BTC/USDT", "buy", D("2.000"), D(100), "limit", D(99))

Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda **settings: stage(tmp_path, {"USDT": "1000", "BTC": "1"}, **settings)


class Resting:
    """A limit order that fills a part at once and rests until it is cancelled."""

    def __init__(self, at: Stage, filled: str = "0") -> None:
        self.at, self.filled, self.placed, self.gone = at, filled, [], set()
        at.account.answers(submit=repeat(self.submit), order=repeat(self.order), cancel=repeat(self.cancel))
        if filled != "0":
            at.account.answers(trades=repeat(lambda _: [trade_of(self.placed[-1], filled, id=70)]))

    def submit(self, order: Order) -> Any:
        self.placed.append(order)
        if order.kind == "limit":
            return report_of(order, "open", self.filled)
        self.at.account.script.clear()
        return report_of(order, "expired")

    def order(self, symbol: str, client_id: str) -> Any:
        order = next(order for order in self.placed if order.id == client_id)
        return report_of(order, "canceled" if client_id in self.gone else "open", self.filled)

    def cancel(self, symbol: str, client_id: str) -> None:
        self.gone.add(client_id)


def test_a_limit_that_rested_is_replaced_and_its_rest_goes_as_a_market_order(make: Make) -> None:
    at = make(type="limit", limit_timeout_s=5.0, replacements=1, limit_offset_bps=50)
    at.plan(LIMIT)
    resting = Resting(at)
    at.sender.send_planned()
    assert [(o.kind, o.limit, o.replacement) for o in resting.placed] == [
        ("limit", D(99), 0),
        ("limit", D("99.5"), 1),
        ("market", None, 2),
    ]
    assert len(resting.gone) == 2
    assert [b["reason"] for b in at.events("SETTLED")] == ["rested as long as it may"] * 2 + [""]
    assert {body["root"] for body in at.events("SETTLED")} == {LIMIT.id}
    first, second = (body["sent_ms"] for body in at.events("SENT")[:2])
    assert 5_000 <= second - first < 7_000


def test_only_the_rest_of_a_limit_that_filled_in_part_is_ordered_again(make: Make) -> None:
    at = make(type="limit", limit_timeout_s=5.0, replacements=1, last_resort="drop")
    at.plan(LIMIT)
    resting = Resting(at, "0.5")
    at.sender.send_planned()
    assert [order.quantity for order in resting.placed] == [D("2.000"), D("1.500")]
    assert [body["filled"] for body in at.events("SETTLED")] == ["0.5", "0.5"]
    assert at.events("SETTLED")[-1]["next_order"] is None


def test_a_limit_that_filled_before_its_cancellation_is_not_replaced(make: Make) -> None:
    at = make(type="limit", limit_timeout_s=5.0)
    at.plan(LIMIT)
    resting = Resting(at, "2.000")
    at.sender.send_planned()
    assert len(resting.placed) == 1
    assert at.state.ledger["BTC"] == 3


def test_without_a_price_a_limit_is_not_replaced(make: Make) -> None:
    at = make(type="limit", limit_timeout_s=5.0)
    at.plan(LIMIT)
    resting = Resting(at)
    at.account.answers(prices=[OWN, {}])
    at.sender.send_planned()
    assert len(resting.placed) == 1
    assert at.events("SETTLED")[0]["next_order"] is None


@pytest.mark.parametrize(
    ("order", "at_halt", "cancelled_at_once"),
    [
        (LIMIT, "cancel", True),
        (LIMIT, "leave_exits", True),
        (SELL, "cancel", True),
        (SELL, "leave_exits", False),
    ],
)
def test_while_halted_what_rests_is_cancelled_and_exits_are_left_if_asked(
    make: Make, order: Order, at_halt: str, cancelled_at_once: bool
) -> None:
    at = make(type="limit", limit_timeout_s=5.0, at_halt=at_halt)
    order = replace(order, kind="limit", limit=D(101 if order.side == "sell" else 99))
    at.plan(order)
    at.account.answers(submit=[OrderRefusedError("too many requests", "wait")])
    with pytest.raises(BannedError):
        at.sender.send_planned()
    at.halt()
    resting = Resting(at)
    resting.placed.append(order)
    at.sender.settle_sent()
    assert resting.gone == {order.id}
    assert (at.time.passed < 5) is cancelled_at_once
    assert [(b["status"], b["next_order"]) for b in at.events("SETTLED")] == [("CANCELED", None)]
