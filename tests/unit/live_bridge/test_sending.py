"""Sending: what is durable before a request, and what follows from each answer to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import HaltedError, VenueError
from live_bridge.bans import BannedError
from live_bridge.exchange import Order, OrderRefusedError, UnclearError
from live_bridge.history import HALTED
from live_bridge.order_ids import order_id
from tests.oracle.scripted_account import RULES, START_MS, Stage, Then, report_of, stage, trade_of

D = Decimal
BUY = Order("core-buy", "BTC/USDT", "buy", D("2.000"), D(100))
SELL = Order("core-sell", "BTC/USDT", "sell", D("1.000"), D(100))
LIMIT = replace(BUY, id="core-limit", kind="limit", limit=D(99))

Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda **settings: stage(tmp_path, {"USDT": "1000", "BTC": "1"}, **settings)


def refused(kind: Any, wait_s: float = 0.0) -> OrderRefusedError:
    return OrderRefusedError(f"told to {kind}", kind, wait_s)


def test_an_order_is_durable_before_its_request_and_booked_after(make: Make) -> None:
    at = make()
    at.plan(SELL, BUY)
    seen = []

    def watched(order: Order) -> Any:
        seen.append((at.book.journal.last("SENT", "SETTLED").body["order"]["id"], order.id))
        return at.account.__class__.__mro__[1].submit(at.account, order, sent_ms=START_MS)

    at.account.answers(submit=[watched, watched])
    at.sender.send_planned()
    assert seen == [(SELL.id, SELL.id), (BUY.id, BUY.id)]
    assert at.kinds() == ["SENT", "ANSWERED", "TRADED", "SETTLED"] * 2
    assert [body["status"] for body in at.events("SETTLED")] == ["FILLED", "FILLED"]
    # 1,000 and the sale of 1 x 100 less 0.1 %, less 2 x 100 and 0.1 % of it.
    assert (at.state.ledger["BTC"], at.state.ledger["USDT"]) == (D(2), D("899.7"))
    assert at.book.open_tick is not None
    assert at.book.open_tick.pending == ()
    assert at.agree()


def test_with_nothing_planned_nothing_is_asked(make: Make) -> None:
    at = make()
    at.sender.send_planned()
    at.plan()
    at.sender.send_planned()
    assert at.account.calls == []
    assert at.sender.drop_planned("OUTLIVED") == 0


def test_what_was_never_sent_is_dropped_and_what_was_is_kept(make: Make) -> None:
    at = make()
    at.plan(SELL, BUY)
    at.account.answers(submit=[refused("wait", 9.0)])
    with pytest.raises(BannedError):
        at.sender.send_planned()
    assert at.sender.drop_planned("HALTED") == 1
    assert [body["order"] for body in at.events("ABANDONED")] == [BUY.id]
    assert [(w.order.id, w.status) for w in at.book.open_tick.pending] == [(SELL.id, "UNKNOWN")]


def test_a_request_to_wait_ends_the_run_and_the_next_one_asks_before_it_sends(make: Make) -> None:
    at = make()
    at.plan(SELL)
    at.account.answers(submit=[refused("wait", 9.0)])
    with pytest.raises(BannedError, match="the next run asks what became of it") as caught:
        at.sender.send_planned()
    assert caught.value.seconds == 9.0
    assert at.codes() == ["EXCHANGE_BANNED"]
    at.account.answers(order=[report_of(SELL, "closed", "1.000")], trades=[[trade_of(SELL, "1.000")]])
    at.sender.send_planned()
    assert len(at.account.called("submit")) == 1
    assert [body["status"] for body in at.events("SETTLED")] == ["FILLED"]
    assert at.state.ledger["USDT"] == D(1100)


def test_a_refused_key_halts_and_nothing_more_is_sent(make: Make) -> None:
    at = make()
    at.plan(SELL, BUY)
    at.account.answers(submit=[refused("halt")])
    with pytest.raises(HaltedError, match="Check the key"):
        at.sender.send_planned()
    assert at.state.risk.mode == HALTED
    assert at.codes() == ["KEY_REFUSED"]
    assert [body["status"] for body in at.events("SETTLED")] == ["REJECTED"]
    assert len(at.account.called("submit")) == 1
    assert [w.order.id for w in at.book.open_tick.pending] == [BUY.id]


def test_an_order_refused_for_its_time_is_sent_again_under_a_new_id_at_a_time_asked_anew(make: Make) -> None:
    at = make()
    at.plan(SELL)
    at.account.answers(submit=[refused("retry")])
    at.sender.send_planned()
    first, second = (order for (order,) in at.account.called("submit"))
    assert (first.id, first.attempt, second.attempt) == (SELL.id, 0, 1)
    assert second.id == order_id(["main", "core", "core-t1", "head", "BTC/USDT", "sell", "0", "0", "1"])
    assert [body["status"] for body in at.events("SETTLED")] == ["NOT_PLACED", "FILLED"]
    assert {body["root"] for body in at.events("SENT", "SETTLED")} == {SELL.id}
    names = [call[0] for call in at.account.calls]
    assert "now" in names[names.index("submit") : names.index("order")]
    assert at.agree()


def test_after_three_attempts_an_order_is_given_up(make: Make) -> None:
    at = make()
    at.plan(SELL)
    at.account.answers(submit=repeat(refused("retry")))
    at.sender.send_planned()
    assert [order.attempt for (order,) in at.account.called("submit")] == [0, 1, 2]
    assert len({order.id for (order,) in at.account.called("submit")}) == 3
    assert [body["reason"] for body in at.events("ABANDONED")] == ["ATTEMPTS"]
    assert at.codes() == ["ORDER_BLOCKED"]
    assert at.agree()


def test_a_refused_order_is_looked_up_once_and_skipped(make: Make) -> None:
    at = make()
    at.plan(SELL, BUY)
    at.account.answers(submit=[refused("skip")])
    at.sender.send_planned()
    assert at.codes() == ["ORDER_REJECTED"]
    assert [(b["order"], b["status"]) for b in at.events("SETTLED")] == [
        (SELL.id, "REJECTED"),
        (BUY.id, "FILLED"),
    ]
    assert at.account.called("order")[0] == ("BTC/USDT", SELL.id)
    assert at.agree()


@pytest.mark.parametrize("kind", ["skip", "retry"])
def test_an_order_that_is_refused_and_there_all_the_same_counts(make: Make, kind: str) -> None:
    at = make()
    at.plan(SELL)
    at.account.answers(submit=[Then(refused(kind))])
    at.sender.send_planned()
    assert len(at.account.called("submit")) == 1
    assert [body["status"] for body in at.events("SETTLED")] == ["FILLED"]
    assert at.codes() == []
    assert at.agree()


@pytest.mark.parametrize("arrived", [True, False])
def test_an_unclear_answer_is_asked_about_and_never_sent_again_under_its_id(
    make: Make, arrived: bool
) -> None:
    at = make()
    at.plan(SELL)
    lost = UnclearError("no answer")
    at.account.answers(submit=[Then(lost) if arrived else lost])
    at.sender.send_planned()
    ids = [order.id for (order,) in at.account.called("submit")]
    assert len(ids) == len(set(ids)) == (1 if arrived else 2)
    assert at.events("ANSWERED")[0]["answer"] == "UNKNOWN"
    # Nothing was there: certain only after receive window (5 s) and lag (1 s).
    assert at.time.passed < 1 if arrived else 6 < at.time.passed < 9
    assert at.state.ledger["BTC"] == 0
    assert at.agree()


def test_a_plan_whose_bar_is_over_is_dropped_without_an_alarm(make: Make) -> None:
    at = make()
    at.plan(SELL, minutes=0.0)
    at.sender.send_planned()
    assert [body["reason"] for body in at.events("ABANDONED")] == ["OUTLIVED"]
    assert (at.account.called("submit"), at.codes()) == ([], [])


@pytest.mark.parametrize(
    ("order", "balances", "reason"),
    [
        (SELL, {"USDT": "1000"}, "NOT_HELD"),
        (BUY, {"BTC": "1"}, "CASH_SHORT"),
        (replace(BUY, quantity=D("0.05")), {"USDT": "1000"}, "BELOW_MIN_NOTIONAL"),
        (replace(BUY, price=D(90)), {"USDT": "1000"}, "PRICE_COLLAR"),
    ],
)
def test_what_the_account_or_the_gate_forbids_is_blocked_and_told(
    tmp_path: Path, order: Order, balances: dict[str, str], reason: str
) -> None:
    at = stage(tmp_path, balances)
    at.plan(order)
    at.sender.send_planned()
    assert [body["reason"] for body in at.events("ABANDONED")] == [reason]
    assert at.account.called("submit") == []
    (incident,) = at.book.incidents
    assert incident.code == "ORDER_BLOCKED"
    assert incident.detail.startswith(f"{reason}: {order.side}")


def test_the_days_turnover_is_counted_from_midnight(make: Make) -> None:
    at = make(max_daily_turnover=0.25)
    at.plan(BUY, replace(BUY, id="core-buy-2", slice=1))
    at.sender.send_planned()
    # 200 of 1,100 fit into a quarter, 400 do not.
    assert [body["reason"] for body in at.events("ABANDONED")] == ["DAILY_CAP"]
    at.time.passed += 86_400
    at.sender.clock.ask()
    at.plan(replace(BUY, id="core-buy-3", quantity=D("1.000")), tick="core-t2", minutes=3_000)
    at.sender.send_planned()
    assert [body["status"] for body in at.events("SETTLED")] == ["FILLED", "FILLED"]


def test_orders_of_a_minute_are_capped_in_exchange_time(make: Make) -> None:
    at = make(per_minute=1, settle_s=120.0)
    at.plan(SELL, BUY)
    at.sender.send_planned()
    first, second = (body["sent_ms"] for body in at.events("SENT"))
    assert 60_000 <= second - first < 62_000
    assert at.agree()


def test_a_run_without_time_leaves_the_rest_to_the_next_one(make: Make) -> None:
    at = make(per_minute=1, settle_s=5.0)
    at.plan(SELL, BUY)
    with pytest.raises(VenueError, match="the next run sends the rest"):
        at.sender.send_planned()
    assert [(w.order.id, w.status) for w in at.book.open_tick.pending] == [(BUY.id, "PLANNED")]


def sent_before(at: Stage, order: Order, tick: str = "core-t1") -> None:
    """A run that died after its request: the journal knows only that it may have been sent."""
    at.plan(order, tick=tick)
    at.account.answers(submit=[refused("wait")])
    with pytest.raises(BannedError):
        at.sender.send_planned()


@pytest.mark.parametrize(("tick", "attempts"), [("core-t1", 0), ("flatten-1", 1)])
def test_while_halted_only_a_persons_flatten_is_tried_again(make: Make, tick: str, attempts: int) -> None:
    at = make()
    sent_before(at, SELL, tick)
    at.halt()
    at.sender.send_planned()
    assert at.events("SETTLED")[0]["status"] == "NOT_PLACED"
    assert len(at.account.called("submit")) == 1 + attempts
    assert at.agree()


def test_the_rules_of_a_market_are_asked_for_once_a_run(make: Make) -> None:
    at = make()
    at.plan(SELL, BUY)
    at.sender.send_planned()
    assert at.account.called("rules") == [([RULES.symbol],)]
