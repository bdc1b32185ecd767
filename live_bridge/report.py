"""What a run tells: one document, read back from the journal, for machines and for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from lab.strategies import DecisionReason
from live_bridge.journal import Event, Journal
from live_bridge.order_report import order_documents
from live_bridge.permission import account_at, held_symbols
from live_bridge.state import BridgeState

__all__ = ["acts_document", "run_document", "state_document", "table"]

RISK_MODES: Final = ("NORMAL", "REDUCE_ONLY", "HALTED")


def run_document(
    journal: Journal,
    state: BridgeState,
    *,
    mode: str,
    acted: bool,
    reasons: Sequence[str],
    incidents: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the document of ``live-bridge run --json``.

    Parameters
    ----------
    journal : Journal
        Read, not written.
    state : BridgeState
        What it adds up to.
    mode : str
        ``paper`` or ``live``.
    acted : bool
        Whether this run acted. If not, the decisions are those already made and there are no orders.
    reasons : sequence of str
        What the run has to say beside them.
    incidents : sequence of mapping
        What a person should know.

    Returns
    -------
    dict
        ``tick, mode, bar, decisions, targets, orders, skipped, limits, state, reasons, incidents``. Weights
        are fractions; each is there as a number and as hexadecimal text. Times are ISO 8601, UTC.
    """
    events = journal.events_of(state.tick) if state.tick else []
    decided = [event.body for event in events if event.kind == "DECIDED"]
    planned = next((event.body for event in events if event.kind == "PLANNED"), None)
    acts = acts_document(events)
    unpromoted = [
        f"UNPROMOTED {body['instance']}: its file says mode: {body['stage']}; simulated all the same"
        for body in decided
        if body["stage"] == "backtest"
    ]
    return {
        "tick": state.tick or None,
        "mode": mode,
        "acted": acted,
        **acts,
        **({} if acted else {"orders": [], "skipped": []}),
        "limits": list((planned or {}).get("budgets", [])),
        "state": state_document(state),
        "reasons": [*reasons, *unpromoted],
        "incidents": list(incidents),
    }


def acts_document(events: Sequence[Event]) -> dict[str, Any]:
    """Return what a tick decided, aimed at and ordered, from its events.

    Returns
    -------
    dict
        ``bar, decisions, targets, orders, skipped``.
    """
    decided = [event.body for event in events if event.kind == "DECIDED"]
    planned = next((event.body for event in events if event.kind == "PLANNED"), {})
    targets = {target["symbol"]: target for target in planned.get("targets", [])}
    last = max(decided, key=lambda body: str(body["closed"]), default=None)
    return {
        "bar": _time(last["bar"]) if last else None,
        "decisions": [entry for body in decided for entry in _decisions(body, targets)],
        "targets": [_target(target) for target in targets.values()],
        "orders": order_documents(planned, events),
        "skipped": list(planned.get("skipped", [])),
    }


def state_document(state: BridgeState) -> dict[str, Any]:
    """Return equity, cash and positions at the last known marks, and the risk mode."""
    symbols = held_symbols(state)
    account = account_at(state, symbols)
    positions = []
    for symbol in symbols:
        price = account.marks.get(symbol, Decimal(0))
        value = account.quantities[symbol] * price
        positions.append(
            {
                "symbol": symbol,
                "quantity": float(account.quantities[symbol]),
                "price": float(price),
                "value": float(value),
                "weight": float(value / account.equity) if account.equity else 0.0,
            }
        )
    return {
        "equity": float(account.equity),
        "cash": float(account.cash),
        "currency": state.currency,
        "positions": positions,
        "mode": RISK_MODES[state.risk.mode],
    }


def table(document: Mapping[str, Any]) -> str:
    """Return a run or status document as lines for a person.

    Examples
    --------
    >>> account = {"equity": 100.0, "cash": 100.0, "currency": "USDT", "positions": [], "mode": "NORMAL"}
    >>> print(table({"tick": None, "state": account, "reasons": ["nothing yet"]}))
    tick       none yet
    account    equity 100.00 USDT, cash 100.00, NORMAL
    note       nothing yet
    """
    lines = [("tick", document["tick"] or "none yet"), *_acts(document), *_holdings(document)]
    if "journal" in document:
        from live_bridge.status_report import status_lines

        lines += status_lines(document)
    lines += [("note", reason) for reason in document.get("reasons", [])]
    return "\n".join(f"{name:<11}{text}" for name, text in lines)


def _acts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("bar", document["bar"])] if document.get("bar") else []
    for entry in document.get("decisions", []):
        wanted, permitted = (_percent(entry[key]) for key in ("weight", "permitted"))
        why = f" ({', '.join(entry['reasons'])})" if entry["reasons"] else ""
        lines.append(
            ("decision", f"{entry['instance']} {entry['market']}: {wanted}, permitted {permitted}{why}")
        )
    for entry in document.get("orders", []):
        lines.append(("order", "{side} {quantity} {symbol} at {price}: {status}".format(**entry)))
    for entry in document.get("skipped", []):
        lines.append(("skipped", "{side} {quantity} {symbol}: {reason}".format(**entry)))
    return lines


def _holdings(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = []
    for entry in document.get("instances", []):
        weights = ", ".join(f"{market} {_percent(weight)}" for market, weight in entry["weights"].items())
        lines.append(("instance", f"{entry['instance']} decided at {entry['closed']}: {weights or 'keep'}"))
    account = document["state"]
    for entry in account["positions"]:
        text = "{quantity:.8g} {symbol} worth {value:,.2f} ({weight:.2%})".format(**entry)
        lines.append(("position", text))
    lines.append(("account", "equity {equity:,.2f} {currency}, cash {cash:,.2f}, {mode}".format(**account)))
    return lines


def _decisions(body: Mapping[str, Any], targets: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    entries = []
    blocked = body.get("liquidity", {}).get("blocked", ())
    for market, weight in body["weights"].items():
        inputs = body["inputs"][market]
        target = targets.get(inputs["symbol"], {})
        quality = [f"{inputs['last_quality']} {inputs['last_reason']}".strip()]
        thin = [str(DecisionReason.ILLIQUID.name)] if market in blocked else []
        entries.append(
            {
                "instance": body["instance"],
                "family": body["family"],
                "market": market,
                "symbol": inputs["symbol"],
                "timeframe": body["timeframe"],
                "bar": _time(body["bar"]),
                "weight": _number(weight),
                "weight_hex": weight,
                "permitted": _number(target.get("permitted")),
                "permitted_hex": target.get("permitted"),
                "reasons": [*thin, *target.get("reasons", []), *(quality if quality != ["GOOD"] else [])],
                "inputs": {key: inputs[key] for key in ("start", "end", "bars", "digest")},
            }
        )
    return entries


def _target(target: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {key: _number(target[key]) for key in ("held", "wanted", "permitted")}
    return {"symbol": target["symbol"], **numbers, "reasons": target["reasons"]}


def _number(text: str | None) -> float | None:
    return None if text is None else float.fromhex(text)


def _percent(value: float | None) -> str:
    return "keep" if value is None else f"{value:.2%}"


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")
