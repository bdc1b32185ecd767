"""Reconciling: the exchange wins, when its answers can be believed, and every difference is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from itertools import count, repeat
from pathlib import Path

import pytest

from lab.core.errors import VenueError
from live_bridge.exchange import Holdings, Order
from live_bridge.reconciling import AccountUnreadableError
from tests.oracle.scripted_account import PREFIX, START_MS, Stage, report_of, stage, trade_of

D = Decimal
BUY = Order(f"{PREFIX}stray", "BTC/USDT", "buy", D("2.000"), D(100))
THEIRS = replace(BUY, id="someone-else")
SYMBOLS = ["BTC/USDT"]

Make = Callable[..., Stage]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return lambda **settings: stage(tmp_path, {"USDT": "1000", "BTC": "1"}, **settings)


def moved(at: Stage, currency: str, amount: str) -> None:
    at.account.ledger = at.account.ledger.plus(currency, D(amount))


def test_an_account_that_agrees_is_asked_once_and_nothing_is_written(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    moved(at, "BTC", "0.00000001")
    told = at.reconciler.run(SYMBOLS)
    assert told == {"orphans": [], "foreign": {}, "adopted": {}, "phantom": {}}
    assert at.book.journal.head == before
    assert len(at.account.called("balances")) == 1


@pytest.mark.parametrize("adopt", [True, False])
def test_a_surplus_is_adopted_or_left_alone(make: Make, adopt: bool) -> None:
    at = make(adopt=adopt)
    moved(at, "BTC", "0.5")
    told = at.reconciler.run(SYMBOLS)
    assert told["adopted" if adopt else "foreign"] == {"BTC": "0.5"}
    assert at.state.ledger["BTC"] == (D("1.5") if adopt else D(1))
    assert at.state.foreign == ({} if adopt else {"BTC": D("0.5")})
    assert at.codes() == ["FOREIGN_POSITION"]
    assert at.book.incidents[0].symbol == "BTC/USDT"
    assert at.agree()
    assert at.reconciler.run(SYMBOLS) == {"orphans": [], "foreign": {}, "adopted": {}, "phantom": {}}


def test_what_is_missing_comes_off_what_was_foreign_first(make: Make) -> None:
    at = make(foreign={"USDT": "200"})
    moved(at, "USDT", "-50")
    told = at.reconciler.run(SYMBOLS)
    # 1,200 were known, 950 are there: 200 were never the portfolio's, 50 were.
    assert (told["foreign"], told["phantom"]) == ({"USDT": "-200"}, {"USDT": "50"})
    assert at.codes() == ["FOREIGN_POSITION", "PHANTOM_POSITION"]
    assert {incident.symbol for incident in at.book.incidents} == {""}
    assert (at.state.foreign, at.state.ledger["USDT"]) == ({}, D(950))
    assert at.agree()


def test_what_was_foreign_may_leave_without_touching_the_ledger(make: Make) -> None:
    at = make(foreign={"USDT": "200"})
    moved(at, "USDT", "150")
    told = at.reconciler.run(SYMBOLS)
    assert (told["foreign"], told["phantom"]) == ({"USDT": "-50"}, {})
    assert (at.state.foreign["USDT"], at.state.ledger["USDT"]) == (D(150), D(1000))


def test_a_difference_that_passes_is_no_difference(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    late = Holdings({}, {"BTC": D(1), "USDT": D(900)})
    at.account.answers(balances=[late, late])
    assert at.reconciler.run(SYMBOLS)["phantom"] == {}
    assert at.book.journal.head == before


def test_answers_that_differ_from_look_to_look_change_nothing(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    amounts = count(900)
    at.account.answers(
        balances=repeat(lambda: Holdings({}, {"BTC": D(1), "USDT": D(next(amounts))})),
    )
    with pytest.raises(AccountUnreadableError, match="differ from one look to the next"):
        at.reconciler.run(SYMBOLS)
    assert at.book.journal.head == before


def test_an_answer_older_than_the_last_trade_changes_nothing(make: Make) -> None:
    at = make()
    at.plan(BUY)
    at.sender.send_planned()
    assert at.state.last_trade_ms == START_MS
    before = at.book.journal.head
    old = Holdings({}, {"BTC": D(1), "USDT": D(1000)}, updated_ms=START_MS - 1)
    at.account.answers(balances=repeat(old))
    with pytest.raises(AccountUnreadableError, match="older"):
        at.reconciler.run(SYMBOLS)
    assert at.book.journal.head == before
    at.account.answers(balances=repeat(Holdings({}, at.account.ledger.amounts, updated_ms=START_MS)))
    assert at.reconciler.run(SYMBOLS)["phantom"] == {}


def test_an_account_that_shows_nothing_is_believed_only_on_a_persons_word(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    moved(at, "BTC", "-1")
    moved(at, "USDT", "-1000")
    with pytest.raises(AccountUnreadableError, match="reconcile --accept"):
        at.reconciler.run(SYMBOLS)
    assert at.book.journal.head == before
    assert at.reconciler.run(SYMBOLS, accept=True)["phantom"] == {"BTC": "1", "USDT": "1000"}
    assert at.state.ledger.amounts == {}


def test_one_currency_that_is_gone_is_no_empty_account(make: Make) -> None:
    at = make()
    moved(at, "BTC", "-1")
    assert at.reconciler.run(SYMBOLS)["phantom"] == {"BTC": "1"}
    assert at.agree()


def test_a_market_that_is_gone_is_compared_by_its_balance(make: Make) -> None:
    at = make()
    moved(at, "LUNA", "3")
    told = at.reconciler.run(["BTC/USDT", "LUNA/USDT"])
    assert told["foreign"] == {"LUNA": "3"}
    assert {symbol for symbol, *_ in at.account.called("open_orders")} == {"BTC/USDT"}


def test_its_own_open_order_that_the_journal_does_not_know_is_cancelled(make: Make) -> None:
    at = make()
    open_, gone = report_of(BUY, "open"), report_of(BUY, "canceled")
    at.account.answers(open_orders=[(open_, replace(open_, client_id=THEIRS.id))], order=[None, open_, gone])
    at.reconciler.run(SYMBOLS)
    assert at.account.called("cancel") == [("BTC/USDT", BUY.id)]
    assert len(at.account.called("order")) == 3


def test_an_open_order_that_the_journal_knows_is_not_touched(make: Make) -> None:
    at = make()
    at.plan(BUY)
    at.account.answers(open_orders=[(report_of(BUY, "open"),)])
    at.reconciler.run(SYMBOLS)
    assert at.account.called("cancel") == []


def test_a_stray_that_cannot_be_cancelled_stops_the_run(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    at.account.answers(open_orders=[(report_of(BUY, "open"),)], order=repeat(report_of(BUY, "open")))
    with pytest.raises(VenueError, match=f"{BUY.id}: an open order .* nothing is ordered before it is gone"):
        at.reconciler.run(SYMBOLS)
    assert at.book.journal.head == before


def test_its_own_fills_that_the_journal_lacks_are_booked_once(make: Make) -> None:
    at = make()
    # The request of a lost journal: the account has the fill, the ledger has not.
    at.account.submit(BUY, sent_ms=START_MS)
    told = at.reconciler.run(SYMBOLS)
    assert told == {"orphans": [BUY.id], "foreign": {}, "adopted": {}, "phantom": {}}
    assert at.codes() == ["RECOVERED_ORPHAN"]
    assert (at.state.ledger["BTC"], at.state.ledger["USDT"]) == (D(3), D("799.8"))
    assert at.state.cursors == {"BTC/USDT": 1}
    assert at.agree()
    moved(at, "BTC", "1")
    assert at.reconciler.run(SYMBOLS)["orphans"] == []


def test_what_others_traded_is_examined_once_and_stays_foreign(make: Make) -> None:
    at = make()
    at.account.submit(THEIRS, sent_ms=START_MS)
    told = at.reconciler.run(SYMBOLS)
    assert told["orphans"] == []
    assert told["foreign"] == {"BTC": "2.000"}
    assert told["phantom"] == {"USDT": "200.200000"}
    assert at.events("EXAMINED") == [{"cursors": {"BTC/USDT": 1}}]
    moved(at, "BTC", "1")
    at.reconciler.run(SYMBOLS)
    assert len(at.account.called("order_by_number")) == 1
    assert len(at.events("EXAMINED")) == 1


def test_a_trade_of_an_order_that_is_not_shown_changes_nothing(make: Make) -> None:
    at = make()
    before = at.book.journal.head
    moved(at, "BTC", "2")
    at.account.answers(trades=[(trade_of(BUY, "2.000"),)], order_by_number=[None])
    with pytest.raises(VenueError, match="a trade of order 7, which the exchange does not show yet"):
        at.reconciler.run(SYMBOLS)
    assert at.book.journal.head == before
