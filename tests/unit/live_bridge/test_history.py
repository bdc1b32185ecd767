"""Events that do not fit what was before them are refused; recorded states are what events add up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import DataError
from live_bridge.exchange import Order
from live_bridge.history import apply, check_history, load_state
from live_bridge.journal import Draft, Event, Journal
from live_bridge.tick import close_tick
from tests.oracle.scripted_account import START, Stage, report_of, stage, trade_of

D = Decimal
BUY = Order("core-buy", "BTC/USDT", "buy", D("2.000"), D(100))
OTHER = replace(BUY, id="core-other", quantity=D("1.000"))


@pytest.fixture
def at(tmp_path: Path) -> Stage:
    return stage(tmp_path, {"USDT": "1000", "BTC": "1"})


def event(kind: str, **body: Any) -> Event:
    return Event(9, START.isoformat(), "core-t1", kind, body, "")


def test_an_empty_journal_has_no_state(tmp_path: Path) -> None:
    with Journal(tmp_path / "new.sqlite", account="main", portfolio="core") as journal:
        assert load_state(journal) is None
        assert check_history(journal) == 0


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (event("TELEPORTED"), "event 9 .* of kind TELEPORTED, which this version does not know"),
        (event("SETTLED", order=BUY.id), "order core-buy is settled outside of any tick"),
        (event("ABANDONED", order=BUY.id), "order core-buy is settled outside of any tick"),
    ],
    ids=lambda value: value.kind if isinstance(value, Event) else "",
)
def test_an_event_without_a_place_is_refused(at: Stage, made: Event, text: str) -> None:
    with pytest.raises(DataError, match=text):
        apply(at.state, made)


def test_an_answer_to_an_order_that_nobody_planned_is_refused(at: Stage) -> None:
    at.plan(OTHER, BUY)
    with pytest.raises(DataError, match="order core-stray is not among those that were planned"):
        apply(at.state, event("ANSWERED", order="core-stray", answer="ACCEPTED"))


def test_an_answer_moves_its_own_order_and_a_refusal_none(at: Stage) -> None:
    at.plan(OTHER, BUY)
    found = apply(at.state, event("ANSWERED", order=BUY.id, answer="ACCEPTED"))
    assert found.open_tick is not None
    assert [working.status for working in found.open_tick.pending] == ["PLANNED", "ACCEPTED"]
    refused = apply(found, event("ANSWERED", order=BUY.id, answer="REFUSED"))
    assert refused.open_tick == found.open_tick


def test_what_an_event_says_of_the_past_does_not_change_the_state(at: Stage) -> None:
    for kind in ("INCIDENT", "CONFIG_CHANGED", "RESTORED"):
        assert apply(at.state, event(kind)).document() == at.state.document()


def test_fees_of_a_third_coin_leave_its_price_and_turnover_begins_with_the_day(at: Stage) -> None:
    at.plan(BUY)
    day = 86_400_000
    paid = trade_of(BUY, "2.000", fee=D("0.001"), fee_asset="BNB")
    at.account.answers(
        submit=[report_of(BUY, "closed", "2.000")],
        trades=[[paid]],
        prices=[{"BTC/USDT": D(100)}, {"BNB/USDT": D(300)}],
    )
    at.sender.send_planned()
    assert at.state.marks["BNB/USDT"] == D(300)
    assert (at.state.turnover.day, at.state.turnover.notional) == (paid.at_ms // day, D(200))
    body = at.events("TRADED")[0]
    again = apply(at.state, event("TRADED", **body | {"trade": 71}))
    assert again.turnover.notional == 400
    later = apply(again, event("TRADED", **body | {"trade": 60, "at_ms": paid.at_ms + day}))
    assert (later.turnover.notional, later.cursors["BTC/USDT"]) == (D(200), 71)


def spoilt(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "balances": {**state["balances"], "USDT": "1000000"}}


def shorter(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in state.items() if key != "risk"}


def earlier(state: dict[str, Any]) -> dict[str, Any]:
    """As a version wrote it that knew nothing of live accounts."""
    return {key: value for key, value in state.items() if key not in ("cursors", "turnover", "recent")}


@pytest.mark.parametrize(
    ("change", "fits"), [(dict, True), (earlier, True), (spoilt, False), (shorter, False)]
)
def test_a_recorded_state_must_be_what_the_events_add_up_to(
    at: Stage, change: Callable[[dict[str, Any]], dict[str, Any]], fits: bool
) -> None:
    at.plan(BUY)
    at.sender.send_planned()
    body = {"equity": "0", "currency": "USDT", "state": change(at.state.document())}
    at.book.append([Draft("CLOSED", body)])
    if fits:
        assert check_history(at.book.journal) == at.book.journal.head[0]
    else:
        with pytest.raises(DataError, match="is not what the events before it add up to"):
            check_history(at.book.journal)


def test_a_start_from_the_last_finished_tick_knows_what_a_start_from_the_first_event_knows(at: Stage) -> None:
    at.plan(BUY)
    at.sender.send_planned()
    close_tick(at.book, ["BTC/USDT"])
    assert at.book.open_tick is None
    at.plan(OTHER, tick="core-t2")
    at.sender.send_planned()
    assert at.agree()
    assert check_history(at.book.journal) == at.book.journal.head[0]
