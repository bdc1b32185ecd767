"""Every finished tick of an account, in order: what ``mnemo compare`` holds against the backtest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lab.core.errors import DataError
from lab.strategies import Portfolio
from live_bridge.config import LoadedConfig
from live_bridge.history import apply
from live_bridge.journal import Event, Journal
from live_bridge.reading import reading
from live_bridge.report import acts_document, state_document
from live_bridge.state import BridgeState

__all__ = ["history"]

_BEGINNINGS: Final = ("OPENED", "MODE_CHANGED")
_TRANSFERS: Final = ("ADOPTED", "PHANTOM")


def history(config: Path, *, root: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read the journal and return every finished tick since the account began; nothing is asked or written.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``.
    root : pathlib.Path
        Folder that holds ``data/``.
    environment : mapping of str to str, optional
        Profile and variables over the file; default: the process's.

    Returns
    -------
    dict
        ``account, portfolio, mode, currency, symbols`` (by market), ``opened`` (``at, balances``), ``ticks``:
        each as ``live-bridge run --json`` told it, with ``now`` (exchange time of the plan), and ``equity``
        and ``marks`` that it was sized with; ``transfers`` (what reconciliation took in or off: ``at,
        currency, amount``), ``orphans`` (trades that no plan knew).

    Raises
    ------
    DataError
        If there is no journal, or its chain is broken.
    """
    with reading(config, root=root, environment=environment) as (loaded, portfolio, journal):
        return {**_whose(loaded, portfolio), **_folded(journal)}


def _whose(loaded: LoadedConfig, portfolio: Portfolio) -> dict[str, Any]:
    return {
        "account": loaded.settings.account,
        "portfolio": portfolio.portfolio_id,
        "instances": [instance.strategy_id for instance in portfolio.instances],
        "symbols": {market: loaded.settings.symbol(market) for market in portfolio.markets},
    }


def _folded(journal: Journal) -> dict[str, Any]:
    state = BridgeState()
    found: dict[str, Any] = {"opened": None, "ticks": [], "transfers": [], "orphans": []}
    events: dict[str, list[Event]] = {}
    for event in journal.events():
        state = apply(state, event)
        if event.kind in _BEGINNINGS:
            balances = {name: str(amount) for name, amount in state.ledger.amounts.items()}
            found = {
                "opened": {"at": event.at, "balances": balances},
                "ticks": [],
                "transfers": [],
                "orphans": [],
            }
            events = {}
        elif event.kind in _TRANSFERS:
            moved = {key: event.body[key] for key in ("currency", "amount")}
            found["transfers"].append({"at": event.at, **moved})
        elif event.kind == "RECOVERED_ORPHAN":
            found["orphans"] += [{"at": event.at, **trade} for trade in event.body["trades"]]
        if event.tick:
            events.setdefault(event.tick, []).append(event)
        if event.kind == "CLOSED":
            found["ticks"].append(_tick(event.tick, events.pop(event.tick), state))
    if found["opened"] is None:
        raise DataError(f"{journal.path}: the journal is empty; 'live-bridge run' fills it")
    return {"mode": state.mode, "currency": state.currency, **found}


def _tick(name: str, events: list[Event], state: BridgeState) -> dict[str, Any]:
    planned: Mapping[str, Any] = next((event.body for event in events if event.kind == "PLANNED"), {})
    return {
        "tick": name,
        "now": planned.get("now", events[0].at),
        "code": 0,
        "acted": True,
        **acts_document(events),
        "command": planned.get("command"),
        "equity": planned.get("equity"),
        "marks": dict(planned.get("marks", {})),
        "state": state_document(state),
    }
