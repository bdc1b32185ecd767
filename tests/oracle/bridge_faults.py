"""What is wrong after live ticks: the exchange's own records against the journal's."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.oracle.bridge_harness import exchange_state


def balances(state: dict[str, Any]) -> dict[str, Decimal]:
    """Return the exchange's totals by currency."""
    return {
        asset: Decimal(entry["free"]) + Decimal(entry["locked"]) for asset, entry in state["balances"].items()
    }


def journal_holdings(root: Path) -> dict[str, Decimal]:
    """Return what the journal says the account holds, the portfolio's and what lies beside it."""
    from live_bridge.history import check_history, load_state
    from live_bridge.journal import Journal

    with Journal(root / "data/live/main.sqlite", account="main", portfolio="trio") as journal:
        check_history(journal)
        state = load_state(journal)
    assert state is not None
    assert state.open_tick is None
    names = {*state.ledger.amounts, *state.foreign}
    return {name: state.ledger[name] + state.foreign.get(name, Decimal(0)) for name in names}


def faults_of(url: str, root: Path, expected: dict[str, Decimal] | None, *, orphans: int = 0) -> list[str]:
    """Return what is wrong after a clean tick: POSTs, duplicates, losses, journal against exchange.

    Parameters
    ----------
    url : str
    root : pathlib.Path
    expected : dict of str to Decimal or None
        What the account shall hold to a step of the market.
    orphans : int
        How many orders the case itself placed behind the journal's back.
    """
    state = exchange_state(url)
    wrong = [f"{count} POSTs of {name}" for name, count in state["order_posts"].items() if count > 1]
    real, booked = balances(state), journal_holdings(root)
    for name in sorted({*real, *booked}):
        difference = real.get(name, Decimal(0)) - booked.get(name, Decimal(0))
        if abs(difference) > Decimal("1e-8"):
            wrong.append(f"{name}: exchange and journal differ by {difference}")
    if state["open_orders"]:
        wrong.append(f"open orders left: {state['open_orders']}")
    wrong += _overfilled(root, orphans)
    if expected is not None:
        for name, amount in expected.items():
            # One step of the market is what a new attempt may round differently.
            if abs(real.get(name, Decimal(0)) - amount) > Decimal("1e-4") * max(amount, Decimal("0.01")):
                wrong.append(f"{name}: {real.get(name)} held, {amount} without any fault")
    return wrong


def _overfilled(root: Path, allowed: int) -> list[str]:
    """Return planned orders of which more was traded than planned: an order was sent twice."""
    query = """
        WITH traded AS (
            SELECT coalesce(sent.planned, fills.id) AS id, sum(CAST(fills.quantity AS REAL)) AS quantity
            FROM fills LEFT JOIN sent ON sent.id = fills.id GROUP BY 1)
        SELECT orders.id, orders.quantity, traded.quantity FROM traded JOIN orders USING (id)
        WHERE traded.quantity > CAST(orders.quantity AS REAL) * 1.0000001"""
    with sqlite3.connect(root / "data/live/main.sqlite") as raw:
        rows = raw.execute(query).fetchall()
        orphans = raw.execute("SELECT count(*) FROM events WHERE kind = 'RECOVERED_ORPHAN'").fetchone()[0]
        orphans -= allowed
    raw.close()
    found = [f"{name}: {traded} traded of {planned} planned" for name, planned, traded in rows]
    return found + ([f"{orphans} orders unknown to the journal"] if orphans else [])


def unrecorded(url: str, root: Path) -> list[str]:
    """Return the orders that were sent without a durable row that says so."""
    posted = set(exchange_state(url)["order_posts"])
    state = root / "data/live/main.sqlite"
    recorded: set[str] = set()
    if state.exists():
        with sqlite3.connect(state) as raw:
            tables = raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'events'").fetchone()[0]
            query = "SELECT json_extract(body, '$.order.id') FROM events WHERE kind = 'SENT'"
            recorded = {row[0] for row in raw.execute(query)} if tables else set()
        raw.close()
    return [f"{name} was sent without a durable row" for name in sorted(posted - recorded)]
