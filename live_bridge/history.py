"""From events to state: every kind of event and what it changes, as one pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Any, Final

from lab.core.errors import DataError
from lab.risk import resumed_document
from live_bridge.documents import RiskMemory, read_fill, read_order, read_risk, read_trade
from live_bridge.exchange import Trade
from live_bridge.journal import Event, Journal
from live_bridge.orders import CONTEXT
from live_bridge.state import BridgeState, Decided, OpenTick, Turnover, Working, WorkingStatus

__all__ = ["HALTED", "apply", "check_history", "load_state"]

HALTED: Final = 2
_DAY_MS: Final = 86_400_000
_MINUTE_MS: Final = 60_000

_ALWAYS: Final = frozenset({"currency", "balances", "marks", "decided", "risk", "tick", "ticks"})

# What a person should know or a program wants to find again; the state is the same after as before.
_SILENT: Final = frozenset({"INCIDENT", "CONFIG_CHANGED", "RESTORED"})


def load_state(journal: Journal) -> BridgeState | None:
    """Return the state the journal ends in, or None for an empty one; the chain's end is checked.

    Only the events since the last finished tick are read, so that the cost of a start does not grow with the
    journal's age.
    """
    base = journal.last("OPENED", "CLOSED", "MODE_CHANGED")
    if base is None:
        return None
    journal.verify(after=base.number)
    state = BridgeState.from_document(base.body["state"], base.at)
    for event in journal.events(after=base.number):
        state = apply(state, event)
    return state


def check_history(journal: Journal) -> int:
    """Check the whole chain, and every recorded state against the events before it; return their number.

    Raises
    ------
    DataError
        Naming the first event that does not fit.
    """
    checked = journal.verify()
    state = BridgeState()
    for event in journal.events():
        after = apply(state, event)
        if event.kind == "CLOSED":
            found, recorded = after.document(), event.body["state"]
            # A journal of an earlier version recorded less.
            same = {key: found.get(key) for key in recorded} == recorded
            if not same or not recorded.keys() >= _ALWAYS:
                raise DataError(
                    f"{journal.path}: the state recorded at event {event.number} is not what the events "
                    "before it add up to. Restore a copy, or keep this file and start a new one (state: …)"
                )
        state = after
    return checked


def apply(state: BridgeState, event: Event) -> BridgeState:
    """Return the state after an event; pure."""
    state = replace(state, at=event.at)
    if event.kind in _SILENT:
        return state
    rule = _RULES.get(event.kind)
    if rule is None:
        raise DataError(
            f"event {event.number} of the journal is of kind {event.kind}, which this version does not know"
        )
    return rule(state, event)


def _opened(state: BridgeState, event: Event) -> BridgeState:
    return BridgeState.from_document(event.body["state"], event.at)


def _decided(state: BridgeState, event: Event) -> BridgeState:
    body = event.body
    last = state.decided.get(body["instance"])
    given = {m: float.fromhex(text) for m, text in body["weights"].items() if text is not None}
    kept = {**(last.weights if last else {}), **given}
    closed = datetime.fromisoformat(body["closed"])
    return replace(
        state,
        decided={**state.decided, body["instance"]: Decided(closed, kept)},
        skipped={name: why for name, why in state.skipped.items() if name != body["instance"]},
    )


def _skipped(state: BridgeState, event: Event) -> BridgeState:
    body = event.body
    why = f"{body['code']} {body['instance']}: {body['detail']}"
    return replace(state, skipped={**state.skipped, body["instance"]: why})


def _planned(state: BridgeState, event: Event) -> BridgeState:
    body = event.body
    orders = tuple(read_order(entry) for entry in body["orders"])
    prices = {symbol: Decimal(text) for symbol, text in body["marks"].items()}
    shares = tuple(float.fromhex(share) for share in body.get("shares", []))
    return replace(
        state.with_marks(prices),
        risk=read_risk(body["risk"]["after"]),
        tick=event.tick,
        ticks=state.ticks + 1,
        shares=shares or state.shares,
        open_tick=OpenTick(
            event.tick,
            body["valid_until"],
            tuple(Working(order, order.id) for order in orders),
            tuple(body.get("scope", ())),
        ),
    )


def _filled(state: BridgeState, event: Event) -> BridgeState:
    settled = _without(state, event.body["order"])
    return replace(settled, ledger=state.ledger.after(read_fill(event.body)))


def _abandoned(state: BridgeState, event: Event) -> BridgeState:
    return _without(state, event.body["order"])


def _sent(state: BridgeState, event: Event) -> BridgeState:
    order = read_order(event.body["order"])
    at = int(event.body["sent_ms"])
    recent = (*(sent for sent in state.recent if at - _MINUTE_MS < sent <= at), at)
    return _replaced(replace(state, recent=recent), order.id, Working(order, event.body["root"], "SENT", at))


def _answered(state: BridgeState, event: Event) -> BridgeState:
    working = _found(state, event.body["order"])
    if event.body["answer"] == "REFUSED":
        return state
    status: WorkingStatus = "ACCEPTED" if event.body["answer"] == "ACCEPTED" else "UNKNOWN"
    return _replaced(state, working.order.id, replace(working, status=status))


def _traded(state: BridgeState, event: Event) -> BridgeState:
    return _booked(state, read_trade(event.body), event.body.get("fee_price"))


def _settled(state: BridgeState, event: Event) -> BridgeState:
    following = event.body.get("next_order")
    if following is None:
        return _without(state, event.body["order"])
    working = _found(state, event.body["order"])
    return _replaced(state, working.order.id, Working(read_order(following), working.root))


def _orphan(state: BridgeState, event: Event) -> BridgeState:
    for entry in event.body["trades"]:
        state = _booked(state, read_trade(entry), entry.get("fee_price"))
    return state


def _moved(state: BridgeState, event: Event) -> BridgeState:
    body = event.body
    # ADOPTED and PHANTOM carry a signed amount: the ledger follows the account.
    return replace(state, ledger=state.ledger.plus(body["currency"], Decimal(body["amount"])))


def _foreign(state: BridgeState, event: Event) -> BridgeState:
    currency, amount = event.body["currency"], Decimal(event.body["amount"])
    with localcontext(CONTEXT):
        held = {**state.foreign, currency: state.foreign.get(currency, Decimal(0)) + amount}
    return replace(state, foreign={name: value for name, value in held.items() if value})


def _examined(state: BridgeState, event: Event) -> BridgeState:
    return replace(state, cursors={**state.cursors, **event.body["cursors"]})


def _closed(state: BridgeState, event: Event) -> BridgeState:
    return replace(state, open_tick=None)


def _halted(state: BridgeState, event: Event) -> BridgeState:
    return replace(state, risk=replace(state.risk, mode=HALTED))


def _resumed(state: BridgeState, event: Event) -> BridgeState:
    return replace(state, risk=RiskMemory.from_document(resumed_document(state.risk.document())))


_RULES: Final[Mapping[str, Callable[[BridgeState, Event], BridgeState]]] = {
    "OPENED": _opened,
    "MODE_CHANGED": _opened,
    "DECIDED": _decided,
    "SKIPPED": _skipped,
    "PLANNED": _planned,
    "FILLED": _filled,
    "ABANDONED": _abandoned,
    "SENT": _sent,
    "ANSWERED": _answered,
    "TRADED": _traded,
    "SETTLED": _settled,
    "RECOVERED_ORPHAN": _orphan,
    "ADOPTED": _moved,
    "PHANTOM": _moved,
    "FOREIGN": _foreign,
    "EXAMINED": _examined,
    "HALTED": _halted,
    "RESUMED": _resumed,
    "CLOSED": _closed,
}


def _booked(state: BridgeState, trade: Trade, fee_price: Any) -> BridgeState:
    day = trade.at_ms // _DAY_MS
    before = state.turnover.notional if state.turnover.day == day else Decimal(0)
    marks = dict(state.marks)
    if fee_price is not None:
        marks[f"{trade.fee_asset}/{state.currency}"] = Decimal(fee_price)
    with localcontext(CONTEXT):
        turnover = Turnover(day, before + trade.cost)
    return replace(
        state,
        ledger=state.ledger.after_trade(trade),
        marks=marks,
        cursors={**state.cursors, trade.symbol: max(trade.id, state.cursors.get(trade.symbol, 0))},
        last_trade_ms=max(state.last_trade_ms, trade.at_ms),
        turnover=turnover,
    )


def _tick(state: BridgeState, order: str) -> OpenTick:
    if state.open_tick is None:
        raise DataError(f"journal: order {order} is settled outside of any tick")
    return state.open_tick


def _found(state: BridgeState, order: str) -> Working:
    for working in _tick(state, order).pending:
        if working.order.id == order:
            return working
    raise DataError(f"journal: order {order} is not among those that were planned")


def _without(state: BridgeState, order: str) -> BridgeState:
    tick = _tick(state, order)
    left = tuple(working for working in tick.pending if working.order.id != order)
    return replace(state, open_tick=replace(tick, pending=left))


def _replaced(state: BridgeState, order: str, working: Working) -> BridgeState:
    tick = _tick(state, order)
    pending = tuple(working if old.order.id == order else old for old in tick.pending)
    return replace(state, open_tick=replace(tick, pending=pending))
