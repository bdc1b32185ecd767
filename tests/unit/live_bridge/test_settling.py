"""Settling: when an order's end is certain, when the absence of one is, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import VenueError
from live_bridge.documents import order_document
from live_bridge.exchange import Holdings, Order, OrderReport
from live_bridge.journal import Draft
from live_bridge.settling import UnsettledError, fee_price
from live_bridge.state import Working
from tests.oracle.scripted_account import OWN, START_MS, Stage, next_run, report_of, stage, trade_of

D = Decimal
BUY = Order("core-buy", "BTC/USDT", "buy", D("2.000"), D(100))
SELL = Order("core-sell", "BTC/USDT", "sell", D("1.000"), D(100))
HELD = {"USDT": D(1000), "BTC": D(1)}

Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda **settings: stage(tmp_path, {"USDT": "1000", "BTC": "1"}, **settings)


def sent(at: Stage, order: Order, answer: str = "UNKNOWN") -> Working:
    """Leave the journal as after a request whose answer was, or was not, understood."""
    at.plan(order)
    body = {"order": order_document(order), "root": order.id, "sent_ms": START_MS, "recv_window_ms": 5_000}
    answered = {"order": order.id, "answer": answer, "exchange_id": "", "status": "", "error": ""}
    at.book.append([Draft("SENT", body), Draft("ANSWERED", answered)])
    (working,) = at.book.open_tick.pending
    return working


def settled(at: Stage) -> dict[str, Any]:
    (body,) = at.events("SETTLED")
    return body


def test_a_fill_is_booked_only_when_its_trades_add_up_to_it(make: Make) -> None:
    at = make()
    working = sent(at, BUY)
    done = report_of(BUY, "closed", "2.000")
    half, rest = trade_of(BUY, "1.500", id=70), trade_of(BUY, "0.500", id=71)
    at.account.answers(order=repeat(done), trades=[[], [half], [half, rest]])
    at.sender.settler.settle(working)
    assert len(at.account.called("trades")) == 3
    assert [body["trade"] for body in at.events("TRADED")] == [70, 71]
    assert (settled(at)["status"], settled(at)["filled"]) == ("FILLED", "2.000")
    assert (at.state.ledger["BTC"], at.state.ledger["USDT"]) == (D(3), D(800))
    assert at.state.cursors == {"BTC/USDT": 71}


@pytest.mark.parametrize(
    ("status", "filled", "booked", "code"),
    [
        ("closed", "2.000", "FILLED", None),
        ("closed", "1.250", "PARTIAL", None),
        ("canceled", "1.250", "CANCELED", "EXTERNAL_CANCEL"),
        ("canceled", "0", "CANCELED", "EXTERNAL_CANCEL"),
        ("expired", "1.250", "EXPIRED", "EXPIRED_WITH_FILLS"),
        ("expired", "0", "EXPIRED", "ORDER_REJECTED"),
        ("rejected", "0", "REJECTED", "ORDER_REJECTED"),
    ],
)
def test_every_end_is_booked_with_what_was_filled_and_told(
    make: Make, status: Any, filled: str, booked: str, code: str | None
) -> None:
    at = make()
    working = sent(at, BUY, "ACCEPTED")
    if D(filled):
        at.account.answers(trades=[[trade_of(BUY, filled)]])
    at.sender.settler.settle(working, first=report_of(BUY, status, filled))
    assert (settled(at)["status"], settled(at)["next_order"]) == (booked, None)
    assert at.state.ledger["BTC"] == 1 + D(filled)
    assert at.codes() == ([] if code is None else [code])
    assert at.book.open_tick.pending == ()


def test_no_answer_is_no_look_and_the_run_ends_with_what_it_was_told_last(make: Make) -> None:
    at = make(settle_s=20.0)
    working = sent(at, BUY)
    at.account.answers(order=repeat(VenueError("binance: cannot be reached")))
    with pytest.raises(UnsettledError, match=r"core-buy.*not known yet \(binance: cannot be reached\)"):
        at.sender.settler.settle(working)
    assert at.codes() == ["ORDER_UNRESOLVED"]
    assert at.account.called("trades") == []
    assert [w.status for w in at.book.open_tick.pending] == ["UNKNOWN"]
    at = next_run(at)
    at.account.answers(order=repeat(report_of(BUY, "closed", "2.000")), trades=[[trade_of(BUY, "2.000")]])
    at.sender.settle_sent()
    assert settled(at)["status"] == "FILLED"


def test_a_failed_look_between_two_empty_ones_does_not_count(make: Make) -> None:
    at = make()
    working = sent(at, BUY)
    at.time.passed = 10.0
    at.account.answers(order=[None, VenueError("down"), None, None])
    at.sender.settler.settle(working)
    assert settled(at)["status"] == "NOT_PLACED"
    assert settled(at)["reason"] == "two empty looks after its window"
    # Each of the two is a look at the order and, after it, at all else.
    assert len(at.account.called("order")) == 3
    assert len(at.account.called("balances")) == 2


def test_an_accepted_order_is_never_taken_for_not_placed(make: Make) -> None:
    at = make(settle_s=20.0)
    working = sent(at, BUY, "ACCEPTED")
    at.account.answers(order=repeat(None))
    with pytest.raises(UnsettledError):
        at.sender.settler.settle(working)
    assert at.time.passed >= 20
    assert at.account.called("orders") == []
    assert at.events("SETTLED") == []


def balances(**amounts: str) -> Holdings:
    total = {name: D(amount) for name, amount in amounts.items()}
    return Holdings(total, total)


def other(order: Order) -> OrderReport:
    return replace(report_of(order, "closed"), client_id="someone-else")


EVIDENCE = {
    "its id among the orders": (BUY, {"orders": repeat((report_of(BUY, "open"),))}),
    "a trade of an order not shown": (
        BUY,
        {"trades": repeat((trade_of(BUY, "1"),)), "order_by_number": repeat(None)},
    ),
    "a trade of its own": (
        BUY,
        {"trades": repeat((trade_of(BUY, "1"),)), "order_by_number": repeat(report_of(BUY, "open"))},
    ),
    "more of what it buys": (BUY, {"balances": repeat(balances(BTC="2", USDT="900"))}),
    "less of what it sells": (SELL, {"balances": repeat(balances(BTC="0.5", USDT="1050"))}),
}


@pytest.mark.parametrize("name", sorted(EVIDENCE))
def test_any_sign_of_an_order_keeps_it_open(make: Make, name: str) -> None:
    order, answers = EVIDENCE[name]
    at = make(settle_s=20.0)
    working = sent(at, order)
    at.time.passed = 10.0
    at.account.answers(order=repeat(None), **answers)
    with pytest.raises(UnsettledError, match="sent once and will not be sent again"):
        at.sender.settler.settle(working)
    assert at.events("SETTLED") == []
    assert len(at.account.called("balances")) == (
        0 if "balances" not in answers else len(at.account.called("trades"))
    )


NOTHING = {
    "orders of others": (BUY, {"orders": repeat((other(BUY),))}),
    "trades of others": (
        BUY,
        {"trades": repeat((trade_of(BUY, "1"),)), "order_by_number": repeat(other(BUY))},
    ),
    "less of what it buys": (BUY, {"balances": repeat(balances(BTC="0.5", USDT="900"))}),
    "a little more than before": (BUY, {"balances": repeat(balances(BTC="1.999", USDT="900"))}),
}


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_what_others_did_is_no_sign_of_an_order(make: Make, name: str) -> None:
    order, answers = NOTHING[name]
    at = make()
    working = sent(at, order)
    at.time.passed = 10.0
    at.account.answers(order=repeat(None), **answers)
    at.sender.settler.settle(working)
    assert settled(at)["status"] == "NOT_PLACED"


def test_trades_that_were_booked_before_are_not_asked_about(make: Make) -> None:
    at = make()
    working = sent(at, BUY)
    at.book.append([Draft("EXAMINED", {"cursors": {"BTC/USDT": 70}})])
    at.time.passed = 10.0
    at.account.answers(order=repeat(None), trades=repeat((trade_of(SELL, "1", id=70),)))
    at.sender.settler.settle(working)
    assert settled(at)["status"] == "NOT_PLACED"
    assert at.account.called("order_by_number") == []


def test_what_is_known_to_be_foreign_is_no_sign_of_an_order(tmp_path: Path) -> None:
    at = stage(tmp_path, {"USDT": "1000"}, foreign={"BTC": "5"})
    working = sent(at, BUY)
    at.time.passed = 10.0
    at.account.answers(order=repeat(None), balances=repeat(balances(BTC="5", USDT="1000")))
    at.sender.settler.settle(working)
    assert settled(at)["status"] == "NOT_PLACED"


def test_within_its_window_an_order_is_not_given_up(make: Make) -> None:
    at = make(lag_ms=3_000)
    working = sent(at, BUY)
    at.account.answers(order=repeat(None))
    at.sender.settler.settle(working)
    # Receive window (5 s) and lag (3 s) are over, and two looks made after that.
    assert 8.0 < at.time.passed < 12.0
    assert settled(at)["status"] == "NOT_PLACED"


def test_a_limit_rests_by_this_machines_clock_where_the_exchanges_stands_still(make: Make) -> None:
    at = make(limit_timeout_s=5.0)
    limit = replace(BUY, kind="limit", limit=D(99))
    working = sent(at, limit, "ACCEPTED")
    at.account.answers(now=repeat(at.time.now()), cancel=[OWN])
    at.account.answers(
        order=repeat(lambda *_: report_of(limit, "canceled" if at.account.called("cancel") else "open"))
    )
    at.sender.settler.follow = lambda *_: None
    at.sender.settler.settle(working, first=report_of(limit, "open"))
    assert 5.0 <= at.time.passed < 8.0
    assert settled(at)["reason"] == "rested as long as it may"
    assert at.codes() == []


def test_a_fees_coin_is_priced_where_it_has_a_price(make: Make) -> None:
    at = make()
    paid = trade_of(BUY, "1", fee=D("0.001"), fee_asset="BNB")
    at.account.answers(prices=[{"BNB/USDT": D(300)}, {}, VenueError("down")])
    assert fee_price(at.account, paid, "USDT") == D(300)
    assert fee_price(at.account, paid, "USDT") is None
    assert fee_price(at.account, paid, "USDT") is None
    assert at.account.called("prices") == [(["BNB/USDT"],)] * 3
    for without in (replace(paid, fee=D(0)), replace(paid, fee_asset="BTC"), replace(paid, fee_asset="USDT")):
        assert fee_price(at.account, without, "USDT") is None
    assert len(at.account.called("prices")) == 3


def test_a_fee_without_a_price_is_booked_in_its_coin_all_the_same(make: Make) -> None:
    at = make()
    working = sent(at, BUY, "ACCEPTED")
    paid = trade_of(BUY, "2.000", fee=D("0.001"), fee_asset="BNB")
    at.account.answers(trades=[[paid]], prices=[VenueError("down")])
    at.sender.settler.settle(working, first=report_of(BUY, "closed", "2.000"))
    assert at.events("TRADED")[0]["fee_price"] is None
    assert at.state.ledger["BNB"] == D("-0.001")


def test_a_market_order_that_is_still_open_is_waited_for_and_never_cancelled(make: Make) -> None:
    at = make(limit_timeout_s=1.0)
    working = sent(at, BUY, "ACCEPTED")
    done = report_of(BUY, "closed", "2.000")
    at.account.answers(
        order=repeat(lambda *_: done if at.time.passed > 3 else report_of(BUY, "open", "0.5")),
        trades=[[trade_of(BUY, "2.000")]],
    )
    at.sender.settler.settle(working, first=report_of(BUY, "open"))
    assert at.account.called("cancel") == []
    assert (settled(at)["status"], settled(at)["filled"]) == ("FILLED", "2.000")
