"""Journals written event by event, as a bridge would leave them; the chain of hashes is made up."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from live_bridge.schema import SCHEMA

Event = tuple[datetime, str, dict[str, Any]]


def write_journal(path: Path, events: list[Event]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        for number, (at, kind, body) in enumerate(events, start=1):
            row = (number, at.isoformat(), at.isoformat(), kind, json.dumps(body), "", f"{number:064x}")
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    return path


def opened(at: datetime, capital: float, currency: str = "USDT") -> Event:
    return at, "OPENED", {"mode": "paper", "state": state({currency: capital}, {}, currency)}


def closed(
    at: datetime, balances: dict[str, float], marks: dict[str, float], currency: str = "USDT"
) -> Event:
    equity = balances[currency] + sum(
        balances.get(symbol.split("/")[0], 0.0) * mark for symbol, mark in marks.items()
    )
    body = {"equity": str(equity), "currency": currency, "state": state(balances, marks, currency)}
    return at, "CLOSED", body


def filled(at: datetime, symbol: str, side: str, quantity: float, price: float, **more: Any) -> Event:
    body = {"order": f"o-{at.isoformat()}-{symbol}", "symbol": symbol, "side": side}
    return at, "FILLED", {**body, "quantity": str(quantity), "price": str(price), **more}


def planned(at: datetime, orders: int = 0, budgets: list[dict[str, Any]] | None = None) -> Event:
    ids = [{"id": f"o{number}", "symbol": "BTC/USDT", "side": "buy"} for number in range(orders)]
    return at, "PLANNED", {"mode": "paper", "orders": ids, "budgets": budgets or []}


def state(balances: dict[str, float], marks: dict[str, float], currency: str) -> dict[str, Any]:
    return {
        "currency": currency,
        "balances": {name: str(amount) for name, amount in balances.items()},
        "marks": {symbol: str(price) for symbol, price in marks.items()},
    }
