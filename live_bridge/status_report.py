"""What the journal says of the bridge as it stands: for machines, and for a person at 3 a.m."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from live_bridge.journal import Journal
from live_bridge.report import state_document
from live_bridge.state import BridgeState, OpenTick

__all__ = ["status_document", "status_lines"]

_SHOWN: Final = 10
_FULL: Final = 0.8


def status_document(journal: Journal, state: BridgeState, *, events: int) -> dict[str, Any]:
    """Return the document of ``live-bridge status --json``.

    Parameters
    ----------
    journal : Journal
        Read, not written.
    state : BridgeState
        What it adds up to.
    events : int
        How many were checked.

    Returns
    -------
    dict
        ``journal, tick, ticks, at, mode, halted, unfinished, instances, foreign, limits, incidents, state``.
        ``halted`` says who and why; ``unfinished`` what is not settled; ``incidents`` the last ten.
    """
    planned = journal.last("PLANNED")
    return {
        "journal": {"path": str(journal.path), "events": events, "head": journal.head[1]},
        "tick": state.tick or None,
        "ticks": state.ticks,
        "at": _time(state.at),
        "mode": state.mode,
        "halted": _halted(journal) if state.risk.mode else None,
        "unfinished": None if state.open_tick is None else _unfinished(state.open_tick),
        "instances": [
            {"instance": name, "closed": _time(decided.closed.isoformat()), "weights": dict(decided.weights)}
            for name, decided in state.decided.items()
        ],
        "foreign": {currency: str(amount) for currency, amount in state.foreign.items()},
        "limits": list(planned.body.get("budgets", [])) if planned is not None else [],
        "incidents": _incidents(journal),
        "state": state_document(state),
    }


def status_lines(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the parts of a status document that a run's has not, as (name, text)."""
    lines = [("mode", str(document["mode"]))]
    if document["halted"]:
        lines.append(
            (
                "HALTED",
                "by {by} at {at}: {reason}. Go on with 'live-bridge resume'".format(**document["halted"]),
            )
        )
    unfinished = document["unfinished"]
    if unfinished:
        lines.append(("unfinished", f"{unfinished['tick']}: the next run settles it"))
        lines += [
            ("open order", "{side} {quantity} {symbol}: {status}, attempt {attempt} ({id})".format(**entry))
            for entry in unfinished["pending"]
        ]
    lines += [
        ("foreign", f"{amount} {currency} of the account are not the portfolio's")
        for currency, amount in document["foreign"].items()
    ]
    lines += [
        ("limit", f"{entry['fraction']:.0%} of {entry['limit']} {entry['scope']}".rstrip())
        for entry in document["limits"]
        if (entry.get("fraction") or 0.0) >= _FULL
    ]
    lines += [
        ("incident", "{at} {severity} {code}: {detail}".format(**entry)) for entry in document["incidents"]
    ]
    lines.append(("journal", "{path}: {events} events, chain intact".format(**document["journal"])))
    return lines


def _unfinished(tick: OpenTick) -> dict[str, Any]:
    return {
        "tick": tick.tick,
        "orders": len(tick.pending),
        "valid_until": _time(tick.valid_until),
        "pending": [
            {
                "id": working.order.id,
                "symbol": working.order.symbol,
                "side": working.order.side,
                "quantity": str(working.order.quantity),
                "status": working.status,
                "attempt": working.order.attempt,
            }
            for working in tick.pending
        ],
    }


def _halted(journal: Journal) -> dict[str, Any] | None:
    last = journal.last("HALTED", "RESUMED")
    if last is None or last.kind == "RESUMED":
        return None
    return {"by": last.body["by"], "reason": last.body["reason"], "at": _time(last.at)}


def _incidents(journal: Journal) -> list[dict[str, Any]]:
    return [
        {"at": _time(event.at), "tick": event.tick, **event.body}
        for event in journal.latest("INCIDENT", _SHOWN)
    ]


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
