"""What the journal adds up to: balances, marks, last decisions, the breakers' memory, an unfinished tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from live_bridge.documents import RiskMemory, read_risk, risk_document
from live_bridge.exchange import Order
from live_bridge.paper import Ledger

__all__ = ["BridgeState", "Decided", "OpenTick", "Turnover", "Working", "WorkingStatus"]

WorkingStatus = Literal["PLANNED", "SENT", "UNKNOWN", "ACCEPTED"]


@dataclass(frozen=True, slots=True)
class Decided:
    """The last decision of an instance: when its bar closed, and the weight last given to each market."""

    closed: datetime
    weights: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Working:
    """An order that is not settled yet.

    Attributes
    ----------
    order : Order
        As it is to be sent, or was.
    root : str
        Id of the planned order that it is an attempt at or a replacement of.
    status : str
        ``PLANNED``: may be sent. Else its one request may have arrived: ``SENT`` (it was about to be),
        ``UNKNOWN`` (its answer was unclear), ``ACCEPTED``.
    sent_ms : int
        Exchange time that the request was signed with.
    """

    order: Order
    root: str
    status: WorkingStatus = "PLANNED"
    sent_ms: int = 0


@dataclass(frozen=True, slots=True)
class OpenTick:
    """A tick whose plan is durable and whose orders are not all settled.

    Attributes
    ----------
    tick : str
    valid_until : str
        Exchange time after which what was not sent is dropped.
    pending : tuple of Working
    scope : tuple of str
        What makes the ids of its orders unique.
    """

    tick: str
    valid_until: str
    pending: tuple[Working, ...]
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Turnover:
    """What was traded on a UTC day, in quote currency."""

    day: int = -1
    notional: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class BridgeState:
    """Everything a tick needs to know of the ticks before it.

    Attributes
    ----------
    currency : str
        Reference currency.
    ledger : Ledger
        What the portfolio holds.
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
    mode : str
        ``paper`` or ``live``: whose ledger it is.
    foreign : mapping of str to Decimal
        What the account holds beside the portfolio, by currency.
    cursors : mapping of str to int
        Number of the last own execution that was looked at, by symbol.
    last_trade_ms : int
        Exchange time of the last one booked.
    opened_ms : int
        Exchange time at which the live account was opened.
    turnover : Turnover
    shares : tuple of float
        Shares of the instances at the last tick; empty before the first.
    recent : tuple of int
        Exchange times, in milliseconds, at which orders were sent within a minute of the last one.
    skipped : mapping of str to str
        Why an instance could not decide, since it last did; not part of :meth:`document`.
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
    mode: str = "paper"
    foreign: Mapping[str, Decimal] = field(default_factory=dict)
    cursors: Mapping[str, int] = field(default_factory=dict)
    last_trade_ms: int = 0
    opened_ms: int = 0
    turnover: Turnover = field(default_factory=Turnover)
    shares: tuple[float, ...] = ()
    recent: tuple[int, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)

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
            "mode": self.mode,
            "foreign": {currency: str(amount) for currency, amount in self.foreign.items()},
            "cursors": dict(self.cursors),
            "last_trade_ms": self.last_trade_ms,
            "opened_ms": self.opened_ms,
            "turnover": {"day": self.turnover.day, "notional": str(self.turnover.notional)},
            "shares": [share.hex() for share in self.shares],
            "recent": list(self.recent),
        }

    def with_marks(self, prices: Mapping[str, Decimal]) -> BridgeState:
        """Return the state with newer prices; those of other symbols stay."""
        return replace(self, marks={**self.marks, **prices})

    @classmethod
    def from_document(cls, document: Mapping[str, Any], at: str) -> BridgeState:
        """Read what :meth:`document` wrote, now or in an earlier version."""
        turnover = document.get("turnover", {"day": -1, "notional": "0"})
        return cls(
            currency=document["currency"],
            ledger=Ledger(_amounts(document["balances"])),
            marks=_amounts(document["marks"]),
            decided={name: _decided(entry) for name, entry in document["decided"].items()},
            risk=read_risk(document["risk"]),
            tick=document["tick"],
            ticks=document["ticks"],
            at=at,
            mode=document.get("mode", "paper"),
            foreign=_amounts(document.get("foreign", {})),
            cursors=dict(document.get("cursors", {})),
            last_trade_ms=document.get("last_trade_ms", 0),
            opened_ms=document.get("opened_ms", 0),
            turnover=Turnover(turnover["day"], Decimal(turnover["notional"])),
            shares=tuple(float.fromhex(share) for share in document.get("shares", [])),
            recent=tuple(document.get("recent", [])),
        )


def _amounts(entries: Mapping[str, str]) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in entries.items()}


def _decided(entry: Mapping[str, Any]) -> Decided:
    weights = {market: float.fromhex(text) for market, text in entry["weights"].items()}
    return Decided(datetime.fromisoformat(entry["closed"]), weights)
