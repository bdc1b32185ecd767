"""A live account at the loopback exchange, as tests ask for it: a tick, a day, what the journal says."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

from live_bridge.ccxt_account import connect_account
from live_bridge.config import load_config
from live_bridge.keys import Keys
from tests.oracle.bridge_harness import START, control, tick
from tests.oracle.canaries import KEY, SECRET


def live(config: Path) -> dict[str, Any]:
    document, code = tick(config, config.parent)()
    assert code == 0, document["reasons"]
    return document


def account(config: Path) -> Any:
    loaded = load_config(config, root=config.parent)
    made = connect_account(loaded.settings.exchange, Keys(KEY, SECRET), recv_window_ms=5_000)
    made._client.enableRateLimit = False
    made.now()
    return made


def on_day(url: str, day: int) -> None:
    control(url, "clock", at=(START + timedelta(days=day)).isoformat())


def events(config: Path, kind: str) -> list[str]:
    with sqlite3.connect(config.parent / "data/live/main.sqlite") as raw:
        rows = raw.execute("SELECT body FROM events WHERE kind = ? ORDER BY number", (kind,)).fetchall()
    raw.close()
    return [row[0] for row in rows]


def codes(document: dict[str, Any]) -> set[str]:
    return {incident["code"] for incident in document["incidents"]}
