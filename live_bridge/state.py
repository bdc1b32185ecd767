"""What the journal adds up to: balances, marks, last decisions, the breakers' memory, an unfinished tick."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from lab.core.errors import DataError
from live_bridge.documents import RiskMemory, read_fill, read_order, read_risk, risk_document
from live_bridge.exchange import Order
from live_bridge.journal import Event, Journal
from live_bridge.paper import Ledger

__all__ = ["BridgeState", "Decided", "OpenTick", "apply", "check_history", "load_state"]


@dataclass(frozen=True, slots=True)
class Decided:
    """The last decision of an instance: when its bar closed, and the weight last given to each market."""

    closed: datetime
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class OpenTick:
    """A tick whose plan is durable and whose orders are not all settled."""

    tick: str
    valid_until: str
    pending: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class BridgeState:
    """Everything a tick needs to know of the ticks before it.

    Attributes
    ----------
    currency : str
        Reference currency.
    ledger : Ledger
        Balances.
    marks : mapping of str to Decimal
        Last known price by symbol.
    decided : mapping of str to Decided
        By instance.
    risk : RiskMemory
        Of the portfolio.
    tick : str
        The last tick that acted; empty before the first.
    ticks : int
        How many acted.
    at : str
        Exchange time of the last event.
    open_tick : OpenTick or None
        A tick to be finished first.
    """

    currency: str = ""
    ledger: Ledger = field(default_factory=lambda: Ledger({}))
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    decided: Mapping[str, Decided] = field(default_factory=dict)
    risk: RiskMemory = field(default_factory=RiskMemory)
    tick: str = ""
    ticks: int = 0
    at: str = ""
    open_tick: OpenTick | None = None

    def document(self) -> dict[str, Any]:
        """Return the state as exact JSON: decimals as text, floats as hexadecimal text."""
        return {
            "currency": self.currency,
            "balances": {currency: str(amount) for currency, amount in self.ledger.amounts.items()},
            "marks": {symbol: str(price) for symbol, price in self.marks.items()},
            "decided": {
                name: {
                    "closed": d.closed.isoformat(),
                    "weights": {market: w.hex() for market, w in d.weights.items()},
                }
                for name, d in self.decided.items()
            },
            "risk": risk_document(self.risk),
            "tick": self.tick,
            "ticks": self.ticks,
        }

    def with_marks(self, prices: Mapping[str, Decimal]) -> BridgeState:
        """Return the state with newer prices; those of other symbols stay."""
        return replace(self, marks={**self.marks, **prices})

    @classmethod
    def from_document(cls, document: Mapping[str, Any], at: str) -> BridgeState:
        """Read what :meth:`document` wrote."""
        return cls(
            currency=document["currency"],
            ledger=Ledger({currency: Decimal(text) for currency, text in document["balances"].items()}),
            marks={symbol: Decimal(text) for symbol, text in document["marks"].items()},
            decided={name: _decided(entry) for name, entry in document["decided"].items()},
            risk=read_risk(document["risk"]),
            tick=document["tick"],
            ticks=document["ticks"],
            at=at,
        )


def load_state(journal: Journal) -> BridgeState | None:
    """Return the state the journal ends in, or None for an empty one; the chain's end is checked.

    Only the events since the last finished tick are read, so that the cost of a start does not grow with the
    journal's age.
    """
    base = journal.last("OPENED", "CLOSED")
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
        if event.kind == "CLOSED" and after.document() != event.body["state"]:
            raise DataError(
                f"{journal.path}: the state recorded at event {event.number} is not what the events before "
                "it add up to. Restore a copy, or keep this file and start a new one (state: …)"
            )
        state = after
    return checked


def apply(state: BridgeState, event: Event) -> BridgeState:
    """Return the state after an event; pure."""
    state, body = replace(state, at=event.at), event.body
    if event.kind == "OPENED":
        return BridgeState.from_document(body["state"], event.at)
    if event.kind == "DECIDED":
        last = state.decided.get(body["instance"])
        given = {m: float.fromhex(text) for m, text in body["weights"].items() if text is not None}
        kept = {**(last.weights if last else {}), **given}
        return replace(
            state,
            decided={
                **state.decided,
                body["instance"]: Decided(datetime.fromisoformat(body["closed"]), kept),
            },
        )
    if event.kind == "PLANNED":
        orders = tuple(read_order(entry) for entry in body["orders"])
        prices = {symbol: Decimal(text) for symbol, text in body["marks"].items()}
        return replace(
            state.with_marks(prices),
            risk=read_risk(body["risk"]["after"]),
            tick=event.tick,
            ticks=state.ticks + 1,
            open_tick=OpenTick(event.tick, body["valid_until"], orders),
        )
    if event.kind == "FILLED":
        return replace(_settled(state, body["order"]), ledger=state.ledger.after(read_fill(body)))
    if event.kind == "ABANDONED":
        return _settled(state, body["order"])
    if event.kind == "CLOSED":
        return replace(state, open_tick=None)
    raise DataError(
        f"event {event.number} of the journal is of kind {event.kind}, which this version does not know"
    )


def _settled(state: BridgeState, order: str) -> BridgeState:
    tick = state.open_tick
    if tick is None:
        raise DataError(f"journal: order {order} is settled outside of any tick")
    pending: Iterable[Order] = (entry for entry in tick.pending if entry.id != order)
    return replace(state, open_tick=replace(tick, pending=tuple(pending)))


def _decided(entry: Mapping[str, Any]) -> Decided:
    weights = {market: float.fromhex(text) for market, text in entry["weights"].items()}
    return Decided(datetime.fromisoformat(entry["closed"]), weights)
