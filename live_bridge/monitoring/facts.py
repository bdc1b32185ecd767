"""Figures read from the journal's file beside a run; nothing is locked or written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

__all__ = ["journal_facts"]

_TICKS: Final = 2_000
_BUSY_SECONDS: Final = 5.0

_FEES: Final = "SELECT fee_asset, sum(CAST(fee AS REAL)), count(*) FROM fills GROUP BY fee_asset"


def journal_facts(path: Path) -> dict[str, Any]:
    """Return what a journal adds up to, for metrics and reports.

    Parameters
    ----------
    path : pathlib.Path
        The SQLite file.

    Returns
    -------
    dict
        ``events`` (count), ``fills`` (count), ``fees`` (by asset), ``peak`` (highest equity of the last 2,000
        ticks), ``day_start`` (equity at the first tick of the last UTC day) and ``closed`` (by instance, the
        closing time of the last bar decided on). Empty where the file is missing or cannot be read: what is
        told about a run must not change how it ends.
    """
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            return _read(connection)
    except (sqlite3.DatabaseError, OSError, ValueError, KeyError):
        return {}


def _read(connection: sqlite3.Connection) -> dict[str, Any]:
    one = connection.execute
    fees: dict[str, float] = {}
    fills = 0
    for asset, fee, count in one(_FEES):
        fees[asset] = float(fee or 0.0)
        fills += int(count)
    equities = one("SELECT at, CAST(equity AS REAL) FROM equity ORDER BY at DESC LIMIT ?", (_TICKS,))
    rows = equities.fetchall()
    last_day = rows[0][0][:10] if rows else ""
    today = [equity for at, equity in rows if at.startswith(last_day)]
    closed = one(
        "SELECT body FROM events WHERE kind IN ('OPENED', 'CLOSED') ORDER BY number DESC LIMIT 1"
    ).fetchone()
    decided = json.loads(closed[0])["state"]["decided"] if closed else {}
    return {
        "events": int(one("SELECT coalesce(max(number), 0) FROM events").fetchone()[0]),
        "fills": fills,
        "fees": fees,
        "peak": max((equity for _, equity in rows), default=None),
        "day_start": today[-1] if today else None,
        "closed": {name: entry["closed"] for name, entry in decided.items()},
    }
