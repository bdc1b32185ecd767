"""A bridge's journal as frames: the SQLite file opened read-only, events read, nothing recomputed."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import DataError
from lab.core.frames import TS

__all__ = ["JournalFrames", "read_journal"]

_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ticks": {"at": TS, "tick": pl.String, "equity": pl.Float64, "cash": pl.Float64, "exposure": pl.Float64},
    "holdings": {"at": TS, "symbol": pl.String, "weight": pl.Float64, "value": pl.Float64},
    "fills": {
        "at": TS,
        "symbol": pl.String,
        "side": pl.String,
        "quantity": pl.Float64,
        "price": pl.Float64,
        "notional": pl.Float64,
        "fee": pl.Float64,
        "slippage": pl.Float64,
    },
    "orders": {"at": TS, "id": pl.String, "symbol": pl.String, "side": pl.String},
    "failures": {"at": TS, "order": pl.String, "status": pl.String},
    "budgets": {
        "at": TS,
        "limit": pl.String,
        "scope": pl.String,
        "used": pl.Float64,
        "of": pl.Float64,
        "fraction": pl.Float64,
        "tripped": pl.Boolean,
    },
    "incidents": {
        "at": TS,
        "severity": pl.String,
        "code": pl.String,
        "symbol": pl.String,
        "detail": pl.String,
    },
}
# Events that a person should see although no incident says so: severity by kind.
_NOTABLE: Final[Mapping[str, str]] = {
    "ABANDONED": "WARNING",
    "ADOPTED": "INFO",
    "CONFIG_CHANGED": "INFO",
    "FOREIGN": "WARNING",
    "HALTED": "CRITICAL",
    "MODE_CHANGED": "WARNING",
    "PHANTOM": "CRITICAL",
    "RECOVERED_ORPHAN": "WARNING",
    "RESTORED": "CRITICAL",
    "RESUMED": "INFO",
    "SKIPPED": "WARNING",
}
_FAILED: Final = frozenset({"ABANDONED", "REFUSED", "REJECTED", "UNKNOWN"})
_OWN_COLUMNS: Final = frozenset({"code", "symbol"})


@dataclass(frozen=True, slots=True, eq=False)
class JournalFrames:
    """What a journal says, in the order of its events; times are the exchange's, UTC.

    Attributes
    ----------
    currency : str
        Of all amounts.
    mode : str
        ``paper`` or ``live``, as last recorded.
    capital : float
        At the opening.
    opened : datetime
    events : int
    head : str
        Hash of the last event.
    frames : mapping of str to DataFrame
        ``ticks`` (equity, cash and invested share at the end of each tick), ``holdings`` (share of equity by
        symbol), ``fills`` (fee and slippage in the currency; a fee in a coin without a price is null),
        ``orders``, ``failures`` (orders that were refused, rejected, abandoned or left unclear), ``budgets``
        (use of every limit), ``incidents``.
    """

    currency: str
    mode: str
    capital: float
    opened: datetime
    events: int
    head: str
    frames: Mapping[str, pl.DataFrame]


def read_journal(path: Path) -> JournalFrames:
    """Read a journal.

    Raises
    ------
    DataError
        If there is no journal, it cannot be read, or no account was opened in it.
    """
    if not path.is_file():
        raise DataError(
            f"{path} not found: the bridge has not run, or 'state' in its file names another place"
        )
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(
                "SELECT at, tick, kind, body, hash FROM events ORDER BY number"
            ).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path} cannot be read as a journal: {error}") from None
    events = [(_time(at), tick, kind, json.loads(body)) for at, tick, kind, body, _ in rows]
    first = next((event for event in events if event[2] == "OPENED"), None)
    if first is None:
        raise DataError(f"{path}: {len(events)} events, and no account was opened; let the bridge run once")
    state = first[3]["state"]
    currency = str(state["currency"])
    collected: dict[str, list[dict[str, Any]]] = {name: [] for name in _SCHEMAS}
    mode = str(first[3].get("mode", "paper"))
    for at, tick, kind, body in events:
        mode = str(body["mode"]) if kind == "PLANNED" and "mode" in body else mode
        for name, row in _rows(at, tick, kind, body, currency):
            collected[name].append({"at": at, **row})
    frames = {name: pl.DataFrame(collected[name], schema=dict(schema)) for name, schema in _SCHEMAS.items()}
    frames["incidents"] = frames["incidents"].unique(
        ["at", "code", "symbol"], keep="first", maintain_order=True
    )
    capital = float(state["balances"].get(currency, 0.0))
    return JournalFrames(currency, mode, capital, first[0], len(events), str(rows[-1][4]), frames)


def _rows(
    at: datetime, tick: str, kind: str, body: Mapping[str, Any], currency: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    if kind == "CLOSED":
        yield from _closed(tick, body, currency)
    elif kind == "PLANNED":
        for order in body.get("orders", ()):
            yield "orders", {key: order[key] for key in ("id", "symbol", "side")}
        for budget in body.get("budgets", ()):
            yield "budgets", {key: budget.get(key) for key in _SCHEMAS["budgets"] if key != "at"}
    elif kind in {"FILLED", "TRADED"}:
        yield "fills", _fill(body, currency)
    yield from _troubles(kind, body)


def _troubles(kind: str, body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    status = {"ABANDONED": kind, "ANSWERED": body.get("answer"), "SETTLED": body.get("status")}.get(kind)
    if status in _FAILED:
        yield "failures", {"order": str(body["order"]), "status": str(status)}
    if kind == "INCIDENT":
        severity, detail = str(body.get("severity", "WARNING")), str(body.get("detail") or "")
    elif kind in _NOTABLE:
        severity = _NOTABLE[kind]
        known = {name: value for name, value in body.items() if isinstance(value, (str, int, float))}
        detail = ", ".join(f"{name} {value}" for name, value in known.items() if name not in _OWN_COLUMNS)
    else:
        return
    code, symbol = str(body.get("code") or kind), str(body.get("symbol") or "")
    yield "incidents", {"severity": severity, "code": code, "symbol": symbol, "detail": detail}


def _closed(tick: str, body: Mapping[str, Any], currency: str) -> Iterator[tuple[str, dict[str, Any]]]:
    state, equity = body["state"], float(body["equity"])
    cash = float(state["balances"].get(currency, 0.0))
    yield (
        "ticks",
        {"tick": tick, "equity": equity, "cash": cash, "exposure": 1.0 - cash / equity if equity else None},
    )
    for symbol, mark in state.get("marks", {}).items():
        quantity = float(state["balances"].get(symbol.split("/")[0], 0.0))
        if quantity:
            value = quantity * float(mark)
            yield "holdings", {"symbol": symbol, "value": value, "weight": value / equity if equity else None}


def _fill(body: Mapping[str, Any], currency: str) -> dict[str, Any]:
    quantity, price = float(body["quantity"]), float(body["price"])
    fee, asset = float(body.get("fee") or 0.0), body.get("fee_asset")
    rate = 1.0 if asset in (currency, None, "") else body.get("fee_price")
    slipped = body.get("slippage")
    return {
        "symbol": body["symbol"],
        "side": body["side"],
        "quantity": quantity,
        "price": price,
        "notional": quantity * price,
        "fee": None if rate in (None, "") and fee else fee * float(rate or 1.0),
        "slippage": None if slipped in (None, "") else float(slipped) * quantity,
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
